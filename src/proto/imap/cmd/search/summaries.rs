//! What is stored beside many messages, found and looked at together.
//!
//! *Owns*: where the summaries of a lot of messages are, and in which turn memory is touched to read them.
//! *Promises*: one slice of the log for neighbours, none for each message; what is not in the processor's cache is
//! waited for together, not message by message; at most `IMAP_GATHER_MESSAGES_MAX` messages and about
//! `IMAP_GATHER_BYTES_MAX` octets a lot. *Assumes*: what [`to_bring_in`] named was brought in before a [`Lot`] is
//! read. *Never*: keeps a place of the log over a call.
//!
//! ```text
//!  UIDs ─► to_bring_in ─► extents, near ones joined ─► … brought in … ─► Lot: rows ─┬─► sift ─► rows without a text
//!                                                                                   └─► encoded summary of a row
//! ```

use std::hint::black_box;
use std::ops::Range;

use bytes::Bytes;
use ringpost_engine::ids::Uid;
use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::io::Extent;
use ringpost_engine::layout::{Filter, SummaryHead};
use ringpost_engine::octets::Octets;
use ringpost_engine::store::Store;

use crate::limits::{
    CACHE_LINE_BYTES, IMAP_GATHER_BYTES_MAX, IMAP_GATHER_MESSAGES_MAX, SUMMARY_GAP_BYTES_MAX,
};
use crate::proto::mime::search::TextNeedle;

/// A message by its UID, and the number that it had when that was found.
pub type Sought = (Uid, u32);

/// The message and its place, if it is still there. Where nothing was expunged before it, its number tells.
pub fn present(mailbox: MailboxRef<'_>, (uid, number): Sought) -> Option<(usize, Message)> {
    let likely = (number as usize).wrapping_sub(1);
    if likely < mailbox.len() {
        let message = mailbox.message(likely);
        if message.uid == uid {
            return Some((likely, message));
        }
    }
    mailbox.place(uid).map(|place| (place, mailbox.message(place)))
}

/// The next of the messages whose summaries are read together: how many those are, and what is to be brought in.
pub fn to_bring_in(
    sought: impl Iterator<Item = Sought>,
    mailbox: MailboxRef<'_>,
    store: &Store,
) -> (usize, Vec<Octets>) {
    let (mut count, mut bytes) = (0, 0);
    let (mut extents, mut elsewhere) = (Vec::with_capacity(IMAP_GATHER_MESSAGES_MAX), Vec::new());
    for sought in sought.take(IMAP_GATHER_MESSAGES_MAX) {
        count += 1;
        let Some((_, message)) = present(mailbox, sought) else { continue };
        let (summary, _) = store.seek(message.key());
        match summary.as_sent() {
            Some(extent) => extents.push(extent),
            None => elsewhere.push(summary),
        }
        bytes += summary.len as usize;
        if bytes >= IMAP_GATHER_BYTES_MAX {
            break;
        }
    }
    join(&mut extents);
    elsewhere.extend(extents.into_iter().map(Octets::from));
    (count, elsewhere)
}

/// Puts what is to be brought in into the order of the log, and makes one of those that are near each other.
pub fn join(extents: &mut Vec<Extent>) {
    let place = |extent: &Extent| (extent.file, extent.offset);
    if !extents.is_sorted_by_key(place) {
        extents.sort_unstable_by_key(place);
    }
    extents.dedup_by(|next, last| {
        let end = last.offset + u64::from(last.len);
        let both = end.max(next.offset + u64::from(next.len)) - last.offset;
        let near = next.file == last.file && next.offset <= end + SUMMARY_GAP_BYTES_MAX;
        match u32::try_from(both) {
            Ok(both) if near => {
                last.len = both;
                true
            }
            _ => false,
        }
    });
}

/// Messages whose summaries are at hand.
#[derive(Debug)]
pub struct Lot {
    rows: Vec<Row>,
    /// Slices of the log, each for neighbouring rows of one segment.
    slices: Vec<Bytes>,
}

/// A message that is still there.
#[derive(Debug)]
pub struct Row {
    /// Which of those that were sought.
    pub nth: usize,
    /// Its place in the mailbox.
    pub place: usize,
    /// It.
    pub message: Message,
    summary: Option<Extent>,
    /// Which slice the summary is in, and where.
    slice: usize,
    within: Range<usize>,
}

impl Lot {
    /// Finds what was brought in.
    pub fn new(sought: impl Iterator<Item = Sought>, mailbox: MailboxRef<'_>, store: &Store) -> Lot {
        let mut rows = Vec::with_capacity(IMAP_GATHER_MESSAGES_MAX);
        for (nth, sought) in sought.enumerate() {
            if let Some((place, message)) = present(mailbox, sought) {
                let summary = store.body(message.key()).map(|body| body.summary);
                rows.push(Row { nth, place, message, summary, slice: 0, within: 0..0 });
            }
        }
        let mut slices = Vec::new();
        let file = |row: &Row| row.summary.map(|summary| summary.file);
        for neighbours in rows.chunk_by_mut(|row, next| file(row) == file(next)) {
            let Some(all) = neighbours.iter().filter_map(|row| row.summary).reduce(around) else { continue };
            let Some(bytes) = store.bytes(all) else { continue };
            for row in neighbours {
                let Some(summary) = row.summary else { continue };
                let start = (summary.offset - all.offset) as usize;
                row.slice = slices.len();
                row.within = start..start + summary.len as usize;
            }
            slices.push(bytes);
        }
        Lot { rows, slices }
    }

    /// Those of the messages that are there, in the order in which they were sought.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The encoded summary of a row; empty, which is not readable, where there is none.
    pub fn encoded(&self, row: &Row) -> &[u8] {
        self.slices.get(row.slice).and_then(|bytes| bytes.get(row.within.clone())).unwrap_or_default()
    }

    /// The text filters of the rows; of a summary that cannot be read the one that tells nothing.
    pub fn filters(&self) -> Vec<Filter<'_>> {
        let head = |row| SummaryHead::new(self.encoded(row));
        self.rows.iter().map(|row| head(row).map_or(Filter::NONE, |head| head.filter)).collect()
    }

    /// Looks at what SORT and THREAD compare, all of it before any of it is read.
    pub fn approach_keys(&self) {
        let behind: Vec<&[u8]> = self
            .rows
            .iter()
            .map(|row| SummaryHead::new(self.encoded(row)).map_or(&[][..], |head| head.behind))
            .collect();
        let lines = |keys: &&[u8]| {
            let second = keys.get(CACHE_LINE_BYTES).copied().unwrap_or_default();
            keys.first().copied().unwrap_or_default() ^ second
        };
        black_box(behind.iter().map(lines).fold(0, |all, octet| all ^ octet));
    }
}

/// What reaches over two extents of one segment, which has no more octets than 32 bits count.
fn around(one: Extent, other: Extent) -> Extent {
    let end = |extent: Extent| extent.offset + u64::from(extent.len);
    let offset = one.offset.min(other.offset);
    Extent { file: one.file, offset, len: (end(one).max(end(other)) - offset) as u32 }
}

/// Calls `absent` for the places of all filters whose messages cannot hold the needle.
pub fn sift(filters: &[Filter<'_>], needle: &TextNeedle, mut absent: impl FnMut(usize)) {
    let mut kept = Vec::with_capacity(filters.len());
    needle.sift(filters, &mut kept);
    let mut next = kept.into_iter().map(|place| place as usize).peekable();
    for place in 0..filters.len() {
        if next.next_if_eq(&place).is_none() {
            absent(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::ids::SegmentId;
    use ringpost_engine::io::FileId;

    #[test]
    fn what_is_near_is_joined_in_whatever_order_it_is_named() {
        let at = |segment, offset, len| Extent { file: FileId::Segment(SegmentId(segment)), offset, len };
        let gap = SUMMARY_GAP_BYTES_MAX;
        let mut extents = vec![
            at(1, 100 + gap, 10),
            at(1, 0, 100),
            at(2, 0, 5),
            at(1, 111 + 2 * gap, 9),
            at(1, 20, 10),
            at(2, 5, 5),
        ];
        join(&mut extents);
        assert_eq!(extents, [at(1, 0, 110 + gap as u32), at(1, 111 + 2 * gap, 9), at(2, 0, 10)]);
        let mut none = Vec::new();
        join(&mut none);
        assert!(none.is_empty());
        assert_eq!(around(at(1, 50, 10), at(1, 20, 5)), at(1, 20, 40));
    }
}
