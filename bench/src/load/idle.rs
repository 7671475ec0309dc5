//! Scenario `idle`: many sessions wait, messages arrive, everybody is told.
//!
//! *Owns*: the sessions in IDLE, the deliveries, the matching of each EXISTS to its delivery.
//! *Promises*: latency is from the reading of the 250 to the reading of `* n EXISTS`, one sample for each
//! session; a session that is not told is an error. *Assumes*: nothing else delivers to these mailboxes.
//! *Never*: polls.
//!
//! ```text
//!  open N, SELECT, IDLE ──► settle ──► memory ──► deliver ──► 250 ──► wait for all who watch that mailbox ─┐
//!                                                    ▲                                                    │
//!                                                    └────────────────────────────────────────────────────┘
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::client::Target;
use super::deliver::run_number;
use super::failure::{Failure, Kind};
use super::imap::{self, ImapSession};
use super::message::Messages;
use super::pace::{Pace, Plan};
use super::process;
use super::report::{Report, Span, Tally};
use super::run::{OPENING_MAX, progress_bar, usage_of, within};
use super::smtp::{Dialect, SmtpSession};
use crate::options;

/// What a session tells the one who counts.
enum Event {
    /// In IDLE, with so many messages in its mailbox.
    Idling { session: usize, exists: u64 },
    /// It was told of so many messages.
    Told { session: usize, exists: u64, at: Instant },
    /// It is gone.
    Failed { session: usize, failure: Failure },
}

/// Everything that does not change during the run.
struct Setting {
    options: options::Idle,
    target: Target,
    timeout: Duration,
    opening: Semaphore,
}

/// What is known of one session.
#[derive(Clone, Copy)]
struct Watcher {
    exists: u64,
    alive: bool,
}

/// Runs the scenario to its end.
pub async fn perform(options: options::Idle) -> Result<Report, String> {
    let common = options.common.clone();
    let target = Target::new(&common, common.port.unwrap_or(2143))?;
    let timeout = Duration::from_secs_f64(common.timeout_seconds);
    let server_before = common.server_pid.map(usage_of).transpose()?;
    let setting = Arc::new(Setting { options, target, timeout, opening: Semaphore::new(OPENING_MAX) });

    let (event_send, events) = mpsc::unbounded_channel();
    let (stop_send, stop) = watch::channel(false);
    let mut sessions = JoinSet::new();
    for index in 0..common.connections {
        sessions.spawn(attend(setting.clone(), index, event_send.clone(), stop.clone()));
    }
    drop(event_send);
    let mut counter = Counter {
        setting: setting.clone(),
        events,
        watchers: vec![Watcher { exists: 0, alive: false }; common.connections],
        tally: Tally::new(),
    };
    counter.wait_for_all_idle().await;
    let idling = counter.alive();
    tokio::time::sleep(Duration::from_secs_f64(setting.options.settle_seconds.clamp(0.0, 600.0))).await;
    let server_idle = common.server_pid.map(usage_of).transpose()?;

    let client_before = process::own_usage();
    let begin = Instant::now();
    let deliveries = counter.deliver_all().await?;
    let elapsed = begin.elapsed();
    let server = match (common.server_pid, server_idle) {
        (Some(pid), Some(before)) => Some((pid, Span { before, after: usage_of(pid)? })),
        _ => None,
    };
    // Sessions that have failed are gone already; the others hear it here.
    stop_send.send_replace(true);
    counter.drain_goodbyes().await;
    while let Some(joined) = sessions.join_next().await {
        joined.map_err(|error| format!("a session's task failed: {error}"))?;
    }
    let mut extra = Map::new();
    extra.insert("idle_sessions".to_owned(), json!(idling));
    extra.insert("deliveries".to_owned(), json!(deliveries));
    if let (Some(before), Some(idle), 1..) = (server_before, server_idle, idling) {
        extra.insert("memory_per_session".to_owned(), memory_per_session(&before, &idle, idling));
    }
    Ok(Report {
        scenario: "idle",
        target: setting.target.address().to_string(),
        tls: common.tls,
        connections: common.connections,
        message_bytes: common.message_bytes,
        rate: common.rate,
        elapsed,
        tally: counter.tally,
        client: client_before.zip(process::own_usage()).map(|(before, after)| Span { before, after }),
        server,
        extra,
    })
}

/// User-space octets of the server for each idle session; the kernel's socket memory is not among them.
fn memory_per_session(before: &process::Usage, idle: &process::Usage, sessions: usize) -> Value {
    let each = |before: u64, idle: u64| (idle as f64 - before as f64) / sessions as f64;
    json!({
        "rss_before_bytes": before.rss_bytes,
        "rss_idle_bytes": idle.rss_bytes,
        "rss_bytes_each": each(before.rss_bytes, idle.rss_bytes).round(),
        "anonymous_bytes_each": before.anonymous_bytes.zip(idle.anonymous_bytes)
            .map(|(before, idle)| each(before, idle).round()),
    })
}

/// One session from its login to its end.
async fn attend(
    setting: Arc<Setting>,
    session: usize,
    events: mpsc::UnboundedSender<Event>,
    mut stop: watch::Receiver<bool>,
) {
    let result = async {
        let mut imap = open_idle(&setting, session, &events).await?;
        loop {
            tokio::select! {
                line = imap.pushed() => {
                    if let Some(exists) = imap::numbered(&line?, b"EXISTS") {
                        let at = Instant::now();
                        // The counter outlives the sessions, so somebody listens.
                        let _ = events.send(Event::Told { session, exists, at });
                    }
                }
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        within(setting.timeout, async {
            imap.done().await?;
            imap.logout().await
        })
        .await
    };
    if let Err(failure) = result.await {
        let _ = events.send(Event::Failed { session, failure });
    }
}

async fn open_idle(
    setting: &Setting,
    session: usize,
    events: &mpsc::UnboundedSender<Event>,
) -> Result<ImapSession, Failure> {
    // Never closed; it only keeps the server's accept queue short.
    let _permit = setting.opening.acquire().await.ok();
    within(setting.timeout, async {
        let user = setting.options.common.user(session as u64);
        let password = &setting.options.login.password;
        let mut imap = ImapSession::open(&setting.target, session, &user, password).await?;
        let exists = imap.select("INBOX").await?;
        imap.idle().await?;
        let _ = events.send(Event::Idling { session, exists });
        Ok(imap)
    })
    .await
}

/// Delivers, and waits for those who must be told.
struct Counter {
    setting: Arc<Setting>,
    events: mpsc::UnboundedReceiver<Event>,
    watchers: Vec<Watcher>,
    tally: Tally,
}

impl Counter {
    fn alive(&self) -> usize {
        self.watchers.iter().filter(|watcher| watcher.alive).count()
    }

    async fn wait_for_all_idle(&mut self) {
        let bar = progress_bar(self.watchers.len() as u64);
        bar.set_message("sessions going idle");
        // Each session tells once that it idles or that it failed, whatever it is told of meanwhile.
        let mut settled = 0;
        while settled < self.watchers.len() {
            match self.events.recv().await {
                Some(Event::Idling { session, exists }) => {
                    self.watchers[session] = Watcher { exists, alive: true };
                    settled += 1;
                }
                Some(Event::Told { session, exists, .. }) => self.watchers[session].exists = exists,
                Some(Event::Failed { session, failure }) => {
                    settled += usize::from(!self.watchers[session].alive);
                    self.failed(session, failure);
                }
                None => return,
            }
            bar.set_position(settled as u64);
        }
        bar.finish_and_clear();
    }

    fn failed(&mut self, session: usize, failure: Failure) {
        self.watchers[session].alive = false;
        self.tally.failure(failure);
    }

    /// How many messages were delivered.
    async fn deliver_all(&mut self) -> Result<u64, String> {
        let options = &self.setting.options;
        let common = options.common.clone();
        let (port, dialect) = match options.smtp_port {
            Some(port) => (port, Dialect::Smtp),
            None => (options.lmtp_port, Dialect::Lmtp),
        };
        let sender = options.sender.clone();
        let messages = Messages::new(&sender, common.message_bytes, run_number());
        let target = self.setting.target.plain(port);
        let mut smtp = within(self.setting.timeout, SmtpSession::open(&target, 0, dialect))
            .await
            .map_err(|failure| format!("cannot deliver to port {port}: {failure}"))?;
        let plan = Plan::new(&common);
        let bar = progress_bar(plan.total().unwrap_or(0));
        let pace = Pace::new(plan, Instant::now());
        // Mailboxes that nobody watches get no mail.
        let mailboxes = common.mailboxes.min(common.connections as u64);
        let mut delivered = 0;
        while let Some(ticket) = pace.ticket(Instant::now()) {
            if let Some(due) = ticket.due {
                tokio::time::sleep_until(due.into()).await;
            }
            let mailbox = ticket.number % mailboxes;
            let recipient = common.user(mailbox);
            let work = smtp.deliver(&sender, &recipient, &messages, ticket.number);
            if let Err(failure) = within(self.setting.timeout, work).await {
                self.tally.failure(failure);
                return Ok(delivered);
            }
            delivered += 1;
            self.tally.messages += 1;
            self.tally.bytes += messages.len() as u64;
            self.wait_for_told(mailbox, Instant::now()).await;
            bar.inc(1);
        }
        bar.finish_and_clear();
        if let Err(failure) = within(self.setting.timeout, smtp.quit()).await {
            self.tally.failure(failure);
        }
        Ok(delivered)
    }

    /// Waits until everybody who watches the mailbox knows of one more message than before.
    async fn wait_for_told(&mut self, mailbox: u64, replied: Instant) {
        let mailboxes = self.setting.options.common.mailboxes;
        let mut waiting: Vec<bool> = vec![false; self.watchers.len()];
        for (session, waits) in waiting.iter_mut().enumerate() {
            *waits = self.watchers[session].alive && session as u64 % mailboxes == mailbox;
        }
        let mut left = waiting.iter().filter(|waits| **waits).count();
        let deadline = replied + self.setting.timeout;
        while left > 0 {
            let event = tokio::time::timeout_at(deadline.into(), self.events.recv()).await;
            let Ok(Some(event)) = event else { break };
            match event {
                Event::Told { session, exists, at } => {
                    let grown = exists > self.watchers[session].exists;
                    self.watchers[session].exists = exists;
                    if grown && std::mem::take(&mut waiting[session]) {
                        // 250 and EXISTS may leave the server together; then the push can be read first.
                        self.tally.latency(at.saturating_duration_since(replied));
                        left -= 1;
                    }
                }
                Event::Failed { session, failure } => {
                    self.failed(session, failure);
                    left -= usize::from(std::mem::take(&mut waiting[session]));
                }
                Event::Idling { .. } => {}
            }
        }
        for _ in 0..left {
            self.tally.failure(Failure::new(Kind::Timeout, "a session in IDLE was not told of a message"));
        }
    }

    /// Failures while sessions log out count as well.
    async fn drain_goodbyes(&mut self) {
        while let Some(event) = self.events.recv().await {
            if let Event::Failed { session, failure } = event {
                self.failed(session, failure);
            }
        }
    }
}
