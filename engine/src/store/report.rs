//! What a store tells of itself.
//!
//! *Owns*: the figures, and what a start found. *Promises*: figures are counted, not estimated. *Assumes*: nothing.
//! *Never*: changes anything.

use super::Store;
use crate::change::Outcome;
use crate::compact;
use crate::error::Error;
use crate::ids::{AccountId, Lsn};
use crate::io::Extent;
use crate::octets::Octets;

/// What recovery found; one log line.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// The checkpoint that the replay went on from; none when it began at the log's beginning.
    pub checkpoint: Option<u64>,
    /// Bytes read of it.
    pub checkpoint_bytes: u64,
    /// Checkpoints that could not be used, and why. An older one or the log itself stands in.
    pub refused_checkpoints: Vec<String>,
    /// Segments read.
    pub segments: u64,
    /// Batches applied.
    pub batches: u64,
    /// Entries applied.
    pub entries: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes cut off as a torn tail that nobody was told about.
    pub torn_bytes: u64,
    /// Where the log goes on.
    pub next: Lsn,
    /// Damage that had been durable: what is lost, in words, one line each; the accounts are quarantined.
    pub damage: Vec<Error>,
    /// Damages beyond `limits::DAMAGES_TOLD_MAX`, which are not described.
    pub damage_untold: u64,
    /// Accounts not served because of damage.
    pub quarantined: Vec<AccountId>,
    /// Damage that cost nothing, in words, one line each: what was damaged is there twice, and is written anew.
    pub repaired: Vec<String>,
}

/// What one completion brought.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Everything below this position is durable and applied.
    pub durable: Lsn,
    /// Newly applied changes, in log order.
    pub applied: Vec<Applied>,
    /// The shard must stop: the disk failed for good. Says why.
    pub fatal: Option<Error>,
}

/// One newly visible change.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The position `append` returned.
    pub lsn: Lsn,
    /// Whose.
    pub account: AccountId,
    /// What it did.
    pub outcome: Outcome,
}

/// Where a stored message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRef {
    /// The octets as they are sent. `bytes.len` is RFC822.SIZE.
    pub bytes: Octets,
    /// The encoded summary.
    pub summary: Extent,
}

/// Figures for `ringpost status`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreStats {
    /// Accounts.
    pub accounts: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages shown (a copy counts).
    pub messages: u64,
    /// Bytes of the bodies that some mailbox shows or that can be had back (each once).
    pub body_bytes: u64,
    /// Messages that left their mailboxes and can be had back.
    pub buried: u64,
    /// Messages that cannot be had back since the start, for their account had removed too many after them.
    pub let_go: u64,
    /// Log bytes in segments.
    pub log_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Batches made durable since the start.
    pub batches: u64,
    /// Entries in them.
    pub entries: u64,
    /// Next position.
    pub next: Lsn,
    /// Durable up to here.
    pub durable: Lsn,
    /// Whether the disk is full at the moment.
    pub disk_full: bool,
    /// Checkpoints made since the start.
    pub checkpoints: u64,
    /// Bytes written for them.
    pub checkpoint_bytes: u64,
    /// Bytes of the files that make up the newest.
    pub checkpoint_file_bytes: u64,
    /// How many of those are needed.
    pub checkpoint_live_bytes: u64,
    /// Packs that compaction has made of segments, and their bytes.
    pub packs: u64,
    /// Bytes of their files.
    pub pack_bytes: u64,
    /// Bytes of the records in segments and packs that are alive: their messages are shown, or can be had back.
    pub live_bytes: u64,
    /// What compaction did since the start.
    pub compacted: compact::Done,
    /// Accounts that are awake: more than their heads is in memory.
    pub accounts_awake: u64,
    /// Bytes that they take.
    pub index_memory_bytes: u64,
    /// What scrub has done since the start.
    pub scrub: crate::scrub::Done,
    /// Ranges of positions at which bodies are not what was written.
    pub distrusted: u64,
    /// Accounts that are not served since their part of a checkpoint was found damaged after the start.
    pub accounts_damaged: u64,
    /// Readings of messages that found no room in the log.
    pub readings_lost: u64,
}

impl Store {
    /// What compaction did since the start.
    pub fn compacted(&self) -> compact::Done {
        self.compactor.done()
    }

    /// Bytes of all segments and packs but those that nobody needs any more; what is made for later counts.
    pub(super) fn file_bytes(&self) -> u64 {
        let (segments, packs) = (self.writer.files().values(), self.writer.places().packs());
        let bytes =
            segments.map(|file| file.size).sum::<u64>() + packs.iter().map(|pack| pack.bytes).sum::<u64>();
        bytes.saturating_sub(self.compactor.retired_segment_bytes())
    }

    /// Figures.
    pub fn stats(&self) -> StoreStats {
        let counts = self.index.counts();
        let (checkpoints, checkpoint_bytes) = self.keeper.made();
        let (checkpoint_file_bytes, checkpoint_live_bytes) = self.index.images().totals();
        let (index_memory_bytes, accounts_awake) = self.index.awake();
        StoreStats {
            accounts: counts.accounts,
            mailboxes: counts.mailboxes,
            messages: counts.messages,
            body_bytes: counts.body_bytes,
            buried: counts.buried,
            let_go: counts.let_go,
            log_bytes: self.writer.files().values().map(|file| file.end).sum(),
            segments: self.writer.files().len() as u64,
            batches: self.batches,
            entries: self.entries,
            next: self.writer.next(),
            durable: self.durable(),
            disk_full: self.writer.is_full(),
            checkpoints,
            checkpoint_bytes,
            checkpoint_file_bytes,
            checkpoint_live_bytes,
            packs: self.writer.places().packs().len() as u64,
            pack_bytes: self.writer.places().packs().iter().map(|pack| pack.bytes).sum(),
            live_bytes: self.index.live_in(&(0..u64::MAX)),
            compacted: self.compactor.done(),
            accounts_awake: accounts_awake as u64,
            index_memory_bytes: index_memory_bytes as u64,
            scrub: self.scrub.done(),
            distrusted: self.index.distrusted().count() as u64,
            accounts_damaged: self.index.broken(),
            readings_lost: self.readings.lost(),
        }
    }
}
