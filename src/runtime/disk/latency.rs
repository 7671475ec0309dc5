//! How long the disk takes.
//!
//! *Owns*: the times of syncs and reads of the last minute, and whether the disk is slow. *Promises*: a time is known
//! to an eighth of itself; one line when the disk has been slow for a while, and one when it is no more; what has not
//! ended yet counts too. *Assumes*: somebody looks at it every tick. *Never*: reads a clock.
//!
//! ```text
//!  quick ──DISK_SLOW_SLICES slow slices in a row──► slow, line ──as many quick ones──► quick, line
//!  a slice is slow if half of what ended in it took DISK_SLOW_MS, or something has been under way for so long
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;

use ringpost_engine::ids::ShardId;
use ringpost_engine::io::IoRequest;

use crate::limits::{DISK_SLOW_LOG_MS, DISK_SLOW_MS, DISK_SLOW_SLICES, LATENCY_SLICE_MS, LATENCY_SLICES};
use crate::log::{Level, Line};
use crate::shard::admin::Figures;

/// Values below are a bucket each; above, each doubling has so many.
const FINE: u64 = 8;
/// Enough for nineteen hours in microseconds.
const BUCKETS: usize = 280;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A write that is durable when it returns, or a sync.
    Sync,
    /// A read.
    Read,
}

impl Kind {
    /// Of a request of the store; none for what is rare or waits for no disk.
    pub fn of(request: &IoRequest) -> Option<Kind> {
        match request {
            IoRequest::Write { durable: true, .. } | IoRequest::Sync { .. } => Some(Kind::Sync),
            IoRequest::Read { .. } => Some(Kind::Read),
            _ => None,
        }
    }
}

/// Times in buckets.
#[derive(Clone, Debug)]
struct Histogram {
    /// Which slice of time it is of.
    slice: u64,
    counts: Box<[u32; BUCKETS]>,
    max_us: u64,
}

impl Histogram {
    fn new(slice: u64) -> Histogram {
        Histogram { slice, counts: Box::new([0; BUCKETS]), max_us: 0 }
    }

    fn add(&mut self, us: u64) {
        self.counts[bucket(us)] += 1;
        self.max_us = self.max_us.max(us);
    }

    fn join(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(other.counts.iter()).for_each(|(sum, more)| *sum += more);
        self.max_us = self.max_us.max(other.max_us);
    }

    fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The time that so many of a hundred do not exceed; 0 of none.
    fn percentile(&self, percent: u64) -> u64 {
        let (count, mut seen) = (self.count(), 0);
        let at = self.counts.iter().position(|in_bucket| {
            seen += u64::from(*in_bucket);
            seen > 0 && seen * 100 >= count * percent
        });
        at.map_or(0, |at| end_of(at).min(self.max_us))
    }
}

fn bucket(us: u64) -> usize {
    let shift = us.max(1).ilog2().saturating_sub(FINE.ilog2());
    let at = if us < FINE { us } else { (u64::from(shift) + 1) * FINE + (us >> shift) % FINE };
    (at as usize).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match bucket.checked_sub(FINE) {
        None => bucket,
        Some(above) => (((FINE + above % FINE + 1) << (above / FINE)) - 1).max(1),
    }
}

#[derive(Debug, Default)]
struct Times {
    /// The last ones, ascending by slice.
    slices: Vec<Histogram>,
    /// What has not ended, and since when.
    under_way: BTreeMap<u64, u64>,
}

impl Times {
    fn add(&mut self, now_ms: u64, us: u64) {
        let slice = now_ms / LATENCY_SLICE_MS;
        if self.slices.last().is_none_or(|last| last.slice < slice) {
            if self.slices.len() == LATENCY_SLICES {
                self.slices.remove(0);
            }
            self.slices.push(Histogram::new(slice));
        }
        self.slices.iter_mut().rev().take(1).for_each(|last| last.add(us));
    }

    /// Of the last minute.
    fn recent(&self, now_ms: u64) -> Histogram {
        let slice = now_ms / LATENCY_SLICE_MS;
        let mut all = Histogram::new(slice);
        let is_recent = |known: &&Histogram| known.slice + LATENCY_SLICES as u64 > slice;
        self.slices.iter().filter(is_recent).for_each(|known| all.join(known));
        all
    }

    /// Whether a slice that is over was slow; none if nothing happened in it.
    fn was_slow(&self, slice: u64, now_us: u64) -> Option<bool> {
        let oldest_us = self.under_way.values().next().map_or(0, |since_us| now_us - since_us.min(&now_us));
        let ended = self.slices.iter().find(|known| known.slice == slice);
        let median_us = ended.map(|ended| ended.percentile(50));
        match (median_us, oldest_us >= DISK_SLOW_MS * 1000) {
            (_, true) => Some(true),
            (median_us, false) => median_us.map(|median_us| median_us >= DISK_SLOW_MS * 1000),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    syncs: Times,
    reads: Times,
    last: u64,
    /// The slice that was judged last.
    judged: u64,
    /// Slices in a row that say something else than is told.
    against: u64,
    is_slow: bool,
    told_ms: Option<u64>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct Latency(RefCell<State>);

/// Names what is under way.
#[derive(Debug)]
pub struct Begun(Kind, u64);

impl State {
    fn of(&mut self, kind: Kind) -> &mut Times {
        match kind {
            Kind::Sync => &mut self.syncs,
            Kind::Read => &mut self.reads,
        }
    }
}

impl Latency {
    /// Something begins, at a moment in microseconds.
    pub fn begin(&self, kind: Kind, now_us: u64) -> Begun {
        let mut state = self.0.borrow_mut();
        state.last += 1;
        let number = state.last;
        state.of(kind).under_way.insert(number, now_us);
        Begun(kind, number)
    }

    /// It has ended.
    pub fn end(&self, begun: Begun, now_us: u64) {
        let mut state = self.0.borrow_mut();
        let times = state.of(begun.0);
        if let Some(since_us) = times.under_way.remove(&begun.1) {
            times.add(now_us / 1000, now_us.saturating_sub(since_us));
        }
    }

    /// Figures of the last minute, for `ringpost status`.
    pub fn figures(&self, now_us: u64) -> Figures {
        let state = self.0.borrow();
        let [syncs, reads] = [&state.syncs, &state.reads].map(|times| times.recent(now_us / 1000));
        vec![
            ("disk_syncs_minute", syncs.count()),
            ("disk_sync_us_p50", syncs.percentile(50)),
            ("disk_sync_us_p99", syncs.percentile(99)),
            ("disk_sync_us_max", syncs.max_us),
            ("disk_reads_minute", reads.count()),
            ("disk_read_us_p50", reads.percentile(50)),
            ("disk_read_us_p99", reads.percentile(99)),
            ("disk_read_us_max", reads.max_us),
            ("disk_slow", u64::from(state.is_slow)),
        ]
    }

    /// A line, if there is something to tell.
    pub fn look(&self, shard: ShardId, now_us: u64) -> Option<Line> {
        let mut state = self.0.borrow_mut();
        let (now_ms, slice) = (now_us / 1000, now_us / 1000 / LATENCY_SLICE_MS);
        let over = slice.checked_sub(1).filter(|over| *over > state.judged)?;
        state.judged = over;
        let found = [state.syncs.was_slow(over, now_us), state.reads.was_slow(over, now_us)];
        let slow = found.into_iter().flatten().reduce(|one, other| one || other)?;
        state.against = if slow == state.is_slow { 0 } else { state.against + 1 };
        if state.against < DISK_SLOW_SLICES {
            return None;
        }
        (state.is_slow, state.against) = (slow, 0);
        let is_due = state.told_ms.is_none_or(|told_ms| now_ms >= told_ms + DISK_SLOW_LOG_MS);
        if slow && !is_due {
            return None;
        }
        state.told_ms = Some(now_ms);
        let mut line = match slow {
            true => Line::new(Level::Warn, "disk slow"),
            false => Line::new(Level::Info, "disk quick again"),
        };
        line = line.with("shard", shard.to_string());
        drop(state);
        for (name, value) in self.figures(now_us) {
            line = line.with(name, value.to_string());
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_known_to_an_eighth() {
        for us in (0..2_000).chain([12_345, 1_000_000, 60_000_000, 3_600_000_000, 60_000_000_000]) {
            let end = end_of(bucket(us));
            assert!(end >= us && end - us <= us / 8, "{us} is told as {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_of_the_last_minute() {
        let latency = Latency::default();
        let figure = |now_us, name| latency.figures(now_us).into_iter().find(|(known, _)| *known == name);
        for nth in 0..100 {
            let now_us = 1_000_000 + nth * 10_000;
            let begun = latency.begin(Kind::Sync, now_us);
            latency.end(begun, now_us + if nth == 99 { 80_000 } else { 100 });
        }
        assert_eq!(figure(3_000_000, "disk_syncs_minute"), Some(("disk_syncs_minute", 100)));
        assert_eq!(figure(3_000_000, "disk_sync_us_p50"), Some(("disk_sync_us_p50", 103)));
        assert_eq!(figure(3_000_000, "disk_sync_us_max"), Some(("disk_sync_us_max", 80_000)));
        assert_eq!(figure(3_000_000, "disk_reads_minute"), Some(("disk_reads_minute", 0)));
        assert_eq!(figure(90_000_000, "disk_syncs_minute"), Some(("disk_syncs_minute", 0)));
    }

    /// Syncs of so many milliseconds, one after the other, for so long; lines on the way.
    fn pass(latency: &Latency, now_us: &mut u64, ms: u64, seconds: u64) -> Vec<Line> {
        let (end_us, mut lines) = (*now_us + seconds * 1_000_000, Vec::new());
        while *now_us < end_us {
            let begun = latency.begin(Kind::Sync, *now_us);
            *now_us += ms * 1_000;
            lines.extend(latency.look(ShardId(3), *now_us));
            latency.end(begun, *now_us);
        }
        lines
    }

    #[test]
    fn a_slow_disk_is_told_once_and_so_is_its_end() {
        let (latency, mut now_us) = (Latency::default(), 5_000_000);
        assert_eq!(pass(&latency, &mut now_us, 5, 120), []);
        let told = pass(&latency, &mut now_us, DISK_SLOW_MS + 100, 300);
        assert!(matches!(&told[..], [line] if line.event == "disk slow"), "{told:?}");
        let told = pass(&latency, &mut now_us, 5, 300);
        assert!(matches!(&told[..], [line] if line.event == "disk quick again"), "{told:?}");
        // Now and then is no news.
        assert_eq!(pass(&latency, &mut now_us, DISK_SLOW_MS + 100, LATENCY_SLICE_MS / 1000), []);
        assert_eq!(pass(&latency, &mut now_us, 5, 120), []);
        // What does not come to an end at all is slow.
        now_us += DISK_SLOW_LOG_MS * 1_000;
        let _hangs = latency.begin(Kind::Read, now_us);
        let looks = (0..100).filter_map(|_| {
            now_us += 1_000_000;
            latency.look(ShardId(3), now_us)
        });
        assert_eq!(looks.count(), 1);
    }
}
