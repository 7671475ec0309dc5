//! Slots that change shards, as one shard sees it.
//!
//! *Owns*: how the table of owners comes about; the slot that is leaving; who waits until it has. *Promises*:
//! nobody is
//! served before every shard has told what its log knows; whoever waits goes on, where the slot is by then.
//! *Assumes*: one
//! slot moves at a time. *Never*: reads the accounts of a slot by itself: who moves it asks step by step.
//!
//! ```text
//!  here ──Close──► closed ──Hold──► still ──Hand──► claiming ──Claimed──► left ──sweep──► nothing of it is here
//!   ▲                │ time is up, or Open │              │ refused
//!   └────────────────┴─────────────────────┴──────────────┘
//! ```

mod leaving;
mod steps;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ringpost_engine::change::{Change, Outcome};
use ringpost_engine::ids::{AccountId, ShardId, Slot};
use ringpost_engine::owners::{Claim, Seat};

use self::leaving::Leaving;
use self::sweep::Sweep;
use crate::limits::{SLOT_PARKED_BYTES_MAX, SLOT_PARKED_MAX};
use crate::shard::Shard;
use crate::shard::commit::Waiter;
use crate::shard::desk::refused_words;
use crate::shard::event::{ConnId, Message, Ticket};

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Whether the list of domains is known.
    pub domains_known: bool,
    /// Whose log has been heard.
    heard: BTreeSet<ShardId>,
    leaving: Option<Leaving>,
    sweep: Option<Sweep>,
    /// Sessions that want to go to an address that is between shards.
    visitors: Vec<(ConnId, String)>,
    /// Deliveries to such addresses.
    parked: Vec<WaitingPart>,
    /// Deliveries that were sent after their accounts: who asked, and under which ticket.
    relays: BTreeMap<Ticket, (ShardId, Ticket)>,
}

/// A part of a delivery that waits until its account is on one shard.
#[derive(Debug)]
pub(super) struct WaitingPart {
    pub from: ShardId,
    pub ticket: Ticket,
    pub parts: Vec<Bytes>,
    pub summary: Bytes,
    pub accounts: Vec<String>,
    pub internal_ms: u64,
}

impl WaitingPart {
    fn bytes(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }
}

impl Slots {
    /// Whether all logs were heard.
    pub fn knows_all(&self, shards: u16) -> bool {
        self.heard.len() >= usize::from(shards)
    }

    /// Claims and deliveries that somebody waits for.
    pub fn under_way(&self) -> usize {
        usize::from(self.leaving.as_ref().is_some_and(Leaving::is_claiming))
            + self.parked.len()
            + self.relays.len()
    }

    /// A session waits for an address.
    pub fn wait_for(&mut self, conn: ConnId, address: String) {
        self.visitors.push((conn, address));
    }

    /// Keeps a delivery; gives it back when too many wait.
    pub fn park(&mut self, part: WaitingPart) -> Result<(), WaitingPart> {
        let bytes: usize = self.parked.iter().map(WaitingPart::bytes).sum();
        if self.parked.len() >= SLOT_PARKED_MAX || bytes + part.bytes() > SLOT_PARKED_BYTES_MAX {
            return Err(part);
        }
        self.parked.push(part);
        Ok(())
    }

    /// Who asked for a delivery that was sent on under this ticket.
    pub fn relayed(&mut self, ticket: Ticket) -> Option<(ShardId, Ticket)> {
        self.relays.remove(&ticket)
    }
}

impl Shard {
    /// Tells all others what this log knows.
    pub(super) fn announce_slots(&mut self) {
        let seats: Vec<(Slot, Seat)> = self.store.slots().map(|(slot, seat, _)| (slot, seat)).collect();
        self.tell_slots(&seats);
        self.learn_slots(self.id, &seats);
    }

    fn tell_slots(&mut self, seats: &[(Slot, Seat)]) {
        let here = self.id;
        for shard in (0..self.owners.shards()).map(ShardId).filter(|shard| *shard != here) {
            self.tell(shard, Message::Slots(seats.to_vec()));
        }
    }

    /// Takes in what a log says; when all were heard, what that means for this one.
    pub(super) fn learn_slots(&mut self, from: ShardId, seats: &[(Slot, Seat)]) {
        for (slot, seat) in seats {
            self.owners.learn(*slot, *seat);
        }
        let knew_all = self.slots.knows_all(self.owners.shards());
        self.slots.heard.insert(from);
        if !knew_all && self.slots.knows_all(self.owners.shards()) {
            self.settle_slots();
            self.become_ready();
        }
    }

    /// What a crash left: slots that another log has claimed are left, and what did not come whole goes.
    fn settle_slots(&mut self) {
        let own: BTreeMap<Slot, (Seat, bool)> =
            self.store.slots().map(|(slot, seat, clear)| (slot, (seat, clear))).collect();
        let mut left: Vec<(Slot, u32)> = Vec::new();
        let elsewhere: Vec<(Slot, Seat)> =
            self.owners.seats().filter(|(_, seat)| seat.holder != self.id).collect();
        for (slot, seat) in elsewhere {
            let was_here = match own.get(&slot) {
                Some((known, _)) => known.epoch < seat.epoch && known.holder == self.id,
                None => slot.shard(self.owners.shards()) == self.id,
            };
            let is_unclear = own.get(&slot).is_some_and(|(known, clear)| !clear && known.epoch == seat.epoch);
            if was_here && self.leave_slot(slot, seat) || is_unclear {
                left.push((slot, seat.epoch));
            }
        }
        let strays: Vec<AccountId> = self.store.arriving().collect();
        if !left.is_empty() || !strays.is_empty() {
            self.slots.sweep = Some(Sweep::after_start(left, strays));
        }
    }

    /// Notes that another log has the slot. False: there is no room for that now; the next start does it.
    fn leave_slot(&mut self, slot: Slot, seat: Seat) -> bool {
        let change = Change::SlotLeave { slot, epoch: seat.epoch, to: seat.holder };
        self.store.append(AccountId::default(), change, self.now).is_ok()
    }

    /// Everything of a slot has come, says the shard that has it now.
    pub(super) fn claim_slot(&mut self, from: ShardId, claim: Claim) {
        let (slot, epoch) = (claim.slot, claim.epoch);
        let held = self.store.claim_holds(&claim);
        let held = held.map_err(|refusal| format!("what came is not what was sent: {refusal:?}"));
        let change = Change::SlotClaim { claim };
        let claimed = held
            .and_then(|()| self.store.append(AccountId::default(), change, self.now).map_err(refused_words));
        match claimed {
            Ok(lsn) => drop(self.commits.insert(lsn, Waiter::Claim(from, slot, epoch))),
            Err(why) => self.tell(from, Message::Claimed { slot, epoch, refused: Some(why) }),
        }
    }

    pub(super) fn claim_committed(&mut self, from: ShardId, slot: Slot, epoch: u32, outcome: Outcome) {
        let refused = match outcome {
            Outcome::Refused(refusal) => Some(format!("the claim was refused: {refusal:?}")),
            _ => None,
        };
        if refused.is_none() {
            self.owners.learn(slot, Seat { epoch, holder: self.id });
        }
        self.tell(from, Message::Claimed { slot, epoch, refused });
    }

    /// An address of this shard, or why not.
    pub(super) fn check_owned(&self, address: &str) -> Result<(), String> {
        match self.owner(address) == self.id {
            true => Ok(()),
            false => Err(format!("{address} went to another shard at this moment: try again")),
        }
    }

    /// The same, if something may be founded there at the moment.
    pub(super) fn check_open(&self, address: &str) -> Result<(), String> {
        self.check_owned(address)?;
        match self.slots.leaving.as_ref().is_some_and(|leaving| leaving.slot == Slot::of(address)) {
            true => Err(format!("{address} goes to another shard at this moment: try again")),
            false => Ok(()),
        }
    }

    /// Whether what belongs to an address stays as it is until its slot has gone, or not.
    pub(super) fn is_still(&self, address: &str) -> bool {
        let leaving = self.slots.leaving.as_ref();
        leaving.is_some_and(|leaving| leaving.is_still() && leaving.slot == Slot::of(address))
    }
}
