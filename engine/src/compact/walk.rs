//! The bodies of a victim, one after the other.
//!
//! *Owns*: the way through a segment's batches and through a pack's leads. *Promises*: a record that it gives out is
//! whole: its sum holds; one that does not hold together is [`Step::Damaged`]. *Assumes*: whoever asks knows how much
//! must come: a segment ends for it at the first block that holds no batch. *Never*: reads; it says which bytes it
//! needs.

use bytes::Bytes;
use zerocopy::IntoBytes;

use super::pack::{self, LEAD_BYTES, Lead};
use crate::ids::{Lsn, SegmentId};
use crate::io::FileId;
use crate::limits::COMPACT_READ_BYTES;
use crate::log::batch::{self, BatchMeta, LogIdentity};
use crate::log::record::{HEAD_BYTES as RECORD_HEAD, KIND_BODY, RecordHead};
use crate::log::{BLOCK, padded};
use crate::press::stored::Form;

/// Bytes of a file that were read.
#[derive(Debug, Default)]
pub struct Window {
    pub start: u64,
    pub bytes: Bytes,
}

impl Window {
    fn get(&self, offset: u64, len: u64) -> Option<Bytes> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(usize::try_from(len).ok()?)?;
        (to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

/// What comes next.
pub enum Step {
    /// These bytes of the file have to be read first.
    Need { offset: u64, len: u32 },
    /// A body's record as it is stored, its header included, and how it is stored.
    Record { position: u64, record: Bytes, flags: u32 },
    /// There are no more.
    End,
    /// The file is not what was written.
    Damaged,
}

/// Where a walk through a file has come to.
#[derive(Debug)]
pub enum Walk {
    /// Through a segment.
    Segment(SegmentWalk),
    /// Through a pack.
    Pack(PackWalk),
}

impl Walk {
    /// Through a segment whose last batch ends at `end`.
    pub fn segment(log: LogIdentity, segment: SegmentId, base: Lsn, end: u64) -> Walk {
        Walk::Segment(SegmentWalk { log, segment, base, end, offset: BLOCK, batch: None })
    }

    /// Through a pack of so many records, which lie before `end`.
    pub fn pack(number: u64, records: usize, end: u64) -> Walk {
        Walk::Pack(PackWalk { number, left: records, offset: pack::HEAD_BYTES, end })
    }

    /// Which file it goes through.
    pub fn file(&self) -> FileId {
        match self {
            Walk::Segment(walk) => FileId::Segment(walk.segment),
            Walk::Pack(walk) => FileId::Pack(walk.number),
        }
    }

    /// The next body for which `wanted` is true of its position.
    pub fn next(&mut self, window: &Window, wanted: impl Fn(u64) -> bool) -> Step {
        match self {
            Walk::Segment(walk) => walk.next(window, wanted),
            Walk::Pack(walk) => walk.next(window, wanted),
        }
    }
}

/// Through a segment, from header to header.
#[derive(Debug)]
pub struct SegmentWalk {
    log: LogIdentity,
    segment: SegmentId,
    base: Lsn,
    /// Where its last batch ends.
    end: u64,
    /// The next header.
    offset: u64,
    /// The batch under way, where it begins, and the sum of its record headers so far.
    batch: Option<(BatchMeta, u64, crc32fast::Hasher)>,
}

impl SegmentWalk {
    fn next(&mut self, window: &Window, wanted: impl Fn(u64) -> bool) -> Step {
        loop {
            let Some((meta, start, heads)) = &mut self.batch else {
                match self.begin_batch(window) {
                    Some(step) => return step,
                    None => continue,
                }
            };
            let batch_end = *start + meta.bytes();
            if self.offset >= batch_end {
                if heads.clone().finalize() != meta.heads_crc {
                    return Step::Damaged;
                }
                self.offset = *start + padded(meta.bytes());
                self.batch = None;
                continue;
            }
            let Some(head) = window.get(self.offset, RECORD_HEAD as u64) else {
                return need(self.offset, RECORD_HEAD as u64, self.end);
            };
            let Some(head) = RecordHead::read(&head) else { return Step::Damaged };
            let bytes = RECORD_HEAD as u64 + u64::from(head.len.get());
            if self.offset + bytes > batch_end {
                return Step::Damaged;
            }
            let position = self.base.0 + self.offset;
            let is_wanted = head.kind == KIND_BODY && wanted(position);
            let step = is_wanted.then(|| body(window, position, self.offset, bytes, self.end));
            if step.is_none() || matches!(step, Some(Step::Record { .. })) {
                heads.update(head.as_bytes());
                self.offset += bytes;
            }
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// The next batch, if its header is there and holds.
    fn begin_batch(&mut self, window: &Window) -> Option<Step> {
        if self.offset >= self.end {
            return Some(Step::End);
        }
        let Some(head) = window.get(self.offset, batch::HEAD_BYTES as u64) else {
            return Some(need(self.offset, batch::HEAD_BYTES as u64, self.end));
        };
        let found = BatchMeta::decode(&head, Some(self.log)).map(|(meta, ..)| meta);
        let here = |meta: &BatchMeta| {
            meta.segment == self.segment
                && meta.lsn.0 == self.base.0 + self.offset
                && self.offset + meta.bytes() <= self.end
        };
        // Behind the last batch there may be a tail that was cut off and came back. Whoever copies counts what comes.
        let Some(meta) = found.filter(here) else { return Some(Step::End) };
        self.batch = Some((meta, self.offset, crc32fast::Hasher::new()));
        self.offset += batch::HEAD_BYTES as u64;
        None
    }
}

/// Through a pack, from lead to lead. The table is not needed: it may not be in memory.
#[derive(Debug)]
pub struct PackWalk {
    number: u64,
    /// Records that come yet.
    left: usize,
    /// The next lead.
    offset: u64,
    /// Where the file ends.
    end: u64,
}

impl PackWalk {
    fn next(&mut self, window: &Window, wanted: impl Fn(u64) -> bool) -> Step {
        while self.left > 0 {
            let Some(lead) = window.get(self.offset, LEAD_BYTES) else {
                return need(self.offset, LEAD_BYTES, self.end);
            };
            let Some(lead) = Lead::decode(&lead) else { return Step::Damaged };
            let (record, stored) = (self.offset + LEAD_BYTES, u64::from(lead.stored));
            let form = Form::of(lead.flags);
            let is_preface = matches!(form, Some(Form::Preface { .. }));
            if !is_preface && wanted(lead.position) {
                let step = match form {
                    Some(Form::AsSent) => body(window, lead.position, record, stored, self.end),
                    Some(Form::Pressed(_)) => match window.get(record, stored) {
                        Some(record) => Step::Record { position: lead.position, record, flags: lead.flags },
                        None => need(record, stored, self.end),
                    },
                    _ => Step::Damaged,
                };
                if !matches!(step, Step::Record { .. }) {
                    return step;
                }
                self.left -= 1;
                self.offset = record + stored;
                return step;
            }
            self.left -= 1;
            self.offset = record + stored;
        }
        Step::End
    }
}

/// The record of a body that begins at `offset` and has this many bytes.
fn body(window: &Window, position: u64, offset: u64, bytes: u64, end: u64) -> Step {
    let Some(record) = window.get(offset, bytes) else { return need(offset, bytes, end) };
    let verifies =
        |head: RecordHead| head.kind == KIND_BODY && head.verifies(&record[RECORD_HEAD.min(record.len())..]);
    match RecordHead::read(&record).is_some_and(verifies) {
        true => Step::Record { position, record, flags: 0 },
        false => Step::Damaged,
    }
}

/// Reads ahead as far as there is something.
fn need(offset: u64, len: u64, end: u64) -> Step {
    if offset + len > end {
        return Step::Damaged;
    }
    let len = len.max(COMPACT_READ_BYTES).min(end - offset);
    Step::Need { offset, len: len as u32 }
}
