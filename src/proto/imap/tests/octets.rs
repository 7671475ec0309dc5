//! FETCH of octets: NUL, and replies that are longer than the output.
//!
//! Goal: what cannot be sent as it is stored keeps its size and never holds a NUL; however many items a
//! client asks for, no call writes more than the output holds and one item. Method: messages beyond the
//! bounds, compared with what they should look like.

use super::lab::Lab;
use crate::limits::{IMAP_COPY_BYTES_MAX, OUTPUT_BYTES_MAX};
use crate::proto::Session;

/// What stands between the first literal's head and the end of the reply.
fn first_literal(told: &[u8]) -> Vec<u8> {
    let head = told.iter().position(|&octet| octet == b'{').expect("a literal") + 1;
    let digits = told[head..].iter().take_while(|octet| octet.is_ascii_digit()).count();
    let size: usize =
        std::str::from_utf8(&told[head..head + digits]).expect("digits").parse().expect("a size");
    let start = head + digits + b"}\r\n".len();
    assert_eq!(&told[start + size..start + size + 3], b")\r\n", "the announced size");
    told[start..start + size].to_vec()
}

fn fetched(lab: &mut Lab, item: &str) -> Vec<u8> {
    lab.clients[0].asked.clear();
    lab.say_later(0, &format!("a FETCH 1 {item}"));
    let told = lab.take_octets(0);
    assert!(told.ends_with(b"a OK FETCH completed\r\n"), "{}", told.escape_ascii());
    assert!(!told.contains(&0), "rfc3501#9: no NUL on the wire");
    told
}

#[test]
fn a_nul_is_sent_as_another_octet_of_the_same_size() {
    let mut lab = Lab::with_messages(0);
    let head = "Subject: a\0b\r\nContent-Type: multipart/mixed; boundary=b\r\nX-N: \0\r\n\r\n";
    let long = "\0x".repeat(IMAP_COPY_BYTES_MAX as usize);
    let message = format!("{head}--b\r\n\r\n{long}\0\r\n--b--\r\n");
    lab.deliver(&message);
    lab.say(0, "n NOOP");
    let shown: Vec<u8> = message.bytes().map(|octet| if octet == 0 { 0x80 } else { octet }).collect();
    for room in [OUTPUT_BYTES_MAX, 1_000] {
        lab.room = room;
        assert!(first_literal(&fetched(&mut lab, "BODY.PEEK[]")) == shown);
        assert!(!lab.clients[0].asked.contains(&"extent"), "copied");
        assert!(lab.clients[0].asked.iter().filter(|&&asked| asked == "warm").count() > 2, "in steps");
        assert_eq!(first_literal(&fetched(&mut lab, "BODY.PEEK[1]")).len(), long.len() + 1);
        assert_eq!(first_literal(&fetched(&mut lab, "RFC822.HEADER")), shown[..head.len()]);
        assert_eq!(first_literal(&fetched(&mut lab, "BODY.PEEK[HEADER.FIELDS (x-n)]")), b"X-N: \x80\r\n\r\n");
        assert_eq!(first_literal(&fetched(&mut lab, "BODY.PEEK[]<8.4>")), b" a\x80b");
    }
    fetched(&mut lab, "(ENVELOPE BODY BODYSTRUCTURE)");
}

#[test]
fn a_nul_needs_no_room_of_its_own() {
    let mut lab = Lab::with_messages(0);
    lab.deliver("\0");
    lab.say(0, "n NOOP");
    assert_eq!(first_literal(&fetched(&mut lab, "BODY.PEEK[]")), b"\x80");
    assert_eq!(first_literal(&fetched(&mut lab, "BODY.PEEK[]<5.1>")), b"");
    assert_eq!(first_literal(&fetched(&mut lab, "BODY.PEEK[HEADER.FIELDS (a)]")), b"\r\n");
}

#[test]
fn many_items_of_one_message_come_in_pieces() {
    let mut lab = Lab::with_messages(0);
    lab.deliver(&format!("Subject: x\r\nX-Long: {}\r\n\r\nbody", "y".repeat(10_000)));
    lab.say(0, "n NOOP");
    let items: Vec<String> =
        (0..100).map(|n| format!("BODY.PEEK[HEADER.FIELDS.NOT (X{n} Subject)]")).collect();
    lab.room = 5_000;
    lab.say_later(0, &format!("a FETCH 1 (UID {} BODY.PEEK[TEXT] FLAGS)", items.join(" ")));
    let told = String::from_utf8(lab.take_octets(0)).expect("text");
    assert!(
        told.starts_with("* 1 FETCH (UID 1 FLAGS (\\Recent) BODY[HEADER.FIELDS.NOT (X0 Subject)] {10012}")
    );
    assert_eq!(told.matches("X-Long").count(), 100);
    assert!(told.ends_with(" BODY[TEXT] {4}\r\nbody)\r\na OK FETCH completed\r\n"));
    let longest = lab.clients[0].longest;
    assert!(longest < 5_000 + 10_200, "{longest}");
}

#[test]
fn a_message_that_is_expunged_while_it_is_sent_is_sent_whole() {
    let mut lab = Lab::with_messages(0);
    lab.deliver(&format!("Subject: x\r\n\r\n{}", "\0".repeat(3 * IMAP_COPY_BYTES_MAX as usize)));
    lab.deliver("Subject: y\r\n\r\n");
    lab.say(0, "n NOOP");
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.say(other, "t STORE 1 +FLAGS.SILENT (\\Deleted)");
    lab.stalled = Some(0);
    lab.room = 1_000;
    lab.say_later(0, "a UID FETCH 1:* BODY.PEEK[]");
    let begun = lab.take_octets(0);
    assert!(!begun.is_empty() && !begun.ends_with(b")\r\n"));
    lab.say(other, "u EXPUNGE");
    lab.stalled = None;
    lab.call(0, |session, _, cx| session.resume(OUTPUT_BYTES_MAX, cx));
    let told = [begun, lab.take_octets(0)].concat();
    let rest = told.iter().rposition(|&octet| octet == 0x80).expect("the body") + 1;
    assert_eq!(
        String::from_utf8_lossy(&told[rest..]),
        concat!(
            ")\r\n* 2 FETCH (UID 2 BODY[] {14}\r\nSubject: y\r\n\r\n)\r\n",
            "* 1 EXPUNGE\r\na OK UID FETCH completed\r\n"
        )
    );
}
