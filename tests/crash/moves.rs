//! kill -9 while slots move between shards, and while the number of shards changes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::ledger::{Ledger, Sure};
use crate::server::{Server, Wire, config, signal};
use crate::{ACCOUNTS, UPKEEP, check, rounds};

/// What the rounds have done, so that they prove something.
#[derive(Default)]
struct Done {
    moved: AtomicU64,
    stored: AtomicU64,
    connections: AtomicU64,
}

/// A delivery that takes "later" for an answer. Only what was answered 250 is sure.
fn deliver(port: u16, done: &Done, ledger: &Mutex<Ledger>) -> std::io::Result<()> {
    let connection = done.connections.fetch_add(1, Ordering::Relaxed);
    let mut wire = Wire::connect(port)?;
    wire.smtp_reply()?;
    wire.smtp("LHLO load.test")?;
    for number in 0..20usize {
        let (id, account) = (format!("m{connection}.{number}@load.test"), number % ACCOUNTS.len());
        wire.smtp("MAIL FROM:<load@load.test>")?;
        let taken = wire.smtp(&format!("RCPT TO:<{}@example.test>", ACCOUNTS[account]))?;
        // A slot between two shards is no reason to say that there is nobody.
        assert!(taken.starts_with("250") || taken.starts_with('4'), "{taken}");
        if !taken.starts_with("250") {
            wire.smtp("RSET")?;
            continue;
        }
        let text = format!("Message-ID: <{id}>\r\nSubject: {id}\r\n\r\n{}\r\n", "x".repeat(number * 97));
        wire.smtp("DATA")?;
        ledger.lock().unwrap().sending(account, &id, &text, true);
        wire.send(format!("{text}.\r\n").as_bytes())?;
        let answer = wire.smtp_reply()?;
        assert!(answer.starts_with("250") || answer.starts_with('4'), "{answer}");
        if answer.starts_with("250") {
            ledger.lock().unwrap().fate(account, &id).stored = Sure::Yes;
            done.stored.fetch_add(1, Ordering::Relaxed);
        }
    }
    wire.smtp("QUIT").map(drop)
}

/// Runs a command of ours; what it says when the server dies is its own affair.
fn ringpost(data: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_ringpost"))
        .args(arguments)
        .args(["--data", data.to_str().unwrap(), "--json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Moves the slot of an account to the other shard.
fn move_one(data: &Path, account: &str, done: &Done) {
    let Some(told) = ringpost(data, &["slots", "--of", &format!("{account}@example.test")]) else { return };
    let line: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let (slot, shard) = (line["slot"]["slot"].as_u64().unwrap(), line["slot"]["shard"].as_u64().unwrap());
    if ringpost(data, &["slots", "move", &slot.to_string(), &(1 - shard).to_string()]).is_some() {
        done.moved.fetch_add(1, Ordering::Relaxed);
    }
}

fn one_round(server: &Server, round: u64, done: &Done, ledger: &Mutex<Ledger>) {
    let killed = AtomicBool::new(false);
    let port = server.port("LMTP", false);
    std::thread::scope(|scope| {
        let killed = &killed;
        for _ in 0..2 {
            scope.spawn(move || {
                while !killed.load(Ordering::SeqCst) {
                    // It ends when the server does.
                    drop(deliver(port, done, ledger));
                }
            });
        }
        let data = server.data.clone();
        scope.spawn(move || {
            for account in ACCOUNTS.iter().cycle() {
                if killed.load(Ordering::SeqCst) {
                    break;
                }
                move_one(&data, account, done);
            }
        });
        std::thread::sleep(Duration::from_millis(500 + round * 173 % 900));
        signal(server.child.id(), "KILL");
        killed.store(true, Ordering::SeqCst);
    });
}

#[test]
fn nothing_is_lost_or_doubled_while_slots_move() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ringpost.toml"), config(UPKEEP)).unwrap();
    let mut server = Server::with_accounts(folder.path(), &ACCOUNTS);
    let (ledger, done) = (Mutex::new(Ledger::new(&ACCOUNTS)), Done::default());
    for round in 0..rounds() {
        one_round(&server, round, &done, &ledger);
        server.child.wait().unwrap();
        server = Server::start(folder.path());
        let found = check::check(&server, &mut ledger.lock().unwrap());
        let moved = done.moved.load(Ordering::Relaxed);
        println!("round {round}: {found} messages found, all as told; {moved} moves so far");
    }
    let (moved, stored) = (done.moved.into_inner(), done.stored.into_inner());
    assert!(
        moved * 4 >= rounds() && stored > 10 * rounds(),
        "{moved} moves and {stored} messages prove little"
    );
    server.interrupt();
}

#[test]
fn nothing_is_lost_or_doubled_by_a_reshard_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, done) = (Mutex::new(Ledger::new(&ACCOUNTS)), Done::default());
    let mut server = Server::with_accounts(folder.path(), &ACCOUNTS);
    let program = Path::new(env!("CARGO_BIN_EXE_ringpost")).with_file_name("ringpost-log");
    assert!(program.exists(), "{} is missing: cargo build --workspace --bins", program.display());
    let (mut cut, mut through) = (0, 0);
    for round in 0..rounds() {
        for _ in 0..3 {
            deliver(server.port("LMTP", false), &done, &ledger).unwrap();
        }
        let data = server.data.clone();
        server.interrupt();
        for attempt in 0..3u64 {
            let shards = (1 + (round + attempt) % 3).to_string();
            let mut reshard = Command::new(&program)
                .arg("reshard")
                .arg(&data)
                .args(["--shards", &shards])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(5 + (round * 3 + attempt) * 61 % 700));
            match reshard.try_wait().unwrap() {
                Some(ended) => through += u64::from(ended.success()),
                None => {
                    signal(reshard.id(), "KILL");
                    reshard.wait().unwrap();
                    cut += 1;
                }
            }
        }
        server = Server::start(folder.path());
        let found = check::check(&server, &mut ledger.lock().unwrap());
        println!("round {round}: {found} messages found, all as told; {cut} cut, {through} came through");
    }
    assert!(cut > 0, "no run was met in the middle");
    server.interrupt();
}
