//! What a session has to say, until the shard takes it.
//!
//! *Owns*: the order of outputs and how much may still be queued. *Promises*: text between two other
//! outputs leaves as one piece; prefixes of many replies share one allocation. *Assumes*: whoever writes
//! asks [`Out::has_room`] between two replies, so one reply may exceed the allowance, never two. *Never*:
//! looks at stored octets.

use std::collections::VecDeque;

use bytes::BytesMut;
use ringpost_engine::octets::Octets;

use super::write;
use crate::limits::OUTPUT_BYTES_MAX;
use crate::proto::Output;

/// The queue between commands and the shard.
#[derive(Debug)]
pub struct Out {
    ready: VecDeque<Output>,
    text: BytesMut,
    /// Octets handed to `ready` since the allowance was set.
    queued: usize,
    allowance: usize,
    /// The client enabled UTF-8 in mailbox names.
    utf8_names: bool,
}

impl Default for Out {
    fn default() -> Out {
        Out {
            ready: VecDeque::new(),
            text: BytesMut::new(),
            queued: 0,
            allowance: OUTPUT_BYTES_MAX,
            utf8_names: false,
        }
    }
}

impl Out {
    /// Begins a call in which at most `room` octets should be queued.
    pub fn allow(&mut self, room: usize) {
        self.allowance = room.min(OUTPUT_BYTES_MAX);
        self.queued = 0;
    }

    /// Whether another reply may be begun.
    pub fn has_room(&self) -> bool {
        self.queued + self.text.len() < self.allowance
    }

    /// Where replies are written.
    pub fn text(&mut self) -> &mut BytesMut {
        &mut self.text
    }

    /// Adds octets.
    pub fn put(&mut self, octets: &[u8]) {
        self.text.extend_from_slice(octets);
    }

    /// Adds one line and its end.
    pub fn line(&mut self, line: &str) {
        self.text.extend_from_slice(line.as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    /// Adds a mailbox name in the client's spelling.
    pub fn mailbox(&mut self, name: &str) {
        write::mailbox(&mut self.text, name, self.utf8_names);
    }

    /// From now on mailbox names are written in UTF-8, or in modified UTF-7.
    pub fn spell_names_in_utf8(&mut self, utf8: bool) {
        self.utf8_names = utf8;
    }

    /// Adds stored octets, behind the text so far.
    pub fn octets(&mut self, octets: impl Into<Octets>) {
        let octets = octets.into();
        if octets.len > 0 {
            self.queued += octets.len as usize;
            self.push(Output::Octets(octets));
        }
    }

    /// Adds any other output, behind the text so far.
    pub fn push(&mut self, output: Output) {
        self.flush();
        self.ready.push_back(output);
    }

    /// The next output in order.
    pub fn poll(&mut self) -> Option<Output> {
        if self.ready.is_empty() {
            self.flush();
        }
        let next = self.ready.pop_front();
        if next.is_none() {
            // An idle session keeps no buffers.
            self.ready = VecDeque::new();
            self.text = BytesMut::new();
        }
        next
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.queued += self.text.len();
            self.ready.push_back(Output::Bytes(self.text.split().freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::ids::SegmentId;
    use ringpost_engine::io::{Extent, FileId};

    #[test]
    fn text_joins_and_keeps_its_place_among_others() {
        let mut out = Out::default();
        out.put(b"* 1 FETCH (BODY[] {3}\r\n");
        out.octets(Extent { file: FileId::Segment(SegmentId(1)), offset: 8, len: 3 });
        out.put(b")\r\n");
        out.line("a OK done");
        let mut shown = Vec::new();
        while let Some(output) = out.poll() {
            shown.push(match output {
                Output::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(shown.len(), 3);
        assert_eq!(shown[0], "* 1 FETCH (BODY[] {3}\r\n");
        assert_eq!(shown[2], ")\r\na OK done\r\n");
    }

    #[test]
    fn room_ends_with_the_allowance_and_comes_back_with_a_new_one() {
        let mut out = Out::default();
        out.allow(10);
        out.put(b"12345");
        assert!(out.has_room());
        out.octets(Extent { file: FileId::Segment(SegmentId(1)), offset: 8, len: 5 });
        assert!(!out.has_room());
        out.allow(usize::MAX);
        assert!(out.has_room());
        out.octets(Extent { file: FileId::Segment(SegmentId(1)), offset: 8, len: OUTPUT_BYTES_MAX as u32 });
        assert!(!out.has_room(), "no call gets more than the bound");
    }
}
