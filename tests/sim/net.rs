//! A fake network: connections whose bytes arrive in odd pieces, late, or not at all.
//!
//! *Owns*: what is between a client and the shard that serves it. *Promises*: order within a direction; what
//! the runtime promises (one send at a time, nothing received while one is under way, none while moving or
//! in a handshake).
//! *Assumes*: the world schedules. *Never*: loses bytes of a connection that lives.

use std::collections::{BTreeMap, VecDeque};

use ringpost::shard::event::ConnId;

use crate::seeds::Rng;

/// How a connection treats its bytes.
#[derive(Clone, Debug)]
pub struct Temper {
    /// Largest piece that arrives at once, octets.
    pub piece_max: u64,
    /// Longest wait before a piece, microseconds.
    pub delay_us_max: u64,
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    pub client: usize,
    /// The shard that serves it.
    pub shard: usize,
    pub temper: Temper,
    /// Bytes at the server, not yet taken by the shard.
    pub inbound: VecDeque<Vec<u8>>,
    /// When the last scheduled piece of each direction arrives: later ones come after it.
    pub to_server_us: u64,
    pub to_client_us: u64,
    /// Why the shard may not receive at the moment.
    pub sending: bool,
    pub held: bool,
    pub moving: bool,
    pub handshake: bool,
    /// The client has closed its side: the shard hears of it after what was sent before.
    pub client_closed: bool,
    /// The shard has closed or has been told.
    pub server_closed: bool,
}

impl Link {
    /// Whether the shard can be given bytes.
    pub fn listens(&self) -> bool {
        !(self.sending || self.held || self.moving || self.handshake || self.server_closed)
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct Net {
    links: BTreeMap<ConnId, Link>,
    last: u64,
}

impl Net {
    pub fn open(&mut self, client: usize, shard: usize, temper: Temper, now_us: u64) -> ConnId {
        self.last += 1;
        let conn = ConnId(self.last);
        let link = Link {
            client,
            shard,
            temper,
            inbound: VecDeque::new(),
            to_server_us: now_us,
            to_client_us: now_us,
            sending: false,
            held: false,
            moving: false,
            handshake: false,
            client_closed: false,
            server_closed: false,
        };
        self.links.insert(conn, link);
        conn
    }

    pub fn link(&mut self, conn: ConnId) -> Option<&mut Link> {
        self.links.get_mut(&conn)
    }

    pub fn drop_link(&mut self, conn: ConnId) -> Option<Link> {
        self.links.remove(&conn)
    }

    /// Every connection breaks.
    pub fn cut_all(&mut self) -> Vec<(ConnId, Link)> {
        std::mem::take(&mut self.links).into_iter().collect()
    }
}

/// Cuts bytes into pieces, each with the moment at which it arrives, none before `not_before_us`.
pub fn pieces(
    rng: &mut Rng,
    temper: &Temper,
    now_us: u64,
    not_before_us: &mut u64,
    bytes: &[u8],
) -> Vec<(u64, Vec<u8>)> {
    let mut cut = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        // Mostly whole, sometimes crumbs; large texts never byte by byte, or nothing else would happen.
        let least = (rest.len() as u64 / 64).max(1);
        let most = temper.piece_max.max(least + 1);
        let size = (rng.within(least..most + 1) as usize).min(rest.len());
        let at = now_us.max(*not_before_us) + rng.within(1..temper.delay_us_max + 2);
        *not_before_us = at;
        cut.push((at, rest[..size].to_vec()));
        rest = &rest[size..];
    }
    cut
}
