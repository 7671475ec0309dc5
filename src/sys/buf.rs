//! Receive buffers, used again and again.
//!
//! *Owns*: the spare buffers of a ring. *Promises*: a buffer comes back when the last slice of what it holds
//! is dropped; the number of spare ones is bounded. *Assumes*: whoever keeps received bytes for long copies
//! them.
//! *Never*: clears a buffer; only what was received is shown.

use std::sync::{Arc, Mutex, PoisonError};

/// Spare buffers; clones share them. (Locked, because bytes may be dropped on any thread; never waited for.)
#[derive(Clone)]
pub struct Buffers {
    spare: Arc<Mutex<Vec<Box<[u8]>>>>,
    buffer_bytes: usize,
    spare_max: usize,
}

/// A buffer and how much of it was received; `G` is let go with it.
pub struct Filled<G> {
    buffer: Box<[u8]>,
    len: usize,
    home: Buffers,
    _guard: G,
}

impl Buffers {
    /// Buffers of `buffer_bytes`, at most `spare_max` of which are kept while nobody uses them.
    pub fn new(buffer_bytes: usize, spare_max: usize) -> Buffers {
        Buffers { spare: Arc::default(), buffer_bytes, spare_max }
    }

    /// A spare buffer, or a new one.
    pub fn take(&self) -> Box<[u8]> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; self.buffer_bytes].into_boxed_slice())
    }

    /// What was received: the first `len` bytes. `guard` lives as long as the buffer is in use.
    pub fn filled<G>(&self, buffer: Box<[u8]>, len: usize, guard: G) -> Filled<G> {
        Filled { len: len.min(buffer.len()), buffer, home: self.clone(), _guard: guard }
    }
}

impl<G> Filled<G> {
    /// What was received.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.len]
    }
}

impl<G> AsRef<[u8]> for Filled<G> {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl<G> Drop for Filled<G> {
    fn drop(&mut self) {
        let mut spare = self.home.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.home.spare_max {
            spare.push(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_buffer_comes_back_with_the_last_slice() {
        let buffers = Buffers::new(16, 4);
        let mut buffer = buffers.take();
        buffer[..5].copy_from_slice(b"hello");
        let received = Bytes::from_owner(buffers.filled(buffer, 5, ()));
        let slice = received.slice(1..3);
        drop(received);
        assert_eq!(buffers.take()[..5], [0; 5], "the first is still in use");
        assert_eq!(slice, "el");
        drop(slice);
        assert_eq!(buffers.take()[..5], *b"hello", "here it is again");
    }

    #[test]
    fn spare_buffers_are_bounded() {
        let buffers = Buffers::new(16, 4);
        let many: Vec<_> = (0..13)
            .map(|_| {
                let buffer = buffers.take();
                buffers.filled(buffer, 0, ())
            })
            .collect();
        drop(many);
        assert_eq!(buffers.spare.lock().expect("unpoisoned").len(), 4);
    }
}
