//! Messages that are gone and still have a number here.
//!
//! *Owns*: untold expunges, as runs of UIDs. *Promises*: a run costs the same for one message or a million;
//! every question is answered in O(log runs). *Assumes*: each UID of a run was numbered, and none of them is in
//! the store. *Never*: writes.

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};

/// A run of consecutive UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u32,
    last: u32,
    /// How many are gone below it.
    below: usize,
}

impl Run {
    fn len(self) -> usize {
        (self.last - self.first) as usize + 1
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Gone {
    /// Ascending, disjoint, not adjacent.
    runs: Vec<Run>,
    /// Every expunge up to here is told.
    told: Option<ModSeq>,
}

/// What stands behind a place in the client's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// A gone message.
    Gone(Uid),
    /// The present message at this place in the store.
    Present(usize),
}

impl Gone {
    /// How many messages.
    pub fn len(&self) -> usize {
        self.runs.last().map_or(0, |run| run.below + run.len())
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The highest mod-sequence at which nothing was expunged that is still to be told; none if nothing is.
    pub fn told_up_to(&self) -> Option<ModSeq> {
        self.told.filter(|_| !self.is_empty())
    }

    /// How many are below a UID.
    pub fn below(&self, uid: Uid) -> usize {
        let at = self.runs.partition_point(|run| run.last < uid.0);
        match self.runs.get(at) {
            Some(run) if run.first < uid.0 => run.below + (uid.0 - run.first) as usize,
            Some(run) => run.below,
            None => self.len(),
        }
    }

    /// The greatest UID.
    pub fn last(&self) -> Option<Uid> {
        self.runs.last().map(|run| Uid(run.last))
    }

    /// Whether any UID of an inclusive range is gone.
    pub fn any_in(&self, first: u32, last: u32) -> bool {
        let at = self.runs.partition_point(|run| run.last < first);
        self.runs.get(at).is_some_and(|run| run.first <= last)
    }

    /// How many UIDs of an inclusive range are gone.
    pub fn count_in(&self, first: u32, last: u32) -> usize {
        let end = if last == u32::MAX { self.len() } else { self.below(Uid(last + 1)) };
        end - self.below(Uid(first))
    }

    /// The UIDs from one to another, both included.
    pub fn within(&self, first: u32, last: u32) -> UidSet {
        let from = self.runs.partition_point(|run| run.last < first);
        let mut set = UidSet::new();
        for run in self.runs[from..].iter().take_while(|run| run.first <= last) {
            set.push_range(Uid(run.first.max(first)), Uid(run.last.min(last)));
        }
        set
    }

    /// What the client numbers at this place, from 0; `rank` says how many present messages have a smaller
    /// UID.
    pub fn stands_at(&self, index: usize, rank: impl Fn(Uid) -> usize) -> Stands {
        // A run begins at the place `rank + below`; that grows from run to run, so the split can be searched.
        let begins = |run: &Run| rank(Uid(run.first)) + run.below;
        let after = self.runs.partition_point(|run| begins(run) <= index);
        let Some(run) = after.checked_sub(1).map(|at| self.runs[at]) else {
            return Stands::Present(index);
        };
        match index - begins(&run) {
            into if into < run.len() => Stands::Gone(Uid(run.first + into as u32)),
            _ => Stands::Present(index - run.below - run.len()),
        }
    }

    /// Adds runs in order of mod-sequence.
    pub fn add(&mut self, runs: impl Iterator<Item = (ModSeq, u32, u32)>) {
        let mut ranges = Vec::new();
        for (modseq, first, last) in runs {
            if self.is_empty() && ranges.is_empty() {
                self.told = Some(ModSeq(modseq.0 - 1));
            }
            ranges.push((first, last));
        }
        if ranges.is_empty() {
            return;
        }
        ranges.extend(self.runs.iter().map(|run| (run.first, run.last)));
        ranges.sort_unstable();
        let mut set = UidSet::new();
        ranges.into_iter().for_each(|(first, last)| set.push_range(Uid(first), Uid(last)));
        self.set_to(set.ranges());
    }

    /// Takes the lowest `count` messages out: they are told.
    pub fn forget(&mut self, count: usize) {
        if count == self.len() {
            self.runs = Vec::new();
            return;
        }
        let mut left = count;
        let mut ranges = Vec::with_capacity(self.runs.len());
        for run in &self.runs {
            let here = left.min(run.len());
            left -= here;
            if here < run.len() {
                ranges.push((run.first + here as u32, run.last));
            }
        }
        self.set_to(&ranges);
    }

    /// The runs, lowest first.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.runs.iter().map(|run| (run.first, run.last))
    }

    fn set_to(&mut self, ranges: &[(u32, u32)]) {
        let mut below = 0;
        self.runs.clear();
        self.runs.extend(ranges.iter().map(|&(first, last)| {
            let run = Run { first, last, below };
            below += run.len();
            run
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UIDs 1..=12; those of the mask are gone.
    fn gone(mask: u32) -> (Gone, Vec<u32>) {
        let uids: Vec<u32> = (1..=12).filter(|uid| mask & (1 << (uid - 1)) != 0).collect();
        let mut gone = Gone::default();
        // In two helpings, the later one lower.
        let (low, high) = uids.split_at(uids.len() / 2);
        gone.add(high.iter().map(|&uid| (ModSeq(5), uid, uid)));
        gone.add(low.iter().map(|&uid| (ModSeq(9), uid, uid)));
        (gone, uids)
    }

    #[test]
    fn every_set_is_counted_as_a_list_would() {
        for mask in 0..4096 {
            let (gone, list) = gone(mask);
            assert_eq!((gone.len(), gone.last().map(|uid| uid.0)), (list.len(), list.last().copied()));
            for uid in 1..=13 {
                let below = list.iter().filter(|&&gone| gone < uid).count();
                assert_eq!(gone.below(Uid(uid)), below, "{list:?} {uid}");
                assert_eq!(gone.any_in(uid, uid), list.contains(&uid));
                let within = list.iter().filter(|&&gone| (uid..=uid + 3).contains(&gone));
                assert_eq!(gone.count_in(uid, uid + 3), within.clone().count());
                assert_eq!(
                    gone.within(uid, uid + 3).iter().map(|uid| uid.0).collect::<Vec<_>>(),
                    within.copied().collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn every_place_is_what_a_list_has_there() {
        for mask in 0..4096 {
            let (gone, list) = gone(mask);
            let present: Vec<u32> = (1..=12).filter(|uid| !list.contains(uid)).collect();
            let rank = |uid: Uid| present.iter().filter(|&&present| present < uid.0).count();
            for uid in 1..=12 {
                let expected = match present.iter().position(|&present| present == uid) {
                    Some(place) => Stands::Present(place),
                    None => Stands::Gone(Uid(uid)),
                };
                assert_eq!(gone.stands_at(uid as usize - 1, rank), expected, "{list:?}");
            }
        }
    }

    #[test]
    fn what_is_told_is_forgotten_from_below() {
        for count in 0..=6 {
            let (mut gone, list) = gone(0b0110_1101_0010);
            gone.forget(count);
            let left: Vec<u32> = gone.ranges().flat_map(|(first, last)| first..=last).collect();
            assert_eq!(left, list[count..]);
            assert_eq!(gone.len(), list.len() - count);
            assert_eq!(gone.told_up_to(), (count < list.len()).then_some(ModSeq(4)));
        }
    }
}
