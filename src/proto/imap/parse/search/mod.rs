//! SEARCH and its relatives.
//!
//! *Owns*: the commands' own grammar; keys and result options are below. *Promises*: what `parse` promises.
//! *Assumes*: nothing. *Never*: knows a charset; strings stay octets.

use bytes::Bytes;

use super::lexer::Lexer;
use super::{Fault, Parsed};
use crate::limits::{IMAP_LIST_ITEMS_MAX, IMAP_SORT_CRITERIA_MAX};
use crate::proto::imap::command::{
    MultiSearch, Program, Search, SearchReturn, Sort, SortCriterion, SortKey, Source, Thread, Threading,
    UidBatches, Verb,
};

mod key;
mod options;
mod sources;

pub use key::keys;
pub use options::partial_range;

/// rfc3501#6.4.4, rfc4466#2.6.1, rfc4731#3.1
pub fn search(lexer: &mut Lexer, uid: bool) -> Parsed<Verb> {
    lexer.space()?;
    let returns = options::returns(lexer)?;
    let program = program(lexer)?;
    if returns.is_some_and(|returns| returns.relevancy) && !program.key.is_fuzzy() {
        // rfc6203#4
        return Err(Fault::Bad("RELEVANCY needs a FUZZY key"));
    }
    Ok(Verb::Search(Search { uid, returns, program }))
}

/// `esearch` (rfc7377#4)
pub fn esearch(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let sources = sources::sources(lexer)?;
    let returns = options::returns(lexer)?;
    let program = program(lexer)?;
    let wants = |wanted: fn(SearchReturn) -> bool| returns.is_some_and(wanted);
    if wants(|returns| returns.relevancy) && !program.key.is_fuzzy() {
        // rfc6203#4
        return Err(Fault::Bad("RELEVANCY needs a FUZZY key"));
    }
    if wants(|returns| returns.save) && sources != [Source::Selected] {
        // rfc7377#2.2
        return Err(Fault::Bad("SAVE is for the selected mailbox alone"));
    }
    Ok(Verb::MultiSearch(MultiSearch { sources, returns, program }))
}

/// `sort`, `extended-sort` (rfc5256#5, rfc5267#5)
pub fn sort(lexer: &mut Lexer, uid: bool) -> Parsed<Verb> {
    lexer.space()?;
    let returns = options::returns(lexer)?;
    let mut criteria = Vec::new();
    lexer.list(|lexer| {
        if criteria.len() == IMAP_SORT_CRITERIA_MAX {
            return Err(Fault::Limit("Too many sort criteria"));
        }
        criteria.push(criterion(lexer)?);
        Ok(())
    })?;
    if criteria.is_empty() {
        return Err(Fault::Bad("A sort criterion is missing"));
    }
    let program = criteria_of_charset(lexer)?;
    let scores = returns.is_some_and(|returns| returns.relevancy)
        || criteria.iter().any(|criterion| criterion.key == SortKey::Relevancy);
    if scores && !program.key.is_fuzzy() {
        // rfc6203#6
        return Err(Fault::Bad("RELEVANCY needs a FUZZY key"));
    }
    Ok(Verb::Sort(Sort { uid, returns, criteria, program }))
}

/// `sort-criterion`
fn criterion(lexer: &mut Lexer) -> Parsed<SortCriterion> {
    let mut name = lexer.keyword();
    let reverse = name.as_str() == "REVERSE";
    if reverse {
        lexer.space()?;
        name = lexer.keyword();
    }
    let key = match name.as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "RELEVANCY" => SortKey::Relevancy,
        _ => return Err(Fault::Bad("Unknown sort criterion")),
    };
    Ok(SortCriterion { key, reverse })
}

/// `thread` (rfc5256#5)
pub fn thread(lexer: &mut Lexer, uid: bool) -> Parsed<Verb> {
    lexer.space()?;
    let algorithm = match lexer.keyword().as_str() {
        "ORDEREDSUBJECT" => Threading::OrderedSubject,
        "REFERENCES" => Threading::References,
        "REFS" => Threading::Refs,
        _ => return Err(Fault::Bad("Unknown threading algorithm")),
    };
    let program = criteria_of_charset(lexer)?;
    Ok(Verb::Thread(Thread { uid, algorithm, program }))
}

/// `"CANCELUPDATE" 1*(SP quoted)` (rfc5267#5)
pub fn cancel_update(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let mut tags = vec![lexer.quoted()?];
    while lexer.more() {
        if tags.len() == IMAP_LIST_ITEMS_MAX {
            return Err(Fault::Limit("Too many tags"));
        }
        tags.push(lexer.quoted()?);
    }
    Ok(Verb::CancelUpdate(tags))
}

/// `message-batches` (rfc10022#4)
pub fn uid_batches(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let size = lexer.nz_number()?;
    let mut wanted = None;
    if lexer.more() {
        let first = lexer.nz_number()?;
        lexer.expect(b':', "A range of batches is two numbers")?;
        let last = lexer.nz_number()?;
        if first > last {
            return Err(Fault::Bad("[CLIENTBUG] A range of batches begins with the lower number"));
        }
        wanted = Some((first, last));
    }
    Ok(Verb::UidBatches(UidBatches { size, wanted }))
}

/// Whether a text is what a filter holds (rfc5466#3.2): what follows SEARCH, charset apart.
pub fn is_criteria(text: Bytes) -> bool {
    let mut lexer = Lexer::new(text);
    key::keys(&mut lexer).and_then(|_| lexer.end()).is_ok()
}

/// `search-criteria` of rfc5256#5, where the charset is not optional.
fn criteria_of_charset(lexer: &mut Lexer) -> Parsed<Program> {
    lexer.space()?;
    let charset = Some(lexer.astring()?);
    lexer.space()?;
    Ok(Program { charset, key: key::keys(lexer)? })
}

/// `search-program`
fn program(lexer: &mut Lexer) -> Parsed<Program> {
    let mut charset = None;
    if lexer.eat_keyword("CHARSET") {
        charset = Some(lexer.astring()?);
        lexer.space()?;
    }
    Ok(Program { charset, key: key::keys(lexer)? })
}

#[cfg(test)]
mod tests {
    use ringpost_engine::change::FlagBits;
    use ringpost_engine::ids::ModSeq;

    use super::*;
    use crate::limits::{IMAP_NESTING_MAX, IMAP_SEARCH_CONTENT_KEYS_MAX, IMAP_SEARCH_KEYS_MAX};
    use crate::proto::imap::command::{Bound, DayIs, PartialRange, SearchKey, SearchReturn, SequenceSet};
    use crate::proto::imap::parse::tests::{bad, limit, verb};

    fn searched(text: &str) -> Search {
        match verb(text) {
            Verb::Search(search) => search,
            other => panic!("{other:?}"),
        }
    }

    fn key(text: &str) -> SearchKey {
        searched(&format!("SEARCH {text}")).program.key
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
        assert_eq!(search.program.key, SearchKey::And(vec![flag(FlagBits::FLAGGED, true), since, not]));
        assert_eq!((search.uid, search.returns, search.program.charset), (false, None, None));
        assert_eq!(key("TEXT \"string not in mailbox\""), SearchKey::Text(bytes("string not in mailbox")));
        let search = searched("UID SEARCH CHARSET UTF-8 TEXT {6}\r\nабв");
        assert_eq!((search.uid, search.program.charset), (true, Some(bytes("UTF-8"))));
        assert_eq!(search.program.key, SearchKey::Text(bytes("абв")));
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
        let set = SequenceSet { ranges: vec![(Bound::At(2), Bound::Last)], saved: false };
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
    fn places_of_results() {
        // rfc9394#3.1
        let partial = |text: &str| searched(text).returns.and_then(|returns| returns.partial);
        let range = |one, other, from_last| Some(PartialRange { one, other, from_last });
        assert_eq!(partial("UID SEARCH RETURN (PARTIAL -1:-100) UNDELETED"), range(1, 100, true));
        assert_eq!(
            partial("UID SEARCH RETURN (PARTIAL 23500:24000 COUNT) UNDELETED"),
            range(23_500, 24_000, false)
        );
        for text in [
            "SEARCH RETURN (PARTIAL 1:2 ALL) ALL",
            "SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL",
            "SEARCH RETURN (PARTIAL 1:-2) ALL",
            "SEARCH RETURN (PARTIAL -1:2) ALL",
            "SEARCH RETURN (PARTIAL 0:2) ALL",
            "SEARCH RETURN (PARTIAL 1:*) ALL",
            "SEARCH RETURN (PARTIAL 1) ALL",
            "SEARCH RETURN (PARTIAL) ALL",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn extensions_keys() {
        assert_eq!(key("YOUNGER 259200"), SearchKey::Younger(259_200), "rfc5032#4");
        assert_eq!(key("OLDER 1"), SearchKey::Older(1));
        let fuzzy = SearchKey::Fuzzy(Box::new(header("SUBJECT", "IMAP break")));
        assert_eq!(key("FUZZY SUBJECT \"IMAP break\""), fuzzy, "rfc6203#3");
        let saved = SequenceSet { ranges: Vec::new(), saved: true };
        assert_eq!(key("UID $"), SearchKey::Uid(saved.clone()), "rfc5182#2.2");
        assert_eq!(key("$"), SearchKey::Sequence(saved));
        assert!(searched("SEARCH RETURN (RELEVANCY) NOT (OR ALL FUZZY TEXT x)").program.key.is_fuzzy());
        for text in ["SEARCH YOUNGER 0", "SEARCH OLDER", "SEARCH FUZZY", "SEARCH RETURN (RELEVANCY) TEXT x"] {
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
