//! What there is, and where it will be.
//!
//! *Owns*: sums by new shard, and the counters that the new logs go on from. *Promises*: nothing is read of a mailbox
//! but its head. *Assumes*: the old logs are sound. *Never*: keeps an account in memory.

use std::collections::BTreeMap;

use ringpost::admin::data::Shard;
use ringpost::admin::disk::ReadOnlyDisk;
use ringpost_engine::arrival::Inheritance;
use ringpost_engine::ids::{Lsn, ShardId, Slot};
use ringpost_engine::owners::Owners;
use ringpost_engine::recovery::{Replayed, recover_read_only};

use crate::Failure;

/// What a new shard will have.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Accounts.
    pub accounts: u64,
    /// Messages in their mailboxes.
    pub messages: u64,
    /// Octets of these, shared ones as often as they are shown.
    pub bytes: u64,
}

/// See the module's head.
pub struct Survey {
    shards: u16,
    loads: BTreeMap<ShardId, Load>,
    /// Octets of all bodies that are shown or can be had back, each once.
    bytes: u64,
    /// The greatest of all logs.
    pub inheritance: Inheritance,
    /// The latest time of all logs.
    pub time_ms: u64,
    /// Above every position of all logs.
    pub first: Lsn,
}

/// An old shard's state, if it is sound.
pub fn open(shard: &Shard, disk: &mut ReadOnlyDisk) -> Result<Replayed, Failure> {
    let name = shard.folder.display();
    let replayed = recover_read_only(disk, shard.id, None).map_err(|error| format!("{name}: {error}"))?;
    if let Some(damage) = replayed.report.damage.first() {
        return Err(format!("{name}: {damage}; see ringpost-log verify"));
    }
    match replayed.report.quarantined.first() {
        Some(account) => Err(format!("{name}: account {account} is in quarantine; see ringpost-log verify")),
        None => Ok(replayed),
    }
}

impl Survey {
    /// Of these shards, for so many new ones.
    pub fn of(old: &[Shard], owners: &Owners, shards: u16) -> Result<Survey, Failure> {
        let loads = (0..shards).map(|shard| (ShardId(shard), Load::default())).collect();
        let inheritance = Inheritance::default();
        let mut survey = Survey { shards, loads, bytes: 0, inheritance, time_ms: 0, first: Lsn(0) };
        for shard in old {
            let mut disk = ReadOnlyDisk::quiet(&shard.folder);
            let replayed = open(shard, &mut disk)?;
            let is_here = |address: &str| shard.id == Some(owners.of(address));
            let mut names = replayed.accounts_after("").map(|account| account.address().to_owned());
            let mut aliases = replayed.index.aliases_after("").map(|(address, _)| address.to_owned());
            if names.by_ref().chain(aliases.by_ref()).any(|address| !is_here(&address)) {
                return Err("a slot has not wholly gone to another shard: start the server first".to_owned());
            }
            survey.add(&replayed)?;
        }
        Ok(survey)
    }

    fn add(&mut self, replayed: &Replayed) -> Result<(), Failure> {
        for account in replayed.accounts_after("") {
            let load = self.loads.entry(self.owner(account.address())).or_default();
            load.accounts += 1;
            load.messages += account.messages();
            load.bytes += account.bytes();
        }
        let counts = replayed.index.counts();
        let seen = replayed.accounts_after("").count() as u64;
        if seen != counts.accounts {
            return Err("an account has not wholly come from another log: start the server first".to_owned());
        }
        self.bytes += counts.body_bytes;
        let own = replayed.index.inheritance();
        self.inheritance.next_account = self.inheritance.next_account.max(own.next_account);
        self.inheritance.uid_validity_floor = self.inheritance.uid_validity_floor.max(own.uid_validity_floor);
        self.time_ms = self.time_ms.max(replayed.last_time_ms());
        self.first = self.first.max(replayed.report.next);
        Ok(())
    }

    /// Who will have an address.
    pub fn owner(&self, address: &str) -> ShardId {
        Slot::of(address).shard(self.shards)
    }

    /// How many shards there will be.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// By new shard.
    pub fn loads(&self) -> impl Iterator<Item = (ShardId, Load)> + '_ {
        self.loads.iter().map(|(shard, load)| (*shard, *load))
    }

    /// Accounts of all.
    pub fn accounts(&self) -> u64 {
        self.loads.values().map(|load| load.accounts).sum()
    }

    /// Messages of all.
    pub fn messages(&self) -> u64 {
        self.loads.values().map(|load| load.messages).sum()
    }

    /// Octets to copy, at most: a body that is shared may go to several shards, and counts for none more than its rows.
    pub fn bytes(&self) -> u64 {
        let shown: u64 = self.loads.values().map(|load| load.bytes).sum();
        shown.max(self.bytes).min(self.bytes.saturating_mul(u64::from(self.shards)))
    }
}
