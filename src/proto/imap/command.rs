//! Every IMAP command as plain data.
//!
//! *Owns*: the vocabulary between parser and commands. *Promises*: a value of these types is well formed by
//! syntax: numbers are in range, sets are not empty, mailbox names are decoded UTF-8 with INBOX spelled
//! `INBOX`, nesting and counts are within `limits`. *Assumes*: nothing of state: whether a command is allowed
//! now is the table's business. *Never*: holds store types that could go stale; client text is a slice of
//! what was received.

use bytes::Bytes;
use ringpost_engine::change::{FlagBits, FlagOp, Flags, SpecialUse, UidSet};
use ringpost_engine::ids::{ModSeq, Uid};

use crate::proto::Secret;
use crate::proto::mime::date::Days;

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
    /// rfc2971: field and value pairs; none for `NIL`.
    Id(Vec<(Bytes, Option<Bytes>)>),
    /// rfc3501#6.2.1
    StartTls,
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
    /// rfc2342
    Namespace,
    /// rfc2177
    Idle,
    /// rfc3501#6.4.1
    Check,
    /// rfc3501#6.4.2
    Close,
    /// rfc3691
    Unselect,
    /// rfc3501#6.4.3; with a set: UID EXPUNGE, rfc4315#2.1
    Expunge {
        /// Only these UIDs.
        uids: Option<SequenceSet>,
    },
    /// rfc3501#6.4.4
    Search(Search),
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

/// SELECT or EXAMINE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// Which.
    pub mailbox: String,
    /// EXAMINE.
    pub read_only: bool,
    /// `(CONDSTORE)`, rfc7162#3.1.8
    pub condstore: bool,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// `SUBSCRIBED`
    pub subscribed: bool,
    /// `CHILDREN`
    pub children: bool,
    /// `SPECIAL-USE`
    pub special_use: bool,
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
}

/// APPEND up to its message, which follows as a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Repeated in the completion reply.
    pub tag: Bytes,
    /// Where to.
    pub mailbox: String,
    /// Flags it starts with.
    pub flags: Flags,
    /// INTERNALDATE in milliseconds since 1970 (negative before), if the client names one.
    pub internal_ms: Option<i64>,
}

/// One end of a range of a [`SequenceSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A number, never 0.
    At(u32),
    /// `*`: the largest number in use.
    Last,
}

/// Message numbers or UIDs as a client names them (rfc3501#9 `sequence-set`). Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet {
    /// Inclusive ranges in the client's order; either end may be the larger one.
    pub ranges: Vec<(Bound, Bound)>,
}

impl SequenceSet {
    /// The numbers meant when `last` is the largest in use (0: none is). Numbers above `last` stay in the
    /// set. Sequence numbers and UIDs share the type: the caller knows which it asked for.
    pub fn resolve(&self, last: u32) -> UidSet {
        let value = |bound| match bound {
            Bound::At(number) => number,
            Bound::Last => last,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .ranges
            .iter()
            .map(|&(a, b)| (value(a), value(b)))
            .filter(|&(a, b)| a != 0 && b != 0)
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect();
        // In ascending order every push is cheap, so a hostile order costs one sort.
        ranges.sort_unstable();
        let mut set = UidSet::new();
        for (first, last) in ranges {
            set.push_range(Uid(first), Uid(last));
        }
        set
    }

    /// The largest number named, `*` aside: above the number of messages it is a client's mistake.
    pub fn largest_named(&self) -> u32 {
        let number = |bound| match bound {
            Bound::At(number) => number,
            Bound::Last => 0,
        };
        self.ranges.iter().map(|&(a, b)| number(a).max(number(b))).max().unwrap_or(0)
    }

    /// Whether `*` occurs: with no message there is nothing it could mean.
    pub fn names_last(&self) -> bool {
        self.ranges.iter().any(|&(a, b)| a == Bound::Last || b == Bound::Last)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(Bound, Bound)]) -> SequenceSet {
        SequenceSet { ranges: ranges.to_vec() }
    }

    #[test]
    fn star_is_the_largest_number_in_either_place() {
        use Bound::{At, Last};
        // rfc3501#9: with 15 messages, 2,4:7,9,12:* is 2,4,5,6,7,9,12,13,14,15
        let named = set(&[(At(2), At(2)), (At(4), At(7)), (At(9), At(9)), (At(12), Last)]);
        assert_eq!(named.resolve(15).ranges(), [(2, 2), (4, 7), (9, 9), (12, 15)]);
        // and with 10, *:4,5:7 is 4..=10; UID 559:* always holds the last message
        assert_eq!(set(&[(Last, At(4)), (At(5), At(7))]).resolve(10).ranges(), [(4, 10)]);
        assert_eq!(set(&[(At(559), Last)]).resolve(200).ranges(), [(200, 559)]);
    }

    #[test]
    fn star_of_an_empty_mailbox_is_nothing() {
        use Bound::{At, Last};
        assert!(set(&[(At(1), Last), (Last, Last)]).resolve(0).is_empty());
        assert_eq!(set(&[(At(3), At(3)), (Last, Last)]).largest_named(), 3);
        assert!(!set(&[(At(3), At(3))]).names_last());
    }

    #[test]
    fn descending_order_costs_one_sort() {
        let ranges: Vec<_> =
            (0..60_000u32).rev().map(|i| (Bound::At(i * 2 + 1), Bound::At(i * 2 + 1))).collect();
        assert_eq!(SequenceSet { ranges }.resolve(9).ranges().len(), 60_000);
    }
}
