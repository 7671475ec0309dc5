//! Summaries, made while a message arrives.
//!
//! *Owns*: from octets to a [`Summary`]. *Promises*: the same summary for any cut of the message; a call looks at no
//! more than `SUMMARISE_STEP_BYTES` and one header's bounded start; linear time, memory within a summary's bounds,
//! whatever the octets; the summary never exceeds the engine's bound. *Assumes*: each call brings all that has
//! arrived, and what was there has not changed. *Never*: changes a message.
//!
//! ```text
//!             lines            header ended: keys, fields, fragments ─► its texts ─┐
//!  octets ──► Scanner ── found ┤                                                   ├─► filter, preview
//!                              └ body of a text part, as far as it is sure ────────┘
//!  end ──► fragments put together ─► fits? ── no: once more from the start, with less detail
//! ```

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use ringpost_engine::layout::{FilterBuilder, PartKind, Summary, TransferEncoding, flag};
use ringpost_engine::limits::{FILTER_BITS_MAX, SUMMARY_BYTES_MAX};

use super::decode::Base64Size;
use super::keys::PreviewBuilder;
use super::scan::{Found, Node, Scanner};
use super::search::texts::{BodyReader, HeaderReader, TextSink};
use super::structure::{self, Form};
use super::wire::Writer;
use crate::limits::{
    MIME_ADDRESSES_MAX, MIME_HEADER_BYTES_MAX, MIME_PARTS_MAX, MIME_PREVIEW_PARTS_MAX, SUMMARISE_STEP_BYTES,
};

/// How much of a message's structure is kept. A hostile message whose structure would not fit the summary is
/// summarised again with the next level; four passes keep it linear.
#[derive(Debug)]
pub(super) struct Detail {
    /// Entities.
    pub parts_max: usize,
    /// Octets of one string.
    pub string_bytes_max: usize,
    /// Addresses of one field.
    pub addresses_max: usize,
}

pub(super) static DETAILS: [Detail; 4] = [
    Detail { parts_max: MIME_PARTS_MAX, string_bytes_max: 64 * 1024, addresses_max: MIME_ADDRESSES_MAX },
    Detail { parts_max: 1_000, string_bytes_max: 2_000, addresses_max: MIME_ADDRESSES_MAX },
    Detail { parts_max: 100, string_bytes_max: 500, addresses_max: 500 },
    // Six lists of a hundred addresses of four strings, each doubled by escapes, are half of what a summary holds.
    Detail { parts_max: 1, string_bytes_max: 100, addresses_max: 100 },
];

/// Summarises a message that is in memory as a whole. Offsets are 32-bit: octets beyond 4 GiB, which no configuration
/// admits, are not looked at.
pub fn summarise(message: &[u8]) -> Summary {
    let message = &message[..message.len().min(u32::MAX as usize)];
    let mut summariser = Summariser::new();
    loop {
        match summariser.finish(message) {
            Ok(summary) => return summary,
            Err(unfinished) => summariser = unfinished,
        }
    }
}

/// Prepares what FETCH, RETR, SEARCH, SORT and THREAD will ask, while a message arrives.
pub struct Summariser {
    level: usize,
    pass: Box<Pass>,
    octets: OctetFlags,
}

impl Default for Summariser {
    fn default() -> Summariser {
        Summariser::new()
    }
}

impl fmt::Debug for Summariser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Summariser {{ level: {}, looked: {} }}", self.level, self.pass.scanner.looked())
    }
}

impl Summariser {
    /// Of a message of which nothing has come.
    pub fn new() -> Summariser {
        Summariser { level: 0, pass: Box::new(Pass::new(&DETAILS[0])), octets: OctetFlags::default() }
    }

    /// Memory held, about.
    pub fn held(&self) -> usize {
        let tree = &self.pass.scanner.tree;
        size_of::<Pass>() + FILTER_BITS_MAX / 8 + tree.fragments_bytes + tree.nodes.len() * size_of::<Node>()
    }

    /// Looks at some of what is new in `message`, which is all that has arrived so far. Returns whether it has caught
    /// up; if not, the caller lets others run and calls again.
    pub fn advance(&mut self, message: &[u8]) -> bool {
        let caught_up = self.pass.advance(message, false);
        self.octets.look(message, &self.pass);
        self.fall_back() && caught_up
    }

    /// The message has ended. The error is that there is more to look at: let others run and call again. `message` has
    /// at most 2^32 - 1 octets.
    pub fn finish(mut self, message: &[u8]) -> Result<Summary, Summariser> {
        let caught_up = self.pass.advance(message, true);
        self.octets.look(message, &self.pass);
        if !self.fall_back() || !caught_up {
            return Err(self);
        }
        let summary = self.pass.summary(message, self.octets.flags, self.level);
        summary.ok_or_else(|| {
            self.begin_level(self.level + 1);
            self
        })
    }

    /// Begins again with less detail where it is clear that the summary cannot fit. Returns whether all is well.
    fn fall_back(&mut self) -> bool {
        let fits = self.pass.scanner.tree.fragments_bytes <= SUMMARY_BYTES_MAX;
        if !fits && self.level + 1 < DETAILS.len() {
            self.begin_level(self.level + 1);
            return false;
        }
        true
    }

    fn begin_level(&mut self, level: usize) {
        self.level = level.min(DETAILS.len() - 1);
        *self.pass = Pass::new(&DETAILS[self.level]);
    }
}

/// One pass over a message.
struct Pass {
    scanner: Scanner,
    /// What the scan has found and is not yet noted; nothing is scanned while something waits.
    found: VecDeque<Found>,
    ended: bool,
    /// The header whose texts are being noted, and how far that is.
    header: Option<(HeaderReader, usize, usize)>,
    /// The leaf whose body is being noted, and how far that is.
    body: Option<(usize, usize, BodyNotes)>,
    noted: Noted,
}

/// What is done with a leaf's octets.
enum BodyNotes {
    Text(Box<BodyReader>),
    Size(Base64Size),
}

impl Pass {
    fn new(detail: &'static Detail) -> Pass {
        Pass {
            scanner: Scanner::new(detail),
            found: VecDeque::new(),
            ended: false,
            header: None,
            body: None,
            noted: Noted::default(),
        }
    }

    /// Returns whether all that has arrived is looked at.
    fn advance(&mut self, message: &[u8], is_whole: bool) -> bool {
        let mut left = SUMMARISE_STEP_BYTES as isize;
        while left > 0 {
            if let Some((reader, at, end)) = &mut self.header {
                let taken = reader.step(&message[*at..*end], &mut self.noted);
                *at += taken;
                left -= taken as isize;
                if at == end {
                    self.header = None;
                }
            } else if let Some(&found) = self.found.front() {
                left -= self.note(found, message) as isize;
            } else if self.body_behind(message) >= NOTE_BYTES / 2 {
                left -= self.note_body(self.scanner.body_sure(message), message) as isize;
            } else {
                let before = self.scanner.looked();
                let is_more = self.scanner.lines(message, NOTE_BYTES.min(left as usize), &mut self.found);
                left -= (self.scanner.looked() - before) as isize + 1;
                if !is_more {
                    if !is_whole || self.ended {
                        return self.found.is_empty();
                    }
                    self.ended = true;
                    self.scanner.finish(message, &mut self.found);
                }
            }
        }
        false
    }

    /// Octets of the open body that are sure and not noted.
    fn body_behind(&self, message: &[u8]) -> usize {
        match &self.body {
            Some((_, at, _)) => self.scanner.body_sure(message).saturating_sub(*at),
            None => 0,
        }
    }

    /// Notes the open body on to `end`, or a piece of that. Returns how many octets that were.
    fn note_body(&mut self, end: usize, message: &[u8]) -> usize {
        let Some((_, at, notes)) = &mut self.body else { return 0 };
        let Some(rest) = message.get(*at..end).filter(|rest| !rest.is_empty()) else { return 0 };
        let taken = match notes {
            BodyNotes::Text(reader) => reader.step(rest, &mut self.noted),
            BodyNotes::Size(size) => size.push(rest),
        };
        *at += taken;
        taken
    }

    /// Notes what the scan has found, or a piece of it. Returns how many octets were looked at.
    fn note(&mut self, found: Found, message: &[u8]) -> usize {
        match found {
            Found::Header(index) => {
                self.found.pop_front();
                self.note_header(index)
            }
            Found::Body(index) => {
                let is_open = self.body.as_ref().is_some_and(|(node, ..)| *node == index);
                let taken = if is_open {
                    self.note_body(self.scanner.tree.nodes[index].body_end, message)
                } else {
                    0
                };
                if taken == 0 {
                    self.found.pop_front();
                    self.end_body(index);
                }
                taken
            }
        }
    }

    fn note_header(&mut self, index: usize) -> usize {
        let node = &self.scanner.tree.nodes[index];
        let (start, end) = (node.header_start, node.body_start);
        if start < end {
            self.header = Some((HeaderReader::default(), start, end));
        }
        let notes = match (node.kind, node.encoding) {
            (PartKind::Text, encoding) => {
                self.noted.begin_preview(node.is_html, node.is_attachment);
                Some(BodyNotes::Text(Box::new(BodyReader::new(encoding, &node.charset))))
            }
            (PartKind::Other, TransferEncoding::Base64) => Some(BodyNotes::Size(Base64Size::default())),
            _ => None,
        };
        self.body = notes.map(|notes| (index, end, notes));
        (end - start).min(MIME_HEADER_BYTES_MAX)
    }

    fn end_body(&mut self, index: usize) {
        let decoded_size = match self.body.take_if(|(node, ..)| *node == index) {
            Some((.., BodyNotes::Text(reader))) => {
                let size = reader.finish(&mut self.noted);
                self.noted.end_preview();
                size
            }
            Some((.., BodyNotes::Size(size))) => size.finish(),
            None => return,
        };
        let node = &mut self.scanner.tree.nodes[index];
        if node.encoding != TransferEncoding::Unknown {
            node.decoded_size = Some(decoded_size as u32);
        }
    }

    /// Puts the summary together; none when it would not fit.
    fn summary(&mut self, message: &[u8], octet_flags: u32, level: usize) -> Option<Summary> {
        let mut tree = std::mem::take(&mut self.scanner.tree);
        let own = std::mem::take(&mut tree.own);
        let noted = std::mem::take(&mut self.noted);
        let render = |form| {
            let mut out = Writer::new(SUMMARY_BYTES_MAX, usize::MAX);
            structure::write(&tree, 0, form, &mut out);
            out.finish().map(|(text, _)| Bytes::from(text))
        };
        let is_last = level + 1 == DETAILS.len();
        let (body, bodystructure) = match (render(Form::Body), render(Form::BodyStructure)) {
            (Some(body), Some(bodystructure)) => (body, bodystructure),
            _ if is_last => opaque(message.len() - tree.nodes[0].body_start),
            _ => return None,
        };
        let mut flags = octet_flags;
        for (is_set, bit) in [
            (tree.dots_overflow, flag::DOTS_OVERFLOW),
            (tree.cut || level > 0, flag::STRUCTURE_CUT),
            (own.fields_overflow, flag::FIELDS_OVERFLOW),
        ] {
            flags |= if is_set { bit } else { 0 };
        }
        let summary = Summary {
            header_len: tree.nodes[0].body_start as u32,
            flags,
            filter: noted.filter.finish().into(),
            sort_keys: own.sort_keys,
            thread_keys: own.thread_keys,
            preview: noted.preview,
            fields: own.fields,
            fields_end: own.fields_end,
            envelope: std::mem::take(&mut tree.nodes[0].fragments.envelope).into(),
            body,
            bodystructure,
            parts: structure::parts(&tree),
            dot_lines: tree.dot_lines,
        };
        (is_last || summary.encoded_len() <= SUMMARY_BYTES_MAX).then_some(summary)
    }
}

/// Octets that are searched for lines at once. When half as many of a body have gathered, they are noted.
const NOTE_BYTES: usize = 16 * 1024;

/// BODY and BODYSTRUCTURE of a message of `size` octets of which no more is told.
pub(super) fn opaque(size: usize) -> (Bytes, Bytes) {
    let form =
        |rest| Bytes::from(format!("(\"application\" \"octet-stream\" NIL NIL NIL \"binary\" {size}{rest})"));
    (form(""), form(" NIL NIL NIL NIL"))
}

/// What the texts give.
#[derive(Default)]
struct Noted {
    filter: FilterBuilder,
    /// Empty until a part has words to show.
    preview: String,
    open_preview: Option<PreviewBuilder>,
    previews_tried: usize,
}

impl Noted {
    fn begin_preview(&mut self, is_html: bool, is_attachment: bool) {
        if self.preview.is_empty() && !is_attachment && self.previews_tried < MIME_PREVIEW_PARTS_MAX {
            self.previews_tried += 1;
            self.open_preview = Some(PreviewBuilder::new(is_html));
        }
    }

    fn end_preview(&mut self) {
        if let Some(preview) = self.open_preview.take() {
            self.preview = preview.finish();
        }
    }
}

impl TextSink for Noted {
    fn plain(&mut self, text: &str) {
        if let Some(preview) = &mut self.open_preview {
            preview.push(text);
        }
    }

    fn folded(&mut self, text: &str) {
        self.filter.push(text);
    }

    fn end(&mut self) {
        self.filter.end_text();
    }
}

/// Which kinds of octets the message holds; looked at once, whatever the number of passes.
#[derive(Default)]
struct OctetFlags {
    looked: usize,
    flags: u32,
}

impl OctetFlags {
    /// Looks at what a pass has come past.
    fn look(&mut self, message: &[u8], pass: &Pass) {
        let until = pass.scanner.looked();
        if until <= self.looked {
            return;
        }
        // The header has not ended while its end is its start.
        let header_len = Some(pass.scanner.tree.nodes[0].body_start).filter(|&end| end > 0).unwrap_or(until);
        let header_len = header_len.clamp(self.looked, until);
        let new = &message[self.looked..until];
        let (header, body) = new.split_at(header_len - self.looked);
        self.looked = until;
        if memchr::memchr(0, new).is_some() {
            self.flags |= flag::HAS_NUL;
        }
        if !header.is_ascii() {
            self.flags |= flag::HEADER_8BIT;
        }
        if !body.is_ascii() {
            self.flags |= flag::BODY_8BIT;
        }
    }
}
