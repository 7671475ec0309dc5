//! The client side of IMAP, as far as the load needs it.
//!
//! *Owns*: tags, responses with their literals, LOGIN, SELECT, APPEND, IDLE (rfc3501, rfc7888, rfc2177).
//! *Promises*: literals are counted and let pass, never kept; every tagged answer is checked.
//! *Assumes*: one command at a time. *Never*: interprets more than it must.

use super::client::{Connection, Target, literal_len};
use super::failure::{Failure, Kind};
use super::message::Messages;

/// A connection, logged in.
pub struct ImapSession {
    connection: Connection,
    tag: u64,
    literal_plus: bool,
    capabilities: Vec<String>,
}

/// An untagged response: its first line, and the octets of all literals in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Untagged<'a> {
    /// Up to the first literal.
    pub line: &'a [u8],
    /// Octets.
    pub literal_bytes: u64,
}

impl Untagged<'_> {
    /// `* n NAME`: the number, if this is such a response.
    pub fn numbered(&self, name: &[u8]) -> Option<u64> {
        numbered(self.line, name)
    }
}

/// `* n NAME …`: n.
pub fn numbered(line: &[u8], name: &[u8]) -> Option<u64> {
    let mut words = line.strip_prefix(b"* ")?.splitn(3, |&byte| byte == b' ');
    let number = parse_number(words.next()?)?;
    words.next()?.eq_ignore_ascii_case(name).then_some(number)
}

/// Digits only.
pub fn parse_number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// A quoted string (rfc3501#9).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl ImapSession {
    /// Connects and logs in.
    pub async fn open(
        target: &Target,
        index: usize,
        user: &str,
        password: &str,
    ) -> Result<ImapSession, Failure> {
        let mut connection = Connection::open(target, index).await?;
        let greeting = connection.line().await?;
        if !greeting.starts_with(b"* OK") {
            return Err(Failure::refused("greeting", &greeting));
        }
        let mut session = ImapSession { connection, tag: 0, literal_plus: false, capabilities: Vec::new() };
        session.command(&format!("LOGIN {} {}", quoted(user), quoted(password)), |_| {}).await?;
        let mut capabilities = Vec::new();
        session
            .command("CAPABILITY", |response| {
                let line = String::from_utf8_lossy(response.line).to_ascii_uppercase();
                if let Some(names) = line.strip_prefix("* CAPABILITY ") {
                    capabilities.extend(names.split_ascii_whitespace().map(str::to_owned));
                }
            })
            .await?;
        session.capabilities = capabilities;
        session.literal_plus = session.has("LITERAL+");
        Ok(session)
    }

    /// Whether the server announces a capability, in upper case, after login.
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|name| name == capability)
    }

    /// Sends a command and hands over each line of its answer, also those within a response with literals; the
    /// tagged one must be OK. How many octets came.
    pub async fn list(&mut self, command: &str, on_line: impl FnMut(&[u8])) -> Result<u64, Failure> {
        let tag = self.next_tag();
        self.connection.send(&[tag.as_bytes(), b" ", command.as_bytes(), b"\r\n"]).await?;
        self.answered(&tag, command, on_line).await
    }

    /// Reads the answer to `tag`.
    async fn answered(
        &mut self,
        tag: &str,
        command: &str,
        on_line: impl FnMut(&[u8]),
    ) -> Result<u64, Failure> {
        let (line, octets) = self.connection.answer(tag.as_bytes(), on_line).await?;
        let status = line.get(tag.len() + 1..).unwrap_or_default();
        let is_ok = status.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"OK"));
        let context = command.split(' ').next().unwrap_or_default();
        if is_ok { Ok(octets) } else { Err(Failure::refused(context, &line)) }
    }

    /// Sends several commands at once, each already with its arguments and literals (LITERAL+), and waits for
    /// all their answers.
    pub async fn pipeline(&mut self, commands: &[Vec<u8>]) -> Result<(), Failure> {
        let mut sent = Vec::new();
        let first = self.tag + 1;
        for command in commands {
            let tag = self.next_tag();
            sent.extend_from_slice(tag.as_bytes());
            sent.push(b' ');
            sent.extend_from_slice(command);
            sent.extend_from_slice(b"\r\n");
        }
        self.connection.send(&[&sent]).await?;
        for tag in first..=self.tag {
            self.answered(&format!("a{tag}"), "APPEND", |_| {}).await?;
        }
        Ok(())
    }

    /// Sends a command and hands over its untagged responses; the tagged one must be OK.
    pub async fn command(
        &mut self,
        command: &str,
        on_untagged: impl FnMut(Untagged<'_>),
    ) -> Result<(), Failure> {
        let tag = self.next_tag();
        self.connection.send(&[tag.as_bytes(), b" ", command.as_bytes(), b"\r\n"]).await?;
        // The password must not show in a report.
        let context = command.split(' ').next().unwrap_or_default();
        self.finish(&tag, context, on_untagged).await
    }

    fn next_tag(&mut self) -> String {
        self.tag += 1;
        format!("a{}", self.tag)
    }

    async fn finish(
        &mut self,
        tag: &str,
        context: &str,
        mut on_untagged: impl FnMut(Untagged<'_>),
    ) -> Result<(), Failure> {
        loop {
            let line = self.connection.line().await?;
            if let Some(status) = line.strip_prefix(tag.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) {
                let is_ok = status.get(..2).is_some_and(|word| word.eq_ignore_ascii_case(b"OK"));
                return if is_ok { Ok(()) } else { Err(Failure::refused(context, &line)) };
            }
            if !line.starts_with(b"* ") {
                return Err(Failure::malformed(context, &line));
            }
            let mut literal_bytes = 0;
            let mut announced = literal_len(&line);
            while let Some(len) = announced {
                self.connection.skip(len).await?;
                literal_bytes += len;
                announced = literal_len(&self.connection.line().await?);
            }
            on_untagged(Untagged { line: &line, literal_bytes });
        }
    }

    /// Selects a mailbox; how many messages it has.
    pub async fn select(&mut self, mailbox: &str) -> Result<u64, Failure> {
        let mut exists = None;
        self.command(&format!("SELECT {}", quoted(mailbox)), |response| {
            exists = response.numbered(b"EXISTS").or(exists);
        })
        .await?;
        exists.ok_or(Failure::new(Kind::Malformed, "SELECT without EXISTS"))
    }

    /// Appends a message, without a round trip for the literal where the server allows it (rfc7888).
    pub async fn append(&mut self, mailbox: &str, messages: &Messages, number: u64) -> Result<(), Failure> {
        let tag = self.next_tag();
        let plus = if self.literal_plus { "+" } else { "" };
        let command = format!("{tag} APPEND {} {{{}{plus}}}\r\n", quoted(mailbox), messages.len());
        let header = messages.header(number);
        let rest: [&[u8]; 3] = [header.as_bytes(), messages.body(), b"\r\n"];
        if self.literal_plus {
            self.connection.send(&[command.as_bytes(), rest[0], rest[1], rest[2]]).await?;
        } else {
            self.connection.send(&[command.as_bytes()]).await?;
            self.expect_continuation("APPEND").await?;
            self.connection.send(&rest).await?;
        }
        self.finish(&tag, "APPEND", |_| {}).await
    }

    /// Waits for `+`; untagged responses may come before it.
    async fn expect_continuation(&mut self, context: &str) -> Result<(), Failure> {
        loop {
            let line = self.connection.line().await?;
            if line.starts_with(b"+") {
                return Ok(());
            }
            if !line.starts_with(b"* ") {
                return Err(Failure::refused(context, &line));
            }
        }
    }

    /// Begins IDLE (rfc2177).
    pub async fn idle(&mut self) -> Result<(), Failure> {
        let tag = self.next_tag();
        self.connection.send(&[tag.as_bytes(), b" IDLE\r\n"]).await?;
        self.expect_continuation("IDLE").await
    }

    /// The next untagged line while in IDLE.
    pub async fn pushed(&mut self) -> Result<bytes::Bytes, Failure> {
        let line = self.connection.line().await?;
        if line.starts_with(b"* BYE") || !line.starts_with(b"* ") {
            return Err(Failure::refused("IDLE", &line));
        }
        Ok(line)
    }

    /// Ends IDLE.
    pub async fn done(&mut self) -> Result<(), Failure> {
        self.connection.send(&[b"DONE\r\n"]).await?;
        let tag = format!("a{}", self.tag);
        self.finish(&tag, "IDLE", |_| {}).await
    }

    /// Says goodbye.
    pub async fn logout(mut self) -> Result<(), Failure> {
        self.command("LOGOUT", |_| {}).await
    }
}

/// Fills a user's INBOX up to `wanted` messages if asked to; how many it has then.
pub async fn prepare_inbox(
    session: &mut ImapSession,
    messages: Option<&Messages>,
    wanted: u64,
) -> Result<u64, Failure> {
    let exists = session.select("INBOX").await?;
    let Some(messages) = messages else { return Ok(exists) };
    for number in exists..wanted {
        session.append("INBOX", messages, number).await?;
    }
    Ok(exists.max(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_read_as_far_as_needed() {
        assert_eq!(numbered(b"* 12 EXISTS", b"EXISTS"), Some(12));
        assert_eq!(numbered(b"* 3 fetch (UID 3)", b"FETCH"), Some(3));
        assert_eq!(numbered(b"* 12 RECENT", b"EXISTS"), None);
        assert_eq!(numbered(b"* OK EXISTS", b"EXISTS"), None);
        assert_eq!(numbered(b"a1 OK", b"OK"), None);
    }

    #[test]
    fn literals_are_seen_at_line_ends_only() {
        assert_eq!(literal_len(b"* 1 FETCH (BODY[] {4096}"), Some(4096));
        assert_eq!(literal_len(b"* 1 FETCH (X {1} Y)"), None);
        assert_eq!(literal_len(b"* 1 FETCH (X {}"), None);
        assert_eq!(literal_len(b"{99999999999999999999999}"), None);
    }

    #[test]
    fn strings_are_quoted() {
        assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }
}
