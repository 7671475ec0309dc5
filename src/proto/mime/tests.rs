//! Whole messages, the nasty ones first; every answer is read back by the grammar of rfc3501#9.

use ringpost_engine::layout::{Part, PartKind, Summary, SummaryView, TransferEncoding, flag};
use ringpost_engine::limits::SUMMARY_BYTES_MAX;

use super::testing::{Seeded, broken_message, mail};
use super::{Scope, Summariser, TextNeedle, TextSearch, contains_text, scan, summarise};
use crate::limits::{
    DOT_LINES_MAX, MIME_ADDRESSES_MAX, MIME_DEPTH_MAX, MIME_PARTS_MAX, SUMMARISE_STEP_BYTES,
};

/// Reads ENVELOPE and BODY as a strict client does: rfc3501#9, with message/global as in rfc9051#9.
struct Grammar<'a> {
    text: &'a [u8],
    at: usize,
    extended: bool,
}

impl<'a> Grammar<'a> {
    fn check_summary(summary: &Summary) {
        Grammar::whole(&summary.envelope, false, |grammar| grammar.envelope());
        Grammar::whole(&summary.body, false, |grammar| grammar.body());
        Grammar::whole(&summary.bodystructure, true, |grammar| grammar.body());
    }

    fn whole(text: &'a [u8], extended: bool, rule: impl Fn(&mut Grammar<'a>)) {
        assert!(!text.contains(&0), "NUL must not be used");
        let mut grammar = Grammar { text, at: 0, extended };
        rule(&mut grammar);
        assert_eq!(grammar.at, text.len(), "{}", String::from_utf8_lossy(text));
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn peek(&self, start: &[u8]) -> bool {
        self.rest().starts_with(start)
    }

    fn skip(&mut self, start: &[u8]) {
        assert!(
            self.peek(start),
            "expected {:?} at {:?}",
            text(start),
            text(&self.rest()[..self.rest().len().min(60)])
        );
        self.at += start.len();
    }

    fn number(&mut self) -> usize {
        let len = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = std::str::from_utf8(&self.rest()[..len]).unwrap();
        self.at += len;
        digits.parse::<u32>().unwrap() as usize
    }

    fn string(&mut self) -> Vec<u8> {
        if self.peek(b"{") {
            self.skip(b"{");
            let len = self.number();
            self.skip(b"}\r\n");
            let literal = self.rest()[..len].to_vec();
            self.at += len;
            return literal;
        }
        self.skip(b"\"");
        let mut value = Vec::new();
        loop {
            let byte = self.rest()[0];
            assert!((b' '..127).contains(&byte) || byte == b'\t', "{byte} in a quoted string");
            self.at += 1;
            match byte {
                b'"' => return value,
                b'\\' => {
                    let next = self.rest()[0];
                    assert!(matches!(next, b'"' | b'\\'));
                    value.push(next);
                    self.at += 1;
                }
                _ => value.push(byte),
            }
        }
    }

    fn nstring(&mut self) {
        if self.peek(b"NIL") {
            self.skip(b"NIL");
        } else {
            self.string();
        }
    }

    fn envelope(&mut self) {
        self.skip(b"(");
        for (index, is_list) in [0, 0, 1, 1, 1, 1, 1, 1, 0, 0].into_iter().enumerate() {
            if index > 0 {
                self.skip(b" ");
            }
            if is_list == 1 { self.addresses() } else { self.nstring() }
        }
        self.skip(b")");
    }

    fn addresses(&mut self) {
        if self.peek(b"NIL") {
            return self.skip(b"NIL");
        }
        self.skip(b"(");
        while !self.peek(b")") {
            self.skip(b"(");
            self.nstring();
            for _ in 0..3 {
                self.skip(b" ");
                self.nstring();
            }
            self.skip(b")");
        }
        self.skip(b")");
    }

    fn body(&mut self) {
        self.skip(b"(");
        if self.peek(b"(") {
            while self.peek(b"(") {
                self.body();
            }
            self.skip(b" ");
            self.string();
            if self.extended {
                self.skip(b" ");
                self.spaced_strings(true);
                self.extension();
            }
        } else {
            self.single();
        }
        self.skip(b")");
    }

    fn single(&mut self) {
        let media = self.string().to_ascii_lowercase();
        self.skip(b" ");
        let subtype = self.string().to_ascii_lowercase();
        self.skip(b" ");
        self.spaced_strings(true);
        for _ in 0..2 {
            self.skip(b" ");
            self.nstring();
        }
        self.skip(b" ");
        self.string();
        self.skip(b" ");
        self.number();
        if media == b"message" && (subtype == b"rfc822" || subtype == b"global") {
            self.skip(b" ");
            self.envelope();
            self.skip(b" ");
            self.body();
            self.skip(b" ");
            self.number();
        } else if media == b"text" {
            self.skip(b" ");
            self.number();
        }
        if self.extended {
            self.skip(b" ");
            self.nstring();
            self.extension();
        }
    }

    fn extension(&mut self) {
        self.skip(b" ");
        if self.peek(b"NIL") {
            self.skip(b"NIL");
        } else {
            self.skip(b"(");
            self.string();
            self.skip(b" ");
            self.spaced_strings(true);
            self.skip(b")");
        }
        self.skip(b" ");
        self.spaced_strings(false);
        self.skip(b" ");
        self.nstring();
    }

    fn spaced_strings(&mut self, pairs: bool) {
        if self.peek(b"NIL") {
            return self.skip(b"NIL");
        }
        self.skip(b"(");
        let mut count = 1;
        self.string();
        while self.peek(b" ") {
            self.skip(b" ");
            self.string();
            count += 1;
        }
        assert!(!pairs || count % 2 == 0);
        self.skip(b")");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Summarises, and checks everything that must hold of any summary.
fn summary(message: &[u8]) -> Summary {
    let summary = summarise(message);
    Grammar::check_summary(&summary);
    let encoded = summary.encode();
    assert!(encoded.len() <= SUMMARY_BYTES_MAX);
    assert_eq!(encoded.len(), summary.encoded_len());
    assert_eq!(Summary::decode(&encoded).as_ref(), Some(&summary));
    assert!(summary.header_len as usize <= message.len());
    assert!(summary.parts[0].path.is_empty());
    assert_eq!(summary.parts[0].body_start, summary.header_len);
    for part in &summary.parts {
        assert!(part.header_start <= part.body_start && part.body_start <= part.nested_text_start);
        assert!(part.nested_text_start <= part.body_end && part.body_end as usize <= message.len());
        let body = &message[part.body_start as usize..part.body_end as usize];
        assert_eq!(part.lines as usize, memchr::memchr_iter(b'\n', body).count(), "{:?}", part.path);
    }
    summary
}

fn structure(message: &str) -> String {
    text(&summary(message.as_bytes()).bodystructure)
}

/// Paths and bodies of all parts, `1.2=body`.
fn bodies(message: &str) -> Vec<String> {
    let shown = |part: &Part| {
        let path: Vec<String> = part.path.iter().map(u32::to_string).collect();
        format!("{}={}", path.join("."), &message[part.body_start as usize..part.body_end as usize])
    };
    summary(message.as_bytes()).parts[1..].iter().map(shown).collect()
}

const PLAIN: &str = "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\"";

#[test]
fn a_plain_message() {
    let message = b"Subject: x\r\n\r\n.one\r\ntwo\r\n.\r\n";
    let summary = summary(message);
    assert_eq!(summary.header_len, 14);
    assert_eq!(summary.dot_lines, [14, 25]);
    assert_eq!(text(&summary.body), format!("({PLAIN} 14 3)"));
    assert_eq!(text(&summary.bodystructure), format!("({PLAIN} 14 3 NIL NIL NIL NIL)"));
    assert_eq!(summary.flags, 0);
    let encoded = summary.encode();
    assert_eq!(SummaryView::new(&encoded).unwrap().part(&[1]), Some(summary.parts[0].clone()));
}

#[test]
fn the_example_of_rfc2046_5_1_1() {
    let message = "From: Nathaniel Borenstein <nsb@bellcore.com>\r\nMIME-Version: 1.0\r\n\
        Content-type: multipart/mixed; boundary=\"simple boundary\"\r\n\r\n\
        This is the preamble.  It is to be ignored.\r\n\r\n--simple boundary\r\n\r\n\
        This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.\r\n\
        --simple boundary\r\nContent-type: text/plain; charset=us-ascii\r\n\r\n\
        This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n\r\n\
        --simple boundary--\r\n\r\nThis is the epilogue.  It is also to be ignored.\r\n";
    assert_eq!(
        bodies(message),
        [
            "1=This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.",
            "2=This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n",
        ]
    );
    assert_eq!(
        structure(message),
        format!(
            "(({PLAIN} 80 1 NIL NIL NIL NIL)({PLAIN} 78 2 NIL NIL NIL NIL) \"mixed\" \
             (\"boundary\" \"simple boundary\") NIL NIL NIL)"
        )
    );
}

/// The shape of the example in rfc3501#6.4.5.
const NUMBERED: &str = "Content-Type: multipart/mixed; boundary=a\r\n\r\n\
    --a\r\n\r\n1\r\n--a\r\nContent-Type: application/octet-stream\r\n\r\n2\r\n\
    --a\r\nContent-Type: message/rfc822\r\n\r\nSubject: three\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n3.1\r\n--b\r\n\
    Content-Type: application/octet-stream\r\n\r\n3.2\r\n--b--\r\n\
    --a\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: image/gif\r\n\r\n4.1\r\n\
    --c\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=d\r\n\r\n\
    --d\r\n\r\n4.2.1\r\n--d\r\nContent-Type: multipart/alternative; boundary=e\r\n\r\n\
    --e\r\n\r\n4.2.2.1\r\n--e\r\nContent-Type: text/richtext\r\n\r\n4.2.2.2\r\n\
    --e--\r\n--d--\r\n--c--\r\n--a--\r\n";

#[test]
fn parts_are_numbered_as_in_rfc3501_6_4_5() {
    let paths: Vec<String> =
        bodies(NUMBERED).iter().map(|body| body.split_once('=').unwrap().0.to_owned()).collect();
    let expected = ["1", "2", "3", "3.1", "3.2", "4", "4.1", "4.2", "4.2.1", "4.2.2", "4.2.2.1", "4.2.2.2"];
    assert_eq!(paths, expected);
    for leaf in ["1", "2", "3.1", "3.2", "4.1", "4.2.1", "4.2.2.1", "4.2.2.2"] {
        assert!(bodies(NUMBERED).contains(&format!("{leaf}={leaf}")), "{leaf}");
    }
    let summary = summary(NUMBERED.as_bytes());
    let third = summary.parts.iter().find(|part| part.path == [3]).unwrap();
    let header = &NUMBERED[third.body_start as usize..third.nested_text_start as usize];
    assert_eq!(header, "Subject: three\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n");
}

#[test]
fn an_enclosed_header_that_a_boundary_cuts_off_stays_within_its_part() {
    let message = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: in\r\n--a\r\n\r\nnext\r\n--a--\r\n";
    let found = summary(message.as_bytes());
    let nested = found.parts.iter().find(|part| part.path == [1]).unwrap();
    assert_eq!(&message[nested.body_start as usize..nested.nested_text_start as usize], "Subject: in");
    assert!(bodies(message).contains(&"2=next".to_owned()), "{:?}", bodies(message));
}

#[test]
fn an_enclosed_message_has_its_envelope_its_body_and_its_lines() {
    let message = "Content-Type: message/rfc822\r\n\r\nSubject: in\r\nFrom: a@b\r\n\r\nhi\r\n";
    let from = "((NIL NIL \"a\" \"b\"))";
    assert_eq!(
        structure(message),
        format!(
            "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 30 \
             (NIL \"in\" {from} {from} {from} NIL NIL NIL NIL NIL) \
             ({PLAIN} 4 1 NIL NIL NIL NIL) 4 NIL NIL NIL NIL)"
        )
    );
    assert_eq!(bodies(message), ["1.1=hi\r\n"]);
    let encoded = summary(message.as_bytes()).encode();
    let view = SummaryView::new(&encoded).unwrap();
    assert_eq!(view.part(&[1]).unwrap().kind, PartKind::Message);
    assert_eq!(view.part(&[1, 1]).unwrap().kind, PartKind::Text);
}

#[test]
fn all_extension_data() {
    let message = "Content-Type: text/x-myown; charset=us-ascii; foo=\"quoted\\\"string\"\r\n\
        Content-ID: <foo@example.com>\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n\
        Content-Disposition: inline; foo=bar\r\nContent-Description: hello\r\n\
        Content-Language: en, fi, se\r\nContent-Location: http://example.com/test.txt\r\n\
        Content-Transfer-Encoding: x-own\r\n\r\n";
    assert_eq!(
        structure(message),
        "(\"text\" \"x-myown\" (\"charset\" \"us-ascii\" \"foo\" \"quoted\\\"string\") \"<foo@example.com>\" \
         \"hello\" \"x-own\" 0 0 \"Q2hlY2sgSW50ZWdyaXR5IQ==\" (\"inline\" (\"foo\" \"bar\")) \
         (\"en\" \"fi\" \"se\") \"http://example.com/test.txt\")"
    );
    assert_eq!(summary(message.as_bytes()).parts[0].encoding, TransferEncoding::Unknown);
}

#[test]
fn multiparts_without_parts_get_an_empty_one() {
    let empty = format!("({PLAIN} 0 0 NIL NIL NIL NIL)");
    let no_boundary = "Content-Type: multipart/mixed\r\n\r\n--\r\n--x\r\n\r\nlost\r\n";
    assert_eq!(structure(no_boundary), format!("({empty} \"mixed\" NIL NIL NIL NIL)"));
    assert_eq!(bodies(no_boundary), ["1="]);
    let never_used = "Content-Type: multipart/mixed; boundary=x\r\n\r\n";
    assert_eq!(structure(never_used), format!("({empty} \"mixed\" (\"boundary\" \"x\") NIL NIL NIL)"));
    let closed_at_once = "Content-Type: multipart/digest; boundary=x\r\n\r\n--x--\r\n";
    assert_eq!(structure(closed_at_once), format!("({empty} \"digest\" (\"boundary\" \"x\") NIL NIL NIL)"));
}

#[test]
fn a_boundary_that_begins_another_separates_only_its_own() {
    let message = "Content-Type: multipart/mixed; boundary=foo\r\n\r\n--foo\r\n\
        Content-Type: multipart/mixed; boundary=foobar\r\n\r\n--foobar\r\n\r\na\r\n--foobar--\r\n\
        --foobar\r\n--foox\r\n--foo \t\r\n\r\nb\r\n--foo--\r\nepilogue\r\n--foo\r\n\r\nc";
    assert_eq!(bodies(message)[1..], ["1.1=a", "2=b"]);
}

#[test]
fn an_outer_boundary_closes_what_was_left_open() {
    let message = "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n\
        Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\na\r\n--o\r\n\
        Content-Type: image/png\r\n--o\r\n\r\nb";
    assert_eq!(bodies(message)[1..], ["1.1=a", "2=", "3=b"]);
    assert!(structure(message).contains("\"image\" \"png\""));
}

#[test]
fn the_same_boundary_inside_belongs_to_the_innermost() {
    let message = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\
        Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n--x\r\n\r\nb\r\n--x--\r\n";
    assert_eq!(bodies(message)[1..], ["1.1=a", "2=b"]);
}

#[test]
fn digests_default_to_messages() {
    let message =
        "Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: s\r\n\r\nt\r\n--x--\r\n";
    let kinds: Vec<PartKind> = summary(message.as_bytes()).parts.iter().map(|part| part.kind).collect();
    assert_eq!(kinds, [PartKind::Multipart, PartKind::Message, PartKind::Text]);
    assert!(structure(message).contains("\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 15 (NIL \"s\""));
}

#[test]
fn messages_with_bare_line_feeds_and_without_ends_are_read() {
    let message = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n\n--x\n\nb\n--x--";
    assert_eq!(bodies(message), ["1=a\n", "2=b"]);
    assert_eq!(summary(b"Subject: no body").header_len, 16);
    assert_eq!(summary(b"").header_len, 0);
    assert_eq!(summary(b"\r\nbody").header_len, 2);
    assert_eq!(summary(b"a: b\r\r\n\r\nx").header_len, 9);
    assert_eq!(summary(b"a\n.b\n.").dot_lines, [2, 5]);
}

#[test]
fn flags_tell_what_octets_there_are() {
    assert_eq!(summary(b"S: \xfc\r\n\r\nx").flags, flag::HEADER_8BIT);
    assert_eq!(summary(b"S: x\r\n\r\n\xfc").flags, flag::BODY_8BIT);
    assert_eq!(summary(b"Subject: a\0b\r\n\r\n\0").flags, flag::HAS_NUL);
}

#[test]
fn dot_lines_beyond_the_bound_are_told() {
    let summary = summary(&b".\r\n".repeat(DOT_LINES_MAX + 1));
    assert_eq!(summary.dot_lines.len(), DOT_LINES_MAX);
    assert_eq!(summary.flags, flag::DOTS_OVERFLOW | flag::FIELDS_OVERFLOW);
}

#[test]
fn nesting_beyond_the_bound_is_opaque() {
    for header in [
        "Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n",
        "Content-Type: message/rfc822\r\n\r\n",
    ] {
        let message: String = (0..10_000).map(|n| header.replace("{n}", &n.to_string())).collect();
        let summary = summary(message.as_bytes());
        assert_eq!(summary.flags, flag::STRUCTURE_CUT);
        assert!(summary.parts.iter().all(|part| part.path.len() <= MIME_DEPTH_MAX));
        assert!(text(&summary.body).contains("\"application\" \"octet-stream\""));
    }
}

#[test]
fn parts_beyond_the_bound_are_left_out() {
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    message.extend(b"--b\r\n\r\n".repeat(3 * MIME_PARTS_MAX));
    let summary = summary(&message);
    assert_eq!(summary.flags, flag::STRUCTURE_CUT);
    assert!(summary.parts.len() <= MIME_PARTS_MAX);
    assert!(summary.parts.len() >= 1_000);
}

#[test]
fn hostile_headers_fit_the_summary() {
    let addresses = format!("To: {}\r\n\r\n", "a@b,".repeat(MIME_ADDRESSES_MAX + 1));
    let many = summary(addresses.as_bytes());
    assert_eq!(many.flags, flag::STRUCTURE_CUT);
    let long = format!("Subject: {}\r\n\r\n", "\u{fc}".repeat(2_000_000));
    let too_long = flag::STRUCTURE_CUT | flag::FIELDS_OVERFLOW;
    assert_eq!(summary(long.as_bytes()).flags, too_long | flag::HEADER_8BIT);
    let quotes = "\"\\\"\\\\\" <\"\\\"\\\\\"@x>,".repeat(50_000);
    let headers: String =
        ["From", "Sender", "Reply-To", "To", "Cc", "Bcc"].map(|f| format!("{f}: {quotes}\r\n")).concat();
    assert_eq!(summary(headers.as_bytes()).flags, too_long);
    let parameters: String = (0..20_000).map(|n| format!("; p{n}=\"{}\"", "\\\\".repeat(500))).collect();
    let types = format!("Content-Type: a/b{parameters}\r\nContent-Disposition: c{parameters}\r\n\r\n");
    assert_eq!(summary(types.as_bytes()).flags, too_long);
    // rfc2231#3: one file name in far more pieces than a field may have.
    let pieces: String = (0..100_000).map(|n| format!("; filename*{n}*=%61")).collect();
    let cut = summary(format!("Content-Disposition: attachment{pieces}\r\n\r\n").as_bytes());
    assert_ne!(cut.flags & flag::STRUCTURE_CUT, 0);
    summary("(".repeat(1_000_000).as_bytes());
    summary(format!("From: {}\r\n", "(".repeat(500_000)).as_bytes());
    summary(format!("From: {}\r\n", "<".repeat(500_000)).as_bytes());
    summary(format!("From: {}\r\n", "a:;".repeat(300_000)).as_bytes());
}

#[test]
fn the_last_resort_is_valid_as_well() {
    let (body, bodystructure) = super::summariser::opaque(7);
    Grammar::check_summary(&Summary {
        envelope: "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)".into(),
        body,
        bodystructure,
        ..Summary::default()
    });
}

/// Steps for `unit` repeated: must grow as the message grows.
fn steps(head: &str, unit: &str, count: usize) -> usize {
    let message = format!("{head}{}", unit.repeat(count)).into_bytes();
    let mut scanner = scan::Scanner::new(&super::summariser::DETAILS[0]);
    let mut found = std::collections::VecDeque::new();
    while scanner.lines(&message, message.len(), &mut found) {
        found.clear();
    }
    scanner.finish(&message, &mut found);
    scanner.tree.steps
}

#[test]
fn the_scan_is_linear() {
    // A hundred open boundaries of one length with one long common beginning, then lines that almost match.
    let nest: String = (0..MIME_DEPTH_MAX)
        .map(|n| {
            format!("Content-Type: multipart/mixed; boundary={}{n:03}\r\n\r\n--{0}{n:03}\r\n", "x".repeat(60))
        })
        .collect();
    let almost = format!("--{}zzz\r\n", "x".repeat(60));
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    let cases = [
        (nest.as_str(), almost.as_str()),
        (multipart, "--b\r\n\r\n"),
        (multipart, "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"),
        (multipart, "--bb\r\n"),
        (multipart, "--b\r\nContent-Type: message/rfc822\r\n\r\n"),
        ("", "a: b\r\n c\r\n"),
        ("", "\r\n"),
    ];
    for (head, unit) in cases {
        let small = steps(head, unit, 2_000);
        let large = steps(head, unit, 20_000);
        assert!(large <= 11 * small, "{unit:?}: {small} then {large}");
        let lines = (head.len() + unit.len() * 20_000) / 2;
        assert!(large <= lines * (MIME_DEPTH_MAX + 2), "{unit:?}: {large}");
    }
}

#[test]
fn any_octets_give_a_valid_summary() {
    let mut seeded = Seeded(0x5eed);
    for _ in 0..3_000 {
        let message = broken_message(&mut seeded);
        let encoded = summary(&message).encode();
        let view = SummaryView::new(&encoded).unwrap();
        contains_text(&message, &view, "no such text", Scope::Text);
        // A summary that belongs to other octets finds at worst nothing.
        contains_text(&message[..message.len() / 2], &view, "no such text", Scope::Text);
    }
}

#[test]
fn truncations_of_a_real_message_give_valid_summaries() {
    for len in 0..NUMBERED.len() {
        summary(&NUMBERED.as_bytes()[..len]);
    }
}

/// The summary of a message that arrives in pieces of these sizes, in turn.
fn arriving(message: &[u8], sizes: &mut dyn FnMut() -> usize) -> Summary {
    let mut summariser = Summariser::new();
    let mut arrived = 0;
    while arrived < message.len() {
        arrived = message.len().min(arrived + sizes().max(1));
        // Sometimes the next piece comes before the last one is looked at.
        summariser.advance(&message[..arrived]);
    }
    loop {
        match summariser.finish(message) {
            Ok(summary) => return summary,
            Err(unfinished) => summariser = unfinished,
        }
    }
}

#[test]
fn a_summary_is_the_same_however_the_message_arrives() {
    let mut seeded = Seeded(0xcafe);
    for round in 0..300 {
        let message = if round % 2 == 0 { broken_message(&mut seeded) } else { mail(&mut seeded).octets };
        let whole = summary(&message);
        assert_eq!(arriving(&message, &mut || 1), whole, "octet by octet, round {round}");
        for _ in 0..3 {
            assert_eq!(arriving(&message, &mut || seeded.below(90)), whole, "round {round}");
        }
    }
}

#[test]
fn a_summary_that_needs_less_detail_is_the_same_however_the_message_arrives() {
    let parameters: String = (0..99).map(|n| format!("; p{n}=\"{}\"", "\\\\".repeat(5_000))).collect();
    // More than any summary holds, of which the next level of detail keeps 2,000 octets a string.
    let count = SUMMARY_BYTES_MAX / (99 * 5_000) + 2;
    let part = format!("--b\r\nContent-Type: a/b{parameters}\r\n\r\n");
    let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", part.repeat(count));
    let whole = summary(message.as_bytes());
    assert_eq!((whole.flags, whole.parts.len()), (flag::STRUCTURE_CUT, count + 1));
    let mut seeded = Seeded(7);
    assert_eq!(arriving(message.as_bytes(), &mut || seeded.below(100_000)), whole);
}

#[test]
fn a_step_is_bounded_whatever_the_message() {
    let flood = |unit: &str| unit.repeat(3 * SUMMARISE_STEP_BYTES / unit.len());
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
    for message in [
        flood("a: b\r\n"),
        format!("Subject: {}", flood("x ")),
        format!("\r\n{}", flood("word ")),
        format!("\r\n--{}", flood("-")),
        format!("Content-Transfer-Encoding: base64\r\n\r\n{}", flood("QUJD\r\n")),
        format!("{multipart}{}", flood("--b\r\n\r\nx\r\n")),
    ] {
        let mut summariser = Summariser::new();
        let mut steps = 1;
        while !summariser.advance(message.as_bytes()) {
            steps += 1;
        }
        let least = message.len() / (2 * SUMMARISE_STEP_BYTES);
        assert!(steps >= least.max(2), "{steps} steps for {} octets", message.len());
        assert!(steps <= 12, "{steps} steps for {} octets", message.len());
    }
}

#[test]
fn the_filter_never_hides_what_a_search_finds() {
    let mut seeded = Seeded(0xf1);
    let mut found = 0;
    for _ in 0..400 {
        let mail = mail(&mut seeded);
        let encoded = summary(&mail.octets).encode();
        let view = SummaryView::new(&encoded).unwrap();
        for text in &mail.texts {
            let folded = super::fold(text);
            let places: Vec<usize> = folded.char_indices().map(|(at, _)| at).chain([folded.len()]).collect();
            for _ in 0..8 {
                let start = seeded.below(places.len());
                let end = (start + 1 + seeded.below(12)).min(places.len() - 1).max(start);
                let needle = &folded[places[start]..places[end]];
                assert!(contains_text(&mail.octets, &view, needle, Scope::Text), "{needle:?} in {folded:?}");
                assert!(TextNeedle::new(needle).might_be_in(&view), "{needle:?}");
                found += 1;
            }
        }
        // Strings of other mails: found or not, the filter must not contradict.
        for needle in ["KLEINE", "\u{6771}\u{4eac}", "\u{41c}\u{418}\u{420}", "SUBJECT: A", "=?", "QUOTED"] {
            if contains_text(&mail.octets, &view, needle, Scope::Text) {
                assert!(TextNeedle::new(needle).might_be_in(&view), "{needle:?}");
            }
        }
    }
    assert!(found > 5_000, "{found}");
}

#[test]
fn what_a_search_finds_in_broken_mail_the_filter_lets_pass() {
    let mut seeded = Seeded(0xbad);
    for _ in 0..2_000 {
        let message = broken_message(&mut seeded);
        let encoded = summary(&message).encode();
        let view = SummaryView::new(&encoded).unwrap();
        for needle in
            ["TEXT", "BOUNDARY=A", "A@B", "--A", "\u{fffd}", "CONTENT-TYPE: TEXT", "\r\n", ": ;,@", "KOI8"]
        {
            let needle_ready = TextNeedle::new(needle);
            for scope in [Scope::Text, Scope::Body] {
                if contains_text(&message, &view, needle, scope) {
                    assert!(needle_ready.might_be_in(&view), "{needle:?} in {}", text(&message));
                }
            }
        }
    }
}

#[test]
fn search_windows_of_any_length_give_the_same_answer() {
    let mut seeded = Seeded(0x11);
    for _ in 0..200 {
        let mail = mail(&mut seeded);
        let encoded = summary(&mail.octets).encode();
        let view = SummaryView::new(&encoded).unwrap();
        for text in mail.texts.iter().chain([&"no such text".to_owned()]) {
            let folded = super::fold(text);
            let needle = TextNeedle::new(&folded);
            let mut search = TextSearch::new(&view, Scope::Text);
            let mut steps = 0;
            while let Some(window) = search.wants() {
                steps += 1;
                assert!(steps < 100, "a search must end");
                search.step(&mail.octets[window.start as usize..window.end as usize], &needle);
            }
            assert_eq!(search.answer(), Some(contains_text(&mail.octets, &view, &folded, Scope::Text)));
        }
    }
}

#[test]
fn decoded_sizes_are_what_decoding_gives() {
    let mut seeded = Seeded(0x51e);
    let mut known = 0;
    for round in 0..600 {
        let message = if round % 2 == 0 { broken_message(&mut seeded) } else { mail(&mut seeded).octets };
        for part in summary(&message).parts {
            let Some(size) = part.decoded_size else { continue };
            let mut decoded = Vec::new();
            let mut decoder = super::decode::Decoder::new(part.encoding);
            decoder.push(&message[part.body_start as usize..part.body_end as usize], &mut decoded);
            decoder.finish(&mut decoded);
            assert_eq!(decoded.len(), size as usize, "{:?} in {}", part, text(&message));
            known += usize::from(part.encoding == TransferEncoding::Base64);
        }
    }
    assert!(known > 100, "{known}");
}
