//! Whether what was heard is what should be.
//!
//! *Owns*: patterns and the comparison of runs. *Promises*: a difference is shown with what stands around it.
//! *Assumes*: replies are lines that end by CRLF. *Never*: accepts a line that nobody expected, or an end.

use std::collections::{BTreeMap, BTreeSet};

use crate::Heard;
use crate::script::Pattern;
use crate::world::{Conn, World};

/// How far what each client heard is checked.
#[derive(Default)]
pub struct Reader {
    at: BTreeMap<Conn, usize>,
    closed: BTreeSet<Conn>,
}

impl Reader {
    /// Checks the next line that `conn` heard.
    pub fn expect(&mut self, heard: &[u8], conn: Conn, expected: &Pattern) -> Result<(), String> {
        let at = self.at.entry(conn).or_default();
        let rest = &heard[*at..];
        let end = rest.windows(2).position(|octets| octets == b"\r\n");
        let line = &rest[..end.unwrap_or(rest.len())];
        match end {
            Some(end) if expected.matches(line) => *at += end + 2,
            _ => {
                return Err(format!(
                    "expected {:?}, heard {:?}",
                    show(&expected.0.join(&b"..."[..])),
                    show(line)
                ));
            }
        }
        Ok(())
    }

    /// Checks that the server has hung up on `conn`.
    pub fn closed(&mut self, world: &World, conn: Conn) -> Result<(), String> {
        self.closed.insert(conn);
        if world.is_closed(conn) {
            self.nothing_left(world)
        } else {
            Err(format!("connection {conn} is open"))
        }
    }

    /// Checks that nobody heard more.
    pub fn nothing_left(&self, world: &World) -> Result<(), String> {
        for (&conn, heard) in world.all_heard() {
            let rest = &heard[self.at.get(&conn).copied().unwrap_or(0)..];
            if !rest.is_empty() {
                return Err(format!("connection {conn} also heard {:?}", show(rest)));
            }
        }
        Ok(())
    }

    /// Checks that the server hung up on nobody of whom that was not expected.
    pub fn nobody_else_closed(&self, world: &World) -> Result<(), String> {
        let unexpected =
            world.all_heard().keys().find(|&&conn| world.is_closed(conn) && !self.closed.contains(&conn));
        unexpected.map_or(Ok(()), |conn| Err(format!("connection {conn} is closed")))
    }
}

fn show(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

impl Pattern {
    /// Whether `line` is like this.
    fn matches(&self, line: &[u8]) -> bool {
        let Some((first, others)) = self.0.split_first() else { return false };
        let Some(mut rest) = line.strip_prefix(&first[..]) else { return false };
        let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
        for part in middle {
            match (0..=rest.len()).find(|&at| rest[at..].starts_with(part)) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// The first difference between two runs.
pub fn difference(expected: &Heard, heard: &Heard) -> Option<String> {
    for (conn, expected) in expected {
        let heard = heard.get(conn).map_or(&[][..], Vec::as_slice);
        if expected == heard {
            continue;
        }
        let same = expected.iter().zip(heard).take_while(|(one, other)| one == other).count();
        let line = expected[..same].iter().rposition(|&octet| octet == b'\n').map_or(0, |lf| lf + 1);
        let around = |octets: &[u8]| show(&octets[line.min(octets.len())..octets.len().min(same + 80)]);
        return Some(format!(
            "connection {conn} heard {:?} instead of {:?}",
            around(heard),
            around(expected)
        ));
    }
    None
}

#[test]
fn patterns() {
    let matches = |pattern: &str, line: &str| {
        Pattern(pattern.split('…').map(Vec::from).collect()).matches(line.as_bytes())
    };
    for (pattern, line) in
        [("+OK …", "+OK x"), ("+OK…", "+OK"), ("a…c…e", "abcde"), ("same", "same"), ("…", "")]
    {
        assert!(matches(pattern, line), "{pattern} {line}");
    }
    for (pattern, line) in [("same", "same "), ("a…c", "abd"), ("+OK …", "-ERR x"), ("a…a", "a"), ("", "x")]
    {
        assert!(!matches(pattern, line), "{pattern} {line}");
    }
}

#[test]
fn differences() {
    let heard = |text: &str| Heard::from([(1, text.as_bytes().to_vec())]);
    assert_eq!(difference(&heard("+OK a\r\n"), &heard("+OK a\r\n")), None);
    for other in ["+OK b\r\n", "+OK a\r\n+OK\r\n", "", "+OK a"] {
        assert!(difference(&heard("+OK a\r\n"), &heard(other)).is_some(), "{other:?}");
    }
    assert!(difference(&heard("+OK a\r\n"), &Heard::new()).is_some());
}
