//! The store on a disk that works: what goes in comes out, before and after a restart.

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, Outcome};
use ringpost_engine::error::{Error, Refused};
use ringpost_engine::ids::{AccountId, MailboxId, Now, ShardId, Uid};
use ringpost_engine::io::{Disk, FileId, IoError, IoRequest, IoResult};
use ringpost_engine::limits::SUMMARY_BYTES_MAX;
use ringpost_engine::store::{Applied, Options, Store};
use ringpost_engine::testing::fake_disk::{FakeDisk, Faults};
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;
use ringpost_engine::verify::verify;

const SEGMENT_BYTES: u64 = 128 * 1024;

fn open(disk: &mut FakeDisk) -> Store {
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(ShardId(0), 77) };
    let (store, report) = Store::open(disk, options, Now::default()).expect("opens");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    store
}

fn drive(store: &mut Store, disk: &mut FakeDisk) -> Vec<Applied> {
    let mut applied = Vec::new();
    while let Some((id, request)) = store.poll_io() {
        let progress = store.complete(id, disk.perform(&request));
        assert_eq!(progress.fatal, None);
        applied.extend(progress.applied);
    }
    applied
}

fn account(store: &mut Store, disk: &mut FakeDisk) -> (AccountId, MailboxId) {
    let create = mail::account("alice@example.test");
    store.append(AccountId(0), create, Now::default()).expect("room");
    let applied = drive(store, disk);
    let Outcome::AccountCreated(account) = applied[0].outcome else { panic!("{applied:?}") };
    (account, store.account(account).expect("there").inbox().id())
}

fn deliver(store: &mut Store, account: AccountId, mailbox: MailboxId, octets: &[u8]) {
    let octets = Bytes::copy_from_slice(octets);
    mail::deliver(store, account, mailbox, octets, Now::default()).expect("room");
}

#[test]
fn a_message_is_there_when_durable_and_after_a_restart() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    let (account, inbox) = account(&mut store, &mut disk);
    deliver(&mut store, account, inbox, b"hello\r\n");
    assert!(store.mailbox(account, inbox).expect("there").is_empty(), "not before it is durable");
    drive(&mut store, &mut disk);
    for _ in 0..3 {
        let message = store.mailbox(account, inbox).expect("there").message(0);
        assert_eq!(message.uid, Uid(1));
        let body = store.body(message.key()).expect("stored");
        assert_eq!(store.bytes(body.bytes).expect("mapped"), &b"hello\r\n"[..]);
        assert_eq!(store.bytes(body.summary).expect("mapped"), &b"summary"[..]);
        assert!(verify(&store, &mut disk).expect("readable").is_sound());
        store = open(&mut disk);
    }
}

#[test]
fn restarts_leave_no_pile_of_files() {
    let mut disk = FakeDisk::new(Seed::new(1));
    for _ in 0..20 {
        drop(open(&mut disk));
    }
    assert_eq!(disk.sizes().len(), 1);
    let mut store = open(&mut disk);
    account(&mut store, &mut disk);
    for _ in 0..20 {
        drop(open(&mut disk));
    }
    assert_eq!(disk.sizes().len(), 2, "{:?}", disk.sizes());
}

#[test]
fn segments_follow_one_another_and_are_trimmed() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    let (account, inbox) = account(&mut store, &mut disk);
    for round in 0..40u8 {
        deliver(&mut store, account, inbox, &[round; 20_000]);
        if round % 3 == 0 {
            drive(&mut store, &mut disk);
        }
    }
    drive(&mut store, &mut disk);
    assert!(store.is_quiet());
    assert!(store.segments().len() > 5);
    let mut store = open(&mut disk);
    assert_eq!(store.mailbox(account, inbox).expect("there").len(), 40);
    assert!(verify(&store, &mut disk).expect("readable").is_sound());
    drive(&mut store, &mut disk);
}

#[test]
fn a_full_disk_refuses_mail_and_takes_flags_until_there_is_room_again() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    let (account, inbox) = account(&mut store, &mut disk);
    disk.faults = Faults { capacity: SEGMENT_BYTES + 10, ..Faults::NONE };
    let mut refused = 0;
    for _ in 0..20 {
        let body = NewBody { parts: vec![Bytes::from(vec![1; 20_000])], summary: Bytes::new() };
        match store.append_body(account, body, Now::default()) {
            Ok(body) => {
                let change =
                    Change::Deliver { mailbox: inbox, body, flags: Flags::default(), internal_ms: 5 };
                match store.append(account, change, Now::default()) {
                    Ok(_) => {}
                    Err(_) => refused += 1,
                }
            }
            Err(_) => refused += 1,
        }
        let dropped = drive(&mut store, &mut disk);
        refused += dropped.iter().filter(|a| matches!(a.outcome, Outcome::Refused(_))).count();
    }
    assert!(store.stats().disk_full);
    assert!(refused > 10, "{refused}");
    let expunge =
        Change::Expunge { mailbox: inbox, uids: [Uid(1)].into_iter().collect(), only_deleted: false };
    store.append(account, expunge, Now::default()).expect("headroom");
    assert_eq!(drive(&mut store, &mut disk).len(), 1);
    assert!(verify(&store, &mut disk).expect("readable").is_sound());
    disk.faults = Faults::NONE;
    store.tick(Now { unix_ms: 0, mono_ms: 10_000 });
    drive(&mut store, &mut disk);
    assert!(!store.stats().disk_full);
    deliver(&mut store, account, inbox, &[2; 20_000]);
    let applied = drive(&mut store, &mut disk);
    assert!(matches!(applied[0].outcome, Outcome::Delivered { .. }));
}

#[test]
fn a_failed_write_is_final_and_loses_nothing_that_was_durable() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    let (account, inbox) = account(&mut store, &mut disk);
    let before = store.digest();
    deliver(&mut store, account, inbox, b"hello\r\n");
    let (id, _) = store.poll_io().expect("a batch");
    let progress = store.complete(id, IoResult::Failed(IoError::Failed("gone".to_owned())));
    assert!(matches!(progress.fatal, Some(Error::Io { .. })), "{progress:?}");
    assert!(progress.applied.is_empty());
    let refused = store.append(account, Change::AccountDelete, Now::default());
    assert_eq!(refused, Err(Refused::Failed));
    assert!(store.poll_io().is_none());
    assert_eq!(store.digest(), before);
    assert_eq!(open(&mut disk).digest(), before);
}

#[test]
fn an_idle_log_vouches_for_its_last_batch_once() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    account(&mut store, &mut disk);
    let batches = store.stats().batches;
    for second in 1..5 {
        store.tick(Now { unix_ms: 0, mono_ms: second * 1_000 });
        drive(&mut store, &mut disk);
    }
    assert_eq!(store.stats().batches, batches + 1);
}

#[test]
fn the_largest_summary_fits_a_usual_segment_and_a_larger_one_nowhere() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let (mut store, _) = Store::open(&mut disk, Options::new(ShardId(0), 77), Now::default()).expect("opens");
    let (account, inbox) = account(&mut store, &mut disk);
    let body = |summary_bytes: usize| NewBody {
        parts: vec![Bytes::from_static(b"x")],
        summary: Bytes::from(vec![7; summary_bytes]),
    };
    let larger = store.append_body(account, body(SUMMARY_BYTES_MAX + 1), Now::default());
    assert_eq!(larger, Err(Refused::TooLarge));
    let body = store.append_body(account, body(SUMMARY_BYTES_MAX), Now::default()).expect("room");
    let change = Change::Deliver { mailbox: inbox, body, flags: Flags::default(), internal_ms: 5 };
    store.append(account, change, Now::default()).expect("room");
    drive(&mut store, &mut disk);
    let stored = store.fresh_body(body).and_then(|body| store.body(body)).expect("stored").summary;
    assert_eq!(store.bytes(stored).expect("mapped"), vec![7; SUMMARY_BYTES_MAX]);
}

#[test]
fn what_is_too_large_is_refused_and_leaves_no_trace() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    let (account, _) = account(&mut store, &mut disk);
    let next = store.stats().next;
    let body = NewBody { parts: vec![Bytes::from(vec![0; SEGMENT_BYTES as usize])], summary: Bytes::new() };
    assert_eq!(store.append_body(account, body, Now::default()), Err(Refused::TooLarge));
    let many = vec![Bytes::from_static(b"x"); 5_000];
    store
        .append_body(account, NewBody { parts: many, summary: Bytes::new() }, Now::default())
        .expect("joined");
    assert!(store.stats().next > next);
    let Some((_, IoRequest::Write { parts, .. })) = store.poll_io() else { panic!("a write") };
    assert!(parts.len() < 10, "{}", parts.len());
}

#[test]
fn another_shards_folder_and_a_missing_segment_are_refused() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    account(&mut store, &mut disk);
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(ShardId(1), 77) };
    let refused = Store::open(&mut disk, options, Now::default()).map(|_| ()).expect_err("another shard");
    assert!(refused.to_string().contains("another log"), "{refused}");
    let first = store.segments()[0].0;
    drop(open(&mut disk));
    disk.perform(&IoRequest::Unlink { file: FileId::Segment(first) });
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(ShardId(0), 77) };
    let refused = Store::open(&mut disk, options, Now::default()).map(|_| ()).expect_err("a hole");
    assert_eq!(refused.to_string(), "segment 1 is damaged at byte 0: the file is missing; put it back");
}

#[test]
fn a_start_on_a_full_disk_first_gives_back_what_the_last_process_had_in_hand() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let mut store = open(&mut disk);
    let (account, inbox) = account(&mut store, &mut disk);
    deliver(&mut store, account, inbox, &[1; 40_000]);
    drive(&mut store, &mut disk);
    assert_eq!(disk.used(), 2 * SEGMENT_BYTES, "one in use, one ready");
    // Nothing more fits. The segment that was ready makes room for the new one.
    disk.faults.capacity = disk.used();
    let store = open(&mut disk);
    assert_eq!(store.mailbox(account, inbox).expect("there").len(), 1);
    drop(store);
    // Now the rest of the last one has to: of that, header and opening batch stay until the new one is there.
    let filled = disk.sizes()[0].1;
    disk.faults.capacity = filled + 8_192 + SEGMENT_BYTES;
    drop(open(&mut disk));
    // And when nothing helps, one line says what to do; all is there afterwards.
    disk.faults.capacity = filled + SEGMENT_BYTES / 2;
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(ShardId(0), 77) };
    let refused = Store::open(&mut disk, options, Now::default()).map(drop).expect_err("no room");
    assert!(refused.to_string().contains("make room"), "{refused}");
    disk.faults = Faults::NONE;
    assert_eq!(open(&mut disk).mailbox(account, inbox).expect("there").len(), 1);
}

#[test]
fn thousands_of_changes_go_on_while_the_disk_is_full() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let options = Options::new(ShardId(0), 77);
    let (mut store, _) = Store::open(&mut disk, options, Now::default()).expect("opens");
    let (account, inbox) = account(&mut store, &mut disk);
    disk.faults.capacity = disk.used();
    let mut now = Now::default();
    let body = |n: u8| NewBody { parts: vec![Bytes::from(vec![n; 8 << 20])], summary: Bytes::new() };
    while let Ok(body) = store.append_body(account, body(1), now) {
        let change = Change::Deliver { mailbox: inbox, body, flags: Flags::default(), internal_ms: 5 };
        store.append(account, change, now).expect("room for what is small");
        drive(&mut store, &mut disk);
    }
    assert!(store.stats().disk_full);
    for round in 0..2_000 {
        // Each in a batch of its own, and each vouched for by another: as costly as it gets.
        let below = Uid(round % 7);
        let seen = Change::RecentSeen { mailbox: inbox, below };
        store.append(account, seen, now).unwrap_or_else(|refused| panic!("{refused:?} in round {round}"));
        drive(&mut store, &mut disk);
        now.mono_ms += 1_000;
        store.tick(now);
        drive(&mut store, &mut disk);
    }
    disk.faults = Faults::NONE;
    now.mono_ms += 1_000;
    store.tick(now);
    drive(&mut store, &mut disk);
    deliver(&mut store, account, inbox, &[2; 20_000]);
    assert!(matches!(drive(&mut store, &mut disk)[0].outcome, Outcome::Delivered { .. }));
}
