//! A store in a real folder, for tests of the tool.
//!
//! *Owns*: the loop that drives a store on the server's own files, and the program that is run. *Promises*: what
//! `settle` returns is in the files. *Assumes*: one store a folder. *Never*: looks into the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use ringpost::runtime::Files;
use ringpost::sys::cpu::Cores;
use ringpost_engine::change::{Change, FlagBits, Flags, NewBody, NewMessage, Outcome, Services, UidSet};
use ringpost_engine::compact;
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Now, ShardId};
use ringpost_engine::io::Disk;
use ringpost_engine::layout::Summary;
use ringpost_engine::origin::{Origin, Reading, SessionInfo};
use ringpost_engine::store::{Options, Store};
use serde_json::Value;

/// Every account's INBOX.
pub const INBOX: MailboxId = MailboxId(1);

/// A store at work in `shard-NNN` of a data folder.
pub struct Host {
    disk: Files,
    store: Store,
    now: Now,
}

impl Host {
    /// Opens a shard with small segments.
    pub fn open(data: &Path, shard: u16) -> Host {
        let cores = Cores::of_this_thread().expect("affinity");
        let mut disk = Files::new(data, ShardId(shard), cores).expect("a folder");
        let now = Now { unix_ms: 1_767_225_600_000, mono_ms: 0 };
        let options = Options {
            segment_bytes: 256 * 1024,
            message_bytes_max: 64 * 1024,
            ..Options::new(ShardId(shard), 0x5eed)
        };
        let (store, _) = Store::open(&mut disk, options, now).expect("it opens");
        Host { disk, store, now }
    }

    /// Opens a shard that makes checkpoints and lets go what is dead as soon as it may.
    pub fn eager(data: &Path) -> Host {
        Host::eager_keeping(data, 0)
    }

    /// The same; removed messages can be had back for so long.
    pub fn eager_keeping(data: &Path, undelete_ms: u64) -> Host {
        let cores = Cores::of_this_thread().expect("affinity");
        let mut disk = Files::new(data, ShardId(0), cores).expect("a folder");
        let now = Now { unix_ms: 1_767_225_600_000, mono_ms: 0 };
        let usual = Options::new(ShardId(0), 0x5eed);
        let options = Options {
            segment_bytes: 64 * 1024,
            message_bytes_max: 20_000,
            checkpoint_log_bytes: 32 * 1024,
            undelete_ms,
            compact: compact::Options { live_percent: 90, grace_ms: 0, look_ms: 1, ..usual.compact },
            ..usual
        };
        let (store, _) = Store::open(&mut disk, options, now).expect("it opens");
        Host { disk, store, now }
    }

    /// Time passes, and upkeep does its work.
    pub fn wait(&mut self) {
        for _ in 0..100 {
            self.now.unix_ms += 1_000;
            self.now.mono_ms += 1_000;
            self.store.tick(self.now);
            self.settle();
        }
    }

    /// What it holds.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The time of the last change, milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        self.now.unix_ms
    }

    /// Makes everything durable; returns the outcomes.
    pub fn settle(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((id, request)) = self.store.poll_io() {
            let result = Disk::perform(&mut self.disk, &request);
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

    /// A session that changes may name.
    pub fn session(&mut self, user: &str, client: &str) -> Origin {
        let about = SessionInfo {
            service: "imap".to_owned(),
            connection: 7,
            tls: true,
            peer: "192.0.2.7".to_owned(),
            user: user.to_owned(),
            client: client.to_owned(),
            opened_ms: self.now.unix_ms,
        };
        self.store.introduce(about, self.now).expect("it is taken")
    }

    /// Carries out one change that a session asks for.
    pub fn change_by(&mut self, by: Origin, account: AccountId, change: Change) -> Outcome {
        self.now.unix_ms += 1000;
        self.store.append_by(by, account, change, self.now).expect("it is taken");
        self.settle().pop().expect("it has an outcome")
    }

    /// A session was sent messages of INBOX; told with the next change.
    pub fn read(&mut self, by: Origin, of: AccountId, uids: UidSet) {
        let reading = Reading { by, about: SessionInfo::default(), of, mailbox: INBOX, uids };
        self.store.note_reading(reading, self.now);
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

    /// A message that no mailbox shows yet.
    pub fn body(&mut self, account: AccountId, octets: &[u8]) -> BodyId {
        let summary = Summary { envelope: Bytes::from_static(b"(NIL \"hello\")"), ..Summary::default() };
        let body = NewBody { parts: vec![Bytes::copy_from_slice(octets)], summary: summary.encode() };
        self.store.append_body(account, body, self.now).expect("it is taken")
    }

    /// A message in INBOX.
    pub fn deliver(&mut self, account: AccountId, octets: &[u8]) -> BodyId {
        let body = self.body(account, octets);
        let flags = Flags { keywords: vec!["$Todo".to_owned()], ..Flags::default() };
        let internal_ms = 1_700_000_000_000;
        let outcome = self.change(account, Change::Deliver { mailbox: INBOX, body, flags, internal_ms });
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
        body
    }

    /// A message appended to a mailbox, read already.
    pub fn append(&mut self, account: AccountId, mailbox: MailboxId, octets: &[u8]) -> BodyId {
        let body = self.body(account, octets);
        let flags = Flags { system: FlagBits::SEEN, ..Flags::default() };
        let messages = vec![NewMessage { body, flags, internal_ms: 1_700_000_000_000 }];
        let outcome = self.change(account, Change::Append { mailbox, messages, replaces: None });
        assert!(matches!(outcome, Outcome::Appended { .. }), "{outcome:?}");
        body
    }

    /// A new mailbox.
    pub fn mailbox(&mut self, account: AccountId, name: &str) -> MailboxId {
        let change = Change::MailboxCreate { name: name.to_owned(), special_use: None };
        match self.change(account, change) {
            Outcome::MailboxCreated(id) => id,
            outcome => panic!("{outcome:?}"),
        }
    }
}

/// Runs the program.
pub fn run(data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost-log"));
    command.arg("--data").arg(data).args(arguments).output().expect("it runs")
}

/// What it prints, when all is well.
pub fn text(data: &Path, arguments: &[&str]) -> String {
    let output = run(data, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The objects in what it printed.
pub fn objects(output: &Output) -> Vec<Value> {
    let lines = String::from_utf8(output.stdout.clone()).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

/// The objects that it prints, when all is well.
pub fn json(data: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(data, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    objects(&output)
}

/// Those of a type.
pub fn of_type<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["type"] == kind).collect()
}

/// Changes one byte of a file.
pub fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("it can be read");
    bytes[at] ^= 0x40;
    std::fs::write(file, bytes).expect("it can be written");
}

/// The oldest segment of shard 0.
pub fn first_segment(data: &Path) -> PathBuf {
    let entries = std::fs::read_dir(data.join("shard-000")).expect("the folder is there");
    let files = entries.map(|entry| entry.expect("it can be listed").path());
    let segments = files.filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
    segments.min().expect("a segment")
}
