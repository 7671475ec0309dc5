//! What differs between a folder there and the mailbox here.
//!
//! *Owns*: the comparison, message by message. *Promises*: one pass over both, ascending by UID; a UID here is taken
//! for the same message only where an import brought it. *Assumes*: UIDVALIDITY is the same on both sides, or the
//! mailbox here never had a message. *Never*: does anything about it.
//!
//! ```text
//!  UIDs  1 … imported_next … uid_next …
//!        │ the other store's │ arrived here │ free: new ones of the other store fit in
//! ```

use std::collections::BTreeMap;

use super::mark::Mark;
use super::ranges::Ranges;

/// What is known of the mailbox here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// `\Sent` and the like, or empty.
    pub special_use: String,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: u32,
    /// UIDs below came from the other store.
    pub imported_next: u32,
    /// How far messages with new UIDs were taken over; empty without any.
    pub mark: String,
}

impl Here {
    /// Whether it never had a message.
    pub fn is_fresh(&self) -> bool {
        self.uid_next <= 1
    }

    /// Whether mail arrived here that is not the other store's.
    pub fn has_own(&self) -> bool {
        !self.is_fresh() && self.uid_next > self.imported_next
    }
}

/// The difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Places of messages that are to be appended.
    pub new: Vec<usize>,
    /// Messages whose flags are others, by the flags they are to have.
    pub flags: BTreeMap<Vec<String>, Ranges>,
    /// Messages that are there no longer.
    pub gone: Ranges,
    /// Messages that were taken over once and have been deleted here.
    pub deleted_here: u64,
    /// Places of messages whose UIDs are in use here or may be.
    pub taken: Vec<usize>,
    /// Places of messages that are to be appended with new UIDs.
    pub late: Vec<usize>,
    /// Places of messages that an earlier run could not take over, and whose UIDs have been passed since.
    pub left: Vec<usize>,
    /// Places of such messages that came under new UIDs.
    pub moved: Vec<usize>,
}

/// Compares, message by message of the mailbox here.
pub struct Differ<'a> {
    uids: &'a [u32],
    uid_next_there: u32,
    here: &'a Here,
    mark: &'a Mark,
    /// The next place there.
    at: usize,
    found: Difference,
}

impl<'a> Differ<'a> {
    /// Begins with the first of both.
    pub fn new(uids: &'a [u32], uid_next_there: u32, here: &'a Here, mark: &'a Mark) -> Differ<'a> {
        Differ { uids, uid_next_there, here, mark, at: 0, found: Difference::default() }
    }

    /// The next message here. Returns its place there, if it is there: whoever asks compares the flags.
    pub fn next_here(&mut self, uid: u32) -> Option<usize> {
        self.pass(uid);
        let is_there = self.uids.get(self.at) == Some(&uid);
        if uid >= self.here.imported_next {
            // It arrived here, whatever has its UID there.
            if is_there {
                self.found.taken.push(self.at);
                self.at += 1;
            }
            return None;
        }
        if !is_there {
            if uid < self.uid_next_there {
                self.found.gone.push(uid);
            }
            return None;
        }
        self.at += 1;
        Some(self.at - 1)
    }

    /// A message that is on both sides is to have these flags.
    pub fn set_flags(&mut self, uid: u32, flags: Vec<String>) {
        self.found.flags.entry(flags).or_default().push(uid);
    }

    /// There is no message more here.
    pub fn end(mut self) -> Difference {
        self.pass(u32::MAX);
        self.found
    }

    /// Judges what is there below a UID and not here.
    fn pass(&mut self, below: u32) {
        while let Some(&uid) = self.uids.get(self.at).filter(|&&uid| uid < below) {
            if uid < self.here.imported_next {
                match (self.mark.is_left(uid), self.mark.is_moved(uid)) {
                    (true, _) => self.found.left.push(self.at),
                    (false, true) => self.found.moved.push(self.at),
                    (false, false) => self.found.deleted_here += 1,
                }
            } else if self.here.has_own() {
                self.found.taken.push(self.at);
            } else {
                self.found.new.push(self.at);
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(uid_next: u32, imported_next: u32) -> Here {
        Here { uid_next, imported_next, uid_validity: 7, ..Here::default() }
    }

    fn differ(there: &[u32], uid_next: u32, here: &Here, uids: &[u32]) -> (Difference, Vec<usize>) {
        let mark = Mark::of(&here.mark, here.uid_validity);
        let mut differ = Differ::new(there, uid_next, here, &mark);
        let same = uids.iter().filter_map(|&uid| differ.next_here(uid)).collect();
        (differ.end(), same)
    }

    #[test]
    fn everything_is_new_to_a_mailbox_that_had_nothing() {
        let (found, same) = differ(&[3, 9], 10, &here(1, 0), &[]);
        assert_eq!((found.new, same, found.taken), (vec![0, 1], vec![], vec![]));
    }

    #[test]
    fn a_second_run_finds_the_difference_only() {
        // 3 is on both sides, 4 was deleted there, 5 was deleted here, 9 and 12 are new.
        let (found, same) = differ(&[3, 5, 9, 12], 13, &here(8, 8), &[3, 4]);
        assert_eq!(same, [0]);
        assert_eq!(found.new, [2, 3]);
        assert_eq!((found.gone, found.deleted_here, found.taken.len()), (Ranges(vec![(4, 4)]), 1, 0));
    }

    #[test]
    fn what_arrived_here_is_not_taken_for_the_other_stores() {
        // 8 and 9 arrived here; the other store has its own 8 and 12.
        let (found, same) = differ(&[3, 8, 12], 13, &here(10, 8), &[3, 8, 9]);
        assert_eq!(same, [0]);
        assert_eq!((found.taken, found.new.len(), found.gone.len()), (vec![1, 2], 0, 0));
    }

    #[test]
    fn what_was_left_out_was_not_deleted_here() {
        // 3 was left out, 4 was deleted here, 5 came under another UID, 6 is on both sides.
        let known = Here { mark: "7 0 3 5".to_owned(), ..here(8, 8) };
        let (found, same) = differ(&[3, 4, 5, 6], 8, &known, &[6]);
        assert_eq!((found.left, found.moved, found.deleted_here, same), (vec![0], vec![2], 1, vec![3]));
        // It may have come since, before the mark was written.
        assert_eq!(differ(&[3, 4], 8, &known, &[3]).1, [0]);
    }

    #[test]
    fn flags_are_set_by_groups() {
        let (uids, here) = ([1, 2, 3, 5], here(6, 6));
        let mark = Mark::default();
        let mut differ = Differ::new(&uids, 6, &here, &mark);
        for uid in uids {
            assert!(differ.next_here(uid).is_some());
            differ.set_flags(uid, vec!["\\Seen".to_owned()]);
        }
        let ranges: Vec<Ranges> = differ.end().flags.into_values().collect();
        assert_eq!(ranges, [Ranges(vec![(1, 3), (5, 5)])]);
    }
}
