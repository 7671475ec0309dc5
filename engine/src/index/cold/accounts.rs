//! All accounts, most of them asleep.
//!
//! *Owns*: every account's slot: its head as bytes, or the account as a value, or both; who is in quarantine; the
//! images of them all. *Promises*: who asks for an account gets it, read from its head when it is first
//! wanted; a head lies in memory as long as the account has not changed; nothing is put to sleep that is not in a
//! complete file. *Assumes*: [`Accounts::change`] comes before a change. *Never*: reads rows.
//!
//! ```text
//!          get                     change                 copied into a round            file complete
//!  asleep ─────► awake, as written ──────► awake, changed ───────────────► awake, written ────────────┐
//!    ▲                  │                                                                             │
//!    └──── evict ◄──────┴──────────────────────────────────────────────────────────────────────────◄──┘
//! ```

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use super::head::{self, Digested, Parts};
use crate::checkpoint::Piece;
use crate::checkpoint::images::{Held, Images, hold};
use crate::checkpoint::round::Round;
use crate::ids::AccountId;
use crate::index::account::Account;
use crate::index::digest::Digest;
#[cfg(feature = "testing")]
use crate::log::writer::Plant;

/// Ends the list of those that woke up; nobody's id.
const NOBODY: AccountId = AccountId(0);

/// While there is memory enough, one of so many looks is taken: a look costs microseconds, whether it is needed or not.
const LOOKS_AT_EASE: usize = 16;

/// See the module's head.
#[derive(Debug, Default)]
struct Slot {
    /// None when the account has changed since.
    head: Option<Box<[u8]>>,
    awake: OnceCell<Box<Account>>,
    /// In which file the record of the head is, and its bytes there; 0 for none.
    file: u32,
    len: u32,
    /// Its records are damaged: it is not served.
    quarantined: bool,
    /// It comes from another log and is not all there yet.
    arriving: bool,
    /// What is in its image cannot be read.
    broken: Cell<bool>,
    /// Asked for since it was last looked at for eviction.
    used: Cell<bool>,
    /// The account that woke up before it.
    woke_before: Cell<AccountId>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(in crate::index) struct Accounts {
    slots: BTreeMap<AccountId, Slot>,
    /// Those that have not come whole from another log.
    coming: BTreeSet<AccountId>,
    pub(in crate::index) images: Images,
    /// What accounts hold of files that are no longer there, until that is written.
    gone: BTreeMap<AccountId, Held>,
    /// How many accounts were found to have an image that cannot be read.
    broken: Cell<u64>,
    /// The account that woke up last; the others hang on it.
    woke_last: Cell<AccountId>,
    /// A planted bug.
    #[cfg(feature = "testing")]
    pub(in crate::index) plant: Option<Plant>,
    /// The awake ones, in the order in which they are looked at.
    watch: VecDeque<AccountId>,
    /// Bytes of the awake ones as far as this lap has come, and in all of the last.
    lap_bytes: usize,
    lap_left: usize,
    /// How many they were in the last lap.
    lap_len: usize,
    memory: usize,
}

impl Accounts {
    pub(in crate::index) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(in crate::index) fn contains(&self, id: AccountId) -> bool {
        self.slots.contains_key(&id)
    }

    pub(in crate::index) fn ids(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.slots.keys().copied()
    }

    /// Whether it is there and not served.
    pub(in crate::index) fn is_quarantined(&self, id: AccountId) -> bool {
        self.slots.get(&id).is_some_and(|slot| slot.quarantined || slot.broken.get())
    }

    pub(in crate::index) fn quarantine(&mut self, id: AccountId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.quarantined = true;
        }
    }

    /// An account, in quarantine or not; none if there is none or its image is damaged.
    pub(in crate::index) fn get(&self, id: AccountId) -> Option<&Account> {
        let slot = self.slots.get(&id)?;
        slot.used.set(true);
        if let Some(account) = slot.awake.get() {
            return Some(account);
        }
        let head = slot.head.as_deref().filter(|_| !slot.broken.get())?;
        #[cfg_attr(not(feature = "testing"), expect(unused_mut))]
        let Some(mut account) = head::read(id, head, |piece| self.images.slice(piece)) else {
            slot.broken.set(true);
            self.broken.set(self.broken.get() + 1);
            return None;
        };
        #[cfg(feature = "testing")]
        if self.plant == Some(Plant::ReuseUids) {
            account.mailboxes.values_mut().for_each(|mailbox| mailbox.reuse_uids());
        }
        slot.woke_before.set(self.woke_last.replace(id));
        Some(slot.awake.get_or_init(|| Box::new(account)))
    }

    /// An account that is about to change.
    pub(in crate::index) fn change(&mut self, id: AccountId) -> Option<&mut Account> {
        self.get(id)?;
        let slot = self.slots.get_mut(&id)?;
        slot.head = None;
        let account = slot.awake.get_mut()?;
        if account.held.is_none() {
            account.held = Some(held(account, slot.file, slot.len));
        }
        Some(account)
    }

    /// What is in the account's image cannot be read: it is not served any more.
    pub(in crate::index) fn give_up(&mut self, id: AccountId) {
        let found = self.slots.get(&id).is_some_and(|slot| !slot.broken.replace(true));
        self.broken.set(self.broken.get() + u64::from(found));
    }

    /// How many accounts were found to have an image that cannot be read.
    pub(in crate::index) fn broken(&self) -> u64 {
        self.broken.get()
    }

    /// A new account.
    pub(in crate::index) fn insert(&mut self, account: Account) {
        let id = account.id;
        let slot = Slot { awake: OnceCell::from(Box::new(account)), ..Slot::default() };
        slot.woke_before.set(self.woke_last.replace(id));
        self.slots.insert(id, slot);
    }

    /// An account that comes from another log: nobody sees it yet.
    pub(in crate::index) fn insert_arriving(&mut self, mut account: Account) {
        let id = account.id;
        // It may have been here before: what it held of files is given up when it is written anew.
        account.held = self.gone.remove(&id);
        self.insert(account);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.arriving = true;
            self.coming.insert(id);
        }
    }

    /// Whether it is there and on its way.
    pub(in crate::index) fn is_arriving(&self, id: AccountId) -> bool {
        self.slots.get(&id).is_some_and(|slot| slot.arriving)
    }

    /// All that are on their way, in order of id.
    pub(in crate::index) fn arriving(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.coming.iter().copied()
    }

    /// It is all there. Counts as a change of the account.
    pub(in crate::index) fn arrived(&mut self, id: AccountId) {
        if self.change(id).is_some()
            && let Some(slot) = self.slots.get_mut(&id)
        {
            slot.arriving = false;
            self.coming.remove(&id);
        }
    }

    /// Takes an account out. What it has in files is given up when they say that it is gone.
    pub(in crate::index) fn remove(&mut self, id: AccountId) -> Option<Box<Account>> {
        self.change(id)?;
        self.gather();
        self.coming.remove(&id);
        let mut account = self.slots.remove(&id)?.awake.into_inner()?;
        self.gone.insert(id, account.held.take().unwrap_or_default());
        Some(account)
    }

    /// An account of a checkpoint, which is asleep.
    pub(in crate::index) fn load(
        &mut self,
        id: AccountId,
        head: &[u8],
        file: u32,
        len: u32,
    ) -> Option<Digested<'_>> {
        let slot = Slot { head: Some(head.into()), file, len, ..Slot::default() };
        self.slots.insert(id, slot);
        let slot = self.slots.get_mut(&id)?;
        let known = head::digest(slot.head.as_deref()?)?;
        slot.arriving = known.arriving;
        if known.arriving {
            self.coming.insert(id);
        }
        Some(known)
    }

    /// Puts some of the rows of an account that have changed into a round, until so many bytes wait; true when there
    /// may be more. The account is still to be copied, and finds them there.
    pub(in crate::index) fn copy_rows(&mut self, id: AccountId, round: &mut Round, bytes: usize) -> bool {
        if self.slots.get(&id).is_none_or(|slot| slot.awake.get().is_none()) {
            return false;
        }
        let Some(account) = self.change(id) else { return false };
        account.mailboxes.values_mut().any(|mailbox| mailbox.columns.write_some(round, bytes))
    }

    /// What a round that came to nothing has of the rows of an account is not to be counted on.
    pub(in crate::index) fn forget_rows(&mut self, id: AccountId, file: u32) {
        let account = self.slots.get_mut(&id).and_then(|slot| slot.awake.get_mut());
        let mailboxes = account.into_iter().flat_map(|account| account.mailboxes.values_mut());
        mailboxes.for_each(|mailbox| mailbox.columns.forget_images(file));
    }

    /// Puts an account into a round: what has changed of it and a new head. False: it has bytes in an older
    /// checkpoint that are damaged; it is not served any more. An account that is gone says so by its record.
    pub(in crate::index) fn copy(
        &mut self,
        id: AccountId,
        round: &mut Round,
        record: impl FnOnce(&mut Round, Option<&[u8]>) -> u32,
    ) -> bool {
        if !self.slots.contains_key(&id) {
            record(round, None);
            self.images.release(&self.gone.remove(&id).unwrap_or_default());
            return true;
        }
        let was_asleep = self.slots.get(&id).is_some_and(|slot| slot.awake.get().is_none());
        if self.change(id).is_none() {
            return false;
        }
        let Some(slot) = self.slots.get_mut(&id) else { return false };
        let Some(account) = slot.awake.get_mut() else { return false };
        let Some(head) = head::write(account, slot.arriving, round) else {
            self.give_up(id);
            return false;
        };
        self.images.release(&account.held.take().unwrap_or_default());
        (slot.file, slot.len) = (round.file, record(round, Some(&head)));
        self.images.retain(&held(account, slot.file, slot.len));
        slot.head = Some(head.into());
        if was_asleep {
            slot.used.set(false);
        }
        true
    }

    /// A round came to nothing: its file is not to be counted on.
    pub(in crate::index) fn forget_image(&mut self, id: AccountId, file: u32) {
        if let Some(held) = self.gone.get_mut(&id) {
            held.retain(|(of, _)| *of != file);
        }
        let Some(slot) = self.slots.get_mut(&id) else { return };
        // One that left and came again since it was copied is in no file itself, but still to give up what it held.
        if let Some(held) = slot.awake.get_mut().and_then(|account| account.held.as_mut()) {
            held.retain(|(of, _)| *of != file);
        }
        if slot.file != file {
            return;
        }
        if let Some(account) = slot.awake.get_mut() {
            // Nothing goes to sleep into a file that is not complete: it is all there.
            slot.head = None;
            let mut held = account.held.take().unwrap_or_else(|| held(account, slot.file, slot.len));
            held.retain(|(of, _)| *of != file);
            account.held = Some(held);
            (slot.file, slot.len, account.parts) = (0, 0, Parts::default());
            account.mailboxes.values_mut().for_each(|mailbox| mailbox.columns.forget_images(file));
        }
    }

    /// The next account by id, and where what its head names is. None behind the last. A head that does not hold
    /// together names nothing: who asks for the account will see.
    pub(in crate::index) fn pieces_after(&self, after: AccountId) -> Option<(AccountId, Vec<Piece>)> {
        let (&id, slot) = self.slots.range((Bound::Excluded(after), Bound::Unbounded)).next()?;
        if slot.broken.get() {
            return Some((id, Vec::new()));
        }
        let all = |account: &Account| {
            let rows = account.mailboxes.values().flat_map(|mailbox| mailbox.columns.pieces());
            account.parts.pieces().chain(rows).collect()
        };
        let pieces = match (slot.awake.get(), slot.head.as_deref()) {
            (Some(account), _) => all(account),
            (None, Some(head)) => {
                let account = head::read(id, head, |piece| self.images.slice(piece));
                account.as_ref().map(all).unwrap_or_default()
            }
            (None, None) => Vec::new(),
        };
        let complete = |piece: &Piece| self.images.is_complete(piece.file);
        Some((id, pieces.into_iter().filter(complete).collect()))
    }

    /// Accounts that are not served since their image was found damaged.
    pub(in crate::index) fn broken_ids(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.slots.iter().filter(|(_, slot)| slot.broken.get()).map(|(&id, _)| id)
    }

    /// Whether anything of it is in this file.
    pub(in crate::index) fn uses(&self, id: AccountId, file: u32) -> bool {
        let Some(slot) = self.slots.get(&id) else { return false };
        let uses = |account: &Account| held(account, slot.file, slot.len).iter().any(|(of, _)| *of == file);
        match slot.awake.get() {
            Some(account) => account
                .held
                .as_ref()
                .map_or_else(|| uses(account), |held| held.iter().any(|(of, _)| *of == file)),
            None => {
                let head = slot.head.as_deref().unwrap_or_default();
                slot.file == file
                    || head::read(id, head, |piece| self.images.slice(piece))
                        .is_none_or(|account| uses(&account))
            }
        }
    }

    /// What all images hold, counted anew, for a test of I20.
    #[cfg(any(test, feature = "testing"))]
    pub(in crate::index) fn recount(&self, add: &mut impl FnMut(&Held)) {
        self.gone.values().for_each(&mut *add);
        for (&id, slot) in &self.slots {
            let asleep;
            let account: &Account = match (slot.awake.get(), slot.head.as_deref()) {
                (Some(account), _) => account,
                (None, Some(head)) => {
                    asleep = head::read(id, head, |piece| self.images.slice(piece)).expect("sound");
                    &asleep
                }
                (None, None) => continue,
            };
            match &account.held {
                Some(held) => add(held),
                None => add(&held(account, slot.file, slot.len)),
            }
        }
    }

    /// Mixes all accounts in, and wakes none of them.
    pub(in crate::index) fn digest(&self, digest: &mut Digest) {
        for (&id, slot) in &self.slots {
            digest.word(u64::from(slot.quarantined) | u64::from(slot.arriving) << 1);
            match (slot.awake.get(), slot.head.as_deref()) {
                (Some(account), _) => account.digest(digest, None),
                (None, head) => {
                    let head = head.unwrap_or_default();
                    match head::read(id, head, |piece| self.images.slice(piece)) {
                        Some(account) => account.digest(digest, None),
                        None => digest.word(u64::MAX),
                    }
                }
            }
        }
    }

    /// Looks at some of the awake accounts. Those that nobody has asked for since the last look go to sleep while
    /// all together take more than `bytes_max`. Tells whether more of them have to be written first.
    pub(in crate::index) fn evict(&mut self, bytes_max: usize, looks: usize) -> bool {
        self.gather();
        let mut waits = false;
        let looks = if self.is_at_ease(bytes_max) { looks / LOOKS_AT_EASE } else { looks };
        for _ in 0..looks.min(self.watch.len()) {
            if self.lap_left == 0 {
                (self.memory, self.lap_bytes) = (self.lap_bytes, 0);
                (self.lap_len, self.lap_left) = (self.watch.len(), self.watch.len());
            }
            self.lap_left -= 1;
            let Some(id) = self.watch.pop_front() else { break };
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            let Some(account) = slot.awake.get() else { continue };
            let bytes = account.memory();
            if !slot.broken.get() && account.mailboxes.values().any(|mailbox| mailbox.columns.is_damaged()) {
                slot.broken.set(true);
                self.broken.set(self.broken.get() + 1);
            }
            let pressed = self.memory.max(self.lap_bytes + bytes) > bytes_max;
            let clean = slot.head.is_some() && account.held.is_none() && self.images.is_complete(slot.file);
            if pressed && clean && !slot.used.replace(false) {
                slot.awake = OnceCell::new();
                self.memory = self.memory.saturating_sub(bytes);
                continue;
            }
            waits |= pressed && slot.head.is_none();
            self.lap_bytes += bytes;
            self.watch.push_back(id);
        }
        waits
    }

    /// Whether those that are awake, each as large as in the last lap, take less than half of the memory there is.
    fn is_at_ease(&self, bytes_max: usize) -> bool {
        let each = self.memory.checked_div(self.lap_len).unwrap_or(usize::MAX);
        self.memory.max(each.saturating_mul(self.watch.len())) < bytes_max / 2
    }

    /// Puts those that woke up lately among the others.
    fn gather(&mut self) {
        let mut next = self.woke_last.replace(NOBODY);
        while let Some(slot) = self.slots.get(&next) {
            self.watch.push_back(next);
            next = slot.woke_before.replace(NOBODY);
        }
    }

    /// Bytes that the awake accounts take, as counted by the last looks at all of them, and how many there are.
    pub(in crate::index) fn awake(&self) -> (usize, usize) {
        (self.memory.max(self.lap_bytes), self.watch.len())
    }
}

/// What an account that is as it was written holds of checkpoint files.
fn held(account: &Account, file: u32, len: u32) -> Held {
    let mut held = Held::new();
    if file != 0 {
        hold(&mut held, file, u64::from(len));
    }
    account.parts.hold(&mut held);
    account.mailboxes.values().for_each(|mailbox| mailbox.columns.hold(&mut held));
    held
}
