//! SEARCH.
//!
//! *Owns*: its grammar. *Promises*: what `parse` promises; keys nest at most `limits::IMAP_NESTING_MAX` deep
//! and are at most `limits::IMAP_SEARCH_KEYS_MAX`. *Assumes*: nothing. *Never*: knows a charset; strings stay
//! octets.

use bytes::Bytes;
use ringpost_engine::change::FlagBits;

use super::date::date;
use super::lexer::Lexer;
use super::sequence::sequence_set;
use super::store::keyword;
use super::{Fault, Parsed};
use crate::limits::{IMAP_NESTING_MAX, IMAP_SEARCH_CONTENT_KEYS_MAX, IMAP_SEARCH_KEYS_MAX};
use crate::proto::imap::command::{DayIs, Search, SearchKey, SearchReturn, Verb};

/// rfc3501#6.4.4, rfc4466#2.6.1, rfc4731#3.1
pub fn search(lexer: &mut Lexer, uid: bool) -> Parsed<Verb> {
    lexer.space()?;
    let returns = if lexer.eat_keyword("RETURN") { Some(return_options(lexer)?) } else { None };
    let mut charset = None;
    if lexer.eat_keyword("CHARSET") {
        charset = Some(lexer.astring()?);
        lexer.space()?;
    }
    let mut keys = Keys { left: IMAP_SEARCH_KEYS_MAX, content_left: IMAP_SEARCH_CONTENT_KEYS_MAX };
    let mut all = vec![keys.key(lexer, 0)?];
    while lexer.more() {
        all.push(keys.key(lexer, 0)?);
    }
    Ok(Verb::Search(Search { uid, returns, charset, key: one_or_all(all) }))
}

/// The list behind `RETURN`, and the space behind it.
fn return_options(lexer: &mut Lexer) -> Parsed<SearchReturn> {
    let mut returns = SearchReturn::default();
    lexer.list(|lexer| {
        let chosen = match lexer.keyword().as_str() {
            "MIN" => &mut returns.min,
            "MAX" => &mut returns.max,
            "ALL" => &mut returns.all,
            "COUNT" => &mut returns.count,
            _ => return Err(Fault::Bad("Unknown SEARCH return option")),
        };
        *chosen = true;
        Ok(())
    })?;
    lexer.space()?;
    // rfc4731#3.1: an empty list means ALL.
    returns.all |= returns == SearchReturn::default();
    Ok(returns)
}

fn one_or_all(mut keys: Vec<SearchKey>) -> SearchKey {
    match keys.pop() {
        Some(only) if keys.is_empty() => only,
        Some(last) => {
            keys.push(last);
            SearchKey::And(keys)
        }
        None => SearchKey::All,
    }
}

/// Reads keys and counts them.
struct Keys {
    left: usize,
    /// Of those that look into messages.
    content_left: usize,
}

impl Keys {
    /// `search-key`; `depth` keys are around it.
    fn key(&mut self, lexer: &mut Lexer, depth: usize) -> Parsed<SearchKey> {
        self.left = self.left.checked_sub(1).ok_or(Fault::Limit("Too many search keys"))?;
        if depth == IMAP_NESTING_MAX {
            return Err(Fault::Limit("Search keys are nested too deep"));
        }
        match lexer.peek() {
            Some(b'(') => self.list(lexer, depth),
            Some(b'0'..=b'9' | b'*') => sequence_set(lexer).map(SearchKey::Sequence),
            _ => {
                let name = lexer.keyword();
                self.named(lexer, name.as_str(), depth)
            }
        }
    }

    fn list(&mut self, lexer: &mut Lexer, depth: usize) -> Parsed<SearchKey> {
        let mut keys = Vec::new();
        lexer.list(|lexer| {
            keys.push(self.key(lexer, depth + 1)?);
            Ok(())
        })?;
        if keys.is_empty() { Err(Fault::Bad("A search key is missing")) } else { Ok(one_or_all(keys)) }
    }

    /// A key by name: those around other keys here, the others below.
    fn named(&mut self, lexer: &mut Lexer, name: &str, depth: usize) -> Parsed<SearchKey> {
        match name {
            "NOT" => {
                lexer.space()?;
                Ok(SearchKey::Not(Box::new(self.key(lexer, depth + 1)?)))
            }
            "OR" => {
                lexer.space()?;
                let one = self.key(lexer, depth + 1)?;
                lexer.space()?;
                let other = self.key(lexer, depth + 1)?;
                Ok(SearchKey::Or(Box::new(one), Box::new(other)))
            }
            _ => match plain(name) {
                Some(key) => Ok(key),
                None => {
                    let known = with_argument(lexer, name)?.ok_or(Fault::Bad("Unknown search key"))?;
                    self.count_content(&known)?;
                    Ok(known)
                }
            },
        }
    }
}

impl Keys {
    fn count_content(&mut self, key: &SearchKey) -> Parsed<()> {
        use SearchKey::{Body, Header, Sent, Text};
        if matches!(key, Body(_) | Header { .. } | Sent(..) | Text(_)) {
            let left = self.content_left.checked_sub(1);
            self.content_left = left.ok_or(Fault::Limit("Too many keys that look into messages"))?;
        }
        Ok(())
    }
}

/// A key without arguments.
fn plain(name: &str) -> Option<SearchKey> {
    let flag = |bit, set| SearchKey::Flag { bit, set };
    Some(match name {
        "ALL" => SearchKey::All,
        "ANSWERED" => flag(FlagBits::ANSWERED, true),
        "DELETED" => flag(FlagBits::DELETED, true),
        "DRAFT" => flag(FlagBits::DRAFT, true),
        "FLAGGED" => flag(FlagBits::FLAGGED, true),
        "SEEN" => flag(FlagBits::SEEN, true),
        "UNANSWERED" => flag(FlagBits::ANSWERED, false),
        "UNDELETED" => flag(FlagBits::DELETED, false),
        "UNDRAFT" => flag(FlagBits::DRAFT, false),
        "UNFLAGGED" => flag(FlagBits::FLAGGED, false),
        "UNSEEN" => flag(FlagBits::SEEN, false),
        "RECENT" => SearchKey::Recent(true),
        "OLD" => SearchKey::Recent(false),
        // rfc3501#6.4.4: the same as (RECENT UNSEEN).
        "NEW" => SearchKey::And(vec![SearchKey::Recent(true), flag(FlagBits::SEEN, false)]),
        _ => return None,
    })
}

/// A key with arguments, which follow; none if there is no such key.
fn with_argument(lexer: &mut Lexer, name: &str) -> Parsed<Option<SearchKey>> {
    Ok(Some(match name {
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
            let name = Bytes::copy_from_slice(name.as_bytes());
            SearchKey::Header { name, value: text(lexer)? }
        }
        "HEADER" => {
            let name = text(lexer)?;
            SearchKey::Header { name, value: text(lexer)? }
        }
        "BODY" => SearchKey::Body(text(lexer)?),
        "TEXT" => SearchKey::Text(text(lexer)?),
        "BEFORE" => SearchKey::Internal(DayIs::Before, date(lexer)?),
        "ON" => SearchKey::Internal(DayIs::On, date(lexer)?),
        "SINCE" => SearchKey::Internal(DayIs::Since, date(lexer)?),
        "SENTBEFORE" => SearchKey::Sent(DayIs::Before, date(lexer)?),
        "SENTON" => SearchKey::Sent(DayIs::On, date(lexer)?),
        "SENTSINCE" => SearchKey::Sent(DayIs::Since, date(lexer)?),
        "KEYWORD" | "UNKEYWORD" => {
            lexer.space()?;
            SearchKey::Keyword { name: keyword(lexer)?, set: name == "KEYWORD" }
        }
        "LARGER" => {
            lexer.space()?;
            SearchKey::Larger(lexer.number64()?)
        }
        "SMALLER" => {
            lexer.space()?;
            SearchKey::Smaller(lexer.number64()?)
        }
        "UID" => {
            lexer.space()?;
            SearchKey::Uid(sequence_set(lexer)?)
        }
        "MODSEQ" => modseq(lexer)?,
        _ => return Ok(None),
    }))
}

fn text(lexer: &mut Lexer) -> Parsed<Bytes> {
    lexer.space()?;
    lexer.astring()
}

/// `search-modsequence` (rfc7162#7). All metadata of a message share one mod-sequence here, so the entry does
/// not matter (rfc7162#3.1.5).
fn modseq(lexer: &mut Lexer) -> Parsed<SearchKey> {
    lexer.space()?;
    if lexer.peek() == Some(b'"') {
        let entry = lexer.quoted()?;
        if !entry.to_ascii_lowercase().starts_with(b"/flags/") {
            return Err(Fault::Bad("A MODSEQ entry begins with /flags/"));
        }
        lexer.space()?;
        if !matches!(lexer.keyword().as_str(), "PRIV" | "SHARED" | "ALL") {
            return Err(Fault::Bad("A MODSEQ entry's type is priv, shared or all"));
        }
        lexer.space()?;
    }
    lexer.mod_sequence().map(SearchKey::ModSeq)
}

#[cfg(test)]
mod tests {
    use ringpost_engine::ids::ModSeq;

    use super::super::tests::{bad, limit, verb};
    use super::*;
    use crate::proto::imap::command::{Bound, SequenceSet};

    fn searched(text: &str) -> Search {
        match verb(text) {
            Verb::Search(search) => search,
            other => panic!("{other:?}"),
        }
    }

    fn key(text: &str) -> SearchKey {
        searched(&format!("SEARCH {text}")).key
    }

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn header(name: &'static str, value: &'static str) -> SearchKey {
        SearchKey::Header { name: bytes(name), value: bytes(value) }
    }

    fn flag(bit: FlagBits, set: bool) -> SearchKey {
        SearchKey::Flag { bit, set }
    }

    #[test]
    fn the_examples_of_rfc3501() {
        // rfc3501#6.4.4
        let search = searched("SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"");
        let since = SearchKey::Internal(DayIs::Since, 8_797);
        let not = SearchKey::Not(Box::new(header("FROM", "Smith")));
        assert_eq!(search.key, SearchKey::And(vec![flag(FlagBits::FLAGGED, true), since, not]));
        assert_eq!((search.uid, search.returns, search.charset), (false, None, None));
        assert_eq!(key("TEXT \"string not in mailbox\""), SearchKey::Text(bytes("string not in mailbox")));
        let search = searched("UID SEARCH CHARSET UTF-8 TEXT {6}\r\nабв");
        assert_eq!((search.uid, search.charset), (true, Some(bytes("UTF-8"))));
        assert_eq!(search.key, SearchKey::Text(bytes("абв")));
    }

    #[test]
    fn keys_without_arguments() {
        for (name, bit) in [
            ("ANSWERED", FlagBits::ANSWERED),
            ("DELETED", FlagBits::DELETED),
            ("DRAFT", FlagBits::DRAFT),
            ("FLAGGED", FlagBits::FLAGGED),
            ("SEEN", FlagBits::SEEN),
        ] {
            assert_eq!(key(name), flag(bit, true));
            assert_eq!(key(&format!("un{name}")), flag(bit, false));
        }
        assert_eq!(key("all"), SearchKey::All);
        assert_eq!((key("RECENT"), key("OLD")), (SearchKey::Recent(true), SearchKey::Recent(false)));
        assert_eq!(key("NEW"), SearchKey::And(vec![SearchKey::Recent(true), flag(FlagBits::SEEN, false)]));
    }

    #[test]
    fn keys_with_arguments() {
        for name in ["BCC", "CC", "FROM", "SUBJECT", "TO"] {
            assert_eq!(key(&format!("{name} x")), header(name, "x"));
        }
        assert_eq!(key("HEADER Message-ID \"\""), header("Message-ID", ""));
        assert_eq!(key("BODY {2}\r\na "), SearchKey::Body(bytes("a ")));
        assert_eq!(key("BEFORE 1-Jan-1970"), SearchKey::Internal(DayIs::Before, 0));
        assert_eq!(key("ON \"31-dec-1969\""), SearchKey::Internal(DayIs::On, -1));
        assert_eq!(key("SENTBEFORE 2-Jan-1970"), SearchKey::Sent(DayIs::Before, 1));
        assert_eq!(key("SENTON 02-Jan-1970"), SearchKey::Sent(DayIs::On, 1));
        assert_eq!(key("SENTSINCE 29-Feb-2000"), SearchKey::Sent(DayIs::Since, 11_016));
        assert_eq!(key("KEYWORD $Junk"), SearchKey::Keyword { name: "$Junk".to_owned(), set: true });
        assert_eq!(key("UNKEYWORD x"), SearchKey::Keyword { name: "x".to_owned(), set: false });
        assert_eq!(
            (key("LARGER 0"), key("SMALLER 5000000000")),
            (SearchKey::Larger(0), SearchKey::Smaller(5_000_000_000))
        );
        let set = SequenceSet { ranges: vec![(Bound::At(2), Bound::Last)] };
        assert_eq!((key("2:*"), key("UID 2:*")), (SearchKey::Sequence(set.clone()), SearchKey::Uid(set)));
    }

    #[test]
    fn mod_sequences() {
        // rfc7162#3.1.5
        assert_eq!(key("MODSEQ 620162338"), SearchKey::ModSeq(ModSeq(620_162_338)));
        assert_eq!(key("MODSEQ \"/flags/\\\\draft\" all 620162338"), SearchKey::ModSeq(ModSeq(620_162_338)));
        for text in [
            "SEARCH MODSEQ",
            "SEARCH MODSEQ \"/x/\" all 1",
            "SEARCH MODSEQ \"/flags/a\" 1",
            "SEARCH MODSEQ \"/flags/a\" any 1",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn keys_nest() {
        let or = SearchKey::Or(
            Box::new(SearchKey::And(vec![flag(FlagBits::SEEN, true), header("TO", "x")])),
            Box::new(SearchKey::Not(Box::new(SearchKey::All))),
        );
        assert_eq!(key("OR (SEEN TO x) NOT ALL"), or);
        assert_eq!(key("(((ALL)))"), SearchKey::All);
        let nested = |depth: usize| format!("SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth));
        assert!(!limit(&nested(IMAP_NESTING_MAX - 1)));
        assert!(limit(&nested(IMAP_NESTING_MAX)));
        assert!(limit(&format!("SEARCH {}ALL", "NOT ".repeat(30_000))));
        assert!(limit(&format!("SEARCH {}", "OR ".repeat(20_000))));
        let many = |count: usize| format!("SEARCH {}", vec!["ALL"; count].join(" "));
        assert!(!limit(&many(IMAP_SEARCH_KEYS_MAX)));
        assert!(limit(&many(IMAP_SEARCH_KEYS_MAX + 1)));
        let looks = |count: usize| format!("SEARCH {}", vec!["NOT BODY x"; count].join(" "));
        assert!(!limit(&looks(IMAP_SEARCH_CONTENT_KEYS_MAX)));
        assert!(limit(&looks(IMAP_SEARCH_CONTENT_KEYS_MAX + 1)));
    }

    #[test]
    fn return_options() {
        // rfc4731#3.1
        let returns = |text: &str| searched(text).returns.unwrap();
        assert_eq!(
            returns("SEARCH RETURN (MIN COUNT) FLAGGED"),
            SearchReturn { min: true, count: true, ..SearchReturn::default() }
        );
        assert_eq!(
            returns("UID SEARCH return () ALL"),
            SearchReturn { all: true, ..SearchReturn::default() }
        );
        assert_eq!(
            returns("SEARCH RETURN (ALL MAX) CHARSET UTF-8 ALL"),
            SearchReturn { all: true, max: true, ..SearchReturn::default() }
        );
        for text in [
            "SEARCH RETURN (X) ALL",
            "SEARCH RETURN ALL",
            "SEARCH RETURN ()",
            "SEARCH RETURN (MIN",
            "SEARCH RETURN (MIN)ALL",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn broken_searches() {
        for text in [
            "SEARCH",
            "SEARCH ",
            "SEARCH ()",
            "SEARCH (ALL",
            "SEARCH ALL)",
            "SEARCH X",
            "SEARCH CHARSET UTF-8",
            "SEARCH NOT",
            "SEARCH OR ALL",
            "SEARCH OR ALL ",
            "SEARCH FROM",
            "SEARCH BEFORE yesterday",
            "SEARCH ON 30-Feb-2000",
            "SEARCH ON \"1-Jan-2000",
            "SEARCH LARGER -1",
            "SEARCH UID x",
            "SEARCH 0",
            "SEARCH HEADER a",
            "SEARCH KEYWORD \\Seen",
            "SEARCH ALL CHARSET UTF-8 ALL",
            "SEARCH ON 1-Jan-99",
        ] {
            assert!(bad(text), "{text}");
        }
    }
}
