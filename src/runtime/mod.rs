//! The shell around the shards: moves bytes between the kernel and them and takes no decisions.
//!
//! *Owns*: threads, rings, sockets, files, TLS, the clock; starting and draining. *Promises*: one pinned
//! thread, one ring and one [`Shard`](crate::shard::Shard) per shard; nothing is served before every shard
//! has recovered.
//! *Assumes*: the plan was checked by `config`. *Never*: knows a protocol or looks into the store.
//!
//! ```text
//!   listen ─► pump (one task a connection) ──Event──► core ──► Shard
//!               ▲  recv, tls, send                     │
//!               └──────────────Effect──────────────────┴──► disk · verify · inbox of another shard · lines
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ringpost_engine::limits::SCRUB_ROUND_MS;
use ringpost_engine::{compact, press, scrub};

use crate::limits::RESERVE_SEGMENTS;
use crate::log::Line;
use crate::proto::{Server, Service};

mod clock;
pub mod compress;
mod core;
pub mod dial;
mod disk;
mod inbox;
mod lines;
mod link;
mod listen;
mod pump;
mod ring;
mod running;
mod send;
mod signals;
mod tls;
mod verify;

pub use disk::Files;
pub use running::{
    Control, Lock, Running, lock, missing_shards, preflight, settle_shards, settle_switch, start,
    stored_shards, switch,
};
pub use signals::{hold as hold_signals, wait as wait_for_stop};

/// A socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where. Port 0 takes a free one, see [`Running::addresses`].
    pub address: SocketAddr,
    /// What is spoken there.
    pub service: Service,
    /// Whether TLS comes first (rfc8314#3).
    pub implicit_tls: bool,
}

/// What TLS needs.
#[derive(Clone)]
pub struct Tls {
    /// Certificate chain, leaf first, PEM.
    pub certificate_pem: Vec<u8>,
    /// Private key, PEM.
    pub private_key_pem: Vec<u8>,
}

/// Everything that starting needs.
#[derive(Clone)]
pub struct Plan {
    /// The data folder; created if it is missing.
    pub data: PathBuf,
    /// Shards; must be what the data folder was made with, see [`stored_shards`].
    pub shards: u16,
    /// Sockets.
    pub listeners: Vec<Listener>,
    /// What sessions tell and enforce.
    pub server: Server,
    /// None: neither implicit TLS nor STARTTLS.
    pub tls: Option<Tls>,
    /// Threads that check passwords; at least 1.
    pub verify_threads: usize,
    /// Bytes of a log segment.
    pub segment_bytes: u64,
    /// Bytes a second that scrub reads, a shard; 0 reads none.
    pub scrub_bytes_per_second: u64,
    /// For how many milliseconds removed messages can be had back.
    pub undelete_ms: u64,
    /// Bytes of a shard's log between two checkpoints; 0 makes none.
    pub checkpoint_log_bytes: u64,
    /// Milliseconds after which mail is compressed; none compresses nothing.
    pub compress_after_ms: Option<u64>,
    /// zstd's level for that.
    pub compress_level: i32,
    /// Milliseconds for which a file stays that compaction has emptied, for clients that still fetch from it.
    pub compact_grace_ms: u64,
    /// Percent of the bytes of old files that should be alive.
    pub compact_live_percent: u8,
    /// Bytes that all shards read and write a second to compact old files; 0 compacts nothing.
    pub compact_bytes_per_second: u64,
    /// Bytes that the accounts in use of all shards may take in memory.
    pub index_memory_bytes_max: u64,
    /// Octets of the largest message stored: what is taken and what the server adds to it.
    pub message_bytes_max: usize,
    /// Whether each shard's thread stays on a core of its own.
    pub pin: bool,
}

impl Plan {
    /// How rot is looked for.
    pub fn scrub(&self) -> scrub::Options {
        scrub::Options { bytes_per_second: self.scrub_bytes_per_second, round_ms: SCRUB_ROUND_MS }
    }

    /// Bytes of the disk that stay free when mail is refused: all shards', for they share it.
    pub fn reserve_bytes(&self) -> u64 {
        (RESERVE_SEGMENTS * u64::from(self.shards)).saturating_mul(self.segment_bytes)
    }

    /// How each shard compacts: what it may read and write is its share of what all may.
    pub fn compact(&self) -> compact::Options {
        let share = self.compact_bytes_per_second.div_ceil(u64::from(self.shards.max(1)));
        compact::Options {
            bytes_per_second: share,
            live_percent: self.compact_live_percent,
            grace_ms: self.compact_grace_ms,
            press: press::Options {
                after_ms: self.compress_after_ms,
                level: self.compress_level,
                ..press::Options::default()
            },
            ..compact::Options::default()
        }
    }
}

/// Takes log lines, in order, as many as have gathered. Called on one thread of its own, so it may block.
pub type LogSink = Arc<dyn Fn(&[Line]) + Send + Sync>;
