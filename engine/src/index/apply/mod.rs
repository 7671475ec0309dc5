//! The only function that changes the index.
//!
//! *Owns*: what each change does. *Promises*: the same entries give the same index and the same outcomes; a
//! change is carried out whole or refused with nothing done. *Assumes*: entries come in log order, each
//! stamped by the planner. *Never*: fails on what a client asked for; that is a refusal, and a refusal is an
//! outcome.

mod arrive;
mod copying;
mod import;
mod large;
mod messages;
mod policy;
mod slots;

use std::collections::BTreeMap;

use super::account::{Account, Birth, INBOX_ID};
use super::bodies::Bodies;
use super::events::{AccountEvent, Events};
use super::graves::{Burial, Graves};
use super::{Index, Message, names};
use crate::change::{Change, Entry, ImportedMessage, Outcome, Refusal, Services, SpecialUse, Stamp};
use crate::checkpoint::Key;
use crate::ids::{AccountId, BodyKey, Lsn, MailboxId, SegmentId, Uid};
use crate::limits;
use copying::{Copying, Order};

type Applied = Result<Outcome, Refusal>;

pub(crate) use large::Large;

/// Lets go what an account has too much of among what was removed. Not of one that was deleted: nobody repeats that.
fn let_go_of_excess(index: &mut Index, entry: &Entry) {
    if !index.graves.has_excess(entry.account) {
        return;
    }
    index.before_excess(entry.account);
    index.graves.let_go(entry.account, |body| index.bodies.release(body));
}

/// What has come of an entry.
pub(crate) enum Begun {
    /// All there is to it.
    Done(Outcome),
    /// It goes on in steps.
    Large(Large),
}

/// Carries out one durable entry.
pub(crate) fn apply(index: &mut Index, entry: &Entry) -> Outcome {
    let mut large = match begin(index, entry) {
        Begun::Done(outcome) => return outcome,
        Begun::Large(large) => large,
    };
    loop {
        if let Some(outcome) = large.step(index, entry) {
            return outcome;
        }
    }
}

/// Carries out one durable entry, or begins to if it is a large one.
pub(crate) fn begin(index: &mut Index, entry: &Entry) -> Begun {
    if let Err(broken) = fits(index, entry) {
        panic!("{broken}, broken by the entry at {}", entry.lsn);
    }
    index.last_time_ms = entry.stamp.time_ms;
    index.bodies.advance(entry.lsn);
    if let Some(large) = Large::of(index, entry) {
        return Begun::Large(large);
    }
    let applied = match &entry.change {
        Change::AccountCreate { address, password_hash, services, mailboxes } => {
            // Also when it is refused: ids grow along the log, whatever replay makes of a damaged one.
            retire_ids(index, entry.account.counter());
            create_account(index, entry, address, password_hash, *services, mailboxes)
        }
        Change::AccountDelete => delete_account(index, entry),
        Change::Reap { until_ms } => {
            reap(index, *until_ms, usize::MAX);
            Ok(Outcome::Done)
        }
        Change::Distrust { from, until } => index.distrusted.add(*from, *until).map(|()| Outcome::Done),
        Change::Trust { from, until } => {
            index.distrusted.remove(*from, *until);
            Ok(Outcome::Done)
        }
        // What is told of sessions is for readers of the log.
        Change::Session { .. } | Change::Read { .. } => Ok(Outcome::Done),
        Change::Arrive(arrival) => arrive::arrive(index, entry, arrival),
        Change::Inherit(inheritance) => arrive::inherit(index, *inheritance),
        Change::SlotClaim { claim } => slots::claim(index, claim),
        Change::SlotLeave { slot, epoch, to } => slots::leave(index, *slot, *epoch, *to),
        Change::SlotClear { slot, epoch } => slots::clear(index, *slot, *epoch),
        // It goes in steps if there is an account to go.
        Change::AccountLeave if slots::may_leave(index, entry.account) => slots::go(index, entry),
        Change::AccountLeave => Err(Refusal::NotFresh),
        Change::DomainAdd { .. }
        | Change::DomainDelete { .. }
        | Change::AliasSet { .. }
        | Change::AliasDelete { .. } => change_directory(index, &entry.change),
        _ => change_account(index, entry),
    };
    Begun::Done(applied.unwrap_or_else(Outcome::Refused))
}

/// Lets go at most so many of the messages that were removed up to this moment; true when none is left.
fn reap(index: &mut Index, until_ms: u64, max: usize) -> bool {
    index.before_reap(until_ms, max);
    index.graves.reap(until_ms, max, |body| index.bodies.release(body))
}

/// A body's record became durable.
pub(crate) fn apply_body(index: &mut Index, body: BodyKey, segment: SegmentId) {
    index.bodies.advance(Lsn(body.id.0));
    index.bodies.insert(body, segment);
}

/// The account's records are damaged: it is not served from now on, and keeps its address and ids.
pub(crate) fn quarantine(index: &mut Index, account: AccountId) {
    index.accounts.quarantine(account);
}

/// Some of the log is lost: what its records named is not known, so others can name all that is fresh.
pub(crate) fn hold_fresh(index: &mut Index) {
    index.bodies.hold_fresh();
}

/// Ids up to this one may have been given out by records that are lost: no new account gets one of them.
pub(crate) fn retire_ids(index: &mut Index, last_counter: u64) {
    index.next_account = index.next_account.max(last_counter + 1);
}

/// Whether an entry goes on from what is there. [`apply`] insists on it; who reads entries from a disk asks
/// before.
pub(crate) fn fits(index: &Index, entry: &Entry) -> Result<(), &'static str> {
    let stamp = &entry.stamp;
    if stamp.time_ms < index.last_time_ms {
        return Err("I14: time went back");
    }
    if let Change::AccountCreate { .. } = entry.change {
        let fresh = entry.account.counter() >= index.next_account && stamp.mailbox_first == INBOX_ID;
        return fresh.then_some(()).ok_or("I12: an account id is given out again");
    }
    let Some(account) = index.accounts.get(entry.account) else { return Ok(()) };
    if matches!(entry.change, Change::AccountDelete | Change::AccountLeave | Change::Arrive(_)) {
        // What arrives has the numbers it had, and nobody sees it before it is all there.
        // An account in quarantine was deleted by what was left of it; should the damage be undone later, it
        // is deleted all the same, and whoever has its address since keeps it.
        return Ok(());
    }
    if stamp.modseq <= account.highest_modseq || stamp.modseq.0 > limits::MODSEQ_MAX {
        return Err("I10: a mod-sequence does not grow, or has no room");
    }
    let mailbox_ids = match &entry.change {
        Change::MailboxCreate { name: text, .. } | Change::MailboxRename { to: text, .. } => {
            names::levels(text)
        }
        Change::MailboxDelete { .. } => 1,
        _ => 0,
    };
    let ids_fit = stamp.mailbox_first.0.checked_add(mailbox_ids).is_some();
    if mailbox_ids > 0 && !(stamp.mailbox_first >= account.next_mailbox && ids_fit) {
        return Err("I12: a mailbox id is given out again");
    }
    let target = match &entry.change {
        Change::Deliver { mailbox, .. } | Change::Append { mailbox, .. } => {
            account.mailboxes.get(mailbox).map(|mailbox| mailbox.uid_next)
        }
        Change::Import { mailbox, messages, .. } if ImportedMessage::are_renumbered(messages) => {
            account.mailboxes.get(mailbox).map(|mailbox| mailbox.uid_next)
        }
        Change::Copy { to, .. } | Change::Restore { to, .. } => {
            account.mailboxes.get(to).map(|mailbox| mailbox.uid_next)
        }
        Change::MailboxRename { mailbox: INBOX_ID, .. } => Some(Uid(1)),
        _ => None,
    };
    if target.is_some_and(|uid_next| stamp.uid_first < uid_next) {
        return Err("I11: a UID is given out again");
    }
    Ok(())
}

fn bounded(text: &str, bytes_max: usize) -> Result<(), Refusal> {
    (!text.is_empty() && text.len() <= bytes_max).then_some(()).ok_or(Refusal::Limit)
}

fn create_account(
    index: &mut Index,
    entry: &Entry,
    address: &str,
    password_hash: &str,
    services: Services,
    mailboxes: &[(String, Option<SpecialUse>)],
) -> Applied {
    bounded(address, limits::ADDRESS_BYTES_MAX)?;
    bounded(password_hash, limits::PASSWORD_HASH_BYTES_MAX)?;
    if index.addresses.contains_key(address) {
        return Err(Refusal::Exists);
    }
    if index.accounts.len() >= limits::ACCOUNTS_PER_SHARD_MAX {
        return Err(Refusal::Limit);
    }
    let id = entry.account;
    let mut account = Account {
        id,
        address: address.to_owned(),
        password_hash: password_hash.to_owned(),
        services,
        created_ms: entry.stamp.time_ms,
        highest_modseq: entry.stamp.modseq,
        next_mailbox: INBOX_ID,
        last_uid_validity: index.uid_validity_floor,
        lost_uid_validity: None,
        mailboxes: BTreeMap::new(),
        names: BTreeMap::new(),
        subscriptions: Default::default(),
        messages: 0,
        bytes: 0,
        by_modseq: Default::default(),
        events: Events::new(entry.stamp.modseq),
        extras: None,
        annotation_bytes: 0,
        grants: Default::default(),
        parts: Default::default(),
        held: None,
    };
    let mut birth = Birth::new(&entry.stamp);
    account.create(names::INBOX, None, &mut birth)?;
    for (name, special_use) in mailboxes {
        let name = names::checked(name).ok_or(Refusal::Limit)?;
        account.create(&name, *special_use, &mut birth)?;
    }
    // Clients that list subscribed names only would else show a new user nothing (rfc3501#6.3.9).
    account.subscriptions = account.names.keys().cloned().collect();
    // Nobody has seen the account before: that is where its events begin.
    account.events = Events::new(entry.stamp.modseq);
    index.mailboxes += account.mailboxes.len() as u64;
    index.addresses.insert(account.address.clone(), id);
    index.before_change(Key::Account(id));
    index.accounts.insert(account);
    Ok(Outcome::AccountCreated(id))
}

/// Also for an account in quarantine: that is how an operator gets its address back.
fn delete_account(index: &mut Index, entry: &Entry) -> Applied {
    let id = entry.account;
    index.before_change(Key::Account(id));
    if index
        .accounts
        .get(id)
        .is_some_and(|account| account.mailboxes.values().any(|held| !held.columns.load()))
    {
        // It goes all the same; that nothing is known of its bodies is told.
        index.accounts.give_up(id);
    }
    let account = index.accounts.remove(id).ok_or(Refusal::NoAccount)?;
    index.addresses.remove(&account.address);
    index.uid_validity_floor = index.uid_validity_floor.max(account.last_uid_validity);
    index.mailboxes -= account.mailboxes.len() as u64;
    index.messages -= account.messages;
    for identifier in account.grants.identifiers() {
        index.sharing.remove(&(identifier.clone(), id));
    }
    index.graves.bury_account(Burial::new(id, entry.lsn, &entry.stamp), &account);
    Ok(Outcome::Done)
}

fn change_directory(index: &mut Index, change: &Change) -> Applied {
    match change {
        Change::DomainAdd { name } | Change::DomainDelete { name } => {
            index.before_change(Key::Domain(name.clone()));
        }
        Change::AliasSet { address, .. } | Change::AliasDelete { address } => {
            index.before_change(Key::Alias(address.clone()));
        }
        _ => {}
    }
    match change {
        Change::DomainAdd { name } => {
            bounded(name, limits::DOMAIN_BYTES_MAX)?;
            if index.domains.contains(name) {
                return Err(Refusal::Exists);
            }
            if index.domains.len() >= limits::DOMAINS_MAX {
                return Err(Refusal::Limit);
            }
            index.domains.insert(name.clone());
        }
        Change::DomainDelete { name } if !index.domains.remove(name) => return Err(Refusal::NoAccount),
        Change::AliasSet { address, targets } => {
            bounded(address, limits::ADDRESS_BYTES_MAX)?;
            targets.iter().try_for_each(|target| bounded(target, limits::ADDRESS_BYTES_MAX))?;
            let full =
                index.aliases.len() >= limits::ALIASES_PER_SHARD_MAX && !index.aliases.contains_key(address);
            if targets.is_empty() || targets.len() > limits::ALIAS_TARGETS_MAX || full {
                return Err(Refusal::Limit);
            }
            index.aliases.insert(address.clone(), targets.clone());
        }
        Change::AliasDelete { address } if index.aliases.remove(address).is_none() => {
            return Err(Refusal::NoAccount);
        }
        _ => {}
    }
    Ok(Outcome::Done)
}

/// A change of one account that is served, with the shard's counters carried along.
fn change_account(index: &mut Index, entry: &Entry) -> Applied {
    if index.account(entry.account).is_none() {
        return Err(Refusal::NoAccount);
    }
    if let Change::Restore { of, .. } = &entry.change
        && index.accounts.is_arriving(*of)
    {
        return Err(Refusal::NoAccount);
    }
    index.before_change(Key::Account(entry.account));
    let account = index.accounts.change(entry.account).ok_or(Refusal::NoAccount)?;
    if let Change::MailboxDelete { mailbox } = &entry.change
        && account.mailboxes.get(mailbox).is_some_and(|held| !held.columns.load())
    {
        index.accounts.give_up(entry.account);
        return Err(Refusal::NoAccount);
    }
    let applied =
        carry_out(index, entry, |account, keep| change_mailboxes(account, keep, &entry.change, &entry.stamp));
    let_go_of_excess(index, entry);
    applied
}

/// Works on an account that was asked for to be changed, and carries what follows from it over into the index.
fn carry_out(
    index: &mut Index,
    entry: &Entry,
    work: impl FnOnce(&mut Account, &mut Keep<'_>) -> Applied,
) -> Applied {
    let account = index.accounts.change(entry.account).ok_or(Refusal::NoAccount)?;
    index.mailboxes -= account.mailboxes.len() as u64;
    index.messages -= account.messages;
    let burial = Burial::new(entry.account, entry.lsn, &entry.stamp);
    let mut keep = Keep { bodies: &mut index.bodies, graves: &mut index.graves, burial };
    let applied = work(account, &mut keep);
    if applied.is_ok() {
        account.highest_modseq = entry.stamp.modseq;
    }
    index.mailboxes += account.mailboxes.len() as u64;
    index.messages += account.messages;
    let damaged = |id: &MailboxId| account.mailboxes.get(id).is_some_and(|held| held.columns.is_damaged());
    let is_damaged = entry.change.mailboxes_read().iter().flatten().any(damaged);
    for (identifier, is_named) in account.grants.news() {
        match is_named {
            true => index.sharing.insert((identifier, entry.account)),
            false => index.sharing.remove(&(identifier, entry.account)),
        };
    }
    if is_damaged {
        // What was carried out was carried out on rows that stand for what cannot be read.
        index.accounts.give_up(entry.account);
        return Err(Refusal::NoAccount);
    }
    applied
}

/// What a change of messages touches beside its account.
struct Keep<'a> {
    bodies: &'a mut Bodies,
    graves: &'a mut Graves,
    burial: Burial,
}

impl Keep<'_> {
    /// A message leaves its mailbox; its body stays until it is reaped.
    fn bury(&mut self, mailbox: MailboxId, message: &Message) {
        self.graves.bury(self.burial, mailbox, message);
    }
}

fn change_mailboxes(account: &mut Account, keep: &mut Keep<'_>, change: &Change, stamp: &Stamp) -> Applied {
    match change {
        Change::AccountPassword { password_hash } => {
            bounded(password_hash, limits::PASSWORD_HASH_BYTES_MAX)?;
            account.password_hash.clone_from(password_hash);
        }
        Change::AccountServices { services } => account.services = *services,
        Change::MailboxCreate { name, special_use } => {
            let name = names::checked(name).ok_or(Refusal::Limit)?;
            let id = account.create(&name, *special_use, &mut Birth::new(stamp))?;
            let name = name.into_owned();
            account.events.record(stamp.modseq, AccountEvent::MailboxCreated { mailbox: id, name });
            return Ok(Outcome::MailboxCreated(id));
        }
        Change::MailboxRename { mailbox, to } => {
            let to = names::checked(to).ok_or(Refusal::Limit)?;
            if *mailbox == INBOX_ID {
                return messages::empty_inbox_into(account, keep, &to, stamp);
            }
            account.rename(*mailbox, &to, &mut Birth::new(stamp))?;
        }
        Change::MailboxDelete { mailbox } => {
            let bury = |message: &Message| keep.bury(*mailbox, message);
            let gone = account.delete(*mailbox, &mut Birth::new(stamp), bury)?;
            keep.graves.bury_mailbox(keep.burial, &account.address, &gone);
        }
        Change::Subscribe { name, on } => account.subscribe(name, *on, stamp.modseq)?,
        Change::Deliver { mailbox, body, flags, internal_ms } => {
            return messages::deliver(account, keep, *mailbox, (*body, flags, *internal_ms, 0), stamp);
        }
        Change::Append { mailbox, messages, replaces } => {
            return messages::append(account, keep, *mailbox, messages, *replaces, stamp);
        }
        Change::FlagsStore { mailbox, uids, op, flags, unchanged_since } => {
            let stored = account.edit(*mailbox, |mailbox| {
                mailbox.store_flags(uids, *op, flags, *unchanged_since, stamp.modseq)
            })??;
            return Ok(Outcome::Stored { done: stored.done, modified: stored.modified });
        }
        Change::Copy { from, to, uids, expunge } => {
            let order = Order { from: *from, to: *to, uids, expunge: *expunge };
            return Copying::whole(account, keep, order, stamp);
        }
        Change::Restore { of, from, uids, to } => {
            return messages::restore(account, keep, (*of, *from), *to, uids, stamp);
        }
        Change::Expunge { mailbox, uids, only_deleted } => {
            let bury = |message: &Message| keep.bury(*mailbox, message);
            let gone =
                account.edit(*mailbox, |mailbox| mailbox.expunge(uids, *only_deleted, stamp.modseq, bury))?;
            return Ok(Outcome::Expunged(gone));
        }
        Change::RecentSeen { mailbox, below } => {
            account.edit(*mailbox, |mailbox| mailbox.seen_recent(*below))?;
        }
        Change::MailboxAdopt { mailbox, uid_validity, unique_ids } => {
            import::adopt(account, *mailbox, *uid_validity, *unique_ids)?;
        }
        Change::Import { mailbox, messages, uid_next } => {
            return import::import(account, keep, *mailbox, messages, *uid_next, stamp);
        }
        _ => policy::change(account, change, stamp)?,
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::super::lab::{Lab, named, uids};
    use super::*;
    use crate::change::{FlagBits, FlagOp, Flags, UidSet};
    use crate::ids::{BodyId, ModSeq};

    fn refused<T>(refusal: Refusal) -> Result<T, Refusal> {
        Err(refusal)
    }

    #[test]
    fn an_account_has_inbox_and_what_it_was_created_with() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("Sent", Some(SpecialUse::Sent)), ("Work/2024", None)]);
        let account = lab.index.account(id).expect("it was created");
        assert_eq!(
            account.mailboxes().map(|m| m.name()).collect::<Vec<_>>(),
            ["INBOX", "Sent", "Work", "Work/2024"]
        );
        assert_eq!(account.inbox().id(), INBOX_ID);
        assert_eq!(account.mailbox_by_name("inBOX").map(|m| m.id()), Some(INBOX_ID));
        assert_eq!(account.mailbox_by_name("Sent").and_then(|m| m.special_use()), Some(SpecialUse::Sent));
        assert!(account.has_children("Work") && !account.has_children("Sent"));
        assert_eq!(lab.index.account_by_address("a@x"), Some(id));
        assert_eq!(lab.index.counts().mailboxes, 4);
        let again = lab.create("a@x", &[]);
        assert_eq!(again.1, Outcome::Refused(Refusal::Exists));
    }

    #[test]
    fn a_deleted_account_frees_its_address_but_no_id_and_no_uid_validity() {
        let mut lab = Lab::new();
        let first = lab.account("a@x", &[("A", None), ("B", None)]);
        let body = lab.body(10);
        lab.deliver(first, INBOX_ID, body);
        let greatest = lab.index.account(first).expect("there").mailboxes().map(|m| m.uid_validity()).max();
        assert_eq!(lab.run(first, Change::AccountDelete), Ok(Outcome::Done));
        assert!(lab.index.account(first).is_none());
        lab.reap();
        assert_eq!(lab.index.counts(), super::super::Counts::default());
        let second = lab.account("a@x", &[]);
        assert!(second > first);
        assert!(Some(lab.inbox(second).uid_validity()) > greatest, "I13");
        assert_eq!(lab.run(first, Change::AccountDelete), refused(Refusal::NoAccount));
        assert_eq!(
            lab.run(first, Change::Subscribe { name: "x".into(), on: true }),
            refused(Refusal::NoAccount)
        );
    }

    #[test]
    fn passwords_services_and_subscriptions_change() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let before = lab.index.digest();
        lab.done(id, Change::AccountPassword { password_hash: "new".into() });
        lab.done(id, Change::AccountServices { services: Services::POP3 });
        lab.done(id, Change::Subscribe { name: "inbox".into(), on: true });
        lab.done(id, Change::Subscribe { name: "Gone".into(), on: true });
        lab.done(id, Change::Subscribe { name: "Gone".into(), on: false });
        let account = lab.index.account(id).expect("there");
        assert_eq!((account.password_hash(), account.services()), ("new", Services::POP3));
        assert_eq!(account.subscriptions().collect::<Vec<_>>(), ["INBOX"]);
        assert!(account.is_subscribed("Inbox") && !account.is_subscribed("Gone"));
        assert_ne!(lab.index.digest(), before);
        let long = "x".repeat(limits::MAILBOX_NAME_BYTES_MAX + 1);
        assert_eq!(lab.run(id, Change::Subscribe { name: long, on: true }), refused(Refusal::Limit));
        let empty = Change::AccountPassword { password_hash: String::new() };
        assert_eq!(lab.run(id, empty), refused(Refusal::Limit));
    }

    #[test]
    fn domains_and_aliases_come_and_go_in_order() {
        let mut lab = Lab::new();
        let nobody = AccountId(0);
        let domain = |name: &str| Change::DomainAdd { name: name.into() };
        lab.done(nobody, domain("b"));
        lab.done(nobody, domain("a"));
        assert_eq!(lab.run(nobody, domain("a")), refused(Refusal::Exists));
        assert_eq!(lab.index.domains().collect::<Vec<_>>(), ["a", "b"]);
        lab.done(nobody, Change::DomainDelete { name: "a".into() });
        assert_eq!(lab.run(nobody, Change::DomainDelete { name: "a".into() }), refused(Refusal::NoAccount));
        let alias = |targets: &[&str]| Change::AliasSet {
            address: "z@x".into(),
            targets: targets.iter().map(|&target| target.into()).collect(),
        };
        lab.done(nobody, alias(&["a@x"]));
        lab.done(nobody, alias(&["b@x", "c@x"]));
        assert_eq!(lab.run(nobody, alias(&[])), refused(Refusal::Limit));
        assert_eq!(lab.run(nobody, alias(&[""])), refused(Refusal::Limit));
        assert_eq!(lab.index.alias("z@x").map(<[String]>::len), Some(2));
        assert_eq!(lab.index.aliases_after("a").count(), 1);
        assert_eq!(lab.index.aliases_after("z@x").count(), 0);
        lab.done(nobody, Change::AliasDelete { address: "z@x".into() });
        assert_eq!(
            lab.run(nobody, Change::AliasDelete { address: "z@x".into() }),
            refused(Refusal::NoAccount)
        );
    }

    #[test]
    fn create_makes_superiors_and_refuses_bad_names() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let created = lab.mailbox(id, "inbox/b/c");
        assert_eq!(lab.names(id), ["INBOX", "INBOX/b", "INBOX/b/c"]);
        assert_eq!(lab.index.mailbox(id, created).map(|m| m.name()), Some("INBOX/b/c"));
        let create = |name: &str| Change::MailboxCreate { name: name.into(), special_use: None };
        assert_eq!(lab.run(id, create("INBOX/b")), refused(Refusal::Exists));
        assert_eq!(lab.run(id, create("Inbox")), refused(Refusal::Exists));
        assert_eq!(lab.run(id, create("a//b")), refused(Refusal::Limit));
        assert_eq!(lab.run(id, create(&"a/".repeat(40))), refused(Refusal::Limit));
    }

    #[test]
    fn delete_keeps_a_name_for_its_inferiors_and_no_longer() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let (a, b) = (lab.mailbox(id, "a"), lab.mailbox(id, "a/b"));
        let body = lab.body(7);
        lab.deliver(id, a, body);
        let validity = lab.index.mailbox(id, a).expect("there").uid_validity();
        lab.done(id, Change::MailboxDelete { mailbox: a });
        assert!(lab.index.mailbox(id, a).is_none(), "sessions that have it selected see it go");
        lab.reap();
        assert_eq!((lab.index.counts().messages, lab.index.counts().body_bytes), (0, 0));
        let kept = lab.index.account(id).and_then(|account| account.mailbox_by_name("a")).expect("kept");
        assert!(kept.no_select() && kept.is_empty());
        let kept = kept.id();
        assert_eq!(lab.run(id, Change::MailboxDelete { mailbox: kept }), refused(Refusal::NoMailbox));
        let seen = Change::RecentSeen { mailbox: kept, below: Uid(1) };
        assert_eq!(lab.run(id, seen), refused(Refusal::NoMailbox));
        let again = lab.mailbox(id, "a");
        assert!(lab.index.mailbox(id, again).expect("there").uid_validity() > validity, "I13");
        assert!(again != a && lab.index.mailbox(id, kept).is_none());
        lab.done(id, Change::MailboxDelete { mailbox: again });
        lab.done(id, Change::MailboxDelete { mailbox: b });
        assert_eq!(lab.names(id), ["INBOX"], "the last inferior takes the kept name along");
        assert_eq!(lab.run(id, Change::MailboxDelete { mailbox: INBOX_ID }), refused(Refusal::NoMailbox));
    }

    #[test]
    fn rename_takes_inferiors_along_and_makes_superiors() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let (a, _, ab) = (lab.mailbox(id, "a"), lab.mailbox(id, "a/b/c"), lab.mailbox(id, "ab"));
        let rename = |mailbox, to: &str| Change::MailboxRename { mailbox, to: to.into() };
        lab.done(id, rename(a, "x/y"));
        assert_eq!(lab.names(id), ["INBOX", "ab", "x", "x/y", "x/y/b", "x/y/b/c"]);
        assert_eq!(lab.index.mailbox(id, a).map(|m| m.name()), Some("x/y"));
        assert_eq!(lab.run(id, rename(ab, "x/y")), refused(Refusal::Exists));
        assert_eq!(lab.run(id, rename(MailboxId(99), "q")), refused(Refusal::NoMailbox));
        let long = "n".repeat(limits::MAILBOX_NAME_BYTES_MAX - 1);
        assert_eq!(
            lab.run(id, rename(a, &long)),
            refused(Refusal::Limit),
            "an inferior's name would be too long"
        );
        lab.done(id, rename(a, "x/y/z"));
        assert_eq!(lab.names(id), ["INBOX", "ab", "x", "x/y", "x/y/z", "x/y/z/b", "x/y/z/b/c"]);
    }

    #[test]
    fn renaming_inbox_moves_its_messages_and_leaves_it_empty() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("INBOX/sub", None)]);
        for _ in 0..3 {
            let body = lab.body(5);
            lab.deliver(id, INBOX_ID, body);
        }
        lab.done_any(id, Change::Expunge { mailbox: INBOX_ID, uids: uids(&[2]), only_deleted: false });
        let add = Change::FlagsStore {
            mailbox: INBOX_ID,
            uids: uids(&[3]),
            op: FlagOp::Add,
            flags: named(FlagBits::SEEN, &["k"]),
            unchanged_since: None,
        };
        lab.done_any(id, add);
        let outcome = lab.run(id, Change::MailboxRename { mailbox: INBOX_ID, to: "old/mail".into() });
        let Ok(Outcome::MailboxCreated(new)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(lab.names(id), ["INBOX", "INBOX/sub", "old", "old/mail"]);
        let (inbox, moved) = (lab.inbox(id), lab.index.mailbox(id, new).expect("there"));
        assert_eq!((inbox.len(), inbox.uid_next(), moved.len(), moved.uid_next()), (0, Uid(4), 2, Uid(3)));
        let gone: Vec<_> =
            inbox.expunged_since(ModSeq(0)).map(|(_, first, last)| (first.0, last.0)).collect();
        assert_eq!(gone, [(2, 2), (1, 1), (3, 3)]);
        assert_eq!(moved.message(1).flags, FlagBits::SEEN.union(FlagBits::keyword(0)));
        assert_eq!(moved.keywords(), ["k"]);
        lab.reap();
        assert_eq!((lab.index.counts().messages, lab.index.counts().body_bytes), (2, 10));
    }

    #[test]
    fn a_delivery_needs_a_mailbox_a_body_and_a_uid() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let deliver =
            |mailbox, body| Change::Deliver { mailbox, body, flags: Flags::default(), internal_ms: 9_000 };
        assert_eq!(lab.run(id, deliver(INBOX_ID, BodyId(12345))), refused(Refusal::NoBody));
        let body = lab.body(100);
        assert_eq!(lab.run(id, deliver(MailboxId(77), body)), refused(Refusal::NoMailbox));
        let uid_validity = lab.inbox(id).uid_validity();
        let delivered = lab.run(id, deliver(INBOX_ID, body));
        assert!(matches!(delivered, Ok(Outcome::Delivered { uid_validity: v, .. }) if v == uid_validity));
        let message = lab.inbox(id).message(0);
        assert_eq!((message.size, message.internal_ms, message.body), (100, 9_000, body));
        assert_eq!(message.saved_ms, lab.now.unix_ms);
        assert_eq!(lab.inbox(id).highest_modseq(), message.modseq);
        assert_eq!(
            lab.index.account(id).map(|account| (account.messages(), account.bytes())),
            Some((1, 100))
        );
        let other = lab.account("b@x", &[]);
        assert!(matches!(lab.run(other, deliver(INBOX_ID, body)), Ok(Outcome::Delivered { .. })));
        assert_eq!(lab.index.counts().body_bytes, 100, "one body, shown twice");
        lab.exhaust_uids(id, INBOX_ID);
        assert_eq!(lab.run(id, deliver(INBOX_ID, body)), refused(Refusal::Limit));
    }

    #[test]
    fn store_obeys_unchanged_since_and_keeps_quiet_where_nothing_differs() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        for _ in 0..3 {
            let body = lab.body(1);
            lab.deliver(id, INBOX_ID, body);
        }
        let store = |op, flags, unchanged_since| Change::FlagsStore {
            mailbox: INBOX_ID,
            uids: uids(&[1, 2, 9]),
            op,
            flags,
            unchanged_since,
        };
        let second = lab.inbox(id).message(1).modseq;
        let first = ModSeq(second.0 - 1);
        let outcome = lab.run(id, store(FlagOp::Add, named(FlagBits::SEEN, &[]), Some(first)));
        assert_eq!(outcome, Ok(Outcome::Stored { done: uids(&[1]), modified: uids(&[2]) }));
        assert_eq!((lab.inbox(id).unseen(), lab.inbox(id).first_unseen()), (2, Some(1)));
        assert_eq!(lab.inbox(id).changed_since(lab.inbox(id).message(2).modseq), uids(&[1]));
        let settled = lab.inbox(id).highest_modseq();
        let outcome = lab.run(id, store(FlagOp::Remove, named(FlagBits::DELETED, &["new"]), None));
        assert_eq!(outcome, Ok(Outcome::Stored { done: uids(&[1, 2]), modified: UidSet::new() }));
        assert_eq!(lab.inbox(id).highest_modseq(), settled, "rfc7162#3.1.3");
        assert!(lab.inbox(id).keywords().is_empty());
        let many: Vec<String> = (0..60).map(|n| format!("k{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            lab.run(id, store(FlagOp::Replace, named(FlagBits::NONE, &many), None)),
            refused(Refusal::Limit)
        );
        assert_eq!(lab.inbox(id).message(0).flags, FlagBits::SEEN);
    }

    #[test]
    fn copy_and_move_share_bodies_and_carry_keywords() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let to = lab.mailbox(id, "to");
        let body = lab.body(8);
        for _ in 0..3 {
            lab.deliver(id, INBOX_ID, body);
        }
        let flags = named(FlagBits::FLAGGED, &["b"]);
        let set = Change::FlagsStore {
            mailbox: INBOX_ID,
            uids: uids(&[3]),
            op: FlagOp::Add,
            flags,
            unchanged_since: None,
        };
        lab.done_any(id, set);
        lab.done_any(id, Change::Expunge { mailbox: INBOX_ID, uids: uids(&[2]), only_deleted: false });
        let copy = |to, expunge| Change::Copy { from: INBOX_ID, to, uids: uids(&[1, 2, 3, 4]), expunge };
        let uid_validity = lab.index.mailbox(id, to).expect("there").uid_validity();
        let outcome = lab.run(id, copy(to, false));
        assert_eq!(
            outcome,
            Ok(Outcome::Copied { uid_validity, source: uids(&[1, 3]), target: uids(&[1, 2]) })
        );
        let copies = lab.index.mailbox(id, to).expect("there");
        assert_eq!(copies.keywords(), ["b"]);
        assert_eq!(copies.message(1).flags, FlagBits::FLAGGED.union(FlagBits::keyword(0)));
        assert_eq!(lab.index.counts().body_bytes, 8);
        let outcome = lab.run(id, copy(INBOX_ID, true));
        assert!(matches!(outcome, Ok(Outcome::Copied { target, .. }) if target == uids(&[4, 5])));
        assert_eq!(lab.inbox(id).len(), 2);
        assert_eq!(lab.run(id, copy(MailboxId(50), false)), refused(Refusal::NoMailbox));
        lab.exhaust_uids(id, to);
        assert_eq!(
            lab.run(id, Change::Copy { from: INBOX_ID, to, uids: uids(&[4]), expunge: false }),
            refused(Refusal::Limit)
        );
    }

    #[test]
    fn only_deleted_messages_go_when_asked_so() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        for flags in [FlagBits::DELETED, FlagBits::NONE, FlagBits::DELETED] {
            let body = lab.body(1);
            let flags = named(flags, &[]);
            lab.done_any(id, Change::Deliver { mailbox: INBOX_ID, body, flags, internal_ms: 0 });
        }
        assert_eq!(lab.inbox(id).deleted(), 2);
        let before = lab.inbox(id).highest_modseq();
        let expunge = Change::Expunge { mailbox: INBOX_ID, uids: uids(&[1, 2]), only_deleted: true };
        assert_eq!(lab.run(id, expunge), Ok(Outcome::Expunged(uids(&[1]))));
        assert!(lab.inbox(id).highest_modseq() > before);
        assert_eq!((lab.inbox(id).deleted(), lab.inbox(id).unseen(), lab.inbox(id).rank(Uid(3))), (1, 2, 1));
        assert_eq!(lab.inbox(id).place(Uid(1)), None);
        lab.done(id, Change::RecentSeen { mailbox: INBOX_ID, below: Uid(1000) });
        assert_eq!(lab.inbox(id).recent_from(), lab.inbox(id).uid_next());
    }

    #[test]
    fn an_account_in_quarantine_is_there_for_deletion_only() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        quarantine(&mut lab.index, id);
        assert!(lab.index.account(id).is_none() && lab.index.mailbox(id, INBOX_ID).is_none());
        assert!(lab.index.account_by_address("a@x").is_none() && lab.index.is_quarantined("a@x"));
        assert_eq!(lab.index.accounts_after("").count(), 0);
        assert_eq!(lab.create("a@x", &[]).1, Outcome::Refused(Refusal::Exists));
        assert_eq!(
            lab.run(id, Change::AccountServices { services: Services::ALL }),
            refused(Refusal::NoAccount)
        );
        lab.done(id, Change::AccountDelete);
        assert!(!lab.index.is_quarantined("a@x"));
        lab.account("a@x", &[]);
    }

    #[test]
    fn entries_that_do_not_go_on_from_here_are_named() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(1);
        lab.deliver(id, INBOX_ID, body);
        let change = Change::Deliver { mailbox: INBOX_ID, body, flags: Flags::default(), internal_ms: 0 };
        let good = lab.stamped(id, change);
        assert_eq!(fits(&lab.index, &good), Ok(()));
        let bent = |bend: fn(&mut Stamp)| {
            let mut entry = good.clone();
            bend(&mut entry.stamp);
            fits(&lab.index, &entry).expect_err("it does not fit")
        };
        assert_eq!(&bent(|stamp| stamp.time_ms = 0)[..3], "I14");
        assert_eq!(&bent(|stamp| stamp.modseq.0 -= 1)[..3], "I10");
        assert_eq!(&bent(|stamp| stamp.uid_first.0 -= 1)[..3], "I11");
        let mut entry = good.clone();
        entry.change = Change::MailboxCreate { name: "n".into(), special_use: None };
        entry.stamp.mailbox_first = INBOX_ID;
        assert_eq!(&fits(&lab.index, &entry).expect_err("it does not fit")[..3], "I12");
        entry.change = Change::AccountDelete;
        entry.stamp.modseq = ModSeq(1);
        assert_eq!(fits(&lab.index, &entry), Ok(()), "deleted while less of it was known");
    }
}
