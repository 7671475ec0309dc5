//! Account by account into the new logs.
//!
//! *Owns*: which body of an old log is which in a new one, as long as another message may show it. *Promises*: all of
//! an account goes to the shard of its slot, what was removed with it; a step holds a bounded number of octets.
//! *Assumes*: sums were looked at: what is copied is what was stored. *Never*: leaves an account half done and goes on.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use indicatif::ProgressBar;
use ringpost::admin::data::Shard;
use ringpost::admin::disk::ReadOnlyDisk;
use ringpost::runtime::Files;
use ringpost::sys::cpu::Cores;
use ringpost_engine::arrival::Arrival;
use ringpost_engine::change::{Change, NewBody};
use ringpost_engine::ids::{AccountId, BodyId, BodyKey, ShardId};
use ringpost_engine::index::moving::Departure;
use ringpost_engine::index::{Buried, Message};
use ringpost_engine::io::Extent;
use ringpost_engine::recovery::Replayed;

use super::survey::{Survey, open};
use crate::Failure;
use crate::host::bulk::Bulk;
use crate::host::{Host, refusal};

/// Octets of bodies that one record shows.
const PIECE_BYTES: u64 = 32 * 1024 * 1024;
/// Records between two looks at the disk.
const RECORDS_PER_STEP: usize = 256;
/// Removed messages that are brought into the order of their accounts together.
const REMOVED_WINDOW: usize = 1_024;
/// Accounts after which those that were read are let go.
const ACCOUNTS_PER_REST: usize = 1_024;

/// What every account is, and where it must be found.
#[derive(Debug, Default)]
pub struct Expected {
    /// Accounts: the new shard, and the fingerprint.
    pub accounts: BTreeMap<AccountId, (ShardId, u64)>,
    /// What was removed, likewise.
    pub removed: BTreeMap<AccountId, (ShardId, u64)>,
    /// Aliases of all shards.
    pub aliases: usize,
    /// Domains.
    pub domains: usize,
}

/// Fills the new logs.
pub fn all(making: &Path, old: &[Shard], survey: &Survey, bar: &ProgressBar) -> Result<Expected, Failure> {
    let mut targets = Targets::make(making, survey)?;
    let mut expected = Expected::default();
    for shard in old {
        let mut disk = ReadOnlyDisk::quiet(&shard.folder);
        let replayed = open(shard, &mut disk)?;
        let mut source = Source { replayed, disk, copied: BTreeMap::new() };
        source.directory(&mut targets, &mut expected)?;
        source.accounts(&mut targets, &mut expected, bar)?;
        source.removed(&mut targets, &mut expected)?;
    }
    targets.finish()?;
    Ok(expected)
}

/// The new logs.
struct Targets<'s> {
    survey: &'s Survey,
    hosts: BTreeMap<ShardId, Target>,
}

struct Target {
    host: Host<Bulk>,
    queued: usize,
}

impl Target {
    fn append(&mut self, account: AccountId, change: &Change) -> Result<(), Failure> {
        self.host.append(account, change)?;
        self.queued += 1;
        if self.queued >= RECORDS_PER_STEP { self.settle() } else { Ok(()) }
    }

    fn settle(&mut self) -> Result<(), Failure> {
        self.queued = 0;
        let applied = self.host.settle()?;
        let refused = applied.iter().find_map(|applied| Some((applied, refusal(&applied.outcome)?)));
        refused.map_or(Ok(()), |(applied, why)| Err(format!("account {}: {why}", applied.account)))
    }
}

impl<'s> Targets<'s> {
    fn make(making: &Path, survey: &'s Survey) -> Result<Targets<'s>, Failure> {
        let cores = Cores::of_this_thread().map_err(|error| format!("cannot learn the cores: {error}"))?;
        let mut hosts = BTreeMap::new();
        for shard in (0..survey.shards()).map(ShardId) {
            let files = Files::new(making, shard, cores.clone());
            let files = files.map_err(|error| format!("{}: {error}", making.display()))?;
            let bulk = Bulk::new(files, making.join(format!("shard-{:03}", shard.0)));
            let mut target =
                Target { host: Host::begin(bulk, shard, survey.first, survey.time_ms)?, queued: 0 };
            target.append(AccountId(0), &Change::Inherit(survey.inheritance))?;
            hosts.insert(shard, target);
        }
        Ok(Targets { survey, hosts })
    }

    fn at(&mut self, shard: ShardId) -> Result<&mut Target, Failure> {
        self.hosts.get_mut(&shard).ok_or_else(|| format!("there is no shard {shard}"))
    }

    fn finish(self) -> Result<(), Failure> {
        for (_, mut target) in self.hosts {
            target.settle()?;
            target.host.close()?.finish()?;
        }
        Ok(())
    }
}

/// An old log.
struct Source {
    replayed: Replayed,
    disk: ReadOnlyDisk,
    /// Bodies that more than one message has, by new shard.
    copied: BTreeMap<(ShardId, BodyId), BodyId>,
}

impl Source {
    fn directory(&mut self, targets: &mut Targets<'_>, expected: &mut Expected) -> Result<(), Failure> {
        for name in self.replayed.index.domains() {
            let change = Change::DomainAdd { name: name.to_owned() };
            targets.at(ShardId(0))?.append(AccountId(0), &change)?;
            expected.domains += 1;
        }
        for (address, to) in self.replayed.index.aliases_after("") {
            let owner = targets.survey.owner(address);
            let change = Change::AliasSet { address: address.to_owned(), targets: to.to_vec() };
            targets.at(owner)?.append(AccountId(0), &change)?;
            expected.aliases += 1;
        }
        Ok(())
    }

    fn accounts(
        &mut self,
        targets: &mut Targets<'_>,
        expected: &mut Expected,
        bar: &ProgressBar,
    ) -> Result<(), Failure> {
        let ids: Vec<(AccountId, ShardId)> = self
            .replayed
            .accounts_after("")
            .map(|account| (account.id(), targets.survey.owner(account.address())))
            .collect();
        for (nth, (id, shard)) in ids.into_iter().enumerate() {
            let mut departure = Departure::new(id);
            while let Some(piece) = departure.next(&self.replayed.index) {
                match piece {
                    Arrival::Messages { mailbox, messages } => {
                        let count = messages.len() as u64;
                        let make = |messages| Arrival::Messages { mailbox, messages };
                        self.send(targets, (id, shard), messages, |moved| &mut moved.message, make)?;
                        bar.inc(count);
                    }
                    other => targets.at(shard)?.append(id, &Change::Arrive(other))?,
                }
            }
            let fingerprint = self.replayed.index.fingerprint(id);
            let fingerprint = fingerprint.ok_or_else(|| format!("account {id} cannot be read"))?;
            expected.accounts.insert(id, (shard, fingerprint));
            if nth % ACCOUNTS_PER_REST == ACCOUNTS_PER_REST - 1 {
                self.replayed.index.rest();
            }
        }
        Ok(())
    }

    /// What was removed, of accounts that are there and of those that are not.
    fn removed(&mut self, targets: &mut Targets<'_>, expected: &mut Expected) -> Result<(), Failure> {
        let owners = self.owners(targets.survey);
        let owner = |account: AccountId| {
            owners.get(&account).copied().ok_or_else(|| format!("nobody knows whose account {account} was"))
        };
        let gone: Vec<_> = self.replayed.index.buried_mailboxes().cloned().collect();
        for mailbox in gone {
            let (account, shard) = (mailbox.account, owner(mailbox.account)?);
            let change = Change::Arrive(Arrival::RemovedMailbox(Box::new(mailbox)));
            targets.at(shard)?.append(account, &change)?;
        }
        // In order of time, so that the new queues grow at their ends.
        let all: Vec<Buried> = self.replayed.index.all_buried().collect();
        let shard = self.replayed.index.shard();
        for window in all.chunks(REMOVED_WINDOW) {
            let mut by_account: BTreeMap<AccountId, Vec<Buried>> = BTreeMap::new();
            for buried in window {
                let mut buried = *buried;
                buried.message.known_as = buried.message.email(shard);
                by_account.entry(buried.account).or_default().push(buried);
            }
            for (account, removed) in by_account {
                let to = (account, owner(account)?);
                self.send(targets, to, removed, |buried| &mut buried.message, Arrival::Removed)?;
            }
        }
        for (account, fingerprint) in self.replayed.index.fingerprints_of_removed() {
            expected.removed.insert(account, (owner(account)?, fingerprint));
        }
        Ok(())
    }

    /// Where everything of an account goes, also of one that is deleted.
    fn owners(&self, survey: &Survey) -> BTreeMap<AccountId, ShardId> {
        let gone = self.replayed.index.buried_mailboxes();
        let gone = gone.map(|mailbox| (mailbox.account, survey.owner(&mailbox.address)));
        let there = self.replayed.accounts_after("");
        gone.chain(there.map(|account| (account.id(), survey.owner(account.address())))).collect()
    }

    /// Puts bodies into the new log, and the records that show them behind them.
    fn send<T>(
        &mut self,
        targets: &mut Targets<'_>,
        (account, shard): (AccountId, ShardId),
        items: Vec<T>,
        message: impl Fn(&mut T) -> &mut Message,
        make: impl Fn(Vec<T>) -> Arrival,
    ) -> Result<(), Failure> {
        let (mut ready, mut bytes) = (Vec::new(), 0);
        for mut item in items {
            let message = message(&mut item);
            bytes += u64::from(message.size);
            message.body = self.body(targets.at(shard)?, (account, shard), message.key())?;
            ready.push(item);
            if bytes >= PIECE_BYTES {
                let change = Change::Arrive(make(std::mem::take(&mut ready)));
                targets.at(shard)?.append(account, &change)?;
                bytes = 0;
            }
        }
        if ready.is_empty() {
            return Ok(());
        }
        targets.at(shard)?.append(account, &Change::Arrive(make(ready)))
    }

    /// The body in the new log; copied unless another message has brought it there.
    fn body(
        &mut self,
        target: &mut Target,
        (account, shard): (AccountId, ShardId),
        key: BodyKey,
    ) -> Result<BodyId, Failure> {
        if let Some(copied) = self.copied.get(&(shard, key.id)) {
            return Ok(*copied);
        }
        let found = self.replayed.body(key);
        let found = found.ok_or_else(|| format!("account {account}: a body at {} is nowhere", key.id))?;
        let octets = Bytes::from(self.disk.octets(&self.replayed, found.bytes)?);
        let Extent { file, offset, len } = found.summary;
        let summary = Bytes::from(self.disk.read_exact(file, offset, len)?);
        let copied = target.host.append_body(account, &NewBody { parts: vec![octets], summary })?;
        if self.replayed.index.is_shared(key) {
            self.copied.insert((shard, key.id), copied);
        }
        Ok(copied)
    }
}
