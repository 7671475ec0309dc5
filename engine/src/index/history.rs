//! What was expunged from a mailbox, in order of mod-sequence.
//!
//! *Owns*: a bounded ring of runs of UIDs, with its floor.
//! *Promises*: complete for every mod-sequence at or above the ring's floor; memory within its bound.
//! *Assumes*: runs are recorded in ascending mod-sequence (I10). *Never*: guesses below its floor.

use std::collections::VecDeque;

use super::digest::Digest;
use crate::checkpoint::wire::{Wire, put, put_from};
use crate::ids::{ModSeq, Uid};
use crate::limits;

/// A run of UIDs that one change expunged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) modseq: ModSeq,
    pub(super) first: Uid,
    pub(super) last: Uid,
}

/// Runs in order of mod-sequence; the oldest fall out at the bound.
#[derive(Debug)]
pub(super) struct History {
    runs: VecDeque<Run>,
    floor: ModSeq,
    runs_max: usize,
}

impl History {
    /// Nothing happened yet.
    pub(super) fn new(runs_max: usize) -> History {
        History { runs: VecDeque::new(), floor: ModSeq(0), runs_max }
    }

    /// What happened at or below this mod-sequence may be forgotten.
    pub(super) fn floor(&self) -> ModSeq {
        self.floor
    }

    /// Records one more run.
    pub(super) fn record(&mut self, run: Run) {
        assert!(
            self.runs.back().is_none_or(|last| last.modseq <= run.modseq),
            "I10: mod-sequences only grow"
        );
        if self.runs.len() == self.runs_max
            && let Some(forgotten) = self.runs.pop_front()
        {
            self.floor = forgotten.modseq;
        }
        self.runs.push_back(run);
    }

    /// Runs of changes with a greater mod-sequence, oldest first.
    pub(super) fn since(&self, since: ModSeq) -> impl Iterator<Item = Run> + '_ {
        let from = self.runs.partition_point(|run| run.modseq <= since);
        self.runs.range(from..).copied()
    }

    /// Whether nothing was ever recorded.
    pub(super) fn is_new(&self) -> bool {
        self.runs.is_empty() && self.floor == ModSeq(0)
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Some of the runs, with the floor of all.
    pub(super) fn part(&self, from: usize, count: usize) -> History {
        let runs = self.runs.iter().skip(from).take(count).copied().collect();
        History { runs, floor: self.floor, runs_max: self.runs_max }
    }

    /// Takes a part of another history behind those that came before; none when it does not follow them.
    pub(super) fn extend(&mut self, part: History) -> Option<()> {
        let (last, first) = (self.runs.back(), part.runs.front());
        let follows = last.zip(first).is_none_or(|(last, first)| last.modseq <= first.modseq);
        let is_same = self.is_new() || self.floor == part.floor;
        let fits = self.runs.len() + part.runs.len() <= limits::EXPUNGE_HISTORY_MAX;
        (follows && is_same && fits).then_some(())?;
        (self.floor, self.runs_max) = (part.floor, part.runs_max.min(limits::EXPUNGE_HISTORY_MAX));
        self.runs.extend(part.runs);
        Some(())
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }

    /// All of it, for a checkpoint.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.floor.0);
        put(out, self.runs_max as u64);
        put(out, self.runs.len() as u64);
        let (mut modseq, mut last) = (self.floor.0, 0);
        for run in &self.runs {
            put_from(out, modseq, run.modseq.0);
            put_from(out, last, u64::from(run.first.0));
            put(out, u64::from(run.last.0 - run.first.0));
            (modseq, last) = (run.modseq.0, u64::from(run.last.0));
        }
    }

    /// What was written.
    pub(super) fn read(wire: &mut Wire<'_>) -> Option<History> {
        let floor = wire.number()?;
        let mut history = History::new(usize::try_from(wire.number()?).ok()?);
        history.floor = ModSeq(floor);
        let (mut modseq, mut last) = (floor, 0);
        for _ in 0..wire.count()? {
            modseq = wire.number_from(modseq).filter(|&next| next >= modseq)?;
            let first = u32::try_from(wire.number_from(last)?).ok()?;
            let run_last = first.checked_add(wire.word()?)?;
            history.runs.push_back(Run { modseq: ModSeq(modseq), first: Uid(first), last: Uid(run_last) });
            last = u64::from(run_last);
        }
        wire.is_empty().then_some(history)
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.floor.0);
        digest.word(self.runs.len() as u64);
        for run in &self.runs {
            digest.word(run.modseq.0);
            digest.word(u64::from(run.first.0) << 32 | u64::from(run.last.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(modseq: u64, uid: u32) -> Run {
        Run { modseq: ModSeq(modseq), first: Uid(uid), last: Uid(uid) }
    }

    #[test]
    fn the_floor_is_the_youngest_that_was_forgotten() {
        let mut history = History::new(3);
        for (modseq, uid) in [(2, 1), (5, 2), (5, 3), (5, 4), (7, 5)] {
            history.record(run(modseq, uid));
        }
        assert_eq!(history.floor(), ModSeq(5));
        assert_eq!(history.since(ModSeq(5)).collect::<Vec<_>>(), [run(7, 5)]);
        assert_eq!(history.since(ModSeq(7)).count(), 0);
    }
}
