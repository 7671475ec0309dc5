//! Access rights.
//!
//! *Owns*: [`Rights`]. *Promises*: one bit a right, the bits fixed for ever: they are on disk.
//! *Assumes*: nothing. *Never*: decides who may do what; the protocol does, by rfc4314#4.

/// A set of the standard rights of rfc4314#2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights(u16);

/// The letters of the rights in the order of their bits, which is the order of rfc4314#2.1.
const LETTERS: &[u8; 11] = b"lrswipkxtea";

impl Rights {
    /// No right.
    pub const NONE: Rights = Rights(0);
    /// `l`: the mailbox is seen by LIST.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: SELECT, STATUS, and reading.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: `\Seen` is kept.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: flags other than `\Seen` and `\Deleted`.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: APPEND and COPY into it.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: mail to its submission address.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: mailboxes below it are created.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: the mailbox is deleted or renamed.
    pub const DELETE_MAILBOX: Rights = Rights(1 << 7);
    /// `t`: `\Deleted` is set and cleared.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: EXPUNGE.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: SETACL, DELETEACL, GETACL, LISTRIGHTS.
    pub const ADMINISTER: Rights = Rights(1 << 10);
    /// Every right: what an owner has.
    pub const ALL: Rights = Rights((1 << 11) - 1);

    /// The right that a letter stands for.
    pub fn of(letter: char) -> Option<Rights> {
        let bit = LETTERS.iter().position(|&known| char::from(known) == letter)?;
        Some(Rights(1 << bit))
    }

    /// The set as bits, lowest first in the order `lrswipkxtea`.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// The set of these bits; none when one of them is no right.
    pub fn from_bits(bits: u16) -> Option<Rights> {
        (bits & !Self::ALL.0 == 0).then_some(Rights(bits))
    }

    /// Whether every right of `other` is in this set.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn union(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// This set without `other`.
    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    /// Whether no right is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The letters of the set, in the order `lrswipkxtea`.
    pub fn letters(self) -> impl Iterator<Item = char> {
        let held = LETTERS.iter().enumerate().filter(move |&(bit, _)| self.0 & (1 << bit) != 0);
        held.map(|(_, &letter)| char::from(letter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_bits_are_the_same_thing() {
        let all: String = Rights::ALL.letters().collect();
        assert_eq!(all, "lrswipkxtea");
        for (bit, letter) in all.chars().enumerate() {
            let right = Rights::of(letter).expect("a right");
            assert_eq!((right.bits(), Rights::from_bits(1 << bit)), (1 << bit, Some(right)));
            assert_eq!(right.letters().collect::<String>(), letter.to_string());
        }
        for letter in ['c', 'd', 'n', '0', 'L', 'é'] {
            assert_eq!(Rights::of(letter), None, "{letter}");
        }
        assert_eq!(Rights::from_bits(1 << 11), None);
    }

    #[test]
    fn sets_behave_like_sets() {
        let reader = Rights::LOOKUP.union(Rights::READ);
        assert!(reader.contains(Rights::READ) && reader.contains(Rights::NONE));
        assert!(!reader.contains(Rights::READ.union(Rights::SEEN)));
        assert_eq!(Rights::ALL.without(Rights::ALL), Rights::NONE);
        assert!(Rights::NONE.is_empty() && !reader.without(Rights::READ).is_empty());
    }
}
