//! Sequence sets.
//!
//! *Owns*: their grammar (rfc3501#9 `sequence-set`, rfc5182#3). *Promises*: what `parse` promises.
//! *Assumes*: nothing. *Never*: knows how many messages there are.

use super::lexer::Lexer;
use super::{Fault, Parsed};
use crate::limits::IMAP_SEQUENCE_RANGES_MAX;
use crate::proto::imap::command::{Bound, SequenceSet};

/// `sequence-set`
pub fn sequence_set(lexer: &mut Lexer) -> Parsed<SequenceSet> {
    let mut set = SequenceSet::default();
    loop {
        if lexer.eat(b'$') {
            set.saved = true;
        } else {
            if set.ranges.len() == IMAP_SEQUENCE_RANGES_MAX {
                return Err(Fault::Limit("A set has too many ranges"));
            }
            let first = bound(lexer)?;
            let last = if lexer.eat(b':') { bound(lexer)? } else { first };
            set.ranges.push((first, last));
        }
        if !lexer.eat(b',') {
            return Ok(set);
        }
    }
}

/// `seq-number`
pub fn bound(lexer: &mut Lexer) -> Parsed<Bound> {
    if lexer.eat(b'*') { Ok(Bound::Last) } else { lexer.nz_number().map(Bound::At) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn set(text: &str) -> Option<Vec<(Bound, Bound)>> {
        let mut lexer = Lexer::new(Bytes::copy_from_slice(text.as_bytes()));
        let set = sequence_set(&mut lexer).ok()?;
        lexer.end().ok().map(|()| set.ranges)
    }

    #[test]
    fn sets() {
        use Bound::{At, Last};
        assert_eq!(
            set("2,4:7,9,12:*"),
            Some(vec![(At(2), At(2)), (At(4), At(7)), (At(9), At(9)), (At(12), Last)])
        );
        assert_eq!(set("*:4,4294967295"), Some(vec![(Last, At(4)), (At(u32::MAX), At(u32::MAX))]));
        for bad in [
            "",
            "0",
            "1:0",
            "1:",
            ":1",
            "1,",
            ",1",
            "1,,2",
            "1:2:3",
            "4294967296",
            "01",
            "1-2",
            "a",
            "**",
            "-1",
        ] {
            assert_eq!(set(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_a_search_kept_stands_alone_or_among_ranges() {
        let read = |text: &str| sequence_set(&mut Lexer::new(Bytes::copy_from_slice(text.as_bytes())));
        assert_eq!(read("$"), Ok(SequenceSet { ranges: Vec::new(), saved: true }));
        let both = SequenceSet { ranges: vec![(Bound::At(2), Bound::At(2))], saved: true };
        assert_eq!(read("2,$"), Ok(both.clone()));
        assert_eq!(read("$,2"), Ok(both));
        for bad in ["$:2", "2:$", "$$", "$,"] {
            assert_eq!(set(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_are_counted() {
        let many = |count: usize| vec!["1"; count].join(",");
        assert_eq!(
            set(&many(IMAP_SEQUENCE_RANGES_MAX)).map(|ranges| ranges.len()),
            Some(IMAP_SEQUENCE_RANGES_MAX)
        );
        assert_eq!(set(&many(IMAP_SEQUENCE_RANGES_MAX + 1)), None);
    }
}
