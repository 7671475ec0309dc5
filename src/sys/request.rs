//! Operations for the ring, each with everything that the kernel touches while it is under way.
//!
//! *Owns*: submission entries and the buffers behind their pointers. *Promises*: a request's pointers lead
//! into its own heap data or into bytes that it keeps alive, and its descriptor stays open until the data is
//! dropped.
//! *Assumes*: whoever submits keeps the data until the completion (`UnsubmittedOneshot` does, also when its
//! future is dropped). *Never*: submits.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use io_uring::squeue::Entry;
use io_uring::{opcode, types};

/// A descriptor that operations keep open.
pub type Descriptor = Arc<OwnedFd>;

/// Slices that one gathered operation takes at most (the kernel's IOV_MAX).
pub const GATHER_SLICES_MAX: usize = 1024;

/// An operation not yet submitted.
pub struct Request<D> {
    entry: Entry,
    data: Held<D>,
}

/// What an operation keeps until its completion.
pub struct Held<D> {
    /// The caller's part.
    pub value: D,
    _descriptor: Descriptor,
}

impl<D> Request<D> {
    fn new(entry: Entry, descriptor: &Descriptor, value: D) -> Request<D> {
        Request { entry, data: Held { value, _descriptor: descriptor.clone() } }
    }

    /// The entry and what must live until its completion.
    pub fn into_parts(self) -> (Entry, Held<D>) {
        (self.entry, self.data)
    }
}

fn target(descriptor: &Descriptor) -> types::Fd {
    types::Fd(descriptor.as_raw_fd())
}

/// Receives what is there, up to `buffer.len()` bytes; never waits (`WouldBlock`).
pub fn receive(socket: &Descriptor, mut buffer: Box<[u8]>) -> Request<Box<[u8]>> {
    let entry = opcode::Recv::new(target(socket), buffer.as_mut_ptr(), bounded(buffer.len()))
        .flags(libc::MSG_DONTWAIT)
        .build();
    Request::new(entry, socket, buffer)
}

/// Waits until there is something to receive (or the peer is gone), without a buffer.
pub fn poll_readable(socket: &Descriptor) -> Request<()> {
    let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
    Request::new(opcode::PollAdd::new(target(socket), events).build(), socket, ())
}

/// Sends what is left of `gather`, as far as the socket takes it.
pub fn send(socket: &Descriptor, mut gather: Gather) -> Request<Gather> {
    gather.lay_out();
    let entry = opcode::SendMsg::new(target(socket), &raw const *gather.header)
        .flags(libc::MSG_NOSIGNAL as u32)
        .build();
    Request::new(entry, socket, gather)
}

/// Writes what is left of `gather` at `offset`. With `durable`, completes when the bytes have reached the
/// medium (RWF_DSYNC: data, and the metadata that reading it back needs).
pub fn write(file: &Descriptor, mut gather: Gather, offset: u64, durable: bool) -> Request<Gather> {
    gather.lay_out();
    let entry = opcode::Writev::new(target(file), gather.slices.as_ptr(), gather.slices.len() as u32)
        .offset(offset)
        .rw_flags(if durable { libc::RWF_DSYNC } else { 0 })
        .build();
    Request::new(entry, file, gather)
}

/// Makes the file's data durable.
pub fn sync_data(file: &Descriptor) -> Request<()> {
    let entry = opcode::Fsync::new(target(file)).flags(types::FsyncFlags::DATASYNC).build();
    Request::new(entry, file, ())
}

/// Reads up to `buffer.len()` bytes at `offset` (0 for what has no position).
pub fn read(file: &Descriptor, mut buffer: Box<[u8]>, offset: u64) -> Request<Box<[u8]>> {
    let entry =
        opcode::Read::new(target(file), buffer.as_mut_ptr(), bounded(buffer.len())).offset(offset).build();
    Request::new(entry, file, buffer)
}

/// Cancels every operation under way on a descriptor.
pub fn cancel(descriptor: &Descriptor) -> Request<()> {
    let which = types::CancelBuilder::fd(target(descriptor)).all();
    Request::new(opcode::AsyncCancel2::new(which).build(), descriptor, ())
}

fn bounded(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Bytes in several places that leave one after the other.
pub struct Gather {
    parts: std::collections::VecDeque<Bytes>,
    slices: Vec<libc::iovec>,
    header: Box<libc::msghdr>,
}

impl Gather {
    /// All of `parts`, in order; empty ones are left out.
    pub fn new(parts: impl IntoIterator<Item = Bytes>) -> Gather {
        // SAFETY: all zeroes is valid for this plain struct; `lay_out` fills it in before use.
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let parts = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Gather { parts, slices: Vec::new(), header: Box::new(header) }
    }

    /// How many parts are left.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Whether everything has left.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Drops the first `count` bytes: they have left.
    pub fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.parts.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.parts.pop_front();
        }
    }

    /// Points the slices at what is left, at most [`GATHER_SLICES_MAX`] of them.
    fn lay_out(&mut self) {
        self.slices.clear();
        self.slices.extend(
            self.parts
                .iter()
                .take(GATHER_SLICES_MAX)
                .map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() }),
        );
        self.header.msg_iov = self.slices.as_mut_ptr();
        self.header.msg_iovlen = self.slices.len() as _;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gather_loses_exactly_what_left() {
        let mut gather = Gather::new(["ab", "", "cde", "f"].map(|text| Bytes::from_static(text.as_bytes())));
        gather.advance(3);
        gather.lay_out();
        let left: Vec<_> = gather.slices.iter().map(|slice| slice.iov_len).collect();
        assert_eq!(left, [2, 1]);
        assert_eq!(gather.header.msg_iovlen, 2);
        gather.advance(3);
        assert!(gather.is_empty());
    }

    #[test]
    fn a_gather_offers_no_more_slices_than_the_kernel_takes() {
        let mut gather = Gather::new((0..GATHER_SLICES_MAX + 5).map(|_| Bytes::from_static(b"x")));
        gather.lay_out();
        assert_eq!(gather.slices.len(), GATHER_SLICES_MAX);
        assert_eq!(gather.parts(), GATHER_SLICES_MAX + 5);
    }
}
