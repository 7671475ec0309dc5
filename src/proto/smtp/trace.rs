//! What the server writes into a message, and what it must know of its header.
//!
//! *Owns*: Return-Path and Received (rfc5321#4.4), the fields that submission adds (rfc6409#8), queue ids.
//! *Promises*: trace fields are well-formed whatever the client called itself. *Assumes*: envelope and header
//! were read. *Never*: takes a field away. A Return-Path that came with the message stays below ours
//! (rfc5321#4.4 lets final delivery remove it): readers take the first, and the octets that a signature
//! covers stay as they were.

use ringpost_engine::ids::Now;

use crate::limits::SMTP_MESSAGE_ID_BYTES_MAX;
use crate::proto::mime::date::{DateTime, print_rfc5322};
use crate::proto::mime::header;

/// Who brought a message, and how.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The name the client gave itself.
    pub helo: &'a str,
    /// Its address, without port.
    pub address: &'a str,
    /// This host.
    pub hostname: &'a str,
    /// `ESMTPS` and its kin.
    pub protocol: &'a str,
    /// The queue id.
    pub queue_id: &'a str,
}

/// A queue id: unique because a connection's number is unique in this process and time goes on between two of
/// them.
pub fn queue_id(now: Now, conn: u64, transaction: u64) -> String {
    format!("{:X}-{conn:X}-{transaction:X}", now.unix_ms)
}

/// How a message came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// By LMTP.
    pub lmtp: bool,
    /// After EHLO or LHLO.
    pub extended: bool,
    /// With SMTPUTF8.
    pub utf8: bool,
    /// Under TLS.
    pub tls: bool,
    /// From somebody who has logged in.
    pub authenticated: bool,
}

impl Manner {
    /// The keyword of the `with` clause (IANA "Mail Transmission Types": rfc3848, rfc6531#4.3).
    pub fn keyword(self) -> String {
        let base = match (self.lmtp, self.utf8, self.extended) {
            (true, true, _) => "UTF8LMTP",
            (true, false, _) => "LMTP",
            (false, true, _) => "UTF8SMTP",
            (false, false, true) => "ESMTP",
            // Without EHLO there is neither TLS nor AUTH to tell of.
            (false, false, false) => return "SMTP".to_owned(),
        };
        let (secured, authenticated) =
            (if self.tls { "S" } else { "" }, if self.authenticated { "A" } else { "" });
        format!("{base}{secured}{authenticated}")
    }
}

/// The fields in front of a message. `recipient` is named only if there is no other: nobody learns of a blind
/// copy.
pub fn fields(origin: Origin<'_>, sender: &str, recipient: Option<&str>, now: Now) -> Vec<u8> {
    let Origin { helo, address, hostname, protocol, queue_id } = origin;
    let literal = if address.contains(':') { format!("[IPv6:{address}]") } else { format!("[{address}]") };
    let recipient = recipient.map_or_else(String::new, |recipient| format!("\r\n\tfor <{recipient}>"));
    let by = format!("by {hostname} with {protocol} id {queue_id}{recipient}");
    let date = date(now);
    format!("Return-Path: <{sender}>\r\nReceived: from {helo} ({literal})\r\n\t{by};\r\n\t{date}\r\n")
        .into_bytes()
}

fn date(now: Now) -> String {
    print_rfc5322(&DateTime::from_unix((now.unix_ms / 1000) as i64))
}

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderFacts {
    /// Received fields.
    pub received: usize,
    /// Whether there is a Date field.
    pub has_date: bool,
    /// Message-ID's value, cut at a bound; empty when there is none.
    pub message_id: String,
}

impl HeaderFacts {
    /// Reads the header of a message, up to its empty line.
    pub fn of(message: &[u8]) -> HeaderFacts {
        let mut facts = HeaderFacts::default();
        for field in header::fields(message) {
            if field.is(b"Received") {
                facts.received += 1;
            } else if field.is(b"Date") {
                facts.has_date = true;
            } else if field.is(b"Message-ID") && facts.message_id.is_empty() {
                let value = header::unfold(field.value);
                let value = &value[..value.len().min(SMTP_MESSAGE_ID_BYTES_MAX)];
                facts.message_id = String::from_utf8_lossy(value).into_owned();
            }
        }
        facts
    }

    /// The fields that submission must add (rfc6409#8.1, #8.2); notes the new Message-ID.
    pub fn complete(&mut self, hostname: &str, queue_id: &str, now: Now) -> String {
        let mut fields = String::new();
        if !self.has_date {
            fields.push_str(&format!("Date: {}\r\n", date(now)));
            self.has_date = true;
        }
        if self.message_id.is_empty() {
            self.message_id = format!("<{queue_id}@{hostname}>");
            fields.push_str(&format!("Message-ID: {}\r\n", self.message_id));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { unix_ms: 1_090_000_000_000, mono_ms: 0 };

    fn origin<'a>(address: &'a str, queue_id: &'a str) -> Origin<'a> {
        Origin { helo: "bar.com", address, hostname: "mx.test", protocol: "ESMTPS", queue_id }
    }

    #[test]
    fn trace_fields_look_as_the_rfc_has_them() {
        let id = queue_id(NOW, 31, 2);
        assert_eq!(id, "FDC8BA2A400-1F-2".replace("FDC8BA2A400", &format!("{:X}", NOW.unix_ms)));
        let fields = fields(origin("192.0.2.1", "Q1"), "a@b.c", Some("d@e.f"), NOW);
        let date = date(NOW);
        let expected = format!(
            "Return-Path: <a@b.c>\r\nReceived: from bar.com ([192.0.2.1])\r\n\t\
             by mx.test with ESMTPS id Q1\r\n\tfor <d@e.f>;\r\n\t{date}\r\n"
        );
        assert_eq!(String::from_utf8(fields).unwrap(), expected);
        let fields = super::fields(origin("2001:db8::1", "Q1"), "", None, NOW);
        let text = String::from_utf8(fields).unwrap();
        assert!(text.contains("([IPv6:2001:db8::1])") && text.starts_with("Return-Path: <>\r\n"));
        assert!(!text.contains("for <"));
    }

    #[test]
    fn the_protocol_is_named_as_registered() {
        let smtp = Manner::default();
        let esmtp = Manner { extended: true, ..smtp };
        let lmtp = Manner { lmtp: true, ..esmtp };
        assert_eq!(smtp.keyword(), "SMTP");
        assert_eq!(esmtp.keyword(), "ESMTP");
        assert_eq!(Manner { tls: true, authenticated: true, ..esmtp }.keyword(), "ESMTPSA");
        assert_eq!(Manner { tls: true, utf8: true, ..esmtp }.keyword(), "UTF8SMTPS");
        assert_eq!(lmtp.keyword(), "LMTP");
        assert_eq!(Manner { tls: true, utf8: true, ..lmtp }.keyword(), "UTF8LMTPS");
    }

    #[test]
    fn headers_are_read_to_their_end() {
        let facts = HeaderFacts::of(
            b"received: one\r\nReceived : two\r\n\tdate: folded\r\nMessage-Id:\r\n <a@b>\r\n\
              Subject: x\r\n\r\nDate: no\r\n",
        );
        let expected = HeaderFacts { received: 2, has_date: false, message_id: "<a@b>".into() };
        assert_eq!(facts, expected);
        assert_eq!(HeaderFacts::of(b""), HeaderFacts::default());
        assert_eq!(HeaderFacts::of(b"\xff\0no colon\r\nDate: x").received, 0);
        assert_eq!(HeaderFacts::of(b"MESSAGE-ID: <c@d> \r\n\r\n").message_id, "<c@d>");
    }

    #[test]
    fn submission_adds_what_is_missing() {
        let mut facts = HeaderFacts::of(b"Subject: x\r\n\r\n");
        let fields = facts.complete("mx.test", "Q1", NOW);
        assert!(fields.starts_with("Date: ") && fields.ends_with("\r\nMessage-ID: <Q1@mx.test>\r\n"));
        assert_eq!(facts.complete("mx.test", "Q2", NOW), "");
    }
}
