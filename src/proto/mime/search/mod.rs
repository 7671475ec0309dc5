//! Searching in what people read: decoded text, not octets.
//!
//! *Owns*: substring search over decoded headers and text parts (rfc3501#6.4.4 BODY, TEXT, HEADER).
//! *Promises*: linear time; a call looks at no more than `SEARCH_WINDOW_BYTES`, whatever the message; the same answer
//! for any windows. *Assumes*: a needle from [`super::fold`]; a summary of the same message (wrong offsets find
//! nothing). *Never*: looks into parts that are no text.
//!
//! ```text
//!  filter says no ─► done          ┌──────────────── step(octets) ◄───────────────┐
//!  TextSearch::new ─► wants: range ─► header or body ─► pieces ─► found, or next ─┴─► nothing wanted: not found
//! ```

use std::ops::Range;

use memchr::memmem::Finder;
use ringpost_engine::layout::{
    Filter, Needle, Part, PartKind, SummaryView, TransferEncoding, field_name_hash,
};

use crate::limits::{SEARCH_PIECE_BYTES, SEARCH_WINDOW_BYTES};

pub(super) mod texts;

use texts::{BodyReader, HeaderReader, TextSink};

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Text parts, and the headers of enclosed messages.
    Body,
    /// The message's header and those of its parts as well.
    Text,
}

/// A search string, made ready once for all messages.
#[derive(Clone, Debug)]
pub struct TextNeedle {
    finder: Finder<'static>,
    grams: Needle,
}

impl TextNeedle {
    /// Of a string from [`super::fold`].
    pub fn new(folded: &str) -> TextNeedle {
        TextNeedle { finder: Finder::new(folded).into_owned(), grams: Needle::new(folded) }
    }

    /// Whether a message with this summary may hold the string anywhere: in its text, in any field. False is
    /// certain; true wants a [`TextSearch`].
    pub fn might_be_in(&self, summary: &SummaryView<'_>) -> bool {
        summary.filter().might_contain(&self.grams)
    }

    /// Leaves in `kept` the places of the filters of those messages that may hold the string, as
    /// [`TextNeedle::might_be_in`] says of each.
    pub fn sift(&self, filters: &[Filter<'_>], kept: &mut Vec<u32>) {
        self.grams.sift(filters, kept);
    }

    /// The folded string.
    pub fn folded(&self) -> &[u8] {
        self.finder.needle()
    }
}

/// One message's search, a bounded window of its octets at a time.
pub struct TextSearch {
    jobs: std::vec::IntoIter<Job>,
    open: Option<(Job, Reader)>,
    finding: Finding,
}

/// A run of octets to read.
#[derive(Clone, Debug)]
struct Job {
    at: usize,
    end: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Header,
    /// The values of one field.
    Field(Vec<u8>),
    Body(TransferEncoding, String),
}

enum Reader {
    Header(HeaderReader),
    Body(Box<BodyReader>),
}

impl TextSearch {
    /// Looks for text (rfc3501#6.4.4 BODY and TEXT) in the message that `summary` belongs to.
    pub fn new(summary: &SummaryView<'_>, scope: Scope) -> TextSearch {
        let mut jobs = Vec::new();
        // The header of an enclosed message is that of its part as well, unless it is multipart: read it once.
        let mut headers_end = 0;
        let mut header = |at: u32, end: u32| {
            if at >= headers_end {
                headers_end = end;
                jobs.push(Job { at: at as usize, end: end as usize, what: What::Header });
            }
        };
        let parts = summary.parts();
        for part in &parts {
            if scope == Scope::Text {
                header(part.header_start, part.body_start);
            }
            if part.kind == PartKind::Message {
                header(part.body_start, part.nested_text_start);
            }
        }
        jobs.extend(parts.iter().filter(|part| part.kind == PartKind::Text).map(body_job));
        jobs.sort_by_key(|job| job.at);
        TextSearch::of(jobs)
    }

    /// Looks into the values of the message's own fields called `name` (rfc3501#6.4.4 HEADER). The empty string is
    /// found where there is such a field. Only those fields are read, unless not all fields are recorded.
    pub fn in_field(summary: &SummaryView<'_>, name: &str) -> TextSearch {
        let job = |start: u32, end: u32| Job {
            at: start as usize,
            end: end as usize,
            what: What::Field(name.as_bytes().to_vec()),
        };
        let Some(fields) = summary.fields() else {
            return TextSearch::of(vec![job(0, summary.header_len())]);
        };
        let hash = field_name_hash(name.as_bytes());
        // Damaged ranges are no jobs: they would not ascend.
        let mut fields_end = 0;
        let named =
            fields.filter(|field| field.name_hash == hash && field.start < field.end).filter(|field| {
                let follows = field.start >= fields_end;
                fields_end = fields_end.max(field.end);
                follows
            });
        TextSearch::of(named.map(|field| job(field.start, field.end)).collect())
    }

    fn of(jobs: Vec<Job>) -> TextSearch {
        let mut search = TextSearch { jobs: jobs.into_iter(), open: None, finding: Finding::default() };
        search.open_next();
        search
    }

    /// Which octets of the message the next step looks at, in octets from its start; none when the answer is known.
    pub fn wants(&self) -> Option<Range<u32>> {
        let (job, _) = self.open.as_ref().filter(|_| !self.finding.found)?;
        // Jobs ascend, so that one window serves many small parts.
        let last_end = self.jobs.as_slice().last().map_or(job.end, |last| last.end.max(job.end));
        Some(job.at as u32..last_end.min(job.at + SEARCH_WINDOW_BYTES) as u32)
    }

    /// Looks at the octets that were wanted; a message that ends before them has fewer. The needle is the same in
    /// every step.
    pub fn step(&mut self, octets: &[u8], needle: &TextNeedle) {
        let Some(window) = self.wants() else { return };
        let base = window.start as usize;
        let is_short = octets.len() < window.len();
        let mut sink = Looking { finding: &mut self.finding, needle };
        while let Some((job, reader)) = &mut self.open {
            if job.at < base {
                return;
            }
            let rest = octets.get(job.at - base..).unwrap_or_default();
            let (left, rest) = (job.end - job.at, &rest[..rest.len().min(job.end - job.at)]);
            let taken = match reader {
                // A window that is not the last has room for a field, or the next one will.
                Reader::Header(_) if rest.len() < left.min(HeaderReader::WINDOW_BYTES) && !is_short => return,
                Reader::Header(reader) if !rest.is_empty() => reader.step(rest, &mut sink),
                Reader::Body(reader) if !rest.is_empty() => {
                    reader.step(&rest[..rest.len().min(SEARCH_PIECE_BYTES)], &mut sink)
                }
                _ if left > 0 && !is_short => return,
                _ => 0,
            };
            job.at += taken;
            if job.at == job.end || taken == 0 {
                if let Some((_, Reader::Body(reader))) = self.open.take() {
                    reader.finish(&mut sink);
                }
                self.open = self.jobs.next().map(Job::open);
            }
            if sink.finding.found {
                self.open = None;
            }
        }
    }

    /// Whether the needle is there; none while octets are wanted.
    pub fn answer(&self) -> Option<bool> {
        self.wants().is_none().then_some(self.finding.found)
    }

    fn open_next(&mut self) {
        self.open = self.jobs.next().map(Job::open);
    }
}

fn body_job(part: &Part) -> Job {
    Job {
        at: part.body_start as usize,
        end: part.body_end as usize,
        what: What::Body(part.encoding, part.charset.clone()),
    }
}

impl Job {
    fn open(self) -> (Job, Reader) {
        let reader = match &self.what {
            What::Header => Reader::Header(HeaderReader::default()),
            What::Field(name) => Reader::Header(HeaderReader::only(name)),
            What::Body(encoding, charset) => Reader::Body(Box::new(BodyReader::new(*encoding, charset))),
        };
        (self, reader)
    }
}

/// What was found, and the end of the text so far: what lies across a cut begins in it.
#[derive(Debug, Default)]
struct Finding {
    tail: Vec<u8>,
    found: bool,
}

struct Looking<'a> {
    finding: &'a mut Finding,
    needle: &'a TextNeedle,
}

impl TextSink for Looking<'_> {
    fn folded(&mut self, text: &str) {
        let Finding { tail, found } = &mut *self.finding;
        if *found {
            return;
        }
        let finder = &self.needle.finder;
        let text = text.as_bytes();
        let overlap = finder.needle().len().saturating_sub(1);
        if !tail.is_empty() {
            let tail_len = tail.len();
            tail.extend_from_slice(&text[..text.len().min(overlap)]);
            *found = finder.find(tail).is_some();
            tail.truncate(tail_len);
        }
        *found = *found || finder.find(text).is_some();
        if text.len() >= overlap {
            tail.clear();
            tail.extend_from_slice(&text[text.len() - overlap..]);
        } else {
            tail.extend_from_slice(text);
            tail.drain(..tail.len().saturating_sub(overlap));
        }
    }

    fn end(&mut self) {
        self.finding.tail.clear();
    }
}

/// Whether the folded needle occurs in the decoded text of a message that is in memory.
pub fn contains_text(message: &[u8], summary: &SummaryView<'_>, needle_folded: &str, scope: Scope) -> bool {
    needle_folded.is_empty() || run(TextSearch::new(summary, scope), message, needle_folded)
}

/// Whether a field of this name holds the folded needle in its decoded value. An empty needle asks only
/// whether the field is there (rfc3501#6.4.4 HEADER).
pub fn header_contains(message_header: &[u8], field: &str, needle_folded: &str) -> bool {
    let what = What::Field(field.as_bytes().to_vec());
    run(TextSearch::of(vec![Job { at: 0, end: message_header.len(), what }]), message_header, needle_folded)
}

fn run(mut search: TextSearch, message: &[u8], needle_folded: &str) -> bool {
    let needle = TextNeedle::new(needle_folded);
    while let Some(window) = search.wants() {
        let end = message.len().min(window.end as usize);
        search.step(message.get(window.start as usize..end).unwrap_or_default(), &needle);
    }
    search.finding.found
}

#[cfg(test)]
mod tests {
    use super::super::{fold, summarise};
    use super::*;
    use crate::limits::MIME_DECODE_BYTES;

    fn contains(message: &[u8], needle: &str, scope: Scope) -> bool {
        let encoded = summarise(message).encode();
        contains_text(message, &SummaryView::new(&encoded).unwrap(), &fold(needle), scope)
    }

    const MIXED: &[u8] = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        preamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n\
        U3RyYcOfZSBuYWNoIFdpZW4=\r\n--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\nCaf=E9 au=\r\n lait\r\n--b\r\n\
        Content-Type: application/pdf; name*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n\r\nsecret\r\n--b\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: inner words\r\n\r\ninner text\r\n--b--\r\n";

    #[test]
    fn bodies_are_searched_decoded_and_folded() {
        for needle in ["stra\u{df}e NACH", "caf\u{c9} au lait", "inner text", "inner words"] {
            assert!(contains(MIXED, needle, Scope::Body), "{needle}");
        }
        for needle in ["secret", "preamble", "gr\u{fc}\u{df}e", "U3RyYc", "pdf", "no such"] {
            assert!(!contains(MIXED, needle, Scope::Body), "{needle}");
        }
    }

    #[test]
    fn text_is_body_and_headers() {
        for needle in [
            "GR\u{dc}\u{df}E",
            "subject: gr",
            "r\u{e9}sum\u{e9}.pdf",
            "inner words",
            "stra\u{df}e",
            "boundary=b",
        ] {
            assert!(contains(MIXED, needle, Scope::Text), "{needle}");
        }
        assert!(!contains(MIXED, "secret", Scope::Text));
        assert!(contains(MIXED, "", Scope::Text));
    }

    #[test]
    fn the_header_of_an_enclosed_multipart_is_searched() {
        let message =
            b"Content-Type: message/rfc822\r\n\r\nSubject: deep\r\nContent-Type: multipart/mixed; boundary=x\
            \r\n\r\n--x\r\n\r\nleaf\r\n--x--\r\n";
        for scope in [Scope::Body, Scope::Text] {
            assert!(contains(message, "deep", scope));
            assert!(contains(message, "leaf", scope));
        }
    }

    #[test]
    fn what_lies_across_pieces_is_found() {
        for shift in 0..12 {
            let mut message = b"Subject: x\r\n\r\n".to_vec();
            message.extend(vec![b'.'; MIME_DECODE_BYTES - shift]);
            message.extend_from_slice("n\u{e4}edle".as_bytes());
            message.extend(vec![b'.'; 100]);
            assert!(contains(&message, "N\u{c4}EDLE", Scope::Body), "{shift}");
            assert!(!contains(&message, "n\u{e4}edlf", Scope::Body));
        }
    }

    #[test]
    fn a_field_is_found_by_its_place_as_by_reading_the_header() {
        let long = format!("X-Long: {}\r\n", "word ".repeat(60_000));
        let many = "X-Many: a\r\n".repeat(ringpost_engine::limits::FIELDS_STORED_MAX);
        let headers = [
            "Subject: one\r\nX: two\r\nsubject : =?utf-8?q?thr=C3=A9e?=\r\n",
            " Subject: one\r\nno colon\r\nSubject\r\n: two\r\nSUBJECT:\r\n folded\r\n\ttwice\r\n",
            "From x\r\nSubject: one\nX: bare\nSubject: two\n",
            &format!("{long}Subject: two\r\n{long}Subject:{}needle\r\n", " filler".repeat(20_000)),
            &format!("{many}Subject: two\r\nX-Many: late\r\n"),
            "Subject: two",
            "",
        ];
        for header in headers {
            let message = format!("{header}\r\nSubject: body\r\n");
            let encoded = summarise(message.as_bytes()).encode();
            let summary = SummaryView::new(&encoded).unwrap();
            let whole = &message.as_bytes()[..summary.header_len() as usize];
            for field in ["Subject", "X", "X-Many", "X-Long", "From"] {
                for needle in [
                    "",
                    "one",
                    "two",
                    "thr\u{e9}e",
                    "folded twice",
                    "needle",
                    "late",
                    "body",
                    "filler",
                    "word w",
                ] {
                    let needle = fold(needle);
                    let found = run(TextSearch::in_field(&summary, field), message.as_bytes(), &needle);
                    let start = &header[..header.len().min(60)];
                    assert_eq!(found, header_contains(whole, field, &needle), "{start:?} {field} {needle}");
                }
            }
        }
    }

    #[test]
    fn huge_headers_and_bodies_are_read_in_bounded_windows() {
        let long = "filler words ".repeat(100_000);
        let lines = "X-Line: value\r\n".repeat(100_000);
        for message in [
            format!("Subject: {long}needle at its end\r\n\r\nbody\r\n"),
            format!("{lines}Subject: needle at its end\r\n\r\nbody\r\n"),
            format!("Subject: x\r\n\r\n{long}needle at\r\n its end"),
            format!("Subject: {long}\r\n {long}needle at its\r\n\tend"),
        ] {
            let encoded = summarise(message.as_bytes()).encode();
            let view = SummaryView::new(&encoded).unwrap();
            for (text, there) in [("needle at", true), ("its end.", false), ("needle  at", false)] {
                let needle = TextNeedle::new(&fold(text));
                let mut search = TextSearch::new(&view, Scope::Text);
                let mut steps = 0;
                while let Some(window) = search.wants() {
                    assert!(window.len() <= SEARCH_WINDOW_BYTES);
                    search.step(&message.as_bytes()[window.start as usize..window.end as usize], &needle);
                    steps += 1;
                }
                assert_eq!(search.answer(), Some(there), "{text}");
                assert!(steps <= 2 + 2 * message.len() / SEARCH_WINDOW_BYTES, "{steps} steps");
                assert!(!there || needle.might_be_in(&view));
            }
        }
    }

    #[test]
    fn fields_are_searched_by_name() {
        let header = b"To: =?utf-8?q?J=C3=BCrgen?= <j@x>\r\nTO: Second\r\nX-Empty:\r\n\r\nFrom: body\r\n";
        assert!(header_contains(header, "to", &fold("J\u{dc}RGEN")));
        assert!(header_contains(header, "to", &fold("second")));
        assert!(header_contains(header, "x-empty", ""));
        assert!(!header_contains(header, "x-empty", "A"));
        assert!(!header_contains(header, "from", ""));
    }

    #[test]
    fn damaged_offsets_find_nothing() {
        let encoded = summarise(MIXED).encode();
        let view = SummaryView::new(&encoded).unwrap();
        assert!(!contains_text(b"short", &view, "NACH", Scope::Text));
    }
}
