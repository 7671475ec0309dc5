//! Compressed bodies come out of the store as they went in, whatever piece is asked for.

use std::collections::BTreeMap;

use bytes::Bytes;
use ringpost_engine::change::{Change, Services, UidSet};
use ringpost_engine::compact;
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, Now, ShardId};
use ringpost_engine::io::Disk;
use ringpost_engine::octets::{Cold, Octets};
use ringpost_engine::press;
use ringpost_engine::recovery::recover_read_only;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;

const BLOCK: usize = ringpost_engine::limits::PRESSED_BLOCK_BYTES as usize;

fn options() -> Options {
    let press = press::Options { after_ms: Some(0), dictionary_bytes: 2_000, ..press::Options::default() };
    Options {
        segment_bytes: 1024 * 1024,
        checkpoint_log_bytes: 1,
        compact: compact::Options {
            bytes_per_second: 1 << 40,
            live_percent: 80,
            grace_ms: 0,
            look_ms: 0,
            press,
        },
        ..Options::new(ShardId(0), 77)
    }
}

/// A store and its disk, in which time goes on.
struct Lab {
    disk: FakeDisk,
    store: Store,
    now: Now,
}

impl Lab {
    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now = Now { unix_ms: self.now.unix_ms + 1_000, mono_ms: self.now.mono_ms + 1_000 };
            self.store.tick(self.now);
            while let Some((id, request)) = self.store.poll_io() {
                assert!(self.store.complete(id, self.disk.perform(&request)).fatal.is_none());
            }
        }
    }
}

fn message(len: usize, seed: &mut Seed) -> Bytes {
    let mut text = b"Received: from a.example by b.example; Subject: hello\r\n\r\n".to_vec();
    while text.len() < len {
        text.extend_from_slice(
            format!("line {} of a message {:x}\r\n", text.len(), seed.number()).as_bytes(),
        );
    }
    text.truncate(len);
    text.into()
}

/// A store with one account.
fn empty(options: Options) -> (Lab, AccountId) {
    let mut disk = FakeDisk::new(Seed::new(1));
    let now = Now { unix_ms: 1_000_000, mono_ms: 0 };
    let (store, _) = Store::open(&mut disk, options, now).expect("it opens");
    let mut lab = Lab { disk, store, now };
    let (address, password_hash) = ("a@x".to_owned(), "x".to_owned());
    let create = Change::AccountCreate { address, password_hash, services: Services::ALL, mailboxes: vec![] };
    lab.store.append(AccountId(0), create, now).expect("room");
    lab.run(2);
    let account = lab.store.account_by_address("a@x").expect("made");
    (lab, account)
}

impl Lab {
    fn deliver(&mut self, account: AccountId, octets: Bytes) -> BodyId {
        let body = mail::deliver(&mut self.store, account, MailboxId(1), octets, self.now).expect("room");
        self.run(1);
        body
    }

    /// Checkpoints come with changes, and only what two of them cover is moved.
    fn compact(&mut self) {
        for _ in 0..8 {
            self.store.seal().expect("room");
            let change = Change::DomainAdd { name: "x".to_owned() };
            self.store.append(AccountId(0), change, self.now).expect("room");
            self.run(4);
        }
    }
}

/// A store that has compressed these messages.
fn pressed() -> (Lab, BTreeMap<BodyId, Bytes>) {
    let (mut lab, account) = empty(options());
    let mut seed = Seed::new(3);
    let lengths = [300, 5_000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 5];
    let mut bodies = BTreeMap::new();
    for len in lengths.into_iter().cycle().take(28) {
        let octets = message(len, &mut seed);
        bodies.insert(lab.deliver(account, octets.clone()), octets);
    }
    lab.compact();
    (lab, bodies)
}

/// Every message, with its octets.
fn all(store: &Store) -> Vec<(BodyId, Octets)> {
    let account = store.account_by_address("a@x").expect("there");
    let mailbox = store.mailbox(account, MailboxId(1)).expect("there");
    let message = |place| {
        let message = mailbox.message(place);
        (message.body, store.body(message.key()).expect("found").bytes)
    };
    (0..mailbox.len()).map(message).collect()
}

fn check(store: &Store, bodies: &BTreeMap<BodyId, Bytes>) -> usize {
    let mut compressed = 0;
    for (id, octets) in all(store) {
        let whole = &bodies[&id];
        compressed += usize::from(octets.as_sent().is_none());
        assert_eq!(octets.len as usize, whole.len());
        assert!(store.bytes(octets).expect("whole") == *whole, "{id}");
        let at =
            [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, whole.len() - 1, whole.len(), whole.len() + 9];
        for (skip, len) in at.into_iter().flat_map(|skip| [0, 1, 2, BLOCK, BLOCK + 1].map(|len| (skip, len)))
        {
            let (from, to) =
                (skip.min(whole.len()), (skip + len).min(whole.len()).max(skip.min(whole.len())));
            let piece = octets.slice(skip as u32, len as u32);
            let mut cold = Cold::default();
            store.kept(piece, &mut cold);
            for octets in cold.unlocated.iter().filter(|octets| octets.len > 0) {
                let mut next = Cold::default();
                store.located(*octets, &mut next);
                assert_eq!((next.extents.len(), next.unlocated.len()), (1, 0));
            }
            assert!(store.bytes(piece).expect("a piece") == whole[from..to], "{id}: {len} from {skip}");
            let within = octets.slice(1, u32::MAX).slice(skip as u32, len as u32);
            let (from, to) = ((from + 1).min(whole.len()), (to + 1).min(whole.len()));
            if skip + 1 < whole.len() {
                assert!(store.bytes(within).expect("a piece of a piece") == whole[from..to]);
            }
        }
    }
    compressed
}

#[test]
fn every_piece_of_a_compressed_body_is_what_was_sent() {
    let (mut lab, bodies) = pressed();
    let done = lab.store.stats().compacted.pressed;
    assert!(done.bodies >= 20 && done.bytes * 2 < done.octets, "{done:?}");
    assert!(check(&lab.store, &bodies) >= 20);
    let replayed = recover_read_only(&mut lab.disk, Some(ShardId(0)), None).expect("it opens");
    for (id, octets) in all(&lab.store).into_iter().filter(|(_, octets)| octets.as_sent().is_none()) {
        assert!(replayed.unfold(octets).expect("for tools, too") == bodies[&id]);
    }
    let Lab { mut disk, now, .. } = lab;
    let (store, report) = Store::open(&mut disk, options(), now).expect("it opens again");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    assert!(check(&store, &bodies) >= 20);
}

/// Nearly all of a pack goes, and what stays would take less than a byte of what it takes.
#[test]
fn the_smallest_message_keeps_its_pack() {
    let (mut lab, account) = empty(Options { undelete_ms: 0, ..options() });
    let small = Bytes::from_static(b"hello");
    let id = lab.deliver(account, small.clone());
    for _ in 0..8 {
        lab.deliver(account, vec![b'a'; 100_000].into());
    }
    lab.compact();
    assert!(lab.store.stats().compacted.pressed.bodies >= 8);
    let uids = UidSet::from_ranges(vec![(2, 9)]).expect("canonical");
    let expunge = Change::Expunge { mailbox: MailboxId(1), uids, only_deleted: false };
    lab.store.append(account, expunge, lab.now).expect("room");
    lab.compact();
    assert!(lab.store.stats().compacted.removed > 1, "the pack of before is gone");
    assert_eq!(all(&lab.store).len(), 1);
    assert_eq!(check(&lab.store, &BTreeMap::from([(id, small.clone())])), 0);
    let Lab { mut disk, now, .. } = lab;
    let (store, report) = Store::open(&mut disk, options(), now).expect("it opens again");
    assert!(report.damage.is_empty(), "{:?}", report.damage);
    assert_eq!(check(&store, &BTreeMap::from([(id, small)])), 0);
}
