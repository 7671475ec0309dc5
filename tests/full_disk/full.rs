//! A disk that fills: who is refused how, who notices nothing, and how it ends by itself.

use std::time::{Duration, Instant};

use crate::server::{Server, signal};
use crate::user::{append, imap, lmtp, message, pop3};

/// Messages that are more than the small disk holds.
const MESSAGES_MAX: usize = 2_000;
/// How long the store may take until what was deleted is room again.
const ROOM_PATIENCE: Duration = Duration::from_secs(40);

/// Delivers until the disk is full, from this number on; how many there are then, and how the next was refused.
fn fill(server: &Server, name: &str, first: usize) -> (usize, String) {
    for number in first..MESSAGES_MAX {
        let reply = lmtp(server, name, number).unwrap();
        if !reply.starts_with("250") {
            return (number - 1, reply);
        }
    }
    panic!("{MESSAGES_MAX} messages fit on a disk that was to be small");
}

fn figure(server: &Server, name: &str) -> u64 {
    let text = server.admin(&["status", "--json"], "");
    let named = format!("\"{name}\":");
    let values = text.split(&named).skip(1);
    let digits = values.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    digits.map(|digits| digits.parse::<u64>().unwrap()).sum()
}

/// Everything a reader does, on messages that are there.
fn read(server: &Server, name: &str, uid: usize, number: usize) {
    let mut reader = imap(server, name);
    reader.imap("b", "SELECT INBOX").unwrap();
    let fetched = reader.imap("c", &format!("UID FETCH {uid} BODY.PEEK[]")).unwrap();
    assert!(fetched.iter().any(|line| line.ends_with(&message(number))), "message {number} is what was sent");
    let found = reader.imap("d", &format!("UID SEARCH SUBJECT \"number {number}\"")).unwrap();
    assert!(found.iter().any(|line| line.contains(&format!(" {uid}"))), "{found:?}");
    let retrieved = pop3(server, name, 1).unwrap();
    assert!(retrieved[0].starts_with("+OK"), "{}", retrieved[0]);
}

#[test]
fn a_full_disk_refuses_mail_serves_readers_and_recovers_by_deleting() {
    let folder = crate::folder_on(&crate::place("RINGPOST_SMALL_DISK"));
    let mut server = Server::with_accounts(folder.path(), &["ann", "bob"]);
    let mut idle = imap(&server, "ann");
    idle.imap("b", "SELECT INBOX").unwrap();
    idle.send(b"c IDLE\r\n").unwrap();
    assert!(idle.line().unwrap().starts_with('+'));

    let (stored, refusal) = fill(&server, "ann", 1);
    println!("{stored} messages were taken, then: {refusal}");
    assert!(stored > 20, "the disk is too small to show anything");
    assert!(refusal.starts_with("452 4.3.1"), "{refusal}"); // rfc3463#3.4, rfc5321#4.2.3
    assert_eq!(figure(&server, "disk_full"), 1);

    // Who is connected learns of everything that got in, and that nothing else did.
    let all = format!("* {stored} EXISTS");
    while idle.line().unwrap() != all {}
    let mut writer = imap(&server, "bob");
    // Senders are refused when the next segment cannot be had; users may fill what is left of this one.
    let refused = (0..MESSAGES_MAX).find_map(|number| {
        let reply = append(&mut writer, "b", number).unwrap();
        (!reply.starts_with("b OK")).then_some((number, reply))
    });
    let (appended, refused) = refused.expect("a segment is full at some time");
    println!("APPEND: {appended} times OK, then {refused}");
    assert!(refused.starts_with("b NO [OVERQUOTA]"), "{refused}"); // rfc5530#3
    read(&server, "ann", 1, 1);
    read(&server, "ann", stored, stored);
    writer.imap("d", "SELECT INBOX").unwrap();

    // A process that is killed here comes back on the same full disk, and everything is there.
    signal(server.child.id(), "KILL");
    server.child.wait().unwrap();
    server = Server::start(folder.path());
    // What the last process had in hand may be room for some more.
    let (stored, refusal) = fill(&server, "ann", stored + 1);
    println!("after kill -9 and a start: {stored} messages, then: {refusal}");
    assert!(refusal.starts_with("452 4.3.1"), "{refusal}");
    read(&server, "ann", stored, stored);

    let mut owner = imap(&server, "ann");
    owner.imap("b", "SELECT INBOX").unwrap();
    owner.imap("c", &format!("UID STORE 1:{} +FLAGS.SILENT (\\Deleted)", stored * 9 / 10)).unwrap();
    let started = Instant::now();
    owner.imap("d", "EXPUNGE").unwrap();
    println!("expunged {} of {stored} messages on the full disk", stored * 9 / 10);
    let mut tries = 0;
    let reply = loop {
        tries += 1;
        let reply = lmtp(&server, "bob", stored + tries).unwrap();
        if reply.starts_with("250") || started.elapsed() > ROOM_PATIENCE {
            break reply;
        }
        assert!(reply.starts_with("452 4.3.1"), "{reply}");
        std::thread::sleep(Duration::from_millis(500));
    };
    assert!(reply.starts_with("250"), "no room came back within {ROOM_PATIENCE:?}: {reply}");
    println!("deliveries resumed after {:?} without a restart", started.elapsed());
    assert_eq!(figure(&server, "disk_full"), 0);
    read(&server, "ann", stored, stored);
    read(&server, "bob", appended + 1, stored + tries);
    server.interrupt();
}
