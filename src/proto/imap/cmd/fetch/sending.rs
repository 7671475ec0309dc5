//! Octets of one message, item by item.
//!
//! *Owns*: where a begun reply stands. *Promises*: octets leave as extents, never looked at, except picked
//! header fields and messages that hold NUL; between two pieces it stops where the output is full or enough
//! was looked at for one call; what was begun is finished even if the message is expunged meanwhile.
//! *Assumes*: the summary is in memory when it goes on. *Never*: puts a NUL on the wire.
//!
//! ```text
//!  Item ──run──► extent ──────────────────────────────────► next Item … `)`
//!    ├──fields──► picked copy ────────────────────────────────┤
//!    └──run of a message with NUL──► Warm ──► copied piece ─┬─┘
//!                                     ▲                     │
//!                                     └──── more of it ◄────┘
//! ```
//!
//! rfc3501#9 `CHAR8` keeps NUL out of every literal, and a client may cut a string at one. A message may
//! still hold it (BINARYMIME, rfc3030#3). Such a message is sent with each NUL replaced by 0x80: sizes and
//! offsets stay what RFC822.SIZE and BODYSTRUCTURE say, and no text decoder takes it for a character.

use bytes::Bytes;
use ringpost_engine::ids::BodyId;
use ringpost_engine::io::Extent;
use ringpost_engine::layout::{Part, SummaryView, TransferEncoding, flag};
use ringpost_engine::store::{BodyRef, Store};

use super::binary::Binary;
use super::plan::{Form, Octets, Plan};
use super::section::{Located, clip, indexed_fields, locate, pick_fields};
use crate::limits::{IMAP_COPY_BYTES_MAX, IMAP_WARM_HEADER_BYTES, STEP_BYTES_MAX};
use crate::proto::imap::command::{Section, SectionText};
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
    /// The message of that id; none if it is damaged.
    pub fn find(id: BodyId, store: &Store) -> Option<Stored> {
        let body = store.body(id)?;
        let stored = Stored { body, summary: store.bytes(body.summary)? };
        stored.view().is_some().then_some(stored)
    }

    /// Its summary.
    pub fn view(&self) -> Option<SummaryView<'_>> {
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

    /// The run that has to be brought in because fields are picked from beyond what was warmed in advance.
    pub fn cold_header(&self, plan: &Plan) -> Option<Extent> {
        if !plan.picks_fields {
            return None;
        }
        let end_of = |item: &Octets| match self.locate(&item.section) {
            Located::Fields(_, end) => Some(end),
            _ => None,
        };
        let end = plan.octets.iter().filter_map(end_of).max()?;
        (end > IMAP_WARM_HEADER_BYTES).then(|| self.body.bytes.slice(0, end))
    }
}

/// A reply that is begun.
#[derive(Debug)]
pub struct Sending {
    body: BodyId,
    /// The next item.
    item: usize,
    /// A space is due before it.
    spaced: bool,
    /// What is left to copy of the item before, `start..end` of the message.
    rest: Option<(u32, u32)>,
    /// A part that is being decoded.
    binary: Option<Binary>,
    /// The next piece of `rest`, or what is decoded next, is in memory.
    warm: bool,
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
    Warm(Extent),
}

impl Sending {
    /// The octets behind a head that is written; `spaced` if anything stands in it.
    pub fn new(body: BodyId, spaced: bool) -> Sending {
        Sending { body, item: 0, spaced, rest: None, binary: None, warm: false }
    }

    /// Which message it is.
    pub fn body(&self) -> BodyId {
        self.body
    }

    /// Writes as much as there is room for. `stored` is the message, none if it cannot be found any more.
    pub fn go_on(&mut self, plan: &Plan, stored: Option<&Stored>, store: &Store, out: &mut Out) -> Sent {
        let Some(stored) = stored else { return self.give_up(plan, out) };
        let mut looked = 0;
        loop {
            if let Some(binary) = &mut self.binary {
                let Some(window) = binary.wants() else {
                    if !binary.end_pass(out) {
                        self.binary = None;
                    }
                    continue;
                };
                let piece = stored.body.bytes.slice(window.start, window.end - window.start);
                if piece.len > 0 && !std::mem::replace(&mut self.warm, false) {
                    self.warm = true;
                    return Sent::Warm(piece);
                }
                let Some(octets) = store.bytes(piece) else { return self.give_up(plan, out) };
                binary.window(&octets, out);
                looked += octets.len();
            } else if let Some((start, end)) = self.rest {
                let len = (end - start).min(IMAP_COPY_BYTES_MAX);
                let piece = stored.body.bytes.slice(start, len);
                if !std::mem::replace(&mut self.warm, false) {
                    self.warm = true;
                    return Sent::Warm(piece);
                }
                let Some(octets) = store.bytes(piece) else { return self.give_up(plan, out) };
                put_without_nul(&octets, out);
                looked += octets.len();
                self.rest = (start + len < end).then_some((start + len, end));
            } else if let Some(item) = plan.octets.get(self.item) {
                self.item += 1;
                looked += self.begin_item(item, stored, store, out);
            } else {
                out.put(b")\r\n");
                return Sent::All;
            }
            let more = self.binary.is_some() || self.rest.is_some() || self.item < plan.octets.len();
            if more && !out.has_room() {
                return Sent::Full;
            }
            if more && looked >= STEP_BYTES_MAX {
                return Sent::Budget;
            }
        }
    }

    /// Writes an item, or its head if the rest has to be copied; how many octets were looked at.
    fn begin_item(&mut self, item: &Octets, stored: &Stored, store: &Store, out: &mut Out) -> usize {
        self.put_label(item, out);
        if item.form != Form::Stored {
            self.begin_binary(item, stored, out);
            return 0;
        }
        let bytes = stored.body.bytes;
        match stored.locate(&item.section) {
            Located::Missing => out.put(b" NIL"),
            Located::Run(start, end) => {
                let (from, to) = clip(start, end, item.partial);
                put_literal_head(out, to - from);
                if !stored.has_nul() {
                    out.extent(bytes.slice(from, to - from));
                } else if from < to {
                    self.rest = Some((from, to));
                }
            }
            Located::Fields(start, end) if item.picks_by_index(start) => {
                let header = store.bytes(bytes.slice(start, end - start)).unwrap_or_default();
                let view = stored.view();
                let found = view.as_ref().and_then(|view| indexed_fields(view, &header, item));
                match found {
                    Some(found) => return put_fields(&found, item, out),
                    None => return put_picked(&header, item, out),
                }
            }
            Located::Fields(start, end) => {
                let header = store.bytes(bytes.slice(start, end - start)).unwrap_or_default();
                return put_picked(&header, item, out);
            }
        }
        0
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
                out.extent(stored.body.bytes.slice(from, to - from));
            }
            (form, _) => self.binary = Binary::new(part, form, item.partial),
        }
    }

    fn put_label(&mut self, item: &Octets, out: &mut Out) {
        if std::mem::replace(&mut self.spaced, true) {
            out.put(b" ");
        }
        out.put(&item.label);
    }

    /// Ends the reply in its form: what was announced is filled up, what is left is NIL.
    fn give_up(&mut self, plan: &Plan, out: &mut Out) -> Sent {
        if let Some(binary) = self.binary.take() {
            match binary.owed() {
                0 => out.put(b" NIL"),
                owed => {
                    let filled = out.text().len() + owed as usize;
                    out.text().resize(filled, NOT_NUL);
                }
            }
        }
        if let Some((start, end)) = self.rest.take() {
            let filled = out.text().len() + (end - start) as usize;
            out.text().resize(filled, NOT_NUL);
        }
        while let Some(item) = plan.octets.get(self.item) {
            self.item += 1;
            self.put_label(item, out);
            out.put(b" NIL");
        }
        out.put(b")\r\n");
        Sent::Damaged
    }
}

/// Fields that were found by the index, and the empty line (rfc3501#6.4.5). How many octets were looked at.
fn put_fields(fields: &[&[u8]], item: &Octets, out: &mut Out) -> usize {
    let len: usize = fields.iter().map(|field| field.len()).sum();
    let (from, to) = clip(0, (len + 2) as u32, item.partial);
    put_literal_head(out, to - from);
    let (mut skip, mut left) = (from as usize, (to - from) as usize);
    for piece in fields.iter().copied().chain([&b"\r\n"[..]]) {
        let skipped = skip.min(piece.len());
        skip -= skipped;
        let piece = &piece[skipped..];
        let piece = &piece[..left.min(piece.len())];
        left -= piece.len();
        put_without_nul(piece, out);
    }
    len
}

/// Fields picked from the whole header. How many octets were looked at.
fn put_picked(header: &[u8], item: &Octets, out: &mut Out) -> usize {
    let named = matches!(item.section.text, SectionText::HeaderFields(_));
    let picked = pick_fields(header, &item.names, named);
    let (from, to) = clip(0, picked.len() as u32, item.partial);
    put_literal_head(out, to - from);
    put_without_nul(&picked[from as usize..to as usize], out);
    header.len()
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
