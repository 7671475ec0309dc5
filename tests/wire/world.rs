//! Shards, fake disks and clients in a loop.
//!
//! *Owns*: carrying out effects at once and without faults. *Promises*: when a call returns, everything it
//! caused is done; time stands still between two [`World::wait`]. *Assumes*: few clients. *Never*: loses
//! or reorders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use ringpost::config::Config;
use ringpost::proto::{Secret, Server, Service, mime};
use ringpost::shard::Shard;
use ringpost::shard::admin::{AdminReply, AdminRequest};
use ringpost::shard::event::{CONTROL, CloseReason, ConnId, Effect, Event, Message, Piece, Ticket};
use ringpost_engine::change::Services;
use ringpost_engine::ids::{Now, ShardId, Slot};
use ringpost_engine::io::Disk;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::seed::Seed;

/// A client.
pub type Conn = u64;

/// Saturday, 1 January 2022, 12:00 UTC.
const START: Now = Now { unix_ms: 1_641_038_400_000, mono_ms: 5_000 };

/// The server's facts, unless a transcript says otherwise; loopback rules: passwords need no TLS.
pub fn server() -> Server {
    Server {
        hostname: "mx.example.test".to_owned(),
        message_bytes_max: 1024 * 1024,
        recipients_max: 100,
        imap_idle_timeout_ms: 1_800_000,
        imap_administrators: vec!["alice@example.test".to_owned()],
        submission_users: vec!["bob@example.test".to_owned()],
        url_secret: Secret(b"of the wire".to_vec()),
        ..Config::embedded().server()
    }
}

/// A shard with its disk.
pub struct Core {
    shard: Shard,
    /// Where its log is.
    pub disk: FakeDisk,
}

/// Everything.
pub struct World {
    /// All shards.
    pub cores: Vec<Core>,
    events: VecDeque<(usize, Event)>,
    now: Now,
    /// On which shard each client is.
    homes: BTreeMap<Conn, usize>,
    heard: BTreeMap<Conn, Vec<u8>>,
    closed: BTreeSet<Conn>,
    ready: usize,
    /// Answers to what the control thread asked.
    answers: Vec<String>,
}

impl World {
    /// A server with the domain `example.test`, the accounts alice and bob there (password `secret`), and the
    /// alias `team` for both of them.
    pub fn new(shards: u16, server: &Server) -> World {
        World::with(shards, server, Options::new(ShardId(0), 1))
    }

    /// The same with these options of each store, but for its shard and the size of its segments.
    pub fn with(shards: u16, server: &Server, options: Options) -> World {
        let mut world = World {
            cores: (0..shards).map(|id| core(ShardId(id), shards, server.clone(), options.clone())).collect(),
            events: VecDeque::new(),
            now: START,
            homes: BTreeMap::new(),
            heard: BTreeMap::new(),
            closed: BTreeSet::new(),
            ready: 0,
            answers: Vec::new(),
        };
        (0..world.cores.len()).for_each(|index| world.carry_out(index));
        world.run();
        assert_eq!(world.ready, world.cores.len(), "every shard is ready");
        world.ask(ShardId(0), AdminRequest::DomainAdd { name: "example.test".to_owned() });
        let targets = ["alice@example.test".to_owned(), "bob@example.test".to_owned()];
        for address in targets.clone() {
            let owner = Slot::of(&address).shard(shards);
            // The hash of a password is the password here.
            let password_hash = "secret".to_owned();
            world.ask(owner, AdminRequest::AccountAdd { address, password_hash, services: Services::ALL });
        }
        let address = "team@example.test".to_owned();
        world.ask(
            Slot::of(&address).shard(shards),
            AdminRequest::AliasSet { address, targets: targets.into() },
        );
        assert!(world.answers.iter().all(|answer| answer == "Done"), "{:?}", world.answers);
        world
    }

    fn ask(&mut self, to: ShardId, request: AdminRequest) {
        let message = Message::Admin { ticket: Ticket(self.answers.len() as u64), request };
        let expected = self.answers.len() + 1;
        self.handle(usize::from(to.0), Event::Peer { from: CONTROL, message });
        assert_eq!(self.answers.len(), expected, "an answer at once");
    }

    /// The operator hides capabilities from an account's clients, and no others.
    pub fn hide(&mut self, address: &str, capabilities: &[&str]) {
        let owner = Slot::of(address).shard(self.cores.len() as u16);
        let capabilities = capabilities.iter().map(|&name| name.to_owned()).collect();
        self.ask(owner, AdminRequest::AccountHide { address: address.to_owned(), capabilities });
    }

    /// A client connects; each to another shard.
    pub fn connect(&mut self, conn: Conn, service: Service, tls: bool) {
        let home = conn as usize % self.cores.len();
        self.homes.insert(conn, home);
        self.heard.insert(conn, Vec::new());
        let address = "192.0.2.7".to_owned();
        self.handle(home, Event::Accepted { conn: ConnId(conn), service, address, tls });
    }

    /// A client closes its connection.
    pub fn hang_up(&mut self, conn: Conn) {
        let event = Event::Closed { conn: ConnId(conn), why: CloseReason::Peer };
        self.handle(self.homes[&conn], event);
    }

    /// Bytes from a client; what comes after the end is lost, as it is with a socket.
    pub fn receive(&mut self, conn: Conn, bytes: &[u8]) {
        if self.closed.contains(&conn) {
            return;
        }
        let home = self.homes[&conn];
        self.handle(home, Event::Received { conn: ConnId(conn), bytes: Bytes::copy_from_slice(bytes) });
    }

    /// A message for an account comes in at its shard.
    pub fn deliver(&mut self, address: &str, message: &[u8]) {
        let owner = Slot::of(address).shard(self.cores.len() as u16);
        let expected = self.answers.len() + 1;
        let delivery = Message::Deliver {
            ticket: Ticket(0),
            summary: mime::summarise(message).encode(),
            parts: vec![Bytes::copy_from_slice(message)],
            accounts: vec![address.to_owned()],
            internal_ms: self.now.unix_ms,
        };
        self.handle(usize::from(owner.0), Event::Peer { from: CONTROL, message: delivery });
        assert_eq!(self.answers.len(), expected, "a delivery is answered");
        assert_eq!(self.answers.last().map(String::as_str), Some("Stored"));
    }

    /// Time passes without a word.
    pub fn wait(&mut self, ms: u64) {
        self.now = Now { unix_ms: self.now.unix_ms + ms, mono_ms: self.now.mono_ms + ms };
        (0..self.cores.len()).for_each(|index| self.handle(index, Event::Tick));
    }

    /// The server is told to stop.
    pub fn drain(&mut self) {
        (0..self.cores.len()).for_each(|index| self.handle(index, Event::Drain));
    }

    /// What a client heard so far.
    pub fn heard(&self, conn: Conn) -> &[u8] {
        self.heard.get(&conn).map_or(&[], Vec::as_slice)
    }

    /// What every client heard so far.
    pub fn all_heard(&self) -> &BTreeMap<Conn, Vec<u8>> {
        &self.heard
    }

    /// The end.
    pub fn into_heard(self) -> BTreeMap<Conn, Vec<u8>> {
        self.heard
    }

    /// Whether a client's connection is closed.
    pub fn is_closed(&self, conn: Conn) -> bool {
        self.closed.contains(&conn)
    }

    fn handle(&mut self, index: usize, event: Event) {
        self.events.push_back((index, event));
        self.run();
    }

    /// Until nothing is left to do.
    fn run(&mut self) {
        loop {
            while let Some((index, event)) = self.events.pop_front() {
                self.cores[index].shard.handle(self.now, event);
                self.carry_out(index);
            }
            let Some(index) = self.cores.iter().position(|core| core.shard.has_work()) else { return };
            self.events.push_back((index, Event::Turn));
        }
    }

    fn carry_out(&mut self, index: usize) {
        while let Some(effect) = self.cores[index].shard.poll_effect() {
            let answer = match effect {
                Effect::Send { conn, pieces } => {
                    let heard = self.heard.entry(conn.0).or_default();
                    for piece in &pieces {
                        let (Piece::Bytes(bytes) | Piece::Mapped { bytes, .. }) = piece;
                        heard.extend_from_slice(bytes);
                    }
                    Event::Sent { conn }
                }
                Effect::StartTls { conn } => Event::TlsStarted { conn },
                Effect::Warm { conn, why, .. } => Event::Warmed { conn, why },
                Effect::Io { id, request } => {
                    Event::Io { id, result: self.cores[index].disk.perform(&request) }
                }
                Effect::Verify { ticket, hash, password } => {
                    Event::Verified { ticket, good: Some(hash.as_bytes() == password.0) }
                }
                Effect::Move { conn, to, session } => {
                    self.homes.insert(conn.0, usize::from(to.0));
                    self.events.push_back((usize::from(to.0), Event::Arrived(session)));
                    continue;
                }
                Effect::Peer { to: CONTROL, message } => {
                    self.answers.push(answer(&message));
                    continue;
                }
                Effect::Peer { to, message } => {
                    let from = ShardId(index as u16);
                    self.events.push_back((usize::from(to.0), Event::Peer { from, message }));
                    continue;
                }
                Effect::Close { conn, .. } => {
                    self.closed.insert(conn.0);
                    continue;
                }
                Effect::Ready => {
                    self.ready += 1;
                    continue;
                }
                Effect::Fatal(why) => panic!("shard {index}: {why}"),
                // Whoever pipelines in a transcript pipelines little, and nobody reads the log.
                // What is deflated here is inflated there: both sides see the same lines.
                Effect::Compression { .. } => continue,
                Effect::Receive { .. } | Effect::Log(_) | Effect::Drained => continue,
            };
            self.events.push_back((index, answer));
        }
    }
}

/// What the control thread is told, in a word.
fn answer(message: &Message) -> String {
    match message {
        Message::AdminReply { reply: AdminReply::Done, .. } => "Done".to_owned(),
        Message::Delivered { results, .. } => format!("{:?}", results[0].0),
        other => format!("{other:?}"),
    }
}

fn core(id: ShardId, shards: u16, server: Server, options: Options) -> Core {
    let mut disk = FakeDisk::new(Seed::new(u64::from(id.0)));
    // Room for some of the longest messages, and no more of it to zero than that.
    let segment_bytes = (4 * server.message_bytes_max as u64).clamp(128 * 1024, 4 * 1024 * 1024);
    let options = Options { shard: id, segment_bytes, ..options };
    let (store, _) = Store::open(&mut disk, options, START).expect("an empty disk opens");
    Core { shard: Shard::new(id, shards, store, server), disk }
}
