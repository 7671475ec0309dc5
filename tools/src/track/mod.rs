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

use ringpost_engine::change::{Change, Stamp, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Uid};
use ringpost_engine::index::Index;

use account::Account;

pub use follow::{Followed, Instance, Step};

/// What a change did to messages and mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that brings, moves or removes a message.
    Other,
    /// Messages came, under consecutive UIDs.
    Arrived {
        /// Where.
        mailbox: MailboxId,
        /// The first one's UID.
        first: Uid,
        /// What, in order.
        bodies: Vec<BodyId>,
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

    /// An account's address, also after it is gone.
    pub fn address(&self, account: AccountId) -> Option<&str> {
        self.addresses.get(&account).map(String::as_str)
    }

    /// A mailbox's name now.
    pub fn mailbox(&self, account: AccountId, mailbox: MailboxId) -> Option<&str> {
        self.accounts.get(&account)?.name(mailbox)
    }

    /// The mailbox of this name now.
    pub fn mailbox_by_name(&self, account: AccountId, name: &str) -> Option<MailboxId> {
        self.accounts.get(&account)?.by_name(name)
    }

    /// Takes in the next change of the log.
    pub fn apply(&mut self, id: AccountId, change: &Change, stamp: &Stamp) -> Effect {
        if let Change::AccountCreate { address, mailboxes, .. } = change {
            let names = mailboxes.iter().map(|(name, _)| name.as_str());
            self.addresses.insert(id, address.clone());
            self.accounts.insert(id, Account::new(names, stamp));
            return Effect::Other;
        }
        if *change == Change::AccountDelete {
            return self.accounts.remove(&id).map_or(Effect::Other, |_| Effect::AccountGone);
        }
        self.accounts.get_mut(&id).map_or(Effect::Other, |account| account.apply(change, stamp))
    }
}
