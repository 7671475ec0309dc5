//! Who asks for changes, and what was only read.
//!
//! *Owns*: the records of sessions, and readings until they go into the log. *Promises*: a session's record is
//! queued before the first change that names it; a reading costs no write of its own while others write.
//! *Assumes*: [`Store::tick`] comes. *Never*: keeps a change waiting, or refuses one, because of either.

use super::Store;
use crate::change::Change;
use crate::error::Refused;
use crate::ids::{AccountId, Now};
use crate::limits::{READINGS_HELD_MAX, READINGS_HOLD_MS};
use crate::origin::{Origin, Reading, SessionInfo};

/// Readings that wait for the next change, or for their time to be over.
#[derive(Debug, Default)]
pub(super) struct Readings {
    held: Vec<Reading>,
    /// When the oldest came, monotonic milliseconds.
    since_ms: u64,
    /// How many found no room in the log.
    lost: u64,
}

impl Readings {
    /// How many could not be written down since the start.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Store {
    /// Whether changes may name this origin; if not, the session is to be introduced first.
    pub fn knows(&self, origin: Origin) -> bool {
        origin.is_good(self.writer.next(), self.shard, self.drops)
    }

    /// Writes down who a session is; its changes name it from then on ([`Store::append_by`]).
    ///
    /// # Errors
    /// As [`Store::append`]. The changes can be made all the same, by nobody.
    pub fn introduce(&mut self, about: SessionInfo, now: Now) -> Result<Origin, Refused> {
        let at = self.queue(0, AccountId(0), Change::Session { about: about.cut() }, now)?;
        Ok(Origin::new(at, self.shard, self.drops))
    }

    /// Notes that messages were read. Goes into the log with the next change, or a little later.
    pub fn note_reading(&mut self, reading: Reading, now: Now) {
        if self.readings.held.is_empty() {
            self.readings.since_ms = now.mono_ms;
        }
        self.readings.held.push(reading);
        if self.readings.held.len() >= READINGS_HELD_MAX {
            self.write_readings(now);
        }
    }

    /// Writes down the readings whose time is over.
    pub(super) fn age_readings(&mut self, now: Now) {
        let age_ms = now.mono_ms.saturating_sub(self.readings.since_ms);
        if !self.readings.held.is_empty() && age_ms >= READINGS_HOLD_MS {
            self.write_readings(now);
        }
    }

    /// Queues every reading that waits. One that finds no room is lost, and counted.
    pub fn write_readings(&mut self, now: Now) {
        for Reading { by, about, of, mailbox, uids } in std::mem::take(&mut self.readings.held) {
            let by = if self.knows(by) { Ok(by) } else { self.introduce(about, now) };
            let number = by.map_or(0, Origin::number);
            let queued = self.queue(number, AccountId(0), Change::Read { of, mailbox, uids }, now);
            self.readings.lost += u64::from(queued.is_err());
        }
    }
}
