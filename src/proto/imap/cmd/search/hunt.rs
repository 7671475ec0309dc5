//! Looking for the messages of one mailbox that match a query.
//!
//! *Owns*: the order in which messages are looked at, and how much of them is. *Promises*: the index is
//! asked first; only what it leaves open has its header, and only what that leaves open its whole text
//! brought in, a bounded batch at a time; finds come in ascending order. *Assumes*: the caller shows the same
//! view every time. *Never*: finds a message that is gone (rfc2180#4.3).
//!
//! ```text
//!  Scan ──open ones──► warm headers ──► ask ──open ones──► warm messages ──► ask ─┐
//!   ▲ └─none open────────────────────────────────────────────────────────────────┤
//!   └──────────────────────────── more messages ◄──────────── window sorted ◄─────┘
//!                                                     no more ──► End
//! ```

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};
use ringpost_engine::index::MailboxRef;
use ringpost_engine::io::Extent;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::Store;

use super::key::{Answers, Known, Looked, Open, Query};
use crate::limits::{IMAP_SCAN_MESSAGES_MAX, IMAP_WARM_HEADER_BYTES, IMAP_WARM_MESSAGES_MAX, STEP_BYTES_MAX};
use crate::proto::imap::state::Step;
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug)]
pub struct Hunt {
    query: Query,
    candidates: UidSet,
    /// The first UID that was not looked at.
    next: Uid,
    /// No message is left behind those under way.
    last_window: bool,
    stage: Stage,
    /// Matches of the window under way, in any order.
    window: Vec<Found>,
    /// Messages that need more than is known, ascending, with what is known.
    open: Vec<(Uid, Answers)>,
    /// The next of `open` to ask.
    asked: usize,
    /// Those of `open` whose header left it open.
    still_open: Vec<(Uid, Answers)>,
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
    Headers,
    Messages,
}

impl Hunt {
    /// A hunt among the messages that the view's client knows.
    pub fn new(query: Query, view: &View) -> Hunt {
        Hunt {
            candidates: query.candidates(view.known()),
            query,
            next: Uid(1),
            last_window: false,
            stage: Stage::Scan,
            window: Vec::new(),
            open: Vec::new(),
            asked: 0,
            still_open: Vec::new(),
        }
    }

    /// Matches since this was called last, ascending.
    pub fn finds(&mut self) -> std::vec::Drain<'_, Found> {
        self.window.sort_unstable_by_key(|found| found.uid);
        self.window.drain(..)
    }

    /// Goes on.
    pub fn step(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        match self.stage {
            Stage::Scan => self.scan(view, mailbox, store),
            Stage::Headers | Stage::Messages => self.ask(view, mailbox, store),
        }
    }

    /// Asks the index.
    fn scan(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        if self.last_window {
            return Hunted::End;
        }
        self.last_window = true;
        for (looked, (number, message)) in view.walk(mailbox, &self.candidates, self.next).enumerate() {
            if looked == IMAP_SCAN_MESSAGES_MAX || self.open.len() == IMAP_WARM_MESSAGES_MAX {
                self.last_window = false;
                break;
            }
            self.next = Uid(message.uid.0.saturating_add(1));
            let known = Known { message: &message, recent: view.is_recent(message.uid) };
            let answers = Answers::default();
            match self.query.decide(&known, answers) {
                Ok(true) => self.window.push(self.query.found(&known, number, answers)),
                Ok(false) => {}
                Err(_) => self.open.push((message.uid, answers)),
            }
        }
        if self.open.is_empty() {
            return if self.last_window { Hunted::End } else { Hunted::Window };
        }
        self.asked = 0;
        let whole_only = self.query.contents().iter().all(|content| content.needs_whole());
        self.stage = if whole_only { Stage::Messages } else { Stage::Headers };
        Hunted::Wait(Step::Warm(self.cold(mailbox, store)))
    }

    /// Asks headers or whole messages that were brought in.
    fn ask(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Hunted {
        let mut bytes = 0;
        while let Some(&(uid, answers)) = self.open.get(self.asked) {
            if bytes >= STEP_BYTES_MAX {
                // The next of them are brought in now, not all at once.
                return Hunted::Wait(Step::Warm(self.cold(mailbox, store)));
            }
            self.asked += 1;
            // Expunged meanwhile: not found.
            let Some(place) = mailbox.place(uid) else { continue };
            let message = mailbox.message(place);
            let known = Known { message: &message, recent: view.is_recent(uid) };
            match self.ask_one(&known, answers, store, &mut bytes) {
                Some((Ok(true), answers)) => {
                    self.window.push(self.query.found(&known, view.number_at(place, uid), answers));
                }
                Some((Err(_), answers)) if self.stage == Stage::Headers => {
                    self.still_open.push((uid, answers));
                }
                // A message that cannot be read matches nothing.
                Some(_) | None => {}
            }
        }
        self.asked = 0;
        self.open = std::mem::take(&mut self.still_open);
        if !self.open.is_empty() {
            self.stage = Stage::Messages;
            return Hunted::Wait(Step::Warm(self.cold(mailbox, store)));
        }
        self.stage = Stage::Scan;
        if self.last_window { Hunted::End } else { Hunted::Window }
    }

    /// The answer of one message that is in memory; `bytes` grows by what that cost. None if it cannot be
    /// read.
    fn ask_one(
        &self,
        known: &Known<'_>,
        mut answers: Answers,
        store: &Store,
        bytes: &mut usize,
    ) -> Option<(Result<bool, Open>, Answers)> {
        let body = store.body(known.message.body)?;
        let encoded = store.bytes(body.summary)?;
        *bytes += encoded.len();
        let summary = SummaryView::new(&encoded)?;
        let header_len = summary.header_len().min(body.bytes.len);
        let visible = match self.stage {
            Stage::Messages => body.bytes,
            _ => body.bytes.slice(0, header_len),
        };
        let octets = store.bytes(visible)?;
        let whole = (self.stage == Stage::Messages).then_some((&octets[..], summary));
        let looked = Looked { header: octets.get(..header_len as usize), whole };
        loop {
            let decided = self.query.decide(known, answers);
            let Err(Open(content)) = decided else { return Some((decided, answers)) };
            let found = self.query.contents().get(content).and_then(|content| content.find(&looked));
            let Some(found) = found else { return Some((decided, answers)) };
            *bytes += octets.len();
            answers.set(content, found);
        }
    }

    /// What the next open messages' answers will look at, up to the bytes of one call.
    fn cold(&self, mailbox: MailboxRef<'_>, store: &Store) -> Vec<Extent> {
        let mut extents = Vec::new();
        let mut bytes = 0;
        for &(uid, _) in &self.open[self.asked..] {
            let body = mailbox.place(uid).and_then(|place| store.body(mailbox.message(place).body));
            let Some(body) = body else { continue };
            let octets = match self.stage {
                Stage::Messages => body.bytes,
                _ => body.bytes.slice(0, IMAP_WARM_HEADER_BYTES),
            };
            extents.extend([body.summary, octets]);
            bytes += (body.summary.len + octets.len) as usize;
            if bytes >= STEP_BYTES_MAX {
                break;
            }
        }
        extents
    }
}

impl Query {
    fn found(&self, known: &Known<'_>, number: u32, answers: Answers) -> Found {
        let Known { message, .. } = known;
        Found { uid: message.uid, number, modseq: message.modseq, score: self.score(known, answers) }
    }
}
