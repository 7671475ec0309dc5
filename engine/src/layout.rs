//! What is known about a message's bytes since it arrived: structure, offsets, ready-made answers.
//!
//! *Owns*: the encoded summary that stands before each body in the log, and how it is read.
//! *Promises*: reading checks every length and never panics, whatever the bytes.
//! *Assumes*: `proto::mime` made it from exactly these octets. *Never*: parses a message itself.

use bytes::Bytes;

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
    /// text/*
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
    /// For [`PartKind::Message`]: where the enclosed message's own header ends (its text begins); else `body_start`.
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

impl Summary {
    /// The form that is stored.
    pub fn encode(&self) -> Bytes {
        todo!()
    }

    /// Reads the stored form; none when it is damaged.
    pub fn decode(encoded: &Bytes) -> Option<Summary> {
        let _ = encoded;
        todo!()
    }
}

/// Reads single items of an encoded summary without decoding the rest.
#[derive(Clone, Copy)]
pub struct SummaryView<'a> {
    _encoded: &'a [u8],
}

impl<'a> SummaryView<'a> {
    /// Checks the fixed part; none when it is damaged.
    pub fn new(encoded: &'a [u8]) -> Option<SummaryView<'a>> {
        let _ = encoded;
        todo!()
    }
    /// See [`Summary::header_len`].
    pub fn header_len(&self) -> u32 {
        todo!()
    }
    /// See [`Summary::flags`].
    pub fn flags(&self) -> u32 {
        todo!()
    }
    /// See [`Summary::dot_lines`].
    pub fn dot_lines(&self) -> impl Iterator<Item = u32> + 'a {
        std::iter::empty()
    }
    /// See [`Summary::envelope`].
    pub fn envelope(&self) -> &'a [u8] {
        todo!()
    }
    /// See [`Summary::body`].
    pub fn body(&self) -> &'a [u8] {
        todo!()
    }
    /// See [`Summary::bodystructure`].
    pub fn bodystructure(&self) -> &'a [u8] {
        todo!()
    }
    /// The part with this IMAP number; the empty path is the top level.
    pub fn part(&self, path: &[u32]) -> Option<Part> {
        let _ = path;
        todo!()
    }
    /// All parts, depth first.
    pub fn parts(&self) -> Vec<Part> {
        todo!()
    }
}
