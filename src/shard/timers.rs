//! Time: silent clients, unanswered questions, the end of a drain.
//!
//! *Owns*: the ordered set of moments to look at a connection. *Promises*: a tick costs what expires in it,
//! not what exists. *Assumes*: `mono_ms` never goes back. *Never*: reads a clock.

use std::collections::BTreeSet;

use crate::limits::{DRAIN_MS, DRAIN_STORE_MS};
use crate::log::{Level, Line};
use crate::proto::Patience;
use crate::shard::Shard;
use crate::shard::event::{CloseReason, ConnId, Effect};
use crate::shard::flow::Wake;

/// When to look at which connection. A look that comes early because the client spoke since only sets the
/// next one.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(u64, ConnId)>,
}

impl Timers {
    /// Moves the look at `conn` from one moment to another.
    pub fn set(&mut self, conn: ConnId, was_ms: Option<u64>, now_ms: Option<u64>) {
        if let Some(at) = was_ms {
            self.due.remove(&(at, conn));
        }
        if let Some(at) = now_ms {
            self.due.insert((at, conn));
        }
    }

    /// The next connection whose moment has come.
    fn pop(&mut self, now_ms: u64) -> Option<ConnId> {
        let first = *self.due.first()?;
        if first.0 > now_ms {
            return None;
        }
        self.due.remove(&first);
        Some(first.1)
    }
}

/// Where a drain stands.
///
/// ```text
///  Serving ──Drain──► Draining(since) ──sessions gone, store quiet; or time is up──► Drained
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    /// Since when, monotonic milliseconds.
    Draining(u64),
    Drained,
}

impl Shard {
    pub(super) fn on_tick(&mut self) {
        self.store.tick(self.now);
        self.tick_scrub();
        self.tend_sweep();
        self.tell_compacted();
        while let Some(id) = self.timers.pop(self.now.mono_ms) {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.armed_ms = None;
            let silent_ms = self.now.mono_ms.saturating_sub(connection.active_ms);
            match connection.session.patience(&self.server) {
                // While a send is under way it is the runtime that counts, by progress (`SEND_STALL_MS`).
                Patience::Ms(patience_ms)
                    if silent_ms >= patience_ms && !connection.sending && connection.is_open() =>
                {
                    self.counters.sessions_timed_out += 1;
                    self.wakes.push_back((id, Wake::Timeout));
                }
                _ => self.arm(id),
            }
        }
        self.expire_questions();
        self.expire_deliveries();
        self.end_drain_by_force();
    }

    /// One line for each pack that was made, and one for each file that could not be copied.
    fn tell_compacted(&mut self) {
        let done = self.store.compacted();
        let before = std::mem::replace(&mut self.compacted, done);
        let line = match (done.packs > before.packs, done.damaged > before.damaged) {
            (true, _) => Line::new(Level::Info, "compacted"),
            (false, true) => Line::new(Level::Error, "not compacted")
                .with("why", "a file is damaged: run ringpost-log verify"),
            (false, false) => return,
        };
        let line = line
            .with("packs", done.packs.to_string())
            .with("bytes_written", done.written.to_string())
            .with("files_removed", done.removed.to_string())
            .with("bytes_reclaimed", done.reclaimed.to_string())
            .with("files_damaged", done.damaged.to_string());
        self.effects.push_back(Effect::Log(line));
    }

    /// Sets the look at a connection: at once when there is none yet or it would come too late, else when it
    /// comes.
    pub(super) fn arm(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let due_ms = match connection.session.patience(&self.server) {
            Patience::Waiting => return,
            // Never in the past, so that one tick ends: what could not time out now is looked at in the next.
            Patience::Ms(ms) => connection.active_ms.saturating_add(ms).max(self.now.mono_ms + 1),
        };
        if connection.armed_ms.is_none_or(|armed_ms| due_ms < armed_ms) {
            self.timers.set(id, connection.armed_ms, Some(due_ms));
            connection.armed_ms = Some(due_ms);
        }
    }

    pub(super) fn on_drain(&mut self) {
        if self.life == Life::Serving {
            self.life = Life::Draining(self.now.mono_ms);
            self.wakes.extend(self.connections.keys().map(|id| (*id, Wake::Drain)));
        }
    }

    fn end_drain_by_force(&mut self) {
        let Life::Draining(since_ms) = self.life else { return };
        if self.now.mono_ms.saturating_sub(since_ms) < DRAIN_MS {
            return;
        }
        let late: Vec<ConnId> = self.connections.keys().copied().collect();
        for id in late {
            self.hang_up(id, CloseReason::Stopping);
        }
    }

    /// Says [`Effect::Drained`] once, when nothing is left that a client or a peer could wait for.
    pub(super) fn check_drained(&mut self) {
        let Life::Draining(since_ms) = self.life else { return };
        if self.connections.is_empty() {
            self.store.write_readings(self.now);
        }
        let idle = self.connections.is_empty() && self.under_way() == 0 && self.store.is_quiet();
        // What a full disk keeps from becoming durable was acknowledged to nobody: it may be lost.
        let late = self.now.mono_ms.saturating_sub(since_ms) >= DRAIN_MS + DRAIN_STORE_MS;
        if idle || (late && self.connections.is_empty()) {
            self.life = Life::Drained;
            self.effects.push_back(Effect::Drained);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_due_is_looked_at() {
        let mut timers = Timers::default();
        for conn in 1..=5 {
            timers.set(ConnId(conn), None, Some(conn * 100));
        }
        timers.set(ConnId(1), Some(100), Some(900));
        timers.set(ConnId(2), Some(200), None);
        assert_eq!(timers.pop(250), None);
        assert_eq!(timers.pop(400), Some(ConnId(3)));
        assert_eq!(timers.pop(400), Some(ConnId(4)));
        assert_eq!(timers.pop(400), None);
    }
}
