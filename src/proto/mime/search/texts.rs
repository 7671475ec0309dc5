//! The texts of a message as searches compare them: decoded, folded, a bounded piece at a time.
//!
//! *Owns*: what SEARCH TEXT looks at in a header and in a body (rfc3501#6.4.4); the search and the filter that spares
//! it both read by this, so that they see the same. *Promises*: the same text for any cut of the octets; a call
//! takes at most `MIME_DECODE_BYTES` octets. *Assumes*: the caller brings octets in order. *Never*: compares.
//!
//! Each header field is a text of its own: name, colon, space, and the unfolded value with its encoded words decoded.
//! A field longer than `MIME_FIELD_SPAN_BYTES` is read in spans that end before white space; only a word that is
//! longer than that itself is cut.

use ringpost_engine::layout::TransferEncoding;

use super::super::charset::{TextDecoder, decode_unlabelled};
use super::super::content::parameters;
use super::super::decode::Decoder;
use super::super::fold::fold_into;
use super::super::header::{self, Field};
use super::super::words::{self, WordDecoder};
use crate::limits::{MIME_DECODE_BYTES, MIME_FIELD_SPAN_BYTES, MIME_PARAMETERS_MAX};

/// Where texts go.
pub(in super::super) trait TextSink {
    /// The next piece of a body's text as it was decoded, before it comes folded.
    fn plain(&mut self, _text: &str) {}
    /// The next piece of the text, folded.
    fn folded(&mut self, text: &str);
    /// The text has ended.
    fn end(&mut self);
}

/// Reads a header, field by field.
#[derive(Debug, Default)]
pub(in super::super) struct HeaderReader {
    /// The only fields that are read, and those without their names; none for all.
    only: Option<Vec<u8>>,
    /// Open while a long field goes on.
    long: Option<Long>,
    text: Text,
}

/// A field of several spans.
#[derive(Debug)]
enum Long {
    Read(WordDecoder),
    Skipped,
}

/// Reused buffers.
#[derive(Debug, Default)]
struct Text {
    plain: String,
    folded: String,
    octets: Vec<u8>,
}

impl Text {
    /// Hands on a body's next octets, as they are and folded.
    fn decode(&mut self, octets: &[u8], last: bool, charset: &mut TextDecoder, sink: &mut impl TextSink) {
        if !last && let Some(text) = charset.plain(octets) {
            sink.plain(text);
            self.plain.push_str(text);
        } else {
            charset.push(octets, last, &mut self.plain);
            sink.plain(&self.plain);
        }
        self.put(sink);
    }

    /// Folds what is in `plain` and hands it on.
    fn put(&mut self, sink: &mut impl TextSink) {
        if self.plain.is_ascii() {
            self.plain.make_ascii_uppercase();
            sink.folded(&self.plain);
        } else {
            self.folded.clear();
            fold_into(&self.plain, &mut self.folded);
            sink.folded(&self.folded);
        }
        self.plain.clear();
    }
}

impl HeaderReader {
    /// Octets that a step must be given unless the header ends before.
    pub const WINDOW_BYTES: usize = MIME_FIELD_SPAN_BYTES + 1;

    /// Of the values of the fields of this name.
    pub fn only(name: &[u8]) -> HeaderReader {
        HeaderReader { only: Some(name.to_vec()), ..HeaderReader::default() }
    }

    /// Reads the next field, or a span of a long one, from `rest`: what is left of the header, of which the first
    /// [`HeaderReader::WINDOW_BYTES`] are enough. Returns how many octets that were; all after an empty line.
    pub fn step(&mut self, rest: &[u8], sink: &mut impl TextSink) -> usize {
        let window = &rest[..rest.len().min(Self::WINDOW_BYTES)];
        if self.long.is_some() {
            return self.go_on(window, sink);
        }
        let Some(field) = header::fields(window).next() else { return rest.len() };
        let is_wanted = self.only.as_ref().is_none_or(|name| field.is(name));
        if field.raw.len() == Self::WINDOW_BYTES {
            return self.begin_long(&field, is_wanted, sink);
        }
        if is_wanted {
            self.put_name(&field);
            let value = header::trim(field.value);
            self.text.octets.clear();
            header::unfold_into(value, &mut self.text.octets);
            let mut words = WordDecoder::default();
            words.push(&self.text.octets, &mut self.text.plain);
            words.finish(&mut self.text.plain);
            self.text.put(sink);
            sink.end();
            self.parameters(&field, sink);
        }
        field.raw.len()
    }

    fn put_name(&mut self, field: &Field<'_>) {
        if self.only.is_none() {
            self.text.plain.push_str(&decode_unlabelled(field.name));
            self.text.plain.push_str(": ");
        }
    }

    /// File names and titles that rfc2231 cuts and encodes.
    fn parameters(&mut self, field: &Field<'_>, sink: &mut impl TextSink) {
        let may_have = field.is(b"content-type") || field.is(b"content-disposition");
        if !may_have || !field.value.contains(&b'*') {
            return;
        }
        let (list, _) = parameters(&header::unfold(field.value), MIME_PARAMETERS_MAX);
        for name in [&b"name"[..], b"filename", b"title"] {
            if let Some(text) = words::parameter_text(&list, name) {
                self.text.plain.push_str(&text);
                self.text.put(sink);
                sink.end();
            }
        }
    }

    fn begin_long(&mut self, field: &Field<'_>, is_wanted: bool, sink: &mut impl TextSink) -> usize {
        let len = span_len(field.raw);
        if !is_wanted {
            self.long = Some(Long::Skipped);
            return len;
        }
        self.put_name(field);
        self.long = Some(Long::Read(WordDecoder::default()));
        let first_line = &field.raw[..header::line_end(field.raw, 0).unwrap_or(len)];
        let value_start = memchr::memchr(b':', first_line).map_or(0, |colon| colon + 1);
        self.span(field.raw.get(value_start..len).unwrap_or_default().trim_ascii_start(), sink);
        len
    }

    fn go_on(&mut self, window: &[u8], sink: &mut impl TextSink) -> usize {
        let first_end = header::line_end(window, 0).unwrap_or(window.len());
        let end = header::field_end(window, first_end);
        if end == Self::WINDOW_BYTES {
            let len = span_len(window);
            self.span(&window[..len], sink);
            return len;
        }
        self.span(window[..end].trim_ascii_end(), sink);
        if let Some(Long::Read(mut words)) = self.long.take() {
            words.finish(&mut self.text.plain);
            self.text.put(sink);
            sink.end();
        }
        end
    }

    fn span(&mut self, value: &[u8], sink: &mut impl TextSink) {
        if let Some(Long::Read(words)) = &mut self.long {
            self.text.octets.clear();
            header::unfold_into(value, &mut self.text.octets);
            words.push(&self.text.octets, &mut self.text.plain);
            self.text.put(sink);
        }
    }
}

/// How much of a long field is read at once: up to the last white space in `MIME_FIELD_SPAN_BYTES`, else all of that
/// but for what would be cut in two. At least one octet of a window that has one.
fn span_len(window: &[u8]) -> usize {
    let span = &window[..window.len().min(MIME_FIELD_SPAN_BYTES)];
    let is_space = |octet: &u8| octet.is_ascii_whitespace();
    let word_start = span.iter().rposition(is_space).map(|last| {
        // To the start of that run of white space.
        span[..last].iter().rposition(|octet| !is_space(octet)).map_or(0, |text| text + 1)
    });
    match word_start {
        Some(start) if start > 0 => start,
        _ => {
            // Neither in a UTF-8 sequence nor between a line end and what follows it.
            let cuts = |at: usize| {
                window.get(at).is_some_and(|octet| octet & 0xC0 == 0x80)
                    || matches!(window[at - 1], b'\r' | b'\n')
            };
            let ends = (1..=span.len()).rev().take(4);
            ends.into_iter().find(|&at| !cuts(at)).unwrap_or(span.len())
        }
    }
}

/// Octets of a body that are decoded, folded and handed on together: few enough to stay near, enough to be quick.
const PIECE_BYTES: usize = 4 * 1024;

/// Reads a body.
pub(in super::super) struct BodyReader {
    transfer: Decoder,
    charset: TextDecoder,
    decoded: Vec<u8>,
    decoded_size: usize,
    text: Text,
}

impl BodyReader {
    /// Of a body so encoded, in the charset of that name.
    pub fn new(encoding: TransferEncoding, charset: &str) -> BodyReader {
        BodyReader {
            transfer: Decoder::new(encoding),
            charset: TextDecoder::new(charset.as_bytes()),
            decoded: Vec::new(),
            decoded_size: 0,
            text: Text::default(),
        }
    }

    /// Reads the start of `rest`, at most `MIME_DECODE_BYTES`. Returns how many octets that were.
    pub fn step(&mut self, rest: &[u8], sink: &mut impl TextSink) -> usize {
        let window = &rest[..rest.len().min(MIME_DECODE_BYTES)];
        for piece in window.chunks(PIECE_BYTES) {
            if self.transfer.is_identity() {
                self.decoded_size += piece.len();
                self.text.decode(piece, false, &mut self.charset, sink);
            } else {
                self.decoded.clear();
                self.transfer.push(piece, &mut self.decoded);
                self.decoded_size += self.decoded.len();
                self.text.decode(&self.decoded, false, &mut self.charset, sink);
            }
        }
        window.len()
    }

    /// The body has ended. Returns how many octets it had once its transfer encoding was undone.
    pub fn finish(mut self, sink: &mut impl TextSink) -> usize {
        self.decoded.clear();
        self.transfer.finish(&mut self.decoded);
        self.text.decode(&self.decoded, true, &mut self.charset, sink);
        sink.end();
        self.decoded_size + self.decoded.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Gather {
        texts: Vec<String>,
        open: String,
    }

    impl TextSink for Gather {
        fn folded(&mut self, text: &str) {
            self.open.push_str(text);
        }
        fn end(&mut self) {
            self.texts.push(std::mem::take(&mut self.open));
        }
    }

    fn header_texts(header: &[u8]) -> Vec<String> {
        let mut gather = Gather::default();
        let mut reader = HeaderReader::default();
        let mut rest = header;
        while !rest.is_empty() {
            let taken = reader.step(rest, &mut gather);
            assert!(taken > 0);
            rest = &rest[taken..];
        }
        assert!(gather.open.is_empty());
        gather.texts
    }

    #[test]
    fn fields_are_texts_of_their_own() {
        assert_eq!(
            header_texts(
                b"Subject: =?utf-8?q?Gr=C3=BC?=\r\n =?utf-8?q?n?=\r\nno colon\r\n\
                  Content-Type: a/b; name*=utf-8''r%C3%A9.pdf\r\n\r\nnot header"
            ),
            [
                "SUBJECT: GRU\u{308}N",
                ": NO COLON",
                "CONTENT-TYPE: A/B; NAME*=UTF-8''R%C3%A9.PDF",
                "RE\u{301}.PDF"
            ]
        );
    }

    #[test]
    fn a_long_field_reads_as_if_it_were_read_at_once() {
        for unit in
            ["word ", "=?utf-8?q?=C3=BC_?= ", "\u{fc}bung\r\n\t", "=?iso-2022-jp?b?GyRCJDMbKEI=?=\r\n "]
        {
            let count = 3 * MIME_FIELD_SPAN_BYTES / unit.len();
            let value = unit.repeat(count);
            let expected = super::super::super::fold(&words::decode_words(&header::unfold(value.as_bytes())));
            for shift in 0..unit.len() {
                let header = format!("{}: {value}x\r\nNext: y\r\n\r\n", "n".repeat(shift + 1));
                let texts = header_texts(header.as_bytes());
                assert_eq!(texts.len(), 2, "{unit:?}");
                let name_len = shift + 3;
                assert!(texts[0][name_len..].starts_with(expected.trim_end()), "{unit:?} {shift}");
                assert_eq!(texts[1], "NEXT: Y");
            }
        }
    }

    #[test]
    fn a_word_longer_than_a_span_loses_nothing_but_its_unity() {
        for unit in ["x", "\u{fc}", "\u{6771}", "\u{1f600}", " ", "\r\n "] {
            let value = unit.repeat(3 * MIME_FIELD_SPAN_BYTES / unit.len());
            let texts = header_texts(format!("A: b{value}c\r\n\r\n").as_bytes());
            let unfolded = unit.replace("\r\n", "");
            let folded = super::super::super::fold(&unfolded);
            assert_eq!(texts.len(), 1);
            assert_eq!(
                texts[0].matches(&folded).count(),
                3 * MIME_FIELD_SPAN_BYTES / unit.len() + usize::from(unfolded == " ")
            );
            assert!(texts[0].ends_with('C'));
        }
        assert_eq!(header_texts("x".repeat(300_000).as_bytes())[0].len(), 300_002);
    }

    #[test]
    fn a_body_reads_the_same_for_any_cut() {
        let octets = b"gr=C3=BC=\r\nn  \r\n=E3=81=\r\n=93";
        let read = |piece: usize| {
            let mut gather = Gather::default();
            let mut reader = BodyReader::new(TransferEncoding::QuotedPrintable, "utf-8");
            for piece in octets.chunks(piece) {
                assert_eq!(reader.step(piece, &mut gather), piece.len());
            }
            (reader.finish(&mut gather), gather.texts)
        };
        assert_eq!(read(octets.len()), (10, vec!["GRU\u{308}N\r\n\u{3053}".to_owned()]));
        for piece in 1..octets.len() {
            assert_eq!(read(piece), read(octets.len()));
        }
    }
}
