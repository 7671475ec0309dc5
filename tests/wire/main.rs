//! What clients and server say to each other: every file in `transcripts/`, held in every chunking.

mod transcript;
mod world;

use transcript::Transcript;

/// Every transcript whose name begins with `prefix`; there must be some.
fn check(prefix: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/transcripts");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of transcripts")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"))
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no transcript begins with {prefix}");
    for name in names {
        let text = std::fs::read_to_string(format!("{folder}/{name}")).expect("a readable transcript");
        Transcript::parse(&name, &text).check();
    }
}

#[test]
fn pop3() {
    check("pop3-");
}

#[test]
fn smtp() {
    check("smtp-");
}

#[test]
fn lmtp() {
    check("lmtp-");
}

#[test]
fn submission() {
    check("submission-");
}

#[test]
fn imap() {
    check("imap-");
}
