//! Sets of UIDs.
//!
//! *Owns*: [`UidSet`]. *Promises*: ranges stay ascending, disjoint and not adjacent, so equal sets are equal
//! values. *Assumes*: most sets are built in ascending order. *Never*: costs more than its ranges, however
//! wide they are.

use crate::ids::Uid;

/// A sorted set of UIDs as disjoint, non-adjacent, inclusive ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    pub fn new() -> UidSet {
        UidSet::default()
    }

    /// Adds a UID; cheap when UIDs come in ascending order.
    pub fn push(&mut self, uid: Uid) {
        self.push_range(uid, uid);
    }

    /// Adds an inclusive range; cheap when ranges come in ascending order.
    pub fn push_range(&mut self, first: Uid, last: Uid) {
        let (first, last) = (first.0.min(last.0), first.0.max(last.0));
        match self.ranges.last_mut() {
            Some(tail) if first >= tail.0 && first <= tail.1.saturating_add(1) => tail.1 = tail.1.max(last),
            Some(tail) if first < tail.0 => {
                self.ranges.push((first, last));
                self.normalise();
            }
            _ => self.ranges.push((first, last)),
        }
    }

    /// The set of these ranges, when they are what [`UidSet::ranges`] gives: ascending, disjoint, not
    /// adjacent, without UID 0. None otherwise.
    pub fn from_ranges(ranges: Vec<(u32, u32)>) -> Option<UidSet> {
        let mut free_from = 1u64;
        for &(first, last) in &ranges {
            if u64::from(first) < free_from || last < first {
                return None;
            }
            free_from = u64::from(last) + 2;
        }
        Some(UidSet { ranges })
    }

    /// The set of ranges in any order, each with its smaller end first.
    pub(crate) fn from_unsorted(ranges: Vec<(u32, u32)>) -> UidSet {
        let mut set = UidSet { ranges };
        set.normalise();
        set
    }

    fn normalise(&mut self) {
        self.ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(self.ranges.len());
        for &(first, last) in &self.ranges {
            match merged.last_mut() {
                Some(tail) if first <= tail.1.saturating_add(1) => tail.1 = tail.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        self.ranges = merged;
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs are in the set.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Whether `uid` is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, last)| last < uid.0);
        self.ranges.get(at).is_some_and(|&(first, _)| first <= uid.0)
    }

    /// All UIDs that are in either set.
    pub fn union(&self, other: &UidSet) -> UidSet {
        UidSet::from_unsorted([self.ranges.as_slice(), other.ranges.as_slice()].concat())
    }

    /// The UIDs that are in both sets.
    pub fn intersection(&self, other: &UidSet) -> UidSet {
        let (mut left, mut right) = (self.ranges.as_slice(), other.ranges.as_slice());
        let mut both = UidSet::new();
        while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                both.push_range(Uid(first), Uid(last));
            }
            if a.1 < b.1 {
                left = left_rest;
            } else {
                right = right_rest;
            }
        }
        both
    }

    /// The UIDs that are in this set and not in the other.
    pub fn difference(&self, other: &UidSet) -> UidSet {
        let mut rest = UidSet::new();
        let mut others = other.ranges.as_slice();
        for &(first, last) in &self.ranges {
            let mut from = Some(first);
            while let (Some(first), [(left, right), behind @ ..]) = (from, others) {
                if *left > last {
                    break;
                }
                if first < *left {
                    rest.push_range(Uid(first), Uid(left - 1));
                }
                if *right >= last {
                    from = None;
                    break;
                }
                from = Some(first.max(right + 1));
                others = behind;
            }
            if let Some(first) = from {
                rest.push_range(Uid(first), Uid(last));
            }
        }
        rest
    }

    /// The first UID.
    pub fn first(&self) -> Option<Uid> {
        self.ranges.first().map(|&(first, _)| Uid(first))
    }

    /// The last UID.
    pub fn last(&self) -> Option<Uid> {
        self.ranges.last().map(|&(_, last)| Uid(last))
    }

    /// Every UID, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| (first..=last).map(Uid))
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<T: IntoIterator<Item = Uid>>(uids: T) -> UidSet {
        let mut set = UidSet::new();
        for uid in uids {
            set.push(uid);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every subset of 1..=7 as a bit mask.
    fn of_mask(mask: u32) -> UidSet {
        (1..=7).filter(|bit| mask & (1 << bit) != 0).map(Uid).collect()
    }

    fn list(set: &UidSet) -> Vec<u32> {
        set.iter().map(|uid| uid.0).collect()
    }

    #[test]
    fn pairs_of_small_sets_behave_like_sets() {
        for left in (0..256).step_by(2) {
            for right in (0..256).step_by(2) {
                let (a, b) = (of_mask(left), of_mask(right));
                assert_eq!(a.union(&b), of_mask(left | right));
                assert_eq!(a.intersection(&b), of_mask(left & right));
                assert_eq!(a.difference(&b), of_mask(left & !right));
                assert_eq!(a.len(), u64::from(left.count_ones()));
                assert_eq!((1..=7).filter(|&uid| a.contains(Uid(uid))).collect::<Vec<_>>(), list(&a));
                assert_eq!(UidSet::from_ranges(a.ranges().to_vec()), Some(a));
            }
        }
    }

    #[test]
    fn any_order_of_pushes_gives_the_same_value() {
        let pushes = [(9, 9), (1, 3), (5, 4), (u32::MAX, u32::MAX), (4, 6), (u32::MAX - 1, u32::MAX)];
        let mut seen = BTreeSet::new();
        for rotation in 0..pushes.len() {
            let mut set = UidSet::new();
            for step in 0..pushes.len() {
                let (first, last) = pushes[(rotation + step) % pushes.len()];
                set.push_range(Uid(first), Uid(last));
            }
            seen.insert(set.ranges().to_vec());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [vec![(1, 6), (9, 9), (u32::MAX - 1, u32::MAX)]]);
    }

    #[test]
    fn ranges_that_are_not_canonical_are_refused() {
        for bad in
            [vec![(0, 1)], vec![(2, 1)], vec![(1, 2), (3, 4)], vec![(5, 6), (1, 2)], vec![(1, 4), (3, 9)]]
        {
            assert_eq!(UidSet::from_ranges(bad.clone()), None, "{bad:?}");
        }
        assert_eq!(UidSet::from_ranges(vec![(1, u32::MAX)]).map(|set| set.len()), Some(u64::from(u32::MAX)));
    }
}
