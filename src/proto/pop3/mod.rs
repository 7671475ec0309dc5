//! POP3 (rfc1939): the smallest complete protocol. Read this one first.
//!
//! *Owns*: everything POP3. *Promises*: what [`crate::proto`] asks of a session; `DELE` takes effect only at
//! a committed `QUIT`. *Assumes*: the maildrop is the account's INBOX. *Never*: opens a message that it only
//! sends.
//!
//! A command's way: [`session`] takes a line from the framer, [`command`] says what it means, `authorization`
//! finds out who it is, [`maildrop`] answers from the snapshot taken at login, [`retr`] sends a message as
//! runs of the log.

mod authorization;
pub mod command;
pub mod maildrop;
pub mod retr;
pub mod session;

pub use session::Pop3Session;
