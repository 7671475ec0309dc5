//! From a framed command to its data.
//!
//! *Owns*: the grammar of every command (rfc3501#9 and the extensions' own). *Promises*: never panics,
//! whatever the octets; linear time; recursion, counts and sizes within `limits`. *Assumes*: the framer's
//! slices. *Never*: knows the session: a good command may still be out of place.
//!
//! One file per family; the table in [`verb`] names them all.

use bytes::Bytes;

use crate::proto::imap::command::{Command, SearchKey, Verb};
use crate::proto::imap::framer;

mod append;
mod auth;
mod date;
pub(in crate::proto::imap) mod fetch;
pub(in crate::proto::imap) mod lexer;
mod list;
pub(in crate::proto::imap) mod mailbox;
mod notify;
pub(in crate::proto::imap) mod search;
mod sequence;
mod sharing;
mod store;

pub use append::AppendReader;
use lexer::Lexer;

/// Why a command was not understood, and how that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not the grammar: `BAD`.
    Bad(&'static str),
    /// Grammatical, but a bound of `limits` is reached: `NO [LIMIT]` (rfc5530#3).
    Limit(&'static str),
    /// A name that no mailbox can have: `NO [CANNOT]` (rfc5530#3).
    Cannot(&'static str),
}

/// What every reading function returns.
type Parsed<T> = Result<T, Fault>;

/// A command that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Its tag, if it has one.
    pub tag: Option<Bytes>,
    /// Why.
    pub fault: Fault,
}

/// Reads a command as framed; one whose messages are streamed up to the first of them. `utf8` says whether the
/// client enabled UTF-8 ([`Lexer::speaking`]).
pub fn command(frame: &Bytes, utf8: bool) -> Result<Command, ParseError> {
    let tag = framer::tag(frame).map(|tag| frame.slice_ref(tag));
    let Some(tag) = tag else {
        return Err(ParseError { tag: None, fault: Fault::Bad("A command begins with a tag") });
    };
    let mut lexer = Lexer::new(frame.slice(tag.len()..)).speaking(utf8);
    match verb(&mut lexer).and_then(|verb| lexer.end().map(|()| verb)) {
        Ok(verb) => Ok(Command { tag, verb }),
        Err(fault) => Err(ParseError { tag: Some(tag), fault }),
    }
}

/// Search keys that stand alone, as FILTERS stores them (rfc5466#4 `search-criteria`).
pub fn search_keys(text: Bytes) -> Parsed<SearchKey> {
    let mut lexer = Lexer::new(text);
    let key = search::keys(&mut lexer)?;
    lexer.end().map(|()| key)
}

/// The command's name and arguments.
fn verb(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let name = lexer.keyword();
    match name.as_str() {
        "CAPABILITY" => Ok(Verb::Capability),
        "NOOP" => Ok(Verb::Noop),
        "LOGOUT" => Ok(Verb::Logout),
        "STARTTLS" => Ok(Verb::StartTls),
        "UNAUTHENTICATE" => Ok(Verb::Unauthenticate),
        "NAMESPACE" => Ok(Verb::Namespace),
        "IDLE" => Ok(Verb::Idle),
        "NOTIFY" => notify::notify(lexer),
        "CHECK" => Ok(Verb::Check),
        "CLOSE" => Ok(Verb::Close),
        "UNSELECT" => Ok(Verb::Unselect),
        "ID" => auth::id(lexer),
        "COMPRESS" => auth::compress(lexer),
        "AUTHENTICATE" => auth::authenticate(lexer),
        "LOGIN" => auth::login(lexer),
        "ENABLE" => auth::enable(lexer),
        "SELECT" => mailbox::select(lexer, false),
        "EXAMINE" => mailbox::select(lexer, true),
        "CREATE" => mailbox::create(lexer),
        "DELETE" => mailbox::delete(lexer),
        "RENAME" => mailbox::rename(lexer),
        "SUBSCRIBE" => mailbox::subscribe(lexer, true),
        "UNSUBSCRIBE" => mailbox::subscribe(lexer, false),
        "LIST" => list::list(lexer),
        "LSUB" => list::lsub(lexer),
        "STATUS" => list::status(lexer),
        "APPEND" => append::append(lexer),
        "REPLACE" => append::replace(lexer, false),
        "GETMETADATA" => sharing::get_metadata(lexer),
        "SETMETADATA" => sharing::set_metadata(lexer),
        "GETQUOTA" => sharing::get_quota(lexer),
        "GETQUOTAROOT" => sharing::get_quota_root(lexer),
        "SETQUOTA" => sharing::set_quota(lexer),
        "SETACL" => sharing::set_acl(lexer),
        "DELETEACL" => sharing::delete_acl(lexer),
        "GETACL" => sharing::get_acl(lexer),
        "LISTRIGHTS" => sharing::list_rights(lexer),
        "MYRIGHTS" => sharing::my_rights(lexer),
        "GENURLAUTH" => sharing::generate_urls(lexer),
        "RESETKEY" => sharing::reset_key(lexer),
        "URLFETCH" => sharing::fetch_urls(lexer),
        "EXPUNGE" => Ok(Verb::Expunge { uids: None }),
        "SEARCH" => search::search(lexer, false),
        "ESEARCH" => search::esearch(lexer),
        "SORT" => search::sort(lexer, false),
        "THREAD" => search::thread(lexer, false),
        "CANCELUPDATE" => search::cancel_update(lexer),
        "UIDBATCHES" => search::uid_batches(lexer),
        "FETCH" => fetch::fetch(lexer, false),
        "STORE" => store::store(lexer, false),
        "COPY" => store::copy(lexer, false, false),
        "MOVE" => store::copy(lexer, false, true),
        "UID" => uid(lexer),
        _ => Err(Fault::Bad("Unknown command")),
    }
}

/// rfc3501#6.4.8, rfc4315#2.1, rfc6851#4.1
fn uid(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let name = lexer.keyword();
    match name.as_str() {
        "EXPUNGE" => store::uid_expunge(lexer),
        "REPLACE" => append::replace(lexer, true),
        "SEARCH" => search::search(lexer, true),
        "ESEARCH" => search::esearch(lexer),
        "SORT" => search::sort(lexer, true),
        "THREAD" => search::thread(lexer, true),
        "FETCH" => fetch::fetch(lexer, true),
        "STORE" => store::store(lexer, true),
        "COPY" => store::copy(lexer, true, false),
        "MOVE" => store::copy(lexer, true, true),
        _ => Err(Fault::Bad("Unknown UID command")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::IMAP_LINE_BYTES_MAX;

    fn read(text: &str) -> Result<Command, Fault> {
        command(&Bytes::from(format!("A1 {text}")), false).map_err(|error| error.fault)
    }

    /// What `text` asks; it must be good.
    pub fn verb(text: &str) -> Verb {
        read(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")).verb
    }

    /// Whether `text` is refused with BAD.
    pub fn bad(text: &str) -> bool {
        matches!(read(text), Err(Fault::Bad(_)))
    }

    /// Whether `text` is refused because a bound is reached.
    pub fn limit(text: &str) -> bool {
        matches!(read(text), Err(Fault::Limit(_)))
    }

    /// Whether `text` is refused because of a mailbox name.
    pub fn cannot(text: &str) -> bool {
        matches!(read(text), Err(Fault::Cannot(_)))
    }

    fn refused(frame: &'static [u8]) -> (Option<Bytes>, Fault) {
        let error = command(&Bytes::from_static(frame), false).unwrap_err();
        (error.tag, error.fault)
    }

    #[test]
    fn commands_without_arguments() {
        for (text, expected) in [
            ("CAPABILITY", Verb::Capability),
            ("noop", Verb::Noop),
            ("Logout", Verb::Logout),
            ("STARTTLS", Verb::StartTls),
            ("NAMESPACE", Verb::Namespace),
            ("IDLE", Verb::Idle),
            ("CHECK", Verb::Check),
            ("CLOSE", Verb::Close),
            ("UNSELECT", Verb::Unselect),
            (" NOOP  ", Verb::Noop),
        ] {
            assert_eq!(verb(text), expected);
            assert!(bad(&format!("{text} x")), "{text}");
        }
    }

    #[test]
    fn refusals_name_the_tag_if_there_is_one() {
        let tag = || Some(Bytes::from_static(b"a1"));
        assert_eq!(refused(b"a1 FOO"), (tag(), Fault::Bad("Unknown command")));
        assert_eq!(refused(b"a1 \xff"), (tag(), Fault::Bad("Unknown command")));
        assert_eq!(refused(b"a1"), (tag(), Fault::Bad("Something is missing at the end")));
        let cannot = Fault::Cannot("A mailbox name is not modified UTF-7");
        assert_eq!(refused(b"a1 SELECT &"), (tag(), cannot));
        for untagged in [&b""[..], b"+ NOOP", b"\0\xff \r"] {
            assert_eq!(refused(untagged), (None, Fault::Bad("A command begins with a tag")));
        }
    }

    /// Good commands with every kind of word, for mutations.
    const SEEDS: [&[u8]; 14] = [
        b"a LOGIN {4+}\r\nfred \"a \\\"b\\\\\"",
        b"a AUTHENTICATE PLAIN AGEAYg==",
        b"a ID (\"name\" \"x\" \"version\" NIL)",
        b"a ENABLE CONDSTORE QRESYNC",
        b"a SELECT \"Entw&APw-rfe\" (CONDSTORE)",
        b"a CREATE x (USE (\\Drafts))",
        b"a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (a% \"b*\" {1}\r\nc) RETURN (CHILDREN SPECIAL-USE)",
        b"a STATUS x (MESSAGES UIDNEXT HIGHESTMODSEQ)",
        b"a UID FETCH 1:*,7 (FLAGS BODY.PEEK[1.2.HEADER.FIELDS.NOT (a \"b\")]<0.10> UID) (CHANGEDSINCE 9)",
        b"a UID SEARCH RETURN (MIN ALL) CHARSET UTF-8 OR (NOT SEEN 1:2) HEADER a {2}\r\n\xc3\xa9 \
          SENTON \"1-Feb-1994\"",
        b"a SEARCH MODSEQ \"/flags/\\\\seen\" all 1 LARGER 5 KEYWORD k",
        b"a STORE 1,*:3 (UNCHANGEDSINCE 5) -FLAGS.SILENT (\\Seen $k)",
        b"a UID MOVE 1:5 \"INBOX/x\"",
        b"a APPEND x (\\Seen k) \"17-Jul-1996 02:44:25 -0700\" ",
    ];

    /// What attackers fill a line with; each ends at a named bound or at the grammar's, without going deeper or
    /// looking again.
    #[test]
    fn floods_are_refused() {
        let line = |head: &str, piece: &str| {
            let count = (IMAP_LINE_BYTES_MAX - head.len() - 4) / piece.len();
            format!("{head}{}", piece.repeat(count))
        };
        for (head, piece) in [
            ("SEARCH ", "("),
            ("SEARCH ", "NOT "),
            ("SEARCH ", "OR "),
            ("LIST ", "("),
            ("LIST \"\" (", "* "),
            ("FETCH 1 ", "("),
            ("FETCH 1 BODY[", "1."),
            ("FETCH 1 (", "BODY[HEADER.FIELDS (a)] "),
            ("STORE 1 FLAGS ", "("),
            ("STORE 1 FLAGS (", "k "),
            ("ID ", "("),
            ("ID (", "\"a\" \"b\" "),
            ("ENABLE ", "A "),
            ("STATUS x (", "MESSAGES "),
            ("SELECT ", "&AAA-"),
            ("LOGIN ", "\""),
            ("LOGIN ", "\\"),
        ] {
            let text = line(head, piece);
            assert!(read(&text).is_err(), "{head}{piece}…");
        }
        // A SASL response may be long, but it is one word; who decodes it has its own bound.
        assert!(read(&line("AUTHENTICATE PLAIN ", "QUFB")).is_ok());
        assert!(read(&line("FETCH ", "1,").replace(",1,", ",*,")).is_err());
    }

    #[test]
    fn mutations_never_panic() {
        // A small generator with a fixed seed: the same octets at every run.
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as usize) % below
        };
        const OCTETS: &[u8] = b" ()[]<>{}+-.*%\\\"&~:,0199aAbNOT\r\n\0\x7f\xc3\xff";
        let (mut good, mut refused) = (0, 0);
        for _ in 0..60_000 {
            let mut text = SEEDS[next(SEEDS.len())].to_vec();
            for _ in 0..1 + next(3) {
                let at = next(text.len());
                match next(4) {
                    0 => text[at] = OCTETS[next(OCTETS.len())],
                    1 => text.insert(at, OCTETS[next(OCTETS.len())]),
                    2 if text.len() > 1 => drop(text.remove(at)),
                    _ => text.truncate(at + 1),
                }
            }
            let frame = Bytes::from(text);
            for utf8 in [false, true] {
                *if command(&frame, utf8).is_ok() { &mut good } else { &mut refused } += 1;
            }
        }
        assert!(good > 10_000 && refused > 60_000, "{good} good, {refused} refused");
    }

    #[test]
    fn seeds_are_good() {
        for seed in SEEDS {
            let frame = Bytes::from_static(seed);
            assert!(command(&frame, false).is_ok(), "{frame:?}");
        }
    }
}
