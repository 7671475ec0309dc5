//! What happened to an account's mailboxes lately, beside their messages.
//!
//! *Owns*: a bounded ring of events in order of mod-sequence. *Promises*: complete for every mod-sequence at
//! or above its floor; count and bytes within their bounds. *Assumes*: events are recorded in ascending
//! mod-sequence (I10). *Never*: holds what happened to messages; mailboxes know that by themselves.

use std::collections::VecDeque;

use super::digest::Digest;
use crate::checkpoint::wire::{Wire, put, put_from, put_text};
use crate::ids::{MailboxId, ModSeq};
use crate::limits;

/// Something that happened to the mailboxes of an account (rfc5465#5.4 to rfc5465#5.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountEvent {
    /// A mailbox came to be, perhaps as a superior level of another.
    MailboxCreated {
        /// Its id.
        mailbox: MailboxId,
        /// The name it was given.
        name: String,
    },
    /// A mailbox is gone, or the name that was kept of it.
    MailboxDeleted {
        /// The id it had.
        mailbox: MailboxId,
        /// The name it had.
        name: String,
    },
    /// A mailbox got another name, and with it everything below. After a rename of INBOX it is the mailbox
    /// that took INBOX's messages.
    MailboxRenamed {
        /// Its id.
        mailbox: MailboxId,
        /// The name before.
        from: String,
        /// The name after.
        to: String,
    },
    /// A name was subscribed, or is no longer.
    Subscription {
        /// The name.
        name: String,
        /// Whether it is subscribed now.
        on: bool,
    },
    /// Annotations changed.
    Metadata {
        /// Whose; none for the server's.
        mailbox: Option<MailboxId>,
        /// The entries that have another value now, or none.
        entries: Vec<String>,
    },
    /// An access control list changed.
    Acl {
        /// Whose.
        mailbox: MailboxId,
        /// Whose rights.
        identifier: String,
    },
}

impl AccountEvent {
    /// Bytes of the names in it.
    fn bytes(&self) -> usize {
        match self {
            AccountEvent::MailboxCreated { name, .. }
            | AccountEvent::MailboxDeleted { name, .. }
            | AccountEvent::Subscription { name, .. }
            | AccountEvent::Acl { identifier: name, .. } => name.len(),
            AccountEvent::MailboxRenamed { from, to, .. } => from.len() + to.len(),
            AccountEvent::Metadata { entries, .. } => {
                entries.iter().map(|entry| size_of::<String>() + entry.len()).sum()
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut head = |kind: u8, id: MailboxId| {
            out.push(kind);
            put(out, u64::from(id.0));
        };
        match self {
            AccountEvent::MailboxCreated { mailbox, name } => {
                head(0, *mailbox);
                put_text(out, name);
            }
            AccountEvent::MailboxDeleted { mailbox, name } => {
                head(1, *mailbox);
                put_text(out, name);
            }
            AccountEvent::MailboxRenamed { mailbox, from, to } => {
                head(2, *mailbox);
                put_text(out, from);
                put_text(out, to);
            }
            AccountEvent::Subscription { name, on } => {
                head(3, MailboxId(u32::from(*on)));
                put_text(out, name);
            }
            AccountEvent::Metadata { mailbox, entries } => {
                head(4, mailbox.unwrap_or_default());
                put(out, entries.len() as u64);
                entries.iter().for_each(|entry| put_text(out, entry));
            }
            AccountEvent::Acl { mailbox, identifier } => {
                head(5, *mailbox);
                put_text(out, identifier);
            }
        }
    }

    fn read(wire: &mut Wire<'_>) -> Option<AccountEvent> {
        let (kind, mailbox) = (wire.byte()?, MailboxId(wire.word()?));
        Some(match kind {
            0 => AccountEvent::MailboxCreated { mailbox, name: wire.text()?.to_owned() },
            1 => AccountEvent::MailboxDeleted { mailbox, name: wire.text()?.to_owned() },
            2 => {
                let (from, to) = (wire.text()?.to_owned(), wire.text()?.to_owned());
                AccountEvent::MailboxRenamed { mailbox, from, to }
            }
            3 => AccountEvent::Subscription { name: wire.text()?.to_owned(), on: mailbox.0 != 0 },
            4 => {
                let mailbox = Some(mailbox).filter(|mailbox| mailbox.0 != 0);
                let count = wire.count()?;
                let entries = (0..count).map(|_| wire.text().map(str::to_owned)).collect::<Option<_>>()?;
                AccountEvent::Metadata { mailbox, entries }
            }
            5 => AccountEvent::Acl { mailbox, identifier: wire.text()?.to_owned() },
            _ => return None,
        })
    }

    fn digest(&self, digest: &mut Digest) {
        let mut head = |kind: u64, id: MailboxId| digest.word(kind << 32 | u64::from(id.0));
        match self {
            AccountEvent::MailboxCreated { mailbox, name } => {
                head(0, *mailbox);
                digest.text(name);
            }
            AccountEvent::MailboxDeleted { mailbox, name } => {
                head(1, *mailbox);
                digest.text(name);
            }
            AccountEvent::MailboxRenamed { mailbox, from, to } => {
                head(2, *mailbox);
                digest.text(from);
                digest.text(to);
            }
            AccountEvent::Subscription { name, on } => {
                head(3, MailboxId(u32::from(*on)));
                digest.text(name);
            }
            AccountEvent::Metadata { mailbox, entries } => {
                head(4, mailbox.unwrap_or_default());
                digest.word(entries.len() as u64);
                entries.iter().for_each(|entry| digest.text(entry));
            }
            AccountEvent::Acl { mailbox, identifier } => {
                head(5, *mailbox);
                digest.text(identifier);
            }
        }
    }
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Events {
    ring: VecDeque<(ModSeq, AccountEvent)>,
    floor: ModSeq,
    bytes: usize,
}

impl Events {
    /// Nothing happened yet, and of what was at or below `floor` nothing is known.
    pub(super) fn new(floor: ModSeq) -> Events {
        Events { ring: VecDeque::new(), floor, bytes: 0 }
    }

    /// What happened at or below this mod-sequence may be forgotten.
    pub(super) fn floor(&self) -> ModSeq {
        self.floor
    }

    /// Records one more event.
    pub(super) fn record(&mut self, modseq: ModSeq, event: AccountEvent) {
        assert!(self.ring.back().is_none_or(|(last, _)| *last <= modseq), "I10: mod-sequences only grow");
        self.bytes += event.bytes();
        self.ring.push_back((modseq, event));
        while self.ring.len() > limits::ACCOUNT_EVENTS_MAX || self.bytes > limits::ACCOUNT_EVENT_BYTES_MAX {
            let Some((forgotten, event)) = self.ring.pop_front() else { break };
            self.bytes -= event.bytes();
            self.floor = forgotten;
        }
    }

    /// Events of changes with a greater mod-sequence, oldest first.
    pub(super) fn since(&self, since: ModSeq) -> impl Iterator<Item = (ModSeq, &AccountEvent)> {
        let from = self.ring.partition_point(|(modseq, _)| *modseq <= since);
        self.ring.range(from..).map(|(modseq, event)| (*modseq, event))
    }

    /// All of it, for a checkpoint.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.floor.0);
        put(out, self.ring.len() as u64);
        let mut before = self.floor.0;
        for (modseq, event) in &self.ring {
            put_from(out, before, modseq.0);
            event.write(out);
            before = modseq.0;
        }
    }

    /// What was written.
    pub(super) fn read(wire: &mut Wire<'_>) -> Option<Events> {
        let floor = wire.number()?;
        let mut events = Events::new(ModSeq(floor));
        let mut before = floor;
        for _ in 0..wire.count()? {
            let modseq =
                wire.number_from(before).filter(|&modseq| events.ring.is_empty() || modseq >= before)?;
            let event = AccountEvent::read(wire)?;
            events.bytes += event.bytes();
            events.ring.push_back((ModSeq(modseq), event));
            before = modseq;
        }
        wire.is_empty().then_some(events)
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.floor.0);
        digest.word(self.ring.len() as u64);
        for (modseq, event) in &self.ring {
            digest.word(modseq.0);
            event.digest(digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(name: &str) -> AccountEvent {
        AccountEvent::Subscription { name: name.to_owned(), on: true }
    }

    #[test]
    fn the_ring_keeps_the_youngest_and_says_what_it_forgot() {
        let mut events = Events::new(ModSeq(5));
        let last = 5 + limits::ACCOUNT_EVENTS_MAX as u64;
        for modseq in 6..=last {
            events.record(ModSeq(modseq), subscription("a"));
        }
        assert_eq!(
            (events.floor(), events.since(ModSeq(5)).count()),
            (ModSeq(5), limits::ACCOUNT_EVENTS_MAX)
        );
        events.record(ModSeq(last + 1), subscription("b"));
        assert_eq!(events.floor(), ModSeq(6));
        assert_eq!(events.since(ModSeq(last)).collect::<Vec<_>>(), [(ModSeq(last + 1), &subscription("b"))]);
        assert_eq!(events.since(ModSeq(last + 1)).count(), 0);
    }

    #[test]
    fn long_names_push_out_more_and_one_that_is_too_long_everything() {
        let mut events = Events::new(ModSeq(1));
        events.record(ModSeq(2), subscription("a"));
        events.record(ModSeq(3), subscription(&"x".repeat(limits::ACCOUNT_EVENT_BYTES_MAX)));
        assert_eq!((events.floor(), events.since(ModSeq(2)).count()), (ModSeq(2), 1));
        events.record(ModSeq(4), subscription(&"x".repeat(limits::ACCOUNT_EVENT_BYTES_MAX + 1)));
        assert_eq!((events.floor(), events.since(ModSeq(0)).count(), events.bytes), (ModSeq(4), 0, 0));
    }
}
