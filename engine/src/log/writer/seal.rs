//! Ends a segment before it is full, so that what it holds can be copied.
//!
//! *Owns*: when the current segment is closed early. *Promises*: a sealed segment never changes: its last batch is
//! durable, its unused rest is cut off, and no request names it any more but the one that removes it, so a hard link to
//! it is a copy. *Assumes*: the writer drives on. *Never*: waits.

use super::{Building, Doing, Writer, padded};
use crate::error::Refused;
use crate::ids::{Lsn, SegmentId};

impl Writer {
    /// Closes the current segment behind what is queued for it: the next batch, an empty one unless more comes, goes
    /// into the next. Returns the last segment that anything durable lies in now; nothing is closed when that one
    /// is sealed or about to be, unless the empty batches behind it are `needed`.
    pub fn seal(&mut self, needed: bool) -> Result<SegmentId, Refused> {
        if self.failed {
            return Err(Refused::Failed);
        }
        let current = self.current.segment;
        if self.plan.segment != current {
            return Ok(current); // on its way already
        }
        if !self.current_holds && !needed {
            return Ok(self.last_before());
        }
        if self.supply.is_full() {
            return Err(Refused::DiskFull);
        }
        let (end, witness) = self.behind();
        let place = self.beyond(end);
        self.close();
        self.plan = place;
        self.open = Some(Building::new(place, &witness));
        Ok(current)
    }

    /// The segment before the current one, of those that are still there; 0 if there is none.
    fn last_before(&self) -> SegmentId {
        self.files.range(..self.current.segment).next_back().map_or(SegmentId(0), |(last, _)| *last)
    }

    /// Where that segment ends; 0 if there is none.
    pub fn end_before(&self) -> Lsn {
        self.end_of(self.last_before())
    }

    fn end_of(&self, segment: SegmentId) -> Lsn {
        let end = self.files.get(&segment).zip(self.places.base(segment));
        end.map_or(Lsn(0), |(file, base)| Lsn(base.0 + file.end))
    }

    /// Segments that are complete: nothing is written to them any more.
    pub fn complete_files(&self) -> impl Iterator<Item = SegmentId> + '_ {
        self.files.keys().copied().filter(|segment| self.complete_file(*segment).is_some())
    }

    /// Position of byte 0 of a complete segment, and where its last batch ends, with
    /// whether that is certain; none if it is gone, still written, or a
    /// pack stands for it.
    pub fn complete_file(&self, segment: SegmentId) -> Option<(Lsn, (u64, bool))> {
        let file = self.files.get(&segment).filter(|file| file.size == file.end)?;
        let base = self.places.base(segment)?;
        let needed = segment < self.current.segment && self.places.pack_of(base).is_none();
        // Behind a gap nobody tells whether a file that was cut off has come back longer.
        let next = self.files.range(segment..).nth(1).and_then(|(next, _)| self.places.base(*next));
        let certain = next == Some(Lsn(padded(base.0 + file.end)));
        needed.then_some((base, (file.end, certain)))
    }

    /// Where segment `last` ends, once neither it nor any before it will change any more; 0 if its file is gone.
    /// None: not yet. The disk may turn out to be too full for the segment that is to follow.
    pub fn sealed(&self, last: SegmentId) -> Result<Option<Lsn>, Refused> {
        let trimming = |doing: &Doing| matches!(doing, Doing::Trim(segment, _) if *segment <= last);
        let waits = self.current.segment <= last
            || self.sealed.is_some_and(|(segment, _)| segment <= last)
            || self.trims.iter().any(|(segment, _)| *segment <= last)
            || self.doing.iter().any(|(_, doing)| trimming(doing));
        match waits {
            true if self.failed => Err(Refused::Failed),
            true if self.supply.is_full() => Err(Refused::DiskFull),
            true => Ok(None),
            false => Ok(Some(self.end_of(last))),
        }
    }
}
