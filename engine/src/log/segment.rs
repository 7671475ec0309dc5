//! A segment: a file of zeroes that is filled once, from front to back, and never changes afterwards.
//!
//! *Owns*: the header in its first block, and its life. *Promises*: the header says where the log before it
//! ends.
//! *Assumes*: the header is written together with the first batch, and counts only with it.
//! *Never*: is appended to by another process than the one that made it.
//!
//! ```text
//!            Create              Rename             first batch            a batch does not fit
//!  (absent) ───────► Fresh file ───────► prepared ──────────────► current ─────────────────────► sealed
//!                         │ restart          │ restart: unlinked     │ restart: sealed at its end     │ Trim
//!                         ▼ unlinked         ▼                       ▼                                ▼
//! ```

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::batch::LogIdentity;
use super::{BLOCK, FORMAT, NUMBER_MAX};
use crate::error::Error;
use crate::ids::{Lsn, SegmentId, ShardId};
use crate::io::FileId;
use crate::limits;

/// `RINGPOST`
const MAGIC: [u8; 8] = *b"RINGPOST";

/// A segment's header as it is on disk. The first 16 bytes keep their meaning in every format version.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SegmentHead {
    magic: [u8; 8],
    version: U16,
    shard: U16,
    lead_crc: U32,
    log_key: U64,
    segment: U64,
    base: U64,
    prev_segment: U64,
    prev_end: U64,
    prev_sequence: U64,
    created_ms: U64,
    prev_crc: U32,
    crc: U32,
}

/// Bytes of the header; the rest of the first block is zero.
pub const HEAD_BYTES: usize = size_of::<SegmentHead>();
/// Bytes of the header that are the same in every version.
const LEAD_BYTES: usize = 16;

/// Bytes at the end of a segment that are kept for a full disk.
pub(crate) fn headroom(segment_bytes: u64) -> u64 {
    limits::HEADROOM_BYTES.min(segment_bytes / 8 / BLOCK * BLOCK)
}

/// Where a log stands between two batches: what a new segment's header records of the log before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPoint {
    /// The segment that the last batch lies in; 0 before the first.
    pub segment: SegmentId,
    /// Where that batch ends, padding included.
    pub end: Lsn,
    /// Its number.
    pub sequence: u64,
    /// Its header's checksum.
    pub crc: u32,
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// Which segment.
    pub segment: SegmentId,
    /// Position of its byte 0.
    pub base: Lsn,
    /// The log before it.
    pub prev: LogPoint,
    /// When it was begun, milliseconds since 1970.
    pub created_ms: u64,
}

impl SegmentMeta {
    /// The header's bytes.
    pub fn encode(&self, log: LogIdentity) -> [u8; HEAD_BYTES] {
        let mut head = SegmentHead {
            magic: MAGIC,
            version: U16::new(FORMAT),
            shard: U16::new(log.shard.0),
            lead_crc: U32::ZERO,
            log_key: U64::new(log.log_key),
            segment: U64::new(self.segment.0),
            base: U64::new(self.base.0),
            prev_segment: U64::new(self.prev.segment.0),
            prev_end: U64::new(self.prev.end.0),
            prev_sequence: U64::new(self.prev.sequence),
            created_ms: U64::new(self.created_ms),
            prev_crc: U32::new(self.prev.crc),
            crc: U32::ZERO,
        };
        head.lead_crc = U32::new(crc32fast::hash(&head.as_bytes()[..LEAD_BYTES - 4]));
        head.crc = U32::new(crc32fast::hash(&head.as_bytes()[..HEAD_BYTES - 4]));
        let mut bytes = [0; HEAD_BYTES];
        bytes.copy_from_slice(head.as_bytes());
        bytes
    }

    /// Reads the header of the file named `segment`. None when it is blank or damaged; an error when a newer
    /// version wrote it.
    pub fn decode(bytes: &[u8], segment: SegmentId) -> Result<Option<(SegmentMeta, LogIdentity)>, Error> {
        let Ok((head, _)) = SegmentHead::ref_from_prefix(bytes) else { return Ok(None) };
        let lead = crc32fast::hash(&head.as_bytes()[..LEAD_BYTES - 4]);
        if head.magic != MAGIC || lead != head.lead_crc.get() {
            return Ok(None);
        }
        if head.version.get() > FORMAT {
            let file = FileId::Segment(segment);
            return Err(Error::NewerFormat { file, found: head.version.get(), known: FORMAT });
        }
        let sound = head.crc.get() == crc32fast::hash(&head.as_bytes()[..HEAD_BYTES - 4])
            && head.segment.get() == segment.0
            && head.prev_segment.get() < segment.0
            && head.base.get().is_multiple_of(BLOCK)
            && head.base.get().max(head.prev_sequence.get()) < NUMBER_MAX
            && head.prev_end.get() <= head.base.get();
        let log = LogIdentity { shard: ShardId(head.shard.get()), log_key: head.log_key.get() };
        let prev = LogPoint {
            segment: SegmentId(head.prev_segment.get()),
            end: Lsn(head.prev_end.get()),
            sequence: head.prev_sequence.get(),
            crc: head.prev_crc.get(),
        };
        let meta =
            SegmentMeta { segment, base: Lsn(head.base.get()), prev, created_ms: head.created_ms.get() };
        Ok(sound.then_some((meta, log)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogIdentity = LogIdentity { shard: ShardId(1), log_key: 42 };

    fn sample() -> SegmentMeta {
        let prev = LogPoint { segment: SegmentId(4), end: Lsn(8192), sequence: 9, crc: 77 };
        SegmentMeta { segment: SegmentId(5), base: Lsn(12288), prev, created_ms: 1 }
    }

    #[test]
    fn survives_and_every_flipped_bit_is_seen() {
        let mut bytes = sample().encode(LOG);
        assert_eq!(SegmentMeta::decode(&bytes, SegmentId(5)), Ok(Some((sample(), LOG))));
        assert_eq!(SegmentMeta::decode(&bytes, SegmentId(6)), Ok(None));
        for bit in 0..HEAD_BYTES * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentMeta::decode(&bytes, SegmentId(5)), Ok(None), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_name_even_when_the_rest_is_unknown() {
        let mut bytes = sample().encode(LOG);
        bytes[8..10].copy_from_slice(&9u16.to_le_bytes());
        let lead = crc32fast::hash(&bytes[..LEAD_BYTES - 4]);
        bytes[12..16].copy_from_slice(&lead.to_le_bytes());
        bytes[20] ^= 0xff;
        let refused = Error::NewerFormat { file: FileId::Segment(SegmentId(5)), found: 9, known: FORMAT };
        assert_eq!(SegmentMeta::decode(&bytes, SegmentId(5)), Err(refused));
    }
}
