//! Annotations: named values of a mailbox, or of an account for the server.
//!
//! *Owns*: entry name → value, and the bytes they take. *Promises*: names are canonical and within their
//! bounds; entries come in order of name. *Assumes*: the session has brought names into lower case
//! (rfc5464#3). *Never*: keeps a slice of somebody's input buffer.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::digest::Digest;
use crate::change::Refusal;
use crate::checkpoint::wire::{Wire, put, put_octets, put_text};
use crate::limits;

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations {
    entries: BTreeMap<String, Box<[u8]>>,
    bytes: usize,
}

/// What to set: name and value, none to remove.
pub(super) type Setting = (String, Option<Bytes>);

/// Whether a name can be that of an entry: `/private` or `/shared` and at least one component more, none of
/// them empty, no wildcards, no control characters (rfc5464#3.2, rfc5464#5), lower case.
fn is_name(name: &str) -> bool {
    let components = name.strip_prefix("/private/").or_else(|| name.strip_prefix("/shared/"));
    let odd = |c: char| c.is_control() || c == '*' || c == '%' || c.is_ascii_uppercase();
    components.is_some_and(|below| below.split('/').all(|component| !component.is_empty()))
        && name.len() <= limits::METADATA_NAME_BYTES_MAX
        && !name.contains(odd)
}

impl Annotations {
    /// Octets of all names and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.entries.get(name).map(AsRef::as_ref)
    }

    /// The entries whose name goes on behind `name` with a `/`, in order; behind the empty name, all.
    pub(super) fn below<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let below = format!("{name}/");
        let from = (Bound::Included(below.as_str()), Bound::Unbounded);
        let entries = self.entries.range::<str, _>(from).map(|(name, value)| (name.as_str(), value.as_ref()));
        entries.take_while(move |(name, _)| name.starts_with(&below))
    }

    /// What would be after setting these, which leaves `room` bytes for all of them; nothing is changed yet.
    pub(super) fn with(&self, settings: &[Setting], room: usize) -> Result<Annotations, Refusal> {
        let value_fits = |value: &Option<Bytes>| {
            value.as_ref().is_none_or(|v| v.len() <= limits::METADATA_VALUE_BYTES_MAX)
        };
        if !settings.iter().all(|(name, value)| is_name(name) && value_fits(value)) {
            return Err(Refusal::Limit);
        }
        let mut after = self.clone();
        for (name, value) in settings {
            after.set(name, value.as_deref());
        }
        let fits = after.entries.len() <= limits::METADATA_ENTRIES_MAX && after.bytes <= room;
        // Who is over a bound already may still make it less.
        let less = after.entries.len() <= self.entries.len() && after.bytes <= self.bytes;
        (fits || less).then_some(after).ok_or(Refusal::Limit)
    }

    /// Which of the entries set have another value here than in `before`.
    pub(super) fn differing(&self, before: &Annotations, settings: &[Setting]) -> Vec<String> {
        let differs = |name: &&String| self.get(name) != before.get(name);
        settings.iter().map(|(name, _)| name).filter(differs).cloned().collect()
    }

    fn set(&mut self, name: &str, value: Option<&[u8]>) {
        let before = match value {
            Some(value) => {
                self.bytes += name.len() + value.len();
                self.entries.insert(name.to_owned(), value.into())
            }
            None => self.entries.remove(name),
        };
        self.bytes -= before.map_or(0, |before| name.len() + before.len());
    }

    /// All of it, for a checkpoint.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, self.entries.len() as u64);
        for (name, value) in &self.entries {
            put_text(out, name);
            put_octets(out, value);
        }
    }

    /// What was written.
    pub(super) fn read(wire: &mut Wire<'_>) -> Option<Annotations> {
        let mut annotations = Annotations::default();
        for _ in 0..wire.count()? {
            let (name, value) = (wire.text()?, wire.octets()?);
            annotations.set(name, Some(value));
        }
        Some(annotations)
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        digest.word(self.entries.len() as u64);
        for (name, value) in &self.entries {
            digest.text(name);
            digest.octets(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: Option<&str>) -> Setting {
        (name.to_owned(), value.map(|value| Bytes::copy_from_slice(value.as_bytes())))
    }

    #[test]
    fn names_are_paths_in_lower_case() {
        for good in ["/private/comment", "/shared/vendor/cmu/x", "/private/filters/values/ä b"] {
            assert!(is_name(good), "{good}");
        }
        let long = format!("/shared/{}", "x".repeat(limits::METADATA_NAME_BYTES_MAX));
        for bad in
            ["", "/private", "/private/", "/shared//x", "/shared/x/", "/other/x", "/shared/a*", "/shared/%"]
        {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(!is_name("/shared/Comment") && !is_name("/shared/a\0") && !is_name(&long));
    }

    #[test]
    fn all_are_set_or_none() {
        let none = Annotations::default();
        let set =
            [setting("/shared/a", Some("1")), setting("/shared/a/b", Some("")), setting("/shared/ab", None)];
        let some = none.with(&set, 100).expect("they fit");
        assert_eq!(some.below("").collect::<Vec<_>>(), [("/shared/a", &b"1"[..]), ("/shared/a/b", b"")]);
        assert_eq!(some.below("/shared/a").collect::<Vec<_>>(), [("/shared/a/b", &b""[..])]);
        assert_eq!((some.get("/shared/a"), some.bytes()), (Some(&b"1"[..]), 9 + 1 + 11));
        let bad = [setting("/shared/c", Some("2")), setting("/shared/", Some("3"))];
        assert_eq!(some.with(&bad, 100).err(), Some(Refusal::Limit));
        assert_eq!(some.with(&[setting("/shared/c", Some("2"))], 21).err(), Some(Refusal::Limit));
        let gone = some.with(&[setting("/shared/a", None), setting("/shared/a/b", None)], 0).expect("less");
        assert_eq!((gone.bytes(), gone.below("").count()), (0, 0));
    }

    #[test]
    fn bounds_hold_and_who_is_over_one_can_come_down() {
        let long = "x".repeat(limits::METADATA_VALUE_BYTES_MAX + 1);
        let none = Annotations::default();
        assert!(none.with(&[setting("/shared/a", Some(&long))], usize::MAX).is_err());
        assert!(none.with(&[setting("/shared/a", Some(&long[1..]))], usize::MAX).is_ok());
        let mut many: Vec<Setting> =
            (0..limits::METADATA_ENTRIES_MAX).map(|n| setting(&format!("/shared/{n}"), Some("v"))).collect();
        let full = none.with(&many, usize::MAX).expect("just fits");
        many.push(setting("/shared/more", Some("v")));
        assert!(none.with(&many, usize::MAX).is_err());
        assert!(full.with(&[setting("/shared/0", Some("w"))], 0).is_ok());
        assert!(full.with(&[setting("/shared/0", Some("ww"))], 0).is_err());
    }
}
