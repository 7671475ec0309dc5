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

mod copy;
pub(crate) mod pack;
mod pick;
mod reclaim;
mod squeeze;
pub mod survey;
pub(crate) mod table;
mod walk;

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use crate::checkpoint::retry::Retry;
use crate::error::Error;
use crate::ids::{BodyId, Lsn, Now};
use crate::index::Index;
use crate::io::{FileId, IoError, IoRequest, IoResult};
use crate::limits::{
    self, COMPACT_GRACE_FULL_MS, COMPACT_PATIENCE_LOOKS, COMPACT_RETRY_MAX_MS, COMPACT_RETRY_MS,
};
use crate::log::batch::LogIdentity;
use crate::log::places::Places;
use crate::press::{self, Worked};
pub(crate) use copy::Dead;
use copy::{Blame, Job, Stage};
use pack::Pack;
pub(crate) use pick::Unit;
use pick::{All, Picked, pick};
use reclaim::{Gone, Reclaim};

/// How compaction behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes read and written a second at most; 0 compacts nothing.
    pub bytes_per_second: u64,
    /// Percent of the bytes of all files that should be alive: as long as less is, the file of which least is alive is
    /// copied into a smaller one.
    pub live_percent: u8,
    /// Milliseconds for which a file stays that nobody needs any more, for those who are still sending from it.
    pub grace_ms: u64,
    /// Milliseconds between two looks at what is worth compacting.
    pub look_ms: u64,
    /// Which bodies are compressed.
    pub press: press::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            bytes_per_second: limits::COMPACT_BYTES_PER_SECOND,
            live_percent: limits::COMPACT_LIVE_PERCENT,
            grace_ms: limits::COMPACT_GRACE_MS,
            look_ms: limits::COMPACT_LOOK_MS,
            press: press::Options::default(),
        }
    }
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
    /// Bytes that they had.
    pub reclaimed: u64,
    /// Files found damaged while they were copied; they stay.
    pub damaged: u64,
    /// Packs given up because more was found than is alive, or than a pack can have: no file is to blame for it.
    pub given_up: u64,
    /// Bodies compressed.
    pub pressed: Pressed,
}

/// Bodies that were compressed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pressed {
    /// How many.
    pub bodies: u64,
    /// Octets that they have.
    pub octets: u64,
    /// Bytes that they take now.
    pub bytes: u64,
}

/// Where the log stands.
pub(crate) struct Log {
    /// Bytes of all its files that may be needed.
    pub file_bytes: u64,
    /// No start reads what lies below.
    pub covered: Lsn,
    /// Everything below is durable and applied.
    pub durable: Lsn,
    /// The number of its last batch. Every start writes one.
    pub sequence: u64,
    /// Whether mail is refused for want of room: then room is given back as fast as can be.
    pub full: bool,
}

/// Binary digits by which the number of a pack is greater than that of the batch that it follows: so many packs can
/// be made between two batches before numbers could repeat.
const PACK_NUMBER_SHIFT: u32 = 16;

/// Of a file that a pack stands for, nothing is looked for, whoever may need it.
const STOOD_FOR: Lsn = Lsn(0);

/// Bytes by which what is alive takes less than it did, for it is compressed.
fn saved(index: &Index, places: &Places) -> u64 {
    let saved = |pack: &Pack| {
        let live = index.live_in(&pack.range);
        live.saturating_sub(pack.share(live))
    };
    places.packs().iter().map(saved).sum()
}

/// What a request was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Work,
    Remove,
}

impl Pressed {
    fn add(&mut self, more: Pressed) {
        self.bodies += more.bodies;
        self.octets += more.octets;
        self.bytes += more.bytes;
    }
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Compactor {
    log: LogIdentity,
    options: Options,
    pack_bytes_max: u64,
    job: Option<Job>,
    /// Where the log stood when the job began.
    begun: Lsn,
    highest: u64,
    reclaim: Reclaim,
    /// Files that cannot be copied.
    bad: BTreeSet<FileId>,
    doing: Option<Doing>,
    /// Bytes that may be read or written now; negative after a large step.
    budget: i64,
    ticked_ms: u64,
    look_at_ms: u64,
    /// Packs that came to nothing, for want of room above all.
    retry: Retry,
    /// What waits for two checkpoints that cover it, and since when.
    waiting: Option<(Lsn, u64)>,
    /// Whether the disk was full at the last tick.
    full: bool,
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
            begun: Lsn(0),
            highest,
            reclaim: Reclaim::default(),
            bad: BTreeSet::new(),
            doing: None,
            budget: 0,
            ticked_ms: 0,
            look_at_ms: 0,
            retry: Retry::new(COMPACT_RETRY_MS, COMPACT_RETRY_MAX_MS),
            waiting: None,
            full: false,
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
        log: &Log,
        now: Now,
    ) {
        let now_ms = now.mono_ms;
        let past_ms = now_ms.saturating_sub(self.ticked_ms).min(1000);
        self.ticked_ms = now_ms;
        if self.full && !log.full {
            self.retry.reset();
        }
        self.full = log.full;
        let second = self.options.bytes_per_second as i64;
        self.budget = (self.budget + second * past_ms as i64 / 1000).min(second);
        if self.off || self.job.is_some() || now_ms < self.look_at_ms {
            return;
        }
        self.look_at_ms = now_ms + self.options.look_ms;
        let mut units = self.units(index, places, segments, now.unix_ms);
        units.sort_unstable_by_key(|unit| unit.range.start);
        let covered = self.covered(log.covered);
        let mut uncovered: Vec<Unit> = units.extract_if(.., |unit| unit.range.end >= covered.0).collect();
        let all = All {
            bytes: log.file_bytes,
            live: index.live_in(&(0..u64::MAX)).saturating_sub(saved(index, places)),
            live_percent: u64::from(self.options.live_percent),
        };
        // Of what is damaged nothing is copied, and its neighbours are none of each other.
        let bad = |unit: &Unit| !unit.is_empty && self.bad.contains(&unit.file);
        uncovered.retain(|unit| !bad(unit));
        let mut runs = units.split(bad).map(|run| pick(run, &all, self.pack_bytes_max));
        let copies = self.retry.is_due(now_ms);
        let is_to_do = |picked: &Picked| match picked {
            Picked::Nothing => false,
            Picked::Empty(_) => true,
            Picked::Together(_) => copies,
        };
        let picked = runs.find(is_to_do).unwrap_or(Picked::Nothing);
        self.wait_for(&uncovered, &all, &picked, covered);
        match picked {
            Picked::Nothing => {}
            Picked::Empty(unit) => {
                assert_eq!(index.count_in(&unit.range), 0, "I22: nothing of what goes uncopied is alive");
                self.reclaim.retire(&unit, log.durable, now_ms);
                self.look_at_ms = now_ms;
            }
            Picked::Together(victims) => self.begin(index, places, log, victims),
        }
    }

    /// Segments that no pack stands for, and packs. What a pack stands for is put among those that go.
    fn units(
        &mut self,
        index: &Index,
        places: &Places,
        segments: impl Iterator<Item = Unit>,
        unix_ms: u64,
    ) -> Vec<Unit> {
        let mut units = Vec::new();
        for mut unit in segments {
            // Before a gap nobody knows where it ended: it may have come back when its removal was undone.
            let behind = places.packs().partition_point(|pack| pack.range.start <= unit.range.start);
            let end = places.packs().get(behind).map_or(u64::MAX, |next| next.range.start);
            unit.range.end = unit.range.end.min(end);
            match places.pack_of(Lsn(unit.range.start)) {
                Some(_) => self.reclaim.retire(&unit, STOOD_FOR, self.ticked_ms),
                None => units.push(unit),
            }
        }
        let unit = |pack: &Pack| Unit {
            file: FileId::Pack(pack.number),
            range: pack.range.clone(),
            bytes: pack.bytes,
            room: pack.room(),
            live: 0,
            is_empty: false,
            is_damaged: pack.damage.is_some(),
            is_old: false,
            is_pressed: pack.preface().is_some_and(|(_, mixed)| !mixed),
        };
        for pack in places.old_packs() {
            self.reclaim.retire(&unit(pack), STOOD_FOR, self.ticked_ms);
        }
        units.extend(places.packs().iter().map(unit));
        units.retain_mut(|unit| {
            let live = index.live_in(&unit.range);
            unit.live = match unit.file {
                FileId::Pack(number) => places.pack(number).map_or(live, |pack| pack.share(live)),
                _ => live,
            };
            unit.is_empty = index.count_in(&unit.range) == 0;
            unit.is_old = self.is_old(places, &unit.range, unix_ms);
            !self.reclaim.has(unit.file)
        });
        units
    }

    /// What could be picked if two checkpoints covered it, and what could go.
    fn wait_for(&mut self, uncovered: &[Unit], all: &All, picked: &Picked, covered: Lsn) {
        let sparse = uncovered.iter().filter(|unit| all.is_worth(unit));
        let to = sparse.map(|unit| Lsn(unit.range.end)).max().filter(|_| *picked == Picked::Nothing);
        let to = to.max(self.reclaim.waits_for(covered, self.ticked_ms, self.grace_ms()));
        self.waiting = to.map(|to| (to, self.waiting.map_or(self.ticked_ms, |(_, since_ms)| since_ms)));
    }

    /// What two checkpoints have to cover before more room can be given back, when that has waited for a while.
    pub fn waits_for(&self, now_ms: u64) -> Option<Lsn> {
        let patience_ms = match self.full {
            true => 0,
            false => self.options.look_ms.saturating_mul(COMPACT_PATIENCE_LOOKS),
        };
        let (to, since_ms) = self.waiting?;
        (now_ms >= since_ms.saturating_add(patience_ms)).then_some(to)
    }

    /// Bytes of the segments that wait to be removed.
    pub fn retired_segment_bytes(&self) -> u64 {
        self.reclaim.segment_bytes()
    }

    /// Whether all that lies in a range was written long enough ago to be compressed.
    fn is_old(&self, places: &Places, range: &Range<u64>, unix_ms: u64) -> bool {
        let before_ms = self.options.press.after_ms.and_then(|after_ms| unix_ms.checked_sub(after_ms));
        let written_ms = places.written_before_ms(range.end);
        before_ms.zip(written_ms).is_some_and(|(before_ms, written_ms)| written_ms <= before_ms)
    }

    fn begin(&mut self, index: &Index, places: &Places, log: &Log, victims: Vec<Unit>) {
        // A number is never given to another pack, also when the one that had it is gone: a backup may have it.
        self.highest = (self.highest + 1).max(log.sequence << PACK_NUMBER_SHIFT);
        self.job = Job::new(self.log, self.highest, index, places, victims, self.options.press);
        self.begun = log.durable;
    }

    /// The next request, if there is one; at most one is under way.
    pub fn poll(&mut self, covered: Lsn, now_ms: u64) -> Option<IoRequest> {
        if self.doing.is_some() || self.off {
            return None;
        }
        let request = self.work(now_ms).map(|request| (Doing::Work, request));
        let (doing, request) = request.or_else(|| {
            let covered = self.covered(covered);
            Some((Doing::Remove, self.reclaim.poll(covered, now_ms, self.grace_ms(), self.full)?))
        })?;
        self.doing = Some(doing);
        Some(request)
    }

    fn grace_ms(&self) -> u64 {
        let full_ms = if self.full { COMPACT_GRACE_FULL_MS } else { u64::MAX };
        self.options.grace_ms.min(full_ms)
    }

    /// What no start reads again.
    fn covered(&self, covered: Lsn) -> Lsn {
        #[cfg(feature = "testing")]
        if self.unlink_early {
            return Lsn(u64::MAX);
        }
        covered
    }

    fn work(&mut self, now_ms: u64) -> Option<IoRequest> {
        let job = self.job.as_mut()?;
        let (new, file) = (FileId::PackNew(job.number), FileId::Pack(job.number));
        let request = match job.stage {
            Stage::Begin => IoRequest::Begin { file: new },
            Stage::Copy if self.budget <= 0 => return None,
            Stage::Copy => match job.copy() {
                Ok(request) => request,
                Err(blame) => {
                    self.spare(blame, now_ms);
                    return Some(IoRequest::Unlink { file: new });
                }
            },
            Stage::Close | Stage::Sync => IoRequest::Sync { file: new },
            Stage::Rename => IoRequest::Rename { from: new, to: file },
            Stage::Map => IoRequest::Map { file },
            Stage::Clear => IoRequest::Unlink { file: new },
        };
        match &request {
            IoRequest::Read { len, .. } => self.budget -= i64::from(*len),
            IoRequest::Work(work) => self.budget -= work.bytes() as i64,
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

    /// A victim is not what was written: whatever reads it will say so, and here it stays as it is. Or nobody can tell
    /// what is wrong: then all victims stay until the next start, and others are compacted meanwhile.
    fn spare(&mut self, blame: Blame, now_ms: u64) {
        match blame {
            Blame::Damaged(file) => {
                self.bad.insert(file);
                self.done.damaged += 1;
            }
            Blame::Nobody => {
                let victims = self.job.iter().flat_map(|job| &job.victims);
                self.bad.extend(victims.map(|victim| victim.file));
                self.done.given_up += 1;
            }
        }
        self.look_at_ms = now_ms + COMPACT_RETRY_MS;
        self.job.iter_mut().for_each(|job| job.stage = Stage::Clear);
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
                self.retry.failed(now_ms);
                match stage {
                    Stage::Begin => self.job = None,
                    _ => job.stage = Stage::Clear,
                }
            }
            (Stage::Copy, IoResult::Failed(_)) if job.reading.is_some() => {
                // Nothing was to be written: it is as if it were damaged.
                self.bad.extend(job.reading);
                self.done.damaged += 1;
                job.stage = Stage::Clear;
                self.look_at_ms = now_ms + COMPACT_RETRY_MS;
            }
            (_, IoResult::Failed(error)) => {
                return Err(Error::Io { doing: "writing a pack".to_owned(), error });
            }
            (Stage::Begin, _) => job.stage = Stage::Copy,
            (Stage::Copy, IoResult::Read(bytes)) => job.window.bytes = bytes,
            (Stage::Copy, IoResult::Worked(Worked::Failed(_))) => {
                self.retry.failed(now_ms);
                job.stage = Stage::Clear;
            }
            (Stage::Copy, IoResult::Worked(worked)) => {
                if let Err(damaged) = job.worked(worked) {
                    self.spare(Blame::Damaged(damaged), now_ms);
                }
            }
            (Stage::Copy, _) => {}
            (Stage::Close, _) => job.stage = Stage::Sync,
            (Stage::Sync, _) => job.stage = Stage::Rename,
            (Stage::Rename, _) => job.stage = Stage::Map,
            (Stage::Map, IoResult::Created(view)) => {
                let Some(mut job) = self.job.take() else { return Ok(None) };
                let (Some(table), bytes) = job.finished() else { return Ok(None) };
                places.add_pack(Pack::made(job.number, job.range.clone(), bytes, table, view, self.begun));
                index.relocated(&job.dead);
                job.victims.iter().for_each(|victim| self.reclaim.retire(victim, STOOD_FOR, now_ms));
                self.done.packs += 1;
                self.done.pressed.add(job.pressed);
                self.look_at_ms = now_ms;
                self.retry.reset();
            }
            (Stage::Clear, _) => self.job = None,
            (stage, result) => panic!("I7: {result:?} does not answer a request in {stage:?}"),
        }
        Ok(None)
    }

    fn removed(&mut self, index: &mut Index, places: &mut Places, result: IoResult) -> Result<FileId, Error> {
        let Gone { file, range, bytes } = self.reclaim.removed();
        if let IoResult::Failed(error) = result {
            return Err(Error::Io { doing: "removing what was compacted".to_owned(), error });
        }
        match file {
            FileId::Segment(segment) => places.remove(segment),
            file => places.remove_pack(file.number()),
        }
        let is_held = |first: BodyId| places.pack_of(Lsn(first.0)).is_some();
        index.forget_dead(&range, is_held);
        self.retry.reset();
        self.done.removed += 1;
        self.done.reclaimed += bytes;
        Ok(file)
    }
}
