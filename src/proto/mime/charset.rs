//! Charsets.
//!
//! *Owns*: octets to text by charset name, streaming.
//! *Promises*: any octets give some text, damage as U+FFFD; memory within the caller's buffers.
//! *Assumes*: names as the WHATWG list knows them, and UTF-7. *Never*: encodes.

use std::borrow::Cow;

use encoding_rs::{CoderResult, Encoding, UTF_8};

use super::decode::base64_digit;

/// The charset called `name`, case and surrounding space ignored; none when it is unknown. US-ASCII and the
/// empty name are read as UTF-8, whose first half they are.
pub fn by_name(name: &[u8]) -> Option<&'static Encoding> {
    let name = name.trim_ascii();
    if name.is_empty() || name.eq_ignore_ascii_case(b"us-ascii") || name.eq_ignore_ascii_case(b"ascii") {
        return Some(UTF_8);
    }
    Encoding::for_label_no_replacement(name)
}

/// All of `octets` as text. An unknown charset is read as UTF-8 where it is that, else as windows-1252.
pub fn decode<'a>(octets: &'a [u8], name: &[u8]) -> Cow<'a, str> {
    if is_utf7(name) {
        let mut text = String::with_capacity(octets.len());
        Utf7::default().push(octets, true, &mut text);
        return Cow::Owned(text);
    }
    match by_name(name) {
        Some(charset) if charset != UTF_8 => charset.decode_without_bom_handling(octets).0,
        _ => decode_unlabelled(octets),
    }
}

/// UTF-8 where the octets are that, else windows-1252 (8-bit headers of old mailers).
pub fn decode_unlabelled(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(octets).0,
    }
}

/// Decodes a long text piece by piece.
pub struct TextDecoder {
    kind: Kind,
}

enum Kind {
    Listed(encoding_rs::Decoder),
    Utf7(Utf7),
}

impl TextDecoder {
    /// For the charset called `name`; an unknown one is read as UTF-8.
    pub fn new(name: &[u8]) -> TextDecoder {
        let kind = if is_utf7(name) {
            Kind::Utf7(Utf7::default())
        } else {
            Kind::Listed(by_name(name).unwrap_or(UTF_8).new_decoder_with_bom_removal())
        };
        TextDecoder { kind }
    }

    /// The next octets as text, where that is what they are as they stand: most mail is ASCII. None where they, or what
    /// came before, must be looked at by [`TextDecoder::push`].
    pub fn plain<'a>(&self, octets: &'a [u8]) -> Option<&'a str> {
        let Kind::Listed(decoder) = &self.kind else { return None };
        let is_plain = decoder.latin1_byte_compatible_up_to(octets) == Some(octets.len());
        let text = is_plain.then(|| std::str::from_utf8(octets).ok())??;
        text.is_ascii().then_some(text)
    }

    /// Appends the text of the next octets; `last` ends it.
    pub fn push(&mut self, octets: &[u8], last: bool, text: &mut String) {
        let decoder = match &mut self.kind {
            Kind::Listed(decoder) => decoder,
            Kind::Utf7(utf7) => return utf7.push(octets, last, text),
        };
        let mut rest = octets;
        loop {
            // The longest that this input can become, so that one turn is the rule.
            let room = decoder.max_utf8_buffer_length(rest.len()).unwrap_or(rest.len() + 16);
            text.reserve(room);
            let (result, read, _) = decoder.decode_to_string(rest, text, last);
            rest = &rest[read..];
            match result {
                CoderResult::InputEmpty => return,
                CoderResult::OutputFull => {}
            }
        }
    }
}

/// UTF-7 is not on the WHATWG list, but in old mail (rfc2152).
fn is_utf7(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    name.eq_ignore_ascii_case(b"utf-7") || name.eq_ignore_ascii_case(b"unicode-1-1-utf-7")
}

/// Decodes UTF-7 (rfc2152): `+`, base64 of UTF-16, and anything that is no base64 ends it, a `-` being swallowed.
#[derive(Debug, Default)]
struct Utf7 {
    /// Bits of the next UTF-16 unit, and how many; none outside base64.
    shifted: Option<(u32, u32)>,
    /// Nothing came behind the `+`.
    is_empty: bool,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Utf7 {
    fn push(&mut self, octets: &[u8], last: bool, text: &mut String) {
        for &octet in octets {
            match (self.shifted, base64_digit(octet)) {
                (Some((bits, count)), Some(value)) => self.digit(bits << 6 | value, count + 6, text),
                (Some(_), None) => {
                    self.end_shift(text);
                    if octet == b'-' {
                        text.extend(self.is_empty.then_some('+'));
                    } else {
                        self.direct(octet, text);
                    }
                }
                (None, _) => self.direct(octet, text),
            }
        }
        if last {
            self.end_shift(text);
        }
    }

    fn direct(&mut self, octet: u8, text: &mut String) {
        match octet {
            b'+' => (self.shifted, self.is_empty) = (Some((0, 0)), true),
            _ if octet.is_ascii() => text.push(char::from(octet)),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
    }

    fn digit(&mut self, bits: u32, count: u32, text: &mut String) {
        self.is_empty = false;
        if count < 16 {
            self.shifted = Some((bits, count));
            return;
        }
        let left = count - 16;
        self.shifted = Some((bits & ((1 << left) - 1), left));
        let unit = (bits >> left) as u16;
        let is_low = (0xDC00..=0xDFFF).contains(&unit);
        match self.high.take() {
            Some(high) if is_low => text.extend(char::decode_utf16([high, unit]).flatten()),
            before => {
                text.extend(before.map(|_| char::REPLACEMENT_CHARACTER));
                if (0xD800..=0xDBFF).contains(&unit) {
                    self.high = Some(unit);
                } else {
                    text.push(char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
            }
        }
    }

    fn end_shift(&mut self, text: &mut String) {
        text.extend(self.high.take().map(|_| char::REPLACEMENT_CHARACTER));
        self.shifted = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_the_whatwg_list() {
        assert_eq!(decode(b"\xe4", b"ISO-8859-1"), "\u{e4}");
        assert_eq!(decode(b"\xc4\xd2", b"koi8-r"), "\u{434}\u{440}");
        assert_eq!(decode(b"\x1b$B$3\x1b(B", b"iso-2022-jp"), "\u{3053}");
        assert_eq!(decode("\u{fc}".as_bytes(), b"us-ascii"), "\u{fc}");
        assert_eq!(decode(b"\xfc", b"no-such-charset"), "\u{fc}");
        assert!(by_name(b"no-such-charset").is_none());
        assert!(by_name(b" UTF-8 ").is_some());
    }

    #[test]
    fn pieces_give_the_same_text_as_the_whole() {
        let octets = b"\x1b$B$3$s$K$A$O\x1b(B ok";
        let mut text = String::new();
        let mut decoder = TextDecoder::new(b"iso-2022-jp");
        for byte in octets {
            decoder.push(&[*byte], false, &mut text);
        }
        decoder.push(b"", true, &mut text);
        assert_eq!(text, decode(octets, b"iso-2022-jp"));
    }

    #[test]
    fn utf7_as_in_rfc2152() {
        let cases = [
            ("A+ImIDkQ.", "A\u{2262}\u{391}."),
            ("Hi Mom -+Jjo--!", "Hi Mom -\u{263a}-!"),
            ("+ZeVnLIqe-", "\u{65e5}\u{672c}\u{8a9e}"),
            ("Item 3 is +AKM-1.", "Item 3 is \u{a3}1."),
            ("1 +- 1 = 2", "1 + 1 = 2"),
            ("+2D3eAA-!", "\u{1f600}!"),
            ("+2D0-x", "\u{fffd}x"),
            ("+3gA-", "\u{fffd}"),
            ("a\u{fc}", "a\u{fffd}\u{fffd}"),
            ("+ZeU", "\u{65e5}"),
        ];
        for (octets, expected) in cases {
            assert_eq!(decode(octets.as_bytes(), b"UTF-7"), expected, "{octets}");
            let mut text = String::new();
            let mut decoder = TextDecoder::new(b"utf-7");
            for octet in octets.bytes() {
                decoder.push(&[octet], false, &mut text);
            }
            decoder.push(b"", true, &mut text);
            assert_eq!(text, expected, "{octets}");
        }
    }

    #[test]
    fn damage_becomes_the_replacement_character() {
        let mut text = String::new();
        TextDecoder::new(b"utf-8").push(b"a\xffb\xc3", true, &mut text);
        assert_eq!(text, "a\u{fffd}b\u{fffd}");
    }
}
