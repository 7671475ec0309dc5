//! What goes wrong in a run.
//!
//! *Owns*: the choice of faults. *Promises*: each seed switches every kind on or off by itself (swarm), so
//! that some runs are all storm and some test one thing; every fourth is calm. *Assumes*: the world carries
//! them out.
//! *Never*: does more than the disk's fault model (engine/README.md) and a real network allow.

use crate::net::Temper;
use crate::seeds::Rng;

/// Kinds of faults and their measure; 0 is off.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Largest piece of a stream, octets.
    pub piece_max: u64,
    /// Longest delay of a piece, of a message between shards, of a password check, of warming, microseconds.
    pub net_us: u64,
    pub peer_us: u64,
    pub verify_us: u64,
    pub warm_us: u64,
    pub disk_us: u64,
    /// Password checks refused for want of room, percent.
    pub verify_busy: u64,
    /// Connections that break at some time, percent.
    pub cut: u64,
    /// Clients that stop reading, percent of sends.
    pub deaf: u64,
    /// Messages between shards that take minutes, percent.
    pub slow_peers: u64,
    /// Clients that fall silent at some time, percent.
    pub mute: u64,
    /// Times the server is restarted politely.
    pub restarts: u64,
    /// Times the power fails, and times only the process dies.
    pub power_cuts: u64,
    pub kills: u64,
    /// Recoveries that are cut off themselves, percent.
    pub recovery_cuts: u64,
    /// One disk request in so many fails for good.
    pub eio_one_in: u64,
    /// Times a disk is full for a while.
    pub full_disks: u64,
    /// Times an account is deleted in the middle of its work.
    pub deletions: u64,
    /// Times a durable octet has rotted.
    pub rot: u64,
}

impl Faults {
    /// Nothing fails; streams still come in pieces and everything takes its time.
    pub fn none(rng: &mut Rng) -> Faults {
        Faults {
            piece_max: *rng.pick(&[1, 7, 100, 1_460, 65_536]),
            net_us: *rng.pick(&[50, 1_000]),
            peer_us: 20,
            verify_us: 5_000,
            warm_us: 200,
            disk_us: *rng.pick(&[100, 2_000]),
            ..Faults::default()
        }
    }

    /// The swarm's choice.
    pub fn of(rng: &mut Rng) -> Faults {
        let mut faults = Faults::none(rng);
        if rng.chance(25) {
            return faults;
        }
        let mut on = |amount: u64| if rng.chance(40) { amount } else { 0 };
        faults.net_us += on(200_000);
        faults.peer_us += on(500_000);
        // So slow that questions and deliveries run out of time.
        faults.slow_peers = on(1);
        faults.verify_us += on(1_000_000);
        faults.warm_us += on(50_000);
        faults.disk_us += on(100_000);
        faults.verify_busy = on(10);
        faults.cut = on(15);
        faults.deaf = on(1);
        faults.mute = on(5);
        faults.recovery_cuts = on(30);
        faults.eio_one_in = on(300);
        let mut times = |most: u64| if rng.chance(50) { rng.within(1..most + 1) } else { 0 };
        faults.power_cuts = times(4);
        faults.kills = times(2);
        faults.full_disks = times(2);
        faults.restarts = times(1);
        faults.deletions = times(2);
        faults
    }

    /// Whether every client must get what it asks for.
    pub fn is_calm(&self) -> bool {
        let failing = [self.verify_busy, self.cut, self.deaf, self.mute, self.eio_one_in, self.slow_peers];
        let stopping =
            [self.power_cuts, self.kills, self.full_disks, self.restarts, self.deletions, self.rot];
        failing.iter().chain(&stopping).all(|amount| *amount == 0)
    }

    pub fn temper(&self, rng: &mut Rng) -> Temper {
        let delay_us_max = rng.within(1..self.net_us + 2);
        Temper { piece_max: self.piece_max, delay_us_max }
    }
}
