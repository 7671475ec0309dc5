//! Which slots move so that all shards have about the same.
//!
//! *Owns*: what a slot weighs, and the choice. *Promises*: every move makes the fullest shard emptier and
//! nobody as full as
//! it was; as few octets as the greatest slots allow. *Assumes*: nothing. *Never*: moves a slot twice.

use ringpost_engine::ids::{ShardId, Slot};

/// What a message costs beside its octets, and an account, in octets.
const MESSAGE_WEIGHT: u64 = 1_024;
const ACCOUNT_WEIGHT: u64 = 16 * 1_024;

/// Hundredths by which the fullest shard may be above the even share before anything moves.
const TOLERANCE_PERCENT: u64 = 5;

/// A slot, where it is and what it weighs.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Which.
    pub slot: Slot,
    /// Where it is.
    pub shard: ShardId,
    /// See [`weight`].
    pub weight: u64,
}

/// What a slot weighs.
pub fn weight(accounts: u64, messages: u64, bytes: u64) -> u64 {
    bytes + messages * MESSAGE_WEIGHT + accounts * ACCOUNT_WEIGHT
}

/// Moves in the order in which they are to be made.
pub fn balance(loads: &[Load], shards: u16) -> Vec<(Slot, ShardId)> {
    let mut sums = vec![0u64; usize::from(shards.max(1))];
    loads.iter().for_each(|load| sums[usize::from(load.shard.0)] += load.weight);
    let share = sums.iter().sum::<u64>() / sums.len() as u64;
    let mut left: Vec<Load> = loads.iter().copied().filter(|load| load.weight > 0).collect();
    left.sort_by_key(|load| (load.weight, load.slot));
    let mut moves = Vec::new();
    loop {
        let (full, most) = extreme(&sums, |sum, best| sum > best);
        let (empty, least) = extreme(&sums, |sum, best| sum < best);
        if most <= share + share / 100 * TOLERANCE_PERCENT {
            return moves;
        }
        // The greatest that brings both nearer to the share, without making the other one the fullest.
        let room = (most - share).min((most - least) / 2).max(1);
        let fits = |load: &Load| load.shard == full && load.weight <= room;
        let Some(at) = left.iter().rposition(fits) else { return moves };
        let load = left.remove(at);
        sums[usize::from(full.0)] -= load.weight;
        sums[usize::from(empty.0)] += load.weight;
        moves.push((load.slot, empty));
    }
}

fn extreme(sums: &[u64], beats: impl Fn(u64, u64) -> bool) -> (ShardId, u64) {
    let mut best = (ShardId(0), sums[0]);
    for (shard, sum) in (0..).zip(sums) {
        if beats(*sum, best.1) {
            best = (ShardId(shard), *sum);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(weights: &[(u16, u64)]) -> Vec<Load> {
        let load = |(slot, (shard, weight)): (u16, &(u16, u64))| Load {
            slot: Slot(slot),
            shard: ShardId(*shard),
            weight: *weight,
        };
        (0..).zip(weights).map(load).collect()
    }

    fn spread(loads: &[Load], moves: &[(Slot, ShardId)], shards: u16) -> Vec<u64> {
        let mut sums = vec![0; usize::from(shards)];
        for load in loads {
            let to = moves.iter().find(|(slot, _)| *slot == load.slot).map_or(load.shard, |(_, to)| *to);
            sums[usize::from(to.0)] += load.weight;
        }
        sums
    }

    #[test]
    fn the_fullest_gives_to_the_emptiest_until_all_have_their_share() {
        let all = loads(&[(0, 40), (0, 30), (0, 20), (0, 10), (1, 20), (2, 0)]);
        let moves = balance(&all, 3);
        let sums = spread(&all, &moves, 3);
        assert!(sums.iter().all(|sum| (30..=50).contains(sum)), "{sums:?} by {moves:?}");
        let mut slots: Vec<Slot> = moves.iter().map(|(slot, _)| *slot).collect();
        slots.dedup();
        assert_eq!(slots.len(), moves.len(), "no slot moves twice");
    }

    #[test]
    fn what_is_even_or_cannot_be_divided_stays() {
        assert_eq!(balance(&loads(&[(0, 100), (1, 98)]), 2), []);
        assert_eq!(balance(&loads(&[(0, 100)]), 2), [], "it would only change places");
        assert_eq!(balance(&loads(&[(0, 0), (0, 0)]), 4), []);
        assert_eq!(balance(&[], 1), []);
        let many: Vec<(u16, u64)> = (0..4096).map(|slot| (slot % 2, 100)).collect();
        let sums = spread(&loads(&many), &balance(&loads(&many), 4), 4);
        assert!(sums.iter().all(|sum| *sum <= 102_400 * 105 / 100 + 100), "two new shards fill up: {sums:?}");
    }
}
