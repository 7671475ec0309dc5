//! The shard: accounts and sessions of one core, as a value.
//!
//! *Owns*: the store, the sessions, the questions and deliveries under way. *Promises*: everything it does is an
//! [`event::Effect`]; the same events give the same effects. *Assumes*: one caller. *Never*: waits.

use ringpost_engine::ids::{Now, ShardId};
use ringpost_engine::store::Store;

use crate::proto::Server;

pub mod admin;
pub mod event;
pub mod session;

/// One core's share of the server.
pub struct Shard {
    _private: (),
}

impl Shard {
    /// A shard that has just recovered. `shards` is how many there are in all.
    pub fn new(id: ShardId, shards: u16, store: Store, server: Server) -> Shard {
        let _ = (id, shards, store, server);
        todo!()
    }

    /// Takes one event in.
    pub fn handle(&mut self, now: Now, event: event::Event) {
        let _ = (now, event);
        todo!()
    }

    /// The next thing to do, in order. Ask until there is none.
    pub fn poll_effect(&mut self) -> Option<event::Effect> {
        todo!()
    }

    /// Whether work was put off so that others come first. While true, the runtime calls
    /// `handle(now, Event::Turn)` as soon as every completion at hand has been handled, without waiting for the tick.
    pub fn has_work(&self) -> bool {
        todo!()
    }

    /// The connection whose session is being called: some only after a panic unwound out of `handle`. The runtime
    /// then hands in `Closed` for it, and the shard goes on.
    pub fn running(&self) -> Option<event::ConnId> {
        todo!()
    }

    /// Read access, for the simulation's oracle and `status`.
    pub fn store(&self) -> &Store {
        todo!()
    }
}
