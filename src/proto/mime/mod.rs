//! Messages as text: structure, header fields, addresses, dates, charsets, search.
//!
//! *Owns*: everything that looks into a message. *Promises*: takes any octets without a panic, in linear
//! time, within the `MIME_*` bounds of `limits`; a summary never exceeds the engine's bound.
//! *Assumes*: lines end by CRLF; a bare LF ends one as well, a bare CR does not. *Never*: changes a message.
//!
//! Reading order: [`header`], `scan`, `content`, `structure`, `envelope`, [`address`], [`search`].

use bytes::Bytes;
use ringpost_engine::layout::{FieldStart, PartKind, Summary, field_name_hash, flag};
use ringpost_engine::limits::{FIELDS_STORED_MAX, SUMMARY_BYTES_MAX};

use crate::limits::{MIME_ADDRESSES_MAX, MIME_PARTS_MAX, MIME_PREVIEW_PARTS_MAX};

pub mod address;
pub mod charset;
mod content;
pub mod date;
pub mod decode;
mod envelope;
pub mod fold;
pub mod header;
pub mod keys;
mod scan;
pub mod search;
mod structure;
#[cfg(test)]
mod tests;
mod wire;
pub mod words;

pub use content::Parameter;
pub use date::sent_date;
pub use fold::fold;
pub use search::{Scope, contains_text, header_contains};

/// How much of a message's structure is kept. A hostile message whose structure would not fit the summary is
/// summarised again with the next level; four bounded passes keep it linear.
struct Detail {
    parts_max: usize,
    string_bytes_max: usize,
    addresses_max: usize,
}

const DETAILS: [Detail; 4] = [
    Detail { parts_max: MIME_PARTS_MAX, string_bytes_max: 64 * 1024, addresses_max: MIME_ADDRESSES_MAX },
    Detail { parts_max: 1_000, string_bytes_max: 2_000, addresses_max: MIME_ADDRESSES_MAX },
    Detail { parts_max: 100, string_bytes_max: 500, addresses_max: 500 },
    Detail { parts_max: 1, string_bytes_max: 100, addresses_max: 100 },
];

/// Scans a stored message and prepares what FETCH, RETR and SEARCH will ask. Offsets are 32-bit: octets
/// beyond 4 GiB, which no configuration admits, are not looked at.
pub fn summarise(message: &[u8]) -> Summary {
    let message = &message[..message.len().min(u32::MAX as usize)];
    DETAILS
        .iter()
        .find_map(|detail| summarise_within(message, detail))
        .unwrap_or_else(|| without_structure(message))
}

/// None when the summary would not fit.
fn summarise_within(message: &[u8], detail: &Detail) -> Option<Summary> {
    let tree = scan::scan(message, detail.parts_max);
    let top = &tree.nodes[0];
    let header_len = top.body_start;
    let mut cut = tree.cut || detail.parts_max < MIME_PARTS_MAX;
    let writer = || wire::Writer::new(SUMMARY_BYTES_MAX, detail.string_bytes_max);
    let mut finish = |out: wire::Writer, addresses_cut: bool| {
        let (text, strings_cut) = out.finish()?;
        cut |= addresses_cut || strings_cut;
        Some(Bytes::from(text))
    };
    let found = envelope::Found::of(top.header(message));
    let mut out = writer();
    let addresses_cut = envelope::write_found(&found, detail.addresses_max, &mut out);
    let envelope = finish(out, addresses_cut)?;
    let mut render = |form| {
        let mut out = writer();
        let addresses_max = detail.addresses_max;
        let addresses_cut =
            structure::Renderer { message, tree: &tree, form, addresses_max }.write(0, &mut out);
        finish(out, addresses_cut)
    };
    let body = render(structure::Form::Body)?;
    let bodystructure = render(structure::Form::BodyStructure)?;
    let parts = structure::parts(&tree);
    let mut flags = octet_flags(message, header_len);
    if tree.dots_overflow {
        flags |= flag::DOTS_OVERFLOW;
    }
    if cut {
        flags |= flag::STRUCTURE_CUT;
    }

    let (fields, fields_end, overflow) = field_starts(&message[..header_len]);
    if overflow {
        flags |= flag::FIELDS_OVERFLOW;
    }
    let summary = Summary {
        header_len: header_len as u32,
        flags,
        filter: search::filter_of(message, &parts).into(),
        sort_keys: keys::sort_keys(&found),
        thread_keys: keys::thread_keys(&found),
        preview: preview(message, &tree),
        fields,
        fields_end,
        dot_lines: tree.dot_lines,
        envelope,
        body,
        bodystructure,
        parts,
    };
    (summary.encoded_len() <= SUMMARY_BYTES_MAX).then_some(summary)
}

/// Where each field begins, where the last one ends, and whether there are more than are recorded.
fn field_starts(header: &[u8]) -> (Vec<FieldStart>, u32, bool) {
    let mut starts = Vec::new();
    let mut end = 0;
    for field in header::fields(header) {
        if starts.len() == FIELDS_STORED_MAX {
            return (starts, end, true);
        }
        starts.push(FieldStart { name_hash: field_name_hash(field.name), start: field.offset as u32 });
        end = field.range().end as u32;
    }
    (starts, end, false)
}

/// The first text part that has words.
fn preview(message: &[u8], tree: &scan::Tree) -> String {
    let texts = tree.nodes.iter().filter(|node| node.kind == PartKind::Text);
    let previews = texts.map(|node| {
        let mut preview = keys::PreviewBuilder::new(node.is_html);
        let octets = &message[node.body_start..node.body_end];
        search::each_piece(octets, node.encoding, &node.charset, |text| {
            preview.push(text);
            preview.is_done()
        });
        preview.finish()
    });
    previews.take(MIME_PREVIEW_PARTS_MAX).find(|preview| !preview.is_empty()).unwrap_or_default()
}

fn octet_flags(message: &[u8], header_len: usize) -> u32 {
    let (header, body) = message.split_at(header_len);
    let mut flags = 0;
    if memchr::memchr(0, message).is_some() {
        flags |= flag::HAS_NUL;
    }
    if !header.is_ascii() {
        flags |= flag::HEADER_8BIT;
    }
    if !body.is_ascii() {
        flags |= flag::BODY_8BIT;
    }
    flags
}

/// The last resort: an opaque message with an empty envelope.
fn without_structure(message: &[u8]) -> Summary {
    let tree = scan::scan(message, 1);
    let header_len = tree.nodes[0].body_start;
    let size = message.len() - header_len;
    let body =
        |rest| Bytes::from(format!("(\"application\" \"octet-stream\" NIL NIL NIL \"binary\" {size}{rest})"));
    let mut flags = octet_flags(message, header_len) | flag::STRUCTURE_CUT | flag::FIELDS_OVERFLOW;
    if tree.dots_overflow {
        flags |= flag::DOTS_OVERFLOW;
    }
    Summary {
        header_len: header_len as u32,
        flags,
        envelope: Bytes::from_static(b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
        body: body(""),
        bodystructure: body(" NIL NIL NIL NIL"),
        parts: structure::parts(&tree),
        dot_lines: tree.dot_lines,
        ..Summary::default()
    }
}
