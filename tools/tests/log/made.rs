//! `generate`: a store that a server would have left.

use std::fs::File;

use tempfile::TempDir;

use crate::support::{json, of_type, run, text};

#[test]
fn a_generated_store_is_sound_and_as_large_as_asked_for() {
    let folder = TempDir::new().expect("a folder can be made");
    let data = folder.path().join("new");
    let arguments =
        ["generate", "--accounts", "50", "--messages", "1003", "--bytes", "1500", "--shards", "3"];
    let made = json(&data, &[&arguments[..], &["--distinct", "7"]].concat());
    assert_eq!((&made[0]["accounts"], &made[0]["messages"]), (&50.into(), &1003.into()));
    let objects = json(&data, &["verify"]);
    let verdicts = of_type(&objects, "verify");
    assert_eq!(verdicts.len(), 3);
    let sum = |key: &str| verdicts.iter().filter_map(|verdict| verdict[key].as_u64()).sum::<u64>();
    assert_eq!((sum("accounts"), sum("messages"), sum("bodies")), (50, 1003, 1003));
    assert_eq!(sum("mailboxes"), 50 * 6, "INBOX and the usual ones");
    let stats = json(&data, &["stats"]);
    let sizes = &of_type(&stats, "histogram")[0]["histogram"];
    assert_eq!((&sizes["count"], &sizes["max"]), (&1003.into(), &1500.into()));
    // The first three accounts got one message more than the others.
    let of = |user: &str| json(&data, &["dump", "--kind", "Deliver", "--account", user]).len();
    assert_eq!((of("user0000002@example.test"), of("user0000003@example.test")), (21, 20));
    let domains = json(&data, &["dump", "--kind", "DomainAdd"]);
    assert_eq!((domains.len(), &domains[0]["name"]), (1, &"example.test".into()));
    let again = run(&data, &arguments);
    assert_eq!(again.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&again.stderr).contains("holds a store already"));
    assert!(text(&data, &["segments"]).contains("shard 2 in"));
}

#[test]
fn a_store_with_checkpoints_is_read_and_imported_into_like_any_other() {
    let folder = TempDir::new().expect("a folder can be made");
    let data = folder.path().join("new");
    let arguments =
        ["generate", "--accounts", "30", "--messages", "3000", "--bytes", "60000", "--shards", "1"];
    json(&data, &[&arguments[..], &["--distinct", "3"]].concat());
    let listed = json(&data, &["segments"]);
    assert!(!of_type(&listed, "checkpoint").is_empty(), "so much log has one");
    assert_eq!(of_type(&json(&data, &["verify"]), "verify")[0]["sound"], true);
    let user = "user0000007@example.test";
    let told = json(&data, &["story", &format!("{user}/INBOX/100")]);
    assert_eq!(of_type(&told, "now")[0]["in_story"], true);
    let to = folder.path().join("out");
    let to = to.to_str().expect("text");
    let exported = json(&data, &["export", "mboxrd", to, "--account", user, "--mailbox", "INBOX"]);
    assert_eq!(exported[0]["messages"], 100);
    let import = ["import", "mboxrd", to, "--account", user];
    let there = |objects: &[serde_json::Value]| of_type(objects, "folder")[0]["there"].clone();
    assert_eq!(there(&json(&data, &[&import[..], &["--dry-run"]].concat())), 100);
    assert_eq!(there(&json(&data, &import)), 100, "an account that slept is woken");
    let below = json(&data, &[&import[..], &["--below", "Again"]].concat());
    assert_eq!(of_type(&below, "folder")[0]["added"], 100);
    assert_eq!(of_type(&json(&data, &["verify"]), "verify")[0]["sound"], true);
}

#[test]
fn a_folder_that_a_server_has_is_refused() {
    let data = TempDir::new().expect("a folder can be made");
    let lock = File::create(data.path().join("lock")).expect("it can be made");
    ringpost::sys::process::lock_exclusive(&lock).expect("nobody has it");
    let output = run(data.path(), &["generate", "--accounts", "1", "--messages", "1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by process"));
}
