//! Accepts connections.
//!
//! *Owns*: one listening socket per listener and shard. *Promises*: nobody is let in before every shard is
//! ready; when descriptors run out it says so and pauses. *Assumes*: admission is the shard's. *Never*:
//! reads.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::core::{Core, Phase};
use super::link::Link;
use super::pump::Start;
use super::{Listener, ring};
use crate::limits::{ACCEPT_BACKOFF_MS, ACCEPTS_PER_TURN_MAX};
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

/// Connection numbers, unique in the process.
#[derive(Clone, Default)]
pub struct Numbers(Arc<AtomicU64>);

impl Numbers {
    fn next(&self) -> ConnId {
        ConnId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Lets clients in through one door until the core closes.
pub async fn serve(core: Rc<Core>, door: Door, numbers: Numbers) {
    if core.reached_phase(Phase::Open).await != Phase::Open {
        return;
    }
    let Door { listener, socket } = door;
    let polled = match socket.set_nonblocking(true).and_then(|()| socket.try_clone()) {
        Ok(polled) => Descriptor::new(OwnedFd::from(polled)),
        Err(error) => super::core::die(&format!("cannot serve {}: {error}", listener.address)),
    };
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
        if let Err(error) = accept_waiting(&core, &listener, &socket, &numbers) {
            core.lines.put(
                Line::new(Level::Warn, "accept")
                    .with("listener", listener.address.to_string())
                    .with("why", error.to_string())
                    .with("pause_ms", ACCEPT_BACKOFF_MS.to_string()),
            );
            tokio::time::sleep(Duration::from_millis(ACCEPT_BACKOFF_MS)).await;
        }
    }
}

/// Takes in who waits, up to a bound, so that those who are in already get their turn.
fn accept_waiting(
    core: &Rc<Core>,
    listener: &Listener,
    socket: &TcpListener,
    numbers: &Numbers,
) -> io::Result<()> {
    for _ in 0..ACCEPTS_PER_TURN_MAX {
        match socket.accept() {
            Ok((client, address)) => welcome(core, listener, client, address, numbers),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // A client that gave up while it waited is no error of ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn welcome(core: &Rc<Core>, listener: &Listener, client: TcpStream, address: SocketAddr, numbers: &Numbers) {
    let (conn, address) = (numbers.next(), address.ip().to_string());
    if let Err(error) = socket::prepare_connection(&client) {
        core.never_accepted(conn, &address, &CloseReason::Error(format!("socket options: {error}")));
        return;
    }
    let link = Link::new(conn, Descriptor::new(OwnedFd::from(client)));
    let start = Start::Accepted { service: listener.service, address, implicit_tls: listener.implicit_tls };
    core.spawn_pump(link, None, start);
}
