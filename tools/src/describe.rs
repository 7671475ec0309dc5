//! Changes in words.
//!
//! *Owns*: the name and the fields of each change, the same in text and JSON. *Promises*: everything a change
//! says is there, but for password hashes. *Assumes*: nothing. *Never*: prints.

use bytes::Bytes;
use ringpost_engine::change::{
    Arrival, Change, FlagBits, FlagOp, Flags, ImportedMessage, Inheritance, NewMessage, Services, SpecialUse,
    Stamp, UidSet,
};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Uid};
use ringpost_engine::origin::SessionInfo;
use ringpost_engine::owners::Claim;
use serde_json::{Map, Value, json};

use crate::output::{moment, plain};

/// Every kind of record that has a name.
pub const KINDS: [&str; 40] = [
    "AccountCreate",
    "AccountPassword",
    "AccountServices",
    "AccountDelete",
    "DomainAdd",
    "DomainDelete",
    "AliasSet",
    "AliasDelete",
    "MailboxCreate",
    "MailboxRename",
    "MailboxDelete",
    "Subscribe",
    "Deliver",
    "FlagsStore",
    "Copy",
    "Expunge",
    "RecentSeen",
    "Append",
    "Metadata",
    "Acl",
    "Quota",
    "UrlKey",
    "AccountHide",
    "AccountReferral",
    "Restore",
    "Reap",
    "MailboxAdopt",
    "Import",
    "Arrive",
    "Inherit",
    "SlotClaim",
    "SlotLeave",
    "AccountLeave",
    "SlotClear",
    "Session",
    "Read",
    "Distrust",
    "Trust",
    "Body",
    "Witness",
];

/// The kind of a change.
pub fn kind(change: &Change) -> &'static str {
    match change {
        Change::AccountCreate { .. } => "AccountCreate",
        Change::AccountPassword { .. } => "AccountPassword",
        Change::AccountServices { .. } => "AccountServices",
        Change::AccountDelete => "AccountDelete",
        Change::DomainAdd { .. } => "DomainAdd",
        Change::DomainDelete { .. } => "DomainDelete",
        Change::AliasSet { .. } => "AliasSet",
        Change::AliasDelete { .. } => "AliasDelete",
        Change::MailboxCreate { .. } => "MailboxCreate",
        Change::MailboxRename { .. } => "MailboxRename",
        Change::MailboxDelete { .. } => "MailboxDelete",
        Change::Subscribe { .. } => "Subscribe",
        Change::Deliver { .. } => "Deliver",
        Change::FlagsStore { .. } => "FlagsStore",
        Change::Copy { .. } => "Copy",
        Change::Expunge { .. } => "Expunge",
        Change::RecentSeen { .. } => "RecentSeen",
        Change::Append { .. } => "Append",
        Change::Metadata { .. } => "Metadata",
        Change::Acl { .. } => "Acl",
        Change::Quota { .. } => "Quota",
        Change::UrlKey { .. } => "UrlKey",
        Change::AccountHide { .. } => "AccountHide",
        Change::AccountReferral { .. } => "AccountReferral",
        Change::Restore { .. } => "Restore",
        Change::Reap { .. } => "Reap",
        Change::MailboxAdopt { .. } => "MailboxAdopt",
        Change::Import { .. } => "Import",
        Change::Arrive(_) => "Arrive",
        Change::Inherit(_) => "Inherit",
        Change::SlotClaim { .. } => "SlotClaim",
        Change::SlotLeave { .. } => "SlotLeave",
        Change::AccountLeave => "AccountLeave",
        Change::SlotClear { .. } => "SlotClear",
        Change::Session { .. } => "Session",
        Change::Read { .. } => "Read",
        Change::Distrust { .. } => "Distrust",
        Change::Trust { .. } => "Trust",
    }
}

/// What a change says, and what the store decided for it.
pub fn fields(change: &Change, stamp: &Stamp) -> Map<String, Value> {
    let value = match change {
        Change::AccountCreate { address, services: allowed, mailboxes, .. } => json!({
            "address": address, "services": services(*allowed), "mailbox_first": stamp.mailbox_first.0,
            "mailboxes": mailboxes.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        }),
        Change::AccountServices { services: allowed } => json!({"services": services(*allowed)}),
        Change::AccountPassword { .. } | Change::AccountDelete | Change::AccountLeave => json!({}),
        Change::DomainAdd { name } | Change::DomainDelete { name } => json!({"name": name}),
        Change::AliasSet { address, targets } => json!({"alias": address, "targets": targets}),
        Change::AliasDelete { address } => json!({"alias": address}),
        Change::MailboxCreate { name, special_use: used_as } => json!({
            "name": name, "special_use": special_use(*used_as), "mailbox_first": stamp.mailbox_first.0,
        }),
        Change::MailboxRename { mailbox, to } => {
            json!({"mailbox": mailbox.0, "to": to, "mailbox_first": stamp.mailbox_first.0})
        }
        Change::MailboxDelete { mailbox } => json!({"mailbox": mailbox.0}),
        Change::Subscribe { name, on } => json!({"name": name, "on": on}),
        Change::Deliver { mailbox, body, flags: set, internal_ms } => json!({
            "mailbox": mailbox.0, "uid": stamp.uid_first.0, "body": body.0, "flags": flags(set),
            "internal_ms": internal_ms,
        }),
        Change::FlagsStore { mailbox, uids: set, op, flags: named, unchanged_since } => json!({
            "mailbox": mailbox.0, "uids": uids(set), "op": flag_op(*op), "flags": flags(named),
            "unchanged_since": unchanged_since.map(|since| since.0),
        }),
        Change::Copy { from, to, uids: set, expunge } => json!({
            "from": from.0, "to": to.0, "uids": uids(set), "uid_first": stamp.uid_first.0, "move": expunge,
        }),
        Change::Expunge { mailbox, uids: set, only_deleted } => {
            json!({"mailbox": mailbox.0, "uids": uids(set), "only_deleted": only_deleted})
        }
        Change::RecentSeen { mailbox, below } => json!({"mailbox": mailbox.0, "below": below.0}),
        Change::Append { mailbox, messages, replaces } => append(*mailbox, messages, *replaces, stamp),
        Change::Metadata { mailbox, entries } => metadata(*mailbox, entries),
        Change::Acl { mailbox, identifier, rights } => json!({
            "mailbox": mailbox.0, "identifier": identifier,
            "rights": rights.map(|rights| rights.letters().collect::<String>()),
        }),
        Change::Quota { limits } => json!({
            "storage_kib": limits.storage_kib, "messages": limits.messages, "mailboxes": limits.mailboxes,
        }),
        Change::UrlKey { mailbox } => json!({"mailbox": mailbox.map(|mailbox| mailbox.0)}),
        Change::AccountHide { capabilities } => json!({"capabilities": capabilities}),
        Change::AccountReferral { url } => json!({"url": url}),
        Change::Restore { of, from, uids: set, to } => json!({
            "of": of.0, "from": from.0, "uids": uids(set), "to": to.0, "uid_first": stamp.uid_first.0,
        }),
        Change::Reap { until_ms } => json!({"until_ms": until_ms}),
        Change::MailboxAdopt { mailbox, uid_validity, unique_ids } => json!({
            "mailbox": mailbox.0, "uid_validity": uid_validity, "unique_ids": format!("{unique_ids:?}"),
        }),
        Change::Import { mailbox, messages, uid_next } => {
            import(*mailbox, messages, *uid_next, change.uids(stamp))
        }
        Change::Arrive(arrival) => arrive(arrival),
        Change::Inherit(inheritance) => inherit(*inheritance),
        Change::SlotClaim { claim } => claimed(claim),
        Change::SlotLeave { slot, epoch, to } => json!({"slot": slot.0, "epoch": epoch, "to_shard": to.0}),
        Change::SlotClear { slot, epoch } => json!({"slot": slot.0, "epoch": epoch}),
        Change::Session { about } => session(about),
        Change::Distrust { from, until } | Change::Trust { from, until } => positions(*from, *until),
        Change::Read { of, mailbox, uids: set } => read(*of, *mailbox, set),
    };
    match value {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

fn read(of: AccountId, mailbox: MailboxId, set: &UidSet) -> Value {
    json!({"of": of.0, "mailbox": mailbox.0, "uids": uids(set)})
}

fn positions(from: BodyId, until: BodyId) -> Value {
    json!({"from": from.0, "until": until.0})
}

fn claimed(claim: &Claim) -> Value {
    let accounts: Vec<u64> = claim.accounts.iter().map(|arrived| arrived.account.0).collect();
    let aliases: Vec<&str> = claim.aliases.iter().map(|(address, _)| address.as_str()).collect();
    json!({"slot": claim.slot.0, "epoch": claim.epoch, "accounts": accounts, "aliases": aliases})
}

fn inherit(inheritance: Inheritance) -> Value {
    let Inheritance { next_account, uid_validity_floor } = inheritance;
    json!({"next_account": next_account, "uid_validity_floor": uid_validity_floor})
}

/// A piece of an account that came from another log.
fn arrive(arrival: &Arrival) -> Value {
    let piece = arrival.name();
    match arrival {
        Arrival::Account { address, .. } => json!({"piece": piece, "address": address}),
        Arrival::Subscriptions(names) => json!({"piece": piece, "names": names}),
        Arrival::Mailbox(_) => {
            let (mailbox, name) = arrival.mailbox().unwrap_or_default();
            json!({"piece": piece, "mailbox": mailbox.0, "name": name})
        }
        Arrival::History { mailbox, .. } => json!({"piece": piece, "mailbox": mailbox.0}),
        Arrival::Messages { mailbox, messages } => {
            let set = messages.iter().map(|moved| moved.message.uid).collect();
            let bodies: Vec<u64> = messages.iter().map(|moved| moved.message.body.0).collect();
            json!({"piece": piece, "mailbox": mailbox.0, "uids": uids(&set), "bodies": bodies})
        }
        Arrival::Removed(removed) => {
            let bodies: Vec<u64> = removed.iter().map(|buried| buried.message.body.0).collect();
            json!({"piece": piece, "messages": removed.len(), "bodies": bodies})
        }
        Arrival::RemovedMailbox(gone) => {
            json!({"piece": piece, "mailbox": gone.mailbox.0, "name": gone.name})
        }
        Arrival::Done { mailboxes, messages, bytes } => {
            json!({"piece": piece, "mailboxes": mailboxes, "messages": messages, "bytes": bytes})
        }
        Arrival::Dropped => json!({"piece": piece}),
    }
}

/// Who a session is.
pub fn session(about: &SessionInfo) -> Value {
    json!({
        "service": about.service, "connection": about.connection, "tls": about.tls, "peer": about.peer,
        "user": about.user, "client": about.client, "opened": moment(about.opened_ms),
    })
}

fn import(
    mailbox: MailboxId,
    messages: &[ImportedMessage],
    uid_next: Uid,
    uids: impl Iterator<Item = Uid>,
) -> Value {
    let message = |(imported, uid): (&ImportedMessage, Uid)| {
        json!({
            "uid": uid.0, "body": imported.message.body.0, "flags": flags(&imported.message.flags),
            "internal_ms": imported.message.internal_ms, "unique_id": imported.unique_id,
        })
    };
    let messages: Vec<Value> = messages.iter().zip(uids).map(message).collect();
    json!({"mailbox": mailbox.0, "messages": messages, "uid_next": uid_next.0})
}

fn append(
    mailbox: MailboxId,
    messages: &[NewMessage],
    replaces: Option<(MailboxId, Uid)>,
    stamp: &Stamp,
) -> Value {
    let message = |(message, uid): (&NewMessage, u32)| {
        json!({
            "uid": uid, "body": message.body.0, "flags": flags(&message.flags),
            "internal_ms": message.internal_ms,
        })
    };
    let replaced = replaces.map(|(of, uid)| json!({"mailbox": of.0, "uid": uid.0}));
    let messages = messages.iter().zip(stamp.uid_first.0..).map(message).collect::<Vec<_>>();
    json!({"mailbox": mailbox.0, "messages": messages, "replaces": replaced})
}

/// Names and lengths; values are a client's own, and as long as it likes.
fn metadata(mailbox: Option<MailboxId>, entries: &[(String, Option<Bytes>)]) -> Value {
    let entries = entries.iter().map(|(name, value)| {
        let bytes = value.as_ref().map(Bytes::len);
        json!({"name": name, "bytes": bytes})
    });
    let entries = entries.collect::<Vec<_>>();
    json!({"mailbox": mailbox.map(|mailbox| mailbox.0), "entries": entries})
}

/// Fields as `key=value`, what is absent left out.
pub fn text(fields: &Map<String, Value>) -> String {
    let shown = fields.iter().filter(|(_, value)| !value.is_null());
    shown.map(|(key, value)| format!("{key}={}", word(value))).collect::<Vec<_>>().join(" ")
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
            plain(&Value::from(text.as_str()).to_string())
        }
        Value::String(text) => plain(text),
        Value::Array(items) => format!("({})", items.iter().map(word).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}

/// Names of the flags that are set.
pub fn flags(flags: &Flags) -> Vec<String> {
    let mut names = system_flags(flags.system);
    names.extend(flags.keywords.iter().cloned());
    names
}

/// System flags and their names.
const SYSTEM_FLAGS: [(FlagBits, &str); 5] = [
    (FlagBits::SEEN, "\\Seen"),
    (FlagBits::ANSWERED, "\\Answered"),
    (FlagBits::FLAGGED, "\\Flagged"),
    (FlagBits::DELETED, "\\Deleted"),
    (FlagBits::DRAFT, "\\Draft"),
];

/// The system flag of this name.
pub fn system_flag(name: &str) -> Option<FlagBits> {
    SYSTEM_FLAGS.iter().find(|(_, own)| own.eq_ignore_ascii_case(name)).map(|&(bit, _)| bit)
}

/// Names of system flags.
pub fn system_flags(bits: FlagBits) -> Vec<String> {
    SYSTEM_FLAGS.iter().filter(|(bit, _)| bits.contains(*bit)).map(|&(_, name)| name.to_owned()).collect()
}

/// A set as IMAP writes it.
fn uids(set: &UidSet) -> String {
    let range = |&(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}:{last}"),
    };
    set.ranges().iter().map(range).collect::<Vec<_>>().join(",")
}

fn flag_op(op: FlagOp) -> &'static str {
    match op {
        FlagOp::Replace => "replace",
        FlagOp::Add => "add",
        FlagOp::Remove => "remove",
    }
}

fn special_use(special_use: Option<SpecialUse>) -> Option<String> {
    special_use.map(|special_use| format!("\\{special_use:?}"))
}

fn services(services: Services) -> Vec<&'static str> {
    let all = [(Services::POP3, "pop3"), (Services::IMAP, "imap"), (Services::SUBMISSION, "submission")];
    all.iter().filter(|(service, _)| services.allows(*service)).map(|&(_, name)| name).collect()
}
