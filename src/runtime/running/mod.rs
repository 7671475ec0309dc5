//! Starting and ending.
//!
//! *Owns*: the threads, the lock of the data folder, the order of things at start and end. *Promises*: what
//! cannot be served is refused in one line before anything is; an end loses nothing that was acknowledged.
//! *Assumes*: one server per data folder. *Never*: touches a connection.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringpost_engine::ids::ShardId;
use ringpost_engine::store::Options;

use super::clock::Clock;
use super::inbox::{Inbox, Parcel};
use super::lines::{Lines, Writer};
use super::listen::{Common, Door};
use super::{Listener, LogSink, Plan, tls, verify};
use crate::limits::{BLOCK_GIVEN_BACK_BYTES, DRAIN_MS, DRAIN_STORE_MS, LINGER_MS, LISTEN_BACKLOG};
use crate::sys::cpu::Cores;
use crate::sys::fault;
use crate::sys::process::give_back_blocks_of;
use crate::sys::socket;

mod control;
mod preflight;
pub mod switch;
mod thread;

pub use control::Control;
pub(super) use control::Replies;
pub(super) use thread::Milestone;

pub use preflight::{Lock, lock, missing_shards, settle_shards};
use thread::Seat;

/// How many shards a data folder was made with; none if it is new.
///
/// # Errors
/// One line for the operator when the folder cannot be read or names no number.
pub fn stored_shards(data: &Path) -> Result<Option<u16>, String> {
    if switch::is_pending(data) {
        return Err(format!(
            "{} is between two numbers of shards: `ringpost serve` or `ringpost-log reshard` finishes that first",
            data.display()
        ));
    }
    preflight::stored_shards(data)
}

/// Takes the folder's lock and finishes a change of the number of shards that was cut short; without one, does
/// nothing.
///
/// # Errors
/// One line.
pub fn settle_switch(data: &Path) -> Result<(), String> {
    if !switch::is_pending(data) {
        return Ok(());
    }
    let _lock = preflight::lock(data)?;
    switch::finish(data)
}

/// Whether `plan` can be served here: io_uring, certificate, the folder and its lock, space, ports.
///
/// # Errors
/// One clear line that names the remedy.
pub fn preflight(plan: &Plan) -> Result<(), String> {
    preflight::check(plan)?;
    preflight::lock(&plan.data).map(drop)
}

/// Binds, recovers every shard (a log line each), then serves.
///
/// # Errors
/// One clear line that names the remedy; nothing has been served then.
pub fn start(plan: Plan, lines: LogSink) -> Result<Running, String> {
    preflight::check(&plan)?;
    let lock = preflight::lock(&plan.data)?;
    preflight::settle_shards(&plan.data, plan.shards)?;
    let descriptors_max = preflight::raise_descriptors(&plan)?;
    give_back_blocks_of(BLOCK_GIVEN_BACK_BYTES);
    fault::install().map_err(|error| format!("cannot answer for pages that cannot be read: {error}"))?;
    let (addresses, mut doors) = bind(&plan)?;
    let sockets: Vec<_> = doors.iter().flatten().map(|door| door.socket.try_clone()).collect();
    let (lines, writer) = Lines::start(lines)?;
    let mut running = Running::begin(&plan, lock, addresses, writer)?;
    let (told, milestones) = channel();
    let common = Common::new(descriptors_max);
    let clock = Clock::start();
    let cores = Cores::of_this_thread().map_err(|error| format!("cannot learn the cores: {error}"))?;
    let tls = plan.tls.as_ref().map(tls::settings).transpose()?;
    for shard in 0..plan.shards {
        let seat = Seat {
            id: ShardId(shard),
            data: plan.data.clone(),
            options: Options {
                segment_bytes: plan.segment_bytes,
                reserve_bytes: plan.reserve_bytes(),
                checkpoint_log_bytes: plan.checkpoint_log_bytes,
                index_memory_bytes_max: (plan.index_memory_bytes_max / u64::from(plan.shards.max(1)))
                    as usize,
                message_bytes_max: plan.message_bytes_max,
                undelete_ms: plan.undelete_ms,
                scrub: plan.scrub(),
                compact: plan.compact(),
                ..Options::new(ShardId(shard), log_key()?)
            },
            server: plan.server.clone(),
            doors: std::mem::take(&mut doors[usize::from(shard)]),
            tls: tls.clone(),
            inboxes: running.inboxes.clone(),
            common: common.clone(),
            clock,
            lines: lines.clone(),
            verifier: running.pool.verifier(),
            replies: running.replies.clone(),
            milestones: told.clone(),
            cores: cores.clone(),
            pin: plan.pin,
        };
        running.seat(seat)?;
    }
    drop((told, lines));
    running.milestones = Some(milestones);
    running.open(sockets)?;
    Ok(running)
}

/// One socket per listener and shard, by shard. Port 0 becomes the same free port for all.
fn log_key() -> Result<u64, String> {
    getrandom::u64().map_err(|error| format!("no randomness: {error}"))
}

fn bind(plan: &Plan) -> Result<(Vec<SocketAddr>, Vec<Vec<Door>>), String> {
    let mut addresses = Vec::new();
    let mut doors: Vec<Vec<Door>> = (0..plan.shards).map(|_| Vec::new()).collect();
    for listener in &plan.listeners {
        let mut address = listener.address;
        for own in &mut doors {
            let refusal = |error: std::io::Error| preflight::port_refusal(address, &error);
            let socket = socket::bind(address, true).map_err(refusal)?;
            address = socket.local_addr().map_err(refusal)?;
            own.push(Door { listener: Listener { address, ..listener.clone() }, socket });
        }
        addresses.push(address);
    }
    Ok((addresses, doors))
}

/// A server at work. Call [`Running::drain`] to end it; dropping it ends it without grace.
pub struct Running {
    addresses: Vec<SocketAddr>,
    inboxes: Arc<[Inbox]>,
    replies: Replies,
    threads: Vec<(ShardId, JoinHandle<()>)>,
    milestones: Option<Receiver<(ShardId, Milestone)>>,
    pool: verify::Pool,
    writer: Option<Writer>,
    _lock: Lock,
}

impl Running {
    fn begin(plan: &Plan, lock: Lock, addresses: Vec<SocketAddr>, writer: Writer) -> Result<Running, String> {
        let inboxes: std::io::Result<Vec<Inbox>> = (0..plan.shards).map(|_| Inbox::new()).collect();
        let inboxes = inboxes.map_err(|error| format!("cannot make the shards' bells: {error}"))?;
        Ok(Running {
            addresses,
            inboxes: inboxes.into(),
            replies: Replies::default(),
            threads: Vec::new(),
            milestones: None,
            pool: verify::Pool::start(plan.verify_threads)?,
            writer: Some(writer),
            _lock: lock,
        })
    }

    /// Starts a shard's thread.
    fn seat(&mut self, seat: Seat) -> Result<(), String> {
        let id = seat.id;
        let thread = std::thread::Builder::new()
            .name(format!("ringpost-shard-{id}"))
            .spawn(move || thread::run(seat))
            .map_err(|error| format!("cannot start the thread of shard {id}: {error}"))?;
        self.threads.push((id, thread));
        Ok(())
    }

    /// Waits until every shard is ready, then lets clients in. Recovery may take as long as it takes.
    fn open(&self, sockets: Vec<std::io::Result<TcpListener>>) -> Result<(), String> {
        self.await_all(&Milestone::Ready, None)?;
        for socket in sockets {
            socket
                .and_then(|socket| socket::listen(&socket, LISTEN_BACKLOG))
                .map_err(|error| format!("cannot listen: {error}"))?;
        }
        self.tell_all(|| Parcel::Open);
        Ok(())
    }

    /// A handle for the control threads.
    pub fn control(&self) -> Control {
        Control::new(self.inboxes.clone(), self.replies.clone())
    }

    /// The bound addresses, in the order of [`Plan::listeners`].
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Stops accepting, lets sessions finish for `limits::DRAIN_MS`, makes everything durable, joins every
    /// thread.
    ///
    /// # Errors
    /// Which shard did not come to its end. Nothing that was acknowledged is lost by that.
    pub fn drain(self) -> Result<(), String> {
        self.tell_all(|| Parcel::Drain);
        let patience = Duration::from_millis(DRAIN_MS + DRAIN_STORE_MS + LINGER_MS);
        self.await_all(&Milestone::Drained, Some(Instant::now() + patience))
    }

    fn tell_all(&self, parcel: impl Fn() -> Parcel) {
        for inbox in self.inboxes.iter() {
            inbox.put_patiently(parcel());
        }
    }

    /// Waits until every shard has come to `milestone`.
    fn await_all(&self, milestone: &Milestone, deadline: Option<Instant>) -> Result<(), String> {
        let Some(milestones) = &self.milestones else { return Ok(()) };
        let mut missing: Vec<ShardId> = self.threads.iter().map(|(id, _)| *id).collect();
        while !missing.is_empty() {
            let told = match deadline {
                None => milestones.recv().ok(),
                Some(deadline) => {
                    milestones.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
                }
            };
            match told {
                Some((_, Milestone::Failed(why))) => return Err(why),
                Some((id, reached)) if reached == *milestone => missing.retain(|other| *other != id),
                Some(_) => {}
                None => return Err(format!("shard {} did not come to {milestone:?}", missing[0])),
            }
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A shard that failed to start has ended already; its inbox holds the parcel for nobody.
        self.tell_all(|| Parcel::End);
        for (id, thread) in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("ringpost: the thread of shard {id} panicked");
            }
        }
        if let Some(writer) = self.writer.take() {
            writer.join();
        }
    }
}
