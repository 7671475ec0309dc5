//! EXPUNGE and UID EXPUNGE (rfc3501#6.4.3, rfc4315#2.1).
//!
//! *Owns*: which messages go. *Promises*: works in chunks, so that no change is larger than what is
//! remembered for other sessions. *Assumes*: the view writes the EXPUNGE replies from what the store
//! remembers. *Never*: removes a message that the client has not been told of.

use ringpost_engine::change::{Change, FlagBits, Outcome, Rights, UidSet};
use ringpost_engine::ids::Uid;
use ringpost_engine::index::MailboxRef;

use crate::limits::{IMAP_CHANGE_MESSAGES_MAX, IMAP_SCAN_MESSAGES_MAX};
use crate::proto::Cx;
use crate::proto::imap::command::SequenceSet;
use crate::proto::imap::cut::Cut;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug)]
pub struct Expunge {
    uids: Option<SequenceSet>,
    sweep: Option<Sweep>,
    /// UID EXPUNGE under a limit counts first, since the last ones go.
    counting: Counting,
    /// Some message went.
    expunged: bool,
}

/// Whether the messages that are to go are still being counted.
#[derive(Debug)]
enum Counting {
    Yes(UidSet),
    Done,
}

impl Expunge {
    /// Everything that is `\Deleted`, or only what is also in a set of UIDs.
    pub fn new(uids: Option<SequenceSet>) -> Expunge {
        Expunge { uids, sweep: None, counting: Counting::Yes(UidSet::new()), expunged: false }
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        match wake {
            Wake::Committed(Outcome::Refused(refusal)) => return Reply::from(refusal).into(),
            Wake::Committed(Outcome::Expunged(uids)) => self.expunged |= !uids.is_empty(),
            _ => {}
        }
        if !core.tell(cx, true) {
            return Step::Room;
        }
        self.next(core, cx).unwrap_or_else(Step::Done)
    }

    fn next(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        core.require(cx, Rights::EXPUNGE)?;
        let qresync = core.enabled.qresync;
        let (view, mailbox) = core.selected_for_writing(cx)?;
        let sweep = match &mut self.sweep {
            Some(sweep) => sweep,
            None => {
                let within = match &self.uids {
                    Some(set) => view.resolve(mailbox, set, true)?,
                    None => everything(),
                };
                self.sweep.insert(Sweep::new(within))
            }
        };
        // rfc9738#3.1: EXPUNGE knows no limit.
        if let (Some(max), Some(_), Counting::Yes(found)) =
            (cx.server.imap.message_limit, &self.uids, &mut self.counting)
        {
            match sweep.next(view, mailbox) {
                Swept::Found(uids) => *found = found.union(&uids),
                Swept::More => {}
                Swept::Done => {
                    let mut left = std::mem::take(found);
                    let cut = Cut::to_last(&mut left, Some(max), view, mailbox);
                    *sweep = Sweep::new(left);
                    self.counting = Counting::Done;
                    core.cut = cut;
                }
            }
            return Ok(Step::Yield);
        }
        match sweep.next(view, mailbox) {
            // rfc7162#3.2.7, #3.2.9
            Swept::Done if self.expunged && qresync => {
                let highest = mailbox.highest_modseq();
                Ok(Reply::ok(format!("[HIGHESTMODSEQ {highest}] Expunged")).into())
            }
            Swept::Done => Ok(Reply::done().into()),
            Swept::More => Ok(Step::Yield),
            Swept::Found(uids) => {
                let change = Change::Expunge { mailbox: view.mailbox_id(), uids, only_deleted: true };
                Ok(Step::Commit(core.append_selected(cx, change)?))
            }
        }
    }
}

/// Finds `\Deleted` messages that the client knows of, chunk by chunk.
#[derive(Debug)]
pub struct Sweep {
    within: UidSet,
    next: Uid,
}

/// What a part of a sweep found.
#[derive(Debug)]
pub enum Swept {
    /// These, and there may be more.
    Found(UidSet),
    /// Nothing yet.
    More,
    /// No more.
    Done,
}

/// Every UID there can be.
pub fn everything() -> UidSet {
    let mut all = UidSet::new();
    all.push_range(Uid(1), Uid(u32::MAX));
    all
}

impl Sweep {
    /// A sweep of a set.
    pub fn new(within: UidSet) -> Sweep {
        Sweep { within, next: Uid(1) }
    }

    /// The next chunk.
    pub fn next(&mut self, view: &View, mailbox: MailboxRef<'_>) -> Swept {
        if mailbox.deleted() == 0 {
            return Swept::Done;
        }
        let mut uids = UidSet::new();
        let mut found = 0;
        for (looked, (_, message)) in view.walk(mailbox, &self.within, self.next).enumerate() {
            if looked == IMAP_SCAN_MESSAGES_MAX || found == IMAP_CHANGE_MESSAGES_MAX {
                return if found > 0 { Swept::Found(uids) } else { Swept::More };
            }
            self.next = Uid(message.uid.0.saturating_add(1));
            if message.flags.contains(FlagBits::DELETED) {
                uids.push(message.uid);
                found += 1;
            }
        }
        // The end was reached; the next call finds nothing behind it.
        if found > 0 { Swept::Found(uids) } else { Swept::Done }
    }
}
