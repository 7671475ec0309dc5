//! What a store must hold, kept as simply as possible.
//!
//! *Owns*: accounts, mailboxes and messages as maps, told by changes and their outcomes.
//! *Promises*: knows nothing of logs, batches or positions; checks what may never happen as it goes.
//! *Assumes*: outcomes arrive in the order of the log. *Never*: looks into the store except to compare.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::change::{
    Change, FlagBits, FlagOp, Flags, ImportedMessage, NewMessage, Outcome, QuotaUsage, Refusal, UidSet,
};
use crate::ids::{AccountId, BodyId, MailboxId, ModSeq, Uid};
use crate::index::{AccountEvent, AccountRef, MailboxRef};
use crate::store::Store;
use crate::testing::model_arrivals::Coming;
use crate::testing::model_graves::Graves;
use crate::testing::model_import::{Brought, Validities};
use crate::testing::model_policy::{AccountPolicy, MailboxPolicy};

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) octets: Bytes,
    pub(super) system: FlagBits,
    pub(super) keywords: BTreeSet<String>,
    pub(super) internal_s: u64,
}

impl Message {
    fn new(octets: Bytes, flags: &Flags, internal_ms: u64) -> Message {
        let (system, keywords) = (FlagBits::NONE, BTreeSet::new());
        let mut message = Message { octets, system, keywords, internal_s: internal_ms / 1000 };
        message.set(FlagOp::Replace, flags);
        message
    }

    fn set(&mut self, op: FlagOp, flags: &Flags) {
        let system = FlagBits(flags.system.0 & FlagBits::SYSTEM.0);
        let keywords = flags.keywords.iter().map(|keyword| keyword.to_lowercase());
        match op {
            FlagOp::Replace => {
                self.system = system;
                self.keywords = keywords.collect();
            }
            FlagOp::Add => {
                self.system = self.system.union(system);
                self.keywords.extend(keywords);
            }
            FlagOp::Remove => {
                self.system = self.system.without(system);
                keywords.for_each(|keyword| {
                    self.keywords.remove(&keyword);
                });
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Mailbox {
    /// Full name; none until a comparison has told it (superior levels come into being on the way).
    name: Option<String>,
    /// Whether somebody asked for it; superior levels and what a deletion leaves of them may go by
    /// themselves.
    asked_for: bool,
    /// The greatest UID ever seen.
    last_uid: u32,
    messages: BTreeMap<Uid, Message>,
    policy: MailboxPolicy,
    brought: Brought,
}

impl Mailbox {
    fn named(name: &str) -> Mailbox {
        Mailbox { name: Some(name.to_owned()), asked_for: true, ..Mailbox::default() }
    }

    fn add(&mut self, uid: Uid, message: Message) -> Result<(), String> {
        if uid.0 <= self.last_uid {
            return Err(format!("UID {uid} in {:?} after {}", self.name, self.last_uid));
        }
        self.last_uid = uid.0;
        self.messages.insert(uid, message);
        Ok(())
    }

    fn import(
        &mut self,
        change: &Change,
        uids: &UidSet,
        bodies: &BTreeMap<BodyId, Bytes>,
    ) -> Result<(), String> {
        let Change::Import { messages, uid_next, .. } = change else { return Ok(()) };
        self.brought.import(messages, uids)?;
        for (uid, ImportedMessage { message, .. }) in uids.iter().zip(messages) {
            let octets = bodies.get(&message.body).ok_or("a body that nobody appended")?.clone();
            self.add(uid, Message::new(octets, &message.flags, message.internal_ms))?;
        }
        if messages.first().is_none_or(|first| first.uid != Uid(0)) {
            self.last_uid = self.last_uid.max(uid_next.0.saturating_sub(1));
        }
        Ok(())
    }

    fn set_flags(&mut self, uids: &UidSet, op: FlagOp, flags: &Flags) -> Result<(), String> {
        for uid in uids.iter() {
            self.messages.get_mut(&uid).ok_or("flags of a message that is gone")?.set(op, flags);
        }
        Ok(())
    }

    fn remove(&mut self, uids: &UidSet) -> Result<Vec<(Uid, Message)>, String> {
        let mut removed = Vec::new();
        for uid in uids.iter() {
            let message = self.messages.remove(&uid);
            let message = message.ok_or_else(|| format!("UID {uid} of {:?} expunged twice", self.name))?;
            removed.push((uid, message));
        }
        Ok(removed)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) address: String,
    modseq: ModSeq,
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    subscriptions: BTreeMap<String, bool>,
    policy: AccountPolicy,
    validities: Validities,
    /// What must be among the events since `modseq`, in this order.
    events: Vec<AccountEvent>,
    /// What left its mailbox by the change that is being carried out.
    gone: Vec<(MailboxId, Uid, Message)>,
}

/// The model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub(super) accounts: BTreeMap<AccountId, Account>,
    /// Ids that were accounts and must never be given out again.
    pub(super) gone: BTreeSet<AccountId>,
    bodies: BTreeMap<BodyId, Bytes>,
    pub(super) graves: Graves,
    pub(super) coming: Coming,
    domains: BTreeSet<String>,
    aliases: BTreeMap<String, Vec<String>>,
}

impl Model {
    /// A body was appended; whether it survives is not known yet.
    pub fn body(&mut self, id: BodyId, octets: Bytes) {
        self.bodies.insert(id, octets);
    }

    /// Accounts there should be.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.accounts.keys().copied()
    }

    /// A change was carried out with this outcome, which was asked for at this moment, in milliseconds since 1970.
    pub fn apply(
        &mut self,
        account: AccountId,
        change: &Change,
        outcome: &Outcome,
        asked_ms: u64,
    ) -> Result<(), String> {
        if let Outcome::Refused(refusal) = outcome {
            let over = self.accounts.get(&account).and_then(|held| held.over_quota(change, &self.bodies));
            // A quota on mailboxes counts superior levels, which are not known here.
            return match (refusal, over) {
                (Refusal::OverQuota, Some(false)) => Err(format!("there was room for {change:?}")),
                _ => Ok(()),
            };
        }
        match change {
            Change::AccountCreate { address, mailboxes, .. } => {
                return self.create(account, address, mailboxes.iter().map(|(name, _)| name.as_str()));
            }
            Change::AccountDelete => {
                let held = self.accounts.remove(&account);
                for (id, mailbox) in held.into_iter().flat_map(|held| held.mailboxes) {
                    let gone = mailbox.messages.into_iter().map(|(uid, message)| (id, uid, message));
                    self.graves.bury(account, gone.collect(), asked_ms);
                }
                self.gone.insert(account);
            }
            Change::DomainAdd { name } => drop(self.domains.insert(name.clone())),
            Change::DomainDelete { name } => drop(self.domains.remove(name)),
            Change::AliasSet { address, targets } => {
                drop(self.aliases.insert(address.clone(), targets.clone()))
            }
            Change::AliasDelete { address } => drop(self.aliases.remove(address)),
            Change::Arrive(piece) => return self.arrive(account, piece, outcome),
            Change::Inherit(_) => {}
            _ => {
                let held = self.accounts.get_mut(&account).ok_or("a change of no account was carried out")?;
                held.apply(change, outcome, &self.bodies, &self.graves)?;
                self.graves.bury(account, std::mem::take(&mut held.gone), asked_ms);
            }
        }
        Ok(())
    }

    fn create<'n>(
        &mut self,
        id: AccountId,
        address: &str,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<(), String> {
        if self.gone.contains(&id) || self.accounts.contains_key(&id) {
            return Err(format!("account id {id} was given out twice"));
        }
        let names = std::iter::once("INBOX").chain(names).map(str::to_owned);
        // Without superior levels to be made, mailboxes are numbered as they are named.
        let mailboxes = (1..).map(MailboxId).zip(names.map(|name| Mailbox::named(&name))).collect();
        self.accounts.insert(id, Account { address: address.to_owned(), mailboxes, ..Account::default() });
        Ok(())
    }

    /// How often comparisons since the last call found a removed message again, behind damage, whose octets had been
    /// let go for good. A weakness of the oracle, to be counted.
    pub fn take_without_octets(&mut self) -> usize {
        self.graves.take_without_octets()
    }

    /// Compares with the store. After damage, `lost` may be missing, and an account whose creation was
    /// refused because a lost one had its address may be there: empty, or as it was sent if it came from another log.
    /// That it was refused is not in the log, and what would refuse it again is lost. `Err` says what differs.
    pub fn compare(&mut self, store: &Store, lost: Option<&[AccountId]>) -> Result<(), String> {
        let but = lost.unwrap_or_default();
        let mut served: BTreeSet<AccountId> = store.accounts_after("").map(|account| account.id()).collect();
        let expected: BTreeSet<AccountId> = self.accounts().filter(|id| !but.contains(id)).collect();
        if !but.is_empty() {
            let empty = |id: &AccountId| store.account(*id).is_some_and(|account| account.messages() == 0);
            let refused = |id: &AccountId| self.coming.contains_key(id) || empty(id);
            served.retain(|id| expected.contains(id) || self.gone.contains(id) || !refused(id));
        }
        if served != expected {
            return Err(format!("accounts {served:?} instead of {expected:?}"));
        }
        self.graves.compare(store, lost)?;
        for (id, account) in self.accounts.iter_mut().filter(|(id, _)| expected.contains(id)) {
            let found = store.account(*id).ok_or("a listed account is not there")?;
            account.compare(store, found).map_err(|differs| format!("account {id}: {differs}"))?;
        }
        Ok(())
    }

    /// Compares domains and aliases.
    pub fn compare_directory(&self, store: &Store) -> Result<(), String> {
        let domains: Vec<&str> = store.domains().collect();
        if !self.domains.iter().eq(domains.iter()) {
            return Err(format!("domains {domains:?} instead of {:?}", self.domains));
        }
        let aliases =
            store.aliases_after("").map(|(address, targets)| (address.to_owned(), targets.to_vec()));
        let aliases: BTreeMap<String, Vec<String>> = aliases.collect();
        if self.aliases != aliases {
            return Err(format!("aliases {aliases:?} instead of {:?}", self.aliases));
        }
        Ok(())
    }
}

impl Account {
    fn mailbox(&mut self, id: MailboxId) -> &mut Mailbox {
        self.mailboxes.entry(id).or_default()
    }

    /// Whether a change of messages exceeds the quota; none for a change of anything else, and for one that
    /// other refusals come before.
    fn over_quota(&self, change: &Change, bodies: &BTreeMap<BodyId, Bytes>) -> Option<bool> {
        let size = |body: &BodyId| bodies.get(body).map(|octets| octets.len() as u64);
        let message = |mailbox: &MailboxId, uid: &Uid| self.mailboxes.get(mailbox)?.messages.get(uid);
        let more = |bytes, messages| Some(QuotaUsage { bytes, messages, mailboxes: 0 });
        let more = match change {
            Change::Deliver { body, .. } => more(size(body)?, 1),
            Change::Append { messages, replaces, .. } => {
                let sizes: Option<u64> = messages.iter().map(|message| size(&message.body)).sum();
                let freed = replaces.as_ref().and_then(|(mailbox, uid)| message(mailbox, uid));
                let (bytes, count) = freed.map_or((0, 0), |freed| (freed.octets.len() as u64, 1));
                more(sizes?.saturating_sub(bytes), (messages.len() as u64).saturating_sub(count))
            }
            Change::Import { messages, .. } => {
                let sizes: Option<u64> = messages.iter().map(|imported| size(&imported.message.body)).sum();
                more(sizes?, messages.len() as u64)
            }
            Change::Copy { from, uids, expunge: false, .. } => {
                let held = &self.mailboxes.get(from)?.messages;
                let copied = held.iter().filter(|(uid, _)| uids.contains(**uid));
                let sizes: Vec<u64> = copied.map(|(_, message)| message.octets.len() as u64).collect();
                more(sizes.iter().sum(), sizes.len() as u64)
            }
            _ => return None,
        };
        let all = || self.mailboxes.values().flat_map(|mailbox| mailbox.messages.values());
        let bytes = all().map(|message| message.octets.len() as u64).sum();
        let usage = QuotaUsage { bytes, messages: all().count() as u64, mailboxes: 0 };
        more.map(|more| !self.policy.has_room(usage, more))
    }

    fn apply(
        &mut self,
        change: &Change,
        outcome: &Outcome,
        bodies: &BTreeMap<BodyId, Bytes>,
        graves: &Graves,
    ) -> Result<(), String> {
        self.check_quota(change, bodies)?;
        match (change, outcome) {
            (Change::MailboxCreate { name, .. }, Outcome::MailboxCreated(id)) => {
                self.mailboxes.insert(*id, Mailbox::named(name));
                let name = name.clone();
                self.events.push(AccountEvent::MailboxCreated { mailbox: *id, name });
            }
            (Change::MailboxRename { mailbox, to }, Outcome::MailboxCreated(id)) => {
                self.empty_into(*mailbox, to, *id)?;
            }
            (Change::MailboxRename { mailbox, to }, _) => self.rename(*mailbox, to),
            (Change::MailboxDelete { mailbox }, _) => {
                let mut gone = self.mailboxes.remove(mailbox).unwrap_or_default();
                let messages = std::mem::take(&mut gone.messages).into_iter();
                self.gone.extend(messages.map(|(uid, message)| (*mailbox, uid, message)));
                if let Some(name) = gone.name {
                    self.events.push(AccountEvent::MailboxDeleted { mailbox: *mailbox, name });
                }
            }
            (Change::Subscribe { name, on }, _) => drop(self.subscriptions.insert(name.clone(), *on)),
            (Change::Deliver { mailbox, body, flags, internal_ms }, Outcome::Delivered { uid, .. }) => {
                let octets = bodies.get(body).ok_or("a body that nobody appended")?.clone();
                self.mailbox(*mailbox).add(*uid, Message::new(octets, flags, *internal_ms))?;
            }
            (Change::Append { mailbox, messages, replaces }, Outcome::Appended { uids, replaced, .. }) => {
                self.append(*mailbox, messages, replaces.filter(|_| *replaced), uids, bodies)?
            }
            (Change::MailboxAdopt { .. }, Outcome::Done) => self.adopt(change)?,
            (Change::Import { mailbox, .. }, Outcome::Appended { uids, .. }) => {
                self.mailbox(*mailbox).import(change, uids, bodies)?;
            }
            (Change::FlagsStore { mailbox, op, flags, .. }, Outcome::Stored { done, .. }) => {
                self.mailbox(*mailbox).set_flags(done, *op, flags)?;
            }
            (Change::Copy { from, to, expunge, .. }, Outcome::Copied { source, target, .. }) => {
                let held = &self.mailbox(*from).messages;
                let messages: Option<Vec<_>> = source.iter().map(|uid| held.get(&uid).cloned()).collect();
                self.add(*to, messages.ok_or("a copy of nothing")?, target)?;
                if *expunge {
                    self.remove(*from, source)?;
                }
            }
            (Change::Restore { of, from, to, .. }, Outcome::Copied { source, target, .. }) => {
                self.add(*to, graves.back(*of, *from, source)?, target)?;
            }
            (Change::Expunge { mailbox, .. }, Outcome::Expunged(uids)) => self.remove(*mailbox, uids)?,
            (
                Change::AccountPassword { .. }
                | Change::AccountServices { .. }
                | Change::RecentSeen { .. }
                | Change::Metadata { .. }
                | Change::Acl { .. }
                | Change::Quota { .. }
                | Change::UrlKey { .. }
                | Change::AccountHide { .. }
                | Change::AccountReferral { .. },
                Outcome::Done,
            ) => self.apply_policy(change),
            (change, outcome) => return Err(format!("{outcome:?} is no outcome of {change:?}")),
        }
        Ok(())
    }

    fn adopt(&mut self, change: &Change) -> Result<(), String> {
        let Change::MailboxAdopt { mailbox, uid_validity, unique_ids } = change else { return Ok(()) };
        self.validities.adopt(*uid_validity, *mailbox);
        let mailbox = self.mailbox(*mailbox);
        mailbox.brought.adopt(*uid_validity, *unique_ids, mailbox.last_uid)
    }

    fn check_quota(&self, change: &Change, bodies: &BTreeMap<BodyId, Bytes>) -> Result<(), String> {
        match self.over_quota(change, bodies) {
            Some(true) => Err(format!("over quota: {change:?}")),
            _ => Ok(()),
        }
    }

    fn add(&mut self, mailbox: MailboxId, messages: Vec<Message>, uids: &UidSet) -> Result<(), String> {
        let mailbox = self.mailbox(mailbox);
        messages.into_iter().zip(uids.iter()).try_for_each(|(message, uid)| mailbox.add(uid, message))
    }

    fn remove(&mut self, mailbox: MailboxId, uids: &UidSet) -> Result<(), String> {
        let removed = self.mailbox(mailbox).remove(uids)?;
        self.gone.extend(removed.into_iter().map(|(uid, message)| (mailbox, uid, message)));
        Ok(())
    }

    /// What is not mail.
    fn apply_policy(&mut self, change: &Change) {
        match change {
            Change::Metadata { mailbox: Some(mailbox), .. }
            | Change::Acl { mailbox, .. }
            | Change::UrlKey { mailbox: Some(mailbox) } => self.mailbox(*mailbox).policy.apply(change),
            Change::UrlKey { mailbox: None } => {
                self.mailboxes.values_mut().for_each(|mailbox| mailbox.policy.apply(change));
            }
            _ => self.policy.apply(change),
        }
    }

    /// INBOX was renamed into a new mailbox.
    fn empty_into(&mut self, inbox: MailboxId, to: &str, id: MailboxId) -> Result<(), String> {
        let emptied = self.mailbox(inbox);
        let messages = std::mem::take(&mut emptied.messages);
        let mut moved = Mailbox { policy: emptied.policy.of_copy(), ..Mailbox::named(to) };
        for (uid, message) in (1..).map(Uid).zip(messages.values()) {
            moved.add(uid, message.clone())?;
        }
        self.gone.extend(messages.into_iter().map(|(uid, message)| (inbox, uid, message)));
        self.mailboxes.insert(id, moved);
        let (from, to) = ("INBOX".to_owned(), to.to_owned());
        self.events.push(AccountEvent::MailboxRenamed { mailbox: id, from, to });
        Ok(())
    }

    fn append(
        &mut self,
        mailbox: MailboxId,
        messages: &[NewMessage],
        gone: Option<(MailboxId, Uid)>,
        uids: &UidSet,
        bodies: &BTreeMap<BodyId, Bytes>,
    ) -> Result<(), String> {
        if uids.ranges().len() != 1 || uids.len() != messages.len() as u64 {
            return Err(format!("{} messages got {uids:?}", messages.len()));
        }
        for (message, uid) in messages.iter().zip(uids.iter()) {
            let octets = bodies.get(&message.body).ok_or("a body that nobody appended")?.clone();
            self.mailbox(mailbox).add(uid, Message::new(octets, &message.flags, message.internal_ms))?;
        }
        gone.map_or(Ok(()), |(of, uid)| self.remove(of, &[uid].into_iter().collect()))
    }

    fn rename(&mut self, mailbox: MailboxId, to: &str) {
        let from = self.mailbox(mailbox).name.clone();
        if let Some(from) = from.clone() {
            self.events.push(AccountEvent::MailboxRenamed { mailbox, from, to: to.to_owned() });
        }
        for held in self.mailboxes.values_mut() {
            // Perhaps one below; the model does not always know.
            held.brought.renamed(&self.validities);
            held.name = match (&from, held.name.take()) {
                (Some(from), Some(name)) => match name.strip_prefix(from.as_str()) {
                    Some(rest) if rest.is_empty() || rest.starts_with('/') => Some(format!("{to}{rest}")),
                    _ => Some(name),
                },
                _ => None,
            };
        }
        self.mailbox(mailbox).name = Some(to.to_owned());
    }

    fn compare(&mut self, store: &Store, found: AccountRef<'_>) -> Result<(), String> {
        if found.address() != self.address {
            return Err(format!("address {:?} instead of {:?}", found.address(), self.address));
        }
        if found.highest_modseq() < self.modseq {
            return Err(format!("mod-sequence {} after {}", found.highest_modseq(), self.modseq));
        }
        self.compare_news(found)?;
        self.modseq = found.highest_modseq();
        self.policy.compare(found)?;
        for mailbox in found.mailboxes() {
            self.validities.see(mailbox)?;
            match self.mailboxes.get_mut(&mailbox.id()) {
                Some(expected) => expected.compare(store, mailbox)?,
                // A superior level made on the way, or left when it was deleted.
                None if mailbox.is_empty() => {}
                None => return Err(format!("mailbox {:?} is invented", mailbox.name())),
            }
        }
        let there: BTreeSet<MailboxId> = found.mailboxes().map(|mailbox| mailbox.id()).collect();
        self.mailboxes
            .retain(|id, mailbox| mailbox.asked_for || !mailbox.messages.is_empty() || there.contains(id));
        if let Some((_, mailbox)) = self.mailboxes.iter().find(|(id, _)| !there.contains(id)) {
            return Err(format!("mailbox {:?} is lost", mailbox.name));
        }
        for who in ["anyone", "u1@example.test", "-u2@example.test"] {
            let listed = found.mailboxes().any(|mailbox| mailbox.rights_of(who).is_some());
            if listed != store.accounts_sharing_with(who).any(|id| id == found.id()) {
                return Err(format!("{who:?} is in a list: {listed}; the index says otherwise"));
            }
        }
        match self.subscriptions.iter().find(|(name, on)| found.is_subscribed(name) != **on) {
            Some((name, on)) => Err(format!("subscription of {name:?} is not {on}")),
            None => Ok(()),
        }
    }

    /// What an observer is told who looked last when this was compared last.
    fn compare_news(&mut self, found: AccountRef<'_>) -> Result<(), String> {
        let told: BTreeSet<MailboxId> =
            found.mailboxes_changed_since(self.modseq).map(|mailbox| mailbox.id()).collect();
        let newer = found.mailboxes().filter(|mailbox| mailbox.highest_modseq() > self.modseq);
        let newer: BTreeSet<MailboxId> = newer.map(|mailbox| mailbox.id()).collect();
        if told != newer {
            return Err(format!("mailboxes {told:?} changed since {}, but {newer:?} did", self.modseq));
        }
        let expected = std::mem::take(&mut self.events);
        if self.modseq >= found.events_floor() {
            let mut events = found.events_since(self.modseq).map(|(_, event)| event);
            if let Some(lost) = expected.iter().find(|expected| !events.any(|event| event == *expected)) {
                return Err(format!("{lost:?} is not among the events since {}", self.modseq));
            }
        }
        Ok(())
    }
}

impl Mailbox {
    fn compare(&mut self, store: &Store, found: MailboxRef<'_>) -> Result<(), String> {
        let name = found.name();
        if *self.name.get_or_insert_with(|| name.to_owned()) != name {
            return Err(format!("mailbox {name:?} instead of {:?}", self.name));
        }
        self.policy.compare(found).map_err(|differs| format!("{name:?}: {differs}"))?;
        self.brought.compare(found).map_err(|differs| format!("{name:?}: {differs}"))?;
        if found.uid_next().0 <= self.last_uid {
            return Err(format!("{name:?}: UIDNEXT {} after UID {}", found.uid_next(), self.last_uid));
        }
        if found.len() != self.messages.len() {
            return Err(format!("{name:?}: {} messages instead of {}", found.len(), self.messages.len()));
        }
        for (place, (uid, expected)) in self.messages.iter().enumerate() {
            let message = found.message(place);
            if message.uid != *uid {
                return Err(format!("{name:?}: UID {} instead of {uid}", message.uid));
            }
            let named = |bit: &usize| message.flags.contains(FlagBits::keyword(*bit));
            let keywords =
                (0..found.keywords().len()).filter(named).map(|bit| found.keywords()[bit].to_lowercase());
            let system = FlagBits(message.flags.0 & FlagBits::SYSTEM.0);
            if system != expected.system || !keywords.collect::<BTreeSet<_>>().eq(&expected.keywords) {
                return Err(format!("{name:?}: flags of UID {uid} differ: {:?}", message.flags));
            }
            if message.internal_ms != expected.internal_s * 1000 {
                return Err(format!("{name:?}: INTERNALDATE of UID {uid} is {}", message.internal_ms));
            }
            if store.is_distrusted(message.body) {
                continue; // whoever flips bits knows which
            }
            let octets = store.body(message.key()).and_then(|body| store.bytes(body.bytes));
            if octets.as_ref() != Some(&expected.octets) {
                let what = if octets.is_some() { "differ" } else { "cannot be had" };
                return Err(format!("{name:?}: the octets of UID {uid} {what}"));
            }
        }
        Ok(())
    }
}
