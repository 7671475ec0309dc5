//! What a sender and a reader do on a full disk.

use std::io;

use crate::server::{PASSWORD, Server, Wire};

/// Octets of every message: large enough that a disk fills in seconds.
pub const MESSAGE_BYTES: usize = 400_000;

/// A message of about [`MESSAGE_BYTES`], different for each number.
pub fn message(number: usize) -> String {
    let line = format!("{number:08} {}\r\n", "x".repeat(60));
    let head = format!("Message-ID: <{number}@full.test>\r\nSubject: number {number}\r\n\r\n");
    head + &line.repeat(MESSAGE_BYTES / line.len())
}

/// Logs in by IMAP.
pub fn imap(server: &Server, name: &str) -> Wire {
    let mut wire = Wire::connect(server.port("IMAP", false)).unwrap();
    wire.line().unwrap();
    wire.imap("a", &format!("LOGIN {name}@example.test \"{PASSWORD}\"")).unwrap();
    wire
}

/// One LMTP delivery; the reply for its one recipient, or the refusal of an earlier command.
pub fn lmtp(server: &Server, name: &str, number: usize) -> io::Result<String> {
    let mut wire = Wire::connect(server.port("LMTP", false))?;
    wire.smtp_reply()?;
    wire.smtp("LHLO full.test")?;
    wire.smtp("MAIL FROM:<sender@full.test>")?;
    let reply = wire.smtp(&format!("RCPT TO:<{name}@example.test>"))?;
    if !reply.starts_with("250") {
        return Ok(reply);
    }
    let reply = wire.smtp("DATA")?;
    if !reply.starts_with("354") {
        return Ok(reply);
    }
    wire.send(message(number).as_bytes())?;
    wire.smtp(".")
}

/// The whole of one message by POP3, after login.
pub fn pop3(server: &Server, name: &str, number: usize) -> io::Result<Vec<String>> {
    let mut wire = Wire::connect(server.port("POP3", false))?;
    wire.line()?;
    for command in [format!("USER {name}@example.test"), format!("PASS {PASSWORD}")] {
        wire.send(format!("{command}\r\n").as_bytes())?;
        let reply = wire.line()?;
        assert!(reply.starts_with("+OK"), "{reply}");
    }
    wire.send(format!("RETR {number}\r\n").as_bytes())?;
    let mut lines = Vec::new();
    loop {
        let line = wire.line()?;
        if line == "." {
            return Ok(lines);
        }
        let refused = line.starts_with("-ERR");
        lines.push(line);
        if refused {
            return Ok(lines);
        }
    }
}

/// An IMAP command's lines up to its tagged reply, whatever that says.
pub fn try_imap(wire: &mut Wire, tag: &str, command: &[u8]) -> io::Result<Vec<String>> {
    wire.send(format!("{tag} ").as_bytes())?;
    wire.send(command)?;
    wire.send(b"\r\n")?;
    let mut lines = Vec::new();
    loop {
        let line = wire.line()?;
        let literal = line.strip_suffix('}').and_then(|rest| rest.rsplit_once('{'));
        if let Some(count) = literal.and_then(|(_, count)| count.parse().ok()) {
            lines.push(line);
            lines.push(String::from_utf8_lossy(&wire.bytes(count)?).into_owned());
            continue;
        }
        let done = line.starts_with(&format!("{tag} "));
        lines.push(line);
        if done {
            return Ok(lines);
        }
    }
}

/// An APPEND to INBOX; its tagged reply.
pub fn append(wire: &mut Wire, tag: &str, number: usize) -> io::Result<String> {
    let text = message(number);
    let mut command = format!("APPEND INBOX {{{}+}}\r\n", text.len()).into_bytes();
    command.extend_from_slice(text.as_bytes());
    let lines = try_imap(wire, tag, &command)?;
    Ok(lines.last().cloned().unwrap_or_default())
}
