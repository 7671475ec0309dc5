//! NOTIFY's arguments.
//!
//! *Owns*: what a client wants to be told of, and of which mailboxes (rfc5465#8). *Promises*: the
//! combinations of events that rfc5465#5 asks for hold. *Assumes*: the parser. *Never*: knows which mailboxes
//! exist.

use super::FetchItem;

/// NOTIFY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// `NONE`
    None,
    /// `SET`
    Set {
        /// `STATUS`: also what the watched mailboxes are like now.
        status: bool,
        /// For the selected mailbox; none if it is not named.
        selected: Option<NotifySelected>,
        /// For the others.
        groups: Vec<NotifyGroup>,
    },
    /// An event that is not known here: `NO [BADEVENT …]` (rfc5465#3.1).
    Unsupported,
}

/// What is wanted of the selected mailbox (rfc5465#6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySelected {
    /// `SELECTED-DELAYED`: numbers stand still between commands.
    pub delayed: bool,
    /// Which events.
    pub events: Events,
    /// What to send of new messages; may be empty.
    pub items: Vec<FetchItem>,
}

/// What is wanted of some other mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyGroup {
    /// Which.
    pub filter: MailboxFilter,
    /// Which events.
    pub events: Events,
}

/// Which mailboxes (rfc5465#6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxFilter {
    /// `INBOXES`, `PERSONAL`: all of the account, any of which can be delivered to.
    Personal,
    /// `SUBSCRIBED`
    Subscribed,
    /// `SUBTREE`: these and all below.
    Subtree(Vec<String>),
    /// `MAILBOXES`: exactly these.
    Mailboxes(Vec<String>),
}

/// Kinds of events (rfc5465#5), as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub u8);

impl Events {
    /// None.
    pub const NONE: Events = Events(0);
    /// `MessageNew`; never without `MessageExpunge`.
    pub const MESSAGE_NEW: Events = Events(1);
    /// `MessageExpunge`; never without `MessageNew`.
    pub const MESSAGE_EXPUNGE: Events = Events(2);
    /// `FlagChange`; only with both of them.
    pub const FLAG_CHANGE: Events = Events(4);
    /// `MailboxName`
    pub const MAILBOX_NAME: Events = Events(8);
    /// `SubscriptionChange`
    pub const SUBSCRIPTION: Events = Events(16);
    /// `MailboxMetadataChange`
    pub const MAILBOX_METADATA: Events = Events(32);
    /// `ServerMetadataChange`
    pub const SERVER_METADATA: Events = Events(64);
    /// Those about messages.
    pub const OF_MESSAGES: Events = Events(7);

    /// Whether any of `other` is in it.
    pub fn any(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }

    /// Both together.
    pub fn with(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}
