//! What is in memory: fewer looks for the same answer.
//!
//! *Owns*: how pieces of the log are looked at and read together, and what was found in memory since the last
//! tick. *Promises*: pieces that lie close to each other, in whatever order they are named, cost one system
//! call, and none when they were found a moment ago. *Assumes*: pages seldom leave memory between two ticks; if
//! they do, a send waits for the disk. *Never*: reads.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Range;

use bytes::Bytes;
use ringpost_engine::io::Extent;

use crate::limits::{READ_GAP_BYTES_MAX, RECENT_RUNS_MAX, RESIDENT_PAGES_MAX, RUN_GAP_BYTES_MAX};
use crate::sys::map::{page_bytes, residency};

/// A piece of the log and where it is mapped.
type Piece = (Extent, Bytes);

/// Address ranges of mappings that were found in memory.
#[derive(Default)]
pub struct Recent {
    ranges: RefCell<Vec<Range<usize>>>,
    next: Cell<usize>,
}

impl Recent {
    /// What of a run of pieces (in order, of one mapping) is not in memory, to be read.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn cold(&self, run: &[Piece]) -> io::Result<Vec<Extent>> {
        let mut cold = Vec::new();
        let start = run.first().map_or(0, |(_, first)| address(first).start);
        let end = run.iter().map(|(_, bytes)| address(bytes).end).max().unwrap_or(start);
        let within = |known: &Range<usize>| known.start <= start && end <= known.end;
        if self.ranges.borrow().iter().any(within) {
            return Ok(cold);
        }
        let (page, mut pages) = (page_bytes(), [0; RESIDENT_PAGES_MAX]);
        let mut looked = start - start % page;
        let mut all = true;
        while looked < end {
            let next = end.min(looked + RESIDENT_PAGES_MAX * page);
            let resident = residency(looked, next - looked, &mut pages)?;
            if resident.iter().any(|page| page & 1 == 0) {
                all = false;
                run.iter().for_each(|piece| add_cold(&mut cold, piece, looked..next, resident));
            }
            looked = next;
        }
        if all {
            self.remember(start..end);
        }
        Ok(cold)
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

/// Adds what of a piece lies in `looked` and is not resident there, to the read before it if that is close.
fn add_cold(cold: &mut Vec<Extent>, piece: &Piece, looked: Range<usize>, resident: &[u8]) {
    let (extent, bytes) = piece;
    let at = address(bytes);
    let (start, end) = (at.start.max(looked.start), at.end.min(looked.end));
    if start >= end {
        return;
    }
    let page = page_bytes();
    // A page may hold the end of what was looked at before: `looked` begins with a page.
    let pages = (start - looked.start) / page..(end - looked.start).div_ceil(page).min(resident.len());
    if resident[pages].iter().all(|page| page & 1 == 1) {
        return;
    }
    let offset = extent.offset + (start - at.start) as u64;
    let len = (end - start) as u32;
    if let Some(last) = cold.last_mut()
        && last.file == extent.file
        && offset <= last.offset + u64::from(last.len) + READ_GAP_BYTES_MAX
    {
        let end = (offset + u64::from(len)).max(last.offset + u64::from(last.len));
        if let Ok(joined) = u32::try_from(end - last.offset) {
            last.len = joined;
            return;
        }
    }
    cold.push(Extent { file: extent.file, offset, len });
}

/// Pieces in the order in which they lie.
pub fn in_order(pieces: &[Piece]) -> Cow<'_, [Piece]> {
    let place = |(extent, _): &Piece| (extent.file, extent.offset);
    if pieces.is_sorted_by_key(place) {
        return Cow::Borrowed(pieces);
    }
    let mut sorted = pieces.to_vec();
    sorted.sort_unstable_by_key(place);
    Cow::Owned(sorted)
}

/// Splits pieces, in order, where they are not close to each other in one segment.
pub fn runs(pieces: &[Piece]) -> impl Iterator<Item = &[Piece]> {
    pieces.chunk_by(|(before, _), (after, _)| {
        let end = before.offset + u64::from(before.len);
        before.file == after.file && after.offset <= end + RUN_GAP_BYTES_MAX
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::ids::SegmentId;
    use ringpost_engine::io::FileId;

    fn piece(mapping: &Bytes, segment: u64, offset: usize, len: usize) -> Piece {
        let extent =
            Extent { file: FileId::Segment(SegmentId(segment)), offset: offset as u64, len: len as u32 };
        (extent, mapping.slice(offset..offset + len))
    }

    #[test]
    fn close_pieces_are_one_run_in_whatever_order_they_are_named() {
        let mapping = Bytes::from(vec![1; 1 << 20]);
        let at = |segment, offset| piece(&mapping, segment, offset, 100);
        let all = [at(1, 9_000), at(1, 0), at(1, 500_000), at(2, 100), at(1, 100), at(1, 0)];
        let lengths: Vec<_> = runs(&in_order(&all)).map(<[_]>::len).collect();
        assert_eq!(lengths, [4, 1, 1]);
        assert!(matches!(in_order(&all[..1]), Cow::Borrowed(_)));
        assert_eq!(runs(&[]).count(), 0);
    }

    #[test]
    fn a_run_that_was_found_is_known_with_all_between_until_it_is_forgotten() {
        let mapping = Bytes::from(vec![1; 1 << 16]);
        let recent = Recent::default();
        let warm = |pieces: &[Piece]| recent.cold(pieces).expect("mincore").is_empty();
        assert!(warm(&[piece(&mapping, 1, 0, 10), piece(&mapping, 1, 60_000, 10)]));
        assert!(warm(&[piece(&mapping, 1, 5_000, 50_000)]));
        assert_eq!(recent.ranges.borrow().len(), 1, "the second was not looked at");
        for offset in 0..2 * RECENT_RUNS_MAX {
            assert!(warm(&[piece(&mapping, 1, 61_000 + offset, 1)]));
        }
        assert_eq!(recent.ranges.borrow().len(), RECENT_RUNS_MAX);
        recent.forget();
        assert!(recent.ranges.borrow().is_empty());
        assert!(warm(&[]));
    }

    #[test]
    fn only_the_pieces_that_are_cold_are_read_and_close_ones_together() {
        let page = page_bytes();
        let mapping = Bytes::from(vec![1; 100 * page]);
        let start = mapping.as_ptr() as usize;
        // As if the mapping began with a page.
        let looked = start..start + 100 * page;
        let mut resident = vec![1; 100];
        for cold in [3, 5, 60] {
            resident[cold] = 0;
        }
        let mut cold = Vec::new();
        for page_number in [1, 3, 4, 5, 40, 60] {
            let piece = piece(&mapping, 1, page_number * page + 7, 50);
            add_cold(&mut cold, &piece, looked.clone(), &resident);
        }
        let at = |from: usize, to: usize| Extent {
            file: FileId::Segment(SegmentId(1)),
            offset: (from * page + 7) as u64,
            len: ((to - from) * page + 50) as u32,
        };
        assert_eq!(cold, [at(3, 5), at(60, 60)]);
    }
}
