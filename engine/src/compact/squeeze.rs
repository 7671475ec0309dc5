//! Records on their way into a pack, some of them to be compressed.
//!
//! *Owns*: a batch of records, and what has to be done about them before they can be written. *Promises*: they leave in
//! the order in which they came; what was compressed has proved by the sum of its record to be what it was before it is
//! compressed anew. *Assumes*: the work is carried out beside the shard's thread, and answered before more is asked
//! for. *Never*: holds more than [`PRESS_GATHER_BYTES`] and one record.
//!
//! ```text
//!  Gather ──full──► Work: unfold ► (once) find a dictionary ► press ──nothing left to do──► Give ──empty──► Gather
//! ```

use std::collections::VecDeque;

use bytes::Bytes;

use super::pack::Pack;
use crate::io::FileId;
use crate::limits::{
    BODY_BYTES_MAX, COMPACT_WRITE_BYTES, PRESS_GATHER_BYTES, PRESS_SAMPLE_BYTES_MAX, PRESS_SAMPLES_BYTES,
    PRESS_SAMPLES_DICTIONARIES,
};
use crate::log::record::{HEAD_BYTES, RecordHead};
use crate::press::stored::{Form, all_blocks, list};
use crate::press::{Block, Folded, Options, Work, Worked};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Gather,
    Work,
    Give,
}

#[derive(Debug)]
enum Body {
    Octets(Bytes),
    /// Compressed, with one of the victims' dictionaries.
    Folded(Vec<Block>, usize),
    /// Compressed for the pack in the making.
    Pressed(Vec<Block>),
}

#[derive(Debug)]
struct Item {
    position: u64,
    /// Header and summary.
    head: Bytes,
    body: Body,
    /// It is to be compressed, and that was not tried yet.
    is_due: bool,
}

/// A record to be written.
pub struct Given {
    /// The position that it had in the log.
    pub position: u64,
    /// How it is stored.
    pub form: Form,
    /// Its bytes.
    pub parts: Vec<Bytes>,
    /// How many it had in the log.
    pub plain: u64,
}

/// See the module's head.
#[derive(Debug)]
pub struct Squeeze {
    options: Options,
    phase: Phase,
    batch: VecDeque<Item>,
    /// Bytes in it, counted as if nothing were compressed.
    bytes: usize,
    /// Of victims: which pack's, and it.
    dictionaries: Vec<(FileId, Bytes)>,
    /// The pack's own; none before it is known.
    dictionary: Option<Bytes>,
}

impl Squeeze {
    /// For one pack. `presses` unless nothing that goes into it is to be compressed.
    pub fn new(options: Options, presses: bool) -> Squeeze {
        Squeeze {
            options,
            phase: Phase::Gather,
            batch: VecDeque::new(),
            bytes: 0,
            dictionaries: Vec::new(),
            dictionary: (!presses).then(Bytes::new),
        }
    }

    /// A pack whose bodies will come, some of them compressed.
    pub fn expect(&mut self, pack: &Pack) {
        if let Some(dictionary) = pack.dictionary() {
            self.dictionaries.push((FileId::Pack(pack.number), dictionary));
        }
    }

    /// Whether another record may be added.
    pub fn gathers(&mut self) -> bool {
        let full = if self.dictionary.is_none() { PRESS_GATHER_BYTES } else { COMPACT_WRITE_BYTES as usize };
        if self.phase == Phase::Gather && self.bytes >= full {
            self.phase = Phase::Work;
        }
        self.phase == Phase::Gather
    }

    /// No more records come. Whether some are still to be given.
    pub fn close(&mut self) -> bool {
        let some = !self.batch.is_empty();
        if some {
            self.phase = Phase::Work;
        }
        some
    }

    /// The dictionary of the pack.
    pub fn dictionary(&self) -> &[u8] {
        self.dictionary.as_deref().unwrap_or_default()
    }

    /// Takes a record in, as it is stored in a file; `is_due` if it is to be compressed. None: it is not what was
    /// written.
    pub fn add(
        &mut self,
        file: FileId,
        position: u64,
        record: &Bytes,
        flags: u32,
        is_due: bool,
    ) -> Option<()> {
        let meta = RecordHead::read(record)?.meta();
        let head_bytes = HEAD_BYTES + meta.summary_len as usize;
        let octets = meta.len.checked_sub(meta.summary_len).filter(|len| *len as usize <= BODY_BYTES_MAX)?;
        if head_bytes > record.len() {
            return None;
        }
        let (head, rest) = (record.slice(..head_bytes), record.slice(head_bytes..));
        let body = match Form::of(flags)? {
            Form::AsSent => Body::Octets(rest),
            Form::Pressed(stored) if stored as usize == rest.len() => {
                let dictionary = self.dictionaries.iter().position(|(known, _)| *known == file)?;
                Body::Folded(all_blocks(octets, &rest)?, dictionary)
            }
            Form::Pressed(_) | Form::Preface { .. } => return None,
        };
        self.bytes += head_bytes + octets as usize;
        self.batch.push_back(Item { position, head, body, is_due });
        Some(())
    }

    /// What has to be done before records are given; none when they can be.
    pub fn work(&mut self) -> Option<Work> {
        if self.phase != Phase::Work {
            return None;
        }
        let work = self.unfold().or_else(|| self.train()).or_else(|| self.press());
        if work.is_none() {
            self.phase = Phase::Give;
        }
        work
    }

    fn unfold(&self) -> Option<Work> {
        let folded = |item: &Item| match &item.body {
            Body::Folded(blocks, dictionary) => {
                Some(Folded { head: item.head.clone(), blocks: blocks.clone(), dictionary: *dictionary })
            }
            _ => None,
        };
        let bodies: Vec<Folded> = self.batch.iter().filter_map(folded).collect();
        let dictionaries = self.dictionaries.iter().map(|(_, dictionary)| dictionary.clone()).collect();
        (!bodies.is_empty()).then_some(Work::Unfold { bodies, dictionaries })
    }

    fn due(&self) -> impl Iterator<Item = &Bytes> {
        self.batch.iter().filter_map(|item| match &item.body {
            Body::Octets(octets) if item.is_due => Some(octets),
            _ => None,
        })
    }

    fn train(&mut self) -> Option<Work> {
        if self.dictionary.is_some() {
            return None;
        }
        let mut bytes = 0;
        let beginning = |octets: &Bytes| octets.slice(..octets.len().min(PRESS_SAMPLE_BYTES_MAX));
        let samples: Vec<Bytes> = self
            .due()
            .map(beginning)
            .take_while(|sample| {
                bytes += sample.len();
                bytes <= PRESS_SAMPLES_BYTES
            })
            .collect();
        let enough = self.options.dictionary_bytes.saturating_mul(PRESS_SAMPLES_DICTIONARIES);
        if self.options.dictionary_bytes == 0 || bytes < enough {
            self.dictionary = Some(Bytes::new());
            return None;
        }
        Some(Work::Train { samples, bytes: self.options.dictionary_bytes })
    }

    fn press(&self) -> Option<Work> {
        let bodies: Vec<Bytes> = self.due().cloned().collect();
        let (dictionary, level) = (self.dictionary.clone().unwrap_or_default(), self.options.level);
        (!bodies.is_empty()).then_some(Work::Press { bodies, dictionary, level })
    }

    /// The work is done. An error: this victim is damaged.
    pub fn worked(&mut self, worked: Worked) -> Result<(), FileId> {
        match worked {
            Worked::Trained(dictionary) => self.dictionary = Some(dictionary),
            Worked::Pressed(pressed) => {
                let due = |item: &&mut Item| item.is_due && matches!(item.body, Body::Octets(_));
                for (item, blocks) in self.batch.iter_mut().filter(due).zip(pressed) {
                    item.is_due = false;
                    if let Some(blocks) = blocks {
                        item.body = Body::Pressed(blocks);
                    }
                }
            }
            Worked::Unfolded(unfolded) => {
                let folded = self.batch.iter_mut().filter(|item| matches!(item.body, Body::Folded(..)));
                for (item, octets) in folded.zip(unfolded) {
                    match (octets, &item.body) {
                        (Some(octets), _) => item.body = Body::Octets(octets),
                        (None, Body::Folded(_, at)) => return Err(self.dictionaries[*at].0),
                        (None, _) => {}
                    }
                }
            }
            Worked::Failed(_) => {}
        }
        Ok(())
    }

    /// The next record that is ready.
    pub fn give(&mut self) -> Option<Given> {
        if self.phase != Phase::Give {
            return None;
        }
        let Some(item) = self.batch.pop_front() else {
            (self.phase, self.bytes) = (Phase::Gather, 0);
            return None;
        };
        let (position, head) = (item.position, item.head);
        let plain = |octets: usize| (head.len() + octets) as u64;
        Some(match item.body {
            Body::Octets(octets) => {
                Given { position, form: Form::AsSent, plain: plain(octets.len()), parts: vec![head, octets] }
            }
            Body::Pressed(blocks) | Body::Folded(blocks, _) => {
                let octets = blocks.iter().map(|block| block.len as usize).sum();
                let plain = plain(octets);
                let mut parts = vec![head, list(&blocks)];
                parts.extend(blocks.into_iter().map(|block| block.bytes));
                let stored: usize = parts[1..].iter().map(Bytes::len).sum();
                Given { position, form: Form::Pressed(stored as u32), parts, plain }
            }
        })
    }
}
