//! Clients that write until the server dies under them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ACCOUNTS;
use crate::ledger::{Ledger, Sure};
use crate::server::{PASSWORD, Wire};

/// Where to go.
pub struct Ports {
    pub smtp: u16,
    pub lmtp: u16,
    pub imap: u16,
    pub pop3: u16,
    /// Whether most of a mailbox goes now and then, so that little of the log stays alive.
    pub purges: bool,
}

/// Runs a client again and again. Its I/O errors are expected only once the server is being killed.
pub fn until_gone(killed: &AtomicBool, mut client: impl FnMut() -> std::io::Result<()>) {
    while let Ok(()) = client() {}
    // The signal is sent just before the flag is set; give the flag that moment.
    for _ in 0..100 {
        if killed.load(Ordering::SeqCst) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("a client lost its connection although the server was not killed");
}

/// One message of so many outlives a purge, so that compaction has something to move.
const KEPT_OF: usize = 16;

/// A small deterministic generator (xorshift, Marsaglia 2003).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn message(id: &str, dice: &mut Dice) -> String {
    let mut text = format!("Message-ID: <{id}>\r\nSubject: {id}\r\n\r\n");
    for line in 0..dice.below(120) {
        let dots = ".".repeat(dice.below(3) as usize);
        text.push_str(&format!("{dots}line {line} of {id} {}\r\n", "x".repeat(dice.below(150) as usize)));
    }
    text
}

fn expect(reply: std::io::Result<String>, code: &str) -> std::io::Result<()> {
    let reply = reply?;
    assert!(reply.starts_with(code), "expected {code}: {reply}");
    Ok(())
}

/// One connection that delivers some messages to one to three accounts each.
pub fn deliver(ports: &Ports, seed: u64, lmtp: bool, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    static CONNECTIONS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let mut dice = Dice::new(seed + connection * 7919);
    let mut wire = Wire::connect(if lmtp { ports.lmtp } else { ports.smtp })?;
    expect(wire.smtp_reply(), "220")?;
    expect(wire.smtp(if lmtp { "LHLO load.test" } else { "EHLO load.test" }), "250")?;
    for number in 0..20 {
        let id = format!("d{seed}.{connection}.{number}@load.test");
        let text = message(&id, &mut dice);
        let first = dice.below(4) as usize;
        let to: Vec<usize> = (0..=dice.below(3) as usize).map(|n| (first + n) % ACCOUNTS.len()).collect();
        expect(wire.smtp("MAIL FROM:<load@load.test>"), "250")?;
        for &account in &to {
            expect(wire.smtp(&format!("RCPT TO:<{}@example.test>", ACCOUNTS[account])), "250")?;
        }
        expect(wire.smtp("DATA"), "354")?;
        for &account in &to {
            ledger.lock().unwrap().sending(account, &id, &text, true);
        }
        wire.send(format!("{}.\r\n", stuffed(&text)).as_bytes())?;
        for answers in to.chunks(if lmtp { 1 } else { to.len() }) {
            expect(wire.smtp_reply(), "250")?;
            for &account in answers {
                ledger.lock().unwrap().fate(account, &id).stored = Sure::Yes;
            }
        }
    }
    expect(wire.smtp("QUIT"), "221")
}

/// Doubles the dots that begin a line (rfc5321#4.5.2).
fn stuffed(text: &str) -> String {
    text.split_inclusive("\r\n")
        .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_string() })
        .collect()
}

/// One IMAP session that appends, flags and expunges in its own account, then one POP3 session that deletes.
pub fn use_mailbox(ports: &Ports, seed: u64, account: usize, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    static SESSIONS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
    let mut dice = Dice::new(seed + session * 104_729);
    let mut wire = Wire::connect(ports.imap)?;
    wire.line()?;
    wire.imap("login", &format!("LOGIN {}@example.test \"{PASSWORD}\"", ACCOUNTS[account]))?;
    let selected = wire.imap("select", "SELECT INBOX")?;
    if ports.purges && dice.below(4) == 0 && !selected.iter().any(|line| line == "* 0 EXISTS") {
        purge(&mut wire, account, ledger)?;
    }
    for number in 0..15 {
        let id = format!("a{seed}.{session}.{number}@load.test");
        match dice.below(4) {
            0 | 1 => append(&mut wire, account, &id, &message(&id, &mut dice), ledger)?,
            2 => flag(&mut wire, account, &mut dice, ledger)?,
            _ => expunge(&mut wire, account, &mut dice, ledger)?,
        }
    }
    wire.imap("bye", "LOGOUT")?;
    pop3_delete(ports, account, ledger)
}

fn append(
    wire: &mut Wire,
    account: usize,
    id: &str,
    text: &str,
    ledger: &Mutex<Ledger>,
) -> std::io::Result<()> {
    ledger.lock().unwrap().sending(account, id, text, false);
    wire.send(format!("append APPEND INBOX {{{}+}}\r\n{text}\r\n", text.len()).as_bytes())?;
    let lines = wire.imap_reply("append")?;
    let code = lines.last().and_then(|line| line.split_once("[APPENDUID ")).map(|(_, rest)| rest.to_string());
    let code = code.unwrap_or_else(|| panic!("no APPENDUID in {lines:?}"));
    let uid = code.split(['[', ']', ' ']).nth(1).and_then(|uid| uid.parse().ok());
    let mut ledger = ledger.lock().unwrap();
    let fate = ledger.fate(account, id);
    (fate.stored, fate.uid) = (Sure::Yes, uid);
    Ok(())
}

/// A message that is in the mailbox now: its UID and Message-ID.
fn pick(wire: &mut Wire, dice: &mut Dice) -> std::io::Result<Option<(u32, String)>> {
    let found = wire.imap("search", "UID SEARCH UNDELETED")?;
    let line = found.iter().find(|line| line.starts_with("* SEARCH")).cloned().unwrap_or_default();
    let uids: Vec<u32> = line.split_whitespace().skip(2).filter_map(|uid| uid.parse().ok()).collect();
    if uids.is_empty() {
        return Ok(None);
    }
    let uid = uids[dice.below(uids.len() as u64) as usize];
    let lines = wire.imap("fetch", &format!("UID FETCH {uid} (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"))?;
    let text = lines.join(" ");
    let id = text.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(id, _)| id.to_string());
    Ok(id.map(|id| (uid, id)))
}

fn flag(wire: &mut Wire, account: usize, dice: &mut Dice, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    let Some((uid, id)) = pick(wire, dice)? else { return Ok(()) };
    let before = ledger.lock().unwrap().fate(account, &id).flagged;
    if before == Sure::No {
        ledger.lock().unwrap().fate(account, &id).flagged = Sure::Maybe;
    }
    wire.imap("store", &format!("UID STORE {uid} +FLAGS.SILENT (\\Flagged)"))?;
    ledger.lock().unwrap().fate(account, &id).flagged = Sure::Yes;
    Ok(())
}

fn expunge(wire: &mut Wire, account: usize, dice: &mut Dice, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    let Some((uid, id)) = pick(wire, dice)? else { return Ok(()) };
    ledger.lock().unwrap().fate(account, &id).gone = Sure::Maybe;
    wire.imap("store", &format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?;
    wire.imap("expunge", &format!("UID EXPUNGE {uid}"))?;
    ledger.lock().unwrap().fate(account, &id).gone = Sure::Yes;
    Ok(())
}

/// Removes most of what is in the mailbox now.
fn purge(wire: &mut Wire, account: usize, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    let lines = wire.imap("fetch", "UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")?;
    let between = |line: &str, from: &str, to: [char; 2]| {
        line.split_once(from).and_then(|(_, rest)| rest.split(to).next()).map(str::to_owned)
    };
    let uids: Vec<String> = lines.iter().filter_map(|line| between(line, "(UID ", [' ', ')'])).collect();
    let ids: Vec<String> =
        lines.iter().filter_map(|line| between(line, "Message-ID: <", ['>', '>'])).collect();
    assert_eq!(uids.len(), ids.len(), "a UID and an id each: {lines:?}");
    let going = |at: &usize| !at.is_multiple_of(KEPT_OF);
    let set: Vec<String> =
        uids.chunks(KEPT_OF).filter_map(|part| Some(format!("{}:{}", part.get(1)?, part.last()?))).collect();
    if set.is_empty() {
        return Ok(());
    }
    let set = set.join(",");
    let mark = |gone: Sure| {
        for at in (0..ids.len()).filter(going) {
            ledger.lock().unwrap().fate(account, &ids[at]).gone = gone;
        }
    };
    mark(Sure::Maybe);
    wire.imap("store", &format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"))?;
    wire.imap("expunge", &format!("UID EXPUNGE {set}"))?;
    mark(Sure::Yes);
    Ok(())
}

/// Deletes the first message; it is gone when QUIT is answered.
fn pop3_delete(ports: &Ports, account: usize, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    let mut wire = Wire::connect(ports.pop3)?;
    let greeting = wire.line()?;
    assert!(greeting.starts_with("+OK"), "{greeting}");
    let mut ask = |command: String| -> std::io::Result<String> {
        wire.send(format!("{command}\r\n").as_bytes())?;
        let reply = wire.line()?;
        assert!(reply.starts_with("+OK"), "{command}: {reply}");
        Ok(reply)
    };
    ask(format!("USER {}@example.test", ACCOUNTS[account]))?;
    ask(format!("PASS {PASSWORD}"))?;
    if ask("STAT".to_string())?.starts_with("+OK 0 ") {
        return ask("QUIT".to_string()).map(drop);
    }
    ask("TOP 1 0".to_string())?;
    let mut id = String::new();
    loop {
        let line = wire.line()?;
        if let Some(value) = line.strip_prefix("Message-ID: <") {
            id = value.trim_end_matches('>').to_string();
        }
        if line == "." {
            break;
        }
    }
    ledger.lock().unwrap().fate(account, &id).gone = Sure::Maybe;
    for command in ["DELE 1", "QUIT"] {
        wire.send(format!("{command}\r\n").as_bytes())?;
        let reply = wire.line()?;
        assert!(reply.starts_with("+OK"), "{command}: {reply}");
    }
    ledger.lock().unwrap().fate(account, &id).gone = Sure::Yes;
    Ok(())
}
