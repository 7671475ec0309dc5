//! The store of Ringpost: an append-only log with an in-memory index, as a value.
//!
//! *Owns*: the on-disk format, the order of changes, every index over them, recovery.
//! *Promises*: what `complete` reported durable survives any crash; a reader sees only durable state;
//! the same requests and completions give the same state.
//! *Assumes*: one owner thread; a disk that obeys the fault model in `README.md`.
//! *Never*: does I/O itself, reads a clock, draws randomness, names a protocol.
//!
//! Reading order: [`ids`], [`change`], [`io`], [`store`], [`log`], [`index`], [`recovery`], [`verify`].
#![forbid(unsafe_code)]

pub mod arrival;
pub mod change;
pub(crate) mod checkpoint;
pub mod codec;
pub mod compact;
pub mod error;
pub mod ids;
mod import;
pub mod index;
pub mod io;
pub mod layout;
pub mod limits;
pub mod log;
pub mod octets;
pub mod origin;
pub mod owners;
pub mod press;
mod quota;
pub mod recovery;
mod rights;
pub mod scrub;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod uid_set;
pub mod verify;
