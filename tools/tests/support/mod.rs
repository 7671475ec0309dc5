//! A store in a real folder, for tests of the tool.
//!
//! *Owns*: a blocking disk over `std::fs`, and the loop that drives a store on it. *Promises*: what `settle`
//! returns is in the files. *Assumes*: one store a folder. *Never*: maps a file; tests are small.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, Outcome, Services};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Now, ShardId};
use ringpost_engine::io::{Disk, FileId, IoError, IoRequest, IoResult, View};
use ringpost_engine::layout::Summary;
use ringpost_engine::store::{Options, Store};

/// Files in a folder, read and written at once.
pub struct RealDisk(PathBuf);

#[derive(Debug)]
struct RealView(File);

impl View for RealView {
    fn slice(&self, offset: u64, len: u32) -> Option<Bytes> {
        let mut buffer = vec![0; len as usize];
        self.0.read_exact_at(&mut buffer, offset).ok()?;
        Some(buffer.into())
    }
}

impl RealDisk {
    fn path(&self, file: FileId) -> PathBuf {
        self.0.join(file.name())
    }

    fn carry_out(&self, request: &IoRequest) -> std::io::Result<IoResult> {
        match request {
            IoRequest::Write { file, offset, parts, .. } => {
                let target = OpenOptions::new().write(true).open(self.path(*file))?;
                target.write_all_at(&parts.concat(), *offset)?;
            }
            IoRequest::Sync { .. } => {}
            IoRequest::Create { file, size } => {
                let created =
                    File::options().read(true).write(true).create_new(true).open(self.path(*file))?;
                created.set_len(*size)?;
                return Ok(IoResult::Created(Box::new(RealView(created))));
            }
            IoRequest::Begin { file } => drop(File::create_new(self.path(*file))?),
            IoRequest::Map { file } => {
                return Ok(IoResult::Created(Box::new(RealView(File::open(self.path(*file))?))));
            }
            IoRequest::Rename { from, to } => fs::rename(self.path(*from), self.path(*to))?,
            IoRequest::Trim { file, len } => {
                OpenOptions::new().write(true).open(self.path(*file))?.set_len(*len)?;
            }
            IoRequest::Unlink { file } => fs::remove_file(self.path(*file))?,
        }
        Ok(IoResult::Done)
    }
}

impl Disk for RealDisk {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).expect("the folder is there") {
            let entry = entry.expect("it can be listed");
            let name = entry.file_name().into_string().expect("plain names");
            let file = FileId::of_name(&name).expect("one of ours");
            files.push((file, entry.metadata().expect("it has a size").len()));
        }
        Ok(files)
    }

    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        let bytes = fs::read(self.path(file)).expect("it can be read");
        let from = (offset as usize).min(bytes.len());
        let len = buffer.len().min(bytes.len() - from);
        buffer[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError> {
        Ok(Box::new(RealView(File::open(self.path(file)).expect("it is there"))))
    }

    fn perform(&mut self, request: &IoRequest) -> IoResult {
        self.carry_out(request).unwrap_or_else(|error| IoResult::Failed(IoError::Failed(error.to_string())))
    }
}

/// Every account's INBOX.
pub const INBOX: MailboxId = MailboxId(1);

/// A store at work in `shard-NNN` of a data folder.
pub struct Host {
    disk: RealDisk,
    store: Store,
    now: Now,
}

impl Host {
    /// Opens a shard with small segments.
    pub fn open(data: &Path, shard: u16) -> Host {
        let folder = data.join(format!("shard-{shard:03}"));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let mut disk = RealDisk(folder);
        let now = Now { unix_ms: 1_767_225_600_000, mono_ms: 0 };
        let options = Options {
            segment_bytes: 256 * 1024,
            message_bytes_max: 64 * 1024,
            ..Options::new(ShardId(shard), 0x5eed)
        };
        let (store, _) = Store::open(&mut disk, options, now).expect("it opens");
        Host { disk, store, now }
    }

    /// Makes everything durable; returns the outcomes.
    pub fn settle(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((id, request)) = self.store.poll_io() {
            let result = self.disk.perform(&request);
            let progress = self.store.complete(id, result);
            assert_eq!(progress.fatal, None);
            outcomes.extend(progress.applied.into_iter().map(|applied| applied.outcome));
        }
        outcomes
    }

    /// Carries out one change.
    pub fn change(&mut self, account: AccountId, change: Change) -> Outcome {
        self.now.unix_ms += 1000;
        self.store.append(account, change, self.now).expect("it is taken");
        self.settle().pop().expect("it has an outcome")
    }

    /// A new account.
    pub fn account(&mut self, address: &str) -> AccountId {
        let change = Change::AccountCreate {
            address: address.to_owned(),
            password_hash: "$argon2id$secret".to_owned(),
            services: Services::ALL,
            mailboxes: vec![("Sent".to_owned(), None)],
        };
        match self.change(AccountId(0), change) {
            Outcome::AccountCreated(id) => id,
            outcome => panic!("{outcome:?}"),
        }
    }

    /// A message in INBOX.
    pub fn deliver(&mut self, account: AccountId, octets: &[u8]) -> BodyId {
        let summary = Summary { envelope: Bytes::from_static(b"(NIL \"hello\")"), ..Summary::default() };
        let body = NewBody { parts: vec![Bytes::copy_from_slice(octets)], summary: summary.encode() };
        let body = self.store.append_body(account, body, self.now).expect("it is taken");
        let flags = Flags { keywords: vec!["$Todo".to_owned()], ..Flags::default() };
        let internal_ms = 1_700_000_000_000;
        let outcome = self.change(account, Change::Deliver { mailbox: INBOX, body, flags, internal_ms });
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
        body
    }
}
