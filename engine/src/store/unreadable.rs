//! Bytes that somebody wanted and could not have.
//!
//! *Owns*: runs of files that the disk does not give, as far as this process knows. *Promises*: from the moment on in
//! which the store is told, a message that needs one of them is shown to nobody, and the file is looked at by scrub,
//! which finds out whose messages they are and has the log know; what can be read again is served again. *Assumes*:
//! whoever reads for a client tells. *Never*: more than `limits::UNREADABLE_RUNS_MAX` of them: what is not noted is
//! found by the next reader.

use super::{BodyRef, Store};
use crate::io::{Extent, FileId};
use crate::limits::UNREADABLE_RUNS_MAX;
use crate::octets::Octets;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Unreadable(Vec<Extent>);

impl Unreadable {
    fn add(&mut self, extent: Extent) {
        if self.0.len() < UNREADABLE_RUNS_MAX && !self.0.contains(&extent) {
            self.0.push(extent);
        }
    }

    /// All of a file could be read.
    pub fn forget(&mut self, file: FileId) {
        self.0.retain(|extent| extent.file != file);
    }

    fn touches(&self, wanted: &Extent) -> bool {
        let end = |extent: &Extent| extent.offset + u64::from(extent.len);
        self.0.iter().any(|known| {
            known.file == wanted.file && known.offset < end(wanted) && wanted.offset < end(known)
        })
    }
}

impl Store {
    /// These bytes were wanted, and the disk does not give them. Messages that need them are not shown from now on, and
    /// scrub looks at the file next.
    pub fn unreadable(&mut self, extent: Extent) {
        self.scrub.unreadable.add(extent);
        self.doubt(extent.file);
    }

    /// Something of this file is not what was written, it seems: scrub looks at it next.
    pub fn doubt(&mut self, file: FileId) {
        self.scrub.scrubber.look_at(file);
    }

    /// Whether the disk has refused nothing of it so far.
    pub fn is_readable(&self, body: &BodyRef) -> bool {
        self.scrub.unreadable.0.is_empty() || self.is_there(&body.summary) && self.can_be_had(body.bytes)
    }

    /// The same of some bytes.
    pub(super) fn is_there(&self, extent: &Extent) -> bool {
        self.scrub.unreadable.0.is_empty() || !self.scrub.unreadable.touches(extent)
    }

    /// The same of some bytes.
    pub fn can_be_read(&self, extent: Extent) -> bool {
        !self.scrub.unreadable.touches(&extent)
    }

    /// The same of octets.
    pub(super) fn can_be_had(&self, octets: Octets) -> bool {
        self.scrub.unreadable.0.is_empty() || octets.lies_in().is_none_or(|extent| self.is_there(&extent))
    }
}
