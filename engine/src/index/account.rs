//! One account: its head and its tree of mailboxes.
//!
//! *Owns*: names, ids and totals of an account's mailboxes. *Promises*: INBOX is there; every superior level
//! of a name is there (I17); a mailbox that cannot be selected has inferiors; totals equal a recount (I15).
//! *Assumes*: names come in canonical form. *Never*: looks at messages beyond their totals.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::digest::Digest;
use super::mailbox::Mailbox;
use super::names;
use crate::change::{Refusal, Services, SpecialUse, Stamp};
use crate::ids::{AccountId, BodyId, MailboxId, ModSeq};
use crate::limits;

/// The id of every account's INBOX.
pub(super) const INBOX_ID: MailboxId = MailboxId(1);

/// See the module's head.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: AccountId,
    pub(super) address: String,
    pub(super) password_hash: String,
    pub(super) services: Services,
    pub(super) created_ms: u64,
    pub(super) highest_modseq: ModSeq,
    /// Its records are damaged: it is not served.
    pub(super) quarantined: bool,
    pub(super) next_mailbox: MailboxId,
    /// The greatest that any mailbox of this address ever had.
    pub(super) last_uid_validity: u32,
    pub(super) mailboxes: BTreeMap<MailboxId, Mailbox>,
    pub(super) names: BTreeMap<String, MailboxId>,
    pub(super) subscriptions: BTreeSet<String>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// Hands out the ids that a stamp reserved.
pub(super) struct Birth {
    next: MailboxId,
    time_ms: u64,
    modseq: ModSeq,
}

impl Birth {
    pub(super) fn new(stamp: &Stamp) -> Birth {
        Birth { next: stamp.mailbox_first, time_ms: stamp.time_ms, modseq: stamp.modseq }
    }
}

impl Account {
    /// A mailbox that can be selected.
    pub(super) fn selectable(&self, id: MailboxId) -> Result<&Mailbox, Refusal> {
        self.mailboxes.get(&id).filter(|mailbox| !mailbox.no_select).ok_or(Refusal::NoMailbox)
    }

    /// Works on a mailbox that can be selected, and carries its totals over into the account's.
    pub(super) fn edit<R>(
        &mut self,
        id: MailboxId,
        work: impl FnOnce(&mut Mailbox) -> R,
    ) -> Result<R, Refusal> {
        let mailbox = self.mailboxes.get_mut(&id).filter(|mailbox| !mailbox.no_select);
        let mailbox = mailbox.ok_or(Refusal::NoMailbox)?;
        self.messages -= mailbox.columns.len() as u64;
        self.bytes -= mailbox.bytes;
        let result = work(mailbox);
        self.messages += mailbox.columns.len() as u64;
        self.bytes += mailbox.bytes;
        Ok(result)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Mailbox> {
        self.names.get(names::canonical(name).as_ref()).map(|id| &self.mailboxes[id])
    }

    pub(super) fn has_children(&self, name: &str) -> bool {
        self.inferiors(&names::canonical(name)).next().is_some()
    }

    /// Everything below a name, in order.
    fn inferiors(&self, name: &str) -> impl Iterator<Item = (&str, MailboxId)> {
        let below = format!("{name}{}", names::SEPARATOR);
        let from = (Bound::Included(below.as_str()), Bound::Unbounded);
        let candidates = self.names.range::<str, _>(from).map(|(name, &id)| (name.as_str(), id));
        candidates.take_while(move |(name, _)| name.starts_with(&below))
    }

    /// A new mailbox and its missing superiors (rfc3501#6.3.3).
    pub(super) fn create(
        &mut self,
        name: &str,
        special_use: Option<SpecialUse>,
        birth: &mut Birth,
    ) -> Result<MailboxId, Refusal> {
        if self.by_name(name).is_some_and(|mailbox| !mailbox.no_select) {
            return Err(Refusal::Exists);
        }
        let missing = names::superiors(name).filter(|above| !self.names.contains_key(*above)).count();
        self.check_room(missing + 1)?;
        self.create_superiors(name, birth);
        let id = self.insert(name, birth);
        self.mailboxes.get_mut(&id).expect("just inserted").special_use = special_use;
        Ok(id)
    }

    fn check_room(&self, more: usize) -> Result<(), Refusal> {
        let fits = self.mailboxes.len() + more <= limits::MAILBOXES_PER_ACCOUNT_MAX;
        fits.then_some(()).ok_or(Refusal::Limit)
    }

    fn create_superiors(&mut self, name: &str, birth: &mut Birth) {
        for above in names::superiors(name) {
            if !self.names.contains_key(above) {
                self.insert(above, birth);
            }
        }
    }

    /// A mailbox under a name that is free or only kept for its inferiors.
    fn insert(&mut self, name: &str, birth: &mut Birth) -> MailboxId {
        let id = birth.next;
        birth.next = MailboxId(id.0 + 1);
        self.next_mailbox = birth.next;
        // I13: greater than any before, and ahead of whatever an earlier account of this address had.
        let seconds = u32::try_from(birth.time_ms / 1000).unwrap_or(u32::MAX);
        self.last_uid_validity = seconds.max(self.last_uid_validity.saturating_add(1));
        let mailbox = Mailbox::new(id, name, self.last_uid_validity, birth.modseq);
        self.mailboxes.insert(id, mailbox);
        if let Some(kept) = self.names.insert(name.to_owned(), id) {
            self.mailboxes.remove(&kept);
        }
        id
    }

    /// Another name for a mailbox other than INBOX, and for everything below it (rfc3501#6.3.5).
    pub(super) fn rename(&mut self, id: MailboxId, to: &str, birth: &mut Birth) -> Result<(), Refusal> {
        let from = self.mailboxes.get(&id).ok_or(Refusal::NoMailbox)?.name.clone();
        if self.names.contains_key(to) {
            return Err(Refusal::Exists);
        }
        let mut moves = vec![(from.clone(), to.to_owned(), id)];
        for (name, inferior) in self.inferiors(&from) {
            let renamed = format!("{to}{}", &name[from.len()..]);
            names::checked(&renamed).ok_or(Refusal::Limit)?;
            moves.push((name.to_owned(), renamed, inferior));
        }
        let stays =
            |name: &str| self.names.contains_key(name) && name != from && names::below(name, &from).is_none();
        let missing = names::superiors(to).filter(|above| !stays(above)).count();
        self.check_room(missing)?;
        for (name, _, _) in &moves {
            self.names.remove(name);
        }
        self.create_superiors(to, birth);
        for (_, renamed, moved) in moves {
            self.mailboxes.get_mut(&moved).expect("I17: a name has its mailbox").name.clone_from(&renamed);
            self.names.insert(renamed, moved);
        }
        self.prune_above(&from);
        Ok(())
    }

    /// Removes a mailbox other than INBOX; with inferiors, its name stays (rfc3501#6.3.4). Returns its
    /// bodies.
    pub(super) fn delete(&mut self, id: MailboxId, birth: &mut Birth) -> Result<Vec<BodyId>, Refusal> {
        if id == INBOX_ID {
            return Err(Refusal::NoMailbox);
        }
        let bodies = self.edit(id, |mailbox| mailbox.expunge(&mailbox.all_uids(), false, birth.modseq).1)?;
        let mailbox = self.mailboxes.remove(&id).expect("just edited");
        if self.has_children(&mailbox.name) {
            self.names.remove(&mailbox.name);
            let kept = self.insert(&mailbox.name, birth);
            self.mailboxes.get_mut(&kept).expect("just inserted").no_select = true;
        } else {
            self.names.remove(&mailbox.name);
            self.prune_above(&mailbox.name);
        }
        Ok(bodies)
    }

    /// Drops the names above that were only kept for what is gone now.
    fn prune_above(&mut self, name: &str) {
        for above in std::iter::successors(names::superior(name), |above| names::superior(above)) {
            let Some(&id) = self.names.get(above) else { continue };
            if !self.mailboxes[&id].no_select || self.has_children(above) {
                break;
            }
            self.names.remove(above);
            self.mailboxes.remove(&id);
        }
    }

    /// Adds or removes a subscription. A name that could never be one cannot be added.
    pub(super) fn subscribe(&mut self, name: &str, on: bool) -> Result<(), Refusal> {
        let name = names::canonical(name);
        if !on {
            self.subscriptions.remove(name.as_ref());
            return Ok(());
        }
        names::checked(&name).ok_or(Refusal::Limit)?;
        let full = self.subscriptions.len() >= limits::SUBSCRIPTIONS_PER_ACCOUNT_MAX;
        if full && !self.subscriptions.contains(name.as_ref()) {
            return Err(Refusal::Limit);
        }
        self.subscriptions.insert(name.into_owned());
        Ok(())
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.id.0);
        digest.text(&self.address);
        digest.text(&self.password_hash);
        digest.word(u64::from(self.services.0) << 1 | u64::from(self.quarantined));
        digest.word(self.created_ms);
        digest.word(self.highest_modseq.0);
        digest.word(u64::from(self.next_mailbox.0) << 32 | u64::from(self.last_uid_validity));
        digest.word(self.messages);
        digest.word(self.bytes);
        digest.word(self.mailboxes.len() as u64);
        for (name, id) in &self.names {
            digest.text(name);
            self.mailboxes[id].digest(digest);
        }
        digest.word(self.subscriptions.len() as u64);
        for name in &self.subscriptions {
            digest.text(name);
        }
    }
}
