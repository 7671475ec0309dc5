//! curl: IMAP, IMAPS, POP3, POP3S; all four show the same bytes.

use std::process::Command;

use crate::server::{PASSWORD, Server, run};

fn curl(server: &Server, url: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    let certificate = server.data.join("tls/certificate.pem");
    command.args(["--silent", "--show-error", "--max-time", "20", "--cacert", certificate.to_str().unwrap()]);
    command.args(["--user", &format!("alice@example.test:{PASSWORD}")]).args(arguments).arg(url);
    run(&mut command, "")
}

#[test]
fn curl_reads_the_same_bytes_by_every_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    crate::deliver(&server, "alice@example.test", "one");
    let (imap, imaps) = (server.port("IMAP", false), server.port("IMAP", true));
    let (pop3, pop3s) = (server.port("POP3", false), server.port("POP3", true));
    let read = [
        curl(&server, &format!("imap://127.0.0.1:{imap}/INBOX;UID=1"), &[]),
        curl(&server, &format!("imap://127.0.0.1:{imap}/INBOX;UID=1"), &["--ssl-reqd"]),
        curl(&server, &format!("imaps://127.0.0.1:{imaps}/INBOX;UID=1"), &[]),
        curl(&server, &format!("pop3://127.0.0.1:{pop3}/1"), &[]),
        curl(&server, &format!("pop3://127.0.0.1:{pop3}/1"), &["--ssl-reqd"]),
        curl(&server, &format!("pop3s://127.0.0.1:{pop3s}/1"), &[]),
    ];
    let sent = crate::message("one");
    assert!(read[0].starts_with("Return-Path: <ann@elsewhere.test>\r\nReceived: "), "{}", read[0]);
    assert!(read[0].ends_with(&sent), "{}", read[0]);
    for other in &read[1..] {
        assert_eq!(*other, read[0]);
    }
    let listed = curl(&server, &format!("imaps://127.0.0.1:{imaps}/"), &[]);
    for name in ["INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"] {
        assert!(listed.contains(name), "{listed}");
    }
    let found = curl(&server, &format!("imaps://127.0.0.1:{imaps}/INBOX?TEXT%20end"), &[]);
    assert!(found.contains("* SEARCH 1"), "{found}");
}

#[test]
fn curl_appends_what_it_then_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let file = folder.path().join("draft.eml");
    std::fs::write(&file, crate::message("draft")).unwrap();
    let imaps = server.port("IMAP", true);
    curl(&server, &format!("imaps://127.0.0.1:{imaps}/Drafts"), &["--upload-file", file.to_str().unwrap()]);
    let read = curl(&server, &format!("imaps://127.0.0.1:{imaps}/Drafts;UID=1"), &[]);
    assert_eq!(read, crate::message("draft"));
}
