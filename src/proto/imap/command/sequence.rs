//! Message numbers and UIDs as clients name them.
//!
//! *Owns*: `sequence-set` (rfc3501#9) and what it means. *Promises*: a hostile order costs one sort.
//! *Assumes*: the parser bounded the ranges. *Never*: tells numbers from UIDs.

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::Uid;

/// One end of a range of a [`SequenceSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A number, never 0.
    At(u32),
    /// `*`: the largest number in use.
    Last,
}

/// Message numbers or UIDs as a client names them (rfc3501#9 `sequence-set`). Never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceSet {
    /// Inclusive ranges in the client's order; either end may be the larger one.
    pub ranges: Vec<(Bound, Bound)>,
    /// `$`: what the last search kept, too (rfc5182#2.1).
    pub saved: bool,
}

impl SequenceSet {
    /// The numbers meant, `$` aside, when `last` is the largest in use (0: none is). Numbers above `last`
    /// stay in the set. Sequence numbers and UIDs share the type: the caller knows which it asked for.
    pub fn resolve(&self, last: u32) -> UidSet {
        let value = |bound| match bound {
            Bound::At(number) => number,
            Bound::Last => last,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .ranges
            .iter()
            .map(|&(a, b)| (value(a), value(b)))
            .filter(|&(a, b)| a != 0 && b != 0)
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect();
        // In ascending order every push is cheap, so a hostile order costs one sort.
        ranges.sort_unstable();
        let mut set = UidSet::new();
        for (first, last) in ranges {
            set.push_range(Uid(first), Uid(last));
        }
        set
    }

    /// The largest number named, `*` aside: above the number of messages it is a client's mistake.
    pub fn largest_named(&self) -> u32 {
        let number = |bound| match bound {
            Bound::At(number) => number,
            Bound::Last => 0,
        };
        self.ranges.iter().map(|&(a, b)| number(a).max(number(b))).max().unwrap_or(0)
    }

    /// Whether `*` occurs: with no message there is nothing it could mean.
    pub fn names_last(&self) -> bool {
        self.ranges.iter().any(|&(a, b)| a == Bound::Last || b == Bound::Last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(Bound, Bound)]) -> SequenceSet {
        SequenceSet { ranges: ranges.to_vec(), saved: false }
    }

    #[test]
    fn star_is_the_largest_number_in_either_place() {
        use Bound::{At, Last};
        // rfc3501#9: with 15 messages, 2,4:7,9,12:* is 2,4,5,6,7,9,12,13,14,15
        let named = set(&[(At(2), At(2)), (At(4), At(7)), (At(9), At(9)), (At(12), Last)]);
        assert_eq!(named.resolve(15).ranges(), [(2, 2), (4, 7), (9, 9), (12, 15)]);
        // and with 10, *:4,5:7 is 4..=10; UID 559:* always holds the last message
        assert_eq!(set(&[(Last, At(4)), (At(5), At(7))]).resolve(10).ranges(), [(4, 10)]);
        assert_eq!(set(&[(At(559), Last)]).resolve(200).ranges(), [(200, 559)]);
    }

    #[test]
    fn star_of_an_empty_mailbox_is_nothing() {
        use Bound::{At, Last};
        assert!(set(&[(At(1), Last), (Last, Last)]).resolve(0).is_empty());
        assert_eq!(set(&[(At(3), At(3)), (Last, Last)]).largest_named(), 3);
        assert!(!set(&[(At(3), At(3))]).names_last());
    }

    #[test]
    fn descending_order_costs_one_sort() {
        let ranges: Vec<_> =
            (0..60_000u32).rev().map(|i| (Bound::At(i * 2 + 1), Bound::At(i * 2 + 1))).collect();
        assert_eq!(SequenceSet { ranges, saved: false }.resolve(9).ranges().len(), 60_000);
    }
}
