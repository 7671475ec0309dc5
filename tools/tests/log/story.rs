//! Filters of `dump`, and `story`: what happened to one message among others.

use std::fs;
use std::path::Path;

use ringpost::log::{Level, Line, moment};
use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, QuotaLimits, UidSet};
use ringpost_engine::ids::{AccountId, BodyId, MailboxId, ModSeq, Uid};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Host, INBOX, json, of_type, run, text};

const MESSAGE: &[u8] = b"Return-Path: <you@elsewhere.test>\r\n\
    Received: from client.test ([192.0.2.9])\r\n\tby mx.test with ESMTPS id 1A2-B-1;\r\n\
    \tThu, 1 Jan 2026 00:00:00 +0000\r\n\
    From: You <you@elsewhere.test>\r\nSubject: =?utf-8?q?d=C3=A9j=C3=A0?= vu\r\nMessage-ID: <one@x>\r\n\r\nhi\r\n";

struct Sample {
    data: TempDir,
    alice: AccountId,
    body: BodyId,
}

fn uids(list: &[u32]) -> UidSet {
    list.iter().copied().map(Uid).collect()
}

fn store(mailbox: MailboxId, uid: u32, op: FlagOp, keyword: &str, since: Option<u64>) -> Change {
    let flags = Flags { system: FlagBits::SEEN, keywords: vec![keyword.to_owned()] };
    Change::FlagsStore { mailbox, uids: uids(&[uid]), op, flags, unchanged_since: since.map(ModSeq) }
}

/// One message among others: flagged, copied from among gaps, moved, its mailbox renamed, expunged in INBOX.
fn sample() -> Sample {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    let work = host.mailbox(alice, "Work/2025");
    for other in [&b"Message-ID: <zero@x>\r\n\r\n"[..], b"no id\r\n", b"third\r\n"] {
        host.deliver(alice, other);
    }
    let body = host.deliver(alice, MESSAGE);
    host.deliver(alice, b"fifth\r\n");
    host.change(alice, Change::Expunge { mailbox: INBOX, uids: uids(&[2]), only_deleted: false });
    host.change(alice, store(INBOX, 4, FlagOp::Add, "$work", None));
    host.change(alice, store(INBOX, 4, FlagOp::Remove, "late", Some(1)));
    // UIDs 1, 3, 4 and 5 are there: the message becomes the third.
    let all = uids(&[1, 2, 3, 4, 5]);
    host.change(alice, Change::Copy { from: INBOX, to: work, uids: all, expunge: false });
    host.change(alice, Change::MailboxRename { mailbox: work, to: "Archive/2025".to_owned() });
    let sent = MailboxId(2);
    host.change(alice, Change::Copy { from: work, to: sent, uids: uids(&[3, 9]), expunge: true });
    let deleted = Flags { system: FlagBits::DELETED, keywords: Vec::new() };
    let mark = Change::FlagsStore {
        mailbox: INBOX,
        uids: uids(&[4]),
        op: FlagOp::Add,
        flags: deleted,
        unchanged_since: None,
    };
    host.change(alice, mark);
    host.change(alice, Change::Expunge { mailbox: INBOX, uids: uids(&[1, 3, 4, 5]), only_deleted: true });
    Sample { data, alice, body }
}

fn words(events: &[&Value]) -> Vec<String> {
    events.iter().map(|event| event["event"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_story_tells_every_step_with_the_names_of_the_time() {
    let sample = sample();
    let data = sample.data.path();
    let told = json(data, &["story", "<one@x>"]);
    let message = of_type(&told, "message")[0];
    assert_eq!((&message["lsn"], &message["subject"]), (&sample.body.0.into(), &"déjà vu".into()));
    assert_eq!(
        (&message["received"]["client"], &message["received"]["queue_id"]),
        (&"192.0.2.9".into(), &"1A2-B-1".into())
    );
    let offset = message["offset"].as_u64().expect("a place") as usize;
    let segment = fs::read(crate::support::first_segment(data)).expect("it can be read");
    assert_eq!(&segment[offset..offset + MESSAGE.len()], MESSAGE, "it is where the story says");
    let events = of_type(&told, "event");
    let steps =
        ["delivered", "flags", "flags-refused", "copied", "mailbox-renamed", "moved", "flags", "expunged"];
    assert_eq!(words(&events), steps);
    assert!(events.is_sorted_by_key(|event| event["lsn"].as_u64()));
    assert_eq!((&events[3]["to"]["mailbox"], &events[3]["to"]["uid"]), (&"Work/2025".into(), &3.into()));
    assert_eq!(
        (&events[5]["at"]["mailbox"], &events[5]["to"]["mailbox"]),
        (&"Archive/2025".into(), &"Sent".into())
    );
    assert_eq!(events[1]["flags"], serde_json::json!(["$Todo", "$work", "\\Seen"]));
    let now = of_type(&told, "now");
    assert_eq!(now.len(), 1);
    let place = (&now[0]["mailbox"], &now[0]["uid"], &now[0]["in_index"], &now[0]["in_story"]);
    assert_eq!(place, (&"Sent".into(), &1.into(), &true.into(), &true.into()));
    for target in ["one@x", "1A2-B-1", "alice@example.test/Sent/1", "alice@example.test/INBOX/4"] {
        assert_eq!(json(data, &["story", target]), told, "{target}");
    }
    assert_eq!(json(data, &["story", &format!("{}/Archive/2025/3", sample.alice)]), told);
    assert_eq!(json(data, &["story", &format!("0:{}", sample.body)]), told);
    let shown = text(data, &["story", "one@x"]);
    assert!(shown.contains("delivered to alice@example.test INBOX UID 4, flags ($Todo)"), "{shown}");
    assert!(
        shown.contains("from client.test [192.0.2.9] by mx.test with ESMTPS, queue id 1A2-B-1"),
        "{shown}"
    );
    assert!(shown.contains("the log does not name who made the changes without a name"), "{shown}");
}

#[test]
fn what_is_gone_or_refused_or_appended_is_told_as_such() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    let old = host.mailbox(alice, "Old");
    host.append(
        alice,
        old,
        b"Received: from a ([1.2.3.4]) by b with SMTP id 1-1-1; x\r\nMessage-ID: <a@x>\r\n\r\n",
    );
    host.change(alice, Change::MailboxDelete { mailbox: old });
    let limits = QuotaLimits { messages: Some(0), ..QuotaLimits::default() };
    host.change(alice, Change::Quota { limits });
    let body = host.body(alice, b"Message-ID: <full@x>\r\n\r\n");
    host.change(alice, Change::Deliver { mailbox: INBOX, body, flags: Flags::default(), internal_ms: 0 });
    let appended = json(data.path(), &["story", "<a@x>"]);
    assert_eq!(words(&of_type(&appended, "event")), ["appended", "mailbox-deleted"]);
    assert_eq!(of_type(&appended, "message")[0]["received"], Value::Null, "the field is a client's own");
    assert_eq!(of_type(&appended, "event")[1]["at"]["mailbox"], "Old");
    assert!(of_type(&appended, "now").is_empty());
    assert!(text(data.path(), &["story", "<a@x>"]).contains("nobody shows it any more"));
    let refused = json(data.path(), &["story", "<full@x>"]);
    assert_eq!(of_type(&refused, "now")[0]["in_index"], false);
    assert!(text(data.path(), &["story", "<full@x>"]).contains("not in alice@example.test INBOX UID 1"));
    host.change(alice, Change::AccountDelete);
    drop(host);
    let gone = json(data.path(), &["story", "alice@example.test/Old/1"]);
    assert_eq!(words(&of_type(&gone, "event")), ["appended", "mailbox-deleted"]);
    for missing in ["<no@x>", "F-F-F", "alice@example.test/Old/2", "7"] {
        let output = run(data.path(), &["story", missing]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{missing}");
    }
}

/// A number below `bound`, from a seed.
fn draw(seed: &mut u64, bound: u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed % bound
}

/// Some change of mailboxes 1 to 9, some of which are there.
fn any_change(seed: &mut u64, own: AccountId) -> Change {
    let mailbox = MailboxId(1 + draw(seed, 9) as u32);
    let some = |seed: &mut u64| {
        let first = 1 + draw(seed, 12) as u32;
        (first..first + 1 + draw(seed, 6) as u32).map(Uid).collect::<UidSet>()
    };
    let name = |seed: &mut u64| ["A", "A/b", "A/b/c", "B", "B/c"][draw(seed, 5) as usize].to_owned();
    match draw(seed, 11) {
        0 => Change::MailboxCreate { name: name(seed), special_use: None },
        1 => Change::MailboxRename { mailbox, to: name(seed) },
        2 if draw(seed, 2) == 0 => Change::MailboxDelete { mailbox },
        3 | 4 => {
            let flags = Flags { system: FlagBits::DELETED, keywords: Vec::new() };
            let op = [FlagOp::Add, FlagOp::Remove, FlagOp::Replace][draw(seed, 3) as usize];
            Change::FlagsStore { mailbox, uids: some(seed), op, flags, unchanged_since: None }
        }
        5 => Change::Expunge { mailbox, uids: some(seed), only_deleted: draw(seed, 2) == 0 },
        6 | 7 => {
            let to = MailboxId(1 + draw(seed, 9) as u32);
            Change::Restore { of: own, from: mailbox, uids: (1..40).map(Uid).collect(), to }
        }
        _ => {
            let to = MailboxId(1 + draw(seed, 9) as u32);
            Change::Copy { from: mailbox, to, uids: some(seed), expunge: draw(seed, 2) == 0 }
        }
    }
}

#[test]
fn whatever_was_done_the_story_ends_where_the_index_says() {
    let (mut shown, mut moves, mut restored) = (0, 0, 0);
    for round in 1..=6u64 {
        let data = TempDir::new().expect("a folder can be made");
        let mut host = Host::open(data.path(), 0);
        let alice = host.account("alice@example.test");
        let mut seed = round.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for number in 0..120u32 {
            if number % 8 == 0 {
                host.deliver(alice, format!("Message-ID: <{number}@x>\r\n\r\n").as_bytes());
            }
            let change = any_change(&mut seed, alice);
            host.change(alice, change);
        }
        drop(host);
        for number in (0..120u32).step_by(8) {
            let told = json(data.path(), &["story", &format!("{number}@x")]);
            let words = words(&of_type(&told, "event"));
            moves += words.iter().filter(|word| *word == "moved").count();
            restored += words.iter().filter(|word| *word == "restored").count();
            for now in of_type(&told, "now") {
                shown += 1;
                let agreed = (&now["in_index"], &now["in_story"]);
                assert_eq!(agreed, (&true.into(), &true.into()), "round {round}, <{number}@x>: {told:#?}");
            }
        }
    }
    let enough = shown > 30 && moves > 30 && restored > 10;
    assert!(enough, "{shown} messages are left, {moves} were moved, {restored} put back");
}

fn connection(conn: &str, service: &str, user: &str, end_ms: u64, lasted_ms: u64) -> String {
    let line = Line::new(Level::Info, "connection").with("conn", conn).with("service", service);
    let line = line.with("client", "192.0.2.7").with("user", user);
    line.with("duration_ms", lasted_ms.to_string()).text(&moment(end_ms))
}

#[test]
fn the_servers_lines_name_the_sessions_that_were_open() {
    let sample = sample();
    let data = sample.data.path();
    let told = json(data, &["story", "one@x"]);
    let events = of_type(&told, "event");
    let time = |nth: usize| -> u64 {
        let text = events[nth]["time"].as_str().expect("a time").to_owned();
        // The sample's clock begins at 2026-01-01 and goes by seconds.
        let seconds: u64 = text[17..19].parse().expect("seconds");
        1_767_225_600_000 + seconds * 1000
    };
    let lines = [
        connection("7", "imap", "alice@example.test", time(1) + 500, 1000),
        connection("8", "imap", "bob@example.test", time(7), 90_000),
        connection("9", "lmtp", "alice@example.test", time(7), 90_000),
        connection("10", "imap", "alice@example.test", time(4), time(4) - time(3)),
        connection("11", "pop3", "alice@example.test", time(3), 500),
    ];
    let log = data.join("server.log");
    fs::write(&log, lines.join("\n")).expect("it can be written");
    let told = json(data, &["story", "one@x", "--server-log", log.to_str().expect("text")]);
    let open: Vec<String> = of_type(&told, "event")
        .iter()
        .map(|event| match event["sessions"].as_array() {
            None => "-".to_owned(),
            Some(open) => open.iter().filter_map(|one| one["conn"].as_str()).collect::<Vec<_>>().join(" "),
        })
        .collect();
    assert_eq!(open, ["-", "7", "", "10 11", "10", "", "", ""]);
    let missing = run(data, &["story", "one@x", "--server-log", "/nowhere/log"]);
    assert!(String::from_utf8_lossy(&missing.stdout).contains("/nowhere/log"));
}

fn dumped(data: &Path, arguments: &[&str]) -> Vec<String> {
    let objects = json(data, &[&["dump"], arguments].concat());
    objects.iter().map(|object| object["kind"].as_str().unwrap_or("batch").to_owned()).collect()
}

#[test]
fn dump_is_narrowed_by_message_kind_time_and_position() {
    let sample = sample();
    let data = sample.data.path();
    let all = json(data, &["dump"]);
    let concerned = ["Body", "Deliver", "FlagsStore", "FlagsStore", "Copy", "Copy", "FlagsStore", "Expunge"];
    assert_eq!(dumped(data, &["--message-id", "<one@x>"]), concerned);
    assert_eq!(
        dumped(data, &["--message-id", "one@x", "--kind", "copy,EXPUNGE"]),
        ["Copy", "Copy", "Expunge"]
    );
    assert_eq!(dumped(data, &["--message-id", "two@x"]), [""; 0]);
    let expunge = all.iter().find(|object| object["kind"] == "Expunge").expect("one");
    assert_eq!((&expunge["mailbox_name"], &expunge["uids"]), (&"INBOX".into(), &"2".into()));
    let (lsn, time) = (expunge["lsn"].to_string(), expunge["time"].as_str().expect("a time"));
    let at = all.iter().position(|object| object == expunge).expect("there");
    let early = json(data, &["dump", "--to", &lsn]);
    let late = json(data, &["dump", "--from", &lsn]);
    assert_eq!((early.as_slice(), late.as_slice()), (&all[..at], &all[at..]));
    let early = json(data, &["dump", "--until", time]);
    let late = json(data, &["dump", "--since", time]);
    assert_eq!((early.as_slice(), late.as_slice()), (&all[..at], &all[at..]), "a second a change");
    assert!(json(data, &["dump", "--since", "0s"]).is_empty(), "nothing is of the future");
    let wrong = run(data, &["dump", "--kind", "delivered"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("FlagsStore"));
}
