//! What a store does when nobody asks for anything.
//!
//! *Owns*: the ticks of checkpoints, of compaction and of what was removed long ago. *Promises*: a bounded step, and
//! one request at a time, behind those of the log. *Assumes*: whoever runs the store ticks it often. *Never*: delays
//! a commit.

use super::{Progress, Store};
use crate::change::Change;
use crate::compact::{Log, Unit};
use crate::ids::{AccountId, Now};
use crate::io::{FileId, IoResult};
use crate::limits;

impl Store {
    pub(super) fn complete_upkeep(&mut self, result: IoResult) -> Progress {
        self.keeper_io = None;
        let mut progress = Progress { durable: self.durable(), ..Progress::default() };
        match self.keeper.complete(&mut self.index, result, self.mono_ms) {
            Ok(()) => {}
            Err(error) => {
                self.writer.fail();
                progress.fatal = Some(error);
            }
        }
        progress
    }

    pub(super) fn complete_compaction(&mut self, result: IoResult) -> Progress {
        self.compactor_io = None;
        let mut progress = Progress { durable: self.durable(), ..Progress::default() };
        let places = self.writer.places_mut();
        match self.compactor.complete(&mut self.index, places, result, self.mono_ms) {
            Ok(Some(FileId::Segment(segment))) => self.writer.forget(segment),
            Ok(_) => {}
            Err(error) => {
                self.writer.fail();
                progress.fatal = Some(error);
            }
        }
        progress
    }

    /// Lets go what was removed so long ago that it cannot be had back any more, a bounded lot at a time.
    fn reap(&mut self, now: Now) {
        // By the time of the log, so that a clock that was set back brings nothing back.
        let time_ms = self.index.last_time_ms().max(now.unix_ms);
        let before_ms = time_ms.checked_sub(self.undelete_ms.saturating_add(1));
        let due = before_ms.filter(|_| !self.reaping).and_then(|before_ms| self.index.reap_due(before_ms));
        if let Some(until_ms) = due {
            // If there is no room for it now, there is at some later tick.
            self.reaping = self.append(AccountId(0), Change::Reap { until_ms }, now).is_ok();
        }
    }

    /// A bounded step of upkeep: closes the idle window of recovery, retries a full disk, lets go what was removed
    /// long ago.
    pub fn tick(&mut self, now: Now) {
        self.mono_ms = self.mono_ms.max(now.mono_ms);
        self.writer.tick(now);
        if self.applying.is_behind() {
            // Between two batches only: then the index is what the log says up to there.
            return;
        }
        let pressed = self.index.evict(self.index_memory_bytes_max, limits::EVICTION_LOOKS);
        let wanted = self.compactor.waits_for(self.mono_ms);
        self.keeper.tick(&mut self.index, &self.point, self.mono_ms, pressed, wanted);
        let complete = self.writer.complete_segments().map(|(segment, range)| Unit {
            file: FileId::Segment(segment),
            bytes: range.end - range.start,
            room: range.end - range.start,
            live: 0,
            is_empty: false,
            is_damaged: false,
            is_old: false,
            is_pressed: false,
            range,
        });
        let log = Log {
            file_bytes: self.file_bytes(),
            covered: self.keeper.covered(),
            durable: self.writer.durable(),
            sequence: self.point.tail.sequence,
            full: self.writer.is_full(),
        };
        self.compactor.tick(&self.index, self.writer.places(), complete, &log, now);
        self.tick_scrub(now);
        self.reap(now);
        self.age_readings(now);
    }
}
