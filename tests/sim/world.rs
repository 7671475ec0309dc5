//! The world around the shards: time, disks, network, clients, and what goes wrong.
//!
//! *Owns*: the queue of everything that will happen. *Promises*: the same seed gives the same trace; effects
//! are carried out as the runtime does. *Assumes*: nothing of the shards but `Event` and `Effect`.
//! *Never*: sleeps, or asks the machine for time or chance.

use std::collections::{BTreeMap, BTreeSet};

use ringpost::limits::TICK_MS;
use ringpost::shard::Shard;
use ringpost::shard::admin::AdminReply;
use ringpost::shard::event::{CONTROL, ConnId, Effect, Event, Message, Ticket};
use ringpost_engine::ids::{AccountId, Now, ShardId};
use ringpost_engine::io::{IoId, IoRequest, IoResult};
use ringpost_engine::testing::Plant;
use ringpost_engine::testing::fake_disk::FakeDisk;

use crate::admin::Asked;
use crate::clients::Client;
use crate::faults::Faults;
use crate::net::Net;
use crate::oracle::{Oracle, Verdict};
use crate::rot::Rot;
use crate::seeds::Rng;
use crate::trace::Trace;
use crate::workload::Plan;

/// All work must have ended by then, faults included.
const END_US: u64 = 3_600 * 1_000_000;
/// With nothing failing it must have ended this long after the last job began.
const CALM_END_US: u64 = 120 * 1_000_000;
/// When nothing but ticks happens any more, every client must be done or idle this long after: the longest
/// patience of a session, a stalled send and a full disk's retry together.
const SETTLE_US: u64 = 700 * 1_000_000;
/// The same when nothing fails.
const CALM_SETTLE_US: u64 = 2 * 1_000_000;
/// Longer than any shard waits for another.
const SLOW_PEER_US: u64 = 90 * 1_000_000;
/// A network with waits as long as this is slow.
const SLOW_NETWORK_US: u64 = 10_000;
/// A drain must have ended by then.
const DRAIN_US: u64 = 30 * 1_000_000;
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
pub enum Happening {
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
    /// The operator restarts the server.
    Restart,
    /// The administrator changes something.
    Administer(Asked),
}

impl Happening {
    pub fn outlives_crash(&self) -> bool {
        match self {
            Happening::Shard(..)
            | Happening::ToServer(..)
            | Happening::ToClient(..)
            | Happening::ClientGone(_)
            | Happening::ServerGone(_)
            | Happening::Disk(..)
            | Happening::Tick(_) => false,
            Happening::Job
            | Happening::Cut(_)
            | Happening::CrashNearDisk { .. }
            | Happening::Crash { .. }
            | Happening::FullDisk(_)
            | Happening::RoomAgain(_)
            | Happening::Restart
            | Happening::Administer(_) => true,
        }
    }
}

/// One shard with its disk.
pub struct Node {
    pub shard: Shard,
    pub disk: FakeDisk,
    pub requests: BTreeMap<IoId, IoRequest>,
    pub turn_asked: bool,
    /// May be connected to.
    pub ready: bool,
    pub drained: bool,
}

/// A client and its connection.
pub struct Desk {
    pub client: Box<dyn Client>,
    pub conn: Option<ConnId>,
    /// How many more times it listens before it falls silent for ever; none: it never does.
    pub mute_in: Option<u64>,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    pub trace_hash: u64,
    /// What was done, by kind: a run that does nothing proves nothing.
    pub counts: BTreeMap<&'static str, u64>,
    pub virtual_ms: u64,
}

/// See the module.
pub struct World {
    pub rng: Rng,
    pub faults: Faults,
    pub plan: Plan,
    pub bug: Option<Bug>,
    pub now_us: u64,
    pub sequence: u64,
    pub queue: BTreeMap<(u64, u64), Happening>,
    /// Happenings in the queue that are not ticks.
    pub pending: usize,
    pub nodes: Vec<Node>,
    pub segment_bytes: u64,
    /// Bytes of log between two checkpoints; 0 makes none.
    pub checkpoint_log_bytes: u64,
    pub net: Net,
    pub clients: Vec<Desk>,
    pub oracle: Oracle,
    /// When the last message on its way from one shard to another arrives.
    pub peer_us: BTreeMap<(usize, usize), u64>,
    pub admin: Vec<AdminReply>,
    /// A crash waits for the disk's next answer; whether the power fails.
    pub armed: Option<bool>,
    pub fatal: bool,
    pub crashes: u64,
    pub last_job_us: u64,
    /// Since when a restart drains, microseconds.
    pub restarting_us: Option<u64>,
    /// What the administrator waits for, by ticket.
    pub asked: BTreeMap<Ticket, Asked>,
    pub last_ticket: u64,
    /// What rots at the next restart.
    pub rot: Option<Rot>,
    /// Shards with a segment that has rotted.
    pub rotten: BTreeSet<usize>,
    /// Accounts that the last start reported as out of service.
    pub quarantined: BTreeSet<AccountId>,
    pub counts: BTreeMap<&'static str, u64>,
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
        let plan = Plan::new(&mut rng, faults.net_us >= SLOW_NETWORK_US);
        let shards = rng.within(1..4) as usize;
        let segment_bytes = *rng.pick(&[96 * 1024, 128 * 1024, 1024 * 1024]);
        let checkpoint_log_bytes = *rng.pick(&[0, 16 * 1024, 96 * 1024]);
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
            checkpoint_log_bytes,
            net: Net::default(),
            clients: Vec::new(),
            oracle: Oracle::default(),
            peer_us: BTreeMap::new(),
            admin: Vec::new(),
            armed: None,
            fatal: false,
            crashes: 0,
            last_job_us: 0,
            restarting_us: None,
            asked: BTreeMap::new(),
            last_ticket: 0,
            rot: None,
            rotten: BTreeSet::new(),
            quarantined: BTreeSet::new(),
            counts: BTreeMap::new(),
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
        let stretches = self.rng.within(1..4);
        self.work(stretches)?;
        // What a checkpoint covers is not read at a start, so a start does not find rot in it.
        if self.checkpoint_log_bytes == 0 && self.rng.chance(40) && self.rot_sets_in()? {
            self.work(1)?;
        }
        let mut counts = std::mem::take(&mut self.oracle.counts);
        counts.append(&mut self.counts);
        Ok(Report { trace_hash: self.trace.hash(), counts, virtual_ms: self.now_us / 1_000 })
    }

    /// Some stretches of work, an orderly end, and what a power cut then leaves.
    fn work(&mut self, stretches: u64) -> Verdict {
        for _ in 0..stretches {
            self.schedule_work();
            self.until_settled()?;
            self.compare_views()?;
            self.check_figures()?;
            self.check()?;
        }
        self.end_idlers()?;
        self.until_settled()?;
        self.drain()?;
        self.check()?;
        self.crash(true)
    }

    pub fn now(&self) -> Now {
        Now { unix_ms: EPOCH_MS + self.now_us / 1_000, mono_ms: self.now_us / 1_000 }
    }

    pub fn at(&mut self, at_us: u64, happening: Happening) {
        self.sequence += 1;
        self.pending += usize::from(!matches!(happening, Happening::Tick(_)));
        self.queue.insert((at_us.max(self.now_us), self.sequence), happening);
    }

    pub fn after(&mut self, most_us: u64, happening: Happening) {
        let at_us = self.now_us + self.rng.within(1..most_us + 2);
        self.at(at_us, happening);
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
        for _ in 0..self.faults.restarts {
            faults.push(Happening::Restart);
        }
        for asked in self.chores() {
            faults.push(Happening::Administer(asked));
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
    pub fn until_quiet(&mut self) -> Verdict {
        while self.pending > 0 {
            self.step()?;
        }
        Ok(())
    }

    /// Goes on until every client is done, or idles and knows all there is to know.
    fn until_settled(&mut self) -> Verdict {
        self.until_quiet()?;
        let settle_us = if self.faults.is_calm() { CALM_SETTLE_US } else { SETTLE_US };
        let mut late_us = self.now_us + settle_us;
        while let Some(open) = self.unsettled() {
            if self.now_us > late_us {
                return Err(format!("nobody does anything for {open}"));
            }
            self.step()?;
            if self.pending > 0 {
                self.until_quiet()?;
                late_us = self.now_us + settle_us;
            }
        }
        Ok(())
    }

    /// Some client that waits for something.
    fn unsettled(&self) -> Option<String> {
        if self.restarting_us.is_some() {
            return Some("a restart".to_owned());
        }
        let waits =
            |desk: &&Desk| desk.conn.is_some() && (desk.client.view().is_none() || desk.mute_in == Some(0));
        self.clients.iter().find(waits).map(|desk| format!("{:?} {}", desk.conn, desk.client.name()))
    }

    pub fn step(&mut self) -> Verdict {
        let ((at_us, _), happening) = self.queue.pop_first().ok_or("nothing will ever happen again")?;
        self.now_us = at_us;
        self.pending -= usize::from(!matches!(happening, Happening::Tick(_)));
        let late_us = if self.faults.is_calm() { self.last_job_us + CALM_END_US } else { END_US };
        if at_us > late_us {
            let open: Vec<String> = self
                .clients
                .iter()
                .filter(|desk| desk.conn.is_some() && desk.client.view().is_none())
                .map(|desk| desk.client.name())
                .collect();
            return Err(format!("work does not end: {open:?}"));
        }
        self.happen(happening)?;
        if std::mem::take(&mut self.fatal) {
            self.crash(false)?;
        }
        if let Some(since_us) = self.restarting_us {
            if self.nodes.iter().all(|node| node.drained) {
                self.crash(false)?;
            } else if self.now_us > since_us + DRAIN_US {
                return Err("a drain does not end".to_owned());
            }
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Tick(index) => {
                self.at(self.now_us + TICK_MS * 1_000, Happening::Tick(index));
                self.event(index, Event::Tick)
            }
            Happening::Shard(index, event) => self.reach_shard(index, event),
            Happening::Disk(index, id) => self.disk_done(index, id),
            Happening::ToServer(conn, bytes) => {
                if let Some(link) = self.net.link(conn) {
                    link.inbound.push_back(bytes);
                }
                self.pump(conn)
            }
            Happening::ToClient(conn, bytes) => self.reach_client(conn, &bytes),
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
            Happening::Restart => self.restart(),
            Happening::Administer(asked) => self.administer(asked),
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
    fn reach_shard(&mut self, index: usize, event: Event) -> Verdict {
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

    pub fn event(&mut self, index: usize, event: Event) -> Verdict {
        self.trace.event(self.now_us, index, &event);
        let now = self.now();
        self.nodes[index].shard.handle(now, event);
        self.carry_out(index)
    }

    pub fn carry_out(&mut self, index: usize) -> Verdict {
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
            Effect::Compression { conn, .. } => {
                if self.net.link(conn).is_some_and(|link| link.sending) {
                    return Err(format!("{conn:?} was to switch compression in the middle of a send"));
                }
            }
            Effect::Warm { conn, why, .. } => {
                let warmed = Event::Warmed { conn, why };
                self.after(self.faults.warm_us, Happening::Shard(index, warmed));
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
                self.reach_peer(index, to, Event::Arrived(session));
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
            Effect::Peer { to, message: Message::AdminReply { reply, ticket } } if to == CONTROL => {
                return self.on_admin_reply(index, ticket, reply);
            }
            Effect::Peer { to, message } => {
                let from = ShardId(index as u16);
                self.reach_peer(index, usize::from(to.0), Event::Peer { from, message });
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
    fn reach_peer(&mut self, from: usize, to: usize, event: Event) {
        let slow = self.rng.chance(self.faults.slow_peers);
        let most_us = if slow { SLOW_PEER_US } else { self.faults.peer_us };
        let at_us = self.now_us + self.rng.within(1..most_us + 2);
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
}
