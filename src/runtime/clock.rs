//! The time.
//!
//! *Owns*: the moment from which the monotonic clock counts. *Promises*: all shards of a process count from
//! the same moment. *Assumes*: nothing. *Never*: goes back in `mono_ms`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ringpost_engine::ids::Now;

/// A clock; copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Counts from now.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The time. A wall clock set before 1970 reads as 1970.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { unix_ms: wall.as_millis() as u64, mono_ms: self.start.elapsed().as_millis() as u64 }
    }
}
