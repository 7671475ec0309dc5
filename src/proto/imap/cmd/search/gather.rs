//! Reading the summaries of messages that were found.
//!
//! *Owns*: which of them are to be read next, and when the hunt goes on. *Promises*: in the order of the finds, a
//! bounded run of summaries brought in at a time. *Assumes*: the same mailbox every time. *Never*: reads a message's
//! own octets.
//!
//! ```text
//!  hunting ──finds──► bringing in ──► reading ──all read──► hunting … no more ──► over
//!                          ▲─────more──────┘
//! ```

use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::layout::SummaryView;
use ringpost_engine::octets::Octets;
use ringpost_engine::store::Store;

use super::hunt::{Found, Hunt, Hunted};
use super::summaries::{self, Lot, Sought, present};
use crate::limits::IMAP_GATHER_ROWS_MAX;
use crate::proto::imap::pace::Progress;
use crate::proto::imap::state::Step;
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug, Default)]
pub struct Gather {
    waiting: Vec<Found>,
    next: usize,
    /// How many from `next` on are brought in.
    warmed: usize,
    /// What the index knows of the finds is enough.
    by_index: bool,
}

impl Gather {
    /// For a reader who needs no summaries: none is brought in, and each is told as if it could not be read.
    pub fn by_index() -> Gather {
        Gather { by_index: true, ..Gather::default() }
    }

    /// What is to be brought in before the next [`Gather::read`]; none when all finds are read.
    fn warm(&mut self, mailbox: MailboxRef<'_>, store: &Store) -> Option<Vec<Octets>> {
        if self.next == self.waiting.len() {
            self.waiting.clear();
            self.next = 0;
            return None;
        }
        if self.by_index {
            self.warmed = (self.waiting.len() - self.next).min(IMAP_GATHER_ROWS_MAX);
            return Some(Vec::new());
        }
        let next = self.waiting[self.next..].iter().map(sought);
        let (count, extents) = summaries::to_bring_in(next, mailbox, store);
        self.warmed = count;
        Some(extents)
    }

    /// Gives what was brought in to `take`, until that fails or has done `work_max` of what it counts as its work;
    /// what is left is brought in again. Messages that are gone by now are passed over; a summary that cannot be
    /// read is none.
    fn read<E>(
        &mut self,
        mailbox: MailboxRef<'_>,
        store: &Store,
        work_max: usize,
        mut take: impl FnMut(&Found, &Message, Option<SummaryView<'_>>) -> Result<usize, E>,
    ) -> Result<(), E> {
        let waiting = &self.waiting[self.next..self.next + self.warmed];
        if self.by_index {
            self.next += waiting.len();
            for found in waiting {
                if let Some((_, message)) = present(mailbox, sought(found)) {
                    take(found, &message, None)?;
                }
            }
            return Ok(());
        }
        let lot = Lot::new(waiting.iter().map(sought), mailbox, store);
        lot.approach_keys();
        let (mut work, mut taken) = (0, waiting.len());
        for row in lot.rows() {
            if work >= work_max {
                taken = row.nth;
                break;
            }
            work += take(&waiting[row.nth], &row.message, SummaryView::new(lot.encoded(row)))?;
        }
        self.next += taken;
        self.warmed = 0;
        Ok(())
    }
}

/// A hunt whose finds are read before it goes on.
#[derive(Debug)]
pub struct Harvest {
    hunt: Hunt,
    gather: Gather,
    /// The next summaries were brought in.
    ready: bool,
    /// No find is behind those being gathered.
    last_finds: bool,
}

/// How a step of a [`Harvest`] ended.
#[derive(Debug)]
pub enum Harvested {
    /// The command waits for this.
    Wait(Step),
    /// [`Harvest::read`] has something to read.
    Ready,
    /// All finds are read.
    Over,
}

impl Harvest {
    /// One that has not begun.
    pub fn new(hunt: Hunt, gather: Gather) -> Harvest {
        Harvest { hunt, gather, ready: false, last_finds: false }
    }

    /// How far it is: messages looked at.
    pub fn progress(&self) -> Progress {
        self.hunt.progress()
    }

    /// Goes on: a window of the hunt at the most.
    pub fn step(&mut self, view: &View, mailbox: MailboxRef<'_>, store: &Store) -> Harvested {
        if std::mem::take(&mut self.ready) {
            return Harvested::Ready;
        }
        if self.gather.waiting.is_empty() {
            if self.last_finds {
                return Harvested::Over;
            }
            let hunted = self.hunt.step(view, mailbox, store);
            if let Hunted::Wait(step) = hunted {
                return Harvested::Wait(step);
            }
            self.gather.waiting.extend(self.hunt.finds());
            self.last_finds = matches!(hunted, Hunted::End);
        }
        Harvested::Wait(self.bring_in(mailbox, store))
    }

    fn bring_in(&mut self, mailbox: MailboxRef<'_>, store: &Store) -> Step {
        let extents = self.gather.warm(mailbox, store);
        self.ready = extents.is_some();
        extents.filter(|extents| !extents.is_empty()).map_or(Step::Yield, Step::Warm)
    }

    /// Reads what was brought in, as [`Gather::read`] says, and tells what the command waits for next.
    pub fn read<E>(
        &mut self,
        mailbox: MailboxRef<'_>,
        store: &Store,
        work_max: usize,
        take: impl FnMut(&Found, &Message, Option<SummaryView<'_>>) -> Result<usize, E>,
    ) -> Result<Step, E> {
        self.gather.read(mailbox, store, work_max, take)?;
        Ok(self.bring_in(mailbox, store))
    }
}

fn sought(found: &Found) -> Sought {
    (found.uid, found.number)
}
