//! The structure scan: one pass over a message's lines builds the tree of its parts.
//!
//! *Owns*: where headers, bodies and parts begin and end (rfc2046#5.1), line counts, dot lines.
//! *Promises*: linear time whatever the octets: each line is looked at once, and only a line that begins with
//! `--` is compared, at most with `MIME_DEPTH_MAX` open boundaries of its own length; parts and depth are
//! bounded.
//! *Assumes*: nothing. *Never*: decodes, recurses.
//!
//! ```text
//!            empty line              multipart: boundary            boundary--
//!  Header ──────────────► Body │ Preamble ─────────► (child) … ─────────► Epilogue
//!     ▲                     │ message/*: a child begins at once
//!     └── child's header ◄──┘         a boundary of an outer multipart closes everything inside it
//! ```

use ringpost_engine::layout::{PartKind, TransferEncoding};

use super::content::Content;
use super::header::{is_empty_line, line_end, without_line_end};
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
#[derive(Debug)]
pub(super) struct Tree {
    /// Depth first; the first is the message itself. Never empty.
    pub nodes: Vec<Node>,
    /// Offsets of lines that begin with a dot, up to `DOT_LINES_MAX`.
    pub dot_lines: Vec<u32>,
    /// Whether there are more of them.
    pub dots_overflow: bool,
    /// Whether parts were left out or made opaque at a bound.
    pub cut: bool,
    /// Lines looked at and boundaries compared: the proof of linear time.
    #[cfg(test)]
    pub steps: usize,
}

/// Scans `message`; at most `parts_max` entities, at least the message itself.
pub(super) fn scan(message: &[u8], parts_max: usize) -> Tree {
    let tree = Tree {
        nodes: Vec::new(),
        dot_lines: Vec::new(),
        dots_overflow: false,
        cut: false,
        #[cfg(test)]
        steps: 0,
    };
    let mut scanner = Scanner { message, parts_max, tree, open: Vec::new(), lines: 0 };
    scanner.open_entity(None, 0);
    let mut start = 0;
    while let Some(end) = line_end(message, start) {
        scanner.line(start, end);
        start = end;
    }
    scanner.close_down_to(0, message.len(), message.len());
    scanner.tree
}

/// An entity that has not ended yet.
struct Open {
    node: usize,
    in_header: bool,
    /// The boundary that its parts begin with; none for leaves and after the closing one.
    boundary: Option<Vec<u8>>,
}

struct Scanner<'m> {
    message: &'m [u8],
    parts_max: usize,
    tree: Tree,
    open: Vec<Open>,
    /// Line ends before the line being looked at.
    lines: u32,
}

impl Scanner<'_> {
    fn line(&mut self, start: usize, end: usize) {
        let line = &self.message[start..end];
        self.step();
        if line[0] == b'.' {
            self.dot_line(start);
        }
        let is_boundary = line.starts_with(b"--") && self.boundary_line(start, end);
        if !is_boundary && is_empty_line(line) && self.open.last().is_some_and(|open| open.in_header) {
            self.end_header(end, self.lines + 1);
        }
        self.lines += u32::from(line.ends_with(b"\n"));
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
    fn boundary_line(&mut self, start: usize, end: usize) -> bool {
        let text = self.message[start + 2..end].trim_ascii_end();
        let Some((depth, is_last)) = self.find_boundary(text) else { return false };
        let line_before = without_line_end(&self.message[..start]);
        self.close_down_to(depth + 1, start, line_before.len());
        if is_last {
            self.open[depth].boundary = None;
        } else if self.tree.nodes.len() >= self.parts_max {
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
            header_start: at,
            body_start: at,
            body_end: at,
            lines: 0,
            lines_before: 0,
        });
        self.open.push(Open { node, in_header: true, boundary: None });
    }

    /// The innermost entity's header ends before `at`, with `lines_before` line ends before its body.
    fn end_header(&mut self, at: usize, lines_before: u32) {
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else { return };
        let index = open.node;
        open.in_header = false;
        let node = &mut self.tree.nodes[index];
        node.body_start = at;
        node.body_end = at;
        node.lines_before = lines_before;
        let header = node.header(self.message);
        self.tree.cut |= header.len() < at - node.header_start;
        let content = Content::parse(header, node.in_digest);
        self.tree.cut |= content.cut;
        node.kind = content.kind();
        node.encoding = content.encoding();
        // Room for one child: a multipart always has one (rfc3501#9: 1*body), an enclosed message is one.
        let holds_children = matches!(node.kind, PartKind::Multipart | PartKind::Message);
        if holds_children && (depth >= MIME_DEPTH_MAX || self.tree.nodes.len() >= self.parts_max) {
            let node = &mut self.tree.nodes[index];
            (node.kind, node.opaque) = (PartKind::Other, true);
            self.tree.cut = true;
            return;
        }
        let node = &mut self.tree.nodes[index];
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
    fn close_down_to(&mut self, depth: usize, at: usize, body_end: usize) {
        while self.open.len() > depth {
            if self.open.last().is_some_and(|open| open.in_header) {
                // A header without its empty line; message/* opens an empty child, which the next turn
                // closes.
                self.end_header(at, self.lines);
                continue;
            }
            let Some(open) = self.open.pop() else { return };
            let node = &mut self.tree.nodes[open.node];
            if body_end > node.body_start {
                node.body_end = body_end;
                // The line end before the boundary is counted already and not part of the body.
                node.lines = self.lines - u32::from(body_end < at) - node.lines_before;
            }
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
        }
    }

    fn step(&mut self) {
        #[cfg(test)]
        {
            self.tree.steps += 1;
        }
    }
}
