//! Records as lines.
//!
//! *Owns*: the lines of `dump` and `tail`. *Promises*: a line for every record chosen, as it is read. *Assumes*: it
//! is told the log in order; names are known as far as it was told. *Never*: prints password hashes or octets.

use ringpost_engine::change::Change;
use ringpost_engine::codec;
use ringpost_engine::compact::survey::PackRecord;
use ringpost_engine::ids::{AccountId, MailboxId, SegmentId};
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use serde_json::{Map, Value, json};

use super::filter::{Filter, Seen};
use crate::data::Shard;
use crate::history::Reader;
use crate::output::{Output, moment, number, plain};
use crate::track::Tracker;
use crate::who::{By, Who};
use crate::{Damages, describe};

/// What the log has told so far, and what is wanted of it.
pub struct State {
    /// Which records.
    pub filter: Filter,
    /// Whether batches and witnesses are printed as well.
    pub all: bool,
    /// What the changes add up to.
    pub tracker: Tracker,
    /// What was found damaged.
    pub damages: Damages,
    /// Time of the batch that is being read.
    batch_ms: u64,
    /// Who asked for what.
    who: Who,
}

impl State {
    /// Before the first record.
    pub fn new(shard: &Shard, filter: Filter, all: bool) -> State {
        let who = Who::new(shard);
        State { filter, all, tracker: Tracker::default(), damages: 0, batch_ms: 0, who }
    }
}

/// See the module's head.
pub struct Records<'a> {
    /// Whose log.
    pub shard: &'a Shard,
    /// Where lines go.
    pub output: &'a mut Output,
    /// Carried on from one piece of the log to the next.
    pub state: &'a mut State,
}

impl Records<'_> {
    /// A line of a record: what all of them have, then its own fields.
    fn print(
        &mut self,
        info: &RecordInfo,
        kind: &str,
        (time_ms, modseq): (Option<u64>, u64),
        fields: &Map<String, Value>,
        by: &By,
    ) {
        let account = info.meta.account;
        let address = self.state.tracker.address(account);
        let time = time_ms.map(moment);
        let segment = (info.segment.0 > 0).then_some(info.segment.0);
        let mut object = json!({
            "type": "record", "shard": number(self.shard), "lsn": info.lsn.0, "segment": segment,
            "account": account.0, "address": address, "kind": kind, "time": time,
            "modseq": (modseq > 0).then_some(modseq), "by": by.json(),
        });
        if let Value::Object(all) = &mut object {
            all.extend(fields.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        let who = match (account, address) {
            (AccountId(0), _) => "-".to_owned(),
            (_, Some(address)) => plain(address),
            (id, None) => format!("#{id}"),
        };
        self.output.line(&object, || {
            let time = time.unwrap_or_else(|| format!("{:24}", "(time is gone)"));
            let modseq = if modseq > 0 { format!("modseq={modseq} ") } else { String::new() };
            let line = format!("{:>12} {time} {who} {kind} {modseq}{}", info.lsn, describe::text(fields));
            let by = by.text().map_or_else(String::new, |by| format!(" by {by}"));
            format!("{}{by}", line.trim_end())
        });
    }

    fn address_of(&self, account: AccountId) -> Option<(&'static str, String)> {
        self.state.tracker.address(account).map(|address| ("of_address", address.to_owned()))
    }

    /// The names of the mailboxes that a change speaks of, as they were before it.
    fn names(&self, account: AccountId, change: &Change) -> Vec<(&'static str, String)> {
        let named = |key, mailbox: MailboxId| {
            self.state.tracker.mailbox(account, mailbox).map(|name| (key, name.to_owned()))
        };
        let (first, second) = match change {
            Change::Copy { from, to, .. } => (named("from_name", *from), named("to_name", *to)),
            Change::Deliver { mailbox, .. }
            | Change::Append { mailbox, .. }
            | Change::Import { mailbox, .. }
            | Change::MailboxAdopt { mailbox, .. }
            | Change::FlagsStore { mailbox, .. }
            | Change::Expunge { mailbox, .. }
            | Change::RecentSeen { mailbox, .. }
            | Change::MailboxRename { mailbox, .. }
            | Change::MailboxDelete { mailbox }
            | Change::Acl { mailbox, .. } => (named("mailbox_name", *mailbox), None),
            Change::Read { of, mailbox, .. } => {
                let name = self.state.tracker.mailbox(*of, *mailbox);
                (name.map(|name| ("mailbox_name", name.to_owned())), self.address_of(*of))
            }
            _ => (None, None),
        };
        first.into_iter().chain(second).collect()
    }

    fn change(&mut self, info: &RecordInfo, payload: &[u8]) {
        let account = info.meta.account;
        let Some((change, stamp)) = codec::decode(info.meta.kind, payload) else {
            self.state.damages += 1;
            let what = format!("a record of unknown form, kind {}", info.meta.kind);
            return self.output.fault(self.shard, info.segment.0, info.payload_offset, &what);
        };
        if let Change::Session { about } = &change {
            self.state.who.learn(info.lsn, about);
        }
        let names = self.names(account, &change);
        let effect = self.state.tracker.apply(account, &change, &stamp);
        let whose = match &change {
            Change::Read { of, .. } => (*of, self.state.tracker.address(*of)),
            Change::Session { about } => (account, Some(about.user.as_str())),
            _ => (account, self.state.tracker.address(account)),
        };
        let seen =
            Seen { info, whose, time_ms: stamp.time_ms, payload, change: Some((&change, &stamp, &effect)) };
        if self.state.filter.wants(&seen) {
            let mut fields = describe::fields(&change, &stamp);
            fields.extend(names.into_iter().map(|(key, name)| (key.to_owned(), name.into())));
            let by = self.state.who.asked(info.lsn, info.meta.session);
            self.print(info, describe::kind(&change), (Some(stamp.time_ms), stamp.modseq.0), &fields, &by);
        }
    }

    fn other(&mut self, info: &RecordInfo, payload: &[u8]) {
        let whose = (info.meta.account, self.state.tracker.address(info.meta.account));
        let seen = Seen { info, whose, time_ms: self.state.batch_ms, payload, change: None };
        let (wanted, kind) = (self.state.filter.wants(&seen), seen.kind().unwrap_or_default());
        if !wanted || (info.meta.kind == KIND_WITNESS && !self.state.all) {
            return;
        }
        let mut fields = Map::new();
        if info.meta.kind == KIND_BODY {
            let octets = info.meta.len.saturating_sub(info.meta.summary_len);
            fields.insert("octets".to_owned(), octets.into());
            fields.insert("summary".to_owned(), info.meta.summary_len.into());
        }
        self.print(info, kind, (Some(self.state.batch_ms), 0), &fields, &By::Nobody);
    }
}

impl Reader for Records<'_> {
    /// The times of its batch are gone with the segment: it is only wanted where time does not matter.
    fn packed(&mut self, record: &PackRecord, payload: &[u8]) {
        let PackRecord { pack, payload_offset, lsn, meta } = *record;
        let info = RecordInfo { segment: SegmentId(0), payload_offset, lsn, meta };
        let whose = (meta.account, self.state.tracker.address(meta.account));
        if !self.state.filter.wants(&Seen { info: &info, whose, time_ms: 0, payload, change: None }) {
            return;
        }
        let mut fields = Map::new();
        fields.insert("octets".to_owned(), meta.len.saturating_sub(meta.summary_len).into());
        fields.insert("summary".to_owned(), meta.summary_len.into());
        fields.insert("pack".to_owned(), pack.into());
        self.print(&info, "Body", (None, 0), &fields, &By::Nobody);
    }
}

impl Visitor for Records<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, batch: &BatchInfo) {
        let meta = &batch.meta;
        self.state.batch_ms = meta.time_ms;
        let place = (meta.lsn.0, meta.lsn.0 + meta.bytes());
        if !self.state.all || !self.state.filter.wants_batch(place, meta.time_ms) {
            return;
        }
        let time = moment(meta.time_ms);
        let object = json!({
            "type": "batch", "shard": number(self.shard), "lsn": meta.lsn.0, "segment": meta.segment.0,
            "offset": batch.offset, "sequence": meta.sequence, "durable": meta.durable.0, "time": time,
            "bytes": meta.bytes(), "records": meta.records,
        });
        self.output.line(&object, || {
            let (lsn, sequence, durable, records) = (meta.lsn, meta.sequence, meta.durable, meta.records);
            let bytes = meta.bytes();
            format!("{lsn:>12} {time} batch {sequence} bytes={bytes} records={records} durable={durable}")
        });
    }

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        match record.meta.kind {
            KIND_BODY | KIND_WITNESS => self.other(record, payload),
            _ => self.change(record, payload),
        }
    }

    fn damage(&mut self, damage: &Damage) {
        self.state.damages += 1;
        self.output.damage(self.shard, damage);
    }
}
