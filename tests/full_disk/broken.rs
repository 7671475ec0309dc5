//! A disk that stops taking writes: it has no room under it any more, and says so with I/O errors.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::server::Server;
use crate::user::{imap, lmtp, message};

/// Messages within which the next segment is asked for.
const MESSAGES_MAX: usize = 200;

/// Takes all that is left under the disk.
fn take_all(path: &Path) {
    let (mut file, piece) = (File::create(path).unwrap(), vec![0; 64 * 1024]);
    loop {
        match file.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_failed_write_ends_the_server_in_one_line_and_loses_nothing_that_was_acknowledged() {
    let disk = crate::place("RINGPOST_BROKEN_DISK");
    let folder = crate::folder_on(&disk.join("mount"));
    let mut server = Server::with_accounts(folder.path(), &["ann"]);
    for number in 1..=5 {
        assert!(lmtp(&server, "ann", number).unwrap().starts_with("250"));
    }
    let ballast = disk.join("under/ballast");
    take_all(&ballast);
    // Whoever is cut off in the middle was promised nothing.
    let taken = |number: &usize| lmtp(&server, "ann", *number).is_ok_and(|reply| reply.starts_with("250"));
    let stored = 5 + (6..MESSAGES_MAX).take_while(taken).count();
    assert!(stored < MESSAGES_MAX - 1, "the disk never failed");
    let ended = server.child.wait().unwrap();
    assert!(!ended.success());
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let fatal: Vec<&str> = log.lines().filter(|line| line.contains("stopping at once")).collect();
    println!("{stored} messages were taken, then: {fatal:?}");
    let [line] = fatal[..] else { panic!("one line for the operator: {fatal:?}") };
    assert!(line.contains("Input/output error") && line.contains("start again to recover"), "{line}");

    std::fs::remove_file(ballast).unwrap();
    server = Server::start(folder.path());
    let mut owner = imap(&server, "ann");
    owner.imap("b", "SELECT INBOX").unwrap();
    for uid in 1..=stored {
        let fetched = owner.imap("c", &format!("UID FETCH {uid} BODY.PEEK[]")).unwrap();
        assert!(fetched.iter().any(|line| line.ends_with(&message(uid))), "message {uid} is what was sent");
    }
    assert!(lmtp(&server, "ann", stored + 1).unwrap().starts_with("250"));
    server.interrupt();
}
