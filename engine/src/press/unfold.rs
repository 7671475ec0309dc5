//! Octets out of blocks.
//!
//! *Owns*: zstd's working memory, the dictionaries used last and the block unfolded last. *Promises*: never more octets
//! than the block is said to have; none unless their sum is right; the same block asked for twice in a row is unfolded
//! once. *Assumes*: a number stands for one dictionary for as long as this lives (packs never change, and their numbers
//! are not used again). *Never*: reads.

use bytes::Bytes;
use zstd::zstd_safe::{DCtx, DDict};

use super::Block;
use crate::limits::{PRESS_DICTIONARIES_KEPT, PRESSED_BLOCK_BYTES};

/// See the module's head.
#[derive(Default)]
pub(crate) struct Unfolder {
    context: Option<DCtx<'static>>,
    /// By number, the one used last at the end; none for packs that have no dictionary.
    dictionaries: Vec<(u64, Option<DDict<'static>>)>,
    /// Of which pack, at which offset, and its octets.
    last: Option<(u64, u64, Bytes)>,
}

impl std::fmt::Debug for Unfolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unfolder").field("dictionaries", &self.dictionaries.len()).finish()
    }
}

impl Unfolder {
    /// Whether the dictionary of that number is at hand.
    pub fn is_ready(&self, number: u64) -> bool {
        self.dictionaries.iter().any(|(known, _)| *known == number)
    }

    /// The octets of the block at an offset of a pack, if it is not the one that was asked for last.
    pub fn once(
        &mut self,
        number: u64,
        offset: u64,
        block: impl FnOnce() -> Option<Block>,
        dictionary: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        if let Some((pack, at, octets)) = &self.last
            && (*pack, *at) == (number, offset)
        {
            return Some(octets.clone());
        }
        let octets = self.unfold(&block()?, number, dictionary)?;
        self.last = Some((number, offset, octets.clone()));
        Some(octets)
    }

    /// The octets of a block; none if it is not what was written.
    pub fn unfold(
        &mut self,
        block: &Block,
        number: u64,
        dictionary: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        if block.len > PRESSED_BLOCK_BYTES {
            return None;
        }
        let octets = match block.bytes.len() == block.len as usize {
            true => block.bytes.clone(),
            false => self.inflate(block, number, dictionary)?,
        };
        (octets.len() == block.len as usize && crc32fast::hash(&octets) == block.sum).then_some(octets)
    }

    fn inflate(
        &mut self,
        block: &Block,
        number: u64,
        dictionary: impl FnOnce() -> Option<Bytes>,
    ) -> Option<Bytes> {
        match self.dictionaries.iter().position(|(known, _)| *known == number) {
            Some(at) => self.dictionaries[at..].rotate_left(1),
            None => self.learn(number, &dictionary()?)?,
        }
        if self.context.is_none() {
            self.context = DCtx::try_create();
        }
        let (context, (_, prepared)) = (self.context.as_mut()?, self.dictionaries.last()?);
        let mut octets = Vec::with_capacity(block.len as usize);
        match prepared {
            Some(prepared) => context.decompress_using_ddict(&mut octets, &block.bytes, prepared),
            None => context.decompress(&mut octets, &block.bytes),
        }
        .ok()?;
        Some(octets.into())
    }

    fn learn(&mut self, number: u64, dictionary: &[u8]) -> Option<()> {
        let prepared = match dictionary.is_empty() {
            true => None,
            false => Some(DDict::try_create(dictionary)?),
        };
        if self.dictionaries.len() == PRESS_DICTIONARIES_KEPT {
            self.dictionaries.remove(0);
        }
        self.dictionaries.push((number, prepared));
        Some(())
    }
}
