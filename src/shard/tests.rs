//! The shard with a session that speaks a language of its own, over real stores on fake disks.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ringpost_engine::change::{Change, NewBody, Services, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Now, ShardId, Slot, Uid};
use ringpost_engine::io::Disk;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::seed::Seed;

use super::admin::{AdminReply, AdminRequest, import, restore};
use super::event::{CONTROL, CloseReason, ConnId, Effect, Event, Message, Piece, Ticket};
use super::session::MovedSession;
use super::*;
use crate::limits::{DRAIN_MS, INPUT_HELD_BYTES_MAX, OUTPUT_BYTES_MAX, PEER_ANSWER_MS, PEER_DELIVER_MS};
use crate::log::Line;
use crate::proto::{
    Ask, Committed, Cx, Delivery, DeliveryRecipient, Fact, Input, Output, Patience, Reply, Secret, Service,
};

/// One command a line; answers say what it was told.
struct Script {
    out: VecDeque<Output>,
    waiting: bool,
    watched: Option<AccountId>,
    /// Octets of a long answer still to be written.
    long: usize,
    /// Times it still wants to look at what is in memory.
    warms: usize,
}

thread_local! {
    /// How often zeroes stood in for what cannot be read.
    static BAD_PAGES: Cell<usize> = const { Cell::new(0) };
}

fn open(_: Peer) -> Box<dyn Session> {
    Box::new(Script { out: VecDeque::new(), waiting: false, watched: None, long: 0, warms: 0 })
}

impl Shard {
    /// The only shard there is, with a script for every client: for the runtime's tests.
    pub(crate) fn of_scripts(store: Store) -> Shard {
        let mut shard = Shard::new(ShardId(0), 1, store, server());
        shard.open = open;
        shard
    }
}

impl Script {
    fn say(&mut self, text: impl Into<String>) {
        self.out.push_back(Output::Bytes(Bytes::from(text.into())));
    }

    fn wait_for(&mut self, output: Output) {
        self.waiting = true;
        self.out.push_back(output);
    }

    fn command(&mut self, line: &str, input: &mut Input, cx: &mut Cx<'_>) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "say" => self.say(format!("{rest}\n")),
            "long" => self.long = rest.parse().unwrap(),
            "deliver" => {
                let recipients = rest.split(',').map(|account| DeliveryRecipient {
                    named: account.to_owned(),
                    accounts: vec![account.to_owned()],
                });
                self.wait_for(Output::Deliver(Box::new(Delivery {
                    queue_id: "q1".to_owned(),
                    sender: "s@y".to_owned(),
                    message_id: "<m@y>".to_owned(),
                    parts: vec![
                        Bytes::from_static(b"Return-Path: <s@y>\r\n"),
                        Bytes::from_static(b"\r\nhi\r\n"),
                    ],
                    summary: Bytes::new(),
                    recipients: recipients.collect(),
                    internal_ms: 1,
                })));
            }
            "ask" => self.wait_for(Output::Ask(Ask::Recipient { address: rest.to_owned() })),
            "login" => self.wait_for(Output::Ask(Ask::Authenticate {
                address: rest.to_owned(),
                password: Secret(b"good".to_vec()),
                service: Services::SUBMISSION,
            })),
            "go" => self.wait_for(Output::Handoff { address: rest.to_owned() }),
            "watch" => {
                self.watched = cx.store.account_by_address(rest);
                self.say("watching\n");
            }
            "yield" => self.wait_for(Output::Yield),
            "tls" => {
                input.clear();
                self.say("now\n");
                self.wait_for(Output::StartTls);
            }
            "warm" => self.warms = rest.parse().unwrap(),
            "deflate" | "plain" => {
                self.say("switching\n");
                let start = line == "deflate";
                self.out.push_back(if start { Output::StartCompression } else { Output::StopCompression });
                self.say("switched\n");
            }
            "bye" => {
                self.say("bye\n");
                self.out.push_back(Output::Close);
            }
            "panic" => panic!("as asked"),
            "zeroes" => {
                BAD_PAGES.set(BAD_PAGES.get() + 1);
                self.say("made of zeroes\n");
                if rest == "copied" {
                    let account = cx.store.account_by_address("a@x").unwrap();
                    let body = NewBody { parts: vec![Bytes::from_static(b"\0")], summary: Bytes::new() };
                    cx.store.append_body(account, body, cx.now).unwrap();
                }
            }
            _ => self.say("what?\n"),
        }
    }
}

impl Session for Script {
    fn start(&mut self, _: &mut Cx<'_>) {
        self.say("hello\n");
    }
    fn feed(&mut self, input: &mut Input, cx: &mut Cx<'_>) {
        while !self.waiting && self.long == 0 && self.warms == 0 {
            let Some(end) = input.bytes().iter().position(|octet| *octet == b'\n') else { return };
            let line = input.take(end + 1);
            self.command(std::str::from_utf8(&line[..end]).unwrap(), input, cx);
            self.resume(OUTPUT_BYTES_MAX, cx);
        }
    }
    fn on_commit(&mut self, _: Committed, _: &mut Cx<'_>) {
        self.waiting = false;
        self.say("committed\n");
    }
    fn on_reply(&mut self, reply: Reply, _: &mut Cx<'_>) {
        self.waiting = false;
        self.say(format!("{reply:?}\n"));
    }
    fn on_push(&mut self, _: &mut Cx<'_>) {
        self.say("push\n");
    }
    fn resume(&mut self, room: usize, _: &mut Cx<'_>) {
        if self.waiting && self.out.is_empty() {
            self.waiting = false;
            self.say("my turn\n");
        }
        if self.warms > 0 {
            self.warms -= 1;
            self.out.push_back(Output::Warm(Vec::new()));
        }
        let step = self.long.min(room);
        if step > 0 {
            self.long -= step;
            self.out.push_back(Output::Bytes(Bytes::from(vec![b'x'; step])));
        }
    }
    fn on_timeout(&mut self, _: &mut Cx<'_>) {
        self.say("too long\n");
        self.out.push_back(Output::Close);
    }
    fn on_drain(&mut self, _: &mut Cx<'_>) {
        self.say("stopping\n");
        self.out.push_back(Output::Close);
    }
    fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
    fn patience(&self, _: &Server) -> Patience {
        if self.waiting { Patience::Waiting } else { Patience::Ms(1_000) }
    }
    fn watches(&self) -> Option<AccountId> {
        self.watched
    }
    fn account(&self) -> Option<AccountId> {
        self.watched
    }
    fn buffered(&self) -> usize {
        0
    }
    fn facts(&self) -> Vec<Fact> {
        vec![("user", "script".to_owned())]
    }
}

pub(super) fn server() -> Server {
    Server {
        hostname: "mail.example".to_owned(),
        tls: true,
        plaintext_login: true,
        message_bytes_max: 1 << 20,
        recipients_max: 100,
        imap_administrators: Vec::new(),
        submission_users: Vec::new(),
        url_secret: crate::proto::Secret(b"of tests".to_vec()),
        domains: Vec::new(),
        subaddress_separator: '+',
        pop3_login_delay_s: None,
        note_reads: true,
        login_timeout_ms: 1_000,
        pop3_idle_timeout_ms: 1_000,
        imap_idle_timeout_ms: 1_000,
        smtp_idle_timeout_ms: 1_000,
        imap: Default::default(),
    }
}

fn begin(id: u16, count: u16, disk: &mut FakeDisk, now: Now) -> Shard {
    let options =
        Options { segment_bytes: 1 << 20, message_bytes_max: 1 << 18, ..Options::new(ShardId(id), 7) };
    let (store, _) = Store::open(disk, options, now).unwrap();
    let mut shard = Shard::new(ShardId(id), count, store, server());
    shard.open = open;
    shard
}

/// Some shards in one thread, their disks and clients.
pub(super) struct Lab {
    pub(super) shards: Vec<(Shard, FakeDisk)>,
    pub(super) now: Now,
    /// What each client has got; `|` ends each send.
    pub(super) heard: BTreeMap<ConnId, String>,
    pub(super) closed: BTreeMap<ConnId, CloseReason>,
    pub(super) at: BTreeMap<ConnId, usize>,
    lines: Vec<Line>,
    pub(super) replies: Vec<AdminReply>,
    ready: usize,
    drained: usize,
    /// Requests to the disk wait here while it is stopped.
    stopped_disk: Option<VecDeque<(usize, Effect)>>,
    /// Clients that do not take their output.
    deaf: Vec<ConnId>,
    /// Messages between shards are lost.
    cut: bool,
    receive: BTreeMap<ConnId, bool>,
    /// Requests to disks that are carried out before the power goes.
    pub(super) power: u64,
}

impl Lab {
    pub(super) fn new(count: u16) -> Lab {
        let now = Now { unix_ms: 1_700_000_000_000, mono_ms: 1_000 };
        let shards = (0..count)
            .map(|id| {
                let mut disk = FakeDisk::new(Seed::new(u64::from(id)));
                (begin(id, count, &mut disk, now), disk)
            })
            .collect();
        let mut lab = Lab {
            shards,
            now,
            heard: BTreeMap::new(),
            closed: BTreeMap::new(),
            at: BTreeMap::new(),
            lines: Vec::new(),
            replies: Vec::new(),
            ready: 0,
            drained: 0,
            stopped_disk: None,
            deaf: Vec::new(),
            cut: false,
            receive: BTreeMap::new(),
            power: u64::MAX,
        };
        lab.run();
        lab
    }

    /// The power goes and comes back.
    pub(super) fn restart(&mut self) {
        let count = self.shards.len() as u16;
        self.power = u64::MAX;
        self.replies.clear();
        for (id, (shard, disk)) in (0..).zip(&mut self.shards) {
            disk.power_cut();
            *shard = begin(id, count, disk, self.now);
        }
        self.run();
    }

    pub(super) fn event(&mut self, shard: usize, event: Event) {
        self.shards[shard].0.handle(self.now, event);
    }

    /// Carries effects out until nothing is left to do.
    pub(super) fn run(&mut self) {
        loop {
            let effects: Vec<(usize, Effect)> = (0..self.shards.len())
                .flat_map(|shard| {
                    let shard_value = &mut self.shards[shard].0;
                    std::iter::from_fn(|| shard_value.poll_effect().map(|effect| (shard, effect)))
                        .collect::<Vec<_>>()
                })
                .collect();
            if effects.is_empty() {
                break;
            }
            for (shard, effect) in effects {
                self.carry_out(shard, effect);
            }
        }
    }

    fn carry_out(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Send { conn, pieces } => {
                let heard = self.heard.entry(conn).or_default();
                for piece in pieces {
                    let (Piece::Bytes(bytes) | Piece::Mapped { bytes, .. }) = piece;
                    heard.push_str(std::str::from_utf8(&bytes).unwrap());
                }
                heard.push('|');
                if !self.deaf.contains(&conn) {
                    self.event(shard, Event::Sent { conn });
                }
            }
            Effect::Io { .. } if self.stopped_disk.is_some() => {
                self.stopped_disk.as_mut().unwrap().push_back((shard, effect));
            }
            Effect::Io { .. } if self.power == 0 => {}
            Effect::Io { id, request } => {
                self.power -= 1;
                let result = self.shards[shard].1.perform(&request);
                self.event(shard, Event::Io { id, result });
            }
            Effect::Verify { ticket, password, hash } => {
                let good = Some(password.0 == b"good" && hash == "hash");
                self.event(shard, Event::Verified { ticket, good });
            }
            Effect::Peer { to, message } if to == CONTROL => match message {
                Message::AdminReply { reply, .. } => self.replies.push(reply),
                other => panic!("{other:?}"),
            },
            Effect::Peer { to, message } => {
                let domains = matches!(message, Message::Domains(_));
                if !self.cut || domains {
                    self.event(usize::from(to.0), Event::Peer { from: ShardId(shard as u16), message });
                }
            }
            Effect::Move { conn, to, session } => {
                self.at.insert(conn, usize::from(to.0));
                self.event(usize::from(to.0), Event::Arrived(session));
            }
            Effect::Close { conn, why } => {
                self.closed.insert(conn, why);
            }
            Effect::Warm { conn, why, .. } => self.event(shard, Event::Warmed { conn, why }),
            Effect::Receive { conn, on } => {
                self.receive.insert(conn, on);
            }
            Effect::Compression { conn, on } => {
                let heard = self.heard.entry(conn).or_default();
                heard.push_str(if on { "<deflate>" } else { "<plain>" });
            }
            Effect::StartTls { conn } => {
                self.heard.entry(conn).or_default().push_str("<handshake>");
            }
            Effect::Log(line) => self.lines.push(line),
            Effect::Ready => self.ready += 1,
            Effect::Drained => self.drained += 1,
            Effect::Fatal(why) => panic!("{why}"),
        }
    }

    pub(super) fn connect(&mut self, conn: u64, shard: usize) -> ConnId {
        let id = ConnId(conn);
        self.at.insert(id, shard);
        let accepted =
            Event::Accepted { conn: id, service: Service::Pop3, address: "192.0.2.1".to_owned(), tls: false };
        self.event(shard, accepted);
        self.run();
        self.heard.remove(&id);
        id
    }

    /// Sends text and gives what came back.
    pub(super) fn tell(&mut self, conn: ConnId, text: &str) -> String {
        let bytes = Bytes::from(text.to_owned());
        self.event(self.at[&conn], Event::Received { conn, bytes });
        self.run();
        self.heard.remove(&conn).unwrap_or_default()
    }

    fn admin(&mut self, shard: usize, request: AdminRequest) -> AdminReply {
        self.event(
            shard,
            Event::Peer { from: CONTROL, message: Message::Admin { ticket: Ticket(1), request } },
        );
        self.run();
        self.replies.pop().expect("an answer")
    }

    fn owner(&self, address: &str) -> usize {
        usize::from(Slot::of(address).shard(self.shards.len() as u16).0)
    }

    /// The first address of this kind that a shard owns.
    pub(super) fn address_at(&self, shard: usize, domain: &str) -> String {
        (0..).map(|i| format!("u{i}@{domain}")).find(|address| self.owner(address) == shard).unwrap()
    }

    pub(super) fn add_account(&mut self, address: &str) {
        let request = AdminRequest::AccountAdd {
            address: address.to_owned(),
            password_hash: "hash".to_owned(),
            services: Services::ALL,
        };
        let reply = self.admin(self.owner(address), request);
        assert!(matches!(reply, AdminReply::Done), "{reply:?}");
    }

    pub(super) fn pass_time(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.unix_ms += ms;
        for shard in 0..self.shards.len() {
            self.event(shard, Event::Tick);
        }
        self.run();
    }

    fn inbox_len(&self, address: &str) -> usize {
        let store = self.shards[self.owner(address)].0.store();
        store.account(store.account_by_address(address).unwrap()).unwrap().inbox().len()
    }
}

#[test]
fn answers_of_one_event_leave_in_one_send() {
    let mut lab = Lab::new(1);
    let client = lab.connect(1, 0);
    assert_eq!(lab.tell(client, "say a\nsay b\nsay c\n"), "a\nb\nc\n|");
    assert_eq!(lab.tell(client, "sa"), "");
    assert_eq!(lab.tell(client, "y d\nbye\n"), "d\nbye\n|");
    assert_eq!(lab.closed[&client], CloseReason::Session);
    assert_eq!(lab.lines.last().unwrap().event, "connection");
}

#[test]
fn compression_begins_and_ends_between_two_sends() {
    let mut lab = Lab::new(1);
    let client = lab.connect(1, 0);
    assert_eq!(lab.tell(client, "say a\ndeflate\n"), "a\nswitching\n|<deflate>switched\n|");
    assert_eq!(lab.tell(client, "plain\nsay b\n"), "switching\n|<plain>switched\nb\n|");
}

#[test]
fn a_delivery_is_told_after_the_commit_and_pushed_in_the_same_flush() {
    let mut lab = Lab::new(1);
    lab.add_account("a@x");
    let (sender, watcher) = (lab.connect(1, 0), lab.connect(2, 0));
    assert_eq!(lab.tell(watcher, "watch a@x\n"), "watching\n|");
    lab.stopped_disk = Some(VecDeque::new());
    assert_eq!(lab.tell(sender, "deliver a@x\nsay next\n"), "");
    assert_eq!(lab.inbox_len("a@x"), 0, "visible before durable");
    for (shard, effect) in lab.stopped_disk.take().unwrap() {
        let Effect::Io { id, request } = effect else { panic!() };
        let result = lab.shards[shard].1.perform(&request);
        lab.event(shard, Event::Io { id, result });
    }
    // One completion, and both clients' output is there at once.
    let sends: Vec<ConnId> = std::iter::from_fn(|| lab.shards[0].0.poll_effect())
        .filter_map(|effect| match effect {
            Effect::Send { conn, .. } => Some(conn),
            _ => None,
        })
        .collect();
    assert_eq!(sends, [sender, watcher]);
    assert_eq!(lab.inbox_len("a@x"), 1);
}

#[test]
fn a_delivery_to_two_shards_stores_one_body_in_each() {
    let mut lab = Lab::new(2);
    let (here, there) = (lab.address_at(0, "x"), lab.address_at(1, "x"));
    let also_there = (0..).map(|i| format!("v{i}@x")).find(|address| lab.owner(address) == 1).unwrap();
    for address in [&here, &there, &also_there] {
        lab.add_account(address);
    }
    let sender = lab.connect(1, 0);
    let text = format!("deliver {here},{there},{also_there},nobody@x\n");
    let reply = lab.tell(sender, &text);
    assert_eq!(reply, "Delivered([Stored, Stored, Stored, Unknown])\n|");
    for shard in 0..2 {
        let bodies = lab.shards[shard].0.store().stats().body_bytes;
        assert_eq!(bodies, 26, "shard {shard} stores it once");
    }
    let line = lab.lines.iter().find(|line| line.event == "delivery").unwrap().text("now");
    assert!(line.contains("queue_id=q1") && line.contains("message_id=<m@y>"), "{line}");
    assert!(line.contains(&format!("{here}=stored")) && line.contains("nobody@x=unknown"), "{line}");
    assert!(line.contains("log=0:") && line.contains(",1:"), "{line}");
}

#[test]
fn aliases_lead_over_shards_and_in_no_circle() {
    let mut lab = Lab::new(3);
    let accounts = [lab.address_at(0, "x"), lab.address_at(1, "x"), lab.address_at(2, "x")];
    for address in &accounts {
        lab.add_account(address);
    }
    for (address, targets) in [
        ("all@y", vec![accounts[0].clone(), "more@y".to_owned()]),
        ("more@y", vec![accounts[1].clone(), accounts[2].clone(), "all@y".to_owned()]),
        ("round@y", vec!["round@y".to_owned()]),
    ] {
        let request = AdminRequest::AliasSet { address: address.to_owned(), targets };
        assert!(matches!(lab.admin(lab.owner(address), request), AdminReply::Done));
    }
    let client = lab.connect(1, 0);
    let all = lab.tell(client, "ask all+detail@y\n");
    assert!(all.starts_with("Answer(Recipient(Accepted("), "{all}");
    assert!(accounts.iter().all(|account| all.contains(account.as_str())), "{all}");
    assert_eq!(lab.tell(client, "ask round@y\n"), "Answer(Recipient(Loop))\n|");
    assert_eq!(lab.tell(client, "ask nobody+x@y\n"), "Answer(Recipient(Unknown))\n|");
}

#[test]
fn a_login_is_checked_by_the_owner() {
    let mut lab = Lab::new(2);
    let there = lab.address_at(1, "x");
    lab.add_account(&there);
    let client = lab.connect(1, 0);
    assert_eq!(lab.tell(client, &format!("login {there}\n")), "Answer(Authenticated(true))\n|");
    assert_eq!(lab.tell(client, "login nobody@x\n"), "Answer(Authenticated(false))\n|");
}

#[test]
fn who_does_not_answer_makes_a_temporary_failure() {
    let mut lab = Lab::new(2);
    let there = lab.address_at(1, "x");
    lab.add_account(&there);
    let (asker, sender) = (lab.connect(1, 0), lab.connect(2, 0));
    lab.cut = true;
    assert_eq!(lab.tell(asker, &format!("ask {there}\n")), "");
    assert_eq!(lab.tell(sender, &format!("deliver {there}\n")), "");
    lab.pass_time(PEER_ANSWER_MS);
    assert_eq!(lab.heard.remove(&asker).unwrap(), "Answer(Unavailable)\n|");
    lab.pass_time(PEER_DELIVER_MS);
    assert_eq!(lab.heard.remove(&sender).unwrap(), "Delivered([TryLater { disk_full: false }])\n|");
}

#[test]
fn a_session_moves_with_its_unread_input() {
    let mut lab = Lab::new(2);
    let there = lab.address_at(1, "x");
    lab.add_account(&there);
    let client = lab.connect(1, 0);
    let heard = lab.tell(client, &format!("say first\ngo {there}\nwatch {there}\nsay last\n"));
    assert_eq!(heard, "first\n|Arrived\nwatching\nlast\n|");
    assert_eq!(lab.at[&client], 1);
    assert_eq!(lab.tell(client, &format!("deliver {there}\n")), "Delivered([Stored])\npush\n|");
    assert_eq!(lab.shards[0].0.connections.len(), 0);
    assert_eq!(lab.tell(client, &format!("go {there}\n")), "Arrived\n|");
}

#[test]
fn who_yields_goes_on_after_the_others() {
    let mut lab = Lab::new(1);
    let (slow, quick) = (lab.connect(1, 0), lab.connect(2, 0));
    assert_eq!(lab.tell(slow, "yield\nsay after\n"), "");
    assert!(lab.shards[0].0.has_work());
    assert_eq!(lab.tell(quick, "say quick\n"), "quick\n|");
    lab.event(0, Event::Turn);
    assert!(!lab.shards[0].0.has_work());
    lab.run();
    assert_eq!(lab.heard.remove(&slow).unwrap(), "my turn\nafter\n|");
}

#[test]
fn a_client_that_does_not_read_holds_one_bound_of_output_and_one_of_input() {
    let mut lab = Lab::new(1);
    let client = lab.connect(1, 0);
    lab.deaf.push(client);
    let heard = lab.tell(client, &format!("long {}\n", 10 * OUTPUT_BYTES_MAX));
    assert_eq!(heard.len(), OUTPUT_BYTES_MAX + 1);
    let line = "say x\n".repeat(INPUT_HELD_BYTES_MAX / 6 + 1);
    assert_eq!(lab.tell(client, &line), "");
    assert!(!lab.receive[&client]);
    assert!(lab.shards[0].0.connections[&client].outbox.is_empty());
    lab.deaf.clear();
    lab.event(0, Event::Sent { conn: client });
    lab.run();
    let heard = lab.heard.remove(&client).unwrap();
    assert_eq!(heard.bytes().filter(|octet| *octet == b'x').count(), 9 * OUTPUT_BYTES_MAX + line.len() / 6);
    assert!(lab.receive[&client]);
}

#[test]
fn pushes_to_a_slow_client_do_not_pile_up() {
    let mut lab = Lab::new(1);
    lab.add_account("a@x");
    let (sender, watcher) = (lab.connect(1, 0), lab.connect(2, 0));
    lab.tell(watcher, "watch a@x\n");
    lab.deaf.push(watcher);
    for _ in 0..5 {
        lab.tell(sender, "deliver a@x\n");
    }
    assert_eq!(lab.heard.remove(&watcher).unwrap(), "push\n|");
    lab.deaf.clear();
    lab.event(0, Event::Sent { conn: watcher });
    lab.run();
    assert_eq!(lab.heard.remove(&watcher).unwrap(), "push\n|");
}

#[test]
fn silence_ends_a_session_and_a_word_keeps_it() {
    let mut lab = Lab::new(1);
    let (silent, alive) = (lab.connect(1, 0), lab.connect(2, 0));
    lab.pass_time(999);
    lab.tell(alive, "say here\n");
    lab.pass_time(1);
    assert_eq!(lab.heard.remove(&silent).unwrap(), "too long\n|");
    assert!(lab.closed.contains_key(&silent) && !lab.closed.contains_key(&alive));
    lab.pass_time(1_000);
    assert!(lab.closed.contains_key(&alive));
}

#[test]
fn bytes_behind_starttls_end_the_connection() {
    let mut lab = Lab::new(1);
    let (good, bad) = (lab.connect(1, 0), lab.connect(2, 0));
    assert_eq!(lab.tell(good, "tls\nsay dropped\n"), "now\n|<handshake>");
    lab.event(0, Event::TlsStarted { conn: good });
    lab.run();
    assert_eq!(lab.heard.remove(&good).unwrap(), "TlsStarted\n|");
    assert_eq!(lab.tell(good, "say secret\n"), "secret\n|");
    lab.tell(bad, "tls\n");
    lab.tell(bad, "say injected\n");
    assert!(matches!(lab.closed[&bad], CloseReason::Tls(_)));
}

#[test]
fn deleting_an_account_ends_its_sessions() {
    let mut lab = Lab::new(1);
    lab.add_account("a@x");
    let client = lab.connect(1, 0);
    lab.tell(client, "watch a@x\n");
    let reply = lab.admin(0, AdminRequest::AccountDelete { address: "a@x".to_owned() });
    assert!(matches!(reply, AdminReply::Done));
    assert_eq!(lab.closed[&client], CloseReason::AccountGone);
    let reply = lab.admin(0, AdminRequest::AccountDelete { address: "a@x".to_owned() });
    assert!(matches!(reply, AdminReply::Refused(_)));
}

#[test]
fn deleting_an_account_ends_its_sessions_on_other_shards() {
    let mut lab = Lab::new(2);
    let (own, there) = (lab.address_at(0, "own"), lab.address_at(1, "there"));
    lab.add_account(&own);
    let client = lab.connect(1, 0);
    lab.tell(client, &format!("watch {own}\ngo {there}\n"));
    assert_eq!(lab.at[&client], 1);
    let reply = lab.admin(0, AdminRequest::AccountDelete { address: own });
    assert!(matches!(reply, AdminReply::Done));
    assert_eq!(lab.closed[&client], CloseReason::AccountGone);
}

#[test]
fn many_accounts_get_one_answer_each() {
    let mut lab = Lab::new(1);
    lab.add_account("a@x");
    let list = ["b@x", "a@x", "no address", "b@x"].map(|address| (address.to_owned(), "hash".to_owned()));
    let AdminReply::Many(results) = lab.admin(0, AdminRequest::AccountAddMany(list.to_vec())) else {
        panic!()
    };
    let failed: Vec<bool> = results.iter().map(Option::is_some).collect();
    assert_eq!(failed, [false, true, true, true]);
    let AdminReply::Account(info, mailboxes) =
        lab.admin(0, AdminRequest::AccountShow { address: "b@x".to_owned() })
    else {
        panic!()
    };
    assert_eq!(info.address, "b@x");
    let names: Vec<&str> = mailboxes.iter().map(|mailbox| mailbox.name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(mailboxes.iter().any(|mailbox| mailbox.special_use == "\\Junk"));
}

#[test]
fn domains_are_known_everywhere_before_anybody_is_ready() {
    let mut lab = Lab::new(3);
    assert_eq!(lab.ready, 3);
    let reply = lab.admin(0, AdminRequest::DomainAdd { name: "example.test".to_owned() });
    assert!(matches!(reply, AdminReply::Done));
    assert!(lab.shards.iter().all(|(shard, _)| shard.server.domains == ["example.test"]));
    let again = lab.admin(0, AdminRequest::DomainAdd { name: "example.test".to_owned() });
    assert!(matches!(again, AdminReply::Refused(_)));
    let elsewhere = lab.admin(1, AdminRequest::DomainAdd { name: "other.test".to_owned() });
    assert!(matches!(elsewhere, AdminReply::Refused(_)));
    assert_eq!(lab.ready, 3);
}

#[test]
fn nobody_is_let_in_before_the_domains_are_known() {
    let mut lab = Lab::new(1);
    let (store, _) =
        Store::open(&mut FakeDisk::new(Seed::new(9)), Options::new(ShardId(1), 7), lab.now).unwrap();
    lab.shards.push((Shard::new(ShardId(1), 2, store, server()), FakeDisk::new(Seed::new(9))));
    let early = ConnId(1);
    let address = "192.0.2.1".to_owned();
    lab.event(1, Event::Accepted { conn: early, service: Service::Smtp, address, tls: false });
    lab.run();
    // A temporary refusal: mail for our own domains must not bounce because we have just begun.
    assert!(lab.heard[&early].starts_with("421 4.3.2 "));
    assert_eq!(lab.closed[&early], CloseReason::Refused);
    assert_eq!(lab.shards[1].0.counters().connections_refused, 1);
}

#[test]
fn a_drain_ends_when_the_last_session_has() {
    let mut lab = Lab::new(1);
    let (quick, stuck) = (lab.connect(1, 0), lab.connect(2, 0));
    lab.tell(stuck, "long 1000000\n");
    lab.deaf.push(stuck);
    lab.tell(stuck, "long 1000000\n");
    lab.event(0, Event::Drain);
    lab.run();
    assert_eq!(lab.heard.remove(&quick).unwrap(), "stopping\n|");
    assert_eq!(lab.drained, 0);
    let late = ConnId(3);
    lab.event(
        0,
        Event::Accepted { conn: late, service: Service::Imap, address: "192.0.2.9".to_owned(), tls: false },
    );
    lab.run();
    assert!(lab.heard[&late].starts_with("* BYE"));
    lab.pass_time(DRAIN_MS);
    assert_eq!(lab.closed[&stuck], CloseReason::Stopping);
    assert_eq!(lab.drained, 1);
}

#[test]
fn a_panic_is_one_connections_end() {
    let mut lab = Lab::new(1);
    let (bad, good) = (lab.connect(1, 0), lab.connect(2, 0));
    let event = Event::Received { conn: bad, bytes: Bytes::from_static(b"panic\n") };
    let now = lab.now;
    let shard = &mut lab.shards[0].0;
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shard.handle(now, event)));
    assert!(caught.is_err());
    assert_eq!(shard.running(), Some(bad));
    let why = CloseReason::Error("panic".to_owned());
    shard.handle(now, Event::Closed { conn: bad, why });
    assert_eq!(shard.running(), None);
    assert_eq!(lab.tell(good, "say still here\n"), "still here\n|");
}

#[test]
fn the_same_events_give_the_same_effects() {
    let trace = || {
        let mut lab = Lab::new(2);
        let (here, there) = (lab.address_at(0, "x"), lab.address_at(1, "x"));
        lab.add_account(&here);
        lab.add_account(&there);
        let (first, second) = (lab.connect(1, 0), lab.connect(2, 1));
        let mut heard = lab.tell(first, &format!("deliver {here},{there}\ngo {there}\n"));
        heard += &lab.tell(second, &format!("watch {there}\ndeliver {there}\nbye\n"));
        (heard, lab.lines)
    };
    assert_eq!(trace(), trace());
}

/// `MovedSession` must be able to change threads.
#[test]
fn a_moved_session_is_send() {
    fn is_send<T: Send>() {}
    is_send::<MovedSession>();
}

#[test]
fn what_was_removed_comes_back_once_however_many_ask() {
    let mut lab = Lab::new(1);
    lab.add_account("a@x");
    let client = lab.connect(1, 0);
    (0..2).for_each(|_| drop(lab.tell(client, "deliver a@x\n")));
    let address = || "a@x".to_owned();
    let uids = |list: &[u32]| list.iter().map(|&uid| Uid(uid)).collect::<UidSet>();
    let step = import::Step::Expunge { mailbox: "INBOX".to_owned(), uids: uids(&[1, 2]) };
    let reply = lab.admin(0, AdminRequest::Import { address: address(), step });
    assert!(matches!(reply, AdminReply::Done), "{reply:?}");
    let id = lab.shards[0].0.store().account_by_address("a@x").unwrap();
    let restore = |step| AdminRequest::Restore { address: address(), step };
    let gone = |of, from| restore::Step::Gone { of: vec![of], from, since_ms: 0, summaries: true };
    let AdminReply::Gone(rows, None) = lab.admin(0, restore(gone(id, None))) else { panic!() };
    let seen: Vec<u32> = rows.iter().map(|row| row.buried.message.uid.0).collect();
    assert_eq!((seen, rows.iter().all(|row| row.summary.is_some())), (vec![1, 2], true));
    let nobody = lab.admin(0, restore(gone(AccountId(9), Some(1))));
    assert!(matches!(nobody, AdminReply::Gone(rows, None) if rows.is_empty()));

    let put = |uid_next| restore::Step::PutBack {
        of: id,
        left: MailboxId(1),
        uids: uids(&[1, 2]),
        to: "INBOX".to_owned(),
        uid_next: Uid(uid_next),
    };
    let seen_too_early = lab.admin(0, restore(put(2)));
    assert!(matches!(seen_too_early, AdminReply::PutBack(put) if put.changed));
    // Two ask at once: neither sees what the other is about to put there.
    lab.stopped_disk = Some(VecDeque::new());
    for ticket in [Ticket(7), Ticket(8)] {
        let message = Message::Admin { ticket, request: restore(put(3)) };
        lab.event(0, Event::Peer { from: CONTROL, message });
    }
    lab.run();
    assert!(matches!(lab.replies.pop(), Some(AdminReply::PutBack(put)) if put.changed));
    assert!(lab.replies.is_empty() && lab.inbox_len("a@x") == 0);
    for (shard, effect) in lab.stopped_disk.take().unwrap() {
        let Effect::Io { id, request } = effect else { panic!() };
        let result = lab.shards[shard].1.perform(&request);
        lab.event(shard, Event::Io { id, result });
    }
    lab.run();
    let Some(AdminReply::PutBack(done)) = lab.replies.pop() else { panic!() };
    assert_eq!((done.changed, done.source, done.target), (false, uids(&[1, 2]), uids(&[3, 4])));
    assert_eq!(lab.inbox_len("a@x"), 2);
    assert!(matches!(lab.admin(0, restore(put(3))), AdminReply::PutBack(put) if put.changed));
}

#[test]
fn what_was_made_of_a_page_that_cannot_be_read_is_told_to_nobody() {
    let mut lab = Lab::new(1);
    lab.add_account("a@x");
    lab.shards[0].0.watch_pages(|| BAD_PAGES.get());
    let (one, other) = (lab.connect(1, 0), lab.connect(2, 0));
    assert!(!lab.tell(one, "say before\nzeroes\n").contains("zeroes"));
    assert!(matches!(&lab.closed[&one], CloseReason::Error(why) if why.contains("cannot be read")));
    assert!(lab.tell(other, "say after\n").contains("after"), "everybody else is served");
    // What was copied would be what the log says from then on: it is not written.
    lab.event(0, Event::Received { conn: other, bytes: Bytes::from_static(b"zeroes copied\n") });
    let effects: Vec<Effect> = std::iter::from_fn(|| lab.shards[0].0.poll_effect()).collect();
    assert!(matches!(&effects[..], [Effect::Log(_), Effect::Fatal(_)]), "{effects:?}");
}

#[test]
fn what_is_hidden_is_listed_with_whose_it_is() {
    let mut lab = Lab::new(1);
    for account in ["a@x", "b@x"] {
        lab.add_account(account);
    }
    let client = lab.connect(1, 0);
    for account in ["a@x", "b@x", "b@x"] {
        lab.tell(client, &format!("deliver {account}\n"));
    }
    let list = |lab: &mut Lab| {
        let (mut all, mut cursor) = (Vec::new(), Some(damage::Cursor::default()));
        while let Some(next) = cursor {
            let AdminReply::Damage(rows, next) = lab.admin(0, AdminRequest::Damage(next)) else { panic!() };
            all.extend(rows);
            cursor = next;
        }
        all
    };
    assert!(list(&mut lab).is_empty());
    let store = lab.shards[0].0.store();
    let account = store.account_by_address("b@x").unwrap();
    let inbox = store.account(account).unwrap().inbox();
    let (from, uid) = (inbox.message(1).body, inbox.message(1).uid.0);
    let change = Change::Distrust { from, until: BodyId(from.0 + 1) };
    lab.shards[0].0.store.append(AccountId(0), change, lab.now).unwrap();
    lab.event(0, Event::Tick);
    lab.run();
    let found = list(&mut lab);
    let [row] = &found[..] else { panic!("{found:?}") };
    assert_eq!((row.account.as_str(), row.mailbox.as_deref(), row.uid), ("b@x", Some("INBOX"), uid));
    assert_eq!((row.position, row.since_ms), (from.0, None), "the log does not say since when");
    let AdminReply::Scrub(state) = lab.admin(0, AdminRequest::Scrub { now: true }) else { panic!() };
    assert_eq!(state.hidden, 1);
}
