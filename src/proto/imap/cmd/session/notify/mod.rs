//! NOTIFY: being told of changes anywhere in the account, at any time (rfc5465).
//!
//! *Owns*: the command. *Promises*: what it shows of the watched mailboxes is what the cursor begins with.
//! *Assumes*: whoever ends a command tells the news after it. *Never*: remembers a mailbox: one mod-sequence
//! is the whole memory of what was told (see `watch`), for one mailbox or 20,000.

use super::super::mailbox::status;
use crate::limits::STEP_MESSAGES_MAX;
use crate::proto::Cx;
use crate::proto::imap::command::{self, Events};
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};

mod news;
mod watch;

pub use news::News;
pub use watch::Watch;

/// NOTIFY (rfc5465#3.1).
#[derive(Debug)]
pub struct Notify {
    command: command::Notify,
    /// What will be watched, while STATUS replies are written.
    watch: Option<Box<Watch>>,
    /// The name of the last mailbox that was shown.
    shown: String,
}

impl Notify {
    /// A NOTIFY that has not begun.
    pub fn new(command: command::Notify) -> Notify {
        Notify { command, watch: None, shown: String::new() }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.try_step(core, cx).unwrap_or_else(Step::Done)
    }

    fn try_step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        let status = match &mut self.command {
            command::Notify::Unsupported => {
                // rfc5465#3.1: NO, with all that is supported.
                return Err(Reply::no(
                    "[BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
                     MailboxMetadataChange ServerMetadataChange)] Not all of these events are known here",
                ));
            }
            command::Notify::None => {
                core.watch = Some(Box::new(Watch::nothing(core.account(cx)?)));
                return Ok(Reply::done().into());
            }
            command::Notify::Set { status, selected, groups } => {
                if self.watch.is_none() {
                    let (selected, groups) = (selected.take(), std::mem::take(groups));
                    self.watch = Some(Box::new(Watch::new(core.account(cx)?, selected, groups)));
                }
                *status
            }
        };
        if status && let Some(step) = self.show(core, cx)? {
            return Ok(step);
        }
        core.watch = self.watch.take();
        Ok(Reply::done().into())
    }

    /// STATUS of every watched mailbox but the selected one. Where it has to stop.
    fn show(&mut self, core: &mut Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let Some(watch) = &self.watch else { return Ok(None) };
        let account = core.account(cx)?;
        let selected = core.view.as_ref().map(|view| view.mailbox_id());
        let facts = status::Facts { account: account.id(), append_limit: cx.server.message_bytes_max };
        for (looked, mailbox) in account.mailboxes_after(&self.shown).enumerate() {
            if !core.out.has_room() {
                return Ok(Some(Step::Room));
            }
            if looked == STEP_MESSAGES_MAX {
                return Ok(Some(Step::Yield));
            }
            mailbox.name().clone_into(&mut self.shown);
            let events = watch.events_of(account, mailbox.name());
            if Some(mailbox.id()) == selected || mailbox.no_select() || !events.any(Events::OF_MESSAGES) {
                continue;
            }
            let items = watch::status_items(events, core.enabled);
            status::put(&mut core.out, mailbox.name(), mailbox, &items, facts);
        }
        Ok(None)
    }
}
