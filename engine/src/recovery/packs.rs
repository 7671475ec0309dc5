//! Which file has what, and what a start makes of packs that are not whole.
//!
//! *Owns*: the places of a start. *Promises*: what somebody needs and no file has is told, or stops the start where
//! nothing is damaged that would explain it. *Assumes*: the log has been replayed. *Never*: writes.

use std::collections::BTreeSet;

use super::gone;
use crate::compact::pack::Pack;
use crate::compact::table::{Entry, Table};
use crate::error::Error;
use crate::ids::{BodyId, Lsn, SegmentId};
use crate::index::Index;
use crate::io::{Disk, FileId};
use crate::log::places::Places;
use crate::log::scan::End;
use crate::store::RecoveryReport;

/// Which file has what: segments, and the packs that stand for some. Everything that somebody needs must be in one;
/// of what somebody needed in the `past` the files may have gone since.
pub(super) fn place(
    disk: &mut dyn Disk,
    end: &End,
    index: &Index,
    past: bool,
    report: &mut RecoveryReport,
) -> Result<Places, Error> {
    let mut places = Places::default();
    end.filled.iter().for_each(|part| places.add(part.base, part.segment));
    let dates = end.chain.segments.iter().filter_map(|info| info.meta);
    dates.for_each(|meta| places.date(meta.base, meta.created_ms));
    let mut lost = Vec::new();
    for &(number, bytes) in &end.chain.packs {
        match Pack::open(disk, number, bytes, end.chain.log)? {
            Some(pack) => places.add_pack(placed(pack, index)),
            None => {
                lost.push(format!("{} is damaged: its messages cannot be read", FileId::Pack(number).name()))
            }
        }
    }
    // Behind a loss in the log something may seem to be needed that a lost Reap let go, and its file with it.
    let sound = report.damage.is_empty()
        && lost.is_empty()
        && places.packs().iter().all(|pack| pack.damage.is_none());
    for pack in places.packs() {
        let Some(what) = pack.damage else { continue };
        let name = FileId::Pack(pack.number).name();
        match missing_of(pack, index) {
            0 => report.repaired.push(format!("{name}: {what}")),
            missing => lost.push(format!("{name}: {what}; {missing} of its messages cannot be read")),
        }
    }
    let there: BTreeSet<SegmentId> = end.filled.iter().map(|part| part.segment).collect();
    let mut missing = index
        .alive()
        .filter(|(first, segment)| places.pack_of(Lsn(first.0)).is_none() && !there.contains(segment));
    match missing.next().filter(|_| !past) {
        Some((_, segment)) if sound && report.damage.is_empty() => return Err(gone(segment, &[])),
        // It was in a pack that does not tell any more what it had; or it is dead, and what said so is lost.
        Some((_, gone)) if lost.is_empty() => lost.push(format!("messages of segment {gone} are in no file")),
        _ => {}
    }
    let told = |what| Error::Corrupt { segment: SegmentId(0), offset: 0, what };
    report.damage.extend(lost.into_iter().map(told));
    Ok(places)
}

/// A pack that tells by its records alone where it begins: what is dead before the first of them belongs to it too.
fn placed(mut pack: Pack, index: &Index) -> Pack {
    if let Table::Rebuilt(entries) = &pack.table
        && entries.first().is_some_and(|first| first.position == pack.range.start && first.is_body())
    {
        pack.range.start = index.first_beside(BodyId(pack.range.start)).0;
    }
    pack
}

/// How many messages a pack should have and has not: leads are walked as far as they hold, and there were more.
fn missing_of(pack: &Pack, index: &Index) -> usize {
    let Table::Rebuilt(entries) = &pack.table else { return 0 };
    let dead = index.dead_in(&pack.range).positions;
    let there = |entry: &&Entry| entry.is_body() && dead.binary_search(&entry.position).is_err();
    index.count_in(&pack.range).saturating_sub(entries.iter().filter(there).count())
}
