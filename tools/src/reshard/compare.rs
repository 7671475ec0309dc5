//! Whether the new logs hold what the old ones held.
//!
//! *Owns*: the comparison. *Promises*: every account is where it belongs, once, and is what it was; nothing is there
//! that was not. *Assumes*: fingerprints are the same on whatever shard (`index/cold/moving`). *Never*: looks at
//! octets: they were copied from records whose sums were good, and lie under sums again.

use std::path::Path;

use ringpost::admin::data::Shard;
use ringpost::admin::disk::ReadOnlyDisk;
use ringpost_engine::ids::{AccountId, ShardId};

use super::copy::Expected;
use super::survey::open;
use crate::Failure;

/// Accounts after which those that were read are let go.
const ACCOUNTS_PER_REST: usize = 1_024;

/// Compares all new shards.
pub fn all(making: &Path, shards: u16, expected: &Expected) -> Result<(), Failure> {
    let (mut accounts, mut removed, mut aliases, mut domains) = (0, 0, 0, 0);
    for id in (0..shards).map(ShardId) {
        let shard = Shard { id: Some(id), folder: making.join(format!("shard-{:03}", id.0)) };
        let mut replayed = open(&shard, &mut ReadOnlyDisk::quiet(&shard.folder))?;
        let ids: Vec<AccountId> = replayed.accounts_after("").map(|account| account.id()).collect();
        accounts += ids.len();
        for (nth, account) in ids.into_iter().enumerate() {
            let found = replayed.index.fingerprint(account).map(|found| (id, found));
            if found.is_none() || found.as_ref() != expected.accounts.get(&account) {
                return Err(format!("account {account} is not what it was"));
            }
            if nth % ACCOUNTS_PER_REST == ACCOUNTS_PER_REST - 1 {
                replayed.index.rest();
            }
        }
        for (account, found) in replayed.index.fingerprints_of_removed() {
            if expected.removed.get(&account) != Some(&(id, found)) {
                return Err(format!("what account {account} removed is not what it was"));
            }
            removed += 1;
        }
        aliases += replayed.index.aliases_after("").count();
        domains += replayed.index.domains().count();
    }
    let found = (accounts, removed, aliases, domains);
    let all = (expected.accounts.len(), expected.removed.len(), expected.aliases, expected.domains);
    if found == all {
        return Ok(());
    }
    Err(format!("there are {found:?} accounts, graves, aliases and domains instead of {all:?}"))
}
