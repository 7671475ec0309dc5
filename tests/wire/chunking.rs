//! Conversations that nobody would hold: words of a protocol in any order, with junk, in any chunking.
//!
//! *Owns*: the vocabulary. *Promises*: no panic, and the same answers however the bytes were cut.
//! *Assumes*: `transcripts` say what the answers should be. *Never*: says STARTTLS or STLS: there the
//! chunking decides what came before the handshake.

use ringpost::proto::Service;
use ringpost_engine::testing::seed::Seed;

use crate::world::{World, server};

const CONVERSATIONS: u64 = 60;
const WORDS: u64 = 40;

const SMTP: [&[u8]; 34] = [
    b"EHLO c\r\n",
    b"HELO c\r\n",
    b"LHLO c\r\n",
    b"MAIL FROM:<a@b>\r\n",
    b"MAIL FROM:<> BODY=BINARYMIME\r\n",
    b"MAIL FROM:<alice@example.test> SIZE=10\r\n",
    b"RCPT TO:<alice@example.test>\r\n",
    b"RCPT TO:<bob@example.test>\r\n",
    b"RCPT TO:<nobody@example.test>\r\n",
    b"RCPT TO:<team@example.test>\r\n",
    b"RCPT TO:<x@elsewhere.test>\r\n",
    b"DATA\r\n",
    b"DATA\r\nSubject: x\r\n\r\n..\r\n.\r\n",
    b"text\r\n",
    b".",
    b".\r\n",
    b"\r\n.\r\n",
    b"\n.\r\n",
    b"\r",
    b"\r\n",
    b"BDAT 6\r\nNOOP\r\n",
    b"BDAT 6 LAST\r\nQUIT\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 3\r\n\0\xff.",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n",
    b"AUTH LOGIN\r\n",
    b"YWxpY2VAZXhhbXBsZS50ZXN0\r\n",
    b"c2VjcmV0\r\n",
    b"*\r\n",
    b"VRFY x\r\n",
    b"\xff\0\x80",
    b"RCPT TO:<\xc3\xa4@example.test>\r\n",
];

const POP3: [&[u8]; 26] = [
    b"USER alice@example.test\r\n",
    b"PASS secret\r\n",
    b"USER alice@example.test\r\nPASS secret\r\n",
    b"USER alice@example.test\r\nPASS secret\r\n",
    b"USER bob@example.test\r\nPASS wrong\r\n",
    b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n",
    b"AUTH PLAIN\r\n",
    b"AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n",
    b"*\r\n",
    b"CAPA\r\n",
    b"UTF8\r\n",
    b"STAT\r\n",
    b"LIST\r\n",
    b"LIST 2\r\n",
    b"UIDL\r\n",
    b"RETR 1\r\n",
    b"RETR 2\r\n",
    b"RETR 3\r\n",
    b"TOP 2 1\r\n",
    b"TOP 1 0\n",
    b"DELE 1\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"\xff\0\x80",
    b"\r\n",
    b"QUIT\r\n",
];

fn check(service: Service, words: &[&[u8]]) {
    for number in 0..CONVERSATIONS {
        let mut seed = Seed::new(number);
        let mut bytes = if seed.one_in(2) { words[0].to_vec() } else { Vec::new() };
        for _ in 0..seed.below(WORDS) {
            bytes.extend_from_slice(words[seed.below(words.len() as u64) as usize]);
        }
        let whole = hold(service, &bytes, |rest| rest);
        let octets = hold(service, &bytes, |_| 1);
        assert_eq!(octets, whole, "{service:?} {number}, byte by byte:\n{}", bytes.escape_ascii());
        let cut = hold(service, &bytes, |_| 1 + seed.below(30) as usize);
        assert_eq!(cut, whole, "{service:?} {number}, at random:\n{}", bytes.escape_ascii());
    }
}

/// What the client hears, and whether it was hung up on.
fn hold(service: Service, bytes: &[u8], mut length: impl FnMut(usize) -> usize) -> (String, bool) {
    let mut world = World::new(1, &server());
    world.deliver("alice@example.test", b"Subject: one\r\n\r\n.\r\n");
    world.deliver("alice@example.test", b"Subject: \xc3\xa4\r\n\r\n1\n.2\r\n3");
    world.connect(1, service, false);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(length(rest.len()).min(rest.len()));
        world.receive(1, chunk);
        rest = after;
    }
    (world.heard(1).escape_ascii().to_string(), world.is_closed(1))
}

#[test]
fn nonsense_by_smtp() {
    check(Service::Smtp, &SMTP);
}

#[test]
fn nonsense_by_lmtp() {
    check(Service::Lmtp, &SMTP);
}

#[test]
fn nonsense_by_submission() {
    check(Service::Submission, &SMTP);
}

#[test]
fn nonsense_by_pop3() {
    check(Service::Pop3, &POP3);
}
