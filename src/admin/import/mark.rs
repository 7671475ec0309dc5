//! What a mailbox remembers of its imports.
//!
//! *Owns*: the annotation's text: UIDVALIDITY there, how far messages with new UIDs were taken over, what was left out,
//! what came under a new UID. *Promises*: a message that was left out is never taken for one that was deleted here;
//! bounded: more ranges than `limits::IMPORT_MARK_RANGES_MAX` are joined, and then a message that was deleted here in
//! between may come again. *Assumes*: it is written before UIDNEXT passes what was left out. *Never*: outlives the
//! UIDVALIDITY there.
//!
//! ```text
//!  1300000000 77 3,7:9 12      UIDVALIDITY, came to, left out, moved; "-" for none. An older form ends after 77.
//! ```

use super::ranges::Ranges;
use crate::limits::IMPORT_MARK_RANGES_MAX;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    uid_validity: u32,
    /// Messages with UIDs below came, if need be under new ones.
    came_to: u32,
    /// UIDs there of messages that could not be taken over.
    left: Ranges,
    /// UIDs there, below the mailbox's `imported_next`, of messages that came later under new ones.
    moved: Ranges,
    is_other: bool,
}

impl Mark {
    /// What a mailbox remembers of a folder with this UIDVALIDITY.
    pub fn of(text: &str, uid_validity: u32) -> Mark {
        let mut words = text.split(' ');
        let none = Mark { uid_validity, ..Mark::default() };
        if words.next().and_then(|word| word.parse().ok()) != Some(uid_validity) {
            return none;
        }
        let came_to = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        let mut list = || words.next().map(ranges).unwrap_or_default();
        Mark { came_to, left: list(), moved: list(), ..none }
    }

    /// As the mailbox remembers it.
    pub fn text(&self) -> String {
        format!("{} {} {} {}", self.uid_validity, self.came_to, spelt(&self.left), spelt(&self.moved))
    }

    /// Messages below came, if need be under new UIDs.
    pub fn came_to(&self) -> u32 {
        self.came_to
    }

    /// Whether an earlier run could not take this one over.
    pub fn is_left(&self, uid: u32) -> bool {
        self.left.contains(uid)
    }

    /// Whether it came under a new UID although its own had been passed.
    pub fn is_moved(&self, uid: u32) -> bool {
        self.moved.contains(uid)
    }

    /// A message could not be taken over.
    pub fn leave(&mut self, uid: u32) {
        self.is_other |= self.left.insert(uid);
        self.left.coarsen(IMPORT_MARK_RANGES_MAX);
    }

    /// A message came, with its UID or under a new one.
    pub fn came(&mut self, uid: u32, is_moved: bool) {
        self.is_other |= self.left.remove(uid);
        if is_moved {
            self.is_other |= self.moved.insert(uid);
        }
        self.left.coarsen(IMPORT_MARK_RANGES_MAX);
        self.moved.coarsen(IMPORT_MARK_RANGES_MAX);
    }

    /// All below have been looked at.
    pub fn come_to(&mut self, uid_next: u32) {
        self.is_other |= self.came_to != uid_next;
        self.came_to = uid_next;
    }

    /// The text, if it is another than was read or taken last.
    pub fn take_changed(&mut self) -> Option<String> {
        std::mem::take(&mut self.is_other).then(|| self.text())
    }
}

fn spelt(Ranges(ranges): &Ranges) -> String {
    let one = |&(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}:{last}"),
    };
    if ranges.is_empty() { "-".to_owned() } else { ranges.iter().map(one).collect::<Vec<_>>().join(",") }
}

/// What is not understood is left out: anybody with the right may write annotations.
fn ranges(text: &str) -> Ranges {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for part in text.split(',').take(IMPORT_MARK_RANGES_MAX) {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse(), last.parse())
            && first <= last
            && ranges.last().is_none_or(|&(_, before)| before < first)
        {
            ranges.push((first, last));
        }
    }
    Ranges(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_only_for_its_uid_validity() {
        let mut mark = Mark::of("", 7);
        assert_eq!((mark.take_changed(), mark.came_to()), (None, 0));
        [3, 8, 9, 12, 7].into_iter().for_each(|uid| mark.leave(uid));
        mark.came(12, true);
        mark.come_to(77);
        let text = mark.take_changed().expect("it is another");
        assert_eq!((text.as_str(), mark.take_changed()), ("7 77 3,7:9 12", None));
        let again = Mark::of(&text, 7);
        assert_eq!(again, mark);
        assert!(again.is_left(8) && !again.is_left(12) && again.is_moved(12));
        assert_eq!(Mark::of(&text, 8), Mark::of("", 8));
    }

    #[test]
    fn the_older_form_and_any_rubbish_are_read() {
        assert_eq!(Mark::of("7 9", 7).text(), "7 9 - -");
        assert_eq!(Mark::of("7 x 9:8,a,4,4,2,6:6 ,", 7).text(), "7 0 4,6 -");
    }

    #[test]
    fn a_mark_fits_an_annotation_whatever_was_left_out() {
        let mut mark = Mark::of("", u32::MAX);
        let far = u32::MAX - 8 * IMPORT_MARK_RANGES_MAX as u32;
        (0..2 * IMPORT_MARK_RANGES_MAX as u32).for_each(|nth| mark.leave(far + 2 * nth));
        (0..2 * IMPORT_MARK_RANGES_MAX as u32).for_each(|nth| mark.came(far + 2 * nth + 1, true));
        mark.come_to(u32::MAX);
        let text = mark.take_changed().expect("it is another");
        assert!(text.len() <= ringpost_engine::limits::METADATA_VALUE_BYTES_MAX, "{}", text.len());
        assert!(mark.is_left(far) && mark.is_left(far + 4 * IMPORT_MARK_RANGES_MAX as u32 - 2));
    }
}
