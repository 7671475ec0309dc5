//! A pack, read from front to back.
//!
//! *Owns*: the way through header, table, leads, records and end of a pack. *Promises*: every sum is asked for; no body
//! stays unnoticed that is not what was written; what leads to records is there twice, and is put back from the other
//! place as that one's sum proves. *Assumes*: the pack's fences, in memory, are what was written. *Never*: reads; looks
//! at the mapping, unless the first copy of the dictionary is rotten.
//!
//! ```text
//!  Head ─► Table ─► Lead ─► Record or Preface ─► Lead … ─► Table … ─► Tail ─► Done
//!            │        │       128 records a block
//!            │        └ rotten: the table's entry says the same, is written in its place
//!            └ rotten: the leads say the same; with them the block has its sum, and is written in its place
//!  both are: nothing is certain up to the next block
//! ```

use bytes::Bytes;

use super::record::{RecordWalk, Unfold};
use super::{Looked, Mend, Rot, What};
use crate::compact::pack::{self, LEAD_BYTES, Lead, Pack};
use crate::compact::table::{ENTRY_BYTES, Entry, decode_block};
use crate::ids::BodyId;
use crate::io::FileId;
use crate::limits::{SCRUB_DICTIONARY_BYTES_MAX, SCRUB_PRESSED_BYTES, SCRUB_UNFOLD_BYTES};
use crate::log::batch::LogIdentity;
use crate::press::stored::{self, Form};

#[derive(Debug)]
enum State {
    Head,
    Table,
    Lead,
    /// A body, whose lead begins at `start`.
    Record {
        start: u64,
        walk: Box<RecordWalk>,
    },
    Preface {
        position: u64,
        stored: u64,
    },
    /// To the end of the block.
    Skip,
    /// What has to be there yet, and whether it was so far.
    Tail {
        expected: Vec<u8>,
        sound: bool,
    },
    Done,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct PackWalk {
    number: u64,
    log: LogIdentity,
    /// The next byte, and whether it is not the one behind the last that was taken.
    at: u64,
    jumped: bool,
    state: State,
    /// What is gathered, and whether all of it could be read.
    gathered: Vec<u8>,
    read: bool,
    /// The block of the table at hand: its entries, if they are what was written.
    block: usize,
    entries: Option<Vec<Entry>>,
    /// Those that leads have told of.
    told: Vec<Entry>,
    /// Where its records end, and whether that is certain.
    end: (u64, bool),
    unfold: Unfold,
    is_pressed: bool,
}

impl PackWalk {
    pub fn new(number: u64, log: LogIdentity) -> PackWalk {
        PackWalk {
            number,
            log,
            at: 0,
            jumped: false,
            state: State::Head,
            gathered: Vec::new(),
            read: true,
            block: 0,
            entries: None,
            told: Vec::new(),
            end: (0, true),
            unfold: Unfold::default(),
            is_pressed: false,
        }
    }

    /// The number of its pack.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Which bytes come next; none at the end.
    pub fn wants(&self, pack: &Pack, most: u64) -> Option<(FileId, u64, u64)> {
        let end = match &self.state {
            State::Head => pack::HEAD_BYTES,
            State::Table => {
                let kept = pack.table.block(self.block).and_then(|block| Some((block.kept?, block.len)));
                kept.map_or(self.at, |((at, _), len)| at + (len * ENTRY_BYTES) as u64)
            }
            State::Tail { expected, .. } => self.at + expected.len() as u64,
            State::Done => return None,
            State::Lead | State::Record { .. } | State::Preface { .. } | State::Skip => self.end.0,
        };
        let most = if self.is_pressed { most.min(SCRUB_PRESSED_BYTES) } else { most };
        let len = end.saturating_sub(self.at).min(most);
        (len > 0).then_some((FileId::Pack(self.number), self.at, len))
    }

    /// Takes the next bytes; if they could not be `read`, they stand for what is there. Not all, where much comes out
    /// of them: the rest is wanted again.
    pub fn feed(&mut self, pack: &Pack, mut bytes: &[u8], read: bool, found: &mut Looked) {
        (self.jumped, self.unfold.octets) = (false, 0);
        while !bytes.is_empty() && !self.jumped && self.unfold.octets < SCRUB_UNFOLD_BYTES {
            let before = bytes.len();
            match &mut self.state {
                State::Record { walk, .. } => walk.feed(&mut bytes, read, &mut self.unfold),
                State::Skip => {
                    let left = self.end.0.saturating_sub(self.at).min(bytes.len() as u64);
                    bytes = &bytes[left as usize..];
                }
                State::Tail { expected, sound } => {
                    let len = expected.len().min(bytes.len());
                    *sound &= read && expected[..len] == bytes[..len];
                    expected.drain(..len);
                    bytes = &bytes[len..];
                }
                State::Done => return,
                State::Head | State::Table | State::Lead | State::Preface { .. } => {
                    let wanted = self.gathers(pack).saturating_sub(self.gathered.len());
                    let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
                    self.gathered.extend_from_slice(part);
                    self.read &= read;
                    bytes = rest;
                }
            }
            self.at += (before - bytes.len()) as u64;
            self.settle(pack, found);
        }
    }

    /// How many bytes have to be together.
    fn gathers(&self, pack: &Pack) -> usize {
        match &self.state {
            State::Head => pack::HEAD_BYTES as usize,
            State::Table => pack.table.block(self.block).map_or(0, |block| block.len * ENTRY_BYTES),
            State::Lead => LEAD_BYTES as usize,
            State::Preface { stored, .. } => *stored as usize,
            State::Record { .. } | State::Skip | State::Tail { .. } | State::Done => 0,
        }
    }

    /// Goes on where something has come to its end.
    fn settle(&mut self, pack: &Pack, found: &mut Looked) {
        let is_gathered = self.gathered.len() == self.gathers(pack);
        match &self.state {
            State::Head if is_gathered => self.end_head(pack, found),
            State::Table if is_gathered => self.end_table(pack, found),
            State::Lead if is_gathered => self.end_lead(pack, found),
            State::Preface { .. } if is_gathered => self.end_preface(pack, found),
            State::Record { walk, .. } if walk.is_over() => self.end_record(pack, found),
            State::Skip if self.at >= self.end.0 => self.begin_block(pack, self.block + 1),
            State::Tail { expected, .. } if expected.is_empty() => self.end_tail(pack, found),
            _ => {}
        }
    }

    /// What was gathered, and whether all of it could be read.
    fn take(&mut self) -> (Bytes, bool) {
        (std::mem::take(&mut self.gathered).into(), std::mem::replace(&mut self.read, true))
    }

    fn end_head(&mut self, pack: &Pack, found: &mut Looked) {
        let (head, read) = self.take();
        let right = pack::head(self.log, self.number, &pack.range);
        match pack.records_end() {
            // The table was made anew at the start: then the range may be a guess, and what is rotten is known.
            None => found.rot.push(self.rot(0, pack.bytes, What::Leads)),
            Some(_) if read && head == right => {}
            Some(_) => self.put_back(0, right, found),
        }
        self.begin_block(pack, 0);
    }

    /// What leads to records is something else than this.
    fn put_back(&self, offset: u64, right: Bytes, found: &mut Looked) {
        let file = FileId::Pack(self.number);
        found.rot.push(self.rot(offset, right.len() as u64, What::Leads));
        found.mends.push(Mend { file, offset, bytes: right });
    }

    fn begin_block(&mut self, pack: &Pack, nth: usize) {
        self.block = nth;
        self.told.clear();
        let next = pack.table.block(nth + 1).map(|block| u64::from(block.first));
        let certain = next.or(pack.records_end());
        self.end = (certain.unwrap_or(pack.bytes), certain.is_some());
        self.entries = Some(pack.table.rebuilt(nth).to_vec());
        let (at, state) = match pack.table.block(nth) {
            Some(block) => match block.kept {
                Some((at, _)) => (at, State::Table),
                None => (u64::from(block.first), State::Lead),
            },
            None => match pack.tail(self.log) {
                Some((at, expected)) => (at, State::Tail { expected, sound: true }),
                None => (pack.bytes, State::Done),
            },
        };
        (self.at, self.state, self.jumped) = (at, state, true);
    }

    fn end_table(&mut self, pack: &Pack, found: &mut Looked) {
        let (table, read) = self.take();
        let Some(block) = pack.table.block(self.block) else { return };
        let sound = read && block.kept.is_none_or(|(_, crc)| crc32fast::hash(&table) == crc);
        self.entries = sound.then(|| decode_block(&table));
        if let Some((at, _)) = block.kept.filter(|_| !sound) {
            found.rot.push(self.rot(at, table.len() as u64, What::Leads));
        }
        (self.at, self.state, self.jumped) = (u64::from(block.first), State::Lead, true);
    }

    fn end_lead(&mut self, pack: &Pack, found: &mut Looked) {
        let start = self.at - LEAD_BYTES;
        let (bytes, read) = self.take();
        let told = Lead::decode(&bytes).filter(|_| read);
        let known = match &self.entries {
            Some(entries) => self.by_table(entries, start, told),
            None => told.filter(|lead| self.follows(pack, lead)),
        };
        let fits = |lead: &Lead| self.at + u64::from(lead.stored) <= self.end.0;
        let Some(lead) = known.filter(fits) else { return self.give_up(pack, start, found) };
        if told != Some(lead) {
            self.put_back(start, lead.encode(), found);
        }
        self.told.push(Entry { position: lead.position, offset: start as u32, flags: lead.flags });
        let stored = u64::from(lead.stored);
        self.state = match Form::of(lead.flags) {
            Some(Form::Preface { .. }) if stored <= SCRUB_DICTIONARY_BYTES_MAX => {
                self.is_pressed = true;
                State::Preface { position: lead.position, stored }
            }
            Some(form @ (Form::AsSent | Form::Pressed(_))) => {
                State::Record { start, walk: Box::new(RecordWalk::new(lead.position, stored, form)) }
            }
            _ => {
                self.told.pop();
                return self.give_up(pack, start, found);
            }
        };
        self.settle(pack, found);
    }

    /// The lead of the record that begins here, as the table has it. None: what stands there has its sum, and says
    /// something else; or nobody knows how long the record is.
    fn by_table(&self, entries: &[Entry], start: u64, told: Option<Lead>) -> Option<Lead> {
        let entry = entries.get(self.told.len()).filter(|entry| u64::from(entry.offset) == start)?;
        let next = entries.get(self.told.len() + 1).map(|entry| u64::from(entry.offset));
        let end = next.or(self.end.1.then_some(self.end.0));
        let stored = match end {
            Some(end) => u32::try_from(end.checked_sub(self.at)?).ok()?,
            None => told?.stored,
        };
        let lead = Lead { position: entry.position, stored, flags: entry.flags };
        told.is_none_or(|told| told == lead).then_some(lead)
    }

    /// Whether a lead can stand behind those before it, where the table does not say.
    fn follows(&self, pack: &Pack, lead: &Lead) -> bool {
        let window = self.window(pack);
        let least = self.told.last().map_or(window.start, |before| before.position + 1);
        (least..window.end).contains(&lead.position)
    }

    /// The positions that the block at hand stands for.
    fn window(&self, pack: &Pack) -> std::ops::Range<u64> {
        let begin = pack.table.block(self.block).map_or(pack.range.start, |block| block.position);
        begin..pack.table.block(self.block + 1).map_or(pack.range.end, |block| block.position)
    }

    /// Neither table nor lead tells what begins here: nothing is certain up to the next block.
    fn give_up(&mut self, pack: &Pack, start: u64, found: &mut Looked) {
        let window = self.window(pack);
        let from = self.told.last().map_or(window.start, |before| before.position + 1);
        let (from, until) = (BodyId(from.min(window.end)), BodyId(window.end));
        found.rot.push(self.rot(start, self.end.0.saturating_sub(start), What::Unknown { from, until }));
        self.state = State::Skip;
        self.settle(pack, found);
    }

    fn end_record(&mut self, pack: &Pack, found: &mut Looked) {
        let State::Record { start, walk } = std::mem::replace(&mut self.state, State::Lead) else { return };
        if let Some(record) = walk.rotten() {
            found.rot.push(self.rot(start + LEAD_BYTES, self.at - start - LEAD_BYTES, What::Body(record)));
        }
        self.end_of_one(pack, found);
    }

    /// What compressed bodies have in common stands in the pack twice; the first copy was written before it was known
    /// how many bytes there are ([`stored`]).
    fn end_preface(&mut self, pack: &Pack, found: &mut Looked) {
        let State::Preface { position, .. } = std::mem::replace(&mut self.state, State::Lead) else { return };
        let (bytes, read) = self.take();
        let start = self.at - bytes.len() as u64;
        let is_first = position == pack.range.start;
        if is_first {
            let own = stored::dictionary(&bytes).filter(|_| read);
            self.unfold.dictionary = own.or_else(|| pack.dictionary());
        }
        if !read || stored::dictionary(&bytes).is_none() {
            let plain = if is_first { Some(0) } else { stored::facts(&bytes).map(|(plain, _)| plain) };
            let dictionary = self.unfold.dictionary.as_ref();
            let right = dictionary.zip(plain).map(|(dictionary, plain)| stored::preface(plain, dictionary));
            match right.filter(|right| right.len() == bytes.len()) {
                Some(right) => self.put_back(start, right, found),
                None => found.rot.push(self.rot(start, bytes.len() as u64, What::Leads)),
            }
        }
        self.end_of_one(pack, found);
    }

    /// Behind a record: the next, or the next block.
    fn end_of_one(&mut self, pack: &Pack, found: &mut Looked) {
        let block = pack.table.block(self.block);
        if block.is_some_and(|block| self.told.len() < block.len) {
            return;
        }
        if let (None, Some((at, crc))) = (&self.entries, block.and_then(|block| block.kept)) {
            let mut table = Vec::with_capacity(self.told.len() * ENTRY_BYTES);
            self.told.iter().for_each(|entry| entry.encode(&mut table));
            if crc32fast::hash(&table) == crc {
                found.mends.push(Mend { file: FileId::Pack(self.number), offset: at, bytes: table.into() });
            }
        }
        self.begin_block(pack, self.block + 1);
    }

    fn end_tail(&mut self, pack: &Pack, found: &mut Looked) {
        let State::Tail { sound, .. } = std::mem::replace(&mut self.state, State::Done) else { return };
        if let Some((at, right)) = pack.tail(self.log).filter(|_| !sound) {
            self.put_back(at, right.into(), found);
        }
    }

    fn rot(&self, offset: u64, len: u64, what: What) -> Rot {
        Rot { file: FileId::Pack(self.number), offset, len, what }
    }
}
