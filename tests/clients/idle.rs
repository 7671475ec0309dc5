//! A client that waits sees what another client sends.

use std::process::Command;

use crate::server::{PASSWORD, Server, Wire, run};

#[test]
fn an_idle_client_sees_the_message_that_swaks_sends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let mut imap = Wire::connect(server.port("IMAP", false)).unwrap();
    assert!(imap.line().unwrap().starts_with("* OK "));
    imap.imap("a", &format!("LOGIN alice@example.test \"{PASSWORD}\"")).unwrap();
    imap.imap("b", "SELECT INBOX").unwrap();
    imap.send(b"c IDLE\r\n").unwrap();
    assert!(imap.line().unwrap().starts_with('+'));
    let mut swaks = Command::new("swaks");
    swaks.args([
        "--server",
        "127.0.0.1",
        "--port",
        &server.port("SMTP", false).to_string(),
        "--timeout",
        "20",
    ]);
    run(swaks.args(["--from", "ann@elsewhere.test", "--to", "alice@example.test"]), "");
    assert_eq!(imap.line().unwrap(), "* 1 EXISTS");
    imap.send(b"DONE\r\n").unwrap();
    imap.imap_reply("c").unwrap();
    let fetched = imap.imap("d", "FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])").unwrap();
    assert!(fetched[0].starts_with("* 1 FETCH (FLAGS (\\Recent)"), "{fetched:?}");
    imap.imap("e", "LOGOUT").unwrap();
    server.interrupt();
}
