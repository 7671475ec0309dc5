//! Which shard serves which slot.
//!
//! *Owns*: the exceptions from the even spread of slots over shards. *Promises*: of two that speak of a slot the one
//! with the greater epoch counts, whatever the order in which they are heard. *Assumes*: an epoch of a slot is given
//! out once. *Never*: moves anything.

mod claim;

use std::collections::BTreeMap;

use crate::ids::{ShardId, Slot};

pub use claim::{Arrived, Claim};

/// Who holds a slot since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// How often the slot has changed hands; 0 is the even spread.
    pub epoch: u32,
    /// Who holds it.
    pub holder: ShardId,
}

/// The table: the even spread, but for what was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    shards: u16,
    seats: BTreeMap<Slot, Seat>,
}

impl Owners {
    /// Slots spread evenly over so many shards.
    pub fn new(shards: u16) -> Owners {
        Owners { shards: shards.max(1), seats: BTreeMap::new() }
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The shard that serves a slot.
    pub fn owner(&self, slot: Slot) -> ShardId {
        self.seat(slot).holder
    }

    /// The shard that serves a normalised address.
    pub fn of(&self, address: &str) -> ShardId {
        self.owner(Slot::of(address))
    }

    /// Who holds a slot since when.
    pub fn seat(&self, slot: Slot) -> Seat {
        self.seats.get(&slot).copied().unwrap_or(Seat { epoch: 0, holder: slot.shard(self.shards) })
    }

    /// Takes in what a log says; false when it was known, is older, or names no shard of these.
    pub fn learn(&mut self, slot: Slot, seat: Seat) -> bool {
        let is_newer = seat > self.seat(slot) && seat.holder.0 < self.shards;
        if is_newer {
            self.seats.insert(slot, seat);
        }
        is_newer
    }

    /// All that was learnt, in order of slots.
    pub fn seats(&self) -> impl Iterator<Item = (Slot, Seat)> + '_ {
        self.seats.iter().map(|(slot, seat)| (*slot, *seat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_epoch_counts_in_any_order() {
        let slot = Slot(5);
        let seat = |epoch, holder| Seat { epoch, holder: ShardId(holder) };
        let told = [seat(1, 0), seat(3, 2), seat(2, 1)];
        for first in 0..3 {
            let mut owners = Owners::new(3);
            assert_eq!(owners.owner(slot), ShardId(2), "spread evenly");
            for nth in 0..3 {
                owners.learn(slot, told[(first + nth) % 3]);
            }
            assert_eq!(owners.seat(slot), seat(3, 2));
            assert_eq!(owners.owner(Slot(6)), ShardId(0), "others stay");
            assert!(!owners.learn(slot, seat(3, 2)) && !owners.learn(slot, seat(2, 0)), "old news");
            assert!(!owners.learn(slot, seat(9, 3)), "there is no such shard");
            assert_eq!(owners.seats().collect::<Vec<_>>(), [(slot, seat(3, 2))]);
        }
    }
}
