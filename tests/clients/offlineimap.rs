//! offlineimap3: a Maildir tree kept beside an account.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{PASSWORD, Server, run};

/// One run; returns what it printed.
fn offlineimap(folder: &Path, server: &Server) -> String {
    let rc = folder.join("offlineimaprc");
    let text = format!(
        "[general]\naccounts = a\nmetadata = {folder}/meta\nsocktimeout = 20\n\n\
         [Account a]\nlocalrepository = near\nremoterepository = far\n\n\
         [Repository near]\ntype = Maildir\nlocalfolders = {folder}/near\n\n\
         [Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {}\nssl = yes\nsslcacertfile = {}\n\
         remoteuser = alice@example.test\nremotepass = {PASSWORD}\nexpunge = yes\n",
        server.port("IMAP", true),
        server.data.join("tls/certificate.pem").display(),
        folder = folder.display(),
    );
    std::fs::write(&rc, text).unwrap();
    run(Command::new("offlineimap").env("HOME", folder).args(["-o", "-u", "basic", "-c"]).arg(rc), "")
}

fn mails(folder: &Path) -> Vec<PathBuf> {
    let files = |part: &str| std::fs::read_dir(folder.join(part)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files("cur").chain(files("new")).collect();
    found.sort();
    found
}

fn inbox(server: &Server) -> String {
    let shown = server.admin(&["account", "show", "alice@example.test", "--json"], "");
    shown.lines().find(|line| line.contains("INBOX")).unwrap().to_string()
}

#[test]
fn offlineimap_syncs_both_ways_and_then_finds_nothing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    for subject in ["one", "two", "three"] {
        crate::deliver(&server, "alice@example.test", subject);
    }
    let first = offlineimap(folder.path(), &server);
    let near = folder.path().join("near/INBOX");
    let found = mails(&near);
    assert_eq!(found.len(), 3, "{first}");
    assert!(folder.path().join("near/Trash").exists(), "{first}");
    // One read and one gone there, one new here.
    let name = found[0].file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::rename(&found[0], near.join("cur").join(format!("{}S", name.trim_end_matches('S')))).unwrap();
    std::fs::remove_file(&found[1]).unwrap();
    std::fs::write(near.join("new/1.mine.here"), crate::message("mine").replace("\r\n", "\n")).unwrap();
    let second = offlineimap(folder.path(), &server);
    let row = inbox(&server);
    assert!(row.contains("\"messages\":3") && row.contains("\"unseen\":2"), "{row}\n{second}");
    crate::deliver(&server, "alice@example.test", "four");
    let third = offlineimap(folder.path(), &server);
    assert_eq!(mails(&near).len(), 4, "{third}");
    let fourth = offlineimap(folder.path(), &server);
    let moved = fourth.lines().find(|line| line.contains("Copy message") || line.contains("Deleting"));
    assert_eq!(moved, None, "{fourth}");
    assert!(third.contains("Copy message"), "{third}");
}
