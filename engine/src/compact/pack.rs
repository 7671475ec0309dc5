//! A pack: records of bodies that compaction took out of segments and older packs.
//!
//! *Owns*: the bytes of a pack. *Promises*: what is read of it counts only with its sum; a record in it is what it was
//! in its segment, byte by byte. *Assumes*: whoever adds records does so in order of position. *Never*: changes once
//! it has its name.
//!
//! ```text
//!  | header, 64 bytes | lead | record | lead | record | … | table | fences | trailer, 64 bytes |
//!
//!  lead:    24 bytes: sum of the rest, bytes of the record as it is stored, position: u64, flags: u32, zero: u32
//!  table:   16 bytes for each record, ascending: position: u64, offset of its lead: u32, flags: u32
//!  fences:  16 bytes for every 128 entries: position: u64 and offset: u32 of the first, sum of the entries: u32
//! ```
//!
//! It stands for a range of positions: what is not in its table was dead when it was made. Everything that leads to
//! a record is there twice, so that flipped bits in one place cost nothing but time: without trailer, fences or header
//! the leads are walked ([`super::table`]).

use std::ops::Range;

use bytes::Bytes;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::table::{BLOCK_ENTRIES, ENTRY_BYTES, Entry, FENCE_BYTES, Fence, Table, fences};
use crate::error::Error;
use crate::ids::{Lsn, ShardId};
use crate::io::{Disk, Extent, FileId, View};
use crate::log::batch::LogIdentity;
use crate::press::stored::{self, Form};

/// `RINGPACK`
const MAGIC: [u8; 8] = *b"RINGPACK";
/// `PACK` `END.`
const END: [u8; 8] = *b"PACKEND.";
/// The format version that this code writes, and the newest that it reads.
const FORMAT: u16 = crate::log::FORMAT;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: U16,
    shard: U16,
    lead_crc: U32,
    log_key: U64,
    number: U64,
    from: U64,
    to: U64,
    reserved: [u8; 12],
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
    fences_crc: U32,
    version: U16,
    shard: U16,
    crc: U32,
}

/// What stands before each record.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct LeadBytes {
    crc: U32,
    stored: U32,
    position: U64,
    flags: U32,
    reserved: U32,
}

/// What stands before a record in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The position that the record had in the log.
    pub position: u64,
    /// Bytes of the record as it is stored here, its header included.
    pub stored: u32,
    /// How it is stored ([`crate::press::stored`]); 0: as it was.
    pub flags: u32,
}

/// Bytes of the header.
pub const HEAD_BYTES: u64 = size_of::<Head>() as u64;
/// Bytes of what stands before a record.
pub const LEAD_BYTES: u64 = size_of::<LeadBytes>() as u64;
const TRAILER_BYTES: u64 = size_of::<Trailer>() as u64;

impl Lead {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        let mut lead = LeadBytes {
            crc: U32::ZERO,
            stored: U32::new(self.stored),
            position: U64::new(self.position),
            flags: U32::new(self.flags),
            reserved: U32::ZERO,
        };
        lead.crc = U32::new(crc32fast::hash(&lead.as_bytes()[4..]));
        Bytes::copy_from_slice(lead.as_bytes())
    }

    /// Reads it; none when the sum does not hold.
    pub fn decode(bytes: &[u8]) -> Option<Lead> {
        let (lead, _) = LeadBytes::ref_from_prefix(bytes).ok()?;
        let sound = lead.crc.get() == crc32fast::hash(&lead.as_bytes()[4..]);
        let (position, stored, flags) = (lead.position.get(), lead.stored.get(), lead.flags.get());
        sound.then_some(Lead { position, stored, flags })
    }
}

/// The header of a pack that stands for these positions.
pub fn head(log: LogIdentity, number: u64, range: &Range<u64>) -> Bytes {
    let mut head = Head {
        magic: MAGIC,
        version: U16::new(FORMAT),
        shard: U16::new(log.shard.0),
        lead_crc: U32::ZERO,
        log_key: U64::new(log.log_key),
        number: U64::new(number),
        from: U64::new(range.start),
        to: U64::new(range.end),
        reserved: [0; 12],
        crc: U32::ZERO,
    };
    head.lead_crc = U32::new(crc32fast::hash(&head.as_bytes()[..12]));
    head.crc = U32::new(crc32fast::hash(&head.as_bytes()[..HEAD_BYTES as usize - 4]));
    Bytes::copy_from_slice(head.as_bytes())
}

/// What stands behind the last record, which ends at `at`; and the fences, for who goes on using them.
pub fn end(
    log: LogIdentity,
    number: u64,
    range: &Range<u64>,
    at: u64,
    entries: &[Entry],
) -> (Bytes, Vec<Fence>) {
    let fences = fences(entries);
    let mut out = Vec::with_capacity(entries.len() * ENTRY_BYTES + fences.len() * FENCE_BYTES);
    entries.iter().for_each(|entry| entry.encode(&mut out));
    out.extend_from_slice(&tail((log, number, range), at, entries.len(), &fences));
    (out.into(), fences)
}

/// What stands behind the table: the fences, and the trailer.
fn tail(
    (log, number, range): (LogIdentity, u64, &Range<u64>),
    at: u64,
    count: usize,
    fences: &[Fence],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(fences.len() * FENCE_BYTES + TRAILER_BYTES as usize);
    fences.iter().for_each(|fence| fence.encode(&mut out));
    let mut trailer = Trailer {
        magic: END,
        log_key: U64::new(log.log_key),
        number: U64::new(number),
        from: U64::new(range.start),
        to: U64::new(range.end),
        table: U64::new(at),
        count: U32::new(count as u32),
        fences_crc: U32::new(crc32fast::hash(&out)),
        version: U16::new(FORMAT),
        shard: U16::new(log.shard.0),
        crc: U32::ZERO,
    };
    trailer.crc = U32::new(crc32fast::hash(&trailer.as_bytes()[..TRAILER_BYTES as usize - 4]));
    out.extend_from_slice(trailer.as_bytes());
    out
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
    /// Which records it has, and where.
    pub table: Table,
    /// What is not as it was written, though nothing is lost by it.
    pub damage: Option<&'static str>,
    /// What was alive at this position of the log is in it; 0 if that is long ago.
    pub begun: Lsn,
    /// What its records would take as they were; 0 if that is not known.
    plain: u64,
    view: Box<dyn View>,
}

/// Reads of one file.
struct Reader<'d> {
    disk: &'d mut dyn Disk,
    file: FileId,
}

impl Reader<'_> {
    /// These bytes; none when the file does not have them all.
    fn read(&mut self, offset: u64, len: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut buffer = vec![0; len as usize];
        let read = self.disk.read(self.file, offset, &mut buffer);
        let read =
            read.map_err(|error| Error::Io { doing: format!("reading {}", self.file.name()), error })?;
        Ok((read == buffer.len()).then_some(buffer))
    }
}

impl Pack {
    /// A pack that was just made.
    pub fn made(
        number: u64,
        range: Range<u64>,
        bytes: u64,
        table: Table,
        view: Box<dyn View>,
        begun: Lsn,
    ) -> Pack {
        Pack { number, range, bytes, table, damage: None, begun, plain: 0, view }.measured()
    }

    /// Learns from the preface behind the records what they would take as they were.
    fn measured(mut self) -> Pack {
        let behind = self.preface_at(self.range.end.saturating_sub(1));
        let facts = behind.and_then(|(extent, _)| stored::facts(&self.slice(extent.offset, extent.len)?));
        self.plain = facts.map_or(0, |(plain, _)| plain);
        self
    }

    /// Reads header, fences and trailer of a file, and its records where those do not hold. None: nothing of it can
    /// be read, or it is of another log.
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
        let mut reader = Reader { disk, file };
        let head = head_of(&mut reader, number, bytes)?;
        let ended = match bytes > HEAD_BYTES + TRAILER_BYTES {
            true => end_of(&mut reader, number, bytes)?,
            false => None,
        };
        let known = head.clone().or(ended.as_ref().map(|(known, _)| known.clone()));
        if let (Some((found, _)), Some(log)) = (&known, log)
            && *found != log
        {
            return Ok(None);
        }
        let damage = match (&head, &ended) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some("its header is damaged"),
            (_, None) => Some("its table is damaged, and was made anew of its records"),
        };
        let table = match ended {
            Some((_, table)) => table,
            None => Table::of_leads(bytes, |offset, len| reader.read(offset, len))?,
        };
        let range = known.map(|(_, range)| range).or_else(|| table.span());
        let Some(range) = range else { return Ok(None) };
        let view =
            disk.map(file).map_err(|error| Error::Io { doing: format!("mapping {}", file.name()), error })?;
        Ok(Some(Pack { number, range, bytes, table, damage, begun: Lsn(0), plain: 0, view }.measured()))
    }

    /// Bytes of the records in it, whether they are alive or dead.
    pub fn room(&self) -> u64 {
        let beside = LEAD_BYTES as usize + ENTRY_BYTES;
        let beside =
            HEAD_BYTES + TRAILER_BYTES + (self.table.len() * beside + self.table.fence_bytes()) as u64;
        self.bytes.saturating_sub(beside)
    }

    /// The share of its bytes that so many bytes of its records take, which they had as they were. Never 0 of
    /// anything, however well it is compressed: what takes nothing goes (I22).
    pub fn share(&self, plain: u64) -> u64 {
        let share = match self.plain {
            0 => plain,
            all => (u128::from(plain.min(all)) * u128::from(self.room()) / u128::from(all)) as u64,
        };
        share.max(plain.min(1))
    }

    fn preface_at(&self, position: u64) -> Option<(Extent, bool)> {
        let entry = self.find(position)?;
        let Form::Preface { mixed, bytes } = Form::of(entry.flags)? else { return None };
        Some((Extent { file: FileId::Pack(self.number), offset: entry.record(), len: bytes }, mixed))
    }

    /// Where its first preface is, and whether bodies in it were too young to be compressed. None: nothing in it is
    /// compressed.
    pub fn preface(&self) -> Option<(Extent, bool)> {
        self.preface_at(self.range.start).or_else(|| self.preface_at(self.range.end.saturating_sub(1)))
    }

    /// What its compressed bodies have in common; from the second preface if the first is damaged.
    pub fn dictionary(&self) -> Option<Bytes> {
        [self.range.start, self.range.end.saturating_sub(1)].into_iter().find_map(|position| {
            let (extent, _) = self.preface_at(position)?;
            stored::dictionary(&self.slice(extent.offset, extent.len)?)
        })
    }

    /// What has to stand behind its table, and where; none if the table was made anew of the leads.
    pub(crate) fn tail(&self, log: LogIdentity) -> Option<(u64, Vec<u8>)> {
        let Table::Mapped { at, count, fences } = &self.table else { return None };
        let begin = at + (count * ENTRY_BYTES) as u64;
        Some((begin, tail((log, self.number, &self.range), *at, *count, fences)))
    }

    /// Where its last record ends; none if that is not known.
    pub(crate) fn records_end(&self) -> Option<u64> {
        match &self.table {
            Table::Mapped { at, .. } => Some(*at),
            Table::Rebuilt(_) => None,
        }
    }

    /// How many bodies it has.
    pub fn records(&self) -> usize {
        let places = [self.range.start, self.range.end.saturating_sub(1)];
        self.table.len() - places.into_iter().filter(|place| self.preface_at(*place).is_some()).count()
    }

    /// What has to be in memory before [`Pack::find`] is asked for a position; none if nothing has to.
    pub fn page_of(&self, position: u64) -> Option<Extent> {
        let (offset, len) = self.table.block_of(position)?;
        Some(Extent { file: FileId::Pack(self.number), offset, len })
    }

    /// Where the record of a position is. One look at the table, and none at the records unless it is damaged.
    pub fn find(&self, position: u64) -> Option<Entry> {
        self.table.find(position, &*self.view)
    }

    /// Every entry of its table in order, and where the table is damaged.
    pub fn entries(&self) -> (Vec<Entry>, Vec<u64>) {
        self.table.entries(&*self.view)
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

/// Which log a pack is of, and which positions it stands for.
type Known = (LogIdentity, Range<u64>);

fn refuse_newer(file: FileId, found: u16) -> Result<(), Error> {
    if found > FORMAT { Err(Error::NewerFormat { file, found, known: FORMAT }) } else { Ok(()) }
}

/// What the header says; none when it does not hold.
fn head_of(reader: &mut Reader<'_>, number: u64, bytes: u64) -> Result<Option<Known>, Error> {
    let Some(read) = reader.read(0, HEAD_BYTES.min(bytes))? else { return Ok(None) };
    let Ok(head) = Head::read_from_bytes(&read) else { return Ok(None) };
    let lead = head.magic == MAGIC && head.lead_crc.get() == crc32fast::hash(&head.as_bytes()[..12]);
    if lead {
        refuse_newer(reader.file, head.version.get())?;
    }
    let sound = lead
        && head.crc.get() == crc32fast::hash(&head.as_bytes()[..HEAD_BYTES as usize - 4])
        && head.number.get() == number
        && head.from.get() < head.to.get();
    let log = LogIdentity { shard: ShardId(head.shard.get()), log_key: head.log_key.get() };
    Ok(sound.then(|| (log, head.from.get()..head.to.get())))
}

/// What trailer and fences say; none when one of them does not hold.
fn end_of(reader: &mut Reader<'_>, number: u64, bytes: u64) -> Result<Option<(Known, Table)>, Error> {
    let Some(read) = reader.read(bytes - TRAILER_BYTES, TRAILER_BYTES)? else { return Ok(None) };
    let Ok(trailer) = Trailer::read_from_bytes(&read) else { return Ok(None) };
    let sound = trailer.crc.get() == crc32fast::hash(&trailer.as_bytes()[..TRAILER_BYTES as usize - 4])
        && trailer.magic == END
        && trailer.number.get() == number
        && trailer.from.get() < trailer.to.get();
    if !sound {
        return Ok(None);
    }
    refuse_newer(reader.file, trailer.version.get())?;
    let (at, count) = (trailer.table.get(), trailer.count.get() as usize);
    let fences_at = at.saturating_add((count * ENTRY_BYTES) as u64);
    let fences_bytes = (count.div_ceil(BLOCK_ENTRIES) * FENCE_BYTES) as u64;
    if at < HEAD_BYTES || fences_at.saturating_add(fences_bytes + TRAILER_BYTES) != bytes {
        return Ok(None);
    }
    let fences = reader.read(fences_at, fences_bytes)?;
    let Some(fences) = fences.filter(|read| crc32fast::hash(read) == trailer.fences_crc.get()) else {
        return Ok(None);
    };
    let log = LogIdentity { shard: ShardId(trailer.shard.get()), log_key: trailer.log_key.get() };
    Ok(Some(((log, trailer.from.get()..trailer.to.get()), Table::mapped(at, count, &fences))))
}
