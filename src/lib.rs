//! Ringpost: a mail store server for Linux. SMTP and LMTP in, POP3 and IMAP out, on io_uring.
//!
//! The modules stand in reading order. A shard is a value: [`shard::event`] holds all that can happen to it
//! and all that it can do; [`proto`] holds the sessions; [`runtime`] moves bytes between the kernel and the
//! shard.

// The heart: one core's accounts and sessions as a value.
pub mod shard;

// What a session is, and every protocol.
pub mod proto;

// The shell that moves bytes, and the only unsafe code.
pub mod runtime;

pub mod sys;

// Around it: the start, the settings, the administrator's requests.
pub mod serve;

pub mod config;

pub mod admin;

// What many need.
pub mod limits;
pub mod log;
pub mod metrics;
pub mod moment;
pub mod password;
