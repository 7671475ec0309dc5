//! What brings messages into a mailbox.
//!
//! *Owns*: Deliver, Append, Copy and the rename of INBOX. *Promises*: everything is judged before anything is
//! touched: quota (I19), UIDs, bodies. *Assumes*: the stamp's UIDs are free (I11). *Never*: refuses a message
//! for its keywords: those that find no room are left off.

use super::Applied;
use crate::change::{FlagBits, Flags, NewMessage, Outcome, QuotaUsage, Refusal, Stamp, UidSet};
use crate::ids::{BodyId, MailboxId, Uid};
use crate::index::account::{Account, Birth, INBOX_ID};
use crate::index::bodies::Bodies;
use crate::index::events::AccountEvent;
use crate::index::{Message, names};
use crate::limits;

/// A message on its way in: body, flags, INTERNALDATE.
type Arrival<'a> = (BodyId, &'a Flags, u64);

pub(super) fn deliver(
    account: &mut Account,
    bodies: &mut Bodies,
    mailbox: MailboxId,
    arrival: Arrival<'_>,
    stamp: &Stamp,
) -> Applied {
    let uid_validity = add(account, bodies, mailbox, [arrival].into_iter(), None, stamp)?;
    Ok(Outcome::Delivered { uid_validity, uid: stamp.uid_first })
}

/// APPEND of one or many, and REPLACE.
pub(super) fn append(
    account: &mut Account,
    bodies: &mut Bodies,
    mailbox: MailboxId,
    messages: &[NewMessage],
    replaces: Option<(MailboxId, Uid)>,
    stamp: &Stamp,
) -> Applied {
    if messages.is_empty() || messages.len() > limits::APPEND_MESSAGES_MAX {
        return Err(Refusal::Limit);
    }
    let present = |(of, uid): (MailboxId, Uid)| {
        let columns = &account.selectable(of).ok()?.columns;
        Some((of, columns.message(columns.place(uid)?)))
    };
    let replaced = replaces.and_then(present);
    let arrivals = messages.iter().map(|message| (message.body, &message.flags, message.internal_ms));
    let freed = replaced.map(|(_, message)| u64::from(message.size));
    let uid_validity = add(account, bodies, mailbox, arrivals, freed, stamp)?;
    if let Some((of, message)) = replaced {
        let old = [message.uid].into_iter().collect();
        let (_, unshown) = account.edit(of, |mailbox| mailbox.expunge(&old, false, stamp.modseq))?;
        unshown.into_iter().for_each(|body| bodies.release(body));
    }
    let uids = (stamp.uid_first.0..).map(Uid).take(messages.len()).collect();
    Ok(Outcome::Appended { uid_validity, uids, replaced: replaced.is_some() })
}

/// Puts messages into a mailbox, all or none. `freed` is the size of a message that goes in the same change:
/// only the net growth counts (rfc8508#3.4). Returns UIDVALIDITY.
fn add<'a>(
    account: &mut Account,
    bodies: &mut Bodies,
    mailbox: MailboxId,
    arrivals: impl ExactSizeIterator<Item = Arrival<'a>> + Clone,
    freed: Option<u64>,
    stamp: &Stamp,
) -> Result<u32, Refusal> {
    let count = arrivals.len();
    let mut sizes = Vec::with_capacity(count);
    for (body, _, _) in arrivals.clone() {
        sizes.push(bodies.get(body).ok_or(Refusal::NoBody)?.bytes.len);
    }
    let target = account.selectable(mailbox)?;
    if !target.has_uids(stamp.uid_first, count) {
        return Err(Refusal::Limit);
    }
    let uid_validity = target.uid_validity;
    let bytes = sizes.iter().map(|&size| u64::from(size)).sum::<u64>();
    account.check_quota(QuotaUsage {
        bytes: bytes.saturating_sub(freed.unwrap_or(0)),
        messages: (count as u64).saturating_sub(u64::from(freed.is_some())),
        mailboxes: 0,
    })?;
    account.edit(mailbox, |target| {
        let message = |((body, flags, internal_ms), (size, uid)): (Arrival<'_>, (u32, u32))| Message {
            uid: Uid(uid),
            modseq: stamp.modseq,
            flags: target.keywords.enter_some(flags),
            size,
            internal_ms,
            saved_ms: stamp.time_ms,
            body,
        };
        let numbered = sizes.into_iter().zip(stamp.uid_first.0..);
        let messages: Vec<Message> = arrivals.clone().zip(numbered).map(message).collect();
        target.append(&messages);
    })?;
    arrivals.for_each(|(body, _, _)| bodies.reference(body));
    Ok(uid_validity)
}

/// COPY and MOVE: flags, keywords and INTERNALDATE go along (rfc3501#6.4.7), keywords as far as there is
/// room.
pub(super) fn copy(
    account: &mut Account,
    bodies: &mut Bodies,
    from: MailboxId,
    to: MailboxId,
    uids: &UidSet,
    expunge: bool,
    stamp: &Stamp,
) -> Applied {
    let source = account.selectable(from)?;
    let mut messages = source.messages_of(uids);
    let target = account.selectable(to)?;
    if !target.has_uids(stamp.uid_first, messages.len()) {
        return Err(Refusal::Limit);
    }
    if !expunge {
        let bytes = messages.iter().map(|message| u64::from(message.size)).sum();
        account.check_quota(QuotaUsage { bytes, messages: messages.len() as u64, mailboxes: 0 })?;
    }
    let uid_validity = target.uid_validity;
    let copied = messages.iter().map(|message| message.uid).collect();
    let used = messages.iter().fold(FlagBits::NONE, |used, message| used.union(message.flags));
    if from != to {
        let names = source.keywords.clone();
        let translation = account.edit(to, |target| target.keywords.translation(&names, used))?;
        messages.iter_mut().for_each(|message| message.flags = translation.apply(message.flags));
    }
    let target = renumber(&mut messages, stamp);
    account.edit(to, |mailbox| mailbox.append(&messages))?;
    messages.iter().for_each(|message| bodies.reference(message.body));
    if expunge {
        let (_, unshown) = account.edit(from, |mailbox| mailbox.expunge(&copied, false, stamp.modseq))?;
        unshown.into_iter().for_each(|body| bodies.release(body));
    }
    Ok(Outcome::Copied { uid_validity, source: copied, target })
}

/// Makes messages of one mailbox those of another: the stamp's UIDs, saved now (rfc8514#2). Returns the UIDs.
fn renumber(messages: &mut [Message], stamp: &Stamp) -> UidSet {
    for (message, uid) in messages.iter_mut().zip(stamp.uid_first.0..) {
        message.uid = Uid(uid);
        message.modseq = stamp.modseq;
        message.saved_ms = stamp.time_ms;
    }
    messages.iter().map(|message| message.uid).collect()
}

/// RENAME of INBOX: its messages go to a new mailbox, it stays (rfc3501#6.3.5). Its inferiors are not
/// touched. Its annotations and access rights are the new mailbox's as well (rfc5464#4.1, rfc4314#4).
pub(super) fn empty_inbox_into(account: &mut Account, to: &str, stamp: &Stamp) -> Applied {
    let inbox = account.selectable(INBOX_ID)?;
    let all = inbox.all_uids();
    let mut messages = inbox.messages_of(&all);
    if !inbox.has_uids(stamp.uid_first, messages.len()) {
        return Err(Refusal::Limit);
    }
    let keywords = inbox.keywords.clone();
    let extras = inbox.extras.clone().unwrap_or_default();
    let annotations_fit = account.annotation_bytes + extras.annotations.bytes() <= limits::METADATA_BYTES_MAX;
    let acl_fits = account.acl_entries + extras.acl.len() <= limits::ACL_ENTRIES_PER_ACCOUNT_MAX;
    if !annotations_fit || !acl_fits {
        return Err(Refusal::Limit);
    }
    let id = account.create(to, None, &mut Birth::new(stamp))?;
    account.edit_extras(id, |fresh| {
        fresh.annotations = extras.annotations;
        fresh.acl = extras.acl;
    })?;
    renumber(&mut messages, stamp);
    account.edit(id, |target| {
        target.keywords = keywords;
        target.append(&messages);
    })?;
    account.edit(INBOX_ID, |inbox| inbox.expunge(&all, false, stamp.modseq))?;
    let (from, to) = (names::INBOX.to_owned(), to.to_owned());
    account.events.record(stamp.modseq, AccountEvent::MailboxRenamed { mailbox: id, from, to });
    Ok(Outcome::MailboxCreated(id))
}
