//! The notation of a transcript.
//!
//! *Owns*: how a file becomes steps. *Promises*: says file and line of what it does not understand.
//! *Assumes*: UTF-8 files with LF. *Never*: runs anything.
//!
//! ```text
//! # A remark.
//! server: plaintext_login=no recipients_max=2     facts that differ from the usual; before anything happens
//! message: alice                                  a message comes in for her from elsewhere,
//! | Subject: x                                    one line each, CRLF added,
//! |> octets\r\n                                   or exactly this, with escapes
//! connect: imap tls                               the next client connects (1, 2, …)
//! C: USER alice@example.test                      the last client that connected says a line, CRLF added
//! C> octets\r\n\x00                               it says exactly this: \r \n \t \0 \\ \xNN
//! S: +OK …                                        it hears a line; … stands for anything in it
//! S> \tx\x00                                      it hears a line, with escapes
//! C1: NOOP                                        another client, by its number (also C1> S1: S1>)
//! tls                                             everybody waits for what is owed before more is said
//! deflate                                         the same; lines stay readable under compression
//! wait: 600000                                    so many milliseconds pass
//! drain                                           the server is told to stop
//! hang up                                         the client closes
//! closed                                          the server has closed by now (closed: 1 for another client)
//! ```

use ringpost::proto::{Server, Service};

use crate::world::{Conn, server};

/// A transcript.
pub struct Script {
    /// For messages.
    pub name: String,
    /// The server's facts.
    pub server: Server,
    /// In order.
    pub steps: Vec<Step>,
}

/// What happens, and which line says so.
#[derive(Clone)]
pub struct Step {
    pub line: usize,
    pub action: Action,
}

/// What happens.
#[derive(Clone)]
pub enum Action {
    Connect { conn: Conn, service: Service, tls: bool },
    Deliver { address: String, message: Vec<u8> },
    Wait { ms: u64 },
    Drain,
    HangUp { conn: Conn },
    Say { conn: Conn, bytes: Vec<u8> },
    Hear { conn: Conn, line: Pattern },
    Closed { conn: Conn },
}

/// A line to be heard: what stands between the places where anything may stand.
#[derive(Clone, Debug)]
pub struct Pattern(pub Vec<Vec<u8>>);

impl Script {
    /// Reads a transcript.
    pub fn read(name: &str, text: &str) -> Result<Script, String> {
        let mut script = Script { name: name.to_owned(), server: server(), steps: Vec::new() };
        let mut last = 0;
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            let understood = script.line(number, line, &mut last);
            understood.map_err(|why| format!("{name}:{number}: {why}"))?;
        }
        Ok(script)
    }

    /// The same without what is heard, and with all that a client says until something else happens in one
    /// step.
    pub fn merged(&self) -> Script {
        let mut merged = Script { name: self.name.clone(), server: self.server.clone(), steps: Vec::new() };
        for step in &self.steps {
            if !matches!(step.action, Action::Hear { .. } | Action::Closed { .. }) {
                merged.push(step.line, step.action.clone());
            }
        }
        merged
    }

    /// Adds a step. What a client says without a break is one.
    fn push(&mut self, line: usize, action: Action) {
        match (self.steps.last_mut().map(|step| &mut step.action), action) {
            (Some(Action::Say { conn, bytes }), Action::Say { conn: same, bytes: more }) if *conn == same => {
                bytes.extend(more);
            }
            (_, action) => self.steps.push(Step { line, action }),
        }
    }

    fn line(&mut self, number: usize, line: &str, last: &mut Conn) -> Result<(), String> {
        let (word, rest) = line.split_once(": ").unwrap_or((line, ""));
        let action = match word {
            "server" => return rest.split(' ').try_for_each(|fact| set(&mut self.server, fact)),
            "message" => Action::Deliver { address: format!("{rest}@example.test"), message: Vec::new() },
            "connect" => {
                *last += 1;
                let (name, tls) = rest.strip_suffix(" tls").map_or((rest, false), |name| (name, true));
                Action::Connect { conn: *last, service: service(name)?, tls }
            }
            "tls" | "deflate" => Action::Wait { ms: 0 },
            "wait" => Action::Wait { ms: rest.parse().map_err(|_| format!("not a number: {rest}"))? },
            "drain" => Action::Drain,
            "hang up" => Action::HangUp { conn: *last },
            "closed" if rest.is_empty() => Action::Closed { conn: *last },
            "closed" => Action::Closed { conn: rest.parse().map_err(|_| format!("not a number: {rest}"))? },
            _ if line.starts_with('|') => return self.message_line(line),
            _ => said(line, *last)?,
        };
        self.push(number, action);
        Ok(())
    }

    fn message_line(&mut self, line: &str) -> Result<(), String> {
        let Some(Action::Deliver { message, .. }) = self.steps.last_mut().map(|step| &mut step.action) else {
            return Err("a message's line without its message".to_owned());
        };
        match line.strip_prefix("|> ") {
            Some(octets) => message.extend(unescape(octets)?),
            None => message
                .extend([line.trim_start_matches("| ").trim_start_matches('|').as_bytes(), b"\r\n"].concat()),
        }
        Ok(())
    }
}

/// A `C` or `S` line.
fn said(line: &str, last: Conn) -> Result<Action, String> {
    let unknown = || format!("not a step: {line}");
    let (who, rest) = line.split_at_checked(1).ok_or_else(unknown)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = rest.split_at(digits);
    let conn = if number.is_empty() { last } else { number.parse().map_err(|_| unknown())? };
    let (kind, text) = rest.split_at_checked(2).unwrap_or((rest, ""));
    let action = match (who, kind.trim_end()) {
        ("C", ":") => Action::Say { conn, bytes: format!("{text}\r\n").into_bytes() },
        ("C", ">") => Action::Say { conn, bytes: unescape(text)? },
        ("S", ":") => Action::Hear { conn, line: Pattern(text.split('…').map(Vec::from).collect()) },
        ("S", ">") => {
            Action::Hear { conn, line: Pattern(text.split('…').map(unescape).collect::<Result<_, _>>()?) }
        }
        _ => return Err(unknown()),
    };
    if conn == 0 || conn > last { Err(format!("no connection {conn}")) } else { Ok(action) }
}

fn service(name: &str) -> Result<Service, String> {
    match name {
        "smtp" => Ok(Service::Smtp),
        "submission" => Ok(Service::Submission),
        "lmtp" => Ok(Service::Lmtp),
        "pop3" => Ok(Service::Pop3),
        "imap" => Ok(Service::Imap),
        _ => Err(format!("no such service: {name}")),
    }
}

/// A fact about the server, `name=value`.
fn set(server: &mut Server, fact: &str) -> Result<(), String> {
    let (name, value) = fact.split_once('=').ok_or_else(|| format!("not name=value: {fact}"))?;
    let number = || value.parse().map_err(|_| format!("not a number: {value}"));
    match name {
        "plaintext_login" => server.plaintext_login = value == "yes",
        "tls" => server.tls = value == "yes",
        "message_bytes_max" => server.message_bytes_max = number()?,
        "recipients_max" => server.recipients_max = number()?,
        "imap_literal_minus" => server.imap.literal_minus = value == "yes",
        "imap_legacy_8bit_headers" => server.imap.legacy_8bit_headers = value == "yes",
        "imap_message_limit" => server.imap.message_limit = Some(number()? as u32),
        "imap_save_limit" => server.imap.save_limit = Some(number()? as u32),
        "imap_login_referrals" => server.imap.login_referrals = value == "yes",
        "pop3_login_delay_s" => server.pop3_login_delay_s = Some(number()? as u32),
        _ => return Err(format!("no such fact: {name}")),
    }
    Ok(())
}

/// Text with `\r \n \t \0 \\ \xNN` as octets.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        let hex = || after.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (octet, length) = match after.as_bytes().first() {
            Some(b'r') => (Some(b'\r'), 1),
            Some(b'n') => (Some(b'\n'), 1),
            Some(b't') => (Some(b'\t'), 1),
            Some(b'0') => (Some(0), 1),
            Some(b'\\') => (Some(b'\\'), 1),
            Some(b'x') => (hex(), 3),
            _ => (None, 0),
        };
        octets.push(octet.ok_or_else(|| format!("bad escape in {text}"))?);
        rest = &after[length..];
    }
    octets.extend_from_slice(rest.as_bytes());
    Ok(octets)
}

#[test]
fn escapes() {
    assert_eq!(unescape("a\\r\\n\\x00\\xff\\\\\\t\\0"), Ok(b"a\r\n\0\xff\\\t\0".to_vec()));
    for bad in ["\\q", "\\", "\\x1", "\\xgg"] {
        assert!(unescape(bad).is_err(), "{bad}");
    }
}
