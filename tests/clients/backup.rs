//! Backups of a server at work, and servers on what they made.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::server::{PASSWORD, Server, Wire, run, try_run};

const USERS: [&str; 2] = ["alice", "bob"];

fn back_up(server: &Server, folder: &Path, more: &[&str]) -> Value {
    let printed = server.admin(&[&["backup", "--json", folder.to_str().unwrap()], more].concat(), "");
    serde_json::from_str::<Value>(&printed).unwrap()["backup"].clone()
}

fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// Starts a server on a copy of a backup.
fn restore(backup: &Path, folder: &Path) -> Server {
    run(Command::new("cp").arg("-a").arg(backup).arg(folder.join("data")), "");
    Server::start(folder)
}

/// The subjects of all messages of a user, each looked at octet by octet.
fn subjects(server: &Server, user: &str) -> BTreeSet<String> {
    let mut imap = Wire::connect(server.port("IMAP", false)).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN {user}@example.test \"{PASSWORD}\"")).unwrap();
    imap.imap("b", "SELECT INBOX").unwrap();
    let mut found = BTreeSet::new();
    for literal in
        imap.imap("c", "FETCH 1:* BODY[]").unwrap().iter().filter(|line| line.contains("\r\nFrom: "))
    {
        let subject = literal.split("\r\nSubject: ").nth(1).unwrap().split("\r\n").next().unwrap();
        assert!(literal.ends_with(&crate::message(subject)), "{literal}");
        assert!(found.insert(subject.to_owned()), "{subject} is there twice");
    }
    found
}

#[test]
fn a_backup_under_load_has_all_that_was_acknowledged_and_the_next_one_only_adds() {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::with_accounts(folder.path(), &USERS);
    let backup = folder.path().join("backup");
    let (begun, acknowledged) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
    let deliver = |user: &str, subject: String| {
        begun.lock().unwrap().insert(subject.clone());
        crate::deliver(&server, &format!("{user}@example.test"), &subject);
        acknowledged.lock().unwrap().insert(subject);
    };
    for (user, round) in USERS.into_iter().flat_map(|user| (0..10).map(move |round| (user, round))) {
        deliver(user, format!("{user}-before-{round}"));
    }
    let ended = AtomicBool::new(false);
    let (first, second, at_first, sure) = std::thread::scope(|scope| {
        for user in USERS {
            let (deliver, ended) = (&deliver, &ended);
            scope.spawn(move || {
                for round in (0..10_000).take_while(|_| !ended.load(Ordering::Acquire)) {
                    deliver(user, format!("{user}-during-{round}"));
                }
            });
        }
        let at_first = acknowledged.lock().unwrap().clone();
        let first = back_up(&server, &backup, &[]);
        run(Command::new("cp").arg("-al").arg(&backup).arg(folder.path().join("earlier")), "");
        let sure = acknowledged.lock().unwrap().clone();
        let second = back_up(&server, &backup, &[]);
        ended.store(true, Ordering::Release);
        (first, second, at_first, sure)
    });
    assert!(count(&first, "linked") >= 2 && count(&first, "kept") == 0, "{first}");
    assert!(count(&second, "linked") >= 1, "{second}");
    assert!(count(&second, "kept") >= count(&first, "linked"), "{first} {second}");
    assert!(count(&second, "bytes_new") < count(&second, "bytes"), "{second}");
    let linked = std::fs::metadata(backup.join("shard-000/0000000001.seg")).unwrap();
    assert_eq!(linked.nlink(), 3, "the data folder's, the backup's, its copy's");

    let begun = begun.lock().unwrap();
    let check = |copy: &Server, sure: &BTreeSet<String>| {
        let found: BTreeSet<String> = USERS.iter().flat_map(|user| subjects(copy, user)).collect();
        assert!(sure.is_subset(&found), "lost: {:?}", sure.difference(&found).collect::<Vec<_>>());
        assert!(found.is_subset(&begun), "invented: {:?}", found.difference(&begun).collect::<Vec<_>>());
    };
    assert!(sure.len() > 20, "nothing was delivered meanwhile");
    let earlier = tempfile::tempdir().unwrap();
    check(&restore(&folder.path().join("earlier"), earlier.path()), &at_first);
    let copy = restore(&backup, restored.path());
    check(&copy, &sure);
    // What the copy does is its own: the store, and a third run of its backup, go on.
    crate::deliver(&copy, "alice@example.test", "elsewhere");
    copy.interrupt();
    let third = back_up(&server, &backup, &[]);
    let idle = back_up(&server, &backup, &[]);
    assert_eq!(
        (count(&idle, "linked"), count(&idle, "copied"), count(&idle, "removed")),
        (0, 0, 0),
        "{idle}"
    );
    assert_eq!(count(&idle, "bytes"), count(&third, "bytes"));
    assert_eq!(idle["shards"], third["shards"]);
}

#[test]
fn a_backup_can_be_served_from_and_one_that_was_cut_short_cannot() {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::with_accounts(folder.path(), &["alice"]);
    crate::deliver(&server, "alice@example.test", "kept");
    let backup = restored.path().join("data");
    let first = back_up(&server, &backup, &["--copy"]);
    assert!(count(&first, "copied") > 2 && count(&first, "linked") == 0, "{first}");
    assert_eq!(std::fs::metadata(backup.join("shard-000/0000000001.seg")).unwrap().nlink(), 1);
    crate::deliver(&server, "alice@example.test", "later");
    std::fs::rename(backup.join("backup.json"), backup.join("backup.partial")).unwrap();
    let config = folder.path().join("ringpost.toml");
    let serve = ["serve", "--config", config.to_str().unwrap(), "--data", backup.to_str().unwrap()];
    let (said, good) = try_run(Command::new(env!("CARGO_BIN_EXE_ringpost")).args(serve), "");
    assert!(!good && said.lines().count() == 1 && said.contains("has not come to its end"), "{said}");
    let second = back_up(&server, &backup, &["--copy"]);
    let segments = std::fs::read_dir(backup.join("shard-001")).unwrap().map(|entry| entry.unwrap().path());
    let last = segments.filter(|path| path.extension().is_some_and(|end| end == "seg")).max().unwrap();
    for (lost, named) in [(last, "missing or cut short"), (backup.join("shard-001"), "shard-001 is missing")]
    {
        std::fs::rename(&lost, restored.path().join("lost")).unwrap();
        let (said, good) = try_run(Command::new(env!("CARGO_BIN_EXE_ringpost")).args(serve), "");
        assert!(!good && said.lines().count() == 1 && said.contains(named), "{said}");
        assert!(!lost.exists() && backup.join("backup.json").exists(), "it is a backup still");
        std::fs::rename(restored.path().join("lost"), &lost).unwrap();
    }
    assert!(count(&second, "copied") > 0 && !backup.join("backup.partial").exists(), "{second}");
    let copy = Server::start(restored.path());
    assert_eq!(subjects(&copy, "alice"), BTreeSet::from(["kept".to_owned(), "later".to_owned()]));
    let refused = |target: &Path| {
        let arguments = ["backup", target.to_str().unwrap(), "--data", server.data.to_str().unwrap()];
        let (said, good) = try_run(Command::new(env!("CARGO_BIN_EXE_ringpost")).args(arguments), "");
        assert!(!good && said.lines().count() == 1, "{said}");
        said
    };
    assert!(refused(&backup).contains("no backup"), "it is that server's data now");
    assert!(refused(&server.data).contains("data folder itself"));
    assert!(refused(&config).contains("cannot be made"));
}

#[test]
fn a_backup_of_another_store_is_left_alone() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let backup = folder.path().join("backup");
    let server = Server::with_accounts(folder.path(), &["alice"]);
    back_up(&server, &backup, &["--copy"]);
    let manifest = std::fs::read(backup.join("backup.json")).unwrap();
    let stranger = Server::with_accounts(other.path(), &["alice"]);
    let arguments = ["backup", backup.to_str().unwrap(), "--data", stranger.data.to_str().unwrap()];
    let (said, good) = try_run(Command::new(env!("CARGO_BIN_EXE_ringpost")).args(arguments), "");
    assert!(!good && said.contains("another store"), "{said}");
    assert_eq!(std::fs::read(backup.join("backup.json")).unwrap(), manifest);
    assert!(!backup.join("backup.partial").exists());
    // Nothing of it was replaced: its own store goes on with it.
    let again = back_up(&server, &backup, &[]);
    assert_eq!((count(&again, "linked"), count(&again, "copied")), (0, 0), "{again}");
}
