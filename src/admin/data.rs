//! Where the shards are, and who has which slot.
//!
//! *Owns*: the layout of a data folder as far as the log goes: `shard-NNN/NNNNNNNNNN.seg`.
//! *Promises*: shards in order of number. *Assumes*: the server's layout. *Never*: writes.

use std::path::{Path, PathBuf};

use ringpost_engine::ids::ShardId;
use ringpost_engine::owners::Owners;
use ringpost_engine::recovery::recover_read_only;

use super::disk::ReadOnlyDisk;

/// One shard's folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number; none when a folder was given that does not tell.
    pub id: Option<ShardId>,
    /// Its files.
    pub folder: PathBuf,
}

/// Who has which slot, as the logs of a folder of so many shards say.
///
/// # Errors
/// One line when a log cannot be read.
pub fn owners(data: &Path, count: u16) -> Result<Owners, String> {
    let mut owners = Owners::new(count);
    for shard in shards(data, None)? {
        let mut disk = ReadOnlyDisk::quiet(&shard.folder);
        let replayed = recover_read_only(&mut disk, shard.id, None)
            .map_err(|error| format!("{}: {error}", shard.folder.display()))?;
        for (slot, seat, _) in replayed.index.slots() {
            owners.learn(slot, seat);
        }
    }
    Ok(owners)
}

/// The shards in a data folder, or the one that is meant by its own folder. `only` picks one.
pub fn shards(data: &Path, only: Option<u16>) -> Result<Vec<Shard>, String> {
    if crate::runtime::switch::is_pending(data) {
        return Err(format!(
            "{} is between two numbers of shards: `ringpost serve` or `ringpost-log reshard` finishes that first",
            data.display()
        ));
    }
    let entries = std::fs::read_dir(data)
        .map_err(|error| format!("{}: {error}; give the server's data folder with --data", data.display()))?;
    let mut shards = Vec::new();
    let mut holds_segments = false;
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", data.display()))?.path();
        holds_segments |= path.extension().is_some_and(|extension| extension == "seg");
        if let Some(id) = number(&path) {
            shards.push(Shard { id: Some(id), folder: path });
        }
    }
    if shards.is_empty() && holds_segments {
        let folder = data.to_owned();
        let id = data.canonicalize().ok().as_deref().and_then(number);
        shards.push(Shard { id, folder });
    }
    if shards.is_empty() {
        return Err(format!(
            "{} holds no shard-NNN folder; give the server's data folder with --data",
            data.display()
        ));
    }
    shards.sort_by_key(|shard| shard.id);
    if let Some(only) = only {
        shards.retain(|shard| shard.id == Some(ShardId(only)));
        if shards.is_empty() {
            return Err(format!("{} has no shard {only}", data.display()));
        }
    }
    Ok(shards)
}

/// The number in `shard-NNN`.
fn number(folder: &Path) -> Option<ShardId> {
    folder.file_name()?.to_str()?.strip_prefix("shard-")?.parse().ok().map(ShardId)
}
