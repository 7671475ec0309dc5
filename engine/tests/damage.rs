//! A compacted store on a disk that fails: what one bad file costs, when the log alone does not have it all any more.

use bytes::Bytes;
use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, NewBody, Outcome};
use ringpost_engine::compact;
use ringpost_engine::error::Error;
use ringpost_engine::ids::{AccountId, BodyKey, MailboxId, Now, SegmentId, ShardId, Uid};
use ringpost_engine::io::{Disk, FileId, IoError, IoRequest, IoResult};
use ringpost_engine::recovery::{checkpoints, recover_read_only};
use ringpost_engine::store::{Options, RecoveryReport, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;

const INBOX: MailboxId = MailboxId(1);

/// A store with small segments that compacts as soon as it may.
struct Lab {
    disk: FakeDisk,
    store: Store,
    now: Now,
    /// Reads of this file fail.
    unreadable: Option<FileId>,
}

fn options() -> Options {
    Options {
        segment_bytes: 64 * 1024,
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
        ..Options::new(ShardId(0), 77)
    }
}

impl Lab {
    fn new() -> Lab {
        let mut disk = FakeDisk::new(Seed::new(1));
        let (store, _) = Store::open(&mut disk, options(), Now::default()).expect("opens");
        Lab { disk, store, now: Now { unix_ms: 1_700_000_000_000, mono_ms: 1 }, unreadable: None }
    }

    fn try_reopen(&mut self) -> Result<RecoveryReport, Error> {
        self.try_reopen_with(options())
    }

    fn try_reopen_with(&mut self, options: Options) -> Result<RecoveryReport, Error> {
        let (store, report) = Store::open(&mut self.disk, options, self.now)?;
        self.store = store;
        Ok(report)
    }

    fn drive(&mut self) -> Result<Vec<Outcome>, Error> {
        let mut outcomes = Vec::new();
        while let Some((id, request)) = self.store.poll_io() {
            let fails = matches!(&request, IoRequest::Read { file, .. } if self.unreadable == Some(*file));
            let result = match fails {
                true => IoResult::Failed(IoError::Failed("Input/output error (os error 5)".to_owned())),
                false => self.disk.perform(&request),
            };
            let progress = self.store.complete(id, result);
            if let Some(error) = progress.fatal {
                return Err(error);
            }
            outcomes.extend(progress.applied.into_iter().map(|applied| applied.outcome));
        }
        Ok(outcomes)
    }

    fn change(&mut self, account: AccountId, change: Change) -> Outcome {
        self.store.append(account, change, self.now).expect("room");
        self.drive().expect("no fault").pop().expect("it was carried out")
    }

    fn account(&mut self, name: &str) -> AccountId {
        let create = mail::account(&format!("{name}@example.test"));
        match self.change(AccountId(0), create) {
            Outcome::AccountCreated(account) => account,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn deliver(&mut self, account: AccountId, bytes: usize) {
        let octets = Bytes::from(vec![account.0 as u8; bytes]);
        let body = NewBody { parts: vec![octets], summary: Bytes::from_static(b"s") };
        let body = self.store.append_body(account, body, self.now).expect("room");
        let change = Change::Deliver { mailbox: INBOX, body, flags: Flags::default(), internal_ms: 5_000 };
        assert!(matches!(self.change(account, change), Outcome::Delivered { .. }));
    }

    /// Asks for a change that nobody hears of, and where its record begins.
    fn write(&mut self, account: AccountId, change: Change) -> u64 {
        let at = self.store.append(account, change, self.now).expect("room");
        self.drive().expect("no fault");
        at.0
    }

    fn expunge(&mut self, account: AccountId, uids: impl Iterator<Item = u32>) {
        let uids = uids.map(Uid).collect();
        self.change(account, Change::Expunge { mailbox: INBOX, uids, only_deleted: false });
    }

    /// Time passes: what is removed is let go, checkpoints are made, files are compacted.
    fn age(&mut self, account: AccountId) -> Result<(), Error> {
        for round in 0..60 {
            // Something changes, so that there is a checkpoint.
            if round % 10 == 0 {
                let uids = std::iter::once(Uid(1)).collect();
                let flags = Flags { system: FlagBits::SEEN, keywords: vec![] };
                let op = if round % 20 == 0 { FlagOp::Add } else { FlagOp::Remove };
                let change = Change::FlagsStore { mailbox: INBOX, uids, op, flags, unchanged_since: None };
                self.store.append(account, change, self.now).expect("room");
            }
            self.now = Now { unix_ms: self.now.unix_ms + 1_000, mono_ms: self.now.mono_ms + 1_000 };
            self.store.tick(self.now);
            self.drive()?;
        }
        Ok(())
    }

    fn keys(&self, account: AccountId) -> Vec<BodyKey> {
        let inbox = self.store.mailbox(account, INBOX).expect("there");
        (0..inbox.len()).map(|place| inbox.message(place).key()).collect()
    }

    /// How many messages of an account have their octets.
    fn readable(&self, account: AccountId) -> usize {
        let has = |key: &BodyKey| {
            let octets = self.store.body(*key).and_then(|body| self.store.bytes(body.bytes));
            octets.is_some_and(|octets| octets.iter().all(|&octet| octet == account.0 as u8))
        };
        self.keys(account).iter().filter(|key| has(key)).count()
    }

    fn newest(&self, account: AccountId) -> u32 {
        let inbox = self.store.mailbox(account, INBOX).expect("there");
        inbox.message(inbox.len() - 1).uid.0
    }

    /// The segment that a position is in, by the base in its header, and where.
    fn record(&mut self, position: u64) -> (FileId, u64) {
        let mut found = None;
        for file in self.segments() {
            let mut base = [0; 8];
            assert_eq!(self.disk.read(file, 32, &mut base), Ok(8));
            let base = u64::from_le_bytes(base);
            found = if base > 0 && base <= position { Some((file, position - base)) } else { found };
        }
        found.expect("it is there")
    }

    fn remove(&mut self, file: FileId) {
        assert!(matches!(self.disk.perform(&IoRequest::Unlink { file }), IoResult::Done));
    }

    fn packs(&self) -> Vec<(FileId, u64)> {
        self.disk.sizes().into_iter().filter(|(file, _)| matches!(file, FileId::Pack(_))).collect()
    }

    fn segments(&self) -> Vec<FileId> {
        let files = self.disk.sizes().into_iter().map(|(file, _)| file);
        files.filter(|file| matches!(file, FileId::Segment(_))).collect()
    }
}

/// A store of two accounts whose first segments are gone: a pack has what is alive of them.
fn compacted() -> (Lab, AccountId, AccountId) {
    let mut lab = Lab::new();
    let (alice, bob) = (lab.account("alice"), lab.account("bob"));
    for _ in 0..30 {
        lab.deliver(alice, 5_000);
        lab.deliver(bob, 3_000);
    }
    lab.expunge(alice, (2..=30).filter(|uid| uid % 2 == 0));
    lab.age(alice).expect("no fault");
    (lab, alice, bob)
}

#[test]
fn a_pack_that_was_cut_short_is_told_as_damage() {
    let (mut lab, alice, bob) = compacted();
    let (file, bytes) = lab.packs()[0];
    lab.disk.perform(&IoRequest::Trim { file, len: bytes / 2 });
    let report = lab.try_reopen().expect("opens");
    let there = lab.readable(alice) + lab.readable(bob);
    assert!(there == 45 || !report.damage.is_empty(), "{there} of 45 messages are there: {report:?}");
}

#[test]
fn a_pack_that_is_damaged_at_both_ends_is_written_anew_and_not_removed() {
    let (mut lab, alice, bob) = compacted();
    // The first message of the first segment is dead: the pack's first record lies behind it.
    lab.expunge(alice, 1..=1);
    lab.age(alice).expect("no fault");
    let there = lab.readable(alice) + lab.readable(bob);
    for (file, bytes) in lab.packs() {
        lab.disk.rot(file, 30, 3);
        lab.disk.rot(file, bytes - 30, 3);
    }
    let report = lab.try_reopen().expect("opens");
    assert!(report.damage.is_empty() && !report.repaired.is_empty(), "{report:?}");
    lab.age(alice).expect("no fault");
    assert_eq!(lab.readable(alice) + lab.readable(bob), there);
    let report = lab.try_reopen().expect("opens");
    assert!(report.damage.is_empty() && report.repaired.is_empty(), "{report:?}");
    assert_eq!(lab.readable(alice) + lab.readable(bob), there);
}

#[test]
fn a_segment_that_cannot_be_read_stays_and_the_store_goes_on() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    for _ in 0..30 {
        lab.deliver(alice, 5_000);
    }
    lab.expunge(alice, (2..=30).filter(|uid| uid % 2 == 0));
    let unreadable = lab.segments()[0];
    lab.unreadable = Some(unreadable);
    let aged = lab.age(alice);
    assert!(aged.is_ok(), "{aged:?}");
    lab.deliver(alice, 100);
    assert!(lab.segments().contains(&unreadable));
}

#[test]
fn one_rotten_segment_keeps_no_other_from_being_compacted() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    for _ in 0..100 {
        lab.deliver(alice, 5_000);
    }
    lab.expunge(alice, (2..=100).filter(|uid| uid % 2 == 0));
    let before = lab.segments();
    // A record in the middle of the third segment.
    lab.disk.rot(before[2], 30_000, 3);
    lab.age(alice).expect("no fault");
    lab.now.mono_ms += 120_000;
    lab.age(alice).expect("no fault");
    let left: Vec<FileId> = lab.segments().into_iter().filter(|file| before.contains(file)).collect();
    assert!(left.len() <= 4, "{left:?} of {before:?} are left: {:?}", lab.store.stats().compacted);
}

#[test]
fn rows_that_rot_under_both_checkpoints_cost_their_account_and_nobody_else() {
    let (mut lab, alice, bob) = compacted();
    let one = |uid: u32| std::iter::once(Uid(uid)).collect();
    // Bob's rows are in an old file, which both checkpoints need; the log goes on from them.
    lab.change(bob, Change::Expunge { mailbox: INBOX, uids: one(1), only_deleted: false });
    let digest = lab.store.digest();
    let mut quarantined = 0;
    for info in checkpoints(&mut lab.disk).expect("readable") {
        let file = FileId::Checkpoint(u64::from(info.file));
        for at in (40..info.bytes).step_by(7) {
            lab.disk.rot(file, at, 3);
            match lab.try_reopen() {
                Ok(report) if report.damage.is_empty() => {}
                Ok(report) => {
                    quarantined += 1;
                    assert_eq!(report.quarantined, [bob], "{file:?} at {at}: {report:?}");
                    assert_eq!(lab.readable(alice), 15);
                    assert!(lab.store.is_quarantined("bob@example.test"));
                    lab.deliver(alice, 10);
                    lab.expunge(alice, std::iter::once(lab.newest(alice)));
                }
                // Which accounts records are of that cannot be read, nobody knows.
                Err(error) => assert!(!error.to_string().contains("rows"), "{file:?} at {at}: {error}"),
            }
            lab.disk.rot(file, at, 3);
        }
    }
    assert!(quarantined > 0, "some byte is of his rows");
    let report = lab.try_reopen().expect("opens");
    assert!(report.damage.is_empty() && lab.readable(bob) == 29, "{report:?}");
    assert_ne!(lab.store.digest(), digest, "what others did meanwhile is there");
}

#[test]
fn an_account_that_is_deleted_for_its_damaged_rows_keeps_no_start_from_its_end() {
    let (mut lab, alice, bob) = compacted();
    lab.expunge(bob, 1..=1);
    let all = checkpoints(&mut lab.disk).expect("readable");
    let rotten =
        all.iter().flat_map(|info| (40..info.bytes).map(|at| (info.file, at))).find(|&(file, at)| {
            lab.disk.rot(FileId::Checkpoint(u64::from(file)), at, 3);
            let found = lab.try_reopen().is_ok_and(|report| report.quarantined == [bob]);
            if !found {
                lab.disk.rot(FileId::Checkpoint(u64::from(file)), at, 3);
            }
            found
        });
    assert!(rotten.is_some());
    lab.change(bob, Change::AccountDelete);
    let report = lab.try_reopen().expect("opens");
    assert!(report.damage.is_empty() && report.quarantined.is_empty(), "{report:?}");
    // Checkpoints are made again, and then nothing of it is left.
    lab.age(alice).expect("no fault");
    let report = lab.try_reopen().expect("opens");
    assert!(report.refused_checkpoints.is_empty(), "{report:?}");
    assert_eq!((lab.readable(alice), lab.store.account(bob).is_none()), (15, true));
}

#[test]
fn the_past_can_be_looked_at_though_files_that_it_needed_are_gone() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    for _ in 0..30 {
        lab.deliver(alice, 5_000);
    }
    lab.age(alice).expect("no fault");
    let until = lab.store.durable();
    lab.expunge(alice, 2..=30);
    let kept = lab.store.place(lab.keys(alice)[0]).expect("somewhere").summary.file;
    let gone: Vec<FileId> =
        lab.packs().into_iter().map(|(file, _)| file).filter(|file| *file != kept).collect();
    assert!(gone.len() > 2, "nothing goes, so nothing is shown: {gone:?}");
    // As on a full disk: before a checkpoint says that nobody needs them.
    gone.into_iter().for_each(|file| lab.remove(file));
    let past = recover_read_only(&mut lab.disk, Some(ShardId(0)), Some(until)).expect("it was there");
    let past = past.account(alice).expect("there");
    assert_eq!(past.inbox().len(), 30);
}

#[test]
fn a_body_that_only_an_account_in_quarantine_has_shown_is_there_for_whoever_names_it_next() {
    for rotten in 0..2 {
        let mut lab = Lab::new();
        let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| lab.account(name));
        let octets = Bytes::from_static(b"to all three");
        let body = NewBody { parts: vec![octets.clone()], summary: Bytes::from_static(b"s") };
        let body = lab.store.append_body(alice, body, lab.now).expect("room");
        let deliver = Change::Deliver { mailbox: INBOX, body, flags: Flags::default(), internal_ms: 5_000 };
        // Either something of her before it, so that it is refused, or it itself, so that nobody knows of it.
        let password = Change::AccountPassword { password_hash: "another".to_owned() };
        let records = [lab.write(alice, password), lab.write(alice, deliver.clone())];
        lab.write(bob, deliver.clone());
        lab.expunge(bob, 1..=1);
        lab.write(AccountId(0), Change::Reap { until_ms: lab.now.unix_ms });
        assert!(matches!(lab.change(carol, deliver), Outcome::Delivered { .. }), "alice shows it");
        // The log begins at 0, so a position is an offset.
        lab.disk.rot(lab.segments()[0], records[rotten] + 30, 3);
        let report = lab.try_reopen().expect("opens");
        assert_eq!((report.quarantined, report.damage.len()), (vec![alice], 1));
        let shown = lab.keys(carol).first().and_then(|key| lab.store.body(*key));
        let shown = shown.and_then(|place| lab.store.bytes(place.bytes));
        assert_eq!(shown, Some(octets), "nothing of hers is lost");
    }
}

/// A store with files that nobody needs, and where the records say so: of the expunge and of the reaping. A checkpoint
/// comes only if somebody asks for it.
fn emptied() -> (Lab, AccountId, Vec<FileId>, [(FileId, u64); 2]) {
    let mut lab = Lab::new();
    let (alice, bob) = (lab.account("alice"), lab.account("bob"));
    (0..30).for_each(|_| lab.deliver(alice, 5_000));
    lab.deliver(bob, 3_000);
    lab.age(alice).expect("no fault");
    let files = lab.keys(alice).into_iter().map(|key| lab.store.place(key).expect("there").summary.file);
    let mut dead: Vec<FileId> = files.take(20).collect();
    dead.dedup();
    let rarely = Options { checkpoint_log_bytes: 1 << 40, undelete_ms: 1 << 40, ..options() };
    lab.try_reopen_with(rarely).expect("opens");
    let uids = (1..=30).map(Uid).collect();
    let expunge = lab.write(alice, Change::Expunge { mailbox: INBOX, uids, only_deleted: false });
    let reap = lab.write(AccountId(0), Change::Reap { until_ms: lab.now.unix_ms });
    let ends = [expunge, reap].map(|at| lab.record(at));
    // What vouches for both.
    lab.deliver(bob, 100);
    (lab, bob, dead, ends)
}

#[test]
fn a_file_goes_when_no_start_reads_the_end_of_its_messages_again() {
    for nth in 0..2 {
        let (mut lab, bob, dead, ends) = emptied();
        let (file, at) = ends[nth];
        lab.age(bob).expect("no fault");
        let there: Vec<FileId> = lab.disk.sizes().into_iter().map(|(file, _)| file).collect();
        assert!(!dead.iter().any(|file| there.contains(file)), "{dead:?} {there:?}");
        // Unless that is gone itself.
        if there.contains(&file) {
            lab.disk.rot(file, at + 40, 3);
        }
        let report = lab.try_reopen().expect("opens");
        assert_eq!((report.damage.len(), lab.readable(bob)), (0, 2), "{report:?}");
    }
}

#[test]
fn a_start_tells_what_is_in_no_file_when_the_end_of_it_is_lost() {
    for nth in 0..2 {
        let (mut lab, bob, dead, ends) = emptied();
        let (file, at) = ends[nth];
        dead.into_iter().for_each(|file| lab.remove(file));
        lab.disk.rot(file, at + 40, 3);
        let report = lab.try_reopen().expect("opens");
        assert!(report.damage.iter().any(|told| told.to_string().contains("in no file")), "{report:?}");
        assert_eq!(lab.readable(bob), 2);
        lab.deliver(bob, 10);
    }
}

#[test]
fn rot_at_the_end_of_a_segment_is_found_though_the_next_one_is_gone() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    // Blocks that are full, so that nothing is copied.
    for _ in 0..60 {
        lab.deliver(alice, 11_900);
    }
    let place = |lab: &Lab, key: &BodyKey| lab.store.place(*key).expect("somewhere").summary;
    let in_segment = |lab: &Lab, at: u64| {
        let of =
            |(nth, key): (usize, BodyKey)| (place(lab, &key).file.number() == at).then_some(nth as u32 + 1);
        lab.keys(alice).into_iter().enumerate().filter_map(of).collect::<Vec<u32>>()
    };
    let (before, gone) = (in_segment(&lab, 4), in_segment(&lab, 5));
    let last = lab.keys(alice)[before[before.len() - 1] as usize - 1];
    lab.expunge(alice, gone.iter().copied());
    lab.age(alice).expect("no fault");
    let there: Vec<u64> = lab.segments().into_iter().map(FileId::number).collect();
    assert!(there.contains(&4) && !there.contains(&5), "{there:?}");
    let scrub = |lab: &mut Lab| {
        let rounds = lab.store.stats().scrub.rounds;
        while lab.store.stats().scrub.rounds < rounds + 2 {
            lab.store.scrub_now();
            lab.now.mono_ms += 1_000;
            lab.store.tick(lab.now);
            lab.drive().expect("no fault");
        }
        std::iter::from_fn(|| lab.store.take_rot()).count()
    };
    assert_eq!(scrub(&mut lab), 0);
    // The header of its last batch, and that of the batch's first record: nothing of it verifies but the message.
    let batch = place(&lab, &last).offset / 4096 * 4096;
    let flip =
        |lab: &mut Lab| [batch + 16, batch + 84].map(|at| lab.disk.rot(FileId::Segment(SegmentId(4)), at, 3));
    flip(&mut lab);
    assert_ne!(scrub(&mut lab), 0);
    assert_eq!((lab.store.body(last), lab.readable(alice)), (None, 60 - gone.len() - 1));
    flip(&mut lab);
    assert_eq!((scrub(&mut lab), lab.readable(alice)), (0, 60 - gone.len()));
}

#[test]
fn behind_a_gap_a_segment_without_header_stays_by_its_only_batch() {
    let mut lab = Lab::new();
    let alice = lab.account("alice");
    // Of two there is only room for one in a segment.
    (0..8).for_each(|_| lab.deliver(alice, 32_000));
    lab.expunge(alice, (1..=8).filter(|uid| *uid != 4));
    lab.age(alice).expect("no fault");
    let segments = lab.segments();
    let [file, next, ..] = segments[..] else { panic!("{segments:?}") };
    assert!(next.number() > file.number() + 1, "a gap: {segments:?}");
    for offset in [3, 20, 40] {
        lab.disk.rot(file, offset, 2);
    }
    let report = lab.try_reopen().expect("opens");
    assert!(report.damage.is_empty(), "{report:?}");
    assert_eq!(lab.readable(alice), 1);
}
