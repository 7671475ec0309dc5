//! `tail` beside a store at work.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ringpost_engine::change::{Change, UidSet};
use ringpost_engine::ids::Uid;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Host, INBOX, first_segment, flip, json, run, text};

/// A `tail -f`, ended with the test.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(data: &std::path::Path, arguments: &[&str]) -> Following {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost-log"));
        command.arg("--data").arg(data).args(["tail", "-f", "--json"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (told, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Following { child, lines }
    }

    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(20)).expect("a line comes");
        serde_json::from_str(&line).expect("an object")
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().expect("it runs still");
        self.child.wait().expect("it ends");
    }
}

#[test]
fn tail_shows_the_newest_and_then_all_that_comes() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    let (work, first) = (host.mailbox(alice, "Work"), host.deliver(alice, b"first\r\n"));
    drop(host);
    let host = &mut Host::open(data.path(), 0);
    host.deliver(alice, b"second\r\n");
    let newest = json(data.path(), &["tail", "-n", "1"]);
    assert_eq!((newest.len(), &newest[0]["kind"], &newest[0]["uid"]), (1, &"Deliver".into(), &2.into()));
    assert_eq!(
        (&newest[0]["address"], &newest[0]["mailbox_name"]),
        (&"alice@example.test".into(), &"INBOX".into())
    );
    assert_eq!(json(data.path(), &["tail"]).len(), 2, "of the newest segment");
    assert!(text(data.path(), &["tail", "--numbers"]).contains(&format!("#{alice} Deliver")));
    let following = Following::start(data.path(), &["-n", "1", "--kind", "Deliver,Copy,Append"]);
    assert_eq!(following.next()["uid"], 2, "it has read what was there");
    // More than a segment holds: it goes on in the next ones.
    let mut told = 0;
    for round in 0..14u32 {
        host.deliver(alice, &[b'x'; 60_000]);
        let object = following.next();
        assert_eq!(object["kind"], "Deliver");
        assert_eq!(object["uid"], 3 + round);
        told += 1;
    }
    let uids: UidSet = [Uid(3)].into_iter().collect();
    host.change(alice, Change::Copy { from: INBOX, to: work, uids, expunge: true });
    let object = following.next();
    assert_eq!((&object["kind"], &object["to_name"]), (&"Copy".into(), &"Work".into()));
    let all = json(data.path(), &["dump", "--kind", "Deliver"]);
    assert_eq!(all.len(), told + 2);
    assert!(first.0 < all[0]["lsn"].as_u64().expect("a position"));
}

#[test]
fn tail_goes_on_over_a_restart() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    let following = Following::start(data.path(), &["-n", "5", "--kind", "AccountCreate,Deliver"]);
    assert_eq!(following.next()["kind"], "AccountCreate");
    for uid in 1..4 {
        drop(host);
        drop(Host::open(data.path(), 0));
        host = Host::open(data.path(), 0);
        host.deliver(alice, b"again\r\n");
        assert_eq!(following.next()["uid"], uid);
    }
}

#[test]
fn tail_says_where_it_cannot_go_on() {
    let data = TempDir::new().expect("a folder can be made");
    let mut host = Host::open(data.path(), 0);
    let alice = host.account("alice@example.test");
    host.deliver(alice, b"one\r\n");
    host.deliver(alice, b"two\r\n");
    host.deliver(alice, b"three\r\n");
    let deliver = json(data.path(), &["dump", "--kind", "Deliver", "--all"]);
    let at = deliver.iter().find(|object| object["uid"] == 2).and_then(|object| object["lsn"].as_u64());
    flip(&first_segment(data.path()), at.expect("its place") as usize + 30);
    let output = run(data.path(), &["tail"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("UNREADABLE shard 0: segment 1 is damaged at byte "), "{shown}");
}
