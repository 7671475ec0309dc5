//! What the records of a log add up to.
//!
//! *Owns*: the replay, and the check that every message has its body. *Promises*: every message that any mailbox
//! shows is looked at. *Assumes*: the sums were checked before. *Never*: prints.

use indicatif::ProgressBar;
use ringpost_engine::error::Error;
use ringpost_engine::ids::{BodyKey, Lsn};
use ringpost_engine::index::Counts;
use ringpost_engine::log::record::{self, KIND_BODY, RecordHead};
use ringpost_engine::recovery::{self, Replayed};

use super::FAULTS_TOLD_MAX;
use crate::Failure;
use crate::data::Shard;
use crate::disk::ReadOnlyDisk;

/// See the module's head.
pub struct Meaning {
    /// How much there is.
    pub counts: Counts,
    /// Records that do not go on from those before: segment, offset, what.
    pub faults: Vec<(u64, u64, String)>,
    /// More of them.
    pub untold: u64,
    /// Messages without a body: its position, and which they are.
    pub missing: Vec<(u64, String)>,
    /// How many.
    pub missing_count: u64,
    /// Bytes behind the end that nobody was told of.
    pub torn_bytes: u64,
    /// Accounts that a server would not serve.
    pub quarantined: Vec<u64>,
}

impl Meaning {
    /// Replays a shard's log up to `end`. What a running server appends meanwhile is left out.
    pub fn of(shard: &Shard, end: Lsn, bar: &ProgressBar) -> Result<Meaning, Failure> {
        let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
        let replayed = recovery::replay_read_only(&mut disk, shard.id, Some(end));
        let replayed = replayed.map_err(|error| error.to_string())?;
        let report = &replayed.report;
        let faults = report.damage.iter().map(|error| match error {
            Error::Corrupt { segment, offset, what } => (segment.0, *offset, what.clone()),
            other => (0, 0, other.to_string()),
        });
        let mut meaning = Meaning {
            counts: replayed.index.counts(),
            faults: faults.collect(),
            untold: report.damage_untold,
            missing: Vec::new(),
            missing_count: 0,
            torn_bytes: report.torn_bytes,
            quarantined: report.quarantined.iter().map(|account| account.0).collect(),
        };
        meaning.messages(&replayed, &mut ReadOnlyDisk::quiet(&shard.folder));
        meaning.checkpoint(shard, end, &replayed)?;
        Ok(meaning)
    }

    /// Whether the newest checkpoint and the log behind it say what the whole log says. A damaged log is no measure.
    fn checkpoint(&mut self, shard: &Shard, end: Lsn, replayed: &Replayed) -> Result<(), Failure> {
        let mut disk = ReadOnlyDisk::quiet(&shard.folder);
        let recovered = recovery::recover_read_only(&mut disk, shard.id, Some(end));
        let recovered = recovered.map_err(|error| error.to_string())?;
        let refused =
            recovered.report.refused_checkpoints.iter().map(|why| (0, 0, format!("checkpoint {why}")));
        self.faults.extend(refused);
        if let Some(number) = recovered.report.checkpoint
            && replayed.report.damage.is_empty()
            && recovered.digest() != replayed.digest()
        {
            let what =
                format!("checkpoint {number} and the log behind it do not say what the whole log says");
            self.faults.push((0, 0, what));
        }
        Ok(())
    }

    fn messages(&mut self, replayed: &Replayed, disk: &mut ReadOnlyDisk) {
        for (account, _) in replayed.index.every_account() {
            for mailbox in account.mailboxes() {
                let messages = (0..mailbox.len()).map(|place| mailbox.message(place));
                for message in messages.filter(|message| !is_recorded(message.key(), replayed, disk)) {
                    self.missing_count += 1;
                    if self.missing.len() < FAULTS_TOLD_MAX {
                        let (uid, name) = (message.uid, mailbox.name());
                        let what = format!("message {uid} of {} in {name} has no body", account.address());
                        self.missing.push((message.body.0, what));
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
        disk.read_exact(body.summary.file, at, record::HEAD_BYTES as u32).ok()
    });
    let meta = head.as_deref().and_then(RecordHead::read).map(|head| head.meta());
    meta.is_some_and(|meta| {
        let lengths = (meta.summary_len, meta.len);
        meta.kind == KIND_BODY && lengths == (key.summary_len, key.summary_len.saturating_add(key.len))
    })
}
