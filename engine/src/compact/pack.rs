//! A pack: records of bodies that compaction took out of segments and older packs.
//!
//! *Owns*: the bytes of a pack. *Promises*: a pack that opens is whole and of this log; a record in it is what it was in
//! its segment, byte by byte. *Assumes*: whoever adds records does so in order of position. *Never*: changes once it
//! has its name.
//!
//! ```text
//!  | header, 64 bytes | record | record | … | table: position u64, offset u32; ascending | trailer, 64 bytes |
//! ```
//!
//! It stands for a range of positions: what is not in its table was dead when it was made.

use std::ops::Range;

use bytes::Bytes;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::error::Error;
use crate::ids::{Lsn, ShardId};
use crate::io::{Disk, FileId, View};
use crate::log::batch::LogIdentity;

/// `RINGPACK`
const MAGIC: [u8; 8] = *b"RINGPACK";
/// `PACK` `END.`
const END: [u8; 8] = *b"PACKEND.";
/// The format version that this code writes, and the newest that it reads.
const FORMAT: u16 = 1;
/// Bytes of an entry of the table.
const ENTRY_BYTES: u64 = 12;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: U16,
    shard: U16,
    lead_crc: U32,
    log_key: U64,
    number: U64,
    reserved: [u8; 28],
    crc: U32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Trailer {
    magic: [u8; 8],
    log_key: U64,
    number: U64,
    from: U64,
    to: U64,
    table: U64,
    count: U32,
    table_crc: U32,
    reserved: U32,
    crc: U32,
}

/// Bytes of the header and of the trailer.
pub const HEAD_BYTES: u64 = size_of::<Head>() as u64;
const TRAILER_BYTES: u64 = size_of::<Trailer>() as u64;

/// The header of a pack.
pub fn head(log: LogIdentity, number: u64) -> Bytes {
    let mut head = Head {
        magic: MAGIC,
        version: U16::new(FORMAT),
        shard: U16::new(log.shard.0),
        lead_crc: U32::ZERO,
        log_key: U64::new(log.log_key),
        number: U64::new(number),
        reserved: [0; 28],
        crc: U32::ZERO,
    };
    head.lead_crc = U32::new(crc32fast::hash(&head.as_bytes()[..12]));
    head.crc = U32::new(crc32fast::hash(&head.as_bytes()[..HEAD_BYTES as usize - 4]));
    Bytes::copy_from_slice(head.as_bytes())
}

/// Table and trailer of a pack whose last record ends at `table`.
pub fn end(log: LogIdentity, number: u64, range: &Range<u64>, table: u64, entries: &[(u64, u32)]) -> Bytes {
    let mut out = Vec::with_capacity(entries.len() * ENTRY_BYTES as usize + TRAILER_BYTES as usize);
    for (position, offset) in entries {
        out.extend_from_slice(&position.to_le_bytes());
        out.extend_from_slice(&offset.to_le_bytes());
    }
    let mut trailer = Trailer {
        magic: END,
        log_key: U64::new(log.log_key),
        number: U64::new(number),
        from: U64::new(range.start),
        to: U64::new(range.end),
        table: U64::new(table),
        count: U32::new(entries.len() as u32),
        table_crc: U32::new(crc32fast::hash(&out)),
        reserved: U32::ZERO,
        crc: U32::ZERO,
    };
    trailer.crc = U32::new(crc32fast::hash(&trailer.as_bytes()[..TRAILER_BYTES as usize - 4]));
    out.extend_from_slice(trailer.as_bytes());
    out.into()
}

/// A pack that is in use.
#[derive(Debug)]
pub struct Pack {
    /// Its number.
    pub number: u64,
    /// The positions that it stands for.
    pub range: Range<u64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// How many records it has.
    pub count: usize,
    table: u64,
    view: Box<dyn View>,
}

impl Pack {
    /// A pack that was just made.
    pub fn made(number: u64, range: Range<u64>, table: u64, count: usize, view: Box<dyn View>) -> Pack {
        let bytes = table + count as u64 * ENTRY_BYTES + TRAILER_BYTES;
        Pack { number, range, bytes, count, table, view }
    }

    /// Reads header, table and trailer of a file. None: it is damaged, or of another log.
    ///
    /// # Errors
    /// The disk's, and a newer format.
    pub fn open(
        disk: &mut dyn Disk,
        number: u64,
        bytes: u64,
        log: Option<LogIdentity>,
    ) -> Result<Option<Pack>, Error> {
        let file = FileId::Pack(number);
        let io = |error| Error::Io { doing: format!("reading {}", file.name()), error };
        let mut read = |offset: u64, len: u64| -> Result<Option<Vec<u8>>, Error> {
            let mut buffer = vec![0; len as usize];
            let read = disk.read(file, offset, &mut buffer).map_err(io)?;
            Ok((read == buffer.len()).then_some(buffer))
        };
        let Some(room) = bytes.checked_sub(HEAD_BYTES + TRAILER_BYTES) else { return Ok(None) };
        let (Some(head), Some(trailer)) = (read(0, HEAD_BYTES)?, read(bytes - TRAILER_BYTES, TRAILER_BYTES)?)
        else {
            return Ok(None);
        };
        let (Ok(head), Ok(trailer)) = (Head::read_from_bytes(&head), Trailer::read_from_bytes(&trailer))
        else {
            return Ok(None);
        };
        let lead = head.magic == MAGIC && head.lead_crc.get() == crc32fast::hash(&head.as_bytes()[..12]);
        if lead && head.version.get() > FORMAT {
            let (found, known) = (head.version.get(), FORMAT);
            return Err(Error::NewerFormat { file, found, known });
        }
        let found = LogIdentity { shard: ShardId(head.shard.get()), log_key: head.log_key.get() };
        let table_bytes = u64::from(trailer.count.get()) * ENTRY_BYTES;
        let sound = lead
            && head.crc.get() == crc32fast::hash(&head.as_bytes()[..HEAD_BYTES as usize - 4])
            && trailer.crc.get() == crc32fast::hash(&trailer.as_bytes()[..TRAILER_BYTES as usize - 4])
            && trailer.magic == END
            && (trailer.number.get(), trailer.log_key.get()) == (number, found.log_key)
            && head.number.get() == number
            && log.is_none_or(|log| log == found)
            && table_bytes <= room
            && trailer.table.get() == HEAD_BYTES + room - table_bytes;
        if !sound {
            return Ok(None);
        }
        let table = trailer.table.get();
        let whole = read(table, table_bytes)?;
        if whole.is_none_or(|entries| crc32fast::hash(&entries) != trailer.table_crc.get()) {
            return Ok(None);
        }
        let view = disk.map(file).map_err(io)?;
        let (range, count) = (trailer.from.get()..trailer.to.get(), trailer.count.get() as usize);
        Ok(Some(Pack { number, range, bytes, count, table, view }))
    }

    /// Position and offset of a record.
    pub fn entry(&self, at: usize) -> Option<(u64, u64)> {
        let bytes = self.view.slice(self.table + at as u64 * ENTRY_BYTES, ENTRY_BYTES as u32)?;
        let (position, offset) = bytes.split_first_chunk::<8>()?;
        Some((u64::from_le_bytes(*position), u64::from(u32::from_le_bytes(offset.try_into().ok()?))))
    }

    /// Where the record of a position begins. Halves the table, which is in memory for the most part: it is a thousandth
    /// of what it leads to.
    pub fn find(&self, position: u64) -> Option<u64> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.entry(middle)? {
                (found, offset) if found == position => return Some(offset),
                (found, _) if found < position => low = middle + 1,
                _ => high = middle,
            }
        }
        None
    }

    /// Where the records end.
    pub fn records_end(&self) -> u64 {
        self.table
    }

    /// Some of its bytes.
    pub fn slice(&self, offset: u64, len: u32) -> Option<Bytes> {
        self.view.slice(offset, len)
    }

    /// Whether it stands for this position.
    pub fn stands_for(&self, position: Lsn) -> bool {
        self.range.contains(&position.0)
    }
}
