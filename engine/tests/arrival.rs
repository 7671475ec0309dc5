//! Accounts that go from one log to another: they arrive as they were, or not at all, wherever it is cut short.

use std::collections::BTreeMap;

use bytes::Bytes;
use ringpost_engine::change::{
    Arrival, Change, FlagBits, FlagOp, Flags, ImportedMessage, Inheritance, Moved, NewBody, NewMessage,
    Outcome, QuotaLimits, Refusal, Rights, Services, SpecialUse, UidSet, UniqueIdForm,
};
use ringpost_engine::error::Refused;
use ringpost_engine::ids::{AccountId, BodyId, BodyKey, MailboxId, Now, SegmentId, ShardId, Slot, Uid};
use ringpost_engine::index::moving::Departure;
use ringpost_engine::io::{Disk, FileId};
use ringpost_engine::owners::{Arrived, Claim, Seat};
use ringpost_engine::recovery::{Replayed, recover_read_only, replay_read_only};
use ringpost_engine::store::{Options, Store};
use ringpost_engine::testing::fake_disk::FakeDisk;
use ringpost_engine::testing::mail;
use ringpost_engine::testing::seed::Seed;
use ringpost_engine::verify::verify;

const SEGMENT_BYTES: u64 = 128 * 1024;
const INBOX: MailboxId = MailboxId(1);

/// A shard's store on a disk in memory.
struct Bench {
    disk: FakeDisk,
    store: Option<Store>,
    shard: ShardId,
    now: Now,
    /// Requests left before the power goes.
    left: u64,
}

impl Bench {
    fn new(shard: u16, seed: u64) -> Bench {
        let now = Now { unix_ms: 1_700_000_000_000, mono_ms: 0 };
        let disk = FakeDisk::new(Seed::new(seed));
        let mut bench = Bench { disk, store: None, shard: ShardId(shard), now, left: u64::MAX };
        bench.open();
        bench
    }

    fn open(&mut self) {
        let options = Options {
            segment_bytes: SEGMENT_BYTES,
            checkpoint_log_bytes: 8 * 1024,
            index_memory_bytes_max: 0,
            ..Options::new(self.shard, 77 + u64::from(self.shard.0))
        };
        let (store, report) = Store::open(&mut self.disk, options, self.now).expect("opens");
        assert!(report.damage.is_empty(), "{:?}", report.damage);
        self.store = Some(store);
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("open")
    }

    /// Carries out what is due; false when the power went.
    fn settle(&mut self) -> Option<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        self.now.mono_ms += 10;
        self.now.unix_ms += 1_000;
        let now = self.now;
        let store = self.store.as_mut().expect("open");
        store.tick(now);
        while let Some((id, request)) = store.poll_io() {
            if self.left == 0 {
                self.disk.cut_off(&request);
                self.disk.power_cut();
                self.store = None;
                return None;
            }
            self.left -= 1;
            let progress = store.complete(id, self.disk.perform(&request));
            assert_eq!(progress.fatal, None);
            outcomes.extend(progress.applied.into_iter().map(|applied| applied.outcome));
        }
        Some(outcomes)
    }

    fn change(&mut self, account: AccountId, change: Change) -> Option<Outcome> {
        let now = self.now;
        let what = format!("{change:?}");
        self.store().append(account, change, now).expect("room");
        let outcome = self.settle()?.pop().expect("it was carried out");
        assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}: {what:.200}");
        Some(outcome)
    }

    fn body(&mut self, account: AccountId, octets: &[u8]) -> BodyId {
        let parts = vec![Bytes::copy_from_slice(octets)];
        let body = NewBody { parts, summary: Bytes::from_static(b"summary") };
        let now = self.now;
        self.store().append_body(account, body, now).expect("room")
    }

    fn replayed(&mut self) -> Replayed {
        let shard = Some(self.shard);
        recover_read_only(&mut self.disk, shard, None).expect("it can be read")
    }

    /// index == replay(log), and checkpoint files hold what is said.
    fn verify(&mut self) {
        let store = self.store.as_ref().expect("open");
        let verified = verify(store, &mut self.disk).expect("it can be read");
        assert!(verified.is_sound(), "{verified:?}");
        store.check_images();
    }

    /// Octets and summary of a body.
    fn octets(&mut self, key: BodyKey) -> (Bytes, Bytes) {
        let store = self.store();
        let found = store.body(key).expect("a body has its place");
        let octets = store.bytes(found.bytes.as_sent().expect("as sent")).expect("its octets");
        (octets, store.bytes(found.summary).expect("its summary"))
    }
}

fn uids(list: &[u32]) -> UidSet {
    list.iter().copied().map(Uid).collect()
}

fn flags(system: FlagBits, keywords: &[&str]) -> Flags {
    Flags { system, keywords: keywords.iter().map(|&keyword| keyword.to_owned()).collect() }
}

/// An account with some of everything that an account can have.
fn fill(bench: &mut Bench, address: &str, messages: u32) -> AccountId {
    let mailboxes = vec![("Sent".to_owned(), Some(SpecialUse::Sent)), ("a/b".to_owned(), None)];
    let create = Change::AccountCreate {
        address: address.to_owned(),
        password_hash: "hash".to_owned(),
        services: Services(3),
        mailboxes,
    };
    let Some(Outcome::AccountCreated(id)) = bench.change(AccountId(0), create) else { panic!("no account") };
    for nth in 0..messages {
        let body = bench.body(id, format!("{address} {nth}\r\n").repeat(1 + nth as usize % 40).as_bytes());
        let flags = flags(FlagBits(u64::from(nth % 32)), &["$Forwarded"][..(nth % 2) as usize]);
        bench
            .change(id, Change::Deliver { mailbox: INBOX, body, flags, internal_ms: 9_000 * u64::from(nth) });
    }
    let import = bench.body(id, b"imported\r\n");
    let mailbox = MailboxId(2);
    bench.change(id, Change::MailboxAdopt { mailbox, uid_validity: 77, unique_ids: UniqueIdForm::Dovecot });
    let message = NewMessage { body: import, flags: flags(FlagBits::SEEN, &["k"]), internal_ms: 5_000 };
    let messages = vec![ImportedMessage { uid: Uid(12), message, unique_id: Some("own".to_owned()) }];
    bench.change(id, Change::Import { mailbox, messages, uid_next: Uid(40) });
    bench.change(id, Change::Copy { from: INBOX, to: mailbox, uids: uids(&[1, 2]), expunge: false });
    bench.change(id, Change::Copy { from: INBOX, to: MailboxId(3), uids: uids(&[3, 4]), expunge: true });
    bench.change(id, Change::Expunge { mailbox: INBOX, uids: uids(&[5, 7, 8]), only_deleted: false });
    let (op, set) = (FlagOp::Add, flags(FlagBits::FLAGGED, &["late"]));
    bench.change(
        id,
        Change::FlagsStore { mailbox: INBOX, uids: uids(&[1, 6]), op, flags: set, unchanged_since: None },
    );
    bench.change(id, Change::Subscribe { name: "not/there".to_owned(), on: true });
    let entries = vec![("/private/comment".to_owned(), Some(Bytes::from_static(b"value")))];
    bench.change(id, Change::Metadata { mailbox: Some(INBOX), entries: entries.clone() });
    bench.change(id, Change::Metadata { mailbox: None, entries });
    let rights = Rights::from_bits(3);
    bench.change(id, Change::Acl { mailbox: INBOX, identifier: "other@x".to_owned(), rights });
    bench.change(id, Change::Quota { limits: QuotaLimits { messages: Some(500), ..QuotaLimits::default() } });
    bench.change(id, Change::UrlKey { mailbox: Some(INBOX) });
    bench.change(id, Change::AccountHide { capabilities: vec!["QRESYNC".to_owned()] });
    bench.change(id, Change::RecentSeen { mailbox: INBOX, below: Uid(4) });
    bench.change(id, Change::MailboxCreate { name: "gone".to_owned(), special_use: None });
    bench.change(id, Change::MailboxRename { mailbox: MailboxId(3), to: "c/d/e".to_owned() });
    id
}

/// Everything of an account, in order: pieces of the source with bodies of the target in them.
#[derive(Default)]
struct Mover {
    copied: BTreeMap<BodyId, BodyId>,
    /// Whether a claim shows it in the end, and what that has to name.
    claims: Option<Vec<Arrived>>,
}

impl Mover {
    fn body(&mut self, from: &mut Bench, to: &mut Bench, account: AccountId, key: BodyKey) -> BodyId {
        if let Some(copied) = self.copied.get(&key.id) {
            return *copied;
        }
        let (octets, summary) = from.octets(key);
        let now = to.now;
        let copied = to.store().append_body(account, NewBody { parts: vec![octets], summary }, now);
        let copied = copied.expect("room");
        self.copied.insert(key.id, copied);
        copied
    }

    /// None: the power went.
    fn account(&mut self, from: &mut Bench, to: &mut Bench, id: AccountId) -> Option<()> {
        // Time does not go back from one log to the other.
        to.now.unix_ms = to.now.unix_ms.max(from.now.unix_ms);
        let index = from.replayed().index;
        let mut departure = Departure::new(id);
        while let Some(mut piece) = departure.next(&index) {
            if let Arrival::Messages { messages, .. } = &mut piece {
                for Moved { message, .. } in messages {
                    message.body = self.body(from, to, id, message.key());
                }
            }
            if let (Arrival::Done { mailboxes, messages, bytes }, Some(claims)) = (&piece, &mut self.claims) {
                let (mailboxes, messages, bytes) = (*mailboxes as u32, *messages, *bytes);
                claims.push(Arrived { account: id, mailboxes, messages, bytes });
                continue;
            }
            to.change(id, Change::Arrive(piece))?;
        }
        let removed = index.all_buried().filter(|buried| buried.account == id);
        let mut removed: Vec<_> = removed.collect();
        for buried in &mut removed {
            buried.message.known_as = buried.message.email(from.shard);
            buried.message.body = self.body(from, to, id, buried.message.key());
        }
        to.change(id, Change::Arrive(Arrival::Removed(removed)))?;
        for gone in index.buried_mailboxes().filter(|gone| gone.account == id) {
            to.change(id, Change::Arrive(Arrival::RemovedMailbox(Box::new(gone.clone()))))?;
        }
        Some(())
    }
}

fn octets_of(bench: &mut Bench, id: AccountId) -> Vec<(String, u32, Bytes)> {
    let account = bench.store().account(id).expect("served");
    let mut keys = Vec::new();
    for mailbox in account.mailboxes() {
        let messages = (0..mailbox.len()).map(|place| mailbox.message(place));
        keys.extend(messages.map(|message| (mailbox.name().to_owned(), message.uid.0, message.key())));
    }
    keys.into_iter().map(|(name, uid, key)| (name, uid, bench.octets(key).0)).collect()
}

#[test]
fn an_account_arrives_as_it_was_and_a_body_once() {
    let (mut from, mut to) = (Bench::new(0, 1), Bench::new(1, 2));
    let id = fill(&mut from, "a@x", 300);
    from.change(id, Change::MailboxDelete { mailbox: MailboxId(2) });
    let expected = (octets_of(&mut from, id), from.replayed());
    let bodies = from.store().stats().body_bytes;
    let mut mover = Mover::default();
    mover.account(&mut from, &mut to, id).expect("nothing is cut");
    let found = to.replayed();
    assert_eq!(found.index.fingerprint(id), expected.1.index.fingerprint(id));
    assert!(found.index.fingerprint(id).is_some());
    let removed = |replayed: &Replayed| replayed.index.fingerprints_of_removed();
    assert_eq!((removed(&found), removed(&found).len()), (removed(&expected.1), 1));
    assert_eq!(octets_of(&mut to, id), expected.0);
    assert_eq!(to.store().stats().body_bytes, bodies, "a body is copied once");
    assert_eq!(to.store().account_by_address("a@x"), Some(id));
    assert_eq!(to.store().accounts_sharing_with("other@x").collect::<Vec<_>>(), [id]);
    // It goes on from where it was, and comes back to where it was made.
    let body = to.body(id, b"new\r\n");
    let delivered =
        to.change(id, Change::Deliver { mailbox: INBOX, body, flags: Flags::default(), internal_ms: 0 });
    assert!(matches!(delivered, Some(Outcome::Delivered { uid: Uid(301), .. })), "{delivered:?}");
    from.change(id, Change::AccountDelete);
    let (now, until_ms) = (from.now, from.now.unix_ms);
    from.store().append(AccountId(0), Change::Reap { until_ms }, now).expect("room");
    from.settle().expect("the power stays");
    assert_eq!(from.store().stats().body_bytes, 0);
    let (before, removed_before) = (to.replayed().index.fingerprint(id), removed(&to.replayed()));
    Mover::default().account(&mut to, &mut from, id).expect("nothing is cut");
    assert_eq!(from.replayed().index.fingerprint(id), before);
    assert_eq!(removed(&from.replayed()), removed_before);
    let other = mail::account("b@x");
    let Some(Outcome::AccountCreated(other)) = from.change(AccountId(0), other) else { panic!("no account") };
    assert!(other.0 > id.0, "I12: the id of one that left and came back is not given out");
    for bench in [&mut from, &mut to] {
        bench.verify();
    }
}

#[test]
fn cut_anywhere_it_is_not_seen_and_can_be_dropped_and_sent_again() {
    let mut from = Bench::new(0, 3);
    let id = fill(&mut from, "a@x", 60);
    let expected = from.replayed().index.fingerprint(id);
    let mut finished = 0;
    for cut in 0..80 {
        let mut to = Bench::new(1, 100 + cut);
        to.left = cut;
        let arrived = Mover::default().account(&mut from, &mut to, id).is_some();
        to.left = u64::MAX;
        if to.store.is_none() {
            to.open();
        }
        let seen = to.store().account(id).is_some();
        assert_eq!(seen, to.store().account_by_address("a@x").is_some());
        if seen {
            assert_eq!(to.replayed().index.fingerprint(id), expected, "whole when it is seen");
            finished += u32::from(arrived);
        } else {
            assert_eq!(to.store().accounts_after("").count(), 0);
            assert_eq!(to.store().accounts_sharing_with("other@x").count(), 0);
            let now = to.now;
            to.store().append(id, Change::Arrive(Arrival::Dropped), now).expect("room");
            to.settle().expect("the power stays");
            assert_eq!((to.store().stats().accounts, to.store().stats().messages), (0, 0));
            assert_eq!(to.store().stats().body_bytes, 0, "what came is let go");
            Mover::default().account(&mut from, &mut to, id).expect("nothing is cut");
            assert_eq!(to.replayed().index.fingerprint(id), expected);
        }
        to.verify();
    }
    assert!((1..60).contains(&finished), "{finished}: some were cut, some came through");
}

#[test]
fn behind_damage_an_account_that_was_dropped_before_is_dropped_again_and_nothing_more() {
    let (mut from, mut to) = (Bench::new(0, 5), Bench::new(1, 6));
    let id = fill(&mut from, "a@x", 5);
    let first = Departure::new(id).next(&from.replayed().index).expect("what it is");
    let Some(Outcome::AccountCreated(other)) = to.change(AccountId(0), mail::account("b@x")) else {
        panic!("no account")
    };
    let now = to.now;
    let lost = to.store().append(other, Change::AccountServices { services: Services::ALL }, now);
    let lost = lost.expect("room").0 + 24;
    to.settle().expect("the power stays");
    to.change(id, Change::Arrive(first));
    to.change(id, Change::Arrive(Arrival::Dropped));
    to.store().append(id, Change::Arrive(Arrival::Dropped), now).expect("room");
    assert_eq!(to.settle().expect("the power stays"), [Outcome::Refused(Refusal::NoAccount)]);
    to.disk.rot(FileId::Segment(SegmentId(1)), lost, 0);
    let report = replay_read_only(&mut to.disk, Some(to.shard), None).expect("it can be read").report;
    assert_eq!((report.damage.len(), report.quarantined), (1, vec![other]), "{:?}", report.damage);
}

#[test]
fn a_piece_that_does_not_hold_together_changes_nothing() {
    let (mut from, mut to) = (Bench::new(0, 5), Bench::new(1, 6));
    let id = fill(&mut from, "a@x", 20);
    let index = from.replayed().index;
    let mut departure = Departure::new(id);
    let pieces: Vec<Arrival> = std::iter::from_fn(|| departure.next(&index)).collect();
    let refused = |to: &mut Bench, piece: &Arrival| {
        let (now, before) = (to.now, to.store().digest());
        to.store().append(id, Change::Arrive(piece.clone()), now).expect("room");
        let outcomes = to.settle().expect("the power stays");
        let counts = to.store().stats().messages;
        assert!(matches!(outcomes[..], [Outcome::Refused(_)]), "{outcomes:?}");
        (before, counts)
    };
    refused(&mut to, &pieces[1]);
    refused(&mut to, pieces.last().expect("done"));
    to.change(id, Change::Arrive(pieces[0].clone()));
    refused(&mut to, &pieces[0]);
    refused(&mut to, pieces.last().expect("done"));
    let messages = pieces.iter().find(|piece| matches!(piece, Arrival::Messages { .. })).expect("some");
    refused(&mut to, messages);
    for piece in &pieces[1..] {
        if matches!(piece, Arrival::Mailbox(_)) {
            to.change(id, Change::Arrive(piece.clone()));
            refused(&mut to, piece);
        }
    }
    let (_, count) = refused(&mut to, messages);
    assert_eq!(count, 0, "bodies of another log are not shown");
    refused(&mut to, pieces.last().expect("done"));
    assert!(to.store().account(id).is_none());
    to.change(id, Change::Arrive(Arrival::Dropped));
    let inherit = Inheritance { next_account: 1_000, uid_validity_floor: u32::MAX - 7 };
    to.change(AccountId(0), Change::Inherit(inherit));
    let made = fill(&mut to, "b@x", 9);
    assert_eq!(made, AccountId::new(ShardId(1), 1_000));
    let inbox = to.store().mailbox(made, INBOX).expect("there").uid_validity();
    assert!(inbox > u32::MAX - 7, "I13");
}

fn epoch_of(bench: &mut Bench, slot: Slot) -> Option<(Seat, bool)> {
    let found = bench.store().slots().find(|(known, ..)| *known == slot);
    found.map(|(_, seat, clear)| (seat, clear))
}

/// Moves a slot with one account that is there, to the end or until the power goes at one of the two.
fn move_slot(from: &mut Bench, to: &mut Bench, id: AccountId, slot: Slot, epoch: u32) -> Option<()> {
    let left: Vec<AccountId> = to.store().arriving().collect();
    for id in left {
        to.change(id, Change::AccountLeave)?;
    }
    let mut mover = Mover { claims: Some(Vec::new()), ..Mover::default() };
    mover.account(from, to, id)?;
    let aliases = vec![("alias@x".to_owned(), vec!["a@x".to_owned()])];
    let claim = Claim { slot, epoch, accounts: mover.claims.unwrap_or_default(), aliases };
    assert_eq!(to.store().claim_holds(&claim), Ok(()));
    to.change(AccountId(0), Change::SlotClaim { claim })?;
    leave_slot(from, to.shard, id, slot, epoch)
}

fn leave_slot(from: &mut Bench, to: ShardId, id: AccountId, slot: Slot, epoch: u32) -> Option<()> {
    if epoch_of(from, slot).is_none_or(|(seat, _)| seat.epoch < epoch) {
        from.change(AccountId(0), Change::SlotLeave { slot, epoch, to })?;
    }
    from.store().hold([id]);
    if from.store().account(id).is_some() {
        from.change(id, Change::AccountLeave)?;
    }
    from.store().release([id]);
    from.change(AccountId(0), Change::SlotClear { slot, epoch })?;
    Some(())
}

#[test]
fn a_slot_shows_at_once_and_goes_without_a_trace() {
    let (mut from, mut to) = (Bench::new(0, 7), Bench::new(1, 8));
    let id = fill(&mut from, "a@x", 40);
    let (slot, expected) = (Slot::of("a@x"), from.replayed().index.fingerprint(id));
    let removed = from.replayed().index.fingerprints_of_removed();
    let octets = octets_of(&mut from, id);
    // What is not whole is not claimed, and what is served here does not go.
    let missing = Claim {
        slot,
        epoch: 1,
        accounts: vec![Arrived { account: id, ..Arrived::default() }],
        ..Claim::default()
    };
    assert_eq!(to.store().claim_holds(&missing), Err(Refusal::NoAccount));
    let now = from.now;
    from.store().append(id, Change::AccountLeave, now).expect("room");
    assert_eq!(from.settle().expect("the power stays"), [Outcome::Refused(Refusal::NotFresh)]);
    move_slot(&mut from, &mut to, id, slot, 1).expect("nothing is cut");
    assert_eq!(to.replayed().index.fingerprint(id), expected);
    assert_eq!((octets_of(&mut to, id), to.replayed().index.fingerprints_of_removed()), (octets, removed));
    assert_eq!(to.store().alias("alias@x").map(<[String]>::len), Some(1));
    let stats = from.store().stats();
    assert_eq!((stats.accounts, stats.messages, stats.buried, stats.body_bytes), (0, 0, 0, 0));
    assert_eq!(from.store().buried_mailboxes().count(), 0);
    let seat = Seat { epoch: 1, holder: ShardId(1) };
    assert_eq!(
        (epoch_of(&mut from, slot), epoch_of(&mut to, slot)),
        (Some((seat, true)), Some((seat, true)))
    );
    // An older claim is refused, and the way back has a greater epoch.
    let old = Claim { slot, epoch: 1, ..Claim::default() };
    assert_eq!(to.store().claim_holds(&old), Err(Refusal::NotFresh));
    move_slot(&mut to, &mut from, id, slot, 2).expect("nothing is cut");
    assert_eq!(from.replayed().index.fingerprint(id), expected);
    for bench in [&mut from, &mut to] {
        bench.verify();
        bench.disk.power_cut();
        bench.store = None;
        bench.open();
        let back = Seat { epoch: 2, holder: ShardId(0) };
        assert_eq!(epoch_of(bench, slot), Some((back, true)));
        bench.verify();
    }
}

#[test]
fn a_change_of_an_account_that_is_held_waits_for_nobody() {
    let mut bench = Bench::new(0, 9);
    let id = fill(&mut bench, "a@x", 3);
    let (now, change) = (bench.now, Change::AccountServices { services: Services::ALL });
    bench.store().append(id, change.clone(), now).expect("room");
    bench.store().hold([id]);
    assert!(!bench.store().is_held_still(), "one is queued");
    assert_eq!(bench.store().append(id, change.clone(), now), Err(Refused::Busy));
    bench.settle().expect("the power stays");
    assert!(bench.store().is_held_still());
    bench.store().release([id]);
    bench.change(id, change);
}

/// Wherever the power goes, at either shard: exactly one of them serves the slot by the rule of epochs, with
/// all that it
/// had, and the other's copy can be removed.
#[test]
fn cut_anywhere_a_slot_has_one_owner_and_is_whole() {
    let mut met = [0; 3];
    for (which, cut) in (0..2).flat_map(|which| (0..110).map(move |cut| (which, cut))) {
        let (mut from, mut to) = (Bench::new(0, 300 + cut), Bench::new(1, 600 + cut));
        let id = fill(&mut from, "a@x", 12);
        let (slot, expected) = (Slot::of("a@x"), from.replayed().index.fingerprint(id));
        *[&mut from.left, &mut to.left][which] = cut;
        let moved = move_slot(&mut from, &mut to, id, slot, 1);
        for bench in [&mut from, &mut to] {
            bench.left = u64::MAX;
            if bench.store.is_none() {
                bench.open();
            }
        }
        let known = [epoch_of(&mut from, slot), epoch_of(&mut to, slot)];
        let seat = known.into_iter().flatten().map(|(seat, _)| seat).max();
        let moved_to = seat.map_or(ShardId(0), |seat| seat.holder);
        if moved_to == ShardId(1) {
            assert_eq!(to.replayed().index.fingerprint(id), expected, "{which} {cut}");
            leave_slot(&mut from, ShardId(1), id, slot, 1).expect("nothing is cut");
        } else {
            assert_eq!(from.replayed().index.fingerprint(id), expected, "{which} {cut}");
            assert_eq!(to.store().accounts_after("").count(), 0, "{which} {cut}: nobody sees half of it");
            move_slot(&mut from, &mut to, id, slot, 1).expect("nothing is cut");
        }
        assert_eq!(to.replayed().index.fingerprint(id), expected, "{which} {cut}");
        assert_eq!((from.store().stats().accounts, from.store().stats().body_bytes), (0, 0));
        from.verify();
        to.verify();
        met[if moved.is_some() { 2 } else { usize::from(moved_to.0) }] += 1;
    }
    assert!(met.iter().all(|times| *times > 0), "{met:?}: before the claim, after it, to the end");
}
