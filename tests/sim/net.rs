//! A fake network: connections whose bytes arrive in odd pieces, late, or not at all.
//!
//! *Owns*: what is between a client and the shard that serves it. *Promises*: order within a direction; what
//! the runtime promises (one send at a time, nothing received while one is under way, none while moving or
//! in a handshake).
//! *Assumes*: the world schedules. *Never*: loses bytes of a connection that lives.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ringpost::limits::{OUTPUT_BYTES_MAX, SEND_PIECES_MAX, SEND_STALL_MS};
use ringpost::shard::event::{CloseReason, ConnId, Event, Piece};

use crate::clients::{Client, Tools};
use crate::oracle::Verdict;
use crate::seeds::Rng;
use crate::world::{Desk, Happening, World};

/// Octets a session may add beyond its room in one step.
const STEP_BYTES: usize = 128 * 1024;

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
fn pieces(
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

impl World {
    pub fn begin_job(&mut self) -> Verdict {
        if self.nodes.iter().any(|node| !node.ready) || self.restarting_us.is_some() {
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
        let mute_in = self.rng.chance(self.faults.mute).then(|| self.rng.within(0..30));
        self.clients.push(Desk { client, conn: Some(conn), mute_in });
        if self.rng.chance(self.faults.cut) {
            self.after(3_000_000, Happening::Cut(conn.0));
        }
        let address = "192.0.2.7".to_owned();
        self.event(shard, Event::Accepted { conn, service, address, tls: false })
    }

    pub fn send(&mut self, index: usize, conn: ConnId, parts: Vec<Piece>) -> Verdict {
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
    pub fn pump(&mut self, conn: ConnId) -> Verdict {
        while let Some(link) = self.net.link(conn).filter(|link| link.listens()) {
            let shard = link.shard;
            if let Some(bytes) = link.inbound.pop_front() {
                self.event(shard, Event::Received { conn, bytes: Bytes::from(bytes) })?;
            } else if link.client_closed {
                if let Some(link) = self.net.drop_link(conn) {
                    self.clients[link.client].conn = None;
                }
                self.event(shard, Event::Closed { conn, why: CloseReason::Peer })?;
            } else {
                break;
            }
        }
        Ok(())
    }

    pub fn reach_client(&mut self, conn: ConnId, bytes: &[u8]) -> Verdict {
        let Some(link) = self.net.link(conn) else { return Ok(()) };
        let index = link.client;
        self.with_client(index, |client, tools| client.on_bytes(bytes, tools))
    }

    pub fn with_client(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut dyn Client, &mut Tools<'_>) -> Verdict,
    ) -> Verdict {
        let desk = &mut self.clients[index];
        let Some(conn) = desk.conn else { return Ok(()) };
        match &mut desk.mute_in {
            Some(0) => return Ok(()),
            Some(left) => *left -= 1,
            None => {}
        }
        let calm = self.faults.is_calm();
        let mut tools =
            Tools { rng: &mut self.rng, oracle: &mut self.oracle, calm, out: Vec::new(), hang_up: false };
        call(desk.client.as_mut(), &mut tools).map_err(|why| format!("{conn:?}: {why}"))?;
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

    pub fn server_gone(&mut self, conn: ConnId) -> Verdict {
        let Some(link) = self.net.drop_link(conn) else { return Ok(()) };
        let desk = &mut self.clients[link.client];
        desk.conn = None;
        if self.faults.is_calm() && !desk.client.is_done() {
            return Err(format!("{conn:?} was closed in the middle of {}", desk.client.name()));
        }
        Ok(())
    }

    pub fn cut(&mut self, conn: ConnId) -> Verdict {
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
}
