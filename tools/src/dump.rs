//! `ringpost-log dump`: the records of the log in order.
//!
//! *Owns*: the choice of records and their lines. *Promises*: a line for every record chosen, as it is read.
//! *Assumes*: an account's creation stands before its other records. *Never*: prints password hashes or
//! octets.

use std::collections::BTreeMap;

use ringpost_engine::change::Change;
use ringpost_engine::codec;
use ringpost_engine::ids::AccountId;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{self, BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use serde_json::{Value, json};

use crate::Failure;
use crate::cli;
use crate::data::Shard;
use crate::describe;
use crate::disk::ReadOnlyDisk;
use crate::output::{Output, moment, number, progress};

/// Prints a shard's records.
pub fn run(shard: &Shard, what: &cli::Dump, output: &mut Output) -> Result<u64, Failure> {
    let bytes = ReadOnlyDisk::new(&shard.folder, indicatif::ProgressBar::hidden()).bytes();
    let bar = progress(bytes, "reading", true);
    let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
    let mut dump = Dump {
        shard,
        what,
        account: what.account.as_deref().map(Wanted::parse),
        output,
        addresses: BTreeMap::new(),
        damages: 0,
    };
    scan::scan(&mut disk, shard.id, &mut dump).map_err(|error| error.to_string())?;
    bar.finish_and_clear();
    Ok(dump.damages)
}

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

struct Dump<'a> {
    shard: &'a Shard,
    what: &'a cli::Dump,
    account: Option<Wanted>,
    output: &'a mut Output,
    addresses: BTreeMap<AccountId, String>,
    damages: u64,
}

impl Dump<'_> {
    fn wants(&self, record: &RecordInfo) -> bool {
        let account = record.meta.account;
        let address = self.addresses.get(&account).map(String::as_str);
        record.lsn.0 >= self.what.from.lsn
            && self.account.as_ref().is_none_or(|wanted| wanted.is(account, address))
    }

    /// A line of a record: what all of them have, then its own fields.
    fn print(&mut self, record: &RecordInfo, kind: &str, time_ms: Option<u64>, modseq: u64, fields: Value) {
        let account = record.meta.account;
        let address = self.addresses.get(&account);
        let mut object = json!({
            "type": "record", "shard": number(self.shard), "lsn": record.lsn.0, "segment": record.segment.0,
            "account": account.0, "address": address, "kind": kind, "time": time_ms.map(moment),
            "modseq": (modseq > 0).then_some(modseq),
        });
        if let (Value::Object(all), Value::Object(own)) = (&mut object, &fields) {
            all.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        self.output.line(&object, || {
            let time = time_ms.map_or_else(|| "-".to_owned(), moment);
            let who = match (account, address) {
                (AccountId(0), _) => "-".to_owned(),
                (_, Some(address)) => crate::output::plain(address),
                (id, None) => format!("#{id}"),
            };
            let modseq = if modseq > 0 { format!("modseq={modseq} ") } else { String::new() };
            let fields = fields.as_object().map(describe::text).unwrap_or_default();
            let line = format!("{:>12} {time:<24} {who} {kind} {modseq}{fields}", record.lsn);
            line.trim_end().to_owned()
        });
    }
}

impl Visitor for Dump<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, batch: &BatchInfo) {
        let meta = &batch.meta;
        if !self.what.all || meta.lsn.0 + meta.bytes() <= self.what.from.lsn {
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
            format!("{lsn:>12} {time:<24} batch {sequence} bytes={bytes} records={records} durable={durable}")
        });
    }

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        let decoded = codec::decode(record.meta.kind, payload);
        if let Some((Change::AccountCreate { address, .. }, _)) = &decoded {
            self.addresses.insert(record.meta.account, address.clone());
        }
        if !self.wants(record) {
            return;
        }
        match (record.meta.kind, decoded) {
            (KIND_WITNESS, _) if self.what.all => self.print(record, "Witness", None, 0, json!({})),
            (KIND_WITNESS, _) => {}
            (KIND_BODY, _) => {
                let octets = record.meta.len - record.meta.summary_len;
                let fields = json!({"octets": octets, "summary": record.meta.summary_len});
                self.print(record, "Body", None, 0, fields);
            }
            (_, Some((change, stamp))) => {
                let fields = Value::Object(describe::fields(&change, &stamp));
                let kind = describe::kind(&change);
                self.print(record, kind, Some(stamp.time_ms), stamp.modseq.0, fields);
            }
            (kind, None) => {
                self.damages += 1;
                let what = format!("a record of unknown form, kind {kind}");
                self.output.fault(self.shard, record.segment.0, record.payload_offset, &what);
            }
        }
    }

    fn damage(&mut self, damage: &Damage) {
        self.damages += 1;
        self.output.damage(self.shard, damage);
    }
}
