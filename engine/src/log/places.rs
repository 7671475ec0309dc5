//! Where a body's bytes are, by its position.
//!
//! *Owns*: which positions lie in which file: segments, and the packs that stand for some of them. *Promises*: of a
//! segment an answer from memory alone, of a pack from one page of its table, which [`Places::page_of`] names.
//! *Assumes*: segments do not overlap; nothing worse comes of it than bytes that are not the body's. *Never*: looks at
//! a body.

use super::record::HEAD_BYTES as RECORD_HEAD;
use crate::compact::pack::Pack;
use crate::ids::{BodyKey, Lsn, SegmentId};
use crate::io::{Extent, FileId};
use crate::octets::{Octets, Pressed};
use crate::press::stored::Form;
use crate::store::BodyRef;

/// See the module's head.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Position of byte 0 of each segment, ascending.
    segments: Vec<(Lsn, SegmentId)>,
    /// When segments were begun, those that are gone included; ascending.
    dates: Vec<(Lsn, u64)>,
    /// Ascending; their ranges do not overlap.
    packs: Vec<Pack>,
    /// Packs that others stand for, until they are removed: somebody may be sending from them.
    old_packs: Vec<Pack>,
}

impl Places {
    /// One more segment; behind all others, but for what a damaged disk may claim.
    pub fn add(&mut self, base: Lsn, segment: SegmentId) {
        let at = self.segments.partition_point(|&(known, _)| known <= base);
        self.segments.insert(at, (base, segment));
    }

    /// Position of byte 0 of a segment.
    pub fn base(&self, segment: SegmentId) -> Option<Lsn> {
        self.segments.iter().rfind(|&&(_, known)| known == segment).map(|&(base, _)| base)
    }

    /// A segment's file is gone.
    pub fn remove(&mut self, segment: SegmentId) {
        self.segments.retain(|&(_, known)| known != segment);
    }

    /// A pack stands for its range from now on. Those that it replaces are kept for who sends from them.
    pub fn add_pack(&mut self, pack: Pack) {
        let replaced =
            |old: &mut Pack| pack.range.start <= old.range.start && old.range.end <= pack.range.end;
        self.old_packs.extend(self.packs.extract_if(.., replaced));
        let at = self.packs.partition_point(|known| known.range.start < pack.range.start);
        self.packs.insert(at, pack);
    }

    /// A pack's file is gone.
    pub fn remove_pack(&mut self, number: u64) {
        self.packs.retain(|pack| pack.number != number);
        self.old_packs.retain(|pack| pack.number != number);
    }

    /// The packs that stand for something.
    pub fn packs(&self) -> &[Pack] {
        &self.packs
    }

    /// The numbers of those that others stand for.
    pub fn old_packs(&self) -> impl Iterator<Item = &Pack> {
        self.old_packs.iter()
    }

    /// Segments and their bases, ascending.
    pub fn segments(&self) -> &[(Lsn, SegmentId)] {
        &self.segments
    }

    /// The pack that stands for a position.
    pub fn pack_of(&self, position: Lsn) -> Option<&Pack> {
        let behind = self.packs.partition_point(|pack| pack.range.start <= position.0);
        self.packs.get(behind.checked_sub(1)?).filter(|pack| pack.stands_for(position))
    }

    /// The pack of that number.
    pub fn pack(&self, number: u64) -> Option<&Pack> {
        let mut packs = self.packs.iter().chain(&self.old_packs);
        packs.find(|pack| pack.number == number)
    }

    /// The pack that compressed octets lie in; none if they are not compressed.
    pub fn pack_with(&self, octets: Octets) -> Option<&Pack> {
        let (body, _) = octets.as_pressed()?;
        self.pack(body.extent.file.number())
    }

    /// A segment was begun at this moment, in milliseconds since 1970.
    pub fn date(&mut self, base: Lsn, began_ms: u64) {
        self.dates.push((base, began_ms));
    }

    /// A moment before which everything below a position was written; none for what is being written.
    pub fn written_before_ms(&self, position: u64) -> Option<u64> {
        let behind = self.dates.partition_point(|(base, _)| base.0 < position);
        self.dates.get(behind).map(|&(_, began_ms)| began_ms)
    }

    /// What has to be in memory before a body in a pack is looked up; none for what is in a segment.
    pub fn page_of(&self, key: BodyKey) -> Option<Extent> {
        self.pack_of(Lsn(key.id.0))?.page_of(key.id.0)
    }

    /// Where a body's bytes are; none when no file has them.
    pub fn find(&self, key: BodyKey) -> Option<BodyRef> {
        let (file, record, form) = match self.pack_of(Lsn(key.id.0)) {
            Some(pack) => {
                let entry = pack.find(key.id.0)?;
                (FileId::Pack(pack.number), entry.record(), Form::of(entry.flags)?)
            }
            None => {
                let behind = self.segments.partition_point(|&(base, _)| base.0 <= key.id.0);
                let (base, segment) = self.segments[behind.checked_sub(1)?];
                (FileId::Segment(segment), key.id.0 - base.0, Form::AsSent)
            }
        };
        let offset = record + RECORD_HEAD as u64;
        let summary = Extent { file, offset, len: key.summary_len };
        let at = |len| Extent { file, offset: offset + u64::from(key.summary_len), len };
        let bytes = match form {
            Form::AsSent => at(key.len).into(),
            Form::Pressed(stored) => Octets::pressed(Pressed { extent: at(stored), len: key.len }),
            Form::Preface { .. } => return None,
        };
        Some(BodyRef { bytes, summary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::BodyId;

    #[test]
    fn a_position_lies_in_the_last_segment_that_begins_before_it() {
        let mut places = Places::default();
        places.add(Lsn(4096), SegmentId(2));
        places.add(Lsn(40_960), SegmentId(7));
        let at = |id| {
            let found = places.find(BodyKey { id: BodyId(id), summary_len: 10, len: 100 })?;
            Some((
                found.summary.file.number(),
                found.summary.offset,
                found.bytes.as_sent()?.offset,
                found.bytes.len,
            ))
        };
        assert_eq!(at(4000), None);
        assert_eq!(at(8192), Some((2, 4120, 4130, 100)));
        assert_eq!(at(40_959), Some((2, 36_887, 36_897, 100)));
        assert_eq!(at(45_056), Some((7, 4120, 4130, 100)));
    }
}
