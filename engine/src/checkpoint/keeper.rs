//! When a checkpoint is made, and its way onto the disk.
//!
//! *Owns*: the order of requests for `.ckp` files. *Promises*: one request at a time; a checkpoint counts only
//! when its name is durable, and the one before stays readable until then and for one more; no room is no
//! error. *Assumes*: somebody asks for work whenever some is done. *Never*: delays a commit by more than the
//! copying of one step.
//!
//! ```text
//!         enough log             all marked            Begin, Write…            nothing left
//!  Idle ─────────────► Walking ─────────────► Filling ──────────────► Closing ─────────────► Sync ► Rename ► Map
//!   ▲ ▲                                          │ no room: Unlink                                           │
//!   │ └──── after CHECKPOINT_RETRY_MS and more ◄─┘                                                           │
//!   └──────────────────────── Unlink, what neither this checkpoint nor the one before needs ◄────────────────┘
//! ```

use std::collections::{BTreeSet, VecDeque};

use super::Point;
use super::retry::Retry;
use super::round::Retiring;
use crate::error::Error;
use crate::ids::Lsn;
use crate::index::Index;
use crate::io::{FileId, IoError, IoRequest, IoResult};
use crate::limits::{
    CHECKPOINT_RETIRED_GROUPS, CHECKPOINT_RETRY_MAX_MS, CHECKPOINT_RETRY_MS, CHECKPOINT_STEP_BYTES,
};
use crate::log::batch::LogIdentity;

/// Memory that waits for a checkpoint gets one after this part of the log between two.
const EARLY_PARTS: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Marks what files that are to go still hold; so many groups more in this round.
    Walking {
        groups: usize,
    },
    Begin,
    Filling,
    Closing,
    Sync,
    Rename,
    Map,
    /// No room: the piece of a file goes.
    Clear,
}

/// Where a start has found things.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// The newest checkpoint; 0 if there is none.
    pub file: u32,
    /// Its position.
    pub position: Lsn,
    /// Its files.
    pub files: BTreeSet<u32>,
    /// The position of the one before.
    pub before: Lsn,
    /// The files of the one before.
    pub files_before: BTreeSet<u32>,
    /// The highest number of any file.
    pub highest: u32,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Keeper {
    log: LogIdentity,
    /// Bytes of log between two checkpoints.
    log_bytes: u64,
    state: State,
    kept: Kept,
    /// The position of the round under way.
    begun: Lsn,
    /// Files that are to go, in this round or in later ones.
    retiring: Retiring,
    /// The next group to be looked at of the first of them that is not done.
    cursor: usize,
    unlinks: VecDeque<u32>,
    unlinking: bool,
    busy: bool,
    written: u64,
    retry: Retry,
    rounds: u64,
    off: bool,
}

impl Keeper {
    /// Goes on from what a start has found. `log_bytes` of 0 is never.
    pub fn new(log: LogIdentity, log_bytes: u64, kept: Kept) -> Keeper {
        Keeper {
            log,
            log_bytes,
            state: State::Idle,
            begun: kept.position,
            kept,
            retiring: Retiring::default(),
            cursor: 0,
            unlinks: VecDeque::new(),
            unlinking: false,
            busy: false,
            written: 0,
            retry: Retry::new(CHECKPOINT_RETRY_MS, CHECKPOINT_RETRY_MAX_MS),
            rounds: 0,
            off: log_bytes == 0,
        }
    }

    /// Makes no checkpoint any more: the index is not what the log would say if it could be read.
    pub fn stop(&mut self) {
        self.off = true;
    }

    /// Whether a request waits for its completion.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Checkpoints made since the start, and their bytes.
    pub fn made(&self) -> (u64, u64) {
        (self.rounds, self.written)
    }

    /// The position of the newest checkpoint; 0 if there is none.
    pub fn position(&self) -> Lsn {
        self.kept.position
    }

    /// Everything below this position is in a checkpoint, and in the one before it if there is one: a start
    /// will not read it again, whichever of the two it finds.
    pub fn covered(&self) -> Lsn {
        self.kept.before
    }

    /// The files of the newest checkpoint of a position up to `end`; of none if there never was one. None if all are
    /// newer.
    pub fn files_within(&self, end: Lsn) -> Option<&BTreeSet<u32>> {
        let Kept { position, files, before, files_before, .. } = &self.kept;
        let older = *before > Lsn(0) && *before <= end;
        if *position <= end { Some(files) } else { older.then_some(files_before) }
    }

    /// A bounded step: begins a checkpoint when it is time. `pressed` when memory waits for one; `wanted` when room on
    /// the disk waits until two of them cover this position.
    pub fn tick(
        &mut self,
        index: &mut Index,
        point: &Point,
        now_ms: u64,
        pressed: bool,
        wanted: Option<Lsn>,
    ) {
        if self.off {
            return;
        }
        match self.state {
            State::Idle => {
                let behind = point.tail.end.0.saturating_sub(self.begun.0);
                let early = (self.log_bytes / EARLY_PARTS).max(1);
                let wanted = wanted.is_some_and(|to| self.covered() <= to && to < point.tail.end);
                let due = behind >= self.log_bytes || pressed && behind >= early || wanted;
                let ready = !self.busy && self.unlinks.is_empty() && self.retry.is_due(now_ms);
                if due && ready && (wanted || index.changed_keys() > 0) {
                    if self.retiring.files.is_empty() {
                        self.retiring.files = index.images().retiring();
                        self.cursor = 0;
                    }
                    self.state = State::Walking { groups: CHECKPOINT_RETIRED_GROUPS };
                }
            }
            State::Walking { groups } => self.walk(index, groups, point),
            _ => {}
        }
    }

    /// Marks what is needed of one group; begins the round when it is enough.
    fn walk(&mut self, index: &mut Index, groups: usize, point: &Point) {
        let next = self.retiring.files.difference(&self.retiring.walked).next().copied();
        let Some(file) = next.filter(|_| groups > 0) else {
            self.begun = point.tail.end;
            self.kept.highest += 1;
            index.begin_round(self.kept.highest, self.log, point.clone(), self.retiring.clone());
            self.state = State::Begin;
            return;
        };
        let is_oldest = index.images().oldest_but(&self.retiring.files).is_none_or(|oldest| file < oldest);
        self.state = State::Walking { groups: groups - 1 };
        self.cursor += 1;
        match index.images().group(file, self.cursor - 1) {
            Some(Ok(records)) if index.retire(file, &records, is_oldest).is_some() => return,
            None => drop(self.retiring.walked.insert(file)),
            // It cannot be read any more, so it stays: what of it is in memory is written when it changes.
            _ => drop(self.retiring.files.remove(&file)),
        }
        self.cursor = 0;
    }

    /// The next request, if there is one; at most one is under way.
    pub fn poll(&mut self, index: &mut Index) -> Option<IoRequest> {
        if self.busy {
            return None;
        }
        let request = self.request(index);
        self.busy = request.is_some();
        request
    }

    fn request(&mut self, index: &mut Index) -> Option<IoRequest> {
        let number = u64::from(self.kept.highest);
        let (new, file) = (FileId::CheckpointNew(number), FileId::Checkpoint(number));
        match self.state {
            State::Idle => {
                let file = FileId::Checkpoint(u64::from(*self.unlinks.front()?));
                self.unlinking = true;
                Some(IoRequest::Unlink { file })
            }
            State::Walking { .. } => None,
            State::Begin => Some(IoRequest::Begin { file: new }),
            State::Filling | State::Closing => Some(self.fill(index, new)),
            State::Sync => Some(IoRequest::Sync { file: new }),
            State::Rename => Some(IoRequest::Rename { from: new, to: file }),
            State::Map => Some(IoRequest::Map { file }),
            State::Clear => Some(IoRequest::Unlink { file: new }),
        }
    }

    fn fill(&mut self, index: &mut Index, file: FileId) -> IoRequest {
        if self.state == State::Filling && index.copy_some(CHECKPOINT_STEP_BYTES) {
            index.finish_round(self.log, self.kept.file);
            self.state = State::Closing;
        }
        let taken = index.round().and_then(|round| round.take());
        let Some((offset, bytes)) = taken else {
            self.state = State::Sync;
            return IoRequest::Sync { file };
        };
        IoRequest::Write { file, offset, parts: vec![bytes], durable: false }
    }

    /// How the request ended. When an account cannot be copied, it is not served any more, and no checkpoint made.
    pub fn complete(&mut self, index: &mut Index, result: IoResult, now_ms: u64) -> Result<(), Error> {
        self.busy = false;
        if std::mem::take(&mut self.unlinking) {
            self.unlinks.pop_front();
            return done("removing a checkpoint", result);
        }
        if let IoResult::Failed(IoError::NoSpace) = result {
            self.abandon(index, now_ms);
            return Ok(());
        }
        match (self.state, result) {
            (State::Begin, IoResult::Done) => self.state = State::Filling,
            (State::Filling | State::Closing, IoResult::Done) => {
                if index.round().is_some_and(|round| round.spoiled) {
                    self.abandon(index, now_ms);
                    self.off = true;
                    index.stop_tracking();
                }
            }
            (State::Sync, IoResult::Done) => self.state = State::Rename,
            (State::Rename, IoResult::Done) => self.state = State::Map,
            (State::Map, IoResult::Created(view)) => self.finish(index, view),
            (State::Clear, result) => {
                self.state = State::Idle;
                return done("removing a checkpoint", result);
            }
            (_, IoResult::Failed(error)) => {
                return Err(Error::Io { doing: "writing a checkpoint".to_owned(), error });
            }
            (state, result) => panic!("I7: {result:?} does not answer a request in {state:?}"),
        }
        Ok(())
    }

    fn abandon(&mut self, index: &mut Index, now_ms: u64) {
        // What could not even be begun left no file.
        self.state = if self.state == State::Begin { State::Idle } else { State::Clear };
        self.retry.failed(now_ms);
        self.begun = self.kept.position;
        index.abandon_round();
    }

    fn finish(&mut self, index: &mut Index, view: Box<dyn crate::io::View>) {
        self.written += index.round().map_or(0, |round| round.bytes());
        self.rounds += 1;
        self.retry.reset();
        index.end_round(view);
        let Retiring { files, walked } = &mut self.retiring;
        files.retain(|file| !walked.contains(file));
        walked.clear();
        let mut files: BTreeSet<u32> = index.images().others(0).iter().map(|file| file.file).collect();
        std::mem::swap(&mut self.kept.files, &mut files);
        let superseded = std::mem::replace(&mut self.kept.files_before, files);
        let needed = |file: &u32| self.kept.files.contains(file) || self.kept.files_before.contains(file);
        self.unlinks.extend(superseded.iter().filter(|file| !needed(file)));
        (self.kept.before, self.kept.position) = (self.kept.position, self.begun);
        self.kept.file = self.kept.highest;
        self.state = State::Idle;
    }
}

fn done(doing: &str, result: IoResult) -> Result<(), Error> {
    match result {
        IoResult::Failed(error) => Err(Error::Io { doing: doing.to_owned(), error }),
        IoResult::Done | IoResult::Created(_) | IoResult::Read(_) | IoResult::Worked(_) => Ok(()),
    }
}
