//! Bodies in compressed blocks.
//!
//! *Owns*: how a body's octets become blocks and blocks become octets again; the only user of zstd. *Promises*: every
//! block stands alone (with the dictionary of its pack), so that a piece of a body costs the blocks that it lies in;
//! what comes out of a block is what went in, by its length and sum, or nothing comes out. *Assumes*: nothing about
//! the bytes that are to be unfolded. *Never*: looks at records; does long work on the shard's thread (it is [`Work`]
//! to be carried out beside it).
//!
//! ```text
//!  octets:  | 65,536 | 65,536 | … | rest |         as they are sent
//!  blocks:  | zstd frame | octets that zstd saves nothing of | … | zstd frame |
//!  beside:  | end, sum | end, sum | … |            end: offset in the pack; sum: CRC-32 of the octets
//! ```

pub(crate) mod piece;
pub(crate) mod stored;
mod unfold;

use bytes::Bytes;
use zstd::bulk::Compressor;
use zstd::dict::{EncoderDictionary, from_continuous};

use crate::limits::{
    PRESS_DICTIONARY_BYTES, PRESS_LEVEL, PRESS_OCTETS_MIN, PRESSED_BLOCK_BYTES, PRESSED_PERCENT_MAX,
};
use crate::log::record::{HEAD_BYTES, RecordHead};
pub(crate) use unfold::Unfolder;

/// Bytes that a block takes beside itself: its end and its sum.
pub(crate) const BLOCK_ENTRY_BYTES: u64 = 8;

/// A block as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// A zstd frame, or the octets themselves when those are as many.
    pub bytes: Bytes,
    /// How many octets come out.
    pub len: u32,
    /// Their CRC-32.
    pub sum: u32,
}

/// Which bodies are compressed, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Milliseconds after which a body is compressed at the next compaction; none compresses nothing.
    pub after_ms: Option<u64>,
    /// zstd's level.
    pub level: i32,
    /// Bytes of a pack's dictionary.
    pub dictionary_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { after_ms: None, level: PRESS_LEVEL, dictionary_bytes: PRESS_DICTIONARY_BYTES }
    }
}

/// A compressed body and the rest of its record.
#[derive(Clone, Debug)]
pub struct Folded {
    /// The record's header, whose sum covers all of it, and the summary.
    pub head: Bytes,
    /// The octets' blocks.
    pub blocks: Vec<Block>,
    /// Which of the dictionaries goes with them.
    pub dictionary: usize,
}

/// Work that takes a processor too long for a shard's turn.
#[derive(Clone, Debug)]
pub enum Work {
    /// Find what bodies have in common.
    Train {
        /// Beginnings of some.
        samples: Vec<Bytes>,
        /// How long a dictionary may be.
        bytes: usize,
    },
    /// Compress bodies.
    Press {
        /// Their octets.
        bodies: Vec<Bytes>,
        /// What they have in common; may be empty.
        dictionary: Bytes,
        /// zstd's level.
        level: i32,
    },
    /// Get the octets of compressed bodies.
    Unfold {
        /// They.
        bodies: Vec<Folded>,
        /// Of the packs that they lie in.
        dictionaries: Vec<Bytes>,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worked {
    /// A dictionary; empty when the samples have too little in common.
    Trained(Bytes),
    /// The blocks of each body; none for those that are better kept as they are.
    Pressed(Vec<Option<Vec<Block>>>),
    /// The octets of each body; none for those that are damaged.
    Unfolded(Vec<Option<Bytes>>),
    /// zstd has no memory, or takes the level for none.
    Failed(String),
}

impl Work {
    /// Does it, on whatever thread that is. The same work has the same outcome everywhere.
    pub fn carry_out(&self) -> Worked {
        match self {
            Work::Train { samples, bytes } => Worked::Trained(train(samples, *bytes)),
            Work::Press { bodies, dictionary, level } => match press(bodies, dictionary, *level) {
                Ok(pressed) => Worked::Pressed(pressed),
                Err(error) => Worked::Failed(error.to_string()),
            },
            Work::Unfold { bodies, dictionaries } => {
                let mut unfolder = Unfolder::default();
                Worked::Unfolded(bodies.iter().map(|body| body.octets(dictionaries, &mut unfolder)).collect())
            }
        }
    }

    /// Octets that go in.
    pub fn bytes(&self) -> usize {
        match self {
            Work::Train { samples, .. } => samples.iter().map(Bytes::len).sum(),
            Work::Press { bodies, .. } => bodies.iter().map(Bytes::len).sum(),
            Work::Unfold { bodies, .. } => {
                bodies.iter().flat_map(|body| &body.blocks).map(|block| block.len as usize).sum()
            }
        }
    }
}

/// How many blocks a body of so many octets has.
pub(crate) fn blocks(len: u32) -> u32 {
    len.div_ceil(PRESSED_BLOCK_BYTES)
}

/// How many octets its block `at` has.
pub(crate) fn block_len(len: u32, at: u32) -> u32 {
    len.saturating_sub(at.saturating_mul(PRESSED_BLOCK_BYTES)).min(PRESSED_BLOCK_BYTES)
}

impl Folded {
    /// The octets; none unless the sum of the record holds.
    pub(crate) fn octets(&self, dictionaries: &[Bytes], unfolder: &mut Unfolder) -> Option<Bytes> {
        let dictionary = dictionaries.get(self.dictionary)?;
        let mut octets = Vec::with_capacity(self.blocks.iter().map(|block| block.len as usize).sum());
        for block in &self.blocks {
            let unfolded = unfolder.unfold(block, self.dictionary as u64, || Some(dictionary.clone()))?;
            octets.extend_from_slice(&unfolded);
        }
        let (head, summary) = self.head.split_at_checked(HEAD_BYTES)?;
        let holds = RecordHead::read(head)?.verifies_parts(&[summary, &octets]);
        holds.then(|| octets.into())
    }
}

fn train(samples: &[Bytes], bytes: usize) -> Bytes {
    let sizes: Vec<usize> = samples.iter().map(Bytes::len).collect();
    // Too few or too much alike: then there is nothing to be had by a dictionary.
    from_continuous(&samples.concat(), &sizes, bytes).unwrap_or_default().into()
}

fn press(bodies: &[Bytes], dictionary: &Bytes, level: i32) -> std::io::Result<Vec<Option<Vec<Block>>>> {
    let prepared = EncoderDictionary::try_copy(dictionary, level)?;
    let mut compressor = match dictionary.is_empty() {
        true => Compressor::new(level)?,
        false => Compressor::with_prepared_dictionary(&prepared)?,
    };
    // Length, sum and dictionary are told beside the blocks.
    compressor.include_contentsize(false)?;
    compressor.include_checksum(false)?;
    compressor.include_dictid(false)?;
    bodies.iter().map(|octets| press_one(octets, &mut compressor)).collect()
}

fn press_one(octets: &Bytes, compressor: &mut Compressor<'_>) -> std::io::Result<Option<Vec<Block>>> {
    if octets.len() < PRESS_OCTETS_MIN {
        return Ok(None);
    }
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    for (at, piece) in octets.chunks(PRESSED_BLOCK_BYTES as usize).enumerate() {
        let pressed = compressor.compress(piece)?;
        let start = at * PRESSED_BLOCK_BYTES as usize;
        let kept = match pressed.len() < piece.len() {
            true => Bytes::from(pressed),
            false => octets.slice(start..start + piece.len()),
        };
        bytes += kept.len() + BLOCK_ENTRY_BYTES as usize;
        blocks.push(Block { bytes: kept, len: piece.len() as u32, sum: crc32fast::hash(piece) });
    }
    Ok((bytes * 100 <= octets.len() * PRESSED_PERCENT_MAX).then_some(blocks))
}

#[cfg(test)]
mod tests;
