//! A record: one change, one body, or the witness of the batch before.
//!
//! *Owns*: the record's 24-byte header. *Promises*: the checksum covers header, account and payload.
//! *Assumes*: the batch vouches for headers, so that one rotten payload costs one record, not its neighbours.
//! *Never*: allocates by a length it has not checked.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ids::AccountId;

/// A message body: payload is the encoded summary, then the octets.
pub const KIND_BODY: u8 = 255;
/// The accounts of the batch before: payload is their ids, ascending. Always a batch's first record.
pub const KIND_WITNESS: u8 = 254;
/// Flag of a witness that could not name all accounts: any may have been concerned.
pub const FLAG_ANY_ACCOUNT: u8 = 1;

/// A record's header as it is on disk.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RecordHead {
    /// CRC-32 of the rest of the header and of the payload.
    pub crc: U32,
    /// Bytes of the payload.
    pub len: U32,
    /// Whose record; 0 for domains, aliases and witnesses.
    pub account: U64,
    /// Of a body: bytes of the summary at the start of the payload. Of a change: the number of the session that
    /// asked for it ([`crate::origin`]), 0 if the log does not say. Else 0.
    pub detail: U32,
    /// What it is.
    pub kind: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Zero.
    pub reserved: U16,
}

/// Bytes of a record's header.
pub const HEAD_BYTES: usize = size_of::<RecordHead>();

/// What a record's header says, checked by nobody yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// What it is.
    pub kind: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Whose.
    pub account: AccountId,
    /// Bytes of the payload.
    pub len: u32,
    /// Bytes of a body's summary; else 0.
    pub summary_len: u32,
    /// Which session asked for a change ([`crate::origin::session_number`]); 0 if the log does not say.
    pub session: u32,
}

impl RecordHead {
    /// The header of a record with this payload, given in parts.
    pub fn seal<'p>(meta: RecordMeta, payload: impl Iterator<Item = &'p [u8]>) -> RecordHead {
        let mut head = RecordHead {
            crc: U32::ZERO,
            len: U32::new(meta.len),
            account: U64::new(meta.account.0),
            detail: U32::new(if meta.kind == KIND_BODY { meta.summary_len } else { meta.session }),
            kind: meta.kind,
            flags: meta.flags,
            reserved: U16::ZERO,
        };
        let mut sum = crc32fast::Hasher::new();
        sum.update(&head.as_bytes()[4..]);
        let mut len = 0;
        for part in payload {
            sum.update(part);
            len += part.len();
        }
        assert_eq!(len, meta.len as usize, "I3: a record's length is its payload's");
        head.crc = U32::new(sum.finalize());
        head
    }

    /// Reads the header at the start of `bytes`; none when they are too few.
    pub fn read(bytes: &[u8]) -> Option<RecordHead> {
        RecordHead::read_from_prefix(bytes).ok().map(|(head, _)| head)
    }

    /// Whether header and payload agree with the checksum.
    pub fn verifies(&self, payload: &[u8]) -> bool {
        self.verifies_parts(&[payload])
    }

    /// As [`RecordHead::verifies`], of a payload in parts.
    pub fn verifies_parts(&self, parts: &[&[u8]]) -> bool {
        let mut sum = crc32fast::Hasher::new();
        sum.update(&self.as_bytes()[4..]);
        parts.iter().for_each(|part| sum.update(part));
        parts.iter().map(|part| part.len()).sum::<usize>() == self.len.get() as usize
            && (self.kind != KIND_BODY || self.detail.get() <= self.len.get())
            && sum.finalize() == self.crc.get()
    }

    /// What it says.
    pub fn meta(&self) -> RecordMeta {
        let (summary_len, session) = match self.kind {
            KIND_BODY => (self.detail.get(), 0),
            _ => (0, self.detail.get()),
        };
        RecordMeta {
            kind: self.kind,
            flags: self.flags,
            account: AccountId(self.account.get()),
            len: self.len.get(),
            summary_len,
            session,
        }
    }
}

/// The account ids of a witness's payload.
pub fn witness_accounts(payload: &[u8]) -> impl Iterator<Item = AccountId> + '_ {
    payload.as_chunks::<8>().0.iter().map(|id| AccountId(u64::from_le_bytes(*id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: RecordMeta =
        RecordMeta { kind: 3, flags: 0, account: AccountId(7), len: 5, summary_len: 0, session: 1 << 31 };

    #[test]
    fn every_flipped_bit_is_seen() {
        let head = RecordHead::seal(META, [&b"he"[..], b"llo"].into_iter());
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend_from_slice(b"hello");
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = RecordHead::read(&bytes).expect("long enough");
            assert!(!read.verifies(&bytes[HEAD_BYTES..]), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let read = RecordHead::read(&bytes).expect("long enough");
        assert!(read.verifies(&bytes[HEAD_BYTES..]));
        assert_eq!(read.meta(), META);
    }

    #[test]
    fn too_few_bytes_are_no_header() {
        assert!(RecordHead::read(&[0; HEAD_BYTES - 1]).is_none());
    }
}
