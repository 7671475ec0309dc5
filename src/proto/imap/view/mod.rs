//! What the client has been told of its selected mailbox.
//!
//! *Owns*: the numbering of messages as the client knows it, and the cursors of what it was told.
//! *Promises*: a sequence number means the same message until an EXPUNGE reply says otherwise; costs the
//! same for ten messages or a million. *Assumes*: [`View::absorb`] ran since the store last changed.
//! *Never*: copies the list of UIDs.
//!
//! ```text
//!  store:        1   2   4   7   8 │ 9  12        present messages, by UID
//!  gone:           ·   3   5       │              expunged there, still numbered here
//!  numbers:      1   2 3 4 5   6 7 │              place in the store + untold expunges below
//!                           horizon┘              the first UID that EXISTS did not count yet
//! ```

use ringpost_engine::change::{Change, FlagBits, UidSet};
use ringpost_engine::ids::{AccountId, MailboxId, ModSeq, Uid};
use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::store::Store;

use crate::limits::IMAP_UNTOLD_EXPUNGES_MAX;
use crate::proto::imap::cmd::Contexts;
use crate::proto::imap::command::{PartialRange, SequenceSet};

mod earlier;
mod gone;
mod resync;
mod tell;
mod walk;

pub use earlier::{Earlier, Told};
use gone::{Gone, Stands};
pub use resync::{Resync, matched};
pub use tell::Tell;
pub use walk::Walk;

/// A selected mailbox as its client knows it.
#[derive(Debug)]
pub struct View {
    account: AccountId,
    mailbox: MailboxId,
    read_only: bool,
    /// The flags that the user's rights allowed to change when it was opened (rfc4314#5.1.1).
    permitted: FlagBits,
    /// The first UID that the client was not told of.
    horizon: Uid,
    /// UIDs below the horizon that are expunged and still have a number here.
    gone: Gone,
    /// `gone` is complete up to here.
    absorbed: ModSeq,
    /// Flag changes up to here are told or in `changed`.
    told: ModSeq,
    /// Where the messages are whose flags are still to be told.
    changed: UidSet,
    /// Those of `changed` below this are told.
    changed_next: Uid,
    /// The client was told a HIGHESTMODSEQ below what it heard of, because an EXPUNGE is owed.
    held_back: bool,
    /// UIDs that are `\Recent` to this session.
    recent: UidSet,
    /// `\Recent` below here was taken from other sessions.
    claimed: Uid,
    /// How many messages the last RECENT reply counted.
    recent_told: usize,
    /// How many keywords the last FLAGS reply named.
    keywords_told: usize,
    /// What the last search kept, for `$` (rfc5182#2.1). It goes with the selection.
    saved: UidSet,
    /// Searches whose results the client keeps up to date (rfc5267#4.3); they go with the selection.
    pub contexts: Contexts,
    /// The client speaks IMAP4rev2: it knows no `\Recent` and wants a UID in every FETCH reply that it did not
    /// ask for (rfc9051#E, items 12 and 21).
    rev2: bool,
    /// The numbering cannot be kept any more.
    lost: bool,
}

/// Why a sequence set means nothing: it names a number above the count of messages, or `*` where there is
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl View {
    /// A view of all that is in the mailbox now; the caller tells the client.
    pub fn open(account: AccountId, mailbox: MailboxRef<'_>, read_only: bool) -> View {
        let mut recent = UidSet::new();
        let (from, next) = (mailbox.recent_from(), mailbox.uid_next());
        if from < next {
            recent.push_range(Uid(from.0.max(1)), Uid(next.0 - 1));
        }
        let mut view = View {
            account,
            mailbox: mailbox.id(),
            read_only,
            permitted: FlagBits(!0),
            horizon: next,
            gone: Gone::default(),
            absorbed: mailbox.highest_modseq(),
            told: mailbox.highest_modseq(),
            changed: UidSet::new(),
            changed_next: Uid(1),
            held_back: false,
            recent,
            claimed: Uid(0),
            recent_told: 0,
            keywords_told: mailbox.keywords().len(),
            saved: UidSet::new(),
            contexts: Contexts::default(),
            rev2: false,
            lost: false,
        };
        view.recent_told = view.recent_count(mailbox);
        view
    }

    /// The same view with only these flags to change.
    pub fn permit(self, permitted: FlagBits) -> View {
        View { permitted, ..self }
    }

    /// Whose mailbox this is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// Which mailbox is selected.
    pub fn mailbox_id(&self) -> MailboxId {
        self.mailbox
    }

    /// Whether it was opened by EXAMINE.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Whether the client has to go: its mailbox was deleted, or more happened than is remembered.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// The user may not read it any more: nothing of it is told from now on.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// The mailbox; none if it was deleted.
    pub fn mailbox<'a>(&self, store: &'a Store) -> Option<MailboxRef<'a>> {
        store.mailbox(self.account, self.mailbox)
    }

    /// Learns which messages are gone. To be called whenever the store may have changed, before numbers are
    /// used.
    pub fn absorb(&mut self, store: &Store) {
        let Some(mailbox) = self.mailbox(store) else {
            self.lost = true;
            return;
        };
        let newest = mailbox.highest_modseq();
        if newest == self.absorbed || self.lost {
            return;
        }
        if self.absorbed < mailbox.expunged_floor() {
            self.lost = true;
            return;
        }
        let below = self.horizon.0;
        let runs = mailbox.expunged_since(self.absorbed);
        self.gone.add(
            runs.filter(|&(_, first, _)| first.0 < below)
                .map(|(modseq, first, last)| (modseq, first.0, last.0.min(below - 1))),
        );
        self.absorbed = newest;
        self.lost = self.gone.runs() > IMAP_UNTOLD_EXPUNGES_MAX;
    }

    /// How many messages the client numbers.
    pub fn exists(&self, mailbox: MailboxRef<'_>) -> u32 {
        (mailbox.rank(self.horizon) + self.gone.len()) as u32
    }

    /// The number of a UID that is below the horizon and present, or gone and untold.
    pub fn number(&self, mailbox: MailboxRef<'_>, uid: Uid) -> u32 {
        self.number_at(mailbox.rank(uid), uid)
    }

    /// The same, where the place in the store is known.
    pub fn number_at(&self, place: usize, uid: Uid) -> u32 {
        (place + self.gone.below(uid)) as u32 + 1
    }

    /// The first UID that the client does not know of.
    pub fn horizon(&self) -> Uid {
        self.horizon
    }

    /// All UIDs below the horizon.
    pub fn known(&self) -> UidSet {
        let mut known = UidSet::new();
        if let Some(last) = self.horizon.0.checked_sub(1).filter(|&last| last > 0) {
            known.push_range(Uid(1), Uid(last));
        }
        known
    }

    /// The highest UID that has a number; 0 if there is none.
    pub fn last_uid(&self, mailbox: MailboxRef<'_>) -> Uid {
        let present = mailbox.rank(self.horizon).checked_sub(1).map(|place| mailbox.message(place).uid);
        present.max(self.gone.last()).unwrap_or(Uid(0))
    }

    /// The UID behind a number from `1..=exists`.
    fn uid_at(&self, mailbox: MailboxRef<'_>, number: u32) -> Uid {
        match self.gone.stands_at(number as usize - 1, |uid| mailbox.rank(uid)) {
            Stands::Gone(uid) => uid,
            Stands::Present(place) => mailbox.message(place).uid,
        }
    }

    /// The UIDs meant by a set of numbers, as ranges that may also hold UIDs that never were.
    pub fn resolve(
        &self,
        mailbox: MailboxRef<'_>,
        set: &SequenceSet,
        uid: bool,
    ) -> Result<UidSet, OutOfRange> {
        let uids = if uid {
            // rfc3501#6.4.8: UIDs that are not there are passed over in silence.
            set.resolve(self.last_uid(mailbox).0)
        } else {
            let exists = self.exists(mailbox);
            // rfc3501#9 seq-number: above the count, or `*` in an empty mailbox, is the client's mistake.
            if set.largest_named() > exists || (exists == 0 && set.names_last()) {
                return Err(OutOfRange);
            }
            self.uids_at(mailbox, &set.resolve(exists))
        };
        // rfc5182#2.1: an empty `$` is good and names nothing; what was expunged left it by itself.
        Ok(if set.saved { uids.union(&self.saved) } else { uids })
    }

    /// The same for a search key, where a number beyond the last message is no mistake but names nothing
    /// (rfc7377#2).
    pub fn resolve_leniently(&self, mailbox: MailboxRef<'_>, set: &SequenceSet, uid: bool) -> UidSet {
        let uids = if uid {
            set.resolve(self.last_uid(mailbox).0)
        } else {
            let exists = self.exists(mailbox);
            let mut numbers = UidSet::new();
            numbers.push_range(Uid(1), Uid(exists.max(1)));
            let named = set.resolve(exists).intersection(&numbers);
            if exists == 0 { UidSet::new() } else { self.uids_at(mailbox, &named) }
        };
        if set.saved { uids.union(&self.saved) } else { uids }
    }

    /// The present messages at some places of a set (rfc9394#3.3), as ranges that may also hold UIDs that
    /// never were.
    pub fn at_places(&self, mailbox: MailboxRef<'_>, uids: &UidSet, range: PartialRange) -> UidSet {
        let end = mailbox.rank(self.horizon);
        let run = |&(first, last): &(u32, u32)| {
            let behind = last.checked_add(1).map_or(end, |next| mailbox.rank(Uid(next)).min(end));
            mailbox.rank(Uid(first)).min(behind)..behind
        };
        let wanted = range.places(uids.ranges().iter().map(|range| run(range).len()).sum());
        let mut chosen = UidSet::new();
        let mut before = 0;
        for places in uids.ranges().iter().map(run) {
            let from = wanted.start.max(before);
            let to = wanted.end.min(before + places.len());
            if from < to {
                let uid = |place: usize| mailbox.message(places.start + place - before).uid;
                chosen.push_range(uid(from), uid(to - 1));
            }
            before += places.len();
        }
        chosen
    }

    /// Keeps the result of a search for `$`.
    pub fn save(&mut self, found: UidSet) {
        self.saved = found;
    }

    /// The UIDs behind numbers from `1..=exists`, as ranges that may also hold UIDs that never were.
    pub fn uids_at(&self, mailbox: MailboxRef<'_>, numbers: &UidSet) -> UidSet {
        let mut uids = UidSet::new();
        for &(first, last) in numbers.ranges() {
            uids.push_range(self.uid_at(mailbox, first), self.uid_at(mailbox, last));
        }
        uids
    }

    /// Whether a set names messages that are gone and whose EXPUNGE is still owed.
    pub fn names_gone(&self, uids: &UidSet) -> bool {
        uids.ranges().iter().any(|&(first, last)| self.gone.any_in(first, last))
    }

    /// Those of a set that are gone and whose EXPUNGE is still owed.
    pub fn gone_of(&self, uids: &UidSet) -> UidSet {
        let mut gone = UidSet::new();
        if !self.gone.is_empty() {
            for &(first, last) in uids.ranges() {
                let within = self.gone.within(first, last);
                within.ranges().iter().for_each(|&(first, last)| gone.push_range(Uid(first), Uid(last)));
            }
        }
        gone
    }

    /// From now on the client is one of IMAP4rev2.
    pub fn speak_rev2(&mut self) {
        self.rev2 = true;
    }

    /// Whether a message is `\Recent` to this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        !self.rev2 && self.recent.contains(uid)
    }

    /// How many numbered messages are `\Recent`.
    pub fn recent_count(&self, mailbox: MailboxRef<'_>) -> usize {
        let ranges = self.recent.ranges().iter();
        let present: usize = ranges
            .map(|&(first, last)| mailbox.rank(Uid(last.saturating_add(1))) - mailbox.rank(Uid(first)))
            .sum();
        let gone = self.recent.ranges().iter().map(|&(first, last)| self.gone.count_in(first, last));
        present + gone.sum::<usize>()
    }

    /// The change by which what was shown as `\Recent` stops being so for others; none if there is nothing
    /// new. EXAMINE never causes it (rfc3501#6.3.2).
    pub fn claim_recent(&mut self, store: &Store) -> Option<Change> {
        let mailbox = self.mailbox(store).filter(|_| !self.read_only)?;
        if mailbox.recent_from() >= self.horizon || self.claimed >= self.horizon {
            return None;
        }
        self.claimed = self.horizon;
        Some(Change::RecentSeen { mailbox: self.mailbox, below: self.horizon })
    }

    /// Walks the present messages of a set from `from` on, numbers at hand.
    pub fn walk<'a>(&'a self, mailbox: MailboxRef<'a>, uids: &'a UidSet, from: Uid) -> Walk<'a> {
        Walk::new(self, mailbox, uids, from)
    }
    /// Whether others changed the message's flags since the client was last told.
    pub fn is_untold(&self, message: &Message) -> bool {
        message.modseq > self.told
    }
}
