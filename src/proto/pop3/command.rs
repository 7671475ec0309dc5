//! What a command line means.
//!
//! *Owns*: the grammar of POP3 commands. *Promises*: borrows from the line, allocates nothing. *Assumes*: a
//! line without its CRLF, within `limits`. *Never*: knows in which state a command is allowed.

/// A command with its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `CAPA` (rfc2449#5)
    Capa,
    /// `STLS` (rfc2595#4)
    Stls,
    /// `UTF8` (rfc6856#2.1)
    Utf8,
    /// `USER name`
    User(&'a [u8]),
    /// `PASS string`: all that follows the first space is the password (rfc1939#7).
    Pass(&'a [u8]),
    /// `AUTH mechanism [initial-response]` (rfc5034#4)
    Auth(&'a [u8], Option<&'a [u8]>),
    /// `STAT`
    Stat,
    /// `LIST [msg]`
    List(Option<u32>),
    /// `UIDL [msg]`
    Uidl(Option<u32>),
    /// `RETR msg`
    Retr(u32),
    /// `TOP msg n`
    Top(u32, u32),
    /// `DELE msg`
    Dele(u32),
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `QUIT`
    Quit,
}

/// Why a line is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The keyword is not known here.
    Unknown,
    /// The keyword is, its arguments are not.
    Arguments,
}

/// Reads a command line.
pub fn parse(line: &[u8]) -> Result<Command<'_>, Bad> {
    let (keyword, rest) = match memchr::memchr(b' ', line) {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &line[line.len()..]),
    };
    let mut name = [0; 4];
    let Some(letters) = name.get_mut(..keyword.len()) else { return Err(Bad::Unknown) };
    letters.copy_from_slice(keyword);
    letters.make_ascii_uppercase();
    if letters == b"PASS" {
        return if rest.is_empty() { Err(Bad::Arguments) } else { Ok(Command::Pass(rest)) };
    }
    // Spaces at the end are harmless and common.
    let mut words = rest.trim_ascii_end().split(|&octet| octet == b' ');
    let arguments = [words.next().filter(|word| !word.is_empty()), words.next()];
    let command = match (&*letters, arguments) {
        (b"CAPA", [None, _]) => Command::Capa,
        (b"STLS", [None, _]) => Command::Stls,
        (b"UTF8", [None, _]) => Command::Utf8,
        (b"USER", [Some(name), None]) => Command::User(name),
        (b"AUTH", [Some(mechanism), initial]) => Command::Auth(mechanism, initial),
        (b"STAT", [None, _]) => Command::Stat,
        (b"LIST", [message, None]) => Command::List(message.map(number).transpose()?),
        (b"UIDL", [message, None]) => Command::Uidl(message.map(number).transpose()?),
        (b"RETR", [Some(message), None]) => Command::Retr(number(message)?),
        (b"TOP", [Some(message), Some(lines)]) => Command::Top(number(message)?, number(lines)?),
        (b"DELE", [Some(message), None]) => Command::Dele(number(message)?),
        (b"NOOP", [None, _]) => Command::Noop,
        (b"RSET", [None, _]) => Command::Rset,
        (b"QUIT", [None, _]) => Command::Quit,
        (name, _) if KEYWORDS.contains(&name) => return Err(Bad::Arguments),
        _ => return Err(Bad::Unknown),
    };
    // Nothing may follow the last argument.
    if words.next().is_some() { Err(Bad::Arguments) } else { Ok(command) }
}

const KEYWORDS: [&[u8]; 14] = [
    b"CAPA", b"STLS", b"UTF8", b"USER", b"AUTH", b"STAT", b"LIST", b"UIDL", b"RETR", b"TOP", b"DELE",
    b"NOOP", b"RSET", b"QUIT",
];

/// A decimal number. One that is too large saturates: no message has it, and no message has as many lines.
fn number(digits: &[u8]) -> Result<u32, Bad> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Bad::Arguments);
    }
    let value = digits
        .iter()
        .fold(0u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_read_in_any_case() {
        let good: [(&[u8], Command<'_>); 19] = [
            (b"CAPA", Command::Capa),
            (b"stls", Command::Stls),
            (b"Utf8", Command::Utf8),
            (b"USER mrose", Command::User(b"mrose")),
            (b"PASS secret", Command::Pass(b"secret")),
            (b"pass two words ", Command::Pass(b"two words ")),
            (b"AUTH PLAIN", Command::Auth(b"PLAIN", None)),
            (b"AUTH PLAIN dGVzdAB0ZXN0AHRlc3Q=", Command::Auth(b"PLAIN", Some(b"dGVzdAB0ZXN0AHRlc3Q="))),
            (b"STAT ", Command::Stat),
            (b"LIST", Command::List(None)),
            (b"LIST 2", Command::List(Some(2))),
            (b"UIDL", Command::Uidl(None)),
            (b"uidl 007", Command::Uidl(Some(7))),
            (b"RETR 1", Command::Retr(1)),
            (b"TOP 1 10", Command::Top(1, 10)),
            (b"DELE 99999999999999999999", Command::Dele(u32::MAX)),
            (b"NOOP", Command::Noop),
            (b"RSET", Command::Rset),
            (b"QUIT", Command::Quit),
        ];
        for (line, command) in good {
            assert_eq!(parse(line), Ok(command), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let arguments: [&[u8]; 16] = [
            b"CAPA x",
            b"USER",
            b"USER a b",
            b"PASS",
            b"PASS ",
            b"AUTH",
            b"AUTH PLAIN a b",
            b"LIST 1 2",
            b"LIST -1",
            b"RETR",
            b"RETR one",
            b"TOP 1",
            b"TOP 1 2 3",
            b"DELE  1",
            b"QUIT now",
            b"RETR 1\0",
        ];
        for line in arguments {
            assert_eq!(parse(line), Err(Bad::Arguments), "{}", line.escape_ascii());
        }
        for line in
            [b"".as_slice(), b" ", b"APOP mrose c4c9", b"XYZZY", b"\0", b"\xff\xff", b"ST\0T", b"STATS"]
        {
            assert_eq!(parse(line), Err(Bad::Unknown), "{}", line.escape_ascii());
        }
    }
}
