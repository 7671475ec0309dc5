//! What a summary knows of a message beyond its structure: keys to sort and thread by, the first words.
//!
//! *Owns*: from header fields to sort and thread keys; previews. *Promises*: linear time, texts within their
//! bounds. *Assumes*: unfolded values. *Never*: looks at a body's octets.

use ringpost_engine::layout::{SortKeys, ThreadKeys};
use ringpost_engine::limits::SORT_TEXT_BYTES_MAX;

use super::address::{self, Address, Mailbox};
use super::charset::decode_unlabelled;
use super::date::parse_rfc5322;
use super::envelope::Found;
use super::fold::fold;
use super::words::decode_words;

mod html;
mod ids;
mod preview;
mod subject;

pub use ids::message_ids;
pub(super) use preview::PreviewBuilder;
pub use subject::base_subject;

/// Makes the sort keys of a message.
pub(super) fn sort_keys(found: &Found<'_>) -> SortKeys<Vec<u8>> {
    let date = found.date.as_deref().and_then(parse_rfc5322);
    let (subject, reply_or_forward) =
        found.subject.as_deref().map(|value| base_subject(&decode_words(value))).unwrap_or_default();
    let first = |value: &Option<_>| value.as_deref().and_then(first_address);
    let (from, to, cc) = (first(&found.from), first(&found.to), first(&found.cc));
    SortKeys {
        sent_ms: date.map(|date| date.unix_seconds() * 1_000),
        sent_day: date.map(|date| date.days),
        reply_or_forward,
        subject: sort_text(&subject),
        from: from.as_ref().map_or_else(Vec::new, |from| sort_text(&decode_unlabelled(&from.local))),
        to: to.as_ref().map_or_else(Vec::new, |to| sort_text(&decode_unlabelled(&to.local))),
        cc: cc.as_ref().map_or_else(Vec::new, |cc| sort_text(&decode_unlabelled(&cc.local))),
        display_from: from.map_or_else(Vec::new, |from| sort_text(&display(from))),
        display_to: to.map_or_else(Vec::new, |to| sort_text(&display(to))),
    }
}

/// Makes the thread keys of a message.
pub(super) fn thread_keys(found: &Found<'_>) -> ThreadKeys {
    let ids = |value: &Option<_>| value.as_deref().map(message_ids).unwrap_or_default();
    ThreadKeys {
        message_id: ids(&found.message_id).first().copied().unwrap_or(0),
        references: ids(&found.references),
        in_reply_to: ids(&found.in_reply_to),
    }
}

/// The first address structure of a list as ENVELOPE shows it: a group's start has the group's name in the place
/// of the local part (rfc3501#7.4.2), and neither name nor host.
fn first_address(value: &[u8]) -> Option<Mailbox> {
    let (list, _) = address::parse(value, 1);
    match list.into_iter().next()? {
        Address::Mailbox(mailbox) => Some(mailbox),
        Address::GroupStart(local) => Some(Mailbox { local, ..Mailbox::default() }),
        Address::GroupEnd => None,
    }
}

/// The display sort value (rfc5957#3). A host that is empty here counts as NIL.
fn display(mailbox: Mailbox) -> String {
    let name = mailbox.name.as_deref().map(decode_words).unwrap_or_default();
    let local = decode_unlabelled(&mailbox.local);
    if !name.is_empty() {
        name
    } else if mailbox.domain.is_empty() {
        local.into_owned()
    } else {
        format!("{local}@{}", decode_unlabelled(&mailbox.domain))
    }
}

/// Folded and within its bound.
fn sort_text(text: &str) -> Vec<u8> {
    let mut folded = fold(text);
    let mut end = folded.len().min(SORT_TEXT_BYTES_MAX);
    while !folded.is_char_boundary(end) {
        end -= 1;
    }
    folded.truncate(end);
    folded.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(header: &str) -> (SortKeys<Vec<u8>>, ThreadKeys) {
        let found = Found::of(header.as_bytes());
        (sort_keys(&found), thread_keys(&found))
    }

    #[test]
    fn texts_are_decoded_cut_down_and_folded() {
        let (sort, _) = keys(
            "Subject: =?utf-8?q?Re:_Gr=C3=BC=C3=9Fe?=\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <Jay@x>\r\n\
             To: Bob@y\r\nCc: staff: a@b;\r\nDate: 31 Dec 2000 16:01:33 -0800\r\n\r\n",
        );
        assert_eq!(sort.subject, "GRU\u{308}\u{df}E".as_bytes());
        assert!(sort.reply_or_forward);
        assert_eq!((&sort.from[..], &sort.to[..], &sort.cc[..]), (&b"JAY"[..], &b"BOB"[..], &b"STAFF"[..]));
        assert_eq!(sort.display_from, "JU\u{308}RGEN".as_bytes());
        assert_eq!(sort.display_to, b"BOB@Y");
        // rfc5256#2.2: the same as 1 Jan 2001 00:01:33 +0000
        assert_eq!((sort.sent_ms, sort.sent_day), (Some(978_307_293_000), Some(11_322)));
    }

    #[test]
    fn what_is_missing_is_empty() {
        let (sort, thread) = keys("X: y\r\n\r\n");
        assert_eq!((sort, thread), (SortKeys::default(), ThreadKeys::default()));
        let (sort, _) = keys("From: \"\" <root>\r\nTo: undisclosed:;\r\nDate: never\r\n\r\n");
        assert_eq!((&sort.display_from[..], &sort.display_to[..]), (&b"ROOT"[..], &b"UNDISCLOSED"[..]));
        assert_eq!(sort.sent_ms, None);
    }

    #[test]
    fn a_thread_is_known_by_its_ids() {
        let (_, thread) = keys(
            "Message-ID: <\"c\"@x>\r\nReferences: <a@x>\r\n <b@x>\r\nIn-Reply-To: <b@x> (of yesterday)\r\n\r\n",
        );
        let hash = ringpost_engine::layout::message_id_hash;
        assert_eq!(thread.message_id, hash(b"c@x"));
        assert_eq!(thread.references, [hash(b"a@x"), hash(b"b@x")]);
        assert_eq!(thread.in_reply_to, [hash(b"b@x")]);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let (sort, _) = keys(&format!("Subject: x{}\r\n\r\n", "\u{6771}".repeat(2_000)));
        assert_eq!(sort.subject.len(), SORT_TEXT_BYTES_MAX - (SORT_TEXT_BYTES_MAX - 1) % 3);
    }
}
