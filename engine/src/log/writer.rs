//! The writer: gives every record its place and gets batches onto the disk, one at a time.
//!
//! *Owns*: log positions, the queue of batches, the current segment. *Promises*: a batch is written only
//! when all before it are durable (I5); whatever comes while one is in flight forms the next: group commit
//! without a timer.
//! *Assumes*: every request is completed once. *Never*: applies; gives a position out twice (I1).
//!
//! ```text
//!   append ──► open batch ──close──► closed ──► closed ──write──► in flight ──durable──► committed
//!              (plan: where it goes)     └─ disk full: those of a segment that cannot be made are dropped
//! ```

mod seal;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::batch::{BatchMeta, HEAD_BYTES, LogIdentity};
use super::build::{Batch, Building, Item, Place, Witness};
use super::places::Places;
use super::record::HEAD_BYTES as RECORD_HEAD;
use super::segment::{LogPoint, SegmentMeta};
use super::supply::Supply;
use super::{BLOCK, ZEROES, padded};
use crate::change::{Entry, NewBody};
use crate::error::{Error, Refused};
use crate::ids::{AccountId, BodyId, Lsn, Now, SegmentId};
use crate::io::{FileId, IoError, IoId, IoRequest, IoResult, View};
use crate::limits::{BATCH_BYTES_SOFT_MAX, BATCH_PARTS_MAX, IDLE_BATCH_MS, PENDING_BYTES_MAX};

/// A segment file that holds part of the log.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    /// Its view.
    pub view: Box<dyn View>,
    /// Where its last durable batch ends.
    pub end: u64,
    /// Bytes of the file.
    pub size: u64,
}

/// How the log goes on where recovery left it.
#[derive(Debug)]
pub(crate) struct Start {
    /// Which log.
    pub log: LogIdentity,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Bytes of the disk that no segment may take.
    pub reserve_bytes: u64,
    /// Whether the fresh segment had to take of them.
    pub is_full: bool,
    /// The fresh segment with its opening batch.
    pub segment: SegmentId,
    /// Position of its byte 0.
    pub base: Lsn,
    /// After the opening batch.
    pub tail: LogPoint,
    /// All segments with their views.
    pub files: BTreeMap<SegmentId, SegmentFile>,
    /// Which positions lie in them.
    pub places: Places,
    /// Latest time in the log.
    pub time_ms: u64,
    /// The highest number of a pack.
    pub highest_pack: u64,
}

/// A bug that a test plants, to see that the simulation finds it.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Batches are written without waiting for the disk.
    SkipSync,
    /// What waits for the next batch is reported with this one.
    EarlyAck,
    /// Every fourth record of a batch is not written.
    DropRecord,
    /// Sums of checkpoints are not looked at.
    TrustCheckpoints,
    /// Who wakes up from its head gives UIDs out again.
    ReuseUids,
    /// Compaction removes files before checkpoints cover them.
    UnlinkEarly,
    /// Compaction takes a pack for durable that was never named.
    LosePack,
    /// What comes of an account of another log is not all put there.
    LosePiece,
    /// An account of another log is seen before all of it has come.
    ShowArrivals,
}

#[derive(Debug)]
enum Doing {
    Batch,
    Supply,
    Trim(SegmentId, u64),
}

/// What a completion meant.
#[derive(Debug)]
pub(crate) enum Completed {
    /// Nothing to tell.
    Step,
    /// This batch is durable.
    Committed(Batch),
    /// The disk is full; these will never be written.
    Dropped(Vec<Batch>),
    /// The log cannot go on.
    Fatal(Error),
}

/// The writer.
#[derive(Debug)]
pub(crate) struct Writer {
    log: LogIdentity,
    segment_bytes: u64,
    headroom: u64,
    files: BTreeMap<SegmentId, SegmentFile>,
    places: Places,
    /// The segment that is written now, and where in it the next batch to be written goes.
    current: Place,
    /// Whether it holds more than empty batches.
    current_holds: bool,
    /// Where the next batch to be opened goes.
    plan: Place,
    /// After the last batch handed to the disk.
    tail: LogPoint,
    tail_witness: Witness,
    tail_empty: bool,
    /// No position at or above this was ever given out.
    high: Lsn,
    durable: Lsn,
    open: Option<Building>,
    closed: VecDeque<Batch>,
    flight: Option<Batch>,
    sealed: Option<(SegmentId, u64)>,
    trims: VecDeque<(SegmentId, u64)>,
    supply: Supply,
    doing: Vec<(IoId, Doing)>,
    io_count: u64,
    pending_bytes: usize,
    time_ms: u64,
    appended_ms: u64,
    failed: bool,
    #[cfg(feature = "testing")]
    plant: Option<Plant>,
}

impl Writer {
    /// Goes on after recovery.
    pub fn new(start: Start) -> Writer {
        let offset = start.tail.end.0 - start.base.0;
        let place = Place { segment: start.segment, base: start.base, offset };
        Writer {
            log: start.log,
            segment_bytes: start.segment_bytes,
            headroom: super::segment::headroom(start.segment_bytes),
            files: start.files,
            places: start.places,
            current: place,
            current_holds: false,
            plan: place,
            tail: start.tail,
            tail_witness: Witness::NONE,
            tail_empty: true,
            high: start.tail.end,
            durable: start.tail.end,
            open: None,
            closed: VecDeque::new(),
            flight: None,
            sealed: None,
            trims: VecDeque::new(),
            supply: Supply::new(start.segment_bytes, start.reserve_bytes, start.is_full),
            doing: Vec::new(),
            io_count: 0,
            pending_bytes: 0,
            time_ms: start.time_ms,
            appended_ms: 0,
            failed: false,
            #[cfg(feature = "testing")]
            plant: None,
        }
    }

    /// Plants a bug.
    #[cfg(feature = "testing")]
    pub fn plant(&mut self, plant: Plant) {
        self.plant = Some(plant);
    }

    /// The time for a stamp: never less than one given before. I8
    pub fn clock(&mut self, now: Now) -> Now {
        self.time_ms = self.time_ms.max(now.unix_ms);
        self.appended_ms = self.appended_ms.max(now.mono_ms);
        Now { unix_ms: self.time_ms, ..now }
    }

    /// Finds room for a change of so many encoded bytes and says where it will be; `relief` if it may use the
    /// headroom of a full disk. [`Writer::push`] is to follow at once.
    pub fn reserve(&mut self, payload_len: usize, relief: bool) -> Result<Lsn, Refused> {
        self.room(RECORD_HEAD + payload_len, 1, relief).map(|building| building.next_lsn())
    }

    /// Queues the change that room was found for, asked for by a session (0: none is known).
    pub fn push(&mut self, kind: u8, session: u32, payload: &[u8], entry: Entry) {
        self.open.as_mut().expect("I1: room was found in it").push_change(kind, session, payload, entry);
        self.reserved(RECORD_HEAD + payload.len());
    }

    /// Queues a body.
    pub fn append_body(&mut self, account: AccountId, mut body: NewBody) -> Result<BodyId, Refused> {
        let octets: usize = body.parts.iter().map(Bytes::len).sum();
        if body.parts.len() > BATCH_PARTS_MAX / 2 {
            let mut joined = BytesMut::with_capacity(octets);
            body.parts.iter().for_each(|part| joined.extend_from_slice(part));
            body.parts = vec![joined.freeze()];
        }
        let bytes = RECORD_HEAD + body.summary.len() + octets;
        let id = self.room(bytes, body.parts.len() + 1, false)?.push_body(account, body);
        self.reserved(bytes);
        Ok(id)
    }

    fn reserved(&mut self, bytes: usize) {
        self.pending_bytes += bytes;
        let next = self.open.as_ref().map_or(self.high, Building::next_lsn);
        // After a drop the log goes on below positions that were given out and will stay unused.
        self.high = self.high.max(next);
    }

    /// The batch that takes `bytes` more: the open one, or a new one behind it, in this segment or the next.
    fn room(&mut self, bytes: usize, parts: usize, relief: bool) -> Result<&mut Building, Refused> {
        if self.failed {
            return Err(Refused::Failed);
        }
        if self.pending_bytes > 0 && self.pending_bytes + bytes > PENDING_BYTES_MAX {
            return Err(Refused::Busy);
        }
        let usable = match relief && self.supply.is_full() {
            true => self.segment_bytes,
            false => self.segment_bytes - self.headroom,
        };
        if let Some(open) = &self.open {
            let small = open.is_empty() || open.len() + bytes <= BATCH_BYTES_SOFT_MAX;
            let fits = small
                && open.part_count() + parts + 2 <= BATCH_PARTS_MAX
                && open.place().offset + open.bytes_with(bytes) <= usable;
            if fits {
                return Ok(self.open.as_mut().expect("just seen"));
            }
        }
        let (end, witness) = self.behind();
        let need = padded((HEAD_BYTES + witness.bytes() + bytes) as u64);
        let mut place = Place { offset: end, ..self.plan };
        if end + need > usable {
            if BLOCK + need > self.segment_bytes - self.headroom {
                return Err(Refused::TooLarge);
            }
            if self.supply.is_full() {
                return Err(Refused::DiskFull);
            }
            place = self.beyond(end);
        }
        self.close();
        self.plan = place;
        let building = self.open.insert(Building::new(place, &witness));
        #[cfg(feature = "testing")]
        {
            building.drop_record = self.plant == Some(Plant::DropRecord);
        }
        Ok(building)
    }

    /// Where the next batch would go in this segment, and whom the one before it concerns.
    fn behind(&self) -> (u64, Witness) {
        match &self.open {
            Some(open) => (open.place().offset + open.bytes_with(0), open.witness()),
            None => (self.plan.offset, self.closed.back().map_or(&self.tail_witness, |b| &b.witness).clone()),
        }
    }

    /// Where it goes in the next segment, if this one ends at `end`.
    fn beyond(&self, end: u64) -> Place {
        let base = Lsn(padded(self.high.0.max(self.plan.base.0 + end)));
        Place { segment: SegmentId(self.plan.segment.0 + 1), base, offset: BLOCK }
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let batch = open.close();
            self.plan.offset = batch.place.offset + batch.bytes();
            self.closed.push_back(batch);
        }
    }

    /// The next piece of disk work.
    pub fn poll(&mut self) -> Option<(IoId, IoRequest)> {
        if self.failed {
            return None;
        }
        if let Some(request) = self.poll_batch() {
            return Some(self.issue(Doing::Batch, request));
        }
        if let Some((segment, len)) = self.trims.pop_front() {
            let request = IoRequest::Trim { file: FileId::Segment(segment), len };
            return Some(self.issue(Doing::Trim(segment, len), request));
        }
        let filling = self.plan.segment != self.current.segment || self.plan.offset >= self.segment_bytes / 4;
        if filling || self.supply.is_full() {
            let request = self.supply.poll(SegmentId(self.current.segment.0 + 1))?;
            return Some(self.issue(Doing::Supply, request));
        }
        None
    }

    fn issue(&mut self, doing: Doing, request: IoRequest) -> (IoId, IoRequest) {
        self.io_count += 1;
        let id = IoId(self.io_count);
        self.doing.push((id, doing));
        (id, request)
    }

    fn poll_batch(&mut self) -> Option<IoRequest> {
        if self.flight.is_some() {
            return None; // I5
        }
        if self.closed.is_empty() {
            self.close();
        }
        let place = self.closed.front()?.place;
        let mut parts = Vec::with_capacity(3);
        let mut offset = place.offset;
        if place.segment != self.current.segment {
            let view = self.supply.take()?;
            assert_eq!(place.segment.0, self.current.segment.0 + 1, "I7: segments follow one another");
            self.sealed = Some((self.current.segment, self.current.offset));
            let size = self.segment_bytes;
            self.files.insert(place.segment, SegmentFile { view, end: BLOCK, size });
            self.places.add(place.base, place.segment);
            let created_ms = self.time_ms;
            self.places.date(place.base, created_ms);
            let meta = SegmentMeta { segment: place.segment, base: place.base, prev: self.tail, created_ms };
            parts.push(header_block(&meta, self.log));
            parts.push(Bytes::from_static(&ZEROES[super::segment::HEAD_BYTES..]));
            self.current = place;
            self.current_holds = false;
            offset = 0;
        }
        assert_eq!(self.current, place, "I2: a batch goes right behind the one before");
        let mut batch = self.closed.pop_front()?;
        let (head, crc) = meta_of(&batch, self.tail, self.time_ms).encode(self.log);
        parts.push(Bytes::copy_from_slice(&head));
        parts.append(&mut batch.parts);
        self.current.offset += batch.bytes();
        assert!(self.current.offset <= self.segment_bytes, "I3: a batch lies within its segment");
        self.tail = LogPoint {
            segment: place.segment,
            end: self.current.lsn(),
            sequence: self.tail.sequence + 1,
            crc,
        };
        self.tail_empty = batch.items.is_empty();
        self.current_holds |= !self.tail_empty;
        self.tail_witness = batch.witness.clone();
        self.flight = Some(batch);
        #[cfg(feature = "testing")]
        let durable = self.plant != Some(Plant::SkipSync);
        #[cfg(not(feature = "testing"))]
        let durable = true;
        Some(IoRequest::Write { file: FileId::Segment(place.segment), offset, parts, durable })
    }

    /// How a piece of disk work ended.
    pub fn complete(&mut self, id: IoId, result: IoResult, mono_ms: u64) -> Completed {
        let at = self
            .doing
            .iter()
            .position(|(doing, _)| *doing == id)
            .expect("I7: every request is answered once");
        let (_, doing) = self.doing.swap_remove(at);
        if self.failed {
            return Completed::Step;
        }
        let completed = match (doing, result) {
            (Doing::Supply, result) => match self.supply.complete(result, mono_ms) {
                Ok(true) => Completed::Step,
                Ok(false) => self.drop_unplaceable(),
                Err(error) => Completed::Fatal(error),
            },
            (Doing::Batch, IoResult::Failed(error)) => fatal("writing a batch", error),
            (Doing::Trim(..), IoResult::Failed(error)) => fatal("trimming a sealed segment", error),
            (Doing::Batch, IoResult::Done) => Completed::Committed(self.committed()),
            (Doing::Trim(segment, len), IoResult::Done) => {
                self.files.get_mut(&segment).expect("I7: what is trimmed is there").size = len;
                Completed::Step
            }
            (doing, result) => panic!("I7: {result:?} does not answer {doing:?}"),
        };
        self.failed = matches!(completed, Completed::Fatal(_));
        completed
    }

    fn committed(&mut self) -> Batch {
        let batch = self.flight.take().expect("I5: a batch in flight");
        let end = batch.place.offset + batch.bytes();
        self.files.get_mut(&batch.place.segment).expect("I7: its segment is open").end = end;
        self.durable = Lsn(batch.place.base.0 + end);
        self.pending_bytes -= batch.appended();
        self.trims.extend(self.sealed.take());
        #[cfg(feature = "testing")]
        if self.plant == Some(Plant::EarlyAck)
            && let Some(next) = self.closed.front_mut()
        {
            let mut batch = batch;
            batch.items.append(&mut next.items);
            return batch;
        }
        batch
    }

    /// The next segment cannot be made: what was to go into it is refused after all. Their positions stay
    /// unused.
    fn drop_unplaceable(&mut self) -> Completed {
        if self.plan.segment == self.current.segment {
            return Completed::Dropped(Vec::new());
        }
        self.close();
        let keep = self.closed.partition_point(|batch| batch.place.segment == self.current.segment);
        let dropped: Vec<Batch> = self.closed.drain(keep..).collect();
        let end = self.closed.back().map_or(self.current.offset, |batch| batch.place.offset + batch.bytes());
        self.plan = Place { offset: end, ..self.current };
        self.pending_bytes -= dropped.iter().map(Batch::appended).sum::<usize>();
        Completed::Dropped(dropped)
    }

    /// Upkeep: vouches for the last batch when nothing came for a while, and tries a full disk again.
    pub fn tick(&mut self, now: Now) {
        self.supply.tick(now.mono_ms);
        let idle = now.mono_ms.saturating_sub(self.appended_ms) >= IDLE_BATCH_MS;
        let unvouched =
            !self.tail_empty && self.open.is_none() && self.closed.is_empty() && self.flight.is_none();
        if idle && unvouched {
            self.time_ms = self.time_ms.max(now.unix_ms);
            // On a full disk there may be no room even for this; then the window of README §4.3, C6 stays
            // open.
            let _room_or_not = self.room(0, 0, true);
        }
    }

    /// Whether nothing waits or is in flight.
    pub fn is_quiet(&self) -> bool {
        self.open.is_none()
            && self.closed.is_empty()
            && self.doing.is_empty()
            && self.trims.is_empty()
            && !self.supply.is_busy()
    }

    /// Everything below is durable.
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// The position that the next record will not be below.
    pub fn next(&self) -> Lsn {
        self.open.as_ref().map_or(self.plan.lsn(), Building::next_lsn)
    }

    /// The segments.
    pub fn files(&self) -> &BTreeMap<SegmentId, SegmentFile> {
        &self.files
    }

    /// Segments that are complete and trimmed, with the positions that they hold.
    pub fn complete_segments(&self) -> impl Iterator<Item = (SegmentId, Range<u64>)> + '_ {
        let known = self.places.segments().iter().filter(|(_, segment)| *segment < self.current.segment);
        known.filter_map(|&(base, segment)| {
            let file = self.files.get(&segment).filter(|file| file.size == file.end)?;
            Some((segment, base.0..base.0 + file.end))
        })
    }

    /// The file of a segment is gone.
    pub fn forget(&mut self, segment: SegmentId) {
        self.files.remove(&segment);
    }

    /// Which positions lie in them, for compaction.
    pub fn places_mut(&mut self) -> &mut Places {
        &mut self.places
    }

    /// Which positions lie in them.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// A name for somebody else's request.
    pub fn next_io(&mut self) -> IoId {
        self.io_count += 1;
        IoId(self.io_count)
    }

    /// After the last batch handed to the disk.
    pub fn tail(&self) -> LogPoint {
        self.tail
    }

    /// Latest time of any batch.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Nothing is written any more: the disk failed somebody else.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether the disk failed for good.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        self.supply.is_full()
    }

    /// What waits, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &Item> + '_ {
        let queued = self.flight.iter().chain(&self.closed).flat_map(|batch| &batch.items);
        queued.chain(self.open.iter().flat_map(Building::items))
    }
}

fn fatal(doing: &str, error: IoError) -> Completed {
    Completed::Fatal(Error::Io { doing: doing.to_owned(), error })
}

/// A segment's header, without the zeroes that fill its block.
pub(crate) fn header_block(meta: &SegmentMeta, log: LogIdentity) -> Bytes {
    Bytes::copy_from_slice(&meta.encode(log))
}

/// The header of a batch that follows `tail`. Everything before it is durable when it is written. I5
pub(crate) fn meta_of(batch: &Batch, tail: LogPoint, time_ms: u64) -> BatchMeta {
    BatchMeta {
        segment: batch.place.segment,
        sequence: tail.sequence + 1,
        lsn: batch.place.lsn(),
        durable: batch.place.lsn(),
        time_ms,
        len: batch.len,
        records: batch.records,
        prev_crc: tail.crc,
        heads_crc: batch.heads_crc,
    }
}
