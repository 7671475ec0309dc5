//! The newest checkpoint that can be read.
//!
//! *Owns*: which of the files make one up, and whether they do. *Promises*: writes nothing; an index that is given
//! out is that of one position of the log; what is refused is told by name. *Assumes*: names of files are
//! true. *Never*: trusts a byte without its sum.

use std::collections::{BTreeMap, BTreeSet};

use super::format::{
    END_MAGIC, Footer, Group, HEAD_BYTES, Older, TRAILER_BYTES, is_header, next_record, open_trailer,
};
use super::wire::Wire;
use super::{Key, Point, parity};
use crate::error::Error;
use crate::ids::{Lsn, SegmentId, ShardId};
use crate::index::Index;
use crate::io::{Disk, FileId, IoError};
use crate::limits::{CHECKPOINT_FOOTERS_BYTES_MAX, CHECKPOINT_GROUP_BYTES_MAX};
use crate::log::batch::LogIdentity;
use crate::log::chain::Chain;

/// A checkpoint that was read.
pub(crate) struct Found {
    /// The state.
    pub index: Index,
    /// Up to where it is that of the log.
    pub point: Point,
    /// The number of its newest file.
    pub file: u32,
    /// All its files.
    pub files: BTreeSet<u32>,
    /// The position of the checkpoint before, which can still be read; 0 if there is none.
    pub before: Lsn,
    /// The files of that one.
    pub files_before: BTreeSet<u32>,
    /// Bytes read.
    pub bytes: u64,
    /// What was damaged and could be made anew.
    pub repaired: Vec<String>,
}

/// What a look at the checkpoints brought.
#[derive(Default)]
pub(crate) struct Looked {
    /// The newest that can be read.
    pub found: Option<Found>,
    /// All files there are, by number.
    pub files: BTreeMap<u32, u64>,
    /// Those that are no good as the newest, and why.
    pub refused: Vec<String>,
}

/// What is looked for.
pub(crate) struct Search {
    /// Of which shard.
    pub shard: ShardId,
    /// Only checkpoints with a smaller number.
    pub below: u32,
    /// Only checkpoints of this position or an earlier one.
    pub until: Lsn,
    /// A planted bug: sums are not looked at.
    pub trust: bool,
}

/// Reads the newest checkpoint that is whole and belongs to this log.
pub(crate) fn newest(disk: &mut dyn Disk, chain: &Chain, search: &Search) -> Result<Looked, Error> {
    let mut looked = Looked { files: files(disk)?, ..Looked::default() };
    let numbers: Vec<u32> = looked.files.range(..search.below).map(|(number, _)| *number).rev().collect();
    for file in numbers {
        let mut reading = Reading {
            disk: &mut *disk,
            chain,
            files: &looked.files,
            footers: BTreeMap::new(),
            damaged: BTreeSet::new(),
            trust: search.trust,
        };
        match reading.checkpoint(file, search) {
            Ok(found) => {
                looked.found = Some(found);
                break;
            }
            Err(Refusal::Later) => {}
            Err(Refusal::Because(why)) => {
                looked.refused.push(format!("{}: {why}", FileId::Checkpoint(u64::from(file)).name()));
            }
            Err(Refusal::Stop(error)) => return Err(error),
        }
    }
    Ok(looked)
}

/// The checkpoint files there are, and their bytes.
pub(crate) fn files(disk: &mut dyn Disk) -> Result<BTreeMap<u32, u64>, Error> {
    let listed = disk.list().map_err(|error| io("listing the checkpoints", error))?;
    let number = |file| match file {
        FileId::Checkpoint(number) => u32::try_from(number).ok(),
        _ => None,
    };
    Ok(listed.into_iter().filter_map(|(file, bytes)| Some((number(file)?, bytes))).collect())
}

/// Whether a checkpoint of this log is of a position in that segment.
pub(crate) fn is_of_segment(
    disk: &mut dyn Disk,
    log: LogIdentity,
    segment: SegmentId,
) -> Result<bool, Error> {
    for (file, bytes) in files(disk)? {
        let footer = footer(disk, file, bytes, false)?;
        if footer.is_some_and(|(footer, _)| footer.log == log && footer.point.tail.segment == segment) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a file's footer says; none when neither of the two that it has verifies. And whether all of header, footers and
/// trailers is as it was written.
pub(crate) fn footer(
    disk: &mut dyn Disk,
    file: u32,
    bytes: u64,
    trust: bool,
) -> Result<Option<(Footer, bool)>, Error> {
    let id = FileId::Checkpoint(u64::from(file));
    let mut read = |offset: u64, len: u64| -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; len as usize];
        let read = disk.read(id, offset, &mut buffer);
        buffer.truncate(read.map_err(|error| io("reading a checkpoint", error))?);
        Ok(buffer)
    };
    if bytes < (HEAD_BYTES + TRAILER_BYTES) as u64 {
        return Ok(None);
    }
    let has_header = is_header(&read(0, HEAD_BYTES as u64)?, file)?;
    // From the back: a trailer that names its file, and the footer before it.
    let looked = bytes.saturating_sub(HEAD_BYTES as u64).min(CHECKPOINT_FOOTERS_BYTES_MAX);
    let tail = read(bytes - looked, looked)?;
    let mut ends = memchr::memmem::rfind_iter(&tail, END_MAGIC);
    let last = tail.len().checked_sub(TRAILER_BYTES);
    let found = ends.find_map(|at| {
        let (len, crc) = open_trailer(&tail[at..], file)?;
        let body = &tail[at.checked_sub(len as usize)?..at];
        let footer = Footer::decode(body).filter(|_| trust || crc32fast::hash(body) == crc)?;
        let whole = body.len() + TRAILER_BYTES;
        let before = at.checked_sub(len as usize + whole).map(|before| &tail[before..before + whole]);
        let twice = before == Some(&tail[at - len as usize..at + TRAILER_BYTES]) || footer.parity.is_none();
        (footer.file == file).then_some((footer, has_header && Some(at) == last && twice))
    });
    Ok(found)
}

enum Refusal {
    /// It is of a later position than what is asked for.
    Later,
    /// It cannot be used.
    Because(String),
    /// Nothing can.
    Stop(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Stop(error)
    }
}

fn because<T>(why: &str) -> Result<T, Refusal> {
    Err(Refusal::Because(why.to_owned()))
}

struct Reading<'d> {
    disk: &'d mut dyn Disk,
    chain: &'d Chain,
    files: &'d BTreeMap<u32, u64>,
    footers: BTreeMap<u32, Option<(Footer, bool)>>,
    /// Files of which something had to be made anew.
    damaged: BTreeSet<u32>,
    /// A planted bug: sums are not looked at.
    trust: bool,
}

impl Reading<'_> {
    fn footer(&mut self, file: u32) -> Result<Option<Footer>, Error> {
        if !self.footers.contains_key(&file) {
            let bytes = self.files.get(&file).copied().unwrap_or(0);
            let footer = footer(self.disk, file, bytes, self.trust)?;
            self.footers.insert(file, footer);
        }
        let found = self.footers.get(&file).cloned().flatten();
        if let Some((_, false)) = &found {
            self.damaged.insert(file);
        }
        Ok(found.map(|(footer, _)| footer))
    }

    fn checkpoint(&mut self, file: u32, search: &Search) -> Result<Found, Refusal> {
        let Some(footer) = self.footer(file)? else { return because("its trailer does not verify") };
        if self.chain.log != Some(footer.log) {
            return because("it belongs to another log");
        }
        let point = footer.point.clone();
        if !self.chain.segments.iter().any(|info| info.segment == point.tail.segment) {
            return because("the log does not go through its position");
        }
        if point.tail.end > search.until {
            return Err(Refusal::Later);
        }
        let mut index = Index::new(search.shard);
        let mut parts = vec![(file, Older { file, bytes: footer.bytes, live: footer.live })];
        parts.extend(footer.older.iter().map(|older| (older.file, *older)));
        parts.sort_unstable_by_key(|(file, _)| std::cmp::Reverse(*file));
        let mut gone = BTreeSet::new();
        let mut bytes = 0;
        for &(part, older) in &parts {
            let Some(footer) = self.footer(part)? else {
                return because("a file that it needs is missing or does not verify");
            };
            let view = self.disk.map(FileId::Checkpoint(u64::from(part)));
            let view = view.map_err(|error| io("mapping a checkpoint", error))?;
            bytes += self.records(&mut index, part, &footer, &mut gone)?;
            let is_damaged = self.damaged.contains(&part);
            index.images_mut().found(older, footer.groups, footer.parity, is_damaged, view);
        }
        if index.finish_loading().is_none() {
            return because("its records do not make one index");
        }
        let files: BTreeSet<u32> = parts.iter().map(|(file, _)| *file).collect();
        let name = |file: &u32| FileId::Checkpoint(u64::from(*file)).name();
        let told = |file| format!("{}: some of it is damaged, and was made anew of the rest", name(file));
        let repaired = self.damaged.intersection(&files).map(told).collect();
        let (before, files_before) = self.before(footer.previous)?;
        Ok(Found { index, point, file, files, before, files_before, bytes, repaired })
    }

    /// The checkpoint before, which stands in should this one be found damaged one day.
    fn before(&mut self, previous: u32) -> Result<(Lsn, BTreeSet<u32>), Refusal> {
        let Some(footer) = self.footer(previous)? else { return Ok((Lsn(0), BTreeSet::new())) };
        let files: BTreeSet<u32> = footer.older.iter().map(|older| older.file).chain([previous]).collect();
        let complete = files.iter().all(|file| self.files.contains_key(file));
        Ok(if complete { (footer.point.tail.end, files) } else { (Lsn(0), BTreeSet::new()) })
    }

    /// Takes the records of a file that no newer file has told of.
    fn records(
        &mut self,
        index: &mut Index,
        file: u32,
        footer: &Footer,
        gone: &mut BTreeSet<Key>,
    ) -> Result<u64, Refusal> {
        let mut bytes = 0;
        for (at, group) in footer.groups.iter().enumerate() {
            let buffer = match self.group(file, group)? {
                Some(buffer) => Some(buffer),
                None => self.rebuild(file, footer, at)?,
            };
            let Some(buffer) = buffer else { return because("records of it are damaged") };
            bytes += buffer.len() as u64;
            let mut wire = Wire::new(&buffer);
            while !wire.is_empty() {
                let before = wire.left();
                let Some((key, payload)) = next_record(&mut wire) else {
                    return because("a record of it does not hold together");
                };
                let len = (before - wire.left()) as u32;
                if index.has(&key) || gone.contains(&key) {
                    continue;
                }
                let Some(payload) = payload else {
                    gone.insert(key);
                    continue;
                };
                if index.load(&key, payload, file, len).is_none() {
                    return Err(Refusal::Because(format!("the record of {key:?} does not hold together")));
                }
            }
        }
        Ok(bytes)
    }

    /// A damaged group, from the rest of the file.
    fn rebuild(&mut self, file: u32, footer: &Footer, at: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut failed = None;
        let read = |group: &Group| match self.group(file, group) {
            Ok(bytes) => bytes,
            Err(error) => {
                failed = Some(error);
                None
            }
        };
        let rebuilt = parity::rebuild(&footer.groups, footer.parity, at, read);
        if let Some(error) = failed {
            return Err(error);
        }
        if rebuilt.is_some() {
            self.damaged.insert(file);
        }
        Ok(rebuilt)
    }

    fn group(&mut self, file: u32, group: &Group) -> Result<Option<Vec<u8>>, Error> {
        let size = self.files.get(&file).copied().unwrap_or(0);
        let fits = group.len <= CHECKPOINT_GROUP_BYTES_MAX
            && group.offset.checked_add(u64::from(group.len)).is_some_and(|end| end <= size);
        if !fits {
            return Ok(None);
        }
        let mut buffer = vec![0; group.len as usize];
        let read = self.disk.read(FileId::Checkpoint(u64::from(file)), group.offset, &mut buffer);
        let read = read.map_err(|error| io("reading a checkpoint", error))?;
        Ok((read == buffer.len() && (self.trust || crc32fast::hash(&buffer) == group.crc)).then_some(buffer))
    }
}

fn io(doing: &str, error: IoError) -> Error {
    Error::Io { doing: doing.to_owned(), error }
}
