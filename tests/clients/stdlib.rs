//! Python's smtplib, imaplib and poplib: what scripts are made of.

use std::process::Command;

use crate::server::{PASSWORD, Server, run};

#[test]
fn python_sends_reads_flags_moves_and_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with_accounts(folder.path(), &["alice", "bob"]);
    let ports = [("SMTP", false), ("submission", true), ("POP3", true), ("IMAP", true), ("LMTP", false)];
    let ports = ports.map(|(service, tls)| server.port(service, tls).to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/stdlib.py");
    let certificate = server.data.join("tls/certificate.pem");
    let mut command = Command::new("python3");
    command.arg(script).arg(certificate).arg(PASSWORD).args(ports);
    let output = run(&mut command, "");
    assert!(output.contains("all good"), "{output}");
}
