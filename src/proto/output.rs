//! The queue between a session's answers and the shard.
//!
//! *Owns*: the order of a session's outputs. *Promises*: text written piece by piece leaves as one run; what
//! is queued is counted against the room that the shard gave. *Assumes*: the session stops producing when the
//! queue is full and goes on at `resume`. *Never*: reorders, drops or looks at anything.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ringpost_engine::octets::Octets;

use crate::limits::{OUTPUT_BYTES_MAX, OUTPUT_PIECE_COST_BYTES};
use crate::proto::Output;

/// A session's outputs, oldest first.
#[derive(Debug)]
pub struct Outbox {
    queue: VecDeque<Output>,
    /// Text behind the queue that is still growing.
    text: BytesMut,
    queued: usize,
    room: usize,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox { queue: VecDeque::new(), text: BytesMut::new(), queued: 0, room: OUTPUT_BYTES_MAX }
    }
}

impl Outbox {
    /// Adds text; copied, because answers are short.
    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        self.text.extend_from_slice(text.as_ref());
        self.queued += text.as_ref().len();
    }

    /// Adds stored octets. They hold no memory of their own here and count as the bookkeeping they cost.
    pub fn octets(&mut self, octets: Octets) {
        if octets.len > 0 {
            self.push(Output::Octets(octets));
        }
    }

    /// Adds any other output behind the text so far.
    pub fn push(&mut self, output: Output) {
        self.end_text();
        self.queued += cost(&output);
        self.queue.push_back(output);
    }

    /// The next output.
    pub fn poll(&mut self) -> Option<Output> {
        if self.queue.is_empty() {
            self.end_text();
        }
        let output = self.queue.pop_front()?;
        self.queued -= cost(&output);
        Some(output)
    }

    /// How much the shard takes before the next [`Outbox::room`]; never more than `limits::OUTPUT_BYTES_MAX`.
    pub fn room(&mut self, room: usize) {
        self.room = room.min(OUTPUT_BYTES_MAX);
    }

    /// Whether the session must stop producing.
    pub fn is_full(&self) -> bool {
        self.queued >= self.room
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            // Already counted, octet by octet, while it grew.
            self.queue.push_back(Output::Bytes(Bytes::from(std::mem::take(&mut self.text))));
        }
    }
}

fn cost(output: &Output) -> usize {
    match output {
        Output::Bytes(bytes) => bytes.len(),
        _ => OUTPUT_PIECE_COST_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_joined_and_order_is_kept() {
        let mut out = Outbox::default();
        out.text("+OK ");
        out.text("ready\r\n");
        out.push(Output::Yield);
        out.text("later");
        assert!(matches!(out.poll(), Some(Output::Bytes(text)) if text == "+OK ready\r\n"));
        assert!(matches!(out.poll(), Some(Output::Yield)));
        assert!(matches!(out.poll(), Some(Output::Bytes(text)) if text == "later"));
        assert!(out.poll().is_none());
        assert_eq!(out.queued, 0);
    }

    #[test]
    fn the_room_bounds_what_is_queued() {
        let mut out = Outbox::default();
        out.room(8);
        out.text("1234567");
        assert!(!out.is_full());
        out.text("8");
        assert!(out.is_full());
        out.room(usize::MAX);
        out.text([b'x'; OUTPUT_BYTES_MAX]);
        assert!(out.is_full());
    }
}
