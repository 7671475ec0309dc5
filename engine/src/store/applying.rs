//! What is durable and not yet to be seen.
//!
//! *Owns*: durable batches whose changes are still to be carried out. *Promises*: changes are carried out in the order
//! of the log, a bounded number in one step, a large one in steps of its own; between two steps others are served
//! ([`IoRequest::Pause`]), see what was before, and no checkpoint begins. *Assumes*: nothing is asked of the disk for
//! the log meanwhile, so that little can pile up. *Never*: tells of a change that is not carried out.
//!
//! ```text
//!  batch durable ──► backlog ──step──► … ──step──► all of it is to be seen: `visible` is its end
//!                       ▲                 │
//!                       └── Pause, done ◄─┘
//! ```

use std::collections::VecDeque;

use super::{Applied, Progress, Store};
use crate::change::{Change, Entry, Outcome};
use crate::checkpoint::Point;
use crate::ids::Lsn;
use crate::index::apply::{Begun, Large, apply_body, begin};
use crate::io::{IoId, IoRequest};
use crate::limits::APPLY_STEP_CHANGES;
use crate::log::build::{Batch, Item};

/// A batch whose changes are to be carried out.
struct Durable {
    items: std::vec::IntoIter<Item>,
    /// Where the log stands behind it.
    point: Point,
    end: Lsn,
}

/// See the module's head.
pub(super) struct Applying {
    backlog: VecDeque<Durable>,
    /// The large change under way; its batch is the first.
    large: Option<(Entry, Large)>,
    /// Everything below is durable and to be seen.
    visible: Lsn,
    pause: Option<IoId>,
}

impl Applying {
    pub(super) fn new(visible: Lsn) -> Applying {
        Applying { backlog: VecDeque::new(), large: None, visible, pause: None }
    }

    /// Everything below is durable and to be seen.
    pub(super) fn visible(&self) -> Lsn {
        self.visible
    }

    /// Whether something durable is not to be seen yet.
    pub(super) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Changes that are durable and not to be seen yet, oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let waiting = self.backlog.iter().flat_map(|batch| batch.items.as_slice());
        let waiting =
            waiting.filter_map(|item| if let Item::Entry(entry) = item { Some(entry) } else { None });
        self.large.as_ref().map(|(entry, _)| entry).into_iter().chain(waiting)
    }
}

impl Store {
    /// A batch is durable: its changes are next.
    pub(super) fn commit(&mut self, batch: Batch, progress: &mut Progress) {
        self.batches += 1;
        let (tail, time_ms) = (self.writer.tail(), self.writer.time_ms());
        let point = Point { tail, witness: batch.witness, time_ms };
        let end = self.writer.durable();
        self.applying.backlog.push_back(Durable { items: batch.items.into_iter(), point, end });
        if self.applying.backlog.len() == 1 {
            self.carry_on(progress);
        }
    }

    /// While something is left to be carried out, the request by which others come first.
    pub(super) fn pause(&mut self) -> Option<(IoId, IoRequest)> {
        if self.applying.pause.is_some() {
            return None;
        }
        let id = self.writer.next_io();
        self.applying.pause = Some(id);
        Some((id, IoRequest::Pause))
    }

    /// Goes on if this was the pause.
    pub(super) fn complete_pause(&mut self, id: IoId) -> Option<Progress> {
        self.applying.pause.take_if(|pause| *pause == id)?;
        let mut progress = Progress::default();
        self.carry_on(&mut progress);
        Some(progress)
    }

    /// One step.
    fn carry_on(&mut self, progress: &mut Progress) {
        self.mutating = true;
        let mut left = APPLY_STEP_CHANGES.min(self.index.step_messages);
        while left > 0 && self.carry_out_next(progress) {
            left -= 1;
        }
        self.mutating = false;
        progress.durable = self.applying.visible;
    }

    /// One change, or a step of a large one. False when that was enough for now.
    fn carry_out_next(&mut self, progress: &mut Progress) -> bool {
        if let Some((entry, mut large)) = self.applying.large.take() {
            match large.step(&mut self.index, &entry) {
                Some(outcome) => self.carried_out(entry, outcome, progress),
                None => self.applying.large = Some((entry, large)),
            }
            return false;
        }
        let Some(batch) = self.applying.backlog.front_mut() else { return false };
        match batch.items.next() {
            Some(Item::Body(key, segment)) => apply_body(&mut self.index, key, segment),
            Some(Item::Entry(entry)) => match begin(&mut self.index, &entry) {
                Begun::Done(outcome) => self.carried_out(entry, outcome, progress),
                Begun::Large(large) => self.applying.large = Some((entry, large)),
            },
            None => {
                if let Some(Durable { point, end, .. }) = self.applying.backlog.pop_front() {
                    (self.point, self.applying.visible) = (point, end);
                }
            }
        }
        true
    }

    fn carried_out(&mut self, entry: Entry, outcome: Outcome, progress: &mut Progress) {
        self.planner.settle(&entry);
        self.entries += 1;
        self.report(entry, outcome, progress);
    }

    /// Tells whoever asked for a change; what the store asked for by itself is nobody's.
    pub(super) fn report(&mut self, entry: Entry, outcome: Outcome, progress: &mut Progress) {
        match entry.change {
            Change::Reap { .. } => self.reaping = false,
            Change::Session { .. } | Change::Read { .. } | Change::Distrust { .. } | Change::Trust { .. } => {
            }
            _ => progress.applied.push(Applied { lsn: entry.lsn, account: entry.account, outcome }),
        }
    }
}
