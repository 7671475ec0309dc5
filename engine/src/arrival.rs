//! What brings an account of another log into this one, exactly as it was.
//!
//! *Owns*: the pieces of an account on its way and their bytes. *Promises*: each piece is a record of bounded size; all
//! of them together are the account with every number that a client may remember. *Assumes*: whoever moves an
//! account puts each body into this log before the piece that shows it. *Never*: makes anything visible before
//! [`Arrival::Done`].
//!
//! ```text
//!  Account ─► Subscriptions* ─► (Mailbox ─► History* ─► Messages*)* ─► Removed*, RemovedMailbox* ─► Done
//!     └──────────────────────────────────── Dropped: as if it had never come ◄──────────────┘
//! ```

use bytes::Bytes;

use crate::change::FlagBits;
use crate::checkpoint::wire::{Wire, put, put_octets, put_text};
use crate::ids::{BodyId, EmailId, MailboxId, ModSeq, Uid};
use crate::index::{Buried, BuriedMailbox, Message};
use crate::limits::{ARRIVAL_MESSAGES_MAX, SUMMARY_BYTES_MAX};

/// A message of an account on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// As it was, but for the body: that is the one in this log. `known_as` is never 0.
    pub message: Message,
    /// The POP3 unique-id of its own.
    pub unique_id: Option<String>,
}

/// A piece of an account that comes from another log. The record's account says whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The account itself, which nobody sees yet.
    Account {
        /// Normalised address.
        address: String,
        /// What it is beside that (`index/cold/moving/facts.rs`).
        facts: Bytes,
    },
    /// Names that it has subscribed, some of them at a time.
    Subscriptions(Vec<String>),
    /// A mailbox without its messages (`index/cold/moving/facts.rs`).
    Mailbox(Bytes),
    /// What was expunged from a mailbox, the oldest first, some of it at a time.
    History {
        /// Which.
        mailbox: MailboxId,
        /// A part of its history.
        runs: Bytes,
    },
    /// Messages of a mailbox, in ascending order of UID; at most `limits::ARRIVAL_MESSAGES_MAX`.
    Messages {
        /// Which.
        mailbox: MailboxId,
        /// What.
        messages: Vec<Moved>,
    },
    /// Messages that left their mailboxes and can be had back, in the order in which they left; the account need
    /// not be there any more. At most `limits::ARRIVAL_MESSAGES_MAX`.
    Removed(Vec<Buried>),
    /// A mailbox that was deleted, by itself or with its account.
    RemovedMailbox(Box<BuriedMailbox>),
    /// That was all: if it is, the account is served from now on.
    Done {
        /// Mailboxes it must have by now.
        mailboxes: u64,
        /// Messages, likewise.
        messages: u64,
        /// Octets of these.
        bytes: u64,
    },
    /// It does not come after all.
    Dropped,
}

impl Arrival {
    /// The bodies that it shows, in order.
    pub fn bodies(&self) -> impl Iterator<Item = BodyId> + '_ {
        let (moved, removed) = match self {
            Arrival::Messages { messages, .. } => (messages.as_slice(), &[][..]),
            Arrival::Removed(removed) => (&[][..], removed.as_slice()),
            _ => (&[][..], &[][..]),
        };
        let moved = moved.iter().map(|moved| moved.message.body);
        moved.chain(removed.iter().map(|removed| removed.message.body))
    }

    /// Which mailbox a piece brings, and its name: for tools.
    pub fn mailbox(&self) -> Option<(MailboxId, &str)> {
        let Arrival::Mailbox(facts) = self else { return None };
        let mut wire = Wire::new(facts);
        Some((MailboxId(wire.word()?), wire.text()?))
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Arrival::Account { .. } => "account",
            Arrival::Subscriptions(_) => "subscriptions",
            Arrival::Mailbox(_) => "mailbox",
            Arrival::History { .. } => "history",
            Arrival::Messages { .. } => "messages",
            Arrival::Removed(_) => "removed",
            Arrival::RemovedMailbox(_) => "removed-mailbox",
            Arrival::Done { .. } => "done",
            Arrival::Dropped => "dropped",
        }
    }

    /// Whether it can be encoded.
    pub(crate) fn fits(&self) -> bool {
        match self {
            Arrival::Messages { messages, .. } => messages.len() <= ARRIVAL_MESSAGES_MAX,
            Arrival::Removed(removed) => removed.len() <= ARRIVAL_MESSAGES_MAX,
            _ => true,
        }
    }

    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Arrival::Account { address, facts } => {
                out.push(1);
                put_text(out, address);
                put_octets(out, facts);
            }
            Arrival::Subscriptions(names) => {
                out.push(2);
                put(out, names.len() as u64);
                names.iter().for_each(|name| put_text(out, name));
            }
            Arrival::Mailbox(facts) => {
                out.push(3);
                put_octets(out, facts);
            }
            Arrival::History { mailbox, runs } => {
                out.push(4);
                put(out, u64::from(mailbox.0));
                put_octets(out, runs);
            }
            Arrival::Messages { mailbox, messages } => {
                out.push(5);
                put(out, u64::from(mailbox.0));
                put(out, messages.len() as u64);
                for Moved { message, unique_id } in messages {
                    put_message(out, message);
                    put_text(out, unique_id.as_deref().unwrap_or_default());
                }
            }
            Arrival::Removed(removed) => {
                out.push(6);
                put(out, removed.len() as u64);
                for Buried { mailbox, when_ms, message, .. } in removed {
                    put(out, u64::from(mailbox.0));
                    put(out, *when_ms);
                    put_message(out, message);
                }
            }
            Arrival::RemovedMailbox(gone) => {
                out.push(7);
                gone.write(out);
            }
            Arrival::Done { mailboxes, messages, bytes } => {
                out.push(8);
                [mailboxes, messages, bytes].into_iter().for_each(|&count| put(out, count));
            }
            Arrival::Dropped => out.push(9),
        }
    }

    /// Reads what [`Arrival::encode`] wrote; none for anything else.
    pub(crate) fn decode(payload: &[u8]) -> Option<Arrival> {
        let mut wire = Wire::new(payload);
        let arrival = match wire.byte()? {
            1 => Arrival::Account { address: wire.text()?.to_owned(), facts: octets(&mut wire)? },
            2 => {
                let names = (0..wire.count()?).map(|_| wire.text().map(str::to_owned));
                Arrival::Subscriptions(names.collect::<Option<_>>()?)
            }
            3 => Arrival::Mailbox(octets(&mut wire)?),
            4 => Arrival::History { mailbox: MailboxId(wire.word()?), runs: octets(&mut wire)? },
            5 => {
                let mailbox = MailboxId(wire.word()?);
                let count = wire.count().filter(|&count| count <= ARRIVAL_MESSAGES_MAX)?;
                let messages = (0..count).map(|_| {
                    let (message, unique_id) = (get_message(&mut wire)?, wire.text()?);
                    let unique_id = (!unique_id.is_empty()).then(|| unique_id.to_owned());
                    Some(Moved { message, unique_id })
                });
                Arrival::Messages { mailbox, messages: messages.collect::<Option<_>>()? }
            }
            6 => {
                let count = wire.count().filter(|&count| count <= ARRIVAL_MESSAGES_MAX)?;
                let removed = (0..count).map(|_| {
                    let (mailbox, when_ms) = (MailboxId(wire.word()?), wire.number()?);
                    let message = get_message(&mut wire)?;
                    let (account, lsn) = Default::default();
                    Some(Buried { account, mailbox, when_ms, lsn, message })
                });
                Arrival::Removed(removed.collect::<Option<_>>()?)
            }
            7 => Arrival::RemovedMailbox(Box::new(BuriedMailbox::read(&mut wire)?)),
            8 => Arrival::Done { mailboxes: wire.number()?, messages: wire.number()?, bytes: wire.number()? },
            9 => Arrival::Dropped,
            _ => return None,
        };
        wire.is_empty().then_some(arrival)
    }
}

fn octets(wire: &mut Wire<'_>) -> Option<Bytes> {
    wire.octets().map(Bytes::copy_from_slice)
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    let words = [message.uid.0, message.size, message.summary_len];
    words.into_iter().for_each(|word| put(out, u64::from(word)));
    let seconds = [message.internal_ms / 1000, message.saved_ms / 1000];
    let numbers = [message.modseq.0, message.flags.0, message.body.0, message.known_as.0];
    seconds.into_iter().chain(numbers).for_each(|number| put(out, number));
}

fn get_message(wire: &mut Wire<'_>) -> Option<Message> {
    Some(Message {
        uid: Uid(wire.word()?),
        size: wire.word()?,
        summary_len: wire.word().filter(|&len| len as usize <= SUMMARY_BYTES_MAX)?,
        internal_ms: wire.number()?.checked_mul(1000)?,
        saved_ms: wire.number()?.checked_mul(1000)?,
        modseq: ModSeq(wire.number()?),
        flags: FlagBits(wire.number()?),
        body: BodyId(wire.number()?),
        known_as: EmailId(wire.number()?),
    })
}

/// Counters that a log takes over when it goes on where others end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inheritance {
    /// No account that is made here gets a smaller counter (I12).
    pub next_account: u64,
    /// No mailbox of a new account gets a UIDVALIDITY that is not greater (I13).
    pub uid_validity_floor: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AccountId, Lsn};

    fn message(uid: u32) -> Message {
        Message {
            uid: Uid(uid),
            modseq: ModSeq(1 << 40),
            flags: FlagBits(u64::MAX),
            size: 7,
            internal_ms: 1_700_000_000_000,
            saved_ms: u64::from(u32::MAX) * 1000,
            summary_len: 9,
            body: BodyId(u64::MAX),
            known_as: EmailId(1 << 63),
        }
    }

    fn samples() -> Vec<Arrival> {
        let buried = |when_ms| Buried {
            account: AccountId(0),
            mailbox: MailboxId(3),
            when_ms,
            lsn: Lsn(0),
            message: message(5),
        };
        let gone = BuriedMailbox {
            account: AccountId(7),
            address: "a@x".into(),
            mailbox: MailboxId(3),
            name: "b/c".into(),
            uid_validity: 9,
            keywords: vec!["k".into()],
            when_ms: 17,
        };
        vec![
            Arrival::Account { address: "a@x".into(), facts: Bytes::from_static(b"facts") },
            Arrival::Subscriptions(vec!["b".into(), "ö".into()]),
            Arrival::Mailbox(Bytes::from_static(b"m")),
            Arrival::History { mailbox: MailboxId(2), runs: Bytes::from_static(b"") },
            Arrival::Messages {
                mailbox: MailboxId(2),
                messages: vec![
                    Moved { message: message(1), unique_id: None },
                    Moved { message: message(2), unique_id: Some("id".into()) },
                ],
            },
            Arrival::Removed(vec![buried(1), buried(2)]),
            Arrival::RemovedMailbox(Box::new(gone)),
            Arrival::Done { mailboxes: 1, messages: 2, bytes: 3 },
            Arrival::Dropped,
        ]
    }

    #[test]
    fn what_is_written_is_read_and_what_is_cut_is_none() {
        let mut names = std::collections::BTreeSet::new();
        for arrival in samples() {
            let mut bytes = Vec::new();
            arrival.encode(&mut bytes);
            assert_eq!(Arrival::decode(&bytes).as_ref(), Some(&arrival));
            for len in 0..bytes.len() {
                assert_eq!(Arrival::decode(&bytes[..len]), None, "{arrival:?} cut at {len}");
            }
            bytes.push(0);
            assert_eq!(Arrival::decode(&bytes), None);
            assert!(names.insert(arrival.name()));
        }
    }
}
