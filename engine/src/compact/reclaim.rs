//! Files that nobody needs any more, until they are gone.
//!
//! *Owns*: the only requests that remove what holds bodies. *Promises*: a file goes only when (a) what is alive of it
//! is in a pack that is durable under its name, (b) two checkpoints cover every change in it, so that no start reads
//! it again, and (c) nobody can be sending from it any more. One that goes without a pack waits until two checkpoints
//! cover the end of its last message too: if a start had to read that and could not, it would look for the file.
//! *Assumes*: who retires a file has seen to (a). *Never*: more than one at a time.

use std::collections::VecDeque;
use std::ops::Range;

use super::pick::Unit;
use crate::ids::Lsn;
use crate::io::{FileId, IoRequest};

/// A file that a pack stands for, or of which nothing is alive.
#[derive(Debug)]
struct Retired {
    file: FileId,
    range: Range<u64>,
    bytes: u64,
    /// What is dead of it died below this position.
    dead_by: Lsn,
    since_ms: u64,
}

impl Retired {
    /// Whether nobody can be sending from it any more (c).
    fn is_over(&self, now_ms: u64, grace_ms: u64) -> bool {
        now_ms >= self.since_ms.saturating_add(grace_ms)
    }
}

/// What has gone.
pub struct Gone {
    /// Which file.
    pub file: FileId,
    /// The positions that it stood for.
    pub range: Range<u64>,
    /// How many bytes it had.
    pub bytes: u64,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Reclaim {
    retired: VecDeque<Retired>,
}

impl Reclaim {
    /// Nobody needs this file any more (a): a pack stands for it, or all of it died below `dead_by`.
    pub fn retire(&mut self, unit: &Unit, dead_by: Lsn, now_ms: u64) {
        if !self.has(unit.file) {
            let (file, range, bytes) = (unit.file, unit.range.clone(), unit.bytes);
            self.retired.push_back(Retired { file, range, bytes, dead_by, since_ms: now_ms });
        }
    }

    /// Whether the file waits to be removed.
    pub fn has(&self, file: FileId) -> bool {
        self.retired.iter().any(|retired| retired.file == file)
    }

    /// Bytes of the segments that wait to be removed.
    pub fn segment_bytes(&self) -> u64 {
        let segments = self.retired.iter().filter(|retired| matches!(retired.file, FileId::Segment(_)));
        segments.map(|retired| retired.bytes).sum()
    }

    /// The last position that two checkpoints have to cover, and do not, before all can go that waits for nothing else.
    pub fn waits_for(&self, covered: Lsn, now_ms: u64, grace_ms: u64) -> Option<Lsn> {
        let waits = |retired: &&Retired| retired.is_over(now_ms, grace_ms);
        let last = self.retired.iter().filter(waits).map(|retired| retired.dead_by).max();
        last.filter(|last| *last > covered).map(|last| Lsn(last.0 - 1))
    }

    /// The request for a file below `covered` (b) that has been retired for so long (c). Without room for a checkpoint
    /// (`full`), what is dead goes before the end of its messages is covered.
    pub fn poll(&mut self, covered: Lsn, now_ms: u64, grace_ms: u64, full: bool) -> Option<IoRequest> {
        let goes = |retired: &Retired| {
            retired.range.end < covered.0
                && (full || retired.dead_by <= covered)
                && retired.is_over(now_ms, grace_ms)
        };
        let at = self.retired.iter().position(goes)?;
        self.retired.swap(0, at);
        self.retired.front().map(|retired| IoRequest::Unlink { file: retired.file })
    }

    /// The file asked for last is gone.
    pub fn removed(&mut self) -> Gone {
        let gone = self.retired.pop_front();
        let Retired { file, range, bytes, .. } = gone.expect("I7: a file was asked to be removed");
        Gone { file, range, bytes }
    }
}
