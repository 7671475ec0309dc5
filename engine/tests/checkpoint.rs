//! Checkpoints on a disk that works, and on one whose bytes rot: what they save, what they cost, what stands in.

use bytes::Bytes;
use ringpost_engine::arrival::Arrival;
use ringpost_engine::change::{
    Change, FlagBits, FlagOp, Flags, NewBody, Outcome, QuotaLimits, Rights, Services,
};
use ringpost_engine::error::Error;
use ringpost_engine::ids::{AccountId, Lsn, MailboxId, Now, SegmentId, ShardId, Uid};
use ringpost_engine::index::moving::Departure;
use ringpost_engine::io::{Disk, FileId, IoError, IoId, IoRequest, IoResult};
use ringpost_engine::limits::{CHECKPOINT_FILES_MAX, CHECKPOINT_STEP_BYTES, UNDELETE_MS};
use ringpost_engine::recovery::{CheckpointInfo, checkpoints, recover_read_only};
use ringpost_engine::store::{Options, RecoveryReport, Store};
use ringpost_engine::testing::fake_disk::{FakeDisk, Faults};
use ringpost_engine::testing::seed::Seed;
use ringpost_engine::verify::verify;

const INBOX: MailboxId = MailboxId(1);

/// A store that writes a checkpoint whenever it is told to, and keeps nobody awake.
struct Lab {
    disk: FakeDisk,
    store: Store,
    now: Now,
}

fn options(checkpoint_log_bytes: u64) -> Options {
    let mut sizes = Options { segment_bytes: 128 * 1024, ..Options::new(ShardId(0), 77) };
    // It asks for checkpoints of its own.
    sizes.compact.bytes_per_second = 0;
    Options { checkpoint_log_bytes, index_memory_bytes_max: 0, ..sizes }
}

impl Lab {
    fn new() -> Lab {
        let mut disk = FakeDisk::new(Seed::new(1));
        let (store, _) = Store::open(&mut disk, options(1), Now::default()).expect("opens");
        Lab { disk, store, now: Now { unix_ms: 1_700_000_000_000, mono_ms: 1 } }
    }

    fn reopen(&mut self) -> RecoveryReport {
        let (store, report) = Store::open(&mut self.disk, options(1), self.now).expect("opens");
        self.store = store;
        report
    }

    fn drive(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        while let Some((id, request)) = self.store.poll_io() {
            let progress = self.store.complete(id, self.disk.perform(&request));
            assert_eq!(progress.fatal, None);
            outcomes.extend(progress.applied.into_iter().map(|applied| applied.outcome));
        }
        outcomes
    }

    fn change(&mut self, account: AccountId, change: Change) -> Outcome {
        self.store.append(account, change, self.now).expect("room");
        self.drive().pop().expect("it was carried out")
    }

    fn account(&mut self, name: &str) -> AccountId {
        let create = Change::AccountCreate {
            address: format!("{name}@example.test"),
            password_hash: "hash".to_owned(),
            services: Services::ALL,
            mailboxes: vec![("Sent".to_owned(), None)],
        };
        match self.change(AccountId(0), create) {
            Outcome::AccountCreated(account) => account,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn deliver(&mut self, account: AccountId) {
        let body =
            NewBody { parts: vec![Bytes::from_static(b"hello\r\n")], summary: Bytes::from_static(b"s") };
        let body = self.store.append_body(account, body, self.now).expect("room");
        let change = Change::Deliver { mailbox: INBOX, body, flags: Flags::default(), internal_ms: 5_000 };
        assert!(matches!(self.change(account, change), Outcome::Delivered { .. }));
    }

    /// Until the newest checkpoint has everything; the bytes that this took.
    fn checkpoint(&mut self) -> u64 {
        let before = self.store.stats().checkpoint_bytes;
        for _ in 0..40 {
            self.now.mono_ms += 1_000;
            self.store.tick(self.now);
            self.drive();
        }
        self.store.check_images();
        self.store.stats().checkpoint_bytes - before
    }

    fn files(&mut self) -> Vec<CheckpointInfo> {
        checkpoints(&mut self.disk).expect("readable")
    }
}

#[test]
fn everything_comes_back_from_a_checkpoint_and_nothing_is_replayed() {
    let mut lab = Lab::new();
    let (alice, bob) = (lab.account("alice"), lab.account("bob"));
    for _ in 0..50 {
        lab.deliver(alice);
    }
    let flags = |name: &str| Flags { system: FlagBits::SEEN, keywords: vec![name.to_owned()] };
    let uids = |first: u32, last: u32| (first..=last).map(Uid).collect();
    let value = |bytes: usize| Some(Bytes::from(vec![b'v'; bytes]));
    let changes = vec![
        Change::FlagsStore {
            mailbox: INBOX,
            uids: uids(3, 9),
            op: FlagOp::Add,
            flags: flags("$Work"),
            unchanged_since: None,
        },
        Change::Copy { from: INBOX, to: MailboxId(2), uids: uids(1, 20), expunge: false },
        Change::Expunge { mailbox: INBOX, uids: uids(4, 6), only_deleted: false },
        Change::MailboxCreate { name: "a/b/c".to_owned(), special_use: None },
        Change::MailboxRename { mailbox: MailboxId(3), to: "z".to_owned() },
        Change::Subscribe { name: "nowhere".to_owned(), on: true },
        Change::Metadata { mailbox: None, entries: vec![("/private/comment".to_owned(), value(3_000))] },
        Change::Metadata { mailbox: Some(INBOX), entries: vec![("/shared/comment".to_owned(), value(3))] },
        Change::Acl { mailbox: INBOX, identifier: "bob@example.test".to_owned(), rights: Some(Rights::ALL) },
        Change::Quota { limits: QuotaLimits { messages: Some(1_000), ..QuotaLimits::default() } },
        Change::UrlKey { mailbox: Some(INBOX) },
        Change::AccountHide { capabilities: vec!["IDLE".to_owned()] },
        Change::AccountReferral { url: Some("imap://elsewhere/".to_owned()) },
        Change::RecentSeen { mailbox: INBOX, below: Uid(30) },
    ];
    for change in changes {
        let outcome = lab.change(alice, change.clone());
        assert!(!matches!(outcome, Outcome::Refused(_)), "{change:?}: {outcome:?}");
    }
    lab.change(AccountId(0), Change::DomainAdd { name: "example.test".to_owned() });
    let targets = vec!["alice@example.test".to_owned()];
    lab.change(AccountId(0), Change::AliasSet { address: "all@example.test".to_owned(), targets });
    lab.checkpoint();
    let digest = lab.store.digest();
    let report = lab.reopen();
    assert_eq!((report.entries, report.checkpoint.is_some()), (0, true), "{report:?}");
    let cold = lab.store.cold_rows(alice, INBOX);
    assert!(!cold.is_empty() && cold.iter().all(|&rows| lab.store.bytes(rows).is_some()), "{cold:?}");
    assert_eq!(lab.store.digest(), digest);
    let inbox = lab.store.mailbox(alice, INBOX).expect("there");
    (0..inbox.len()).for_each(|place| _ = inbox.message(place));
    assert_eq!(lab.store.cold_rows(alice, INBOX), [], "in memory from then on");
    assert!(verify(&lab.store, &mut lab.disk).expect("readable").is_sound());
    assert_eq!(lab.store.accounts_sharing_with("bob@example.test").collect::<Vec<_>>(), [alice]);
    assert_eq!(lab.store.stats().accounts_awake, 0, "a look at who shares wakes nobody that is counted");
    lab.change(bob, Change::AccountDelete);
    lab.deliver(alice);
    lab.checkpoint();
    let digest = lab.store.digest();
    assert_eq!(lab.reopen().entries, 0);
    assert_eq!((lab.store.digest(), lab.store.account(bob).is_none()), (digest, true));
    assert!(verify(&lab.store, &mut lab.disk).expect("readable").is_sound());
}

#[test]
fn what_is_written_goes_by_what_has_changed() {
    let mut lab = Lab::new();
    let accounts: Vec<AccountId> = (0..300).map(|n| lab.account(&format!("user{n}"))).collect();
    let all = lab.checkpoint();
    assert_eq!(lab.checkpoint(), 0, "nothing has changed");
    lab.deliver(accounts[7]);
    let one = lab.checkpoint();
    assert!(one * 20 < all, "{one} bytes for one account of {all}");
    // A row is written again a few times while the block behind the others grows, not every time.
    let before = lab.store.stats().checkpoint_bytes;
    for _ in 0..200 {
        lab.deliver(accounts[7]);
        lab.checkpoint();
    }
    let each = (lab.store.stats().checkpoint_bytes - before) / 200;
    assert!(each < 1_500, "{each} bytes for a delivery, head and share of the segment included");
    let files = lab.files();
    assert!(files.len() <= CHECKPOINT_FILES_MAX + 2, "{} files", files.len());
    let stats = lab.store.stats();
    assert!(stats.checkpoint_file_bytes < 8 * all, "{stats:?}");
    assert_eq!(lab.store.mailbox(accounts[7], INBOX).map(|inbox| inbox.len()), Some(201));
}

#[test]
fn one_damaged_place_of_a_checkpoint_is_made_anew_and_with_two_the_one_before_stands_in() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    for _ in 0..2 {
        lab.deliver(alice);
        lab.checkpoint();
    }
    let digest = lab.store.digest();
    let newest = lab.files().pop().expect("there is one");
    let file = FileId::Checkpoint(u64::from(newest.file));
    let mut bytes = vec![0; newest.bytes as usize];
    lab.disk.read(file, 0, &mut bytes).expect("readable");
    let ends: Vec<u64> =
        (0..).zip(bytes.windows(8)).filter(|(_, at)| at == b"CKPTDONE").map(|(at, _)| at).collect();
    assert_eq!(ends.len(), 2, "trailers");
    for at in [newest.bytes - 1, newest.bytes - 30, ends[0] - 1, ends[0] + 9, 5] {
        lab.disk.rot(file, at, 3);
        let report = lab.reopen();
        assert!(report.damage.is_empty() && report.refused_checkpoints.is_empty(), "byte {at}: {report:?}");
        assert_eq!(
            (report.checkpoint, report.repaired.len()),
            (Some(u64::from(newest.file)), 1),
            "byte {at}"
        );
        assert!(report.repaired[0].starts_with(&file.name()), "{report:?}");
        assert_eq!(lab.store.digest(), digest);
        lab.disk.rot(file, at, 3);
    }
    ends.iter().for_each(|&at| lab.disk.rot(file, at, 3));
    let report = lab.reopen();
    assert!(report.damage.is_empty() && report.checkpoint < Some(u64::from(newest.file)), "{report:?}");
    assert!(report.refused_checkpoints[0].starts_with(&file.name()), "{report:?}");
    assert_eq!(lab.store.digest(), digest);
    ends.iter().for_each(|&at| lab.disk.rot(file, at, 3));
    assert_eq!(lab.reopen().checkpoint, Some(u64::from(newest.file)));
}

#[test]
fn a_damaged_checkpoint_is_written_anew() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    for n in 0..40 {
        lab.account(&format!("user{n}"));
    }
    lab.checkpoint();
    let first = lab.files().pop().expect("there is one");
    let file = FileId::Checkpoint(u64::from(first.file));
    lab.disk.rot(file, 200, 1);
    assert_eq!(lab.reopen().repaired.len(), 1, "a group of records");
    for _ in 0..3 {
        lab.deliver(alice);
        lab.checkpoint();
    }
    assert!(lab.disk.sizes().iter().all(|(there, _)| *there != file), "what was needed of it has moved");
    let digest = lab.store.digest();
    assert!(lab.reopen().repaired.is_empty() && lab.store.digest() == digest);
}

#[test]
fn a_checkpoint_of_a_newer_version_is_refused_by_name() {
    let mut lab = Lab::new();
    lab.account("alice");
    lab.checkpoint();
    let file = FileId::Checkpoint(u64::from(lab.files().pop().expect("there is one").file));
    let mut head = [0; 16];
    lab.disk.read(file, 0, &mut head).expect("readable");
    head[8] = 2;
    let sum = crc32fast::hash(&head[..12]).to_le_bytes();
    head[12..].copy_from_slice(&sum);
    let parts = vec![Bytes::copy_from_slice(&head)];
    lab.disk.perform(&ringpost_engine::io::IoRequest::Write { file, offset: 0, parts, durable: true });
    let refused = Store::open(&mut lab.disk, options(1), lab.now).err();
    assert!(matches!(refused, Some(Error::NewerFormat { found: 2, .. })), "{refused:?}");
}

#[test]
fn without_room_there_is_no_checkpoint_and_then_there_is() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    lab.checkpoint();
    lab.deliver(alice);
    lab.disk.faults = Faults { capacity: lab.disk.used(), ..Faults::NONE };
    let position = lab.store.checkpointed();
    assert_eq!((lab.checkpoint(), lab.store.checkpointed()), (0, position));
    assert!(lab.disk.sizes().iter().all(|(file, _)| !matches!(file, FileId::CheckpointNew(_))));
    lab.disk.faults = Faults::NONE;
    assert!(lab.checkpoint() > 0 && lab.store.checkpointed() > position);
    assert!(lab.store.covered() >= position && lab.store.covered() > Lsn(0));
    let digest = lab.store.digest();
    lab.reopen();
    assert_eq!(lab.store.digest(), digest);
}

#[test]
fn what_goes_while_a_checkpoint_is_made_is_in_it_as_it_was() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    lab.deliver(alice);
    for doubled in 0..12 {
        let uids = (1..=1 << doubled).map(Uid).collect();
        lab.change(alice, Change::Copy { from: INBOX, to: INBOX, uids, expunge: false });
    }
    lab.checkpoint();
    lab.deliver(alice);
    // Two lots, a day apart, of 4,096 messages in all: parts that are full.
    let mut expunge = |first: u32, last: u32| {
        let uids = (first..=last).map(Uid).collect();
        lab.change(alice, Change::Expunge { mailbox: INBOX, uids, only_deleted: false });
        lab.now.unix_ms += 24 * 60 * 60 * 1000;
    };
    expunge(1, 2_500);
    expunge(2_501, 4_096);
    let is_begin = |request: &IoRequest| matches!(request, IoRequest::Begin { .. });
    let (id, begin) = loop {
        lab.now.mono_ms += 1_000;
        lab.store.tick(lab.now);
        match lab.store.poll_io() {
            Some((id, request)) if is_begin(&request) => break (id, request),
            Some((id, request)) => drop(lab.store.complete(id, lab.disk.perform(&request))),
            None => {}
        }
    };
    // The round has begun and nothing of it is written: now the first lot goes for good, and so does its body's share.
    lab.now.unix_ms += UNDELETE_MS - 24 * 60 * 60 * 1000;
    lab.store.tick(lab.now);
    let before = lab.store.stats().buried;
    lab.drive();
    assert_eq!((before, lab.store.stats().buried), (4_096, 1_596));
    let result = lab.disk.perform(&begin);
    lab.store.complete(id, result);
    lab.drive();
    let digest = lab.store.digest();
    let report = lab.reopen();
    assert!(report.refused_checkpoints.is_empty() && report.entries > 0, "{report:?}");
    assert_eq!((report.checkpoint, lab.store.digest()), (Some(2), digest), "{report:?}");
}

/// An account whose rows take more than one step of a checkpoint, up to the first write of such a checkpoint.
fn many_rows() -> (Lab, AccountId, IoId, IoRequest) {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    lab.deliver(alice);
    for doubled in 0..15 {
        let uids = (1..=1 << doubled).map(Uid).collect();
        lab.change(alice, Change::Copy { from: INBOX, to: INBOX, uids, expunge: false });
    }
    let is_full = |request: &IoRequest| match request {
        IoRequest::Write { file: FileId::CheckpointNew(_), offset: 0, parts, .. } => {
            parts.iter().map(Bytes::len).sum::<usize>() >= CHECKPOINT_STEP_BYTES
        }
        _ => false,
    };
    loop {
        match lab.store.poll_io() {
            Some((id, request)) if is_full(&request) => return (lab, alice, id, request),
            Some((id, request)) => drop(lab.store.complete(id, lab.disk.perform(&request))),
            None => {
                lab.now.mono_ms += 1_000;
                lab.store.tick(lab.now);
            }
        }
    }
}

fn flag(uid: u32) -> Change {
    let flags = Flags { system: FlagBits::SEEN, keywords: Vec::new() };
    let uids = [Uid(uid)].into_iter().collect();
    Change::FlagsStore { mailbox: INBOX, uids, op: FlagOp::Add, flags, unchanged_since: None }
}

#[test]
fn an_account_that_changes_while_its_rows_are_written_is_in_the_checkpoint_as_it_was() {
    let (mut lab, alice, id, request) = many_rows();
    lab.store.append(alice, flag(5), lab.now).expect("room");
    lab.store.append(alice, flag(30_000), lab.now).expect("room");
    let result = lab.disk.perform(&request);
    lab.store.complete(id, result);
    lab.drive();
    lab.store.check_images();
    let (digest, made) = (lab.store.digest(), lab.store.stats().checkpoints);
    let report = lab.reopen();
    assert!(report.refused_checkpoints.is_empty() && made > 0, "{report:?}");
    assert_eq!((report.entries, lab.store.digest()), (2, digest), "both flags lie behind it: {report:?}");
}

#[test]
fn rows_of_a_checkpoint_that_found_no_room_are_written_again() {
    let (mut lab, alice, id, _) = many_rows();
    lab.store.complete(id, IoResult::Failed(IoError::NoSpace));
    lab.drive();
    lab.store.check_images();
    lab.change(alice, flag(7));
    lab.checkpoint();
    let digest = lab.store.digest();
    let report = lab.reopen();
    assert!(report.checkpoint.is_some() && report.entries == 0, "{report:?}");
    assert_eq!(lab.store.digest(), digest);
}

/// A start writes a segment with an empty batch, a checkpoint is of its end, and compaction lets all segments before it
/// go: then the checkpoint alone vouches for that segment.
fn with_one_segment() -> (Lab, SegmentId) {
    let mut lab = Lab::new();
    lab.account("alice");
    lab.checkpoint();
    // The start replays this one, so there is something to write behind it.
    lab.account("bob");
    lab.reopen();
    lab.checkpoint();
    let (newest, _) = *lab.store.segments().last().expect("a store has one");
    for (file, _) in lab.disk.sizes() {
        if matches!(file, FileId::Segment(segment) if segment != newest) {
            lab.disk.perform(&IoRequest::Unlink { file });
        }
    }
    (lab, newest)
}

#[test]
fn a_segment_without_header_stays_when_a_checkpoint_is_of_its_end() {
    let (mut lab, newest) = with_one_segment();
    let (digest, next) = (lab.store.digest(), lab.files().pop().expect("there is one").file);
    for offset in [3, 20, 40] {
        lab.disk.rot(FileId::Segment(newest), offset, 2);
    }
    let report = lab.reopen();
    assert!(report.damage.is_empty() && report.refused_checkpoints.is_empty(), "{report:?}");
    assert_eq!((report.checkpoint, lab.store.digest()), (Some(u64::from(next)), digest));
}

#[test]
fn checkpoints_without_any_segment_are_no_new_log() {
    let (mut lab, newest) = with_one_segment();
    lab.disk.perform(&IoRequest::Unlink { file: FileId::Segment(newest) });
    let refused = Store::open(&mut lab.disk, options(1), lab.now).err();
    assert!(matches!(refused, Some(Error::Corrupt { .. })), "{refused:?}");
}

#[test]
fn an_account_that_left_and_came_again_holds_nothing_of_a_checkpoint_that_found_no_room() {
    let (mut from, mut lab) = (Lab::new(), Lab::new());
    let id = from.account("alice");
    let index = recover_read_only(&mut from.disk, None, None).expect("readable").index;
    let first = Change::Arrive(Departure::new(id).next(&index).expect("what it is"));
    assert_eq!(lab.change(id, first.clone()), Outcome::Done);
    let is_copied = |request: &IoRequest| {
        matches!(request, IoRequest::Write { file: FileId::CheckpointNew(_), offset: 0, .. })
    };
    let request = loop {
        match lab.store.poll_io() {
            Some((request, asked)) if is_copied(&asked) => break request,
            Some((request, asked)) => drop(lab.store.complete(request, lab.disk.perform(&asked))),
            None => {
                lab.now.mono_ms += 1_000;
                lab.store.tick(lab.now);
            }
        }
    };
    assert_eq!(lab.change(id, Change::Arrive(Arrival::Dropped)), Outcome::Done);
    assert_eq!(lab.change(id, first), Outcome::Done);
    lab.store.complete(request, IoResult::Failed(IoError::NoSpace));
    lab.drive();
    lab.store.check_images();
    lab.checkpoint();
    let digest = lab.store.digest();
    let report = lab.reopen();
    assert!(report.checkpoint.is_some() && lab.store.digest() == digest, "{report:?}");
}

#[test]
fn a_file_that_went_after_a_reap_which_is_lost_does_not_stop_the_start() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    lab.deliver(alice);
    let (first, _) = *lab.store.segments().last().expect("a store has one");
    lab.reopen();
    lab.checkpoint();
    let (second, _) = *lab.store.segments().last().expect("a store has one");
    let uids = [Uid(1)].into_iter().collect();
    lab.change(alice, Change::Expunge { mailbox: INBOX, uids, only_deleted: false });
    let reap = Change::Reap { until_ms: lab.now.unix_ms };
    let lost = lab.store.append(AccountId(0), reap, lab.now).expect("room");
    lab.drive();
    assert_eq!(lab.store.stats().body_bytes, 0, "nobody needs it");
    lab.change(alice, Change::Subscribe { name: "vouches".to_owned(), on: true });
    lab.disk.perform(&IoRequest::Unlink { file: FileId::Segment(first) });
    let (file, digest) = (FileId::Segment(second), lab.store.digest());
    let mut base = [0; 8];
    lab.disk.read(file, 32, &mut base).expect("readable");
    let payload = lost.0 - u64::from_le_bytes(base) + 24;
    lab.disk.rot(file, payload, 0);
    let report = lab.reopen();
    assert_eq!((report.damage.len(), report.quarantined), (2, vec![]), "{:?}", report.damage);
    assert!(lab.store.account(alice).is_some());
    lab.disk.rot(file, payload, 0);
    assert!(lab.reopen().damage.is_empty());
    assert_eq!(lab.store.digest(), digest);
}
