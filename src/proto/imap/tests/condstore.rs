//! CONDSTORE (rfc7162#3.1).

use super::lab::Lab;

/// The mod-sequence behind `MODSEQ (` or `HIGHESTMODSEQ ` in a reply.
fn modseq(told: &str) -> u64 {
    let at = told.find("MODSEQ ").expect("a mod-sequence") + "MODSEQ ".len();
    let digits: String =
        told[at..].trim_start_matches('(').chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn enabling_commands_enable_and_the_first_one_shows_the_highest() {
    for command in [
        "ENABLE CONDSTORE",
        "STATUS INBOX (HIGHESTMODSEQ)",
        "FETCH 1 (MODSEQ)",
        "FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 100000) +FLAGS (\\Seen)",
        "SEARCH MODSEQ 1",
    ] {
        let mut lab = Lab::with_messages(2);
        let told = lab.say(0, &format!("a {command}"));
        assert!(told.contains("* OK [HIGHESTMODSEQ "), "{command}: {told}");
        let again = lab.say(0, &format!("b {command}"));
        assert!(!again.contains("* OK [HIGHESTMODSEQ "), "{command}: {again}");
        let stored = lab.say(0, "c STORE 2 +FLAGS (\\Flagged)");
        assert!(stored.starts_with("* 2 FETCH (UID 2 MODSEQ (") && stored.contains(" FLAGS ("), "{stored}");
    }
    let mut lab = Lab::with_messages(2);
    let other = lab.login();
    assert!(lab.say(other, "s SELECT INBOX (CONDSTORE)").contains("* OK [HIGHESTMODSEQ "));
    lab.say(0, "a STORE 1 +FLAGS.SILENT (\\Seen)");
    let told = lab.say(other, "n NOOP");
    assert!(told.starts_with("* 1 FETCH (FLAGS (\\Seen) UID 1 MODSEQ ("), "{told}");
}

#[test]
fn changed_since_shows_only_what_changed() {
    let mut lab = Lab::with_messages(4);
    let before = modseq(&lab.say(0, "a STATUS INBOX (HIGHESTMODSEQ)"));
    lab.say(0, "b STORE 2,4 +FLAGS.SILENT (\\Seen)");
    let told = lab.say(0, &format!("c UID FETCH 1:3 (FLAGS) (CHANGEDSINCE {before})"));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].starts_with("* 2 FETCH (UID 2 FLAGS (\\Recent \\Seen) MODSEQ ("), "{told}");
    assert!(modseq(lines[0]) > before);
}

#[test]
fn unchanged_since_spares_and_names_what_changed_meanwhile() {
    let mut lab = Lab::with_messages(3);
    let before = modseq(&lab.say(0, "a STATUS INBOX (HIGHESTMODSEQ)"));
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.say(other, "o STORE 2 +FLAGS (\\Seen)");
    let told = lab.say(0, &format!("b STORE 1:3 (UNCHANGEDSINCE {before}) +FLAGS.SILENT (\\Deleted)"));
    assert!(told.contains("* 2 FETCH (FLAGS (\\Recent \\Seen) UID 2 MODSEQ ("), "shows why: {told}");
    assert!(
        told.contains("* 1 FETCH (UID 1 MODSEQ (") && told.contains("* 3 FETCH (UID 3 MODSEQ ("),
        "{told}"
    );
    assert!(told.ends_with("b OK [MODIFIED 2] Conditional STORE failed for some\r\n"), "{told}");
    let told = lab.say(0, &format!("c UID STORE 1:3 (UNCHANGEDSINCE {before}) FLAGS ()"));
    assert!(told.ends_with("c OK [MODIFIED 1:3] Conditional STORE failed for some\r\n"), "{told}");
    let told = lab.say(0, "d STORE 1 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Seen)");
    assert!(told.ends_with("d OK [MODIFIED 1] Conditional STORE failed for some\r\n"), "{told}");
}

#[test]
fn expunged_and_modified_together() {
    // rfc7162#3.1.3, example 11
    let mut lab = Lab::with_messages(4);
    let before = modseq(&lab.say(0, "a STATUS INBOX (HIGHESTMODSEQ)"));
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.say(other, "o STORE 2 +FLAGS (\\Seen)");
    lab.say(other, "o STORE 3:4 +FLAGS (\\Deleted)");
    lab.say(other, "o EXPUNGE");
    let told = lab.say(0, &format!("b STORE 1:4 (UNCHANGEDSINCE {before}) +FLAGS (\\Flagged)"));
    assert!(told.ends_with("b NO [MODIFIED 2] Some of the messages no longer exist\r\n"), "{told}");
    assert!(lab.say(0, "n NOOP").starts_with("* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n"));
}

#[test]
fn search_by_mod_sequence_adds_the_highest_found() {
    let mut lab = Lab::with_messages(3);
    let before = modseq(&lab.say(0, "a STATUS INBOX (HIGHESTMODSEQ)"));
    lab.say(0, "b STORE 3 +FLAGS.SILENT (\\Seen)");
    let told = lab.say(0, &format!("c SEARCH MODSEQ {}", before + 1));
    let line = told.lines().next().expect("a line");
    assert!(line.starts_with("* SEARCH 3 (MODSEQ "), "{told}");
    let highest = modseq(line);
    let told = lab.say(0, &format!("d SEARCH RETURN (ALL) MODSEQ {}", before + 1));
    assert!(told.starts_with(&format!("* ESEARCH (TAG \"d\") ALL 3 MODSEQ {highest}\r\n")), "{told}");
    assert_eq!(lab.say(0, "e SEARCH MODSEQ 1000000"), "* SEARCH\r\ne OK SEARCH completed\r\n");
}

#[test]
fn setting_what_is_set_changes_no_mod_sequence() {
    let mut lab = Lab::with_messages(1);
    lab.say(0, "a STORE 1 +FLAGS (\\Seen)");
    let before = modseq(&lab.say(0, "b STATUS INBOX (HIGHESTMODSEQ)"));
    lab.say(0, "c STORE 1 +FLAGS (\\Seen)");
    assert_eq!(modseq(&lab.say(0, "d STATUS INBOX (HIGHESTMODSEQ)")), before, "rfc7162#3.1.11");
}
