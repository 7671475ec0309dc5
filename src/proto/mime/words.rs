//! Encoded words and encoded parameters: text in headers beyond ASCII.
//!
//! *Owns*: rfc2047 words and rfc2231 parameter values as text. *Promises*: what is not well formed stays as
//! it stands; one pass. *Assumes*: unfolded values. *Never*: encodes.

use ringpost_engine::layout::TransferEncoding;

use super::charset;
use super::content::Parameter;
use super::decode::Decoder;

/// A header field's value as text: encoded words decoded wherever they stand (rfc2047#6.2), the white space
/// between two of them dropped, raw 8-bit octets read as UTF-8 or windows-1252.
pub fn decode_words(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let mut decoder = WordDecoder::default();
    decoder.push(value, &mut text);
    decoder.finish(&mut text);
    text
}

/// [`decode_words`] of a value that comes in pieces. A piece ends before white space, so that no word is cut and
/// what stands between two words is seen whole.
#[derive(Debug, Default)]
pub(super) struct WordDecoder {
    run: Run,
}

impl WordDecoder {
    /// Appends the text of the next piece; what may still be joined waits.
    pub fn push(&mut self, piece: &[u8], text: &mut String) {
        let mut rest = piece;
        while let Some(start) = find_word_start(rest) {
            let Some(word) = EncodedWord::parse(&rest[start..]) else {
                self.run.end(text);
                text.push_str(&charset::decode_unlabelled(&rest[..start + 2]));
                rest = &rest[start + 2..];
                continue;
            };
            let between = &rest[..start];
            let joins_words = self.run.is_open() && between.trim_ascii().is_empty();
            if !joins_words {
                self.run.end(text);
                text.push_str(&charset::decode_unlabelled(between));
            }
            self.run.add(&word, text);
            rest = &rest[start + word.len..];
        }
        if !rest.is_empty() {
            self.run.end(text);
            text.push_str(&charset::decode_unlabelled(rest));
        }
    }

    /// Appends what waits.
    pub fn finish(&mut self, text: &mut String) {
        self.run.end(text);
    }
}

/// Where the next `=?` is. Question marks are rare where there is none.
fn find_word_start(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'?', text).find(|&at| at > 0 && text[at - 1] == b'=').map(|at| at - 1)
}

/// `=?charset?B?…?=` (rfc2047#2).
struct EncodedWord<'a> {
    charset: &'a [u8],
    encoding: TransferEncoding,
    octets: &'a [u8],
    /// Octets from `=?` to `?=`.
    len: usize,
}

/// Octets of one encoded word that are looked at. rfc2047#2 allows 75; mailers write more.
const WORD_BYTES_MAX: usize = 4_096;

impl<'a> EncodedWord<'a> {
    /// The word at the start of `text`, which begins with `=?`.
    fn parse(text: &'a [u8]) -> Option<EncodedWord<'a>> {
        let text = &text[..text.len().min(WORD_BYTES_MAX)];
        let charset_end = 2 + memchr::memchr(b'?', &text[2..text.len().min(2 + 128)])?;
        let encoding = match text.get(charset_end + 1)? {
            b'B' | b'b' => TransferEncoding::Base64,
            b'Q' | b'q' => TransferEncoding::QuotedPrintable,
            _ => return None,
        };
        let octets_start = charset_end + 3;
        if text.get(charset_end + 2) != Some(&b'?') {
            return None;
        }
        // Broken words may hold spaces; a `?` that is not the end makes it no word.
        let octets_len = memchr::memchr(b'?', text.get(octets_start..)?)?;
        let octets_end = octets_start + octets_len;
        if text.get(octets_end + 1) != Some(&b'=') {
            return None;
        }
        // rfc2231#5: a language may follow the charset.
        let charset = text[2..charset_end].split(|&byte| byte == b'*').next()?;
        Some(EncodedWord { charset, encoding, octets: &text[octets_start..octets_end], len: octets_end + 2 })
    }
}

/// Adjacent words of one charset: their octets are joined before they are decoded, because mailers cut
/// characters in two (against rfc2047#5).
#[derive(Debug, Default)]
struct Run {
    charset: Option<Vec<u8>>,
    octets: Vec<u8>,
}

/// Octets of words that are joined; a run of more is decoded in several pieces, cut between words.
const RUN_BYTES_MAX: usize = 64 * 1024;

impl Run {
    fn is_open(&self) -> bool {
        self.charset.is_some()
    }

    fn add(&mut self, word: &EncodedWord<'_>, text: &mut String) {
        let joins = self.octets.len() < RUN_BYTES_MAX
            && self.charset.as_ref().is_some_and(|charset| charset.eq_ignore_ascii_case(word.charset));
        if !joins {
            self.end(text);
            self.charset = Some(word.charset.to_vec());
        }
        if word.encoding == TransferEncoding::QuotedPrintable {
            // rfc2047#4.2: `_` is a space, whatever the charset.
            let spaced: Vec<u8> = word.octets.iter().map(|&b| if b == b'_' { b' ' } else { b }).collect();
            decode_hex(&spaced, b'=', &mut self.octets);
        } else {
            let mut decoder = Decoder::new(word.encoding);
            decoder.push(word.octets, &mut self.octets);
            decoder.finish(&mut self.octets);
        }
    }

    fn end(&mut self, text: &mut String) {
        if let Some(charset) = self.charset.take() {
            text.push_str(&charset::decode(&self.octets, &charset));
            self.octets.clear();
        }
    }
}

/// The octets and charset name of a parameter: as it stands, or put together from rfc2231 pieces
/// (`name*=charset'language'value`, `name*0=…`, `name*1*=…`). The plain form wins when both are there.
pub fn parameter(parameters: &[Parameter], name: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if let Some(plain) = parameters.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name)) {
        return Some((plain.value.clone(), Vec::new()));
    }
    let mut pieces: Vec<Piece<'_>> = parameters.iter().filter_map(|p| Piece::of(p, name)).collect();
    pieces.sort_by_key(|piece| piece.number);
    pieces.dedup_by_key(|piece| piece.number);
    let mut octets = Vec::new();
    let mut charset = Vec::new();
    for (expected, piece) in pieces.iter().enumerate() {
        if piece.number as usize != expected {
            break;
        }
        let mut value = piece.value;
        if piece.encoded && expected == 0 {
            let mut fields = value.splitn(3, |&byte| byte == b'\'');
            if let (Some(named), Some(_), Some(rest)) = (fields.next(), fields.next(), fields.next()) {
                charset = named.to_vec();
                value = rest;
            }
        }
        if piece.encoded {
            decode_hex(value, b'%', &mut octets);
        } else {
            octets.extend_from_slice(value);
        }
    }
    (pieces.first()?.number == 0).then_some((octets, charset))
}

/// A parameter as text; encoded words in it are decoded as well, as many mailers write them there.
pub fn parameter_text(parameters: &[Parameter], name: &[u8]) -> Option<String> {
    let (octets, charset) = parameter(parameters, name)?;
    if charset.is_empty() {
        return Some(decode_words(&octets));
    }
    Some(charset::decode(&octets, &charset).into_owned())
}

/// One numbered piece (rfc2231#3); the form without a number is piece 0.
struct Piece<'a> {
    number: u32,
    encoded: bool,
    value: &'a [u8],
}

impl<'a> Piece<'a> {
    fn of(parameter: &'a Parameter, name: &[u8]) -> Option<Piece<'a>> {
        let (head, tail) = parameter.name.split_at_checked(name.len())?;
        if !head.eq_ignore_ascii_case(name) {
            return None;
        }
        let tail = tail.strip_prefix(b"*")?;
        let (digits, encoded) = match tail.strip_suffix(b"*") {
            Some(digits) => (digits, true),
            None => (tail, tail.is_empty()),
        };
        let number = match digits {
            b"" => 0,
            _ => std::str::from_utf8(digits).ok()?.parse().ok()?,
        };
        Some(Piece { number, encoded, value: &parameter.value })
    }
}

/// Decodes `marker` and two hexadecimal digits wherever they stand.
fn decode_hex(value: &[u8], marker: u8, out: &mut Vec<u8>) {
    let hex = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        match (byte, hex(value.get(at + 1)), hex(value.get(at + 2))) {
            (found, Some(high), Some(low)) if found == marker => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::parameters;
    use super::*;

    fn words(value: &str) -> String {
        decode_words(value.as_bytes())
    }

    #[test]
    fn the_examples_of_rfc2047_8() {
        assert_eq!(words("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>"), "Keith Moore <moore@cs.utk.edu>");
        assert_eq!(words("=?ISO-8859-1?Q?Andr=E9?= Pirard"), "Andr\u{e9} Pirard");
        assert_eq!(
            words(
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= \
                 =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?="
            ),
            "If you can read this you understand the example."
        );
        assert_eq!(words("(=?ISO-8859-1?Q?a?=)"), "(a)");
        assert_eq!(words("(=?ISO-8859-1?Q?a?= b)"), "(a b)");
        assert_eq!(words("(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)"), "(ab)");
        assert_eq!(words("(=?ISO-8859-1?Q?a_b?=)"), "(a b)");
        assert_eq!(words("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)"), "(a b)");
        assert_eq!(words("=?utf-8?q?a_?= =?utf-8?q?=zz=4?="), "a =zz=4");
    }

    #[test]
    fn a_character_cut_in_two_words_is_put_together() {
        assert_eq!(words("=?utf-8?B?w7w=?= =?utf-8?Q?=C3?= =?UTF-8?Q?=BC?="), "\u{fc}\u{fc}");
    }

    #[test]
    fn what_is_no_word_stays() {
        for value in ["=?", "=??=", "=?utf-8?X?a?=", "=?utf-8?Q?a", "=?utf-8?Q?a? b", "a = ?b", "=?a?b=?"] {
            assert_eq!(words(value), value);
        }
        assert_eq!(words("=?=?utf-8?q?a?="), "=?a");
        assert_eq!(decode_words(b"gr\xfcn =?utf-8?q?a?="), "gr\u{fc}n a");
    }

    #[test]
    fn languages_in_words_are_dropped() {
        assert_eq!(words("=?US-ASCII*EN?Q?Keith?="), "Keith");
    }

    #[test]
    fn the_examples_of_rfc2231() {
        let text =
            |value: &str, name: &str| parameter_text(&parameters(value.as_bytes(), 100).0, name.as_bytes());
        assert_eq!(
            text("; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub/moore\"", "url").unwrap(),
            "ftp://cs.utk.edu/pub/moore"
        );
        assert_eq!(
            text("; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A", "title").unwrap(),
            "This is ***fun***"
        );
        let three = "; title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*0*=us-ascii'en'This%20is%20even%20more%20; \
                     title*2=\"isn't it!\"";
        assert_eq!(text(three, "title").unwrap(), "This is even more ***fun*** isn't it!");
        assert_eq!(text("; a*1=b", "a"), None);
        assert_eq!(text("; a*=%zz", "a").unwrap(), "%zz");
        assert_eq!(text("; filename=\"=?utf-8?q?=C3=BC?=\"", "FileName").unwrap(), "\u{fc}");
    }
}
