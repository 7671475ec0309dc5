//! Conversations as text files, held in every chunking.
//!
//! *Owns*: the notation below. *Promises*: what the server says does not depend on how the client's octets were cut.
//! *Assumes*: `world` carries everything out at once. *Never*: knows a protocol.
//!
//! ```text
//! # A remark.
//! server: plaintext_login=no recipients_max=2     facts that differ from the usual
//! message: alice                                  a message that is there from the start,
//! | Subject: x                                    one line each, CRLF added, escapes as below
//! connect: pop3 tls                               opens a connection (the one before is left or was closed)
//! C: USER alice@example.test                      the client sends a line, CRLF added
//! C> octets\r\n\x00                               the client sends exactly this: \r \n \t \0 \\ \xNN
//! S: +OK …                                        the server answers a line; … stands for anything in it
//! tls                                             what follows is sent only when all before is answered
//! wait: 600000                                    so many milliseconds pass
//! drain                                           the server is told to stop
//! hang up                                         the client closes
//! closed                                          the server must have closed by now
//! ```

use ringpost::proto::{Server, Service};
use ringpost_engine::testing::seed::Seed;

use crate::world::{World, server};

/// A parsed transcript.
pub struct Transcript {
    name: String,
    server: Server,
    messages: Vec<(String, Vec<u8>)>,
    conversations: Vec<Conversation>,
}

/// What happens on one connection.
struct Conversation {
    service: Service,
    tls: bool,
    steps: Vec<Step>,
    expected: Vec<(usize, String)>,
    closed: bool,
}

enum Step {
    Send(Vec<u8>),
    Wait(u64),
    Drain,
    HangUp,
}

/// How the client's octets are cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    Every(usize),
    Random(u64),
}

impl Transcript {
    /// Reads one; panics where the notation is not kept.
    pub fn parse(name: &str, text: &str) -> Transcript {
        let mut transcript = Transcript {
            name: name.to_owned(),
            server: server(),
            messages: Vec::new(),
            conversations: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                transcript.line(index + 1, line);
            }
        }
        transcript
    }

    fn line(&mut self, number: usize, line: &str) {
        let octets = |text: &str| unescape(text).unwrap_or_else(|| panic!("line {number}: bad escape"));
        if let Some(text) = line.strip_prefix("| ").or((line == "|").then_some("")) {
            let (_, message) = self.messages.last_mut().expect("a message before its lines");
            message.extend_from_slice(&octets(text));
            return message.extend_from_slice(b"\r\n");
        }
        if let Some(text) = line.strip_prefix("|> ") {
            let (_, message) = self.messages.last_mut().expect("a message before its lines");
            return message.extend_from_slice(&octets(text));
        }
        if let Some(name) = line.strip_prefix("message: ") {
            return self.messages.push((format!("{name}@example.test"), Vec::new()));
        }
        if let Some(facts) = line.strip_prefix("server: ") {
            return facts.split(' ').for_each(|fact| self.fact(fact));
        }
        if let Some(service) = line.strip_prefix("connect: ") {
            return self.conversations.push(Conversation::new(service));
        }
        let conversation = self.conversations.last_mut().expect("connect: before anything is said");
        let steps = &mut conversation.steps;
        match line.split_at(line.len().min(3)) {
            // An empty line.
            ("S:", _) => conversation.expected.push((number, String::new())),
            ("S: ", text) => conversation.expected.push((number, text.to_owned())),
            ("C: ", text) => steps.push(Step::Send([octets(text), b"\r\n".to_vec()].concat())),
            ("C> ", text) => steps.push(Step::Send(octets(text))),
            _ => match line {
                // An empty wait keeps what is sent before and after apart.
                "tls" => steps.push(Step::Wait(0)),
                "drain" => steps.push(Step::Drain),
                "hang up" => steps.push(Step::HangUp),
                "closed" => conversation.closed = true,
                _ => {
                    let ms = line.strip_prefix("wait: ").and_then(|ms| ms.parse().ok());
                    steps.push(Step::Wait(ms.unwrap_or_else(|| panic!("line {number}: {line}?"))));
                }
            },
        }
    }

    fn fact(&mut self, fact: &str) {
        let (name, value) = fact.split_once('=').expect("name=value");
        let number = || value.parse().expect("a number");
        match name {
            "plaintext_login" => self.server.plaintext_login = value == "yes",
            "tls" => self.server.tls = value == "yes",
            "message_bytes_max" => self.server.message_bytes_max = number(),
            "recipients_max" => self.server.recipients_max = number(),
            "pop3_login_delay_s" => self.server.pop3_login_delay_s = Some(number() as u32),
            _ => panic!("no such fact: {name}"),
        }
    }

    /// Holds the conversations whole, octet by octet, in sevens and in random cuts.
    pub fn check(&self) {
        let random = (1..=8).map(Cut::Random);
        for cut in [Cut::Whole, Cut::Every(1), Cut::Every(7)].into_iter().chain(random) {
            let mut world = World::new(self.server.clone(), &self.messages);
            for conversation in &self.conversations {
                conversation.hold(&self.name, &mut world, cut);
            }
        }
    }
}

impl Conversation {
    fn new(service: &str) -> Conversation {
        let (name, tls) = match service.strip_suffix(" tls") {
            Some(name) => (name, true),
            None => (service, false),
        };
        let service = match name {
            "smtp" => Service::Smtp,
            "submission" => Service::Submission,
            "lmtp" => Service::Lmtp,
            "pop3" => Service::Pop3,
            "imap" => Service::Imap,
            _ => panic!("no such service: {name}"),
        };
        Conversation { service, tls, steps: Vec::new(), expected: Vec::new(), closed: false }
    }

    fn hold(&self, name: &str, world: &mut World, cut: Cut) {
        world.connect(self.service, self.tls);
        let mut pending = Vec::new();
        for step in &self.steps {
            if let Step::Send(octets) = step {
                pending.extend_from_slice(octets);
                continue;
            }
            send(world, &std::mem::take(&mut pending), cut);
            match step {
                Step::Wait(ms) => world.wait(*ms),
                Step::Drain => world.drain(),
                Step::HangUp => world.hang_up(),
                Step::Send(_) => {}
            }
        }
        send(world, &pending, cut);
        self.compare(name, world, cut);
    }

    fn compare(&self, name: &str, world: &World, cut: Cut) {
        let sent = world.sent().escape_ascii().to_string().replace("\\r\\n", "\n").replace("\\\"", "\"");
        let sent = sent.replace("\\'", "'");
        let mut lines = sent.lines();
        for (number, expected) in &self.expected {
            let line = lines.next().unwrap_or("nothing");
            assert!(
                matches(expected, line),
                "{name}:{number} {cut:?}\n  expected {expected}\n  got      {line}\nin\n{sent}"
            );
        }
        let rest: Vec<&str> = lines.collect();
        assert!(rest.is_empty(), "{name} {cut:?}: the server also said {rest:#?}");
        assert_eq!(world.is_closed(), self.closed, "{name} {cut:?}: closed by the server?");
    }
}

fn send(world: &mut World, octets: &[u8], cut: Cut) {
    let mut rest = octets;
    let mut seed = Seed::new(if let Cut::Random(seed) = cut { seed } else { 0 });
    while !rest.is_empty() {
        let length = match cut {
            Cut::Whole => rest.len(),
            Cut::Every(length) => length,
            Cut::Random(_) => 1 + seed.below(60) as usize,
        };
        let (chunk, after) = rest.split_at(length.min(rest.len()));
        world.send(chunk);
        rest = after;
    }
}

/// Whether a line is as expected; `…` stands for anything.
fn matches(expected: &str, line: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Text with `\r \n \t \0 \\ \xNN` as octets.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        octets.extend_from_slice(before.as_bytes());
        let (octet, length) = match after.as_bytes().first()? {
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            b'0' => (0, 1),
            b'\\' => (b'\\', 1),
            b'x' => (u8::from_str_radix(after.get(1..3)?, 16).ok()?, 3),
            _ => return None,
        };
        octets.push(octet);
        rest = &after[length..];
    }
    octets.extend_from_slice(rest.as_bytes());
    Some(octets)
}

#[test]
fn the_notation_itself() {
    assert!(matches("+OK …", "+OK anything") && matches("a…c…e", "abcde") && matches("same", "same"));
    assert!(!matches("same", "same ") && !matches("a…c", "abd") && !matches("+OK …", "-ERR x"));
    assert_eq!(unescape("a\\r\\n\\x00\\xff\\\\"), Some(b"a\r\n\0\xff\\".to_vec()));
    assert_eq!(unescape("\\q"), None);
}
