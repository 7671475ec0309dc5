//! A durable octet that changes while nobody looks.
//!
//! *Owns*: when and where it happens, and what a start may say about it. *Promises*: exactly the accounts
//! named in the recovery report are out of service; everybody else is exact (the oracle goes on).
//! *Assumes*: the segment that is written does not rot: what was never read back is the disk's affair.

use std::collections::BTreeMap;

use ringpost_engine::ids::AccountId;
use ringpost_engine::io::FileId;
use ringpost_engine::testing::fake_disk::FakeDisk;

use crate::oracle::Verdict;
use crate::world::World;

/// Where one bit turns over.
#[derive(Clone, Copy, Debug)]
pub struct Rot {
    pub shard: usize,
    pub file: FileId,
    pub offset: u64,
    pub bit: u8,
}

/// What a shard served before a crash.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    accounts: BTreeMap<AccountId, String>,
    domains: Vec<String>,
    aliases: Vec<(String, Vec<String>)>,
}

impl World {
    /// Rot in a sealed segment, and a start that finds it. False when nothing is sealed.
    pub fn rot_sets_in(&mut self) -> Result<bool, String> {
        let shard = self.rng.index(self.nodes.len());
        let sizes = self.nodes[shard].disk.sizes();
        let mut segments: Vec<(FileId, u64)> =
            sizes.into_iter().filter(|(file, _)| matches!(file, FileId::Segment(_))).collect();
        segments.sort_unstable_by_key(|(file, _)| *file);
        segments.pop();
        let Some((file, size)) = segments.get(self.rng.index(segments.len().max(1))).copied() else {
            return Ok(false);
        };
        if size == 0 {
            return Ok(false);
        }
        let (offset, bit) = (self.rng.within(0..size), self.rng.within(0..8) as u8);
        self.rot = Some(Rot { shard, file, offset, bit });
        // From now on not everybody gets what they ask for.
        self.faults.rot = 1;
        self.faults.deletions = 0;
        self.crash(false)?;
        *self.counts.entry("rotten octets").or_default() += 1;
        Ok(true)
    }

    /// Turns the bit over, while no process is there.
    pub fn rot_now(&mut self, disks: &mut [FakeDisk]) {
        if let Some(rot) = self.rot.take() {
            self.trace.line(format_args!("{} {rot:?}", self.now_us));
            disks[rot.shard].rot(rot.file, rot.offset, rot.bit);
            self.rotten.insert(rot.shard);
        }
        self.quarantined.clear();
    }

    /// Notes what every shard serves.
    pub fn served(&self) -> Vec<Served> {
        let of = |node: &crate::world::Node| {
            let store = node.shard.store();
            Served {
                accounts: store
                    .accounts_after("")
                    .map(|account| (account.id(), account.address().to_owned()))
                    .collect(),
                domains: store.domains().map(str::to_owned).collect(),
                aliases: store.aliases_after("").map(|(name, to)| (name.to_owned(), to.to_vec())).collect(),
            }
        };
        self.nodes.iter().map(of).collect()
    }

    /// Whether a start with damage kept to its word.
    pub fn judge_damage(&mut self, before: &[Served]) -> Verdict {
        let after = self.served();
        for shard in self.rotten.clone() {
            let (before, after) = (&before[shard], &after[shard]);
            for (id, address) in &before.accounts {
                let (served, named) = (after.accounts.contains_key(id), self.quarantined.contains(id));
                if served == named {
                    return Err(format!("{address} ({id}) after rot: served {served}, named {named}"));
                }
                if named {
                    self.oracle.out_of_service(address);
                    *self.counts.entry("accounts quarantined").or_default() += 1;
                }
            }
            if let Some((id, address)) =
                after.accounts.iter().find(|(id, _)| !before.accounts.contains_key(id))
                && self.asked.is_empty()
            {
                return Err(format!("{address} ({id}) came with rot"));
            }
            if (&before.domains, &before.aliases) != (&after.domains, &after.aliases) {
                self.oracle.names_are_lost();
            }
        }
        Ok(())
    }
}
