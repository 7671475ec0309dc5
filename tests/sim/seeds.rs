//! Randomness from a seed, and which seeds run.
//!
//! *Owns*: the environment variables; choices on top of the engine's generator. *Promises*: the same seed
//! gives the same draws everywhere. *Assumes*: draws are made in one order. *Never*: asks the machine for
//! randomness.
//!
//! `RINGPOST_SIM_SEED=n` runs one seed and prints its trace; `RINGPOST_SIM_SHARD_SEEDS=n` runs seeds `0..n`.

use std::ops::Range;

use ringpost_engine::testing::seed::Seed;

/// Choices of one run.
#[derive(Clone, Debug)]
pub struct Rng(Seed);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(Seed::new(seed))
    }

    /// A generator of its own, for a part of a run.
    pub fn fork(&mut self) -> Seed {
        self.0.fork()
    }

    /// A number of the range, which must not be empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.0.below(range.end - range.start)
    }

    /// An index below `len`, which must not be 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.0.below(len as u64) as usize
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// One of some things, which must not be none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }
}

/// Which seeds to run, and whether to print their traces.
pub fn chosen(usual: u64) -> (Range<u64>, bool) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    match number("RINGPOST_SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..number("RINGPOST_SIM_SHARD_SEEDS").unwrap_or(usual), false),
    }
}
