//! A batch: the records of one write, made durable together.
//!
//! *Owns*: the batch's 80-byte header and the walk over its records.
//! *Promises*: a batch that opens is exactly one that was written at this place of this log, after the batch
//! it names; what is read lies within the bytes given.
//! *Assumes*: nothing of the bytes. *Never*: decides whether a bad batch is torn or rotten; that is `scan`.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::record::{HEAD_BYTES as RECORD_HEAD, KIND_WITNESS, RecordHead};
use super::{FORMAT, NUMBER_MAX};
use crate::ids::{Lsn, SegmentId, ShardId};

/// `RPB1`
const MAGIC: u32 = u32::from_le_bytes(*b"RPB1");

/// A batch's header as it is on disk.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct BatchHead {
    magic: U32,
    version: U16,
    shard: U16,
    log_key: U64,
    segment: U64,
    sequence: U64,
    lsn: U64,
    durable: U64,
    time_ms: U64,
    len: U32,
    records: U32,
    prev_crc: U32,
    heads_crc: U32,
    reserved: U32,
    crc: U32,
}

/// Bytes of a batch's header.
pub const HEAD_BYTES: usize = size_of::<BatchHead>();

/// Which log a batch or segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The shard.
    pub shard: ShardId,
    /// The log's random key.
    pub log_key: u64,
}

/// What a batch's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMeta {
    /// The segment it lies in.
    pub segment: SegmentId,
    /// Its number; the batches of a log are numbered from 1 without gaps. I4
    pub sequence: u64,
    /// Position of its first byte.
    pub lsn: Lsn,
    /// Everything below had been durable when this batch was written.
    pub durable: Lsn,
    /// When it was written, milliseconds since 1970.
    pub time_ms: u64,
    /// Bytes of its records, headers included.
    pub len: u32,
    /// How many records, the witness included.
    pub records: u32,
    /// Checksum of the header of the batch before; 0 for the first.
    pub prev_crc: u32,
    /// CRC-32 of the headers of its records one after the other.
    pub heads_crc: u32,
}

impl BatchMeta {
    /// The header's bytes and their checksum, the link for the next batch.
    pub fn encode(&self, log: LogIdentity) -> ([u8; HEAD_BYTES], u32) {
        let mut head = BatchHead {
            magic: U32::new(MAGIC),
            version: U16::new(FORMAT),
            shard: U16::new(log.shard.0),
            log_key: U64::new(log.log_key),
            segment: U64::new(self.segment.0),
            sequence: U64::new(self.sequence),
            lsn: U64::new(self.lsn.0),
            durable: U64::new(self.durable.0),
            time_ms: U64::new(self.time_ms),
            len: U32::new(self.len),
            records: U32::new(self.records),
            prev_crc: U32::new(self.prev_crc),
            heads_crc: U32::new(self.heads_crc),
            reserved: U32::ZERO,
            crc: U32::ZERO,
        };
        let crc = crc32fast::hash(&head.as_bytes()[..HEAD_BYTES - 4]);
        head.crc = U32::new(crc);
        let mut bytes = [0; HEAD_BYTES];
        bytes.copy_from_slice(head.as_bytes());
        (bytes, crc)
    }

    /// Reads a header of `log` (of any log with `None`) at the start of `bytes`, with its checksum.
    /// None unless it is one of this format and whole.
    pub fn decode(bytes: &[u8], log: Option<LogIdentity>) -> Option<(BatchMeta, LogIdentity, u32)> {
        let head = BatchHead::ref_from_prefix(bytes).ok()?.0;
        let found = LogIdentity { shard: ShardId(head.shard.get()), log_key: head.log_key.get() };
        let ours = head.magic.get() == MAGIC
            && (1..=FORMAT).contains(&head.version.get())
            && log.is_none_or(|log| log == found)
            && head.lsn.get().max(head.sequence.get()) < NUMBER_MAX
            && crc32fast::hash(&head.as_bytes()[..HEAD_BYTES - 4]) == head.crc.get();
        let meta = BatchMeta {
            segment: SegmentId(head.segment.get()),
            sequence: head.sequence.get(),
            lsn: Lsn(head.lsn.get()),
            durable: Lsn(head.durable.get()),
            time_ms: head.time_ms.get(),
            len: head.len.get(),
            records: head.records.get(),
            prev_crc: head.prev_crc.get(),
            heads_crc: head.heads_crc.get(),
        };
        ours.then_some((meta, found, head.crc.get()))
    }

    /// Bytes of the whole batch without padding.
    pub fn bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.len)
    }
}

/// One record of a batch, by its place in the batch's payload.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Its header, vouched for by the batch.
    pub head: RecordHead,
    /// Where its header begins, in bytes from the start of the payload.
    pub at: usize,
    /// Whether its payload is what was written.
    pub sound: bool,
}

impl Slot {
    /// The record's payload within the batch's.
    pub fn payload<'p>(&self, batch_payload: &'p [u8]) -> &'p [u8] {
        let start = self.at + RECORD_HEAD;
        &batch_payload[start..start + self.head.len.get() as usize]
    }
}

/// Walks the records of a batch's payload. None when their headers are not the ones that were written; then
/// nothing in the batch can be told apart.
pub fn open(meta: &BatchMeta, payload: &[u8]) -> Option<Vec<Slot>> {
    if payload.len() != meta.len as usize || meta.records as usize > payload.len() / RECORD_HEAD {
        return None;
    }
    let mut slots = Vec::with_capacity(meta.records as usize);
    let mut heads = crc32fast::Hasher::new();
    let mut at = 0;
    for _ in 0..meta.records {
        let head = RecordHead::read(payload.get(at..)?)?;
        heads.update(head.as_bytes());
        let start = at + RECORD_HEAD;
        let body = payload.get(start..start.checked_add(head.len.get() as usize)?)?;
        slots.push(Slot { head, at, sound: head.verifies(body) });
        at = start + body.len();
    }
    let witnessed = slots.first().is_some_and(|slot| slot.head.kind == KIND_WITNESS);
    (at == payload.len() && witnessed && heads.finalize() == meta.heads_crc).then_some(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AccountId;
    use crate::log::record::RecordMeta;

    const LOG: LogIdentity = LogIdentity { shard: ShardId(2), log_key: 99 };

    fn sample() -> (BatchMeta, Vec<u8>) {
        let mut payload = Vec::new();
        let mut heads = crc32fast::Hasher::new();
        for (kind, body) in [(KIND_WITNESS, &b""[..]), (1, b"one"), (2, b"second")] {
            let meta = RecordMeta {
                kind,
                flags: 0,
                account: AccountId(5),
                len: body.len() as u32,
                summary_len: 0,
                session: 0,
            };
            let head = RecordHead::seal(meta, [body].into_iter());
            heads.update(head.as_bytes());
            payload.extend_from_slice(head.as_bytes());
            payload.extend_from_slice(body);
        }
        let meta = BatchMeta {
            segment: SegmentId(3),
            sequence: 17,
            lsn: Lsn(8192),
            durable: Lsn(8192),
            time_ms: 5,
            len: payload.len() as u32,
            records: 3,
            prev_crc: 1234,
            heads_crc: heads.finalize(),
        };
        (meta, payload)
    }

    #[test]
    fn header_survives_and_every_flipped_bit_is_seen() {
        let (meta, _) = sample();
        let (mut bytes, crc) = meta.encode(LOG);
        assert_eq!(BatchMeta::decode(&bytes, Some(LOG)), Some((meta, LOG, crc)));
        assert!(BatchMeta::decode(&bytes, Some(LogIdentity { log_key: 1, ..LOG })).is_none());
        for bit in 0..HEAD_BYTES * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(BatchMeta::decode(&bytes, None).is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_flipped_bit_costs_one_record_or_the_batch_never_more_than_it_says() {
        let (meta, mut payload) = sample();
        assert!(open(&meta, &payload).expect("sound").iter().all(|slot| slot.sound));
        for bit in 0..payload.len() * 8 {
            payload[bit / 8] ^= 1 << (bit % 8);
            if let Some(slots) = open(&meta, &payload) {
                assert_eq!(slots.iter().filter(|slot| !slot.sound).count(), 1, "bit {bit}");
            }
            payload[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn counts_and_lengths_beyond_the_bytes_are_refused() {
        let (meta, payload) = sample();
        assert!(open(&BatchMeta { records: u32::MAX, ..meta }, &payload).is_none());
        assert!(open(&BatchMeta { len: u32::MAX, ..meta }, &payload).is_none());
        assert!(open(&BatchMeta { records: 2, ..meta }, &payload).is_none());
        assert!(open(&meta, &payload[..payload.len() - 1]).is_none());
    }
}
