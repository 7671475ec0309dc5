//! Real clients against a real server: what people will do on the first day.
//!
//! `tests/clients/install.sh` brings the clients; a missing one fails its test.

#[path = "../support/server.rs"]
mod server;

mod backup;
mod curl;
mod dovecot;
mod fetch;
mod idle;
mod migrate;
mod neomutt;
mod offlineimap;
mod operator;
mod reshard;
mod restore;
mod scripts;
mod swaks;
mod sync;

use server::Server;

/// A message as clients write it: CRLF, a line that is only a dot, 8-bit text.
fn message(subject: &str) -> String {
    format!(
        "From: Ann <ann@elsewhere.test>\r\nTo: alice@example.test\r\nSubject: {subject}\r\n\
         Message-ID: <{subject}@elsewhere.test>\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\nGrüße,\r\n.\r\n..two dots\r\nthe end\r\n"
    )
}

/// Delivers [`message`] by LMTP.
fn deliver(server: &Server, to: &str, subject: &str) {
    deliver_to(server.port("LMTP", false), to, subject);
}

/// The same, to whatever listens at a port.
fn deliver_to(port: u16, to: &str, subject: &str) {
    let mut lmtp = server::Wire::connect(port).unwrap();
    assert!(lmtp.smtp_reply().unwrap().starts_with("220 "));
    for (command, code) in [
        ("LHLO client.test", "250"),
        ("MAIL FROM:<ann@elsewhere.test> BODY=8BITMIME", "250"),
        (&format!("RCPT TO:<{to}>"), "250"),
        ("DATA", "354"),
    ] {
        let reply = lmtp.smtp(command).unwrap();
        assert!(reply.starts_with(code), "{command}: {reply}");
    }
    let stuffed = message(subject).replace("\r\n.", "\r\n..");
    let reply = lmtp.smtp(&format!("{stuffed}.")).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
}
