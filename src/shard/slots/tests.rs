//! Slots that move between shards on disks in memory, cut wherever a request can be the last.

use std::sync::Mutex;

use bytes::Bytes;
use ringpost_engine::ids::{AccountId, ShardId, Slot};
use ringpost_engine::owners::{Owners, Seat};
use ringpost_engine::recovery::recover_read_only;

use crate::admin::Shards;
use crate::admin::slots::mover::move_slot;
use crate::shard::admin::slot::{SlotReply, SlotStep};
use crate::shard::admin::{AdminReply, AdminRequest};
use crate::shard::event::{CONTROL, CloseReason, ConnId, Event, Message, Ticket};
use crate::shard::tests::Lab;

/// Ticks in which a shard may owe an answer.
const PATIENCE_TICKS: u32 = 400;

/// A lab as a control thread reaches it.
struct Reached {
    lab: Mutex<Lab>,
    owners: Mutex<Owners>,
    order: Mutex<()>,
}

impl Shards for Reached {
    fn count(&self) -> u16 {
        2
    }

    fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
        let mut lab = self.lab.lock().expect("one thread");
        let message = Message::Admin { ticket: Ticket(1), request };
        lab.event(usize::from(to.0), Event::Peer { from: CONTROL, message });
        lab.run();
        for _ in 0..PATIENCE_TICKS {
            if let Some(reply) = lab.replies.pop() {
                return Ok(reply);
            }
            if lab.power == 0 {
                break;
            }
            lab.pass_time(100);
        }
        Err("nobody answers".to_owned())
    }

    fn owner(&self, slot: Slot) -> ShardId {
        self.owners.lock().expect("one thread").owner(slot)
    }

    fn learn(&self, seats: &[(Slot, Seat)]) {
        let mut owners = self.owners.lock().expect("one thread");
        for (slot, seat) in seats {
            owners.learn(*slot, *seat);
        }
    }

    fn order(&self) -> &Mutex<()> {
        &self.order
    }
}

/// Two shards, and an address of the first with some messages and an alias of the same slot.
fn sample() -> (Reached, String, AccountId) {
    let mut lab = Lab::new(2);
    let address = lab.address_at(0, "x");
    lab.add_account(&address);
    let sender = lab.connect(1, 1);
    for _ in 0..3 {
        assert!(lab.tell(sender, &format!("deliver {address}\n")).contains("Stored"));
    }
    let slot = Slot::of(&address);
    let alias = (0..).map(|nth| format!("alias{nth}@x")).find(|name| Slot::of(name) == slot).expect("one");
    let request = AdminRequest::AliasSet { address: alias, targets: vec![address.clone()] };
    let message = Message::Admin { ticket: Ticket(1), request };
    lab.event(0, Event::Peer { from: CONTROL, message });
    lab.run();
    assert!(matches!(lab.replies.pop(), Some(AdminReply::Done)));
    // One of the same slot that is deleted, and can be had back.
    let gone = (0..).map(|nth| format!("gone{nth}@x")).find(|name| Slot::of(name) == slot).expect("one");
    lab.add_account(&gone);
    assert!(lab.tell(sender, &format!("deliver {gone}\n")).contains("Stored"));
    let message =
        Message::Admin { ticket: Ticket(1), request: AdminRequest::AccountDelete { address: gone } };
    lab.event(0, Event::Peer { from: CONTROL, message });
    lab.run();
    assert!(matches!(lab.replies.pop(), Some(AdminReply::Done)));
    let id = lab.shards[0].0.store().account_by_address(&address).expect("it is there");
    let owners = Mutex::new(Owners::new(2));
    (Reached { lab: Mutex::new(lab), owners, order: Mutex::new(()) }, address, id)
}

impl Reached {
    fn fingerprint(&self, shard: u16, id: AccountId) -> (Option<u64>, Vec<u64>) {
        let disk = &mut self.lab.lock().expect("one thread").shards[usize::from(shard)].1;
        let replayed = recover_read_only(disk, Some(ShardId(shard)), None).expect("it can be read");
        let removed = replayed.index.fingerprints_of_removed().into_values().collect();
        (replayed.index.fingerprint(id), removed)
    }

    fn with<T>(&self, what: impl FnOnce(&mut Lab) -> T) -> T {
        what(&mut self.lab.lock().expect("one thread"))
    }

    /// Who serves a slot, by the table of each shard.
    fn owner_now(&self, slot: Slot) -> ShardId {
        let tables: Vec<ShardId> = (0..2)
            .map(|shard| {
                let reply = self.request(ShardId(shard), AdminRequest::Slot(SlotStep::Table));
                let Ok(AdminReply::Slot(SlotReply::Table(seats))) = reply else { panic!("{reply:?}") };
                let mut owners = Owners::new(2);
                for (slot, seat) in seats {
                    owners.learn(slot, seat);
                }
                owners.owner(slot)
            })
            .collect();
        assert_eq!(tables[0], tables[1], "all shards know the same");
        tables[0]
    }

    /// Nothing of anybody is left on a shard.
    fn is_bare(&self, shard: usize) -> bool {
        self.with(|lab| {
            let store = lab.shards[shard].0.store();
            let stats = store.stats();
            let sums = (stats.accounts, stats.messages, stats.body_bytes, stats.buried);
            sums == (0, 0, 0, 0) && store.aliases_after("").count() == 0 && store.arriving().count() == 0
        })
    }

    fn pass_seconds(&self, seconds: u64) {
        (0..seconds * 10).for_each(|_| self.with(|lab| lab.pass_time(100)));
    }
}

#[test]
fn a_slot_moves_with_its_accounts_aliases_and_those_who_use_it() {
    let (reached, address, id) = sample();
    let slot = Slot::of(&address);
    let before = reached.fingerprint(0, id);
    assert!(before.0.is_some() && before.1.len() == 1);
    let watcher = reached.with(|lab| {
        let watcher = lab.connect(7, 0);
        assert_eq!(lab.tell(watcher, &format!("watch {address}\n")), "watching\n|");
        watcher
    });
    let moved = move_slot(&reached, slot, ShardId(1), &mut |_| Ok(())).expect("it moves");
    assert_eq!((moved.accounts, moved.messages), (1, 4));
    assert_eq!((reached.fingerprint(1, id), reached.owner_now(slot)), (before, ShardId(1)));
    assert_eq!(reached.owner(slot), ShardId(1), "the control thread has learnt it");
    reached.pass_seconds(2);
    assert!(reached.is_bare(0), "nothing is left where it was");
    reached.with(|lab| {
        assert_eq!(lab.closed[&watcher], CloseReason::Session, "its session was asked to go");
        let sender = lab.connect(8, 0);
        assert!(lab.tell(sender, &format!("deliver {address}\n")).contains("Stored"));
        assert!(lab.tell(sender, &format!("ask {address}\n")).contains("Accepted"));
        assert!(lab.tell(sender, &format!("login {address}\n")).contains("true"));
        assert!(lab.tell(sender, &format!("go {address}\n")).contains("Arrived"));
        assert_eq!(lab.at[&sender], 1, "a session goes where the account is");
    });
    let now = reached.fingerprint(1, id);
    move_slot(&reached, slot, ShardId(0), &mut |_| Ok(())).expect("and back");
    assert_eq!((reached.fingerprint(0, id), reached.owner_now(slot)), (now.clone(), ShardId(0)));
    reached.with(Lab::restart);
    assert_eq!((reached.fingerprint(0, id), reached.owner_now(slot)), (now, ShardId(0)));
}

#[test]
fn who_comes_while_it_changes_hands_waits_and_finds_it() {
    let (reached, address, id) = sample();
    let slot = Slot::of(&address);
    let (sender, visitor, watcher) = reached.with(|lab| {
        let watcher = lab.connect(13, 0);
        lab.tell(watcher, &format!("watch {address}\n"));
        (lab.connect(11, 1), lab.connect(12, 0), watcher)
    });
    let mut calls = 0;
    let mut during = |_: &_| {
        calls += 1;
        reached.with(|lab| {
            let still = lab.shards[0].0.is_still(&address);
            if still && !lab.heard.contains_key(&ConnId(99)) {
                lab.heard.insert(ConnId(99), "once".to_owned());
                assert_eq!(lab.tell(sender, &format!("deliver {address}\n")), "", "it waits");
                assert_eq!(lab.tell(visitor, &format!("go {address}\n")), "", "so does a login");
                assert_eq!(lab.tell(watcher, "say anything\n"), "", "and a command");
            }
        });
        Ok(())
    };
    move_slot(&reached, slot, ShardId(1), &mut during).expect("it moves");
    assert!(calls > 0);
    reached.with(|lab| {
        assert_eq!(lab.heard.remove(&ConnId(99)).as_deref(), Some("once"), "it was still at some moment");
        assert!(lab.heard[&sender].contains("Stored"), "{:?}", lab.heard);
        assert!(lab.heard[&visitor].contains("Arrived") && lab.at[&visitor] == 1, "{:?}", lab.heard);
        let store = lab.shards[1].0.store();
        assert_eq!(store.account(id).expect("it came").inbox().len(), 4, "once, and where it is now");
    });
}

#[test]
fn a_slot_that_nobody_asks_of_any_more_opens_by_itself() {
    let (reached, address, id) = sample();
    let slot = Slot::of(&address);
    let step = |step| reached.request(ShardId(0), AdminRequest::Slot(step));
    let closed = step(SlotStep::Close { slot, to: ShardId(1) });
    assert!(matches!(closed, Ok(AdminReply::Slot(SlotReply::Closed { .. }))), "{closed:?}");
    assert!(matches!(step(SlotStep::Close { slot, to: ShardId(1) }), Ok(AdminReply::Refused(_))));
    assert!(matches!(step(SlotStep::Hold { accounts: vec![id] }), Ok(AdminReply::Done)));
    let sender = reached.with(|lab| {
        let sender = lab.connect(5, 0);
        assert_eq!(lab.tell(sender, &format!("deliver {address}\n")), "");
        sender
    });
    reached.pass_seconds(crate::limits::SLOT_CLOSED_MS / 1_000 + 1);
    reached.with(|lab| assert!(lab.heard[&sender].contains("Stored"), "{:?}", lab.heard));
    let claim = ringpost_engine::owners::Claim { slot, epoch: 1, ..Default::default() };
    assert!(matches!(step(SlotStep::Hand(Box::new(claim))), Ok(AdminReply::Refused(_))), "too late");
    assert_eq!(reached.owner_now(slot), ShardId(0));
}

#[test]
fn cut_at_any_request_the_slot_is_whole_on_one_shard() {
    let (mut before, mut behind, mut through) = (0, 0, 0);
    for cut in 0..220 {
        let (reached, address, id) = sample();
        let slot = Slot::of(&address);
        let expected = reached.fingerprint(0, id);
        reached.with(|lab| lab.power = cut);
        let moved = move_slot(&reached, slot, ShardId(1), &mut |_| Ok(())).is_ok();
        reached.with(Lab::restart);
        reached.pass_seconds(3);
        let owner = reached.owner_now(slot);
        assert_eq!(reached.fingerprint(owner.0, id), expected, "cut {cut}");
        assert!(!moved || owner == ShardId(1), "cut {cut}: what was told stands");
        let other = usize::from(1 - owner.0);
        assert!(reached.is_bare(other), "cut {cut}: nothing is doubled");
        reached.with(|lab| {
            let sender = lab.connect(50, other);
            assert!(lab.tell(sender, &format!("deliver {address}\n")).contains("Stored"), "cut {cut}");
            assert!(lab.tell(sender, &format!("go {address}\n")).contains("Arrived"), "cut {cut}");
            assert_eq!(lab.at[&sender], usize::from(owner.0), "cut {cut}");
        });
        *[&mut before, &mut behind, &mut through][usize::from(owner.0) + usize::from(moved)] += 1;
        if owner == ShardId(0) {
            reached.learn(&[]);
            move_slot(&reached, slot, ShardId(1), &mut |_| Ok(())).expect("the next try brings it over");
            assert_eq!(reached.owner_now(slot), ShardId(1), "cut {cut}");
        }
    }
    assert!(before > 0 && behind > 0 && through > 0, "{before} before, {behind} behind, {through} through");
}

/// A body of more than one delivery is not needed for it: octets arrive as they were.
#[test]
fn octets_arrive_as_they_were() {
    let (reached, address, id) = sample();
    let octets = |reached: &Reached, shard: usize| -> Vec<Bytes> {
        reached.with(|lab| {
            let store = lab.shards[shard].0.store();
            let inbox = store.account(id).expect("served").inbox();
            let keys: Vec<_> = (0..inbox.len()).map(|place| inbox.message(place).key()).collect();
            let body = |key| store.bytes(store.body(key).expect("a place").bytes).expect("octets");
            keys.into_iter().map(body).collect()
        })
    };
    let before = octets(&reached, 0);
    move_slot(&reached, Slot::of(&address), ShardId(1), &mut |_| Ok(())).expect("it moves");
    assert_eq!((octets(&reached, 1), before.len()), (before, 3));
}
