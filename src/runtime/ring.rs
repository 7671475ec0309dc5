//! Submits operations to this thread's ring.
//!
//! *Owns*: the ring's settings and the count of operations under way. *Promises*: an operation's data lives
//! until its completion, also when nobody waits for it any more. *Assumes*: it is called on a thread inside
//! [`run`].
//! *Never*: knows what an operation is for.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use io_uring::cqueue;
use tokio_uring::{InFlightOneshot, OneshotOutputTransform, UnsubmittedOneshot};

use crate::limits::{RING_COMPLETIONS, RING_END_MS, RING_SUBMISSIONS};
use crate::sys::request::{Held, Request};

thread_local! {
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
}

/// The settings of every ring: no task work by interrupt, one submitting thread (Linux 6.0).
pub fn settings() -> io_uring::Builder {
    let mut settings = tokio_uring::uring_builder();
    settings.setup_cqsize(RING_COMPLETIONS).setup_coop_taskrun().setup_single_issuer();
    settings
}

/// Runs `main` on this thread with a ring of its own. Before it returns, every operation must have
/// completed: the driver would otherwise free buffers that the kernel still writes to. `end` is asked to
/// make the rest complete.
///
/// # Errors
/// Operations are still under way `RING_END_MS` after `main`: leave the process, do not return to other work.
pub fn run<T>(main: impl Future<Output = T>) -> Result<T, usize> {
    tokio_uring::builder().entries(RING_SUBMISSIONS).uring_builder(&settings()).start(async {
        let result = main.await;
        let end = Instant::now() + Duration::from_millis(RING_END_MS);
        while under_way() > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        match under_way() {
            0 => Ok(result),
            left => Err(left),
        }
    })
}

/// Operations of this thread that have not completed.
pub fn under_way() -> usize {
    UNDER_WAY.with(Cell::get)
}

/// How an operation ended.
pub struct Done<D> {
    /// The operation's number of bytes (or descriptor), or its error.
    pub result: io::Result<usize>,
    /// Whether the socket had more to receive.
    pub more: bool,
    /// What the kernel had, back again.
    pub data: D,
}

/// An operation under way. Dropping it does not cancel it.
pub struct Operation<D: Unpin + 'static>(InFlightOneshot<Counted<D>, Finish<D>>);

/// Hands an operation to the ring; it leaves when the thread parks, with all others.
pub fn submit<D: Unpin + 'static>(request: Request<D>) -> Operation<D> {
    let (entry, held) = request.into_parts();
    let counted = Counted { held, _token: Token::new() };
    Operation(UnsubmittedOneshot::new(counted, Finish(std::marker::PhantomData), entry).submit())
}

impl<D: Unpin + 'static> Future for Operation<D> {
    type Output = Done<D>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done<D>> {
        Pin::new(&mut self.0).poll(context)
    }
}

/// An operation's data; counted as long as it lives, which is until the completion.
struct Counted<D> {
    held: Held<D>,
    _token: Token,
}

struct Token;

impl Token {
    fn new() -> Token {
        UNDER_WAY.with(|count| count.set(count.get() + 1));
        Token
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        UNDER_WAY.with(|count| count.set(count.get() - 1));
    }
}

struct Finish<D>(std::marker::PhantomData<fn() -> D>);

impl<D> OneshotOutputTransform for Finish<D> {
    type Output = Done<D>;
    type StoredData = Counted<D>;

    fn transform_oneshot_output(self, data: Counted<D>, completion: cqueue::Entry) -> Done<D> {
        let result = match usize::try_from(completion.result()) {
            Ok(value) => Ok(value),
            Err(_) => Err(io::Error::from_raw_os_error(-completion.result())),
        };
        Done { result, more: cqueue::sock_nonempty(completion.flags()), data: data.held.value }
    }
}
