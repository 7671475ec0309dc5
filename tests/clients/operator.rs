//! What an operator does on the first day, and what the server says when something is wrong.

use std::process::Command;

use crate::server::{PASSWORD, Server, Wire, try_run};

#[test]
fn a_restart_keeps_accounts_and_mail() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    crate::deliver(&server, "alice@example.test", "kept");
    server.interrupt();
    let server = Server::start(folder.path());
    let shown = server.admin(&["account", "show", "alice@example.test"], "");
    assert!(shown.contains("INBOX") && shown.contains("alice@example.test"), "{shown}");
    let mut pop3 = Wire::connect(server.port("POP3", false)).unwrap();
    for command in ["", "USER alice@example.test\r\n", &format!("PASS {PASSWORD}\r\n"), "STAT\r\n"] {
        pop3.send(command.as_bytes()).unwrap();
        assert!(pop3.line().unwrap().starts_with("+OK"), "{command}");
    }
}

#[test]
fn bulk_accounts_aliases_and_listings_work_and_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let csv: String = (0..2_500).map(|n| format!("user{n}@example.test,\n")).collect();
    let printed = server.admin(&["account", "add", "--csv"], &csv);
    assert!(printed.contains("2500 created, 0 refused"), "{}", &printed[printed.len().saturating_sub(200)..]);
    let listed = server.admin(&["account", "list", "--json"], "");
    assert_eq!(listed.lines().count(), 2_501);
    server.admin(&["alias", "add", "info@example.test", "alice@example.test", "user7@example.test"], "");
    crate::deliver(&server, "info@example.test", "to both");
    for address in ["alice@example.test", "user7@example.test"] {
        assert!(server.admin(&["account", "show", address, "--json"], "").contains("\"messages\":1"));
    }
    server.admin(&["alias", "delete", "info@example.test"], "");
    server.admin(&["account", "delete", "user7@example.test", "--yes"], "");
    let data = ["--data", server.data.to_str().unwrap()];
    let ringpost = |arguments: &[&str]| {
        try_run(Command::new(env!("CARGO_BIN_EXE_ringpost")).args(arguments).args(data), "")
    };
    let (said, good) = ringpost(&["account", "show", "user7@example.test"]);
    assert!(!good && said.contains("user7@example.test"), "{said}");
    let (said, good) = ringpost(&["account", "add", "a@elsewhere.test"]);
    assert!(!good && said.contains("domain add elsewhere.test"), "{said}");
    let status = server.admin(&["status", "--json"], "");
    assert_eq!(status.lines().count(), 2, "{status}");
}

#[test]
fn quotas_are_set_shown_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice"]);
    let quota = |server: &Server, more: &[&str]| {
        server.admin(&[&["account", "quota", "alice@example.test"], more].concat(), "")
    };
    assert_eq!(quota(&server, &["--storage", "5G", "--messages", "1"]), "done\n");
    assert_eq!(quota(&server, &["--mailboxes", "7", "--storage", "none"]), "done\n");
    crate::deliver(&server, "alice@example.test", "the one that fits");
    server.interrupt();
    let server = Server::start(folder.path());
    let shown = quota(&server, &["--json"]);
    assert!(shown.contains(r#"{"quota":{"resource":"storage","used":1,"limit":null}}"#), "{shown}");
    assert!(shown.contains(r#"{"quota":{"resource":"messages","used":1,"limit":1}}"#), "{shown}");
    assert!(shown.contains(r#"{"quota":{"resource":"mailboxes","used":6,"limit":7}}"#), "{shown}");
    assert_eq!(server.admin(&["account", "shares", "alice@example.test"], ""), "");
}

#[test]
fn a_start_that_cannot_be_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &[]);
    let data = server.data.to_str().unwrap().to_string();
    let serve = |data: &str, config: &str| {
        let file = folder.path().join("other.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringpost"));
        try_run(command.args(["serve", "--data", data, "--config", file.to_str().unwrap()]), "")
    };
    let free = "[listen]\nsmtp = []\nsubmission = []\nsubmissions = []\nlmtp = []\npop3 = []\npop3s = []\nimaps = []\n";
    let (said, good) = serve(&data, &format!("{free}imap = [\"127.0.0.1:0\"]\n"));
    assert!(!good && said.lines().count() == 1 && said.contains("in use"), "{said}");
    let other = folder.path().join("other").to_str().unwrap().to_string();
    let taken = format!("{free}imap = [\"127.0.0.1:{}\"]\n", server.port("IMAP", false));
    let (said, good) = serve(&other, &taken);
    assert!(!good && said.lines().count() == 1 && said.contains("in use") && said.contains("port"), "{said}");
    let (said, good) = serve(&other, "[listen]\nimpa = []\n");
    assert!(
        !good && said.contains("other.toml:2: unknown key listen.impa; did you mean listen.imap"),
        "{said}"
    );
    let tls = "[tls]\ncertificate_file = \"/nowhere/c.pem\"\nprivate_key_file = \"/nowhere/k.pem\"\n";
    let (said, good) = serve(&other, tls);
    assert!(!good && said.lines().count() == 1 && said.contains("/nowhere/c.pem"), "{said}");
}
