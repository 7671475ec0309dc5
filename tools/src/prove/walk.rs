//! All segments of a log at once, each by whoever has time.
//!
//! *Owns*: [`walk`]: threads over segments; what of a segment is in order. *Promises*: every batch that can be read
//! is told, with its records, in order within its segment; whatever does not follow is a hole. *Assumes*: a
//! hole may be a torn tail, or a server at work: whoever must know asks `scan`. *Never*: decides what is damage.

use std::ops::AddAssign;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::ProgressBar;
use ringpost_engine::ids::{Lsn, SegmentId};
use ringpost_engine::io::{Disk, FileId};
use ringpost_engine::limits::SCAN_CHUNK_BYTES;
use ringpost_engine::log::batch::{self, BatchMeta, LogIdentity};
use ringpost_engine::log::chain::{Chain, SegmentInfo};
use ringpost_engine::log::scan::{BatchInfo, RecordInfo};
use ringpost_engine::log::segment::LogPoint;
use ringpost_engine::log::{BLOCK, record};

use crate::disk::ReadOnlyDisk;

/// Counts what a walk meets in one segment; added up behind it.
pub trait Tally: Default + Send + AddAssign {
    /// A batch that can be read.
    fn batch(&mut self, batch: &BatchInfo);
    /// A record of it whose sum is right, and its payload.
    fn record(&mut self, record: &RecordInfo, payload: &[u8]);
}

/// What a walk found.
#[derive(Debug, Default)]
pub struct Walked<T> {
    /// All segments' counts together.
    pub tally: T,
    /// Segments.
    pub segments: u64,
    /// Batches.
    pub batches: u64,
    /// Bytes of them, without padding.
    pub bytes: u64,
    /// Bytes that they take, padding included.
    pub padded: u64,
    /// Places where something is missing that should follow.
    pub holes: u64,
    /// Segments that could not be read, and why.
    pub unread: Vec<(SegmentId, String)>,
    /// Where the last batch ends.
    pub end: Lsn,
}

/// Reads every segment of `chain` by `jobs` threads.
pub fn walk<T: Tally>(folder: &Path, chain: &Chain, jobs: usize, bar: &ProgressBar) -> Walked<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut own: Vec<(usize, Part<T>)> = Vec::new();
        let mut disk = ReadOnlyDisk::new(folder, bar.clone());
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(info) = chain.segments.get(at) else { return own };
            let successor = chain.segments.get(at + 1).and_then(|next| next.meta).map(|meta| meta.prev);
            // Behind a gap that compaction has left nobody tells where this one ends.
            let successor = successor.filter(|prev| prev.segment == info.segment);
            own.push((at, Part::read(&mut disk, chain.log, info, successor)));
        }
    };
    let mut parts: Vec<(usize, Part<T>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(resume)).collect()
    });
    parts.sort_by_key(|&(at, _)| at);
    let mut all = Walked { segments: chain.segments.len() as u64, ..Walked::default() };
    for (_, part) in parts {
        all.tally += part.tally;
        all.batches += part.batches;
        all.bytes += part.bytes;
        all.padded += part.padded;
        all.holes += part.holes;
        all.unread.extend(part.unread);
        all.end = all.end.max(part.tail.end);
    }
    all
}

/// A thread's panic goes on in the one that waits for it.
fn resume<T>(panic: Box<dyn std::any::Any + Send>) -> T {
    std::panic::resume_unwind(panic)
}

/// What was found in one segment.
struct Part<T> {
    tally: T,
    tail: LogPoint,
    batches: u64,
    bytes: u64,
    padded: u64,
    holes: u64,
    unread: Option<(SegmentId, String)>,
}

impl<T: Tally> Part<T> {
    fn read(
        disk: &mut ReadOnlyDisk,
        log: Option<LogIdentity>,
        info: &SegmentInfo,
        successor: Option<LogPoint>,
    ) -> Part<T> {
        let mut part = Part {
            tally: T::default(),
            tail: info.meta.map(|meta| meta.prev).unwrap_or_default(),
            batches: 0,
            bytes: 0,
            padded: 0,
            holes: u64::from(info.rotten),
            unread: None,
        };
        if let (Err(why), segment) = (part.batches(disk, log, info), info.segment) {
            part.unread = Some((segment, why));
        }
        let found = (part.tail.sequence, part.tail.crc, part.tail.end);
        if successor.is_some_and(|wanted| found != (wanted.sequence, wanted.crc, wanted.end)) {
            part.holes += 1;
        }
        part
    }

    fn batches(
        &mut self,
        disk: &mut ReadOnlyDisk,
        log: Option<LogIdentity>,
        info: &SegmentInfo,
    ) -> Result<(), String> {
        let Some(base) = info.meta.map(|meta| meta.base) else { return Ok(()) };
        let mut window =
            Window { disk, segment: info.segment, bytes: info.bytes, start: 0, buffer: Vec::new() };
        let (mut at, mut follows) = (BLOCK, true);
        while at + batch::HEAD_BYTES as u64 <= info.bytes {
            let head = window.at(at, batch::HEAD_BYTES as u64)?.unwrap_or_default();
            let found = BatchMeta::decode(head, log)
                .filter(|(meta, ..)| meta.segment == info.segment && meta.lsn.0 == base.0 + at)
                .filter(|(meta, ..)| meta.sequence > self.tail.sequence);
            let Some((meta, _, crc)) = found else {
                follows = false;
                at += BLOCK;
                continue;
            };
            let linked = meta.sequence == self.tail.sequence + 1 && meta.prev_crc == self.tail.crc;
            let behind = at + meta.bytes().div_ceil(BLOCK) * BLOCK;
            let sound = self.batch(&mut window, &BatchInfo { meta, offset: at })?;
            self.holes += u64::from(!follows || !linked || !sound);
            self.tail =
                LogPoint { segment: info.segment, end: Lsn(base.0 + behind), sequence: meta.sequence, crc };
            (at, follows) = (behind, true);
        }
        Ok(())
    }

    /// Tells the records of a batch. False when not all of them can be read.
    fn batch(&mut self, window: &mut Window<'_>, info: &BatchInfo) -> Result<bool, String> {
        let (meta, start) = (&info.meta, info.offset + batch::HEAD_BYTES as u64);
        let segment = window.segment;
        let Some(payload) = window.at(start, u64::from(meta.len))? else { return Ok(false) };
        let Some(slots) = batch::open(meta, payload) else { return Ok(false) };
        self.batches += 1;
        self.bytes += meta.bytes();
        self.padded += meta.bytes().div_ceil(BLOCK) * BLOCK;
        self.tally.batch(info);
        for slot in slots.iter().filter(|slot| slot.sound) {
            let record = RecordInfo {
                segment,
                payload_offset: start + (slot.at + record::HEAD_BYTES) as u64,
                lsn: Lsn(meta.lsn.0 + (batch::HEAD_BYTES + slot.at) as u64),
                meta: slot.head.meta(),
            };
            self.tally.record(&record, slot.payload(payload));
        }
        Ok(slots.iter().all(|slot| slot.sound))
    }
}

/// A piece of a segment in memory.
struct Window<'d> {
    disk: &'d mut ReadOnlyDisk,
    segment: SegmentId,
    /// Of the file: what is asked for lies within.
    bytes: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl Window<'_> {
    /// These bytes; none when they are not all in the file.
    fn at(&mut self, offset: u64, len: u64) -> Result<Option<&[u8]>, String> {
        let Some(end) = offset.checked_add(len).filter(|&end| end <= self.bytes) else { return Ok(None) };
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let ahead = len.max(SCAN_CHUNK_BYTES as u64).min(self.bytes - offset);
            self.buffer.resize(ahead as usize, 0);
            let read = self.disk.read(FileId::Segment(self.segment), offset, &mut self.buffer);
            let read = read.map_err(|error| format!("at byte {offset}: {error:?}"))?;
            self.buffer.truncate(read);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(self.buffer.get(from..from + len as usize))
    }
}
