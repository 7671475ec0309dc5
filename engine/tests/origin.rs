//! Who asked for a change, and who only read: what the log has of it.

use ringpost_engine::change::{Change, UidSet};
use ringpost_engine::codec;
use ringpost_engine::ids::{AccountId, Lsn, MailboxId, Now, ShardId, Uid};
use ringpost_engine::io::Disk;
use ringpost_engine::limits::{READINGS_HELD_MAX, READINGS_HOLD_MS};
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor, scan};
use ringpost_engine::origin::{Origin, Reading, SessionInfo, is_of_session};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;

const INBOX: MailboxId = MailboxId(1);

/// Changes as they stand in the log: where, by which session, what, bytes of the record.
#[derive(Default)]
struct Log(Vec<(Lsn, u32, Change, u32)>);

impl Visitor for Log {
    fn segment(&mut self, _segment: &SegmentInfo) {}
    fn batch(&mut self, _batch: &BatchInfo) {}
    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        if !matches!(record.meta.kind, KIND_BODY | KIND_WITNESS) {
            let (change, _) = codec::decode(record.meta.kind, payload).expect("whole");
            self.0.push((record.lsn, record.meta.session, change, 24 + record.meta.len));
        }
    }
    fn damage(&mut self, damage: &Damage) {
        panic!("{damage:?}");
    }
}

impl Log {
    fn read(disk: &mut FakeDisk) -> Log {
        let mut log = Log::default();
        scan(disk, None, &mut log).expect("readable");
        log
    }

    /// The user of the session that asked for the change at this place.
    fn user(&self, place: usize) -> Option<&str> {
        let (at, session, ..) = &self.0[place];
        self.0[..place].iter().rev().find_map(|(record, _, change, _)| match change {
            Change::Session { about } if is_of_session(*at, *session, *record) => Some(about.user.as_str()),
            _ => None,
        })
    }
}

fn open(disk: &mut FakeDisk) -> Store {
    let options = Options { segment_bytes: 128 * 1024, ..Options::new(ShardId(0), 7) };
    Store::open(disk, options, Now::default()).expect("opens").0
}

fn drive(store: &mut Store, disk: &mut FakeDisk) -> usize {
    let mut applied = 0;
    while let Some((id, request)) = store.poll_io() {
        applied += store.complete(id, disk.perform(&request)).applied.len();
    }
    applied
}

fn about(user: &str) -> SessionInfo {
    SessionInfo {
        service: "imap".to_owned(),
        connection: 7,
        tls: true,
        peer: "192.0.2.7".to_owned(),
        user: user.to_owned(),
        client: "Thunderbird 128".to_owned(),
        opened_ms: 5,
    }
}

fn with_account(disk: &mut FakeDisk) -> (Store, AccountId) {
    let mut store = open(disk);
    let create = mail::account("a@x");
    store.append(AccountId(0), create, Now::default()).expect("room");
    drive(&mut store, disk);
    (store, AccountId::new(ShardId(0), 1))
}

fn subscribe(name: &str) -> Change {
    Change::Subscribe { name: name.to_owned(), on: true }
}

fn reading(account: AccountId, uid: u32) -> Reading {
    let uids: UidSet = std::iter::once(Uid(uid)).collect();
    Reading { by: Origin::NONE, about: about("reader@x"), of: account, mailbox: INBOX, uids }
}

#[test]
fn changes_lead_to_their_sessions_and_cost_no_byte_more_for_it() {
    let mut disk = FakeDisk::new(Seed::new(1));
    let (mut store, account) = with_account(&mut disk);
    let now = Now::default();
    let mut users = vec![None];
    for round in 0..3 {
        let (one, two) = (format!("one{round}@x"), format!("two{round}@x"));
        let first = store.introduce(about(&one), now).expect("room");
        let second = store.introduce(about(&two), now).expect("room");
        assert!(store.knows(first) && store.knows(second) && !store.knows(Origin::NONE));
        for (by, user) in
            [(first, Some(&one)), (Origin::NONE, None), (second, Some(&two)), (first, Some(&one))]
        {
            store.append_by(by, account, subscribe("name"), now).expect("room");
            users.push(user.cloned());
        }
        assert_eq!(drive(&mut store, &mut disk), 4, "what is told of sessions is nobody's change");
        // No session outlives its process; its number means nothing to the next.
        store = open(&mut disk);
    }
    let log = Log::read(&mut disk);
    let changes = (0..log.0.len()).filter(|&place| !matches!(log.0[place].2, Change::Session { .. }));
    let told: Vec<Option<String>> = changes.clone().map(|place| log.user(place).map(str::to_owned)).collect();
    assert_eq!(told, users);
    let own = changes.filter(|&place| matches!(log.0[place].2, Change::Subscribe { .. }));
    let mut bytes: Vec<u32> = own.map(|place| log.0[place].3).collect();
    bytes.dedup();
    assert_eq!(bytes.len(), 1, "with a session or without: {bytes:?}");
    let session = log.0.iter().find(|(_, _, change, _)| matches!(change, Change::Session { .. }));
    assert_eq!(session.expect("there").3, 107, "once a session");
}

#[test]
fn readings_ride_with_the_next_change_and_wait_only_so_long() {
    let mut disk = FakeDisk::new(Seed::new(2));
    let (mut store, account) = with_account(&mut disk);
    let at = |mono_ms| Now { unix_ms: 0, mono_ms };
    store.tick(at(50_000));
    drive(&mut store, &mut disk);
    let batches = store.stats().batches;
    for uid in 1..10 {
        store.note_reading(reading(account, uid), at(50_000));
    }
    store.tick(at(50_000 + READINGS_HOLD_MS - 1));
    drive(&mut store, &mut disk);
    assert_eq!(store.stats().batches, batches, "reading writes nothing by itself");
    store.append(account, subscribe("x"), at(50_000 + READINGS_HOLD_MS - 1)).expect("room");
    drive(&mut store, &mut disk);
    assert_eq!(store.stats().batches, batches + 1, "and rides with what is written anyway");
    store.note_reading(reading(account, 10), at(60_000));
    store.tick(at(60_000 + READINGS_HOLD_MS));
    drive(&mut store, &mut disk);
    for uid in 0..READINGS_HELD_MAX as u32 {
        store.note_reading(reading(account, 100 + uid), at(70_000));
    }
    drive(&mut store, &mut disk);
    assert_eq!(store.stats().readings_lost, 0);

    let highest = store.account(account).expect("there").highest_modseq();
    let log = Log::read(&mut disk);
    let read = (0..log.0.len()).filter(|&place| matches!(log.0[place].2, Change::Read { .. }));
    assert_eq!(read.clone().count(), 10 + READINGS_HELD_MAX);
    assert!(read.clone().all(|place| log.user(place) == Some("reader@x")));
    let subscribed = log.0.iter().position(|(.., change, _)| matches!(change, Change::Subscribe { .. }));
    assert_eq!(
        read.filter(|place| Some(*place) < subscribed).count(),
        9,
        "before the change, as they happened"
    );
    let store = open(&mut disk);
    assert_eq!(store.account(account).expect("there").highest_modseq(), highest, "nobody's view changes");
}
