//! Which shard serves which slot.
//!
//! *Owns*: the exceptions from the even spread of slots over shards. *Promises*: of two that speak of a slot the one
//! with the greater epoch counts, whatever the order in which they are heard. *Assumes*: an epoch of a slot is given
//! out once. *Never*: moves anything.

use std::collections::BTreeMap;

use crate::ids::{AccountId, ShardId, Slot};
use crate::limits::{ALIAS_TARGETS_MAX, SLOT_ACCOUNTS_MAX, SLOT_ALIAS_BYTES_MAX};

/// Who holds a slot since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// How often the slot has changed hands; 0 is the even spread.
    pub epoch: u32,
    /// Who holds it.
    pub holder: ShardId,
}

/// A shard takes a slot over: everything of it has come, and is served by this log from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Which.
    pub slot: Slot,
    /// Above every epoch that the slot had.
    pub epoch: u32,
    /// Who has come; at most `limits::SLOT_ACCOUNTS_MAX`.
    pub accounts: Vec<Arrived>,
    /// The slot's aliases and their targets; at most `limits::SLOT_ALIAS_BYTES_MAX` in all.
    pub aliases: Vec<(String, Vec<String>)>,
}

/// An account that has come whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Which.
    pub account: AccountId,
    /// Mailboxes it must have; 0: it was deleted, and came for what can be had back of it.
    pub mailboxes: u32,
    /// Messages, likewise.
    pub messages: u64,
    /// Octets of these.
    pub bytes: u64,
}

impl Claim {
    /// Whether it is within its bounds.
    pub fn fits(&self) -> bool {
        let bytes = |(address, targets): &(String, Vec<String>)| {
            address.len() + targets.iter().map(String::len).sum::<usize>()
        };
        self.accounts.len() <= SLOT_ACCOUNTS_MAX
            && self.aliases.iter().all(|(_, targets)| targets.len() <= ALIAS_TARGETS_MAX)
            && self.aliases.iter().map(bytes).sum::<usize>() <= SLOT_ALIAS_BYTES_MAX
    }
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
