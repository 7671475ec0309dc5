//! Addresses in header fields.
//!
//! *Owns*: reading address lists (rfc5322#3.4 and the obsolete forms of #4.4): groups, routes, comments,
//! quoting.
//! *Promises*: one pass without going back, whatever the octets; something readable for what is no address.
//! *Assumes*: an unfolded value. *Never*: decodes encoded words (rfc3501#7.4.2 wants them as they stand).

/// One member of an address list, in the shape of IMAP's address structure (rfc3501#7.4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A mailbox.
    Mailbox(Mailbox),
    /// A group begins; its name.
    GroupStart(Vec<u8>),
    /// The group ends.
    GroupEnd,
}

/// A mailbox. Octets as in the field, without quoting and comments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name; for the old form `user@host (Name)` the comment.
    pub name: Option<Vec<u8>>,
    /// Source route, `@a,@b`.
    pub route: Option<Vec<u8>>,
    /// Local part.
    pub local: Vec<u8>,
    /// Domain; empty when none was written.
    pub domain: Vec<u8>,
}

/// Reads an address list; at most `count_max` members, the rest is left out and the flag set.
pub fn parse(value: &[u8], count_max: usize) -> (Vec<Address>, bool) {
    let mut parser =
        Parser { list: Vec::new(), count_max, cut: false, in_group: false, draft: Draft::default() };
    let mut tokens = Tokens { value, at: 0 };
    while let Some(token) = tokens.next() {
        parser.take(token);
        if parser.cut {
            break;
        }
    }
    parser.finish_mailbox();
    if parser.in_group {
        parser.list.push(Address::GroupEnd);
    }
    (parser.list, parser.cut)
}

/// What an address list is made of.
enum Token {
    /// An atom with its dots, or a domain literal; whether white space stood before it.
    Word(Vec<u8>, bool),
    /// A quoted string without its quoting; whether white space stood before it.
    Quoted(Vec<u8>, bool),
    /// The text of a comment.
    Comment(Vec<u8>),
    /// One of `< > @ , ; :`, and whether white space stood before it.
    Special(u8, bool),
}

struct Tokens<'a> {
    value: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        let start = self.at;
        while matches!(self.value.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        let spaced = self.at > start;
        let first = *self.value.get(self.at)?;
        Some(match first {
            b'"' => {
                self.at += 1;
                Token::Quoted(self.quoted(), spaced)
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
            _ => Token::Word(self.word(), spaced),
        })
    }

    /// After the opening quote; without a closing one it runs to the end.
    fn quoted(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some(&byte) = self.value.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => text.extend(self.escaped()),
                _ => text.push(byte),
            }
        }
        text
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

    fn domain_literal(&mut self) -> Vec<u8> {
        let rest = &self.value[self.at..];
        let len = memchr::memchr(b']', rest).map_or(rest.len(), |end| end + 1);
        self.at += len;
        rest[..len].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    }

    fn word(&mut self) -> Vec<u8> {
        let rest = &self.value[self.at..];
        let ends = |byte: &u8| {
            matches!(
                byte,
                b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'(' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'['
            )
        };
        // A stray `\`, `)` or `]` is a word of its own kind: it must move on.
        let len = rest.iter().position(ends).unwrap_or(rest.len()).max(1);
        self.at += len;
        rest[..len].to_vec()
    }
}

/// The mailbox being read.
#[derive(Default)]
struct Draft {
    /// Everything outside `<…>` as a phrase, words apart as they stand.
    phrase: Vec<u8>,
    /// Everything outside `<…>` before `@`, words joined.
    bare: AddrSpec,
    /// What stands in `<…>`.
    angle: Option<AddrSpec>,
    /// Whether the `<` is still open.
    in_angle: bool,
    comment: Option<Vec<u8>>,
    seen: bool,
}

#[derive(Default)]
struct AddrSpec {
    route: Vec<u8>,
    local: Vec<u8>,
    domain: Option<Vec<u8>>,
}

impl AddrSpec {
    fn word(&mut self, word: &[u8]) {
        self.domain.as_mut().unwrap_or(&mut self.local).extend_from_slice(word);
    }

    /// `@`: what was domain so far belongs to the local part when a second one comes.
    fn at_sign(&mut self) {
        if let Some(domain) = self.domain.take() {
            self.local.push(b'@');
            self.local.extend_from_slice(&domain);
        }
        self.domain = Some(Vec::new());
    }

    /// `:` inside `<…>`: all before it was the route `@a,@b` (rfc5322#4.4 obs-route).
    fn end_route(&mut self) {
        let mut route = std::mem::take(&mut self.local);
        if let Some(domain) = self.domain.take() {
            route.push(b'@');
            route.extend_from_slice(&domain);
        }
        self.route.extend_from_slice(&route);
    }
}

struct Parser {
    list: Vec<Address>,
    count_max: usize,
    cut: bool,
    in_group: bool,
    draft: Draft,
}

impl Parser {
    fn take(&mut self, token: Token) {
        match token {
            Token::Comment(text) => self.draft.comment = Some(super::header::trim(&text).to_vec()),
            Token::Word(word, spaced) | Token::Quoted(word, spaced) => self.word(&word, spaced),
            Token::Special(special, spaced) => self.special(special, spaced),
        }
    }

    fn word(&mut self, word: &[u8], spaced: bool) {
        self.draft.seen = true;
        match &mut self.draft.angle {
            Some(angle) if self.draft.in_angle => angle.word(word),
            // Text after `>` is no part of any form; it is left out.
            Some(_) => {}
            None => {
                self.phrase(word, spaced);
                self.draft.bare.word(word);
            }
        }
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
                if std::mem::take(&mut self.in_group) {
                    self.push(Address::GroupEnd);
                }
            }
            b'<' if self.draft.angle.is_none() => {
                self.draft.angle = Some(AddrSpec::default());
                self.draft.in_angle = true;
                self.draft.seen = true;
            }
            b':' if !self.in_group && self.draft.angle.is_none() && self.draft.bare.domain.is_none() => {
                let draft = std::mem::take(&mut self.draft);
                self.in_group = true;
                self.push(Address::GroupStart(draft.phrase));
            }
            b'@' if self.draft.angle.is_none() => {
                self.draft.seen = true;
                self.phrase(b"@", spaced);
                self.draft.bare.at_sign();
            }
            b':' => self.word(b":", spaced),
            _ => {}
        }
    }

    fn special_in_angle(&mut self, special: u8) {
        let Some(angle) = &mut self.draft.angle else { return };
        match special {
            b'>' => self.draft.in_angle = false,
            b'@' if angle.domain.as_ref().is_some_and(|domain| !domain.is_empty())
                && angle.local.is_empty() =>
            {
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
        let draft = std::mem::take(&mut self.draft);
        if !draft.seen {
            return;
        }
        let (mut name, spec) = match draft.angle {
            Some(angle) => (Some(draft.phrase).filter(|phrase| !phrase.is_empty()), angle),
            None => (None, draft.bare),
        };
        if name.is_none() {
            name = draft.comment.filter(|comment| !comment.is_empty());
        }
        let route = Some(spec.route).filter(|route| !route.is_empty());
        let domain = spec.domain.unwrap_or_default();
        self.push(Address::Mailbox(Mailbox { name, route, local: spec.local, domain }));
    }

    fn push(&mut self, address: Address) {
        if self.list.len() == self.count_max {
            self.cut = true;
            return;
        }
        self.list.push(address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name|route|local|domain`, `name:` and `;` for groups.
    fn shown(value: &str) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let optional = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or("-".to_owned(), text);
        let (list, cut) = parse(value.as_bytes(), 100);
        assert!(!cut);
        list.iter()
            .map(|address| match address {
                Address::Mailbox(m) => {
                    format!(
                        "{}|{}|{}|{}",
                        optional(&m.name),
                        optional(&m.route),
                        text(&m.local),
                        text(&m.domain)
                    )
                }
                Address::GroupStart(name) => format!("{}:", text(name)),
                Address::GroupEnd => ";".to_owned(),
            })
            .collect()
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
        let (list, cut) = parse(b"a@b, c@d, e@f", 2);
        assert_eq!((list.len(), cut), (2, true));
    }
}
