//! Who may do what with which mailbox (rfc4314), and whose a name is.
//!
//! *Owns*: how rights combine, how they are written, the names of other users' mailboxes (rfc2342#5).
//! *Promises*: an owner keeps `l` and `a`, whatever a list says; who may not know of a mailbox gets the answer
//! of one that does not exist (rfc4314#6). *Assumes*: the session is where the owner's account is.
//! *Never*: changes a list.
//!
//! ```text
//!  rights = (named | anyone) - (-named | -anyone)      for the owner: all, unless a list names the owner
//! ```

use bytes::BytesMut;
use ringpost_engine::change::{FlagBits, Flags, Rights};
use ringpost_engine::ids::AccountId;
use ringpost_engine::index::{AccountRef, MailboxRef};

use super::reply::Reply;
use super::state::{Core, User};
use crate::proto::Cx;

/// Above the mailboxes of other users: `Other Users/<address>/<name>`.
pub const OTHERS: &str = "Other Users/";

/// Notes of who granted something, `<here>/<address>`, among the server's entries of whom it was granted to: LIST
/// need not ask every account. They grant nothing.
pub const GRANTS: &str = "/private/vendor/ringpost/grants";

/// What an owner cannot lose: else a mailbox could become nobody's.
const KEPT: Rights = Rights::LOOKUP.union(Rights::ADMINISTER);

/// The rights that make a mailbox one that can be written (rfc4314#5.2); all flags are shared here.
pub const WRITABLE: [Rights; 5] =
    [Rights::INSERT, Rights::EXPUNGE, Rights::SEEN, Rights::WRITE, Rights::DELETE_MESSAGES];

/// Whose mailbox a name means: the owner's address and the name as the owner has it; none if it is the
/// user's own.
pub fn split_other(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(OTHERS)?
        .split_once('/')
        .filter(|(address, name)| !address.is_empty() && !name.is_empty())
}

/// A mailbox as a command names it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Whose it is.
    pub account: AccountRef<'a>,
    /// Which.
    pub mailbox: MailboxRef<'a>,
    /// What the user may do with it.
    pub rights: Rights,
}

impl Target<'_> {
    /// Whether the user has all of `needed`.
    pub fn allow(&self, needed: Rights) -> Result<(), Reply> {
        if self.rights.contains(needed) {
            Ok(())
        } else if self.rights.contains(Rights::LOOKUP) {
            Err(Reply::no("[NOPERM] The rights do not suffice"))
        } else {
            Err(no_such_mailbox())
        }
    }

    /// Whether the user owns it.
    pub fn is_own(&self, core: &Core) -> bool {
        core.user.as_ref().is_some_and(|user| user.account == self.account.id())
    }
}

/// The one answer for what is not there and what is not to be known.
pub fn no_such_mailbox() -> Reply {
    Reply::no("[NONEXISTENT] No such mailbox")
}

/// The account that a name is in, and the name as that account has it.
pub fn account_of<'a, 'n>(
    name: &'n str,
    core: &Core,
    cx: &'a Cx<'_>,
) -> Result<(AccountRef<'a>, &'n str), Reply> {
    match split_other(name) {
        None => Ok((core.account(cx)?, name)),
        Some((address, name)) => {
            let found = cx.store.account_by_address(address).and_then(|id| cx.store.account(id));
            Ok((found.ok_or_else(no_such_mailbox)?, name))
        }
    }
}

/// The mailbox of that name.
pub fn find<'a>(name: &str, core: &Core, cx: &'a Cx<'_>) -> Result<Target<'a>, Reply> {
    let user = core.user.as_ref().ok_or_else(|| Reply::bad("Log in first"))?;
    let (account, name) = account_of(name, core, cx)?;
    let mailbox = account.mailbox_by_name(name).ok_or_else(no_such_mailbox)?;
    Ok(Target { account, mailbox, rights: rights(mailbox, account.id(), user) })
}

/// The same for what is read or written: a name that only holds others cannot be.
pub fn find_selectable<'a>(name: &str, core: &Core, cx: &'a Cx<'_>) -> Result<Target<'a>, Reply> {
    let target = find(name, core, cx)?;
    if target.mailbox.no_select() {
        // rfc4314#6
        target.allow(Rights::LOOKUP)?;
        return Err(Reply::no("[CANNOT] That name only holds others"));
    }
    Ok(target)
}

/// What a user may do with a mailbox.
pub fn rights(mailbox: MailboxRef<'_>, owner: AccountId, user: &User) -> Rights {
    let own = owner == user.account;
    if mailbox.acl().next().is_none() {
        return if own { Rights::ALL } else { Rights::NONE };
    }
    let listed = |identifier: &str| mailbox.rights_of(identifier).unwrap_or(Rights::NONE);
    let named = match mailbox.rights_of(&user.address) {
        None if own => Rights::ALL,
        named => named.unwrap_or(Rights::NONE),
    };
    let denied = listed(&format!("-{}", user.address)).union(listed("-anyone"));
    let rights = named.union(listed("anyone")).without(denied);
    if own { rights.union(KEPT) } else { rights }
}

/// What LISTRIGHTS says an identifier always has: the owner what cannot be lost, others nothing.
pub fn kept(own: bool) -> Rights {
    if own { KEPT } else { Rights::NONE }
}

/// The rights as they are written, with `c` and `d` for clients of rfc2086 (rfc4314#2.1.1).
pub fn put(text: &mut BytesMut, rights: Rights) {
    let any = |set: [Rights; 2]| set.into_iter().any(|right| rights.contains(right));
    let old_create = any([Rights::CREATE, Rights::DELETE_MAILBOX]).then_some('c');
    let old_delete = any([Rights::DELETE_MESSAGES, Rights::EXPUNGE]).then_some('d');
    let letters: String = rights.letters().chain(old_create).chain(old_delete).collect();
    super::write::astring(text, letters.as_bytes());
}

/// The flags that these rights allow to change (rfc4314#4: `t`, `s`, and `w` for all others).
pub fn permitted_bits(rights: Rights) -> FlagBits {
    let of = |right, bits| if rights.contains(right) { bits } else { FlagBits::NONE };
    let other = FlagBits(!0).without(FlagBits::SEEN).without(FlagBits::DELETED);
    of(Rights::SEEN, FlagBits::SEEN)
        .union(of(Rights::DELETE_MESSAGES, FlagBits::DELETED))
        .union(of(Rights::WRITE, other))
}

/// The same of flags that a client names.
pub fn permitted_flags(rights: Rights, mut flags: Flags) -> Flags {
    let bits = permitted_bits(rights);
    flags.system = FlagBits(flags.system.0 & bits.0);
    if !rights.contains(Rights::WRITE) {
        flags.keywords.clear();
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_have_an_address_and_a_name() {
        assert_eq!(split_other("Other Users/a@x/INBOX/b"), Some(("a@x", "INBOX/b")));
        for own in
            ["INBOX", "Other Users", "Other Users/", "Other Users/a@x", "Other Users//b", "Other Users/a/"]
        {
            assert_eq!(split_other(own), None, "{own}");
        }
    }

    #[test]
    fn old_letters_follow_the_new_ones() {
        let written = |rights| {
            let mut text = BytesMut::new();
            put(&mut text, rights);
            String::from_utf8_lossy(&text).into_owned()
        };
        assert_eq!(written(Rights::ALL), "lrswipkxteacd");
        assert_eq!(written(Rights::LOOKUP.union(Rights::DELETE_MAILBOX)), "lxc");
        assert_eq!(written(Rights::EXPUNGE), "ed");
        assert_eq!(written(Rights::NONE), "\"\"");
    }

    #[test]
    fn each_flag_has_its_right() {
        let keyword = FlagBits::keyword(3);
        let bits = |rights| permitted_bits(rights);
        assert_eq!(bits(Rights::ALL), FlagBits(!0));
        assert_eq!(bits(Rights::SEEN), FlagBits::SEEN);
        assert_eq!(bits(Rights::DELETE_MESSAGES), FlagBits::DELETED);
        assert!(bits(Rights::WRITE).contains(FlagBits::DRAFT.union(keyword)));
        assert!(!bits(Rights::WRITE).contains(FlagBits::SEEN));
        let flags = Flags { system: FlagBits::SYSTEM, keywords: vec!["k".to_owned()] };
        let kept = permitted_flags(Rights::SEEN.union(Rights::LOOKUP), flags);
        assert_eq!(kept, Flags { system: FlagBits::SEEN, keywords: Vec::new() });
    }
}
