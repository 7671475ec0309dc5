//! Changes to bytes.
//!
//! *Owns*: the writing half of the codec. *Promises*: the fields of a change in the order in which it has
//! them. *Assumes*: the change fits. *Never*: fails.

use bytes::Bytes;

use crate::change::{
    Change, FlagOp, Flags, ImportedMessage, Inheritance, NewMessage, QuotaLimits, Rights, SpecialUse, Stamp,
    UidSet, UniqueIdForm,
};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::origin::SessionInfo;
use crate::owners::{Arrived, Claim};

/// See the module's head.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Writes behind what is there.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }

    /// What the store decided.
    pub(super) fn stamp(&mut self, stamp: &Stamp) {
        self.u64(stamp.time_ms);
        self.u64(stamp.modseq.0);
        self.u32(stamp.uid_first.0);
        self.u32(stamp.mailbox_first.0);
    }

    /// The fields of a change.
    pub(super) fn change(&mut self, change: &Change) {
        match change {
            Change::AccountCreate { address, password_hash, services, mailboxes } => {
                self.string(address);
                self.string(password_hash);
                self.u8(services.0);
                self.mailboxes(mailboxes);
            }
            Change::AccountPassword { password_hash } => self.string(password_hash),
            Change::AccountServices { services } => self.u8(services.0),
            Change::AccountDelete | Change::AccountLeave => {}
            Change::DomainAdd { name: text }
            | Change::DomainDelete { name: text }
            | Change::AliasDelete { address: text } => self.string(text),
            Change::AliasSet { address, targets } => {
                self.string(address);
                self.strings(targets);
            }
            Change::MailboxCreate { name, special_use } => {
                self.string(name);
                self.special_use(*special_use);
            }
            Change::MailboxRename { mailbox, to } => self.rename(*mailbox, to),
            Change::MailboxDelete { mailbox } => self.mailbox(*mailbox),
            Change::Subscribe { name, on } => self.subscribe(name, *on),
            Change::Deliver { mailbox, body, flags, internal_ms } => {
                self.mailbox(*mailbox);
                self.u64(body.0);
                self.flags(flags);
                self.u64(*internal_ms);
            }
            Change::FlagsStore { mailbox, uids, op, flags, unchanged_since } => {
                self.flags_store(*mailbox, uids, *op, flags, *unchanged_since);
            }
            Change::Copy { from, to, uids, expunge } => self.copy(*from, *to, uids, *expunge),
            Change::Expunge { mailbox, uids, only_deleted } => {
                self.mailbox(*mailbox);
                self.uids(uids);
                self.bool(*only_deleted);
            }
            Change::RecentSeen { mailbox, below } => {
                self.mailbox(*mailbox);
                self.u32(below.0);
            }
            Change::Append { mailbox, messages, replaces } => self.append(*mailbox, messages, *replaces),
            Change::Metadata { mailbox, entries } => self.metadata(*mailbox, entries),
            Change::Acl { mailbox, identifier, rights } => self.acl(*mailbox, identifier, *rights),
            Change::Quota { limits } => self.quota(limits),
            Change::UrlKey { mailbox } => self.maybe_mailbox(*mailbox),
            Change::AccountHide { capabilities } => self.strings(capabilities),
            Change::AccountReferral { url } => self.maybe_string(url.as_deref()),
            Change::MailboxAdopt { mailbox, uid_validity, unique_ids } => {
                self.adopt(*mailbox, *uid_validity, *unique_ids);
            }
            Change::Restore { of, from, uids, to } => self.restore(*of, *from, uids, *to),
            Change::Reap { until_ms } => self.u64(*until_ms),
            Change::Import { mailbox, messages, uid_next } => self.import(*mailbox, messages, *uid_next),
            Change::Distrust { from, until } | Change::Trust { from, until } => {
                [from.0, until.0].into_iter().for_each(|word| self.u64(word));
            }
            Change::Arrive(arrival) => arrival.encode(self.out),
            Change::SlotClaim { claim } => self.claim(claim),
            Change::SlotLeave { slot, epoch, to } => self.words([slot.0.into(), *epoch, to.0.into()]),
            Change::SlotClear { slot, epoch } => self.words([slot.0.into(), *epoch]),
            Change::Inherit(inheritance) => self.inherit(*inheritance),
            Change::Session { about } => self.session(about),
            Change::Read { of, mailbox, uids } => self.reading(*of, *mailbox, uids),
        }
    }

    fn subscribe(&mut self, name: &str, on: bool) {
        self.string(name);
        self.bool(on);
    }

    fn words<const N: usize>(&mut self, words: [u32; N]) {
        words.into_iter().for_each(|word| self.u32(word));
    }

    fn claim(&mut self, claim: &Claim) {
        self.u32(u32::from(claim.slot.0));
        self.u32(claim.epoch);
        self.u32(claim.accounts.len() as u32);
        for Arrived { account, mailboxes, messages, bytes } in &claim.accounts {
            self.u64(account.0);
            self.u32(*mailboxes);
            self.u64(*messages);
            self.u64(*bytes);
        }
        self.u32(claim.aliases.len() as u32);
        for (address, targets) in &claim.aliases {
            self.string(address);
            self.strings(targets);
        }
    }

    fn inherit(&mut self, inheritance: Inheritance) {
        self.u64(inheritance.next_account);
        self.u32(inheritance.uid_validity_floor);
    }

    fn adopt(&mut self, mailbox: MailboxId, uid_validity: u32, unique_ids: UniqueIdForm) {
        self.mailbox(mailbox);
        self.u32(uid_validity);
        self.u8(unique_ids as u8);
    }

    fn copy(&mut self, from: MailboxId, to: MailboxId, uids: &UidSet, expunge: bool) {
        self.mailbox(from);
        self.mailbox(to);
        self.uids(uids);
        self.bool(expunge);
    }

    fn mailboxes(&mut self, mailboxes: &[(String, Option<SpecialUse>)]) {
        self.u32(mailboxes.len() as u32);
        for (name, special_use) in mailboxes {
            self.string(name);
            self.special_use(*special_use);
        }
    }

    fn restore(&mut self, of: AccountId, from: MailboxId, uids: &UidSet, to: MailboxId) {
        self.u64(of.0);
        self.mailbox(from);
        self.uids(uids);
        self.mailbox(to);
    }

    fn rename(&mut self, mailbox: MailboxId, to: &str) {
        self.mailbox(mailbox);
        self.string(to);
    }

    fn flags_store(
        &mut self,
        mailbox: MailboxId,
        uids: &UidSet,
        op: FlagOp,
        flags: &Flags,
        unchanged_since: Option<ModSeq>,
    ) {
        self.mailbox(mailbox);
        self.uids(uids);
        self.u8(op as u8);
        self.flags(flags);
        self.maybe_u64(unchanged_since.map(|since| since.0));
    }

    fn append(&mut self, mailbox: MailboxId, messages: &[NewMessage], replaces: Option<(MailboxId, Uid)>) {
        self.mailbox(mailbox);
        self.maybe(replaces.is_some());
        let (of, uid) = replaces.unwrap_or_default();
        self.mailbox(of);
        self.u32(uid.0);
        self.u32(messages.len() as u32);
        messages.iter().for_each(|message| self.message(message));
    }

    fn message(&mut self, message: &NewMessage) {
        self.u64(message.body.0);
        self.flags(&message.flags);
        self.u64(message.internal_ms);
    }

    fn import(&mut self, mailbox: MailboxId, messages: &[ImportedMessage], uid_next: Uid) {
        self.mailbox(mailbox);
        self.u32(uid_next.0);
        self.u32(messages.len() as u32);
        for imported in messages {
            self.u32(imported.uid.0);
            self.message(&imported.message);
            self.maybe_string(imported.unique_id.as_deref());
        }
    }

    fn reading(&mut self, of: AccountId, mailbox: MailboxId, uids: &UidSet) {
        self.u64(of.0);
        self.mailbox(mailbox);
        self.uids(uids);
    }

    fn session(&mut self, about: &SessionInfo) {
        self.string(&about.service);
        self.u64(about.connection);
        self.bool(about.tls);
        self.string(&about.peer);
        self.string(&about.user);
        self.string(&about.client);
        self.u64(about.opened_ms);
    }

    fn metadata(&mut self, mailbox: Option<MailboxId>, entries: &[(String, Option<Bytes>)]) {
        self.maybe_mailbox(mailbox);
        self.u32(entries.len() as u32);
        for (name, value) in entries {
            self.string(name);
            self.maybe(value.is_some());
            let octets = value.as_deref().unwrap_or_default();
            self.u32(octets.len() as u32);
            self.out.extend_from_slice(octets);
        }
    }

    fn acl(&mut self, mailbox: MailboxId, identifier: &str, rights: Option<Rights>) {
        self.mailbox(mailbox);
        self.string(identifier);
        self.maybe(rights.is_some());
        self.u16(rights.unwrap_or_default().bits());
    }

    fn quota(&mut self, limits: &QuotaLimits) {
        self.maybe_u64(limits.storage_kib);
        self.maybe_u64(limits.messages);
        self.maybe_u64(limits.mailboxes);
    }

    fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    /// Whether what follows is there.
    fn maybe(&mut self, there: bool) {
        self.bool(there);
    }

    fn maybe_u64(&mut self, value: Option<u64>) {
        self.maybe(value.is_some());
        self.u64(value.unwrap_or_default());
    }

    fn mailbox(&mut self, mailbox: MailboxId) {
        self.u32(mailbox.0);
    }

    fn maybe_mailbox(&mut self, mailbox: Option<MailboxId>) {
        self.maybe(mailbox.is_some());
        self.mailbox(mailbox.unwrap_or_default());
    }

    fn string(&mut self, text: &str) {
        self.u16(text.len() as u16);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn maybe_string(&mut self, text: Option<&str>) {
        self.maybe(text.is_some());
        self.string(text.unwrap_or_default());
    }

    fn strings(&mut self, texts: &[String]) {
        self.u32(texts.len() as u32);
        for text in texts {
            self.string(text);
        }
    }

    fn special_use(&mut self, special_use: Option<SpecialUse>) {
        self.u8(special_use.map_or(0, |special_use| special_use as u8));
    }

    fn flags(&mut self, flags: &Flags) {
        self.u64(flags.system.0);
        self.strings(&flags.keywords);
    }

    fn uids(&mut self, uids: &UidSet) {
        self.u32(uids.ranges().len() as u32);
        for &(first, last) in uids.ranges() {
            self.u32(first);
            self.u32(last);
        }
    }
}
