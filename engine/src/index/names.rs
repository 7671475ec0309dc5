//! Names of mailboxes.
//!
//! *Owns*: levels, the canonical INBOX, the bounds of a name. *Promises*: two names of the same mailbox have
//! one canonical form. *Assumes*: UTF-8; the wire's encodings are the protocol's affair. *Never*: looks at an
//! account.

use std::borrow::Cow;

use crate::limits;

/// Splits the levels of a name.
pub const SEPARATOR: char = '/';
/// The mailbox that every account has (rfc3501#5.1).
pub const INBOX: &str = "INBOX";

/// The name under which a mailbox is kept: the first level INBOX in upper case, everything else untouched.
pub fn canonical(name: &str) -> Cow<'_, str> {
    let first = name.split(SEPARATOR).next().unwrap_or(name);
    if first.eq_ignore_ascii_case(INBOX) && first != INBOX {
        return Cow::Owned(format!("{INBOX}{}", &name[first.len()..]));
    }
    Cow::Borrowed(name)
}

/// The canonical form of a name that a mailbox may have: within its bounds, no level empty, no control
/// characters.
pub fn checked(name: &str) -> Option<Cow<'_, str>> {
    let levels_fit = name.split(SEPARATOR).count() <= limits::MAILBOX_LEVELS_MAX;
    let levels_good =
        name.split(SEPARATOR).all(|level| !level.is_empty() && !level.contains(char::is_control));
    (name.len() <= limits::MAILBOX_NAME_BYTES_MAX && levels_fit && levels_good).then(|| canonical(name))
}

/// How many levels a name has, at most one more than the bound.
pub(super) fn levels(name: &str) -> u32 {
    name.split(SEPARATOR).take(limits::MAILBOX_LEVELS_MAX + 1).count() as u32
}

/// The names above a name, the shortest first.
pub(super) fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(SEPARATOR).map(|(at, _)| &name[..at])
}

/// The name one level above.
pub(super) fn superior(name: &str) -> Option<&str> {
    name.rsplit_once(SEPARATOR).map(|(above, _)| above)
}

/// What `name` is called seen from `above`: none unless it is below it.
pub(super) fn below<'a>(name: &'a str, above: &str) -> Option<&'a str> {
    name.strip_prefix(above)?.strip_prefix(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_first_level_is_inbox() {
        for (name, kept) in
            [("inbox", "INBOX"), ("iNbox/a", "INBOX/a"), ("a/inbox", "a/inbox"), ("inboxes", "inboxes")]
        {
            assert_eq!(canonical(name), kept);
        }
    }

    #[test]
    fn bounds_and_empty_levels_are_refused() {
        let deep = vec!["a"; limits::MAILBOX_LEVELS_MAX].join("/");
        assert!(checked(&deep).is_some());
        assert!(checked(&"ö".repeat(limits::MAILBOX_NAME_BYTES_MAX / 2)).is_some());
        let long = "x".repeat(limits::MAILBOX_NAME_BYTES_MAX + 1);
        for bad in ["", "/", "a/", "/a", "a//b", "a\u{7}", "a\0", &format!("{deep}/a"), &long] {
            assert_eq!(checked(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn relations_go_by_whole_levels() {
        assert_eq!(superiors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(superior("a/b/c"), Some("a/b"));
        assert_eq!(below("a/b/c", "a"), Some("b/c"));
        assert_eq!(below("ab/c", "a"), None);
        assert_eq!(below("a", "a"), None);
        assert_eq!(levels("a/b/c"), 3);
    }
}
