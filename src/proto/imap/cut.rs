//! What a command leaves undone because it names more messages than one command may (rfc9738).
//!
//! *Owns*: which messages are left to a command, and how the client is told. *Promises*: those with the highest
//! UIDs are dealt with (rfc9738#3.1), so that a client goes on below the UID that it is told; nothing is
//! counted where no limit is configured. *Assumes*: one command at a time: the session says it with the
//! command's completion. *Never*: counts UIDs that name no message.

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::Uid;
use ringpost_engine::index::MailboxRef;

use super::command::PartialRange;
use super::out::Out;
use super::reply::{Reply, Status};
use super::view::View;

/// A command that deals with a part of what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    max: u32,
    /// The lowest UID that is dealt with.
    lowest: Option<Uid>,
}

impl Cut {
    /// Leaves the last `max` messages of a set; none if it has no more than that.
    pub fn to_last(uids: &mut UidSet, max: Option<u32>, view: &View, mailbox: MailboxRef<'_>) -> Option<Cut> {
        let max = max?;
        let one_more = max.checked_add(1)?;
        let from_last = |one, other| PartialRange { one, other, from_last: true };
        if view.at_places(mailbox, uids, from_last(one_more, one_more)).is_empty() {
            return None;
        }
        *uids = view.at_places(mailbox, uids, from_last(1, max));
        Some(Cut { max, lowest: uids.first() })
    }

    /// A command that is refused, since none of its messages may be left out.
    pub fn refusing(max: u32) -> Cut {
        Cut { max, lowest: None }
    }

    /// The refusal, with a hint where a smaller command may begin, if that is known.
    pub fn refuse(self) -> Reply {
        Reply::no(format!("{} Too many messages for one command", self.code()))
    }

    /// The response code (rfc9738#3.1).
    fn code(self) -> String {
        match self.lowest {
            Some(uid) => format!("[MESSAGELIMIT {} {uid}]", self.max),
            None => format!("[MESSAGELIMIT {}]", self.max),
        }
    }

    /// Says it behind the tag and `OK ` of a completion, or before that completion if it has another code
    /// already (rfc9738#3.1). What stands between status and text.
    pub fn tell(self, reply: &Reply, out: &mut Out) -> Option<String> {
        match reply.status {
            Status::Ok if !reply.text.starts_with('[') => return Some(format!("{} ", self.code())),
            Status::Ok | Status::No => {
                out.line(&format!("* NO {} Not all of the messages are dealt with", self.code()));
            }
            // Nothing was done.
            Status::Bad => {}
        }
        None
    }
}
