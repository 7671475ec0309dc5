//! The protocols a shard runs, and a session on the move.

use crate::proto::{Input, Peer, Session};

/// A session that changes shards: everything that makes it up, between two receives.
pub struct MovedSession {
    /// The protocol's state.
    pub session: Box<dyn Session>,
    /// Bytes received and not yet consumed.
    pub input: Input,
    /// Its connection's facts.
    pub peer: Peer,
    /// Bytes received and sent so far, for the log line.
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
    /// When it connected, wall-clock milliseconds.
    pub since_ms: u64,
}

impl std::fmt::Debug for MovedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MovedSession({})", self.peer.conn)
    }
}
