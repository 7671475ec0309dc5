//! Names against LIST patterns (rfc3501#6.3.8).
//!
//! *Owns*: what `*` and `%` match. *Promises*: time in proportion to pattern times name, without recursion,
//! whatever the pattern. *Assumes*: the separator is `/`. *Never*: knows which names exist.

use crate::proto::imap::access::OTHERS;

/// How a name and a pattern meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The whole name matches.
    pub whole: bool,
    /// A name below it could match.
    pub below: bool,
}

/// A pattern as it was asked for, reference included.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Vec<char>,
}

impl Pattern {
    /// A pattern behind a reference: an absolute one (`/…`) stands for itself, another follows the
    /// reference as it is.
    pub fn new(reference: &str, pattern: &str) -> Pattern {
        let joined = match pattern.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => format!("{reference}{pattern}"),
        };
        let mut text = Vec::new();
        for c in joined.chars() {
            // `**` and `*%` match what `*` matches.
            match (text.last(), c) {
                (Some('*'), '*' | '%') => {}
                (Some('%'), '%') => {}
                _ => text.push(c),
            }
        }
        fold_inbox(&mut text);
        Pattern { text }
    }

    /// What comparing costs, for every octet of a name.
    pub fn cost(&self) -> usize {
        self.text.len() + 1
    }

    /// The user that it names literally above a mailbox.
    pub fn names_owner(&self) -> Option<String> {
        let literal: String = self.text.iter().take_while(|c| !matches!(c, '*' | '%')).collect();
        let (owner, _) = literal.strip_prefix(OTHERS)?.split_once('/')?;
        (!owner.is_empty()).then(|| owner.to_owned())
    }

    /// Whether `name` matches, and whether names below it may.
    pub fn matches(&self, name: &str) -> Match {
        // Which parts of the pattern the name so far can have used up; the last entry stands for all of it.
        let mut states = vec![false; self.text.len() + 1];
        let mut next = states.clone();
        states[0] = true;
        self.close(&mut states);
        for c in name.chars() {
            self.advance(&states, c, &mut next);
            std::mem::swap(&mut states, &mut next);
        }
        self.advance(&states, '/', &mut next);
        Match { whole: states[self.text.len()], below: next.contains(&true) }
    }

    /// A wildcard can match nothing.
    fn close(&self, states: &mut [bool]) {
        for (at, c) in self.text.iter().enumerate() {
            if states[at] && matches!(c, '*' | '%') {
                states[at + 1] = true;
            }
        }
    }

    fn advance(&self, states: &[bool], c: char, next: &mut [bool]) {
        next.fill(false);
        for (at, &wanted) in self.text.iter().enumerate() {
            if !states[at] {
                continue;
            }
            match wanted {
                '*' => next[at] = true,
                '%' if c != '/' => next[at] = true,
                '%' => {}
                _ if wanted == c => next[at + 1] = true,
                _ => {}
            }
        }
        self.close(next);
    }
}

/// INBOX has no case (rfc3501#5.1): a first level that spells it is brought to the one spelling.
fn fold_inbox(text: &mut [char]) {
    let level = text.iter().position(|&c| c == '/').unwrap_or(text.len());
    let head = &mut text[..level];
    let spells =
        head.len() == 5 && head.iter().zip("INBOX".chars()).all(|(a, b)| a.to_ascii_uppercase() == b);
    let partial = head.iter().any(|c| matches!(c, '*' | '%'));
    if spells && !partial {
        head.iter_mut().for_each(|c| *c = c.to_ascii_uppercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(pattern: &str, name: &str) -> bool {
        Pattern::new("", pattern).matches(name).whole
    }

    #[test]
    fn star_crosses_levels_and_percent_does_not() {
        assert!(whole("*", "a/b/c") && whole("*", "INBOX"));
        assert!(whole("%", "a") && !whole("%", "a/b"));
        assert!(whole("a/%", "a/b") && !whole("a/%", "a/b/c") && !whole("a/%", "a"));
        assert!(whole("a*c", "abc") && whole("a*c", "a/b/c") && !whole("a*c", "ab"));
        assert!(whole("%/%", "a/b") && !whole("%/%", "a"));
        assert!(whole("*b%", "xb/ab") && whole("%*", "a/b"));
        assert!(whole("", "") && !whole("", "a"));
    }

    #[test]
    fn reference_goes_in_front_unless_the_pattern_is_absolute() {
        assert!(Pattern::new("a/", "%").matches("a/b").whole);
        assert!(Pattern::new("a", "%").matches("abc").whole);
        assert!(Pattern::new("a/", "/b").matches("b").whole);
    }

    #[test]
    fn an_owner_is_named_before_any_wildcard() {
        let owner = |pattern: &str| Pattern::new("", pattern).names_owner();
        assert_eq!(owner("Other Users/a@x/*").as_deref(), Some("a@x"));
        assert_eq!(owner("Other Users/a@x/b").as_deref(), Some("a@x"));
        for none in ["*", "Other Users/*", "Other Users/a@x", "Other Users/a%x/b", "Other Users//b", "INBOX"]
        {
            assert_eq!(owner(none), None, "{none}");
        }
    }

    #[test]
    fn inbox_has_no_case() {
        assert!(whole("inbox", "INBOX") && whole("InBoX/%", "INBOX/a") && !whole("inboxes", "INBOXES"));
    }

    #[test]
    fn below_says_whether_a_search_can_stop() {
        let pattern = Pattern::new("", "a/%");
        assert_eq!(pattern.matches("a"), Match { whole: false, below: true });
        assert_eq!(pattern.matches("a/b"), Match { whole: true, below: false });
        assert_eq!(pattern.matches("b"), Match { whole: false, below: false });
    }

    #[test]
    fn hostile_patterns_cost_their_length() {
        let pattern = Pattern::new("", &"*a".repeat(500));
        assert!(!pattern.matches(&"a".repeat(499)).whole);
        assert!(pattern.matches(&"a".repeat(500)).whole);
    }
}
