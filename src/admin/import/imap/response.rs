//! Responses of an IMAP server, as values.
//!
//! *Owns*: splitting a response line with its literals into atoms, strings and lists (rfc3501#4). *Promises*: bounded
//! depth; whatever is malformed is none. *Assumes*: the response is in memory, literals inline. *Never*: judges.

/// Lists within lists.
const DEPTH_MAX: usize = 16;

/// A piece of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `NIL`, `12`, `\Seen`, `BODY[]`, `FETCH`.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// A parenthesised list.
    List(Vec<Value>),
}

impl Value {
    /// An atom's or a string's octets as text.
    pub fn text(&self) -> Option<String> {
        match self {
            Value::Atom(text) => Some(text.clone()),
            Value::Text(octets) => String::from_utf8(octets.clone()).ok(),
            Value::List(_) => None,
        }
    }

    /// A number.
    pub fn number(&self) -> Option<u32> {
        match self {
            Value::Atom(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// What a list holds; nothing for anything else.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::List(items) => items,
            _ => &[],
        }
    }
}

/// The values of a response without its `* ` and its CRLF.
pub fn values(line: &[u8]) -> Option<Vec<Value>> {
    let mut reader = Reader { rest: line };
    let values = reader.until(None, DEPTH_MAX)?;
    reader.rest.is_empty().then_some(values)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Values up to the end of the list, or of the line.
    fn until(&mut self, end: Option<u8>, depth: usize) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            while let Some(rest) = self.rest.strip_prefix(b" ") {
                self.rest = rest;
            }
            match (self.rest.first().copied(), end) {
                (None, None) => return Some(values),
                (None, Some(_)) => return None,
                (Some(octet), Some(end)) if octet == end => {
                    self.rest = &self.rest[1..];
                    return Some(values);
                }
                (Some(b'('), _) => {
                    self.rest = &self.rest[1..];
                    values.push(Value::List(self.until(Some(b')'), depth.checked_sub(1)?)?));
                }
                (Some(b'"'), _) => values.push(Value::Text(self.quoted()?)),
                (Some(b'{'), _) => values.push(Value::Text(self.literal()?)),
                (Some(_), _) => values.push(Value::Atom(self.atom()?)),
            }
        }
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        let (mut text, mut at) = (Vec::new(), 1);
        loop {
            match *self.rest.get(at)? {
                b'"' => break,
                b'\\' => {
                    text.push(*self.rest.get(at + 1)?);
                    at += 2;
                }
                octet => {
                    text.push(octet);
                    at += 1;
                }
            }
        }
        self.rest = &self.rest[at + 1..];
        Some(text)
    }

    fn literal(&mut self) -> Option<Vec<u8>> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let len = literal_len(&self.rest[..=end])?;
        let (literal, rest) = self.rest[end + 1..].split_at_checked(len)?;
        self.rest = rest;
        Some(literal.to_vec())
    }

    /// An atom. What stands in the brackets of a section belongs to it, blanks included (`BODY[HEADER.FIELDS (X)]`);
    /// elsewhere, in a keyword, brackets are octets like others.
    fn atom(&mut self) -> Option<String> {
        let starts =
            |name: &&[u8]| self.rest.get(..name.len()).is_some_and(|rest| rest.eq_ignore_ascii_case(name));
        let is_section = [&b"BODY["[..], b"BINARY[", b"BINARY.SIZE["].iter().any(starts);
        let mut brackets = 0usize;
        let ends = |octet: &u8| {
            match octet {
                b'[' => brackets += usize::from(is_section),
                b']' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            brackets == 0 && matches!(octet, b' ' | b'(' | b')')
        };
        let end = self.rest.iter().position(ends).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!atom.is_empty()).then(|| String::from_utf8_lossy(atom).into_owned())
    }
}

/// The length of the literal that a line announces at its end.
pub fn literal_len(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r\n")?.strip_suffix(b"}")?;
    let at = memchr::memrchr(b'{', line)?;
    std::str::from_utf8(&line[at + 1..]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_atoms_strings_and_lists() {
        let line = b"7 FETCH (UID 42 FLAGS (\\Seen $Junk) BODY[] {5}\r\na)\r\nb X \"q\\\"\")";
        let values = values(line).expect("well-formed");
        assert_eq!(values[0].number(), Some(7));
        let items = values[2].items();
        assert_eq!(items[1].number(), Some(42));
        assert_eq!(items[3].items().len(), 2);
        assert_eq!(
            (&items[4], &items[5]),
            (&Value::Atom("BODY[]".into()), &Value::Text(b"a)\r\nb".to_vec()))
        );
        assert_eq!(items[7], Value::Text(b"q\"".to_vec()));
    }

    #[test]
    fn malformed_ones_are_none() {
        let deep = [b"(".repeat(40), b")".repeat(40)].concat();
        for bad in [&b"(a"[..], b"a)", b"\"x", b"{5}\r\nabc", b"{99999999999999999999}\r\n", &deep] {
            assert_eq!(values(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn no_octets_panic() {
        let seed = b"7 FETCH (UID 42 FLAGS (\\Seen) BODY[X (Y)] {5}\r\na)\r\nb X \"q\\\"\" NIL)";
        let marks = b"(){}[]\"\\ \r\n\xff0";
        for at in 0..seed.len() {
            for &mark in marks {
                let mut bent = seed.to_vec();
                bent[at] = mark;
                let _any = values(&bent);
                let _any = values(&bent[..at]);
                bent.insert(at, mark);
                let _any = values(&bent);
            }
        }
    }

    #[test]
    fn a_literal_is_announced_at_the_end_of_a_line() {
        assert_eq!(literal_len(b"* 1 FETCH (BODY[] {12}\r\n"), Some(12));
        for none in [&b"* OK {x}\r\n"[..], b"* OK\r\n", b"{12}", b"12}\r\n"] {
            assert_eq!(literal_len(none), None);
        }
    }
}
