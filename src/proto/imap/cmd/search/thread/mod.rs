//! THREAD and UID THREAD (rfc5256), with REFS (draft-ietf-morg-inthread#4).
//!
//! *Owns*: the command's course. *Promises*: keys come from what is stored beside messages; connecting,
//! arranging and telling go in bounded pieces, and what is kept for them is bounded. *Assumes*: the view keeps
//! numbers still. *Never*: reads a message to thread it.
//!
//! ```text
//!  Begin ──► Harvesting ──all read──► Arranging ──► Telling ──► Ending ──► Done
//! ```

use ringpost_engine::index::MailboxRef;
use ringpost_engine::store::Store;

use super::gather::{Gather, Harvest, Harvested};
use super::hunt::Found;
use super::key::{Ground, Query};
use super::sort::criteria::sent_s;
use super::uncut;
use crate::limits::IMAP_THREAD_LINKS_MAX;
use crate::proto::Cx;
use crate::proto::imap::command::{self, Threading};
use crate::proto::imap::pace::Progress;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step};

mod arrange;
mod forest;
mod graph;
mod tell;
#[cfg(test)]
mod tests;

use arrange::{Arrange, Threads};
use graph::{Arrival, Graph};
use tell::Teller;

/// See the module.
#[derive(Debug)]
pub struct Thread {
    command: command::Thread,
    stage: Stage,
    graph: Graph,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Harvesting(Box<Harvest>),
    Arranging(Box<Arrange>),
    Telling(Threads, Teller),
    /// All is told, and memory goes back.
    Ending(Threads),
}

impl Thread {
    /// A THREAD that has not begun.
    pub fn new(command: command::Thread) -> Thread {
        Thread { command, stage: Stage::Begin, graph: Graph::default() }
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
        self.try_step(core, cx).unwrap_or_else(Step::Done)
    }

    fn try_step(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Step, Reply> {
        loop {
            let next = match std::mem::replace(&mut self.stage, Stage::Begin) {
                Stage::Begin => self.begin(core, cx)?,
                Stage::Harvesting(harvest) => self.harvest(harvest, core, cx)?,
                Stage::Arranging(mut arrange) => {
                    self.stage = match arrange.step()? {
                        Some(threads) => Stage::Telling(threads, Teller::default()),
                        None => Stage::Arranging(arrange),
                    };
                    Some(Step::Yield)
                }
                Stage::Telling(threads, mut teller) => {
                    let told = teller.write(&threads, &mut core.out);
                    self.stage = if told { Stage::Ending(threads) } else { Stage::Telling(threads, teller) };
                    Some(if told { Step::Yield } else { Step::Room })
                }
                Stage::Ending(mut threads) => {
                    if !threads.release() {
                        return Ok(Reply::done().into());
                    }
                    self.stage = Stage::Ending(threads);
                    Some(Step::Yield)
                }
            };
            if let Some(step) = next {
                return Ok(step);
            }
        }
    }

    fn begin(&mut self, core: &mut Core, cx: &mut Cx<'_>) -> Result<Option<Step>, Reply> {
        let (view, mailbox) = core.selected(cx)?;
        let query = Query::new(&self.command.program, Ground::new(view, mailbox, core, cx))?;
        let modseq = query.modseq;
        let hunt = uncut(query, view, mailbox, cx)?;
        self.stage = Stage::Harvesting(Box::new(Harvest::new(hunt, Gather::default())));
        if modseq {
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
                let graph = std::mem::take(&mut self.graph);
                self.stage = Stage::Arranging(Box::new(Arrange::new(graph, self.command.algorithm)));
                return Ok(None);
            }
        };
        self.stage = Stage::Harvesting(harvest);
        Ok(Some(step))
    }

    /// Takes what was brought in into the graph.
    fn read(&mut self, harvest: &mut Harvest, mailbox: MailboxRef<'_>, store: &Store) -> Result<Step, Reply> {
        let Thread { graph, command, .. } = self;
        if graph.facts.is_empty() {
            graph.expect(harvest.progress().goal.unwrap_or_default() as usize);
        }
        let step =
            harvest.read(mailbox, store, IMAP_THREAD_LINKS_MAX, |found: &Found, message, summary| {
                let keys = summary.as_ref().and_then(|summary| summary.sort_keys());
                let arrival = Arrival {
                    name: if command.uid { found.uid.0 } else { found.number },
                    sent_s: sent_s(message, keys.as_ref()),
                    arrived_s: (message.internal_ms / 1000) as i64,
                    subject: keys.as_ref().map_or(&[], |keys| keys.subject),
                    reply: keys.as_ref().is_some_and(|keys| keys.reply_or_forward),
                };
                if command.algorithm == Threading::OrderedSubject {
                    return graph.add(arrival, None).map(|_| 1);
                }
                let links = summary.as_ref().and_then(|summary| summary.thread_keys());
                let node = graph.add(arrival, links.and_then(|links| links.message_id()))?;
                graph.link(node, links.iter().flat_map(|links| links.ancestors()))
            })?;
        Ok(step)
    }
}
