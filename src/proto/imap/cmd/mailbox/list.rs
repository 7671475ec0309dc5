//! LIST (rfc3501#6.3.8, rfc5258, rfc6154) and LSUB (rfc3501#6.3.9).
//!
//! *Owns*: which names are shown, with which attributes. *Promises*: goes through the names in order, a
//! bounded number a call; the last name looked at is the cursor. *Assumes*: the account keeps its names
//! sorted, so what lies below a name is one run. *Never*: changes anything.

use ringpost_engine::change::SpecialUse;
use ringpost_engine::index::{AccountRef, MailboxRef};

use super::pattern::Pattern;
use crate::limits::{IMAP_LIST_NAME_COST, IMAP_LIST_STEP_COST_MAX};
use crate::proto::Cx;
use crate::proto::imap::command::{List, ListReturn, ListSelect};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};
use crate::proto::imap::write;

/// See the module.
#[derive(Debug)]
pub struct Listing {
    word: &'static str,
    patterns: Vec<Pattern>,
    select: ListSelect,
    returns: ListReturn,
    /// A basic LIST with an empty pattern asks for the separator.
    asks_separator: bool,
    /// The last name looked at.
    after: Option<String>,
}

/// What is shown of one name.
struct Shown<'a> {
    name: &'a str,
    mailbox: Option<MailboxRef<'a>>,
    subscribed: bool,
    /// Something below it is subscribed, and that was asked for.
    subscribed_below: bool,
}

impl Listing {
    /// LIST
    pub fn list(list: List) -> Listing {
        let mut returns = list.returns;
        // rfc5258#3.1: selecting by subscription shows it. Basic LIST shows special uses too (rfc6154#2).
        returns.subscribed |= list.select.subscribed;
        returns.special_use |= list.select.special_use || !list.extended;
        Listing {
            word: "LIST",
            asks_separator: !list.extended && list.patterns.iter().all(String::is_empty),
            patterns: list.patterns.iter().map(|pattern| Pattern::new(&list.reference, pattern)).collect(),
            select: list.select,
            returns,
            after: None,
        }
    }

    /// LSUB
    pub fn lsub(reference: &str, pattern: &str) -> Listing {
        Listing {
            word: "LSUB",
            asks_separator: false,
            patterns: vec![Pattern::new(reference, pattern)],
            select: ListSelect { subscribed: true, recursive_match: true, ..ListSelect::default() },
            returns: ListReturn::default(),
            after: None,
        }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        if self.asks_separator {
            core.out.line("* LIST (\\Noselect) \"/\" \"\"");
            return Reply::done().into();
        }
        let account = match core.account(cx) {
            Ok(account) => account,
            Err(reply) => return reply.into(),
        };
        let out = &mut core.out;
        let after = self.after.take();
        let stopped = match self.select.subscribed {
            true => self.list_subscriptions(account, after.as_deref(), out),
            false => self.list_mailboxes(account, after.as_deref(), out),
        };
        self.after = stopped;
        match (&self.after, core.out.has_room()) {
            (None, _) => Reply::done().into(),
            (Some(_), true) => Step::Yield,
            (Some(_), false) => Step::Room,
        }
    }

    /// Shows mailboxes; the last one looked at if there are more.
    fn list_mailboxes(&self, account: AccountRef<'_>, after: Option<&str>, out: &mut Out) -> Option<String> {
        let rest =
            account.mailboxes().skip_while(|mailbox| after.is_some_and(|after| mailbox.name() <= after));
        let mut last: Option<&str> = None;
        let mut cost = 0;
        for mailbox in rest {
            if cost >= IMAP_LIST_STEP_COST_MAX || !out.has_room() {
                return last.or(after).map(str::to_owned);
            }
            let name = mailbox.name();
            cost += self.cost(name);
            last = Some(name);
            let wanted = !self.select.special_use || mailbox.special_use().is_some();
            if wanted && self.matches(name) {
                let subscribed = self.returns.subscribed && account.is_subscribed(name);
                let shown = Shown { name, mailbox: Some(mailbox), subscribed, subscribed_below: false };
                self.show(&shown, account, out);
            }
        }
        None
    }

    /// Shows subscribed names and, for LSUB and RECURSIVEMATCH, names above them; the last one looked at if
    /// there are more.
    fn list_subscriptions(
        &self,
        account: AccountRef<'_>,
        after: Option<&str>,
        out: &mut Out,
    ) -> Option<String> {
        let names: Vec<&str> = account.subscriptions().collect();
        let first = names.partition_point(|&name| after.is_some_and(|after| name <= after));
        let mut cost = 0;
        for (at, &name) in names.iter().enumerate().skip(first) {
            if cost >= IMAP_LIST_STEP_COST_MAX || !out.has_room() {
                return at.checked_sub(1).map(|last| names[last].to_owned());
            }
            // Its superiors are compared too.
            cost += self.cost(name) * name.split('/').count();
            let previous = at.checked_sub(1).map_or("", |previous| names[previous]);
            if self.select.recursive_match {
                self.show_superiors(name, previous, &names, account, out);
            }
            let mailbox = account.mailbox_by_name(name);
            let wanted = !self.select.special_use || mailbox.is_some_and(|m| m.special_use().is_some());
            if wanted && self.matches(name) {
                let subscribed_below = self.select.recursive_match && any_below(&names, name);
                self.show(&Shown { name, mailbox, subscribed: true, subscribed_below }, account, out);
            }
        }
        None
    }

    /// Names above a subscribed one that match but are not subscribed themselves, each once.
    fn show_superiors(
        &self,
        name: &str,
        previous: &str,
        names: &[&str],
        account: AccountRef<'_>,
        out: &mut Out,
    ) {
        for (at, _) in name.match_indices('/') {
            let (superior, with_separator) = (&name[..at], &name[..=at]);
            let shown_before = previous.starts_with(with_separator);
            if shown_before || names.binary_search(&superior).is_ok() || !self.matches(superior) {
                continue;
            }
            // rfc3501#6.3.9: LSUB shows them only where the pattern stops above the subscribed name.
            if self.word == "LSUB" && self.matches(name) {
                continue;
            }
            let mailbox = account.mailbox_by_name(superior);
            let shown = Shown { name: superior, mailbox, subscribed: false, subscribed_below: true };
            self.show(&shown, account, out);
        }
    }

    /// What looking at a name costs: the comparisons, and what it takes whatever the patterns.
    fn cost(&self, name: &str) -> usize {
        self.patterns.iter().map(Pattern::cost).sum::<usize>() * name.len() + IMAP_LIST_NAME_COST
    }

    fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name).whole)
    }

    fn show(&self, shown: &Shown<'_>, account: AccountRef<'_>, out: &mut Out) {
        out.put(b"* ");
        out.put(self.word.as_bytes());
        out.put(b" (");
        let mut attributes = self.attributes(shown, account).into_iter().flatten();
        if let Some(first) = attributes.next() {
            out.put(first.as_bytes());
        }
        for attribute in attributes {
            out.put(b" ");
            out.put(attribute.as_bytes());
        }
        out.put(b") \"/\" ");
        write::mailbox(out.text(), shown.name);
        if shown.subscribed_below && self.word == "LIST" {
            // rfc5258#3.5
            out.put(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
        }
        out.put(b"\r\n");
    }

    fn attributes(&self, shown: &Shown<'_>, account: AccountRef<'_>) -> [Option<&'static str>; 4] {
        if self.word == "LSUB" {
            // rfc3501#6.3.9: \Noselect marks a name that is only above a subscribed one.
            let selectable = shown.subscribed && shown.mailbox.is_none_or(|mailbox| !mailbox.no_select());
            return [(!selectable).then_some("\\Noselect"), None, None, None];
        }
        let existence = match shown.mailbox {
            None => Some("\\NonExistent"),
            Some(mailbox) if mailbox.no_select() => Some("\\Noselect"),
            Some(_) => None,
        };
        let children = match account.has_children(shown.name) {
            true => "\\HasChildren",
            false => "\\HasNoChildren",
        };
        let special_use = shown.mailbox.and_then(|mailbox| mailbox.special_use());
        [
            existence,
            // rfc3348#3
            Some(children),
            (self.returns.subscribed && shown.subscribed).then_some("\\Subscribed"),
            special_use.filter(|_| self.returns.special_use).map(special_use_name),
        ]
    }
}

/// Whether a sorted list holds a name below `name`.
fn any_below(names: &[&str], name: &str) -> bool {
    let below = format!("{name}/");
    let at = names.partition_point(|&other| other < below.as_str());
    names.get(at).is_some_and(|other| other.starts_with(&below))
}

/// rfc6154#2
fn special_use_name(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::Archive => "\\Archive",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Trash => "\\Trash",
        SpecialUse::Flagged => "\\Flagged",
        SpecialUse::All => "\\All",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_found_past_names_that_only_look_close() {
        let names = ["a", "a-b", "a/c", "ab"];
        assert!(any_below(&names, "a"));
        assert!(!any_below(&names, "a-b") && !any_below(&names, "ab") && !any_below(&names, "z"));
    }
}
