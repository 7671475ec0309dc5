//! Names of things, none of which is ever reused.
//!
//! *Owns*: the identifier types and the slot hash. *Promises*: the widths here are the widths on disk.
//! *Assumes*: nothing. *Never*: hands out an identifier; that is the store's work.

use std::fmt;

use crate::log::record;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// A shard of this server, 0-based.
    ShardId(u16)
}
id! {
    /// An account. The upper 16 bits are the shard that created it, the lower 48 a counter; 0 is nobody.
    AccountId(u64)
}
id! {
    /// A mailbox of one account, counted from 1; 0 is none.
    MailboxId(u32)
}
id! {
    /// A message's unique identifier within a mailbox, counted from 1 (rfc3501#2.3.1.1); 0 is none.
    Uid(u32)
}
id! {
    /// A mod-sequence, counted per account, so that it grows across all its mailboxes (rfc7162#3.1); 0 is
    /// none.
    ModSeq(u64)
}
id! {
    /// A position in a shard's log, in bytes since the log began. Positions only grow; gaps mark recoveries.
    Lsn(u64)
}
id! {
    /// A segment file of a shard's log, counted from 1.
    SegmentId(u64)
}
id! {
    /// A stored message body: the position of the record that brought it in. It outlives moves of the bytes.
    BodyId(u64)
}
id! {
    /// What a stored message's octets are known by to clients (rfc8474#5.1), on whatever shard they lie by now: the
    /// upper 12 bits are the shard that stored them first, the lower 52 their position there; 0 is none.
    EmailId(u64)
}
id! {
    /// One of [`SLOTS`] parts of the name space; a table maps slots to shards.
    Slot(u16)
}

/// Names a stored body and says how long its parts are: all that it takes to find them, for they stand one after
/// the other in the record at that position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BodyKey {
    /// Which.
    pub id: BodyId,
    /// Bytes of the encoded summary, which comes first.
    pub summary_len: u32,
    /// Octets of the message, which come behind it.
    pub len: u32,
}

impl BodyKey {
    /// Bytes of its record, header included.
    pub fn record_bytes(self) -> u64 {
        record::HEAD_BYTES as u64 + u64::from(self.summary_len) + u64::from(self.len)
    }
}

/// How many slots there are. Fixed for ever: it is part of the meaning of a data folder.
pub const SLOTS: u16 = 4096;

impl AccountId {
    /// The account that `shard` creates as its `counter`-th (from 1).
    pub fn new(shard: ShardId, counter: u64) -> AccountId {
        AccountId((u64::from(shard.0) << 48) | (counter & ((1 << 48) - 1)))
    }

    /// The counter half of the id.
    pub fn counter(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }
}

impl EmailId {
    /// The octets that `shard` stored as this body. A log has less than 4 PiB of positions.
    pub fn new(shard: ShardId, body: BodyId) -> EmailId {
        EmailId((u64::from(shard.0) << 52) | (body.0 & ((1 << 52) - 1)))
    }
}

impl Slot {
    /// The slot of a *normalised* address (see [`normalise_address`]).
    pub fn of(address: &str) -> Slot {
        Slot((crc32fast::hash(address.as_bytes()) % u32::from(SLOTS)) as u16)
    }

    /// The shard that owns this slot when `shards` shards share the slots evenly.
    pub fn shard(self, shards: u16) -> ShardId {
        ShardId(self.0 % shards.max(1))
    }
}

/// The form under which an address is looked up: lower case, everything else untouched.
pub fn normalise_address(address: &str) -> String {
    address.to_lowercase()
}

/// The time, as every entry point gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump; only for what people read.
    pub unix_ms: u64,
    /// Milliseconds since some fixed moment. Never goes back; for every time-out.
    pub mono_ms: u64,
}
