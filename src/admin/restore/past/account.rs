//! An account that is not there any more, made again.
//!
//! *Owns*: what of an account is not mail: password hash, services, mailboxes, quota, settings, aliases,
//! subscriptions. *Promises*: as the folder has it. *Assumes*: its domain is served. *Never*: overwrites what is there.

use std::collections::BTreeSet;

use ringpost_engine::change::SpecialUse;
use ringpost_engine::index::{AccountRef, MailboxRef};

use super::super::here::{Here, State};
use super::super::report::Report;
use super::super::wire::RestoreStep;
use super::super::wish::Wish;
use super::open::Past;
use crate::admin::import::server::USES;
use crate::admin::import::wire::ImportStep;
use crate::admin::route::service_names;
use crate::admin::wire::{Line, Request};
use crate::limits::RESTORE_MAILBOXES_AT_ONCE;
use crate::shard::admin::import::MARK;
use crate::shard::admin::restore::{RESTORED, UNFINISHED};

/// The mailboxes of an account that hold messages and are meant, superiors first.
pub fn chosen<'a>(account: &AccountRef<'a>, wish: &Wish) -> Vec<MailboxRef<'a>> {
    account.mailboxes().filter(|mailbox| !mailbox.no_select() && wish.names(mailbox.name())).collect()
}

/// How a special use is spelt; empty for none.
pub fn spelt(special_use: Option<SpecialUse>) -> &'static str {
    let known = USES.iter().find(|(_, known)| Some(*known) == special_use);
    known.map_or("", |(spelt, _)| spelt)
}

/// Makes the account, or goes on with one that an earlier run has made.
///
/// # Errors
/// One line; what was done is done, and another run goes on.
pub fn make(
    here: &Here<'_>,
    state: &State,
    past: &Past,
    wish: &Wish,
    report: &mut Report,
) -> Result<(), String> {
    let address = here.address();
    if state.unfinished {
        report.note(&format!("account {address}: an earlier run was cut short, this one goes on"))?;
        return if wish.dry_run { Ok(()) } else { settings(here, &past.account()?) };
    }
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let mut is_served = false;
    here.request(&Request::DomainList, &mut |line| {
        is_served |= matches!(line, Line::Domain { name } if name == domain);
        Ok(())
    })?;
    if !is_served {
        return Err(format!("{domain} is not a domain of this server: first `ringpost domain add {domain}`"));
    }
    let what = if wish.dry_run { "would be made" } else { "is made" };
    report.note(&format!("account {address} {what}, with its password"))?;
    if wish.dry_run {
        return Ok(());
    }
    let account = past.account()?;
    let mailboxes = chosen(&account, wish).into_iter().filter(|mailbox| mailbox.name() != "INBOX");
    let named = mailboxes.map(|mailbox| (mailbox.name().to_owned(), spelt(mailbox.special_use()).to_owned()));
    here.step(RestoreStep::Account {
        password_hash: account.password_hash().to_owned(),
        services: service_names(account.services()),
        mailboxes: named.take(RESTORE_MAILBOXES_AT_ONCE).collect(),
    })?;
    settings(here, &account)
}

fn settings(here: &Here<'_>, account: &AccountRef<'_>) -> Result<(), String> {
    let address = || here.address().to_owned();
    let done = &mut |_| Ok(());
    if !account.hidden_capabilities().is_empty() {
        let capabilities = account.hidden_capabilities().to_vec();
        here.request(&Request::AccountHide { address: address(), capabilities }, done)?;
    }
    if let Some(url) = account.referral() {
        here.request(&Request::AccountReferral { address: address(), url: Some(url.to_owned()) }, done)?;
    }
    let mut entries = account.metadata_below("").filter(|(entry, _)| *entry != UNFINISHED);
    entries.try_for_each(|(entry, value)| here.annotate(None, entry, value))
}

/// Sets the quota, after all mail has come: it may have been lowered under what was there.
pub fn quota(here: &Here<'_>, past: &Past) -> Result<(), String> {
    let limits = past.account()?.quota().limits;
    if limits == Default::default() {
        return Ok(());
    }
    let text = |limit: Option<u64>| limit.map(|limit| limit.to_string());
    let storage = limits.storage_kib.map(|kib| format!("{kib}K"));
    let (messages, mailboxes) = (text(limits.messages), text(limits.mailboxes));
    let address = here.address().to_owned();
    here.request(&Request::AccountQuota { address, storage, messages, mailboxes }, &mut |_| Ok(()))
}

/// Brings back the aliases that led to the account and are not there. Whether all of them are.
pub fn aliases(here: &Here<'_>, past: &Past, wish: &Wish, report: &mut Report) -> Result<bool, String> {
    let (mut there, mut is_whole) = (BTreeSet::new(), true);
    here.request(&Request::AliasList, &mut |line| {
        if let Line::Alias { address, .. } = line {
            there.insert(address);
        }
        Ok(())
    })?;
    for (address, targets) in past.aliases.iter().filter(|(address, _)| !there.contains(address)) {
        if !wish.dry_run {
            let request = Request::AliasAdd { address: address.clone(), targets: targets.clone() };
            if let Err(why) = here.request(&request, &mut |_| Ok(())) {
                report.problem(&format!("alias {address}: {why}"))?;
                is_whole = false;
                continue;
            }
        }
        report.note(&format!("alias {address} for {}", targets.join(" ")))?;
    }
    Ok(is_whole)
}

/// Subscribes what was subscribed then, and nothing else, in an account that was just made.
pub fn subscriptions(here: &Here<'_>, state: &State, past: &Past) -> Result<(), String> {
    let account = past.account()?;
    let wanted: BTreeSet<&str> = account.subscriptions().collect();
    for name in state.subscribed.iter().filter(|name| !wanted.contains(name.as_str())) {
        here.step(RestoreStep::Unsubscribe { name: name.clone() })?;
    }
    for name in wanted.into_iter().filter(|name| !state.subscribed.contains(*name)) {
        here.change(ImportStep::Subscribe { name: name.to_owned() })?;
    }
    Ok(())
}

/// Gives a mailbox that was just made the annotations and the access control list that it had.
pub fn dress(here: &Here<'_>, name: &str, had: &MailboxRef<'_>) -> Result<(), String> {
    let own = |entry: &str| entry == MARK || entry == RESTORED;
    for (entry, value) in had.metadata_below("").filter(|(entry, _)| !own(entry)) {
        here.annotate(Some(name), entry, value)?;
    }
    for (identifier, rights) in had.acl() {
        let (mailbox, identifier) = (name.to_owned(), identifier.to_owned());
        here.step(RestoreStep::Share { mailbox, identifier, rights: rights.letters().collect() })?;
    }
    Ok(())
}
