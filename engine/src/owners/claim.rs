//! What a shard says when it takes a slot over.

use crate::ids::{AccountId, Slot};
use crate::limits::{ALIAS_TARGETS_MAX, SLOT_ACCOUNTS_MAX, SLOT_ALIAS_BYTES_MAX};

/// A shard takes a slot over: everything of it has come, and is served by this log from now on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Which.
    pub slot: Slot,
    /// Above every epoch that the slot had.
    pub epoch: u32,
    /// Who has come; at most `limits::SLOT_ACCOUNTS_MAX`.
    pub accounts: Vec<Arrived>,
    /// The slot's aliases and their targets; at most `limits::SLOT_ALIAS_BYTES_MAX` in all.
    pub aliases: Vec<(String, Vec<String>)>,
}

/// An account that has come whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Which.
    pub account: AccountId,
    /// Mailboxes it must have; 0: it was deleted, and came for what can be had back of it.
    pub mailboxes: u32,
    /// Messages, likewise.
    pub messages: u64,
    /// Octets of these.
    pub bytes: u64,
}

impl Claim {
    /// Whether it is within its bounds.
    pub fn fits(&self) -> bool {
        let bytes = |(address, targets): &(String, Vec<String>)| {
            address.len() + targets.iter().map(String::len).sum::<usize>()
        };
        self.accounts.len() <= SLOT_ACCOUNTS_MAX
            && self.aliases.iter().all(|(_, targets)| targets.len() <= ALIAS_TARGETS_MAX)
            && self.aliases.iter().map(bytes).sum::<usize>() <= SLOT_ALIAS_BYTES_MAX
    }
}
