//! From one set of shards to another, by one rename.
//!
//! *Owns*: the folders `reshard.new`, where a new set is made, and `reshard`, where one that is complete waits to be
//! put in the old one's place. *Promises*: cut anywhere, the data folder holds the old set or the new one, whole; which
//! of them is decided by one rename ([`commit`]), and [`finish`] does what is left, any number of times. *Assumes*: the
//! folder's lock is held. *Never*: touches a shard's folder before the new set is complete and durable.
//!
//! ```text
//!  begin: reshard.new/ ─► shard-NNN …, shards, all synced ─► commit: reshard.new ──rename──► reshard
//!                                                                                               │ finish
//!   removed ◄── reshard/old-NNN ◄── shard-NNN │ shard-NNN ◄── reshard/shard-NNN │ shards ◄──────┘
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::preflight::{SHARDS_FILE, stored_shards, write_shards};

/// Where a new set is made.
const MAKING: &str = "reshard.new";
/// A new set that is complete.
const COMPLETE: &str = "reshard";

/// A shard's folder.
fn shard(number: u16) -> String {
    format!("shard-{number:03}")
}

/// Whether a new set is complete and not yet wholly in its place.
pub fn is_pending(data: &Path) -> bool {
    data.join(COMPLETE).exists()
}

/// Makes the folder for a new set of so many shards. What an earlier attempt left is removed.
///
/// # Errors
/// One line.
pub fn begin(data: &Path, shards: u16) -> Result<PathBuf, String> {
    discard(data)?;
    let making = data.join(MAKING);
    let make = || -> io::Result<()> {
        fs::create_dir(&making)?;
        for number in 0..shards {
            fs::create_dir(making.join(shard(number)))?;
        }
        write_shards(&making, shards)
    };
    make().map_err(|error| said(&making, &error)).map(|()| making)
}

/// Removes a set that was not completed.
///
/// # Errors
/// One line.
pub fn discard(data: &Path) -> Result<(), String> {
    let making = data.join(MAKING);
    match fs::remove_dir_all(&making) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(said(&making, &error)),
        _ => Ok(()),
    }
}

/// From here on the new set counts, whatever happens. Its files are durable already.
///
/// # Errors
/// One line; the old set counts then, unless only the sync of the folder failed.
pub fn commit(data: &Path) -> Result<(), String> {
    let making = data.join(MAKING);
    let commit = || -> io::Result<()> {
        let shards = stored_shards(&making).map_err(io::Error::other)?.unwrap_or(0);
        for number in 0..shards {
            sync(&making.join(shard(number)))?;
        }
        sync(&making)?;
        fs::rename(&making, data.join(COMPLETE))?;
        sync(data)
    };
    commit().map_err(|error| said(&making, &error))
}

/// Puts a complete set into its place and removes the old one; does nothing if there is none.
///
/// # Errors
/// One line; the new set still counts, and this is to be done again.
pub fn finish(data: &Path) -> Result<(), String> {
    let complete = data.join(COMPLETE);
    if !is_pending(data) {
        return Ok(());
    }
    let finish = || -> io::Result<()> {
        // Without its number of shards everything is in its place, and only what is old is left.
        if let Some(shards) = stored_shards(&complete).map_err(io::Error::other)? {
            put_aside(data, &complete, shards)?;
            for number in 0..shards {
                move_if_there(&complete.join(shard(number)), &data.join(shard(number)))?;
            }
            sync(data)?;
            sync(&complete)?;
            move_if_there(&complete.join(SHARDS_FILE), &data.join(SHARDS_FILE))?;
            sync(data)?;
            sync(&complete)?;
        }
        fs::remove_dir_all(&complete)?;
        sync(data)
    };
    finish().map_err(|error| said(&complete, &error))
}

/// Moves the old set's folders out of the way of those that are yet to come.
fn put_aside(data: &Path, complete: &Path, shards: u16) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|name| name.strip_prefix("shard-")?.parse::<u16>().ok())
        else {
            continue;
        };
        // What has come to its place already is the new set's.
        if number >= shards || complete.join(shard(number)).exists() {
            fs::rename(data.join(&name), complete.join(format!("old-{number:03}")))?;
        }
    }
    sync(data)?;
    sync(complete)
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn said(folder: &Path, error: &io::Error) -> String {
    format!("{}: {error}; make room or check its owner, and do it again", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a set of shards, each of which has a file that says whose it is.
    fn filled(folder: &Path, shards: u16, whose: &str) {
        for number in 0..shards {
            fs::create_dir_all(folder.join(shard(number))).expect("made");
            fs::write(folder.join(shard(number)).join("0000000001.seg"), whose).expect("written");
        }
        write_shards(folder, shards).expect("written");
    }

    fn whose(data: &Path) -> Vec<String> {
        let shards = stored_shards(data).expect("a number").expect("there");
        let read = |number| fs::read_to_string(data.join(shard(number)).join("0000000001.seg"));
        assert!(!data.join(shard(shards)).exists(), "no shard beyond");
        (0..shards).map(|number| read(number).expect("it is there")).collect()
    }

    #[test]
    fn a_set_takes_the_place_of_another() {
        for (old, new) in [(1, 3), (3, 1), (2, 2)] {
            let data = tempfile::tempdir().expect("a folder");
            filled(data.path(), old, "old");
            let making = begin(data.path(), new).expect("made");
            filled(&making, new, "new");
            assert_eq!(whose(data.path()), vec!["old"; usize::from(old)]);
            commit(data.path()).expect("complete");
            assert!(is_pending(data.path()));
            finish(data.path()).expect("in its place");
            finish(data.path()).expect("nothing is left to do");
            assert!(!is_pending(data.path()));
            assert_eq!(whose(data.path()), vec!["new"; usize::from(new)]);
            assert_eq!(fs::read_dir(data.path()).expect("listed").count(), usize::from(new) + 1);
        }
    }

    /// Every state that a cut between two renames of `finish` leaves.
    #[test]
    fn cut_between_any_two_steps_it_is_finished_by_the_next() {
        for steps in 0..=7 {
            let data = tempfile::tempdir().expect("a folder");
            let complete = data.path().join(COMPLETE);
            filled(data.path(), 3, "old");
            filled(&begin(data.path(), 2).expect("made"), 2, "new");
            commit(data.path()).expect("complete");
            let renames = [
                (data.path().join(shard(2)), complete.join("old-002")),
                (data.path().join(shard(0)), complete.join("old-000")),
                (data.path().join(shard(1)), complete.join("old-001")),
                (complete.join(shard(0)), data.path().join(shard(0))),
                (complete.join(shard(1)), data.path().join(shard(1))),
                (complete.join(SHARDS_FILE), data.path().join(SHARDS_FILE)),
            ];
            renames.iter().take(steps).for_each(|(from, to)| fs::rename(from, to).expect("renamed"));
            if steps == 7 {
                fs::remove_dir_all(complete.join("old-000")).expect("removed");
            }
            finish(data.path()).expect("in its place");
            assert_eq!(whose(data.path()), ["new", "new"], "after {steps} steps");
            assert!(!complete.exists());
        }
    }

    #[test]
    fn what_was_not_completed_is_thrown_away() {
        let data = tempfile::tempdir().expect("a folder");
        filled(data.path(), 1, "old");
        filled(&begin(data.path(), 2).expect("made"), 2, "half");
        finish(data.path()).expect("nothing to do");
        assert_eq!(whose(data.path()), ["old"]);
        let again = begin(data.path(), 4).expect("made anew");
        assert!(!again.join(shard(0)).join("0000000001.seg").exists());
        discard(data.path()).expect("removed");
        assert!(!again.exists());
    }
}
