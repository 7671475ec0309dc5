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
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;

/// What may be told now.
#[derive(Clone, Copy, Debug)]
pub struct Tell {
    /// EXPUNGE replies, which renumber.
    pub expunge: bool,
    /// MODSEQ in FETCH replies (rfc7162#3.1).
    pub modseq: bool,
}

impl View {
    /// Writes what is due until the output is full. Whether all is told.
    pub fn tell(&mut self, store: &Store, out: &mut Out, tell: Tell) -> bool {
        self.absorb(store);
        let Some(mailbox) = self.mailbox(store).filter(|_| !self.lost) else { return true };
        self.collect(mailbox, &UidSet::new());
        if tell.expunge && !self.tell_expunges(mailbox, out) {
            return false;
        }
        self.tell_growth(mailbox, out);
        self.tell_keywords(mailbox, out);
        self.tell_flags(mailbox, out, tell.modseq)
    }

    /// Notes which known messages have other flags than the client was told, `own` aside: the caller
    /// answers for those.
    pub fn collect(&mut self, mailbox: MailboxRef<'_>, own: &UidSet) {
        let newest = mailbox.highest_modseq();
        if newest == self.told {
            return;
        }
        let horizon = self.horizon;
        self.changed.drain(..self.changed_told);
        self.changed_told = 0;
        let waiting = self.changed.len();
        let news = mailbox.changed_since(self.told).into_iter();
        self.changed.extend(news.filter(|&uid| uid < horizon && !own.contains(uid)));
        if waiting > 0 {
            self.changed.sort_unstable();
            self.changed.dedup();
        }
        self.told = newest;
    }

    /// Lowest first: each reply renumbers those above it, and the next number is right by the same rule as
    /// ever.
    fn tell_expunges(&mut self, mailbox: MailboxRef<'_>, out: &mut Out) -> bool {
        let mut told = 0;
        while told < self.gone.len() && out.has_room() {
            reply::untagged_number(out.text(), mailbox.rank(self.gone[told]) as u64 + 1, "EXPUNGE");
            told += 1;
        }
        self.gone.drain(..told);
        if told > 0 {
            self.recent_told = self.recent_count(mailbox);
        }
        self.gone.is_empty()
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
        if recent != self.recent_told {
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
        let may_grow = mailbox.keywords().len() < KEYWORDS_PER_MAILBOX_MAX;
        reply::permanent_flags(out.text(), all, mailbox.keywords(), may_grow);
        out.put(b"] Flags permitted\r\n");
    }

    fn tell_flags(&mut self, mailbox: MailboxRef<'_>, out: &mut Out, modseq: bool) -> bool {
        while let Some(&uid) = self.changed.get(self.changed_told) {
            if !out.has_room() {
                return false;
            }
            self.changed_told += 1;
            if let Some(place) = mailbox.place(uid) {
                self.put_fetch_flags(mailbox, &mailbox.message(place), place, out, modseq);
            }
        }
        self.changed = Vec::new();
        self.changed_told = 0;
        true
    }

    /// An unsolicited `* n FETCH (FLAGS (…) MODSEQ (…))`.
    fn put_fetch_flags(
        &self,
        mailbox: MailboxRef<'_>,
        message: &Message,
        place: usize,
        out: &mut Out,
        modseq: bool,
    ) {
        reply::fetch_begin(out.text(), self.number_at(place, message.uid));
        out.put(b"FLAGS ");
        reply::flags(out.text(), message.flags, self.is_recent(message.uid), mailbox.keywords());
        if modseq {
            // rfc7162#3.2.4: a UID beside every MODSEQ lets a client that missed an EXPUNGE find its way.
            out.put(b" UID ");
            reply::number(out.text(), u64::from(message.uid.0));
            out.put(b" ");
            reply::modseq(out.text(), message.modseq);
        }
        out.put(b")\r\n");
    }
}

fn keyword_bits(count: usize) -> u64 {
    (0..count).map(|index| FlagBits::keyword(index).0).fold(0, |bits, bit| bits | bit)
}
