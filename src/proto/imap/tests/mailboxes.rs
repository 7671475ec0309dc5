//! Names: CREATE, DELETE, RENAME, SUBSCRIBE, LIST, LSUB.

use ringpost_engine::change::Change;

use super::lab::Lab;
use crate::limits::{IMAP_LIST_NAME_COST, IMAP_LIST_STEP_COST_MAX, OUTPUT_BYTES_MAX};

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.login();
    lab
}

fn ok(lab: &mut Lab, command: &str) {
    let told = lab.say(0, &format!("x {command}"));
    assert!(told.starts_with("x OK "), "{command}: {told}");
}

/// The untagged lines.
fn lines(lab: &mut Lab, command: &str) -> Vec<String> {
    let told = lab.say(0, &format!("x {command}"));
    assert!(told.contains("x OK "), "{command}: {told}");
    told.lines().filter(|line| line.starts_with("* ")).map(str::to_owned).collect()
}

#[test]
fn names_come_go_and_move_with_what_is_below() {
    let mut lab = lab();
    ok(&mut lab, "CREATE a/b/c");
    assert_eq!(lab.say(0, "a CREATE a/b"), "a NO [ALREADYEXISTS] That mailbox is there already\r\n");
    assert_eq!(lab.say(0, "a CREATE inbox"), "a NO [ALREADYEXISTS] That mailbox is there already\r\n");
    assert!(lab.say(0, "a CREATE a//b").starts_with("a NO [CANNOT] "));
    ok(&mut lab, "RENAME a z/y");
    assert_eq!(
        lines(&mut lab, "LIST \"\" *"),
        [
            "* LIST (\\HasNoChildren) \"/\" INBOX",
            "* LIST (\\HasNoChildren \\Sent) \"/\" Sent",
            "* LIST (\\HasChildren) \"/\" z",
            "* LIST (\\HasChildren) \"/\" z/y",
            "* LIST (\\HasChildren) \"/\" z/y/b",
            "* LIST (\\HasNoChildren) \"/\" z/y/b/c",
        ]
    );
    assert_eq!(lab.say(0, "a RENAME none x"), "a NO [NONEXISTENT] No such mailbox\r\n");
    assert_eq!(lab.say(0, "a RENAME Sent z"), "a NO [ALREADYEXISTS] That name is taken\r\n");
    assert_eq!(lab.say(0, "a DELETE INBOX"), "a NO [CANNOT] INBOX stays\r\n");
    assert_eq!(lab.say(0, "a DELETE none"), "a NO [NONEXISTENT] No such mailbox\r\n");
    ok(&mut lab, "DELETE z/y");
    assert_eq!(lines(&mut lab, "LIST z/ %"), ["* LIST (\\Noselect \\HasChildren) \"/\" z/y"]);
    assert_eq!(lab.say(0, "a DELETE z/y"), "a NO [CANNOT] That name only holds others\r\n");
    assert_eq!(lab.say(0, "a SELECT z/y"), "a NO [CANNOT] That name only holds others\r\n");
    ok(&mut lab, "CREATE z/y");
    ok(&mut lab, "CREATE box/");
    assert_eq!(lines(&mut lab, "LIST \"\" b%"), ["* LIST (\\HasNoChildren) \"/\" box"]);
}

#[test]
fn renaming_inbox_leaves_it_empty() {
    let mut lab = Lab::with_messages(2);
    let told = lab.say(0, "a RENAME INBOX Old");
    assert_eq!(told, "* 1 EXPUNGE\r\n* 1 EXPUNGE\r\na OK RENAME completed\r\n");
    assert!(lab.say(0, "b STATUS Old (MESSAGES)").starts_with("* STATUS Old (MESSAGES 2)"));
    assert!(lab.say(0, "c STATUS INBOX (MESSAGES)").starts_with("* STATUS INBOX (MESSAGES 0)"));
}

#[test]
fn list_asks_for_the_separator_and_spells_names_for_the_wire() {
    let mut lab = lab();
    assert_eq!(lines(&mut lab, "LIST \"\" \"\""), ["* LIST (\\Noselect) \"/\" \"\""]);
    ok(&mut lab, "CREATE \"Entw&APw-rfe und mehr\"");
    assert_eq!(
        lines(&mut lab, "LIST \"\" Entw*"),
        ["* LIST (\\HasNoChildren) \"/\" \"Entw&APw-rfe und mehr\""]
    );
    assert!(lines(&mut lab, "LIST \"\" nothing").is_empty());
}

#[test]
fn special_uses_are_given_once() {
    let mut lab = lab();
    ok(&mut lab, "CREATE Spam (USE (\\Junk))");
    assert!(lab.say(0, "a CREATE Spam2 (USE (\\Junk))").starts_with("a NO [USEATTR] "));
    assert!(lab.say(0, "a CREATE Spam3 (USE (\\All))").starts_with("a NO [USEATTR] "));
    assert_eq!(
        lines(&mut lab, "LIST (SPECIAL-USE) \"\" *"),
        ["* LIST (\\HasNoChildren \\Sent) \"/\" Sent", "* LIST (\\HasNoChildren \\Junk) \"/\" Spam"]
    );
    let plain = lines(&mut lab, "LIST \"\" % RETURN (CHILDREN)");
    assert!(plain.contains(&"* LIST (\\HasNoChildren) \"/\" Spam".to_owned()), "{plain:?}");
    let asked = lines(&mut lab, "LIST \"\" % RETURN (SPECIAL-USE)");
    assert!(asked.contains(&"* LIST (\\HasNoChildren \\Junk) \"/\" Spam".to_owned()), "{asked:?}");
}

#[test]
fn subscriptions_are_names_of_their_own() {
    let mut lab = lab();
    for name in ["INBOX", "Sent"] {
        ok(&mut lab, &format!("UNSUBSCRIBE {name}"));
    }
    ok(&mut lab, "CREATE foo/bar");
    ok(&mut lab, "SUBSCRIBE foo/bar");
    ok(&mut lab, "SUBSCRIBE gone/x");
    // rfc3501#6.3.9
    assert_eq!(lines(&mut lab, "LSUB \"\" *"), ["* LSUB () \"/\" foo/bar", "* LSUB () \"/\" gone/x"]);
    assert_eq!(
        lines(&mut lab, "LSUB \"\" %"),
        ["* LSUB (\\Noselect) \"/\" foo", "* LSUB (\\Noselect) \"/\" gone"]
    );
    // rfc5258#5
    assert_eq!(
        lines(&mut lab, "LIST (SUBSCRIBED) \"\" *"),
        [
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" foo/bar",
            "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" gone/x"
        ]
    );
    assert_eq!(
        lines(&mut lab, "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %"),
        [
            "* LIST (\\HasChildren) \"/\" foo (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "* LIST (\\NonExistent \\HasNoChildren) \"/\" gone (\"CHILDINFO\" (\"SUBSCRIBED\"))"
        ]
    );
    let all = lines(&mut lab, "LIST \"\" (foo/% Sent) RETURN (SUBSCRIBED)");
    assert_eq!(
        all,
        ["* LIST (\\HasNoChildren) \"/\" Sent", "* LIST (\\HasNoChildren \\Subscribed) \"/\" foo/bar"]
    );
    ok(&mut lab, "UNSUBSCRIBE gone/x");
    ok(&mut lab, "UNSUBSCRIBE gone/x");
    assert_eq!(lines(&mut lab, "LSUB \"\" *").len(), 1);
}

#[test]
fn long_lists_come_in_pieces_that_make_the_same_whole() {
    let mut lab = lab();
    for index in 0..600 {
        ok(&mut lab, &format!("CREATE n{index}/x"));
        ok(&mut lab, &format!("SUBSCRIBE n{index}/x"));
    }
    for command in ["a LIST \"\" *", "a LSUB \"\" %", "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %"] {
        let whole = lab.say(0, command);
        assert!(whole.lines().count() > 600, "{command}");
        lab.room = 50;
        assert_eq!(lab.say(0, command), whole, "{command}");
        lab.room = crate::limits::OUTPUT_BYTES_MAX;
    }
}

#[test]
fn ten_thousand_names_with_their_figures_come_in_bounded_pieces() {
    let mut lab = lab();
    let names = 10_000;
    for index in 0..names {
        lab.change(Change::MailboxCreate { name: format!("f{index:05}"), special_use: None });
    }
    let told = lab.say(0, "a LIST \"\" f* RETURN (STATUS (MESSAGES UIDNEXT SIZE) MYRIGHTS)");
    assert_eq!(told.lines().count(), names * 3 + 1);
    assert!(told.ends_with("a OK LIST completed\r\n"));
    // A name's replies may exceed the allowance, two names' never do.
    let client = &lab.clients[0];
    assert!(client.longest < OUTPUT_BYTES_MAX + 1_000, "{}", client.longest);
    let turns = client.asked.iter().filter(|&&asked| asked == "yield").count();
    assert!(turns >= names * IMAP_LIST_NAME_COST / IMAP_LIST_STEP_COST_MAX, "others had {turns} turns");
}
