//! APPEND (rfc3501#6.3.11) with APPENDUID (rfc4315#3).
//!
//! *Owns*: the message while it is received. *Promises*: a message that will not be taken is refused before
//! its octets are sent, where the client waits for that; memory grows with what has come, not with what was
//! announced. *Assumes*: the framer gives exactly the announced octets. *Never*: changes the message: a
//! literal is stored as it is.
//!
//! ```text
//!  begin ─refused─► NO            message_end
//!    └─► Receiving ──message───► Received ──body, Deliver──► commit ──► Done
//! ```

use bytes::{Bytes, BytesMut};
use ringpost_engine::change::{Change, Flags, NewBody, Outcome, Refusal};
use ringpost_engine::ids::MailboxId;

use super::copy::target;
use crate::proto::Cx;
use crate::proto::imap::cmd::Running;
use crate::proto::imap::command;
use crate::proto::imap::framer::Literal;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::mime;

/// See the module.
#[derive(Debug)]
pub struct Append {
    mailbox: MailboxId,
    flags: Flags,
    internal_ms: Option<i64>,
    octets: BytesMut,
    /// There is a NUL in it.
    has_nul: bool,
    /// The client wrote something behind the message.
    trailing: bool,
}

/// Whether a message may come, before it does.
pub fn begin(append: command::Append, literal: Literal, core: &Core, cx: &Cx<'_>) -> Result<Running, Reply> {
    if literal.binary {
        // rfc3516#4.4 gives `~{n}` to servers that show BINARY; for others it is no literal (rfc3501#9).
        return Err(Reply::bad("A message in ~{} is not taken here"));
    }
    if literal.size > cx.server.message_bytes_max as u64 {
        // rfc7889#4; rfc4469#4.2 has the code.
        return Err(Reply::no("[TOOBIG] The message is larger than APPENDLIMIT"));
    }
    if literal.size == 0 {
        return Err(Reply::no("[CANNOT] A message has at least one octet"));
    }
    let mailbox = target(&append.mailbox, core, cx)?;
    if cx.crowded {
        return Err(Reply::no("[LIMIT] Too many messages are being received, try again"));
    }
    Ok(Running::Append(Append {
        mailbox,
        flags: append.flags,
        internal_ms: append.internal_ms,
        octets: BytesMut::new(),
        has_nul: false,
        trailing: false,
    }))
}

impl Append {
    /// More of the message.
    pub fn message(&mut self, octets: &[u8]) {
        self.has_nul |= memchr::memchr(0, octets).is_some();
        if self.has_nul {
            // It will be refused; what is still to come need not be kept.
            self.octets = BytesMut::new();
        } else {
            self.octets.extend_from_slice(octets);
        }
    }

    /// The end of the command.
    pub fn message_end(&mut self, rest: &[u8]) {
        self.trailing = !rest.is_empty();
    }

    /// Octets held in memory.
    pub fn buffered(&self) -> usize {
        self.octets.capacity()
    }

    /// Goes on, the message being complete.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match wake {
            Wake::Committed(outcome) => finish(outcome),
            _ => self.store(core, cx).unwrap_or_else(Step::Done),
        }
    }

    fn store(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        if self.trailing {
            return Err(Reply::bad("Nothing may follow the message"));
        }
        if self.has_nul {
            // rfc3501#9, note 3: CHAR8 excludes NUL.
            return Err(Reply::no("[CANNOT] A message in a literal may not hold NUL"));
        }
        let octets: Bytes = std::mem::take(&mut self.octets).freeze();
        let summary = mime::summarise(&octets).encode();
        let body = NewBody { parts: vec![octets], summary };
        let body = cx.store.append_body(core.account_id(), body, cx.now)?;
        // rfc3501#6.3.11: without a date-time it is now. Days before 1970 are kept as its first moment.
        let internal_ms = self.internal_ms.map_or(cx.now.unix_ms, |ms| ms.max(0) as u64);
        let flags = std::mem::take(&mut self.flags);
        let change = Change::Deliver { mailbox: self.mailbox, body, flags, internal_ms };
        Ok(Step::Commit(core.append(cx, change)?))
    }
}

fn finish(outcome: Outcome) -> Step {
    match outcome {
        Outcome::Delivered { uid_validity, uid } => {
            Reply::ok(format!("[APPENDUID {uid_validity} {uid}] APPEND completed"))
        }
        // rfc3501#6.3.11: it was deleted while the message came.
        Outcome::Refused(Refusal::NoMailbox) => Reply::no("[TRYCREATE] No such mailbox"),
        Outcome::Refused(refusal) => Reply::from(refusal),
        _ => Reply::no("[SERVERBUG] The store answered something else"),
    }
    .into()
}
