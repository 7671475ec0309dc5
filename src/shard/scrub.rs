//! What scrub has found: told, and where it can be, put right.
//!
//! *Owns*: the find at hand. *Promises*: each is one line in the log, and one more for each message that it hides; a
//! summary that can be made of its octets anew is put back; a tick does a bounded step. *Assumes*: the store has
//! hidden what is not to be shown. *Never*: keeps anybody waiting.
//!
//! ```text
//!  take_rot ──► line ──► a body? ──► summarise its octets ──► the sum holds: put back, line
//!                          │                 └──────────────── it does not ─┐
//!                          └ of many ───────────────────────────────────────┴─► whose? account by account ──► lines
//! ```

use ringpost_engine::ids::{AccountId, BodyId};
use ringpost_engine::scrub::{Record, Rot, What};

use crate::limits::{ROT_LOOK_MESSAGES, ROT_MESSAGES_TOLD_MAX};
use crate::log::{Level, Line};
use crate::proto::mime::Summariser;
use crate::shard::Shard;
use crate::shard::damage::{Cursor, message_id, walk};
use crate::shard::event::{Effect, Unreadable};

/// What an operator can do about a message.
const RESTORE: &str = "restore it from a backup: ringpost account restore --help";

/// The find at hand.
#[derive(Debug, Default)]
pub(super) enum Scrub {
    #[default]
    Idle,
    /// Makes the summary of a body anew.
    Mend(Rot, Record, Box<Summariser>),
    /// Looks for the messages that are hidden.
    Search(Box<Search>),
}

/// A look at every message for those whose bodies begin in a range of positions.
#[derive(Debug)]
pub(super) struct Search {
    rot: Rot,
    from: BodyId,
    until: BodyId,
    cursor: Cursor,
    told: usize,
}

impl Shard {
    /// A step of whatever is to be done about rot.
    pub(super) fn tick_scrub(&mut self) {
        match std::mem::take(&mut self.scrub) {
            Scrub::Idle => {
                if let Some(rot) = self.store.take_rot() {
                    self.counters.rot += 1;
                    self.tell_rot(&rot);
                    self.scrub = self.begin_rot(rot);
                }
            }
            Scrub::Mend(rot, record, summariser) => self.scrub = self.mend(rot, record, *summariser),
            Scrub::Search(search) => self.scrub = self.search(search),
        }
    }

    /// What somebody wanted and the disk did not give: hidden from now on, and scrub finds out whose it is.
    pub(super) fn on_unreadable(&mut self, what: &Unreadable) {
        let Some(first) = what.extents.first() else { return };
        self.counters.unreadable += what.extents.len() as u64;
        what.extents.iter().for_each(|extent| self.store.unreadable(*extent));
        let line = Line::new(Level::Error, "unreadable")
            .with("shard", self.id.to_string())
            .with("file", first.file.name())
            .with("offset", first.offset.to_string())
            .with("bytes", first.len.to_string())
            .with("more", (what.extents.len() - 1).to_string())
            .with("error", what.error.clone());
        let todo = "its messages are hidden; whose they are is told when the file has been looked at";
        self.effects.push_back(Effect::Log(line.with("todo", todo)));
    }

    fn begin_rot(&self, rot: Rot) -> Scrub {
        match rot.what {
            What::Body(record) if record.read => Scrub::Mend(rot, record, Box::default()),
            _ => search(rot),
        }
    }

    fn tell_rot(&mut self, rot: &Rot) {
        let (what, todo) = match rot.what {
            What::Header => ("sums of the log", "nothing is lost; see to the disk"),
            What::Change(_) => {
                ("a change of the log", "nothing is lost while checkpoints can be read; see to the disk")
            }
            What::Body(_) => ("a message", "its messages are hidden, see below"),
            What::Unknown { .. } => {
                ("messages of one write", "nothing proves them, they are hidden, see below")
            }
            What::Leads => (
                "what leads to messages of a pack",
                "nothing is lost, it is there twice and is put back; see to the disk",
            ),
            What::Group => (
                "records of a checkpoint",
                "nothing is lost while the one before can be read; see to the disk",
            ),
            What::Rows(_) => (
                "rows of an account in a checkpoint",
                "it is not served: stop the server and put the bytes back, or delete it and restore it from a backup",
            ),
        };
        let mut line = Line::new(Level::Error, "rot")
            .with("shard", self.id.to_string())
            .with("file", rot.file.name())
            .with("offset", rot.offset.to_string())
            .with("bytes", rot.len.to_string())
            .with("what", what);
        if let What::Rows(account) = rot.what {
            line = line.with("account", self.name_of(account));
        }
        self.effects.push_back(Effect::Log(line.with("todo", todo)));
    }

    /// The address of an account, or its id where it is not served.
    fn name_of(&self, account: AccountId) -> String {
        let served = self.store.account(account).map(|account| account.address().to_owned());
        served.unwrap_or_else(|| account.to_string())
    }

    fn mend(&mut self, rot: Rot, record: Record, summariser: Summariser) -> Scrub {
        let found = self.store.suspect(&record);
        let octets = found.and_then(|found| self.store.bytes(found.bytes));
        let Some(octets) = octets else { return search(rot) };
        let summary = match summariser.finish(&octets) {
            Ok(summary) => summary.encode(),
            Err(unfinished) => return Scrub::Mend(rot, record, Box::new(unfinished)),
        };
        if !self.store.mend(record, summary, &octets) {
            return search(rot);
        }
        self.counters.rot_mended += 1;
        let line = Line::new(Level::Warn, "rot mended").with("shard", self.id.to_string());
        let line = line.with("file", rot.file.name()).with("offset", rot.offset.to_string());
        self.effects.push_back(Effect::Log(line.with("what", "the summary was made of the message anew")));
        Scrub::Idle
    }

    fn search(&mut self, mut search: Box<Search>) -> Scrub {
        let Search { rot, from, until, cursor, told } = &mut *search;
        let (store, effects, shard) = (&self.store, &mut self.effects, self.id);
        let is_meant = |body| (*from..*until).contains(&body);
        let more = walk(store, cursor, ROT_LOOK_MESSAGES, is_meant, |account, mailbox, message| {
            *told += 1;
            if *told > ROT_MESSAGES_TOLD_MAX {
                return;
            }
            let mut line = Line::new(Level::Error, "message hidden")
                .with("account", account.address().to_owned())
                .with("mailbox", mailbox.name().to_owned())
                .with("uid", message.uid.to_string());
            if let Some(id) = message_id(store, message) {
                line = line.with("message_id", id);
            }
            let line = line.with("log", format!("{shard}:{}", message.body.0)).with("file", rot.file.name());
            effects.push_back(Effect::Log(line.with("todo", RESTORE)));
        });
        if more { Scrub::Search(search) } else { Scrub::Idle }
    }
}

fn search(rot: Rot) -> Scrub {
    let Some((from, until)) = rot.bodies() else { return Scrub::Idle };
    Scrub::Search(Box::new(Search { rot, from, until, cursor: Cursor::default(), told: 0 }))
}
