//! AUTH for submission (rfc4954).
//!
//! *Owns*: the command, its exchange and its replies. *Promises*: no password without TLS unless configured;
//! a refusal says the same whatever was wrong. *Assumes*: the owner's shard checks name, password and
//! service. *Never*: offered on the ports for other servers and for LMTP.

use ringpost_engine::change::Services;
use ringpost_engine::ids::normalise_address;

use super::reply;
use super::session::{SmtpSession, State};
use crate::limits::{LOGIN_FAILURES_MAX, SASL_LINE_BYTES_MAX, SMTP_LINE_BYTES_MAX};
use crate::proto::sasl::{Exchange, Failure, Mechanism, Step};
use crate::proto::{Answer, Ask, Cx, Output, Server, Service};

impl SmtpSession {
    /// Whether a password may be sent over this connection.
    pub(super) fn private(&self, server: &Server) -> bool {
        self.peer.tls || server.plaintext_login
    }

    pub(super) fn auth(&mut self, mechanism: &[u8], initial: Option<&[u8]>, cx: &Cx<'_>) {
        if self.peer.service != Service::Submission {
            return self.bad(reply::NOT_IMPLEMENTED);
        }
        let greeted = self.hello.as_ref().is_some_and(|hello| hello.extended);
        if !greeted || self.user.is_some() || self.transaction.is_some() {
            return self.bad(reply::BAD_SEQUENCE);
        }
        if !self.private(cx.server) {
            return self.bad(reply::AUTH_NEEDS_TLS);
        }
        let Some(mechanism) = Mechanism::by_name(mechanism) else { return self.bad(reply::BAD_MECHANISM) };
        let (exchange, step) = Exchange::begin(mechanism, initial);
        self.state = State::Sasl(exchange);
        self.lines.limit(SASL_LINE_BYTES_MAX);
        self.sasl(step);
    }

    pub(super) fn sasl(&mut self, step: Step) {
        if let Step::Challenge(challenge) = step {
            return self.reply(format!("334 {challenge}"));
        }
        self.lines.limit(SMTP_LINE_BYTES_MAX);
        self.state = State::Command;
        match step {
            Step::Done(credentials) => {
                let address = normalise_address(&credentials.user);
                self.state = State::Authenticating { address: address.clone() };
                let (password, service) = (credentials.password, Services::SUBMISSION);
                self.out.push(Output::Ask(Ask::Authenticate { address, password, service }));
            }
            Step::Failed(Failure::Cancelled) => self.bad(reply::AUTH_CANCELLED),
            Step::Failed(Failure::Base64) => self.bad(reply::BAD_BASE64),
            Step::Failed(_) | Step::Challenge(_) => self.auth_failed(),
        }
    }

    pub(super) fn authenticated(&mut self, address: String, answer: Answer) {
        match answer {
            Answer::Authenticated(true) => {
                self.bad_commands = 0;
                self.user = Some(address);
                self.reply(reply::AUTHENTICATED);
            }
            Answer::Authenticated(false) => self.auth_failed(),
            Answer::Unavailable | Answer::Recipient(_) => self.reply(reply::AUTH_BUSY),
        }
    }

    fn auth_failed(&mut self) {
        self.login_failures += 1;
        self.reply(reply::AUTH_FAILED);
        if self.login_failures >= LOGIN_FAILURES_MAX {
            self.reply(reply::AUTH_GIVE_UP);
            self.close();
        }
    }
}
