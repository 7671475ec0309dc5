//! SMTP (rfc5321), submission (rfc6409) and LMTP (rfc2033): one session, three dialects.
//!
//! *Owns*: how messages come in. *Promises*: what [`crate::proto`] asks of a session; no 250 before every
//! copy is durable; nothing but CRLF "." CRLF or a count ends a message. *Assumes*: the shard resolves
//! recipients and stores. *Never*: relays.
//!
//! A message's way: [`session`] takes a line, [`command`] and [`path`] say what it means, `hello`, `auth` and
//! [`envelope`] act on it, [`data`] and [`bdat`] fill a [`body`], `message` puts [`trace`] fields in front,
//! hands over and answers.

mod auth;
pub mod bdat;
pub mod body;
pub mod command;
pub mod data;
pub mod envelope;
mod hello;
mod message;
pub mod path;
pub mod reply;
pub mod session;
pub mod trace;

pub use session::SmtpSession;
