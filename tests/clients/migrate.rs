//! From Dovecot to Ringpost, and no client notices: mbsync transfers nothing again, fetchmail fetches nothing again.

use std::io::{BufRead, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::dovecot::{DOVECOT_PASSWORD, Dovecot};
use crate::server::{PASSWORD, Server, Wire, run, signal, try_run};

const USER: &str = "alice@example.test";
const FOLDERS: [&str; 4] = ["INBOX", "Sent", "Work/2024", "Entw&APw-rfe"];

/// Which server clients speak to.
#[derive(Clone, Copy)]
struct Far<'a> {
    imap: u16,
    pop3: u16,
    password: &'a str,
}

/// Everything an IMAP client can see of a mailbox.
fn seen_by_imap(far: Far<'_>, folder: &str) -> Vec<String> {
    let mut imap = Wire::connect(far.imap).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN {USER} \"{}\"", far.password)).unwrap();
    let selected = imap.imap("b", &format!("EXAMINE \"{folder}\"")).unwrap();
    let mut seen: Vec<String> = selected
        .iter()
        .filter_map(|line| {
            line.split_once("[UID").map(|(_, code)| code.split(']').next().unwrap().to_owned())
        })
        .collect();
    seen.sort();
    if selected.iter().any(|line| line == "* 0 EXISTS") {
        return seen;
    }
    for line in imap.imap("c", "UID FETCH 1:* (UID INTERNALDATE RFC822.SIZE FLAGS)").unwrap() {
        if let Some((head, flags)) = line.split_once("FLAGS (").filter(|_| line.starts_with("* ")) {
            let (flags, tail) = flags.split_once(')').unwrap();
            let mut flags: Vec<&str> = flags.split(' ').filter(|flag| *flag != "\\Recent").collect();
            flags.sort();
            seen.push(format!("{head}{tail} {}", flags.join(" ")));
        }
    }
    seen.extend(
        imap.imap("d", "UID FETCH 1:* BODY.PEEK[]").unwrap().into_iter().filter(|l| !l.starts_with("d ")),
    );
    seen
}

/// POP3's numbers, sizes and unique-ids.
fn seen_by_pop3(far: Far<'_>) -> Vec<String> {
    let mut pop3 = Wire::connect(far.pop3).unwrap();
    let mut seen = Vec::new();
    pop3.line().unwrap();
    for command in [&format!("USER {USER}"), &format!("PASS {}", far.password)] {
        pop3.send(format!("{command}\r\n").as_bytes()).unwrap();
        assert!(pop3.line().unwrap().starts_with("+OK"));
    }
    for command in ["UIDL", "LIST"] {
        pop3.send(format!("{command}\r\n").as_bytes()).unwrap();
        assert!(pop3.line().unwrap().starts_with("+OK"));
        seen.extend(std::iter::from_fn(|| Some(pop3.line().unwrap()).filter(|line| line != ".")));
    }
    seen
}

fn mbsync(folder: &Path, far: Far<'_>) -> String {
    let (near, rc) = (folder.join("near"), folder.join("mbsyncrc"));
    std::fs::create_dir_all(&near).unwrap();
    let text = format!(
        "IMAPAccount far\nHost 127.0.0.1\nPort {}\nUser {USER}\nPass \"{}\"\nSSLType None\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount far\n\nMaildirStore near\nPath {near}/\nInbox {near}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState {state}/\n",
        far.imap,
        far.password,
        near = near.display(),
        state = folder.display(),
    );
    std::fs::write(&rc, text).unwrap();
    run(Command::new("mbsync").args(["-c", rc.to_str().unwrap(), "-D", "all"]), "")
}

/// Runs fetchmail, which keeps mail on the server. Returns how many messages it has fetched by now.
fn fetchmail(folder: &Path, far: Far<'_>) -> usize {
    let (out, rc) = (folder.join("fetched"), folder.join("fetchmailrc"));
    std::fs::create_dir_all(&out).unwrap();
    let text = format!(
        "poll 127.0.0.1 protocol POP3 port {} uidl\n  user \"{USER}\" password \"{}\"\n  sslproto \"\" keep \
         mda \"/bin/sh -c 'cat > $(mktemp {}/XXXXXX)'\"\n",
        far.pop3,
        far.password,
        out.display()
    );
    std::fs::write(&rc, text).unwrap();
    std::fs::set_permissions(&rc, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new("fetchmail");
    command.env("HOME", folder).env("FETCHMAILHOME", folder).arg("-f").arg(&rc);
    let (output, fetched) = try_run(command.args(["--nodetach", "--nosyslog"]), "");
    // It exits with 1 where there was nothing to fetch, and then says so.
    assert!(fetched || output.contains(" seen) for "), "{output}");
    std::fs::read_dir(out).unwrap().count()
}

/// Fills a Dovecot: by LMTP, by IMAP with flags, keywords and dates, and with an old POP3 unique-id.
fn fill(dovecot: &mut Dovecot) {
    for subject in ["one", "two", "three"] {
        crate::deliver_to(dovecot.lmtp, USER, subject);
    }
    let mut imap = Wire::connect(dovecot.imap).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN {USER} {DOVECOT_PASSWORD}")).unwrap();
    for folder in &FOLDERS[1..] {
        imap.imap("b", &format!("CREATE \"{folder}\"")).unwrap();
    }
    imap.imap("c", "SUBSCRIBE \"Work/2024\"").unwrap();
    imap.imap("c", "SUBSCRIBE \"Entw&APw-rfe\"").unwrap();
    for (folder, flags, day) in [
        ("INBOX", "\\Flagged todo", 14),
        ("Work/2024", "\\Seen $Forwarded", 15),
        ("Sent", "\\Seen \\Answered", 16),
    ] {
        let text = format!("From: a@b.test\r\nSubject: {folder}\r\n\r\n.dot\r\nno end");
        let date = format!("{day}-Feb-2019 03:04:05 +0000");
        let literal = format!("d APPEND \"{folder}\" ({flags}) \"{date}\" {{{}+}}\r\n{text}\r\n", text.len());
        imap.send(literal.as_bytes()).unwrap();
        imap.imap_reply("d").unwrap();
    }
    // A UID that is given out and gone: UIDNEXT tells of it.
    imap.imap("e", "SELECT Sent").unwrap();
    imap.imap("f", "COPY 1 Sent").unwrap();
    imap.imap("g", "STORE 2 +FLAGS (\\Deleted)").unwrap();
    imap.imap("h", "EXPUNGE").unwrap();
    imap.imap("i", "LOGOUT").unwrap();
    let maildir = dovecot.maildir(USER);
    dovecot.stopped(|| {
        let list = maildir.join("dovecot-uidlist");
        let text = std::fs::read_to_string(&list).unwrap();
        assert!(text.contains("\n2 :"), "{text}");
        std::fs::write(&list, text.replace("\n2 :", "\n2 Pold-unique-id-2 :")).unwrap();
        for index in ["dovecot.index", "dovecot.index.log", "dovecot.index.cache"] {
            // Whichever of them there are hold what the list said before.
            let _absent = std::fs::remove_file(maildir.join(index));
        }
    });
}

fn import(server: &Server, maildir: &Path, more: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
    command.args(["import", "dovecot", "--account", USER, "--data", server.data.to_str().unwrap()]);
    try_run(command.args(more).arg(maildir), "")
}

fn total(output: &str) -> serde_json::Value {
    serde_json::from_str(output.lines().find(|line| line.contains("\"messages\":")).unwrap()).unwrap()
}

#[test]
fn after_an_import_from_dovecot_no_client_fetches_anything_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut dovecot = Dovecot::start(folder.path());
    fill(&mut dovecot);
    let there = Far { imap: dovecot.imap, pop3: dovecot.pop3, password: DOVECOT_PASSWORD };
    // The clients know everything of the old server, and gave it a message as well.
    mbsync(folder.path(), there);
    let mine = crate::message("mine").replace("\r\n", "\n");
    std::fs::write(folder.path().join("near/INBOX/cur/1.mine.here:2,S"), mine).unwrap();
    mbsync(folder.path(), there);
    assert_eq!(crate::sync::moved(&mbsync(folder.path(), there)), 0);
    assert_eq!(fetchmail(folder.path(), there), 5);
    assert!(seen_by_pop3(there).contains(&"2 old-unique-id-2".to_owned()), "{:?}", seen_by_pop3(there));

    let server = Server::with_accounts(folder.path(), &["alice"]);
    let here = Far { imap: server.port("IMAP", false), pop3: server.port("POP3", false), password: PASSWORD };
    let maildir = dovecot.maildir(USER);
    let before = server.admin(&["account", "show", USER, "--json"], "");
    let (dry, good) = import(&server, &maildir, &["--dry-run", "--json"]);
    assert!(good && total(&dry)["messages"] == 7, "{dry}");
    assert!(dry.contains("\"dry_run\":true,\"subscribe\":\"Work/2024\""), "{dry}");
    assert_eq!(server.admin(&["account", "show", USER, "--json"], ""), before, "a dry run changes nothing");
    let (table, good) = import(&server, &maildir, &[]);
    assert!(good && table.contains("7 messages"), "{table}");

    for folder in FOLDERS {
        assert_eq!(seen_by_imap(here, folder), seen_by_imap(there, folder), "{folder}");
    }
    assert_eq!(seen_by_pop3(here), seen_by_pop3(there));
    let moved = mbsync(folder.path(), here);
    assert_eq!(crate::sync::moved(&moved), 0, "{moved}");
    assert_eq!(fetchmail(folder.path(), here), 5, "nothing is fetched again");

    the_difference_follows(&dovecot, &server, folder.path(), there, here);
}

/// What happens at the old server is carried over by the next run, and nothing else.
fn the_difference_follows(dovecot: &Dovecot, server: &Server, folder: &Path, there: Far<'_>, here: Far<'_>) {
    let maildir = dovecot.maildir(USER);
    let (again, good) = import(server, &maildir, &["--json"]);
    assert!(good && total(&again)["messages"] == 0 && total(&again)["flags"] == 0, "{again}");
    crate::deliver_to(dovecot.lmtp, USER, "four");
    let mut imap = Wire::connect(dovecot.imap).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN {USER} {DOVECOT_PASSWORD}")).unwrap();
    imap.imap("b", "SELECT INBOX").unwrap();
    imap.imap("c", "UID STORE 1 FLAGS (later)").unwrap();
    imap.imap("d", "UID STORE 3 +FLAGS (\\Deleted)").unwrap();
    imap.imap("e", "EXPUNGE").unwrap();
    let (second, good) = import(server, &maildir, &["--json", "--delete"]);
    assert!(good && total(&second)["messages"] == 1 && total(&second)["flags"] == 1, "{second}");
    assert_eq!(seen_by_imap(here, "INBOX"), seen_by_imap(there, "INBOX"));
    assert_eq!(fetchmail(folder, here), 6, "the new one, and nothing else");
    // Mail that comes here from now on has unique-ids of the same form, and keeps later UIDs from being taken over.
    crate::deliver(server, USER, "five");
    let last = seen_by_pop3(here).into_iter().filter(|line| line.starts_with("6 ")).collect::<Vec<_>>();
    let uid_validity =
        seen_by_imap(here, "INBOX").into_iter().find(|code| code.starts_with("VALIDITY ")).unwrap();
    let uid_validity: u32 = uid_validity.trim_start_matches("VALIDITY ").parse().unwrap();
    assert_eq!(last[0], format!("6 00000007{uid_validity:08x}"));
    crate::deliver_to(dovecot.lmtp, USER, "six");
    imap.imap("f", "NOOP").unwrap();
    let (late, good) = import(server, &maildir, &[]);
    assert!(!good && late.contains("1 messages stay there"), "{late}");
    late_messages_come_with_new_uids(server, &maildir, here);
}

/// `--merge`: once, and never again, whatever becomes of them here.
fn late_messages_come_with_new_uids(server: &Server, maildir: &Path, here: Far<'_>) {
    let (dry, good) = import(server, maildir, &["--json", "--merge", "--dry-run"]);
    assert!(good && total(&dry)["messages"] == 1, "{dry}");
    for expected in [1, 0] {
        let (merged, good) = import(server, maildir, &["--json", "--merge"]);
        assert!(good && total(&merged)["messages"] == expected && total(&merged)["flags"] == 0, "{merged}");
    }
    let seen = seen_by_pop3(here);
    let mut names: Vec<&str> =
        seen.iter().filter_map(|line| line.split_once(' ')).map(|(_, name)| name).collect();
    names.truncate(seen.len() / 2);
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!((count, names.len()), (7, 7), "rfc1939#7: unique-ids are unique: {seen:?}");
    let mut imap = Wire::connect(here.imap).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN {USER} \"{PASSWORD}\"")).unwrap();
    imap.imap("b", "SELECT INBOX").unwrap();
    let found = imap.imap("c", "SEARCH SUBJECT six").unwrap();
    assert_eq!(found[0], "* SEARCH 7");
    imap.imap("d", "STORE 7 +FLAGS (\\Deleted)").unwrap();
    imap.imap("e", "EXPUNGE").unwrap();
    let (merged, good) = import(server, maildir, &["--json", "--merge"]);
    assert!(good && total(&merged)["messages"] == 0, "what was deleted here stays so: {merged}");
}

fn pull(server: &Server, from: &str, password: &Path, more: &[&str]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
    command.args(["import", "imap", "--account", USER, "--data", server.data.to_str().unwrap()]);
    command.args(["--json", "--from", from, "--password-file"]).arg(password);
    try_run(command.args(more), "")
}

/// `--merge` is the way into a mailbox that has mail of its own; bob's has.
fn into_an_account_that_has_mail(server: &Server, from: &str, password: &Path) {
    let into = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
        command.args([
            "import",
            "imap",
            "--account",
            "bob@example.test",
            "--data",
            server.data.to_str().unwrap(),
        ]);
        command.args(["--json", "--plaintext", "--from", from, "--password-file"]).arg(password);
        try_run(command.args(more), "")
    };
    crate::deliver(server, "bob@example.test", "own");
    let (partly, good) = into(&[]);
    assert!(!good && partly.contains("4 messages stay there") && total(&partly)["messages"] == 2, "{partly}");
    for expected in [4, 0] {
        let (merged, good) = into(&["--merge"]);
        assert!(good && total(&merged)["messages"] == expected && total(&merged)["flags"] == 0, "{merged}");
    }
}

fn subscribed(imap: u16, password: &str) -> String {
    let mut wire = Wire::connect(imap).unwrap();
    wire.line().unwrap();
    wire.imap("a", &format!("LOGIN {USER} \"{password}\"")).unwrap();
    wire.imap("b", "LSUB \"\" \"*\"").unwrap().concat()
}

#[test]
fn an_account_is_pulled_over_imap_from_dovecot_and_on_to_another_ringpost() {
    let folder = tempfile::tempdir().unwrap();
    let mut dovecot = Dovecot::with_layout(folder.path(), ":LAYOUT=fs");
    fill(&mut dovecot);
    let [first, second, third] = ["first", "second", "third"].map(|name| {
        let below = folder.path().join(name);
        std::fs::create_dir(&below).unwrap();
        Server::with_accounts(&below, &["alice", "bob"])
    });
    let passwords =
        [("dovecot-password", DOVECOT_PASSWORD), ("password", PASSWORD)].map(|(name, password)| {
            let file = folder.path().join(name);
            std::fs::write(&file, format!("{password}\n")).unwrap();
            file
        });

    let from = format!("imap://{USER}@127.0.0.1:{}", dovecot.imap);
    let (refused, good) = pull(&first, &from, &passwords[0], &[]);
    assert!(!good && refused.contains("offers no TLS"), "{refused}");
    let (dry, good) = pull(&first, &from, &passwords[0], &["--plaintext", "--dry-run"]);
    assert!(good && total(&dry)["messages"] == 6, "{dry}");
    let (pulled, good) = pull(&first, &from, &passwords[0], &["--plaintext", "--dovecot-unique-ids"]);
    assert!(good && total(&pulled)["messages"] == 6, "{pulled}");

    into_an_account_that_has_mail(&first, &from, &passwords[0]);

    // What Dovecot keeps with LAYOUT=fs is the same mail.
    let (read, good) = import(&third, &dovecot.maildir(USER), &["--json"]);
    assert!(good && total(&read)["messages"] == 6, "{read}");

    // STARTTLS with a certificate of its own, and TLS from the start.
    let certificate = first.data.join("tls/certificate.pem");
    let trust = ["--ca-file", certificate.to_str().unwrap()];
    let from = format!("imap://{USER}@localhost:{}", first.port("IMAP", false));
    let (untrusted, good) = pull(&second, &from, &passwords[1], &[]);
    assert!(!good && untrusted.contains("TLS with localhost"), "{untrusted}");
    let (pulled, good) = pull(&second, &from, &passwords[1], &trust);
    assert!(good && total(&pulled)["messages"] == 6, "{pulled}");
    let from = format!("imaps://{USER}@localhost:{}", first.port("IMAP", true));
    let (again, good) = pull(&second, &from, &passwords[1], &trust);
    assert!(good && total(&again)["messages"] == 0 && total(&again)["flags"] == 0, "{again}");

    let far = |imap, password| Far { imap, pop3: 0, password };
    let there = far(dovecot.imap, DOVECOT_PASSWORD);
    for folder in FOLDERS {
        let expected = seen_by_imap(there, folder);
        for server in [&first, &second, &third] {
            assert_eq!(seen_by_imap(far(server.port("IMAP", false), PASSWORD), folder), expected, "{folder}");
        }
    }
    for name in ["Work/2024", "Entw&APw-rfe"] {
        assert!(subscribed(dovecot.imap, DOVECOT_PASSWORD).contains(name));
        for server in [&second, &third] {
            assert!(subscribed(server.port("IMAP", false), PASSWORD).contains(name));
        }
    }
}

/// A Maildir as Dovecot leaves it, of so many messages, every third UID never used.
fn maildir_of(folder: &Path, count: u32) -> Vec<u32> {
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    let uids: Vec<u32> = (1..).filter(|uid| uid % 3 != 0).take(count as usize).collect();
    let mut list = format!("3 V1300000000 N{} G00\n", 2 * count);
    for uid in &uids {
        let base = format!("1300000000.M{uid}P1.host");
        list.push_str(&format!("{uid} :{base}\n"));
        let text = crate::message(&format!("m{uid}")).replace("\r\n", "\n") + &"filler\n".repeat(400);
        std::fs::write(folder.join("cur").join(format!("{base}:2,S")), text).unwrap();
    }
    std::fs::write(folder.join("dovecot-uidlist"), list).unwrap();
    uids
}

#[test]
fn an_import_that_a_kill_cuts_short_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let maildir = folder.path().join("Maildir");
    let uids = maildir_of(&maildir, 9_000);
    let mut server = Server::with_accounts(folder.path(), &["alice"]);
    let held = |server: &Server| {
        let shown = server.admin(&["account", "show", USER, "--json"], "");
        let account: serde_json::Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
        account["account"]["messages"].as_u64().unwrap()
    };
    let mut cuts = Vec::new();
    for _ in 0..2 {
        let before = held(&server);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
        command.args(["import", "dovecot", "--account", USER, "--data", server.data.to_str().unwrap()]);
        let mut importing = command.arg(&maildir).stdout(std::process::Stdio::null()).spawn().unwrap();
        let started = std::time::Instant::now();
        while held(&server) == before {
            assert!(started.elapsed() < crate::server::PATIENCE, "nothing arrives");
        }
        signal(server.child.id(), "KILL");
        server.child.wait().unwrap();
        assert!(!importing.wait().unwrap().success(), "the server was killed before the import was through");
        server = Server::start(folder.path());
        cuts.push(held(&server));
    }
    assert!(cuts[0] > 0 && cuts.is_sorted() && cuts[1] < 9_000, "{cuts:?}");
    let (rest, good) = import(&server, &maildir, &["--json"]);
    assert!(good && total(&rest)["messages"] == 9_000 - cuts[1], "{cuts:?} {rest}");
    let mut imap = Wire::connect(server.port("IMAP", false)).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN {USER} \"{PASSWORD}\"")).unwrap();
    let selected = imap.imap("b", "SELECT INBOX").unwrap().concat();
    assert!(
        selected.contains("[UIDVALIDITY 1300000000]") && selected.contains("[UIDNEXT 18000]"),
        "{selected}"
    );
    let found = imap.imap("c", "UID SEARCH ALL").unwrap();
    let expected = uids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(found[0], format!("* SEARCH {expected}"));
    let one = imap.imap("d", "UID FETCH 5 BODY.PEEK[HEADER.FIELDS (SUBJECT)]").unwrap().concat();
    assert!(one.contains("Subject: m5"), "{one}");
}

fn count_of(server: &Server, mailbox: &str) -> String {
    let mut imap = Wire::connect(server.port("IMAP", false)).unwrap();
    imap.line().unwrap();
    imap.imap("a", &format!("LOGIN {USER} \"{PASSWORD}\"")).unwrap();
    imap.imap("b", &format!("EXAMINE {mailbox}")).unwrap();
    imap.imap("c", "UID SEARCH ALL").unwrap().swap_remove(0)
}

#[test]
fn what_was_left_out_is_told_by_every_run_until_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let maildir = folder.path().join("Maildir");
    maildir_of(&maildir, 4);
    let file = maildir.join("cur/1300000000.M2P1.host:2,S");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, "").unwrap();
    // More than the server takes: that one message stays, and those behind it come.
    let large = maildir.join("cur/1300000000.M4P1.host:2,S");
    let small = std::fs::read(&large).unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "Subject: not hers\n\n").unwrap();
    let linked = maildir.join("cur/1300000000.M5P1.host:2,S");
    std::fs::remove_file(&linked).unwrap();
    std::os::unix::fs::symlink(&secret, &linked).unwrap();
    std::fs::write(&large, [b"A: large\n\n".to_vec(), b"filler\n".repeat(1_300_000)].concat()).unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let (first, good) = import(&server, &maildir, &["--json"]);
    assert!(!good && first.contains("UID 2: ") && total(&first)["messages"] == 1, "{first}");
    assert!(first.contains("it is a symbolic link"), "{first}");
    assert!(first.contains("UID 4: it has 10400012 octets, and the server takes 8392704"), "{first}");
    assert_eq!(count_of(&server, "INBOX"), "* SEARCH 1");
    std::fs::write(&large, small).unwrap();
    for _ in 0..2 {
        let (again, good) = import(&server, &maildir, &["--json", "--delete"]);
        assert!(!good && again.contains("3 messages stay there: an earlier run"), "{again}");
        assert!(again.contains("\"deleted_here\":0") && total(&again)["messages"] == 0, "{again}");
    }
    std::fs::write(&file, &whole).unwrap();
    std::fs::remove_file(&linked).unwrap();
    std::fs::write(&linked, &whole).unwrap();
    for expected in [3, 0] {
        let (merged, good) = import(&server, &maildir, &["--json", "--merge", "--delete"]);
        assert!(good && total(&merged)["messages"] == expected, "{merged}");
        assert!(merged.contains("\"gone\":0"), "{merged}");
    }
    let (plain, good) = import(&server, &maildir, &["--json", "--delete"]);
    assert!(good && plain.contains("\"deleted_here\":0") && plain.contains("\"gone\":0"), "{plain}");
    assert_eq!(count_of(&server, "INBOX"), "* SEARCH 1 8 9 10");
}

/// A server of its own manners: `answers` tells by the beginnings of commands what it says to them. Serves one
/// connection.
fn odd_server(answers: &'static [(&'static str, &'static str)]) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"* OK odd\r\n").unwrap();
        for line in std::io::BufReader::new(stream.try_clone().unwrap()).lines() {
            let Ok(line) = line else { return };
            let (tag, command) = line.split_once(' ').unwrap();
            let known = answers.iter().find(|(start, _)| command.starts_with(start));
            let answer = format!("{}{tag} OK\r\n", known.map_or("", |(_, answer)| answer));
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    port
}

#[test]
fn what_an_odd_server_does_not_say_well_is_told_and_never_lost() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    const SELECTED: &str = "* 5 EXISTS\r\n* OK [UIDVALIDITY 9] x\r\n* OK [UIDNEXT 6] x\r\n";
    let badly: &[(&str, &str)] = &[
        ("LIST", "* LIST () \"/\" INBOX\r\n* LIST () \"/\" \"Bad\r\n"),
        ("EXAMINE", SELECTED),
        // The date of 2 is none, 3 is no response at all.
        (
            "UID FETCH 1:*",
            "* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n\
             * 2 FETCH (UID 2 FLAGS () INTERNALDATE NIL)\r\n* 3 FETCH (UID 3 FLAGS (\r\n\
             * 4 FETCH (UID 4 FLAGS ([x) INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n\
             * 5 FETCH (UID 5 FLAGS () INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n",
        ),
        ("UID SEARCH ALL", "* SEARCH 1 2 3 4 5\r\n"),
        (
            "UID FETCH 1,",
            "* 1 FETCH (UID 1 BODY[] {6}\r\nA: 1\r\n)\r\n* 2 FETCH (UID 2 BODY[] {6}\r\nA: 2\r\n)\r\n\
             * 3 FETCH (UID 3 BODY[] {6}\r\nA: 3\r\n)\r\n* 4 FETCH (UID 4 BODY[] NIL)\r\n\
             * 5 FETCH (UID 5 BODY[] {6}\r\nA: 5\r\n)\r\n",
        ),
    ];
    let from = |port: u16| format!("imap://{USER}@127.0.0.1:{port}");
    let (odd, good) = pull(&server, &from(odd_server(badly)), &password, &["--plaintext"]);
    assert!(!good && odd.contains("not understood: LIST"), "{odd}");
    for uid in ["UID 2: the server does not tell", "UID 3: the server does not tell", "UID 4: it was listed"]
    {
        assert!(odd.contains(uid), "{odd}");
    }
    assert_eq!(
        (total(&odd)["messages"].as_u64(), count_of(&server, "INBOX").as_str()),
        (Some(2), "* SEARCH 1 5")
    );
    let well: &[(&str, &str)] = &[
        ("LIST", "* LIST () \"/\" INBOX\r\n"),
        ("EXAMINE", SELECTED),
        (
            "UID FETCH 1:*",
            "* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n\
             * 2 FETCH (UID 2 FLAGS () INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n\
             * 3 FETCH (UID 3 FLAGS () INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n\
             * 4 FETCH (UID 4 FLAGS () INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n\
             * 5 FETCH (UID 5 FLAGS () INTERNALDATE \"05-Feb-2019 03:04:05 +0000\")\r\n",
        ),
        (
            "UID FETCH 2,3,4 ",
            "* 2 FETCH (UID 2 BODY[] {6}\r\nA: 2\r\n)\r\n* 3 FETCH (UID 3 BODY[] {6}\r\nA: 3\r\n)\r\n\
             * 4 FETCH (UID 4 BODY[] {6}\r\nA: 4\r\n)\r\n",
        ),
    ];
    let (merged, good) = pull(&server, &from(odd_server(well)), &password, &["--plaintext", "--merge"]);
    assert!(good && total(&merged)["messages"] == 3, "{merged}");
    assert_eq!(count_of(&server, "INBOX"), "* SEARCH 1 5 6 7 8");
    // Neither an odd password nor one where it does not belong is repeated.
    std::fs::write(&password, "geheim-ä\n").unwrap();
    let (odd, good) = pull(&server, &from(odd_server(well)), &password, &["--plaintext"]);
    assert!(!good && odd.contains("no password but in ASCII") && !odd.contains("geheim"), "{odd}");
    let (odd, good) = pull(&server, "imaps://ann:geheim@localhost", &password, &[]);
    assert!(!good && odd.contains("--password-file") && !odd.contains("geheim"), "{odd}");
    std::fs::write(&password, "secret\n").unwrap();
    // Fewer than there are: nobody knows which, so nothing of the folder is touched.
    let few: &[(&str, &str)] = &[("LIST", "* LIST () \"/\" INBOX\r\n"), ("EXAMINE", SELECTED)];
    let (none, good) = pull(&server, &from(odd_server(few)), &password, &["--plaintext", "--delete"]);
    assert!(!good && none.contains("5 messages are there, and lists 0"), "{none}");
    assert_eq!(count_of(&server, "INBOX"), "* SEARCH 1 5 6 7 8");
}
