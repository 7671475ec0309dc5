//! Searches whose results the client keeps up to date: RETURN (UPDATE) (rfc5267#4.3).
//!
//! *Owns*: what the client's lists of results hold, and what is to be looked at again. *Promises*: a list gets
//! every change in the order of the replies that cause it; only messages that came or changed are looked at, in
//! bounded steps. *Assumes*: the index alone decides on the query. *Never*: counts positions where 0 does: a
//! search is in the mailbox's order (rfc5267#4.3.3), and only a sorted list counts them.
//!
//! ```text
//!  expunged, still numbered ──► REMOVEFROM ──► EXPUNGE
//!  EXISTS, FETCH ──► came or changed: due ──► look ──► REMOVEFROM, ADDTO
//!                                      ├── window full: yield, then look on
//!                                      └── to be sorted in: bring the summary in, then look again
//! ```

use bytes::Bytes;
use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};
use ringpost_engine::index::MailboxRef;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::octets::Octets;
use ringpost_engine::store::Store;

use super::key::{Answers, Known, Query};
use super::list::List;
use super::sort::criteria;
use super::sorter::KeyWriter;
use crate::limits::{
    IMAP_CONTEXT_PLACES_MAX, IMAP_CONTEXT_RANGES_MAX, IMAP_CONTEXTS_MAX, IMAP_CONTEXTS_SORTED_MAX,
    IMAP_GATHER_BYTES_MAX, IMAP_LINE_RANGES_MAX, IMAP_SCAN_MESSAGES_MAX,
};
use crate::proto::Output;
use crate::proto::imap::command::SortCriterion;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;
use crate::proto::imap::view::View;

mod order;
mod update;

use order::{Order, Run};
pub use update::Update;

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
    /// Where in a sorted one.
    order: Option<Order>,
    /// Changes up to here are looked at or due.
    seen: ModSeq,
    /// Messages below are looked at or due.
    horizon: Uid,
    /// To be looked at.
    due: UidSet,
    /// Those of `due` whose summaries are brought in.
    warm: UidSet,
}

/// What a look sees.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// What the client knows.
    pub view: &'a View,
    /// What there is.
    pub mailbox: MailboxRef<'a>,
    /// Where its messages are.
    pub store: &'a Store,
}

/// What is to be done to a list.
#[derive(Default)]
struct Changes {
    leaving: UidSet,
    adding: UidSet,
    /// Of those to be sorted in.
    keys: Vec<(Uid, Box<[u8]>)>,
    /// To be sorted in, once these are in memory.
    cold: UidSet,
    extents: Vec<Octets>,
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

    /// Whether there is room for one more that is sorted.
    pub fn has_room_for_sorted(&self) -> bool {
        self.0.iter().filter(|context| context.order.is_some()).count() < IMAP_CONTEXTS_SORTED_MAX
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
    pub fn tell_gone(&mut self, sight: Sight<'_>, out: &mut Out) -> bool {
        for context in &mut self.0 {
            let gone = sight.view.gone_of(&context.found);
            if gone.is_empty() {
                continue;
            }
            if !out.has_room() {
                return false;
            }
            let leaving = context.helping(&gone);
            let more = leaving.len() < gone.len();
            context.put(Changes { leaving, ..Changes::default() }, sight, out);
            if more {
                out.push(Output::Yield);
                return false;
            }
        }
        true
    }

    /// Looks at what came or changed. Whether all is told.
    pub fn tell_changes(&mut self, sight: Sight<'_>, out: &mut Out) -> bool {
        for context in &mut self.0 {
            context.note(sight);
            if context.due.is_empty() {
                continue;
            }
            if !out.has_room() {
                return false;
            }
            let cold = context.look(sight, out);
            if context.fits() && !context.due.is_empty() {
                out.push(if cold.is_empty() { Output::Yield } else { Output::Warm(cold) });
                return false;
            }
        }
        for context in self.0.extract_if(.., |context| !context.fits()) {
            refuse(&context.tag, update::TOO_MANY, out);
        }
        true
    }
}

impl Context {
    /// A search that begins now, before anything is found.
    pub fn new(tag: Bytes, uid: bool, query: Query, view: &View, mailbox: MailboxRef<'_>) -> Context {
        let (seen, horizon) = (mailbox.highest_modseq(), view.horizon());
        let (found, due, warm) = (UidSet::new(), UidSet::new(), UidSet::new());
        Context { tag, uid, query, found, order: None, seen, horizon, due, warm }
    }

    /// The same, sorted.
    pub fn sorted_by(self, criteria: &[SortCriterion]) -> Context {
        Context { order: Some(Order::new(criteria)), ..self }
    }

    /// Notes what the client is told as found; ascending.
    pub fn add(&mut self, uid: Uid) {
        self.found.push(uid);
    }

    /// Notes what is found for a sorted list; ascending by UID.
    pub fn add_key(&mut self, uid: Uid, key: &[u8]) {
        self.found.push(uid);
        if let Some(order) = &mut self.order {
            order.note(uid, key.into());
        }
    }

    /// Notes which message is next in the sorted list, after all keys.
    pub fn add_place(&mut self, uid: Uid) {
        if let Some(order) = &mut self.order {
            order.push(uid);
        }
    }

    /// Whether the list is within bounds.
    pub fn fits(&self) -> bool {
        self.found.ranges().len() <= IMAP_CONTEXT_RANGES_MAX && self.order.as_ref().is_none_or(Order::fits)
    }

    /// As many of the messages that leave as one reply tells of.
    fn helping(&self, leaving: &UidSet) -> UidSet {
        if self.order.is_some() {
            return leaving.iter().take(IMAP_CONTEXT_PLACES_MAX).collect();
        }
        let mut helping = UidSet::new();
        let ranges = leaving.ranges().iter().take(IMAP_LINE_RANGES_MAX);
        ranges.for_each(|&(first, last)| helping.push_range(Uid(first), Uid(last)));
        helping
    }

    /// Notes what came or changed.
    fn note(&mut self, Sight { view, mailbox, .. }: Sight<'_>) {
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

    /// Looks at some of what is due; what has to be in memory before it goes on.
    fn look(&mut self, sight: Sight<'_>, out: &mut Out) -> Vec<Octets> {
        let Sight { view, mailbox, .. } = sight;
        let mut changes = Changes::default();
        let mut key = KeyWriter::default();
        let mut rest = UidSet::new();
        for (looked, (_, message)) in view.walk(mailbox, &self.due, Uid(1)).enumerate() {
            if looked == IMAP_SCAN_MESSAGES_MAX || changes.are_enough(self.order.is_some()) {
                rest.push_range(message.uid, Uid(u32::MAX));
                break;
            }
            let known = Known { message: &message, recent: view.is_recent(message.uid) };
            let matches = self.query.decide(&known, Answers::default()) == Ok(true);
            match (self.found.contains(message.uid), matches) {
                (true, false) => changes.leaving.push(message.uid),
                (false, true) => self.sort_in(&known, sight, &mut key, &mut changes),
                _ => {}
            }
        }
        self.due = self.due.intersection(&rest).union(&changes.cold);
        self.warm = std::mem::take(&mut changes.cold);
        let extents = std::mem::take(&mut changes.extents);
        self.put(changes, sight, out);
        extents
    }

    /// Notes a message that matches now, if what it is sorted by is at hand.
    fn sort_in(&self, known: &Known<'_>, sight: Sight<'_>, key: &mut KeyWriter, changes: &mut Changes) {
        let uid = known.message.uid;
        if let Some(order) = &self.order {
            let message = Some(known.message).filter(|_| order.wants_summary());
            if let Some(message) = message.filter(|_| !self.warm.contains(uid)) {
                changes.cold.push(uid);
                return changes.extents.push(sight.store.seek(message.key()).0);
            }
            let body = message.and_then(|message| sight.store.body(message.key()));
            let encoded = body.and_then(|body| sight.store.bytes(body.summary));
            let summary = encoded.as_deref().and_then(SummaryView::new);
            let found = self.query.found(known, 0, Answers::default());
            key.clear();
            criteria::write(key, order.criteria(), &found, known.message, summary.as_ref());
            changes.keys.push((uid, key.key().into()));
        }
        changes.adding.push(uid);
    }

    /// Changes the list and tells so.
    fn put(&mut self, changes: Changes, sight: Sight<'_>, out: &mut Out) {
        let Changes { leaving, adding, keys, .. } = changes;
        if leaving.is_empty() && adding.is_empty() {
            return;
        }
        self.found = self.found.difference(&leaving).union(&adding);
        out.put(b"* ESEARCH (TAG \"");
        out.put(&self.tag);
        out.put(if self.uid { b"\") UID" } else { b"\")" });
        match &mut self.order {
            Some(order) => {
                put_runs(b" REMOVEFROM (", &order.take_out(&leaving), self.uid, sight, out);
                put_runs(b" ADDTO (", &order.put_in(keys), self.uid, sight, out);
            }
            None => {
                put_set(b" REMOVEFROM (0 ", &leaving, self.uid, sight, out);
                put_set(b" ADDTO (0 ", &adding, self.uid, sight, out);
            }
        }
        out.line("");
    }
}

impl Changes {
    /// Whether one reply, and one look, is done.
    fn are_enough(&self, sorted: bool) -> bool {
        if !sorted {
            return self.leaving.ranges().len().max(self.adding.ranges().len()) == IMAP_LINE_RANGES_MAX;
        }
        let bytes: usize = self.extents.iter().map(|extent| extent.len as usize).sum();
        let places = self.leaving.len() as usize + self.keys.len() + self.extents.len();
        places >= IMAP_CONTEXT_PLACES_MAX || bytes >= IMAP_GATHER_BYTES_MAX
    }
}

/// rfc5267#4.3.3: position 0 leaves it to the client, which knows the mailbox's order.
fn put_set(item: &[u8], uids: &UidSet, by_uid: bool, sight: Sight<'_>, out: &mut Out) {
    if uids.is_empty() {
        return;
    }
    out.put(item);
    match by_uid {
        true => reply::set(out.text(), uids),
        false => reply::set(out.text(), &numbers(uids, sight)),
    }
    out.put(b")");
}

/// rfc5267#4.3.3, #4.3.4: each position is that of the moment when all before it in the reply is done.
fn put_runs(item: &[u8], runs: &[Run], by_uid: bool, Sight { view, mailbox, .. }: Sight<'_>, out: &mut Out) {
    for (index, (place, uids)) in runs.iter().enumerate() {
        out.put(if index == 0 { item } else { b" " });
        reply::number(out.text(), *place as u64 + 1);
        let name = |uid: Uid| if by_uid { uid.0 } else { view.number(mailbox, uid) };
        let names = List::Sorted(uids.iter().map(|&uid| name(uid)).collect());
        let mut at = 0;
        while let Some((range, next)) = names.run(at) {
            out.put(if at == 0 { b" " } else { b"," });
            reply::set_range(out.text(), range);
            at = next;
        }
    }
    if !runs.is_empty() {
        out.put(b")");
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
fn numbers(uids: &UidSet, Sight { view, mailbox, .. }: Sight<'_>) -> UidSet {
    let mut numbers = UidSet::new();
    for &(first, last) in uids.ranges() {
        let number = |uid: u32| Uid(view.number(mailbox, Uid(uid)));
        numbers.push_range(number(first), number(last));
    }
    numbers
}
