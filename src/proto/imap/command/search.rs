//! Arguments of SEARCH, SORT and THREAD.
//!
//! *Owns*: keys, result options, criteria and places of results. *Promises*: nesting and counts are within
//! `limits`. *Assumes*: the parser. *Never*: decodes a string: the command's charset is applied when it runs.

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
    /// What to look for.
    pub program: Program,
}

/// SORT or UID SORT (rfc5256#3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Answer in UIDs.
    pub uid: bool,
    /// `RETURN (…)`, rfc5267#3; none for the untagged SORT reply.
    pub returns: Option<SearchReturn>,
    /// Never empty.
    pub criteria: Vec<SortCriterion>,
    /// What to look for; its charset is named.
    pub program: Program,
}

/// One thing to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// `REVERSE`
    pub reverse: bool,
}

/// What SORT compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// INTERNALDATE
    Arrival,
    /// Mailbox part of the first Cc address.
    Cc,
    /// Sent date (rfc5256#2.2).
    Date,
    /// Mailbox part of the first From address.
    From,
    /// RFC822.SIZE
    Size,
    /// Base subject (rfc5256#2.1).
    Subject,
    /// Mailbox part of the first To address.
    To,
    /// Name of the first From address (rfc5957#4).
    DisplayFrom,
    /// Name of the first To address (rfc5957#4).
    DisplayTo,
    /// Score, best first; only with a FUZZY key (rfc6203#6).
    Relevancy,
}

/// THREAD or UID THREAD (rfc5256#3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Answer in UIDs.
    pub uid: bool,
    /// How.
    pub algorithm: Threading,
    /// What to look for; its charset is named.
    pub program: Program,
}

/// Threading algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// By base subject (rfc5256#3).
    OrderedSubject,
    /// By References, then by subject (rfc5256#3).
    References,
    /// By References alone; the thread with the latest arrival last (draft-ietf-morg-inthread).
    Refs,
}

/// UIDBATCHES (rfc10022#3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UidBatches {
    /// Messages in a batch; never 0.
    pub size: u32,
    /// Which batches, counted from 1 at the highest UID, first and last; all of them if none.
    pub wanted: Option<(u32, u32)>,
}

/// ESEARCH (rfc7377#2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiSearch {
    /// Where to look; never empty.
    pub sources: Vec<Source>,
    /// `RETURN (…)`; none means ALL.
    pub returns: Option<SearchReturn>,
    /// What to look for.
    pub program: Program,
}

/// Mailboxes to search (rfc7377#2.2, rfc5465#6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The selected one.
    Selected,
    /// Where mail is delivered.
    Inboxes,
    /// All of the user's own.
    Personal,
    /// Those subscribed.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<String>),
    /// These and those one level below them.
    SubtreeOne(Vec<String>),
    /// These.
    Mailboxes(Vec<String>),
}

/// What to look for, and how it is written (rfc4466#6 `search-program`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// As named; none means US-ASCII.
    pub charset: Option<Bytes>,
    /// The keys; several stand in an [`SearchKey::And`].
    pub key: SearchKey,
}

/// Result options. `RETURN ()` means `ALL` (rfc4731#3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// `MIN`
    pub min: bool,
    /// `MAX`
    pub max: bool,
    /// `ALL`; never with `partial`.
    pub all: bool,
    /// `COUNT`
    pub count: bool,
    /// `SAVE` (rfc5182#2.1)
    pub save: bool,
    /// `PARTIAL` (rfc9394#3.1)
    pub partial: Option<PartialRange>,
    /// `RELEVANCY`, only with a FUZZY key (rfc6203#4)
    pub relevancy: bool,
    /// `UPDATE` (rfc5267#4.3)
    pub update: bool,
}

/// Which of the results, by their places (rfc9394#4 `partial-range`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialRange {
    /// As written; never 0.
    pub one: u32,
    /// As written; never 0.
    pub other: u32,
    /// Counted from the last result on.
    pub from_last: bool,
}

impl PartialRange {
    /// The places meant of `count` results, from 0, ascending.
    pub fn places(self, count: usize) -> std::ops::Range<usize> {
        let (first, last) = (self.one.min(self.other) as usize, self.one.max(self.other) as usize);
        if self.from_last {
            count.saturating_sub(last)..count.saturating_sub(first - 1)
        } else {
            (first - 1).min(count)..last.min(count)
        }
    }
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

impl DayIs {
    /// Whether `day` is so to `wanted`.
    pub fn holds(self, day: Days, wanted: Days) -> bool {
        match self {
            DayIs::Before => day < wanted,
            DayIs::On => day == wanted,
            DayIs::Since => day >= wanted,
        }
    }
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
    /// `SAVEDBEFORE`, `SAVEDON`, `SAVEDSINCE`: SAVEDATE without time and zone (rfc8514#4.3).
    Saved(DayIs, Days),
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
    /// `OLDER n`: at least so many seconds in the store (rfc5032#3).
    Older(u32),
    /// `YOUNGER n`: at most so many seconds in the store (rfc5032#3).
    Younger(u32),
    /// `EMAILID` (rfc8474#5.1)
    EmailId(Bytes),
    /// `THREADID` (rfc8474#5.2)
    ThreadId(Bytes),
    /// `FILTER`: the keys stored under this name (rfc5466#3.1).
    Filter(String),
    /// `FUZZY` before another key (rfc6203#3).
    Fuzzy(Box<SearchKey>),
    /// `MODSEQ n`, with or without an entry name (rfc7162#3.1.5): this mod-sequence or a later one.
    ModSeq(ModSeq),
}

impl SearchKey {
    /// Whether message numbers are in it; `$` is none, it stands for messages.
    pub fn names_numbers(&self) -> bool {
        match self {
            SearchKey::Sequence(set) => !set.saved,
            SearchKey::And(keys) => keys.iter().any(SearchKey::names_numbers),
            SearchKey::Or(one, other) => one.names_numbers() || other.names_numbers(),
            SearchKey::Not(key) | SearchKey::Fuzzy(key) => key.names_numbers(),
            _ => false,
        }
    }

    /// Whether a FUZZY key is in it.
    pub fn is_fuzzy(&self) -> bool {
        match self {
            SearchKey::Fuzzy(_) => true,
            SearchKey::And(keys) => keys.iter().any(SearchKey::is_fuzzy),
            SearchKey::Or(one, other) => one.is_fuzzy() || other.is_fuzzy(),
            SearchKey::Not(key) => key.is_fuzzy(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_either_end_and_stop_at_the_other() {
        let places = |one, other, from_last, count| PartialRange { one, other, from_last }.places(count);
        assert_eq!(places(1, 500, false, 600), 0..500);
        assert_eq!(places(24_000, 23_500, false, 23_764), 23_499..23_764);
        assert!(places(24_000, 24_500, false, 23_764).is_empty());
        assert_eq!(places(1, 100, true, 600), 500..600);
        assert_eq!(places(3, 2, true, 600), 597..599);
        assert_eq!(places(1, 100, true, 7), 0..7);
        assert!(places(8, 9, true, 7).is_empty());
        assert!(places(1, 1, true, 0).is_empty());
    }
}
