//! The end of what an earlier process wrote, and the segment that this one begins.
//!
//! *Owns*: steps 3 to 5 of README §4.1. *Promises*: room is given back before room is asked for. *Assumes*: the log was
//! read to its end. *Never*: writes into a file that an earlier process made.

use std::collections::BTreeMap;

use super::io;
use crate::error::Error;
use crate::ids::{Lsn, Now, SegmentId};
use crate::io::{Disk, FileId, IoError, IoRequest, IoResult, View};
use crate::log::batch::LogIdentity;
use crate::log::build::{Building, Place, Witness};
use crate::log::places::Places;
use crate::log::scan::{End, Filled};
use crate::log::segment::{LogPoint, SegmentMeta};
use crate::log::writer::{SegmentFile, Start, header_block, meta_of};
use crate::log::{BLOCK, ZEROES, padded};
use crate::store::Options;

/// Removes files that hold nothing and makes the end of the log durable, before anything is added: on a full
/// disk this may be the room that the new segment needs.
pub(super) fn make_room(disk: &mut dyn Disk, end: &End) -> Result<(), Error> {
    let fresh = end.chain.fresh.iter().map(|&segment| FileId::Fresh(segment));
    let stale = end.chain.stale.iter().map(|&segment| FileId::Segment(segment));
    for file in fresh.chain(stale).chain(end.chain.unfinished.iter().copied()) {
        remove(disk, file)?;
    }
    let Some(last) = end.chain.segments.last() else { return Ok(()) };
    let file = FileId::Segment(last.segment);
    // What was read may be in the page cache only. Before anybody hears of it, it must be on the disk.
    perform(disk, "syncing the last segment", &IoRequest::Sync { file })?;
    match end.filled.last().filter(|part| part.segment == last.segment) {
        Some(part) => trim(disk, part),
        None => Ok(()),
    }
}

/// Cuts off what is behind the log's end in a segment.
fn trim(disk: &mut dyn Disk, part: &Filled) -> Result<(), Error> {
    if part.bytes <= part.end {
        return Ok(());
    }
    let request = IoRequest::Trim { file: FileId::Segment(part.segment), len: part.end };
    perform(disk, "trimming a segment", &request)
}

/// Makes the segment that this process writes, complete with header and opening batch, and only then names
/// it.
pub(super) fn begin_segment(
    disk: &mut dyn Disk,
    options: &Options,
    log: LogIdentity,
    end: &End,
    mut places: Places,
    now: Now,
) -> Result<Start, Error> {
    let segment = SegmentId(end.chain.highest.0 + 1);
    let first = if end.chain.log.is_none() { options.first } else { Lsn(0) };
    let base = Lsn(padded(end.high.0.max(first.0)));
    let time_ms = end.time_ms.max(now.unix_ms);
    let meta = SegmentMeta { segment, base, prev: end.tail, created_ms: time_ms };
    let witness = end.tail_accounts.clone().map_or(Witness::Any, Witness::Accounts);
    let place = Place { segment, base, offset: BLOCK };
    let batch = Building::new(place, &witness).close();
    let (head, crc) = meta_of(&batch, end.tail, time_ms).encode(log);
    let zeroes = &ZEROES[crate::log::segment::HEAD_BYTES..];
    let mut parts = vec![header_block(&meta, log), bytes::Bytes::from_static(zeroes)];
    parts.push(bytes::Bytes::copy_from_slice(&head));
    let filled = BLOCK + batch.bytes();
    parts.extend(batch.parts);
    let file = FileId::Fresh(segment);
    let doing = "making a segment";
    let (size, spare) = (options.segment_bytes, options.reserve_bytes);
    let mut made = disk.perform(&IoRequest::Create { file, size, spare });
    // A start may take of the reserve: what it does not get, nobody can delete with. But mail has to wait.
    let is_full = spare > 0 && matches!(made, IoResult::Failed(IoError::NoSpace));
    if is_full {
        made = disk.perform(&IoRequest::Create { file, size, spare: 0 });
    }
    let view = match made {
        IoResult::Created(view) => view,
        IoResult::Done | IoResult::Read(_) | IoResult::Worked(_) => {
            disk.map(file).map_err(|error| io(doing, error))?
        }
        IoResult::Failed(error) => return Err(io(doing, error)),
    };
    perform(disk, doing, &IoRequest::Write { file, offset: 0, parts, durable: true })?;
    perform(disk, doing, &IoRequest::Rename { from: file, to: FileId::Segment(segment) })?;
    let tail = LogPoint { segment, end: Lsn(base.0 + filled), sequence: end.tail.sequence + 1, crc };
    let size = options.segment_bytes;
    let files = BTreeMap::from([(segment, SegmentFile { view, end: filled, size })]);
    places.add(base, segment);
    places.date(base, time_ms);
    let highest_pack = end.chain.packs.last().map_or(0, |pack| pack.0);
    Ok(Start {
        log,
        segment_bytes: options.segment_bytes,
        reserve_bytes: options.reserve_bytes,
        segment,
        base,
        tail,
        files,
        places,
        time_ms,
        highest_pack,
        is_full,
    })
}

/// Removes the last segment if it holds nothing, and takes views of all that stay. A trim of an earlier
/// process that a power cut has undone is done again.
pub(super) fn tidy(disk: &mut dyn Disk, end: &End, start: &mut Start) -> Result<(), Error> {
    if let Some(empty) = end.empty_last {
        remove(disk, FileId::Segment(empty))?;
    }
    for (at, part) in end.filled.iter().enumerate() {
        if Some(part.segment) == end.empty_last {
            continue;
        }
        if at + 1 < end.filled.len() {
            trim(disk, part)?;
        }
        let file = FileId::Segment(part.segment);
        let view: Box<dyn View> = disk.map(file).map_err(|error| io("mapping a segment", error))?;
        start.files.insert(part.segment, SegmentFile { view, end: part.end, size: part.end });
    }
    Ok(())
}

pub(super) fn remove(disk: &mut dyn Disk, file: FileId) -> Result<(), Error> {
    perform(disk, "removing an unused segment", &IoRequest::Unlink { file })
}

fn perform(disk: &mut dyn Disk, doing: &str, request: &IoRequest) -> Result<(), Error> {
    match disk.perform(request) {
        IoResult::Failed(error) => Err(io(doing, error)),
        IoResult::Done | IoResult::Created(_) | IoResult::Read(_) | IoResult::Worked(_) => Ok(()),
    }
}
