//! Which records are wanted.
//!
//! *Owns*: the choice. *Promises*: a record is chosen only when all that was asked for holds. *Assumes*: it sees
//! every record, in order. *Never*: prints.

use std::time::{SystemTime, UNIX_EPOCH};

use ringpost_engine::change::{Change, Stamp};
use ringpost_engine::ids::{AccountId, BodyId};
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::RecordInfo;

use crate::track::{Effect, Followed};
use crate::{body, cli, describe};

/// An account as it was asked for.
pub enum Wanted {
    /// By its number.
    Id(AccountId),
    /// By its normalised address.
    Address(String),
}

impl Wanted {
    /// Digits are a number, everything else is an address.
    pub fn parse(text: &str) -> Wanted {
        match text.parse() {
            Ok(id) => Wanted::Id(AccountId(id)),
            Err(_) => Wanted::Address(ringpost_engine::ids::normalise_address(text)),
        }
    }

    /// Whether an account is the one.
    pub fn is(&self, id: AccountId, address: Option<&str>) -> bool {
        match self {
            Wanted::Id(wanted) => *wanted == id,
            Wanted::Address(wanted) => address == Some(wanted),
        }
    }
}

/// A record as the filter sees it.
pub struct Seen<'a> {
    /// Where and whose.
    pub info: &'a RecordInfo,
    /// Whose it is, and the address: of a session its user's, of what was read its owner's.
    pub whose: (AccountId, Option<&'a str>),
    /// Its time: its own, or its batch's.
    pub time_ms: u64,
    /// Its payload.
    pub payload: &'a [u8],
    /// What it changes, if it is a change, and what that did.
    pub change: Option<(&'a Change, &'a Stamp, &'a Effect)>,
}

impl Seen<'_> {
    /// The name of its kind; none for what nobody understands.
    pub fn kind(&self) -> Option<&'static str> {
        match (self.info.meta.kind, self.change) {
            (KIND_BODY, _) => Some("Body"),
            (KIND_WITNESS, _) => Some("Witness"),
            (_, change) => change.map(|(change, ..)| describe::kind(change)),
        }
    }
}

/// See the module's head.
pub struct Filter {
    account: Option<Wanted>,
    kinds: Vec<&'static str>,
    /// From this time on, up to that.
    times: (u64, u64),
    /// From this position on, up to that.
    lsns: (u64, u64),
    message_id: Option<String>,
    followed: Followed,
}

impl Filter {
    /// As the command line says; positions from `from`, below `to`.
    pub fn new(what: &cli::Filter, from: Option<u64>, to: Option<u64>) -> Filter {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = |moment: cli::values::Moment| moment.unix_ms(since_1970.as_millis() as u64);
        Filter {
            account: what.account.as_deref().map(Wanted::parse),
            kinds: what.kind.clone(),
            times: (what.since.map_or(0, at), what.until.map_or(u64::MAX, at)),
            lsns: (from.unwrap_or(0), to.unwrap_or(u64::MAX)),
            message_id: what.message_id.as_deref().map(|id| body::bare_id(id).to_owned()),
            followed: Followed::default(),
        }
    }

    /// Whether a batch is wanted that lies at these positions, from the first up to the second.
    pub fn wants_batch(&self, (from, to): (u64, u64), time_ms: u64) -> bool {
        let of_everybody = self.account.is_none() && self.message_id.is_none() && self.kinds.is_empty();
        let (since, until) = self.times;
        of_everybody && to > self.lsns.0 && from < self.lsns.1 && (since..until).contains(&time_ms)
    }

    /// Whether a record is wanted. To be asked for every one, as the filter learns from them.
    pub fn wants(&mut self, seen: &Seen<'_>) -> bool {
        let concerned = self.concerns(seen);
        let kind = seen.kind();
        concerned
            && (self.lsns.0..self.lsns.1).contains(&seen.info.lsn.0)
            && (self.times.0..self.times.1).contains(&seen.time_ms)
            && (self.kinds.is_empty() || kind.is_some_and(|kind| self.kinds.contains(&kind)))
            && self.account.as_ref().is_none_or(|wanted| wanted.is(seen.whose.0, seen.whose.1))
    }

    /// Whether it concerns the messages that were asked for.
    fn concerns(&mut self, seen: &Seen<'_>) -> bool {
        let Some(wanted) = &self.message_id else { return true };
        let meta = &seen.info.meta;
        if meta.kind == KIND_BODY {
            let octets = body::split(meta, seen.payload).map_or(&[][..], |(_, octets)| octets);
            let is_it = body::message_id(octets).is_some_and(|id| id == *wanted);
            if is_it {
                self.followed.add(BodyId(seen.info.lsn.0));
            }
            return is_it;
        }
        seen.change.is_some_and(|(change, stamp, effect)| {
            !self.followed.apply(meta.account, change, stamp, effect).is_empty()
        })
    }
}
