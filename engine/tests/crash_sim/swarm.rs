//! What a seed is about: which faults it has, and how its store is set.
//!
//! *Owns*: the choices that hold for a whole run. *Promises*: each kind of fault is on or off by itself, so that some
//! runs are all storm and some test one thing. *Assumes*: the world carries them out. *Never*: changes in a run.

use ringpost_engine::compact;
use ringpost_engine::ids::{Lsn, ShardId};
use ringpost_engine::press;
use ringpost_engine::scrub;
use ringpost_engine::store::Options;
use ringpost_engine::testing::Plant;
use ringpost_engine::testing::seed::Seed;

pub const SEGMENT_BYTES: u64 = 64 * 1024;
const MESSAGE_BYTES_MAX: usize = 40_000;
/// The shard of every run.
pub const HOME: ShardId = ShardId(3);
/// Another one, which accounts come from.
const ABROAD: ShardId = ShardId(5);
/// Where a log of our own shard began that accounts come home from: no position, hence no EMAILID, is given out twice.
const AWAY_FIRST: Lsn = Lsn(1 << 40);
/// What was added to the choices later is drawn from a generator of its own: a seed without it does what it did before.
const ADDED: u64 = 0x5afe_0c0d_e5ea_5eed;

/// Which faults this seed has: each is on or off for the whole run.
pub struct Swarm {
    pub shard: ShardId,
    /// Where its log begins.
    pub first: Lsn,
    pub steps: u64,
    pub crashes_one_in: u64,
    pub kills: bool,
    pub eio: bool,
    pub small_disk: bool,
    /// Bytes of the disk that no new segment takes.
    pub reserve_bytes: u64,
    pub rot: bool,
    pub recovery_crashes: bool,
    pub idle: bool,
    /// Whether rot is looked for all the time.
    pub scrub: bool,
    /// Many mailboxes made, renamed and deleted.
    pub structural: bool,
    pub checkpoint_log_bytes: u64,
    pub index_memory_bytes_max: usize,
    /// For how long removed messages can be had back.
    pub undelete_ms: u64,
    /// How much of a change is carried out at once.
    pub step_messages: usize,
    /// Whether old segments are compacted all the time.
    pub compact: bool,
    /// Whether whole mailboxes are emptied now and then.
    pub purges: bool,
    /// How much of the files should be alive.
    pub live_percent: u8,
    /// Milliseconds for which a file stays that nobody needs any more.
    pub grace_ms: u64,
    pub press: press::Options,
    /// The shard that accounts come from; none: no account comes.
    pub arrivals: Option<ShardId>,
    /// How many other events a sync may wait for at most.
    pub slow_syncs: u64,
    /// One read for upkeep in so many fails; 0 is never.
    pub reads_fail_one_in: u64,
}

impl Swarm {
    /// The choices of a seed.
    pub fn new(number: u64, seed: &mut Seed) -> Swarm {
        let compact = seed.one_in(2);
        // Packs become sparse only when there is time.
        let long = compact && seed.one_in(8);
        let mut added = Seed::new(number ^ ADDED);
        Swarm {
            shard: HOME,
            first: Lsn(0),
            steps: if long { 1_500 } else { 40 + seed.below(200) },
            crashes_one_in: *seed.pick(&[20, 60, 1_000]).expect("some"),
            kills: seed.one_in(2),
            eio: seed.one_in(4),
            small_disk: seed.one_in(4),
            reserve_bytes: *seed.pick(&[0, 2 * SEGMENT_BYTES]).expect("some"),
            rot: seed.one_in(2),
            recovery_crashes: seed.one_in(2),
            idle: seed.one_in(2),
            scrub: seed.one_in(2),
            structural: seed.one_in(4),
            checkpoint_log_bytes: *seed.pick(&[0, 1, 20_000, 100_000]).expect("some"),
            index_memory_bytes_max: *seed.pick(&[0, 10_000, usize::MAX]).expect("some"),
            undelete_ms: *seed.pick(&[0, 50, 500, 1 << 40]).expect("some"),
            compact,
            purges: seed.one_in(2),
            live_percent: *seed.pick(&[50, 80, 100, 100]).expect("some"),
            step_messages: *seed.pick(&[1, 4, 20, usize::MAX]).expect("some"),
            press: press::Options {
                after_ms: *seed.pick(&[None, Some(0), Some(100)]).expect("some"),
                dictionary_bytes: *seed.pick(&[0, 1_000]).expect("some"),
                ..press::Options::default()
            },
            arrivals: *added.pick(&[None, None, None, Some(ABROAD), Some(HOME)]).expect("some"),
            slow_syncs: *added.pick(&[0, 0, 0, 15, 60]).expect("some"),
            reads_fail_one_in: *added.pick(&[0, 0, 0, 0, 3, 20]).expect("some"),
            grace_ms: *added.pick(&[0, 0, 200, 2_000]).expect("some"),
        }
    }

    /// Nothing fails: a store that accounts come from.
    pub fn calm(shard: ShardId) -> Swarm {
        Swarm {
            shard,
            first: if shard == HOME { AWAY_FIRST } else { Lsn(0) },
            steps: 0,
            crashes_one_in: 0,
            kills: false,
            eio: false,
            small_disk: false,
            reserve_bytes: 0,
            rot: false,
            recovery_crashes: false,
            idle: false,
            scrub: false,
            structural: false,
            checkpoint_log_bytes: 0,
            index_memory_bytes_max: usize::MAX,
            undelete_ms: 1 << 40,
            step_messages: usize::MAX,
            compact: false,
            purges: false,
            live_percent: 100,
            press: press::Options::default(),
            arrivals: None,
            slow_syncs: 0,
            reads_fail_one_in: 0,
            grace_ms: 0,
        }
    }

    /// How its store is opened.
    pub fn options(&self, plant: Option<Plant>) -> Options {
        Options {
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            index_memory_bytes_max: self.index_memory_bytes_max,
            trust_checkpoints: plant == Some(Plant::TrustCheckpoints),
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: self.reserve_bytes,
            message_bytes_max: MESSAGE_BYTES_MAX,
            undelete_ms: self.undelete_ms,
            step_messages: self.step_messages,
            first: self.first,
            compact: compact::Options {
                bytes_per_second: if self.compact { 1 << 40 } else { 0 },
                live_percent: self.live_percent,
                grace_ms: self.grace_ms,
                look_ms: 0,
                press: self.press,
            },
            scrub: scrub::Options {
                bytes_per_second: if self.scrub { 1 << 40 } else { 0 },
                round_ms: 1 << 40,
            },
            ..Options::new(self.shard, 0x1234_5678_9abc_def0)
        }
    }
}
