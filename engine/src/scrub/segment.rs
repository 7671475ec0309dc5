//! A segment, read from front to back.
//!
//! *Owns*: the way through batches and records, whatever pieces the bytes come in. *Promises*: every sum of the filled
//! part is asked for; no body stays unnoticed that is not what was written, and none is named that has its own sum.
//! *Assumes*: nothing of the bytes. *Never*: reads.
//!
//! ```text
//!  SegmentHead ─► BatchHead ─► RecordHead ─► Payload ─┐        a batch ends: were its headers those that were written?
//!                  ▲  │ not one      ▲  │ not one     │        yes: what failed its own sum is rot, each by itself
//!                  │  ▼              └──┼─────────────┘        no: nothing is certain but what has its own sum
//!                  └─ Skip ◄────────────┘
//! ```

use std::ops::Range;

use zerocopy::IntoBytes;

use super::{Record, Rot, What};
use crate::ids::{BodyId, Lsn, SegmentId};
use crate::io::FileId;
use crate::log::batch::{self, BatchMeta, LogIdentity};
use crate::log::record::{HEAD_BYTES as RECORD_HEAD, KIND_BODY, RecordHead};
use crate::log::segment::{self, SegmentMeta};
use crate::log::{BLOCK, padded};

#[derive(Debug)]
enum State {
    SegmentHead,
    BatchHead,
    RecordHead,
    Payload {
        head: RecordHead,
        /// Where its header begins.
        start: u64,
        left: u64,
        sum: crc32fast::Hasher,
        /// Whether all of it could be read.
        read: bool,
    },
    Skip {
        until: u64,
    },
}

/// A batch under way.
#[derive(Debug)]
struct Open {
    /// None when its header is not one: then its records are walked as far as they have their sums.
    meta: Option<BatchMeta>,
    /// Where its header begins, and where its records end at the latest.
    start: u64,
    end: u64,
    heads: crc32fast::Hasher,
    /// The same, with the sum in each header that its payload has: what the headers were if only a sum is rotten.
    mended: crc32fast::Hasher,
    /// Records that do not have their sum.
    failed: Vec<Rot>,
    /// Runs that hold nothing but records without their sum, if the headers are not what was written.
    unknown: Vec<Range<u64>>,
    /// Where such a run has begun that has not ended.
    since: Option<u64>,
    /// How many bodies it has.
    bodies: u64,
}

/// What cannot be read at the end of a segment: rot, or the rest of what nobody was told of.
#[derive(Debug)]
pub(super) struct Doubt {
    /// Of which segment, and where that begins.
    pub segment: (SegmentId, Lsn),
    /// From where on.
    pub from: u64,
    /// How many bodies begin before it, as far as that can be told.
    pub before: u64,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct SegmentWalk {
    log: LogIdentity,
    segment: SegmentId,
    base: Lsn,
    /// Where its last batch ends.
    end: u64,
    /// The next byte.
    at: u64,
    state: State,
    /// The start of a header of which the rest has not come.
    head: Vec<u8>,
    batch: Option<Open>,
    /// Whether that is certain: a file that was cut off may have come back longer.
    certain: bool,
    /// The header of a batch, if there was one.
    doubt: Option<Rot>,
    /// How many bodies begin in what could be read; none when some of it could not.
    bodies: Option<u64>,
    /// From where on nothing could be told, up to the next batch.
    lost: Option<u64>,
}

impl SegmentWalk {
    pub fn new(log: LogIdentity, segment: SegmentId, base: Lsn, (end, certain): (u64, bool)) -> SegmentWalk {
        let (state, head) = (State::SegmentHead, Vec::new());
        SegmentWalk {
            log,
            segment,
            base,
            end,
            at: 0,
            state,
            head,
            batch: None,
            certain,
            doubt: None,
            bodies: Some(0),
            lost: None,
        }
    }

    /// Which bytes come next; none at the end.
    pub fn wants(&self, most: u64) -> Option<(FileId, u64, u64)> {
        let len = (self.end - self.at).min(most);
        (len > 0).then_some((FileId::Segment(self.segment), self.at, len))
    }

    /// Takes the next bytes; if they could not be `read`, they stand for what is there.
    pub fn feed(&mut self, mut all: &[u8], read: bool, found: &mut Vec<Rot>) {
        while !all.is_empty() {
            self.look_for_batch(all);
            // Without a batch's header any block may turn out to begin the next one.
            let block = (BLOCK - self.at % BLOCK) as usize;
            let most = if self.is_headless() { all.len().min(block) } else { all.len() };
            let mut bytes = &all[..most];
            let before = bytes.len();
            match &mut self.state {
                State::SegmentHead => self.segment_head(&mut bytes, found),
                State::BatchHead => self.batch_head(&mut bytes, found),
                State::RecordHead => self.record_head(&mut bytes, found),
                State::Payload { left, sum, read: all, .. } => {
                    let (part, rest) = bytes.split_at(bytes.len().min(*left as usize));
                    sum.update(part);
                    *left -= part.len() as u64;
                    *all &= read;
                    bytes = rest;
                }
                State::Skip { until } => {
                    let skipped = (*until - self.at).min(bytes.len() as u64);
                    bytes = &bytes[skipped as usize..];
                }
            }
            let taken = before - bytes.len();
            all = &all[taken..];
            self.at += taken as u64;
            self.settle(found);
        }
        if self.at == self.end {
            let from = self.batch.take().map(|batch| batch.since.unwrap_or(batch.start));
            self.lost = from.or(self.lost);
            if self.doubt.is_none() || self.certain {
                self.settle_doubt(true, found);
            }
        }
    }

    /// At the end of a file that may have come back longer: what could not be read there.
    pub fn doubt(&self) -> Option<Doubt> {
        let doubt = self.doubt.as_ref().filter(|_| self.at == self.end)?;
        let from = self.base.0 + doubt.offset;
        Some(Doubt { segment: (self.segment, self.base), from, before: self.bodies.unwrap_or(0) })
    }

    /// Whether somebody needs something of what could not be read at the end.
    pub fn settle_doubt(&mut self, is_rot: bool, found: &mut Vec<Rot>) {
        let (doubt, from) = (self.doubt.take(), self.lost.take());
        if is_rot {
            found.extend(doubt);
            found.extend(from.map(|from| self.unknown(from..self.end)));
        }
    }

    fn is_headless(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.meta.is_none())
    }

    /// Ends a batch without a header where the next one begins.
    fn look_for_batch(&mut self, bytes: &[u8]) {
        if !self.at.is_multiple_of(BLOCK) || !self.is_headless() || self.batch_at(bytes, self.at).is_none() {
            return;
        }
        let Some(batch) = self.batch.take() else { return };
        let inside = match &self.state {
            State::Payload { start, .. } => Some(*start),
            // Padding looks like the start of a header.
            _ => (self.head.iter().any(|byte| *byte != 0)).then(|| self.at - self.head.len() as u64),
        };
        self.lost = batch.since.or(inside);
        self.head.clear();
        self.state = State::BatchHead;
    }

    /// The batch of this segment that begins here, if there is one.
    fn batch_at(&self, bytes: &[u8], start: u64) -> Option<BatchMeta> {
        let found = BatchMeta::decode(bytes, Some(self.log)).map(|(meta, ..)| meta);
        found.filter(|meta| {
            meta.segment == self.segment
                && meta.lsn.0 == self.base.0 + start
                && start + meta.bytes() <= self.end
                && meta.len as usize >= RECORD_HEAD
        })
    }

    /// Goes on where a payload or what is skipped has come to its end, also an empty one.
    fn settle(&mut self, found: &mut Vec<Rot>) {
        match &self.state {
            State::Payload { left: 0, .. } => self.end_record(found),
            State::Skip { until } if *until <= self.at => self.state = State::BatchHead,
            _ => {}
        }
    }

    /// Gathers a header; true when it is whole.
    fn gather(&mut self, bytes: &mut &[u8], len: usize) -> bool {
        let part = bytes.len().min(len - self.head.len());
        self.head.extend_from_slice(&bytes[..part]);
        *bytes = &bytes[part..];
        self.head.len() == len
    }

    fn segment_head(&mut self, bytes: &mut &[u8], found: &mut Vec<Rot>) {
        if !self.gather(bytes, segment::HEAD_BYTES) {
            return;
        }
        let whole = SegmentMeta::decode(&self.head, self.segment);
        if !matches!(whole, Ok(Some((meta, log))) if log == self.log && meta.base == self.base) {
            found.push(self.rot(0, segment::HEAD_BYTES as u64, What::Header));
        }
        self.head.clear();
        self.state = State::Skip { until: BLOCK };
    }

    fn batch_head(&mut self, bytes: &mut &[u8], found: &mut Vec<Rot>) {
        let start = self.at - self.head.len() as u64;
        if !self.gather(bytes, batch::HEAD_BYTES) {
            return;
        }
        let whole = self.batch_at(&self.head, start);
        self.head.clear();
        let end = whole.map_or(self.end, |meta| start + meta.bytes());
        match (whole, self.lost) {
            (None, Some(_)) => {
                self.state = State::Skip { until: start + BLOCK };
                return;
            }
            (None, None) => self.doubt = Some(self.rot(start, batch::HEAD_BYTES as u64, What::Header)),
            (Some(_), Some(from)) => {
                self.confirm_doubt(found);
                found.push(self.unknown(from..start));
                self.lost = None;
            }
            (Some(_), None) => self.confirm_doubt(found),
        }
        self.batch = Some(Open {
            meta: whole,
            start,
            end,
            heads: crc32fast::Hasher::new(),
            mended: crc32fast::Hasher::new(),
            failed: Vec::new(),
            unknown: Vec::new(),
            since: whole.is_none().then_some(start),
            bodies: 0,
        });
        self.state = State::RecordHead;
    }

    fn record_head(&mut self, bytes: &mut &[u8], found: &mut Vec<Rot>) {
        let start = self.at - self.head.len() as u64;
        if !self.gather(bytes, RECORD_HEAD) {
            return;
        }
        let (end, headless) =
            self.batch.as_ref().map_or((0, true), |batch| (batch.end, batch.meta.is_none()));
        let is_padding = headless && self.head.iter().all(|byte| *byte == 0);
        let head = RecordHead::read(&self.head);
        self.head.clear();
        let fits = |head: &RecordHead| start + RECORD_HEAD as u64 + u64::from(head.len.get()) <= end;
        match head.filter(fits) {
            Some(head) if !is_padding => {
                let mut sum = crc32fast::Hasher::new();
                sum.update(&head.as_bytes()[4..]);
                self.state = State::Payload { head, start, left: u64::from(head.len.get()), sum, read: true };
            }
            Some(_) => self.end_headless(start),
            None => self.give_up(start, found),
        }
    }

    fn end_record(&mut self, found: &mut Vec<Rot>) {
        let State::Payload { head, start, sum, read, .. } =
            std::mem::replace(&mut self.state, State::RecordHead)
        else {
            return;
        };
        let position = self.base.0 + start;
        let (file, sum) = (FileId::Segment(self.segment), sum.finalize());
        let is_sound = read && sum == head.crc.get() && head.meta().summary_len <= head.len.get();
        if is_sound {
            self.confirm_doubt(found);
        }
        let Some(batch) = &mut self.batch else { return };
        batch.heads.update(head.as_bytes());
        let mut mended = head;
        mended.crc.set(sum);
        batch.mended.update(mended.as_bytes());
        if !is_sound {
            let meta = head.meta();
            let record = Record { position: BodyId(position), meta, sum: head.crc.get(), read };
            let what = if meta.kind == KIND_BODY { What::Body(record) } else { What::Change(record) };
            let len = RECORD_HEAD as u64 + u64::from(meta.len);
            batch.failed.push(Rot { file, offset: start, len, what });
            batch.since.get_or_insert(start);
            batch.bodies += u64::from(meta.kind == KIND_BODY);
            if batch.meta.is_none() {
                return self.give_up(start, found);
            }
        } else {
            batch.bodies += u64::from(head.kind == KIND_BODY);
            // This one is what was written, so it begins where one begins.
            batch.unknown.extend(batch.since.take().map(|from| from..start));
        }
        let next = start + RECORD_HEAD as u64 + u64::from(head.len.get());
        if next >= batch.end {
            self.end_batch(found);
        } else if next + RECORD_HEAD as u64 > batch.end {
            self.give_up(next, found);
        }
    }

    fn end_batch(&mut self, found: &mut Vec<Rot>) {
        let Some(mut batch) = self.batch.take() else { return };
        let Some(meta) = batch.meta else {
            self.lost = batch.since;
            return;
        };
        self.state = State::Skip { until: batch.start + padded(meta.bytes()) };
        self.bodies = self.bodies.map(|bodies| bodies + batch.bodies);
        if batch.heads.finalize() == meta.heads_crc {
            found.extend(batch.failed);
        } else if batch.mended.finalize() == meta.heads_crc {
            // The sum in a header is rotten, and nothing else is.
            found.extend(batch.failed.into_iter().map(|rot| Rot { what: What::Header, ..rot }));
        } else {
            self.bodies = None;
            found.push(self.rot(batch.start, meta.bytes(), What::Header));
            batch.unknown.extend(batch.since.map(|from| from..batch.end));
            found.extend(batch.unknown.into_iter().map(|run| self.unknown(run)));
        }
    }

    /// A record's header is none: where the next begins cannot be known.
    fn give_up(&mut self, start: u64, found: &mut Vec<Rot>) {
        let Some(mut batch) = self.batch.take() else { return };
        let from = batch.since.unwrap_or(start);
        let Some(meta) = batch.meta else {
            self.lost = Some(from);
            self.state = State::Skip { until: padded(self.at.max(start + RECORD_HEAD as u64)) };
            return;
        };
        self.state = State::Skip { until: batch.start + padded(meta.bytes()) };
        self.bodies = None;
        batch.unknown.push(from..batch.end);
        found.push(self.rot(batch.start, meta.bytes(), What::Header));
        found.extend(batch.unknown.into_iter().map(|run| self.unknown(run)));
    }

    /// There is more behind it, so there was a batch.
    fn confirm_doubt(&mut self, found: &mut Vec<Rot>) {
        if let Some(doubt) = self.doubt.take() {
            found.push(doubt);
            self.bodies = None;
        }
    }

    /// Zeroes behind a record of a batch without a header: that was its last.
    fn end_headless(&mut self, start: u64) {
        self.lost = self.batch.take().and_then(|batch| batch.since);
        self.state = State::Skip { until: padded(start + RECORD_HEAD as u64) };
    }

    /// Of the records that begin here, none is certain.
    fn unknown(&self, run: Range<u64>) -> Rot {
        let (from, until) = (BodyId(self.base.0 + run.start), BodyId(self.base.0 + run.end));
        self.rot(run.start, run.end - run.start, What::Unknown { from, until })
    }

    fn rot(&self, offset: u64, len: u64, what: What) -> Rot {
        Rot { file: FileId::Segment(self.segment), offset, len, what }
    }
}
