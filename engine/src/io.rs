//! The store's only way to the world.
//!
//! *Owns*: the words for disk work. *Promises*: while running, the store asks by [`IoRequest`] and learns by
//! [`IoResult`]; at start it uses a [`Disk`] directly. *Assumes*: requests are carried out in any order
//! unless one waits for another's completion. *Never*: does the work.

use bytes::Bytes;

use crate::ids::SegmentId;

/// A file in a shard's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileId {
    /// A segment of the log: `NNNNNNNNNN.seg`.
    Segment(SegmentId),
    /// A segment being made ready: `NNNNNNNNNN.new`; becomes a segment by rename.
    Fresh(SegmentId),
}

/// Names a request until its completion. Never reused within a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IoId(pub u64);

/// One piece of disk work.
#[derive(Clone, Debug)]
pub enum IoRequest {
    /// Writes `parts` one after the other at `offset`. With `durable`, completes only when the bytes would
    /// survive a power cut (RWF_DSYNC, or a sync behind the write).
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
    /// `Create` is done; here is the view of the whole file. It stays good after a rename.
    Created(Box<dyn View>),
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

/// A run of bytes in a segment, for whoever sends it without looking at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// In which segment.
    pub segment: SegmentId,
    /// From which byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
}

impl Extent {
    /// The part of this extent that begins `skip` bytes in and is at most `len` long.
    pub fn slice(self, skip: u32, len: u32) -> Extent {
        let skip = skip.min(self.len);
        Extent { segment: self.segment, offset: self.offset + u64::from(skip), len: len.min(self.len - skip) }
    }
}
