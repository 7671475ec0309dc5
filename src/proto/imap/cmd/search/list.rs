//! What a search found, in the order asked for, with what is told beside it.
//!
//! *Owns*: message names (numbers or UIDs) in mailbox order or in a sorted one. *Promises*: memory in
//! proportion to ranges where the order is the mailbox's. *Assumes*: names in mailbox order are added in
//! ascending order. *Never*: repeats a name.

use std::ops::Range;

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::Uid;

/// Names in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum List {
    /// The mailbox's order.
    Ascending(UidSet),
    /// Another one.
    Sorted(Vec<u32>),
}

impl List {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            List::Ascending(set) => set.len() as usize,
            List::Sorted(names) => names.len(),
        }
    }

    /// The first one.
    pub fn first(&self) -> Option<u32> {
        match self {
            List::Ascending(set) => set.first().map(|uid| uid.0),
            List::Sorted(names) => names.first().copied(),
        }
    }

    /// The last one.
    pub fn last(&self) -> Option<u32> {
        match self {
            List::Ascending(set) => set.last().map(|uid| uid.0),
            List::Sorted(names) => names.last().copied(),
        }
    }

    /// Those at some places, in the same order.
    pub fn at(&self, places: &Range<usize>) -> List {
        match self {
            List::Sorted(names) => List::Sorted(names.get(places.clone()).unwrap_or_default().to_vec()),
            List::Ascending(set) => List::Ascending(set_at(set, places)),
        }
    }

    /// All of them, ascending.
    pub fn set(&self) -> UidSet {
        match self {
            List::Ascending(set) => set.clone(),
            List::Sorted(names) => {
                let mut ascending = names.clone();
                ascending.sort_unstable();
                ascending.into_iter().map(Uid).collect()
            }
        }
    }

    /// The run of successive names that begins at a cursor, and the cursor behind it. A cursor is 0 at first;
    /// it counts ranges or names, whichever the list is made of.
    pub fn run(&self, cursor: usize) -> Option<((u32, u32), usize)> {
        match self {
            List::Ascending(set) => set.ranges().get(cursor).map(|&range| (range, cursor + 1)),
            List::Sorted(names) => {
                let first = *names.get(cursor)?;
                let rest = names[cursor + 1..].iter().zip(first.saturating_add(1)..);
                // rfc5267#3.2: only ascending runs are ranges.
                let more = rest.take_while(|&(&name, next)| name == next).count();
                Some(((first, first + more as u32), cursor + 1 + more))
            }
        }
    }
}

fn set_at(set: &UidSet, places: &Range<usize>) -> UidSet {
    let mut at = UidSet::new();
    let mut before = 0u64;
    let (start, end) = (places.start as u64, places.end as u64);
    for &(first, last) in set.ranges() {
        let count = u64::from(last - first) + 1;
        let (from, to) = (start.max(before), end.min(before + count));
        if from < to {
            at.push_range(Uid(first + (from - before) as u32), Uid(first + (to - before) as u32 - 1));
        }
        before += count;
        if before >= end {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(list: &List) -> Vec<(u32, u32)> {
        let (mut runs, mut cursor) = (Vec::new(), 0);
        while let Some((run, next)) = list.run(cursor) {
            runs.push(run);
            cursor = next;
        }
        runs
    }

    #[test]
    fn places_of_ranges_are_those_of_their_names() {
        let names = [2u32, 3, 4, 9, 11, 12];
        let list = List::Ascending(names.into_iter().map(Uid).collect());
        assert_eq!((list.len(), list.first(), list.last()), (6, Some(2), Some(12)));
        for start in 0..=6 {
            for end in start..=6 {
                let expected: UidSet = names[start..end].iter().copied().map(Uid).collect();
                assert_eq!(list.at(&(start..end)), List::Ascending(expected), "{start}..{end}");
            }
        }
        assert_eq!(runs(&list), [(2, 4), (9, 9), (11, 12)]);
    }

    #[test]
    fn sorted_lists_shorten_ascending_runs_only() {
        let list = List::Sorted(vec![7, 8, 9, 3, 2, 1, u32::MAX]);
        assert_eq!(runs(&list), [(7, 9), (3, 3), (2, 2), (1, 1), (u32::MAX, u32::MAX)]);
        assert_eq!(list.at(&(1..4)), List::Sorted(vec![8, 9, 3]));
        assert_eq!(list.set().ranges(), [(1, 3), (7, 9), (u32::MAX, u32::MAX)]);
        assert_eq!((list.first(), list.last()), (Some(7), Some(u32::MAX)));
    }
}
