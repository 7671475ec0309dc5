//! Scrub: looks in the background whether the disk still has what was written.
//!
//! *Owns*: the round under way through segments and checkpoints. *Promises*: every sum of every file that has been
//! written is asked for once a round; what is told is rot, and what is rot is told once a round; one read at a
//! time, when nobody else wants the disk, within a rate. *Assumes*: somebody asks for work whenever some is done.
//! *Never*: touches a mapping, so that no page fault stalls anybody; takes an error of reading for the end of the disk.
//!
//! ```text
//!        round_ms over           list of files used up                all accounts
//!  Idle ──────────────► Files ─────────────────────────► Rows ──────────────────────► Idle
//!                        │  ▲     a file is gone: the next; then nothing is taken back this round
//!                        └──┘
//! ```
//!
//! Where a round begins after a start depends on the time of day, so that a store that is started often is looked at
//! as a whole all the same, and no position has to be kept.

mod image;
mod segment;

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use crate::checkpoint::Piece;
use crate::ids::{AccountId, BodyId, Now};
use crate::index::Index;
use crate::io::{FileId, IoRequest, IoResult};
use crate::limits::{SCRUB_ACCOUNT_LOOKS, SCRUB_NARROW_BYTES, SCRUB_READ_BYTES};
use crate::log::batch::LogIdentity;
use crate::log::record::RecordMeta;
use crate::log::writer::Writer;
use image::{GroupWalk, RowWalk};
use segment::SegmentWalk;

/// How scrub behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes read a second at most; 0 looks at nothing.
    pub bytes_per_second: u64,
    /// Milliseconds from the beginning of one round to that of the next.
    pub round_ms: u64,
}

/// What scrub has done since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// Rounds that came to their end.
    pub rounds: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Places at which something else is on the disk than was written; told again in each round.
    pub rot: u64,
    /// Summaries put back as they were.
    pub mended: u64,
    /// Files of the round under way that have not been looked at.
    pub files_left: u64,
}

/// A record that does not have its sum, by a header that is what was written.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Where in the log it begins; a body's id.
    pub position: BodyId,
    /// What its header says.
    pub meta: RecordMeta,
    /// The sum that it should have.
    pub sum: u32,
    /// Whether all of it can be read.
    pub read: bool,
}

/// What is not what was written.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Something that only a replay of the log would ask for: the header of a segment, or sums.
    Header,
    /// A change. What it did is known; only a replay of the log would miss it.
    Change(Record),
    /// A body, or its summary.
    Body(Record),
    /// Of records that begin at these positions, nothing is certain.
    Unknown {
        /// The first position.
        from: BodyId,
        /// Behind the last.
        until: BodyId,
    },
    /// Records of a checkpoint. What they say is known; a start would do with an older checkpoint.
    Group,
    /// Rows of this account in a checkpoint.
    Rows(AccountId),
}

/// One place.
#[derive(Clone, Copy, Debug)]
pub struct Rot {
    /// In which file.
    pub file: FileId,
    /// From which byte.
    pub offset: u64,
    /// How many bytes it concerns.
    pub len: u64,
    /// What they are.
    pub what: What,
}

/// What is being looked at.
#[derive(Debug)]
enum Work {
    Segment(Box<SegmentWalk>),
    Groups(GroupWalk),
    Rows(RowWalk),
}

/// What came of a read.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// What was found.
    pub rot: Vec<Rot>,
    /// Rows that are not what was written, if they are still needed.
    pub rows: Option<(AccountId, Piece)>,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Scrubber {
    log: LogIdentity,
    options: Options,
    files: VecDeque<FileId>,
    work: Option<Work>,
    /// The read under way.
    asked: Option<(FileId, u64, u64)>,
    /// Up to where a file is read block by block, for some of it cannot be read at all.
    narrow: Option<u64>,
    /// What cannot be read in this round.
    holes: u64,
    /// Bytes that may be read now; negative after a large step.
    budget: i64,
    ticked_ms: u64,
    /// When the next round begins; none before the first.
    next_ms: Option<u64>,
    /// Bodies that this round has found.
    found: BTreeSet<(BodyId, BodyId)>,
    /// A file went away before its end.
    incomplete: bool,
    done: Done,
}

impl Scrubber {
    /// Has not begun.
    pub fn new(log: LogIdentity, options: Options) -> Scrubber {
        Scrubber {
            log,
            options,
            files: VecDeque::new(),
            work: None,
            asked: None,
            narrow: None,
            holes: 0,
            budget: 0,
            ticked_ms: 0,
            next_ms: None,
            found: BTreeSet::new(),
            incomplete: false,
            done: Done::default(),
        }
    }

    /// What has been done since the start.
    pub fn done(&self) -> Done {
        Done { files_left: self.files.len() as u64, ..self.done }
    }

    /// The next round begins at the next tick, or goes on if one is under way.
    pub fn hurry(&mut self) {
        self.next_ms = Some(0);
    }

    /// A summary was put back.
    pub fn mended(&mut self) {
        self.done.mended += 1;
    }

    /// What a round has found so far of bodies.
    pub fn has_found(&self, from: BodyId, until: BodyId) -> bool {
        self.found.contains(&(from, until))
    }

    /// Refills what may be read, and begins a round when it is time.
    pub fn tick(&mut self, index: &Index, writer: &Writer, now: Now) {
        let second = i64::try_from(self.options.bytes_per_second).unwrap_or(i64::MAX / 2000);
        let past_ms = now.mono_ms.saturating_sub(self.ticked_ms).min(1000) as i64;
        self.ticked_ms = now.mono_ms;
        self.budget = (self.budget + second / 1000 * past_ms).min(second);
        let is_idle = self.work.is_none() && self.files.is_empty();
        if second == 0 || !is_idle || self.next_ms.is_some_and(|next_ms| now.mono_ms < next_ms) {
            return;
        }
        self.files.extend(writer.complete_files().map(FileId::Segment));
        self.files.extend(index.images().files().map(|file| FileId::Checkpoint(u64::from(file))));
        if self.next_ms.is_none() && !self.files.is_empty() {
            let first = now.unix_ms % self.files.len() as u64;
            self.files.rotate_left(first as usize);
        }
        self.next_ms = Some(now.mono_ms.saturating_add(self.options.round_ms));
        self.found.clear();
        (self.incomplete, self.holes) = (false, 0);
        self.begin_file(index, writer);
    }

    /// The next file that is still there; after the last, the rows.
    fn begin_file(&mut self, index: &Index, writer: &Writer) {
        self.narrow = None;
        while let Some(file) = self.files.pop_front() {
            let work = match file {
                FileId::Segment(segment) => writer.complete_file(segment).map(|(base, end)| {
                    Work::Segment(Box::new(SegmentWalk::new(self.log, segment, base, end)))
                }),
                FileId::Checkpoint(number) => u32::try_from(number).ok().and_then(|number| {
                    Some(Work::Groups(GroupWalk::new(number, index.images().groups(number)?)))
                }),
                _ => None,
            };
            if work.is_some() {
                self.work = work;
                return;
            }
            self.incomplete |= !matches!(file, FileId::Checkpoint(_));
        }
        self.work = Some(Work::Rows(RowWalk::default()));
    }

    /// The next request, if there is one; at most one is under way. It never is for a file that is gone: nobody removes
    /// one before the answer.
    pub fn poll(&mut self, index: &Index, writer: &Writer) -> Option<IoRequest> {
        if self.asked.is_some() || self.budget <= 0 {
            return None;
        }
        let most = if self.narrow.is_some() { SCRUB_NARROW_BYTES } else { SCRUB_READ_BYTES };
        let wanted = match self.work.as_mut()? {
            Work::Segment(walk) => walk.wants(most),
            Work::Groups(walk) => walk.wants(most),
            Work::Rows(walk) => {
                walk.look(index, SCRUB_ACCOUNT_LOOKS);
                walk.wants(most)
            }
        };
        let (file, offset, len) = wanted?;
        if !is_there(file, index, writer) {
            self.leave_file(index, writer);
            return None;
        }
        self.asked = wanted;
        self.budget -= len as i64;
        self.done.bytes += len;
        Some(IoRequest::Read { file, offset, len: len as u32 })
    }

    /// How the read ended.
    pub fn complete(&mut self, index: &Index, result: IoResult) -> Looked {
        let mut looked = Looked::default();
        let Some((file, offset, len)) = self.asked.take() else { return looked };
        let bytes = match result {
            IoResult::Read(bytes) => Some(bytes),
            // Some of it cannot be read: which, is seen block by block.
            _ if len > SCRUB_NARROW_BYTES => {
                self.narrow = Some(offset + len);
                return looked;
            }
            _ => {
                self.holes += 1;
                None
            }
        };
        self.feed(file, bytes, len as usize, &mut looked);
        if let Some(Work::Segment(walk)) = &mut self.work
            && let Some(doubt) = walk.doubt()
        {
            walk.settle_doubt(index.has_more(&doubt.range, doubt.from, doubt.before), &mut looked.rot);
        }
        if self.narrow.is_some_and(|end| offset + len >= end) {
            self.narrow = None;
        }
        self.done.rot += (looked.rot.len() + usize::from(looked.rows.is_some())) as u64;
        for rot in &looked.rot {
            self.found.extend(rot.bodies());
        }
        looked
    }

    fn feed(&mut self, file: FileId, bytes: Option<Bytes>, len: usize, looked: &mut Looked) {
        let read = bytes.is_some();
        let bytes = bytes.unwrap_or_else(|| Bytes::from(vec![0; len]));
        match &mut self.work {
            Some(Work::Segment(walk)) => walk.feed(&bytes, read, &mut looked.rot),
            Some(Work::Groups(walk)) => {
                let group = walk.feed(&bytes);
                looked.rot.extend(group.map(|group| Rot {
                    file,
                    offset: group.offset,
                    len: u64::from(group.len),
                    what: What::Group,
                }));
            }
            Some(Work::Rows(walk)) => looked.rows = walk.feed(&bytes),
            None => {}
        }
    }

    /// Goes on where something has come to its end. True when that is the round, and it was complete.
    pub fn advance(&mut self, index: &Index, writer: &Writer) -> bool {
        if self.asked.is_some() {
            return false;
        }
        match &self.work {
            Some(Work::Segment(walk)) if walk.wants(1).is_none() => self.begin_file(index, writer),
            Some(Work::Groups(walk)) if walk.wants(1).is_none() => self.begin_file(index, writer),
            Some(Work::Rows(walk)) if walk.is_at_end() && walk.wants(1).is_none() => {
                self.work = None;
                self.done.rounds += 1;
                return !self.incomplete;
            }
            _ => {}
        }
        false
    }

    /// A file is gone: what was in it is elsewhere, and is looked at there in the next round.
    fn leave_file(&mut self, index: &Index, writer: &Writer) {
        self.narrow = None;
        match &mut self.work {
            Some(Work::Rows(walk)) => return walk.skip(),
            Some(Work::Groups(_)) | None => {}
            Some(Work::Segment(_)) => self.incomplete = true,
        }
        self.begin_file(index, writer);
    }
}

fn is_there(file: FileId, index: &Index, writer: &Writer) -> bool {
    match file {
        FileId::Segment(segment) => writer.complete_file(segment).is_some(),
        FileId::Checkpoint(number) => {
            u32::try_from(number).is_ok_and(|number| index.images().groups(number).is_some())
        }
        _ => false,
    }
}

impl Rot {
    /// The positions of bodies that it concerns.
    pub fn bodies(&self) -> Option<(BodyId, BodyId)> {
        match self.what {
            What::Body(record) => Some((record.position, BodyId(record.position.0 + 1))),
            What::Unknown { from, until } => Some((from, until)),
            What::Header | What::Change(_) | What::Group | What::Rows(_) => None,
        }
    }
}
