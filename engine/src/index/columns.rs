//! The messages of a mailbox, as a struct of arrays.
//!
//! *Owns*: seven columns of equal length in ascending order of UID (I15), 40 bytes a message.
//! *Promises*: places and ranks in O(log n); removal of any number of messages in one pass over each column.
//! *Assumes*: UIDs are appended in ascending order. *Never*: counts; the mailbox does.

use std::ops::Range;

use super::Message;
use super::digest::Digest;
use crate::change::{FlagBits, UidSet};
use crate::ids::{BodyId, ModSeq, Uid};

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

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Columns {
    uid: Vec<u32>,
    modseq: Vec<u64>,
    flags: Vec<u64>,
    size: Vec<u32>,
    internal: Vec<Seconds>,
    saved: Vec<Seconds>,
    body: Vec<u64>,
}

impl Columns {
    pub(super) fn len(&self) -> usize {
        self.uid.len()
    }

    pub(super) fn message(&self, place: usize) -> Message {
        Message {
            uid: Uid(self.uid[place]),
            modseq: ModSeq(self.modseq[place]),
            flags: FlagBits(self.flags[place]),
            size: self.size[place],
            internal_ms: self.internal[place].ms(),
            saved_ms: self.saved[place].ms(),
            body: BodyId(self.body[place]),
        }
    }

    pub(super) fn uid(&self, place: usize) -> Uid {
        Uid(self.uid[place])
    }

    pub(super) fn modseq(&self, place: usize) -> ModSeq {
        ModSeq(self.modseq[place])
    }

    pub(super) fn flags(&self, place: usize) -> FlagBits {
        FlagBits(self.flags[place])
    }

    /// How many messages have a smaller UID.
    pub(super) fn rank(&self, uid: Uid) -> usize {
        self.uid.partition_point(|&present| present < uid.0)
    }

    pub(super) fn place(&self, uid: Uid) -> Option<usize> {
        self.uid.binary_search(&uid.0).ok()
    }

    /// The places of the messages whose UID is in an inclusive range.
    pub(super) fn places(&self, first: u32, last: u32) -> Range<usize> {
        self.rank(Uid(first))..self.uid.partition_point(|&present| present <= last)
    }

    /// The places of the messages of a set, ascending.
    pub(super) fn places_of<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = usize> + 'a {
        uids.ranges().iter().flat_map(|&(first, last)| self.places(first, last))
    }

    /// How many messages of a set are there.
    pub(super) fn count_of(&self, uids: &UidSet) -> usize {
        uids.ranges().iter().map(|&(first, last)| self.places(first, last).len()).sum()
    }

    /// Places whose mod-sequence is greater: a look at every message.
    pub(super) fn places_changed_since(&self, since: ModSeq) -> impl Iterator<Item = usize> + '_ {
        self.modseq.iter().enumerate().filter(move |&(_, &modseq)| modseq > since.0).map(|(place, _)| place)
    }

    /// The first place from `from` on whose flags lack all of `bits`.
    pub(super) fn first_without(&self, bits: FlagBits, from: usize) -> Option<usize> {
        self.flags[from..].iter().position(|&flags| flags & bits.0 == 0).map(|skipped| from + skipped)
    }

    /// Appends a message.
    pub(super) fn push(&mut self, message: Message) {
        assert!(self.uid.last().is_none_or(|&last| last < message.uid.0), "I11: UIDs only grow");
        self.uid.push(message.uid.0);
        self.modseq.push(message.modseq.0);
        self.flags.push(message.flags.0);
        self.size.push(message.size);
        self.internal.push(Seconds::of_ms(message.internal_ms));
        self.saved.push(Seconds::of_ms(message.saved_ms));
        self.body.push(message.body.0);
    }

    /// Gives a message other flags and the mod-sequence of that change.
    pub(super) fn set_flags(&mut self, place: usize, flags: FlagBits, modseq: ModSeq) {
        self.flags[place] = flags.0;
        self.modseq[place] = modseq.0;
    }

    /// Removes the messages at these ascending places.
    pub(super) fn remove(&mut self, places: &[usize]) {
        remove_places(&mut self.uid, places);
        remove_places(&mut self.modseq, places);
        remove_places(&mut self.flags, places);
        remove_places(&mut self.size, places);
        remove_places(&mut self.internal, places);
        remove_places(&mut self.saved, places);
        remove_places(&mut self.body, places);
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.len() as u64);
        for place in 0..self.len() {
            let message = self.message(place);
            digest.word(u64::from(message.uid.0) << 32 | u64::from(message.size));
            digest.word(message.modseq.0);
            digest.word(message.flags.0);
            digest.word(message.internal_ms);
            digest.word(message.saved_ms);
            digest.word(message.body.0);
        }
    }
}

/// Closes the gaps by moving each run between two removed places once.
fn remove_places<T: Copy>(column: &mut Vec<T>, places: &[usize]) {
    let Some(&first) = places.first() else { return };
    let mut kept = first;
    for (at, &place) in places.iter().enumerate() {
        let run = place + 1..places.get(at + 1).copied().unwrap_or(column.len());
        let run_len = run.len();
        column.copy_within(run, kept);
        kept += run_len;
    }
    column.truncate(kept);
    // A mailbox that was emptied gives its memory back; one that was thinned out keeps room to grow.
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
            let places: Vec<usize> = (0..8).filter(|place| mask & (1 << place) != 0).collect();
            let mut column = whole.clone();
            remove_places(&mut column, &places);
            let kept: Vec<u32> = whole.iter().copied().filter(|&value| mask & (1 << value) == 0).collect();
            assert_eq!(column, kept, "{places:?}");
        }
    }
}
