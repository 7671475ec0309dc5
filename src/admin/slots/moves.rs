//! The server's answer to whoever wants slots elsewhere.
//!
//! *Owns*: which slots move, one after the other, and what is told of it. *Promises*: one command moves slots
//! at a time; the
//! first slot that cannot go ends it, and those before are where they were to go. *Assumes*: [`super::mover`]
//! moves one.
//! *Never*: moves a slot to the shard that has it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ringpost_engine::ids::{SLOTS, ShardId, Slot};

use super::mover::{Moved, move_slot};
use super::plan::{self, Load};
use super::server::{Sum, sums};
use crate::admin::route::{Answer, Shards, Sink};
use crate::admin::wire::Line;
use crate::limits::SLOT_TELL_MS;

/// Held while slots move.
static MOVING: Mutex<()> = Mutex::new(());

/// Moves slots to a shard.
pub fn range(shards: &dyn Shards, (first, last): (u16, u16), to: u16, sink: &mut Sink<'_>) -> Answer {
    if first > last || last >= SLOTS {
        return Ok(Err(format!("slots are numbered 0 to {}, the smaller number first", SLOTS - 1)));
    }
    if to >= shards.count() {
        return Ok(Err(format!("shards are numbered 0 to {}", shards.count() - 1)));
    }
    let moves = (first..=last).map(|slot| (Slot(slot), ShardId(to)));
    all(shards, moves.filter(|(slot, to)| shards.owner(*slot) != *to), sink)
}

/// Moves slots until all shards have about the same, or tells which would move.
pub fn balance(shards: &dyn Shards, dry_run: bool, sink: &mut Sink<'_>) -> Answer {
    let sums = match sums(shards, None) {
        Ok(sums) => sums,
        Err(why) => return Ok(Err(why)),
    };
    let load = |(slot, sum): (u16, &Sum)| Load {
        slot: Slot(slot),
        shard: shards.owner(Slot(slot)),
        weight: plan::weight(sum.accounts, sum.messages, sum.bytes),
    };
    let loads: Vec<Load> = (0..SLOTS).zip(&sums).map(load).collect();
    let moves = plan::balance(&loads, shards.count());
    if !dry_run {
        return all(shards, moves.into_iter(), sink);
    }
    for (slot, to) in moves {
        let Sum { accounts, messages, bytes } = sums[usize::from(slot.0)];
        let from = shards.owner(slot).0;
        sink(Line::Planned { slot: slot.0, from, to: to.0, accounts, messages, bytes })?;
    }
    Ok(Ok(()))
}

fn all(shards: &dyn Shards, moves: impl Iterator<Item = (Slot, ShardId)>, sink: &mut Sink<'_>) -> Answer {
    let Ok(_alone) = MOVING.try_lock() else {
        return Ok(Err("slots are being moved already: wait until that is done".to_owned()));
    };
    for (slot, to) in moves {
        let from = shards.owner(slot).0;
        let mut told = Instant::now();
        let mut tell = |moved: &Moved| {
            if told.elapsed() < Duration::from_millis(SLOT_TELL_MS) {
                return Ok(());
            }
            told = Instant::now();
            sink(Line::Moving { slot: slot.0, bytes: moved.bytes })
        };
        match move_slot(shards, slot, to, &mut tell) {
            Ok(Moved { accounts, messages, bytes, held_ms }) => {
                sink(Line::Moved { slot: slot.0, from, to: to.0, accounts, messages, bytes, held_ms })?;
            }
            Err(why) => return Ok(Err(format!("slot {slot} stays on shard {}: {why}", shards.owner(slot)))),
        }
    }
    Ok(Ok(()))
}
