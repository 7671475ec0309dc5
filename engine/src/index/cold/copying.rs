//! The index into a checkpoint, and out of it.
//!
//! *Owns*: what the record of each key says, and when a key is copied. *Promises*: a round has every key as it was
//! when it began: what is about to change is copied first. *Assumes*: [`Index::before_change`] comes before
//! every change of what is behind a key. *Never*: asks for I/O.

use std::ops::Range;

use crate::checkpoint::format::{Footer, next_record};
use crate::checkpoint::images::Images;
use crate::checkpoint::round::{Retiring, Round, held_by};
use crate::checkpoint::wire::{Wire, put, put_text};
use crate::checkpoint::{Key, Piece, Point};
use crate::compact::Dead;
use crate::ids::{AccountId, BodyId, MailboxId, SegmentId};
use crate::index::Index;
use crate::io::View;
use crate::log::batch::LogIdentity;
#[cfg(feature = "testing")]
use crate::log::writer::Plant;

impl Index {
    /// Plants a bug: who wakes up gives UIDs out again.
    #[cfg(feature = "testing")]
    pub(crate) fn plant(&mut self, plant: Plant) {
        self.accounts.plant = Some(plant);
    }

    /// Keeps book of changes from now on, for checkpoints.
    pub(crate) fn track_changes(&mut self) {
        self.tracker.enable();
    }

    /// No checkpoint is to be made of it: it is not what the log would say if it could be read.
    pub(crate) fn stop_tracking(&mut self) {
        self.tracker.disable();
    }

    /// What is behind the key is about to change.
    pub(in crate::index) fn before_change(&mut self, key: Key) {
        if self.tracker.before_change(&key) {
            self.copy(key);
        }
    }

    /// Where the rows of a mailbox are that are not in memory.
    pub(crate) fn cold_rows(
        &self,
        account: AccountId,
        mailbox: MailboxId,
    ) -> impl Iterator<Item = Piece> + '_ {
        let mailbox = self.account(account).and_then(|account| account.0.mailboxes.get(&mailbox));
        mailbox.into_iter().flat_map(|mailbox| mailbox.columns.cold())
    }

    /// How many keys have changed since the last round began.
    pub(crate) fn changed_keys(&self) -> usize {
        self.tracker.dirty()
    }

    /// The files of the last checkpoint.
    pub(crate) fn images(&self) -> &Images {
        &self.accounts.images
    }

    /// The files of the last checkpoint, for whoever opens and closes them.
    pub(crate) fn images_mut(&mut self) -> &mut Images {
        &mut self.accounts.images
    }

    /// The round under way.
    pub(crate) fn round(&mut self) -> Option<&mut Round> {
        self.tracker.round.as_mut()
    }

    /// Begins a round: it will have everything as it is now.
    pub(crate) fn begin_round(&mut self, file: u32, log: LogIdentity, point: Point, retiring: Retiring) {
        self.accounts.images.begin(file);
        self.tracker.mark(Key::Shard);
        self.bodies.take_changed().into_iter().for_each(|part| self.tracker.mark(Key::Bodies(part)));
        self.graves.take_changed().into_iter().for_each(|part| self.tracker.mark(Key::Graves(part)));
        self.tracker.begin(Round::new(file, log, point, retiring));
        self.bodies.freeze(self.tracker.frozen_bodies());
        // What nobody says of that it changes is copied at once; it is not much.
        let open = self.graves.open_parts().map(Key::Graves);
        for key in [Key::Shard, Key::Bodies(0)].into_iter().chain(open) {
            self.copy_frozen(key);
        }
    }

    /// Copies a key now if the round has still to copy it.
    fn copy_frozen(&mut self, key: Key) {
        if self.tracker.thaw(&key) {
            self.copy(key);
        }
    }

    /// What was removed up to this moment is about to go, so many messages at most.
    pub(in crate::index) fn before_reap(&mut self, until_ms: u64, max: usize) {
        for part in self.graves.parts_until(until_ms, max) {
            self.copy_frozen(Key::Graves(part));
        }
    }

    /// The oldest of an account that has too many removed messages are about to go.
    pub(in crate::index) fn before_excess(&mut self, account: AccountId) {
        for part in self.graves.parts_of_excess(account) {
            self.copy_frozen(Key::Graves(part));
        }
    }

    /// Removed messages of another log are about to be put behind those of this moment, or to be taken out there.
    pub(in crate::index) fn before_shift(&mut self, when_ms: u64) {
        self.copy_frozen(Key::Graves(0));
        for part in self.graves.parts_from(when_ms) {
            self.copy_frozen(Key::Graves(part));
        }
    }

    /// Copies until so many bytes wait to be written. True when nothing is left to copy.
    pub(crate) fn copy_some(&mut self, bytes: usize) -> bool {
        while self.tracker.round.as_ref().is_some_and(|round| round.waiting() < bytes) {
            let Some(key) = self.tracker.next() else { return true };
            if let Key::Account(id) = key
                && self.copy_rows(id, bytes)
            {
                self.tracker.put_back(key);
                return false;
            }
            self.copy(key);
        }
        false
    }

    /// Copies rows of an account until so many bytes wait; true when there may be more.
    fn copy_rows(&mut self, id: AccountId, bytes: usize) -> bool {
        let Some(round) = &mut self.tracker.round else { return false };
        round.begun = Some(id);
        self.accounts.copy_rows(id, round, bytes)
    }

    fn copy(&mut self, key: Key) {
        let Some(mut round) = self.tracker.round.take() else { return };
        if let Key::Account(id) = key {
            let record = |round: &mut Round, head: Option<&[u8]>| round.record(Key::Account(id), head);
            if !self.accounts.copy(id, &mut round, record) {
                round.spoiled = true;
            }
        } else {
            let payload = self.payload(&key);
            let len = round.record(key.clone(), payload.as_deref());
            let place = payload.map(|_| (round.file, len));
            self.accounts.images.release(&self.tracker.moved(&key, place));
            place.iter().for_each(|&(file, len)| self.accounts.images.retain(&held_by(file, len)));
        }
        self.tracker.round = Some(round);
    }

    /// What a record says; none when what is behind the key is gone.
    fn payload(&mut self, key: &Key) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match key {
            Key::Shard => {
                let counters = [self.next_account, self.last_time_ms, u64::from(self.uid_validity_floor)];
                counters.iter().for_each(|&counter| put(&mut out, counter));
                self.distrusted.write(&mut out);
            }
            Key::Domain(name) => {
                self.domains.get(name)?;
            }
            Key::Alias(address) => {
                let targets = self.aliases.get(address)?;
                put(&mut out, targets.len() as u64);
                targets.iter().for_each(|target| put_text(&mut out, target));
            }
            Key::Bodies(part) => {
                self.bodies.take(*part, &mut out).then_some(())?;
            }
            Key::Graves(part) => {
                self.graves.write(*part, &mut out).then_some(())?;
            }
            Key::Slot(slot) => {
                self.slots.write(*slot, &mut out).then_some(())?;
            }
            // Its head says more than a record can be asked for.
            Key::Account(_) => return None,
        }
        Some(out)
    }

    /// Closes the round's file: nothing is left to copy.
    pub(crate) fn finish_round(&mut self, log: LogIdentity, previous: u32) {
        let Some(round) = self.tracker.round.as_mut() else { return };
        let images = &self.accounts.images;
        let others = images.others(round.file);
        let footer = Footer {
            file: round.file,
            log,
            point: round.point.clone(),
            previous,
            bytes: 0,
            live: images.live(round.file),
            older: others.into_iter().filter(|older| !round.superseded.contains(&older.file)).collect(),
            groups: Vec::new(),
            parity: None,
        };
        round.finish(footer);
    }

    /// The round's file is complete: what it made superfluous is no part of the checkpoint any more.
    pub(crate) fn end_round(&mut self, view: Box<dyn View>) {
        let Some(round) = self.tracker.round.take() else { return };
        let images = &mut self.accounts.images;
        for &file in &round.superseded {
            assert_eq!(images.live(file), 0, "I20: what is superseded is needed by nobody");
            images.forget(file);
        }
        images.complete(round.file, round.bytes(), round.into_groups(), view);
    }

    /// The round comes to nothing: what it has copied is to be copied again.
    pub(crate) fn abandon_round(&mut self) {
        let Some((file, begun)) = self.tracker.round.as_ref().map(|round| (round.file, round.begun)) else {
            return;
        };
        begun.iter().for_each(|&id| self.accounts.forget_rows(id, file));
        for key in self.tracker.abandon() {
            match key {
                Key::Account(id) => self.accounts.forget_image(id, file),
                key if self.tracker.place(&key) == Some(file) => drop(self.tracker.moved(&key, None)),
                _ => {}
            }
        }
        self.accounts.images.forget(file);
    }

    /// Looks at the keys of a group of a file that is to go, and marks what is still needed of it; `is_oldest`
    /// when no file that stays is older. None: the group does not hold together.
    pub(crate) fn retire(&mut self, file: u32, group: &[u8], is_oldest: bool) -> Option<()> {
        let mut wire = Wire::new(group);
        while !wire.is_empty() {
            let (key, payload) = next_record(&mut wire)?;
            let needed = match (&key, payload) {
                // That something is gone has to be said as long as an older file may say that it is there.
                (Key::Account(id), None) => !is_oldest && !self.accounts.contains(*id),
                (key, None) => !is_oldest && self.tracker.place(key).is_none(),
                (Key::Account(id), Some(_)) => self.accounts.uses(*id, file),
                (key, Some(_)) => self.tracker.place(key) == Some(file),
            };
            if needed {
                self.tracker.mark(key);
            }
        }
        Some(())
    }

    /// Takes a record of a checkpoint. None: it does not hold together.
    pub(crate) fn load(&mut self, key: &Key, payload: &[u8], file: u32, len: u32) -> Option<()> {
        let mut wire = Wire::new(payload);
        match key {
            Key::Shard => {
                self.next_account = self.next_account.max(wire.number()?);
                self.last_time_ms = wire.number()?;
                self.uid_validity_floor = wire.word()?;
                self.distrusted.read(&mut wire)?;
            }
            Key::Domain(name) => drop(self.domains.insert(name.clone())),
            Key::Alias(address) => {
                let targets =
                    (0..wire.count()?).map(|_| wire.text().map(str::to_owned)).collect::<Option<_>>()?;
                self.aliases.insert(address.clone(), targets);
            }
            Key::Bodies(part) => self.bodies.read(*part, &mut wire)?,
            Key::Graves(part) => self.graves.read(*part, &mut wire)?,
            Key::Slot(slot) => self.slots.read(*slot, &mut wire)?,
            Key::Account(id) => return self.load_account(*id, payload, file, len),
        }
        self.tracker.moved(key, Some((file, len)));
        wire.is_empty().then_some(())
    }

    fn load_account(&mut self, id: AccountId, head: &[u8], file: u32, len: u32) -> Option<()> {
        let known = self.accounts.load(id, head, file, len)?;
        self.mailboxes += known.mailboxes;
        self.messages += known.messages;
        for identifier in known.grantees {
            self.sharing.insert((identifier.to_owned(), id));
        }
        if known.arriving {
            return Some(());
        }
        self.addresses.insert(known.address.to_owned(), id).is_none().then_some(())
    }

    /// Whether there is a record of the key already.
    pub(crate) fn has(&self, key: &Key) -> bool {
        match key {
            Key::Account(id) => self.accounts.contains(*id),
            key => self.tracker.place(key).is_some(),
        }
    }

    /// All records are there; none when they do not make one index.
    pub(crate) fn finish_loading(&mut self) -> Option<()> {
        self.bodies.finish_reading()?;
        self.bodies.take_changed();
        self.graves.finish_reading()?;
        self.graves.take_changed();
        self.tracker.place(&Key::Shard).map(drop)
    }

    /// Bytes of the records of the bodies in a range of positions that somebody needs.
    pub(crate) fn live_in(&self, range: &Range<u64>) -> u64 {
        self.bodies.live_in(range)
    }

    /// How many bodies in a range of positions somebody needs.
    pub(crate) fn count_in(&self, range: &Range<u64>) -> usize {
        self.bodies.count_in(range)
    }

    /// The first body of the segment that a body came in with.
    pub(crate) fn first_beside(&self, body: BodyId) -> BodyId {
        self.bodies.first_beside(body)
    }

    /// The bodies of a range that nobody needs.
    pub(crate) fn dead_in(&self, range: &Range<u64>) -> Dead {
        self.bodies.dead_in(range)
    }

    /// Those have been left behind.
    pub(crate) fn relocated(&mut self, dead: &Dead) {
        self.bodies.relocated(dead);
    }

    /// Files of this range are gone; `is_held` if a pack stands for what begins with a body.
    pub(crate) fn forget_dead(&mut self, range: &Range<u64>, is_held: impl Fn(BodyId) -> bool) {
        self.bodies.forget_dead(range, is_held);
    }

    /// Segments that brought bodies which somebody needs, and the first position of each.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (BodyId, SegmentId)> + '_ {
        self.bodies.alive()
    }

    /// Puts accounts to sleep that nobody has asked for lately, as long as those in use take more than
    /// `bytes_max`. Tells whether a checkpoint would let more of them go.
    pub(crate) fn evict(&mut self, bytes_max: usize, looks: usize) -> bool {
        self.accounts.evict(bytes_max, looks)
    }

    /// How many accounts are not served since their part of a checkpoint was found damaged.
    pub(crate) fn broken(&self) -> u64 {
        self.accounts.broken()
    }

    /// The accounts that it concerns.
    pub(crate) fn broken_ids(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.accounts.broken_ids()
    }

    /// The next account by id, and where what it needs of checkpoint files is; none behind the last.
    pub(crate) fn pieces_after(&self, after: AccountId) -> Option<(AccountId, Vec<Piece>)> {
        self.accounts.pieces_after(after)
    }

    /// Rows of an account are not what was written, if it still needs them: it is not served from now on.
    pub(crate) fn distrust_rows(&mut self, id: AccountId, piece: Piece) -> bool {
        let before = AccountId(id.0.saturating_sub(1));
        let needs = self.pieces_after(before).is_some_and(|(found, all)| found == id && all.contains(&piece));
        if needs {
            self.accounts.give_up(id);
        }
        needs
    }

    /// Bytes that the accounts in use take, and how many they are.
    pub(crate) fn awake(&self) -> (usize, usize) {
        self.accounts.awake()
    }

    /// I20, by a count of everything: what is said to be needed of each file is what images are in it.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn check_images(&self) {
        let mut counted = std::collections::BTreeMap::<u32, u64>::new();
        let mut add = |held: &crate::checkpoint::images::Held| {
            held.iter().for_each(|(file, bytes)| *counted.entry(*file).or_default() += bytes);
        };
        self.accounts.recount(&mut add);
        self.tracker.recount(&mut add);
        for older in self.accounts.images.others(0) {
            let found = counted.remove(&older.file).unwrap_or(0);
            assert_eq!(older.live, found, "I20: bytes needed of checkpoint file {}", older.file);
        }
        counted.retain(|_, bytes| *bytes > 0);
        assert!(counted.is_empty(), "I20: images in files that are not there: {counted:?}");
    }
}
