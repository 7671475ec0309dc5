//! STORE (rfc3501#6.4.6) with UNCHANGEDSINCE (rfc7162#3.1.3).
//!
//! *Owns*: which replies a change of flags causes. *Promises*: works in chunks of messages, each one
//! change; what the client asked for silently is not echoed, unless the flags are not what it must now
//! believe. *Assumes*: the store evaluates UNCHANGEDSINCE when the change applies. *Never*: sends EXPUNGE.
//!
//! ```text
//!  Choose ──FlagsStore──► commit ──► Answer ──all told──► Choose … no more messages ──► Done
//! ```

use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, Outcome, Rights, UidSet};
use ringpost_engine::ids::Uid;
use ringpost_engine::index::MailboxRef;

use crate::limits::IMAP_CHANGE_MESSAGES_MAX;
use crate::proto::Cx;
use crate::proto::imap::access;
use crate::proto::imap::command;
use crate::proto::imap::cut::Cut;
use crate::proto::imap::reply::{self, Reply};
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug)]
pub struct Store {
    command: command::Store,
    uids: UidSet,
    next: Uid,
    begun: bool,
    /// UIDs of the chunk under way, with the flags before, unless the client had not been told of those.
    chunk: Vec<(Uid, Option<FlagBits>)>,
    answered: usize,
    /// UIDs that UNCHANGEDSINCE spared; told by number or UID at the end.
    modified: UidSet,
}

impl Store {
    /// A STORE that has not begun.
    pub fn new(command: command::Store) -> Store {
        Store {
            command,
            uids: UidSet::new(),
            next: Uid(1),
            begun: false,
            chunk: Vec::new(),
            answered: 0,
            modified: UidSet::new(),
        }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.try_step(wake, core, cx).unwrap_or_else(Step::Done)
    }

    fn try_step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        if !self.begun {
            self.begun = true;
            self.begin(core, cx)?;
        }
        if let Wake::Committed(outcome) = wake {
            self.applied(outcome, core, cx)?;
        }
        if !self.answer(core, cx)? {
            return Ok(Step::Room);
        }
        self.choose(core, cx)
    }

    fn begin(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<(), Reply> {
        if self.command.unchanged_since.is_some() {
            core.enable_condstore(cx);
        }
        self.permit(core.selected_rights(cx))?;
        let (view, mailbox) = core.selected_for_writing(cx)?;
        self.uids = view.resolve(mailbox, &self.command.set, self.command.uid)?;
        core.cut = Cut::to_last(&mut self.uids, cx.server.imap.message_limit, view, mailbox);
        Ok(())
    }

    /// Leaves only those flags that may be changed (rfc4314#4): what is left of several is done, but none of
    /// them is an error, and FLAGS, which is about all flags, needs the right to all.
    fn permit(&mut self, rights: Rights) -> Result<(), Reply> {
        let flags = access::permitted_flags(rights, self.command.flags.clone());
        let all = access::permitted_bits(rights) == access::permitted_bits(Rights::ALL);
        let nothing_left = flags == Flags::default() && self.command.flags != flags;
        if nothing_left || (self.command.op == FlagOp::Replace && !all) {
            return Err(Reply::no("[NOPERM] The rights do not suffice"));
        }
        self.command.flags = flags;
        Ok(())
    }

    /// The next chunk of messages becomes one change.
    fn choose(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        let (view, mailbox) = core.selected_for_writing(cx)?;
        let chunk = view.walk(mailbox, &self.uids, self.next).take(IMAP_CHANGE_MESSAGES_MAX);
        self.chunk.clear();
        self.chunk.extend(chunk.map(|(_, message)| {
            let known = (!view.is_untold(&message)).then_some(message.flags);
            (message.uid, known)
        }));
        self.answered = self.chunk.len();
        let Some(&(last, _)) = self.chunk.last() else { return Ok(self.finish(view, mailbox)) };
        self.next = Uid(last.0.saturating_add(1));
        let change = Change::FlagsStore {
            mailbox: view.mailbox_id(),
            uids: self.chunk.iter().map(|&(uid, _)| uid).collect(),
            op: self.command.op,
            flags: self.command.flags.clone(),
            unchanged_since: self.command.unchanged_since,
        };
        Ok(Step::Commit(core.append_selected(cx, change)?))
    }

    fn applied(&mut self, outcome: Outcome, core: &mut Core, cx: &mut Cx<'_>) -> Result<(), Reply> {
        let (done, modified) = match outcome {
            Outcome::Stored { done, modified } => (done, modified),
            Outcome::Refused(refusal) => return Err(refusal.into()),
            _ => return Err(Reply::no("[SERVERBUG] The store answered something else")),
        };
        self.chunk.retain(|&(uid, _)| done.contains(uid));
        self.answered = 0;
        self.modified = self.modified.union(&modified);
        if let Some(view) = &mut core.view
            && let Some(mailbox) = view.mailbox(cx.store)
        {
            // This command answers for what it changed; of the rest the view tells, which includes those
            // that were spared: rfc7162#3.1.3 recommends to show why.
            view.collect(mailbox, &done);
        }
        Ok(())
    }

    /// FETCH replies for the chunk. Whether all are written.
    fn answer(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<bool, Reply> {
        if self.answered == self.chunk.len() {
            return Ok(true);
        }
        let Core { view: Some(view), out, enabled, .. } = core else { return Ok(true) };
        let Some(mailbox) = view.mailbox(cx.store) else { return Ok(true) };
        view.tell_keywords(mailbox, out);
        let wanted = wanted_bits(&self.command, mailbox);
        while let Some(&(uid, before)) = self.chunk.get(self.answered) {
            if !out.has_room() {
                return Ok(false);
            }
            self.answered += 1;
            let Some(place) = mailbox.place(uid) else { continue };
            let message = mailbox.message(place);
            let believed = before.map(|before| applied(self.command.op, before, wanted));
            let silent = self.command.silent && believed == Some(message.flags);
            if silent && !enabled.condstore {
                continue;
            }
            let name = enabled.name(view.number_at(place, uid), uid);
            reply::fetch_begin(out.text(), name);
            if (self.command.uid || enabled.condstore) && !enabled.uidonly {
                // rfc3501#6.4.8
                out.put(b"UID ");
                reply::number(out.text(), u64::from(uid.0));
                out.put(b" ");
            }
            if enabled.condstore {
                // rfc7162#3.1.3: even if silent, so that the client's cache has the right mod-sequence.
                reply::modseq(out.text(), message.modseq);
            }
            if !silent {
                out.put(if enabled.condstore { b" FLAGS " } else { b"FLAGS " });
                reply::flags(out.text(), message.flags, view.is_recent(uid), mailbox.keywords());
            }
            out.put(b")\r\n");
        }
        Ok(true)
    }

    fn finish(&self, view: &View, mailbox: MailboxRef<'_>) -> Step {
        let modified = self.modified_text(view, mailbox);
        // rfc2180#4.2: a silent STORE passes over what is gone, another one says so.
        let says_gone = !self.command.uid && !self.command.silent && view.names_gone(&self.uids);
        let reply = match (says_gone, modified) {
            (false, None) => Reply::done(),
            (false, Some(code)) => Reply::ok(format!("{code} Conditional STORE failed for some")),
            (true, None) => Reply::no("[EXPUNGEISSUED] Some of the messages no longer exist"),
            (true, Some(code)) => Reply::no(format!("{code} Some of the messages no longer exist")),
        };
        reply.into()
    }

    /// rfc7162#3.1.3: numbers for STORE, UIDs for UID STORE.
    fn modified_text(&self, view: &View, mailbox: MailboxRef<'_>) -> Option<String> {
        if self.modified.is_empty() {
            return None;
        }
        let named: UidSet = match self.command.uid {
            true => self.modified.clone(),
            false => self.modified.iter().map(|uid| Uid(view.number(mailbox, uid))).collect(),
        };
        Some(format!("[MODIFIED {}]", reply::set_text(&named)))
    }
}

/// The bits that the command names. A keyword that the mailbox does not have can only be one to remove.
fn wanted_bits(command: &command::Store, mailbox: MailboxRef<'_>) -> FlagBits {
    let known = mailbox.keywords();
    let index = |name: &String| known.iter().position(|keyword| keyword.eq_ignore_ascii_case(name));
    let named = command.flags.keywords.iter().filter_map(index).map(FlagBits::keyword);
    named.fold(FlagBits(command.flags.system.0 & FlagBits::SYSTEM.0), FlagBits::union)
}

/// What a client that asked for `op` believes of flags that it knew as `before`.
fn applied(op: FlagOp, before: FlagBits, bits: FlagBits) -> FlagBits {
    match op {
        FlagOp::Replace => bits,
        FlagOp::Add => before.union(bits),
        FlagOp::Remove => before.without(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_believes_what_it_asked_for() {
        let (seen, draft) = (FlagBits::SEEN, FlagBits::DRAFT);
        assert_eq!(applied(FlagOp::Replace, seen, draft), draft);
        assert_eq!(applied(FlagOp::Add, seen, draft), seen.union(draft));
        assert_eq!(applied(FlagOp::Remove, seen.union(draft), draft), seen);
    }
}
