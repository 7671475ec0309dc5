//! Octets of one message, item by item.
//!
//! *Owns*: where a begun reply stands. *Promises*: octets leave as extents, never looked at, except picked
//! header fields, decoded parts and messages that hold NUL, which are looked at in windows; between two
//! pieces it stops where the output is full or enough
//! was looked at for one call; what was begun is finished even if the message is expunged meanwhile.
//! *Assumes*: the summary is in memory when it goes on. *Never*: puts a NUL on the wire.
//!
//! ```text
//!  Item ──run──► extent ────────────────────────────────────────────► next Item … `)`
//!    ├──fields, decoded part──► windows measured ──► head ─┐             ▲
//!    └──run of a message with NUL──► head ─────────────────┴──► windows copied
//!
//!  a window that is not at hand ──► Warm; one that cannot be read ──► filled up
//! ```
//!
//! rfc3501#9 `CHAR8` keeps NUL out of every literal, and a client may cut a string at one. A message may
//! still hold it (BINARYMIME, rfc3030#3). Such a message is sent with each NUL replaced by 0x80: sizes and
//! offsets stay what RFC822.SIZE and BODYSTRUCTURE say, and no text decoder takes it for a character.

use std::ops::Range;

use bytes::Bytes;
use ringpost_engine::ids::BodyKey;
use ringpost_engine::io::Extent;
use ringpost_engine::layout::{Part, SummaryView, TransferEncoding, flag};
use ringpost_engine::octets::Octets as StoredOctets;
use ringpost_engine::store::{BodyRef, Store};

use super::binary::Binary;
use super::fields::{Pass, Reading};
use super::plan::{Form, Octets, Plan};
use super::section::{Located, clip, locate};
use crate::limits::{IMAP_COPY_BYTES_MAX, IMAP_WARM_HEADER_BYTES, STEP_BYTES_MAX};
use crate::proto::imap::command::Section;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;

/// What stands for a NUL.
const NOT_NUL: u8 = 0x80;

/// A message of which something is sent.
pub struct Stored {
    body: BodyRef,
    summary: Bytes,
}

impl Stored {
    /// The message of that key; none if it is damaged.
    pub fn find(key: BodyKey, store: &Store) -> Option<Stored> {
        let body = store.body(key)?;
        let stored = Stored { body, summary: store.bytes(body.summary)? };
        stored.view().is_some().then_some(stored)
    }

    /// Its summary, and where that is stored.
    pub fn summary(&self) -> Option<(SummaryView<'_>, Extent)> {
        Some((self.view()?, self.body.summary))
    }

    fn view(&self) -> Option<SummaryView<'_>> {
        SummaryView::new(&self.summary)
    }

    fn locate(&self, section: &Section) -> Located {
        self.view().map_or(Located::Missing, |view| locate(section, &view, self.body.bytes.len))
    }

    fn has_nul(&self) -> bool {
        self.view().is_some_and(|view| view.flags() & flag::HAS_NUL != 0)
    }

    /// Whether BINARY is asked of a part whose encoding nobody here knows (rfc3516#4.3).
    pub fn cannot_decode(&self, plan: &Plan) -> bool {
        plan.octets.iter().any(|item| {
            item.form != Form::Stored
                && self.part(item).is_some_and(|part| part.encoding == TransferEncoding::Unknown)
        })
    }

    /// The part that an item of BINARY means.
    fn part(&self, item: &Octets) -> Option<Part> {
        let view = self.view()?;
        if item.section.path.is_empty() {
            // The whole message: its own encoding is its text's, so there is nothing to undo.
            let mut whole = view.part(&[]).or_else(|| view.part(&[1]))?;
            (whole.encoding, whole.body_start) = (TransferEncoding::Identity, 0);
            (whole.body_end, whole.decoded_size) = (self.body.bytes.len, Some(self.body.bytes.len));
            return Some(whole);
        }
        let fits = |part: &Part| part.body_start <= part.body_end && part.body_end <= self.body.bytes.len;
        view.part(&item.section.path).filter(fits)
    }
}

/// A reply that is begun.
#[derive(Debug)]
pub struct Sending {
    body: BodyKey,
    /// The next item.
    item: usize,
    /// A space is due before it.
    spaced: bool,
    /// What is left of the item before.
    rest: Option<Rest>,
    /// What `rest` looks at next is in memory.
    warm: bool,
    /// The message cannot be read any more.
    damaged: bool,
}

/// What is left of an item that takes several windows.
#[derive(Debug)]
enum Rest {
    /// These octets are copied, `start..end` of the message.
    Run(u32, u32),
    /// A part that is decoded.
    Binary(Binary),
    /// Header fields that are picked.
    Fields(Reading),
    /// So many octets were announced that cannot be had any more.
    Lost(u64),
}

impl Rest {
    /// Which octets of the message have to be in memory next; none at the end of a pass.
    fn wants(&self) -> Option<Range<u32>> {
        match self {
            Rest::Run(start, end) if start < end => Some(*start..(*end).min(start + IMAP_COPY_BYTES_MAX)),
            Rest::Binary(binary) => binary.wants(),
            Rest::Fields(reading) => reading.wants(),
            Rest::Run(..) | Rest::Lost(_) => None,
        }
    }

    /// Whether that was brought in with the summary.
    fn is_at_hand(&self, window: &Range<u32>) -> bool {
        matches!(self, Rest::Fields(_)) && window.end <= IMAP_WARM_HEADER_BYTES
    }

    fn window(&mut self, octets: &[u8], item: &Octets, out: &mut Out) {
        match (self, &item.fields) {
            (Rest::Run(start, _), _) => {
                put_without_nul(octets, out);
                *start += octets.len() as u32;
            }
            (Rest::Binary(binary), _) => binary.window(octets, out),
            (Rest::Fields(reading), Some(names)) => {
                reading.window(octets, names, &mut |piece| put_without_nul(piece, out));
            }
            (Rest::Fields(_), None) | (Rest::Lost(_), _) => {}
        }
    }

    /// The end of a pass. Whether more follows.
    fn end_pass(&mut self, out: &mut Out) -> bool {
        match self {
            Rest::Run(..) => false,
            Rest::Binary(binary) => binary.end_pass(out),
            Rest::Fields(reading) => match reading.end_pass(&mut |piece| out.put(piece)) {
                Pass::Send(size) => {
                    put_literal_head(out, size);
                    size > 0
                }
                Pass::Done => false,
            },
            Rest::Lost(owed) => {
                let filled = (*owed).min(u64::from(IMAP_COPY_BYTES_MAX));
                let len = out.text().len() + filled as usize;
                out.text().resize(len, NOT_NUL);
                *owed -= filled;
                *owed > 0
            }
        }
    }

    /// Octets that were announced and are not sent.
    fn owed(&self) -> u64 {
        match self {
            Rest::Run(start, end) => u64::from(end - start),
            Rest::Binary(binary) => binary.owed(),
            Rest::Fields(reading) => u64::from(reading.owed()),
            Rest::Lost(owed) => *owed,
        }
    }
}

/// How it went on.
#[derive(Debug)]
pub enum Sent {
    /// The reply is complete.
    All,
    /// The message cannot be read any more; the reply is complete all the same.
    Damaged,
    /// The output is full.
    Full,
    /// Enough was looked at for one call.
    Budget,
    /// This has to be in memory first.
    Warm(StoredOctets),
}

impl Sending {
    /// The octets behind a head that is written; `spaced` if anything stands in it.
    pub fn new(body: BodyKey, spaced: bool) -> Sending {
        Sending { body, item: 0, spaced, rest: None, warm: false, damaged: false }
    }

    /// Which message it is.
    pub fn body(&self) -> BodyKey {
        self.body
    }

    /// Writes as much as there is room for. `stored` is the message, none if it cannot be found any more.
    pub fn go_on(&mut self, plan: &Plan, stored: Option<&Stored>, store: &Store, out: &mut Out) -> Sent {
        let mut looked = 0;
        let mut at_hand = None;
        loop {
            let stored = stored.filter(|_| !self.damaged);
            let window = self.rest.as_ref().and_then(Rest::wants);
            match (&mut self.rest, plan.octets.get(self.item), stored, window) {
                (Some(rest), _, Some(stored), Some(window)) => {
                    let piece = stored.body.bytes.slice(window.start, window.end - window.start);
                    let known = at_hand.as_ref() == Some(&window) || rest.is_at_hand(&window);
                    if !known && piece.len > 0 && !std::mem::replace(&mut self.warm, false) {
                        self.warm = true;
                        return Sent::Warm(piece);
                    }
                    let item = plan.octets.get(self.item - 1);
                    let (Some(octets), Some(item)) = (store.bytes(piece), item) else {
                        self.lose(out);
                        continue;
                    };
                    rest.window(&octets, item, out);
                    looked += octets.len();
                    at_hand = Some(window);
                }
                (Some(_), _, None, Some(_)) => self.lose(out),
                (Some(rest), _, _, None) => {
                    if !rest.end_pass(out) {
                        self.rest = None;
                    }
                }
                (None, Some(item), stored, _) => {
                    self.item += 1;
                    self.put_label(item, out);
                    match stored {
                        Some(stored) => self.begin_item(item, stored, out),
                        None => out.put(b" NIL"),
                    }
                }
                (None, None, stored, _) => {
                    out.put(b")\r\n");
                    return if stored.is_some() { Sent::All } else { Sent::Damaged };
                }
            }
            let more = self.rest.is_some() || self.item < plan.octets.len();
            if more && !out.has_room() {
                return Sent::Full;
            }
            if more && looked >= STEP_BYTES_MAX {
                return Sent::Budget;
            }
        }
    }

    /// Writes an item behind its label, or leaves the rest of it to be read.
    fn begin_item(&mut self, item: &Octets, stored: &Stored, out: &mut Out) {
        if item.form != Form::Stored {
            self.begin_binary(item, stored, out);
            return;
        }
        match (stored.locate(&item.section), stored.view(), &item.fields) {
            (Located::Run(start, end), ..) => {
                let (from, to) = clip(start, end, item.partial);
                put_literal_head(out, to - from);
                if !stored.has_nul() {
                    out.octets(stored.body.bytes.slice(from, to - from));
                } else if from < to {
                    self.rest = Some(Rest::Run(from, to));
                }
            }
            (Located::Fields(start, end), Some(view), Some(names)) => {
                self.rest = Some(Rest::Fields(Reading::new((start, end), names, item.partial, &view)));
            }
            _ => out.put(b" NIL"),
        }
    }

    /// A part, decoded (rfc3516#4.3).
    fn begin_binary(&mut self, item: &Octets, stored: &Stored, out: &mut Out) {
        let Some(part) = stored.part(item) else {
            out.put(if item.form == Form::Binary { b" NIL" } else { b" 0" });
            return;
        };
        match (item.form, part.decoded_size) {
            (Form::BinarySize, Some(size)) => {
                out.put(b" ");
                reply::number(out.text(), u64::from(size));
            }
            (Form::Binary, _) if part.encoding == TransferEncoding::Identity && !stored.has_nul() => {
                let (from, to) = clip(part.body_start, part.body_end, item.partial);
                put_literal_head(out, to - from);
                out.octets(stored.body.bytes.slice(from, to - from));
            }
            (form, _) => self.rest = Binary::new(part, form, item.partial).map(Rest::Binary),
        }
    }

    fn put_label(&mut self, item: &Octets, out: &mut Out) {
        if std::mem::replace(&mut self.spaced, true) {
            out.put(b" ");
        }
        out.put(&item.label);
    }

    /// The message cannot be read any more: what was announced is filled up, what is left is NIL.
    fn lose(&mut self, out: &mut Out) {
        self.damaged = true;
        match self.rest.take().map_or(0, |rest| rest.owed()) {
            0 => out.put(b" NIL"),
            owed => self.rest = Some(Rest::Lost(owed)),
        }
    }
}

/// Octets with what stands for NUL in its place.
pub fn put_without_nul(octets: &[u8], out: &mut Out) {
    let mut rest = octets;
    while let Some(at) = memchr::memchr(0, rest) {
        out.put(&rest[..at]);
        out.put(&[NOT_NUL]);
        rest = &rest[at + 1..];
    }
    out.put(rest);
}

/// ` {len}` and its line end.
pub fn put_literal_head(out: &mut Out, len: u32) {
    out.put(b" {");
    reply::number(out.text(), u64::from(len));
    out.put(b"}\r\n");
}
