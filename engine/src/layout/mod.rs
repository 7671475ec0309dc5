//! What is known about a message's bytes since it arrived: structure, offsets, ready-made answers.
//!
//! *Owns*: the encoded summary that stands before each body in the log, and how it is read.
//! *Promises*: reading checks every length and never panics, whatever the bytes; single items are slices of what
//! is stored. *Assumes*: `proto::mime` made it from exactly these octets; offsets are hints, whoever slices a
//! message by them still asks with `get`. *Never*: parses a message itself.
//!
//! ```text
//! Fixed (60 octets) │ filter │ sort keys │ thread keys │ preview │ fields (6 each) │ dot lines (4 each) │
//! envelope │ body │ bodystructure │ parts
//! part = PartFixed (32 octets) │ path numbers that differ from the part before (4 each) │ charset
//! ```
//!
//! What a search, a sort or a thread of many messages touches stands first, so that it costs few cache lines a
//! message. The version is 2; version 1 was never released and is refused like any other number.

use bytes::Bytes;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Ref, Unaligned};

use crate::limits::{
    DOT_LINES_STORED_MAX, FIELDS_STORED_MAX, PART_DEPTH_STORED_MAX, PARTS_STORED_MAX, PREVIEW_BYTES_MAX,
    SUMMARY_BYTES_MAX,
};

mod filter;
mod keys;
mod part;

pub use filter::{Filter, FilterBuilder, Needle};
pub use keys::{MessageIdHash, SortKeys, ThreadKeys, ThreadKeysView, message_id_hash};
pub use part::{Part, PartKind, TransferEncoding};

use part::{PartWalk, encode_part, encoded_part_len};

/// Where a field of the message's header begins. It ends where the next one begins, the last one at
/// [`Summary::fields_end`]: the fields cover the header without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldStart {
    /// [`field_name_hash`] of its name.
    pub name_hash: u16,
    /// Octets from the start of the message.
    pub start: u32,
}

/// A field of the message's header, its line ends included, in octets from the start of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRange {
    /// [`field_name_hash`] of its name: equal for other names as well, so whoever looks for one compares it.
    pub name_hash: u16,
    /// Where it begins.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

/// The hash by which field names are looked up, upper and lower case being one. Part of the stored form.
pub fn field_name_hash(name: &[u8]) -> u16 {
    let fnv = name.iter().fold(0x811C_9DC5u32, |hash, octet| {
        (hash ^ u32::from(octet.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    });
    (fnv >> 16 ^ fnv) as u16
}

/// Everything that is stored about a message beside its octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Octets of the header, the empty line included.
    pub header_len: u32,
    /// Whether the message holds NUL octets or 8-bit octets in its header or body, as `layout::flag` bits.
    pub flags: u32,
    /// The text filter as [`FilterBuilder::finish`] gave it.
    pub filter: Bytes,
    /// What SORT compares.
    pub sort_keys: SortKeys<Vec<u8>>,
    /// What THREAD compares.
    pub thread_keys: ThreadKeys,
    /// The start of the text as PREVIEW shows it (rfc8970), UTF-8.
    pub preview: String,
    /// The fields of the message's own header, in order; complete unless `flag::FIELDS_OVERFLOW`.
    pub fields: Vec<FieldStart>,
    /// Where the last field ends; from here to `header_len` there is the empty line, if there is one.
    pub fields_end: u32,
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
    /// More header fields than are recorded; whoever needs them scans.
    pub const FIELDS_OVERFLOW: u32 = 1 << 5;
}

/// The only version of the stored form that is read.
const VERSION: u32 = 2;

/// What every encoded summary begins with. Little-endian; the sections follow in this order, without gaps.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct Fixed {
    version: U32,
    header_len: U32,
    flags: U32,
    filter_len: U32,
    sort_len: U32,
    thread_len: U32,
    preview_len: U32,
    fields: U32,
    fields_end: U32,
    dots: U32,
    envelope_len: U32,
    body_len: U32,
    bodystructure_len: U32,
    parts: U32,
    parts_len: U32,
}

/// [`FieldStart`] as stored.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy)]
#[repr(C)]
struct FieldFixed {
    name_hash: U16,
    start: U32,
}

impl Summary {
    /// The form that is stored. The maker keeps within the bounds; what exceeds them is left out here as
    /// well, so that what is written can always be read: dot lines beyond `DOT_LINES_STORED_MAX` set the
    /// overflow flag, as do fields beyond `FIELDS_STORED_MAX`; parts beyond `PARTS_STORED_MAX` or deeper than
    /// `PART_DEPTH_STORED_MAX` set `flag::STRUCTURE_CUT`.
    pub fn encode(&self) -> Bytes {
        let mut flags = self.flags;
        let dots = &self.dot_lines[..self.dot_lines.len().min(DOT_LINES_STORED_MAX)];
        if dots.len() < self.dot_lines.len() {
            flags |= flag::DOTS_OVERFLOW;
        }
        let fields = &self.fields[..self.fields.len().min(FIELDS_STORED_MAX)];
        if fields.len() < self.fields.len() {
            flags |= flag::FIELDS_OVERFLOW;
        }
        let (parts, parts_count, parts_cut) = self.encode_parts();
        if parts_cut {
            flags |= flag::STRUCTURE_CUT;
        }
        let preview = self.preview_within();
        let fixed = Fixed {
            version: U32::new(VERSION),
            header_len: U32::new(self.header_len),
            flags: U32::new(flags),
            filter_len: U32::new(self.filter.len() as u32),
            sort_len: U32::new(self.sort_keys.encoded_len() as u32),
            thread_len: U32::new(self.thread_keys.encoded_len() as u32),
            preview_len: U32::new(preview.len() as u32),
            fields: U32::new(fields.len() as u32),
            fields_end: U32::new(self.fields_end),
            dots: U32::new(dots.len() as u32),
            envelope_len: U32::new(self.envelope.len() as u32),
            body_len: U32::new(self.body.len() as u32),
            bodystructure_len: U32::new(self.bodystructure.len() as u32),
            parts: U32::new(parts_count),
            parts_len: U32::new(parts.len() as u32),
        };
        let mut out = Vec::with_capacity(self.fixed_and_texts_len() + parts.len());
        out.extend_from_slice(fixed.as_bytes());
        out.extend_from_slice(&self.filter);
        self.sort_keys.encode(&mut out);
        self.thread_keys.encode(&mut out);
        out.extend_from_slice(preview.as_bytes());
        for field in fields {
            let stored = FieldFixed { name_hash: U16::new(field.name_hash), start: U32::new(field.start) };
            out.extend_from_slice(stored.as_bytes());
        }
        for dot in dots {
            out.extend_from_slice(&dot.to_le_bytes());
        }
        out.extend_from_slice(&self.envelope);
        out.extend_from_slice(&self.body);
        out.extend_from_slice(&self.bodystructure);
        out.extend_from_slice(&parts);
        Bytes::from(out)
    }

    /// The parts section, how many parts are in it, and whether some were left out.
    fn encode_parts(&self) -> (Vec<u8>, u32, bool) {
        let mut parts = Vec::with_capacity(self.parts.len().min(PARTS_STORED_MAX) * 40);
        let (mut count, mut cut) = (0u32, false);
        let mut path_before: &[u32] = &[];
        for part in &self.parts {
            if count as usize == PARTS_STORED_MAX || part.path.len() > PART_DEPTH_STORED_MAX {
                cut = true;
                continue;
            }
            encode_part(part, path_before, &mut parts);
            path_before = &part.path;
            count += 1;
        }
        (parts, count, cut)
    }

    /// How many octets [`Summary::encode`] will give, for a summary within the bounds.
    pub fn encoded_len(&self) -> usize {
        let mut path_before: &[u32] = &[];
        let mut parts = 0;
        for part in &self.parts {
            parts += encoded_part_len(part, path_before);
            path_before = &part.path;
        }
        self.fixed_and_texts_len() + parts
    }

    fn fixed_and_texts_len(&self) -> usize {
        size_of::<Fixed>()
            + self.filter.len()
            + self.sort_keys.encoded_len()
            + self.thread_keys.encoded_len()
            + self.preview_within().len()
            + size_of::<FieldFixed>() * self.fields.len().min(FIELDS_STORED_MAX)
            + 4 * self.dot_lines.len().min(DOT_LINES_STORED_MAX)
            + self.envelope.len()
            + self.body.len()
            + self.bodystructure.len()
    }

    fn preview_within(&self) -> &str {
        let mut end = self.preview.len().min(PREVIEW_BYTES_MAX);
        while !self.preview.is_char_boundary(end) {
            end -= 1;
        }
        &self.preview[..end]
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
            filter: encoded.slice_ref(view.filter.octets()),
            sort_keys: view.sort_keys()?.to_owned(),
            thread_keys: view.thread_keys()?.to_owned(),
            preview: std::str::from_utf8(view.preview).ok()?.to_owned(),
            fields: view
                .fields
                .iter()
                .map(|field| FieldStart { name_hash: field.name_hash.get(), start: field.start.get() })
                .collect(),
            fields_end: view.fields_end,
            dot_lines: view.dot_lines().collect(),
            envelope: encoded.slice_ref(view.envelope),
            body: encoded.slice_ref(view.body),
            bodystructure: encoded.slice_ref(view.bodystructure),
            parts,
        })
    }
}

/// The first octets of an encoded summary, of many of which only these are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryHead<'a> {
    /// See [`SummaryView::filter`].
    pub filter: Filter<'a>,
    /// What follows the filter: what SORT and THREAD compare, and the rest.
    pub behind: &'a [u8],
}

impl<'a> SummaryHead<'a> {
    /// None of what is damaged here; what lies behind may be damaged, and only [`SummaryView::new`] tells.
    pub fn new(encoded: &'a [u8]) -> Option<SummaryHead<'a>> {
        let (fixed, rest) = Ref::<_, Fixed>::from_prefix(encoded).ok()?;
        let (filter, behind) = rest.split_at_checked(fixed.filter_len.get() as usize)?;
        let filter = Filter::new(filter).filter(|_| fixed.version.get() == VERSION)?;
        Some(SummaryHead { filter, behind })
    }
}

/// Reads single items of an encoded summary without decoding the rest.
#[derive(Clone, Copy)]
pub struct SummaryView<'a> {
    header_len: u32,
    flags: u32,
    filter: Filter<'a>,
    sort: &'a [u8],
    thread: &'a [u8],
    preview: &'a [u8],
    fields: &'a [FieldFixed],
    fields_end: u32,
    dots: &'a [U32],
    envelope_start: usize,
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
        let fields_count = fixed.fields.get() as usize;
        let dots_count = fixed.dots.get() as usize;
        let parts_count = fixed.parts.get() as usize;
        let good = fixed.version.get() == VERSION
            && fields_count <= FIELDS_STORED_MAX
            && dots_count <= DOT_LINES_STORED_MAX
            && parts_count <= PARTS_STORED_MAX
            && fixed.preview_len.get() as usize <= PREVIEW_BYTES_MAX;
        if !good {
            return None;
        }
        let (filter, rest) = rest.split_at_checked(fixed.filter_len.get() as usize)?;
        let (sort, rest) = rest.split_at_checked(fixed.sort_len.get() as usize)?;
        let (thread, rest) = rest.split_at_checked(fixed.thread_len.get() as usize)?;
        let (preview, rest) = rest.split_at_checked(fixed.preview_len.get() as usize)?;
        let (fields, rest) = Ref::<_, [FieldFixed]>::from_prefix_with_elems(rest, fields_count).ok()?;
        let (dots, rest) = Ref::<_, [U32]>::from_prefix_with_elems(rest, dots_count).ok()?;
        let envelope_start = encoded.len() - rest.len();
        let (envelope, rest) = rest.split_at_checked(fixed.envelope_len.get() as usize)?;
        let (body, rest) = rest.split_at_checked(fixed.body_len.get() as usize)?;
        let (bodystructure, parts) = rest.split_at_checked(fixed.bodystructure_len.get() as usize)?;
        if parts.len() != fixed.parts_len.get() as usize {
            return None;
        }
        Some(SummaryView {
            header_len: fixed.header_len.get(),
            flags: fixed.flags.get(),
            filter: Filter::new(filter)?,
            sort,
            thread,
            preview,
            fields: Ref::into_ref(fields),
            fields_end: fixed.fields_end.get(),
            dots: Ref::into_ref(dots),
            envelope_start,
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
    /// Which search strings the message's text cannot hold: over all that SEARCH TEXT looks at, and so over all
    /// that BODY, SUBJECT, FROM and HEADER look at.
    pub fn filter(&self) -> Filter<'a> {
        self.filter
    }
    /// What SORT compares; none when the section is damaged.
    pub fn sort_keys(&self) -> Option<SortKeys<&'a [u8]>> {
        SortKeys::read(self.sort)
    }
    /// What THREAD compares; none when the section is damaged.
    pub fn thread_keys(&self) -> Option<ThreadKeysView<'a>> {
        ThreadKeysView::read(self.thread)
    }
    /// THREADID (rfc8474#5.3): the same for messages of one thread as far as their own fields tell it; 0 when
    /// they tell nothing.
    pub fn thread_id(&self) -> MessageIdHash {
        self.thread_keys().map_or(0, |keys| keys.root())
    }
    /// PREVIEW (rfc8970): UTF-8, at most 200 characters, no line ends; empty when there is nothing to show.
    pub fn preview(&self) -> &'a str {
        std::str::from_utf8(self.preview).unwrap_or_default()
    }
    /// The fields of the message's own header, in order; none when not all are recorded
    /// (`flag::FIELDS_OVERFLOW`) and the caller has to scan.
    pub fn fields(&self) -> Option<impl Iterator<Item = FieldRange> + 'a> {
        if self.flags & flag::FIELDS_OVERFLOW != 0 {
            return None;
        }
        let (fields, fields_end) = (self.fields, self.fields_end);
        Some(fields.iter().enumerate().map(move |(index, field)| FieldRange {
            name_hash: field.name_hash.get(),
            start: field.start.get(),
            end: fields.get(index + 1).map_or(fields_end, |next| next.start.get()),
        }))
    }
    /// See [`Summary::fields_end`].
    pub fn fields_end(&self) -> u32 {
        self.fields_end
    }
    /// See [`Summary::dot_lines`].
    pub fn dot_lines(&self) -> impl Iterator<Item = u32> + 'a {
        self.dots.iter().map(|dot| dot.get())
    }
    /// Where ENVELOPE begins in the encoded summary; BODY and BODYSTRUCTURE follow it without gaps.
    pub fn envelope_start(&self) -> usize {
        self.envelope_start
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
            let top_as_one = part.path_is(&[]) && path == [1] && !part.is_multipart();
            if part.path_is(path) || top_as_one {
                return part.read();
            }
        }
        None
    }
    /// All parts, depth first; stops at the first damaged one.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::with_capacity(self.parts_count.min(self.parts.len() / PartWalk::PART_BYTES_MIN));
        let mut walk = self.walk();
        while let Some(part) = walk.advance().and_then(|raw| raw.read()) {
            parts.push(part);
        }
        parts
    }

    fn walk(&self) -> PartWalk<'a> {
        PartWalk::new(self.parts, self.parts_count)
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
            decoded_size: Some(9),
        }
    }

    fn sample() -> Summary {
        Summary {
            header_len: 17,
            flags: flag::HAS_NUL | flag::BODY_8BIT,
            filter: Bytes::from_static(b"\x01\x80\x00\x10"),
            sort_keys: SortKeys { sent_ms: Some(1), subject: b"S".to_vec(), ..SortKeys::default() },
            thread_keys: ThreadKeys { message_id: 3, references: vec![1, 2], in_reply_to: vec![2] },
            preview: "gr\u{fc}n".to_owned(),
            fields: vec![FieldStart { name_hash: 7, start: 0 }, FieldStart { name_hash: 8, start: 9 }],
            fields_end: 15,
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
        let wire = [view.envelope(), view.body(), view.bodystructure()].concat();
        assert_eq!(encoded[view.envelope_start()..][..wire.len()], wire);
        assert_eq!(view.dot_lines().collect::<Vec<_>>(), [19, 300]);
        assert_eq!((view.preview(), view.thread_id()), ("gr\u{fc}n", 1));
        assert_eq!(view.sort_keys().unwrap().subject, b"S");
        assert_eq!(view.filter().octets().len(), 4);
        let fields: Vec<(u16, u32, u32)> =
            view.fields().unwrap().map(|field| (field.name_hash, field.start, field.end)).collect();
        assert_eq!(fields, [(7, 0, 9), (8, 9, 15)]);
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
    fn field_names_hash_alike_whatever_their_case() {
        assert_eq!(field_name_hash(b"Subject"), field_name_hash(b"sUBJECT"));
        assert_ne!(field_name_hash(b"Subject"), field_name_hash(b"Date"));
        assert_eq!(field_name_hash(b""), 0x1cd9, "part of the stored form");
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
                    let head = SummaryHead::new(&damaged)
                        .map(|head| (head.filter, head.behind.starts_with(view.sort)));
                    assert_eq!(head, Some((view.filter(), true)));
                    let texts = view.envelope().len() + view.body().len() + view.bodystructure().len();
                    assert!(texts <= damaged.len());
                    assert!(view.fields().is_none_or(|fields| fields.count() <= FIELDS_STORED_MAX));
                    assert!(view.preview().len() <= PREVIEW_BYTES_MAX);
                    view.filter().might_contain(&Needle::new("NO SUCH TEXT"));
                    view.thread_id();
                    view.sort_keys();
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
            fields: vec![FieldStart { name_hash: 0, start: 0 }; FIELDS_STORED_MAX + 1],
            preview: "\u{fc}".repeat(PREVIEW_BYTES_MAX),
            dot_lines: (0..=DOT_LINES_STORED_MAX as u32).collect(),
            parts: vec![part(&[], PartKind::Text, ""), part(&deep, PartKind::Text, "")],
            ..Summary::default()
        };
        let read = Summary::decode(&summary.encode()).unwrap();
        assert_eq!(read.dot_lines.len(), DOT_LINES_STORED_MAX);
        assert_eq!(read.parts.len(), 1);
        assert_eq!(read.flags, flag::DOTS_OVERFLOW | flag::STRUCTURE_CUT | flag::FIELDS_OVERFLOW);
        assert_eq!((read.fields.len(), read.preview.len()), (FIELDS_STORED_MAX, PREVIEW_BYTES_MAX));
        let encoded = summary.encode();
        assert!(SummaryView::new(&encoded).unwrap().fields().is_none());
    }
}
