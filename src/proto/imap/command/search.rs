//! SEARCH's arguments.
//!
//! *Owns*: keys and result options. *Promises*: nesting and counts are within `limits`. *Assumes*: the
//! parser. *Never*: decodes a string: the command's charset is applied when it runs.

use bytes::Bytes;
use ringpost_engine::change::FlagBits;
use ringpost_engine::ids::ModSeq;

use super::SequenceSet;
use crate::proto::mime::date::Days;

/// SEARCH or UID SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Answer in UIDs.
    pub uid: bool,
    /// `RETURN (…)`, rfc4731; none for the untagged SEARCH reply.
    pub returns: Option<SearchReturn>,
    /// As named; none means US-ASCII.
    pub charset: Option<Bytes>,
    /// What to look for.
    pub key: SearchKey,
}

/// Result options of rfc4731#3.1. `RETURN ()` means `ALL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// `MIN`
    pub min: bool,
    /// `MAX`
    pub max: bool,
    /// `ALL`
    pub all: bool,
    /// `COUNT`
    pub count: bool,
}

/// How a day is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayIs {
    /// `BEFORE`: earlier than.
    Before,
    /// `ON`: the same.
    On,
    /// `SINCE`: the same or later.
    Since,
}

/// A search key (rfc3501#6.4.4). Strings are in the command's charset. Nested at most
/// `limits::IMAP_NESTING_MAX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// All of these (a list; also `NEW`). Never empty.
    And(Vec<SearchKey>),
    /// One of both.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Not this.
    Not(Box<SearchKey>),
    /// `ALL`
    All,
    /// `ANSWERED`, `UNANSWERED` and the other system flags.
    Flag {
        /// One bit.
        bit: FlagBits,
        /// Whether it must be set or not.
        set: bool,
    },
    /// `KEYWORD`, `UNKEYWORD`
    Keyword {
        /// As named.
        name: String,
        /// Whether it must be set or not.
        set: bool,
    },
    /// `RECENT` (true), `OLD` (false)
    Recent(bool),
    /// `BEFORE`, `ON`, `SINCE`: INTERNALDATE without time and zone.
    Internal(DayIs, Days),
    /// `SENTBEFORE`, `SENTON`, `SENTSINCE`: the Date field without time and zone.
    Sent(DayIs, Days),
    /// `LARGER n`: RFC822.SIZE above.
    Larger(u64),
    /// `SMALLER n`: RFC822.SIZE below.
    Smaller(u64),
    /// `HEADER`, `BCC`, `CC`, `FROM`, `SUBJECT`, `TO`: a field whose decoded text contains `value`
    /// (any field of that name if `value` is empty).
    Header {
        /// Field name as named.
        name: Bytes,
        /// Wanted text.
        value: Bytes,
    },
    /// `BODY`
    Body(Bytes),
    /// `TEXT`: header or body.
    Text(Bytes),
    /// Message numbers.
    Sequence(SequenceSet),
    /// `UID`
    Uid(SequenceSet),
    /// `MODSEQ n`, with or without an entry name (rfc7162#3.1.5): this mod-sequence or a later one.
    ModSeq(ModSeq),
}
