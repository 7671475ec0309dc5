//! Accepts connections.
//!
//! *Owns*: one listening socket per listener and shard. *Promises*: nobody is let in before every shard is
//! ready; clients never take the last descriptors, which the log needs for its next segment; when they run out
//! it says so, now and then, and pauses. *Assumes*: admission is the shard's. *Never*: reads.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::core::{Core, Phase};
use super::link::Link;
use super::pump::{Layers, Start};
use super::{Listener, ring};
use crate::limits::{ACCEPT_BACKOFF_MS, ACCEPTS_PER_TURN_MAX, DESCRIPTORS_RESERVED, REFUSAL_LOG_MS};
use crate::log::{Level, Line};
use crate::shard::event::{CloseReason, ConnId};
use crate::sys::request::{self, Descriptor};
use crate::sys::socket;

/// A bound socket of one shard.
pub struct Door {
    /// What it is for.
    pub listener: Listener,
    /// The socket, bound; it listens when the core opens.
    pub socket: TcpListener,
}

/// What all doors of the process have in common.
#[derive(Clone)]
pub struct Common {
    /// The last connection number given out.
    last: Arc<AtomicU64>,
    /// Descriptors from this one on are not for clients. (The kernel gives the lowest that is free, so a
    /// higher one says that all below are in use.)
    descriptors_end: u64,
}

impl Common {
    /// For a process that may hold `descriptors_max` descriptors.
    pub fn new(descriptors_max: u64) -> Common {
        Common { last: Arc::default(), descriptors_end: descriptors_max.saturating_sub(DESCRIPTORS_RESERVED) }
    }

    fn number(&self) -> ConnId {
        ConnId(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn has_room_for(&self, client: &TcpStream) -> bool {
        u64::try_from(client.as_raw_fd()).is_ok_and(|descriptor| descriptor < self.descriptors_end)
    }
}

/// Lets clients in through one door until the core closes.
pub async fn serve(core: Rc<Core>, door: Door, common: Common) {
    if core.reached_phase(Phase::Open).await != Phase::Open {
        return;
    }
    let Door { listener, socket } = door;
    let polled = match socket.set_nonblocking(true).and_then(|()| socket.try_clone()) {
        Ok(polled) => Descriptor::new(OwnedFd::from(polled)),
        Err(error) => super::core::die(&format!("cannot serve {}: {error}", listener.address)),
    };
    let mut quiet_until_ms = 0;
    loop {
        let mut arrival = ring::submit(request::poll_readable(&polled));
        tokio::select! {
            _ = &mut arrival => {}
            _ = core.reached_phase(Phase::Closed) => {
                ring::submit(request::cancel(&polled)).await;
                arrival.await;
                return;
            }
        }
        if let Err(error) = accept_waiting(&core, &listener, &socket, &common) {
            let now_ms = core.clock.now().mono_ms;
            // Whoever floods the listener must not flood the log.
            if now_ms >= quiet_until_ms {
                quiet_until_ms = now_ms + REFUSAL_LOG_MS;
                let line = Line::new(Level::Warn, "accept").with("listener", listener.address.to_string());
                core.lines.put(line.with("why", error.to_string()));
            }
            tokio::time::sleep(Duration::from_millis(ACCEPT_BACKOFF_MS)).await;
        }
    }
}

/// Takes in who waits, up to a bound, so that those who are in already get their turn.
fn accept_waiting(
    core: &Rc<Core>,
    listener: &Listener,
    socket: &TcpListener,
    common: &Common,
) -> io::Result<()> {
    for _ in 0..ACCEPTS_PER_TURN_MAX {
        match socket.accept() {
            Ok((client, _)) if !common.has_room_for(&client) => {
                return Err(io::Error::other("too many descriptors in use: raise `ulimit -n`"));
            }
            Ok((client, address)) => welcome(core, listener, client, address, common.number()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // A client that gave up while it waited is no error of ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn welcome(core: &Rc<Core>, listener: &Listener, client: TcpStream, address: SocketAddr, conn: ConnId) {
    let address = address.ip().to_string();
    if let Err(error) = socket::prepare_connection(&client) {
        core.never_accepted(conn, &address, &CloseReason::Error(format!("socket options: {error}")));
        return;
    }
    let link = Link::new(conn, Descriptor::new(OwnedFd::from(client)));
    let start = Start::Accepted { service: listener.service, address, implicit_tls: listener.implicit_tls };
    core.spawn_pump(link, Layers::default(), start);
}
