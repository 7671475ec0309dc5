//! What is not shown, and whose it is.
//!
//! *Owns*: the walk through accounts and messages in steps, and what is told of a message that is hidden. *Promises*: a
//! step looks at so many messages and no more; what is there from the first step to the last is told once. *Assumes*:
//! the store knows which bodies are not to be shown. *Never*: looks at a message's octets.

use ringpost_engine::ids::{BodyId, MailboxId};
use ringpost_engine::index::{AccountRef, MailboxRef, Message};
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::Store;

use crate::limits::{ADMIN_ENTRIES_MAX, DAMAGE_LOOK_MESSAGES};
use crate::shard::Shard;
use crate::shard::admin::{AdminReply, Damaged, ScrubState};

/// Characters of a Message-ID that are told.
const MESSAGE_ID_CHARS_MAX: usize = 200;

/// Where a walk has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Whether the accounts that are not served are told of.
    pub messages: bool,
    /// The address of the account before the one at hand.
    pub after: String,
    /// The mailbox at hand and the place in it.
    pub mailbox: MailboxId,
    /// See `mailbox`.
    pub place: usize,
}

/// Goes through at most about `most` messages, and tells those whose bodies are meant. Whether there are more.
pub(super) fn walk(
    store: &Store,
    cursor: &mut Cursor,
    most: usize,
    is_meant: impl Fn(BodyId) -> bool,
    mut tell: impl FnMut(AccountRef<'_>, MailboxRef<'_>, &Message),
) -> bool {
    let mut left = most;
    while left > 0 {
        let Some(account) = store.accounts_after(&cursor.after).next() else { return false };
        let mailboxes = account.mailboxes().filter(|mailbox| mailbox.id() >= cursor.mailbox);
        let Some(mailbox) = mailboxes.min_by_key(|mailbox| mailbox.id()) else {
            account.address().clone_into(&mut cursor.after);
            (cursor.mailbox, cursor.place) = (MailboxId(0), 0);
            left -= 1;
            continue;
        };
        let end = mailbox.len().min(cursor.place.saturating_add(left));
        for place in cursor.place..end {
            let message = mailbox.message(place);
            if is_meant(message.body) {
                tell(account, mailbox, &message);
            }
        }
        left = left.saturating_sub(end.saturating_sub(cursor.place) + 1);
        (cursor.mailbox, cursor.place) = match end >= mailbox.len() {
            true => (MailboxId(mailbox.id().0.saturating_add(1)), 0),
            false => (mailbox.id(), end),
        };
    }
    true
}

/// The Message-ID of a message, if what was computed of it can still be read and has one.
pub(super) fn message_id(store: &Store, message: &Message) -> Option<String> {
    let summary = store.bytes(store.place(message.key())?.summary)?;
    in_envelope(SummaryView::new(&summary)?.envelope())
}

/// The last string of an ENVELOPE (rfc3501#7.4.2).
fn in_envelope(envelope: &[u8]) -> Option<String> {
    let quoted = envelope.strip_suffix(b"\")")?;
    let start = memchr::memmem::rfind(quoted, b" \"")? + 2;
    let id = String::from_utf8_lossy(&quoted[start..]);
    let shown: String = id.chars().filter(|c| !c.is_control()).take(MESSAGE_ID_CHARS_MAX).collect();
    (!shown.is_empty()).then_some(shown)
}

impl Shard {
    /// A step of the list of what is not shown.
    pub(super) fn damage(&self, mut cursor: Cursor) -> AdminReply {
        let mut told = Vec::new();
        if !cursor.messages {
            let next = self.unserved(&mut cursor.after, &mut told);
            if !next {
                cursor = Cursor { messages: true, ..Cursor::default() };
            }
            return AdminReply::Damage(told, Some(cursor));
        }
        let hides = self.store.distrusted().next().is_some();
        let tell = |account: AccountRef<'_>, mailbox: MailboxRef<'_>, message: &Message| {
            let place = self.store.place(message.key());
            told.push(Damaged {
                account: account.address().to_owned(),
                mailbox: Some(mailbox.name().to_owned()),
                uid: message.uid.0,
                message_id: message_id(&self.store, message),
                file: place.map(|place| (place.summary.file, place.summary.offset)),
                position: message.body.0,
                since_ms: self.store.distrusted_since(message.body),
            });
        };
        let hidden = |body| self.store.is_distrusted(body);
        let more = hides && walk(&self.store, &mut cursor, DAMAGE_LOOK_MESSAGES, hidden, tell);
        AdminReply::Damage(told, more.then_some(cursor))
    }

    /// How far scrub is; with `now` a round begins unless one is under way.
    pub(super) fn scrub_state(&mut self, now: bool) -> AdminReply {
        if now {
            self.store.scrub_now();
        }
        let (stats, bytes_per_second) = (self.store.stats(), self.store.scrub_rate());
        AdminReply::Scrub(ScrubState { done: stats.scrub, bytes_per_second, hidden: stats.distrusted })
    }

    /// Accounts that are not served. Whether there may be more.
    fn unserved(&self, after: &mut String, told: &mut Vec<Damaged>) -> bool {
        let mut looked = 0;
        let from = std::mem::take(after);
        for (address, _) in self.store.addresses_after(&from).take(ADMIN_ENTRIES_MAX) {
            looked += 1;
            address.clone_into(after);
            if self.store.is_quarantined(address) {
                told.push(Damaged { account: address.to_owned(), ..Damaged::default() });
            }
        }
        looked == ADMIN_ENTRIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_the_last_string_of_an_envelope() {
        let of = |envelope: &str| in_envelope(envelope.as_bytes());
        let head = "(\"Mon, 1 Jan 2026\" \"a subject\" NIL NIL NIL NIL NIL NIL ";
        assert_eq!(of(&format!("{head}NIL \"<1@x.test>\")")).as_deref(), Some("<1@x.test>"));
        assert_eq!(of(&format!("{head}\"<0@x.test>\" \"<1@x>\")")).as_deref(), Some("<1@x>"));
        assert_eq!(of(&format!("{head}\"<0@x.test>\" NIL)")), None);
        assert_eq!((of(""), of("\")"), of("(NIL \"\")")), (None, None, None));
    }
}
