//! `BINARY[…]`: a part with its transfer encoding undone (rfc3516#4.3).
//!
//! *Owns*: where decoding stands, and in which of its two passes. *Promises*: looks at bounded windows that are
//! in memory; says the right size before the first octet, and `~{n}` only where a NUL is sent. *Assumes*: the
//! part's encoding is known; the command refused the others. *Never*: holds more than a decoded window.
//!
//! ```text
//!  Measure ──window … all──► head ──► Send ──window … all──► done
//!     └── BINARY.SIZE ──► the number, done
//! ```

use ringpost_engine::layout::Part;

use super::plan::Form;
use crate::proto::imap::command::Partial;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;
use crate::proto::mime::PartDecoder;

/// See the module.
#[derive(Debug)]
pub struct Binary {
    part: Part,
    form: Form,
    /// The decoded octets that are wanted, `from..to`.
    from: u64,
    to: u64,
    decoder: PartDecoder,
    /// The second pass is under way; the first one only measures.
    sends: bool,
    /// Octets decoded in this pass.
    at: u64,
    has_nul: bool,
    /// Octets that were announced and are not sent yet.
    owed: u64,
}

impl Binary {
    /// The decoding of a part; none if nobody knows its encoding.
    pub fn new(part: Part, form: Form, partial: Option<Partial>) -> Option<Binary> {
        let decoder = PartDecoder::new(&part).ok()?;
        let from = partial.map_or(0, |partial| partial.start);
        let to = partial.map_or(u64::MAX, |partial| partial.start.saturating_add(partial.count));
        Some(Binary { part, form, from, to, decoder, sends: false, at: 0, has_nul: false, owed: 0 })
    }

    /// Which octets of the message have to be in memory next; none when the pass is at its end.
    pub fn wants(&self) -> Option<std::ops::Range<u32>> {
        if self.sends && self.owed == 0 { None } else { self.decoder.wants() }
    }

    /// Decodes a window.
    pub fn window(&mut self, octets: &[u8], out: &mut Out) {
        let mut decoded = Vec::new();
        self.decoder.step(octets, &mut decoded);
        let len = decoded.len() as u64;
        let start = self.from.clamp(self.at, self.at + len) - self.at;
        let end = self.to.clamp(self.at, self.at + len) - self.at;
        let wanted = &decoded[start as usize..end.max(start) as usize];
        self.at += len;
        if self.sends {
            self.owed -= wanted.len() as u64;
            out.put(wanted);
        } else {
            self.has_nul |= memchr::memchr(0, wanted).is_some();
        }
    }

    /// The end of a pass. Whether another one follows.
    pub fn end_pass(&mut self, out: &mut Out) -> bool {
        if self.sends {
            return false;
        }
        let size = self.decoder.size();
        if self.form == Form::BinarySize {
            out.put(b" ");
            reply::number(out.text(), size);
            return false;
        }
        self.owed = self.to.min(size).saturating_sub(self.from.min(size));
        // rfc3516#4.3: a literal8 where there is a NUL, a string else.
        out.put(if self.has_nul { b" ~{" } else { b" {" });
        reply::number(out.text(), self.owed);
        out.put(b"}\r\n");
        let Ok(decoder) = PartDecoder::new(&self.part) else { return false };
        (self.decoder, self.sends, self.at) = (decoder, true, 0);
        self.owed > 0
    }

    /// Octets that were announced and not sent.
    pub fn owed(&self) -> u64 {
        self.owed
    }
}
