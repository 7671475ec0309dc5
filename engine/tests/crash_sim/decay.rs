//! What a store makes of flipped bits.
//!
//! *Owns*: where bits flip, and what must follow. *Promises*: whoever is not concerned is served and lives on; once
//! the bits are back, all is there. *Assumes*: `rot.rs` knows what they may cost. *Never*: flips bits in two places
//! at once.

use ringpost_engine::change::Change;
use ringpost_engine::ids::{AccountId, SegmentId};
use ringpost_engine::io::FileId;
use ringpost_engine::limits;
use ringpost_engine::recovery::recover_read_only;
use ringpost_engine::store::BodyRef;
use ringpost_engine::testing::fake_disk::SECTOR;

use crate::rot::Image;
use crate::tally::Kind;
use crate::workload;
use crate::world::World;

impl World {
    /// One burst of flipped bits in something that was durable and vouched for.
    pub fn rot(&mut self) -> Result<(), String> {
        self.store.tick(self.now);
        self.drain()?;
        let digest = self.store.digest();
        // What damage keeps from dying is dead again when the bytes are back.
        self.bodies.retain(|body| self.store.fresh_body(*body).is_some());
        let image = Image::read(&mut self.disk)?;
        let mut files: Vec<(FileId, u64)> = self.disk.sizes();
        files
            .retain(|(file, _)| matches!(file, FileId::Segment(_) | FileId::Checkpoint(_) | FileId::Pack(_)));
        let &(file, bytes) = self.seed.pick(&files).ok_or("no files")?;
        match file {
            FileId::Checkpoint(_) => return self.rot_checkpoint(file, bytes, digest),
            FileId::Pack(_) => return self.rot_pack(file, bytes, digest),
            _ => {}
        }
        let segment = SegmentId(file.number());
        let sector = self.seed.below(bytes / SECTOR) * SECTOR;
        let mut flips: Vec<(u64, u8)> = Vec::new();
        for _ in 0..=self.seed.below(8) {
            flips.push((sector + self.seed.below(SECTOR), self.seed.below(8) as u8));
        }
        flips.sort_unstable();
        flips.dedup();
        if image.position(segment, sector) < self.store.checkpointed() {
            return self.rot_below(file, &flips, digest);
        }
        let cost = image.cost(segment, flips.iter().map(|&(offset, _)| offset));
        flips.iter().for_each(|&(offset, bit)| self.disk.rot(file, offset, bit));
        self.tally.count(Kind::Rot);
        let report = self.reopen()?;
        let told = |what: String| format!("rot in {file:?} at {sector}: {what}; told {:?}", report.damage);
        if report.damage.is_empty() == cost.told {
            return Err(told(format!("expected {cost:?}")));
        }
        let wronged = |id: &AccountId| report.quarantined.contains(id) && !cost.accounts.contains(id);
        if let Some(account) = self.model.accounts().find(wronged) {
            return Err(told(format!("account {account} is out of service, expected {cost:?}")));
        }
        self.model.compare(&self.store, Some(&report.quarantined)).map_err(told)?;
        self.tally.add_many(Kind::ReapedWithoutOctets, self.model.take_without_octets());
        let untouched = self.store.digest() == digest;
        if cost.told {
            self.tally.count(Kind::RotTold);
            report.quarantined.iter().for_each(|_| self.tally.count(Kind::Quarantined));
            self.live_on(&report.quarantined).map_err(told)?;
        } else if !untouched {
            return Err(told("something else came of it".to_owned()));
        }
        flips.iter().for_each(|&(offset, bit)| self.disk.rot(file, offset, bit));
        let report = self.reopen()?;
        if !report.damage.is_empty() || !report.quarantined.is_empty() {
            return Err(format!("after rot was undone: {:?}", report.damage));
        }
        self.check_verify()?;
        self.model.compare(&self.store, None)?;
        self.model.compare_directory(&self.store)
    }

    /// Flipped bits where a start does not look: it finds everything where it was, and the state is the same.
    fn rot_below(&mut self, file: FileId, flips: &[(u64, u8)], digest: u64) -> Result<(), String> {
        let places = self.places();
        flips.iter().for_each(|&(offset, bit)| self.disk.rot(file, offset, bit));
        self.tally.count(Kind::RotBelow);
        let report = self.reopen().map_err(|why| format!("rot in {file:?} at {flips:?}: {why}"))?;
        let told = |what: &str| format!("rot in {file:?} at {flips:?}: {what}; told {report:?}");
        if !report.damage.is_empty() || !report.quarantined.is_empty() || self.store.digest() != digest {
            return Err(told("it is below the checkpoint"));
        }
        if self.places() != places {
            return Err(told("bodies are looked for elsewhere"));
        }
        flips.iter().for_each(|&(offset, bit)| self.disk.rot(file, offset, bit));
        self.reopen()?;
        self.model.compare(&self.store, None)
    }

    /// Where every message's octets are.
    fn places(&self) -> Vec<Option<BodyRef>> {
        self.keys().into_iter().map(|key| self.store.place(key)).collect()
    }

    /// One flipped bit in a checkpoint: another stands in, or the log, or the accounts concerned are not served.
    fn rot_checkpoint(&mut self, file: FileId, bytes: u64, digest: u64) -> Result<(), String> {
        let (at, bit) = (self.seed.below(bytes), self.seed.below(8) as u8);
        self.disk.rot(file, at, bit);
        self.tally.count(Kind::RotCheckpoint);
        let report = self.reopen()?;
        let told = |what: String| format!("rot in {file:?} at {at}: {what}; told {report:?}");
        report.repaired.iter().for_each(|_| self.tally.count(Kind::RotRepaired));
        report.damage.iter().for_each(|_| self.tally.count(Kind::RowsLost));
        // Rows of an account that both checkpoints need may be lost with it; nothing else is.
        if !report.damage.is_empty() && !self.compacted
            || report.damage.is_empty() && !report.quarantined.is_empty()
        {
            return Err(told("it is not the log that is damaged".to_owned()));
        }
        let lost: Vec<AccountId> = self.model.accounts().filter(|id| !self.can_be_read(*id)).collect();
        self.store.tick(self.now);
        if let Some(id) = lost.iter().find(|id| self.store.account(**id).is_some()) {
            return Err(told(format!("account {id} is served with rows that cannot be read")));
        }
        self.model.compare(&self.store, Some(&lost)).map_err(told)?;
        if lost.is_empty() && self.store.digest() != digest {
            // With one refused, a reader of the files may find another checkpoint than the start went on with.
            let coming = if report.refused_checkpoints.is_empty() { self.coming_unread()? } else { 0 };
            if coming == 0 {
                return Err(told("something else came of it".to_owned()));
            }
            self.tally.add_many(Kind::ComingRowsLost, coming);
        }
        lost.iter().for_each(|_| self.tally.count(Kind::Quarantined));
        self.disk.rot(file, at, bit);
        let report = self.reopen()?;
        if self.store.digest() != digest {
            return Err(format!("after rot in a checkpoint was undone: {report:?}"));
        }
        self.check_verify()?;
        self.model.compare(&self.store, None)
    }

    /// One flipped bit in a pack: the state is what it was, whatever compaction makes of it; with the bit put right,
    /// every octet is there.
    fn rot_pack(&mut self, file: FileId, bytes: u64, digest: u64) -> Result<(), String> {
        // The ends more often than chance would have it: there is what leads to the records.
        let at = match self.seed.below(3) {
            0 => self.seed.below(bytes.min(100)),
            1 => bytes - 1 - self.seed.below(bytes.min(200)),
            _ => self.seed.below(bytes),
        };
        let bit = self.seed.below(8) as u8;
        let right = self.bytes_at(file, &[at]);
        let mut hidden = self.store.distrusted().next().is_some();
        self.disk.rot(file, at, bit);
        self.tally.count(Kind::RotPack);
        let told = |what: String| format!("rot in {file:?} at {at}: {what}");
        for _ in 0..2 {
            let report = self.reopen()?;
            let damaged = !report.damage.is_empty() || !report.quarantined.is_empty();
            // What scrub finds is hidden, and shown again, by the log: then the model alone judges, not the digest.
            let is_hidden = self.store.distrusted().next().is_some();
            hidden |= is_hidden;
            if is_hidden {
                self.tally.count(Kind::RotPackHidden);
            }
            if damaged || !hidden && self.store.digest() != digest {
                return Err(told(format!("it is no part of the state; told {report:?}")));
            }
            self.now.mono_ms += 2 * limits::COMPACT_RETRY_MS;
            self.drain()?;
            if self.scrubs() {
                self.round()?;
                self.model.compare(&self.store, None).map_err(told)?;
            }
        }
        self.put_right(file, &[at], &right);
        self.reopen()?;
        self.model.compare(&self.store, None).map_err(told)
    }

    fn can_be_read(&self, id: AccountId) -> bool {
        self.store.account(id).is_some_and(|account| account.mailboxes().all(|mailbox| mailbox.is_readable()))
    }

    /// How many accounts on their way have rows that cannot be read. As with accounts that are served, a start does
    /// not look at them, and until they have come nobody else can: the fingerprint alone shows it.
    fn coming_unread(&mut self) -> Result<usize, String> {
        let found = recover_read_only(&mut self.disk, None, None).map_err(|error| error.to_string())?;
        let is_whole = |id| {
            let mut all = found.index.every_account().map(|(account, _)| account);
            let account = all.find(|account| account.id() == id);
            account.is_some_and(|account| account.mailboxes().all(|mailbox| mailbox.is_readable()))
        };
        Ok(self.store.arriving().filter(|id| !is_whole(*id)).count())
    }

    /// The accounts that are served go on, and a start that meets the same damage finds the same.
    fn live_on(&mut self, lost: &[AccountId]) -> Result<(), String> {
        self.bodies.retain(|body| self.store.fresh_body(*body).is_some());
        for _ in 0..self.seed.below(20) {
            let (account, change) = workload::change(&mut self.seed, &self.store, &self.bodies, false);
            // Who is lost now is there again when the rot is undone; who came in its place (README §4.3) is not,
            // and neither is a new account of its name.
            let stays = self.model.accounts().any(|known| known == account);
            // What can be had back may be more, where a Reap is lost, or less than when the rot is undone.
            let restores = matches!(change, Change::Restore { .. });
            if stays && !restores && change != Change::AccountDelete {
                self.ask(account, change);
            }
            self.poll()?;
            self.finish()?;
        }
        self.drain()?;
        self.model.compare(&self.store, Some(lost))?;
        let digest = self.store.digest();
        let report = self.reopen()?;
        if report.damage.is_empty() || self.store.digest() != digest {
            let (now, damage) = (self.store.digest(), report.damage);
            return Err(format!("at the next start it came to {damage:?}, {now:x} instead of {digest:x}"));
        }
        Ok(())
    }
}
