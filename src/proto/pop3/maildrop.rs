//! The maildrop: what one session sees of INBOX.
//!
//! *Owns*: the snapshot taken at login, its numbering and the marks that DELE sets. *Promises*: numbers,
//! sizes, unique-ids and bytes stand still for the whole session, whatever others deliver or expunge.
//! *Assumes*: bytes in the log stay where they are while the server runs. *Never*: takes the exclusive lock
//! of rfc1939#4. That lock exists to keep messages from being changed or removed before the session's own
//! UPDATE; here stored bytes never change and the snapshot keeps their places, so two sessions (or POP3
//! beside IMAP) cannot disturb each other, and no client that lost its connection is shut out by its own
//! ghost. Removing what another has removed already is no error.

use std::collections::BTreeMap;
use std::fmt::Write;

use ringpost_engine::change::{Change, UidSet, UniqueIdForm};
use ringpost_engine::ids::{AccountId, BodyKey, MailboxId, Uid};
use ringpost_engine::store::Store;

use crate::limits::{POP3_MESSAGES_MAX, STEP_MESSAGES_MAX};
use crate::proto::output::Outbox;

/// A snapshot of INBOX with marks.
#[derive(Debug)]
pub struct Maildrop {
    account: AccountId,
    mailbox: MailboxId,
    uid_validity: u32,
    unique_ids: UniqueIdForm,
    /// Those of messages that were imported with another.
    given: BTreeMap<Uid, String>,
    /// Messages from here on came after the login.
    end: Uid,
    messages: Vec<Message>,
    /// Messages without a mark, and their octets.
    kept: usize,
    kept_bytes: u64,
}

/// A message of the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// What finds its bytes.
    pub body: BodyKey,
    /// Whether those are known not to be what was written.
    pub hidden: bool,
    deleted: bool,
}

/// Why a message number means no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMessage {
    /// Outside the maildrop, which has this many.
    OutOf(usize),
    /// Marked as deleted by this session.
    Deleted(u32),
}

/// Which listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// `LIST`: number and octets.
    Sizes,
    /// `UIDL`: number and unique-id.
    UniqueIds,
}

impl Maildrop {
    /// Begins a snapshot of the account's INBOX; none when the account is gone or its INBOX cannot be read.
    pub fn begin(store: &Store, account: AccountId) -> Option<Maildrop> {
        let inbox = Some(store.account(account)?.inbox()).filter(|inbox| inbox.is_readable())?;
        Some(Maildrop {
            account,
            mailbox: inbox.id(),
            uid_validity: inbox.uid_validity(),
            unique_ids: inbox.unique_id_form(),
            given: BTreeMap::new(),
            end: inbox.uid_next(),
            messages: Vec::new(),
            kept: 0,
            kept_bytes: 0,
        })
    }

    /// Takes in the next `limits::STEP_MESSAGES_MAX` messages; whether all are there. Oldest first, up to
    /// `limits::POP3_MESSAGES_MAX`: the rest appears when these have been taken away.
    pub fn load(&mut self, store: &Store) -> bool {
        let Some(inbox) = store.mailbox(self.account, self.mailbox) else { return true };
        let after = self.messages.last().map_or(0, |message| message.uid.0);
        let first = inbox.rank(Uid(after.saturating_add(1)));
        let last = inbox.rank(self.end).min(first + STEP_MESSAGES_MAX);
        let mut given = inbox.unique_ids_from(Uid(after.saturating_add(1))).peekable();
        for place in first..last {
            if self.messages.len() == POP3_MESSAGES_MAX {
                return true;
            }
            let message = inbox.message(place);
            while given.next_if(|(uid, _)| *uid < message.uid).is_some() {}
            if let Some((uid, unique_id)) = given.next_if(|(uid, _)| *uid == message.uid) {
                self.given.insert(uid, unique_id.to_owned());
            }
            let (body, hidden) = (message.key(), store.is_distrusted(message.body));
            self.messages.push(Message { uid: message.uid, body, hidden, deleted: false });
            self.kept += 1;
            self.kept_bytes += u64::from(body.len);
        }
        last - first < STEP_MESSAGES_MAX
    }

    /// Whose maildrop this is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Which mailbox this is, and whose.
    pub fn place(&self) -> (AccountId, MailboxId) {
        (self.account, self.mailbox)
    }

    /// Messages that are not marked.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Octets of those.
    pub fn kept_bytes(&self) -> u64 {
        self.kept_bytes
    }

    /// The message of that number.
    pub fn message(&self, number: u32) -> Result<&Message, NoMessage> {
        match self.messages.get((number as usize).wrapping_sub(1)) {
            None => Err(NoMessage::OutOf(self.messages.len())),
            Some(message) if message.deleted => Err(NoMessage::Deleted(number)),
            Some(message) => Ok(message),
        }
    }

    /// Marks a message as deleted.
    pub fn mark(&mut self, number: u32) -> Result<(), NoMessage> {
        let octets = self.message(number)?.body.len;
        self.messages[number as usize - 1].deleted = true;
        self.kept -= 1;
        self.kept_bytes -= u64::from(octets);
        Ok(())
    }

    /// Takes every mark away.
    pub fn unmark_all(&mut self) {
        for message in self.messages.iter_mut().filter(|message| message.deleted) {
            message.deleted = false;
            self.kept += 1;
            self.kept_bytes += u64::from(message.body.len);
        }
    }

    /// How many are marked.
    pub fn marked(&self) -> usize {
        self.messages.len() - self.kept
    }

    /// The change that removes exactly what is marked; none when nothing is.
    pub fn expunge(&self) -> Option<Change> {
        let uids: UidSet = self.messages.iter().filter(|message| message.deleted).map(|m| m.uid).collect();
        let change = Change::Expunge { mailbox: self.mailbox, uids, only_deleted: false };
        (self.marked() > 0).then_some(change)
    }

    /// One line of a listing, without its CRLF.
    pub fn line(&self, listing: Listing, number: u32, message: &Message) -> String {
        let mut line = String::new();
        self.write(listing, number, message, &mut line);
        line
    }

    /// Writes lines of a listing from the message at place `from` on, as many as there is room for. Returns
    /// where to go on; none when it is complete.
    pub fn list(&self, listing: Listing, from: usize, out: &mut Outbox) -> Option<usize> {
        let mut line = String::new();
        for (place, message) in self.messages.iter().enumerate().skip(from) {
            if out.is_full() {
                return Some(place);
            }
            if !message.deleted {
                line.clear();
                self.write(listing, place as u32 + 1, message, &mut line);
                line.push_str("\r\n");
                out.text(&line);
            }
        }
        None
    }

    fn write(&self, listing: Listing, number: u32, message: &Message, line: &mut String) {
        // Writing to a String cannot fail.
        let _ = match listing {
            Listing::Sizes => write!(line, "{number} {}", message.body.len),
            // Made of what never changes and is never reused (rfc1939#7, rfc3501#2.3.1.1).
            Listing::UniqueIds => match (self.given.get(&message.uid), self.unique_ids) {
                (Some(unique_id), _) => write!(line, "{number} {unique_id}"),
                (None, UniqueIdForm::Own) => write!(line, "{number} {}.{}", self.uid_validity, message.uid),
                // pop3_uidl_format = %08Xu%08Xv, of which the digits are small.
                (None, UniqueIdForm::Dovecot) => {
                    write!(line, "{number} {:08x}{:08x}", message.uid.0, self.uid_validity)
                }
            },
        };
    }
}
