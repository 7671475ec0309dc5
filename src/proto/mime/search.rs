//! Searching in what people read: decoded text, not octets.
//!
//! *Owns*: substring search over decoded headers and text parts (rfc3501#6.4.4 BODY, TEXT, HEADER).
//! *Promises*: linear time; a body is decoded `MIME_DECODE_BYTES` at a time, so memory does not grow with it.
//! *Assumes*: a needle from [`super::fold`]; a summary of the same message (wrong offsets find nothing).
//! *Never*: looks into parts that are no text.

use memchr::memmem::Finder;
use ringpost_engine::layout::{FilterBuilder, Part, PartKind, SummaryView, TransferEncoding};

use super::charset::{self, TextDecoder};
use super::content::parameters;
use super::decode::Decoder;
use super::fold::{fold, fold_into};
use super::header::{self, Field};
use super::words;
use crate::limits::{MIME_DECODE_BYTES, MIME_PARAMETERS_MAX};

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Text parts, and the headers of enclosed messages.
    Body,
    /// The message's header and those of its parts as well.
    Text,
}

/// Whether the folded needle occurs in the message's decoded text.
pub fn contains_text(message: &[u8], summary: &SummaryView<'_>, needle_folded: &str, scope: Scope) -> bool {
    if needle_folded.is_empty() {
        return true;
    }
    let finder = Finder::new(needle_folded);
    for part in summary.parts() {
        if scope == Scope::Text
            && any_field_contains(slice(message, part.header_start, part.body_start), &finder)
        {
            return true;
        }
        let found = match part.kind {
            PartKind::Text => text_contains(message, &part, &finder),
            // An enclosed message that is multipart has no part of its own, so its header is looked at here.
            PartKind::Message => {
                any_field_contains(slice(message, part.body_start, part.nested_text_start), &finder)
            }
            PartKind::Multipart | PartKind::Other => false,
        };
        if found {
            return true;
        }
    }
    false
}

/// Notes all that a search looks at.
pub(super) fn filter_of(message: &[u8], parts: &[Part]) -> Vec<u8> {
    let mut filter = FilterBuilder::new();
    let mut header = |start, end| {
        for field in header::fields(slice(message, start, end)) {
            filter.push(&field_text(&field));
            filter.end_text();
            for text in parameter_texts(&field) {
                filter.push(&text);
                filter.end_text();
            }
        }
    };
    for part in parts {
        header(part.header_start, part.body_start);
        if part.kind == PartKind::Message {
            header(part.body_start, part.nested_text_start);
        }
    }
    for part in parts.iter().filter(|part| part.kind == PartKind::Text) {
        let octets = slice(message, part.body_start, part.body_end);
        each_piece(octets, part.encoding, &part.charset, |text| {
            filter.push(&fold(text));
            false
        });
        filter.end_text();
    }
    filter.finish()
}

/// Whether a field of this name holds the folded needle in its decoded value. An empty needle asks only
/// whether the field is there (rfc3501#6.4.4 HEADER).
pub fn header_contains(message_header: &[u8], field: &str, needle_folded: &str) -> bool {
    let finder = Finder::new(needle_folded);
    header::fields(message_header)
        .filter(|candidate| candidate.is(field.as_bytes()))
        .any(|candidate| needle_folded.is_empty() || value_contains(&candidate, &finder))
}

fn slice(message: &[u8], start: u32, end: u32) -> &[u8] {
    message.get(start as usize..end as usize).unwrap_or(&[])
}

/// Whether a field contains it, its name included (`TEXT "subject: x"` finds what one sees).
fn any_field_contains(message_header: &[u8], finder: &Finder<'_>) -> bool {
    header::fields(message_header).any(|field| {
        finder.find(field_text(&field).as_bytes()).is_some() || parameter_contains(&field, finder)
    })
}

/// A field as one sees it, folded.
fn field_text(field: &Field<'_>) -> String {
    let mut text = format!("{}: ", charset::decode_unlabelled(field.name));
    text.push_str(&words::decode_words(&header::unfold(field.value)));
    fold(&text)
}

fn value_contains(field: &Field<'_>, finder: &Finder<'_>) -> bool {
    let text = words::decode_words(&header::unfold(field.value));
    finder.find(fold(&text).as_bytes()).is_some() || parameter_contains(field, finder)
}

fn parameter_contains(field: &Field<'_>, finder: &Finder<'_>) -> bool {
    parameter_texts(field).any(|text| finder.find(text.as_bytes()).is_some())
}

/// File names and titles that rfc2231 cuts and encodes, folded.
fn parameter_texts(field: &Field<'_>) -> impl Iterator<Item = String> {
    let wanted =
        (field.is(b"content-type") || field.is(b"content-disposition")) && field.value.contains(&b'*');
    let list =
        if wanted { parameters(&header::unfold(field.value), MIME_PARAMETERS_MAX).0 } else { Vec::new() };
    [&b"name"[..], b"filename", b"title"]
        .into_iter()
        .filter_map(move |name| words::parameter_text(&list, name))
        .map(|text| fold(&text))
}

/// Decodes, folds and looks piece by piece; enough of each piece is kept to find what lies across the cut.
fn text_contains(message: &[u8], part: &Part, finder: &Finder<'_>) -> bool {
    let octets = slice(message, part.body_start, part.body_end);
    let mut folded = String::new();
    let mut found = false;
    each_piece(octets, part.encoding, &part.charset, |text| {
        fold_into(text, &mut folded);
        found = finder.find(folded.as_bytes()).is_some();
        keep_tail(&mut folded, finder.needle().len() - 1);
        found
    });
    found
}

/// Calls `enough` with the decoded text of a body, a bounded piece at a time, until it says so.
pub(super) fn each_piece(
    octets: &[u8],
    encoding: TransferEncoding,
    charset: &str,
    mut enough: impl FnMut(&str) -> bool,
) {
    let mut transfer = Decoder::new(encoding);
    let mut charset = TextDecoder::new(charset.as_bytes());
    let mut decoded = Vec::new();
    let mut text = String::new();
    let mut pieces = octets.chunks(MIME_DECODE_BYTES).peekable();
    while let Some(piece) = pieces.next() {
        decoded.clear();
        text.clear();
        transfer.push(piece, &mut decoded);
        let is_last = pieces.peek().is_none();
        if is_last {
            std::mem::replace(&mut transfer, Decoder::new(encoding)).finish(&mut decoded);
        }
        charset.push(&decoded, is_last, &mut text);
        if enough(&text) {
            return;
        }
    }
}

/// Drops all but at least the last `bytes`, at a character's start.
fn keep_tail(text: &mut String, bytes: usize) {
    let mut cut = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    text.drain(..cut);
}

#[cfg(test)]
mod tests {
    use super::super::summarise;
    use super::*;

    fn contains(message: &[u8], needle: &str, scope: Scope) -> bool {
        let encoded = summarise(message).encode();
        contains_text(message, &SummaryView::new(&encoded).unwrap(), &fold(needle), scope)
    }

    const MIXED: &[u8] = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        preamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n\
        U3RyYcOfZSBuYWNoIFdpZW4=\r\n--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nCaf=E9 au=\r\n lait\r\n--b\r\n\
        Content-Type: application/pdf; name*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n\r\nsecret\r\n--b\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: inner words\r\n\r\ninner text\r\n--b--\r\n";

    #[test]
    fn bodies_are_searched_decoded_and_folded() {
        for needle in ["stra\u{df}e NACH", "caf\u{c9} au lait", "inner text", "inner words"] {
            assert!(contains(MIXED, needle, Scope::Body), "{needle}");
        }
        for needle in ["secret", "preamble", "gr\u{fc}\u{df}e", "U3RyYc", "pdf", "no such"] {
            assert!(!contains(MIXED, needle, Scope::Body), "{needle}");
        }
    }

    #[test]
    fn text_is_body_and_headers() {
        for needle in [
            "GR\u{dc}\u{df}E",
            "subject: gr",
            "r\u{e9}sum\u{e9}.pdf",
            "inner words",
            "stra\u{df}e",
            "boundary=b",
        ] {
            assert!(contains(MIXED, needle, Scope::Text), "{needle}");
        }
        assert!(!contains(MIXED, "secret", Scope::Text));
        assert!(contains(MIXED, "", Scope::Text));
    }

    #[test]
    fn the_header_of_an_enclosed_multipart_is_searched() {
        let message =
            b"Content-Type: message/rfc822\r\n\r\nSubject: deep\r\nContent-Type: multipart/mixed; boundary=x\
            \r\n\r\n--x\r\n\r\nleaf\r\n--x--\r\n";
        for scope in [Scope::Body, Scope::Text] {
            assert!(contains(message, "deep", scope));
            assert!(contains(message, "leaf", scope));
        }
    }

    #[test]
    fn what_lies_across_pieces_is_found() {
        for shift in 0..12 {
            let mut message = b"Subject: x\r\n\r\n".to_vec();
            message.extend(vec![b'.'; MIME_DECODE_BYTES - shift]);
            message.extend_from_slice("n\u{e4}edle".as_bytes());
            message.extend(vec![b'.'; 100]);
            assert!(contains(&message, "N\u{c4}EDLE", Scope::Body), "{shift}");
            assert!(!contains(&message, "n\u{e4}edlf", Scope::Body));
        }
    }

    #[test]
    fn fields_are_searched_by_name() {
        let header = b"To: =?utf-8?q?J=C3=BCrgen?= <j@x>\r\nTO: Second\r\nX-Empty:\r\n\r\nFrom: body\r\n";
        assert!(header_contains(header, "to", &fold("J\u{dc}RGEN")));
        assert!(header_contains(header, "to", &fold("second")));
        assert!(header_contains(header, "x-empty", ""));
        assert!(!header_contains(header, "x-empty", "A"));
        assert!(!header_contains(header, "from", ""));
    }

    #[test]
    fn damaged_offsets_find_nothing() {
        let encoded = summarise(MIXED).encode();
        let view = SummaryView::new(&encoded).unwrap();
        assert!(!contains_text(b"short", &view, "NACH", Scope::Text));
    }
}
