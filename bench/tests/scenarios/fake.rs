//! A mail server just large enough to count what a client does.
//!
//! *Owns*: one mailbox for everybody, spoken to by SMTP, LMTP, POP3 and IMAP, and faults on demand.
//! *Promises*: ports of its own. *Assumes*: a well-behaved client. *Never*: checks passwords.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every third message is refused.
    RefuseThird,
    /// One octet fewer than announced by the sizes is sent.
    ShortBody,
    /// IDLE tells nobody.
    Mute,
    /// Messages are taken after this many milliseconds.
    Slow(u64),
}

/// The shared state.
pub struct Server {
    messages: Mutex<Vec<Vec<u8>>>,
    changed: Condvar,
    fault: Fault,
    /// Ports: SMTP or LMTP, POP3, IMAP.
    pub ports: [u16; 3],
}

impl Server {
    /// Starts it; its threads end with the test process.
    pub fn start(fault: Fault) -> Arc<Server> {
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = [0, 1, 2].map(|index| listeners[index].local_addr().unwrap().port());
        let server = Arc::new(Server { messages: Mutex::default(), changed: Condvar::new(), fault, ports });
        for (listener, serve) in listeners.into_iter().zip([Server::mail, Server::pop3, Server::imap]) {
            let server = server.clone();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let server = server.clone();
                    thread::spawn(move || serve(&server, Wire::new(stream.unwrap())));
                }
            });
        }
        server
    }

    /// Messages stored so far.
    pub fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// Stores a message unless the fault forbids.
    fn store(&self, message: Vec<u8>) -> bool {
        if let Fault::Slow(ms) = self.fault {
            thread::sleep(Duration::from_millis(ms));
        }
        let mut messages = self.messages.lock().unwrap();
        messages.push(message);
        self.changed.notify_all();
        self.fault != Fault::RefuseThird || !messages.len().is_multiple_of(3)
    }

    /// A message as it is sent: cut short where the fault says so.
    fn sent(&self, message: &[u8]) -> Vec<u8> {
        let cut = usize::from(self.fault == Fault::ShortBody);
        [&message[..message.len() - 2 - cut], b"\r\n"].concat()
    }

    fn mail(&self, mut wire: Wire) {
        wire.say("220 fake");
        while let Some(line) = wire.line() {
            match line.get(..4).unwrap_or_default() {
                "EHLO" | "LHLO" => wire.say("250-fake\r\n250 PIPELINING"),
                "MAIL" | "RCPT" => wire.say("250 ok"),
                "DATA" => {
                    wire.say("354 go");
                    let mut message = Vec::new();
                    while let Some(line) = wire.line().filter(|line| line != ".") {
                        message.extend_from_slice(line.as_bytes());
                        message.extend_from_slice(b"\r\n");
                    }
                    let taken = self.store(message);
                    wire.say(if taken { "250 stored" } else { "451 later" });
                }
                _ => wire.say("221 bye"),
            }
        }
    }

    fn pop3(&self, mut wire: Wire) {
        wire.say("+OK fake");
        while let Some(line) = wire.line() {
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            let messages = self.messages.lock().unwrap().clone();
            match verb {
                "LIST" => {
                    let sizes = messages.iter().enumerate();
                    let list: String = sizes.map(|(at, m)| format!("{} {}\r\n", at + 1, m.len())).collect();
                    wire.say(&format!("+OK\r\n{list}."));
                }
                "RETR" => {
                    let message = &messages[argument.parse::<usize>().unwrap() - 1];
                    wire.say("+OK");
                    wire.send(&self.sent(message));
                    wire.say(".");
                }
                _ => wire.say("+OK"),
            }
        }
    }

    fn imap(&self, mut wire: Wire) {
        wire.say("* OK fake");
        while let Some(line) = wire.line() {
            let mut words = line.splitn(3, ' ');
            let (tag, verb) = (words.next().unwrap().to_owned(), words.next().unwrap_or_default());
            let argument = words.next().unwrap_or_default();
            match verb {
                "CAPABILITY" => wire.say("* CAPABILITY IMAP4rev1"),
                "SELECT" => wire.say(&format!("* {} EXISTS", self.count())),
                "APPEND" => {
                    let len = argument.rsplit_once('{').unwrap().1.trim_end_matches('}').parse().unwrap();
                    wire.say("+ go");
                    let message = wire.octets(len);
                    wire.line();
                    self.store(message);
                }
                "UID" => self.fetch(&mut wire, argument),
                "IDLE" => self.idle(&mut wire),
                _ => {}
            }
            wire.say(&format!("{tag} OK done"));
        }
    }

    fn fetch(&self, wire: &mut Wire, argument: &str) {
        for (at, message) in self.messages.lock().unwrap().clone().iter().enumerate() {
            let number = at + 1;
            if argument.contains("RFC822.SIZE") {
                wire.say(&format!("* {number} FETCH (UID {number} RFC822.SIZE {})", message.len()));
            } else {
                let body = self.sent(message);
                wire.say(&format!("* {number} FETCH (UID {number} BODY[] {{{}}}", body.len()));
                wire.send(&body);
                wire.say(")");
            }
        }
    }

    /// Tells of every message until DONE comes.
    fn idle(&self, wire: &mut Wire) {
        wire.say("+ idling");
        let mut told = self.count();
        wire.stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut line = String::new();
        while !line.ends_with('\n') {
            // A read that times out keeps what it has read in `line`.
            let _ = wire.reader.read_line(&mut line);
            let messages = self.messages.lock().unwrap();
            let count = self.changed.wait_timeout(messages, Duration::from_millis(1)).unwrap().0.len();
            if count > told && self.fault != Fault::Mute {
                told = count;
                wire.say(&format!("* {count} EXISTS"));
            }
        }
        wire.stream.set_read_timeout(None).unwrap();
    }
}

/// A connection by lines.
struct Wire {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Wire {
    fn new(stream: TcpStream) -> Wire {
        stream.set_nodelay(true).unwrap();
        Wire { reader: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let count = self.reader.read_line(&mut line).ok()?;
        (count > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn octets(&mut self, len: usize) -> Vec<u8> {
        let mut octets = vec![0; len];
        self.reader.read_exact(&mut octets).unwrap();
        octets
    }

    /// The client may be gone; it notices by itself.
    fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }
}
