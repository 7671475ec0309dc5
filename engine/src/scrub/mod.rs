//! Scrub: looks in the background whether the disk still has what was written.
//!
//! *Owns*: the round under way through segments, packs and checkpoints. *Promises*: every sum of every file that has
//! been written is asked for once a round; what is told is rot, and what is rot is told once a round; one read at a
//! time, when nobody else wants the disk, within a rate. *Assumes*: somebody asks for work whenever some is done.
//! *Never*: takes an error of reading for the end of the disk.
//!
//! ```text
//!        round_ms over           list of files used up                all accounts
//!  Idle ──────────────► Files ─────────────────────────► Rows ──────────────────────► Idle
//!   │ ▲                  │  ▲     a file is gone: the next; then nothing is taken back this round
//!   │ │ looked at        └──┘     a file that somebody could not read: before all others
//!   └─┴─ one file ◄─── somebody could not read it
//! ```
//!
//! Where a round begins after a start depends on the time of day, so that a store that is started often is looked at
//! as a whole all the same, and no position has to be kept.

mod image;
mod pack;
mod record;
mod segment;

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use crate::checkpoint::Piece;
use crate::compact::pack::Pack;
use crate::ids::{AccountId, BodyId, Now};
use crate::index::Index;
use crate::io::{FileId, IoRequest, IoResult};
use crate::limits::{SCRUB_ACCOUNT_LOOKS, SCRUB_BYTES_PER_SECOND, SCRUB_NARROW_BYTES, SCRUB_READ_BYTES};
use crate::log::batch::LogIdentity;
use crate::log::record::RecordMeta;
use crate::log::writer::Writer;
use image::{GroupWalk, RowWalk};
use pack::PackWalk;
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
    /// Summaries, and what leads to records, put back as they were.
    pub mended: u64,
    /// Files of the round under way that have not been looked at.
    pub files_left: u64,
    /// The round under way, or the last.
    pub round: Round,
    /// When the last round came to its end, milliseconds since 1970; 0 if none has.
    pub ended_ms: u64,
}

/// A round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// Whether it is under way.
    pub under_way: bool,
    /// When it began, milliseconds since 1970; 0 before the first.
    pub begun_ms: u64,
    /// Files that there were.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Places found.
    pub rot: u64,
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
    /// What leads to records of a pack. They are found all the same, for it is there twice.
    Leads,
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
    Pack(Box<PackWalk>),
    Groups(GroupWalk),
    Rows(RowWalk),
}

/// What came of a read.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// What was found.
    pub rot: Vec<Rot>,
    /// What can be put back as it was.
    pub mends: Vec<Mend>,
    /// Rows that are not what was written, if they are still needed.
    pub rows: Option<(AccountId, Piece)>,
}

/// Bytes of a file as a sum proves that they were.
#[derive(Debug)]
pub(crate) struct Mend {
    /// In which file.
    pub file: FileId,
    /// From which byte.
    pub offset: u64,
    /// They.
    pub bytes: Bytes,
}

/// What has come to its end.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// A file of which every byte could be read.
    pub readable: Option<FileId>,
    /// The round, and no file went away in it before it was read.
    pub round: bool,
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Scrubber {
    log: LogIdentity,
    options: Options,
    files: VecDeque<FileId>,
    /// Files that somebody could not read.
    urgent: BTreeSet<FileId>,
    /// The file at hand, unless it is rows of several.
    file: Option<FileId>,
    work: Option<Work>,
    /// The read under way.
    asked: Option<(FileId, u64, u64)>,
    /// Up to where a file is read block by block, for some of it cannot be read at all.
    narrow: Option<u64>,
    /// How often something of the file at hand could not be read.
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
            urgent: BTreeSet::new(),
            file: None,
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

    /// Bytes read a second at most.
    pub fn rate(&self) -> u64 {
        self.options.bytes_per_second
    }

    /// A file is looked at before all others, round or not.
    pub fn look_at(&mut self, file: FileId) {
        if self.file != Some(file) || self.asked.is_none() {
            self.urgent.insert(file);
        }
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
        let is_idle = self.work.is_none();
        let rate = match (self.options.bytes_per_second, is_idle && self.urgent.is_empty()) {
            // Whoever looks at nothing looks at what could not be read.
            (0, false) => SCRUB_BYTES_PER_SECOND,
            (rate, _) => rate,
        };
        let second = i64::try_from(rate).unwrap_or(i64::MAX / 2000);
        let past_ms = now.mono_ms.saturating_sub(self.ticked_ms).min(1000) as i64;
        self.ticked_ms = now.mono_ms;
        self.budget = (self.budget + second / 1000 * past_ms).min(second);
        if second == 0 || !is_idle {
            return;
        }
        if self.options.bytes_per_second > 0 && self.next_ms.is_none_or(|next_ms| now.mono_ms >= next_ms) {
            self.begin_round(index, writer, now);
        }
        self.begin_file(index, writer);
    }

    fn begin_round(&mut self, index: &Index, writer: &Writer, now: Now) {
        let images = index.images();
        self.files.extend(writer.complete_files().map(FileId::Segment));
        self.files.extend(writer.places().packs().iter().map(|pack| FileId::Pack(pack.number)));
        self.files.extend(images.files().map(|file| FileId::Checkpoint(u64::from(file))));
        if self.next_ms.is_none() && !self.files.is_empty() {
            let first = now.unix_ms % self.files.len() as u64;
            self.files.rotate_left(first as usize);
        }
        self.next_ms = Some(now.mono_ms.saturating_add(self.options.round_ms));
        self.found.clear();
        self.incomplete = false;
        let segments = writer.complete_files().filter_map(|segment| writer.complete_file(segment));
        let packs = writer.places().packs().iter().map(|pack| pack.bytes);
        self.done.round = Round {
            under_way: true,
            begun_ms: now.unix_ms,
            files: self.files.len() as u64,
            file_bytes: segments.map(|(_, (end, _))| end).chain(packs).sum::<u64>() + images.totals().0,
            ..Round::default()
        };
    }

    /// The next file that is still there; after the last of a round, the rows.
    fn begin_file(&mut self, index: &Index, writer: &Writer) {
        (self.narrow, self.holes, self.file) = (None, 0, None);
        while let Some(file) = self.urgent.pop_first().or_else(|| self.files.pop_front()) {
            self.work = self.open(file, index, writer);
            if self.work.is_some() {
                self.file = Some(file);
                return;
            }
            self.incomplete |= !matches!(file, FileId::Checkpoint(_));
        }
        self.work = self.done.round.under_way.then(|| Work::Rows(RowWalk::default()));
    }

    fn open(&self, file: FileId, index: &Index, writer: &Writer) -> Option<Work> {
        Some(match file {
            FileId::Segment(segment) => {
                let (base, end) = writer.complete_file(segment)?;
                Work::Segment(Box::new(SegmentWalk::new(self.log, segment, base, end)))
            }
            FileId::Pack(number) => {
                in_use(number, writer)?;
                Work::Pack(Box::new(PackWalk::new(number, self.log)))
            }
            FileId::Checkpoint(number) => {
                let number = u32::try_from(number).ok()?;
                Work::Groups(GroupWalk::new(number, index.images().groups(number)?))
            }
            _ => return None,
        })
    }

    /// What the file at hand wants next; none at its end, also when it is gone.
    fn wants(&self, writer: &Writer, most: u64) -> Option<(FileId, u64, u64)> {
        match self.work.as_ref()? {
            Work::Segment(walk) => walk.wants(most),
            Work::Pack(walk) => walk.wants(in_use(walk.number(), writer)?, most),
            Work::Groups(walk) => walk.wants(most),
            Work::Rows(walk) => walk.wants(most),
        }
    }

    /// The next request, if there is one; at most one is under way. It never is for a file that is gone: nobody removes
    /// one before the answer.
    pub fn poll(&mut self, index: &Index, writer: &Writer) -> Option<IoRequest> {
        if self.asked.is_some() || self.budget <= 0 {
            return None;
        }
        let most = if self.narrow.is_some() { SCRUB_NARROW_BYTES } else { SCRUB_READ_BYTES };
        if let Work::Rows(walk) = self.work.as_mut()? {
            walk.look(index, SCRUB_ACCOUNT_LOOKS);
        }
        if self.file.is_some_and(|file| !is_there(file, index, writer)) {
            self.leave_file(index, writer);
            return None;
        }
        let wanted = self.wants(writer, most);
        let (file, offset, len) = wanted?;
        if !is_there(file, index, writer) {
            self.leave_file(index, writer);
            return None;
        }
        self.asked = wanted;
        self.budget -= len as i64;
        self.done.bytes += len;
        if self.done.round.under_way {
            self.done.round.bytes += len;
        }
        Some(IoRequest::Read { file, offset, len: len as u32 })
    }

    /// How the read ended.
    pub fn complete(&mut self, index: &Index, writer: &Writer, result: IoResult) -> Looked {
        let mut looked = Looked::default();
        let Some((file, offset, len)) = self.asked.take() else { return looked };
        let bytes = match result {
            IoResult::Read(bytes) => Some(bytes),
            // Some of it cannot be read: which, is seen block by block. What is small is read once more: an account
            // whose rows cannot be read is not served any more, and a disk may fail for once.
            _ if len > SCRUB_NARROW_BYTES || self.narrow.is_none() => {
                self.narrow = Some(offset + len);
                return looked;
            }
            _ => {
                self.holes += 1;
                None
            }
        };
        self.feed(writer, file, bytes, len as usize, &mut looked);
        if let Some(Work::Segment(walk)) = &mut self.work
            && let Some(doubt) = walk.doubt()
        {
            walk.settle_doubt(index.has_more(doubt.segment, doubt.from, doubt.before), &mut looked.rot);
        }
        if self.narrow.is_some_and(|end| offset + len >= end) {
            self.narrow = None;
        }
        let places = (looked.rot.len() + usize::from(looked.rows.is_some())) as u64;
        self.done.rot += places;
        if self.done.round.under_way {
            self.done.round.rot += places;
        }
        for rot in &looked.rot {
            self.found.extend(rot.bodies());
        }
        looked
    }

    fn feed(&mut self, writer: &Writer, file: FileId, bytes: Option<Bytes>, len: usize, looked: &mut Looked) {
        let read = bytes.is_some();
        let bytes = bytes.unwrap_or_else(|| Bytes::from(vec![0; len]));
        match &mut self.work {
            Some(Work::Segment(walk)) => walk.feed(&bytes, read, &mut looked.rot),
            Some(Work::Pack(walk)) => {
                if let Some(pack) = in_use(walk.number(), writer) {
                    walk.feed(pack, &bytes, read, looked);
                }
            }
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

    /// Goes on where something has come to its end.
    pub fn advance(&mut self, index: &Index, writer: &Writer, now: Now) -> Ended {
        let mut ended = Ended::default();
        if self.asked.is_some() || self.work.is_none() {
            return ended;
        }
        let gone = self.file.is_some_and(|file| !is_there(file, index, writer));
        let is_over = !gone && self.wants(writer, 1).is_none();
        match &self.work {
            Some(Work::Rows(walk)) if is_over && walk.is_at_end() => {
                self.work = None;
                self.done.rounds += 1;
                self.done.round.under_way = false;
                self.done.ended_ms = now.unix_ms;
                ended.round = !self.incomplete;
            }
            Some(Work::Segment(_) | Work::Pack(_) | Work::Groups(_)) if is_over => {
                ended.readable = self.file.filter(|_| self.holes == 0);
                self.begin_file(index, writer);
            }
            _ => {}
        }
        ended
    }

    /// A file is gone: what was in it is elsewhere, and is looked at there in the next round.
    fn leave_file(&mut self, index: &Index, writer: &Writer) {
        self.narrow = None;
        match &mut self.work {
            Some(Work::Rows(walk)) => return walk.skip(),
            Some(Work::Groups(_)) | None => {}
            Some(Work::Segment(_) | Work::Pack(_)) => self.incomplete = true,
        }
        self.begin_file(index, writer);
    }
}

/// Whether a file is one of those that are looked at.
pub(crate) fn is_there(file: FileId, index: &Index, writer: &Writer) -> bool {
    match file {
        FileId::Segment(segment) => writer.complete_file(segment).is_some(),
        FileId::Checkpoint(number) => {
            u32::try_from(number).is_ok_and(|number| index.images().groups(number).is_some())
        }
        FileId::Pack(number) => in_use(number, writer).is_some(),
        _ => false,
    }
}

/// The pack of that number, unless another stands for it.
fn in_use(number: u64, writer: &Writer) -> Option<&Pack> {
    writer.places().packs().iter().find(|pack| pack.number == number)
}

impl Rot {
    /// The positions of bodies that it concerns.
    pub fn bodies(&self) -> Option<(BodyId, BodyId)> {
        match self.what {
            What::Body(record) => Some((record.position, BodyId(record.position.0 + 1))),
            What::Unknown { from, until } => Some((from, until)),
            What::Header | What::Change(_) | What::Leads | What::Group | What::Rows(_) => None,
        }
    }
}
