//! STATUS: figures of a mailbox without selecting it (rfc3501#6.3.10).
//!
//! *Owns*: how each item is counted. *Promises*: costs the same for any size of mailbox. *Assumes*: the
//! index keeps the counts. *Never*: opens the mailbox or changes anything.

use ringpost_engine::index::MailboxRef;

use crate::proto::Cx;
use crate::proto::imap::command::StatusItem;
use crate::proto::imap::reply::{self, Reply};
use crate::proto::imap::state::{Core, Step};
use crate::proto::imap::write;

/// See the module.
#[derive(Debug)]
pub struct Status {
    /// Which mailbox.
    pub mailbox: String,
    /// What of it.
    pub items: Vec<StatusItem>,
}

impl Status {
    /// Does it.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        if self.items.contains(&StatusItem::HighestModSeq) {
            core.enable_condstore(cx);
        }
        let figures: Vec<(&str, u64)> = match core.account(cx) {
            Err(reply) => return reply.into(),
            Ok(account) => match account.mailbox_by_name(&self.mailbox) {
                Some(mailbox) if mailbox.no_select() => {
                    return Reply::no("[CANNOT] That name only holds others").into();
                }
                None => return Reply::no("[NONEXISTENT] No such mailbox").into(),
                Some(mailbox) => self.items.iter().map(|&item| figure(mailbox, item)).collect(),
            },
        };
        core.out.put(b"* STATUS ");
        write::mailbox(core.out.text(), &self.mailbox);
        for (index, (name, value)) in figures.into_iter().enumerate() {
            core.out.put(if index == 0 { b" (" } else { b" " });
            core.out.put(name.as_bytes());
            core.out.put(b" ");
            reply::number(core.out.text(), value);
        }
        core.out.line(")");
        Reply::done().into()
    }
}

fn figure(mailbox: MailboxRef<'_>, item: StatusItem) -> (&'static str, u64) {
    match item {
        StatusItem::Messages => ("MESSAGES", mailbox.len() as u64),
        StatusItem::Recent => ("RECENT", (mailbox.len() - mailbox.rank(mailbox.recent_from())) as u64),
        StatusItem::UidNext => ("UIDNEXT", u64::from(mailbox.uid_next().0)),
        StatusItem::UidValidity => ("UIDVALIDITY", u64::from(mailbox.uid_validity())),
        StatusItem::Unseen => ("UNSEEN", mailbox.unseen() as u64),
        StatusItem::HighestModSeq => ("HIGHESTMODSEQ", mailbox.highest_modseq().0),
    }
}
