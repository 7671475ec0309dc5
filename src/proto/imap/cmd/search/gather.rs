//! Reading the summaries of messages that were found.
//!
//! *Owns*: which of them are to be read next. *Promises*: in the order of the finds, a bounded run of summaries
//! brought in at a time. *Assumes*: the same mailbox every time. *Never*: reads a message's own octets.

use ringpost_engine::index::{MailboxRef, Message};
use ringpost_engine::io::Extent;
use ringpost_engine::layout::SummaryView;
use ringpost_engine::store::Store;

use super::hunt::{Found, Hunt, Hunted};
use crate::limits::{IMAP_GATHER_BYTES_MAX, IMAP_GATHER_MESSAGES_MAX};
use crate::proto::imap::state::Step;
use crate::proto::imap::view::View;

/// See the module.
#[derive(Debug, Default)]
pub struct Gather {
    waiting: Vec<Found>,
    next: usize,
    /// How many from `next` on are brought in.
    warmed: usize,
}

impl Gather {
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
        let mut extents = Vec::new();
        let mut bytes = 0;
        self.warmed = 0;
        for found in self.waiting[self.next..].iter().take(IMAP_GATHER_MESSAGES_MAX) {
            self.warmed += 1;
            let body = mailbox.place(found.uid).and_then(|place| store.body(mailbox.message(place).body));
            let Some(body) = body else { continue };
            extents.push(body.summary);
            bytes += body.summary.len as usize;
            if bytes >= IMAP_GATHER_BYTES_MAX {
                break;
            }
        }
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
        let mut work = 0;
        for found in &self.waiting[self.next..self.next + self.warmed] {
            if work >= work_max {
                break;
            }
            self.next += 1;
            let Some(place) = mailbox.place(found.uid) else { continue };
            let message = mailbox.message(place);
            let encoded = store.body(message.body).and_then(|body| store.bytes(body.summary));
            work += take(found, &message, encoded.as_deref().and_then(SummaryView::new))?;
        }
        self.warmed = 0;
        Ok(())
    }
}
