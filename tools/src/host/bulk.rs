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
            if let IoResult::Failed(error) = Disk::perform(&mut self.files, &IoRequest::Sync { file }) {
                return Err(format!("syncing {}: {error:?}", file.name()));
            }
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
