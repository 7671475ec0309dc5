//! `ringpost-log dump`: the records of the log in order.

use ringpost_engine::log::scan;

use super::filter::Filter;
use super::record::{Records, State};
use crate::data::Shard;
use crate::disk::ReadOnlyDisk;
use crate::output::{Output, progress};
use crate::{Damages, Failure, cli};

/// Prints a shard's records.
pub fn run(shard: &Shard, what: &cli::Dump, output: &mut Output) -> Result<Damages, Failure> {
    let bytes = ReadOnlyDisk::quiet(&shard.folder).bytes();
    let bar = progress(bytes, "reading", true);
    let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
    let filter = Filter::new(&what.filter, what.from.map(|at| at.lsn), what.to.map(|at| at.lsn));
    let mut state = State::new(shard, filter, what.all);
    let mut records = Records { shard, output, state: &mut state };
    let scanned = scan::scan(&mut disk, shard.id, &mut records).map_err(|error| error.to_string());
    bar.finish_and_clear();
    scanned.map(|_| state.damages)
}
