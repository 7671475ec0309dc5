//! A disk in memory that fails as disks do, by a seed.
//!
//! *Owns*: files as they look now and as they would be after a power cut. *Promises*: the same seed and the
//! same calls give the same bytes; it does nothing that the fault model leaves out.
//! *Assumes*: one store uses it. *Never*: fails when its faults are off.
//!
//! # Fault model
//!
//! * A **sector** is 512 bytes. A sector is old or new after a crash, never a mixture.
//! * A write that was not durable may, at a power cut, have reached any subset of its sectors, in any order
//!   with other such writes. A write that was reported durable has reached all of them, and later writes to
//!   *other* sectors do not harm it.
//! * `Sync` makes earlier writes to that file durable. `Create` and `Rename` are durable when reported; cut
//!   short, each of them either happened or did not, and a half-made `Create` leaves a file of any size.
//! * `Begin` makes an empty file that grows with its writes. Until a `Sync`, a power cut may leave it any length
//!   between the one that is durable and the one it had, with zeroes where nothing arrived. `Map` only looks.
//! * `Unlink` and `Trim` are durable at some time after they are reported: at a power cut each may be undone.
//! * A killed **process** loses nothing that was written, reported or not; it stays as undurable as it was.
//! * **Rot** flips one bit of a sector that nobody is writing. `EIO` fails a request without effect.
//! * **ENOSPC**: all files together hold at most `capacity` bytes; a `Create` beyond fails and leaves no
//!   file, a write beyond fails and writes nothing.
//! * Not modelled: writes that a disk reports durable and loses, sectors written to a wrong place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::seed::Seed;
use crate::io::{Disk, FileId, IoError, IoRequest, IoResult, View};

/// Bytes that are written together or not at all.
pub const SECTOR: u64 = 512;

type Shared = Arc<Mutex<Vec<u8>>>;

fn lock(data: &Shared) -> MutexGuard<'_, Vec<u8>> {
    // A poisoned buffer is a test that failed already; its bytes are still bytes.
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A view of a file of the fake disk.
#[derive(Debug)]
struct FakeView {
    data: Shared,
    size: u64,
}

impl View for FakeView {
    fn slice(&self, offset: u64, len: u32) -> Option<Bytes> {
        let end = offset.checked_add(u64::from(len)).filter(|&end| end <= self.size)?;
        let data = lock(&self.data);
        let mut bytes = data.get(offset as usize..data.len().min(end as usize))?.to_vec();
        bytes.resize(len as usize, 0); // cut off by a trim
        Some(bytes.into())
    }
}

#[derive(Debug)]
struct File {
    /// As reads see it.
    now: Shared,
    /// What would have to be put back for each sector that is not durable: its durable bytes.
    old: BTreeMap<u64, Vec<u8>>,
    /// Length before a trim that is not durable, and the bytes it cut.
    trimmed: Option<Vec<u8>>,
    /// How much of its length is durable, when writes have made it longer.
    grown_from: Option<u64>,
}

impl File {
    fn new(now: Shared) -> File {
        File { now, old: BTreeMap::new(), trimmed: None, grown_from: None }
    }
}

/// What can go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// One in so many requests fails with EIO; 0 is never.
    pub eio_one_in: u64,
    /// Bytes that all files together may hold.
    pub capacity: u64,
}

impl Faults {
    /// Nothing.
    pub const NONE: Faults = Faults { eio_one_in: 0, capacity: u64::MAX };
}

/// The disk.
#[derive(Debug)]
pub struct FakeDisk {
    files: BTreeMap<FileId, File>,
    /// Unlinked, but a power cut may bring them back.
    unlinked: Vec<(FileId, File)>,
    seed: Seed,
    /// What can go wrong; may be changed at any time.
    pub faults: Faults,
    /// Requests until the power is cut in the middle of one; none is never.
    pub power_fails_in: Option<u64>,
}

impl FakeDisk {
    /// An empty disk.
    pub fn new(seed: Seed) -> FakeDisk {
        FakeDisk {
            files: BTreeMap::new(),
            unlinked: Vec::new(),
            seed,
            faults: Faults::NONE,
            power_fails_in: None,
        }
    }

    /// Begins a request that may be cut off: its effects are seen, and not durable. [`FakeDisk::finish`]
    /// ends it.
    pub fn start(&mut self, request: &IoRequest) {
        if let IoRequest::Write { file, offset, parts, .. } = request {
            self.write(*file, *offset, parts);
        }
    }

    /// Ends a request begun by [`FakeDisk::start`].
    pub fn finish(&mut self, request: &IoRequest) -> IoResult {
        if matches!(request, IoRequest::Pause) {
            return IoResult::Done;
        }
        if self.faults.eio_one_in > 0 && self.seed.one_in(self.faults.eio_one_in) {
            return IoResult::Failed(IoError::Failed("Input/output error (os error 5)".to_owned()));
        }
        self.carry_out(request)
    }

    fn carry_out(&mut self, request: &IoRequest) -> IoResult {
        match request {
            IoRequest::Write { file, offset, parts, durable } => {
                self.end_write(*file, *offset, parts, *durable)
            }
            IoRequest::Pause => IoResult::Done,
            IoRequest::Work(work) => IoResult::Worked(work.carry_out()),
            IoRequest::Sync { file } => self.sync(*file),
            IoRequest::Read { file, offset, len } => {
                let mut bytes = vec![0; *len as usize];
                match self.read(*file, *offset, &mut bytes) {
                    Ok(read) if read == bytes.len() => IoResult::Read(bytes.into()),
                    Ok(_) => IoResult::Failed(IoError::Failed("the file is too short".to_owned())),
                    Err(error) => IoResult::Failed(error),
                }
            }
            IoRequest::Create { size, spare, .. } if self.left() < size.saturating_add(*spare) => {
                IoResult::Failed(IoError::NoSpace)
            }
            IoRequest::Create { file, size, .. } => self.create(*file, *size),
            IoRequest::Begin { file } => match self.create(*file, 0) {
                IoResult::Created(_) => IoResult::Done,
                other => other,
            },
            IoRequest::Map { file } => match self.map(*file) {
                Ok(view) => IoResult::Created(view),
                Err(error) => IoResult::Failed(error),
            },
            IoRequest::Rename { from, to } => {
                let Some(moved) = self.files.remove(from) else { return missing(*from) };
                self.files.insert(*to, moved);
                self.unlinked.retain(|(name, _)| name != from && name != to);
                IoResult::Done
            }
            IoRequest::Trim { file, len } => self.trim(*file, *len),
            IoRequest::Unlink { file } => {
                let Some(gone) = self.files.remove(file) else { return missing(*file) };
                self.unlinked.push((*file, gone));
                IoResult::Done
            }
        }
    }

    fn write(&mut self, file: FileId, offset: u64, parts: &[Bytes]) {
        let used = self.used();
        let Some(entry) = self.files.get_mut(&file) else { return };
        let mut data = lock(&entry.now);
        let mut at = offset as usize;
        let len: usize = parts.iter().map(Bytes::len).sum();
        let end = at + len;
        if end > data.len() {
            assert!(at <= data.len(), "a write within the file or at its end");
            if used + (end - data.len()) as u64 > self.faults.capacity {
                return;
            }
            entry.grown_from.get_or_insert(data.len() as u64);
            data.resize(end, 0);
        }
        for sector in offset / SECTOR..(end as u64).div_ceil(SECTOR) {
            let start = (sector * SECTOR) as usize;
            let stop = data.len().min(start + SECTOR as usize);
            entry.old.entry(sector).or_insert_with(|| data[start..stop].to_vec());
        }
        for part in parts {
            data[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }

    /// A write that found no room is told by the file's length.
    fn end_write(&mut self, file: FileId, offset: u64, parts: &[Bytes], durable: bool) -> IoResult {
        let Some(entry) = self.files.get(&file) else { return missing(file) };
        let len: usize = parts.iter().map(Bytes::len).sum();
        let fits = offset + len as u64 <= lock(&entry.now).len() as u64;
        match (fits, durable) {
            (false, _) => IoResult::Failed(IoError::NoSpace),
            (true, true) => self.sync(file),
            (true, false) => IoResult::Done,
        }
    }

    fn sync(&mut self, file: FileId) -> IoResult {
        let Some(entry) = self.files.get_mut(&file) else { return missing(file) };
        entry.old.clear();
        entry.trimmed = None;
        entry.grown_from = None;
        IoResult::Done
    }

    fn create(&mut self, file: FileId, size: u64) -> IoResult {
        assert!(!self.files.contains_key(&file), "a new file has a new name");
        if self.used().saturating_add(size) > self.faults.capacity {
            return IoResult::Failed(IoError::NoSpace);
        }
        self.unlinked.retain(|(name, _)| *name != file);
        let now: Shared = Arc::new(Mutex::new(vec![0; size as usize]));
        let view = FakeView { data: Arc::clone(&now), size };
        self.files.insert(file, File::new(now));
        IoResult::Created(Box::new(view))
    }

    fn trim(&mut self, file: FileId, len: u64) -> IoResult {
        let Some(entry) = self.files.get_mut(&file) else { return missing(file) };
        let mut data = lock(&entry.now);
        assert!(len as usize <= data.len(), "a trim makes a file shorter");
        let mut tail = data.split_off(len as usize);
        for (sector, old) in entry.old.split_off(&len.div_ceil(SECTOR)) {
            let at = (sector * SECTOR - len) as usize;
            tail[at..at + old.len()].copy_from_slice(&old);
        }
        if let Some(later) = entry.trimmed.take() {
            tail.extend_from_slice(&later);
        }
        entry.trimmed = Some(tail);
        IoResult::Done
    }

    /// The end of a request is never seen: a write is as [`FakeDisk::start`] left it, a creation leaves a
    /// piece, anything else happens or does not.
    pub fn cut_off(&mut self, request: &IoRequest) {
        match request {
            IoRequest::Write { .. }
            | IoRequest::Read { .. }
            | IoRequest::Work(_)
            | IoRequest::Sync { .. }
            | IoRequest::Map { .. }
            | IoRequest::Pause => {}
            IoRequest::Create { file, size, .. } => {
                let piece = self.seed.below(*size + 1);
                drop(self.create(*file, piece));
            }
            IoRequest::Begin { .. }
            | IoRequest::Rename { .. }
            | IoRequest::Trim { .. }
            | IoRequest::Unlink { .. } => {
                if self.seed.one_in(2) {
                    drop(self.carry_out(request));
                }
            }
        }
    }

    /// Bytes that files may still take.
    pub fn left(&self) -> u64 {
        self.faults.capacity.saturating_sub(self.used())
    }

    /// Bytes that all files hold.
    pub fn used(&self) -> u64 {
        self.files.values().map(|file| lock(&file.now).len() as u64).sum()
    }

    /// Files and their sizes.
    pub fn sizes(&self) -> Vec<(FileId, u64)> {
        self.files.iter().map(|(file, entry)| (*file, lock(&entry.now).len() as u64)).collect()
    }

    /// Cuts the power: each sector that is not durable is old or new, by the seed.
    pub fn power_cut(&mut self) {
        for (file, entry) in std::mem::take(&mut self.unlinked) {
            if self.seed.one_in(2) && !self.files.contains_key(&file) {
                self.files.insert(file, entry);
            }
        }
        for entry in self.files.values_mut() {
            if entry.old.is_empty() && entry.trimmed.is_none() && entry.grown_from.is_none() {
                continue;
            }
            let mut data = lock(&entry.now).clone();
            // Which way a crash leans: nothing of it, all of it, or some.
            let keep = *self.seed.pick(&[0, 1, 2, 8, 64]).unwrap_or(&2);
            for (sector, old) in std::mem::take(&mut entry.old) {
                if keep == 0 || !self.seed.one_in(keep) {
                    let start = (sector * SECTOR) as usize;
                    data[start..start + old.len()].copy_from_slice(&old);
                }
            }
            if let Some(durable) = entry.grown_from.take() {
                let lost = data.len() as u64 - durable;
                data.truncate((durable + self.seed.below(lost + 1)) as usize);
            }
            if let Some(tail) = entry.trimmed.take()
                && self.seed.one_in(2)
            {
                data.extend_from_slice(&tail);
            }
            // Views of before the crash belong to a process that is gone.
            entry.now = Arc::new(Mutex::new(data));
        }
        self.power_fails_in = None;
    }

    /// Flips a bit of a file's byte.
    pub fn rot(&mut self, file: FileId, offset: u64, bit: u8) {
        if let Some(entry) = self.files.get(&file)
            && let Some(byte) = lock(&entry.now).get_mut(offset as usize)
        {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Whether this request is the one that the power fails in.
    fn power_fails_now(&mut self) -> bool {
        match &mut self.power_fails_in {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

fn missing(file: FileId) -> IoResult {
    IoResult::Failed(IoError::Failed(format!("{file:?}: No such file or directory (os error 2)")))
}

/// What a request meets after the power went.
pub const POWER_IS_OUT: &str = "the power is out";

impl Disk for FakeDisk {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        Ok(self.sizes())
    }

    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        let Some(entry) = self.files.get(&file) else {
            return Err(IoError::Failed("No such file or directory (os error 2)".to_owned()));
        };
        let data = lock(&entry.now);
        let from = data.get(offset as usize..).unwrap_or_default();
        let len = from.len().min(buffer.len());
        buffer[..len].copy_from_slice(&from[..len]);
        Ok(len)
    }

    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError> {
        let Some(entry) = self.files.get(&file) else {
            return Err(IoError::Failed("No such file or directory (os error 2)".to_owned()));
        };
        let size = lock(&entry.now).len() as u64;
        Ok(Box::new(FakeView { data: Arc::clone(&entry.now), size }))
    }

    /// Begins and ends in one, unless the power goes in the middle.
    fn perform(&mut self, request: &IoRequest) -> IoResult {
        self.start(request);
        if !self.power_fails_now() {
            return self.finish(request);
        }
        self.cut_off(request);
        IoResult::Failed(IoError::Failed(POWER_IS_OUT.to_owned()))
    }
}
