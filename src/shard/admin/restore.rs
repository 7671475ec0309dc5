//! What brings removed mail back, while everybody is served.
//!
//! *Owns*: the steps of a restore, as the owner of the account carries them out. *Promises*: a look at what was removed
//! is bounded, however much there is; what is answered "put back" is durable; no message is put back into a mailbox
//! that has changed since whoever asks has seen it. *Assumes*: addresses are normalised. *Never*: decides what is to
//! come back; the command that restores does.

use bytes::Bytes;
use ringpost_engine::change::{Change, Rights, Services, SpecialUse, UidSet};
use ringpost_engine::ids::{AccountId, MailboxId, ShardId, Uid};
use ringpost_engine::index::{Buried, BuriedMailbox};

use crate::limits::ADMIN_ENTRIES_MAX;
use crate::shard::Shard;
use crate::shard::admin::AdminReply;
use crate::shard::desk::Kind;
use crate::shard::event::{Message, Ticket};

/// The annotation of a mailbox that a restore made: of which one it is (rfc5464#6.2.1: a vendor's).
pub const RESTORED: &str = "/private/vendor/ringpost/restored";

/// The annotation of an account that a restore has made and not yet given all that belongs to it.
pub const UNFINISHED: &str = "/private/vendor/ringpost/unfinished";

/// A part of a restore. Mailboxes that are there go by their full names.
#[derive(Clone, Debug)]
pub enum Step {
    /// Whether the account is there, and deleted mailboxes of this address from a number on. Looks at
    /// `limits::ADMIN_ENTRIES_MAX` of the shard.
    GoneMailboxes {
        /// Where to go on; 0 at first.
        from: u64,
    },
    /// Messages of these accounts that left their mailboxes. Looks at `limits::ADMIN_ENTRIES_MAX` of the shard.
    Gone {
        /// Whose, ascending.
        of: Vec<AccountId>,
        /// Where to go on; none begins.
        from: Option<u64>,
        /// Not those that left earlier, milliseconds since 1970.
        since_ms: u64,
        /// Whether to hand their summaries out as well.
        summaries: bool,
    },
    /// Put messages back.
    PutBack {
        /// Whose they were.
        of: AccountId,
        /// Which mailbox they left.
        left: MailboxId,
        /// Their UIDs in it; at most the engine's `limits::RESTORE_MESSAGES_MAX`.
        uids: UidSet,
        /// Where they go.
        to: String,
        /// UIDNEXT of that mailbox when its messages were looked at.
        uid_next: Uid,
    },
    /// Make the account, with just these mailboxes beside INBOX.
    Account {
        /// PHC string.
        password_hash: String,
        /// What it may log in to.
        services: Services,
        /// Superiors first.
        mailboxes: Vec<(String, Option<SpecialUse>)>,
    },
    /// Take a name off the list of subscriptions.
    Unsubscribe {
        /// It.
        name: String,
    },
    /// Set an annotation.
    Annotate {
        /// Whose; none for the account's.
        mailbox: Option<String>,
        /// Its name, in lower case.
        entry: String,
        /// Its value; none removes it.
        value: Option<Bytes>,
    },
    /// Set an entry of an access control list.
    Share {
        /// Whose.
        mailbox: String,
        /// Whom it concerns.
        identifier: String,
        /// Letters.
        rights: Rights,
    },
}

/// Deleted mailboxes of an address.
#[derive(Clone, Debug)]
pub struct GoneMailboxes {
    /// The account that has the address now.
    pub account: Option<AccountId>,
    /// It was made by a restore that has not come to its end.
    pub unfinished: bool,
    /// In the order in which they went.
    pub rows: Vec<BuriedMailbox>,
    /// Where to go on; none at the end.
    pub next: Option<u64>,
    /// What left at or before this moment cannot be had back, milliseconds since 1970.
    pub reaped_ms: u64,
}

/// A message that left its mailbox.
#[derive(Clone, Debug)]
pub struct GoneMessage {
    /// What is known of it.
    pub buried: Buried,
    /// Its encoded summary, as a slice of the log: nobody has looked at it yet.
    pub summary: Option<Bytes>,
    /// Its octets are not what was written.
    pub hidden: bool,
}

/// How putting back went.
#[derive(Clone, Debug, Default)]
pub struct PutBack {
    /// The mailbox is another since its messages were looked at: nothing was done.
    pub changed: bool,
    /// UIDs they had.
    pub source: UidSet,
    /// UIDs they have now, paired in order.
    pub target: UidSet,
}

impl Shard {
    pub(in crate::shard) fn on_restore(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        address: String,
        step: Step,
    ) {
        let change = match step {
            Step::GoneMailboxes { from: number } => {
                let reply = self.gone_mailboxes(&address, number);
                return self.tell(from, Message::AdminReply { ticket, reply });
            }
            Step::Gone { of, from: number, since_ms, summaries } => {
                let reply = self.gone(&of, number, since_ms, summaries);
                return self.tell(from, Message::AdminReply { ticket, reply });
            }
            Step::PutBack { of, left, uids, to, uid_next } => {
                return self.put_back(from, ticket, &address, (of, left, uids), (&to, uid_next));
            }
            Step::Account { password_hash, services, mailboxes } => {
                let appended = self.add_account(address, password_hash, services, mailboxes);
                return self.start(from, ticket, Kind::One, vec![appended]);
            }
            Step::Unsubscribe { name } => Ok(Change::Subscribe { name, on: false }),
            Step::Annotate { mailbox, entry, value } => self.annotation(&address, mailbox, entry, value),
            Step::Share { mailbox, identifier, rights } => self
                .mailbox_named(&address, &mailbox)
                .map(|(_, mailbox, _)| Change::Acl { mailbox, identifier, rights: Some(rights) }),
        };
        let appended = change.and_then(|change| {
            let account = self.account_named(&address)?;
            self.admin_append(account, change)
        });
        self.start(from, ticket, Kind::One, vec![appended]);
    }

    fn gone_mailboxes(&self, address: &str, number: u64) -> AdminReply {
        if self.store.is_quarantined(address) {
            return AdminReply::Refused(format!(
                "{address} is quarantined: its records in the log are damaged"
            ));
        }
        let (rows, next) = self.store.buried_mailboxes_from(number, ADMIN_ENTRIES_MAX);
        let account = self.store.account_by_address(address);
        let known = account.and_then(|account| self.store.account(account));
        AdminReply::GoneMailboxes(GoneMailboxes {
            account,
            unfinished: known.is_some_and(|account| account.metadata(UNFINISHED).is_some()),
            rows: rows.filter(|row| row.address == address).cloned().collect(),
            next,
            reaped_ms: self.store.reaped_ms(),
        })
    }

    fn gone(&self, of: &[AccountId], number: Option<u64>, since_ms: u64, summaries: bool) -> AdminReply {
        let number = number.unwrap_or_else(|| self.store.buried_since(since_ms));
        let (rows, next) = self.store.buried_from(number, ADMIN_ENTRIES_MAX);
        let rows = rows.filter(|row| of.binary_search(&row.account).is_ok());
        let found = rows.map(|buried| {
            let body = if summaries { self.store.body(buried.message.key()) } else { None };
            let summary = body.and_then(|body| self.store.bytes(body.summary));
            GoneMessage { buried, summary, hidden: self.store.is_distrusted(buried.message.body) }
        });
        AdminReply::Gone(found.collect(), next)
    }

    fn mailbox_named(&self, address: &str, name: &str) -> Result<(AccountId, MailboxId, Uid), String> {
        let account = self.account_named(address)?;
        let found = self.store.account(account).and_then(|account| account.mailbox_by_name(name));
        let mailbox = found.ok_or_else(|| format!("there is no mailbox {name}"))?;
        Ok((account, mailbox.id(), mailbox.uid_next()))
    }

    fn annotation(
        &self,
        address: &str,
        mailbox: Option<String>,
        entry: String,
        value: Option<Bytes>,
    ) -> Result<Change, String> {
        let mailbox = mailbox.map(|name| self.mailbox_named(address, &name)).transpose()?;
        let entries = vec![(entry, value)];
        Ok(Change::Metadata { mailbox: mailbox.map(|(_, mailbox, _)| mailbox), entries })
    }

    fn put_back(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        address: &str,
        (of, left, uids): (AccountId, MailboxId, UidSet),
        (to, uid_next): (&str, Uid),
    ) {
        let (account, to, now) = match self.mailbox_named(address, to) {
            Ok(found) => found,
            Err(why) => return self.start(from, ticket, Kind::One, vec![Err(why)]),
        };
        // What another restore is about to put there cannot be seen yet.
        if now != uid_next || self.desk.restores(account) {
            let reply = AdminReply::PutBack(PutBack { changed: true, ..PutBack::default() });
            return self.tell(from, Message::AdminReply { ticket, reply });
        }
        let appended = self.admin_append(account, Change::Restore { of, from: left, uids, to });
        self.start(from, ticket, Kind::PutBack(account), vec![appended]);
    }
}
