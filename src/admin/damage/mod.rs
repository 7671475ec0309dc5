//! What rot has cost, and how far the look for it is.
//!
//! *Owns*: `ringpost damage`, `ringpost scrub`, and the server's answers to them. *Promises*: a shard is asked for a
//! bounded step at a time. *Assumes*: the shards know what they hide. *Never*: repairs.

mod cli;
pub mod server;

pub use cli::{DAMAGE_NOTES, SCRUB_NOTES, ScrubArgs, damage, scrub};
