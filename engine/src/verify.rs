//! Whether a store is what its log says.
//!
//! *Owns*: the comparison of a living index with a replay of the files. *Promises*: reads only.
//! *Assumes*: nothing. *Never*: repairs.

use crate::error::Error;
use crate::ids::Lsn;
use crate::io::Disk;
use crate::recovery::replay_read_only;
use crate::store::{RecoveryReport, Store};

/// What a verification found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Up to where store and log were compared.
    pub durable: Lsn,
    /// The fingerprint of the store's state and that of the replay; the same unless something is wrong.
    pub digests: (u64, u64),
    /// What the replay met: sums, gaps and references are checked on the way.
    pub report: RecoveryReport,
}

impl Verified {
    /// Whether all is well.
    pub fn is_sound(&self) -> bool {
        self.digests.0 == self.digests.1 && self.report.damage.is_empty()
    }
}

/// Replays the log as far as it is durable and compares (I9: index == replay(log)).
pub fn verify(store: &Store, disk: &mut dyn Disk) -> Result<Verified, Error> {
    let durable = store.durable();
    let replayed = replay_read_only(disk, Some(store.shard()), Some(durable))?;
    Ok(Verified { durable, digests: (store.digest(), replayed.digest()), report: replayed.report })
}
