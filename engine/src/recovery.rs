//! From files to a store.
//!
//! *Owns*: replay, quarantine, the fresh segment that a start begins with. *Promises*: everything
//! acknowledged is there or told as damage; the same files give the same index. README §4 has the proof by
//! cases.
//! *Assumes*: one process has the folder. *Never*: writes into a file that an earlier process made.
//!
//! ```text
//!  list ─► scan + apply ─► remove what is stale, sync and trim the last segment ─► make Fresh ─► rename
//!   └─ replay_read_only ─┘                                      remove the last if it is empty ◄┘
//! ```

mod fresh;
mod packs;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use crate::arrival::Arrival;
use crate::change::{Change, Entry, Outcome, Refusal};
use crate::checkpoint::Point;
use crate::checkpoint::keeper::Kept;
use crate::checkpoint::load::{self, Looked};
use crate::codec;
use crate::error::Error;
use crate::ids::{AccountId, BodyId, BodyKey, Lsn, Now, SegmentId, ShardId};
use crate::index::apply::{apply, apply_body, fits, hold_fresh, quarantine, retire_ids};
use crate::index::{AccountRef, Index};
use crate::io::{Disk, FileId, IoError};
use crate::limits::{ACCOUNT_IDS_SKIPPED, DAMAGES_TOLD_MAX, SUMMARY_BYTES_MAX};
use crate::log::BLOCK;
use crate::log::batch::LogIdentity;
use crate::log::build::body_key;
use crate::log::chain::Chain;
use crate::log::padded;
use crate::log::places::Places;
use crate::log::record::{self, KIND_BODY, KIND_WITNESS};
use crate::log::scan::{self, BatchInfo, Damage, End, Loss, RecordInfo, SegmentInfo, Visitor};
use crate::log::writer::Start;
use crate::octets::Octets;
use crate::press::{Unfolder, piece};
use crate::store::{BodyRef, Options, RecoveryReport};
use packs::place;

/// The state that the files hold, without a store around it: for tools and for `verify`.
pub struct Replayed {
    /// The index.
    pub index: Index,
    /// What was found.
    pub report: RecoveryReport,
    places: Places,
    unfolder: Cell<Unfolder>,
}

impl Replayed {
    /// Octets that are kept compressed, out of their pack. None: they are kept as they are sent, or they are not what
    /// was written.
    pub fn unfold(&self, octets: Octets) -> Option<Bytes> {
        let pack = self.places.pack_with(octets)?;
        let mut unfolder = self.unfolder.take();
        let found = piece::octets(pack, &mut unfolder, octets);
        self.unfolder.set(unfolder);
        found
    }

    /// Its accounts that are served, in order of address, after `after`.
    pub fn accounts_after<'a>(&'a self, after: &str) -> impl Iterator<Item = AccountRef<'a>> + use<'a> {
        self.index.accounts_after(after)
    }

    /// An account.
    pub fn account(&self, account: AccountId) -> Option<AccountRef<'_>> {
        self.index.account(account)
    }

    /// The account of a normalised address.
    pub fn account_by_address(&self, address: &str) -> Option<AccountId> {
        self.index.account_by_address(address)
    }

    /// Where a message's bytes are.
    pub fn body(&self, key: BodyKey) -> Option<BodyRef> {
        self.places.find(key)
    }

    /// The time of the last change.
    pub fn last_time_ms(&self) -> u64 {
        self.index.last_time_ms()
    }

    /// A fingerprint of the state.
    pub fn digest(&self) -> u64 {
        self.index.digest()
    }
}

/// Replays the log and writes nothing, so that a running server's folder may be read. `until` leaves out
/// what lies at or above it; `shard` refuses another shard's log.
pub fn replay_read_only(
    disk: &mut dyn Disk,
    shard: Option<ShardId>,
    until: Option<Lsn>,
) -> Result<Replayed, Error> {
    let chain = Chain::read(disk, shard)?;
    if !chain.missing.is_empty() {
        // Its beginning is compacted away.
        return recover(disk, chain, shard, until);
    }
    let from = From::beginning(shard.unwrap_or_default());
    replay(disk, chain, from, until).map(|(replayed, _)| replayed)
}

/// Reads the newest checkpoint and replays the log behind it, and writes nothing. `until` leaves out what lies at or
/// above it, later checkpoints included.
pub fn recover_read_only(
    disk: &mut dyn Disk,
    shard: Option<ShardId>,
    until: Option<Lsn>,
) -> Result<Replayed, Error> {
    let chain = Chain::read(disk, shard)?;
    recover(disk, chain, shard, until)
}

fn recover(
    disk: &mut dyn Disk,
    chain: Chain,
    shard: Option<ShardId>,
    until: Option<Lsn>,
) -> Result<Replayed, Error> {
    let shard = shard.or(chain.log.map(|log| log.shard)).unwrap_or_default();
    let search = load::Search { shard, below: u32::MAX, until: until.unwrap_or(Lsn(u64::MAX)), trust: false };
    let looked = load::newest(disk, &chain, &search)?;
    let (from, _) = From::checkpoint(shard, looked);
    replay(disk, chain, from, until).map(|(replayed, _)| replayed)
}

/// A checkpoint file, for tools.
#[derive(Clone, Debug)]
pub struct CheckpointInfo {
    /// Its number.
    pub file: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// What its end says; none when it does not verify.
    pub end: Option<CheckpointEnd>,
}

/// What the end of a checkpoint file says.
#[derive(Clone, Debug)]
pub struct CheckpointEnd {
    /// Up to where it holds the log's state.
    pub position: Lsn,
    /// Bytes of the records and rows in it.
    pub held_bytes: u64,
    /// The older files that belong to it, and how many bytes of each it needs.
    pub older: Vec<(u32, u64)>,
}

/// The checkpoint files, ascending.
pub fn checkpoints(disk: &mut dyn Disk) -> Result<Vec<CheckpointInfo>, Error> {
    let mut found = Vec::new();
    for (file, bytes) in load::files(disk)? {
        let footer = load::footer(disk, file, bytes, false)?.map(|(footer, _)| footer);
        let end = footer.map(|footer| CheckpointEnd {
            position: footer.point.tail.end,
            held_bytes: footer.bytes,
            older: footer.older.iter().map(|older| (older.file, older.live)).collect(),
        });
        found.push(CheckpointInfo { file, bytes, end });
    }
    Ok(found)
}

/// Where a replay begins.
struct From {
    index: Index,
    point: Option<Point>,
    report: RecoveryReport,
}

impl From {
    fn beginning(shard: ShardId) -> From {
        From { index: Index::new(shard), point: None, report: RecoveryReport::default() }
    }

    /// At the newest checkpoint that was found, or at the beginning.
    fn checkpoint(shard: ShardId, looked: Looked) -> (From, Kept) {
        let Looked { found, files, refused } = looked;
        let highest = files.keys().last().copied().unwrap_or(0);
        let mut from = From::beginning(shard);
        from.report.refused_checkpoints = refused;
        let mut kept = Kept { highest, ..Kept::default() };
        if let Some(found) = found {
            from.report.checkpoint = Some(u64::from(found.file));
            from.report.checkpoint_bytes = found.bytes;
            from.report.repaired = found.repaired;
            kept = Kept {
                file: found.file,
                position: found.point.tail.end,
                files: found.files,
                before: found.before,
                files_before: found.files_before,
                highest,
            };
            (from.index, from.point) = (found.index, Some(found.point));
        }
        (from, kept)
    }
}

fn replay(
    disk: &mut dyn Disk,
    chain: Chain,
    from: From,
    until: Option<Lsn>,
) -> Result<(Replayed, End), Error> {
    let first = from.point.as_ref().map_or(SegmentId(0), |point| point.tail.segment);
    if let Some(&segment) = chain.missing.iter().find(|segment| **segment >= first) {
        return Err(gone(segment, &from.report.refused_checkpoints));
    }
    let mut replay = Replay {
        index: from.index,
        report: from.report,
        until: until.unwrap_or(Lsn(u64::MAX)),
        segment: SegmentId(0),
        holes: Holes::from(from.point.as_ref()),
        retired: 0,
        lost_any: false,
        wronged: BTreeSet::new(),
        rowless: Vec::new(),
    };
    let end = scan::scan_from(disk, chain, from.point, &mut replay)?;
    // Of one that was deleted since, nothing is missed but the room that its messages take.
    for (account, segment, offset) in std::mem::take(&mut replay.rowless) {
        if replay.index.is_out_of_service(account) {
            replay.segment = segment;
            replay.tell(offset, format!("rows of account {account} in a checkpoint are damaged"));
            replay.distrust(account);
        }
    }
    let Replay { mut index, mut report, retired, lost_any, .. } = replay;
    // Only now: what follows a loss in the log may have used ids that the loss names.
    let skipped = if lost_any { index.next_account() + ACCOUNT_IDS_SKIPPED } else { retired };
    retire_ids(&mut index, skipped);
    report.batches = end.batches;
    report.bytes = end.bytes;
    report.torn_bytes = end.torn_bytes;
    report.next = end.tail.end;
    report.quarantined.retain(|account| index.account(*account).is_none());
    report.quarantined.sort_unstable();
    report.quarantined.dedup();
    let past = until.is_some_and(|until| until < end.tail.end);
    let places = place(disk, &end, &index, past, &mut report)?;
    Ok((Replayed { index, report, places, unfolder: Cell::default() }, end))
}

fn gone(segment: SegmentId, refused: &[String]) -> Error {
    let what = match refused {
        [] => "the file is missing; put it back".to_owned(),
        refused => {
            format!("the file is missing, or compacted and no checkpoint can be read: {}", refused.join("; "))
        }
    };
    Error::Corrupt { segment, offset: 0, what }
}

struct Replay {
    index: Index,
    report: RecoveryReport,
    until: Lsn,
    segment: SegmentId,
    holes: Holes,
    /// Account ids up to this one are not given out again.
    retired: u64,
    /// Whether something is lost that may have been anybody's.
    lost_any: bool,
    /// Accounts of which something is lost.
    wronged: BTreeSet<AccountId>,
    /// Accounts of which rows in a checkpoint cannot be read, and which record went on from them.
    rowless: Vec<(AccountId, SegmentId, u64)>,
}

/// Positions that something durable is lost from: a body that is missing was there once only if it was there.
struct Holes {
    ranges: Vec<Range<u64>>,
    /// Number and end of the batch before.
    last: (u64, u64),
    batch: Option<BatchInfo>,
}

impl Holes {
    /// Before the first batch there is a header, and no record.
    fn from(point: Option<&Point>) -> Holes {
        let last = point.map_or((0, BLOCK), |point| (point.tail.sequence, point.tail.end.0));
        Holes { ranges: Vec::new(), last, batch: None }
    }

    /// The next batch that can be read. If it does not follow the one before, there is a hole between them.
    fn batch(&mut self, next: &BatchInfo) {
        let (sequence, end) = self.last;
        if next.meta.sequence != sequence + 1 {
            self.ranges.push(end..next.meta.lsn.0);
        }
        self.last = (next.meta.sequence, padded(next.meta.lsn.0 + next.meta.bytes()));
        self.batch = Some(*next);
    }

    /// A record of the batch is lost, whose payload begins here.
    fn record(&mut self, payload_offset: u64) {
        if let Some(batch) = &self.batch {
            let start = batch.meta.lsn.0 + (payload_offset - batch.offset);
            self.ranges.push(start - record::HEAD_BYTES as u64..start);
        }
    }

    fn contain(&self, body: BodyId) -> bool {
        self.ranges.iter().any(|range| range.contains(&body.0))
    }
}

impl Replay {
    fn distrust(&mut self, account: AccountId) {
        self.wronged.insert(account);
        self.put_aside(account);
    }

    fn put_aside(&mut self, account: AccountId) {
        // What it goes on to show is not known, and may be named by others.
        hold_fresh(&mut self.index);
        // Domains and aliases are nobody's account: their loss is told, the rest of them goes on. An account
        // that is not there may have been created by what is lost, so its id is not for a new one.
        if self.index.has_account(account) {
            quarantine(&mut self.index, account);
        } else {
            self.retired = self.retired.max(account.counter());
        }
        if account != AccountId(0) {
            self.report.quarantined.push(account);
        }
    }

    /// Whether something of an account may be lost, also of one that is deleted.
    fn is_wronged(&self, account: AccountId) -> bool {
        self.lost_any || self.wronged.contains(&account)
    }

    fn distrust_missing(&mut self, account: AccountId) {
        if self.index.account(account).is_none() {
            self.put_aside(account);
        }
    }

    /// Behind damage: whether what came of a change can be what came of it when it was lived.
    fn judge(&mut self, entry: &Entry, outcome: Outcome, offset: u64) {
        let account = entry.account;
        match outcome {
            // It was there when this was lived: it went with a damaged record.
            Outcome::Refused(Refusal::NoBody)
                if entry.change.bodies().any(|body| self.holes.contain(body)) =>
            {
                self.tell(offset, format!("a message of account {account} has lost its body"));
                self.distrust(account);
            }
            // Dropped before, or never begun: nothing is left of it, here as there.
            Outcome::Refused(Refusal::NoAccount)
                if entry.change == Change::Arrive(Arrival::Dropped) && !self.index.has_account(account) => {}
            // It was on its way when this was lived: it has arrived only because what kept it out is lost.
            Outcome::Refused(Refusal::NoAccount) if entry.change == Change::Arrive(Arrival::Dropped) => {
                self.distrust(account);
            }
            // Its creation may be lost, or the end of the one that had its address.
            Outcome::Refused(Refusal::NoAccount | Refusal::Exists) => self.distrust_missing(account),
            _ => {}
        }
    }

    fn tell(&mut self, offset: u64, what: String) {
        if self.report.damage.len() < DAMAGES_TOLD_MAX {
            self.report.damage.push(Error::Corrupt { segment: self.segment, offset, what });
        } else {
            self.report.damage_untold += 1;
        }
    }
}

impl Visitor for Replay {
    fn segment(&mut self, segment: &SegmentInfo) {
        self.segment = segment.segment;
        self.report.segments += 1;
    }

    fn batch(&mut self, batch: &BatchInfo) {
        self.holes.batch(batch);
    }

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        if record.lsn >= self.until || record.meta.kind == KIND_WITNESS {
            return;
        }
        let account = record.meta.account;
        if record.meta.kind == KIND_BODY {
            if record.meta.summary_len as usize > SUMMARY_BYTES_MAX {
                self.tell(
                    record.payload_offset,
                    format!("a body of account {account} has too long a summary"),
                );
                return self.distrust(account);
            }
            let body = body_key(BodyId(record.lsn.0), record.meta);
            return apply_body(&mut self.index, body, record.segment);
        }
        let Some((change, stamp)) = codec::decode(record.meta.kind, payload) else {
            self.tell(
                record.payload_offset,
                format!("a record of account {account} that nobody understands"),
            );
            return self.distrust(account);
        };
        let entry = Entry { lsn: record.lsn, account, stamp, change };
        let broken = self.index.broken();
        if let Err(broken) = fits(&self.index, &entry) {
            self.tell(
                record.payload_offset,
                format!("a record of account {account} does not follow: {broken}"),
            );
            return self.distrust(account);
        }
        if let Change::Restore { of, .. } = entry.change
            // A Reap is nobody's: when one is lost, there is more to be had back than there was.
            && (of != account && self.is_wronged(of) || self.is_wronged(AccountId(0)))
        {
            self.tell(
                record.payload_offset,
                format!("what account {account} got back of account {of} may be more or less than it was"),
            );
            return self.distrust(account);
        }
        if entry.change.bodies_moved().any(|body| self.holes.contain(body)) {
            // Nobody shows what is not there, however long ago it was.
            self.tell(record.payload_offset, format!("a message of account {account} has lost its body"));
            return self.distrust(account);
        }
        self.report.entries += 1;
        let outcome = apply(&mut self.index, &entry);
        if self.index.broken() > broken {
            // Rows that it goes on from cannot be read.
            hold_fresh(&mut self.index);
            self.wronged.insert(account);
            self.rowless.push((account, self.segment, record.payload_offset));
        }
        if !self.report.damage.is_empty() {
            self.judge(&entry, outcome, record.payload_offset);
        }
    }

    fn damage(&mut self, damage: &Damage) {
        let loss = match &damage.loss {
            Loss::Nothing => "nothing is lost".to_owned(),
            Loss::Record(account) => format!("a record of account {account} is lost"),
            Loss::Batches { count, accounts: Some(accounts) } => {
                format!("{count} batch is lost, of {} accounts", accounts.len())
            }
            Loss::Batches { count, accounts: None } => format!("{count} batches are lost, of any account"),
        };
        self.segment = damage.segment;
        self.tell(damage.offset, format!("{} ({} bytes); {loss}", damage.what, damage.len));
        match &damage.loss {
            Loss::Nothing => {}
            Loss::Record(account) => {
                self.holes.record(damage.offset);
                self.distrust(*account);
            }
            Loss::Batches { accounts: Some(accounts), .. } => {
                accounts.iter().for_each(|account| self.distrust(*account));
            }
            Loss::Batches { accounts: None, .. } => {
                self.lost_any = true;
                hold_fresh(&mut self.index);
                let all: Vec<AccountId> = self.index.account_ids().collect();
                all.into_iter().for_each(|account| self.distrust(account));
            }
        }
    }
}

/// Recovers and opens a fresh segment.
pub(crate) fn open(
    disk: &mut dyn Disk,
    options: &Options,
    now: Now,
) -> Result<(Index, Start, Kept, RecoveryReport), Error> {
    let chain = Chain::read(disk, Some(options.shard))?;
    #[cfg(feature = "testing")]
    let trust = options.trust_checkpoints;
    #[cfg(not(feature = "testing"))]
    let trust = false;
    let mut search = load::Search { shard: options.shard, below: u32::MAX, until: Lsn(u64::MAX), trust };
    let mut refused = Vec::new();
    // Whether no older checkpoint stands in for rows that cannot be read, and neither does the log.
    let mut settles = false;
    let (mut recovered, kept, superfluous, end) = loop {
        let mut looked = load::newest(disk, &chain, &search)?;
        looked.refused.retain(|why| !refused.contains(why));
        looked.refused.splice(0..0, refused);
        let superfluous = superfluous(&looked);
        refused = looked.refused.clone();
        let (mut from, kept) = From::checkpoint(options.shard, looked);
        if options.checkpoint_log_bytes > 0 {
            from.index.track_changes();
        }
        let (recovered, end) = match replay(disk, chain.clone(), from, None) {
            Err(Error::Corrupt { .. }) if search.below < u32::MAX && !settles => {
                (settles, search.below) = (true, u32::MAX);
                continue;
            }
            replayed => replayed?,
        };
        if recovered.index.broken() == 0 || settles {
            break (recovered, kept, superfluous, end);
        }
        // Rows that the log goes on from cannot be read: an older checkpoint has to do, or the log alone.
        refused.push(format!("{}: rows in it are damaged", FileId::Checkpoint(u64::from(kept.file)).name()));
        search.below = kept.file;
    };
    if !recovered.report.damage.is_empty() || !recovered.report.quarantined.is_empty() {
        recovered.index.stop_tracking();
    }
    let Replayed { index, mut report, places, .. } = recovered;
    fresh::make_room(disk, &end)?;
    for file in superfluous {
        fresh::remove(disk, FileId::Checkpoint(u64::from(file)))?;
    }
    let log = end.chain.log.unwrap_or(LogIdentity { shard: options.shard, log_key: options.log_key });
    let mut start = fresh::begin_segment(disk, options, log, &end, places, now)?;
    fresh::tidy(disk, &end, &mut start)?;
    report.next = start.tail.end;
    Ok((index, start, kept, report))
}

/// Checkpoint files that neither the newest checkpoint nor the one before needs. Where one was refused, all stay:
/// somebody may put its bytes right.
fn superfluous(looked: &Looked) -> Vec<u32> {
    let Some(found) = looked.found.as_ref().filter(|_| looked.refused.is_empty()) else { return Vec::new() };
    let needed = |file: &u32| found.files.contains(file) || found.files_before.contains(file);
    looked.files.keys().copied().filter(|file| !needed(file)).collect()
}

fn io(doing: &str, error: IoError) -> Error {
    Error::Io { doing: doing.to_owned(), error }
}
