//! Accounts asleep, and the index as a checkpoint has it.
//!
//! *Owns*: heads as bytes, which accounts are awake, and what of the index is copied when. *Promises*: an account
//! that wakes up is the one that went to sleep. *Assumes*: [`crate::checkpoint`] brings bytes to the disk.
//! *Never*: changes what an account says.

pub(super) mod accounts;
mod copying;
pub(super) mod head;
pub mod moving;
