//! What the log says of sessions when real commands changed something.
//!
//! *Owns*: the way from a command to the session that the log names for it. *Promises*: by IMAP, by POP3 and by the
//! administrator, also where the session moved to another shard. *Assumes*: `engine/tests/origin.rs` proves the
//! log's part.
//! *Never*: looks at what clients hear.

use ringpost::proto::Service;
use ringpost_engine::change::Change;
use ringpost_engine::codec;
use ringpost_engine::ids::{Lsn, Slot};
use ringpost_engine::log::record::{KIND_BODY, KIND_WITNESS};
use ringpost_engine::log::scan::{BatchInfo, Damage, RecordInfo, SegmentInfo, Visitor, scan};
use ringpost_engine::origin::{SessionInfo, is_of_session};
use ringpost_engine::testing::fake_disk::FakeDisk;

use crate::world::{Conn, World, server};

#[derive(Default)]
struct Told {
    sessions: Vec<(Lsn, SessionInfo)>,
    /// Changes and who asked for them: service, user, program, connection.
    changes: Vec<(Change, Option<String>)>,
}

impl Visitor for Told {
    fn segment(&mut self, _segment: &SegmentInfo) {}
    fn batch(&mut self, _batch: &BatchInfo) {}
    fn record(&mut self, record: &RecordInfo, payload: &[u8]) {
        if matches!(record.meta.kind, KIND_BODY | KIND_WITNESS) {
            return;
        }
        let (change, _) = codec::decode(record.meta.kind, payload).expect("whole");
        if let Change::Session { about } = change {
            return self.sessions.push((record.lsn, about));
        }
        let of = |(at, _): &&(Lsn, SessionInfo)| is_of_session(record.lsn, record.meta.session, *at);
        let by = self.sessions.iter().rev().find(of).map(|(_, about)| {
            format!("{} {} {:?} {}", about.service, about.user, about.client, about.connection)
        });
        self.changes.push((change, by));
    }
    fn damage(&mut self, damage: &Damage) {
        panic!("{damage:?}");
    }
}

/// The disk of the shard that owns an address.
fn disk_of<'a>(world: &'a mut World, address: &str) -> &'a mut FakeDisk {
    let owner = Slot::of(address).shard(world.cores.len() as u16);
    &mut world.cores[usize::from(owner.0)].disk
}

/// Who asked for changes of this kind at an account's shard.
fn who(world: &mut World, address: &str, kind: &str) -> Vec<Option<String>> {
    let mut told = Told::default();
    scan(disk_of(world, address), None, &mut told).expect("readable");
    let own = told.changes.into_iter().filter(|(change, _)| format!("{change:?}").starts_with(kind));
    own.map(|(_, by)| by).collect()
}

fn lines(world: &mut World, conn: Conn, lines: &[&str]) {
    lines.iter().for_each(|line| world.receive(conn, format!("{line}\r\n").as_bytes()));
}

#[test]
fn changes_by_imap_and_by_the_administrator_name_who_made_them() {
    let mut world = World::new(2, &server());
    world.deliver("alice@example.test", b"Subject: x\r\n\r\nhi\r\n");
    // One of the two lands on the other shard and moves.
    for conn in [4, 5] {
        world.connect(conn, Service::Imap, true);
        lines(
            &mut world,
            conn,
            &["a LOGIN alice@example.test secret", "b ID (\"version\" \"128\" \"name\" \"Thunderbird\")"],
        );
        lines(&mut world, conn, &["c SELECT INBOX", "d STORE 1 +FLAGS (x)", "e STORE 1 -FLAGS (x)"]);
    }
    lines(&mut world, 5, &["f UNAUTHENTICATE", "g LOGIN bob@example.test secret", "h CREATE Work"]);
    world.hide("bob@example.test", &["QRESYNC"]);
    let by = |conn: Conn| Some(format!("imap alice@example.test \"Thunderbird 128\" {conn}"));
    assert_eq!(who(&mut world, "alice@example.test", "FlagsStore"), [by(4), by(4), by(5), by(5)]);
    assert_eq!(who(&mut world, "alice@example.test", "Deliver"), [None], "the Received field tells");
    let bob = Some("imap bob@example.test \"Thunderbird 128\" 5".to_owned());
    assert_eq!(who(&mut world, "bob@example.test", "MailboxCreate"), [bob]);
    let admin = Some("admin  \"account hide\" 0".to_owned());
    assert_eq!(who(&mut world, "bob@example.test", "AccountHide"), [admin]);
}

#[test]
fn pop3_notes_what_was_sent_whole_once_a_session() {
    for (end, noted) in [("QUIT", true), ("hang up", true), ("QUIT", false)] {
        let mut server = server();
        server.note_reads = noted;
        let mut world = World::new(1, &server);
        for _ in 0..4 {
            world.deliver("alice@example.test", b"Subject: x\r\n\r\nhi\r\n");
        }
        world.connect(7, Service::Pop3, true);
        lines(&mut world, 7, &["USER alice@example.test", "PASS secret", "RETR 3", "RETR 1", "TOP 2 0"]);
        lines(&mut world, 7, &["RETR 1", "RETR 4", "DELE 4"]);
        match end {
            "QUIT" => lines(&mut world, 7, &["QUIT"]),
            _ => world.hang_up(7),
        }
        world.wait(60_000);
        let mut told = Told::default();
        scan(disk_of(&mut world, "alice@example.test"), None, &mut told).expect("readable");
        let by = Some("pop3 alice@example.test \"\" 7".to_owned());
        let mut expected = Vec::new();
        if noted {
            expected.push((vec![(1, 1), (3, 4)], by.clone()));
        }
        if end == "QUIT" {
            expected.push((vec![(4, 4)], by));
        }
        let of = |(change, by): (Change, Option<String>)| match change {
            Change::Read { uids, .. } | Change::Expunge { uids, .. } => Some((uids.ranges().to_vec(), by)),
            _ => None,
        };
        let found: Vec<_> = told.changes.into_iter().filter_map(of).collect();
        assert_eq!(found, expected, "{end}: read, then removed");
        assert_eq!(told.sessions.len(), 3 + expected.len().min(1), "three verbs of the administrator");
    }
}
