//! Between the core and one connection's pump.
//!
//! *Owns*: the orders that wait, and whether the pump may receive. *Promises*: orders are carried out in
//! their order; nothing is received while an event of this connection waits to be handled or output waits to
//! leave (half duplex); a close interrupts what is under way; what was received goes where the session goes.
//! *Assumes*: one thread. *Never*: does I/O, but
//! for ending a socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ringpost_engine::ids::ShardId;
use ringpost_engine::io::Extent;

use crate::shard::event::{ConnId, Piece, Warming};
use crate::shard::session::MovedSession;
use crate::sys::request::Descriptor;
use crate::sys::socket::{Direction, shut};

/// What the shard wants of a connection, from its effects.
pub enum Order {
    /// Send, then `Event::Sent`.
    Send(Vec<Piece>),
    /// Do the handshake, then `Event::TlsStarted`.
    StartTls,
    /// Begin (or end) to deflate and inflate.
    Compression(bool),
    /// Bring in, then `Event::Warmed`.
    Warm {
        /// What.
        extents: Vec<(Extent, Bytes)>,
        /// Goes back with the event.
        why: Warming,
    },
    /// Close after all before.
    Close,
    /// Take the connection to another shard.
    Move {
        /// Where to.
        to: ShardId,
        /// What goes with it.
        session: Box<MovedSession>,
    },
}

/// What the pump does next.
pub enum Next {
    /// An order.
    Order(Order),
    /// Receiving is allowed.
    Receive,
}

/// One connection, as core and pump share it.
pub struct Link {
    /// Which.
    pub conn: ConnId,
    /// Its socket.
    pub socket: Descriptor,
    /// At most one each of `Send`, `Warm` and the like: the shard waits for their events.
    orders: RefCell<VecDeque<Order>>,
    waker: RefCell<Option<Waker>>,
    /// Events of this connection that the shard has not handled yet.
    unhandled: Cell<u32>,
    /// Whether the shard takes more input.
    receiving: Cell<bool>,
    /// Whether the pump is at an order.
    busy: Cell<bool>,
}

impl Link {
    /// A connection that begins here.
    pub fn new(conn: ConnId, socket: Descriptor) -> Link {
        Link {
            conn,
            socket,
            orders: RefCell::default(),
            waker: RefCell::default(),
            unhandled: Cell::new(0),
            receiving: Cell::new(true),
            busy: Cell::new(false),
        }
    }

    /// Core: something to do. A close does not wait for a slow client: it ends what is under way.
    pub fn order(&self, order: Order) {
        if matches!(order, Order::Close) && self.busy.get() {
            shut(&self.socket, Direction::Both);
        }
        self.orders.borrow_mut().push_back(order);
        self.wake();
    }

    /// Core: whether the shard takes more input.
    pub fn set_receiving(&self, on: bool) {
        self.receiving.set(on);
        self.wake();
    }

    /// Core: an event of this connection waits to be handled.
    pub fn posted(&self) {
        self.unhandled.set(self.unhandled.get() + 1);
    }

    /// Core: it has been handled, and its effects are ordered.
    pub fn handled(&self) {
        let left = self.unhandled.get().saturating_sub(1);
        self.unhandled.set(left);
        if left == 0 {
            self.wake();
        }
    }

    /// Pump: the shard has let go of the connection while this was being received. Where the connection moves,
    /// it belongs to the session that goes with it.
    pub fn received_late(&self, bytes: &[u8]) {
        for order in self.orders.borrow_mut().iter_mut() {
            if let Order::Move { session, .. } = order {
                session.input.extend(bytes);
                session.bytes_in += bytes.len() as u64;
            }
        }
    }

    /// Pump: what to do next, if anything.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        if let Some(order) = self.orders.borrow_mut().pop_front() {
            self.busy.set(true);
            return Poll::Ready(Next::Order(order));
        }
        self.busy.set(false);
        *self.waker.borrow_mut() = Some(context.waker().clone());
        if self.unhandled.get() == 0 && self.receiving.get() {
            return Poll::Ready(Next::Receive);
        }
        Poll::Pending
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{Input, Peer, Service};
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    #[test]
    fn what_is_received_while_the_shard_lets_go_goes_with_the_session() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let link = Link::new(ConnId(7), Arc::new(OwnedFd::from(socket)));
        link.received_late(b"nobody takes this");
        let peer = Peer { conn: 7, address: String::new(), service: Service::Imap, tls: false, opened_ms: 0 };
        let session = crate::shard::session::open(peer.clone());
        let mut input = Input::new();
        input.extend(b"a NOOP\r\n");
        let session =
            Box::new(MovedSession { session, input, peer, seeks: String::new(), bytes_in: 8, bytes_out: 0 });
        link.order(Order::Move { to: ShardId(1), session });
        link.received_late(b"b NOOP\r\n");
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Next::Order(Order::Move { session, .. })) = link.poll_next(&mut context) else {
            panic!("the order to move");
        };
        assert_eq!(session.input.bytes(), b"a NOOP\r\nb NOOP\r\n");
        assert_eq!(session.bytes_in, 16);
    }
}
