//! One account's mailboxes, by the changes of the log.
//!
//! *Owns*: names, and which UIDs are there or carry `\Deleted`. *Promises*: the same names and UIDs as the engine
//! for every change that the engine did not refuse. *Assumes*: ids as the stamps reserve them. *Never*: knows
//! a message beyond its UID.

use std::collections::BTreeMap;

use ringpost_engine::change::{self, Change, FlagBits, FlagOp, Flags, Stamp, UidSet};
use ringpost_engine::ids::{BodyId, MailboxId, Uid};
use ringpost_engine::index::{AccountRef, names};

use super::Effect;

const INBOX: MailboxId = MailboxId(1);

#[derive(Debug, Default)]
struct Mailbox {
    name: String,
    /// Only kept for its inferiors.
    no_select: bool,
    uids: UidSet,
    deleted: UidSet,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Account {
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    names: BTreeMap<String, MailboxId>,
}

impl Account {
    /// With INBOX and these.
    pub(super) fn new<'n>(mailboxes: impl Iterator<Item = &'n str>, stamp: &Stamp) -> Account {
        let mut account = Account::default();
        let mut next = stamp.mailbox_first;
        for name in std::iter::once(names::INBOX).chain(mailboxes) {
            account.create(name, &mut next);
        }
        account
    }

    /// As an index shows it.
    pub(super) fn of(account: &AccountRef<'_>) -> Account {
        let mut own = Account::default();
        for mailbox in account.mailboxes() {
            let mut seen = Mailbox { name: mailbox.name().to_owned(), ..Mailbox::default() };
            seen.no_select = mailbox.no_select();
            for message in (0..mailbox.len()).map(|place| mailbox.message(place)) {
                seen.uids.push(message.uid);
                if message.flags.contains(FlagBits::DELETED) {
                    seen.deleted.push(message.uid);
                }
            }
            own.names.insert(seen.name.clone(), mailbox.id());
            own.mailboxes.insert(mailbox.id(), seen);
        }
        own
    }

    pub(super) fn name(&self, mailbox: MailboxId) -> Option<&str> {
        self.mailboxes.get(&mailbox).map(|mailbox| mailbox.name.as_str())
    }

    pub(super) fn messages(&self, mailbox: MailboxId) -> u64 {
        self.mailboxes.get(&mailbox).map_or(0, |mailbox| mailbox.uids.len())
    }

    pub(super) fn by_name(&self, name: &str) -> Option<MailboxId> {
        self.names.get(names::canonical(name).as_ref()).copied()
    }

    /// A piece of it that came from another log.
    pub(super) fn receive(&mut self, arrival: &change::Arrival) {
        if let Some((id, name)) = arrival.mailbox() {
            self.names.insert(name.to_owned(), id);
            self.mailboxes.insert(id, Mailbox { name: name.to_owned(), ..Mailbox::default() });
        }
        let change::Arrival::Messages { mailbox, messages } = arrival else { return };
        let Some(mailbox) = self.mailboxes.get_mut(mailbox) else { return };
        for message in messages.iter().map(|moved| &moved.message) {
            mailbox.uids.push(message.uid);
            if message.flags.contains(FlagBits::DELETED) {
                mailbox.deleted.push(message.uid);
            }
        }
    }

    /// All its mailboxes and what is in them.
    pub(super) fn everything(self) -> Vec<(MailboxId, UidSet)> {
        self.mailboxes.into_iter().map(|(id, mailbox)| (id, mailbox.uids)).collect()
    }

    /// Messages that had left come back; none when there is no such mailbox.
    pub(super) fn put_back(&mut self, to: MailboxId, uids: &UidSet, first: Uid) -> Option<()> {
        self.selectable(to)?;
        // They come back without `\Deleted`.
        self.put(to, uids, &UidSet::new(), first);
        Some(())
    }

    /// Carries out a change; what leaves a mailbox is told in `left`.
    pub(super) fn apply(&mut self, change: &Change, stamp: &Stamp, left: &mut Left) -> Effect {
        let mut next = stamp.mailbox_first;
        match change {
            Change::MailboxCreate { name, .. } => {
                self.create(name, &mut next);
                Effect::Other
            }
            Change::MailboxRename { mailbox: INBOX, to } => self.empty_inbox_into(to, stamp, left),
            Change::MailboxRename { mailbox, to } => {
                self.rename(*mailbox, to, &mut next);
                Effect::Other
            }
            Change::MailboxDelete { mailbox } => self.delete(*mailbox, next, left),
            Change::Deliver { mailbox, .. } | Change::Import { mailbox, .. } => {
                self.arrive(*mailbox, &arrivals(change, stamp), None, left)
            }
            Change::Append { mailbox, replaces, .. } => {
                self.arrive(*mailbox, &arrivals(change, stamp), *replaces, left)
            }
            Change::FlagsStore { mailbox, uids, op, flags, .. } => {
                self.store(*mailbox, uids, *op, flags);
                Effect::Other
            }
            Change::Copy { from, to, uids, expunge } => self.copy((*from, *to), uids, *expunge, stamp, left),
            Change::Expunge { mailbox, uids, only_deleted } => {
                self.expunge(*mailbox, uids, *only_deleted, left)
            }
            _ => Effect::Other,
        }
    }

    /// A mailbox that can be selected.
    fn selectable(&mut self, mailbox: MailboxId) -> Option<&mut Mailbox> {
        self.mailboxes.get_mut(&mailbox).filter(|mailbox| !mailbox.no_select)
    }

    /// None when the name is taken or none that a mailbox may have.
    fn create(&mut self, name: &str, next: &mut MailboxId) -> Option<MailboxId> {
        let name = names::checked(name)?;
        let taken = self.names.get(name.as_ref()).and_then(|id| self.mailboxes.get(id));
        if taken.is_some_and(|mailbox| !mailbox.no_select) {
            return None;
        }
        self.create_superiors(&name, next);
        Some(self.insert(&name, next))
    }

    fn create_superiors(&mut self, name: &str, next: &mut MailboxId) {
        for (at, _) in name.match_indices(names::SEPARATOR) {
            if !self.names.contains_key(&name[..at]) {
                self.insert(&name[..at], next);
            }
        }
    }

    fn insert(&mut self, name: &str, next: &mut MailboxId) -> MailboxId {
        let id = *next;
        next.0 = next.0.saturating_add(1);
        self.mailboxes.insert(id, Mailbox { name: name.to_owned(), ..Mailbox::default() });
        if let Some(kept) = self.names.insert(name.to_owned(), id) {
            self.mailboxes.remove(&kept);
        }
        id
    }

    fn below(&self, name: &str) -> Vec<(String, MailboxId)> {
        let below = format!("{name}{}", names::SEPARATOR);
        let from = self.names.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below));
        from.map(|(name, &id)| (name.clone(), id)).collect()
    }

    fn rename(&mut self, mailbox: MailboxId, to: &str, next: &mut MailboxId) {
        let (Some(from), Some(to)) = (self.name(mailbox).map(str::to_owned), names::checked(to)) else {
            return;
        };
        if self.names.contains_key(to.as_ref()) {
            return;
        }
        let mut moves = self.below(&from);
        moves.push((from.clone(), mailbox));
        if moves.iter().any(|(name, _)| names::checked(&format!("{to}{}", &name[from.len()..])).is_none()) {
            return;
        }
        self.names.retain(|name, _| !moves.iter().any(|(moved, _)| moved == name));
        self.create_superiors(&to, next);
        for (name, id) in moves {
            let renamed = format!("{to}{}", &name[from.len()..]);
            if let Some(mailbox) = self.mailboxes.get_mut(&id) {
                mailbox.name.clone_from(&renamed);
            }
            self.names.insert(renamed, id);
        }
        self.prune_above(&from);
    }

    fn delete(&mut self, mailbox: MailboxId, mut next: MailboxId, left: &mut Left) -> Effect {
        if mailbox == INBOX || self.selectable(mailbox).is_none() {
            return Effect::Other;
        }
        if let Some(gone) = self.mailboxes.remove(&mailbox) {
            left.push((mailbox, gone.uids));
            self.names.remove(&gone.name);
            if self.below(&gone.name).is_empty() {
                self.prune_above(&gone.name);
            } else {
                let kept = self.insert(&gone.name, &mut next);
                self.mailboxes.entry(kept).and_modify(|mailbox| mailbox.no_select = true);
            }
        }
        Effect::MailboxGone(mailbox)
    }

    /// Drops the names above that were only kept for what is gone now.
    fn prune_above(&mut self, name: &str) {
        for (at, _) in name.rmatch_indices(names::SEPARATOR) {
            let above = &name[..at];
            let Some(&id) = self.names.get(above) else { continue };
            let kept = self.mailboxes.get(&id).is_some_and(|mailbox| mailbox.no_select);
            if !kept || !self.below(above).is_empty() {
                break;
            }
            self.names.remove(above);
            self.mailboxes.remove(&id);
        }
    }

    fn arrive(
        &mut self,
        mailbox: MailboxId,
        arrivals: &[Arrival<'_>],
        replaces: Option<(MailboxId, Uid)>,
        left: &mut Left,
    ) -> Effect {
        let Some(target) = self.selectable(mailbox) else { return Effect::Other };
        for (uid, _, flags) in arrivals {
            target.uids.push(*uid);
            if flags.system.contains(FlagBits::DELETED) {
                target.deleted.push(*uid);
            }
        }
        let replaced =
            replaces.filter(|&(of, uid)| self.remove(of, &[uid].into_iter().collect(), left).len() == 1);
        let messages = arrivals.iter().map(|&(uid, body, _)| (uid, body)).collect();
        Effect::Arrived { mailbox, messages, replaced }
    }

    fn store(&mut self, mailbox: MailboxId, uids: &UidSet, op: FlagOp, flags: &Flags) {
        let Some(mailbox) = self.selectable(mailbox) else { return };
        let touched = mailbox.uids.intersection(uids);
        mailbox.deleted = match (op, flags.system.contains(FlagBits::DELETED)) {
            (FlagOp::Replace | FlagOp::Add, true) => mailbox.deleted.union(&touched),
            (FlagOp::Replace, false) | (FlagOp::Remove, true) => mailbox.deleted.difference(&touched),
            (FlagOp::Add | FlagOp::Remove, false) => return,
        };
    }

    fn copy(
        &mut self,
        (from, to): (MailboxId, MailboxId),
        uids: &UidSet,
        moved: bool,
        stamp: &Stamp,
        left: &mut Left,
    ) -> Effect {
        let Some(source) = self.selectable(from) else { return Effect::Other };
        let (there, deleted) = (source.uids.intersection(uids), source.deleted.clone());
        if self.selectable(to).is_none() {
            return Effect::Other;
        }
        self.put(to, &there, &deleted, stamp.uid_first);
        if moved {
            self.remove(from, &there, left);
        }
        Effect::Copied { from, to, uids: there, first: stamp.uid_first, moved }
    }

    /// Shows these messages in a mailbox as well, under consecutive UIDs.
    fn put(&mut self, to: MailboxId, uids: &UidSet, deleted: &UidSet, first: Uid) {
        let Some(target) = self.selectable(to).filter(|_| !uids.is_empty()) else { return };
        let last = first.0.saturating_add(uids.len() as u32 - 1);
        target.uids.push_range(first, Uid(last));
        for uid in uids.intersection(deleted).iter() {
            target.deleted.push(Uid(first.0.saturating_add(rank(uids, uid) as u32)));
        }
    }

    fn empty_inbox_into(&mut self, to: &str, stamp: &Stamp, left: &mut Left) -> Effect {
        let Some(inbox) = self.selectable(INBOX) else { return Effect::Other };
        let (all, deleted) = (inbox.uids.clone(), inbox.deleted.clone());
        let mut next = stamp.mailbox_first;
        let Some(to) = self.create(to, &mut next) else { return Effect::Other };
        self.put(to, &all, &deleted, stamp.uid_first);
        self.remove(INBOX, &all, left);
        Effect::Copied { from: INBOX, to, uids: all, first: stamp.uid_first, moved: true }
    }

    fn expunge(&mut self, mailbox: MailboxId, uids: &UidSet, only_deleted: bool, left: &mut Left) -> Effect {
        let Some(of) = self.selectable(mailbox) else { return Effect::Other };
        let wanted = if only_deleted { of.deleted.intersection(uids) } else { uids.clone() };
        Effect::Expunged { mailbox, uids: self.remove(mailbox, &wanted, left) }
    }

    /// Removes messages; returns those that were there.
    fn remove(&mut self, id: MailboxId, uids: &UidSet, left: &mut Left) -> UidSet {
        let Some(mailbox) = self.selectable(id) else { return UidSet::new() };
        let gone = mailbox.uids.intersection(uids);
        mailbox.uids = mailbox.uids.difference(&gone);
        mailbox.deleted = mailbox.deleted.difference(&gone);
        left.push((id, gone.clone()));
        gone
    }
}

/// What left which mailbox.
type Left = Vec<(MailboxId, UidSet)>;
/// UID, body and flags of a message on its way in.
type Arrival<'a> = (Uid, BodyId, &'a Flags);

/// The messages that a change brings, in order of UID.
pub(super) fn arrivals<'a>(change: &'a Change, stamp: &Stamp) -> Vec<Arrival<'a>> {
    let uids = (stamp.uid_first.0..).map(Uid);
    match change {
        Change::Deliver { body, flags, .. } => vec![(stamp.uid_first, *body, flags)],
        Change::Append { messages, .. } => {
            let messages = messages.iter().zip(uids);
            messages.map(|(message, uid)| (uid, message.body, &message.flags)).collect()
        }
        Change::Import { messages, .. } => {
            let messages = messages.iter().zip(change.uids(stamp));
            messages.map(|(one, uid)| (uid, one.message.body, &one.message.flags)).collect()
        }
        _ => Vec::new(),
    }
}

/// How many UIDs of the set are below this one.
pub(super) fn rank(uids: &UidSet, uid: Uid) -> u64 {
    let below = uids.ranges().iter().take_while(|range| range.0 < uid.0);
    below.map(|&(first, last)| u64::from(last.min(uid.0 - 1) - first) + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_counts_what_is_below() {
        let set: UidSet = [2, 3, 4, 9, 12].map(Uid).into_iter().collect();
        let ranks: Vec<u64> = [1, 2, 4, 5, 9, 12, 13].map(|uid| rank(&set, Uid(uid))).into();
        assert_eq!(ranks, [0, 0, 2, 3, 3, 4, 5]);
    }
}
