//! MIME parts as they are stored.
//!
//! *Owns*: the parts section of a summary. *Promises*: a path is written as what differs from the part before,
//! so deep trees stay small; reading stops at the first damage. *Assumes*: the caller bounds count and depth.
//! *Never*: looks at a message.

use zerocopy::byteorder::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Ref, Unaligned};

use crate::limits::PART_DEPTH_STORED_MAX;

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
    /// Octets of the body once its transfer encoding is undone (rfc3516#4.3 BINARY.SIZE); none where that was
    /// not counted when the message came.
    pub decoded_size: Option<u32>,
}

/// Stands for a decoded size that is not known.
const SIZE_UNKNOWN: u32 = u32::MAX;

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
    decoded_size: U32,
}

/// Leading numbers that two paths share.
fn shared_path(path: &[u32], path_before: &[u32]) -> usize {
    path.iter().zip(path_before).take_while(|(now, before)| now == before).count()
}

/// What [`encode_part`] will add.
pub(super) fn encoded_part_len(part: &Part, path_before: &[u32]) -> usize {
    let shared = shared_path(&part.path, path_before);
    size_of::<PartFixed>() + 4 * (part.path.len() - shared) + part.charset.len().min(usize::from(u8::MAX))
}

/// Appends the stored form of a part.
pub(super) fn encode_part(part: &Part, path_before: &[u32], out: &mut Vec<u8>) {
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
        decoded_size: U32::new(part.decoded_size.unwrap_or(SIZE_UNKNOWN)),
    };
    out.extend_from_slice(fixed.as_bytes());
    for number in &part.path[shared..] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(charset.as_bytes());
}

/// Walks the parts section; the path is kept from part to part.
pub(super) struct PartWalk<'a> {
    rest: &'a [u8],
    left: usize,
    path: Vec<u32>,
}

/// One part as stored, with its path made whole.
pub(super) struct RawPart<'a, 'w> {
    fixed: &'a PartFixed,
    path: &'w [u32],
    charset: &'a [u8],
}

impl<'a> PartWalk<'a> {
    /// What a part takes at least.
    pub const PART_BYTES_MIN: usize = size_of::<PartFixed>();

    /// Over `count` parts in `section`.
    pub fn new(section: &'a [u8], count: usize) -> PartWalk<'a> {
        PartWalk { rest: section, left: count, path: Vec::new() }
    }

    /// The next part; none at the end and from the first damage on.
    pub fn advance(&mut self) -> Option<RawPart<'a, '_>> {
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
    /// Whether it is a multipart.
    pub fn is_multipart(&self) -> bool {
        self.fixed.kind == PartKind::Multipart as u8
    }

    /// Whether this is its IMAP number.
    pub fn path_is(&self, path: &[u32]) -> bool {
        self.path == path
    }

    /// The part; none when it is damaged.
    pub fn read(&self) -> Option<Part> {
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
            decoded_size: Some(self.fixed.decoded_size.get()).filter(|&size| size != SIZE_UNKNOWN),
        };
        let ordered = part.header_start <= part.body_start
            && part.body_start <= part.nested_text_start
            && part.nested_text_start <= part.body_end;
        ordered.then_some(part)
    }
}
