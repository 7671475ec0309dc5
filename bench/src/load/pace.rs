//! When each operation begins, and when the run ends.
//!
//! *Owns*: the tickets of a run. *Promises*: in the open loop ticket k is due k/rate after the start,
//! whatever happened before; every due ticket is given out exactly once. *Assumes*: connections ask until
//! there is none.
//! *Never*: sleeps.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::options::Common;

/// Seconds of a run that has no other bound.
const SECONDS_DEFAULT: f64 = 10.0;

/// The bounds of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    rate: Option<f64>,
    count: Option<u64>,
    duration: Option<Duration>,
}

impl Plan {
    /// From the command line.
    pub fn new(common: &Common) -> Plan {
        let unbounded = common.seconds.is_none() && common.count.is_none();
        let seconds = common.seconds.or(unbounded.then_some(SECONDS_DEFAULT));
        Plan { rate: common.rate, count: common.count, duration: seconds.map(Duration::from_secs_f64) }
    }

    /// Operations that will be done, where that is known before.
    pub fn total(&self) -> Option<u64> {
        let by_time =
            self.rate.zip(self.duration).map(|(rate, time)| (rate * time.as_secs_f64()).ceil() as u64);
        [self.count, by_time].into_iter().flatten().min()
    }

    /// How long it will run, where that is known before.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }
}

/// One operation to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Counted from 0.
    pub number: u64,
    /// When it should begin; none in the closed loop: at once.
    pub due: Option<Instant>,
}

/// Gives out the tickets of one run.
#[derive(Debug)]
pub struct Pace {
    plan: Plan,
    start: Instant,
    next: AtomicU64,
    stopped: AtomicBool,
}

impl Pace {
    /// The clock starts at `start`.
    pub fn new(plan: Plan, start: Instant) -> Pace {
        Pace { plan, start, next: AtomicU64::new(0), stopped: AtomicBool::new(false) }
    }

    /// The next ticket; none when the run is over.
    pub fn ticket(&self, now: Instant) -> Option<Ticket> {
        if self.stopped.load(Ordering::Relaxed) {
            return None;
        }
        let end = self.plan.duration.map(|duration| self.start + duration);
        if self.plan.rate.is_none() && end.is_some_and(|end| now >= end) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if self.plan.count.is_some_and(|count| number >= count) {
            return None;
        }
        let due = self.plan.rate.map(|rate| self.start + Duration::from_secs_f64(number as f64 / rate));
        let in_time = due.zip(end).is_none_or(|(due, end)| due < end);
        in_time.then_some(Ticket { number, due })
    }

    /// Whether a ticket in hand at `now` comes too late to be begun: the run should have been over for
    /// `patience`.
    pub fn is_overdue(&self, now: Instant, patience: Duration) -> bool {
        self.plan.duration.is_some_and(|duration| now > self.start + duration + patience)
    }

    /// No more tickets.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: Option<f64>, count: Option<u64>, seconds: Option<u64>) -> (Pace, Instant) {
        let start = Instant::now();
        (Pace::new(Plan { rate, count, duration: seconds.map(Duration::from_secs) }, start), start)
    }

    #[test]
    fn open_loop_tickets_are_due_at_fixed_times_whatever_the_clock_says() {
        let (pace, start) = pace(Some(10.0), None, Some(1));
        let late = start + Duration::from_secs(60);
        let dues: Vec<Duration> =
            std::iter::from_fn(|| pace.ticket(late)).map(|ticket| ticket.due.unwrap() - start).collect();
        assert_eq!(dues.len(), 10);
        for (number, due) in dues.iter().enumerate() {
            assert!(due.abs_diff(Duration::from_millis(100 * number as u64)) < Duration::from_micros(1));
        }
        assert!(pace.is_overdue(late, Duration::from_secs(30)));
        assert!(!pace.is_overdue(start, Duration::ZERO));
    }

    #[test]
    fn the_closed_loop_ends_by_the_clock_or_the_count() {
        let (by_time, start) = pace(None, None, Some(1));
        assert_eq!(by_time.ticket(start), Some(Ticket { number: 0, due: None }));
        assert_eq!(by_time.ticket(start + Duration::from_secs(1)), None);
        let (by_count, start) = pace(None, Some(2), None);
        assert_eq!(std::iter::from_fn(|| by_count.ticket(start)).count(), 2);
    }

    #[test]
    fn a_stopped_run_gives_no_tickets() {
        let (pace, start) = pace(Some(10.0), Some(5), None);
        assert!(pace.ticket(start).is_some());
        pace.stop();
        assert_eq!(pace.ticket(start), None);
    }

    #[test]
    fn totals_are_the_smaller_bound() {
        let total = |rate, count, seconds| pace(rate, count, seconds).0.plan.total();
        assert_eq!(total(Some(10.0), None, Some(3)), Some(30));
        assert_eq!(total(Some(10.0), Some(7), Some(3)), Some(7));
        assert_eq!(total(None, None, Some(3)), None);
    }
}
