//! `HEADER.FIELDS` and `HEADER.FIELDS.NOT`: header fields by name (rfc3501#6.4.5), a window at a time.
//!
//! *Owns*: which names are asked for, and where the reading of a header stands, in which of its two passes.
//! *Promises*: looks at bounded windows that are in memory, however long the header or one field of it is; where the
//! summary knows where the fields are, at no octet of others; the size is known before the first octet. *Assumes*: a
//! window is given as it was wanted. *Never*: holds octets.
//!
//! ```text
//!  Measure ──window … all──► Send(size) ──window … all, empty line──► Done
//! ```

use std::ops::Range;

use ringpost_engine::layout::{SummaryView, field_name_hash};

use super::section::clip;
use crate::limits::{IMAP_COPY_BYTES_MAX, IMAP_FIELD_NAME_BYTES_MAX};
use crate::proto::imap::command::{Partial, Section, SectionText};
use crate::proto::mime::header;

/// The fields that a section names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Lower case, ascending: a long list costs little against a long header.
    folded: Vec<Vec<u8>>,
    /// Their hashes in the summary's index, ascending.
    hashes: Vec<u16>,
    /// Those named are meant, not the others.
    named: bool,
}

impl Names {
    /// Those of a section; none if it picks no fields.
    pub fn of(section: &Section) -> Option<Names> {
        let (names, named) = match &section.text {
            SectionText::HeaderFields(names) => (names, true),
            SectionText::HeaderFieldsNot(names) => (names, false),
            _ => return None,
        };
        let mut folded: Vec<Vec<u8>> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        folded.sort_unstable();
        let mut hashes: Vec<u16> = folded.iter().map(|name| field_name_hash(name)).collect();
        hashes.sort_unstable();
        Some(Names { folded, hashes, named })
    }

    /// Whether the field is meant that `octets` begin with.
    fn mean(&self, octets: &[u8]) -> bool {
        let start = &octets[..octets.len().min(IMAP_FIELD_NAME_BYTES_MAX)];
        let name = header::fields(start).next().map_or(&b""[..], |field| field.name);
        let order = |known: &[u8]| known.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase));
        self.folded.binary_search_by(|known| order(known)).is_ok() == self.named
    }

    /// Where the fields may be in the message's own header, by the summary's index. None if it does not tell.
    fn indexed(&self, summary: &SummaryView<'_>) -> Option<Vec<(u32, u32)>> {
        // A line without a colon has no name, and the index none for it.
        if !self.named || self.folded.first().is_none_or(Vec::is_empty) {
            return None;
        }
        let found = summary.fields()?.filter(|field| self.hashes.binary_search(&field.name_hash).is_ok());
        Some(found.map(|field| (field.start, field.end)).collect())
    }
}

/// See the module.
#[derive(Debug)]
pub struct Reading {
    /// What is read, ascending; each begins with a field.
    runs: Vec<(u32, u32)>,
    /// The one under way, and where.
    run: usize,
    at: u32,
    /// Whether the field under way is meant; none before the first of a run.
    meant: Option<bool>,
    /// It is inside a line.
    in_line: bool,
    partial: Option<Partial>,
    /// The second pass is under way; the first one only measures.
    sends: bool,
    /// Octets of the fields that are meant.
    size: u32,
    /// Such a field ends without a line end, for the message ends there.
    open_end: bool,
    /// Octets that are not sent since the client wants later ones.
    skip: u32,
    /// Octets that are still to be sent.
    owed: u32,
}

/// What follows a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// So many octets will be put; the windows begin again.
    Send(u32),
    /// Everything is put.
    Done,
}

impl Reading {
    /// The fields of the header at `start..end`, which is the message's own if it begins at 0.
    pub fn new(
        (start, end): (u32, u32),
        names: &Names,
        partial: Option<Partial>,
        summary: &SummaryView<'_>,
    ) -> Reading {
        let indexed = if start == 0 { names.indexed(summary) } else { None };
        let mut runs = indexed.unwrap_or_else(|| vec![(start, end)]);
        runs.retain(|run| run.0 < run.1 && run.1 <= end);
        let mut reading = Reading {
            runs,
            run: 0,
            at: 0,
            meant: None,
            in_line: false,
            partial,
            sends: false,
            size: 0,
            open_end: false,
            skip: 0,
            owed: 0,
        };
        reading.begin_run(0);
        reading
    }

    fn begin_run(&mut self, run: usize) {
        (self.run, self.meant, self.in_line) = (run, None, false);
        self.at = self.runs.get(run).map_or(0, |run| run.0);
    }

    /// Which octets of the message have to be in memory next; none when the pass is at its end.
    pub fn wants(&self) -> Option<Range<u32>> {
        let is_complete = self.sends && self.owed == 0;
        let first = self.runs.get(self.run).filter(|_| !is_complete)?;
        let limit = self.at.saturating_add(IMAP_COPY_BYTES_MAX);
        let fitting = self.runs[self.run..].iter().map(|run| run.1).take_while(|&end| end <= limit).last();
        Some(self.at..fitting.unwrap_or(first.1.min(limit)))
    }

    /// Reads the window that was wanted; `put` gets what is sent of it.
    pub fn window(&mut self, octets: &[u8], names: &Names, put: &mut impl FnMut(&[u8])) {
        let base = self.at;
        while let Some(&(_, run_end)) = self.runs.get(self.run) {
            let (from, to) = ((self.at - base) as usize, (run_end - base) as usize);
            let Some(run) = octets.get(from..to.min(octets.len())).filter(|run| !run.is_empty()) else {
                break;
            };
            let ends = to <= octets.len();
            let used = self.lines(run, ends, names, put);
            match used {
                Some(used) if !ends => {
                    self.at += used as u32;
                    break;
                }
                _ => self.begin_run(self.run + 1),
            }
        }
    }

    /// Reads the lines of a run as far as `octets` decide about them: how many; none at the header's empty line.
    fn lines(
        &mut self,
        octets: &[u8],
        ends: bool,
        names: &Names,
        put: &mut impl FnMut(&[u8]),
    ) -> Option<usize> {
        let mut at = 0;
        while at < octets.len() {
            let rest = &octets[at..];
            if !self.in_line {
                if !ends && rest.len() < IMAP_FIELD_NAME_BYTES_MAX {
                    // The name may go on in the next window, which begins here.
                    break;
                }
                let folded = self.meant.is_some() && matches!(rest[0], b' ' | b'\t');
                if !folded {
                    if rest.starts_with(b"\r\n") || rest[0] == b'\n' {
                        return None;
                    }
                    self.meant = Some(names.mean(rest));
                }
            }
            let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
            self.in_line = rest[len - 1] != b'\n';
            if self.meant == Some(true) {
                self.take(&rest[..len], put);
            }
            at += len;
        }
        Some(at)
    }

    fn take(&mut self, octets: &[u8], put: &mut impl FnMut(&[u8])) {
        if !self.sends {
            self.size += octets.len() as u32;
            self.open_end = octets.last() != Some(&b'\n');
            return;
        }
        let skipped = octets.len().min(self.skip as usize);
        let rest = &octets[skipped..];
        let rest = &rest[..rest.len().min(self.owed as usize)];
        self.skip -= skipped as u32;
        self.owed -= rest.len() as u32;
        if !rest.is_empty() {
            put(rest);
        }
    }

    /// The end of a pass.
    pub fn end_pass(&mut self, put: &mut impl FnMut(&[u8])) -> Pass {
        // rfc3501#6.4.5: the delimiting blank line is part of what is returned.
        let end: &[u8] = if self.open_end { b"\r\n\r\n" } else { b"\r\n" };
        if self.sends {
            self.take(end, put);
            return Pass::Done;
        }
        let (from, to) = clip(0, self.size + end.len() as u32, self.partial);
        (self.sends, self.skip, self.owed) = (true, from, to - from);
        self.begin_run(0);
        Pass::Send(to - from)
    }

    /// Octets that were announced and not put.
    pub fn owed(&self) -> u32 {
        self.owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::mime;
    use bytes::Bytes;

    fn section(names: &[&'static str], named: bool) -> Section {
        let names = names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect();
        let text = if named { SectionText::HeaderFields(names) } else { SectionText::HeaderFieldsNot(names) };
        Section { path: Vec::new(), text }
    }

    /// What is put, by the index if there is one, or by reading all; no window is longer than its bound.
    fn read(octets: &[u8], names: &Names, partial: Option<Partial>, by_index: bool) -> Vec<u8> {
        let summary = mime::summarise(octets).encode();
        let view = SummaryView::new(&summary).expect("just made");
        let mut reading = Reading::new((0, view.header_len()), names, partial, &view);
        if !by_index {
            reading.runs = vec![(0, view.header_len())];
            reading.runs.retain(|run| run.0 < run.1);
            reading.begin_run(0);
        }
        let (mut all, mut announced) = (Vec::new(), None);
        loop {
            while let Some(window) = reading.wants() {
                assert!(window.len() <= IMAP_COPY_BYTES_MAX as usize && !window.is_empty());
                let octets = &octets[window.start as usize..window.end as usize];
                reading.window(octets, names, &mut |piece| all.extend_from_slice(piece));
            }
            match reading.end_pass(&mut |piece| all.extend_from_slice(piece)) {
                Pass::Send(size) => announced = Some(size as usize),
                Pass::Done => break,
            }
        }
        assert_eq!(announced, Some(all.len()), "the announced size");
        assert_eq!(reading.owed(), 0);
        all
    }

    fn picked(octets: &[u8], asked: &[&'static str], named: bool) -> Vec<u8> {
        let names = Names::of(&section(asked, named)).expect("it picks fields");
        let scanned = read(octets, &names, None, false);
        assert_eq!(scanned, read(octets, &names, None, true), "the index tells the same");
        for start in [0, 1, 7, 100_000] {
            let partial = Some(Partial { start, count: 9 });
            let from = (start as usize).min(scanned.len());
            let expected = &scanned[from..(from + 9).min(scanned.len())];
            assert_eq!(read(octets, &names, partial, false), expected);
        }
        scanned
    }

    #[test]
    fn fields_are_picked_in_their_order_with_the_empty_line() {
        let octets = b"From: a\r\nTo: b\r\n c\r\nfrom: d\r\n\r\nTo: no\r\n";
        assert_eq!(picked(octets, &["FROM"], true), b"From: a\r\nfrom: d\r\n\r\n");
        assert_eq!(picked(octets, &["From"], false), b"To: b\r\n c\r\n\r\n");
        assert_eq!(picked(octets, &["Zz", "TO", "cc", "To"], true), b"To: b\r\n c\r\n\r\n");
        assert_eq!(picked(b"From: a\r\nTo: b", &["to"], true), b"To: b\r\n\r\n");
        assert_eq!(picked(octets, &["Cc", "Fro", "Fromm"], true), b"\r\n");
        assert_eq!(picked(b"\r\nFrom: a\r\n", &["from"], true), b"\r\n");
        assert_eq!(picked(b"no colon\r\nFrom : a\r\n\r\n", &[""], true), b"no colon\r\n\r\n");
        assert_eq!(picked(b"no colon\r\nFrom : a\r\n\r\n", &["from"], true), b"From : a\r\n\r\n");
    }

    #[test]
    fn a_header_longer_than_a_window_is_picked_like_a_short_one() {
        // The filler puts names and line ends at every place around the end of a window.
        let window = IMAP_COPY_BYTES_MAX as usize;
        for spare in 0..12 {
            let filler = format!("X-Fill: {}\r\n", "x".repeat(window - 10 - spare));
            let folded = format!("To: {}\r\n", "y\r\n ".repeat(window / 2));
            let header = format!("{filler}Subject: s\r\n{folded}Cc: c\r\n{filler}From: f\r\n");
            let octets = format!("{header}\r\nbody\r\n").into_bytes();
            assert_eq!(picked(&octets, &["subject", "from"], true), b"Subject: s\r\nFrom: f\r\n\r\n");
            assert_eq!(picked(&octets, &["to"], true), format!("{folded}\r\n").into_bytes());
            let rest = format!("Subject: s\r\n{folded}Cc: c\r\nFrom: f\r\n\r\n").into_bytes();
            assert_eq!(picked(&octets, &["x-fill"], false), rest);
            assert_eq!(picked(&octets, &["none"], false), format!("{header}\r\n").into_bytes());
        }
    }

    #[test]
    fn a_line_whose_colon_comes_late_has_no_name() {
        let name = "n".repeat(IMAP_FIELD_NAME_BYTES_MAX);
        let octets = format!("{name}: v\r\nA: b\r\n\r\n").into_bytes();
        assert_eq!(picked(&octets, &["a"], true), b"A: b\r\n\r\n");
        assert_eq!(picked(&octets, &["a"], false), format!("{name}: v\r\n\r\n").into_bytes());
    }
}
