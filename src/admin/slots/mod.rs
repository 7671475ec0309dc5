//! Which shard has which part of the name space, and how much lies in each.
//!
//! *Owns*: `ringpost slots` and the server's answer to it, moves included. *Promises*: an address is in one
//! slot, a slot on one
//! shard; what is counted account by account takes a page of accounts at a time. *Assumes*: a shard's own figures
//! for its sums. *Never*: opens a file.

mod cli;
pub(crate) mod mover;
pub mod moves;
mod picture;
mod plan;
pub mod server;

pub use cli::{NOTES, SlotsArgs, slots};
