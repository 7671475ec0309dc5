//! What a copy of a shard takes, while it serves.
//!
//! *Owns*: the list of files that make up the state as of one position. *Promises*: no file of it changes any more,
//! and all of them together are a folder that opens with everything that was durable when [`Store::seal`] was
//! called. *Assumes*: whoever copies asks for the segments first and for the rest after them: what a checkpoint
//! needs, and what has meanwhile moved into packs, is then in the list. *Never*: keeps a file from being removed: who
//! finds one gone begins again.

use super::Store;
use crate::error::Refused;
use crate::ids::{Lsn, SegmentId};
use crate::io::FileId;

impl Store {
    /// Lets the log go on in another segment, if there is anything in the current one that a copy needs. Returns the
    /// last one that holds anything durable.
    pub fn seal(&mut self) -> Result<SegmentId, Refused> {
        // When room is given back while nothing comes, checkpoints and packs stand behind empty batches, and what
        // was before them may be gone: then a copy goes as far as those do.
        let needed = self.checkpoint_within(self.writer.end_before()).is_none();
        self.writer.seal(needed)
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
        let files = self.writer.files().range(above..=last);
        // What a pack stands for goes soon, and no start reads it.
        let stays = |segment: SegmentId| {
            let base = self.writer.places().base(segment);
            base.is_none_or(|base| self.writer.places().pack_of(base).is_none())
        };
        let files = files.filter(|(segment, _)| stays(**segment)).take(limit);
        files.map(|(segment, file)| (*segment, file.end)).collect()
    }

    /// The files of the newest checkpoint of a position up to `end`, and the packs: a start from these and the segments
    /// up to there does not replay the whole log. None if every checkpoint is newer, or some pack, so that what was
    /// alive at `end` may be in no file: seal again.
    pub fn checkpoint_within(&self, end: Lsn) -> Option<Vec<FileId>> {
        let packs = self.writer.places().packs();
        if packs.iter().any(|pack| pack.begun > end) {
            return None;
        }
        let files = self.keeper.files_within(end)?.iter();
        let files = files.map(|file| FileId::Checkpoint(u64::from(*file)));
        Some(files.chain(packs.iter().map(|pack| FileId::Pack(pack.number))).collect())
    }
}
