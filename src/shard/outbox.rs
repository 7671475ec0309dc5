//! Output on its way to one client.
//!
//! *Owns*: the pieces not yet handed over. *Promises*: order; small pieces are joined, a lone one is not
//! copied, runs of the log are never touched; octets that are kept compressed are unfolded as the client takes them,
//! `UNFOLD_BYTES_MAX` ahead of it. *Assumes*: the session keeps to its bound. *Never*: looks at mapped bytes.
//!
//! ```text
//!  push_folded ─► Folded ──next_to_unfold: brought in──► Asked ──unfold──► Piece::Bytes ──take──► sent
//! ```

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use ringpost_engine::io::Extent;
use ringpost_engine::octets::Octets;

use crate::limits::{JOIN_BYTES_MAX, OUTPUT_PIECE_COST_BYTES, SEND_PIECES_MAX, UNFOLD_BYTES_MAX};
use crate::shard::event::Piece;

/// Pieces in order; empty most of the time, and then without memory of its own.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    done: VecDeque<Next>,
    /// Small pieces that still grow; stands behind all of `done`.
    open: Tail,
    held: usize,
}

/// What goes next.
#[derive(Debug)]
enum Next {
    Piece(Piece),
    /// Compressed.
    Folded(Octets),
    /// Compressed, and being brought in.
    Asked(Octets),
}

#[derive(Debug, Default)]
enum Tail {
    #[default]
    None,
    One(Bytes),
    Joined(BytesMut),
}

impl Outbox {
    /// Octets of memory that what waits costs: those the session made, and the bookkeeping of a mapped run.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Adds octets that the session made.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.held += bytes.len();
        self.open = match std::mem::take(&mut self.open) {
            Tail::None => Tail::One(bytes),
            Tail::One(first) if first.len() + bytes.len() <= JOIN_BYTES_MAX => {
                let mut joined = BytesMut::with_capacity((first.len() + bytes.len()).next_power_of_two());
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&bytes);
                Tail::Joined(joined)
            }
            Tail::Joined(mut joined) if joined.len() + bytes.len() <= JOIN_BYTES_MAX => {
                joined.extend_from_slice(&bytes);
                Tail::Joined(joined)
            }
            full => {
                self.open = full;
                self.seal();
                Tail::One(bytes)
            }
        };
    }

    /// Adds a run of the log.
    pub fn push_mapped(&mut self, extent: Extent, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.held += OUTPUT_PIECE_COST_BYTES;
        self.seal();
        self.done.push_back(Next::Piece(Piece::Mapped { extent, bytes }));
    }

    /// Adds octets that are kept compressed.
    pub fn push_folded(&mut self, octets: Octets) {
        self.held += OUTPUT_PIECE_COST_BYTES;
        self.seal();
        self.done.push_back(Next::Folded(octets));
    }

    /// What of the next send has to be unfolded, and brought in before; `UNFOLD_BYTES_MAX` at most.
    pub fn next_to_unfold(&mut self) -> Vec<Octets> {
        let (mut asked, mut room) = (Vec::new(), UNFOLD_BYTES_MAX);
        for at in 0..self.done.len().min(SEND_PIECES_MAX) {
            let Next::Folded(octets) = self.done[at] else { continue };
            if room == 0 {
                break;
            }
            let now = octets.slice(0, room);
            asked.push(now);
            room -= now.len;
            self.done[at] = Next::Asked(now);
            if now.len < octets.len {
                self.held += OUTPUT_PIECE_COST_BYTES;
                self.done.insert(at + 1, Next::Folded(octets.slice(now.len, octets.len)));
                break;
            }
        }
        asked
    }

    /// Puts the octets that were asked for in their places.
    ///
    /// # Errors
    /// Octets that cannot be had.
    pub fn unfold(&mut self, octets: impl Fn(Octets) -> Option<Bytes>) -> Result<(), Octets> {
        for next in &mut self.done {
            if let Next::Asked(asked) = next {
                let bytes = octets(*asked).ok_or(*asked)?;
                self.held = self.held - OUTPUT_PIECE_COST_BYTES + bytes.len();
                *next = Next::Piece(Piece::Bytes(bytes));
            }
        }
        Ok(())
    }

    /// Takes out what one send carries, with its octets: made, mapped. Nothing behind what is still folded.
    pub fn take(&mut self) -> (Vec<Piece>, usize, usize) {
        self.seal();
        let ready = self.done.iter().take(SEND_PIECES_MAX).take_while(|next| matches!(next, Next::Piece(_)));
        let count = ready.count();
        let piece = |next| match next {
            Next::Piece(piece) => Some(piece),
            Next::Folded(_) | Next::Asked(_) => None,
        };
        let pieces: Vec<Piece> = self.done.drain(..count).filter_map(piece).collect();
        if self.done.is_empty() {
            self.done = VecDeque::new();
        }
        let (mut made, mut mapped) = (0, 0);
        for piece in &pieces {
            match piece {
                Piece::Bytes(bytes) => {
                    made += bytes.len();
                    self.held -= bytes.len();
                }
                Piece::Mapped { bytes, .. } => {
                    mapped += bytes.len();
                    self.held -= OUTPUT_PIECE_COST_BYTES;
                }
            }
        }
        (pieces, made, mapped)
    }

    fn seal(&mut self) {
        match std::mem::take(&mut self.open) {
            Tail::None => {}
            Tail::One(bytes) => self.done.push_back(Next::Piece(Piece::Bytes(bytes))),
            Tail::Joined(joined) => self.done.push_back(Next::Piece(Piece::Bytes(joined.freeze()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use ringpost_engine::ids::SegmentId;
    use ringpost_engine::io::FileId;

    use super::*;

    fn extent(len: u32) -> Extent {
        Extent { file: FileId::Segment(SegmentId(1)), offset: 0, len }
    }

    #[test]
    fn a_lone_piece_is_not_copied() {
        let mut outbox = Outbox::default();
        let piece = Bytes::from(vec![b'x'; 100]);
        let at = piece.as_ptr();
        outbox.push(piece);
        let (pieces, made, mapped) = outbox.take();
        assert!(matches!(&pieces[..], [Piece::Bytes(bytes)] if bytes.as_ptr() == at));
        assert_eq!((made, mapped, outbox.held()), (100, 0, 0));
    }

    #[test]
    fn small_pieces_join_around_mapped_ones() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"* 1 FETCH "));
        outbox.push(Bytes::from_static(b"{3}\r\n"));
        outbox.push_mapped(extent(3), Bytes::from_static(b"abc"));
        outbox.push(Bytes::from_static(b")"));
        outbox.push(Bytes::new());
        outbox.push(Bytes::from_static(b"\r\n"));
        let (pieces, made, mapped) = outbox.take();
        let shown: Vec<&[u8]> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) | Piece::Mapped { bytes, .. } => &bytes[..],
            })
            .collect();
        assert_eq!(shown, [&b"* 1 FETCH {3}\r\n"[..], b"abc", b")\r\n"]);
        assert_eq!((made, mapped), (18, 3));
        assert!(outbox.is_empty());
    }

    #[test]
    fn one_send_has_a_bounded_number_of_pieces() {
        let mut outbox = Outbox::default();
        for _ in 0..SEND_PIECES_MAX + 3 {
            outbox.push_mapped(extent(1), Bytes::from_static(b"m"));
        }
        assert_eq!(outbox.take().0.len(), SEND_PIECES_MAX);
        assert_eq!(outbox.held(), 3 * OUTPUT_PIECE_COST_BYTES);
        assert_eq!(outbox.take().0.len(), 3);
        assert!(outbox.take().0.is_empty());
    }

    #[test]
    fn large_pieces_stay_apart() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from(vec![0; JOIN_BYTES_MAX]));
        outbox.push(Bytes::from_static(b"x"));
        outbox.push(Bytes::from_static(b"y"));
        let (pieces, made, _) = outbox.take();
        assert_eq!((pieces.len(), made), (2, JOIN_BYTES_MAX + 2));
    }
}
