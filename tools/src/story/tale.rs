//! What happened to one body, as the log goes by.
//!
//! *Owns*: [`Tale`]: the message's card and its events, with the names that mailboxes had at the time. *Promises*:
//! events in order of the log. *Assumes*: it is told every record. *Never*: says what the log does not.

use std::collections::{BTreeMap, BTreeSet};

use ringpost::proto::mime::words::decode_words;
use ringpost_engine::change::{Change, Stamp};
use ringpost_engine::compact::survey::PackRecord;
use ringpost_engine::ids::{AccountId, BodyId, Lsn};
use ringpost_engine::index::{Buried, Index};
use ringpost_engine::io::FileId;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS, RecordMeta};
use ringpost_engine::log::scan::{BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use ringpost_engine::{codec, log::batch::BatchMeta};

use super::trace::Trace;
use crate::data::Shard;
use crate::history::Reader;
use crate::track::{Effect, Followed, Instance, Step, Tracker};
use crate::who::{By, Who};
use crate::{body, describe};

/// A message as it lies in the log.
#[derive(Debug)]
pub struct Card {
    /// Its body.
    pub body: BodyId,
    /// The file that has it.
    pub file: FileId,
    /// Where its octets begin in the file.
    pub offset: u64,
    /// How many.
    pub octets: u64,
    /// Its batch's number, and when that was committed; gone with its segment.
    pub batch: Option<(u64, u64)>,
    /// Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// From, decoded.
    pub from: Option<String>,
    /// Subject, decoded.
    pub subject: Option<String>,
    /// Its first trace fields; the server's own if it was delivered.
    pub trace: Trace,
}

/// A place with the names that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub at: Instance,
    /// The account's address.
    pub address: String,
    /// The mailbox's name.
    pub mailbox: String,
}

/// How a message comes by SMTP or LMTP.
pub const DELIVERED: &str = "delivered";

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// See [`Step::Arrived`]; how: `delivered`, `appended` or `imported`.
    Arrived { to: Named, how: &'static str, flags: Vec<String> },
    /// Another message took its place, or it took another's.
    Replaced { gone: Named },
    /// See [`Step::Flags`].
    Flags { of: Named, asked: String, now: Option<Vec<String>> },
    /// See [`Step::Copied`].
    Copied { from: Named, to: Named, moved: bool },
    /// See [`Step::Restored`].
    Restored { from: Named, to: Named },
    /// See [`Step::Read`].
    Read { of: Named },
    /// See [`Step::Expunged`].
    Expunged { of: Named },
    /// It left a mailbox whose beginning the log does not tell any more; by which kind of change.
    Left { of: Named, how: &'static str },
    /// The mailbox got another name.
    Renamed { of: Named, to: String },
    /// The mailbox was deleted.
    MailboxGone { of: Named },
    /// The account was deleted.
    AccountGone { of: Named },
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub time_ms: u64,
    /// Where the log says so.
    pub lsn: u64,
    /// Whose account it is.
    pub account: AccountId,
    /// Who asked for it, as the log names it.
    pub by: By,
    /// What.
    pub what: What,
}

/// One body's story.
#[derive(Debug)]
pub struct Tale {
    /// What it is; none until its record was read.
    pub card: Option<Card>,
    /// What happened to it.
    pub events: Vec<Event>,
    /// Where it is.
    pub followed: Followed,
    /// Which.
    pub body: BodyId,
}

/// Tells the stories of bodies.
pub struct Teller {
    /// One for each body.
    pub tales: Vec<Tale>,
    /// What the log adds up to.
    pub tracker: Tracker,
    /// Damage that was passed over.
    pub damages: Vec<Damage>,
    batch: Option<BatchMeta>,
    who: Who,
    /// What left mailboxes by the changes at these positions, if the log's beginning is gone.
    burials: BTreeMap<Lsn, Vec<(BodyId, Instance)>>,
}

impl Teller {
    /// Of these bodies.
    /// With the index at the log's end, if its beginning is gone.
    pub fn new(shard: &Shard, bodies: &[BodyId], late: Option<&Index>) -> Teller {
        let tale = |&body| {
            let mut followed = Followed::default();
            followed.add(body);
            Tale { card: None, events: Vec::new(), followed, body }
        };
        let mut burials: BTreeMap<Lsn, Vec<_>> = BTreeMap::new();
        for (lsn, body, at) in late.into_iter().flat_map(|index| buried(index, bodies)) {
            burials.entry(lsn).or_default().push((body, at));
        }
        Teller {
            tales: bodies.iter().map(tale).collect(),
            burials,
            tracker: late.map(Tracker::after_gap).unwrap_or_default(),
            damages: Vec::new(),
            batch: None,
            who: Who::new(shard),
        }
    }

    fn body(&mut self, lsn: Lsn, meta: &RecordMeta, (file, at): (FileId, u64), payload: &[u8]) {
        let Some(tale) = self.tales.iter_mut().find(|tale| tale.body.0 == lsn.0) else { return };
        let Some((summary, octets)) = body::split(meta, payload) else { return };
        let decoded = |name| body::field(octets, name).map(|value| decode_words(value.as_bytes()));
        tale.card = Some(Card {
            body: tale.body,
            file,
            offset: at + summary.len() as u64,
            octets: octets.len() as u64,
            batch: self.batch.map(|batch| (batch.sequence, batch.time_ms)),
            message_id: body::message_id(octets),
            from: decoded("From"),
            subject: decoded("Subject"),
            trace: Trace::read(octets),
        });
    }

    fn change(&mut self, record: &RecordInfo, change: &Change, stamp: &Stamp) {
        let account = record.meta.account;
        if let Change::Session { about } = change {
            return self.who.learn(record.lsn, about);
        }
        self.burial(record, change, stamp);
        let before = self.named(account);
        let effect = self.tracker.apply(account, change, stamp);
        for tale in &mut self.tales {
            let names = Names { tracker: &self.tracker, before: &before };
            for what in tale.follow(account, change, stamp, &effect, &names) {
                let by = self.who.asked(record.lsn, record.meta.session);
                let account = what.place().at.account;
                let event = Event { time_ms: stamp.time_ms, lsn: record.lsn.0, account, by, what };
                tale.events.push(event);
            }
        }
    }

    /// What left a mailbox of which only the index tells.
    fn burial(&mut self, record: &RecordInfo, change: &Change, stamp: &Stamp) {
        for (body, at) in self.burials.remove(&record.lsn).unwrap_or_default() {
            if self.tracker.follows(at.account) {
                continue;
            }
            let by = self.who.asked(record.lsn, record.meta.session);
            let what = What::Left { of: named(&self.tracker, at), how: describe::kind(change) };
            let event = Event { time_ms: stamp.time_ms, lsn: record.lsn.0, account: at.account, by, what };
            let tale = self.tales.iter_mut().filter(|tale| tale.body == body);
            tale.for_each(|tale| tale.events.push(event.clone()));
        }
    }

    /// Names of the mailboxes of an account that show what is followed: the next change may take them away.
    fn named(&self, account: AccountId) -> Vec<Named> {
        let all = self.tales.iter().flat_map(|tale| tale.followed.shown());
        let own = all.map(|(at, ..)| at).filter(|at| at.account == account);
        own.map(|at| named(&self.tracker, at)).collect()
    }
}

/// What of these bodies left mailboxes and can be had back, and by which change.
fn buried(index: &Index, bodies: &[BodyId]) -> Vec<(Lsn, BodyId, Instance)> {
    let mut accounts: BTreeSet<AccountId> = index.every_account().map(|(account, _)| account.id()).collect();
    accounts.extend(index.buried_mailboxes().map(|gone| gone.account));
    let all = accounts.into_iter().flat_map(|account| index.buried(account));
    let own = all.filter(|buried| bodies.contains(&buried.message.body));
    own.map(|buried| {
        let Buried { account, mailbox, lsn, message, .. } = buried;
        (lsn, message.body, Instance { account, mailbox, uid: message.uid })
    })
    .collect()
}

fn named(tracker: &Tracker, at: Instance) -> Named {
    let mailbox = tracker.mailbox(at.account, at.mailbox).map(str::to_owned);
    Named {
        at,
        address: tracker.address(at.account).map_or_else(|| format!("#{}", at.account), str::to_owned),
        mailbox: mailbox.unwrap_or_else(|| format!("mailbox {}", at.mailbox)),
    }
}

/// Names before and after a change.
struct Names<'t> {
    tracker: &'t Tracker,
    before: &'t [Named],
}

impl Names<'_> {
    fn former(&self, at: Instance) -> Named {
        let known = self.before.iter().find(|named| named.at == at);
        known.cloned().unwrap_or_else(|| named(self.tracker, at))
    }

    fn current(&self, at: Instance) -> Named {
        named(self.tracker, at)
    }
}

impl Tale {
    fn follow(
        &mut self,
        account: AccountId,
        change: &Change,
        stamp: &Stamp,
        effect: &Effect,
        names: &Names<'_>,
    ) -> Vec<What> {
        let mut all = Vec::new();
        if matches!(change, Change::MailboxRename { .. }) && *effect == Effect::Other {
            all.extend(self.followed.shown().filter(|(at, ..)| at.account == account).filter_map(
                |(at, ..)| {
                    let (of, to) = (names.former(at), names.current(at).mailbox);
                    (of.mailbox != to).then_some(What::Renamed { of, to })
                },
            ));
        }
        let how = match change {
            Change::Deliver { .. } => DELIVERED,
            Change::Import { .. } => "imported",
            _ => "appended",
        };
        for step in self.followed.apply(account, change, stamp, effect) {
            all.push(match step {
                Step::Arrived { to, flags, .. } => What::Arrived { to: names.current(to), how, flags },
                Step::Replaced { gone } => What::Replaced { gone: names.former(gone) },
                Step::Flags { of, asked, now } => What::Flags { of: names.former(of), asked, now },
                Step::Copied { from, to, moved } => {
                    What::Copied { from: names.former(from), to: names.current(to), moved }
                }
                Step::Restored { from, to } => {
                    What::Restored { from: names.former(from), to: names.current(to) }
                }
                Step::Read { of } => What::Read { of: names.former(of) },
                Step::Expunged { of } => What::Expunged { of: names.former(of) },
                Step::MailboxGone { of } => What::MailboxGone { of: names.former(of) },
                Step::AccountGone { of } => What::AccountGone { of: names.former(of) },
            });
        }
        all
    }
}

impl Reader for Teller {
    fn packed(&mut self, record: &PackRecord, payload: &[u8]) {
        let place = (FileId::Pack(record.pack), record.payload_offset);
        self.body(record.lsn, &record.meta, place, payload);
    }
}

impl Visitor for Teller {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, batch: &BatchInfo) {
        self.batch = Some(batch.meta);
    }

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        match record.meta.kind {
            KIND_WITNESS => {}
            KIND_BODY => {
                let place = (FileId::Segment(record.segment), record.payload_offset);
                self.body(record.lsn, &record.meta, place, payload);
            }
            kind => {
                if let Some((change, stamp)) = codec::decode(kind, payload) {
                    self.change(record, &change, &stamp);
                }
            }
        }
    }

    fn damage(&mut self, damage: &Damage) {
        self.damages.push(damage.clone());
    }
}
