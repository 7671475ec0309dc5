//! A server of one shard on a disk that works, without a process, a socket or a clock.
//!
//! *Owns*: carrying out what the shard asks, at once. *Promises*: after every call all that could happen has happened.
//! *Assumes*: nothing. *Never*: knows a protocol.

use bytes::Bytes;
use ringpost::proto::{Server, Service, mime};
use ringpost::shard::Shard;
use ringpost::shard::event::{ConnId, Effect, Event, Piece};
use ringpost_engine::change::{Change, Flags, NewBody, Services};
use ringpost_engine::ids::{AccountId, Now, ShardId};
use ringpost_engine::io::Disk;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::seed::Seed;

/// Saturday, 1 January 2022, 12:00 UTC.
pub const NOW: Now = Now { unix_ms: 1_641_038_400_000, mono_ms: 5_000 };

/// The server's facts in tests; loopback rules: passwords need no TLS.
pub fn server() -> Server {
    Server {
        hostname: "mx.example.test".to_owned(),
        tls: true,
        plaintext_login: true,
        message_bytes_max: 1024 * 1024,
        recipients_max: 100,
        domains: Vec::new(),
        subaddress_separator: '+',
        pop3_login_delay_s: None,
        login_timeout_ms: 60_000,
        pop3_idle_timeout_ms: 600_000,
        imap_idle_timeout_ms: 1_800_000,
        smtp_idle_timeout_ms: 300_000,
    }
}

/// The shard and its disk.
pub struct World {
    shard: Shard,
    disk: FakeDisk,
    now: Now,
    connections: u64,
    /// What the connection in use was sent and whether it was closed.
    sent: Vec<u8>,
    closed: bool,
}

impl World {
    /// A server with the domain `example.test`, the accounts alice and bob there (password `secret`), the alias
    /// `team` for both of them, and these messages: address and octets.
    pub fn new(server: Server, messages: &[(String, Vec<u8>)]) -> World {
        let mut disk = FakeDisk::new(Seed::new(1));
        let options = Options { segment_bytes: 16 * 1024 * 1024, ..Options::new(ShardId(0), 7) };
        let (mut store, _) = Store::open(&mut disk, options, NOW).expect("an empty disk opens");
        let domain = Change::DomainAdd { name: "example.test".to_owned() };
        let team = Change::AliasSet {
            address: "team@example.test".to_owned(),
            targets: vec!["alice@example.test".to_owned(), "bob@example.test".to_owned()],
        };
        for change in [domain, team, account("alice"), account("bob")] {
            store.append(AccountId(0), change, NOW).expect("room");
        }
        work(&mut store, &mut disk);
        for (address, octets) in messages {
            deliver(&mut store, address, octets);
        }
        work(&mut store, &mut disk);
        let shard = Shard::new(ShardId(0), 1, store, server);
        let mut world = World { shard, disk, now: NOW, connections: 0, sent: Vec::new(), closed: true };
        world.settle();
        world
    }

    /// Opens the next connection; what the one before was sent is forgotten.
    pub fn connect(&mut self, service: Service, tls: bool) {
        self.connections += 1;
        self.sent.clear();
        self.closed = false;
        let (conn, address) = (ConnId(self.connections), "192.0.2.7".to_owned());
        self.happen(Event::Accepted { conn, service, address, tls });
    }

    /// The client sends octets; nothing when it has been hung up on.
    pub fn send(&mut self, octets: &[u8]) {
        let (conn, bytes) = (ConnId(self.connections), Bytes::copy_from_slice(octets));
        self.happen(Event::Received { conn, bytes });
    }

    /// The client hangs up.
    pub fn hang_up(&mut self) {
        let why = ringpost::shard::event::CloseReason::Peer;
        self.happen(Event::Closed { conn: ConnId(self.connections), why });
    }

    /// Time passes without a word.
    pub fn wait(&mut self, ms: u64) {
        self.now = Now { unix_ms: self.now.unix_ms + ms, mono_ms: self.now.mono_ms + ms };
        self.happen(Event::Tick);
    }

    /// The server is told to stop.
    pub fn drain(&mut self) {
        self.happen(Event::Drain);
    }

    /// All that the connection was sent.
    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn happen(&mut self, event: Event) {
        self.shard.handle(self.now, event);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            while let Some(effect) = self.shard.poll_effect() {
                if let Some(event) = self.carry_out(effect) {
                    self.shard.handle(self.now, event);
                }
            }
            if !self.shard.has_work() {
                return;
            }
            self.shard.handle(self.now, Event::Turn);
        }
    }

    /// Does what the shard asks; what comes of it.
    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Send { conn, pieces } => {
                for piece in pieces {
                    let (Piece::Bytes(bytes) | Piece::Mapped { bytes, .. }) = piece;
                    self.sent.extend_from_slice(&bytes);
                }
                Some(Event::Sent { conn })
            }
            Effect::StartTls { conn } => Some(Event::TlsStarted { conn }),
            Effect::Warm { conn, .. } => Some(Event::Warmed { conn }),
            Effect::Close { .. } => {
                self.closed = true;
                None
            }
            Effect::Io { id, request } => Some(Event::Io { id, result: self.disk.perform(&request) }),
            // The hash of a password is the password here.
            Effect::Verify { ticket, hash, password } => {
                Some(Event::Verified { ticket, good: Some(hash.as_bytes() == password.0) })
            }
            Effect::Fatal(why) => panic!("{why}"),
            Effect::Move { .. } | Effect::Peer { .. } => panic!("there is only one shard"),
            Effect::Log(_) | Effect::Drained | Effect::Receive { .. } | Effect::Ready => None,
        }
    }
}

fn account(name: &str) -> Change {
    Change::AccountCreate {
        address: format!("{name}@example.test"),
        password_hash: "secret".to_owned(),
        services: Services::ALL,
        mailboxes: Vec::new(),
    }
}

fn deliver(store: &mut Store, address: &str, octets: &[u8]) {
    let account = store.account_by_address(address).expect("an account of this world");
    let mailbox = store.account(account).expect("it was just found").inbox().id();
    let summary = mime::summarise(octets).encode();
    let body = NewBody { parts: vec![Bytes::copy_from_slice(octets)], summary };
    let body = store.append_body(account, body, NOW).expect("room");
    let change = Change::Deliver { mailbox, body, flags: Flags::default(), internal_ms: NOW.unix_ms };
    store.append(account, change, NOW).expect("room");
}

fn work(store: &mut Store, disk: &mut FakeDisk) {
    while let Some((id, request)) = store.poll_io() {
        let progress = store.complete(id, disk.perform(&request));
        assert_eq!(progress.fatal, None);
    }
}
