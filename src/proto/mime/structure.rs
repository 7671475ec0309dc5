//! BODY and BODYSTRUCTURE.
//!
//! *Owns*: the structure of a message in wire form (rfc3501#7.4.2), and the part list with its IMAP numbers.
//! *Promises*: grammatically valid whatever the tree: a multipart has at least one part, a parameter list is
//! never empty. *Assumes*: a [`Tree`] of the same message, no deeper than `MIME_DEPTH_MAX`: that bounds the
//! recursion.
//! *Never*: looks at a body.

use ringpost_engine::layout::{Part, PartKind, TransferEncoding};
use ringpost_engine::limits::SUMMARY_BYTES_MAX;

use super::Detail;
use super::content::{Content, Parameter};
use super::scan::{Node, Tree};
use super::wire::Writer;

/// What an entity's header gives to BODY and BODYSTRUCTURE, made once when the header has ended.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// A leaf's type, parameters, id, description and encoding; a multipart's subtype.
    basic: Vec<u8>,
    /// Extension data, with the space before each.
    extension: Vec<u8>,
    /// ENVELOPE, of the message and of enclosed ones.
    pub envelope: Vec<u8>,
    /// Whether a leaf has a line count.
    has_lines: bool,
    /// Whether a piece was too long for any summary.
    is_too_long: bool,
}

impl Fragments {
    /// Of an entity whose kind is decided; `write_envelope` is there for a message and returns whether it left
    /// something out. Returns whether something was left out.
    pub fn of(
        node: &Node,
        content: &Content<'_>,
        write_envelope: Option<&mut dyn FnMut(&mut Writer) -> bool>,
        detail: &Detail,
    ) -> (Fragments, bool) {
        let (mut cut, mut is_too_long) = (false, false);
        let mut render = |write: &mut dyn FnMut(&mut Writer) -> bool| {
            let mut out = Writer::new(SUMMARY_BYTES_MAX, detail.string_bytes_max);
            cut |= write(&mut out);
            let (octets, strings_cut) = out.finish().unwrap_or_else(|| {
                is_too_long = true;
                Default::default()
            });
            cut |= strings_cut;
            octets
        };
        let is_multipart = node.kind == PartKind::Multipart;
        let mut fragments = Fragments {
            basic: render(&mut |out| {
                if is_multipart {
                    out.string(&content.subtype)
                } else {
                    write_basic(node, content, out)
                }
                false
            }),
            extension: render(&mut |out| {
                out.raw(b" ");
                if is_multipart {
                    write_parameters(&content.parameters, out);
                } else {
                    out.nstring(content.md5.as_deref());
                }
                write_extension(content, out);
                false
            }),
            envelope: write_envelope.map_or_else(Vec::new, |write| render(write)),
            has_lines: content.has_lines(),
            is_too_long: false,
        };
        fragments.is_too_long = is_too_long;
        (fragments, cut)
    }

    /// Octets of all of it; more than any summary holds when a piece was too long.
    pub fn len(&self) -> usize {
        if self.is_too_long {
            return SUMMARY_BYTES_MAX + 1;
        }
        self.basic.len() + self.extension.len() + self.envelope.len()
    }
}

/// body-fields of a leaf, behind its media type (rfc3501#9).
fn write_basic(node: &Node, content: &Content<'_>, out: &mut Writer) {
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
}

/// Which of the two forms is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Without extension data.
    Body,
    /// With it.
    BodyStructure,
}

/// Writes the entity and all inside it: copies of fragments.
pub(super) fn write(tree: &Tree, index: usize, form: Form, out: &mut Writer) {
    let node = &tree.nodes[index];
    if out.is_full() {
        return;
    }
    out.raw(b"(");
    if node.kind == PartKind::Multipart {
        // body-type-mpart: the bodies stand without spaces between them.
        let mut child = node.first_child;
        while let Some(index) = child {
            write(tree, index, form, out);
            child = tree.nodes[index].next_sibling;
        }
        out.raw(b" ");
        out.raw(&node.fragments.basic);
    } else {
        write_single(tree, node, form, out);
    }
    if form == Form::BodyStructure {
        out.raw(&node.fragments.extension);
    }
    out.raw(b")");
}

/// body-type-1part.
fn write_single(tree: &Tree, node: &Node, form: Form, out: &mut Writer) {
    out.raw(&node.fragments.basic);
    out.raw(b" ");
    out.number(node.body_end - node.body_start);
    if let (PartKind::Message, Some(enclosed)) = (node.kind, node.first_child) {
        // rfc9051#9 gives message/global the form that rfc3501 has for message/rfc822 alone.
        out.raw(b" ");
        out.raw(&tree.nodes[enclosed].fragments.envelope);
        out.raw(b" ");
        write(tree, enclosed, form, out);
        out.raw(b" ");
        out.number(node.lines as usize);
    } else if node.fragments.has_lines {
        out.raw(b" ");
        out.number(node.lines as usize);
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
        decoded_size: match node.encoding {
            TransferEncoding::Identity => Some((node.body_end - node.body_start) as u32),
            _ => node.decoded_size,
        },
    }
}
