//! What people know a message by: subject, sender, date.
//!
//! *Owns*: reading them from the ENVELOPE that is stored with a message. *Promises*: text without control characters;
//! what cannot be read is left out. *Assumes*: the form of `proto::mime` (rfc3501#7.4.2). *Never*: looks at the message
//! itself.

use ringpost_engine::layout::SummaryView;

use crate::proto::mime::words::decode_words;

/// Characters of a text that are told.
const TEXT_CHARS_MAX: usize = 200;

/// The texts of a message, as far as it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headline {
    /// The Date field.
    pub date: Option<String>,
    /// The Subject field, encoded words decoded.
    pub subject: Option<String>,
    /// The first address of the From field.
    pub from: Option<String>,
}

impl Headline {
    /// From an encoded summary.
    pub fn of(summary: &[u8]) -> Headline {
        let Some(view) = SummaryView::new(summary) else { return Headline::default() };
        Headline::of_envelope(view.envelope())
    }

    /// `(date subject ((name route local-part host) …) …`
    fn of_envelope(envelope: &[u8]) -> Headline {
        let mut rest = envelope;
        if !skip(&mut rest, b"(") {
            return Headline::default();
        }
        let (date, subject) = (nstring(&mut rest), nstring(&mut rest));
        let mut address = Vec::new();
        if skip(&mut rest, b" ") && skip(&mut rest, b"((") {
            address = (0..4).map(|_| nstring(&mut rest)).collect();
        }
        let from = match &address[..] {
            [_, _, Some(local), Some(host)] => Some([&local[..], b"@", &host[..]].concat()),
            _ => None,
        };
        Headline {
            date: date.map(|date| shown(&String::from_utf8_lossy(&date))),
            subject: subject.map(|subject| shown(&decode_words(&subject))),
            from: from.map(|from| shown(&String::from_utf8_lossy(&from))),
        }
    }
}

fn skip(rest: &mut &[u8], lead: &[u8]) -> bool {
    let found = rest.strip_prefix(lead);
    *rest = found.unwrap_or(rest);
    found.is_some()
}

/// One string, after a space or at a list's beginning; none for `NIL` and for what is no string.
fn nstring(rest: &mut &[u8]) -> Option<Vec<u8>> {
    skip(rest, b" ");
    if skip(rest, b"NIL") {
        return None;
    }
    if skip(rest, b"{") {
        let end = rest.iter().position(|&octet| octet == b'}')?;
        let len: usize = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        let octets = rest.get(end + 3..)?.get(..len)?.to_vec();
        *rest = &rest[end + 3 + len..];
        return Some(octets);
    }
    skip(rest, b"\"").then_some(())?;
    let mut octets = Vec::new();
    loop {
        let (&octet, behind) = rest.split_first()?;
        *rest = behind;
        match octet {
            b'"' => return Some(octets),
            b'\\' => {
                let (&escaped, behind) = rest.split_first()?;
                *rest = behind;
                octets.push(escaped);
            }
            octet => octets.push(octet),
        }
    }
}

/// A bounded text that no terminal takes for a command.
fn shown(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().take(TEXT_CHARS_MAX).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::mime::summarise;

    fn told(header: &str) -> (Option<String>, Option<String>, Option<String>) {
        let octets = bytes::Bytes::from(format!("{header}\r\ntext\r\n"));
        let Headline { date, subject, from } = Headline::of(&summarise(&octets).encode());
        (date, subject, from)
    }

    #[test]
    fn a_message_is_known_by_what_its_header_says() {
        let header = "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nFrom: \"A \\\"B\\\"\" <a@b.test>, c@d\r\n\
                      Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\x1b[2J \"x\"\r\n";
        let (date, subject, from) = told(header);
        assert_eq!(date.as_deref(), Some("Fri, 21 Nov 1997 09:55:06 -0600"));
        assert_eq!(subject.as_deref(), Some("Grüße\u{fffd}[2J \"x\""));
        assert_eq!(from.as_deref(), Some("a@b.test"));
        assert_eq!(told("Subject: gr\u{fc}n\r\n").1.as_deref(), Some("grün"), "a literal");
        assert_eq!(told("X: y\r\n"), (None, None, None));
        assert_eq!(told(&format!("Subject: {}\r\n", "s".repeat(500))).1.map(|s| s.len()), Some(200));
    }

    #[test]
    fn what_is_cut_off_is_nothing() {
        for bad in
            ["", "(", "(\"a", "(NIL {99}\r\nx", "(NIL {9", "(NIL \"x\\", "(NIL NIL ((NIL NIL \"a\" NIL)"]
        {
            let headline = Headline::of_envelope(bad.as_bytes());
            assert!(headline.from.is_none() && headline.subject.is_none(), "{bad}");
        }
    }
}
