//! Which files are worth copying together.
//!
//! *Owns*: the policy: live share first, neighbours along with it. *Promises*: what nobody needs goes without being
//! copied; as long as all files together take no more than [`SPACE_TARGET_PERCENT`] of what is alive, nothing is.
//! *Assumes*: units come in order of position. *Never*: looks at a file.

use std::ops::Range;

use crate::io::FileId;

/// Bytes of files for every hundred that are alive, above which something is compacted.
pub const SPACE_TARGET_PERCENT: u64 = 120;
/// A file of which more is alive is left alone.
const LIVE_SHARE_MAX_PERCENT: u64 = 85;

/// A file that could be compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub file: FileId,
    /// The positions that it stands for.
    pub range: Range<u64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of the bodies in it that somebody needs.
    pub live: u64,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Picked {
    /// All is well.
    Nothing,
    /// Nobody needs anything of this file.
    Empty(Unit),
    /// These neighbours become one pack.
    Together(Vec<Unit>),
}

/// Chooses among all files that could be compacted. `others` is what files that cannot be take.
pub fn pick(units: &[Unit], pack_bytes_max: u64) -> Picked {
    if let Some(empty) = units.iter().find(|unit| unit.live == 0) {
        return Picked::Empty(empty.clone());
    }
    let (bytes, live) =
        units.iter().fold((0, 0), |(bytes, live), unit| (bytes + unit.bytes, live + unit.live));
    let is_sparse = |unit: &Unit| unit.live * 100 < unit.bytes * LIVE_SHARE_MAX_PERCENT;
    let share = |unit: &Unit| unit.live * 10_000 / unit.bytes.max(1);
    let sparse = units.iter().enumerate().filter(|(_, unit)| is_sparse(unit));
    let worst = sparse.min_by_key(|(_, unit)| share(unit)).map(|(at, _)| at);
    let Some(worst) = worst.filter(|_| bytes * 100 > live * SPACE_TARGET_PERCENT) else {
        return Picked::Nothing;
    };
    let (mut from, mut to, mut sum) = (worst, worst + 1, units[worst].live);
    let mut fits = |unit: Option<&Unit>| {
        let more =
            unit.filter(|unit| is_sparse(unit) && sum + unit.live <= pack_bytes_max).map(|unit| unit.live);
        sum += more.unwrap_or(0);
        more.is_some()
    };
    while fits(units.get(to)) {
        to += 1;
    }
    while from > 0 && fits(units.get(from - 1)) {
        from -= 1;
    }
    Picked::Together(units[from..to].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SegmentId;

    fn units(shares: &[u64]) -> Vec<Unit> {
        let unit = |(at, &live): (u64, &u64)| Unit {
            file: FileId::Segment(SegmentId(at)),
            range: at * 1000..at * 1000 + 100,
            bytes: 100,
            live,
        };
        (0..).zip(shares).map(unit).collect()
    }

    fn picked(shares: &[u64], max: u64) -> Vec<u64> {
        match pick(&units(shares), max) {
            Picked::Nothing => vec![],
            Picked::Empty(unit) => vec![1000 + unit.file.number()],
            Picked::Together(units) => units.iter().map(|unit| unit.file.number()).collect(),
        }
    }

    #[test]
    fn the_emptiest_goes_first_and_takes_its_neighbours_along() {
        assert_eq!(picked(&[90, 90, 90], 100), [0u64; 0]);
        assert_eq!(picked(&[90, 80, 84], 100), [0u64; 0], "sparse, but not worth it");
        assert_eq!(picked(&[90, 0, 10], 100), [1001], "nothing to copy");
        assert_eq!(picked(&[90, 60, 10, 20, 90, 5], 100), [5]);
        assert_eq!(picked(&[90, 60, 10, 20, 90, 50], 100), [1, 2, 3]);
        assert_eq!(picked(&[90, 80, 10, 20, 90, 50], 100), [2, 3]);
        assert_eq!(picked(&[10, 10, 10], 25), [0, 1]);
        assert_eq!(picked(&[], 25), [0u64; 0]);
    }
}
