//! `BODY[…]<…>`: which octets of a message a section means (rfc3501#6.4.5).
//!
//! *Owns*: sections as runs of the stored octets. *Promises*: no octet is looked at unless header fields
//! are picked. *Assumes*: offsets of the summary, checked against the message's size here. *Never*: copies
//! a body.

use ringpost_engine::layout::{Part, PartKind, SummaryView};

use super::plan::Octets;
use crate::proto::imap::command::{Partial, Section, SectionText};
use crate::proto::mime::header;

/// What a section means in one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Located {
    /// These octets, `start..end`.
    Run(u32, u32),
    /// Some fields of the header at `start..end`.
    Fields(u32, u32),
    /// The message has no such part: NIL.
    Missing,
}

/// Whether it picks header fields, so that octets have to be looked at.
pub fn picks_fields(section: &Section) -> bool {
    matches!(section.text, SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_))
}

/// Finds a section in a message of `size` octets.
pub fn locate(section: &Section, summary: &SummaryView<'_>, size: u32) -> Located {
    let found = match section.path.as_slice() {
        [] => locate_top(&section.text, summary.header_len(), size),
        path => summary.part(path).map_or(Located::Missing, |part| locate_part(&section.text, &part)),
    };
    let fits = |start: u32, end: u32| start <= end && end <= size;
    match found {
        Located::Run(start, end) | Located::Fields(start, end) if !fits(start, end) => Located::Missing,
        found => found,
    }
}

fn locate_top(text: &SectionText, header_len: u32, size: u32) -> Located {
    match text {
        SectionText::Whole => Located::Run(0, size),
        SectionText::Header | SectionText::Mime => Located::Run(0, header_len),
        SectionText::Text => Located::Run(header_len, size),
        SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => Located::Fields(0, header_len),
    }
}

fn locate_part(text: &SectionText, part: &Part) -> Located {
    // HEADER and TEXT of a part are those of the message that it encloses.
    match (text, part.kind) {
        (SectionText::Whole, _) => Located::Run(part.body_start, part.body_end),
        (SectionText::Mime, _) => Located::Run(part.header_start, part.body_start),
        (SectionText::Header, PartKind::Message) => Located::Run(part.body_start, part.nested_text_start),
        (SectionText::Text, PartKind::Message) => Located::Run(part.nested_text_start, part.body_end),
        (SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_), PartKind::Message) => {
            Located::Fields(part.body_start, part.nested_text_start)
        }
        _ => Located::Missing,
    }
}

/// The octets of `start..end` that a partial asks for (rfc3501#6.4.5: beyond the end there is nothing).
pub fn clip(start: u32, end: u32, partial: Option<Partial>) -> (u32, u32) {
    let Some(partial) = partial else { return (start, end) };
    let from = (u64::from(start) + partial.start.min(u64::from(u32::MAX))).min(u64::from(end));
    let to = from.saturating_add(partial.count).min(u64::from(end));
    (from as u32, to as u32)
}

/// The names of the fields that a section picks or leaves out: lower case, sorted.
pub fn field_names(section: &Section) -> Vec<Vec<u8>> {
    let (SectionText::HeaderFields(names) | SectionText::HeaderFieldsNot(names)) = &section.text else {
        return Vec::new();
    };
    let mut names: Vec<Vec<u8>> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    names
}

/// The header fields that an item names, found by the summary's index, so that no other octet is looked at; none
/// where the index does not hold all of them. `header` is the message from its start.
pub fn indexed_fields<'a>(
    summary: &SummaryView<'_>,
    header: &'a [u8],
    item: &Octets,
) -> Option<Vec<&'a [u8]>> {
    let found = summary.fields()?.filter_map(|field| {
        item.hashes.binary_search(&field.name_hash).ok()?;
        let raw = header.get(field.start as usize..field.end as usize)?;
        // Other names may have that hash.
        let name = header::fields(raw).next()?.name;
        is_named(&item.names, name).then_some(raw)
    });
    Some(found.collect())
}

/// Whether `name` is among `names`, which are those of [`field_names`].
fn is_named(names: &[Vec<u8>], name: &[u8]) -> bool {
    let order = |known: &[u8]| known.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase));
    names.binary_search_by(|known| order(known)).is_ok()
}

/// The fields that are named, or that are not, in the message's order, and the empty line. `names` are those
/// of [`field_names`]: a long list of them costs little against a long header.
pub fn pick_fields(octets: &[u8], names: &[Vec<u8>], named: bool) -> Vec<u8> {
    let mut picked = Vec::new();
    for field in header::fields(octets) {
        if is_named(names, field.name) == named {
            picked.extend_from_slice(field.raw);
        }
    }
    if picked.last().is_some_and(|&octet| octet != b'\n') {
        // The message ends within its header.
        picked.extend_from_slice(b"\r\n");
    }
    // rfc3501#6.4.5: the delimiting blank line is part of what is returned.
    picked.extend_from_slice(b"\r\n");
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn picked(octets: &[u8], names: &[&'static str], named: bool) -> Vec<u8> {
        let names = names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect();
        let section = Section { path: Vec::new(), text: SectionText::HeaderFields(names) };
        pick_fields(octets, &field_names(&section), named)
    }

    #[test]
    fn partials_stay_inside() {
        let partial = |start, count| Some(Partial { start, count });
        assert_eq!(clip(10, 30, None), (10, 30));
        assert_eq!(clip(10, 30, partial(0, 5)), (10, 15));
        assert_eq!(clip(10, 30, partial(15, 100)), (25, 30));
        assert_eq!(clip(10, 30, partial(20, 1)), (30, 30));
        assert_eq!(clip(10, 30, partial(u64::MAX, u64::MAX)), (30, 30));
    }

    #[test]
    fn fields_are_picked_in_their_order_with_the_empty_line() {
        let octets = b"From: a\r\nTo: b\r\n c\r\nfrom: d\r\n\r\n";
        assert_eq!(picked(octets, &["FROM"], true), b"From: a\r\nfrom: d\r\n\r\n");
        assert_eq!(picked(octets, &["From"], false), b"To: b\r\n c\r\n\r\n");
        assert_eq!(picked(octets, &["Zz", "TO", "cc", "To"], true), b"To: b\r\n c\r\n\r\n");
        assert_eq!(picked(b"From: a\r\nTo: b", &["to"], true), b"To: b\r\n\r\n");
        assert_eq!(picked(octets, &["Cc", "Fro", "Fromm"], true), b"\r\n");
    }

    #[test]
    fn top_level_sections_need_the_header_length_only() {
        assert_eq!(locate_top(&SectionText::Whole, 20, 100), Located::Run(0, 100));
        assert_eq!(locate_top(&SectionText::Header, 20, 100), Located::Run(0, 20));
        assert_eq!(locate_top(&SectionText::Text, 20, 100), Located::Run(20, 100));
    }
}
