//! IMAP's wire form of strings and lists.
//!
//! *Owns*: NIL, quoted strings and literals as ENVELOPE and BODYSTRUCTURE use them (rfc3501#4.3, #9).
//! *Promises*: no NUL, no CR, LF or 8-bit octet inside quotes; never more octets than its budget, and says
//! so.
//! *Assumes*: the reader takes synchronising-form literals `{n}`, as every client must from a server.
//! *Never*: sends anything.

use crate::limits::MIME_QUOTED_BYTES_MAX;

/// Room at the start: most answers grow once at most.
const USUAL_BYTES: usize = 256;

/// A growing answer with a bound on its strings and on the whole.
pub(super) struct Writer {
    out: Vec<u8>,
    bytes_max: usize,
    string_bytes_max: usize,
    /// Whether a string was shortened or the whole exceeded its bound.
    cut: bool,
    full: bool,
}

impl Writer {
    /// An empty answer: at most `bytes_max` octets, each string at most `string_bytes_max` of them.
    pub fn new(bytes_max: usize, string_bytes_max: usize) -> Writer {
        let out = Vec::with_capacity(bytes_max.min(USUAL_BYTES));
        Writer { out, bytes_max, string_bytes_max, cut: false, full: false }
    }

    /// Syntax that stands for itself.
    pub fn raw(&mut self, syntax: &[u8]) {
        if self.out.len() + syntax.len() > self.bytes_max {
            self.full = true;
            return;
        }
        self.out.extend_from_slice(syntax);
    }

    /// Where the next octet goes.
    pub fn at(&self) -> usize {
        self.out.len()
    }

    /// Once more what was written from `start` to `end`.
    pub fn again(&mut self, start: usize, end: usize) {
        if self.out.len() + (end - start) > self.bytes_max {
            self.full = true;
            return;
        }
        self.out.extend_from_within(start..end);
    }

    /// A number.
    pub fn number(&mut self, number: usize) {
        self.raw(number.to_string().as_bytes());
    }

    /// NIL or a string.
    pub fn nstring(&mut self, text: Option<&[u8]>) {
        match text {
            Some(text) => self.string(text),
            None => self.raw(b"NIL"),
        }
    }

    /// A string: quoted where every client can read it so, else a literal.
    pub fn string(&mut self, text: &[u8]) {
        let kept = &text[..text.len().min(self.string_bytes_max)];
        self.cut |= kept.len() < text.len();
        let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        if kept.len() <= MIME_QUOTED_BYTES_MAX && kept.iter().all(plain) {
            self.quoted(kept);
        } else {
            self.literal(kept);
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        self.raw(b"\"");
        let mut rest = text;
        while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
            self.raw(&rest[..at]);
            self.raw(&[b'\\', rest[at]]);
            rest = &rest[at + 1..];
        }
        self.raw(rest);
        self.raw(b"\"");
    }

    fn literal(&mut self, text: &[u8]) {
        self.raw(format!("{{{}}}\r\n", text.len()).as_bytes());
        if text.contains(&0) {
            // rfc3501#9, note 3: NUL must not be used at any time.
            let without: Vec<u8> = text.iter().map(|&byte| if byte == 0 { b'?' } else { byte }).collect();
            self.raw(&without);
        } else {
            self.raw(text);
        }
    }

    /// Whether the bound is exceeded: what was written is of no use, stop early.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// What was written and whether a string of it was shortened; none when it exceeded its bound.
    pub fn finish(self) -> Option<(Vec<u8>, bool)> {
        (!self.full).then_some((self.out, self.cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(10_000, 5_000);
        writer.string(text);
        writer.finish().unwrap().0
    }

    #[test]
    fn strings_are_quoted_where_every_client_reads_them() {
        assert_eq!(written(b"a \"b\" \\c"), br#""a \"b\" \\c""#);
        assert_eq!(written(b""), b"\"\"");
    }

    #[test]
    fn other_strings_are_literals() {
        assert_eq!(written("gr\u{fc}n".as_bytes()), "{5}\r\ngr\u{fc}n".as_bytes());
        assert_eq!(written(b"a\r\nb"), b"{4}\r\na\r\nb");
        assert_eq!(written(b"a\0b"), b"{3}\r\na?b");
        let long = vec![b'x'; MIME_QUOTED_BYTES_MAX + 1];
        assert_eq!(written(&long), [format!("{{{}}}\r\n", long.len()).as_bytes(), &long].concat());
    }

    #[test]
    fn the_bounds_hold() {
        let mut writer = Writer::new(10, 4);
        writer.string(b"abcdef");
        assert_eq!(writer.finish(), Some((b"\"abcd\"".to_vec(), true)));
        let mut writer = Writer::new(3, 4);
        writer.string(b"abcdef");
        assert!(writer.is_full());
        assert_eq!(writer.finish(), None);
    }
}
