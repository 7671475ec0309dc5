//! Somebody deleted something: restores into a server at work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ringpost::admin::Client as Admin;
use ringpost::admin::restore::wire::RestoreStep;
use ringpost::admin::wire::Request;
use serde_json::Value;

use crate::server::{PASSWORD, PATIENCE, Server, Wire, try_run};

const USER: &str = "alice@example.test";

/// An IMAP client that has logged in.
struct Client {
    wire: Wire,
}

impl Client {
    fn login(server: &Server) -> Client {
        let mut wire = Wire::connect(server.port("IMAP", false)).unwrap();
        wire.line().unwrap();
        wire.imap("a", &format!("LOGIN {USER} \"{PASSWORD}\"")).unwrap();
        Client { wire }
    }

    fn run(&mut self, command: &str) -> Vec<String> {
        self.wire.imap("r", command).unwrap()
    }

    fn append(&mut self, mailbox: &str, flags: &str, subject: &str) {
        let text = crate::message(subject);
        let date = "14-Feb-2019 03:04:05 +0000";
        let literal =
            format!("p APPEND \"{mailbox}\" ({flags}) \"{date}\" {{{}+}}\r\n{text}\r\n", text.len());
        self.wire.send(literal.as_bytes()).unwrap();
        self.wire.imap_reply("p").unwrap();
    }

    fn expunge(&mut self, mailbox: &str, uids: &str) {
        self.run(&format!("SELECT \"{mailbox}\""));
        self.run(&format!("UID STORE {uids} +FLAGS.SILENT (\\Deleted)"));
        self.run("EXPUNGE");
    }

    /// UID, flags, date, subject of each message of a mailbox; octets are compared on the way.
    fn messages(&mut self, mailbox: &str) -> Vec<(u32, String, String)> {
        let selected = self.run(&format!("EXAMINE \"{mailbox}\""));
        if selected.iter().any(|line| line == "* 0 EXISTS") {
            return Vec::new();
        }
        let lines = self.run("FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])");
        let mut found = Vec::new();
        for pair in lines.windows(2).filter(|pair| pair[0].starts_with("* ") && pair[0].ends_with('}')) {
            let between = |from: &str, to: char| {
                pair[0].split_once(from).unwrap().1.split(to).next().unwrap().to_owned()
            };
            let subject = pair[1].split("\r\nSubject: ").nth(1).unwrap().split("\r\n").next().unwrap();
            assert!(pair[1].ends_with(&crate::message(subject)), "{}", pair[1]);
            let mut flags: Vec<String> = between("FLAGS (", ')')
                .split(' ')
                .filter(|flag| *flag != "\\Recent")
                .map(str::to_owned)
                .collect();
            flags.sort();
            let date = if pair[0].contains("14-Feb-2019") { " 2019" } else { "" };
            let uid = between("UID ", ' ').trim_end_matches(')').parse().unwrap();
            found.push((uid, subject.to_owned(), flags.join(" ") + date));
        }
        found
    }

    fn subjects(&mut self, mailbox: &str) -> Vec<String> {
        let mut subjects: Vec<String> = self.messages(mailbox).into_iter().map(|(_, s, _)| s).collect();
        subjects.sort();
        subjects
    }
}

/// The objects that `account restore --json` prints, the last line's last.
fn restore(server: &Server, more: &[&str]) -> Vec<Value> {
    let printed = server.admin(&[&["account", "restore", USER, "--json"], more].concat(), "");
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Messages that came back and that were there.
fn tally(printed: &[Value]) -> (u64, u64) {
    let last = printed.last().unwrap();
    (last["messages"].as_u64().unwrap(), last["there"].as_u64().unwrap())
}

/// A moment between what was and what comes: messages know theirs to the second.
fn moment() -> String {
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let moment = ringpost::log::moment(now.as_millis() as u64);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    moment
}

#[test]
fn an_inbox_that_was_emptied_is_there_again_and_every_client_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    for subject in ["one", "two", "three"] {
        crate::deliver(&server, USER, subject);
    }
    let mut client = Client::login(&server);
    client.append("INBOX", "\\Flagged todo", "four");
    client.run("CREATE Work");
    client.run("CREATE Work/2024");
    client.append("Work", "\\Seen $Forwarded", "w-1");
    client.append("Work/2024", "", "w-2");
    let before = (client.messages("INBOX"), client.messages("Work"));
    let at = moment();
    crate::deliver(&server, USER, "later");
    client.expunge("INBOX", "1:2");
    client.run("SELECT INBOX");
    client.run("UID MOVE 3 Trash");
    client.expunge("INBOX", "4");
    client.expunge("Trash", "1");
    client.run("SELECT INBOX");
    client.run("DELETE Work/2024");
    client.run("DELETE Work");

    let mut idle = Client::login(&server);
    idle.run("SELECT INBOX");
    idle.wire.send(b"i IDLE\r\n").unwrap();
    assert!(idle.wire.line().unwrap().starts_with('+'));

    let list = restore(&server, &["--list", "--mailbox", "INBOX"]);
    let listed: Vec<&str> = list.iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(listed, ["one", "two", "three", "four"]);
    assert_eq!((list[0]["uid"].as_u64(), list[0]["from"].as_str()), (Some(1), Some("ann@elsewhere.test")));
    let page = restore(&server, &["--list", "--mailbox", "INBOX", "--skip", "1", "--limit", "2"]);
    assert_eq!((page[0]["subject"].as_str(), page[2]["skip"].as_u64()), (Some("two"), Some(3)), "{page:?}");

    let all = ["--all", "--at", &at];
    let would = restore(&server, &[&all[..], &["--dry-run"]].concat());
    assert_eq!((tally(&would), client.subjects("INBOX")), ((6, 0), vec!["later".to_owned()]), "{would:?}");
    let did = restore(&server, &all);
    assert_eq!(tally(&did), (6, 0), "{did:?}");
    let exists: Vec<String> = (0..2).map(|_| idle.wire.line().unwrap()).collect();
    assert_eq!(exists[0], "* 5 EXISTS", "{exists:?}");

    let again = restore(&server, &all);
    assert_eq!(tally(&again), (0, 6), "{again:?}");
    let check = |client: &mut Client| {
        let inbox = client.messages("INBOX");
        let strip = |messages: &[(u32, String, String)]| {
            messages.iter().map(|(_, subject, flags)| (subject.clone(), flags.clone())).collect::<Vec<_>>()
        };
        assert_eq!(strip(&inbox[1..]), strip(&before.0), "octets, flags, dates; no \\Deleted");
        assert!(inbox.iter().all(|(uid, ..)| *uid >= 5), "UIDs never go back: {inbox:?}");
        assert_eq!(strip(&client.messages("Work")), strip(&before.1));
        assert_eq!(client.subjects("Work/2024"), ["w-2"]);
        assert_eq!(client.subjects("Trash"), [] as [&str; 0], "it was not there at the moment");
    };
    check(&mut client);
    assert!(client.run("LSUB \"\" *").iter().any(|line| line.contains("Work/2024")));
    // A client that deletes again takes nothing with it that came back.
    client.run("SELECT INBOX");
    client.run("EXPUNGE");
    server.interrupt();
    let server = Server::start(folder.path());
    check(&mut Client::login(&server));
    assert_eq!(tally(&restore(&server, &all)), (0, 6));
    server.interrupt();
}

#[test]
fn one_message_one_folder_and_names_that_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let mut client = Client::login(&server);
    client.run("CREATE Work");
    for subject in ["w-1", "w-2", "w-3"] {
        client.append("Work", "", subject);
    }
    client.expunge("Work", "1");
    client.run("CLOSE");
    // In one second with the folder it would count as there when the folder went.
    moment();
    client.run("DELETE Work");
    client.run("CREATE Work");
    client.append("Work", "", "new");

    // By EMAILID and by UID; each once, wherever it is asked for from.
    let list = restore(&server, &["--list"]);
    let id = list.iter().find(|row| row["subject"] == "w-1").unwrap()["emailid"].as_str().unwrap().to_owned();
    for tallied in [(1, 0), (0, 1)] {
        assert_eq!(tally(&restore(&server, &["--message", &id, "--into", "Found"])), tallied);
    }
    assert_eq!(tally(&restore(&server, &["--message", "1", "--mailbox", "Work", "--into", "Found"])), (0, 1));
    assert_eq!(client.subjects("Found"), ["w-1"]);
    // The folder as it was when it was deleted, beside the one that has its name now.
    for tallied in [(2, 0), (0, 2)] {
        let done = restore(&server, &["--mailbox", "Work"]);
        assert_eq!(tally(&done), tallied, "{done:?}");
    }
    assert_eq!(
        (client.subjects("Restored Work"), client.subjects("Work")),
        (vec!["w-2".to_owned(), "w-3".to_owned()], vec!["new".to_owned()],)
    );
    // It is found under another name, too, and only what is missing comes.
    client.run("RENAME \"Restored Work\" Kept");
    client.expunge("Kept", "1");
    assert_eq!(tally(&restore(&server, &["--mailbox", "Work"])), (1, 1));
    assert_eq!(client.messages("Kept").iter().map(|(uid, ..)| *uid).collect::<Vec<_>>(), [2, 3]);
    assert!(client.run("STATUS Kept (UIDNEXT)")[0].contains("UIDNEXT 4"));

    // Thrown away by way of Trash, a message comes back to where it was before.
    crate::deliver(&server, USER, "thrown away");
    client.run("SELECT INBOX");
    client.run("UID MOVE 1 Trash");
    client.expunge("Trash", "1");
    let list = restore(&server, &["--list", "--mailbox", "Trash"]);
    let id = list[0]["emailid"].as_str().unwrap().to_owned();
    for tallied in [(1, 0), (0, 1)] {
        assert_eq!(tally(&restore(&server, &["--message", &id])), tallied);
    }
    assert_eq!(
        (client.subjects("INBOX"), client.subjects("Trash").len()),
        (vec!["thrown away".to_owned()], 0)
    );
    server.interrupt();
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    crate::deliver(&server, USER, "one");
    crate::deliver(&server, USER, "two");
    let at = moment();
    Client::login(&server).expunge("INBOX", "1:*");
    let refused = |more: &[&str]| refused(&server.data, more);
    let inbox = ["--mailbox", "INBOX", "--at", &at];
    assert!(refused(&["--mailbox", "Nowhere"]).contains("no such mailbox"));
    server.admin(&["account", "quota", USER, "--messages", "1"], "");
    assert!(refused(&[&inbox[..], &["--dry-run"]].concat()).contains("quota has no room"));
    assert!(refused(&inbox).contains("quota has no room"));
    assert_eq!(Client::login(&server).subjects("INBOX"), [] as [&str; 0], "a batch is all or nothing");
    server.admin(&["account", "quota", USER, "--messages", "none"], "");
    assert_eq!(tally(&restore(&server, &inbox)), (2, 0));

    // An account that was deleted gives its mail to one that is made anew.
    server.admin(&["account", "delete", USER, "--yes"], "");
    assert!(refused(&inbox).contains("it was deleted 2"));
    let hash = ringpost::password::hash_generated(PASSWORD).unwrap();
    server.admin(&["account", "add", "--csv"], &format!("{USER},{hash}\n"));
    assert_eq!(tally(&restore(&server, &["--mailbox", "INBOX"])), (2, 0));
    assert_eq!(tally(&restore(&server, &["--mailbox", "INBOX"])), (0, 2));
    assert_eq!(Client::login(&server).subjects("INBOX"), ["one", "two"]);
    server.interrupt();
}

/// What a restore that fails prints.
fn refused(data: &Path, more: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
    command.args(["account", "restore", USER, "--data", data.to_str().unwrap()]).args(more);
    let (printed, good) = try_run(&mut command, "");
    assert!(!good, "{more:?}: {printed}");
    printed
}

/// A backup of a server, in a folder of its own.
fn back_up(server: &Server, folder: &Path) -> PathBuf {
    let backup = folder.join("backup");
    server.admin(&["backup", backup.to_str().unwrap()], "");
    backup
}

fn from(folder: &Path) -> [&str; 2] {
    ["--from", folder.to_str().unwrap()]
}

/// What POP3 calls the messages of the inbox.
fn unique_ids(server: &Server) -> Vec<String> {
    let mut pop3 = Wire::connect(server.port("POP3", false)).unwrap();
    pop3.line().unwrap();
    for command in [&format!("USER {USER}"), &format!("PASS {PASSWORD}"), "UIDL"] {
        pop3.send(format!("{command}\r\n").as_bytes()).unwrap();
        assert!(pop3.line().unwrap().starts_with("+OK"));
    }
    let lines = std::iter::from_fn(|| Some(pop3.line().unwrap()).filter(|line| line != "."));
    let mut ids: Vec<String> = lines.map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    ids.sort();
    ids
}

/// Everything that clients remember of some mailboxes.
fn remembered(client: &mut Client, mailboxes: &[&str]) -> Vec<Vec<String>> {
    let one = |mailbox: &&str| {
        let status = client.run(&format!("STATUS \"{mailbox}\" (UIDVALIDITY UIDNEXT MESSAGES)"));
        let messages = client.messages(mailbox).into_iter().map(|message| format!("{message:?}"));
        status.into_iter().take(1).chain(messages).collect()
    };
    let mut all: Vec<Vec<String>> = mailboxes.iter().map(one).collect();
    for command in ["LIST \"\" *", "LSUB \"\" *", "GETQUOTAROOT INBOX", "GETACL Work"] {
        all.push(client.run(command));
    }
    all
}

#[test]
fn an_account_that_is_gone_comes_back_whole_and_no_client_notices() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    server.admin(&["alias", "add", "info@example.test", USER], "");
    server.admin(&["account", "quota", USER, "--storage", "100M", "--messages", "1000"], "");
    for subject in ["one", "two", "three"] {
        crate::deliver(&server, USER, subject);
    }
    let mut client = Client::login(&server);
    client.append("INBOX", "\\Flagged todo", "four");
    client.expunge("INBOX", "2");
    client.run("CREATE Work");
    client.run("SUBSCRIBE Work");
    client.run("SETACL Work bob@example.test lr");
    client.run("DELETE Junk");
    client.append("Work", "\\Seen $Forwarded", "w-1");
    client.run("RENAME Sent \"Gesendet/Alles\"");
    let mailboxes = ["INBOX", "Work", "Gesendet/Alles"];
    let (before, ids) = (remembered(&mut client, &mailboxes), unique_ids(&server));
    let backup = back_up(&server, folder.path());
    let at = moment();
    crate::deliver(&server, USER, "never backed up");
    server.admin(&["account", "delete", USER, "--yes"], "");
    server.admin(&["alias", "delete", "info@example.test"], "");

    let would = restore(&server, &[&from(&backup)[..], &["--dry-run"]].concat());
    assert_eq!(tally(&would), (4, 0), "{would:?}");
    let did = restore(&server, &from(&backup));
    assert_eq!(tally(&did), (4, 0), "{did:?}");
    assert_eq!(remembered(&mut Client::login(&server), &mailboxes), before);
    assert_eq!(unique_ids(&server), ids);
    crate::deliver(&server, "info@example.test", "by the alias");
    let again = restore(&server, &from(&backup));
    assert_eq!(tally(&again), (0, 4), "{again:?}");

    // Once more, from the log of the running server itself, as of a moment; and after a restart.
    server.admin(&["account", "delete", USER, "--yes"], "");
    let data = server.data.clone();
    let from_log = [&from(&data)[..], &["--at", &at]].concat();
    assert_eq!(tally(&restore(&server, &from_log)), (4, 0));
    assert_eq!(remembered(&mut Client::login(&server), &mailboxes), before);
    server.interrupt();
    let server = Server::start(folder.path());
    assert_eq!(tally(&restore(&server, &from_log)), (0, 4));
    assert_eq!(remembered(&mut Client::login(&server), &mailboxes), before);
    server.interrupt();
}

#[test]
fn an_account_that_is_there_gets_from_a_backup_what_it_lacks() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let mut client = Client::login(&server);
    for subject in ["one", "two", "three"] {
        client.append("INBOX", "\\Flagged todo", subject);
    }
    client.run("CREATE Work");
    client.append("Work", "\\Seen", "w-1");
    let ids = unique_ids(&server);
    let backup = back_up(&server, folder.path());
    client.expunge("INBOX", "2");
    client.run("SELECT INBOX");
    client.run("UID STORE 1 FLAGS.SILENT ()");
    client.run("DELETE Work");

    // Here the store itself still has the octets; the flags are those of the backup.
    let did = restore(&server, &from(&backup));
    assert_eq!(tally(&did), (2, 2), "{did:?}");
    let flags = |client: &mut Client| client.messages("INBOX");
    let row = |uid, subject: &str, flags: &str| (uid, subject.to_owned(), flags.to_owned());
    let mut expected = vec![
        row(1, "one", " 2019"),
        row(3, "three", "\\Flagged todo 2019"),
        row(4, "two", "\\Flagged todo 2019"),
    ];
    assert_eq!(flags(&mut client), expected, "flags of what is there stay");
    assert_eq!(client.subjects("Work"), ["w-1"]);
    assert_eq!(tally(&restore(&server, &from(&backup))), (0, 4));
    let with_flags = restore(&server, &[&from(&backup)[..], &["--flags", "--mailbox", "INBOX"]].concat());
    assert_eq!(with_flags.last().unwrap()["flags"].as_u64(), Some(1), "{with_flags:?}");
    expected[0] = row(1, "one", "\\Flagged todo 2019");
    assert_eq!(flags(&mut client), expected);

    // Another server knows nothing of these octets: they are sent, under new UIDs, and once. Its INBOX is made in a
    // later second, for in the same one it would have the same UIDVALIDITY, and its UIDs would name the same messages.
    moment();
    let server = Server::with_accounts(other.path(), &["alice"]);
    crate::deliver(&server, USER, "own");
    for tallied in [(4, 0), (0, 4)] {
        let done = restore(&server, &from(&backup));
        assert_eq!(tally(&done), tallied, "{done:?}");
    }
    let mut client = Client::login(&server);
    let inbox = client.messages("INBOX");
    assert_eq!(inbox[1], row(2, "one", "\\Flagged todo 2019"));
    assert_eq!((inbox.len(), client.subjects("Work")), (4, vec!["w-1".to_owned()]));
    assert!(ids.iter().all(|id| unique_ids(&server).contains(id)), "POP3 clients fetch nothing again");
    // The folder that is in nobody's way came with its UIDVALIDITY; a message that goes comes back.
    client.expunge("INBOX", "3");
    assert_eq!(tally(&restore(&server, &from(&backup))), (1, 3));
    server.interrupt();
}

#[test]
fn a_message_that_the_store_takes_no_longer_keeps_no_other_from_coming_back() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let mut client = Client::login(&server);
    client.append("INBOX", "", "one");
    let large = format!("Subject: large\r\n\r\n{}", "filler\r\n".repeat(200_000));
    client.wire.send(format!("p APPEND INBOX {{{}+}}\r\n{large}\r\n", large.len()).as_bytes()).unwrap();
    client.wire.imap_reply("p").unwrap();
    client.append("INBOX", "", "three");
    let backup = back_up(&server, folder.path());
    server.interrupt();
    Server::with_accounts(other.path(), &["bob"]).interrupt();
    let config = other.path().join("ringpost.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("= 8388608", "= 1048576");
    std::fs::write(&config, text).unwrap();
    let server = Server::start(other.path());
    let printed = refused(&server.data, &from(&backup));
    assert!(printed.contains("UID 2: it has 1600018 octets, and the server takes 1052672"), "{printed}");
    assert_eq!(Client::login(&server).subjects("INBOX"), ["one", "three"]);
    server.interrupt();
}

/// A copy of a server's store, which shares nothing with it.
fn back_up_apart(server: &Server, folder: &Path) -> PathBuf {
    let backup = folder.join("apart/data");
    std::fs::create_dir(folder.join("apart")).unwrap();
    server.admin(&["backup", backup.to_str().unwrap(), "--copy"], "");
    backup
}

/// Flips a bit of these octets in the segments of a store.
fn rot(data: &Path, octets: &str) {
    let mut places = 0;
    for shard in ["shard-000", "shard-001"] {
        for entry in std::fs::read_dir(data.join(shard)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(octets.len()).position(|found| found == octets.as_bytes());
            if let Some(at) = found {
                bytes[at] ^= 1;
                std::fs::write(&path, bytes).unwrap();
                places += 1;
            }
        }
    }
    assert_eq!(places, 1, "of {octets}");
}

#[test]
fn what_has_rotted_comes_back_from_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    for subject in ["one", "two", "three"] {
        crate::deliver(&server, USER, subject);
    }
    let backup = back_up_apart(&server, folder.path());
    let data = server.data.clone();
    // Below a checkpoint, where no start looks, and scrub does.
    (0..30).for_each(|nth| crate::deliver(&server, USER, &format!("more-{nth}")));
    let is_made = |shard: &str| {
        let mut files = std::fs::read_dir(data.join(shard)).unwrap();
        files.any(|file| file.unwrap().path().extension().is_some_and(|end| end == "ckp"))
    };
    let started = Instant::now();
    while !is_made("shard-000") && !is_made("shard-001") {
        assert!(started.elapsed() < PATIENCE, "no checkpoint was made");
        std::thread::sleep(Duration::from_millis(100));
    }
    server.interrupt();
    ["one", "two"].iter().for_each(|subject| rot(&data, &format!("Subject: {subject}\r\n")));
    let server = Server::start(folder.path());
    let mut client = Client::login(&server);
    let shown = |client: &mut Client| {
        client.wire.imap("s", "SELECT INBOX").unwrap();
        client.wire.send(b"f UID FETCH 1:* (BODY.PEEK[])\r\n").unwrap();
        std::iter::from_fn(|| client.wire.line().ok()).find(|line| line.starts_with("f ")).unwrap()
    };
    let started = Instant::now();
    let hidden = || {
        let status = server.admin(&["status", "--json"], "");
        let counts = status.split("\"places_hidden\":").skip(1);
        counts.map(|count| count.split([',', '}']).next().unwrap().parse::<u32>().unwrap()).sum::<u32>()
    };
    while hidden() < 2 {
        assert!(started.elapsed() < PATIENCE, "scrub found nothing");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(shown(&mut client).contains("CORRUPTION"));
    // One is removed by somebody who saw that nothing is to be seen.
    client.expunge("INBOX", "1");
    assert!(refused(&server.data, &["--mailbox", "INBOX"]).contains("1 messages are not what was written"));
    let did = restore(&server, &from(&backup));
    assert_eq!(tally(&did), (2, 1), "{did:?}");
    assert_eq!(tally(&restore(&server, &from(&backup))), (0, 3));
    client.expunge("INBOX", "2");
    let subjects = client.subjects("INBOX");
    assert_eq!(subjects[30..], ["one", "three", "two"], "{subjects:?}");
    assert_eq!(tally(&restore(&server, &from(&backup))), (0, 3));
    server.interrupt();
}

#[test]
fn a_log_that_went_on_elsewhere_is_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    crate::deliver(&server, USER, "before");
    let backup = back_up_apart(&server, folder.path());
    // At the same places of the log, under the same UIDs and ids.
    crate::deliver(&server, USER, "here");
    let mut client = Client::login(&server);
    client.run("CREATE Work");
    client.append("Work", "", "w-1");
    let original = server.data.clone();
    server.interrupt();
    moment();
    let copy = Server::start(backup.parent().unwrap());
    crate::deliver(&copy, USER, "away");
    let mut client = Client::login(&copy);
    client.run("CREATE Play");
    client.append("Play", "", "another one");
    client.expunge("Play", "1");
    let did = restore(&copy, &from(&original));
    assert_eq!(tally(&did), (2, 1), "{did:?}");
    assert_eq!(client.subjects("INBOX"), ["away", "before", "here"]);
    assert_eq!((client.subjects("Work"), client.subjects("Play").len()), (vec!["w-1".to_owned()], 0));
    assert_eq!(tally(&restore(&copy, &from(&original))), (0, 3));
    copy.interrupt();
}

#[test]
fn a_restore_that_was_cut_short_goes_on_with_all_that_belongs_to_the_account() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    server.admin(&["alias", "add", "info@example.test", USER], "");
    let mut client = Client::login(&server);
    for subject in ["one", "two", "three"] {
        crate::deliver(&server, USER, subject);
    }
    client.run("CREATE Work");
    client.run("SETACL Work bob@example.test lr");
    client.append("Work", "", "w-1");
    // Less than there is.
    server.admin(&["account", "quota", USER, "--messages", "2"], "");
    let mailboxes = ["INBOX", "Work"];
    let before = remembered(&mut client, &mailboxes);
    let backup = back_up(&server, folder.path());
    server.admin(&["account", "delete", USER, "--yes"], "");
    server.admin(&["alias", "delete", "info@example.test"], "");
    // What the first run came to before it was cut short.
    let step = RestoreStep::Account {
        password_hash: ringpost::password::hash_generated(PASSWORD).unwrap(),
        services: ["pop3", "imap", "submission"].map(str::to_owned).to_vec(),
        mailboxes: ["Drafts", "Junk", "Sent", "Trash", "Work"]
            .map(|name| (name.to_owned(), if name == "Work" { String::new() } else { format!("\\{name}") }))
            .to_vec(),
    };
    let request = Request::Restore { address: USER.to_owned(), step };
    Admin::new(&server.data).call(&request, &mut |_| Ok(())).unwrap();

    let did = restore(&server, &from(&backup));
    assert_eq!(tally(&did), (4, 0), "{did:?}");
    assert_eq!(remembered(&mut Client::login(&server), &mailboxes), before);
    let aliases = server.admin(&["alias", "list"], "");
    assert!(aliases.contains("info@example.test"), "{aliases}");
    // It is whole: what is changed from now on stays.
    server.admin(&["account", "quota", USER, "--messages", "none"], "");
    assert_eq!(tally(&restore(&server, &from(&backup))), (0, 4));
    crate::deliver(&server, "info@example.test", "by the alias");
    server.interrupt();
}
