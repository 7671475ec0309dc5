//! The forms that mail has outside of a store.
//!
//! *Owns*: which forms there are, and how their files are read. *Promises*: a file that is missing and one that cannot
//! be read are never taken for each other. *Assumes*: nobody changes a tree that is read. *Never*: writes over what is
//! there.

mod eml;
mod maildir;
mod mbox;
mod quoting;

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

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
    match fs::read(path) {
        Ok(octets) => Ok(String::from_utf8_lossy(&octets).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(told(path, &error)),
    }
}

/// A name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// For whoever reads it; what is no UTF-8 in it is replaced.
    text: String,
    /// As the file is found by.
    own: OsString,
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
        names.push(Name { text: own.to_string_lossy().into_owned(), own });
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
    }
}
