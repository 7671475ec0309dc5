//! A shard's folder on a real file system.
//!
//! *Owns*: the open files of one shard and how each disk request is carried out. *Promises*: `durable` and
//! every request that says so complete only when a power cut could not undo them; a full disk is told apart
//! from a failure.
//! *Assumes*: nobody else writes in the folder (the data folder is locked). *Never*: decides what to write.
//!
//! Writes and reads go through the ring. Making, renaming, cutting and removing files are rare and slow, and so is
//! compressing bodies: they run on a helper thread, so that serving goes on.

mod latency;
mod warm;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ringpost_engine::ids::ShardId;
use ringpost_engine::io::{Disk, Extent, FileId, IoError, IoRequest, IoResult, View};

use self::latency::{Kind, Latency};
use self::warm::{Recent, in_order, runs};
use super::ring;
use crate::limits::{CREATE_CHUNK_BYTES, WARM_BYTES};
use crate::shard::event::Unreadable;
use crate::sys::cpu::Cores;
use crate::sys::fault;
use crate::sys::map::Mapping;
use crate::sys::process::free_bytes;
use crate::sys::request::{self, Descriptor, GATHER_SLICES_MAX, Gather};

/// The files of one shard.
pub struct Files {
    folder: Arc<Path>,
    open: RefCell<BTreeMap<FileId, Descriptor>>,
    recent: Recent,
    /// How long it takes.
    pub latency: Latency,
    began: Instant,
    /// Where helper threads may run: a pinned thread would hand its own core down to them.
    cores: Cores,
}

/// A mapped file.
#[derive(Debug)]
struct Mapped(Bytes);

impl View for Mapped {
    fn slice(&self, offset: u64, len: u32) -> Option<Bytes> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(len as usize)?;
        let bytes = (end <= self.0.len()).then(|| self.0.slice(start..end))?;
        fault::is_sound(&bytes).then_some(bytes)
    }
}

impl Files {
    /// Opens the folder of `shard` in `data`; makes it if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(data: &Path, shard: ShardId, cores: Cores) -> io::Result<Files> {
        let folder = data.join(format!("shard-{:03}", shard.0));
        if !folder.is_dir() {
            fs::create_dir_all(&folder)?;
            File::open(data)?.sync_all()?;
        }
        Ok(Files {
            folder: folder.into(),
            open: RefCell::default(),
            recent: Recent::default(),
            latency: Latency::default(),
            began: Instant::now(),
            cores,
        })
    }

    /// Carries a request out while the shard serves.
    pub async fn perform(&self, request: IoRequest) -> IoResult {
        let begun = Kind::of(&request).map(|kind| self.latency.begin(kind, self.now_us()));
        let result = self.carry_out(request).await;
        begun.into_iter().for_each(|begun| self.latency.end(begun, self.now_us()));
        result.unwrap_or_else(|error| IoResult::Failed(io_error(&error)))
    }

    /// Microseconds since this began.
    pub fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    async fn carry_out(&self, request: IoRequest) -> io::Result<IoResult> {
        match request {
            IoRequest::Write { file, offset, parts, durable } => {
                self.write(file, offset, parts, durable).await.map(|()| IoResult::Done)
            }
            IoRequest::Sync { file } => self.sync(file).await.map(|()| IoResult::Done),
            IoRequest::Read { file, offset, len } => {
                self.read_whole(file, offset, len).await.map(IoResult::Read)
            }
            // Through the ring: what has completed meanwhile comes first.
            IoRequest::Pause => tokio_uring::no_op().await.map(|()| IoResult::Done),
            slow => self.perform_on_helper(slow).await,
        }
    }

    async fn perform_on_helper(&self, request: IoRequest) -> io::Result<IoResult> {
        let (folder, cores) = (self.folder.clone(), self.cores.clone());
        let slow = request.clone();
        let done = tokio::task::spawn_blocking(move || {
            cores.bind()?;
            perform_slowly(&folder, &slow)
        });
        let made = done.await.map_err(io::Error::other)??;
        self.note(&request, made.file);
        Ok(made.result)
    }

    /// Keeps the table of open files in step with what was done.
    fn note(&self, request: &IoRequest, made: Option<File>) {
        let mut open = self.open.borrow_mut();
        match request {
            IoRequest::Create { file, .. } | IoRequest::Begin { file } => {
                if let Some(made) = made {
                    open.insert(*file, Arc::new(OwnedFd::from(made)));
                }
            }
            IoRequest::Rename { from, to } => {
                if let Some(descriptor) = open.remove(from) {
                    open.insert(*to, descriptor);
                }
            }
            // A sealed segment is read through its mapping: a log of thousands would need as many descriptors.
            IoRequest::Unlink { file } | IoRequest::Trim { file, .. } | IoRequest::Map { file } => {
                open.remove(file);
            }
            IoRequest::Write { .. }
            | IoRequest::Read { .. }
            | IoRequest::Sync { .. }
            | IoRequest::Work(_)
            | IoRequest::Pause => {}
        }
    }

    async fn write(&self, file: FileId, offset: u64, parts: Vec<Bytes>, durable: bool) -> io::Result<()> {
        let descriptor = match self.descriptor(file) {
            Ok(open) => open,
            // A sealed file keeps no descriptor; what scrub puts back into one is rare.
            Err(_) => self.open_sealed(file).await?,
        };
        let mut gather = Gather::new(parts);
        let mut offset = offset;
        // RWF_DSYNC makes durable what its own write wrote; several writes are cheaper with one sync behind
        // them.
        let at_once = gather.parts() <= GATHER_SLICES_MAX;
        while !gather.is_empty() {
            let done = ring::submit(request::write(&descriptor, gather, offset, durable && at_once)).await;
            gather = done.data;
            match done.result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    gather.advance(written);
                    offset += written as u64;
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if durable && !at_once { sync(&descriptor).await } else { Ok(()) }
    }

    async fn sync(&self, file: FileId) -> io::Result<()> {
        sync(&self.descriptor(file)?).await
    }

    async fn open_sealed(&self, file: FileId) -> io::Result<Descriptor> {
        let path = path(&self.folder, file);
        let opened = tokio::task::spawn_blocking(move || OpenOptions::new().write(true).open(path));
        Ok(Arc::new(OwnedFd::from(opened.await.map_err(io::Error::other)??)))
    }

    /// Brings what is not in memory in, so that whoever looks at it (the kernel included, when it sends) does
    /// not wait in a page fault.
    ///
    /// # Errors
    /// What cannot be read, piece by piece. All others are there.
    pub async fn warm(&self, extents: &[(Extent, Bytes)]) -> Result<(), Unreadable> {
        let mut bad = Unreadable::default();
        for run in runs(&in_order(extents)) {
            let read = self.warm_run(run).await;
            if read.is_ok() && run.iter().all(|(_, bytes)| fault::is_sound(bytes)) {
                continue;
            }
            // Which of its neighbours, is seen one by one.
            for piece in run {
                let read = match fault::is_sound(&piece.1) {
                    true => self.warm_run(std::slice::from_ref(piece)).await,
                    false => Err(io::Error::other("a page of its mapping could not be read before")),
                };
                if let Err(error) = read {
                    bad.add(piece.0, &error.to_string());
                }
            }
        }
        if bad.extents.is_empty() { Ok(()) } else { Err(bad) }
    }

    async fn warm_run(&self, run: &[(Extent, Bytes)]) -> io::Result<()> {
        for cold in self.recent.cold(run)? {
            self.read_through(cold.file, cold.offset, cold.len as usize).await?;
        }
        Ok(())
    }

    /// What was found in memory may have gone out of it: look again.
    pub fn forget_recent(&self) {
        self.recent.forget();
    }

    async fn read_through(&self, file: FileId, offset: u64, len: usize) -> io::Result<()> {
        let Some(descriptor) = self.readable(file).await? else { return Ok(()) };
        let mut scratch = vec![0; len.min(WARM_BYTES)].into_boxed_slice();
        let mut done = 0;
        while done < len {
            let begun = self.latency.begin(Kind::Read, self.now_us());
            let read = ring::submit(request::read(&descriptor, scratch, offset + done as u64)).await;
            self.latency.end(begun, self.now_us());
            scratch = read.data;
            match read.result {
                // Cut off by somebody: what was mapped there is gone.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bytes that are all there.
    async fn read_whole(&self, file: FileId, offset: u64, len: u32) -> io::Result<Bytes> {
        let descriptor = self.readable(file).await?.ok_or(io::ErrorKind::NotFound)?;
        let mut whole = Vec::with_capacity(len as usize);
        let mut scratch = vec![0; len as usize].into_boxed_slice();
        while whole.len() < len as usize {
            let left = len as usize - whole.len();
            let read = ring::submit(request::read(&descriptor, scratch, offset + whole.len() as u64)).await;
            scratch = read.data;
            match read.result {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) if whole.is_empty() && count == len as usize => return Ok(Bytes::from(scratch)),
                Ok(count) => whole.extend_from_slice(&scratch[..count.min(left)]),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(whole.into())
    }

    /// A file for reading. None: it is gone already, and lives on in its mapping only.
    async fn readable(&self, file: FileId) -> io::Result<Option<Descriptor>> {
        if let Ok(open) = self.descriptor(file) {
            return Ok(Some(open));
        }
        let path = path(&self.folder, file);
        let opened = tokio::task::spawn_blocking(move || File::open(path)).await.map_err(io::Error::other)?;
        match opened {
            Ok(opened) => Ok(Some(Arc::new(OwnedFd::from(opened)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn descriptor(&self, file: FileId) -> io::Result<Descriptor> {
        let open = self.open.borrow();
        open.get(&file).cloned().ok_or_else(|| io::Error::other(format!("{file:?} is not open")))
    }

    fn open_file(&self, file: FileId) -> io::Result<File> {
        if let Ok(descriptor) = self.descriptor(file) {
            return descriptor.try_clone().map(File::from);
        }
        let opened = OpenOptions::new().read(true).write(true).open(path(&self.folder, file))?;
        self.open.borrow_mut().insert(file, Arc::new(OwnedFd::from(opened.try_clone()?)));
        Ok(opened)
    }
}

impl Disk for Files {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        let list = || -> io::Result<Vec<(FileId, u64)>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                if let Some(file) = entry.file_name().to_str().and_then(FileId::of_name) {
                    files.push((file, entry.metadata()?.len()));
                }
            }
            Ok(files)
        };
        list().map_err(|error| io_error(&error))
    }

    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        let mut read = || -> io::Result<usize> {
            let opened = self.open_file(file)?;
            let mut done = 0;
            while done < buffer.len() {
                match opened.read_at(&mut buffer[done..], offset + done as u64) {
                    Ok(0) => break,
                    Ok(count) => done += count,
                    Err(error) if is_passing(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(done)
        };
        read().map_err(|error| io_error(&error))
    }

    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError> {
        let mapped = self.open_file(file).and_then(|opened| view(&opened));
        // Nothing writes to it any more; see `note`.
        self.open.borrow_mut().remove(&file);
        mapped.map_err(|error| io_error(&error))
    }

    fn perform(&mut self, request: &IoRequest) -> IoResult {
        let done = match request {
            IoRequest::Write { file, offset, parts, durable } => self.open_file(*file).and_then(|opened| {
                let mut offset = *offset;
                for part in parts {
                    opened.write_all_at(part, offset)?;
                    offset += part.len() as u64;
                }
                if *durable { opened.sync_data() } else { Ok(()) }.map(|()| IoResult::Done)
            }),
            IoRequest::Read { file, offset, len } => self.open_file(*file).and_then(|opened| {
                let mut bytes = vec![0; *len as usize];
                opened.read_exact_at(&mut bytes, *offset)?;
                Ok(IoResult::Read(bytes.into()))
            }),
            IoRequest::Sync { file } => {
                self.open_file(*file).and_then(|opened| opened.sync_data()).map(|()| IoResult::Done)
            }
            IoRequest::Pause => Ok(IoResult::Done),
            slow => perform_slowly(&self.folder, slow).map(|made| {
                self.note(slow, made.file);
                made.result
            }),
        };
        done.unwrap_or_else(|error| IoResult::Failed(io_error(&error)))
    }
}

async fn sync(descriptor: &Descriptor) -> io::Result<()> {
    // Never repeated after an error: the kernel may have dropped the pages that it could not write.
    ring::submit(request::sync_data(descriptor)).await.result.map(drop)
}

/// What a slow request left behind.
struct Made {
    result: IoResult,
    /// The file that `Create` or `Begin` made.
    file: Option<File>,
}

/// Carries out what is rare and slow: create, begin, map, rename, trim, unlink, work. Blocking.
fn perform_slowly(folder: &Path, request: &IoRequest) -> io::Result<Made> {
    let mut made = Made { result: IoResult::Done, file: None };
    match request {
        IoRequest::Create { file, size, spare } => {
            let path = path(folder, *file);
            leave(folder, *size, *spare)?;
            let created = create(&path, *size).and_then(|created| {
                File::open(folder)?.sync_all()?;
                Ok((view(&created)?, created))
            });
            match created {
                Ok((view, created)) => {
                    made.result = IoResult::Created(view);
                    made.file = Some(created);
                }
                Err(error) => {
                    // What a full disk left half made must not stand in the way of the next attempt.
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        fs::remove_file(&path).or_else(unless_missing)?;
                    }
                    return Err(error);
                }
            }
        }
        IoRequest::Begin { file } => made.file = Some(new_file(&path(folder, *file))?),
        IoRequest::Map { file } => {
            made.result = IoResult::Created(view(&File::open(path(folder, *file))?)?);
        }
        IoRequest::Rename { from, to } => {
            let target = path(folder, *to);
            if target.exists() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(path(folder, *from), target)?;
            File::open(folder)?.sync_all()?;
        }
        IoRequest::Trim { file, len } => {
            let opened = OpenOptions::new().write(true).open(path(folder, *file))?;
            opened.set_len(*len)?;
            opened.sync_all()?;
        }
        IoRequest::Unlink { file } => {
            fs::remove_file(path(folder, *file))?;
            File::open(folder)?.sync_all()?;
        }
        IoRequest::Work(work) => made.result = IoResult::Worked(work.carry_out()),
        IoRequest::Write { .. } | IoRequest::Read { .. } | IoRequest::Sync { .. } | IoRequest::Pause => {
            return Err(io::Error::other(
                "a read, write, sync or pause does not belong on the helper thread",
            ));
        }
    }
    Ok(made)
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Refuses a file that would leave less than `spare` bytes on the disk. A quota of the user's is not seen here; it
/// refuses by itself, and then nothing is spared.
fn leave(folder: &Path, size: u64, spare: u64) -> io::Result<()> {
    match spare > 0 && free_bytes(folder)? < size.saturating_add(spare) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

/// Zeroes are really written, so that later writes change no metadata and cost one flush (DESIGN §10).
fn create(path: &Path, size: u64) -> io::Result<File> {
    let file = new_file(path)?;
    let zeroes = vec![0; CREATE_CHUNK_BYTES];
    let mut offset = 0;
    while offset < size {
        let len = (size - offset).min(zeroes.len() as u64);
        file.write_all_at(&zeroes[..len as usize], offset)?;
        offset += len;
    }
    file.sync_all()?;
    Ok(file)
}

fn view(file: &File) -> io::Result<Box<dyn View>> {
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok(Box::new(Mapped(Bytes::new())));
    }
    Ok(Box::new(Mapped(Bytes::from_owner(Mapping::new(file, len)?))))
}

fn path(folder: &Path, file: FileId) -> PathBuf {
    folder.join(file.name())
}

fn io_error(error: &io::Error) -> IoError {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => IoError::NoSpace,
        None if error.kind() == io::ErrorKind::StorageFull => IoError::NoSpace,
        _ => IoError::Failed(error.to_string()),
    }
}

/// Whether the same call may simply be made again.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::map::is_resident;
    use ringpost_engine::ids::SegmentId;

    const FRESH: FileId = FileId::Fresh(SegmentId(7));
    const SEGMENT: FileId = FileId::Segment(SegmentId(7));

    fn files(data: &Path) -> Files {
        Files::new(data, ShardId(3), Cores::of_this_thread().expect("affinity")).expect("a folder")
    }

    async fn must(files: &Files, request: IoRequest) -> IoResult {
        match files.perform(request).await {
            IoResult::Failed(error) => panic!("{error:?}"),
            done => done,
        }
    }

    #[test]
    fn a_segment_lives_through_everything_and_its_view_stays_current() {
        let data = tempfile::tempdir().expect("a folder");
        let ran = ring::run(async {
            let files = files(data.path());
            let created = must(&files, IoRequest::Create { file: FRESH, size: 3 << 20, spare: 0 }).await;
            let IoResult::Created(view) = created else { panic!("a view comes with it") };
            must(&files, IoRequest::Rename { from: FRESH, to: SEGMENT }).await;
            // More parts than one gathered write takes.
            let parts: Vec<_> = (0..3000u32).map(|n| Bytes::from(n.to_le_bytes().to_vec())).collect();
            let all: Vec<u8> = parts.iter().flatten().copied().collect();
            let write = IoRequest::Write { file: SEGMENT, offset: 4096, parts, durable: true };
            must(&files, write).await;
            assert_eq!(view.slice(4096, 12_000).expect("in the file"), all);
            let one = IoRequest::Write {
                file: SEGMENT,
                offset: 0,
                parts: vec![Bytes::from_static(b"head")],
                durable: true,
            };
            must(&files, one).await;
            must(&files, IoRequest::Sync { file: SEGMENT }).await;
            assert_eq!(view.slice(0, 4).expect("in the file"), "head");
            assert!(view.slice(3 << 20, 1).is_none());
            assert!(view.slice(u64::MAX, 2).is_none());
            let extent = Extent { file: SEGMENT, offset: 4096, len: 12_000 };
            files.warm(&[(extent, view.slice(4096, 12_000).expect("in the file"))]).await.expect("warm");
            must(&files, IoRequest::Trim { file: SEGMENT, len: 16_384 }).await;
            assert!(files.open.borrow().is_empty(), "a sealed segment keeps no descriptor");
            files.read_through(SEGMENT, 4096, 12_000).await.expect("and can still be read");
            files
                .read_through(FileId::Segment(SegmentId(8)), 0, 1)
                .await
                .expect("what is gone lives on in its mapping");
            all
        });
        let all = ran.expect("nothing is left under way");
        let mut again = files(data.path());
        assert_eq!(again.list().expect("a list"), [(SEGMENT, 16_384)]);
        let mut buffer = vec![0; 20_000];
        assert_eq!(again.read(SEGMENT, 4096, &mut buffer).expect("read"), 16_384 - 4096);
        assert_eq!(buffer[..all.len()], all);
        assert_eq!(again.map(SEGMENT).expect("map").slice(0, 4).expect("in the file"), "head");
        assert!(matches!(Disk::perform(&mut again, &IoRequest::Unlink { file: SEGMENT }), IoResult::Done));
        assert!(again.list().expect("a list").is_empty());
    }

    #[test]
    fn what_exists_is_not_overwritten_and_what_is_missing_fails() {
        let data = tempfile::tempdir().expect("a folder");
        let mut files = files(data.path());
        let create = |file| IoRequest::Create { file, size: 4096, spare: 0 };
        assert!(matches!(Disk::perform(&mut files, &create(FRESH)), IoResult::Created(_)));
        assert!(matches!(Disk::perform(&mut files, &create(SEGMENT)), IoResult::Created(_)));
        for refused in [create(FRESH), IoRequest::Rename { from: FRESH, to: SEGMENT }] {
            assert!(matches!(Disk::perform(&mut files, &refused), IoResult::Failed(IoError::Failed(_))));
        }
        assert_eq!(files.list().expect("a list").len(), 2);
        let missing = IoRequest::Sync { file: FileId::Segment(SegmentId(9)) };
        assert!(matches!(Disk::perform(&mut files, &missing), IoResult::Failed(IoError::Failed(_))));
    }

    #[test]
    fn cold_bytes_are_brought_in() {
        let data = tempfile::tempdir().expect("a folder");
        let mut files = files(data.path());
        let create = IoRequest::Create { file: SEGMENT, size: 8 << 20, spare: 0 };
        let IoResult::Created(view) = Disk::perform(&mut files, &create) else { panic!("created") };
        let bytes = view.slice(0, 8 << 20).expect("in the file");
        let file = files.open_file(SEGMENT).expect("open");
        crate::sys::map::evict(&file).expect("evict");
        if is_resident(&bytes[..4096]) {
            eprintln!("this file system keeps its pages; only the path is tested");
        }
        let extent = Extent { file: SEGMENT, offset: 0, len: 8 << 20 };
        ring::run(async { files.warm(&[(extent, bytes.clone())]).await.expect("warm") }).expect("done");
        assert!(is_resident(&bytes));
    }

    #[test]
    fn a_file_begun_grows_and_is_mapped_when_it_is_whole() {
        let data = tempfile::tempdir().expect("a folder");
        let ran = ring::run(async {
            let files = files(data.path());
            let (new, whole) = (FileId::CheckpointNew(3), FileId::Checkpoint(3));
            must(&files, IoRequest::Begin { file: new }).await;
            for (offset, part) in [(0, "check"), (5, "point")] {
                let parts = vec![Bytes::from_static(part.as_bytes())];
                must(&files, IoRequest::Write { file: new, offset, parts, durable: false }).await;
            }
            must(&files, IoRequest::Sync { file: new }).await;
            must(&files, IoRequest::Rename { from: new, to: whole }).await;
            let mapped = must(&files, IoRequest::Map { file: whole }).await;
            let IoResult::Created(view) = mapped else { panic!("a view comes with it") };
            assert_eq!(view.slice(0, 10).expect("in the file"), "checkpoint");
            assert!(view.slice(0, 11).is_none() && files.open.borrow().is_empty());
        });
        ran.expect("nothing is left under way");
        assert_eq!(files(data.path()).list().expect("a list"), [(FileId::Checkpoint(3), 10)]);
    }

    #[test]
    fn a_full_disk_is_not_a_failure() {
        for full in [libc::ENOSPC, libc::EDQUOT] {
            assert_eq!(io_error(&io::Error::from_raw_os_error(full)), IoError::NoSpace);
        }
        let failed = io_error(&io::Error::from_raw_os_error(libc::EIO));
        assert!(matches!(failed, IoError::Failed(_)));
    }
}
