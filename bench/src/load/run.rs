//! One run: connections are opened, then the clock starts, then each connection does its operations.
//!
//! *Owns*: the loop of every connection, reconnecting, the progress bar. *Promises*: open-loop latencies are
//! measured from when the operation was due; a failed operation is counted and never measured; a run ends.
//! *Assumes*: scenarios check their answers. *Never*: retries an operation.
//!
//! ```text
//!  open ──► wait for all ──► ticket ──► (open loop: sleep until due) ──► once ──► count ─┐
//!   ▲                          ▲                                          │ failure      │
//!   └── at most FAILURES_MAX ──┼──────────── drop the connection ◄────────┘              │
//!                              └─────────────────────────────────────────────────────────┘
//! ```

use std::future::Future;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Map;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::failure::{Failure, Kind};
use super::pace::{Pace, Plan, Ticket};
use super::process::{self, Usage};
use super::report::{Report, Span, Tally};
use crate::options::Common;

/// Failures in a row after which a connection gives up.
const FAILURES_MAX: u32 = 10;
/// Connections being opened at once.
pub const OPENING_MAX: usize = 64;

/// What one operation moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Octets of messages.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

/// A kind of load.
pub trait Scenario: Send + Sync + 'static {
    /// A connection that is ready for operations.
    type Session: Send + 'static;
    /// Opens the `index`-th connection and logs in.
    fn open(&self, index: usize) -> impl Future<Output = Result<Self::Session, Failure>> + Send;
    /// One operation, with every answer checked.
    fn once(
        &self,
        session: &mut Self::Session,
        number: u64,
    ) -> impl Future<Output = Result<Done, Failure>> + Send;
    /// Says goodbye; not measured.
    fn close(&self, session: Self::Session) -> impl Future<Output = Result<(), Failure>> + Send;
    /// Address and port, for the report.
    fn target(&self) -> String;
    /// Octets of one message, for the report.
    fn message_bytes(&self) -> usize;
}

/// What all connections share.
struct Shared<S> {
    scenario: S,
    timeout: Duration,
    opening: Semaphore,
    progress: Progress,
}

#[derive(Default)]
struct Progress {
    done: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
}

/// Runs a scenario to its end.
pub async fn run<S: Scenario>(name: &'static str, scenario: S, common: &Common) -> Result<Report, String> {
    let shared = Arc::new(Shared {
        scenario,
        timeout: Duration::from_secs_f64(common.timeout_seconds),
        opening: Semaphore::new(OPENING_MAX),
        progress: Progress::default(),
    });
    let (start_send, start) = watch::channel(None::<Arc<Pace>>);
    let (ready_send, mut ready) = mpsc::unbounded_channel::<()>();
    let mut workers = JoinSet::new();
    for index in 0..common.connections {
        let (shared, start, ready) = (shared.clone(), start.clone(), ready_send.clone());
        workers.spawn(async move { Worker { shared, index, tally: Tally::new() }.work(start, ready).await });
    }
    drop(ready_send);
    // Nothing is sent: the channel ends when the last worker has let go of it, ready or not.
    while ready.recv().await.is_some() {}

    let before = (process::own_usage(), common.server_pid.map(usage_of).transpose()?);
    let plan = Plan::new(common);
    let begin = Instant::now();
    let pace = Arc::new(Pace::new(plan, begin));
    start_send.send_replace(Some(pace.clone()));
    let bar = tokio::spawn(show_progress(shared.clone(), plan, begin));
    let tally = gather(&mut workers, &pace).await?;
    let elapsed = begin.elapsed();
    bar.abort();
    let server = match (common.server_pid, before.1) {
        (Some(pid), Some(before)) => Some((pid, Span { before, after: usage_of(pid)? })),
        _ => None,
    };
    Ok(Report {
        scenario: name,
        target: shared.scenario.target(),
        tls: common.tls,
        connections: common.connections,
        message_bytes: shared.scenario.message_bytes(),
        rate: common.rate,
        elapsed,
        tally,
        client: before.0.zip(process::own_usage()).map(|(before, after)| Span { before, after }),
        server,
        extra: Map::from_iter([("label".to_owned(), common.label.as_str().into())]),
    })
}

/// The usage of the server, which must be there.
pub fn usage_of(pid: u32) -> Result<Usage, String> {
    process::usage(pid).ok_or(format!("no process {pid} to measure (--server-pid)"))
}

/// Waits for all connections; an interrupt ends the run early, with its report.
async fn gather(workers: &mut JoinSet<Tally>, pace: &Pace) -> Result<Tally, String> {
    let mut tally = Tally::new();
    loop {
        tokio::select! {
            joined = workers.join_next() => match joined {
                None => return Ok(tally),
                Some(joined) => {
                    tally.merge(joined.map_err(|error| format!("a connection's task failed: {error}"))?);
                }
            },
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(|error| format!("cannot wait for an interrupt: {error}"))?;
                pace.stop();
            }
        }
    }
}

struct Worker<S> {
    shared: Arc<Shared<S>>,
    index: usize,
    tally: Tally,
}

impl<S: Scenario> Worker<S> {
    async fn work(
        mut self,
        mut start: watch::Receiver<Option<Arc<Pace>>>,
        ready: mpsc::UnboundedSender<()>,
    ) -> Tally {
        let mut session = self.open().await;
        // Letting go of the channel tells that this one is ready.
        drop(ready);
        let pace = match start.wait_for(Option::is_some).await {
            Ok(pace) => pace.clone(),
            Err(_) => None,
        };
        let Some(pace) = pace else { return self.tally };
        let mut failures = u32::from(session.is_none());
        while let Some(ticket) = pace.ticket(Instant::now()) {
            if failures >= FAILURES_MAX {
                self.failure(Failure::new(Kind::Unserved, "the connection gave up after failures in a row"));
                break;
            }
            if pace.is_overdue(Instant::now(), self.shared.timeout) {
                self.failure(Failure::new(
                    Kind::Unserved,
                    "still waiting for a connection when the run was over",
                ));
                continue;
            }
            if let Some(due) = ticket.due {
                tokio::time::sleep_until(due.into()).await;
            }
            let begun = ticket.due.unwrap_or_else(Instant::now);
            if session.is_none() {
                session = self.open().await;
            }
            session = match session {
                Some(session) => self.once(session, ticket, begun).await,
                None => None,
            };
            failures = if session.is_some() { 0 } else { failures + 1 };
        }
        if let Some(session) = session {
            let closing = self.shared.scenario.close(session);
            if let Err(failure) = within(self.shared.timeout, closing).await {
                self.failure(failure);
            }
        }
        self.tally
    }

    async fn open(&mut self) -> Option<S::Session> {
        let shared = self.shared.clone();
        // The semaphore is never closed; without a permit the opening is merely not throttled.
        let _permit = shared.opening.acquire().await.ok();
        match within(shared.timeout, shared.scenario.open(self.index)).await {
            Ok(session) => Some(session),
            Err(failure) => {
                self.failure(failure);
                None
            }
        }
    }

    /// The session again, unless it failed.
    async fn once(&mut self, mut session: S::Session, ticket: Ticket, begun: Instant) -> Option<S::Session> {
        let shared = self.shared.clone();
        match within(shared.timeout, shared.scenario.once(&mut session, ticket.number)).await {
            Ok(done) => {
                self.tally.latency(begun.elapsed());
                self.tally.bytes += done.bytes;
                self.tally.messages += done.messages;
                shared.progress.done.fetch_add(1, Ordering::Relaxed);
                shared.progress.bytes.fetch_add(done.bytes, Ordering::Relaxed);
                Some(session)
            }
            Err(failure) => {
                self.failure(failure);
                None
            }
        }
    }

    fn failure(&mut self, failure: Failure) {
        self.shared.progress.errors.fetch_add(1, Ordering::Relaxed);
        self.tally.failure(failure);
    }
}

/// A time-out is a failure like others.
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(Kind::Timeout, format!("no answer in {} s", limit.as_secs_f64()))),
    }
}

/// A bar on a terminal: by count where the count is known, else by time.
async fn show_progress<S: Scenario>(shared: Arc<Shared<S>>, plan: Plan, begin: Instant) {
    let by_count = plan.total();
    let length = by_count.or(plan.duration().map(|time| time.as_millis() as u64)).unwrap_or(0);
    let bar = progress_bar(length);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        let seconds = begin.elapsed().as_secs_f64().max(0.001);
        let done = shared.progress.done.load(Ordering::Relaxed);
        let megabytes = shared.progress.bytes.load(Ordering::Relaxed) as f64 / 1e6;
        let errors = shared.progress.errors.load(Ordering::Relaxed);
        let position = if by_count.is_some() { done } else { begin.elapsed().as_millis() as u64 };
        bar.set_position(position.min(length));
        let (rate, speed) = (done as f64 / seconds, megabytes / seconds);
        bar.set_message(format!("{done} done, {rate:.0}/s, {speed:.1} MB/s, {errors} errors"));
    }
}

/// A bar on standard error, hidden where that is no terminal.
pub fn progress_bar(length: u64) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:30} {percent}% {msg}") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// Answers after a fixed time; every `fails_every`-th operation fails.
    struct Fake {
        delay: Duration,
        fails_every: u64,
        opens: bool,
    }

    impl Scenario for Fake {
        type Session = ();
        async fn open(&self, _: usize) -> Result<(), Failure> {
            if self.opens { Ok(()) } else { Err(Failure::new(Kind::Connect, "no")) }
        }
        async fn once(&self, (): &mut (), number: u64) -> Result<Done, Failure> {
            tokio::time::sleep(self.delay).await;
            if number % self.fails_every == self.fails_every - 1 {
                return Err(Failure::new(Kind::Refused, "again"));
            }
            Ok(Done { bytes: 10, messages: 1 })
        }
        async fn close(&self, (): ()) -> Result<(), Failure> {
            Ok(())
        }
        fn target(&self) -> String {
            "fake".to_owned()
        }
        fn message_bytes(&self) -> usize {
            10
        }
    }

    fn perform(fake: Fake, arguments: &[&str]) -> Report {
        let all = ["ringpost-bench", "smtp"].iter().chain(arguments);
        let crate::options::Command::Smtp(options) = crate::options::Cli::parse_from(all).command else {
            panic!("not smtp")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run("fake", fake, &options.common)).unwrap()
    }

    #[test]
    fn every_operation_is_counted_well_or_not() {
        let fake = Fake { delay: Duration::ZERO, fails_every: 10, opens: true };
        let report = perform(fake, &["--count", "100", "--connections", "4"]);
        assert_eq!((report.tally.done(), report.tally.errors(), report.tally.bytes), (90, 10, 900));
    }

    #[test]
    fn open_loop_latencies_count_the_waiting() {
        // 20 operations due within 20 ms on one connection that takes 10 ms each: the last waits about 180
        // ms.
        let fake = Fake { delay: Duration::from_millis(10), fails_every: u64::MAX, opens: true };
        let report = perform(fake, &["--count", "20", "--rate", "1000"]);
        let line = report.json();
        assert!(line["latency_us"]["max"].as_u64().unwrap() > 150_000, "{line}");
        let fake = Fake { delay: Duration::from_millis(10), fails_every: u64::MAX, opens: true };
        let closed = perform(fake, &["--count", "20"]).json();
        assert!(closed["latency_us"]["p50"].as_u64().unwrap() < 100_000, "{closed}");
    }

    #[test]
    fn what_was_never_begun_is_an_error() {
        let fake = Fake { delay: Duration::from_millis(50), fails_every: u64::MAX, opens: true };
        let report = perform(fake, &["--seconds", "0.1", "--rate", "1000", "--timeout-seconds", "0.2"]);
        assert_eq!(report.tally.done() + report.tally.errors(), 100);
        assert!(report.tally.errors() > 50, "{}", report.json());
    }

    #[test]
    fn a_server_that_is_not_there_ends_the_run() {
        let fake = Fake { delay: Duration::ZERO, fails_every: u64::MAX, opens: false };
        let report = perform(fake, &["--seconds", "5", "--connections", "2"]);
        assert_eq!(report.tally.done(), 0);
        assert!(report.tally.errors() >= u64::from(FAILURES_MAX));
        assert!(report.elapsed < Duration::from_secs(5));
    }

    #[test]
    fn a_slow_answer_is_a_timeout() {
        let fake = Fake { delay: Duration::from_secs(60), fails_every: u64::MAX, opens: true };
        let report = perform(fake, &["--count", "1", "--timeout-seconds", "0.05"]);
        assert_eq!(report.json()["errors"]["kinds"][0]["kind"], "timeout");
    }
}
