//! Search keys, made ready once and asked of every message.
//!
//! *Owns*: what each key means (rfc3501#6.4.4) in terms of the index, a header or a whole message.
//! *Promises*: an answer from the index alone wherever that decides, so that segments are touched for the
//! rest only. *Assumes*: the parser bounded nesting and count. *Never*: fetches what it is not given.

use ringpost_engine::change::{FlagBits, UidSet};
use ringpost_engine::ids::ModSeq;
use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::layout::SummaryView;

use crate::proto::imap::command::{DayIs, SearchKey};
use crate::proto::imap::view::{OutOfRange, View};
use crate::proto::mime::date::Days;
use crate::proto::mime::{self, Scope, charset};

/// A key with its sets resolved and its strings decoded and folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// All of them.
    And(Vec<Key>),
    /// One of both.
    Or(Box<Key>, Box<Key>),
    /// The opposite.
    Not(Box<Key>),
    /// The same for every message.
    Always(bool),
    /// All of these flags are set.
    Flag(FlagBits),
    /// `\Recent` here.
    Recent,
    /// INTERNALDATE's day.
    Internal(DayIs, Days),
    /// Size above.
    Larger(u64),
    /// Size below.
    Smaller(u64),
    /// One of these UIDs.
    Uids(UidSet),
    /// This mod-sequence or a later one.
    ModSeq(ModSeq),
    /// The Date field's day.
    Sent(DayIs, Days),
    /// A header field.
    Header {
        /// Its name.
        name: String,
        /// Folded.
        needle: String,
    },
    /// Text of the body, folded.
    Body(String),
    /// Text anywhere, folded.
    Text(String),
}

/// What is known of a message so far.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Its row.
    pub message: &'a Message,
    /// Whether it is `\Recent` here.
    pub recent: bool,
    /// Its header, if that is in memory.
    pub header: Option<&'a [u8]>,
    /// All of it, if that is in memory.
    pub whole: Option<(&'a [u8], SummaryView<'a>)>,
}

/// How much of messages a key may have to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Headers.
    pub header: bool,
    /// Whole messages.
    pub whole: bool,
    /// The client asked by mod-sequence (rfc7162#3.1.5).
    pub modseq: bool,
    /// How many keys look: each may go through all that is looked at.
    pub lookers: usize,
}

impl Key {
    /// Makes a key ready. Strings are in `charset`.
    pub fn new(
        key: &SearchKey,
        charset: &[u8],
        view: &View,
        mailbox: MailboxRef<'_>,
    ) -> Result<Key, OutOfRange> {
        let text = |octets: &[u8]| mime::fold(&charset::decode(octets, charset));
        let sub = |key: &SearchKey| Key::new(key, charset, view, mailbox);
        let plain_or_not = |key: Key, plain: bool| if plain { key } else { Key::Not(Box::new(key)) };
        Ok(match key {
            SearchKey::And(keys) => Key::And(keys.iter().map(sub).collect::<Result<_, _>>()?),
            SearchKey::Or(a, b) => Key::Or(Box::new(sub(a)?), Box::new(sub(b)?)),
            SearchKey::Not(key) => Key::Not(Box::new(sub(key)?)),
            SearchKey::All => Key::Always(true),
            SearchKey::Flag { bit, set } => plain_or_not(Key::Flag(*bit), *set),
            SearchKey::Keyword { name, set } => {
                let index = mailbox.keywords().iter().position(|known| known.eq_ignore_ascii_case(name));
                let key = index.map_or(Key::Always(false), |index| Key::Flag(FlagBits::keyword(index)));
                plain_or_not(key, *set)
            }
            SearchKey::Recent(recent) => plain_or_not(Key::Recent, *recent),
            SearchKey::Internal(is, day) => Key::Internal(*is, *day),
            SearchKey::Sent(is, day) => Key::Sent(*is, *day),
            SearchKey::Larger(size) => Key::Larger(*size),
            SearchKey::Smaller(size) => Key::Smaller(*size),
            SearchKey::Header { name, value } => {
                Key::Header { name: String::from_utf8_lossy(name).into_owned(), needle: text(value) }
            }
            SearchKey::Body(value) => Key::Body(text(value)),
            SearchKey::Text(value) => Key::Text(text(value)),
            SearchKey::Sequence(set) => Key::Uids(view.resolve(mailbox, set, false)?),
            SearchKey::Uid(set) => Key::Uids(view.resolve(mailbox, set, true)?),
            SearchKey::ModSeq(modseq) => Key::ModSeq(*modseq),
        })
    }

    /// What the key may have to see.
    pub fn needs(&self) -> Needs {
        let both = |a: Needs, b: Needs| Needs {
            header: a.header || b.header,
            whole: a.whole || b.whole,
            modseq: a.modseq || b.modseq,
            lookers: a.lookers + b.lookers,
        };
        match self {
            Key::And(keys) => keys.iter().map(Key::needs).fold(Needs::default(), both),
            Key::Or(a, b) => both(a.needs(), b.needs()),
            Key::Not(key) => key.needs(),
            Key::Sent(..) | Key::Header { .. } => Needs { header: true, lookers: 1, ..Needs::default() },
            Key::Body(_) | Key::Text(_) => Needs { whole: true, lookers: 1, ..Needs::default() },
            Key::ModSeq(_) => Needs { modseq: true, ..Needs::default() },
            _ => Needs::default(),
        }
    }

    /// UIDs that alone can match: what the outermost sets leave.
    pub fn candidates(&self, all: UidSet) -> UidSet {
        match self {
            Key::Uids(uids) => all.intersection(uids),
            Key::And(keys) => keys.iter().fold(all, |all, key| key.candidates(all)),
            _ => all,
        }
    }

    /// Whether the message matches; none if what is known does not decide it.
    pub fn matches(&self, known: &Known<'_>) -> Option<bool> {
        let message = known.message;
        match self {
            Key::And(keys) => all(keys.iter().map(|key| key.matches(known))),
            Key::Or(a, b) => {
                let opposite = all([a, b].into_iter().map(|key| key.matches(known).map(|is| !is)));
                opposite.map(|neither| !neither)
            }
            Key::Not(key) => key.matches(known).map(|is| !is),
            Key::Always(is) => Some(*is),
            Key::Flag(bits) => Some(message.flags.contains(*bits)),
            Key::Recent => Some(known.recent),
            Key::Internal(is, day) => Some(day_is(*is, (message.internal_ms / MS_PER_DAY) as Days, *day)),
            Key::Larger(size) => Some(u64::from(message.size) > *size),
            Key::Smaller(size) => Some(u64::from(message.size) < *size),
            Key::Uids(uids) => Some(uids.contains(message.uid)),
            Key::ModSeq(modseq) => Some(message.modseq >= *modseq),
            Key::Sent(is, day) => {
                known.header.map(|header| mime::sent_date(header).is_some_and(|sent| day_is(*is, sent, *day)))
            }
            Key::Header { name, needle } => {
                known.header.map(|header| mime::header_contains(header, name, needle))
            }
            Key::Body(needle) => in_text(known, needle, Scope::Body),
            Key::Text(needle) => in_text(known, needle, Scope::Text),
        }
    }
}

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// False as soon as one is false, else unknown if one is unknown.
fn all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = Some(true);
    for answer in answers {
        match answer {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = None,
        }
    }
    known
}

fn day_is(is: DayIs, day: Days, wanted: Days) -> bool {
    match is {
        DayIs::Before => day < wanted,
        DayIs::On => day == wanted,
        DayIs::Since => day >= wanted,
    }
}

fn in_text(known: &Known<'_>, needle: &str, scope: Scope) -> Option<bool> {
    if needle.is_empty() {
        return Some(true);
    }
    known.whole.as_ref().map(|(octets, summary)| mime::contains_text(octets, summary, needle, scope))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::ids::{BodyId, Uid};

    fn message() -> Message {
        Message {
            uid: Uid(7),
            modseq: ModSeq(40),
            flags: FlagBits::SEEN,
            size: 100,
            // 1994-02-01T12:00Z
            internal_ms: 760_104_000_000,
            saved_ms: 760_104_000_000,
            body: BodyId(1),
        }
    }

    fn ask(key: &Key, header: Option<&[u8]>) -> Option<bool> {
        key.matches(&Known { message: &message(), recent: false, header, whole: None })
    }

    fn flag(bits: FlagBits) -> Key {
        Key::Flag(bits)
    }

    #[test]
    fn the_index_decides_what_it_can() {
        let subject = Key::Header { name: "Subject".into(), needle: mime::fold("x") };
        let and = Key::And(vec![subject.clone(), flag(FlagBits::DELETED)]);
        assert_eq!(ask(&and, None), Some(false), "one false is enough");
        let and = Key::And(vec![subject.clone(), flag(FlagBits::SEEN)]);
        assert_eq!(ask(&and, None), None);
        let or = Key::Or(Box::new(subject.clone()), Box::new(flag(FlagBits::SEEN)));
        assert_eq!(ask(&or, None), Some(true), "one true is enough");
        let not = Key::Not(Box::new(subject));
        assert_eq!(ask(&not, None), None);
        assert_eq!(ask(&not, Some(b"Subject: abc\r\n\r\n")), Some(true));
        assert_eq!(ask(&not, Some(b"Subject: AXE\r\n\r\n")), Some(false));
    }

    #[test]
    fn sizes_and_mod_sequences_compare_as_the_rfc_says() {
        assert_eq!(ask(&Key::Larger(100), None), Some(false));
        assert_eq!(ask(&Key::Larger(99), None), Some(true));
        assert_eq!(ask(&Key::Smaller(100), None), Some(false));
        assert_eq!(ask(&Key::ModSeq(ModSeq(40)), None), Some(true));
        assert_eq!(ask(&Key::ModSeq(ModSeq(41)), None), Some(false));
    }

    #[test]
    fn days_forget_the_time() {
        let day: Days = 760_104_000 / 86_400;
        assert_eq!(ask(&Key::Internal(DayIs::On, day), None), Some(true));
        assert_eq!(ask(&Key::Internal(DayIs::Before, day), None), Some(false));
        assert_eq!(ask(&Key::Internal(DayIs::Since, day), None), Some(true));
        assert_eq!(ask(&Key::Internal(DayIs::Before, day + 1), None), Some(true));
        let header = Some(&b"Date: Tue, 1 Feb 1994 23:59:59 -0800\r\n\r\n"[..]);
        assert_eq!(ask(&Key::Sent(DayIs::On, day), header), Some(true), "in the sender's own zone");
        assert_eq!(ask(&Key::Sent(DayIs::On, day), Some(b"\r\n")), Some(false));
    }

    #[test]
    fn outer_sets_narrow_the_walk_and_inner_ones_do_not() {
        let set = |first, last| {
            let mut uids = UidSet::new();
            uids.push_range(Uid(first), Uid(last));
            uids
        };
        let (a, b) = (Key::Uids(set(2, 9)), Key::Uids(set(5, 20)));
        let and = Key::And(vec![a.clone(), flag(FlagBits::SEEN), b.clone()]);
        assert_eq!(and.candidates(set(1, 100)), set(5, 9));
        let or = Key::Or(Box::new(a.clone()), Box::new(b));
        assert_eq!(or.candidates(set(1, 100)), set(1, 100));
        assert_eq!(Key::Not(Box::new(a)).candidates(set(1, 100)), set(1, 100));
    }
}
