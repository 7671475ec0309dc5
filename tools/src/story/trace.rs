//! The trace fields that the server wrote in front of a message (rfc5321#4.4).
//!
//! *Owns*: reading Return-Path and the topmost Received. *Promises*: only what stands there. *Assumes*: the form
//! that the server writes; what it does not recognise is left out. *Never*: looks at a second Received: that
//! one was written by somebody else.

use serde_json::{Value, json};

use crate::body;

/// How a message came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The envelope's sender; empty for a bounce.
    pub sender: Option<String>,
    /// The name that the client gave itself.
    pub helo: Option<String>,
    /// The client's address.
    pub client: Option<String>,
    /// Our host.
    pub by: Option<String>,
    /// `ESMTPS` and its kin.
    pub protocol: Option<String>,
    /// The queue id.
    pub queue_id: Option<String>,
    /// The recipient, if there was one only.
    pub recipient: Option<String>,
    /// When, as it stands there.
    pub date: Option<String>,
}

impl Trace {
    /// What the first fields of a message say.
    pub fn read(octets: &[u8]) -> Trace {
        let sender = body::field(octets, "Return-Path").map(|path| body::bare_id(&path).to_owned());
        let Some(received) = body::field(octets, "Received") else {
            return Trace { sender, ..Trace::default() };
        };
        let (clauses, date) = received.rsplit_once(';').unwrap_or((received.as_str(), ""));
        let mut words = clauses.split_whitespace().peekable();
        let mut trace = Trace { sender, ..Trace::default() };
        while let Some(word) = words.next() {
            match word {
                "from" => {
                    trace.helo = words.next().map(str::to_owned);
                    let literal = words.next_if(|word| word.starts_with("(["));
                    trace.client = literal.map(address);
                }
                "by" => trace.by = words.next().map(str::to_owned),
                "with" => trace.protocol = words.next().map(str::to_owned),
                "id" => trace.queue_id = words.next().map(str::to_owned),
                "for" => trace.recipient = words.next().map(|word| body::bare_id(word).to_owned()),
                _ => {}
            }
        }
        let date = date.trim();
        trace.date = (!date.is_empty()).then(|| date.to_owned());
        trace
    }

    /// For machines.
    pub fn json(&self) -> Value {
        json!({
            "sender": self.sender, "helo": self.helo, "client": self.client, "by": self.by,
            "protocol": self.protocol, "queue_id": self.queue_id, "recipient": self.recipient,
            "date": self.date,
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "?".to_owned());
        let mut text = format!("from {} [{}]", word(&self.helo), word(&self.client));
        text += &format!(" by {} with {}", word(&self.by), word(&self.protocol));
        text += &format!(", queue id {}, sender <{}>", word(&self.queue_id), word(&self.sender));
        if let Some(recipient) = &self.recipient {
            text += &format!(", recipient <{recipient}>");
        }
        text
    }
}

/// The address in `([192.0.2.1])` or `([IPv6:2001:db8::1])`.
fn address(literal: &str) -> String {
    let bare = literal.trim_start_matches("([").trim_end_matches("])");
    bare.strip_prefix("IPv6:").unwrap_or(bare).to_owned()
}

/// Whether a word is a queue id: three numbers in hexadecimal, as the server makes them.
pub fn is_queue_id(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let is_number = |part: &&str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    };
    parts.len() == 3 && parts.iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost::proto::smtp::trace::{Origin, fields, queue_id};
    use ringpost_engine::ids::Now;

    #[test]
    fn what_the_server_writes_is_read_back() {
        let now = Now { unix_ms: 1_700_000_000_000, mono_ms: 0 };
        let id = queue_id(now, 31, 2);
        for (address, recipient) in [("192.0.2.1", Some("a@b.c")), ("2001:db8::1", None)] {
            let origin =
                Origin { helo: "bar.com", address, hostname: "mx.test", protocol: "ESMTPS", queue_id: &id };
            let mut octets = fields(origin, "you@x.test", recipient, now);
            octets.extend_from_slice(b"Received: from liar ([1.2.3.4]) by x with SMTP id 0; now\r\n\r\nbody");
            let trace = Trace::read(&octets);
            let some = |text: &str| Some(text.to_owned());
            assert_eq!((trace.helo, trace.client), (some("bar.com"), some(address)));
            assert_eq!((trace.by, trace.protocol), (some("mx.test"), some("ESMTPS")));
            assert_eq!((trace.queue_id, trace.sender), (some(&id), some("you@x.test")));
            assert_eq!(trace.recipient.as_deref(), recipient);
            assert_eq!(trace.date.as_deref(), Some("Tue, 14 Nov 2023 22:13:20 +0000"));
            assert!(is_queue_id(&id));
        }
    }

    #[test]
    fn nothing_is_made_up_and_other_words_are_no_queue_ids() {
        assert_eq!(Trace::read(b"Subject: x\r\n\r\nReceived: from y"), Trace::default());
        assert_eq!(Trace::read(b"Received: from\r\n\r\n").helo, None);
        for word in ["", "1-2", "1-2-3-4", "a-b-c", "1--2", "x@1-2-3"] {
            assert!(!is_queue_id(word), "{word}");
        }
    }
}
