//! Charsets.
//!
//! *Owns*: octets to text by charset name, streaming.
//! *Promises*: any octets give some text, damage as U+FFFD; memory within the caller's buffers.
//! *Assumes*: names as the WHATWG list knows them. *Never*: encodes.

use std::borrow::Cow;

use encoding_rs::{CoderResult, Encoding, UTF_8};

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
    decoder: encoding_rs::Decoder,
}

impl TextDecoder {
    /// For the charset called `name`; an unknown one is read as UTF-8.
    pub fn new(name: &[u8]) -> TextDecoder {
        let charset = by_name(name).unwrap_or(UTF_8);
        TextDecoder { decoder: charset.new_decoder_with_bom_removal() }
    }

    /// Appends the text of the next octets; `last` ends it.
    pub fn push(&mut self, octets: &[u8], last: bool, text: &mut String) {
        let mut rest = octets;
        loop {
            // The longest that this input can become, so that one turn is the rule.
            let room = self.decoder.max_utf8_buffer_length(rest.len()).unwrap_or(rest.len() + 16);
            text.reserve(room);
            let (result, read, _) = self.decoder.decode_to_string(rest, text, last);
            rest = &rest[read..];
            match result {
                CoderResult::InputEmpty => return,
                CoderResult::OutputFull => {}
            }
        }
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
    fn damage_becomes_the_replacement_character() {
        let mut text = String::new();
        TextDecoder::new(b"utf-8").push(b"a\xffb\xc3", true, &mut text);
        assert_eq!(text, "a\u{fffd}b\u{fffd}");
    }
}
