//! Replies: their status lines and the pieces of FETCH data that come from the index.
//!
//! *Owns*: how a completion is said, and the wire form of flags, mod-sequences and counted replies.
//! *Promises*: writes into the caller's buffer, without an allocation of its own.
//! *Assumes*: texts are of this server's making. *Never*: decides what to say.

use std::borrow::Cow;

use bytes::BytesMut;
use ringpost_engine::change::{FlagBits, Refusal, UidSet};
use ringpost_engine::error::Refused;
use ringpost_engine::ids::{ModSeq, Uid};

use super::parse::Fault;

/// How a command ended (rfc3501#7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood, or not now.
    Bad,
}

impl Status {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::No => "NO",
            Status::Bad => "BAD",
        }
    }
}

/// A completion without its tag: `[CODE] text`, the code being part of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it ended.
    pub status: Status,
    /// Response code, if any, and words; empty for those of [`Reply::done`].
    pub text: Cow<'static, str>,
}

impl Reply {
    /// `OK`, in the words that the session has for every command.
    pub fn done() -> Reply {
        Reply::ok("")
    }
    /// `OK`
    pub fn ok(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { status: Status::Ok, text: text.into() }
    }
    /// `NO`
    pub fn no(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { status: Status::No, text: text.into() }
    }
    /// `BAD`
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Reply {
        Reply { status: Status::Bad, text: text.into() }
    }
}

/// It could not be understood, or goes over a bound (rfc5530#3).
impl From<Fault> for Reply {
    fn from(fault: Fault) -> Reply {
        match fault {
            Fault::Bad(text) => Reply::bad(text),
            Fault::Limit(text) => Reply::no(format!("[LIMIT] {text}")),
            Fault::Cannot(text) => Reply::no(format!("[CANNOT] {text}")),
        }
    }
}

/// The store did not take a change (rfc5530#3).
impl From<Refused> for Reply {
    fn from(refused: Refused) -> Reply {
        Reply::no(match refused {
            Refused::DiskFull => "[OVERQUOTA] No room for it at the moment; only expunging is possible",
            Refused::Busy => "[UNAVAILABLE] Too much is being written, try again",
            Refused::TooLarge => "[LIMIT] Too large",
            Refused::Failed => "[UNAVAILABLE] The store has stopped",
        })
    }
}

/// A change met its turn too late (rfc5530#3).
impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Reply {
        Reply::no(match refusal {
            Refusal::NoMailbox => "[NONEXISTENT] No such mailbox",
            Refusal::Exists => "[ALREADYEXISTS] That mailbox is there already",
            Refusal::Limit => "[LIMIT] A limit of the store is reached",
            // rfc9208#4.3
            Refusal::OverQuota => "[OVERQUOTA] Over quota",
            Refusal::NoAccount => "[UNAVAILABLE] The account is gone",
            Refusal::NoBody => "[SERVERBUG] The message was not stored",
            Refusal::NotFresh => "[CANNOT] The mailbox has had messages",
            Refusal::DiskFull => "[OVERQUOTA] No room for it at the moment; only expunging is possible",
        })
    }
}

/// A decimal number.
pub fn number(text: &mut BytesMut, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

/// `* n NAME`, a whole line.
pub fn untagged_number(text: &mut BytesMut, value: u64, name: &str) {
    text.extend_from_slice(b"* ");
    number(text, value);
    text.extend_from_slice(b" ");
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b"\r\n");
}

/// How a reply names the message that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// By its number.
    Number(u32),
    /// By its UID, to a client that has no numbers (rfc9586#3.3).
    Uid(Uid),
}

/// `* n FETCH (`, or `* u UIDFETCH (`.
pub fn fetch_begin(text: &mut BytesMut, name: Name) {
    text.extend_from_slice(b"* ");
    let (value, word): (u32, &[u8]) = match name {
        Name::Number(number) => (number, b" FETCH ("),
        Name::Uid(uid) => (uid.0, b" UIDFETCH ("),
    };
    number(text, u64::from(value));
    text.extend_from_slice(word);
}

/// `* VANISHED 1:3,7`, a whole line; `earlier` for what went before the client could number it
/// (rfc7162#3.2.10).
pub fn vanished(text: &mut BytesMut, earlier: bool, ranges: &[(u32, u32)]) {
    text.extend_from_slice(if earlier { b"* VANISHED (EARLIER) " } else { b"* VANISHED " });
    set_ranges(text, ranges);
    text.extend_from_slice(b"\r\n");
}

/// `* OK [HIGHESTMODSEQ n]`, a whole line (rfc7162#3.1.2.1).
pub fn highest_modseq(text: &mut BytesMut, value: ModSeq) {
    text.extend_from_slice(b"* OK [HIGHESTMODSEQ ");
    number(text, value.0);
    text.extend_from_slice(b"] Highest\r\n");
}

/// `MODSEQ (n)` (rfc7162#3.1.4.2)
pub fn modseq(text: &mut BytesMut, value: ModSeq) {
    text.extend_from_slice(b"MODSEQ (");
    number(text, value.0);
    text.extend_from_slice(b")");
}

/// System flags as they are written, by bit (rfc3501#2.3.2).
const SYSTEM_FLAGS: [(FlagBits, &str); 5] = [
    (FlagBits::SEEN, "\\Seen"),
    (FlagBits::ANSWERED, "\\Answered"),
    (FlagBits::FLAGGED, "\\Flagged"),
    (FlagBits::DELETED, "\\Deleted"),
    (FlagBits::DRAFT, "\\Draft"),
];

fn flag_names(bits: FlagBits, keywords: &[String]) -> impl Iterator<Item = &str> {
    let system = SYSTEM_FLAGS.iter().filter(move |(bit, _)| bits.contains(*bit)).map(|&(_, name)| name);
    let named = keywords.iter().enumerate();
    system.chain(named.filter(move |&(i, _)| bits.contains(FlagBits::keyword(i))).map(|(_, k)| k.as_str()))
}

fn list<'a>(text: &mut BytesMut, names: impl Iterator<Item = &'a str>) {
    text.extend_from_slice(b"(");
    for (index, name) in names.enumerate() {
        if index > 0 {
            text.extend_from_slice(b" ");
        }
        text.extend_from_slice(name.as_bytes());
    }
    text.extend_from_slice(b")");
}

/// A flag list: `(\Seen $Label)`.
pub fn flags(text: &mut BytesMut, bits: FlagBits, recent: bool, keywords: &[String]) {
    list(text, recent.then_some("\\Recent").into_iter().chain(flag_names(bits, keywords)));
}

/// What can be changed for good; `\*` if new keywords are possible (rfc3501#7.1).
pub fn permanent_flags(text: &mut BytesMut, bits: FlagBits, keywords: &[String], may_grow: bool) {
    list(text, flag_names(bits, keywords).chain(may_grow.then_some("\\*")));
}

/// A set in wire form: `1:3,7` (rfc4315#4 `uid-set`; also message numbers).
pub fn set(text: &mut BytesMut, set: &UidSet) {
    set_ranges(text, set.ranges());
}

/// Some ranges of a set.
pub fn set_ranges(text: &mut BytesMut, ranges: &[(u32, u32)]) {
    for (index, &range) in ranges.iter().enumerate() {
        if index > 0 {
            text.extend_from_slice(b",");
        }
        set_range(text, range);
    }
}

/// One range of a set.
pub fn set_range(text: &mut BytesMut, (first, last): (u32, u32)) {
    number(text, u64::from(first));
    if last != first {
        text.extend_from_slice(b":");
        number(text, u64::from(last));
    }
}

/// A set as text, for response codes.
pub fn set_text(uids: &UidSet) -> String {
    let mut text = BytesMut::new();
    set(&mut text, uids);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::ids::Uid;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut text = BytesMut::new();
        write(&mut text);
        String::from_utf8(text.to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 7, 10, 4_294_967_295, u64::MAX] {
            assert_eq!(written(|text| number(text, value)), value.to_string());
        }
    }

    #[test]
    fn flags_are_named_in_one_order() {
        let keywords = ["$Forwarded".to_owned(), "Work".to_owned()];
        let bits = FlagBits::SEEN.union(FlagBits::DRAFT).union(FlagBits::keyword(1));
        assert_eq!(written(|text| flags(text, bits, true, &keywords)), "(\\Recent \\Seen \\Draft Work)");
        assert_eq!(written(|text| flags(text, FlagBits::NONE, false, &keywords)), "()");
        assert_eq!(written(|text| permanent_flags(text, bits, &keywords, true)), "(\\Seen \\Draft Work \\*)");
    }

    #[test]
    fn sets_are_ranges() {
        let uids: UidSet = [1, 2, 3, 7, 9, 10].into_iter().map(Uid).collect();
        assert_eq!(set_text(&uids), "1:3,7,9:10");
        assert_eq!(set_text(&UidSet::new()), "");
    }
}
