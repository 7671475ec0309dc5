//! Reverse-paths and forward-paths.
//!
//! *Owns*: the grammar of rfc5321#4.1.2 with the UTF-8 of rfc6531#3.3. *Promises*: what comes out is valid,
//! has no control octets and is within `limits`. *Assumes*: a line of UTF-8. *Never*: asks whether anybody
//! lives there.

use ringpost_engine::ids::normalise_address;
use ringpost_engine::limits::ADDRESS_BYTES_MAX;

use crate::limits::SMTP_DOMAIN_BYTES_MAX;

/// What stood between `<` and `>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Path {
    /// `<>`
    Null,
    /// `<postmaster>` without a domain (rfc5321#4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

/// A mailbox, its source route taken off (rfc5321#C).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// As the client wrote it.
    pub text: String,
    /// The local part without quotes.
    pub local: String,
    /// The domain or address literal.
    pub domain: String,
}

impl Mailbox {
    /// The form under which it is looked up: `"a"@x` and `a@X` are the same.
    pub fn address(&self) -> String {
        normalise_address(&format!("{}@{}", self.local, self.domain))
    }

    /// Whether it can be said without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl Path {
    /// As shown in Return-Path and in log lines.
    pub fn text(&self) -> &str {
        match self {
            Path::Null => "",
            Path::Postmaster => "postmaster",
            Path::Mailbox(mailbox) => &mailbox.text,
        }
    }

    /// Whether it can be said without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text().is_ascii()
    }
}

/// Reads a path at the start of `input`; also returns what follows it.
pub fn parse(input: &str) -> Option<(Path, &str)> {
    let rest = input.strip_prefix('<')?;
    if let Some(rest) = rest.strip_prefix('>') {
        return Some((Path::Null, rest));
    }
    let start = skip_route(rest)?;
    let (local, rest) = local_part(start)?;
    let Some(rest) = rest.strip_prefix('@') else {
        let rest = rest.strip_prefix('>')?;
        return local.eq_ignore_ascii_case("postmaster").then_some((Path::Postmaster, rest));
    };
    let (domain, after) = rest.split_at(rest.find('>')?);
    let text = &start[..start.len() - after.len()];
    let valid = is_domain(domain) || is_literal(domain);
    let mailbox = Mailbox { text: text.to_owned(), local, domain: domain.to_owned() };
    (valid && text.len() <= ADDRESS_BYTES_MAX).then_some((Path::Mailbox(mailbox), &after[1..]))
}

/// `@one,@two:` is checked and ignored (rfc5321#4.1.1.3).
fn skip_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let (route, rest) = path.split_once(':')?;
    let valid = route.split(',').all(|hop| hop.strip_prefix('@').is_some_and(is_domain));
    valid.then_some(rest)
}

fn local_part(path: &str) -> Option<(String, &str)> {
    if let Some(quoted) = path.strip_prefix('"') {
        return quoted_string(quoted);
    }
    let end = path.find(['@', '>'])?;
    let (local, rest) = path.split_at(end);
    local.split('.').all(is_atom).then(|| (local.to_owned(), rest))
}

/// The rest of a quoted string; its content without the quoting.
fn quoted_string(quoted: &str) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((content, &quoted[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ' '..='~')) => content.push(escaped),
                _ => return None,
            },
            character if character.is_control() => return None,
            character => content.push(character),
        }
    }
    None
}

/// rfc5322#3.2.3 `1*atext`, UTF-8 included (rfc6531#3.3).
fn is_atom(atom: &str) -> bool {
    let is_atext = |c: char| match c {
        _ if c.is_ascii() => c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c),
        _ => !c.is_control(),
    };
    !atom.is_empty() && atom.chars().all(is_atext)
}

/// A domain; `_` is let through because real hosts have it.
pub fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let letter =
            |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && !c.is_control());
        (1..=63).contains(&label.len())
            && label.chars().all(letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= SMTP_DOMAIN_BYTES_MAX && domain.split('.').all(is_label)
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]` (rfc5321#4.1.3), known by their brackets and characters.
pub fn is_literal(domain: &str) -> bool {
    let content = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    domain.len() <= SMTP_DOMAIN_BYTES_MAX
        && content.is_some_and(|content| {
            let literal = |c: char| c.is_ascii_alphanumeric() || ".:-".contains(c);
            !content.is_empty() && content.chars().all(literal)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(text: &str, local: &str, domain: &str) -> Path {
        Path::Mailbox(Mailbox { text: text.into(), local: local.into(), domain: domain.into() })
    }

    #[test]
    fn valid_paths_are_read() {
        let good = [
            ("<>", Path::Null),
            ("<Postmaster>", Path::Postmaster),
            ("<Smith@bar.com>", mailbox("Smith@bar.com", "Smith", "bar.com")),
            ("<@a.org,@b.org:joe@c.org>", mailbox("joe@c.org", "joe", "c.org")),
            (
                "<\"Joe\\ \\\"Q\\\" @x\"@y.org>",
                mailbox("\"Joe\\ \\\"Q\\\" @x\"@y.org", "Joe \"Q\" @x", "y.org"),
            ),
            ("<a+b.c@[192.0.2.1]>", mailbox("a+b.c@[192.0.2.1]", "a+b.c", "[192.0.2.1]")),
            ("<a@[IPv6:2001:db8::1]>", mailbox("a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]")),
            ("<用户@例子.广告>", mailbox("用户@例子.广告", "用户", "例子.广告")),
            ("<a@x>", mailbox("a@x", "a", "x")),
        ];
        for (text, path) in good {
            assert_eq!(parse(text), Some((path.clone(), "")), "{text}");
            assert_eq!(parse(&format!("{text} SIZE=1")), Some((path, " SIZE=1")), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let long_domain = format!("<a@{}x>", "x.".repeat(130));
        let long = format!("<{}@x>", "a".repeat(ADDRESS_BYTES_MAX));
        let bad = [
            "",
            "a@b",
            "<",
            "<a",
            "<a@",
            "<a@b",
            "<a@>",
            "<@b>",
            "<a b@c>",
            "<.a@b>",
            "<a.@b>",
            "<a..b@c>",
            "<a>",
            "<a@b..c>",
            "<a@-b>",
            "<a@b->",
            "<a@b c>",
            "<\"a@b>",
            "<\"a\\",
            "<\"a\u{1}\"@b>",
            "<\"a\"b@c>",
            "<a@[]>",
            "<a@[1]2]>",
            "<@x a@b>",
            "<@x:>",
            "<a@b@c>",
            "<a\0@b>",
            "<(a)@b>",
            "<a@b\r>",
            &long,
            &long_domain,
        ];
        for text in bad {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_compare_without_quotes_and_case() {
        for text in ["<Alice@Example.TEST>", "<\"alice\"@example.test>", "<\"\\alice\"@example.test>"] {
            let Some((Path::Mailbox(mailbox), _)) = parse(text) else { panic!("{text}") };
            assert_eq!(mailbox.address(), "alice@example.test");
        }
    }
}
