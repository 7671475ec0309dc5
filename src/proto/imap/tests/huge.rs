//! Huge messages: headers, fields and MIME trees far beyond every bound.
//!
//! Goal: whatever is asked of such a message, no call queues more than the output holds and one step's piece, nor
//! looks at more than a window, and the answer is exact. Method: messages made by rule, answers made by the same rule,
//! the lab's measure of what was queued and brought in.

use ringpost_engine::limits::SUMMARY_BYTES_MAX;
use ringpost_engine::testing::seed::Seed;

use super::lab::Lab;
use crate::limits::{
    IMAP_COPY_BYTES_MAX, IMAP_READY_BYTES_MAX, OUTPUT_BYTES_MAX, SEARCH_WINDOW_BYTES, STEP_BYTES_MAX,
    WARM_BODIES_BYTES,
};
use crate::proto::mime::summarise;

/// A lab whose INBOX holds these messages, selected.
fn holding(segment_bytes: u64, messages: &[&str]) -> Lab {
    let mut lab = Lab::with_segments(segment_bytes);
    for message in messages {
        lab.deliver(message);
    }
    lab.login();
    lab.say(0, "s SELECT INBOX");
    lab
}

/// What a FETCH of one item answers, its literal alone, within the bounds on what is queued and brought in: of what is
/// sent as it is a first part, unseen, of all else what is looked at.
fn literal(lab: &mut Lab, item: &str) -> String {
    let is_picked = item.contains("HEADER") || item.contains("MIME");
    literal_within(lab, item, if is_picked { IMAP_COPY_BYTES_MAX } else { WARM_BODIES_BYTES })
}

/// The same where the summary is longer than a window.
fn literal_within(lab: &mut Lab, item: &str, window: u32) -> String {
    let client = &mut lab.clients[0];
    (client.longest, client.longest_warm) = (0, 0);
    let told = lab.say(0, &format!("a FETCH 1 {item}"));
    let client = &lab.clients[0];
    let most = OUTPUT_BYTES_MAX + IMAP_COPY_BYTES_MAX as usize + item.len() + 100;
    assert!(client.longest <= most, "{item}: {} octets queued", client.longest);
    assert!(client.longest_warm <= window, "{item}: {} octets brought in", client.longest_warm);
    let told = told.strip_suffix(")\r\na OK FETCH completed\r\n").expect("a whole reply");
    let (head, octets) = told.split_once("}\r\n").expect("a literal");
    let (_, size) = head.rsplit_once('{').expect("its size");
    assert_eq!(size.parse(), Ok(octets.len()), "{item}: the announced size");
    octets.to_owned()
}

/// Every way of picking fields from a header of which `first` and `last` are the ends and `middle` is the rest.
fn picks(lab: &mut Lab, section: &str, first: &str, middle: &str, last: &str) {
    let mut is = |pick: &str, expected: String| {
        let told = literal(lab, &format!("BODY.PEEK[{section}{pick}]"));
        assert!(told == expected, "{section}{pick}: {} octets, not {}", told.len(), expected.len());
    };
    is("HEADER", format!("{first}{middle}{last}\r\n"));
    is("HEADER.FIELDS (From Subject)", format!("{first}{last}\r\n"));
    is("HEADER.FIELDS (X-Line)", format!("{middle}\r\n"));
    is("HEADER.FIELDS.NOT (X-Line)", format!("{first}{last}\r\n"));
    is("HEADER.FIELDS.NOT (From)", format!("{middle}{last}\r\n"));
    is("HEADER.FIELDS.NOT (Nothing)", format!("{first}{middle}{last}\r\n"));
}

const FIRST: &str = "From: a@x\r\n";
const LAST: &str = "Subject: needle\r\n";
const HUNDRED_MEGABYTES: usize = 100_000_000;

#[test]
fn a_header_of_a_hundred_thousand_lines() {
    let middle: String = (0..100_000).map(|line| format!("X-Line: {line}\r\n")).collect();
    let mut lab = holding(16 << 20, &[&format!("{FIRST}{middle}{LAST}\r\nbody\r\n")]);
    picks(&mut lab, "", FIRST, &middle, LAST);
    let told = literal(&mut lab, "BODY.PEEK[HEADER.FIELDS.NOT (From)]<1000000.300000>");
    assert!(told == middle[1_000_000..1_300_000], "a partial of picked fields");
    assert!(lab.say(0, "b SEARCH TEXT needle").starts_with("* SEARCH 1\r\n"));
    // A window and the summary before it, brought in as one: what a step looks at, not the message.
    assert!(middle.len() > STEP_BYTES_MAX);
    assert!(lab.clients[0].longest_warm as usize <= STEP_BYTES_MAX);
}

#[test]
fn a_nested_header_of_many_lines() {
    let middle: String = (0..30_000).map(|line| format!("X-Line: {line}\r\n")).collect();
    let outer = "Content-Type: message/rfc822\r\n\r\n";
    let mut lab = holding(16 << 20, &[&format!("{outer}{FIRST}{middle}{LAST}\r\nbody\r\n")]);
    picks(&mut lab, "1.", FIRST, &middle, LAST);
}

#[test]
fn a_single_field_of_many_octets() {
    let middle = format!("X-Line: {}\r\n", "y".repeat(20 << 20));
    let mut lab = holding(64 << 20, &[&format!("{FIRST}{middle}{LAST}\r\nbody\r\n")]);
    picks(&mut lab, "", FIRST, &middle, LAST);
}

#[test]
fn a_message_of_a_hundred_megabytes() {
    let line = "what is said here is said again and again and ...\r\n";
    let message = format!("{FIRST}{LAST}\r\n{}the end\r\n", line.repeat(HUNDRED_MEGABYTES / line.len() + 1));
    let mut lab = holding(256 << 20, &[]);
    lab.server.message_bytes_max = message.len();
    let told = lab.say(0, &format!("a APPEND INBOX {{{}}}", message.len()));
    assert!(told.starts_with("+ "), "{told}");
    for piece in message.as_bytes().chunks(64 * 1024) {
        assert_eq!(lab.send(0, piece), "");
        assert!(lab.clients[0].input.is_empty(), "a literal is taken as it comes");
    }
    let told = lab.say(0, "");
    assert!(told.contains("a OK [APPENDUID"), "{told}");
    let told = lab.say(0, "b FETCH 1 RFC822.SIZE");
    assert!(told.contains(&format!("(RFC822.SIZE {})", message.len())), "{told}");
    assert!(literal(&mut lab, "BODY.PEEK[]") == message);
    assert_eq!(literal(&mut lab, "BODY.PEEK[]<99999900.100>"), message[99_999_900..HUNDRED_MEGABYTES]);
    assert_eq!(literal(&mut lab, "BODY.PEEK[HEADER.FIELDS (Subject)]"), format!("{LAST}\r\n"));
    lab.clients[0].asked.clear();
    assert!(lab.say(0, "c SEARCH BODY \"the end\"").starts_with("* SEARCH 1\r\n"));
    let client = &lab.clients[0];
    assert!(client.longest_warm as usize <= STEP_BYTES_MAX, "{} octets looked at", client.longest_warm);
    let windows = client.asked.iter().filter(|&&asked| asked == "warm").count();
    assert!(windows >= message.len() / SEARCH_WINDOW_BYTES, "others had {windows} turns");
}

#[test]
fn catenate_takes_fields_of_a_long_header() {
    let middle: String = (0..30_000).map(|line| format!("X-Line: {line}\r\n")).collect();
    let mut lab = holding(16 << 20, &[&format!("{FIRST}{middle}{LAST}\r\nbody\r\n")]);
    lab.server.message_bytes_max = 2 << 20;
    for (section, expected) in [
        ("HEADER.FIELDS%20(FROM%20SUBJECT)", format!("{FIRST}{LAST}\r\n")),
        ("HEADER.FIELDS.NOT%20(FROM)", format!("{middle}{LAST}\r\n")),
    ] {
        lab.clients[0].longest_warm = 0;
        let url = format!("/INBOX/;UID=1/;SECTION={section}");
        let told = lab.say(0, &format!("c APPEND Sent CATENATE (URL \"{url}\")"));
        assert!(told.contains("c OK [APPENDUID"), "{told}");
        assert!(lab.clients[0].longest_warm <= IMAP_COPY_BYTES_MAX, "{section}");
        lab.say(0, "d SELECT Sent");
        let told = lab.say(0, "e FETCH * BODY.PEEK[]");
        assert!(told.contains(&format!("{{{}}}\r\n{expected})\r\n", expected.len())), "{section}");
        lab.say(0, "f SELECT INBOX");
    }
}

#[test]
fn trees_of_ten_thousand_levels_or_parts() {
    let levels: String = (0..10_000)
        .map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"))
        .collect();
    let part = "--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n";
    let parts =
        format!("{LAST}Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n", part.repeat(10_000));
    let deep = format!("{LAST}{levels}\r\n\r\nbottom\r\n");
    let summary = SUMMARY_BYTES_MAX as u32;
    for message in [&deep, &parts] {
        let mut lab = holding(16 << 20, &[message]);
        assert!(literal_within(&mut lab, "BODY.PEEK[]", summary) == *message);
        assert!(
            literal_within(&mut lab, "BODY.PEEK[HEADER.FIELDS (Subject)]", summary) == format!("{LAST}\r\n")
        );
        lab.clients[0].longest = 0;
        let told = lab.say(0, "a FETCH 1 (ENVELOPE BODY BODYSTRUCTURE)");
        let known = summarise(message.as_bytes());
        let [envelope, body, structure] =
            [&known.envelope, &known.body, &known.bodystructure].map(|ready| String::from_utf8_lossy(ready));
        let expected = format!("(ENVELOPE {envelope} BODY {body} BODYSTRUCTURE {structure})");
        assert!(told == format!("* 1 FETCH {expected}\r\na OK FETCH completed\r\n"));
        let longest = lab.clients[0].longest;
        assert!(longest <= 3 * IMAP_READY_BYTES_MAX + 100, "{longest} octets copied");
        let told = lab.say(0, "a FETCH 1 (BODYSTRUCTURE PREVIEW BODY.PEEK[HEADER.FIELDS (Subject)])");
        assert!(told.starts_with(&format!("* 1 FETCH (BODYSTRUCTURE {structure} PREVIEW ")), "what follows");
        assert!(told.ends_with(&format!("{LAST}\r\n)\r\na OK FETCH completed\r\n")));
        assert!(lab.say(0, "b SEARCH TEXT needle").starts_with("* SEARCH 1\r\n"));
    }
    let mut lab = holding(16 << 20, &[&parts]);
    let told = lab.say(0, "a FETCH 1 (BINARY.PEEK[5000] BINARY.SIZE[9000])");
    assert!(told.contains("BINARY[5000] {4}\r\ntext BINARY.SIZE[9000] 4)"), "{told}");
}

#[test]
fn sizes_equal_the_octets_of_every_message() {
    let pieces = [
        "Subject: s\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "\r\n",
        "\n",
        "\r",
        "--b\r\n",
        "--b--",
        "Content-Type: message/rfc822\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "YWJj\r\n",
        "\0",
        "text",
        " ",
        ":",
    ];
    for number in 1..=150 {
        let mut seed = Seed::new(number);
        let count = 1 + seed.below(30);
        let message: String = (0..count).filter_map(|_| seed.pick(&pieces).copied()).collect();
        let mut lab = holding(1 << 20, &[&message]);
        let told = lab.say(0, "a FETCH 1 RFC822.SIZE");
        assert!(told.starts_with(&format!("* 1 FETCH (RFC822.SIZE {})\r\n", message.len())), "{told}");
        let whole = literal(&mut lab, "BODY.PEEK[]");
        assert_eq!(whole.len(), message.len(), "{message:?}");
        let halves = literal(&mut lab, "BODY.PEEK[HEADER]") + &literal(&mut lab, "BODY.PEEK[TEXT]");
        assert_eq!(halves, whole, "{message:?}");
    }
}
