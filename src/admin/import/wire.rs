//! The steps of an import as they go over the admin socket.
//!
//! *Owns*: the shapes, and how flags are spelt in them. *Promises*: a step is one request line; the octets of messages
//! follow theirs, one message right after the other. *Assumes*: both ends are one version. *Never*: carries more
//! octets than `limits::IMPORT_FRAME_BYTES_MAX`, but for one message that is larger.

use bytes::Bytes;
use ringpost_engine::change::{FlagBits, Flags};
use serde::{Deserialize, Serialize};

/// A step. The answers are lines of the socket's protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum ImportStep {
    /// What the store takes at all.
    Bounds,
    /// Mailboxes and subscriptions.
    State,
    /// Messages of a mailbox, ascending by UID.
    Messages {
        /// Full name.
        mailbox: String,
        /// Those above this UID; 0 for all.
        #[serde(default)]
        after: u32,
    },
    /// Make a mailbox.
    Create {
        /// Full name.
        name: String,
        /// `\Sent` and the like, or empty.
        special_use: String,
    },
    /// Take over a UIDVALIDITY.
    Adopt {
        /// Full name.
        mailbox: String,
        /// It.
        uid_validity: u32,
        /// Whether POP3 names messages as Dovecot does by default.
        dovecot_unique_ids: bool,
    },
    /// Append messages with their UIDs.
    Append {
        /// Full name.
        mailbox: String,
        /// UIDNEXT is not smaller afterwards.
        uid_next: u32,
        /// Ascending by UID; with UID 0 in all, they get the next free ones.
        messages: Vec<ImportMessage>,
        /// What follows the line.
        #[serde(skip)]
        octets: Bytes,
    },
    /// Set flags.
    Flags {
        /// Full name.
        mailbox: String,
        /// Ranges of UIDs, ascending.
        uids: Vec<(u32, u32)>,
        /// All flags these messages have from now on.
        flags: Vec<String>,
    },
    /// Remove messages.
    Expunge {
        /// Full name.
        mailbox: String,
        /// Ranges of UIDs, ascending.
        uids: Vec<(u32, u32)>,
    },
    /// Remember how far messages were taken over that got new UIDs.
    Mark {
        /// Full name.
        mailbox: String,
        /// Which the next run understands.
        mark: String,
    },
    /// Subscribe a name.
    Subscribe {
        /// It.
        name: String,
    },
}

/// A message of an [`ImportStep::Append`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportMessage {
    /// UID.
    pub uid: u32,
    /// How many octets.
    pub bytes: usize,
    /// `\Seen` and the like, and keywords.
    pub flags: Vec<String>,
    /// INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
    /// POP3 unique-id.
    pub unique_id: Option<String>,
}

const SYSTEM: [(&str, FlagBits); 5] = [
    ("\\Seen", FlagBits::SEEN),
    ("\\Answered", FlagBits::ANSWERED),
    ("\\Flagged", FlagBits::FLAGGED),
    ("\\Deleted", FlagBits::DELETED),
    ("\\Draft", FlagBits::DRAFT),
];

/// Flags from their names; names of no flag that can be kept are left out.
pub fn flags_of(names: &[String]) -> Flags {
    let mut flags = Flags::default();
    for name in names {
        match SYSTEM.iter().find(|(system, _)| system.eq_ignore_ascii_case(name)) {
            Some((_, bit)) => flags.system = flags.system.union(*bit),
            None if name.starts_with('\\') || name.is_empty() => {}
            None => flags.keywords.push(name.clone()),
        }
    }
    flags
}

/// The names of flags: system flags in a fixed order, then keywords in theirs.
pub fn names_of(flags: &Flags) -> Vec<String> {
    let system = SYSTEM.iter().filter(|(_, bit)| flags.system.contains(*bit));
    system.map(|(name, _)| (*name).to_owned()).chain(flags.keywords.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_spelt_as_imap_does() {
        let names = ["\\seen", "\\Recent", "$Junk", "", "\\Draft"].map(str::to_owned);
        let flags = flags_of(&names);
        assert_eq!(names_of(&flags), ["\\Seen", "\\Draft", "$Junk"]);
    }
}
