//! The AUTHORIZATION state: who is it?
//!
//! *Owns*: CAPA, STLS, UTF8, USER and PASS, AUTH, and the way to the maildrop (rfc1939#4). *Promises*: a
//! refusal says and takes the same, whatever is wrong with name or password; no password without TLS unless
//! configured. *Assumes*: the shard carries the session to the owner and the password to the pool. *Never*:
//! opens anything before the password is good.

use ringpost_engine::change::Services;
use ringpost_engine::ids::{AccountId, normalise_address};

use super::command::Command;
use super::maildrop::Maildrop;
use super::session::{Pop3Session, State};
use crate::limits::{LOGIN_FAILURES_MAX, POP3_LINE_BYTES_MAX, SASL_LINE_BYTES_MAX};
use crate::proto::sasl::{self, Credentials, Exchange, Mechanism};
use crate::proto::{Cx, Input, Output, Server, UNKNOWN_ACCOUNT_HASH};

impl Pop3Session {
    /// Whether a password may be sent over this connection.
    fn private(&self, server: &Server) -> bool {
        self.peer.tls || server.plaintext_login
    }

    pub(super) fn capa(&mut self, server: &Server) {
        self.ok("capabilities follow");
        self.out.text(
            "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\nUTF8 USER\r\n",
        );
        if self.private(server) {
            self.out.text("USER\r\nSASL PLAIN\r\n");
        }
        // Only where the command is permitted (rfc2595#4).
        if server.tls && !self.peer.tls && matches!(self.state, State::Authorization { .. }) {
            self.out.text("STLS\r\n");
        }
        if let Some(seconds) = server.pop3_login_delay_s {
            self.out.text(format!("LOGIN-DELAY {seconds}\r\n"));
        }
        self.out.text(concat!("IMPLEMENTATION Ringpost-", env!("CARGO_PKG_VERSION"), "\r\n.\r\n"));
    }

    pub(super) fn authorization(&mut self, command: Command<'_>, input: &Input, cx: &mut Cx<'_>) {
        let named = match &mut self.state {
            State::Authorization { user } => user.take(),
            _ => None,
        };
        match command {
            Command::User(_) | Command::Pass(_) | Command::Auth(..) if !self.private(cx.server) => {
                self.bad("plaintext login needs TLS");
            }
            Command::User(name) => {
                self.state = State::Authorization { user: Some(name.to_vec()) };
                self.ok("send the password");
            }
            Command::Pass(password) => match named {
                // rfc1939#7: only immediately after a successful USER.
                None => self.bad("USER first"),
                Some(user) => match Credentials::new(&user, password) {
                    Ok(credentials) => self.arrive(credentials),
                    Err(_) => self.login_failed(),
                },
            },
            Command::Auth(name, initial) => match Mechanism::by_name(name) {
                Some(Mechanism::Plain) => {
                    let (exchange, step) = Exchange::begin(Mechanism::Plain, initial);
                    self.state = State::Sasl(exchange);
                    self.sasl(step);
                }
                _ => self.bad("no such mechanism"),
            },
            Command::Stls => self.stls(input, cx.server),
            Command::Utf8 => {
                self.utf8 = true;
                self.ok("UTF-8 from now on");
            }
            Command::Quit => {
                self.ok("goodbye");
                self.close();
            }
            _ => self.bad("log in first"),
        }
    }

    fn stls(&mut self, input: &Input, server: &Server) {
        if self.peer.tls || !server.tls {
            self.bad(if self.peer.tls { "TLS is active already" } else { "no TLS here" });
        } else if self.utf8 {
            // rfc6856#2.1
            self.bad("STLS is not allowed after UTF8");
        } else if !input.is_empty() {
            // They came in the clear and would be taken for protected ones: somebody may have put them in.
            self.err("commands behind STLS are refused");
            self.close();
        } else {
            self.ok("begin TLS negotiation");
            self.out.push(Output::StartTls);
            self.state = State::StartingTls;
        }
    }

    pub(super) fn sasl(&mut self, step: sasl::Step) {
        match step {
            sasl::Step::Challenge(challenge) => {
                self.lines.limit(SASL_LINE_BYTES_MAX);
                self.out.text(format!("+ {challenge}\r\n"));
                return;
            }
            sasl::Step::Done(credentials) => self.arrive(credentials),
            sasl::Step::Failed(failure) => {
                self.state = State::Authorization { user: None };
                match failure {
                    sasl::Failure::Cancelled => self.bad("cancelled"),
                    sasl::Failure::Base64 => self.bad("not base64"),
                    sasl::Failure::Malformed | sasl::Failure::NotAuthorised => self.login_failed(),
                }
            }
        }
        self.lines.limit(POP3_LINE_BYTES_MAX);
    }

    fn arrive(&mut self, credentials: Credentials) {
        let address = normalise_address(&credentials.user);
        self.state = State::Arriving(credentials);
        self.out.push(Output::Handoff { address });
    }

    /// On the owner's shard: what is known of the user decides only which hash is checked, so that every
    /// refusal takes the same time and says the same.
    pub(super) fn verify(&mut self, credentials: Credentials, cx: &Cx<'_>) {
        let address = normalise_address(&credentials.user);
        if cx.store.is_quarantined(&address) {
            // Its hash is not to be trusted, and a refused password would send the user looking for another.
            self.state = State::Authorization { user: None };
            return self.err("[SYS/TEMP] this account cannot be served at the moment");
        }
        let account = cx.store.account_by_address(&address).filter(|&account| allowed(account, cx));
        let hash =
            account.and_then(|account| cx.store.account(account)).map(|a| a.password_hash().to_owned());
        self.tally.user = address;
        self.state = State::Verifying { account };
        let hash = hash.unwrap_or_else(|| UNKNOWN_ACCOUNT_HASH.to_owned());
        self.out.push(Output::Verify { hash, password: credentials.password });
    }

    pub(super) fn verified(&mut self, good: Option<bool>, account: Option<AccountId>, cx: &mut Cx<'_>) {
        self.state = State::Authorization { user: None };
        // The account may have gone or been barred while the password was being checked.
        let account = account.filter(|&account| allowed(account, cx));
        match (good, account) {
            (None, _) => self.err("[SYS/TEMP] too many logins at the moment, try again later"),
            (Some(true), Some(account)) => match Maildrop::begin(cx.store, account) {
                Some(maildrop) => {
                    self.state = State::Opening(maildrop);
                    self.go_on(cx);
                }
                None => self.login_failed(),
            },
            (Some(_), _) => self.login_failed(),
        }
    }

    fn login_failed(&mut self) {
        self.state = State::Authorization { user: None };
        self.login_failures += 1;
        self.err("[AUTH] wrong name or password");
        if self.login_failures >= LOGIN_FAILURES_MAX {
            self.close();
        }
    }
}

/// Whether the account exists here and may use POP3.
fn allowed(account: AccountId, cx: &Cx<'_>) -> bool {
    cx.store.account(account).is_some_and(|account| account.services().allows(Services::POP3))
}
