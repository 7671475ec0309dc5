//! Which bodies a story is about.
//!
//! *Owns*: what a target means, and the search. *Promises*: also finds what was expunged, as long as the log has
//! it. *Assumes*: one pass in order. *Never*: prints.

use ringpost_engine::change::UidSet;
use ringpost_engine::codec;
use ringpost_engine::compact::survey::PackRecord;
use ringpost_engine::ids::{AccountId, BodyId, Lsn, MailboxId, Uid};
use ringpost_engine::index::Index;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS, RecordMeta};
use ringpost_engine::log::scan::{BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};

use super::annals::Subject;
use super::trace::{Trace, is_queue_id};
use crate::body;
use crate::cli::values::Position;
use crate::history::Reader;
use crate::show::filter::Wanted;
use crate::track::{Effect, Tracker};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// A Message-ID, without angle brackets.
    MessageId(String),
    /// A queue id.
    QueueId(String),
    /// The record at a position: a body, or what put bodies into a mailbox.
    At(Lsn),
    /// A place that the message has or had.
    Place {
        /// The account as it was written.
        account: String,
        /// The mailbox's full name.
        mailbox: String,
        /// The UID.
        uid: Uid,
    },
    /// A mailbox or an account.
    Annals(Subject),
}

impl Target {
    /// What the word on the command line means.
    pub fn parse(word: &str) -> Target {
        if let Ok(at) = word.parse::<Position>() {
            return Target::At(Lsn(at.lsn));
        }
        if is_queue_id(word) {
            return Target::QueueId(word.to_owned());
        }
        let place = || {
            let (rest, uid) = word.rsplit_once('/').filter(|_| !word.starts_with('<'))?;
            let (account, mailbox) = rest.split_once('/')?;
            let uid = Uid(uid.parse().ok()?);
            Some(Target::Place { account: account.to_owned(), mailbox: mailbox.to_owned(), uid })
        };
        place().or_else(|| annals(word)).unwrap_or_else(|| Target::MessageId(body::bare_id(word).to_owned()))
    }
}

/// `ACCOUNT/` is an account, `ACCOUNT/MAILBOX` a mailbox; a slash behind a name that is a number tells it from a UID.
fn annals(word: &str) -> Option<Target> {
    let (account, mailbox) = word.split_once('/').filter(|_| !word.starts_with('<'))?;
    let is_account = account.contains('@') || account.parse::<u64>().is_ok();
    let mailbox = mailbox.strip_suffix('/').unwrap_or(mailbox);
    let mailbox = (!mailbox.is_empty()).then(|| mailbox.to_owned());
    is_account.then(|| Target::Annals(Subject { account: account.to_owned(), mailbox }))
}

/// Searches a log.
pub struct Finder<'t> {
    target: &'t Target,
    found: Vec<BodyId>,
    place: Option<Place>,
    /// Where the log cannot be read: what is looked for may be there.
    pub damages: Vec<Damage>,
}

/// What a place needs to be traced back to a body.
struct Place {
    account: Wanted,
    mailbox: String,
    uid: Uid,
    tracker: Tracker,
    /// The mailbox that has or last had the name, and whose it is.
    latest: Option<(AccountId, MailboxId)>,
    /// Everything that put messages into the mailboxes of that account.
    arrivals: Vec<(AccountId, Effect)>,
    /// Where the index has or had it, if the log's beginning is gone.
    late: Option<BodyId>,
}

impl<'t> Finder<'t> {
    /// Before the first record.
    /// With the index at its end, if its beginning is gone.
    pub fn new(target: &'t Target, late: Option<&Index>) -> Finder<'t> {
        let place = match target {
            Target::Place { account, mailbox, uid } => Some(Place {
                account: Wanted::parse(account),
                mailbox: mailbox.clone(),
                uid: *uid,
                tracker: late.map(Tracker::after_gap).unwrap_or_default(),
                latest: None,
                arrivals: Vec::new(),
                late: late.and_then(|index| indexed(index, &Wanted::parse(account), mailbox, *uid)),
            }),
            _ => None,
        };
        Finder { target, found: Vec::new(), place, damages: Vec::new() }
    }

    /// The bodies, after the last record.
    pub fn found(self) -> Vec<BodyId> {
        match self.place {
            Some(place) => {
                let late = place.late;
                place.body().or(late).into_iter().collect()
            }
            None => self.found,
        }
    }
}

/// What an index shows at a place, or what left it and can be had back.
fn indexed(index: &Index, account: &Wanted, mailbox: &str, uid: Uid) -> Option<BodyId> {
    let tracker = Tracker::after_gap(index);
    for (known, _) in index.every_account().filter(|(known, _)| account.is(known.id(), Some(known.address())))
    {
        let shown =
            known.mailbox_by_name(mailbox).and_then(|of| of.place(uid).map(|place| of.message(place).body));
        let gone = || {
            let mut buried = index.buried(known.id());
            let of = |id| tracker.mailbox(known.id(), id) == Some(mailbox);
            buried
                .find(|buried| buried.message.uid == uid && of(buried.mailbox))
                .map(|buried| buried.message.body)
        };
        if let Some(body) = shown.or_else(gone) {
            return Some(body);
        }
    }
    None
}

impl Place {
    fn see(&mut self, record: &RecordInfo, payload: &[u8]) {
        let account = record.meta.account;
        let Some((change, stamp)) = codec::decode(record.meta.kind, payload) else { return };
        let effect = self.tracker.apply(account, &change, &stamp);
        if !self.account.is(account, self.tracker.address(account)) {
            return;
        }
        let named = self.tracker.mailbox_by_name(account, &self.mailbox);
        self.latest = named.map(|mailbox| (account, mailbox)).or(self.latest);
        if matches!(effect, Effect::Arrived { .. } | Effect::Copied { .. } | Effect::Restored { .. }) {
            self.arrivals.push((account, effect));
        }
    }

    /// Goes back from copy to original, until the body came.
    fn body(self) -> Option<BodyId> {
        let (mut account, mut mailbox) = self.latest?;
        let mut uid = self.uid;
        for (whose, effect) in self.arrivals.iter().rev() {
            let here = |to: MailboxId| *whose == account && to == mailbox;
            match effect {
                Effect::Arrived { mailbox: to, messages, .. } if here(*to) => {
                    let found = messages.iter().find(|(own, _)| *own == uid);
                    if let Some((_, body)) = found {
                        return Some(*body);
                    }
                }
                Effect::Copied { from, to, uids, first, .. } if here(*to) => {
                    if let Some(original) = nth(uids, *first, uid) {
                        (mailbox, uid) = (*from, original);
                    }
                }
                Effect::Restored { of, from, uids, to, first } if here(*to) => {
                    if let Some(original) = nth(uids, *first, uid) {
                        (account, mailbox, uid) = (*of, *from, original);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// The original of the copy that has this UID, where copies have consecutive ones.
fn nth(uids: &UidSet, first: Uid, uid: Uid) -> Option<Uid> {
    uids.iter().nth(uid.0.checked_sub(first.0)? as usize)
}

impl Reader for Finder<'_> {
    fn packed(&mut self, record: &PackRecord, payload: &[u8]) {
        self.body(record.lsn, &record.meta, payload);
    }
}

impl Finder<'_> {
    fn body(&mut self, lsn: Lsn, meta: &RecordMeta, payload: &[u8]) {
        let octets = || body::split(meta, payload).map_or(&[][..], |(_, octets)| octets);
        let found = match self.target {
            Target::MessageId(id) => body::message_id(octets()).is_some_and(|found| found == *id),
            Target::QueueId(id) => Trace::read(octets()).queue_id.as_ref() == Some(id),
            Target::At(wanted) => lsn == *wanted,
            Target::Place { .. } | Target::Annals(_) => false,
        };
        if found {
            self.found.push(BodyId(lsn.0));
        }
    }
}

impl Visitor for Finder<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, _batch: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        match record.meta.kind {
            KIND_BODY => return self.body(record.lsn, &record.meta, payload),
            KIND_WITNESS => return,
            _ => {}
        }
        if matches!(self.target, Target::At(lsn) if record.lsn == *lsn) {
            let change = codec::decode(record.meta.kind, payload);
            self.found.extend(change.iter().flat_map(|(change, _)| change.bodies()));
        }
        if let Some(place) = &mut self.place {
            place.see(record, payload);
        }
    }

    fn damage(&mut self, damage: &Damage) {
        self.damages.push(damage.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_it_is() {
        let id = |id: &str| Target::MessageId(id.to_owned());
        assert_eq!(Target::parse("1:17412"), Target::At(Lsn(17412)));
        assert_eq!(Target::parse("17412"), Target::At(Lsn(17412)));
        assert_eq!(Target::parse("1A204789DB6-1-1"), Target::QueueId("1A204789DB6-1-1".to_owned()));
        assert_eq!(Target::parse("<a/b/1>"), id("a/b/1"));
        assert_eq!(Target::parse("1@vm"), id("1@vm"));
        assert_eq!(Target::parse("a/b/1@vm"), id("a/b/1@vm"));
        let place = Target::Place { account: "a@x".to_owned(), mailbox: "W/2".to_owned(), uid: Uid(7) };
        assert_eq!(Target::parse("a@x/W/2/7"), place);
        let annals = |account: &str, mailbox: Option<&str>| {
            Target::Annals(Subject { account: account.to_owned(), mailbox: mailbox.map(str::to_owned) })
        };
        assert_eq!(Target::parse("a@x/W/2/7/"), annals("a@x", Some("W/2/7")));
        assert_eq!(Target::parse("a@x/W"), annals("a@x", Some("W")));
        assert_eq!(Target::parse("17/W"), annals("17", Some("W")));
        assert_eq!(Target::parse("a@x/"), annals("a@x", None));
        assert_eq!(Target::parse("a/b@vm"), id("a/b@vm"));
    }
}
