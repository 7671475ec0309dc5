//! `ringpost-log message`: one message, by where it is or by its UID.
//!
//! *Owns*: finding a body, and saying who shows it. *Promises*: `--eml` writes the stored octets and nothing
//! else. *Assumes*: nothing of the mailbox: it finds what was delivered even when it was expunged since.
//! *Never*: changes a flag.

use base64::Engine;
use ringpost_engine::change::{Change, FlagBits, Flags};
use ringpost_engine::codec;
use ringpost_engine::compact::survey::PackRecord;
use ringpost_engine::ids::{AccountId, BodyId, BodyKey, Lsn, MailboxId, Uid};
use ringpost_engine::index::MailboxRef;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::log::record::KIND_BODY;
use ringpost_engine::log::scan::{BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
use ringpost_engine::recovery::{self, Replayed};
use ringpost_engine::store::BodyRef;
use serde_json::{Value, json};

use super::filter::Wanted;
use crate::cli::{self, Cli};
use crate::data::{self, Shard};
use crate::describe;
use crate::disk::ReadOnlyDisk;
use crate::history::{self, Reader};
use crate::output::{Output, moment, name, number, plain, progress};
use crate::{Damages, Failure};

/// Shows or writes a message.
pub fn run(cli: &Cli, what: &cli::Message, output: &mut Output) -> Result<Damages, Failure> {
    let mut found = Vec::new();
    let mut damages = 0;
    // Of all shards, the one that knows the account says most.
    let mut missing = Missing::Account;
    let mut suspects = Vec::new();
    for shard in data::shards(&cli.data, cli.only()?)? {
        match find(&shard, what) {
            Ok(Ok(message)) => found.push((shard, message)),
            Ok(Err(Missing::Message)) => missing = Missing::Message,
            Ok(Err(Missing::Account)) => {}
            Ok(Err(Missing::Damaged)) => {
                missing = Missing::Message;
                suspects.push(name(&shard));
            }
            // On standard error: standard output may be the message's.
            Err(failure) => {
                damages += 1;
                eprintln!("ringpost-log: {}: {failure}", name(&shard));
            }
        }
    }
    match found.as_mut_slice() {
        // It may have been there.
        [] if damages > 0 || !suspects.is_empty() => {
            for suspect in &suspects {
                let number = what.number.lsn;
                eprintln!(
                    "ringpost-log: {number} is not found, and the log of {suspect} is damaged: see verify"
                );
            }
            Ok(damages + suspects.len() as Damages)
        }
        [] => Err(match (&what.account, &what.mailbox, missing) {
            (Some(account), Some(_), Missing::Account) => {
                format!("no account {account}: give its address or its number")
            }
            (Some(account), Some(mailbox), Missing::Message) => {
                format!("{account} has no mailbox {mailbox}, or it never had UID {}", what.number.lsn)
            }
            _ => format!("no message begins or is delivered at position {}", what.number.lsn),
        }),
        [(shard, message)] => {
            show(shard, message, what.eml, output)?;
            Ok(damages)
        }
        several => {
            let names: Vec<String> = several.iter().map(|(shard, _)| name(shard)).collect();
            Err(format!("{} have a message there; choose one with --shard", names.join(" and ")))
        }
    }
}

/// Why nothing was found.
#[derive(Clone, Copy)]
enum Missing {
    /// There is no such account.
    Account,
    /// There is no such message.
    Message,
    /// There is none, but something is lost there.
    Damaged,
}

struct Found {
    disk: ReadOnlyDisk,
    id: BodyId,
    body: BodyRef,
    replayed: Replayed,
    /// Who shows it.
    shown: Vec<Shown>,
}

struct Shown {
    account: AccountId,
    address: String,
    mailbox: String,
    uid: Uid,
    flags: Vec<String>,
    internal_ms: u64,
}

fn find(shard: &Shard, what: &cli::Message) -> Result<Result<Found, Missing>, Failure> {
    let bytes = ReadOnlyDisk::quiet(&shard.folder).bytes();
    let bar = progress(bytes, "searching", false);
    let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
    let replayed =
        recovery::replay_read_only(&mut disk, shard.id, None).map_err(|error| error.to_string())?;
    let id = match (&what.account, &what.mailbox) {
        (Some(account), Some(mailbox)) => {
            by_uid(&replayed, &mut disk, shard, &Wanted::parse(account), mailbox, what.number.lsn)?
        }
        _ => by_position(&mut disk, shard, Lsn(what.number.lsn))?.ok_or(Missing::Message),
    };
    bar.finish_and_clear();
    let id = match id {
        Ok(id) => id,
        Err(_) if !replayed.report.damage.is_empty() => return Ok(Err(Missing::Damaged)),
        Err(missing) => return Ok(Err(missing)),
    };
    let Some(body) = recorded(&mut disk, shard, id)?.and_then(|key| replayed.body(key)) else {
        return Err(format!("the message's octets, at position {id}, are damaged"));
    };
    Ok(Ok(Found { disk, id, body, shown: shown(&replayed, id), replayed }))
}

/// By the position of a body, or of a delivery of it.
fn by_position(disk: &mut ReadOnlyDisk, shard: &Shard, lsn: Lsn) -> Result<Option<BodyId>, Failure> {
    if recorded(disk, shard, BodyId(lsn.0))?.is_some() {
        return Ok(Some(BodyId(lsn.0)));
    }
    delivery(disk, shard, &|record, _, _| record.lsn == lsn)
}

/// By UID: what the mailbox shows, or what was once delivered under that UID and is expunged now.
fn by_uid(
    replayed: &Replayed,
    disk: &mut ReadOnlyDisk,
    shard: &Shard,
    account: &Wanted,
    mailbox: &str,
    uid: u64,
) -> Result<Result<BodyId, Missing>, Failure> {
    let mut accounts = replayed.index.every_account().map(|(account, _)| account);
    let Some(account) = accounts.find(|known| account.is(known.id(), Some(known.address()))) else {
        return Ok(Err(Missing::Account));
    };
    let (Ok(uid), Some(mailbox)) = (u32::try_from(uid).map(Uid), account.mailbox_by_name(mailbox)) else {
        return Ok(Err(Missing::Message));
    };
    if let Some(place) = mailbox.place(uid) {
        return Ok(Ok(mailbox.message(place).body));
    }
    let (account, mailbox) = (account.id(), mailbox.id());
    let wanted =
        |record: &RecordInfo, to, as_uid| (record.meta.account, to, as_uid) == (account, mailbox, uid);
    Ok(delivery(disk, shard, &wanted)?.ok_or(Missing::Message))
}

type IsDelivery<'a> = &'a dyn Fn(&RecordInfo, MailboxId, Uid) -> bool;

/// The body of the first delivery or append of which `wanted` is true.
fn delivery(
    disk: &mut ReadOnlyDisk,
    shard: &Shard,
    wanted: IsDelivery<'_>,
) -> Result<Option<BodyId>, Failure> {
    Ok(search(disk, shard, Search { wanted, body: BodyId(0), found: None, key: None })?.found)
}

/// What the log says of the body at a position.
fn recorded(disk: &mut ReadOnlyDisk, shard: &Shard, body: BodyId) -> Result<Option<BodyKey>, Failure> {
    Ok(search(disk, shard, Search { wanted: &|_, _, _| false, body, found: None, key: None })?.key)
}

fn search<'a>(disk: &mut ReadOnlyDisk, shard: &Shard, mut search: Search<'a>) -> Result<Search<'a>, Failure> {
    history::read(disk, shard, &mut search)?;
    Ok(search)
}

struct Search<'a> {
    wanted: IsDelivery<'a>,
    /// Which body is looked for.
    body: BodyId,
    /// The first body that was delivered as wanted.
    found: Option<BodyId>,
    /// The body that is looked for.
    key: Option<BodyKey>,
}

impl Reader for Search<'_> {
    fn packed(&mut self, record: &PackRecord, _payload: &[u8]) {
        if record.lsn.0 == self.body.0 {
            let (summary_len, len) = (record.meta.summary_len, record.meta.len - record.meta.summary_len);
            self.key = Some(BodyKey { id: self.body, summary_len, len });
        }
    }
}

impl Visitor for Search<'_> {
    fn segment(&mut self, _segment: &SegmentInfo) {}

    fn batch(&mut self, _batch: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        if record.meta.kind == KIND_BODY && record.lsn.0 == self.body.0 {
            let (summary_len, len) = (record.meta.summary_len, record.meta.len - record.meta.summary_len);
            self.key = Some(BodyKey { id: self.body, summary_len, len });
        }
        let Some((change, stamp)) = codec::decode(record.meta.kind, payload) else { return };
        if let Change::Deliver { mailbox, .. }
        | Change::Append { mailbox, .. }
        | Change::Import { mailbox, .. } = change
        {
            let arrivals = change.bodies().zip(change.uids(&stamp));
            let mut wanted = arrivals.filter(|&(_, uid)| (self.wanted)(record, mailbox, uid));
            self.found = self.found.or_else(|| wanted.next().map(|(body, _)| body));
        }
    }

    fn damage(&mut self, _damage: &Damage) {}
}

/// All mailboxes that show a body.
fn shown(replayed: &Replayed, id: BodyId) -> Vec<Shown> {
    let mut shown = Vec::new();
    for (account, _) in replayed.index.every_account() {
        for mailbox in account.mailboxes() {
            let messages = (0..mailbox.len()).map(|place| mailbox.message(place));
            for message in messages.filter(|message| message.body == id) {
                shown.push(Shown {
                    account: account.id(),
                    address: account.address().to_owned(),
                    mailbox: mailbox.name().to_owned(),
                    uid: message.uid,
                    flags: flag_names(&mailbox, message.flags),
                    internal_ms: message.internal_ms,
                });
            }
        }
    }
    shown
}

/// Names of the flags of a message.
pub fn flag_names(mailbox: &MailboxRef<'_>, flags: FlagBits) -> Vec<String> {
    describe::flags(&flags_of(mailbox, flags))
}

/// The flags of a message by meaning.
pub fn flags_of(mailbox: &MailboxRef<'_>, flags: FlagBits) -> Flags {
    let keywords = mailbox.keywords().iter().enumerate();
    let set = keywords.filter(|&(bit, _)| flags.contains(FlagBits::keyword(bit)));
    let keywords = set.map(|(_, name)| name.clone()).collect();
    Flags { system: FlagBits(flags.0 & FlagBits::SYSTEM.0), keywords }
}

fn show(shard: &Shard, found: &mut Found, eml: bool, output: &mut Output) -> Result<(), Failure> {
    let bytes = found.body.bytes;
    let summary = found.body.summary;
    let octets = if eml { Some(found.disk.octets(&found.replayed, bytes)?) } else { None };
    if let Some(octets) = octets.as_deref().filter(|_| !output.is_json()) {
        output.raw(octets);
        return Ok(());
    }
    let (file, offset) = (summary.file, summary.offset + u64::from(summary.len));
    let summary = found.disk.octets(&found.replayed, summary.into())?;
    let view = SummaryView::new(&summary);
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let envelope = view.as_ref().map(|view| part(view.envelope()));
    let structure = view.as_ref().map(|view| part(view.bodystructure()));
    let places: Vec<Value> = found.shown.iter().map(place).collect();
    let object = json!({
        "type": "message", "shard": number(shard), "lsn": found.id.0, "file": file.name(),
        "offset": offset, "octets": bytes.len, "shown": places, "envelope": envelope,
        "bodystructure": structure,
        "eml": octets.map(|octets| base64::engine::general_purpose::STANDARD.encode(octets)),
    });
    output.line(&object, || {
        let (file, len) = (file.name(), bytes.len);
        let mut text = format!("message at {} of {}\n", found.id, name(shard));
        text += &format!("  octets     {len}, from byte {offset} of {file}\n");
        for place in &found.shown {
            let (address, mailbox, uid) = (plain(&place.address), plain(&place.mailbox), place.uid);
            let (flags, when) = (plain(&place.flags.join(" ")), moment(place.internal_ms));
            text += &format!(
                "  shown to   {address} in {mailbox} as UID {uid}, received {when}, flags ({flags})\n"
            );
        }
        if found.shown.is_empty() {
            text += "  shown to   nobody (any more)\n";
        }
        text += &format!("  envelope   {}\n", plain(envelope.as_deref().unwrap_or("damaged")));
        text += &format!("  structure  {}", plain(structure.as_deref().unwrap_or("damaged")));
        text
    });
    Ok(())
}

fn place(shown: &Shown) -> Value {
    json!({
        "account": shown.account.0, "address": shown.address, "mailbox": shown.mailbox, "uid": shown.uid.0,
        "flags": shown.flags, "internal": moment(shown.internal_ms),
    })
}
