//! One account: its head and its tree of mailboxes.
//!
//! *Owns*: names, ids and totals of an account's mailboxes, and which of them changed when. *Promises*: INBOX
//! is there; every superior level of a name is there (I17); a mailbox that cannot be selected has inferiors;
//! totals equal a recount (I15); what adds goes by the quota (I19). *Assumes*: names come in canonical form.
//! *Never*: looks at messages beyond their totals.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::cold::head::Parts;
use super::digest::Digest;
use super::events::{AccountEvent, Events};
use super::extras::{AccountExtras, Acl, Grants, MailboxExtras};
use super::mailbox::Mailbox;
use super::{Message, names};
use crate::change::{Quota, QuotaUsage, Refusal, Services, SpecialUse, Stamp};
use crate::checkpoint::images::Held;
use crate::ids::{AccountId, MailboxId, ModSeq, ShardId, Uid};
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
    pub(super) next_mailbox: MailboxId,
    /// The greatest that any mailbox of this address ever had.
    pub(super) last_uid_validity: u32,
    /// The smallest and the greatest under which a name of this account had messages and lost. I13
    pub(super) lost_uid_validity: Option<(u32, u32)>,
    /// Boxed: a node of the map has room for eleven, and most accounts have a handful.
    pub(super) mailboxes: BTreeMap<MailboxId, Box<Mailbox>>,
    pub(super) names: BTreeMap<String, MailboxId>,
    pub(super) subscriptions: BTreeSet<String>,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Every mailbox under its `highest_modseq`. I18
    pub(super) by_modseq: BTreeSet<(ModSeq, MailboxId)>,
    pub(super) events: Events,
    pub(super) extras: Option<Box<AccountExtras>>,
    /// Octets of the annotations of all mailboxes and the server's.
    pub(super) annotation_bytes: usize,
    pub(super) grants: Grants,
    /// Where the long parts of its image are.
    pub(super) parts: Parts,
    /// What its last image holds of checkpoint files, once it has changed since.
    pub(super) held: Option<Held>,
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
        let mailbox = self.mailboxes.get(&id).filter(|mailbox| !mailbox.no_select);
        mailbox.map(AsRef::as_ref).ok_or(Refusal::NoMailbox)
    }

    /// Works on a mailbox that can be selected, and carries its totals over into the account's.
    pub(super) fn edit<R>(
        &mut self,
        id: MailboxId,
        work: impl FnOnce(&mut Mailbox) -> R,
    ) -> Result<R, Refusal> {
        let mailbox = self.mailboxes.get_mut(&id).filter(|mailbox| !mailbox.no_select);
        let mailbox = mailbox.ok_or(Refusal::NoMailbox)?;
        let before = mailbox.highest_modseq;
        self.messages -= mailbox.columns.len() as u64;
        self.bytes -= mailbox.bytes;
        let result = work(mailbox);
        self.messages += mailbox.columns.len() as u64;
        self.bytes += mailbox.bytes;
        if mailbox.highest_modseq != before {
            self.by_modseq.remove(&(before, id));
            self.by_modseq.insert((mailbox.highest_modseq, id));
        }
        Ok(result)
    }

    /// Works on what few mailboxes have, and carries its totals over into the account's. A name that is only
    /// kept can have it as well (rfc5464#4.1).
    pub(super) fn edit_extras<R>(
        &mut self,
        id: MailboxId,
        work: impl FnOnce(&mut MailboxExtras) -> R,
    ) -> Result<R, Refusal> {
        let mailbox = self.mailboxes.get_mut(&id).ok_or(Refusal::NoMailbox)?;
        let extras = mailbox.extras.get_or_insert_default();
        self.annotation_bytes -= extras.annotations.bytes();
        let result = work(extras);
        self.annotation_bytes += extras.annotations.bytes();
        Ok(result)
    }

    /// Works on a mailbox's access control list, and counts anew who is in one.
    pub(super) fn edit_acl<R>(
        &mut self,
        id: MailboxId,
        work: impl FnOnce(&mut Acl) -> R,
    ) -> Result<R, Refusal> {
        let mailbox = self.mailboxes.get_mut(&id).ok_or(Refusal::NoMailbox)?;
        let acl = &mut mailbox.extras.get_or_insert_default().acl;
        let before = acl.clone();
        let result = work(acl);
        self.grants.replace(&before, acl);
        Ok(result)
    }

    /// The limits and what is used of them.
    pub(super) fn quota(&self) -> Quota {
        let mailboxes = self.mailboxes.len() as u64;
        Quota {
            limits: self.extras.as_ref().map(|extras| extras.quota).unwrap_or_default(),
            usage: QuotaUsage { bytes: self.bytes, messages: self.messages, mailboxes },
        }
    }

    /// Whether the quota has room for so much more. I19
    pub(super) fn check_quota(&self, more: QuotaUsage) -> Result<(), Refusal> {
        self.quota().has_room(more).then_some(()).ok_or(Refusal::OverQuota)
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&Mailbox> {
        self.names.get(names::canonical(name).as_ref()).map(|id| self.mailboxes[id].as_ref())
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
        self.check_room(missing + usize::from(!self.names.contains_key(name)))?;
        self.check_acl_room(name, missing + 1)?;
        self.create_superiors(name, birth);
        let id = self.insert_heir(name, birth);
        self.mailboxes.get_mut(&id).expect("just inserted").special_use = special_use;
        Ok(id)
    }

    /// Whether the account has room for access control lists in so many new mailboxes down to `name`.
    fn check_acl_room(&self, name: &str, more: usize) -> Result<(), Refusal> {
        let above = names::superiors(name).filter_map(|above| self.names.get(above)).last();
        let entries = above.map_or(0, |above| self.mailboxes[above].acl().len());
        let fits = self.grants.entries() + entries * more <= limits::ACL_ENTRIES_PER_ACCOUNT_MAX;
        fits.then_some(()).ok_or(Refusal::Limit)
    }

    fn check_room(&self, more: usize) -> Result<(), Refusal> {
        let fits = self.mailboxes.len() + more <= limits::MAILBOXES_PER_ACCOUNT_MAX;
        fits.then_some(()).ok_or(Refusal::Limit)?;
        self.check_quota(QuotaUsage { mailboxes: more as u64, ..QuotaUsage::default() })
    }

    fn create_superiors(&mut self, name: &str, birth: &mut Birth) {
        for above in names::superiors(name) {
            if !self.names.contains_key(above) {
                let mailbox = self.insert_heir(above, birth);
                let name = above.to_owned();
                self.events.record(birth.modseq, AccountEvent::MailboxCreated { mailbox, name });
            }
        }
    }

    /// A mailbox with the access control list of the one above (rfc4314#4).
    fn insert_heir(&mut self, name: &str, birth: &mut Birth) -> MailboxId {
        let id = self.insert(name, birth);
        let above = names::superior(name).and_then(|above| self.names.get(above));
        let acl = above.map(|above| self.mailboxes[above].acl().clone()).unwrap_or_default();
        if !acl.is_empty() {
            self.edit_acl(id, |own| *own = acl).expect("just inserted");
        }
        id
    }

    /// A mailbox under a name that is free or only kept for its inferiors.
    fn insert(&mut self, name: &str, birth: &mut Birth) -> MailboxId {
        let id = birth.next;
        birth.next = MailboxId(id.0 + 1);
        self.next_mailbox = birth.next;
        let mailbox = Mailbox::new(id, name, self.new_uid_validity(birth), birth.modseq);
        self.by_modseq.insert((mailbox.highest_modseq, id));
        self.mailboxes.insert(id, Box::new(mailbox));
        if let Some(kept) = self.names.insert(name.to_owned(), id) {
            self.remove(kept);
        }
        id
    }

    /// I13: greater than any before, and ahead of whatever an earlier account of this address had.
    fn new_uid_validity(&mut self, birth: &Birth) -> u32 {
        let seconds = u32::try_from(birth.time_ms / 1000).unwrap_or(u32::MAX);
        self.last_uid_validity = seconds.max(self.last_uid_validity.saturating_add(1));
        self.last_uid_validity
    }

    /// A mailbox takes a UIDVALIDITY over, which others may have as well.
    pub(super) fn adopt_uid_validity(&mut self, id: MailboxId, adopted: u32) -> Result<(), Refusal> {
        let had = self.edit(id, |mailbox| std::mem::replace(&mut mailbox.uid_validity, adopted))?;
        self.last_uid_validity = self.last_uid_validity.max(adopted);
        if had != adopted {
            self.leave_uid_validity(had);
            let have_it = self.mailboxes.values().filter(|mailbox| mailbox.uid_validity == adopted);
            match (&mut self.extras, have_it.count() as u32) {
                (_, 0 | 1) => {}
                (extras, count) => extras.get_or_insert_default().shared.join(adopted, count),
            }
        }
        Ok(())
    }

    /// A name is no longer that of a mailbox with this UIDVALIDITY. Without any UID it named nothing. I13
    fn lose_uid_validity(&mut self, lost: u32, uid_next: Uid, name: &str, mailbox: MailboxId) {
        if uid_next > Uid(1) {
            let (first, last) = self.lost_uid_validity.unwrap_or((lost, lost));
            self.lost_uid_validity = Some((first.min(lost), last.max(lost)));
            if let Some(extras) = &mut self.extras {
                extras.shared.lose(lost, name, mailbox);
            }
        }
    }

    /// A mailbox has come by its name. If another had UIDs under it and this UIDVALIDITY, it gets a new one. I13
    fn renew_uid_validity(&mut self, id: MailboxId, birth: &Birth) {
        let Ok(mailbox) = self.selectable(id) else { return };
        let (had, extras) = (mailbox.uid_validity, self.extras.as_ref());
        if extras.is_some_and(|extras| extras.shared.is_spent(had, &mailbox.name, id)) {
            self.leave_uid_validity(had);
            let new = self.new_uid_validity(birth);
            let renewed = self.edit(id, |mailbox| {
                mailbox.uid_validity = new;
                // Whoever watches it is told: rfc5465#5.1
                mailbox.highest_modseq = birth.modseq;
            });
            renewed.expect("it can be selected");
        }
    }

    /// A mailbox is gone, or has another UIDVALIDITY.
    fn leave_uid_validity(&mut self, had: u32) {
        if let Some(extras) = &mut self.extras {
            extras.shared.leave(had);
        }
    }

    /// Takes a mailbox that was made elsewhere into every total.
    pub(super) fn enter(&mut self, mailbox: Mailbox) -> Option<()> {
        self.messages += mailbox.columns.len() as u64;
        self.bytes = self.bytes.checked_add(mailbox.bytes)?;
        self.by_modseq.insert((mailbox.highest_modseq, mailbox.id));
        if let Some(extras) = &mailbox.extras {
            self.annotation_bytes += extras.annotations.bytes();
            self.grants.replace(&BTreeMap::new(), &extras.acl);
        }
        let name_is_new = self.names.insert(mailbox.name.clone(), mailbox.id).is_none();
        let id_is_new = self.mailboxes.insert(mailbox.id, Box::new(mailbox)).is_none();
        (name_is_new && id_is_new).then_some(())
    }

    /// Takes a mailbox out of every total. Its name is the caller's affair.
    fn remove(&mut self, id: MailboxId) -> Box<Mailbox> {
        let mailbox = self.mailboxes.remove(&id).expect("I17: a name has its mailbox");
        self.leave_uid_validity(mailbox.uid_validity);
        self.by_modseq.remove(&(mailbox.highest_modseq, id));
        if let Some(extras) = &mailbox.extras {
            self.annotation_bytes -= extras.annotations.bytes();
            self.grants.replace(&extras.acl, &Acl::new());
        }
        mailbox
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
        self.check_acl_room(to, missing)?;
        for (name, _, moved) in &moves {
            self.names.remove(name);
            let mailbox = &self.mailboxes[moved];
            self.lose_uid_validity(mailbox.uid_validity, mailbox.uid_next, name, *moved);
        }
        self.create_superiors(to, birth);
        for (_, renamed, moved) in moves {
            let mailbox = self.mailboxes.get_mut(&moved).expect("I17: a name has its mailbox");
            mailbox.name.clone_from(&renamed);
            self.names.insert(renamed, moved);
            self.renew_uid_validity(moved, birth);
        }
        self.prune_above(&from, birth.modseq);
        let event = AccountEvent::MailboxRenamed { mailbox: id, from, to: to.to_owned() };
        self.events.record(birth.modseq, event);
        Ok(())
    }

    /// Removes a mailbox other than INBOX, tells of each message it showed and returns it, empty; with inferiors,
    /// its name stays (rfc3501#6.3.4).
    pub(super) fn delete(
        &mut self,
        id: MailboxId,
        birth: &mut Birth,
        gone_with: impl FnMut(&Message),
    ) -> Result<Box<Mailbox>, Refusal> {
        if id == INBOX_ID {
            return Err(Refusal::NoMailbox);
        }
        self.edit(id, |mailbox| mailbox.expunge(&mailbox.all_uids(), false, birth.modseq, gone_with))?;
        let gone = self.remove(id);
        let name = gone.name.clone();
        self.lose_uid_validity(gone.uid_validity, gone.uid_next, &name, id);
        self.names.remove(&name);
        if self.has_children(&name) {
            let kept = self.insert(&name, birth);
            self.mailboxes.get_mut(&kept).expect("just inserted").no_select = true;
        } else {
            self.prune_above(&name, birth.modseq);
        }
        self.events.record(birth.modseq, AccountEvent::MailboxDeleted { mailbox: id, name });
        Ok(gone)
    }

    /// Drops the names above that were only kept for what is gone now.
    fn prune_above(&mut self, name: &str, modseq: ModSeq) {
        for above in std::iter::successors(names::superior(name), |above| names::superior(above)) {
            let Some(&id) = self.names.get(above) else { continue };
            if !self.mailboxes[&id].no_select || self.has_children(above) {
                break;
            }
            self.names.remove(above);
            let name = self.remove(id).name;
            self.events.record(modseq, AccountEvent::MailboxDeleted { mailbox: id, name });
        }
    }

    /// Adds or removes a subscription. A name that could never be one cannot be added.
    pub(super) fn subscribe(&mut self, name: &str, on: bool, modseq: ModSeq) -> Result<(), Refusal> {
        let name = names::canonical(name).into_owned();
        let was_on = self.subscriptions.contains(&name);
        if on && !was_on {
            names::checked(&name).ok_or(Refusal::Limit)?;
            if self.subscriptions.len() >= limits::SUBSCRIPTIONS_PER_ACCOUNT_MAX {
                return Err(Refusal::Limit);
            }
            self.subscriptions.insert(name.clone());
        } else if !on {
            self.subscriptions.remove(&name);
        }
        if on != was_on {
            self.events.record(modseq, AccountEvent::Subscription { name, on });
        }
        Ok(())
    }

    /// Bytes of memory that it takes, about: what is on the heap for a name or a small box is not asked for.
    pub(super) fn memory(&self) -> usize {
        const ENTRY: usize = 64;
        let texts = self.address.len() + self.password_hash.len();
        let mailbox = |mailbox: &Mailbox| {
            let history = mailbox.expunges.memory() + mailbox.columns.memory();
            size_of::<Mailbox>() + 4 * (ENTRY + mailbox.name.len()) + history
        };
        let mailboxes: usize = self.mailboxes.values().map(|boxed| mailbox(boxed)).sum();
        let shared = self.extras.as_ref().map_or(0, |extras| extras.shared.memory());
        let few = self.annotation_bytes + ENTRY * self.grants.entries() + shared;
        size_of::<Account>() + texts + mailboxes + few
    }

    /// With the shard that it lies on, the same on all shards.
    pub(super) fn digest(&self, digest: &mut Digest, shard: Option<ShardId>) {
        digest.word(self.id.0);
        digest.text(&self.address);
        digest.text(&self.password_hash);
        digest.word(u64::from(self.services.0));
        digest.word(self.created_ms);
        digest.word(self.highest_modseq.0);
        digest.word(u64::from(self.next_mailbox.0) << 32 | u64::from(self.last_uid_validity));
        let (first, last) = self.lost_uid_validity.unwrap_or_default();
        digest.word(u64::from(first) << 32 | u64::from(last));
        digest.word(self.messages);
        digest.word(self.bytes);
        digest.word(self.mailboxes.len() as u64);
        for (name, id) in &self.names {
            digest.text(name);
            self.mailboxes[id].digest(digest, shard);
        }
        digest.word(self.subscriptions.len() as u64);
        for name in &self.subscriptions {
            digest.text(name);
        }
        for (modseq, id) in &self.by_modseq {
            digest.word(modseq.0);
            digest.word(u64::from(id.0));
        }
        self.events.digest(digest);
        self.extras.as_deref().unwrap_or(&AccountExtras::default()).digest(digest);
        digest.word(self.annotation_bytes as u64);
        digest.word(self.grants.entries() as u64);
    }
}
