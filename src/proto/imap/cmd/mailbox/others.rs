//! LIST of other users' mailboxes.
//!
//! *Owns*: whose mailboxes are looked at, one owner after the other. *Promises*: what is shown is granted now,
//! by its owner's list; a bounded number of names a call. *Assumes*: the store holds a note of every owner who
//! granted something by name; an owner whom the pattern names needs none. *Never*: trusts a note.
//!
//! ```text
//!  at home: owners noted, named or subscribed ──► next owner's account ──names──► next owner … none left
//! ```

use std::collections::{BTreeSet, VecDeque};

use ringpost_engine::change::Rights;
use ringpost_engine::index::{AccountRef, MailboxRef};

use super::list::Query;
use super::show::{self, Shown, Word};
use super::status;
use crate::limits::{IMAP_CARRIED_NAMES_BYTES_MAX, IMAP_LIST_STEP_COST_MAX, IMAP_OWNERS_MAX};
use crate::proto::Cx;
use crate::proto::imap::access::{self, GRANTS, OTHERS};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, User};

/// See the module.
#[derive(Debug)]
pub struct Others {
    /// Addresses, the one under way first.
    owners: VecDeque<String>,
    /// The user's subscriptions to others' mailboxes.
    subscribed: BTreeSet<String>,
    /// The last name of the first owner that was looked at.
    after: String,
    /// `Other Users` was shown.
    root_shown: bool,
    /// The first owner was shown.
    owner_shown: bool,
}

impl Others {
    /// Whom to look at; asked at home.
    pub fn new(query: &Query, account: AccountRef<'_>) -> Result<Others, Reply> {
        let names = account.subscriptions_after(OTHERS).take_while(|name| name.starts_with(OTHERS));
        let (mut subscribed, mut bytes) = (BTreeSet::new(), 0);
        for name in names {
            bytes += name.len();
            if bytes > IMAP_CARRIED_NAMES_BYTES_MAX {
                return Err(Reply::no("[LIMIT] Too many subscriptions to other users' mailboxes"));
            }
            subscribed.insert(name.to_owned());
        }
        let mut owners = BTreeSet::new();
        let subscribed_owners = subscribed.iter().filter_map(|name| access::split_other(name));
        owners.extend(subscribed_owners.map(|(owner, _)| owner.to_owned()));
        if !query.select.subscribed {
            let noted = account.metadata_below(GRANTS).filter_map(|(name, _)| name.rsplit_once('/'));
            owners.extend(noted.map(|(_, owner)| owner.to_owned()));
            owners.extend(query.patterns.iter().filter_map(|pattern| pattern.names_owner()));
        }
        let may_match = |owner: &String| {
            let root = format!("{OTHERS}{owner}");
            query.patterns.iter().any(|pattern| {
                let found = pattern.matches(&root);
                found.whole || found.below || pattern.matches(OTHERS.trim_end_matches('/')).whole
            })
        };
        let owners = owners.into_iter().filter(may_match).take(IMAP_OWNERS_MAX).collect();
        Ok(Others { owners, subscribed, after: String::new(), root_shown: false, owner_shown: false })
    }

    /// Goes on; none when there is nobody left.
    pub fn step(&mut self, query: &Query, core: &mut Core, cx: &Cx<'_>) -> Option<Step> {
        while let Some(owner) = self.owners.front().cloned() {
            if core.here != owner {
                return Some(core.go_to(owner));
            }
            let own = core.user.as_ref().is_none_or(|user| user.address == owner);
            if !own && !self.list(&owner, query, core, cx) {
                return Some(if core.out.has_room() { Step::Yield } else { Step::Room });
            }
            self.owners.pop_front();
            self.after.clear();
            self.owner_shown = false;
        }
        None
    }

    /// Shows the first owner's mailboxes. Whether all were looked at.
    fn list(&mut self, owner: &str, query: &Query, core: &mut Core, cx: &Cx<'_>) -> bool {
        let Core { user: Some(user), out, .. } = core else { return true };
        let account = cx.store.account_by_address(owner).and_then(|id| cx.store.account(id));
        let prefix = format!("{OTHERS}{owner}/");
        let after = std::mem::take(&mut self.after);
        let names: Box<dyn Iterator<Item = (&str, Option<MailboxRef<'_>>)>> = match query.select.subscribed {
            true => {
                let mine = self.subscribed.iter().filter_map(|name| name.strip_prefix(prefix.as_str()));
                let mailbox = move |name: &str| account.and_then(|account| account.mailbox_by_name(name));
                Box::new(mine.filter(|&name| name > after.as_str()).map(move |name| (name, mailbox(name))))
            }
            false => {
                let mailboxes = account.map(|account| account.mailboxes_after(&after));
                Box::new(mailboxes.into_iter().flatten().map(|mailbox| (mailbox.name(), Some(mailbox))))
            }
        };
        let (mut last, mut cost) = (after.as_str(), 0);
        let mut roots = (self.root_shown, self.owner_shown);
        let mut done = true;
        for (name, mailbox) in names {
            if cost >= IMAP_LIST_STEP_COST_MAX || !out.has_room() {
                done = false;
                break;
            }
            let full = format!("{prefix}{name}");
            cost += query.cost(&full);
            last = name;
            let seen = mailbox.zip(account).map(|(mailbox, account)| Seen::new(mailbox, account, user));
            let seen = seen.filter(|seen| seen.rights.contains(Rights::LOOKUP));
            if seen.is_none() && !query.select.subscribed {
                continue;
            }
            if !query.select.subscribed && query.word == Word::List {
                roots = put_roots(roots, &prefix, query, out);
            }
            if !query.matches(&full) || query.select.special_use {
                continue;
            }
            let shown = Shown {
                name: &full,
                mailbox: seen.as_ref().map(|seen| seen.mailbox),
                children: seen.as_ref().is_some_and(|seen| seen.children),
                subscribed: query.returns.subscribed && self.subscribed.contains(&full)
                    || query.select.subscribed,
                below: false,
                itself: true,
                rights: seen.as_ref().map_or(Rights::NONE, |seen| seen.rights),
                own: false,
            };
            let owner_id = account.map(|account| account.id()).unwrap_or_default();
            let facts = status::Facts { account: owner_id, append_limit: cx.server.message_bytes_max };
            show::put(out, query.word, &shown, &query.returns, facts);
        }
        let last = last.to_owned();
        (self.root_shown, self.owner_shown) = roots;
        self.after = last;
        done
    }
}

/// A mailbox of another user and what this one may know of it.
struct Seen<'a> {
    mailbox: MailboxRef<'a>,
    rights: Rights,
    children: bool,
}

impl<'a> Seen<'a> {
    fn new(mailbox: MailboxRef<'a>, account: AccountRef<'a>, user: &User) -> Seen<'a> {
        let rights = |mailbox| access::rights(mailbox, account.id(), user);
        let below = format!("{}/", mailbox.name());
        // rfc5258#4: what may not be seen is no child.
        let mut inferiors =
            account.mailboxes_after(&below).take_while(|inferior| inferior.name().starts_with(&below));
        let children = inferiors.any(|inferior| rights(inferior).contains(Rights::LOOKUP));
        Seen { mailbox, rights: rights(mailbox), children }
    }
}

/// The names above an owner's mailboxes, each once, where they match (rfc2342#5): they only hold others.
fn put_roots(
    (mut root_shown, mut owner_shown): (bool, bool),
    prefix: &str,
    query: &Query,
    out: &mut Out,
) -> (bool, bool) {
    for (shown, name) in [(&mut root_shown, OTHERS), (&mut owner_shown, prefix)] {
        let name = name.trim_end_matches('/');
        if !std::mem::replace(shown, true) && query.matches(name) && !query.select.special_use {
            show::put_root(out, name);
        }
    }
    (root_shown, owner_shown)
}
