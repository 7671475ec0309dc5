//! COPY and MOVE (rfc3501#6.4.7, rfc6851) with COPYUID (rfc4315#3).
//!
//! *Owns*: COPY as one change, all or nothing; MOVE as one change per chunk, so that none is larger than
//! what is remembered for other sessions. *Promises*: the numbers mean what they meant when the command
//! began; a MOVE's COPYUID comes before the EXPUNGE replies of what it names. *Assumes*: the store shares
//! bodies, so the size of the messages does not matter. *Never*: creates the target.
//!
//! ```text
//!  resolve ─► chunk ──Copy──► commit ─► COPY: Done
//!               ▲                └────► MOVE: COPYUID, EXPUNGEs ─┬─► Done
//!               └────────────────────────────── more ◄───────────┘
//! ```

use ringpost_engine::change::{Change, Outcome, Rights, UidSet};
use ringpost_engine::ids::{AccountId, MailboxId, Uid};
use ringpost_engine::index::MailboxRef;

use super::transfer::Transfer;
use crate::limits::IMAP_CHANGE_MESSAGES_MAX;
use crate::proto::Cx;
use crate::proto::imap::access;
use crate::proto::imap::command;
use crate::proto::imap::cut::Cut;
use crate::proto::imap::reply::{Reply, set_text};
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug)]
pub struct Copy {
    command: command::Copy,
    /// What the command means, from when it began.
    uids: Option<UidSet>,
    /// The first UID not yet dealt with.
    next: Uid,
    /// Messages were copied.
    copied: bool,
    /// Where to, as the change under way says.
    to: MailboxId,
    /// They go to another account.
    transfer: Option<Transfer>,
}

impl Copy {
    /// A COPY or MOVE that has not begun.
    pub fn new(command: command::Copy) -> Copy {
        Copy { command, uids: None, next: Uid(1), copied: false, to: MailboxId(0), transfer: None }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.try_step(wake, core, cx).unwrap_or_else(Step::Done)
    }

    fn try_step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        if let Some(transfer) = &mut self.transfer {
            return transfer.step(wake, core, cx);
        }
        if let Wake::Committed(outcome) = wake {
            let code = self.applied(outcome, core)?;
            if !self.command.remove {
                return Ok(self.finish(code));
            }
            if let Some(code) = code {
                // rfc6851#4.3: before the EXPUNGE replies, while the client still knows the originals.
                core.out.line(&format!("* OK {code} Moved"));
            }
        }
        if self.copied && !core.tell(cx, true) {
            return Ok(Step::Room);
        }
        self.choose(core, cx)
    }

    /// Where the messages are.
    fn source<'a>(&self, core: &'a Core, cx: &'a Cx<'_>) -> Result<(&'a View, MailboxRef<'a>), Reply> {
        if self.command.remove { core.selected_for_writing(cx) } else { core.selected(cx) }
    }

    /// What the command means, as far as one command may.
    fn resolve(&self, core: &mut Core, cx: &Cx<'_>) -> Result<UidSet, Reply> {
        let (view, mailbox) = self.source(core, cx)?;
        // What is moved within one mailbox comes back under new UIDs, which are not meant.
        let named = view.resolve(mailbox, &self.command.set, self.command.uid)?;
        let mut set = named.intersection(&view.known());
        let imap = &cx.server.imap;
        let max = if self.command.remove { imap.message_limit } else { imap.copies_max() };
        // rfc9738#3.1: a COPY is all or nothing; a MOVE goes on with what is left when it is repeated.
        match Cut::to_last(&mut set, max, view, mailbox) {
            Some(cut) if !self.command.remove => return Err(cut.refuse()),
            cut => core.cut = cut,
        }
        Ok(set)
    }

    /// The next messages become one change.
    fn choose(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        let set = match self.uids.take() {
            Some(set) => set,
            None => self.resolve(core, cx)?,
        };
        let (view, mailbox) = self.source(core, cx)?;
        let count_max = if self.command.remove { IMAP_CHANGE_MESSAGES_MAX } else { usize::MAX };
        let walk = view.walk(mailbox, &set, self.next).take(count_max);
        let uids: UidSet = walk.map(|(_, message)| message.uid).collect();
        let from = view.mailbox_id();
        self.uids = Some(set);
        if self.command.remove {
            // rfc6851#5: what STORE, COPY and EXPUNGE would need.
            core.require(cx, Rights::DELETE_MESSAGES.union(Rights::EXPUNGE))?;
        }
        let owner = access::split_other(&self.command.mailbox).map(|(owner, _)| owner);
        let owner = owner.or(core.user.as_ref().map(|user| user.address.as_str()));
        let here = owner == Some(core.selected_at.as_str());
        let to = if here { Some(target(&self.command.mailbox, core, cx)?) } else { None };
        // rfc4314#4: where not every flag may be set, each copy gets those that may.
        let all = access::permitted_bits(Rights::ALL);
        let to = to.filter(|to| access::permitted_bits(to.rights) == all);
        let Some(Destination { mailbox: to, .. }) = to else {
            let uids = self.uids.take().unwrap_or_default();
            let transfer = Transfer::new(self.command.mailbox.clone(), self.command.remove, uids);
            return self.transfer.insert(transfer).step(Wake::Go, core, cx);
        };
        let Some(last) = uids.last() else {
            // rfc6851#4.4: a MOVE expunges.
            let moved = self.copied && core.enabled.condstore;
            return Ok(self.finish(moved.then(|| format!("[HIGHESTMODSEQ {}]", mailbox.highest_modseq()))));
        };
        self.next = Uid(last.0.saturating_add(1));
        self.to = to;
        let change = Change::Copy { from, to, uids, expunge: self.command.remove };
        Ok(Step::Commit(core.append_selected(cx, change)?))
    }

    /// The response code for what was copied; none if nothing was.
    fn applied(&mut self, outcome: Outcome, core: &mut Core) -> Result<Option<String>, Reply> {
        match outcome {
            Outcome::Copied { source, .. } if source.is_empty() => Ok(None),
            Outcome::Copied { uid_validity, source, target } => {
                self.copied = true;
                if let Some(account) = core.view.as_ref().map(|view| view.account()) {
                    core.note_own_new(account, self.to, &target);
                }
                Ok(Some(format!("[COPYUID {uid_validity} {} {}]", set_text(&source), set_text(&target))))
            }
            Outcome::Refused(refusal) => Err(refusal.into()),
            _ => Err(Reply::no("[SERVERBUG] The store answered something else")),
        }
    }

    fn finish(&self, code: Option<String>) -> Step {
        let reply = match (self.copied, code) {
            (true, Some(code)) if self.command.remove => Reply::ok(format!("{code} MOVE completed")),
            (true, Some(code)) => Reply::ok(format!("{code} COPY completed")),
            (true, None) => Reply::ok("MOVE completed"),
            // rfc3501#6.4.8: UIDs that are not there are no error; nor is an empty `$` (rfc5182#2.1).
            (false, _) if self.command.uid || self.command.set.saved => Reply::ok("Nothing to copy"),
            (false, _) => Reply::no("[EXPUNGEISSUED] Those messages no longer exist"),
        };
        reply.into()
    }
}

/// Where messages go.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    /// Whose mailbox.
    pub account: AccountId,
    /// Which.
    pub mailbox: MailboxId,
    /// What the user may do with it: flags beyond that are lost on the way (rfc4314#4).
    pub rights: Rights,
}

/// The mailbox that messages go to (rfc3501#6.3.11, #6.4.7).
pub fn target(name: &str, core: &Core, cx: &Cx<'_>) -> Result<Destination, Reply> {
    let (account, own_name) = access::account_of(name, core, cx)?;
    if account.mailbox_by_name(own_name).is_none() && account.id() == core.account_id() {
        return Err(Reply::no("[TRYCREATE] No such mailbox"));
    }
    let found = access::find_selectable(name, core, cx)?;
    found.allow(Rights::INSERT)?;
    Ok(Destination { account: account.id(), mailbox: found.mailbox.id(), rights: found.rights })
}
