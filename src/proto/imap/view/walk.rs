//! Present messages of a set, in order, with their numbers.
//!
//! *Owns*: the way from UID ranges to places in the store. *Promises*: every step costs O(1), every new range
//! O(log n); gone messages and those the client does not know of yet are passed over.
//! *Assumes*: the store does not change while a walk lives; commands keep the next UID, not the walk.
//! *Never*: stores.

use ringpost_engine::change::UidSet;
use ringpost_engine::ids::Uid;
use ringpost_engine::index::{MailboxRef, Message};

use super::View;

/// See [`View::walk`].
pub struct Walk<'a> {
    view: &'a View,
    mailbox: MailboxRef<'a>,
    ranges: &'a [(u32, u32)],
    /// The place to look at next, at least the first one of the first range.
    place: usize,
    /// One past the place of the last message that the client knows.
    end: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(view: &'a View, mailbox: MailboxRef<'a>, uids: &'a UidSet, from: Uid) -> Walk<'a> {
        let first = uids.ranges().partition_point(|&(_, last)| last < from.0);
        let ranges = &uids.ranges()[first..];
        let from = ranges.first().map_or(from, |&(first, _)| from.max(Uid(first)));
        Walk { view, mailbox, ranges, place: mailbox.rank(from), end: mailbox.rank(view.horizon()) }
    }
}

impl Iterator for Walk<'_> {
    /// The message and its number.
    type Item = (u32, Message);

    fn next(&mut self) -> Option<(u32, Message)> {
        while self.place < self.end {
            let message = self.mailbox.message(self.place);
            let skip = self.ranges.partition_point(|&(_, last)| last < message.uid.0);
            self.ranges = &self.ranges[skip..];
            let &(first, _) = self.ranges.first()?;
            if message.uid.0 < first {
                self.place = self.mailbox.rank(Uid(first));
                continue;
            }
            let number = self.view.number_at(self.place, message.uid);
            self.place += 1;
            return Some((number, message));
        }
        None
    }
}
