//! SORT and UID SORT (rfc5256) with RETURN (rfc5267#3, ESORT), by names people see (rfc5957, SORT=DISPLAY) and by
//! relevancy (rfc6203#6).
//!
//! *Owns*: the command's course. *Promises*: keys come from what is stored beside messages; sorting goes in
//! bounded pieces, and what is kept for it is bounded. *Assumes*: the view keeps numbers still. *Never*: reads
//! a message to sort it.
//!
//! ```text
//!  Begin ──► Hunting ──finds──► Gathering ──all read──► Hunting … no more ──► Sorting ──► Telling ──► Done
//! ```

use bytes::Bytes;

use super::context::Update;
use super::gather::Gather;
use super::hunt::{Found, Hunt};
use super::key::{Ground, Query};
use super::results::{Form, Results};
use super::room::release;
use super::sorter::{KeyWriter, Sorter, TooMuch};
use super::{keep, refused, says_nothing, uncut};
use crate::limits::{IMAP_GATHER_MESSAGES_MAX, IMAP_SORT_BYTES_MAX};
use crate::proto::Cx;
use crate::proto::imap::command;
use crate::proto::imap::pace::Progress;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};

pub mod criteria;

/// See the module.
#[derive(Debug)]
pub struct Sort {
    command: command::Sort,
    form: Form,
    stage: Stage,
    gather: Gather,
    /// No find is behind those being gathered.
    last_finds: bool,
    key: KeyWriter,
    sorter: Sorter,
    /// In mailbox order, as they were added to the sorter.
    finds: Vec<Found>,
    results: Results,
    update: Update,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Hunting(Box<Hunt>),
    Gathering(Box<Hunt>),
    Sorting,
    Telling,
}

impl From<TooMuch> for Reply {
    fn from(_: TooMuch) -> Reply {
        Reply::no("[LIMIT] Too many messages to put in order at once")
    }
}

impl Sort {
    /// A SORT that has not begun.
    pub fn new(command: command::Sort, tag: Bytes) -> Sort {
        let (uid, returns) = (command.uid, command.returns);
        let gather = match criteria::wants_summaries(&command.criteria) {
            true => Gather::default(),
            false => Gather::by_index(),
        };
        Sort {
            form: Form { tag, uid, returns, basic: "SORT", modseq: false, correlator: Bytes::new() },
            command,
            stage: Stage::Begin,
            gather,
            last_finds: false,
            key: KeyWriter::default(),
            sorter: Sorter::default(),
            finds: Vec::new(),
            results: Results::default(),
            update: Update::Unasked,
        }
    }

    /// How far it is: messages looked at.
    pub fn progress(&self) -> Progress {
        match &self.stage {
            Stage::Hunting(hunt) | Stage::Gathering(hunt) => hunt.progress(),
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
            let next = match std::mem::replace(&mut self.stage, Stage::Telling) {
                Stage::Begin => self.begin(core, cx)?,
                Stage::Hunting(hunt) => self.hunt(hunt, core, cx)?,
                Stage::Gathering(hunt) => self.gather(hunt, core, cx)?,
                Stage::Sorting => self.sort(core, cx)?,
                Stage::Telling => {
                    let quiet = self.form.returns.is_some_and(says_nothing);
                    let told = quiet || self.results.write(&self.form, &mut core.out);
                    if told {
                        self.update.begin(&self.form, core);
                    }
                    Some(if told { Reply::done().into() } else { Step::Room })
                }
            };
            if let Some(step) = next {
                return Ok(step);
            }
        }
    }

    fn begin(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        let mut query = Query::new(&self.command.program, Ground::new(view, mailbox, core, cx))?;
        query.scored = criteria::wants_scores(&self.command.criteria)
            || self.form.returns.is_some_and(|returns| returns.relevancy);
        self.form.modseq = query.modseq;
        self.update = Update::of(&self.form, &query, Some(&self.command.criteria), view, mailbox)?;
        self.stage = Stage::Hunting(Box::new(uncut(query, view, mailbox, cx)?));
        if self.form.modseq {
            core.enable_condstore(cx);
        }
        Ok(None)
    }

    fn hunt(&mut self, mut hunt: Box<Hunt>, core: &Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        match self.gather.take(&mut hunt, view, mailbox, cx.store) {
            Ok(last) => self.last_finds = last,
            Err(step) => {
                self.stage = Stage::Hunting(hunt);
                return Ok(Some(step));
            }
        }
        self.stage = Stage::Gathering(hunt);
        self.warm(core, cx)
    }

    /// Brings the next summaries in, or goes on where there are none to read.
    fn warm(&mut self, core: &Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let (_, mailbox) = core.selected(cx)?;
        if let Some(extents) = self.gather.warm(mailbox, cx.store) {
            return Ok(Some(if extents.is_empty() { Step::Yield } else { Step::Warm(extents) }));
        }
        let gathered = std::mem::replace(&mut self.stage, Stage::Sorting);
        if let (Stage::Gathering(hunt), false) = (gathered, self.last_finds) {
            self.stage = Stage::Hunting(hunt);
        }
        Ok(Some(Step::Yield))
    }

    fn gather(&mut self, hunt: Box<Hunt>, core: &Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let (_, mailbox) = core.selected(cx)?;
        let Sort { gather, key, sorter, finds, command, update, .. } = self;
        if finds.is_empty() {
            let count = hunt.progress().goal.unwrap_or_default() as usize;
            finds.reserve_exact(count.min(IMAP_SORT_BYTES_MAX / size_of::<Found>()));
            sorter.expect(count);
        }
        gather.read(mailbox, cx.store, IMAP_GATHER_MESSAGES_MAX, |found, message, summary| {
            key.clear();
            criteria::write(key, &command.criteria, found, message, summary.as_ref());
            finds.push(*found);
            update.note_key(found.uid, key.key());
            sorter.add(key.key()).map(|()| 1)
        })?;
        self.stage = Stage::Gathering(hunt);
        self.warm(core, cx)
    }

    fn sort(&mut self, core: &mut Core, cx: &Cx<'_>) -> Result<Option<Step>, Reply> {
        let Sort { sorter, finds, results, form, update, .. } = self;
        let done = sorter.step(|turn| {
            if let Some(found) = finds.get(turn) {
                results.add_sorted(*found, form);
                update.note_place(found.uid);
            }
        });
        if !done || sorter.release() || release(finds) {
            self.stage = Stage::Sorting;
            return Ok(Some(Step::Yield));
        }
        if let Some(returns) = self.form.returns.filter(|returns| returns.save) {
            keep(&self.results, returns, self.form.uid, core, cx)?;
        }
        Ok(None)
    }
}
