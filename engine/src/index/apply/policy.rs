//! What is not mail: annotations, rights, quotas, and how clients are met.
//!
//! *Owns*: the changes that touch an account's or mailbox's extras. *Promises*: each is carried out whole or
//! refused. *Assumes*: the account is served. *Never*: judges whether somebody may.

use crate::change::{Change, QuotaLimits, Refusal, Rights, Stamp};
use crate::ids::{MailboxId, ModSeq};
use crate::index::account::Account;
use crate::index::annotations::Setting;
use crate::index::events::AccountEvent;
use crate::index::extras::{self, AccountExtras};
use crate::limits;

/// Carries one of them out; does nothing for any other change.
pub(super) fn change(account: &mut Account, change: &Change, stamp: &Stamp) -> Result<(), Refusal> {
    match change {
        Change::Metadata { mailbox, entries } => set_metadata(account, *mailbox, entries, stamp.modseq)?,
        Change::Acl { mailbox, identifier, rights } => {
            grant(account, *mailbox, identifier, *rights, stamp.modseq)?;
        }
        Change::Quota { limits } => set_quota(account, *limits),
        Change::UrlKey { mailbox } => void_urls(account, *mailbox, stamp.modseq)?,
        Change::AccountHide { capabilities } => {
            let hidden = AccountExtras::checked_hidden(capabilities)?;
            account.extras.get_or_insert_default().hidden = hidden;
        }
        Change::AccountReferral { url } => {
            let referral = AccountExtras::checked_referral(url.as_ref())?;
            account.extras.get_or_insert_default().referral = referral;
        }
        _ => {}
    }
    Ok(())
}

fn set_metadata(
    account: &mut Account,
    mailbox: Option<MailboxId>,
    settings: &[Setting],
    modseq: ModSeq,
) -> Result<(), Refusal> {
    let others = |own: usize| account.annotation_bytes - own;
    let entries = match mailbox {
        None => {
            let server = account.extras.as_ref().map(|extras| extras.annotations.clone()).unwrap_or_default();
            let room = limits::METADATA_BYTES_MAX.saturating_sub(others(server.bytes()));
            let after = server.with(settings, room)?;
            let changed = after.differing(&server, settings);
            account.annotation_bytes = others(server.bytes()) + after.bytes();
            account.extras.get_or_insert_default().annotations = after;
            changed
        }
        Some(id) => {
            let total = account.annotation_bytes;
            account.edit_extras(id, |extras| {
                let before = &extras.annotations;
                let room = limits::METADATA_BYTES_MAX.saturating_sub(total - before.bytes());
                let after = before.with(settings, room)?;
                let changed = after.differing(before, settings);
                extras.annotations = after;
                Ok(changed)
            })??
        }
    };
    if !entries.is_empty() {
        account.events.record(modseq, AccountEvent::Metadata { mailbox, entries });
    }
    Ok(())
}

fn grant(
    account: &mut Account,
    mailbox: MailboxId,
    identifier: &str,
    rights: Option<Rights>,
    modseq: ModSeq,
) -> Result<(), Refusal> {
    let room = limits::ACL_ENTRIES_PER_ACCOUNT_MAX.saturating_sub(account.grants.entries());
    if account.edit_acl(mailbox, |acl| extras::grant(acl, identifier, rights, room))?? {
        let identifier = identifier.to_owned();
        account.events.record(modseq, AccountEvent::Acl { mailbox, identifier });
    }
    Ok(())
}

fn set_quota(account: &mut Account, limits: QuotaLimits) {
    account.extras.get_or_insert_default().quota = limits;
}

fn void_urls(account: &mut Account, mailbox: Option<MailboxId>, modseq: ModSeq) -> Result<(), Refusal> {
    let every: Vec<MailboxId> = match mailbox {
        Some(id) => vec![id],
        None => account.mailboxes.keys().copied().collect(),
    };
    every.into_iter().try_for_each(|id| account.edit_extras(id, |extras| extras.url_generation = modseq))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::change::Outcome;
    use crate::ids::AccountId;
    use crate::index::account::INBOX_ID;
    use crate::index::lab::Lab;

    fn metadata(mailbox: Option<MailboxId>, settings: &[(&str, Option<&str>)]) -> Change {
        let owned = |&(name, value): &(&str, Option<&str>)| {
            (name.to_owned(), value.map(|value| Bytes::copy_from_slice(value.as_bytes())))
        };
        Change::Metadata { mailbox, entries: settings.iter().map(owned).collect() }
    }

    fn acl(mailbox: MailboxId, identifier: &str, rights: Option<Rights>) -> Change {
        Change::Acl { mailbox, identifier: identifier.to_owned(), rights }
    }

    fn create(name: &str) -> Change {
        Change::MailboxCreate { name: name.to_owned(), special_use: None }
    }

    fn events(lab: &Lab, id: AccountId, since: ModSeq) -> Vec<AccountEvent> {
        lab.account_ref(id).events_since(since).map(|(_, event)| event.clone()).collect()
    }

    #[test]
    fn annotations_are_set_read_and_told_of() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("b", None)]);
        let start = lab.account_ref(id).highest_modseq();
        assert_eq!(lab.account_ref(id).events_floor(), start, "nobody was there before");
        lab.done(id, metadata(None, &[("/shared/admin", Some("me")), ("/private/x", Some(""))]));
        let b = Some(MailboxId(2));
        lab.done(id, metadata(b, &[("/private/comment", Some("mine")), ("/private/gone", None)]));
        assert_eq!(lab.account_ref(id).metadata("/shared/admin"), Some(&b"me"[..]));
        let mailbox = lab.index.mailbox(id, MailboxId(2)).expect("there");
        assert_eq!(mailbox.metadata("/private/comment"), Some(&b"mine"[..]));
        assert_eq!(mailbox.metadata_below("/private").count(), 1);
        assert_eq!(lab.account_ref(id).metadata_below("").count(), 2);
        assert_eq!(lab.inbox(id).metadata_below("").count(), 0);
        let told = |mailbox, entries: &[&str]| AccountEvent::Metadata {
            mailbox,
            entries: entries.iter().map(|&entry| entry.to_owned()).collect(),
        };
        let expected = [told(None, &["/shared/admin", "/private/x"]), told(b, &["/private/comment"])];
        assert_eq!(events(&lab, id, start), expected);
        assert_eq!(lab.run(id, metadata(Some(MailboxId(9)), &[])), Err(Refusal::NoMailbox));
        assert_eq!(lab.run(id, metadata(b, &[("/Private/a", Some("x"))])), Err(Refusal::Limit));
    }

    #[test]
    fn annotations_follow_a_rename_and_go_with_their_mailbox() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("b", None)]);
        let b = MailboxId(2);
        lab.done(id, metadata(Some(b), &[("/shared/comment", Some("x"))]));
        lab.done(id, metadata(Some(INBOX_ID), &[("/shared/comment", Some("inbox"))]));
        lab.done(id, acl(INBOX_ID, "c@x", Some(Rights::READ)));
        lab.done(id, Change::MailboxRename { mailbox: b, to: "d/e".into() });
        assert_eq!(lab.index.mailbox(id, b).expect("there").metadata("/shared/comment"), Some(&b"x"[..]));
        lab.done_any(id, Change::MailboxRename { mailbox: INBOX_ID, to: "old".into() });
        // rfc5464#4.1: annotations stay with INBOX, and the new mailbox has them as well.
        let old = lab.account_ref(id).mailbox_by_name("old").expect("there");
        for mailbox in [lab.inbox(id), old] {
            assert_eq!(mailbox.metadata("/shared/comment"), Some(&b"inbox"[..]));
            assert_eq!(mailbox.rights_of("c@x"), Some(Rights::READ));
        }
        lab.done(id, Change::MailboxDelete { mailbox: b });
        lab.done_any(id, create("d/e"));
        let again = lab.account_ref(id).mailbox_by_name("d/e").expect("there");
        assert_eq!(again.metadata_below("").count(), 0);
    }

    #[test]
    fn the_bytes_of_all_annotations_together_are_bounded() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let value = "x".repeat(limits::METADATA_VALUE_BYTES_MAX);
        let names: Vec<String> = (0..32).map(|n| format!("/shared/{n}")).collect();
        let settings: Vec<_> = names.iter().map(|name| (name.as_str(), Some(value.as_str()))).collect();
        lab.done(id, metadata(None, &settings));
        lab.done(id, metadata(Some(INBOX_ID), &settings[..31]));
        let before = lab.index.digest();
        assert_eq!(lab.run(id, metadata(Some(INBOX_ID), &settings)), Err(Refusal::Limit));
        assert_eq!(lab.index.digest(), before);
        let rename = Change::MailboxRename { mailbox: INBOX_ID, to: "old".into() };
        assert_eq!(lab.run(id, rename), Err(Refusal::Limit), "it would have them twice");
        lab.done(id, metadata(None, &[(&names[0], None)]));
        lab.done(id, metadata(Some(INBOX_ID), &settings[31..]));
    }

    #[test]
    fn rights_are_granted_inherited_and_gone_with_the_mailbox() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("p", None)]);
        let p = MailboxId(2);
        let start = lab.account_ref(id).highest_modseq();
        let reader = Rights::LOOKUP.union(Rights::READ);
        lab.done(id, acl(p, "b@x", Some(reader)));
        lab.done(id, acl(p, "b@x", Some(reader)));
        lab.done(id, acl(p, "-c@x", Some(Rights::NONE)));
        assert_eq!(events(&lab, id, start).len(), 2, "what changes nothing is no event");
        lab.done_any(id, create("p/q/r"));
        let deepest = lab.account_ref(id).mailbox_by_name("p/q/r").expect("there");
        assert_eq!(deepest.acl().collect::<Vec<_>>(), [("-c@x", Rights::NONE), ("b@x", reader)]);
        lab.done(id, acl(p, "b@x", None));
        lab.done(id, acl(p, "b@x", None));
        let deepest = lab.account_ref(id).mailbox_by_name("p/q/r").expect("there");
        assert_eq!(deepest.rights_of("b@x"), Some(reader), "it has its own since it was created");
        lab.done(id, Change::MailboxDelete { mailbox: p });
        let kept = lab.account_ref(id).mailbox_by_name("p").expect("there");
        assert!(kept.no_select() && kept.acl().next().is_none(), "rfc4314#4");
        for bad in [String::new(), "x\n".into(), "x".repeat(limits::ACL_IDENTIFIER_BYTES_MAX + 1)] {
            assert_eq!(lab.run(id, acl(INBOX_ID, &bad, Some(reader))), Err(Refusal::Limit));
        }
        assert_eq!(lab.run(id, acl(p, "b@x", None)), Err(Refusal::NoMailbox));
    }

    #[test]
    fn who_is_in_a_list_finds_the_account_by_that() {
        let mut lab = Lab::new();
        let (first, second) = (lab.account("a@x", &[("p", None)]), lab.account("b@x", &[]));
        let sharing = |lab: &Lab, with: &str| lab.index.accounts_sharing_with(with).collect::<Vec<_>>();
        let p = MailboxId(2);
        lab.done(first, acl(p, "c@x", Some(Rights::READ)));
        lab.done(first, acl(INBOX_ID, "c@x", Some(Rights::READ)));
        lab.done(second, acl(INBOX_ID, "c@x", Some(Rights::READ)));
        lab.done(second, acl(INBOX_ID, "c@x.test", Some(Rights::READ)));
        assert_eq!(sharing(&lab, "c@x"), [first, second]);
        assert_eq!((sharing(&lab, "c@"), sharing(&lab, "c@x.test")), (vec![], vec![second]));
        lab.done_any(first, create("p/heir"));
        lab.done(first, Change::MailboxDelete { mailbox: p });
        lab.done(first, acl(INBOX_ID, "c@x", None));
        assert_eq!(sharing(&lab, "c@x"), [first, second], "the heir is shared still");
        let heir = lab.account_ref(first).mailbox_by_name("p/heir").map(|mailbox| mailbox.id());
        lab.done(first, Change::MailboxDelete { mailbox: heir.expect("there") });
        assert_eq!(sharing(&lab, "c@x"), [second]);
        lab.done_any(second, Change::MailboxRename { mailbox: INBOX_ID, to: "old".into() });
        lab.done(second, acl(INBOX_ID, "c@x", None));
        assert_eq!(sharing(&lab, "c@x"), [second], "its messages went with their rights");
        lab.done(second, Change::AccountDelete);
        assert_eq!(sharing(&lab, "c@x"), []);
    }

    #[test]
    fn lists_of_rights_are_bounded_by_mailbox_and_by_account() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("p", None)]);
        let p = MailboxId(2);
        for n in 0..limits::ACL_ENTRIES_PER_MAILBOX_MAX {
            lab.done(id, acl(p, &format!("u{n}"), Some(Rights::READ)));
        }
        assert_eq!(lab.run(id, acl(p, "one more", Some(Rights::READ))), Err(Refusal::Limit));
        lab.done(id, acl(p, "u0", Some(Rights::ALL)));
        let heirs = limits::ACL_ENTRIES_PER_ACCOUNT_MAX / limits::ACL_ENTRIES_PER_MAILBOX_MAX;
        for n in 1..heirs {
            lab.done_any(id, create(&format!("p/{n}")));
        }
        assert_eq!(lab.run(id, create("p/x")), Err(Refusal::Limit));
        assert_eq!(lab.run(id, acl(INBOX_ID, "b@x", Some(Rights::READ))), Err(Refusal::Limit));
        lab.done_any(id, create("elsewhere"));
    }

    #[test]
    fn urls_are_void_by_mailbox_or_all() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("b", None)]);
        let generation = |lab: &Lab, mailbox| lab.index.mailbox(id, mailbox).expect("there").url_generation();
        let b = MailboxId(2);
        assert_eq!((generation(&lab, INBOX_ID), generation(&lab, b)), (ModSeq(0), ModSeq(0)));
        lab.done(id, Change::UrlKey { mailbox: Some(b) });
        let first = generation(&lab, b);
        assert!(first > ModSeq(0) && generation(&lab, INBOX_ID) == ModSeq(0));
        lab.done(id, Change::UrlKey { mailbox: None });
        assert!(generation(&lab, b) > first && generation(&lab, INBOX_ID) > first);
        assert_eq!(lab.run(id, Change::UrlKey { mailbox: Some(MailboxId(9)) }), Err(Refusal::NoMailbox));
    }

    #[test]
    fn clients_are_met_as_was_set() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let hide = |names: &[&str]| Change::AccountHide {
            capabilities: names.iter().map(|&name| name.to_owned()).collect(),
        };
        let refer = |url: Option<&str>| Change::AccountReferral { url: url.map(str::to_owned) };
        lab.done(id, hide(&["QRESYNC", "COMPRESS=DEFLATE"]));
        lab.done(id, refer(Some("imap://a@other.test/")));
        assert_eq!(lab.account_ref(id).hidden_capabilities(), ["QRESYNC", "COMPRESS=DEFLATE"]);
        assert_eq!(lab.account_ref(id).referral(), Some("imap://a@other.test/"));
        let long = "x".repeat(limits::REFERRAL_BYTES_MAX + 1);
        for bad in [hide(&[""]), hide(&["A B"]), hide(&["Ä"]), hide(&[&long[..65]]), hide(&["A"; 65])] {
            assert_eq!(lab.run(id, bad), Err(Refusal::Limit));
        }
        for bad in [refer(Some("")), refer(Some("imap://a b")), refer(Some(&long))] {
            assert_eq!(lab.run(id, bad), Err(Refusal::Limit));
        }
        lab.done(id, hide(&[]));
        lab.done(id, refer(None));
        assert!(
            lab.account_ref(id).hidden_capabilities().is_empty() && lab.account_ref(id).referral().is_none()
        );
    }

    #[test]
    fn what_happens_to_names_is_told_in_order() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let start = lab.account_ref(id).highest_modseq();
        let Outcome::MailboxCreated(b) = lab.done_any(id, create("a/b")) else { panic!("created") };
        lab.done(id, Change::MailboxRename { mailbox: b, to: "c/b".into() });
        lab.done(id, Change::Subscribe { name: "c/b".into(), on: true });
        lab.done(id, Change::Subscribe { name: "c/b".into(), on: true });
        lab.done(id, Change::MailboxDelete { mailbox: b });
        let Outcome::MailboxCreated(old) =
            lab.done_any(id, Change::MailboxRename { mailbox: INBOX_ID, to: "old".into() })
        else {
            panic!("created")
        };
        let text = str::to_owned;
        let expected = [
            AccountEvent::MailboxCreated { mailbox: MailboxId(2), name: text("a") },
            AccountEvent::MailboxCreated { mailbox: b, name: text("a/b") },
            AccountEvent::MailboxCreated { mailbox: MailboxId(4), name: text("c") },
            AccountEvent::MailboxRenamed { mailbox: b, from: text("a/b"), to: text("c/b") },
            AccountEvent::Subscription { name: text("c/b"), on: true },
            AccountEvent::MailboxDeleted { mailbox: b, name: text("c/b") },
            AccountEvent::MailboxRenamed { mailbox: old, from: text("INBOX"), to: text("old") },
        ];
        assert_eq!(events(&lab, id, start), expected);
        let last = lab.account_ref(id).highest_modseq();
        assert_eq!(events(&lab, id, ModSeq(last.0 - 1)), expected[6..]);
    }

    #[test]
    fn mailboxes_are_found_by_what_happened_to_their_messages() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("b", None), ("c", None)]);
        let body = lab.body(1);
        let since = |lab: &Lab, modseq| -> Vec<u32> {
            lab.account_ref(id).mailboxes_changed_since(modseq).map(|mailbox| mailbox.id().0).collect()
        };
        let start = lab.account_ref(id).highest_modseq();
        assert_eq!(since(&lab, start), [0u32; 0]);
        assert_eq!(since(&lab, ModSeq(start.0 - 1)), [1, 2, 3]);
        lab.deliver(id, MailboxId(3), body);
        lab.deliver(id, INBOX_ID, body);
        lab.done(id, Change::Subscribe { name: "b".into(), on: false });
        assert_eq!(since(&lab, start), [3, 1]);
        let moved = Change::Copy {
            from: MailboxId(3),
            to: MailboxId(2),
            uids: crate::index::lab::uids(&[1]),
            expunge: true,
        };
        lab.done_any(id, moved);
        assert_eq!(since(&lab, start), [1, 2, 3]);
        lab.done(id, Change::MailboxDelete { mailbox: MailboxId(2) });
        let created = lab.mailbox(id, "d");
        assert_eq!(since(&lab, start), [1, 3, created.0]);
    }
}
