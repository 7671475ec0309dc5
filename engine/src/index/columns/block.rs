//! One block of messages, as a struct of arrays.
//!
//! *Owns*: eight columns of equal length, 40 bytes a row; a ninth in blocks with rows that came from another shard.
//! *Promises*: a removal of any number of rows is one pass over each column. *Assumes*: the directory knows where
//! its rows are. *Never*: grows beyond `BLOCK_ROWS`; [`super::Columns`] sees to it.

use super::{Mark, unseen};
use crate::change::{FlagBits, UidSet};
use crate::ids::{BodyId, EmailId, ModSeq, Uid};
use crate::index::Message;

/// Bytes of a row in the eight columns.
const ROW_BYTES: usize = 40;

/// A moment in whole seconds since 1970: both dates of a message have no more on the wire (rfc3501#9,
/// rfc8514#4.1). What is later than 2106-02-07T06:28:15Z is kept as that; nothing is earlier than 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seconds(u32);

impl Seconds {
    fn of_ms(ms: u64) -> Seconds {
        Seconds(u32::try_from(ms / 1000).unwrap_or(u32::MAX))
    }

    fn ms(self) -> u64 {
        u64::from(self.0) * 1000
    }
}

/// A mod-sequence in five bytes: none is greater than `limits::MODSEQ_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Modseq([u8; 5]);

impl Modseq {
    fn of(modseq: ModSeq) -> Modseq {
        let [a, b, c, d, e, rest @ ..] = modseq.0.to_le_bytes();
        assert_eq!(rest, [0; 3], "I10: a mod-sequence has 40 bits");
        Modseq([a, b, c, d, e])
    }

    fn number(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
    }
}

/// The length of a summary in three bytes: none is longer than `limits::SUMMARY_BYTES_MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SummaryLen([u8; 3]);

impl SummaryLen {
    fn of(len: u32) -> SummaryLen {
        let [a, b, c, rest] = len.to_le_bytes();
        assert_eq!(rest, 0, "a summary is shorter than 16 MiB");
        SummaryLen([a, b, c])
    }

    fn number(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_le_bytes([a, b, c, 0])
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Block {
    uid: Vec<u32>,
    modseq: Vec<Modseq>,
    flags: Vec<u64>,
    size: Vec<u32>,
    summary: Vec<SummaryLen>,
    internal: Vec<Seconds>,
    saved: Vec<Seconds>,
    body: Vec<u64>,
    /// Empty as long as every row's is 0.
    known_as: Vec<u64>,
}

impl Block {
    /// Nothing, and room for so many rows and no more.
    pub(super) fn with_room(rows: usize) -> Block {
        Block {
            uid: Vec::with_capacity(rows),
            modseq: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            size: Vec::with_capacity(rows),
            summary: Vec::with_capacity(rows),
            internal: Vec::with_capacity(rows),
            saved: Vec::with_capacity(rows),
            body: Vec::with_capacity(rows),
            ..Block::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.uid.len()
    }

    pub(super) fn message(&self, row: usize) -> Message {
        Message {
            uid: Uid(self.uid[row]),
            modseq: self.modseq(row),
            flags: FlagBits(self.flags[row]),
            size: self.size[row],
            summary_len: self.summary[row].number(),
            internal_ms: self.internal[row].ms(),
            saved_ms: self.saved[row].ms(),
            body: BodyId(self.body[row]),
            known_as: EmailId(self.known_as.get(row).copied().unwrap_or_default()),
        }
    }

    pub(super) fn messages(&self) -> impl ExactSizeIterator<Item = Message> + '_ {
        (0..self.len()).map(|row| self.message(row))
    }

    pub(super) fn uid(&self, row: usize) -> Uid {
        Uid(self.uid[row])
    }

    pub(super) fn modseq(&self, row: usize) -> ModSeq {
        ModSeq(self.modseq[row].number())
    }

    pub(super) fn flags(&self, row: usize) -> FlagBits {
        FlagBits(self.flags[row])
    }

    /// How many rows have a smaller UID.
    pub(super) fn rank(&self, uid: Uid) -> usize {
        self.uid.partition_point(|&present| present < uid.0)
    }

    pub(super) fn row(&self, uid: Uid) -> Option<usize> {
        self.uid.binary_search(&uid.0).ok()
    }

    /// Where the octets of each row were stored first; empty if all were stored here.
    pub(super) fn names(&self) -> &[u64] {
        &self.known_as
    }

    /// UIDs of the rows whose mod-sequence is greater.
    pub(super) fn changed_since(&self, since: ModSeq) -> impl Iterator<Item = Uid> + '_ {
        let rows = self.modseq.iter().zip(&self.uid).filter(move |(modseq, _)| modseq.number() > since.0);
        rows.map(|(_, &uid)| Uid(uid))
    }

    pub(super) fn first_unseen(&self) -> Option<usize> {
        self.flags.iter().position(|&flags| unseen(FlagBits(flags)) == 1)
    }

    /// Adds its UIDs to a set of smaller ones; without a look at the rows where there are no gaps.
    pub(super) fn add_uids(&self, uids: &mut UidSet) {
        match (self.uid.first(), self.uid.last()) {
            (Some(&first), Some(&last)) if (last - first) as usize + 1 == self.len() => {
                uids.push_range(Uid(first), Uid(last));
            }
            _ => self.uid.iter().for_each(|&uid| uids.push(Uid(uid))),
        }
    }

    /// What the directory has to know of it when its first row is at this place.
    pub(super) fn mark(&self, start: u32) -> Mark {
        Mark {
            start,
            first: self.uid[0],
            unseen: self.flags.iter().map(|&flags| unseen(FlagBits(flags))).sum(),
            newest: self.modseq.iter().map(|modseq| modseq.number()).max().unwrap_or(0),
        }
    }

    /// Bytes of memory that its rows take.
    pub(super) fn memory(&self) -> usize {
        ROW_BYTES * self.uid.capacity() + size_of::<u64>() * self.known_as.capacity()
    }

    pub(super) fn push(&mut self, message: Message) {
        self.uid.push(message.uid.0);
        self.modseq.push(Modseq::of(message.modseq));
        self.flags.push(message.flags.0);
        self.size.push(message.size);
        self.summary.push(SummaryLen::of(message.summary_len));
        self.internal.push(Seconds::of_ms(message.internal_ms));
        self.saved.push(Seconds::of_ms(message.saved_ms));
        self.body.push(message.body.0);
        if message.known_as != EmailId(0) || !self.known_as.is_empty() {
            self.known_as.resize(self.body.len() - 1, 0);
            self.known_as.push(message.known_as.0);
        }
    }

    pub(super) fn set_flags(&mut self, row: usize, flags: FlagBits, modseq: ModSeq) {
        self.flags[row] = flags.0;
        self.modseq[row] = Modseq::of(modseq);
    }

    /// Says where a row's octets were stored first.
    pub(super) fn set_name(&mut self, row: usize, name: EmailId) {
        self.known_as.resize(self.body.len(), 0);
        self.known_as[row] = name.0;
    }

    /// Removes these ascending rows.
    pub(super) fn remove(&mut self, rows: &[usize]) {
        remove_rows(&mut self.uid, rows);
        remove_rows(&mut self.modseq, rows);
        remove_rows(&mut self.flags, rows);
        remove_rows(&mut self.size, rows);
        remove_rows(&mut self.summary, rows);
        remove_rows(&mut self.internal, rows);
        remove_rows(&mut self.saved, rows);
        remove_rows(&mut self.body, rows);
        if !self.known_as.is_empty() {
            remove_rows(&mut self.known_as, rows);
        }
    }

    /// Takes the rows of another block, whose UIDs are greater, and leaves it empty.
    pub(super) fn absorb(&mut self, other: &mut Block) {
        if self.len() == 0 {
            return std::mem::swap(self, other);
        }
        self.uid.append(&mut other.uid);
        self.modseq.append(&mut other.modseq);
        self.flags.append(&mut other.flags);
        self.size.append(&mut other.size);
        self.summary.append(&mut other.summary);
        self.internal.append(&mut other.internal);
        self.saved.append(&mut other.saved);
        if !self.known_as.is_empty() || !other.known_as.is_empty() {
            self.known_as.resize(self.body.len(), 0);
            other.known_as.resize(other.body.len(), 0);
            self.known_as.append(&mut other.known_as);
        }
        self.body.append(&mut other.body);
    }
}

/// Closes the gaps by moving each run between two removed rows once.
fn remove_rows<T: Copy>(column: &mut Vec<T>, rows: &[usize]) {
    let Some(&first) = rows.first() else { return };
    let mut kept = first;
    for (at, &row) in rows.iter().enumerate() {
        let run = row + 1..rows.get(at + 1).copied().unwrap_or(column.len());
        let run_len = run.len();
        column.copy_within(run, kept);
        kept += run_len;
    }
    column.truncate(kept);
    // A block that was emptied gives its memory back; one that was thinned out keeps room to grow.
    if column.len() < column.capacity() / 4 {
        column.shrink_to(column.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_lose_their_milliseconds_and_stop_at_the_end() {
        for (ms, kept) in [(0, 0), (999, 0), (1_700_000_000_999, 1_700_000_000_000)] {
            assert_eq!(Seconds::of_ms(ms).ms(), kept);
        }
        let last = u64::from(u32::MAX) * 1000;
        for ms in [last, last + 1000, u64::MAX] {
            assert_eq!(Seconds::of_ms(ms).ms(), last);
        }
    }

    #[test]
    fn every_subset_is_removed_as_a_filter_would() {
        let whole: Vec<u32> = (0..8).collect();
        for mask in 0u32..256 {
            let rows: Vec<usize> = (0..8).filter(|row| mask & (1 << row) != 0).collect();
            let mut column = whole.clone();
            remove_rows(&mut column, &rows);
            let kept: Vec<u32> = whole.iter().copied().filter(|&value| mask & (1 << value) == 0).collect();
            assert_eq!(column, kept, "{rows:?}");
        }
    }
}
