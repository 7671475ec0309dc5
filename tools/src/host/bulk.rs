//! A disk for stores that can be made again: nothing is durable before the end.
//!
//! *Owns*: the put-off syncs, and files that are made without writing zeroes to them. *Promises*: after
//! [`Bulk::finish`] everything is durable. *Assumes*: whoever is cut off before throws the store away. *Never*: is
//! used for mail that somebody sent.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use bytes::Bytes;
use ringpost::runtime::Files;
use ringpost_engine::io::{Disk, FileId, IoError, IoRequest, IoResult, View};

use crate::Failure;

/// See the module's head.
pub struct Bulk {
    files: Files,
    folder: PathBuf,
    unsynced: BTreeSet<FileId>,
}

impl Bulk {
    /// Over a shard's files in this folder.
    pub fn new(files: Files, folder: PathBuf) -> Bulk {
        Bulk { files, folder, unsynced: BTreeSet::new() }
    }

    fn create(&mut self, file: FileId, size: u64) -> Result<IoResult, IoError> {
        let made = File::create_new(self.folder.join(file.name())).and_then(|made| made.set_len(size));
        made.map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => IoError::NoSpace,
            _ => IoError::Failed(error.to_string()),
        })?;
        self.unsynced.insert(file);
        self.files.map(file).map(IoResult::Created)
    }

    /// Makes everything durable.
    pub fn finish(&mut self) -> Result<(), Failure> {
        for file in std::mem::take(&mut self.unsynced) {
            // Not through the files that are open: there may be more of them than descriptors.
            let synced = File::open(self.folder.join(file.name())).and_then(|file| file.sync_all());
            synced.map_err(|error| format!("syncing {}: {error}", file.name()))?;
        }
        Ok(())
    }
}

impl Disk for Bulk {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        self.files.list()
    }

    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        self.files.read(file, offset, buffer)
    }

    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError> {
        self.files.map(file)
    }

    fn perform(&mut self, request: &IoRequest) -> IoResult {
        match request {
            IoRequest::Write { file, offset, parts, .. } => {
                self.unsynced.insert(*file);
                // One call to the kernel instead of one for each part.
                let parts = vec![Bytes::from(parts.concat())];
                let write = IoRequest::Write { file: *file, offset: *offset, parts, durable: false };
                Disk::perform(&mut self.files, &write)
            }
            IoRequest::Create { file, size, .. } => {
                self.create(*file, *size).unwrap_or_else(IoResult::Failed)
            }
            IoRequest::Rename { from, to } => {
                if self.unsynced.remove(from) {
                    self.unsynced.insert(*to);
                }
                Disk::perform(&mut self.files, request)
            }
            IoRequest::Unlink { file } => {
                self.unsynced.remove(file);
                Disk::perform(&mut self.files, request)
            }
            other => Disk::perform(&mut self.files, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost::sys::cpu::Cores;
    use ringpost_engine::ids::{SegmentId, ShardId};

    #[test]
    fn syncing_many_files_keeps_none_of_them_open() {
        let data = tempfile::tempdir().expect("a folder");
        let cores = Cores::of_this_thread().expect("affinity");
        let files = Files::new(data.path(), ShardId(0), cores).expect("a folder");
        let folder = data.path().join("shard-000");
        let mut bulk = Bulk::new(files, folder.clone());
        for nth in 1..=50 {
            let file = FileId::Segment(SegmentId(nth));
            bulk.create(file, 4096).expect("made");
        }
        bulk.finish().expect("synced");
        let open = std::fs::read_dir("/proc/self/fd")
            .expect("proc")
            .filter_map(|entry| entry.ok()?.path().read_link().ok());
        assert_eq!(open.filter(|file| file.starts_with(&folder)).count(), 0);
        std::fs::remove_file(folder.join(FileId::Segment(SegmentId(1)).name())).expect("removed");
        bulk.unsynced.insert(FileId::Segment(SegmentId(1)));
        assert!(bulk.finish().is_err(), "what cannot be synced is told");
    }
}
