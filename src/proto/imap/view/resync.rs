//! What a client missed while it was away (rfc7162#3.2.5).
//!
//! *Owns*: the answer to SELECT's QRESYNC parameter. *Promises*: VANISHED (EARLIER) comes before every FETCH
//! (rfc7162#3.2.6); what changed after the mailbox was opened is left to the view, so nothing is told twice;
//! bounded work a step. *Assumes*: UIDVALIDITY is what the client knew. *Never*: tells of messages that the
//! client did not ask about.

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};
use ringpost_engine::index::MailboxRef;

use super::{Earlier, Tell, Told, View};
use crate::limits::IMAP_SCAN_MESSAGES_MAX;
use crate::proto::imap::command::SequenceSet;
use crate::proto::imap::out::Out;

/// See the module.
#[derive(Debug)]
pub struct Resync {
    earlier: Earlier,
    /// Where changed messages are; those below `next` are told.
    changed: UidSet,
    next: Uid,
    since: ModSeq,
}

impl Resync {
    /// For a client that knows the messages of `known` as they were at `since`, and of every expunge up to the
    /// UID `sure`.
    pub fn new(view: &View, mailbox: MailboxRef<'_>, known: UidSet, sure: Uid, since: ModSeq) -> Resync {
        let mut unsure = UidSet::new();
        if sure < Uid(u32::MAX) {
            unsure.push_range(Uid(sure.0 + 1), Uid(u32::MAX));
        }
        let earlier = Earlier::new(view, mailbox, &known.intersection(&unsure), since);
        let changed = mailbox.changed_since(since).intersection(&known);
        Resync { earlier, changed, next: Uid(1), since }
    }

    /// Writes as much as there is room for.
    pub fn step(&mut self, view: &View, mailbox: MailboxRef<'_>, out: &mut Out, tell: Tell) -> Told {
        match self.earlier.step(view, mailbox, out) {
            Told::All => {}
            stopped => return stopped,
        }
        for (looked, (number, message)) in view.walk(mailbox, &self.changed, self.next).enumerate() {
            if !out.has_room() {
                return Told::Full;
            }
            if looked == IMAP_SCAN_MESSAGES_MAX {
                return Told::Budget;
            }
            self.next = Uid(message.uid.0.saturating_add(1));
            if message.modseq > self.since && !view.is_untold(&message) {
                view.put_fetch_flags(mailbox, &message, number, out, tell);
            }
        }
        Told::All
    }
}

/// Up to which UID a client knows of every expunge, by pairs of a message number and a UID that it remembers
/// (rfc7162#3.2.5.2): the last pair that is right vouches for all below it. 0 if none is.
pub fn matched(view: &View, mailbox: MailboxRef<'_>, numbers: &SequenceSet, uids: &SequenceSet) -> Uid {
    let exists = view.exists(mailbox);
    let mut sure = 0;
    for (number, uid, len) in Pairs::new(numbers, uids) {
        let len = len.min((exists + 1).saturating_sub(number));
        // UIDs grow at least as fast as numbers, so the pairs at which the mailbox is not ahead come first.
        let behind = |into: u32| view.uid_at(mailbox, number + into).0 <= uid.saturating_add(into);
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            if behind(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if let Some(into) = low.checked_sub(1)
            && view.uid_at(mailbox, number + into).0 == uid.saturating_add(into)
        {
            sure = sure.max(uid + into);
        }
    }
    Uid(sure)
}

/// Runs of pairs: first number, first UID, how many.
struct Pairs {
    numbers: UidSet,
    uids: UidSet,
    at: (usize, usize),
    /// How much of the two ranges is used.
    used: (u32, u32),
}

impl Pairs {
    fn new(numbers: &SequenceSet, uids: &SequenceSet) -> Pairs {
        Pairs { numbers: numbers.resolve(0), uids: uids.resolve(0), at: (0, 0), used: (0, 0) }
    }
}

impl Iterator for Pairs {
    type Item = (u32, u32, u32);

    fn next(&mut self) -> Option<(u32, u32, u32)> {
        let &(number, number_last) = self.numbers.ranges().get(self.at.0)?;
        let &(uid, uid_last) = self.uids.ranges().get(self.at.1)?;
        let (number, uid) = (number + self.used.0, uid + self.used.1);
        let more = (number_last - number).min(uid_last - uid);
        let step = |at: &mut usize, used: &mut u32, ended: bool| {
            (*at, *used) = if ended { (*at + 1, 0) } else { (*at, *used + more + 1) };
        };
        step(&mut self.at.0, &mut self.used.0, number + more == number_last);
        step(&mut self.at.1, &mut self.used.1, uid + more == uid_last);
        Some((number, uid, more.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::imap::command::Bound;

    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        SequenceSet {
            ranges: ranges.iter().map(|&(a, b)| (Bound::At(a), Bound::At(b))).collect(),
            saved: false,
        }
    }

    #[test]
    fn pairs_run_through_ranges_of_different_lengths() {
        let pairs = |numbers: &[(u32, u32)], uids: &[(u32, u32)]| {
            Pairs::new(&set(numbers), &set(uids)).collect::<Vec<_>>()
        };
        assert_eq!(
            pairs(&[(1, 3), (9, 12)], &[(5, 5), (8, 13)]),
            [(1, 5, 1), (2, 8, 2), (9, 10, 4)],
            "the last ones pair 12 with 13"
        );
        assert_eq!(pairs(&[(1, 2)], &[(7, 9)]), [(1, 7, 2)], "what has no partner is passed over");
        assert_eq!(pairs(&[(1, u32::MAX)], &[(1, u32::MAX)]), [(1, 1, u32::MAX)]);
    }
}
