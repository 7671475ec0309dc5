//! What readers see.
//!
//! *Owns*: [`AccountRef`], [`MailboxRef`], [`Message`]. *Promises*: durable state only; places are valid as
//! long as the borrow. *Assumes*: nothing. *Never*: mutates.

use std::ops::Bound;

use super::account::{Account, INBOX_ID};
use super::events::AccountEvent;
use super::mailbox::Mailbox;
use super::names;
use crate::change::{FlagBits, Quota, QuotaUsage, Rights, Services, SpecialUse, UidSet, UniqueIdForm};
use crate::ids::{AccountId, BodyId, BodyKey, EmailId, MailboxId, ModSeq, ShardId, Uid};

/// A message as a mailbox shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// Mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Flags, keyword bits by the mailbox's table.
    pub flags: FlagBits,
    /// Exact octets.
    pub size: u32,
    /// INTERNALDATE in milliseconds since 1970, whole seconds up to 2106-02-07T06:28:15Z.
    pub internal_ms: u64,
    /// When it was put into this mailbox (rfc8514#2), likewise.
    pub saved_ms: u64,
    /// Bytes of its encoded summary.
    pub summary_len: u32,
    /// Its bytes.
    pub body: BodyId,
    /// What its octets were known by before its account came to this shard; 0 if they were stored here.
    pub known_as: EmailId,
}

impl Message {
    /// What clients know its octets by, seen on this shard.
    pub fn email(&self, shard: ShardId) -> EmailId {
        if self.known_as == EmailId(0) { EmailId::new(shard, self.body) } else { self.known_as }
    }

    /// What finds its bytes.
    pub fn key(&self) -> BodyKey {
        BodyKey { id: self.body, summary_len: self.summary_len, len: self.size }
    }
}

/// Read access to an account.
#[derive(Clone, Copy, Debug)]
pub struct AccountRef<'a>(pub(super) &'a Account);

impl<'a> AccountRef<'a> {
    /// Its id.
    pub fn id(&self) -> AccountId {
        self.0.id
    }
    /// Its normalised address.
    pub fn address(&self) -> &'a str {
        &self.0.address
    }
    /// Its password hash (PHC string).
    pub fn password_hash(&self) -> &'a str {
        &self.0.password_hash
    }
    /// What it may log in to.
    pub fn services(&self) -> Services {
        self.0.services
    }
    /// When it was created, milliseconds since 1970.
    pub fn created_ms(&self) -> u64 {
        self.0.created_ms
    }
    /// Highest mod-sequence given out and durable.
    pub fn highest_modseq(&self) -> ModSeq {
        self.0.highest_modseq
    }
    /// Octets of all messages in all its mailboxes.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }
    /// Messages in all its mailboxes.
    pub fn messages(&self) -> u64 {
        self.0.messages
    }
    /// Its mailboxes in order of name; INBOX is named `INBOX`.
    pub fn mailboxes(&self) -> Box<dyn Iterator<Item = MailboxRef<'a>> + 'a> {
        let account = self.0;
        Box::new(account.names.values().map(|id| MailboxRef(&account.mailboxes[id])))
    }
    /// Those whose names come after `name`. O(log n) to begin.
    pub fn mailboxes_after(&self, name: &str) -> Box<dyn Iterator<Item = MailboxRef<'a>> + 'a> {
        let account = self.0;
        let after = (Bound::Excluded(name), Bound::Unbounded);
        Box::new(account.names.range::<str, _>(after).map(|(_, id)| MailboxRef(&account.mailboxes[id])))
    }
    /// A mailbox by exact name; `INBOX` in any case.
    pub fn mailbox_by_name(&self, name: &str) -> Option<MailboxRef<'a>> {
        self.0.by_name(name).map(MailboxRef)
    }
    /// INBOX.
    pub fn inbox(&self) -> MailboxRef<'a> {
        MailboxRef(&self.0.mailboxes[&INBOX_ID])
    }
    /// Whether a mailbox exists below `name` (`name/…`).
    pub fn has_children(&self, name: &str) -> bool {
        self.0.has_children(name)
    }
    /// Subscribed names in order.
    pub fn subscriptions(&self) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        Box::new(self.0.subscriptions.iter().map(String::as_str))
    }
    /// Those that come after `name`. O(log n) to begin.
    pub fn subscriptions_after(&self, name: &str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        let after = (Bound::Excluded(name), Bound::Unbounded);
        Box::new(self.0.subscriptions.range::<str, _>(after).map(String::as_str))
    }
    /// Whether a name is subscribed.
    pub fn is_subscribed(&self, name: &str) -> bool {
        self.0.subscriptions.contains(names::canonical(name).as_ref())
    }
    /// What it may hold, and what it holds (rfc9208#5).
    pub fn quota(&self) -> Quota {
        self.0.quota()
    }
    /// Whether its quota has room for so much more at the moment: an early answer; the change itself is judged
    /// when it is applied.
    pub fn room(&self, more: QuotaUsage) -> bool {
        self.0.quota().has_room(more)
    }
    /// The value of one of the server's annotations, by canonical name (rfc5464#3).
    pub fn metadata(&self, name: &str) -> Option<&'a [u8]> {
        self.0.extras.as_ref()?.annotations.get(name)
    }
    /// The server's annotations below `name` (`name/…`), in order of name; all of them below the empty name.
    pub fn metadata_below(&self, name: &str) -> Box<dyn Iterator<Item = (&'a str, &'a [u8])> + 'a> {
        let below = self.0.extras.as_ref().map(|extras| extras.annotations.below(name));
        Box::new(below.into_iter().flatten())
    }
    /// Capabilities that are kept from its clients.
    pub fn hidden_capabilities(&self) -> &'a [String] {
        self.0.extras.as_ref().map_or(&[], |extras| &extras.hidden)
    }
    /// Where its clients are sent at login (rfc2221#4.1).
    pub fn referral(&self) -> Option<&'a str> {
        self.0.extras.as_ref()?.referral.as_deref()
    }
    /// Mailboxes whose HIGHESTMODSEQ is greater, in its order: those that came to be, and those with a message
    /// that arrived, changed or went. Costs what the answer costs.
    pub fn mailboxes_changed_since(&self, since: ModSeq) -> Box<dyn Iterator<Item = MailboxRef<'a>> + 'a> {
        let account = self.0;
        let from = (Bound::Excluded((since, MailboxId(u32::MAX))), Bound::Unbounded);
        Box::new(account.by_modseq.range(from).map(|(_, id)| MailboxRef(&account.mailboxes[id])))
    }
    /// What happened to its mailboxes by changes with a greater mod-sequence, oldest first. Complete while
    /// `since >= events_floor()`.
    pub fn events_since(&self, since: ModSeq) -> Box<dyn Iterator<Item = (ModSeq, &'a AccountEvent)> + 'a> {
        Box::new(self.0.events.since(since))
    }
    /// Events at or below this mod-sequence are forgotten.
    pub fn events_floor(&self) -> ModSeq {
        self.0.events.floor()
    }
}

/// Read access to a mailbox. Positions (`usize`) are 0-based places in UID order, valid until the next
/// mutation.
#[derive(Clone, Copy, Debug)]
pub struct MailboxRef<'a>(pub(super) &'a Mailbox);

impl<'a> MailboxRef<'a> {
    /// Its id.
    pub fn id(&self) -> MailboxId {
        self.0.id
    }
    /// Full name, UTF-8, levels split by `/`.
    pub fn name(&self) -> &'a str {
        &self.0.name
    }
    /// Its special use.
    pub fn special_use(&self) -> Option<SpecialUse> {
        self.0.special_use
    }
    /// Whether it is only a name that holds its inferiors together (`\Noselect`, rfc3501#6.3.4): it has no
    /// messages, and changes of its messages are refused.
    pub fn no_select(&self) -> bool {
        self.0.no_select
    }
    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.0.uid_validity
    }
    /// UIDNEXT, as far as durable.
    pub fn uid_next(&self) -> Uid {
        self.0.uid_next
    }
    /// HIGHESTMODSEQ of this mailbox (rfc7162#3.1.2.1), at least 1.
    pub fn highest_modseq(&self) -> ModSeq {
        self.0.highest_modseq
    }
    /// How many messages.
    pub fn len(&self) -> usize {
        self.0.columns.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// How many lack `\Seen`.
    pub fn unseen(&self) -> usize {
        self.0.unseen
    }
    /// How many carry `\Deleted`.
    pub fn deleted(&self) -> usize {
        self.0.deleted
    }
    /// Octets of those that carry `\Deleted`.
    pub fn deleted_bytes(&self) -> u64 {
        self.0.deleted_bytes
    }
    /// Octets of all messages.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }
    /// Place of the first message without `\Seen`.
    pub fn first_unseen(&self) -> Option<usize> {
        self.0.columns.first_unseen()
    }
    /// UIDs from here on have not been recent to anybody.
    pub fn recent_from(&self) -> Uid {
        self.0.recent_from
    }
    /// The value of an annotation, by canonical name (rfc5464#3).
    pub fn metadata(&self, name: &str) -> Option<&'a [u8]> {
        self.0.extras.as_ref()?.annotations.get(name)
    }
    /// Annotations below `name` (`name/…`), in order of name; all of them below the empty name.
    pub fn metadata_below(&self, name: &str) -> Box<dyn Iterator<Item = (&'a str, &'a [u8])> + 'a> {
        let below = self.0.extras.as_ref().map(|extras| extras.annotations.below(name));
        Box::new(below.into_iter().flatten())
    }
    /// Its access control list in order of identifier (rfc4314#3.6). The owner's own rights are not in it
    /// unless somebody has put them there.
    pub fn acl(&self) -> impl Iterator<Item = (&'a str, Rights)> + use<'a> {
        self.0.acl().iter().map(|(identifier, &rights)| (identifier.as_str(), rights))
    }
    /// The rights that the list gives an identifier by name.
    pub fn rights_of(&self, identifier: &str) -> Option<Rights> {
        self.0.acl().get(identifier).copied()
    }
    /// Which generation of access keys its URLs are signed with (rfc4467#3): 0 at first, greater with every
    /// reset. Its id, which is never given out again, belongs into the key as well.
    pub fn url_generation(&self) -> ModSeq {
        self.0.extras.as_ref().map_or(ModSeq(0), |extras| extras.url_generation)
    }
    /// Below it, UIDs name what they named in the store that it was imported from; from it on, what arrived here. 0
    /// without an import.
    pub fn imported_next(&self) -> Uid {
        self.0.extras.as_ref().map_or(Uid(0), |extras| extras.imported_next)
    }
    /// How POP3 names those of its messages that have no unique-id of their own.
    pub fn unique_id_form(&self) -> UniqueIdForm {
        self.0.extras.as_ref().map_or(UniqueIdForm::Own, |extras| extras.unique_ids.form)
    }
    /// The POP3 unique-ids that messages were imported with from `from` on, in order of UID.
    pub fn unique_ids_from(&self, from: Uid) -> Box<dyn Iterator<Item = (Uid, &'a str)> + 'a> {
        let given = self.0.extras.as_ref().map(|extras| extras.unique_ids.given.range(from..));
        Box::new(given.into_iter().flatten().map(|(&uid, unique_id)| (uid, unique_id.as_ref())))
    }
    /// Keywords in order of their bits.
    pub fn keywords(&self) -> &'a [String] {
        self.0.keywords.names()
    }
    /// Whether what is known of all its messages can be read. Costs a pass over some 15 bytes for each message that
    /// nobody has asked for lately. False: its part of a checkpoint is damaged; nothing of it is to be shown, and its
    /// account is closed within a tick.
    pub fn is_readable(&self) -> bool {
        self.0.columns.is_readable()
    }
    /// The message at a place; panics outside `0..len()`.
    pub fn message(&self, place: usize) -> Message {
        self.0.columns.message(place)
    }
    /// How many messages have a smaller UID. O(log n).
    pub fn rank(&self, uid: Uid) -> usize {
        self.0.columns.rank(uid)
    }
    /// The place of a UID. O(log n).
    pub fn place(&self, uid: Uid) -> Option<usize> {
        self.0.columns.place(uid)
    }
    /// Runs of UIDs expunged by changes with a greater mod-sequence, first and last, oldest change first: one
    /// run for any number of neighbours that one change expunged. Complete while `since >= expunged_floor()`.
    pub fn expunged_since(&self, since: ModSeq) -> Box<dyn Iterator<Item = (ModSeq, Uid, Uid)> + 'a> {
        Box::new(self.0.expunges.since(since).map(|run| (run.modseq, run.first, run.last)))
    }
    /// Those of `known` that were expunged by changes with a greater mod-sequence: VANISHED (EARLIER)
    /// (rfc7162#3.2.5.2). Below `expunged_floor()` all of `known` that are gone, whenever they went.
    pub fn vanished_since(&self, since: ModSeq, known: &UidSet) -> UidSet {
        self.0.vanished_since(since, known)
    }
    /// Expunges at or below this mod-sequence are forgotten.
    pub fn expunged_floor(&self) -> ModSeq {
        self.0.expunges.floor()
    }
    /// UIDs of present messages whose mod-sequence is greater. Costs a look at a mark for every 2,048 messages,
    /// and at the rows of the blocks that changed.
    pub fn changed_since(&self, since: ModSeq) -> UidSet {
        self.0.columns.changed_since(since).collect()
    }
}
