//! What is in memory: fewer looks for the same answer.
//!
//! *Owns*: how pieces of the log are looked at together, and what was found in memory since the last tick.
//! *Promises*: pieces that lie close to each other cost one system call, and none when they were found a moment
//! ago. *Assumes*: pages seldom leave memory between two ticks; if they do, a send waits for the disk.
//! *Never*: reads.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;

use bytes::Bytes;
use ringpost_engine::io::Extent;

use crate::limits::{RECENT_RUNS_MAX, RUN_GAP_BYTES_MAX};
use crate::sys::map::is_resident;

/// Address ranges of mappings that were found in memory.
#[derive(Default)]
pub struct Recent {
    ranges: RefCell<Vec<Range<usize>>>,
    next: Cell<usize>,
}

impl Recent {
    /// Whether a run of pieces (in order, of one mapping) is in memory, as far as one look tells.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn knows(&self, run: &[(Extent, Bytes)]) -> io::Result<bool> {
        let (Some((_, first)), Some((_, last))) = (run.first(), run.last()) else { return Ok(true) };
        let range = address(first).start..address(last).end;
        let within = |known: &Range<usize>| known.start <= range.start && range.end <= known.end;
        if self.ranges.borrow().iter().any(within) {
            return Ok(true);
        }
        let resident = is_resident(first, last)?;
        if resident {
            self.remember(range);
        }
        Ok(resident)
    }

    /// Forgets all.
    pub fn forget(&self) {
        self.ranges.borrow_mut().clear();
    }

    fn remember(&self, range: Range<usize>) {
        let mut ranges = self.ranges.borrow_mut();
        if ranges.len() < RECENT_RUNS_MAX {
            ranges.push(range);
            return;
        }
        ranges[self.next.get()] = range;
        self.next.set((self.next.get() + 1) % RECENT_RUNS_MAX);
    }
}

fn address(bytes: &Bytes) -> Range<usize> {
    let start = bytes.as_ptr() as usize;
    start..start + bytes.len()
}

/// Splits pieces where they are not close to each other in one segment, in ascending order.
pub fn runs(extents: &[(Extent, Bytes)]) -> impl Iterator<Item = &[(Extent, Bytes)]> {
    extents.chunk_by(|(before, _), (after, _)| {
        let end = before.offset + u64::from(before.len);
        before.segment == after.segment && (end..=end + RUN_GAP_BYTES_MAX).contains(&after.offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::ids::SegmentId;

    fn piece(mapping: &Bytes, segment: u64, offset: usize, len: usize) -> (Extent, Bytes) {
        let extent = Extent { segment: SegmentId(segment), offset: offset as u64, len: len as u32 };
        (extent, mapping.slice(offset..offset + len))
    }

    #[test]
    fn close_pieces_are_one_run_and_others_are_not() {
        let mapping = Bytes::from(vec![1; 1 << 20]);
        let at = |segment, offset| piece(&mapping, segment, offset, 100);
        let all = [at(1, 0), at(1, 100), at(1, 9_000), at(1, 500_000), at(1, 0), at(2, 100)];
        let lengths: Vec<_> = runs(&all).map(<[_]>::len).collect();
        assert_eq!(lengths, [3, 1, 1, 1]);
        assert_eq!(runs(&[]).count(), 0);
    }

    #[test]
    fn a_run_that_was_found_is_known_with_all_between_until_it_is_forgotten() {
        let mapping = Bytes::from(vec![1; 1 << 16]);
        let recent = Recent::default();
        let ends = [piece(&mapping, 1, 0, 10), piece(&mapping, 1, 60_000, 10)];
        assert!(recent.knows(&ends).expect("mincore"));
        assert!(recent.knows(&[piece(&mapping, 1, 5_000, 50_000)]).expect("mincore"));
        assert_eq!(recent.ranges.borrow().len(), 1, "the second was not looked at");
        for offset in 0..2 * RECENT_RUNS_MAX {
            assert!(recent.knows(&[piece(&mapping, 1, 61_000 + offset, 1)]).expect("mincore"));
        }
        assert_eq!(recent.ranges.borrow().len(), RECENT_RUNS_MAX);
        recent.forget();
        assert!(recent.ranges.borrow().is_empty());
    }
}
