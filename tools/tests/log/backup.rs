//! `verify` of a backup: the logs and what the manifest says of them.

use std::path::Path;

use serde_json::json;

use crate::support::{Host, first_segment, objects, of_type, run, text};

/// A manifest as `ringpost backup` writes it.
fn manifest(data: &Path, position: u64) {
    let segment = first_segment(data);
    let bytes = std::fs::metadata(&segment).expect("it is there").len();
    let path = format!("shard-000/{}", segment.file_name().and_then(|name| name.to_str()).expect("a name"));
    manifest_of(data, position, &path, bytes);
}

fn manifest_of(data: &Path, position: u64, path: &str, bytes: u64) {
    let manifest = json!({
        "format": 1, "made_ms": 1, "made": "1970-01-01T00:00:00.001Z", "version": "0.1.0",
        "shards": [{"shard": 0, "position": position}], "files": {path: bytes},
    });
    std::fs::write(data.join("backup.json"), manifest.to_string()).expect("it can be written");
}

#[test]
fn a_backup_must_hold_what_its_manifest_says_and_go_as_far() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let mut host = Host::open(data, 0);
    let account = host.account("alice@example.test");
    host.deliver(account, b"Subject: one\r\n\r\nbody\r\n");
    drop(host);
    let sound = run(Path::new("/nowhere"), &["verify", data.to_str().expect("a name"), "--json"]);
    assert!(sound.status.success());
    let end = of_type(&objects(&sound), "verify")[0]["next"].as_u64().expect("a position");
    manifest(data, end);
    assert!(
        text(data, &["verify"]).starts_with("a backup of 1970-01-01T00:00:00.001Z, 1 files\nshard 0: sound")
    );
    manifest(data, end + 1);
    let short = run(data, &["verify"]);
    let said = String::from_utf8_lossy(&short.stdout).into_owned();
    assert!(short.status.code() == Some(1) && said.contains("and the backup went to"), "{said}");
    assert!(said.contains("shard 0: DAMAGED in 1 places"), "{said}");
    manifest(data, end);
    std::fs::copy(data.join("backup.json"), data.join("backup.partial")).expect("it can be copied");
    assert!(text(data, &["verify"]).contains("a later run did not come to its end"));
    std::fs::remove_file(first_segment(data)).expect("it can be removed");
    let lost = run(data, &["verify"]);
    let said = String::from_utf8_lossy(&lost.stdout).into_owned();
    assert!(lost.status.code() == Some(1) && said.contains("which the backup should hold"), "{said}");
    std::fs::remove_file(data.join("backup.json")).expect("it can be removed");
    let partial = run(data, &["verify"]);
    let said = String::from_utf8_lossy(&partial.stdout).into_owned();
    assert!(partial.status.code() == Some(1) && said.contains("has not come to its end"), "{said}");
}

#[test]
fn a_shard_that_is_missing_as_a_whole_is_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    drop((Host::open(data, 0), Host::open(data, 1)));
    std::fs::write(data.join("shards"), "2\n").expect("it can be written");
    assert!(text(data, &["verify"]).contains("shard 1: sound"));
    std::fs::remove_dir_all(data.join("shard-001")).expect("it can be removed");
    let damaged = |arguments: &[&str], what: &str| {
        let found = run(data, &[&["verify"], arguments].concat());
        let said = String::from_utf8_lossy(&found.stdout).into_owned();
        assert!(found.status.code() == Some(1) && said.contains(what), "{said}");
    };
    damaged(&[], "shard-001 is missing");
    text(data, &["verify", "--shard", "0"]);
    // Without the number of shards, the manifest of a backup says so.
    std::fs::remove_file(data.join("shards")).expect("it can be removed");
    manifest_of(data, 0, "shard-001/0000000001.seg", 4096);
    damaged(&[], "shard-001/0000000001.seg, which the backup should hold");
    text(data, &["verify", "--shard", "0"]);
}
