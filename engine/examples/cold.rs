//! What many accounts cost that nobody uses: `cargo run --release -p ringpost-engine --example cold -- FOLDER`.
//!
//! *Owns*: a store in a real folder, filled, closed, opened again from its checkpoint, and used by few. *Promises*:
//! resident bytes are the index's: files are read, not mapped. *Assumes*: Linux, for `/proc/self/statm`; an empty
//! folder with some gigabytes of room. *Never*: judges; it prints.
//!
//! `-- FOLDER N` takes N accounts instead of 100,000.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, Outcome, Services, SpecialUse};
use ringpost_engine::ids::{AccountId, MailboxId, Now, ShardId};
use ringpost_engine::io::{Disk, FileId, IoError, IoRequest, IoResult, View};
use ringpost_engine::store::{Options, Store, StoreStats};

const INBOX: MailboxId = MailboxId(1);
/// Octets of a message.
const BODY_BYTES: usize = 2048;
/// Accounts that are made, or messages that are delivered, before the disk is asked.
const TOGETHER: usize = 1000;

/// Files of a folder, without a sync: what is measured is memory and bytes.
struct FileDisk(PathBuf);

#[derive(Debug)]
struct FileView(File);

impl View for FileView {
    fn slice(&self, offset: u64, len: u32) -> Option<Bytes> {
        let mut buffer = vec![0; len as usize];
        self.0.read_exact_at(&mut buffer, offset).ok()?;
        Some(buffer.into())
    }
}

impl FileDisk {
    fn path(&self, file: FileId) -> PathBuf {
        self.0.join(file.name())
    }

    fn carry_out(&self, request: &IoRequest) -> io::Result<IoResult> {
        match request {
            IoRequest::Write { file, offset, parts, .. } => {
                let target = OpenOptions::new().write(true).open(self.path(*file))?;
                let mut at = *offset;
                for part in parts {
                    target.write_all_at(part, at)?;
                    at += part.len() as u64;
                }
            }
            IoRequest::Read { file, offset, len } => {
                let mut bytes = vec![0; *len as usize];
                File::open(self.path(*file))?.read_exact_at(&mut bytes, *offset)?;
                return Ok(IoResult::Read(bytes.into()));
            }
            IoRequest::Work(work) => return Ok(IoResult::Worked(work.carry_out())),
            IoRequest::Sync { .. } | IoRequest::Pause => {}
            IoRequest::Create { file, size, .. } => {
                let created =
                    File::options().read(true).write(true).create_new(true).open(self.path(*file))?;
                created.set_len(*size)?;
                return Ok(IoResult::Created(Box::new(FileView(created))));
            }
            IoRequest::Begin { file } => drop(File::create_new(self.path(*file))?),
            IoRequest::Map { file } => {
                return Ok(IoResult::Created(Box::new(FileView(File::open(self.path(*file))?))));
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

fn failed(error: io::Error) -> IoError {
    IoError::Failed(error.to_string())
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(file) = entry.file_name().to_str().and_then(FileId::of_name) {
                files.push((file, entry.metadata().map_err(failed)?.len()));
            }
        }
        Ok(files)
    }

    fn read(&mut self, file: FileId, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        let opened = File::open(self.path(file)).map_err(failed)?;
        let mut done = 0;
        while done < buffer.len() {
            match opened.read_at(&mut buffer[done..], offset + done as u64).map_err(failed)? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    fn map(&mut self, file: FileId) -> Result<Box<dyn View>, IoError> {
        Ok(Box::new(FileView(File::open(self.path(file)).map_err(failed)?)))
    }

    fn perform(&mut self, request: &IoRequest) -> IoResult {
        self.carry_out(request).unwrap_or_else(|error| IoResult::Failed(failed(error)))
    }
}

struct Bench {
    disk: FileDisk,
    store: Store,
    now: Now,
}

impl Bench {
    fn open(folder: PathBuf, options: Options) -> Bench {
        let (mut disk, now) = (FileDisk(folder), Now { unix_ms: 1_700_000_000_000, mono_ms: 1 });
        let (before, begun) = (resident_bytes(), Instant::now());
        let (store, report) = Store::open(&mut disk, options, now).expect("a sound folder");
        let (took, grown) = (begun.elapsed(), resident_bytes().saturating_sub(before));
        let accounts = store.stats().accounts.max(1);
        println!(
            "start with {} accounts: {:.2} s, {} checkpoint bytes, {} log bytes; resident {} MB, {} B an account",
            store.stats().accounts,
            took.as_secs_f64(),
            report.checkpoint_bytes,
            report.bytes,
            grown >> 20,
            grown as u64 / accounts,
        );
        Bench { disk, store, now }
    }

    /// Does what there is to do, checkpoints included.
    fn drive(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((id, request)) = self.store.poll_io() {
            let progress = self.store.complete(id, self.disk.perform(&request));
            assert!(progress.fatal.is_none(), "{:?}", progress.fatal);
            outcomes.extend(progress.applied.into_iter().map(|applied| applied.outcome));
        }
        self.now.mono_ms += 1;
        self.store.tick(self.now);
        outcomes
    }

    /// Until a checkpoint has all of it.
    fn settle(&mut self) -> StoreStats {
        loop {
            let (before, file) = (self.store.stats().checkpoint_bytes, self.store.checkpointed());
            for _ in 0..200 {
                self.drive();
                self.now.mono_ms += 10_000;
            }
            if self.store.stats().checkpoint_bytes == before && self.store.checkpointed() == file {
                return self.store.stats();
            }
        }
    }

    fn accounts(&mut self, count: usize) -> Vec<AccountId> {
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
        let mailboxes = [
            ("Drafts", SpecialUse::Drafts),
            ("Sent", SpecialUse::Sent),
            ("Junk", SpecialUse::Junk),
            ("Trash", SpecialUse::Trash),
        ];
        let mut made = Vec::new();
        for n in 0..count {
            let create = Change::AccountCreate {
                address: format!("user{n:07}@example.test"),
                password_hash: hash.to_owned(),
                services: Services::ALL,
                mailboxes: mailboxes.map(|(name, special_use)| (name.to_owned(), Some(special_use))).to_vec(),
            };
            self.store.append(AccountId(0), create, self.now).expect("room for it");
            if n % TOGETHER == TOGETHER - 1 || n + 1 == count {
                made.extend(self.drive().into_iter().filter_map(|outcome| match outcome {
                    Outcome::AccountCreated(account) => Some(account),
                    _ => None,
                }));
            }
        }
        made
    }

    /// A message for each, one after the other.
    fn deliver(&mut self, accounts: &[AccountId]) {
        let octets = Bytes::from(vec![b'x'; BODY_BYTES]);
        for some in accounts.chunks(TOGETHER) {
            for &account in some {
                let body = NewBody { parts: vec![octets.clone()], summary: octets.slice(..200) };
                let body = self.store.append_body(account, body, self.now).expect("room for it");
                let change =
                    Change::Deliver { mailbox: INBOX, body, flags: Flags::default(), internal_ms: 1_700_000 };
                self.store.append(account, change, self.now).expect("room for it");
            }
            assert!(!self.drive().iter().any(|outcome| matches!(outcome, Outcome::Refused(_))));
        }
    }
}

fn resident_bytes() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder"));
    let count = arguments.next().map_or(100_000, |count| count.parse().expect("a number of accounts"));
    let options = Options { checkpoint_log_bytes: 16 << 20, ..Options::new(ShardId(0), 7) };
    if folder.read_dir().is_ok_and(|mut files| files.next().is_none()) {
        let mut bench = Bench::open(folder, options.clone());
        let accounts = bench.accounts(count);
        let stats = bench.settle();
        let per_account = stats.checkpoint_live_bytes / accounts.len() as u64;
        println!("made: {per_account} checkpoint bytes an account");
        // What lies behind the last checkpoint comes into one more, so that a start finds all asleep.
        let folder = bench.disk.0;
        Bench::open(folder, Options { checkpoint_log_bytes: 1, ..options }).settle();
        println!("run this again to measure a start");
        return;
    }
    let mut bench = Bench::open(folder, options);
    let before = resident_bytes();
    let accounts: Vec<AccountId> =
        bench.store.accounts_after("").map(|account| account.id()).take(10_000.min(count)).collect();
    let grown = resident_bytes().saturating_sub(before);
    println!("{} accounts woken: {} B more each", accounts.len(), grown / accounts.len());
    let before = bench.settle();
    let some = &accounts[..];
    for round in 1..=3 {
        bench.deliver(some);
        let after = bench.settle();
        let written = after.checkpoint_bytes - before.checkpoint_bytes;
        println!(
            "{} messages to as many accounts, {round} times: {} checkpoint bytes a message",
            some.len(),
            written / (some.len() * round) as u64
        );
    }
    let one = [accounts[0]; 20_000];
    let before = bench.settle();
    bench.deliver(&one);
    let after = bench.settle();
    let written = after.checkpoint_bytes - before.checkpoint_bytes;
    println!(
        "{} messages to one account: {} checkpoint bytes a message",
        one.len(),
        written / one.len() as u64
    );
}
