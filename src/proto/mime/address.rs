//! Addresses in header fields.
//!
//! *Owns*: reading address lists (rfc5322#3.4 and the obsolete forms of #4.4): groups, routes, comments,
//! quoting.
//! *Promises*: one pass without going back, whatever the octets; something readable for what is no address.
//! *Assumes*: an unfolded value. *Never*: decodes encoded words (rfc3501#7.4.2 wants them as they stand).

use std::borrow::Cow;

/// One member of an address list, in the shape of IMAP's address structure (rfc3501#7.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// A mailbox.
    Mailbox(Mailbox<'a>),
    /// A group begins; its name.
    GroupStart(&'a [u8]),
    /// The group ends.
    GroupEnd,
}

/// A mailbox. Octets as in the field, without quoting and comments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mailbox<'a> {
    /// Display name; for the old form `user@host (Name)` the comment.
    pub name: Option<&'a [u8]>,
    /// Source route, `@a,@b`.
    pub route: Option<&'a [u8]>,
    /// Local part.
    pub local: &'a [u8],
    /// Domain; empty when none was written.
    pub domain: &'a [u8],
}

/// Reads an address list and calls `found` with each member, at most `count_max` of them and the end of a group.
/// Returns whether some were left out.
pub fn each(value: &[u8], count_max: usize, found: impl FnMut(Address<'_>)) -> bool {
    Reader::default().each(value, count_max, found)
}

/// Reads address lists, one after the other, by the same buffers.
#[derive(Default)]
pub(super) struct Reader {
    draft: Draft,
}

impl Reader {
    /// See [`each`].
    pub fn each(&mut self, value: &[u8], count_max: usize, found: impl FnMut(Address<'_>)) -> bool {
        let draft = &mut self.draft;
        let mut parser = Parser { found, left: count_max, cut: false, in_group: false, draft };
        let mut tokens = Tokens { value, at: 0 };
        while let Some(token) = tokens.next() {
            parser.take(token);
            if parser.cut {
                break;
            }
        }
        parser.finish_mailbox();
        if parser.in_group {
            (parser.found)(Address::GroupEnd);
        }
        parser.cut
    }
}

/// What an address list is made of.
enum Token<'a> {
    /// An atom with its dots, a domain literal, or a quoted string without its quoting; whether white space stood
    /// before it.
    Word(Cow<'a, [u8]>, bool),
    /// The text of a comment.
    Comment(Vec<u8>),
    /// One of `< > @ , ; :`, and whether white space stood before it.
    Special(u8, bool),
}

/// Octets that end a word.
static ENDS_WORD: [bool; 256] = {
    const ENDS: &[u8] = b" \t\r\n\"(<>@,;:[";
    let mut table = [false; 256];
    let mut nth = 0;
    while nth < ENDS.len() {
        table[ENDS[nth] as usize] = true;
        nth += 1;
    }
    table
};

struct Tokens<'a> {
    value: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.at;
        while matches!(self.value.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        let spaced = self.at > start;
        let first = *self.value.get(self.at)?;
        Some(match first {
            b'"' => {
                self.at += 1;
                Token::Word(self.quoted(), spaced)
            }
            b'(' => {
                self.at += 1;
                Token::Comment(self.comment())
            }
            b'<' | b'>' | b'@' | b',' | b';' | b':' => {
                self.at += 1;
                Token::Special(first, spaced)
            }
            b'[' => Token::Word(self.domain_literal(), spaced),
            _ => Token::Word(Cow::Borrowed(self.word()), spaced),
        })
    }

    /// After the opening quote; without a closing one it runs to the end.
    fn quoted(&mut self) -> Cow<'a, [u8]> {
        let rest = &self.value[self.at..];
        let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        self.at += plain;
        if rest.get(plain) != Some(&b'\\') {
            self.at += usize::from(plain < rest.len());
            return Cow::Borrowed(&rest[..plain]);
        }
        let mut text = rest[..plain].to_vec();
        while let Some(&byte) = self.value.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => text.extend(self.escaped()),
                _ => text.push(byte),
            }
        }
        Cow::Owned(text)
    }

    /// After the opening parenthesis; comments nest (rfc5322#3.2.2), counted without recursion.
    fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 1usize;
        while let Some(&byte) = self.value.get(self.at) {
            self.at += 1;
            match byte {
                b'(' => depth += 1,
                b')' if depth == 1 => break,
                b')' => depth -= 1,
                b'\\' => {
                    text.extend(self.escaped());
                    continue;
                }
                _ => {}
            }
            text.push(byte);
        }
        text
    }

    /// The octet after a backslash; none at the end of the value.
    fn escaped(&mut self) -> Option<u8> {
        let byte = self.value.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn domain_literal(&mut self) -> Cow<'a, [u8]> {
        let rest = &self.value[self.at..];
        let len = memchr::memchr(b']', rest).map_or(rest.len(), |end| end + 1);
        self.at += len;
        let literal = &rest[..len];
        if !literal.iter().any(u8::is_ascii_whitespace) {
            return Cow::Borrowed(literal);
        }
        literal.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    }

    fn word(&mut self) -> &'a [u8] {
        let rest = &self.value[self.at..];
        // A stray `\`, `)` or `]` is a word of its own kind: it must move on.
        let len = rest.iter().take_while(|&&byte| !ENDS_WORD[usize::from(byte)]).count().max(1);
        self.at += len;
        &rest[..len]
    }
}

/// The mailbox being read. Its buffers serve all mailboxes of a list.
#[derive(Default)]
struct Draft {
    /// Everything outside `<…>` as a phrase, words apart as they stand.
    phrase: Vec<u8>,
    /// Everything outside `<…>` before `@`, words joined.
    bare: AddrSpec,
    /// What stands in `<…>`.
    angle: AddrSpec,
    /// Whether there was a `<`.
    has_angle: bool,
    /// Whether it is still open.
    in_angle: bool,
    /// The last comment, empty for none.
    comment: Vec<u8>,
    seen: bool,
}

impl Draft {
    fn clear(&mut self) {
        self.phrase.clear();
        self.bare.clear();
        self.angle.clear();
        self.comment.clear();
        (self.has_angle, self.in_angle, self.seen) = (false, false, false);
    }

    fn mailbox(&self) -> Mailbox<'_> {
        let (name, spec) =
            if self.has_angle { (filled(&self.phrase), &self.angle) } else { (None, &self.bare) };
        Mailbox {
            name: name.or(filled(&self.comment)),
            route: filled(&spec.route),
            local: &spec.local,
            domain: &spec.domain,
        }
    }
}

fn filled(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
}

#[derive(Default)]
struct AddrSpec {
    route: Vec<u8>,
    local: Vec<u8>,
    /// Empty while there is none.
    domain: Vec<u8>,
    has_domain: bool,
}

impl AddrSpec {
    fn clear(&mut self) {
        self.route.clear();
        self.local.clear();
        self.domain.clear();
        self.has_domain = false;
    }

    fn word(&mut self, word: &[u8]) {
        let part = if self.has_domain { &mut self.domain } else { &mut self.local };
        part.extend_from_slice(word);
    }

    /// `@`: what was domain so far belongs to the local part when a second one comes.
    fn at_sign(&mut self) {
        if self.has_domain {
            self.local.push(b'@');
            self.local.append(&mut self.domain);
        }
        self.has_domain = true;
    }

    /// `:` inside `<…>`: all before it was the route `@a,@b` (rfc5322#4.4 obs-route).
    fn end_route(&mut self) {
        self.route.append(&mut self.local);
        if std::mem::take(&mut self.has_domain) {
            self.route.push(b'@');
            self.route.append(&mut self.domain);
        }
    }
}

struct Parser<'d, F> {
    found: F,
    /// Members that may still come.
    left: usize,
    cut: bool,
    in_group: bool,
    draft: &'d mut Draft,
}

impl<F: FnMut(Address<'_>)> Parser<'_, F> {
    fn take(&mut self, token: Token<'_>) {
        match token {
            Token::Comment(text) => {
                self.draft.comment.clear();
                self.draft.comment.extend_from_slice(super::header::trim(&text));
            }
            Token::Word(word, spaced) => self.word(&word, spaced),
            Token::Special(special, spaced) => self.special(special, spaced),
        }
    }

    fn word(&mut self, word: &[u8], spaced: bool) {
        self.draft.seen = true;
        if self.draft.in_angle {
            self.draft.angle.word(word);
        } else if !self.draft.has_angle {
            self.phrase(word, spaced);
            self.draft.bare.word(word);
        }
        // Text after `>` is no part of any form; it is left out.
    }

    fn phrase(&mut self, text: &[u8], spaced: bool) {
        if spaced && !self.draft.phrase.is_empty() {
            self.draft.phrase.push(b' ');
        }
        self.draft.phrase.extend_from_slice(text);
    }

    fn special(&mut self, special: u8, spaced: bool) {
        if self.draft.in_angle {
            return self.special_in_angle(special);
        }
        match special {
            b',' => self.finish_mailbox(),
            b';' => {
                self.finish_mailbox();
                if std::mem::take(&mut self.in_group) && self.may_add() {
                    (self.found)(Address::GroupEnd);
                }
            }
            b'<' if !self.draft.has_angle => {
                (self.draft.has_angle, self.draft.in_angle) = (true, true);
                self.draft.seen = true;
            }
            b':' if !self.in_group && !self.draft.has_angle && !self.draft.bare.has_domain => {
                self.in_group = true;
                if self.may_add() {
                    (self.found)(Address::GroupStart(&self.draft.phrase));
                }
                self.draft.clear();
            }
            b'@' if !self.draft.has_angle => {
                self.draft.seen = true;
                self.phrase(b"@", spaced);
                self.draft.bare.at_sign();
            }
            b':' => self.word(b":", spaced),
            _ => {}
        }
    }

    fn special_in_angle(&mut self, special: u8) {
        let angle = &mut self.draft.angle;
        match special {
            b'>' => self.draft.in_angle = false,
            b'@' if angle.has_domain && !angle.domain.is_empty() && angle.local.is_empty() => {
                // `@a@b:` in place of `@a,@b:`.
                angle.end_route();
                angle.route.push(b',');
                angle.at_sign();
            }
            b'@' => angle.at_sign(),
            b',' => {
                angle.end_route();
                if !angle.route.is_empty() {
                    angle.route.push(b',');
                }
            }
            b':' => angle.end_route(),
            _ => {}
        }
    }

    fn finish_mailbox(&mut self) {
        if self.draft.seen && self.may_add() {
            (self.found)(Address::Mailbox(self.draft.mailbox()));
        }
        self.draft.clear();
    }

    /// Whether one more member may be told.
    fn may_add(&mut self) -> bool {
        self.cut |= self.left == 0;
        self.left = self.left.saturating_sub(1);
        !self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|local|domain`, `name:` and `;` for groups.
    fn shown(value: &str) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let optional = |bytes: Option<&[u8]>| bytes.map_or("-".to_owned(), text);
        let mut list = Vec::new();
        let cut = each(value.as_bytes(), 100, |address| {
            list.push(match address {
                Address::Mailbox(m) => {
                    format!("{}|{}|{}|{}", optional(m.name), optional(m.route), text(m.local), text(m.domain))
                }
                Address::GroupStart(name) => format!("{}:", text(name)),
                Address::GroupEnd => ";".to_owned(),
            });
        });
        assert!(!cut);
        list
    }

    #[test]
    fn the_examples_of_rfc5322_a1() {
        assert_eq!(shown("John Doe <jdoe@machine.example>"), ["John Doe|-|jdoe|machine.example"]);
        assert_eq!(
            shown(
                "\"Joe Q. Public\" <john.q.public@example.com>, <boss@nil.test>, \
                 \"Giant; \\\"Big\\\" Box\" <s@x>"
            ),
            ["Joe Q. Public|-|john.q.public|example.com", "-|-|boss|nil.test", "Giant; \"Big\" Box|-|s|x"]
        );
        assert_eq!(
            shown("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
            ["A Group:", "Ed Jones|-|c|a.test", "-|-|joe|where.test", "John|-|jdoe|one.test", ";"]
        );
        assert_eq!(shown("Undisclosed recipients:;"), ["Undisclosed recipients:", ";"]);
        assert_eq!(
            shown("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            ["Pete|-|pete|silly.test"]
        );
        assert_eq!(
            shown("(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;"),
            ["Hidden recipients:", ";"]
        );
    }

    #[test]
    fn obsolete_forms() {
        assert_eq!(shown("Joe <@a.test,@b.test:joe@c.test>"), ["Joe|@a.test,@b.test|joe|c.test"]);
        assert_eq!(shown("Joe <@a@b:joe@c>"), ["Joe|@a,@b|joe|c"]);
        assert_eq!(shown("joe . bloggs @ host . test"), ["-|-|joe.bloggs|host.test"]);
        assert_eq!(shown("J. R. Hacker <j@h>"), ["J. R. Hacker|-|j|h"]);
        assert_eq!(shown("a@b (Real Name)"), ["Real Name|-|a|b"]);
        assert_eq!(shown(", a@b,, c@d ,"), ["-|-|a|b", "-|-|c|d"]);
        assert_eq!(shown("\"j d\"@[192.0.2.1]"), ["-|-|j d|[192.0.2.1]"]);
    }

    #[test]
    fn what_is_no_address_still_shows_something() {
        assert_eq!(shown("root"), ["-|-|root|"]);
        assert_eq!(shown("user (hello)"), ["hello|-|user|"]);
        assert_eq!(shown("@domain"), ["-|-||domain"]);
        assert_eq!(shown("<>"), ["-|-||"]);
        assert_eq!(shown("me@home <me@work>"), ["me@home|-|me|work"]);
        assert_eq!(shown("a@b@c"), ["-|-|a@b|c"]);
        assert_eq!(shown("group: a@b"), ["group:", "-|-|a|b", ";"]);
        assert_eq!(shown("\"open <a@b>"), ["-|-|open <a@b>|"]);
        assert_eq!(shown(") ] \\"), ["-|-|)]\\|"]);
        assert!(shown(" \t").is_empty());
        assert!(shown("(only a comment)").is_empty());
    }

    #[test]
    fn encoded_words_stay_as_they_are() {
        assert_eq!(shown("=?utf-8?q?M=C3=BCller?= <m@x>"), ["=?utf-8?q?M=C3=BCller?=|-|m|x"]);
    }

    #[test]
    fn the_bound_is_told() {
        let mut count = 0;
        let cut = each(b"a@b, c@d, e@f", 2, |_| count += 1);
        assert_eq!((count, cut), (2, true));
    }
}
