//! The bodies of a victim, one after the other.
//!
//! *Owns*: the way through a segment's batches and through a pack's table. *Promises*: a record that it gives out is
//! whole: its sum holds; what does not hold together is [`Step::Damaged`]. *Assumes*: a segment's filled part has no
//! gaps. *Never*: reads; it says which bytes it needs.

use bytes::Bytes;
use zerocopy::IntoBytes;

use super::pack::Pack;
use crate::ids::{Lsn, SegmentId};
use crate::io::FileId;
use crate::limits::COMPACT_READ_BYTES;
use crate::log::batch::{self, BatchMeta, LogIdentity};
use crate::log::record::{HEAD_BYTES as RECORD_HEAD, KIND_BODY, RecordHead};
use crate::log::{BLOCK, padded};

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
    /// A body's record, header included.
    Record { position: u64, record: Bytes },
    /// There are no more.
    End,
    /// The file is not what was written.
    Damaged,
}

/// Where a walk through a file has come to.
#[derive(Debug)]
pub enum Walk {
    /// Through a segment.
    Segment {
        log: LogIdentity,
        segment: SegmentId,
        base: Lsn,
        /// Where its last batch ends.
        end: u64,
        /// The next header.
        offset: u64,
        /// The batch under way, and where it begins.
        batch: Option<(BatchMeta, u64, crc32fast::Hasher)>,
    },
    /// Through a pack.
    Pack { number: u64, next: usize },
}

impl Walk {
    pub fn segment(log: LogIdentity, segment: SegmentId, base: Lsn, end: u64) -> Walk {
        Walk::Segment { log, segment, base, end, offset: BLOCK, batch: None }
    }

    /// Which file it goes through.
    pub fn file(&self) -> FileId {
        match self {
            Walk::Segment { segment, .. } => FileId::Segment(*segment),
            Walk::Pack { number, .. } => FileId::Pack(*number),
        }
    }

    /// The next body for which `wanted` is true of its position.
    pub fn next(&mut self, window: &Window, packs: &[Pack], wanted: impl Fn(u64) -> bool) -> Step {
        match self {
            Walk::Pack { number, next } => {
                let Some(pack) = packs.iter().find(|pack| pack.number == *number) else {
                    return Step::Damaged;
                };
                while *next < pack.count {
                    let Some((position, offset)) = pack.entry(*next) else { return Step::Damaged };
                    if wanted(position) {
                        let step = body(window, position, offset, pack.records_end());
                        *next += usize::from(matches!(step, Step::Record { .. }));
                        return step;
                    }
                    *next += 1;
                }
                Step::End
            }
            Walk::Segment { log, segment, base, end, offset, batch } => loop {
                let Some((meta, start, heads)) = batch else {
                    if *offset >= *end {
                        return Step::End;
                    }
                    let Some(head) = window.get(*offset, batch::HEAD_BYTES as u64) else {
                        return need(*offset, batch::HEAD_BYTES as u64, *end);
                    };
                    let found = BatchMeta::decode(&head, Some(*log)).map(|(meta, ..)| meta);
                    let here = |meta: &BatchMeta| {
                        meta.segment == *segment
                            && meta.lsn.0 == base.0 + *offset
                            && *offset + meta.bytes() <= *end
                    };
                    let Some(meta) = found.filter(here) else { return Step::Damaged };
                    *batch = Some((meta, *offset, crc32fast::Hasher::new()));
                    *offset += batch::HEAD_BYTES as u64;
                    continue;
                };
                let batch_end = *start + meta.bytes();
                if *offset >= batch_end {
                    if heads.clone().finalize() != meta.heads_crc {
                        return Step::Damaged;
                    }
                    *offset = *start + padded(meta.bytes());
                    *batch = None;
                    continue;
                }
                let Some(head) = window.get(*offset, RECORD_HEAD as u64) else {
                    return need(*offset, RECORD_HEAD as u64, *end);
                };
                let Some(head) = RecordHead::read(&head) else { return Step::Damaged };
                let bytes = RECORD_HEAD as u64 + u64::from(head.len.get());
                if *offset + bytes > batch_end {
                    return Step::Damaged;
                }
                let position = base.0 + *offset;
                if head.kind == KIND_BODY && wanted(position) {
                    let step = body(window, position, *offset, *end);
                    if let Step::Record { .. } = step {
                        heads.update(head.as_bytes());
                        *offset += bytes;
                    }
                    return step;
                }
                heads.update(head.as_bytes());
                *offset += bytes;
            },
        }
    }
}

/// The record of a body that begins here.
fn body(window: &Window, position: u64, offset: u64, end: u64) -> Step {
    let Some(head) = window.get(offset, RECORD_HEAD as u64) else {
        return need(offset, RECORD_HEAD as u64, end);
    };
    let Some(head) = RecordHead::read(&head) else { return Step::Damaged };
    let bytes = RECORD_HEAD as u64 + u64::from(head.len.get());
    if offset + bytes > end {
        return Step::Damaged;
    }
    let Some(record) = window.get(offset, bytes) else { return need(offset, bytes, end) };
    match head.kind == KIND_BODY && head.verifies(&record[RECORD_HEAD..]) {
        true => Step::Record { position, record },
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
