//! A stopped store, opened to be changed: as the server does, through the engine.
//!
//! *Owns*: the lock of the data folder, and the loop that drives a store. *Promises*: nothing is changed beside a
//! server; what `settle` returned is durable (on the disk that the host was given). *Assumes*: a data folder of a
//! local file system. *Never*: writes a file but by the engine's requests.

pub mod bulk;
pub mod served;

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ringpost::admin::data::owners;
use ringpost::runtime::{self, Lock};
use ringpost_engine::change::{Change, NewBody, Outcome, Refusal};
use ringpost_engine::error::Refused;
use ringpost_engine::ids::{AccountId, BodyId, Lsn, Now, ShardId};
use ringpost_engine::io::Disk;
use ringpost_engine::limits::IDLE_BATCH_MS;
use ringpost_engine::owners::Owners;
use ringpost_engine::store::{Applied, Options, Store};

use crate::Failure;

/// A data folder that is ours for as long as this lives.
pub struct Folder {
    owners: Owners,
    _lock: Lock,
}

impl Folder {
    /// Of a server that is stopped.
    pub fn take(data: &Path) -> Result<Folder, Failure> {
        runtime::settle_switch(data)?;
        let shards = runtime::stored_shards(data)?.ok_or_else(|| {
            format!("{} is no data folder of a server; give one with --data", data.display())
        })?;
        let lock = runtime::lock(data)?;
        runtime::settle_shards(data, shards)?;
        Ok(Folder { owners: owners(data, shards)?, _lock: lock })
    }

    /// Of a server that never was: a new one, for so many shards.
    pub fn make(data: &Path, shards: u16) -> Result<Folder, Failure> {
        if runtime::stored_shards(data)?.is_some() {
            return Err(format!("{} holds a store already; name a new folder with --data", data.display()));
        }
        let lock = runtime::lock(data)?;
        runtime::settle_shards(data, shards)?;
        Ok(Folder { owners: Owners::new(shards), _lock: lock })
    }

    /// How many shards it has.
    pub fn shards(&self) -> u16 {
        self.owners.shards()
    }

    /// The shard that an address belongs to.
    pub fn shard_of(&self, address: &str) -> ShardId {
        self.owners.of(address)
    }

    /// Who has which slot.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }
}

/// A shard's store at work.
pub struct Host<D> {
    disk: D,
    store: Store,
    began: Instant,
    /// No change is of an earlier time.
    time_ms: u64,
    /// Applied, and not yet returned by `settle`.
    applied: Vec<Applied>,
}

impl<D: Disk> Host<D> {
    /// Recovers what is there, or begins anew. Damage is refused: it must be looked at first.
    pub fn open(disk: D, shard: ShardId) -> Result<Host<D>, Failure> {
        Host::begin(disk, shard, Lsn(0), 0)
    }

    /// The same; a log that begins now begins at this position, and no change is of an earlier time.
    pub fn begin(mut disk: D, shard: ShardId, first: Lsn, time_ms: u64) -> Result<Host<D>, Failure> {
        let mut key = [0; 8];
        getrandom::fill(&mut key).map_err(|error| format!("no randomness: {error}"))?;
        // What was removed stays to be had back: how long is for the server's configuration to say.
        let usual = Options::new(shard, u64::from_le_bytes(key));
        let options = Options { undelete_ms: u64::MAX, first, ..usual };
        let began = Instant::now();
        let opened = Store::open(&mut disk, options, now(began, time_ms));
        let (store, report) = opened.map_err(|error| format!("shard {shard}: {error}"))?;
        if let Some(damage) = report.damage.first() {
            return Err(format!("shard {shard}: {damage}; see ringpost-log verify before changing it"));
        }
        Ok(Host { disk, store, began, time_ms, applied: Vec::new() })
    }

    /// What it holds, as far as it is durable.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Stores a message that nothing shows yet.
    pub fn append_body(&mut self, account: AccountId, body: &NewBody) -> Result<BodyId, Failure> {
        for _ in 0..2 {
            match self.store.append_body(account, body.clone(), now(self.began, self.time_ms)) {
                Ok(id) => return Ok(id),
                // Only so much may wait for the disk.
                Err(Refused::Busy) => self.work()?,
                Err(refused) => return Err(said(refused)),
            }
        }
        Err(said(Refused::Busy))
    }

    /// Queues a change.
    pub fn append(&mut self, account: AccountId, change: &Change) -> Result<Lsn, Failure> {
        for _ in 0..2 {
            match self.store.append(account, change.clone(), now(self.began, self.time_ms)) {
                Ok(lsn) => return Ok(lsn),
                Err(Refused::Busy) => self.work()?,
                Err(refused) => return Err(said(refused)),
            }
        }
        Err(said(Refused::Busy))
    }

    /// Carries out all disk work that is due; returns what was applied since the last time, in order.
    /// Upkeep comes with it, so that checkpoints are made on the way.
    pub fn settle(&mut self) -> Result<Vec<Applied>, Failure> {
        self.store.tick(now(self.began, self.time_ms));
        self.work()?;
        Ok(std::mem::take(&mut self.applied))
    }

    fn work(&mut self) -> Result<(), Failure> {
        while let Some((id, request)) = self.store.poll_io() {
            let result = self.disk.perform(&request);
            let progress = self.store.complete(id, result);
            if let Some(fatal) = progress.fatal {
                return Err(fatal.to_string());
            }
            self.applied.extend(progress.applied);
        }
        Ok(())
    }

    /// Carries out one change and returns what it did.
    pub fn change(&mut self, account: AccountId, change: &Change) -> Result<Outcome, Failure> {
        let lsn = self.append(account, change)?;
        let applied = self.settle()?;
        let own = applied.into_iter().find(|applied| applied.lsn == lsn);
        own.map(|applied| applied.outcome)
            .ok_or_else(|| "the disk is full: make room and repeat it".to_owned())
    }

    /// Closes the window in which the last batch has nobody to vouch for it (README §4.3, C6 of the engine).
    pub fn close(mut self) -> Result<D, Failure> {
        let now = now(self.began, self.time_ms);
        self.store.tick(Now { mono_ms: now.mono_ms + IDLE_BATCH_MS, ..now });
        self.settle()?;
        Ok(self.disk)
    }
}

/// Why a change was not carried out; none if it was.
pub fn refusal(outcome: &Outcome) -> Option<&'static str> {
    let Outcome::Refused(refusal) = outcome else { return None };
    Some(match refusal {
        Refusal::NoAccount => "the account is gone",
        Refusal::NoMailbox => "there is no such mailbox, or it holds no messages",
        Refusal::Exists => "the name is taken",
        Refusal::Limit => "a bound of the store is reached: names, mailboxes, keywords or UIDs",
        Refusal::OverQuota => "the account's quota has no room for it: ringpost account quota raises it",
        Refusal::NoBody | Refusal::NotFresh => "its octets are not in the log",
        Refusal::DiskFull => "the disk is full: make room and repeat it",
    })
}

fn now(began: Instant, least_ms: u64) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { unix_ms: (unix.as_millis() as u64).max(least_ms), mono_ms: began.elapsed().as_millis() as u64 }
}

fn said(refused: Refused) -> Failure {
    match refused {
        Refused::DiskFull => "the disk is full: make room and repeat it".to_owned(),
        Refused::Busy => "the disk does not keep up: repeat it".to_owned(),
        Refused::TooLarge => "larger than the store takes".to_owned(),
        Refused::Failed => "the disk has failed: see what the kernel says".to_owned(),
    }
}
