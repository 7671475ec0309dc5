//! What few accounts and mailboxes have.
//!
//! *Owns*: annotations, access control lists, quotas, and what hides or sends away. *Promises*: eight bytes
//! for whoever has none of it. *Assumes*: the account keeps the totals over its mailboxes. *Never*: decides
//! what a right allows.

use std::collections::BTreeMap;

use super::annotations::Annotations;
use super::digest::Digest;
use super::validities::Shared;
use crate::change::{QuotaLimits, Refusal, Rights, UidSet, UniqueIdForm};
use crate::checkpoint::wire::{Wire, put, put_maybe, put_text};
use crate::ids::{ModSeq, Uid};
use crate::limits;

/// An access control list.
pub(super) type Acl = BTreeMap<String, Rights>;

/// Whom the mailboxes of an account name in their access control lists.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// In how many lists an identifier is.
    lists: BTreeMap<String, u32>,
    entries: usize,
    /// Who came into a first list or left the last, for the index to take over.
    news: Vec<(String, bool)>,
}

impl Grants {
    /// Entries of all lists.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Everybody who is in a list.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = &String> {
        self.lists.keys()
    }

    /// Takes who came into a first list (true) or left the last (false) since it was asked last, in order.
    pub(super) fn news(&mut self) -> Vec<(String, bool)> {
        std::mem::take(&mut self.news)
    }

    /// A list was this, and is that.
    pub(super) fn replace(&mut self, before: &Acl, after: &Acl) {
        self.entries = self.entries - before.len() + after.len();
        for identifier in after.keys().filter(|identifier| !before.contains_key(*identifier)) {
            let lists = self.lists.entry(identifier.clone()).or_default();
            *lists += 1;
            if *lists == 1 {
                self.news.push((identifier.clone(), true));
            }
        }
        for identifier in before.keys().filter(|identifier| !after.contains_key(*identifier)) {
            let lists = self.lists.get_mut(identifier).expect("I15: a list that is there was counted");
            *lists -= 1;
            if *lists == 0 {
                self.lists.remove(identifier);
                self.news.push((identifier.clone(), false));
            }
        }
    }
}

/// Of a mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct MailboxExtras {
    pub(super) annotations: Annotations,
    pub(super) acl: Acl,
    /// Mod-sequence of the last change that made its URLs void; 0 before the first.
    pub(super) url_generation: ModSeq,
    pub(super) unique_ids: UniqueIds,
    /// Below it, UIDs are those of the store that the mailbox was imported from; 0 without an import.
    pub(super) imported_next: Uid,
}

/// How POP3 names a mailbox's messages.
#[derive(Clone, Debug, Default)]
pub(super) struct UniqueIds {
    pub(super) form: UniqueIdForm,
    /// Of those that have another: they were imported with it, and are there.
    pub(super) given: BTreeMap<Uid, Box<str>>,
}

impl UniqueIds {
    /// Forgets those of messages that are gone.
    pub(super) fn remove(&mut self, gone: &UidSet) {
        if !self.given.is_empty() {
            self.given.retain(|uid, _| !gone.contains(*uid));
        }
    }
}

/// Sets or removes an entry; `room` is how many entries more the account may have. Tells whether anything is
/// different now.
pub(super) fn grant(
    acl: &mut Acl,
    identifier: &str,
    rights: Option<Rights>,
    room: usize,
) -> Result<bool, Refusal> {
    let Some(rights) = rights else { return Ok(acl.remove(identifier).is_some()) };
    let fits = !identifier.is_empty()
        && identifier.len() <= limits::ACL_IDENTIFIER_BYTES_MAX
        && !identifier.contains(char::is_control);
    let full = room == 0 || acl.len() >= limits::ACL_ENTRIES_PER_MAILBOX_MAX;
    if !fits || full && !acl.contains_key(identifier) {
        return Err(Refusal::Limit);
    }
    Ok(acl.insert(identifier.to_owned(), rights) != Some(rights))
}

/// Of an account.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountExtras {
    pub(super) annotations: Annotations,
    pub(super) quota: QuotaLimits,
    pub(super) hidden: Vec<String>,
    pub(super) referral: Option<String>,
    pub(super) shared: Shared,
}

impl MailboxExtras {
    /// All of it but the unique-ids that messages have of their own.
    pub(super) fn without_unique_ids(&self) -> MailboxExtras {
        let unique_ids = UniqueIds { form: self.unique_ids.form, ..UniqueIds::default() };
        let (annotations, acl) = (self.annotations.clone(), self.acl.clone());
        let (url_generation, imported_next) = (self.url_generation, self.imported_next);
        MailboxExtras { annotations, acl, url_generation, unique_ids, imported_next }
    }

    /// All of it, for a checkpoint.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.annotations.write(out);
        put(out, self.acl.len() as u64);
        for (identifier, rights) in &self.acl {
            put_text(out, identifier);
            put(out, u64::from(rights.bits()));
        }
        put(out, self.url_generation.0);
        out.push(self.unique_ids.form as u8);
        put(out, self.unique_ids.given.len() as u64);
        for (uid, unique_id) in &self.unique_ids.given {
            put(out, u64::from(uid.0));
            put_text(out, unique_id);
        }
        put(out, u64::from(self.imported_next.0));
    }

    /// What was written.
    pub(super) fn read(wire: &mut Wire<'_>) -> Option<MailboxExtras> {
        let annotations = Annotations::read(wire)?;
        let mut acl = Acl::new();
        for _ in 0..wire.count()? {
            let identifier = wire.text()?.to_owned();
            acl.insert(identifier, Rights::from_bits(u16::try_from(wire.number()?).ok()?)?);
        }
        let url_generation = ModSeq(wire.number()?);
        let mut unique_ids = UniqueIds { form: UniqueIdForm::of(wire.byte()?)?, given: BTreeMap::new() };
        for _ in 0..wire.count()? {
            unique_ids.given.insert(Uid(wire.word()?), wire.text()?.into());
        }
        let imported_next = Uid(wire.word()?);
        let read = MailboxExtras { annotations, acl, url_generation, unique_ids, imported_next };
        wire.is_empty().then_some(read)
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        self.annotations.digest(digest);
        digest.word(self.acl.len() as u64);
        for (identifier, rights) in &self.acl {
            digest.text(identifier);
            digest.word(u64::from(rights.bits()));
        }
        digest.word(self.url_generation.0);
        digest.word(u64::from(self.imported_next.0));
        digest.word(self.unique_ids.form as u64);
        digest.word(self.unique_ids.given.len() as u64);
        for (uid, unique_id) in &self.unique_ids.given {
            digest.word(u64::from(uid.0));
            digest.text(unique_id);
        }
    }
}

impl AccountExtras {
    /// The list of capabilities kept from clients, if it is within its bounds.
    pub(super) fn checked_hidden(capabilities: &[String]) -> Result<Vec<String>, Refusal> {
        let good = |name: &String| {
            !name.is_empty()
                && name.len() <= limits::CAPABILITY_BYTES_MAX
                && name.bytes().all(|b| b.is_ascii_graphic())
        };
        let fits = capabilities.len() <= limits::HIDDEN_CAPABILITIES_MAX && capabilities.iter().all(good);
        fits.then(|| capabilities.to_vec()).ok_or(Refusal::Limit)
    }

    /// A referral, if it is within its bounds and of one line.
    pub(super) fn checked_referral(url: Option<&String>) -> Result<Option<String>, Refusal> {
        let good = |url: &&String| {
            !url.is_empty()
                && url.len() <= limits::REFERRAL_BYTES_MAX
                && url.bytes().all(|b| b.is_ascii_graphic())
        };
        match url {
            None => Ok(None),
            url => url.filter(good).cloned().map(Some).ok_or(Refusal::Limit),
        }
    }

    /// All of it, for a checkpoint.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.annotations.write(out);
        for limit in [self.quota.storage_kib, self.quota.messages, self.quota.mailboxes] {
            put_maybe(out, limit);
        }
        put(out, self.hidden.len() as u64);
        self.hidden.iter().for_each(|name| put_text(out, name));
        put(out, u64::from(self.referral.is_some()));
        self.referral.iter().for_each(|url| put_text(out, url));
        self.shared.write(out);
    }

    /// What was written.
    pub(super) fn read(wire: &mut Wire<'_>) -> Option<AccountExtras> {
        let annotations = Annotations::read(wire)?;
        let quota =
            QuotaLimits { storage_kib: wire.maybe()?, messages: wire.maybe()?, mailboxes: wire.maybe()? };
        let hidden = (0..wire.count()?).map(|_| wire.text().map(str::to_owned)).collect::<Option<_>>()?;
        let referral = match wire.byte()? {
            0 => None,
            _ => Some(wire.text()?.to_owned()),
        };
        let shared = Shared::read(wire)?;
        wire.is_empty().then_some(AccountExtras { annotations, quota, hidden, referral, shared })
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        self.annotations.digest(digest);
        for limit in [self.quota.storage_kib, self.quota.messages, self.quota.mailboxes] {
            digest.word(u64::from(limit.is_some()));
            digest.word(limit.unwrap_or_default());
        }
        digest.word(self.hidden.len() as u64);
        self.hidden.iter().for_each(|name| digest.text(name));
        digest.word(u64::from(self.referral.is_some()));
        digest.text(self.referral.as_deref().unwrap_or_default());
        self.shared.digest(digest);
    }
}
