//! `ringpost-log verify`: reads everything that was ever written and builds the mail store from it.
//!
//! *Owns*: the two passes, over the bytes and over their meaning. *Promises*: exit code 0 means that every
//! checksum, every record and every message's body was read and found good. *Assumes*: nothing. *Never*:
//! repairs.

use ringpost_engine::codec;
use ringpost_engine::error::Error;
use ringpost_engine::ids::BodyKey;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::log::record::{self, KIND_BODY, KIND_WITNESS, RecordHead};
use ringpost_engine::log::scan::{self, BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use ringpost_engine::recovery::{self, Replayed};
use serde_json::json;

use crate::Failure;
use crate::data::Shard;
use crate::disk::ReadOnlyDisk;
use crate::output::{Output, name, number, progress};

/// Verifies a shard.
pub fn run(shard: &Shard, output: &mut Output) -> Result<u64, Failure> {
    let bytes = ReadOnlyDisk::new(&shard.folder, indicatif::ProgressBar::hidden()).bytes();
    let bar = progress(bytes * 2, "verifying", true);
    let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
    let mut check = Check { shard, output, records: 0, bodies: 0, damages: 0 };
    let end = scan::scan(&mut disk, shard.id, &mut check).map_err(|error| error.to_string())?;
    // What a running server appends meanwhile is left out: the second pass ends where the first did.
    let replayed = recovery::replay_read_only(&mut disk, shard.id, Some(end.tail.end));
    let replayed = replayed.map_err(|error| error.to_string())?;
    bar.finish_and_clear();
    check.meaning(&replayed);
    check.messages(&replayed, &mut disk);
    let Check { records, bodies, damages, .. } = check;
    let counts = replayed.index.counts();
    let quarantined: Vec<u64> = replayed.report.quarantined.iter().map(|account| account.0).collect();
    let object = json!({
        "type": "verify", "shard": number(shard), "sound": damages == 0, "segments": end.chain.segments.len(),
        "batches": end.batches, "records": records, "bodies": bodies, "bytes": end.bytes,
        "torn_bytes": end.torn_bytes, "next": end.tail.end.0, "accounts": counts.accounts,
        "mailboxes": counts.mailboxes, "messages": counts.messages, "damages": damages,
        "quarantined": quarantined,
    });
    output.line(&object, || {
        let verdict = if damages == 0 { "sound".to_owned() } else { format!("DAMAGED in {damages} places") };
        let mut text = format!(
            "{}: {verdict}\n  segments {}, batches {}, bytes {}\n  \
             records {records}, {bodies} of them bodies\n  \
             accounts {}, mailboxes {}, messages {}\n  the log ends at {}",
            name(shard),
            end.chain.segments.len(),
            end.batches,
            end.bytes,
            counts.accounts,
            counts.mailboxes,
            counts.messages,
            end.tail.end,
        );
        if end.torn_bytes > 0 {
            text += &format!("\n  {} bytes behind it were never acknowledged", end.torn_bytes);
        }
        if !quarantined.is_empty() {
            text += &format!("\n  a server would not serve these accounts: {quarantined:?}");
        }
        text
    });
    Ok(damages)
}

struct Check<'a> {
    shard: &'a Shard,
    output: &'a mut Output,
    records: u64,
    bodies: u64,
    damages: u64,
}

impl Check<'_> {
    fn fault(&mut self, record: &RecordInfo, what: &str) {
        self.damages += 1;
        let what = format!("{what}, account {}", record.meta.account);
        self.output.fault(self.shard, record.segment.0, record.payload_offset, &what);
    }

    /// Every record goes on from those before it. After damage to the bytes this tells its consequences too.
    fn meaning(&mut self, replayed: &Replayed) {
        if self.damages > 0 {
            return;
        }
        for error in &replayed.report.damage {
            self.damages += 1;
            let (segment, offset, what) = match error {
                Error::Corrupt { segment, offset, what } => (segment.0, *offset, what.clone()),
                other => (0, 0, other.to_string()),
            };
            self.output.fault(self.shard, segment, offset, &what);
        }
        self.damages += replayed.report.damage_untold;
    }

    /// Every message that a mailbox shows has its body, of the size that it tells.
    fn messages(&mut self, replayed: &Replayed, disk: &mut ReadOnlyDisk) {
        for (account, _) in replayed.index.every_account() {
            for mailbox in account.mailboxes() {
                let messages = (0..mailbox.len()).map(|place| mailbox.message(place));
                for message in messages {
                    if !is_recorded(message.key(), replayed, disk) {
                        self.damages += 1;
                        let (uid, name) = (message.uid, mailbox.name());
                        let what = format!("message {uid} of {} in {name} has no body", account.address());
                        self.output.fault(self.shard, 0, message.body.0, &what);
                    }
                }
            }
        }
    }
}

/// Whether the record of a body is where its position says, and of its lengths.
fn is_recorded(key: BodyKey, replayed: &Replayed, disk: &mut ReadOnlyDisk) -> bool {
    let head = replayed.body(key).and_then(|body| {
        let at = body.summary.offset.checked_sub(record::HEAD_BYTES as u64)?;
        disk.read_exact(body.summary.segment, at, record::HEAD_BYTES as u32).ok()
    });
    let meta = head.as_deref().and_then(RecordHead::read).map(|head| head.meta());
    meta.is_some_and(|meta| {
        let lengths = (meta.summary_len, meta.len);
        meta.kind == KIND_BODY && lengths == (key.summary_len, key.summary_len.saturating_add(key.len))
    })
}

impl Visitor for Check<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, _batch: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        match record.meta.kind {
            KIND_WITNESS => return,
            KIND_BODY => {
                self.bodies += 1;
                let summary = payload.get(..record.meta.summary_len as usize);
                if summary.and_then(SummaryView::new).is_none() {
                    self.fault(record, "the summary of a body is malformed");
                }
            }
            kind => {
                if codec::decode(kind, payload).is_none() {
                    self.fault(record, &format!("a record of unknown form, kind {kind}"));
                }
            }
        }
        self.records += 1;
    }

    fn damage(&mut self, damage: &Damage) {
        self.damages += 1;
        self.output.damage(self.shard, damage);
    }
}
