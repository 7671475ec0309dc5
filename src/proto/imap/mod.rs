//! IMAP4rev1 (RFC 3501), and IMAP4rev2 (RFC 9051) for clients that ENABLE it.
//!
//! *Owns*: the protocol, from framed bytes to outputs. *Promises*: what `proto` promises; EXPUNGE is never
//! sent while a client's sequence numbers must stand still. *Assumes*: one user per session, whose selected
//! mailbox may be another account's (`access`). *Never*: parses twice, or lets a command know how another one
//! works.
//!
//! Read `command` (what can be asked), `framer` and `parse` (how it is written), `table` (when it is
//! allowed), `view` (what the client has been told), then any file of `cmd`.

mod access;
mod capability;
mod cmd;
pub mod command;
mod cut;
pub mod framer;
mod objectid;
mod out;
mod pace;
pub mod parse;
mod reply;
mod session;
mod state;
mod table;
#[cfg(test)]
mod tests;
pub mod url;
pub mod utf7;
mod view;
pub mod write;

pub use capability::may_be_hidden;
pub use objectid::email as email_id;
pub use session::ImapSession;
