//! Where each output and each message goes.
//!
//! *Owns*: the two exhaustive matches over [`Output`] and [`Message`], and who owns an address.
//! *Promises*: what is owned here is answered here, in the same turn. *Assumes*: the table of owners is kept up to
//! date. *Never*: more than one step of work itself.

use ringpost_engine::ids::ShardId;
use ringpost_engine::io::Extent;
use ringpost_engine::octets::{Cold, Octets};

use crate::proto::{Output, Reply};
use crate::shard::Shard;
use crate::shard::event::{CloseReason, ConnId, Effect, Message, Warming};
use crate::shard::flow::Wake;
use crate::shard::session::Phase;

impl Shard {
    /// The shard that owns a normalised address.
    pub(super) fn owner(&self, address: &str) -> ShardId {
        self.owners.of(address)
    }

    /// Carries an output out or sets it on its way.
    pub(super) fn route(&mut self, id: ConnId, output: Output) {
        match output {
            Output::Bytes(bytes) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.outbox.push(bytes);
                }
            }
            Output::Octets(octets) => self.send_octets(id, octets),
            Output::AwaitCommit(lsn) => {
                self.owe(id);
                self.await_commit(id, lsn);
            }
            Output::Warm(octets) => {
                self.owe(id);
                self.warm(id, &octets, false);
            }
            Output::StartTls => self.enter(id, Phase::Upgrading),
            Output::StartCompression => self.enter(id, Phase::Switching { on: true }),
            Output::StopCompression => self.enter(id, Phase::Switching { on: false }),
            Output::Handoff { address } => self.hand_over(id, address),
            Output::Verify { hash, password } => {
                self.owe(id);
                self.verify_for_session(id, hash, password);
            }
            Output::Ask(ask) => {
                self.owe(id);
                self.ask(id, ask);
            }
            Output::Deliver(delivery) => {
                self.owe(id);
                self.deliver(id, *delivery);
            }
            Output::Yield => {
                self.owe(id);
                self.counters.yields += 1;
                self.put_off.push_back(id);
            }
            Output::Close => self.enter(id, Phase::Closing(CloseReason::Session)),
        }
    }

    /// Brings a session to the shard of an address; when that is in between shards, afterwards.
    pub(super) fn hand_over(&mut self, id: ConnId, address: String) {
        if self.is_still(&address) {
            self.owe(id);
            return self.slots.wait_for(id, address);
        }
        match self.owner(&address) {
            here if here == self.id => {
                self.owe(id);
                self.wakes.push_back((id, Wake::Reply(Reply::Arrived)));
            }
            _ => self.enter(id, Phase::Leaving(address)),
        }
    }

    fn enter(&mut self, id: ConnId, phase: Phase) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.phase = phase;
        }
    }

    fn send_octets(&mut self, id: ConnId, octets: Octets) {
        let extent = octets.as_sent();
        let bytes = extent.and_then(|extent| self.store.bytes(extent));
        match (extent, bytes, self.connections.get_mut(&id)) {
            (None, _, Some(connection)) => connection.outbox.push_folded(octets),
            (Some(extent), Some(bytes), Some(connection)) => connection.outbox.push_mapped(extent, bytes),
            (Some(_), None, Some(_)) => self.cannot_be_had(id, octets),
            (_, _, None) => {}
        }
    }

    /// The length of what was to be sent is announced already, so nothing sensible can follow.
    fn cannot_be_had(&mut self, id: ConnId, octets: Octets) {
        if let Some(extent) = octets.lies_in() {
            self.store.doubt(extent.file);
        }
        self.hang_up(id, CloseReason::Error(format!("no bytes at {octets:?}")));
    }

    /// Unfolds what was brought in, and sends as far as it is unfolded.
    pub(super) fn unfold(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.outbox.unfold(|octets| self.store.bytes(octets)) {
            Ok(()) => self.send(id),
            Err(octets) => self.cannot_be_had(id, octets),
        }
    }

    /// Has octets brought in. Of some that are in packs it has to be brought in first where they are.
    pub(super) fn warm(&mut self, id: ConnId, octets: &[Octets], to_send: bool) {
        let mut cold = Cold::default();
        octets.iter().for_each(|octets| self.store.kept(*octets, &mut cold));
        self.counters.warms += 1;
        self.bring_in(id, cold.extents, Warming { to_send, more: cold.unlocated });
    }

    /// Has those brought in of which it is known by now.
    pub(super) fn warm_located(&mut self, id: ConnId, why: Warming) {
        let mut cold = Cold::default();
        why.more.iter().for_each(|octets| self.store.located(*octets, &mut cold));
        self.bring_in(id, cold.extents, Warming { more: cold.unlocated, ..why });
    }

    fn bring_in(&mut self, id: ConnId, extents: Vec<Extent>, why: Warming) {
        if !self.connections.contains_key(&id) {
            return;
        }
        let mut views = Vec::with_capacity(extents.len());
        for extent in extents {
            match self.store.bytes(extent) {
                Some(bytes) => views.push((extent, bytes)),
                // Known to be unreadable since it was named: the session finds it so.
                None if !self.store.can_be_read(extent) => {}
                None => return self.hang_up(id, CloseReason::Error(format!("no bytes at {extent:?}"))),
            }
        }
        self.effects.push_back(Effect::Warm { conn: id, extents: views, why });
    }

    pub(super) fn on_message(&mut self, from: ShardId, message: Message) {
        match message {
            Message::Lookup { ticket, address } => {
                let found = self.look_up(&address);
                self.tell(from, Message::Found { ticket, found });
            }
            Message::Found { ticket, found } => self.on_found(ticket, found),
            Message::Authenticate { ticket, address, password, service } => {
                self.authenticate_for_peer(from, ticket, &address, password, service);
            }
            Message::Authenticated { ticket, good } => self.on_authenticated(ticket, good),
            Message::Deliver { ticket, parts, summary, accounts, internal_ms } => {
                self.store_part(from, ticket, parts, summary, accounts, internal_ms);
            }
            Message::Delivered { ticket, results } => self.on_part_done(ticket, from, results),
            Message::Domains(domains) => self.learn_domains(domains),
            Message::Slots(seats) => self.learn_slots(from, &seats),
            Message::Claim(claim) => self.claim_slot(from, *claim),
            Message::Claimed { slot, epoch, refused } => self.slot_claimed(slot, epoch, refused),
            Message::AccountGone(account) => self.end_sessions_of(account),
            Message::Admin { ticket, request } => self.on_admin(from, ticket, request),
            // Only the control thread asks for these; nobody waits for one here.
            Message::AdminReply { .. } => {}
        }
    }

    /// Says something to another shard.
    pub(super) fn tell(&mut self, to: ShardId, message: Message) {
        self.effects.push_back(Effect::Peer { to, message });
    }
}
