//! The tool on real folders: what it finds, what it prints, and what damage does to it.

use std::path::Path;

use crate::support::{Host, INBOX, first_segment, flip, json, objects, of_type, run, text};
use ringpost_engine::change::{Change, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, Uid};
use ringpost_engine::log::batch::{self, BatchMeta};
use ringpost_engine::log::record::{self, RecordHead};
use serde_json::Value;
use tempfile::TempDir;

const OCTETS: &[u8] = b"Subject: hello\r\n\r\n\x1b[31mred\x00\xff\r\n.dot\r\n";

struct Sample {
    data: TempDir,
    alice: AccountId,
    first: BodyId,
}

/// Alice with three messages, the second of them expunged, and enough mail to fill a segment; Bob on another
/// shard.
fn sample() -> Sample {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    let first = host.deliver(alice, OCTETS);
    host.deliver(alice, b"second\r\n");
    host.deliver(alice, b"third\r\n");
    let uids: UidSet = [Uid(2)].into_iter().collect();
    host.change(alice, Change::Expunge { mailbox: INBOX, uids, only_deleted: false });
    for _ in 0..8 {
        host.deliver(alice, &[b'x'; 60_000]);
    }
    let mut other = Host::open(data.path(), 1);
    other.account("bob@example.test");
    Sample { data, alice, first }
}

/// Where the octets of the first message lie in the first segment.
fn octets_at(file: &Path) -> usize {
    let bytes = std::fs::read(file).expect("it can be read");
    bytes.windows(OCTETS.len()).position(|window| window == OCTETS).expect("the octets are there")
}

#[test]
fn segments_are_listed_in_order_and_add_up() {
    let sample = sample();
    let objects = json(sample.data.path(), &["segments", "--shard", "0"]);
    let segments = of_type(&objects, "segment");
    let used: Vec<_> = segments.iter().filter(|segment| segment["base"].is_u64()).collect();
    assert!(used.len() >= 3, "{segments:?}");
    assert!(used.is_sorted_by_key(|segment| segment["base"].as_u64()));
    let end = of_type(&objects, "end")[0];
    let batches = used.iter().filter_map(|segment| segment["batches"].as_u64()).sum::<u64>();
    assert_eq!(end["batches"], batches);
    assert_eq!(end["torn_bytes"], 0);
    assert!(segments.iter().any(|segment| segment["state"] == "ready"), "the store keeps one ready");
    let table = text(sample.data.path(), &["segments"]);
    assert!(
        table.contains("shard 0 in") && table.contains("shard 1 in") && table.contains("sealed"),
        "{table}"
    );
}

#[test]
fn the_live_share_is_what_mailboxes_show() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    for _ in 0..8 {
        host.deliver(alice, &[b'x'; 60_000]);
    }
    let live = |data: &Path| -> (u64, f64) {
        let objects = json(data, &["segments", "--live"]);
        let first = of_type(&objects, "segment")[0]["live_share"].as_f64().expect("a share");
        (of_type(&objects, "segment").iter().filter_map(|one| one["live_bytes"].as_u64()).sum(), first)
    };
    let (all, share) = live(data.path());
    assert!((480_000..490_000).contains(&all) && share > 0.9, "{all} {share}");
    let work = host.mailbox(alice, "Work");
    let uids: UidSet = (1..=8).map(Uid).collect();
    host.change(alice, Change::Copy { from: INBOX, to: work, uids, expunge: false });
    assert_eq!(live(data.path()).0, all, "a copy shares its body");
    let uids: UidSet = (1..=4).map(Uid).collect();
    host.change(alice, Change::Expunge { mailbox: INBOX, uids: uids.clone(), only_deleted: false });
    host.change(alice, Change::Expunge { mailbox: work, uids, only_deleted: false });
    let (half, share) = live(data.path());
    assert_eq!(half, all / 2);
    assert!(share < 0.2, "the oldest went: {share}");
    assert!(text(data.path(), &["segments", "--live"]).contains(" %  20"), "the table has it");
}

#[test]
fn dump_tells_every_change_and_no_secret() {
    let sample = sample();
    let objects = json(sample.data.path(), &["dump"]);
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let count = |kind| kinds.iter().filter(|&&found| found == kind).count();
    assert_eq!((count("AccountCreate"), count("Deliver"), count("Body"), count("Expunge")), (2, 11, 11, 1));
    let delivery = objects.iter().find(|object| object["kind"] == "Deliver").expect("one");
    assert_eq!(delivery["body"], sample.first.0);
    assert_eq!((&delivery["uid"], &delivery["address"]), (&1.into(), &"alice@example.test".into()));
    assert_eq!(delivery["flags"][0], "$Todo");
    let shown = text(sample.data.path(), &["dump"]);
    assert!(shown.contains("alice@example.test Expunge modseq=5 "), "{shown}");
    assert!(!shown.contains("secret") && !objects.iter().any(|object| object.to_string().contains("secret")));
}

#[test]
fn dump_is_narrowed_by_account_and_position() {
    let sample = sample();
    let by_address = json(sample.data.path(), &["dump", "--account", "Alice@Example.test"]);
    let by_number = json(sample.data.path(), &["dump", "--account", &sample.alice.to_string()]);
    assert_eq!(by_address, by_number);
    assert_eq!(by_address.len(), 24, "creation, eleven bodies and deliveries, an expunge");
    let from = by_address[5]["lsn"].as_u64().expect("a position").to_string();
    let late = json(sample.data.path(), &["dump", "--account", "alice@example.test", "--from", &from]);
    assert_eq!(late, by_address[5..]);
    assert!(json(sample.data.path(), &["dump", "--account", "nobody@example.test"]).is_empty());
    let all = json(sample.data.path(), &["dump", "--all", "--shard", "1"]);
    assert!(!of_type(&all, "batch").is_empty() && all.iter().any(|object| object["kind"] == "Witness"));
}

#[test]
fn a_sound_log_verifies() {
    let sample = sample();
    let objects = json(sample.data.path(), &["verify"]);
    let verdicts = of_type(&objects, "verify");
    assert_eq!((verdicts.len(), of_type(&objects, "pace").len()), (2, 1));
    for jobs in ["1", "7"] {
        let again = json(sample.data.path(), &["verify", "--jobs", jobs]);
        assert_eq!(of_type(&again, "verify"), verdicts, "{jobs} threads");
    }
    assert_eq!((&verdicts[0]["sound"], &verdicts[0]["messages"]), (&true.into(), &10.into()));
    assert_eq!((&verdicts[1]["shard"], &verdicts[1]["accounts"]), (&1.into(), &1.into()));
    assert!(text(sample.data.path(), &["verify", "--shard", "1"]).starts_with("shard 1: sound"));
    let folder = sample.data.path().join("shard-001");
    assert!(text(&folder, &["verify"]).starts_with("shard 1: sound"), "a shard's own folder will do");
}

#[test]
fn no_flipped_bit_of_a_log_goes_unseen() {
    let sample = sample();
    let data = sample.data.path();
    let file = first_segment(data);
    let end = std::fs::metadata(&file).expect("it is there").len() as usize;
    let bytes = std::fs::read(&file).expect("it can be read");
    // Padding and the rest of the header's block carry nothing and have no sum.
    let used = |at: &usize| bytes[*at] != 0;
    for at in (1..40).map(|n| n * end / 41).map(|from| (from..end).find(used).expect("a byte that is used")) {
        flip(&file, at);
        let output = run(data, &["verify", "--json"]);
        assert_eq!(output.status.code(), Some(1), "byte {at}");
        let objects = objects(&output);
        assert!(!of_type(&objects, "damage").is_empty(), "byte {at}: it has a place");
        assert_eq!(of_type(&objects, "verify")[1]["sound"], true, "the other shard is sound");
        flip(&file, at);
    }
    assert!(run(data, &["verify"]).status.success());
}

#[test]
fn a_message_comes_out_as_it_went_in() {
    let sample = sample();
    let data = sample.data.path();
    let lsn = sample.first.to_string();
    let in_inbox = ["--account", "alice@example.test", "--mailbox", "inbox", "--eml"];
    assert_eq!(run(data, &["message", &lsn, "--eml"]).stdout, OCTETS);
    assert_eq!(run(data, &[&["message", "1"][..], &in_inbox].concat()).stdout, OCTETS);
    let expunged = run(data, &[&["message", "2"][..], &in_inbox].concat());
    assert_eq!(expunged.stdout, b"second\r\n", "expunged, and still in the log");
    let delivery = json(data, &["dump"]).into_iter().find(|object| object["kind"] == "Deliver").expect("one");
    assert_eq!(run(data, &["message", &delivery["lsn"].to_string(), "--eml"]).stdout, OCTETS);
    let facts = &json(data, &["message", &lsn])[0];
    assert_eq!((&facts["octets"], &facts["shown"][0]["uid"]), (&OCTETS.len().into(), &1.into()));
    assert_eq!(facts["shown"][0]["flags"][0], "$Todo");
    let shown = text(data, &["message", &lsn]);
    assert!(
        shown.contains("alice@example.test in INBOX as UID 1, received 2023-11-14T22:13:20.000Z"),
        "{shown}"
    );
}

#[test]
fn what_is_not_there_is_said_in_one_line() {
    let sample = sample();
    for (arguments, line) in [
        (&["message", "3"][..], "ringpost-log: no message begins or is delivered at position 3\n"),
        (
            &["message", "99", "--account", "alice@example.test", "--mailbox", "INBOX"],
            "ringpost-log: alice@example.test has no mailbox INBOX, or it never had UID 99\n",
        ),
        (
            &["message", "99", "--account", "nobody@example.test", "--mailbox", "INBOX"],
            "ringpost-log: no account nobody@example.test: give its address or its number\n",
        ),
    ] {
        let output = run(sample.data.path(), arguments);
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(String::from_utf8_lossy(&output.stderr), line);
    }
    let nowhere = sample.data.path().join("nowhere");
    let output = run(&nowhere, &["verify"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("give the server's data folder with --data"));
    assert_eq!(run(sample.data.path(), &["message", "1", "--mailbox", "INBOX"]).status.code(), Some(2));
}

#[test]
fn a_damaged_body_costs_that_message_and_is_told_with_its_place() {
    let sample = sample();
    let data = sample.data.path();
    let file = first_segment(data);
    let at = octets_at(&file);
    flip(&file, at + 3);
    for command in ["verify", "dump", "segments"] {
        let output = run(data, &[command, "--json"]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let objects = objects(&output);
        let damage = of_type(&objects, "damage");
        let place = |object: &Value| (object["segment"].as_u64(), object["offset"].as_u64());
        let (segment, offset) = place(damage[0]);
        assert_eq!(segment, Some(1), "{command}");
        assert!(
            offset.is_some_and(|offset| offset <= at as u64 && at as u64 - offset < 4096),
            "{command}: {damage:?}"
        );
        assert_eq!(damage[0]["accounts"][0], sample.alice.0, "{command}");
    }
    let dumped = objects(&run(data, &["dump", "--json"]));
    assert_eq!(dumped.iter().filter(|object| object["kind"] == "Deliver").count(), 11, "it goes on");
    let verified = run(data, &["verify"]);
    let lines = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(lines.contains("DAMAGE shard 0 segment 1 byte ") && lines.contains("shard 1: sound"), "{lines}");
    assert!(lines.contains(&format!("would not serve these accounts: [{}]", sample.alice)), "{lines}");
    let lost = run(data, &["message", &sample.first.to_string(), "--eml"]);
    assert_eq!((lost.status.code(), lost.stdout.len()), (Some(1), 0));
    let third = ["message", "3", "--account", "alice@example.test", "--mailbox", "INBOX", "--eml"];
    assert_eq!(
        run(data, &third).stdout,
        b"third\r\n",
        "an account that is not served can still be read here"
    );
}

#[test]
fn a_write_that_a_crash_cut_short_is_no_damage() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    host.deliver(alice, b"kept\r\n");
    host.deliver(alice, OCTETS);
    let file = first_segment(data.path());
    let at = octets_at(&file);
    let mut bytes = std::fs::read(&file).expect("it can be read");
    bytes[at..at + 512].fill(0);
    std::fs::write(&file, bytes).expect("it can be written");
    let verdict = &json(data.path(), &["verify"])[0];
    assert_eq!((&verdict["sound"], &verdict["messages"]), (&true.into(), &1.into()));
    assert!(verdict["torn_bytes"].as_u64() > Some(0), "{verdict}");
    assert!(text(data.path(), &["verify"]).contains("were never acknowledged"));
}

/// Gives the last record of the last batch another payload, with right sums everywhere.
fn forge_last_record(file: &Path, edit: impl FnOnce(&mut [u8])) {
    let mut bytes = std::fs::read(file).expect("it can be read");
    let blocks = (0..bytes.len()).step_by(4096).rev();
    let found = blocks.filter_map(|at| Some((at, BatchMeta::decode(&bytes[at..], None)?))).next();
    let (at, (mut meta, log, _)) = found.expect("a batch");
    let start = at + batch::HEAD_BYTES;
    let payload = &mut bytes[start..start + meta.len as usize];
    let slots = batch::open(&meta, payload).expect("sound");
    let last = slots.last().expect("a record");
    let from = last.at + record::HEAD_BYTES;
    edit(&mut payload[from..]);
    let head = RecordHead::seal(last.head.meta(), std::iter::once(&payload[from..]));
    payload[last.at..last.at + 4].copy_from_slice(&head.crc.get().to_le_bytes());
    let mut heads = crc32fast::Hasher::new();
    slots.iter().for_each(|slot| heads.update(&payload[slot.at..slot.at + record::HEAD_BYTES]));
    meta.heads_crc = heads.finalize();
    bytes[at..start].copy_from_slice(&meta.encode(log).0);
    std::fs::write(file, bytes).expect("it can be written");
}

#[test]
fn a_record_that_does_not_follow_is_told_though_every_sum_is_right() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    host.change(alice, Change::RecentSeen { mailbox: INBOX, below: Uid(1) });
    let file = first_segment(data.path());
    // The stamp's time comes first: before everything else in the log.
    forge_last_record(&file, |payload| payload[..8].fill(0));
    let output = run(data.path(), &["verify"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("does not follow: I14") && told.contains("DAMAGED in 1 places"), "{told}");
}

#[test]
fn a_missing_segment_keeps_no_other_shard_from_being_read() {
    let sample = sample();
    std::fs::remove_file(first_segment(sample.data.path())).expect("it can be removed");
    let output = run(sample.data.path(), &["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let objects = objects(&output);
    assert_eq!((&objects[0]["type"], &objects[1]["sound"]), (&"unreadable".into(), &true.into()));
    assert_eq!(of_type(&objects, "pace").len(), 1);
}

#[test]
fn nothing_in_the_folder_is_touched() {
    let sample = sample();
    let state = || {
        let mut files = Vec::new();
        for shard in ["shard-000", "shard-001"] {
            for entry in std::fs::read_dir(sample.data.path().join(shard)).expect("the folder is there") {
                let path = entry.expect("it can be listed").path();
                let modified = path.metadata().and_then(|data| data.modified()).expect("it has a time");
                files.push((path.clone(), modified, std::fs::read(&path).expect("it can be read")));
            }
        }
        files.sort();
        files
    };
    let before = state();
    for arguments in [&["segments"][..], &["dump", "--all"], &["verify"], &["message", "1"]] {
        run(sample.data.path(), arguments);
    }
    assert!(state() == before);
}

#[test]
fn help_and_manual_have_examples() {
    let data = Path::new(".");
    assert!(text(data, &["--help"]).contains("Examples:"));
    assert!(text(data, &["man"]).contains(".TH ringpost-log 1"));
    assert!(text(data, &["man", "dump"]).contains("\\-\\-account"));
}
