//! The loop around one shard: events in, effects out.
//!
//! *Owns*: the shard value, the events that wait for it, its connections' links. *Promises*: events of a
//! connection are handled in order; every effect is carried out or refused in the shard's own words; a panic
//! in a session ends that connection, any other ends the process (DESIGN, failure policy). *Assumes*: it
//! runs on the shard's thread.
//! *Never*: waits while an event is at hand.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use ringpost_engine::ids::{Now, ShardId};
use ringpost_engine::io::{IoId, IoRequest};
use rustls::server::ServerConfig;
use tokio::sync::{Semaphore, watch};

use super::clock::Clock;
use super::compress::Deflater;
use super::disk::Files;
use super::inbox::{Inbox, Moved, Outbox, Parcel, refusal};
use super::lines::Lines;
use super::link::{Link, Order};
use super::pump::{Layers, Pump, Start};
use super::running::{Milestone, Replies};
use super::verify::{Asked, Verifier};
use crate::limits::{LINGER_MS, OUTBOX_RETRY_MS, TICK_MS, TURN_EVENTS_MAX, TURNS_WITHOUT_RING_MAX};
use crate::log::{Level, Line};
use crate::shard::Shard;
use crate::shard::admin::AdminReply;
use crate::shard::event::{CONTROL, CloseReason, ConnId, Effect, Event, Message};
use crate::sys::buf::Buffers;
use crate::sys::socket::{Direction, shut};

/// One shard at work.
pub struct Core {
    /// Which shard.
    pub id: ShardId,
    /// Its folder.
    pub files: Files,
    /// Its receive buffers.
    pub buffers: Buffers,
    /// How many of them may be in use.
    pub receives: Arc<Semaphore>,
    /// TLS settings, if TLS is set up.
    pub tls: Option<Arc<ServerConfig>>,
    /// The process's clock.
    pub clock: Clock,
    /// What deflates for every connection.
    pub deflater: RefCell<Deflater>,
    /// The log.
    pub lines: Lines,
    pub(super) shard: RefCell<Shard>,
    pub(super) inbox: Inbox,
    pub(super) outbox: RefCell<Outbox>,
    pub(super) verifier: Verifier,
    pub(super) replies: Replies,
    /// Tells the starting thread how far this shard is.
    pub(super) milestones: std::sync::mpsc::Sender<(ShardId, Milestone)>,
    pub(super) life: Life,
}

/// Whether clients may come. Only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not yet: other shards recover.
    #[default]
    Starting,
    /// Yes.
    Open,
    /// Never again.
    Closed,
}

/// What changes while a core runs.
#[derive(Default)]
pub struct Life {
    events: RefCell<VecDeque<Event>>,
    /// Connections of the events of one turn; empty between turns.
    handled: RefCell<Vec<ConnId>>,
    waker: RefCell<Option<Waker>>,
    links: RefCell<HashMap<ConnId, Rc<Link>>>,
    /// Pumps that have not ended, lingering ones included.
    pumps: Cell<usize>,
    phase: watch::Sender<Phase>,
    /// The loop stops.
    ended: Cell<bool>,
    outbox_waits: Cell<bool>,
}

impl Core {
    /// Runs until [`Parcel::End`].
    pub async fn run(self: &Rc<Core>) {
        self.carry_out_effects();
        self.spawn(Core::take_parcels(self.clone()));
        self.spawn(Core::tick(self.clone()));
        let mut turns = 0;
        while !self.life.ended.get() {
            turns += 1;
            if self.turn() || turns >= TURNS_WITHOUT_RING_MAX {
                turns = 0;
                // Through the ring, so that what has been submitted leaves before the next turn.
                if let Err(error) = tokio_uring::no_op().await {
                    die(&format!("shard {}: the ring does not answer: {error}", self.id));
                }
            } else {
                self.next_event().await;
            }
        }
        self.end().await;
    }

    /// One batch of events and their effects. Says whether there is more to do at once.
    fn turn(self: &Rc<Core>) -> bool {
        let now = self.clock.now();
        let mut handled = self.life.handled.take();
        for _ in 0..TURN_EVENTS_MAX {
            let next = self.life.events.borrow_mut().pop_front();
            let Some(event) = next else { break };
            handled.extend(connection_of(&event));
            self.handle(now, event);
        }
        if self.life.events.borrow().is_empty() && self.shard.borrow().has_work() {
            self.handle(now, Event::Turn);
        }
        self.carry_out_effects();
        let links = self.life.links.borrow();
        for conn in handled.drain(..) {
            if let Some(link) = links.get(&conn) {
                link.handled();
            }
        }
        self.life.handled.replace(handled);
        !self.life.events.borrow().is_empty() || self.shard.borrow().has_work()
    }

    /// Hands one event to the shard. A panic in a session costs that connection only.
    fn handle(&self, now: Now, event: Event) {
        let mut shard = self.shard.borrow_mut();
        // The shard's contract: `running` tells whether its own state is whole after an unwind.
        if catch_unwind(AssertUnwindSafe(|| shard.handle(now, event))).is_ok() {
            return;
        }
        let Some(conn) = shard.running() else {
            die(&format!("shard {}: a panic outside a session, see above", self.id));
        };
        let line = Line::new(Level::Error, "session").with("conn", conn.0.to_string());
        self.lines.put(line.with("why", "a panic, see the error output; the connection is closed"));
        let why = CloseReason::Error("a panic in its session".to_owned());
        let told = catch_unwind(AssertUnwindSafe(|| shard.handle(now, Event::Closed { conn, why })));
        if told.is_err() {
            die(&format!("shard {}: a second panic while closing connection {}", self.id, conn.0));
        }
        if let Some(link) = self.life.links.borrow_mut().remove(&conn) {
            link.order(Order::Close);
        }
    }

    fn carry_out_effects(self: &Rc<Core>) {
        loop {
            let effect = self.shard.borrow_mut().poll_effect();
            match effect {
                Some(effect) => self.carry_out(effect),
                None => return,
            }
        }
    }

    fn carry_out(self: &Rc<Core>, effect: Effect) {
        match effect {
            Effect::Send { conn, pieces } => self.order(conn, Order::Send(pieces)),
            Effect::StartTls { conn } => self.order(conn, Order::StartTls),
            Effect::Compression { conn, on } => self.order(conn, Order::Compression(on)),
            Effect::Warm { conn, extents, why } => self.order(conn, Order::Warm { extents, why }),
            Effect::Close { conn, why: _ } => self.last_order(conn, Order::Close),
            Effect::Move { conn, to, session } => self.last_order(conn, Order::Move { to, session }),
            Effect::Receive { conn, on } => {
                if let Some(link) = self.life.links.borrow().get(&conn) {
                    link.set_receiving(on);
                }
            }
            Effect::Io { id, request } => self.spawn(Core::perform(self.clone(), id, request)),
            Effect::Verify { ticket, hash, password } => {
                let good = match self.verifier.ask(hash, password, ticket, &self.inbox) {
                    Asked::Queued => return,
                    Asked::Good => Some(true),
                    Asked::Full => None,
                };
                self.post(Event::Verified { ticket, good });
            }
            Effect::Peer { to, message } => self.send_message(to, message),
            Effect::Log(line) => self.lines.put(line),
            Effect::Ready => self.reached(Milestone::Ready),
            Effect::Drained => self.reached(Milestone::Drained),
            Effect::Fatal(why) => die(&format!("shard {}: {why}", self.id)),
        }
    }

    fn order(&self, conn: ConnId, order: Order) {
        if let Some(link) = self.life.links.borrow().get(&conn) {
            link.order(order);
        }
    }

    /// The shard does not know the connection any more.
    fn last_order(&self, conn: ConnId, order: Order) {
        if let Some(link) = self.life.links.borrow_mut().remove(&conn) {
            link.order(order);
        }
    }

    fn send_message(&self, to: ShardId, message: Message) {
        match message {
            Message::AdminReply { ticket, mut reply } if to == CONTROL => {
                if let AdminReply::Status(figures) = &mut reply {
                    figures.extend(self.files.latency.figures(self.files.now_us()));
                }
                self.replies.answer(ticket, reply);
            }
            message if to == self.id => self.post(Event::Peer { from: to, message }),
            message => self.send_parcel(to, Parcel::Peer { from: self.id, message }),
        }
    }

    /// Sends a parcel, or refuses it where its bound is reached.
    pub fn send_parcel(&self, to: ShardId, parcel: Parcel) {
        let sent = self.outbox.borrow_mut().send(to, parcel);
        self.life.outbox_waits.set(true);
        let Err(parcel) = sent else { return };
        let line = Line::new(Level::Warn, "inbox").with("full", to.to_string());
        match *parcel {
            Parcel::Peer { message, .. } => {
                if let Some(answer) = refusal(&message) {
                    self.post(Event::Peer { from: to, message: answer });
                }
            }
            Parcel::Moved(moved) => {
                self.lines.put(line.with("lost_connection", moved.conn.0.to_string()));
                shut(&moved.socket, Direction::Both);
            }
            _ => self.lines.put(line),
        }
    }

    /// An event without a connection.
    pub fn post(&self, event: Event) {
        self.life.events.borrow_mut().push_back(event);
        self.wake();
    }

    /// An event of a connection. False: the shard has let go of it.
    pub fn post_for(&self, link: &Rc<Link>, event: Event) -> bool {
        let known = self.life.links.borrow().contains_key(&link.conn);
        if known {
            link.posted();
            self.post(event);
        }
        known
    }

    /// A connection begins here.
    pub fn attach(&self, link: &Rc<Link>, event: Event) {
        if self.life.ended.get() {
            return link.order(Order::Close);
        }
        self.life.links.borrow_mut().insert(link.conn, link.clone());
        self.post_for(link, event);
    }

    /// A connection broke: the shard is told unless it has let go of it.
    pub fn broken(&self, link: &Link, why: CloseReason) {
        if self.life.links.borrow_mut().remove(&link.conn).is_some() {
            self.post(Event::Closed { conn: link.conn, why });
        }
    }

    /// Whether a client that has ended its side still has an answer to come.
    pub fn owes(&self, conn: ConnId) -> bool {
        self.shard.borrow().owes(conn)
    }

    /// A client that never came to a session.
    pub fn never_accepted(&self, conn: ConnId, address: &str, why: &CloseReason) {
        let line = Line::new(Level::Warn, "connection")
            .with("conn", conn.0.to_string())
            .with("client", address.to_owned());
        self.lines.put(line.with("end", why.to_string()));
    }

    /// Runs a connection's pump.
    pub fn spawn_pump(self: &Rc<Core>, link: Link, layers: Layers, start: Start) {
        if self.life.ended.get() {
            shut(&link.socket, Direction::Both);
            return;
        }
        self.life.pumps.set(self.life.pumps.get() + 1);
        let pump = Pump::new(self.clone(), Rc::new(link), layers);
        let core = self.clone();
        self.spawn(async move {
            pump.run(start).await;
            core.life.pumps.set(core.life.pumps.get() - 1);
        });
    }

    /// Runs a task on this thread. A panic in it is a fault of the runtime: it ends the process.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // Boxed, because a future that only awaits another would hold room for it twice.
        let task = Box::pin(task);
        tokio_uring::spawn(async move {
            let alarm = Alarm;
            task.await;
            std::mem::forget(alarm);
        });
    }

    /// Waits until the core has come to `phase` or beyond, and says where it is.
    pub async fn reached_phase(&self, phase: Phase) -> Phase {
        let mut watched = self.life.phase.subscribe();
        let reached = watched.wait_for(|now| *now >= phase).await;
        reached.map_or(Phase::Closed, |now| *now)
    }

    async fn perform(self: Rc<Core>, id: IoId, request: IoRequest) {
        let result = self.files.perform(request).await;
        self.post(Event::Io { id, result });
    }

    async fn tick(self: Rc<Core>) {
        while !self.life.ended.get() {
            tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
            self.files.forget_recent();
            self.files
                .latency
                .look(self.id, self.files.now_us())
                .into_iter()
                .for_each(|line| self.lines.put(line));
            self.post(Event::Tick);
        }
    }

    async fn take_parcels(self: Rc<Core>) {
        while !self.life.ended.get() {
            self.take_parcel(*self.inbox.next().await);
        }
    }

    fn take_parcel(self: &Rc<Core>, parcel: Parcel) {
        match parcel {
            Parcel::Peer { from, message } => self.post(Event::Peer { from, message }),
            Parcel::Verified { ticket, good } => self.post(Event::Verified { ticket, good: Some(good) }),
            Parcel::Moved(moved) => {
                let Moved { conn, socket, layers, session } = *moved;
                self.spawn_pump(Link::new(conn, socket), layers, Start::Arrived(session));
            }
            Parcel::Open => self.enter(Phase::Open),
            Parcel::Drain => {
                self.enter(Phase::Closed);
                self.post(Event::Drain);
            }
            Parcel::End => {
                self.enter(Phase::Closed);
                self.life.ended.set(true);
                self.wake();
            }
        }
    }

    fn enter(&self, phase: Phase) {
        self.life.phase.send_modify(|now| *now = phase.max(*now));
    }

    /// Waits for an event, and for a full inbox of another shard to have room again.
    async fn next_event(&self) {
        let waiting = poll_fn(|context| {
            if !self.life.events.borrow().is_empty() || self.life.ended.get() {
                return Poll::Ready(());
            }
            *self.life.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        });
        if self.life.outbox_waits.get() && self.outbox.borrow_mut().retry() {
            // Elapsing is the point: the next turn tries again.
            tokio::time::timeout(Duration::from_millis(OUTBOX_RETRY_MS), waiting).await.unwrap_or_default();
        } else {
            self.life.outbox_waits.set(false);
            waiting.await;
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.life.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn reached(&self, milestone: Milestone) {
        // Nobody listens any more only when the process is leaving.
        if self.milestones.send((self.id, milestone)).is_err() {
            self.life.ended.set(true);
        }
    }

    /// Ends every connection and waits for the pumps.
    async fn end(&self) {
        for (_, link) in self.life.links.borrow_mut().drain() {
            shut(&link.socket, Direction::Both);
            link.order(Order::Close);
        }
        let steps = LINGER_MS.div_ceil(TICK_MS) + 5;
        for _ in 0..steps {
            if self.life.pumps.get() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(TICK_MS)).await;
        }
    }
}

/// Ends the process when its thread unwinds past it.
pub struct Alarm;

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            die("a panic in the runtime, see above");
        }
    }
}

/// Ends the process at once; recovery is the tested way back.
pub fn die(why: &str) -> ! {
    eprintln!("ringpost: {why}: stopping at once; start again to recover");
    std::process::abort();
}

fn connection_of(event: &Event) -> Option<ConnId> {
    match event {
        Event::Accepted { conn, .. }
        | Event::Received { conn, .. }
        | Event::Sent { conn }
        | Event::TlsStarted { conn }
        | Event::Warmed { conn, .. } => Some(*conn),
        Event::Arrived(moved) => Some(ConnId(moved.peer.conn)),
        Event::Closed { .. }
        | Event::Unreadable(_)
        | Event::Io { .. }
        | Event::Verified { .. }
        | Event::Peer { .. }
        | Event::Tick
        | Event::Turn
        | Event::Drain => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Line;
    use crate::proto::Service;
    use crate::runtime::listen::{self, Common, Door};
    use crate::runtime::verify::Pool;
    use crate::runtime::{Listener, LogSink, ring};
    use crate::sys::cpu::Cores;
    use crate::sys::socket;
    use ringpost_engine::store::{Options, Store};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    fn core(
        data: &std::path::Path,
        inbox: &Inbox,
        pool: &Pool,
        lines: Lines,
    ) -> (Core, Receiver<(ShardId, Milestone)>) {
        let (told, milestones) = channel();
        let cores = Cores::of_this_thread().expect("affinity");
        let mut files = Files::new(data, ShardId(0), cores).expect("a folder");
        let options = Options { segment_bytes: 8 << 20, ..Options::new(ShardId(0), 7) };
        let (store, _) = Store::open(&mut files, options, Now::default()).expect("a new store");
        let core = Core {
            id: ShardId(0),
            files,
            buffers: Buffers::new(4096, 4),
            receives: Arc::new(Semaphore::new(4)),
            tls: None,
            clock: Clock::start(),
            deflater: RefCell::default(),
            lines,
            shard: RefCell::new(Shard::of_scripts(store)),
            inbox: inbox.clone(),
            outbox: RefCell::new(Outbox::new(std::slice::from_ref(inbox))),
            verifier: pool.verifier(),
            replies: Replies::default(),
            milestones: told,
            life: Life::default(),
        };
        (core, milestones)
    }

    fn say(client: &mut BufReader<TcpStream>, line: &str) {
        client.get_mut().write_all(line.as_bytes()).expect("sent");
    }

    fn heard(client: &mut BufReader<TcpStream>) -> String {
        let mut line = String::new();
        client.read_line(&mut line).expect("a line in time");
        line
    }

    /// Two clients are in when the session of one panics.
    fn talk(address: SocketAddr) {
        let connect = || {
            let stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
            let mut client = BufReader::new(stream);
            assert_eq!(heard(&mut client), "hello\n");
            client
        };
        let (mut bad, mut good) = (connect(), connect());
        say(&mut bad, "say before\n");
        assert_eq!(heard(&mut bad), "before\n");
        say(&mut bad, "panic\n");
        assert_eq!(bad.read(&mut [0; 16]).expect("an end, not an error"), 0);
        say(&mut good, "say still here\n");
        assert_eq!(heard(&mut good), "still here\n");
        drop(connect());
    }

    /// Runs a shard of scripts with `clients` on it, and gives back its log.
    fn serve(clients: fn(SocketAddr)) -> Vec<Line> {
        let data = tempfile::tempdir().expect("a folder");
        let seen: Arc<Mutex<Vec<Line>>> = Arc::default();
        let sink_seen = seen.clone();
        let sink: LogSink =
            Arc::new(move |lines: &[Line]| sink_seen.lock().expect("the list").extend_from_slice(lines));
        let (lines, writer) = Lines::start(sink).expect("a thread");
        let (inbox, pool) = (Inbox::new().expect("a bell"), Pool::start(1).expect("a thread"));
        let socket = socket::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false).expect("a port");
        let address = socket.local_addr().expect("bound");
        socket::listen(&socket, 16).expect("listening");
        let door =
            Door { listener: Listener { address, service: Service::Imap, implicit_tls: false }, socket };
        let (core, milestones) = core(data.path(), &inbox, &pool, lines);
        inbox.put_patiently(Parcel::Open);
        let clients = std::thread::spawn(move || {
            let talked = catch_unwind(AssertUnwindSafe(|| clients(address)));
            inbox.put_patiently(Parcel::End);
            talked
        });
        let ended = ring::run(async move {
            let core = Rc::new(core);
            core.spawn(listen::serve(core.clone(), door, Common::new(1_000)));
            core.run().await;
        });
        ended.expect("nothing is left under way");
        assert_eq!(milestones.try_iter().map(|(_, told)| told).collect::<Vec<_>>(), [Milestone::Ready]);
        let talked = clients.join().expect("the clients' thread");
        writer.join();
        talked.expect("the clients heard what they should");
        std::mem::take(&mut *seen.lock().expect("the list"))
    }

    /// What one client looks at is in memory already, again and again; another one says something.
    fn talk_beside_busy_one(address: SocketAddr) {
        let connect = || {
            let stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
            BufReader::new(stream)
        };
        let (mut busy, mut good) = (connect(), connect());
        assert_eq!(heard(&mut busy), "hello\n");
        assert_eq!(heard(&mut good), "hello\n");
        // Seconds of it; each answer would take as long as the time to the next tick.
        say(&mut busy, "warm 200000\nsay done\n");
        for _ in 0..100 {
            say(&mut good, "say still here\n");
            assert_eq!(heard(&mut good), "still here\n");
        }
        busy.get_ref().set_nonblocking(true).expect("an option");
        let still_busy = busy.fill_buf().map(<[u8]>::len).map_err(|error| error.kind());
        assert_eq!(still_busy, Err(std::io::ErrorKind::WouldBlock));
    }

    #[test]
    fn sessions_that_need_nothing_of_the_ring_leave_it_to_the_others() {
        serve(talk_beside_busy_one);
    }

    #[test]
    fn a_panic_in_a_session_costs_its_client_the_connection_and_nobody_else_anything() {
        let seen = serve(talk);
        let ends: Vec<_> = seen.iter().filter(|line| line.event == "session").collect();
        assert!(matches!(ends[..], [line] if line.level == Level::Error), "{seen:?}");
    }
}
