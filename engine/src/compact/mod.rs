//! Compaction: what is alive of old segments moves into packs, and the segments go.
//!
//! *Owns*: the one job under way, and the files that wait to be removed. *Promises*: a file is removed only when (a)
//! what is alive of it is in a pack that is durable under its name, (b) two checkpoints cover every change in it, so
//! that no start reads it again, and (c) nobody can be sending from it any more. *Assumes*: bodies never change; what
//! is dead stays dead. *Never*: delays a commit: its requests come last, one at a time, and within a rate.
//!
//! ```text
//!        worth it                       Read, Write …              all copied
//!  Idle ──────────► Begin ──► Copy ◄──────────────────► Copy ──────────────────► Sync ► Rename ► Map ─┐
//!   ▲ ▲                        │ no room, or damaged: Unlink                                          │
//!   │ └────────────────────────┘                                                                      │
//!   └───────────────── the pack stands for its victims, which are removed when (a), (b), (c) ◄────────┘
//! ```

pub(crate) mod pack;
mod pick;
mod walk;

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use bytes::Bytes;

use crate::error::Error;
use crate::ids::{BodyId, Lsn};
use crate::index::Index;
use crate::io::{FileId, IoError, IoRequest, IoResult};
use crate::limits::{COMPACT_RETRY_MS, COMPACT_WRITE_BYTES};
use crate::log::batch::LogIdentity;
use crate::log::places::Places;
use pack::Pack;
pub(crate) use pick::Unit;
use pick::{Picked, pick};
use walk::{Step, Walk, Window};

/// How compaction behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes read and written a second at most; 0 compacts nothing.
    pub bytes_per_second: u64,
    /// Milliseconds for which a file stays that nobody needs any more, for those who are still sending from it.
    pub grace_ms: u64,
    /// Milliseconds between two looks at what is worth compacting.
    pub look_ms: u64,
}

/// A file that a pack stands for, or of which nothing is alive.
#[derive(Debug)]
struct Retired {
    file: FileId,
    range: Range<u64>,
    since_ms: u64,
}

/// The dead bodies of a range, as they were at one moment.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    /// Their positions, ascending.
    pub positions: Vec<u64>,
    /// How many of each segment's share they are.
    pub counts: Vec<(BodyId, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Copy,
    /// The last write is on its way.
    Close,
    Sync,
    Rename,
    Map,
    /// Nothing comes of it: the piece of a file goes.
    Clear,
}

/// A pack in the making.
#[derive(Debug)]
struct Job {
    number: u64,
    range: Range<u64>,
    victims: Vec<Unit>,
    walks: VecDeque<Walk>,
    dead: Dead,
    window: Window,
    out: Vec<Bytes>,
    out_bytes: u64,
    /// Bytes handed to the disk.
    written: u64,
    entries: Vec<(u64, u32)>,
    /// Where the table begins, when all is copied.
    table: u64,
    stage: Stage,
}

/// What has been done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Packs made.
    pub packs: u64,
    /// Bytes written to them.
    pub written: u64,
    /// Files removed.
    pub removed: u64,
    /// Files found damaged while they were copied; they stay.
    pub damaged: u64,
}

/// What a request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Work,
    Remove,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Compactor {
    log: LogIdentity,
    options: Options,
    pack_bytes_max: u64,
    job: Option<Job>,
    highest: u64,
    retired: VecDeque<Retired>,
    /// First positions of files that cannot be copied.
    bad: BTreeSet<u64>,
    doing: Option<Doing>,
    /// Bytes that may be read or written now; negative after a large step.
    budget: i64,
    ticked_ms: u64,
    look_at_ms: u64,
    done: Done,
    off: bool,
    /// A planted bug: files are removed before a checkpoint covers them.
    #[cfg(feature = "testing")]
    pub unlink_early: bool,
    /// A planted bug: a pack is taken for durable that has no name.
    #[cfg(feature = "testing")]
    pub lose_pack: bool,
}

impl Compactor {
    /// Goes on with the files that a start has found. `is_whole` unless something is damaged: then nothing moves, so
    /// that the right bytes can be put back.
    pub fn new(
        log: LogIdentity,
        options: Options,
        pack_bytes_max: u64,
        highest: u64,
        is_whole: bool,
    ) -> Compactor {
        Compactor {
            log,
            options,
            pack_bytes_max,
            job: None,
            highest,
            retired: VecDeque::new(),
            bad: BTreeSet::new(),
            doing: None,
            budget: 0,
            ticked_ms: 0,
            look_at_ms: 0,
            done: Done::default(),
            off: !is_whole || options.bytes_per_second == 0,
            #[cfg(feature = "testing")]
            unlink_early: false,
            #[cfg(feature = "testing")]
            lose_pack: false,
        }
    }

    /// Whether a request waits for its completion.
    pub fn is_busy(&self) -> bool {
        self.doing.is_some()
    }

    /// What has been done since the start.
    pub fn done(&self) -> Done {
        self.done
    }

    /// Refills what may be read and written, and looks for something to do. `segments` are those that are complete.
    pub fn tick(
        &mut self,
        index: &Index,
        places: &Places,
        segments: impl Iterator<Item = Unit>,
        covered: Lsn,
        now_ms: u64,
    ) {
        let past_ms = now_ms.saturating_sub(self.ticked_ms).min(1000);
        self.ticked_ms = now_ms;
        let second = self.options.bytes_per_second as i64;
        self.budget = (self.budget + second * past_ms as i64 / 1000).min(second);
        if self.off || self.job.is_some() || now_ms < self.look_at_ms {
            return;
        }
        self.look_at_ms = now_ms + self.options.look_ms;
        let mut units = self.units(index, places, segments, covered);
        units.sort_unstable_by_key(|unit| unit.range.start);
        match pick(&units, self.pack_bytes_max) {
            Picked::Nothing => {}
            Picked::Empty(unit) => {
                self.retire(&unit, now_ms);
                self.look_at_ms = now_ms;
            }
            Picked::Together(victims) => self.begin(index, victims),
        }
    }

    /// Segments that no pack stands for, and packs. What a pack stands for is put among those that go.
    fn units(
        &mut self,
        index: &Index,
        places: &Places,
        segments: impl Iterator<Item = Unit>,
        covered: Lsn,
    ) -> Vec<Unit> {
        let mut units = Vec::new();
        let covered = self.covered(covered);
        for unit in segments.filter(|unit| unit.range.end < covered.0) {
            match places.pack_of(Lsn(unit.range.start)) {
                Some(_) => self.retire(&unit, self.ticked_ms),
                None => units.push(unit),
            }
        }
        let unit = |pack: &Pack| Unit {
            file: FileId::Pack(pack.number),
            range: pack.range.clone(),
            bytes: pack.bytes,
            live: 0,
        };
        for pack in places.old_packs() {
            self.retire(&unit(pack), self.ticked_ms);
        }
        units.extend(places.packs().iter().map(unit));
        units.retain(|unit| {
            let goes = self.retired.iter().any(|retired| retired.file == unit.file);
            !goes && !self.bad.contains(&unit.range.start)
        });
        units.iter_mut().for_each(|unit| unit.live = index.live_in(&unit.range));
        units
    }

    fn retire(&mut self, unit: &Unit, now_ms: u64) {
        if self.retired.iter().all(|retired| retired.file != unit.file) {
            let (file, range) = (unit.file, unit.range.clone());
            self.retired.push_back(Retired { file, range, since_ms: now_ms });
        }
    }

    fn begin(&mut self, index: &Index, victims: Vec<Unit>) {
        let (Some(first), Some(last)) = (victims.first(), victims.last()) else { return };
        let range = first.range.start..last.range.end;
        let walk = |unit: &Unit| match unit.file {
            FileId::Segment(segment) => {
                Walk::segment(self.log, segment, Lsn(unit.range.start), unit.range.end - unit.range.start)
            }
            file => Walk::Pack { number: file.number(), next: 0 },
        };
        let walks = victims.iter().map(walk).collect();
        self.highest += 1;
        self.job = Some(Job {
            number: self.highest,
            dead: index.dead_in(&range),
            range,
            victims,
            walks,
            window: Window::default(),
            out: vec![pack::head(self.log, self.highest)],
            out_bytes: pack::HEAD_BYTES,
            written: 0,
            entries: Vec::new(),
            table: 0,
            stage: Stage::Begin,
        });
    }

    /// The next request, if there is one; at most one is under way.
    pub fn poll(&mut self, places: &Places, covered: Lsn, now_ms: u64) -> Option<IoRequest> {
        if self.doing.is_some() || self.off {
            return None;
        }
        let request = self.work(places, now_ms);
        let request = request.map(|request| (Doing::Work, request));
        let (doing, request) = request.or_else(|| Some((Doing::Remove, self.remove(covered, now_ms)?)))?;
        self.doing = Some(doing);
        Some(request)
    }

    /// What no start reads again.
    fn covered(&self, covered: Lsn) -> Lsn {
        #[cfg(feature = "testing")]
        if self.unlink_early {
            return Lsn(u64::MAX);
        }
        covered
    }

    /// A file that nobody needs, reads again or sends from.
    fn remove(&mut self, covered: Lsn, now_ms: u64) -> Option<IoRequest> {
        let covered = self.covered(covered);
        let goes = |retired: &Retired| {
            retired.range.end < covered.0 && now_ms >= retired.since_ms.saturating_add(self.options.grace_ms)
        };
        let at = self.retired.iter().position(goes)?;
        self.retired.swap(0, at);
        self.retired.front().map(|retired| IoRequest::Unlink { file: retired.file })
    }

    fn work(&mut self, places: &Places, now_ms: u64) -> Option<IoRequest> {
        let job = self.job.as_mut()?;
        let (new, file) = (FileId::PackNew(job.number), FileId::Pack(job.number));
        let request = match job.stage {
            Stage::Begin => IoRequest::Begin { file: new },
            Stage::Copy if self.budget <= 0 => return None,
            Stage::Copy => match job.copy(places.packs(), self.log) {
                Some(request) => request,
                None => {
                    // It is not what was written. Whatever reads it will say so; here it stays as it is.
                    self.bad.extend(job.victims.iter().map(|victim| victim.range.start));
                    self.done.damaged += 1;
                    job.stage = Stage::Clear;
                    self.look_at_ms = now_ms + COMPACT_RETRY_MS;
                    IoRequest::Unlink { file: new }
                }
            },
            Stage::Close | Stage::Sync => IoRequest::Sync { file: new },
            Stage::Rename => IoRequest::Rename { from: new, to: file },
            Stage::Map => IoRequest::Map { file },
            Stage::Clear => IoRequest::Unlink { file: new },
        };
        match &request {
            IoRequest::Read { len, .. } => self.budget -= i64::from(*len),
            IoRequest::Write { parts, .. } => {
                let bytes: usize = parts.iter().map(Bytes::len).sum();
                self.budget -= bytes as i64;
                self.done.written += bytes as u64;
            }
            _ => {}
        }
        #[cfg(feature = "testing")]
        if self.lose_pack && job.stage == Stage::Rename {
            job.stage = Stage::Map;
            return Some(IoRequest::Map { file: new });
        }
        Some(request)
    }

    /// How the request ended.
    pub fn complete(
        &mut self,
        index: &mut Index,
        places: &mut Places,
        result: IoResult,
        now_ms: u64,
    ) -> Result<Option<FileId>, Error> {
        let doing = self.doing.take();
        if doing == Some(Doing::Remove) {
            return self.removed(index, places, result).map(Some);
        }
        let Some(job) = &mut self.job else { return Ok(None) };
        match (job.stage, result) {
            (stage, IoResult::Failed(IoError::NoSpace)) => {
                // What could not even be begun left no file.
                self.look_at_ms = now_ms + COMPACT_RETRY_MS;
                match stage {
                    Stage::Begin => self.job = None,
                    _ => job.stage = Stage::Clear,
                }
            }
            (_, IoResult::Failed(error)) => {
                return Err(Error::Io { doing: "writing a pack".to_owned(), error });
            }
            (Stage::Begin, _) => job.stage = Stage::Copy,
            (Stage::Copy, IoResult::Read(bytes)) => job.window.bytes = bytes,
            (Stage::Copy, _) => {}
            (Stage::Close, _) => job.stage = Stage::Sync,
            (Stage::Sync, _) => job.stage = Stage::Rename,
            (Stage::Rename, _) => job.stage = Stage::Map,
            (Stage::Map, IoResult::Created(view)) => {
                let Some(job) = self.job.take() else { return Ok(None) };
                let count = job.entries.len();
                places.add_pack(Pack::made(job.number, job.range.clone(), job.table, count, view));
                index.relocated(&job.dead);
                job.victims.iter().for_each(|victim| self.retire(victim, now_ms));
                self.done.packs += 1;
                self.look_at_ms = now_ms;
            }
            (Stage::Clear, _) => self.job = None,
            (stage, result) => panic!("I7: {result:?} does not answer a request in {stage:?}"),
        }
        Ok(None)
    }

    fn removed(&mut self, index: &mut Index, places: &mut Places, result: IoResult) -> Result<FileId, Error> {
        let Some(Retired { file, range, .. }) = self.retired.pop_front() else {
            panic!("I7: a file was asked to be removed");
        };
        if let IoResult::Failed(error) = result {
            return Err(Error::Io { doing: "removing what was compacted".to_owned(), error });
        }
        match file {
            FileId::Segment(segment) => places.remove(segment),
            file => places.remove_pack(file.number()),
        }
        index.forget_dead(&range);
        self.done.removed += 1;
        Ok(file)
    }
}

impl Job {
    /// The next read or write. None: a victim is damaged.
    fn copy(&mut self, packs: &[Pack], log: LogIdentity) -> Option<IoRequest> {
        let file = FileId::PackNew(self.number);
        while let Some(walk) = self.walks.front_mut() {
            if self.out_bytes >= COMPACT_WRITE_BYTES {
                return Some(self.write(file));
            }
            let wanted = |position: u64| self.dead.positions.binary_search(&position).is_err();
            match walk.next(&self.window, packs, wanted) {
                Step::Need { offset, len } => {
                    self.window = Window { start: offset, bytes: Bytes::new() };
                    return Some(IoRequest::Read { file: walk.file(), offset, len });
                }
                Step::Record { position, record } => {
                    let offset = u32::try_from(self.written + self.out_bytes).ok()?;
                    self.entries.push((position, offset));
                    self.out_bytes += record.len() as u64;
                    self.out.push(record);
                }
                Step::End => {
                    self.walks.pop_front();
                    self.window = Window::default();
                }
                Step::Damaged => return None,
            }
        }
        self.table = self.written + self.out_bytes;
        self.out.push(pack::end(log, self.number, &self.range, self.table, &self.entries));
        self.stage = Stage::Close;
        Some(self.write(file))
    }

    fn write(&mut self, file: FileId) -> IoRequest {
        let (offset, parts) = (self.written, std::mem::take(&mut self.out));
        self.written += self.out_bytes;
        self.out_bytes = 0;
        IoRequest::Write { file, offset, parts, durable: false }
    }
}
