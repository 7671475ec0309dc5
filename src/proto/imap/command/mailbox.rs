//! Arguments of the commands about mailboxes.
//!
//! *Owns*: SELECT, CREATE's special use, LIST, STATUS. *Promises*: names are decoded UTF-8, INBOX spelled
//! `INBOX`. *Assumes*: the parser. *Never*: knows which mailboxes exist.

use ringpost_engine::change::SpecialUse;
use ringpost_engine::ids::ModSeq;

use super::SequenceSet;

/// SELECT or EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// Which.
    pub mailbox: String,
    /// As the client spelt it, if that is not its name.
    pub spelt: Option<String>,
    /// EXAMINE.
    pub read_only: bool,
    /// `(CONDSTORE)`, rfc7162#3.1.8
    pub condstore: bool,
    /// `(QRESYNC (…))`
    pub qresync: Option<Qresync>,
}

/// What a client that was here before remembers of a mailbox (rfc7162#3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qresync {
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// Its last HIGHESTMODSEQ; not 0.
    pub modseq: ModSeq,
    /// The UIDs that it wants to be told of, without `*`; none for all.
    pub known: Option<SequenceSet>,
    /// Message numbers and their UIDs, without `*`.
    pub matches: Option<(SequenceSet, SequenceSet)>,
}

/// The special use a CREATE asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseArgument {
    /// None.
    None,
    /// One that a mailbox can carry.
    One(SpecialUse),
    /// Several, or one that is not known here: `NO [USEATTR]` (rfc6154#3).
    Unsupported,
}

/// LIST with the options of rfc5258 and rfc6154.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Reference name.
    pub reference: String,
    /// Names with wildcards; at least one.
    pub patterns: Vec<String>,
    /// Which names to show.
    pub select: ListSelect,
    /// What to tell about each.
    pub returns: ListReturn,
    /// Whether any part of the extended syntax was used: an empty pattern is then not the question for the
    /// separator (rfc5258#3).
    pub extended: bool,
}

/// Selection options of LIST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `REMOTE`
    pub remote: bool,
    /// `RECURSIVEMATCH`; never alone.
    pub recursive_match: bool,
    /// `SPECIAL-USE`
    pub special_use: bool,
}

/// Return options of LIST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `CHILDREN`
    pub children: bool,
    /// `SPECIAL-USE`
    pub special_use: bool,
    /// `STATUS (…)`, rfc5819: each item once; empty if not asked.
    pub status: Vec<StatusItem>,
    /// `MYRIGHTS`, rfc8440
    pub my_rights: bool,
    /// `METADATA (…)`, rfc9590: names of entries, each once; empty if not asked.
    pub metadata: Vec<String>,
}

/// What STATUS can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT`
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`
    Unseen,
    /// `HIGHESTMODSEQ`, rfc7162#3.1.7
    HighestModSeq,
    /// `SIZE`, rfc8438#3
    Size,
    /// `DELETED`, rfc9208#4.1.4
    Deleted,
    /// `DELETED-STORAGE`, rfc9208#4.1.4
    DeletedStorage,
    /// `APPENDLIMIT`, rfc7889#3.1
    AppendLimit,
    /// `MAILBOXID`, rfc8474#4.3
    MailboxId,
}
