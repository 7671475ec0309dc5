//! What a part's own header says about its content.
//!
//! *Owns*: the Content-* fields (rfc2045, rfc2183) and their parameters. *Promises*: one pass; at most
//! `MIME_PARAMETERS_MAX` parameters a field; defaults where a field is missing or makes no sense
//! (rfc2045#5.2).
//! *Assumes*: a header slice within its bound. *Never*: looks at the body.

use std::borrow::Cow;

use ringpost_engine::layout::{PartKind, TransferEncoding};

use super::header::{self, Field};
use super::words;
use crate::limits::{MIME_BOUNDARY_BYTES_MAX, MIME_CHARSET_BYTES_MAX, MIME_PARAMETERS_MAX};

/// A parameter as written: rfc2231 and encoded words are left as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Attribute, case as written.
    pub name: Vec<u8>,
    /// Value without its quoting.
    pub value: Vec<u8>,
}

/// The Content-* fields of one header.
#[derive(Debug, Default)]
pub(super) struct Content<'a> {
    /// Top-level media type.
    pub media: Vec<u8>,
    /// Subtype.
    pub subtype: Vec<u8>,
    /// Parameters of Content-Type.
    pub parameters: Vec<Parameter>,
    /// The name in Content-Transfer-Encoding; `7bit` when missing or malformed.
    pub encoding_name: Vec<u8>,
    /// Content-ID.
    pub id: Option<Cow<'a, [u8]>>,
    /// Content-Description.
    pub description: Option<Cow<'a, [u8]>>,
    /// Content-MD5.
    pub md5: Option<Cow<'a, [u8]>>,
    /// Content-Disposition: type and parameters.
    pub disposition: Option<(Vec<u8>, Vec<Parameter>)>,
    /// Content-Language: the tags.
    pub languages: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Cow<'a, [u8]>>,
    /// Whether parameters or languages were left out at a bound.
    pub cut: bool,
    /// A bit for each of [`KNOWN`] that was read.
    seen: u8,
}

impl<'a> Content<'a> {
    /// Of a header without such fields.
    pub fn new() -> Content<'a> {
        Content { encoding_name: b"7bit".to_vec(), ..Content::default() }
    }

    /// Reads a field if it is a Content-* field. Returns whether it is.
    pub fn take(&mut self, field: &Field<'a>) -> bool {
        let Some((start, which)) = field.name.split_at_checked(8) else { return false };
        if !start.eq_ignore_ascii_case(b"content-") {
            return false;
        }
        // The first of several fields counts.
        let known = KNOWN.iter().position(|(name, _)| which.eq_ignore_ascii_case(name));
        if let Some(index) = known.filter(|index| self.seen >> index & 1 == 0) {
            self.seen |= 1 << index;
            self.take_known(KNOWN[index].1, field);
        }
        true
    }

    fn take_known(&mut self, which: Known, field: &Field<'a>) {
        let value = header::unfold(field.value);
        match which {
            Known::Type => self.take_type(&value),
            Known::Encoding => {
                let mut lexer = Lexer::new(&value);
                if let Some(name) = lexer.token() {
                    self.encoding_name = name.to_vec();
                }
            }
            Known::Id => self.id = Some(value),
            Known::Description => self.description = Some(value),
            Known::Md5 => self.md5 = Some(value),
            Known::Location => self.location = Some(value),
            Known::Disposition => {
                let mut lexer = Lexer::new(&value);
                if let Some(kind) = lexer.token() {
                    let (parameters, cut) = parameters(lexer.rest(), MIME_PARAMETERS_MAX);
                    self.disposition = Some((kind.to_vec(), parameters));
                    self.cut |= cut;
                }
            }
            Known::Language => self.take_languages(&value),
        }
    }

    fn take_type(&mut self, value: &[u8]) {
        let mut lexer = Lexer::new(value);
        let Some(media) = lexer.token() else { return };
        if !lexer.skip(b'/') {
            return;
        }
        let Some(subtype) = lexer.token() else { return };
        let (parameters, cut) = parameters(lexer.rest(), MIME_PARAMETERS_MAX);
        self.media = media.to_vec();
        self.subtype = subtype.to_vec();
        self.parameters = parameters;
        self.cut |= cut;
    }

    fn take_languages(&mut self, value: &[u8]) {
        let mut lexer = Lexer::new(value);
        while let Some(tag) = lexer.token() {
            if self.languages.len() == MIME_PARAMETERS_MAX {
                self.cut = true;
                return;
            }
            self.languages.push(tag.to_vec());
            lexer.skip(b',');
        }
    }

    /// The header has ended: what is missing. `in_digest` tells the default type: message/rfc822 in multipart/digest
    /// (rfc2046#5.1.5).
    pub fn fill_defaults(&mut self, in_digest: bool) {
        if !self.media.is_empty() {
            if self.is(b"text") && words::parameter(&self.parameters, b"charset").is_none() {
                self.parameters.push(default_charset());
            }
            return;
        }
        if in_digest {
            (self.media, self.subtype) = (b"message".to_vec(), b"rfc822".to_vec());
        } else {
            (self.media, self.subtype) = (b"text".to_vec(), b"plain".to_vec());
            self.parameters.push(default_charset());
        }
    }

    fn is(&self, media: &[u8]) -> bool {
        self.media.eq_ignore_ascii_case(media)
    }

    /// What the scan makes of it.
    pub fn kind(&self) -> PartKind {
        let subtype = self.subtype.as_slice();
        if self.is(b"multipart") {
            PartKind::Multipart
        } else if self.is(b"message")
            && (subtype.eq_ignore_ascii_case(b"rfc822") || subtype.eq_ignore_ascii_case(b"global"))
        {
            PartKind::Message
        } else if self.is(b"text") || (self.is(b"message") && is_readable_message(subtype)) {
            PartKind::Text
        } else {
            PartKind::Other
        }
    }

    /// Whether BODYSTRUCTURE has a line count: only text/* has (rfc3501#7.4.2).
    pub fn has_lines(&self) -> bool {
        self.is(b"text")
    }

    /// Whether it wants to be shown as an attachment.
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"attachment"))
    }

    /// Whether parts inside default to message/rfc822.
    pub fn is_digest(&self) -> bool {
        self.subtype.eq_ignore_ascii_case(b"digest")
    }

    /// The boundary of a multipart, without the white space no boundary may end with (rfc2046#5.1.1).
    pub fn boundary(&self) -> Option<Vec<u8>> {
        let (boundary, _) = words::parameter(&self.parameters, b"boundary")?;
        let len = boundary.trim_ascii_end().len();
        (1..=MIME_BOUNDARY_BYTES_MAX).contains(&len).then(|| boundary[..len].to_vec())
    }

    /// The charset's name in lower case; empty when it is not a short ASCII word.
    pub fn charset(&self) -> String {
        let (name, _) = words::parameter(&self.parameters, b"charset").unwrap_or_default();
        let good = name.len() <= MIME_CHARSET_BYTES_MAX && name.iter().all(|byte| byte.is_ascii_graphic());
        if good { String::from_utf8_lossy(&name).to_ascii_lowercase() } else { String::new() }
    }

    /// The transfer encoding by its name (rfc2045#6.1).
    pub fn encoding(&self) -> TransferEncoding {
        let name = self.encoding_name.to_ascii_lowercase();
        match name.as_slice() {
            b"7bit" | b"8bit" | b"binary" => TransferEncoding::Identity,
            b"quoted-printable" => TransferEncoding::QuotedPrintable,
            b"base64" => TransferEncoding::Base64,
            _ => TransferEncoding::Unknown,
        }
    }
}

/// The fields that are read.
#[derive(Clone, Copy, Debug)]
enum Known {
    Type,
    Encoding,
    Id,
    Description,
    Md5,
    Disposition,
    Language,
    Location,
}

/// Their names without the common start.
const KNOWN: [(&[u8], Known); 8] = [
    (b"type", Known::Type),
    (b"transfer-encoding", Known::Encoding),
    (b"id", Known::Id),
    (b"description", Known::Description),
    (b"md5", Known::Md5),
    (b"disposition", Known::Disposition),
    (b"language", Known::Language),
    (b"location", Known::Location),
];

/// rfc2045#5.2: plain US-ASCII text is what a text without charset is.
fn default_charset() -> Parameter {
    Parameter { name: b"charset".to_vec(), value: b"us-ascii".to_vec() }
}

/// Leaves of message/* that people read: reports of delivery and disposition.
fn is_readable_message(subtype: &[u8]) -> bool {
    const READABLE: [&[u8]; 5] = [
        b"delivery-status",
        b"global-delivery-status",
        b"disposition-notification",
        b"global-disposition-notification",
        b"feedback-report",
    ];
    READABLE.iter().any(|known| subtype.eq_ignore_ascii_case(known))
}

/// Reads `; name=value …`; at most `count_max`, the rest is left out and the flag set. Unquoted values may
/// hold spaces, as mailers write file names.
pub(super) fn parameters(text: &[u8], count_max: usize) -> (Vec<Parameter>, bool) {
    let mut lexer = Lexer::new(text);
    let mut list = Vec::new();
    while lexer.skip_past(b';') {
        let Some(name) = lexer.token() else { continue };
        let name = name.to_vec();
        if !lexer.skip(b'=') {
            continue;
        }
        if list.len() == count_max {
            return (list, true);
        }
        list.push(Parameter { name, value: lexer.value() });
    }
    (list, false)
}

/// Reads tokens of rfc2045#5.1; comments and white space between them are skipped.
struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// White space and nested comments; an open comment runs to the end.
    fn skip_blank(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => self.at += 1,
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if depth > 0 => {}
                _ => return,
            }
            self.at = (self.at + 1).min(self.text.len());
        }
    }

    /// Takes `byte` if it comes next.
    fn skip(&mut self, byte: u8) -> bool {
        self.skip_blank();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Goes on past the next `byte` outside quotes and comments, whatever stands before it.
    fn skip_past(&mut self, byte: u8) -> bool {
        loop {
            self.skip_blank();
            match self.peek() {
                None => return false,
                Some(b'"') => {
                    self.quoted();
                }
                Some(found) => {
                    self.at += 1;
                    if found == byte {
                        return true;
                    }
                }
            }
        }
    }

    /// A token; 8-bit octets count as part of one.
    fn token(&mut self) -> Option<&'a [u8]> {
        self.skip_blank();
        let rest = self.rest();
        let ends = |byte: &u8| *byte <= b' ' || *byte == 127 || b"()<>@,;:\\\"/[]?=".contains(byte);
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += len;
        (len > 0).then(|| &rest[..len])
    }

    /// A parameter's value: quoted, or all words up to `;`.
    fn value(&mut self) -> Vec<u8> {
        self.skip_blank();
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let mut value = Vec::new();
        loop {
            self.skip_blank();
            let rest = self.rest();
            let ends = |byte: &u8| matches!(byte, b';' | b' ' | b'\t' | b'\r' | b'\n' | b'(');
            let len = rest.iter().position(ends).unwrap_or(rest.len());
            if len == 0 {
                return value;
            }
            if !value.is_empty() {
                value.push(b' ');
            }
            value.extend_from_slice(&rest[..len]);
            self.at += len;
        }
    }

    /// A quoted string without its quoting; without an end it runs to the end.
    fn quoted(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    value.extend(self.peek());
                    self.at = (self.at + 1).min(self.text.len());
                }
                _ => value.push(byte),
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(header: &[u8], in_digest: bool) -> Content<'_> {
        let mut content = Content::new();
        header::fields(header).for_each(|field| _ = content.take(&field));
        content.fill_defaults(in_digest);
        content
    }

    fn shown(header: &str) -> String {
        let content = content(header.as_bytes(), false);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut line = format!("{}/{}", text(&content.media), text(&content.subtype));
        for parameter in &content.parameters {
            line += &format!("; {}={}", text(&parameter.name), text(&parameter.value));
        }
        line
    }

    #[test]
    fn the_two_forms_of_rfc2045_5_1_are_one() {
        let expected = "text/plain; charset=us-ascii";
        assert_eq!(shown("Content-type: text/plain; charset=us-ascii (Plain text)\r\n"), expected);
        assert_eq!(shown("Content-type: text/plain; charset=\"us-ascii\"\r\n"), expected);
        assert_eq!(shown("Content-Type: text / plain (a (b) \\)) ;\r\n charset = us-ascii\r\n"), expected);
    }

    #[test]
    fn missing_and_malformed_types_are_plain_text() {
        for header in ["", "Content-Type:\r\n", "Content-Type: text\r\n", "Content-Type: /plain; a=b\r\n"] {
            assert_eq!(shown(header), "text/plain; charset=us-ascii", "{header}");
        }
        let digest = content(b"", true);
        assert_eq!(digest.kind(), PartKind::Message);
    }

    #[test]
    fn broken_parameters_lose_no_others() {
        assert_eq!(
            shown(
                "Content-Type: application/pdf; ; name=my file.pdf; =x; lone; \"q;\"; \
                 a=\"b;\\\"c\" junk; d=\r\n"
            ),
            "application/pdf; name=my file.pdf; a=b;\"c; d="
        );
        assert_eq!(shown("Content-Type: image/png name=x; y=\"open\r\n"), "image/png; y=open");
    }

    #[test]
    fn the_first_field_counts() {
        let header = "Content-Type: image/png\r\nContent-Type: image/gif\r\ncontent-id: <a>\r\n";
        assert_eq!(shown(header), "image/png");
        assert_eq!(content(header.as_bytes(), false).id.unwrap().as_ref(), b"<a>");
    }

    #[test]
    fn boundaries_are_bounded_and_put_together() {
        let boundary = |text: &str| content(text.as_bytes(), false).boundary();
        assert_eq!(boundary("Content-Type: multipart/mixed; boundary=\"a b \"\r\n").unwrap(), b"a b");
        assert_eq!(boundary("Content-Type: multipart/mixed; boundary*0=a; boundary*1=b\r\n").unwrap(), b"ab");
        assert_eq!(boundary("Content-Type: multipart/mixed; boundary=\"\"\r\n"), None);
        let long = "x".repeat(MIME_BOUNDARY_BYTES_MAX + 1);
        assert_eq!(boundary(&format!("Content-Type: multipart/mixed; boundary={long}\r\n")), None);
    }

    #[test]
    fn too_many_parameters_are_cut_and_told() {
        let many: String = (0..MIME_PARAMETERS_MAX + 1).map(|n| format!("; p{n}=v")).collect();
        let is_cut = content(format!("Content-Type: a/b{many}\r\n").as_bytes(), false).cut;
        assert!(is_cut);
        let tags = "en,".repeat(MIME_PARAMETERS_MAX + 1);
        assert!(content(format!("Content-Language: {tags}\r\n").as_bytes(), false).cut);
    }

    #[test]
    fn encodings_by_name() {
        let encoding = |text: &str| {
            content(format!("Content-Transfer-Encoding: {text}\r\n").as_bytes(), false).encoding()
        };
        assert_eq!(encoding("BASE64"), TransferEncoding::Base64);
        assert_eq!(encoding("quoted-printable (x)"), TransferEncoding::QuotedPrintable);
        assert_eq!(encoding("x-uuencode"), TransferEncoding::Unknown);
        assert_eq!(encoding("?invalid"), TransferEncoding::Identity);
    }
}
