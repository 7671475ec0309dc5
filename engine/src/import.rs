//! What an import brings along from another store, so that clients notice nothing.
//!
//! *Owns*: messages with UIDs of their own, and the two forms of POP3 unique-ids. *Promises*: a unique-id that
//! [`is_unique_id`] can stand in an answer to UIDL. *Assumes*: nothing. *Never*: makes a unique-id; whoever speaks
//! POP3 does.

use crate::change::NewMessage;
use crate::ids::Uid;
use crate::limits;

/// How POP3 names the messages of a mailbox that have no unique-id of their own (rfc1939#7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum UniqueIdForm {
    /// As this server does: UIDVALIDITY, a dot, UID.
    #[default]
    Own = 0,
    /// As Dovecot does by default, `%08Xu%08Xv`: UID and UIDVALIDITY as eight hexadecimal digits each.
    Dovecot = 1,
}

impl UniqueIdForm {
    /// The form with this number.
    pub(crate) fn of(number: u8) -> Option<UniqueIdForm> {
        [UniqueIdForm::Own, UniqueIdForm::Dovecot].into_iter().find(|form| *form as u8 == number)
    }
}

/// A message of a [`crate::change::Change::Import`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedMessage {
    /// The UID it had and keeps; 0 in all messages of a change gives them the next free ones, from the stamp's on.
    pub uid: Uid,
    /// What, with which flags, from when.
    pub message: NewMessage,
    /// The POP3 unique-id it had, where that is not the mailbox's form; see [`is_unique_id`].
    pub unique_id: Option<String>,
}

impl ImportedMessage {
    /// Whether these messages get new UIDs.
    pub(crate) fn are_renumbered(messages: &[ImportedMessage]) -> bool {
        messages.first().is_some_and(|first| first.uid == Uid(0))
    }
}

/// Whether this can be a message's unique-id: 1 to 70 visible ASCII octets (rfc1939#7).
pub fn is_unique_id(text: &str) -> bool {
    (1..=limits::UNIQUE_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}
