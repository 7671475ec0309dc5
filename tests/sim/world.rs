//! The world around the shards: time, disks, network, clients, and what goes wrong.
//!
//! *Owns*: the queue of everything that will happen. *Promises*: the same seed gives the same trace; effects
//! are carried out as the runtime does. *Assumes*: nothing of the shards but `Event` and `Effect`.
//! *Never*: sleeps, or asks the machine for time or chance.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ringpost::limits::{OUTPUT_BYTES_MAX, SEND_PIECES_MAX, SEND_STALL_MS, TICK_MS};
use ringpost::proto::Server;
use ringpost::shard::Shard;
use ringpost::shard::admin::{AdminReply, AdminRequest};
use ringpost::shard::event::{CONTROL, CloseReason, ConnId, Effect, Event, Message, Piece, Ticket};
use ringpost_engine::change::Services;
use ringpost_engine::ids::{Now, ShardId, Slot};
use ringpost_engine::io::{IoId, IoRequest, IoResult};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::Plant;
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::verify::verify;

use crate::clients::{Client, Tools};
use crate::faults::Faults;
use crate::net::{Net, pieces};
use crate::oracle::{Oracle, Verdict, has_flag};
use crate::seeds::Rng;
use crate::trace::Trace;
use crate::workload::{DOMAIN, PASSWORD, Plan};

/// All work must have ended by then, faults included.
const END_US: u64 = 900 * 1_000_000;
/// With nothing failing it must have ended this long after the last job began.
const CALM_END_US: u64 = 120 * 1_000_000;
/// Octets a session may add beyond its room in one step.
const STEP_BYTES: usize = 128 * 1024;
/// What the wall clock shows at virtual time 0.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// A bug to plant; the simulation must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The shard hears that a write is durable when it has only begun: every 250 comes early.
    EarlyReply,
    /// One of the engine's own.
    Engine(Plant),
}

/// What will happen.
enum Happening {
    /// Ends with a crash.
    Shard(usize, Event),
    /// A piece reaches the server.
    ToServer(ConnId, Vec<u8>),
    /// A piece reaches the client.
    ToClient(ConnId, Vec<u8>),
    /// The client's side closes, after its bytes.
    ClientGone(ConnId),
    /// The server's close reaches the client.
    ServerGone(ConnId),
    Disk(usize, IoId),
    Tick(usize),
    // What follows outlives a crash.
    Job,
    Cut(u64),
    /// Arms a crash that comes soon after the disk's next answer, when most is at stake.
    CrashNearDisk {
        power: bool,
    },
    Crash {
        power: bool,
    },
    FullDisk(usize),
    RoomAgain(usize),
}

impl Happening {
    fn outlives_crash(&self) -> bool {
        matches!(
            self,
            Happening::Job
                | Happening::Cut(_)
                | Happening::CrashNearDisk { .. }
                | Happening::Crash { .. }
                | Happening::FullDisk(_)
                | Happening::RoomAgain(_)
        )
    }
}

/// One shard with its disk.
struct Node {
    shard: Shard,
    disk: FakeDisk,
    requests: BTreeMap<IoId, IoRequest>,
    turn_asked: bool,
    /// May be connected to.
    ready: bool,
    drained: bool,
}

struct Slot_ {
    client: Box<dyn Client>,
    conn: Option<ConnId>,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub trace_hash: u64,
    pub acknowledged: u64,
    pub crashes: u64,
    pub virtual_ms: u64,
    pub sends_mapped: u64,
    pub views_compared: u64,
}

/// See the module.
pub struct World {
    rng: Rng,
    faults: Faults,
    plan: Plan,
    bug: Option<Bug>,
    now_us: u64,
    sequence: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    /// Happenings in the queue that are not ticks.
    pending: usize,
    nodes: Vec<Node>,
    segment_bytes: u64,
    net: Net,
    clients: Vec<Slot_>,
    oracle: Oracle,
    /// When the last message on its way from one shard to another arrives.
    peer_us: BTreeMap<(usize, usize), u64>,
    admin: Vec<AdminReply>,
    /// A crash waits for the disk's next answer; whether the power fails.
    armed: Option<bool>,
    fatal: bool,
    crashes: u64,
    last_job_us: u64,
    views_compared: u64,
    pub trace: Trace,
}

impl World {
    /// Runs a seed to its end; an error is what was wrong, in one sentence. `more_power_cuts` come on top of
    /// the seed's own.
    pub fn run(
        seed: u64,
        bug: Option<Bug>,
        more_power_cuts: u64,
        trace: Trace,
    ) -> (Result<Report, String>, Trace) {
        let mut rng = Rng::new(seed);
        let mut faults = Faults::of(&mut rng);
        faults.power_cuts += more_power_cuts;
        let plan = Plan::new(&mut rng);
        let shards = rng.within(1..4) as usize;
        let segment_bytes = *rng.pick(&[128 * 1024, 256 * 1024, 1024 * 1024]);
        let mut world = World {
            rng,
            faults,
            plan,
            bug,
            now_us: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            pending: 0,
            nodes: Vec::new(),
            segment_bytes,
            net: Net::default(),
            clients: Vec::new(),
            oracle: Oracle::default(),
            peer_us: BTreeMap::new(),
            admin: Vec::new(),
            armed: None,
            fatal: false,
            crashes: 0,
            last_job_us: 0,
            views_compared: 0,
            trace,
        };
        let verdict = world.live(shards);
        (verdict, world.trace)
    }

    fn live(&mut self, shards: usize) -> Result<Report, String> {
        self.trace.line(format_args!("{:?}", self.faults));
        let disks = (0..shards).map(|_| FakeDisk::new(self.rng.fork())).collect();
        self.open(disks)?;
        self.set_up()?;
        self.schedule_work();
        self.until_quiet()?;
        self.compare_views()?;
        self.check()?;
        self.end_idlers()?;
        self.until_quiet()?;
        self.drain()?;
        self.check()?;
        // The last word: what a power cut now leaves.
        self.crash(true)?;
        let mapped = self.nodes.iter().map(|node| node.shard.counters().bytes_out_mapped).sum();
        Ok(Report {
            trace_hash: self.trace.hash(),
            acknowledged: self.oracle.acknowledged,
            crashes: self.crashes - 1,
            virtual_ms: self.now_us / 1_000,
            sends_mapped: mapped,
            views_compared: self.views_compared,
        })
    }

    fn now(&self) -> Now {
        Now { unix_ms: EPOCH_MS + self.now_us / 1_000, mono_ms: self.now_us / 1_000 }
    }

    fn at(&mut self, at_us: u64, happening: Happening) {
        self.sequence += 1;
        self.pending += usize::from(!matches!(happening, Happening::Tick(_)));
        self.queue.insert((at_us.max(self.now_us), self.sequence), happening);
    }

    fn after(&mut self, most_us: u64, happening: Happening) {
        let at_us = self.now_us + self.rng.within(1..most_us + 2);
        self.at(at_us, happening);
    }

    // Beginning and ending.

    fn open(&mut self, disks: Vec<FakeDisk>) -> Verdict {
        let shards = disks.len() as u16;
        for (index, mut disk) in disks.into_iter().enumerate() {
            let options = Options {
                segment_bytes: self.segment_bytes,
                message_bytes_max: 64 * 1024,
                ..Options::new(ShardId(index as u16), 7)
            };
            if self.crashes > 0 && self.rng.chance(self.faults.recovery_cuts) {
                disk.power_fails_in = Some(self.rng.within(0..4));
                if Store::open(&mut disk, options.clone(), self.now()).is_err() {
                    self.trace.line(format_args!("{} recovery of {index} cut off", self.now_us));
                }
                disk.power_cut();
            }
            let (mut store, report) = Store::open(&mut disk, options, self.now())
                .map_err(|error| format!("shard {index} does not open: {error}"))?;
            if !report.damage.is_empty() {
                return Err(format!("shard {index} found damage: {:?}", report.damage));
            }
            // From the first crash on, so that it harms what clients did, not the setting up.
            if let Some(Bug::Engine(plant)) = self.bug
                && self.crashes > 0
            {
                store.plant(plant);
            }
            let text = format!("{} shard {index} opened: {report:?}", self.now_us);
            self.trace.line(format_args!("{text}"));
            let shard = Shard::new(ShardId(index as u16), shards, store, server());
            self.nodes.push(Node {
                shard,
                disk,
                requests: BTreeMap::new(),
                turn_asked: false,
                ready: false,
                drained: false,
            });
            self.at(self.now_us + TICK_MS * 1_000, Happening::Tick(index));
        }
        for index in 0..self.nodes.len() {
            self.carry_out(index)?;
        }
        Ok(())
    }

    fn set_up(&mut self) -> Verdict {
        let shards = self.nodes.len() as u16;
        let owner = |address: &str| usize::from(Slot::of(address).shard(shards).0);
        let mut requests = vec![(0, AdminRequest::DomainAdd { name: DOMAIN.to_owned() })];
        for address in self.plan.accounts.clone() {
            let password_hash = format!("plain:{PASSWORD}");
            requests.push((
                owner(&address),
                AdminRequest::AccountAdd { address, password_hash, services: Services::ALL },
            ));
        }
        for (address, targets) in self.plan.aliases.clone() {
            requests.push((owner(&address), AdminRequest::AliasSet { address, targets }));
        }
        let count = requests.len();
        for (index, request) in requests {
            let message = Message::Admin { ticket: Ticket(0), request };
            self.event(index, Event::Peer { from: CONTROL, message })?;
        }
        self.until_quiet()?;
        let done = self.admin.iter().filter(|reply| matches!(reply, AdminReply::Done)).count();
        if done != count {
            return Err(format!("setting up: {:?}", self.admin));
        }
        for address in self.plan.accounts.clone() {
            self.oracle.account(&address);
        }
        Ok(())
    }

    fn schedule_work(&mut self) {
        let span_us = self.plan.span_us;
        for _ in 0..self.plan.jobs {
            let at_us = self.now_us + self.rng.within(0..span_us);
            self.last_job_us = self.last_job_us.max(at_us);
            self.at(at_us, Happening::Job);
        }
        let mut faults = Vec::new();
        for (power, count) in [(true, self.faults.power_cuts), (false, self.faults.kills)] {
            for _ in 0..count {
                faults.push(match self.rng.chance(75) {
                    true => Happening::CrashNearDisk { power },
                    false => Happening::Crash { power },
                });
            }
        }
        for _ in 0..self.faults.full_disks {
            faults.push(Happening::FullDisk(self.rng.index(self.nodes.len())));
        }
        for fault in faults {
            let at_us = self.now_us + self.rng.within(0..span_us * 5 / 4);
            self.at(at_us, fault);
        }
        for node in &mut self.nodes {
            node.disk.faults.eio_one_in = self.faults.eio_one_in;
        }
    }

    /// Goes on until nothing but ticks is left to happen.
    fn until_quiet(&mut self) -> Verdict {
        while self.pending > 0 {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Verdict {
        let ((at_us, _), happening) = self.queue.pop_first().ok_or("nothing will ever happen again")?;
        self.now_us = at_us;
        self.pending -= usize::from(!matches!(happening, Happening::Tick(_)));
        let late_us = if self.faults.is_calm() { self.last_job_us + CALM_END_US } else { END_US };
        if at_us > late_us {
            let open: Vec<String> = self
                .clients
                .iter()
                .filter(|slot| slot.conn.is_some() && slot.client.view().is_none())
                .map(|slot| slot.client.name())
                .collect();
            return Err(format!("work does not end: {open:?}"));
        }
        self.happen(happening)?;
        if std::mem::take(&mut self.fatal) {
            self.crash(false)?;
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Tick(index) => {
                self.at(self.now_us + TICK_MS * 1_000, Happening::Tick(index));
                self.event(index, Event::Tick)
            }
            Happening::Shard(index, event) => self.to_shard(index, event),
            Happening::Disk(index, id) => self.disk_done(index, id),
            Happening::ToServer(conn, bytes) => {
                if let Some(link) = self.net.link(conn) {
                    link.inbound.push_back(bytes);
                }
                self.pump(conn)
            }
            Happening::ToClient(conn, bytes) => self.to_client(conn, &bytes),
            Happening::ClientGone(conn) => {
                if let Some(link) = self.net.link(conn) {
                    link.client_closed = true;
                }
                self.pump(conn)
            }
            Happening::ServerGone(conn) => self.server_gone(conn),
            Happening::Job => self.begin_job(),
            Happening::Cut(conn) => self.cut(ConnId(conn)),
            Happening::CrashNearDisk { power } => {
                self.armed = Some(power);
                Ok(())
            }
            Happening::Crash { power } => self.crash(power),
            Happening::FullDisk(index) => {
                let disk = &mut self.nodes[index].disk;
                disk.faults.capacity = disk.used();
                self.trace.line(format_args!("{} disk {index} is full", self.now_us));
                self.after(10_000_000, Happening::RoomAgain(index));
                Ok(())
            }
            Happening::RoomAgain(index) => {
                self.nodes[index].disk.faults.capacity = u64::MAX;
                self.trace.line(format_args!("{} disk {index} has room", self.now_us));
                Ok(())
            }
        }
    }

    // Shards.

    /// An event that the runtime brings, with what it does to the connection before and after.
    fn to_shard(&mut self, index: usize, event: Event) -> Verdict {
        let conn = match &event {
            Event::Sent { conn } | Event::TlsStarted { conn } | Event::Closed { conn, .. } => Some(*conn),
            Event::Arrived(session) => Some(ConnId(session.peer.conn)),
            _ => None,
        };
        if let Some(link) = conn.and_then(|conn| self.net.link(conn)) {
            match &event {
                Event::Sent { .. } => link.sending = false,
                Event::TlsStarted { .. } => link.handshake = false,
                Event::Closed { .. } => link.server_closed = true,
                _ => {
                    link.moving = false;
                    link.shard = index;
                }
            }
        }
        if matches!(event, Event::Turn) {
            self.nodes[index].turn_asked = false;
        }
        self.event(index, event)?;
        conn.map_or(Ok(()), |conn| self.pump(conn))
    }

    fn event(&mut self, index: usize, event: Event) -> Verdict {
        self.trace.event(self.now_us, index, &event);
        let now = self.now();
        self.nodes[index].shard.handle(now, event);
        self.carry_out(index)
    }

    fn carry_out(&mut self, index: usize) -> Verdict {
        while let Some(effect) = self.nodes[index].shard.poll_effect() {
            self.trace.effect(self.now_us, index, &effect);
            self.effect(index, effect)?;
        }
        let node = &mut self.nodes[index];
        if node.shard.has_work() && !std::mem::replace(&mut node.turn_asked, true) {
            self.at(self.now_us + 1, Happening::Shard(index, Event::Turn));
        }
        Ok(())
    }

    fn effect(&mut self, index: usize, effect: Effect) -> Verdict {
        match effect {
            Effect::Send { conn, pieces } => return self.send(index, conn, pieces),
            Effect::StartTls { conn } => {
                if let Some(link) = self.net.link(conn) {
                    link.handshake = true;
                    self.after(self.faults.net_us, Happening::Shard(index, Event::TlsStarted { conn }));
                }
            }
            Effect::Warm { conn, .. } => {
                self.after(self.faults.warm_us, Happening::Shard(index, Event::Warmed { conn }));
            }
            Effect::Close { conn, .. } => {
                if let Some(link) = self.net.link(conn) {
                    link.server_closed = true;
                    let at_us = link.to_client_us + 1;
                    self.at(at_us, Happening::ServerGone(conn));
                }
            }
            Effect::Move { conn, to, session } => {
                if let Some(link) = self.net.link(conn) {
                    link.moving = true;
                }
                let to = usize::from(to.0);
                self.to_peer(index, to, Event::Arrived(session));
            }
            Effect::Io { id, request } => {
                let node = &mut self.nodes[index];
                node.disk.start(&request);
                node.requests.insert(id, request);
                self.after(self.faults.disk_us, Happening::Disk(index, id));
            }
            Effect::Verify { ticket, hash, password } => {
                let good = hash == format!("plain:{}", String::from_utf8_lossy(&password.0));
                let good = (!self.rng.chance(self.faults.verify_busy)).then_some(good);
                self.after(self.faults.verify_us, Happening::Shard(index, Event::Verified { ticket, good }));
            }
            Effect::Receive { conn, on } => {
                if let Some(link) = self.net.link(conn) {
                    link.held = !on;
                }
                return self.pump(conn);
            }
            Effect::Peer { to, message: Message::AdminReply { reply, .. } } if to == CONTROL => {
                self.admin.push(reply);
            }
            Effect::Peer { to, message } => {
                let from = ShardId(index as u16);
                self.to_peer(index, usize::from(to.0), Event::Peer { from, message });
            }
            Effect::Log(_) => {}
            Effect::Ready => self.nodes[index].ready = true,
            Effect::Drained => self.nodes[index].drained = true,
            Effect::Fatal(_) if self.faults.eio_one_in > 0 => self.fatal = true,
            Effect::Fatal(why) => return Err(format!("shard {index} gives up: {why}")),
        }
        Ok(())
    }

    /// Messages of one shard to another stay in order.
    fn to_peer(&mut self, from: usize, to: usize, event: Event) {
        let at_us = self.now_us + self.rng.within(1..self.faults.peer_us + 2);
        let last = self.peer_us.entry((from, to)).or_default();
        *last = at_us.max(*last);
        let at_us = *last;
        self.at(at_us, Happening::Shard(to, event));
    }

    fn disk_done(&mut self, index: usize, id: IoId) -> Verdict {
        let node = &mut self.nodes[index];
        let Some(request) = node.requests.remove(&id) else { return Ok(()) };
        let lie = self.bug == Some(Bug::EarlyReply)
            && self.last_job_us > 0
            && matches!(request, IoRequest::Write { durable: true, .. } | IoRequest::Sync { .. });
        let result = if lie { IoResult::Done } else { node.disk.finish(&request) };
        if let Some(power) = self.armed.take() {
            self.after(2 * self.faults.net_us, Happening::Crash { power });
        }
        self.event(index, Event::Io { id, result })
    }

    // Connections.

    fn begin_job(&mut self) -> Verdict {
        if self.nodes.iter().any(|node| !node.ready) {
            // Nobody listens yet: the client tries again.
            self.after(100_000, Happening::Job);
            return Ok(());
        }
        let client = self.plan.job(&mut self.rng);
        let (index, shard) = (self.clients.len(), self.rng.index(self.nodes.len()));
        let temper = self.faults.temper(&mut self.rng);
        let conn = self.net.open(index, shard, temper, self.now_us);
        self.trace.line(format_args!("{} job {index} on {conn:?}: {}", self.now_us, client.name()));
        let service = client.service();
        self.clients.push(Slot_ { client, conn: Some(conn) });
        if self.rng.chance(self.faults.cut) {
            self.after(3_000_000, Happening::Cut(conn.0));
        }
        let address = "192.0.2.7".to_owned();
        self.event(shard, Event::Accepted { conn, service, address, tls: false })
    }

    fn send(&mut self, index: usize, conn: ConnId, parts: Vec<Piece>) -> Verdict {
        let mut text = Vec::new();
        let mut made = 0;
        for part in &parts {
            let (Piece::Bytes(bytes) | Piece::Mapped { bytes, .. }) = part;
            text.extend_from_slice(bytes);
            made += if matches!(part, Piece::Bytes(_)) { bytes.len() } else { 0 };
        }
        if made > OUTPUT_BYTES_MAX + STEP_BYTES || parts.len() > SEND_PIECES_MAX {
            return Err(format!("{conn:?} was handed {made} octets in {} pieces at once", parts.len()));
        }
        let deaf = self.rng.chance(self.faults.deaf);
        let Some(link) = self.net.link(conn) else { return Ok(()) };
        if link.sending {
            return Err(format!("two sends to {conn:?} at once"));
        }
        link.sending = true;
        if deaf {
            let why = CloseReason::Stalled;
            self.at(
                self.now_us + SEND_STALL_MS * 1_000,
                Happening::Shard(index, Event::Closed { conn, why }),
            );
            self.at(self.now_us + SEND_STALL_MS * 1_000, Happening::ServerGone(conn));
            return Ok(());
        }
        let mut last_us = link.to_client_us;
        let arriving = pieces(&mut self.rng, &link.temper.clone(), self.now_us, &mut last_us, &text);
        link.to_client_us = last_us;
        for (at_us, piece) in arriving {
            self.at(at_us, Happening::ToClient(conn, piece));
        }
        self.at(last_us.max(self.now_us + 1), Happening::Shard(index, Event::Sent { conn }));
        Ok(())
    }

    /// Gives the shard what the runtime would receive now.
    fn pump(&mut self, conn: ConnId) -> Verdict {
        while let Some(link) = self.net.link(conn).filter(|link| link.listens()) {
            let shard = link.shard;
            if let Some(bytes) = link.inbound.pop_front() {
                self.event(shard, Event::Received { conn, bytes: Bytes::from(bytes) })?;
            } else if link.client_closed {
                link.server_closed = true;
                self.event(shard, Event::Closed { conn, why: CloseReason::Peer })?;
            } else {
                break;
            }
        }
        Ok(())
    }

    fn to_client(&mut self, conn: ConnId, bytes: &[u8]) -> Verdict {
        let Some(link) = self.net.link(conn) else { return Ok(()) };
        let index = link.client;
        self.with_client(index, |client, tools| client.on_bytes(bytes, tools))
    }

    fn with_client(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut dyn Client, &mut Tools<'_>) -> Verdict,
    ) -> Verdict {
        let slot = &mut self.clients[index];
        let Some(conn) = slot.conn else { return Ok(()) };
        let calm = self.faults.is_calm();
        let mut tools =
            Tools { rng: &mut self.rng, oracle: &mut self.oracle, calm, out: Vec::new(), hang_up: false };
        call(slot.client.as_mut(), &mut tools).map_err(|why| format!("{conn:?}: {why}"))?;
        let (out, hang_up) = (tools.out, tools.hang_up);
        let Some(link) = self.net.link(conn) else { return Ok(()) };
        let mut last_us = link.to_server_us;
        let arriving = pieces(&mut self.rng, &link.temper.clone(), self.now_us, &mut last_us, &out);
        link.to_server_us = last_us;
        for (at_us, piece) in arriving {
            self.at(at_us, Happening::ToServer(conn, piece));
        }
        if hang_up {
            self.at(last_us + 1, Happening::ClientGone(conn));
        }
        Ok(())
    }

    fn server_gone(&mut self, conn: ConnId) -> Verdict {
        let Some(link) = self.net.drop_link(conn) else { return Ok(()) };
        let slot = &mut self.clients[link.client];
        slot.conn = None;
        if self.faults.is_calm() && !slot.client.is_done() {
            return Err(format!("{conn:?} was closed in the middle of {}", slot.client.name()));
        }
        Ok(())
    }

    fn cut(&mut self, conn: ConnId) -> Verdict {
        let Some(link) = self.net.link(conn) else { return Ok(()) };
        if link.moving || link.server_closed {
            return Ok(());
        }
        let shard = link.shard;
        self.trace.line(format_args!("{} {conn:?} breaks", self.now_us));
        if let Some(link) = self.net.drop_link(conn) {
            self.clients[link.client].conn = None;
        }
        let why = CloseReason::Error("connection reset".to_owned());
        self.event(shard, Event::Closed { conn, why })
    }

    // Crashes, ends and checks.

    fn crash(&mut self, power: bool) -> Verdict {
        self.check_visible()?;
        self.crashes += 1;
        self.trace.line(format_args!("{} {}", self.now_us, if power { "power cut" } else { "killed" }));
        for (_, link) in self.net.cut_all() {
            self.clients[link.client].conn = None;
        }
        self.queue.retain(|_, happening| happening.outlives_crash());
        self.pending = self.queue.len();
        self.peer_us.clear();
        let mut disks = Vec::new();
        for node in std::mem::take(&mut self.nodes) {
            let mut disk = node.disk;
            if power {
                disk.power_cut();
            }
            // The operator changes a disk that fails, and makes room.
            disk.faults.eio_one_in = 0;
            disk.faults.capacity = u64::MAX;
            disks.push(disk);
        }
        self.open(disks)?;
        self.check()
    }

    /// What clients can see at the moment, against all that is known.
    fn check_visible(&mut self) -> Verdict {
        for node in &self.nodes {
            self.oracle.check(node.shard.store())?;
        }
        self.oracle.check_accounts(self.nodes.iter().map(|node| node.shard.store()))
    }

    /// The same, and each index against a replay of its log.
    fn check(&mut self) -> Verdict {
        self.check_visible()?;
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let verified = verify(node.shard.store(), &mut node.disk)
                .map_err(|error| format!("shard {index} cannot be verified: {error}"))?;
            if !verified.is_sound() {
                return Err(format!("shard {index} is not its log: {verified:?}"));
            }
        }
        Ok(())
    }

    /// Every client in IDLE must believe what is true (rfc2177).
    fn compare_views(&mut self) -> Verdict {
        let views =
            self.clients.iter().filter(|slot| slot.conn.is_some()).filter_map(|slot| slot.client.view());
        for view in views {
            let found = self.nodes.iter().find_map(|node| {
                let store = node.shard.store();
                store.account(store.account_by_address(&view.account)?)
            });
            let mailbox = found
                .and_then(|account| account.mailbox_by_name(&view.mailbox))
                .ok_or_else(|| format!("{} of {} is gone", view.mailbox, view.account))?;
            let truth: Vec<u32> = (0..mailbox.len()).map(|place| mailbox.message(place).uid.0).collect();
            let agrees = truth.len() == view.uids.len()
                && truth.iter().zip(&view.uids).all(|(uid, seen)| *seen == 0 || seen == uid);
            if !agrees {
                return Err(format!("{} idles on {:?}, the store has {truth:?}", view.account, view.uids));
            }
            for (place, seen) in view.flags.iter().enumerate() {
                let Some(seen) = seen else { continue };
                let message = mailbox.message(place);
                let seen: BTreeSet<&str> =
                    seen.iter().map(String::as_str).filter(|flag| *flag != "\\Recent").collect();
                let all = seen.iter().all(|flag| has_flag(mailbox, message.flags, flag));
                if !all || seen.len() != message.flags.0.count_ones() as usize {
                    return Err(format!(
                        "{} sees {seen:?} on UID {}, the store has {:#b}",
                        view.account, message.uid, message.flags.0
                    ));
                }
            }
            self.views_compared += 1;
        }
        Ok(())
    }

    fn end_idlers(&mut self) -> Verdict {
        for index in 0..self.clients.len() {
            if self.clients[index].conn.is_some() {
                self.with_client(index, |client, tools| {
                    client.finish(tools);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    fn drain(&mut self) -> Verdict {
        for index in 0..self.nodes.len() {
            self.event(index, Event::Drain)?;
        }
        let late_us = self.now_us + 30_000_000;
        while self.nodes.iter().any(|node| !node.drained) {
            if self.now_us > late_us {
                return Err("a drain does not end".to_owned());
            }
            self.step()?;
        }
        let open = self.clients.iter().filter(|slot| slot.conn.is_some()).count();
        if open > 0 && self.faults.is_calm() {
            return Err(format!("{open} clients are still connected after all work"));
        }
        Ok(())
    }
}

fn server() -> Server {
    Server {
        hostname: "mail.example.test".to_owned(),
        tls: true,
        plaintext_login: true,
        message_bytes_max: 64 * 1024,
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
