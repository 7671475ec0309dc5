//! Ringpost: a mail store server for Linux. SMTP and LMTP in, POP3 and IMAP out, on io_uring.
//!
//! The modules stand in reading order. A shard is a value: [`shard::event`] holds all that can happen to it
//! and all that it can do; [`proto`] holds the sessions; [`runtime`] moves bytes between the kernel and the
//! shard.

pub mod admin;
pub mod config;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod password;
pub mod proto;
pub mod runtime;
pub mod serve;
pub mod shard;
pub mod sys;
