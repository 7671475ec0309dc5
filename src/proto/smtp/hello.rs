//! Greetings, capabilities and STARTTLS.
//!
//! *Owns*: EHLO, HELO and LHLO (rfc5321#4.1.1.1, rfc2033#4.1) and the list of extensions. *Promises*:
//! announces exactly what works on this connection now. *Assumes*: the shard does the handshake. *Never*:
//! trusts the client's name.

use super::command::Hello;
use super::message::message_bytes_max;
use super::reply;
use super::session::{SmtpSession, State};
use crate::limits::SMTP_DOMAIN_BYTES_MAX;
use crate::proto::{Input, Output, Server, Service};

/// How a client greeted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// Its name, made fit for a trace field.
    pub name: String,
    /// Whether it knows extensions (EHLO, LHLO).
    pub extended: bool,
}

impl SmtpSession {
    pub(super) fn hello(&mut self, which: Hello, name: &[u8], server: &Server) {
        let lmtp = self.peer.service == Service::Lmtp;
        // rfc2033#4.1: a client that mistakes LMTP for SMTP, or the other way round, must notice.
        if lmtp != (which == Hello::Lhlo) {
            return self.bad(reply::UNKNOWN);
        }
        let name = clean(name);
        let greeting = format!("{} greets {name}", server.hostname);
        self.transaction = None;
        self.in_vain = false;
        self.hello = Some(Greeted { name, extended: which != Hello::Helo });
        if which == Hello::Helo {
            return self.reply(format!("250 {greeting}"));
        }
        let mut lines = vec![
            greeting,
            "PIPELINING".to_owned(),
            format!("SIZE {}", message_bytes_max(server)),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
            "CHUNKING".to_owned(),
            "BINARYMIME".to_owned(),
        ];
        if server.tls && !self.peer.tls {
            lines.push("STARTTLS".to_owned());
        }
        if self.peer.service == Service::Submission && self.private(server) {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        let last = lines.len() - 1;
        for (index, line) in lines.iter().enumerate() {
            self.reply(format!("250{}{line}", if index == last { ' ' } else { '-' }));
        }
    }

    pub(super) fn starttls(&mut self, input: &Input, server: &Server) {
        if self.peer.tls || self.transaction.is_some() {
            self.bad(reply::BAD_SEQUENCE);
        } else if !server.tls {
            self.reply(reply::NO_TLS);
        } else if !input.is_empty() {
            // They came in the clear and would be taken for protected ones: somebody may have put them in.
            self.dismiss(reply::BEHIND_STARTTLS);
        } else {
            self.reply(reply::READY_FOR_TLS);
            self.out.push(Output::StartTls);
            self.state = State::StartingTls;
        }
    }

    /// rfc3207#4.2: what was learnt in the clear is forgotten.
    pub(super) fn tls_started(&mut self) {
        self.peer.tls = true;
        self.hello = None;
        self.user = None;
        self.in_vain = false;
        self.state = State::Command;
    }
}

/// A client's name as it may stand in a reply and a trace field: no octet that could end or change the
/// field's syntax.
fn clean(name: &[u8]) -> String {
    let fit = |&octet: &u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b':' | b'[' | b']' => octet as char,
        _ => '?',
    };
    name.iter().take(SMTP_DOMAIN_BYTES_MAX).map(fit).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_made_fit() {
        assert_eq!(super::clean(b"mail-1.Bar_x.com"), "mail-1.Bar_x.com");
        assert_eq!(super::clean(b"[IPv6:2001:db8::1]"), "[IPv6:2001:db8::1]");
        assert_eq!(super::clean(b"x) by evil (\xff;\0"), "x??by?evil?????");
        assert_eq!(super::clean(&[b'a'; 1000]).len(), crate::limits::SMTP_DOMAIN_BYTES_MAX);
    }
}
