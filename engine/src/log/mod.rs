//! The log: segments hold batches, batches hold records.
//!
//! *Owns*: the bytes on disk (`engine/README.md` draws them), the order of writes, how they are read back.
//! *Promises*: positions never name two things; nothing durable is ever written over.
//! *Assumes*: sectors of a write in flight may each be old or new, all others stand (README, fault model).
//! *Never*: knows what a change means; that is [`crate::codec`] and [`crate::index`].
//!
//! Reading order: [`record`], [`batch`], `build`, [`segment`], `supply`, `writer`,
//! `places`, [`scan`].

pub mod batch;
pub(crate) mod build;
pub mod chain;
pub(crate) mod places;
pub mod record;
pub mod scan;
pub mod segment;
pub(crate) mod supply;
pub(crate) mod writer;

/// Every batch begins at a multiple of this, and a segment's header fills the first one: no block (of a page
/// cache or of a disk) that holds something durable is written a second time. I2
pub const BLOCK: u64 = 4096;

/// The format version that this code writes, and the newest that it reads: of every file of a shard (README §1.6).
pub const FORMAT: u16 = 1;

/// Positions and batch numbers stay below this: sums with them cannot overflow, and no log gets there.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// One block of zeroes, to pad with.
pub(crate) static ZEROES: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// The next multiple of [`BLOCK`].
pub(crate) fn padded(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK) * BLOCK
}
