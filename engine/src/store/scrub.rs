//! What is known of rot, and what is done about it.
//!
//! *Owns*: what scrub has found and nobody has been told yet; the summary that is being put back. *Promises*: a body
//! that is not what was written is shown to nobody, now and after the next start, until it is; bytes are written
//! into a sealed file only if with them the record has the sum that it was written with. *Assumes*: [`Store::tick`]
//! comes. *Never*: takes rot for a failure of the disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use bytes::Bytes;

use super::unreadable::Unreadable;
use super::{BodyRef, Progress, Store};
use crate::change::Change;
use crate::ids::{AccountId, BodyId, BodyKey, Now};
use crate::io::{FileId, IoId, IoRequest, IoResult};
use crate::limits::{DISTRUSTED_RANGES_MAX, MENDS_WAITING_MAX, ROT_WAITING_MAX};
use crate::log::batch::LogIdentity;
use crate::log::record::RecordHead;
use crate::scrub::{Done, Options, Record, Rot, Scrubber, What, is_there};

/// What is to be put back into a file: the body whose summary it is, if it is one, and the bytes.
#[derive(Debug)]
struct Mend {
    of: Option<Record>,
    file: FileId,
    offset: u64,
    bytes: Bytes,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct Scrub {
    pub scrubber: Scrubber,
    io: Option<IoId>,
    /// Waits to be told.
    rot: VecDeque<Rot>,
    /// What is to be put back, and whose summary is on its way.
    mends: VecDeque<Mend>,
    mending: Option<Option<Record>>,
    /// What the disk refuses.
    pub unreadable: Unreadable,
    /// When ranges were found that are not shown.
    since: BTreeMap<(BodyId, BodyId), u64>,
    /// Accounts that were told to have damaged rows.
    broken_told: BTreeSet<AccountId>,
}

impl Scrub {
    pub fn new(log: LogIdentity, options: Options) -> Scrub {
        Scrub {
            scrubber: Scrubber::new(log, options),
            io: None,
            rot: VecDeque::new(),
            mends: VecDeque::new(),
            mending: None,
            unreadable: Unreadable::default(),
            since: BTreeMap::new(),
            broken_told: BTreeSet::new(),
        }
    }

    /// Whether a request waits for its completion.
    pub fn is_busy(&self) -> bool {
        self.io.is_some()
    }

    /// Whether something is being put back.
    pub fn is_mending(&self) -> bool {
        !self.mends.is_empty() || self.mending.is_some()
    }

    /// Whether that request is this one.
    pub fn is_io(&self, id: IoId) -> bool {
        self.io == Some(id)
    }

    pub fn done(&self) -> Done {
        self.scrubber.done()
    }

    fn put_back(&mut self, of: Option<Record>, file: FileId, offset: u64, bytes: Bytes) {
        if self.mends.len() < MENDS_WAITING_MAX {
            self.mends.push_back(Mend { of, file, offset, bytes });
        }
    }

    fn tell(&mut self, rot: Rot) {
        if self.rot.len() < ROT_WAITING_MAX {
            self.rot.push_back(rot);
        }
    }
}

impl Store {
    /// Whether a body is known not to be what was written: its message is not shown until it is.
    pub fn is_distrusted(&self, body: BodyId) -> bool {
        self.index.is_distrusted(body)
    }

    /// Where such bodies begin; at most `limits::DISTRUSTED_RANGES_MAX` ranges.
    pub fn distrusted(&self) -> impl Iterator<Item = Range<BodyId>> + '_ {
        self.index.distrusted()
    }

    /// Since when such a body is known, milliseconds since 1970; none if that was before the start.
    pub fn distrusted_since(&self, body: BodyId) -> Option<u64> {
        let since = self.scrub.since.iter().filter(|(known, _)| (known.0..known.1).contains(&body));
        since.map(|(_, since_ms)| *since_ms).min()
    }

    /// The next place that scrub has found; each is told once a round.
    pub fn take_rot(&mut self) -> Option<Rot> {
        self.scrub.rot.pop_front()
    }

    /// Bytes that scrub reads a second at most.
    pub fn scrub_rate(&self) -> u64 {
        self.scrub.scrubber.rate()
    }

    /// Begins the next round of scrub at the next tick, unless one is under way.
    pub fn scrub_now(&mut self) {
        self.scrub.scrubber.hurry();
    }

    /// Where the bytes of a record are that does not have its sum; none where they cannot be read, are compressed, or
    /// gone.
    pub fn suspect(&self, record: &Record) -> Option<BodyRef> {
        let octets = record.meta.len.checked_sub(record.meta.summary_len)?;
        let key = BodyKey { id: record.position, summary_len: record.meta.summary_len, len: octets };
        let found = self.writer.places().find(key).filter(|_| record.read);
        found.filter(|found| found.bytes.as_sent().is_some())
    }

    /// Offers a summary that was made of the octets anew. If with it the record has the sum that it was written with,
    /// then nothing but the summary was rotten: it is put back, and the message is shown again.
    pub fn mend(&mut self, record: Record, summary: Bytes, octets: &[u8]) -> bool {
        let Some(found) = self.suspect(&record) else { return false };
        let meta = record.meta;
        let fits = summary.len() == meta.summary_len as usize && octets.len() == found.bytes.len as usize;
        let head = fits.then(|| RecordHead::seal(meta, [&summary[..], octets].into_iter()));
        if head.is_none_or(|head| head.crc.get() != record.sum) {
            return false;
        }
        self.scrub.put_back(Some(record), found.summary.file, found.summary.offset, summary);
        true
    }

    pub(super) fn poll_scrub(&mut self) -> Option<(IoId, IoRequest)> {
        // A file that has gone since then is not written to: what was in it is elsewhere.
        self.scrub.mends.retain(|mend| is_there(mend.file, &self.index, &self.writer));
        let request = match self.scrub.mends.pop_front() {
            Some(Mend { of, file, offset, bytes }) => {
                self.scrub.mending = Some(of);
                IoRequest::Write { file, offset, parts: vec![bytes], durable: true }
            }
            None => self.scrub.scrubber.poll(&self.index, &self.writer)?,
        };
        let id = self.writer.next_io();
        self.scrub.io = Some(id);
        Some((id, request))
    }

    pub(super) fn complete_scrub(&mut self, result: IoResult) -> Progress {
        self.scrub.io = None;
        let progress = Progress { durable: self.durable(), ..Progress::default() };
        let now = Now { mono_ms: self.mono_ms, unix_ms: self.writer.time_ms() };
        if let Some(record) = self.scrub.mending.take() {
            // A disk that does not take it back stays as it is, and so does what is known of it.
            if let IoResult::Done = result {
                self.scrub.scrubber.mended();
                if let Some(Record { position, .. }) = record {
                    let (from, until) = (position, BodyId(position.0 + 1));
                    self.scrub.since.remove(&(from, until));
                    self.note_rot(Change::Trust { from, until }, now);
                }
            }
            return progress;
        }
        let looked = self.scrub.scrubber.complete(&self.index, &self.writer, result);
        for mend in looked.mends {
            self.scrub.put_back(None, mend.file, mend.offset, mend.bytes);
        }
        for rot in looked.rot {
            self.found_rot(rot, now);
        }
        if let Some((account, piece)) = looked.rows
            && self.index.distrust_rows(account, piece)
        {
            self.scrub.broken_told.insert(account);
            let file = FileId::Checkpoint(u64::from(piece.file));
            let (offset, len) = (piece.offset, u64::from(piece.len));
            self.scrub.tell(Rot { file, offset, len, what: What::Rows(account) });
        }
        progress
    }

    fn found_rot(&mut self, rot: Rot, now: Now) {
        if let What::Body(record) = rot.what
            && self.index.is_dead(record.position)
        {
            return;
        }
        if let Some((from, until)) = rot.bodies()
            && self.index.distrusted().all(|known| known != (from..until))
        {
            self.note_rot(Change::Distrust { from, until }, now);
            if self.scrub.since.len() < DISTRUSTED_RANGES_MAX {
                self.scrub.since.entry((from, until)).or_insert(now.unix_ms);
            }
        }
        self.scrub.tell(rot);
    }

    /// Where there is no room for it, the next round finds it again.
    fn note_rot(&mut self, change: Change, now: Now) {
        self.queue(0, AccountId(0), change, now).map(drop).unwrap_or_default();
    }

    pub(super) fn tick_scrub(&mut self, now: Now) {
        self.tell_broken();
        let Scrub { scrubber, .. } = &mut self.scrub;
        scrubber.tick(&self.index, &self.writer, now);
        let ended = scrubber.advance(&self.index, &self.writer, now);
        if let Some(file) = ended.readable {
            self.scrub.unreadable.forget(file);
        }
        if !ended.round {
            return;
        }
        // What this round has not found is what was written again, or nowhere any more.
        let gone = |range: &Range<BodyId>| !self.scrub.scrubber.has_found(range.start, range.end);
        let gone: Vec<Range<BodyId>> = self.index.distrusted().filter(gone).collect();
        for range in gone {
            self.scrub.since.remove(&(range.start, range.end));
            self.note_rot(Change::Trust { from: range.start, until: range.end }, now);
        }
    }

    /// Accounts whose rows were found damaged by somebody who wanted them.
    fn tell_broken(&mut self) {
        if self.index.broken() <= self.scrub.broken_told.len() as u64 {
            return;
        }
        let untold = |account: &AccountId| !self.scrub.broken_told.contains(account);
        let broken: Vec<AccountId> = self.index.broken_ids().filter(untold).take(ROT_WAITING_MAX).collect();
        for account in broken {
            self.scrub.broken_told.insert(account);
            let file = FileId::Checkpoint(0);
            self.scrub.tell(Rot { file, offset: 0, len: 0, what: What::Rows(account) });
        }
    }
}
