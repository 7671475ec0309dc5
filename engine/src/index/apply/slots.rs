//! Slots that change shards.
//!
//! *Owns*: what a claim, a leave and what follows from them do. *Promises*: a claim shows all that came at once; of an
//! account nothing goes that this log still serves. *Assumes*: whoever claims has asked [`Index::claim_holds`]
//! first, so
//! that only a claim that lost records to damage finds less than it says. *Never*: moves a body.

use super::{Applied, bounded};
use crate::change::{Entry, Outcome, Refusal};
use crate::checkpoint::Key;
use crate::ids::{AccountId, ShardId, Slot};
use crate::index::account::INBOX_ID;
use crate::index::{Index, names};
use crate::limits;
use crate::owners::{Arrived, Claim, Seat};

impl Index {
    /// Whether everything that a claim names is here, whole, and finds its place.
    pub(crate) fn claim_holds(&self, claim: &Claim) -> Result<(), Refusal> {
        if self.slots.seat(claim.slot).is_some_and(|seat| seat.epoch >= claim.epoch) {
            return Err(Refusal::NotFresh);
        }
        claim.accounts.iter().try_for_each(|arrived| self.has_arrived(claim.slot, arrived))?;
        let new = claim.aliases.iter().filter(|(name, _)| !self.aliases.contains_key(name)).count();
        if self.aliases.len() + new > limits::ALIASES_PER_SHARD_MAX || !claim.fits() {
            return Err(Refusal::Limit);
        }
        claim.aliases.iter().try_for_each(|(name, targets)| {
            bounded(name, limits::ADDRESS_BYTES_MAX)?;
            targets.iter().try_for_each(|target| bounded(target, limits::ADDRESS_BYTES_MAX))
        })
    }

    fn has_arrived(&self, slot: Slot, arrived: &Arrived) -> Result<(), Refusal> {
        let id = arrived.account;
        if !self.accounts.is_arriving(id) || self.accounts.is_quarantined(id) {
            return Err(Refusal::NoAccount);
        }
        let account = self.accounts.get(id).ok_or(Refusal::NoAccount)?;
        if arrived.mailboxes == 0 {
            return account.mailboxes.is_empty().then_some(()).ok_or(Refusal::NotFresh);
        }
        let found = (account.mailboxes.len() as u64, account.messages, account.bytes);
        let expected = (u64::from(arrived.mailboxes), arrived.messages, arrived.bytes);
        let has_inbox = account.mailboxes.get(&INBOX_ID).is_some_and(|inbox| inbox.name == names::INBOX);
        let is_whole = found == expected && has_inbox && Slot::of(&account.address) == slot;
        is_whole.then_some(()).ok_or(Refusal::NotFresh)?;
        match self.addresses.contains_key(&account.address) {
            true => Err(Refusal::Exists),
            false => Ok(()),
        }
    }
}

pub(super) fn claim(index: &mut Index, claim: &Claim) -> Applied {
    index.before_change(Key::Slot(claim.slot));
    let seat = Seat { epoch: claim.epoch, holder: index.shard };
    // It is clear: whatever was left of it before an earlier leave came back under the same ids, or not at all.
    if !index.slots.change(claim.slot, seat, true) {
        return Err(Refusal::NotFresh);
    }
    for arrived in &claim.accounts {
        let is_whole = index.has_arrived(claim.slot, arrived).is_ok();
        show(index, arrived, is_whole);
    }
    for (name, targets) in &claim.aliases {
        index.before_change(Key::Alias(name.clone()));
        index.aliases.insert(name.clone(), targets.clone());
    }
    Ok(Outcome::Done)
}

/// Shows an account. What has not come whole is in quarantine: nobody is told that there is no such user.
fn show(index: &mut Index, arrived: &Arrived, is_whole: bool) {
    let id = arrived.account;
    if !index.accounts.is_arriving(id) {
        return;
    }
    index.before_change(Key::Account(id));
    if arrived.mailboxes == 0 && is_whole {
        // What can be had back of it needs no account.
        index.accounts.remove(id);
        return;
    }
    index.accounts.arrived(id);
    if let Some(address) = index.accounts.get(id).map(|account| account.address.clone()) {
        index.addresses.entry(address).or_insert(id);
    }
    if !is_whole {
        index.accounts.quarantine(id);
    }
}

pub(super) fn leave(index: &mut Index, slot: Slot, epoch: u32, to: ShardId) -> Applied {
    index.before_change(Key::Slot(slot));
    let seat = Seat { epoch, holder: to };
    index.slots.change(slot, seat, to == index.shard).then_some(Outcome::Done).ok_or(Refusal::NotFresh)
}

pub(super) fn clear(index: &mut Index, slot: Slot, epoch: u32) -> Applied {
    index.before_change(Key::Slot(slot));
    index.slots.clear(slot, epoch).then_some(Outcome::Done).ok_or(Refusal::NotFresh)
}

/// Whether all of an account may go without a trace: it never came whole, or its slot was left.
pub(super) fn may_leave(index: &Index, id: AccountId) -> bool {
    let has_left =
        |address: &str| index.slots.seat(Slot::of(address)).is_some_and(|seat| seat.holder != index.shard);
    if index.accounts.contains(id) {
        let account = index.accounts.get(id);
        return index.accounts.is_arriving(id) || account.is_some_and(|account| has_left(&account.address));
    }
    index.graves.mailboxes().find(|gone| gone.account == id).is_some_and(|gone| has_left(&gone.address))
}

/// The last step: the account goes. Its rows let their bodies go before.
pub(super) fn go(index: &mut Index, entry: &Entry) -> Applied {
    let id = entry.account;
    index.before_change(Key::Account(id));
    if let Some(account) = index.accounts.remove(id) {
        index.mailboxes -= account.mailboxes.len() as u64;
        index.messages -= account.messages;
        if index.addresses.get(&account.address) == Some(&id) {
            index.addresses.remove(&account.address);
        }
        for identifier in account.grants.identifiers() {
            index.sharing.remove(&(identifier.clone(), id));
        }
    }
    index.before_shift(0);
    index.graves.drop_account(id, |body| index.bodies.release(body));
    Ok(Outcome::Done)
}
