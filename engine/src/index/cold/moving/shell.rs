//! Accounts that stand for something else while a slot moves.
//!
//! *Owns*: what such an account is made of. *Promises*: nobody is ever served from one. *Assumes*: it goes
//! when the slot
//! has come or has not. *Never*: has an address that a client could name.

use bytes::Bytes;

use super::facts;
use crate::arrival::{Arrival, Moved};
use crate::change::{FlagBits, Services};
use crate::ids::{AccountId, BodyKey, EmailId, MailboxId, ModSeq, ShardId, Slot, Uid};
use crate::index::account::{Account, INBOX_ID};
use crate::index::events::Events;
use crate::index::mailbox::Mailbox;
use crate::index::{Message, names};

/// The account that keeps bodies of a slot alive until those come that they belong to. No shard has that number, so no
/// account has that id.
pub fn holder_of(slot: Slot) -> AccountId {
    AccountId::new(ShardId(u16::MAX), u64::from(slot.0) + 1)
}

/// An account without mailboxes: it stands for one that was deleted, so that what can be had back of it is found again
/// should the rest never come.
pub fn shell(id: AccountId) -> Arrival {
    let address = format!("account {id}");
    let account = Account {
        id,
        address: address.clone(),
        password_hash: String::new(),
        services: Services(0),
        created_ms: 0,
        highest_modseq: ModSeq(1),
        next_mailbox: MailboxId(INBOX_ID.0 + 1),
        last_uid_validity: 1,
        lost_uid_validity: None,
        mailboxes: Default::default(),
        names: Default::default(),
        subscriptions: Default::default(),
        messages: 0,
        bytes: 0,
        by_modseq: Default::default(),
        events: Events::new(ModSeq(1)),
        extras: None,
        annotation_bytes: 0,
        grants: Default::default(),
        parts: Default::default(),
        held: None,
    };
    let mut out = Vec::new();
    facts::put_account(&mut out, &account);
    Arrival::Account { address, facts: out.into() }
}

/// The mailbox of a holder.
pub fn shelf() -> Arrival {
    let mut mailbox = Mailbox::new(INBOX_ID, names::INBOX, 1, ModSeq(0));
    (mailbox.uid_next, mailbox.highest_modseq) = (Uid(u32::MAX), ModSeq(1));
    let mut out = Vec::new();
    facts::put_mailbox(&mut out, &mailbox);
    Arrival::Mailbox(Bytes::from(out))
}

/// Puts bodies of this log on a holder's shelf, from this UID on.
pub fn shelve(first: Uid, bodies: impl Iterator<Item = BodyKey>) -> Arrival {
    let shelved = bodies.zip(first.0..).map(|(key, uid)| Moved {
        message: Message {
            uid: Uid(uid),
            modseq: ModSeq(1),
            flags: FlagBits::NONE,
            size: key.len,
            internal_ms: 0,
            saved_ms: 0,
            summary_len: key.summary_len,
            body: key.id,
            known_as: EmailId(1),
        },
        unique_id: None,
    });
    Arrival::Messages { mailbox: INBOX_ID, messages: shelved.collect() }
}
