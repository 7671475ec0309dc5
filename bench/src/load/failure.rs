//! What can go wrong with one operation.
//!
//! *Owns*: the kinds of errors that reports count by. *Promises*: nothing that goes wrong is without a kind.
//! *Assumes*: nothing. *Never*: decides what to do about it.

use std::fmt;
use std::io;

/// Kinds, as they appear in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No connection, or no TLS on it.
    Connect,
    /// The connection broke or ended too early.
    Closed,
    /// No answer in time.
    Timeout,
    /// The server said no.
    Refused,
    /// The answer does not follow the protocol.
    Malformed,
    /// The answer is well formed but wrong: sizes or counts do not agree.
    Mismatch,
    /// Never begun: in the open loop its time had come, but all connections were busy until the end.
    Unserved,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Kind.
    pub kind: Kind,
    /// What happened, for people.
    pub text: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Failure {
        Failure { kind, text: text.into() }
    }

    /// The server's own words, in `context`.
    pub fn refused(context: &str, reply: &[u8]) -> Failure {
        Failure::new(Kind::Refused, format!("{context}: {}", shown(reply)))
    }

    /// Not what the protocol allows, in `context`.
    pub fn malformed(context: &str, reply: &[u8]) -> Failure {
        Failure::new(Kind::Malformed, format!("{context}: {}", shown(reply)))
    }
}

/// A reply for people: one line, bounded.
fn shown(reply: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 200;
    String::from_utf8_lossy(&reply[..reply.len().min(SHOWN_BYTES_MAX)]).into_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::new(Kind::Closed, error.to_string())
    }
}
