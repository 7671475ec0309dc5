//! UIDVALIDITYs that several mailboxes of an account have.
//!
//! *Owns*: which values are shared, and which names had UIDs under them. *Promises*: a name never shows one of these
//! values for a second mailbox (I13); what is remembered is bounded. *Assumes*: a value that a name has lost is adopted
//! by nobody any more, so sharing begins while all who share are there. *Never*: names a value that one mailbox has
//! alone: what the store chooses is greater than all before.
//!
//! Other servers give mailboxes that were made within one second the same UIDVALIDITY, and a migration keeps it. Then
//! the name of one could become that of the other, with the same UIDs for other messages. rfc9051#2.3.1.1

use std::collections::BTreeMap;

use super::digest::Digest;
use crate::checkpoint::wire::{Wire, put};
use crate::ids::MailboxId;
use crate::limits;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    values: BTreeMap<u32, Value>,
    /// Names of all values.
    names: usize,
}

/// One UIDVALIDITY.
#[derive(Clone, Debug, Default)]
struct Value {
    /// How many mailboxes have it.
    mailboxes: u32,
    /// Sums of the names that lost it, and whose they were. Two names of one sum cost a new UIDVALIDITY, no more.
    names: BTreeMap<u32, MailboxId>,
    /// There were more names than are remembered: any may have been one.
    any: bool,
}

fn sum(name: &str) -> u32 {
    crc32fast::hash(name.as_bytes())
}

impl Shared {
    /// One mailbox more has this value: so many in all, several.
    pub(super) fn join(&mut self, uid_validity: u32, mailboxes: u32) {
        self.values.entry(uid_validity).or_default().mailboxes = mailboxes;
    }

    /// A mailbox is gone, or has another value. What nobody has any more nobody can bring to a name.
    pub(super) fn leave(&mut self, uid_validity: u32) {
        let Some(value) = self.values.get_mut(&uid_validity) else { return };
        value.mailboxes = value.mailboxes.saturating_sub(1);
        if value.mailboxes == 0 {
            self.names -= value.names.len();
            self.values.remove(&uid_validity);
        }
    }

    /// A name showed UIDs of this mailbox under this value, and does so no longer.
    pub(super) fn lose(&mut self, uid_validity: u32, name: &str, mailbox: MailboxId) {
        let Some(value) = self.values.get_mut(&uid_validity).filter(|value| !value.any) else { return };
        if self.names >= limits::SHARED_VALIDITY_NAMES_MAX {
            value.any = true;
            self.names -= std::mem::take(&mut value.names).len();
        } else {
            self.names += usize::from(value.names.insert(sum(name), mailbox).is_none());
        }
    }

    /// Whether this name may have shown UIDs of another mailbox under this value.
    pub(super) fn is_spent(&self, uid_validity: u32, name: &str, mailbox: MailboxId) -> bool {
        let value = self.values.get(&uid_validity);
        value.is_some_and(|value| {
            value.any || value.names.get(&sum(name)).is_some_and(|&owner| owner != mailbox)
        })
    }

    /// Bytes of memory, about.
    pub(super) fn memory(&self) -> usize {
        self.values.len() * size_of::<(u32, Value)>() + self.names * size_of::<(u32, MailboxId)>()
    }

    /// All of it, for a checkpoint; nothing at all if there is nothing.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.values.is_empty() {
            return;
        }
        put(out, self.values.len() as u64);
        for (&uid_validity, value) in &self.values {
            let numbers = [uid_validity, value.mailboxes, u32::from(value.any), value.names.len() as u32];
            let names = value.names.iter().flat_map(|(&sum, mailbox)| [sum, mailbox.0]);
            numbers.into_iter().chain(names).for_each(|number| put(out, u64::from(number)));
        }
    }

    /// What was written, up to the end.
    pub(super) fn read(wire: &mut Wire<'_>) -> Option<Shared> {
        let mut shared = Shared::default();
        if wire.is_empty() {
            return Some(shared);
        }
        for _ in 0..wire.count()? {
            let uid_validity = wire.word()?;
            let mut value = Value { mailboxes: wire.word()?, any: wire.word()? != 0, ..Value::default() };
            for _ in 0..wire.count()? {
                value.names.insert(wire.word()?, MailboxId(wire.word()?));
            }
            shared.names += value.names.len();
            shared.values.insert(uid_validity, value);
        }
        Some(shared)
    }

    /// Nothing at all if there is nothing: what shows none of it is as it was before there was any.
    pub(super) fn digest(&self, digest: &mut Digest) {
        for (&uid_validity, value) in &self.values {
            digest.word(u64::from(uid_validity) << 32 | u64::from(value.mailboxes));
            digest.word(u64::from(value.any) << 32 | value.names.len() as u64);
            value.names.iter().for_each(|(&sum, id)| digest.word(u64::from(sum) << 32 | u64::from(id.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, ImportedMessage, NewMessage, Outcome, Refusal, UniqueIdForm};
    use crate::ids::{AccountId, Uid};
    use crate::index::account::INBOX_ID;
    use crate::index::lab::{Lab, uids};

    const OLD: u32 = 1_300_000_000;

    fn adopt(lab: &mut Lab, id: AccountId, mailbox: MailboxId) -> Result<Outcome, Refusal> {
        let unique_ids = UniqueIdForm::Dovecot;
        lab.run(id, Change::MailboxAdopt { mailbox, uid_validity: OLD, unique_ids })
    }

    /// An account with mailboxes that adopted one value, and messages under the UIDs 1 to 3 in each.
    fn shared(names: &[&str]) -> (Lab, AccountId) {
        let mut lab = Lab::new();
        let named: Vec<_> = names.iter().map(|&name| (name, None)).collect();
        let id = lab.account("a@x", &named);
        for name in names {
            let mailbox = of(&lab, id, name);
            adopt(&mut lab, id, mailbox).expect("nobody lost it");
            let body = lab.body(10);
            let message = NewMessage { body, flags: Default::default(), internal_ms: 0 };
            let one = |uid| ImportedMessage { uid: Uid(uid), message: message.clone(), unique_id: None };
            let messages = (1..=3).map(one).collect();
            lab.done_any(id, Change::Import { mailbox, messages, uid_next: Uid(4) });
        }
        (lab, id)
    }

    fn of(lab: &Lab, id: AccountId, name: &str) -> MailboxId {
        lab.account_ref(id).mailbox_by_name(name).expect("it is there").id()
    }

    fn value(lab: &Lab, id: AccountId, name: &str) -> u32 {
        lab.account_ref(id).mailbox_by_name(name).expect("it is there").uid_validity()
    }

    fn rename(lab: &mut Lab, id: AccountId, from: &str, to: &str) {
        let mailbox = of(lab, id, from);
        lab.done(id, Change::MailboxRename { mailbox, to: to.into() });
    }

    fn delete(lab: &mut Lab, id: AccountId, name: &str) {
        let mailbox = of(lab, id, name);
        lab.done(id, Change::MailboxDelete { mailbox });
    }

    fn remembered(lab: &mut Lab, id: AccountId) -> (usize, usize) {
        let account = lab.index.accounts.change(id).expect("it is there");
        account.extras.as_ref().map_or((0, 0), |extras| (extras.shared.values.len(), extras.shared.names))
    }

    #[test]
    fn a_mailbox_that_takes_the_name_of_one_with_its_uid_validity_gets_a_greater_one() {
        let (mut lab, id) = shared(&["m", "n"]);
        delete(&mut lab, id, "m");
        let modseq = lab.account_ref(id).highest_modseq();
        rename(&mut lab, id, "n", "m");
        let new = value(&lab, id, "m");
        assert!(new > OLD, "UIDs 1 to 3 of m were other messages: rfc9051#2.3.1.1");
        let mailbox = lab.account_ref(id).mailbox_by_name("m").expect("there");
        assert_eq!((mailbox.len(), mailbox.uid_next()), (3, Uid(4)), "UIDs need not change");
        assert!(mailbox.highest_modseq() > modseq, "NOTIFY tells of it: rfc5465#5.1");
        let changed: Vec<_> = lab.account_ref(id).mailboxes_changed_since(modseq).map(|m| m.id()).collect();
        assert_eq!(changed, [mailbox.id()], "I18");
        let again = lab.mailbox(id, "q");
        let fresh = lab.index.mailbox(id, again).expect("there").uid_validity();
        assert!(fresh > new, "what the store chooses does not come twice");
        assert_eq!(remembered(&mut lab, id), (0, 0), "nobody has it any more");
    }

    #[test]
    fn a_mailbox_keeps_its_uid_validity_under_names_that_only_it_had() {
        let (mut lab, id) = shared(&["m", "n"]);
        for to in ["a/m", "m", "b", "m"] {
            let from = lab.names(id).into_iter().find(|name| !["INBOX", "n", "a"].contains(name));
            let from = from.expect("it has some name").to_owned();
            rename(&mut lab, id, &from, to);
            assert_eq!((value(&lab, id, to), value(&lab, id, "n")), (OLD, OLD));
        }
        delete(&mut lab, id, "m");
        rename(&mut lab, id, "n", "c");
        assert_eq!(value(&lab, id, "c"), OLD);
        rename(&mut lab, id, "c", "a/m");
        assert!(value(&lab, id, "a/m") > OLD, "the other was there once");
    }

    #[test]
    fn what_lies_below_a_renamed_mailbox_is_judged_by_its_own_name() {
        let (mut lab, id) = shared(&["p/m", "p/n", "q/m"]);
        delete(&mut lab, id, "q/m");
        delete(&mut lab, id, "q");
        rename(&mut lab, id, "p", "q");
        assert!(value(&lab, id, "q/m") > OLD);
        assert_eq!(value(&lab, id, "q/n"), OLD);
    }

    #[test]
    fn a_name_that_is_made_anew_has_another_uid_validity_and_cannot_adopt_the_old_one() {
        let (mut lab, id) = shared(&["m", "n"]);
        delete(&mut lab, id, "m");
        let again = lab.mailbox(id, "m");
        assert_ne!(value(&lab, id, "m"), OLD);
        assert_eq!(adopt(&mut lab, id, again), Err(Refusal::NotFresh));
        // What was removed comes back under new UIDs, and the store's UIDVALIDITY.
        let restored = Change::Restore { of: id, from: MailboxId(2), uids: uids(&[1, 2]), to: again };
        lab.done_any(id, restored);
        assert!(value(&lab, id, "m") > OLD);
        delete(&mut lab, id, "m");
        rename(&mut lab, id, "n", "m");
        assert!(value(&lab, id, "m") > OLD, "it is spent however often the name was somebody else's since");
    }

    #[test]
    fn a_mailbox_without_messages_counts_when_it_takes_a_name_and_not_when_it_leaves_one() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("m", None), ("n", None), ("o", None)]);
        let (m, n, o) = (of(&lab, id, "m"), of(&lab, id, "n"), of(&lab, id, "o"));
        for mailbox in [m, n, o, INBOX_ID, n] {
            adopt(&mut lab, id, mailbox).expect("nobody lost it");
        }
        delete(&mut lab, id, "o");
        rename(&mut lab, id, "n", "o");
        assert_eq!(value(&lab, id, "o"), OLD, "it named nothing");
        let body = lab.body(10);
        lab.deliver(id, m, body);
        delete(&mut lab, id, "m");
        rename(&mut lab, id, "o", "m");
        assert!(value(&lab, id, "m") > OLD, "its first message would have the other's UID");
        assert_eq!(remembered(&mut lab, id), (1, 1), "INBOX has it");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_written() {
        let (mut lab, id) = shared(&["m", "n", "o"]);
        for nth in 0..limits::SHARED_VALIDITY_NAMES_MAX {
            let from = if nth == 0 { "n".to_owned() } else { format!("n{nth}") };
            rename(&mut lab, id, &from, &format!("n{}", nth + 1));
        }
        assert_eq!(remembered(&mut lab, id), (1, limits::SHARED_VALIDITY_NAMES_MAX));
        let read = |lab: &mut Lab| {
            let account = lab.index.accounts.change(id).expect("it is there");
            let shared = &account.extras.as_ref().expect("it has some").shared;
            let (mut out, mut before, mut after) = (Vec::new(), Digest::new(), Digest::new());
            shared.write(&mut out);
            let read = Shared::read(&mut Wire::new(&out)).expect("it holds together");
            shared.digest(&mut before);
            read.digest(&mut after);
            assert_eq!((read.names, before.value()), (shared.names, after.value()));
        };
        read(&mut lab);
        assert_eq!(value(&lab, id, &format!("n{}", limits::SHARED_VALIDITY_NAMES_MAX)), OLD);
        rename(&mut lab, id, "m", "p");
        assert!(value(&lab, id, "p") > OLD, "any name may have been another's by now");
        assert_eq!(remembered(&mut lab, id), (1, 0));
        read(&mut lab);
    }
}
