//! What is to come back.
//!
//! *Owns*: the choice of mailboxes and messages, and which of them were there at a moment. *Promises*: nothing else is
//! chosen. *Assumes*: moments in milliseconds since 1970. When a message came is known to the second it came in, so a
//! moment in that second has it; no restore runs in the second of its own moment. *Never*: asks.

use std::collections::BTreeSet;

use ringpost_engine::index::names::canonical;

use crate::admin::wire::GoneLine;

/// Which of the messages that left a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Those that were in it at this moment, each as often as it was there.
    At(u64),
    /// Those that left since then and before, each once.
    Left(u64, u64),
}

impl Rule {
    /// Whether a message is one of them.
    pub fn takes(self, gone: &GoneLine) -> bool {
        match self {
            Rule::At(at_ms) => gone.saved_ms <= at_ms && gone.gone_ms > at_ms,
            Rule::Left(since_ms, until_ms) => (since_ms..until_ms).contains(&gone.gone_ms),
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Names, `NAME/*` with all below; empty for all.
    pub mailboxes: Vec<String>,
    /// The numbers of EMAILIDs; empty for all.
    pub emails: BTreeSet<u64>,
    /// UIDs; empty for all.
    pub uids: BTreeSet<u32>,
    /// As it was at this moment.
    pub at_ms: Option<u64>,
    /// What left since then,
    pub since_ms: u64,
    /// and before.
    pub until_ms: u64,
    /// Into this mailbox, whatever it was in.
    pub into: Option<String>,
    /// Only tell.
    pub dry_run: bool,
}

impl Wish {
    /// Whether a mailbox of this name is meant.
    pub fn names(&self, mailbox: &str) -> bool {
        let means = |wanted: &String| match wanted.strip_suffix("/*") {
            None => canonical(wanted) == mailbox,
            Some(above) => {
                let above = canonical(above);
                let below = mailbox.strip_prefix(above.as_ref());
                below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
            }
        };
        self.mailboxes.is_empty() || self.mailboxes.iter().any(means)
    }

    /// Which messages of a mailbox; `gone_ms` tells when it was deleted.
    pub fn rule(&self, gone_ms: Option<u64>) -> Rule {
        match (self.at_ms, gone_ms) {
            (Some(at_ms), _) => Rule::At(at_ms),
            // As it was when it was deleted.
            (None, Some(gone_ms)) if self.is_whole() && !self.has_window() => {
                Rule::At(gone_ms.saturating_sub(1))
            }
            (None, _) => Rule::Left(self.since_ms, self.until_ms),
        }
    }

    /// Whether whole mailboxes are meant, and not some messages.
    pub fn is_whole(&self) -> bool {
        self.emails.is_empty() && self.uids.is_empty()
    }

    /// Whether only what left in some time is meant.
    pub fn has_window(&self) -> bool {
        (self.since_ms, self.until_ms) != (0, u64::MAX)
    }

    /// Whether this message of a mailbox is meant.
    pub fn takes(&self, gone: &GoneLine) -> bool {
        (self.emails.is_empty() || self.emails.contains(&gone.body))
            && (self.uids.is_empty() || self.uids.contains(&gone.uid))
    }

    /// What left before this moment is not asked for.
    pub fn left_from_ms(&self) -> u64 {
        self.at_ms.map_or(self.since_ms, |at_ms| at_ms.saturating_add(1))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Everything that ever left.
    pub fn all() -> Wish {
        Wish {
            mailboxes: Vec::new(),
            emails: BTreeSet::new(),
            uids: BTreeSet::new(),
            at_ms: None,
            since_ms: 0,
            until_ms: u64::MAX,
            into: None,
            dry_run: false,
        }
    }

    #[test]
    fn names_are_taken_exactly_or_with_all_below() {
        let mut wish = all();
        assert!(wish.names("a"));
        wish.mailboxes = vec!["inbox".to_owned(), "Work/*".to_owned()];
        let taken: Vec<bool> =
            ["INBOX", "INBOX/a", "Work", "Work/2024/x", "Works", "work"].map(|name| wish.names(name)).into();
        assert_eq!(taken, [true, false, true, true, false, false]);
    }

    #[test]
    fn a_moment_takes_what_was_there_then() {
        let gone = |saved_ms, gone_ms| GoneLine { saved_ms, gone_ms, ..GoneLine::default() };
        let rule = Rule::At(5_000);
        let taken: Vec<bool> = [(5_000, 5_001), (5_000, 5_000), (6_000, 9_000), (0, 9_000)]
            .map(|(s, g)| rule.takes(&gone(s, g)))
            .into();
        assert_eq!(taken, [true, false, false, true]);
        assert!(Rule::Left(5, 6).takes(&gone(9, 5)) && !Rule::Left(5, 6).takes(&gone(0, 6)));
    }

    #[test]
    fn a_deleted_mailbox_comes_as_it_was_when_it_went() {
        let mut wish = all();
        assert_eq!((wish.rule(Some(7)), wish.rule(None)), (Rule::At(6), Rule::Left(0, u64::MAX)));
        wish.uids.insert(1);
        assert_eq!(wish.rule(Some(7)), Rule::Left(0, u64::MAX));
        wish.at_ms = Some(3);
        assert_eq!((wish.rule(Some(7)), wish.left_from_ms()), (Rule::At(3), 4));
    }
}
