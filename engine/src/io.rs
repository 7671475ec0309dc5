//! The store's only way to the world.
//!
//! *Owns*: the words for disk work. *Promises*: while running, the store asks by [`IoRequest`] and learns by
//! [`IoResult`]; at start it uses a [`Disk`] directly. *Assumes*: requests are carried out in any order
//! unless one waits for another's completion. *Never*: does the work.

use bytes::Bytes;

use crate::ids::SegmentId;
use crate::press::{Work, Worked};

/// A file in a shard's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// A segment of the log: `NNNNNNNNNN.seg`.
    Segment(SegmentId),
    /// A segment being made ready: `NNNNNNNNNN.new`; becomes a segment by rename.
    Fresh(SegmentId),
    /// A checkpoint of the index: `NNNNNNNNNN.ckp`.
    Checkpoint(u64),
    /// A checkpoint being written: `NNNNNNNNNN.ckpnew`; becomes a checkpoint by rename.
    CheckpointNew(u64),
    /// Bodies that compaction moved: `NNNNNNNNNN.pack`.
    Pack(u64),
    /// A pack being written: `NNNNNNNNNN.packnew`; becomes a pack by rename.
    PackNew(u64),
}

impl FileId {
    /// Its number among its kind.
    pub fn number(self) -> u64 {
        match self {
            FileId::Segment(segment) | FileId::Fresh(segment) => segment.0,
            FileId::Checkpoint(number) | FileId::CheckpointNew(number) => number,
            FileId::Pack(number) | FileId::PackNew(number) => number,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            FileId::Segment(_) => "seg",
            FileId::Fresh(_) => "new",
            FileId::Checkpoint(_) => "ckp",
            FileId::CheckpointNew(_) => "ckpnew",
            FileId::Pack(_) => "pack",
            FileId::PackNew(_) => "packnew",
        }
    }

    /// What it is called in the shard's folder.
    pub fn name(self) -> String {
        format!("{:010}.{}", self.number(), self.extension())
    }

    /// The file that a name stands for; none for what is not ours.
    pub fn of_name(name: &str) -> Option<FileId> {
        let (digits, extension) = name.split_once('.')?;
        if digits.len() < 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = digits.parse().ok()?;
        let kinds = [
            FileId::Segment(SegmentId(number)),
            FileId::Fresh(SegmentId(number)),
            FileId::Checkpoint(number),
            FileId::CheckpointNew(number),
            FileId::Pack(number),
            FileId::PackNew(number),
        ];
        kinds.into_iter().find(|kind| kind.extension() == extension)
    }
}

/// Names a request until its completion. Never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IoId(pub u64);

/// One piece of disk work.
#[derive(Clone, Debug)]
pub enum IoRequest {
    /// Writes `parts` one after the other at `offset`, within the file or at its end. With `durable`, completes
    /// only when the bytes would survive a power cut (RWF_DSYNC, or a sync behind the write).
    Write {
        /// Where.
        file: FileId,
        /// Byte offset in the file.
        offset: u64,
        /// Gathered, in order.
        parts: Vec<Bytes>,
        /// Whether completion means durable.
        durable: bool,
    },
    /// Reads these bytes, for upkeep: nobody waits for them.
    Read {
        /// Which.
        file: FileId,
        /// From which byte.
        offset: u64,
        /// How many, all of them in the file.
        len: u32,
    },
    /// Keeps a processor busy, not the disk; beside the thread that serves.
    Work(Work),
    /// Makes everything written to `file` before durable.
    Sync {
        /// Which.
        file: FileId,
    },
    /// Creates `file` with `size` bytes of zeroes really written and synced, and maps it for reading.
    Create {
        /// Which; must not exist.
        file: FileId,
        /// Bytes.
        size: u64,
        /// Bytes that must be left on the disk behind it, or there is no space.
        spare: u64,
    },
    /// Creates `file` empty. Later writes make it longer; nothing of it is durable before a [`IoRequest::Sync`].
    Begin {
        /// Which; must not exist.
        file: FileId,
    },
    /// Maps `file` for reading as it is, and takes it for complete: nothing is written to it afterwards.
    Map {
        /// Which.
        file: FileId,
    },
    /// Renames and syncs the folder, so that the new name is durable at completion.
    Rename {
        /// From.
        from: FileId,
        /// To; must not exist.
        to: FileId,
    },
    /// Cuts a sealed segment's unused tail off; `len` is where its last batch ends.
    Trim {
        /// Which.
        file: FileId,
        /// New length in bytes.
        len: u64,
    },
    /// Nothing for the disk: to be answered by [`IoResult::Done`] when others have had their turn, for what is left of
    /// a large change goes on then.
    Pause,
    /// Removes a file.
    Unlink {
        /// Which.
        file: FileId,
    },
}

/// Why a piece of disk work failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoError {
    /// ENOSPC or EDQUOT: a state, not an error.
    NoSpace,
    /// Anything else, final for the shard.
    Failed(String),
}

/// A read-only view of a whole file that stays current with later writes, for as long as it lives.
/// The runtime's is a mapping; the fake disk's copies out of its own memory.
pub trait View: Send + std::fmt::Debug {
    /// The bytes `offset..offset + len`, without reading them where that can be avoided; none when any of
    /// them is beyond the size the file had when the view was made. The slice stays good after the view is
    /// dropped.
    fn slice(&self, offset: u64, len: u32) -> Option<Bytes>;
}

/// How a piece of disk work ended.
#[derive(Debug)]
pub enum IoResult {
    /// Done.
    Done,
    /// `Create` or `Map` is done; here is the view of the whole file. It stays good after a rename.
    Created(Box<dyn View>),
    /// What `Read` asked for.
    Read(Bytes),
    /// What came of `Work`.
    Worked(Worked),
    /// It failed.
    Failed(IoError),
}

/// A shard's folder while it is being opened: plain blocking calls.
pub trait Disk {
    /// All files of the shard, in any order.
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError>;
    /// Reads up to `buffer.len()` bytes at `offset`; short only at the end of the file.
    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError>;
    /// A read-only view of the whole file.
    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError>;
    /// Carries a request out at once.
    fn perform(&mut self, request: &IoRequest) -> IoResult;
}

/// A run of bytes in a segment or a pack, for whoever sends it without looking at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// In which file.
    pub file: FileId,
    /// From which byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
}

impl Extent {
    /// The part of this extent that begins `skip` bytes in and is at most `len` long.
    pub fn slice(self, skip: u32, len: u32) -> Extent {
        let skip = skip.min(self.len);
        Extent { file: self.file, offset: self.offset + u64::from(skip), len: len.min(self.len - skip) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_left_alone() {
        let kinds = [FileId::Checkpoint, FileId::CheckpointNew, FileId::Pack, FileId::PackNew];
        let segments = [FileId::Segment(SegmentId(7)), FileId::Fresh(SegmentId(12_345_678_901))];
        for file in kinds.map(|kind| kind(7)).into_iter().chain(segments) {
            assert_eq!(FileId::of_name(&file.name()), Some(file));
        }
        for other in
            ["lock", "7.seg", "0000000007.tmp", "00000000x7.seg", "-000000007.seg", "0000000007.seg.x"]
        {
            assert_eq!(FileId::of_name(other), None);
        }
    }
}
