//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (rfc3501#6.3.3 to #6.3.7, rfc6154#5).
//!
//! *Owns*: what is said about a name before the store is asked. *Promises*: a name made or removed is
//! durable before the completion. *Assumes*: the store makes missing superiors, keeps names that hold
//! others, and decides for good when the change applies. *Never*: subscribes by itself.

use bytes::BytesMut;
use ringpost_engine::change::{Change, Outcome, QuotaUsage, Refusal, Rights, SpecialUse};
use ringpost_engine::ids::AccountId;
use ringpost_engine::index::{AccountEvent, AccountRef};
use ringpost_engine::limits::{MAILBOX_LEVELS_MAX, MAILBOX_NAME_BYTES_MAX};

use crate::proto::Cx;
use crate::proto::imap::access::{self, Target};
use crate::proto::imap::command::UseArgument;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::write;

/// A command that is one change of the account's names.
#[derive(Debug)]
pub enum Edit {
    /// CREATE
    Create {
        /// As asked for; may end in a separator.
        name: String,
        /// As asked for.
        special_use: UseArgument,
    },
    /// DELETE
    Delete {
        /// Which.
        name: String,
    },
    /// RENAME
    Rename {
        /// Which.
        from: String,
        /// The new name.
        to: String,
    },
    /// SUBSCRIBE, UNSUBSCRIBE
    Subscribe {
        /// Which.
        name: String,
        /// False to unsubscribe.
        on: bool,
    },
}

impl Edit {
    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match wake {
            Wake::Committed(Outcome::Refused(refusal)) => Reply::from(refusal).into(),
            Wake::Committed(Outcome::MailboxCreated(id)) if matches!(self, Edit::Create { .. }) => {
                self.note_own(core, cx);
                // rfc8474#4.1
                let mut text = BytesMut::from(&b"[MAILBOXID ("[..]);
                write::mailbox_id(&mut text, self.account(core, cx), id);
                Reply::ok(format!("{})] CREATE completed", String::from_utf8_lossy(&text))).into()
            }
            Wake::Committed(_) => {
                self.note_own(core, cx);
                self.leave_deleted(core, cx);
                Reply::done().into()
            }
            _ => self.begin(core, cx).unwrap_or_else(Step::Done),
        }
    }

    fn begin(&self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        if core.enabled.utf8_names()
            && let Edit::Create { name, .. } | Edit::Rename { to: name, .. } = self
            && !unicode_normalization::is_nfc(name)
        {
            // rfc9051#5.1: no name is made that is not Net-Unicode.
            return Err(Reply::no("[CANNOT] The name is not in Unicode's normalisation form C"));
        }
        let (account, change) = match self {
            Edit::Create { name, special_use } => create(name, *special_use, core, cx)?,
            Edit::Delete { name } => delete(&access::find(name, core, cx)?)?,
            Edit::Rename { from, to } => rename(&access::find(from, core, cx)?, to, core, cx)?,
            Edit::Subscribe { name, on } => (core.account_id(), subscribe(name, *on)?),
        };
        Ok(Step::Commit(core.append_to(account, cx, change)?))
    }

    /// The account that a mailbox was made in.
    fn account(&self, core: &Core, cx: &Cx<'_>) -> AccountId {
        let Edit::Create { name, .. } = self else { return core.account_id() };
        access::account_of(name, core, cx).map_or(core.account_id(), |(account, _)| account.id())
    }

    /// What the client did itself is not told to it (rfc5465#5).
    fn note_own(&self, core: &mut Core, cx: &Cx<'_>) {
        let Some(mut watch) = core.watch.take() else { return };
        let watched = watch.account();
        let is = |known: &str, name: &str| {
            let name = name.strip_suffix('/').unwrap_or(name);
            let own = access::account_of(name, core, cx);
            own.is_ok_and(|(account, name)| account.id() == watched && name == known)
        };
        let is_own = |event: &AccountEvent| match (self, event) {
            (Edit::Create { name, .. }, AccountEvent::MailboxCreated { name: known, .. }) => is(known, name),
            (Edit::Delete { name }, AccountEvent::MailboxDeleted { name: known, .. }) => is(known, name),
            (Edit::Rename { from, to }, AccountEvent::MailboxRenamed { from: old, to: new, .. }) => {
                is(old, from) && is(new, to)
            }
            (Edit::Subscribe { name, .. }, AccountEvent::Subscription { name: known, .. }) => is(known, name),
            _ => false,
        };
        if let Some(account) = cx.store.account(watched) {
            watch.note_own_event(account, is_own);
        }
        core.watch = Some(watch);
    }

    /// Who deletes the mailbox that is selected has none selected afterwards.
    fn leave_deleted(&self, core: &mut Core, cx: &Cx<'_>) {
        let deletes = matches!(self, Edit::Delete { .. });
        if deletes
            && !core.is_away()
            && core.view.as_ref().is_some_and(|view| view.mailbox(cx.store).is_none())
        {
            core.view = None;
        }
    }
}

/// The name that is meant (rfc3501#6.3.3: a trailing separator announces names below it), if a mailbox can
/// have it.
fn new_name(name: &str) -> Result<&str, Reply> {
    let name = name.strip_suffix('/').unwrap_or(name);
    if name.len() > MAILBOX_NAME_BYTES_MAX || name.split('/').count() > MAILBOX_LEVELS_MAX {
        return Err(Reply::no("[LIMIT] The name is too long"));
    }
    if name.split('/').any(str::is_empty) || name.chars().any(char::is_control) {
        return Err(Reply::no("[CANNOT] No mailbox can have that name"));
    }
    Ok(name)
}

/// The right to make `name` (rfc4314#4: `k` on the nearest superior that is there). At the top an account is
/// its owner's.
fn allow_below(account: AccountRef<'_>, name: &str, core: &Core) -> Result<(), Reply> {
    let user = core.user.as_ref().ok_or_else(|| Reply::bad("Log in first"))?;
    let superiors = std::iter::successors(name.rsplit_once('/'), |(above, _)| above.rsplit_once('/'));
    let nearest = superiors.map(|(above, _)| above).find_map(|above| account.mailbox_by_name(above));
    let rights = match nearest {
        Some(mailbox) => access::rights(mailbox, account.id(), user),
        None if account.id() == user.account => Rights::ALL,
        None => Rights::NONE,
    };
    if rights.contains(Rights::CREATE) {
        Ok(())
    } else if rights.contains(Rights::LOOKUP) {
        Err(Reply::no("[NOPERM] Nothing may be made there"))
    } else {
        // rfc4314#6: nor is it told whether there is such an account.
        Err(access::no_such_mailbox())
    }
}

fn create(
    name: &str,
    special_use: UseArgument,
    core: &Core,
    cx: &Cx<'_>,
) -> Result<(AccountId, Change), Reply> {
    let name = new_name(name)?;
    let (account, name) = access::account_of(name, core, cx)?;
    if name.starts_with(access::OTHERS) {
        return Err(Reply::no("[CANNOT] That is where other users' mailboxes are"));
    }
    allow_below(account, name, core)?;
    let special_use = match special_use {
        UseArgument::None => None,
        UseArgument::One(wanted) if may_carry(account, wanted) => Some(wanted),
        // rfc6154#3: an attribute that cannot be given.
        UseArgument::One(_) | UseArgument::Unsupported => {
            return Err(Reply::no("[USEATTR] That special use cannot be given"));
        }
    };
    if account.mailbox_by_name(name).is_some_and(|mailbox| !mailbox.no_select()) {
        return Err(Reply::no("[ALREADYEXISTS] That mailbox is there already"));
    }
    if !account.room(QuotaUsage { mailboxes: 1, ..QuotaUsage::default() }) {
        // rfc9208#4.3.1
        return Err(Refusal::OverQuota.into());
    }
    Ok((account.id(), Change::MailboxCreate { name: name.to_owned(), special_use }))
}

/// One mailbox of an account for each use; `\All` and `\Flagged` would be views of others, which there are
/// not.
fn may_carry(account: AccountRef<'_>, wanted: SpecialUse) -> bool {
    !matches!(wanted, SpecialUse::All | SpecialUse::Flagged)
        && account.mailboxes().all(|mailbox| mailbox.special_use() != Some(wanted))
}

fn delete(target: &Target<'_>) -> Result<(AccountId, Change), Reply> {
    target.allow(Rights::DELETE_MAILBOX)?;
    let mailbox = target.mailbox;
    if mailbox.name() == "INBOX" {
        return Err(Reply::no("[CANNOT] INBOX stays"));
    }
    if mailbox.no_select() {
        // rfc3501#6.3.4: an error while names below it exist, and it goes with the last of them.
        return Err(Reply::no("[CANNOT] That name only holds others"));
    }
    Ok((target.account.id(), Change::MailboxDelete { mailbox: mailbox.id() }))
}

fn rename(target: &Target<'_>, to: &str, core: &Core, cx: &Cx<'_>) -> Result<(AccountId, Change), Reply> {
    target.allow(Rights::DELETE_MAILBOX)?;
    let to = new_name(to)?;
    let (account, to) = match access::split_other(to) {
        // Nothing but a mailbox's place among its owner's names changes.
        Some((address, name)) if address == target.account.address() => (target.account, name),
        None if target.is_own(core) && !to.starts_with(access::OTHERS) => access::account_of(to, core, cx)?,
        _ => return Err(Reply::no("[CANNOT] A mailbox stays with its owner")),
    };
    allow_below(account, to, core)?;
    if account.mailbox_by_name(to).is_some() {
        return Err(Reply::no("[ALREADYEXISTS] That name is taken"));
    }
    let change = Change::MailboxRename { mailbox: target.mailbox.id(), to: to.to_owned() };
    Ok((account.id(), change))
}

fn subscribe(name: &str, on: bool) -> Result<Change, Reply> {
    // rfc3501#6.3.6: the name need not be a mailbox, and stays subscribed when its mailbox goes.
    let name = if on { new_name(name)? } else { name.strip_suffix('/').unwrap_or(name) };
    Ok(Change::Subscribe { name: name.to_owned(), on })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_levels_and_no_empty_ones() {
        assert_eq!(new_name("a/b/c"), Ok("a/b/c"));
        assert_eq!(new_name("Entwürfe/"), Ok("Entwürfe"));
        for bad in ["", "/", "/a", "a//b", "a\u{7}b", "a//"] {
            assert!(new_name(bad).is_err(), "{bad:?}");
        }
        assert!(new_name(&"x".repeat(MAILBOX_NAME_BYTES_MAX + 1)).is_err());
        assert!(new_name(&vec!["x"; MAILBOX_LEVELS_MAX + 1].join("/")).is_err());
    }
}
