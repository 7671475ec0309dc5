//! A block that may be on disk only.
//!
//! *Owns*: the rows of one block, or where they are, or both. *Promises*: whoever asks for rows gets them, read
//! from the checkpoint when they are first wanted; rows that have changed since are told from those that are
//! in a file. *Assumes*: the bytes of an image stay as they were written; their sum says whether they did.
//! *Never*: panics on what is in a file: a block that cannot be read says so ([`Slot::is_damaged`]).

use std::cell::{Cell, OnceCell};

use bytes::Bytes;

use super::block::Block;
use super::{BLOCK_ROWS, Mark, image};
use crate::change::FlagBits;
use crate::checkpoint::Piece;
use crate::checkpoint::format::open_blob;
use crate::checkpoint::round::Round;
use crate::ids::{EmailId, ModSeq, Uid};
use crate::index::Message;
use crate::index::bodies::NO_BODY;

/// Rows as a checkpoint has them.
#[derive(Debug)]
struct Image {
    piece: Piece,
    /// Empty as long as the file is not complete; the rows are in memory then.
    blob: Bytes,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Slot {
    rows: OnceCell<Box<Block>>,
    /// How many rows there are while they are not in memory.
    cold_len: u32,
    /// None when the rows have changed since.
    image: Option<Image>,
    damaged: Cell<bool>,
}

impl Slot {
    /// A block whose rows are in a checkpoint; none if it cannot have so many.
    pub(super) fn cold(len: u32, piece: Piece, blob: Bytes) -> Option<Slot> {
        let fits = len > 0 && len as usize <= BLOCK_ROWS && blob.len() == piece.len as usize;
        let image = Some(Image { piece, blob });
        fits.then(|| Slot { cold_len: len, image, ..Slot::default() })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.get().map_or(self.cold_len as usize, |block| block.len())
    }

    /// The rows. What the directory knows of them is for the case that they cannot be read.
    pub(super) fn block(&self, mark: &Mark) -> &Block {
        self.rows.get_or_init(|| Box::new(self.load(mark)))
    }

    fn load(&self, mark: &Mark) -> Block {
        if self.cold_len == 0 {
            return Block::default();
        }
        let blob = self.image.as_ref().map(|image| image.blob.as_ref()).unwrap_or_default();
        let rows = open_blob(blob).and_then(|bytes| image::decode(bytes, self.cold_len as usize));
        if let Some(block) = rows.filter(|block| block.uid(0).0 == mark.first) {
            return block;
        }
        self.damaged.set(true);
        self.substitute(mark)
    }

    /// Rows of the right number, for as long as it takes to close the account.
    fn substitute(&self, mark: &Mark) -> Block {
        let mut block = Block::default();
        for row in 0..self.cold_len {
            block.push(Message {
                uid: Uid(mark.first.saturating_add(row)),
                modseq: ModSeq(mark.newest),
                flags: FlagBits::SEEN,
                size: 0,
                summary_len: 0,
                internal_ms: 0,
                saved_ms: 0,
                body: NO_BODY,
                known_as: EmailId(0),
            });
        }
        block
    }

    /// The rows, to be changed.
    pub(super) fn edit(&mut self, mark: &Mark) -> &mut Block {
        if self.rows.get().is_none() {
            let block = self.load(mark);
            self.rows = OnceCell::from(Box::new(block));
        }
        self.image = None;
        self.rows.get_mut().expect("just put there")
    }

    /// Whether a row may be added without one that is in a file being written again.
    pub(super) fn takes_more(&self) -> bool {
        self.image.is_none() && self.len() < BLOCK_ROWS
    }

    /// Whether its rows can be read, by their sum, without reading them.
    pub(super) fn is_readable(&self) -> bool {
        let blob = self.image.as_ref().map(|image| image.blob.as_ref()).unwrap_or_default();
        if self.rows.get().is_none() && self.cold_len > 0 && open_blob(blob).is_none() {
            self.damaged.set(true);
        }
        !self.damaged.get()
    }

    /// Whether its rows are not what they were, for their bytes are not.
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.get()
    }

    /// Whether the rows are in a file as they are.
    pub(super) fn is_written(&self) -> bool {
        self.image.is_some()
    }

    /// Where its rows are when they are not in memory.
    pub(super) fn cold_piece(&self) -> Option<Piece> {
        self.piece().filter(|_| self.rows.get().is_none())
    }

    /// Where its image is.
    pub(super) fn piece(&self) -> Option<Piece> {
        self.image.as_ref().map(|image| image.piece)
    }

    /// What is in that file is not to be counted on.
    pub(super) fn forget_image(&mut self, mark: &Mark, file: u32) {
        if self.piece().is_some_and(|piece| piece.file == file) {
            // What was carried over is in memory only as bytes of the file before.
            self.block(mark);
            self.image = None;
        }
    }

    /// Whether the round has still to write its rows.
    pub(super) fn needs_write(&self, round: &Round) -> bool {
        self.image.as_ref().is_none_or(|image| round.retiring.contains(&image.piece.file))
    }

    /// Sees to it that the rows are in a file that stays, and says where. None: their bytes are damaged.
    pub(super) fn write(&mut self, mark: &Mark, round: &mut Round) -> Option<Piece> {
        match &mut self.image {
            Some(image) if !round.retiring.contains(&image.piece.file) => return Some(image.piece),
            Some(image) if self.rows.get().is_none() => {
                // The bytes stay those of the old file: its view lives as long as somebody has a slice of it.
                image.piece = round.carry(&image.blob)?;
                return Some(image.piece);
            }
            _ => {}
        }
        if self.damaged.get() {
            return None;
        }
        let mut bytes = Vec::new();
        image::encode(self.block(mark), &mut bytes);
        let piece = round.blob(&bytes);
        self.image = Some(Image { piece, blob: Bytes::new() });
        Some(piece)
    }

    /// Bytes of memory that its rows take.
    pub(super) fn memory(&self) -> usize {
        self.rows.get().map_or(0, |block| size_of::<Block>() + block.memory())
    }
}
