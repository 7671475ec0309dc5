//! Words that must not stand in a file, each with what to write instead.
//!
//! *Owns*: the list. *Promises*: only code counts, not comments and not texts, except where a comment itself
//! is banned.
//! *Assumes*: nothing. *Never*: fixes.

use crate::source::Source;

/// Banned in code outside tests.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", "finish it, or leave its place to a later issue without code"),
    ("unimplemented!(", "finish it, or leave its place to a later issue without code"),
    ("dbg!(", "remove it"),
    ("allow(dead_code", "remove what is dead"),
    ("allow(unused", "remove what is unused"),
    ("allow(clippy::all", "name the one lint and say why"),
    (".unwrap()", "say why it cannot fail with expect, or handle it"),
    ("to_ne_bytes", "the format is little-endian: to_le_bytes"),
    ("from_ne_bytes", "the format is little-endian: from_le_bytes"),
    ("usize::to_le_bytes", "the format has fixed widths: u32 or u64"),
];

/// Only these files may name these words: the single places of DESIGN §4.
const SINGLE_PLACES: &[(&str, &[&str])] =
    &[("IoRequest::Unlink", &["engine/src/", "engine/examples/", "src/runtime/disk/mod.rs", "tools/"])];

/// Judges one source.
pub fn check(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let tidy = source.path.starts_with("tests/tidy/");
    for (index, line) in source.lines.iter().enumerate() {
        let comment = line.find("//").map_or("", |at| &line[at..]);
        let marks = ["TO", "FIX", "XX"].map(|half| {
            format!(
                "{half}{}",
                if half == "TO" {
                    "DO"
                } else if half == "FIX" {
                    "ME"
                } else {
                    "X:"
                }
            )
        });
        if !tidy && marks.iter().any(|mark| comment.contains(mark.as_str())) {
            found.push(format!(
                "{}:{}: unfinished business: finish it or open an issue",
                source.path,
                index + 1
            ));
        }
        if line.contains("#[ignore") && !tidy {
            found.push(format!(
                "{}:{}: a skipped test: assert what is, or remove it",
                source.path,
                index + 1
            ));
        }
    }
    if source.is_test() {
        return found;
    }
    for (number, code) in source.code() {
        for (word, instead) in BANNED {
            // What the kernel reads has the machine's own byte order.
            let for_the_kernel = source.path.starts_with("src/sys/") && word.ends_with("_ne_bytes");
            if code.contains(word) && !for_the_kernel {
                found.push(format!("{}:{number}: {word} is banned: {instead}", source.path));
            }
        }
        for (word, places) in SINGLE_PLACES {
            if code.contains(word) && !places.iter().any(|place| source.path.starts_with(place)) {
                found.push(format!("{}:{number}: {word} belongs to {}", source.path, places.join(", ")));
            }
        }
    }
    found
}

/// A rule's source reads `rfc9051#6.3.13`: lower case, number, section.
pub fn check_references(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        for (at, _) in line.match_indices("rfc") {
            let rest = &line[at + 3..];
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits >= 3
                && rest[digits..].starts_with('#')
                && !rest[digits + 1..].starts_with(|c: char| c.is_ascii_alphanumeric())
            {
                found.push(format!("{}:{}: a reference without a section", source.path, index + 1));
            }
        }
    }
    found
}
