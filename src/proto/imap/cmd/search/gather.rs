//! Reading the summaries of messages that were found.
//!
//! *Owns*: which of them are to be read next. *Promises*: in the order of the finds, a bounded run of summaries
//! brought in at a time. *Assumes*: the same mailbox every time. *Never*: reads a message's own octets.

use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::io::Extent;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::Store;

use super::hunt::{Found, Hunt, Hunted};
use super::summaries::{self, Lot, Sought, present};
use crate::limits::IMAP_GATHER_ROWS_MAX;
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

    /// Takes a hunt's next window of finds. Whether it was the last one, or what the hunt waits for.
    pub fn take(
        &mut self,
        hunt: &mut Hunt,
        view: &View,
        mailbox: MailboxRef<'_>,
        store: &Store,
    ) -> Result<bool, Step> {
        let hunted = hunt.step(view, mailbox, store);
        if let Hunted::Wait(step) = hunted {
            return Err(step);
        }
        self.waiting.extend(hunt.finds());
        Ok(matches!(hunted, Hunted::End))
    }

    /// What is to be brought in before the next [`Gather::read`]; none when all finds are read.
    pub fn warm(&mut self, mailbox: MailboxRef<'_>, store: &Store) -> Option<Vec<Extent>> {
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
    pub fn read<E>(
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

fn sought(found: &Found) -> Sought {
    (found.uid, found.number)
}
