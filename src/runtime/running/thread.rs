//! A shard's thread: recovers, serves, ends.
//!
//! *Owns*: what a thread needs and in which order it comes. *Promises*: nothing is served before recovery is
//! done; no ring is left with operations under way. *Assumes*: the folder is locked. *Never*: ends the
//! process but when the ring cannot be left safely.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use ringpost_engine::ids::ShardId;
use ringpost_engine::store::{Options, RecoveryReport, Store};
use rustls::server::ServerConfig;
use tokio::sync::Semaphore;

use super::Replies;
use crate::limits::{RECEIVE_BUFFERS_MAX, RECEIVE_BUFFERS_POOLED_MAX, RECEIVE_BYTES};
use crate::log::{Level, Line};
use crate::proto::Server;
use crate::runtime::clock::Clock;
use crate::runtime::core::{Alarm, Core, Life, die};
use crate::runtime::disk::Files;
use crate::runtime::inbox::{Inbox, Outbox};
use crate::runtime::lines::Lines;
use crate::runtime::listen::{self, Common, Door};
use crate::runtime::ring;
use crate::runtime::verify::Verifier;
use crate::shard::Shard;
use crate::sys::buf::Buffers;
use crate::sys::cpu::Cores;
use crate::sys::fault;

/// How far a shard has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Milestone {
    /// It knows what it needs to serve.
    Ready,
    /// Every session is gone and everything is durable.
    Drained,
    /// It could not start: why.
    Failed(String),
}

/// What a shard's thread gets to start with.
pub struct Seat {
    /// Which shard.
    pub id: ShardId,
    /// The data folder.
    pub data: PathBuf,
    /// How the store is opened.
    pub options: Options,
    /// What sessions tell and enforce.
    pub server: Server,
    /// Its bound sockets.
    pub doors: Vec<Door>,
    /// TLS settings.
    pub tls: Option<Arc<ServerConfig>>,
    /// All inboxes, by shard.
    pub inboxes: Arc<[Inbox]>,
    /// What all doors share.
    pub common: Common,
    /// The process's clock.
    pub clock: Clock,
    /// The log.
    pub lines: Lines,
    /// The password pool.
    pub verifier: Verifier,
    /// Where control threads wait.
    pub replies: Replies,
    /// Tells the starting thread how far this shard is.
    pub milestones: Sender<(ShardId, Milestone)>,
    /// The cores of the process; the shard takes its own of them if it is pinned.
    pub cores: Cores,
    /// Whether to stay on one core.
    pub pin: bool,
}

/// The thread's whole life.
pub fn run(seat: Seat) {
    // Half a server would keep the other shards waiting for this one.
    let _alarm = Alarm;
    let (id, milestones) = (seat.id, seat.milestones.clone());
    if let Err(why) = serve(seat) {
        // If the starting thread is gone, the process is leaving anyway.
        milestones.send((id, Milestone::Failed(format!("shard {id}: {why}")))).unwrap_or_default();
    }
}

fn serve(seat: Seat) -> Result<(), String> {
    if seat.pin
        && let Some(own) = seat.cores.nth(usize::from(seat.id.0))
    {
        own.bind().map_err(|error| format!("cannot stay on a core of its own: {error}"))?;
    }
    let mut files = Files::new(&seat.data, seat.id, seat.cores.clone())
        .map_err(|error| format!("cannot use its folder in {}: {error}", seat.data.display()))?;
    let shards = seat.inboxes.len() as u16;
    let began = Instant::now();
    let (store, report) =
        Store::open(&mut files, seat.options, seat.clock.now()).map_err(|error| error.to_string())?;
    tell_recovery(&seat.lines, seat.id, &report, began.elapsed());
    let mut shard = Shard::new(seat.id, shards, store, seat.server);
    shard.watch_pages(fault::count);
    let core = Core {
        id: seat.id,
        files,
        buffers: Buffers::new(RECEIVE_BYTES, RECEIVE_BUFFERS_POOLED_MAX),
        receives: Arc::new(Semaphore::new(RECEIVE_BUFFERS_MAX)),
        tls: seat.tls,
        clock: seat.clock,
        deflater: RefCell::default(),
        lines: seat.lines,
        shard: RefCell::new(shard),
        inbox: seat.inboxes[usize::from(seat.id.0)].clone(),
        outbox: RefCell::new(Outbox::new(&seat.inboxes)),
        verifier: seat.verifier,
        replies: seat.replies,
        milestones: seat.milestones,
        life: Life::default(),
    };
    let (doors, common) = (seat.doors, seat.common);
    let ended = ring::run(async move {
        let core = Rc::new(core);
        for door in doors {
            core.spawn(listen::serve(core.clone(), door, common.clone()));
        }
        core.run().await;
    });
    match ended {
        Ok(()) => Ok(()),
        // Their buffers must outlive them, so this thread must not clean up.
        Err(left) => die(&format!("shard {}: {left} operations did not complete", seat.id)),
    }
}

fn tell_recovery(lines: &Lines, id: ShardId, report: &RecoveryReport, took: Duration) {
    for damage in &report.damage {
        lines.put(
            Line::new(Level::Error, "damage").with("shard", id.to_string()).with("what", damage.to_string()),
        );
    }
    for refused in &report.refused_checkpoints {
        lines.put(
            Line::new(Level::Warn, "checkpoint refused")
                .with("shard", id.to_string())
                .with("what", refused.clone()),
        );
    }
    for repaired in &report.repaired {
        lines.put(
            Line::new(Level::Warn, "damage that cost nothing")
                .with("shard", id.to_string())
                .with("what", repaired.clone()),
        );
    }
    let level = if report.damage.is_empty() { Level::Info } else { Level::Error };
    lines.put(
        Line::new(level, "recovery")
            .with("shard", id.to_string())
            .with("checkpoint", report.checkpoint.unwrap_or(0).to_string())
            .with("checkpoint_bytes", report.checkpoint_bytes.to_string())
            .with("segments", report.segments.to_string())
            .with("batches", report.batches.to_string())
            .with("entries", report.entries.to_string())
            .with("bytes", report.bytes.to_string())
            .with("torn_bytes", report.torn_bytes.to_string())
            .with("damage", report.damage.len().to_string())
            .with("quarantined_accounts", report.quarantined.len().to_string())
            .with("next", report.next.to_string())
            .with("ms", took.as_millis().to_string()),
    );
}
