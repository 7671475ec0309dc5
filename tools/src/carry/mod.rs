//! Mail carried in and out: `import` and `export`.
//!
//! *Owns*: [`Mail`] and who reads ([`Source`]) and writes ([`Sink`]) it. *Promises*: a message at a time in memory.
//! *Assumes*: octets as they are sent. *Never*: knows a form; those are in `formats`.
//!
//! Reading order: this, `formats`, `export`, `import`.

pub mod export;
mod formats;
pub mod import;
mod known;
mod names;

use ringpost_engine::change::Flags;
use ringpost_engine::limits::BODY_BYTES_MAX;

use crate::Failure;

pub use formats::Format;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Where it was found, for whoever looks for it.
    pub place: String,
    /// Its octets as they are sent.
    pub octets: Vec<u8>,
    /// Its flags.
    pub flags: Flags,
    /// Its INTERNALDATE, milliseconds since 1970.
    pub internal_ms: u64,
}

/// What a source has in a place.
#[derive(Debug)]
pub enum Found {
    /// A message.
    Mail(Mail),
    /// Something that is none, or cannot be read.
    Unreadable {
        /// Where.
        place: String,
        /// Why.
        why: String,
    },
}

/// Where mail is read from.
pub trait Source {
    /// The folders, by their names here; a folder's inferiors come after it.
    fn folders(&self) -> Vec<String>;
    /// Tells every message of the `at`-th folder, in order.
    fn each(&mut self, at: usize, tell: &mut dyn FnMut(Found) -> Result<(), Failure>) -> Result<(), Failure>;
    /// What lies there and is passed over though it may hold mail: where, and why.
    fn passed_over(&self) -> &[(String, String)];
    /// Folders that somebody has subscribed to.
    fn subscriptions(&self) -> Result<Vec<String>, Failure>;
}

/// Where mail is written to.
pub trait Sink {
    /// The messages that follow are in this folder. Returns whether its name could be kept.
    fn folder(&mut self, folder: &Folder) -> Result<bool, Failure>;
    /// A message of the folder. Returns what of it could not be kept, if anything.
    fn mail(&mut self, uid: u32, mail: &Mail) -> Result<Option<&'static str>, Failure>;
    /// There is no more.
    fn finish(&mut self, subscriptions: &[String]) -> Result<(), Failure>;
}

/// A folder on its way out.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Its name, levels split by `/`.
    pub name: String,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: u32,
}

/// Octets as they are sent, of a file: if its first line ends by LF alone, its lines do, and get CRLF.
fn as_sent(octets: Vec<u8>) -> Vec<u8> {
    let first = octets.iter().position(|&octet| octet == b'\n');
    let is_lf = first.is_some_and(|at| at == 0 || octets[at - 1] != b'\r');
    if is_lf { with_crlf(&octets) } else { octets }
}

/// Every LF that stands alone becomes CRLF.
fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(octets.len() + octets.len() / 32);
    let mut before = 0;
    for &octet in octets {
        if octet == b'\n' && before != b'\r' {
            sent.push(b'\r');
        }
        sent.push(octet);
        before = octet;
    }
    sent
}

/// Whether a message is larger than a store takes.
fn too_large(octets: u64) -> Option<String> {
    let fits = octets <= BODY_BYTES_MAX as u64;
    (!fits).then(|| format!("{octets} octets, more than the {BODY_BYTES_MAX} that a store takes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_how_lines_end() {
        for (file, sent) in [
            (&b"a\nb\r\n\n"[..], &b"a\r\nb\r\n\r\n"[..]),
            (b"a\r\nb\n", b"a\r\nb\n"),
            (b"\n", b"\r\n"),
            (b"a\rb", b"a\rb"),
            (b"", b""),
        ] {
            assert_eq!(as_sent(file.to_vec()), sent);
        }
    }
}
