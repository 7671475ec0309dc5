//! Which segment files make up the log, before any batch is read.
//!
//! *Owns*: the reading of headers and of the links between segments. *Promises*: writes nothing; a file that
//! is not in the chain holds nothing that anybody was told of.
//! *Assumes*: names of files are true. *Never*: reads records.

use super::batch::{BatchMeta, LogIdentity};
use super::segment::{HEAD_BYTES, LogPoint, SegmentMeta};
use super::{BLOCK, batch};
use crate::checkpoint::load;
use crate::error::Error;
use crate::ids::{Lsn, SegmentId, ShardId};
use crate::io::{Disk, FileId};
use crate::limits::SCAN_CHUNK_BYTES;

/// A segment file and what its header says.
#[derive(Clone, Copy, Debug)]
pub struct SegmentInfo {
    /// Which.
    pub segment: SegmentId,
    /// Bytes of the file.
    pub bytes: u64,
    /// Its header; none when it is damaged and nothing else tells.
    pub meta: Option<SegmentMeta>,
    /// Whether the header is damaged. `meta` is then what the first batch tells: all but where the log
    /// before ends.
    pub rotten: bool,
}

/// The files of a log.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Which log; none when there is none yet.
    pub log: Option<LogIdentity>,
    /// The segments that hold the log, in order.
    pub segments: Vec<SegmentInfo>,
    /// Segments that were prepared and never used, or begun and never acknowledged, or stepped over when
    /// empty.
    pub stale: Vec<SegmentId>,
    /// Files that were to become segments.
    pub fresh: Vec<SegmentId>,
    /// Segments that others name and that are not there: nothing in them is needed any more, or they are lost.
    pub missing: Vec<SegmentId>,
    /// Packs and their bytes, ascending.
    pub packs: Vec<(u64, u64)>,
    /// Other files that were being written when a process ended: they hold nothing.
    pub unfinished: Vec<FileId>,
    /// The highest number of any segment or file that was to become one.
    pub highest: SegmentId,
}

impl Chain {
    /// Reads every segment's header and follows the links back from the newest.
    pub fn read(disk: &mut dyn Disk, shard: Option<ShardId>) -> Result<Chain, Error> {
        let files = disk.list().map_err(|error| Error::Io { doing: "listing the log".to_owned(), error })?;
        let mut chain = Chain::default();
        let mut infos = Vec::new();
        for (file, bytes) in files {
            match file {
                FileId::Segment(segment) => {
                    infos.push(SegmentInfo { segment, bytes, meta: None, rotten: true })
                }
                FileId::Fresh(segment) => chain.fresh.push(segment),
                FileId::CheckpointNew(_) | FileId::PackNew(_) => chain.unfinished.push(file),
                FileId::Pack(number) => chain.packs.push((number, bytes)),
                FileId::Checkpoint(_) => {}
            }
            if let FileId::Segment(number) | FileId::Fresh(number) = file {
                chain.highest = chain.highest.max(number);
            }
        }
        infos.sort_by_key(|info| info.segment);
        chain.packs.sort_unstable();
        for info in &mut infos {
            chain.read_header(disk, info, shard)?;
        }
        chain.link(disk, infos, shard)?;
        Ok(chain)
    }

    fn read_header(
        &mut self,
        disk: &mut dyn Disk,
        info: &mut SegmentInfo,
        shard: Option<ShardId>,
    ) -> Result<(), Error> {
        let mut reader = Reader::new(disk, info);
        let Some(bytes) = reader.at(0, HEAD_BYTES as u64)? else { return Ok(()) };
        if let Some((meta, log)) = SegmentMeta::decode(bytes, info.segment)? {
            self.identify(info.segment, log, shard)?;
            info.meta = Some(meta);
            info.rotten = false;
        }
        Ok(())
    }

    /// What the first batch tells of a header that is gone: it follows the same batch. Which segment that
    /// lies in is known when the chain is.
    fn guess_header(&self, disk: &mut dyn Disk, info: &mut SegmentInfo) -> Result<(), Error> {
        let mut reader = Reader::new(disk, info);
        let Some(bytes) = reader.at(BLOCK, batch::HEAD_BYTES as u64)? else { return Ok(()) };
        let Some((first, ..)) = BatchMeta::decode(bytes, self.log) else { return Ok(()) };
        if first.segment == info.segment && first.lsn.0 >= BLOCK && first.sequence > 0 {
            let (sequence, crc) = (first.sequence - 1, first.prev_crc);
            let (base, created_ms) = (Lsn(first.lsn.0 - BLOCK), first.time_ms);
            let prev = LogPoint { segment: SegmentId(0), end: base, sequence, crc };
            info.meta = Some(SegmentMeta { segment: info.segment, base, prev, created_ms });
        }
        Ok(())
    }

    fn identify(
        &mut self,
        segment: SegmentId,
        log: LogIdentity,
        shard: Option<ShardId>,
    ) -> Result<(), Error> {
        let ours = shard.is_none_or(|shard| shard == log.shard);
        if !ours || self.log.is_some_and(|known| known != log) {
            let what = format!("it belongs to another log, of shard {}", log.shard);
            return Err(Error::Corrupt { segment, offset: 0, what });
        }
        self.log = Some(log);
        Ok(())
    }

    /// Newest first: each header names the segment before it; what lies between was empty and is stale.
    fn link(
        &mut self,
        disk: &mut dyn Disk,
        infos: Vec<SegmentInfo>,
        shard: Option<ShardId>,
    ) -> Result<(), Error> {
        let mut wanted = None;
        for mut info in infos.into_iter().rev() {
            // What lies behind a gap is of the log all the same: only whole segments go, and in any order.
            if let Some(gone) = wanted.filter(|wanted| info.segment < *wanted) {
                if info.rotten && !self.is_in_use(disk, &mut info, shard, BLOCK)? {
                    self.stale.push(info.segment);
                    continue;
                }
                self.missing.push(gone);
                wanted = Some(info.segment);
            }
            let passed_over = wanted.is_some_and(|wanted| info.segment != wanted);
            let unused =
                wanted.is_none() && info.rotten && !self.is_in_use(disk, &mut info, shard, 2 * BLOCK)?;
            if passed_over || unused {
                self.stale.push(info.segment);
                continue;
            }
            wanted = info.meta.map(|meta| meta.prev.segment);
            if info.rotten {
                self.guess_header(disk, &mut info)?;
            }
            self.segments.push(info);
        }
        self.segments.reverse();
        let mut before = SegmentId(0);
        for info in &mut self.segments {
            if let Some(meta) = info.meta.as_mut().filter(|_| info.rotten) {
                meta.prev.segment = before;
            }
            before = info.segment;
        }
        self.missing.extend(wanted.filter(|segment| *segment != SegmentId(0)));
        self.is_no_rest(disk)
    }

    /// Checkpoints and packs without any segment are what is left of a log, and no beginning of a new one.
    fn is_no_rest(&self, disk: &mut dyn Disk) -> Result<(), Error> {
        if !self.segments.is_empty() || self.packs.is_empty() && load::files(disk)?.is_empty() {
            return Ok(());
        }
        let what = "there are checkpoints or packs, but no segment of their log can be read; put it back";
        let segment = self.stale.first().copied().unwrap_or(SegmentId(0));
        Err(Error::Corrupt { segment, offset: 0, what: what.to_owned() })
    }

    /// Whether a segment without header that nobody names holds something durable: a batch at `from` or behind it
    /// proves it, or a checkpoint of a position in it. Of the newest segment that has to be a second batch, for the
    /// first is written together with the header. Behind a gap the first one tells as much as a header would.
    fn is_in_use(
        &mut self,
        disk: &mut dyn Disk,
        info: &mut SegmentInfo,
        shard: Option<ShardId>,
        from: u64,
    ) -> Result<bool, Error> {
        let mut reader = Reader::new(disk, info);
        if self.log.is_none() {
            // Not by any other batch: what lies where a first one cannot may be a client's.
            let first = reader.at(BLOCK, batch::HEAD_BYTES as u64)?;
            if let Some((_, log, _)) = first.and_then(|bytes| BatchMeta::decode(bytes, None)) {
                self.identify(info.segment, log, shard)?;
            } else if reader.find_batch(0, info.bytes, |_, _| None::<()>)?.written_end > 0 {
                let what = "neither its header nor its first batch can be read, and no other segment tells \
                            which log it is of; put the right bytes back"
                    .to_owned();
                return Err(Error::Corrupt { segment: info.segment, offset: 0, what });
            }
        }
        let known = self.log;
        // What a checkpoint is of had been durable before it was begun.
        if let Some(log) = known
            && load::is_of_segment(disk, log, info.segment)?
        {
            return Ok(true);
        }
        let mut reader = Reader::new(disk, info);
        let found = reader.find_batch(from, info.bytes, |bytes, _| {
            BatchMeta::decode(bytes, known).filter(|(meta, ..)| meta.segment == info.segment)
        })?;
        if known.is_none() || found.batch.is_none() {
            return Ok(false);
        }
        // Somebody may have begun it since its header was read.
        self.read_header(disk, info, shard)?;
        Ok(true)
    }
}

/// What a search for a batch brought.
pub(crate) struct Search<T> {
    /// Where it is, and what was made of it.
    pub batch: Option<(u64, T)>,
    /// Where the last block before it ends that is not all zeroes; the start of the search if there is none.
    pub written_end: u64,
}

/// Reads one segment file through a buffer.
pub(crate) struct Reader<'d> {
    disk: &'d mut dyn Disk,
    segment: SegmentId,
    bytes: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl<'d> Reader<'d> {
    /// Of this segment.
    pub fn new(disk: &'d mut dyn Disk, info: &SegmentInfo) -> Reader<'d> {
        Reader { disk, segment: info.segment, bytes: info.bytes, buffer: Vec::new(), start: 0 }
    }

    /// Reads anew from here on.
    pub fn forget(&mut self) {
        self.buffer.clear();
    }

    /// These bytes; none when they are not all in the file. What is allocated is bounded by the file's size.
    pub fn at(&mut self, offset: u64, len: u64) -> Result<Option<&[u8]>, Error> {
        let Some(end) = offset.checked_add(len).filter(|&end| end <= self.bytes) else { return Ok(None) };
        if offset < self.start || end > self.start + self.buffer.len() as u64 {
            let ahead = len.max(SCAN_CHUNK_BYTES as u64).min(self.bytes - offset);
            self.buffer.resize(ahead as usize, 0);
            let read = self.disk.read(FileId::Segment(self.segment), offset, &mut self.buffer);
            let read = read
                .map_err(|error| Error::Io { doing: format!("reading segment {}", self.segment), error })?;
            self.buffer.truncate(read);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(self.buffer.get(from..from + len as usize))
    }

    /// The first block from `from` on, below `limit`, that `accept` makes something of.
    pub fn find_batch<T>(
        &mut self,
        from: u64,
        limit: u64,
        accept: impl Fn(&[u8], u64) -> Option<T>,
    ) -> Result<Search<T>, Error> {
        let mut written_end = from;
        let mut offset = from;
        while offset + batch::HEAD_BYTES as u64 <= limit {
            let len = BLOCK.min(limit - offset);
            let Some(block) = self.at(offset, len)? else { break };
            if block != &super::ZEROES[..block.len()] {
                if let Some(found) = accept(block, offset) {
                    return Ok(Search { batch: Some((offset, found)), written_end });
                }
                written_end = offset + len;
            }
            offset += BLOCK;
        }
        Ok(Search { batch: None, written_end })
    }
}
