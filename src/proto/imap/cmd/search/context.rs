//! Searches whose results the client keeps up to date: RETURN (UPDATE) (rfc5267#4.3).
//!
//! *Owns*: what the client's lists of results hold, and what is to be looked at again. *Promises*: a list gets
//! every change in the order of the replies that cause it; only messages that came or changed are looked at, in
//! bounded steps. *Assumes*: the index alone decides on the query. *Never*: counts positions: a search is in the
//! mailbox's order, where 0 does (rfc5267#4.3.3).
//!
//! ```text
//!  expunged, still numbered ──► REMOVEFROM ──► EXPUNGE
//!  EXISTS, FETCH ──► came or changed: due ──► look ──► REMOVEFROM, ADDTO
//!                                      └── window full: yield, then look on
//! ```

use bytes::Bytes;
use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};
use ringpost_engine::index::MailboxRef;

use super::key::{Answers, Known, Query};
use crate::limits::{
    IMAP_CONTEXT_RANGES_MAX, IMAP_CONTEXTS_MAX, IMAP_LINE_RANGES_MAX, IMAP_SCAN_MESSAGES_MAX,
};
use crate::proto::Output;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;
use crate::proto::imap::view::View;

/// All of a selected mailbox.
#[derive(Debug, Default)]
pub struct Contexts(Vec<Context>);

/// One search.
#[derive(Debug)]
pub struct Context {
    tag: Bytes,
    /// Named by UID.
    uid: bool,
    query: Query,
    /// What is in the client's list.
    found: UidSet,
    /// Changes up to here are looked at or due.
    seen: ModSeq,
    /// Messages below are looked at or due.
    horizon: Uid,
    /// To be looked at.
    due: UidSet,
}

impl Contexts {
    /// Whether a search of that tag is kept up to date.
    pub fn has(&self, tag: &[u8]) -> bool {
        self.0.iter().any(|context| context.tag == tag)
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.0.len() < IMAP_CONTEXTS_MAX
    }

    /// Keeps a search up to date from now on.
    pub fn begin(&mut self, context: Context) {
        self.0.push(context);
    }

    /// rfc5267#4.3.5: what is unknown needs no ending.
    pub fn cancel(&mut self, tags: &[Bytes]) {
        self.0.retain(|context| !tags.contains(&context.tag));
    }

    /// Takes what is expunged out of the lists, while it has a number. Whether all is told.
    pub fn tell_gone(&mut self, view: &View, mailbox: MailboxRef<'_>, out: &mut Out) -> bool {
        for context in &mut self.0 {
            let gone = view.gone_of(&context.found);
            for ranges in gone.ranges().chunks(IMAP_LINE_RANGES_MAX) {
                if !out.has_room() {
                    return false;
                }
                let mut leaving = UidSet::new();
                ranges.iter().for_each(|&(first, last)| leaving.push_range(Uid(first), Uid(last)));
                context.put(&leaving, &UidSet::new(), view, mailbox, out);
            }
        }
        true
    }

    /// Looks at what came or changed. Whether all is told.
    pub fn tell_changes(&mut self, view: &View, mailbox: MailboxRef<'_>, out: &mut Out) -> bool {
        for context in &mut self.0 {
            context.note(view, mailbox);
            if context.due.is_empty() {
                continue;
            }
            if !out.has_room() {
                return false;
            }
            context.look(view, mailbox, out);
            if context.fits() && !context.due.is_empty() {
                out.push(Output::Yield);
                return false;
            }
        }
        for context in self.0.extract_if(.., |context| !context.fits()) {
            refuse(&context.tag, "The result is in too many pieces to follow", out);
        }
        true
    }
}

impl Context {
    /// A search that begins now, before anything is found.
    pub fn new(tag: Bytes, uid: bool, query: Query, view: &View, mailbox: MailboxRef<'_>) -> Context {
        let (seen, horizon) = (mailbox.highest_modseq(), view.horizon());
        Context { tag, uid, query, found: UidSet::new(), seen, horizon, due: UidSet::new() }
    }

    /// Notes what the client is told as found; ascending.
    pub fn add(&mut self, uid: Uid) {
        self.found.push(uid);
    }

    /// Whether the list is within bounds.
    pub fn fits(&self) -> bool {
        self.found.ranges().len() <= IMAP_CONTEXT_RANGES_MAX
    }

    /// Notes what came or changed.
    fn note(&mut self, view: &View, mailbox: MailboxRef<'_>) {
        let (newest, horizon) = (mailbox.highest_modseq(), view.horizon());
        if newest == self.seen && horizon == self.horizon {
            return;
        }
        let mut came = UidSet::new();
        if self.horizon < horizon {
            came.push_range(self.horizon, Uid(horizon.0 - 1));
        }
        let changed = mailbox.changed_since(self.seen).intersection(&view.known());
        self.due = self.due.union(&changed).union(&came);
        (self.seen, self.horizon) = (newest, horizon);
        self.query.learn(mailbox.keywords());
    }

    /// Looks at some of what is due.
    fn look(&mut self, view: &View, mailbox: MailboxRef<'_>, out: &mut Out) {
        let (mut leaving, mut adding) = (UidSet::new(), UidSet::new());
        let mut rest = UidSet::new();
        for (looked, (_, message)) in view.walk(mailbox, &self.due, Uid(1)).enumerate() {
            let ranges = leaving.ranges().len().max(adding.ranges().len());
            if looked == IMAP_SCAN_MESSAGES_MAX || ranges == IMAP_LINE_RANGES_MAX {
                rest.push_range(message.uid, Uid(u32::MAX));
                break;
            }
            let known = Known { message: &message, recent: view.is_recent(message.uid) };
            let matches = self.query.decide(&known, Answers::default()) == Ok(true);
            match (self.found.contains(message.uid), matches) {
                (true, false) => leaving.push(message.uid),
                (false, true) => adding.push(message.uid),
                _ => {}
            }
        }
        self.due = self.due.intersection(&rest);
        self.put(&leaving, &adding, view, mailbox, out);
    }

    /// Changes the list and tells so.
    fn put(
        &mut self,
        leaving: &UidSet,
        adding: &UidSet,
        view: &View,
        mailbox: MailboxRef<'_>,
        out: &mut Out,
    ) {
        if leaving.is_empty() && adding.is_empty() {
            return;
        }
        self.found = self.found.difference(leaving).union(adding);
        out.put(b"* ESEARCH (TAG \"");
        out.put(&self.tag);
        out.put(if self.uid { b"\") UID" } else { b"\")" });
        for (item, uids) in [(&b" REMOVEFROM (0 "[..], leaving), (b" ADDTO (0 ", adding)] {
            if uids.is_empty() {
                continue;
            }
            out.put(item);
            match self.uid {
                true => reply::set(out.text(), uids),
                false => reply::set(out.text(), &numbers(uids, view, mailbox)),
            }
            out.put(b")");
        }
        out.line("");
    }
}

/// rfc5267#4.3.1: all else that was asked for is done.
pub fn refuse(tag: &[u8], why: &str, out: &mut Out) {
    out.put(b"* NO [NOUPDATE \"");
    out.put(tag);
    out.put(b"\"] ");
    out.line(why);
}

/// The numbers of messages; those of successive UIDs are successive.
fn numbers(uids: &UidSet, view: &View, mailbox: MailboxRef<'_>) -> UidSet {
    let mut numbers = UidSet::new();
    for &(first, last) in uids.ranges() {
        let number = |uid: u32| Uid(view.number(mailbox, Uid(uid)));
        numbers.push_range(number(first), number(last));
    }
    numbers
}
