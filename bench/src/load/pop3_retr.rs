//! Scenario `pop3-retr`: retrieve messages in turn.
//!
//! *Owns*: POP3 as a client (rfc1939), one RETR as an operation. *Promises*: the text ends by its lone dot
//! and has as many octets as LIST says. *Assumes*: a maildrop has one session at a time (rfc1939#4), so
//! --mailboxes should not be fewer than --connections. *Never*: deletes.

use super::client::{Connection, Target};
use super::deliver::run_number;
use super::failure::{Failure, Kind};
use super::imap::parse_number;
use super::imap_fetch::prepare;
use super::message::Messages;
use super::run::{Done, Scenario};
use crate::options;

/// Messages of one maildrop.
const MESSAGES_MAX: usize = 1_000_000;

/// The scenario.
pub struct Pop3Retr {
    options: options::Fetch,
    target: Target,
    messages: Messages,
}

/// A connection in transaction state.
pub struct Maildrop {
    connection: Connection,
    /// Number and octets of each message.
    sizes: Vec<(u64, u64)>,
    next: usize,
}

impl Pop3Retr {
    /// From the command line; fills the maildrops first, by IMAP, where that was asked for.
    pub async fn new(options: options::Fetch) -> Result<Pop3Retr, String> {
        let target = Target::new(&options.common, options.common.port.unwrap_or(2110))?;
        let messages = Messages::new("bench@example.test", options.common.message_bytes, run_number());
        if options.prepare {
            prepare(&options, &target.plain(options.imap_port), &messages).await?;
        }
        Ok(Pop3Retr { options, target, messages })
    }
}

impl Scenario for Pop3Retr {
    type Session = Maildrop;

    async fn open(&self, index: usize) -> Result<Maildrop, Failure> {
        let mut connection = Connection::open(&self.target, index).await?;
        expect_ok(&mut connection, "greeting").await?;
        let user = self.options.common.user(index as u64);
        command(&mut connection, &format!("USER {user}")).await?;
        command(&mut connection, &format!("PASS {}", self.options.login.password)).await?;
        command(&mut connection, "LIST").await?;
        let mut sizes = Vec::new();
        loop {
            let line = connection.line().await?;
            if line.as_ref() == b"." {
                break;
            }
            if sizes.len() == MESSAGES_MAX {
                return Err(Failure::malformed("LIST is too long", &line));
            }
            sizes.push(scan_listing(&line).ok_or_else(|| Failure::malformed("LIST", &line))?);
        }
        if (sizes.len() as u64) < self.options.messages {
            let text = format!("the maildrop of {user} has {} messages; --prepare fills it", sizes.len());
            return Err(Failure::new(Kind::Mismatch, text));
        }
        Ok(Maildrop { connection, sizes, next: index })
    }

    async fn once(&self, maildrop: &mut Maildrop, _: u64) -> Result<Done, Failure> {
        let (number, size) = maildrop.sizes[maildrop.next % maildrop.sizes.len()];
        maildrop.next += 1;
        command(&mut maildrop.connection, &format!("RETR {number}")).await?;
        let octets = maildrop.connection.skip_dotted().await?;
        if octets != size {
            let text = format!("message {number} has {octets} octets, LIST said {size}");
            return Err(Failure::new(Kind::Mismatch, text));
        }
        Ok(Done { bytes: octets, messages: 1 })
    }

    async fn close(&self, mut maildrop: Maildrop) -> Result<(), Failure> {
        command(&mut maildrop.connection, "QUIT").await
    }

    fn target(&self) -> String {
        self.target.address().to_string()
    }

    fn message_bytes(&self) -> usize {
        self.messages.len()
    }
}

async fn command(connection: &mut Connection, command: &str) -> Result<(), Failure> {
    connection.send(&[command.as_bytes(), b"\r\n"]).await?;
    // The password must not show in a report.
    expect_ok(connection, command.split(' ').next().unwrap_or_default()).await
}

async fn expect_ok(connection: &mut Connection, context: &str) -> Result<(), Failure> {
    let line = connection.line().await?;
    if line.starts_with(b"+OK") { Ok(()) } else { Err(Failure::refused(context, &line)) }
}

/// `number size`, and whatever follows (rfc1939#5 scan listing).
fn scan_listing(line: &[u8]) -> Option<(u64, u64)> {
    let mut words = line.split(|&byte| byte == b' ');
    Some((parse_number(words.next()?)?, parse_number(words.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_listings_are_read() {
        assert_eq!(scan_listing(b"3 4096"), Some((3, 4096)));
        assert_eq!(scan_listing(b"3 4096 more"), Some((3, 4096)));
        assert_eq!(scan_listing(b"3"), None);
        assert_eq!(scan_listing(b"x 1"), None);
    }
}
