//! What large mailboxes and many accounts cost: `cargo run --release -p ringpost-engine --example scale`.
//!
//! *Owns*: a store on a disk that keeps nothing, filled by changes as a server makes them. *Promises*: what is
//! timed is the processor time of this thread, so that a busy machine does no harm; resident bytes are the
//! index's. *Assumes*: Linux, for `/proc/thread-self/schedstat` and `/proc/self/statm`. *Never*: judges; it
//! prints.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ringpost_engine::change::{
    Change, FlagBits, FlagOp, Flags, NewBody, NewMessage, Outcome, Services, SpecialUse, UidSet,
};
use ringpost_engine::ids::{AccountId, MailboxId, ModSeq, Now, ShardId, Uid};
use ringpost_engine::index::MailboxRef;
use ringpost_engine::io::{Disk, FileId, IoError, IoRequest, IoResult, View};
use ringpost_engine::limits::{APPEND_MESSAGES_MAX, UNDELETE_MS};
use ringpost_engine::store::{Options, Store};

const INBOX: MailboxId = MailboxId(1);
const BODY_BYTES: usize = 64;

/// Takes everything, keeps nothing.
#[derive(Debug)]
struct NullDisk;

impl View for NullDisk {
    fn slice(&self, _offset: u64, _len: u32) -> Option<Bytes> {
        None
    }
}

impl Disk for NullDisk {
    fn list(&mut self) -> Result<Vec<(FileId, u64)>, IoError> {
        Ok(Vec::new())
    }
    fn read(&mut self, _file: FileId, _offset: u64, _buffer: &mut [u8]) -> Result<usize, IoError> {
        Ok(0)
    }
    fn map(&mut self, _file: FileId) -> Result<Box<dyn View>, IoError> {
        Ok(Box::new(NullDisk))
    }
    fn perform(&mut self, request: &IoRequest) -> IoResult {
        match request {
            IoRequest::Create { .. } | IoRequest::Map { .. } => IoResult::Created(Box::new(NullDisk)),
            _ => IoResult::Done,
        }
    }
}

struct Bench {
    store: Store,
    now: Now,
    /// The longest call of the store since somebody asked, and which it was.
    longest: (Duration, &'static str),
}

impl Bench {
    fn new() -> Bench {
        let now = Now::default();
        let opened = Store::open(&mut NullDisk, Options::new(ShardId(0), 7), now);
        Bench { store: opened.expect("an empty disk").0, now, longest: Default::default() }
    }

    /// One call of the store: while it lasts, nobody else on the shard is served.
    fn step<R>(&mut self, what: &'static str, call: impl FnOnce(&mut Store, Now) -> R) -> R {
        let begun = Instant::now();
        let result = call(&mut self.store, self.now);
        self.longest = self.longest.max((begun.elapsed(), what));
        result
    }

    /// Applies what waits, checkpoints included; what came of it.
    fn drive(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((id, request)) = self.step("poll_io", |store, _| store.poll_io()) {
            let result = NullDisk.perform(&request);
            let progress = self.step("complete", |store, _| store.complete(id, result));
            outcomes.extend(progress.applied.into_iter().map(|applied| applied.outcome));
        }
        self.now.mono_ms += 1;
        self.step("tick", |store, now| store.tick(now));
        outcomes
    }

    fn ask(&mut self, account: AccountId, change: Change) {
        self.step("append", |store, now| store.append(account, change, now)).expect("room for it");
    }

    /// Does something `times` times and says what one time costs, and the longest call.
    fn time<R>(&mut self, what: &str, times: u32, work: impl FnOnce(&mut Bench) -> R) -> R {
        self.longest = Default::default();
        let begun = spent();
        let result = work(self);
        let each = (spent() - begun).as_secs_f64() * 1e6 / f64::from(times);
        let (longest, call) = self.longest;
        println!("{what:<58} {each:>12.1} µs {:>10.2} ms in {call}", longest.as_secs_f64() * 1e3);
        result
    }

    fn change(&mut self, account: AccountId, change: Change) {
        self.ask(account, change);
        let outcomes = self.drive();
        assert!(!outcomes.iter().any(|outcome| matches!(outcome, Outcome::Refused(_))), "{outcomes:?}");
    }

    fn account(&mut self, name: &str) -> AccountId {
        let mailboxes = [
            ("Drafts", SpecialUse::Drafts),
            ("Sent", SpecialUse::Sent),
            ("Junk", SpecialUse::Junk),
            ("Trash", SpecialUse::Trash),
        ];
        let create = Change::AccountCreate {
            address: format!("{name}@example.test"),
            password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA".to_owned(),
            services: Services::ALL,
            mailboxes: mailboxes.map(|(name, special_use)| (name.to_owned(), Some(special_use))).to_vec(),
        };
        self.ask(AccountId(0), create);
        match self.drive().as_slice() {
            [Outcome::AccountCreated(account)] => *account,
            outcomes => panic!("{outcomes:?}"),
        }
    }

    /// Messages with a body each, in appends of many.
    fn fill(&mut self, account: AccountId, count: usize) {
        let octets = Bytes::from(vec![b'x'; BODY_BYTES]);
        let mut left = count;
        while left > 0 {
            let some = left.min(APPEND_MESSAGES_MAX);
            let mut message = || {
                let body = NewBody { parts: vec![octets.clone()], summary: octets.clone() };
                let body = self.store.append_body(account, body, Now::default()).expect("room for it");
                NewMessage { body, flags: Flags::default(), internal_ms: 1_700_000_000_000 }
            };
            let messages = (0..some).map(|_| message()).collect();
            self.ask(account, Change::Append { mailbox: INBOX, messages, replaces: None });
            self.drive();
            left -= some;
        }
    }

    /// Makes a checkpoint of what has changed.
    fn checkpoint(&mut self) {
        let (before, octets) = (self.store.stats().checkpoints, Bytes::from(vec![b'x'; 1 << 20]));
        while self.store.stats().checkpoints == before {
            // Log without a change: a body that nobody names.
            let body = NewBody { parts: vec![octets.clone()], summary: octets.slice(..64) };
            self.store.append_body(AccountId(0), body, self.now).expect("room for it");
            self.drive();
        }
    }

    fn inbox(&self, account: AccountId) -> MailboxRef<'_> {
        self.store.mailbox(account, INBOX).expect("every account has INBOX")
    }
}

fn range(first: u32, last: u32) -> UidSet {
    UidSet::from_ranges(vec![(first, last)]).expect("one range")
}

fn flags(system: FlagBits) -> Flags {
    Flags { system, keywords: Vec::new() }
}

fn expunge(uids: UidSet) -> Change {
    Change::Expunge { mailbox: INBOX, uids, only_deleted: false }
}

fn store_flags(uids: UidSet, system: FlagBits) -> Change {
    let flags = flags(system);
    Change::FlagsStore { mailbox: INBOX, uids, op: FlagOp::Add, flags, unchanged_since: None }
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Processor time of this thread so far.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// Does something `times` times and says what one time costs.
fn time<R>(what: &str, times: u32, work: impl FnOnce() -> R) -> R {
    let begun = spent();
    let result = work();
    println!("{what:<58} {:>12.1} µs", (spent() - begun).as_secs_f64() * 1e6 / f64::from(times));
    result
}

/// One mailbox of `count` messages, by single changes and by changes of all.
fn large_mailbox(count: u32) {
    println!("\n{count} messages in one mailbox");
    let mut bench = Bench::new();
    let account = bench.account("large");
    bench.time("append, a message", count, |bench| bench.fill(account, count as usize));
    let rounds = count / 100;
    bench.time("expunge the first, one by one", rounds, |bench| {
        (1..=rounds).for_each(|uid| bench.change(account, expunge(range(uid, uid))));
    });
    let middle = count / 2;
    bench.time("flag one in the middle", rounds, |bench| {
        let one = |uid| store_flags(range(uid, uid), FlagBits::SEEN);
        (middle..middle + rounds).for_each(|uid| bench.change(account, one(uid)));
    });
    let inbox = bench.inbox(account);
    let since = |ago: u32| ModSeq(inbox.highest_modseq().0 - u64::from(ago));
    let mut seen = time("changed since the last change", rounds, || {
        (0..rounds).map(|_| inbox.changed_since(since(1)).len() as usize).sum::<usize>()
    });
    seen += time("changed since as many changes ago as were flagged", 1, || {
        inbox.changed_since(since(rounds)).len() as usize
    });
    seen += time("look at every message, by place, in all", 1, || {
        (0..inbox.len()).map(|place| inbox.message(place).size as usize).sum::<usize>()
    });
    seen += time("find a place by UID", count, || {
        (0..count).filter(|&uid| inbox.place(Uid(uid)).is_some()).count()
    });
    println!("{:<58} {seen:>12}", "(so that nothing is optimised away)");
    let all = range(1, count);
    let flag = store_flags(all.clone(), FlagBits::FLAGGED);
    bench.time("flag all, in one change", 1, |bench| bench.change(account, flag));
    bench.time("a checkpoint of that", 1, Bench::checkpoint);
    let odd: Vec<(u32, u32)> = (rounds / 2..count / 4).map(|n| (2 * n + 1, 2 * n + 1)).collect();
    let odd = expunge(UidSet::from_ranges(odd).expect("no neighbours"));
    bench
        .time("expunge every second of the first half, in one change", 1, |bench| bench.change(account, odd));
    let copy = |to, expunge| Change::Copy { from: INBOX, to: MailboxId(to), uids: all.clone(), expunge };
    bench.time("copy all, in one change", 1, |bench| bench.change(account, copy(2, false)));
    bench.time("move all, in one change", 1, |bench| bench.change(account, copy(3, true)));
    let gone = Change::Expunge { mailbox: MailboxId(3), uids: all.clone(), only_deleted: false };
    bench.time("expunge all, in one change", 1, |bench| bench.change(account, gone));
    bench.time("delete a mailbox of as many", 1, |bench| {
        bench.change(account, Change::MailboxDelete { mailbox: MailboxId(2) });
    });
    bench.time("a checkpoint of all that", 1, Bench::checkpoint);
    bench.time("let go what was removed", 1, |bench| {
        bench.now.unix_ms += UNDELETE_MS + 1;
        (0..=4 * count / 4096).for_each(|_| drop(bench.drive()));
    });
}

/// Many folders made and deleted, many changes between two looks at the disk, beside a large mailbox.
fn many_folders(count: u32) {
    println!("\n{count} folders");
    let mut bench = Bench::new();
    let account = bench.account("folders");
    bench.time("create one, all in one batch", count, |bench| {
        for n in 0..count {
            bench.ask(account, Change::MailboxCreate { name: format!("folder{n}"), special_use: None });
        }
        assert!(bench.drive().iter().all(|outcome| matches!(outcome, Outcome::MailboxCreated(_))));
    });
    bench.time("a checkpoint of them", 1, Bench::checkpoint);
    bench.time("delete one, all in one batch", count, |bench| {
        for n in 0..count {
            bench.ask(account, Change::MailboxDelete { mailbox: MailboxId(6 + n) });
        }
        assert!(bench.drive().iter().all(|outcome| matches!(outcome, Outcome::Done)));
    });
    bench.time("a checkpoint that they are gone", 1, Bench::checkpoint);
}

fn memory(accounts: usize, messages: usize) {
    println!("\n{accounts} accounts, then {messages} messages in one of them");
    let mut bench = Bench::new();
    let first = bench.account("first");
    let before = resident_bytes();
    for n in 0..accounts {
        bench.account(&format!("user{n:07}"));
    }
    let grown = resident_bytes() - before;
    println!("{:<58} {:>12} B", "an account with five mailboxes", grown / accounts);
    let before = resident_bytes();
    bench.fill(first, messages);
    let grown = resident_bytes() - before;
    println!("{:<58} {:>12} B", "a message and its body", grown / messages);
}

fn main() {
    // First, while nothing freed lies about that it could be made of.
    memory(20_000, 1_000_000);
    large_mailbox(10_000);
    large_mailbox(1_000_000);
    many_folders(10_000);
}
