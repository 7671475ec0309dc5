//! `ringpost-log dump`: the records of the log in order.

use super::filter::Filter;
use super::record::{Records, State};
use crate::data::Shard;
use crate::disk::ReadOnlyDisk;
use crate::history::{self, History};
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
    let read = history::read(&mut disk, shard, &mut records);
    bar.finish_and_clear();
    let History { end, damages } = read?;
    damages.iter().for_each(|damage| damage.tell(shard, output));
    history::tell_gone(shard, &end.chain, output);
    Ok(state.damages + damages.len() as Damages)
}
