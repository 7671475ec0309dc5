//! What is in a mailbox already.
//!
//! *Owns*: the comparison with what is to come back. *Promises*: what is there is not brought back a second time,
//! whoever brought it: two messages are the same when they have the same octets in the log (the number in EMAILID).
//! *Assumes*: it is told of all messages, and of those that come back. *Never*: asks.

use std::collections::BTreeMap;

use super::wish::Rule;

/// A message that is to be in a mailbox and left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// The UID it had.
    pub uid: u32,
    /// The number in its EMAILID.
    pub body: u64,
    /// Octets.
    pub size: u32,
    /// When it left, milliseconds since 1970.
    pub gone_ms: u64,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// UIDNEXT when this was learnt.
    pub uid_next: u32,
    /// When each message came, by its octets.
    bodies: BTreeMap<u64, Vec<u64>>,
    /// Messages that stand for what earlier sources wanted here.
    claimed: BTreeMap<u64, usize>,
}

impl Present {
    /// A mailbox that is looked at anew; what stands for whom is kept.
    pub fn begin(&mut self, uid_next: u32) {
        self.uid_next = uid_next;
        self.bodies.clear();
    }

    /// One more message.
    pub fn see(&mut self, body: u64, saved_ms: u64) {
        self.bodies.entry(body).or_default().push(saved_ms);
    }

    /// Those of `wanted` that are not there. `is_source` says that they left this very mailbox: what was in it at the
    /// moment in question and stayed stands for itself.
    pub fn missing(&self, wanted: &[Left], rule: Rule, is_source: bool) -> Vec<Left> {
        let mut stands: BTreeMap<u64, usize> = BTreeMap::new();
        let mut missing = Vec::new();
        // The latest first: of several its flags are the newest.
        for left in wanted.iter().rev() {
            let stands = stands.entry(left.body).or_insert_with(|| match rule {
                Rule::At(at_ms) => self.later(left.body, at_ms, is_source),
                Rule::Left(..) if self.bodies.contains_key(&left.body) => usize::MAX,
                Rule::Left(..) => 0,
            });
            if *stands > 0 {
                *stands -= 1;
                continue;
            }
            if let Rule::Left(..) = rule {
                *stands = usize::MAX;
            }
            missing.push(*left);
        }
        missing.sort_unstable_by_key(|left| left.uid);
        missing
    }

    /// How many messages of these octets came too late to have been here, and stand for none yet.
    fn later(&self, body: u64, at_ms: u64, is_source: bool) -> usize {
        let saved = self.bodies.get(&body).map(Vec::as_slice).unwrap_or_default();
        let late = saved.iter().filter(|&&saved_ms| !is_source || saved_ms > at_ms).count();
        late.saturating_sub(self.claimed.get(&body).copied().unwrap_or(0))
    }

    /// What was wanted is there now, or cannot be had: other sources want their own.
    pub fn claim(&mut self, wanted: &[Left]) {
        wanted.iter().for_each(|left| *self.claimed.entry(left.body).or_default() += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(uid: u32, body: u64) -> Left {
        Left { uid, body, size: 1, gone_ms: 0 }
    }

    fn uids(missing: Vec<Left>) -> Vec<u32> {
        missing.iter().map(|left| left.uid).collect()
    }

    #[test]
    fn what_came_back_is_not_missing_any_more() {
        let mut present = Present::default();
        let wanted = [left(1, 10), left(2, 20), left(3, 10)];
        assert_eq!(uids(present.missing(&wanted, Rule::At(5_000), true)), [1, 2, 3]);
        present.see(10, 0);
        assert_eq!(
            uids(present.missing(&wanted, Rule::At(5_000), true)),
            [1, 2, 3],
            "it was there all the time"
        );
        assert_eq!(
            uids(present.missing(&wanted, Rule::At(5_000), false)),
            [1, 2],
            "elsewhere it stands for one"
        );
        present.see(20, 9_000);
        present.see(10, 6_000);
        assert_eq!(uids(present.missing(&wanted, Rule::At(5_000), true)), [1], "one of two came back");
        present.begin(9);
        assert_eq!((present.uid_next, present.missing(&wanted, Rule::At(0), true).len()), (9, 3));
    }

    #[test]
    fn without_a_moment_each_comes_once() {
        let mut present = Present::default();
        let (wanted, rule) = ([left(1, 10), left(2, 20), left(3, 10)], Rule::Left(0, 9));
        assert_eq!(uids(present.missing(&wanted, rule, true)), [2, 3], "the latest");
        present.see(10, 0);
        assert_eq!(uids(present.missing(&wanted, rule, true)), [2]);
    }

    #[test]
    fn each_source_wants_its_own() {
        let mut present = Present::default();
        let (first, second) = ([left(1, 10)], [left(7, 10)]);
        assert_eq!(present.missing(&first, Rule::At(0), false).len(), 1);
        present.see(10, 9_000);
        present.claim(&first);
        assert_eq!(present.missing(&second, Rule::At(0), false).len(), 1);
        // The next run finds two, which stand for both.
        let mut present = Present::default();
        [9_000, 9_000].iter().for_each(|&saved_ms| present.see(10, saved_ms));
        assert!(present.missing(&first, Rule::At(0), false).is_empty());
        present.claim(&first);
        assert!(present.missing(&second, Rule::At(0), false).is_empty());
    }
}
