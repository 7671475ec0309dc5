//! A copy of a store at work: the files that it names open as what was durable when it was asked.

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, Outcome};
use ringpost_engine::error::Refused;
use ringpost_engine::ids::{AccountId, Lsn, MailboxId, Now, SegmentId, ShardId};
use ringpost_engine::io::{Disk, FileId, IoRequest, IoResult};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::{FakeDisk, Faults};
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;
use ringpost_engine::verify::verify;

const SEGMENT_BYTES: u64 = 128 * 1024;

struct Lab {
    disk: FakeDisk,
    store: Store,
    account: AccountId,
    inbox: MailboxId,
}

fn open(disk: &mut FakeDisk) -> (Store, Option<u64>) {
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        checkpoint_log_bytes: 64 * 1024,
        ..Options::new(ShardId(0), 77)
    };
    let (store, report) = Store::open(disk, options, Now::default()).expect("opens");
    assert!(report.damage.is_empty() && report.refused_checkpoints.is_empty(), "{report:?}");
    (store, report.checkpoint)
}

impl Lab {
    fn new() -> Lab {
        let mut disk = FakeDisk::new(Seed::new(1));
        let (store, _) = open(&mut disk);
        let mut lab = Lab { disk, store, account: AccountId(0), inbox: MailboxId(0) };
        let create = mail::account("alice@example.test");
        lab.store.append(AccountId(0), create, Now::default()).expect("room");
        while lab.account == AccountId(0) {
            lab.step();
            lab.account = lab.store.account_by_address("alice@example.test").unwrap_or_default();
        }
        lab.inbox = lab.store.account(lab.account).expect("there").inbox().id();
        lab
    }

    /// One request; false when there is none.
    fn step(&mut self) -> bool {
        self.store.tick(Now::default());
        let Some((id, request)) = self.store.poll_io() else { return false };
        let progress = self.store.complete(id, self.disk.perform(&request));
        assert_eq!(progress.fatal, None);
        let refused = progress.applied.iter().any(|applied| matches!(applied.outcome, Outcome::Refused(_)));
        assert!(!refused, "{:?}", progress.applied);
        true
    }

    fn settle(&mut self) {
        while self.step() {}
    }

    fn deliver(&mut self, bytes: usize) {
        let body = NewBody { parts: vec![Bytes::from(vec![7; bytes])], summary: Bytes::new() };
        let body = self.store.append_body(self.account, body, Now::default()).expect("room");
        let change = Change::Deliver { mailbox: self.inbox, body, flags: Flags::default(), internal_ms: 5 };
        self.store.append(self.account, change, Now::default()).expect("room");
    }

    fn messages(&self) -> usize {
        self.store.mailbox(self.account, self.inbox).expect("there").len()
    }

    /// The position and the files of a copy that is asked for now; deliveries go on if it is `busy`.
    fn list(&mut self, busy: bool) -> (Lsn, Vec<FileId>) {
        let last = self.store.seal().expect("room");
        let end = loop {
            if let Some(end) = self.store.sealed(last).expect("room") {
                break end;
            }
            assert!(self.step(), "it comes to an end");
            if busy && self.store.pending().count() < 4 {
                self.deliver(3_000);
            }
        };
        let (mut files, mut after) = (Vec::new(), SegmentId(0));
        loop {
            let some = self.store.segments_within(after, last, 2);
            let Some((newest, _)) = some.last() else { break };
            after = *newest;
            for (segment, bytes) in some {
                let file = FileId::Segment(segment);
                assert!(self.disk.sizes().contains(&(file, bytes)), "{file:?} has {bytes} bytes and no rest");
                files.push(file);
            }
        }
        files.extend(self.store.checkpoint_within(end).expect("one is not newer"));
        (end, files)
    }

    fn bytes(&mut self, file: FileId) -> Vec<u8> {
        let size = self.disk.sizes().into_iter().find(|(other, _)| *other == file).expect("it is there").1;
        let mut bytes = vec![0; size as usize];
        assert_eq!(self.disk.read(file, 0, &mut bytes), Ok(bytes.len()));
        bytes
    }

    fn copy(&mut self, files: &[FileId]) -> FakeDisk {
        let mut copy = FakeDisk::new(Seed::new(2));
        for &file in files {
            let parts = vec![self.bytes(file).into()];
            assert!(matches!(copy.perform(&IoRequest::Begin { file }), IoResult::Done));
            let write = IoRequest::Write { file, offset: 0, parts, durable: true };
            assert!(matches!(copy.perform(&write), IoResult::Done));
        }
        copy
    }
}

#[test]
fn a_copy_opens_with_all_that_was_durable_and_none_of_its_files_ever_changes() {
    let mut lab = Lab::new();
    let mut kept: Vec<(FileId, Vec<u8>)> = Vec::new();
    let mut with_checkpoint = 0;
    for round in 0..12 {
        for _ in 0..round * 2 {
            lab.deliver(9_000);
            lab.step();
        }
        // In the middle of something, or when there was time for checkpoints.
        if round % 3 > 0 {
            lab.settle();
        }
        let (durable, seen) = (lab.store.durable(), lab.messages());
        let (end, files) = lab.list(true);
        assert!(end >= durable, "{end} {durable}");
        let mut copy = lab.copy(&files);
        let (store, checkpoint) = open(&mut copy);
        with_checkpoint += u64::from(checkpoint.is_some());
        let found = store.mailbox(lab.account, lab.inbox).expect("there").len();
        assert!(found >= seen && found <= lab.messages(), "{seen} <= {found} <= {}", lab.messages());
        assert!(verify(&store, &mut copy).expect("readable").is_sound());
        for file in files {
            let bytes = lab.bytes(file);
            kept.push((file, bytes));
        }
    }
    lab.settle();
    assert!(with_checkpoint > 5, "{with_checkpoint}");
    let there: Vec<FileId> = lab.disk.sizes().into_iter().map(|(file, _)| file).collect();
    for (file, bytes) in kept.into_iter().filter(|(file, _)| there.contains(file)) {
        assert!(lab.bytes(file) == bytes, "{file:?} has changed");
    }
    let (store, _) = open(&mut lab.disk);
    assert_eq!(store.mailbox(lab.account, lab.inbox).expect("there").len(), lab.messages());
}

#[test]
fn a_checkpoint_that_is_newer_than_the_copy_is_not_in_it() {
    let mut lab = Lab::new();
    // Deliveries, one by one, until there is another checkpoint.
    let far = |lab: &mut Lab| {
        let before = lab.store.checkpointed();
        for _ in 0..100 {
            lab.deliver(9_000);
            lab.settle();
            if lab.store.checkpointed() > before {
                break;
            }
        }
        lab.store.checkpointed()
    };
    far(&mut lab);
    let older = far(&mut lab);
    let last = lab.store.seal().expect("room");
    lab.settle();
    let (end, seen) = (lab.store.sealed(last).expect("room").expect("nothing is left to do"), lab.messages());
    let first = lab.store.checkpoint_within(end).expect("one is older");
    assert!(far(&mut lab) > end && older <= end);
    assert_eq!(lab.store.checkpoint_within(end), Some(first.clone()));
    let segments = lab.store.segments_within(SegmentId(0), last, 1_000);
    let files =
        segments.into_iter().map(|(segment, _)| FileId::Segment(segment)).chain(first).collect::<Vec<_>>();
    let (store, checkpoint) = open(&mut lab.copy(&files));
    assert!(checkpoint.is_some() && store.mailbox(lab.account, lab.inbox).expect("there").len() == seen);
    far(&mut lab);
    assert_eq!(lab.store.checkpoint_within(end), None, "seal again");
}

#[test]
fn what_is_idle_is_not_sealed_again_and_a_new_store_has_nothing_to_copy() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let (mut store, _) = open(&mut disk);
    let last = store.seal().expect("room");
    assert_eq!((last, store.sealed(last)), (SegmentId(0), Ok(Some(Lsn(0)))));
    let mut lab = Lab::new();
    lab.deliver(100);
    lab.settle();
    let first = lab.list(false);
    lab.settle();
    let segments = lab.store.segments().len();
    lab.deliver(100);
    let before_it_is_durable = lab.store.seal();
    assert_eq!(before_it_is_durable.map(FileId::Segment).ok().as_ref(), first.1.first());
    lab.settle();
    assert_eq!(lab.store.segments().len(), segments);
    assert!(lab.list(false).0 > first.0);
}

#[test]
fn a_full_disk_refuses_instead_of_waiting_for_ever() {
    let mut lab = Lab::new();
    lab.deliver(100);
    lab.settle();
    lab.disk.faults = Faults { capacity: lab.disk.used(), ..Faults::NONE };
    let last = lab.store.seal().expect("it does not know yet");
    assert_eq!(lab.store.sealed(last), Ok(None));
    lab.settle();
    assert_eq!(lab.store.sealed(last), Err(Refused::DiskFull));
    assert_eq!(lab.store.seal(), Err(Refused::DiskFull));
    lab.disk.faults = Faults::NONE;
    lab.store.tick(Now { mono_ms: 1_000_000, ..Now::default() });
    lab.settle();
    let (_, files) = lab.list(false);
    assert_eq!(open(&mut lab.copy(&files)).0.account_by_address("alice@example.test"), Some(lab.account));
}
