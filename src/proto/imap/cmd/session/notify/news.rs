//! Telling what NOTIFY asked for.
//!
//! *Owns*: the order of what is told: the selected mailbox, its new messages, events of mailboxes, figures of
//! the others. *Promises*: stops when the output is full and goes on where it stopped; a burst in a mailbox is
//! one STATUS; nothing that the cursor passed is left out. *Assumes*: called for every push and after
//! every command. *Never*: queues an event; what the store forgot is said to be lost; tells of what the client
//! itself made, named or put in.
//!
//! ```text
//!  view ─► FETCH of what is new ─► events ──► STATUS of changed mailboxes, in order of change ─► Done
//!   └room    └warm, room, yield      └room      └room, yield
//! ```

use ringpost_engine::change::Rights;
use ringpost_engine::ids::{MailboxId, ModSeq};
use ringpost_engine::index::{AccountEvent, AccountRef};
use ringpost_engine::store::Store;

use super::Watch;
use super::watch::{came_or_went, status_items};
use crate::limits::STEP_MESSAGES_MAX;
use crate::proto::Cx;
use crate::proto::imap::cmd::fetch::Fetch;
use crate::proto::imap::cmd::mailbox::{show, status};
use crate::proto::imap::cmd::sharing::metadata::is_reserved;
use crate::proto::imap::command::{self, Bound, Events, FetchItem, SequenceSet};
use crate::proto::imap::out::Out;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::view::Tell;
use crate::proto::imap::write;

/// See the module.
#[derive(Debug, Default)]
pub struct News {
    /// New messages of the selected mailbox on their way.
    fetch: Option<Box<Fetch>>,
}

impl News {
    /// Goes on, between two commands. [`Step::Done`] when all is told.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.tell(wake, core, cx, false)
    }

    /// The same within IDLE, where EXPUNGE may always be told (rfc5465#6.1.2).
    pub fn step_in_idle(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.tell(wake, core, cx, true)
    }

    fn tell(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>, idle: bool) -> Step {
        if let Some(step) = self.fetch_on(wake, core, cx) {
            return step;
        }
        let Some(mut watch) = core.watch.take() else { return Reply::done().into() };
        let step = self.tell_watched(&mut watch, core, cx, idle);
        core.watch = Some(watch);
        step.unwrap_or_else(|| Reply::done().into())
    }

    /// Goes on with the messages that are being sent. Where it has to stop.
    fn fetch_on(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Option<Step> {
        match self.fetch.as_mut()?.step(wake, core, cx) {
            // Nobody asked by a command, so how it ended is nobody's completion.
            Step::Done(_) => self.fetch = None,
            waits => return Some(waits),
        }
        None
    }

    fn tell_watched(
        &mut self,
        watch: &mut Watch,
        core: &mut Core,
        cx: &mut Cx<'_>,
        idle: bool,
    ) -> Option<Step> {
        let mailbox = core.view.as_ref().and_then(|view| view.mailbox(cx.store));
        let left = watch.follow(core.view.as_ref(), mailbox);
        if let Some(stop) = tell_selected(watch, core, cx, idle) {
            return Some(stop);
        }
        if self.begin_fetch(watch, core)
            && let Some(stop) = self.fetch_on(Wake::Go, core, cx)
        {
            return Some(stop);
        }
        // With a mailbox of another user selected, one's own are on another shard: the cursor waits.
        let here = watch.has_groups() && core.is_home();
        let account = cx.store.account(watch.account()).filter(|_| here)?;
        if let Some((left, since)) = left {
            tell_left(watch, left, since, account, core, cx);
        }
        if !tell_events(watch, account, cx.store, &mut core.out) {
            return Some(Step::Room);
        }
        tell_mailboxes(watch, account, core, cx)
    }

    /// What arrived in the selected mailbox, if anything of it is wanted. Whether there is something.
    fn begin_fetch(&mut self, watch: &mut Watch, core: &Core) -> bool {
        let (Some(selected), Some(view)) = (&watch.selected, &core.view) else { return false };
        let mut items = selected.items.clone();
        let new = watch.take_new(view.horizon());
        if items.is_empty() || new.is_empty() {
            return false;
        }
        if core.enabled.condstore && !items.contains(&FetchItem::ModSeq) {
            // rfc7162#3.2.4
            items.push(FetchItem::ModSeq);
        }
        let ranges = new.ranges().iter().map(|&(first, last)| (Bound::At(first), Bound::At(last))).collect();
        let wanted = command::Fetch {
            uid: true,
            set: SequenceSet { ranges, saved: false },
            items,
            changed_since: None,
            vanished: false,
            partial: None,
        };
        self.fetch = Some(Box::new(Fetch::of_news(wanted, core.enabled.uidonly)));
        true
    }
}

/// The events that are wanted of the selected mailbox. Where it has to stop.
fn tell_selected(watch: &Watch, core: &mut Core, cx: &Cx<'_>, idle: bool) -> Option<Step> {
    let events = watch.of_selected();
    let delayed = watch.selected.as_ref().is_some_and(|selected| selected.delayed);
    let tell = Tell {
        // rfc5465#6.1.2
        expunge: events.any(Events::MESSAGE_EXPUNGE) && (idle || !delayed),
        growth: events.any(Events::MESSAGE_NEW),
        flags: events.any(Events::FLAG_CHANGE),
        enabled: core.enabled,
    };
    let view = core.view.as_mut().filter(|_| events.any(Events::OF_MESSAGES))?;
    (!view.tell(cx.store, &mut core.out, tell)).then_some(Step::Room)
}

/// A mailbox that is not selected any more: what was not told of it while it was is told by its figures.
fn tell_left(
    watch: &Watch,
    left: MailboxId,
    since: ModSeq,
    account: AccountRef<'_>,
    core: &mut Core,
    cx: &Cx<'_>,
) {
    let Some(mailbox) = cx.store.mailbox(account.id(), left) else { return };
    let events = watch.events_of(account, mailbox.name());
    if mailbox.highest_modseq() > since && events.any(Events::OF_MESSAGES) {
        let facts = status::Facts { account: account.id(), append_limit: cx.server.message_bytes_max };
        status::put(&mut core.out, mailbox.name(), mailbox, &status_items(events, core.enabled), facts);
    }
}

/// Created, deleted, renamed, subscribed, annotated (rfc5465#5.4 to #5.7). Whether all is told.
fn tell_events(watch: &mut Watch, account: AccountRef<'_>, store: &Store, out: &mut Out) -> bool {
    const WANTED: Events = Events(!Events::OF_MESSAGES.0);
    let newest = account.highest_modseq();
    if !watch.any_events().any(WANTED) {
        watch.events_told = newest;
        return true;
    }
    if watch.events_told < account.events_floor() {
        // rfc5465#5.8
        watch.give_up();
        out.line("* OK [NOTIFICATIONOVERFLOW] More happened than is remembered; nothing is watched any more");
        return true;
    }
    let mut under_way = watch.events_told;
    for (modseq, event) in account.events_since(watch.events_told) {
        if modseq > under_way {
            // What one change did is told together: the cursor knows whole changes only.
            watch.events_told = under_way;
            if !out.has_room() {
                return false;
            }
            under_way = modseq;
        }
        if watch.own_event != Some(modseq) {
            tell_event(watch, event, account, store, out);
        }
    }
    (watch.events_told, watch.own_event) = (newest, None);
    true
}

fn tell_event(watch: &Watch, event: &AccountEvent, account: AccountRef<'_>, store: &Store, out: &mut Out) {
    let wants = |name: &str, kind| watch.events_of(account, name).any(kind);
    match event {
        AccountEvent::MailboxCreated { name, .. } | AccountEvent::MailboxDeleted { name, .. } => {
            // rfc5465#5.4: the direct parent is affected too.
            let parent = name.rsplit_once('/').map(|(parent, _)| parent);
            for name in std::iter::once(name.as_str()).chain(parent) {
                if wants(name, Events::MAILBOX_NAME) {
                    put_list(name, None, account, out);
                }
            }
        }
        AccountEvent::MailboxRenamed { from, to, .. } => {
            if wants(from, Events::MAILBOX_NAME) || wants(to, Events::MAILBOX_NAME) {
                put_list(to, Some(from), account, out);
            }
        }
        AccountEvent::Subscription { name, .. } => {
            // Whoever watches what is subscribed watched it before.
            let ends = watch.any_events().any(Events::SUBSCRIPTION) && !account.is_subscribed(name);
            if ends || wants(name, Events::SUBSCRIPTION) {
                put_list(name, None, account, out);
            }
        }
        AccountEvent::Metadata { mailbox: None, entries } => {
            if watch.any_events().any(Events::SERVER_METADATA) {
                put_metadata("", entries.iter().filter(|entry| !is_reserved(entry)), out);
            }
        }
        AccountEvent::Metadata { mailbox: Some(id), entries } => {
            let mailbox = store.mailbox(account.id(), *id);
            if let Some(mailbox) = mailbox.filter(|mailbox| wants(mailbox.name(), Events::MAILBOX_METADATA)) {
                put_metadata(mailbox.name(), entries.iter(), out);
            }
        }
        // The owner's own rights are never less than all.
        AccountEvent::Acl { .. } => {}
    }
}

fn put_list(name: &str, old: Option<&str>, account: AccountRef<'_>, out: &mut Out) {
    let (children, rights) = (account.has_children(name), Rights::ALL);
    let shown = show::Shown {
        name,
        mailbox: account.mailbox_by_name(name),
        subscribed: account.is_subscribed(name),
        below: false,
        itself: true,
        children,
        rights,
        own: true,
    };
    show::put_event(out, &shown, old);
}

/// `* METADATA name entries` (rfc5464#4.4.2).
fn put_metadata<'a>(name: &str, entries: impl Iterator<Item = &'a String>, out: &mut Out) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    out.put(b"* METADATA ");
    out.mailbox(name);
    for entry in entries {
        out.put(b" ");
        write::astring(out.text(), entry.as_bytes());
    }
    out.line("");
}

/// Figures of the mailboxes that changed (rfc5465#5.1 to #5.3). Where it has to stop.
fn tell_mailboxes(watch: &mut Watch, account: AccountRef<'_>, core: &mut Core, cx: &Cx<'_>) -> Option<Step> {
    let selected = core.view.as_ref().map(|view| view.mailbox_id());
    let facts = status::Facts { account: account.id(), append_limit: cx.server.message_bytes_max };
    let mut under_way = watch.at;
    for (looked, mailbox) in account.mailboxes_changed_since(watch.at).enumerate() {
        if mailbox.highest_modseq() > under_way {
            // One change may touch several mailboxes: the cursor knows whole changes only.
            watch.at = under_way;
            if !core.out.has_room() {
                return Some(Step::Room);
            }
            if looked >= STEP_MESSAGES_MAX {
                return Some(Step::Yield);
            }
            under_way = mailbox.highest_modseq();
        }
        let events = watch.events_of(account, mailbox.name());
        let due = events.any(Events::OF_MESSAGES) && Some(mailbox.id()) != selected && !mailbox.no_select();
        let flags_only = !events.any(Events::FLAG_CHANGE) && !came_or_went(mailbox, watch.told);
        if due && !flags_only {
            status::put(&mut core.out, mailbox.name(), mailbox, &status_items(events, core.enabled), facts);
        }
    }
    // Nothing has changed after it, so all up to now is told.
    watch.at = account.highest_modseq();
    watch.told = watch.at;
    None
}
