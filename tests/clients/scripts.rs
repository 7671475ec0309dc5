//! The libraries that programs are built on, each by a script in its own language: Python's standard library,
//! IMAPClient, imap-tools, aioimaplib, ImapFlow, Mail::IMAPClient.

use std::process::Command;

use crate::server::{PASSWORD, Server, run};

/// Where `install.sh` puts what is not a Debian package.
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients");
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// Runs a script against a fresh server with alice and bob. Its last words must be "all good".
fn play(program: &str, script: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    let mut command = Command::new(program);
    command
        .arg(format!("{HERE}/{script}"))
        .env("RINGPOST_PASSWORD", PASSWORD)
        .env("RINGPOST_CERTIFICATE", server.data.join("tls/certificate.pem"))
        .env("RINGPOST_NODE_MODULES", format!("{INSTALLED}/node/node_modules"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    for (service, tls) in [
        ("SMTP", false),
        ("submission", true),
        ("LMTP", false),
        ("POP3", true),
        ("IMAP", false),
        ("IMAP", true),
    ] {
        let name = format!("RINGPOST_{}{}", service.to_uppercase(), if tls { "S" } else { "" });
        command.env(name, server.port(service, tls).to_string());
    }
    let output = run(&mut command, "");
    assert!(output.ends_with("all good\n"), "{output}");
}

fn python() -> String {
    format!("{INSTALLED}/python/bin/python3")
}

#[test]
fn python_sends_reads_flags_moves_and_deletes() {
    play("python3", "python/stdlib.py");
}

#[test]
fn imapclient_works_in_a_mailbox() {
    play(&python(), "python/with_imapclient.py");
}

#[test]
fn imap_tools_works_in_a_mailbox() {
    play(&python(), "python/with_imap_tools.py");
}

#[test]
fn aioimaplib_idles_on_one_connection_and_works_on_another() {
    play(&python(), "python/with_aioimaplib.py");
}

#[test]
fn imapflow_compresses_resynchronises_and_idles() {
    play("node", "node/imapflow.js");
}

#[test]
fn mail_imapclient_works_in_a_mailbox() {
    play("perl", "perl/mail_imapclient.pl");
}
