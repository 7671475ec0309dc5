//! Files that no store ever wrote: whatever is in them, reading them panics nowhere.
//!
//! Flipped bits are the simulation's; here every sum is right and what it covers is not.

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, NewMessage, QuotaLimits, Rights, Services};
use ringpost_engine::ids::{AccountId, Lsn, MailboxId, Now, SegmentId, ShardId, Uid};
use ringpost_engine::io::{Disk, FileId, IoRequest};
use ringpost_engine::log::BLOCK;
use ringpost_engine::log::batch::{self, BatchMeta};
use ringpost_engine::log::record::{self, RecordHead};
use ringpost_engine::log::segment::{self, SegmentMeta};
use ringpost_engine::recovery::replay_read_only;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;
use zerocopy::IntoBytes;

const ROUNDS: u64 = 1_000;

fn options() -> Options {
    Options { segment_bytes: 64 * 1024, ..Options::new(ShardId(0), 5) }
}

fn image(seed: &mut Seed) -> FakeDisk {
    let mut disk = FakeDisk::new(seed.fork());
    for _ in 0..2 {
        let (mut store, _) = Store::open(&mut disk, options(), Now::default()).expect("opens");
        for step in 0..24 {
            let account = AccountId::new(ShardId(0), 1 + seed.below(2));
            let create = Change::AccountCreate {
                address: format!("u{step}@example.test"),
                password_hash: "hash".to_owned(),
                services: Services::ALL,
                mailboxes: vec![("Sent".to_owned(), None)],
            };
            let body = NewBody { parts: vec![Bytes::from(vec![7; 3_000])], summary: Bytes::new() };
            let body = store.append_body(account, body, Now::default()).expect("room");
            let deliver =
                Change::Deliver { mailbox: MailboxId(1), body, flags: Flags::default(), internal_ms: 1 };
            let change = match step {
                0..3 => create,
                20 => Change::Append {
                    mailbox: MailboxId(1),
                    messages: vec![NewMessage { body, flags: Flags::default(), internal_ms: 1 }; 3],
                    replaces: Some((MailboxId(1), Uid(1))),
                },
                21 => Change::Metadata {
                    mailbox: Some(MailboxId(1)),
                    entries: vec![("/shared/comment".to_owned(), Some(Bytes::from_static(b"value")))],
                },
                22 => Change::Acl {
                    mailbox: MailboxId(1),
                    identifier: "anyone".to_owned(),
                    rights: Some(Rights::READ),
                },
                23 => Change::Quota { limits: QuotaLimits { messages: Some(9), ..QuotaLimits::default() } },
                _ => deliver,
            };
            store.append(account, change, Now::default()).expect("room");
            while let Some((id, request)) = store.poll_io() {
                store.complete(id, disk.perform(&request));
            }
        }
    }
    disk
}

fn contents(disk: &mut FakeDisk, file: FileId, bytes: u64) -> Vec<u8> {
    let mut data = vec![0; bytes as usize];
    let read = disk.read(file, 0, &mut data).expect("there");
    assert_eq!(read as u64, bytes);
    data
}

/// One of the numbers that break sums and comparisons.
fn odd(seed: &mut Seed, now: u64) -> u64 {
    let edges =
        [0, 1, now.wrapping_sub(1), now.wrapping_add(1), now ^ (1 << seed.below(64)), 1 << 61, u64::MAX];
    *seed.pick(&edges).expect("some")
}

/// Gives a batch a new payload or header, with right sums.
fn forge_batch(seed: &mut Seed, data: &mut [u8], at: usize) -> Option<()> {
    let (mut meta, log, _) = BatchMeta::decode(&data[at..], None)?;
    let start = at + batch::HEAD_BYTES;
    let payload = data.get_mut(start..start + meta.len as usize)?;
    if seed.one_in(2) {
        let slots = batch::open(&meta, payload)?;
        let mut heads = crc32fast::Hasher::new();
        let victim = seed.below(slots.len() as u64) as usize;
        for (place, slot) in slots.iter().enumerate() {
            let from = slot.at + record::HEAD_BYTES;
            let to = from + slot.head.len.get() as usize;
            let mut about = slot.head.meta();
            if place == victim {
                for _ in 0..=seed.below(4) {
                    let byte = from as u64 + seed.below((to - from) as u64);
                    if (byte as usize) < to {
                        payload[byte as usize] = seed.number() as u8;
                    }
                }
                match seed.below(6) {
                    0 => about.kind = seed.number() as u8,
                    1 => about.account = AccountId(odd(seed, about.account.0)),
                    2 => about.summary_len = odd(seed, u64::from(about.summary_len)) as u32,
                    3 => about.flags = seed.number() as u8,
                    _ => {}
                }
            }
            let head = RecordHead::seal(about, std::iter::once(&payload[from..to]));
            heads.update(head.as_bytes());
            payload[slot.at..from].copy_from_slice(head.as_bytes());
        }
        meta.heads_crc = heads.finalize();
    } else {
        match seed.below(8) {
            0 => meta.segment = SegmentId(odd(seed, meta.segment.0)),
            1 => meta.sequence = odd(seed, meta.sequence),
            2 => meta.lsn = Lsn(odd(seed, meta.lsn.0)),
            3 => meta.durable = Lsn(odd(seed, meta.durable.0)),
            4 => meta.len = odd(seed, u64::from(meta.len)) as u32,
            5 => meta.records = odd(seed, u64::from(meta.records)) as u32,
            6 => meta.prev_crc = odd(seed, u64::from(meta.prev_crc)) as u32,
            _ => meta.time_ms = odd(seed, meta.time_ms),
        }
    }
    data[at..start].copy_from_slice(&meta.encode(log).0);
    Some(())
}

fn forge_header(seed: &mut Seed, data: &mut [u8], segment: SegmentId) -> Option<()> {
    let (mut meta, log) = SegmentMeta::decode(data, segment).ok()??;
    match seed.below(6) {
        0 => meta.segment = SegmentId(odd(seed, meta.segment.0)),
        1 => meta.base = Lsn(odd(seed, meta.base.0) / BLOCK * BLOCK),
        2 => meta.prev.segment = SegmentId(odd(seed, meta.prev.segment.0)),
        3 => meta.prev.end = Lsn(odd(seed, meta.prev.end.0)),
        4 => meta.prev.sequence = odd(seed, meta.prev.sequence),
        _ => meta.prev.crc = odd(seed, u64::from(meta.prev.crc)) as u32,
    }
    data[..segment::HEAD_BYTES].copy_from_slice(&meta.encode(log));
    Some(())
}

fn forge(seed: &mut Seed, disk: &mut FakeDisk) {
    let files = disk.sizes();
    let &(file, bytes) = seed.pick(&files).expect("some");
    let mut data = contents(disk, file, bytes);
    if bytes < BLOCK {
        return; // trimmed to next to nothing in an earlier turn
    }
    let at = (seed.below(bytes / BLOCK) * BLOCK) as usize;
    let number = SegmentId(file.number());
    match seed.below(8) {
        0 => drop(forge_header(seed, &mut data, number)),
        1 => data[at..at + BLOCK as usize].fill(0),
        2 => {
            let from = (seed.below(bytes / BLOCK) * BLOCK) as usize;
            data.copy_within(from..from + BLOCK as usize, at);
        }
        3 => {
            disk.perform(&IoRequest::Trim { file, len: seed.below(bytes) });
            return;
        }
        _ => drop(forge_batch(seed, &mut data, at)),
    }
    disk.perform(&IoRequest::Write { file, offset: 0, parts: vec![data.into()], durable: true });
}

#[test]
fn forged_files_panic_nowhere() {
    let mut opened = 0;
    for round in 0..ROUNDS {
        let mut seed = Seed::new(round);
        let mut disk = image(&mut seed);
        for _ in 0..=seed.below(3) {
            forge(&mut seed, &mut disk);
        }
        let replayed = replay_read_only(&mut disk, Some(ShardId(0)), None);
        match Store::open(&mut disk, options(), Now::default()) {
            Ok((store, report)) => {
                opened += 1;
                let replayed = replayed.expect("what opens can be read");
                assert_eq!(store.digest(), replayed.digest(), "round {round}");
                assert_eq!(report.damage, replayed.report.damage, "round {round}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(opened > ROUNDS / 2, "most damage lets the rest be served: {opened}");
}

/// A store with one account whose INBOX has one message of these octets; their place in the first segment.
fn one_message(octets: Vec<u8>) -> (FakeDisk, u64) {
    let mut disk = FakeDisk::new(Seed::new(1));
    let (mut store, _) = Store::open(&mut disk, options(), Now::default()).expect("opens");
    let account = AccountId::new(ShardId(0), 1);
    let create = mail::account("u@example.test");
    store.append(AccountId(0), create, Now::default()).expect("room");
    let body = NewBody { parts: vec![octets.into()], summary: Bytes::new() };
    let body = store.append_body(account, body, Now::default()).expect("room");
    let (mailbox, flags) = (MailboxId(1), Flags::default());
    let deliver = Change::Deliver { mailbox, body, flags, internal_ms: 1 };
    store.append(account, deliver, Now::default()).expect("room");
    for second in [0, 1] {
        store.tick(Now { unix_ms: 0, mono_ms: second * 1_000 });
        while let Some((id, request)) = store.poll_io() {
            store.complete(id, disk.perform(&request));
        }
    }
    let stored = store.fresh_body(body).and_then(|body| store.body(body)).expect("stored");
    (disk, stored.bytes.as_sent().expect("as sent").offset)
}

fn messages(disk: &mut FakeDisk) -> u64 {
    let replayed = replay_read_only(disk, Some(ShardId(0)), None).expect("it opens");
    replayed.account(AccountId::new(ShardId(0), 1)).map_or(0, |account| account.messages())
}

#[test]
fn a_message_never_passes_for_the_log_it_lies_in() {
    let (_, at) = one_message(vec![0; 3 * BLOCK as usize]);
    let skip = (at.next_multiple_of(BLOCK) - at) as usize;
    let mut octets = vec![0; 3 * BLOCK as usize];
    // What a sender could know: everything but the log's key.
    let forged = BatchMeta {
        segment: SegmentId(1),
        sequence: 900,
        lsn: Lsn(at + skip as u64),
        durable: Lsn(at + skip as u64),
        time_ms: 1,
        len: 0,
        records: 0,
        prev_crc: 0,
        heads_crc: 0,
    };
    let log = batch::LogIdentity { shard: ShardId(0), log_key: 666 };
    octets[skip..skip + batch::HEAD_BYTES].copy_from_slice(&forged.encode(log).0);
    let (mut disk, _) = one_message(octets);
    disk.rot(FileId::Segment(SegmentId(1)), 20, 0);
    assert_eq!(messages(&mut disk), 1, "the only header is unreadable; the first batch tells the key");
    let (store, report) = Store::open(&mut disk, options(), Now::default()).expect("opens");
    assert_eq!(report.damage.len(), 1, "{:?}", report.damage);
    drop(store);
    assert_eq!(messages(&mut disk), 1, "and it goes on under that key");
}

#[test]
fn a_log_that_cannot_be_recognised_is_left_alone() {
    let (mut disk, _) = one_message(vec![1; 100]);
    disk.rot(FileId::Segment(SegmentId(1)), 20, 0);
    disk.rot(FileId::Segment(SegmentId(1)), BLOCK + 20, 0);
    let before = disk.sizes();
    let refused = Store::open(&mut disk, options(), Now::default()).map(drop).expect_err("two damages");
    assert!(refused.to_string().contains("put the right bytes back"), "{refused}");
    assert_eq!(disk.sizes(), before, "nothing is removed");
    disk.rot(FileId::Segment(SegmentId(1)), BLOCK + 20, 0);
    assert_eq!(messages(&mut disk), 1);
}

#[test]
fn a_segment_without_anything_readable_does_not_cut_off_those_before_it() {
    let (mut disk, _) = one_message(vec![1; 100]);
    let (mut store, _) = Store::open(&mut disk, options(), Now::default()).expect("opens");
    let account = AccountId::new(ShardId(0), 1);
    for on in [true, false] {
        store.append(account, Change::Subscribe { name: "x".to_owned(), on }, Now::default()).expect("room");
        while let Some((id, request)) = store.poll_io() {
            store.complete(id, disk.perform(&request));
        }
    }
    // Header and first batch are damaged, and what follows is of this segment but not of this place.
    let (last, bytes) = store.segments().pop().expect("some");
    let file = FileId::Segment(last);
    let mut data = contents(&mut disk, file, bytes);
    for at in (2 * BLOCK as usize..data.len()).step_by(BLOCK as usize) {
        if let Some((meta, log, _)) = BatchMeta::decode(&data[at..], None) {
            let forged = BatchMeta { sequence: 1, ..meta }.encode(log).0;
            data[at..at + batch::HEAD_BYTES].copy_from_slice(&forged);
        }
    }
    data[20] ^= 1;
    data[BLOCK as usize + batch::HEAD_BYTES] ^= 1;
    disk.perform(&IoRequest::Write { file, offset: 0, parts: vec![data.into()], durable: true });
    for _ in 0..3 {
        drop(Store::open(&mut disk, options(), Now::default()).expect("opens"));
        assert_eq!(messages(&mut disk), 1, "what stands before it is there after every start");
    }
}
