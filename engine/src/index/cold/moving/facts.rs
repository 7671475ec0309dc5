//! What an account and a mailbox are beside their messages, as bytes.
//!
//! *Owns*: the encoding of [`Arrival::Account`](crate::arrival::Arrival::Account) and
//! [`Arrival::Mailbox`](crate::arrival::Arrival::Mailbox), in the numbers and texts of a checkpoint. *Promises*: what
//! is read is what was written. *Assumes*: the record's sum was verified; what does not hold together all the same
//! is none. *Never*: holds a body or a place in a file.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{Services, SpecialUse};
use crate::checkpoint::wire::{Wire, put, put_octets, put_text};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::index::account::Account;
use crate::index::events::Events;
use crate::index::extras::{AccountExtras, MailboxExtras};
use crate::index::keywords::Keywords;
use crate::index::mailbox::Mailbox;
use crate::limits;

/// Puts an account without its mailboxes and subscriptions.
pub(in crate::index) fn put_account(out: &mut Vec<u8>, account: &Account) {
    put_text(out, &account.password_hash);
    out.push(account.services.0);
    let (first, last) = account.lost_uid_validity.unwrap_or_default();
    let numbers = [
        account.created_ms,
        account.highest_modseq.0,
        u64::from(account.next_mailbox.0),
        u64::from(account.last_uid_validity),
        u64::from(first),
        u64::from(last),
    ];
    numbers.into_iter().for_each(|number| put(out, number));
    let mut part = Vec::new();
    account.events.write(&mut part);
    put_octets(out, &part);
    part.clear();
    if let Some(extras) = &account.extras {
        extras.write(&mut part);
    }
    put_octets(out, &part);
}

/// Reads what [`put_account`] put.
pub(in crate::index) fn account(id: AccountId, address: &str, facts: &[u8]) -> Option<Account> {
    let mut wire = Wire::new(facts);
    let password_hash = wire.text()?.to_owned();
    let services = Services(wire.byte()?);
    let created_ms = wire.number()?;
    let highest_modseq = ModSeq(wire.number().filter(|&modseq| modseq <= limits::MODSEQ_MAX)?);
    let (next_mailbox, last_uid_validity) = (MailboxId(wire.word()?), wire.word()?);
    let lost = (wire.word()?, wire.word()?);
    let events = Events::read(&mut Wire::new(wire.octets()?))?;
    let extras = match wire.octets()? {
        [] => None,
        extras => Some(Box::new(AccountExtras::read(&mut Wire::new(extras))?)),
    };
    wire.is_empty().then_some(())?;
    Some(Account {
        id,
        address: address.to_owned(),
        password_hash,
        services,
        created_ms,
        highest_modseq,
        next_mailbox,
        last_uid_validity,
        lost_uid_validity: (lost != (0, 0)).then_some(lost),
        mailboxes: BTreeMap::new(),
        names: BTreeMap::new(),
        subscriptions: BTreeSet::new(),
        messages: 0,
        bytes: 0,
        by_modseq: BTreeSet::new(),
        events,
        annotation_bytes: extras.as_ref().map_or(0, |extras| extras.annotations.bytes()),
        extras,
        grants: Default::default(),
        parts: Default::default(),
        held: None,
    })
}

/// Puts a mailbox without its messages, their unique-ids and its history.
pub(in crate::index) fn put_mailbox(out: &mut Vec<u8>, mailbox: &Mailbox) {
    put(out, u64::from(mailbox.id.0));
    put_text(out, &mailbox.name);
    out.push(mailbox.special_use.map_or(0, |special_use| special_use as u8));
    out.push(u8::from(mailbox.no_select));
    let words = [mailbox.uid_validity, mailbox.uid_next.0, mailbox.recent_from.0];
    words.into_iter().for_each(|word| put(out, u64::from(word)));
    put(out, mailbox.highest_modseq.0);
    put(out, mailbox.keywords.names().len() as u64);
    mailbox.keywords.names().iter().for_each(|name| put_text(out, name));
    let mut part = Vec::new();
    if let Some(extras) = &mailbox.extras {
        let extras = extras.without_unique_ids();
        extras.write(&mut part);
    }
    put_octets(out, &part);
}

/// Reads what [`put_mailbox`] put.
pub(in crate::index) fn mailbox(facts: &[u8]) -> Option<Mailbox> {
    let mut wire = Wire::new(facts);
    let (id, name) = (MailboxId(wire.word()?), wire.text()?);
    let special_use = match wire.byte()? {
        0 => None,
        place => Some(SpecialUse::from_place(place)?),
    };
    let no_select = wire.byte()? != 0;
    let mut mailbox = Mailbox::new(id, name, wire.word()?, ModSeq(0));
    (mailbox.special_use, mailbox.no_select) = (special_use, no_select);
    (mailbox.uid_next, mailbox.recent_from) = (Uid(wire.word()?), Uid(wire.word()?));
    mailbox.highest_modseq = ModSeq(wire.number()?);
    let keywords = (0..wire.count()?).map(|_| wire.text().map(str::to_owned)).collect::<Option<_>>()?;
    mailbox.keywords = Keywords::of(keywords)?;
    mailbox.extras = match wire.octets()? {
        [] => None,
        extras => Some(Box::new(MailboxExtras::read(&mut Wire::new(extras))?)),
    };
    (wire.is_empty() && mailbox.recent_from <= mailbox.uid_next).then_some(mailbox)
}
