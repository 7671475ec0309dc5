//! FETCH: every item, `\Seen`, room and budget.

use super::lab::Lab;
use crate::limits::{IMAP_WARM_HEADER_BYTES, IMAP_WARM_MESSAGES_MAX, STEP_MESSAGES_MAX};

const NESTED: &str = concat!(
    "Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n",
    "--o\r\nContent-Type: text/plain\r\n\r\nplain\r\n",
    "--o\r\nContent-Type: message/rfc822\r\n\r\n",
    "Subject: inner\r\nFrom: i@x\r\nContent-Type: text/plain\r\n\r\ninner text\r\n",
    "--o--\r\n"
);

#[test]
fn sections_of_nested_messages() {
    let mut lab = Lab::with_messages(0);
    lab.deliver(NESTED);
    lab.say(0, "n NOOP");
    let mut section = |name: &str| {
        let told = lab.say(0, &format!("a FETCH 1 BODY.PEEK[{name}]"));
        let told = told.strip_suffix(")\r\na OK FETCH completed\r\n").expect("a whole reply").to_owned();
        match told.split_once("}\r\n") {
            Some((_, octets)) => octets.to_owned(),
            None => told,
        }
    };
    assert_eq!(section(""), NESTED);
    assert_eq!(section("HEADER") + &section("TEXT"), NESTED);
    assert_eq!(section("1"), "plain");
    assert_eq!(section("1.MIME"), "Content-Type: text/plain\r\n\r\n");
    let inner = "Subject: inner\r\nFrom: i@x\r\nContent-Type: text/plain\r\n\r\ninner text";
    assert_eq!(section("2"), inner);
    assert_eq!(section("2.HEADER") + &section("2.TEXT"), inner);
    assert_eq!(section("2.HEADER.FIELDS (from)"), "From: i@x\r\n\r\n");
    assert_eq!(section("2.HEADER.FIELDS.NOT (from content-type)"), "Subject: inner\r\n\r\n");
    assert_eq!(section("2.1"), "inner text");
    assert_eq!(section("1.HEADER"), "* 1 FETCH (BODY[1.HEADER] NIL");
    assert_eq!(section("7"), "* 1 FETCH (BODY[7] NIL");
}

#[test]
fn bodies_leave_as_extents_and_index_items_touch_nothing() {
    let mut lab = Lab::with_messages(3);
    lab.clients[0].asked.clear();
    lab.say(0, "a FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ)");
    assert!(lab.clients[0].asked.is_empty());
    lab.say(0, "b FETCH 1:* BODY.PEEK[]");
    assert_eq!(lab.clients[0].asked, ["warm", "extent", "extent", "extent"], "summaries are");
    lab.clients[0].asked.clear();
    lab.say(0, "c FETCH 1:* (ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[HEADER])");
    assert_eq!(lab.clients[0].asked, ["warm", "extent", "extent", "extent"], "one warming for all");
}

#[test]
fn reading_sets_seen_once_and_durably() {
    let mut lab = Lab::with_messages(3);
    lab.say(0, "a STORE 2 +FLAGS.SILENT (\\Seen)");
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.disk_held = true;
    assert_eq!(lab.say(0, "b FETCH 1:2 RFC822.TEXT"), "", "nothing before it is durable");
    lab.disk_held = false;
    lab.settle();
    assert_eq!(
        lab.take(0),
        concat!(
            "* 1 FETCH (FLAGS (\\Recent \\Seen) RFC822.TEXT {8}\r\nbody 1\r\n)\r\n",
            "* 2 FETCH (RFC822.TEXT {8}\r\nbody 2\r\n)\r\n",
            "b OK FETCH completed\r\n"
        )
    );
    assert_eq!(lab.say(0, "c NOOP"), "c OK NOOP completed\r\n", "no echo");
    assert_eq!(lab.say(other, "d NOOP"), "* 1 FETCH (FLAGS (\\Seen))\r\nd OK NOOP completed\r\n");
    lab.say(other, "e EXAMINE INBOX");
    let told = lab.say(other, "f FETCH 3 (FLAGS BODY[])");
    assert!(told.starts_with("* 3 FETCH (FLAGS () BODY[] {23}\r\n"), "{told}");
}

#[test]
fn long_answers_come_in_pieces_that_make_the_same_whole() {
    let count = STEP_MESSAGES_MAX + IMAP_WARM_MESSAGES_MAX + 3;
    let mut lab = Lab::with_messages(count);
    for command in ["FETCH 1:* (UID FLAGS)", "FETCH 1:* (ENVELOPE BODY[TEXT])", "UID SEARCH SUBJECT m"] {
        let whole = lab.say(0, &format!("a {command}"));
        lab.room = 100;
        let pieces = lab.say(0, &format!("a {command}"));
        lab.room = crate::limits::OUTPUT_BYTES_MAX;
        let without_flags = whole.replace("FLAGS (\\Recent \\Seen) ", "");
        assert!(pieces == whole || pieces == without_flags, "{command}");
        let lines = whole.matches(" FETCH (").count();
        assert!(lines == count || command.contains("SEARCH"), "{command}: {lines}");
    }
    assert!(lab.clients[0].asked.contains(&"yield"));
}

#[test]
fn fields_of_a_header_longer_than_what_is_warmed_ahead() {
    let mut lab = Lab::with_messages(0);
    let long = "x".repeat(IMAP_WARM_HEADER_BYTES as usize);
    lab.deliver(&format!("X-Long: {long}\r\nSubject: last\r\n\r\n"));
    lab.say(0, "n NOOP");
    lab.clients[0].asked.clear();
    let told = lab.say(0, "a FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]");
    assert!(told.contains("{17}\r\nSubject: last\r\n\r\n)"), "{told}");
    assert_eq!(lab.clients[0].asked, ["warm", "warm"]);
    assert!(lab.say(0, "b SEARCH SUBJECT last").starts_with("* SEARCH 1\r\n"));
}

#[test]
fn messages_expunged_during_a_long_fetch_are_left_out_and_said() {
    let mut lab = Lab::with_messages(6);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.disk_held = true;
    lab.say(other, "a STORE 2 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(lab.say(0, "b FETCH 1:3 BODY[TEXT]"), "");
    lab.disk_held = false;
    lab.settle();
    lab.say(other, "c EXPUNGE");
    let told = lab.take(0);
    assert!(told.contains("* 2 FETCH") && told.ends_with("b OK FETCH completed\r\n"), "{told}");
    let told = lab.say(0, "d FETCH 1:3 UID");
    assert!(told.ends_with("d NO [EXPUNGEISSUED] Some of the messages no longer exist\r\n"), "{told}");
}
