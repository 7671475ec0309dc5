//! Stores whose old segments compaction has let go.

use std::fs;
use std::path::{Path, PathBuf};

use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, UidSet};
use ringpost_engine::ids::{AccountId, Uid};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Host, INBOX, flip, json, objects, of_type, run, text};

const MESSAGE: &[u8] = b"Message-ID: <kept@x>\r\nSubject: kept\r\n\r\nhi\r\n";

fn uids(from: u32, to: u32) -> UidSet {
    (from..=to).map(Uid).collect()
}

fn flag(uid: u32) -> Change {
    let flags = Flags { system: FlagBits::FLAGGED, ..Flags::default() };
    Change::FlagsStore { mailbox: INBOX, uids: uids(uid, uid), op: FlagOp::Add, flags, unchanged_since: None }
}

fn packs(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("shard-000")).expect("a folder");
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    packs.retain(|path| path.extension().is_some_and(|extension| extension == "pack"));
    packs.sort();
    packs
}

/// One message of many is left, and the segment that it came in is gone.
fn sample() -> (TempDir, AccountId) {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::eager(data.path());
    let alice = host.account("alice@x");
    let body = host.body(alice, MESSAGE);
    let flags = Flags::default();
    host.change(alice, Change::Deliver { mailbox: INBOX, body, flags, internal_ms: 0 });
    for _ in 0..30 {
        host.deliver(alice, &[b'x'; 9_000]);
    }
    host.change(alice, Change::Expunge { mailbox: INBOX, uids: uids(2, 40), only_deleted: false });
    for round in 0..12 {
        host.deliver(alice, &[b'y'; 9_000]);
        host.change(alice, Change::Expunge { mailbox: INBOX, uids: uids(2, 80), only_deleted: false });
        if round % 3 == 0 {
            host.wait();
        }
    }
    host.wait();
    let by = host.session("alice@x", "Phone");
    host.change_by(by, alice, flag(1));
    assert!(!packs(data.path()).is_empty(), "something was compacted");
    assert!(!data.path().join("shard-000/0000000001.seg").exists(), "and its segment let go");
    (data, alice)
}

#[test]
fn a_message_in_a_pack_is_found_read_and_told_of() {
    let (data, _) = sample();
    let data = data.path();
    let told = json(data, &["story", "<kept@x>"]);
    let message = of_type(&told, "message")[0];
    assert!(message["file"].as_str().is_some_and(|file| file.ends_with(".pack")), "{message}");
    assert_eq!((&message["batch"], &message["time"]), (&Value::Null, &Value::Null));
    let events = of_type(&told, "event");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["event"], &events[0]["by"]["client"]), (&"flags".into(), &"Phone".into()));
    assert_eq!(events[0]["flags"], serde_json::json!(["?", "\\Flagged"]), "what it had before is not known");
    assert_eq!(of_type(&told, "gone").len(), 1);
    assert_eq!(of_type(&told, "now")[0]["flags"], serde_json::json!(["\\Flagged"]));
    let shown = text(data, &["story", "alice@x/INBOX/1"]);
    assert!(shown.contains("the log tells all only since 2026-01-01T"), "{shown}");
    assert!(shown.contains("subject   kept"), "{shown}");
    let lsn = message["lsn"].to_string();
    for by in [vec!["message", &lsn], vec!["message", "1", "--account", "alice@x", "--mailbox", "INBOX"]] {
        let eml = run(data, &[&by[..], &["--eml"]].concat());
        assert_eq!(eml.stdout, MESSAGE, "{by:?}");
    }
    let dumped = json(data, &["dump", "--message-id", "kept@x", "--kind", "Body"]);
    assert!(dumped[0]["pack"].is_number() && dumped[0]["time"].is_null(), "{dumped:?}");
    let out = TempDir::new().expect("a folder can be made");
    let to = out.path().join("out");
    json(data, &["export", "eml", to.to_str().expect("text"), "--account", "alice@x"]);
    assert_eq!(fs::read(to.join("INBOX/1.eml")).expect("exported"), MESSAGE);
    let tailed = json(data, &["tail", "-n", "1"]);
    assert_eq!((&tailed[0]["kind"], &tailed[0]["mailbox_name"]), (&"FlagsStore".into(), &"INBOX".into()));
    let annals = json(data, &["story", "alice@x/INBOX"]);
    assert_eq!(of_type(&annals, "gone").len(), 1, "{annals:?}");
}

#[test]
fn packs_are_listed_counted_and_proved() {
    let (data, _) = sample();
    let data = data.path();
    let plot = data.join("live.svg");
    let listed = json(data, &["segments", "--plot", plot.to_str().expect("text")]);
    let drawn = fs::read_to_string(&plot).expect("it was drawn");
    assert!(drawn.contains(".pack: ") && drawn.contains(".seg: "), "{drawn}");
    let used: Vec<&Value> =
        of_type(&listed, "pack").into_iter().filter(|pack| pack["state"] == "in use").collect();
    assert!(used.iter().any(|pack| pack["live_bytes"].as_u64() > Some(0)), "{used:?}");
    assert_eq!(of_type(&listed, "gone").len(), 1);
    let verified = json(data, &["verify"]);
    let verdict = of_type(&verified, "verify")[0];
    assert_eq!((&verdict["sound"], verdict["packed_bodies"].as_u64() > Some(0)), (&true.into(), true));
    assert!(verdict["whole_since"].is_string());
    let stats = json(data, &["stats"]);
    let totals = of_type(&stats, "stats")[0];
    assert_eq!(
        (&totals["holes"], totals["packed_messages"].as_u64() > Some(0)),
        (&0.into(), true),
        "{totals}"
    );
}

#[test]
fn no_flipped_bit_of_a_pack_goes_unseen_and_none_ends_the_reading() {
    let (data, _) = sample();
    let data = data.path();
    let pack = packs(data).pop().expect("one");
    let bytes = fs::metadata(&pack).expect("there").len() as usize;
    for at in (0..bytes).step_by(bytes / 60 + 1).chain([bytes - 1]) {
        flip(&pack, at);
        let output = run(data, &["verify", "--json"]);
        assert_eq!(output.status.code(), Some(1), "byte {at} of {bytes}");
        let told = objects(&output);
        assert!(!of_type(&told, "damage").is_empty(), "byte {at}: {told:?}");
        for command in [&["dump"][..], &["segments"], &["stats"], &["story", "<kept@x>"]] {
            let output = run(data, command);
            assert!(output.status.code() <= Some(3) && !output.stdout.is_empty(), "{command:?} at byte {at}");
        }
        flip(&pack, at);
    }
    assert_eq!(run(data, &["verify"]).status.code(), Some(0));
}
