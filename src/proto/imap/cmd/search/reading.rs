//! Reading messages for what their summaries leave open.
//!
//! *Owns*: which octets of which message are looked at next. *Promises*: a window of a message at a time, so
//! that a large one holds nobody up; small ones are brought in together. *Assumes*: the same mailbox every time.
//! *Never*: reads more than the query needs to be decided.
//!
//! ```text
//!  next message ──decided──► Match, or none        ┌──────── more windows ────────┐
//!       └──open──► search for the content ──► warm ─► step ─► answer ─► decided? ─┴─► next content, next message
//! ```

use std::ops::Range;

use ringpost_engine::ids::Uid;
use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::io::Extent;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::{BodyRef, Store};

use super::key::{Answers, Known, Open, Query};
use crate::limits::{IMAP_WARM_HEADER_BYTES, SEARCH_WINDOW_BYTES, STEP_BYTES_MAX};
use crate::proto::imap::state::Step;
use crate::proto::imap::view::View;
use crate::proto::mime::search::TextSearch;

/// See the module.
#[derive(Default)]
pub struct Reading {
    /// Messages to be read, ascending.
    messages: Vec<(Uid, Answers)>,
    /// The one under way.
    at: usize,
    /// Up to which of them the first octets are brought in.
    warmed: usize,
    /// What is looked for in the one under way.
    search: Option<(usize, TextSearch)>,
    /// Octets of the one under way that are brought in.
    ready: Range<u32>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("messages", &self.messages.len()).field("at", &self.at).finish()
    }
}

/// What came of a step.
#[derive(Debug)]
pub enum Read {
    /// Something has to happen before it goes on.
    Wait(Step),
    /// A message that matches.
    Match {
        /// Its place in the mailbox.
        place: usize,
        /// It.
        message: Message,
        /// Which contents were found in it.
        answers: Answers,
    },
    /// All are read.
    End,
}

impl Reading {
    /// Adds a message; ascending.
    pub fn add(&mut self, uid: Uid, answers: Answers) {
        self.messages.push((uid, answers));
    }

    /// Goes on to the next message that matches, or as far as it can.
    pub fn step(&mut self, query: &Query, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Read {
        let mut bytes = 0;
        while let Some(&(uid, _)) = self.messages.get(self.at) {
            if self.at == self.warmed {
                return Read::Wait(Step::Warm(self.cold(query, mailbox, store)));
            }
            // Expunged meanwhile, or not readable: not found.
            let place = mailbox.place(uid);
            let message = place.map(|place| (place, mailbox.message(place)));
            let body = message.and_then(|(_, message)| store.body(message.body));
            let (Some((place, message)), Some(body)) = (message, body) else {
                self.next();
                continue;
            };
            let known = Known { message: &message, recent: view.is_recent(uid) };
            match self.look(query, &known, body, store, &mut bytes) {
                Ok(matches) => {
                    let answers = self.messages[self.at].1;
                    self.next();
                    if matches {
                        return Read::Match { place, message, answers };
                    }
                }
                Err(step) => return Read::Wait(step),
            }
        }
        *self = Reading::default();
        Read::End
    }

    fn next(&mut self) {
        self.at += 1;
        self.search = None;
        self.ready = 0..0;
    }

    /// Whether the message under way matches, or what has to happen first.
    fn look(
        &mut self,
        query: &Query,
        known: &Known<'_>,
        body: BodyRef,
        store: &Store,
        bytes: &mut usize,
    ) -> Result<bool, Step> {
        if self.ready.is_empty() {
            self.ready = 0..first_window(query, known, self.messages[self.at].1, body).len;
        }
        loop {
            let answers = &mut self.messages[self.at].1;
            let open = match query.decide(known, *answers) {
                Ok(matches) => return Ok(matches),
                Err(Open(index)) => index,
            };
            let content = query.contents().get(open);
            let (search, needle) = match (&mut self.search, content.and_then(|content| content.needle())) {
                (Some((index, search)), Some(needle)) if *index == open => (search, needle),
                (current, _) => {
                    let encoded = store.bytes(body.summary);
                    let summary = encoded.as_deref().and_then(SummaryView::new);
                    let begun =
                        summary.as_ref().zip(content).and_then(|(summary, content)| content.search(summary));
                    let Some((search, needle)) = begun else { return Ok(false) };
                    (&mut current.insert((open, search)).1, needle)
                }
            };
            while let Some(window) = search.wants() {
                let window = window.start..window.end.min(body.bytes.len).max(window.start);
                if window.start < self.ready.start || window.end > self.ready.end {
                    self.ready = window.clone();
                    return Err(Step::Warm(vec![body.bytes.slice(window.start, window.end - window.start)]));
                }
                if *bytes >= STEP_BYTES_MAX {
                    return Err(Step::Yield);
                }
                let octets = store.bytes(body.bytes.slice(window.start, window.end - window.start));
                let octets = octets.unwrap_or_default();
                *bytes += octets.len();
                search.step(&octets, needle);
            }
            answers.set(open, search.answer() == Some(true));
        }
    }

    /// The first octets of the next messages, up to the octets of one call.
    fn cold(&mut self, query: &Query, mailbox: MailboxRef<'_>, store: &Store) -> Vec<Extent> {
        let mut extents = Vec::new();
        let mut bytes = 0;
        while let Some(&(uid, answers)) = self.messages.get(self.warmed) {
            self.warmed += 1;
            let message = mailbox.place(uid).map(|place| mailbox.message(place));
            let body = message.and_then(|message| store.body(message.body));
            let (Some(message), Some(body)) = (message, body) else { continue };
            let first = first_window(query, &Known { message: &message, recent: false }, answers, body);
            bytes += (first.len + body.summary.len) as usize;
            extents.extend([body.summary, first]);
            if bytes >= STEP_BYTES_MAX {
                break;
            }
        }
        extents
    }
}

/// The octets of a message that are brought in with those of others: what its first open content looks at.
fn first_window(query: &Query, known: &Known<'_>, answers: Answers, body: BodyRef) -> Extent {
    let open = query.decide(known, answers).err().and_then(|Open(index)| query.contents().get(index));
    let in_header = open.is_some_and(|content| content.is_in_header());
    body.bytes.slice(0, if in_header { IMAP_WARM_HEADER_BYTES } else { SEARCH_WINDOW_BYTES as u32 })
}
