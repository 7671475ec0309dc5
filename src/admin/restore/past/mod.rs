//! The account as a folder has it: a backup, or a data folder, at its end or at an earlier moment.
//!
//! *Owns*: restoring from it. *Promises*: what is read is only read; octets, flags, dates, names, settings and, where
//! the mailbox here never had a message, UIDVALIDITY and UIDs are those of the folder. *Assumes*: the shards of the
//! folder are whole. *Never*: has a message come twice.
//!
//! ```text
//!  folder ─► log up to the moment ─► account ─┬─ not here: made, with password and settings
//!                                             └─ mailbox by mailbox: compare ─► put back what the store still has
//!                                                                            ─► send the others ─► flags
//! ```

mod account;
mod compare;
mod open;
mod run;

pub use run::{From, run};
