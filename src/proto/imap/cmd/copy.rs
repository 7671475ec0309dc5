//! COPY and MOVE (rfc3501#6.4.7, rfc6851) with COPYUID (rfc4315#3).
//!
//! *Owns*: one change that copies all or nothing. *Promises*: after MOVE the originals' EXPUNGE replies
//! come before its completion. *Assumes*: the store shares bodies, so the size of the messages does not
//! matter. *Never*: creates the target.

use ringpost_engine::change::{Change, Outcome, UidSet};
use ringpost_engine::ids::MailboxId;

use crate::proto::Cx;
use crate::proto::imap::command;
use crate::proto::imap::reply::{Reply, set_text};
use crate::proto::imap::state::{Core, Step, Wake};

/// See the module.
#[derive(Debug)]
pub struct Copy {
    command: command::Copy,
}

impl Copy {
    /// A COPY or MOVE that has not begun.
    pub fn new(command: command::Copy) -> Copy {
        Copy { command }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match wake {
            Wake::Committed(outcome) => self.finish(outcome, core),
            _ => self.begin(core, cx).unwrap_or_else(Step::Done),
        }
    }

    fn begin(&self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        let (from, uids) = {
            let (view, mailbox) = match self.command.remove {
                true => core.selected_for_writing(cx)?,
                false => core.selected(cx)?,
            };
            let set = view.resolve(mailbox, &self.command.set, self.command.uid)?;
            // The set may hold UIDs that the client has not been told of; they must not travel.
            let uids: UidSet =
                view.walk(mailbox, &set, ringpost_engine::ids::Uid(1)).map(|(_, m)| m.uid).collect();
            (view.mailbox_id(), uids)
        };
        let to = target(&self.command.mailbox, core, cx)?;
        if uids.is_empty() {
            // rfc3501#6.4.8: UIDs that are not there are no error.
            return Ok(match self.command.uid {
                true => Reply::ok("Nothing to copy"),
                false => Reply::no("[EXPUNGEISSUED] Those messages no longer exist"),
            }
            .into());
        }
        let change = Change::Copy { from, to, uids, expunge: self.command.remove };
        Ok(Step::Commit(core.append(cx, change)?))
    }

    fn finish(&self, outcome: Outcome, core: &mut Core) -> Step {
        let (uid_validity, source, target) = match outcome {
            Outcome::Copied { uid_validity, source, target } => (uid_validity, source, target),
            Outcome::Refused(refusal) => return Reply::from(refusal).into(),
            _ => return Reply::no("[SERVERBUG] The store answered something else").into(),
        };
        if source.is_empty() {
            return Reply::no("[EXPUNGEISSUED] Those messages no longer exist").into();
        }
        let code = format!("[COPYUID {uid_validity} {} {}]", set_text(&source), set_text(&target));
        if self.command.remove {
            // rfc6851#4.3: before the EXPUNGE replies, while the client still knows the originals.
            core.out.line(&format!("* OK {code} Moved"));
            return Reply::ok("MOVE completed").into();
        }
        Reply::ok(format!("{code} COPY completed")).into()
    }
}

/// The mailbox that messages go to (rfc3501#6.3.11, #6.4.7).
pub fn target(name: &str, core: &Core, cx: &Cx<'_>) -> Result<MailboxId, Reply> {
    let account = core.account(cx)?;
    match account.mailbox_by_name(name) {
        Some(mailbox) if mailbox.no_select() => Err(Reply::no("[CANNOT] That name only holds others")),
        Some(mailbox) => Ok(mailbox.id()),
        None => Err(Reply::no("[TRYCREATE] No such mailbox")),
    }
}
