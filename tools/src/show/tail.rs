//! `ringpost-log tail`: the newest records, and those that come.
//!
//! *Owns*: the place that was read up to, in each shard. *Promises*: every record behind it is printed once, in order;
//! what is half written is looked at again. *Assumes*: segments follow one another by number, and a header says
//! where the log before it ends. *Never*: writes, locks, or reads a sealed segment twice.

use std::time::Duration;

use ringpost_engine::ids::{Lsn, SegmentId};
use ringpost_engine::io::{Disk, FileId};
use ringpost_engine::log::batch::{self, BatchMeta, LogIdentity};
use ringpost_engine::log::chain::Chain;
use ringpost_engine::log::scan::{BatchInfo, RecordInfo, Visitor};
use ringpost_engine::log::segment::{self, SegmentMeta};
use ringpost_engine::log::{BLOCK, record};
use ringpost_engine::recovery;

use super::filter::Filter;
use super::record::{Records, State};
use crate::cli::{self, Cli};
use crate::data::{self, Shard};
use crate::disk::ReadOnlyDisk;
use crate::output::{Output, name, progress};
use crate::track::Tracker;
use crate::{Damages, Failure};

/// How often a live log is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Prints what is new.
pub fn run(cli: &Cli, what: &cli::Tail, output: &mut Output) -> Result<Damages, Failure> {
    let mut damages = 0;
    let mut tails = Vec::new();
    for shard in data::shards(&cli.data, cli.only()?)? {
        match Tail::open(shard, what) {
            Ok(mut tail) => {
                output.hold(what.records);
                let read = tail.advance(output).and_then(|()| tail.is_at_end());
                output.release();
                damages += told(&tail, read, output);
                tails.push(tail);
            }
            Err((shard, failure)) => {
                output.unreadable(&shard, &failure);
                damages += 1;
            }
        }
    }
    while what.follow && !tails.is_empty() {
        output.flush();
        std::thread::sleep(POLL);
        tails.retain_mut(|tail| {
            let read = tail.advance(output);
            let failed = read.is_err();
            damages += told(tail, read, output);
            !failed
        });
    }
    Ok(damages + tails.iter().map(|tail| tail.state.damages).sum::<Damages>())
}

/// Says what a shard cannot be read for.
fn told(tail: &Tail, read: Result<(), Failure>, output: &mut Output) -> Damages {
    let Err(failure) = read else { return 0 };
    output.unreadable(&tail.shard, &failure);
    1
}

/// How far a shard's log was read.
struct Tail {
    shard: Shard,
    state: State,
    log: Option<LogIdentity>,
    segment: SegmentId,
    base: Lsn,
    offset: u64,
    sequence: u64,
}

impl Tail {
    /// At the beginning of the newest segment.
    fn open(shard: Shard, what: &cli::Tail) -> Result<Tail, (Shard, Failure)> {
        match Self::begin(&shard, what) {
            Ok((state, chain)) => {
                let last = chain.segments.last().and_then(|info| info.meta);
                let segment = last.map_or(SegmentId(0), |meta| meta.segment);
                let base = last.map_or(Lsn(0), |meta| meta.base);
                let sequence = last.map_or(0, |meta| meta.prev.sequence);
                Ok(Tail { shard, state, log: chain.log, segment, base, offset: BLOCK, sequence })
            }
            Err(failure) => Err((shard, failure)),
        }
    }

    fn begin(shard: &Shard, what: &cli::Tail) -> Result<(State, Chain), Failure> {
        let mut disk = ReadOnlyDisk::quiet(&shard.folder);
        let chain = Chain::read(&mut disk, shard.id).map_err(|error| error.to_string())?;
        let mut state = State::new(shard, Filter::new(&what.filter, None, None), what.all);
        if !what.numbers {
            let base = chain.segments.last().and_then(|info| info.meta).map(|meta| meta.base);
            let bar = progress(disk.bytes(), "learning names", false);
            let mut disk = ReadOnlyDisk::new(&shard.folder, bar.clone());
            let replayed = recovery::recover_read_only(&mut disk, shard.id, base);
            state.tracker = match replayed {
                Ok(replayed) => Tracker::of(&replayed.index),
                // What was before the newest segment is let go by compaction: names are those of now.
                Err(_) if !chain.missing.is_empty() => {
                    let replayed = recovery::recover_read_only(&mut disk, shard.id, None);
                    Tracker::after_gap(&replayed.map_err(|error| error.to_string())?.index)
                }
                Err(error) => return Err(error.to_string()),
            };
            bar.finish_and_clear();
        }
        Ok((state, chain))
    }

    /// Prints what was written behind the place that was read up to.
    fn advance(&mut self, output: &mut Output) -> Result<(), Failure> {
        let mut disk = ReadOnlyDisk::quiet(&self.shard.folder);
        loop {
            while self.batch(&mut disk, output)? {}
            let Some((meta, log)) = self.next_segment(&mut disk)? else { return Ok(()) };
            // What was written before the next one was begun is there by now.
            while self.batch(&mut disk, output)? {}
            if meta.prev.sequence > self.sequence {
                let (reached, needed) = (self.sequence, meta.prev.sequence);
                return Err(format!(
                    "{} ends at batch {reached}, and segment {} begins behind batch {needed}: see verify",
                    name(&self.shard),
                    meta.segment
                ));
            }
            // A start may have removed batches that held nothing.
            self.sequence = meta.prev.sequence;
            (self.log, self.segment, self.base, self.offset) = (Some(log), meta.segment, meta.base, BLOCK);
        }
    }

    /// Whether nothing readable is behind the place that was read up to. What is there proves damage if it says that
    /// this place had been durable.
    fn is_at_end(&self) -> Result<(), Failure> {
        let mut disk = ReadOnlyDisk::quiet(&self.shard.folder);
        let mut head = [0; batch::HEAD_BYTES];
        let (size, place) =
            (disk.size(FileId::Segment(self.segment)).unwrap_or(0), self.base.0 + self.offset);
        for offset in (self.offset..size).step_by(BLOCK as usize).skip(1) {
            if !whole(&mut disk, self.segment, offset, &mut head)? {
                break;
            }
            let later = BatchMeta::decode(&head, self.log).map(|(meta, ..)| meta);
            if later.is_some_and(|meta| meta.lsn.0 == self.base.0 + offset && meta.durable.0 > place) {
                let segment = self.segment;
                return Err(format!("segment {segment} is damaged at byte {}: see verify", self.offset));
            }
        }
        Ok(())
    }

    /// Prints the next batch; false when it is not there, or not whole yet.
    fn batch(&mut self, disk: &mut ReadOnlyDisk, output: &mut Output) -> Result<bool, Failure> {
        if self.segment == SegmentId(0) {
            return Ok(false);
        }
        let mut head = [0; batch::HEAD_BYTES];
        if !whole(disk, self.segment, self.offset, &mut head)? {
            return Ok(false);
        }
        let expected = self.base.0 + self.offset;
        let found = BatchMeta::decode(&head, self.log).filter(|(meta, ..)| {
            meta.segment == self.segment && meta.lsn.0 == expected && meta.sequence == self.sequence + 1
        });
        let Some((meta, ..)) = found else { return Ok(false) };
        let start = self.offset + batch::HEAD_BYTES as u64;
        let size = disk.size(FileId::Segment(self.segment)).unwrap_or(0);
        if start + u64::from(meta.len) > size {
            return Ok(false);
        }
        let mut payload = vec![0; meta.len as usize];
        if !whole(disk, self.segment, start, &mut payload)? {
            return Ok(false);
        }
        let slots = batch::open(&meta, &payload).filter(|slots| slots.iter().all(|slot| slot.sound));
        let Some(slots) = slots else { return Ok(false) };
        let mut records = Records { shard: &self.shard, output, state: &mut self.state };
        records.batch(&BatchInfo { meta, offset: self.offset });
        for slot in &slots {
            let info = RecordInfo {
                segment: self.segment,
                payload_offset: start + (slot.at + record::HEAD_BYTES) as u64,
                lsn: Lsn(self.base.0 + start + slot.at as u64),
                meta: slot.head.meta(),
            };
            records.record(&info, slot.payload(&payload));
        }
        self.offset += meta.bytes().div_ceil(BLOCK) * BLOCK;
        self.sequence = meta.sequence;
        Ok(true)
    }

    /// The segment that the log goes on in, if there is one.
    fn next_segment(
        &mut self,
        disk: &mut ReadOnlyDisk,
    ) -> Result<Option<(SegmentMeta, LogIdentity)>, Failure> {
        let files = disk.list().map_err(|error| format!("{error:?}"))?;
        let later = files.into_iter().filter_map(|(file, _)| match file {
            FileId::Segment(segment) if segment > self.segment => Some(segment),
            _ => None,
        });
        let mut later: Vec<SegmentId> = later.collect();
        later.sort_unstable();
        for segment in later {
            let mut head = [0; segment::HEAD_BYTES];
            // One that a start has removed meanwhile held nothing.
            if !disk.has(FileId::Segment(segment)) || !whole(disk, segment, 0, &mut head)? {
                continue;
            }
            let found = SegmentMeta::decode(&head, segment).map_err(|error| error.to_string())?;
            if let Some(next) = found.filter(|(_, log)| self.log.is_none_or(|own| own == *log)) {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }
}

/// Fills the buffer from a segment; false when the file ends before. One that is gone has nothing to add.
fn whole(
    disk: &mut ReadOnlyDisk,
    segment: SegmentId,
    offset: u64,
    buffer: &mut [u8],
) -> Result<bool, Failure> {
    let file = FileId::Segment(segment);
    match disk.read(file, offset, buffer) {
        Ok(read) => Ok(read == buffer.len()),
        Err(_) if !disk.has(file) => Ok(false),
        Err(error) => Err(format!("segment {segment} at byte {offset}: {error:?}")),
    }
}
