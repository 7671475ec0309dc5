//! Sessions: bytes in, outputs out.
//!
//! *Owns*: the contract between a protocol and the shard that runs it.
//! *Promises*: the same bytes in any chunking give the same outputs; no output speaks of what is not durable;
//! queued output stays within `limits::OUTPUT_BYTES_MAX` and one step's allowance; one call does bounded
//! work.
//! *Assumes*: the shard calls back for everything that was asked. *Never*: waits, touches a socket, reads a
//! clock, keeps what it read from the store across calls (ids excepted).
//!
//! ```text
//!            feed ─────────────►┌─────────┐
//!            on_reply ─────────►│ Session │──poll_output──► Bytes Octets │ AwaitCommit Warm Ask Deliver Verify
//!            on_commit ────────►│ (a value│                 StartTls Handoff Yield Close
//!            on_push, resume ──►│  Send)  │                 Start- and StopCompression
//!            on_timeout ───────►└─────────┘
//! ```

use bytes::{Buf, Bytes, BytesMut};
use ringpost_engine::change::{Outcome, Services};
use ringpost_engine::ids::{AccountId, Lsn, Now};
use ringpost_engine::octets::Octets;
use ringpost_engine::store::Store;

pub mod framer;
pub mod identity;
pub mod imap;
pub mod mime;
pub mod output;
pub mod pop3;
pub mod sasl;
pub mod smtp;
#[cfg(test)]
pub mod testing;

/// What a session may look at and change during one call.
pub struct Cx<'a> {
    /// The shard's store. Before a hand-off it need not be the one that owns the account.
    pub store: &'a mut Store,
    /// The time.
    pub now: Now,
    /// What the server tells about itself.
    pub server: &'a Server,
    /// Whether messages being received fill `limits::BUFFERED_MESSAGE_BYTES_MAX` already: start no new one
    /// (452 4.3.1, `NO [LIMIT]`-style replies).
    pub crowded: bool,
}

/// Facts about the server that sessions announce or enforce. The same on every shard; changes only by
/// configuration.
#[derive(Clone, Debug)]
pub struct Server {
    /// Host name in greetings and trace fields.
    pub hostname: String,
    /// Whether STARTTLS can be offered.
    pub tls: bool,
    /// Whether passwords may be sent without TLS (loopback only by default).
    pub plaintext_login: bool,
    /// Largest message taken, octets.
    pub message_bytes_max: usize,
    /// Recipients of one transaction.
    pub recipients_max: usize,
    /// Domains whose mail is ours, lower case, sorted (the broadcast copy of shard 0's).
    pub domains: Vec<String>,
    /// Normalised addresses of users who may set quotas.
    pub imap_administrators: Vec<String>,
    /// Normalised addresses of submission servers, who may fetch what `submit+` URLs authorise (rfc4467#2.3).
    pub submission_users: Vec<String>,
    /// What the keys of authorised URLs are derived from: random, and kept from everybody.
    pub url_secret: Secret,
    /// The character that splits a sub-address off a local part.
    pub subaddress_separator: char,
    /// POP3 LOGIN-DELAY in seconds; shown only if set.
    pub pop3_login_delay_s: Option<u32>,
    /// Whether the log notes which messages POP3 sessions were sent.
    pub note_reads: bool,
    /// Milliseconds without a command before a session that has not logged in ends.
    pub login_timeout_ms: u64,
    /// Milliseconds without a command before a POP3 session ends (rfc1939#3: at least ten minutes).
    pub pop3_idle_timeout_ms: u64,
    /// Milliseconds without a command before an IMAP session ends (rfc3501#5.4: at least thirty minutes).
    pub imap_idle_timeout_ms: u64,
    /// Milliseconds without input before an SMTP session ends (rfc5321#4.5.3.2.7: at least five minutes).
    pub smtp_idle_timeout_ms: u64,
    /// What IMAP offers.
    pub imap: ImapPolicy,
}

/// What an operator chooses of IMAP.
#[derive(Clone, Debug, Default)]
pub struct ImapPolicy {
    /// Announce and enforce LITERAL- (rfc7888#5) in the place of LITERAL+.
    pub literal_minus: bool,
    /// Take APPENDed messages with 8-bit header fields from clients that enabled no UTF-8, which rfc9755#4
    /// forbids.
    pub legacy_8bit_headers: bool,
    /// Send logins of accounts that have a referral where it says (rfc2221).
    pub login_referrals: bool,
    /// Messages that one command deals with (rfc9738): MESSAGELIMIT. None by default: a client that does not
    /// know of it would take the part that it gets for the whole.
    pub message_limit: Option<u32>,
    /// Messages that one COPY or APPEND makes (rfc9738): SAVELIMIT, which is not announced beside MESSAGELIMIT,
    /// since that says it too.
    pub save_limit: Option<u32>,
}

impl ImapPolicy {
    /// Messages that one COPY or APPEND may make, if that is limited.
    pub fn copies_max(&self) -> Option<u32> {
        self.message_limit.or(self.save_limit)
    }
}

/// What a session knows of its connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Number of the connection, unique in this process; shown in every log line.
    pub conn: u64,
    /// The client's address without port, for trace fields.
    pub address: String,
    /// Which service it came to.
    pub service: Service,
    /// Whether TLS is on.
    pub tls: bool,
    /// When it connected, milliseconds since 1970.
    pub opened_ms: u64,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// SMTP from other servers.
    Smtp,
    /// SMTP from users: authentication required.
    Submission,
    /// LMTP from a local MTA.
    Lmtp,
    /// POP3.
    Pop3,
    /// IMAP.
    Imap,
}

impl Service {
    /// Its name in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submission => "submission",
            Service::Lmtp => "lmtp",
            Service::Pop3 => "pop3",
            Service::Imap => "imap",
        }
    }
}

/// Bytes received and not yet consumed. A session takes whole units and leaves the rest.
#[derive(Debug, Default)]
pub struct Input {
    buffer: BytesMut,
}

impl Input {
    /// Nothing.
    pub fn new() -> Input {
        Input::default()
    }
    /// Adds what was received.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
    /// What is there.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }
    /// How much is there.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }
    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
    /// Drops the first `count` bytes.
    pub fn consume(&mut self, count: usize) {
        self.buffer.advance(count);
        self.give_back();
    }
    /// Takes the first `count` bytes out, without a copy.
    pub fn take(&mut self, count: usize) -> Bytes {
        let taken = self.buffer.split_to(count).freeze();
        self.give_back();
        taken
    }
    /// Drops everything: used where pipelined bytes must not survive (rfc3207#4.2).
    pub fn clear(&mut self) {
        self.buffer = BytesMut::new();
    }
    /// Gives the memory of consumed bytes back at the cost of a copy of the rest.
    pub fn give_back_consumed(&mut self) {
        self.buffer = BytesMut::from(&self.buffer[..]);
    }
    /// An idle session keeps no buffer.
    fn give_back(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

/// What a session asks the shard to do, in order.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes.
    Bytes(Bytes),
    /// Send these octets of a stored message, or bytes of its summary; no session looks at them.
    Octets(Octets),
    /// Call `on_commit` when this position is applied. Later output waits in the session until then.
    AwaitCommit(Lsn),
    /// Bring these runs into memory, then call `resume`: the session is about to look at them.
    Warm(Vec<Octets>),
    /// Flush, do the TLS handshake, then call `on_reply(Reply::TlsStarted)`. Unread input must already be
    /// cleared.
    StartTls,
    /// Deflate all output behind this one, and inflate all input behind what was fed so far (rfc4978#3).
    /// Unread input is compressed already, so there must be none.
    StartCompression,
    /// Send all output behind this one as it is, and take input as it comes (rfc8437#4.1).
    StopCompression,
    /// Move this session to the shard that owns the normalised address, then call `on_reply(Reply::Arrived)`
    /// (also when it is here already).
    Handoff {
        /// Normalised address (or what the client said, where it is not an address; its slot owns the
        /// refusal).
        address: String,
    },
    /// Check a password off the shard, then call `on_reply(Reply::Verified)`. Always take the same time:
    /// without an account, verify against [`UNKNOWN_ACCOUNT_HASH`].
    Verify {
        /// PHC string.
        hash: String,
        /// What the client sent.
        password: Secret,
    },
    /// Ask the owner of an address, then call `on_reply(Reply::Answer)`.
    Ask(Ask),
    /// Store a message for its recipients, then call `on_reply(Reply::Delivered)`.
    Deliver(Box<Delivery>),
    /// Call `resume` soon; other sessions come first.
    Yield,
    /// Flush and close.
    Close,
}

/// A hash that no password verifies against, so that unknown accounts cost what known ones do.
pub const UNKNOWN_ACCOUNT_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cmluZ3Bvc3QtdW5rbm93bg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A question to the shard that owns an address.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Would mail to this normalised address be taken? Sub-address and alias are resolved by the owner.
    Recipient {
        /// As normalised.
        address: String,
    },
    /// Check this user's password and that `service` is allowed (for sessions that stay where they are:
    /// submission).
    Authenticate {
        /// Normalised address.
        address: String,
        /// Password.
        password: Secret,
        /// Service wanted.
        service: Services,
    },
}

/// The owner's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Mail will be taken for these accounts' addresses (several for an alias).
    Recipient(RecipientAnswer),
    /// Whether the login is good.
    Authenticated(bool),
    /// Could not find out now (a bound was reached, a shard is stopping): a temporary refusal.
    Unavailable,
}

/// Answer to [`Ask::Recipient`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientAnswer {
    /// Taken. Normalised addresses of the accounts behind it, each once, bounded.
    Accepted(Vec<String>),
    /// Nobody by that name: 550 5.1.1.
    Unknown,
    /// An alias that leads nowhere or in a circle: 550 5.4.6.
    Loop,
    /// The disk of the owner is full: 452 4.3.1.
    Full,
    /// The account's quota is used up: 452 4.2.2.
    OverQuota,
}

/// A message on its way to its mailboxes.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The queue id, in the reply, the trace field and the log line.
    pub queue_id: String,
    /// Envelope sender, as shown in Return-Path.
    pub sender: String,
    /// The Message-ID field's value, if there is one, for the log line.
    pub message_id: String,
    /// The stored octets: trace fields first, then the message.
    pub parts: Vec<Bytes>,
    /// The encoded summary of those octets.
    pub summary: Bytes,
    /// One entry a recipient, in the order of RCPT.
    pub recipients: Vec<DeliveryRecipient>,
    /// INTERNALDATE.
    pub internal_ms: u64,
}

/// A recipient that RCPT accepted.
#[derive(Clone, Debug)]
pub struct DeliveryRecipient {
    /// As the client named it, for the log line.
    pub named: String,
    /// The accounts' addresses from [`RecipientAnswer::Accepted`].
    pub accounts: Vec<String>,
}

/// How delivery to one recipient ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Durable in every account behind it.
    Stored,
    /// At least one account could not take it now: 451 or 452.
    TryLater {
        /// Whether the reason is a full disk.
        disk_full: bool,
    },
    /// At least one account's quota has no room for it.
    OverQuota {
        /// Whether others behind the same recipient have it: then 552 5.2.2, for with every new attempt they
        /// would get it once more; else 452 4.2.2.
        others_stored: bool,
    },
    /// The account is gone since RCPT: 550 5.1.1.
    Unknown,
}

/// What the shard tells a session in answer to an [`Output`].
#[derive(Debug)]
pub enum Reply {
    /// TLS is on.
    TlsStarted,
    /// The session is on the owner's shard now.
    Arrived,
    /// How the password check ended; none when the pool was too busy (a temporary refusal).
    Verified(Option<bool>),
    /// The answer to an `Ask`.
    Answer(Answer),
    /// One result per recipient of the `Deliver`, in order.
    Delivered(Vec<Delivered>),
}

/// A commit that a session waited for.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The position.
    pub lsn: Lsn,
    /// What the change did.
    pub outcome: Outcome,
}

/// Which time-out applies to a session at the moment. The shard measures from the last received or sent byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Ends after this many milliseconds without a byte from the client.
    Ms(u64),
    /// The session waits for the server itself; no time-out.
    Waiting,
}

/// A name and a value for the log.
pub type Fact = (&'static str, String);

/// A protocol's state for one connection: a plain `Send` value that can move between shards.
pub trait Session: Send {
    /// The greeting; called once, before anything else.
    fn start(&mut self, cx: &mut Cx<'_>);
    /// Consumes whole units from `input` while it can go on. Leaves everything while an answer is owed
    /// ([`Output::AwaitCommit`] and the like); the shard calls again after each callback.
    fn feed(&mut self, input: &mut Input, cx: &mut Cx<'_>);
    /// A commit that was awaited.
    fn on_commit(&mut self, commit: Committed, cx: &mut Cx<'_>);
    /// The answer to an output that asked something.
    fn on_reply(&mut self, reply: Reply, cx: &mut Cx<'_>);
    /// The account this session watches has changed. Only notes it if it may not speak now.
    fn on_push(&mut self, cx: &mut Cx<'_>);
    /// There is room for `room` bytes of output again, or what [`Output::Warm`] or [`Output::Yield`] asked
    /// is done.
    fn resume(&mut self, room: usize, cx: &mut Cx<'_>);
    /// The client was silent for longer than [`Session::patience`]. Says goodbye and closes.
    fn on_timeout(&mut self, cx: &mut Cx<'_>);
    /// The server is stopping: say so and close as soon as no command is half done.
    fn on_drain(&mut self, cx: &mut Cx<'_>);
    /// The account is served by another shard from now on: ask the client to connect again, as soon as no command is
    /// half done.
    fn on_depart(&mut self, cx: &mut Cx<'_>) {
        self.on_drain(cx);
    }
    /// The connection is gone or goes now: nothing more can be said.
    fn on_end(&mut self, _cx: &mut Cx<'_>) {}
    /// The next output, in order.
    fn poll_output(&mut self) -> Option<Output>;
    /// Which time-out applies now.
    fn patience(&self, server: &Server) -> Patience;
    /// The account to be pushed about (IMAP with a mailbox selected); none otherwise.
    fn watches(&self) -> Option<AccountId>;
    /// The authenticated account, on the shard that owns it; closed when that account is deleted or barred.
    fn account(&self) -> Option<AccountId>;
    /// Octets of a message being received, its envelope included, that this session holds in memory at the
    /// moment.
    fn buffered(&self) -> usize;
    /// For the connection's log line, names and values in order: user, failed logins, commands, …; no secrets.
    fn facts(&self) -> Vec<Fact>;
}
