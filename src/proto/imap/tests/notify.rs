//! NOTIFY by cursor: what a watching client costs, whatever happens and however much is watched (rfc5465).

use ringpost_engine::change::{Change, UniqueIdForm};
use ringpost_engine::ids::MailboxId;
use ringpost_engine::limits::{ACCOUNT_EVENTS_MAX, MAILBOXES_PER_ACCOUNT_MAX};

use super::lab::Lab;
use crate::proto::Session;

const ALL: &str = "n NOTIFY SET (personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
                   MailboxMetadataChange ServerMetadataChange))";

/// With a client that watches everything and has nothing selected; its number.
fn watching() -> (Lab, usize) {
    let mut lab = Lab::new();
    let who = lab.login();
    assert_eq!(lab.say(who, ALL), "n OK NOTIFY completed\r\n");
    (lab, who)
}

/// The client does not read any more; there is room for so many octets.
fn stop_reading(lab: &mut Lab, who: usize, room: usize) {
    lab.room = room;
    assert_eq!(lab.say(who, "r NOOP"), "r OK NOOP completed\r\n");
    lab.stalled = Some(who);
}

/// The client reads again: what it is told.
fn read_on(lab: &mut Lab, who: usize) -> String {
    lab.stalled = None;
    let room = lab.room;
    lab.call(who, |session, _, cx| session.resume(room, cx));
    lab.take(who)
}

fn create(lab: &mut Lab, name: String) {
    lab.change(Change::MailboxCreate { name, special_use: None });
}

#[test]
fn a_burst_of_deliveries_is_told_in_bounded_space_to_a_client_that_does_not_read() {
    let (mut lab, who) = watching();
    stop_reading(&mut lab, who, 1_000);
    for _ in 0..10_000 {
        lab.deliver("Subject: burst\r\n\r\n");
    }
    let queued = lab.take(who);
    assert!(queued.len() < 1_000 + 100, "the room and one reply: {} octets", queued.len());
    let told = read_on(&mut lab, who);
    assert_eq!(told.lines().count(), 1, "the rest is one line: {told}");
    assert!(told.starts_with("* STATUS INBOX (MESSAGES 10000 UIDNEXT 10001 "), "{told}");
    assert_eq!(lab.say(who, "o NOOP"), "o OK NOOP completed\r\n", "nothing is repeated");
}

#[test]
fn twenty_thousand_mailboxes_are_watched_with_the_memory_of_one() {
    let (mut lab, who) = watching();
    // A session shown for debugging names all that it holds.
    let held = |lab: &Lab| format!("{:?}", lab.clients[who].session).len();
    create(&mut lab, "F".to_owned());
    lab.take(who);
    let before = held(&lab);
    let most = MAILBOXES_PER_ACCOUNT_MAX - 3;
    for index in 0..most {
        create(&mut lab, format!("F/{index}"));
    }
    assert_eq!(lab.take(who).lines().filter(|line| line.contains("/\" F/")).count(), most);
    let after = held(&lab);
    // Numbers of the cursor have more digits now.
    assert!(after < before + 100, "{before} and {after} octets");
    lab.clients[who].asked.clear();
    lab.deliver("Subject: one\r\n\r\n");
    let told = lab.take(who);
    assert!(told.starts_with("* STATUS INBOX (MESSAGES 1 ") && told.lines().count() == 1, "{told}");
    assert!(lab.clients[who].asked.is_empty(), "one push looks at no other mailbox, so it never yields");
}

#[test]
fn more_events_than_are_remembered_end_the_watch_and_that_is_said() {
    let (mut lab, who) = watching();
    stop_reading(&mut lab, who, 60);
    for index in 0..ACCOUNT_EVENTS_MAX + 100 {
        create(&mut lab, format!("F{index}"));
    }
    lab.take(who);
    let told = read_on(&mut lab, who);
    assert_eq!(told.matches("[NOTIFICATIONOVERFLOW]").count(), 1, "{told}");
    // rfc5465#5.8: as after NOTIFY NONE.
    create(&mut lab, "later".to_owned());
    lab.deliver("Subject: later\r\n\r\n");
    assert_eq!(lab.take(who), "");
    assert_eq!(lab.say(who, ALL), "n OK NOTIFY completed\r\n");
    create(&mut lab, "again".to_owned());
    assert!(lab.take(who).starts_with("* LIST (\\HasNoChildren) \"/\" again\r\n"));
}

#[test]
fn annotations_are_told_by_name_and_only_to_those_who_asked() {
    let (mut lab, who) = watching();
    let (other, deaf) = (lab.login(), lab.login());
    lab.say(deaf, "n NOTIFY SET (personal (MailboxName))");
    lab.say(other, "a SETMETADATA INBOX (/private/comment \"mine\")");
    assert_eq!(lab.take(who), "* METADATA INBOX /private/comment\r\n");
    lab.say(other, "b SETMETADATA \"\" (/private/comment \"server\")");
    assert_eq!(lab.take(who), "* METADATA \"\" /private/comment\r\n");
    lab.say(other, "c SETMETADATA INBOX (/private/comment NIL)");
    assert_eq!(lab.take(who), "* METADATA INBOX /private/comment\r\n");
    assert_eq!(lab.take(deaf), "");
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let (mut lab, who) = watching();
    for event in ["AnnotationChange", "AccessRights", "ACLChange"] {
        let told = lab.say(who, &format!("a NOTIFY SET (personal (MailboxName {event}))"));
        assert!(
            told.starts_with("a NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName "),
            "{told}"
        );
    }
    // rfc5465#3.1: a refused NOTIFY changes nothing.
    lab.deliver("Subject: one\r\n\r\n");
    assert!(lab.take(who).starts_with("* STATUS INBOX (MESSAGES 1 "));
}

#[test]
fn unauthenticate_ends_the_watch_the_selection_and_what_was_saved() {
    let (mut lab, who) = watching();
    lab.deliver("Subject: one\r\n\r\n");
    lab.say(who, "a SELECT INBOX");
    lab.say(who, "b UID SEARCH RETURN (SAVE) ALL");
    assert!(lab.say(who, "c UID FETCH $ UID").starts_with("* 1 FETCH (UID 1)\r\n"));
    assert_eq!(lab.say(who, "d UNAUTHENTICATE"), "d OK UNAUTHENTICATE completed\r\n");
    lab.deliver("Subject: two\r\n\r\n");
    assert_eq!(lab.take(who), "", "nobody is logged in");
    assert!(lab.say(who, "e LOGIN a@x secret").starts_with("e OK"));
    lab.deliver("Subject: three\r\n\r\n");
    create(&mut lab, "New".to_owned());
    assert_eq!(lab.take(who), "", "nothing is watched");
    assert!(lab.say(who, "f UID FETCH 1 UID").starts_with("f BAD "), "nothing is selected");
    lab.say(who, "g SELECT INBOX");
    assert_eq!(lab.say(who, "h UID FETCH $ UID"), "h OK UID FETCH completed\r\n", "nothing is saved");
}

#[test]
fn a_mailbox_that_gets_a_new_uid_validity_with_its_name_is_told_of() {
    let (mut lab, who) = watching();
    for nth in 0..2 {
        create(&mut lab, format!("m{nth}"));
        let said = lab.say(who, &format!("s STATUS m{nth} (MAILBOXID)"));
        let id = said.split_once("MAILBOXID (").and_then(|(_, rest)| rest.split_once(')')).expect("an id").0;
        let mailbox = MailboxId(id.rsplit_once('-').and_then(|(_, id)| id.parse().ok()).expect("a number"));
        lab.change(Change::MailboxAdopt { mailbox, uid_validity: 7, unique_ids: UniqueIdForm::Own });
    }
    lab.say(who, "a APPEND m0 {3+}\r\nabc");
    assert!(lab.say(who, "s STATUS m1 (UIDVALIDITY)").contains("* STATUS m1 (UIDVALIDITY 7)"));
    lab.say(who, "d DELETE m0");
    let said = lab.say(who, "r RENAME m1 m0");
    let told = said.strip_prefix("r OK RENAME completed\r\n* STATUS m0 (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ");
    let given = told.and_then(|told| told.split_once(' ')).and_then(|(given, _)| given.parse::<u32>().ok());
    assert!(given.is_some_and(|given| given > 7), "rfc5465#5.1: {said}");
}
