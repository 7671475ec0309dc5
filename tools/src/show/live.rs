//! How much of each segment some mailbox shows.
//!
//! *Owns*: the count. *Promises*: a body that several mailboxes show counts once. *Assumes*: an index of the same
//! moment. *Never*: counts what was removed and could still be had back.

use std::collections::BTreeMap;

use ringpost_engine::ids::{BodyKey, SegmentId};
use ringpost_engine::log::record::HEAD_BYTES;
use ringpost_engine::recovery::Replayed;

/// Bytes of the records of bodies that are shown, by segment.
pub fn bytes(replayed: &Replayed) -> BTreeMap<SegmentId, u64> {
    let mut shown: Vec<BodyKey> = Vec::new();
    for (account, _) in replayed.index.every_account() {
        for mailbox in account.mailboxes() {
            shown.extend((0..mailbox.len()).map(|place| mailbox.message(place).key()));
        }
    }
    shown.sort_unstable_by_key(|key| key.id);
    shown.dedup_by_key(|key| key.id);
    let mut segments = BTreeMap::new();
    for key in shown {
        if let Some(body) = replayed.body(key) {
            let record = HEAD_BYTES as u64 + u64::from(key.summary_len) + u64::from(key.len);
            *segments.entry(body.summary.segment).or_default() += record;
        }
    }
    segments
}
