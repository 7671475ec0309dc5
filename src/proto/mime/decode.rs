//! Content transfer encodings, decoded piece by piece.
//!
//! *Owns*: base64 and quoted-printable (rfc2045#6.7, #6.8). *Promises*: takes any octets and decodes what can
//! be decoded; memory stays within a line's worth beside the caller's buffer; the same input in any pieces
//! gives the same output. *Assumes*: nothing. *Never*: refuses damage: broken mail is still read; an encoding that is
//! not known is passed through, but for BINARY, which says so.

use std::ops::Range;

use ringpost_engine::layout::{Part, TransferEncoding};

use crate::limits::MIME_DECODE_BYTES;

/// Decodes one part. Feed with [`Decoder::push`], end with [`Decoder::finish`].
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Identity,
    Base64 { bits: u32, count: u8 },
    QuotedPrintable { pending: Vec<u8> },
}

/// White space that may wait for the octet that tells whether it ends a line; longer runs are let through.
const QP_PENDING_BYTES_MAX: usize = 1_000;

impl Decoder {
    /// A decoder for this encoding; an unknown one is passed through.
    pub fn new(encoding: TransferEncoding) -> Decoder {
        let state = match encoding {
            TransferEncoding::Identity | TransferEncoding::Unknown => State::Identity,
            TransferEncoding::Base64 => State::Base64 { bits: 0, count: 0 },
            TransferEncoding::QuotedPrintable => State::QuotedPrintable { pending: Vec::new() },
        };
        Decoder { state }
    }

    /// Whether octets come out as they go in.
    pub fn is_identity(&self) -> bool {
        matches!(self.state, State::Identity)
    }

    /// Decodes a piece; appends to `out` at most what the piece and what was pending hold.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => out.extend_from_slice(input),
            State::Base64 { bits, count } => push_base64(bits, count, input, out),
            State::QuotedPrintable { pending } => push_quoted_printables(pending, input, out),
        }
    }

    /// The end of the part: lets out what was pending.
    pub fn finish(self, out: &mut Vec<u8>) {
        if let State::QuotedPrintable { pending } = self.state {
            // White space at the end of a line is transport's (rfc2045#6.7 rule 3), a lone `=` a soft break.
            if pending.first() == Some(&b'=') && pending.len() > 1 {
                out.extend_from_slice(&pending);
            }
        }
    }
}

/// A transfer encoding that nobody here knows (rfc3516#4.3: `NO [UNKNOWN-CTE]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEncoding;

/// Decodes one part's body, a bounded window of its octets at a time: BINARY and BINARY.SIZE (rfc3516, rfc9051#6.4.5).
#[derive(Debug)]
pub struct PartDecoder {
    decoder: Option<Decoder>,
    at: u32,
    end: u32,
    size: u64,
}

impl PartDecoder {
    /// Of a part of a summary.
    pub fn new(part: &Part) -> Result<PartDecoder, UnknownEncoding> {
        if part.encoding == TransferEncoding::Unknown {
            return Err(UnknownEncoding);
        }
        let decoder = Some(Decoder::new(part.encoding));
        Ok(PartDecoder { decoder, at: part.body_start, end: part.body_end, size: 0 })
    }

    /// Which octets of the message the next step decodes, in octets from its start; none when all is decoded.
    pub fn wants(&self) -> Option<Range<u32>> {
        let window_max = MIME_DECODE_BYTES as u32;
        self.decoder.as_ref().map(|_| self.at..self.end.min(self.at.saturating_add(window_max)))
    }

    /// Decodes the octets that were wanted; a message that ends before them has fewer, and the part ends with it.
    /// Appends to `out` no more than `MIME_DECODE_BYTES` and what was pending.
    pub fn step(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let Some(window) = self.wants() else { return };
        let before = out.len();
        if let Some(decoder) = &mut self.decoder {
            decoder.push(&octets[..octets.len().min(window.len())], out);
        }
        self.at = window.end;
        if (window.end == self.end || octets.len() < window.len())
            && let Some(decoder) = self.decoder.take()
        {
            decoder.finish(out);
        }
        self.size += (out.len() - before) as u64;
    }

    /// Octets decoded so far; when nothing more is wanted, all of them.
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// How many octets base64 gives, without decoding it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Base64Size {
    /// Characters of the quantum under way.
    count: usize,
    size: usize,
}

impl Base64Size {
    /// Counts the start of `rest`, at most `MIME_DECODE_BYTES`. Returns how many octets that were.
    pub fn push(&mut self, rest: &[u8]) -> usize {
        let piece = &rest[..rest.len().min(MIME_DECODE_BYTES)];
        let mut rest = piece;
        while !rest.is_empty() {
            let padding = memchr::memchr(b'=', rest);
            let (run, after) = rest.split_at(padding.unwrap_or(rest.len()));
            let count = self.count + count_digits(run);
            self.size += decoded_len(count) - decoded_len(self.count);
            self.count = if padding.is_some() { 0 } else { count % 4 };
            rest = after.get(1..).unwrap_or_default();
        }
        piece.len()
    }

    /// The size.
    pub fn finish(self) -> usize {
        self.size
    }
}

/// Octets of the alphabet. No table, no branch, sums that fit an octet: the compiler makes vector code of it.
fn count_digits(octets: &[u8]) -> usize {
    let is_digit = |octet: u8| {
        // `/` stands before `0`.
        ((octet | 0x20).wrapping_sub(b'a') < 26) | (octet.wrapping_sub(b'/') < 11) | (octet == b'+')
    };
    let count = |some: &[u8]| usize::from(some.iter().map(|&octet| u8::from(is_digit(octet))).sum::<u8>());
    octets.chunks(128).map(count).sum()
}

/// Octets that are out after `count` characters.
fn decoded_len(count: usize) -> usize {
    count / 4 * 3 + (count % 4).saturating_sub(1)
}

/// What [`DIGITS`] has for octets outside the alphabet.
const NO_DIGIT: u8 = 0xFF;

/// The values of base64 digits (rfc4648#4).
static DIGITS: [u8; 256] = {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        digits[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

fn digit(octet: u8) -> u32 {
    u32::from(DIGITS[usize::from(octet)])
}

/// The value of a base64 digit; none for other octets.
pub fn base64_digit(octet: u8) -> Option<u32> {
    Some(digit(octet)).filter(|&value| value != u32::from(NO_DIGIT))
}

/// Octets outside the alphabet are skipped (rfc2045#6.8); padding ends a quantum, and more may follow it.
fn push_base64(bits: &mut u32, count: &mut u8, input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    while let Some((&first, after)) = rest.split_first() {
        if *count == 0 {
            let quanta = push_quanta(rest, out);
            if quanta > 0 {
                rest = &rest[quanta..];
                continue;
            }
        }
        rest = after;
        let Some(value) = base64_digit(first) else {
            if first == b'=' {
                (*bits, *count) = (0, 0);
            }
            continue;
        };
        *bits = (*bits << 6) | value;
        *count += 1;
        // An octet is out as soon as its bits are there, so a missing end costs nothing.
        match *count {
            2 => out.push((*bits >> 4) as u8),
            3 => out.push((*bits >> 2) as u8),
            4 => {
                out.push(*bits as u8);
                (*bits, *count) = (0, 0);
            }
            _ => {}
        }
    }
}

/// Decodes from the start of `input` while there are four digits together. Returns how many octets those were.
fn push_quanta(input: &[u8], out: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    for four in input.as_chunks::<4>().0 {
        let [first, second, third, last] = *four;
        let digits = (digit(first), digit(second), digit(third), digit(last));
        if digits.0 | digits.1 | digits.2 | digits.3 == u32::from(NO_DIGIT) {
            break;
        }
        let [_, octets @ ..] = (digits.0 << 18 | digits.1 << 12 | digits.2 << 6 | digits.3).to_be_bytes();
        out.extend_from_slice(&octets);
        taken += 4;
    }
    taken
}

/// Whole runs at once where nothing is pending.
fn push_quoted_printables(pending: &mut Vec<u8>, input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    while let Some((&first, after)) = rest.split_first() {
        if !pending.is_empty() {
            push_quoted_printable(pending, first, out);
            rest = after;
            continue;
        }
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let special = memchr::memchr2(b'=', b'\n', rest);
        let run = &rest[..special.unwrap_or(rest.len())];
        let kept = match special.map(|at| rest[at]) {
            Some(b'=') => run.len(),
            // What ends the run may end the line.
            _ => run.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1),
        };
        out.extend_from_slice(&run[..kept]);
        match (&run[kept..], &rest[run.len()..]) {
            // A soft break (rule 5).
            (_, [b'=', b'\r', b'\n', after @ ..]) => {
                rest = after;
                continue;
            }
            (b"\r", [b'\n', after @ ..]) => {
                out.extend_from_slice(b"\r\n");
                rest = after;
                continue;
            }
            (_, [b'=', high, low, after @ ..]) => {
                if let (Some(high), Some(low)) = (hex(*high), hex(*low)) {
                    out.push(high << 4 | low);
                    rest = after;
                    continue;
                }
            }
            _ => {}
        }
        let end = run.len() + usize::from(special.is_some());
        for &byte in &rest[kept..end] {
            push_quoted_printable(pending, byte, out);
        }
        rest = &rest[end..];
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// `pending` holds white space that may end the line, or `=` and what followed it.
fn push_quoted_printable(pending: &mut Vec<u8>, byte: u8, out: &mut Vec<u8>) {
    if pending.first() == Some(&b'=') {
        return push_escape(pending, byte, out);
    }
    match byte {
        b' ' | b'\t' | b'\r' if pending.len() < QP_PENDING_BYTES_MAX => pending.push(byte),
        b'=' => {
            out.append(pending);
            pending.push(byte);
        }
        b'\n' => {
            // Rule 3: white space at the end of a line was added on the way.
            if pending.last() == Some(&b'\r') {
                out.push(b'\r');
            }
            pending.clear();
            out.push(b'\n');
        }
        _ => {
            out.append(pending);
            out.push(byte);
        }
    }
}

fn push_escape(pending: &mut Vec<u8>, byte: u8, out: &mut Vec<u8>) {
    match (pending.as_slice(), byte) {
        // Rule 5: `=`, white space, line end is a soft break.
        ([b'='] | [b'=', b' ' | b'\t' | b'\r', ..], b'\n') => pending.clear(),
        ([b'='] | [b'=', b' ' | b'\t', ..], b' ' | b'\t' | b'\r') if pending.len() < QP_PENDING_BYTES_MAX => {
            pending.push(byte);
        }
        ([b'='], _) if hex(byte).is_some() => pending.push(byte),
        ([b'=', high], _) => match (hex(*high), hex(byte)) {
            (Some(high), Some(low)) => {
                pending.clear();
                out.push(high << 4 | low);
            }
            _ => give_up(pending, byte, out),
        },
        _ => give_up(pending, byte, out),
    }
}

/// `=` began nothing: it stands for itself (rfc2045#6.7, note on robust implementations).
fn give_up(pending: &mut Vec<u8>, byte: u8, out: &mut Vec<u8>) {
    out.append(pending);
    push_quoted_printable(pending, byte, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransferEncoding::{Base64, Identity, QuotedPrintable, Unknown};

    fn decoded(encoding: TransferEncoding, input: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        let mut decoder = Decoder::new(encoding);
        decoder.push(input, &mut whole);
        decoder.finish(&mut whole);
        let mut pieces = Vec::new();
        let mut decoder = Decoder::new(encoding);
        for byte in input {
            decoder.push(&[*byte], &mut pieces);
        }
        decoder.finish(&mut pieces);
        assert_eq!(whole, pieces);
        whole
    }

    fn part(encoding: TransferEncoding, body_start: u32, body_end: u32) -> Part {
        Part {
            path: vec![1],
            kind: ringpost_engine::layout::PartKind::Other,
            encoding,
            charset: String::new(),
            header_start: 0,
            body_start,
            body_end,
            lines: 0,
            nested_text_start: body_start,
            decoded_size: None,
        }
    }

    #[test]
    fn a_part_is_decoded_window_by_window() {
        let body = b"QUJD\r\n".repeat(50_000);
        let message = [b"head", &body[..], b"tail"].concat();
        let mut decoder = PartDecoder::new(&part(Base64, 4, 4 + body.len() as u32)).unwrap();
        let (mut out, mut steps) = (Vec::new(), 0);
        while let Some(window) = decoder.wants() {
            assert!(window.len() <= MIME_DECODE_BYTES);
            decoder.step(&message[window.start as usize..window.end as usize], &mut out);
            steps += 1;
        }
        assert_eq!(out, b"ABC".repeat(50_000));
        assert_eq!((decoder.size(), steps), (150_000, body.len().div_ceil(MIME_DECODE_BYTES)));
    }

    #[test]
    fn parts_that_cannot_be_decoded_or_are_not_there() {
        assert_eq!(PartDecoder::new(&part(Unknown, 0, 9)).err(), Some(UnknownEncoding));
        for (body_end, octets) in [(4, &b""[..]), (100, b"QUJ")] {
            let mut decoder = PartDecoder::new(&part(Base64, 4, body_end)).unwrap();
            let mut out = Vec::new();
            decoder.step(octets, &mut out);
            assert_eq!((decoder.wants(), &out[..]), (None, if octets.is_empty() { &b""[..] } else { b"AB" }));
        }
    }

    #[test]
    fn base64_sizes_are_counted_as_they_are_decoded() {
        for input in [
            &b"aGVs\r\nbG8="[..],
            b"aGVsbG8",
            b"a",
            b"aG",
            b"aGVsbG8=IHlvdQ==",
            b"==aa==b=cccc",
            b"a-_G!V\0s",
            &b"QUJD\r\n".repeat(500),
        ] {
            for piece in [1, 2, 3, 5, 1_000] {
                let mut size = Base64Size::default();
                for piece in input.chunks(piece) {
                    size.push(piece);
                }
                assert_eq!(size.finish(), decoded(Base64, input).len(), "{input:?}");
            }
        }
    }

    #[test]
    fn base64_with_line_ends_dirt_missing_and_inner_padding() {
        assert_eq!(decoded(Base64, b"aGVs\r\nbG8="), b"hello");
        assert_eq!(decoded(Base64, b"aGVsbG8"), b"hello");
        assert_eq!(decoded(Base64, b"a G-V*s\0bG8="), b"hello");
        assert_eq!(decoded(Base64, b"aGVsbG8=IHlvdQ=="), b"hello you");
        assert_eq!(decoded(Base64, b"===="), b"");
    }

    #[test]
    fn quoted_printable_by_its_rules() {
        assert_eq!(decoded(QuotedPrintable, b"gr=C3=BCn=3d"), "gr\u{fc}n=".as_bytes());
        assert_eq!(decoded(QuotedPrintable, b"soft=\r\nbreak= \t\r\nagain=\nand"), b"softbreakagainand");
        assert_eq!(decoded(QuotedPrintable, b"trail \t\r\nnext  "), b"trail\r\nnext");
        assert_eq!(decoded(QuotedPrintable, b"a  b\rc"), b"a  b\rc");
        assert_eq!(decoded(QuotedPrintable, b"end="), b"end");
    }

    #[test]
    fn broken_quoted_printable_stands_for_itself() {
        assert_eq!(decoded(QuotedPrintable, b"a=ZZ b=4 c==41"), b"a=ZZ b=4 c=A");
        assert_eq!(decoded(QuotedPrintable, b"a= b"), b"a= b");
        assert_eq!(decoded(QuotedPrintable, b"x=4"), b"x=4");
        let spaces = vec![b' '; 3 * QP_PENDING_BYTES_MAX];
        assert!(decoded(QuotedPrintable, &spaces).len() < spaces.len());
    }

    #[test]
    fn other_encodings_pass_through() {
        assert_eq!(decoded(Identity, b"=41"), b"=41");
        assert_eq!(decoded(Unknown, b"begin 644 x"), b"begin 644 x");
    }
}
