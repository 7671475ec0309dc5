//! An account on its way to another log.
//!
//! *Owns*: how an account is taken apart into [`Arrival`]s, and what tells that it is the same afterwards.
//! *Promises*: pieces of bounded size, in the order in which the other log takes them. *Assumes*: the account does
//! not change meanwhile. *Never*: copies a body; messages name those of this log until whoever moves
//! them has put the octets into the other.

mod departure;
pub(in crate::index) mod facts;
pub mod shell;
pub(in crate::index) mod slots;

pub use departure::Departure;

use std::collections::BTreeMap;

use crate::arrival::Inheritance;
use crate::ids::{AccountId, BodyKey, ShardId};
use crate::index::digest::Digest;
use crate::index::{Buried, BuriedMailbox, Index};

impl Index {
    /// A fingerprint of an account with all its mailboxes and messages: the same on whatever shard it lies. What was
    /// removed is not in it. None: there is no such account, or it is not served.
    pub fn fingerprint(&self, account: AccountId) -> Option<u64> {
        let account = self.account(account)?.0;
        let mut digest = Digest::new();
        account.digest(&mut digest, Some(self.shard));
        Some(digest.value())
    }

    /// Fingerprints of what was removed and can be had back, by account; the same on whatever shard it lies.
    pub fn fingerprints_of_removed(&self) -> BTreeMap<AccountId, u64> {
        let mut digests: BTreeMap<AccountId, Digest> = BTreeMap::new();
        for buried in self.all_buried() {
            let digest = digests.entry(buried.account).or_insert_with(Digest::new);
            let Buried { mailbox, when_ms, message, .. } = buried;
            [u64::from(mailbox.0), when_ms, u64::from(message.uid.0), message.flags.0]
                .into_iter()
                .for_each(|word| digest.word(word));
            [message.internal_ms, message.saved_ms, u64::from(message.size), message.email(self.shard).0]
                .into_iter()
                .for_each(|word| digest.word(word));
        }
        for gone in self.buried_mailboxes() {
            let digest = digests.entry(gone.account).or_insert_with(Digest::new);
            let BuriedMailbox { address, mailbox, name, uid_validity, keywords, when_ms, .. } = gone;
            digest.text(address);
            digest.text(name);
            keywords.iter().for_each(|keyword| digest.text(keyword));
            [u64::from(mailbox.0), u64::from(*uid_validity), *when_ms]
                .into_iter()
                .for_each(|word| digest.word(word));
        }
        digests.into_iter().map(|(account, digest)| (account, digest.value())).collect()
    }

    /// Which shard this is.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// All messages that left their mailboxes and can be had back, in the order in which they left.
    pub fn all_buried(&self) -> impl Iterator<Item = Buried> + use<'_> {
        self.graves.all()
    }

    /// Whether more than one message, there or removed, has this body.
    pub fn is_shared(&self, body: BodyKey) -> bool {
        self.bodies.references(body) > 1
    }

    /// What a log that goes on where this one ends has to keep to.
    pub fn inheritance(&self) -> Inheritance {
        Inheritance { next_account: self.next_account, uid_validity_floor: self.uid_validity_floor }
    }

    /// Lets accounts sleep that were asked for and are not needed any more: for tools that go through all of them.
    pub fn rest(&mut self) {
        self.accounts.evict(0, usize::MAX);
        self.accounts.evict(0, usize::MAX);
    }
}
