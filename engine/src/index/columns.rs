//! The messages of a mailbox, as blocks of columns.
//!
//! *Owns*: every message in ascending order of UID (I15), in blocks of at most [`BLOCK_ROWS`], eight columns a
//! block, 40 bytes a message; and a directory with a mark for each block. *Promises*: places and ranks in
//! O(log n); a removal moves the rest of its block and passes over the directory, however long the mailbox;
//! what changed and what is unseen is found by blocks. *Assumes*: UIDs are appended in ascending order.
//! *Never*: counts over the whole; the mailbox does.
//!
//! ```text
//!  marks   start 0      start 2048   start 3100   …      one for each block: place and UID of its first row,
//!  blocks  2048 rows    1052 rows    2048 rows    …      rows without \Seen, greatest mod-sequence
//! ```

mod block;

use std::ops::Range;

use super::Message;
use super::digest::Digest;
use crate::change::{FlagBits, UidSet};
use crate::ids::{ModSeq, Uid};
use block::Block;

/// Rows of a full block: 80 KiB.
const BLOCK_ROWS: usize = 2048;
/// Neighbours with no more rows than this together become one block.
const MERGED_ROWS_MAX: usize = BLOCK_ROWS / 2;

/// What the directory knows of a block.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Place of its first row.
    start: u32,
    /// UID of its first row.
    first: u32,
    /// Rows without `\Seen`.
    unseen: u32,
    /// No row has a greater mod-sequence.
    newest: u64,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Columns {
    marks: Vec<Mark>,
    blocks: Vec<Block>,
    len: usize,
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The block that holds a place, and the row in it.
    fn locate(&self, place: usize) -> (usize, usize) {
        assert!(place < self.len, "a place is below the number of messages");
        let holds = |at: usize| self.marks.get(at + 1).is_none_or(|next| place < next.start as usize);
        // No block has more than BLOCK_ROWS, so it is not before this one; mostly it is this one or the next.
        let guess = place / BLOCK_ROWS;
        let at = match (holds(guess), holds(guess + 1)) {
            (true, _) => guess,
            (_, true) => guess + 1,
            _ => self.marks.partition_point(|mark| mark.start as usize <= place) - 1,
        };
        (at, place - self.marks[at].start as usize)
    }

    pub(super) fn message(&self, place: usize) -> Message {
        let (at, row) = self.locate(place);
        self.blocks[at].message(row)
    }

    pub(super) fn uid(&self, place: usize) -> Uid {
        let (at, row) = self.locate(place);
        self.blocks[at].uid(row)
    }

    pub(super) fn modseq(&self, place: usize) -> ModSeq {
        let (at, row) = self.locate(place);
        self.blocks[at].modseq(row)
    }

    pub(super) fn flags(&self, place: usize) -> FlagBits {
        let (at, row) = self.locate(place);
        self.blocks[at].flags(row)
    }

    /// The last block whose first UID is not greater: the only one that can hold it.
    fn block_of(&self, uid: Uid) -> Option<usize> {
        self.marks.partition_point(|mark| mark.first <= uid.0).checked_sub(1)
    }

    /// How many messages have a smaller UID.
    pub(super) fn rank(&self, uid: Uid) -> usize {
        self.block_of(uid).map_or(0, |at| self.marks[at].start as usize + self.blocks[at].rank(uid))
    }

    pub(super) fn place(&self, uid: Uid) -> Option<usize> {
        let at = self.block_of(uid)?;
        self.blocks[at].row(uid).map(|row| self.marks[at].start as usize + row)
    }

    /// The places of the messages whose UID is in an inclusive range.
    pub(super) fn places(&self, first: u32, last: u32) -> Range<usize> {
        self.rank(Uid(first))..last.checked_add(1).map_or(self.len, |after| self.rank(Uid(after)))
    }

    /// The places of the messages of a set, ascending.
    pub(super) fn places_of<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = usize> + 'a {
        uids.ranges().iter().flat_map(|&(first, last)| self.places(first, last))
    }

    /// How many messages of a set are there.
    pub(super) fn count_of(&self, uids: &UidSet) -> usize {
        uids.ranges().iter().map(|&(first, last)| self.places(first, last).len()).sum()
    }

    /// UIDs of the messages whose mod-sequence is greater, ascending: a look at every mark, and at the rows of
    /// the blocks that hold such messages.
    pub(super) fn changed_since(&self, since: ModSeq) -> impl Iterator<Item = Uid> + '_ {
        let marked = self.marks.iter().zip(&self.blocks).filter(move |(mark, _)| mark.newest > since.0);
        marked.flat_map(move |(_, block)| block.changed_since(since))
    }

    /// The first place whose message lacks `\Seen`.
    pub(super) fn first_unseen(&self) -> Option<usize> {
        let at = self.marks.iter().position(|mark| mark.unseen > 0)?;
        self.blocks[at].first_unseen().map(|row| self.marks[at].start as usize + row)
    }

    /// The UIDs that are there, as ranges.
    pub(super) fn uids(&self) -> UidSet {
        let mut uids = UidSet::new();
        self.blocks.iter().for_each(|block| block.add_uids(&mut uids));
        uids
    }

    /// Appends a message.
    pub(super) fn push(&mut self, message: Message) {
        let last = self.blocks.last().map(|block| block.uid(block.len() - 1));
        assert!(last.is_none_or(|last| last < message.uid), "I11: UIDs only grow");
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK_ROWS) {
            let start = u32::try_from(self.len).expect("I11: no more messages than UIDs");
            if self.blocks.is_empty() {
                // Most mailboxes have one block for ever.
                self.marks.reserve_exact(1);
                self.blocks.reserve_exact(1);
            }
            self.marks.push(Mark { start, first: message.uid.0, unseen: 0, newest: 0 });
            self.blocks.push(Block::default());
        }
        if let (Some(mark), Some(block)) = (self.marks.last_mut(), self.blocks.last_mut()) {
            mark.unseen += unseen(message.flags);
            mark.newest = mark.newest.max(message.modseq.0);
            block.push(message);
            self.len += 1;
        }
    }

    /// Gives a message other flags and the mod-sequence of that change.
    pub(super) fn set_flags(&mut self, place: usize, flags: FlagBits, modseq: ModSeq) {
        let (at, row) = self.locate(place);
        let mark = &mut self.marks[at];
        mark.unseen = mark.unseen + unseen(flags) - unseen(self.blocks[at].flags(row));
        mark.newest = mark.newest.max(modseq.0);
        self.blocks[at].set_flags(row, flags, modseq);
    }

    /// Removes the messages at these ascending places.
    pub(super) fn remove(&mut self, places: &[usize]) {
        let (Some(&first), Some(&last)) = (places.first(), places.last()) else { return };
        let touched = self.locate(first).0..self.locate(last).0 + 1;
        let mut rest = places;
        for at in touched.clone() {
            let start = self.marks[at].start as usize;
            let end = start + self.blocks[at].len();
            let (here, later) = rest.split_at(rest.partition_point(|&place| place < end));
            let rows: Vec<usize> = here.iter().map(|place| place - start).collect();
            self.blocks[at].remove(&rows);
            rest = later;
        }
        self.len -= places.len();
        let behind = self.merge(touched);
        self.marks[behind..].iter_mut().for_each(|mark| mark.start -= places.len() as u32);
    }

    /// Makes few blocks of those that lost rows and their neighbours, and marks them anew. Returns the first
    /// block behind them.
    fn merge(&mut self, touched: Range<usize>) -> usize {
        let from = touched.start.saturating_sub(1);
        let to = (touched.end + 1).min(self.blocks.len());
        let mut kept = from;
        for at in from + 1..to {
            let (before, behind) = self.blocks.split_at_mut(at);
            let (into, block) = (&mut before[kept], &mut behind[0]);
            if into.len() + block.len() <= MERGED_ROWS_MAX || into.len() == 0 || block.len() == 0 {
                into.absorb(block);
            } else {
                kept += 1;
                self.blocks.swap(kept, at);
            }
        }
        let end = if self.blocks[kept].len() == 0 { kept } else { kept + 1 };
        self.blocks.drain(end..to);
        self.marks.drain(end..to);
        let mut start = from
            .checked_sub(1)
            .map_or(0, |before| self.marks[before].start as usize + self.blocks[before].len());
        for (mark, block) in self.marks[from..end].iter_mut().zip(&self.blocks[from..end]) {
            *mark = block.mark(start as u32);
            start += block.len();
        }
        end
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.len as u64);
        for message in self.blocks.iter().flat_map(|block| block.messages()) {
            digest.word(u64::from(message.uid.0) << 32 | u64::from(message.size));
            digest.word(message.modseq.0);
            digest.word(message.flags.0);
            digest.word(message.internal_ms);
            digest.word(message.saved_ms);
            digest.word(message.body.0);
            digest.word(u64::from(message.summary_len));
        }
    }
}

/// 1 for a message without `\Seen`, 0 for one with it.
fn unseen(flags: FlagBits) -> u32 {
    u32::from(!flags.contains(FlagBits::SEEN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BodyId;

    fn message(uid: u32) -> Message {
        Message {
            uid: Uid(uid),
            modseq: ModSeq(u64::from(uid)),
            flags: FlagBits(u64::from(uid) & 1),
            size: uid,
            summary_len: 0,
            internal_ms: 0,
            saved_ms: 0,
            body: BodyId(u64::from(uid)),
        }
    }

    fn filled(count: u32) -> Columns {
        let mut columns = Columns::default();
        (1..=count).for_each(|n| columns.push(message(2 * n)));
        columns
    }

    /// Everything that the directory promises, by looking at every row.
    fn check(columns: &Columns, expected: &[u32]) {
        assert_eq!(columns.len(), expected.len());
        let held = columns.blocks.iter().flat_map(|block| block.messages()).map(|message| message.uid.0);
        assert!(held.eq(expected.iter().copied()));
        let mut start = 0;
        for (mark, block) in columns.marks.iter().zip(&columns.blocks) {
            assert!((1..=BLOCK_ROWS).contains(&block.len()));
            assert_eq!((mark.start as usize, mark.first), (start, block.uid(0).0));
            let lacking = block.messages().filter(|message| !message.flags.contains(FlagBits::SEEN));
            assert_eq!(mark.unseen as usize, lacking.count());
            assert!(block.messages().all(|message| message.modseq.0 <= mark.newest));
            start += block.len();
        }
        assert_eq!((start, columns.marks.len()), (columns.len(), columns.blocks.len()));
        for pair in columns.blocks.windows(2) {
            assert!(pair[0].len() + pair[1].len() > MERGED_ROWS_MAX, "sparse blocks are merged");
        }
        for (place, &uid) in expected.iter().enumerate() {
            assert_eq!((columns.uid(place), columns.place(Uid(uid))), (Uid(uid), Some(place)));
            assert_eq!((columns.rank(Uid(uid)), columns.rank(Uid(uid + 1))), (place, place + 1));
            assert_eq!(columns.place(Uid(uid + 1)), None);
        }
        let present: UidSet = expected.iter().copied().map(Uid).collect();
        assert_eq!((columns.uids(), columns.count_of(&present)), (present, expected.len()));
    }

    /// Removes the places for which `goes` says so, from columns and list alike.
    fn remove(columns: &mut Columns, expected: &mut Vec<u32>, goes: impl Fn(usize) -> bool) {
        let places: Vec<usize> = (0..expected.len()).filter(|&place| goes(place)).collect();
        columns.remove(&places);
        let mut place = 0;
        expected.retain(|_| {
            place += 1;
            !goes(place - 1)
        });
        check(columns, expected);
    }

    #[test]
    fn every_way_of_thinning_out_keeps_the_directory_right() {
        let count = 5 * BLOCK_ROWS as u32 + 3;
        let all: Vec<u32> = (1..=count).map(|n| 2 * n).collect();
        check(&filled(count), &all);
        let block = |place: usize| place / BLOCK_ROWS;
        let ways: [&dyn Fn(usize) -> bool; 8] = [
            &|place| place == 0,
            &|place| place < BLOCK_ROWS,
            &|place| block(place) == 2,
            &|place| block(place) >= 4,
            &|place| place % 2 == 1,
            &|place| place % 7 != 0,
            &|place| block(place) % 2 == 0 || place % 3 == 0,
            &|_| true,
        ];
        for (first, second) in (0..ways.len()).flat_map(|first| (0..ways.len()).map(move |way| (first, way)))
        {
            let (mut columns, mut expected) = (filled(count), all.clone());
            remove(&mut columns, &mut expected, ways[first]);
            remove(&mut columns, &mut expected, ways[second]);
            let next = 2 * count + 2;
            columns.push(message(next));
            expected.push(next);
            check(&columns, &expected);
        }
    }

    #[test]
    fn what_changed_and_what_is_unseen_is_found_by_blocks() {
        let count = 3 * BLOCK_ROWS as u32;
        let mut columns = filled(count);
        assert_eq!(columns.first_unseen(), Some(0));
        let newest = u64::from(2 * count);
        for place in 0..count as usize {
            columns.set_flags(place, FlagBits::SEEN, ModSeq(newest + 1));
        }
        assert_eq!(columns.first_unseen(), None);
        for place in [5000, 2050, 2048] {
            columns.set_flags(place, FlagBits::NONE, ModSeq(newest + 2));
            assert_eq!(columns.first_unseen(), Some(place));
        }
        let changed: Vec<Uid> = columns.changed_since(ModSeq(newest + 1)).collect();
        assert_eq!(changed, [2048, 2050, 5000].map(|place| columns.uid(place)));
        assert_eq!(columns.changed_since(ModSeq(newest)).count(), count as usize);
        assert_eq!(columns.changed_since(ModSeq(newest + 2)).count(), 0);
    }
}
