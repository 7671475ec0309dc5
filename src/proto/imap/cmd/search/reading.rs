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

use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::layout::SummaryView;
use ringpost_engine::octets::Octets;
use ringpost_engine::store::{BodyRef, Store};

use super::key::{Answers, Known, Open, Query};
use super::summaries::{Sought, join, present};
use crate::limits::STEP_BYTES_MAX;
use crate::proto::imap::state::Step;
use crate::proto::imap::view::View;
use crate::proto::mime::search::TextSearch;

/// See the module.
#[derive(Default)]
pub struct Reading {
    /// Messages to be read, ascending.
    messages: Vec<Waiting>,
    /// The one under way.
    at: usize,
    /// Up to which of them the first octets are brought in.
    warmed: usize,
}

/// A message to be read.
struct Waiting {
    sought: Sought,
    answers: Answers,
    /// What is looked for in it.
    search: Option<(usize, TextSearch)>,
    /// Octets of it that are brought in.
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
    pub fn add(&mut self, sought: Sought, answers: Answers) {
        self.messages.push(Waiting { sought, answers, search: None, ready: 0..0 });
    }

    /// Goes on to the next message that matches, or as far as it can.
    pub fn step(&mut self, query: &Query, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Read {
        let mut bytes = 0;
        while let Some(&Waiting { sought, .. }) = self.messages.get(self.at) {
            if self.at == self.warmed {
                return Read::Wait(Step::Warm(self.cold(query, mailbox, store)));
            }
            // Expunged meanwhile, or not readable: not found.
            let message = present(mailbox, sought);
            let body = message.and_then(|(_, message)| store.body(message.key()));
            let (Some((place, message)), Some(body)) = (message, body) else {
                self.next();
                continue;
            };
            let known = Known { message: &message, recent: view.is_recent(sought.0) };
            match self.look(query, &known, body, store, &mut bytes) {
                Ok(matches) => {
                    let answers = self.messages[self.at].answers;
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
        self.messages[self.at].search = None;
        self.at += 1;
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
        let Waiting { answers, search, ready, .. } = &mut self.messages[self.at];
        loop {
            let open = match query.decide(known, *answers) {
                Ok(matches) => return Ok(matches),
                Err(Open(index)) => index,
            };
            if search.as_ref().is_none_or(|(index, _)| *index != open) {
                *search = begin(query, open, body, store);
            }
            let needle = query.contents().get(open).and_then(|content| content.needle());
            let (Some((_, search)), Some(needle)) = (&mut *search, needle) else { return Ok(false) };
            while let Some(window) = search.wants() {
                let window = window.start..window.end.min(body.bytes.len).max(window.start);
                if window.start < ready.start || window.end > ready.end {
                    *ready = window.clone();
                    let octets = body.bytes.slice(window.start, window.end - window.start);
                    return Err(Step::Warm(vec![octets]));
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

    /// What is looked at first in each of the next messages, up to the octets of one call.
    fn cold(&mut self, query: &Query, mailbox: MailboxRef<'_>, store: &Store) -> Vec<Octets> {
        let (mut extents, mut cold) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some(waiting) = self.messages.get_mut(self.warmed) {
            self.warmed += 1;
            let message = present(mailbox, waiting.sought).map(|(_, message)| message);
            let body = message.and_then(|message| store.body(message.key()));
            let (Some(message), Some(body)) = (message, body) else { continue };
            let known = Known { message: &message, recent: false };
            let open = query.decide(&known, waiting.answers).err();
            waiting.search = open.and_then(|Open(index)| begin(query, index, body, store));
            let wanted = waiting.search.as_ref().and_then(|(_, search)| search.wants()).unwrap_or(0..0);
            let end = wanted.end.min(body.bytes.len).max(wanted.start);
            waiting.ready = wanted.start..end;
            let first = body.bytes.slice(wanted.start, end - wanted.start);
            bytes += (first.len + body.summary.len) as usize;
            extents.push(body.summary);
            match first.as_sent() {
                Some(extent) => extents.push(extent),
                None => cold.push(first),
            }
            if bytes >= STEP_BYTES_MAX {
                break;
            }
        }
        join(&mut extents);
        cold.extend(extents.into_iter().map(Octets::from));
        cold
    }
}

/// Begins to look for a content in a message; none if its summary cannot be read, or has the answer.
fn begin(query: &Query, content: usize, body: BodyRef, store: &Store) -> Option<(usize, TextSearch)> {
    let encoded = store.bytes(body.summary)?;
    let summary = SummaryView::new(&encoded)?;
    let (search, _) = query.contents().get(content)?.search(&summary)?;
    Some((content, search))
}
