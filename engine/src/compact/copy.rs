//! One pack in the making.
//!
//! *Owns*: what is copied, and how far it is. *Promises*: every body of the victims' range that was alive when it began
//! is in the pack, in order of position. *Assumes*: each request is answered before the next is asked for. *Never*:
//! reads or gathers more than [`COMPACT_READ_BYTES`] at once, but for one larger record.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::pack::{self, LEAD_BYTES, Lead};
use super::pick::Unit;
use super::table::{Entry, Table};
use super::walk::{Step, Walk, Window};
use crate::ids::{BodyId, Lsn};
use crate::index::Index;
use crate::io::{FileId, IoRequest};
use crate::limits::{COMPACT_JOIN_BYTES, COMPACT_READ_BYTES, COMPACT_WRITE_BYTES};
use crate::log::batch::LogIdentity;
use crate::log::places::Places;

/// The dead bodies of a range, as they were at one moment.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    /// Their positions, ascending.
    pub positions: Vec<u64>,
    /// How many of each segment's share they are.
    pub counts: Vec<(BodyId, usize)>,
}

/// How far a pack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is no file yet.
    Begin,
    /// Records are read and written.
    Copy,
    /// The last write is on its way.
    Close,
    /// It is to become durable.
    Sync,
    /// It is to get its name.
    Rename,
    /// It is to be mapped.
    Map,
    /// Nothing comes of it: the piece of a file goes.
    Clear,
}

/// See the module's head.
#[derive(Debug)]
pub struct Job {
    /// The pack's number.
    pub number: u64,
    /// The positions that it will stand for.
    pub range: Range<u64>,
    /// The files that go when it is there.
    pub victims: Vec<Unit>,
    /// What is left out.
    pub dead: Dead,
    /// Bytes of records that must come.
    live: u64,
    /// What was read last.
    pub window: Window,
    /// The victim that the request under way reads.
    pub reading: Option<FileId>,
    /// How far it is.
    pub stage: Stage,
    log: LogIdentity,
    /// One for each victim that is not yet copied; the first is under way.
    walks: VecDeque<Walk>,
    /// What is to be written next: large records as they were read, and behind them what is joined.
    out: Vec<Bytes>,
    joined: BytesMut,
    out_bytes: u64,
    /// Bytes handed to the disk.
    written: u64,
    entries: Vec<Entry>,
    table: Option<Table>,
}

impl Job {
    /// Begins a pack for neighbours, in order of position. None: there are no victims.
    pub fn new(
        log: LogIdentity,
        number: u64,
        index: &Index,
        places: &Places,
        victims: Vec<Unit>,
    ) -> Option<Job> {
        let range = victims.first()?.range.start..victims.last()?.range.end;
        let walk = |unit: &Unit| match unit.file {
            FileId::Segment(segment) => {
                Walk::segment(log, segment, Lsn(unit.range.start), unit.range.end - unit.range.start)
            }
            file => {
                let pack = places.packs().iter().find(|pack| pack.number == file.number());
                Walk::pack(file.number(), pack.map_or(0, |pack| pack.table.len()), unit.bytes)
            }
        };
        let mut job = Job {
            number,
            walks: victims.iter().map(walk).collect(),
            victims,
            dead: index.dead_in(&range),
            live: index.live_in(&range),
            window: Window::default(),
            reading: None,
            stage: Stage::Begin,
            log,
            out: Vec::new(),
            joined: BytesMut::new(),
            out_bytes: 0,
            written: 0,
            entries: Vec::new(),
            table: None,
            range,
        };
        job.put(pack::head(log, number, &job.range));
        Some(job)
    }

    /// The pack's table, and the bytes of its file, once it is written.
    pub fn finished(&mut self) -> (Option<Table>, u64) {
        (self.table.take(), self.written)
    }

    /// The next read or write. An error: this victim is damaged.
    pub fn copy(&mut self) -> Result<IoRequest, FileId> {
        while let Some(walk) = self.walks.front_mut() {
            if self.out_bytes >= COMPACT_WRITE_BYTES {
                return Ok(self.write());
            }
            let wanted = |position: u64| self.dead.positions.binary_search(&position).is_err();
            let file = walk.file();
            match walk.next(&self.window, wanted) {
                Step::Need { offset, len } => {
                    self.window = Window { start: offset, bytes: Bytes::new() };
                    self.reading = Some(file);
                    return Ok(IoRequest::Read { file, offset, len });
                }
                Step::Record { position, record, flags } => {
                    let offset = u32::try_from(self.written + self.out_bytes).map_err(|_| file)?;
                    self.entries.push(Entry { position, offset, flags });
                    self.live = self.live.checked_sub(record.len() as u64).ok_or(file)?;
                    self.put(Lead { position, stored: record.len() as u32, flags }.encode());
                    self.put(record);
                }
                Step::End => {
                    self.walks.pop_front();
                    self.window = Window::default();
                }
                Step::Damaged => return Err(file),
            }
        }
        // I21: a pack that does not have all that is alive is none.
        if let Some(last) = self.victims.last().filter(|_| self.live > 0) {
            return Err(last.file);
        }
        let at = self.written + self.out_bytes;
        let (end, fences) = pack::end(self.log, self.number, &self.range, at, &self.entries);
        self.put(end);
        self.table = Some(Table::Mapped { at, count: self.entries.len(), fences });
        self.stage = Stage::Close;
        Ok(self.write())
    }

    /// Small pieces are joined, so that a write has few; large ones are not copied.
    fn put(&mut self, bytes: Bytes) {
        self.out_bytes += bytes.len() as u64;
        if bytes.len() < COMPACT_JOIN_BYTES {
            return self.joined.extend_from_slice(&bytes);
        }
        self.flush();
        self.out.push(bytes);
    }

    fn flush(&mut self) {
        if !self.joined.is_empty() {
            self.out.push(self.joined.split().freeze());
        }
    }

    fn write(&mut self) -> IoRequest {
        self.flush();
        self.reading = None;
        let (offset, parts) = (self.written, std::mem::take(&mut self.out));
        self.written += self.out_bytes;
        self.out_bytes = 0;
        IoRequest::Write { file: FileId::PackNew(self.number), offset, parts, durable: false }
    }
}

const _: () =
    assert!(LEAD_BYTES < COMPACT_JOIN_BYTES as u64 && COMPACT_JOIN_BYTES as u64 <= COMPACT_READ_BYTES);
