//! What moving a slot asks of the shard that it leaves and of the one that it goes to.
//!
//! *Owns*: the steps, in the shard's words. *Promises*: a step is bounded; only `Close` and what follows it
//! stops anybody.
//! *Assumes*: one slot moves at a time. *Never*: knows in which order they come; see [`crate::admin::slots`].

use bytes::Bytes;
use ringpost_engine::arrival::Arrival;
use ringpost_engine::change::{Inheritance, NewBody};
use ringpost_engine::ids::{AccountId, BodyId, BodyKey, MailboxId, ShardId, Slot, Uid};
use ringpost_engine::index::moving::Departure;
use ringpost_engine::index::{Buried, BuriedMailbox};
use ringpost_engine::owners::{Claim, Seat};

/// One step.
#[derive(Clone, Debug)]
pub enum SlotStep {
    /// All that this shard knows of who has which slot.
    Table,
    /// A look at some addresses after one: accounts of the slot.
    Accounts {
        /// Which.
        slot: Slot,
        /// Exclusive start.
        after: String,
    },
    /// A look at some aliases after one: those of the slot.
    Aliases {
        /// Which.
        slot: Slot,
        /// Exclusive start.
        after: String,
    },
    /// A look at some deleted mailboxes: those of the slot.
    Gone {
        /// Which.
        slot: Slot,
        /// Number of the first.
        from: u64,
    },
    /// Some of the bodies of an account's messages.
    Bodies {
        /// Whose.
        account: AccountId,
        /// The mailbox and the UID to begin at.
        from: (MailboxId, Uid),
    },
    /// A look at some messages that can be had back, of all accounts.
    Removed {
        /// Number of the first.
        from: u64,
    },
    /// Octets of a body and its summary, as many as one step may look at.
    Octets {
        /// Which.
        key: BodyKey,
        /// Octets that are there already.
        skip: u32,
    },
    /// Nobody founds an account or an alias in the slot until it is open again or gone. It opens by itself
    /// when this
    /// takes too long.
    Close {
        /// Which.
        slot: Slot,
        /// Where it goes.
        to: ShardId,
    },
    /// The accounts of a closed slot stay as they are: answered when nothing of them is under way any more.
    Hold {
        /// All of them.
        accounts: Vec<AccountId>,
    },
    /// The next piece of an account that is held.
    Piece(Departure),
    /// The target is to take the closed slot over: answered when it has.
    Hand(Box<Claim>),
    /// The slot stays after all.
    Open,
    /// At the target: whatever came before and was not claimed goes.
    Expect,
    /// At the target: bodies, which a piece shows next.
    Bring {
        /// Whose.
        account: AccountId,
        /// What.
        bodies: Vec<NewBody>,
    },
    /// At the target: pieces of accounts, in order; answered when they are durable.
    Take {
        /// Whose, and what.
        pieces: Vec<(AccountId, Arrival)>,
        /// Counters to keep to.
        inherit: Option<Inheritance>,
        /// The latest time of the other log.
        time_ms: u64,
    },
}

/// What comes of it.
#[derive(Clone, Debug)]
pub enum SlotReply {
    /// Who has which slot.
    Table(Vec<(Slot, Seat)>),
    /// Accounts, and where to go on.
    Accounts(Vec<AccountId>, Option<String>),
    /// Aliases, and where to go on.
    Aliases(Vec<(String, Vec<String>)>, Option<String>),
    /// Deleted mailboxes, and where to go on.
    Gone(Vec<BuriedMailbox>, Option<u64>),
    /// Bodies, and where to go on.
    Bodies(Vec<BodyKey>, Option<(MailboxId, Uid)>),
    /// Removed messages, and where to go on.
    Removed(Vec<Buried>, Option<u64>),
    /// A summary and some octets.
    Octets {
        /// The encoded summary.
        summary: Bytes,
        /// What follows `skip`.
        octets: Bytes,
    },
    /// It is closed: since when the slot is where it is, what its next log has to keep to, and the latest time
    /// of this.
    Closed {
        /// The slot's seat.
        seat: Seat,
        /// Counters.
        inherit: Inheritance,
        /// Milliseconds since 1970.
        time_ms: u64,
    },
    /// A piece, if there was one left, and where to go on.
    Piece(Option<Arrival>, Departure),
    /// The new ids of bodies, in order.
    Brought(Vec<BodyId>),
}
