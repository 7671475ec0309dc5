//! What is kept compressed is served as if it were not.
//!
//! *Owns*: a conversation with a server that has compressed its mail. *Promises*: octet for octet what a server says
//! that has not. *Assumes*: both are given the same mail at the same moments. *Never*: checks what is said.

use ringpost::proto::{Server, Service};
use ringpost_engine::ids::ShardId;
use ringpost_engine::io::{Disk, FileId};
use ringpost_engine::store::Options;
use ringpost_engine::{compact, press};

use crate::world::{World, server};

const MESSAGES: usize = 24;

/// A message of many lines, some of which begin with a dot; every third one is longer than a block.
fn message(number: usize) -> Vec<u8> {
    let mut text = format!("From: a@b.example\r\nSubject: number {number}\r\nTo: alice\r\n\r\n").into_bytes();
    let len = if number.is_multiple_of(3) { 150_000 } else { 3_000 + 500 * number };
    while text.len() < len {
        let dot = if text.len().is_multiple_of(5) { "." } else { "" };
        text.extend_from_slice(format!("{dot}line at {} of message {number}\r\n", text.len()).as_bytes());
    }
    text.extend_from_slice(format!("needle{number}\r\n").as_bytes());
    text
}

/// A server with mail that lies in packs; how many bytes those have.
fn world(after_ms: Option<u64>) -> (World, u64) {
    let server = Server { message_bytes_max: 200_000, ..server() };
    let press = press::Options { after_ms, dictionary_bytes: 2_000, ..press::Options::default() };
    // Files go as soon as compaction may, so that packs come about within the time that this waits.
    let compact = compact::Options { grace_ms: 0, look_ms: 0, press, ..compact::Options::default() };
    let usual = Options::new(ShardId(0), 1);
    let mut world = World::with(1, &server, Options { checkpoint_log_bytes: 1, compact, ..usual });
    for number in 0..MESSAGES {
        world.deliver("alice@example.test", &message(number));
        world.wait(1_000);
    }
    // What fills the last segments stays as it is.
    for number in 0..8 {
        world.deliver("bob@example.test", &message(3 * number));
        (0..20).for_each(|_| world.wait(1_000));
    }
    let files = world.cores[0].disk.list().expect("a list");
    let packs = files.iter().filter(|(file, _)| matches!(file, FileId::Pack(_)));
    let bytes = packs.map(|(_, bytes)| bytes).sum();
    (world, bytes)
}

fn say(world: &mut World, conn: u64, lines: &[String]) {
    lines.iter().for_each(|line| world.receive(conn, format!("{line}\r\n").as_bytes()));
}

#[test]
fn a_client_cannot_tell_what_is_compressed() {
    let heard = |after_ms| {
        let (mut world, packed) = world(after_ms);
        let mut pop3 = vec!["USER alice@example.test".to_owned(), "PASS secret".to_owned()];
        let mut imap = vec!["a LOGIN alice@example.test secret".to_owned(), "b SELECT INBOX".to_owned()];
        for number in 1..=MESSAGES {
            pop3.extend([format!("RETR {number}"), format!("TOP {number} 3"), format!("TOP {number} 99999")]);
            imap.push(format!(
                "c FETCH {number} (BODY.PEEK[] BODY.PEEK[HEADER.FIELDS (SUBJECT)] BINARY.PEEK[1])"
            ));
            imap.push(format!("d SEARCH BODY needle{}", number - 1));
            for (from, len) in [(0, 1), (65_000, 1_500), (65_536, 65_536), (131_000, 300), (140_000, 99_999)]
            {
                imap.push(format!(
                    "e FETCH {number} (BODY.PEEK[]<{from}.{len}> BODY.PEEK[TEXT]<{from}.{len}>)"
                ));
            }
        }
        imap.push(format!("f FETCH 1:{MESSAGES} BODY.PEEK[]"));
        world.connect(1_001, Service::Pop3, false);
        say(&mut world, 1_001, &pop3);
        world.connect(1_002, Service::Imap, false);
        say(&mut world, 1_002, &imap);
        assert!(!world.is_closed(1_001) && !world.is_closed(1_002));
        (world.heard(1_001).to_vec(), world.heard(1_002).to_vec(), packed)
    };
    let (plain, compressed) = (heard(None), heard(Some(0)));
    assert!(compressed.2 > 0, "there are packs");
    let octets: usize = (0..MESSAGES).map(|number| message(number).len()).sum();
    assert!(compressed.2 * 3 < octets as u64, "{} of {octets}", compressed.2);
    assert!(plain.0.len() > 2 * octets && plain.1.len() > 3 * octets);
    assert!(plain.0 == compressed.0, "by POP3");
    assert!(plain.1 == compressed.1, "by IMAP");
}
