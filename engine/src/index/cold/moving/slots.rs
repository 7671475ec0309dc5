//! What this log knows of slots that changed shards.
//!
//! *Owns*: who holds each of them since which epoch, and whether something of one that was left is still here.
//! *Promises*: epochs of a slot only grow. *Assumes*: claims and leaves come from the log. *Never*: knows how
//! many shards
//! there are.

use std::collections::BTreeMap;

use crate::checkpoint::wire::{Wire, put};
use crate::ids::{ShardId, Slot};
use crate::index::digest::Digest;
use crate::owners::Seat;

/// See the module's head.
#[derive(Debug, Default)]
pub(in crate::index) struct Slots(BTreeMap<Slot, (Seat, bool)>);

impl Slots {
    /// Who holds it, as far as this log knows.
    pub(in crate::index) fn seat(&self, slot: Slot) -> Option<Seat> {
        self.0.get(&slot).map(|(seat, _)| *seat)
    }

    /// All that changed shards, and whether nothing of it is to be removed here.
    pub(in crate::index) fn all(&self) -> impl Iterator<Item = (Slot, Seat, bool)> + '_ {
        self.0.iter().map(|(slot, (seat, clear))| (*slot, *seat, *clear))
    }

    /// Takes a greater epoch in; false when it is not greater.
    pub(in crate::index) fn change(&mut self, slot: Slot, seat: Seat, clear: bool) -> bool {
        let is_newer = self.seat(slot).is_none_or(|known| known.epoch < seat.epoch);
        if is_newer {
            self.0.insert(slot, (seat, clear));
        }
        is_newer
    }

    /// Nothing is left of what was held before this epoch; false when it is another one.
    pub(in crate::index) fn clear(&mut self, slot: Slot, epoch: u32) -> bool {
        match self.0.get_mut(&slot) {
            Some((seat, clear)) if seat.epoch == epoch => {
                *clear = true;
                true
            }
            _ => false,
        }
    }

    /// For a checkpoint.
    pub(in crate::index) fn write(&self, slot: Slot, out: &mut Vec<u8>) -> bool {
        let Some((seat, clear)) = self.0.get(&slot) else { return false };
        let words = [seat.epoch, u32::from(seat.holder.0), u32::from(*clear)];
        words.into_iter().for_each(|word| put(out, u64::from(word)));
        true
    }

    /// From a checkpoint.
    pub(in crate::index) fn read(&mut self, slot: Slot, wire: &mut Wire<'_>) -> Option<()> {
        let (epoch, holder) = (wire.word()?, ShardId(u16::try_from(wire.word()?).ok()?));
        self.0.insert(slot, (Seat { epoch, holder }, wire.word()? != 0));
        Some(())
    }

    pub(in crate::index) fn digest(&self, digest: &mut Digest) {
        for (slot, (seat, clear)) in &self.0 {
            [u64::from(slot.0), u64::from(seat.epoch), u64::from(seat.holder.0), u64::from(*clear)]
                .into_iter()
                .for_each(|word| digest.word(word));
        }
    }
}
