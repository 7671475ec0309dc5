//! kill -9 of the real process under SMTP, LMTP and IMAP load, round after round on one data folder.
//!
//! Every effect that was acknowledged must be there afterwards, byte-equal; what was not may be there or
//! not, whole; nothing else may. `RINGPOST_CRASH_ROUNDS` says how many rounds (`make crash` runs 50 of each test).

#[path = "../support/server.rs"]
mod server;

mod check;
mod ledger;
mod load;
mod moves;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ledger::Ledger;
use server::Server;

/// Rounds of a plain `cargo test`.
const ROUNDS: u64 = 4;
/// Rounds after which the kills must have met each kind of upkeep.
const ROUNDS_TO_MEET_ALL: u64 = 40;
const ACCOUNTS: [&str; 4] = ["ada", "ben", "cem", "dua"];

/// Upkeep all the time: a checkpoint at every tick, nothing kept that was removed, and every file compacted of which
/// a twentieth is dead; slowly, so that kills meet it.
const UPKEEP: &str = "\
checkpoint_log_bytes = 1
index_memory_bytes_max = 1048576
undelete_days = 0
compact_live_percent = 95
compact_bytes_per_second = 4194304
compact_grace_seconds = 0
";

/// In how many rounds the kill met a file that was being made, by its ending; and how many files compaction made
/// and removed in all, as far as somebody could see.
#[derive(Debug, Default)]
struct Met {
    checkpoints: u64,
    packs: u64,
    segments: u64,
    packs_there: u64,
}

impl Met {
    fn look(&mut self, data: &Path) {
        self.checkpoints += u64::from(has(data, ".ckpnew"));
        self.packs += u64::from(has(data, ".packnew"));
        self.segments += u64::from(has(data, ".new"));
        self.packs_there += u64::from(has(data, ".pack"));
    }
}

/// Whether a shard has a file whose name ends so.
fn has(data: &Path, ending: &str) -> bool {
    let shards = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let files = shards.filter(|path| path.is_dir()).flat_map(|shard| std::fs::read_dir(shard).unwrap());
    // What is removed while it is listed is not there.
    files.flatten().any(|file| file.file_name().to_str().is_some_and(|name| name.ends_with(ending)))
}

/// Waits for a file that ends so, for a second.
fn await_file(data: &Path, ending: &str) {
    let begun = Instant::now();
    while !has(data, ending) && begun.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let met = rounds_of_kills(folder.path(), false);
    println!("kills met: {met:?}");
}

#[test]
fn nothing_is_lost_while_upkeep_never_rests() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ringpost.toml"), server::config(UPKEEP)).unwrap();
    let met = rounds_of_kills(folder.path(), true);
    println!("kills met: {met:?}");
    if rounds() >= ROUNDS_TO_MEET_ALL {
        assert!(met.checkpoints > 0 && met.packs > 0 && met.packs_there > 0, "{met:?}");
    }
}

fn rounds() -> u64 {
    let asked = std::env::var("RINGPOST_CRASH_ROUNDS");
    asked.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"))
}

fn rounds_of_kills(folder: &Path, purges: bool) -> Met {
    let mut server = Server::with_accounts(folder, &ACCOUNTS);
    let ledger = Mutex::new(Ledger::new(&ACCOUNTS));
    let mut met = Met::default();
    for round in 0..rounds() {
        one_round(&server, round, purges, &ledger);
        // The load's threads ended because the server is gone: kill it for good and look at what is left.
        server.child.wait().unwrap();
        met.look(&server.data);
        server = Server::start(folder);
        let mut ledger = ledger.lock().unwrap();
        let seen = check::check(&server, &mut ledger);
        let (sure, gone) = ledger.counts();
        println!(
            "round {round}: {sure} acknowledged, {gone} of them expunged, {seen} messages found, all as told"
        );
    }
    let (sure, gone) = ledger.lock().unwrap().counts();
    assert!(
        sure > 20 * rounds() && gone > 0,
        "the load did too little to prove anything: {sure} stored, {gone} expunged"
    );
    server.interrupt();
    met
}

/// Loads the server from several threads and kills it in the middle.
fn one_round(server: &Server, round: u64, purges: bool, ledger: &Mutex<Ledger>) {
    let killed = AtomicBool::new(false);
    let ports = load::Ports {
        smtp: server.port("SMTP", false),
        lmtp: server.port("LMTP", false),
        imap: server.port("IMAP", false),
        pop3: server.port("POP3", false),
        purges,
    };
    std::thread::scope(|scope| {
        let (killed, ports) = (&killed, &ports);
        for worker in 0..4 {
            let seed = round * 100 + worker;
            scope.spawn(move || {
                load::until_gone(killed, || load::deliver(ports, seed, worker % 2 == 0, ledger))
            });
        }
        for (index, _) in ACCOUNTS.iter().enumerate() {
            let seed = round * 100 + 50 + index as u64;
            scope.spawn(move || load::until_gone(killed, || load::use_mailbox(ports, seed, index, ledger)));
        }
        // A moment that differs from round to round, so that the kill meets different work.
        std::thread::sleep(Duration::from_millis(400 + round * 137 % 900));
        // Two of three rounds end in the middle of upkeep, if there is any.
        match round % 3 {
            1 if purges => await_file(&server.data, ".ckpnew"),
            2 if purges => await_file(&server.data, ".packnew"),
            _ => {}
        }
        server::signal(server.child.id(), "KILL");
        killed.store(true, Ordering::SeqCst);
    });
}
