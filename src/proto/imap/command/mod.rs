//! Every IMAP command as plain data.
//!
//! *Owns*: the vocabulary between parser and commands. *Promises*: a value of these types is well formed by
//! syntax: numbers are in range, sets are not empty, mailbox names are decoded UTF-8 with INBOX spelled
//! `INBOX`, nesting and counts are within `limits`. *Assumes*: nothing of state: whether a command is allowed
//! now is the table's business. *Never*: holds store types that could go stale; client text is a slice of
//! what was received.

use bytes::Bytes;

use crate::proto::Secret;

mod mailbox;
mod message;
mod notify;
mod search;
mod sequence;
mod sharing;

pub use mailbox::{List, ListReturn, ListSelect, Qresync, Select, StatusItem, UseArgument};
pub use message::{
    Append, AppendPiece, Copy, Fetch, FetchItem, Partial, Replaced, Section, SectionText, Store,
};
pub use notify::{Events, MailboxFilter, Notify, NotifyGroup, NotifySelected};
pub use search::{
    DayIs, MultiSearch, PartialRange, Program, Search, SearchKey, SearchReturn, Sort, SortCriterion, SortKey,
    Source, Thread, Threading, UidBatches,
};
pub use sequence::{Bound, SequenceSet};
pub use sharing::{AclCommand, Depth, MetadataCommand, QuotaCommand, RightsChange, UrlCommand};

/// A command with its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Repeated in the completion reply.
    pub tag: Bytes,
    /// What is asked.
    pub verb: Verb,
}

/// What a client can ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// rfc3501#6.1.1
    Capability,
    /// rfc3501#6.1.2
    Noop,
    /// rfc3501#6.1.3
    Logout,
    /// rfc8437#3
    Unauthenticate,
    /// rfc2971: field and value pairs; none for `NIL`.
    Id(Vec<(Bytes, Option<Bytes>)>),
    /// rfc3501#6.2.1
    StartTls,
    /// rfc4978#3, with DEFLATE
    Compress,
    /// rfc3501#6.2.2
    Authenticate(Authenticate),
    /// rfc3501#6.2.3
    Login {
        /// As sent.
        user: Bytes,
        /// As sent.
        password: Secret,
    },
    /// rfc5161: capability names in upper case.
    Enable(Vec<String>),
    /// rfc3501#6.3.1 and #6.3.2
    Select(Select),
    /// rfc3501#6.3.3, rfc6154#5
    Create {
        /// The name; a trailing separator (a wish to make names below it) is still there.
        mailbox: String,
        /// `(USE (…))`
        special_use: UseArgument,
    },
    /// rfc3501#6.3.4
    Delete {
        /// Which.
        mailbox: String,
    },
    /// rfc3501#6.3.5
    Rename {
        /// Old name.
        from: String,
        /// New name.
        to: String,
    },
    /// rfc3501#6.3.6 and #6.3.7
    Subscribe {
        /// Which.
        mailbox: String,
        /// False for UNSUBSCRIBE.
        on: bool,
    },
    /// rfc3501#6.3.8, rfc5258
    List(List),
    /// rfc3501#6.3.9
    Lsub {
        /// Reference name.
        reference: String,
        /// Name with wildcards.
        pattern: String,
    },
    /// rfc3501#6.3.10
    Status {
        /// Which.
        mailbox: String,
        /// Wanted, in the client's order, each once.
        items: Vec<StatusItem>,
    },
    /// rfc5464
    Metadata(MetadataCommand),
    /// rfc9208
    Quota(QuotaCommand),
    /// rfc4314
    Acl(AclCommand),
    /// rfc4467
    UrlAuth(UrlCommand),
    /// rfc2342
    Namespace,
    /// rfc2177
    Idle,
    /// rfc5465
    Notify(Notify),
    /// rfc3501#6.4.1
    Check,
    /// rfc3501#6.4.2
    Close,
    /// rfc3691
    Unselect,
    /// rfc3501#6.3.11; REPLACE and UID REPLACE, rfc8508
    Append(Append),
    /// rfc3501#6.4.3; with a set: UID EXPUNGE, rfc4315#2.1
    Expunge {
        /// Only these UIDs.
        uids: Option<SequenceSet>,
    },
    /// rfc3501#6.4.4
    Search(Search),
    /// rfc7377
    MultiSearch(MultiSearch),
    /// rfc5256#3 SORT
    Sort(Sort),
    /// rfc5256#3 THREAD
    Thread(Thread),
    /// rfc5267#4.3.5: tags of searching commands.
    CancelUpdate(Vec<Bytes>),
    /// rfc10022
    UidBatches(UidBatches),
    /// rfc3501#6.4.5
    Fetch(Fetch),
    /// rfc3501#6.4.6
    Store(Store),
    /// rfc3501#6.4.7, rfc6851
    Copy(Copy),
}

/// AUTHENTICATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticate {
    /// Upper case.
    pub mechanism: String,
    /// The initial response, still in base64; empty for the `=` of rfc4959#3.
    pub initial: Option<Secret>,
}
