//! What goes over the admin socket: JSON, a line each way, and listings as many lines.
//!
//! *Owns*: the shapes. *Promises*: the same shapes are what `--json` prints. *Assumes*: both ends are one
//! version.
//! *Never*: carries a password in the clear; hashes are made by the command.

use serde::{Deserialize, Serialize};

use super::import::wire::ImportStep;
use super::restore::wire::RestoreStep;

/// Octets of one request line.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Accounts in one bulk request.
pub const BULK_ACCOUNTS_MAX: usize = 1_000;

/// A request; the first and only line a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Create an account.
    AccountAdd {
        /// Address.
        address: String,
        /// PHC string.
        password_hash: String,
        /// Service names.
        services: Vec<String>,
    },
    /// Create many: address and PHC string each.
    AccountAddMany {
        /// At most [`BULK_ACCOUNTS_MAX`].
        accounts: Vec<(String, String)>,
    },
    /// Set a password.
    AccountPassword {
        /// Address.
        address: String,
        /// PHC string.
        password_hash: String,
    },
    /// Hide IMAP capabilities from an account's clients, no others.
    AccountHide {
        /// Address.
        address: String,
        /// Names.
        capabilities: Vec<String>,
    },
    /// Send an account's IMAP clients elsewhere.
    AccountReferral {
        /// Address.
        address: String,
        /// Where to; none: nowhere.
        url: Option<String>,
    },
    /// Delete an account and its mail.
    AccountDelete {
        /// Address.
        address: String,
    },
    /// List accounts in order of address.
    AccountList,
    /// Show an account and its mailboxes.
    AccountShow {
        /// Address.
        address: String,
    },
    /// Show an account's quota, or change it: a text for each limit that changes.
    AccountQuota {
        /// Address.
        address: String,
        /// `5G` or `none`.
        storage: Option<String>,
        /// `1000` or `none`.
        messages: Option<String>,
        /// `100` or `none`.
        mailboxes: Option<String>,
    },
    /// Who may do what with an account's mailboxes.
    AccountShares {
        /// Address.
        address: String,
    },
    /// Take mail for a domain.
    DomainAdd {
        /// Name.
        name: String,
    },
    /// List domains.
    DomainList,
    /// Let an address stand for others.
    AliasAdd {
        /// Address.
        address: String,
        /// Targets.
        targets: Vec<String>,
    },
    /// Drop an alias.
    AliasDelete {
        /// Address.
        address: String,
    },
    /// A step of an import into an account.
    Import {
        /// Address.
        address: String,
        /// Which.
        step: ImportStep,
    },
    /// A step of a restore of an account.
    Restore {
        /// Address.
        address: String,
        /// Which.
        step: RestoreStep,
    },
    /// List aliases in order of address.
    AliasList,
    /// Seal what is durable and list the files of a copy of it, all of a shard behind its [`Line::Sealed`].
    Backup,
    /// Who has which slots, and what lies in them.
    Slots {
        /// Slot by slot, those that hold an account.
        each: bool,
        /// Only this one.
        slot: Option<u16>,
    },
    /// Serve slots from another shard.
    SlotsMove {
        /// The first.
        first: u16,
        /// The last.
        last: u16,
        /// Which shard.
        to: u16,
    },
    /// Move slots until all shards have about the same.
    SlotsBalance {
        /// Only tell which.
        dry_run: bool,
    },
    /// What is not shown because it is damaged.
    Damage,
    /// How far the look for rot is.
    Scrub {
        /// Begin a round, unless one is under way.
        now: bool,
    },
    /// Figures of every shard.
    Status,
}

/// Slots `first`, `first + step` and so on to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRun {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
    /// From one to the next.
    pub step: u16,
}

impl SlotRun {
    /// All of them, ascending.
    pub fn slots(&self) -> impl Iterator<Item = u16> + use<> {
        (self.first..=self.last).step_by(usize::from(self.step.max(1)))
    }
}

/// A line of an answer. The last one is `Done` or `Refused`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// An account.
    Account {
        /// Address.
        address: String,
        /// Id.
        id: u64,
        /// Service names.
        services: Vec<String>,
        /// Messages in all mailboxes.
        messages: u64,
        /// Octets in all mailboxes.
        bytes: u64,
        /// Milliseconds since 1970.
        created_ms: u64,
    },
    /// A mailbox of the account before it.
    Mailbox {
        /// Full name.
        name: String,
        /// Id within the account.
        id: u32,
        /// `\Sent` and the like, or empty.
        special_use: String,
        /// Whether it is only a name that holds its inferiors together.
        no_select: bool,
        /// UIDVALIDITY.
        uid_validity: u32,
        /// UIDNEXT.
        uid_next: u32,
        /// UIDs below are those of the store it was imported from; 0 without an import.
        imported_next: u32,
        /// What the last import that gave messages new UIDs left to remember; empty without one.
        mark: String,
        /// Which deleted mailbox it was made for by a restore; empty for others.
        restored: String,
        /// Keywords in order of their bits.
        keywords: Vec<String>,
        /// HIGHESTMODSEQ.
        highest_modseq: u64,
        /// Messages.
        messages: u64,
        /// Without `\Seen`.
        unseen: u64,
        /// Octets.
        bytes: u64,
    },
    /// A resource of an account.
    Quota {
        /// `storage` (in units of 1,024 octets), `messages` or `mailboxes`.
        resource: String,
        /// How much is used.
        used: u64,
        /// How much may be; none for no limit.
        limit: Option<u64>,
    },
    /// An entry of a mailbox's access control list.
    Share {
        /// Full name.
        mailbox: String,
        /// Whom it concerns.
        identifier: String,
        /// Letters.
        rights: String,
    },
    /// What the store takes at all.
    Bounds {
        /// Octets of the largest message.
        message_bytes_max: usize,
    },
    /// A subscribed name of the account whose mailboxes stand before.
    Subscription {
        /// Full name.
        name: String,
    },
    /// A message of the mailbox that was asked for.
    Message {
        /// UID.
        uid: u32,
        /// Octets.
        size: u32,
        /// INTERNALDATE, milliseconds since 1970.
        internal_ms: u64,
        /// When it came into the mailbox, likewise.
        saved_ms: u64,
        /// The number in its EMAILID.
        body: u64,
        /// `\\Seen` and the like, and keywords.
        flags: Vec<String>,
        /// The POP3 unique-id that it was imported with.
        unique_id: Option<String>,
        /// Its octets are not what was written: nobody is shown them.
        #[serde(default)]
        hidden: bool,
    },
    /// A mailbox that was deleted, by itself or with its account.
    GoneMailbox {
        /// The account's id.
        of: u64,
        /// Its own.
        mailbox: u32,
        /// Full name.
        name: String,
        /// UIDVALIDITY.
        uid_validity: u32,
        /// Keywords in order of their bits.
        keywords: Vec<String>,
        /// When, milliseconds since 1970.
        gone_ms: u64,
    },
    /// Who answers for an address.
    Owner {
        /// The shard.
        shard: u16,
        /// What left at or before this moment, in milliseconds since 1970, cannot be had back.
        reaped_ms: u64,
        /// A restore has made the account and not come to its end.
        #[serde(default)]
        unfinished: bool,
    },
    /// A message that left its mailbox.
    Gone(GoneLine),
    /// How putting back went.
    PutBack {
        /// The mailbox is another since its messages were listed: nothing was done.
        changed: bool,
        /// Ranges of UIDs they had.
        source: Vec<(u32, u32)>,
        /// Ranges of UIDs they have now.
        target: Vec<(u32, u32)>,
    },
    /// A domain.
    Domain {
        /// Name.
        name: String,
    },
    /// An alias.
    Alias {
        /// Address.
        address: String,
        /// Targets.
        targets: Vec<String>,
    },
    /// How one account of a bulk request went.
    Result {
        /// Address.
        address: String,
        /// Why not; none where it worked.
        refused: Option<String>,
    },
    /// A shard that is ready to be copied.
    Sealed {
        /// Which.
        shard: u16,
        /// All that the copy holds lies below this position of its log.
        position: u64,
    },
    /// A file of the shard before it; never changes.
    File {
        /// Its name in the shard's folder.
        name: String,
        /// Its size where the server knows it.
        bytes: Option<u64>,
    },
    /// A shard with its slots.
    Slots {
        /// Which.
        shard: u16,
        /// How many slots.
        slots: u16,
        /// Which slots, ascending.
        runs: Vec<SlotRun>,
        /// Accounts in them.
        accounts: u64,
        /// Messages in their mailboxes.
        messages: u64,
        /// Octets of the messages, each body once, with what can be had back.
        bytes: u64,
    },
    /// A slot.
    Slot {
        /// Which.
        slot: u16,
        /// Who has it.
        shard: u16,
        /// Accounts in it.
        accounts: u64,
        /// Messages in their mailboxes.
        messages: u64,
        /// Octets of these.
        bytes: u64,
    },
    /// A slot that would move.
    Planned {
        /// Which.
        slot: u16,
        /// Who has it.
        from: u16,
        /// Where it would go.
        to: u16,
        /// Accounts in it.
        accounts: u64,
        /// Messages in their mailboxes.
        messages: u64,
        /// Octets of these.
        bytes: u64,
    },
    /// How far a slot is that moves.
    Moving {
        /// Which.
        slot: u16,
        /// Octets that were copied.
        bytes: u64,
    },
    /// A slot that has moved.
    Moved {
        /// Which.
        slot: u16,
        /// Who had it.
        from: u16,
        /// Who has it.
        to: u16,
        /// Accounts in it.
        accounts: u64,
        /// Messages of these, those included that can be had back.
        messages: u64,
        /// Octets that were copied.
        bytes: u64,
        /// Milliseconds for which writes to it waited.
        held_ms: u64,
    },
    /// Something that is not shown.
    Damage(DamageLine),
    /// How far a shard's look for rot is.
    Scrub(ScrubLine),
    /// A shard's figures.
    Shard {
        /// Which.
        shard: u16,
        /// Names and values, in order.
        figures: Vec<(String, u64)>,
    },
    /// Everything asked is done and durable.
    Done,
    /// It could not be done: what, and what to do.
    Refused(String),
}

/// A message, or without a mailbox an account, that is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamageLine {
    /// Of which shard.
    pub shard: u16,
    /// Whose.
    pub account: String,
    /// In which mailbox.
    pub mailbox: Option<String>,
    /// Its UID there.
    pub uid: Option<u32>,
    /// Its Message-ID, if that can still be read.
    pub message_id: Option<String>,
    /// The file in the shard's folder that it lies in.
    pub file: Option<String>,
    /// From which byte.
    pub offset: Option<u64>,
    /// Its position in the log.
    pub position: Option<u64>,
    /// Since when that is known, milliseconds since 1970; none: since before the start.
    pub since_ms: Option<u64>,
    /// What brings it back.
    pub todo: String,
}

/// How far a shard's look for rot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubLine {
    /// Which shard.
    pub shard: u16,
    /// Whether a round is under way.
    pub under_way: bool,
    /// When it, or the last one, began; milliseconds since 1970, 0 before the first.
    pub begun_ms: u64,
    /// When the last one came to its end; 0 if none has since the start.
    pub ended_ms: u64,
    /// Rounds since the start.
    pub rounds: u64,
    /// Files of the round.
    pub files: u64,
    /// How many of them are left.
    pub files_left: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// How many of these were read, with the rows of checkpoints.
    pub bytes: u64,
    /// Bytes read a second at most; 0: no rounds.
    pub bytes_per_second: u64,
    /// Places with rot that the round has found.
    pub found: u64,
    /// Places put back as they were, since the start.
    pub mended: u64,
    /// Places with messages that are hidden.
    pub hidden: u64,
}

/// A message that left its mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneLine {
    /// The id of the account it was in.
    pub of: u64,
    /// That of the mailbox.
    pub mailbox: u32,
    /// Its UID there.
    pub uid: u32,
    /// The number in its EMAILID.
    pub body: u64,
    /// Octets.
    pub size: u32,
    /// Its flags as bits; keywords by the mailbox's table.
    pub flags: u64,
    /// INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
    /// When it came into the mailbox, likewise, in whole seconds.
    pub saved_ms: u64,
    /// When it left.
    pub gone_ms: u64,
    /// Its octets are not what was written.
    #[serde(default)]
    pub hidden: bool,
    /// Its Subject field, where that was asked for.
    pub subject: Option<String>,
    /// The first address of its From field.
    pub from: Option<String>,
    /// Its Date field.
    pub date: Option<String>,
}
