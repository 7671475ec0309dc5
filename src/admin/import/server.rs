//! The server's end of an import.
//!
//! *Owns*: from steps to the account's shard, with the summaries of messages made on the way. *Promises*: at most one
//! frame in memory. *Assumes*: one step after the other. *Never*: decides what differs.

use bytes::Bytes;
use ringpost_engine::change::{SpecialUse, UidSet, UniqueIdForm};
use ringpost_engine::ids::{Slot, Uid};
use ringpost_engine::limits::BODY_BYTES_MAX;

use super::wire::{ImportMessage, ImportStep, flags_of, names_of};
use crate::admin::route::{Answer, Shards, Sink, address_of, mailbox_line, unexpected};
use crate::admin::wire::Line;
use crate::limits::{ADMIN_ENTRIES_MAX, IMPORT_FRAME_BYTES_MAX};
use crate::proto::mime::summarise;
use crate::shard::admin::import::{Arrival, Present, Step};
use crate::shard::admin::{AdminReply, AdminRequest};

/// Special uses as rfc6154 spells them.
pub const USES: [(&str, SpecialUse); 7] = [
    ("\\Archive", SpecialUse::Archive),
    ("\\Drafts", SpecialUse::Drafts),
    ("\\Junk", SpecialUse::Junk),
    ("\\Sent", SpecialUse::Sent),
    ("\\Trash", SpecialUse::Trash),
    ("\\Flagged", SpecialUse::Flagged),
    ("\\All", SpecialUse::All),
];

/// How many octets follow a step's line, if they are within the bound.
pub fn octets_expected(step: &ImportStep) -> Result<usize, String> {
    let ImportStep::Append { messages, .. } = step else { return Ok(0) };
    let sum = messages.iter().try_fold(0usize, |sum, message| sum.checked_add(message.bytes));
    let max = if messages.len() == 1 { BODY_BYTES_MAX } else { IMPORT_FRAME_BYTES_MAX };
    sum.filter(|&sum| sum <= max).ok_or_else(|| format!("more than {max} octets in one step of an import"))
}

/// Carries a step out.
pub fn answer(shards: &dyn Shards, address: &str, step: ImportStep, sink: &mut Sink<'_>) -> Answer {
    let address = match address_of(address) {
        Ok(address) => address,
        Err(why) => return Ok(Err(why)),
    };
    match step {
        ImportStep::Bounds => match ask(shards, &address, Step::Bounds) {
            Ok(AdminReply::MessageBytesMax(message_bytes_max)) => {
                sink(Line::Bounds { message_bytes_max })?;
                Ok(Ok(()))
            }
            Ok(other) => Ok(Err(unexpected(other))),
            Err(why) => Ok(Err(why)),
        },
        ImportStep::State => state(shards, &address, sink),
        ImportStep::Messages { mailbox, after } => messages(shards, &address, &mailbox, Uid(after), sink),
        step => Ok(change(step).and_then(|step| match ask(shards, &address, step)? {
            AdminReply::Done => Ok(()),
            other => Err(unexpected(other)),
        })),
    }
}

fn ask(shards: &dyn Shards, address: &str, step: Step) -> Result<AdminReply, String> {
    let owner = shards.owner(Slot::of(address));
    shards.request(owner, AdminRequest::Import { address: address.to_owned(), step })
}

fn change(step: ImportStep) -> Result<Step, String> {
    let set = |uids| UidSet::from_ranges(uids).ok_or("a set of UIDs is not in order".to_owned());
    Ok(match step {
        ImportStep::Create { name, special_use } => {
            let known = USES.iter().find(|(spelt, _)| *spelt == special_use);
            Step::Create { name, special_use: known.map(|(_, special_use)| *special_use) }
        }
        ImportStep::Adopt { mailbox, uid_validity, dovecot_unique_ids } => {
            let unique_ids = if dovecot_unique_ids { UniqueIdForm::Dovecot } else { UniqueIdForm::Own };
            Step::Adopt { mailbox, uid_validity, unique_ids }
        }
        ImportStep::Append { mailbox, uid_next, messages, octets } => {
            Step::Append { mailbox, uid_next: Uid(uid_next), messages: arrivals(messages, octets)? }
        }
        ImportStep::Flags { mailbox, uids, flags } => {
            Step::Flags { mailbox, uids: set(uids)?, flags: flags_of(&flags) }
        }
        ImportStep::Expunge { mailbox, uids } => Step::Expunge { mailbox, uids: set(uids)? },
        ImportStep::Mark { mailbox, mark } => Step::Mark { mailbox, mark },
        ImportStep::Subscribe { name } => Step::Subscribe { name },
        ImportStep::Bounds | ImportStep::State | ImportStep::Messages { .. } => {
            return Err("a listing is no change".to_owned());
        }
    })
}

/// Cuts the octets into messages and looks at each as a delivery would.
fn arrivals(messages: Vec<ImportMessage>, mut octets: Bytes) -> Result<Vec<Arrival>, String> {
    let mut arrivals = Vec::with_capacity(messages.len());
    for ImportMessage { uid, bytes, flags, internal_ms, unique_id } in messages {
        if bytes > octets.len() {
            return Err("the octets of a message are missing".to_owned());
        }
        let octets = octets.split_to(bytes);
        let summary = summarise(&octets).encode();
        let flags = flags_of(&flags);
        arrivals.push(Arrival { uid: Uid(uid), octets, summary, flags, internal_ms, unique_id });
    }
    Ok(arrivals)
}

fn state(shards: &dyn Shards, address: &str, sink: &mut Sink<'_>) -> Answer {
    let owner = shards.owner(Slot::of(address));
    let shown = shards.request(owner, AdminRequest::AccountShow { address: address.to_owned() });
    match shown {
        Ok(AdminReply::Account(_, mailboxes)) => {
            for mailbox in mailboxes {
                sink(mailbox_line(mailbox))?;
            }
        }
        Ok(other) => return Ok(Err(unexpected(other))),
        Err(why) => return Ok(Err(why)),
    }
    let mut after = String::new();
    loop {
        let names = match ask(shards, address, Step::Subscriptions { after }) {
            Ok(AdminReply::Subscriptions(names)) => names,
            Ok(other) => return Ok(Err(unexpected(other))),
            Err(why) => return Ok(Err(why)),
        };
        let last = (names.len() == ADMIN_ENTRIES_MAX).then(|| names.last().cloned()).flatten();
        for name in names {
            sink(Line::Subscription { name })?;
        }
        match last {
            Some(name) => after = name,
            None => return Ok(Ok(())),
        }
    }
}

fn messages(
    shards: &dyn Shards,
    address: &str,
    mailbox: &str,
    mut after: Uid,
    sink: &mut Sink<'_>,
) -> Answer {
    loop {
        let step = Step::Messages { mailbox: mailbox.to_owned(), after };
        let page = match ask(shards, address, step) {
            Ok(AdminReply::Messages(page)) => page,
            Ok(other) => return Ok(Err(unexpected(other))),
            Err(why) => return Ok(Err(why)),
        };
        let last = (page.len() == ADMIN_ENTRIES_MAX).then(|| page.last().map(|last| last.uid)).flatten();
        for message in page {
            let (uid, flags) = (message.uid.0, names_of(&message.flags));
            let Present { size, internal_ms, saved_ms, body, unique_id, hidden, .. } = message;
            let body = body.0;
            sink(Line::Message { uid, size, internal_ms, saved_ms, body, flags, unique_id, hidden })?;
        }
        match last {
            Some(uid) => after = uid,
            None => return Ok(Ok(())),
        }
    }
}
