//! A record of a pack, read from front to back.
//!
//! *Owns*: the way through one record, however it is stored and whatever pieces its bytes come in. *Promises*: a record
//! that is not found rotten has the sum that it was written with, and so has every block of a compressed one; it holds
//! a header, or a list of blocks and a block, at most. *Assumes*: whoever leads here knows how many bytes it takes.
//! *Never*: reads; unfolds more than a block at once.
//!
//! ```text
//!  Head ──as sent──► Plain ───────────────────────────────────────┐
//!    └──compressed──► Summary ─► List ─► Block ─► Block … ────────┴─► over
//!                          a length or a block that cannot be ─► Skip
//! ```

use bytes::Bytes;
use zerocopy::IntoBytes;

use super::Record;
use crate::ids::{AccountId, BodyId};
use crate::limits::{BODY_BYTES_MAX, PRESSED_BLOCK_BYTES};
use crate::log::record::{HEAD_BYTES, KIND_BODY, RecordHead, RecordMeta};
use crate::press::stored::{Form, bounds, list_bytes};
use crate::press::{Block, Unfolder, block_len, blocks};

/// What unfolds the blocks of a pack.
#[derive(Debug, Default)]
pub(super) struct Unfold {
    unfolder: Unfolder,
    /// What the pack's bodies have in common, once that has been read.
    pub dictionary: Option<Bytes>,
    /// Octets that came out since this was set to 0.
    pub octets: usize,
}

impl Unfold {
    fn block(&mut self, block: &Block) -> Option<Bytes> {
        self.octets += block.len as usize;
        // One pack at a time, so its number says nothing.
        self.unfolder.unfold(block, 0, || self.dictionary.clone())
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Head,
    Plain,
    Summary { left: u32 },
    List,
    Block { at: u32 },
    Skip,
}

/// See the module's head.
#[derive(Debug)]
pub(super) struct RecordWalk {
    position: BodyId,
    stored: u64,
    /// Bytes of it that were taken.
    taken: u64,
    /// List and blocks of a compressed one.
    pressed: Option<u32>,
    head: Option<RecordHead>,
    phase: Phase,
    sum: crc32fast::Hasher,
    /// What is gathered: a header, the list, a block.
    gathered: Vec<u8>,
    list: Bytes,
    read: bool,
    sound: bool,
}

impl RecordWalk {
    /// The record of a position, which takes so many bytes.
    pub fn new(position: u64, stored: u64, form: Form) -> RecordWalk {
        RecordWalk {
            position: BodyId(position),
            stored,
            taken: 0,
            pressed: match form {
                Form::Pressed(bytes) => Some(bytes),
                Form::AsSent | Form::Preface { .. } => None,
            },
            head: None,
            phase: Phase::Head,
            sum: crc32fast::Hasher::new(),
            gathered: Vec::new(),
            list: Bytes::new(),
            read: true,
            sound: true,
        }
    }

    /// Whether all of it was taken.
    pub fn is_over(&self) -> bool {
        self.taken == self.stored
    }

    /// Takes the next bytes that are its own; not all, where much came out of a block.
    pub fn feed(&mut self, bytes: &mut &[u8], read: bool, unfold: &mut Unfold) {
        self.read &= read;
        let most = (self.stored - self.taken).min(bytes.len() as u64) as usize;
        let own = &bytes[..most];
        let mut left = own;
        match self.phase {
            Phase::Head => self.take_head(&mut left),
            Phase::Plain => {
                self.sum.update(left);
                left = &[];
            }
            Phase::Summary { left: summary } => {
                let (part, behind) = left.split_at(left.len().min(summary as usize));
                self.sum.update(part);
                self.phase = Phase::Summary { left: summary - part.len() as u32 };
                left = behind;
            }
            Phase::List => self.take_list(&mut left),
            Phase::Block { at } => self.take_block(&mut left, at, unfold),
            Phase::Skip => left = &[],
        }
        if let Phase::Summary { left: 0 } = self.phase {
            self.phase = Phase::List;
        }
        self.taken += (own.len() - left.len()) as u64;
        *bytes = &bytes[own.len() - left.len()..];
    }

    /// What is rotten of it, at its end.
    pub fn rotten(self) -> Option<Record> {
        let Some(head) = self.head else {
            let (kind, account) = (KIND_BODY, AccountId(0));
            let meta = RecordMeta { kind, flags: 0, account, len: 0, summary_len: 0, session: 0 };
            return Some(Record { position: self.position, meta, sum: 0, read: false });
        };
        let holds = self.sound && self.read && self.sum.finalize() == head.crc.get();
        // Where a length is not certain nothing can be made anew of what seems to be there.
        let read = self.read && self.sound;
        let record = Record { position: self.position, meta: head.meta(), sum: head.crc.get(), read };
        (!holds).then_some(record)
    }

    /// Takes bytes until so many are gathered. Whether they are.
    fn gather(&mut self, bytes: &mut &[u8], len: usize) -> bool {
        let part = bytes.len().min(len - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..part]);
        *bytes = &bytes[part..];
        self.gathered.len() == len
    }

    fn take_head(&mut self, bytes: &mut &[u8]) {
        if self.stored < HEAD_BYTES as u64 {
            return self.give_up();
        }
        if !self.gather(bytes, HEAD_BYTES) {
            return;
        }
        self.head = RecordHead::read(&self.gathered);
        self.gathered.clear();
        let Some(head) = self.head else { return self.give_up() };
        self.sum.update(&head.as_bytes()[4..]);
        let (payload, summary) = (u64::from(head.len.get()), head.detail.get());
        let is_body = head.kind == KIND_BODY && u64::from(summary) <= payload;
        let behind = match self.pressed {
            None => payload,
            Some(bytes) => u64::from(summary) + u64::from(bytes),
        };
        let fits = payload - u64::from(summary).min(payload) <= BODY_BYTES_MAX as u64;
        if !is_body || !fits || HEAD_BYTES as u64 + behind != self.stored {
            return self.give_up();
        }
        self.phase = match self.pressed {
            None => Phase::Plain,
            Some(_) => Phase::Summary { left: summary },
        };
    }

    /// The octets of the body.
    fn octets(&self) -> u32 {
        self.head.map_or(0, |head| head.len.get().saturating_sub(head.detail.get()))
    }

    fn take_list(&mut self, bytes: &mut &[u8]) {
        let len = list_bytes(self.octets());
        if self.pressed.is_none_or(|pressed| len > pressed) || len == 0 {
            return self.give_up();
        }
        if self.gather(bytes, len as usize) {
            self.list = std::mem::take(&mut self.gathered).into();
            self.phase = Phase::Block { at: 0 };
        }
    }

    fn take_block(&mut self, bytes: &mut &[u8], at: u32, unfold: &mut Unfold) {
        let octets = self.octets();
        let read = |from: u32, len: u32| {
            let (from, to) = (from as usize, from.checked_add(len)? as usize);
            (to <= self.list.len()).then(|| self.list.slice(from..to))
        };
        let found = bounds(octets, at, self.pressed.unwrap_or(0), read);
        let found = found.map(|(begin, end, sum)| (end - begin, sum));
        let Some((stored, sum)) = found.filter(|(stored, _)| *stored <= PRESSED_BLOCK_BYTES) else {
            return self.give_up();
        };
        if !self.gather(bytes, stored as usize) {
            return;
        }
        let stored = std::mem::take(&mut self.gathered).into();
        let block = Block { bytes: stored, len: block_len(octets, at), sum };
        match unfold.block(&block) {
            Some(unfolded) => self.sum.update(&unfolded),
            None => return self.give_up(),
        }
        self.phase = match at + 1 < blocks(octets) {
            true => Phase::Block { at: at + 1 },
            false => Phase::Plain,
        };
    }

    /// It is rotten; what is left of it is not looked at.
    fn give_up(&mut self) {
        (self.sound, self.phase) = (false, Phase::Skip);
        self.gathered = Vec::new();
    }
}
