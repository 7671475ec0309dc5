//! All that a store shows, as JSON.
//!
//! *Owns*: what the fixtures are compared by. *Promises*: whatever a client or an administrator can see is in it.
//! *Assumes*: an open store. *Never*: says how it is kept.

use ringpost_engine::change::FlagBits;
use ringpost_engine::index::{AccountRef, MailboxRef, Message};
use ringpost_engine::store::Store;
use serde_json::{Value, json};

/// A shard.
pub fn shard(store: &Store) -> Value {
    let accounts: Vec<Value> = store.accounts_after("").map(|account| of_account(store, account)).collect();
    let aliases: Vec<Value> = store.aliases_after("").map(|(name, to)| json!([name, to])).collect();
    let gone: Vec<&str> = store.buried_mailboxes().map(|gone| gone.name.as_str()).collect();
    json!({
        "accounts": accounts, "aliases": aliases, "domains": store.domains().collect::<Vec<_>>(),
        "deleted_mailboxes": gone, "digest": format!("{:016x}", store.digest()),
    })
}

fn of_account(store: &Store, account: AccountRef<'_>) -> Value {
    let mailboxes: Vec<Value> = account.mailboxes().map(|mailbox| of_mailbox(store, mailbox)).collect();
    let removed: Vec<Value> = store
        .buried(account.id())
        .map(|buried| json!([buried.mailbox.0, buried.message.uid.0, octets(store, &buried.message)]))
        .collect();
    json!({
        "id": account.id().0, "address": account.address(), "password_hash": account.password_hash(),
        "services": account.services().0, "created_ms": account.created_ms(),
        "highest_modseq": account.highest_modseq().0, "bytes": account.bytes(), "mailboxes": mailboxes,
        "subscriptions": account.subscriptions().collect::<Vec<_>>(),
        "quota": format!("{:?}", account.quota().limits), "hidden": account.hidden_capabilities(),
        "referral": account.referral(), "comment": text(account.metadata("/private/comment")),
        "removed": removed,
    })
}

fn of_mailbox(store: &Store, mailbox: MailboxRef<'_>) -> Value {
    let messages: Vec<Value> =
        (0..mailbox.len()).map(|place| of_message(store, mailbox, mailbox.message(place))).collect();
    let acl: Vec<Value> =
        mailbox.acl().map(|(who, rights)| json!([who, rights.letters().collect::<String>()])).collect();
    let ids: Vec<Value> =
        mailbox.unique_ids_from(Default::default()).map(|(uid, id)| json!([uid.0, id])).collect();
    json!({
        "id": mailbox.id().0, "name": mailbox.name(), "use": format!("{:?}", mailbox.special_use()),
        "no_select": mailbox.no_select(), "uid_validity": mailbox.uid_validity(),
        "uid_next": mailbox.uid_next().0, "highest_modseq": mailbox.highest_modseq().0,
        "recent_from": mailbox.recent_from().0, "unseen": mailbox.unseen(), "acl": acl,
        "url_generation": mailbox.url_generation().0, "unique_ids": ids,
        "unique_id_form": format!("{:?}", mailbox.unique_id_form()),
        "comment": text(mailbox.metadata("/private/comment")), "messages": messages,
    })
}

fn of_message(store: &Store, mailbox: MailboxRef<'_>, message: Message) -> Value {
    let keywords = mailbox.keywords().iter().enumerate();
    let keywords = keywords.filter(|(bit, _)| message.flags.contains(FlagBits::keyword(*bit)));
    json!({
        "uid": message.uid.0, "modseq": message.modseq.0, "size": message.size,
        "system_flags": message.flags.0 & FlagBits::SYSTEM.0,
        "keywords": keywords.map(|(_, name)| name).collect::<Vec<_>>(), "internal_ms": message.internal_ms,
        "octets": octets(store, &message),
    })
}

/// The sum of a message's octets and of its summary's bytes, as they are read back.
fn octets(store: &Store, message: &Message) -> Value {
    let body = store.body(message.key());
    let sums = body.and_then(|body| {
        let (octets, summary) = (store.bytes(body.bytes)?, store.bytes(body.summary)?);
        Some([crc32fast::hash(&octets), crc32fast::hash(&summary)])
    });
    json!(sums)
}

fn text(octets: Option<&[u8]>) -> Option<String> {
    octets.map(|octets| String::from_utf8_lossy(octets).into_owned())
}
