//! Where a body's bytes are, by its position.
//!
//! *Owns*: which positions lie in which file. *Promises*: an answer from memory alone, however many bodies there
//! are. *Assumes*: segments do not overlap; nothing worse comes of it than bytes that are not
//! the body's. *Never*: looks at a body.

use super::record::HEAD_BYTES as RECORD_HEAD;
use crate::ids::{BodyKey, Lsn, SegmentId};
use crate::io::Extent;
use crate::store::BodyRef;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// Position of byte 0 of each segment, ascending.
    segments: Vec<(Lsn, SegmentId)>,
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

    /// Where a body's bytes are; none when no file begins before them.
    pub fn find(&self, key: BodyKey) -> Option<BodyRef> {
        let behind = self.segments.partition_point(|&(base, _)| base.0 <= key.id.0);
        let (base, segment) = self.segments[behind.checked_sub(1)?];
        let offset = key.id.0 - base.0 + RECORD_HEAD as u64;
        let summary = Extent { segment, offset, len: key.summary_len };
        let bytes = Extent { segment, offset: offset + u64::from(key.summary_len), len: key.len };
        Some(BodyRef { bytes: bytes.into(), summary })
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
                found.summary.segment.0,
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
