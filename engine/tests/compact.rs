//! What is removed becomes room on the disk, and nothing else goes.

use std::collections::BTreeMap;

use bytes::Bytes;
use ringpost_engine::change::{Change, Outcome, UidSet};
use ringpost_engine::compact;
use ringpost_engine::ids::{AccountId, Lsn, MailboxId, Now, SegmentId, ShardId, Uid};
use ringpost_engine::io::{Disk, FileId, IoRequest, IoResult};
use ringpost_engine::store::{Options, RecoveryReport, Store};
use ringpost_engine::testing::fake_disk::{FakeDisk, Faults};
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;
use ringpost_engine::verify::verify;

const SEGMENT_BYTES: u64 = 256 * 1024;
const UNDELETE_MS: u64 = 100_000;

fn options() -> Options {
    Options {
        segment_bytes: SEGMENT_BYTES,
        reserve_bytes: 0,
        checkpoint_log_bytes: 128 * 1024,
        undelete_ms: UNDELETE_MS,
        compact: compact::Options {
            bytes_per_second: 1 << 20,
            grace_ms: 60_000,
            ..compact::Options::default()
        },
        ..Options::new(ShardId(0), 77)
    }
}

struct Lab {
    disk: FakeDisk,
    store: Store,
    now: Now,
    account: AccountId,
    inbox: MailboxId,
    /// Octets by UID.
    mail: BTreeMap<Uid, Bytes>,
    seed: Seed,
}

impl Lab {
    fn new() -> Lab {
        Lab::with(options())
    }

    fn with(options: Options) -> Lab {
        let mut disk = FakeDisk::new(Seed::new(1));
        let now = Now { unix_ms: 1_000_000, mono_ms: 0 };
        let (store, _) = Store::open(&mut disk, options, now).expect("opens");
        let (account, inbox) = (AccountId(0), MailboxId(0));
        let mut lab = Lab { disk, store, now, account, inbox, mail: BTreeMap::new(), seed: Seed::new(3) };
        let create = mail::account("alice@example.test");
        lab.store.append(AccountId(0), create, lab.now).expect("room");
        lab.settle();
        lab.account = lab.store.account_by_address("alice@example.test").expect("made");
        lab.inbox = lab.store.account(lab.account).expect("there").inbox().id();
        lab
    }

    /// All that there is to do now.
    fn settle(&mut self) {
        self.store.tick(self.now);
        while let Some((id, request)) = self.store.poll_io() {
            let progress = self.store.complete(id, self.disk.perform(&request));
            assert_eq!(progress.fatal, None);
            for applied in progress.applied {
                if let Outcome::Delivered { uid, .. } = applied.outcome {
                    let waiting = self.mail.remove(&Uid(0)).expect("one at a time");
                    self.mail.insert(uid, waiting);
                }
            }
        }
    }

    /// So many seconds, a tick each.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = Now { unix_ms: self.now.unix_ms + 1_000, mono_ms: self.now.mono_ms + 1_000 };
            self.settle();
        }
    }

    fn deliver(&mut self, bytes: usize) {
        let mut octets = self.seed.number().to_le_bytes().repeat(bytes / 8 + 1);
        octets.truncate(bytes);
        let octets = Bytes::from(octets);
        self.mail.insert(Uid(0), octets.clone());
        mail::deliver(&mut self.store, self.account, self.inbox, octets, self.now).expect("room");
        self.settle();
    }

    /// Removes all messages but one in `kept_one_in`, by chance.
    fn purge(&mut self, kept_one_in: u64) {
        self.purge_above(Uid(0), kept_one_in);
    }

    /// The same, of the messages above this UID.
    fn purge_above(&mut self, above: Uid, kept_one_in: u64) {
        let above: Vec<Uid> = self.mail.keys().copied().filter(|uid| *uid > above).collect();
        let gone = above.into_iter().filter(|_| !self.seed.one_in(kept_one_in)).collect();
        self.expunge(gone);
    }

    fn expunge(&mut self, uids: UidSet) {
        self.mail.retain(|uid, _| !uids.contains(*uid));
        let change = Change::Expunge { mailbox: self.inbox, uids, only_deleted: false };
        self.store.append(self.account, change, self.now).expect("room");
        self.settle();
    }

    /// Every message is there with its octets; how many are not.
    fn unreadable(&self) -> usize {
        let mailbox = self.store.mailbox(self.account, self.inbox).expect("there");
        assert_eq!(mailbox.len(), self.mail.len());
        let messages = (0..mailbox.len()).map(|place| mailbox.message(place));
        let found = messages.filter(|message| {
            let bytes = self.store.body(message.key()).and_then(|body| self.store.bytes(body.bytes));
            bytes.as_ref() == Some(&self.mail[&message.uid])
        });
        mailbox.len() - found.count()
    }

    fn reopen(&mut self) -> RecoveryReport {
        let (store, report) = Store::open(&mut self.disk, options(), self.now).expect("opens");
        self.store = store;
        report
    }

    fn packs(&self) -> Vec<(FileId, u64)> {
        self.disk.sizes().into_iter().filter(|(file, _)| matches!(file, FileId::Pack(_))).collect()
    }

    /// The files of a copy, asked for once; none if that has to be asked again.
    fn listed(&mut self) -> Option<Vec<FileId>> {
        let last = self.store.seal().expect("room");
        let end = loop {
            if let Some(end) = self.store.sealed(last).expect("room") {
                break end;
            }
            self.pass(1);
        };
        let segments = self.store.segments_within(SegmentId(0), last, 1_000);
        let mut files: Vec<FileId> = segments.into_iter().map(|(file, _)| FileId::Segment(file)).collect();
        files.extend(self.store.checkpoint_within(end)?);
        Some(files)
    }

    /// Another disk with these files alone.
    fn copied(&mut self, files: Vec<FileId>) -> FakeDisk {
        let mut copy = FakeDisk::new(Seed::new(2));
        for file in files {
            let size =
                self.disk.sizes().into_iter().find(|(other, _)| *other == file).expect("it is there").1;
            let mut bytes = vec![0; size as usize];
            assert_eq!(self.disk.read(file, 0, &mut bytes), Ok(bytes.len()));
            assert!(matches!(copy.perform(&IoRequest::Begin { file }), IoResult::Done));
            let write = IoRequest::Write { file, offset: 0, parts: vec![bytes.into()], durable: true };
            assert!(matches!(copy.perform(&write), IoResult::Done));
        }
        copy
    }

    /// All that is written is sealed, and then nothing comes while room is given back.
    fn idle(&mut self) {
        self.store.seal().expect("room");
        self.pass(600);
        assert!(self.store.stats().compacted.removed > 0, "room was given back");
    }

    /// A copy of what lies idle is listed at the first asking, and opens with all that there is.
    fn copy_opens(&mut self) {
        let files = self.listed().expect("nothing comes in between");
        let mut copy = self.copied(files);
        std::mem::swap(&mut self.disk, &mut copy);
        let report = self.reopen();
        assert!(report.damage.is_empty() && report.refused_checkpoints.is_empty(), "{report:?}");
        assert!(report.checkpoint.is_some(), "{report:?}");
        assert_eq!(self.store.account_by_address("alice@example.test"), Some(self.account));
        assert_eq!(self.unreadable(), 0);
        assert!(verify(&self.store, &mut self.disk).expect("readable").is_sound());
    }
}

/// 24 MB of mail of which a tenth stays, a tenth of it in a last segment that a full one would not follow.
fn shrunk() -> Lab {
    let mut lab = Lab::new();
    for _ in 0..6_000 {
        let bytes = lab.seed.below(8_000) as usize;
        lab.deliver(bytes);
    }
    lab.pass(5);
    lab.purge(10);
    lab.pass(UNDELETE_MS / 1_000 + 400);
    lab
}

#[test]
fn after_nine_tenths_are_removed_the_files_shrink_to_what_is_alive() {
    let mut lab = Lab::new();
    for _ in 0..6_000 {
        let bytes = lab.seed.below(8_000) as usize;
        lab.deliver(bytes);
    }
    lab.pass(5);
    lab.pass(200);
    let full = lab.disk.used();
    let before = lab.store.stats().compacted.written;
    lab.purge(10);
    lab.pass(UNDELETE_MS / 1_000 - 10);
    assert!(lab.disk.used() * 10 >= full * 9, "all of it can be had back");
    lab.pass(400);
    let stats = lab.store.stats();
    let live = stats.live_bytes;
    // What is made ahead of need does not grow with the store: the current segment and the next.
    let ahead = 2 * SEGMENT_BYTES;
    let used = lab.disk.used() - ahead;
    let written = stats.compacted.written - before;
    println!("{full} bytes became {used} (and {ahead} ahead) for {live} alive, {written} written");
    assert!(used * 10 <= live * 13, "{used} for {live} alive: {:?}", lab.disk.sizes());
    assert!(written < 3 * live, "{written} written for {live} alive");
    assert_eq!(lab.unreadable(), 0);
    assert!(verify(&lab.store, &mut lab.disk).expect("readable").is_sound());
    let report = lab.reopen();
    assert!(report.damage.is_empty() && report.repaired.is_empty(), "{report:?}");
    assert_eq!(lab.unreadable(), 0);
    lab.pass(100);
    assert!(lab.disk.used() <= used + ahead + SEGMENT_BYTES, "a start makes nothing grow");
}

#[test]
fn nothing_is_removed_while_somebody_may_send_from_it() {
    let mut lab = Lab::new();
    for _ in 0..600 {
        lab.deliver(4_000);
    }
    lab.purge(10);
    while lab.store.stats().packs == 0 {
        lab.pass(1);
        assert!(lab.now.mono_ms < 1_000_000, "there is something to do");
    }
    let before = lab.store.stats().segments;
    lab.pass(50);
    assert!(lab.store.stats().segments >= before, "its grace is not over");
    lab.pass(120);
    assert!(lab.store.stats().segments < before);
}

#[test]
fn what_dies_while_its_old_file_waits_is_left_out_of_the_next_pack() {
    let mut lab = Lab::with(Options { undelete_ms: 1_000, ..options() });
    // Some 30 to a segment: one of the first stays, every other one of the second.
    (0..100).for_each(|_| lab.deliver(4_000));
    lab.pass(5);
    lab.expunge((2..=62).filter(|uid| *uid < 31 || uid % 2 == 0).map(Uid).collect());
    while lab.store.stats().packs == 0 {
        lab.pass(1);
        assert!(lab.now.mono_ms < 1_000_000, "there is something to do");
    }
    let before = lab.packs();
    lab.expunge(std::iter::once(Uid(1)).collect());
    lab.pass(5);
    let removed = lab.store.stats().compacted.removed;
    lab.pass(100);
    assert!(lab.store.stats().compacted.removed > removed, "the first segment is gone");
    lab.expunge((33..62).map(Uid).collect());
    lab.pass(400);
    let stats = lab.store.stats();
    assert_eq!((stats.compacted.damaged, stats.compacted.given_up), (0, 0), "{stats:?}");
    let after = lab.packs();
    assert!(before.iter().all(|pack| !after.contains(pack)), "{before:?} {after:?}");
    assert_eq!(lab.unreadable(), 0);
}

#[test]
fn a_disk_that_is_full_gets_room_back() {
    let mut lab = Lab::new();
    for _ in 0..3_000 {
        lab.deliver(4_000);
    }
    lab.pass(20);
    // Not a byte for a pack.
    lab.disk.faults = Faults { capacity: lab.disk.used(), ..Faults::NONE };
    let before = lab.disk.used();
    lab.purge(1 << 40);
    lab.pass(UNDELETE_MS / 1_000 + 400);
    assert!(lab.disk.used() < before / 4, "{} of {before}", lab.disk.used());
    lab.deliver(100);
    assert_eq!(lab.unreadable(), 0);
}

#[test]
fn a_copy_of_a_compacted_store_has_its_packs_and_opens() {
    let mut lab = shrunk();
    let files = lab.listed().expect("nothing is newer");
    assert!(files.iter().any(|file| matches!(file, FileId::Pack(_))));
    lab.disk = lab.copied(files);
    let report = lab.reopen();
    assert!(report.damage.is_empty(), "{report:?}");
    assert_eq!(lab.unreadable(), 0);
}

#[test]
fn a_store_that_lies_idle_behind_its_packs_can_be_copied() {
    let mut lab = shrunk();
    lab.idle();
    assert!(!lab.packs().is_empty() && lab.store.checkpointed() > Lsn(0));
    lab.copy_opens();
}

#[test]
fn a_store_that_lies_idle_behind_what_was_removed_can_be_copied_without_packs() {
    let mut lab = Lab::new();
    // A segment of which hardly anything is padding, and some of which nothing stays.
    (0..10).for_each(|_| lab.deliver(16_000));
    lab.store.seal().expect("room");
    lab.settle();
    let kept = *lab.mail.keys().next_back().expect("delivered");
    (0..100).for_each(|_| lab.deliver(4_000));
    lab.purge_above(kept, 1 << 40);
    lab.pass(UNDELETE_MS / 1_000 + 10);
    lab.idle();
    assert!(lab.packs().is_empty(), "{:?}", lab.packs());
    lab.copy_opens();
}

#[test]
fn a_store_that_lies_idle_and_lost_everything_can_be_copied() {
    let mut lab = Lab::new();
    (0..600).for_each(|_| lab.deliver(4_000));
    lab.purge(1 << 40);
    lab.pass(UNDELETE_MS / 1_000 + 10);
    lab.idle();
    assert!(lab.packs().is_empty(), "{:?}", lab.packs());
    assert_eq!(lab.store.segments().len(), 1, "but the one that is written");
    lab.copy_opens();
}

#[test]
fn copies_of_an_idle_store_pile_nothing_up() {
    let mut lab = shrunk();
    lab.idle();
    let before = (lab.store.stats().segments, lab.disk.used());
    for _ in 0..20 {
        lab.listed().expect("nothing comes in between");
        let (again, listed) = (lab.store.segments().len(), lab.listed());
        assert!(listed.is_some() && lab.store.segments().len() == again, "one at once needs no segment more");
        lab.pass(600);
    }
    let after = (lab.store.stats().segments, lab.disk.used());
    assert!(after.0 <= before.0 + 1 && after.1 <= before.1 + 2 * SEGMENT_BYTES, "{before:?} {after:?}");
}

#[test]
fn flipped_bits_in_a_pack_cost_one_message_or_nothing() {
    let mut lab = shrunk();
    let packs = lab.packs();
    let mut seed = Seed::new(9);
    let mut cost = [0; 2];
    let mut repaired = 0;
    for _ in 0..400 {
        let (file, bytes) = packs[seed.below(packs.len() as u64) as usize];
        // The ends more often than chance would have it: there is what leads to the records.
        let at = match seed.below(4) {
            0 => seed.below(64),
            1 => bytes - 1 - seed.below(64),
            2 => bytes - 1 - seed.below(bytes / 50),
            _ => seed.below(bytes),
        };
        let bit = seed.below(8) as u8;
        lab.disk.rot(file, at, bit);
        let report = lab.reopen();
        assert!(report.damage.is_empty() && report.quarantined.is_empty(), "{file:?} {at}: {report:?}");
        repaired += report.repaired.len();
        let lost = lab.unreadable();
        assert!(lost <= 1, "{lost} messages are lost by byte {at} of {file:?}, {bytes} bytes");
        cost[lost] += 1;
        lab.disk.rot(file, at, bit);
    }
    assert!(cost[0] > 200 && cost[1] > 50 && repaired > 100, "{cost:?} {repaired}");
    // What was made anew in memory is written anew on the disk.
    let (file, bytes) = packs[0];
    lab.disk.rot(file, bytes - 3, 1);
    assert_eq!(lab.reopen().repaired.len(), 1);
    lab.pass(200);
    assert!(!lab.packs().iter().any(|(pack, _)| *pack == file), "{:?}", lab.packs());
    assert!(lab.reopen().repaired.is_empty());
    assert_eq!(lab.unreadable(), 0);
}

#[test]
fn small_neighbours_are_joined_so_that_files_do_not_pile_up() {
    let mut lab = Lab::new();
    for _ in 0..60 {
        // As after a backup every hour: a segment each, though there is little in it.
        lab.deliver(2_000);
        lab.store.seal().expect("room");
        lab.pass(20);
    }
    lab.pass(400);
    let stats = lab.store.stats();
    assert!(stats.segments + stats.packs < 16, "{} segments, {} packs", stats.segments, stats.packs);
    assert_eq!(lab.unreadable(), 0);
    assert!(stats.compacted.written < 60 * 2_000 * 6, "{}", stats.compacted.written);
}
