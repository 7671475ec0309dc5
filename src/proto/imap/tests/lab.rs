//! Several sessions of one account over a store on a fake disk, without a shard.
//!
//! *Owns*: carrying out what sessions ask. *Promises*: after [`Lab::say`] all has happened that could,
//! unless the disk is held. *Assumes*: accounts have the password `secret`; only `a@x` is pushed to. *Never*:
//! knows what the replies should be.

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, Services, SpecialUse};
use ringpost_engine::ids::{AccountId, Lsn, Now, ShardId};
use ringpost_engine::io::Disk;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::seed::Seed;

use crate::limits::OUTPUT_BYTES_MAX;
use crate::proto::imap::ImapSession;
use crate::proto::{Committed, Cx, Input, Output, Patience, Peer, Reply, Server, Service, Session, mime};

pub const NOW: Now = Now { unix_ms: 1_641_038_400_000, mono_ms: 5_000 };

pub struct Client {
    pub session: ImapSession,
    pub input: Input,
    sent: Vec<u8>,
    awaits: Option<Lsn>,
    pub closed: bool,
    /// Octets of the longest piece of text it was sent.
    pub longest: usize,
    /// Octets of the longest run that had to be in memory for it.
    pub longest_warm: u32,
    /// What was asked of the shard beside bytes and commits, in words.
    pub asked: Vec<&'static str>,
}

pub struct Lab {
    pub store: Store,
    disk: FakeDisk,
    pub server: Server,
    /// The time that sessions are told.
    pub now: Now,
    /// How much of it passes at each call of a session.
    pub call_ms: u64,
    pub clients: Vec<Client>,
    pub crowded: bool,
    /// Nothing becomes durable while this is set.
    pub disk_held: bool,
    /// Octets of output a session gets room for at once.
    pub room: usize,
    /// A client that does not read: what it was sent leaves no room.
    pub stalled: Option<usize>,
    /// A client whose turn does not come, nor what it waits for from the disk.
    pub unserved: Option<usize>,
    pub account: AccountId,
}

fn server() -> Server {
    Server {
        hostname: "mx.x".to_owned(),
        tls: true,
        plaintext_login: true,
        message_bytes_max: 100_000,
        recipients_max: 100,
        imap_administrators: Vec::new(),
        submission_users: Vec::new(),
        url_secret: crate::proto::Secret(b"of tests".to_vec()),
        domains: Vec::new(),
        subaddress_separator: '+',
        pop3_login_delay_s: None,
        note_reads: true,
        login_timeout_ms: 60_000,
        pop3_idle_timeout_ms: 600_000,
        imap_idle_timeout_ms: 1_800_000,
        smtp_idle_timeout_ms: 300_000,
        imap: Default::default(),
    }
}

impl Lab {
    pub fn new() -> Lab {
        Lab::with_segments(16 * 1024 * 1024)
    }

    /// With segments of so many octets, which a message has to fit in.
    pub fn with_segments(segment_bytes: u64) -> Lab {
        let mut disk = FakeDisk::new(Seed::new(1));
        let options = Options { segment_bytes, ..Options::new(ShardId(0), 7) };
        let (store, _) = Store::open(&mut disk, options, NOW).expect("an empty disk opens");
        let mut lab = Lab {
            store,
            disk,
            server: server(),
            clients: Vec::new(),
            crowded: false,
            now: NOW,
            call_ms: 0,
            disk_held: false,
            room: OUTPUT_BYTES_MAX,
            stalled: None,
            unserved: None,
            account: AccountId(0),
        };
        lab.account = lab.add_user("a@x");
        lab
    }

    /// Another account, whose password is the same.
    pub fn add_user(&mut self, address: &str) -> AccountId {
        let create = Change::AccountCreate {
            address: address.to_owned(),
            password_hash: "secret".to_owned(),
            services: Services::ALL,
            mailboxes: vec![("Sent".to_owned(), Some(SpecialUse::Sent))],
        };
        self.store.append(AccountId(0), create, NOW).expect("room");
        self.settle();
        self.store.account_by_address(address).expect("just created")
    }

    /// With `count` small messages in INBOX and one client that selected it.
    pub fn with_messages(count: usize) -> Lab {
        let mut lab = Lab::new();
        for index in 1..=count {
            lab.deliver(&format!("Subject: m{index}\r\n\r\nbody {index}\r\n"));
        }
        lab.login();
        lab.say(0, "s SELECT INBOX");
        lab
    }

    /// Makes a change durable, as the shard or another service would.
    pub fn change(&mut self, change: Change) {
        self.store.append(self.account, change, NOW).expect("room");
        self.settle();
    }

    pub fn deliver(&mut self, octets: &str) {
        let inbox = self.store.account(self.account).expect("there").inbox().id();
        let summary = mime::summarise(octets.as_bytes()).encode();
        let body = NewBody { parts: vec![Bytes::copy_from_slice(octets.as_bytes())], summary };
        let body = self.store.append_body(self.account, body, NOW).expect("room");
        let flags = Flags::default();
        self.change(Change::Deliver { mailbox: inbox, body, flags, internal_ms: NOW.unix_ms });
    }

    /// A new connection; what it was greeted with.
    pub fn connect(&mut self, tls: bool) -> String {
        let peer =
            Peer { conn: 1, address: "192.0.2.1".to_owned(), service: Service::Imap, tls, opened_ms: 0 };
        self.clients.push(Client {
            session: ImapSession::new(peer),
            input: Input::new(),
            sent: Vec::new(),
            awaits: None,
            closed: false,
            longest: 0,
            longest_warm: 0,
            asked: Vec::new(),
        });
        let who = self.clients.len() - 1;
        self.call(who, |session, _, cx| session.start(cx));
        self.take(who)
    }

    /// A new connection that is logged in; its number.
    pub fn login(&mut self) -> usize {
        self.login_as("a@x")
    }

    /// The same as another user.
    pub fn login_as(&mut self, user: &str) -> usize {
        self.connect(true);
        let who = self.clients.len() - 1;
        let reply = self.say(who, &format!("l LOGIN {user} secret"));
        assert!(reply.starts_with("l OK"), "{reply}");
        who
    }

    /// The client sends a line; what it is answered.
    pub fn say(&mut self, who: usize, line: &str) -> String {
        self.send(who, format!("{line}\r\n").as_bytes())
    }

    /// The client sends a line; what it is answered is taken later.
    pub fn say_later(&mut self, who: usize, line: &str) {
        self.clients[who].input.extend(format!("{line}\r\n").as_bytes());
        self.settle();
    }

    /// The client sends octets; what it is answered.
    pub fn send(&mut self, who: usize, octets: &[u8]) -> String {
        self.clients[who].input.extend(octets);
        self.settle();
        self.take(who)
    }

    /// What the client got since it was last asked. NUL and octets above 127 are shown as `?`.
    pub fn take(&mut self, who: usize) -> String {
        let sent = self.take_octets(who);
        sent.iter().map(|&octet| if octet.is_ascii() && octet != 0 { octet as char } else { '?' }).collect()
    }

    /// The same as it came.
    pub fn take_octets(&mut self, who: usize) -> Vec<u8> {
        std::mem::take(&mut self.clients[who].sent)
    }

    pub fn patience(&self, who: usize) -> Patience {
        self.clients[who].session.patience(&self.server)
    }

    /// Calls one session for something the lab does not do by itself.
    pub fn call(&mut self, who: usize, f: impl FnOnce(&mut ImapSession, &mut Input, &mut Cx<'_>)) {
        let client = &mut self.clients[who];
        self.now.mono_ms += self.call_ms;
        let (now, crowded) = (self.now, self.crowded);
        let mut cx = Cx { store: &mut self.store, now, server: &self.server, crowded };
        f(&mut client.session, &mut client.input, &mut cx);
        self.settle();
    }

    /// A connection breaks; nobody hears of it what it had to say.
    pub fn drop_client(&mut self, who: usize) {
        let peer = Peer {
            conn: 1,
            address: "192.0.2.1".to_owned(),
            service: Service::Imap,
            tls: true,
            opened_ms: 0,
        };
        let client = &mut self.clients[who];
        client.session = ImapSession::new(peer);
        client.closed = true;
        client.awaits = None;
        client.input = Input::new();
    }

    /// Runs everything until nothing more can happen.
    pub fn settle(&mut self) {
        loop {
            let mut moved = false;
            for who in 0..self.clients.len() {
                // What it waits for has to be known before the disk works.
                while self.run(who) {
                    moved = true;
                }
            }
            moved |= !self.disk_held && self.work();
            if !moved {
                return;
            }
        }
    }

    fn quiet_call(&mut self, who: usize, f: impl FnOnce(&mut ImapSession, &mut Input, &mut Cx<'_>)) {
        let client = &mut self.clients[who];
        self.now.mono_ms += self.call_ms;
        let (now, crowded) = (self.now, self.crowded);
        let mut cx = Cx { store: &mut self.store, now, server: &self.server, crowded };
        f(&mut client.session, &mut client.input, &mut cx);
    }

    /// Takes a client's outputs and feeds it. Whether anything happened.
    fn run(&mut self, who: usize) -> bool {
        let mut moved = false;
        let mut sent = false;
        while let Some(output) = self.clients[who].session.poll_output() {
            moved = true;
            sent |= matches!(output, Output::Bytes(_) | Output::Octets(_));
            self.carry_out(who, output);
        }
        let client = &self.clients[who];
        if sent && self.stalled == Some(who) {
            return moved;
        }
        if sent {
            let room = self.room;
            self.quiet_call(who, |session, _, cx| session.resume(room, cx));
        } else if client.awaits.is_none() && !client.closed && !client.input.is_empty() {
            let before = client.input.len();
            self.quiet_call(who, |session, input, cx| session.feed(input, cx));
            moved |= self.clients[who].input.len() != before;
        }
        moved
    }

    fn carry_out(&mut self, who: usize, output: Output) {
        let room = self.room;
        match output {
            Output::Bytes(bytes) => {
                let client = &mut self.clients[who];
                client.longest = client.longest.max(bytes.len());
                client.sent.extend_from_slice(&bytes);
            }
            Output::Octets(octets) => {
                let bytes = self.store.bytes(octets).expect("octets of the store");
                self.clients[who].asked.push("extent");
                self.clients[who].sent.extend_from_slice(&bytes);
            }
            Output::AwaitCommit(lsn) => self.clients[who].awaits = Some(lsn),
            Output::Warm(extents) => {
                assert!(extents.iter().all(|&extent| self.store.bytes(extent).is_some()));
                let client = &mut self.clients[who];
                let longest = extents.iter().map(|extent| extent.len).max().unwrap_or(0);
                client.longest_warm = client.longest_warm.max(longest);
                client.asked.push("warm");
                if self.unserved != Some(who) {
                    self.quiet_call(who, |session, _, cx| session.resume(room, cx));
                }
            }
            Output::Yield => {
                self.clients[who].asked.push("yield");
                if self.unserved != Some(who) {
                    self.quiet_call(who, |session, _, cx| session.resume(room, cx));
                }
            }
            Output::StartTls => {
                assert!(self.clients[who].input.is_empty());
                self.quiet_call(who, |session, _, cx| session.on_reply(Reply::TlsStarted, cx));
            }
            Output::StartCompression => {
                assert!(self.clients[who].input.is_empty());
                self.clients[who].asked.push("deflate");
            }
            Output::StopCompression => self.clients[who].asked.push("plain"),
            Output::Handoff { .. } => {
                self.quiet_call(who, |session, _, cx| session.on_reply(Reply::Arrived, cx));
            }
            Output::Verify { hash, password } => {
                let good = match password.0.as_slice() {
                    b"busy" => None,
                    password => Some(hash.as_bytes() == password),
                };
                self.quiet_call(who, |session, _, cx| session.on_reply(Reply::Verified(good), cx));
            }
            Output::Close => self.clients[who].closed = true,
            Output::Ask(_) | Output::Deliver(_) => panic!("IMAP asks no such thing"),
        }
    }

    /// Carries one piece of the disk's work out and tells everybody. Whether there was any.
    fn work(&mut self) -> bool {
        let Some((id, request)) = self.store.poll_io() else { return false };
        let progress = self.store.complete(id, self.disk.perform(&request));
        assert_eq!(progress.fatal, None);
        let changed = progress.applied.iter().any(|applied| applied.account == self.account);
        for applied in progress.applied {
            let waits = |client: &Client| client.awaits == Some(applied.lsn);
            let Some(who) = self.clients.iter().position(waits) else { continue };
            self.clients[who].awaits = None;
            let commit = Committed { lsn: applied.lsn, outcome: applied.outcome };
            self.quiet_call(who, |session, _, cx| session.on_commit(commit, cx));
        }
        for who in 0..self.clients.len() {
            if changed && self.clients[who].session.watches().is_some() {
                self.quiet_call(who, |session, _, cx| session.on_push(cx));
            }
        }
        true
    }
}
