//! The server's answer.
//!
//! *Owns*: the sums of shards and slots. *Promises*: one table of 4,096 sums, and a page of accounts at a time;
//! the slots of the answer are all slots, each once. *Assumes*: `Shards::owner` is who serves a slot now.
//! *Never*: looks at a mailbox.

use ringpost_engine::ids::{SLOTS, ShardId, Slot};

use crate::admin::route::{Answer, PAGE_ROWS, Shards, Sink, unexpected};
use crate::admin::wire::{Line, SlotRun};
use crate::shard::admin::{AdminReply, AdminRequest, Figures};

/// What lies in a slot.
#[derive(Clone, Copy, Default)]
pub struct Sum {
    /// Accounts.
    pub accounts: u64,
    /// Messages in their mailboxes.
    pub messages: u64,
    /// Octets of these.
    pub bytes: u64,
}

/// Lists every shard with its slots; with `each` the slots that hold an account, with `slot` that one.
pub fn answer(shards: &dyn Shards, each: bool, slot: Option<u16>, sink: &mut Sink<'_>) -> Answer {
    if slot.is_some_and(|slot| slot >= SLOTS) {
        return Ok(Err(format!("slots are numbered 0 to {}", SLOTS - 1)));
    }
    if each || slot.is_some() {
        return count(shards, slot, sink);
    }
    for shard in (0..shards.count()).map(ShardId) {
        let figures = match shards.request(shard, AdminRequest::Status) {
            Ok(AdminReply::Status(figures)) => figures,
            Ok(other) => return Ok(Err(unexpected(other))),
            Err(why) => return Ok(Err(why)),
        };
        let own = (0..SLOTS).filter(|slot| shards.owner(Slot(*slot)) == shard);
        let slots = own.clone().count() as u16;
        let figure = |name| figure(&figures, name);
        sink(Line::Slots {
            shard: shard.0,
            slots,
            runs: runs(own),
            accounts: figure("accounts"),
            messages: figure("messages"),
            bytes: figure("body_bytes"),
        })?;
    }
    Ok(Ok(()))
}

fn figure(figures: &Figures, name: &str) -> u64 {
    figures.iter().find(|(known, _)| *known == name).map_or(0, |(_, value)| *value)
}

fn count(shards: &dyn Shards, only: Option<u16>, sink: &mut Sink<'_>) -> Answer {
    let sums = match sums(shards, only) {
        Ok(sums) => sums,
        Err(why) => return Ok(Err(why)),
    };
    for (slot, sum) in (0..SLOTS).zip(&sums) {
        let wanted = only.map_or(sum.accounts > 0, |only| only == slot);
        if wanted {
            let Sum { accounts, messages, bytes } = *sum;
            sink(Line::Slot { slot, shard: shards.owner(Slot(slot)).0, accounts, messages, bytes })?;
        }
    }
    Ok(Ok(()))
}

/// Sums of all slots, or of those of one slot's shard.
pub fn sums(shards: &dyn Shards, only: Option<u16>) -> Result<Vec<Sum>, String> {
    let mut sums = vec![Sum::default(); usize::from(SLOTS)];
    let asked = |shard: &ShardId| only.is_none_or(|only| shards.owner(Slot(only)) == *shard);
    for shard in (0..shards.count()).map(ShardId).filter(asked) {
        add_shard(shards, shard, &mut sums)?;
    }
    Ok(sums)
}

fn add_shard(shards: &dyn Shards, shard: ShardId, sums: &mut [Sum]) -> Result<(), String> {
    let mut after = String::new();
    loop {
        let page = AdminRequest::AccountList { after, limit: PAGE_ROWS };
        let rows = match shards.request(shard, page)? {
            AdminReply::Accounts(rows) => rows,
            other => return Err(unexpected(other)),
        };
        for row in &rows {
            let sum = &mut sums[usize::from(Slot::of(&row.address).0)];
            sum.accounts += 1;
            sum.messages += row.messages;
            sum.bytes += row.bytes;
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE_ROWS => after = last.address.clone(),
            _ => return Ok(()),
        }
    }
}

/// Ascending slots as runs of one step each, the longest first found from the front.
fn runs(slots: impl Iterator<Item = u16>) -> Vec<SlotRun> {
    let mut runs: Vec<SlotRun> = Vec::new();
    for slot in slots {
        match runs.last_mut() {
            Some(run) if run.first == run.last => (run.last, run.step) = (slot, slot - run.first),
            Some(run) if slot - run.last == run.step => run.last = slot,
            _ => runs.push(SlotRun { first: slot, last: slot, step: 1 }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::admin::AccountInfo;
    use ringpost_engine::change::Services;

    /// Shard `n` of three has the accounts whose slot it owns.
    struct Fake(Vec<String>);

    impl Shards for Fake {
        fn count(&self) -> u16 {
            3
        }

        fn request(&self, to: ShardId, request: AdminRequest) -> Result<AdminReply, String> {
            let own = || self.0.iter().filter(|address| self.owner(Slot::of(address)) == to);
            Ok(match request {
                AdminRequest::Status => AdminReply::Status(vec![
                    ("accounts", own().count() as u64),
                    ("messages", 7),
                    ("body_bytes", 70),
                ]),
                AdminRequest::AccountList { after, limit } => {
                    let rows = own().filter(|address| **address > after).take(limit);
                    AdminReply::Accounts(rows.map(|address| account(address)).collect())
                }
                other => AdminReply::Refused(format!("{other:?}")),
            })
        }
    }

    fn account(address: &str) -> AccountInfo {
        let address = address.to_owned();
        AccountInfo { address, id: 1, services: Services::ALL, messages: 2, bytes: 20, created_ms: 0 }
    }

    fn lines(shards: &Fake, each: bool, slot: Option<u16>) -> Vec<Line> {
        let mut lines = Vec::new();
        let sink = &mut |line| {
            lines.push(line);
            Ok(())
        };
        let end = answer(shards, each, slot, sink).expect("the sink takes all");
        assert_eq!(end, Ok(()));
        lines
    }

    fn sample() -> Fake {
        let mut addresses: Vec<String> = (0..2 * PAGE_ROWS).map(|n| format!("u{n}@x")).collect();
        addresses.sort_unstable();
        Fake(addresses)
    }

    #[test]
    fn every_slot_has_one_shard() {
        let mut seen = vec![0; usize::from(SLOTS)];
        let mut accounts = 0;
        for line in lines(&sample(), false, None) {
            let Line::Slots { slots, runs, accounts: more, .. } = line else { panic!("{line:?}") };
            let listed: Vec<u16> = runs.iter().flat_map(SlotRun::slots).collect();
            assert_eq!((listed.len(), runs.len()), (usize::from(slots), 1));
            listed.iter().for_each(|slot| seen[usize::from(*slot)] += 1);
            accounts += more;
        }
        assert!(seen.iter().all(|times| *times == 1));
        assert_eq!(accounts, 2 * PAGE_ROWS as u64);
    }

    #[test]
    fn slots_are_counted_across_pages_and_one_alone() {
        let shards = sample();
        let mut sum = (0, 0, 0);
        for line in lines(&shards, true, None) {
            let Line::Slot { slot, shard, accounts, messages, bytes } = line else { panic!("{line:?}") };
            assert_eq!(shard, slot % 3);
            sum = (sum.0 + accounts, sum.1 + messages, sum.2 + bytes);
        }
        let all = 2 * PAGE_ROWS as u64;
        assert_eq!(sum, (all, 2 * all, 20 * all));
        let Slot(slot) = Slot::of("u1@x");
        let one = lines(&shards, false, Some(slot));
        assert!(matches!(&one[..], [Line::Slot { slot: found, accounts: 1.., .. }] if *found == slot));
        let empty = (0..SLOTS).find(|slot| shards.0.iter().all(|address| Slot::of(address).0 != *slot));
        let none = lines(&shards, false, empty);
        assert!(matches!(&none[..], [Line::Slot { accounts: 0, .. }]), "an empty one is told when asked for");
    }

    #[test]
    fn runs_name_exactly_the_slots() {
        for slots in [&[][..], &[5], &[1, 2, 3], &[0, 2, 4, 5, 6, 9], &[1, 3, 7, 11, 15, 16, 4095]] {
            let found: Vec<u16> = runs(slots.iter().copied()).iter().flat_map(SlotRun::slots).collect();
            assert_eq!(found, slots);
        }
        let run = |first, last, step| SlotRun { first, last, step };
        assert_eq!(runs([0, 2, 4, 9].into_iter()), [run(0, 4, 2), run(9, 9, 1)]);
    }
}
