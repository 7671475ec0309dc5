//! Packs read as a whole, for tools.
//!
//! *Owns*: the way through every record of a pack, and the comparison of what leads to them. *Promises*: goes on
//! behind what is damaged, and tells each damage once; a record that it gives out has its sum, and its table says the
//! same of it as its lead. *Assumes*: a pack that has its name does not change. *Never*: judges whether a record is
//! needed.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::pack::{LEAD_BYTES, Lead, Pack};
use super::table::Entry;
use crate::error::Error;
use crate::ids::Lsn;
use crate::io::{Disk, FileId};
use crate::limits::{BODY_BYTES_MAX, SCAN_CHUNK_BYTES};
use crate::log::chain::Chain;
use crate::log::record::{HEAD_BYTES as RECORD_HEAD, KIND_BODY, RecordHead, RecordMeta};
use crate::press::stored::{self, Form, all_blocks};
use crate::press::{Folded, Unfolder};

/// A pack, by its header and its end.
#[derive(Clone, Debug)]
pub struct PackInfo {
    /// Its number.
    pub number: u64,
    /// The positions that it stands for.
    pub range: Range<u64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// How many records it has.
    pub records: usize,
    /// Whether no other pack stands for all of it.
    pub in_use: bool,
    /// What is not as it was written; it can be read all the same.
    pub damage: Option<&'static str>,
}

/// A record in a pack.
#[derive(Clone, Copy, Debug)]
pub struct PackRecord {
    /// In which pack.
    pub pack: u64,
    /// Where in it its payload begins.
    pub payload_offset: u64,
    /// The position that it has in the log.
    pub lsn: Lsn,
    /// What its header says.
    pub meta: RecordMeta,
}

/// Is told what is in packs.
pub trait PackVisitor {
    /// A body's record, and its payload.
    fn packed(&mut self, record: &PackRecord, payload: &[u8]);
    /// Bytes of a pack that are not what was written.
    fn damaged(&mut self, pack: u64, offset: u64, what: &str);
}

/// The packs of a log in order of position, and those of which nothing can be read.
///
/// # Errors
/// The disk's, and a newer format.
pub fn packs(disk: &mut dyn Disk, chain: &Chain) -> Result<(Vec<PackInfo>, Vec<u64>), Error> {
    let (mut all, mut unreadable) = (Vec::<PackInfo>::new(), Vec::new());
    for &(number, bytes) in &chain.packs {
        let Some(pack) = Pack::open(disk, number, bytes, chain.log)? else {
            unreadable.push(number);
            continue;
        };
        let Pack { range, damage, .. } = &pack;
        for older in &mut all {
            older.in_use &= older.range.start < range.start || range.end < older.range.end;
        }
        let (range, damage, records) = (range.clone(), *damage, pack.records());
        all.push(PackInfo { number, range, bytes, records, in_use: true, damage });
    }
    all.sort_by_key(|pack| pack.range.start);
    Ok((all, unreadable))
}

/// Reads every record of a pack in order of position.
///
/// # Errors
/// The disk's, and a newer format.
pub fn survey(
    disk: &mut dyn Disk,
    (number, bytes): (u64, u64),
    chain: &Chain,
    visitor: &mut dyn PackVisitor,
) -> Result<(), Error> {
    let Some(pack) = Pack::open(disk, number, bytes, chain.log)? else {
        visitor.damaged(number, 0, "nothing of it can be read");
        return Ok(());
    };
    if let Some(what) = pack.damage {
        visitor.damaged(number, 0, what);
    }
    let dictionary = pack.dictionary().unwrap_or_default();
    let mut unfolder = Unfolder::default();
    let (entries, doubtful) = pack.entries();
    doubtful.iter().for_each(|&at| visitor.damaged(number, at, "a part of its table is damaged"));
    let mut window = Window { disk, number, bytes, start: 0, buffer: Vec::new() };
    for entry in entries {
        match record(&mut window, &entry, &dictionary, &mut unfolder)? {
            Ok(None) => {}
            Ok(Some((meta, payload))) => {
                let payload_offset = entry.record() + RECORD_HEAD as u64;
                let lsn = Lsn(entry.position);
                visitor.packed(&PackRecord { pack: number, payload_offset, lsn, meta }, &payload);
            }
            Err(what) => visitor.damaged(number, u64::from(entry.offset), what),
        }
    }
    Ok(())
}

type Found<'w> = Result<Option<(RecordMeta, Cow<'w, [u8]>)>, &'static str>;

/// The record that an entry leads to, if its lead, its header and its sum agree; none where a preface is.
fn record<'w>(
    window: &'w mut Window<'_>,
    entry: &Entry,
    dictionary: &Bytes,
    unfolder: &mut Unfolder,
) -> Result<Found<'w>, Error> {
    let lead = window.at(u64::from(entry.offset), LEAD_BYTES)?.and_then(Lead::decode);
    let Some(lead) = lead else { return Ok(Err("what stands before a record is damaged")) };
    if (lead.position, lead.flags) != (entry.position, entry.flags) {
        return Ok(Err("the table and what stands before a record do not agree"));
    }
    let Some(form) = Form::of(lead.flags) else {
        return Ok(Err("a record is stored in a form that is not known here"));
    };
    let Some(bytes) = window.at(entry.record(), u64::from(lead.stored))? else {
        return Ok(Err("a record reaches behind the end"));
    };
    if let Form::Preface { .. } = form {
        let preface = stored::dictionary(&Bytes::copy_from_slice(bytes));
        return Ok(preface.map(|_| None).ok_or("what compressed bodies have in common is damaged"));
    }
    let Some(head) = RecordHead::read(bytes) else { return Ok(Err("a record is too short")) };
    let payload = match form {
        Form::Pressed(_) => unfolded(&head.meta(), bytes, dictionary, unfolder).map(Cow::Owned),
        _ => head.verifies(&bytes[RECORD_HEAD..]).then(|| Cow::Borrowed(&bytes[RECORD_HEAD..])),
    };
    let whole = payload.filter(|_| head.kind == KIND_BODY).map(|payload| Some((head.meta(), payload)));
    Ok(whole.ok_or("a record is damaged"))
}

/// Summary and octets of a record whose body is compressed; none unless its sum holds.
fn unfolded(
    meta: &RecordMeta,
    record: &[u8],
    dictionary: &Bytes,
    unfolder: &mut Unfolder,
) -> Option<Vec<u8>> {
    let (head, rest) = record.split_at_checked(RECORD_HEAD + meta.summary_len as usize)?;
    let octets = meta.len.checked_sub(meta.summary_len).filter(|len| *len as usize <= BODY_BYTES_MAX)?;
    let blocks = all_blocks(octets, &Bytes::copy_from_slice(rest))?;
    let folded = Folded { head: Bytes::copy_from_slice(head), blocks, dictionary: 0 };
    let octets = folded.octets(std::slice::from_ref(dictionary), unfolder)?;
    Some([&head[RECORD_HEAD..], &octets].concat())
}

/// A piece of a pack in memory.
struct Window<'d> {
    disk: &'d mut dyn Disk,
    number: u64,
    /// Of the file: what is asked for lies within.
    bytes: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl Window<'_> {
    /// These bytes; none when they are not all in the file.
    fn at(&mut self, offset: u64, len: u64) -> Result<Option<&[u8]>, Error> {
        let Some(end) = offset.checked_add(len).filter(|&end| end <= self.bytes) else { return Ok(None) };
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let ahead = len.max(SCAN_CHUNK_BYTES as u64).min(self.bytes - offset);
            self.buffer.resize(ahead as usize, 0);
            let file = FileId::Pack(self.number);
            let read = self.disk.read(file, offset, &mut self.buffer);
            let read =
                read.map_err(|error| Error::Io { doing: format!("reading {}", file.name()), error })?;
            self.buffer.truncate(read);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(self.buffer.get(from..from + len as usize))
    }
}
