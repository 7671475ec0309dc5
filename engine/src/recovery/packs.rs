//! What a start makes of packs that are not whole.

use crate::compact::pack::Pack;
use crate::compact::table::{Entry, Table};
use crate::ids::BodyId;
use crate::index::Index;

/// A pack that tells by its records alone where it begins: what is dead before the first of them belongs to it too.
pub(super) fn placed(mut pack: Pack, index: &Index) -> Pack {
    if let Table::Rebuilt(entries) = &pack.table
        && entries.first().is_some_and(|first| first.position == pack.range.start && first.is_body())
    {
        pack.range.start = index.first_beside(BodyId(pack.range.start)).0;
    }
    pack
}

/// How many messages a pack should have and has not: leads are walked as far as they hold, and there were more.
pub(super) fn missing_of(pack: &Pack, index: &Index) -> usize {
    let Table::Rebuilt(entries) = &pack.table else { return 0 };
    let dead = index.dead_in(&pack.range).positions;
    let there = |entry: &&Entry| entry.is_body() && dead.binary_search(&entry.position).is_err();
    index.count_in(&pack.range).saturating_sub(entries.iter().filter(there).count())
}
