//! Looking for the messages of one mailbox that match a query.
//!
//! *Owns*: the order in which messages are looked at, and how much of them is. *Promises*: the index is
//! asked first; what it leaves open has its summary, and only what that leaves open the message itself brought
//! in, a bounded batch at a time; finds come in ascending order. *Assumes*: the caller shows the same view every
//! time. *Never*: finds a message that is gone (rfc2180#4.3).
//!
//! ```text
//!  Scan ──open ones──► warm summaries ──► Summaries ──open ones──► warm messages ──► Texts ─┐
//!   ▲ └─none open──────────────────────────────────────────────────────────────────────────┤
//!   └──────────────────────────────── more messages ◄───────────────── window complete ◄────┘
//!                                                               no more ──► End
//! ```

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};
use ringpost_engine::index::MailboxRef;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::Store;

use super::key::{Answers, Content, Known, Open, Query};
use super::reading::{Read, Reading};
use super::summaries::{self, Lot, Sought};
use crate::limits::{IMAP_GATHER_MESSAGES_MAX, IMAP_LINE_RANGES_MAX, IMAP_SCAN_MESSAGES_MAX};
use crate::proto::imap::cut::Cut;
use crate::proto::imap::pace::Progress;
use crate::proto::imap::state::Step;
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug)]
pub struct Hunt {
    query: Query,
    candidates: UidSet,
    /// The first UID that was not looked at.
    next: Uid,
    /// Messages that were looked at, and how many there are to look at, for the client that waits.
    looked: u64,
    goal: Option<u64>,
    /// No message is left behind those under way.
    last_window: bool,
    stage: Stage,
    /// Matches of the window under way, in any order.
    window: Vec<Found>,
    /// Messages that need more than is known, ascending, with what is known.
    open: Vec<(Sought, Answers)>,
    /// How many of `open` are asked by their summaries.
    asked: usize,
    /// Up to which of `open` summaries are brought in.
    warmed: usize,
    /// Those of `open` that have to be read.
    reading: Reading,
}

/// A message that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub uid: Uid,
    /// Its number in the view.
    pub number: u32,
    /// When it was changed last.
    pub modseq: ModSeq,
    /// How relevant it is, 1 to 100; of use where the query is scored.
    pub score: u8,
}

/// How far a hunt came in one call.
#[derive(Debug)]
pub enum Hunted {
    /// Something has to happen before it goes on.
    Wait(Step),
    /// [`Hunt::finds`] are complete up to some UID; call again.
    Window,
    /// [`Hunt::finds`] are the last ones.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Scan,
    Summaries,
    Texts,
}

impl Hunt {
    /// A hunt among the messages that the view's client knows.
    pub fn new(query: Query, view: &View) -> Hunt {
        Hunt::among(query, view.known())
    }

    /// A hunt among the last ones that a limit leaves (rfc9738#3.1), and what it left out.
    pub fn among_last(
        query: Query,
        max: Option<u32>,
        view: &View,
        mailbox: MailboxRef<'_>,
    ) -> (Hunt, Option<Cut>) {
        let mut uids = query.candidates(view.known());
        let cut = Cut::to_last(&mut uids, max, view, mailbox);
        (Hunt::among(query, uids), cut)
    }

    /// A hunt among some of the messages.
    pub fn among(query: Query, uids: UidSet) -> Hunt {
        Hunt {
            candidates: query.candidates(uids),
            query,
            next: Uid(1),
            looked: 0,
            goal: None,
            last_window: false,
            stage: Stage::Scan,
            window: Vec::new(),
            open: Vec::new(),
            asked: 0,
            warmed: 0,
            reading: Reading::default(),
        }
    }

    /// Matches since this was called last, ascending.
    pub fn finds(&mut self) -> std::vec::Drain<'_, Found> {
        self.window.sort_unstable_by_key(|found| found.uid);
        self.window.drain(..)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress { done: Some(self.looked), goal: self.goal }
    }

    /// Goes on.
    pub fn step(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        match self.stage {
            Stage::Scan => self.scan(view, mailbox, store),
            Stage::Summaries => self.ask(view, mailbox, store),
            Stage::Texts => self.read(view, mailbox, store),
        }
    }

    /// Asks the index.
    fn scan(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        if self.last_window {
            return Hunted::End;
        }
        self.last_window = true;
        self.goal = self.goal.or_else(|| goal(&self.candidates, view, mailbox));
        for (looked, (number, message)) in view.walk(mailbox, &self.candidates, self.next).enumerate() {
            if looked == IMAP_SCAN_MESSAGES_MAX || self.open.len() == IMAP_GATHER_MESSAGES_MAX {
                self.last_window = false;
                break;
            }
            self.next = Uid(message.uid.0.saturating_add(1));
            self.looked += 1;
            let known = Known { message: &message, recent: view.is_recent(message.uid) };
            let answers = Answers::default();
            match self.query.decide(&known, answers) {
                Ok(true) => self.window.push(self.query.found(&known, number, answers)),
                Ok(false) => {}
                Err(_) => self.open.push(((message.uid, number), answers)),
            }
        }
        if self.open.is_empty() {
            return self.window_end();
        }
        (self.asked, self.warmed) = (0, 0);
        self.stage = Stage::Summaries;
        self.warm(mailbox, store)
    }

    fn window_end(&mut self) -> Hunted {
        self.open.clear();
        self.stage = Stage::Scan;
        if self.last_window { Hunted::End } else { Hunted::Window }
    }

    /// Brings the next summaries in.
    fn warm(&mut self, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        let next = self.open[self.warmed..].iter().map(|&(sought, _)| sought);
        let (count, extents) = summaries::to_bring_in(next, mailbox, store);
        self.warmed += count;
        Hunted::Wait(Step::Warm(extents))
    }

    /// Asks the summaries that were brought in.
    fn ask(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        let open = &mut self.open[self.asked..self.warmed];
        // Those that were expunged meanwhile are not in it: not found.
        let lot = Lot::new(open.iter().map(|&(sought, _)| sought), mailbox, store);
        sift(&self.query, &lot, open);
        for row in lot.rows() {
            let (sought, mut answers) = open[row.nth];
            let known = Known { message: &row.message, recent: view.is_recent(sought.0) };
            if self.query.decide(&known, answers) == Ok(false) {
                continue;
            }
            match ask_summary(&self.query, &known, &mut answers, lot.encoded(row)) {
                Some(Ok(true)) => {
                    let number = view.number_at(row.place, sought.0);
                    self.window.push(self.query.found(&known, number, answers));
                }
                Some(Err(Open(_))) => self.reading.add(sought, answers),
                // A message whose summary cannot be read matches nothing.
                Some(Ok(false)) | None => {}
            }
        }
        self.asked = self.warmed;
        if self.asked < self.open.len() {
            return self.warm(mailbox, store);
        }
        self.stage = Stage::Texts;
        self.read(view, mailbox, store)
    }

    /// Reads messages.
    fn read(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        loop {
            match self.reading.step(&self.query, view, mailbox, store) {
                Read::Wait(step) => return Hunted::Wait(step),
                Read::Match { place, message, answers } => {
                    let known = Known { message: &message, recent: view.is_recent(message.uid) };
                    let number = view.number_at(place, message.uid);
                    self.window.push(self.query.found(&known, number, answers));
                }
                Read::End => return self.window_end(),
            }
        }
    }
}

/// How many messages a set names; none if there are none, or if counting them would take long.
fn goal(uids: &UidSet, view: &View, mailbox: MailboxRef<'_>) -> Option<u64> {
    let end = mailbox.rank(view.horizon());
    let count = |&(first, last): &(u32, u32)| {
        let behind = last.checked_add(1).map_or(end, |next| mailbox.rank(Uid(next)).min(end));
        behind.saturating_sub(mailbox.rank(Uid(first))) as u64
    };
    let few = uids.ranges().len() <= IMAP_LINE_RANGES_MAX;
    few.then(|| uids.ranges().iter().map(count).sum()).filter(|&goal: &u64| goal > 0)
}

/// Notes which texts cannot be in which messages, before any summary is read as a whole.
fn sift(query: &Query, lot: &Lot, open: &mut [(Sought, Answers)]) {
    let needle = |content: &Content| content.needle().is_some();
    if !query.contents().iter().all(needle) {
        lot.approach_keys();
    }
    if !query.contents().iter().any(needle) {
        return;
    }
    let filters = lot.filters();
    for (index, content) in query.contents().iter().enumerate() {
        if let Some(needle) = content.needle() {
            summaries::sift(&filters, needle, |row| open[lot.rows()[row].nth].1.set(index, false));
        }
    }
}

/// What the index and the summary together say; none if the summary cannot be read.
fn ask_summary(
    query: &Query,
    known: &Known<'_>,
    answers: &mut Answers,
    encoded: &[u8],
) -> Option<Result<bool, Open>> {
    let summary = SummaryView::new(encoded)?;
    for (index, content) in query.contents().iter().enumerate() {
        match query.decide(known, *answers) {
            // Others may decide without the one that only the message answers.
            Err(_) => {
                if let Some(found) = content.ask(&summary) {
                    answers.set(index, found);
                }
            }
            decided => return Some(decided),
        }
    }
    Some(query.decide(known, *answers))
}

impl Query {
    /// A message that matches, as it is told.
    pub fn found(&self, known: &Known<'_>, number: u32, answers: Answers) -> Found {
        let Known { message, .. } = known;
        Found { uid: message.uid, number, modseq: message.modseq, score: self.score(known, answers) }
    }
}
