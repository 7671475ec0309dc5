//! What a client watches, and how far it has been told.
//!
//! *Owns*: the cursors. *Promises*: constant memory, whatever is watched: the store keeps mailboxes in order of
//! their last change, so the ones behind a mod-sequence are found without a list. *Assumes*: names are
//! canonical. *Never*: writes.

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{AccountId, MailboxId, ModSeq, Uid};
use ringpost_engine::index::{AccountEvent, AccountRef, MailboxRef};

use crate::proto::imap::command::{Events, MailboxFilter, NotifyGroup, NotifySelected, StatusItem};
use crate::proto::imap::state::Enabled;
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug)]
pub struct Watch {
    account: AccountId,
    pub(super) selected: Option<NotifySelected>,
    groups: Vec<NotifyGroup>,
    /// Changes of messages up to here are told, for every mailbox that is not selected.
    pub(super) told: ModSeq,
    /// While mailboxes are told of, in order of their last change: up to which one. Not below `told`.
    pub(super) at: ModSeq,
    /// Events of the account up to here are told.
    pub(super) events_told: ModSeq,
    /// The selected mailbox, its last change when it was selected or left, and from where on new messages
    /// are to be sent.
    pub(super) open: Option<Open>,
    /// The change by which the client itself caused events of the account.
    pub(super) own_event: Option<ModSeq>,
    /// New messages of the selected mailbox that the client itself put in.
    own_new: UidSet,
}

/// See [`Watch::open`].
#[derive(Debug)]
pub(super) struct Open {
    account: AccountId,
    mailbox: MailboxId,
    modseq: ModSeq,
    from: Uid,
}

impl Watch {
    /// From now on.
    pub fn new(account: AccountRef<'_>, selected: Option<NotifySelected>, groups: Vec<NotifyGroup>) -> Watch {
        let now = account.highest_modseq();
        let (account, own_new) = (account.id(), UidSet::new());
        let (told, at, events_told) = (now, now, now);
        Watch { account, selected, groups, told, at, events_told, open: None, own_event: None, own_new }
    }

    /// NOTIFY NONE.
    pub fn nothing(account: AccountRef<'_>) -> Watch {
        Watch::new(account, None, Vec::new())
    }

    /// Whose mailboxes.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The client's own command is applied: the newest change that caused such an event is not told to it
    /// (rfc5465#5). Figures of mailboxes are told nevertheless: UNSEEN and HIGHESTMODSEQ are news to it.
    pub fn note_own_event(&mut self, account: AccountRef<'_>, is_own: impl Fn(&AccountEvent) -> bool) {
        let own = account.events_since(self.events_told).filter(|(_, event)| is_own(event));
        self.own_event = own.map(|(modseq, _)| modseq).last();
    }

    /// The client put messages into a mailbox: it is not sent what it has (rfc5465#5.2).
    pub fn note_own_new(&mut self, account: AccountId, mailbox: MailboxId, uids: &UidSet) {
        let is_sent = self.selected.as_ref().is_some_and(|selected| !selected.items.is_empty());
        if is_sent
            && self.open.as_ref().is_some_and(|open| (open.account, open.mailbox) == (account, mailbox))
        {
            self.own_new = self.own_new.union(uids);
        }
    }

    /// New messages of the selected mailbox, below a UID, that are to be sent now.
    pub(super) fn take_new(&mut self, next: Uid) -> UidSet {
        let mut new = UidSet::new();
        if let Some(open) = &mut self.open
            && open.from < next
        {
            new.push_range(Uid(open.from.0.max(1)), Uid(next.0 - 1));
            open.from = next;
        }
        let wanted = new.difference(&self.own_new);
        self.own_new = self.own_new.difference(&new);
        wanted
    }

    /// Nothing is watched any more (rfc5465#5.8).
    pub(super) fn give_up(&mut self) {
        self.selected = None;
        self.groups = Vec::new();
    }

    /// Whether anything but the selected mailbox is watched.
    pub(super) fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// What is wanted of a mailbox that is not selected: all groups that mean it count (rfc5465#6).
    pub(super) fn events_of(&self, account: AccountRef<'_>, name: &str) -> Events {
        let meant = self.groups.iter().filter(|group| means(&group.filter, account, name));
        meant.fold(Events::NONE, |events, group| events.with(group.events))
    }

    /// What is wanted of anything.
    pub(super) fn any_events(&self) -> Events {
        self.groups.iter().fold(Events::NONE, |events, group| events.with(group.events))
    }

    /// What of the selected mailbox is told without being asked.
    pub(super) fn of_selected(&self) -> Events {
        self.selected.as_ref().map_or(Events::NONE, |selected| selected.events)
    }

    /// Notes which mailbox is selected now. The one that was, with its last change of that time, if it was
    /// left.
    pub(super) fn follow(
        &mut self,
        view: Option<&View>,
        mailbox: Option<MailboxRef<'_>>,
    ) -> Option<(MailboxId, ModSeq)> {
        let now = view.zip(mailbox).map(|(view, mailbox)| Open {
            account: view.account(),
            mailbox: mailbox.id(),
            modseq: mailbox.highest_modseq(),
            from: view.horizon(),
        });
        let which = |open: &Open| (open.account, open.mailbox);
        if self.open.as_ref().map(which) == now.as_ref().map(which) {
            return None;
        }
        self.own_new = UidSet::new();
        let left = std::mem::replace(&mut self.open, now);
        // Of another user's mailbox nothing is told when it is not selected.
        left.filter(|left| left.account == self.account).map(|left| (left.mailbox, left.modseq))
    }
}

fn means(filter: &MailboxFilter, account: AccountRef<'_>, name: &str) -> bool {
    match filter {
        MailboxFilter::Personal => true,
        MailboxFilter::Subscribed => account.is_subscribed(name),
        MailboxFilter::Subtree(roots) => roots.iter().any(|root| {
            name.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }),
        MailboxFilter::Mailboxes(names) => names.iter().any(|named| named == name),
    }
}

/// What STATUS says where these events are wanted (rfc5465#3.1, #5.1 to #5.3).
pub(super) fn status_items(events: Events, enabled: Enabled) -> Vec<StatusItem> {
    let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
    if events.any(Events::FLAG_CHANGE) {
        items.push(StatusItem::Unseen);
    }
    if enabled.condstore {
        items.push(StatusItem::HighestModSeq);
    }
    items
}

/// Whether a change of messages since a mod-sequence may be more than flags: something went, or the newest
/// message changed, which it also did when it came. It may say so too often, never too seldom.
pub(super) fn came_or_went(mailbox: MailboxRef<'_>, since: ModSeq) -> bool {
    let went = since < mailbox.expunged_floor() || mailbox.expunged_since(since).next().is_some();
    let newest = mailbox.len().checked_sub(1).map(|place| mailbox.message(place));
    went || newest.is_some_and(|message| message.modseq > since)
}
