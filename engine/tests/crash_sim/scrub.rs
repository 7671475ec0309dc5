//! Rot while the store runs: found before anybody is shown it, and nothing else is.
//!
//! *Owns*: what flipped bits of a running store may hide. *Promises*: every message with a flipped bit in what is
//! served of it is hidden after one round; no message is whose bytes have none, and whose batch's headers, or pack's
//! leads, have none; what is shown is what was written; all are back when the bits are right again. *Assumes*: bits
//! flip within one sector. *Never*: asks scrub, which it judges.

use std::collections::BTreeSet;

use ringpost_engine::ids::{BodyId, BodyKey, SegmentId};
use ringpost_engine::io::{Disk, FileId};
use ringpost_engine::log::record;
use ringpost_engine::scrub::What;
use ringpost_engine::testing::fake_disk::SECTOR;

use crate::pack::{PackHit, PackImage};
use crate::rot::Image;
use crate::tally::Kind;
use crate::world::World;

/// Rounds until one is complete.
const ROUNDS_MAX: usize = 5;
const RECORD_HEAD: u64 = record::HEAD_BYTES as u64;

/// Bodies by where they are, as far as flipped bits are concerned.
#[derive(Default)]
struct Hit {
    /// Something that is served of them has another value.
    must: BTreeSet<BodyId>,
    /// Something in the same batch, header of a record or of the batch, has another value: what vouches for them.
    may: BTreeSet<BodyId>,
}

impl World {
    /// Flips bits of a complete segment or a pack under the running store, and lets scrub find them.
    pub fn rot_while_running(&mut self) -> Result<(), String> {
        self.drain()?;
        let sealed: Vec<FileId> = self.sealed_files();
        let Some(&file) = self.seed.pick(&sealed) else { return Ok(()) };
        let sizes = self.disk.sizes();
        let Some(&(_, bytes)) = sizes.iter().find(|(name, _)| *name == file) else { return Ok(()) };
        let sector = self.seed.below(bytes / SECTOR) * SECTOR;
        let mut flips: Vec<(u64, u8)> = Vec::new();
        for _ in 0..=self.seed.below(8) {
            flips.push((sector + self.seed.below(SECTOR), self.seed.below(8) as u8));
        }
        flips.sort_unstable();
        flips.dedup();
        let mut offsets: Vec<u64> = flips.iter().map(|&(offset, _)| offset).collect();
        offsets.dedup();
        let hit = match file {
            FileId::Pack(_) => {
                self.tally.count(Kind::RotRunningPack);
                let PackHit { must, may } = PackImage::read(&mut self.disk, file, bytes).hit(&offsets);
                let shown = self.shown();
                Hit { must: must.intersection(&shown).copied().collect(), may }
            }
            _ => self.hit(SegmentId(file.number()), &offsets)?,
        };
        let before = self.bytes_at(file, &offsets);
        flips.iter().for_each(|&(offset, bit)| self.disk.rot(file, offset, bit));
        self.tally.count(Kind::RotRunning);
        self.round()?;
        let told = |what: String| format!("rot in {file:?} at {sector} of a running store: {what}");
        let hidden: BTreeSet<BodyId> = self.shown().into_iter().filter(|id| self.is_hidden(*id)).collect();
        if let Some(served) = hit.must.difference(&hidden).next() {
            return Err(told(format!("body {served:?} is shown, of {:?}", hit.must)));
        }
        if let Some(wronged) = hidden.iter().find(|id| !hit.must.contains(id) && !hit.may.contains(id)) {
            return Err(told(format!(
                "body {wronged:?} is hidden; {:?} are concerned, {:?} may be; {flips:?}; {:?}",
                hit.must,
                hit.may,
                self.store.distrusted().collect::<Vec<_>>()
            )));
        }
        hit.must.iter().for_each(|_| self.tally.count(Kind::RotHidden));
        // What is shown is what was written.
        self.model.compare(&self.store, None).map_err(told)?;
        let found = std::iter::from_fn(|| self.store.take_rot()).collect::<Vec<_>>();
        if !hidden.is_empty() && found.is_empty() {
            return Err(told("nobody is told".to_owned()));
        }
        let after = self.bytes_at(file, &offsets);
        let put_back = before.iter().zip(&after).any(|(before, after)| before == after);
        if put_back && found.iter().any(|rot| matches!(rot.what, What::Leads)) {
            self.tally.count(Kind::RotPackPutBack);
        }
        self.put_right(file, &offsets, &before);
        self.round()?;
        // A round in which compaction replaced a file takes nothing back.
        for _ in 0..ROUNDS_MAX {
            if self.store.distrusted().next().is_some() {
                self.round()?;
            }
        }
        if self.store.distrusted().next().is_some() {
            return Err(told("something is hidden after it was undone".to_owned()));
        }
        while self.store.take_rot().is_some() {}
        Ok(())
    }

    /// What could not be read for once is read, and nothing stays hidden.
    pub fn see_all(&mut self) -> Result<(), String> {
        self.round()?;
        while self.store.take_rot().is_some() {}
        self.model.compare(&self.store, None)
    }

    /// Nothing that is sound is ever told to be rot.
    pub fn no_false_alarm(&mut self) -> Result<(), String> {
        match self.store.take_rot() {
            Some(rot) => Err(format!("a false alarm: {rot:?}")),
            None if self.store.distrusted().next().is_some() => Err("something is hidden".to_owned()),
            None => Ok(()),
        }
    }

    /// One whole round of scrub at least, and whatever it has the store write.
    pub fn round(&mut self) -> Result<(), String> {
        let before = self.store.stats().scrub.rounds;
        for _ in 0..10_000 {
            self.store.scrub_now();
            self.drain()?;
            // The one that is under way may have been past it.
            if self.store.stats().scrub.rounds >= before + 2 {
                return self.drain();
            }
        }
        Err("a round of scrub never ends".to_owned())
    }

    /// What is there; nothing of a file that compaction has written anew.
    pub fn bytes_at(&mut self, file: FileId, offsets: &[u64]) -> Vec<u8> {
        let mut byte = [0];
        let at = |offset: &u64| self.disk.read(file, *offset, &mut byte).ok().map(|_| byte[0]);
        offsets.iter().filter_map(at).collect()
    }

    /// Flips back what scrub has not put back itself.
    pub fn put_right(&mut self, file: FileId, offsets: &[u64], right: &[u8]) {
        let now = self.bytes_at(file, offsets);
        for ((right, now), offset) in right.iter().zip(now).zip(offsets) {
            let flipped = |bit: &u8| (right ^ now) >> bit & 1 == 1;
            (0..8).filter(flipped).for_each(|bit| self.disk.rot(file, *offset, bit));
        }
    }

    /// Complete segments and packs that hold a message.
    fn sealed_files(&self) -> Vec<FileId> {
        let all = self.store.segments();
        let before = all.len().saturating_sub(1);
        let segments = all.into_iter().take(before).map(|(segment, _)| FileId::Segment(segment));
        let sizes = self.disk.sizes().into_iter().map(|(file, _)| file);
        let packs = sizes.filter(|file| matches!(file, FileId::Pack(_)));
        let needed = |file: &FileId| self.keys().iter().any(|key| self.is_in(key, *file));
        segments.chain(packs).filter(needed).collect()
    }

    fn is_in(&self, key: &BodyKey, file: FileId) -> bool {
        self.store.body(*key).is_some_and(|found| found.summary.file == file)
    }

    /// Every message's body.
    pub fn keys(&self) -> Vec<BodyKey> {
        let mut keys = Vec::new();
        for account in self.store.accounts_after("") {
            for mailbox in account.mailboxes() {
                keys.extend((0..mailbox.len()).map(|place| mailbox.message(place).key()));
            }
        }
        keys
    }

    fn shown(&self) -> BTreeSet<BodyId> {
        self.keys().into_iter().map(|key| key.id).collect()
    }

    fn is_hidden(&self, id: BodyId) -> bool {
        let key = self.keys().into_iter().find(|key| key.id == id);
        key.is_some_and(|key| self.store.body(key).is_none())
    }

    fn hit(&mut self, segment: SegmentId, flips: &[u64]) -> Result<Hit, String> {
        let (mut hit, image) = (Hit::default(), Image::read(&mut self.disk)?);
        let file = FileId::Segment(segment);
        for key in self.keys() {
            let Some(found) = self.store.body(key).filter(|found| found.summary.file == file) else {
                continue;
            };
            let start = found.summary.offset - RECORD_HEAD;
            let served = found.summary.offset..start + key.record_bytes();
            if flips.iter().any(|offset| served.contains(offset)) {
                hit.must.insert(key.id);
            }
            let batch = image.batch(segment, start);
            let beside = |offset: &u64| batch.contains(offset) && !image.is_payload(segment, *offset);
            if flips.iter().any(beside) {
                hit.may.insert(key.id);
            }
        }
        Ok(hit)
    }
}
