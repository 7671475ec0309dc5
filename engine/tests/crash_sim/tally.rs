//! How often what happened.
//!
//! *Owns*: the counts of a run's faults. *Promises*: a kind of fault that never occurs is noticed.
//! *Assumes*: nothing. *Never*: influences a run.

use std::fmt;

/// Counts of one seed, or of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally([u64; KINDS.len()]);

impl Default for Tally {
    fn default() -> Tally {
        Tally([0; KINDS.len()])
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    PowerCut,
    Kill,
    FlightSurvived,
    FlightLost,
    TornTail,
    DiskError,
    RefusedFull,
    DroppedFull,
    RecoveryCut,
    RecoveryFull,
    ClockBack,
    Rollover,
    Rot,
    RotTold,
    Quarantined,
    Structural,
    OverQuota,
    Replaced,
    Checkpoint,
    Step,
    FromCheckpoint,
    Evicted,
    RotCheckpoint,
    Restored,
    RestoredOfDeleted,
    Reaped,
    Packed,
    Trained,
    Pressed,
    Unfolded,
    SegmentRemoved,
    PackRemoved,
    RotRepaired,
    RotPack,
    RotRunning,
    RotHidden,
    Piece,
    Arrived,
    CameHome,
    ArrivalDropped,
    ArrivalCut,
    SlowSync,
    ReadFailed,
    RotRunningPack,
    RotPackPutBack,
    RotPackHidden,
    /// Rows that both checkpoints and nothing else had: their account is not served.
    RowsLost,
    /// The same of an account that is on its way, which only the fingerprint shows: then that is not compared. A
    /// weakness of the oracle.
    ComingRowsLost,
    /// A Reap was lost, and what it had let go lay again, without its octets: compaction had left them behind. A
    /// weakness of the oracle.
    ReapedWithoutOctets,
    /// Rot in a segment that a start does not read.
    RotBelow,
    /// A body that is dead was not offered to be named again. A weakness of the oracle: see `World::can_be_named`.
    DeadNotNamed,
}

/// What a few seeds do not come to.
const RARE: [Kind; 3] = [Kind::RowsLost, Kind::ComingRowsLost, Kind::ReapedWithoutOctets];
/// Seeds that do.
const RARE_SEEDS: u64 = 100_000;

const KINDS: [Kind; 51] = [
    Kind::PowerCut,
    Kind::Kill,
    Kind::FlightSurvived,
    Kind::FlightLost,
    Kind::TornTail,
    Kind::DiskError,
    Kind::RefusedFull,
    Kind::DroppedFull,
    Kind::RecoveryCut,
    Kind::RecoveryFull,
    Kind::ClockBack,
    Kind::Rollover,
    Kind::Rot,
    Kind::RotTold,
    Kind::Quarantined,
    Kind::Structural,
    Kind::OverQuota,
    Kind::Replaced,
    Kind::Checkpoint,
    Kind::Step,
    Kind::FromCheckpoint,
    Kind::Evicted,
    Kind::RotCheckpoint,
    Kind::Restored,
    Kind::RestoredOfDeleted,
    Kind::Reaped,
    Kind::Packed,
    Kind::Trained,
    Kind::Pressed,
    Kind::Unfolded,
    Kind::SegmentRemoved,
    Kind::PackRemoved,
    Kind::RotRepaired,
    Kind::RotPack,
    Kind::RotRunning,
    Kind::RotHidden,
    Kind::Piece,
    Kind::Arrived,
    Kind::CameHome,
    Kind::ArrivalDropped,
    Kind::ArrivalCut,
    Kind::SlowSync,
    Kind::ReadFailed,
    Kind::RotRunningPack,
    Kind::RotPackPutBack,
    Kind::RotPackHidden,
    Kind::RowsLost,
    Kind::ComingRowsLost,
    Kind::ReapedWithoutOctets,
    Kind::RotBelow,
    Kind::DeadNotNamed,
];

impl Tally {
    /// One more.
    pub fn count(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    /// So many more.
    pub fn add_many(&mut self, kind: Kind, count: usize) {
        self.0[kind as usize] += count as u64;
    }

    /// These as well.
    pub fn add(&mut self, other: &Tally) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }

    /// What never happened in so many seeds, and should have.
    pub fn missing(&self, seeds: u64) -> Vec<Kind> {
        let is_rare = |kind: &Kind| RARE.iter().any(|rare| *rare as usize == *kind as usize);
        let missing = KINDS.into_iter().filter(|kind| self.0[*kind as usize] == 0);
        missing.filter(|kind| seeds >= RARE_SEEDS || !is_rare(kind)).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        KINDS.into_iter().try_for_each(|kind| write!(f, "{kind:?} {}  ", self.0[kind as usize]))
    }
}
