//! Telling the client what changed: EXPUNGE, EXISTS, RECENT, FLAGS and FETCH replies, as deltas against
//! cursors.
//!
//! *Owns*: which replies are due and that none is said twice. *Promises*: stops when the output is full and
//! goes on where it stopped; a burst of changes to one message is one reply. *Assumes*: the caller knows
//! whether EXPUNGE may be sent now (rfc3501#7.4.1). *Never*: tells what is not durable; the store shows
//! nothing else.

use ringpost_engine::change::{FlagBits, UidSet};
use ringpost_engine::ids::Uid;
use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::limits::KEYWORDS_PER_MAILBOX_MAX;
use ringpost_engine::store::Store;

use super::View;
use crate::limits::IMAP_LINE_RANGES_MAX;
use crate::proto::imap::cmd::{Contexts, Sight};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::{self, Name};
use crate::proto::imap::state::Enabled;

/// What may be told now, and in which words.
#[derive(Clone, Copy, Debug)]
pub struct Tell {
    /// EXPUNGE replies, which renumber.
    pub expunge: bool,
    /// EXISTS and RECENT.
    pub growth: bool,
    /// FETCH replies for flags.
    pub flags: bool,
    /// What the client switched on.
    pub enabled: Enabled,
}

impl Tell {
    /// VANISHED takes the place of EXPUNGE (rfc7162#3.2.3, rfc9586#3).
    fn vanished(self) -> bool {
        self.enabled.qresync || self.enabled.uidonly
    }
}

impl View {
    /// Writes what is due until the output is full. Whether all is told.
    pub fn tell(&mut self, store: &Store, out: &mut Out, tell: Tell) -> bool {
        self.absorb(store);
        let Some(mailbox) = self.mailbox(store).filter(|_| !self.lost) else { return true };
        // rfc5267#4.3.4: before EXPUNGE takes the numbers away.
        if !self.tell_contexts(mailbox, store, out, Contexts::tell_gone) {
            return false;
        }
        if tell.flags {
            self.collect(mailbox, &UidSet::new());
        }
        if tell.expunge && !self.tell_expunges(mailbox, out, tell) {
            return false;
        }
        if tell.growth {
            self.tell_growth(mailbox, out);
        }
        if tell.flags {
            self.tell_keywords(mailbox, out);
            if !self.tell_flags(mailbox, out, tell) {
                return false;
            }
        }
        if tell.enabled.qresync {
            self.tell_bound(mailbox, out);
        }
        // rfc5267#4.3.3: behind the EXISTS that gives new messages their numbers.
        self.tell_contexts(mailbox, store, out, Contexts::tell_changes)
    }

    fn tell_contexts(
        &mut self,
        mailbox: MailboxRef<'_>,
        store: &Store,
        out: &mut Out,
        tell: fn(&mut Contexts, Sight<'_>, &mut Out) -> bool,
    ) -> bool {
        let mut contexts = std::mem::take(&mut self.contexts);
        let told = tell(&mut contexts, Sight { view: self, mailbox, store }, out);
        self.contexts = contexts;
        told
    }

    /// Notes which known messages have other flags than the client was told, `own` aside: the caller
    /// answers for those.
    pub fn collect(&mut self, mailbox: MailboxRef<'_>, own: &UidSet) {
        let newest = mailbox.highest_modseq();
        if newest == self.told {
            return;
        }
        let news = mailbox.changed_since(self.told).intersection(&self.known()).difference(own);
        self.changed = match self.changed.last() {
            Some(last) if self.changed_next <= last => {
                let mut waiting = UidSet::new();
                waiting.push_range(self.changed_next, last);
                self.changed.intersection(&waiting).union(&news)
            }
            _ => news,
        };
        self.changed_next = Uid(1);
        self.told = newest;
    }

    fn tell_expunges(&mut self, mailbox: MailboxRef<'_>, out: &mut Out, tell: Tell) -> bool {
        if self.gone.is_empty() {
            return true;
        }
        let told = match tell.vanished() {
            true => self.put_vanished(out),
            false => self.put_expunges(mailbox, out),
        };
        self.gone.forget(told);
        if told > 0 {
            self.recent_told = self.recent_count(mailbox);
        }
        self.gone.is_empty()
    }

    /// Lowest first: each reply renumbers those above it, and the next number is right by the same rule as
    /// ever. How many were told.
    fn put_expunges(&self, mailbox: MailboxRef<'_>, out: &mut Out) -> usize {
        let mut told = 0;
        for (first, last) in self.gone.ranges() {
            let number = mailbox.rank(Uid(first)) as u64 + 1;
            for _ in first..=last {
                if !out.has_room() {
                    return told;
                }
                reply::untagged_number(out.text(), number, "EXPUNGE");
                told += 1;
            }
        }
        told
    }

    /// The same by UID, many in a line (rfc7162#3.2.10.2). How many were told.
    fn put_vanished(&self, out: &mut Out) -> usize {
        let ranges: Vec<(u32, u32)> = self.gone.ranges().collect();
        let mut told = 0;
        for line in ranges.chunks(IMAP_LINE_RANGES_MAX) {
            if !out.has_room() {
                break;
            }
            reply::vanished(out.text(), false, line);
            told += line.iter().map(|(first, last)| (last - first) as usize + 1).sum::<usize>();
        }
        told
    }

    /// While an expunge is owed, the client must not take a later MODSEQ that it heard for the state of the
    /// mailbox, or it would never learn of it after a break (rfc7162#3.2, #6).
    fn tell_bound(&mut self, mailbox: MailboxRef<'_>, out: &mut Out) {
        let bound = self.gone.told_up_to();
        if bound.is_some() || self.held_back {
            self.held_back = bound.is_some();
            reply::highest_modseq(out.text(), bound.unwrap_or(mailbox.highest_modseq()));
        }
    }

    /// New messages. `\Recent` goes to those that no session has been told of (rfc3501#2.3.2).
    fn tell_growth(&mut self, mailbox: MailboxRef<'_>, out: &mut Out) {
        let before = self.exists(mailbox);
        let (from, next) = (self.horizon.max(mailbox.recent_from()), mailbox.uid_next());
        if from < next {
            self.recent.push_range(from, Uid(next.0 - 1));
        }
        self.horizon = next;
        let exists = self.exists(mailbox);
        if exists == before {
            return;
        }
        reply::untagged_number(out.text(), u64::from(exists), "EXISTS");
        let recent = self.recent_count(mailbox);
        if recent != self.recent_told && !self.rev2 {
            reply::untagged_number(out.text(), recent as u64, "RECENT");
            self.recent_told = recent;
        }
    }

    /// New keywords have to be named before a FETCH reply uses them (rfc3501#7.2.6).
    pub fn tell_keywords(&mut self, mailbox: MailboxRef<'_>, out: &mut Out) {
        if mailbox.keywords().len() != self.keywords_told {
            self.keywords_told = mailbox.keywords().len();
            self.put_flag_lists(mailbox, out);
        }
    }

    /// FLAGS and PERMANENTFLAGS (rfc3501#7.1, #7.2.6).
    pub fn put_flag_lists(&self, mailbox: MailboxRef<'_>, out: &mut Out) {
        let all = FlagBits(FlagBits::SYSTEM.0 | keyword_bits(mailbox.keywords().len()));
        out.put(b"* FLAGS ");
        reply::flags(out.text(), all, false, mailbox.keywords());
        out.put(b"\r\n* OK [PERMANENTFLAGS ");
        if self.read_only {
            out.put(b"()] No permanent flags permitted\r\n");
            return;
        }
        let keywords_too = self.permitted.contains(FlagBits::keyword(KEYWORDS_PER_MAILBOX_MAX - 1));
        let may_grow = keywords_too && mailbox.keywords().len() < KEYWORDS_PER_MAILBOX_MAX;
        let permitted = FlagBits(all.0 & self.permitted.0);
        reply::permanent_flags(out.text(), permitted, mailbox.keywords(), may_grow);
        out.put(b"] Flags permitted\r\n");
    }

    fn tell_flags(&mut self, mailbox: MailboxRef<'_>, out: &mut Out, tell: Tell) -> bool {
        if self.changed.is_empty() {
            return true;
        }
        let mut stopped = None;
        for (number, message) in self.walk(mailbox, &self.changed, self.changed_next) {
            if !out.has_room() {
                stopped = Some(message.uid);
                break;
            }
            self.put_fetch_flags(mailbox, &message, number, out, tell);
        }
        match stopped {
            Some(uid) => self.changed_next = uid,
            None => self.changed = UidSet::new(),
        }
        stopped.is_none()
    }

    /// An unsolicited `* n FETCH (FLAGS (…) UID u MODSEQ (…))`.
    pub(super) fn put_fetch_flags(
        &self,
        mailbox: MailboxRef<'_>,
        message: &Message,
        number: u32,
        out: &mut Out,
        tell: Tell,
    ) {
        let name = tell.enabled.name(number, message.uid);
        reply::fetch_begin(out.text(), name);
        out.put(b"FLAGS ");
        reply::flags(out.text(), message.flags, self.is_recent(message.uid), mailbox.keywords());
        if tell.enabled.condstore || tell.enabled.rev2 {
            // rfc7162#3.2.4: a UID beside every MODSEQ lets a client that missed an EXPUNGE find its way;
            // rfc9051#E, item 21.
            if let Name::Number(_) = name {
                out.put(b" UID ");
                reply::number(out.text(), u64::from(message.uid.0));
            }
        }
        if tell.enabled.condstore {
            out.put(b" ");
            reply::modseq(out.text(), message.modseq);
        }
        out.put(b")\r\n");
    }
}

fn keyword_bits(count: usize) -> u64 {
    (0..count).map(|index| FlagBits::keyword(index).0).fold(0, |bits, bit| bits | bit)
}
