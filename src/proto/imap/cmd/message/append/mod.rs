//! APPEND and REPLACE (rfc3501#6.3.11, rfc3502, rfc4469, rfc8508) with APPENDUID (rfc4315#3).
//!
//! *Owns*: the order of a command's pieces, and the one change at its end. *Promises*: all or nothing; a
//! message that will not be taken is refused before its octets are sent, where the client waits for that;
//! one message is in memory at a time, and that grows with what has come, not with what was announced: what
//! is complete goes to the log, where nothing shows it before the change. *Assumes*: the framer gives exactly
//! the announced octets. *Never*: changes a message: a literal is stored as it is.
//!
//! ```text
//!            ┌──────────── text behind a literal ◄── octets ◄──┐
//!            ▼                                                 │
//!  begin ─► pieces ──Octets, UrlOctets──► Literal ─────────────┘
//!            │  ├──Url──► Inclusion ──Warm … ──► pieces
//!            │  └──End──► summary, body into the log ──► pieces
//!            └──none left──► Append ──► commit ──► Done
//! ```

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ringpost_engine::change::{Change, NewMessage, Outcome, QuotaUsage, Refusal, Rights, UidSet};
use ringpost_engine::ids::{MailboxId, Uid};
use ringpost_engine::limits::APPEND_MESSAGES_MAX;

use super::copy::{Destination, target};
use crate::limits::{IMAP_LITERAL_UNASKED_BYTES_MAX, IMAP_URL_BYTES_MAX};
use crate::proto::Cx;
use crate::proto::imap::access;
use crate::proto::imap::command::{self, AppendPiece, Replaced, SequenceSet};
use crate::proto::imap::cut::Cut;
use crate::proto::imap::framer::Literal;
use crate::proto::imap::parse::AppendReader;
use crate::proto::imap::reply::{Reply, set_text};
use crate::proto::imap::state::{Core, Step, Wake};

mod draft;
mod inclusion;

use draft::{Draft, Stored};
use inclusion::Inclusion;

/// See the module.
#[derive(Debug)]
pub struct Append {
    command: command::Append,
    /// Where to; none before it has begun.
    to: Option<Destination>,
    /// REPLACE: the message that goes.
    replaces: Option<(MailboxId, Uid)>,
    reader: AppendReader,
    /// What is read and not yet done.
    pieces: VecDeque<AppendPiece>,
    /// The literal announced behind them.
    literal: Option<Literal>,
    /// The message under way.
    draft: Option<Draft>,
    /// A URL that comes as a literal.
    url: Option<BytesMut>,
    /// A URL whose octets are being copied.
    inclusion: Option<Inclusion>,
    /// Messages in the log.
    done: Vec<NewMessage>,
}

impl Append {
    /// A command that has not begun.
    pub fn new(command: command::Append) -> Append {
        Append {
            command,
            to: None,
            replaces: None,
            reader: AppendReader::default(),
            pieces: VecDeque::new(),
            literal: None,
            draft: None,
            url: None,
            inclusion: None,
            done: Vec::new(),
        }
    }

    /// More of the accepted literal.
    pub fn message(&mut self, octets: &[u8]) {
        match (&mut self.url, &mut self.draft) {
            (Some(url), _) => url.extend_from_slice(octets),
            (None, Some(draft)) => draft.add(octets),
            (None, None) => {}
        }
    }

    /// Octets held in memory.
    pub fn buffered(&self) -> usize {
        self.draft.as_ref().map_or(0, Draft::buffered)
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.try_step(wake, core, cx).unwrap_or_else(Step::Done)
    }

    fn try_step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        if let Wake::Committed(outcome) = wake {
            return self.finish(outcome, core);
        }
        if self.to.is_none() {
            let head = std::mem::take(&mut self.command.text);
            self.begin(core, cx)?;
            match wake {
                Wake::Text { literal, .. } => self.text(&head, literal)?,
                _ => self.text(&head, None)?,
            }
        } else if let Wake::Text { text, literal } = wake {
            self.text(&text, literal)?;
        }
        self.go_on(core, cx)
    }

    fn begin(&mut self, core: &Core, cx: &Cx<'_>) -> Result<(), Reply> {
        let to = target(&self.command.mailbox, core, cx)?;
        self.to = Some(to);
        if let Some(replaced) = self.command.replaces {
            // rfc8508#3: what EXPUNGE would need.
            core.require(cx, Rights::DELETE_MESSAGES.union(Rights::EXPUNGE))?;
            if core.selected(cx)?.0.account() != to.account {
                return Err(Reply::no("[CANNOT] What replaces a message stays with its owner"));
            }
            self.replaces = Some(named(replaced, core, cx)?);
        }
        Ok(())
    }

    /// Reads what stands between two literals.
    fn text(&mut self, text: &Bytes, literal: Option<Literal>) -> Result<(), Reply> {
        if let Some(url) = self.url.take() {
            self.pieces.push_back(AppendPiece::Url(url.freeze()));
        }
        if let Some(draft) = &self.draft {
            draft.check()?;
        }
        self.literal = literal;
        self.pieces.extend(self.reader.read(text, literal).map_err(Reply::from)?);
        Ok(())
    }

    fn go_on(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        loop {
            if let (Some(inclusion), Some(draft)) = (&mut self.inclusion, &mut self.draft) {
                if let Some(step) = inclusion.step(draft, cx)? {
                    return Ok(step);
                }
                self.inclusion = None;
            }
            match self.pieces.pop_front() {
                Some(AppendPiece::Message { flags, internal_ms }) => {
                    if let Some(max) =
                        cx.server.imap.copies_max().filter(|&max| self.done.len() == max as usize)
                    {
                        return Err(Cut::refusing(max).refuse());
                    }
                    if self.done.len() == APPEND_MESSAGES_MAX {
                        return Err(Reply::no("[LIMIT] Too many messages in one command"));
                    }
                    if self.replaces.is_some() && !self.done.is_empty() {
                        // rfc8508#4.7
                        return Err(Reply::bad("REPLACE takes one message"));
                    }
                    let rights = self.to.map_or(Rights::NONE, |to| to.rights);
                    self.draft = Some(Draft::new(access::permitted_flags(rights, flags), internal_ms));
                }
                Some(AppendPiece::Url(url)) => self.inclusion = Some(Inclusion::find(&url, core, cx)?),
                Some(AppendPiece::End) => {
                    let (Some(draft), Some(to)) = (self.draft.take(), self.to) else { continue };
                    match draft.store(to.account, core, cx)? {
                        Stored::Message(message) => self.done.push(message),
                        Stored::NotYet(draft) => {
                            self.draft = Some(draft);
                            self.pieces.push_front(AppendPiece::End);
                            return Ok(Step::Yield);
                        }
                    }
                }
                Some(AppendPiece::Octets | AppendPiece::Utf8Octets) => return self.accept(cx),
                Some(AppendPiece::UrlOctets) => return self.accept_url(),
                None => return self.commit(core, cx),
            }
        }
    }

    /// Takes the announced literal into the message, if it may come.
    fn accept(&mut self, cx: &Cx<'_>) -> Result<Step, Reply> {
        let (Some(literal), Some(draft)) = (self.literal, &mut self.draft) else {
            return Err(Reply::bad("A literal is missing"));
        };
        let unasked_max = IMAP_LITERAL_UNASKED_BYTES_MAX;
        if cx.server.imap.literal_minus && !literal.sync && literal.size > unasked_max {
            // rfc7888#5
            return Err(Reply::bad("[TOOBIG] Wait for the continuation request with so large a literal"));
        }
        let more = QuotaUsage { bytes: literal.size, messages: 1, mailboxes: 0 };
        let account = self.to.and_then(|to| cx.store.account(to.account));
        if self.replaces.is_none() && account.is_some_and(|account| !account.room(more)) {
            // rfc9208#4.3.1, before the octets are sent.
            return Err(Refusal::OverQuota.into());
        }
        draft.announce(literal, cx)?;
        Ok(Step::Literal)
    }

    fn accept_url(&mut self) -> Result<Step, Reply> {
        if self.literal.is_none_or(|literal| literal.size > IMAP_URL_BYTES_MAX as u64) {
            return Err(Reply::no("[LIMIT] A URL is too long"));
        }
        self.url = Some(BytesMut::new());
        Ok(Step::Literal)
    }

    fn commit(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        let Some(to) = self.to else { return Err(Reply::bad("A mailbox is missing")) };
        let messages = std::mem::take(&mut self.done);
        let change = Change::Append { mailbox: to.mailbox, messages, replaces: self.replaces };
        Ok(Step::Commit(core.append_to(to.account, cx, change)?))
    }

    fn finish(&self, outcome: Outcome, core: &mut Core) -> Result<Step, Reply> {
        match outcome {
            Outcome::Appended { uid_validity, uids, .. } => {
                if let Some(to) = self.to {
                    core.note_own_new(to.account, to.mailbox, &uids);
                }
                let code = format!("[APPENDUID {uid_validity} {}]", set_text(&uids));
                if self.replaces.is_none() {
                    return Ok(Reply::ok(format!("{code} APPEND completed")).into());
                }
                // rfc8508#4.3: before the EXPUNGE reply.
                core.out.line(&format!("* OK {code} Replacement is stored"));
                Ok(Reply::done().into())
            }
            // rfc3501#6.3.11: it was deleted while the message came.
            Outcome::Refused(Refusal::NoMailbox) => Err(Reply::no("[TRYCREATE] No such mailbox")),
            Outcome::Refused(refusal) => Err(Reply::from(refusal)),
            _ => Err(Reply::no("[SERVERBUG] The store answered something else")),
        }
    }
}

/// The message of the selected mailbox that REPLACE names (rfc8508#3.4).
fn named(replaced: Replaced, core: &Core, cx: &Cx<'_>) -> Result<(MailboxId, Uid), Reply> {
    let (view, mailbox) = core.selected_for_writing(cx)?;
    let set = SequenceSet { ranges: vec![(replaced.number, replaced.number)], saved: false };
    let uids: UidSet = view.resolve(mailbox, &set, replaced.uid)?;
    match uids.last() {
        Some(uid) if mailbox.place(uid).is_some() => Ok((view.mailbox_id(), uid)),
        _ if replaced.uid => Err(Reply::no("[NONEXISTENT] No message has that UID")),
        _ => Err(Reply::no("[EXPUNGEISSUED] That message no longer exists")),
    }
}
