//! How much of each segment and pack some mailbox shows.
//!
//! *Owns*: the count. *Promises*: a body that several mailboxes show counts once. *Assumes*: an index of the same
//! moment. *Never*: counts what was removed and could still be had back.

use std::collections::BTreeMap;

use ringpost_engine::ids::BodyKey;
use ringpost_engine::io::FileId;
use ringpost_engine::log::record::HEAD_BYTES;
use ringpost_engine::recovery::Replayed;

/// Bytes of the records of bodies that are shown, by file.
pub fn bytes(replayed: &Replayed) -> BTreeMap<FileId, u64> {
    let mut shown: Vec<BodyKey> = Vec::new();
    for (account, _) in replayed.index.every_account() {
        for mailbox in account.mailboxes() {
            shown.extend((0..mailbox.len()).map(|place| mailbox.message(place).key()));
        }
    }
    shown.sort_unstable_by_key(|key| key.id);
    shown.dedup_by_key(|key| key.id);
    let mut files = BTreeMap::new();
    for key in shown {
        if let Some(body) = replayed.body(key) {
            let record = HEAD_BYTES as u64 + u64::from(key.summary_len) + u64::from(key.len);
            *files.entry(body.summary.file).or_default() += record;
        }
    }
    files
}
