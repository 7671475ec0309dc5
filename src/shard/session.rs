//! One connection as the shard holds it, and a session on the move.
//!
//! *Owns*: which protocol a service speaks; the facts of a connection beside its session. *Promises*: an idle
//! connection holds no buffer. *Assumes*: `flow` drives it. *Never*: calls a session.

use ringpost_engine::ids::{AccountId, Now};

use crate::proto::imap::ImapSession;
use crate::proto::pop3::session::Pop3Session;
use crate::proto::smtp::SmtpSession;
use crate::proto::{Input, Peer, Service, Session};
use crate::shard::event::CloseReason;
use crate::shard::outbox::Outbox;

/// A new session for a client of `peer.service`. A new protocol is one arm here and one listener.
pub fn open(peer: Peer) -> Box<dyn Session> {
    match peer.service {
        Service::Pop3 => Box::new(Pop3Session::new(peer)),
        Service::Smtp | Service::Submission | Service::Lmtp => Box::new(SmtpSession::new(peer)),
        Service::Imap => Box::new(ImapSession::new(peer)),
    }
}

/// A session that changes shards: everything that makes it up, between two receives.
pub struct MovedSession {
    /// The protocol's state.
    pub session: Box<dyn Session>,
    /// Bytes received and not yet consumed.
    pub input: Input,
    /// Its connection's facts.
    pub peer: Peer,
    /// The address whose owner it is on its way to.
    pub seeks: String,
    /// Bytes received and sent so far, for the log line.
    pub bytes_in: u64,
    /// See `bytes_in`.
    pub bytes_out: u64,
}

impl std::fmt::Debug for MovedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MovedSession({})", self.peer.conn)
    }
}

/// What a connection is doing beside talking.
///
/// ```text
///              StartTls, flushed           TlsStarted
///        ┌──► Upgrading ──────► Handshaking ─────────┐
///  Open ─┼──► Switching ──────flushed──► compression ┤
///    ▲   ├──► Leaving(for) ─flushed──► Effect::Move  │
///    │   └──► Closing(why) ─flushed──► Effect::Close │
///    └───────────────────────────────────────────────┘
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    /// The session is fed, resumed and pushed.
    Open,
    /// What was said before STARTTLS is on its way out.
    Upgrading,
    /// The runtime does the handshake.
    Handshaking,
    /// What was said before compression begins or ends is on its way out.
    Switching {
        /// Whether it begins.
        on: bool,
    },
    /// The session goes to the owner of this address when its output is out.
    Leaving(String),
    /// Ends when its output is out.
    Closing(CloseReason),
}

/// One client.
pub(super) struct Connection {
    pub session: Box<dyn Session>,
    pub input: Input,
    pub peer: Peer,
    pub outbox: Outbox,
    pub phase: Phase,
    /// Answers the session waits for; it is not fed before they are there.
    pub owed: u32,
    /// A `Send` is under way.
    pub sending: bool,
    /// The runtime may receive.
    pub receiving: bool,
    /// The watched account changed while a `Send` was under way.
    pub pushed: bool,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Monotonic, for the time-out.
    pub active_ms: u64,
    /// When the timer looks at it next; none: it does not.
    pub armed_ms: Option<u64>,
    /// What `push` has on record.
    pub watching: Option<AccountId>,
    /// What `push` has on record.
    pub account: Option<AccountId>,
    /// What the sum of messages being received counts for it.
    pub buffered: usize,
}

impl Connection {
    /// A connection that begins (or goes on) here now.
    pub fn new(moved: MovedSession, now: Now) -> Connection {
        Connection {
            session: moved.session,
            input: moved.input,
            peer: moved.peer,
            outbox: Outbox::default(),
            phase: Phase::Open,
            owed: 0,
            sending: false,
            receiving: true,
            pushed: false,
            bytes_in: moved.bytes_in,
            bytes_out: moved.bytes_out,
            active_ms: now.mono_ms,
            armed_ms: None,
            watching: None,
            account: None,
            buffered: 0,
        }
    }

    /// What travels.
    pub fn into_moved(self, seeks: String) -> MovedSession {
        MovedSession {
            session: self.session,
            input: self.input,
            peer: self.peer,
            seeks,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }

    /// Whether the session may be called for anything but its end.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }
}
