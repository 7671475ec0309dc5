//! A disk that is slow, and one that cannot read.
//!
//! *Owns*: when a sync is done, and which read fails. *Promises*: everything else goes on while a sync takes its
//! time; a read that fails ends nothing. *Assumes*: events are counted by whoever lets them happen. *Never*: draws
//! from the seed of a run: one without these faults does what it did before there were any.

use std::collections::{BTreeMap, BTreeSet};

use ringpost_engine::io::{FileId, IoError, IoId, IoRequest, IoResult};
use ringpost_engine::testing::seed::Seed;

use crate::swarm::Swarm;
use crate::tally::{Kind, Tally};

/// A sync is slow when so many other events came first.
const SLOW_EVENTS: u64 = 10;
/// What a generator of its own makes of a seed's number.
const OWN: u64 = 0x0bad_da7a_0bad_d15c;

/// See the module's head.
pub struct Weather {
    seed: Seed,
    /// Events so far.
    events: u64,
    /// When each slow request was begun, and from which event on it may be done.
    slow: BTreeMap<IoId, (u64, u64)>,
    slow_syncs: u64,
    reads_fail_one_in: u64,
    /// Files of which a read has failed: the next one does not.
    failed: BTreeSet<FileId>,
}

impl Weather {
    /// That of a seed.
    pub fn new(number: u64, swarm: &Swarm) -> Weather {
        let Swarm { slow_syncs, reads_fail_one_in, .. } = *swarm;
        Weather {
            seed: Seed::new(number ^ OWN),
            events: 0,
            slow: BTreeMap::new(),
            slow_syncs,
            reads_fail_one_in,
            failed: BTreeSet::new(),
        }
    }

    /// From now on nothing is slow, and nothing fails.
    pub fn clears(&mut self) {
        (self.slow_syncs, self.reads_fail_one_in) = (0, 0);
        self.slow.clear();
    }

    /// A request begins.
    pub fn begin(&mut self, id: IoId, request: &IoRequest) {
        let syncs = matches!(request, IoRequest::Sync { .. } | IoRequest::Write { durable: true, .. });
        if syncs && self.slow_syncs > 0 {
            let until = self.events + self.seed.below(self.slow_syncs + 1);
            self.slow.insert(id, (self.events, until));
        }
    }

    /// Something happens.
    pub fn event(&mut self) {
        self.events += 1;
    }

    /// Whether the request may be done by now.
    pub fn is_done(&self, id: IoId) -> bool {
        self.slow.get(&id).is_none_or(|&(_, until)| until <= self.events)
    }

    /// The request is done: what comes of it instead, if it fails.
    pub fn end(&mut self, id: IoId, request: &IoRequest, tally: &mut Tally) -> Option<IoResult> {
        if let Some((begun, _)) = self.slow.remove(&id)
            && self.events >= begun + SLOW_EVENTS
        {
            tally.count(Kind::SlowSync);
        }
        let IoRequest::Read { file, .. } = request else { return None };
        if self.failed.remove(file)
            || self.reads_fail_one_in == 0
            || !self.seed.one_in(self.reads_fail_one_in)
        {
            return None;
        }
        self.failed.insert(*file);
        tally.count(Kind::ReadFailed);
        Some(IoResult::Failed(IoError::Failed("Input/output error (os error 5)".to_owned())))
    }

    /// The process is gone, and with it what it waited for.
    pub fn crash(&mut self) {
        self.slow.clear();
    }
}
