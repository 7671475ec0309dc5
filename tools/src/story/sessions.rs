//! Who was connected, by the server's own log lines.
//!
//! *Owns*: reading `connection` lines, text or JSON. *Promises*: a session is named only for a time that its line
//! covers. *Assumes*: the lines of one server. *Never*: guesses: a session that still lasts has no line yet.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ringpost_engine::ids::normalise_address;
use serde_json::{Map, Value, json};

use crate::Failure;
use crate::cli::values::Moment;

/// Lines longer than this are none of the server's.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Sessions that are kept.
const SESSIONS_MAX: usize = 1_000_000;

/// A session that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    conn: String,
    service: String,
    client: String,
    user: String,
    from_ms: u64,
    to_ms: u64,
}

impl Session {
    /// For machines.
    pub fn json(&self) -> Value {
        json!({"conn": self.conn, "service": self.service, "client": self.client})
    }

    /// For people.
    pub fn text(&self) -> String {
        format!("conn {} ({} from {})", self.conn, self.service, self.client)
    }
}

/// The sessions of some users.
#[derive(Debug, Default)]
pub struct Sessions(Vec<Session>);

impl Sessions {
    /// Reads a file of log lines; keeps what concerns these addresses.
    pub fn read(path: &Path, addresses: &[String]) -> Result<Sessions, Failure> {
        let fail = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = BufReader::new(File::open(path).map_err(fail)?);
        let mut sessions = Sessions::default();
        let mut line = Vec::new();
        while file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(fail)? > 0 {
            let session = std::str::from_utf8(&line).ok().and_then(|text| session(text.trim_end()));
            sessions.0.extend(session.filter(|session| addresses.contains(&session.user)));
            if sessions.0.len() > SESSIONS_MAX {
                return Err(format!("{} has too many sessions: give a shorter piece of it", path.display()));
            }
            line.clear();
        }
        Ok(sessions)
    }

    /// Those of a user that were open at a moment and can change mail.
    pub fn open_at(&self, user: &str, time_ms: u64) -> Vec<&Session> {
        let open = |session: &&Session| {
            let serves = matches!(session.service.as_str(), "imap" | "pop3");
            serves && session.user == user && (session.from_ms..=session.to_ms).contains(&time_ms)
        };
        self.0.iter().filter(open).collect()
    }
}

/// A `connection` line.
fn session(line: &str) -> Option<Session> {
    let fields = if line.starts_with('{') { serde_json::from_str(line).ok()? } else { fields(line)? };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    if text("event")? != "connection" {
        return None;
    }
    let Moment::At(to_ms) = text("time")?.parse().ok()? else { return None };
    let lasted_ms: u64 = text("duration_ms")?.parse().ok()?;
    Some(Session {
        conn: text("conn")?,
        service: text("service")?,
        client: text("client")?,
        user: normalise_address(&text("user")?),
        from_ms: to_ms.saturating_sub(lasted_ms),
        to_ms,
    })
}

/// `TIME LEVEL EVENT key=value key="a JSON string"` as an object.
fn fields(line: &str) -> Option<Map<String, Value>> {
    let mut words = line.splitn(4, ' ');
    let (time, _level, event) = (words.next()?, words.next()?, words.next()?);
    let mut rest = words.next().unwrap_or_default();
    let mut fields = Map::new();
    fields.insert("time".to_owned(), time.into());
    fields.insert("event".to_owned(), event.into());
    while let Some((key, value)) = rest.split_once('=') {
        let (value, behind) = if value.starts_with('"') {
            let mut strings = serde_json::Deserializer::from_str(value).into_iter::<String>();
            let text = strings.next()?.ok()?;
            (text, &value[strings.byte_offset()..])
        } else {
            let end = value.find(' ').unwrap_or(value.len());
            (value[..end].to_owned(), &value[end..])
        };
        fields.insert(key.to_owned(), value.into());
        rest = behind.trim_start();
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost::log::{Level, Line, moment};

    #[test]
    fn the_servers_lines_are_read_in_both_forms() {
        let line = Line::new(Level::Info, "connection")
            .with("conn", "7")
            .with("service", "imap")
            .with("client", "192.0.2.7")
            .with("user", "Alice@x")
            .with("duration_ms", "5000")
            .with("end", "client \"closed\"");
        let time = moment(1_767_225_600_000);
        let read = session(&line.text(&time)).expect("a session");
        assert_eq!(session(&line.json(&time)).as_ref(), Some(&read));
        assert_eq!((read.from_ms, read.to_ms), (1_767_225_595_000, 1_767_225_600_000));
        assert_eq!((read.user.as_str(), read.text().as_str()), ("alice@x", "conn 7 (imap from 192.0.2.7)"));
        let sessions = Sessions(vec![read]);
        assert_eq!(sessions.open_at("alice@x", 1_767_225_597_000).len(), 1);
        assert_eq!(sessions.open_at("alice@x", 1_767_225_594_999).len(), 0);
        assert_eq!(sessions.open_at("bob@x", 1_767_225_597_000).len(), 0);
    }

    #[test]
    fn other_lines_are_passed_over() {
        let other = Line::new(Level::Info, "delivery").with("conn", "7").text("2026-01-01T00:00:00Z");
        for line in ["", "x", "{", "a b connection", other.as_str(), "a b c d=\"x"] {
            assert_eq!(session(line), None, "{line}");
        }
    }
}
