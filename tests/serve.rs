//! The whole server in this process, on real sockets, files and rings: what clients see.
//!
//! *Owns*: nothing. *Promises*: mail that was acknowledged comes out byte-equal, on every shard, with and
//! without TLS, before and after a restart. *Assumes*: io_uring and the loopback. *Never*: waits longer than
//! its time-outs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringpost::config::Config;
use ringpost::log::Line;
use ringpost::proto::{Server, Service};
use ringpost::runtime::{self, Listener, Plan, Running, Tls};
use ringpost::shard::admin::{AdminReply, AdminRequest};
use ringpost_engine::change::Services;
use ringpost_engine::ids::{ShardId, Slot};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

const SHARDS: u16 = 2;
const PASSWORD: &str = "correct horse battery staple";
/// Enough accounts that every shard owns some.
const ACCOUNTS: [&str; 4] = ["ann@example.test", "bob@example.test", "cid@example.test", "dot@example.test"];
const DOORS: [(Service, bool); 5] = [
    (Service::Lmtp, false),
    (Service::Pop3, false),
    (Service::Pop3, true),
    (Service::Imap, false),
    (Service::Imap, true),
];
const LMTP: usize = 0;
const POP3: usize = 1;
const POP3S: usize = 2;
const IMAP: usize = 3;
const IMAPS: usize = 4;

struct World {
    running: Running,
    roots: Arc<ClientConfig>,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// A self-signed certificate and the trust in it.
fn certificate() -> (Tls, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Tls {
        certificate_pem: made.cert.pem().into_bytes(),
        private_key_pem: made.signing_key.serialize_pem().into_bytes(),
    };
    (tls, Arc::new(client))
}

fn plan(data: &Path, tls: Tls) -> Plan {
    let listener = |(service, implicit_tls)| Listener {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        service,
        implicit_tls,
    };
    Plan {
        data: data.to_path_buf(),
        shards: SHARDS,
        listeners: DOORS.into_iter().map(listener).collect(),
        server: Server {
            hostname: "mail.example.test".to_owned(),
            message_bytes_max: 4 << 20,
            ..Config::embedded().server()
        },
        tls: Some(tls),
        verify_threads: 2,
        scrub_bytes_per_second: 1 << 30,
        undelete_ms: 0,
        segment_bytes: 8 << 20,
        checkpoint_log_bytes: 1 << 16,
        compact_live_percent: 80,
        compress_after_ms: None,
        compress_level: 3,
        compact_grace_ms: 0,
        compact_bytes_per_second: 1 << 26,
        index_memory_bytes_max: 1 << 20,
        message_bytes_max: 4 << 20,
        pin: true,
    }
}

/// Starts; makes the accounts where the folder is new.
fn start(data: &Path) -> World {
    let (tls, roots) = certificate();
    let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
    let sink = lines.clone();
    let new = runtime::stored_shards(data).expect("readable").is_none();
    let plan = plan(data, tls);
    runtime::preflight(&plan).expect("this machine can serve");
    let running = runtime::start(
        plan,
        Arc::new(move |lines: &[Line]| sink.lock().expect("the list").extend_from_slice(lines)),
    )
    .expect("it starts");
    let world = World { running, roots, lines };
    if new {
        let control = world.running.control();
        let add = AdminRequest::DomainAdd { name: "example.test".to_owned() };
        assert!(matches!(control.request(ShardId(0), add), Ok(AdminReply::Done)));
        for address in ACCOUNTS {
            let add = AdminRequest::AccountAdd {
                address: address.to_owned(),
                password_hash: ringpost::password::hash_generated(PASSWORD).expect("a hash"),
                services: Services::ALL,
            };
            let reply = control.request(Slot::of(address).shard(SHARDS), add);
            assert!(matches!(reply, Ok(AdminReply::Done)), "{reply:?}");
        }
    }
    world
}

impl World {
    fn connect(&self, door: usize) -> TcpStream {
        let stream = TcpStream::connect(self.running.addresses()[door]).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        stream
    }

    fn secure(&self, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(self.roots.clone(), name).expect("a client");
        StreamOwned::new(connection, stream)
    }

    fn figure(&self, name: &str) -> u64 {
        let control = self.running.control();
        (0..SHARDS)
            .map(|shard| match control.request(ShardId(shard), AdminRequest::Status) {
                Ok(AdminReply::Status(figures)) => {
                    figures.iter().find(|(key, _)| *key == name).map_or(0, |(_, value)| *value)
                }
                other => panic!("no figures: {other:?}"),
            })
            .sum()
    }

    fn deliver(&self, recipients: &[&str], message: &[u8]) {
        let mut client = Client::new(self.connect(LMTP));
        client.expect("220 ");
        client.say("LHLO client.example.test");
        while client.line().starts_with("250-") {}
        client.say("MAIL FROM:<sender@example.org>");
        client.expect("250 ");
        for recipient in recipients {
            client.say(&format!("RCPT TO:<{recipient}>"));
            client.expect("250 ");
        }
        client.say("DATA");
        client.expect("354 ");
        client.stream.get_mut().write_all(message).expect("sent");
        client.say(".");
        for _ in recipients {
            client.expect("250 ");
        }
        client.say("QUIT");
        client.expect("221 ");
        assert!(client.is_at_end());
    }
}

/// A stream under COMPRESS=DEFLATE, from the client's side.
struct Deflated<S> {
    stream: S,
    deflate: Deflate,
    inflate: Inflate,
    received: Vec<u8>,
}

impl<S: Read> Read for Deflated<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let (used, made) = (self.inflate.total_in(), self.inflate.total_out());
            let done = self.inflate.decompress(&self.received, buffer, InflateFlush::SyncFlush);
            done.map_err(|error| std::io::Error::other(error.as_str()))?;
            self.received.drain(..(self.inflate.total_in() - used) as usize);
            let made = (self.inflate.total_out() - made) as usize;
            if made > 0 {
                return Ok(made);
            }
            let mut more = [0; 16 * 1024];
            match self.stream.read(&mut more)? {
                0 => return Ok(0),
                count => self.received.extend_from_slice(&more[..count]),
            }
        }
    }
}

impl<S: Write> Write for Deflated<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let (mut deflated, made) = (vec![0; bytes.len() * 2 + 100], self.deflate.total_out());
        let done = self.deflate.compress(bytes, &mut deflated, DeflateFlush::SyncFlush);
        done.map_err(|error| std::io::Error::other(error.as_str()))?;
        self.stream.write_all(&deflated[..(self.deflate.total_out() - made) as usize])?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// A client that speaks in lines.
struct Client<S: Read + Write> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Client<S> {
    fn new(stream: S) -> Client<S> {
        Client { stream: BufReader::new(stream) }
    }
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line in time");
        line
    }
    fn expect(&mut self, start: &str) -> String {
        let line = self.line();
        assert!(line.starts_with(start), "{line:?} should begin with {start:?}");
        line
    }
    fn say(&mut self, line: &str) {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{line}\r\n").as_bytes()).expect("sent");
        stream.flush().expect("sent");
    }
    /// IMAP: skips to the good end of a command.
    fn tagged(&mut self, tag: &str) {
        loop {
            let line = self.line();
            if !line.starts_with("* ") {
                assert!(line.starts_with(&format!("{tag} OK")), "{line:?}");
                return;
            }
        }
    }
    /// IMAP: the mailbox now holds `count` messages.
    fn told(&mut self, count: u32) {
        while self.line() != format!("* {count} EXISTS\r\n") {}
    }
    /// IMAP: ends IDLE and fetches the third message.
    fn fetch_last(&mut self, sent: &[u8]) {
        self.say("DONE\r\nd FETCH 3 BODY.PEEK[]");
        while !self.line().starts_with("c OK") {}
        let line = self.expect("* 3 FETCH");
        let (_, size) = line.trim_end().rsplit_once('{').expect("a literal");
        let mut body = vec![0; size.trim_end_matches('}').parse().expect("a size")];
        self.stream.read_exact(&mut body).expect("the literal");
        assert!(body.ends_with(sent));
        self.tagged_after_literal("d");
    }
    fn tagged_after_literal(&mut self, tag: &str) {
        self.expect(")");
        self.tagged(tag);
    }
    fn is_at_end(&mut self) -> bool {
        self.stream.fill_buf().expect("an end without an error").is_empty()
    }
    fn login(&mut self, user: &str) {
        self.say(&format!("USER {user}\r\nPASS {PASSWORD}"));
        self.expect("+OK");
        self.expect("+OK");
    }
    /// A multi-line answer without its dots.
    fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).expect("a line in time");
            match line.as_slice() {
                b".\r\n" => return body,
                [b'.', rest @ ..] => body.extend_from_slice(rest),
                [] => panic!("the answer ends early"),
                _ => body.extend_from_slice(&line),
            }
        }
    }
    fn retrieve(&mut self, number: usize) -> Vec<u8> {
        self.say(&format!("RETR {number}"));
        self.expect("+OK");
        self.body()
    }
}

fn message(bytes: usize) -> Vec<u8> {
    let mut message = b"From: a@example.org\r\nSubject: test\r\n\r\n".to_vec();
    let mut number = 0u32;
    while message.len() < bytes {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        message.extend_from_slice(format!("line {number:x} {:064}\r\n", message.len()).as_bytes());
    }
    message
}

#[test]
fn every_account_can_be_read_everywhere_before_and_after_a_restart() {
    let data = tempfile::tempdir().expect("a folder");
    let owners: std::collections::BTreeSet<_> =
        ACCOUNTS.iter().map(|address| Slot::of(address).shard(SHARDS)).collect();
    assert_eq!(owners.len(), usize::from(SHARDS), "the accounts are spread over all shards");
    let sent = message(3_000);
    let world = start(data.path());
    world.deliver(&ACCOUNTS, &sent);
    // Many connections, so that every shard accepts some for accounts of the other.
    for round in 0..6 {
        for user in ACCOUNTS {
            let mut client = Client::new(world.connect(POP3));
            client.expect("+OK");
            client.login(user);
            assert!(client.retrieve(1).ends_with(&sent), "round {round}, {user}");
            client.say("QUIT");
            client.expect("+OK");
            assert!(client.is_at_end());
        }
    }
    assert!(world.figure("sessions_moved") > 0);
    world.running.drain().expect("a clean end");

    let world = start(data.path());
    for user in ACCOUNTS {
        let mut client = Client::new(world.secure(world.connect(POP3S)));
        client.expect("+OK");
        client.login(user);
        assert!(client.retrieve(1).ends_with(&sent));
        client.say("DELE 1\r\nQUIT");
        client.expect("+OK");
        client.expect("+OK");
        assert!(client.is_at_end(), "with a close_notify, or rustls would complain");
    }
    world.running.drain().expect("a clean end");

    let world = start(data.path());
    for user in ACCOUNTS {
        let mut client = Client::new(world.connect(POP3));
        client.expect("+OK");
        client.login(user);
        client.say("STAT");
        client.expect("+OK 0 0");
    }
    world.running.drain().expect("a clean end");
    let recovered = world.lines.lock().expect("the list").iter().filter(|l| l.event == "recovery").count();
    assert_eq!(recovered, usize::from(SHARDS));
}

/// Logs in, switches compression on, appends and fetches, waits in IDLE and sees what comes in.
fn talk_deflated<S: Read + Write>(world: &World, stream: S, user: &str, sent: &[u8]) {
    let mut client = Client::new(stream);
    client.expect("* OK");
    client.say(&format!("a LOGIN {user} \"{PASSWORD}\""));
    client.expect("a OK");
    client.say("b COMPRESS DEFLATE");
    client.expect("b OK");
    let stream = client.stream.into_inner();
    let (deflate, inflate) = (Deflate::new(6, false, 15), Inflate::new(false, 15));
    let mut client = Client::new(Deflated { stream, deflate, inflate, received: Vec::new() });
    client.say("c SELECT INBOX");
    client.tagged("c");
    client.say(&format!("d APPEND INBOX {{{}+}}", sent.len()));
    client.stream.get_mut().write_all(sent).expect("sent");
    client.say("");
    client.told(1);
    client.tagged("d");
    for round in 0..3 {
        client.say("e FETCH 1 BODY.PEEK[]");
        let line = client.expect("* 1 FETCH");
        assert!(line.trim_end().ends_with(&format!("{{{}}}", sent.len())), "round {round}: {line}");
        let mut body = vec![0; sent.len()];
        client.stream.read_exact(&mut body).expect("the literal");
        assert!(body == sent);
        client.tagged_after_literal("e");
    }
    client.say("f IDLE");
    client.expect("+ ");
    world.deliver(&[user], b"Subject: pushed\r\n\r\nhi\r\n");
    client.told(2);
    client.say("DONE\r\ng LOGOUT");
    while !client.line().starts_with("g OK") {}
    assert!(client.is_at_end());
}

#[test]
fn compressed_sessions_carry_every_octet_with_and_without_tls() {
    let data = tempfile::tempdir().expect("a folder");
    let world = start(data.path());
    let sent = message(2 << 20);
    let sent_bytes = world.figure("bytes_in");
    talk_deflated(&world, world.connect(IMAP), ACCOUNTS[0], &sent);
    assert!(world.figure("bytes_in") - sent_bytes > sent.len() as u64, "the shard counts plaintext");
    talk_deflated(&world, world.secure(world.connect(IMAPS)), ACCOUNTS[1], &sent);
    // What is not deflated ends the connection, and says why.
    let mut client = Client::new(world.connect(IMAP));
    client.say(&format!("a LOGIN {} \"{PASSWORD}\"", ACCOUNTS[2]));
    client.expect("* OK");
    client.expect("a OK");
    client.say("b COMPRESS DEFLATE");
    client.expect("b OK");
    client.say("c NOOP");
    assert!(client.is_at_end());
    world.running.drain().expect("a clean end");
    let lines = world.lines.lock().expect("the list");
    let ends = |line: &&Line| line.text("").contains("compression: this is not deflated");
    assert_eq!(lines.iter().filter(ends).count(), 1);
}

#[test]
fn bodies_leave_from_the_mapping_unseen_and_large_ones_whole() {
    let data = tempfile::tempdir().expect("a folder");
    let world = start(data.path());
    let (large, user) = (message(3 << 20), ACCOUNTS[0]);
    world.deliver(&[user], &large);
    let (made, mapped) = (world.figure("bytes_out_made"), world.figure("bytes_out_mapped"));
    let mut client = Client::new(world.connect(POP3));
    client.expect("+OK");
    client.login(user);
    // All asked for at once, nothing read for a while: output waits here, and is not lost.
    client.say(&["RETR 1"; 8].join("\r\n"));
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..8 {
        client.expect("+OK");
        assert!(client.body().ends_with(&large));
    }
    let (made, mapped) = (world.figure("bytes_out_made") - made, world.figure("bytes_out_mapped") - mapped);
    assert!(mapped >= 8 * large.len() as u64, "{mapped} bytes from the mapping");
    assert!(made < 4_096, "{made} bytes made by sessions");
    world.running.drain().expect("a clean end");
}

#[test]
fn tls_begins_in_the_middle_and_moves_with_its_session() {
    let data = tempfile::tempdir().expect("a folder");
    let world = start(data.path());
    let large = message(1 << 20);
    world.deliver(&ACCOUNTS, &large);
    for round in 0..4 {
        for user in ACCOUNTS {
            let mut plain = Client::new(world.connect(POP3));
            plain.expect("+OK");
            plain.say("STLS");
            plain.expect("+OK");
            let mut client = Client::new(world.secure(plain.stream.into_inner()));
            client.login(user);
            assert!(client.retrieve(1).ends_with(&large), "round {round}, {user}");
            client.say("QUIT");
            client.expect("+OK");
            assert!(client.is_at_end());
        }
    }
    assert!(world.figure("sessions_moved") > 0);
    // What is no TLS is told apart and hurts nobody.
    let mut liar = world.connect(POP3S);
    liar.write_all(b"USER ann@example.test\r\n").expect("sent");
    let mut answer = Vec::new();
    liar.read_to_end(&mut answer).expect("an alert and the end");
    assert_eq!(answer.first(), Some(&21), "an alert (rfc8446#5.1)");
    world.running.drain().expect("a clean end");
    let lines = world.lines.lock().expect("the list");
    let ends = lines.iter().filter(|line| line.event == "connection");
    let told = ends.flat_map(|line| &line.fields).any(|(key, text)| *key == "end" && text.contains("TLS"));
    assert!(told, "{lines:?}");
}

/// Logs in, selects INBOX, and says IDLE.
fn idle<S: Read + Write>(stream: S, user: &str) -> Client<S> {
    let mut client = Client::new(stream);
    client.expect("* OK");
    client.say(&format!("a LOGIN {user} \"{PASSWORD}\""));
    client.tagged("a");
    client.say("b SELECT INBOX");
    client.tagged("b");
    client.say("c IDLE");
    client.expect("+ ");
    client
}

#[test]
fn idle_clients_are_told_and_fetch_what_came() {
    let data = tempfile::tempdir().expect("a folder");
    let world = start(data.path());
    let sent = message(50_000);
    let mut plain: Vec<_> = ACCOUNTS.iter().map(|user| idle(world.connect(IMAP), user)).collect();
    let mut secure: Vec<_> =
        ACCOUNTS.iter().map(|user| idle(world.secure(world.connect(IMAPS)), user)).collect();
    for round in 1..=3 {
        world.deliver(&ACCOUNTS, &sent);
        for client in &mut plain {
            client.told(round);
        }
        for client in &mut secure {
            client.told(round);
        }
    }
    for client in &mut plain {
        client.fetch_last(&sent);
    }
    for client in &mut secure {
        client.fetch_last(&sent);
    }
    world.running.drain().expect("a clean end");
}

#[test]
fn a_client_that_ends_its_side_early_still_gets_its_answers() {
    let data = tempfile::tempdir().expect("a folder");
    let world = start(data.path());
    let say_all = |door, text: String| {
        let mut stream = world.connect(door);
        stream.write_all(text.as_bytes()).expect("sent");
        stream.shutdown(std::net::Shutdown::Write).expect("connected");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answers, then an end");
        answer
    };
    for user in ACCOUNTS {
        let message = String::from_utf8(message(2_000)).expect("text");
        let answer = say_all(
            LMTP,
            format!(
                "LHLO c\r\nMAIL FROM:<s@example.org>\r\nRCPT TO:<{user}>\r\nDATA\r\n{message}.\r\nQUIT\r\n"
            ),
        );
        assert!(answer.lines().any(|line| line.starts_with("221 ")), "{answer}");
        let answer = say_all(POP3, format!("USER {user}\r\nPASS {PASSWORD}\r\nRETR 1\r\nQUIT\r\n"));
        assert!(answer.contains(&message), "{answer}");
        assert_eq!(answer.lines().filter(|line| line.starts_with("+OK")).count(), 5, "{answer}");
    }
    world.running.drain().expect("a clean end");
}

#[test]
fn draining_ends_idle_sessions_soon_and_lets_nobody_in() {
    let data = tempfile::tempdir().expect("a folder");
    let world = start(data.path());
    let mut idle = Vec::new();
    for user in ACCOUNTS.iter().cycle().take(20) {
        let mut client = Client::new(world.connect(POP3));
        client.expect("+OK");
        client.login(user);
        idle.push(client);
    }
    let silent = world.connect(POP3S);
    let address = world.running.addresses()[POP3];
    let begun = Instant::now();
    world.running.drain().expect("a clean end");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    for mut client in idle {
        while !client.is_at_end() {
            client.line();
        }
    }
    drop(silent);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn what_cannot_be_served_is_refused_before_anything_is() {
    let data = tempfile::tempdir().expect("a folder");
    let world = start(data.path());
    let (tls, _) = certificate();
    let again = plan(data.path(), tls.clone());
    let refused = runtime::preflight(&again).expect_err("the folder is taken");
    assert!(refused.contains("is in use by process"), "{refused}");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let mut taken = plan(elsewhere.path(), tls.clone());
    taken.listeners[0].address = world.running.addresses()[LMTP];
    let refused = runtime::preflight(&taken).expect_err("the port is taken");
    assert!(refused.contains("is in use"), "{refused}");
    let mut crowded = plan(elsewhere.path(), tls.clone());
    crowded.segment_bytes = 1 << 60;
    let refused = runtime::preflight(&crowded).expect_err("no disk is that large");
    assert!(refused.contains("make room"), "{refused}");
    let mut unsigned = plan(elsewhere.path(), tls);
    unsigned.tls = Some(Tls { certificate_pem: b"hello".to_vec(), private_key_pem: b"hello".to_vec() });
    let refused = runtime::preflight(&unsigned).expect_err("no certificate");
    assert!(refused.contains("certificate"), "{refused}");
    world.running.drain().expect("a clean end");
    let mut other = plan(data.path(), certificate().0);
    other.shards = SHARDS + 1;
    let refused = runtime::start(other, Arc::new(|_: &[Line]| {})).err().expect("another number of shards");
    assert!(refused.contains("2 shards"), "{refused}");
}
