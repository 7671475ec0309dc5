//! The shell around the shards: moves bytes between the kernel and them and takes no decisions.
//!
//! *Owns*: threads, rings, sockets, files, TLS, the clock; starting and draining. *Promises*: one pinned thread, one
//! ring and one [`Shard`](crate::shard::Shard) per shard; nothing is served before every shard has recovered.
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

use ringpost_engine::ids::ShardId;

use crate::log::Line;
use crate::proto::{Server, Service};
use crate::shard::admin::{AdminReply, AdminRequest};

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
    /// Octets of the largest message taken.
    pub message_bytes_max: usize,
    /// Whether each shard's thread stays on a core of its own.
    pub pin: bool,
}

/// Takes log lines. Called on one thread of its own, so it may block.
pub type LogSink = Arc<dyn Fn(Line) + Send + Sync>;

/// How many shards a data folder was made with; none if it is new.
///
/// # Errors
/// One line for the operator when the folder cannot be read or names no number.
pub fn stored_shards(data: &std::path::Path) -> Result<Option<u16>, String> {
    let _ = data;
    Ok(None)
}

/// Whether `plan` can be served here: io_uring, limits, the folder and its lock, space, ports.
///
/// # Errors
/// One clear line that names the remedy.
pub fn preflight(plan: &Plan) -> Result<(), String> {
    let _ = plan;
    Err("not built yet".to_owned())
}

/// Binds, recovers every shard (a log line each), then serves.
///
/// # Errors
/// One clear line that names the remedy; nothing has been served then.
pub fn start(plan: Plan, lines: LogSink) -> Result<Running, String> {
    let _ = (plan, lines);
    Err("not built yet".to_owned())
}

/// A server at work. Call [`Running::drain`] to end it.
pub struct Running {
    control: Control,
    addresses: Vec<SocketAddr>,
}

impl Running {
    /// A handle for the control threads.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// The bound addresses, in the order of [`Plan::listeners`].
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, lets sessions finish for `limits::DRAIN_MS`, makes everything durable, joins every thread.
    ///
    /// # Errors
    /// Which shard did not come to its end.
    pub fn drain(self) -> Result<(), String> {
        Ok(())
    }
}

/// Speaks to the shards from ordinary threads.
#[derive(Clone)]
pub struct Control {
    shards: u16,
}

impl Control {
    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// Asks a shard and waits for its answer.
    ///
    /// # Errors
    /// The shard does not exist, is too busy, or did not answer within `limits::CONTROL_MS`.
    pub fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
        let _ = (to, request);
        Err("not built yet".to_owned())
    }

    /// The runtime's own figures of all shards together: name and value, in order.
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// The PHC string of a password: argon2id, m=19456 KiB, t=2, p=1, a random salt.
pub fn hash_password(password: &[u8]) -> String {
    let _ = password;
    String::new()
}

/// Blocks SIGINT and SIGTERM in this thread and those it starts. Call first of all in `main`.
pub fn hold_signals() {}

/// Waits for SIGINT or SIGTERM and names it. From then on a second one ends the process at once.
pub fn wait_for_stop() -> &'static str {
    "SIGTERM"
}
