//! The connection's own rules: login, TLS, mistakes, time-outs, drain.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringpost_engine::change::Change;
use ringpost_engine::limits::ADDRESS_BYTES_MAX;

use super::lab::Lab;
use crate::limits::{
    BAD_COMMANDS_AFTER_LOGIN_MAX, BAD_COMMANDS_BEFORE_LOGIN_MAX, IMAP_LINE_BEFORE_LOGIN_BYTES_MAX,
    IMAP_PROGRESS_AFTER_MS, LOGIN_FAILURES_MAX, PASSWORD_BYTES_MAX,
};
use crate::proto::{Patience, Session};

#[test]
fn passwords_need_tls_and_starttls_gives_it() {
    let mut lab = Lab::new();
    lab.server.plaintext_login = false;
    let greeting = lab.connect(false);
    assert!(greeting.contains(" STARTTLS LOGINDISABLED ") && !greeting.contains("AUTH="), "{greeting}");
    let refused = "[PRIVACYREQUIRED] Start TLS first\r\n";
    assert_eq!(lab.say(0, "a LOGIN a@x secret"), format!("a NO {refused}"));
    assert_eq!(lab.say(0, "b AUTHENTICATE PLAIN"), format!("b NO {refused}"));
    assert_eq!(lab.say(0, "c STARTTLS"), "c OK Begin TLS negotiation now\r\n");
    let capabilities = lab.say(0, "d CAPABILITY");
    assert!(capabilities.contains(" AUTH=PLAIN ") && !capabilities.contains("STARTTLS"), "{capabilities}");
    assert_eq!(lab.say(0, "e STARTTLS"), "e BAD TLS is on already\r\n");
    assert!(lab.say(0, "f LOGIN a@x secret").starts_with("f OK [CAPABILITY "));
    assert_eq!(lab.clients[0].session.account(), Some(lab.account));
}

#[test]
fn what_is_pipelined_behind_starttls_ends_the_connection() {
    let mut lab = Lab::new();
    lab.connect(false);
    let told = lab.send(0, b"a STARTTLS\r\nb LOGIN a@x secret\r\n");
    assert_eq!(told, "* BYE Start over\r\na BAD Nothing may follow STARTTLS before the handshake\r\n");
    assert!(lab.clients[0].closed);
}

#[test]
fn what_is_pipelined_behind_compress_leaves_it_off() {
    let mut lab = Lab::new();
    lab.connect(true);
    lab.say(0, "a LOGIN a@x secret");
    let told = lab.send(0, b"b COMPRESS DEFLATE\r\nc NOOP\r\n");
    let expected = "b BAD Nothing may follow COMPRESS before its result\r\nc OK NOOP completed\r\n";
    assert_eq!((told.as_str(), &lab.clients[0].asked[..]), (expected, &[][..]));
    assert_eq!(lab.say(0, "d COMPRESS DEFLATE"), "d OK DEFLATE active\r\n");
    assert_eq!(lab.clients[0].asked, ["deflate"]);
}

#[test]
fn sasl_exchanges_with_and_without_an_initial_response() {
    let mut lab = Lab::new();
    for lines in [
        vec!["a AUTHENTICATE PLAIN AGFAeABzZWNyZXQ="],
        vec!["a AUTHENTICATE PLAIN", "AGFAeABzZWNyZXQ="],
        vec!["a AUTHENTICATE LOGIN", "YUB4", "c2VjcmV0"],
        vec!["a AUTHENTICATE LOGIN YUB4", "c2VjcmV0"],
    ] {
        lab.connect(true);
        let who = lab.clients.len() - 1;
        let (last, first) = lines.split_last().expect("a line");
        for line in first {
            let challenge = lab.say(who, line);
            assert!(challenge.starts_with("+ "), "{challenge}");
        }
        let told = lab.say(who, last);
        assert!(told.starts_with("a OK [CAPABILITY "), "{lines:?}: {told}");
    }
    lab.connect(true);
    let who = lab.clients.len() - 1;
    lab.say(who, "a AUTHENTICATE PLAIN");
    assert_eq!(lab.say(who, "*"), "a BAD Cancelled\r\n");
    lab.say(who, "a AUTHENTICATE PLAIN");
    assert_eq!(lab.say(who, "%%%"), "a BAD That is not base64\r\n");
    assert_eq!(lab.say(who, "a AUTHENTICATE GSSAPI"), "a NO [CANNOT] That mechanism is not known\r\n");
    assert_eq!(lab.say(who, "n NOOP"), "n OK NOOP completed\r\n");
}

#[test]
fn failed_logins_look_the_same_and_are_counted() {
    let mut lab = Lab::new();
    lab.connect(true);
    assert_eq!(
        lab.say(0, "z LOGIN a@x busy"),
        "z NO [UNAVAILABLE] Too many logins at the moment, try again\r\n"
    );
    let failed = "a NO [AUTHENTICATIONFAILED] Authentication failed\r\n";
    let logins = ["a LOGIN a@x wrong", "a LOGIN nobody@x secret", "a LOGIN \"\" \"\""];
    for attempt in 1..LOGIN_FAILURES_MAX {
        assert_eq!(lab.say(0, logins[attempt as usize % 3]), failed);
    }
    let last = lab.say(0, logins[0]);
    assert_eq!(last, format!("{failed}* BYE Too many failed logins\r\n"));
    assert!(lab.clients[0].closed);
}

#[test]
fn bad_commands_are_answered_until_there_are_too_many() {
    let mut lab = Lab::new();
    lab.connect(true);
    for _ in 1..BAD_COMMANDS_BEFORE_LOGIN_MAX {
        let told = lab.send(0, b"a \xff\x00\x80\r\n");
        assert!(told.starts_with("a BAD ") && !lab.clients[0].closed, "{told}");
    }
    assert!(lab.say(0, "").ends_with("* BYE Too many bad commands\r\n"));
    let who = lab.login();
    for _ in 1..BAD_COMMANDS_AFTER_LOGIN_MAX {
        lab.say(who, "a WHAT");
    }
    assert_eq!(lab.say(who, "b NOOP"), "b OK NOOP completed\r\n", "a good one makes up for bad ones");
    for _ in 1..BAD_COMMANDS_AFTER_LOGIN_MAX {
        lab.say(who, "a WHAT");
    }
    assert!(!lab.clients[who].closed);
    lab.say(who, "a WHAT");
    assert!(lab.clients[who].closed);
}

#[test]
fn silence_and_drain_end_with_a_word() {
    let mut lab = Lab::new();
    lab.connect(true);
    assert_eq!(lab.patience(0), Patience::Ms(lab.server.login_timeout_ms));
    let who = lab.login();
    assert_eq!(lab.patience(who), Patience::Ms(lab.server.imap_idle_timeout_ms));
    lab.say(who, "i IDLE");
    assert_eq!(lab.patience(who), Patience::Ms(lab.server.imap_idle_timeout_ms));
    lab.call(who, |session, _, cx| session.on_timeout(cx));
    assert_eq!(lab.take(who), "* BYE Autologout, idle for too long\r\n");
    let idle = lab.login();
    lab.say(idle, "i IDLE");
    lab.call(idle, |session, _, cx| session.on_drain(cx));
    assert_eq!(lab.take(idle), "* BYE Server is stopping\r\n");
    let busy = lab.login();
    lab.disk_held = true;
    lab.say(busy, "c CREATE Box");
    assert_eq!(lab.patience(busy), Patience::Waiting);
    lab.call(busy, |session, _, cx| session.on_drain(cx));
    assert_eq!(lab.take(busy), "", "a command under way is finished first");
    lab.disk_held = false;
    lab.settle();
    assert_eq!(lab.take(busy), "c OK [MAILBOXID (F1-3)] CREATE completed\r\n* BYE Server is stopping\r\n");
}

#[test]
fn small_commands_answer_what_the_rfcs_say() {
    let mut lab = Lab::with_messages(1);
    assert!(lab.say(0, "a ID NIL").starts_with("* ID (\"name\" \"ringpost\" "));
    assert_eq!(
        lab.say(0, "b NAMESPACE"),
        "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) NIL\r\nb OK NAMESPACE completed\r\n"
    );
    assert_eq!(lab.say(0, "c CHECK"), "c OK CHECK completed\r\n");
    assert_eq!(lab.say(0, "d ENABLE X-NONE"), "* ENABLED\r\nd OK ENABLE completed\r\n");
    let status = lab.say(0, "e STATUS INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)");
    assert!(status.starts_with("* STATUS INBOX (MESSAGES 1 RECENT 0 UIDNEXT 2 UIDVALIDITY "), "{status}");
    assert!(status.contains(" UNSEEN 1)\r\n"), "{status}");
    assert_eq!(lab.say(0, "f STATUS Nowhere (MESSAGES)"), "f NO [NONEXISTENT] No such mailbox\r\n");
    assert_eq!(lab.say(0, "g IDLE"), "+ idling\r\n");
    assert_eq!(lab.say(0, "h NOOP"), "g BAD DONE was expected\r\n");
}

#[test]
fn a_failed_select_leaves_nothing_selected() {
    const CLOSED: &str = "* OK [CLOSED] Previous mailbox closed\r\n";
    let mut lab = Lab::with_messages(1);
    assert_eq!(lab.say(0, "a SELECT Nowhere"), CLOSED.to_owned() + "a NO [NONEXISTENT] No such mailbox\r\n");
    assert_eq!(lab.say(0, "b FETCH 1 FLAGS"), "b BAD Not allowed in this state\r\n");
}

#[test]
fn append_refuses_before_it_receives_and_says_where_it_stored() {
    let mut lab = Lab::with_messages(1);
    let too_big = lab.say(0, "a APPEND INBOX {100001}");
    assert_eq!(too_big, "a NO [TOOBIG] The message is larger than APPENDLIMIT\r\n");
    assert_eq!(lab.say(0, "b APPEND Nowhere {5}"), "b NO [TRYCREATE] No such mailbox\r\n");
    assert_eq!(lab.send(0, b"c APPEND Nowhere {5+}\r\nabcde\r\n"), "c NO [TRYCREATE] No such mailbox\r\n");
    lab.crowded = true;
    assert!(lab.say(0, "d APPEND INBOX {5}").starts_with("d NO [LIMIT] "));
    lab.crowded = false;
    assert_eq!(lab.say(0, "e APPEND INBOX (\\Seen $Tag) \"17-Jul-1996 02:44:25 -0700\" {17}"), "+ Go on\r\n");
    assert_eq!(lab.send(0, b"Subject: "), "");
    assert!(lab.clients[0].session.buffered() >= 9);
    let told = lab.send(0, b"x\r\n\r\n\xfe\xff\n\r\n");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "* 2 EXISTS");
    assert!(told.contains("e OK [APPENDUID ") && told.ends_with(" 2] APPEND completed\r\n"), "{told}");
    assert_eq!(lab.clients[0].session.buffered(), 0);
    let fetched = lab.say(0, "f FETCH 2 (INTERNALDATE FLAGS BODY[])");
    assert_eq!(
        fetched,
        concat!(
            "* 2 FETCH (INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" ",
            "FLAGS (\\Recent \\Seen $Tag) BODY[] {17}\r\n",
            "Subject: x\r\n\r\n??\n)\r\nf OK FETCH completed\r\n"
        ),
        "octets are stored as they came"
    );
    lab.send(0, b"g APPEND INBOX {9}\r\nabc\0");
    assert_eq!(lab.clients[0].session.buffered(), 0, "what is refused is not kept");
    let told = lab.send(0, b"abcde\r\n");
    assert_eq!(told, "g NO [CANNOT] A message with NUL has to come in a literal8\r\n");
    assert_eq!(
        lab.send(0, b"g APPEND INBOX {2+}\r\nhi junk\r\n"),
        "g BAD A message is a literal, CATENATE or UTF8\r\n"
    );
}

#[test]
fn a_command_before_login_has_room_for_the_longest_login_and_leaves_nothing_behind() {
    let mut lab = Lab::new();
    lab.connect(true);
    let (user, password) = ("u".repeat(ADDRESS_BYTES_MAX), "p".repeat(PASSWORD_BYTES_MAX));
    let plain = STANDARD.encode(format!("{user}\0{user}\0{password}"));
    let told = lab.say(0, &format!("a AUTHENTICATE PLAIN {plain}"));
    assert!(told.starts_with("a NO [AUTHENTICATIONFAILED]"), "{told}");
    assert!(lab.say(0, &format!("b LOGIN {user} {password}")).starts_with("b NO [AUTHENTICATIONFAILED]"));
    let told = lab.say(0, &format!("c FOO {}", "x".repeat(IMAP_LINE_BEFORE_LOGIN_BYTES_MAX)));
    assert_eq!(told, "c BAD Command line too long\r\n");
    assert!(lab.say(0, "d LOGIN a@x secret").starts_with("d OK"));
    let told = lab.say(0, &format!("e FOO {}", "x".repeat(IMAP_LINE_BEFORE_LOGIN_BYTES_MAX)));
    assert_eq!(told, "e BAD Unknown command\r\n");
}

#[test]
fn a_command_that_takes_long_says_that_it_is_under_way_between_two_replies() {
    let mut lab = Lab::with_messages(2);
    assert!(!lab.say(0, "e FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]").contains("INPROGRESS"), "no time passes");
    lab.call_ms = 2 * IMAP_PROGRESS_AFTER_MS;
    let told = lab.say(0, "f FETCH 2 BODY[HEADER.FIELDS (SUBJECT)]");
    // rfc9585#4: `\Seen` has been stored by then, no message is written yet.
    assert!(told.starts_with("* OK [INPROGRESS (\"f\" 0 NIL)] Still at it\r\n* 2 FETCH (FLAGS"), "{told}");
    assert!(told.ends_with("\r\nf OK FETCH completed\r\n"), "{told}");
}

#[test]
fn an_account_hides_what_its_clients_break_on() {
    let mut lab = Lab::new();
    let hidden = ["condstore", "UTF8=ACCEPT", "APPENDLIMIT"].map(str::to_owned).to_vec();
    lab.change(Change::AccountHide { capabilities: hidden });
    let greeting = lab.connect(true);
    assert!(greeting.contains("APPENDLIMIT="), "nobody is known yet: {greeting}");
    let told = lab.say(0, "l LOGIN a@x secret");
    assert!(!told.contains("CONDSTORE") && !told.contains("UTF8") && !told.contains("APPENDLIMIT"), "{told}");
    assert!(
        told.contains("MULTIAPPEND") && told.contains("] Logged in\r\n") && !told.contains(" ]"),
        "{told}"
    );
    let told = lab.say(0, "e ENABLE CONDSTORE IMAP4rev2");
    assert_eq!(told, "* ENABLED IMAP4rev2\r\ne OK ENABLE completed\r\n");
    let names = ["condstore", "imap4rev2", "appendlimit", "compress=deflate"];
    assert!(names.iter().all(|name| crate::proto::imap::may_be_hidden(name)));
    assert!(!["IMAP4rev1", "AUTH=PLAIN", "X", ""].iter().any(|name| crate::proto::imap::may_be_hidden(name)));
}

#[test]
fn a_referred_account_is_served_elsewhere_where_that_is_switched_on() {
    let mut lab = Lab::new();
    lab.change(Change::AccountReferral { url: Some("imap://a@two.x/".to_owned()) });
    lab.connect(true);
    assert!(lab.say(0, "a LOGIN a@x secret").ends_with("] Logged in\r\n"), "off unless asked for");
    lab.server.imap.login_referrals = true;
    lab.connect(true);
    // rfc2221#4.1
    assert_eq!(
        lab.say(1, "b LOGIN a@x secret"),
        "b NO [REFERRAL imap://a@two.x/] This account is served elsewhere\r\n"
    );
    // Who does not know the password learns nothing.
    assert_eq!(lab.say(1, "c LOGIN a@x wrong"), "c NO [AUTHENTICATIONFAILED] Authentication failed\r\n");
    assert!(lab.say(1, "d CAPABILITY").contains(" LOGIN-REFERRALS "));
}
