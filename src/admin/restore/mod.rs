//! Bringing back what was removed.
//!
//! *Owns*: `ringpost account restore …` and the server's answers to it. *Promises*: messages only come, each once
//! however often it is run; everything that is done is durable; nobody else waits. *Assumes*: whoever asks may do
//! everything. *Never*: gives out a UID a second time.

pub mod ask;
mod cli;
mod headline;
mod here;
mod list;
mod past;
mod plan;
mod present;
mod report;
mod run;
pub mod server;
pub mod wire;
mod wish;

pub use cli::{NOTES, Selection, restore};
