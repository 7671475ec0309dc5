//! The folder that a backup goes into.
//!
//! *Owns*: its lock, and which of its files are ours. *Promises*: a folder with anything in it that no backup made is
//! refused before a file is touched; nothing is removed that no manifest named. *Assumes*: nobody but `ringpost
//! backup` writes there. *Never*: looks into the data folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::manifest::{MANIFEST, Manifest, PARTIAL, sync_folder};
use crate::sys::process::lock_exclusive;

/// As a server names it: neither of the two takes a folder that the other has.
const LOCK: &str = "lock";
/// What a file is called while it is written.
const UNREADY: &str = ".part";

/// The folder, ours as long as this lives.
pub struct Folder {
    path: PathBuf,
    /// Every file that a backup may have put there.
    known: BTreeSet<String>,
    _lock: File,
}

impl Folder {
    /// Makes it if it is missing, locks it and learns what it holds.
    ///
    /// # Errors
    /// One line: who has it, or why it is not taken.
    pub fn take(path: &Path, data: &Path) -> Result<Folder, String> {
        let name = path.display();
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
            format!("{name}: cannot be made: {error}; choose a folder that this user may write to")
        })?;
        if path.canonicalize().ok().zip(data.canonicalize().ok()).is_some_and(|(path, data)| path == data) {
            return Err(format!("{name} is the data folder itself: choose another folder"));
        }
        let manifest = Manifest::read(path)?;
        let partial = Manifest::read_partial(path)?;
        if manifest.is_none() && partial.is_none() {
            check_empty(path)?;
        }
        let lock = lock(path)?;
        let known: BTreeSet<String> = [manifest, partial]
            .into_iter()
            .flatten()
            .flat_map(|manifest| manifest.files.into_keys())
            .collect();
        check_strangers(path, &known)?;
        Ok(Folder { path: path.to_owned(), known, _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes durably which files may come, before any of them does.
    pub fn announce(&mut self, files: impl Iterator<Item = String>) -> Result<(), String> {
        self.known.extend(files);
        let files: BTreeMap<String, u64> = self.known.iter().map(|path| (path.clone(), 0)).collect();
        Manifest::new(Vec::new(), files).write(&self.path, PARTIAL)
    }

    /// All files of `manifest` are there: it counts from now on. Removes what it does not name, and says how many
    /// files that were.
    pub fn complete(self, manifest: &Manifest) -> Result<u64, String> {
        let told = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let mut folders: BTreeSet<PathBuf> = BTreeSet::from([self.path.clone()]);
        let parent = |path: &String| self.path.join(path).parent().map(Path::to_owned);
        folders.extend(manifest.files.keys().filter_map(parent));
        folders.iter().try_for_each(|folder| sync_folder(folder)).map_err(told)?;
        manifest.write(&self.path, MANIFEST)?;
        let mut removed = 0;
        for path in self.known.iter().filter(|path| !manifest.files.contains_key(*path)) {
            match fs::remove_file(self.path.join(path)) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(format!("{path}: cannot be removed from the backup: {error}")),
            }
        }
        folders.iter().try_for_each(|folder| sync_folder(folder)).map_err(told)?;
        fs::remove_file(self.path.join(PARTIAL)).map_err(told)?;
        sync_folder(&self.path).map_err(told)?;
        Ok(removed)
    }
}

fn lock(folder: &Path) -> Result<File, String> {
    let path = folder.join(LOCK);
    let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| format!("{}: {error}; run as the backup's owner", path.display()))?;
    match lock_exclusive(&file) {
        Ok(()) => Ok(file),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Err(format!(
            "{} is in use by a server or by another backup: wait for it or choose another folder",
            folder.display()
        )),
        Err(error) => Err(format!("{}: cannot be locked: {error}", path.display())),
    }
}

fn entries(folder: &Path) -> Result<Vec<(String, bool)>, String> {
    let list = || -> std::io::Result<Vec<(String, bool)>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            entries.push((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_dir()));
        }
        Ok(entries)
    };
    list().map_err(|error| format!("{}: {error}; run as the backup's owner", folder.display()))
}

fn check_empty(folder: &Path) -> Result<(), String> {
    match entries(folder)?.into_iter().find(|(name, _)| name != LOCK && name != "lost+found") {
        Some((name, _)) => Err(format!(
            "{} holds {name} and no backup: choose an empty folder, or one that `ringpost backup` made and no server \
             has been started on",
            folder.display()
        )),
        None => Ok(()),
    }
}

/// Refuses files of shards that no backup put there, and removes what an earlier run was writing when it ended.
fn check_strangers(folder: &Path, known: &BTreeSet<String>) -> Result<(), String> {
    for (shard, _) in
        entries(folder)?.iter().filter(|(name, is_folder)| *is_folder && name.starts_with("shard-"))
    {
        for (name, _) in entries(&folder.join(shard))? {
            let path = format!("{shard}/{name}");
            let unready = path.strip_suffix(UNREADY).is_some_and(|path| known.contains(path));
            if unready {
                let told = |error| format!("{path}: cannot be removed from the backup: {error}");
                fs::remove_file(folder.join(&path)).map_err(told)?;
            } else if !known.contains(&path) {
                return Err(format!(
                    "{} holds {path}, which no backup put there: choose another folder",
                    folder.display()
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(folder: &Path) -> Result<Folder, String> {
        Folder::take(folder, Path::new("/nowhere"))
    }

    #[test]
    fn only_what_a_manifest_named_is_removed_and_only_when_the_next_counts() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            fs::create_dir_all(folder.path().join("shard-000")).unwrap();
            fs::write(folder.path().join(path), "x").unwrap();
        };
        let (old, new) = ("shard-000/0000000001.ckp", "shard-000/0000000002.ckp");
        let manifest = |path: &str| Manifest::new(Vec::new(), BTreeMap::from([(path.to_string(), 1)]));
        let mut first = taken(folder.path()).unwrap();
        first.announce([old.to_string()].into_iter()).unwrap();
        put(old);
        assert_eq!(first.complete(&manifest(old)), Ok(0));
        // Cut short: both are ours, and neither is removed.
        let mut second = taken(folder.path()).unwrap();
        second.announce([new.to_string()].into_iter()).unwrap();
        put(new);
        put(&format!("{new}.part"));
        drop(second);
        assert!(folder.path().join(PARTIAL).exists());
        let mut third = taken(folder.path()).unwrap();
        assert!(!folder.path().join(format!("{new}.part")).exists());
        third.announce(std::iter::empty()).unwrap();
        assert_eq!(third.complete(&manifest(new)), Ok(1));
        assert!(!folder.path().join(old).exists() && !folder.path().join(PARTIAL).exists());
        put("shard-000/0000000009.seg");
        assert!(taken(folder.path()).err().unwrap().contains("0000000009.seg, which no backup put there"));
    }

    #[test]
    fn a_folder_that_is_something_else_or_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Folder::take(folder.path(), folder.path()).err().unwrap().contains("data folder itself"));
        let held = taken(folder.path()).unwrap();
        assert!(taken(folder.path()).err().unwrap().contains("in use"));
        drop(held);
        fs::write(folder.path().join("shards"), "2").unwrap();
        assert!(taken(folder.path()).err().unwrap().contains("holds shards and no backup"));
    }
}
