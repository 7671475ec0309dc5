//! The unsafe leaf: mappings, gathered buffers, sockets, cores, signals, and a lock-free ring.
//!
//! *Owns*: every `unsafe` of the server. *Promises*: safe functions over memory and descriptors that they
//! own.
//! *Assumes*: Linux. *Never*: decides anything, names anything of ours.

pub mod buf;
pub mod cpu;
pub mod fault;
pub mod map;
pub mod plain;
pub mod process;
pub mod request;
pub mod ring;
#[cfg(test)]
mod ring_model;
pub mod socket;

/// The atomics that [`ring`] is built on; the model check puts its own in their place.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
}
