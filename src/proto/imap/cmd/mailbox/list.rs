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

use ringpost_engine::index::AccountRef;

use super::pattern::Pattern;
use super::show::{self, Shown, Word};
use super::status;
use crate::limits::{IMAP_LIST_NAME_COST, IMAP_LIST_STEP_COST_MAX};
use crate::proto::Cx;
use crate::proto::imap::command::{List, ListReturn, ListSelect, StatusItem};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};

/// See the module.
#[derive(Debug)]
pub struct Listing {
    word: Word,
    patterns: Vec<Pattern>,
    select: ListSelect,
    returns: ListReturn,
    /// A basic LIST with an empty pattern asks for the separator.
    asks_separator: bool,
    /// The last name looked at.
    after: String,
    /// Names above `after` that were shown because of what is below them.
    announced: Vec<String>,
}

impl Listing {
    /// LIST
    pub fn list(list: List) -> Listing {
        let mut returns = list.returns;
        // rfc5258#3.1: selecting by subscription shows it. Basic LIST shows special uses too (rfc6154#2).
        returns.subscribed |= list.select.subscribed;
        returns.special_use |= list.select.special_use || !list.extended;
        Listing {
            word: Word::List,
            asks_separator: !list.extended && list.patterns.iter().all(String::is_empty),
            patterns: list.patterns.iter().map(|pattern| Pattern::new(&list.reference, pattern)).collect(),
            select: list.select,
            returns,
            after: String::new(),
            announced: Vec::new(),
        }
    }

    /// LSUB
    pub fn lsub(reference: &str, pattern: &str) -> Listing {
        Listing {
            word: Word::Lsub,
            asks_separator: false,
            patterns: vec![Pattern::new(reference, pattern)],
            select: ListSelect { subscribed: true, recursive_match: true, ..ListSelect::default() },
            returns: ListReturn::default(),
            after: String::new(),
            announced: Vec::new(),
        }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        if self.asks_separator {
            core.out.line("* LIST (\\Noselect) \"/\" \"\"");
            return Reply::done().into();
        }
        if self.returns.status.contains(&StatusItem::HighestModSeq) {
            core.enable_condstore(cx);
        }
        let account = match core.account(cx) {
            Ok(account) => account,
            Err(reply) => return reply.into(),
        };
        let facts = status::Facts { account: account.id(), append_limit: cx.server.message_bytes_max };
        let done = match self.select.subscribed {
            true => self.list_subscriptions(account, facts, &mut core.out),
            false => self.list_mailboxes(account, facts, &mut core.out),
        };
        match (done, core.out.has_room()) {
            (true, _) => Reply::done().into(),
            (false, true) => Step::Yield,
            (false, false) => Step::Room,
        }
    }

    /// Shows mailboxes. Whether all were looked at.
    fn list_mailboxes(&mut self, account: AccountRef<'_>, facts: status::Facts, out: &mut Out) -> bool {
        let after = std::mem::take(&mut self.after);
        let (mut last, mut cost) = (after.as_str(), 0);
        for mailbox in account.mailboxes_after(&after) {
            if cost >= IMAP_LIST_STEP_COST_MAX || !out.has_room() {
                self.after = last.to_owned();
                return false;
            }
            let name = mailbox.name();
            cost += self.cost(name);
            last = name;
            if self.select.special_use && mailbox.special_use().is_none() || !self.matches(name) {
                continue;
            }
            let subscribed = self.returns.subscribed && account.is_subscribed(name);
            let shown = Shown { name, mailbox: Some(mailbox), subscribed, below: false, itself: true };
            show::put(out, self.word, &shown, account, &self.returns, facts);
        }
        true
    }

    /// Shows subscribed names and, for LSUB and RECURSIVEMATCH, names above them. Whether all were looked at.
    fn list_subscriptions(&mut self, account: AccountRef<'_>, facts: status::Facts, out: &mut Out) -> bool {
        let after = std::mem::take(&mut self.after);
        let (mut last, mut cost) = (after.as_str(), 0);
        for name in account.subscriptions_after(&after) {
            if cost >= IMAP_LIST_STEP_COST_MAX || !out.has_room() {
                self.after = last.to_owned();
                return false;
            }
            // Its superiors are compared too.
            cost += self.cost(name) * name.split('/').count();
            last = name;
            if !self.meets(account, name) {
                continue;
            }
            if !self.matches(name) {
                self.announce_superiors(name, account, facts, out);
                continue;
            }
            let (below, looked_at) = self.meets_below(account, name);
            cost += looked_at * IMAP_LIST_NAME_COST;
            let mailbox = account.mailbox_by_name(name);
            let shown = Shown { name, mailbox, subscribed: true, below, itself: true };
            show::put(out, self.word, &shown, account, &self.returns, facts);
        }
        true
    }

    /// Whether a subscribed name meets the other criteria.
    fn meets(&self, account: AccountRef<'_>, name: &str) -> bool {
        !self.select.special_use
            || account.mailbox_by_name(name).is_some_and(|mailbox| mailbox.special_use().is_some())
    }

    /// Whether a name below `name` meets the criteria, if that was asked; and how many were looked at.
    fn meets_below(&self, account: AccountRef<'_>, name: &str) -> (bool, usize) {
        if !self.select.recursive_match {
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
    fn announce_superiors(
        &mut self,
        name: &str,
        account: AccountRef<'_>,
        facts: status::Facts,
        out: &mut Out,
    ) {
        if !self.select.recursive_match {
            return;
        }
        let is_above = |superior: &str| name.strip_prefix(superior).is_some_and(|rest| rest.starts_with('/'));
        self.announced.retain(|superior| is_above(superior));
        for (at, _) in name.match_indices('/') {
            let superior = &name[..at];
            let own = account.is_subscribed(superior) && self.meets(account, superior);
            if own || self.announced.iter().any(|known| known == superior) || !self.matches(superior) {
                continue;
            }
            self.announced.push(superior.to_owned());
            let mailbox = account.mailbox_by_name(superior);
            let subscribed = self.word == Word::List && account.is_subscribed(superior);
            let shown = Shown { name: superior, mailbox, subscribed, below: true, itself: false };
            show::put(out, self.word, &shown, account, &self.returns, facts);
        }
    }

    /// What looking at a name costs: the comparisons, and what it takes whatever the patterns.
    fn cost(&self, name: &str) -> usize {
        self.patterns.iter().map(Pattern::cost).sum::<usize>() * name.len() + IMAP_LIST_NAME_COST
    }

    fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name).whole)
    }
}
