//! What is known about a message's bytes since it arrived: structure, offsets, ready-made answers.
//!
//! *Owns*: the encoded summary that stands before each body in the log, and how it is read.
//! *Promises*: reading checks every length and never panics, whatever the bytes.
//! *Assumes*: `proto::mime` made it from exactly these octets; offsets are hints, whoever slices a message by
//! them still asks with `get`. *Never*: parses a message itself.
//!
//! ```text
//! Fixed (36 octets) │ dot lines (4 each) │ envelope │ body │ bodystructure │ parts
//! part = PartFixed (28 octets) │ path numbers that differ from the part before (4 each) │ charset
//! ```

use bytes::Bytes;
use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Ref, Unaligned};

use crate::limits::{DOT_LINES_STORED_MAX, PART_DEPTH_STORED_MAX, PARTS_STORED_MAX, SUMMARY_BYTES_MAX};

/// How a part's octets are encoded (rfc2045#6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TransferEncoding {
    /// 7bit, 8bit and binary: as it stands.
    Identity = 0,
    /// quoted-printable
    QuotedPrintable = 1,
    /// base64
    Base64 = 2,
    /// Something else; never decoded.
    Unknown = 3,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PartKind {
    /// text/*, and the leaves of message/* that are text to read (message/delivery-status and the like).
    Text = 0,
    /// Any other leaf.
    Other = 1,
    /// multipart/*
    Multipart = 2,
    /// message/rfc822 or message/global: its body is a message with a header and parts of its own.
    Message = 3,
}

/// One MIME part. Offsets are in octets from the start of the stored message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// IMAP part number (rfc3501#6.4.5); empty for the message's own top level.
    pub path: Vec<u32>,
    /// What it is.
    pub kind: PartKind,
    /// Its Content-Transfer-Encoding.
    pub encoding: TransferEncoding,
    /// Charset of a text part as named, lower case; empty when not named.
    pub charset: String,
    /// Where its MIME header begins; for the top level the message's header.
    pub header_start: u32,
    /// Where the header ends, empty line included; the body begins here.
    pub body_start: u32,
    /// Where the body ends (the line end before a boundary is not part of it).
    pub body_end: u32,
    /// Lines in the body.
    pub lines: u32,
    /// For [`PartKind::Message`]: where the enclosed message's own header ends (its text begins); else
    /// `body_start`.
    pub nested_text_start: u32,
}

/// Everything that is stored about a message beside its octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Octets of the header, the empty line included.
    pub header_len: u32,
    /// Whether the message holds NUL octets or 8-bit octets in its header or body, as `layout::flag` bits.
    pub flags: u32,
    /// Offsets of lines that begin with a dot, ascending; complete unless `flag::DOTS_OVERFLOW`.
    pub dot_lines: Vec<u32>,
    /// ENVELOPE in wire form, `(…)`, strings as quoted strings or synchronising literals.
    pub envelope: Bytes,
    /// BODY in wire form.
    pub body: Bytes,
    /// BODYSTRUCTURE in wire form.
    pub bodystructure: Bytes,
    /// All parts, depth first; the first is the top level.
    pub parts: Vec<Part>,
}

/// Bits of [`Summary::flags`].
pub mod flag {
    /// A NUL octet is somewhere in the message.
    pub const HAS_NUL: u32 = 1;
    /// The header has octets above 127.
    pub const HEADER_8BIT: u32 = 1 << 1;
    /// The body has octets above 127.
    pub const BODY_8BIT: u32 = 1 << 2;
    /// More dot lines than are recorded; whoever needs them scans.
    pub const DOTS_OVERFLOW: u32 = 1 << 3;
    /// Structure was cut at a named bound.
    pub const STRUCTURE_CUT: u32 = 1 << 4;
}

/// The only version of the stored form so far.
const VERSION: u32 = 1;

/// What every encoded summary begins with. Little-endian; the sections follow in this order, without gaps.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Fixed {
    version: U32,
    header_len: U32,
    flags: U32,
    dots: U32,
    envelope_len: U32,
    body_len: U32,
    bodystructure_len: U32,
    parts: U32,
    parts_len: U32,
}

/// What every encoded part begins with.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct PartFixed {
    kind: u8,
    encoding: u8,
    /// Leading path numbers shared with the part before.
    path_shared: u8,
    /// Path numbers that follow.
    path_extra: u8,
    charset_len: u8,
    reserved: [u8; 3],
    header_start: U32,
    body_start: U32,
    body_end: U32,
    lines: U32,
    nested_text_start: U32,
}

impl Summary {
    /// The form that is stored. The maker keeps within the bounds; what exceeds them is left out here as
    /// well, so that what is written can always be read: dot lines beyond `DOT_LINES_STORED_MAX` set the
    /// overflow flag, parts beyond `PARTS_STORED_MAX` or deeper than `PART_DEPTH_STORED_MAX` set
    /// `flag::STRUCTURE_CUT`.
    pub fn encode(&self) -> Bytes {
        let mut flags = self.flags;
        let dots = &self.dot_lines[..self.dot_lines.len().min(DOT_LINES_STORED_MAX)];
        if dots.len() < self.dot_lines.len() {
            flags |= flag::DOTS_OVERFLOW;
        }
        let mut parts = Vec::with_capacity(self.parts.len().min(PARTS_STORED_MAX) * 32);
        let mut count = 0u32;
        let mut path_before: &[u32] = &[];
        for part in &self.parts {
            if count as usize == PARTS_STORED_MAX || part.path.len() > PART_DEPTH_STORED_MAX {
                flags |= flag::STRUCTURE_CUT;
                continue;
            }
            encode_part(part, path_before, &mut parts);
            path_before = &part.path;
            count += 1;
        }
        let fixed = Fixed {
            version: U32::new(VERSION),
            header_len: U32::new(self.header_len),
            flags: U32::new(flags),
            dots: U32::new(dots.len() as u32),
            envelope_len: U32::new(self.envelope.len() as u32),
            body_len: U32::new(self.body.len() as u32),
            bodystructure_len: U32::new(self.bodystructure.len() as u32),
            parts: U32::new(count),
            parts_len: U32::new(parts.len() as u32),
        };
        let texts = self.envelope.len() + self.body.len() + self.bodystructure.len();
        let mut out = Vec::with_capacity(size_of::<Fixed>() + 4 * dots.len() + texts + parts.len());
        out.extend_from_slice(fixed.as_bytes());
        for dot in dots {
            out.extend_from_slice(&dot.to_le_bytes());
        }
        out.extend_from_slice(&self.envelope);
        out.extend_from_slice(&self.body);
        out.extend_from_slice(&self.bodystructure);
        out.extend_from_slice(&parts);
        Bytes::from(out)
    }

    /// How many octets [`Summary::encode`] will give, for a summary within the bounds.
    pub fn encoded_len(&self) -> usize {
        let mut path_before: &[u32] = &[];
        let mut len = size_of::<Fixed>() + 4 * self.dot_lines.len();
        len += self.envelope.len() + self.body.len() + self.bodystructure.len();
        for part in &self.parts {
            let shared = shared_path(&part.path, path_before);
            len += size_of::<PartFixed>() + 4 * (part.path.len() - shared) + part.charset.len();
            path_before = &part.path;
        }
        len
    }

    /// Reads the stored form; none when it is damaged.
    pub fn decode(encoded: &Bytes) -> Option<Summary> {
        let view = SummaryView::new(encoded)?;
        let parts = view.parts();
        if parts.len() != view.parts_count {
            return None;
        }
        Some(Summary {
            header_len: view.header_len(),
            flags: view.flags(),
            dot_lines: view.dot_lines().collect(),
            envelope: encoded.slice_ref(view.envelope),
            body: encoded.slice_ref(view.body),
            bodystructure: encoded.slice_ref(view.bodystructure),
            parts,
        })
    }
}

/// Leading numbers that two paths share.
fn shared_path(path: &[u32], path_before: &[u32]) -> usize {
    path.iter().zip(path_before).take_while(|(now, before)| now == before).count()
}

fn encode_part(part: &Part, path_before: &[u32], out: &mut Vec<u8>) {
    let shared = shared_path(&part.path, path_before);
    let charset_len = part.charset.len().min(usize::from(u8::MAX));
    let charset = part.charset.get(..charset_len).unwrap_or("");
    let fixed = PartFixed {
        kind: part.kind as u8,
        encoding: part.encoding as u8,
        path_shared: shared as u8,
        path_extra: (part.path.len() - shared) as u8,
        charset_len: charset.len() as u8,
        reserved: [0; 3],
        header_start: U32::new(part.header_start),
        body_start: U32::new(part.body_start),
        body_end: U32::new(part.body_end),
        lines: U32::new(part.lines),
        nested_text_start: U32::new(part.nested_text_start),
    };
    out.extend_from_slice(fixed.as_bytes());
    for number in &part.path[shared..] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(charset.as_bytes());
}

/// Reads single items of an encoded summary without decoding the rest.
#[derive(Clone, Copy)]
pub struct SummaryView<'a> {
    header_len: u32,
    flags: u32,
    dots: &'a [U32],
    envelope: &'a [u8],
    body: &'a [u8],
    bodystructure: &'a [u8],
    parts: &'a [u8],
    parts_count: usize,
}

impl<'a> SummaryView<'a> {
    /// Checks version, bounds and that the sections fill the octets exactly; none when it is damaged.
    pub fn new(encoded: &'a [u8]) -> Option<SummaryView<'a>> {
        if encoded.len() > SUMMARY_BYTES_MAX {
            return None;
        }
        let (fixed, rest) = Ref::<_, Fixed>::from_prefix(encoded).ok()?;
        let dots_count = fixed.dots.get() as usize;
        let parts_count = fixed.parts.get() as usize;
        if fixed.version.get() != VERSION
            || dots_count > DOT_LINES_STORED_MAX
            || parts_count > PARTS_STORED_MAX
        {
            return None;
        }
        let (dots, rest) = Ref::<_, [U32]>::from_prefix_with_elems(rest, dots_count).ok()?;
        let (envelope, rest) = rest.split_at_checked(fixed.envelope_len.get() as usize)?;
        let (body, rest) = rest.split_at_checked(fixed.body_len.get() as usize)?;
        let (bodystructure, parts) = rest.split_at_checked(fixed.bodystructure_len.get() as usize)?;
        if parts.len() != fixed.parts_len.get() as usize {
            return None;
        }
        Some(SummaryView {
            header_len: fixed.header_len.get(),
            flags: fixed.flags.get(),
            dots: Ref::into_ref(dots),
            envelope,
            body,
            bodystructure,
            parts,
            parts_count,
        })
    }
    /// See [`Summary::header_len`].
    pub fn header_len(&self) -> u32 {
        self.header_len
    }
    /// See [`Summary::flags`].
    pub fn flags(&self) -> u32 {
        self.flags
    }
    /// See [`Summary::dot_lines`].
    pub fn dot_lines(&self) -> impl Iterator<Item = u32> + 'a {
        self.dots.iter().map(|dot| dot.get())
    }
    /// See [`Summary::envelope`].
    pub fn envelope(&self) -> &'a [u8] {
        self.envelope
    }
    /// See [`Summary::body`].
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
    /// See [`Summary::bodystructure`].
    pub fn bodystructure(&self) -> &'a [u8] {
        self.bodystructure
    }
    /// The part with this IMAP number; the empty path is the top level. A message that is not multipart has
    /// its body as part 1 as well (rfc3501#6.4.5), so the path `[1]` gives its top level there.
    pub fn part(&self, path: &[u32]) -> Option<Part> {
        let mut walk = self.walk();
        while let Some(part) = walk.advance() {
            let top_as_one = part.path_is(&[]) && path == [1] && part.fixed.kind != PartKind::Multipart as u8;
            if part.path_is(path) || top_as_one {
                return part.read();
            }
        }
        None
    }
    /// All parts, depth first; stops at the first damaged one.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::with_capacity(self.parts_count.min(self.parts.len() / size_of::<PartFixed>()));
        let mut walk = self.walk();
        while let Some(part) = walk.advance().and_then(|raw| raw.read()) {
            parts.push(part);
        }
        parts
    }

    fn walk(&self) -> PartWalk<'a> {
        PartWalk { rest: self.parts, left: self.parts_count, path: Vec::new() }
    }
}

/// Walks the parts section; the path is kept from part to part.
struct PartWalk<'a> {
    rest: &'a [u8],
    left: usize,
    path: Vec<u32>,
}

/// One part as stored, with its path made whole.
struct RawPart<'a, 'w> {
    fixed: &'a PartFixed,
    path: &'w [u32],
    charset: &'a [u8],
}

impl<'a> PartWalk<'a> {
    /// The next part; none at the end and from the first damage on.
    fn advance(&mut self) -> Option<RawPart<'a, '_>> {
        self.left = self.left.checked_sub(1)?;
        let (fixed, rest) = Ref::<_, PartFixed>::from_prefix(self.rest).ok()?;
        let fixed = Ref::into_ref(fixed);
        let (shared, extra) = (usize::from(fixed.path_shared), usize::from(fixed.path_extra));
        if shared > self.path.len() || shared + extra > PART_DEPTH_STORED_MAX {
            return None;
        }
        let (numbers, rest) = Ref::<_, [U32]>::from_prefix_with_elems(rest, extra).ok()?;
        let (charset, rest) = rest.split_at_checked(usize::from(fixed.charset_len))?;
        self.path.truncate(shared);
        self.path.extend(numbers.iter().map(|number| number.get()));
        self.rest = rest;
        Some(RawPart { fixed, path: &self.path, charset })
    }
}

impl RawPart<'_, '_> {
    fn path_is(&self, path: &[u32]) -> bool {
        self.path == path
    }

    fn read(&self) -> Option<Part> {
        let kind = match self.fixed.kind {
            0 => PartKind::Text,
            1 => PartKind::Other,
            2 => PartKind::Multipart,
            3 => PartKind::Message,
            _ => return None,
        };
        let encoding = match self.fixed.encoding {
            0 => TransferEncoding::Identity,
            1 => TransferEncoding::QuotedPrintable,
            2 => TransferEncoding::Base64,
            3 => TransferEncoding::Unknown,
            _ => return None,
        };
        let part = Part {
            path: self.path.to_vec(),
            kind,
            encoding,
            charset: std::str::from_utf8(self.charset).ok()?.to_owned(),
            header_start: self.fixed.header_start.get(),
            body_start: self.fixed.body_start.get(),
            body_end: self.fixed.body_end.get(),
            lines: self.fixed.lines.get(),
            nested_text_start: self.fixed.nested_text_start.get(),
        };
        let ordered = part.header_start <= part.body_start
            && part.body_start <= part.nested_text_start
            && part.nested_text_start <= part.body_end;
        ordered.then_some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(path: &[u32], kind: PartKind, charset: &str) -> Part {
        Part {
            path: path.to_vec(),
            kind,
            encoding: TransferEncoding::Base64,
            charset: charset.to_owned(),
            header_start: 10,
            body_start: 20,
            body_end: 40,
            lines: 3,
            nested_text_start: 25,
        }
    }

    fn sample() -> Summary {
        Summary {
            header_len: 17,
            flags: flag::HAS_NUL | flag::BODY_8BIT,
            dot_lines: vec![19, 300],
            envelope: Bytes::from_static(b"(NIL)"),
            body: Bytes::from_static(b"(\"a\")"),
            bodystructure: Bytes::from_static(b"(\"a\" NIL)"),
            parts: vec![
                part(&[], PartKind::Multipart, ""),
                part(&[1], PartKind::Text, "utf-8"),
                part(&[2], PartKind::Message, ""),
                part(&[2, 1], PartKind::Other, ""),
                part(&[3], PartKind::Text, "koi8-r"),
            ],
        }
    }

    #[test]
    fn what_is_encoded_reads_back_the_same() {
        let summary = sample();
        assert_eq!(summary.encode().len(), summary.encoded_len());
        assert_eq!(Summary::decode(&summary.encode()), Some(summary));
        assert_eq!(Summary::decode(&Summary::default().encode()), Some(Summary::default()));
    }

    #[test]
    fn single_items_are_found_without_decoding_the_rest() {
        let encoded = sample().encode();
        let view = SummaryView::new(&encoded).unwrap();
        assert_eq!(view.envelope(), b"(NIL)");
        assert_eq!(view.dot_lines().collect::<Vec<_>>(), [19, 300]);
        assert_eq!(view.part(&[2, 1]), Some(part(&[2, 1], PartKind::Other, "")));
        assert_eq!(view.part(&[]), Some(part(&[], PartKind::Multipart, "")));
        assert_eq!(view.part(&[4]), None);
        assert_eq!(view.part(&[1]), Some(part(&[1], PartKind::Text, "utf-8")));
    }

    #[test]
    fn the_body_of_a_simple_message_is_part_one() {
        let top = part(&[], PartKind::Text, "us-ascii");
        let encoded = Summary { parts: vec![top.clone()], ..Summary::default() }.encode();
        let view = SummaryView::new(&encoded).unwrap();
        assert_eq!(view.part(&[1]), Some(top));
        assert_eq!(view.part(&[1, 1]), None);
    }

    #[test]
    fn truncations_are_refused() {
        let encoded = sample().encode();
        for len in 0..encoded.len() {
            assert_eq!(Summary::decode(&encoded.slice(..len)), None, "cut at {len}");
        }
        let mut longer = encoded.to_vec();
        longer.push(0);
        assert_eq!(Summary::decode(&Bytes::from(longer)), None);
    }

    #[test]
    fn flipped_bits_never_panic_and_never_read_outside() {
        let encoded = sample().encode();
        for at in 0..encoded.len() {
            for bit in 0..8 {
                let mut damaged = encoded.to_vec();
                damaged[at] ^= 1 << bit;
                let damaged = Bytes::from(damaged);
                if let Some(view) = SummaryView::new(&damaged) {
                    let texts = view.envelope().len() + view.body().len() + view.bodystructure().len();
                    assert!(texts <= damaged.len());
                    assert!(view.dot_lines().count() <= DOT_LINES_STORED_MAX);
                    assert!(view.parts().len() <= PARTS_STORED_MAX);
                    assert_eq!(view.part(&[9, 9, 9]), None);
                }
                if let Some(read) = Summary::decode(&damaged) {
                    assert_eq!(Summary::decode(&read.encode()), Some(read));
                }
            }
        }
    }

    #[test]
    fn a_summary_beyond_the_bounds_is_stored_within_them() {
        let deep: Vec<u32> = (0..=PART_DEPTH_STORED_MAX as u32).collect();
        let summary = Summary {
            dot_lines: (0..=DOT_LINES_STORED_MAX as u32).collect(),
            parts: vec![part(&[], PartKind::Text, ""), part(&deep, PartKind::Text, "")],
            ..Summary::default()
        };
        let read = Summary::decode(&summary.encode()).unwrap();
        assert_eq!(read.dot_lines.len(), DOT_LINES_STORED_MAX);
        assert_eq!(read.parts.len(), 1);
        assert_eq!(read.flags, flag::DOTS_OVERFLOW | flag::STRUCTURE_CUT);
    }
}
