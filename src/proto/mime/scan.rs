//! The structure scan: one pass over a message's lines, as they arrive, builds the tree of its parts.
//!
//! *Owns*: where headers, bodies and parts begin and end (rfc2046#5.1), line counts, dot lines.
//! *Promises*: linear time whatever the octets: each line is looked at once, and only a line that begins with
//! `--` is compared, at most with `MIME_DEPTH_MAX` open boundaries of its own length; parts and depth are
//! bounded.
//! *Assumes*: each call brings all that has arrived; what was there does not change. *Never*: decodes, recurses.
//!
//! ```text
//!            empty line              multipart: boundary            boundary--
//!  Header ──────────────► Body │ Preamble ─────────► (child) … ─────────► Epilogue
//!     ▲                     │ message/*: a child begins at once
//!     └── child's header ◄──┘         a boundary of an outer multipart closes everything inside it
//! ```

use std::collections::VecDeque;

use memchr::memmem::Finder;
use ringpost_engine::layout::{PartKind, TransferEncoding};

use super::Detail;
use super::content::Content;
use super::envelope;
use super::header::{self, is_empty_line, without_line_end};
use super::keys::OwnHeader;
use super::structure::Fragments;
use super::wire::Writer;
use crate::limits::{DOT_LINES_MAX, MIME_DEPTH_MAX, MIME_HEADER_BYTES_MAX};

/// An entity: the message, a body part, or the message within message/rfc822.
#[derive(Debug)]
pub(super) struct Node {
    /// The entity around it.
    pub parent: Option<usize>,
    /// Its first child.
    pub first_child: Option<usize>,
    /// The next child of its parent.
    pub next_sibling: Option<usize>,
    last_child: Option<usize>,
    /// Its place among its parent's children, from 1.
    pub number: u32,
    /// What it is.
    pub kind: PartKind,
    /// Whether its own type was set aside at a bound: it is shown as application/octet-stream.
    pub opaque: bool,
    /// Whether its type defaults to message/rfc822.
    pub in_digest: bool,
    /// Whether parts inside it default to message/rfc822.
    is_digest: bool,
    /// Transfer encoding.
    pub encoding: TransferEncoding,
    /// Charset of a text part.
    pub charset: String,
    /// Whether it is text/html.
    pub is_html: bool,
    /// Whether it is to be shown as an attachment (rfc2183#2.2).
    pub is_attachment: bool,
    /// What its header gives to BODY and BODYSTRUCTURE.
    pub fragments: Fragments,
    /// Octets of its body once its transfer encoding is undone, where that was counted.
    pub decoded_size: Option<u32>,
    /// Octets from the start of the message, as all offsets here.
    pub header_start: usize,
    /// Behind the empty line.
    pub body_start: usize,
    /// Before the line end that belongs to the boundary.
    pub body_end: usize,
    /// Line ends in the body.
    pub lines: u32,
    /// Line ends in the message before the body.
    lines_before: u32,
}

impl Node {
    /// The header, cut at its bound.
    pub fn header<'m>(&self, message: &'m [u8]) -> &'m [u8] {
        let end = self.body_start.min(self.header_start + MIME_HEADER_BYTES_MAX);
        &message[self.header_start..end]
    }
}

/// What the scan found.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Depth first; the first is the message itself. Never empty once a scan has begun.
    pub nodes: Vec<Node>,
    /// Offsets of lines that begin with a dot, up to `DOT_LINES_MAX`.
    pub dot_lines: Vec<u32>,
    /// Whether there are more of them.
    pub dots_overflow: bool,
    /// Whether parts or strings were left out or made opaque at a bound.
    pub cut: bool,
    /// Octets of all fragments.
    pub fragments_bytes: usize,
    /// What the message's own header gives beyond that.
    pub own: OwnHeader,
    /// Lines looked at and boundaries compared: the proof of linear time.
    #[cfg(test)]
    pub steps: usize,
}

/// What the scan has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This entity's header has ended.
    Header(usize),
    /// This entity's body has ended.
    Body(usize),
}

/// An entity that has not ended yet.
#[derive(Debug)]
struct Open {
    node: usize,
    in_header: bool,
    /// The boundary that its parts begin with; none for leaves and after the closing one.
    boundary: Option<Vec<u8>>,
}

/// Fewer octets are looked at line by line.
const RUN_BYTES_MIN: usize = 1_024;

/// Scans a message line by line while it arrives.
#[derive(Debug)]
pub(super) struct Scanner {
    detail: &'static Detail,
    /// See [`Tree`].
    pub tree: Tree,
    open: Vec<Open>,
    /// Line ends before the line being looked at.
    lines: u32,
    /// Where that line begins.
    line_start: usize,
    /// How far it was searched for its end.
    looked: usize,
    /// Finds the line ends before lines that may be boundaries, and before dot lines.
    marks: Option<[Finder<'static>; 2]>,
}

impl Scanner {
    /// At the start of a message, of which at most `detail.parts_max` entities are looked at, at least the message
    /// itself.
    pub fn new(detail: &'static Detail) -> Scanner {
        let (tree, open) = (Tree::default(), Vec::new());
        let mut scanner = Scanner { detail, tree, open, lines: 0, line_start: 0, looked: 0, marks: None };
        scanner.open_entity(None, 0);
        scanner
    }

    /// Looks at the lines that are there as a whole, up to one that ends something, which is added to `found`, and no
    /// further than `bytes_max` octets. `message` is all that has arrived. Returns whether there may be more to look
    /// at.
    pub fn lines(&mut self, message: &[u8], bytes_max: usize, found: &mut VecDeque<Found>) -> bool {
        let until = message.len().min(self.looked + bytes_max);
        self.skip_plain_lines(&message[..until]);
        let from = self.looked;
        for lf in memchr::memchr_iter(b'\n', &message[from..until]) {
            self.take_line(message, from + lf + 1, found);
            if !found.is_empty() {
                return true;
            }
        }
        self.looked = until;
        until < message.len()
    }

    /// Goes on in a body past lines that are nothing but lines, without a look at each.
    fn skip_plain_lines(&mut self, message: &[u8]) {
        let run = &message[self.looked..];
        let in_header = self.open.last().is_none_or(|open| open.in_header);
        if in_header || run.len() < RUN_BYTES_MIN || matches!(message[self.line_start], b'.' | b'-') {
            return;
        }
        let mut plain = run;
        // Base64 has neither dots nor dashes.
        if memchr::memchr2(b'.', b'-', run).is_some() {
            // Each is searched only up to the one before: what is looked at is gone past.
            for mark in self.marks.get_or_insert_with(|| [Finder::new(b"\n--"), Finder::new(b"\n.")]) {
                plain = mark.find(plain).map_or(plain, |lf| &plain[..=lf]);
            }
        }
        self.step();
        let Some(lf) = memchr::memrchr(b'\n', plain) else { return };
        self.lines += memchr::memchr_iter(b'\n', &plain[..=lf]).count() as u32;
        self.looked += lf + 1;
        self.line_start = self.looked;
    }

    /// The message has ended, and all its lines with a line end were looked at.
    pub fn finish(&mut self, message: &[u8], found: &mut VecDeque<Found>) {
        if self.line_start < message.len() {
            self.take_line(message, message.len(), found);
        }
        self.close_down_to(0, message, message.len(), message.len(), found);
    }

    /// How far the message was searched for line ends.
    pub fn looked(&self) -> usize {
        self.looked
    }

    /// How far the innermost body reaches at least: no boundary can begin before here any more.
    pub fn body_sure(&self, message: &[u8]) -> usize {
        let begun = &message[self.line_start..self.looked];
        if begun.len() > 2 && !begun.starts_with(b"--") {
            // The last octet may be half of a line end.
            self.looked - usize::from(begun.ends_with(b"\r"))
        } else {
            without_line_end(&message[..self.line_start]).len()
        }
    }

    fn take_line(&mut self, message: &[u8], end: usize, found: &mut VecDeque<Found>) {
        let start = self.line_start;
        let line = &message[start..end];
        self.step();
        // Nearly all lines are nothing but lines.
        if let b'.' | b'-' | b'\r' | b'\n' = line[0] {
            self.take_special_line(message, start, end, found);
        }
        self.lines += u32::from(line.ends_with(b"\n"));
        (self.line_start, self.looked) = (end, end);
    }

    /// A line that may be a dot line, a boundary or empty.
    fn take_special_line(&mut self, message: &[u8], start: usize, end: usize, found: &mut VecDeque<Found>) {
        let line = &message[start..end];
        if line[0] == b'.' {
            self.dot_line(start);
        }
        let is_boundary = line.starts_with(b"--") && self.boundary_line(message, start, end, found);
        if !is_boundary && is_empty_line(line) && self.open.last().is_some_and(|open| open.in_header) {
            self.end_header(message, end, self.lines + 1, found);
        }
    }

    /// A line begins behind any LF, a bare one included: readers that split at LF would otherwise take a lone
    /// dot for the end of a POP3 answer.
    fn dot_line(&mut self, start: usize) {
        if self.tree.dot_lines.len() == DOT_LINES_MAX {
            self.tree.dots_overflow = true;
        } else {
            self.tree.dot_lines.push(start as u32);
        }
    }

    /// A line that begins with `--`: if it is an open boundary, ends and begins parts. The whole line must be
    /// the boundary, `--` for the last and padding (rfc2046#5.1.1), so that one boundary may begin with
    /// another. The innermost wins.
    fn boundary_line(
        &mut self,
        message: &[u8],
        start: usize,
        end: usize,
        found: &mut VecDeque<Found>,
    ) -> bool {
        let text = message[start + 2..end].trim_ascii_end();
        let Some((depth, is_last)) = self.find_boundary(text) else { return false };
        let line_before = without_line_end(&message[..start]);
        self.close_down_to(depth + 1, message, start, line_before.len(), found);
        if is_last {
            self.open[depth].boundary = None;
        } else if self.tree.nodes.len() >= self.detail.parts_max {
            self.open[depth].boundary = None;
            self.tree.cut = true;
        } else {
            self.open_entity(Some(self.open[depth].node), end);
        }
        true
    }

    fn find_boundary(&mut self, text: &[u8]) -> Option<(usize, bool)> {
        for depth in (0..self.open.len()).rev() {
            let Some(boundary) = &self.open[depth].boundary else { continue };
            let is_last = match text.len().checked_sub(boundary.len()) {
                Some(0) => false,
                Some(2) if text.ends_with(b"--") => true,
                _ => continue,
            };
            let found = text.starts_with(boundary);
            self.step();
            if found {
                return Some((depth, is_last));
            }
        }
        None
    }

    /// Begins an entity whose header starts at `at`. The caller has checked the bounds.
    fn open_entity(&mut self, parent: Option<usize>, at: usize) {
        let node = self.tree.nodes.len();
        let mut number = 1;
        let mut in_digest = false;
        if let Some(parent) = parent {
            let last_child = self.tree.nodes[parent].last_child.replace(node);
            in_digest = self.tree.nodes[parent].is_digest;
            match last_child {
                Some(last) => {
                    self.tree.nodes[last].next_sibling = Some(node);
                    number = self.tree.nodes[last].number + 1;
                }
                None => self.tree.nodes[parent].first_child = Some(node),
            }
        }
        self.tree.nodes.push(Node {
            parent,
            first_child: None,
            next_sibling: None,
            last_child: None,
            number,
            kind: PartKind::Text,
            opaque: false,
            in_digest,
            is_digest: false,
            encoding: TransferEncoding::Identity,
            charset: String::new(),
            is_html: false,
            is_attachment: false,
            fragments: Fragments::default(),
            decoded_size: None,
            header_start: at,
            body_start: at,
            body_end: at,
            lines: 0,
            lines_before: 0,
        });
        self.open.push(Open { node, in_header: true, boundary: None });
    }

    /// The innermost entity's header ends before `at`, with `lines_before` line ends before its body.
    fn end_header(&mut self, message: &[u8], at: usize, lines_before: u32, found: &mut VecDeque<Found>) {
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else { return };
        let index = open.node;
        open.in_header = false;
        found.push_back(Found::Header(index));
        let is_enclosed =
            self.tree.nodes[index].parent.is_none_or(|p| self.tree.nodes[p].kind == PartKind::Message);
        let is_full = depth >= MIME_DEPTH_MAX || self.tree.nodes.len() >= self.detail.parts_max;
        let node = &mut self.tree.nodes[index];
        node.body_start = at;
        node.body_end = at;
        node.lines_before = lines_before;
        let header = node.header(message);
        let mut cut = header.len() < at - node.header_start;
        let mut own = (index == 0).then(|| OwnHeader::new(cut));
        let (mut content, mut found) = (Content::new(), envelope::Found::default());
        for field in header::fields(header) {
            own.iter_mut().for_each(|own| own.take(&field));
            if !content.take(&field) && is_enclosed {
                found.take(&field);
            }
        }
        content.fill_defaults(node.in_digest);
        cut |= content.cut;
        node.kind = content.kind();
        node.encoding = content.encoding();
        // Room for one child: a multipart always has one (rfc3501#9: 1*body), an enclosed message is one.
        if is_full && matches!(node.kind, PartKind::Multipart | PartKind::Message) {
            (node.kind, node.opaque) = (PartKind::Other, true);
            cut = true;
        }
        node.is_attachment = content.is_attachment();
        let addresses_max = self.detail.addresses_max;
        let mut write_envelope = |out: &mut Writer| {
            envelope::write(&found, addresses_max, out, |list, address| {
                own.iter_mut().for_each(|own| own.take_first(list, address));
            })
        };
        let write_envelope: Option<&mut dyn FnMut(&mut Writer) -> bool> =
            if is_enclosed { Some(&mut write_envelope) } else { None };
        let (fragments, fragments_cut) = Fragments::of(node, &content, write_envelope, self.detail);
        cut |= fragments_cut;
        if let Some(mut own) = own {
            own.finish(&found);
            self.tree.own = own;
        }
        self.tree.fragments_bytes += fragments.len();
        node.fragments = fragments;
        self.tree.cut |= cut;
        match node.kind {
            PartKind::Multipart => {
                node.is_digest = content.is_digest();
                open.boundary = content.boundary();
            }
            PartKind::Message => self.open_entity(Some(index), at),
            PartKind::Text => {
                node.charset = content.charset();
                node.is_html = content.subtype.eq_ignore_ascii_case(b"html");
            }
            PartKind::Other => {}
        }
    }

    /// Ends all entities from the outermost inwards `depth` on, at `at`; their bodies end at `body_end`,
    /// before the line end that belongs to the boundary.
    fn close_down_to(
        &mut self,
        depth: usize,
        message: &[u8],
        at: usize,
        body_end: usize,
        found: &mut VecDeque<Found>,
    ) {
        while self.open.len() > depth {
            if self.open.last().is_some_and(|open| open.in_header) {
                // A header without its empty line; message/* opens an empty child, which the next turn
                // closes.
                self.end_header(message, at, self.lines, found);
                continue;
            }
            let Some(open) = self.open.pop() else { return };
            let node = &mut self.tree.nodes[open.node];
            if body_end > node.body_start {
                node.body_end = body_end;
                // The line end before the boundary is counted already and not part of the body.
                node.lines = self.lines - u32::from(body_end < at) - node.lines_before;
            }
            found.push_back(Found::Body(open.node));
            if node.kind == PartKind::Multipart && node.first_child.is_none() {
                self.add_empty_part(open.node);
            }
            self.step();
        }
    }

    /// A multipart without parts gets an empty text part, because the grammar knows no multipart without one
    /// (rfc3501#9 body-type-mpart). Nothing was added since it was opened, so there is room and the order
    /// stays.
    fn add_empty_part(&mut self, multipart: usize) {
        let at = self.tree.nodes[multipart].body_start;
        self.open_entity(Some(multipart), at);
        self.open.pop();
        if let Some(part) = self.tree.nodes.last_mut() {
            part.in_digest = false;
            let mut content = Content::new();
            content.fill_defaults(false);
            (part.fragments, _) = Fragments::of(part, &content, None, self.detail);
            self.tree.fragments_bytes += part.fragments.len();
        }
    }

    fn step(&mut self) {
        #[cfg(test)]
        {
            self.tree.steps += 1;
        }
    }
}
