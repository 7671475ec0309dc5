//! What becomes of one rotten message: hidden, told, and shown again when it is what was written.

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody};
use ringpost_engine::compact;
use ringpost_engine::ids::{AccountId, BodyKey, MailboxId, Now, ShardId};
use ringpost_engine::io::{Disk, Extent, FileId, IoRequest};
use ringpost_engine::limits;
use ringpost_engine::press;
use ringpost_engine::scrub::{Options as Scrub, Record, What};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;

const SUMMARY: &[u8] = b"what was computed of it";
const OCTETS: &[u8] = b"Subject: hello\r\n\r\nwhat somebody wrote\r\n";

struct Lab {
    disk: FakeDisk,
    store: Store,
    now: Now,
    account: AccountId,
    inbox: MailboxId,
}

fn open(disk: &mut FakeDisk) -> Store {
    let scrub = Scrub { bytes_per_second: 1 << 30, round_ms: 1 << 40 };
    let options = Options { segment_bytes: 128 * 1024, scrub, ..Options::new(ShardId(0), 77) };
    Store::open(disk, options, Now::default()).expect("opens").0
}

/// The same, but what is old enough is compressed, and small files become one.
fn open_packing(disk: &mut FakeDisk, presses: bool) -> Store {
    let scrub = Scrub { bytes_per_second: 1 << 30, round_ms: 1 << 40 };
    let press = press::Options {
        after_ms: presses.then_some(1),
        dictionary_bytes: 1_000,
        ..press::Options::default()
    };
    let compact = compact::Options { look_ms: 100, grace_ms: 0, press, ..compact::Options::default() };
    let base = Options::new(ShardId(0), 77);
    let options = Options { segment_bytes: 1 << 20, undelete_ms: 0, scrub, compact, ..base };
    Store::open(disk, options, Now::default()).expect("opens").0
}

/// Octets that can be compressed, of more than a block for some.
fn octets(number: u32) -> Bytes {
    let line = format!("message {number} says what it says\r\n");
    line.repeat(if number.is_multiple_of(97) { 4_000 } else { 30 }).into()
}

impl Lab {
    /// A store with one message in a segment that is complete.
    fn new() -> Lab {
        let mut lab = Lab::empty(open);
        lab.deliver(Bytes::from_static(OCTETS));
        lab.store.seal().expect("room");
        lab.settle();
        lab
    }

    /// A store with a pack of so many messages, and nothing else that holds mail.
    fn packed(count: u32, presses: bool) -> (Lab, FileId) {
        let mut lab = Lab::empty(|disk| open_packing(disk, presses));
        for file in 0..limits::COMPACT_SMALL_FILES as u32 {
            for number in 0..count / limits::COMPACT_SMALL_FILES as u32 {
                lab.deliver(octets(file * count + number));
            }
            lab.store.seal().expect("room");
            lab.settle();
        }
        for _ in 0..20 {
            lab.now.unix_ms += 10_000;
            lab.deliver(Bytes::from_static(OCTETS));
            lab.store.seal().expect("room");
            lab.settle();
        }
        let pack = lab.store.place(lab.key()).expect("somewhere").summary.file;
        assert!(matches!(pack, FileId::Pack(_)), "{pack:?}");
        assert_eq!(lab.pressed(), presses);
        (lab, pack)
    }

    fn empty(open: impl Fn(&mut FakeDisk) -> Store) -> Lab {
        let mut disk = FakeDisk::new(Seed::new(1));
        let store = open(&mut disk);
        let now = Now { unix_ms: 1_000, mono_ms: 1 };
        let mut lab = Lab { disk, store, now, account: AccountId(0), inbox: MailboxId(0) };
        let create = mail::account("alice@example.test");
        lab.store.append(AccountId(0), create, lab.now).expect("room");
        lab.settle();
        lab.account = lab.store.account_by_address("alice@example.test").expect("made");
        lab.inbox = lab.store.account(lab.account).expect("there").inbox().id();
        lab
    }

    fn deliver(&mut self, octets: Bytes) {
        let body = NewBody { parts: vec![octets], summary: Bytes::from_static(SUMMARY) };
        let body = self.store.append_body(self.account, body, self.now).expect("room");
        let change = Change::Deliver { mailbox: self.inbox, body, flags: Flags::default(), internal_ms: 5 };
        self.store.append(self.account, change, self.now).expect("room");
        self.settle();
    }

    /// Whether the first message is kept compressed.
    fn pressed(&self) -> bool {
        self.store.place(self.key()).is_some_and(|place| place.bytes.as_sent().is_none())
    }

    /// How many messages are shown.
    fn all_shown(&self) -> usize {
        let mailbox = self.store.mailbox(self.account, self.inbox).expect("there");
        let keys = (0..mailbox.len()).map(|place| mailbox.message(place).key());
        keys.filter(|key| self.store.body(*key).is_some_and(|body| self.store.bytes(body.bytes).is_some()))
            .count()
    }

    fn size(&self, file: FileId) -> u64 {
        self.disk.sizes().into_iter().find(|(known, _)| *known == file).expect("there").1
    }

    fn byte(&mut self, file: FileId, at: u64) -> u8 {
        let mut byte = [0];
        assert_eq!(self.disk.read(file, at, &mut byte), Ok(1));
        byte[0]
    }

    fn whats(&mut self) -> Vec<What> {
        std::iter::from_fn(|| self.store.take_rot()).map(|rot| rot.what).collect()
    }

    fn settle(&mut self) {
        for _ in 0..50 {
            self.now.mono_ms += 100;
            self.store.tick(self.now);
            while let Some((id, request)) = self.store.poll_io() {
                let progress = self.store.complete(id, self.disk.perform(&request));
                assert_eq!(progress.fatal, None);
            }
        }
    }

    fn round(&mut self) {
        self.store.scrub_now();
        self.settle();
    }

    fn key(&self) -> BodyKey {
        self.store.mailbox(self.account, self.inbox).expect("there").message(0).key()
    }

    fn shown(&self) -> Option<Bytes> {
        self.store.body(self.key()).and_then(|body| self.store.bytes(body.bytes))
    }

    /// Flips a bit so many bytes into the summary and octets.
    fn flip(&mut self, at: u64) {
        let place = self.store.place(self.key()).expect("somewhere").summary;
        self.disk.rot(place.file, place.offset + at, 3);
    }

    fn found(&mut self) -> Record {
        let found = self.whats();
        let [What::Body(record)] = found[..] else { panic!("one rotten body: {found:?}") };
        assert_eq!(record.position, self.key().id);
        record
    }
}

#[test]
fn a_rotten_summary_is_put_back_as_the_sum_proves_and_nothing_else_is_taken_for_it() {
    let mut lab = Lab::new();
    lab.round();
    assert!(lab.store.take_rot().is_none() && lab.shown().is_some());
    lab.flip(2);
    lab.round();
    let record = lab.found();
    assert_eq!(lab.shown(), None, "hidden");
    let suspect = lab.store.suspect(&record).expect("it can be read");
    let octets = lab.store.bytes(suspect.bytes).expect("there");
    assert_eq!(&octets[..], OCTETS);
    assert!(!lab.store.mend(record, Bytes::from_static(b"what was computed of IT"), &octets), "another sum");
    assert!(!lab.store.mend(record, Bytes::from_static(b"short"), &octets), "another length");
    assert!(lab.store.mend(record, Bytes::from_static(SUMMARY), &octets));
    lab.store.tick(lab.now);
    let mends = std::iter::from_fn(|| {
        let (id, request) = lab.store.poll_io()?;
        lab.store.complete(id, lab.disk.perform(&request));
        Some(request)
    });
    let place = suspect.summary;
    let is_mend = |request: &IoRequest| {
        matches!(request, IoRequest::Write { file, offset, durable: true, .. }
            if *file == place.file && *offset == place.offset)
    };
    assert_eq!(mends.take(20).filter(is_mend).count(), 1, "written once, where it was");
    lab.settle();
    assert_eq!(lab.shown().as_deref(), Some(OCTETS), "shown again");
    lab.round();
    assert!(lab.store.take_rot().is_none(), "all is as it was written");
}

#[test]
fn a_rotten_message_stays_hidden_over_a_start_until_its_bytes_are_back() {
    let mut lab = Lab::new();
    lab.flip(SUMMARY.len() as u64 + 5);
    lab.round();
    let record = lab.found();
    let octets = lab.store.suspect(&record).and_then(|place| lab.store.bytes(place.bytes)).expect("there");
    assert!(!lab.store.mend(record, Bytes::from_static(SUMMARY), &octets), "it is not the summary");
    lab.round();
    assert_eq!(lab.found().position, record.position, "told once a round");
    lab.flip(SUMMARY.len() as u64 + 5);
    lab.store = open(&mut lab.disk);
    assert_eq!(lab.shown(), None, "known without a look");
    lab.round();
    assert_eq!(lab.shown().as_deref(), Some(OCTETS), "and known to be good by one");
}

#[test]
fn what_cannot_be_read_at_all_is_hidden_and_no_reason_to_stop() {
    let mut lab = Lab::new();
    lab.now.mono_ms += 100;
    lab.store.scrub_now();
    for _ in 0..200 {
        lab.now.mono_ms += 100;
        lab.store.tick(lab.now);
        while let Some((id, request)) = lab.store.poll_io() {
            lab.disk.faults.eio_one_in = u64::from(matches!(request, IoRequest::Read { .. }));
            lab.disk.start(&request);
            let result = lab.disk.finish(&request);
            lab.disk.faults.eio_one_in = 0;
            assert_eq!(lab.store.complete(id, result).fatal, None);
        }
    }
    assert_eq!(lab.shown(), None);
    while lab.store.take_rot().is_some() {}
    lab.round();
    assert_eq!(lab.shown().as_deref(), Some(OCTETS), "it was the way to it that was broken");
}

#[test]
fn a_rotten_message_of_a_pack_is_hidden_and_no_other() {
    for presses in [false, true] {
        let (mut lab, pack) = Lab::packed(20, presses);
        lab.round();
        let all = lab.all_shown();
        assert!(lab.whats().is_empty() && all > 20, "{presses}");
        // The octets; of a compressed one the list of its blocks, and a block.
        for at in [1, 6, 30].map(|at| SUMMARY.len() as u64 + at) {
            lab.flip(at);
            lab.round();
            let record = lab.found();
            assert_eq!((lab.shown(), lab.all_shown()), (None, all - 1), "{presses} {at}");
            assert_eq!(
                lab.store.suspect(&record).is_some(),
                !presses,
                "nothing is made anew of compressed octets"
            );
            lab.flip(at);
            lab.round();
            assert_eq!((lab.whats().len(), lab.shown()), (0, Some(octets(0))));
        }
        assert_eq!(lab.store.place(lab.key()).expect("there").summary.file, pack);
    }
}

#[test]
fn a_rotten_summary_in_a_pack_is_put_back() {
    let (mut lab, _) = Lab::packed(8, false);
    lab.flip(2);
    lab.round();
    let record = lab.found();
    let octets = lab.store.suspect(&record).and_then(|place| lab.store.bytes(place.bytes)).expect("there");
    assert!(lab.store.mend(record, Bytes::from_static(SUMMARY), &octets));
    lab.settle();
    lab.round();
    assert!(lab.whats().is_empty() && lab.shown().is_some());
}

#[test]
fn what_leads_to_records_of_a_pack_is_put_back_from_its_other_place() {
    for presses in [false, true] {
        let (mut lab, pack) = Lab::packed(300, presses);
        lab.round();
        let (all, bytes) = (lab.all_shown(), lab.size(pack));
        let summary = lab.store.place(lab.key()).expect("there").summary.offset;
        // Magic and range of the header, the lead of the first body, the last block of the table, fences, trailer.
        let mut places = vec![3, 40, summary - 40, bytes - 64 - 48 - 9, bytes - 64 - 20, bytes - 30];
        // Both copies of what compressed bodies have in common.
        places.extend(presses.then_some(64 + 24 + 20));
        for at in places {
            let right = lab.byte(pack, at);
            lab.disk.rot(pack, at, 4);
            let mended = lab.store.stats().scrub.mended;
            lab.round();
            let told = lab.whats();
            assert!(matches!(told[..], [What::Leads]), "{presses}: byte {at} of {bytes}: {told:?}");
            assert_eq!(
                (lab.byte(pack, at), lab.all_shown()),
                (right, all),
                "{presses}: byte {at} of {bytes}"
            );
            assert_eq!(lab.store.stats().scrub.mended, mended + 1);
            lab.round();
            assert!(lab.whats().is_empty());
        }
    }
}

#[test]
fn where_table_and_lead_are_rotten_nothing_is_certain_up_to_the_next_fence() {
    let (mut lab, pack) = Lab::packed(300, false);
    let summary = lab.store.place(lab.key()).expect("there").summary.offset;
    let (all, bytes) = (lab.all_shown(), lab.size(pack));
    // The trailer tells where the table begins.
    let table = (0..8).rev().fold(0, |table, byte| table << 8 | u64::from(lab.byte(pack, bytes - 24 + byte)));
    let at = table + 3;
    for place in [at, summary - 40] {
        lab.disk.rot(pack, place, 1);
    }
    lab.round();
    let told = lab.whats();
    assert!(matches!(told[..], [What::Leads, What::Unknown { .. }]), "{told:?}");
    assert_eq!(lab.all_shown(), all - 128);
    for place in [at, summary - 40] {
        lab.disk.rot(pack, place, 1);
    }
    lab.round();
    assert_eq!(lab.all_shown(), all);
}

#[test]
fn what_a_reader_could_not_read_is_hidden_at_once_and_looked_at_next() {
    for (mut lab, file) in [Lab::packed(8, false), Lab::packed(8, true)] {
        lab.round();
        let place = lab.store.place(lab.key()).expect("there");
        let rounds = lab.store.stats().scrub.rounds;
        let Extent { offset, len, .. } = place.bytes.lies_in().expect("it was looked up");
        lab.store.unreadable(Extent { file, offset: offset + 1, len: len.min(3) });
        assert!(lab.shown().is_none() && lab.store.bytes(place.bytes).is_none());
        assert!(lab.store.bytes(place.summary).is_some(), "the rest can be read");
        // The disk gives it again: then nothing was rotten.
        lab.settle();
        assert_eq!(lab.store.stats().scrub.rounds, rounds, "it is no round");
        assert!(lab.shown().is_some() && lab.whats().is_empty());
        // It is rotten indeed: then the log says so.
        lab.flip(SUMMARY.len() as u64 + 1);
        lab.store.unreadable(Extent { file, offset, len: 1 });
        lab.settle();
        assert_eq!(lab.found().position, lab.key().id);
        assert_eq!(lab.store.distrusted().count(), 1);
    }
}
