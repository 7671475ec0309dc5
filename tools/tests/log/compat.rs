//! The tool on what released versions have written (`tests/compat` has the fixtures), and on what newer ones may.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{json, of_type, run};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/compat");
    let entries = fs::read_dir(root).expect("the fixtures");
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    all.retain(|path| path.join("backup.json").exists());
    all.sort();
    assert!(!all.is_empty(), "make fixtures");
    all
}

fn copied(from: &Path) -> TempDir {
    let to = TempDir::new().expect("a folder can be made");
    copy(from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            drop(fs::copy(entry.path(), target))
        }
    }
}

#[test]
fn every_version_is_proved_and_told_of() {
    for data in fixtures() {
        let verified = json(&data, &["verify", data.to_str().expect("text")]);
        assert!(of_type(&verified, "verify").iter().all(|verdict| verdict["sound"] == true), "{verified:?}");
        assert_eq!(of_type(&verified, "backup").len(), 1);
        let dumped = json(&data, &["dump", "--shard", "1"]);
        let kinds: BTreeSet<&str> = dumped.iter().filter_map(|record| record["kind"].as_str()).collect();
        for kind in ["AccountCreate", "Deliver", "FlagsStore", "Copy", "Append", "Import", "Restore", "Read"]
        {
            assert!(kinds.contains(kind), "{kind} is missing: {kinds:?}");
        }
        assert!(dumped.iter().any(|record| record["by"]["client"] == "Fixture 1"), "who asked is told");
        for command in [&["segments", "--live"][..], &["stats"], &["story", "alice@x/INBOX/1"], &["tail"]] {
            assert!(!json(&data, command).is_empty(), "{command:?}");
        }
    }
}

#[test]
fn a_newer_version_is_refused_by_name_whatever_is_asked() {
    let newest = fixtures().pop().expect("one");
    for extension in ["seg", "ckp", "pack"] {
        let data = copied(&newest);
        let entries = fs::read_dir(data.path().join("shard-000")).expect("a folder");
        let files = entries.map(|entry| entry.expect("an entry").path());
        let file = files.filter(|path| path.extension().is_some_and(|own| own == extension)).max();
        let file = file.expect("one of every kind");
        let mut bytes = fs::read(&file).expect("readable");
        bytes[8] = 99;
        let sum = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        fs::write(&file, bytes).expect("it can be written");
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let told = format!("{name} has format 99, this version knows up to");
        for command in [&["verify"][..], &["segments", "--live"], &["story", "alice@x/INBOX/1"]] {
            let output = run(data.path(), command);
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert_ne!(output.status.code(), Some(0), "{command:?}");
            assert!(said.contains(&told) && said.contains("use a newer ringpost"), "{command:?}: {said}");
        }
    }
}
