//! The steps of a restore as they go over the admin socket.
//!
//! *Owns*: the shapes. *Promises*: a step is one request line. *Assumes*: both ends are one version; mailboxes are
//! made, listed and appended to by the steps of an import. *Never*: carries octets of messages.

use serde::{Deserialize, Serialize};

/// A step. The answers are lines of the socket's protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum RestoreStep {
    /// What can be had back under this address and, if the account is there: it, its mailboxes and subscriptions.
    State,
    /// Messages that left their mailboxes, in that order.
    Gone {
        /// Ids of the accounts they were in, ascending.
        of: Vec<u64>,
        /// Not those that left earlier, milliseconds since 1970.
        since_ms: u64,
        /// Nor those that left at or after this.
        until_ms: u64,
        /// Whether to tell subject, sender and date.
        texts: bool,
    },
    /// Put messages back.
    PutBack {
        /// Id of the account they were in.
        of: u64,
        /// That of the mailbox they left.
        left: u32,
        /// Ranges of their UIDs in it, ascending.
        uids: Vec<(u32, u32)>,
        /// Full name of the mailbox they go to.
        to: String,
        /// UIDNEXT of that one when its messages were listed.
        uid_next: u32,
    },
    /// Make the account.
    Account {
        /// PHC string.
        password_hash: String,
        /// Service names.
        services: Vec<String>,
        /// Mailboxes beside INBOX, superiors first: name, and special use or nothing.
        mailboxes: Vec<(String, String)>,
    },
    /// Take a name off the list of subscriptions.
    Unsubscribe {
        /// It.
        name: String,
    },
    /// Set an annotation.
    Annotate {
        /// Full name of the mailbox; none for the account.
        mailbox: Option<String>,
        /// The entry's name.
        entry: String,
        /// Its value in base64; none removes it.
        value: Option<String>,
    },
    /// Set an entry of an access control list.
    Share {
        /// Full name.
        mailbox: String,
        /// Whom it concerns.
        identifier: String,
        /// Letters.
        rights: String,
    },
}
