//! fetchmail and getmail: POP3 with keep and with delete.

use std::path::Path;
use std::process::Command;

use crate::server::{PASSWORD, Server, run};

fn inbox(server: &Server) -> String {
    let shown = server.admin(&["account", "show", "alice@example.test", "--json"], "");
    shown.lines().find(|line| line.contains("INBOX")).unwrap().to_string()
}

fn fetched(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<String> =
        files.map(|path| String::from_utf8(std::fs::read(path).unwrap()).unwrap()).collect();
    found.sort();
    found
}

fn fetchmail(folder: &Path, server: &Server, options: &str) {
    let (out, rc) = (folder.join("fetched"), folder.join("fetchmailrc"));
    std::fs::create_dir_all(&out).unwrap();
    let text = format!(
        "poll 127.0.0.1 protocol POP3 port {} uidl\n  user \"alice@example.test\" password \"{PASSWORD}\"\n  \
         sslproto \"\" {options} mda \"/bin/sh -c 'cat > $(mktemp {}/XXXXXX)'\"\n",
        server.port("POP3", false),
        out.display()
    );
    std::fs::write(&rc, text).unwrap();
    std::fs::set_permissions(&rc, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut command = Command::new("fetchmail");
    command
        .env("HOME", folder)
        .env("FETCHMAILHOME", folder)
        .arg("-f")
        .arg(&rc)
        .args(["--nodetach", "--nosyslog"]);
    run(&mut command, "");
}

#[test]
fn fetchmail_fetches_with_keep_and_with_delete() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    crate::deliver(&server, "alice@example.test", "one");
    crate::deliver(&server, "alice@example.test", "two");
    fetchmail(folder.path(), &server, "keep");
    assert!(inbox(&server).contains("\"messages\":2"));
    let kept = fetched(&folder.path().join("fetched"));
    assert_eq!(kept.len(), 2);
    assert!(
        kept.iter().all(|mail| mail.contains("Grüße,") && mail.contains("\n.\n..two dots\n")),
        "{kept:?}"
    );
    fetchmail(folder.path(), &server, "fetchall nokeep");
    assert_eq!(fetched(&folder.path().join("fetched")).len(), 4);
    assert!(inbox(&server).contains("\"messages\":0"));
}

fn getmail(folder: &Path, server: &Server, delete: bool) {
    let (out, rc) = (folder.join("got"), folder.join("getmailrc"));
    std::fs::create_dir_all(&out).unwrap();
    let text = format!(
        "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\nusername = alice@example.test\n\
         password = {PASSWORD}\n\n[destination]\ntype = MDA_external\npath = /bin/sh\n\
         arguments = (\"-c\", \"cat > $(mktemp {}/XXXXXX)\")\nallow_root_commands = true\n\n\
         [options]\nread_all = {}\ndelete = {delete}\ndelivered_to = false\nreceived = false\n",
        server.port("POP3", false),
        out.display(),
        delete,
    );
    std::fs::write(&rc, text).unwrap();
    let mut command = Command::new("getmail");
    command.env("HOME", folder).args([
        "--getmaildir",
        folder.to_str().unwrap(),
        "--rcfile",
        rc.to_str().unwrap(),
    ]);
    run(&mut command, "");
}

#[test]
fn getmail_fetches_with_keep_and_with_delete() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    crate::deliver(&server, "alice@example.test", "one");
    crate::deliver(&server, "alice@example.test", "two");
    getmail(folder.path(), &server, false);
    assert_eq!(fetched(&folder.path().join("got")).len(), 2);
    // Seen by its UIDL: nothing is fetched twice.
    getmail(folder.path(), &server, false);
    assert_eq!(fetched(&folder.path().join("got")).len(), 2);
    assert!(inbox(&server).contains("\"messages\":2"));
    getmail(folder.path(), &server, true);
    assert!(inbox(&server).contains("\"messages\":0"));
}
