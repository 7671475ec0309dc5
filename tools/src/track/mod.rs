//! What the changes of a log add up to, as far as a reader of them must know it.
//!
//! *Owns*: [`Tracker`]: addresses of accounts, names of mailboxes, which UIDs are there; [`Followed`]: where
//! certain messages went. *Promises*: one pass over the log, memory by accounts and mailboxes, not by messages.
//! *Assumes*: it is told every change in order. What depends on more than that (a quota, a conditional change
//! of `\Deleted`) it takes for done; whoever shows UIDs compares with the index at the end. *Never*: decides
//! anything: the engine's index is the truth.

mod account;
mod follow;

use std::collections::BTreeMap;

use ringpost_engine::change::{Arrival, Change, Stamp, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Uid};
use ringpost_engine::index::{Index, names};

use account::Account;

pub use follow::{Followed, Instance, Step};

/// What a change did to messages and mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that brings, moves or removes a message.
    Other,
    /// Messages came.
    Arrived {
        /// Where.
        mailbox: MailboxId,
        /// What, in order of UID.
        messages: Vec<(Uid, BodyId)>,
        /// Which message they took the place of.
        replaced: Option<(MailboxId, Uid)>,
    },
    /// Messages were copied or moved, to consecutive UIDs.
    Copied {
        /// From where.
        from: MailboxId,
        /// To where.
        to: MailboxId,
        /// Those that were there.
        uids: UidSet,
        /// The first one's UID in `to`.
        first: Uid,
        /// Whether they are gone from `from`.
        moved: bool,
    },
    /// Messages that had left a mailbox were put back, under consecutive UIDs.
    Restored {
        /// Whose they were.
        of: AccountId,
        /// Which mailbox they had left.
        from: MailboxId,
        /// Those that could still be had.
        uids: UidSet,
        /// Where they are now.
        to: MailboxId,
        /// The first one's UID there.
        first: Uid,
    },
    /// Messages were removed.
    Expunged {
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: UidSet,
    },
    /// A mailbox went with all that it held.
    MailboxGone(MailboxId),
    /// An account went with all that it held.
    AccountGone,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Also of accounts that are gone.
    addresses: BTreeMap<AccountId, String>,
    accounts: BTreeMap<AccountId, Account>,
    /// Names of mailboxes of accounts whose beginning the log does not tell any more, as they are at its end.
    late: BTreeMap<(AccountId, MailboxId), String>,
    /// What left each mailbox and can still be had back, and when it left.
    gone: BTreeMap<(AccountId, MailboxId), Vec<(u64, UidSet)>>,
}

impl Tracker {
    /// What an index shows.
    pub fn of(index: &Index) -> Tracker {
        let mut tracker = Tracker::default();
        for (account, _) in index.every_account() {
            tracker.addresses.insert(account.id(), account.address().to_owned());
            tracker.accounts.insert(account.id(), Account::of(&account));
        }
        tracker
    }

    /// Before a log whose beginning is gone: what its changes do not tell is named as the index at its end names it.
    pub fn after_gap(index: &Index) -> Tracker {
        let mut tracker = Tracker::default();
        for gone in index.buried_mailboxes() {
            tracker.addresses.insert(gone.account, gone.address.clone());
            tracker.late.insert((gone.account, gone.mailbox), gone.name.clone());
        }
        for (account, _) in index.every_account() {
            tracker.addresses.insert(account.id(), account.address().to_owned());
            let names =
                account.mailboxes().map(|mailbox| ((account.id(), mailbox.id()), mailbox.name().to_owned()));
            tracker.late.extend(names);
        }
        tracker
    }

    /// Whether an account's mailboxes are followed from its beginning.
    pub fn follows(&self, account: AccountId) -> bool {
        self.accounts.contains_key(&account)
    }

    /// An account's address, also after it is gone.
    pub fn address(&self, account: AccountId) -> Option<&str> {
        self.addresses.get(&account).map(String::as_str)
    }

    /// A mailbox's name now.
    pub fn mailbox(&self, account: AccountId, mailbox: MailboxId) -> Option<&str> {
        match self.accounts.get(&account) {
            Some(account) => account.name(mailbox),
            None => self.late.get(&(account, mailbox)).map(String::as_str),
        }
    }

    /// How many messages a mailbox has now.
    pub fn messages(&self, account: AccountId, mailbox: MailboxId) -> u64 {
        self.accounts.get(&account).map_or(0, |account| account.messages(mailbox))
    }

    /// The mailbox of this name now.
    pub fn mailbox_by_name(&self, account: AccountId, name: &str) -> Option<MailboxId> {
        match self.accounts.get(&account) {
            Some(account) => account.by_name(name),
            None => {
                let mut late = self.late.range((account, MailboxId(0))..=(account, MailboxId(u32::MAX)));
                late.find(|(_, known)| *known == names::canonical(name).as_ref()).map(|((_, id), _)| *id)
            }
        }
    }

    /// Takes in the next change of the log.
    pub fn apply(&mut self, id: AccountId, change: &Change, stamp: &Stamp) -> Effect {
        if let Change::AccountCreate { address, mailboxes, .. } = change {
            let names = mailboxes.iter().map(|(name, _)| name.as_str());
            self.addresses.insert(id, address.clone());
            self.accounts.insert(id, Account::new(names, stamp));
            return Effect::Other;
        }
        match change {
            Change::Arrive(arrival) => {
                if let Arrival::Account { address, .. } = arrival {
                    self.addresses.insert(id, address.clone());
                    self.accounts.insert(id, Account::default());
                }
                if *arrival == Arrival::Dropped {
                    self.accounts.remove(&id);
                }
                self.accounts.entry(id).and_modify(|account| account.receive(arrival));
                Effect::Other
            }
            Change::Reap { until_ms } => {
                self.gone.values_mut().for_each(|left| left.retain(|(when_ms, _)| when_ms > until_ms));
                self.gone.retain(|_, left| !left.is_empty());
                Effect::Other
            }
            Change::AccountLeave => {
                self.accounts.remove(&id);
                self.gone.retain(|(of, _), _| *of != id);
                Effect::Other
            }
            Change::AccountDelete => {
                let Some(account) = self.accounts.remove(&id) else { return Effect::Other };
                self.keep(id, account.everything(), stamp);
                Effect::AccountGone
            }
            Change::Restore { of, from, uids, to } => {
                let left = self.gone.get(&(*of, *from)).into_iter().flatten();
                let all = left.fold(UidSet::new(), |all, (_, some)| all.union(some));
                let (uids, first) = (all.intersection(uids), stamp.uid_first);
                let target =
                    self.accounts.get_mut(&id).and_then(|account| account.put_back(*to, &uids, first));
                let restored = Effect::Restored { of: *of, from: *from, uids, to: *to, first };
                target.map_or(Effect::Other, |()| restored)
            }
            _ => {
                let Some(account) = self.accounts.get_mut(&id) else { return Effect::Other };
                let mut left = Vec::new();
                let effect = account.apply(change, stamp, &mut left);
                self.keep(id, left, stamp);
                effect
            }
        }
    }

    fn keep(&mut self, account: AccountId, left: Vec<(MailboxId, UidSet)>, stamp: &Stamp) {
        for (mailbox, uids) in left.into_iter().filter(|(_, uids)| !uids.is_empty()) {
            self.gone.entry((account, mailbox)).or_default().push((stamp.time_ms, uids));
        }
    }
}
