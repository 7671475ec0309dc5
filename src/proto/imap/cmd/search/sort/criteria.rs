//! From sort criteria to octets that compare.
//!
//! *Owns*: what each criterion compares (rfc5256#3, rfc5957#3, rfc6203#6). *Promises*: dates to the second,
//! texts by i;unicode-casemap as stored. *Assumes*: a message whose summary cannot be read has empty texts.
//! *Never*: parses.

use ringpost_engine::index::Message;
use ringpost_engine::layout::{SortKeys, SummaryView};

use crate::proto::imap::cmd::search::hunt::Found;
use crate::proto::imap::cmd::search::sorter::KeyWriter;
use crate::proto::imap::command::{SortCriterion, SortKey};

/// The score of a message that could not be more relevant.
const SCORE_MAX: u8 = 100;

/// Whether messages have to be scored.
pub fn wants_scores(criteria: &[SortCriterion]) -> bool {
    criteria.iter().any(|criterion| criterion.key == SortKey::Relevancy)
}

/// Whether what is stored beside the messages is compared, and not only what the index knows.
pub fn wants_summaries(criteria: &[SortCriterion]) -> bool {
    use SortKey::{Arrival, Relevancy, Size};
    !criteria.iter().all(|criterion| matches!(criterion.key, Arrival | Size | Relevancy))
}

/// The sent date in seconds since 1970 (rfc5256#2.2).
pub fn sent_s(message: &Message, keys: Option<&SortKeys<&[u8]>>) -> i64 {
    let sent_ms = keys.and_then(|keys| keys.sent_ms);
    sent_ms.unwrap_or(message.internal_ms as i64).div_euclid(1000)
}

/// Writes the key of a message.
pub fn write(
    key: &mut KeyWriter,
    criteria: &[SortCriterion],
    found: &Found,
    message: &Message,
    summary: Option<&SummaryView<'_>>,
) {
    let keys = summary.and_then(|summary| summary.sort_keys());
    for criterion in criteria {
        let text = |pick: for<'a> fn(&SortKeys<&'a [u8]>) -> &'a [u8]| keys.as_ref().map_or(&[][..], pick);
        match criterion.key {
            SortKey::Arrival => key.number(message.internal_ms / 1000),
            SortKey::Date => key.signed(sent_s(message, keys.as_ref())),
            SortKey::Size => key.number(u64::from(message.size)),
            // rfc6203#6: the most relevant first.
            SortKey::Relevancy => key.number(u64::from(SCORE_MAX.saturating_sub(found.score))),
            SortKey::Cc => key.text(text(|keys| keys.cc)),
            SortKey::From => key.text(text(|keys| keys.from)),
            SortKey::To => key.text(text(|keys| keys.to)),
            SortKey::Subject => key.text(text(|keys| keys.subject)),
            SortKey::DisplayFrom => key.text(text(|keys| keys.display_from)),
            SortKey::DisplayTo => key.text(text(|keys| keys.display_to)),
        }
        if criterion.reverse {
            key.reverse();
        }
    }
}
