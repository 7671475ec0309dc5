//! The shard: accounts and sessions of one core, as a value.
//!
//! *Owns*: the store, the sessions, the questions and deliveries under way. *Promises*: everything it does
//! is an [`event::Effect`]; the same events give the same effects. *Assumes*: one caller, who carries out
//! every effect in order and answers those that have an answer. *Never*: waits.
//!
//! This file only dispatches. Read [`event`] (all that can happen), then `flow` (how a session is driven),
//! `route` (where its outputs go), `delivery`, `commit` and `push` (how a message gets in and is told).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ringpost_engine::compact;
use ringpost_engine::ids::{Now, ShardId};
use ringpost_engine::owners::Owners;
use ringpost_engine::store::Store;

use crate::metrics::Counters;
use crate::proto::{Peer, Server, Session};
use crate::shard::event::{ConnId, Effect, Event};

pub mod admin;
mod admission;
mod commit;
pub mod damage;
mod delivery;
mod desk;
mod directory;
pub mod event;
mod flow;
mod outbox;
mod push;
mod route;
mod scrub;
pub mod session;
mod slots;
#[cfg(test)]
mod tests;
mod timers;

pub use desk::USUAL_MAILBOXES;

/// One core's share of the server.
pub struct Shard {
    id: ShardId,
    /// Who serves which slot, as far as this shard knows.
    owners: Owners,
    store: Store,
    server: Server,
    /// Makes a session; `session::open` but for tests of the shard alone.
    open: fn(Peer) -> Box<dyn Session>,
    /// Of the event being handled.
    now: Now,
    connections: BTreeMap<ConnId, Box<session::Connection>>,
    admission: admission::Admission,
    timers: timers::Timers,
    /// Sessions with a mailbox selected, by account.
    watchers: push::Sessions,
    /// Sessions logged in here, by account.
    users: push::Sessions,
    commits: commit::Commits,
    directory: directory::Directory,
    deliveries: delivery::Deliveries,
    desk: desk::Desk,
    scrub: scrub::Scrub,
    slots: slots::Slots,
    /// The last ticket given out.
    tickets: u64,
    /// Octets of messages being received, over all sessions.
    buffered: usize,
    /// Sessions to call in this turn, with the reason.
    wakes: VecDeque<(ConnId, flow::Wake)>,
    /// Sessions that put their work off.
    put_off: VecDeque<ConnId>,
    /// Connections whose output may be ready to leave.
    dirty: BTreeSet<ConnId>,
    effects: VecDeque<Effect>,
    counters: Counters,
    /// What compaction had done when it was told of last.
    compacted: compact::Done,
    running: Option<ConnId>,
    life: timers::Life,
    ready: bool,
    failed: bool,
    /// Until when refusals are counted but not logged, monotonic milliseconds.
    refusal_logged_ms: u64,
    /// How often somebody saw zeroes in the place of what cannot be read.
    bad_pages: fn() -> usize,
}

impl Shard {
    /// A shard that has just recovered. `shards` is how many there are in all. Shard 0 takes the list of
    /// domains from its store and tells the others; each says [`Effect::Ready`] once it knows.
    pub fn new(id: ShardId, shards: u16, store: Store, server: Server) -> Shard {
        let mut shard = Shard {
            id,
            owners: Owners::new(shards),
            store,
            server,
            open: session::open,
            now: Now::default(),
            connections: BTreeMap::new(),
            admission: admission::Admission::default(),
            timers: timers::Timers::default(),
            watchers: push::Sessions::default(),
            users: push::Sessions::default(),
            commits: commit::Commits::default(),
            directory: directory::Directory::default(),
            deliveries: delivery::Deliveries::default(),
            desk: desk::Desk::default(),
            scrub: scrub::Scrub::default(),
            slots: slots::Slots::default(),
            tickets: 0,
            buffered: 0,
            wakes: VecDeque::new(),
            put_off: VecDeque::new(),
            dirty: BTreeSet::new(),
            effects: VecDeque::new(),
            counters: Counters::default(),
            compacted: compact::Done::default(),
            running: None,
            life: timers::Life::Serving,
            ready: false,
            failed: false,
            refusal_logged_ms: 0,
            bad_pages: || 0,
        };
        shard.announce_slots();
        if id == ShardId(0) {
            shard.announce_domains();
        }
        shard.settle();
        shard
    }

    /// How often a page of the log that was looked at could not be read, and zeroes stood in: whose session saw them is
    /// not told what was made of them.
    pub fn watch_pages(&mut self, bad_pages: fn() -> usize) {
        self.bad_pages = bad_pages;
    }

    /// Takes one event in. Events about connections that are gone are passed over.
    pub fn handle(&mut self, now: Now, event: Event) {
        if self.failed {
            return;
        }
        self.now = now;
        self.running = None;
        match event {
            Event::Accepted { conn, service, address, tls } => self.on_accepted(conn, service, address, tls),
            Event::Received { conn, bytes } => self.on_received(conn, &bytes),
            Event::Sent { conn } => self.on_sent(conn),
            Event::TlsStarted { conn } => self.on_tls_started(conn),
            Event::Warmed { conn, why } if !why.more.is_empty() => self.warm_located(conn, why),
            Event::Warmed { conn, why } if why.to_send => self.unfold(conn),
            Event::Warmed { conn, .. } => self.on_warmed(conn),
            Event::Unreadable(what) => self.on_unreadable(&what),
            Event::Closed { conn, why } => self.on_closed(conn, &why),
            Event::Arrived(moved) => self.on_arrived(*moved),
            Event::Io { id, result } => self.on_io(id, result),
            Event::Verified { ticket, good } => self.on_verified(ticket, good),
            Event::Peer { from, message } => self.on_message(from, message),
            Event::Tick => self.on_tick(),
            Event::Turn => self.on_turn(),
            Event::Drain => self.on_drain(),
        }
        if !self.failed {
            self.settle();
        }
    }

    /// The next thing to do, in order. Ask until there is none.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether work was put off so that others come first. While true, the runtime calls
    /// `handle(now, Event::Turn)` as soon as every completion at hand has been handled, without waiting for
    /// the tick.
    pub fn has_work(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// The connection whose session is being called: some only after a panic unwound out of `handle`. The
    /// runtime then hands in `Closed` for it, and the shard goes on. None when the store was in the middle of
    /// a change: then nothing may go on.
    pub fn running(&self) -> Option<ConnId> {
        self.running.filter(|_| self.store.is_whole())
    }

    /// Whether a connection's session waits for an answer (a commit, a password check, another shard): a
    /// client that has ended its side still gets what it asked for.
    pub fn owes(&self, conn: ConnId) -> bool {
        self.connections.get(&conn).is_some_and(|connection| connection.owed > 0)
    }

    /// Read access, for the simulation's oracle and `status`.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What it counted since its start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Answers that somebody waits for: from here or from a peer.
    fn under_way(&self) -> usize {
        self.directory.under_way()
            + self.deliveries.under_way()
            + self.desk.under_way()
            + self.slots.under_way()
    }
}
