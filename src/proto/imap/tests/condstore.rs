//! CONDSTORE (rfc7162#3.1).

use ringpost_engine::change::{Change, UidSet};
use ringpost_engine::ids::Uid;
use ringpost_engine::limits::EXPUNGE_HISTORY_MAX;

use super::lab::Lab;
use crate::limits::{IMAP_LINE_RANGES_MAX, IMAP_SCAN_MESSAGES_MAX};

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

#[test]
fn what_vanished_before_history_begins_is_told_whole_in_bounded_steps() {
    let mut lab = Lab::with_messages(4);
    while lab.store.account(lab.account).expect("there").inbox().len() < 2 * EXPUNGE_HISTORY_MAX + 16_384 {
        lab.say(0, "c COPY 1:* INBOX");
    }
    let since = modseq(&lab.say(0, "a STATUS INBOX (HIGHESTMODSEQ)"));
    lab.say(0, "u UNSELECT");
    let inbox = lab.store.account(lab.account).expect("there").inbox();
    let (mailbox, validity, count) = (inbox.id(), inbox.uid_validity(), inbox.len() as u32);
    // Every second message, so that no two of them are one run: more than is remembered.
    let odd: Vec<u32> = (1..=2 * (EXPUNGE_HISTORY_MAX as u32 + 4_096)).step_by(2).collect();
    for some in odd.chunks(4_096) {
        let uids: UidSet = some.iter().map(|&uid| Uid(uid)).collect();
        lab.change(Change::Expunge { mailbox, uids, only_deleted: false });
    }
    let floor = lab.store.account(lab.account).expect("there").inbox().expunged_floor();
    assert!(floor.0 > since, "the history is cut");
    lab.say(0, "e ENABLE QRESYNC");
    lab.clients[0].asked.clear();
    let told = lab.say(0, &format!("s SELECT INBOX (QRESYNC ({validity} {since}))"));
    let mut vanished = UidSet::new();
    for set in told.lines().filter_map(|line| line.strip_prefix("* VANISHED (EARLIER) ")) {
        assert!(set.split(',').count() <= IMAP_LINE_RANGES_MAX, "a line is bounded");
        let range = |range: &str| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            (first.parse().expect("a UID"), last.parse().expect("a UID"))
        };
        set.split(',').map(range).for_each(|(first, last)| vanished.push_range(Uid(first), Uid(last)));
    }
    assert_eq!(vanished, odd.iter().map(|&uid| Uid(uid)).collect(), "those, and nothing else");
    let yields = lab.clients[0].asked.iter().filter(|&&asked| asked == "yield").count();
    assert!(yields >= (count as usize - odd.len()) / IMAP_SCAN_MESSAGES_MAX, "{yields} turns for others");
    assert!(told.contains("s OK [READ-WRITE] "), "{}", &told[told.len().saturating_sub(200)..]);
}
