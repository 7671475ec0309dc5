//! Changes of very many messages, in steps.
//!
//! *Owns*: which changes are large, and how far one is. *Promises*: a step takes no longer than a change of
//! `limits::APPLY_STEP_MESSAGES` messages, but for letting go of memory; index and outcome are those of the same change
//! done at once, and until then nobody sees any of it but rows that lie among the removed ones already.
//! *Assumes*: no other change comes, and no checkpoint begins, between two steps. *Never*: is stopped half-way: the
//! change is durable.

use super::copying::{Copying, Order};
use super::{Applied, Keep, carry_out, change_account, delete_account, let_go_of_excess, slots};
use crate::arrival::Arrival;
use crate::change::{Change, Entry, Outcome, Refusal};
use crate::checkpoint::Key;
use crate::ids::MailboxId;
use crate::index::account::{Account, INBOX_ID};
use crate::index::graves::Burial;
use crate::index::{Index, Message};

/// A large change under way.
#[derive(Debug)]
pub(crate) struct Large(Work);

#[derive(Debug)]
enum Work {
    Copy(Box<Copying>),
    /// Mailboxes that go, with their messages.
    Delete(Box<Deleting>),
    /// An account that goes without a trace.
    Leave(Box<Deleting>),
    Reap,
}

impl Large {
    /// What is to be done in steps; none if the change is small enough to be done at once.
    pub(super) fn of(index: &mut Index, entry: &Entry) -> Option<Large> {
        let work = work(index, entry)?;
        if !matches!(work, Work::Reap) {
            index.before_change(Key::Account(entry.account));
        }
        Some(Large(work))
    }

    /// Goes on; the outcome when that was the last step.
    pub(crate) fn step(&mut self, index: &mut Index, entry: &Entry) -> Option<Outcome> {
        let max = index.step_messages;
        let applied = match &mut self.0 {
            Work::Copy(copying) => step_of_copy(index, entry, copying, max)?,
            Work::Delete(deleting) => step_of_delete(index, entry, deleting, max)?,
            Work::Leave(leaving) => step_of_leave(index, entry, leaving, max)?,
            Work::Reap => reap(index, entry, max)?,
        };
        Some(applied.unwrap_or_else(Outcome::Refused))
    }
}

fn work(index: &Index, entry: &Entry) -> Option<Work> {
    let many = index.step_messages;
    if let Change::Reap { until_ms } = entry.change {
        return (index.graves.due_until(until_ms) > many).then_some(Work::Reap);
    }
    if leaves(index, entry) {
        let mailboxes = index.accounts.get(entry.account)?.mailboxes.keys().copied().collect();
        return Some(Work::Leave(Box::new(Deleting { mailboxes, ..Deleting::default() })));
    }
    let deletes_account = entry.change == Change::AccountDelete;
    if !deletes_account && index.account(entry.account).is_none() {
        return None;
    }
    let account = index.accounts.get(entry.account)?;
    let len = |id| account.selectable(id).map_or(0, |mailbox| mailbox.columns.len());
    match &entry.change {
        Change::Copy { from, uids, .. } if uids.len() > many as u64 && len(*from) > many => {
            Some(Work::Copy(Box::default()))
        }
        Change::MailboxDelete { mailbox } if *mailbox != INBOX_ID && len(*mailbox) > many => {
            Some(Work::Delete(Box::new(Deleting { mailboxes: vec![*mailbox], ..Deleting::default() })))
        }
        Change::AccountDelete if account.messages > many as u64 => {
            let mailboxes = account.mailboxes.keys().copied().collect();
            Some(Work::Delete(Box::new(Deleting { mailboxes, ..Deleting::default() })))
        }
        _ => None,
    }
}

/// Whether an account goes without a trace.
fn leaves(index: &Index, entry: &Entry) -> bool {
    match entry.change {
        Change::AccountLeave => slots::may_leave(index, entry.account),
        Change::Arrive(Arrival::Dropped) => index.accounts.is_arriving(entry.account),
        _ => false,
    }
}

/// First all rows are read; then they let their bodies go; then the account goes.
fn step_of_leave(index: &mut Index, entry: &Entry, leaving: &mut Deleting, max: usize) -> Option<Applied> {
    let bodies = &mut index.bodies;
    if let Some(account) = index.accounts.change(entry.account) {
        match leaving.step(account, |_, message| bodies.release(message.key()), max) {
            Some(false) => return None,
            Some(true) => {}
            // It goes all the same; that nothing is known of its bodies is told.
            None => index.accounts.give_up(entry.account),
        }
    }
    Some(slots::go(index, entry))
}

fn step_of_copy(index: &mut Index, entry: &Entry, copying: &mut Copying, max: usize) -> Option<Applied> {
    let Change::Copy { from, to, uids, expunge } = &entry.change else {
        return Some(Err(Refusal::Limit));
    };
    let order = Order { from: *from, to: *to, uids, expunge: *expunge };
    let Some(account) = index.accounts.change(entry.account) else { return Some(Err(Refusal::NoAccount)) };
    let burial = Burial::new(entry.account, entry.lsn, &entry.stamp);
    let mut keep = Keep { bodies: &mut index.bodies, graves: &mut index.graves, burial };
    match copying.step(account, &mut keep, order, &entry.stamp, max) {
        Ok(false) => None,
        Ok(true) => {
            let copying = std::mem::take(copying);
            let applied = carry_out(index, entry, |account, _| copying.publish(account, order, &entry.stamp));
            let_go_of_excess(index, entry);
            Some(applied)
        }
        Err(refusal) => Some(carry_out(index, entry, |_, _| Err(refusal))),
    }
}

/// First all rows are read, for what cannot be read is not deleted; then they are buried; then the mailboxes go.
#[derive(Debug, Default)]
struct Deleting {
    mailboxes: Vec<MailboxId>,
    is_read: bool,
    /// Of those, and which of its blocks.
    at: usize,
    block: usize,
}

impl Deleting {
    /// True when all rows were taken, false when only some were looked at; none when some cannot be read.
    fn step(
        &mut self,
        account: &Account,
        mut take: impl FnMut(MailboxId, &Message),
        max: usize,
    ) -> Option<bool> {
        let mut left = max;
        while left > 0 {
            let Some(&id) = self.mailboxes.get(self.at) else {
                if self.is_read {
                    return Some(true);
                }
                (self.is_read, self.at, self.block) = (true, 0, 0);
                let damaged = |id| account.mailboxes.get(id).is_some_and(|held| held.columns.is_damaged());
                return (!self.mailboxes.iter().any(damaged)).then_some(false);
            };
            let block = account.mailboxes.get(&id).and_then(|held| held.columns.rows_of_block(self.block));
            let Some(rows) = block else {
                (self.at, self.block, left) = (self.at + 1, 0, left - 1);
                continue;
            };
            left = left.saturating_sub(rows.len());
            if self.is_read {
                rows.for_each(|message| take(id, &message));
            }
            self.block += 1;
        }
        Some(false)
    }
}

fn step_of_delete(index: &mut Index, entry: &Entry, deleting: &mut Deleting, max: usize) -> Option<Applied> {
    let Some(account) = index.accounts.change(entry.account) else { return Some(Err(Refusal::NoAccount)) };
    let burial = Burial::new(entry.account, entry.lsn, &entry.stamp);
    let mut keep = Keep { bodies: &mut index.bodies, graves: &mut index.graves, burial };
    let deletes_account = entry.change == Change::AccountDelete;
    match deleting.step(account, |id, message| keep.bury(id, message), max) {
        Some(false) => return None,
        Some(true) => {}
        None => {
            index.accounts.give_up(entry.account);
            // An account goes all the same; that nothing is known of its bodies is told.
            return (!deletes_account).then_some(Err(Refusal::NoAccount));
        }
    }
    let mailboxes = std::mem::take(&mut deleting.mailboxes);
    let cleared = carry_out(index, entry, |account, _| {
        for id in mailboxes {
            // A name that is only kept has no messages.
            account.edit(id, |mailbox| mailbox.clear(entry.stamp.modseq)).unwrap_or_default();
        }
        Ok(Outcome::Done)
    });
    match entry.change {
        Change::AccountDelete => Some(delete_account(index, entry)),
        _ => Some(cleared.and_then(|_| change_account(index, entry))),
    }
}

fn reap(index: &mut Index, entry: &Entry, max: usize) -> Option<Applied> {
    let Change::Reap { until_ms } = entry.change else { return Some(Err(Refusal::Limit)) };
    super::reap(index, until_ms, max).then_some(Ok(Outcome::Done))
}
