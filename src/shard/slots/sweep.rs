//! What a slot leaves behind.
//!
//! *Owns*: the removal of what another shard serves by now, and of what never came whole. *Promises*: a
//! bounded number of
//! addresses a tick; nothing goes that this shard serves. *Assumes*: the log knows that the slot was left; it
//! refuses
//! otherwise. *Never*: is needed for what is answered: who is not owned here is not served here.

use std::collections::BTreeSet;

use ringpost_engine::change::Change;
use ringpost_engine::ids::{AccountId, Slot};

use crate::limits::{SLOT_LINGER_MS, SLOT_LOOKS_MAX};
use crate::shard::Shard;
use crate::shard::event::CloseReason;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Sweep {
    slots: Vec<(Slot, u32)>,
    /// Accounts that were held when their slot was left.
    held: BTreeSet<AccountId>,
    /// Monotonic milliseconds until which their sessions may end by themselves.
    until_ms: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Sessions come to their end.
    Sessions,
    /// Those that never came whole.
    Strays(Vec<AccountId>),
    /// Addresses after this one.
    Accounts(String),
    /// Aliases after this one.
    Aliases(String),
    /// Deleted mailboxes from this one on.
    Gone(u64),
    /// Everything was found.
    Done,
}

impl Sweep {
    /// After a start: nobody is connected yet.
    pub(super) fn after_start(slots: Vec<(Slot, u32)>, strays: Vec<AccountId>) -> Sweep {
        Sweep { slots, held: BTreeSet::new(), until_ms: 0, stage: Stage::Strays(strays) }
    }

    /// After a claim.
    pub(super) fn after_claim(slot: (Slot, u32), held: BTreeSet<AccountId>, now_ms: u64) -> Sweep {
        Sweep { slots: vec![slot], held, until_ms: now_ms + SLOT_LINGER_MS, stage: Stage::Sessions }
    }

    /// Whether an address lies in one of the slots, and the slot has not come back.
    fn has(&self, address: &str, shard: &Shard) -> bool {
        let slot = Slot::of(address);
        self.slots.iter().any(|(left, _)| *left == slot) && shard.owners.owner(slot) != shard.id
    }
}

impl Shard {
    /// One more slot was left: what is there of it goes with what an earlier one left.
    pub(super) fn begin_sweep(&mut self, mut sweep: Sweep) {
        if let Some(mut before) = self.slots.sweep.take() {
            sweep.slots.append(&mut before.slots);
            sweep.held.append(&mut before.held);
        }
        self.slots.sweep = Some(sweep);
    }

    /// A step.
    pub(in crate::shard) fn tend_sweep(&mut self) {
        let Some(mut sweep) = self.slots.sweep.take() else { return };
        let next = match &sweep.stage {
            Stage::Sessions => self.end_sessions(&sweep).then_some(Stage::Accounts(String::new())),
            Stage::Strays(ids) => {
                let ids = ids.iter().copied().filter(|id| self.store.arriving().any(|other| other == *id));
                let ids: Vec<AccountId> = ids.collect();
                self.let_leave(ids).then_some(Stage::Accounts(String::new()))
            }
            Stage::Accounts(after) => self.sweep_accounts(&sweep, after),
            Stage::Aliases(after) => self.sweep_aliases(&sweep, after),
            Stage::Gone(from) => self.sweep_gone(&sweep, *from),
            Stage::Done => {
                let cleared = sweep.slots.iter().all(|(slot, epoch)| {
                    let change = Change::SlotClear { slot: *slot, epoch: *epoch };
                    self.store.append(AccountId::default(), change, self.now).is_ok()
                });
                if cleared {
                    // What was queued before is carried out before whatever comes now.
                    return self.store.release(sweep.held);
                }
                None
            }
        };
        // No room now: the same again at the next tick.
        sweep.stage = next.unwrap_or(sweep.stage);
        self.slots.sweep = Some(sweep);
    }

    /// True when no session is left that was with one of these accounts.
    fn end_sessions(&mut self, sweep: &Sweep) -> bool {
        let left = self.sessions_with(&sweep.held);
        if self.now.mono_ms >= sweep.until_ms {
            left.iter().for_each(|conn| self.hang_up(*conn, CloseReason::AccountMoved));
            return true;
        }
        left.is_empty()
    }

    /// Queues the end of accounts; false when there is no room for all of them.
    fn let_leave(&mut self, ids: Vec<AccountId>) -> bool {
        let now = self.now;
        ids.into_iter().all(|id| self.store.append(id, Change::AccountLeave, now).is_ok())
    }

    fn sweep_accounts(&mut self, sweep: &Sweep, after: &str) -> Option<Stage> {
        let page: Vec<(&str, AccountId)> = self.store.addresses_after(after).take(SLOT_LOOKS_MAX).collect();
        let last =
            (page.len() == SLOT_LOOKS_MAX).then(|| page.last().map(|(address, _)| (*address).to_owned()));
        let ours =
            page.into_iter().filter(|(address, _)| sweep.has(address, self)).map(|(_, id)| id).collect();
        let next = last.flatten().map_or(Stage::Aliases(String::new()), Stage::Accounts);
        self.let_leave(ours).then_some(next)
    }

    fn sweep_aliases(&mut self, sweep: &Sweep, after: &str) -> Option<Stage> {
        let page: Vec<&str> =
            self.store.aliases_after(after).take(SLOT_LOOKS_MAX).map(|(address, _)| address).collect();
        let last = (page.len() == SLOT_LOOKS_MAX).then(|| page.last().map(|address| (*address).to_owned()));
        let ours: Vec<String> =
            page.into_iter().filter(|address| sweep.has(address, self)).map(str::to_owned).collect();
        let now = self.now;
        let gone = ours.into_iter().all(|address| {
            let change = Change::AliasDelete { address };
            self.store.append(AccountId::default(), change, now).is_ok()
        });
        gone.then(|| last.flatten().map_or(Stage::Gone(0), Stage::Aliases))
    }

    fn sweep_gone(&mut self, sweep: &Sweep, from: u64) -> Option<Stage> {
        let (rows, next) = self.store.buried_mailboxes_from(from, SLOT_LOOKS_MAX);
        let ours: BTreeSet<AccountId> =
            rows.filter(|row| sweep.has(&row.address, self)).map(|row| row.account).collect();
        // Rows move up when some go: the same place again until there is none.
        let next = match (ours.is_empty(), next) {
            (false, _) => Stage::Gone(from),
            (true, Some(next)) => Stage::Gone(next),
            (true, None) => Stage::Done,
        };
        self.let_leave(ours.into_iter().collect()).then_some(next)
    }
}
