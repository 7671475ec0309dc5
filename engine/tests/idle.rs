//! A store that nobody asks for anything becomes silent: no request at all, so that an idle machine's disk rests.

use std::ops::Range;

use bytes::Bytes;
use ringpost_engine::change::{Change, UidSet};
use ringpost_engine::compact;
use ringpost_engine::ids::{AccountId, MailboxId, Now, ShardId, Uid};
use ringpost_engine::io::{Disk, FileId, IoRequest};
use ringpost_engine::press;
use ringpost_engine::scrub;
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::{FakeDisk, Faults};
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;

const SEGMENT_BYTES: u64 = 256 * 1024;
const UNDELETE_MS: u64 = 100_000;
/// After so many seconds nothing is left to be done: patience, grace and every retry are over.
const BUSY_SECONDS: u64 = 1_200;
/// For so long nothing may be asked for.
const SILENT_SECONDS: u64 = 4 * 3_600;

/// What a case is about.
#[derive(Clone, Copy, Debug)]
struct Way {
    live_percent: u8,
    presses: bool,
    checkpoint_log_bytes: u64,
    seed: u64,
}

impl Way {
    fn all() -> impl Iterator<Item = Way> {
        let ways = [(80, false), (80, true), (100, false), (100, true)];
        ways.into_iter().flat_map(|(live_percent, presses)| {
            let lengths = [1, 128 * 1024, 1 << 40].into_iter();
            (1..).zip(lengths).map(move |(seed, checkpoint_log_bytes)| Way {
                live_percent,
                presses,
                checkpoint_log_bytes,
                seed,
            })
        })
    }

    fn options(self) -> Options {
        let after_ms = self.presses.then_some(50_000);
        Options {
            segment_bytes: SEGMENT_BYTES,
            reserve_bytes: 0,
            checkpoint_log_bytes: self.checkpoint_log_bytes,
            undelete_ms: UNDELETE_MS,
            compact: compact::Options {
                live_percent: self.live_percent,
                grace_ms: 60_000,
                press: press::Options { after_ms, dictionary_bytes: 1_000, ..press::Options::default() },
                ..compact::Options::default()
            },
            // One round a start.
            scrub: scrub::Options { bytes_per_second: 1 << 30, round_ms: 1 << 40 },
            ..Options::new(ShardId(0), 77)
        }
    }
}

struct Lab {
    way: Way,
    disk: FakeDisk,
    store: Store,
    now: Now,
    account: AccountId,
    inbox: MailboxId,
    seed: Seed,
    uids: u32,
}

impl Lab {
    fn new(way: Way) -> Lab {
        let mut disk = FakeDisk::new(Seed::new(way.seed));
        let now = Now { unix_ms: 1_000_000, mono_ms: 0 };
        let (store, _) = Store::open(&mut disk, way.options(), now).expect("opens");
        let (account, inbox, seed) = (AccountId(0), MailboxId(0), Seed::new(way.seed + 100));
        let mut lab = Lab { way, disk, store, now, account, inbox, seed, uids: 0 };
        let create = mail::account("alice@example.test");
        lab.store.append(AccountId(0), create, lab.now).expect("room");
        lab.pass(1);
        lab.account = lab.store.account_by_address("alice@example.test").expect("made");
        lab.inbox = lab.store.account(lab.account).expect("there").inbox().id();
        lab
    }

    /// So many seconds, four ticks each; what was asked for.
    fn pass(&mut self, seconds: u64) -> Vec<IoRequest> {
        let mut asked = Vec::new();
        for _ in 0..seconds * 4 {
            self.now = Now { unix_ms: self.now.unix_ms + 250, mono_ms: self.now.mono_ms + 250 };
            self.store.tick(self.now);
            while let Some((id, request)) = self.store.poll_io() {
                let result = self.disk.perform(&request);
                assert_eq!(self.store.complete(id, result).fatal, None, "{:?} {request:?}", self.way);
                asked.push(request);
            }
        }
        asked
    }

    /// Mail, not all of it random, so that some can be compressed.
    fn deliver(&mut self, count: Range<u32>) {
        for _ in 0..self.seed.below(u64::from(count.end - count.start)) as u32 + count.start {
            let word = self.seed.number().to_le_bytes();
            let octets = Bytes::from(word.repeat(self.seed.below(1_000) as usize + 1));
            let sent = mail::deliver(&mut self.store, self.account, self.inbox, octets, self.now);
            self.uids += u32::from(sent.is_ok());
        }
        self.pass(1);
    }

    /// Removes most of what is there.
    fn purge(&mut self) {
        let mut uids = UidSet::new();
        for uid in 1..=self.uids {
            if !self.seed.one_in(5) {
                uids.push_range(Uid(uid), Uid(uid));
            }
        }
        let change = Change::Expunge { mailbox: self.inbox, uids, only_deleted: false };
        self.store.append(self.account, change, self.now).expect("room");
        self.pass(1);
    }

    /// A store in which segments and packs are more or less dead.
    fn worn(way: Way) -> Lab {
        let mut lab = Lab::new(way);
        for _ in 0..4 {
            lab.deliver(50..150);
            lab.purge();
            lab.pass(UNDELETE_MS / 1_000 + 200);
        }
        lab.deliver(10..100);
        lab
    }

    fn reopen(&mut self) {
        self.store = Store::open(&mut self.disk, self.way.options(), self.now).expect("opens").0;
    }

    fn becomes_silent(&mut self) {
        self.pass(BUSY_SECONDS);
        let asked = self.pass(SILENT_SECONDS);
        let first = asked.iter().take(12).map(|request| {
            let mut text = format!("{request:?}");
            text.truncate(100);
            text
        });
        let first: Vec<String> = first.collect();
        assert!(asked.is_empty(), "{:?}: {} requests: {first:#?}", self.way, asked.len());
    }

    fn files(&self, is_kind: fn(&FileId) -> bool) -> Vec<(FileId, u64)> {
        self.disk.sizes().into_iter().filter(|(file, _)| is_kind(file)).collect()
    }
}

#[test]
fn a_store_with_dead_segments_and_packs_becomes_silent() {
    let mut packs = 0;
    for way in Way::all() {
        let mut lab = Lab::worn(way);
        packs += lab.store.stats().compacted.packs;
        lab.becomes_silent();
        lab.reopen();
        lab.becomes_silent();
        // What is old enough by now that was not then, and a segment closed by force.
        lab.deliver(1..20);
        lab.store.seal().expect("room");
        lab.becomes_silent();
    }
    assert!(packs > 0, "there was something to do");
}

#[test]
fn a_store_with_a_damaged_pack_becomes_silent() {
    let mut damaged = 0;
    for way in Way::all() {
        let mut lab = Lab::worn(way);
        lab.pass(BUSY_SECONDS);
        let packs = lab.files(|file| matches!(file, FileId::Pack(_)));
        let Some(&(file, bytes)) = packs.first() else { continue };
        let everywhere: Vec<u64> = (100..bytes).step_by(1_000).collect();
        for flips in [everywhere, vec![5], vec![20], vec![bytes - 5]] {
            flips.iter().for_each(|&at| lab.disk.rot(file, at, 3));
            lab.reopen();
            lab.deliver(1..20);
            lab.purge();
            lab.becomes_silent();
            damaged += lab.store.stats().compacted.damaged;
            if lab.files(|file| matches!(file, FileId::Pack(_))).iter().any(|(pack, _)| *pack == file) {
                flips.iter().for_each(|&at| lab.disk.rot(file, at, 3));
            } else {
                break;
            }
        }
    }
    assert!(damaged > 0, "some cannot be copied");
}

#[test]
fn a_store_with_a_damaged_segment_becomes_silent() {
    for way in Way::all() {
        let mut lab = Lab::worn(way);
        let segments = lab.files(|file| matches!(file, FileId::Segment(_)));
        let &(file, bytes) = segments.first().expect("the current one at least");
        lab.disk.rot(file, bytes / 2, 3);
        lab.store.scrub_now();
        lab.becomes_silent();
    }
}

/// On a full disk it is asked every second, without a write, whether there is room for a segment; whether there is for
/// a pack or a checkpoint, only by beginning one: less and less often.
#[test]
fn a_store_on_a_full_disk_hardly_writes() {
    let mut given_up = 0;
    for way in Way::all() {
        let mut lab = Lab::worn(way);
        lab.disk.faults = Faults { capacity: lab.disk.used() + 5_000, ..Faults::NONE };
        lab.deliver(200..300);
        lab.purge();
        lab.pass(BUSY_SECONDS);
        let asked = lab.pass(SILENT_SECONDS);
        let begun = asked.iter().filter(|request| matches!(request, IoRequest::Begin { .. })).count();
        let others = asked.iter().filter(|request| !matches!(request, IoRequest::Create { .. })).count();
        assert!(begun <= 40 && others <= 400, "{way:?}: {begun} files were begun, {others} requests");
        given_up += begun;
        // Room that comes back is used.
        lab.disk.faults = Faults::NONE;
        lab.becomes_silent();
        assert!(!lab.store.stats().disk_full, "{way:?}");
    }
    assert!(given_up > 0, "there was something to do");
}
