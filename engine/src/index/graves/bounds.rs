//! How much of one account lies among what was removed.
//!
//! *Owns*: how many messages of each account lie there, and bytes of the names of mailboxes. *Promises*: what is beyond
//! a bound goes at once, the oldest of that account first. *Assumes*: whoever changes the queues says so here. *Never*:
//! depends on anything but the changes, so that replay lets the same go.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::{BuriedMailbox, Grave, Graves, PART_ROWS};
use crate::ids::{AccountId, BodyKey};
use crate::limits::{BURIED_NAMES_BYTES_MAX, BURIED_NAMES_PER_ACCOUNT_BYTES_MAX, GRAVES_PER_ACCOUNT_MAX};

/// See the module's head.
#[derive(Debug)]
pub(super) struct Bounds {
    /// Messages of each account that has any.
    rows: BTreeMap<u64, usize>,
    /// Bytes of the names of each account that has any.
    names: BTreeMap<u64, usize>,
    /// Bytes of all names.
    all_names: usize,
    /// What `rows` may come to.
    pub(super) rows_max: usize,
    /// What `names` and `all_names` may come to.
    pub(super) names_max: (usize, usize),
    /// Messages that went because there were too many.
    pub(super) let_go: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            rows: BTreeMap::new(),
            names: BTreeMap::new(),
            all_names: 0,
            rows_max: GRAVES_PER_ACCOUNT_MAX,
            names_max: (BURIED_NAMES_PER_ACCOUNT_BYTES_MAX, BURIED_NAMES_BYTES_MAX),
            let_go: 0,
        }
    }
}

/// Takes so much off what an account has.
fn less(counts: &mut BTreeMap<u64, usize>, account: u64, by: usize) {
    if let Some(count) = counts.get_mut(&account) {
        *count = count.saturating_sub(by);
        if *count == 0 {
            counts.remove(&account);
        }
    }
}

impl Bounds {
    /// A message lies there.
    pub(super) fn add(&mut self, row: &Grave) {
        *self.rows.entry(row.account).or_default() += 1;
    }

    /// It has gone.
    pub(super) fn take(&mut self, row: &Grave) {
        less(&mut self.rows, row.account, 1);
    }

    /// How many messages of an account are to go: none as long as there are no more than may be, and an eighth of
    /// those at once, so that it is done rarely.
    pub(super) fn excess(&self, account: AccountId) -> usize {
        let rows = self.rows.get(&account.0).copied().unwrap_or(0);
        if rows > self.rows_max { rows - self.rows_max + self.rows_max / 8 } else { 0 }
    }

    /// A name lies there.
    pub(super) fn add_name(&mut self, gone: &BuriedMailbox) {
        *self.names.entry(gone.account.0).or_default() += gone.bytes();
        self.all_names += gone.bytes();
    }

    /// It has gone.
    pub(super) fn take_name(&mut self, gone: &BuriedMailbox) {
        less(&mut self.names, gone.account.0, gone.bytes());
        self.all_names -= gone.bytes();
    }

    /// The place of the name that goes next because there are too many: of the account that has, or of all.
    pub(super) fn name_to_go(&self, names: &VecDeque<BuriedMailbox>, account: AccountId) -> Option<usize> {
        let (own_max, all_max) = self.names_max;
        if self.names.get(&account.0).is_some_and(|own| *own > own_max) {
            return names.iter().position(|gone| gone.account == account);
        }
        (self.all_names > all_max).then_some(0)
    }
}

impl Graves {
    /// Puts a name there, and lets the oldest go when there are too many.
    pub(super) fn keep_name(&mut self, at: usize, gone: BuriedMailbox) {
        let account = gone.account;
        self.changed = true;
        self.bounds.add_name(&gone);
        self.mailboxes.insert(at, gone);
        while let Some(place) = self.bounds.name_to_go(&self.mailboxes, account) {
            let Some(gone) = self.mailboxes.remove(place) else { return };
            self.bounds.take_name(&gone);
            self.mailboxes_gone += 1;
        }
    }

    /// Whether an account has so many messages here that its oldest are to go.
    pub(in crate::index) fn has_excess(&self, account: AccountId) -> bool {
        self.bounds.excess(account) > 0
    }

    /// The parts that are not what they were when the oldest messages of an account go because there are too many.
    pub(in crate::index) fn parts_of_excess(&self, account: AccountId) -> Range<u64> {
        match self.end_of_excess(account) {
            0 => 0..0,
            end => self.gone / PART_ROWS + 1..(self.gone + end as u64).div_ceil(PART_ROWS) + 1,
        }
    }

    /// Behind the last message that is to go because its account has too many.
    fn end_of_excess(&self, account: AccountId) -> usize {
        let Some(last) = self.bounds.excess(account).checked_sub(1) else { return 0 };
        let ours = self.rows.iter().enumerate().filter(|(_, row)| row.account == account.0);
        ours.map(|(place, _)| place + 1).nth(last).unwrap_or(0)
    }

    /// Lets the oldest messages of an account go if it has too many, and tells of each body. Those of others before
    /// them take their places: their numbers grow.
    pub(in crate::index) fn let_go(&mut self, account: AccountId, mut released: impl FnMut(BodyKey)) {
        let end = self.end_of_excess(account);
        if end == 0 {
            return;
        }
        self.shifted = Some(self.shifted.map_or(self.gone, |before| before.min(self.gone)));
        let mut to = end;
        for place in (0..end).rev() {
            let row = self.rows[place];
            if row.account == account.0 {
                released(row.key());
                self.bounds.take(&row);
            } else {
                to -= 1;
                self.rows[to] = row;
            }
        }
        self.rows.drain(..to);
        self.gone += to as u64;
        self.bounds.let_go += to as u64;
        self.changed = true;
    }

    /// How many messages went since the start because their accounts had too many.
    pub(in crate::index) fn went_early(&self) -> u64 {
        self.bounds.let_go
    }
}
