//! Log lines: one a connection, one a delivery, one a recovery.
//!
//! *Owns*: the form of a line. *Promises*: `key=value` text or JSON, one line each, no secrets, control
//! octets escaped.
//! *Assumes*: the runtime prints. *Never*: prints.

use crate::proto::mime::date::DateTime;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As expected.
    Info,
    /// Somebody should look at it.
    Warn,
    /// Somebody must act.
    Error,
}

/// One line: what happened and its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// What happened, one word: `connection`, `delivery`, `recovery`, …
    pub event: &'static str,
    /// Facts in order.
    pub fields: Vec<(&'static str, String)>,
}

impl Line {
    /// A line without facts yet.
    pub fn new(level: Level, event: &'static str) -> Line {
        Line { level, event, fields: Vec::new() }
    }

    /// Adds a fact.
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Line {
        self.fields.push((key, value.into()));
        self
    }
}

impl Line {
    /// `2026-01-31T03:00:00.000Z info connection conn=7 user=ann@example.org end="client closed"`: what people
    /// read and `grep`.
    pub fn text(&self, time: &str) -> String {
        let mut out = format!("{time} {} {}", self.level_word(), self.event);
        for (key, value) in &self.fields {
            let bare =
                !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
            out.push(' ');
            out.push_str(key);
            out.push('=');
            match bare {
                true => out.push_str(value),
                false => out.push_str(&quoted(value)),
            }
        }
        out
    }

    /// The same as one JSON object; every value is a string.
    pub fn json(&self, time: &str) -> String {
        let mut out = format!("{{\"time\":{},\"level\":\"{}\",", quoted(time), self.level_word());
        out.push_str("\"event\":");
        out.push_str(&quoted(self.event));
        for (key, value) in &self.fields {
            out.push(',');
            out.push_str(&quoted(key));
            out.push(':');
            out.push_str(&quoted(value));
        }
        out.push('}');
        out
    }

    fn level_word(&self) -> &'static str {
        match self.level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// A moment as logs write it (rfc3339#5.6), in UTC to the millisecond.
pub fn moment(unix_ms: u64) -> String {
    let at = DateTime::from_unix((unix_ms / 1000) as i64);
    let ((year, month, day), second) = (at.civil(), at.second_of_day);
    let (hour, minute, second, ms) = (second / 3600, second / 60 % 60, second % 60, unix_ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// A JSON string (rfc8259#7): what a client sent can neither end a line nor reach a terminal's control codes.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_break_a_line_or_look_like_another_field() {
        let line =
            Line::new(Level::Warn, "connection").with("user", "a\r\nb=\"c\" \u{1b}[2J").with("ok", "x/y");
        assert_eq!(
            line.text("now"),
            "now warn connection user=\"a\\u000d\\u000ab=\\\"c\\\" \\u001b[2J\" ok=x/y"
        );
        let parsed: serde_json::Value = serde_json::from_str(&line.json(&moment(951_782_400_001))).unwrap();
        assert_eq!(parsed["user"], "a\r\nb=\"c\" \u{1b}[2J");
        assert_eq!(parsed["level"], "warn");
        assert_eq!(parsed["time"], "2000-02-29T00:00:00.001Z");
    }
}
