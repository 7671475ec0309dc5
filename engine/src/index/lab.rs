//! An index with its planner, driven as the store drives them, for the tests of this folder.
//!
//! *Owns*: stamping, applying and settling one change after the other. *Promises*: every entry passes the
//! planner. *Assumes*: tests only. *Never*: writes a log.

use super::account::INBOX_ID;
use super::plan::Planner;
use super::{AccountRef, Index, MailboxRef, apply};
use crate::change::{Change, Entry, FlagBits, Flags, Outcome, Refusal, Services, SpecialUse, UidSet};
use crate::ids::{AccountId, BodyId, BodyKey, Lsn, MailboxId, Now, SegmentId, ShardId, Uid};

pub(super) struct Lab {
    pub(super) index: Index,
    pub(super) planner: Planner,
    pub(super) now: Now,
    next: u64,
}

pub(super) fn uids(list: &[u32]) -> UidSet {
    list.iter().copied().map(Uid).collect()
}

pub(super) fn named(system: FlagBits, keywords: &[&str]) -> Flags {
    Flags { system, keywords: keywords.iter().map(|&keyword| keyword.into()).collect() }
}

impl Lab {
    pub(super) fn new() -> Lab {
        let index = Index::new(ShardId(3));
        let planner = Planner::new(&index);
        Lab { index, planner, now: Now { unix_ms: 1_700_000_000_000, mono_ms: 0 }, next: 100 }
    }

    pub(super) fn stamped(&mut self, account: AccountId, change: Change) -> Entry {
        self.next += 100;
        let (account, stamp) = self.planner.stamp(&self.index, account, &change, self.now);
        Entry { lsn: Lsn(self.next), account, stamp, change }
    }

    pub(super) fn apply(&mut self, entry: &Entry) -> Outcome {
        let outcome = apply::apply(&mut self.index, entry);
        self.planner.settle(entry);
        outcome
    }

    pub(super) fn run(&mut self, account: AccountId, change: Change) -> Result<Outcome, Refusal> {
        let entry = self.stamped(account, change);
        match self.apply(&entry) {
            Outcome::Refused(refusal) => Err(refusal),
            outcome => Ok(outcome),
        }
    }

    pub(super) fn done_any(&mut self, account: AccountId, change: Change) -> Outcome {
        self.run(account, change).expect("it is carried out")
    }

    pub(super) fn done(&mut self, account: AccountId, change: Change) {
        assert_eq!(self.done_any(account, change), Outcome::Done);
    }

    pub(super) fn create(
        &mut self,
        address: &str,
        mailboxes: &[(&str, Option<SpecialUse>)],
    ) -> (AccountId, Outcome) {
        let change = Change::AccountCreate {
            address: address.into(),
            password_hash: "hash".into(),
            services: Services::ALL,
            mailboxes: mailboxes.iter().map(|&(name, special_use)| (name.into(), special_use)).collect(),
        };
        let entry = self.stamped(AccountId(0), change);
        (entry.account, self.apply(&entry))
    }

    pub(super) fn account(&mut self, address: &str, mailboxes: &[(&str, Option<SpecialUse>)]) -> AccountId {
        let (id, outcome) = self.create(address, mailboxes);
        assert_eq!(outcome, Outcome::AccountCreated(id));
        id
    }

    pub(super) fn mailbox(&mut self, account: AccountId, name: &str) -> MailboxId {
        let change = Change::MailboxCreate { name: name.into(), special_use: None };
        match self.done_any(account, change) {
            Outcome::MailboxCreated(id) => id,
            outcome => panic!("{outcome:?}"),
        }
    }

    /// A body of `len` octets.
    pub(super) fn body(&mut self, len: u32) -> BodyId {
        self.next += 100;
        let key = BodyKey { id: BodyId(self.next), summary_len: 4, len };
        apply::apply_body(&mut self.index, key, SegmentId(1));
        assert_eq!(self.index.fresh_body(key.id), Some(key));
        key.id
    }

    pub(super) fn deliver(&mut self, account: AccountId, mailbox: MailboxId, body: BodyId) -> Uid {
        let change = Change::Deliver { mailbox, body, flags: Flags::default(), internal_ms: 0 };
        match self.done_any(account, change) {
            Outcome::Delivered { uid, .. } => uid,
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Nothing that was removed can be had back any more.
    pub(super) fn reap(&mut self) {
        self.done(AccountId(0), Change::Reap { until_ms: self.now.unix_ms });
    }

    pub(super) fn account_ref(&self, account: AccountId) -> AccountRef<'_> {
        self.index.account(account).expect("it is there")
    }

    pub(super) fn inbox(&self, account: AccountId) -> MailboxRef<'_> {
        self.index.mailbox(account, INBOX_ID).expect("every account has INBOX")
    }

    pub(super) fn names(&self, account: AccountId) -> Vec<&str> {
        self.index.account(account).expect("it is there").mailboxes().map(|mailbox| mailbox.name()).collect()
    }

    /// Makes a mailbox as if it had given out all its UIDs.
    pub(super) fn exhaust_uids(&mut self, account: AccountId, mailbox: MailboxId) {
        let account = self.index.accounts.change(account).expect("it is there");
        account.mailboxes.get_mut(&mailbox).expect("it is there").uid_next = Uid(u32::MAX);
    }
}
