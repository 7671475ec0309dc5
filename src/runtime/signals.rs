//! SIGINT and SIGTERM.
//!
//! *Owns*: the wait for them. *Promises*: the first asks for a drain, the second ends the process at once
//! with 128 plus its number. *Assumes*: [`hold`] ran before any thread was started. *Never*: runs in a
//! handler. (SIGPIPE is ignored by the standard library, and sends carry MSG_NOSIGNAL besides.)

use crate::sys::process::Signals;

/// Blocks both in this thread and those that it starts.
pub fn hold() {
    Signals::stopping().block();
}

/// Waits for the first and names it; from then on the second ends the process.
pub fn wait() -> &'static str {
    let signal = Signals::stopping().wait();
    let second = || {
        let signal = Signals::stopping().wait();
        eprintln!("ringpost: {} again: leaving at once", name(signal));
        std::process::exit(128 + signal);
    };
    if let Err(error) = std::thread::Builder::new().name("ringpost-signals".to_owned()).spawn(second) {
        eprintln!("ringpost: a second signal will not be noticed: {error}");
    }
    name(signal)
}

fn name(signal: i32) -> &'static str {
    if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" }
}
