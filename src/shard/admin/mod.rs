//! What administrators ask of a shard.
//!
//! *Owns*: the requests and replies of the admin socket, in the shard's words. *Promises*: a reply to a
//! change is sent when the change is durable. *Assumes*: the control thread sends each request to the shard
//! that owns it.
//! *Never*: formats for people.

pub mod import;
pub mod restore;
pub mod slot;

use ringpost_engine::change::{Quota, Services};
use ringpost_engine::ids::{Lsn, SegmentId};
use ringpost_engine::io::FileId;
use ringpost_engine::scrub::Done;

use self::import::{Present, Step};
use self::restore::{GoneMailboxes, GoneMessage, PutBack};
use self::slot::{SlotReply, SlotStep};
use super::damage::Cursor;

/// A request. Addresses are normalised by the control thread.
#[derive(Clone, Debug)]
pub enum AdminRequest {
    /// Create an account (with the usual mailboxes).
    AccountAdd {
        /// Address.
        address: String,
        /// PHC string.
        password_hash: String,
        /// Allowed services.
        services: Services,
    },
    /// Create many at once; one reply when all are durable: results in order.
    AccountAddMany(Vec<(String, String)>),
    /// Set a password hash.
    AccountPassword {
        /// Address.
        address: String,
        /// PHC string.
        password_hash: String,
    },
    /// Hide IMAP capabilities from an account's clients; those hidden before are shown again.
    AccountHide {
        /// Address.
        address: String,
        /// As CAPABILITY writes them.
        capabilities: Vec<String>,
    },
    /// Send an account's IMAP clients elsewhere at login, where the server's policy allows that.
    AccountReferral {
        /// Address.
        address: String,
        /// An IMAP URL; none serves them here.
        url: Option<String>,
    },
    /// Delete an account.
    AccountDelete {
        /// Address.
        address: String,
    },
    /// Accounts after an address, at most `limit`.
    AccountList {
        /// Exclusive start.
        after: String,
        /// At most so many.
        limit: usize,
    },
    /// One account with its mailboxes.
    AccountShow {
        /// Address.
        address: String,
    },
    /// What an account may hold, and what it holds; with a change, sets it.
    AccountQuota {
        /// Address.
        address: String,
        /// What to set.
        change: Option<QuotaChange>,
    },
    /// A part of an import.
    Import {
        /// Address.
        address: String,
        /// Which.
        step: Step,
    },
    /// A part of a restore.
    Restore {
        /// Address.
        address: String,
        /// Which.
        step: restore::Step,
    },
    /// A part of a backup.
    Backup(BackupStep),
    /// A part of moving a slot.
    Slot(SlotStep),
    /// Who may do what with an account's mailboxes.
    AccountShares {
        /// Address.
        address: String,
    },
    /// Add a domain (shard 0).
    DomainAdd {
        /// Name.
        name: String,
    },
    /// List domains (shard 0).
    DomainList,
    /// Set an alias.
    AliasSet {
        /// Address.
        address: String,
        /// Targets.
        targets: Vec<String>,
    },
    /// Delete an alias.
    AliasDelete {
        /// Address.
        address: String,
    },
    /// Aliases after an address, at most `limit`.
    AliasList {
        /// Exclusive start.
        after: String,
        /// At most so many.
        limit: usize,
    },
    /// What is not shown, from there on.
    Damage(Cursor),
    /// How far the look for rot is; with `now` a round begins, unless one is under way.
    Scrub {
        /// See above.
        now: bool,
    },
    /// Figures of the shard.
    Status,
}

impl AdminRequest {
    /// What the administrator is doing, as the log names it.
    pub fn verb(&self) -> &'static str {
        match self {
            AdminRequest::AccountAdd { .. } | AdminRequest::AccountAddMany(_) => "account add",
            AdminRequest::AccountPassword { .. } => "account password",
            AdminRequest::AccountHide { .. } => "account hide",
            AdminRequest::AccountReferral { .. } => "account refer",
            AdminRequest::AccountDelete { .. } => "account delete",
            AdminRequest::AccountList { .. } => "account list",
            AdminRequest::AccountShow { .. } => "account show",
            AdminRequest::AccountQuota { .. } => "account quota",
            AdminRequest::AccountShares { .. } => "account shares",
            AdminRequest::Import { .. } => "import",
            AdminRequest::Restore { .. } => "account restore",
            AdminRequest::Backup(_) => "backup",
            AdminRequest::Slot(_) => "slots move",
            AdminRequest::DomainAdd { .. } => "domain add",
            AdminRequest::DomainList => "domain list",
            AdminRequest::AliasSet { .. } => "alias add",
            AdminRequest::AliasDelete { .. } => "alias delete",
            AdminRequest::AliasList { .. } => "alias list",
            AdminRequest::Damage(_) => "damage",
            AdminRequest::Scrub { .. } => "scrub",
            AdminRequest::Status => "status",
        }
    }
}

/// A part of a backup, in this order.
#[derive(Clone, Copy, Debug)]
pub enum BackupStep {
    /// Seal what is durable now.
    Seal,
    /// Whether that is done.
    Sealed {
        /// What `Seal` was answered.
        last: SegmentId,
    },
    /// Sealed segments, at most `limits::ADMIN_ENTRIES_MAX`.
    Segments {
        /// Exclusive start.
        after: SegmentId,
        /// Inclusive end.
        last: SegmentId,
    },
    /// The checkpoint that goes with them.
    Checkpoint {
        /// Where the last segment ends.
        end: Lsn,
    },
}

/// An account as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// Address.
    pub address: String,
    /// Id.
    pub id: u64,
    /// Services.
    pub services: Services,
    /// Messages.
    pub messages: u64,
    /// Octets.
    pub bytes: u64,
    /// When it was created.
    pub created_ms: u64,
}

/// A mailbox as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxInfo {
    /// Name.
    pub name: String,
    /// Id.
    pub id: u32,
    /// Special use as rfc6154 spells it, or empty.
    pub special_use: String,
    /// Whether it is only a name that holds its inferiors together.
    pub no_select: bool,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: u32,
    /// UIDs below are those of the store it was imported from; 0 without an import.
    pub imported_next: u32,
    /// What the last import that gave messages new UIDs left to remember; empty without one.
    pub mark: String,
    /// Which deleted mailbox it was made for by a restore; empty for others.
    pub restored: String,
    /// Keywords in order of their bits.
    pub keywords: Vec<String>,
    /// HIGHESTMODSEQ.
    pub highest_modseq: u64,
    /// Messages.
    pub messages: u64,
    /// Unseen.
    pub unseen: u64,
    /// Octets.
    pub bytes: u64,
}

/// Limits to set: none leaves one as it is, none inside removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaChange {
    /// Units of 1,024 octets.
    pub storage_kib: Option<Option<u64>>,
    /// Messages.
    pub messages: Option<Option<u64>>,
    /// Mailboxes.
    pub mailboxes: Option<Option<u64>>,
}

/// An entry of a mailbox's access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareInfo {
    /// The mailbox's name.
    pub mailbox: String,
    /// Whom it concerns.
    pub identifier: String,
    /// Letters of rfc4314#2.1.
    pub rights: String,
}

/// Something that is not shown: a message, or a whole account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damaged {
    /// Whose.
    pub account: String,
    /// The message's mailbox; none for an account.
    pub mailbox: Option<String>,
    /// Its UID there.
    pub uid: u32,
    /// Its Message-ID, if that can still be read.
    pub message_id: Option<String>,
    /// In which file, from which byte.
    pub file: Option<(FileId, u64)>,
    /// Its position in the log.
    pub position: u64,
    /// Since when that is known, milliseconds since 1970; none if that was before the start.
    pub since_ms: Option<u64>,
}

/// How far the look for rot is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScrubState {
    /// What was done.
    pub done: Done,
    /// Bytes read a second at most; 0: only what could not be read is looked at.
    pub bytes_per_second: u64,
    /// Places at which messages are hidden.
    pub hidden: u64,
}

/// Figures of a shard: name and value, in order.
pub type Figures = Vec<(&'static str, u64)>;

/// A reply.
#[derive(Clone, Debug)]
pub enum AdminReply {
    /// Done and durable.
    Done,
    /// Results of `AccountAddMany`: none where it worked, else why not.
    Many(Vec<Option<String>>),
    /// Accounts.
    Accounts(Vec<AccountInfo>),
    /// One account.
    Account(AccountInfo, Vec<MailboxInfo>),
    /// Limits and use.
    Quota(Quota),
    /// Entries of access control lists, in order of mailbox.
    Shares(Vec<ShareInfo>),
    /// Messages, ascending by UID.
    Messages(Vec<Present>),
    /// Octets of the largest message that is taken.
    MessageBytesMax(usize),
    /// Subscribed names, in order.
    Subscriptions(Vec<String>),
    /// Domains.
    Domains(Vec<String>),
    /// Aliases and their targets.
    Aliases(Vec<(String, Vec<String>)>),
    /// The last segment that holds anything durable.
    Sealing(SegmentId),
    /// Where it ends, once it will not change any more.
    Sealed(Option<Lsn>),
    /// Segments and their bytes, ascending.
    Segments(Vec<(SegmentId, u64)>),
    /// Files of a checkpoint; none if all there are say more than the segments: seal again.
    Checkpoint(Option<Vec<FileId>>),
    /// Deleted mailboxes.
    GoneMailboxes(GoneMailboxes),
    /// Messages that left their mailboxes, in that order, and where to go on.
    Gone(Vec<GoneMessage>, Option<u64>),
    /// What was put back.
    PutBack(PutBack),
    /// What a step of moving a slot comes to.
    Slot(SlotReply),
    /// What is not shown, and where to go on.
    Damage(Vec<Damaged>, Option<Cursor>),
    /// How far the look for rot is.
    Scrub(ScrubState),
    /// Figures.
    Status(Figures),
    /// It could not be done: what, and what to do.
    Refused(String),
}
