//! A slot between two shards.
//!
//! *Owns*: how far it is; who is kept back meanwhile. *Promises*: commands and deliveries that wait go on or
//! are told
//! that they cannot; a slot of which nobody asks any more opens by itself, but not while its claim may become
//! durable.
//! *Assumes*: the target answers every claim, or the process ends. *Never*: lets a session or delivery change
//! what is held.

use std::collections::BTreeSet;

use ringpost_engine::ids::{AccountId, ShardId, Slot};
use ringpost_engine::owners::{Claim, Seat};

use super::WaitingPart;
use super::sweep::Sweep;
use crate::limits::{SLOT_CLOSED_MS, SLOT_QUIET_MS};
use crate::shard::Shard;
use crate::shard::admin::AdminReply;
use crate::shard::event::{ConnId, Message, Ticket};
use crate::shard::flow::Wake;
use crate::shard::session::Connection;

/// The slot that is leaving.
#[derive(Debug)]
pub(super) struct Leaving {
    pub slot: Slot,
    pub to: ShardId,
    /// Monotonic milliseconds at which it opens again.
    until_ms: u64,
    accounts: BTreeSet<AccountId>,
    stage: Stage,
}

/// Whoever asked for a step that is not answered yet.
type Asker = (ShardId, Ticket);

#[derive(Debug)]
enum Stage {
    /// Nothing is founded in it.
    Closed,
    /// No command begins; those under way have this long to end.
    Quieting { asker: Asker, until_ms: u64, checks: Ticket },
    /// Nothing more is queued; what is has to become durable.
    Holding { asker: Asker },
    /// It stays as it is.
    Still,
    /// The target was asked to take it.
    Claiming { asker: Asker },
}

impl Leaving {
    /// Whether nothing of it may change.
    pub(super) fn is_still(&self) -> bool {
        !matches!(self.stage, Stage::Closed | Stage::Quieting { .. })
    }

    pub(super) fn is_claiming(&self) -> bool {
        matches!(self.stage, Stage::Claiming { .. })
    }

    /// Whether no command of these accounts begins.
    fn keeps_back(&self, account: Option<AccountId>) -> bool {
        !matches!(self.stage, Stage::Closed)
            && account.is_some_and(|account| self.accounts.contains(&account))
    }
}

impl Shard {
    /// Whether a session has to wait until its account is on one shard.
    pub(in crate::shard) fn is_kept_back(&self, connection: &Connection) -> bool {
        self.slots.leaving.as_ref().is_some_and(|leaving| {
            leaving.keeps_back(connection.session.account())
                || leaving.keeps_back(connection.session.watches())
        })
    }

    /// Closes a slot.
    pub(super) fn close_slot(&mut self, slot: Slot, to: ShardId) -> Result<(), String> {
        if self.owners.owner(slot) != self.id || to == self.id || to.0 >= self.owners.shards() {
            return Err(format!("slot {slot} cannot go from shard {} to shard {to}", self.id));
        }
        if self.slots.leaving.is_some() {
            return Err("another slot is on its way: try again".to_owned());
        }
        let until_ms = self.now.mono_ms + SLOT_CLOSED_MS;
        let accounts = BTreeSet::new();
        self.slots.leaving = Some(Leaving { slot, to, until_ms, accounts, stage: Stage::Closed });
        Ok(())
    }

    /// No command of these accounts begins from now on.
    pub(super) fn hold_slot(&mut self, asker: Asker, accounts: Vec<AccountId>) {
        let until_ms = self.now.mono_ms + SLOT_QUIET_MS;
        let checks = self.ticket();
        match &mut self.slots.leaving {
            Some(leaving) if matches!(leaving.stage, Stage::Closed) => {
                leaving.accounts = accounts.into_iter().collect();
                leaving.stage = Stage::Quieting { asker, until_ms, checks };
            }
            _ => self.answer_asker(asker, Err(too_late())),
        }
    }

    fn answer_asker(&mut self, (to, ticket): Asker, result: Result<(), String>) {
        let reply = result.map_or_else(AdminReply::Refused, |()| AdminReply::Done);
        self.tell(to, Message::AdminReply { ticket, reply });
    }

    /// Goes on with the slot that is leaving, as far as others are.
    pub(in crate::shard) fn tend_leaving(&mut self) {
        let Some(leaving) = &self.slots.leaving else { return };
        match &leaving.stage {
            Stage::Quieting { until_ms, checks, .. } => {
                let busy = self.directory.checks_since_before(*checks) || self.is_under_command(leaving);
                if !busy || self.now.mono_ms >= *until_ms {
                    self.begin_holding();
                }
            }
            Stage::Holding { asker } if self.store.is_held_still() => {
                let asker = *asker;
                if let Some(leaving) = &mut self.slots.leaving {
                    leaving.stage = Stage::Still;
                }
                self.answer_asker(asker, Ok(()));
            }
            _ => {}
        }
        let is_over = |leaving: &Leaving| !leaving.is_claiming() && self.now.mono_ms >= leaving.until_ms;
        if self.slots.leaving.as_ref().is_some_and(is_over) {
            self.open_slot();
        }
    }

    fn begin_holding(&mut self) {
        let Some(leaving) = &mut self.slots.leaving else { return };
        let Stage::Quieting { asker, .. } = leaving.stage else { return };
        self.store.hold(leaving.accounts.iter().copied());
        leaving.stage = Stage::Holding { asker };
        self.tend_leaving();
    }

    /// Whether a session of these accounts waits for an answer of its own.
    fn is_under_command(&self, leaving: &Leaving) -> bool {
        self.sessions_with(&leaving.accounts)
            .iter()
            .any(|conn| self.connections.get(conn).is_some_and(|connection| connection.owed > 0))
    }

    /// Sessions that are logged in to one of these accounts or watch one of them here.
    pub(super) fn sessions_with(&self, accounts: &BTreeSet<AccountId>) -> BTreeSet<ConnId> {
        let of = |account: &AccountId| self.users.of(*account).chain(self.watchers.of(*account));
        accounts.iter().flat_map(of).collect()
    }

    /// Asks the target to take the slot over.
    pub(super) fn hand_slot(&mut self, asker: Asker, claim: Claim) {
        let seat = self.owners.seat(claim.slot);
        let now_ms = self.now.mono_ms;
        match &mut self.slots.leaving {
            Some(leaving)
                if matches!(leaving.stage, Stage::Still)
                    && leaving.slot == claim.slot
                    && seat.epoch.checked_add(1) == Some(claim.epoch)
                    && now_ms < leaving.until_ms =>
            {
                leaving.stage = Stage::Claiming { asker };
                let to = leaving.to;
                self.tell(to, Message::Claim(Box::new(claim)));
            }
            _ => self.answer_asker(asker, Err(too_late())),
        }
    }

    /// The target's answer. Once its claim is durable the slot is there, whatever happens here.
    pub(in crate::shard) fn slot_claimed(&mut self, slot: Slot, epoch: u32, refused: Option<String>) {
        let Some(Leaving { stage: Stage::Claiming { asker }, to, accounts, .. }) =
            self.slots.leaving.take_if(|leaving| leaving.slot == slot && leaving.is_claiming())
        else {
            return;
        };
        if let Some(why) = refused {
            self.store.release(accounts.iter().copied());
            self.let_go_on(&accounts);
            return self.answer_asker(asker, Err(why));
        }
        let seat = Seat { epoch, holder: to };
        self.owners.learn(slot, seat);
        self.tell_slots(&[(slot, seat)]);
        for conn in self.sessions_with(&accounts) {
            self.wakes.push_back((conn, Wake::Depart));
        }
        // Should there be no room for the record, the slot is left by the next start; nobody is served here meanwhile.
        if self.leave_slot(slot, seat) {
            self.begin_sweep(Sweep::after_claim((slot, epoch), accounts, self.now.mono_ms));
        }
        self.let_go_on(&BTreeSet::new());
        self.answer_asker(asker, Ok(()));
    }

    /// The slot stays.
    pub(super) fn open_slot(&mut self) {
        let Some(leaving) = self.slots.leaving.take_if(|leaving| !leaving.is_claiming()) else { return };
        if let Stage::Quieting { asker, .. } | Stage::Holding { asker } = leaving.stage {
            self.answer_asker(asker, Err(too_late()));
        }
        self.store.release(leaving.accounts.iter().copied());
        self.let_go_on(&leaving.accounts);
    }

    /// Who was kept back goes on, where the account is by now.
    fn let_go_on(&mut self, accounts: &BTreeSet<AccountId>) {
        for conn in self.sessions_with(accounts) {
            self.wakes.push_back((conn, Wake::Feed));
        }
        for (conn, address) in std::mem::take(&mut self.slots.visitors) {
            if let Some(connection) = self.connections.get_mut(&conn).filter(|waiting| waiting.is_open()) {
                connection.owed = connection.owed.saturating_sub(1);
                self.dirty.insert(conn);
                self.hand_over(conn, address);
            }
        }
        for part in std::mem::take(&mut self.slots.parked) {
            self.send_on(part);
        }
    }

    /// A delivery that waited: to the shard that all its accounts are on by now, else as if it came now.
    fn send_on(&mut self, part: WaitingPart) {
        let WaitingPart { from, ticket, parts, summary, accounts, internal_ms } = part;
        let mut owners = accounts.iter().map(|address| self.owner(address));
        let to = owners.next().filter(|first| owners.all(|owner| owner == *first)).unwrap_or(self.id);
        if to == self.id {
            return self.store_now(from, ticket, parts, summary, accounts, internal_ms);
        }
        let own = self.ticket();
        self.slots.relays.insert(own, (from, ticket));
        self.tell(to, Message::Deliver { ticket: own, parts, summary, accounts, internal_ms });
    }
}

fn too_late() -> String {
    format!("the slot was opened again: it took more than {} s", SLOT_CLOSED_MS / 1000)
}
