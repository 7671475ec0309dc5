//! What comes from another store and keeps what clients remember of it.
//!
//! *Owns*: MailboxAdopt and Import. *Promises*: UIDs only grow (I11), no name has one UIDVALIDITY twice (I13), the
//! quota holds (I19); whatever would break that is refused whole. *Assumes*: nothing: the UIDs are the other
//! store's. *Never*: lets two messages swap UIDs or gives a message another one than it had.

use super::{Applied, Keep, messages};
use crate::change::{ImportedMessage, Outcome, Refusal, Stamp, UidSet, UniqueIdForm, is_unique_id};
use crate::ids::{MailboxId, Uid};
use crate::index::account::Account;
use crate::limits;

/// A UIDVALIDITY and a form of unique-ids for a mailbox that never had a message.
pub(super) fn adopt(
    account: &mut Account,
    id: MailboxId,
    uid_validity: u32,
    form: UniqueIdForm,
) -> Result<(), Refusal> {
    let mailbox = account.selectable(id)?;
    if !(1..=limits::UID_VALIDITY_ADOPTED_MAX).contains(&uid_validity) {
        return Err(Refusal::Limit);
    }
    // I13: whatever this name had messages under is among what names have lost.
    let lost = |(first, last): (u32, u32)| (first..=last).contains(&uid_validity);
    if mailbox.uid_next != Uid(1) || account.lost_uid_validity.is_some_and(lost) {
        return Err(Refusal::NotFresh);
    }
    account.adopt_uid_validity(id, uid_validity)?;
    account.edit_extras(id, |extras| extras.unique_ids.form = form)
}

/// Messages with the UIDs they had, and UIDNEXT beyond what was given out.
pub(super) fn import(
    account: &mut Account,
    keep: &mut Keep<'_>,
    id: MailboxId,
    imported: &[ImportedMessage],
    uid_next: Uid,
    stamp: &Stamp,
) -> Applied {
    let mailbox = account.selectable(id)?;
    let good = |imported: &ImportedMessage| imported.unique_id.as_deref().is_none_or(is_unique_id);
    if imported.len() > limits::APPEND_MESSAGES_MAX || uid_next == Uid(u32::MAX) || !imported.iter().all(good)
    {
        return Err(Refusal::Limit);
    }
    let had = mailbox.uid_next;
    let renumbered = ImportedMessage::are_renumbered(imported);
    let first = if renumbered { stamp.uid_first } else { imported.first().map_or(had, |first| first.uid) };
    let in_order = match renumbered {
        true => imported.iter().all(|one| one.uid == Uid(0)),
        false => imported.windows(2).all(|pair| pair[0].uid < pair[1].uid),
    };
    if first < had || !in_order {
        return Err(Refusal::NotFresh);
    }
    let above = |(nth, one): (usize, &ImportedMessage)| match renumbered {
        true => nth as u32,
        false => one.uid.0 - first.0,
    };
    let arrivals =
        imported.iter().enumerate().map(|(nth, one)| messages::arrival(&one.message, above((nth, one))));
    let stamp = Stamp { uid_first: first, ..*stamp };
    let uid_validity = messages::add(account, keep, id, arrivals, None, &stamp)?;
    let uid_next = if renumbered { had } else { uid_next };
    account.edit(id, |mailbox| mailbox.uid_next = mailbox.uid_next.max(uid_next))?;
    let uids: Vec<Uid> = imported.iter().enumerate().map(|one| Uid(first.0 + above(one))).collect();
    let named =
        uids.iter().zip(imported).filter_map(|(uid, one)| Some((*uid, one.unique_id.as_deref()?.into())));
    let last = uids.last().map_or(Uid(0), |last| Uid(last.0 + 1));
    account.edit_extras(id, |extras| {
        extras.unique_ids.given.extend(named);
        // Behind a message that arrived here, no number tells any more which UIDs are whose.
        if !renumbered && (had == Uid(1) || had == extras.imported_next) {
            extras.imported_next = had.max(last).max(uid_next);
        }
    })?;
    let uids: UidSet = uids.into_iter().collect();
    Ok(Outcome::Appended { uid_validity, uids, replaced: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, FlagBits, NewMessage, QuotaLimits};
    use crate::ids::{AccountId, BodyId};
    use crate::index::account::INBOX_ID;
    use crate::index::lab::{Lab, named, uids};

    const OLD: u32 = 1_300_000_000;

    fn adopted(mailbox: MailboxId, uid_validity: u32) -> Change {
        Change::MailboxAdopt { mailbox, uid_validity, unique_ids: UniqueIdForm::Dovecot }
    }

    fn message(uid: u32, body: BodyId, unique_id: Option<&str>) -> ImportedMessage {
        let message = NewMessage { body, flags: named(FlagBits::SEEN, &["k"]), internal_ms: 5_000 };
        ImportedMessage { uid: Uid(uid), message, unique_id: unique_id.map(str::to_owned) }
    }

    fn imported(messages: Vec<ImportedMessage>, uid_next: u32) -> Change {
        Change::Import { mailbox: INBOX_ID, messages, uid_next: Uid(uid_next) }
    }

    fn unique_ids(lab: &Lab, id: AccountId) -> Vec<(u32, &str)> {
        lab.inbox(id).unique_ids_from(Uid(1)).map(|(uid, text)| (uid.0, text)).collect()
    }

    #[test]
    fn an_import_keeps_validity_uids_and_unique_ids() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(10);
        lab.done(id, adopted(INBOX_ID, OLD));
        assert_eq!((lab.inbox(id).uid_validity(), lab.inbox(id).uid_next()), (OLD, Uid(1)));
        let messages = vec![message(3, body, Some("odd")), message(9, body, None)];
        let outcome = lab.done_any(id, imported(messages, 5));
        let uid_validity = OLD;
        assert_eq!(outcome, Outcome::Appended { uid_validity, uids: uids(&[3, 9]), replaced: false });
        let inbox = lab.inbox(id);
        assert_eq!((inbox.len(), inbox.uid_next(), inbox.bytes()), (2, Uid(10), 20));
        assert_eq!((inbox.message(0).uid, inbox.message(0).internal_ms), (Uid(3), 5_000));
        assert_eq!(inbox.message(1).flags, FlagBits::SEEN.union(FlagBits::keyword(0)));
        assert_eq!(inbox.unique_id_form(), UniqueIdForm::Dovecot);
        assert_eq!(unique_ids(&lab, id), [(3, "odd")]);
        lab.done_any(id, imported(Vec::new(), 77));
        assert_eq!(lab.deliver(id, INBOX_ID, body), Uid(77));
        lab.done_any(id, imported(Vec::new(), 80));
        assert_eq!(lab.inbox(id).imported_next(), Uid(77), "77 arrived here");
        let uids = uids(&[3]);
        lab.done_any(id, Change::Expunge { mailbox: INBOX_ID, uids, only_deleted: false });
        assert!(unique_ids(&lab, id).is_empty(), "a unique-id goes with its message");
    }

    #[test]
    fn messages_that_cannot_keep_their_uids_get_the_next_ones() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(10);
        lab.deliver(id, INBOX_ID, body);
        let late = vec![message(0, body, Some("x")), message(0, body, None)];
        let entries = [imported(late.clone(), 1), imported(late, 1)].map(|change| lab.stamped(id, change));
        let outcomes = entries.map(|entry| lab.apply(&entry));
        let uid_validity = lab.inbox(id).uid_validity();
        let got = |list: &[u32]| Outcome::Appended { uid_validity, uids: uids(list), replaced: false };
        assert_eq!(outcomes, [got(&[2, 3]), got(&[4, 5])]);
        assert_eq!(unique_ids(&lab, id), [(2, "x"), (4, "x")]);
        assert_eq!(lab.inbox(id).imported_next(), Uid(0), "they are not the other store's UIDs");
        let mixed = vec![message(0, body, None), message(9, body, None)];
        assert_eq!(lab.run(id, imported(mixed, 1)), Err(Refusal::NotFresh));
    }

    #[test]
    fn nothing_is_given_out_twice_by_an_import() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(10);
        lab.deliver(id, INBOX_ID, body);
        let before = lab.index.digest();
        assert_eq!(lab.run(id, adopted(INBOX_ID, OLD)), Err(Refusal::NotFresh));
        let bad = [
            vec![message(1, body, None)],
            vec![message(5, body, None), message(5, body, None)],
            vec![message(6, body, None), message(5, body, None)],
        ];
        for bad in bad {
            assert_eq!(lab.run(id, imported(bad, 1)), Err(Refusal::NotFresh));
        }
        let long = "x".repeat(71);
        for bad in ["", "a b", "ä", &long] {
            assert_eq!(lab.run(id, imported(vec![message(5, body, Some(bad))], 1)), Err(Refusal::Limit));
        }
        assert_eq!(lab.run(id, imported(vec![message(u32::MAX, body, None)], 1)), Err(Refusal::Limit));
        assert_eq!(lab.run(id, imported(Vec::new(), u32::MAX)), Err(Refusal::Limit));
        assert_eq!(lab.run(id, imported(vec![message(5, BodyId(7), None)], 1)), Err(Refusal::NoBody));
        assert_eq!((lab.index.digest(), lab.inbox(id).len()), (before, 1));
        let limits = QuotaLimits { messages: Some(1), ..QuotaLimits::default() };
        lab.done(id, Change::Quota { limits });
        assert_eq!(lab.run(id, imported(vec![message(5, body, None)], 1)), Err(Refusal::OverQuota));
    }

    #[test]
    fn what_waits_behind_an_import_gets_uids_above_it() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(10);
        let deliver = Change::Deliver { mailbox: INBOX_ID, body, flags: Default::default(), internal_ms: 0 };
        let entries: Vec<_> = [
            adopted(INBOX_ID, OLD),
            imported(vec![message(40, body, None)], 50),
            deliver.clone(),
            imported(vec![message(50, body, None)], 50),
            deliver,
        ]
        .into_iter()
        .map(|change| lab.stamped(id, change))
        .collect();
        let outcomes: Vec<Outcome> = entries.iter().map(|entry| lab.apply(entry)).collect();
        assert_eq!(outcomes[2], Outcome::Delivered { uid_validity: OLD, uid: Uid(50) });
        assert_eq!(outcomes[3], Outcome::Refused(Refusal::NotFresh), "50 was promised to the delivery");
        assert_eq!(outcomes[4], Outcome::Delivered { uid_validity: OLD, uid: Uid(51) });
    }

    #[test]
    fn a_uid_validity_that_a_name_had_does_not_come_back() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("m", None)]);
        let m = MailboxId(2);
        for bad in [0, limits::UID_VALIDITY_ADOPTED_MAX + 1] {
            assert_eq!(lab.run(id, adopted(m, bad)), Err(Refusal::Limit));
        }
        assert_eq!(lab.run(id, adopted(MailboxId(9), OLD)), Err(Refusal::NoMailbox));
        lab.done(id, adopted(m, OLD));
        lab.done(id, adopted(m, OLD));
        lab.done(id, adopted(INBOX_ID, OLD));
        let body = lab.body(10);
        lab.deliver(id, m, body);
        lab.done(id, Change::MailboxRename { mailbox: m, to: "n".into() });
        let again = lab.mailbox(id, "m");
        assert_eq!(lab.run(id, adopted(again, OLD)), Err(Refusal::NotFresh));
        for empty in [OLD - 1, OLD - 2, OLD - 1] {
            lab.done(id, adopted(again, empty));
        }
        lab.deliver(id, again, body);
        lab.done(id, Change::MailboxDelete { mailbox: again });
        let third = lab.mailbox(id, "m");
        assert_eq!(lab.run(id, adopted(third, OLD - 1)), Err(Refusal::NotFresh));
        lab.done(id, adopted(third, OLD - 2));
        lab.done(id, adopted(third, limits::UID_VALIDITY_ADOPTED_MAX));
        let fourth = lab.mailbox(id, "o");
        let given = lab.index.mailbox(id, fourth).expect("there").uid_validity();
        assert_eq!(given, limits::UID_VALIDITY_ADOPTED_MAX + 1, "the store goes on above what was adopted");
    }
}
