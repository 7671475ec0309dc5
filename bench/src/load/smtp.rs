//! The client side of SMTP and LMTP.
//!
//! *Owns*: greeting, EHLO or LHLO, one transaction (rfc5321#3.3, rfc2033#4.2). *Promises*: every reply's code
//! is checked; with PIPELINING the envelope goes in one write (rfc2920). *Assumes*: messages need no
//! dot-stuffing.
//! *Never*: tries again.

use super::client::{Connection, Target};
use super::failure::Failure;
use super::message::Messages;

/// SMTP or LMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// rfc5321
    Smtp,
    /// rfc2033
    Lmtp,
}

/// Lines of one reply.
const REPLY_LINES_MAX: usize = 100;

/// A connection after its greeting.
pub struct SmtpSession {
    connection: Connection,
    pipelining: bool,
}

impl SmtpSession {
    /// Connects and greets.
    pub async fn open(target: &Target, index: usize, dialect: Dialect) -> Result<SmtpSession, Failure> {
        let connection = Connection::open(target, index).await?;
        let mut session = SmtpSession { connection, pipelining: false };
        session.expect("greeting", b"220").await?;
        let hello = match dialect {
            Dialect::Smtp => b"EHLO bench.invalid\r\n",
            Dialect::Lmtp => b"LHLO bench.invalid\r\n",
        };
        session.connection.send(&[hello]).await?;
        session.pipelining = session.expect("hello", b"250").await?;
        Ok(session)
    }

    /// One message for one recipient; ends with the reply that takes it.
    pub async fn deliver(
        &mut self,
        sender: &str,
        recipient: &str,
        messages: &Messages,
        number: u64,
    ) -> Result<(), Failure> {
        let commands = [
            (format!("MAIL FROM:<{sender}>\r\n"), b"250"),
            (format!("RCPT TO:<{recipient}>\r\n"), b"250"),
            ("DATA\r\n".to_owned(), b"354"),
        ];
        if self.pipelining {
            let all: Vec<&[u8]> = commands.iter().map(|(command, _)| command.as_bytes()).collect();
            self.connection.send(&all).await?;
        }
        for (command, code) in &commands {
            if !self.pipelining {
                self.connection.send(&[command.as_bytes()]).await?;
            }
            self.expect(command.trim_end(), code).await?;
        }
        let header = messages.header(number);
        let body = messages.body();
        let line_end: &[u8] = if body.is_empty() || body.ends_with(b"\r\n") { b"" } else { b"\r\n" };
        self.connection.send(&[header.as_bytes(), body, line_end, b".\r\n"]).await?;
        // With one recipient LMTP has one reply as well (rfc2033#4.2).
        self.expect("message", b"250").await?;
        Ok(())
    }

    /// Says goodbye.
    pub async fn quit(mut self) -> Result<(), Failure> {
        self.connection.send(&[b"QUIT\r\n"]).await?;
        self.expect("QUIT", b"221").await?;
        Ok(())
    }

    /// Reads a reply with this code; whether one of its lines announces PIPELINING.
    async fn expect(&mut self, context: &str, code: &[u8; 3]) -> Result<bool, Failure> {
        let mut pipelining = false;
        for _ in 0..REPLY_LINES_MAX {
            let line = self.connection.line().await?;
            let (is_last, text) = split_reply(&line).ok_or_else(|| Failure::malformed(context, &line))?;
            if !line.starts_with(code) {
                return Err(Failure::refused(context, &line));
            }
            pipelining |= text.eq_ignore_ascii_case(b"PIPELINING");
            if is_last {
                return Ok(pipelining);
            }
        }
        Err(Failure::malformed(context, b"a reply without an end"))
    }
}

/// Whether a reply line is the last one, and its text (rfc5321#4.2).
fn split_reply(line: &[u8]) -> Option<(bool, &[u8])> {
    let (code, rest) = line.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) {
        return None;
    }
    match rest.split_first() {
        None => Some((true, rest)),
        Some((b' ', text)) => Some((true, text)),
        Some((b'-', text)) => Some((false, text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_lines_split_into_code_and_text() {
        assert_eq!(split_reply(b"250-SIZE 10"), Some((false, &b"SIZE 10"[..])));
        assert_eq!(split_reply(b"250 ok"), Some((true, &b"ok"[..])));
        assert_eq!(split_reply(b"354"), Some((true, &b""[..])));
        for bad in [&b"25"[..], b"2x0 ok", b"250x", b""] {
            assert_eq!(split_reply(bad), None);
        }
    }
}
