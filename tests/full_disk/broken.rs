//! A disk that breaks: it takes no write any more and says so with an I/O error.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::server::{PATIENCE, Server, run};
use crate::user::{imap, lmtp, message};

/// Messages within which a broken disk has to show.
const MESSAGES_MAX: usize = 200;

/// A file system in a file, on a loop device.
struct Breakable {
    image: PathBuf,
    mount: PathBuf,
}

impl Breakable {
    /// What `tests/full-disk.sh` mounted there.
    fn at(place: &Path) -> Breakable {
        Breakable { image: place.join("under/image"), mount: place.join("mount") }
    }

    /// From here on the device ends before everything that the file system writes to. What is on it is kept aside.
    fn breaks(&self) {
        run(Command::new("sync").arg("-f").arg(&self.mount), "");
        run(Command::new("cp").arg("--sparse=always").arg(&self.image).arg(self.kept()), "");
        let device = run(Command::new("losetup").args(["-n", "-O", "NAME", "-j"]).arg(&self.image), "");
        run(Command::new("truncate").args(["-s", "64K"]).arg(&self.image), "");
        run(Command::new("losetup").args(["-c", device.trim()]), "");
    }

    /// The disk as it was when it broke, and nothing of what was written later.
    fn is_replaced(&self) {
        run(Command::new("umount").arg(&self.mount), "");
        run(Command::new("mount").args(["-o", "loop"]).arg(self.kept()).arg(&self.mount), "");
    }

    fn kept(&self) -> PathBuf {
        self.image.with_extension("kept")
    }
}

/// How the server ended, all by itself.
fn ended(server: &mut Server) -> ExitStatus {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = server.child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server still runs {PATIENCE:?} after its disk broke");
}

#[test]
fn a_failed_write_ends_the_server_in_one_line_and_loses_nothing_that_was_acknowledged() {
    let place = crate::place("RINGPOST_BROKEN_DISK");
    let disk = Breakable::at(&place);
    let folder = crate::folder_on(&disk.mount);
    let mut server = Server::with_accounts(folder.path(), &["ann"]);
    for number in 1..=5 {
        assert!(lmtp(&server, "ann", number).unwrap().starts_with("250"));
    }
    disk.breaks();
    // Whoever is cut off in the middle was promised nothing.
    let taken = |number: &usize| lmtp(&server, "ann", *number).is_ok_and(|reply| reply.starts_with("250"));
    let stored = 5 + (6..MESSAGES_MAX).take_while(taken).count();
    let status = ended(&mut server);
    assert!(!status.success());
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let last: Vec<&str> = log.lines().filter(|line| line.contains("stopping at once")).collect();
    println!("{stored} messages were taken, then: {last:?}, {status}");
    let [line] = last[..] else { panic!("one line for the operator: {last:?}\n{log}") };
    assert!(line.contains("Input/output error") && line.contains("start again to recover"), "{line}");

    disk.is_replaced();
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
