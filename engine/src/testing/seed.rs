//! A small generator of numbers from a seed (splitmix64).
//!
//! *Owns*: all chance in the simulations. *Promises*: the same seed gives the same numbers on every machine.
//! *Assumes*: nothing. *Never*: is used for a secret.

/// A generator.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// From a seed; neighbours give unrelated numbers.
    pub fn new(seed: u64) -> Seed {
        Seed(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.number() % bound }
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of a slice's items; none of an empty one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// A generator of its own, for a part of a run.
    pub fn fork(&mut self) -> Seed {
        Seed(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed| -> Vec<u64> {
            let mut seed = Seed::new(seed);
            (0..4).map(|_| seed.number()).collect()
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        // The reference values of splitmix64 from seed 0.
        assert_eq!(numbers(0)[..2], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
