//! What a backup says of itself.
//!
//! *Owns*: `backup.json` and `backup.partial`: their form, and reading and writing them. *Promises*: `backup.json` is
//! there only while every file that it names is durable in the folder; a path in it leads nowhere but into the folder.
//! *Assumes*: the folder is locked by whoever writes. *Never*: trusts a path without looking at it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

use crate::limits::{BACKUP_FILES_MAX, BACKUP_MANIFEST_BYTES_MAX};

/// The manifest's file.
pub const MANIFEST: &str = "backup.json";
/// The same of a run that has not come to its end: what it may have put into the folder.
pub const PARTIAL: &str = "backup.partial";
/// What a server makes of the manifest when it is started on a backup.
const RESTORED: &str = "restored.json";
/// The form of both. A greater one is refused.
const FORMAT: u32 = 1;

/// What a folder holds as a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form.
    format: u32,
    /// When the server was asked, milliseconds since 1970: all that it had acknowledged before is in it.
    pub made_ms: u64,
    /// The same, for people.
    pub made: String,
    /// The program that made it.
    pub version: String,
    /// Up to where each shard goes.
    pub shards: Vec<ShardMade>,
    /// Paths in the folder, and bytes.
    pub files: BTreeMap<String, u64>,
}

/// A shard in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMade {
    /// Which.
    pub shard: u16,
    /// Where its log ends in the backup.
    pub position: u64,
}

impl Manifest {
    /// Begins one, now.
    pub fn new(shards: Vec<ShardMade>, files: BTreeMap<String, u64>) -> Manifest {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let made_ms = now.as_millis() as u64;
        let (made, version) = (crate::log::moment(made_ms), env!("CARGO_PKG_VERSION").to_string());
        Manifest { format: FORMAT, made_ms, made, version, shards, files }
    }

    /// The manifest of a folder; none if it holds no backup that came to its end.
    ///
    /// # Errors
    /// One line when it cannot be read or is not understood.
    pub fn read(folder: &Path) -> Result<Option<Manifest>, String> {
        read(&folder.join(MANIFEST))
    }

    /// What a run that was cut short may have left; none if the last one came to its end.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn read_partial(folder: &Path) -> Result<Option<Manifest>, String> {
        read(&folder.join(PARTIAL))
    }

    /// Writes it durably under `name`.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(), String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        put(&folder.join(name), 0o600, &bytes)
            .map_err(|error| format!("{}: cannot be written: {error}", folder.join(name).display()))
    }

    /// What of it the folder does not hold: path and what is wrong.
    pub fn missing(&self, folder: &Path) -> Vec<(String, String)> {
        let wrong = |(path, bytes): (&String, &u64)| match fs::metadata(folder.join(path)) {
            Ok(there) if there.len() == *bytes => None,
            Ok(there) => Some((path.clone(), format!("has {} bytes instead of {bytes}", there.len()))),
            Err(error) => Some((path.clone(), error.to_string())),
        };
        self.files.iter().filter_map(wrong).collect()
    }
}

fn read(path: &Path) -> Result<Option<Manifest>, String> {
    let told = |why: String| format!("{}: {why}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(format!("cannot be read: {error}; run as the backup's owner"))),
    };
    let mut bytes = Vec::new();
    file.take(BACKUP_MANIFEST_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| told(error.to_string()))?;
    let manifest: Manifest = serde_json::from_slice(&bytes)
        .map_err(|error| told(format!("is no manifest of a backup ({error}): choose an empty folder")))?;
    if manifest.format > FORMAT {
        return Err(told(format!("has form {}, known is {FORMAT}: use a newer ringpost", manifest.format)));
    }
    match manifest.files.keys().find(|path| !leads_inside(path)) {
        Some(path) => Err(told(format!("names {path:?}, which is no file of a backup"))),
        None if manifest.files.len() > BACKUP_FILES_MAX => {
            Err(told(format!("names more than {BACKUP_FILES_MAX} files")))
        }
        None => Ok(Some(manifest)),
    }
}

/// Whether a path is a file in the folder or in a folder in it.
fn leads_inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    let first = parts.next();
    let rest: Vec<_> = parts.collect();
    let normal = |part: &Component<'_>| matches!(part, Component::Normal(_));
    first.as_ref().is_some_and(normal) && rest.len() <= 1 && rest.iter().all(normal)
}

/// Writes beside, syncs, renames, syncs the folder: the whole file is durable, or it is as it was.
pub fn put(file: &Path, mode: u32, bytes: &[u8]) -> std::io::Result<()> {
    let unready = file.with_added_extension("part");
    let mut options = File::options();
    let mut out = options.write(true).create(true).truncate(true).mode(mode).open(&unready)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&unready, file)?;
    sync_folder(file.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What a server does with a folder that is a backup before it serves it: one that never came to its end, or that
/// lacks files of a shard, is refused, any other is a data folder from now on. A later run that was cut short has only
/// added to a log's end, and whatever else the manifest names, the operator may have changed for the new place.
///
/// # Errors
/// One line for the operator.
pub fn settle(data: &Path) -> Result<(), String> {
    let (manifest, partial) = (data.join(MANIFEST), data.join(PARTIAL));
    let missing = Manifest::read(data)?.map_or(Vec::new(), |manifest| manifest.missing(data));
    let mut lost = missing.iter().filter(|(path, _)| path.starts_with("shard-"));
    if let Some((path, what)) = lost.next() {
        return Err(format!(
            "{} is a backup of which {} files are missing or cut short, {path} among them ({what}): copy the whole \
             of it again",
            data.display(),
            lost.count() + 1
        ));
    }
    if !manifest.exists() && partial.exists() {
        return Err(format!(
            "{} is a backup that has not come to its end: run `ringpost backup` into it again, or restore another one",
            data.display()
        ));
    }
    let unless_missing = |path: &Path, done: std::io::Result<()>| match done {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("{}: cannot be put aside: {error}; check its owner", path.display()))
        }
        _ => Ok(()),
    };
    // In this order: a partial one alone would be refused at the next start.
    unless_missing(&partial, fs::remove_file(&partial))?;
    unless_missing(&manifest, fs::rename(&manifest, data.join(RESTORED)))?;
    sync_folder(data).map_err(|error| format!("{}: {error}", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(files: &[(&str, u64)]) -> Manifest {
        let files = files.iter().map(|(path, bytes)| ((*path).to_string(), *bytes)).collect();
        Manifest::new(vec![ShardMade { shard: 0, position: 77 }], files)
    }

    #[test]
    fn it_is_read_as_it_was_written_and_tells_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()), Ok(None));
        let manifest = sample(&[("shards", 2), ("shard-000/0000000001.seg", 4)]);
        manifest.write(folder.path(), MANIFEST).unwrap();
        assert_eq!(Manifest::read(folder.path()), Ok(Some(manifest.clone())));
        fs::write(folder.path().join("shards"), "2\n").unwrap();
        fs::create_dir(folder.path().join("shard-000")).unwrap();
        fs::write(folder.path().join("shard-000/0000000001.seg"), "123").unwrap();
        let missing = manifest.missing(folder.path());
        assert_eq!(missing.len(), 1);
        assert!(
            missing[0].0.ends_with(".seg") && missing[0].1.contains("3 bytes instead of 4"),
            "{missing:?}"
        );
    }

    #[test]
    fn paths_that_lead_elsewhere_and_newer_forms_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["/etc/passwd", "../up", "a/../../up", "a/b/c", "", "."] {
            sample(&[(path, 1)]).write(folder.path(), MANIFEST).unwrap();
            assert!(Manifest::read(folder.path()).unwrap_err().contains("no file of a backup"), "{path}");
        }
        Manifest { format: 2, ..sample(&[]) }.write(folder.path(), MANIFEST).unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().contains("newer ringpost"));
        fs::write(folder.path().join(MANIFEST), "{}").unwrap();
        assert!(Manifest::read(folder.path()).unwrap_err().contains("choose an empty folder"));
    }

    #[test]
    fn a_server_takes_a_whole_backup_for_its_own_and_refuses_half_of_one() {
        let folder = tempfile::tempdir().unwrap();
        settle(folder.path()).unwrap();
        sample(&[]).write(folder.path(), PARTIAL).unwrap();
        assert!(settle(folder.path()).unwrap_err().contains("ringpost backup"));
        sample(&[]).write(folder.path(), MANIFEST).unwrap();
        let segment = folder.path().join("shard-000/0000000001.seg");
        sample(&[("shard-000/0000000001.seg", 4), ("ringpost.toml", 9)])
            .write(folder.path(), MANIFEST)
            .unwrap();
        fs::create_dir(folder.path().join("shard-000")).unwrap();
        for octets in [None, Some("123")] {
            octets.map_or(Ok(()), |octets| fs::write(&segment, octets)).unwrap();
            let refused = settle(folder.path()).unwrap_err();
            assert!(refused.contains("1 files") && refused.contains("0000000001.seg"), "{refused}");
            assert!(Manifest::read(folder.path()).unwrap().is_some(), "it still says what is missing");
        }
        fs::write(&segment, "1234").unwrap();
        settle(folder.path()).unwrap();
        assert_eq!(
            (Manifest::read(folder.path()), Manifest::read_partial(folder.path())),
            (Ok(None), Ok(None))
        );
        assert!(folder.path().join(RESTORED).exists());
        settle(folder.path()).unwrap();
    }
}
