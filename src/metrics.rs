//! What a shard counts.
//!
//! *Owns*: the counters of one shard and their names. *Promises*: they only grow, and cost one addition each.
//! *Assumes*: one owner; whoever wants a sum over shards adds. *Never*: a gauge; those are read where the
//! thing lives.

/// Counters of one shard since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections taken.
    pub connections: u64,
    /// Connections refused by a bound.
    pub connections_refused: u64,
    /// Sessions that came from another shard.
    pub sessions_arrived: u64,
    /// Sessions that went to another shard.
    pub sessions_moved: u64,
    /// Sessions ended because their client was silent.
    pub sessions_timed_out: u64,
    /// Octets received from clients, after TLS.
    pub bytes_in: u64,
    /// Octets sent to clients that a session made or copied, before TLS.
    pub bytes_out_made: u64,
    /// Octets sent to clients from the mapped log, which no session touched.
    pub bytes_out_mapped: u64,
    /// Gathered sends.
    pub sends: u64,
    /// Messages taken from SMTP and LMTP clients of this shard.
    pub deliveries: u64,
    /// Messages put into mailboxes of this shard by SMTP and LMTP, here or on another shard.
    pub messages_stored: u64,
    /// Recipients that were told to come back later.
    pub recipients_deferred: u64,
    /// Questions other shards did not answer in time.
    pub questions_expired: u64,
    /// Password checks asked of the pool.
    pub verifies: u64,
    /// Changes applied.
    pub changes: u64,
    /// Times a session was told that its account changed.
    pub pushes: u64,
    /// Requests to bring log bytes into memory.
    pub warms: u64,
    /// Times a session put its work off.
    pub yields: u64,
    /// Places at which scrub found something else on the disk than was written, as often as it told of them.
    pub rot: u64,
    /// Runs of the log that a client wanted and the disk did not give.
    pub unreadable: u64,
    /// Summaries of messages that were made anew and put back.
    pub rot_mended: u64,
}

impl Counters {
    /// Name and value of each, in order.
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("connections_total", self.connections),
            ("connections_refused", self.connections_refused),
            ("sessions_arrived", self.sessions_arrived),
            ("sessions_moved", self.sessions_moved),
            ("sessions_timed_out", self.sessions_timed_out),
            ("bytes_in", self.bytes_in),
            ("bytes_out_made", self.bytes_out_made),
            ("bytes_out_mapped", self.bytes_out_mapped),
            ("sends", self.sends),
            ("deliveries", self.deliveries),
            ("messages_stored", self.messages_stored),
            ("recipients_deferred", self.recipients_deferred),
            ("questions_expired", self.questions_expired),
            ("verifies", self.verifies),
            ("changes", self.changes),
            ("pushes", self.pushes),
            ("warms", self.warms),
            ("yields", self.yields),
            ("rot", self.rot),
            ("rot_mended", self.rot_mended),
            ("unreadable", self.unreadable),
        ]
    }
}
