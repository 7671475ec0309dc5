//! Checkpoint files: their groups of records, and the rows that heads name.
//!
//! *Owns*: which bytes are to be read and what their sums should be. *Promises*: every group and every blob that is
//! needed is read once a round. *Assumes*: files only go, and whoever finds rot asks whether it still matters. *Never*:
//! reads.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::checkpoint::Piece;
use crate::checkpoint::format::{Group, open_blob};
use crate::ids::AccountId;
use crate::index::Index;
use crate::io::FileId;

/// Through the groups of one file.
#[derive(Debug)]
pub(super) struct GroupWalk {
    file: u32,
    groups: VecDeque<Group>,
    /// Bytes of the first of them that have been summed.
    done: u64,
    sum: crc32fast::Hasher,
}

impl GroupWalk {
    pub fn new(file: u32, groups: &[Group]) -> GroupWalk {
        let groups = groups.iter().copied().filter(|group| group.len > 0).collect();
        GroupWalk { file, groups, done: 0, sum: crc32fast::Hasher::new() }
    }

    /// Which bytes come next; none at the end.
    pub fn wants(&self, most: u64) -> Option<(FileId, u64, u64)> {
        let group = self.groups.front()?;
        let len = (u64::from(group.len) - self.done).min(most);
        Some((FileId::Checkpoint(u64::from(self.file)), group.offset + self.done, len))
    }

    /// Takes the next bytes. The group that is not what was written, if it ends here.
    pub fn feed(&mut self, bytes: &[u8]) -> Option<Group> {
        let group = *self.groups.front()?;
        self.sum.update(bytes);
        self.done += bytes.len() as u64;
        if self.done < u64::from(group.len) {
            return None;
        }
        let sum = std::mem::take(&mut self.sum).finalize();
        self.done = 0;
        self.groups.pop_front();
        (sum != group.crc).then_some(group)
    }
}

/// Through what the heads of accounts name, one account after the other.
#[derive(Debug, Default)]
pub(super) struct RowWalk {
    account: AccountId,
    pieces: VecDeque<Piece>,
    /// What of the first of them has been read.
    read: Vec<u8>,
    at_end: bool,
}

impl RowWalk {
    /// Looks for the next account that has something in a file; at most `looks` of them at once.
    pub fn look(&mut self, index: &Index, looks: usize) {
        for _ in 0..looks {
            if !self.pieces.is_empty() || self.at_end {
                return;
            }
            match index.pieces_after(self.account) {
                Some((account, pieces)) => {
                    self.account = account;
                    self.pieces = pieces.into();
                }
                None => self.at_end = true,
            }
        }
    }

    /// The file of what comes next is gone: the account has written it anew.
    pub fn skip(&mut self) {
        self.pieces.clear();
        self.read.clear();
    }

    /// Whether all accounts have been looked at.
    pub fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Which bytes come next, if there are any of the account at hand.
    pub fn wants(&self, most: u64) -> Option<(FileId, u64, u64)> {
        let piece = self.pieces.front()?;
        let done = self.read.len() as u64;
        let len = (u64::from(piece.len) - done).min(most);
        Some((FileId::Checkpoint(u64::from(piece.file)), piece.offset + done, len))
    }

    /// Takes the next bytes. The account and the piece that is not what was written, if it ends here.
    pub fn feed(&mut self, bytes: &Bytes) -> Option<(AccountId, Piece)> {
        let piece = *self.pieces.front()?;
        let whole = self.read.is_empty() && bytes.len() == piece.len as usize;
        if !whole {
            self.read.extend_from_slice(bytes);
            if self.read.len() < piece.len as usize {
                return None;
            }
        }
        let gathered = std::mem::take(&mut self.read);
        let sound = open_blob(if whole { bytes } else { &gathered }).is_some();
        self.pieces.pop_front();
        (!sound).then_some((self.account, piece))
    }
}
