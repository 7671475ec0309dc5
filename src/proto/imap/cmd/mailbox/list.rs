//! LIST (rfc3501#6.3.8, rfc5258, rfc5819, rfc6154) and LSUB (rfc3501#6.3.9).
//!
//! *Owns*: which names are shown. *Promises*: goes through the names in order, a bounded number a call; the
//! last name looked at is the cursor; every name is shown once. *Assumes*: the account keeps its names
//! sorted, so what lies below a name is one run. *Never*: changes anything.
//!
//! ```text
//!  names after the cursor ──meets the criteria, matches──────────► shown
//!                           meets them, does not match ──RECURSIVEMATCH──► names above it that match
//! ```

use ringpost_engine::change::Rights;
use ringpost_engine::index::{AccountRef, MailboxRef};

use super::others::Others;
use super::pattern::Pattern;
use super::show::{self, Shown, Word};
use super::status;
use crate::limits::{IMAP_LIST_NAME_COST, IMAP_LIST_STEP_COST_MAX};
use crate::proto::Cx;
use crate::proto::imap::access::{self, OTHERS};
use crate::proto::imap::command::{List, ListReturn, ListSelect, StatusItem};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, User};

/// See the module.
#[derive(Debug)]
pub struct Listing {
    query: Query,
    /// A basic LIST with an empty pattern asks for the separator.
    asks_separator: bool,
    /// The last name looked at.
    after: String,
    /// Names above `after` that were shown because of what is below them.
    announced: Vec<String>,
    /// What comes behind the user's own names.
    others: Option<Others>,
}

/// What was asked.
#[derive(Debug)]
pub struct Query {
    /// LIST or LSUB.
    pub word: Word,
    /// Names with wildcards.
    pub patterns: Vec<Pattern>,
    /// Which names to show.
    pub select: ListSelect,
    /// What to tell about each.
    pub returns: ListReturn,
}

impl Query {
    /// What looking at a name costs: the comparisons, and what it takes whatever the patterns.
    pub fn cost(&self, name: &str) -> usize {
        self.patterns.iter().map(Pattern::cost).sum::<usize>() * name.len() + IMAP_LIST_NAME_COST
    }

    /// Whether a name matches.
    pub fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name).whole)
    }
}

/// Where names are listed.
struct Scope<'a> {
    account: AccountRef<'a>,
    user: &'a User,
    facts: status::Facts,
}

impl<'a> Scope<'a> {
    /// A name that meets the criteria itself.
    fn shown(&self, name: &'a str, mailbox: Option<MailboxRef<'a>>) -> Shown<'a> {
        let own = self.account.id() == self.user.account;
        let rights = mailbox.map_or(Rights::NONE, |m| access::rights(m, self.account.id(), self.user));
        let children = self.account.has_children(name);
        Shown { name, mailbox, children, subscribed: false, below: false, itself: true, rights, own }
    }

    fn show(&self, word: Word, shown: &Shown<'_>, returns: &ListReturn, out: &mut Out) {
        show::put(out, word, shown, returns, self.facts);
    }
}

impl Listing {
    /// LIST
    pub fn list(list: List) -> Listing {
        let mut returns = list.returns;
        // rfc5258#3.1: selecting by subscription shows it. Basic LIST shows special uses too (rfc6154#2).
        returns.subscribed |= list.select.subscribed;
        returns.special_use |= list.select.special_use || !list.extended;
        let asks_separator = !list.extended && list.patterns.iter().all(String::is_empty);
        let patterns = list.patterns.iter().map(|pattern| Pattern::new(&list.reference, pattern)).collect();
        let query = Query { word: Word::List, patterns, select: list.select, returns };
        Listing { query, asks_separator, after: String::new(), announced: Vec::new(), others: None }
    }

    /// LSUB
    pub fn lsub(reference: &str, pattern: &str) -> Listing {
        let select = ListSelect { subscribed: true, recursive_match: true, ..ListSelect::default() };
        let patterns = vec![Pattern::new(reference, pattern)];
        let query = Query { word: Word::Lsub, patterns, select, returns: ListReturn::default() };
        Listing { query, asks_separator: false, after: String::new(), announced: Vec::new(), others: None }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        if self.asks_separator {
            core.out.line("* LIST (\\Noselect) \"/\" \"\"");
            return Reply::done().into();
        }
        if self.query.returns.status.contains(&StatusItem::HighestModSeq) {
            core.enable_condstore(cx);
        }
        if let Some(others) = &mut self.others {
            return others.step(&self.query, core, cx).unwrap_or_else(|| Reply::done().into());
        }
        let (account, user) = match (core.account(cx), &core.user) {
            (Ok(account), Some(user)) => (account, user),
            (Err(reply), _) => return reply.into(),
            (_, None) => return Reply::bad("Log in first").into(),
        };
        let facts = status::Facts { account: account.id(), append_limit: cx.server.message_bytes_max };
        let scope = Scope { account, user, facts };
        let done = match self.query.select.subscribed {
            true => self.list_subscriptions(&scope, &mut core.out),
            false => self.list_mailboxes(&scope, &mut core.out),
        };
        match (done, core.out.has_room()) {
            (true, _) => self.turn_to_others(core, cx).unwrap_or_else(Step::Done),
            (false, true) => Step::Yield,
            (false, false) => Step::Room,
        }
    }

    fn turn_to_others(&mut self, core: &mut Core, cx: &Cx<'_>) -> Result<Step, Reply> {
        let others = Others::new(&self.query, core.account(cx)?)?;
        let step = self.others.insert(others).step(&self.query, core, cx);
        Ok(step.unwrap_or_else(|| Reply::done().into()))
    }

    /// Shows mailboxes. Whether all were looked at.
    fn list_mailboxes(&mut self, scope: &Scope<'_>, out: &mut Out) -> bool {
        let after = std::mem::take(&mut self.after);
        let (mut last, mut cost) = (after.as_str(), 0);
        for mailbox in scope.account.mailboxes_after(&after) {
            if cost >= IMAP_LIST_STEP_COST_MAX || !out.has_room() {
                self.after = last.to_owned();
                return false;
            }
            let name = mailbox.name();
            cost += self.query.cost(name);
            last = name;
            if self.query.select.special_use && mailbox.special_use().is_none() || !self.query.matches(name) {
                continue;
            }
            let subscribed = self.query.returns.subscribed && scope.account.is_subscribed(name);
            let shown = Shown { subscribed, ..scope.shown(name, Some(mailbox)) };
            scope.show(self.query.word, &shown, &self.query.returns, out);
        }
        true
    }

    /// Shows subscribed names and, for LSUB and RECURSIVEMATCH, names above them. Whether all were looked at.
    fn list_subscriptions(&mut self, scope: &Scope<'_>, out: &mut Out) -> bool {
        let after = std::mem::take(&mut self.after);
        let (mut last, mut cost) = (after.as_str(), 0);
        for name in scope.account.subscriptions_after(&after) {
            if cost >= IMAP_LIST_STEP_COST_MAX || !out.has_room() {
                self.after = last.to_owned();
                return false;
            }
            if name.starts_with(OTHERS) {
                // Told behind the user's own.
                last = name;
                cost += IMAP_LIST_NAME_COST;
                continue;
            }
            // Its superiors are compared too.
            cost += self.query.cost(name) * name.split('/').count();
            last = name;
            if !self.meets(scope.account, name) {
                continue;
            }
            if !self.query.matches(name) {
                self.announce_superiors(name, scope, out);
                continue;
            }
            let (below, looked_at) = self.meets_below(scope.account, name);
            cost += looked_at * IMAP_LIST_NAME_COST;
            let mailbox = scope.account.mailbox_by_name(name);
            let shown = Shown { subscribed: true, below, ..scope.shown(name, mailbox) };
            scope.show(self.query.word, &shown, &self.query.returns, out);
        }
        true
    }

    /// Whether a subscribed name meets the other criteria.
    fn meets(&self, account: AccountRef<'_>, name: &str) -> bool {
        !self.query.select.special_use
            || account.mailbox_by_name(name).is_some_and(|mailbox| mailbox.special_use().is_some())
    }

    /// Whether a name below `name` meets the criteria, if that was asked; and how many were looked at.
    fn meets_below(&self, account: AccountRef<'_>, name: &str) -> (bool, usize) {
        if !self.query.select.recursive_match {
            return (false, 0);
        }
        let below = format!("{name}/");
        let mut looked_at = 0;
        let mut names = account.subscriptions_after(&below).take_while(|name| name.starts_with(&below));
        let found = names.any(|name| {
            looked_at += 1;
            self.meets(account, name)
        });
        (found, looked_at)
    }

    /// `name` meets the criteria but does not match: names above it do that match are shown, each once, unless
    /// they are shown for their own sake (rfc5258#3.5; for LSUB rfc3501#6.3.9). At most as many as a name
    /// has levels.
    fn announce_superiors(&mut self, name: &str, scope: &Scope<'_>, out: &mut Out) {
        if !self.query.select.recursive_match {
            return;
        }
        let is_above = |superior: &str| name.strip_prefix(superior).is_some_and(|rest| rest.starts_with('/'));
        self.announced.retain(|superior| is_above(superior));
        for (at, _) in name.match_indices('/') {
            let superior = &name[..at];
            let own = scope.account.is_subscribed(superior) && self.meets(scope.account, superior);
            if own || self.announced.iter().any(|known| known == superior) || !self.query.matches(superior) {
                continue;
            }
            self.announced.push(superior.to_owned());
            let mailbox = scope.account.mailbox_by_name(superior);
            let subscribed = self.query.word == Word::List && scope.account.is_subscribed(superior);
            let shown = Shown { subscribed, below: true, itself: false, ..scope.shown(superior, mailbox) };
            scope.show(self.query.word, &shown, &self.query.returns, out);
        }
    }
}
