//! Messages of one mailbox on their way into another: COPY, MOVE and the rename of INBOX.
//!
//! *Owns*: how far such a change is. *Promises*: a step looks at a bounded number of messages; everything is judged
//! before anything is touched, and nobody sees a message at its new place before all are there (rfc9051#6.4.7).
//! *Assumes*: no other change comes between two steps. *Never*: refuses a message for its keywords: those that find no
//! room are left off.
//!
//! ```text
//!  judge: size, flags, UIDs ──quota, UIDs fit──► stage: rows beside the mailbox, references, graves ──► publish
//!        └──► refused, nothing is touched                                                 all at once, a block a step
//! ```

use super::{Applied, Keep};
use crate::change::{FlagBits, Outcome, QuotaUsage, Refusal, Stamp, UidSet};
use crate::ids::{MailboxId, Uid};
use crate::index::Message;
use crate::index::account::Account;
use crate::index::keywords::Translation;
use crate::index::mailbox::Mailbox;

/// From where, to where, which, and whether they leave where they were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    pub(super) from: MailboxId,
    pub(super) to: MailboxId,
    pub(super) uids: &'a UidSet,
    pub(super) expunge: bool,
}

/// How far the messages of a set are gone through.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    range: usize,
    /// The next UID of that range.
    from: u32,
}

impl Cursor {
    /// The next messages, and so many ranges, at most; none when all have been looked at.
    fn take(&mut self, mailbox: &Mailbox, uids: &UidSet, max: usize) -> Option<Vec<Message>> {
        let mut taken = Vec::new();
        for _ in 0..max {
            let Some(&(first, last)) = uids.ranges().get(self.range) else { break };
            let places = mailbox.columns.places(first.max(self.from), last);
            let some = places.start..places.end.min(places.start + max - taken.len());
            let is_all = some.end == places.end;
            taken.extend(some.map(|place| mailbox.columns.message(place)));
            if is_all {
                (self.range, self.from) = (self.range + 1, 0);
            } else {
                self.from = taken.last().map_or(self.from, |last| last.uid.0 + 1);
                break;
            }
        }
        (self.range < uids.ranges().len() || !taken.is_empty()).then_some(taken)
    }
}

/// What has been judged, and where the messages wait to be seen.
#[derive(Debug)]
struct Staged {
    translation: Option<Translation>,
    rows: Mailbox,
    cursor: Cursor,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Copying {
    cursor: Cursor,
    copied: UidSet,
    more: QuotaUsage,
    used: FlagBits,
    staged: Option<Staged>,
}

impl Copying {
    /// Goes on by at most so many messages; true when all wait to be seen.
    pub(super) fn step(
        &mut self,
        account: &mut Account,
        keep: &mut Keep<'_>,
        order: Order<'_>,
        stamp: &Stamp,
        max: usize,
    ) -> Result<bool, Refusal> {
        let source = account.selectable(order.from)?;
        let Some(staged) = &mut self.staged else {
            match self.cursor.take(source, order.uids, max) {
                Some(messages) => self.judge(&messages),
                None => self.staged = Some(self.stage(account, order, stamp)?),
            }
            return Ok(false);
        };
        let Some(mut messages) = staged.cursor.take(source, &self.copied, max) else { return Ok(true) };
        if order.expunge {
            // The originals lie buried: where something was moved from can be had as it was.
            messages.iter().for_each(|message| keep.bury(order.from, message));
        }
        let first = stamp.uid_first.0 + staged.rows.columns.len() as u32;
        for (message, uid) in messages.iter_mut().zip((first..).map(Uid)) {
            // Saved now (rfc8514#2).
            (message.uid, message.modseq, message.saved_ms) = (uid, stamp.modseq, stamp.time_ms);
            if let Some(translation) = &staged.translation {
                message.flags = translation.apply(message.flags);
            }
            keep.bodies.reference(message.key());
        }
        staged.rows.append(&messages);
        Ok(false)
    }

    fn judge(&mut self, messages: &[Message]) {
        for message in messages {
            self.copied.push(message.uid);
            self.more.bytes += u64::from(message.size);
            self.more.messages += 1;
            self.used = self.used.union(message.flags);
        }
    }

    fn stage(&self, account: &mut Account, order: Order<'_>, stamp: &Stamp) -> Result<Staged, Refusal> {
        let target = account.selectable(order.to)?;
        if !target.has_uids(stamp.uid_first, self.more.messages as usize) {
            return Err(Refusal::Limit);
        }
        if !order.expunge {
            account.check_quota(self.more)?;
        }
        let rows = Mailbox::new(order.to, "", target.uid_validity, stamp.modseq);
        let mut translation = None;
        if order.from != order.to {
            let names = account.selectable(order.from)?.keywords.clone();
            let translate = |target: &mut Mailbox| target.keywords.translation(&names, self.used);
            translation = Some(account.edit(order.to, translate)?);
        }
        Ok(Staged { translation, rows, cursor: Cursor::default() })
    }

    /// The messages are in their new mailbox, and where they leave the old one, not there any more.
    pub(super) fn publish(self, account: &mut Account, order: Order<'_>, stamp: &Stamp) -> Applied {
        let rows = self.staged.map(|staged| staged.rows).ok_or(Refusal::NoMailbox)?;
        let uid_validity = rows.uid_validity;
        account.edit(order.to, |target| target.absorb(rows))?;
        if order.expunge {
            account.edit(order.from, |source| match source.columns.len() as u64 == self.copied.len() {
                true => source.clear(stamp.modseq),
                false => source.expunge(&self.copied, false, stamp.modseq, |_| {}),
            })?;
        }
        let target = super::messages::consecutive(stamp.uid_first, self.more.messages);
        Ok(Outcome::Copied { uid_validity, source: self.copied, target })
    }

    /// All of it at once.
    pub(super) fn whole(
        account: &mut Account,
        keep: &mut Keep<'_>,
        order: Order<'_>,
        stamp: &Stamp,
    ) -> Applied {
        let mut copying = Copying::default();
        while !copying.step(account, keep, order, stamp, COPIED_TOGETHER)? {}
        copying.publish(account, order, stamp)
    }
}

/// Messages that are looked at together: 112 KiB.
const COPIED_TOGETHER: usize = 2048;
