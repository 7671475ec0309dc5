//! The octets of messages, however they are kept.
//!
//! *Owns*: the one way in which octets come out of the store. *Promises*: octets that are kept as they are sent are a
//! slice of the file's view, without a copy; compressed ones come out of the blocks that they lie in, proved by a
//! sum, or not at all. *Assumes*: what [`Store::kept`] names was brought in, and no more is asked for than one step
//! may look at. *Never*: looks at a body to find it.

use bytes::Bytes;

use super::Store;
use crate::checkpoint::Piece;
use crate::ids::{AccountId, BodyKey, MailboxId};
use crate::io::{Extent, FileId};
use crate::octets::{Cold, Octets, Sought};
use crate::press::piece;

impl Store {
    /// Octets of a message, or bytes of its summary. A slice of a view pins it. Whoever looks at them (instead of
    /// handing them to the kernel) first has brought in what [`Store::kept`] names. None: they are not there, or
    /// they are compressed and not what was written.
    pub fn bytes(&self, octets: impl Into<Octets>) -> Option<Bytes> {
        let octets = octets.into();
        if !self.can_be_had(octets) {
            return None;
        }
        if let Some(extent) = octets.as_sent() {
            return self.extent(extent);
        }
        let pack = self.writer.places().pack_with(octets)?;
        let mut unfolder = self.unfolder.take();
        let found = piece::octets(pack, &mut unfolder, octets);
        self.unfolder.set(unfolder);
        found
    }

    fn extent(&self, extent: Extent) -> Option<Bytes> {
        let segment = match extent.file {
            FileId::Segment(segment) => segment,
            FileId::Pack(number) => {
                return self.writer.places().pack(number)?.slice(extent.offset, extent.len);
            }
            FileId::Checkpoint(number) => {
                let (file, offset, len) = (u32::try_from(number).ok()?, extent.offset, extent.len);
                return self.index.images().slice(Piece { file, offset, len });
            }
            _ => return None,
        };
        let file = self.writer.files().get(&segment)?;
        let end = extent.offset.checked_add(u64::from(extent.len))?;
        if end > file.end { None } else { file.view.slice(extent.offset, extent.len) }
    }

    /// Where a checkpoint has the rows of a mailbox that are not in memory: whoever is about to look at all of them
    /// has these brought in first, so that the shard does not wait for the disk in the middle of a step.
    pub fn cold_rows(&self, account: AccountId, mailbox: MailboxId) -> Vec<Extent> {
        let pieces = self.index.cold_rows(account, mailbox);
        let there = pieces.filter(|piece| self.index.images().slice(*piece).is_some());
        let extent =
            |Piece { file, offset, len }| Extent { file: FileId::Checkpoint(u64::from(file)), offset, len };
        there.map(extent).collect()
    }

    /// The summary and the octets of a message, to be brought in and for nothing else: the disk is not asked where they
    /// are. When both were named to [`Store::kept`], [`Store::body`] finds them without waiting.
    pub fn seek(&self, key: BodyKey) -> (Octets, Octets) {
        let found = match self.writer.places().page_of(key) {
            Some(_) => None,
            None => self.place(key),
        };
        let sought = || (Octets::sought(Sought::Summary(key)), Octets::sought(Sought::Body(key)));
        let (summary, bytes) = found.map_or_else(sought, |body| (body.summary.into(), body.bytes));
        match self.index.is_distrusted(key.id) {
            // Nobody will look at it, and it may not even be readable.
            true => (summary.slice(0, 0), bytes.slice(0, 0)),
            false => (summary, bytes),
        }
    }

    /// Adds what has to be in memory before [`Store::bytes`] is asked for these octets.
    pub fn kept(&self, octets: Octets, cold: &mut Cold) {
        if octets.len == 0 {
            // Nothing is asked of where it lies, which may not even be there.
            return;
        }
        if let Some(extent) = octets.as_sent() {
            return cold.extents.push(extent);
        }
        if let Some((Sought::Summary(key) | Sought::Body(key), _)) = octets.as_sought() {
            return match self.writer.places().page_of(key) {
                None => self.located(octets, cold),
                // What it leads to is found by nobody.
                Some(page) if !self.is_there(&page) => {}
                Some(page) => {
                    // Neighbours of one mailbox mostly share a page.
                    cold.extents.extend(Some(page).filter(|page| cold.extents.last() != Some(page)));
                    cold.unlocated.push(octets);
                }
            };
        }
        if let Some(pack) = self.writer.places().pack_with(octets) {
            let unfolder = self.unfolder.take();
            piece::kept(pack, &unfolder, octets, cold);
            self.unfolder.set(unfolder);
        }
    }

    /// Goes on with octets that [`Cold::unlocated`] named, now that what was named beside them is in memory: adds what
    /// has to be in memory next. Nothing, if that is not what was written.
    pub fn located(&self, octets: Octets, cold: &mut Cold) {
        let Some((part, begin)) = octets.as_sought() else {
            let pack = self.writer.places().pack_with(octets);
            return cold.extents.extend(pack.and_then(|pack| piece::located(pack, octets)));
        };
        let found = match part {
            Sought::Summary(key) => self.place(key).map(|body| body.summary.into()),
            Sought::Body(key) => self.place(key).map(|body| body.bytes),
        };
        if let Some(found) = found {
            self.kept(found.slice(begin, octets.len), cold);
        }
    }
}
