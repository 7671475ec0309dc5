//! One checkpoint while it is made, and what will be in it.
//!
//! *Owns*: which keys have changed, which of them the round still has to copy, and the bytes that wait for the
//! disk. *Promises*: a key is copied as it was when the round began: [`Tracker::before_change`] says when that must
//! be at once.
//! *Assumes*: whoever changes something behind a key asks first. *Never*: does I/O.
//!
//! ```text
//!   change ──► dirty ──begin──► frozen ──copied (or about to change)──► file
//!                ▲                 │
//!                └──── abandon ◄───┴──── (all keys of the round)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::format::{self, Footer, Group, HEAD_BYTES};
use super::images::{Held, hold};
use super::{Key, Piece, Point, parity};
use crate::ids::AccountId;
use crate::limits::CHECKPOINT_GROUP_BYTES;
use crate::log::batch::LogIdentity;

/// Files that are to go.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retiring {
    /// All of them.
    pub files: BTreeSet<u32>,
    /// Those of which everything that is needed is marked.
    pub walked: BTreeSet<u32>,
}

/// A file in the making: everything is placed when it is put, and written later.
#[derive(Debug)]
pub(crate) struct Round {
    /// Its number.
    pub file: u32,
    /// Files whose rest moves into this one and later ones.
    pub retiring: BTreeSet<u32>,
    /// Those of which nothing will be needed when this one is complete.
    pub superseded: BTreeSet<u32>,
    /// Whether an account could not be copied, for bytes of an older file are damaged.
    pub spoiled: bool,
    /// What it is the state of.
    pub point: Point,
    /// The account whose rows were put last, some of them perhaps before it is copied.
    pub begun: Option<AccountId>,
    /// Everything that is in it, to be marked again should it come to nothing.
    keys: BTreeSet<Key>,
    /// Where the next byte goes.
    offset: u64,
    out: Vec<u8>,
    group: Vec<u8>,
    groups: Vec<Group>,
    parity: Vec<u8>,
    parity_at: Group,
    bytes: u64,
}

impl Round {
    /// Begins file `file`.
    pub fn new(file: u32, log: LogIdentity, point: Point, retiring: Retiring) -> Round {
        Round {
            file,
            retiring: retiring.files,
            superseded: retiring.walked,
            spoiled: false,
            point,
            begun: None,
            keys: BTreeSet::new(),
            offset: HEAD_BYTES as u64,
            out: format::header(file, log).to_vec(),
            group: Vec::new(),
            groups: Vec::new(),
            parity: Vec::new(),
            parity_at: Group { offset: 0, len: 0, crc: 0 },
            bytes: 0,
        }
    }

    /// Puts bytes that are looked up by their place.
    pub fn blob(&mut self, bytes: &[u8]) -> Piece {
        let before = self.out.len();
        format::put_blob(&mut self.out, bytes);
        self.placed(before)
    }

    /// Puts a blob of another file, sum and all; none if the sum is wrong.
    pub fn carry(&mut self, blob: &[u8]) -> Option<Piece> {
        format::open_blob(blob)?;
        let before = self.out.len();
        self.out.extend_from_slice(blob);
        Some(self.placed(before))
    }

    fn placed(&mut self, before: usize) -> Piece {
        let len = self.out.len() - before;
        let piece = Piece { file: self.file, len: piece_len(len), offset: self.offset };
        self.offset += len as u64;
        self.bytes += len as u64;
        piece
    }

    /// Puts a record and says what it takes.
    pub fn record(&mut self, key: Key, payload: Option<&[u8]>) -> u32 {
        let before = self.group.len();
        format::put_record(&mut self.group, &key, payload);
        let len = self.group.len() - before;
        self.bytes += len as u64;
        self.keys.insert(key);
        if self.group.len() >= CHECKPOINT_GROUP_BYTES {
            self.close_group();
        }
        piece_len(len)
    }

    fn close_group(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let len = piece_len(self.group.len());
        self.groups.push(Group { offset: self.offset, len, crc: crc32fast::hash(&self.group) });
        self.offset += u64::from(len);
        parity::add(&mut self.parity, &self.group);
        self.out.append(&mut self.group);
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.out.len() + self.group.len()
    }

    /// Takes what can be written, and where it goes.
    pub fn take(&mut self) -> Option<(u64, Bytes)> {
        let start = self.offset - self.out.len() as u64;
        (!self.out.is_empty()).then(|| (start, std::mem::take(&mut self.out).into()))
    }

    /// Bytes of records and blobs so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Nothing more comes: closes the file with what `footer` says of it.
    pub fn finish(&mut self, mut footer: Footer) {
        self.close_group();
        (footer.bytes, footer.groups) = (self.bytes, self.groups.clone());
        let (len, crc) = (piece_len(self.parity.len()), crc32fast::hash(&self.parity));
        self.parity_at = Group { offset: self.offset, len, crc };
        footer.parity = Some(self.parity_at);
        self.offset += u64::from(len);
        self.out.append(&mut self.parity);
        let end = footer.encode();
        self.offset += end.len() as u64;
        self.out.extend_from_slice(&end);
    }

    /// Where its records are, and what one of them can be made anew from.
    pub fn into_groups(self) -> (Vec<Group>, Option<Group>) {
        (self.groups, Some(self.parity_at))
    }
}

fn piece_len(len: usize) -> u32 {
    u32::try_from(len).expect("an image is bounded by what one account may hold, below 4 GiB")
}

/// What has changed since the last checkpoint, and what of it the next one has copied.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// Changed since it was copied last.
    dirty: BTreeSet<Key>,
    /// To be copied by the round under way, as it is now.
    frozen: BTreeSet<Key>,
    /// The round under way.
    pub round: Option<Round>,
    /// Where the records of keys other than accounts are: file and bytes.
    places: BTreeMap<Key, (u32, u32)>,
    /// Whether anybody makes checkpoints.
    enabled: bool,
}

impl Tracker {
    /// Keeps book from now on.
    pub fn enable(&mut self) {
        self.enabled = true;
    }

    /// No checkpoint will be made any more.
    pub fn disable(&mut self) {
        *self = Tracker { places: std::mem::take(&mut self.places), ..Tracker::default() };
    }

    /// The key is about to change. True: copy it first.
    pub fn before_change(&mut self, key: &Key) -> bool {
        if !self.enabled {
            return false;
        }
        let copy_first = self.frozen.remove(key);
        self.mark(key.clone());
        copy_first
    }

    /// The key belongs into the next checkpoint, changed or not.
    pub fn mark(&mut self, key: Key) {
        if self.enabled {
            self.dirty.insert(key);
        }
    }

    /// Everything that has changed up to now goes into this round.
    pub fn begin(&mut self, round: Round) {
        self.frozen = std::mem::take(&mut self.dirty);
        self.round = Some(round);
    }

    /// The next key to be copied.
    pub fn next(&mut self) -> Option<Key> {
        self.frozen.pop_first()
    }

    /// Whether the round has still to copy this key; if so, whoever asks does.
    pub fn thaw(&mut self, key: &Key) -> bool {
        self.frozen.remove(key)
    }

    /// The parts of bodies that the round has still to copy.
    pub fn frozen_bodies(&self) -> impl Iterator<Item = u64> + '_ {
        let parts = self.frozen.range(Key::Bodies(0)..=Key::Bodies(u64::MAX));
        parts.filter_map(|key| if let Key::Bodies(part) = key { Some(*part) } else { None })
    }

    /// The key is to be copied after all.
    pub fn put_back(&mut self, key: Key) {
        self.frozen.insert(key);
    }

    /// How many keys have changed.
    pub fn dirty(&self) -> usize {
        self.dirty.len()
    }

    /// The round came to nothing: everything that it had is for the next one.
    pub fn abandon(&mut self) -> Vec<Key> {
        let Some(round) = self.round.take() else { return Vec::new() };
        let copied: Vec<Key> = round.keys.into_iter().collect();
        self.dirty.append(&mut self.frozen);
        self.dirty.extend(copied.iter().cloned());
        copied
    }

    /// The record of a key is at another place now, or nowhere; what it held before.
    pub fn moved(&mut self, key: &Key, to: Option<(u32, u32)>) -> Held {
        let before = match to {
            Some(to) => self.places.insert(key.clone(), to),
            None => self.places.remove(key),
        };
        before.map_or_else(Held::new, |(file, len)| held_by(file, len))
    }

    /// What all records hold, for a test of I20.
    #[cfg(any(test, feature = "testing"))]
    pub fn recount(&self, add: &mut impl FnMut(&Held)) {
        self.places.values().for_each(|&(file, len)| add(&held_by(file, len)));
    }

    /// In which file the record of a key is that is no account.
    pub fn place(&self, key: &Key) -> Option<u32> {
        self.places.get(key).map(|&(file, _)| file)
    }
}

/// What one record holds.
pub(crate) fn held_by(file: u32, len: u32) -> Held {
    let mut held = Held::new();
    hold(&mut held, file, u64::from(len));
    held
}
