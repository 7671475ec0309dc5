//! What a summary knows of a message beyond its structure: keys to sort and thread by, the first words.
//!
//! *Owns*: from header fields to sort and thread keys; previews. *Promises*: linear time, texts within their
//! bounds. *Assumes*: unfolded values. *Never*: looks at a body's octets.

use ringpost_engine::layout::{FieldStart, SortKeys, ThreadKeys, field_name_hash};
use ringpost_engine::limits::{FIELDS_STORED_MAX, SORT_TEXT_BYTES_MAX};

use super::address::{Address, Mailbox};
use super::charset::decode_unlabelled;
use super::date::parse_rfc5322;
use super::envelope::{Found, List};
use super::fold::fold;
use super::header::Field;
use super::words::decode_words;

mod html;
mod ids;
mod preview;
mod subject;

pub use ids::message_ids;
pub(super) use preview::PreviewBuilder;
pub use subject::base_subject;

/// What the message's own header gives to SORT, THREAD and FETCH HEADER.FIELDS.
#[derive(Debug, Default)]
pub(super) struct OwnHeader {
    /// What SORT compares.
    pub sort_keys: SortKeys<Vec<u8>>,
    /// What THREAD compares.
    pub thread_keys: ThreadKeys,
    /// The fields in order.
    pub fields: Vec<FieldStart>,
    /// Where the last one ends.
    pub fields_end: u32,
    /// Whether there are more fields.
    pub fields_overflow: bool,
}

/// Fields that most headers do not exceed.
const USUAL_FIELDS: usize = 32;

impl OwnHeader {
    /// Of a header of which nothing was read; `is_cut` when it will not be read to its end.
    pub fn new(is_cut: bool) -> OwnHeader {
        let fields = Vec::with_capacity(USUAL_FIELDS);
        OwnHeader { fields, fields_overflow: is_cut, ..OwnHeader::default() }
    }

    /// The next field.
    pub fn take(&mut self, field: &Field<'_>) {
        self.fields_overflow |= self.fields.len() == FIELDS_STORED_MAX;
        if !self.fields_overflow {
            let start = field.offset as u32;
            self.fields.push(FieldStart { name_hash: field_name_hash(field.name), start });
            self.fields_end = field.range().end as u32;
        }
    }

    /// The first member of a list: the address structure that ENVELOPE shows first. A group's start has the group's
    /// name in the place of the local part (rfc3501#7.4.2), and neither name nor host.
    pub fn take_first(&mut self, list: List, address: Address<'_>) {
        let mailbox = match address {
            Address::Mailbox(mailbox) => mailbox,
            Address::GroupStart(local) => Mailbox { local, ..Mailbox::default() },
            Address::GroupEnd => return,
        };
        let keys = &mut self.sort_keys;
        let local = sort_text(&decode_unlabelled(mailbox.local));
        match list {
            List::From => (keys.from, keys.display_from) = (local, sort_text(&display(&mailbox))),
            List::To => (keys.to, keys.display_to) = (local, sort_text(&display(&mailbox))),
            List::Cc => keys.cc = local,
        }
    }

    /// The header has ended.
    pub fn finish(&mut self, found: &Found<'_>) {
        let date = found.date.as_deref().and_then(parse_rfc5322);
        let (subject, reply_or_forward) =
            found.subject.as_deref().map(|value| base_subject(&decode_words(value))).unwrap_or_default();
        let keys = &mut self.sort_keys;
        keys.sent_ms = date.map(|date| date.unix_seconds() * 1_000);
        keys.sent_day = date.map(|date| date.days);
        keys.reply_or_forward = reply_or_forward;
        keys.subject = sort_text(&subject);
        let ids = |value: &Option<_>| value.as_deref().map(message_ids).unwrap_or_default();
        self.thread_keys = ThreadKeys {
            message_id: ids(&found.message_id).first().copied().unwrap_or(0),
            references: ids(&found.references),
            in_reply_to: ids(&found.in_reply_to),
        };
    }
}

/// The display sort value (rfc5957#3). A host that is empty here counts as NIL.
fn display(mailbox: &Mailbox<'_>) -> String {
    let name = mailbox.name.map(decode_words).unwrap_or_default();
    let local = decode_unlabelled(mailbox.local);
    if !name.is_empty() {
        name
    } else if mailbox.domain.is_empty() {
        local.into_owned()
    } else {
        format!("{local}@{}", decode_unlabelled(mailbox.domain))
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
    use super::super::wire::Writer;
    use super::super::{envelope, header};
    use super::*;

    fn keys(header: &str) -> (SortKeys<Vec<u8>>, ThreadKeys) {
        let mut found = Found::default();
        header::fields(header.as_bytes()).for_each(|field| found.take(&field));
        let mut own = OwnHeader::new(false);
        envelope::write(&found, 100, &mut Writer::new(10_000, 10_000), |list, address| {
            own.take_first(list, address);
        });
        own.finish(&found);
        (own.sort_keys, own.thread_keys)
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
