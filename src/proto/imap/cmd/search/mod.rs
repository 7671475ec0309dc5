//! SEARCH (rfc3501#6.4.4) with RETURN (rfc4731) and MODSEQ (rfc7162#3.1.5).
//!
//! *Owns*: the order in which messages are looked at, and how much of them is. *Promises*: the index is
//! asked first; only what it leaves open has its header, and only what that leaves open its whole text
//! brought in, a bounded batch at a time. *Assumes*: the view keeps numbers still. *Never*: returns a
//! message that is gone (rfc2180#4.3).
//!
//! ```text
//!  Scan ──open ones──► warm headers ──► ask ──open ones──► warm messages ──► ask ─┐
//!   ▲ └─none open────────────────────────────────────────────────────────────────┤
//!   └──────────────────────────── more messages ◄──────────── window sorted ◄─────┘
//!                                                     no more ──► Telling ──► Done
//! ```

use bytes::Bytes;
use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};
use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::io::Extent;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::Store;

use crate::limits::{IMAP_SCAN_MESSAGES_MAX, IMAP_WARM_HEADER_BYTES, IMAP_WARM_MESSAGES_MAX, STEP_BYTES_MAX};
use crate::proto::Cx;
use crate::proto::imap::command;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};
use crate::proto::imap::view::View;
use crate::proto::mime::charset;

mod key;
mod results;

use key::{Key, Known, Needs};
use results::{Form, Results};

/// See the module.
#[derive(Debug)]
pub struct Search {
    command: command::Search,
    form: Form,
    stage: Stage,
    key: Key,
    needs: Needs,
    candidates: UidSet,
    /// The first UID that was not looked at.
    next: Uid,
    /// Matches of the window under way, with their mod-sequences, in any order.
    window: Vec<(u32, ModSeq)>,
    /// Messages that need more than is known, ascending.
    open: Vec<Uid>,
    /// The next of `open` to ask.
    asked: usize,
    /// Those of `open` whose header left it open.
    still_open: Vec<Uid>,
    results: Results,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Scan,
    Headers,
    Messages,
    Telling,
}

/// Charsets named where another one is refused; all of the WHATWG list are taken.
const BAD_CHARSET: &str = "[BADCHARSET (US-ASCII UTF-8)] That charset is not known";

impl Search {
    /// A SEARCH that has not begun.
    pub fn new(command: command::Search, tag: Bytes) -> Search {
        Search {
            form: Form { tag, uid: command.uid, returns: command.returns, modseq: false },
            command,
            stage: Stage::Begin,
            key: Key::Always(false),
            needs: Needs::default(),
            candidates: UidSet::new(),
            next: Uid(1),
            window: Vec::new(),
            open: Vec::new(),
            asked: 0,
            still_open: Vec::new(),
            results: Results::default(),
        }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.try_step(core, cx).unwrap_or_else(Step::Done)
    }

    fn try_step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        loop {
            let next = match self.stage {
                Stage::Begin => self.begin(core, cx)?,
                Stage::Scan => self.scan(core, cx)?,
                Stage::Headers | Stage::Messages => self.ask(core, cx)?,
                Stage::Telling => Some(match self.results.write(&self.form, &mut core.out) {
                    true => Reply::done().into(),
                    false => Step::Room,
                }),
            };
            if let Some(step) = next {
                return Ok(step);
            }
        }
    }

    fn begin(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Option<Step>, Reply> {
        // rfc3501#6.4.4: US-ASCII by default; octets beyond it are taken as what they most likely are.
        let charset = self.command.charset.as_deref().unwrap_or(b"UTF-8");
        let is_ascii = charset.eq_ignore_ascii_case(b"US-ASCII");
        let charset = if is_ascii { b"UTF-8" } else { charset };
        if charset::by_name(charset).is_none() {
            return Err(Reply::no(BAD_CHARSET));
        }
        let (view, mailbox) = core.selected(cx)?;
        self.key = Key::new(&self.command.key, charset, view, mailbox)?;
        self.needs = self.key.needs();
        self.candidates = self.key.candidates(view.known());
        self.form.modseq = self.needs.modseq;
        if self.needs.modseq {
            core.enable_condstore(cx);
        }
        self.stage = Stage::Scan;
        Ok(None)
    }

    /// Asks the index.
    fn scan(&mut self, core: &Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        let mut end = true;
        for (looked, (number, message)) in view.walk(mailbox, &self.candidates, self.next).enumerate() {
            if looked == IMAP_SCAN_MESSAGES_MAX || self.open.len() == IMAP_WARM_MESSAGES_MAX {
                end = false;
                break;
            }
            self.next = Uid(message.uid.0.saturating_add(1));
            let recent = view.is_recent(message.uid);
            match self.key.matches(&Known { message: &message, recent, header: None, whole: None }) {
                Some(true) => self.window.push((self.name(number, &message), message.modseq)),
                Some(false) => {}
                None => self.open.push(message.uid),
            }
        }
        if self.open.is_empty() {
            self.close_window();
            if end {
                self.stage = Stage::Telling;
                return Ok(None);
            }
            return Ok(Some(Step::Yield));
        }
        self.asked = 0;
        self.stage = if self.needs.header { Stage::Headers } else { Stage::Messages };
        Ok(Some(Step::Warm(self.cold(mailbox, cx.store))))
    }

    /// Asks headers or whole messages that were brought in.
    fn ask(&mut self, core: &Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        let mut bytes = 0;
        while let Some(&uid) = self.open.get(self.asked) {
            if bytes >= STEP_BYTES_MAX {
                // The next of them are brought in now, not all at once.
                return Ok(Some(Step::Warm(self.cold(mailbox, cx.store))));
            }
            self.asked += 1;
            // Expunged meanwhile: not found.
            let Some(place) = mailbox.place(uid) else { continue };
            let message = mailbox.message(place);
            let (answer, looked) = self.ask_one(&message, view, cx.store);
            bytes += looked * self.needs.lookers;
            match answer {
                Some(true) => {
                    let number = view.number_at(place, uid);
                    self.window.push((self.name(number, &message), message.modseq));
                }
                Some(false) => {}
                None if self.stage == Stage::Headers => self.still_open.push(uid),
                // A message that cannot be read matches nothing.
                None => {}
            }
        }
        self.asked = 0;
        self.open = std::mem::take(&mut self.still_open);
        if !self.open.is_empty() {
            self.stage = Stage::Messages;
            return Ok(Some(Step::Warm(self.cold(mailbox, cx.store))));
        }
        self.close_window();
        self.stage = Stage::Scan;
        Ok(Some(Step::Yield))
    }

    /// The answer of one message, and how many octets that cost.
    fn ask_one(&self, message: &Message, view: &View, store: &Store) -> (Option<bool>, usize) {
        let Some(body) = store.body(message.body) else { return (None, 0) };
        let Some(encoded) = store.bytes(body.summary) else { return (None, 0) };
        let Some(summary) = SummaryView::new(&encoded) else { return (None, encoded.len()) };
        let header_len = summary.header_len().min(body.bytes.len);
        let visible = match self.stage {
            Stage::Messages => body.bytes,
            _ => body.bytes.slice(0, header_len),
        };
        let octets = store.bytes(visible).unwrap_or_default();
        let whole = (self.stage == Stage::Messages).then_some((&octets[..], summary));
        let header = octets.get(..header_len as usize);
        let recent = view.is_recent(message.uid);
        let answer = self.key.matches(&Known { message, recent, header, whole });
        (answer, encoded.len() + octets.len())
    }

    /// What the next open messages' answers will look at, up to the bytes of one call.
    fn cold(&self, mailbox: MailboxRef<'_>, store: &Store) -> Vec<Extent> {
        let mut extents = Vec::new();
        let mut bytes = 0;
        for &uid in &self.open[self.asked..] {
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

    /// How a message is named in the results.
    fn name(&self, number: u32, message: &Message) -> u32 {
        if self.form.uid { message.uid.0 } else { number }
    }

    /// Windows are ascending; within one, order was lost to the batches.
    fn close_window(&mut self) {
        self.window.sort_unstable();
        for &(number, modseq) in &self.window {
            self.results.add(number, modseq);
        }
        self.window.clear();
    }
}
