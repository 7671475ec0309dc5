//! What a command line means.
//!
//! *Owns*: the grammar of SMTP and LMTP commands and their parameters. *Promises*: a command that comes out
//! is well-formed. *Assumes*: a line without its CRLF, within `limits`. *Never*: knows what is allowed when.

use super::path::{self, Path};
use super::reply;

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `EHLO`, `HELO` or `LHLO` and the client's name.
    Hello(Hello, &'a [u8]),
    /// `STARTTLS` (rfc3207)
    StartTls,
    /// `AUTH mechanism [initial-response]` (rfc4954)
    Auth(&'a [u8], Option<&'a [u8]>),
    /// `MAIL FROM:<path> [parameters]`
    Mail(Mail),
    /// `RCPT TO:<path>`
    Rcpt(Path),
    /// `DATA`
    Data,
    /// `BDAT size [LAST]` (rfc3030)
    Bdat {
        /// Octets that follow.
        size: u64,
        /// Whether the message ends with them.
        last: bool,
    },
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `QUIT`
    Quit,
    /// `VRFY`
    Vrfy,
    /// `EXPN`
    Expn,
    /// `HELP`
    Help,
}

/// Which greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hello {
    /// rfc5321
    Ehlo,
    /// rfc821
    Helo,
    /// rfc2033
    Lhlo,
}

/// MAIL's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The reverse-path.
    pub sender: Path,
    /// `SIZE=` (rfc1870); none when not said.
    pub size: Option<u64>,
    /// `BODY=BINARYMIME` (rfc3030#3); 7BIT and 8BITMIME are treated the same.
    pub binary: bool,
    /// `SMTPUTF8` (rfc6531#3.4)
    pub smtputf8: bool,
    /// Whether `AUTH=` was given (rfc4954#5); its value is not trusted.
    pub auth: bool,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Answer this and go on.
    Reply(&'static str),
    /// A BDAT whose size cannot be read: where the next command begins is not known.
    Chunk,
}

const BAD_ARGUMENTS: Bad = Bad::Reply(reply::BAD_ARGUMENTS);

/// Reads a command line.
pub fn parse(line: &[u8]) -> Result<Command<'_>, Bad> {
    let end = line.iter().position(|&octet| octet == b' ').unwrap_or(line.len());
    let (verb, rest) = line.split_at(end);
    let rest = trim(rest);
    let mut name = [0; 8];
    let Some(letters) = name.get_mut(..verb.len()) else { return Err(Bad::Reply(reply::UNKNOWN)) };
    letters.copy_from_slice(verb);
    letters.make_ascii_uppercase();
    let command = match &*letters {
        b"EHLO" => hello(Hello::Ehlo, rest)?,
        b"HELO" => hello(Hello::Helo, rest)?,
        b"LHLO" => hello(Hello::Lhlo, rest)?,
        b"AUTH" => auth(rest)?,
        b"MAIL" => Command::Mail(mail(rest)?),
        b"RCPT" => Command::Rcpt(rcpt(rest)?),
        b"BDAT" => bdat(rest)?,
        b"VRFY" => argument(Command::Vrfy, rest)?,
        b"EXPN" => argument(Command::Expn, rest)?,
        // Both may say anything.
        b"NOOP" => Command::Noop,
        b"HELP" => Command::Help,
        b"STARTTLS" => alone(Command::StartTls, rest)?,
        b"DATA" => alone(Command::Data, rest)?,
        b"RSET" => alone(Command::Rset, rest)?,
        b"QUIT" => alone(Command::Quit, rest)?,
        _ => return Err(Bad::Reply(reply::UNKNOWN)),
    };
    Ok(command)
}

/// Without the spaces and tabs around it (rfc5321#4.1.1 asks to bear them at the end). A lone CR is neither
/// (rfc5321#2.3.8).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn alone<'a>(command: Command<'a>, rest: &[u8]) -> Result<Command<'a>, Bad> {
    if rest.is_empty() { Ok(command) } else { Err(BAD_ARGUMENTS) }
}

fn argument<'a>(command: Command<'a>, rest: &[u8]) -> Result<Command<'a>, Bad> {
    if rest.is_empty() { Err(BAD_ARGUMENTS) } else { Ok(command) }
}

fn hello(which: Hello, name: &[u8]) -> Result<Command<'_>, Bad> {
    argument(Command::Hello(which, name), name)
}

fn auth(rest: &[u8]) -> Result<Command<'_>, Bad> {
    let mut words = rest.split(|&octet| octet == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial, None) if !mechanism.is_empty() => Ok(Command::Auth(mechanism, initial)),
        _ => Err(BAD_ARGUMENTS),
    }
}

/// The text behind `FROM:` or `TO:`; a space there is wrong and common.
fn behind<'a>(keyword: &str, rest: &'a [u8], bad: &'static str) -> Result<&'a str, Bad> {
    let rest = std::str::from_utf8(rest).map_err(|_| Bad::Reply(bad))?;
    let head = rest.get(..keyword.len()).ok_or(BAD_ARGUMENTS)?;
    if head.eq_ignore_ascii_case(keyword) {
        Ok(rest[keyword.len()..].trim_start_matches(' '))
    } else {
        Err(BAD_ARGUMENTS)
    }
}

fn mail(rest: &[u8]) -> Result<Mail, Bad> {
    let text = behind("FROM:", rest, reply::BAD_SENDER)?;
    let (sender, parameters) = match path::parse(text) {
        None | Some((Path::Postmaster, _)) => return Err(Bad::Reply(reply::BAD_SENDER)),
        Some(parsed) => parsed,
    };
    let mut mail = Mail { sender, size: None, binary: false, smtputf8: false, auth: false };
    let mut body_seen = false;
    for (keyword, value) in split(parameters)? {
        let again = match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => mail.size.replace(announced(value.unwrap_or_default()).ok_or(BAD_ARGUMENTS)?).is_some(),
            "BODY" => {
                mail.binary = match value.unwrap_or_default().to_ascii_uppercase().as_str() {
                    "7BIT" | "8BITMIME" => false,
                    "BINARYMIME" => true,
                    _ => return Err(BAD_ARGUMENTS),
                };
                std::mem::replace(&mut body_seen, true)
            }
            "SMTPUTF8" if value.is_none() => std::mem::replace(&mut mail.smtputf8, true),
            "AUTH" if value.is_some() => std::mem::replace(&mut mail.auth, true),
            "SMTPUTF8" | "AUTH" => return Err(BAD_ARGUMENTS),
            _ => return Err(Bad::Reply(reply::BAD_PARAMETER)),
        };
        if again {
            return Err(BAD_ARGUMENTS);
        }
    }
    Ok(mail)
}

fn rcpt(rest: &[u8]) -> Result<Path, Bad> {
    let text = behind("TO:", rest, reply::BAD_RECIPIENT)?;
    match path::parse(text) {
        None | Some((Path::Null, _)) => Err(Bad::Reply(reply::BAD_RECIPIENT)),
        Some((recipient, parameters)) => match split(parameters)?.next() {
            // None is offered.
            Some(_) => Err(Bad::Reply(reply::BAD_PARAMETER)),
            None => Ok(recipient),
        },
    }
}

/// `SP keyword["=" value]` (rfc5321#4.1.2), as many as there are.
fn split(parameters: &str) -> Result<impl Iterator<Item = (&str, Option<&str>)>, Bad> {
    if !parameters.is_empty() && !parameters.starts_with(' ') {
        return Err(BAD_ARGUMENTS);
    }
    let words = parameters.split(' ').filter(|word| !word.is_empty());
    Ok(words.map(|word| match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    }))
}

fn bdat(rest: &[u8]) -> Result<Command<'_>, Bad> {
    let rest = std::str::from_utf8(rest).map_err(|_| Bad::Chunk)?;
    let (size, last) = match rest.split_once(' ') {
        Some((size, last)) if last.trim_start().eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(Bad::Chunk),
        None => (rest, false),
    };
    let counted = is_decimal(size).then(|| size.parse().ok()).flatten();
    Ok(Command::Bdat { size: counted.ok_or(Bad::Chunk)?, last })
}

/// Up to 20 digits (rfc1870#3): a size that no number holds is well-formed and too large.
fn announced(digits: &str) -> Option<u64> {
    let valid = (1..=20).contains(&digits.len()) && is_decimal(digits);
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn is_decimal(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::smtp::path::Mailbox;

    fn alice() -> Path {
        Path::Mailbox(Mailbox { text: "alice@x.test".into(), local: "alice".into(), domain: "x.test".into() })
    }

    fn mail(size: Option<u64>, binary: bool, smtputf8: bool, auth: bool) -> Command<'static> {
        Command::Mail(Mail { sender: alice(), size, binary, smtputf8, auth })
    }

    #[test]
    fn every_command_is_read_in_any_case() {
        let good: Vec<(&[u8], Command<'_>)> = vec![
            (b"EHLO bar.com", Command::Hello(Hello::Ehlo, b"bar.com")),
            (b"helo bar.com ", Command::Hello(Hello::Helo, b"bar.com")),
            (b"LHLO foo.edu", Command::Hello(Hello::Lhlo, b"foo.edu")),
            (b"STARTTLS", Command::StartTls),
            (b"AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ=", Command::Auth(b"PLAIN", Some(b"dGVzdAB0ZXN0ADEyMzQ="))),
            (b"auth login", Command::Auth(b"login", None)),
            (b"MAIL FROM:<alice@x.test>", mail(None, false, false, false)),
            (
                b"MAIL FROM:<alice@x.test> SIZE=99999999999999999999",
                mail(Some(u64::MAX), false, false, false),
            ),
            (b"mail from: <alice@x.test> size=1000 body=8bitmime", mail(Some(1000), false, false, false)),
            (b"MAIL FROM:<alice@x.test> BODY=BINARYMIME SMTPUTF8 AUTH=<>", mail(None, true, true, true)),
            (b"RCPT TO:<alice@x.test>", Command::Rcpt(alice())),
            (b"RCPT TO:<Postmaster>", Command::Rcpt(Path::Postmaster)),
            (b"RCPT TO:<@a,@b:alice@x.test> ", Command::Rcpt(alice())),
            (b"DATA", Command::Data),
            (b"BDAT 86 LAST", Command::Bdat { size: 86, last: true }),
            (b"bdat 0 last", Command::Bdat { size: 0, last: true }),
            (b"BDAT 100000", Command::Bdat { size: 100_000, last: false }),
            (b"RSET \t ", Command::Rset),
            (b"NOOP anything \xff", Command::Noop),
            (b"QUIT", Command::Quit),
            (b"VRFY Crispin", Command::Vrfy),
            (b"EXPN list", Command::Expn),
            (b"HELP", Command::Help),
        ];
        for (line, command) in good {
            assert_eq!(parse(line), Ok(command), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn everything_else_gets_its_own_refusal() {
        let bad: [(&[u8], &str); 28] = [
            (b"", reply::UNKNOWN),
            (b"\0\0", reply::UNKNOWN),
            (b"\xff\xfe GET", reply::UNKNOWN),
            (b"GET / HTTP/1.1", reply::UNKNOWN),
            (b"STARTTLSX", reply::UNKNOWN),
            (b"MAILFROM:<a@b>", reply::UNKNOWN),
            (b"EHLO", reply::BAD_ARGUMENTS),
            (b"STARTTLS now", reply::BAD_ARGUMENTS),
            (b"DATA x", reply::BAD_ARGUMENTS),
            (b"VRFY", reply::BAD_ARGUMENTS),
            (b"AUTH", reply::BAD_ARGUMENTS),
            (b"AUTH PLAIN a b", reply::BAD_ARGUMENTS),
            (b"MAIL", reply::BAD_ARGUMENTS),
            (b"MAIL TO:<a@b>", reply::BAD_ARGUMENTS),
            (b"MAIL FROM:a@b", reply::BAD_SENDER),
            (b"MAIL FROM:<postmaster>", reply::BAD_SENDER),
            (b"MAIL FROM:<\xff@b>", reply::BAD_SENDER),
            (b"MAIL FROM:<a@b>SIZE=1", reply::BAD_ARGUMENTS),
            (b"MAIL FROM:<a@b> SIZE=x", reply::BAD_ARGUMENTS),
            (b"MAIL FROM:<a@b> SIZE=000000000000000000001", reply::BAD_ARGUMENTS),
            (b"MAIL FROM:<a@b>\r", reply::BAD_ARGUMENTS),
            (b"RSET \r", reply::BAD_ARGUMENTS),
            ("MAIL FROM:\u{2003}<a@b>".as_bytes(), reply::BAD_SENDER),
            (b"MAIL FROM:<a@b> SIZE=1 SIZE=1", reply::BAD_ARGUMENTS),
            (b"MAIL FROM:<a@b> BODY=9BIT", reply::BAD_ARGUMENTS),
            (b"MAIL FROM:<a@b> XFOO=1", reply::BAD_PARAMETER),
            (b"RCPT TO:<>", reply::BAD_RECIPIENT),
            (b"RCPT TO:<a@b> NOTIFY=NEVER", reply::BAD_PARAMETER),
        ];
        for (line, refusal) in bad {
            assert_eq!(parse(line), Err(Bad::Reply(refusal)), "{}", line.escape_ascii());
        }
        let chunks: [&[u8]; 6] =
            [b"BDAT", b"BDAT x", b"BDAT -1", b"BDAT 1 FIRST", b"BDAT 99999999999999999999", b"BDAT 1 LAST x"];
        for line in chunks {
            assert_eq!(parse(line), Err(Bad::Chunk), "{}", line.escape_ascii());
        }
    }
}
