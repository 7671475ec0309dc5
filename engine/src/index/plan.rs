//! What the next change will get: UIDs, mod-sequence, ids, time.
//!
//! *Owns*: the counters as they will be when everything that waits is applied. *Promises*: every stamp goes
//! on from the one before, so that `apply` finds I10, I11, I12 and I14 kept, whatever of the waiting changes
//! is refused. *Assumes*: every stamped entry is settled once, applied or dropped. *Never*: outlives what
//! waits: an account's overlay goes when its last waiting change is settled, and the index alone counts.

use std::collections::BTreeMap;

use super::account::INBOX_ID;
use super::{Index, names};
use crate::change::{Change, Entry, ImportedMessage, Stamp, UidSet};
use crate::ids::{AccountId, MailboxId, ModSeq, Now, Uid};

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Planner {
    next_account: u64,
    time_ms: u64,
    accounts: BTreeMap<AccountId, Plan>,
}

/// An account with changes that wait.
#[derive(Debug)]
struct Plan {
    waiting: usize,
    modseq: ModSeq,
    next_mailbox: u32,
    /// UIDNEXT of the mailboxes that get messages.
    uid_next: BTreeMap<MailboxId, u32>,
}

impl Planner {
    /// Goes on from an index that nothing waits for.
    pub(crate) fn new(index: &Index) -> Planner {
        Planner { next_account: index.next_account, time_ms: index.last_time_ms, accounts: BTreeMap::new() }
    }

    /// Reserves what a change needs. Ask only for a change that will be appended.
    pub(crate) fn stamp(
        &mut self,
        index: &Index,
        account: AccountId,
        change: &Change,
        now: Now,
    ) -> (AccountId, Stamp) {
        self.time_ms = self.time_ms.max(now.unix_ms);
        let mut stamp = Stamp { time_ms: self.time_ms, ..Stamp::default() };
        let account = match change {
            Change::DomainAdd { .. }
            | Change::DomainDelete { .. }
            | Change::AliasSet { .. }
            | Change::AliasDelete { .. }
            | Change::Reap { .. }
            | Change::SlotClaim { .. }
            | Change::SlotLeave { .. }
            | Change::SlotClear { .. }
            | Change::Distrust { .. }
            | Change::Trust { .. }
            | Change::Session { .. }
            | Change::Read { .. } => return (AccountId(0), stamp),
            Change::AccountLeave => return (account, stamp),
            // It comes with its numbers, which nobody gets here.
            Change::Arrive(_) => {
                if account == AccountId::new(index.shard, account.counter()) {
                    self.next_account = self.next_account.max(account.counter() + 1);
                }
                return (account, stamp);
            }
            Change::Inherit(inheritance) => {
                self.next_account = self.next_account.max(inheritance.next_account);
                return (AccountId(0), stamp);
            }
            Change::AccountCreate { .. } => {
                self.next_account += 1;
                AccountId::new(index.shard, self.next_account - 1)
            }
            _ => account,
        };
        let plan = self.accounts.entry(account).or_insert_with(|| Plan::new(index, account));
        plan.waiting += 1;
        plan.modseq.0 += 1;
        stamp.modseq = plan.modseq;
        plan.reserve(index, account, change, &mut stamp);
        (account, stamp)
    }

    /// The entry was applied, or will never be.
    pub(crate) fn settle(&mut self, entry: &Entry) {
        if entry.account == AccountId(0) || matches!(entry.change, Change::Arrive(_) | Change::AccountLeave) {
            return;
        }
        let plan = self.accounts.get_mut(&entry.account).expect("a stamped entry is settled once");
        plan.waiting -= 1;
        if plan.waiting == 0 {
            self.accounts.remove(&entry.account);
        }
    }
}

impl Plan {
    fn new(index: &Index, account: AccountId) -> Plan {
        let known = index.accounts.get(account);
        Plan {
            waiting: 0,
            modseq: known.map_or(ModSeq(0), |account| account.highest_modseq),
            next_mailbox: known.map_or(INBOX_ID.0, |account| account.next_mailbox.0),
            uid_next: BTreeMap::new(),
        }
    }

    fn reserve(&mut self, index: &Index, account: AccountId, change: &Change, stamp: &mut Stamp) {
        match change {
            Change::AccountCreate { mailboxes, .. } => {
                let levels = mailboxes.iter().map(|(name, _)| names::levels(name)).sum::<u32>();
                stamp.mailbox_first = self.reserve_mailboxes(1 + levels);
            }
            Change::MailboxCreate { name, .. } => {
                stamp.mailbox_first = self.reserve_mailboxes(names::levels(name));
            }
            Change::MailboxRename { mailbox, to } => {
                let levels = names::levels(to);
                stamp.mailbox_first = self.reserve_mailboxes(levels);
                if *mailbox == INBOX_ID {
                    // Which of the ids the new mailbox gets depends on the superiors that are missing by
                    // then.
                    let uid_next = self.uid_next(index, account, INBOX_ID);
                    let ids = stamp.mailbox_first.0..stamp.mailbox_first.0.saturating_add(levels);
                    self.uid_next.extend(ids.map(|id| (MailboxId(id), uid_next)));
                    stamp.uid_first = Uid(1);
                }
            }
            Change::MailboxDelete { .. } => stamp.mailbox_first = self.reserve_mailboxes(1),
            Change::Deliver { mailbox, .. } => {
                stamp.uid_first = self.reserve_uids(index, account, *mailbox, 1);
            }
            Change::Append { mailbox, messages, .. } => {
                stamp.uid_first = self.reserve_uids(index, account, *mailbox, messages.len() as u64);
            }
            Change::Restore { uids, to, .. } => {
                stamp.uid_first = self.reserve_uids(index, account, *to, uids.len());
            }
            Change::Import { mailbox, messages, .. } if ImportedMessage::are_renumbered(messages) => {
                stamp.uid_first = self.reserve_uids(index, account, *mailbox, messages.len() as u64);
            }
            Change::Import { mailbox, messages, uid_next } => {
                let above = messages.last().map_or(0, |last| last.uid.0.saturating_add(1)).max(uid_next.0);
                let planned = self.uid_next(index, account, *mailbox);
                self.uid_next.insert(*mailbox, planned.max(above));
            }
            Change::Copy { from, to, uids, .. } => {
                let count = self.present_at_most(index, account, *from, uids);
                stamp.uid_first = self.reserve_uids(index, account, *to, count);
            }
            _ => {}
        }
    }

    fn reserve_mailboxes(&mut self, count: u32) -> MailboxId {
        let first = self.next_mailbox;
        self.next_mailbox = first.saturating_add(count);
        MailboxId(first)
    }

    fn reserve_uids(&mut self, index: &Index, account: AccountId, mailbox: MailboxId, count: u64) -> Uid {
        let first = self.uid_next(index, account, mailbox);
        self.uid_next.insert(mailbox, u32::try_from(u64::from(first) + count).unwrap_or(u32::MAX));
        Uid(first)
    }

    /// UIDNEXT when all that waits is applied.
    fn uid_next(&self, index: &Index, account: AccountId, mailbox: MailboxId) -> u32 {
        let known = || index.accounts.get(account)?.mailboxes.get(&mailbox);
        let planned = self.uid_next.get(&mailbox).copied();
        planned.unwrap_or_else(|| known().map_or(1, |mailbox| mailbox.uid_next.0))
    }

    /// How many of a set can be there when all that waits is applied: those that are there, and all that may
    /// arrive.
    fn present_at_most(&self, index: &Index, account: AccountId, mailbox: MailboxId, uids: &UidSet) -> u64 {
        let planned = u64::from(self.uid_next(index, account, mailbox));
        let known = index.accounts.get(account).and_then(|account| account.mailboxes.get(&mailbox));
        let (present, uid_next) = known
            .map_or((0, 1), |mailbox| (mailbox.columns.count_of(uids) as u64, u64::from(mailbox.uid_next.0)));
        (present + (planned - uid_next)).min(uids.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::lab::{Lab, uids};
    use super::*;
    use crate::change::{Flags, Outcome, Services};
    use crate::ids::BodyId;

    fn deliver(mailbox: MailboxId, body: BodyId) -> Change {
        Change::Deliver { mailbox, body, flags: Flags::default(), internal_ms: 0 }
    }

    #[test]
    fn whatever_waits_together_applies_in_turn() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[("to", None)]);
        let (to, body) = (MailboxId(2), lab.body(1));
        let rename = Change::MailboxRename { mailbox: INBOX_ID, to: "p/q/r".into() };
        let copy = Change::Copy { from: INBOX_ID, to, uids: uids(&[1, 2, 3, 50]), expunge: false };
        let create = |name: &str| Change::MailboxCreate { name: name.into(), special_use: None };
        let changes = [
            deliver(INBOX_ID, body),
            deliver(INBOX_ID, body),
            copy.clone(),
            create("n/m"),
            create("n"),
            copy,
            rename,
            Change::MailboxDelete { mailbox: to },
            deliver(to, body),
            create("to"),
            deliver(INBOX_ID, body),
        ];
        let entries: Vec<Entry> = changes.into_iter().map(|change| lab.stamped(id, change)).collect();
        let outcomes: Vec<Outcome> = entries.iter().map(|entry| lab.apply(entry)).collect();
        let targets: Vec<&UidSet> = outcomes
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Copied { target, .. } => Some(target),
                _ => None,
            })
            .collect();
        assert_eq!(
            targets,
            [&uids(&[1, 2]), &uids(&[3, 4])],
            "two of INBOX were on their way when both were asked"
        );
        assert_eq!(lab.inbox(id).message(0).uid, Uid(3));
        assert_eq!(lab.names(id), ["INBOX", "n", "n/m", "p", "p/q", "p/q/r", "to"]);
        assert!(lab.planner.accounts.is_empty(), "nothing waits, nothing is kept");
    }

    #[test]
    fn guessed_ids_of_what_is_still_being_created_do_no_harm() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(1);
        lab.deliver(id, INBOX_ID, body);
        let mut entries =
            vec![lab.stamped(id, Change::MailboxRename { mailbox: INBOX_ID, to: "a/b".into() })];
        for guess in 2..6 {
            entries.push(lab.stamped(id, deliver(MailboxId(guess), body)));
        }
        let create = Change::AccountCreate {
            address: "b@x".into(),
            password_hash: "hash".into(),
            services: Services::ALL,
            mailboxes: vec![("x/y".into(), None)],
        };
        entries.push(lab.stamped(AccountId(0), create));
        let second = entries[5].account;
        for guess in 1..5 {
            entries.push(lab.stamped(second, deliver(MailboxId(guess), body)));
        }
        let refused = entries.iter().filter(|entry| matches!(lab.apply(entry), Outcome::Refused(_))).count();
        assert_eq!(refused, 3, "two mailboxes of the first and one of the second never came to be");
    }

    #[test]
    fn time_never_goes_back_and_dropped_entries_leave_no_trace() {
        let mut lab = Lab::new();
        let id = lab.account("a@x", &[]);
        let body = lab.body(1);
        let dropped = lab.stamped(id, deliver(INBOX_ID, body));
        lab.now.unix_ms -= 5_000;
        let kept = lab.stamped(id, deliver(INBOX_ID, body));
        assert_eq!(kept.stamp.time_ms, dropped.stamp.time_ms);
        assert_eq!((dropped.stamp.uid_first, kept.stamp.uid_first), (Uid(1), Uid(2)));
        lab.planner.settle(&dropped);
        lab.apply(&kept);
        assert_eq!(lab.deliver(id, INBOX_ID, body), Uid(3));
    }
}
