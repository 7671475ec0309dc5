//! Sets of UIDs.
//!
//! *Owns*: ranges, ascending and apart. *Promises*: as short as they can be. *Assumes*: nothing. *Never*: holds a UID
//! twice.

/// UIDs, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(pub Vec<(u32, u32)>);

impl Ranges {
    /// One more, greater than all before.
    pub fn push(&mut self, uid: u32) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == uid => *last = uid,
            _ => self.0.push((uid, uid)),
        }
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// The place of the range that holds a UID, or where it would stand.
    fn find(&self, uid: u32) -> Result<usize, usize> {
        let at = self.0.partition_point(|&(_, last)| last < uid);
        match self.0.get(at) {
            Some(&(first, _)) if first <= uid => Ok(at),
            _ => Err(at),
        }
    }

    /// Whether it is in.
    pub fn contains(&self, uid: u32) -> bool {
        self.find(uid).is_ok()
    }

    /// One more, wherever it belongs. Returns whether it was not in.
    pub fn insert(&mut self, uid: u32) -> bool {
        let Err(at) = self.find(uid) else { return false };
        let touches = |at: Option<usize>, edge: fn(&(u32, u32)) -> Option<u32>| {
            at.and_then(|at| self.0.get(at)).and_then(edge) == Some(uid)
        };
        let after = touches(at.checked_sub(1), |(_, last)| last.checked_add(1));
        let before = touches(Some(at), |(first, _)| first.checked_sub(1));
        match (after, before) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = uid,
            (false, true) => self.0[at].0 = uid,
            (false, false) => self.0.insert(at, (uid, uid)),
        }
        true
    }

    /// One less. Returns whether it was in.
    pub fn remove(&mut self, uid: u32) -> bool {
        let Ok(at) = self.find(uid) else { return false };
        let (first, last) = self.0[at];
        let parts = [(first < uid).then(|| (first, uid - 1)), (uid < last).then(|| (uid + 1, last))];
        self.0.splice(at..=at, parts.into_iter().flatten());
        true
    }

    /// Joins those with the least between them until there are no more than so many.
    pub fn coarsen(&mut self, most: usize) {
        while self.0.len() > most.max(1) {
            let gap = |at: &usize| self.0[at + 1].0 - self.0[*at].1;
            let Some(at) = (0..self.0.len() - 1).min_by_key(gap) else { return };
            self.0[at].1 = self.0[at + 1].1;
            self.0.remove(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uids: &[u32]) -> Ranges {
        let mut ranges = Ranges::default();
        uids.iter().for_each(|&uid| assert!(ranges.insert(uid), "{uid}"));
        ranges
    }

    #[test]
    fn uids_are_kept_in_as_few_ranges_as_they_make() {
        let mut ranges = of(&[7, 3, 5, 4, u32::MAX, 1, 8]);
        assert_eq!(ranges.0, [(1, 1), (3, 5), (7, 8), (u32::MAX, u32::MAX)]);
        assert!(!ranges.insert(4));
        assert_eq!((ranges.len(), ranges.contains(5), ranges.contains(6)), (7, true, false));
        assert!(ranges.remove(4) && ranges.remove(1) && ranges.remove(8) && !ranges.remove(4));
        assert_eq!(ranges.0, [(3, 3), (5, 5), (7, 7), (u32::MAX, u32::MAX)]);
    }

    #[test]
    fn too_many_ranges_are_joined_where_least_lies_between() {
        let mut ranges = of(&[1, 9, 12, 30]);
        ranges.coarsen(3);
        assert_eq!(ranges.0, [(1, 1), (9, 12), (30, 30)]);
        ranges.coarsen(0);
        assert_eq!(ranges.0, [(1, 30)]);
    }
}
