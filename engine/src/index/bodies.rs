//! Where the bodies are.
//!
//! *Owns*: body id → extents, references, bringer. *Promises*: a body is known as long as its bytes are in
//! the log; its references equal the messages that show it (I16); 48 bytes a body, none of them moved when
//! another arrives. *Assumes*: bodies become known in order of their ids, for ids are log positions. *Never*:
//! touches the bytes.
//!
//! ```text
//!  starts: first id of each chunk ──► chunk: ids, close together ──► bodies, in the same places
//! ```
//!
//! A look-up halves `starts`, then the ids of one chunk, which are 8 KiB: for neighbours, one after the other, both
//! are at hand, and only the body itself is new.

use super::digest::Digest;
use crate::ids::{AccountId, BodyId, SegmentId};
use crate::io::Extent;
use crate::store::BodyRef;

/// Bodies in one chunk; a chunk is allocated whole and never grows.
const CHUNK_BODIES: usize = 1024;

/// One stored body. The summary stands before the octets in the same record.
#[derive(Clone, Copy, Debug)]
struct Body {
    account: AccountId,
    segment: SegmentId,
    summary_at: u64,
    summary_len: u32,
    /// From the summary's first byte to the octets' first.
    bytes_skip: u32,
    bytes_len: u32,
    references: u32,
}

/// Bodies whose ids follow each other.
#[derive(Debug)]
struct Chunk {
    /// Ascending.
    ids: Vec<BodyId>,
    /// Of these ids.
    bodies: Vec<Body>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    /// The first id of each chunk.
    starts: Vec<BodyId>,
    chunks: Vec<Chunk>,
    /// Octets of the bodies that have a reference.
    bytes: u64,
    /// Chunk and place behind the body that was found last: those of neighbours are neighbours.
    next: (usize, usize),
}

impl Bodies {
    /// Octets of the bodies that some mailbox shows, each once.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, id: BodyId) -> Option<BodyRef> {
        let body = self.find(id).map(|(chunk, place)| self.chunks[chunk].bodies[place])?;
        let octets_at = body.summary_at + u64::from(body.bytes_skip);
        Some(BodyRef {
            bytes: Extent { segment: body.segment, offset: octets_at, len: body.bytes_len },
            summary: Extent { segment: body.segment, offset: body.summary_at, len: body.summary_len },
        })
    }

    /// Makes a body known. Its id is greater than all before.
    pub(super) fn insert(&mut self, id: BodyId, account: AccountId, at: BodyRef) {
        let last = self.chunks.last().and_then(|chunk| chunk.ids.last());
        assert!(last.is_none_or(|&last| last < id), "I12: body ids only grow");
        assert_eq!(at.summary.segment, at.bytes.segment, "a body record lies in one segment");
        let body = Body {
            account,
            segment: at.summary.segment,
            summary_at: at.summary.offset,
            summary_len: at.summary.len,
            bytes_skip: u32::try_from(at.bytes.offset - at.summary.offset).expect("one record, within 4 GiB"),
            bytes_len: at.bytes.len,
            references: 0,
        };
        if self.chunks.last().is_none_or(|chunk| chunk.ids.len() == CHUNK_BODIES) {
            self.starts.push(id);
            let (ids, bodies) = (Vec::with_capacity(CHUNK_BODIES), Vec::with_capacity(CHUNK_BODIES));
            self.chunks.push(Chunk { ids, bodies });
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.ids.push(id);
            chunk.bodies.push(body);
        }
    }

    /// One more message shows the body.
    pub(super) fn reference(&mut self, id: BodyId) {
        let body = self.known(id);
        body.references += 1;
        let shown_first = if body.references == 1 { u64::from(body.bytes_len) } else { 0 };
        self.bytes += shown_first;
    }

    /// One message less shows the body.
    pub(super) fn release(&mut self, id: BodyId) {
        let body = self.known(id);
        body.references = body.references.checked_sub(1).expect("I16: a shown body has a reference");
        let shown_last = if body.references == 0 { u64::from(body.bytes_len) } else { 0 };
        self.bytes -= shown_last;
    }

    fn known(&mut self, id: BodyId) -> &mut Body {
        let (chunk, place) = self.next;
        let is_next = self.chunks.get(chunk).and_then(|chunk| chunk.ids.get(place)) == Some(&id);
        let found = if is_next { Some(self.next) } else { self.find(id) };
        let (chunk, place) = found.expect("I16: a shown body is known");
        self.next = if place + 1 < CHUNK_BODIES { (chunk, place + 1) } else { (chunk + 1, 0) };
        &mut self.chunks[chunk].bodies[place]
    }

    fn find(&self, id: BodyId) -> Option<(usize, usize)> {
        let chunk = self.starts.partition_point(|&start| start <= id).checked_sub(1)?;
        let place = self.chunks[chunk].ids.binary_search(&id).ok()?;
        Some((chunk, place))
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.bytes);
        for (id, body) in self.chunks.iter().flat_map(|chunk| chunk.ids.iter().zip(&chunk.bodies)) {
            digest.word(id.0);
            digest.word(body.account.0);
            digest.word(body.segment.0);
            digest.word(body.summary_at);
            digest.word(u64::from(body.summary_len) << 32 | u64::from(body.bytes_skip));
            digest.word(u64::from(body.bytes_len) << 32 | u64::from(body.references));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> BodyRef {
        let segment = SegmentId(1);
        BodyRef {
            summary: Extent { segment, offset, len: 10 },
            bytes: Extent { segment, offset: offset + 12, len: 100 },
        }
    }

    #[test]
    fn bodies_are_found_across_chunks_and_counted_once() {
        let mut bodies = Bodies::default();
        let count = 3 * CHUNK_BODIES as u64 + 1;
        for n in 1..=count {
            bodies.insert(BodyId(10 * n), AccountId(1), at(1000 * n));
        }
        for n in 1..=count {
            assert_eq!(bodies.get(BodyId(10 * n)), Some(at(1000 * n)));
            assert_eq!(bodies.get(BodyId(10 * n - 1)), None);
        }
        assert_eq!(bodies.bytes(), 0);
        for id in [10, 10, 20] {
            bodies.reference(BodyId(id));
        }
        assert_eq!(bodies.bytes(), 200);
        bodies.release(BodyId(10));
        assert_eq!(bodies.bytes(), 200);
        bodies.release(BodyId(10));
        assert_eq!(bodies.bytes(), 100);
        assert_eq!(bodies.get(BodyId(10)), Some(at(1000)), "unshown, but its bytes are in the log");
    }
}
