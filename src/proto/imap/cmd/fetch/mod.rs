//! FETCH (rfc3501#6.4.5) with CHANGEDSINCE (rfc7162#3.1.4).
//!
//! *Owns*: the walk through the messages, `\Seen`, and what has to be in memory before it is looked at.
//! *Promises*: bodies leave as runs of the log, never looked at; what comes from the index touches no
//! segment; one item more than the output holds at most. Where `\Seen` is set, it is durable before the
//! message is sent, and FLAGS is part of that message's reply. *Assumes*: the view keeps numbers still.
//! *Never*: sends EXPUNGE.
//!
//! ```text
//!            ┌───────────────────── next window ─────────────────────┐
//!            ▼                                                       │
//!  Choose ─► mark \Seen ──FlagsStore──► commit ─► warm ──Warm──► resume ─► write … room, budget
//!            └── nothing to mark ──────────────► └── index only ────────►
//! ```

use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, Outcome, Rights, UidSet};
use ringpost_engine::ids::Uid;
use ringpost_engine::store::Store;

use crate::limits::{IMAP_WARM_HEADER_BYTES, IMAP_WARM_MESSAGES_MAX, STEP_MESSAGES_MAX, WARM_BODIES_BYTES};
use crate::proto::Cx;
use crate::proto::imap::command;
use crate::proto::imap::cut::Cut;
use crate::proto::imap::out::Out;
use crate::proto::imap::pace::Progress;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};
use crate::proto::imap::view::{Earlier, Told};

mod binary;
pub(in crate::proto::imap::cmd) mod fields;
mod plan;
pub(in crate::proto::imap::cmd) mod section;
pub(in crate::proto::imap::cmd) mod sending;
mod write;

use plan::Plan;
use sending::{Sending, Sent, Stored};

/// See the module.
#[derive(Debug)]
pub struct Fetch {
    command: command::Fetch,
    plan: Plan,
    begun: bool,
    /// Nobody asked by a command.
    of_news: bool,
    uids: UidSet,
    /// The first UID not yet written.
    next: Uid,
    /// `\Seen` is dealt with for UIDs below.
    marked: Uid,
    /// Those that this command gave `\Seen`, in the window under way.
    newly_seen: UidSet,
    /// What has to be in memory is there for UIDs below.
    warmed: Uid,
    /// A message whose reply is begun.
    sending: Option<Sending>,
    /// Some messages could not be read.
    damaged: bool,
    /// What has to be told first: VANISHED (EARLIER).
    earlier: Option<Earlier>,
    /// Some parts are in an encoding that nobody here knows.
    unknown_encoding: bool,
    /// Messages whose reply is begun.
    written: u64,
}

/// How writing went on.
enum Written {
    /// All messages are written.
    End,
    /// The next window has to be prepared.
    Window,
    /// Nothing more in this call.
    Stopped(Step),
}

impl Sent {
    /// Whether the message was found damaged, or why its reply is not complete yet.
    fn stopped(self) -> Result<bool, Step> {
        match self {
            Sent::All => Ok(false),
            Sent::Damaged => Ok(true),
            Sent::Full => Err(Step::Room),
            Sent::Budget => Err(Step::Yield),
            Sent::Warm(octets) => Err(Step::Warm(vec![octets])),
        }
    }
}

impl Fetch {
    /// A FETCH that has not begun, of a client that is told UIDs only or not.
    pub fn new(command: command::Fetch, uid_only: bool) -> Fetch {
        let plan = Plan::new(&command, uid_only);
        Fetch {
            command,
            plan,
            begun: false,
            of_news: false,
            uids: UidSet::new(),
            next: Uid(1),
            marked: Uid(1),
            newly_seen: UidSet::new(),
            warmed: Uid(1),
            sending: None,
            damaged: false,
            earlier: None,
            unknown_encoding: false,
            written: 0,
        }
    }

    /// The same for what NOTIFY tells: no command's limit cuts it.
    pub fn of_news(command: command::Fetch, uid_only: bool) -> Fetch {
        Fetch { of_news: true, ..Fetch::new(command, uid_only) }
    }

    /// How many messages are written; none inside the reply of one.
    pub fn progress(&self) -> Option<Progress> {
        let progress = Progress { done: Some(self.written), goal: None };
        self.sending.is_none().then_some(progress)
    }

    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        self.try_step(wake, core, cx).unwrap_or_else(Step::Done)
    }

    fn try_step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        if !self.begun {
            self.begun = true;
            self.begin(core, cx)?;
        }
        if let Wake::Committed(Outcome::Stored { done, .. }) = wake {
            self.seen_applied(done, core, cx);
        }
        if let Some(step) = self.tell_earlier(core, cx) {
            return Ok(step);
        }
        loop {
            if let Some(step) = self.send(cx.store, &mut core.out) {
                return Ok(step);
            }
            if self.plan.marks_seen
                && self.next >= self.marked
                && let Some(step) = self.mark_seen(core, cx)?
            {
                return Ok(step);
            }
            if self.plan.needs_summary
                && self.next >= self.warmed
                && let Some(step) = self.warm(core, cx)?
            {
                return Ok(step);
            }
            match self.write(core, cx)? {
                Written::Window => {}
                Written::End => return Ok(self.finish(core)),
                Written::Stopped(step) => return Ok(step),
            }
        }
    }

    fn begin(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<(), Reply> {
        if self.command.vanished && !core.enabled.qresync {
            // rfc7162#3.2.6
            return Err(Reply::bad("ENABLE QRESYNC first"));
        }
        if self.plan.modseq {
            core.enable_condstore(cx);
        }
        let (view, mailbox) = core.selected(cx)?;
        self.uids = view.resolve(mailbox, &self.command.set, self.command.uid)?;
        let limit = cx.server.imap.message_limit.filter(|_| !self.of_news);
        if let Some(range) = self.command.partial {
            if let Some(max) = limit.filter(|&max| range.one.abs_diff(range.other) >= max) {
                return Err(Cut::refusing(max).refuse());
            }
            // rfc9394#3.4: the places are chosen first.
            self.uids = view.at_places(mailbox, &self.uids, range);
        }
        if let Some(since) = self.command.changed_since {
            if self.command.vanished {
                self.earlier = Some(Earlier::new(view, mailbox, &self.uids, since));
            }
            self.uids = self.uids.intersection(&mailbox.changed_since(since));
        }
        let cut = Cut::to_last(&mut self.uids, limit, view, mailbox);
        self.plan.marks_seen &= !view.read_only();
        // rfc4314#4
        self.plan.marks_seen &= core.selected_rights(cx).contains(Rights::SEEN);
        core.cut = cut;
        Ok(())
    }

    /// rfc7162#3.2.6: before every FETCH reply. Where it has to stop.
    fn tell_earlier(&mut self, core: &mut Core, cx: &Cx<'_>) -> Option<Step> {
        let (Some(earlier), Some(view)) = (&mut self.earlier, &core.view) else { return None };
        let told = earlier.step(view, view.mailbox(cx.store)?, &mut core.out);
        match told {
            Told::All => self.earlier = None,
            Told::Full => return Some(Step::Room),
            Told::Budget => return Some(Step::Yield),
        }
        None
    }

    /// Gives `\Seen` to those of the next messages that lack it, as one change.
    fn mark_seen(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        let mut unseen = UidSet::new();
        self.newly_seen = UidSet::new();
        self.marked = Uid(u32::MAX);
        for (count, (_, message)) in view.walk(mailbox, &self.uids, self.next).enumerate() {
            if count == STEP_MESSAGES_MAX {
                self.marked = message.uid;
                break;
            }
            if !message.flags.contains(FlagBits::SEEN) {
                unseen.push(message.uid);
            }
        }
        if unseen.is_empty() {
            return Ok(None);
        }
        let change = Change::FlagsStore {
            mailbox: view.mailbox_id(),
            uids: unseen,
            op: FlagOp::Add,
            flags: Flags { system: FlagBits::SEEN, keywords: Vec::new() },
            unchanged_since: None,
        };
        // Where the store takes no change at the moment (a full disk), reading goes on without the mark.
        Ok(core.append_selected(cx, change).ok().map(Step::Commit))
    }

    fn seen_applied(&mut self, done: UidSet, core: &mut Core, cx: &Cx<'_>) {
        if let Some(view) = &mut core.view
            && let Some(mailbox) = view.mailbox(cx.store)
        {
            view.collect(mailbox, &done);
        }
        self.newly_seen = done;
    }

    /// Brings in what the next messages' items are made of.
    fn warm(&mut self, core: &Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        let (mut extents, mut room) = (Vec::new(), WARM_BODIES_BYTES);
        self.warmed = Uid(u32::MAX);
        for (count, (_, message)) in view.walk(mailbox, &self.uids, self.next).enumerate() {
            if count == IMAP_WARM_MESSAGES_MAX || room == 0 {
                self.warmed = message.uid;
                break;
            }
            let (summary, body) = cx.store.seek(message.key());
            extents.push(summary);
            if self.plan.picks_fields {
                extents.push(body.slice(0, IMAP_WARM_HEADER_BYTES));
            }
            if let Some(from) = self.plan.sends_from {
                let octets = body.slice(u32::try_from(from).unwrap_or(u32::MAX), room);
                room -= octets.len;
                extents.extend((octets.len > 0).then_some(octets));
            }
        }
        Ok((!extents.is_empty()).then_some(Step::Warm(extents)))
    }

    /// Writes messages of the prepared window.
    fn write(&mut self, core: &mut Core, cx: &Cx<'_>) -> Result<Written, Reply> {
        core.selected(cx)?;
        let Core { view: Some(view), out, enabled, fetched, .. } = core else { return Ok(Written::End) };
        let Some(mailbox) = view.mailbox(cx.store) else { return Ok(Written::End) };
        view.tell_keywords(mailbox, out);
        for (count, (number, message)) in view.walk(mailbox, &self.uids, self.next).enumerate() {
            let marked = !self.plan.marks_seen || message.uid < self.marked;
            let warmed = !self.plan.needs_summary || message.uid < self.warmed;
            if !marked || !warmed {
                self.next = message.uid;
                return Ok(Written::Window);
            }
            if !out.has_room() {
                return Ok(Written::Stopped(Step::Room));
            }
            if count == STEP_MESSAGES_MAX {
                return Ok(Written::Stopped(Step::Yield));
            }
            let stored = match self.plan.needs_summary {
                true => Stored::find(message.key(), cx.store),
                false => None,
            };
            self.next = Uid(message.uid.0.saturating_add(1));
            if stored.as_ref().is_some_and(|stored| stored.cannot_decode(&self.plan)) {
                self.unknown_encoding = true;
                continue;
            }
            if self.plan.needs_summary && stored.is_none() {
                self.damaged = true;
                continue;
            }
            *fetched += 1;
            self.written += 1;
            let seen_now = self.newly_seen.contains(message.uid);
            let facts = write::Facts {
                name: enabled.name(number, message.uid),
                message: &message,
                shard: cx.store.shard(),
                recent: view.is_recent(message.uid),
                keywords: mailbox.keywords(),
                add_flags: seen_now && !self.plan.flags,
                // rfc7162#3.2.4: together, since it is more than was asked for.
                add_uid: seen_now && enabled.condstore && !self.plan.uid && !enabled.uidonly,
                add_modseq: seen_now && enabled.condstore && !self.plan.modseq,
            };
            let summary = stored.as_ref().and_then(Stored::summary);
            let spaced = write::head(&self.plan, &facts, summary.as_ref(), out);
            if self.plan.octets.is_empty() {
                continue;
            }
            let mut sending = Sending::new(message.key(), spaced);
            match sending.go_on(&self.plan, stored.as_ref(), cx.store, out).stopped() {
                Ok(damaged) => self.damaged |= damaged,
                Err(step) => {
                    self.sending = Some(sending);
                    return Ok(Written::Stopped(step));
                }
            }
        }
        Ok(Written::End)
    }

    /// Goes on with the message whose reply is begun. Where it has to stop; none when nothing is left of it.
    fn send(&mut self, store: &Store, out: &mut Out) -> Option<Step> {
        let sending = self.sending.as_mut()?;
        let stored = Stored::find(sending.body(), store);
        let stopped = sending.go_on(&self.plan, stored.as_ref(), store, out).stopped();
        if let Ok(damaged) = stopped {
            self.damaged |= damaged;
            self.sending = None;
        }
        stopped.err()
    }

    fn finish(&self, core: &Core) -> Step {
        let gone = !self.command.uid && core.view.as_ref().is_some_and(|view| view.names_gone(&self.uids));
        if self.unknown_encoding {
            // rfc3516#4.3
            return Reply::no("[UNKNOWN-CTE] A part is in an encoding that is not known here").into();
        }
        match (self.damaged, gone) {
            (true, _) => Reply::no("[CORRUPTION] Some of the messages cannot be read"),
            // rfc2180#4.1.2
            (false, true) => Reply::no("[EXPUNGEISSUED] Some of the messages no longer exist"),
            (false, false) => Reply::done(),
        }
        .into()
    }
}
