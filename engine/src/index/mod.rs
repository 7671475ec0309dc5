//! The index: everything derived from the log, and how it is read.
//!
//! *Owns*: accounts, mailboxes, messages, bodies, names. *Promises*: equals the replay of the log.
//! *Assumes*: `apply` is its only mutator. *Never*: holds what is not durable.

use crate::change::{FlagBits, Services, SpecialUse};
use crate::ids::{AccountId, BodyId, MailboxId, ModSeq, Uid};

/// A message as a mailbox shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Flags, keyword bits by the mailbox's table.
    pub flags: FlagBits,
    /// Exact octets.
    pub size: u32,
    /// INTERNALDATE in milliseconds since 1970.
    pub internal_ms: u64,
    /// Its bytes.
    pub body: BodyId,
}

/// Read access to an account.
#[derive(Clone, Copy)]
pub struct AccountRef<'a> {
    _private: &'a (),
}

impl<'a> AccountRef<'a> {
    /// Its id.
    pub fn id(&self) -> AccountId {
        todo!()
    }
    /// Its normalised address.
    pub fn address(&self) -> &'a str {
        todo!()
    }
    /// Its password hash (PHC string).
    pub fn password_hash(&self) -> &'a str {
        todo!()
    }
    /// What it may log in to.
    pub fn services(&self) -> Services {
        todo!()
    }
    /// When it was created, milliseconds since 1970.
    pub fn created_ms(&self) -> u64 {
        todo!()
    }
    /// Highest mod-sequence given out and durable.
    pub fn highest_modseq(&self) -> ModSeq {
        todo!()
    }
    /// Octets of all messages in all its mailboxes.
    pub fn bytes(&self) -> u64 {
        todo!()
    }
    /// Messages in all its mailboxes.
    pub fn messages(&self) -> u64 {
        todo!()
    }
    /// Its mailboxes in order of name; INBOX is named `INBOX`.
    pub fn mailboxes(&self) -> Box<dyn Iterator<Item = MailboxRef<'a>> + 'a> {
        todo!()
    }
    /// A mailbox by exact name; `INBOX` in any case.
    pub fn mailbox_by_name(&self, name: &str) -> Option<MailboxRef<'a>> {
        let _ = name;
        todo!()
    }
    /// INBOX.
    pub fn inbox(&self) -> MailboxRef<'a> {
        todo!()
    }
    /// Whether a mailbox exists below `name` (`name/…`).
    pub fn has_children(&self, name: &str) -> bool {
        let _ = name;
        todo!()
    }
    /// Subscribed names in order.
    pub fn subscriptions(&self) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        todo!()
    }
    /// Whether a name is subscribed.
    pub fn is_subscribed(&self, name: &str) -> bool {
        let _ = name;
        todo!()
    }
}

/// Read access to a mailbox. Positions (`usize`) are 0-based places in UID order, valid until the next mutation.
#[derive(Clone, Copy)]
pub struct MailboxRef<'a> {
    _private: &'a (),
}

impl<'a> MailboxRef<'a> {
    /// Its id.
    pub fn id(&self) -> MailboxId {
        todo!()
    }
    /// Full name, UTF-8, levels split by `/`.
    pub fn name(&self) -> &'a str {
        todo!()
    }
    /// Its special use.
    pub fn special_use(&self) -> Option<SpecialUse> {
        todo!()
    }
    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        todo!()
    }
    /// UIDNEXT, as far as durable.
    pub fn uid_next(&self) -> Uid {
        todo!()
    }
    /// HIGHESTMODSEQ of this mailbox (rfc7162#3.1.2.1), at least 1.
    pub fn highest_modseq(&self) -> ModSeq {
        todo!()
    }
    /// How many messages.
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// How many lack `\Seen`.
    pub fn unseen(&self) -> usize {
        todo!()
    }
    /// How many carry `\Deleted`.
    pub fn deleted(&self) -> usize {
        todo!()
    }
    /// Octets of all messages.
    pub fn bytes(&self) -> u64 {
        todo!()
    }
    /// Place of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<usize> {
        todo!()
    }
    /// UIDs from here on have not been recent to anybody.
    pub fn recent_from(&self) -> Uid {
        todo!()
    }
    /// Keywords in order of their bits.
    pub fn keywords(&self) -> &'a [String] {
        todo!()
    }
    /// The message at a place; panics outside `0..len()`.
    pub fn message(&self, place: usize) -> Message {
        let _ = place;
        todo!()
    }
    /// How many messages have a smaller UID. O(log n).
    pub fn rank(&self, uid: Uid) -> usize {
        let _ = uid;
        todo!()
    }
    /// The place of a UID. O(log n).
    pub fn place(&self, uid: Uid) -> Option<usize> {
        let _ = uid;
        todo!()
    }
    /// UIDs expunged by changes with a greater mod-sequence, oldest change first. Complete while
    /// `since >= expunged_floor()`.
    pub fn expunged_since(&self, since: ModSeq) -> Box<dyn Iterator<Item = (ModSeq, Uid)> + 'a> {
        let _ = since;
        todo!()
    }
    /// Expunges at or below this mod-sequence are forgotten.
    pub fn expunged_floor(&self) -> ModSeq {
        todo!()
    }
    /// UIDs of present messages whose mod-sequence is greater, ascending, each once. Cheap when the answer is small.
    pub fn changed_since(&self, since: ModSeq) -> Vec<Uid> {
        let _ = since;
        todo!()
    }
}
