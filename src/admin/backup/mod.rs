//! A consistent copy of the data folder, made while it is served.
//!
//! *Owns*: `ringpost backup`, the server's answer to it, and what a folder that it made looks like. *Promises*: no
//! shard waits for a file; a backup that was cut short says so; a further run carries over the difference.
//! *Assumes*: the command runs on the server's machine, as its user. *Never*: changes a file of the data folder.
//!
//! ```text
//!  lock DIR ─► ask: seal, list ─► backup.partial ─► link or copy ─► backup.json ─► remove what is over ─► done
//!                    ▲                                  │ a file is gone already
//!                    └──────────────────────────────────┘
//! ```
//!
//! The server's part is a seal and a list (`engine/README.md` §4.6 says why that is enough). The files are linked or
//! copied by the command's own process.

mod cli;
mod folder;
mod manifest;
mod place;
mod report;
mod run;
pub mod server;

pub use cli::{BackupArgs, NOTES, backup};
pub use manifest::{Manifest, ShardMade, settle};
