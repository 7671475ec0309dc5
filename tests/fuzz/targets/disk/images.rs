//! A small store's files, and what octets make of one of them.
//!
//! *Owns*: the files, made once, and edits. *Promises*: the same octets edit the same; a file grows by little.
//! *Assumes*: the files hold packs, and checkpoints that need each other. *Never*: knows more of a format than where
//! its sums are.

use std::sync::OnceLock;

use bytes::Bytes;
use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, NewBody, Services};
use ringpost_engine::compact;
use ringpost_engine::error::Error;
use ringpost_engine::ids::{AccountId, MailboxId, Now, ShardId, Uid};
use ringpost_engine::io::{Disk, FileId, IoRequest};
use ringpost_engine::store::{Options, RecoveryReport, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::seed::Seed;

use super::super::choices::Choices;

const INBOX: MailboxId = MailboxId(1);
/// Messages of each account.
const MESSAGES: u32 = 24;
/// What one account's messages are full of, and the other's: no few flipped bits make one of the other.
pub const FILLED: [u8; 2] = [0x00, 0xff];
/// Edits of one input.
const EDITS_MAX: usize = 6;
/// Numbers that break sums and comparisons.
const ODD: [u64; 8] = [0, 1, 127, 1 << 16, 1 << 31, u32::MAX as u64, 1 << 61, u64::MAX];

/// Files of a shard that a process left behind.
pub struct Image {
    /// Which, and their bytes.
    pub files: Vec<(FileId, Vec<u8>)>,
    /// Of the index that they make.
    pub digest: u64,
}

fn options() -> Options {
    Options {
        segment_bytes: 32 * 1024,
        checkpoint_log_bytes: 1,
        index_memory_bytes_max: 0,
        undelete_ms: 0,
        compact: compact::Options {
            bytes_per_second: 1 << 40,
            live_percent: 80,
            grace_ms: 0,
            look_ms: 0,
            ..compact::Options::default()
        },
        ..Options::new(ShardId(0), 99)
    }
}

fn drive(store: &mut Store, disk: &mut FakeDisk) {
    while let Some((id, request)) = store.poll_io() {
        let progress = store.complete(id, disk.perform(&request));
        assert_eq!(progress.fatal, None);
    }
}

/// Accounts by number from 1.
fn account(number: usize) -> AccountId {
    AccountId::new(ShardId(0), number as u64)
}

/// The store: of two accounts, half of whose first messages are gone; then some more came.
pub fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(make)
}

fn make() -> Image {
    let mut disk = FakeDisk::new(Seed::new(1));
    let (mut store, _) = Store::open(&mut disk, options(), Now::default()).expect("opens");
    let mut now = Now { unix_ms: 1_000_000, mono_ms: 1 };
    for number in 1..=FILLED.len() {
        let create = Change::AccountCreate {
            address: format!("u{number}@example.test"),
            password_hash: "hash".to_owned(),
            services: Services::ALL,
            mailboxes: vec![("Sent".to_owned(), None)],
        };
        store.append(AccountId(0), create, now).expect("room");
    }
    for round in 0..MESSAGES {
        for (number, octet) in (1..).zip(FILLED) {
            let octets = Bytes::from(vec![octet; 600 + 97 * round as usize]);
            let body = NewBody { parts: vec![octets], summary: Bytes::from_static(b"summary") };
            let body = store.append_body(account(number), body, now).expect("room");
            let deliver =
                Change::Deliver { mailbox: INBOX, body, flags: Flags::default(), internal_ms: 1_000 };
            store.append(account(number), deliver, now).expect("room");
        }
        drive(&mut store, &mut disk);
    }
    for number in 1..=FILLED.len() {
        let uids = (1..=MESSAGES).filter(|uid| uid % 2 == 0).map(Uid).collect();
        store
            .append(account(number), Change::Expunge { mailbox: INBOX, uids, only_deleted: false }, now)
            .expect("room");
    }
    for round in 0..40 {
        if round % 8 == 0 {
            let flags = Flags { system: FlagBits::SEEN, keywords: vec![format!("$k{round}")] };
            let (uids, op) = (std::iter::once(Uid(1)).collect(), FlagOp::Add);
            let store_flags = Change::FlagsStore { mailbox: INBOX, uids, op, flags, unchanged_since: None };
            store.append(account(1 + round / 8 % 2), store_flags, now).expect("room");
        }
        now = Now { unix_ms: now.unix_ms + 1_000, mono_ms: now.mono_ms + 1_000 };
        store.tick(now);
        drive(&mut store, &mut disk);
    }
    let sizes = disk.sizes();
    let contents = |(file, bytes): (FileId, u64)| {
        let mut data = vec![0; bytes as usize];
        let read = disk.read(file, 0, &mut data).expect("there");
        assert_eq!(read as u64, bytes);
        (file, data)
    };
    let image = Image { files: sizes.into_iter().map(contents).collect(), digest: store.digest() };
    let of_kind = |kind: fn(&FileId) -> bool| image.files.iter().filter(|(file, _)| kind(file)).count();
    assert!(of_kind(|file| matches!(file, FileId::Pack(_))) > 0, "there is a pack");
    assert!(of_kind(|file| matches!(file, FileId::Checkpoint(_))) > 1, "a checkpoint, and the one before");
    image
}

/// Opens a store on these files, with sums of checkpoints looked at or not.
pub fn open(
    files: impl Iterator<Item = (FileId, Vec<u8>)>,
    trust: bool,
) -> Result<(Store, RecoveryReport), Error> {
    let mut disk = FakeDisk::new(Seed::new(2));
    for (file, bytes) in files {
        disk.perform(&IoRequest::Begin { file });
        disk.perform(&IoRequest::Write { file, offset: 0, parts: vec![bytes.into()], durable: true });
    }
    Store::open(&mut disk, Options { trust_checkpoints: trust, ..options() }, Now::default())
}

/// Looks at every message, and gives its octets, if they are to be had, to `see` with what they should be full of.
pub fn look_at_all(store: &Store, mut see: impl FnMut(u8, Option<Bytes>)) {
    for (number, octet) in (1..).zip(FILLED) {
        let Some(account) = store.account(account(number)) else { continue };
        for mailbox in account.mailboxes().filter(|mailbox| mailbox.is_readable()) {
            for place in 0..mailbox.len() {
                let key = mailbox.message(place).key();
                let octets = store.body(key).and_then(|body| store.bytes(body.bytes));
                assert!(octets.as_ref().is_none_or(|octets| octets.len() == key.len as usize));
                see(octet, octets);
            }
        }
    }
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edited {
    /// Bytes of one place were written to another.
    pub moved: bool,
}

/// Edits a file's bytes, as octets choose.
pub fn edit(data: &mut Vec<u8>, choices: &mut Choices<'_>) -> Edited {
    let mut edited = Edited::default();
    for _ in 0..EDITS_MAX {
        if choices.is_over() {
            break;
        }
        let (what, at) = (choices.below(8), place(data.len(), choices));
        match what {
            0 | 1 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << choices.below(8);
                }
            }
            2 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = choices.below(256) as u8;
                }
            }
            3 | 4 => {
                let number = choices.pick(&ODD).to_le_bytes();
                let width = choices.pick(&[1, 2, 4, 8]);
                let end = data.len().min(at + width);
                data[at..end].copy_from_slice(&number[..end - at]);
            }
            5 => data.truncate(at),
            6 => data.resize(data.len() + choices.below(256), choices.below(256) as u8),
            _ => {
                let (from, len) = (place(data.len(), choices), choices.below(256));
                let len = len.min(data.len() - at.max(from));
                data.copy_within(from..from + len, at);
                edited.moved = true;
            }
        }
    }
    edited
}

/// Somewhere in a file, counted from its end or its beginning: that is where what leads to the rest stands.
fn place(len: usize, choices: &mut Choices<'_>) -> usize {
    let (far, near) = (choices.below(256), choices.below(256));
    let place = if far < 128 { near } else { (far - 128) << 8 | near }.min(len);
    if choices.below(2) == 0 { place } else { len - place }
}

/// Puts the sum of `over` at `at`, if the bytes are there.
pub fn seal(data: &mut [u8], over: std::ops::Range<usize>, at: usize) {
    let Some(sum) = data.get(over).map(crc32fast::hash) else { return };
    if let Some(place) = data.get_mut(at..at + 4) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
