//! Another number of shards, and no client notices.

use std::path::Path;
use std::process::Command;

use crate::server::{PASSWORD, Server, Wire, run};
use crate::sync::{mbsync, moved};

/// What IMAP tells of alice's INBOX that a client remembers, EMAILIDs included.
fn remembered(server: &Server) -> Vec<String> {
    let mut imap = Wire::connect(server.port("IMAP", false)).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN alice@example.test \"{PASSWORD}\"")).unwrap();
    imap.imap("b", "ENABLE CONDSTORE").unwrap();
    let mut told = imap.imap("c", "SELECT INBOX (CONDSTORE)").unwrap();
    told.extend(
        imap.imap("d", "FETCH 1:* (UID FLAGS INTERNALDATE MODSEQ EMAILID THREADID SAVEDATE)").unwrap(),
    );
    told.extend(
        imap.imap("e", "LIST \"\" * RETURN (SUBSCRIBED STATUS (UIDVALIDITY UIDNEXT MAILBOXID))").unwrap(),
    );
    let lasting =
        |line: &String| line.starts_with("* ") && !line.contains("RECENT") && !line.contains("CAPABILITY");
    told.into_iter().filter(lasting).collect()
}

fn reshard(data: &Path, shards: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_ringpost")).with_file_name("ringpost-log");
    assert!(program.exists(), "{} is missing: cargo build --workspace --bins", program.display());
    run(Command::new(program).arg("reshard").arg(data).args(["--shards", shards]), "")
}

#[test]
fn mbsync_finds_nothing_to_do_on_another_number_of_shards() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    for subject in ["one", "two", "three", "four"] {
        crate::deliver(&server, "alice@example.test", subject);
        crate::deliver(&server, "bob@example.test", subject);
    }
    let first = mbsync(folder.path(), &server);
    assert_eq!(moved(&first), 4, "{first}");
    let gone = folder.path().join("near/INBOX");
    let one = std::fs::read_dir(gone.join("new")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(one).unwrap();
    mbsync(folder.path(), &server);
    assert_eq!(moved(&mbsync(folder.path(), &server)), 0);
    let before = remembered(&server);
    assert!(before.iter().filter(|line| line.contains("EMAILID")).count() == 3, "{before:#?}");
    for shards in ["3", "1"] {
        let data = server.data.clone();
        server.interrupt();
        let told = reshard(&data, shards);
        assert!(told.contains("2 accounts"), "{told}");
        server = Server::start(folder.path());
        assert_eq!(remembered(&server), before, "on {shards} shards");
        let after = mbsync(folder.path(), &server);
        assert_eq!(moved(&after), 0, "{after}");
    }
    crate::deliver(&server, "alice@example.test", "five");
    let last = mbsync(folder.path(), &server);
    assert_eq!(moved(&last), 1, "{last}");
    let after = remembered(&server);
    let emails: Vec<&str> =
        after.iter().filter_map(|line| line.split("EMAILID (").nth(1)?.split(')').next()).collect();
    let mut once = emails.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((once.len(), emails.len()), (4, 4), "an EMAILID names one message: {after:#?}");
}

#[test]
fn mbsync_finds_nothing_to_do_when_its_slot_has_moved() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    for subject in ["one", "two", "three", "four"] {
        crate::deliver(&server, "alice@example.test", subject);
    }
    assert_eq!(moved(&mbsync(folder.path(), &server)), 4);
    mbsync(folder.path(), &server);
    let before = remembered(&server);
    let told = server.admin(&["slots", "--of", "alice@example.test", "--json"], "");
    let line: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let (slot, home) = (line["slot"]["slot"].to_string(), line["slot"]["shard"].as_u64().unwrap());
    // Somebody idles meanwhile: told to go, and finds everything where it was.
    let mut idle = Wire::connect(server.port("IMAP", false)).unwrap();
    idle.line().unwrap();
    idle.imap("a", &format!("LOGIN alice@example.test \"{PASSWORD}\"")).unwrap();
    idle.imap("b", "SELECT INBOX").unwrap();
    for to in [1 - home, home] {
        let told = server.admin(&["slots", "move", &slot, &to.to_string()], "");
        assert!(told.contains(&slot), "{told}");
        if to != home {
            let bye = idle.line().unwrap();
            assert!(bye.starts_with("* BYE"), "{bye}");
        }
        assert_eq!(remembered(&server), before, "on shard {to}");
        let after = mbsync(folder.path(), &server);
        assert_eq!(moved(&after), 0, "{after}");
    }
    crate::deliver(&server, "alice@example.test", "five");
    assert_eq!(moved(&mbsync(folder.path(), &server)), 1);
    server.interrupt();
}
