//! The `ringpost` command line, everything but serving.
//!
//! *Owns*: the commands, their help, their output for people and as JSON lines. *Promises*: `--json` prints
//! one object a line; an error is one line on standard error and exit code 1. *Assumes*: a server runs on
//! `--data` where a command needs one. *Never*: opens the log itself; `ringpost-log` does that.

mod args;
mod bulk;
pub mod output;
mod run;

pub use args::{Args, Command, Common, ServeArgs};
pub use run::run;
