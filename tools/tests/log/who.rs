//! Who did it: what `story`, `dump` and `tail` say of sessions.

use std::fs;

use ringpost_engine::change::{Change, FlagBits, FlagOp, Flags, UidSet};
use ringpost_engine::ids::{MailboxId, Uid};
use serde_json::{Value, json as value};
use tempfile::TempDir;

use crate::support::{Host, INBOX, first_segment, flip, json, of_type, run, text};

fn one(uid: u32) -> UidSet {
    std::iter::once(Uid(uid)).collect()
}

fn seen(mailbox: MailboxId) -> Change {
    let flags = Flags { system: FlagBits::SEEN, ..Flags::default() };
    Change::FlagsStore { mailbox, uids: one(1), op: FlagOp::Add, flags, unchanged_since: None }
}

#[test]
fn a_story_names_the_session_of_each_step_and_who_read_by_pop3() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@x");
    let work = host.mailbox(alice, "Work");
    host.deliver(alice, b"Message-ID: <one@x>\r\n\r\nhi\r\n");
    let phone = host.session("alice@x", "Phone 1");
    let desk = host.session("bob@x", "Desk \u{1b}[2J");
    host.change_by(phone, alice, seen(INBOX));
    host.read(phone, alice, one(1));
    host.change_by(desk, alice, Change::Copy { from: INBOX, to: work, uids: one(1), expunge: true });
    host.change(alice, seen(work));
    let told = json(data.path(), &["story", "<one@x>"]);
    let events = of_type(&told, "event");
    let by =
        |event: &&Value| (event["event"].clone(), event["by"]["user"].clone(), event["by"]["client"].clone());
    let expected = [
        (value!("delivered"), Value::Null, Value::Null),
        (value!("flags"), value!("alice@x"), value!("Phone 1")),
        (value!("read"), value!("alice@x"), value!("Phone 1")),
        (value!("moved"), value!("bob@x"), value!("Desk \u{1b}[2J")),
        (value!("flags"), Value::Null, Value::Null),
    ];
    assert_eq!(events.iter().map(by).collect::<Vec<_>>(), expected);
    let shown = text(data.path(), &["story", "<one@x>"]);
    assert!(shown.contains("by alice@x, imap from 192.0.2.7 with TLS, Phone 1 (conn 7)"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let dumped = json(data.path(), &["dump", "--account", "alice@x", "--kind", "Session,Read,Copy"]);
    let kinds: Vec<&Value> = dumped.iter().map(|record| &record["kind"]).collect();
    assert_eq!(kinds, ["Session", "Read", "Copy"], "bob's session is not alice's");
    assert_eq!(dumped[2]["by"]["user"], "bob@x");
    let read = json(data.path(), &["dump", "--message-id", "one@x", "--kind", "Read"]);
    assert_eq!((&read[0]["of_address"], &read[0]["mailbox_name"]), (&value!("alice@x"), &value!("INBOX")));
    let line = text(data.path(), &["dump", "--kind", "Copy"]);
    assert!(line.trim_end().ends_with("(conn 7)"), "{line}");
}

#[test]
fn a_session_is_looked_up_where_its_record_lies_or_told_to_be_forgotten() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@x");
    host.deliver(alice, b"Message-ID: <one@x>\r\n\r\nhi\r\n");
    let by = host.session("alice@x", "An unmistakable program");
    host.change_by(by, alice, seen(INBOX));
    for _ in 0..12 {
        host.deliver(alice, &[b'x'; 60_000]);
    }
    host.change_by(by, alice, seen(INBOX));
    let last = |program: &Value| {
        let told = run(data.path(), &["tail", "-n", "1", "--json"]);
        let told: Value = serde_json::from_slice(&told.stdout).expect("one line");
        assert_eq!((&told["kind"], &told["by"]["client"]), (&value!("FlagsStore"), program), "{told}");
        told
    };
    last(&value!("An unmistakable program"));
    let segment = fs::read(first_segment(data.path())).expect("it can be read");
    let needle = b"An unmistakable program";
    let at = segment.windows(needle.len()).position(|bytes| bytes == needle).expect("in the first segment");
    flip(&first_segment(data.path()), at);
    assert!(last(&Value::Null)["by"]["number"].is_number());
    let shown = String::from_utf8(run(data.path(), &["tail", "-n", "1"]).stdout).expect("text");
    assert!(shown.contains("of which the log does not tell any more"), "{shown}");
}

#[test]
fn a_mailbox_and_an_account_have_their_annals() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@x");
    let (phone, desk) = (host.session("alice@x", "Phone"), host.session("bob@x", "Desk"));
    let work = host.mailbox(alice, "Work");
    for _ in 0..4 {
        host.append(alice, work, b"x\r\n");
    }
    host.change_by(phone, alice, Change::Subscribe { name: "Work".to_owned(), on: true });
    host.change_by(phone, alice, Change::MailboxRename { mailbox: work, to: "Old/Work".to_owned() });
    // Another one gets the name, and both are meant by it.
    host.change_by(phone, alice, Change::MailboxCreate { name: "Work".to_owned(), special_use: None });
    host.change_by(desk, alice, Change::Expunge { mailbox: work, uids: one(1), only_deleted: false });
    host.change_by(desk, alice, Change::Copy { from: work, to: INBOX, uids: one(2), expunge: true });
    host.change_by(desk, alice, Change::MailboxDelete { mailbox: work });
    host.change(alice, Change::AccountDelete);
    let told = |target: &str| {
        let told = json(data.path(), &["story", target]);
        let event = |event: &&Value| {
            let by = event["by"]["client"].as_str().unwrap_or("-").to_owned();
            format!("{} {by} {}", event["event"].as_str().unwrap_or_default(), event["messages"])
        };
        of_type(&told, "event").iter().map(event).collect::<Vec<_>>()
    };
    let expected = [
        "created - null",
        "subscribed Phone null",
        "renamed Phone null",
        "created Phone null",
        "emptied Desk 1",
        "emptied Desk 1",
        "deleted Desk 2",
        "deleted - 0",
    ];
    assert_eq!(told("alice@x/Work"), expected);
    assert_eq!(told(&format!("{alice}/Work/")), expected);
    let expected = ["created - null", "mailbox-created - null", "mailbox-renamed Phone null"];
    let rest = ["mailbox-created Phone null", "mailbox-deleted Desk 2", "deleted - null"];
    assert_eq!(told("alice@x/"), [expected, rest].concat());
    let shown = text(data.path(), &["story", "alice@x/Old/Work"]);
    assert!(shown.starts_with("mailbox Old/Work of alice@x\n"), "{shown}");
    assert!(shown.contains("deleted: Old/Work, with 2 messages\n"), "{shown}");
    assert!(shown.contains("by bob@x, imap from 192.0.2.7 with TLS, Desk (conn 7)"), "{shown}");
    for missing in ["alice@x/Never", "nobody@x/"] {
        assert_eq!(run(data.path(), &["story", missing]).status.code(), Some(3), "{missing}");
    }
}
