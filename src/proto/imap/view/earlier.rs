//! VANISHED (EARLIER): what of a set is not there any more (rfc7162#3.2.6, #3.2.10.1).
//!
//! *Owns*: where such an answer stands. *Promises*: exact while the store remembers; below that every UID of
//! the set that is not there (rfc7162#3.2.6: behave as if asked for all of them); written as ranges, in steps
//! that look at a bounded number of messages. *Assumes*: [`View::absorb`] ran. *Never*: names what is still to
//! be told by VANISHED without EARLIER, which counts down numbers.
//!
//! ```text
//!  history reaches ─► Remembered ─────────┐
//!  history is cut ──► scan ─► window ─► ready ─► lines … room ─► All
//!                       ▲        yield      │
//!                       └───────────────────┘
//! ```

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};
use ringpost_engine::index::MailboxRef;

use super::View;
use crate::limits::{IMAP_LINE_RANGES_MAX, IMAP_SCAN_MESSAGES_MAX};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;

/// How far a long answer got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// To its end.
    All,
    /// Until the output was full.
    Full,
    /// Enough was looked at for one call.
    Budget,
}

/// See the module.
#[derive(Debug)]
pub struct Earlier {
    /// What is found and not written; below `next` it is.
    ready: UidSet,
    next: Uid,
    /// What is still to be looked through, from `scan_from` on.
    scan: Option<(UidSet, Uid)>,
}

impl Earlier {
    /// What vanished of `known` since `since`.
    pub fn new(view: &View, mailbox: MailboxRef<'_>, known: &UidSet, since: ModSeq) -> Earlier {
        // A UID that was not given out has not vanished.
        let known = known.intersection(&view.known());
        if since < mailbox.expunged_floor() {
            return Earlier { ready: UidSet::new(), next: Uid(1), scan: Some((known, Uid(1))) };
        }
        let ready = mailbox.vanished_since(since, &known).difference(&view.gone.within(1, u32::MAX));
        Earlier { ready, next: Uid(1), scan: None }
    }

    /// Writes as much as there is room for.
    pub fn step(&mut self, view: &View, mailbox: MailboxRef<'_>, out: &mut Out) -> Told {
        if !self.put_ready(out) {
            return Told::Full;
        }
        let Some((known, from)) = self.scan.take() else { return Told::All };
        let (missing, next) = view.missing(mailbox, &known, from);
        (self.ready, self.next) = (missing, Uid(1));
        self.scan = next.map(|next| (known, next));
        match (self.put_ready(out), &self.scan) {
            (false, _) => Told::Full,
            (true, None) => Told::All,
            (true, Some(_)) => Told::Budget,
        }
    }

    /// Whether all that is found is written.
    fn put_ready(&mut self, out: &mut Out) -> bool {
        loop {
            let ranges = self.ready.ranges();
            let rest = &ranges[ranges.partition_point(|&(_, last)| last < self.next.0)..];
            let line = &rest[..rest.len().min(IMAP_LINE_RANGES_MAX)];
            let Some(&(_, last)) = line.last() else { return true };
            if !out.has_room() {
                return false;
            }
            reply::vanished(out.text(), true, line);
            self.next = Uid(last.saturating_add(1));
        }
    }
}

impl View {
    /// Which UIDs of a set from `from` on have no number here, looking at a bounded number of messages; and
    /// where to go on, if there is more.
    fn missing(&self, mailbox: MailboxRef<'_>, known: &UidSet, from: Uid) -> (UidSet, Option<Uid>) {
        let end = mailbox.rank(self.horizon);
        let start = mailbox.rank(from);
        let stop = end.min(start + IMAP_SCAN_MESSAGES_MAX);
        let mut here = UidSet::new();
        for place in start..stop {
            here.push(mailbox.message(place).uid);
        }
        let next = (stop < end).then(|| mailbox.message(stop).uid);
        let last = next.map_or(u32::MAX, |next| next.0 - 1);
        let mut window = UidSet::new();
        window.push_range(from, Uid(last.max(from.0)));
        let numbered = here.union(&self.gone.within(from.0, last));
        (known.intersection(&window).difference(&numbered), next)
    }
}
