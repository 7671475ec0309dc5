//! SASL: what a client sends to prove who it is, decoded.
//!
//! *Owns*: the exchanges of PLAIN (rfc4616) and LOGIN, and their base64. *Promises*: a finished exchange
//! holds a non-empty user and password without NUL, in UTF-8, within `limits`; nothing of a password is ever
//! shown. *Assumes*: the protocol frames the lines (`+ …`, `334 …`), bounds them by
//! `limits::SASL_LINE_BYTES_MAX` and decides whether the connection is private enough. *Never*: checks a
//! password.
//!
//! ```text
//!                 ┌── Plain ──────────── message ──────────────────────────┐
//!  Exchange::begin┤                                                        ├──► Step::Done(Credentials)
//!                 └── LoginUser ── user ──► LoginPassword ── password ─────┘
//!        any of them ── "*", bad base64, bad content ──► Step::Failed
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringpost_engine::ids::normalise_address;
use ringpost_engine::limits::ADDRESS_BYTES_MAX;

use crate::limits::PASSWORD_BYTES_MAX;
use crate::proto::Secret;

/// The mechanisms offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// rfc4616
    Plain,
    /// The one without an RFC that old mail clients insist on: two prompts, user and password.
    Login,
}

impl Mechanism {
    /// The mechanism of that name, in any case.
    pub fn by_name(name: &[u8]) -> Option<Mechanism> {
        if name.eq_ignore_ascii_case(b"PLAIN") {
            Some(Mechanism::Plain)
        } else if name.eq_ignore_ascii_case(b"LOGIN") {
            Some(Mechanism::Login)
        } else {
            None
        }
    }
}

/// Who a client says it is. Not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user as the client wrote it; callers normalise.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Credentials {
    /// Credentials from plain text (USER/PASS, IMAP LOGIN), under the same rules as an exchange's.
    pub fn new(user: &[u8], password: &[u8]) -> Result<Credentials, Failure> {
        let user = text(user, ADDRESS_BYTES_MAX)?;
        text(password, PASSWORD_BYTES_MAX)?;
        Ok(Credentials { user: user.to_owned(), password: Secret(password.to_vec()) })
    }
}

/// Why an exchange ended without credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The client sent `*`.
    Cancelled,
    /// Not base64 as rfc4648#4 has it: foreign octets, wrong padding, stray bits.
    Base64,
    /// Not what the mechanism's grammar allows: fields missing, empty, not UTF-8, with NUL, or over a bound.
    Malformed,
    /// The client wants to act as somebody else (rfc4616#2).
    NotAuthorised,
}

/// Where an exchange stands after a message of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge, already in base64, and feed the next line.
    Challenge(&'static str),
    /// The client has said all.
    Done(Credentials),
    /// It is over.
    Failed(Failure),
}

/// One exchange, from the command that began it to its end.
#[derive(Debug)]
pub struct Exchange {
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginUser,
    LoginPassword { user: Vec<u8> },
}

/// "Username:" and "Password:", as every LOGIN server asks.
const LOGIN_USER: &str = "VXNlcm5hbWU6";
const LOGIN_PASSWORD: &str = "UGFzc3dvcmQ6";

impl Exchange {
    /// Begins an exchange. An initial response is taken as the first message; `=` stands for an empty one
    /// (rfc4954#4, rfc5034#4, rfc4959#3).
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>) -> (Exchange, Step) {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginUser,
        };
        let mut exchange = Exchange { state };
        let step = match (initial, &exchange.state) {
            (Some(b"="), _) => exchange.message(b""),
            (Some(initial), _) => exchange.line(initial),
            (None, State::Plain) => Step::Challenge(""),
            (None, _) => Step::Challenge(LOGIN_USER),
        };
        (exchange, step)
    }

    /// Takes the client's next line, without its CRLF.
    pub fn line(&mut self, line: &[u8]) -> Step {
        if line == b"*" {
            return Step::Failed(Failure::Cancelled);
        }
        match STANDARD.decode(line) {
            Ok(message) => self.message(&message),
            Err(_) => Step::Failed(Failure::Base64),
        }
    }

    fn message(&mut self, message: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Plain) {
            State::Plain => plain(message).map_or_else(Step::Failed, Step::Done),
            State::LoginUser => match text(message, ADDRESS_BYTES_MAX) {
                Ok(user) => {
                    self.state = State::LoginPassword { user: user.as_bytes().to_vec() };
                    Step::Challenge(LOGIN_PASSWORD)
                }
                Err(failure) => Step::Failed(failure),
            },
            State::LoginPassword { user } => {
                Credentials::new(&user, message).map_or_else(Step::Failed, Step::Done)
            }
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (rfc4616#2).
fn plain(message: &[u8]) -> Result<Credentials, Failure> {
    let mut fields = message.splitn(3, |&octet| octet == 0);
    let (Some(authzid), Some(authcid), Some(password)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Failure::Malformed);
    };
    let credentials = Credentials::new(authcid, password)?;
    // Nobody may act for somebody else here: the authorization identity is left out or names the same user.
    if !authzid.is_empty() {
        let authzid = text(authzid, ADDRESS_BYTES_MAX)?;
        if normalise_address(authzid) != normalise_address(&credentials.user) {
            return Err(Failure::NotAuthorised);
        }
    }
    Ok(credentials)
}

/// `1*SAFE`: UTF-8 without NUL, not empty, within its bound.
fn text(field: &[u8], bytes_max: usize) -> Result<&str, Failure> {
    if field.is_empty() || field.len() > bytes_max || memchr::memchr(0, field).is_some() {
        return Err(Failure::Malformed);
    }
    std::str::from_utf8(field).map_err(|_| Failure::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(mechanism: Mechanism, messages: &[&[u8]]) -> Step {
        let (mut exchange, mut step) = Exchange::begin(mechanism, None);
        for message in messages {
            assert!(matches!(step, Step::Challenge(_)), "{step:?} before the last message");
            step = exchange.line(STANDARD.encode(message).as_bytes());
        }
        step
    }

    fn done(user: &str, password: &str) -> Step {
        Step::Done(Credentials { user: user.into(), password: Secret(password.as_bytes().to_vec()) })
    }

    #[test]
    fn plain_takes_the_examples_of_the_rfc() {
        assert_eq!(run(Mechanism::Plain, &[b"\0tim\0tanstaaftanstaaf"]), done("tim", "tanstaaftanstaaf"));
        assert_eq!(run(Mechanism::Plain, &[b"Ursel\0Kurt\0xipj3plmq"]), Step::Failed(Failure::NotAuthorised));
        assert_eq!(run(Mechanism::Plain, &[b"Tim@x\0tim@X\0pw"]), done("tim@X", "pw"));
    }

    #[test]
    fn plain_refuses_what_the_grammar_refuses() {
        let long = [b"\0".as_slice(), &[b'a'; ADDRESS_BYTES_MAX + 1], b"\0pw"].concat();
        let password = [b"\0tim\0".as_slice(), &[b'a'; PASSWORD_BYTES_MAX + 1]].concat();
        let messages: [&[u8]; 8] = [
            b"",
            b"tim",
            b"tim\0pw",
            b"\0\0pw",
            b"\0tim\0",
            b"\0tim\0p\0w",
            b"\0tim\0\xff",
            b"\xff\0tim\0pw",
        ];
        for message in messages.into_iter().chain([long.as_slice(), password.as_slice()]) {
            let step = run(Mechanism::Plain, &[message]);
            assert_eq!(step, Step::Failed(Failure::Malformed), "{}", message.escape_ascii());
        }
        let longest = [b"\0".as_slice(), &[b'a'; 255], b"\0", &[b'b'; 255]].concat();
        assert!(matches!(run(Mechanism::Plain, &[&longest]), Step::Done(_)));
    }

    #[test]
    fn login_asks_twice_and_takes_an_initial_user() {
        let (mut exchange, step) = Exchange::begin(Mechanism::Login, None);
        assert_eq!(step, Step::Challenge(LOGIN_USER));
        assert_eq!(STANDARD.decode(LOGIN_USER).unwrap(), b"Username:");
        assert_eq!(STANDARD.decode(LOGIN_PASSWORD).unwrap(), b"Password:");
        assert_eq!(exchange.line(b"dGlt"), Step::Challenge(LOGIN_PASSWORD));
        assert_eq!(exchange.line(b"cHc="), done("tim", "pw"));

        let (mut exchange, step) = Exchange::begin(Mechanism::Login, Some(b"dGlt"));
        assert_eq!(step, Step::Challenge(LOGIN_PASSWORD));
        assert_eq!(exchange.line(b"cHc="), done("tim", "pw"));
    }

    #[test]
    fn base64_is_strict_and_a_star_cancels() {
        let bad: [&[u8]; 6] = [b"AHRpbQBwdw", b"AHRpbQBwdx==", b"AHRp bQBwdw==", b"AHRp\0", b"====", b"\xff"];
        for line in bad {
            let (_, step) = Exchange::begin(Mechanism::Plain, Some(line));
            assert_eq!(step, Step::Failed(Failure::Base64), "{}", line.escape_ascii());
        }
        assert_eq!(Exchange::begin(Mechanism::Plain, Some(b"AHRpbQBwdw==")).1, done("tim", "pw"));
        assert_eq!(Exchange::begin(Mechanism::Plain, Some(b"=")).1, Step::Failed(Failure::Malformed));
        let (mut exchange, step) = Exchange::begin(Mechanism::Plain, None);
        assert_eq!(step, Step::Challenge(""));
        assert_eq!(exchange.line(b"*"), Step::Failed(Failure::Cancelled));
    }

    #[test]
    fn names_of_mechanisms_have_no_case_and_secrets_are_not_shown() {
        assert_eq!(Mechanism::by_name(b"plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::by_name(b"Login"), Some(Mechanism::Login));
        assert_eq!(Mechanism::by_name(b"CRAM-MD5"), None);
        assert!(!format!("{:?}", done("tim", "hunter2")).contains("hunter2"));
    }
}
