//! One connection: moves its bytes, carries out its orders.
//!
//! *Owns*: the socket, what lies on it (TLS, compression), the wait for input. *Promises*: an idle
//! connection waits without a buffer; every operation on the socket has completed when the connection moves;
//! the client's last answer is not cut off.
//! *Assumes*: the shard orders one thing at a time (see [`Link`]). *Never*: looks at what it moves.
//!
//! What is not waiting is boxed, so that an idle connection's task holds no room for it.
//!
//! ```text
//!              ┌──────── order: send, warm, handshake ──► event ────────┐
//!              ▼                                                        │
//!  Accepted ─► wait ──readable──► receive ──► Received ──► handled ─────┤
//!              │ └───order: move──► cancel the wait ──► inbox           │
//!              └─────order: close─► close_notify, end sending, linger   │
//!              ▲────────────────────────────────────────────────────────┘
//! ```

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::compress::Inflater;
use super::core::{Core, Phase};
use super::inbox::{Moved, Parcel};
use super::link::{Link, Next, Order};
use super::ring::{self, Operation};
use super::send;
use super::tls::{Secured, Standing};
use crate::limits::{LINGER_MS, RECEIVE_COPY_BYTES_MAX, TLS_HANDSHAKE_MS};
use crate::proto::Service;
use crate::shard::event::{CloseReason, Event};
use crate::shard::session::MovedSession;
use crate::sys::buf::Filled;
use crate::sys::request;
use crate::sys::socket::{Direction, acknowledge_now, shut};

/// A connection's pump.
pub struct Pump {
    core: Rc<Core>,
    link: Rc<Link>,
    layers: Layers,
    /// The wait for input; stays under way while orders are carried out.
    readable: Option<Operation<()>>,
    /// The last receive said that there is more.
    more: bool,
    /// The client will send no more (end of file, close_notify); it may still wait for answers.
    ended: bool,
    /// Something was received and nothing sent since.
    unanswered: bool,
}

/// What lies between a socket and its session: the session's octets are deflated first, then encrypted
/// (rfc4978#3).
#[derive(Debug, Default)]
pub struct Layers {
    /// TLS, where it is on.
    tls: Option<Box<Secured>>,
    /// What inflates, where compression is on.
    inflater: Option<Box<Inflater>>,
}

impl Layers {
    /// Whether octets that were received wait to be inflated.
    fn hold_input(&self) -> bool {
        self.inflater.as_ref().is_some_and(|inflater| inflater.waits())
    }
}

/// Why nothing more will be received.
enum End {
    /// The client has ended its side.
    OfFile,
    /// The connection is of no use any more.
    Broken(CloseReason),
}

impl From<End> for CloseReason {
    fn from(end: End) -> CloseReason {
        match end {
            End::OfFile => CloseReason::Peer,
            End::Broken(why) => why,
        }
    }
}

/// What was received, in a buffer that counts as one in use.
type Received = Filled<OwnedSemaphorePermit>;

/// How a connection begins on this shard.
pub enum Start {
    /// A client connected.
    Accepted {
        /// To what.
        service: Service,
        /// From where.
        address: String,
        /// Whether TLS comes first.
        implicit_tls: bool,
    },
    /// A session came with it.
    Arrived(Box<MovedSession>),
}

/// Why a pump stops.
enum Stop {
    /// The shard said so and knows.
    Ordered,
    /// The shard must be told.
    Broken(CloseReason),
}

impl From<CloseReason> for Stop {
    fn from(why: CloseReason) -> Stop {
        Stop::Broken(why)
    }
}

impl Pump {
    /// A pump for `link`'s connection.
    pub fn new(core: Rc<Core>, link: Rc<Link>, layers: Layers) -> Pump {
        // A client that has said close_notify says nothing more, on this shard as on the one it came from.
        let ended = layers.tls.as_ref().is_some_and(|tls| tls.peer_closed());
        Pump { core, link, layers, readable: None, more: ended, ended, unanswered: false }
    }

    /// Runs until the connection ends or moves away.
    pub async fn run(mut self, start: Start) {
        match self.serve(start).await {
            Ok(never) => match never {},
            Err(Stop::Ordered) => {}
            Err(Stop::Broken(why)) => {
                shut(&self.link.socket, Direction::Both);
                self.core.broken(&self.link, why);
            }
        }
    }

    async fn serve(&mut self, start: Start) -> Result<std::convert::Infallible, Stop> {
        match start {
            Start::Accepted { service, address, implicit_tls } => {
                let early =
                    if implicit_tls { Some(Box::pin(self.first_handshake(&address)).await?) } else { None };
                let event = Event::Accepted { conn: self.link.conn, service, address, tls: implicit_tls };
                self.core.attach(&self.link, event);
                self.take_in(early.unwrap_or_default())?;
            }
            Start::Arrived(session) => self.core.attach(&self.link, Event::Arrived(session)),
        }
        loop {
            match self.next().await {
                Next::Order(order) => Box::pin(self.carry_out(order)).await?,
                Next::Receive => self.receive().await?,
            }
        }
    }

    /// The next order, or input. The wait for input is begun when there is nothing else, and then goes on.
    async fn next(&mut self) -> Next {
        let Pump { core, link, layers, readable, more, ended, unanswered } = self;
        poll_fn(|context| match link.poll_next(context) {
            Poll::Ready(Next::Receive) => {
                if *ended && core.owes(link.conn) {
                    // Its answer comes as an order, and the link has the waker.
                    return Poll::Pending;
                }
                if *more || layers.hold_input() {
                    return Poll::Ready(Next::Receive);
                }
                if std::mem::take(unanswered) && !core.owes(link.conn) {
                    acknowledge_now(&link.socket);
                }
                let wait = readable.get_or_insert_with(|| ring::submit(request::poll_readable(&link.socket)));
                match Pin::new(wait).poll(context) {
                    Poll::Ready(_) => {
                        *readable = None;
                        Poll::Ready(Next::Receive)
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
            other => other,
        })
        .await
    }

    /// Receives what is there and hands it over as plaintext.
    async fn receive(&mut self) -> Result<(), Stop> {
        if self.layers.hold_input() {
            return self.inflate();
        }
        if self.ended {
            return Err(CloseReason::Peer.into());
        }
        let mut filled = match Box::pin(self.receive_now()).await {
            Ok(Some(filled)) => filled,
            Ok(None) => return Ok(()),
            Err(End::OfFile) => {
                (self.ended, self.more) = (true, true);
                return Ok(());
            }
            Err(End::Broken(why)) => return Err(why.into()),
        };
        // What waits to be inflated must not keep a buffer that others need.
        let copy = filled.as_ref().len() <= RECEIVE_COPY_BYTES_MAX || self.layers.inflater.is_some();
        let bytes = match &mut self.layers.tls {
            None if copy => Bytes::copy_from_slice(filled.as_ref()),
            None => Bytes::from_owner(filled),
            Some(secured) => {
                let mut plaintext = Vec::new();
                let standing = secured.receive(filled.bytes_mut(), &mut plaintext);
                drop(filled);
                if secured.outgoing_len() > 0 {
                    // Also after an error: the alert tells the client.
                    Box::pin(send::flush(&self.link.socket, secured)).await?;
                }
                // What came before close_notify is handled first.
                self.ended = standing.map_err(CloseReason::Tls)? == Standing::PeerClosed;
                self.more |= self.ended;
                Bytes::from(plaintext)
            }
        };
        self.take_in(bytes)
    }

    /// Hands over what was received.
    fn take_in(&mut self, bytes: Bytes) -> Result<(), Stop> {
        match &mut self.layers.inflater {
            _ if bytes.is_empty() => Ok(()),
            None => {
                self.post_received(bytes);
                Ok(())
            }
            Some(inflater) if inflater.has_ended() => {
                Err(CloseReason::Compression("bytes behind the end of the stream".to_owned()).into())
            }
            Some(inflater) => {
                inflater.accept(bytes);
                self.inflate()
            }
        }
    }

    /// Hands over the next step of what waits to be inflated.
    fn inflate(&mut self) -> Result<(), Stop> {
        if let Some(inflater) = &mut self.layers.inflater {
            let plaintext = inflater.step().map_err(CloseReason::Compression)?;
            self.post_received(Bytes::from(plaintext));
        }
        Ok(())
    }

    /// What is there now, up to one buffer; none if there was nothing after all.
    async fn receive_now(&mut self) -> Result<Option<Received>, End> {
        let permit = self.core.receives.clone().acquire_owned().await;
        let permit = permit.map_err(|_| End::Broken(CloseReason::Stopping))?;
        let buffer = self.core.buffers.take();
        let room = buffer.len();
        let done = ring::submit(request::receive(&self.link.socket, buffer)).await;
        let received = done.result.as_ref().copied().unwrap_or(0);
        let filled = self.core.buffers.filled(done.data, received, permit);
        self.more = false;
        match done.result {
            Ok(0) => Err(End::OfFile),
            Ok(count) => {
                self.more = done.more || count == room;
                self.unanswered = true;
                Ok(Some(filled))
            }
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => Ok(None),
                std::io::ErrorKind::ConnectionReset => Err(End::Broken(CloseReason::Peer)),
                _ => Err(End::Broken(CloseReason::Error(format!("receiving: {error}")))),
            },
        }
    }

    /// Waits for input and receives it.
    async fn receive_next(&mut self) -> Result<Received, CloseReason> {
        loop {
            if !self.more {
                match self.readable.take() {
                    Some(wait) => wait.await,
                    None => ring::submit(request::poll_readable(&self.link.socket)).await,
                };
            }
            if let Some(filled) = self.receive_now().await? {
                return Ok(filled);
            }
        }
    }

    fn post_received(&self, bytes: Bytes) {
        let event = |bytes| Event::Received { conn: self.link.conn, bytes };
        if !bytes.is_empty() && !self.core.post_for(&self.link, event(bytes.clone())) {
            self.link.received_late(&bytes);
        }
    }

    async fn carry_out(&mut self, order: Order) -> Result<(), Stop> {
        let (socket, conn) = (&self.link.socket, self.link.conn);
        match order {
            Order::Send(pieces) => {
                self.unanswered = false;
                let tls = self.layers.tls.as_deref_mut();
                match self.layers.inflater {
                    None => send::send(socket, pieces, tls, &self.core.files).await?,
                    Some(_) => {
                        let Core { files, deflater, .. } = &*self.core;
                        Box::pin(send::send_deflated(socket, pieces, tls, files, deflater)).await?;
                    }
                }
                self.core.post_for(&self.link, Event::Sent { conn });
            }
            Order::Warm { extents, why } => {
                if let Err(what) = self.core.files.warm(&extents).await {
                    self.core.post(Event::Unreadable(what));
                }
                self.core.post_for(&self.link, Event::Warmed { conn, why });
            }
            Order::StartTls => {
                let early = self.handshake().await?;
                self.core.post_for(&self.link, Event::TlsStarted { conn });
                self.take_in(early)?;
            }
            Order::Compression(true) => self.layers.inflater = Some(Box::default()),
            Order::Compression(false) => {
                let ended = self.layers.inflater.take();
                self.post_received(ended.map_or_else(Bytes::new, |inflater| inflater.into_rest()));
            }
            Order::Close => {
                self.close().await;
                return Err(Stop::Ordered);
            }
            Order::Move { to, session } => {
                self.move_away(to, session).await;
                return Err(Stop::Ordered);
            }
        }
        Ok(())
    }

    /// Implicit TLS: the shard does not know of the client yet, so a failure is told here, and a drain ends
    /// it.
    async fn first_handshake(&mut self, address: &str) -> Result<Bytes, Stop> {
        let core = self.core.clone();
        let shaken = tokio::select! {
            shaken = self.handshake() => shaken,
            _ = core.reached_phase(Phase::Closed) => Err(CloseReason::Stopping),
        };
        shaken.map_err(|why| {
            core.never_accepted(self.link.conn, address, &why);
            shut(&self.link.socket, Direction::Both);
            Stop::Ordered
        })
    }

    /// The server's side of a handshake. Gives the plaintext that came right behind it.
    async fn handshake(&mut self) -> Result<Bytes, CloseReason> {
        let Some(settings) = self.core.tls.clone() else {
            return Err(CloseReason::Tls("no certificate is set up".to_owned()));
        };
        let mut secured = Box::new(Secured::new(&settings).map_err(CloseReason::Tls)?);
        let mut plaintext = Vec::new();
        let shaking = async {
            loop {
                let mut filled = self.receive_next().await?;
                let standing = secured.receive(filled.bytes_mut(), &mut plaintext);
                drop(filled);
                send::flush(&self.link.socket, &mut secured).await?;
                match standing.map_err(CloseReason::Tls)? {
                    Standing::Handshaking => {}
                    Standing::Open => return Ok(()),
                    Standing::PeerClosed => return Err(CloseReason::Peer),
                }
            }
        };
        match timeout(Duration::from_millis(TLS_HANDSHAKE_MS), shaking).await {
            Ok(done) => done?,
            Err(_) => return Err(CloseReason::Tls("the handshake took too long".to_owned())),
        }
        self.layers.tls = Some(secured);
        Ok(Bytes::from(plaintext))
    }

    /// Ends the connection so that the client gets all that was sent: closing a socket with unread input
    /// would tell the client's kernel to drop what it has not delivered yet.
    async fn close(&mut self) {
        let linger = async {
            if let Some(secured) = &mut self.layers.tls
                && secured.close().is_ok()
                && send::flush(&self.link.socket, secured).await.is_err()
            {
                return;
            }
            shut(&self.link.socket, Direction::Send);
            // Ends with the client's end of file, or its error.
            while self.receive_next().await.is_ok() {}
        };
        // Elapsing is no error: a client that goes on sending, or does nothing, is cut off.
        timeout(Duration::from_millis(LINGER_MS), linger).await.unwrap_or_default();
        shut(&self.link.socket, Direction::Both);
    }

    /// Hands the connection over, with no operation under way.
    async fn move_away(&mut self, to: ringpost_engine::ids::ShardId, session: Box<MovedSession>) {
        if let Some(wait) = self.readable.take() {
            // Completes either way: cancelled, or readable in the meantime; the new shard will see the
            // latter.
            ring::submit(request::cancel(&self.link.socket)).await;
            wait.await;
        }
        let socket = self.link.socket.clone();
        let layers = std::mem::take(&mut self.layers);
        let moved = Moved { conn: self.link.conn, socket, layers, session };
        self.core.send_parcel(to, Parcel::Moved(Box::new(moved)));
    }
}
