//! What was removed and can still be had back.
//!
//! *Owns*: every message that left a mailbox, in order of time, and the names of mailboxes that are gone.
//! *Promises*: a body stays as long as one of its messages lies here (I16); 72 bytes a message; what goes, goes from
//! the front. *Assumes*: [`super::apply`] buries in log order, so that times only grow (I14). *Never*: decides how
//! long something is kept; a Reap says it. Of one account no more lies here than [`bounds`] allows.
//!
//! ```text
//!  expunge, move, delete ──bury──► │ newest … oldest │ ──Reap{until}──► bodies released
//!                                        └─Restore──► a new message of the same body
//! ```
//!
//! Who restores goes through all of it: that is rare, and a million messages are 72 MB.

mod bounds;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::digest::Digest;
use super::keywords::Keywords;
use super::mailbox::Mailbox;
use super::{Message, account::Account};
use crate::change::{FlagBits, Stamp, UidSet};
use crate::checkpoint::wire::{Wire, put, put_text};
use crate::ids::{AccountId, BodyId, BodyKey, EmailId, Lsn, MailboxId, ModSeq, Uid};
use bounds::Bounds;

/// The part of a checkpoint that holds everything but rows; the others are counted from 1.
const HEAD: u64 = 0;
/// Rows of a full part: 64 KiB at most, mostly half of that.
const PART_ROWS: u64 = 1024;

/// A message that left its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buried {
    /// Whose.
    pub account: AccountId,
    /// Out of which mailbox.
    pub mailbox: MailboxId,
    /// When, milliseconds since 1970.
    pub when_ms: u64,
    /// By which change.
    pub lsn: Lsn,
    /// As it was then; `modseq` is that of the change.
    pub message: Message,
}

/// A mailbox that was deleted, by itself or with its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuriedMailbox {
    /// Whose.
    pub account: AccountId,
    /// The address of the account.
    pub address: String,
    /// Which.
    pub mailbox: MailboxId,
    /// Its full name.
    pub name: String,
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// Its keywords in order of their bits.
    pub keywords: Vec<String>,
    /// When, milliseconds since 1970.
    pub when_ms: u64,
}

/// In the number of a row's mailbox: where its octets were stored first stands behind it.
const HAS_NAME: u64 = 1 << 32;

/// A message as it is kept.
#[derive(Clone, Copy, Debug)]
struct Grave {
    when_ms: u64,
    lsn: u64,
    account: u64,
    flags: u64,
    body: u64,
    mailbox: u32,
    uid: u32,
    size: u32,
    summary_len: u32,
    internal_s: u32,
    saved_s: u32,
    known_as: u64,
}

impl Grave {
    fn of(buried: &Buried) -> Grave {
        let Buried { account, mailbox, when_ms, lsn, message } = buried;
        // Both dates come from columns of whole seconds.
        let seconds = |ms: u64| u32::try_from(ms / 1000).unwrap_or(u32::MAX);
        Grave {
            when_ms: *when_ms,
            lsn: lsn.0,
            account: account.0,
            flags: message.flags.0,
            body: message.body.0,
            mailbox: mailbox.0,
            uid: message.uid.0,
            size: message.size,
            summary_len: message.summary_len,
            internal_s: seconds(message.internal_ms),
            saved_s: seconds(message.saved_ms),
            known_as: message.known_as.0,
        }
    }

    fn key(&self) -> BodyKey {
        BodyKey { id: BodyId(self.body), summary_len: self.summary_len, len: self.size }
    }

    fn buried(&self) -> Buried {
        Buried {
            account: AccountId(self.account),
            mailbox: MailboxId(self.mailbox),
            when_ms: self.when_ms,
            lsn: Lsn(self.lsn),
            message: Message {
                uid: Uid(self.uid),
                modseq: ModSeq(0),
                flags: FlagBits(self.flags),
                size: self.size,
                internal_ms: u64::from(self.internal_s) * 1000,
                saved_ms: u64::from(self.saved_s) * 1000,
                summary_len: self.summary_len,
                body: BodyId(self.body),
                known_as: EmailId(self.known_as),
            },
        }
    }
}

impl Grave {
    fn write(&self, out: &mut Vec<u8>) {
        [self.when_ms, self.lsn, self.account, self.flags, self.body]
            .into_iter()
            .for_each(|word| put(out, word));
        // One bit above the mailbox: a name follows.
        put(out, u64::from(self.mailbox) | if self.known_as == 0 { 0 } else { HAS_NAME });
        let words = [self.uid, self.size, self.summary_len, self.internal_s, self.saved_s];
        words.into_iter().for_each(|word| put(out, u64::from(word)));
        if self.known_as != 0 {
            put(out, self.known_as);
        }
    }

    fn read(wire: &mut Wire<'_>) -> Option<Grave> {
        let (when_ms, lsn, account) = (wire.number()?, wire.number()?, wire.number()?);
        let (flags, body, mailbox) = (wire.number()?, wire.number()?, wire.number()?);
        let has_name = mailbox & HAS_NAME != 0;
        Some(Grave {
            when_ms,
            lsn,
            account,
            flags,
            body,
            mailbox: u32::try_from(mailbox & !HAS_NAME).ok()?,
            uid: wire.word()?,
            size: wire.word()?,
            summary_len: wire.word()?,
            internal_s: wire.word()?,
            saved_s: wire.word()?,
            known_as: if has_name { wire.number()? } else { 0 },
        })
    }
}

impl BuriedMailbox {
    /// Bytes that it takes in a checkpoint, about: no fewer.
    fn bytes(&self) -> usize {
        let texts = [&self.address, &self.name].into_iter().chain(&self.keywords);
        64 + texts.map(|text| text.len() + 4).sum::<usize>()
    }

    /// Puts all of it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.account.0);
        put_text(out, &self.address);
        put(out, u64::from(self.mailbox.0));
        put_text(out, &self.name);
        put(out, u64::from(self.uid_validity));
        put(out, self.when_ms);
        put(out, self.keywords.len() as u64);
        self.keywords.iter().for_each(|keyword| put_text(out, keyword));
    }

    /// Reads what was put.
    pub(crate) fn read(wire: &mut Wire<'_>) -> Option<BuriedMailbox> {
        Some(BuriedMailbox {
            account: AccountId(wire.number()?),
            address: wire.text()?.to_owned(),
            mailbox: MailboxId(wire.word()?),
            name: wire.text()?.to_owned(),
            uid_validity: wire.word()?,
            when_ms: wire.number()?,
            keywords: (0..wire.count()?).map(|_| wire.text().map(str::to_owned)).collect::<Option<_>>()?,
        })
    }
}

/// Parts of a checkpoint that are read until all are there.
#[derive(Debug, Default)]
struct Loading {
    /// By the number of their first row.
    parts: BTreeMap<u64, Vec<Grave>>,
    /// How many rows there must be.
    rows: u64,
}

/// The moment and the change that bury.
#[derive(Clone, Copy, Debug)]
pub(super) struct Burial {
    pub(super) account: AccountId,
    pub(super) lsn: Lsn,
    pub(super) when_ms: u64,
}

impl Burial {
    pub(super) fn new(account: AccountId, lsn: Lsn, stamp: &Stamp) -> Burial {
        Burial { account, lsn, when_ms: stamp.time_ms }
    }
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Graves {
    rows: VecDeque<Grave>,
    mailboxes: VecDeque<BuriedMailbox>,
    /// Everything that left at or before this moment is gone.
    reaped_ms: u64,
    /// How many messages went before the oldest that lies here.
    gone: u64,
    /// How many mailboxes did since the start: their numbers hold only that long.
    mailboxes_gone: u64,
    /// How many messages were ever buried when the parts that changed were asked for last, and how many of those
    /// were gone.
    asked: (u64, u64),
    /// The rows from this one on, counted as above, are not what they were then: some came between them.
    shifted: Option<u64>,
    /// Whether anything but rows has changed since.
    changed: bool,
    bounds: Bounds,
    loading: Loading,
}

impl Graves {
    /// Takes a message that leaves its mailbox. Its reference to the body stays.
    pub(super) fn bury(&mut self, burial: Burial, mailbox: MailboxId, message: &Message) {
        let Burial { account, lsn, when_ms } = burial;
        let row = Grave::of(&Buried { account, mailbox, when_ms, lsn, message: *message });
        self.bounds.add(&row);
        self.rows.push_back(row);
    }

    /// Keeps the name of a mailbox that goes; of one that never had a message there is nothing to be had back.
    pub(super) fn bury_mailbox(&mut self, burial: Burial, address: &str, mailbox: &Mailbox) {
        if mailbox.uid_next == Uid(1) {
            return;
        }
        let gone = BuriedMailbox {
            account: burial.account,
            address: address.to_owned(),
            mailbox: mailbox.id,
            name: mailbox.name.clone(),
            uid_validity: mailbox.uid_validity,
            keywords: mailbox.keywords.names().to_vec(),
            when_ms: burial.when_ms,
        };
        self.keep_name(self.mailboxes.len(), gone);
    }

    /// Takes a whole account with its mailboxes.
    pub(super) fn bury_account(&mut self, burial: Burial, account: &Account) {
        for mailbox in account.mailboxes.values() {
            for place in 0..mailbox.columns.len() {
                self.bury(burial, mailbox.id, &mailbox.columns.message(place));
            }
            self.bury_mailbox(burial, &account.address, mailbox);
        }
    }

    /// Until when to reap so that about `rows_max` messages go, all of them buried at or before `before_ms`; none
    /// when nothing is due. Those of one moment go together.
    pub(super) fn due(&self, before_ms: u64, rows_max: usize) -> Option<u64> {
        let is_due = |when_ms: &u64| *when_ms <= before_ms;
        let row = self.rows.front().map(|row| row.when_ms).filter(is_due);
        let mailbox = self.mailboxes.front().map(|mailbox| mailbox.when_ms).filter(is_due);
        let due = row.into_iter().chain(mailbox).next()?;
        let last = self.rows.get(rows_max - 1).map_or(before_ms, |row| row.when_ms.min(before_ms));
        Some(due.max(last))
    }

    /// Lets go what was buried at or before this moment, so many messages at most, and tells of each body. True when
    /// all that is gone.
    pub(super) fn reap(&mut self, until_ms: u64, max: usize, mut released: impl FnMut(BodyKey)) -> bool {
        let due = self.due_until(until_ms);
        for row in self.rows.drain(..due.min(max)) {
            released(row.key());
            self.bounds.take(&row);
            self.gone += 1;
        }
        self.changed = true;
        if due > max {
            return false;
        }
        while self.mailboxes.front().is_some_and(|mailbox| mailbox.when_ms <= until_ms) {
            self.mailboxes.pop_front().iter().for_each(|gone| self.bounds.take_name(gone));
            self.mailboxes_gone += 1;
        }
        self.reaped_ms = self.reaped_ms.max(until_ms);
        true
    }

    /// Everything that left at or before this moment is gone.
    pub(super) fn reaped_ms(&self) -> u64 {
        self.reaped_ms
    }

    /// How many messages lie here.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Puts messages of another log among those that lie here, in order of time.
    pub(super) fn take(&mut self, removed: Vec<Buried>) {
        let Some(first) = removed.first() else { return };
        let at = self.rows.partition_point(|row| row.when_ms <= first.when_ms);
        let behind = self.rows.split_off(at);
        let shifted = self.gone + at as u64;
        self.shifted = Some(self.shifted.map_or(shifted, |before| before.min(shifted)));
        let mut behind = behind.into_iter().peekable();
        for row in removed.iter().map(Grave::of) {
            self.bounds.add(&row);
            while let Some(earlier) = behind.next_if(|earlier| earlier.when_ms <= row.when_ms) {
                self.rows.push_back(earlier);
            }
            self.rows.push_back(row);
        }
        self.rows.extend(behind);
    }

    /// Keeps the name of a mailbox that went elsewhere, in order of time.
    pub(super) fn take_mailbox(&mut self, gone: BuriedMailbox) {
        let at = self.mailboxes.partition_point(|known| known.when_ms <= gone.when_ms);
        self.keep_name(at, gone);
    }

    /// Forgets what came of an account, and tells of each body.
    pub(super) fn drop_account(&mut self, account: AccountId, mut released: impl FnMut(BodyKey)) {
        let ours = |row: &Grave| row.account == account.0;
        if let Some(first) = self.rows.iter().position(ours) {
            let shifted = self.gone + first as u64;
            self.shifted = Some(self.shifted.map_or(shifted, |before| before.min(shifted)));
            for row in self.rows.iter().filter(|row| ours(row)) {
                released(row.key());
                self.bounds.take(row);
            }
            self.rows.retain(|row| !ours(row));
        }
        let ours = |gone: &&BuriedMailbox| gone.account == account;
        self.mailboxes.iter().filter(ours).for_each(|gone| self.bounds.take_name(gone));
        self.mailboxes.retain(|gone| gone.account != account);
        self.changed = true;
    }

    /// All messages, in the order in which they left.
    pub(super) fn all(&self) -> impl Iterator<Item = Buried> + '_ {
        self.rows.iter().map(Grave::buried)
    }

    /// Messages of an account, in the order in which they left.
    pub(super) fn of_account(&self, account: AccountId) -> impl Iterator<Item = Buried> + '_ {
        self.rows.iter().filter(move |row| row.account == account.0).map(Grave::buried)
    }

    /// The number of the first message that left at or after this moment. Messages are numbered in the order in
    /// which they left, and keep their numbers.
    pub(super) fn number_since(&self, since_ms: u64) -> u64 {
        self.gone + self.rows.partition_point(|row| row.when_ms < since_ms) as u64
    }

    /// The messages of so many numbers from `from` on, and the number behind them; none when that is the end.
    pub(super) fn stretch(
        &self,
        from: u64,
        count: usize,
    ) -> (impl Iterator<Item = Buried> + '_, Option<u64>) {
        let start =
            usize::try_from(from.saturating_sub(self.gone)).unwrap_or(usize::MAX).min(self.rows.len());
        let end = start.saturating_add(count).min(self.rows.len());
        let next = (end < self.rows.len()).then_some(self.gone + end as u64);
        (self.rows.range(start..end).map(Grave::buried), next)
    }

    /// The same of mailboxes; their numbers hold until the next start.
    pub(super) fn mailbox_stretch(
        &self,
        from: u64,
        count: usize,
    ) -> (impl Iterator<Item = &BuriedMailbox>, Option<u64>) {
        let start = usize::try_from(from.saturating_sub(self.mailboxes_gone)).unwrap_or(usize::MAX);
        let start = start.min(self.mailboxes.len());
        let end = start.saturating_add(count).min(self.mailboxes.len());
        let next = (end < self.mailboxes.len()).then_some(self.mailboxes_gone + end as u64);
        (self.mailboxes.range(start..end), next)
    }

    /// Messages that left a mailbox before this position, by UID.
    pub(super) fn of_mailbox(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
        before: Lsn,
    ) -> Vec<Message> {
        let ours = |row: &&Grave| (row.account, row.mailbox) == (account.0, mailbox.0) && row.lsn < before.0;
        let asked = self.rows.iter().filter(ours).filter(|row| uids.contains(Uid(row.uid)));
        let mut messages: Vec<Message> = asked.map(|row| row.buried().message).collect();
        messages.sort_unstable_by_key(|message| message.uid);
        messages
    }

    /// The keywords of a mailbox that is gone.
    pub(super) fn keywords(&self, account: AccountId, mailbox: MailboxId) -> Keywords {
        let is_it = |gone: &&BuriedMailbox| (gone.account, gone.mailbox) == (account, mailbox);
        self.mailboxes
            .iter()
            .find(is_it)
            .and_then(|gone| Keywords::of(gone.keywords.clone()))
            .unwrap_or_default()
    }

    /// Mailboxes that are gone, in the order in which they went.
    pub(super) fn mailboxes(&self) -> impl Iterator<Item = &BuriedMailbox> {
        self.mailboxes.iter()
    }

    /// The parts that have changed since this was asked last. A part that is full never changes again; it goes when
    /// all of its rows are gone.
    pub(super) fn take_changed(&mut self) -> Vec<u64> {
        let ever = self.gone + self.rows.len() as u64;
        let (before, gone_before) = std::mem::replace(&mut self.asked, (ever, self.gone));
        let head =
            (std::mem::take(&mut self.changed) || before != ever || gone_before != self.gone).then_some(HEAD);
        let emptied = gone_before / PART_ROWS..self.gone / PART_ROWS;
        let shifted = self.shifted.take();
        let from = shifted.map_or(before, |shifted| shifted.min(before));
        let first = (from / PART_ROWS).max(self.gone / PART_ROWS);
        let changed = before < ever || shifted.is_some();
        let filled = if changed { first..before.max(ever).div_ceil(PART_ROWS) } else { 0..0 };
        head.into_iter().chain(emptied.chain(filled).map(|part| part + 1)).collect()
    }

    /// The parts that the next messages go into: all others stay as they are until they are reaped.
    pub(super) fn open_parts(&self) -> [u64; 2] {
        [HEAD, (self.gone + self.rows.len() as u64) / PART_ROWS + 1]
    }

    /// How many messages were buried at or before this moment.
    pub(super) fn due_until(&self, until_ms: u64) -> usize {
        self.rows.partition_point(|row| row.when_ms <= until_ms)
    }

    /// The parts that a Reap up to this moment takes its next messages from, so many at most.
    pub(super) fn parts_until(&self, until_ms: u64, max: usize) -> Range<u64> {
        let rows = self.due_until(until_ms).min(max) as u64;
        let last = (self.gone + rows).div_ceil(PART_ROWS) + 1;
        if rows == 0 { 0..0 } else { self.gone / PART_ROWS + 1..last }
    }

    /// The parts that are not what they were when messages come in behind those of this moment, or go from there on.
    pub(super) fn parts_from(&self, when_ms: u64) -> Range<u64> {
        let ever = self.gone + self.rows.len() as u64;
        (self.gone + self.due_until(when_ms) as u64) / PART_ROWS + 1..ever / PART_ROWS + 2
    }

    /// One part, for a checkpoint. False when there is none.
    pub(super) fn write(&self, part: u64, out: &mut Vec<u8>) -> bool {
        if part == HEAD {
            put(out, self.reaped_ms);
            put(out, self.gone);
            put(out, self.rows.len() as u64);
            put(out, self.mailboxes.len() as u64);
            self.mailboxes.iter().for_each(|mailbox| mailbox.write(out));
            return true;
        }
        // Counted from the oldest there is: a part may have lost its first rows.
        let start = ((part - 1) * PART_ROWS).max(self.gone);
        let end = (part * PART_ROWS).min(self.gone + self.rows.len() as u64);
        if start >= end {
            return false;
        }
        put(out, start);
        put(out, end - start);
        let rows = self.rows.range((start - self.gone) as usize..(end - self.gone) as usize);
        rows.for_each(|row| row.write(out));
        true
    }

    /// Takes a part of a checkpoint, in any order.
    pub(super) fn read(&mut self, part: u64, wire: &mut Wire<'_>) -> Option<()> {
        if part == HEAD {
            (self.reaped_ms, self.gone) = (wire.number()?, wire.number()?);
            self.loading.rows = wire.number()?;
            for _ in 0..wire.count()? {
                let gone = BuriedMailbox::read(wire)?;
                self.bounds.add_name(&gone);
                self.mailboxes.push_back(gone);
            }
            return Some(());
        }
        let start = wire.number()?;
        let rows = (0..wire.count()?).map(|_| Grave::read(wire)).collect::<Option<Vec<_>>>()?;
        self.loading.parts.insert(start, rows);
        Some(())
    }

    /// All parts are there; none when they do not make one queue.
    pub(super) fn finish_reading(&mut self) -> Option<()> {
        let Loading { parts, rows } = std::mem::take(&mut self.loading);
        for (start, rows) in parts {
            // Rows that went after their part was written are in it still.
            let skip = usize::try_from(self.gone.saturating_sub(start)).ok()?.min(rows.len());
            let next = self.gone + self.rows.len() as u64;
            (skip == rows.len() || start + skip as u64 == next).then_some(())?;
            rows[skip..].iter().for_each(|row| self.bounds.add(row));
            self.rows.extend(&rows[skip..]);
        }
        let ascending = self.rows.iter().zip(self.rows.iter().skip(1)).all(|(a, b)| a.when_ms <= b.when_ms);
        (self.rows.len() as u64 == rows && ascending).then_some(())
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.reaped_ms);
        digest.word(self.rows.len() as u64);
        for row in &self.rows {
            [row.when_ms, row.lsn, row.account, row.flags, row.body]
                .into_iter()
                .for_each(|word| digest.word(word));
            digest.word(u64::from(row.mailbox) << 32 | u64::from(row.uid));
            digest.word(u64::from(row.size) << 32 | u64::from(row.summary_len));
            digest.word(u64::from(row.internal_s) << 32 | u64::from(row.saved_s));
            digest.word(row.known_as);
        }
        for mailbox in &self.mailboxes {
            digest.word(mailbox.account.0);
            digest.text(&mailbox.address);
            digest.word(u64::from(mailbox.mailbox.0) << 32 | u64::from(mailbox.uid_validity));
            digest.text(&mailbox.name);
            mailbox.keywords.iter().for_each(|keyword| digest.text(keyword));
            digest.word(mailbox.when_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, FlagOp, Outcome, Refusal};
    use crate::index::account::INBOX_ID;
    use crate::index::lab::{Lab, named, uids};

    fn expunge(mailbox: MailboxId, list: &[u32]) -> Change {
        Change::Expunge { mailbox, uids: uids(list), only_deleted: false }
    }

    fn restore(of: AccountId, from: MailboxId, list: &[u32], to: MailboxId) -> Change {
        Change::Restore { of, from, uids: uids(list), to }
    }

    fn buried(lab: &Lab, account: AccountId) -> Vec<(u32, u32)> {
        lab.index.buried(account).map(|buried| (buried.mailbox.0, buried.message.uid.0)).collect()
    }

    fn flag(lab: &mut Lab, id: AccountId, mailbox: MailboxId, keyword: &str) {
        let flags = named(FlagBits::SEEN, &[keyword]);
        let (uids, op) = (uids(&[1, 2, 3]), FlagOp::Add);
        lab.done_any(id, Change::FlagsStore { mailbox, uids, op, flags, unchanged_since: None });
    }

    #[test]
    fn what_was_removed_comes_back_as_it_was_under_new_uids() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("to", None)]);
        let to = MailboxId(2);
        for len in [10, 20, 30] {
            let body = lab.body(len);
            lab.deliver(id, INBOX_ID, body);
        }
        flag(&mut lab, id, INBOX_ID, "k");
        lab.now.unix_ms += 5_000;
        lab.done_any(id, expunge(INBOX_ID, &[1, 3]));
        assert_eq!((buried(&lab, id), lab.index.counts().body_bytes), (vec![(1, 1), (1, 3)], 60));
        let when = lab.index.buried(id).map(|buried| buried.when_ms).max();
        assert_eq!(when, Some(lab.now.unix_ms));
        let back = lab.done_any(id, restore(id, INBOX_ID, &[1, 2, 3], INBOX_ID));
        let uid_validity = lab.inbox(id).uid_validity();
        assert_eq!(back, Outcome::Copied { uid_validity, source: uids(&[1, 3]), target: uids(&[4, 5]) });
        assert_eq!(lab.inbox(id).uid_next(), Uid(6), "a number for each that was asked for, and not twice");
        let third = lab.inbox(id).message(2);
        assert_eq!((third.size, third.saved_ms, lab.account_ref(id).bytes()), (30, lab.now.unix_ms, 60));
        assert_eq!(third.flags, FlagBits::SEEN.union(FlagBits::keyword(0)));
        lab.done_any(id, restore(id, INBOX_ID, &[1], to));
        let copy = lab.index.mailbox(id, to).expect("there");
        assert_eq!((copy.len(), copy.keywords()), (1, &["k".to_owned()][..]));
        lab.reap();
        assert_eq!((buried(&lab, id), lab.index.counts().body_bytes), (vec![], 60));
        let nothing = lab.done_any(id, restore(id, INBOX_ID, &[1], to));
        assert!(matches!(nothing, Outcome::Copied { source, .. } if source.is_empty()));
    }

    #[test]
    fn moved_deleted_and_renamed_mail_lies_where_it_was() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("b", None), ("never", None)]);
        let (b, body) = (MailboxId(2), lab.body(10));
        lab.deliver(id, INBOX_ID, body);
        lab.done_any(id, Change::Copy { from: INBOX_ID, to: b, uids: uids(&[1]), expunge: true });
        flag(&mut lab, id, b, "word");
        lab.done(id, Change::MailboxDelete { mailbox: b });
        lab.done(id, Change::MailboxDelete { mailbox: MailboxId(3) });
        assert_eq!(buried(&lab, id), [(1, 1), (2, 1)]);
        let gone: Vec<&BuriedMailbox> = lab.index.buried_mailboxes().collect();
        assert_eq!(
            (gone.len(), gone[0].name.as_str(), &gone[0].keywords[..]),
            (1, "b", &["word".to_owned()][..])
        );
        lab.done_any(id, restore(id, b, &[1], INBOX_ID));
        assert_eq!((lab.inbox(id).len(), lab.inbox(id).keywords()), (1, &["word".to_owned()][..]));
        lab.done_any(id, Change::MailboxRename { mailbox: INBOX_ID, to: "old".into() });
        assert_eq!(buried(&lab, id), [(1, 1), (2, 1), (1, 2)]);
        lab.reap();
        assert_eq!((lab.index.buried_mailboxes().count(), lab.index.counts().body_bytes), (0, 10));
    }

    #[test]
    fn a_deleted_account_gives_its_mail_to_another() {
        let mut lab = Lab::new();
        let first = lab.account("a@x", &[("b", None)]);
        for mailbox in [INBOX_ID, MailboxId(2)] {
            let body = lab.body(10);
            lab.deliver(first, mailbox, body);
        }
        lab.done(first, Change::AccountDelete);
        let second = lab.account("a@x", &[]);
        let names: Vec<_> =
            lab.index.buried_mailboxes().map(|gone| (gone.account, gone.name.as_str())).collect();
        assert_eq!(names, [(first, "INBOX"), (first, "b")]);
        lab.done_any(second, restore(first, MailboxId(2), &[1], INBOX_ID));
        assert_eq!((lab.inbox(second).len(), lab.index.counts().body_bytes), (1, 20));
        lab.reap();
        assert_eq!(lab.index.counts().body_bytes, 10);
        let many = UidSet::from_ranges(vec![(1, 10_001)]).expect("canonical");
        let too_many = Change::Restore { of: first, from: INBOX_ID, uids: many, to: INBOX_ID };
        assert_eq!(lab.run(second, too_many), Err(Refusal::Limit));
    }

    #[test]
    fn numbers_stay_while_the_oldest_go() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("b", None), ("c", None)]);
        for uid in 1..=4 {
            let body = lab.body(10);
            lab.deliver(id, INBOX_ID, body);
            lab.now.unix_ms += 1000;
            lab.done_any(id, expunge(INBOX_ID, &[uid]));
        }
        let last = lab.now.unix_ms;
        for mailbox in [MailboxId(2), MailboxId(3)] {
            let body = lab.body(10);
            lab.deliver(id, mailbox, body);
            lab.now.unix_ms += 1000;
            lab.done(id, Change::MailboxDelete { mailbox });
        }
        let seen = |lab: &Lab, from, count| {
            let (rows, next) = lab.index.graves.stretch(from, count);
            (rows.map(|row| (row.mailbox.0, row.message.uid.0)).collect::<Vec<_>>(), next)
        };
        assert_eq!(seen(&lab, 0, 3), (vec![(1, 1), (1, 2), (1, 3)], Some(3)));
        assert_eq!(lab.index.graves.number_since(last - 1500), 2);
        lab.done(AccountId(0), Change::Reap { until_ms: last - 2000 });
        assert_eq!(seen(&lab, 0, 1), (vec![(1, 3)], Some(3)));
        assert_eq!(seen(&lab, 3, 9), (vec![(1, 4), (2, 1), (3, 1)], None));
        assert_eq!(seen(&lab, u64::MAX, usize::MAX), (vec![], None));
        assert_eq!(lab.index.graves.number_since(last + 1_000_000), 6);
        let names = |lab: &Lab, from, count| {
            let (rows, next) = lab.index.graves.mailbox_stretch(from, count);
            (rows.map(|row| row.name.clone()).collect::<Vec<_>>(), next)
        };
        assert_eq!(names(&lab, 0, 1), (vec!["b".to_owned()], Some(1)));
        lab.done(AccountId(0), Change::Reap { until_ms: last + 1000 });
        assert_eq!(names(&lab, 1, 1), (vec!["c".to_owned()], None));
        assert_eq!(names(&lab, 0, 9), (vec!["c".to_owned()], None));
    }

    #[test]
    fn what_comes_back_does_not_go_with_the_next_expunge() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(10);
        lab.deliver(id, INBOX_ID, body);
        let flags = named(FlagBits::DELETED.union(FlagBits::FLAGGED), &[]);
        let (list, op) = (uids(&[1]), FlagOp::Replace);
        let store = Change::FlagsStore { mailbox: INBOX_ID, uids: list, op, flags, unchanged_since: None };
        lab.done_any(id, store);
        lab.done_any(id, Change::Expunge { mailbox: INBOX_ID, uids: uids(&[1]), only_deleted: true });
        lab.done_any(id, restore(id, INBOX_ID, &[1], INBOX_ID));
        assert_eq!((lab.inbox(id).message(0).flags, lab.inbox(id).deleted()), (FlagBits::FLAGGED, 0));
    }

    #[test]
    fn who_removes_without_end_loses_the_oldest_and_nobody_else_does() {
        let mut lab = Lab::new();
        let (id, other) = (lab.account("a@x", &[("to", None)]), lab.account("b@x", &[]));
        lab.index.graves.bounds.rows_max = 16;
        let mut expected = Vec::new();
        for uid in 1..=40 {
            for account in [id, other].into_iter().take(if uid % 8 == 0 { 2 } else { 1 }) {
                let body = lab.body(10);
                lab.deliver(account, INBOX_ID, body);
                let uid = if account == id { uid } else { uid / 8 };
                lab.done_any(account, expunge(INBOX_ID, &[uid]));
            }
            expected.push((1, uid));
            if expected.len() > 16 {
                expected.drain(..3);
            }
            assert_eq!(buried(&lab, id), expected);
            let lying = expected.len() as u64 + u64::from(uid) / 8;
            assert_eq!(lab.index.counts().body_bytes, 10 * lying, "what goes is let go");
        }
        assert_eq!(buried(&lab, other), [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]);
        let Graves { gone, rows, bounds, .. } = &lab.index.graves;
        assert_eq!((*gone, rows.len() as u64), (bounds.let_go, expected.len() as u64 + 5));
        assert_eq!(lab.index.graves.went_early(), 40 - expected.len() as u64);
        assert!(rows.iter().zip(rows.iter().skip(1)).all(|(a, b)| a.when_ms <= b.when_ms && a.lsn < b.lsn));
        lab.reap();
        assert_eq!(lab.index.counts().body_bytes, 0);
    }

    #[test]
    fn names_of_removed_mailboxes_have_a_bound_for_each_account_and_for_all() {
        let mut lab = Lab::new();
        let (id, other) = (lab.account("a@x", &[]), lab.account("b@x", &[]));
        let bury = |lab: &mut Lab, account, name: &str| {
            let create = Change::MailboxCreate { name: name.into(), special_use: None };
            let Outcome::MailboxCreated(mailbox) = lab.done_any(account, create) else { panic!("not made") };
            let body = lab.body(10);
            lab.deliver(account, mailbox, body);
            lab.done(account, Change::MailboxDelete { mailbox });
        };
        let names =
            |lab: &Lab| lab.index.buried_mailboxes().map(|gone| gone.name.clone()).collect::<Vec<_>>();
        bury(&mut lab, id, "1");
        let one = lab.index.graves.mailboxes[0].bytes();
        lab.index.graves.bounds.names_max = (2 * one, 3 * one);
        bury(&mut lab, other, "2");
        bury(&mut lab, id, "3");
        bury(&mut lab, id, "4");
        assert_eq!(names(&lab), ["2", "3", "4"], "her own oldest");
        bury(&mut lab, other, "5");
        assert_eq!(names(&lab), ["3", "4", "5"], "the oldest of all");
        lab.reap();
        bury(&mut lab, id, "6");
        assert_eq!(names(&lab), ["6"]);
    }

    #[test]
    fn graves_fall_due_in_lots_and_in_order_of_time() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        for uid in 1..=4 {
            let body = lab.body(10);
            lab.deliver(id, INBOX_ID, body);
            lab.now.unix_ms += 1000;
            lab.done_any(id, expunge(INBOX_ID, &[uid]));
        }
        let last = lab.now.unix_ms;
        let graves = &lab.index.graves;
        assert_eq!(graves.due(last - 3001, 2), None);
        assert_eq!(graves.due(last - 3000, 2), Some(last - 3000));
        assert_eq!(graves.due(last, 2), Some(last - 2000), "no more than two");
        assert_eq!(graves.due(last + 9, 5), Some(last + 9));
        lab.done(AccountId(0), Change::Reap { until_ms: last - 2000 });
        assert_eq!((buried(&lab, id), lab.index.reaped_ms()), (vec![(1, 3), (1, 4)], last - 2000));
    }
}
