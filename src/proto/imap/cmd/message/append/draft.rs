//! One message of an APPEND, while it is put together.
//!
//! *Owns*: its octets and what may be in them. *Promises*: no more than the largest message; of one that will
//! be refused nothing is kept. *Assumes*: literals are announced before they come. *Never*: knows the command.

use bytes::BytesMut;
use ringpost_engine::change::{Flags, NewBody, NewMessage};
use ringpost_engine::ids::AccountId;
use ringpost_engine::layout::flag;

use crate::proto::Cx;
use crate::proto::imap::framer::Literal;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::Core;
use crate::proto::mime::Summariser;

/// See the module.
#[derive(Debug)]
pub struct Draft {
    flags: Flags,
    internal_ms: Option<i64>,
    octets: BytesMut,
    summariser: Summariser,
    /// The literal under way may hold NUL.
    binary: bool,
    /// A literal that may not hold NUL did.
    has_nul: bool,
}

impl Draft {
    /// An empty one.
    pub fn new(flags: Flags, internal_ms: Option<i64>) -> Draft {
        Draft {
            flags,
            internal_ms,
            octets: BytesMut::new(),
            summariser: Summariser::new(),
            binary: false,
            has_nul: false,
        }
    }

    /// Octets in memory.
    pub fn buffered(&self) -> usize {
        match self.octets.capacity() {
            0 => 0,
            held => held + self.summariser.held(),
        }
    }

    /// Whether `literal` may come.
    pub fn announce(&mut self, literal: Literal, cx: &Cx<'_>) -> Result<(), Reply> {
        self.grow(literal.size, cx)?;
        if cx.crowded && self.octets.is_empty() {
            return Err(Reply::no("[LIMIT] Too many messages are being received, try again"));
        }
        self.binary = literal.binary;
        Ok(())
    }

    /// Whether there is room for so many octets more (rfc7889#4, rfc4469#4.2).
    pub fn grow(&self, octets: u64, cx: &Cx<'_>) -> Result<(), Reply> {
        let room = cx.server.message_bytes_max.saturating_sub(self.octets.len());
        if octets > room as u64 {
            return Err(Reply::no("[TOOBIG] The message is larger than APPENDLIMIT"));
        }
        Ok(())
    }

    /// More of the announced literal.
    pub fn add(&mut self, octets: &[u8]) {
        self.has_nul |= !self.binary && memchr::memchr(0, octets).is_some();
        if self.has_nul {
            // It will be refused; what is still to come need not be kept.
            (self.octets, self.summariser) = (BytesMut::new(), Summariser::new());
        } else {
            self.copy(octets);
        }
    }

    /// More that lies in the log already, NUL or not.
    pub fn copy(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        // A piece at a time, so that little is left to do in the end.
        self.summariser.advance(&self.octets);
    }

    /// Whether what came so far may stay.
    pub fn check(&self) -> Result<(), Reply> {
        if self.has_nul {
            // rfc3501#9, note 3: CHAR8 excludes NUL. rfc3516#4.4: only a literal8 may hold it.
            return Err(Reply::no("[CANNOT] A message with NUL has to come in a literal8"));
        }
        Ok(())
    }

    /// Goes on with the summary of the complete message, and puts both into the log, where nothing shows them yet. The
    /// draft comes back while there is more to look at.
    pub fn store(self, account: AccountId, core: &Core, cx: &mut Cx<'_>) -> Result<Stored, Reply> {
        if self.octets.is_empty() {
            // rfc3502#4: it cancels the command.
            return Err(Reply::no("[CANNOT] A message has at least one octet"));
        }
        let summary = match self.summariser.finish(&self.octets) {
            Ok(summary) => summary,
            Err(summariser) => return Ok(Stored::NotYet(Draft { summariser, ..self })),
        };
        let may_be_8bit = core.enabled.utf8_names() || cx.server.imap.legacy_8bit_headers;
        if summary.flags & flag::HEADER_8BIT != 0 && !may_be_8bit {
            // rfc9755#4: only who enabled UTF8=ACCEPT (or IMAP4rev2) may send such a header.
            return Err(Reply::no("[CANNOT] A header with 8-bit characters needs ENABLE UTF8=ACCEPT"));
        }
        let body = NewBody { parts: vec![self.octets.freeze()], summary: summary.encode() };
        let body = cx.store.append_body(account, body, cx.now)?;
        // rfc3501#6.3.11: without a date-time it is now. Days before 1970 are kept as its first moment.
        let internal_ms = self.internal_ms.map_or(cx.now.unix_ms, |ms| ms.max(0) as u64);
        Ok(Stored::Message(NewMessage { body, flags: self.flags, internal_ms }))
    }
}

/// How far a complete message has come.
pub enum Stored {
    /// It lies in the log.
    Message(NewMessage),
    /// Its summary is not yet made: let others run first.
    NotYet(Draft),
}
