//! A real server, and a file of its log that somebody cuts off under it: what is mapped there is gone, and a touch of
//! it would be a SIGBUS.

#[path = "../support/server.rs"]
mod server;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use server::{PASSWORD, PATIENCE, Server, Wire};
use tempfile::TempDir;

/// One shard, so that one file has all.
const CONFIG: &str = r#"
hostname = "mail.example.test"
shards = 1
pin_threads = false
[listen]
smtp = []
submission = []
submissions = []
lmtp = ["127.0.0.1:0"]
pop3 = ["127.0.0.1:0"]
pop3s = []
imap = ["127.0.0.1:0"]
imaps = []
[limits]
message_bytes_max = 8388608
[store]
segment_bytes = 33554432
scrub_bytes_per_second = 1073741824
"#;

/// Octets of the messages, by UID from 1 on: one that fits a window of a send, one that does not, small ones.
const SIZES: [usize; 4] = [2_000, 6_000_000, 300_000, 2_000];

/// Some ticks of the server.
const LOOKS_AGAIN: Duration = Duration::from_millis(500);

struct Lab {
    _folder: TempDir,
    log: PathBuf,
    server: Server,
    /// The complete file that has all messages.
    segment: PathBuf,
}

fn message(uid: usize) -> String {
    let line = format!("{uid:08} {}\r\n", "y".repeat(60));
    let head = format!("Message-ID: <{uid}@gone.test>\r\nSubject: number {uid}\r\n\r\n");
    head + &line.repeat(SIZES[uid - 1] / line.len())
}

impl Lab {
    fn new() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ringpost.toml"), CONFIG).unwrap();
        let server = Server::with_accounts(folder.path(), &["ann"]);
        for uid in 1..=SIZES.len() {
            deliver(&server, &message(uid)).unwrap();
        }
        // A copy ends the file that is being written.
        server.admin(&["backup", folder.path().join("copy").to_str().unwrap()], "");
        let segment = server.data.join("shard-000/0000000001.seg");
        Lab { log: folder.path().join("log"), _folder: folder, server, segment }
    }

    /// Where the page of a message's last line begins in the file: of a page that is cut off in its middle, zeroes are
    /// what is left.
    fn last_page(&self, uid: usize) -> u64 {
        let bytes = fs::read(&self.segment).unwrap();
        let head = format!("Message-ID: <{uid}@gone.test>");
        let at = bytes.windows(head.len()).rposition(|window| window == head.as_bytes()).unwrap();
        (at + message(uid).len() - 60) as u64 / 4096 * 4096
    }

    /// Cuts the file off there, and waits until the server takes nothing of it for looked at a moment ago (it looks
    /// again after each tick). What was cut off.
    fn cut_off(&self, at: u64) -> Vec<u8> {
        let tail = fs::read(&self.segment).unwrap().split_off(at as usize);
        OpenOptions::new().write(true).open(&self.segment).unwrap().set_len(at).unwrap();
        std::thread::sleep(LOOKS_AGAIN);
        tail
    }

    fn imap(&self) -> Wire {
        let mut wire = Wire::connect(self.server.port("IMAP", false)).unwrap();
        wire.line().unwrap();
        wire.imap("a", &format!("LOGIN ann@example.test \"{PASSWORD}\"")).unwrap();
        wire.imap("b", "SELECT INBOX").unwrap();
        wire
    }

    /// The last line of the answer to a FETCH, and whether the whole message was in it.
    fn fetch(&self, uid: usize) -> io::Result<(String, bool)> {
        let mut wire = self.imap();
        wire.send(format!("c UID FETCH {uid} BODY.PEEK[]\r\n").as_bytes())?;
        let mut whole = false;
        loop {
            let line = wire.line()?;
            if let Some((_, count)) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')) {
                whole |= wire.bytes(count.parse().unwrap())?.ends_with(message(uid).as_bytes());
            } else if line.starts_with("c ") {
                return Ok((line, whole));
            }
        }
    }

    /// The first line of the answer to RETR.
    fn retrieve(&self, number: usize) -> io::Result<String> {
        let mut wire = Wire::connect(self.server.port("POP3", false))?;
        wire.line()?;
        for command in ["USER ann@example.test".to_owned(), format!("PASS {PASSWORD}")] {
            wire.send(format!("{command}\r\n").as_bytes())?;
            wire.line()?;
        }
        wire.send(format!("RETR {number}\r\n").as_bytes())?;
        wire.line()
    }

    /// Waits for a line of the log with all of these in it.
    fn told(&self, parts: &[&str]) -> String {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let log = fs::read_to_string(&self.log).unwrap();
            if let Some(line) = log.lines().find(|line| parts.iter().all(|part| line.contains(part))) {
                return line.to_owned();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("no line with {parts:?}:\n{}", fs::read_to_string(&self.log).unwrap());
    }
}

fn deliver(server: &Server, message: &str) -> io::Result<()> {
    let mut wire = Wire::connect(server.port("LMTP", false))?;
    wire.smtp_reply()?;
    for command in ["LHLO gone.test", "MAIL FROM:<sender@gone.test>", "RCPT TO:<ann@example.test>", "DATA"] {
        wire.smtp(command)?;
    }
    wire.send(message.as_bytes())?;
    let reply = wire.smtp(".")?;
    assert!(reply.starts_with("250"), "{reply}");
    Ok(())
}

#[test]
fn what_cannot_be_read_is_refused_hidden_and_told_and_everything_else_is_served() {
    let mut lab = Lab::new();
    for uid in 1..=4 {
        assert_eq!(lab.fetch(uid).unwrap(), ("c OK UID FETCH completed".to_owned(), true), "{uid}");
    }
    let tail = lab.cut_off(lab.last_page(3));
    let (refused, _) = lab.fetch(3).unwrap();
    assert!(refused.starts_with("c NO [CORRUPTION]"), "{refused}");
    lab.told(&["unreadable", "0000000001.seg"]);
    assert!(lab.retrieve(4).unwrap().starts_with("-ERR [SYS/PERM]"));
    for uid in [1, 2] {
        assert!(lab.fetch(uid).unwrap().1, "{uid} is what was sent");
    }
    assert!(lab.retrieve(1).unwrap().starts_with("+OK"));
    for uid in [3, 4] {
        lab.told(&["message hidden", "account=ann@example.test", "mailbox=INBOX", &format!("uid={uid} ")]);
    }
    let damage = lab.server.admin(&["damage", "--json"], "");
    for uid in [3, 4] {
        let row = damage.lines().find(|row| row.contains(&format!("\"uid\":{uid},"))).expect("it is listed");
        let parts = [
            "\"account\":\"ann@example.test\"",
            "\"mailbox\":\"INBOX\"",
            "0000000001.seg",
            "account restore",
        ];
        assert!(parts.iter().all(|part| row.contains(part)), "{row}");
        // The summary of the first of them is in front of what is cut off.
        assert_eq!(row.contains("<3@gone.test>"), uid == 3, "{row}");
    }
    assert_eq!(damage.lines().count(), 2, "{damage}");
    assert!(lab.server.admin(&["damage"], "").contains("ann@example.test INBOX 3: <3@gone.test>"));
    let scrub = lab.server.admin(&["scrub", "--now", "--json"], "");
    assert!(scrub.contains("\"hidden\":") && scrub.contains("\"bytes_per_second\":1073741824"), "{scrub}");
    assert!(lab.server.admin(&["scrub"], "").starts_with("SHARD  ROUND"));
    // By now the log says so.
    assert!(lab.fetch(4).unwrap().0.starts_with("c NO [CORRUPTION]"));
    // Half of a long message is there, more than is looked at before the first octet leaves: then nothing but an end of
    // the connection says the truth.
    let more = lab.cut_off(lab.last_page(2) - 1_024_000);
    assert!(lab.fetch(2).is_err() || !lab.fetch(2).unwrap().1);
    lab.told(&["message hidden", "uid=2 "]);
    assert!(lab.fetch(2).unwrap().0.starts_with("c NO [CORRUPTION]"));
    assert!(lab.fetch(1).unwrap().1, "everybody else is served");
    assert!(lab.server.child.try_wait().unwrap().is_none(), "by the same process");

    // The right bytes are put back.
    let file = OpenOptions::new().write(true).open(&lab.segment).unwrap();
    put_back(&file, &[more, tail].concat());
    drop(file);
    let (folder, log) = (lab._folder, lab.log);
    lab.server.interrupt();
    let server = Server::start(folder.path());
    let lab = Lab { segment: server.data.join("shard-000/0000000001.seg"), _folder: folder, log, server };
    let started = Instant::now();
    while (2..=4).any(|uid| !lab.fetch(uid).unwrap().1) {
        assert!(started.elapsed() < PATIENCE, "all is shown again after a round");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(lab.server.admin(&["damage", "--json"], ""), "");
    lab.server.interrupt();
}

fn put_back(file: &File, bytes: &[u8]) {
    let end = file.metadata().unwrap().len();
    file.write_all_at(bytes, end).unwrap();
    file.sync_all().unwrap();
}
