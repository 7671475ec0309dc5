//! ESEARCH over many mailboxes (rfc7377).
//!
//! *Owns*: which mailboxes are searched, one after the other. *Promises*: one reply for each that has a match,
//! in UIDs; the selected mailbox stays as it is. *Assumes*: the account's own mailboxes: of those that others
//! share only the selected one is searched. *Never*: searches a mailbox twice.
//!
//! ```text
//!  Begin ──► next mailbox ──► Hunting ──a window of finds──► results … no more ──► Telling ─┐
//!                 ▲                                                                        │
//!                 └────────────────────────────────────────────────────────────────────────┘ none left ──► Done
//! ```

use bytes::{Bytes, BytesMut};
use ringpost_engine::ids::{AccountId, MailboxId};
use ringpost_engine::index::{AccountRef, MailboxRef};

use super::context;
use super::hunt::{Hunt, Hunted};
use super::key::{Ground, Query};
use super::results::{Form, Results};
use super::{keep, refused, says_nothing};
use crate::proto::Cx;
use crate::proto::imap::access::OTHERS;
use crate::proto::imap::command::{self, SearchReturn, Source};
use crate::proto::imap::pace::Progress;
use crate::proto::imap::reply::{self, Reply};
use crate::proto::imap::state::{Core, Step};
use crate::proto::imap::view::View;
use crate::proto::imap::write;

/// See the module.
#[derive(Debug)]
pub struct MultiSearch {
    command: command::MultiSearch,
    form: Form,
    /// Whose mailboxes.
    account: AccountId,
    /// Mailboxes to be searched, the next one last.
    left: Vec<MailboxId>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Next,
    Hunting(Box<Place>),
    Telling(Results),
}

/// The search of one mailbox.
#[derive(Debug)]
struct Place {
    /// None for the selected mailbox: the session has one.
    view: Option<View>,
    hunt: Hunt,
    results: Results,
}

impl MultiSearch {
    /// An ESEARCH that has not begun.
    pub fn new(command: command::MultiSearch, tag: Bytes) -> MultiSearch {
        // rfc7377#2.1: without result options ALL is meant.
        let all = SearchReturn { all: true, ..SearchReturn::default() };
        let returns = Some(command.returns.unwrap_or(all));
        MultiSearch {
            form: Form { tag, uid: true, returns, basic: "", modseq: false, correlator: Bytes::new() },
            command,
            account: AccountId(0),
            left: Vec::new(),
            stage: Stage::Begin,
        }
    }

    /// How far it is: messages looked at.
    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Hunting(place) => place.hunt.progress(),
            _ => Progress::default(),
        }
    }

    /// Goes on.
    pub fn step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        let saves = self.command.returns.is_some_and(|returns| returns.save);
        self.try_step(core, cx).unwrap_or_else(|reply| refused(reply, saves, core))
    }

    fn try_step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Next) {
                Stage::Begin => self.begin(core, cx)?,
                Stage::Next => match self.left.pop() {
                    Some(mailbox) => self.next(mailbox, core, cx)?,
                    None => {
                        if self.form.returns.is_some_and(|returns| returns.update) {
                            // rfc5267#4.3.1
                            context::refuse(&self.form.tag, "SEARCH is followed, ESEARCH not", &mut core.out);
                        }
                        return Ok(Reply::done().into());
                    }
                },
                Stage::Hunting(place) => {
                    if let Some(step) = self.hunt(place, core, cx)? {
                        return Ok(step);
                    }
                }
                Stage::Telling(mut results) => {
                    let told = results.write(&self.form, &mut core.out);
                    if !told {
                        self.stage = Stage::Telling(results);
                    }
                    return Ok(if told { Step::Yield } else { Step::Room });
                }
            }
        }
    }

    fn begin(&mut self, core: &Core, cx: &Cx<'_>) -> Result<(), Reply> {
        if core.view.is_none() && self.form.returns.is_some_and(|returns| returns.update) {
            // rfc7377#2.2
            return Err(Reply::bad("UPDATE is for the selected mailbox"));
        }
        if core.enabled.utf8 && self.command.program.charset.is_some() {
            return Err(super::no_charset());
        }
        self.account = core.account_id();
        let of_others = core.view.as_ref().filter(|view| view.account() != self.account);
        let selected = core.view.as_ref().map(|view| view.mailbox_id());
        if self.command.sources.contains(&Source::Selected) {
            if selected.is_none() {
                // rfc7377#2.2
                return Err(Reply::bad("No mailbox is selected"));
            }
            if let Some(view) = of_others {
                if self.command.sources.iter().any(|source| *source != Source::Selected) {
                    return Err(Reply::no("[CANNOT] Other users' mailboxes are searched one by one"));
                }
                (self.account, self.left) = (view.account(), vec![view.mailbox_id()]);
                return Ok(());
            }
        }
        let account = core.account(cx)?;
        let is_searched = |mailbox: &MailboxRef<'_>| {
            let mut sources = self.command.sources.iter();
            !mailbox.no_select() && sources.any(|source| is_in(source, mailbox, account, selected))
        };
        self.left = account.mailboxes().filter(is_searched).map(|mailbox| mailbox.id()).collect();
        // They are taken from the end.
        self.left.reverse();
        Ok(())
    }

    /// Begins with a mailbox, if it is still there.
    fn next(&mut self, id: MailboxId, core: &mut Core, cx: &Cx<'_>) -> Result<(), Reply> {
        let account = self.account;
        let Some(mailbox) = cx.store.mailbox(account, id) else { return Ok(()) };
        let own = core.view.as_ref().filter(|view| view.account() == account && view.mailbox_id() == id);
        let other = match own {
            Some(_) => None,
            None => Some(View::open(account, mailbox, true)),
        };
        let Some(view) = other.as_ref().or(own) else { return Ok(()) };
        let mut query = Query::new(&self.command.program, Ground::new(view, mailbox, core, cx))?;
        query.scored = self.form.returns.is_some_and(|returns| returns.relevancy);
        self.form.modseq = query.modseq;
        let mut name = BytesMut::new();
        let others = format!("{OTHERS}{}/{}", core.selected_at, mailbox.name());
        let full = if account == core.account_id() { mailbox.name() } else { &others };
        write::mailbox(&mut name, full, core.enabled.utf8_names());
        let mut correlator = BytesMut::from(&b" MAILBOX "[..]);
        correlator.extend_from_slice(&name);
        correlator.extend_from_slice(b" UIDVALIDITY ");
        reply::number(&mut correlator, u64::from(mailbox.uid_validity()));
        self.form.correlator = correlator.freeze();
        let hunt = Hunt::new(query, view);
        self.stage = Stage::Hunting(Box::new(Place { view: other, hunt, results: Results::default() }));
        Ok(())
    }

    fn hunt(&mut self, mut place: Box<Place>, core: &mut Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let Place { view, hunt, results } = &mut *place;
        let hunted = match view.as_mut().or(core.view.as_mut()) {
            Some(view) => {
                view.absorb(cx.store);
                match view.mailbox(cx.store) {
                    Some(mailbox) => hunt.step(view, mailbox, cx.store),
                    None => Hunted::End,
                }
            }
            None => Hunted::End,
        };
        if let Hunted::Wait(step) = hunted {
            self.stage = Stage::Hunting(place);
            return Ok(Some(step));
        }
        for found in hunt.finds() {
            results.add(found, &self.form);
        }
        if let Hunted::Window = hunted {
            self.stage = Stage::Hunting(place);
            return Ok(Some(Step::Yield));
        }
        if let Some(returns) = self.form.returns.filter(|returns| returns.save) {
            keep(results, returns, true, core, cx)?;
        }
        // rfc7377#2.1: nothing is said of a mailbox without a match.
        if !results.is_empty() && !self.form.returns.is_some_and(says_nothing) {
            self.stage = Stage::Telling(std::mem::take(results));
        }
        Ok(Some(Step::Yield))
    }
}

/// Whether a mailbox is in a source (rfc7377#2.2, rfc5465#6).
fn is_in(
    source: &Source,
    mailbox: &MailboxRef<'_>,
    account: AccountRef<'_>,
    selected: Option<MailboxId>,
) -> bool {
    let below = |root: &String| {
        let rest = mailbox.name().strip_prefix(root.as_str())?;
        if rest.is_empty() { Some("") } else { rest.strip_prefix('/') }
    };
    match source {
        Source::Selected => selected == Some(mailbox.id()),
        // All mail is delivered there.
        Source::Inboxes => mailbox.name() == "INBOX",
        Source::Personal => true,
        Source::Subscribed => account.is_subscribed(mailbox.name()),
        Source::Mailboxes(names) => names.iter().any(|name| name == mailbox.name()),
        Source::Subtree(roots) => roots.iter().any(|root| below(root).is_some()),
        Source::SubtreeOne(roots) => {
            roots.iter().any(|root| below(root).is_some_and(|rest| !rest.contains('/')))
        }
    }
}
