//! Sessions at work: callbacks in, outputs out.
//!
//! *Owns*: the order in which a session is called and its output leaves. *Promises*: a session is fed only
//! when it waits for nothing and its output is out; all that one event brings a client leaves in one send.
//! *Assumes*: sessions keep the contract of `proto`. *Never*: knows a protocol.
//!
//! ```text
//!  event ─► wakes ─► call ─► outputs ─► route (more wakes) … until none is left ─► flush ─► effects
//! ```

use bytes::Bytes;

use crate::limits::{INPUT_HELD_BYTES_MAX, OUTPUT_BYTES_MAX, TURN_SESSIONS_MAX};
use crate::log::{Level, Line};
use crate::proto::{Committed, Cx, Input, Output, Peer, Reply, Service, Session};
use crate::shard::Shard;
use crate::shard::admission::refusal;
use crate::shard::event::{CloseReason, ConnId, Effect, Piece};
use crate::shard::session::{Connection, MovedSession, Phase};
use crate::shard::timers::Life;

/// A reason to call a session.
#[derive(Debug)]
pub(super) enum Wake {
    /// It is new here.
    Start,
    /// Bytes came.
    Feed,
    /// A commit it waits for.
    Commit(Committed),
    /// An answer it waits for.
    Reply(Reply),
    /// Room, warmth or its turn.
    Resume,
    /// Its account changed.
    Push,
    /// Its client is silent.
    Timeout,
    /// The server is stopping.
    Drain,
    /// Its account is served by another shard now.
    Depart,
}

impl Shard {
    pub(super) fn on_accepted(&mut self, conn: ConnId, service: Service, address: String, tls: bool) {
        // Before it knows the domains it would call its own users strangers.
        let serving = self.ready && self.life == Life::Serving;
        if !serving || !self.admission.allows(&address) {
            self.refuse(conn, service, &address);
            return;
        }
        self.counters.connections += 1;
        let peer = Peer { conn: conn.0, address, service, tls, opened_ms: self.now.unix_ms };
        let moved = MovedSession {
            session: (self.open)(peer.clone()),
            input: Input::new(),
            peer,
            seeks: String::new(),
            bytes_in: 0,
            bytes_out: 0,
        };
        self.install(conn, moved);
        self.wakes.push_back((conn, Wake::Start));
    }

    fn refuse(&mut self, conn: ConnId, service: Service, address: &str) {
        self.counters.connections_refused += 1;
        // Whoever floods the listener must not flood the log.
        if self.now.mono_ms >= self.refusal_logged_ms {
            self.refusal_logged_ms = self.now.mono_ms + crate::limits::REFUSAL_LOG_MS;
            let line = Line::new(Level::Warn, "refused").with("address", address);
            self.effects
                .push_back(Effect::Log(line.with("total", self.counters.connections_refused.to_string())));
        }
        let pieces = vec![Piece::Bytes(Bytes::from_static(refusal(service)))];
        self.effects.push_back(Effect::Send { conn, pieces });
        self.effects.push_back(Effect::Close { conn, why: CloseReason::Refused });
    }

    pub(super) fn on_arrived(&mut self, moved: MovedSession) {
        self.counters.sessions_arrived += 1;
        let (conn, address) = (ConnId(moved.peer.conn), moved.seeks.clone());
        self.install(conn, moved);
        // It may have gone on while the session was on its way.
        self.hand_over(conn, address);
        self.dirty.insert(conn);
        if self.life != Life::Serving {
            self.wakes.push_back((conn, Wake::Drain));
        }
    }

    fn install(&mut self, conn: ConnId, moved: MovedSession) {
        self.admission.enter(&moved.peer.address);
        self.connections.insert(conn, Box::new(Connection::new(moved, self.now)));
    }

    pub(super) fn on_received(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.active_ms = self.now.mono_ms;
        connection.bytes_in += bytes.len() as u64;
        self.counters.bytes_in += bytes.len() as u64;
        match connection.phase {
            Phase::Open | Phase::Leaving(_) => {
                connection.input.extend(bytes);
                self.wakes.push_back((id, Wake::Feed));
            }
            // What came in the clear behind STARTTLS must not be taken for what comes under TLS (rfc3207#6).
            Phase::Upgrading | Phase::Handshaking => {
                self.hang_up(id, CloseReason::Tls("bytes behind STARTTLS".to_owned()));
            }
            // The runtime receives nothing before it has switched; whoever does has taken one for the other.
            Phase::Switching { .. } => {
                self.hang_up(id, CloseReason::Compression("bytes while it is switched".to_owned()));
            }
            Phase::Closing(_) => {}
        }
    }

    pub(super) fn on_sent(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.sending = false;
        connection.active_ms = self.now.mono_ms;
        self.dirty.insert(id);
        if !connection.outbox.is_empty() {
            return;
        }
        if std::mem::take(&mut connection.pushed) {
            self.wakes.push_back((id, Wake::Push));
        }
        if connection.owed == 0 {
            self.wakes.push_back((id, Wake::Resume));
        }
    }

    pub(super) fn on_tls_started(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if matches!(connection.phase, Phase::Handshaking) {
            connection.phase = Phase::Open;
            connection.peer.tls = true;
            connection.active_ms = self.now.mono_ms;
            connection.owed += 1;
            self.wakes.push_back((id, Wake::Reply(Reply::TlsStarted)));
        }
    }

    pub(super) fn on_warmed(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.owed = connection.owed.saturating_sub(1);
            self.wakes.push_back((id, Wake::Resume));
        }
    }

    pub(super) fn on_turn(&mut self) {
        for _ in 0..self.put_off.len().min(TURN_SESSIONS_MAX) {
            let Some(id) = self.put_off.pop_front() else { break };
            self.on_warmed(id);
        }
    }

    /// Notes that a session waits for one more answer.
    pub(super) fn owe(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.owed += 1;
        }
    }

    /// Runs every wake there is, those that they cause included, then lets the output go.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some((id, wake)) = self.wakes.pop_front() {
                self.wake(id, wake);
            }
            if self.failed {
                return;
            }
            let Some(id) = self.dirty.pop_first() else { break };
            self.flush(id);
        }
        while let Some((id, request)) = self.store.poll_io() {
            self.effects.push_back(Effect::Io { id, request });
        }
        self.tend_leaving();
        self.check_drained();
    }

    fn wake(&mut self, id: ConnId, wake: Wake) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if !connection.is_open() {
            return;
        }
        match wake {
            Wake::Feed => {}
            Wake::Start => self.call(id, |session, _, cx| session.start(cx)),
            Wake::Commit(commit) => {
                connection.owed = connection.owed.saturating_sub(1);
                self.call(id, |session, _, cx| session.on_commit(commit, cx));
            }
            Wake::Reply(reply) => {
                connection.owed = connection.owed.saturating_sub(1);
                self.call(id, |session, _, cx| session.on_reply(reply, cx));
            }
            // `Sent` comes back to both.
            Wake::Resume if connection.sending => return,
            Wake::Push if connection.sending => {
                connection.pushed = true;
                return;
            }
            Wake::Resume => {
                let room = OUTPUT_BYTES_MAX.saturating_sub(connection.outbox.held());
                self.call(id, |session, _, cx| session.resume(room, cx));
            }
            Wake::Push => self.call(id, |session, _, cx| session.on_push(cx)),
            Wake::Timeout => self.call(id, |session, _, cx| session.on_timeout(cx)),
            Wake::Drain => self.call(id, |session, _, cx| session.on_drain(cx)),
            Wake::Depart => self.call(id, |session, _, cx| session.on_depart(cx)),
        }
        self.advance(id);
    }

    /// Calls a session with what it may see.
    fn call(&mut self, id: ConnId, f: impl FnOnce(&mut dyn Session, &mut Input, &mut Cx<'_>)) {
        let crowded = self.buffered >= crate::limits::BUFFERED_MESSAGE_BYTES_MAX;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (bad_pages, bodies) = ((self.bad_pages)(), self.store.bodies_queued());
        let mut cx = Cx { store: &mut self.store, now: self.now, server: &self.server, crowded };
        self.running = Some(id);
        f(connection.session.as_mut(), &mut connection.input, &mut cx);
        self.running = None;
        if (self.bad_pages)() != bad_pages {
            self.saw_bad_page(id, self.store.bodies_queued() != bodies);
        }
    }

    /// A session looked at zeroes in the place of what cannot be read.
    fn saw_bad_page(&mut self, id: ConnId, copied: bool) {
        if copied {
            // It may have been the copy of a message that it made; nothing of it has been written.
            return self.fail("a page of a message that was being copied cannot be read".to_owned());
        }
        self.hang_up(id, CloseReason::Error("a page of the log cannot be read".to_owned()));
    }

    /// Takes outputs and feeds in turn, until the session waits, its output bound is reached or its input is
    /// used up.
    fn advance(&mut self, id: ConnId) {
        loop {
            self.take_outputs(id);
            let Some(connection) = self.connections.get(&id) else { return };
            let before = connection.input.len();
            let may_feed = connection.is_open()
                && connection.owed == 0
                && !self.is_kept_back(connection)
                && !connection.sending
                && connection.outbox.held() < OUTPUT_BYTES_MAX;
            if before == 0 || !may_feed {
                break;
            }
            self.call(id, |session, input, cx| session.feed(input, cx));
            if self.connections.get(&id).is_some_and(|connection| connection.input.len() == before) {
                self.take_outputs(id);
                break;
            }
        }
        self.dirty.insert(id);
        self.keep_books(id);
    }

    fn take_outputs(&mut self, id: ConnId) {
        while let Some(output) = self.next_output(id) {
            self.route(id, output);
        }
    }

    fn next_output(&mut self, id: ConnId) -> Option<Output> {
        let connection = self.connections.get_mut(&id)?;
        if !connection.is_open() {
            return None;
        }
        self.running = Some(id);
        let output = connection.session.poll_output();
        self.running = None;
        output
    }

    /// Brings what the shard has on record about a session up to date.
    fn keep_books(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (watches, account) = (connection.session.watches(), connection.session.account());
        self.watchers.change(id, std::mem::replace(&mut connection.watching, watches), watches);
        self.users.change(id, std::mem::replace(&mut connection.account, account), account);
        let buffered = connection.session.buffered();
        self.buffered += buffered;
        self.buffered -= std::mem::replace(&mut connection.buffered, buffered);
        let full = connection.input.len() >= INPUT_HELD_BYTES_MAX;
        let receiving = !(full && (connection.owed > 0 || connection.sending || !connection.is_open()));
        if receiving != std::mem::replace(&mut connection.receiving, receiving) {
            self.effects.push_back(Effect::Receive { conn: id, on: receiving });
        }
        self.arm(id);
    }

    /// Hands over what is queued; when nothing is, carries out what waited for that.
    fn flush(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.sending {
            return;
        }
        if !connection.outbox.is_empty() {
            connection.sending = true;
            let folded = connection.outbox.next_to_unfold();
            return if folded.is_empty() { self.send(id) } else { self.warm(id, &folded, true) };
        }
        match &connection.phase {
            Phase::Open | Phase::Handshaking => {}
            Phase::Upgrading => {
                connection.phase = Phase::Handshaking;
                self.effects.push_back(Effect::StartTls { conn: id });
            }
            Phase::Switching { on } => {
                self.effects.push_back(Effect::Compression { conn: id, on: *on });
                connection.phase = Phase::Open;
                self.wakes.push_back((id, Wake::Feed));
                if self.life != Life::Serving {
                    self.wakes.push_back((id, Wake::Drain));
                }
            }
            Phase::Leaving(address) => {
                let address = address.clone();
                self.send_off(id, address);
            }
            Phase::Closing(why) => {
                let why = why.clone();
                self.hang_up(id, why);
            }
        }
    }

    /// Hands over what is ready.
    pub(super) fn send(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let (pieces, made, mapped) = connection.outbox.take();
        connection.bytes_out += (made + mapped) as u64;
        self.counters.bytes_out_made += made as u64;
        self.counters.bytes_out_mapped += mapped as u64;
        self.counters.sends += 1;
        self.effects.push_back(Effect::Send { conn: id, pieces });
    }

    fn send_off(&mut self, id: ConnId, address: String) {
        let to = self.owner(&address);
        if to == self.id {
            // It came here meanwhile.
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.phase = Phase::Open;
            }
            return self.hand_over(id, address);
        }
        let Some(connection) = self.remove(id) else { return };
        self.counters.sessions_moved += 1;
        let session = Box::new(connection.into_moved(address));
        self.effects.push_back(Effect::Move { conn: id, to, session });
    }

    /// Ends a connection now; what is still queued is lost.
    pub(super) fn hang_up(&mut self, id: ConnId, why: CloseReason) {
        let Some(mut connection) = self.remove(id) else { return };
        self.end(id, &mut connection, &why);
        self.effects.push_back(Effect::Close { conn: id, why });
    }

    pub(super) fn on_closed(&mut self, id: ConnId, why: &CloseReason) {
        if let CloseReason::Unreadable(what) = why {
            self.on_unreadable(what);
        }
        if let Some(mut connection) = self.remove(id) {
            self.end(id, &mut connection, why);
        }
    }

    fn end(&mut self, id: ConnId, connection: &mut Connection, why: &CloseReason) {
        let mut cx = Cx { store: &mut self.store, now: self.now, server: &self.server, crowded: false };
        self.running = Some(id);
        connection.session.on_end(&mut cx);
        self.running = None;
        self.log_end(connection, why);
    }

    /// Takes a connection out of every record.
    fn remove(&mut self, id: ConnId) -> Option<Connection> {
        let connection = *self.connections.remove(&id)?;
        self.admission.leave(&connection.peer.address);
        self.watchers.change(id, connection.watching, None);
        self.users.change(id, connection.account, None);
        self.timers.set(id, connection.armed_ms, None);
        self.buffered -= connection.buffered;
        Some(connection)
    }

    fn log_end(&mut self, connection: &Connection, why: &CloseReason) {
        let level = match why {
            CloseReason::Peer | CloseReason::Session | CloseReason::Stopping => Level::Info,
            _ => Level::Warn,
        };
        let peer = &connection.peer;
        let ms = self.now.unix_ms.saturating_sub(peer.opened_ms);
        let mut line = Line::new(level, "connection")
            .with("conn", peer.conn.to_string())
            .with("service", peer.service.name())
            .with("client", peer.address.clone())
            .with("tls", if peer.tls { "yes" } else { "no" });
        line.fields.extend(connection.session.facts());
        let line = line
            .with("bytes_in", connection.bytes_in.to_string())
            .with("bytes_out", connection.bytes_out.to_string())
            .with("duration_ms", ms.to_string())
            .with("end", why.to_string());
        self.effects.push_back(Effect::Log(line));
    }
}
