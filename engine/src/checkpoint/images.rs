//! The files that hold the last checkpoint, and how much of each is still needed.
//!
//! *Owns*: views of `.ckp` files, and live bytes by file. *Promises*: live bytes equal what the newest records and
//! blobs take (I20). *Assumes*: who replaces or drops an image says so. *Never*: reads a file of its own accord.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::format::{Group, Older};
use super::{Piece, parity};
use crate::io::View;
use crate::limits::CHECKPOINT_FILES_MAX;

/// Bytes of one owner by file, for [`Images::release`]. A handful at most.
pub(crate) type Held = Vec<(u32, u64)>;

/// Adds to what is held of a file.
pub(crate) fn hold(held: &mut Held, file: u32, bytes: u64) {
    match held.iter_mut().find(|(known, _)| *known == file) {
        Some((_, sum)) => *sum += bytes,
        None => held.push((file, bytes)),
    }
}

#[derive(Debug)]
struct ImageFile {
    /// None while it is being written.
    view: Option<Box<dyn View>>,
    bytes: u64,
    live: u64,
    groups: Vec<Group>,
    parity: Option<Group>,
    /// Whether some of it had to be made anew: what is needed of it moves into the next one.
    is_damaged: bool,
}

impl ImageFile {
    fn new(view: Option<Box<dyn View>>, bytes: u64, live: u64) -> ImageFile {
        ImageFile { view, bytes, live, groups: Vec::new(), parity: None, is_damaged: false }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Images {
    files: BTreeMap<u32, ImageFile>,
}

impl Images {
    /// A file joins that is being written.
    pub fn begin(&mut self, file: u32) {
        self.files.insert(file, ImageFile::new(None, 0, 0));
    }

    /// The file is complete and can be read.
    pub fn complete(
        &mut self,
        file: u32,
        bytes: u64,
        (groups, parity): (Vec<Group>, Option<Group>),
        view: Box<dyn View>,
    ) {
        let live = self.live(file);
        self.files.insert(file, ImageFile { groups, parity, ..ImageFile::new(Some(view), bytes, live) });
    }

    /// A file was found, of which so much is needed.
    pub fn found(
        &mut self,
        older: Older,
        groups: Vec<Group>,
        parity: Option<Group>,
        is_damaged: bool,
        view: Box<dyn View>,
    ) {
        let entry = ImageFile::new(Some(view), older.bytes, older.live);
        self.files.insert(older.file, ImageFile { groups, parity, is_damaged, ..entry });
    }

    /// A group of records of a file, by its number; none when there is none, or when it is damaged.
    pub fn group(&self, file: u32, at: usize) -> Option<Result<Bytes, ()>> {
        let entry = self.files.get(&file)?;
        let group = entry.groups.get(at)?;
        let view = entry.view.as_ref();
        let read = |group: &Group| view.and_then(|view| view.slice(group.offset, group.len));
        let sound = read(group).filter(|bytes| crc32fast::hash(bytes) == group.crc);
        let rebuilt = || parity::rebuild(&entry.groups, entry.parity, at, read).map(Bytes::from);
        Some(sound.or_else(rebuilt).ok_or(()))
    }

    /// The complete files, ascending.
    pub fn files(&self) -> impl Iterator<Item = u32> + '_ {
        self.files.iter().filter(|(_, entry)| entry.view.is_some()).map(|(&file, _)| file)
    }

    /// The groups of a complete file.
    pub fn groups(&self, file: u32) -> Option<&[Group]> {
        self.files.get(&file).filter(|entry| entry.view.is_some()).map(|entry| entry.groups.as_slice())
    }

    /// The oldest file that stays when these go.
    pub fn oldest_but(&self, going: &BTreeSet<u32>) -> Option<u32> {
        self.files.keys().copied().find(|file| !going.contains(file))
    }

    /// The file is no part of the checkpoint any more. What was sliced of it stays good.
    pub fn forget(&mut self, file: u32) {
        self.files.remove(&file);
    }

    /// Whether the file is there and complete.
    pub fn is_complete(&self, file: u32) -> bool {
        self.files.get(&file).is_some_and(|entry| entry.view.is_some())
    }

    /// These bytes, without a look at them.
    pub fn slice(&self, piece: Piece) -> Option<Bytes> {
        self.files.get(&piece.file)?.view.as_ref()?.slice(piece.offset, piece.len)
    }

    /// Somebody needs bytes of these files from now on.
    pub fn retain(&mut self, held: &Held) {
        for (file, bytes) in held {
            self.files.get_mut(file).expect("I20: an image lies in a file that is there").live += bytes;
        }
    }

    /// Somebody needs them no longer.
    pub fn release(&mut self, held: &Held) {
        for (file, bytes) in held {
            // A file that a round gave up is gone with all its bytes.
            if let Some(entry) = self.files.get_mut(file) {
                entry.live = entry.live.checked_sub(*bytes).expect("I20: what is released was held");
            }
        }
    }

    /// All files but `file`, as a footer names them.
    pub fn others(&self, file: u32) -> Vec<Older> {
        let others = self.files.iter().filter(|(number, _)| **number != file);
        others.map(|(&file, entry)| Older { file, bytes: entry.bytes, live: entry.live }).collect()
    }

    /// Bytes of a file that are still needed.
    pub fn live(&self, file: u32) -> u64 {
        self.files.get(&file).map_or(0, |entry| entry.live)
    }

    /// Bytes of all files, and how many of them are needed.
    pub fn totals(&self) -> (u64, u64) {
        self.files.values().fold((0, 0), |(bytes, live), file| (bytes + file.bytes, live + file.live))
    }

    /// The files whose rest is to move into the next checkpoint: those of which less than half is needed or that are
    /// damaged, and the one with the least to move when there are too many. Each moved byte is paid for by one that
    /// died.
    pub fn retiring(&self) -> BTreeSet<u32> {
        let thin = |entry: &ImageFile| entry.live * 2 < entry.bytes || entry.is_damaged;
        let mut retiring: BTreeSet<u32> =
            self.files.iter().filter(|(_, entry)| thin(entry)).map(|(&file, _)| file).collect();
        if self.files.len() - retiring.len() >= CHECKPOINT_FILES_MAX {
            let rest = self.files.iter().filter(|(_, entry)| !thin(entry));
            retiring.extend(rest.min_by_key(|(_, entry)| entry.live).map(|(&file, _)| file));
        }
        retiring
    }
}
