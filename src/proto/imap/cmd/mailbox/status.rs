//! STATUS: figures of a mailbox without selecting it (rfc3501#6.3.10 and the extensions that add items).
//!
//! *Owns*: how each item is counted and written. *Promises*: costs the same for any size of mailbox.
//! *Assumes*: the index keeps the counts. *Never*: opens the mailbox or changes anything.

use bytes::BytesMut;
use ringpost_engine::change::Rights;
use ringpost_engine::ids::AccountId;
use ringpost_engine::index::MailboxRef;

use crate::proto::Cx;
use crate::proto::imap::access;
use crate::proto::imap::command::StatusItem;
use crate::proto::imap::out::Out;
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
        match self.answer(core, cx) {
            Ok(()) => Reply::done().into(),
            Err(reply) => reply.into(),
        }
    }

    fn answer(&self, core: &mut Core, cx: &Cx<'_>) -> Result<(), Reply> {
        let target = access::find_selectable(&self.mailbox, core, cx)?;
        // rfc4314#4
        target.allow(Rights::READ)?;
        let facts = Facts { account: target.account.id(), append_limit: cx.server.message_bytes_max };
        put(&mut core.out, &self.mailbox, target.mailbox, &self.items, facts);
        Ok(())
    }
}

/// What some items say that is not the mailbox's own.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whose mailbox it is.
    pub account: AccountId,
    /// Octets of the largest message that is taken.
    pub append_limit: usize,
}

/// `* STATUS name (…)`, a whole line.
pub fn put(out: &mut Out, name: &str, mailbox: MailboxRef<'_>, items: &[StatusItem], facts: Facts) {
    out.put(b"* STATUS ");
    out.mailbox(name);
    let text = out.text();
    for (index, &item) in items.iter().enumerate() {
        text.extend_from_slice(if index == 0 { b" (" } else { b" " });
        put_item(text, mailbox, item, facts);
    }
    text.extend_from_slice(b")\r\n");
}

fn put_item(text: &mut BytesMut, mailbox: MailboxRef<'_>, item: StatusItem, facts: Facts) {
    let (name, value) = match item {
        StatusItem::Messages => ("MESSAGES ", mailbox.len() as u64),
        StatusItem::Recent => ("RECENT ", (mailbox.len() - mailbox.rank(mailbox.recent_from())) as u64),
        StatusItem::UidNext => ("UIDNEXT ", u64::from(mailbox.uid_next().0)),
        StatusItem::UidValidity => ("UIDVALIDITY ", u64::from(mailbox.uid_validity())),
        StatusItem::Unseen => ("UNSEEN ", mailbox.unseen() as u64),
        StatusItem::HighestModSeq => ("HIGHESTMODSEQ ", mailbox.highest_modseq().0),
        StatusItem::Size => ("SIZE ", mailbox.bytes()),
        StatusItem::Deleted => ("DELETED ", mailbox.deleted() as u64),
        StatusItem::DeletedStorage => ("DELETED-STORAGE ", mailbox.deleted_bytes()),
        StatusItem::AppendLimit => ("APPENDLIMIT ", facts.append_limit as u64),
        StatusItem::MailboxId => {
            text.extend_from_slice(b"MAILBOXID (");
            write::mailbox_id(text, facts.account, mailbox.id());
            return text.extend_from_slice(b")");
        }
    };
    text.extend_from_slice(name.as_bytes());
    reply::number(text, value);
}
