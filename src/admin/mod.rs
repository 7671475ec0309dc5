//! Administration: a Unix socket in the data folder, and the commands that speak to it.
//!
//! *Owns*: the socket's protocol, the routing of requests to shards, the `ringpost` command line but `serve`.
//! *Promises*: a change that is answered "done" is durable; listings come in order of address and in bounded
//! memory.
//! *Assumes*: whoever may open the socket (mode 0600) may do everything. *Never*: touches the log or a
//! session.
//!
//! ```text
//!  ringpost account add … ──one JSON line──► admin.sock ──► route ──AdminRequest──► owner shard
//!                         ◄──JSON lines────             ◄──AdminReply───
//! ```

pub mod backup;
pub mod cli;
mod client;
mod damage;
pub mod data;
pub mod disk;
mod import;
mod quota;
pub mod restore;
mod route;
mod server;
pub(crate) mod slots;
pub mod wire;

pub use client::Client;
pub use route::{Shards, address_of, carry_out, check_domain};
pub use server::{import_octets, serve};
