//! From durable to told.
//!
//! *Owns*: who waits for which log position. *Promises*: nobody hears of a change before the store has
//! applied it; in one turn first the replies, then the pushes, in log order. *Assumes*: positions complete
//! in order.
//! *Never*: decides what is durable.
//!
//! ```text
//!  Io ─► Store::complete ─► Progress.applied ─┬─► wait list: session, part of a delivery, administrator
//!                                             └─► sessions that watch the account
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ringpost_engine::change::Outcome;
use ringpost_engine::ids::{AccountId, Lsn, ShardId, Slot};
use ringpost_engine::io::{IoId, IoResult};
use ringpost_engine::store::Progress;

use crate::log::{Level, Line};
use crate::proto::Committed;
use crate::shard::Shard;
use crate::shard::delivery::PartId;
use crate::shard::desk::JobId;
use crate::shard::event::{ConnId, Effect};
use crate::shard::flow::Wake;

/// Who waits for a position.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    /// A session.
    Session(ConnId),
    /// One account of a part of a delivery.
    Part(PartId, usize),
    /// A claim, for the shard that the slot comes from.
    Claim(ShardId, Slot, u32),
    /// One change of an administrator's request.
    Job(JobId, usize),
}

/// The wait list. One waiter a position: whoever appended it.
pub(super) type Commits = BTreeMap<Lsn, Waiter>;

impl Shard {
    pub(super) fn on_io(&mut self, id: IoId, result: IoResult) {
        let progress = self.store.complete(id, result);
        if let Some(error) = &progress.fatal {
            self.fail(error.to_string());
            return;
        }
        self.on_progress(progress);
    }

    /// The disk failed for good: one line, and nothing is answered any more (DESIGN §5, failure policy).
    pub(super) fn fail(&mut self, why: String) {
        self.failed = true;
        self.effects.clear();
        self.wakes.clear();
        self.effects.push_back(Effect::Log(Line::new(Level::Error, "fatal").with("why", why.clone())));
        self.effects.push_back(Effect::Fatal(why));
    }

    fn on_progress(&mut self, progress: Progress) {
        let mut changed: BTreeSet<AccountId> = BTreeSet::new();
        self.counters.changes += progress.applied.len() as u64;
        for applied in progress.applied {
            changed.insert(applied.account);
            if let Some(waiter) = self.commits.remove(&applied.lsn) {
                self.committed(waiter, applied.lsn, applied.outcome);
            }
        }
        // A position that names no change (a fence) is reached when everything below it is.
        while let Some(entry) = self.commits.first_entry() {
            if *entry.key() >= progress.durable {
                break;
            }
            let (lsn, waiter) = entry.remove_entry();
            self.committed(waiter, lsn, Outcome::Done);
        }
        for account in changed {
            for conn in self.watchers.of(account) {
                self.counters.pushes += 1;
                self.wakes.push_back((conn, Wake::Push));
            }
        }
    }

    fn committed(&mut self, waiter: Waiter, lsn: Lsn, outcome: Outcome) {
        match waiter {
            Waiter::Session(conn) => self.wakes.push_back((conn, Wake::Commit(Committed { lsn, outcome }))),
            Waiter::Part(part, index) => self.part_committed(part, index, lsn, outcome),
            Waiter::Claim(from, slot, epoch) => self.claim_committed(from, slot, epoch, outcome),
            Waiter::Job(job, index) => self.job_committed(job, index, outcome),
        }
    }

    /// A session waits for a position; one that is already applied is told at once.
    pub(super) fn await_commit(&mut self, conn: ConnId, lsn: Lsn) {
        if lsn < self.store.durable() {
            let commit = Committed { lsn, outcome: Outcome::Done };
            self.wakes.push_back((conn, Wake::Commit(commit)));
        } else {
            self.commits.insert(lsn, Waiter::Session(conn));
        }
    }
}
