//! Files that somebody else may have put there.
//!
//! *Owns*: opening one that is to be read. *Promises*: never waits, and opens neither what a symbolic link names nor
//! a pipe, a socket or a device. *Assumes*: whoever names the folder trusts the path to it. *Never*: writes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why a link is passed over.
pub const IS_LINK: &str = "it is a symbolic link, and those are not followed";

/// Opens a plain file.
///
/// # Errors
/// There is none, it is something else, or it cannot be opened.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(io::ErrorKind::InvalidInput, IS_LINK),
        _ => error,
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file")),
    }
}

/// Whether there is a folder, and no link to one.
pub fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| about.is_dir())
}

/// Whether there is a symbolic link.
pub fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|about| about.is_symlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_pipes_folders_and_devices_are_no_plain_files() {
        let root = tempfile::tempdir().expect("a folder");
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| root.path().join(name));
        std::fs::write(&file, "x").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success() && open_plain(&file).is_ok());
        let why = |path: &Path| open_plain(path).map(drop).map_err(|error| error.to_string());
        assert_eq!(why(&link), Err(IS_LINK.to_owned()));
        for other in [&pipe, root.path(), Path::new("/dev/zero")] {
            assert_eq!(why(other), Err("it is no plain file".to_owned()), "{}", other.display());
        }
        assert_eq!(
            open_plain(&root.path().join("none")).map(drop).map_err(|e| e.kind()),
            Err(io::ErrorKind::NotFound)
        );
        assert!(is_folder(root.path()) && !is_folder(&link) && is_link(&link) && !is_link(&file));
    }
}
