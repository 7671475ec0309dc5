//! Sorting by octet strings, in pieces.
//!
//! *Owns*: keys, and the order of those who added them. *Promises*: ascending by key, then by turn of adding;
//! bounded work a call, `IMAP_SORT_BYTES_MAX` in all. *Assumes*: keys are made so that comparing octets is
//! comparing what they stand for (see [`KeyWriter`]). *Never*: knows what is sorted.
//!
//! ```text
//!  add … ─► runs of IMAP_SORT_RUN_MAX, each sorted in one call ─► heap of their heads ─► order, piece by piece
//! ```

use super::room::release;
use crate::limits::{IMAP_SORT_BYTES_MAX, IMAP_SORT_MERGE_MAX, IMAP_SORT_RUN_MAX};

/// See the module.
#[derive(Debug, Default)]
pub struct Sorter {
    entries: Vec<Entry>,
    /// What follows the first octets of keys longer than those.
    tails: Vec<u8>,
    /// Entries before this are in sorted runs.
    run_end: usize,
    /// The unread part of each run, as a heap by its first entry; empty while runs are made.
    heap: Vec<(usize, usize)>,
    merging: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The first octets of the key, filled up with zeros.
    start: u64,
    /// Where the rest is.
    tail_at: u32,
    tail_len: u32,
    /// Its turn of adding.
    turn: u32,
}

const START_LEN: usize = 8;

/// More than `IMAP_SORT_BYTES_MAX` would be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

impl Sorter {
    /// Adds the next one.
    pub fn add(&mut self, key: &[u8]) -> Result<(), TooMuch> {
        let (head, tail) = key.split_at(key.len().min(START_LEN));
        let mut start = [0; START_LEN];
        start[..head.len()].copy_from_slice(head);
        let bytes = (self.entries.len() + 1) * size_of::<Entry>() + self.tails.len() + tail.len();
        if bytes > IMAP_SORT_BYTES_MAX {
            return Err(TooMuch);
        }
        self.entries.push(Entry {
            start: u64::from_be_bytes(start),
            tail_at: self.tails.len() as u32,
            tail_len: tail.len() as u32,
            turn: self.entries.len() as u32,
        });
        self.tails.extend_from_slice(tail);
        Ok(())
    }

    /// Goes on after all were added; `place` hears the turns of the next ones in order. Whether all are told.
    pub fn step(&mut self, mut place: impl FnMut(usize)) -> bool {
        if self.run_end < self.entries.len() {
            self.sort_run();
            return false;
        }
        if !self.merging {
            self.merging = true;
            for at in (0..self.heap.len()).rev() {
                self.sift(at);
            }
        }
        for _ in 0..IMAP_SORT_MERGE_MAX {
            let Some(&(next, end)) = self.heap.first() else { return true };
            place(self.entries[next].turn as usize);
            if next + 1 < end {
                self.heap[0].0 += 1;
            } else {
                self.heap.swap_remove(0);
            }
            self.sift(0);
        }
        self.heap.is_empty()
    }

    /// Makes room for so many keys before they come, so that what is there needs not be moved.
    pub fn expect(&mut self, count: usize) {
        self.entries.reserve_exact(count.min(IMAP_SORT_BYTES_MAX / size_of::<Entry>()));
    }

    /// Forgets a piece of what was sorted, when all of it is told. Whether there is more.
    pub fn release(&mut self) -> bool {
        release(&mut self.entries) || release(&mut self.tails)
    }

    fn sort_run(&mut self) {
        let end = self.entries.len().min(self.run_end + IMAP_SORT_RUN_MAX);
        let tails = &self.tails;
        self.entries[self.run_end..end].sort_unstable_by_key(|entry| entry.key(tails));
        self.heap.push((self.run_end, end));
        self.run_end = end;
    }

    /// Moves a run down the heap to where it belongs.
    fn sift(&mut self, mut at: usize) {
        let key = |run: &(usize, usize)| self.entries[run.0].key(&self.tails);
        loop {
            let below = [2 * at + 1, 2 * at + 2].into_iter().filter(|&child| child < self.heap.len());
            let Some(least) = below.min_by_key(|&child| key(&self.heap[child])) else { return };
            if key(&self.heap[at]) <= key(&self.heap[least]) {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }
}

impl Entry {
    fn key<'a>(&self, tails: &'a [u8]) -> (u64, &'a [u8], u32) {
        let at = self.tail_at as usize;
        (self.start, tails.get(at..at + self.tail_len as usize).unwrap_or_default(), self.turn)
    }
}

/// Makes keys of several parts whose octets compare as the parts do, one after the other. No part is the
/// beginning of another one.
#[derive(Debug, Default)]
pub struct KeyWriter {
    key: Vec<u8>,
    /// Where the part under way begins.
    part: usize,
}

impl KeyWriter {
    /// Begins another key.
    pub fn clear(&mut self) {
        self.key.clear();
        self.part = 0;
    }

    /// The key so far.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// A number.
    pub fn number(&mut self, number: u64) {
        self.part = self.key.len();
        self.key.extend_from_slice(&number.to_be_bytes());
    }

    /// A number that may be negative.
    pub fn signed(&mut self, number: i64) {
        self.number((number as u64) ^ (1 << 63));
    }

    /// A text; the empty one is before all others (rfc5256#3).
    pub fn text(&mut self, text: &[u8]) {
        self.part = self.key.len();
        for piece in text.split_inclusive(|&octet| octet == 0) {
            self.key.extend_from_slice(piece);
            if piece.last() == Some(&0) {
                self.key.push(1);
            }
        }
        self.key.extend_from_slice(&[0, 0]);
    }

    /// Turns the order of the last part around.
    pub fn reverse(&mut self) {
        self.key[self.part..].iter_mut().for_each(|octet| *octet = !*octet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(sorter: &mut Sorter) -> Vec<usize> {
        let mut order = Vec::new();
        while !sorter.step(|turn| order.push(turn)) {}
        order
    }

    #[test]
    fn keys_compare_as_their_parts() {
        let texts: [&[u8]; 6] = [b"", b"\0", b"\0a", b"a", b"a\0", b"ab"];
        let numbers = [i64::MIN, -1, 0, 1, i64::MAX];
        let parts: Vec<(&[u8], i64)> =
            texts.iter().flat_map(|&text| numbers.iter().map(move |&number| (text, number))).collect();
        let key = |&(text, number): &(&[u8], i64), reverse: bool| {
            let mut writer = KeyWriter::default();
            writer.text(text);
            if reverse {
                writer.reverse();
            }
            writer.signed(number);
            writer.key().to_vec()
        };
        for one in &parts {
            for other in &parts {
                assert_eq!(key(one, false).cmp(&key(other, false)), one.cmp(other), "{one:?} {other:?}");
                let turned = other.0.cmp(one.0).then(one.1.cmp(&other.1));
                assert_eq!(key(one, true).cmp(&key(other, true)), turned, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn many_runs_merge_to_what_one_sort_gives() {
        let mut state = 7u64;
        let keys: Vec<Vec<u8>> = (0..3 * IMAP_SORT_RUN_MAX + 5)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Few different keys, some of them alike in their first octets, some short.
                let mut key = format!("key {}", (state >> 33) % 9_970).into_bytes();
                key.truncate(5 + (state >> 61) as usize);
                key
            })
            .collect();
        let mut sorter = Sorter::default();
        keys.iter().for_each(|key| sorter.add(key).unwrap());
        let mut expected: Vec<usize> = (0..keys.len()).collect();
        expected.sort_by_key(|&turn| &keys[turn]);
        assert_eq!(sorted(&mut sorter), expected);
        assert!(sorted(&mut Sorter::default()).is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut sorter = Sorter::default();
        let key = vec![b'x'; 1024 * 1024];
        let kept = (0..).take_while(|_| sorter.add(&key).is_ok()).count();
        assert!(
            kept * key.len() <= IMAP_SORT_BYTES_MAX && (kept + 1) * key.len() + 1024 > IMAP_SORT_BYTES_MAX
        );
    }
}
