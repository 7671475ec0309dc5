//! All packs of a log at once, each by whoever has time.
//!
//! *Owns*: [`walk`]: threads over packs. *Promises*: every record of every pack is read; its table, what stands before
//! it and its own sum agree, or it is told where they do not; packs that stand for the same positions are told.
//! *Assumes*: nothing. *Never*: asks whether a record is needed: that is the references' part.

use std::ops::AddAssign;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::ProgressBar;
use ringpost_engine::compact::survey::{self, PackInfo, PackRecord, PackVisitor};
use ringpost_engine::log::chain::Chain;

use super::FAULTS_TOLD_MAX;
use crate::Failure;
use crate::disk::ReadOnlyDisk;
use crate::history::PackDamage;

/// Counts what is in packs; added up.
pub trait PackTally: Default + Send + AddAssign {
    /// A record that is as it was written, and its payload.
    fn packed(&mut self, record: &PackRecord, payload: &[u8]);
}

/// What a walk through packs found.
#[derive(Debug, Default)]
pub struct PacksWalked<T> {
    /// All packs' counts together.
    pub tally: T,
    /// Packs.
    pub packs: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// How many places are damaged.
    pub damaged: u64,
    /// The first of them.
    pub damages: Vec<PackDamage>,
}

impl<T> PacksWalked<T> {
    fn damage(&mut self, damage: PackDamage) {
        self.damaged += 1;
        if self.damages.len() < FAULTS_TOLD_MAX {
            self.damages.push(damage);
        }
    }
}

/// Reads every pack of `chain` by `jobs` threads.
pub fn walk<T: PackTally>(
    folder: &Path,
    chain: &Chain,
    jobs: usize,
    bar: &ProgressBar,
) -> Result<PacksWalked<T>, Failure> {
    let mut disk = ReadOnlyDisk::quiet(folder);
    let (packs, unreadable) = survey::packs(&mut disk, chain).map_err(|error| error.to_string())?;
    let bytes = chain.packs.iter().map(|(_, bytes)| bytes).sum();
    let mut all = PacksWalked { packs: chain.packs.len() as u64, bytes, ..PacksWalked::default() };
    for pack in unreadable {
        all.damage(PackDamage { pack, offset: 0, what: "nothing of it can be read".to_owned() });
    }
    overlaps(&packs).for_each(|damage| all.damage(damage));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut own = PacksWalked::<T>::default();
        let mut disk = ReadOnlyDisk::new(folder, bar.clone());
        while let Some(pack) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let read = survey::survey(&mut disk, (pack.number, pack.bytes), chain, &mut own);
            if let Err(error) = read {
                own.damage(PackDamage { pack: pack.number, offset: 0, what: error.to_string() });
            }
        }
        own
    };
    let parts: Vec<PacksWalked<T>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.clamp(1, packs.len().max(1))).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    for part in parts {
        all.tally += part.tally;
        all.damaged += part.damaged;
        all.damages.extend(part.damages);
    }
    all.damages.truncate(FAULTS_TOLD_MAX);
    Ok(all)
}

/// Packs in use that stand for positions that another one stands for as well.
fn overlaps(packs: &[PackInfo]) -> impl Iterator<Item = PackDamage> + '_ {
    let used: Vec<&PackInfo> = packs.iter().filter(|pack| pack.in_use).collect();
    let pairs: Vec<(u64, u64)> = used
        .windows(2)
        .filter(|pair| pair[1].range.start < pair[0].range.end)
        .map(|pair| (pair[1].number, pair[0].number))
        .collect();
    pairs.into_iter().map(|(pack, other)| PackDamage {
        pack,
        offset: 0,
        what: format!("stands for positions that pack {other} stands for"),
    })
}

impl<T: PackTally> PackVisitor for PacksWalked<T> {
    fn packed(&mut self, record: &PackRecord, payload: &[u8]) {
        self.tally.packed(record, payload);
    }

    fn damaged(&mut self, pack: u64, offset: u64, what: &str) {
        self.damage(PackDamage { pack, offset, what: what.to_owned() });
    }
}
