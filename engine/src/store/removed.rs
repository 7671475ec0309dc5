//! What was removed and can be had back, as readers see it.
//!
//! *Owns*: the views of it. *Promises*: durable state only. *Assumes*: nothing. *Never*: changes anything;
//! [`crate::change::Change::Restore`] does.

use super::Store;
use crate::ids::AccountId;
use crate::index::{Buried, BuriedMailbox};

impl Store {
    /// Messages of an account, there or deleted, that left their mailboxes and can be had back
    /// ([`crate::change::Change::Restore`]), in the order in which they left. A look at all of the shard that can be
    /// had back.
    pub fn buried(&self, account: AccountId) -> Box<dyn Iterator<Item = Buried> + '_> {
        Box::new(self.index.buried(account))
    }

    /// The number of the first message that left its mailbox at or after this moment, in milliseconds since 1970.
    /// Messages of all accounts are numbered in the order in which they left, for good. O(log n).
    pub fn buried_since(&self, since_ms: u64) -> u64 {
        self.index.buried_since(since_ms)
    }

    /// The messages of `count` numbers from `from` on, of all accounts, and the number to go on with; none when that
    /// is all. So a look at all of them can be taken in steps.
    pub fn buried_from(
        &self,
        from: u64,
        count: usize,
    ) -> (Box<dyn Iterator<Item = Buried> + '_>, Option<u64>) {
        let (rows, next) = self.index.buried_from(from, count);
        (Box::new(rows), next)
    }

    /// Deleted mailboxes that once had messages, in the order in which they went.
    pub fn buried_mailboxes(&self) -> Box<dyn Iterator<Item = &BuriedMailbox> + '_> {
        Box::new(self.index.buried_mailboxes())
    }

    /// `count` of them from number `from` on, and the number to go on with; none when that is all. Numbers hold until
    /// the store is opened again.
    pub fn buried_mailboxes_from(
        &self,
        from: u64,
        count: usize,
    ) -> (Box<dyn Iterator<Item = &BuriedMailbox> + '_>, Option<u64>) {
        let (rows, next) = self.index.buried_mailboxes_from(from, count);
        (Box::new(rows), next)
    }

    /// Nothing that left at or before this moment, in milliseconds since 1970, can be had back.
    pub fn reaped_ms(&self) -> u64 {
        self.index.reaped_ms()
    }
}
