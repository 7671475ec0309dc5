//! `BODY[…]<…>`: which octets of a message a section means (rfc3501#6.4.5).
//!
//! *Owns*: sections as runs of the stored octets. *Promises*: no octet is looked at. *Assumes*: offsets of
//! the summary, checked against the message's size here. *Never*: copies
//! a body.

use ringpost_engine::layout::{Part, PartKind, SummaryView};

use crate::proto::imap::command::{Partial, Section, SectionText};

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

#[cfg(test)]
mod tests {
    use super::*;
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
    fn top_level_sections_need_the_header_length_only() {
        assert_eq!(locate_top(&SectionText::Whole, 20, 100), Located::Run(0, 100));
        assert_eq!(locate_top(&SectionText::Header, 20, 100), Located::Run(0, 20));
        assert_eq!(locate_top(&SectionText::Text, 20, 100), Located::Run(20, 100));
    }
}
