//! What is not mail: annotations, rights, quotas, and how clients are met.
//!
//! *Owns*: the changes that touch an account's or mailbox's extras. *Promises*: each is carried out whole or
//! refused. *Assumes*: the account is served. *Never*: judges whether somebody may.

use crate::change::{Change, QuotaLimits, Refusal, Rights, Stamp};
use crate::ids::{MailboxId, ModSeq};
use crate::index::account::Account;
use crate::index::annotations::Setting;
use crate::index::events::AccountEvent;
use crate::index::extras::AccountExtras;
use crate::limits;

/// Carries one of them out; does nothing for any other change.
pub(super) fn change(account: &mut Account, change: &Change, stamp: &Stamp) -> Result<(), Refusal> {
    match change {
        Change::Metadata { mailbox, entries } => set_metadata(account, *mailbox, entries, stamp.modseq)?,
        Change::Acl { mailbox, identifier, rights } => {
            grant(account, *mailbox, identifier, *rights, stamp.modseq)?;
        }
        Change::Quota { limits } => set_quota(account, *limits),
        Change::UrlKey { mailbox } => void_urls(account, *mailbox, stamp.modseq)?,
        Change::AccountHide { capabilities } => {
            let hidden = AccountExtras::checked_hidden(capabilities)?;
            account.extras.get_or_insert_default().hidden = hidden;
        }
        Change::AccountReferral { url } => {
            let referral = AccountExtras::checked_referral(url.as_ref())?;
            account.extras.get_or_insert_default().referral = referral;
        }
        _ => {}
    }
    Ok(())
}

fn set_metadata(
    account: &mut Account,
    mailbox: Option<MailboxId>,
    settings: &[Setting],
    modseq: ModSeq,
) -> Result<(), Refusal> {
    let others = |own: usize| account.annotation_bytes - own;
    let entries = match mailbox {
        None => {
            let server = account.extras.as_ref().map(|extras| extras.annotations.clone()).unwrap_or_default();
            let room = limits::METADATA_BYTES_MAX.saturating_sub(others(server.bytes()));
            let after = server.with(settings, room)?;
            let changed = after.differing(&server, settings);
            account.annotation_bytes = others(server.bytes()) + after.bytes();
            account.extras.get_or_insert_default().annotations = after;
            changed
        }
        Some(id) => {
            let total = account.annotation_bytes;
            account.edit_extras(id, |extras| {
                let before = &extras.annotations;
                let room = limits::METADATA_BYTES_MAX.saturating_sub(total - before.bytes());
                let after = before.with(settings, room)?;
                let changed = after.differing(before, settings);
                extras.annotations = after;
                Ok(changed)
            })??
        }
    };
    if !entries.is_empty() {
        account.events.record(modseq, AccountEvent::Metadata { mailbox, entries });
    }
    Ok(())
}

fn grant(
    account: &mut Account,
    mailbox: MailboxId,
    identifier: &str,
    rights: Option<Rights>,
    modseq: ModSeq,
) -> Result<(), Refusal> {
    let room = limits::ACL_ENTRIES_PER_ACCOUNT_MAX.saturating_sub(account.acl_entries);
    if account.edit_extras(mailbox, |extras| extras.grant(identifier, rights, room))?? {
        let identifier = identifier.to_owned();
        account.events.record(modseq, AccountEvent::Acl { mailbox, identifier });
    }
    Ok(())
}

fn set_quota(account: &mut Account, limits: QuotaLimits) {
    account.extras.get_or_insert_default().quota = limits;
}

fn void_urls(account: &mut Account, mailbox: Option<MailboxId>, modseq: ModSeq) -> Result<(), Refusal> {
    let every: Vec<MailboxId> = match mailbox {
        Some(id) => vec![id],
        None => account.mailboxes.keys().copied().collect(),
    };
    every.into_iter().try_for_each(|id| account.edit_extras(id, |extras| extras.url_generation = modseq))
}
