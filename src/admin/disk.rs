//! A shard's folder, to be read only.
//!
//! *Owns*: names and bytes of segment files. *Promises*: opens files for reading and nothing else; refuses
//! every request to change something. *Assumes*: a server may append to the newest file meanwhile.
//! *Never*: locks, creates or writes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use indicatif::ProgressBar;
use ringpost_engine::ids::BodyKey;
use ringpost_engine::io::{Disk, Extent, FileId, IoError, IoRequest, IoResult, View};
use ringpost_engine::log::record::{HEAD_BYTES, KIND_BODY, RecordHead};
use ringpost_engine::octets::Octets;
use ringpost_engine::recovery::Replayed;

use crate::proto::mime::summarise;

/// See the module's head.
pub struct ReadOnlyDisk {
    folder: PathBuf,
    /// Counts the bytes that were read.
    progress: ProgressBar,
    /// The files read last, the latest at the end.
    open: Vec<(FileId, File)>,
}

/// Files that are kept open.
const OPEN_MAX: usize = 32;

impl ReadOnlyDisk {
    /// The files of this folder.
    pub fn new(folder: &Path, progress: ProgressBar) -> ReadOnlyDisk {
        ReadOnlyDisk { folder: folder.to_owned(), progress, open: Vec::new() }
    }

    /// The same, without counting what is read.
    pub fn quiet(folder: &Path) -> ReadOnlyDisk {
        ReadOnlyDisk::new(folder, ProgressBar::hidden())
    }

    /// Bytes of all segment files.
    pub fn bytes(&mut self) -> u64 {
        self.list().map_or(0, |files| files.iter().map(|&(_, bytes)| bytes).sum())
    }

    /// Whether the file is there now.
    pub fn has(&self, file: FileId) -> bool {
        self.path(file).exists()
    }

    /// Its bytes now; none when it is not there.
    pub fn size(&self, file: FileId) -> Option<u64> {
        std::fs::metadata(self.path(file)).ok().map(|data| data.len())
    }

    /// These bytes of a file, all of them.
    pub fn read_exact(&mut self, file: FileId, offset: u64, len: u32) -> Result<Vec<u8>, String> {
        let mut buffer = vec![0; len as usize];
        match self.read(file, offset, &mut buffer) {
            Ok(read) if read == buffer.len() => Ok(buffer),
            Ok(read) => Err(format!("{} ends {} bytes too early", file.name(), buffer.len() - read)),
            Err(IoError::Failed(why)) => Err(why),
            Err(IoError::NoSpace) => Err("no space".to_owned()),
        }
    }

    /// Octets of a message, however they are kept.
    ///
    /// # Errors
    /// They cannot be read, or are compressed and damaged.
    pub fn octets(&mut self, replayed: &Replayed, octets: Octets) -> Result<Vec<u8>, String> {
        match octets.as_sent() {
            Some(Extent { file, offset, len }) => self.read_exact(file, offset, len),
            None => {
                let found = replayed.unfold(octets);
                found.map(Vec::from).ok_or_else(|| "they are compressed, and damaged".to_owned())
            }
        }
    }

    /// All octets of a message, proved by the sum that they were written with.
    ///
    /// # Errors
    /// They cannot be read, or are not what was written.
    pub fn message(&mut self, replayed: &Replayed, key: BodyKey) -> Result<Vec<u8>, String> {
        let body = replayed.body(key).ok_or("its octets are not there any more")?;
        let octets = self.octets(replayed, body.bytes)?;
        let Extent { file, offset, len } = body.summary;
        let begin = offset.checked_sub(HEAD_BYTES as u64).ok_or("its record has no header")?;
        let before = self.read_exact(file, begin, HEAD_BYTES as u32 + len)?;
        let (head, summary) = before.split_at(HEAD_BYTES);
        let head = RecordHead::read(head).filter(|head| head.kind == KIND_BODY);
        let holds = |summary: &[u8]| head.is_some_and(|head| head.verifies_parts(&[summary, &octets]));
        // If only what was computed of them is rotten, with that computed anew the sum holds.
        match octets.len() == key.len as usize && (holds(summary) || holds(&summarise(&octets).encode())) {
            true => Ok(octets),
            false => Err("they are not what was written: their sum does not hold".to_owned()),
        }
    }

    fn path(&self, file: FileId) -> PathBuf {
        self.folder.join(file.name())
    }

    fn open(&mut self, file: FileId) -> Result<&File, IoError> {
        match self.open.iter().position(|(open, _)| *open == file) {
            Some(at) => self.open[at..].rotate_left(1),
            None => {
                let path = self.path(file);
                let opened = File::open(&path).map_err(|error| failed(&path, &error))?;
                if self.open.len() == OPEN_MAX {
                    self.open.remove(0);
                }
                self.open.push((file, opened));
            }
        }
        self.open.last().map(|(_, file)| file).ok_or_else(|| IoError::Failed("not open".to_owned()))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> IoError {
    IoError::Failed(format!("{}: {error}", path.display()))
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, mut offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset) {
            Ok(0) => break,
            Ok(read) => (filled, offset) = (filled + read, offset + read as u64),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Disk for ReadOnlyDisk {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        let mut files = Vec::new();
        let entries = std::fs::read_dir(&self.folder).map_err(|error| failed(&self.folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&self.folder, &error))?;
            if let Some(file) = entry.file_name().to_str().and_then(FileId::of_name) {
                match entry.metadata() {
                    Ok(data) => files.push((file, data.len())),
                    // Renamed or removed since by a server at work: nothing of the log was in it.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(failed(&entry.path(), &error)),
                }
            }
        }
        Ok(files)
    }

    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        let path = self.path(file);
        let read = read_at(self.open(file)?, offset, buffer).map_err(|error| failed(&path, &error))?;
        self.progress.inc(read as u64);
        Ok(read)
    }

    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError> {
        let path = self.path(file);
        let opened = File::open(&path).map_err(|error| failed(&path, &error))?;
        Ok(Box::new(FileView(opened)))
    }

    fn perform(&mut self, request: &IoRequest) -> IoResult {
        IoResult::Failed(IoError::Failed(format!("this folder is only read, so {request:?} is refused")))
    }
}

/// Slices are read when they are asked for.
#[derive(Debug)]
struct FileView(File);

impl View for FileView {
    fn slice(&self, offset: u64, len: u32) -> Option<Bytes> {
        let mut buffer = vec![0; len as usize];
        let read = read_at(&self.0, offset, &mut buffer).ok()?;
        (read == buffer.len()).then(|| Bytes::from(buffer))
    }
}
