//! The bytes of a checkpoint file.
//!
//! *Owns*: header, groups of records, footer and trailer (README §10 draws them). *Promises*: nothing counts
//! without its sum; the first 16 bytes mean the same in every version. *Assumes*: whoever reads asks a disk
//! for it piece by piece. *Never*: knows what a record says.

use super::wire::{Wire, put, put_octets, put_text};
use super::{Key, Point};
use crate::error::Error;
use crate::ids::{AccountId, Lsn, SegmentId, ShardId, Slot};
use crate::io::FileId;
use crate::log::batch::LogIdentity;
use crate::log::build::Witness;
use crate::log::segment::LogPoint;

/// The format version that this code writes, and the newest that it reads.
pub const FORMAT: u16 = crate::log::FORMAT;
/// `RINGCKPT`
const MAGIC: [u8; 8] = *b"RINGCKPT";
/// `CKPTDONE`
pub(crate) const END_MAGIC: &[u8; 8] = b"CKPTDONE";
/// Bytes of the header.
pub(crate) const HEAD_BYTES: usize = 36;
/// Bytes of the header that are the same in every version.
const LEAD_BYTES: usize = 16;
/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 24;
/// Bytes of the sum before a blob.
pub(crate) const SUM_BYTES: usize = 4;

/// A run of records in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u32,
    /// Their sum.
    pub crc: u32,
}

/// An older file that a checkpoint needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Older {
    /// Its number.
    pub file: u32,
    /// Bytes of the records and blobs in it.
    pub bytes: u64,
    /// How many of them are still needed.
    pub live: u64,
}

/// What stands at the end of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Its number.
    pub file: u32,
    /// Which log it is of.
    pub log: LogIdentity,
    /// Up to where it holds the log's state.
    pub point: Point,
    /// The checkpoint before; 0 if there is none.
    pub previous: u32,
    /// Bytes of the records and blobs in it.
    pub bytes: u64,
    /// How many of them are still needed.
    pub live: u64,
    /// The other files that belong to it.
    pub older: Vec<Older>,
    /// Its records.
    pub groups: Vec<Group>,
    /// What one of them can be made anew from; files of earlier builds have none.
    pub parity: Option<Group>,
}

/// The header of a file.
pub(crate) fn header(file: u32, log: LogIdentity) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..8].copy_from_slice(&MAGIC);
    head[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    head[10..12].copy_from_slice(&log.shard.0.to_le_bytes());
    let lead = crc32fast::hash(&head[..12]);
    head[12..16].copy_from_slice(&lead.to_le_bytes());
    head[16..24].copy_from_slice(&log.log_key.to_le_bytes());
    head[24..32].copy_from_slice(&u64::from(file).to_le_bytes());
    let crc = crc32fast::hash(&head[..32]);
    head[32..36].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Whether these are the first bytes of the file with this number; an error when a newer version wrote it.
pub(crate) fn is_header(bytes: &[u8], file: u32) -> Result<bool, Error> {
    let Some(head) = bytes.get(..HEAD_BYTES) else { return Ok(false) };
    let sum = crc32fast::hash(&head[..12]).to_le_bytes();
    if head[..8] != MAGIC || head[12..LEAD_BYTES] != sum {
        return Ok(false);
    }
    let found = u16::from_le_bytes([head[8], head[9]]);
    if found > FORMAT {
        let file = FileId::Checkpoint(u64::from(file));
        return Err(Error::NewerFormat { file, found, known: FORMAT });
    }
    let sum = crc32fast::hash(&head[..32]).to_le_bytes();
    Ok(head[32..] == sum && head[24..32] == u64::from(file).to_le_bytes())
}

impl Footer {
    /// Footer and trailer, and both again: whichever is found counts.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_once().repeat(2)
    }

    fn encode_once(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [u64::from(self.file), u64::from(self.log.shard.0), self.log.log_key] {
            put(&mut out, number);
        }
        let LogPoint { segment, end, sequence, crc } = self.point.tail;
        for number in [segment.0, end.0, sequence, u64::from(crc), self.point.time_ms] {
            put(&mut out, number);
        }
        match &self.point.witness {
            Witness::Any => put(&mut out, 0),
            Witness::Accounts(accounts) => {
                put(&mut out, accounts.len() as u64 + 1);
                accounts.iter().for_each(|account| put(&mut out, account.0));
            }
        }
        for number in [u64::from(self.previous), self.bytes, self.live] {
            put(&mut out, number);
        }
        put(&mut out, self.older.len() as u64);
        for older in &self.older {
            [u64::from(older.file), older.bytes, older.live].iter().for_each(|&number| put(&mut out, number));
        }
        put(&mut out, self.groups.len() as u64);
        for group in &self.groups {
            let numbers = [group.offset, u64::from(group.len), u64::from(group.crc)];
            numbers.iter().for_each(|&number| put(&mut out, number));
        }
        if let Some(parity) = &self.parity {
            let numbers = [parity.offset, u64::from(parity.len), u64::from(parity.crc)];
            numbers.iter().for_each(|&number| put(&mut out, number));
        }
        let len = u32::try_from(out.len()).expect("a footer names few files and groups of a mebibyte");
        let footer_crc = crc32fast::hash(&out);
        let mut trailer = Vec::with_capacity(TRAILER_BYTES);
        trailer.extend_from_slice(END_MAGIC);
        for word in [len, footer_crc, self.file] {
            trailer.extend_from_slice(&word.to_le_bytes());
        }
        let crc = crc32fast::hash(&trailer);
        trailer.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&trailer);
        out
    }

    /// Reads a footer whose sum was verified.
    pub fn decode(bytes: &[u8]) -> Option<Footer> {
        let mut wire = Wire::new(bytes);
        let file = wire.word()?;
        let shard = ShardId(u16::try_from(wire.number()?).ok()?);
        let log = LogIdentity { shard, log_key: wire.number()? };
        let tail = LogPoint {
            segment: SegmentId(wire.number()?),
            end: Lsn(wire.number()?),
            sequence: wire.number()?,
            crc: wire.word()?,
        };
        let time_ms = wire.number()?;
        let witness = match wire.count()? {
            0 => Witness::Any,
            more => {
                Witness::Accounts((1..more).map(|_| wire.number().map(AccountId)).collect::<Option<_>>()?)
            }
        };
        let previous = wire.word()?;
        let (own_bytes, live) = (wire.number()?, wire.number()?);
        let mut older = Vec::new();
        for _ in 0..wire.count()? {
            older.push(Older { file: wire.word()?, bytes: wire.number()?, live: wire.number()? });
        }
        let mut groups = Vec::new();
        for _ in 0..wire.count()? {
            groups.push(Group { offset: wire.number()?, len: wire.word()?, crc: wire.word()? });
        }
        let parity = match wire.is_empty() {
            true => None,
            false => Some(Group { offset: wire.number()?, len: wire.word()?, crc: wire.word()? }),
        };
        let point = Point { tail, witness, time_ms };
        let footer = Footer { file, log, point, previous, bytes: own_bytes, live, older, groups, parity };
        wire.is_empty().then_some(footer)
    }
}

/// How long the footer before this trailer is, and its sum; none when the trailer does not verify.
pub(crate) fn open_trailer(bytes: &[u8], file: u32) -> Option<(u32, u32)> {
    let trailer = bytes.get(..TRAILER_BYTES)?;
    let word =
        |at: usize| u32::from_le_bytes([trailer[at], trailer[at + 1], trailer[at + 2], trailer[at + 3]]);
    let sound = &trailer[..8] == END_MAGIC && word(20) == crc32fast::hash(&trailer[..20]) && word(16) == file;
    sound.then(|| (word(8), word(12)))
}

/// A blob: its sum and the bytes.
pub(crate) fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The bytes of a blob; none when they are not what the sum says.
pub(crate) fn open_blob(blob: &[u8]) -> Option<&[u8]> {
    let (sum, bytes) = blob.split_at_checked(SUM_BYTES)?;
    (sum == crc32fast::hash(bytes).to_le_bytes()).then_some(bytes)
}

/// Adds a record to a group; none of a payload says that the key is gone.
pub(crate) fn put_record(out: &mut Vec<u8>, key: &Key, payload: Option<&[u8]>) {
    match key {
        Key::Shard => out.push(1),
        Key::Domain(name) => {
            out.push(2);
            put_text(out, name);
        }
        Key::Alias(address) => {
            out.push(3);
            put_text(out, address);
        }
        Key::Bodies(part) => {
            out.push(4);
            put(out, *part);
        }
        Key::Graves(part) => {
            out.push(6);
            put(out, *part);
        }
        Key::Slot(slot) => {
            out.push(7);
            put(out, u64::from(slot.0));
        }
        Key::Account(account) => {
            out.push(5);
            put(out, account.0);
        }
    }
    out.push(u8::from(payload.is_some()));
    if let Some(payload) = payload {
        put_octets(out, payload);
    }
}

/// The next record of a group and the bytes it takes.
pub(crate) fn next_record<'a>(wire: &mut Wire<'a>) -> Option<(Key, Option<&'a [u8]>)> {
    let key = match wire.byte()? {
        1 => Key::Shard,
        2 => Key::Domain(wire.text()?.to_owned()),
        3 => Key::Alias(wire.text()?.to_owned()),
        4 => Key::Bodies(wire.number()?),
        5 => Key::Account(AccountId(wire.number()?)),
        6 => Key::Graves(wire.number()?),
        7 => Key::Slot(Slot(u16::try_from(wire.word()?).ok()?)),
        _ => return None,
    };
    match wire.byte()? {
        0 => Some((key, None)),
        1 => Some((key, Some(wire.octets()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_read_back_and_no_bit_of_it_may_differ() {
        let footer = Footer {
            file: 7,
            log: LogIdentity { shard: ShardId(3), log_key: u64::MAX },
            point: Point {
                tail: LogPoint { segment: SegmentId(9), end: Lsn(1 << 40), sequence: 88, crc: 5 },
                witness: Witness::Accounts(vec![AccountId(1), AccountId(1 << 48)]),
                time_ms: 1_700_000_000_000,
            },
            previous: 6,
            bytes: 1000,
            live: 1000,
            older: vec![Older { file: 4, bytes: 99, live: 9 }],
            groups: vec![Group { offset: 40, len: 900, crc: u32::MAX }],
            parity: Some(Group { offset: 940, len: 900, crc: 1 }),
        };
        let twice = footer.encode();
        let bytes = twice[twice.len() / 2..].to_vec();
        assert_eq!(&twice[..twice.len() / 2], bytes);
        let (body, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES);
        let opened = open_trailer(trailer, 7);
        assert_eq!(opened, Some((body.len() as u32, crc32fast::hash(body))));
        assert_eq!(Footer::decode(body), Some(footer.clone()));
        let point = Point { witness: Witness::Any, ..footer.point.clone() };
        let any = Footer { point, parity: None, ..footer };
        let bytes = any.encode_once();
        assert_eq!(Footer::decode(&bytes[..bytes.len() - TRAILER_BYTES]), Some(any));
        assert_eq!(open_trailer(trailer, 8), None);
        for bit in 0..TRAILER_BYTES * 8 {
            let mut rotten = trailer.to_vec();
            rotten[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_trailer(&rotten, 7), None, "bit {bit}");
        }
    }

    #[test]
    fn a_header_names_its_file_and_a_newer_version_is_refused_by_name() {
        let log = LogIdentity { shard: ShardId(3), log_key: 5 };
        let head = header(7, log);
        assert_eq!(
            (is_header(&head, 7), is_header(&head, 8), is_header(&head[1..], 7)),
            (Ok(true), Ok(false), Ok(false))
        );
        let mut newer = head;
        newer[8] = 9;
        let lead = crc32fast::hash(&newer[..12]).to_le_bytes();
        newer[12..16].copy_from_slice(&lead);
        let refused = is_header(&newer, 7).expect_err("of a newer version");
        assert!(refused.to_string().contains("0000000007.ckp has format 9"), "{refused}");
    }

    #[test]
    fn records_and_blobs_are_read_back() {
        let keys = [
            Key::Shard,
            Key::Domain("example.org".into()),
            Key::Alias("a@example.org".into()),
            Key::Bodies(300),
            Key::Graves(301),
            Key::Slot(Slot(4095)),
            Key::Account(AccountId(1 << 50)),
        ];
        let mut out = Vec::new();
        for key in &keys {
            put_record(&mut out, key, Some(b"payload"));
            put_record(&mut out, key, None);
        }
        let mut wire = Wire::new(&out);
        for key in &keys {
            assert_eq!(next_record(&mut wire), Some((key.clone(), Some(&b"payload"[..]))));
            assert_eq!(next_record(&mut wire), Some((key.clone(), None)));
        }
        assert!(wire.is_empty());
        let mut blob = Vec::new();
        put_blob(&mut blob, b"rows");
        assert_eq!(open_blob(&blob), Some(&b"rows"[..]));
        blob[5] ^= 1;
        assert_eq!((open_blob(&blob), open_blob(b"123")), (None, None));
    }
}
