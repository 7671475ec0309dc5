//! What brings messages into a mailbox.
//!
//! *Owns*: Deliver, Append, Restore and the rename of INBOX. *Promises*: everything is judged before anything is
//! touched: quota (I19), UIDs, bodies. *Assumes*: the stamp's UIDs are free (I11). *Never*: refuses a message
//! for its keywords: those that find no room are left off.

use super::copying::{Copying, Order};
use super::{Applied, Keep};
use crate::change::{FlagBits, Flags, NewMessage, Outcome, QuotaUsage, Refusal, Stamp, UidSet};
use crate::ids::{AccountId, BodyId, BodyKey, EmailId, MailboxId, Uid};
use crate::index::account::{Account, Birth, INBOX_ID};
use crate::index::events::AccountEvent;
use crate::index::extras::MailboxExtras;
use crate::index::{Message, names};
use crate::limits;

/// A message on its way in: body, flags, INTERNALDATE, and how far its UID is above the first.
type Arrival<'a> = (BodyId, &'a Flags, u64, u32);

pub(super) fn deliver(
    account: &mut Account,
    keep: &mut Keep<'_>,
    mailbox: MailboxId,
    arrival: Arrival<'_>,
    stamp: &Stamp,
) -> Applied {
    let uid_validity = add(account, keep, mailbox, [arrival].into_iter(), None, stamp)?;
    Ok(Outcome::Delivered { uid_validity, uid: stamp.uid_first })
}

/// APPEND of one or many, and REPLACE.
pub(super) fn append(
    account: &mut Account,
    keep: &mut Keep<'_>,
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
    let arrivals = messages.iter().enumerate().map(|(above, message)| arrival(message, above as u32));
    let freed = replaced.map(|(_, message)| u64::from(message.size));
    let uid_validity = add(account, keep, mailbox, arrivals, freed, stamp)?;
    if let Some((of, message)) = replaced {
        let old = [message.uid].into_iter().collect();
        let bury = |message: &Message| keep.bury(of, message);
        account.edit(of, |mailbox| mailbox.expunge(&old, false, stamp.modseq, bury))?;
    }
    let uids = consecutive(stamp.uid_first, messages.len() as u64);
    Ok(Outcome::Appended { uid_validity, uids, replaced: replaced.is_some() })
}

pub(super) fn arrival(message: &NewMessage, above: u32) -> Arrival<'_> {
    (message.body, &message.flags, message.internal_ms, above)
}

/// Puts messages into a mailbox, all or none, under UIDs from the stamp's on. `freed` is the size of a message
/// that goes in the same change: only the net growth counts (rfc8508#3.4). Returns UIDVALIDITY.
pub(super) fn add<'a>(
    account: &mut Account,
    keep: &mut Keep<'_>,
    mailbox: MailboxId,
    arrivals: impl ExactSizeIterator<Item = Arrival<'a>> + Clone,
    freed: Option<u64>,
    stamp: &Stamp,
) -> Result<u32, Refusal> {
    let count = arrivals.len();
    let mut keys = Vec::with_capacity(count);
    let mut uids = 0;
    for (body, _, _, above) in arrivals.clone() {
        keys.push(keep.bodies.fresh(body).ok_or(Refusal::NoBody)?);
        uids = above as usize + 1;
    }
    let target = account.selectable(mailbox)?;
    if !target.has_uids(stamp.uid_first, uids) {
        return Err(Refusal::Limit);
    }
    let uid_validity = target.uid_validity;
    let bytes = keys.iter().map(|key| u64::from(key.len)).sum::<u64>();
    account.check_quota(QuotaUsage {
        bytes: bytes.saturating_sub(freed.unwrap_or(0)),
        messages: (count as u64).saturating_sub(u64::from(freed.is_some())),
        mailboxes: 0,
    })?;
    account.edit(mailbox, |target| {
        let message = |((_, flags, internal_ms, above), key): (Arrival<'_>, &BodyKey)| Message {
            uid: Uid(stamp.uid_first.0 + above),
            modseq: stamp.modseq,
            flags: target.keywords.enter_some(flags),
            size: key.len,
            internal_ms,
            saved_ms: stamp.time_ms,
            summary_len: key.summary_len,
            body: key.id,
            known_as: EmailId(0),
        };
        let messages: Vec<Message> = arrivals.zip(&keys).map(message).collect();
        target.append(&messages);
    })?;
    keys.into_iter().for_each(|key| keep.bodies.reference(key));
    Ok(uid_validity)
}

/// Messages that left a mailbox of this account or of a deleted one come back, as they were then but for `\Deleted`.
pub(super) fn restore(
    account: &mut Account,
    keep: &mut Keep<'_>,
    (of, from): (AccountId, MailboxId),
    to: MailboxId,
    uids: &UidSet,
    stamp: &Stamp,
) -> Applied {
    if uids.len() > limits::RESTORE_MESSAGES_MAX {
        return Err(Refusal::Limit);
    }
    let mut messages = keep.graves.of_mailbox(of, from, uids, keep.burial.lsn);
    let target = account.selectable(to)?;
    if !target.has_uids(stamp.uid_first, messages.len()) {
        return Err(Refusal::Limit);
    }
    let bytes = messages.iter().map(|message| u64::from(message.size)).sum();
    account.check_quota(QuotaUsage { bytes, messages: messages.len() as u64, mailboxes: 0 })?;
    let uid_validity = target.uid_validity;
    let source = messages.iter().map(|message| message.uid).collect();
    let used = messages.iter().fold(FlagBits::NONE, |used, message| used.union(message.flags));
    let names = match account.mailboxes.get(&from).filter(|_| of == account.id) {
        Some(mailbox) => mailbox.keywords.clone(),
        None => keep.graves.keywords(of, from),
    };
    account.edit(to, |target| {
        let translation = target.keywords.translation(&names, used);
        for (message, uid) in messages.iter_mut().zip((stamp.uid_first.0..).map(Uid)) {
            (message.uid, message.modseq, message.saved_ms) = (uid, stamp.modseq, stamp.time_ms);
            // Else the client's next EXPUNGE would take it again.
            message.flags = translation.apply(message.flags).without(FlagBits::DELETED);
        }
        target.append(&messages);
    })?;
    messages.iter().for_each(|message| keep.bodies.reference(message.key()));
    let target = consecutive(stamp.uid_first, messages.len() as u64);
    Ok(Outcome::Copied { uid_validity, source, target })
}

/// So many UIDs from `first` on.
pub(super) fn consecutive(first: Uid, count: u64) -> UidSet {
    let mut uids = UidSet::new();
    if count > 0 {
        uids.push_range(first, Uid(first.0 + count as u32 - 1));
    }
    uids
}

/// RENAME of INBOX: its messages go to a new mailbox, it stays (rfc3501#6.3.5). Its inferiors are not
/// touched. Its annotations and access rights are the new mailbox's as well (rfc5464#4.1, rfc4314#4).
pub(super) fn empty_inbox_into(
    account: &mut Account,
    keep: &mut Keep<'_>,
    to: &str,
    stamp: &Stamp,
) -> Applied {
    let inbox = account.selectable(INBOX_ID)?;
    let all = inbox.all_uids();
    if !inbox.has_uids(stamp.uid_first, inbox.columns.len()) {
        return Err(Refusal::Limit);
    }
    let keywords = inbox.keywords.clone();
    let extras = inbox.extras.clone().unwrap_or_default();
    let annotations_fit = account.annotation_bytes + extras.annotations.bytes() <= limits::METADATA_BYTES_MAX;
    let acl_fits = account.grants.entries() + extras.acl.len() <= limits::ACL_ENTRIES_PER_ACCOUNT_MAX;
    if !annotations_fit || !acl_fits {
        return Err(Refusal::Limit);
    }
    let id = account.create(to, None, &mut Birth::new(stamp))?;
    let MailboxExtras { annotations, acl, .. } = *extras;
    account.edit_extras(id, |fresh| fresh.annotations = annotations)?;
    account.edit_acl(id, |own| *own = acl)?;
    account.edit(id, |target| target.keywords = keywords)?;
    Copying::whole(account, keep, Order { from: INBOX_ID, to: id, uids: &all, expunge: true }, stamp)?;
    let (from, to) = (names::INBOX.to_owned(), to.to_owned());
    account.events.record(stamp.modseq, AccountEvent::MailboxRenamed { mailbox: id, from, to });
    Ok(Outcome::MailboxCreated(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, QuotaLimits};
    use crate::ids::AccountId;
    use crate::index::lab::{Lab, named, uids};

    fn new(body: BodyId) -> NewMessage {
        NewMessage { body, flags: named(FlagBits::SEEN, &["k"]), internal_ms: 5_000 }
    }

    fn append(messages: Vec<NewMessage>, replaces: Option<(MailboxId, Uid)>) -> Change {
        Change::Append { mailbox: INBOX_ID, messages, replaces }
    }

    fn limit(lab: &mut Lab, id: AccountId, limits: QuotaLimits) {
        lab.done(id, Change::Quota { limits });
    }

    #[test]
    fn an_append_is_there_whole_or_not_at_all() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(10);
        let before = lab.index.digest();
        for bad in [vec![], vec![new(body); limits::APPEND_MESSAGES_MAX + 1]] {
            assert_eq!(lab.run(id, append(bad, None)), Err(Refusal::Limit));
        }
        let half = vec![new(body), new(BodyId(7))];
        assert_eq!(lab.run(id, append(half, None)), Err(Refusal::NoBody));
        assert_eq!((lab.index.digest(), lab.inbox(id).len()), (before, 0));
        let uid_validity = lab.inbox(id).uid_validity();
        let outcome = lab.done_any(id, append(vec![new(body); 3], None));
        assert_eq!(outcome, Outcome::Appended { uid_validity, uids: uids(&[1, 2, 3]), replaced: false });
        let inbox = lab.inbox(id);
        let third = inbox.message(2);
        assert_eq!((third.uid, third.size, third.internal_ms), (Uid(3), 10, 5_000));
        assert_eq!((third.saved_ms, third.modseq), (lab.now.unix_ms, inbox.highest_modseq()));
        assert_eq!(third.flags, FlagBits::SEEN.union(FlagBits::keyword(0)));
        assert_eq!((inbox.keywords(), lab.account_ref(id).bytes()), (&["k".to_owned()][..], 30));
        lab.exhaust_uids(id, INBOX_ID);
        assert_eq!(lab.run(id, append(vec![new(body)], None)), Err(Refusal::Limit));
    }

    #[test]
    fn what_is_replaced_goes_in_the_same_change_wherever_it_is() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("Drafts", None)]);
        let (drafts, old, fresh) = (MailboxId(2), lab.body(10), lab.body(20));
        lab.deliver(id, drafts, old);
        let outcome = lab.done_any(id, append(vec![new(fresh)], Some((drafts, Uid(1)))));
        assert!(matches!(outcome, Outcome::Appended { replaced: true, .. }), "{outcome:?}");
        let held = lab.index.mailbox(id, drafts).expect("there");
        assert_eq!((held.len(), held.highest_modseq()), (0, lab.inbox(id).highest_modseq()));
        lab.reap();
        assert_eq!(lab.index.counts().body_bytes, 20);
        let again = lab.done_any(id, append(vec![new(fresh)], Some((INBOX_ID, Uid(1)))));
        assert!(
            matches!(again, Outcome::Appended { replaced: true, uids, .. } if uids.first() == Some(Uid(2)))
        );
        for gone in [(INBOX_ID, Uid(1)), (MailboxId(99), Uid(1))] {
            let outcome = lab.done_any(id, append(vec![new(fresh)], Some(gone)));
            assert!(matches!(outcome, Outcome::Appended { replaced: false, .. }), "{outcome:?}");
        }
        assert_eq!(lab.inbox(id).len(), 3);
    }

    #[test]
    fn a_quota_refuses_what_adds_and_nothing_else() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("to", None)]);
        let (to, body) = (MailboxId(2), lab.body(1000));
        limit(&mut lab, id, QuotaLimits { storage_kib: Some(2), messages: Some(2), mailboxes: Some(3) });
        let deliver = Change::Deliver { mailbox: to, body, flags: Flags::default(), internal_ms: 0 };
        lab.done_any(id, deliver.clone());
        lab.done_any(id, deliver.clone());
        let quota = lab.account_ref(id).quota();
        assert_eq!((quota.usage.bytes, quota.usage.messages, quota.usage.mailboxes), (2000, 2, 2));
        assert!(!lab.account_ref(id).room(QuotaUsage { bytes: 49, ..QuotaUsage::default() }));
        assert_eq!(lab.run(id, deliver), Err(Refusal::OverQuota));
        assert_eq!(lab.run(id, append(vec![new(body)], None)), Err(Refusal::OverQuota));
        let copy = |expunge| Change::Copy { from: to, to: INBOX_ID, uids: uids(&[1]), expunge };
        assert_eq!(lab.run(id, copy(false)), Err(Refusal::OverQuota));
        lab.done_any(id, copy(true));
        // rfc8508#3.4: only the net growth counts, of octets as of messages.
        let tiny = lab.body(1048);
        lab.done_any(id, append(vec![new(tiny)], Some((to, Uid(2)))));
        let larger = lab.body(1049);
        let replace = append(vec![new(larger)], Some((INBOX_ID, Uid(2))));
        assert_eq!(lab.run(id, replace), Err(Refusal::OverQuota));
        let two = append(vec![new(tiny); 2], Some((INBOX_ID, Uid(2))));
        assert_eq!(lab.run(id, two), Err(Refusal::OverQuota));
        let create = |name: &str| Change::MailboxCreate { name: name.into(), special_use: None };
        assert_eq!(lab.run(id, create("a/b")), Err(Refusal::OverQuota));
        let rename = Change::MailboxRename { mailbox: to, to: "x/y/z".into() };
        assert_eq!(lab.run(id, rename), Err(Refusal::OverQuota));
        lab.done_any(id, create("a"));
        limit(&mut lab, id, QuotaLimits { storage_kib: Some(0), ..QuotaLimits::default() });
        lab.done_any(id, Change::Expunge { mailbox: INBOX_ID, uids: uids(&[1]), only_deleted: false });
        let elsewhere = Change::Copy { from: INBOX_ID, to, uids: uids(&[2]), expunge: true };
        lab.done_any(id, elsewhere);
        limit(&mut lab, id, QuotaLimits::default());
        lab.done_any(id, create("a/b/c"));
    }

    #[test]
    fn a_copy_is_saved_when_it_is_made() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("to", None)]);
        let body = lab.body(1);
        lab.deliver(id, INBOX_ID, body);
        let first = lab.now.unix_ms;
        lab.now.unix_ms += 60_000;
        lab.done_any(id, Change::Copy { from: INBOX_ID, to: MailboxId(2), uids: uids(&[1]), expunge: false });
        assert_eq!(lab.inbox(id).message(0).saved_ms, first);
        let copied = lab.index.mailbox(id, MailboxId(2)).expect("there").message(0);
        assert_eq!((copied.saved_ms, copied.internal_ms), (first + 60_000, 0));
        lab.now.unix_ms += 60_000;
        lab.done_any(id, Change::MailboxRename { mailbox: INBOX_ID, to: "old".into() });
        let old = lab.account_ref(id).mailbox_by_name("old").expect("there");
        assert_eq!(old.message(0).saved_ms, first + 120_000);
    }
}
