//! Moving accounts in from other mail stores, into the running server.
//!
//! *Owns*: `ringpost import …` and the server's answers to it. *Promises*: can be repeated, and then carries over the
//! difference only; never deletes unless asked; one mailbox's list and one frame of messages in memory. *Assumes*:
//! nobody else imports into the account at the same time. *Never*: gives a message another UID than it had.

pub mod cli;
mod differ;
mod dovecot;
mod frame;
mod imap;
mod late;
mod mark;
mod ranges;
mod report;
mod run;
mod send;
pub mod server;
mod source;
pub mod wire;

pub use cli::{ImportCommand, import};
pub use frame::Frame;
pub use ranges::Ranges;
pub use report::same_flags;
pub use send::beyond;
pub use source::usual_use;
