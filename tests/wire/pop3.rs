//! Messages of every shape by POP3.
//!
//! *Owns*: a naive RETR and TOP to compare with. *Promises*: octet for octet. *Assumes*: `transcripts/pop3`
//! holds the conversations. *Never*: checks a reply's text.

use ringpost::proto::Service;
use ringpost_engine::testing::seed::Seed;

use crate::world::{Conn, World, server};

/// A server of one shard where alice has these messages.
fn world(messages: &[&[u8]]) -> World {
    let mut world = World::new(1, &server());
    messages.iter().for_each(|message| world.deliver("alice@example.test", message));
    world
}

/// Sends a line and returns what came back for it.
fn ask(world: &mut World, conn: Conn, line: &str) -> Vec<u8> {
    let before = world.heard(conn).len();
    world.receive(conn, format!("{line}\r\n").as_bytes());
    world.heard(conn)[before..].to_vec()
}

fn log_in(world: &mut World, conn: Conn) {
    world.connect(conn, Service::Pop3, false);
    ask(world, conn, "USER alice@example.test");
    assert!(ask(world, conn, "PASS secret").starts_with(b"+OK "));
}

/// What RETR must send: a dot before every dot that begins a line (LF begins one), CRLF at the end, the end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = format!("+OK {} octets\r\n", message.len()).into_bytes();
    let mut line_start = true;
    for &octet in message {
        if line_start && octet == b'.' {
            wire.push(b'.');
        }
        wire.push(octet);
        line_start = octet == b'\n';
    }
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// What TOP shows of a message: its header and so many lines.
fn top(message: &[u8], lines: usize) -> &[u8] {
    let mut end = 0;
    let mut left = None;
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        match &mut left {
            None if line == b"\r\n" || line == b"\n" => left = Some(lines),
            None => {}
            Some(0) => break,
            Some(left) => *left -= 1,
        }
        end += line.len();
    }
    &message[..end]
}

fn check_message(message: &[u8], lines: &[usize]) {
    let mut world = world(&[message]);
    log_in(&mut world, 1);
    let shown = String::from_utf8_lossy(&message[..message.len().min(200)]).into_owned();
    assert_eq!(ask(&mut world, 1, "RETR 1"), stuffed(message), "{shown:?}");
    for &lines in lines {
        let answer = ask(&mut world, 1, &format!("TOP 1 {lines}"));
        let body = stuffed(top(message, lines));
        let body = &body[body.iter().position(|&octet| octet == b'\n').unwrap() + 1..];
        assert!(answer.ends_with(body) && answer.starts_with(b"+OK "), "TOP {lines} of {shown:?}");
        assert_eq!(answer.iter().position(|&octet| octet == b'\n').unwrap() + 1 + body.len(), answer.len());
    }
}

#[test]
fn any_message_is_sent_octet_for_octet() {
    let mut seed = Seed::new(11);
    let pieces: [&[u8]; 8] = [b"\r\n", b"\n", b".", b"..", b"a", b"text: \xff", b"\r", b"\0"];
    for _ in 0..300 {
        // A header in ASCII, for without UTF8 another would be a surrogate; then anything.
        let mut message = if seed.one_in(4) { Vec::new() } else { b"A: b\r\n\r\n".to_vec() };
        let pieces = if message.is_empty() { &pieces[..5] } else { &pieces[..] };
        for _ in 0..seed.below(20) {
            message.extend_from_slice(seed.pick(pieces).unwrap());
        }
        check_message(&message, &[0, 1, 3, 100]);
    }
}

#[test]
fn more_dot_lines_than_are_recorded_and_lines_across_windows() {
    let dots = [b"A: b\r\n\r\n".to_vec(), b".dot\r\n".repeat(60_000)].concat();
    check_message(&dots, &[0, 1, 59_999, 60_000, 60_001]);
    let long =
        [b"A: b\r\n\r\n".to_vec(), vec![b'.'; 300_000], b"\r\n.\r\n".to_vec(), vec![b'x'; 200_000]].concat();
    check_message(&long, &[0, 1, 2, 3]);
    let header = [b"A: b\r\n".repeat(30_000), b"\r\n.\r\n".to_vec()].concat();
    check_message(&header, &[0, 1]);
}

#[test]
fn an_eight_bit_header_of_any_length_becomes_a_surrogate_of_that_length() {
    let message = [b".A: \xc3\xa4\r\n".repeat(40_000), b"\r\n\xc3\xa4\r\n".to_vec()].concat();
    let expected: Vec<u8> = message.iter().map(|&octet| if octet < 128 { octet } else { b'?' }).collect();
    let expected = [&expected[..expected.len() - 4], b"\xc3\xa4\r\n"].concat();
    let mut world = world(&[&message]);
    log_in(&mut world, 1);
    assert_eq!(ask(&mut world, 1, "RETR 1"), stuffed(&expected));
}

#[test]
fn many_messages_are_listed_in_steps() {
    let messages = vec![b"x\r\n".as_slice(); 3_000];
    let mut world = world(&messages);
    log_in(&mut world, 1);
    let listing = String::from_utf8(ask(&mut world, 1, "LIST")).unwrap();
    let lines: Vec<&str> = listing.lines().collect();
    assert_eq!((lines.len(), lines[3_000], lines[3_001]), (3_002, "3000 3", "."));
    let commands: String = (1..=3_000).map(|number| format!("DELE {number}\r\n")).collect();
    world.receive(1, commands.as_bytes());
    assert_eq!(ask(&mut world, 1, "STAT"), b"+OK 0 0\r\n");
    assert_eq!(ask(&mut world, 1, "QUIT"), b"+OK goodbye\r\n");
    log_in(&mut world, 2);
    assert_eq!(ask(&mut world, 2, "STAT"), b"+OK 0 0\r\n");
}
