//! Case folding: i;unicode-casemap (rfc5051), by which SEARCH, SORT and THREAD compare (rfc5255#4.5, rfc5256#2).
//!
//! *Owns*: text to what is compared: each character to its simple titlecase, then to its full decomposition.
//! *Promises*: character by character, so that folding pieces is folding the whole; comparing the results as
//! octets is the collation's order, and a substring of them its substring. *Assumes*: UTF-8.
//! *Never*: orders combining marks, takes Hangul apart: the Unicode data that rfc5051#2 reads does neither.

use encoding_rs::Encoding;
use unicode_normalization::char::decompose_compatible;

/// The folded text.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(text, &mut folded);
    folded
}

/// Appends the folded `text` to `folded`.
pub fn fold_into(text: &str, folded: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = Encoding::ascii_valid_up_to(rest.as_bytes());
        let start = folded.len();
        folded.push_str(&rest[..ascii]);
        folded[start..].make_ascii_uppercase();
        rest = &rest[ascii..];
        let other = rest.bytes().position(|octet| octet.is_ascii()).unwrap_or(rest.len());
        for character in rest[..other].chars() {
            fold_character(character, folded);
        }
        rest = &rest[other..];
    }
}

fn fold_character(character: char, folded: &mut String) {
    match character {
        // Han and Hangul: neither case nor decomposition. Most of what is not ASCII and not small.
        '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => folded.push(character),
        _ => decompose_compatible(titlecase(character), |piece| folded.push(piece)),
    }
}

/// The simple titlecase mapping. The standard library has the full upper case: where that is one character it is
/// the simple mapping, where it is several the simple mapping is either of those below or none.
fn titlecase(character: char) -> char {
    match character {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has upper case, but titles are written without it.
        '\u{10d0}'..='\u{10ff}' => character,
        // Greek with iota subscript becomes Greek with iota adscript.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            char::from_u32(u32::from(character) + 8).unwrap_or(character)
        }
        '\u{1fb3}' => '\u{1fbc}',
        '\u{1fc3}' => '\u{1fcc}',
        '\u{1ff3}' => '\u{1ffc}',
        _ => {
            let mut upper = character.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(single), None) => single,
                _ => character,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_is_upper_case() {
        assert_eq!(fold("MiXeD 123 [x]_"), "MIXED 123 [X]_");
        assert_eq!(fold(""), "");
    }

    #[test]
    fn case_goes_and_marks_stand_apart() {
        assert_eq!(fold("\u{e9}"), "E\u{301}");
        assert_eq!(fold("\u{c9}"), fold("e\u{301}"));
        assert_eq!(fold("\u{3c3}\u{3c2}\u{3a3}"), "\u{3a3}\u{3a3}\u{3a3}");
        assert_eq!(fold("\u{434}"), "\u{414}");
        assert_eq!(fold("\u{1e69}"), "S\u{323}\u{307}", "recursively");
        assert_eq!(fold("\u{f3}\u{323}"), "O\u{301}\u{323}", "marks keep their order");
    }

    #[test]
    fn compatibility_forms_are_their_plain_ones() {
        assert_eq!(fold("\u{fb01}\u{ff21}\u{2460}\u{a0}\u{bd}"), "fiA1 1\u{2044}2");
        assert_eq!(fold("\u{3a7}\u{30ac}\u{ff76}"), "\u{3a7}\u{30ab}\u{3099}\u{30ab}");
        assert_eq!(fold("\u{ac00}\u{6771}"), "\u{ac00}\u{6771}");
    }

    #[test]
    fn simple_titlecase_where_it_is_not_the_upper_case() {
        assert_eq!(fold("\u{1c6}\u{1c4}"), "Dz\u{30c}Dz\u{30c}");
        assert_eq!(fold("\u{df}"), "\u{df}", "no simple mapping");
        assert_eq!(fold("\u{10d0}"), "\u{10d0}");
        assert_eq!(fold("\u{1f80}"), fold("\u{1f88}"));
        assert_eq!(fold("\u{1fb3}"), fold("\u{1fbc}"));
        assert_eq!(fold("\u{149}"), "\u{2bc}n");
    }

    #[test]
    fn every_character_folds_to_what_folds_to_itself_or_has_no_title() {
        // What folding changes again is only what decomposition brought in lower case.
        for character in '\0'..=char::MAX {
            let once = fold(character.encode_utf8(&mut [0; 4]));
            assert!(!once.is_empty() && once.len() <= 60, "{character:?}");
        }
    }
}
