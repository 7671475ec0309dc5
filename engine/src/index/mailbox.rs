//! One mailbox: its head, its messages, its history.
//!
//! *Owns*: everything a mailbox is, and how a change works on its messages. *Promises*: the counters equal a
//! recount (I15); `highest_modseq` grows with whatever happens to a message, expunge included
//! (rfc7162#3.1.2.1). *Assumes*: `apply` calls with stamps that grow. *Never*: knows of bodies' places or of
//! other mailboxes.

use super::Message;
use super::columns::Columns;
use super::digest::Digest;
use super::extras::{Acl, MailboxExtras};
use super::history::{History, Run};
use super::keywords::Keywords;
use crate::change::{FlagBits, FlagOp, Flags, Refusal, SpecialUse, UidSet};
use crate::ids::{MailboxId, ModSeq, ShardId, Uid};
use crate::limits;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) id: MailboxId,
    pub(super) name: String,
    pub(super) special_use: Option<SpecialUse>,
    /// Only a name that holds its inferiors together (rfc3501#6.3.4).
    pub(super) no_select: bool,
    pub(super) uid_validity: u32,
    pub(super) uid_next: Uid,
    pub(super) recent_from: Uid,
    pub(super) highest_modseq: ModSeq,
    pub(super) columns: Columns,
    pub(super) keywords: Keywords,
    pub(super) expunges: History,
    pub(super) unseen: usize,
    pub(super) deleted: usize,
    /// Octets of the messages that carry `\Deleted`.
    pub(super) deleted_bytes: u64,
    pub(super) bytes: u64,
    pub(super) extras: Option<Box<MailboxExtras>>,
}

/// Greater than any UID that is given out.
const NOBODY: Uid = Uid(u32::MAX);

/// What a STORE did.
pub(super) struct Stored {
    pub(super) done: UidSet,
    pub(super) modified: UidSet,
}

impl Mailbox {
    pub(super) fn new(id: MailboxId, name: &str, uid_validity: u32, modseq: ModSeq) -> Mailbox {
        Mailbox {
            id,
            name: name.to_owned(),
            special_use: None,
            no_select: false,
            uid_validity,
            uid_next: Uid(1),
            recent_from: Uid(1),
            highest_modseq: modseq,
            columns: Columns::default(),
            keywords: Keywords::default(),
            expunges: History::new(limits::EXPUNGE_HISTORY_MAX),
            unseen: 0,
            deleted: 0,
            deleted_bytes: 0,
            bytes: 0,
            extras: None,
        }
    }

    /// The access control list.
    pub(super) fn acl(&self) -> &Acl {
        static NONE: Acl = Acl::new();
        self.extras.as_ref().map_or(&NONE, |extras| &extras.acl)
    }

    /// Those of `known` that are gone: since a mod-sequence, as long as history tells; all that ever went when it
    /// is cut, which says too much and nothing wrong (rfc7162#3.2.5.2).
    pub(super) fn vanished_since(&self, since: ModSeq, known: &UidSet) -> UidSet {
        if since < self.expunges.floor() {
            return known.intersection(&self.all_uids()).difference(&self.columns.uids());
        }
        let runs = self.expunges.since(since).map(|run| (run.first.0, run.last.0));
        UidSet::from_unsorted(runs.collect()).intersection(known)
    }

    /// Whether `count` more messages from `first` on leave a UID to give out.
    pub(super) fn has_uids(&self, first: Uid, count: usize) -> bool {
        count < (NOBODY.0 - first.0) as usize
    }

    /// Appends messages of consecutive UIDs, all of one mod-sequence.
    pub(super) fn append(&mut self, messages: &[Message]) {
        let Some(last) = messages.last() else { return };
        for &message in messages {
            self.columns.push(message);
            self.bytes += u64::from(message.size);
            self.count_in(message.flags, message.size);
        }
        self.highest_modseq = last.modseq;
        self.uid_next = Uid(last.uid.0 + 1);
    }

    /// Takes a message that was in this mailbox on another shard, with all its numbers.
    pub(super) fn take(&mut self, message: Message) {
        self.columns.push(message);
        self.bytes += u64::from(message.size);
        self.count_in(message.flags, message.size);
    }

    /// Takes all messages of another one, whose UIDs are greater.
    pub(super) fn absorb(&mut self, other: Mailbox) {
        if other.columns.len() == 0 {
            return;
        }
        self.columns.absorb(other.columns);
        self.bytes += other.bytes;
        self.unseen += other.unseen;
        self.deleted += other.deleted;
        self.deleted_bytes += other.deleted_bytes;
        (self.highest_modseq, self.uid_next) = (other.highest_modseq, other.uid_next);
    }

    /// Changes flags. A message whose flags stay as they are keeps its mod-sequence (rfc7162#3.1.3).
    pub(super) fn store_flags(
        &mut self,
        uids: &UidSet,
        op: FlagOp,
        flags: &Flags,
        unchanged_since: Option<ModSeq>,
        modseq: ModSeq,
    ) -> Result<Stored, Refusal> {
        let mut stored = Stored { done: UidSet::new(), modified: UidSet::new() };
        for place in self.columns.places_of(uids) {
            let newer = unchanged_since.is_some_and(|since| self.columns.modseq(place) > since);
            let set = if newer { &mut stored.modified } else { &mut stored.done };
            set.push(self.columns.uid(place));
        }
        if stored.done.is_empty() {
            return Ok(stored);
        }
        let bits = match op {
            FlagOp::Remove => self.keywords.known(flags),
            FlagOp::Replace | FlagOp::Add => self.keywords.enter_all(flags).ok_or(Refusal::Limit)?,
        };
        self.change_flags(&stored.done, op, bits, modseq);
        Ok(stored)
    }

    fn change_flags(&mut self, uids: &UidSet, op: FlagOp, bits: FlagBits, modseq: ModSeq) {
        for &(first, last) in uids.ranges() {
            for place in self.columns.places(first, last) {
                let Message { flags: old, size, .. } = self.columns.message(place);
                let new = match op {
                    FlagOp::Replace => bits,
                    FlagOp::Add => old.union(bits),
                    FlagOp::Remove => old.without(bits),
                };
                if new != old {
                    self.columns.set_flags(place, new, modseq);
                    self.count_out(old, size);
                    self.count_in(new, size);
                    self.highest_modseq = modseq;
                }
            }
        }
    }

    /// Removes all messages, whatever they are. Returns their UIDs.
    pub(super) fn clear(&mut self, modseq: ModSeq) -> UidSet {
        let gone = self.columns.uids();
        if !gone.is_empty() {
            self.columns = Columns::default();
            (self.bytes, self.unseen, self.deleted, self.deleted_bytes) = (0, 0, 0, 0);
            self.highest_modseq = modseq;
        }
        self.note_gone(&gone, modseq);
        gone
    }

    fn note_gone(&mut self, gone: &UidSet, modseq: ModSeq) {
        for &(first, last) in gone.ranges() {
            self.expunges.record(Run { modseq, first: Uid(first), last: Uid(last) });
        }
        if let Some(extras) = &mut self.extras {
            extras.unique_ids.remove(gone);
        }
    }

    /// Removes messages, in one pass however many, and tells of each. Returns their UIDs.
    pub(super) fn expunge(
        &mut self,
        uids: &UidSet,
        only_deleted: bool,
        modseq: ModSeq,
        mut gone_with: impl FnMut(&Message),
    ) -> UidSet {
        let goes = |&place: &usize| !only_deleted || self.columns.flags(place).contains(FlagBits::DELETED);
        let places: Vec<usize> = self.columns.places_of(uids).filter(goes).collect();
        let mut gone = UidSet::new();
        for &place in &places {
            let message = self.columns.message(place);
            gone.push(message.uid);
            gone_with(&message);
            self.bytes -= u64::from(message.size);
            self.count_out(message.flags, message.size);
        }
        if !places.is_empty() {
            self.columns.remove(&places);
            self.highest_modseq = modseq;
        }
        self.note_gone(&gone, modseq);
        gone
    }

    /// All UIDs that may be in use.
    pub(super) fn all_uids(&self) -> UidSet {
        let mut all = UidSet::new();
        if self.uid_next.0 > 1 {
            all.push_range(Uid(1), Uid(self.uid_next.0 - 1));
        }
        all
    }

    /// `\Recent` of the UIDs below has been given out. No mod-sequence: the flag is a session's, not a
    /// message's.
    pub(super) fn seen_recent(&mut self, below: Uid) {
        self.recent_from = self.recent_from.max(below.min(self.uid_next));
    }

    /// A planted bug: UIDs of messages that are gone are given out again.
    #[cfg(feature = "testing")]
    pub(super) fn reuse_uids(&mut self) {
        let last = self.columns.len().checked_sub(1).map_or(Uid(0), |last| self.columns.uid(last));
        self.uid_next = Uid(last.0 + 1);
        self.recent_from = self.recent_from.min(self.uid_next);
    }

    fn count_in(&mut self, flags: FlagBits, size: u32) {
        self.unseen += usize::from(!flags.contains(FlagBits::SEEN));
        if flags.contains(FlagBits::DELETED) {
            self.deleted += 1;
            self.deleted_bytes += u64::from(size);
        }
    }

    fn count_out(&mut self, flags: FlagBits, size: u32) {
        self.unseen -= usize::from(!flags.contains(FlagBits::SEEN));
        if flags.contains(FlagBits::DELETED) {
            self.deleted -= 1;
            self.deleted_bytes -= u64::from(size);
        }
    }

    /// With the shard that it lies on, bodies are what clients know them by, which is the same on all shards.
    pub(super) fn digest(&self, digest: &mut Digest, shard: Option<ShardId>) {
        digest.word(u64::from(self.id.0) << 32 | u64::from(self.uid_validity));
        digest.text(&self.name);
        digest.word(
            self.special_use.map_or(0, |special_use| special_use as u64) << 1 | u64::from(self.no_select),
        );
        digest.word(u64::from(self.uid_next.0) << 32 | u64::from(self.recent_from.0));
        digest.word(self.highest_modseq.0);
        digest.word((self.unseen as u64) << 32 | self.deleted as u64);
        digest.word(self.bytes);
        self.columns.digest(digest, shard);
        self.keywords.digest(digest);
        self.expunges.digest(digest);
        self.extras.as_deref().unwrap_or(&MailboxExtras::default()).digest(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::lab::{named, uids};
    use super::*;
    use crate::ids::{BodyId, EmailId};

    /// The mailbox as a newcomer would write it: one list, everything recounted.
    #[derive(Default)]
    struct Naive {
        messages: Vec<Message>,
        expunged: Vec<(ModSeq, Uid)>,
    }

    impl Naive {
        fn agrees_with(&self, mailbox: &Mailbox) {
            let columns = &mailbox.columns;
            let all: Vec<Message> = (0..columns.len()).map(|place| columns.message(place)).collect();
            assert_eq!(all, self.messages);
            let lacks = |bits| self.messages.iter().filter(|message| !message.flags.contains(bits)).count();
            assert_eq!(mailbox.unseen, lacks(FlagBits::SEEN));
            assert_eq!(mailbox.deleted, all.len() - lacks(FlagBits::DELETED));
            let deleted = all.iter().filter(|message| message.flags.contains(FlagBits::DELETED));
            assert_eq!(mailbox.deleted_bytes, deleted.map(|message| u64::from(message.size)).sum::<u64>());
            assert_eq!(mailbox.bytes, all.iter().map(|message| u64::from(message.size)).sum::<u64>());
            let first_unseen = all.iter().position(|message| !message.flags.contains(FlagBits::SEEN));
            assert_eq!(mailbox.columns.first_unseen(), first_unseen);
            for uid in (0..mailbox.uid_next.0 + 2).map(Uid) {
                assert_eq!(columns.rank(uid), all.iter().filter(|message| message.uid < uid).count());
                assert_eq!(columns.place(uid), all.iter().position(|message| message.uid == uid));
            }
            for since in (0..=mailbox.highest_modseq.0 + 1).map(ModSeq) {
                let newer = all.iter().filter(|message| message.modseq > since);
                assert_eq!(
                    mailbox.columns.changed_since(since).collect::<Vec<_>>(),
                    newer.map(|message| message.uid).collect::<Vec<_>>()
                );
                let (mut known, mut gone) = (mailbox.all_uids(), UidSet::new());
                known.push(Uid(mailbox.uid_next.0 + 5));
                let newer = self.expunged.iter().filter(|(modseq, _)| *modseq > since);
                newer.for_each(|&(_, uid)| gone.push(uid));
                let told = mailbox.vanished_since(since, &known);
                assert_eq!(told.intersection(&gone), gone, "nothing is kept back");
                assert!(told.iter().all(|uid| uid < mailbox.uid_next && columns.place(uid).is_none()));
                if since >= mailbox.expunges.floor() {
                    assert_eq!(told, gone, "and nothing is added that history can tell");
                    let told = mailbox.expunges.since(since);
                    let told = told
                        .flat_map(|run| (run.first.0..=run.last.0).map(move |uid| (run.modseq, Uid(uid))));
                    let expected = self.expunged.iter().filter(|(modseq, _)| *modseq > since).copied();
                    assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                }
            }
        }
    }

    /// One step of a long walk: `dice` chooses what happens.
    fn step(mailbox: &mut Mailbox, naive: &mut Naive, modseq: ModSeq, mut dice: impl FnMut(u32) -> u32) {
        let chosen: UidSet = (1..mailbox.uid_next.0).filter(|_| dice(3) == 0).map(Uid).collect();
        match dice(4) {
            0 | 1 => {
                let first = mailbox.uid_next.0 + dice(2);
                let messages: Vec<Message> = (first..first + dice(4))
                    .map(|uid| Message {
                        uid: Uid(uid),
                        modseq,
                        flags: FlagBits(u64::from(dice(32))),
                        size: dice(1000),
                        summary_len: dice(1 << 20),
                        internal_ms: 0,
                        saved_ms: 0,
                        body: BodyId(u64::from(uid)),
                        known_as: EmailId(0),
                    })
                    .collect();
                mailbox.append(&messages);
                naive.messages.extend(messages);
            }
            2 => {
                let op = [FlagOp::Replace, FlagOp::Add, FlagOp::Remove][dice(3) as usize];
                let bits = FlagBits(u64::from(dice(32)));
                let stored = mailbox.store_flags(&chosen, op, &named(bits, &[]), None, modseq);
                let places = mailbox.columns.places_of(&chosen);
                let done: UidSet = places.map(|place| mailbox.columns.uid(place)).collect();
                assert_eq!(stored.map(|stored| stored.done).ok(), Some(done));
                for message in naive.messages.iter_mut().filter(|message| chosen.contains(message.uid)) {
                    let new = match op {
                        FlagOp::Replace => bits,
                        FlagOp::Add => message.flags.union(bits),
                        FlagOp::Remove => message.flags.without(bits),
                    };
                    if new != message.flags {
                        (message.flags, message.modseq) = (new, modseq);
                    }
                }
            }
            _ => {
                let only_deleted = dice(2) == 0;
                let mut bodies = Vec::new();
                let gone =
                    mailbox.expunge(&chosen, only_deleted, modseq, |message| bodies.push(message.body.0));
                assert_eq!(gone.iter().map(|uid| u64::from(uid.0)).collect::<Vec<_>>(), bodies);
                let goes = |message: &Message| {
                    chosen.contains(message.uid)
                        && (!only_deleted || message.flags.contains(FlagBits::DELETED))
                };
                let removed = naive.messages.iter().filter(|message| goes(message));
                naive.expunged.extend(removed.map(|message| (modseq, message.uid)));
                naive.messages.retain(|message| !goes(message));
            }
        }
    }

    #[test]
    fn long_walks_agree_with_a_list() {
        for seed in 1..60u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut dice = |sides: u32| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 33) as u32 % sides
            };
            let mut mailbox = Mailbox::new(MailboxId(1), "m", 1, ModSeq(1));
            // Every third walk has a ring so short that history is cut all the time.
            if seed % 3 == 0 {
                mailbox.expunges = History::new(3);
            }
            let mut naive = Naive::default();
            for modseq in 2..60 {
                step(&mut mailbox, &mut naive, ModSeq(modseq), &mut dice);
                naive.agrees_with(&mailbox);
            }
        }
    }

    #[test]
    fn an_expunge_of_neighbours_is_one_run_of_history() {
        let mut mailbox = Mailbox::new(MailboxId(1), "m", 1, ModSeq(1));
        let message = |uid| Message {
            uid: Uid(uid),
            modseq: ModSeq(2),
            flags: FlagBits::NONE,
            size: 1,
            summary_len: 0,
            internal_ms: 0,
            saved_ms: 0,
            body: BodyId(1),
            known_as: EmailId(0),
        };
        mailbox.append(&[1, 2, 3, 4, 6, 7].map(message));
        mailbox.expunge(&uids(&[2, 3, 4, 5, 6]), false, ModSeq(3), |_| {});
        let run = |first, last| Run { modseq: ModSeq(3), first: Uid(first), last: Uid(last) };
        assert_eq!(mailbox.expunges.since(ModSeq(2)).collect::<Vec<_>>(), [run(2, 4), run(6, 6)]);
    }
}
