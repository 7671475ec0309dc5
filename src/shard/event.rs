//! All that can happen to a shard, and all that a shard can do.
//!
//! *Owns*: the two enums and the messages between shards. *Promises*: both fit on a page.
//! *Assumes*: events of one connection arrive in order. *Never*: holds a descriptor, a thread or a clock.

use bytes::Bytes;
use ringpost_engine::change::Services;
use ringpost_engine::ids::{AccountId, Now, ShardId, Slot};
use ringpost_engine::io::{Extent, IoId, IoRequest, IoResult};
use ringpost_engine::octets::Octets;
use ringpost_engine::owners::{Claim, Seat};

use crate::proto::{Delivered, Secret, Service};
use crate::shard::admin::{AdminReply, AdminRequest};
use crate::shard::session::MovedSession;

/// A connection, unique within the process and kept when its session moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Names a question until its answer; unique within the asking shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// All that can happen.
#[derive(Debug)]
pub enum Event {
    /// A client connected.
    Accepted {
        /// Its connection.
        conn: ConnId,
        /// To which service.
        service: Service,
        /// From where, without port.
        address: String,
        /// Whether TLS is already on (implicit TLS: after the handshake).
        tls: bool,
    },
    /// Plaintext bytes from a client.
    Received {
        /// From whom.
        conn: ConnId,
        /// What.
        bytes: Bytes,
    },
    /// All output that was handed over with `Send` has been taken by the kernel.
    Sent {
        /// To whom.
        conn: ConnId,
    },
    /// The TLS handshake that `StartTls` began is done.
    TlsStarted {
        /// Whose.
        conn: ConnId,
    },
    /// The extents that `Warm` named are in memory.
    Warmed {
        /// For whom.
        conn: ConnId,
        /// As in `Warm`.
        why: Warming,
    },
    /// What `Warm` named, or what was to be sent, cannot be read. Comes before the event that this would have had.
    Unreadable(Unreadable),
    /// The connection is gone.
    Closed {
        /// Whose.
        conn: ConnId,
        /// Why, for the log line.
        why: CloseReason,
    },
    /// A session arrived from another shard; its connection is already attached here.
    Arrived(Box<MovedSession>),
    /// Disk work ended.
    Io {
        /// Which.
        id: IoId,
        /// How.
        result: IoResult,
    },
    /// A password was checked; none when the pool had no room.
    Verified {
        /// Which.
        ticket: Ticket,
        /// How.
        good: Option<bool>,
    },
    /// A message from another shard or from the control thread.
    Peer {
        /// From whom.
        from: ShardId,
        /// What.
        message: Message,
    },
    /// Time passes; comes at least every `limits::TICK_MS`.
    Tick,
    /// The shard has had its turn at everything else that was ready: go on with work that was put off
    /// (long commands). Given while [`crate::shard::Shard::has_work`] says so, never before the other events
    /// at hand.
    Turn,
    /// Stop accepting, let sessions finish, then answer [`Effect::Drained`].
    Drain,
}

/// Runs of files that the disk does not give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Which; no more than were asked for.
    pub extents: Vec<Extent>,
    /// What the disk said of the first.
    pub error: String,
}

impl Unreadable {
    /// One more.
    pub fn add(&mut self, extent: Extent, error: &str) {
        if self.extents.is_empty() {
            error.clone_into(&mut self.error);
        }
        self.extents.push(extent);
    }
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed.
    Peer,
    /// The session closed (QUIT, LOGOUT, BYE).
    Session,
    /// Reading or writing failed.
    Error(String),
    /// What was announced already cannot be read.
    Unreadable(Unreadable),
    /// The client did not take its output for `limits::SEND_STALL_MS`.
    Stalled,
    /// TLS failed.
    Tls(String),
    /// What came is not compressed as it should be.
    Compression(String),
    /// The account behind the session was deleted.
    AccountGone,
    /// The account behind the session went to another shard.
    AccountMoved,
    /// The server is stopping and the session did not end in time.
    Stopping,
    /// A bound of `limits` on connections is reached.
    Refused,
}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CloseReason::Peer => f.write_str("client closed"),
            CloseReason::Session => f.write_str("session ended"),
            CloseReason::Error(why) => f.write_str(why),
            CloseReason::Unreadable(what) => write!(f, "reading the log: {}", what.error),
            CloseReason::Stalled => f.write_str("client took no output"),
            CloseReason::Tls(why) => write!(f, "TLS: {why}"),
            CloseReason::Compression(why) => write!(f, "compression: {why}"),
            CloseReason::AccountGone => f.write_str("account deleted"),
            CloseReason::AccountMoved => f.write_str("account moved to another shard"),
            CloseReason::Stopping => f.write_str("server stopping"),
            CloseReason::Refused => f.write_str("too many connections"),
        }
    }
}

/// All that a shard can do.
#[derive(Debug)]
pub enum Effect {
    /// Send these pieces in order. At most one `Send` per connection is under way; `Sent` tells its end.
    Send {
        /// To whom.
        conn: ConnId,
        /// What.
        pieces: Vec<Piece>,
    },
    /// Do the server's side of a TLS handshake, after what was sent before.
    StartTls {
        /// With whom.
        conn: ConnId,
    },
    /// Begin to deflate what is sent and to inflate what is received, or end it; after what was sent before,
    /// and before anything is received.
    Compression {
        /// Whose.
        conn: ConnId,
        /// Whether it begins.
        on: bool,
    },
    /// Bring these runs into memory.
    Warm {
        /// For whom.
        conn: ConnId,
        /// Segment and its view's slices.
        extents: Vec<(Extent, Bytes)>,
        /// What for.
        why: Warming,
    },
    /// Close after what was sent before.
    Close {
        /// Whom.
        conn: ConnId,
        /// Why: for the runtime's counters; the shard has already written the log line.
        why: CloseReason,
    },
    /// Carry the connection, its TLS state and this session over to another shard.
    Move {
        /// Whose connection.
        conn: ConnId,
        /// Where to.
        to: ShardId,
        /// The session, ready to go on.
        session: Box<MovedSession>,
    },
    /// Disk work.
    Io {
        /// Answer with this.
        id: IoId,
        /// What.
        request: IoRequest,
    },
    /// Check a password on the pool.
    Verify {
        /// Answer with this.
        ticket: Ticket,
        /// PHC string.
        hash: String,
        /// Password.
        password: Secret,
    },
    /// Receive nothing more from this client (`on: false`), or go on (`on: true`). Given when a client
    /// pipelines more than `limits::INPUT_HELD_BYTES_MAX` behind an answer it waits for; a connection begins
    /// with receiving on.
    Receive {
        /// From whom.
        conn: ConnId,
        /// Whether to receive.
        on: bool,
    },
    /// The shard knows all it needs to serve (the list of domains): listeners may open. Given once.
    Ready,
    /// A message to another shard, or to the control thread ([`CONTROL`]).
    Peer {
        /// To whom.
        to: ShardId,
        /// What.
        message: Message,
    },
    /// A line for the log.
    Log(crate::log::Line),
    /// Every session is gone and everything appended is durable.
    Drained,
    /// The disk failed for good: say so and abort (DESIGN failure policy).
    Fatal(String),
}

/// Why runs are brought into memory.
#[derive(Clone, Debug, Default)]
pub struct Warming {
    /// Because they are to be unfolded and sent. Else the session looks at them.
    pub to_send: bool,
    /// Octets of which these runs tell where they are; they are brought in next.
    pub more: Vec<Octets>,
}

/// A piece of output.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Bytes made by the session.
    Bytes(Bytes),
    /// A run of a segment: `bytes` is a slice of the mapping, never copied in user space on a plaintext
    /// connection.
    Mapped {
        /// Where it is, for warming and splice.
        extent: Extent,
        /// The mapping's slice; keeps the mapping alive.
        bytes: Bytes,
    },
}

/// The control thread's address in the inbox.
pub const CONTROL: ShardId = ShardId(u16::MAX);

/// What shards (and the control thread) say to each other.
#[derive(Debug)]
pub enum Message {
    /// What is this normalised address, at its owner? One step; the asker follows aliases.
    Lookup {
        /// Answer with this.
        ticket: Ticket,
        /// Normalised.
        address: String,
    },
    /// The answer to `Lookup`.
    Found {
        /// From the question.
        ticket: Ticket,
        /// What it is.
        found: Found,
    },
    /// Check a user's password and services (for sessions that stay where they are: submission).
    Authenticate {
        /// Answer with this.
        ticket: Ticket,
        /// Normalised.
        address: String,
        /// What the client sent.
        password: Secret,
        /// Service wanted.
        service: Services,
    },
    /// The answer to `Authenticate`; none when the password pool had no room.
    Authenticated {
        /// From the question.
        ticket: Ticket,
        /// Whether the login is good.
        good: Option<bool>,
    },
    /// Store a message for accounts that you own. The body is stored once.
    Deliver {
        /// Answer with this.
        ticket: Ticket,
        /// The stored octets.
        parts: Vec<Bytes>,
        /// The encoded summary.
        summary: Bytes,
        /// Normalised addresses.
        accounts: Vec<String>,
        /// INTERNALDATE.
        internal_ms: u64,
    },
    /// How it ended, one result per account, in order, with the log position of those stored.
    Delivered {
        /// From the request.
        ticket: Ticket,
        /// Results.
        results: Vec<(Delivered, u64)>,
    },
    /// Shard 0's list of domains, after every change and at start.
    Domains(Vec<String>),
    /// Slots that changed shards, as the sender's log says: at start, and after each claim.
    Slots(Vec<(Slot, Seat)>),
    /// All of a slot that is going to you has come: take it over.
    Claim(Box<Claim>),
    /// The answer to `Claim`: the claim is durable, or why it is not.
    Claimed {
        /// From the claim.
        slot: Slot,
        /// From the claim.
        epoch: u32,
        /// None: done.
        refused: Option<String>,
    },
    /// An account was deleted: its sessions that are with others' mailboxes end too.
    AccountGone(AccountId),
    /// An administrator's request.
    Admin {
        /// Answer with this.
        ticket: Ticket,
        /// What.
        request: AdminRequest,
    },
    /// Its answer.
    AdminReply {
        /// From the request.
        ticket: Ticket,
        /// The answer.
        reply: AdminReply,
    },
}

/// What an address is to the shard that owns its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An account that takes mail.
    Account,
    /// An alias with these normalised targets.
    Alias(Vec<String>),
    /// Nothing.
    Unknown,
    /// An account, but the disk is full.
    Full,
    /// An account whose quota is used up.
    OverQuota,
    /// An account that cannot be served at the moment (quarantined after damage).
    Unavailable,
}

/// An event with its moment.
#[derive(Debug)]
pub struct Timed {
    /// When.
    pub now: Now,
    /// What.
    pub event: Event,
}
