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
mod image;
mod slot;

use std::ops::Range;

use super::Message;
use super::digest::Digest;
use crate::change::{FlagBits, UidSet};
use crate::checkpoint::Piece;
use crate::checkpoint::images::{Held, hold};
use crate::checkpoint::round::Round;
use crate::checkpoint::wire::{Wire, put, put_from};
use crate::ids::{ModSeq, ShardId, Uid};
use block::Block;
use slot::Slot;

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
    blocks: Vec<Slot>,
    len: usize,
    /// A block was merged or emptied that could not be read.
    damaged: bool,
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

    /// The rows of a block, which are read if they are not in memory.
    fn block(&self, at: usize) -> &Block {
        self.blocks[at].block(&self.marks[at])
    }

    pub(super) fn message(&self, place: usize) -> Message {
        let (at, row) = self.locate(place);
        self.block(at).message(row)
    }

    pub(super) fn uid(&self, place: usize) -> Uid {
        let (at, row) = self.locate(place);
        self.block(at).uid(row)
    }

    pub(super) fn modseq(&self, place: usize) -> ModSeq {
        let (at, row) = self.locate(place);
        self.block(at).modseq(row)
    }

    pub(super) fn flags(&self, place: usize) -> FlagBits {
        let (at, row) = self.locate(place);
        self.block(at).flags(row)
    }

    /// The last block whose first UID is not greater: the only one that can hold it.
    fn block_of(&self, uid: Uid) -> Option<usize> {
        self.marks.partition_point(|mark| mark.first <= uid.0).checked_sub(1)
    }

    /// How many messages have a smaller UID.
    pub(super) fn rank(&self, uid: Uid) -> usize {
        self.block_of(uid).map_or(0, |at| self.marks[at].start as usize + self.block(at).rank(uid))
    }

    pub(super) fn place(&self, uid: Uid) -> Option<usize> {
        let at = self.block_of(uid)?;
        self.block(at).row(uid).map(|row| self.marks[at].start as usize + row)
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
        let marked = (0..self.marks.len()).filter(move |&at| self.marks[at].newest > since.0);
        marked.flat_map(move |at| self.block(at).changed_since(since))
    }

    /// The first place whose message lacks `\Seen`.
    pub(super) fn first_unseen(&self) -> Option<usize> {
        let at = self.marks.iter().position(|mark| mark.unseen > 0)?;
        self.block(at).first_unseen().map(|row| self.marks[at].start as usize + row)
    }

    /// The UIDs that are there, as ranges.
    pub(super) fn uids(&self) -> UidSet {
        let mut uids = UidSet::new();
        (0..self.blocks.len()).for_each(|at| self.block(at).add_uids(&mut uids));
        uids
    }

    /// Appends a message. Rows that are in a file stay there: it goes behind them, into a block of its own if need
    /// be.
    pub(super) fn push(&mut self, message: Message) {
        if self.blocks.last().is_none_or(|slot| !slot.takes_more()) {
            let start = u32::try_from(self.len).expect("I11: no more messages than UIDs");
            if self.blocks.is_empty() {
                // Most mailboxes have one block for ever.
                self.marks.reserve_exact(1);
                self.blocks.reserve_exact(1);
            }
            self.marks.push(Mark { start, first: message.uid.0, unseen: 0, newest: 0 });
            self.blocks.push(Slot::default());
        }
        if let (Some(mark), Some(slot)) = (self.marks.last_mut(), self.blocks.last_mut()) {
            mark.unseen += unseen(message.flags);
            mark.newest = mark.newest.max(message.modseq.0);
            let block = slot.edit(mark);
            let last = block.len().checked_sub(1).map(|row| block.uid(row));
            assert!(last.is_none_or(|last| last < message.uid), "I11: UIDs only grow");
            block.push(message);
            self.len += 1;
        }
    }

    /// Takes the messages of another one, whose UIDs are greater: few one by one, many as the blocks they are in.
    pub(super) fn absorb(&mut self, other: Columns) {
        if other.len <= BLOCK_ROWS {
            (0..other.len).for_each(|place| self.push(other.message(place)));
            return;
        }
        let last = self.len.checked_sub(1).map(|last| self.uid(last).0);
        assert!(last.is_none_or(|last| last < other.marks[0].first), "I11: UIDs only grow");
        let start = u32::try_from(self.len).expect("I11: no more messages than UIDs");
        self.marks.extend(other.marks.iter().map(|mark| Mark { start: start + mark.start, ..*mark }));
        self.blocks.extend(other.blocks);
        self.len += other.len;
    }

    /// The messages of a block; none if there are not so many blocks.
    pub(super) fn rows_of_block(&self, at: usize) -> Option<impl ExactSizeIterator<Item = Message> + '_> {
        (at < self.blocks.len()).then(|| self.block(at).messages())
    }

    /// Gives a message other flags and the mod-sequence of that change.
    pub(super) fn set_flags(&mut self, place: usize, flags: FlagBits, modseq: ModSeq) {
        let (at, row) = self.locate(place);
        let mark = &mut self.marks[at];
        let block = self.blocks[at].edit(mark);
        mark.unseen = mark.unseen + unseen(flags) - unseen(block.flags(row));
        mark.newest = mark.newest.max(modseq.0);
        block.set_flags(row, flags, modseq);
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
            if !rows.is_empty() {
                self.blocks[at].edit(&self.marks[at]).remove(&rows);
            }
            rest = later;
        }
        self.len -= places.len();
        let from = touched.start.saturating_sub(1);
        let to = (touched.end + 1).min(self.blocks.len());
        let behind = self.merge(from..to, |into, block| into + block <= MERGED_ROWS_MAX);
        self.marks[behind..].iter_mut().for_each(|mark| mark.start -= places.len() as u32);
    }

    /// Makes few blocks of a run of them, and marks them anew: neighbours of which `fit` says so, by their
    /// numbers of rows, become one, and empty ones go. Returns the first block behind them.
    fn merge(&mut self, run: Range<usize>, fit: impl Fn(usize, usize) -> bool) -> usize {
        let (from, to) = (run.start, run.end);
        self.damaged |= self.blocks[from..to].iter().any(Slot::is_damaged);
        let mut start = from
            .checked_sub(1)
            .map_or(0, |before| self.marks[before].start as usize + self.blocks[before].len());
        let mut kept = from;
        for at in from + 1..to {
            let (into_len, len) = (self.blocks[kept].len(), self.blocks[at].len());
            if into_len == 0 {
                self.blocks.swap(kept, at);
                self.marks.swap(kept, at);
            } else if len > 0 && fit(into_len, len) {
                let (before, behind) = self.blocks.split_at_mut(at);
                before[kept].edit(&self.marks[kept]).absorb(behind[0].edit(&self.marks[at]));
            } else if len > 0 {
                kept += 1;
                self.blocks.swap(kept, at);
                self.marks.swap(kept, at);
            }
        }
        let end = if self.blocks[kept].len() == 0 { kept } else { kept + 1 };
        self.blocks.drain(end..to);
        self.marks.drain(end..to);
        for (mark, slot) in self.marks[from..end].iter_mut().zip(&self.blocks[from..end]) {
            mark.start = start as u32;
            if !slot.is_written() {
                *mark = slot.block(mark).mark(start as u32);
            }
            start += slot.len();
        }
        end
    }

    /// Bytes of memory that its rows take.
    pub(super) fn memory(&self) -> usize {
        let directory =
            self.marks.capacity() * size_of::<Mark>() + self.blocks.capacity() * size_of::<Slot>();
        directory + self.blocks.iter().map(Slot::memory).sum::<usize>()
    }

    /// Whether rows were asked for that cannot be read.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged || self.blocks.iter().any(Slot::is_damaged)
    }

    /// Whether all rows can be read, by the sums of those that are not in memory.
    pub(super) fn is_readable(&self) -> bool {
        !self.damaged && self.blocks.iter().all(Slot::is_readable)
    }

    /// Reads all rows that are not in memory; false if some cannot be read.
    pub(super) fn load(&self) -> bool {
        self.blocks.iter().zip(&self.marks).for_each(|(slot, mark)| _ = slot.block(mark));
        !self.is_damaged()
    }

    /// Where its rows are in checkpoint files.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.blocks.iter().filter_map(Slot::piece)
    }

    /// Where the rows are that are not in memory.
    pub(super) fn cold(&self) -> impl Iterator<Item = Piece> + '_ {
        self.blocks.iter().filter_map(Slot::cold_piece)
    }

    /// What it holds of checkpoint files.
    pub(super) fn hold(&self, held: &mut Held) {
        for piece in self.blocks.iter().filter_map(Slot::piece) {
            hold(held, piece.file, u64::from(piece.len));
        }
    }

    /// What is in that file is not to be counted on.
    pub(super) fn forget_images(&mut self, file: u32) {
        self.blocks.iter_mut().zip(&self.marks).for_each(|(slot, mark)| slot.forget_image(mark, file));
    }

    /// Puts the blocks that have changed into the round, and where all of them are into `out`. Small blocks at
    /// the end are put together first, such that a row is written again as often as the logarithm of the rows
    /// of a block says. None: bytes of an older checkpoint are damaged.
    pub(super) fn write(&mut self, round: &mut Round, out: &mut Vec<u8>) -> Option<()> {
        self.merge_tail();
        put(out, self.blocks.len() as u64);
        let (mut first, mut file) = (0, round.file);
        for (mark, slot) in self.marks.iter().zip(&mut self.blocks) {
            let piece = slot.write(mark, round)?;
            put(out, slot.len() as u64);
            put(out, u64::from(mark.first - first));
            put(out, u64::from(mark.unseen));
            put(out, mark.newest);
            put_from(out, u64::from(file), u64::from(piece.file));
            put(out, piece.offset);
            put(out, u64::from(piece.len));
            (first, file) = (mark.first, piece.file);
        }
        Some(())
    }

    /// Puts blocks that have changed, but for small ones, into the round until so many bytes wait to be written; true
    /// when there may be more. `write` finds them there, and what is damaged.
    pub(super) fn write_some(&mut self, round: &mut Round, bytes: usize) -> bool {
        for (mark, slot) in self.marks.iter().zip(&mut self.blocks) {
            if slot.len() <= MERGED_ROWS_MAX || !slot.needs_write(round) {
                continue;
            }
            if round.waiting() >= bytes {
                return true;
            }
            if slot.write(mark, round).is_none() {
                return false;
            }
        }
        false
    }

    fn merge_tail(&mut self) {
        let len = |at: usize| self.blocks[at].len();
        let Some(last) = self.blocks.len().checked_sub(1).filter(|&last| !self.blocks[last].is_written())
        else {
            return;
        };
        let (mut from, mut rows) = (last, len(last));
        while from > 0 && len(from - 1) < 2 * rows && len(from - 1) + rows <= BLOCK_ROWS {
            from -= 1;
            rows += len(from);
        }
        if from < last {
            self.merge(from..last + 1, |_, _| true);
        }
    }

    /// Reads what [`Columns::write`] put; `base` is the file that it is in, and `image` finds bytes.
    pub(super) fn read(
        wire: &mut Wire<'_>,
        base: u32,
        image: impl Fn(Piece) -> Option<bytes::Bytes>,
    ) -> Option<Columns> {
        let count = wire.count()?;
        let mut columns = Columns {
            marks: Vec::with_capacity(count),
            blocks: Vec::with_capacity(count),
            ..Columns::default()
        };
        let (mut first, mut file) = (0, base);
        for _ in 0..count {
            let rows = wire.word()?;
            first = wire.word().and_then(|more| u32::checked_add(first, more))?;
            let unseen = wire.word().filter(|&unseen| unseen <= rows)?;
            let newest = wire.number()?;
            file = u32::try_from(wire.number_from(u64::from(file))?).ok()?;
            let piece = Piece { file, offset: wire.number()?, len: wire.word()? };
            let start = u32::try_from(columns.len).ok()?;
            columns.marks.push(Mark { start, first, unseen, newest });
            columns.blocks.push(Slot::cold(rows, piece, image(piece)?)?);
            columns.len += rows as usize;
        }
        Some(columns)
    }

    pub(super) fn digest(&self, digest: &mut Digest, shard: Option<ShardId>) {
        digest.word(self.len as u64);
        for message in (0..self.blocks.len()).flat_map(|at| self.block(at).messages()) {
            digest.word(u64::from(message.uid.0) << 32 | u64::from(message.size));
            digest.word(message.modseq.0);
            digest.word(message.flags.0);
            digest.word(message.internal_ms);
            digest.word(message.saved_ms);
            digest.word(shard.map_or(message.body.0, |shard| message.email(shard).0));
            digest.word(u64::from(message.summary_len));
            digest.word(if shard.is_none() { message.known_as.0 } else { 0 });
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
    use crate::ids::{BodyId, EmailId};

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
            known_as: EmailId(0),
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
        let held = (0..columns.blocks.len()).flat_map(|at| columns.block(at).messages());
        let held = held.map(|message| message.uid.0);
        assert!(held.eq(expected.iter().copied()));
        let mut start = 0;
        for (at, mark) in columns.marks.iter().enumerate() {
            let block = columns.block(at);
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
