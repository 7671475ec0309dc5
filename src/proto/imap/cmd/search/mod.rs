//! SEARCH (rfc3501#6.4.4) with RETURN (rfc4731), SAVE (rfc5182), PARTIAL (rfc9394) and MODSEQ
//! (rfc7162#3.1.5).
//!
//! *Owns*: the command's course: hunt, keep, tell. *Promises*: what is kept for `$` is what rfc5182#2.4 says.
//! *Assumes*: the view keeps numbers still. *Never*: looks at a message itself.
//!
//! ```text
//!  Begin ──► Hunting ──a window of finds──► results ─┐
//!               ▲ └──────────── more ◄───────────────┤
//!               └────────────────────────────────────┘ no more ──► Telling ──► Done
//! ```

use bytes::Bytes;
use ringpost_engine::change::UidSet;
use ringpost_engine::index::MailboxRef;

use crate::limits::IMAP_SAVED_RANGES_MAX;
use crate::proto::Cx;
use crate::proto::imap::command::{self, SearchReturn};
use crate::proto::imap::pace::Progress;
use crate::proto::imap::reply::{Reply, Status};
use crate::proto::imap::state::{Core, Step};
use crate::proto::imap::view::View;

pub mod batches;
pub mod context;
mod gather;
mod hunt;
mod key;
mod list;
pub mod multi;
mod reading;
mod results;
mod room;
pub mod sort;
mod sorter;
mod summaries;
pub mod thread;

use context::Update;
use hunt::{Hunt, Hunted};
use key::{Ground, Query};
use results::{Form, Results};

/// See the module.
#[derive(Debug)]
pub struct Search {
    command: command::Search,
    form: Form,
    stage: Stage,
    results: Results,
    update: Update,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Hunting(Box<Hunt>),
    Telling,
}

impl Search {
    /// A SEARCH that has not begun.
    pub fn new(command: command::Search, tag: Bytes) -> Search {
        let (uid, returns) = (command.uid, command.returns);
        let form = Form { tag, uid, returns, basic: "SEARCH", modseq: false, correlator: Bytes::new() };
        let (stage, results) = (Stage::Begin, Results::default());
        Search { command, form, stage, results, update: Update::Unasked }
    }

    /// How far it is: messages looked at.
    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Hunting(hunt) => hunt.progress(),
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
            match &mut self.stage {
                Stage::Begin => self.begin(core, cx)?,
                Stage::Hunting(hunt) => {
                    let (view, mailbox) = core.selected(cx)?;
                    let hunted = hunt.step(view, mailbox, cx.store);
                    if let Hunted::Wait(step) = hunted {
                        return Ok(step);
                    }
                    for found in hunt.finds() {
                        self.results.add(found, &self.form);
                        self.update.note(found.uid);
                    }
                    if let Hunted::Window = hunted {
                        return Ok(Step::Yield);
                    }
                    if let Some(returns) = self.form.returns.filter(|returns| returns.save) {
                        keep(&self.results, returns, self.form.uid, core, cx)?;
                    }
                    self.stage = Stage::Telling;
                }
                Stage::Telling => {
                    let quiet = self.form.returns.is_some_and(says_nothing);
                    if !quiet && !self.results.write(&self.form, &mut core.out) {
                        return Ok(Step::Room);
                    }
                    self.update.begin(&self.form, core);
                    return Ok(Reply::done().into());
                }
            }
        }
    }

    fn begin(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<(), Reply> {
        if self.command.program.charset.is_some() && core.enabled.utf8 {
            return Err(no_charset());
        }
        if core.enabled.rev2 && self.form.returns.is_none() {
            // rfc9051#6.4.4: SEARCH is answered by ESEARCH, as if RETURN (ALL) stood there.
            self.form.returns = Some(SearchReturn { all: true, ..SearchReturn::default() });
        }
        let (view, mailbox) = core.selected(cx)?;
        let mut query = Query::new(&self.command.program, Ground::new(view, mailbox, core, cx))?;
        query.scored = self.form.returns.is_some_and(|returns| returns.relevancy);
        self.form.modseq = query.modseq;
        self.update = Update::of(&self.form, &query, None, view, mailbox)?;
        let (hunt, cut) = Hunt::among_last(query, cx.server.imap.message_limit, view, mailbox);
        self.stage = Stage::Hunting(Box::new(hunt));
        core.cut = cut;
        if self.form.modseq {
            core.enable_condstore(cx);
        }
        Ok(())
    }
}

/// A hunt for an order, in which no message may be left out (rfc9738#3.3).
fn uncut(query: Query, view: &View, mailbox: MailboxRef<'_>, cx: &Cx<'_>) -> Result<Hunt, Reply> {
    match Hunt::among_last(query, cx.server.imap.message_limit, view, mailbox) {
        (hunt, None) => Ok(hunt),
        (_, Some(cut)) => Err(cut.refuse()),
    }
}

/// The end of a searching command that failed.
fn refused(reply: Reply, saves: bool, core: &mut Core) -> Step {
    if saves && reply.status == Status::No {
        // rfc5182#2.1: NO empties what was kept; BAD leaves it.
        save(core, UidSet::new());
    }
    Step::Done(reply)
}

/// rfc9755#3, rfc6855#3: all strings are UTF-8 then.
fn no_charset() -> Reply {
    Reply::bad("CHARSET is out of place where UTF8=ACCEPT is enabled")
}

/// Keeps what was found for `$`.
fn keep(
    results: &Results,
    returns: SearchReturn,
    uid: bool,
    core: &mut Core,
    cx: &Cx<'_>,
) -> Result<(), Reply> {
    let names = results.to_save(returns);
    let (view, mailbox) = core.selected(cx)?;
    let uids = if uid { names } else { view.uids_at(mailbox, &names) };
    if uids.ranges().len() > IMAP_SAVED_RANGES_MAX {
        return Err(Reply::no("[NOTSAVED] The result is in too many pieces to keep"));
    }
    save(core, uids);
    Ok(())
}

fn save(core: &mut Core, found: UidSet) {
    if let Some(view) = &mut core.view {
        view.save(found);
    }
}

/// rfc5182#1: SAVE alone suppresses the reply.
fn says_nothing(returns: SearchReturn) -> bool {
    returns == SearchReturn { save: true, ..SearchReturn::default() }
}
