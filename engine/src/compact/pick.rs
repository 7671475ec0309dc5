//! Which files are worth copying together.
//!
//! *Owns*: the policy. *Promises*: what nobody needs goes without being copied; as long as enough of all files
//! together is alive, nothing is copied but what is damaged or too small to be a file of its own. *Assumes*: units
//! come in order of position. *Never*: looks at a file.
//!
//! In this order: what is empty; what is damaged (its records are good, what leads to them is not); where least is
//! alive, with sparse neighbours; what has become old enough to be compressed, with its neighbours; small neighbours,
//! which move only into a file at least twice as large, so about as often as the logarithm of a file's size.

use std::ops::Range;

use crate::io::FileId;
use crate::limits::COMPACT_SMALL_FILES;

/// Percent by which more of one file may be alive than of all together for it to be copied with its neighbours.
const NEIGHBOUR_PERCENT: u64 = 5;

/// A file that could be compacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub file: FileId,
    /// The positions that it stands for.
    pub range: Range<u64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// How many of them could be alive: all but what leads to the records of a pack.
    pub room: u64,
    /// Bytes of the bodies in it that somebody needs, about: of a compressed one it is not known what it takes.
    pub live: u64,
    /// Whether nobody needs any body in it.
    pub is_empty: bool,
    /// Whether what leads to its records is damaged.
    pub is_damaged: bool,
    /// Whether its bodies are old enough to be compressed.
    pub is_old: bool,
    /// Whether they are, as far as that is worth it.
    pub is_pressed: bool,
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

/// All files of a log together.
pub struct All {
    /// Their bytes, also of those that cannot be compacted.
    pub bytes: u64,
    /// How many of them are alive.
    pub live: u64,
    /// How many of a hundred should be.
    pub live_percent: u64,
}

impl All {
    /// Whether less is alive than should be, and so little of this file that it pays to copy it.
    pub fn is_worth(&self, unit: &Unit) -> bool {
        let percent = (self.live_percent + NEIGHBOUR_PERCENT).min(100);
        self.live * 100 < self.bytes * self.live_percent && unit.live * 100 < unit.room * percent
    }
}

/// Chooses among all files that could be compacted.
pub fn pick(units: &[Unit], all: &All, pack_bytes_max: u64) -> Picked {
    if let Some(empty) = units.iter().find(|unit| unit.is_empty) {
        return Picked::Empty(empty.clone());
    }
    if let Some(damaged) = units.iter().find(|unit| unit.is_damaged) {
        return Picked::Together(vec![damaged.clone()]);
    }
    let picked = sparse(units, all, pack_bytes_max)
        .or_else(|| unpressed(units, pack_bytes_max))
        .or_else(|| small(units, pack_bytes_max));
    picked.map_or(Picked::Nothing, |run| Picked::Together(units[run].to_vec()))
}

/// Where least is alive, and its neighbours as far as they are sparse too.
fn sparse(units: &[Unit], all: &All, pack_bytes_max: u64) -> Option<Range<usize>> {
    let is_sparse = |unit: &Unit| all.is_worth(unit);
    let share = |unit: &Unit| unit.live * 10_000 / unit.room.max(1);
    let sparse = units.iter().enumerate().filter(|(_, unit)| is_sparse(unit));
    let worst = sparse.min_by_key(|(_, unit)| share(unit)).map(|(at, _)| at)?;
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
    Some(from..to)
}

/// The first that is to be compressed, and those behind it that are too.
fn unpressed(units: &[Unit], pack_bytes_max: u64) -> Option<Range<usize>> {
    let is_due = |unit: &&Unit| unit.is_old && !unit.is_pressed;
    let from = units.iter().position(|unit| is_due(&unit))?;
    let (mut to, mut sum) = (from + 1, units[from].live);
    while let Some(unit) = units.get(to).filter(is_due).filter(|unit| sum + unit.live <= pack_bytes_max) {
        sum += unit.live;
        to += 1;
    }
    Some(from..to)
}

/// Some small files side by side, none of which is most of them.
fn small(units: &[Unit], pack_bytes_max: u64) -> Option<Range<usize>> {
    (0..units.len()).find_map(|from| {
        let (mut sum, mut largest, mut to) = (0, 0, from);
        let is_small = |unit: &&Unit| unit.live <= pack_bytes_max / COMPACT_SMALL_FILES as u64;
        while let Some(unit) = units.get(to).filter(is_small).filter(|unit| sum + unit.live <= pack_bytes_max)
        {
            sum += unit.live;
            largest = unit.live.max(largest);
            to += 1;
        }
        (to - from >= COMPACT_SMALL_FILES && largest * 2 <= sum).then_some(from..to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SegmentId;

    fn units(shares: &[u64]) -> Vec<Unit> {
        let unit = |(at, &live): (u64, &u64)| Unit {
            file: FileId::Segment(SegmentId(at)),
            range: at * 1000..at * 1000 + 100,
            bytes: 110,
            room: 100,
            live,
            is_empty: live == 0,
            is_damaged: false,
            is_old: false,
            is_pressed: false,
        };
        (0..).zip(shares).map(unit).collect()
    }

    fn all(units: &[Unit]) -> All {
        let sum = |of: fn(&Unit) -> u64| units.iter().map(of).sum();
        All { bytes: sum(|unit| unit.bytes), live: sum(|unit| unit.live), live_percent: 80 }
    }

    fn picked(shares: &[u64], max: u64) -> Vec<u64> {
        let units = units(shares);
        match pick(&units, &all(&units), max) {
            Picked::Nothing => vec![],
            Picked::Empty(unit) => vec![1000 + unit.file.number()],
            Picked::Together(units) => units.iter().map(|unit| unit.file.number()).collect(),
        }
    }

    #[test]
    fn the_emptiest_goes_first_and_takes_its_neighbours_along() {
        assert_eq!(picked(&[90, 90, 90], 100), [0u64; 0]);
        assert_eq!(picked(&[95, 80, 94], 100), [0u64; 0], "sparse, but not worth it");
        assert_eq!(picked(&[90, 0, 10], 100), [1001], "nothing to copy");
        assert_eq!(picked(&[90, 60, 10, 20, 90, 5], 100), [5]);
        assert_eq!(picked(&[90, 60, 10, 20, 90, 50], 100), [1, 2, 3]);
        assert_eq!(picked(&[90, 80, 10, 20, 90, 50], 100), [2, 3]);
        assert_eq!(picked(&[10, 10, 10], 25), [0, 1]);
        assert_eq!(picked(&[], 25), [0u64; 0]);
    }

    #[test]
    fn small_neighbours_become_one_though_nothing_of_them_is_dead() {
        let small = |sizes: &[u64]| {
            let mut units = units(sizes);
            units.iter_mut().for_each(|unit| (unit.bytes, unit.room) = (unit.live, unit.live));
            match pick(&units, &all(&units), 100) {
                Picked::Together(units) => units.iter().map(|unit| unit.file.number()).collect(),
                other => {
                    assert_eq!(other, Picked::Nothing);
                    vec![]
                }
            }
        };
        assert_eq!(small(&[90, 1, 1, 1, 90, 1, 1, 1]), [0u64; 0], "too few");
        assert_eq!(small(&[90, 1, 2, 3, 1, 90]), [1, 2, 3, 4]);
        assert_eq!(small(&[9, 1, 2, 1, 90]), [0u64; 0], "the first one would move for little");
        assert_eq!(small(&[25, 25, 25, 25, 25]), [0, 1, 2, 3]);
        assert_eq!(small(&[26, 26, 26, 26]), [0u64; 0], "no longer small");
    }

    #[test]
    fn what_has_become_old_is_compressed_with_its_neighbours_once() {
        let mut units = units(&[90, 90, 40, 40, 90]);
        units.iter_mut().for_each(|unit| unit.bytes = unit.live);
        let picked = |units: &[Unit]| pick(units, &All { live_percent: 0, ..all(units) }, 100);
        assert_eq!(picked(&units), Picked::Nothing, "all is young");
        units[..4].iter_mut().for_each(|unit| unit.is_old = true);
        units[0].is_pressed = true;
        assert_eq!(picked(&units), Picked::Together(vec![units[1].clone()]), "no more fits");
        units[1].is_pressed = true;
        assert_eq!(picked(&units), Picked::Together(units[2..4].to_vec()));
        units.iter_mut().for_each(|unit| unit.is_pressed = true);
        assert_eq!(picked(&units), Picked::Nothing);
    }

    #[test]
    fn what_takes_next_to_nothing_is_not_empty() {
        let mut units = units(&[0, 90]);
        units[0].is_empty = false;
        assert_eq!(pick(&units, &all(&units), 100), Picked::Together(units[..1].to_vec()));
    }

    #[test]
    fn what_is_damaged_is_written_anew() {
        let mut units = units(&[90, 90, 90]);
        units[1].is_damaged = true;
        assert_eq!(pick(&units, &all(&units), 100), Picked::Together(vec![units[1].clone()]));
    }
}
