//! What a copy of a shard takes, while it serves.
//!
//! *Owns*: the list of files that make up the state as of one position. *Promises*: no file of it changes any more,
//! and all of them together are a folder that opens with everything that was durable when [`Store::seal`] was
//! called. *Assumes*: whoever copies asks for the segments first and for the checkpoint after them: what
//! a checkpoint needs is then in the list. *Never*: keeps a file from being removed: who finds one
//! gone begins again.
//!
//! What compaction makes besides segments belongs into [`Store::checkpoint_within`]: a pack is needed by the
//! checkpoints that name it.

use super::Store;
use crate::error::Refused;
use crate::ids::{Lsn, SegmentId};
use crate::io::FileId;

impl Store {
    /// Lets the log go on in another segment. Returns the last one that holds anything durable.
    pub fn seal(&mut self) -> Result<SegmentId, Refused> {
        self.writer.seal()
    }

    /// Where that segment ends, once it will not change any more; none while it still may.
    pub fn sealed(&self, last: SegmentId) -> Result<Option<Lsn>, Refused> {
        self.writer.sealed(last)
    }

    /// Sealed segments above `after` and up to `last`, ascending, at most `limit`, and their bytes.
    pub fn segments_within(&self, after: SegmentId, last: SegmentId, limit: usize) -> Vec<(SegmentId, u64)> {
        let above = SegmentId(after.0.saturating_add(1));
        if above > last {
            return Vec::new();
        }
        let files = self.writer.files().range(above..=last).take(limit);
        files.map(|(segment, file)| (*segment, file.end)).collect()
    }

    /// The files of the newest checkpoint of a position up to `end`: a start from these and the segments up to there
    /// does not replay the whole log. None if every checkpoint is newer: seal again.
    pub fn checkpoint_within(&self, end: Lsn) -> Option<Vec<FileId>> {
        let files = self.keeper.files_within(end)?;
        Some(files.iter().map(|file| FileId::Checkpoint(u64::from(*file))).collect())
    }
}
