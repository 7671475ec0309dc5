//! SIGINT and SIGTERM.
//!
//! *Owns*: the wait for them. *Promises*: before the server waits for it, the first ends the process at once (a
//! start may recover for minutes, and recovery may be cut off anywhere); after that the first asks for a drain
//! and the second ends the process, both at once and with 128 plus the signal's number. *Assumes*: [`hold`] ran
//! before any thread was started. *Never*: runs in a handler. (SIGPIPE is ignored by the standard library, and
//! sends carry MSG_NOSIGNAL besides.)

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use crate::sys::process::Signals;

/// Where the first signal goes; none while nobody would drain.
static DRAINER: Mutex<Option<Sender<&'static str>>> = Mutex::new(None);

/// From now on the signals are waited for by a thread of their own, not by whoever they hit.
///
/// # Errors
/// That thread could not be started.
pub fn hold() -> Result<(), String> {
    Signals::stopping().block();
    let watch = || {
        loop {
            let signal = Signals::stopping().wait();
            let drainer = DRAINER.lock().unwrap_or_else(PoisonError::into_inner).take();
            if drainer.is_none_or(|drainer| drainer.send(name(signal)).is_err()) {
                eprintln!("ringpost: {}: leaving at once", name(signal));
                std::process::exit(128 + signal);
            }
        }
    };
    let thread = std::thread::Builder::new().name("ringpost-signals".to_owned());
    thread.spawn(watch).map(drop).map_err(|error| format!("cannot start the signals' thread: {error}"))
}

/// Waits for the first and names it; from then on the second ends the process.
pub fn wait() -> &'static str {
    let (drainer, first): (_, Receiver<&'static str>) = channel();
    *DRAINER.lock().unwrap_or_else(PoisonError::into_inner) = Some(drainer);
    first.recv().unwrap_or("the end of the signals' thread")
}

fn name(signal: i32) -> &'static str {
    if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" }
}
