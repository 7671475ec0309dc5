//! Log lines: one a connection, one a delivery, one a recovery.
//!
//! *Owns*: the form of a line. *Promises*: `key=value` text or JSON, one line each, no secrets, control octets escaped.
//! *Assumes*: the runtime prints. *Never*: prints.

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
