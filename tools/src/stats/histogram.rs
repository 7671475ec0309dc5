//! How often which size occurs, by powers of two.
//!
//! *Owns*: [`Histogram`]. *Promises*: two histograms add up to that of all values together. *Assumes*: fewer than
//! 2^64 values. *Never*: keeps a value.

use std::ops::AddAssign;

use serde_json::{Value, json};

/// Counts of values; the n-th range is 2^(n-1) to 2^n - 1, the first is 0.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: [u64; 65],
    count: u64,
    sum: u128,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: [0; 65], count: 0, sum: 0, max: 0 }
    }
}

/// A range of values and how many lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The smallest value.
    pub from: u64,
    /// The largest.
    pub to: u64,
    /// How many.
    pub count: u64,
}

impl Histogram {
    /// Counts a value, so many times.
    pub fn add(&mut self, value: u64, times: u64) {
        self.counts[(u64::BITS - value.leading_zeros()) as usize] += times;
        self.count += times;
        self.sum += u128::from(value) * u128::from(times);
        self.max = self.max.max(value);
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; 0 when there is none.
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }

    /// The range that holds the value below which `share` of all lie; its largest value, at most the greatest.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut below = 0;
        let found = self.buckets().into_iter().find(|bucket| {
            below += bucket.count;
            below >= wanted
        });
        found.map_or(0, |bucket| bucket.to.min(self.max))
    }

    /// The ranges from the first that holds something to the last.
    pub fn buckets(&self) -> Vec<Bucket> {
        let used = |&at: &usize| self.counts[at] > 0;
        let (Some(first), Some(last)) = ((0..65).find(used), (0..65).rfind(used)) else { return Vec::new() };
        let bucket = |at: usize| Bucket {
            from: if at == 0 { 0 } else { 1 << (at - 1) },
            to: if at == 0 { 0 } else { u64::MAX >> (64 - at) },
            count: self.counts[at],
        };
        (first..=last).map(bucket).collect()
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let buckets = self.buckets();
        let buckets = buckets.iter().map(|b| json!({"from": b.from, "to": b.to, "count": b.count}));
        json!({
            "count": self.count, "mean": self.mean(), "max": self.max, "p50_at_most": self.quantile(0.5),
            "p99_at_most": self.quantile(0.99), "buckets": buckets.collect::<Vec<_>>(),
        })
    }
}

impl AddAssign for Histogram {
    fn add_assign(&mut self, other: Histogram) {
        self.counts.iter_mut().zip(other.counts).for_each(|(own, more)| *own += more);
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_powers_of_two_and_add_up() {
        let mut left = Histogram::default();
        assert_eq!((left.buckets(), left.quantile(0.5)), (vec![], 0));
        [1, 2, 3, 4].iter().for_each(|&value| left.add(value, 1));
        let mut right = Histogram::default();
        right.add(0, 2);
        right.add(u64::MAX, 1);
        right += left.clone();
        let counts: Vec<u64> = right.buckets().iter().map(|bucket| bucket.count).take(4).collect();
        assert_eq!((counts, right.count()), (vec![2, 1, 2, 1], 7));
        assert_eq!(right.buckets().last(), Some(&Bucket { from: 1 << 63, to: u64::MAX, count: 1 }));
        assert_eq!((left.mean(), left.quantile(0.5), left.quantile(1.0)), (2.5, 3, 4));
    }
}
