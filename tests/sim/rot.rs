//! A durable octet that changes while nobody looks.
//!
//! *Owns*: when and where it happens, and what a start may say about it. *Promises*: exactly the accounts
//! named in the recovery report are out of service; everybody else is exact (the oracle goes on).
//! *Assumes*: the segment that is written does not rot: what was never read back is the disk's affair.

use std::collections::BTreeMap;
use std::ops::Range;

use ringpost_engine::ids::AccountId;
use ringpost_engine::io::FileId;
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{self, BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor};
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

/// Where changes of accounts lie: the payloads of their records.
#[derive(Default)]
struct Changes(Vec<(FileId, Range<u64>)>);

impl Visitor for Changes {
    fn segment(&mut self, _: &SegmentInfo) {}

    fn batch(&mut self, _: &BatchInfo) {}

    fn record(&mut self, record: &RecordInfo, _: &[u8]) {
        let is_change = ![KIND_BODY, KIND_WITNESS].contains(&record.meta.kind);
        if is_change && record.meta.account != AccountId(0) {
            let start = record.payload_offset;
            self.0.push((FileId::Segment(record.segment), start..start + u64::from(record.meta.len)));
        }
    }

    fn damage(&mut self, _: &Damage) {}
}

impl World {
    /// Rot in a sealed segment, and a start that finds it. False when nothing is sealed.
    pub fn rot_sets_in(&mut self) -> Result<bool, String> {
        let shard = self.rng.index(self.nodes.len());
        let sizes = self.nodes[shard].disk.sizes();
        let mut segments: Vec<(FileId, u64)> =
            sizes.into_iter().filter(|(file, _)| matches!(file, FileId::Segment(_))).collect();
        segments.sort_unstable_by_key(|(file, _)| *file);
        let newest = segments.pop().map(|(file, _)| file);
        // Most octets are of bodies, and rot in one hides a message; in a change it puts its account aside.
        let mut found = Changes::default();
        let scanned = scan::scan(&mut self.nodes[shard].disk, None, &mut found);
        scanned.map_err(|error| format!("before rot shard {shard} cannot be read: {error}"))?;
        found.0.retain(|(file, _)| Some(*file) != newest);
        let (file, octets) = match segments.get(self.rng.index(segments.len().max(1))) {
            Some(_) if !found.0.is_empty() && self.rng.chance(60) => self.rng.pick(&found.0).clone(),
            Some((file, size)) if *size > 0 => (*file, 0..*size),
            _ => return Ok(false),
        };
        let (offset, bit) = (self.rng.within(octets), self.rng.within(0..8) as u8);
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
            for (id, address) in after.accounts.iter().filter(|(id, _)| !before.accounts.contains_key(id)) {
                // What scrub has put right since the last start is there again, with all that was in it.
                if self.oracle.is_out_of_service(address) {
                    self.oracle.account(address);
                    *self.counts.entry("accounts back").or_default() += 1;
                } else if self.asked.is_empty() {
                    return Err(format!("{address} ({id}) came with rot"));
                }
            }
            if (&before.domains, &before.aliases) != (&after.domains, &after.aliases) {
                self.oracle.names_are_lost();
            }
        }
        Ok(())
    }
}
