//! COPY and MOVE into a mailbox of another account.
//!
//! *Owns*: how messages change their account: their octets travel with the session, on one shard as between
//! two, for every account keeps its own. *Promises*: what is copied by one command is there all at once or not at
//! all; memory is bounded by one load; a MOVE removes the originals when the copies are durable. *Assumes*: whoever
//! sees the destination refuse has the session brought back. *Never*: touches an original before its copy is there.
//!
//! ```text
//!  Choose ──► Load ──Warm──► Copy ──► there: bodies ─┬─last load──► Append ─► COPYUID ─┬─COPY─► Done
//!               ▲          Yield ⟲                   └─more──► back ─┐                 └─MOVE─► back
//!               └────────────────────────────────────────────────────┘                          │ Expunge
//!                                                                    Choose … Done ◄────────────┘
//! ```

use std::collections::VecDeque;

use bytes::Bytes;
use ringpost_engine::change::{Change, FlagBits, Flags, NewBody, NewMessage, Outcome, Rights, UidSet};
use ringpost_engine::ids::{BodyId, BodyKey, Uid};
use ringpost_engine::limits::APPEND_MESSAGES_MAX;
use ringpost_engine::octets::Octets;

use super::copy::target;
use crate::limits::{IMAP_TRANSFER_BYTES_MAX, IMAP_TRANSFER_STEP_BYTES};
use crate::proto::Cx;
use crate::proto::imap::access;
use crate::proto::imap::reply::{Reply, set_text};
use crate::proto::imap::state::{Core, Step, Wake};

/// See the module.
#[derive(Debug)]
pub struct Transfer {
    /// The destination, as the client names it.
    name: String,
    remove: bool,
    /// What the command means, from when it began.
    uids: UidSet,
    /// The first UID not yet dealt with.
    next: Uid,
    /// Messages of this round that are still at their source.
    waiting: VecDeque<Original>,
    /// Those that have a body at the destination.
    ready: Vec<NewMessage>,
    /// UIDs of this round.
    round: UidSet,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Choose,
    /// Those that wait are being copied, as many as are in memory.
    Copy(Load),
    /// The session carries them to the destination.
    Carry(Vec<(NewBody, Original)>),
    /// It is back for the next load.
    Load,
    /// They are being appended.
    Append,
    /// It is back to remove the originals.
    Back,
    /// They are being removed.
    Expunge,
}

/// What travels together.
#[derive(Debug)]
struct Load {
    /// Messages that are still to be copied.
    left: usize,
    done: Vec<(NewBody, Original)>,
    /// Of the message under way, and how many octets they are.
    parts: Vec<Bytes>,
    at: u32,
}

/// A message to be copied.
#[derive(Clone, Debug)]
struct Original {
    body: BodyKey,
    flags: Flags,
    internal_ms: u64,
}

impl Transfer {
    /// A COPY or MOVE of these messages of the selected mailbox.
    pub fn new(name: String, remove: bool, uids: UidSet) -> Transfer {
        Transfer {
            name,
            remove,
            uids,
            next: Uid(1),
            waiting: VecDeque::new(),
            ready: Vec::new(),
            round: UidSet::new(),
            stage: Stage::Choose,
        }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        match (std::mem::replace(&mut self.stage, Stage::Choose), wake) {
            (Stage::Choose, _) => self.choose(core, cx),
            (Stage::Copy(load), _) => self.carry(load, core, cx),
            (Stage::Carry(load), _) => self.unload(load, core, cx),
            (Stage::Load, _) => self.load(cx),
            (Stage::Append, Wake::Committed(outcome)) => self.appended(outcome, core),
            (Stage::Back, _) => {
                // What was granted when it began may be taken back by now.
                core.require(cx, Rights::DELETE_MESSAGES.union(Rights::EXPUNGE))?;
                let (mailbox, uids) = (core.selected(cx)?.0.mailbox_id(), self.round.clone());
                let change = Change::Expunge { mailbox, uids, only_deleted: false };
                self.stage = Stage::Expunge;
                Ok(Step::Commit(core.append_selected(cx, change)?))
            }
            (Stage::Expunge, Wake::Committed(Outcome::Expunged(_))) if self.next.0 == u32::MAX => {
                Ok(Reply::ok("MOVE completed").into())
            }
            (Stage::Expunge, Wake::Committed(Outcome::Expunged(_))) => self.choose(core, cx),
            (Stage::Append | Stage::Expunge, _) => {
                Err(Reply::no("[SERVERBUG] The store answered something else"))
            }
        }
    }

    /// Whose mailbox the destination is.
    fn owner(&self, core: &Core) -> String {
        let own = || core.user.as_ref().map_or_else(String::new, |user| user.address.clone());
        access::split_other(&self.name).map_or_else(own, |(owner, _)| owner.to_owned())
    }

    /// The messages of the next round: all of a COPY, as many as one change takes of a MOVE.
    fn choose(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        if self.remove {
            // rfc6851#5
            core.require(cx, Rights::DELETE_MESSAGES.union(Rights::EXPUNGE))?;
        }
        let (view, mailbox) = core.selected(cx)?;
        (self.round, self.waiting) = (UidSet::new(), VecDeque::new());
        let mut more = false;
        for (_, message) in view.walk(mailbox, &self.uids, self.next) {
            if self.waiting.len() == APPEND_MESSAGES_MAX {
                more = true;
                break;
            }
            self.next = Uid(message.uid.0.saturating_add(1));
            self.round.push(message.uid);
            let (body, internal_ms) = (message.key(), message.internal_ms);
            let flags = named(message.flags, mailbox.keywords());
            self.waiting.push_back(Original { body, flags, internal_ms });
        }
        if !more {
            self.next = Uid(u32::MAX);
        } else if !self.remove {
            return Err(Reply::no("[LIMIT] Too many messages at once for another user's mailbox"));
        }
        if self.waiting.is_empty() {
            return Ok(Reply::ok("Nothing to copy").into());
        }
        self.load(cx)
    }

    /// Brings the next load into memory.
    fn load(&mut self, cx: &Cx<'_>) -> Result<Step, Reply> {
        let (mut cold, mut bytes, mut left) = (Vec::new(), 0, 0);
        for original in &self.waiting {
            let (summary, body) = cx.store.seek(original.body);
            bytes += (body.len + summary.len) as usize;
            if bytes > IMAP_TRANSFER_BYTES_MAX && left > 0 {
                break;
            }
            left += 1;
            cold.extend([summary, body]);
        }
        self.stage = Stage::Copy(Load { left, done: Vec::with_capacity(left), parts: Vec::new(), at: 0 });
        Ok(Step::Warm(cold))
    }

    /// Copies the next piece of the load; takes all of it along to the destination.
    fn carry(&mut self, mut load: Load, core: &mut Core, cx: &Cx<'_>) -> Result<Step, Reply> {
        let octets = |octets: Octets| {
            cx.store.bytes(octets).map(|bytes| Bytes::copy_from_slice(&bytes)).ok_or_else(damaged)
        };
        let mut room = IMAP_TRANSFER_STEP_BYTES;
        while load.left > 0 {
            let Some(original) = self.waiting.front() else { break };
            let body = cx.store.body(original.body).ok_or_else(damaged)?;
            let piece = body.bytes.slice(load.at, room);
            if piece.len > 0 {
                load.parts.push(octets(piece)?);
                (load.at, room) = (load.at + piece.len, room - piece.len);
            }
            if load.at < body.bytes.len {
                self.stage = Stage::Copy(load);
                return Ok(Step::Yield);
            }
            let (parts, summary) = (std::mem::take(&mut load.parts), octets(body.summary.into())?);
            load.done.extend(self.waiting.pop_front().map(|original| (NewBody { parts, summary }, original)));
            (load.left, load.at) = (load.left - 1, 0);
        }
        self.stage = Stage::Carry(load.done);
        Ok(core.go_to(self.owner(core)))
    }

    /// Stores the load's bodies at the destination.
    fn unload(
        &mut self,
        load: Vec<(NewBody, Original)>,
        core: &mut Core,
        cx: &mut Cx<'_>,
    ) -> Result<Step, Reply> {
        let to = target(&self.name, core, cx)?;
        for (body, original) in load {
            let body = cx.store.append_body(to.account, body, cx.now)?;
            self.ready.push(original.with(body));
        }
        if self.waiting.is_empty() {
            return self.append(core, cx);
        }
        self.stage = Stage::Load;
        Ok(core.go_to(core.selected_at.clone()))
    }

    /// All of the round become messages at once.
    fn append(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        let to = target(&self.name, core, cx)?;
        let mut messages = std::mem::take(&mut self.ready);
        for message in &mut messages {
            message.flags = access::permitted_flags(to.rights, std::mem::take(&mut message.flags));
        }
        self.stage = Stage::Append;
        let change = Change::Append { mailbox: to.mailbox, messages, replaces: None };
        Ok(Step::Commit(core.append_to(to.account, cx, change)?))
    }

    fn appended(&mut self, outcome: Outcome, core: &mut Core) -> Result<Step, Reply> {
        let (uid_validity, uids) = match outcome {
            Outcome::Appended { uid_validity, uids, .. } => (uid_validity, uids),
            Outcome::Refused(refusal) => return Err(refusal.into()),
            _ => return Err(Reply::no("[SERVERBUG] The store answered something else")),
        };
        let code = format!("[COPYUID {uid_validity} {} {}]", set_text(&self.round), set_text(&uids));
        if !self.remove {
            return Ok(Reply::ok(format!("{code} COPY completed")).into());
        }
        // rfc6851#4.3: before the EXPUNGE replies, while the client still knows the originals.
        core.out.line(&format!("* OK {code} Moved"));
        self.stage = Stage::Back;
        Ok(core.go_to(core.selected_at.clone()))
    }
}

impl Original {
    /// The message that its copy is.
    fn with(&self, body: BodyId) -> NewMessage {
        NewMessage { body, flags: self.flags.clone(), internal_ms: self.internal_ms }
    }
}

fn damaged() -> Reply {
    Reply::no("[SERVERBUG] A message cannot be read")
}

/// Flags by their names.
fn named(bits: FlagBits, keywords: &[String]) -> Flags {
    let set = keywords.iter().enumerate().filter(|&(index, _)| bits.contains(FlagBits::keyword(index)));
    Flags {
        system: FlagBits(bits.0 & FlagBits::SYSTEM.0),
        keywords: set.map(|(_, keyword)| keyword.clone()).collect(),
    }
}
