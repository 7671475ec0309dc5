//! What puts an account of another log together again.
//!
//! *Owns*: what each [`Arrival`] does. *Promises*: nobody sees an account before its `Done`, which finds everything
//! that was sent or refuses; ids, UIDs and mod-sequences are those it had (I10 to I12). *Assumes*: nothing of the
//! bytes; what does not hold together is refused. *Never*: touches an account that is served.

use super::{Applied, bounded, retire_ids};
use crate::arrival::{Arrival, Inheritance, Moved};
use crate::change::{Entry, FlagBits, Outcome, Refusal, is_unique_id};
use crate::checkpoint::Key;
use crate::checkpoint::wire::Wire;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::index::account::{Account, INBOX_ID};
use crate::index::bodies::Bodies;
use crate::index::cold::moving::facts;
use crate::index::history::History;
use crate::index::{Buried, BuriedMailbox, Index, names};
use crate::limits;

/// Carries out one piece.
pub(super) fn arrive(index: &mut Index, entry: &Entry, arrival: &Arrival) -> Applied {
    match arrival {
        Arrival::Account { address, facts } => begin(index, entry.account, address, facts),
        Arrival::Removed(removed) => bury(index, entry, removed),
        Arrival::RemovedMailbox(gone) => Ok(bury_mailbox(index, entry.account, gone)),
        Arrival::Done { mailboxes, messages, bytes } => {
            finish(index, entry.account, (*mailboxes, *messages, *bytes))
        }
        // One that is there goes in steps.
        Arrival::Dropped => Err(Refusal::NoAccount),
        _ => change(index, entry.account, arrival),
    }
}

/// The counters of the logs that this one goes on from.
pub(super) fn inherit(index: &mut Index, inheritance: Inheritance) -> Applied {
    retire_ids(index, inheritance.next_account.saturating_sub(1));
    index.uid_validity_floor = index.uid_validity_floor.max(inheritance.uid_validity_floor);
    Ok(Outcome::Done)
}

fn begin(index: &mut Index, id: AccountId, address: &str, facts: &[u8]) -> Applied {
    bounded(address, limits::ADDRESS_BYTES_MAX)?;
    if index.accounts.contains(id) {
        return Err(Refusal::Exists);
    }
    if id == AccountId(0) || index.accounts.len() >= limits::ACCOUNTS_PER_SHARD_MAX {
        return Err(Refusal::Limit);
    }
    let account = facts::account(id, address, facts).ok_or(Refusal::Limit)?;
    if id == AccountId::new(index.shard, id.counter()) {
        // I12: it was made by the shard of this number, which must not make another of it.
        retire_ids(index, id.counter());
    }
    index.before_change(Key::Account(id));
    index.accounts.insert_arriving(account);
    Ok(Outcome::Done)
}

/// A piece of an account that is on its way.
fn change(index: &mut Index, id: AccountId, arrival: &Arrival) -> Applied {
    if !index.accounts.is_arriving(id) || index.accounts.is_quarantined(id) {
        return Err(Refusal::NoAccount);
    }
    index.before_change(Key::Account(id));
    #[cfg(feature = "testing")]
    if index.accounts.plant == Some(crate::log::writer::Plant::LosePiece) && is_lost(arrival) {
        return Ok(Outcome::Done);
    }
    let account = index.accounts.change(id).ok_or(Refusal::NoAccount)?;
    index.mailboxes -= account.mailboxes.len() as u64;
    index.messages -= account.messages;
    let applied = piece(account, &mut index.bodies, arrival);
    index.mailboxes += account.mailboxes.len() as u64;
    index.messages += account.messages;
    for (identifier, _) in account.grants.news() {
        index.sharing.insert((identifier, id));
    }
    applied
}

/// A planted bug: what no count at the end would miss.
#[cfg(feature = "testing")]
fn is_lost(arrival: &Arrival) -> bool {
    matches!(arrival, Arrival::Subscriptions(_) | Arrival::History { .. })
}

fn piece(account: &mut Account, bodies: &mut Bodies, arrival: &Arrival) -> Applied {
    match arrival {
        Arrival::Subscriptions(more) => {
            let good = more.iter().all(|name| names::checked(name).is_some());
            let fits = account.subscriptions.len() + more.len() <= limits::SUBSCRIPTIONS_PER_ACCOUNT_MAX;
            (good && fits).then_some(()).ok_or(Refusal::Limit)?;
            account.subscriptions.extend(more.iter().cloned());
        }
        Arrival::Mailbox(facts) => {
            let mailbox = facts::mailbox(facts).ok_or(Refusal::Limit)?;
            let fits = account.mailboxes.len() < limits::MAILBOXES_PER_ACCOUNT_MAX
                && names::checked(&mailbox.name).is_some_and(|name| *name == mailbox.name)
                && mailbox.id < account.next_mailbox
                && mailbox.highest_modseq <= account.highest_modseq;
            let is_new =
                !account.mailboxes.contains_key(&mailbox.id) && !account.names.contains_key(&mailbox.name);
            (fits && is_new).then_some(()).ok_or(Refusal::Limit)?;
            account.enter(mailbox).ok_or(Refusal::Limit)?;
        }
        Arrival::History { mailbox, runs } => {
            let part = History::read(&mut Wire::new(runs)).ok_or(Refusal::Limit)?;
            let mailbox = account.mailboxes.get_mut(mailbox).ok_or(Refusal::NoMailbox)?;
            mailbox.expunges.extend(part).ok_or(Refusal::Limit)?;
        }
        Arrival::Messages { mailbox, messages } => add(account, bodies, *mailbox, messages)?,
        _ => return Err(Refusal::Limit),
    }
    Ok(Outcome::Done)
}

fn add(account: &mut Account, bodies: &mut Bodies, id: MailboxId, moved: &[Moved]) -> Result<(), Refusal> {
    let mailbox = account.selectable(id)?;
    let bits = FlagBits::KEYWORD_SHIFT + mailbox.keywords.names().len() as u32;
    let known = 1u64.checked_shl(bits).map_or(u64::MAX, |above| above - 1);
    let last = mailbox.columns.len().checked_sub(1).map_or(Uid(0), |last| mailbox.columns.uid(last));
    let ascends = moved.first().is_none_or(|first| first.message.uid > last)
        && moved.windows(2).all(|pair| pair[0].message.uid < pair[1].message.uid)
        && moved.last().is_none_or(|last| last.message.uid < mailbox.uid_next);
    let good = |Moved { message, unique_id }: &Moved| {
        message.modseq <= mailbox.highest_modseq
            && message.flags.0 & !known == 0
            && unique_id.as_deref().is_none_or(is_unique_id)
    };
    (ascends && moved.iter().all(good)).then_some(()).ok_or(Refusal::NotFresh)?;
    if !moved.iter().all(|moved| bodies.may_be_shown(moved.message.key())) {
        return Err(Refusal::NoBody);
    }
    account.edit(id, |mailbox| moved.iter().for_each(|moved| mailbox.take(moved.message)))?;
    moved.iter().for_each(|moved| bodies.reference(moved.message.key()));
    let own: Vec<(Uid, &str)> =
        moved.iter().filter_map(|moved| Some((moved.message.uid, moved.unique_id.as_deref()?))).collect();
    if !own.is_empty() {
        let own = own.into_iter().map(|(uid, text)| (uid, text.into()));
        account.edit_extras(id, |extras| extras.unique_ids.given.extend(own))?;
    }
    Ok(())
}

/// Messages that had left before the account came. They need no account: it may be gone as well.
fn bury(index: &mut Index, entry: &Entry, removed: &[Buried]) -> Applied {
    let ascends = removed.windows(2).all(|pair| pair[0].when_ms <= pair[1].when_ms);
    let of_its_time = removed.last().is_none_or(|last| last.when_ms <= entry.stamp.time_ms);
    (ascends && of_its_time).then_some(()).ok_or(Refusal::Limit)?;
    if !removed.iter().all(|removed| index.bodies.may_be_shown(removed.message.key())) {
        return Err(Refusal::NoBody);
    }
    if let Some(first) = removed.first() {
        index.before_shift(first.when_ms);
    }
    removed.iter().for_each(|removed| index.bodies.reference(removed.message.key()));
    let whose = |removed: &Buried| Buried { account: entry.account, lsn: entry.lsn, ..*removed };
    index.graves.take(removed.iter().map(whose).collect());
    Ok(Outcome::Done)
}

fn bury_mailbox(index: &mut Index, account: AccountId, gone: &BuriedMailbox) -> Outcome {
    index.before_shift(gone.when_ms);
    index.graves.take_mailbox(BuriedMailbox { account, ..gone.clone() });
    Outcome::Done
}

fn finish(index: &mut Index, id: AccountId, expected: (u64, u64, u64)) -> Applied {
    if !index.accounts.is_arriving(id) || index.accounts.is_quarantined(id) {
        return Err(Refusal::NoAccount);
    }
    let account = index.accounts.get(id).ok_or(Refusal::NoAccount)?;
    let found = (account.mailboxes.len() as u64, account.messages, account.bytes);
    let has_inbox = account.mailboxes.get(&INBOX_ID).is_some_and(|inbox| inbox.name == names::INBOX);
    (found == expected && has_inbox).then_some(()).ok_or(Refusal::NotFresh)?;
    let address = account.address.clone();
    if index.addresses.contains_key(&address) {
        return Err(Refusal::Exists);
    }
    index.before_change(Key::Account(id));
    index.accounts.arrived(id);
    index.addresses.insert(address, id);
    Ok(Outcome::AccountCreated(id))
}
