//! One pack in the making.
//!
//! *Owns*: what is copied, and how far it is. *Promises*: every body of the victims' range that was alive when it began
//! is in the pack, in order of position. *Assumes*: each request is answered before the next is asked for. *Never*:
//! reads more than [`COMPACT_READ_BYTES`] at once, but for one larger record.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::Pressed;
use super::pack::{self, LEAD_BYTES, Lead};
use super::pick::Unit;
use super::squeeze::{Given, Squeeze};
use super::table::{Entry, Table};
use super::walk::{Step, Walk, Window};
use crate::ids::{BodyId, Lsn};
use crate::index::Index;
use crate::io::{FileId, IoRequest};
use crate::limits::{COMPACT_JOIN_BYTES, COMPACT_READ_BYTES, COMPACT_WRITE_BYTES};
use crate::log::batch::LogIdentity;
use crate::log::places::Places;
use crate::press::stored::{Form, preface};
use crate::press::{self, Worked};

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

/// Why nothing comes of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// This victim is damaged.
    Damaged(FileId),
    /// There is more than is alive, or than a pack can have: that says nothing of any file.
    Nobody,
}

/// What became of looking for a record.
enum Gathered {
    /// These bytes are needed first.
    Read(IoRequest),
    /// There may be more.
    Some,
    /// All of the victims is in the pack.
    All,
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
    /// One for each victim that is not yet copied; the first is under way. Whether its bodies are compressed.
    walks: VecDeque<(Walk, bool)>,
    squeeze: Squeeze,
    /// Whether any are, and whether any are not.
    presses: bool,
    is_mixed: bool,
    /// Bytes that the records had in the log.
    plain: u64,
    /// Of which these are compressed.
    pub pressed: Pressed,
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
        options: press::Options,
    ) -> Option<Job> {
        let range = victims.first()?.range.start..victims.last()?.range.end;
        let presses = victims.iter().any(|unit| unit.is_old);
        let mut squeeze = Squeeze::new(options, presses);
        let walk = |unit: &Unit| match unit.file {
            FileId::Segment(segment) => {
                Walk::segment(log, segment, Lsn(unit.range.start), unit.range.end - unit.range.start)
            }
            file => {
                let pack = places.pack(file.number());
                pack.into_iter().for_each(|pack| squeeze.expect(pack));
                Walk::pack(file.number(), pack.map_or(0, |pack| pack.table.len()), unit.bytes)
            }
        };
        let walks = victims.iter().map(walk).zip(victims.iter().map(|unit| unit.is_old)).collect();
        let mut job = Job {
            number,
            walks,
            squeeze,
            presses,
            is_mixed: victims.iter().any(|unit| !unit.is_old),
            plain: 0,
            pressed: Pressed::default(),
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

    /// The next read, work or write. An error: nothing comes of it.
    pub fn copy(&mut self) -> Result<IoRequest, Blame> {
        loop {
            if self.out_bytes >= COMPACT_WRITE_BYTES {
                return Ok(self.write());
            }
            if let Some(given) = self.squeeze.give() {
                self.lay(given).ok_or(Blame::Nobody)?;
            } else if let Some(work) = self.squeeze.work() {
                return Ok(IoRequest::Work(work));
            } else if self.squeeze.gathers() {
                match self.gather().map_err(Blame::Damaged)? {
                    Gathered::Read(request) => return Ok(request),
                    Gathered::Some => {}
                    Gathered::All => return self.end(),
                }
            }
        }
    }

    /// The work asked for is done. An error: this victim is damaged.
    pub fn worked(&mut self, worked: Worked) -> Result<(), FileId> {
        self.squeeze.worked(worked)
    }

    /// Takes the next record of the victims.
    fn gather(&mut self) -> Result<Gathered, FileId> {
        let Some((walk, is_old)) = self.walks.front_mut() else {
            return Ok(if self.squeeze.close() { Gathered::Some } else { Gathered::All });
        };
        let wanted = |position: u64| self.dead.positions.binary_search(&position).is_err();
        let file = walk.file();
        match walk.next(&self.window, wanted) {
            Step::Need { offset, len } => {
                self.window = Window { start: offset, bytes: Bytes::new() };
                self.reading = Some(file);
                return Ok(Gathered::Read(IoRequest::Read { file, offset, len }));
            }
            Step::Record { position, record, flags } => {
                self.squeeze.add(file, position, &record, flags, *is_old).ok_or(file)?;
            }
            Step::End => {
                self.walks.pop_front();
                self.window = Window::default();
            }
            Step::Damaged => return Err(file),
        }
        Ok(Gathered::Some)
    }

    /// Puts a record behind those before. None: there is more than there should be.
    fn lay(&mut self, given: Given) -> Option<()> {
        if self.presses && self.entries.is_empty() {
            self.put_preface(self.range.start)?;
        }
        self.plain += given.plain;
        self.live = self.live.checked_sub(given.plain)?;
        if let Form::Pressed(bytes) = given.form {
            let octets = given.plain - given.parts.first().map_or(0, |head| head.len() as u64);
            self.pressed.add(Pressed { bodies: 1, octets, bytes: bytes.into() });
        }
        self.put_record(given.position, given.form, given.parts)
    }

    fn put_preface(&mut self, position: u64) -> Option<()> {
        let preface = preface(self.plain, self.squeeze.dictionary());
        let form = Form::Preface { mixed: self.is_mixed, bytes: preface.len() as u32 };
        self.put_record(position, form, vec![preface])
    }

    fn put_record(&mut self, position: u64, form: Form, parts: Vec<Bytes>) -> Option<()> {
        let offset = u32::try_from(self.written + self.out_bytes).ok()?;
        let stored = u32::try_from(parts.iter().map(Bytes::len).sum::<usize>()).ok()?;
        let flags = form.flags();
        self.entries.push(Entry { position, offset, flags });
        self.put(Lead { position, stored, flags }.encode());
        parts.into_iter().for_each(|part| self.put(part));
        Some(())
    }

    /// Something of the victims is missing, and it is not known of which: the last one is spared.
    fn last(&self) -> Blame {
        self.victims.last().map_or(Blame::Nobody, |victim| Blame::Damaged(victim.file))
    }

    /// What stands behind the last record.
    fn end(&mut self) -> Result<IoRequest, Blame> {
        // I21: a pack that does not have all that is alive is none.
        if self.live > 0 {
            return Err(self.last());
        }
        if self.presses {
            self.put_preface(self.range.end - 1).ok_or(Blame::Nobody)?;
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
