//! A slot on its way to or from this shard.
//!
//! *Owns*: whose changes are held back. *Promises*: from [`Store::hold`] on nothing new is queued of an
//! account that is
//! held but what removes it, whoever asks. *Assumes*: whoever claims asks [`Store::claim_holds`] when all that
//! it names is
//! to be seen. *Never*: decides who owns a slot.

use super::Store;
use crate::arrival::{Arrival, Inheritance};
use crate::change::{Change, Refusal};
use crate::ids::{AccountId, Slot};
use crate::index::moving::Departure;
use crate::owners::{Claim, Seat};

impl Store {
    /// Slots that changed shards, as far as this log knows: who holds them, and whether nothing of them is to
    /// be removed
    /// here.
    pub fn slots(&self) -> Box<dyn Iterator<Item = (Slot, Seat, bool)> + '_> {
        Box::new(self.index.slots())
    }

    /// Addresses after `after` with their accounts, in order, those in quarantine included. No account is
    /// looked at.
    pub fn addresses_after<'a>(&'a self, after: &str) -> Box<dyn Iterator<Item = (&'a str, AccountId)> + 'a> {
        Box::new(self.index.addresses_after(after))
    }

    /// Accounts of another log that have not come whole, in order of id.
    pub fn arriving(&self) -> Box<dyn Iterator<Item = AccountId> + '_> {
        Box::new(self.index.arriving())
    }

    /// Whether everything that a claim names is here, whole, and finds its place.
    ///
    /// # Errors
    /// What is amiss.
    pub fn claim_holds(&self, claim: &Claim) -> Result<(), Refusal> {
        self.index.claim_holds(claim)
    }

    /// The next piece of an account that goes elsewhere; none when all is told. Its messages name bodies of
    /// this log.
    pub fn depart(&self, departure: &mut Departure) -> Option<Arrival> {
        departure.next(&self.index)
    }

    /// What a log that takes accounts of this one has to keep to.
    pub fn inheritance(&self) -> Inheritance {
        self.index.inheritance()
    }

    /// Milliseconds since 1970 of the latest change that is to be seen.
    pub fn last_time_ms(&self) -> u64 {
        self.index.last_time_ms()
    }

    /// Takes no further change of these accounts: [`Refused::Busy`](crate::error::Refused::Busy). What is
    /// queued is
    /// carried out ([`Store::is_held_still`]).
    pub fn hold(&mut self, accounts: impl IntoIterator<Item = AccountId>) {
        self.held.extend(accounts);
    }

    /// Takes changes of these accounts again.
    pub fn release(&mut self, accounts: impl IntoIterator<Item = AccountId>) {
        for account in accounts {
            self.held.remove(&account);
        }
    }

    /// Whether nothing is queued any more of the accounts that are held: they stay as they are.
    pub fn is_held_still(&self) -> bool {
        !self.pending().any(|entry| self.held.contains(&entry.account))
    }

    /// Whether a change has to wait until its account is let go.
    pub(super) fn holds(&self, account: AccountId, change: &Change) -> bool {
        !self.held.is_empty() && !matches!(change, Change::AccountLeave) && self.held.contains(&account)
    }
}
