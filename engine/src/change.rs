//! Every mutation that exists.
//!
//! *Owns*: the vocabulary of the log. *Promises*: a change plus its [`Stamp`] determines its effect on a
//! given index completely, so replay is the same as living it. *Assumes*: the store stamps, nobody else.
//! *Never*: holds message bytes; bodies are [`NewBody`], stored once and named by [`BodyId`].
//!
//! ```text
//!  caller ──Change──► Store::append ──stamps──► Entry ──► log batch ──durable──► index::apply ──► Outcome
//! ```

use bytes::Bytes;

pub use crate::arrival::{Arrival, Inheritance, Moved};
pub use crate::import::{ImportedMessage, UniqueIdForm, is_unique_id};
pub use crate::quota::{Quota, QuotaLimits, QuotaUsage};
pub use crate::rights::Rights;
pub use crate::uid_set::UidSet;

use crate::ids::{AccountId, BodyId, Lsn, MailboxId, ModSeq, ShardId, Slot, Uid};
use crate::origin::SessionInfo;
use crate::owners::Claim;

/// Bit set of the system flags (rfc3501#2.3.2) in the low bits; keywords are bits above them, per mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagBits(pub u64);

impl FlagBits {
    /// No flag.
    pub const NONE: FlagBits = FlagBits(0);
    /// `\Seen`
    pub const SEEN: FlagBits = FlagBits(1);
    /// `\Answered`
    pub const ANSWERED: FlagBits = FlagBits(1 << 1);
    /// `\Flagged`
    pub const FLAGGED: FlagBits = FlagBits(1 << 2);
    /// `\Deleted`
    pub const DELETED: FlagBits = FlagBits(1 << 3);
    /// `\Draft`
    pub const DRAFT: FlagBits = FlagBits(1 << 4);
    /// All system flags.
    pub const SYSTEM: FlagBits = FlagBits(0b11111);
    /// The first bit that names a keyword.
    pub const KEYWORD_SHIFT: u32 = 5;

    /// Whether every bit of `other` is set here.
    pub fn contains(self, other: FlagBits) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub fn union(self, other: FlagBits) -> FlagBits {
        FlagBits(self.0 | other.0)
    }

    /// This set without `other`.
    pub fn without(self, other: FlagBits) -> FlagBits {
        FlagBits(self.0 & !other.0)
    }

    /// The bit of the `index`-th keyword of a mailbox.
    pub fn keyword(index: usize) -> FlagBits {
        FlagBits(1 << (index as u32 + Self::KEYWORD_SHIFT))
    }
}

/// Flags by meaning, as a client names them: system bits and keywords by name (keywords compare without
/// case).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// System flags only; bits above [`FlagBits::SYSTEM`] are ignored.
    pub system: FlagBits,
    /// Keyword atoms, without duplicates; at most `limits::KEYWORDS_PER_MAILBOX_MAX`.
    pub keywords: Vec<String>,
}

/// What a STORE does with the flags it names (rfc3501#6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagOp {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// The special uses of rfc6154#2 that a mailbox can carry; one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SpecialUse {
    /// `\Archive`
    Archive = 1,
    /// `\Drafts`
    Drafts = 2,
    /// `\Junk`
    Junk = 3,
    /// `\Sent`
    Sent = 4,
    /// `\Trash`
    Trash = 5,
    /// `\Flagged`
    Flagged = 6,
    /// `\All`
    All = 7,
}

impl SpecialUse {
    /// The use at a place of the list, from 1.
    pub(crate) fn from_place(place: u8) -> Option<SpecialUse> {
        use SpecialUse::{All, Archive, Drafts, Flagged, Junk, Sent, Trash};
        let uses = [Archive, Drafts, Junk, Sent, Trash, Flagged, All];
        uses.into_iter().find(|special_use| *special_use as u8 == place)
    }
}

/// Services an account may use, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Services(pub u8);

impl Services {
    /// POP3 login.
    pub const POP3: Services = Services(1);
    /// IMAP login.
    pub const IMAP: Services = Services(2);
    /// Authenticated submission.
    pub const SUBMISSION: Services = Services(4);
    /// Everything.
    pub const ALL: Services = Services(7);

    /// Whether all of `other` is allowed.
    pub fn allows(self, other: Services) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A message's bytes on their way into the log. Stored once per shard, whatever number of mailboxes show it.
#[derive(Clone, Debug)]
pub struct NewBody {
    /// The octets as they are sent: CRLF line ends, trace fields first. In slices, so that nobody has to join
    /// them.
    pub parts: Vec<Bytes>,
    /// The encoded [`crate::layout::Summary`] of exactly these octets.
    pub summary: Bytes,
}

/// A message of a [`Change::Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// What; appended to the log earlier.
    pub body: BodyId,
    /// Flags it starts with.
    pub flags: Flags,
    /// INTERNALDATE, milliseconds since 1970; kept in whole seconds.
    pub internal_ms: u64,
}

/// One mutation, as asked for. What the store decides (identifiers, mod-sequence, time) is in the [`Stamp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new account with INBOX and `mailboxes`, all subscribed; the account id is in the stamped entry.
    AccountCreate {
        /// Normalised address; must be free.
        address: String,
        /// Password hash in PHC string form.
        password_hash: String,
        /// What it may log in to.
        services: Services,
        /// Mailboxes beside INBOX, each once and superiors first: name and special use.
        mailboxes: Vec<(String, Option<SpecialUse>)>,
    },
    /// A new password hash.
    AccountPassword {
        /// PHC string.
        password_hash: String,
    },
    /// Other services.
    AccountServices {
        /// The new set.
        services: Services,
    },
    /// The account and all it holds is gone; its address is free again, its id is not.
    AccountDelete,
    /// A domain whose mail is ours (kept in shard 0's log, account 0).
    DomainAdd {
        /// Lower-case name.
        name: String,
    },
    /// The domain is not ours any more.
    DomainDelete {
        /// Lower-case name.
        name: String,
    },
    /// An alias (kept at the shard of the alias's own slot, account 0). Replaces one of that name.
    AliasSet {
        /// Normalised address.
        address: String,
        /// Normalised addresses it stands for; at least one.
        targets: Vec<String>,
    },
    /// The alias is gone.
    AliasDelete {
        /// Normalised address.
        address: String,
    },
    /// A new mailbox, and those of its superior levels that do not exist (rfc3501#6.3.3). A name that is only
    /// kept for its inferiors becomes a mailbox again. Subscribes nothing.
    MailboxCreate {
        /// Full name in UTF-8, levels split by `/`.
        name: String,
        /// Its special use, if any.
        special_use: Option<SpecialUse>,
    },
    /// Renames a mailbox and everything below it; superior levels of `to` are made where missing. For INBOX:
    /// its messages move to a new mailbox `to` and INBOX stays, empty, with its inferiors (rfc3501#6.3.5).
    MailboxRename {
        /// Which.
        mailbox: MailboxId,
        /// The new full name.
        to: String,
    },
    /// The mailbox and its messages are gone; names below it stay, and as long as there are any its own name
    /// stays too, as one that cannot be selected (rfc3501#6.3.4).
    MailboxDelete {
        /// Which; never INBOX.
        mailbox: MailboxId,
    },
    /// Adds or removes a name in the list of subscriptions (names need not exist, rfc3501#6.3.6).
    Subscribe {
        /// Full name.
        name: String,
        /// On or off.
        on: bool,
    },
    /// One more message in a mailbox. The stamp holds its UID.
    Deliver {
        /// Where.
        mailbox: MailboxId,
        /// What; appended to the log earlier.
        body: BodyId,
        /// Flags it starts with.
        flags: Flags,
        /// INTERNALDATE, milliseconds since 1970; kept in whole seconds.
        internal_ms: u64,
    },
    /// Messages appended together, all or none (rfc3502#6.3.11, rfc4469#3). They get consecutive UIDs from the
    /// stamp's on, in order.
    Append {
        /// Where.
        mailbox: MailboxId,
        /// What, in order; at least one, at most `limits::APPEND_MESSAGES_MAX`.
        messages: Vec<NewMessage>,
        /// A message that they take the place of, in any mailbox of the account: it is expunged by the same
        /// change, and only the net growth counts against a quota (rfc8508#3.4). If it is gone by then, the
        /// others are appended all the same; the outcome tells.
        replaces: Option<(MailboxId, Uid)>,
    },
    /// Flags of messages (rfc3501#6.4.6, rfc7162#3.1.3). UIDs that are gone are passed over.
    FlagsStore {
        /// Where.
        mailbox: MailboxId,
        /// Whose.
        uids: UidSet,
        /// How.
        op: FlagOp,
        /// Which.
        flags: Flags,
        /// Leave messages alone (and report them) whose mod-sequence is greater than this.
        unchanged_since: Option<ModSeq>,
    },
    /// Copies (or moves) messages within the account; they share their bodies. The stamp holds the first new
    /// UID, the copies of those that are still there get consecutive ones from it on, in order of `uids`.
    Copy {
        /// From where.
        from: MailboxId,
        /// To where; may be the same mailbox.
        to: MailboxId,
        /// Which.
        uids: UidSet,
        /// Also expunge them from `from`, in the same change (rfc6851#3).
        expunge: bool,
    },
    /// Removes messages. UIDs that are gone are passed over.
    Expunge {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: UidSet,
        /// Only those that carry `\Deleted` when this applies.
        only_deleted: bool,
    },
    /// `\Recent` of all UIDs below `below` has been given to a session (rfc3501#2.3.2).
    RecentSeen {
        /// Where.
        mailbox: MailboxId,
        /// The first UID that is still recent.
        below: Uid,
    },
    /// Annotations of a mailbox or of the account, all set or none (rfc5464#4.3). Filters are among them
    /// (rfc5466#3.1).
    Metadata {
        /// Whose; none for the server's entries as this account sees them (rfc5464#3).
        mailbox: Option<MailboxId>,
        /// Entry names in lower case, `/private/…` or `/shared/…`, each once, and their values; none removes.
        entries: Vec<(String, Option<Bytes>)>,
    },
    /// One entry of a mailbox's access control list (rfc4314#3.1, rfc4314#3.2).
    Acl {
        /// Whose.
        mailbox: MailboxId,
        /// Whom it concerns; negative rights have a name that begins with `-` (rfc4314#2).
        identifier: String,
        /// All its rights from now on; none removes the entry.
        rights: Option<Rights>,
    },
    /// What the account may hold from now on (rfc9208#4.1.3). What is there stays, if it is more.
    Quota {
        /// The bounds of each resource.
        limits: QuotaLimits,
    },
    /// Makes the URLs void that were authorised so far (rfc4467#3).
    UrlKey {
        /// Those of one mailbox; none for those of all.
        mailbox: Option<MailboxId>,
    },
    /// Capabilities that are kept from this account's clients. Replaces the list before.
    AccountHide {
        /// Names as CAPABILITY writes them, each once.
        capabilities: Vec<String>,
    },
    /// Where this account's clients are sent at login (rfc2221#4.1).
    AccountReferral {
        /// An IMAP URL; none serves them here.
        url: Option<String>,
    },
    /// Puts messages back that left a mailbox, as far as they are still there to be had: under new UIDs, with the
    /// dates and, `\Deleted` aside, the flags they had. Those that were restored can be restored again.
    Restore {
        /// Whose they were: the account's own id, or that of one that is deleted.
        of: AccountId,
        /// Which mailbox they left; it need not be there any more.
        from: MailboxId,
        /// Under which UIDs; at most `limits::RESTORE_MESSAGES_MAX`.
        uids: UidSet,
        /// Where they go.
        to: MailboxId,
    },
    /// The time to have them back is over for messages that left at or before this moment (account 0; the store
    /// asks for it by itself).
    Reap {
        /// Milliseconds since 1970.
        until_ms: u64,
    },
    /// A mailbox that never had a message takes over what clients know of it from another store. Refused where
    /// its name had that UIDVALIDITY before (I13).
    MailboxAdopt {
        /// Which.
        mailbox: MailboxId,
        /// UIDVALIDITY from now on; 1 to `limits::UID_VALIDITY_ADOPTED_MAX`.
        uid_validity: u32,
        /// How POP3 names its messages, those that are yet to come as well.
        unique_ids: UniqueIdForm,
    },
    /// A piece of an account that comes from another log of this server.
    Arrive(Arrival),
    /// This log goes on where others end, and keeps to their counters (account 0).
    Inherit(Inheritance),
    /// Messages of another store, appended all or none with the UIDs they had there.
    Import {
        /// Where.
        mailbox: MailboxId,
        /// What, in ascending order of UID, all of them at or above UIDNEXT (or all 0: next free ones); at most
        /// `limits::APPEND_MESSAGES_MAX`, and none just moves UIDNEXT.
        messages: Vec<ImportedMessage>,
        /// UIDNEXT is not smaller than this afterwards, unless messages get next free UIDs: UIDs below may have been
        /// given out in the other store.
        uid_next: Uid,
    },
    /// This log serves a slot from now on: all of what came shows at once (account 0). Refused unless its
    /// epoch is above
    /// all that this log knows of the slot. What is not as the claim says comes in quarantine.
    SlotClaim {
        /// What.
        claim: Claim,
    },
    /// Another log has claimed a slot: what this one still has of it may go (account 0).
    SlotLeave {
        /// Which.
        slot: Slot,
        /// The claim's epoch.
        epoch: u32,
        /// Whose claim.
        to: ShardId,
    },
    /// All of an account goes, and what it removed: it is served elsewhere, or never came whole.
    AccountLeave,
    /// Nothing is left of a slot that was left (account 0).
    SlotClear {
        /// Which.
        slot: Slot,
        /// The claim's epoch.
        epoch: u32,
    },
    /// What is stored is not what was written: bodies that begin at these positions of the log are not shown
    /// (account 0; the store asks for it by itself).
    Distrust {
        /// The first position.
        from: BodyId,
        /// Behind the last.
        until: BodyId,
    },
    /// It is what was written again: takes a Distrust of the same positions back (account 0; the store asks for it by
    /// itself).
    Trust {
        /// The first position.
        from: BodyId,
        /// Behind the last.
        until: BodyId,
    },
    /// A session that changes something, told before its first change (account 0). Changes nothing itself.
    Session {
        /// Who it is.
        about: SessionInfo,
    },
    /// Messages were sent to a session that leaves no other trace of it (account 0). Changes nothing.
    Read {
        /// Whose.
        of: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: UidSet,
    },
}

impl Change {
    /// The mailboxes whose messages it looks at; of a whole account all are.
    pub(crate) fn mailboxes_read(&self) -> [Option<MailboxId>; 2] {
        match self {
            Change::FlagsStore { mailbox, .. }
            | Change::Expunge { mailbox, .. }
            | Change::MailboxDelete { mailbox }
            | Change::MailboxRename { mailbox, .. }
            | Change::Import { mailbox, .. } => [Some(*mailbox), None],
            Change::Copy { from, to, .. } => [Some(*from), Some(*to)],
            Change::Append { replaces: Some((mailbox, _)), .. } => [Some(*mailbox), None],
            _ => [None, None],
        }
    }

    /// The bodies that it shows for the first time, in the order of the UIDs they are to get.
    pub fn bodies(&self) -> impl Iterator<Item = BodyId> + '_ {
        let (one, many, imported) = match self {
            Change::Deliver { body, .. } => (Some(*body), &[][..], &[][..]),
            Change::Append { messages, .. } => (None, messages.as_slice(), &[][..]),
            Change::Import { messages, .. } => (None, &[][..], messages.as_slice()),
            _ => (None, &[][..], &[][..]),
        };
        let many = many.iter().chain(imported.iter().map(|imported| &imported.message));
        one.into_iter().chain(many.map(|message| message.body))
    }

    /// The bodies that an account of another log brings along with this piece, in order.
    pub fn bodies_moved(&self) -> impl Iterator<Item = BodyId> + '_ {
        let arrival = if let Change::Arrive(arrival) = self { Some(arrival) } else { None };
        arrival.into_iter().flat_map(Arrival::bodies)
    }

    /// The UIDs that these bodies get if it is carried out, in their order.
    pub fn uids(&self, stamp: &Stamp) -> impl Iterator<Item = Uid> + '_ {
        let given = match self {
            Change::Import { messages, .. } if !ImportedMessage::are_renumbered(messages) => {
                messages.as_slice()
            }
            _ => &[],
        };
        let first = stamp.uid_first.0;
        self.bodies().enumerate().map(move |(nth, _)| {
            given.get(nth).map_or(Uid(first.saturating_add(nth as u32)), |imported| imported.uid)
        })
    }
}

/// What the store decided for a change when it was appended; part of its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Wall-clock milliseconds since 1970; never decreasing within a log.
    pub time_ms: u64,
    /// The account's next mod-sequence; 0 where the change has no account.
    pub modseq: ModSeq,
    /// First of the UIDs reserved by Deliver, Append, Copy and Restore (and by a rename of INBOX); else 0.
    pub uid_first: Uid,
    /// First of the mailbox ids reserved: one for each level of a name that is created or renamed to, one for
    /// the name that a deletion may leave behind; else 0.
    pub mailbox_first: MailboxId,
}

/// A change with everything that its replay needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where its record begins.
    pub lsn: Lsn,
    /// Whose change; 0 for domains and aliases.
    pub account: AccountId,
    /// What the store decided.
    pub stamp: Stamp,
    /// The change.
    pub change: Change,
}

/// What an applied change did. Told to whoever waits for its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, nothing to tell.
    Done,
    /// An account was created.
    AccountCreated(AccountId),
    /// A mailbox was created (or INBOX renamed into it).
    MailboxCreated(MailboxId),
    /// A message got this UID in a mailbox of this UIDVALIDITY.
    Delivered {
        /// UIDVALIDITY of the mailbox.
        uid_validity: u32,
        /// The message's UID.
        uid: Uid,
    },
    /// An Append or an Import was carried out.
    Appended {
        /// UIDVALIDITY of the mailbox.
        uid_validity: u32,
        /// The messages' UIDs, in order.
        uids: UidSet,
        /// Whether the message they replace was still there and is gone now.
        replaced: bool,
    },
    /// A STORE was carried out.
    Stored {
        /// Messages whose flags were set (also where nothing differed).
        done: UidSet,
        /// Messages left alone because of `unchanged_since`.
        modified: UidSet,
    },
    /// A COPY, MOVE or Restore was carried out; the two sets pair up in ascending order.
    Copied {
        /// UIDVALIDITY of the target.
        uid_validity: u32,
        /// UIDs of the originals.
        source: UidSet,
        /// UIDs of the copies.
        target: UidSet,
    },
    /// These messages are gone.
    Expunged(UidSet),
    /// The change found its subject gone or its name taken when its turn came. Nothing was done.
    Refused(Refusal),
}

/// Why an applied change did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such account, alias or domain.
    NoAccount,
    /// No such mailbox, or one that must stay (INBOX) or cannot be selected.
    NoMailbox,
    /// The name is taken.
    Exists,
    /// Too many mailboxes, keywords, messages or annotations, or too long ones: a bound of `limits` is reached.
    Limit,
    /// The account's own quota has no room for it (rfc9208#4.3).
    OverQuota,
    /// The body named is not there.
    NoBody,
    /// An import found the mailbox's UIDs or its UIDVALIDITY in use.
    NotFresh,
    /// It waited for a segment that the disk had no room for.
    DiskFull,
}
