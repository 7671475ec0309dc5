//! One file of a backup: linked, copied, or there already.
//!
//! *Owns*: how a file gets into the folder. *Promises*: a name appears with all its bytes, which are durable; what
//! is there under a name is the same file, or the run ends. *Assumes*: listed files never change. *Never*: replaces
//! anything by something else.
//!
//! A link is a copy because sealed segments and finished checkpoints never change. Where there can be no link
//! (another file system, or one without links), octets are copied, and the first time says why.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::manifest::put;
use crate::limits::{BACKUP_COMPARED_BYTES, BACKUP_OPEN_FILES_MAX, BACKUP_SMALL_FILE_BYTES_MAX};

/// How a file came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// By a hard link now.
    Linked,
    /// By copying now.
    Copied,
    /// By an earlier run.
    Kept,
}

/// Why it is not there.
#[derive(Debug)]
pub enum Fault {
    /// The server has removed it since it was listed: list again.
    Gone,
    /// In words.
    Told(String),
}

/// See the module's head.
#[derive(Default)]
pub struct Placer {
    /// Why octets are copied; none while links are made.
    copying: Option<String>,
    /// Files of checkpoints, which the server may remove before their turn comes.
    held: BTreeMap<String, File>,
}

impl Placer {
    /// Links where that is possible; copies everything if `copy`.
    pub fn new(copy: bool) -> Placer {
        Placer { copying: copy.then(|| "asked for".to_string()), held: BTreeMap::new() }
    }

    /// Why octets are copied, if they are.
    pub fn copying(&self) -> Option<&str> {
        self.copying.as_deref()
    }

    /// Opens a file that may be removed soon: its octets stay readable. Beyond a bound it takes its chance.
    pub fn hold(&mut self, path: &str, from: &Path) -> Result<(), Fault> {
        if self.held.len() < BACKUP_OPEN_FILES_MAX {
            let file = File::open(from).map_err(|error| gone_or(from, "cannot be read", &error))?;
            self.held.insert(path.to_string(), file);
        }
        Ok(())
    }

    /// Lets go of what was held for the list before.
    pub fn release(&mut self) {
        self.held.clear();
    }

    /// Whether `to`, if it is there, is the same file as `from` or a copy of it.
    pub fn check(&self, from: &Path, to: &Path) -> Result<(), Fault> {
        let source = fs::metadata(from).map_err(|error| gone_or(from, "cannot be read", &error))?;
        self.there("", &source, from, to).map(|_there| ())
    }

    /// Puts the file of `bytes` at `from` under `to`. Returns its bytes.
    pub fn place(
        &mut self,
        path: &str,
        bytes: Option<u64>,
        from: &Path,
        to: &Path,
    ) -> Result<(Placed, u64), Fault> {
        let source = match self.held.get(path) {
            Some(file) => file.metadata(),
            None => fs::metadata(from),
        };
        let source = source.map_err(|error| gone_or(from, "cannot be read", &error))?;
        let len = source.len();
        if bytes.is_some_and(|bytes| bytes != len) {
            return Err(Fault::Gone);
        }
        match self.there(path, &source, from, to)? {
            Some(true) => return Ok((Placed::Kept, len)),
            // It is linked, and a copy is wanted.
            Some(false) => return self.copy(path, len, from, to),
            None => {}
        }
        if self.copying.is_none() {
            match fs::hard_link(from, to) {
                Ok(()) => return Ok((Placed::Linked, len)),
                Err(error) if cannot_link(&error) => self.copying = Some(error.to_string()),
                Err(error) => return Err(gone_or(from, "cannot be linked into the backup", &error)),
            }
        }
        self.copy(path, len, from, to)
    }

    /// Whether the file is there: none if not, else whether it may stay as it is.
    fn there(&self, path: &str, source: &Metadata, from: &Path, to: &Path) -> Result<Option<bool>, Fault> {
        let there = match fs::metadata(to) {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::Told(format!("{}: {error}", to.display()))),
        };
        if (there.dev(), there.ino()) == (source.dev(), source.ino()) {
            return Ok(Some(self.copying.is_none()));
        }
        let open = |path: &Path| File::open(path).map_err(|error| gone_or(path, "cannot be read", &error));
        let same = there.len() == source.len() && {
            let (held, ours) = (self.held.get(path), open(to)?);
            let opened = if held.is_none() { Some(open(from)?) } else { None };
            let source = held.or(opened.as_ref()).ok_or(Fault::Gone)?;
            ends(source, there.len()).ok().zip(ends(&ours, there.len()).ok()).is_some_and(|(a, b)| a == b)
        };
        match same {
            true => Ok(Some(true)),
            false => Err(other_store(to)),
        }
    }

    fn copy(&self, path: &str, len: u64, from: &Path, to: &Path) -> Result<(Placed, u64), Fault> {
        let opened = match self.held.contains_key(path) {
            true => None,
            false => Some(File::open(from).map_err(|error| gone_or(from, "cannot be read", &error))?),
        };
        let mut source = self.held.get(path).or(opened.as_ref()).ok_or(Fault::Gone)?;
        let unready = to.with_added_extension("part");
        let mut write = || -> io::Result<u64> {
            let mut options = File::options();
            let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(&unready)?;
            let copied = io::copy(&mut source, &mut out)?;
            out.sync_all()?;
            fs::rename(&unready, to)?;
            Ok(copied)
        };
        match write() {
            Ok(copied) if copied == len => Ok((Placed::Copied, len)),
            Ok(copied) => Err(Fault::Told(format!("{}: {copied} of {len} bytes were there", from.display()))),
            Err(error) => Err(Fault::Told(format!("{}: cannot be copied: {error}", to.display()))),
        }
    }
}

/// Puts a small file that somebody may change under `to`, if it differs; with the same mode.
pub fn place_small(from: &Path, to: &Path) -> Result<(Placed, u64), Fault> {
    let told = |error: io::Error| Fault::Told(format!("{}: {error}", from.display()));
    let facts = fs::metadata(from).map_err(told)?;
    if facts.len() > BACKUP_SMALL_FILE_BYTES_MAX {
        let bytes = facts.len();
        return Err(Fault::Told(format!(
            "{}: {bytes} bytes, at most {BACKUP_SMALL_FILE_BYTES_MAX} are backed up: move it out of the data folder",
            from.display()
        )));
    }
    let octets = fs::read(from).map_err(told)?;
    let bytes = octets.len() as u64;
    if fs::read(to).is_ok_and(|there| there == octets) {
        return Ok((Placed::Kept, bytes));
    }
    put(to, facts.permissions().mode() & 0o777, &octets)
        .map_err(|error| Fault::Told(format!("{}: {error}", to.display())))?;
    Ok((Placed::Copied, bytes))
}

/// What is under a name of ours is not what the server has under it.
fn other_store(to: &Path) -> Fault {
    Fault::Told(format!(
        "{} is of another store, or of this one before an older backup was restored or its number of shards was \
         changed: choose another folder",
        to.display()
    ))
}

/// Both ends of a file: headers at the front, for a checkpoint sums at the back.
fn ends(file: &File, len: u64) -> io::Result<[Vec<u8>; 2]> {
    let piece = (BACKUP_COMPARED_BYTES as u64).min(len);
    let read = |offset| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; piece as usize];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    };
    Ok([read(0)?, read(len - piece)?])
}

/// Whether there can be no link between these two places, as opposed to a mistake.
fn cannot_link(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EXDEV | libc::EPERM | libc::EMLINK | libc::EOPNOTSUPP | libc::ENOSYS)
    )
}

fn gone_or(path: &Path, what: &str, error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::NotFound => Fault::Gone,
        _ => Fault::Told(format!("{}: {what}: {error}; run as the data folder's owner", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0000000001.seg";

    #[test]
    fn a_file_is_linked_once_copied_when_asked_and_never_taken_for_another() {
        let (data, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (data.path().join(NAME), backup.path().join(NAME));
        let place = |copy: bool| Placer::new(copy).place(NAME, Some(9_000), &from, &to);
        assert!(matches!(place(false), Err(Fault::Gone)));
        fs::write(&from, [7; 9_000]).unwrap();
        assert!(matches!(place(false), Ok((Placed::Linked, 9_000))));
        assert!(matches!(place(false), Ok((Placed::Kept, 9_000))));
        assert!(matches!(place(true), Ok((Placed::Copied, 9_000))));
        assert_eq!((fs::metadata(&from).unwrap().nlink(), fs::read(&to).unwrap()), (1, vec![7; 9_000]));
        // A copy of the same is as good as a link.
        assert!(matches!((place(true), place(false)), (Ok((Placed::Kept, _)), Ok((Placed::Kept, _)))));
        fs::write(&from, [[7; 4_500], [8; 4_500]].concat()).unwrap();
        assert!(matches!(place(false), Err(Fault::Told(why)) if why.contains("another store")));
        fs::write(&from, [7; 100]).unwrap();
        assert!(matches!(place(false), Err(Fault::Gone)), "not what was listed");
    }

    #[test]
    fn what_is_held_is_copied_after_it_was_removed() {
        let (data, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (data.path().join(NAME), backup.path().join(NAME));
        fs::write(&from, "checkpoint").unwrap();
        let mut placer = Placer::new(true);
        placer.hold(NAME, &from).unwrap();
        fs::remove_file(&from).unwrap();
        assert!(matches!(placer.place(NAME, None, &from, &to), Ok((Placed::Copied, 10))));
        assert_eq!(fs::read(&to).unwrap(), b"checkpoint");
        placer.release();
        assert!(matches!(placer.place(NAME, None, &from, &to), Err(Fault::Gone)));
    }

    #[test]
    fn small_files_follow_their_source_with_its_mode() {
        let (data, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (data.path().join("url.key"), backup.path().join("url.key"));
        fs::write(&from, "secret").unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(place_small(&from, &to), Ok((Placed::Copied, 6))));
        assert!(matches!(place_small(&from, &to), Ok((Placed::Kept, 6))));
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&from, "other").unwrap();
        assert!(matches!(place_small(&from, &to), Ok((Placed::Copied, 5))));
        assert_eq!(fs::read(&to).unwrap(), b"other");
    }
}
