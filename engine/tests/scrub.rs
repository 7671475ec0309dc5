//! What becomes of one rotten message: hidden, told, and shown again when it is what was written.

use bytes::Bytes;
use ringpost_engine::change::{Change, Flags, NewBody, Services};
use ringpost_engine::ids::{AccountId, BodyKey, MailboxId, Now, ShardId};
use ringpost_engine::io::{Disk, IoRequest};
use ringpost_engine::scrub::{Options as Scrub, Record, What};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
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

impl Lab {
    /// A store with one message in a segment that is complete.
    fn new() -> Lab {
        let mut disk = FakeDisk::new(Seed::new(1));
        let store = open(&mut disk);
        let now = Now { unix_ms: 1_000, mono_ms: 1 };
        let mut lab = Lab { disk, store, now, account: AccountId(0), inbox: MailboxId(0) };
        let create = Change::AccountCreate {
            address: "alice@example.test".to_owned(),
            password_hash: "hash".to_owned(),
            services: Services::ALL,
            mailboxes: Vec::new(),
        };
        lab.store.append(AccountId(0), create, lab.now).expect("room");
        lab.settle();
        lab.account = lab.store.account_by_address("alice@example.test").expect("made");
        lab.inbox = lab.store.account(lab.account).expect("there").inbox().id();
        let body = NewBody { parts: vec![Bytes::from_static(OCTETS)], summary: Bytes::from_static(SUMMARY) };
        let body = lab.store.append_body(lab.account, body, lab.now).expect("room");
        let change = Change::Deliver { mailbox: lab.inbox, body, flags: Flags::default(), internal_ms: 5 };
        lab.store.append(lab.account, change, lab.now).expect("room");
        lab.settle();
        lab.store.seal().expect("room");
        lab.settle();
        lab
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
        let found: Vec<What> = std::iter::from_fn(|| self.store.take_rot()).map(|rot| rot.what).collect();
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
