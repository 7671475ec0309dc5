//! The index: everything derived from the log, and how it is read.
//!
//! *Owns*: accounts, mailboxes, messages, bodies, names. *Promises*: equals the replay of the log, and:
//!
//! * I10: every mod-sequence given to an account is greater than all before;
//! * I11: every UID given out in a mailbox is greater than all before;
//! * I12: no id of an account, mailbox or body is given out twice;
//! * I13: a UIDVALIDITY that the store chooses never repeats under one name of one address; one that an import
//!   brings along is none that a name of that account has lost, and no name has it for a second mailbox;
//! * I14: the time of entries never goes back;
//! * I15: a mailbox's columns have one length and ascending UIDs, and all counters equal a recount;
//! * I16: a body has as many references as messages show it or lie buried with it;
//! * I17: every superior level of a mailbox's name is there, and every name has its mailbox;
//! * I18: an account finds every mailbox under its `highest_modseq`, the index finds every account under whom
//!   its access control lists name, and neither finds anything else there;
//! * I19: nothing is added that the account's quota has no room for.
//!
//! *Assumes*: [`apply`] is its only mutator. *Never*: holds what is not durable.

mod account;
mod annotations;
pub(crate) mod apply;
mod bodies;
mod cold;
mod columns;
mod digest;
mod events;
mod extras;
mod graves;
mod history;
mod keywords;
#[cfg(test)]
mod lab;
mod mailbox;
pub mod names;
pub(crate) mod plan;
mod validities;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::checkpoint::round::Tracker;
use crate::ids::{AccountId, BodyId, BodyKey, Lsn, MailboxId, SegmentId, ShardId, Slot};
use crate::limits::{APPLY_STEP_MESSAGES, REAP_MESSAGES_MAX};
use crate::owners::Seat;
use bodies::Bodies;
use bodies::distrust::Distrusted;
use cold::accounts::Accounts;
use cold::moving::slots::Slots;
use digest::Digest;
use graves::Graves;

pub use cold::moving;
pub use events::AccountEvent;
pub use graves::{Buried, BuriedMailbox};
pub use view::{AccountRef, MailboxRef, Message};

/// How much of everything there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts, those in quarantine included.
    pub accounts: u64,
    /// Mailboxes of all of them.
    pub mailboxes: u64,
    /// Messages shown (a copy counts).
    pub messages: u64,
    /// Octets of the bodies that some mailbox shows or that can be had back, each once.
    pub body_bytes: u64,
    /// Messages that left their mailboxes and can be had back.
    pub buried: u64,
    /// Messages that cannot be had back since the start, for their account had removed too many after them.
    pub let_go: u64,
}

/// All that a shard knows, to be read. Only [`apply`] changes it.
#[derive(Debug)]
pub struct Index {
    shard: ShardId,
    accounts: Accounts,
    addresses: BTreeMap<String, AccountId>,
    /// Identifiers in access control lists, and the accounts whose lists name them. I18
    sharing: BTreeSet<(String, AccountId)>,
    aliases: BTreeMap<String, Vec<String>>,
    domains: BTreeSet<String>,
    bodies: Bodies,
    distrusted: Distrusted,
    graves: Graves,
    slots: Slots,
    /// The counter of the next account's id.
    next_account: u64,
    last_time_ms: u64,
    /// The greatest UIDVALIDITY of any account that was deleted: its address may come back.
    uid_validity_floor: u32,
    mailboxes: u64,
    messages: u64,
    /// What the next checkpoint has to copy.
    tracker: Tracker,
    /// Messages of a large change that are worked on in one step.
    pub(crate) step_messages: usize,
}

impl Index {
    /// Nothing.
    pub(crate) fn new(shard: ShardId) -> Index {
        Index {
            shard,
            accounts: Accounts::default(),
            addresses: BTreeMap::new(),
            sharing: BTreeSet::new(),
            aliases: BTreeMap::new(),
            domains: BTreeSet::new(),
            bodies: Bodies::default(),
            distrusted: Distrusted::default(),
            graves: Graves::default(),
            slots: Slots::default(),
            next_account: 1,
            last_time_ms: 0,
            uid_validity_floor: 0,
            mailboxes: 0,
            messages: 0,
            tracker: Tracker::default(),
            step_messages: APPLY_STEP_MESSAGES,
        }
    }

    /// The account of a normalised address; none when there is none or it is quarantined.
    pub fn account_by_address(&self, address: &str) -> Option<AccountId> {
        self.addresses.get(address).copied().filter(|id| !self.accounts.is_quarantined(*id))
    }

    /// Whether this address has an account in quarantine.
    pub fn is_quarantined(&self, address: &str) -> bool {
        self.addresses.get(address).is_some_and(|id| self.accounts.is_quarantined(*id))
    }

    /// An account; none when deleted or quarantined.
    pub fn account(&self, id: AccountId) -> Option<AccountRef<'_>> {
        let account = self.accounts.get(id)?;
        let hidden = self.accounts.is_quarantined(id) || self.accounts.is_arriving(id);
        #[cfg(feature = "testing")]
        let hidden = hidden && self.accounts.plant != Some(crate::log::writer::Plant::ShowArrivals);
        (!hidden).then_some(AccountRef(account))
    }

    /// Whether there is such an account that is not in quarantine, served or still on its way.
    pub(crate) fn has_account(&self, id: AccountId) -> bool {
        self.accounts.contains(id) && !self.accounts.is_quarantined(id)
    }

    /// Whether there is an account of that id that is not served because of damage.
    pub(crate) fn is_out_of_service(&self, id: AccountId) -> bool {
        self.accounts.is_quarantined(id)
    }

    /// All accounts that are served whose address is greater than `after`, in order of address.
    pub fn accounts_after<'a>(&'a self, after: &str) -> impl Iterator<Item = AccountRef<'a>> + use<'a> {
        let from = (Bound::Excluded(after), Bound::Unbounded);
        self.addresses.range::<str, _>(from).filter_map(|(_, &id)| self.account(id))
    }

    /// The accounts that are served and have a mailbox whose access control list names this identifier.
    pub fn accounts_sharing_with(&self, identifier: &str) -> impl Iterator<Item = AccountId> + use<'_> {
        let name = identifier.to_owned();
        let named = self.sharing.range((name.clone(), AccountId(0))..=(name, AccountId(u64::MAX)));
        named.map(|&(_, id)| id).filter(|id| self.account(*id).is_some())
    }

    /// The accounts that are not in quarantine, in order of id, those on their way included. None is looked at.
    pub(crate) fn account_ids(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.accounts.ids().filter(|id| !self.accounts.is_quarantined(*id))
    }

    /// Every account in order of id, and whether it is in quarantine: for tools that look at damage.
    pub fn every_account(&self) -> impl Iterator<Item = (AccountRef<'_>, bool)> {
        let accounts = self.accounts.ids().filter_map(|id| Some((id, self.accounts.get(id)?)));
        accounts.map(|(id, account)| (AccountRef(account), self.accounts.is_quarantined(id)))
    }

    /// A mailbox of an account that is served.
    pub fn mailbox(&self, account: AccountId, id: MailboxId) -> Option<MailboxRef<'_>> {
        self.account(account)?.0.mailboxes.get(&id).map(|mailbox| MailboxRef(mailbox))
    }

    /// Slots that changed shards, as far as this log knows: who holds them, and whether nothing of them is to
    /// be removed
    /// here.
    pub fn slots(&self) -> impl Iterator<Item = (Slot, Seat, bool)> + '_ {
        self.slots.all()
    }

    /// Addresses after `after` with their accounts, those in quarantine included. No account is looked at.
    pub fn addresses_after<'a>(
        &'a self,
        after: &str,
    ) -> impl Iterator<Item = (&'a str, AccountId)> + use<'a> {
        let from = (Bound::Excluded(after), Bound::Unbounded);
        self.addresses.range::<str, _>(from).map(|(address, id)| (address.as_str(), *id))
    }

    /// Accounts of another log that have not come whole.
    pub(crate) fn arriving(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.accounts.arriving()
    }

    /// Targets of an alias.
    pub fn alias(&self, address: &str) -> Option<&[String]> {
        self.aliases.get(address).map(Vec::as_slice)
    }

    /// Aliases in order of address, after `after`.
    pub fn aliases_after<'a>(
        &'a self,
        after: &str,
    ) -> impl Iterator<Item = (&'a str, &'a [String])> + use<'a> {
        let from = (Bound::Excluded(after), Bound::Unbounded);
        self.aliases.range::<str, _>(from).map(|(address, targets)| (address.as_str(), targets.as_slice()))
    }

    /// Domains in order.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.iter().map(String::as_str)
    }

    /// A body that a change may name at the moment (`limits::FRESH_SPAN_BYTES`).
    pub fn fresh_body(&self, id: BodyId) -> Option<BodyKey> {
        self.bodies.fresh(id)
    }

    /// Whether nobody can ask for the body that begins here any more.
    pub(crate) fn is_dead(&self, id: BodyId) -> bool {
        self.bodies.is_dead(id)
    }

    /// Whether somebody needs a body of the segment that begins at this position, and the body begins at `from` or
    /// behind it, if `before` of the segment begin before it, the dead ones included.
    pub(crate) fn has_more(&self, segment: (SegmentId, Lsn), from: u64, before: u64) -> bool {
        self.bodies.has_more(segment, from, before)
    }

    /// Whether a body is not what was written, and not to be shown.
    pub fn is_distrusted(&self, id: BodyId) -> bool {
        self.distrusted.contains(id)
    }

    /// Where bodies begin that are not what was written.
    pub fn distrusted(&self) -> impl Iterator<Item = std::ops::Range<BodyId>> + '_ {
        self.distrusted.ranges()
    }

    /// Messages of an account, there or deleted, that left their mailboxes and can be had back, in the order in
    /// which they left. A look at all that can be had back. Of an account on its way nothing can.
    pub fn buried(&self, account: AccountId) -> impl Iterator<Item = Buried> + use<'_> {
        let rows = (!self.accounts.is_arriving(account)).then(|| self.graves.of_account(account));
        rows.into_iter().flatten()
    }

    /// Deleted mailboxes that once had messages, in the order in which they went.
    pub fn buried_mailboxes(&self) -> impl Iterator<Item = &BuriedMailbox> {
        self.graves.mailboxes().filter(|gone| !self.accounts.is_arriving(gone.account))
    }

    /// See [`crate::store::Store::buried_since`].
    pub(crate) fn buried_since(&self, since_ms: u64) -> u64 {
        self.graves.number_since(since_ms)
    }

    /// See [`crate::store::Store::buried_from`].
    pub(crate) fn buried_from(
        &self,
        from: u64,
        count: usize,
    ) -> (impl Iterator<Item = Buried> + use<'_>, Option<u64>) {
        let (rows, next) = self.graves.stretch(from, count);
        (rows.filter(|buried| !self.accounts.is_arriving(buried.account)), next)
    }

    /// See [`crate::store::Store::buried_mailboxes_from`].
    pub(crate) fn buried_mailboxes_from(
        &self,
        from: u64,
        count: usize,
    ) -> (impl Iterator<Item = &BuriedMailbox>, Option<u64>) {
        let (gone, next) = self.graves.mailbox_stretch(from, count);
        (gone.filter(|gone| !self.accounts.is_arriving(gone.account)), next)
    }

    /// Nothing that left at or before this moment, in milliseconds since 1970, can be had back.
    pub fn reaped_ms(&self) -> u64 {
        self.graves.reaped_ms()
    }

    /// Until when to reap, if anything was buried at or before `before_ms`.
    pub(crate) fn reap_due(&self, before_ms: u64) -> Option<u64> {
        self.graves.due(before_ms, REAP_MESSAGES_MAX)
    }

    /// The time of the last entry.
    pub(crate) fn last_time_ms(&self) -> u64 {
        self.last_time_ms
    }

    /// The counter of the next account's id.
    pub(crate) fn next_account(&self) -> u64 {
        self.next_account
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            accounts: self.accounts.len() as u64,
            mailboxes: self.mailboxes,
            messages: self.messages,
            body_bytes: self.bodies.bytes(),
            buried: self.graves.len() as u64,
            let_go: self.graves.went_early(),
        }
    }

    /// A fingerprint of all of it: two indexes that differ anywhere have different ones, but for a chance of
    /// 2^-64.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.word(u64::from(self.shard.0));
        digest.word(self.next_account);
        digest.word(self.last_time_ms);
        self.distrusted.digest(&mut digest);
        self.slots.digest(&mut digest);
        digest.word(u64::from(self.uid_validity_floor));
        digest.word(self.mailboxes);
        digest.word(self.messages);
        self.accounts.digest(&mut digest);
        for (address, id) in &self.addresses {
            digest.text(address);
            digest.word(id.0);
        }
        for (address, targets) in &self.aliases {
            digest.text(address);
            digest.word(targets.len() as u64);
            targets.iter().for_each(|target| digest.text(target));
        }
        self.domains.iter().for_each(|name| digest.text(name));
        for (identifier, id) in &self.sharing {
            digest.text(identifier);
            digest.word(id.0);
        }
        self.bodies.digest(&mut digest);
        self.graves.digest(&mut digest);
        digest.value()
    }
}
