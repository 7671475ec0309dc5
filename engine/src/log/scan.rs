//! Reading a log back, tolerantly, and telling a torn tail from damage.
//!
//! *Owns*: the rule of recovery (README §4): which batches count, where the log ends, what had been durable.
//! *Promises*: writes nothing; tells each record and each damage once, in order of the log; panics on no
//! input; takes nothing for damage because somebody writes the log meanwhile.
//! *Assumes*: nothing of the bytes. *Never*: knows what a change means.

use super::batch::{self, BatchMeta, LogIdentity, Slot};
use super::build::Witness;
pub use super::chain::SegmentInfo;
use super::chain::{Chain, Reader};
use super::record::{self, FLAG_ANY_ACCOUNT, KIND_WITNESS, RecordMeta};
use super::segment::LogPoint;
use super::{BLOCK, padded};
use crate::checkpoint::Point;
use crate::error::Error;
use crate::ids::{AccountId, Lsn, SegmentId, ShardId};
use crate::io::Disk;

/// A batch that counts.
#[derive(Clone, Copy, Debug)]
pub struct BatchInfo {
    /// What its header says.
    pub meta: BatchMeta,
    /// Where in its segment it begins.
    pub offset: u64,
}

/// A record that counts.
#[derive(Clone, Copy, Debug)]
pub struct RecordInfo {
    /// In which segment.
    pub segment: SegmentId,
    /// Where in it its payload begins.
    pub payload_offset: u64,
    /// Its position.
    pub lsn: Lsn,
    /// What its header says.
    pub meta: RecordMeta,
}

/// What damage cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing that is not known from elsewhere.
    Nothing,
    /// One record of this account.
    Record(AccountId),
    /// Batches of this number; the accounts they concerned if the batch behind them tells.
    Batches {
        /// How many.
        count: u64,
        /// Whose; none when it may be anybody.
        accounts: Option<Vec<AccountId>>,
    },
}

/// Bytes that had been durable and are not what was written.
#[derive(Clone, Debug)]
pub struct Damage {
    /// In which segment.
    pub segment: SegmentId,
    /// From which byte.
    pub offset: u64,
    /// How many bytes at most.
    pub len: u64,
    /// What is wrong.
    pub what: &'static str,
    /// What it cost.
    pub loss: Loss,
}

/// Is told what a scan finds.
pub trait Visitor {
    /// A segment begins.
    fn segment(&mut self, segment: &SegmentInfo);
    /// A batch begins.
    fn batch(&mut self, batch: &BatchInfo);
    /// A record of it, witnesses included.
    fn record(&mut self, record: &RecordInfo, payload: &[u8]);
    /// Something durable is damaged.
    fn damage(&mut self, damage: &Damage);
}

/// The part of a segment that holds log.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// Which segment.
    pub segment: SegmentId,
    /// Position of its byte 0.
    pub base: Lsn,
    /// Where its last batch ends.
    pub end: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Where and how a log ends.
#[derive(Clone, Debug)]
pub struct End {
    /// Which files there are.
    pub chain: Chain,
    /// Where the log ends; a new segment links to this.
    pub tail: LogPoint,
    /// The accounts of the last batch; `None` means any.
    pub tail_accounts: Option<Vec<AccountId>>,
    /// The last segment, if it holds nothing but empty batches. `tail` is then before it, and it may go.
    pub empty_last: Option<SegmentId>,
    /// The segments that hold the log.
    pub filled: Vec<Filled>,
    /// No position at or above this was ever durable.
    pub high: Lsn,
    /// Latest time in a batch's header.
    pub time_ms: u64,
    /// Batches that count.
    pub batches: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes behind the end that were written and nobody was told of.
    pub torn_bytes: u64,
}

/// Reads the log from its first record to its end. With `shard`, refuses another shard's log.
pub fn scan(disk: &mut dyn Disk, shard: Option<ShardId>, visitor: &mut dyn Visitor) -> Result<End, Error> {
    let chain = Chain::read(disk, shard)?;
    scan_from(disk, chain, None, visitor)
}

/// Reads the log from a point between two batches, which lies in a segment of the chain; from its first record
/// if there is none.
pub(crate) fn scan_from(
    disk: &mut dyn Disk,
    chain: Chain,
    from: Option<Point>,
    visitor: &mut dyn Visitor,
) -> Result<End, Error> {
    let mut scan = Scan {
        visitor,
        log: chain.log,
        state: State::default(),
        entry: State::default(),
        content: false,
        lost: None,
        filled: Vec::new(),
        time_ms: 0,
        batches: 0,
        bytes: 0,
        torn_bytes: 0,
    };
    let first = from.as_ref().map_or(SegmentId(0), |point| point.tail.segment);
    let mut from = from;
    for (at, info) in chain.segments.iter().enumerate() {
        let next = chain.segments.get(at + 1);
        match info.segment < first {
            true => scan.pass_over(disk, info, next)?,
            false => scan.segment(disk, info, next, from.take())?,
        }
    }
    scan.settle_loss(None);
    let empty_last = chain.segments.last().filter(|_| !scan.content).map(|info| info.segment);
    let state = if empty_last.is_some() { scan.entry } else { scan.state };
    let high = scan.filled.iter().map(|part| part.base.0 + part.bytes.max(part.end)).max().unwrap_or(0);
    let tail_accounts = match state.witness {
        Witness::Accounts(accounts) => Some(accounts),
        Witness::Any => None,
    };
    Ok(End {
        tail: state.tail,
        tail_accounts,
        empty_last,
        filled: scan.filled,
        high: Lsn(high.max(state.tail.end.0)),
        time_ms: scan.time_ms,
        batches: scan.batches,
        bytes: scan.bytes,
        torn_bytes: scan.torn_bytes,
        chain,
    })
}

/// Between two batches.
#[derive(Clone)]
struct State {
    tail: LogPoint,
    witness: Witness,
}

impl Default for State {
    fn default() -> State {
        State { tail: LogPoint::default(), witness: Witness::NONE }
    }
}

struct Scan<'v> {
    visitor: &'v mut dyn Visitor,
    log: Option<LogIdentity>,
    state: State,
    /// As it was before the current segment.
    entry: State,
    /// Whether the current segment holds anything but empty batches.
    content: bool,
    /// Lost batches whose accounts the next batch may name.
    lost: Option<Damage>,
    filled: Vec<Filled>,
    time_ms: u64,
    batches: u64,
    bytes: u64,
    torn_bytes: u64,
}

/// The segment under the scan.
struct Frame<'d> {
    reader: Reader<'d>,
    segment: SegmentId,
    base: Lsn,
    /// Where it ends at the latest.
    limit: u64,
    /// Where the log had come to before it.
    reached: Lsn,
    /// Number of its last batch, where a later segment tells.
    last: u64,
    /// Whether a later segment proves that everything up to `limit` and `last` had been durable.
    sealed: bool,
}

impl Frame<'_> {
    /// The records of the batch at `at`.
    fn slots(&mut self, at: u64, meta: &BatchMeta) -> Result<Option<Vec<Slot>>, Error> {
        let payload = self.reader.at(at + batch::HEAD_BYTES as u64, u64::from(meta.len))?;
        Ok(payload.and_then(|payload| batch::open(meta, payload)))
    }

    /// A batch's header at `offset` that can follow `tail`, and its checksum.
    fn accept(
        &self,
        log: Option<LogIdentity>,
        tail: LogPoint,
    ) -> impl Fn(&[u8], u64) -> Option<(BatchMeta, u32)> + use<> {
        let (segment, base, limit) = (self.segment, self.base, self.limit);
        let (reached, last) = (self.reached, self.last);
        move |bytes, offset| {
            let (meta, _, crc) = BatchMeta::decode(bytes, log)?;
            let next = meta.sequence == tail.sequence + 1;
            let here = meta.segment == segment && meta.lsn.0 == base.0 + offset && meta.lsn >= reached;
            let follows = meta.sequence > tail.sequence && (!next || meta.prev_crc == tail.crc);
            (here && follows && meta.sequence <= last && offset + meta.bytes() <= limit)
                .then_some((meta, crc))
        }
    }
}

impl Scan<'_> {
    fn segment(
        &mut self,
        disk: &mut dyn Disk,
        info: &SegmentInfo,
        next: Option<&SegmentInfo>,
        from: Option<Point>,
    ) -> Result<(), Error> {
        self.visitor.segment(info);
        self.content = false;
        if let Some(meta) = info.meta {
            self.state.tail = meta.prev;
        }
        let begin = from.as_ref().map(|point| point.tail.end);
        if let Some(Point { tail, witness, time_ms }) = from {
            // What lies before is not looked at, so it may be anything.
            self.content = true;
            self.time_ms = time_ms;
            self.state = State { tail, witness };
        }
        self.entry = self.state.clone();
        // Behind a gap nobody tells where this one ends.
        let follows = next.and_then(|next| next.meta).map(|meta| meta.prev);
        let before_gap = follows.is_some_and(|prev| prev.segment != info.segment);
        let successor = follows.filter(|_| !before_gap);
        let mut reader = Reader::new(disk, info);
        if info.rotten && begin.is_none() {
            self.rotten_header(info.segment);
        }
        let base = match info.meta {
            Some(meta) => Some(meta.base),
            None => self.find_base(&mut reader, info)?,
        };
        let mut unread = 0;
        if let Some(base) = base {
            let end = successor.map(|point| point.end.0.saturating_sub(base.0));
            let limit = end.unwrap_or(info.bytes).min(info.bytes);
            let last = successor.map_or(u64::MAX, |point| point.sequence);
            // Before a gap, what the next one was told with may be gone: a tail that was cut off and came back.
            let sealed = next.is_some() && (successor.is_some() || !before_gap);
            let reached = Lsn(self.filled.last().map_or(0, |part| part.base.0 + part.end));
            let segment = info.segment;
            let mut frame = Frame { reader, segment, base, limit, reached, last, sealed };
            let begin = begin.map_or(BLOCK, |begin| begin.0.saturating_sub(base.0).max(BLOCK));
            let read_to = self.batches(&mut frame, begin)?;
            unread = read_to;
            // What a later segment vouches for stays, readable or not.
            let end = if sealed { limit } else { read_to };
            self.filled.push(Filled { segment: info.segment, base, end, bytes: info.bytes });
        }
        let tail = self.state.tail;
        if let Some(point) =
            successor.filter(|point| (point.sequence, point.crc) != (tail.sequence, tail.crc))
        {
            let count = point.sequence.saturating_sub(tail.sequence);
            let len = info.bytes.saturating_sub(unread);
            self.lose(info.segment, unread, len, "batches before the end are gone", count);
            self.state = State { tail: point, witness: Witness::Any };
        }
        Ok(())
    }

    /// A segment that is not read: only where it lies is of interest.
    fn pass_over(
        &mut self,
        disk: &mut dyn Disk,
        info: &SegmentInfo,
        next: Option<&SegmentInfo>,
    ) -> Result<(), Error> {
        let base = match info.meta {
            Some(meta) => Some(meta.base),
            None => self.find_base(&mut Reader::new(disk, info), info)?,
        };
        if let (Some(base), Some(next)) = (base, next.and_then(|next| next.meta)) {
            let end = next.prev.end.0.saturating_sub(base.0).min(info.bytes);
            self.filled.push(Filled { segment: info.segment, base, end, bytes: info.bytes });
        }
        Ok(())
    }

    fn rotten_header(&mut self, segment: SegmentId) {
        self.content = true;
        let what = "the header is unreadable";
        self.visitor.damage(&Damage { segment, offset: 0, len: BLOCK, what, loss: Loss::Nothing });
    }

    /// The base of a segment whose header and first batch are gone, by its other batches.
    fn find_base(&mut self, reader: &mut Reader<'_>, info: &SegmentInfo) -> Result<Option<Lsn>, Error> {
        let log = self.log;
        let found = reader.find_batch(BLOCK, info.bytes, |bytes, offset| {
            let (meta, ..) = BatchMeta::decode(bytes, log)?;
            (meta.segment == info.segment && meta.lsn.0 >= offset).then(|| Lsn(meta.lsn.0 - offset))
        })?;
        Ok(found.batch.map(|(_, base)| base))
    }

    /// Walks the batches of a segment; returns where the last one ends.
    fn batches(&mut self, frame: &mut Frame<'_>, begin: u64) -> Result<u64, Error> {
        let mut end = begin;
        let mut offset = begin;
        let mut looked_again = None;
        loop {
            let accept = frame.accept(self.log, self.state.tail);
            let search = frame.reader.find_batch(offset, frame.limit, &accept)?;
            let Some((at, (meta, crc))) = search.batch else {
                if !frame.sealed {
                    self.torn_bytes += search.written_end - offset;
                }
                return Ok(end);
            };
            // A header that verifies at a later place proves that all before it had been durable:
            // `meta.durable` says so, and with one batch in flight it is the batch's own position. I5
            if at != offset && meta.durable.0 <= frame.base.0 + offset {
                return Ok(end);
            }
            let missing = meta.sequence - self.state.tail.sequence - 1;
            if at != offset || missing > 0 {
                // In a log that somebody writes, the proof may be younger than what was read before it.
                if looked_again.replace(offset) != Some(offset) {
                    frame.reader.forget();
                    continue;
                }
                self.lose(frame.segment, offset, at - offset, "unreadable batches", missing);
            }
            if !self.batch(frame, at, &meta, crc)? {
                self.torn_bytes += padded(meta.bytes());
                return Ok(end);
            }
            offset = at + padded(meta.bytes());
            end = offset.min(frame.limit);
        }
    }

    /// Tells the records of a batch whose header verifies. False: torn, the log ends before it.
    fn batch(&mut self, frame: &mut Frame<'_>, at: u64, meta: &BatchMeta, crc: u32) -> Result<bool, Error> {
        let start = at + batch::HEAD_BYTES as u64;
        let mut slots = frame.slots(at, meta)?;
        let whole = slots.as_ref().is_some_and(|slots| slots.iter().all(|slot| slot.sound));
        let behind = at + padded(meta.bytes());
        let tail =
            LogPoint { segment: meta.segment, end: Lsn(frame.base.0 + behind), sequence: meta.sequence, crc };
        if !whole && !frame.sealed {
            let accept = frame.accept(self.log, tail);
            let later = frame.reader.find_batch(behind, frame.limit, accept)?.batch;
            if later.is_none_or(|(_, (later, _))| later.durable.0 <= meta.lsn.0) {
                return Ok(false);
            }
            // As in `batches`: what was read before the proof is read again behind it.
            frame.reader.forget();
            slots = frame.slots(at, meta)?;
        }
        self.time_ms = self.time_ms.max(meta.time_ms);
        self.bytes += meta.bytes();
        let first = self.state.tail == self.entry.tail;
        self.state.tail = tail;
        let Some(slots) = slots else {
            self.lose(frame.segment, at, padded(meta.bytes()), "a batch is unreadable", 1);
            self.state.witness = Witness::Any;
            return Ok(true);
        };
        self.batches += 1;
        let payload = frame.reader.at(start, u64::from(meta.len))?.unwrap_or_default();
        let before = slots.first().filter(|slot| slot.sound).map(|slot| witnessed(slot, payload));
        if let Some(accounts) = before.clone().filter(|_| first) {
            // Should this segment go for holding nothing, the one in its place says this again.
            self.entry.witness = accounts;
        }
        self.settle_loss(before);
        self.visitor.batch(&BatchInfo { meta: *meta, offset: at });
        let mut accounts = Vec::new();
        for slot in &slots {
            let record = RecordInfo {
                segment: frame.segment,
                payload_offset: start + (slot.at + record::HEAD_BYTES) as u64,
                lsn: Lsn(frame.base.0 + start + slot.at as u64),
                meta: slot.head.meta(),
            };
            self.content |= record.meta.kind != KIND_WITNESS || !slot.sound;
            if record.meta.kind != KIND_WITNESS {
                accounts.push(record.meta.account);
            }
            if slot.sound {
                self.visitor.record(&record, slot.payload(payload));
            } else {
                self.visitor.damage(&rotten_record(&record));
            }
        }
        self.state.witness = Witness::of(accounts);
        Ok(true)
    }

    /// Batches are lost; the next batch that can be read may tell whose.
    fn lose(&mut self, segment: SegmentId, offset: u64, len: u64, what: &'static str, count: u64) {
        self.content = true;
        if let Some(Damage { loss: Loss::Batches { count: before, .. }, .. }) = &mut self.lost {
            *before += count;
            return;
        }
        let loss = Loss::Batches { count, accounts: None };
        self.lost = Some(Damage { segment, offset, len, what, loss });
    }

    /// Tells of lost batches, with what the batch behind them witnesses.
    fn settle_loss(&mut self, before: Option<Witness>) {
        let Some(mut damage) = self.lost.take() else { return };
        if let Loss::Batches { count, accounts } = &mut damage.loss {
            *accounts = match before {
                Some(Witness::Accounts(named)) if *count == 1 => Some(named),
                _ => None,
            };
            if *count == 0 {
                damage.loss = Loss::Nothing;
            }
        }
        self.visitor.damage(&damage);
    }
}

/// What a witness says.
fn witnessed(slot: &Slot, payload: &[u8]) -> Witness {
    match slot.head.flags & FLAG_ANY_ACCOUNT {
        0 => Witness::of(record::witness_accounts(slot.payload(payload)).collect()),
        _ => Witness::Any,
    }
}

fn rotten_record(record: &RecordInfo) -> Damage {
    let witness = record.meta.kind == KIND_WITNESS;
    Damage {
        segment: record.segment,
        offset: record.payload_offset,
        len: u64::from(record.meta.len),
        what: if witness { "the list of the accounts before" } else { "a record's checksum does not match" },
        loss: if witness { Loss::Nothing } else { Loss::Record(record.meta.account) },
    }
}
