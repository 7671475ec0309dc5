//! Header fields: where each begins and ends.
//!
//! *Owns*: splitting a header into fields, finding them by name, unfolding their values (rfc5322#2.2).
//! *Promises*: every octet up to the empty line belongs to exactly one field, so concatenating [`Field::raw`]
//! gives the header back; one pass. *Assumes*: nothing; lines may end by LF alone.
//! *Never*: looks into a value.

use std::borrow::Cow;
use std::ops::Range;

/// One header field with its folded lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written; empty when the line has no colon.
    pub name: &'a [u8],
    /// What follows the colon, folded as it stands, without the last line end.
    pub value: &'a [u8],
    /// The whole field with all its line ends.
    pub raw: &'a [u8],
    /// Where `raw` begins, in octets from the start of the header.
    pub offset: usize,
}

impl Field<'_> {
    /// Where `raw` lies in the header.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.raw.len()
    }

    /// Whether this is the field called `name`, upper and lower case being one.
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Iterates over the fields of `header`; stops at the empty line or the end.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { header, at: 0 }
}

/// The first field called `name`.
pub fn find<'a>(header: &'a [u8], name: &[u8]) -> Option<Field<'a>> {
    fields(header).find(|field| field.is(name))
}

/// The unfolded and trimmed value of the first field called `name`.
pub fn value<'a>(header: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    find(header, name).map(|field| unfold(field.value))
}

/// See [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let offset = self.at;
        let first_end = line_end(self.header, offset)?;
        if is_empty_line(&self.header[offset..first_end]) {
            self.at = self.header.len();
            return None;
        }
        let end = field_end(self.header, first_end);
        self.at = end;
        let raw = &self.header[offset..end];
        let content = without_line_end(raw);
        let (name, value) = match memchr::memchr(b':', &content[..content.len().min(first_end - offset)]) {
            Some(colon) => (trim(&content[..colon]), &content[colon + 1..]),
            None => (&content[..0], content),
        };
        Some(Field { name, value, raw, offset })
    }
}

/// Where a field ends whose first lines end at `end`.
pub(super) fn field_end(header: &[u8], mut end: usize) -> usize {
    while let Some(b' ' | b'\t') = header.get(end) {
        // A line of nothing but white space continues the field as well (rfc5322#4.2, obs-FWS).
        match line_end(header, end) {
            Some(next) => end = next,
            None => break,
        }
    }
    end
}

/// Where the line that begins at `at` ends, its LF included; none at the end of `bytes`.
pub(super) fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    Some(memchr::memchr(b'\n', rest).map_or(bytes.len(), |lf| at + lf + 1))
}

/// Whether a line, given with its line end, holds nothing.
pub(super) fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

/// A line or field without the line end it ends with.
pub(super) fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Without the spaces and tabs around it.
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = value.iter().position(is_text).unwrap_or(value.len());
    let end = value.iter().rposition(is_text).map_or(start, |last| last + 1);
    &value[start..end]
}

/// A value without its folds (rfc5322#2.2.3: only the line ends go, the white space stays), trimmed. A CR or
/// LF that folds nothing becomes a space; a NUL becomes `?` (rfc3501#9: NUL must not be used at any time).
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = trim(value);
    if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    unfold_into(value, &mut out);
    Cow::Owned(out)
}

/// [`unfold`] without trimming: appends to `out`.
pub(super) fn unfold_into(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = memchr::memchr3(b'\r', b'\n', 0, rest) {
        out.extend_from_slice(&rest[..at]);
        if rest[at] == 0 {
            out.push(b'?');
            rest = &rest[at + 1..];
            continue;
        }
        let run = rest[at..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        rest = &rest[at + run..];
        if !matches!(rest.first(), Some(b' ' | b'\t')) {
            out.push(b' ');
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] =
        b"Subject: one\r\n\ttwo\r\nFROM : a@b\r\nno colon here\r\nsubject:\r\n\r\nBody: no\r\n";

    #[test]
    fn fields_cover_the_header_up_to_the_empty_line() {
        let raws: Vec<&[u8]> = fields(HEADER).map(|field| field.raw).collect();
        assert_eq!(raws.len(), 4);
        assert_eq!(raws.concat(), &HEADER[..HEADER.len() - 12]);
        for field in fields(HEADER) {
            assert_eq!(&HEADER[field.range()], field.raw);
        }
        assert_eq!(fields(b"").count(), 0);
        assert_eq!(fields(b"\r\n").count(), 0);
    }

    #[test]
    fn names_are_found_whatever_their_case_and_the_white_space_after_them() {
        assert_eq!(value(HEADER, b"SUBJECT").unwrap().as_ref(), b"one\ttwo");
        assert_eq!(value(HEADER, b"from").unwrap().as_ref(), b"a@b");
        assert_eq!(find(HEADER, b"body"), None);
        assert_eq!(fields(HEADER).filter(|field| field.is(b"Subject")).count(), 2);
    }

    #[test]
    fn a_colon_in_a_folded_line_is_no_name() {
        let field = fields(b"x\r\n y: z\r\n").next().unwrap();
        assert_eq!((field.name, field.value), (&b""[..], &b"x\r\n y: z"[..]));
    }

    #[test]
    fn unfolding_keeps_white_space_and_replaces_what_imap_cannot_carry() {
        assert_eq!(unfold(b" a\r\n b\n\tc ").as_ref(), b"a b\tc");
        assert_eq!(unfold(b"a\rb\0c").as_ref(), b"a b?c");
        assert!(matches!(unfold(b" plain "), Cow::Borrowed(b"plain")));
    }

    #[test]
    fn a_header_without_a_last_line_end_is_read_whole() {
        let field = fields(b"A: b").next().unwrap();
        assert_eq!((field.name, field.value, field.raw), (&b"A"[..], &b" b"[..], &b"A: b"[..]));
    }
}
