//! Numbers stand still, news come once.

use super::lab::Lab;

#[test]
fn another_session_is_told_of_an_expunge_only_where_its_numbers_may_change() {
    let mut lab = Lab::with_messages(5);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.say(0, "a STORE 2,4 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(lab.say(0, "b EXPUNGE"), "* 2 EXPUNGE\r\n* 3 EXPUNGE\r\nb OK EXPUNGE completed\r\n");
    // By number: nothing moves, and what is gone is said to be.
    let fetched = lab.say(other, "c FETCH 3:5 UID");
    assert_eq!(
        fetched,
        concat!(
            "* 3 FETCH (UID 3)\r\n* 5 FETCH (UID 5)\r\n",
            "c NO [EXPUNGEISSUED] Some of the messages no longer exist\r\n"
        )
    );
    assert_eq!(lab.say(other, "d SEARCH ALL"), "* SEARCH 1 3 5\r\nd OK SEARCH completed\r\n");
    assert_eq!(lab.say(other, "e FETCH 6 UID"), "e BAD No message has that number\r\n");
    // By UID: told at the end.
    let fetched = lab.say(other, "f UID FETCH 5 FLAGS");
    assert_eq!(
        fetched,
        "* 5 FETCH (UID 5 FLAGS ())\r\n* 2 EXPUNGE\r\n* 3 EXPUNGE\r\nf OK UID FETCH completed\r\n"
    );
    assert_eq!(lab.say(other, "g FETCH 3 UID"), "* 3 FETCH (UID 5)\r\ng OK FETCH completed\r\n");
}

#[test]
fn idle_tells_at_once_what_others_do() {
    let mut lab = Lab::with_messages(3);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    assert_eq!(lab.say(other, "i IDLE"), "+ idling\r\n");
    lab.deliver("Subject: new\r\n\r\n");
    assert_eq!(lab.take(other), "* 4 EXISTS\r\n* 1 RECENT\r\n");
    lab.say(0, "a STORE 2 +FLAGS (\\Seen $Work)");
    let told = lab.take(other);
    assert!(told.starts_with("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Work)\r\n"), "{told}");
    assert!(told.ends_with("* 2 FETCH (FLAGS (\\Seen $Work))\r\n"), "{told}");
    lab.say(0, "b STORE 1 +FLAGS (\\Deleted)");
    lab.take(other);
    lab.say(0, "c EXPUNGE");
    assert_eq!(lab.take(other), "* 1 EXPUNGE\r\n");
    assert_eq!(lab.say(other, "DONE"), "i OK IDLE terminated\r\n");
    assert_eq!(lab.say(other, "n NOOP"), "n OK NOOP completed\r\n", "nothing is told twice");
}

#[test]
fn own_silent_stores_are_not_echoed_but_what_others_did_is() {
    let mut lab = Lab::with_messages(3);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    assert_eq!(lab.say(0, "a STORE 1:2 +FLAGS.SILENT (\\Seen)"), "a OK STORE completed\r\n");
    assert_eq!(lab.say(0, "b NOOP"), "b OK NOOP completed\r\n");
    assert_eq!(
        lab.say(other, "c STORE 2:3 +FLAGS.SILENT (\\Flagged)"),
        "* 2 FETCH (FLAGS (\\Seen \\Flagged))\r\n* 1 FETCH (FLAGS (\\Seen))\r\nc OK STORE completed\r\n",
        "3 is as asked, 2 is more than the client can know"
    );
    assert_eq!(
        lab.say(0, "d STORE 2 FLAGS (\\Draft)"),
        concat!(
            "* 2 FETCH (FLAGS (\\Recent \\Draft))\r\n",
            "* 3 FETCH (FLAGS (\\Recent \\Flagged))\r\n",
            "d OK STORE completed\r\n"
        )
    );
}

#[test]
fn a_silent_store_shows_what_another_session_slipped_in() {
    let mut lab = Lab::with_messages(2);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.disk_held = true;
    lab.say(other, "a STORE 1 +FLAGS (\\Flagged)");
    lab.say(0, "b STORE 1:2 +FLAGS.SILENT (\\Seen)");
    lab.disk_held = false;
    lab.settle();
    let told = lab.take(0);
    assert_eq!(told, "* 1 FETCH (FLAGS (\\Recent \\Seen \\Flagged))\r\nb OK STORE completed\r\n");
    let told = lab.take(other) + &lab.say(other, "n NOOP");
    assert_eq!(told.matches("* 1 FETCH (FLAGS (\\Seen \\Flagged))").count(), 1, "{told}");
}

#[test]
fn recent_goes_to_the_first_that_is_told() {
    let mut lab = Lab::with_messages(1);
    let other = lab.login();
    assert!(lab.say(other, "s SELECT INBOX").contains("* 0 RECENT\r\n"));
    lab.deliver("Subject: x\r\n\r\n");
    assert_eq!(lab.say(0, "a NOOP"), "* 2 EXISTS\r\n* 2 RECENT\r\na OK NOOP completed\r\n");
    assert_eq!(lab.say(other, "b NOOP"), "* 2 EXISTS\r\nb OK NOOP completed\r\n");
    assert_eq!(lab.say(0, "c SEARCH RECENT"), "* SEARCH 1 2\r\nc OK SEARCH completed\r\n");
    lab.deliver("Subject: y\r\n\r\n");
    let third = lab.login();
    assert!(lab.say(third, "e EXAMINE INBOX").contains("* 1 RECENT\r\n"));
    assert!(lab.say(third, "f STATUS INBOX (RECENT)").contains("RECENT 1"), "EXAMINE takes nothing");
}

#[test]
fn a_burst_is_one_reply_a_message() {
    let mut lab = Lab::with_messages(2);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    for flag in ["\\Seen", "\\Flagged", "\\Answered"] {
        lab.say(0, &format!("a STORE 1 +FLAGS.SILENT ({flag})"));
    }
    for _ in 0..3 {
        lab.deliver("Subject: x\r\n\r\n");
    }
    let told = lab.say(other, "n NOOP");
    assert_eq!(
        told,
        concat!(
            "* 5 EXISTS\r\n* 3 RECENT\r\n",
            "* 1 FETCH (FLAGS (\\Seen \\Answered \\Flagged))\r\nn OK NOOP completed\r\n"
        )
    );
}

#[test]
fn a_message_that_came_and_went_is_never_mentioned() {
    let mut lab = Lab::with_messages(1);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.deliver("Subject: x\r\n\r\n");
    lab.say(0, "a STORE 2 +FLAGS (\\Deleted)");
    lab.say(0, "a STORE 2 +FLAGS (\\Deleted)");
    assert!(lab.say(0, "b EXPUNGE").starts_with("* 2 EXPUNGE\r\n"));
    assert_eq!(lab.say(other, "n NOOP"), "n OK NOOP completed\r\n");
}

#[test]
fn who_has_a_deleted_mailbox_selected_is_sent_away() {
    let mut lab = Lab::with_messages(1);
    let other = lab.login();
    lab.say(0, "a CREATE Box");
    lab.say(0, "b SELECT Box");
    lab.say(other, "s SELECT Box");
    assert_eq!(lab.say(0, "c DELETE Box"), "c OK DELETE completed\r\n");
    assert_eq!(lab.say(0, "d CLOSE"), "d BAD Not allowed in this state\r\n");
    let told = lab.say(other, "e NOOP");
    assert_eq!(told, "e OK NOOP completed\r\n* BYE The selected mailbox is gone or has changed too much\r\n");
    assert!(lab.clients[other].closed);
}

#[test]
fn copy_and_move_name_both_sets_of_uids() {
    let mut lab = Lab::with_messages(4);
    lab.say(0, "a CREATE Box");
    let copied = lab.say(0, "b COPY 2:3 Box");
    assert!(
        copied.starts_with("b OK [COPYUID ") && copied.ends_with(" 2:3 1:2] COPY completed\r\n"),
        "{copied}"
    );
    let moved = lab.say(0, "c MOVE 1,4 Box");
    let lines: Vec<&str> = moved.lines().collect();
    assert!(lines[0].starts_with("* OK [COPYUID ") && lines[0].ends_with(" 1,4 3:4] Moved"), "{moved}");
    assert_eq!(lines[1..], ["* 1 EXPUNGE", "* 3 EXPUNGE", "c OK MOVE completed"]);
    assert_eq!(lab.say(0, "d COPY 1 Nowhere"), "d NO [TRYCREATE] No such mailbox\r\n");
    assert_eq!(lab.say(0, "e UID COPY 99 Box"), "e OK Nothing to copy\r\n");
    assert_eq!(
        lab.say(0, "f STATUS Box (MESSAGES)"),
        "* STATUS Box (MESSAGES 4)\r\nf OK STATUS completed\r\n"
    );
    let own = lab.say(0, "g COPY 1 INBOX");
    assert!(own.starts_with("* 3 EXISTS\r\n"), "{own}");
}

#[test]
fn uid_expunge_and_close_take_what_they_may() {
    let mut lab = Lab::with_messages(4);
    lab.say(0, "a STORE 1:3 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(
        lab.say(0, "b UID EXPUNGE 2:4"),
        "* 2 EXPUNGE\r\n* 2 EXPUNGE\r\nb OK UID EXPUNGE completed\r\n"
    );
    assert_eq!(lab.say(0, "c UNSELECT"), "c OK UNSELECT completed\r\n");
    lab.say(0, "d EXAMINE INBOX");
    assert_eq!(lab.say(0, "e EXPUNGE"), "e NO [CANNOT] The mailbox was opened read-only\r\n");
    assert_eq!(lab.say(0, "f CLOSE"), "f OK CLOSE completed\r\n");
    assert!(lab.say(0, "g SELECT INBOX").contains("* 2 EXISTS\r\n"), "CLOSE after EXAMINE removes nothing");
    assert_eq!(lab.say(0, "h CLOSE"), "h OK CLOSE completed\r\n");
    assert!(lab.say(0, "i SELECT INBOX").contains("* 1 EXISTS\r\n"));
}

#[test]
fn storing_on_what_is_gone_is_said_unless_silent() {
    let mut lab = Lab::with_messages(3);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.say(0, "a STORE 2 +FLAGS.SILENT (\\Deleted)");
    lab.say(0, "b EXPUNGE");
    assert_eq!(lab.say(other, "c STORE 1:3 +FLAGS.SILENT (\\Seen)"), "c OK STORE completed\r\n");
    let told = lab.say(other, "d STORE 2 +FLAGS (\\Seen)");
    assert_eq!(told, "d NO [EXPUNGEISSUED] Some of the messages no longer exist\r\n");
    let told = lab.say(other, "e COPY 2 Sent");
    assert_eq!(told, "* 2 EXPUNGE\r\ne NO [EXPUNGEISSUED] Those messages no longer exist\r\n");
}

#[test]
fn a_push_to_a_waiting_client_writes_nothing() {
    let mut lab = Lab::with_messages(1);
    lab.say(0, "i IDLE");
    let inbox = |lab: &Lab| lab.store.account(lab.account).expect("there").inbox().recent_from();
    let before = inbox(&lab);
    lab.deliver("Subject: x\r\n\r\n");
    assert_eq!(lab.take(0), "* 2 EXISTS\r\n* 2 RECENT\r\n");
    assert_eq!(inbox(&lab), before);
    lab.say(0, "DONE");
    assert!(inbox(&lab) > before, "taken when the wait is over");
}

#[test]
fn a_long_move_goes_in_chunks_that_no_session_loses_track_of() {
    let mut lab = Lab::with_messages(1);
    for _ in 0..13 {
        lab.say(0, "c COPY 1:* INBOX");
    }
    let other = lab.login();
    assert!(lab.say(other, "s SELECT INBOX").contains("* 8192 EXISTS"));
    // Into the mailbox itself: what arrives is not moved again.
    let told = lab.say(0, "m UID MOVE 1:4294967295 INBOX");
    let (first, rest) = told.split_once("\r\n").expect("lines");
    assert!(first.starts_with("* OK [COPYUID ") && first.ends_with(" 1:4096 8193:12288] Moved"), "{first}");
    assert!(rest.starts_with("* 1 EXPUNGE\r\n"), "its originals go at once");
    assert_eq!(rest.matches(" 4097:8192 12289:16384] Moved").count(), 1);
    assert_eq!(rest.matches("EXPUNGE").count(), 8192);
    assert!(rest.ends_with("m OK MOVE completed\r\n"));
    let told = lab.say(other, "n NOOP");
    assert_eq!(told.matches("EXPUNGE").count(), 8192);
    assert!(told.contains("* 8192 EXISTS"));
}
