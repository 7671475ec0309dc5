//! The façade: append, drive the I/O, read.
//!
//! *Owns*: the log writer, the index, the views of the segment files.
//! *Promises*: `append` reserves, `complete` makes visible, in order, only what is durable.
//! *Assumes*: every request from `poll_io` is carried out once and completed once.
//! *Never*: waits.

mod applying;
mod backup;
mod origin;
mod read;
mod relief;
mod removed;
mod report;
mod scrub;
mod slots;
mod unreadable;
mod upkeep;

use std::cell::Cell;
use std::collections::BTreeSet;

use bytes::Bytes;

use crate::change::{Change, Entry, NewBody, Outcome, Refusal};
use crate::checkpoint::Point;
use crate::checkpoint::keeper::Keeper;
use crate::codec;
use crate::compact::{self, Compactor};
use crate::error::{Error, Refused};
use crate::ids::{AccountId, BodyId, BodyKey, Lsn, MailboxId, ModSeq, Now, SegmentId, ShardId};
use crate::index::plan::Planner;
use crate::index::{AccountRef, Index, MailboxRef};
use crate::io::{Disk, IoId, IoRequest, IoResult};
use crate::limits;
use crate::log::BLOCK;
use crate::log::build::Witness;
use crate::log::build::{Batch, Item};
use crate::log::writer::{Completed, Writer};
use crate::origin::Origin;
use crate::press::Unfolder;
use crate::recovery;
use relief::needs_no_space;
pub use report::{Applied, BodyRef, Progress, RecoveryReport, StoreStats};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which shard this is; goes into the ids it creates and into every segment's header.
    pub shard: ShardId,
    /// Bytes of a segment file; `limits::SEGMENT_BYTES` unless a test wants rollovers.
    pub segment_bytes: u64,
    /// Bytes of the disk that no new segment may take. What makes room lives on them when the disk is full: the
    /// segment of the next start, checkpoints, packs.
    pub reserve_bytes: u64,
    /// Largest message taken, in bytes; at most `limits::BODY_BYTES_MAX` and what a segment holds.
    pub message_bytes_max: usize,
    /// Eight random bytes for the batches of a log that begins now; a log that is there keeps the key it has.
    /// Makes it impossible to plant something that passes for a batch inside a message.
    pub log_key: u64,
    /// Bytes of log after which the next checkpoint is begun; 0 makes none.
    pub checkpoint_log_bytes: u64,
    /// Bytes that the accounts in use may take in memory before those that nobody has asked for lately are put
    /// to sleep.
    pub index_memory_bytes_max: usize,
    /// A planted bug: sums of checkpoints are not looked at.
    #[cfg(feature = "testing")]
    pub trust_checkpoints: bool,
    /// For how many milliseconds removed messages can be had back.
    pub undelete_ms: u64,
    /// Messages of a large change that are worked on in one step, at least 1; in between others are served.
    pub step_messages: usize,
    /// Where a log begins that is made now, at least: above every position of the logs whose place it takes, so that
    /// no message gets an EMAILID that one of them gave out.
    pub first: Lsn,
    /// How what is removed becomes room on the disk. Needs checkpoints.
    pub compact: compact::Options,
    /// How rot is looked for.
    pub scrub: crate::scrub::Options,
}

impl Options {
    /// The usual sizes.
    pub fn new(shard: ShardId, log_key: u64) -> Options {
        Options {
            shard,
            segment_bytes: limits::SEGMENT_BYTES,
            reserve_bytes: 0,
            message_bytes_max: limits::BODY_BYTES_MAX,
            log_key,
            checkpoint_log_bytes: limits::CHECKPOINT_LOG_BYTES,
            index_memory_bytes_max: limits::INDEX_MEMORY_BYTES_MAX,
            #[cfg(feature = "testing")]
            trust_checkpoints: false,
            undelete_ms: limits::UNDELETE_MS,
            step_messages: limits::APPLY_STEP_MESSAGES,
            first: Lsn(0),
            compact: compact::Options::default(),
            scrub: crate::scrub::Options {
                bytes_per_second: limits::SCRUB_BYTES_PER_SECOND,
                round_ms: limits::SCRUB_ROUND_MS,
            },
        }
    }
}

/// One shard's mail store.
pub struct Store {
    shard: ShardId,
    index: Index,
    planner: Planner,
    writer: Writer,
    keeper: Keeper,
    /// Where the log stands that the index is the state of, when nothing durable is left to be carried out.
    point: Point,
    applying: applying::Applying,
    keeper_io: Option<IoId>,
    compactor: Compactor,
    compactor_io: Option<IoId>,
    scrub: scrub::Scrub,
    index_memory_bytes_max: usize,
    message_bytes_max: usize,
    undelete_ms: u64,
    /// A Reap waits to become durable.
    reaping: bool,
    scratch: Vec<u8>,
    mono_ms: u64,
    batches: u64,
    entries: u64,
    /// A mutation is under way; true outside of one only after a panic has unwound out of it.
    mutating: bool,
    /// Bodies that were queued.
    bodies: u64,
    /// How often what was queued was dropped because the disk was full.
    drops: u32,
    readings: origin::Readings,
    /// Accounts that are about to leave.
    held: BTreeSet<AccountId>,
    unfolder: Cell<Unfolder>,
}

impl Store {
    /// Recovers what is there (or begins anew) and opens a fresh segment. Blocking; for the start only.
    pub fn open(disk: &mut dyn Disk, options: Options, now: Now) -> Result<(Store, RecoveryReport), Error> {
        let segment_bytes = options.segment_bytes.clamp(limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES_MAX);
        let options = Options { segment_bytes: segment_bytes / BLOCK * BLOCK, ..options };
        let (mut index, start, kept, report) = recovery::open(disk, &options, now)?;
        index.step_messages = options.step_messages.max(1);
        let is_whole = report.damage.is_empty() && report.quarantined.is_empty();
        let mut keeper = Keeper::new(start.log, options.checkpoint_log_bytes, kept);
        if !is_whole {
            keeper.stop();
        }
        let pack_bytes_max = options.segment_bytes / 10 * 9;
        let compactor =
            Compactor::new(start.log, options.compact, pack_bytes_max, start.highest_pack, is_whole);
        let log = start.log;
        let point = Point { tail: start.tail, witness: Witness::NONE, time_ms: start.time_ms };
        let writer = Writer::new(start);
        let store = Store {
            applying: applying::Applying::new(writer.durable()),
            shard: options.shard,
            planner: Planner::new(&index),
            index,
            writer,
            keeper,
            point,
            keeper_io: None,
            compactor,
            compactor_io: None,
            scrub: scrub::Scrub::new(log, options.scrub),
            index_memory_bytes_max: options.index_memory_bytes_max,
            message_bytes_max: options.message_bytes_max.min(limits::BODY_BYTES_MAX),
            undelete_ms: options.undelete_ms,
            reaping: false,
            scratch: Vec::new(),
            mono_ms: now.mono_ms,
            batches: 0,
            entries: 0,
            mutating: false,
            bodies: 0,
            drops: 0,
            readings: origin::Readings::default(),
            held: BTreeSet::new(),
            unfolder: Cell::default(),
        };
        Ok((store, report))
    }

    /// Plants a bug, for a test to see that it is found.
    #[cfg(feature = "testing")]
    pub fn plant(&mut self, plant: crate::log::writer::Plant) {
        use crate::log::writer::Plant;
        self.index.plant(plant);
        self.compactor.unlink_early = plant == Plant::UnlinkEarly;
        self.compactor.lose_pack = plant == Plant::LosePack;
        self.writer.plant(plant);
    }

    /// Counts anew what checkpoint files are said to hold (I20); panics when it is something else.
    #[cfg(feature = "testing")]
    pub fn check_images(&self) {
        self.index.check_images();
    }

    /// Octets of the largest message that is taken.
    pub fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// Queues a message body. Nothing shows it until a [`Change::Deliver`] names it. The id is good at once.
    pub fn append_body(&mut self, account: AccountId, body: NewBody, now: Now) -> Result<BodyId, Refused> {
        let octets: usize = body.parts.iter().map(Bytes::len).sum();
        if octets > self.message_bytes_max || body.summary.len() > limits::SUMMARY_BYTES_MAX {
            return Err(Refused::TooLarge);
        }
        self.mutating = true;
        self.clock(now);
        let appended = self.writer.append_body(account, body);
        self.mutating = false;
        self.bodies += 1;
        appended
    }

    /// How many bodies were queued since the start, or refused.
    pub fn bodies_queued(&self) -> u64 {
        self.bodies
    }

    /// Queues a change of `account` (0 for domains and aliases; [`Change::AccountCreate`] ignores it and
    /// gets a new one). Returns its position; [`Progress::applied`] names the same position when it is
    /// durable and visible.
    pub fn append(&mut self, account: AccountId, change: Change, now: Now) -> Result<Lsn, Refused> {
        self.append_by(Origin::NONE, account, change, now)
    }

    /// The same, asked for by a session that the log knows ([`Store::introduce`]).
    pub fn append_by(
        &mut self,
        by: Origin,
        account: AccountId,
        change: Change,
        now: Now,
    ) -> Result<Lsn, Refused> {
        self.write_readings(now);
        self.queue(if self.knows(by) { by.number() } else { 0 }, account, change, now)
    }

    fn queue(&mut self, session: u32, account: AccountId, change: Change, now: Now) -> Result<Lsn, Refused> {
        if !codec::fits(&change) {
            return Err(Refused::TooLarge);
        }
        if self.holds(account, &change) {
            return Err(Refused::Busy);
        }
        self.mutating = true;
        let now = self.clock(now);
        let (account, stamp) = self.planner.stamp(&self.index, account, &change, now);
        let out_of_numbers = stamp.modseq.0 > limits::MODSEQ_MAX && change != Change::AccountDelete;
        self.scratch.clear();
        codec::encode(&change, &stamp, &mut self.scratch);
        let reserved = match out_of_numbers {
            true => Err(Refused::TooLarge),
            false => self.writer.reserve(self.scratch.len(), needs_no_space(&change)),
        };
        let kind = codec::kind(&change);
        let entry = Entry { lsn: reserved.unwrap_or_default(), account, stamp, change };
        match reserved {
            Ok(_) => self.writer.push(kind, session, &self.scratch, entry),
            Err(_) => self.planner.settle(&entry),
        }
        self.mutating = false;
        reserved
    }

    /// Whether no panic has unwound out of the middle of an append. A store that is not whole must not be
    /// used any more: the process ends, and recovery makes a whole one.
    pub fn is_whole(&self) -> bool {
        !self.mutating
    }

    fn clock(&mut self, now: Now) -> Now {
        self.mono_ms = self.mono_ms.max(now.mono_ms);
        self.writer.clock(now)
    }

    /// The next piece of disk work, if there is any. At most one batch is in flight.
    pub fn poll_io(&mut self) -> Option<(IoId, IoRequest)> {
        if self.applying.is_behind() {
            return self.pause();
        }
        if let Some(request) = self.writer.poll() {
            return Some(request);
        }
        let upkeep = self.keeper.is_busy() || self.compactor.is_busy() || self.scrub.is_busy();
        if self.writer.has_failed() || upkeep {
            return None;
        }
        self.mutating = true;
        let request = self.keeper.poll(&mut self.index);
        self.mutating = false;
        if let Some(request) = request {
            let id = self.writer.next_io();
            self.keeper_io = Some(id);
            return Some((id, request));
        }
        let Some(request) = self.compactor.poll(self.keeper.covered(), self.mono_ms) else {
            return self.poll_scrub();
        };
        let id = self.writer.next_io();
        self.compactor_io = Some(id);
        Some((id, request))
    }

    /// Tells how a piece of disk work ended.
    pub fn complete(&mut self, id: IoId, result: IoResult) -> Progress {
        if self.keeper_io == Some(id) {
            return self.complete_upkeep(result);
        }
        if self.compactor_io == Some(id) {
            return self.complete_compaction(result);
        }
        if self.scrub.is_io(id) {
            return self.complete_scrub(result);
        }
        if let Some(progress) = self.complete_pause(id) {
            return progress;
        }
        let completed = self.writer.complete(id, result, self.mono_ms);
        let mut progress = Progress { durable: self.durable(), ..Progress::default() };
        match completed {
            Completed::Step => {}
            Completed::Committed(batch) => self.commit(batch, &mut progress),
            Completed::Dropped(batches) => {
                self.drops = self.drops.wrapping_add(1);
                for batch in batches {
                    self.discard(batch, &mut progress);
                }
            }
            Completed::Fatal(error) => progress.fatal = Some(error),
        }
        progress
    }

    fn discard(&mut self, batch: Batch, progress: &mut Progress) {
        for item in batch.items {
            if let Item::Entry(entry) = item {
                self.planner.settle(&entry);
                self.report(entry, Outcome::Refused(Refusal::DiskFull), progress);
            }
        }
    }

    /// Whether nothing is queued or in flight.
    pub fn is_quiet(&self) -> bool {
        // A read of scrub's keeps nobody from leaving.
        let upkeep_is_busy = self.keeper.is_busy() || self.compactor.is_busy() || self.scrub.is_mending();
        self.writer.is_quiet() && !self.is_behind() && !upkeep_is_busy
    }

    /// Everything below is durable and visible.
    pub fn durable(&self) -> Lsn {
        self.applying.visible()
    }

    /// The account of a normalised address.
    pub fn account_by_address(&self, address: &str) -> Option<AccountId> {
        self.index.account_by_address(address)
    }

    /// Whether this address has an account that is not served because its records are damaged. To others
    /// this is a temporary failure, never an unknown user.
    pub fn is_quarantined(&self, address: &str) -> bool {
        self.index.is_quarantined(address)
    }

    /// An account; none when deleted or quarantined.
    pub fn account(&self, account: AccountId) -> Option<AccountRef<'_>> {
        self.index.account(account)
    }

    /// All accounts whose address is greater than `after`, in order of address.
    pub fn accounts_after<'a>(&'a self, after: &str) -> Box<dyn Iterator<Item = AccountRef<'a>> + 'a> {
        Box::new(self.index.accounts_after(after))
    }

    /// The accounts of this shard that have a mailbox whose access control list names this identifier, whatever
    /// rights it gives (rfc4314#2). Costs what the answer costs.
    pub fn accounts_sharing_with(&self, identifier: &str) -> Box<dyn Iterator<Item = AccountId> + '_> {
        Box::new(self.index.accounts_sharing_with(identifier))
    }

    /// A mailbox.
    pub fn mailbox(&self, account: AccountId, mailbox: MailboxId) -> Option<MailboxRef<'_>> {
        self.index.mailbox(account, mailbox)
    }

    /// Targets of an alias of this shard's slots.
    pub fn alias(&self, address: &str) -> Option<&[String]> {
        self.index.alias(address)
    }

    /// Aliases in order of address, after `after`.
    pub fn aliases_after<'a>(
        &'a self,
        after: &str,
    ) -> Box<dyn Iterator<Item = (&'a str, &'a [String])> + 'a> {
        Box::new(self.index.aliases_after(after))
    }

    /// Domains in order (shard 0 only has them).
    pub fn domains(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.index.domains())
    }

    /// Where a message's bytes are, by what [`crate::index::Message::key`] tells; none when they are known not to be
    /// what was written. Of old mail it looks at a page of a pack's table: who must not wait for the disk has what
    /// [`Store::seek`] names brought in before.
    pub fn body(&self, key: BodyKey) -> Option<BodyRef> {
        self.place(key).filter(|body| !self.index.is_distrusted(key.id) && self.is_readable(body))
    }

    /// The same, whether they are what was written or not: for who counts and does not look.
    pub fn place(&self, key: BodyKey) -> Option<BodyRef> {
        let places = self.writer.places();
        let is_known = places.page_of(key).is_none_or(|page| self.is_there(&page));
        if is_known { places.find(key) } else { None }
    }

    /// A body that is durable and that a change may name for the first time: within
    /// `limits::FRESH_SPAN_BYTES` of log.
    pub fn fresh_body(&self, body: BodyId) -> Option<BodyKey> {
        self.index.fresh_body(body)
    }

    /// Expunges of a mailbox at or below this mod-sequence cannot be told one by one: history was cut.
    pub fn history_floor(&self, account: AccountId, mailbox: MailboxId) -> ModSeq {
        self.mailbox(account, mailbox).map_or(ModSeq(0), |mailbox| mailbox.expunged_floor())
    }

    /// Segment files and their bytes, ascending.
    pub fn segments(&self) -> Vec<(SegmentId, u64)> {
        self.writer.files().iter().map(|(segment, file)| (*segment, file.size)).collect()
    }

    /// Entries that wait to become durable, or to be seen, oldest first (for the simulation's oracle).
    pub fn pending(&self) -> Box<dyn Iterator<Item = &Entry> + '_> {
        let queued = self.writer.pending().filter_map(|item| match item {
            Item::Entry(entry) => Some(entry),
            Item::Body(..) => None,
        });
        Box::new(self.applying.entries().chain(queued))
    }

    /// Whether changes are durable that are still being carried out, a step at each [`IoRequest::Pause`].
    pub fn is_behind(&self) -> bool {
        self.applying.is_behind()
    }

    /// Up to where the newest checkpoint holds the log's state; 0 if there is none.
    pub fn checkpointed(&self) -> Lsn {
        self.keeper.position()
    }

    /// No start will replay what lies below: it is in the newest checkpoint and in the one before.
    pub fn covered(&self) -> Lsn {
        self.keeper.covered()
    }

    /// Which shard this is.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// A fingerprint of an account, the same on whatever shard it lies; what was removed is not in it. None: it is not
    /// served.
    pub fn fingerprint(&self, account: AccountId) -> Option<u64> {
        self.index.fingerprint(account)
    }

    /// A fingerprint of everything visible, the same for the same state, however it came about.
    pub fn digest(&self) -> u64 {
        self.index.digest()
    }
}
