//! SORT and UID SORT (rfc5256) with RETURN (rfc5267#3, ESORT), by names people see (rfc5957, SORT=DISPLAY) and by
//! relevancy (rfc6203#6).
//!
//! *Owns*: the command's course. *Promises*: keys come from what is stored beside messages; sorting goes in
//! bounded pieces, and what is kept for it is bounded. *Assumes*: the view keeps numbers still. *Never*: reads
//! a message to sort it.
//!
//! ```text
//!  Begin ──► Harvesting ──all read──► Sorting ──► Telling ──► Done
//! ```

use bytes::Bytes;
use ringpost_engine::index::MailboxRef;
use ringpost_engine::store::Store;

use super::context::Update;
use super::gather::{Gather, Harvest, Harvested};
use super::hunt::Found;
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
    Harvesting(Box<Harvest>),
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
        Sort {
            form: Form { tag, uid, returns, basic: "SORT", modseq: false, correlator: Bytes::new() },
            command,
            stage: Stage::Begin,
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
            Stage::Harvesting(harvest) => harvest.progress(),
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
                Stage::Harvesting(harvest) => self.harvest(harvest, core, cx)?,
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
        let gather = match criteria::wants_summaries(&self.command.criteria) {
            true => Gather::default(),
            false => Gather::by_index(),
        };
        self.stage = Stage::Harvesting(Box::new(Harvest::new(uncut(query, view, mailbox, cx)?, gather)));
        if self.form.modseq {
            core.enable_condstore(cx);
        }
        Ok(None)
    }

    fn harvest(
        &mut self,
        mut harvest: Box<Harvest>,
        core: &Core,
        cx: &Cx<'_>,
    ) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        let step = match harvest.step(view, mailbox, cx.store) {
            Harvested::Wait(step) => step,
            Harvested::Ready => self.read(&mut harvest, mailbox, cx.store)?,
            Harvested::Over => {
                self.stage = Stage::Sorting;
                return Ok(None);
            }
        };
        self.stage = Stage::Harvesting(harvest);
        Ok(Some(step))
    }

    /// Makes the keys of what was brought in.
    fn read(&mut self, harvest: &mut Harvest, mailbox: MailboxRef<'_>, store: &Store) -> Result<Step, Reply> {
        let Sort { key, sorter, finds, command, update, .. } = self;
        if finds.is_empty() {
            let count = harvest.progress().goal.unwrap_or_default() as usize;
            finds.reserve_exact(count.min(IMAP_SORT_BYTES_MAX / size_of::<Found>()));
            sorter.expect(count);
        }
        let step = harvest.read(mailbox, store, IMAP_GATHER_MESSAGES_MAX, |found, message, summary| {
            key.clear();
            criteria::write(key, &command.criteria, found, message, summary.as_ref());
            finds.push(*found);
            update.note_key(found.uid, key.key());
            sorter.add(key.key()).map(|()| 1)
        })?;
        Ok(step)
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
