//! The forms that mail has outside of a store.
//!
//! *Owns*: which forms there are, and how their files are read. *Promises*: a file that is missing and one that
//! cannot be read are never taken for each other; bounded reads. *Assumes*: nobody changes a tree that is read.
//! *Never*: writes over what is there, or follows a symbolic link below what was named: whose mail it is may have
//! made it.

mod eml;
mod maildir;
mod mbox;
mod quoting;

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use ringpost::sys::plain::{IS_LINK, open_plain};

use super::{Sink, Source};
use crate::Failure;

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A Maildir++: INBOX, and a folder .A.B for each mailbox A/B
    Maildir,
    /// One mbox file a folder, lines that begin with >*From quoted by one > more
    Mboxrd,
    /// One mbox file a folder, only lines that begin with From quoted: what began with >From loses its >
    Mboxo,
    /// One .eml file a message, in a folder for each mailbox, with an index.jsonl for flags and dates
    Eml,
    /// The same in one tar file (export only; unpack it to import it)
    Tar,
}

impl Format {
    /// What is there.
    pub fn source(self, path: &Path, mailbox: &str) -> Result<Box<dyn Source>, Failure> {
        match self {
            Format::Maildir => Ok(Box::new(maildir::Maildir::open(path, mailbox)?)),
            Format::Mboxrd => Ok(Box::new(mbox::Mbox::open(path, mailbox, quoting::Quoting::Every)?)),
            Format::Mboxo => Ok(Box::new(mbox::Mbox::open(path, mailbox, quoting::Quoting::Plain)?)),
            Format::Eml => Ok(Box::new(eml::EmlFolder::open(path, mailbox)?)),
            Format::Tar => Err("unpack the tar file, and import the folder as eml".to_owned()),
        }
    }

    /// What is to be made; it must not be there.
    pub fn sink(self, path: &Path) -> Result<Box<dyn Sink>, Failure> {
        match self {
            Format::Maildir => Ok(Box::new(maildir::Making::new(path)?)),
            Format::Mboxrd => Ok(Box::new(mbox::Making::new(path, quoting::Quoting::Every)?)),
            Format::Mboxo => Ok(Box::new(mbox::Making::new(path, quoting::Quoting::Plain)?)),
            Format::Eml => Ok(Box::new(eml::Making::new(eml::Tree::folder(path)?))),
            Format::Tar => Ok(Box::new(eml::Making::new(eml::Tree::tar(path)?))),
        }
    }
}

/// What the operating system said of a file.
fn told(path: &Path, error: &std::io::Error) -> Failure {
    format!("{}: {error}", path.display())
}

/// What a file says that need not be there; nothing when it is not. One that cannot be read is told: the flags, the
/// order or the subscriptions that it holds must not go missing unseen.
fn beside(path: &Path) -> Result<String, Failure> {
    match read_bounded(path, BESIDE_BYTES_MAX).map(|(octets, _)| octets) {
        Ok(octets) => Ok(String::from_utf8_lossy(&octets).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(told(path, &error)),
    }
}

/// Octets of a list of UIDs, an index or the like.
const BESIDE_BYTES_MAX: u64 = 1 << 30;

/// A plain file of so many octets at most, and what is known of it.
fn read_bounded(path: &Path, bytes_max: u64) -> io::Result<(Vec<u8>, fs::Metadata)> {
    let file = open_plain(path)?;
    let about = file.metadata()?;
    let mut octets = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut octets)?;
    match octets.len() as u64 <= bytes_max {
        true => Ok((octets, about)),
        false => Err(io::Error::other(format!("{} octets, more than {bytes_max}", about.len()))),
    }
}

/// What has a name in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Folder,
    /// A link that leads to a folder; it is not followed.
    LinkedFolder,
    /// Whatever else: opening it tells.
    Other,
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// For whoever reads it; what is no UTF-8 in it is replaced.
    text: String,
    /// As the file is found by.
    own: OsString,
    kind: Kind,
}

impl Name {
    /// Whether it is what it reads as.
    fn is_text(&self) -> bool {
        self.own == *self.text
    }
}

/// The names in a folder, in order.
fn listed(folder: &Path) -> Result<Vec<Name>, Failure> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| told(folder, &error))? {
        let entry = entry.map_err(|error| told(folder, &error))?;
        let own = entry.file_name();
        let kind = match entry.file_type().map_err(|error| told(folder, &error))? {
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() && entry.path().is_dir() => Kind::LinkedFolder,
            _ => Kind::Other,
        };
        names.push(Name { kind, text: own.to_string_lossy().into_owned(), own });
    }
    names.sort_unstable();
    Ok(names)
}

/// What is passed over, for [`Source::passed_over`].
type PassedOver = Vec<(String, String)>;

/// Why a folder or file of mail gives no mailbox.
const NO_NAME: &str = "its name is that of no mailbox (no UTF-8, or badly encoded): rename it";
/// Why one lies too deep.
const TOO_DEEP: &str = "it lies deeper than a mailbox may: move it";

/// When a file was last written, milliseconds since 1970.
fn modified_ms(data: &fs::Metadata) -> u64 {
    let since = data.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since.unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_says_nothing_and_one_that_cannot_be_read_is_told() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("subscriptions");
        assert_eq!(beside(&path), Ok(String::new()));
        fs::write(&path, "Work\n").unwrap();
        assert_eq!(beside(&path), Ok("Work\n".to_owned()));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(beside(&path).is_err_and(|why| why.contains("subscriptions")));
        assert!(read_bounded(Path::new("/dev/zero"), 9).is_err());
    }
}
