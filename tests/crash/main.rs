//! kill -9 of the real process under SMTP, LMTP and IMAP load, round after round on one data folder.
//!
//! Every effect that was acknowledged must be there afterwards, byte-equal; what was not may be there or
//! not, whole; nothing else may. `RINGPOST_CRASH_ROUNDS` says how many rounds (`make crash` runs 20).

#[path = "../support/server.rs"]
mod server;

mod check;
mod ledger;
mod load;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ledger::Ledger;
use server::Server;

/// Rounds of a plain `cargo test`.
const ROUNDS: u64 = 4;
const ACCOUNTS: [&str; 4] = ["ada", "ben", "cem", "dua"];

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let rounds = std::env::var("RINGPOST_CRASH_ROUNDS")
        .map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::with_accounts(folder.path(), &ACCOUNTS);
    let ledger = Mutex::new(Ledger::new(&ACCOUNTS));
    for round in 0..rounds {
        one_round(&server, round, &ledger);
        // The load's threads ended because the server is gone: kill it for good and look at what is left.
        server.child.wait().unwrap();
        server = Server::start(folder.path());
        let mut ledger = ledger.lock().unwrap();
        let seen = check::check(&server, &mut ledger);
        let (sure, gone) = ledger.counts();
        println!(
            "round {round}: {sure} acknowledged, {gone} of them expunged, {seen} messages found, all as told"
        );
    }
    let (sure, gone) = ledger.lock().unwrap().counts();
    assert!(
        sure > 20 * rounds && gone > 0,
        "the load did too little to prove anything: {sure} stored, {gone} expunged"
    );
    server.interrupt();
}

/// Loads the server from several threads and kills it in the middle.
fn one_round(server: &Server, round: u64, ledger: &Mutex<Ledger>) {
    let killed = AtomicBool::new(false);
    let ports = load::Ports {
        smtp: server.port("SMTP", false),
        lmtp: server.port("LMTP", false),
        imap: server.port("IMAP", false),
        pop3: server.port("POP3", false),
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
        server::signal(server.child.id(), "KILL");
        killed.store(true, Ordering::SeqCst);
    });
}
