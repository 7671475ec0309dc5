//! The fuzz targets without a fuzzer: the seed corpora and seeded mutations of them, on the stable compiler.
//!
//! *Owns*: seeds and mutations. *Promises*: the same octets in every run; a failure names target and round, and
//! leaves the octets in a file. *Assumes*: `tests/fuzz/run.sh` looks for what is not known yet.
//! *Never*: skips a target: one without a corpus fails.

#[path = "targets/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ringpost_engine::testing::seed::Seed;

/// Mutations of each target's corpus in one run.
const ROUNDS: u64 = 1_000;
/// Changes of one mutation.
const CHANGES_MAX: u64 = 6;
/// So many times a piece is repeated at most.
const FLOOD_MAX: u64 = 3_000;
/// No mutation is longer.
const OCTETS_MAX: usize = 64 * 1024;
/// Octets that parsers look at.
const TOKENS: [&[u8]; 24] = [
    b"\r\n",
    b" ",
    b"(",
    b")",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"{3}\r\n",
    b"{3+}\r\n",
    b"~{2}\r\n",
    b"*",
    b":",
    b",",
    b"%",
    b"[",
    b"]",
    b"=?utf-8?q?",
    b"?=",
    b"\0",
    b"\xff",
    b"4294967295",
    b"18446744073709551616",
    b"\r\n--b\r\n",
];

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The seeds of a target, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = Vec::new();
    walk(&fuzz_folder().join("corpus").join(name), &mut files);
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let mut transcripts = Vec::new();
    let chooses = ["imap_search", "imap_sort", "imap_thread"].contains(&name);
    if !chooses && (name.starts_with("imap_") || name.starts_with("mime_")) {
        walk(&fuzz_folder().join("../wire/transcripts/imap"), &mut transcripts);
    }
    for transcript in transcripts {
        let text = std::fs::read_to_string(transcript).unwrap();
        if name.starts_with("imap_") {
            seeds.push(said(&text));
        } else {
            seeds.extend(messages(&text));
        }
    }
    seeds
}

/// What clients say in a transcript.
fn said(transcript: &str) -> Vec<u8> {
    let says = |line: &str| {
        let rest = line.strip_prefix('C')?.trim_start_matches(|octet: char| octet.is_ascii_digit());
        Some(format!("{}\r\n", rest.strip_prefix(": ")?).into_bytes())
    };
    transcript.lines().filter_map(says).flatten().collect()
}

/// The messages that come in in a transcript.
fn messages(transcript: &str) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for line in transcript.lines() {
        if line.starts_with("message: ") {
            messages.push(Vec::new());
        } else if let (Some(line), Some(message)) = (line.strip_prefix('|'), messages.last_mut()) {
            let line = line.strip_prefix(' ').unwrap_or(line);
            message.extend_from_slice(format!("{line}\r\n").as_bytes());
        }
    }
    messages
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() { walk(&entry, files) } else { files.push(entry) }
    }
}

/// A seed with some changes.
fn mutated(seed: &mut Seed, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut octets = seed.pick(seeds).unwrap().clone();
    for _ in 0..=seed.below(CHANGES_MAX) {
        let at = seed.below(octets.len() as u64 + 1) as usize;
        let end = (at + seed.below(30) as usize).min(octets.len());
        match seed.below(7) {
            0 if at < octets.len() => octets[at] ^= 1 << seed.below(8),
            1 if at < octets.len() => octets[at] = seed.number() as u8,
            2 => drop(octets.drain(at..end)),
            3 => {
                // Now and then a flood.
                let times = if seed.one_in(8) { 1 + seed.below(FLOOD_MAX) as usize } else { 1 };
                let again = octets[at..end].repeat(times);
                octets.splice(at..at, again);
            }
            4 => {
                let other = seed.pick(seeds).unwrap();
                let from = seed.below(other.len() as u64 + 1) as usize;
                let piece = other[from..(from + 60).min(other.len())].to_vec();
                octets.splice(at..at, piece);
            }
            5 => octets.truncate(at.max(1)),
            _ => {
                let token = seed.pick(&TOKENS).unwrap();
                octets.splice(at..at, token.iter().copied());
            }
        }
    }
    octets.truncate(OCTETS_MAX);
    octets
}

/// Runs one target over its seeds and their mutations. Says which octets it fails on.
fn run(name: &str, target: fn(&[u8])) {
    let seeds = corpus(name);
    assert!(!seeds.is_empty(), "no corpus for {name}");
    let wrong = |octets: &[u8], what: &str| {
        if catch_unwind(AssertUnwindSafe(|| target(octets))).is_err() {
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
            std::fs::write(&file, octets).unwrap();
            panic!("{name}: {what} fails; its octets are in {}", file.display());
        }
    };
    for (index, octets) in seeds.iter().enumerate() {
        wrong(octets, &format!("seed {index} of the corpus"));
    }
    for round in 0..rounds() {
        let mut seed = Seed::new(round);
        wrong(&mutated(&mut seed, &seeds), &format!("round {round}"));
    }
}

/// As many as a run of all tests has time for, or what `RINGPOST_FUZZ_ROUNDS` says.
fn rounds() -> u64 {
    std::env::var("RINGPOST_FUZZ_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number of rounds"))
}

fn target(name: &str) -> fn(&[u8]) {
    let found = targets::TARGETS.iter().find(|target| target.0 == name);
    found.expect("a target of this name").1
}

/// One test a target, so that they run side by side.
macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name), target(stringify!($name))); })*

        #[test]
        fn every_target_has_its_test() {
            let tested = [$(stringify!($name)),*];
            let names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, tested);
        }
    };
}

tests! {
    checkpoint_file
    imap_command imap_search imap_session imap_sort imap_thread
    inflate log_change
    mime_fields mime_keys mime_summarise mime_text
    pack_file
    smtp_pop3_lines summary_view
}
