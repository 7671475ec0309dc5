//! Search keys.
//!
//! *Owns*: their grammar (rfc3501#6.4.4 and the extensions' own). *Promises*: what `parse` promises; keys
//! nest at most `limits::IMAP_NESTING_MAX` deep and are at most `limits::IMAP_SEARCH_KEYS_MAX`. *Assumes*:
//! nothing. *Never*: knows a charset; strings stay octets.

use bytes::Bytes;
use ringpost_engine::change::FlagBits;

use crate::limits::{IMAP_NESTING_MAX, IMAP_SEARCH_CONTENT_KEYS_MAX, IMAP_SEARCH_KEYS_MAX};
use crate::proto::imap::command::{Bound, DayIs, SearchKey, SequenceSet};
use crate::proto::imap::parse::date::date;
use crate::proto::imap::parse::lexer::Lexer;
use crate::proto::imap::parse::sequence::sequence_set;
use crate::proto::imap::parse::store::keyword;
use crate::proto::imap::parse::{Fault, Parsed};

/// Keys up to the end of the command.
pub fn keys(lexer: &mut Lexer) -> Parsed<SearchKey> {
    let mut keys = Keys { left: IMAP_SEARCH_KEYS_MAX, content_left: IMAP_SEARCH_CONTENT_KEYS_MAX };
    let mut all = vec![keys.key(lexer, 0)?];
    while lexer.more() {
        all.push(keys.key(lexer, 0)?);
    }
    Ok(one_or_all(all))
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
            Some(b'0'..=b'9' | b'*' | b'$') => sequence_set(lexer).map(SearchKey::Sequence),
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
            "FUZZY" => {
                lexer.space()?;
                Ok(SearchKey::Fuzzy(Box::new(self.key(lexer, depth + 1)?)))
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
        use SearchKey::{Body, Header, Sent, Text, ThreadId};
        if matches!(key, Body(_) | Header { .. } | Sent(..) | Text(_) | ThreadId(_)) {
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
        // rfc8514#4.3: every mailbox here has it.
        "ALL" | "SAVEDATESUPPORTED" => SearchKey::All,
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
        "SAVEDBEFORE" => SearchKey::Saved(DayIs::Before, date(lexer)?),
        "SAVEDON" => SearchKey::Saved(DayIs::On, date(lexer)?),
        "SAVEDSINCE" => SearchKey::Saved(DayIs::Since, date(lexer)?),
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
        "EMAILID" => SearchKey::EmailId(object_id(lexer)?),
        "THREADID" => SearchKey::ThreadId(object_id(lexer)?),
        "FILTER" => SearchKey::Filter(filter_name(lexer)?),
        "OLDER" => SearchKey::Older(interval(lexer)?),
        "YOUNGER" => SearchKey::Younger(interval(lexer)?),
        "UID" => {
            lexer.space()?;
            SearchKey::Uid(sequence_set(lexer)?)
        }
        "UIDAFTER" | "UIDBEFORE" => beside_uid(lexer, name == "UIDAFTER")?,
        "MODSEQ" => modseq(lexer)?,
        _ => return Ok(None),
    }))
}

fn text(lexer: &mut Lexer) -> Parsed<Bytes> {
    lexer.space()?;
    lexer.astring()
}

/// `objectid` (rfc8474#7)
fn object_id(lexer: &mut Lexer) -> Parsed<Bytes> {
    lexer.space()?;
    lexer.atom()
}

/// `filter-name` (rfc5466#4)
fn filter_name(lexer: &mut Lexer) -> Parsed<String> {
    lexer.space()?;
    let name = lexer.atom()?;
    if name.contains(&b'/') {
        return Err(Fault::Bad("A filter's name has no slash"));
    }
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// Seconds of WITHIN's keys (rfc5032#4).
fn interval(lexer: &mut Lexer) -> Parsed<u32> {
    lexer.space()?;
    lexer.nz_number()
}

/// The UIDs above one, or below it (rfc9738#3.2).
fn beside_uid(lexer: &mut Lexer, after: bool) -> Parsed<SearchKey> {
    lexer.space()?;
    let uid = lexer.nz_number()?;
    let range = match after {
        true => uid.checked_add(1).map(|first| (first, u32::MAX)),
        false => (uid > 1).then(|| (1, uid - 1)),
    };
    let bounds = range.map(|(first, last)| (Bound::At(first), Bound::At(last)));
    Ok(match bounds {
        Some(bounds) => SearchKey::Uid(SequenceSet { ranges: vec![bounds], saved: false }),
        None => SearchKey::Not(Box::new(SearchKey::All)),
    })
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
