//! The façade: append, drive the I/O, read.
//!
//! *Owns*: the log writer, the index, the views of the segment files.
//! *Promises*: `append` reserves, `complete` makes visible, in order, only what is durable.
//! *Assumes*: every request from `poll_io` is carried out once and completed once.
//! *Never*: waits.

use bytes::Bytes;

use crate::change::{Change, Entry, NewBody, Outcome};
use crate::error::{Error, Refused};
use crate::ids::{AccountId, BodyId, Lsn, MailboxId, ModSeq, Now, SegmentId, ShardId};
use crate::index::{AccountRef, MailboxRef};
use crate::io::{Disk, Extent, IoId, IoRequest, IoResult};
use crate::limits;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which shard this is; goes into the ids it creates and into every segment's header.
    pub shard: ShardId,
    /// Bytes of a segment file; `limits::SEGMENT_BYTES` unless a test wants rollovers.
    pub segment_bytes: u64,
    /// Largest message taken, in bytes; at most `limits::BODY_BYTES_MAX` and what a segment holds.
    pub message_bytes_max: usize,
    /// Eight random bytes for the batches of a log that begins now; a log that is there keeps the key it has.
    /// Makes it impossible to plant something that passes for a batch inside a message.
    pub log_key: u64,
}

impl Options {
    /// The usual sizes.
    pub fn new(shard: ShardId, log_key: u64) -> Options {
        Options {
            shard,
            segment_bytes: limits::SEGMENT_BYTES,
            message_bytes_max: limits::BODY_BYTES_MAX,
            log_key,
        }
    }
}

/// What recovery found; one log line.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
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
    /// Accounts not served because of damage.
    pub quarantined: Vec<AccountId>,
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
    pub bytes: Extent,
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
    /// Bytes of the bodies that some mailbox shows (each once).
    pub body_bytes: u64,
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
}

/// One shard's mail store.
pub struct Store {
    _private: (),
}

impl Store {
    /// Recovers what is there (or begins anew) and opens a fresh segment. Blocking; for the start only.
    pub fn open(disk: &mut dyn Disk, options: Options, now: Now) -> Result<(Store, RecoveryReport), Error> {
        let _ = (disk, options, now);
        todo!()
    }

    /// Queues a message body. Nothing shows it until a [`Change::Deliver`] names it. The id is good at once.
    pub fn append_body(&mut self, account: AccountId, body: NewBody, now: Now) -> Result<BodyId, Refused> {
        let _ = (account, body, now);
        todo!()
    }

    /// Queues a change of `account` (0 for domains and aliases; [`Change::AccountCreate`] ignores it and gets a new one).
    /// Returns its position; [`Progress::applied`] names the same position when it is durable and visible.
    pub fn append(&mut self, account: AccountId, change: Change, now: Now) -> Result<Lsn, Refused> {
        let _ = (account, change, now);
        todo!()
    }

    /// The next piece of disk work, if there is any. At most one batch is in flight.
    pub fn poll_io(&mut self) -> Option<(IoId, IoRequest)> {
        todo!()
    }

    /// Tells how a piece of disk work ended.
    pub fn complete(&mut self, id: IoId, result: IoResult) -> Progress {
        let _ = (id, result);
        todo!()
    }

    /// A bounded step of upkeep: closes the idle window of recovery, readies the next segment, retries a full disk.
    pub fn tick(&mut self, now: Now) {
        let _ = now;
        todo!()
    }

    /// Whether nothing is queued or in flight.
    pub fn is_quiet(&self) -> bool {
        todo!()
    }

    /// Everything below is durable and visible.
    pub fn durable(&self) -> Lsn {
        todo!()
    }

    /// Figures.
    pub fn stats(&self) -> StoreStats {
        todo!()
    }

    /// The account of a normalised address.
    pub fn account_by_address(&self, address: &str) -> Option<AccountId> {
        let _ = address;
        todo!()
    }

    /// Whether this address has an account that is not served because its records are damaged. To others this is a
    /// temporary failure, never an unknown user.
    pub fn is_quarantined(&self, address: &str) -> bool {
        let _ = address;
        todo!()
    }

    /// An account; none when deleted or quarantined.
    pub fn account(&self, account: AccountId) -> Option<AccountRef<'_>> {
        let _ = account;
        todo!()
    }

    /// All accounts whose address is greater than `after`, in order of address.
    pub fn accounts_after<'a>(&'a self, after: &str) -> Box<dyn Iterator<Item = AccountRef<'a>> + 'a> {
        let _ = after;
        todo!()
    }

    /// A mailbox.
    pub fn mailbox(&self, account: AccountId, mailbox: MailboxId) -> Option<MailboxRef<'_>> {
        let _ = (account, mailbox);
        todo!()
    }

    /// Targets of an alias of this shard's slots.
    pub fn alias(&self, address: &str) -> Option<&[String]> {
        let _ = address;
        todo!()
    }

    /// Aliases in order of address, after `after`.
    pub fn aliases_after<'a>(
        &'a self,
        after: &str,
    ) -> Box<dyn Iterator<Item = (&'a str, &'a [String])> + 'a> {
        let _ = after;
        todo!()
    }

    /// Domains in order (shard 0 only has them).
    pub fn domains(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        todo!()
    }

    /// Where a message's bytes are.
    pub fn body(&self, body: BodyId) -> Option<BodyRef> {
        let _ = body;
        todo!()
    }

    /// The bytes of an extent, as a slice of the segment's view: no copy. The slice pins the view; whoever looks at
    /// the bytes (instead of handing them to the kernel) first has them brought in (see `Output::Warm`).
    pub fn bytes(&self, extent: Extent) -> Option<Bytes> {
        let _ = extent;
        todo!()
    }

    /// The changes of `account` after `since` cannot be told one by one below this mod-sequence (history was cut).
    pub fn history_floor(&self, account: AccountId, mailbox: MailboxId) -> ModSeq {
        let _ = (account, mailbox);
        todo!()
    }

    /// Segment files and their bytes, ascending.
    pub fn segments(&self) -> Vec<(SegmentId, u64)> {
        todo!()
    }

    /// Entries that wait to become durable, oldest first (for the simulation's oracle).
    pub fn pending(&self) -> Box<dyn Iterator<Item = &Entry> + '_> {
        todo!()
    }
}
