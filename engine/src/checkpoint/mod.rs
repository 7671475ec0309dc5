//! Checkpoints: the index on disk, so that a start need not replay the whole log.
//!
//! *Owns*: `.ckp` files: their bytes, what of them is still needed, when one is written and when one goes.
//! *Promises*: a checkpoint is the index as of one position of the log, whatever changes while it is written;
//! what is written goes by what has changed. *Assumes*: whoever changes the index says so first
//! ([`Tracker`]). *Never*: delays a commit; decides what a record says, that is [`crate::index`].
//!
//! Reading order: [`format`], [`round`], [`images`], [`keeper`], [`load`].

pub(crate) mod format;
pub(crate) mod images;
pub(crate) mod keeper;
pub(crate) mod load;
mod parity;
pub(crate) mod retry;
pub(crate) mod round;
pub(crate) mod wire;

use crate::ids::{AccountId, Slot};
use crate::log::build::Witness;
use crate::log::segment::LogPoint;

/// What a record is of. The newest record of a key counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// The shard's own counters.
    Shard,
    /// A domain.
    Domain(String),
    /// An alias, by its address.
    Alias(String),
    /// A part of what is known of bodies; what the number means is the body table's affair.
    Bodies(u64),
    /// A part of what was removed and can be had back, likewise.
    Graves(u64),
    /// A slot that was taken over or left.
    Slot(Slot),
    /// An account.
    Account(AccountId),
}

/// A position of the log between two batches, with what a scan that begins there has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// The last batch before it.
    pub tail: LogPoint,
    /// Whom that batch concerned. I6
    pub witness: Witness,
    /// Latest time of any batch before it.
    pub time_ms: u64,
}

/// Where bytes lie in a checkpoint file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// In which file.
    pub file: u32,
    /// How many bytes.
    pub len: u32,
    /// From which byte.
    pub offset: u64,
}
