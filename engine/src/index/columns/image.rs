//! The rows of a block as bytes.
//!
//! *Owns*: their encoding: each column by itself, most as differences to the row before (README §10.1).
//! *Promises*: what is read has as many rows as it is said to have, and ascending UIDs. *Assumes*: the sum was
//! verified. *Never*: knows where the bytes are.

use super::block::Block;
use crate::change::FlagBits;
use crate::checkpoint::wire::{Wire, put, put_from};
use crate::ids::{BodyId, EmailId, ModSeq, Uid};
use crate::index::Message;
use crate::limits::{MODSEQ_MAX, SUMMARY_BYTES_MAX};

/// Appends the rows of a block.
pub(super) fn encode(block: &Block, out: &mut Vec<u8>) {
    let mut before = ORIGIN;
    for message in block.messages() {
        put(out, u64::from(message.uid.0 - before.uid.0));
        put_from(out, before.modseq.0, message.modseq.0);
        put(out, message.flags.0);
        put(out, u64::from(message.size));
        put(out, u64::from(message.summary_len));
        put_from(out, before.internal_ms / 1000, message.internal_ms / 1000);
        put_from(out, message.internal_ms / 1000, message.saved_ms / 1000);
        put_from(out, before.body.0, message.body.0);
        before = message;
    }
    let mut before = 0;
    for &name in block.names() {
        put_from(out, before, name);
        before = name;
    }
}

const ORIGIN: Message = Message {
    uid: Uid(0),
    modseq: ModSeq(0),
    flags: FlagBits(0),
    size: 0,
    summary_len: 0,
    internal_ms: 0,
    saved_ms: 0,
    body: BodyId(0),
    known_as: EmailId(0),
};

/// Reads so many rows; none when the bytes are not those of so many.
pub(super) fn decode(bytes: &[u8], rows: usize) -> Option<Block> {
    let mut wire = Wire::new(bytes);
    // A row takes a byte for each of its columns at least.
    let mut block = Block::with_room(rows.min(bytes.len() / 8));
    let mut before = ORIGIN;
    for _ in 0..rows {
        let uid = before.uid.0.checked_add(wire.word()?).filter(|&uid| uid > before.uid.0)?;
        let modseq = wire.number_from(before.modseq.0).filter(|&modseq| modseq <= MODSEQ_MAX)?;
        let flags = FlagBits(wire.number()?);
        let size = wire.word()?;
        let summary_len = wire.word().filter(|&len| len as usize <= SUMMARY_BYTES_MAX)?;
        let internal = wire.number_from(before.internal_ms / 1000)?;
        let saved = wire.number_from(internal)?;
        let message = Message {
            uid: Uid(uid),
            modseq: ModSeq(modseq),
            flags,
            size,
            summary_len,
            internal_ms: internal.checked_mul(1000)?,
            saved_ms: saved.checked_mul(1000)?,
            body: BodyId(wire.number_from(before.body.0)?),
            known_as: EmailId(0),
        };
        block.push(message);
        before = message;
    }
    // Only a block with rows that came from another shard has more.
    let mut name = 0;
    if !wire.is_empty() {
        for row in 0..rows {
            name = wire.number_from(name)?;
            block.set_name(row, EmailId(name));
        }
    }
    wire.is_empty().then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(names_of: &[u64]) -> Block {
        let mut block = Block::default();
        for (row, &name) in names_of.iter().enumerate() {
            let body = BodyId(100 + row as u64);
            block.push(Message { uid: Uid(row as u32 + 1), body, known_as: EmailId(name), ..ORIGIN });
        }
        block
    }

    fn names_of(block: &Block) -> Vec<u64> {
        block.messages().map(|message| message.known_as.0).collect()
    }

    #[test]
    fn where_octets_were_stored_first_is_kept_and_costs_those_only_who_came() {
        for kept in [&[0, 0, 0][..], &[7, 1 << 60, 0], &[0, 0, 9], &[5, 0, 0]] {
            let mut bytes = Vec::new();
            encode(&block(kept), &mut bytes);
            let read = decode(&bytes, kept.len()).expect("what was encoded");
            assert_eq!((names_of(&read), read.names().is_empty()), (kept.to_vec(), kept == [0, 0, 0]));
            assert!(decode(&bytes[..bytes.len() - 1], kept.len()).is_none());
        }
        let mut merged = block(&[0, 0]);
        merged.absorb(&mut Block::default());
        merged.remove(&[0]);
        assert_eq!(names_of(&merged), [0]);
        let mut behind = Block::default();
        behind.push(Message { uid: Uid(9), known_as: EmailId(4), ..ORIGIN });
        behind.push(Message { uid: Uid(10), ..ORIGIN });
        merged.absorb(&mut behind);
        merged.remove(&[0]);
        assert_eq!(names_of(&merged), [4, 0]);
    }
}
