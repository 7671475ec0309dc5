//! Arguments of the commands about messages.
//!
//! *Owns*: APPEND, FETCH, STORE, COPY. *Promises*: counts and numbers in range. *Assumes*: the parser.
//! *Never*: holds a message.

use bytes::Bytes;
use ringpost_engine::change::{FlagOp, Flags};
use ringpost_engine::ids::ModSeq;

use super::{Bound, PartialRange, SequenceSet};

/// APPEND or REPLACE up to where the messages begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: String,
    /// REPLACE: the message that goes.
    pub replaces: Option<Replaced>,
    /// What follows up to the first streamed literal, for [`AppendReader`](super::super::parse::AppendReader).
    pub text: Bytes,
}

/// The message that REPLACE removes (rfc8508#3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The number is a UID.
    pub uid: bool,
    /// Which.
    pub number: Bound,
}

/// What APPEND is made of, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendPiece {
    /// A message begins.
    Message {
        /// Flags it starts with.
        flags: Flags,
        /// INTERNALDATE in milliseconds since 1970 (negative before), if the client names one.
        internal_ms: Option<i64>,
    },
    /// The announced literal is the message or a part of it.
    Octets,
    /// The same, said to have UTF-8 in its header (rfc6855#4).
    Utf8Octets,
    /// A part lies here already (rfc4469#3).
    Url(Bytes),
    /// The announced literal is such a URL.
    UrlOctets,
    /// The message is complete.
    End,
}

/// FETCH or UID FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The set holds UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// What, macros expanded, each item once.
    pub items: Vec<FetchItem>,
    /// `(CHANGEDSINCE n)`, rfc7162#3.1.4.1
    pub changed_since: Option<ModSeq>,
    /// `(PARTIAL a:b)`, rfc9394#3.3; UID FETCH only
    pub partial: Option<PartialRange>,
    /// `VANISHED`, only for UIDs and with `changed_since` (rfc7162#3.2.6).
    pub vanished: bool,
}

/// One data item of FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// `BODY` without a section.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `BODY[…]<…>`, `BODY.PEEK[…]<…>`
    Section {
        /// Leaves `\Seen` alone.
        peek: bool,
        /// Which part.
        section: Section,
        /// Which octets of it.
        partial: Option<Partial>,
    },
    /// `BINARY[…]<…>`, `BINARY.PEEK[…]<…>` (rfc3516#4.2)
    Binary {
        /// Leaves `\Seen` alone.
        peek: bool,
        /// Part numbers; empty for the whole message.
        path: Vec<u32>,
        /// Which octets of what is decoded.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[…]` (rfc3516#4.2)
    BinarySize(Vec<u32>),
    /// `PREVIEW`, with or without `(LAZY)`: there is always one at hand (rfc8970#3)
    Preview,
    /// `SNIPPET (FUZZY)`, as clients asked before rfc8970
    Snippet,
    /// `ENVELOPE`
    Envelope,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822`
    Rfc822,
    /// `RFC822.HEADER`
    Rfc822Header,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `RFC822.TEXT`
    Rfc822Text,
    /// `UID`
    Uid,
    /// `MODSEQ`, rfc7162#3.1.4.2
    ModSeq,
    /// `EMAILID`, rfc8474#5.3
    EmailId,
    /// `THREADID`, rfc8474#5.3
    ThreadId,
    /// `SAVEDATE`, rfc8514#4.2
    SaveDate,
}

/// A part of a message (rfc3501#6.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Part numbers from the outside in, none is 0; empty for the message itself.
    pub path: Vec<u32>,
    /// What of that part.
    pub text: SectionText,
}

/// What of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionText {
    /// All of it (with a path: the part's content).
    Whole,
    /// `HEADER`
    Header,
    /// `HEADER.FIELDS (…)`, as named, at least one.
    HeaderFields(Vec<Bytes>),
    /// `HEADER.FIELDS.NOT (…)`, as named, at least one.
    HeaderFieldsNot(Vec<Bytes>),
    /// `MIME`; always with a path.
    Mime,
    /// `TEXT`
    Text,
}

/// Octets of a part: `<start.count>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// First octet wanted, from 0.
    pub start: u64,
    /// At most so many; never 0.
    pub count: u64,
}

/// STORE or UID STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The set holds UIDs.
    pub uid: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// `(UNCHANGEDSINCE n)`, rfc7162#3.1.3
    pub unchanged_since: Option<ModSeq>,
    /// How.
    pub op: FlagOp,
    /// `.SILENT`
    pub silent: bool,
    /// Which.
    pub flags: Flags,
}

/// COPY, MOVE and their UID forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The set holds UIDs.
    pub uid: bool,
    /// MOVE.
    pub remove: bool,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub mailbox: String,
}
