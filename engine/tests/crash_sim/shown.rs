//! All that a client can see of an account, as lines.
//!
//! *Owns*: what is told. *Promises*: whatever has a number that a client may remember is in it: two accounts with the
//! same lines are the same to everybody. *Assumes*: nothing of logs: a message's octets are told, not where they are.
//! *Never*: judges.

use std::collections::BTreeSet;

use ringpost_engine::ids::{AccountId, MailboxId, ModSeq, Uid};
use ringpost_engine::index::{AccountRef, MailboxRef};
use ringpost_engine::store::Store;

/// The lines; none of an account that is not served.
pub fn account(store: &Store, id: AccountId) -> Vec<String> {
    let Some(account) = store.account(id) else { return Vec::new() };
    let mut lines = vec![
        format!("{id} {} {} {:?}", account.address(), account.password_hash(), account.services()),
        format!("created {}, HIGHESTMODSEQ {}", account.created_ms(), account.highest_modseq()),
        format!("quota {:?}, {} octets", account.quota(), account.bytes()),
        format!("hidden {:?}, referral {:?}", account.hidden_capabilities(), account.referral()),
        format!("subscribed {:?}", account.subscriptions().collect::<Vec<_>>()),
        format!("annotations {:?}", account.metadata_below("/").collect::<Vec<_>>()),
    ];
    lines.push(events(account));
    for mailbox in account.mailboxes() {
        lines.push(of_mailbox(mailbox));
        lines.extend((0..mailbox.len()).map(|place| message(store, mailbox, place)));
    }
    lines
}

fn events(account: AccountRef<'_>) -> String {
    let events: Vec<_> = account.events_since(account.events_floor()).collect();
    format!("since {} {events:?}", account.events_floor())
}

fn of_mailbox(mailbox: MailboxRef<'_>) -> String {
    let expunged: Vec<_> = mailbox.expunged_since(ModSeq(0)).collect();
    let ids: Vec<_> = mailbox.unique_ids_from(Uid(0)).collect();
    let (uid_validity, uid_next) = (mailbox.uid_validity(), mailbox.uid_next());
    format!(
        "{} {:?} {:?} {} UIDVALIDITY {uid_validity} UIDNEXT {uid_next} HIGHESTMODSEQ {} recent {} unseen {} \
         deleted {} {} octets {} {:?} acl {:?} urls {} {:?} {} ids {ids:?} {:?} expunged {expunged:?} since {}",
        mailbox.id(),
        mailbox.name(),
        mailbox.special_use(),
        mailbox.no_select(),
        mailbox.highest_modseq(),
        mailbox.recent_from(),
        mailbox.unseen(),
        mailbox.deleted(),
        mailbox.deleted_bytes(),
        mailbox.bytes(),
        mailbox.keywords(),
        mailbox.acl().collect::<Vec<_>>(),
        mailbox.url_generation(),
        mailbox.unique_id_form(),
        mailbox.imported_next(),
        mailbox.metadata_below("/").collect::<Vec<_>>(),
        mailbox.expunged_floor(),
    )
}

fn message(store: &Store, mailbox: MailboxRef<'_>, place: usize) -> String {
    let message = mailbox.message(place);
    // Also where it is hidden, for a read that failed once: whether it should be, `scrub.rs` judges.
    let body = store.place(message.key());
    let octets = body.and_then(|body| Some((store.bytes(body.bytes)?, store.bytes(body.summary)?)));
    format!(
        "{} {}: MODSEQ {} {:?} {} {} EMAILID {:?} {:?}",
        mailbox.id(),
        message.uid,
        message.modseq,
        message.flags,
        message.internal_ms,
        message.saved_ms,
        message.email(store.shard()),
        octets.map(|(octets, summary)| (octets.len(), crc32fast::hash(&octets), crc32fast::hash(&summary))),
    )
}

/// What of it can be had back.
pub fn removed(store: &Store, id: AccountId) -> BTreeSet<String> {
    let line = |buried: ringpost_engine::index::Buried| {
        let (message, mailbox): (_, MailboxId) = (buried.message, buried.mailbox);
        let octets = store.place(message.key()).and_then(|body| store.bytes(body.bytes));
        let dates = (buried.when_ms, message.internal_ms, message.saved_ms);
        let email = message.email(store.shard());
        let sum = octets.map(|octets| crc32fast::hash(&octets));
        format!("{mailbox} {} removed: {dates:?} {:?} EMAILID {email:?} {sum:?}", message.uid, message.flags)
    };
    let gone = store.buried_mailboxes().filter(|gone| gone.account == id);
    store.buried(id).map(line).chain(gone.map(|gone| format!("deleted {gone:?}"))).collect()
}
