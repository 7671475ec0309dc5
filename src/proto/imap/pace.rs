//! When a client is told that its command is still under way (rfc9585).
//!
//! *Owns*: the interval, and the words. *Promises*: a command that ends soon says nothing; a long one speaks
//! seldom. *Assumes*: asked between two replies, never inside one. *Never*: looks at a clock.

use bytes::BytesMut;

use super::reply;
use crate::limits::{IMAP_PROGRESS_AFTER_MS, IMAP_PROGRESS_EVERY_MS};

/// How far a command is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items done; none if nobody counts them.
    pub done: Option<u64>,
    /// Items in all, never 0; only with `done`.
    pub goal: Option<u64>,
}

/// The clock of one command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    next_ms: u64,
}

impl Pace {
    /// A command begins at `mono_ms`.
    pub fn begin(mono_ms: u64) -> Pace {
        Pace { next_ms: mono_ms.saturating_add(IMAP_PROGRESS_AFTER_MS) }
    }

    /// Whether it is time to speak; if so, it is not for a while from then on.
    pub fn is_due(&mut self, mono_ms: u64) -> bool {
        let due = mono_ms >= self.next_ms;
        if due {
            self.next_ms = mono_ms.saturating_add(IMAP_PROGRESS_EVERY_MS);
        }
        due
    }
}

/// `* OK [INPROGRESS ("tag" done goal)]`, a whole line (rfc9585#4).
pub fn put(text: &mut BytesMut, tag: &[u8], progress: Progress) {
    text.extend_from_slice(b"* OK [INPROGRESS (");
    if tag.contains(&b']') {
        // Such a tag would end the code.
        text.extend_from_slice(b"NIL");
    } else {
        text.extend_from_slice(b"\"");
        text.extend_from_slice(tag);
        text.extend_from_slice(b"\"");
    }
    // rfc9585#5: numbers of 32 bits; #4: a goal is still ahead.
    let done = progress.done.map(|done| done.min(u64::from(u32::MAX)));
    let goal = progress.goal.filter(|&goal| done.is_some_and(|done| done < goal) && goal <= u32::MAX.into());
    for number in [done, goal] {
        text.extend_from_slice(b" ");
        match number {
            Some(number) => reply::number(text, number),
            None => text.extend_from_slice(b"NIL"),
        }
    }
    text.extend_from_slice(b")] Still at it\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_commands_say_nothing_and_long_ones_little() {
        let mut pace = Pace::begin(1_000);
        let first = 1_000 + IMAP_PROGRESS_AFTER_MS;
        let said: Vec<u64> =
            (1_000..first + 2 * IMAP_PROGRESS_EVERY_MS).filter(|&now| pace.is_due(now)).collect();
        assert_eq!(said, [first, first + IMAP_PROGRESS_EVERY_MS]);
    }

    #[test]
    fn the_three_states_of_rfc9585() {
        let written = |done, goal| {
            let mut text = BytesMut::new();
            put(&mut text, b"A001", Progress { done, goal });
            String::from_utf8_lossy(&text).into_owned()
        };
        assert_eq!(written(None, None), "* OK [INPROGRESS (\"A001\" NIL NIL)] Still at it\r\n");
        assert_eq!(written(Some(175), None), "* OK [INPROGRESS (\"A001\" 175 NIL)] Still at it\r\n");
        assert_eq!(written(Some(454), Some(1_000)), "* OK [INPROGRESS (\"A001\" 454 1000)] Still at it\r\n");
        assert_eq!(written(Some(9), Some(9)), "* OK [INPROGRESS (\"A001\" 9 NIL)] Still at it\r\n");
        let far = u64::from(u32::MAX) + 1;
        assert_eq!(written(Some(9), Some(far)), "* OK [INPROGRESS (\"A001\" 9 NIL)] Still at it\r\n");
        assert_eq!(written(Some(far), None), "* OK [INPROGRESS (\"A001\" 4294967295 NIL)] Still at it\r\n");
        assert_eq!(written(None, Some(9)), "* OK [INPROGRESS (\"A001\" NIL NIL)] Still at it\r\n");
    }

    #[test]
    fn a_tag_that_would_end_the_code_is_not_said() {
        let mut text = BytesMut::new();
        put(&mut text, b"a]b", Progress { done: Some(1), goal: Some(2) });
        assert_eq!(text, "* OK [INPROGRESS (NIL 1 2)] Still at it\r\n", "rfc9585#4");
    }
}
