//! The words of a command.
//!
//! *Owns*: reading atoms, strings, numbers and lists off a framed command (rfc3501#9). *Promises*: what it
//! hands out is a slice of the command, copied only to take `\` out of a quoted string; every octet is looked
//! at once or twice. *Assumes*: the framer let every literal in with the octets it announced. *Never*: goes
//! back behind a word.
//!
//! Taken beyond the grammar, because clients send it: several spaces for one, spaces at the end of a line and
//! inside parentheses, 8-bit octets in quoted strings (rfc9051#9 allows UTF-8 there). All else is as strict
//! as the RFC.

use bytes::Bytes;
use ringpost_engine::ids::ModSeq;

use super::{Fault, Parsed};
use crate::limits::IMAP_LIST_ITEMS_MAX;
use crate::proto::imap::framer::Literal;

/// A command being read.
pub struct Lexer {
    whole: Bytes,
    at: usize,
    utf8: bool,
}

/// A word that the grammar spells out, in upper case. Longer words are none that is known.
pub struct Keyword {
    text: [u8; Keyword::BYTES_MAX],
    len: usize,
}

impl Keyword {
    /// Octets of the longest one, with room.
    const BYTES_MAX: usize = 24;

    /// The word, for `match`; empty if it is too long for any.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or("")
    }

    fn new(word: &[u8]) -> Keyword {
        let mut keyword = Keyword { text: [0; Keyword::BYTES_MAX], len: 0 };
        if word.len() <= Keyword::BYTES_MAX {
            keyword.len = word.len();
            keyword.text[..word.len()].copy_from_slice(word);
            keyword.text.make_ascii_uppercase();
        }
        keyword
    }
}

impl Lexer {
    /// At the start of a command.
    pub fn new(whole: Bytes) -> Lexer {
        Lexer { whole, at: 0, utf8: false }
    }

    /// The same for a client that enabled UTF-8: quoted strings must be good UTF-8 (rfc9755#3), and so are
    /// mailbox names, which are modified UTF-7 otherwise.
    pub fn speaking(self, utf8: bool) -> Lexer {
        Lexer { utf8, ..self }
    }

    /// Whether the client enabled UTF-8.
    pub fn utf8(&self) -> bool {
        self.utf8
    }

    fn rest(&self) -> &[u8] {
        &self.whole[self.at..]
    }

    /// The next octet, still there.
    pub fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Takes `octet` if it is next.
    pub fn eat(&mut self, octet: u8) -> bool {
        let there = self.peek() == Some(octet);
        self.at += usize::from(there);
        there
    }

    /// Takes `octet` or fails with `reason`.
    pub fn expect(&mut self, octet: u8, reason: &'static str) -> Parsed<()> {
        if self.eat(octet) { Ok(()) } else { Err(Fault::Bad(reason)) }
    }

    /// Whether a list follows the space here, which is then behind.
    pub fn list_ahead(&mut self) -> bool {
        let ahead = self.rest().starts_with(b" (");
        self.at += usize::from(ahead);
        ahead
    }

    /// The space between two words.
    pub fn space(&mut self) -> Parsed<()> {
        if self.at == self.whole.len() {
            return Err(Fault::Bad("Something is missing at the end"));
        }
        self.expect(b' ', "A space is missing")?;
        self.skip_spaces();
        Ok(())
    }

    fn skip_spaces(&mut self) {
        while self.eat(b' ') {}
    }

    /// Takes a space that has another word behind it. Whether there was one.
    pub fn more(&mut self) -> bool {
        let start = self.at;
        self.skip_spaces();
        self.at > start && self.peek().is_some_and(|octet| octet != b')')
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at == self.whole.len()
    }

    /// All that is left, for another reader.
    pub fn take_rest(&mut self) -> Bytes {
        let rest = self.whole.len() - self.at;
        self.take(rest)
    }

    /// The end of the command.
    pub fn end(&mut self) -> Parsed<()> {
        self.skip_spaces();
        if self.at == self.whole.len() {
            Ok(())
        } else {
            Err(Fault::Bad("Unexpected text after the command"))
        }
    }

    fn take_while(&mut self, class: impl Fn(u8) -> bool) -> Bytes {
        let count = self.rest().iter().take_while(|&&octet| class(octet)).count();
        self.take(count)
    }

    fn take(&mut self, count: usize) -> Bytes {
        let start = self.at;
        self.at += count;
        self.whole.slice(start..self.at)
    }

    /// One of the grammar's own words; empty if there is none.
    pub fn keyword(&mut self) -> Keyword {
        Keyword::new(&self.take_while(is_keyword_char))
    }

    /// `keyword`, with the space behind it, if that is the next word.
    pub fn eat_keyword(&mut self, keyword: &str) -> bool {
        let Some((word, rest)) = self.rest().split_at_checked(keyword.len()) else { return false };
        let there = word.eq_ignore_ascii_case(keyword.as_bytes()) && rest.first() == Some(&b' ');
        if there {
            self.at += keyword.len();
            self.skip_spaces();
        }
        there
    }

    /// Takes `text`, in any case, if that is next.
    pub fn eat_text(&mut self, text: &str) -> bool {
        let next = self.rest().get(..text.len());
        let there = next.is_some_and(|next| next.eq_ignore_ascii_case(text.as_bytes()));
        self.at += if there { text.len() } else { 0 };
        there
    }

    /// `atom`
    pub fn atom(&mut self) -> Parsed<Bytes> {
        let atom = self.take_while(is_atom_char);
        if atom.is_empty() { Err(Fault::Bad("An atom is missing")) } else { Ok(atom) }
    }

    /// `astring`
    pub fn astring(&mut self) -> Parsed<Bytes> {
        self.string_or(|octet| is_atom_char(octet) || octet == b']')
    }

    /// `list-mailbox`
    pub fn list_mailbox(&mut self) -> Parsed<Bytes> {
        self.string_or(|octet| is_atom_char(octet) || matches!(octet, b']' | b'%' | b'*'))
    }

    fn string_or(&mut self, class: impl Fn(u8) -> bool) -> Parsed<Bytes> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        let word = self.take_while(class);
        if word.is_empty() { Err(Fault::Bad("A string is missing")) } else { Ok(word) }
    }

    /// `string`
    pub fn string(&mut self) -> Parsed<Bytes> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err(Fault::Bad("A string is missing")),
        }
    }

    /// `nstring`
    pub fn nstring(&mut self) -> Parsed<Option<Bytes>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string().map(Some);
        }
        if self.keyword().as_str() == "NIL" {
            Ok(None)
        } else {
            Err(Fault::Bad("A string or NIL is missing"))
        }
    }

    /// `quoted`
    pub fn quoted(&mut self) -> Parsed<Bytes> {
        let text = self.any_quoted()?;
        if self.utf8 && std::str::from_utf8(&text).is_err() {
            return Err(Fault::Bad("A quoted string is not UTF-8"));
        }
        Ok(text)
    }

    fn any_quoted(&mut self) -> Parsed<Bytes> {
        self.expect(b'"', "A quoted string is missing")?;
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            let run = self.take_while(|octet| !matches!(octet, b'"' | b'\\' | 0 | b'\r' | b'\n'));
            if let Some(text) = &mut unescaped {
                text.extend_from_slice(&run);
            }
            match (self.whole.get(self.at), self.whole.get(self.at + 1)) {
                (Some(b'"'), _) => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(unescaped.map_or_else(|| self.whole.slice(start..end), Bytes::from));
                }
                (Some(b'\\'), Some(&special @ (b'"' | b'\\'))) => {
                    let text = unescaped.get_or_insert_with(|| self.whole[start..self.at].to_vec());
                    text.push(special);
                    self.at += 2;
                }
                (Some(b'\\'), _) => {
                    return Err(Fault::Bad("Only \\ and \" may follow \\ in a quoted string"));
                }
                (Some(_), _) => return Err(Fault::Bad("A quoted string may not hold NUL, CR or LF")),
                (None, _) => return Err(Fault::Bad("A quoted string does not end")),
            }
        }
    }

    /// `nstring / literal8` (rfc5464#5 `value`): any octets in a literal that is announced by `~`.
    pub fn metadata_value(&mut self) -> Parsed<Option<Bytes>> {
        if self.eat(b'~') { self.any_literal().map(Some) } else { self.nstring() }
    }

    /// Whether a list is next whose first word begins with a slash.
    pub fn list_begins_with_slash(&self) -> bool {
        let mut octets = self.rest().iter().filter(|octet| !matches!(octet, b'(' | b' ' | b'"'));
        octets.next() == Some(&b'/')
    }

    fn literal(&mut self) -> Parsed<Bytes> {
        let text = self.any_literal()?;
        // rfc3501#9, note 3: CHAR8 excludes NUL.
        if memchr::memchr(0, &text).is_some() {
            return Err(Fault::Bad("A literal may not hold NUL"));
        }
        Ok(text)
    }

    fn any_literal(&mut self) -> Parsed<Bytes> {
        const MALFORMED: Fault = Fault::Bad("A literal is malformed");
        let rest = self.rest();
        let brace = rest.iter().take(Literal::ANNOUNCEMENT_BYTES_MAX).position(|&octet| octet == b'}');
        let announced = brace.and_then(|brace| Literal::at_end(&rest[..=brace]));
        let (Some(brace), Some((literal, 0))) = (brace, announced) else { return Err(MALFORMED) };
        self.at += brace + 1;
        self.eat(b'\r');
        self.expect(b'\n', "A literal is malformed")?;
        let size = usize::try_from(literal.size).ok().filter(|&size| size <= self.rest().len());
        Ok(self.take(size.ok_or(MALFORMED)?))
    }

    fn digits(&mut self) -> Parsed<u64> {
        let digits = self.take_while(|octet| octet.is_ascii_digit());
        let number = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
        number.ok_or(Fault::Bad("A number is missing or too large"))
    }

    /// `number`: 32 bits.
    pub fn number(&mut self) -> Parsed<u32> {
        u32::try_from(self.digits()?).map_err(|_| Fault::Bad("A number is too large"))
    }

    /// `nz-number`. Leading zeros are no number of this kind.
    pub fn nz_number(&mut self) -> Parsed<u32> {
        if self.peek() == Some(b'0') {
            return Err(Fault::Bad("A number must not be or begin with 0"));
        }
        self.number()
    }

    /// `number64` (rfc9051#9), `mod-sequence-valzer` (rfc7162#7): 63 bits.
    pub fn number64(&mut self) -> Parsed<u64> {
        let number = self.digits()?;
        if i64::try_from(number).is_ok() { Ok(number) } else { Err(Fault::Bad("A number is too large")) }
    }

    /// `mod-sequence-valzer`
    pub fn mod_sequence(&mut self) -> Parsed<ModSeq> {
        self.number64().map(ModSeq)
    }

    /// A list in parentheses, of at most `limits::IMAP_LIST_ITEMS_MAX` items; each is read by `item`.
    pub fn list(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.expect(b'(', "A list in parentheses is missing")?;
        self.skip_spaces();
        let mut count = 0;
        while !self.eat(b')') {
            if count == IMAP_LIST_ITEMS_MAX {
                return Err(Fault::Limit("A list has too many items"));
            }
            count += 1;
            item(self)?;
            if !self.more() && self.peek() != Some(b')') {
                return Err(Fault::Bad("A list does not end"));
            }
        }
        Ok(())
    }
}

/// `ATOM-CHAR`
pub fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

fn is_keyword_char(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(text: &[u8], read: impl FnOnce(&mut Lexer) -> Parsed<T>) -> Option<T> {
        let whole = Bytes::copy_from_slice(text);
        let mut lexer = Lexer::new(whole.clone());
        let value = read(&mut lexer).ok()?;
        lexer.end().ok().map(|()| value)
    }

    fn astring(text: &[u8]) -> Option<Bytes> {
        read(text, Lexer::astring)
    }

    #[test]
    fn strings_of_every_form_are_the_same() {
        for text in [&b"fred]"[..], b"\"fred]\"", b"{5}\r\nfred]", b"{5+}\r\nfred]", b"{05}\nfred]"] {
            assert_eq!(astring(text).as_deref(), Some(&b"fred]"[..]), "{text:?}");
        }
        assert_eq!(astring(br#""a \"b\" \\ \\""#).as_deref(), Some(&br#"a "b" \ \"#[..]));
        assert_eq!(astring(b"\"\"").as_deref(), Some(&b""[..]));
        assert_eq!(astring(b"{0}\r\n").as_deref(), Some(&b""[..]));
        assert_eq!(astring("\"é\"".as_bytes()).as_deref(), Some("é".as_bytes()));
        assert_eq!(astring(b"{6}\r\n\"\r\n\\\xff\x01").as_deref(), Some(&b"\"\r\n\\\xff\x01"[..]));
    }

    #[test]
    fn broken_strings_are_refused() {
        for text in [
            &b""[..],
            b"\"",
            b"\"a",
            b"\"\\",
            b"\"\\a\"",
            b"\"a\0\"",
            b"\"a\r\n\"",
            b"(",
            b"a\0",
            b"a\x80",
            b"\\a",
            b"a{1}",
            b"{1}",
            b"{1}a",
            b"{2}\r\na",
            b"{1}\r\n\0",
            b"{}\r\n",
            b"{+}\r\n",
            b"{-1}\r\n",
            b"{1}\r",
            b"{18446744073709551615}\r\na",
            b"{99999999999999999999}\r\na",
            b"~{1}\r\na",
            b"{a}{1}\r\nx",
            b"a\tb",
        ] {
            assert_eq!(astring(text), None, "{text:?}");
        }
    }

    #[test]
    fn no_copy_without_escapes() {
        let whole = Bytes::from_static(b"\"a long string\" {3}\r\nabc x");
        let mut lexer = Lexer::new(whole.clone());
        for _ in 0..3 {
            let text = lexer.astring().ok().unwrap();
            assert!(whole.as_ptr_range().contains(&text.as_ptr()));
            lexer.skip_spaces();
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(read(b"4294967295", Lexer::number), Some(u32::MAX));
        assert_eq!(read(b"4294967296", Lexer::number), None);
        assert_eq!(read(b"0", Lexer::number), Some(0));
        assert_eq!(read(b"01", Lexer::nz_number), None);
        assert_eq!(read(b"9223372036854775807", Lexer::number64), Some(i64::MAX as u64));
        assert_eq!(read(b"9223372036854775808", Lexer::number64), None);
        for none in [&b""[..], b"-1", b"+1", b"1a", b"99999999999999999999999"] {
            assert_eq!(read(none, Lexer::number64), None, "{none:?}");
        }
    }

    #[test]
    fn lists() {
        let count = |text: &[u8]| {
            let mut count = 0;
            read(text, |lexer| {
                lexer.list(|lexer| {
                    count += 1;
                    lexer.atom().map(drop)
                })
            })
            .map(|()| count)
        };
        assert_eq!(count(b"()"), Some(0));
        assert_eq!(count(b"(a b  c)"), Some(3));
        assert_eq!(count(b"( a )"), Some(1));
        for bad in [&b"("[..], b"(a", b"(a ", b"a)", b"(a(b))", b"(a\"b\")", b"(a))"] {
            assert_eq!(count(bad), None, "{bad:?}");
        }
        let many = |n: usize| format!("({})", vec!["a"; n].join(" "));
        assert_eq!(count(many(IMAP_LIST_ITEMS_MAX).as_bytes()), Some(IMAP_LIST_ITEMS_MAX));
        assert_eq!(count(many(IMAP_LIST_ITEMS_MAX + 1).as_bytes()), None);
    }
}
