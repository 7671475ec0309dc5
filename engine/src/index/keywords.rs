//! The keywords of a mailbox and the bits they stand for.
//!
//! *Owns*: the table name → bit. *Promises*: a keyword keeps its bit and its first spelling as long as the
//! mailbox lives; names compare without case. *Assumes*: keywords are atoms. *Never*: holds more than 59, or
//! long names.

use super::digest::Digest;
use crate::change::{FlagBits, Flags};
use crate::limits;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Keywords {
    names: Vec<String>,
}

impl Keywords {
    /// A table with these names in order of their bits; none when it cannot have been one.
    pub(super) fn of(names: Vec<String>) -> Option<Keywords> {
        (names.len() <= limits::KEYWORDS_PER_MAILBOX_MAX).then_some(Keywords { names })
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The bit of a keyword that is known.
    fn bit(&self, name: &str) -> Option<FlagBits> {
        self.names.iter().position(|known| known.eq_ignore_ascii_case(name)).map(FlagBits::keyword)
    }

    /// The bit of a keyword, which is entered if there is room.
    fn enter(&mut self, name: &str) -> Option<FlagBits> {
        if let Some(bit) = self.bit(name) {
            return Some(bit);
        }
        if name.len() > limits::KEYWORD_BYTES_MAX || self.names.len() == limits::KEYWORDS_PER_MAILBOX_MAX {
            return None;
        }
        self.names.push(name.to_owned());
        Some(FlagBits::keyword(self.names.len() - 1))
    }

    /// The bits of flags that are known here; others are nobody's.
    pub(super) fn known(&self, flags: &Flags) -> FlagBits {
        let system = FlagBits(flags.system.0 & FlagBits::SYSTEM.0);
        flags.keywords.iter().filter_map(|name| self.bit(name)).fold(system, FlagBits::union)
    }

    /// The bits of flags, all of them entered; none (and nothing entered) when the table cannot take all.
    pub(super) fn enter_all(&mut self, flags: &Flags) -> Option<FlagBits> {
        let before = self.names.len();
        let mut bits = FlagBits(flags.system.0 & FlagBits::SYSTEM.0);
        for name in &flags.keywords {
            match self.enter(name) {
                Some(bit) => bits = bits.union(bit),
                None => {
                    self.names.truncate(before);
                    return None;
                }
            }
        }
        Some(bits)
    }

    /// The bits of flags, those entered for which there is room: a message is never refused for a keyword.
    pub(super) fn enter_some(&mut self, flags: &Flags) -> FlagBits {
        let system = FlagBits(flags.system.0 & FlagBits::SYSTEM.0);
        flags.keywords.iter().filter_map(|name| self.enter(name)).fold(system, FlagBits::union)
    }

    /// Which bit here each keyword of `other` has, entered where there is room and `used` names it.
    pub(super) fn translation(&mut self, other: &Keywords, used: FlagBits) -> Translation {
        let pairs = other.names.iter().enumerate().map(|(index, name)| (FlagBits::keyword(index), name));
        let pairs = pairs.filter(|&(from, _)| used.contains(from));
        Translation(pairs.filter_map(|(from, name)| Some((from, self.enter(name)?))).collect())
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.names.len() as u64);
        for name in &self.names {
            digest.text(name);
        }
    }
}

/// From one mailbox's bits to another's.
#[derive(Debug)]
pub(super) struct Translation(Vec<(FlagBits, FlagBits)>);

impl Translation {
    pub(super) fn apply(&self, flags: FlagBits) -> FlagBits {
        let system = FlagBits(flags.0 & FlagBits::SYSTEM.0);
        let carried = self.0.iter().filter(|&&(from, _)| flags.contains(from));
        carried.fold(system, |bits, &(_, to)| bits.union(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(keywords: &[&str]) -> Flags {
        let keywords = keywords.iter().map(|&name| name.to_owned()).collect();
        Flags { system: FlagBits(u64::MAX), keywords }
    }

    #[test]
    fn case_is_no_difference_and_the_first_spelling_stays() {
        let mut table = Keywords::default();
        let bits = table.enter_all(&flags(&["$Junk", "$JUNK", "todo"])).expect("there is room");
        assert_eq!(table.names(), ["$Junk", "todo"]);
        assert_eq!(bits, FlagBits(0b111_1111));
        assert_eq!(table.known(&flags(&["TODO", "unknown"])), FlagBits(0b101_1111));
    }

    #[test]
    fn a_full_table_refuses_whole_or_drops_the_rest() {
        let mut table = Keywords::default();
        let names: Vec<String> = (0..58).map(|n| format!("k{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert!(table.enter_all(&flags(&names)).is_some());
        assert_eq!(table.enter_all(&flags(&["a", "b"])), None);
        assert_eq!(table.names().len(), 58, "nothing is entered by what is refused");
        assert_eq!(table.enter_some(&flags(&["a", "b"])), FlagBits(0b1_1111 | 1 << 63));
        assert_eq!(table.enter_all(&flags(&[&"x".repeat(limits::KEYWORD_BYTES_MAX + 1)])), None);
    }

    #[test]
    fn only_what_is_used_is_carried_over() {
        let (mut from, mut to) = (Keywords::default(), Keywords::default());
        from.enter_all(&flags(&["a", "b", "c"])).expect("there is room");
        to.enter_all(&flags(&["x", "C"])).expect("there is room");
        let used = FlagBits::keyword(1).union(FlagBits::keyword(2)).union(FlagBits::SEEN);
        let translation = to.translation(&from, used);
        assert_eq!(to.names(), ["x", "C", "b"]);
        let carried = FlagBits::keyword(2).union(FlagBits::keyword(1)).union(FlagBits::SEEN);
        assert_eq!(translation.apply(used), carried);
    }
}
