//! BODY and BODYSTRUCTURE.
//!
//! *Owns*: the structure of a message in wire form (rfc3501#7.4.2), and the part list with its IMAP numbers.
//! *Promises*: grammatically valid whatever the tree: a multipart has at least one part, a parameter list is
//! never empty. *Assumes*: a [`Tree`] of the same message, no deeper than `MIME_DEPTH_MAX`: that bounds the
//! recursion.
//! *Never*: looks at a body.

use ringpost_engine::layout::{Part, PartKind, TransferEncoding};

use super::content::{Content, Parameter};
use super::envelope;
use super::scan::{Node, Tree};
use super::wire::Writer;

/// Which of the two forms is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Without extension data.
    Body,
    /// With it.
    BodyStructure,
}

/// Writes one form of a message's structure.
pub(super) struct Renderer<'a> {
    /// The message.
    pub message: &'a [u8],
    /// Its scan.
    pub tree: &'a Tree,
    /// Which form.
    pub form: Form,
    /// Addresses of one envelope field.
    pub addresses_max: usize,
}

impl Renderer<'_> {
    /// Writes the entity and all inside it. Returns whether addresses were left out.
    pub fn write(&self, index: usize, out: &mut Writer) -> bool {
        let node = &self.tree.nodes[index];
        let content = Content::parse(node.header(self.message), node.in_digest);
        if out.is_full() {
            return false;
        }
        out.raw(b"(");
        let cut = match node.kind {
            PartKind::Multipart => self.multipart(node, &content, out),
            _ => self.single(node, &content, out),
        };
        out.raw(b")");
        cut
    }

    /// body-type-mpart: the bodies stand without spaces between them.
    fn multipart(&self, node: &Node, content: &Content<'_>, out: &mut Writer) -> bool {
        let mut cut = false;
        let mut child = node.first_child;
        while let Some(index) = child {
            cut |= self.write(index, out);
            child = self.tree.nodes[index].next_sibling;
        }
        out.raw(b" ");
        out.string(&content.subtype);
        if self.form == Form::BodyStructure {
            out.raw(b" ");
            write_parameters(&content.parameters, out);
            write_extension(content, out);
        }
        cut
    }

    /// body-type-1part.
    fn single(&self, node: &Node, content: &Content<'_>, out: &mut Writer) -> bool {
        let mut cut = false;
        if node.opaque {
            out.raw(b"\"application\" \"octet-stream\"");
        } else {
            out.string(&content.media);
            out.raw(b" ");
            out.string(&content.subtype);
        }
        out.raw(b" ");
        write_parameters(&content.parameters, out);
        for text in [&content.id, &content.description] {
            out.raw(b" ");
            out.nstring(text.as_deref());
        }
        out.raw(b" ");
        out.string(&content.encoding_name);
        out.raw(b" ");
        out.number(node.body_end - node.body_start);
        if let (PartKind::Message, Some(enclosed)) = (node.kind, node.first_child) {
            // rfc9051#9 gives message/global the form that rfc3501 has for message/rfc822 alone.
            let header = self.tree.nodes[enclosed].header(self.message);
            out.raw(b" ");
            cut |= envelope::write(header, self.addresses_max, out);
            out.raw(b" ");
            cut |= self.write(enclosed, out);
            out.raw(b" ");
            out.number(node.lines as usize);
        } else if content.has_lines() {
            out.raw(b" ");
            out.number(node.lines as usize);
        }
        if self.form == Form::BodyStructure {
            out.raw(b" ");
            out.nstring(content.md5.as_deref());
            write_extension(content, out);
        }
        cut
    }
}

/// Disposition, language, location, each with the space before it.
fn write_extension(content: &Content<'_>, out: &mut Writer) {
    match &content.disposition {
        Some((kind, parameters)) => {
            out.raw(b" (");
            out.string(kind);
            out.raw(b" ");
            write_parameters(parameters, out);
            out.raw(b")");
        }
        None => out.raw(b" NIL"),
    }
    out.raw(b" ");
    write_spaced(content.languages.iter().map(Vec::as_slice), out);
    out.raw(b" ");
    out.nstring(content.location.as_deref());
}

/// body-fld-param: names and values in turn, NIL when there are none.
fn write_parameters(parameters: &[Parameter], out: &mut Writer) {
    write_spaced(parameters.iter().flat_map(|parameter| [parameter.name.as_slice(), &parameter.value]), out);
}

fn write_spaced<'a>(strings: impl Iterator<Item = &'a [u8]>, out: &mut Writer) {
    let mut before: &[u8] = b"(";
    for string in strings {
        out.raw(before);
        out.string(string);
        before = b" ";
    }
    out.raw(if before == b"(" { b"NIL" } else { b")" });
}

/// The parts that have an IMAP number, and the top level (rfc3501#6.4.5). An enclosed message that is
/// multipart has no number of its own: its parts count on from the part that encloses it.
pub(super) fn parts(tree: &Tree) -> Vec<Part> {
    let mut list = Vec::with_capacity(tree.nodes.len());
    // The number under which each entity's children are counted.
    let mut numbers: Vec<Vec<u32>> = Vec::with_capacity(tree.nodes.len());
    for node in &tree.nodes {
        let parent = node.parent.map(|parent| (&tree.nodes[parent], &numbers[parent]));
        let is_multipart = node.kind == PartKind::Multipart;
        let unnumbered = is_multipart && parent.is_none_or(|(parent, _)| parent.kind == PartKind::Message);
        let mut number = parent.map_or_else(Vec::new, |(_, number)| number.clone());
        if !unnumbered {
            number.push(node.number);
        }
        if node.parent.is_none() || !unnumbered {
            let path = if node.parent.is_none() { Vec::new() } else { number.clone() };
            list.push(part(tree, node, path));
        }
        numbers.push(number);
    }
    list
}

fn part(tree: &Tree, node: &Node, path: Vec<u32>) -> Part {
    let enclosed = node.first_child.filter(|_| node.kind == PartKind::Message);
    // A header that a boundary cuts off ends before the line end that belongs to the boundary.
    let nested_text_start =
        enclosed.map_or(node.body_start, |child| tree.nodes[child].body_start.min(node.body_end));
    Part {
        path,
        kind: node.kind,
        encoding: node.encoding,
        charset: node.charset.clone(),
        header_start: node.header_start as u32,
        body_start: node.body_start as u32,
        body_end: node.body_end as u32,
        lines: node.lines,
        nested_text_start: nested_text_start as u32,
        decoded_size: (node.encoding == TransferEncoding::Identity)
            .then_some((node.body_end - node.body_start) as u32),
    }
}
