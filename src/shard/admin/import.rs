//! What moves an account in from another store, while everybody else is served.
//!
//! *Owns*: the steps of an import, as the owner of the account carries them out. *Promises*: a step that is answered
//! "done" is durable; what clients remember (UIDVALIDITY, UIDs, unique-ids) is kept or the step is refused; a listing
//! is bounded. *Assumes*: summaries were made by whoever sends messages, so that this core need not. *Never*:
//! decides what differs; the command that imports does.

use bytes::Bytes;
use ringpost_engine::change::{
    Change, FlagBits, FlagOp, Flags, ImportedMessage, NewBody, NewMessage, SpecialUse, UidSet, UniqueIdForm,
};
use ringpost_engine::ids::{AccountId, BodyId, Lsn, Uid};
use ringpost_engine::index::{MailboxRef, Message};

use crate::limits::ADMIN_ENTRIES_MAX;
use crate::shard::Shard;
use crate::shard::admin::AdminReply;
use crate::shard::desk::refused_words;

/// A part of an import. Mailboxes go by their full names.
#[derive(Clone, Debug)]
pub enum Step {
    /// What is taken at all, whether there is such an account or not.
    Bounds,
    /// Names that are subscribed, after one, at most `limits::ADMIN_ENTRIES_MAX`.
    Subscriptions {
        /// Exclusive start.
        after: String,
    },
    /// Messages above a UID, at most `limits::ADMIN_ENTRIES_MAX`.
    Messages {
        /// Where.
        mailbox: String,
        /// Exclusive start.
        after: Uid,
    },
    /// Make a mailbox.
    Create {
        /// Its name.
        name: String,
        /// Its special use.
        special_use: Option<SpecialUse>,
    },
    /// Let a mailbox that never had a message take over what clients know of it.
    Adopt {
        /// Which.
        mailbox: String,
        /// UIDVALIDITY.
        uid_validity: u32,
        /// How POP3 names its messages.
        unique_ids: UniqueIdForm,
    },
    /// Append messages under the UIDs they had.
    Append {
        /// Where.
        mailbox: String,
        /// UIDNEXT is not smaller afterwards.
        uid_next: Uid,
        /// What, ascending by UID; with UID 0 in all, they get the next free ones.
        messages: Vec<Arrival>,
    },
    /// Set the flags of messages, whatever they were.
    Flags {
        /// Where.
        mailbox: String,
        /// Whose.
        uids: UidSet,
        /// All their flags.
        flags: Flags,
    },
    /// Remove messages.
    Expunge {
        /// Where.
        mailbox: String,
        /// Which.
        uids: UidSet,
    },
    /// Remember how far messages of another UIDVALIDITY, or with other UIDs, were taken over.
    Mark {
        /// Where.
        mailbox: String,
        /// The text of [`MARK`].
        mark: String,
    },
    /// Subscribe a name.
    Subscribe {
        /// It need not exist.
        name: String,
    },
}

/// A message on its way in.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The UID it had.
    pub uid: Uid,
    /// Its octets, line ends CRLF.
    pub octets: Bytes,
    /// The encoded summary of exactly these.
    pub summary: Bytes,
    /// Its flags.
    pub flags: Flags,
    /// INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
    /// The POP3 unique-id it had, where that is not the mailbox's form.
    pub unique_id: Option<String>,
}

/// A message as an import compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// UID.
    pub uid: Uid,
    /// Octets.
    pub size: u32,
    /// INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
    /// When it came into the mailbox, likewise.
    pub saved_ms: u64,
    /// Which octets.
    pub body: BodyId,
    /// Flags and keywords by name.
    pub flags: Flags,
    /// The POP3 unique-id that it was imported with.
    pub unique_id: Option<String>,
    /// Its octets are not what was written: nobody is shown them.
    pub hidden: bool,
}

/// The annotation that holds how far an import came (rfc5464#6.2.1: a vendor's).
pub const MARK: &str = "/private/vendor/ringpost/imported";

impl Shard {
    /// A position to wait for, or the answer at once.
    pub(in crate::shard) fn import(&mut self, address: &str, step: Step) -> Result<Lsn, AdminReply> {
        if let Step::Bounds = step {
            return Err(AdminReply::MessageBytesMax(self.store.message_bytes_max()));
        }
        let id = self.account_named(address).map_err(AdminReply::Refused)?;
        let change = match step {
            Step::Bounds => Err("the bounds are no change".to_owned()),
            Step::Subscriptions { after } => return Err(self.subscriptions_of(id, &after)),
            Step::Messages { mailbox, after } => return Err(self.messages_of(id, &mailbox, after)),
            Step::Create { name, special_use } => Ok(Change::MailboxCreate { name, special_use }),
            Step::Subscribe { name } => Ok(Change::Subscribe { name, on: true }),
            Step::Adopt { mailbox, uid_validity, unique_ids } => self
                .named(id, &mailbox)
                .map(|mailbox| Change::MailboxAdopt { mailbox: mailbox.id(), uid_validity, unique_ids }),
            Step::Append { mailbox, uid_next, messages } => {
                self.named(id, &mailbox).map(|mailbox| mailbox.id()).and_then(|mailbox| {
                    let messages = self.store_bodies(id, messages)?;
                    Ok(Change::Import { mailbox, messages, uid_next })
                })
            }
            Step::Flags { mailbox, uids, flags } => self.named(id, &mailbox).map(|mailbox| {
                let (mailbox, op) = (mailbox.id(), FlagOp::Replace);
                Change::FlagsStore { mailbox, uids, op, flags, unchanged_since: None }
            }),
            Step::Mark { mailbox, mark } => self.named(id, &mailbox).map(|mailbox| Change::Metadata {
                mailbox: Some(mailbox.id()),
                entries: vec![(MARK.to_owned(), Some(mark.into()))],
            }),
            Step::Expunge { mailbox, uids } => self.named(id, &mailbox).map(|mailbox| Change::Expunge {
                mailbox: mailbox.id(),
                uids,
                only_deleted: false,
            }),
        };
        let appended = change.and_then(|change| self.admin_append(id, change));
        appended.map_err(AdminReply::Refused)
    }

    fn named(&self, account: AccountId, name: &str) -> Result<MailboxRef<'_>, String> {
        let found = self.store.account(account).and_then(|account| account.mailbox_by_name(name));
        found.ok_or_else(|| format!("there is no mailbox {name}"))
    }

    /// Puts the octets into the log, where nothing shows them before the change that follows.
    fn store_bodies(
        &mut self,
        account: AccountId,
        messages: Vec<Arrival>,
    ) -> Result<Vec<ImportedMessage>, String> {
        let mut imported = Vec::with_capacity(messages.len());
        for arrival in messages {
            let Arrival { uid, octets, summary, flags, internal_ms, unique_id } = arrival;
            let body = NewBody { parts: vec![octets], summary };
            let body = self.store.append_body(account, body, self.now).map_err(refused_words)?;
            let message = NewMessage { body, flags, internal_ms };
            imported.push(ImportedMessage { uid, message, unique_id });
        }
        Ok(imported)
    }

    fn subscriptions_of(&self, account: AccountId, after: &str) -> AdminReply {
        let names = self.store.account(account).map(|account| account.subscriptions_after(after));
        let names = names.into_iter().flatten().take(ADMIN_ENTRIES_MAX);
        AdminReply::Subscriptions(names.map(str::to_owned).collect())
    }

    fn messages_of(&self, account: AccountId, mailbox: &str, after: Uid) -> AdminReply {
        match self.named(account, mailbox) {
            Ok(mailbox) => {
                let first = mailbox.rank(Uid(after.0.saturating_add(1)));
                let places = first..mailbox.len().min(first + ADMIN_ENTRIES_MAX);
                let messages = places.map(|place| mailbox.message(place));
                let hidden = |message: &Message| self.store.is_distrusted(message.body);
                let told = messages.map(|message| present(mailbox, message, hidden(&message)));
                AdminReply::Messages(told.collect())
            }
            Err(why) => AdminReply::Refused(why),
        }
    }
}

fn present(mailbox: MailboxRef<'_>, message: Message, hidden: bool) -> Present {
    let Message { uid, size, internal_ms, saved_ms, body, flags, .. } = message;
    let set = |index: &usize| flags.contains(FlagBits::keyword(*index));
    let keywords = (0..mailbox.keywords().len()).filter(set).map(|index| mailbox.keywords()[index].clone());
    let system = FlagBits(flags.0 & FlagBits::SYSTEM.0);
    let unique_id = mailbox.unique_ids_from(uid).next().filter(|(of, _)| *of == uid);
    let unique_id = unique_id.map(|(_, text)| text.to_owned());
    let flags = Flags { system, keywords: keywords.collect() };
    Present { uid, size, internal_ms, saved_ms, body, flags, unique_id, hidden }
}
