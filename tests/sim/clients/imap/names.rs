//! Mailboxes made, renamed, subscribed and deleted by a session.
//!
//! *Owns*: the commands and what they do to names. *Promises*: every name is used by one session only, once,
//! so that what the oracle knows of a name does not depend on others. *Never*: names INBOX but to rename it.

/// A command about names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    Create(String),
    /// Of a mailbox with its inferiors; of INBOX: its messages move (rfc3501#6.3.5).
    Rename(String, String),
    /// Of a mailbox without inferiors.
    Delete(String),
    Subscribe(String, bool),
}

impl Naming {
    pub fn command(&self) -> String {
        match self {
            Naming::Create(name) => format!("CREATE {name}"),
            Naming::Rename(from, to) => format!("RENAME {from} {to}"),
            Naming::Delete(name) => format!("DELETE {name}"),
            Naming::Subscribe(name, true) => format!("SUBSCRIBE {name}"),
            Naming::Subscribe(name, false) => format!("UNSUBSCRIBE {name}"),
        }
    }
}
