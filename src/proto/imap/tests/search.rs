//! SEARCH: keys against real messages, forms of the answer.

use super::lab::Lab;

fn lab() -> Lab {
    let mut lab = Lab::with_messages(0);
    lab.deliver(concat!(
        "From: Ann <ann@x>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n",
        "Date: Tue, 1 Feb 1994 01:00:00 +0000\r\n\r\nhello world\r\n"
    ));
    lab.deliver("From: bob@x\r\nTo: ann@x\r\nSubject: plain\r\n\r\nnothing\r\n");
    lab.deliver(concat!(
        "From: carl@x\r\nCc: ann@x\r\nContent-Transfer-Encoding: base64\r\n",
        "Content-Type: text/plain\r\n\r\naGVsbG8gd29ybGQ=\r\n"
    ));
    lab.say(0, "a NOOP");
    lab.say(0, "b STORE 2 +FLAGS.SILENT (\\Seen \\Flagged Work)");
    lab
}

fn found(lab: &mut Lab, keys: &str) -> String {
    let told = lab.say(0, &format!("s SEARCH {keys}"));
    let line = told.lines().next().expect("a line").to_owned();
    assert!(told.ends_with("s OK SEARCH completed\r\n"), "{keys}: {told}");
    line.strip_prefix("* SEARCH").expect("a SEARCH reply").trim().to_owned()
}

#[test]
fn every_kind_of_key() {
    let mut lab = lab();
    for (keys, expected) in [
        ("ALL", "1 2 3"),
        ("SEEN", "2"),
        ("UNSEEN", "1 3"),
        ("NOT SEEN UNFLAGGED", "1 3"),
        ("KEYWORD work", "2"),
        ("UNKEYWORD Nowhere", "1 2 3"),
        ("NEW", "1 3"),
        ("OLD", ""),
        ("OR SEEN FROM ann", "1 2"),
        ("FROM \"Ann <ann\"", "1"),
        ("TO ann", "2"),
        ("CC ann", "3"),
        ("HEADER Subject \"\"", "1 2"),
        ("HEADER From x NOT HEADER To \"\"", "1 3"),
        ("BODY \"HELLO WORLD\"", "1 3"),
        ("TEXT plain", "2 3"),
        ("BODY plain", ""),
        ("BODY hello NOT FROM carl", "1"),
        ("SENTON 1-Feb-1994", "1"),
        ("SENTBEFORE 1-Jan-2000", "1"),
        ("SENTSINCE 1-Jan-2000", ""),
        ("ON 1-Jan-2022", "1 2 3"),
        ("BEFORE 1-Jan-2022", ""),
        ("LARGER 90", "1 3"),
        ("SMALLER 60", "2"),
        ("2:* UID 1:2", "2"),
        ("(1 (2:3)) ", ""),
        ("OR 1 3", "1 3"),
        ("UID 50:*", "3"),
        ("SUBJECT {2+}\r\nGR", "1"),
    ] {
        assert_eq!(found(&mut lab, keys.trim()), expected, "{keys}");
    }
}

#[test]
fn charsets_are_decoded_or_refused() {
    let mut lab = lab();
    let told = lab.send(0, b"a SEARCH CHARSET UTF-8 SUBJECT {7+}\r\ngr\xc3\xbc\xc3\x9fE\r\n");
    assert!(told.starts_with("* SEARCH 1\r\n"), "{told}");
    let told = lab.send(0, b"b SEARCH CHARSET ISO-8859-1 SUBJECT {5+}\r\nGR\xdc\xdfe\r\n");
    assert!(told.starts_with("* SEARCH 1\r\n"), "{told}");
    let told = lab.say(0, "c SEARCH CHARSET KLINGON SUBJECT x");
    assert_eq!(told, "c NO [BADCHARSET (US-ASCII UTF-8)] That charset is not known\r\n");
}

#[test]
fn extended_answers() {
    let mut lab = lab();
    let told = lab.say(0, "t SEARCH RETURN (MIN MAX COUNT) UNSEEN");
    assert_eq!(told, "* ESEARCH (TAG \"t\") MIN 1 MAX 3 COUNT 2\r\nt OK SEARCH completed\r\n");
    let told = lab.say(0, "t UID SEARCH RETURN () ALL");
    assert_eq!(told, "* ESEARCH (TAG \"t\") UID ALL 1:3\r\nt OK UID SEARCH completed\r\n");
    let told = lab.say(0, "t UID SEARCH RETURN (COUNT) DELETED");
    assert_eq!(told, "* ESEARCH (TAG \"t\") UID COUNT 0\r\nt OK UID SEARCH completed\r\n");
    assert_eq!(lab.say(0, "u SEARCH 9"), "* SEARCH\r\nu OK SEARCH completed\r\n", "rfc7377#2");
}

#[test]
fn only_what_the_index_leaves_open_is_looked_at() {
    let mut lab = lab();
    lab.clients[0].asked.clear();
    assert_eq!(found(&mut lab, "SEEN LARGER 1 UID 1:*"), "2");
    assert_eq!(found(&mut lab, "DELETED BODY hello"), "");
    assert!(lab.clients[0].asked.is_empty(), "the index decided");
    assert_eq!(found(&mut lab, "FROM nobody BODY hello"), "");
    assert_eq!(lab.clients[0].asked.iter().filter(|&&asked| asked == "warm").count(), 1, "headers only");
}

#[test]
fn filters_stand_for_their_keys() {
    let mut lab = lab();
    let long = "OR FILTER a FILTER b";
    let entries = [
        ("/private/filters/values/on-the-road", "OR SMALLER 70 FROM \"ann\""),
        ("/shared/filters/values/on-the-road", "ALL"),
        ("/shared/filters/values/gr", "SUBJECT {4}\r\ngr\u{fc}"),
        ("/private/filters/values/both", "FILTER on-the-road NOT FILTER gr"),
        ("/private/filters/values/broken", "OR SMALLER"),
        ("/private/filters/values/loop", "FILTER loop"),
        ("/private/filters/values/a", long),
        ("/private/filters/values/b", long),
    ];
    let entries = entries.map(|(name, value)| (name.to_owned(), Some(bytes::Bytes::from(value)))).to_vec();
    lab.change(ringpost_engine::change::Change::Metadata { mailbox: None, entries });
    assert_eq!(found(&mut lab, "FILTER On-The-Road"), "1 2", "rfc5466#3.1: the private one");
    assert_eq!(found(&mut lab, "UID 2:3 FILTER on-the-road SINCE \"3-Dec-2002\""), "2");
    assert_eq!(found(&mut lab, "FILTER both"), "2");
    for name in ["none", "broken", "loop", "a"] {
        let told = lab.say(0, &format!("f SEARCH FILTER {name}"));
        assert!(told.starts_with("f NO [UNDEFINED-FILTER ") || told.starts_with("f NO [LIMIT]"), "{told}");
    }
    let told = lab.say(0, "f SEARCH CHARSET ISO-8859-1 FILTER on-the-road");
    assert!(told.starts_with("f BAD [BADCHARSET "), "{told}");
    assert!(lab.say(0, "f SEARCH FILTER a/b").starts_with("f BAD"));
}

#[test]
fn batches_of_uids_go_downwards_and_leave_none_out() {
    let mut lab = Lab::with_messages(1_203);
    let batches = |lab: &mut Lab, arguments: &str| {
        let told = lab.say(0, &format!("A143 UIDBATCHES {arguments}"));
        let ranges = told.strip_prefix("* UIDBATCHES (TAG \"A143\")").expect("the reply");
        ranges.strip_suffix("\r\nA143 OK UIDBATCHES completed\r\n").expect("no more").trim().to_owned()
    };
    assert_eq!(batches(&mut lab, "500"), "1203:704,703:204,203:1");
    assert_eq!(batches(&mut lab, "500 2:2"), "703:204");
    assert_eq!(batches(&mut lab, "500 3:9"), "203:1");
    assert_eq!(batches(&mut lab, "500 4:9"), "");
    assert_eq!(batches(&mut lab, "1203"), "1203:1");
    // Two hundred of the first batch go, and the highest of all.
    lab.say(0, "b UID STORE 800:999,1203 +FLAGS.SILENT (\\Deleted)");
    assert!(lab.say(0, "c EXPUNGE").ends_with("c OK EXPUNGE completed\r\n"));
    assert_eq!(batches(&mut lab, "500"), "1202:503,502:3,2:1");
    lab.deliver("Subject: new\r\n\r\n");
    // What the client was not told of yet is in no batch.
    assert!(
        lab.say(0, "d UIDBATCHES 600").starts_with("* UIDBATCHES (TAG \"d\") 1202:403,402:1\r\n* 1003 E")
    );
}

/// A client's list of UIDs, kept by what it is told.
fn follow(list: &mut std::collections::BTreeSet<u32>, told: &str) {
    for line in told.lines().filter(|line| line.starts_with("* ESEARCH (TAG \"u\") UID")) {
        for (item, adds) in [("REMOVEFROM (0 ", false), ("ADDTO (0 ", true)] {
            let Some((_, rest)) = line.split_once(item) else { continue };
            for range in rest.split(')').next().expect("its end").split(',') {
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                for uid in first.parse::<u32>().expect("a UID")..=last.parse().expect("a UID") {
                    let news = if adds { list.insert(uid) } else { list.remove(&uid) };
                    assert!(news, "{uid} of {line}");
                }
            }
        }
    }
}

#[test]
fn a_list_that_is_followed_is_what_a_search_finds() {
    for room in [crate::limits::OUTPUT_BYTES_MAX, 40] {
        let mut lab = Lab::with_messages(40);
        lab.room = room;
        let other = lab.login();
        lab.say(other, "s SELECT INBOX");
        let keys = "OR KEYWORD $Junk (UNDELETED NOT FLAGGED)";
        let told = lab.say(0, &format!("u UID SEARCH RETURN (UPDATE) {keys}"));
        assert_eq!(told, "* ESEARCH (TAG \"u\") UID\r\nu OK UID SEARCH completed\r\n");
        let mut list = (1..=40).collect();
        let mut state = 5u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for turn in 0..400 {
            let client = if next(2) == 0 { other } else { 0 };
            let flag = ["$Junk", "\\Flagged", "\\Deleted", "\\Seen"][next(4) as usize];
            let (first, sign) = (1 + next(60), ["+", "-"][next(2) as usize]);
            let last = first + next(5);
            let told = match next(12) {
                0 => lab.say(client, &format!("x UID EXPUNGE {first}")),
                1 => {
                    lab.deliver("Subject: new\r\n\r\n");
                    lab.say(client, "n NOOP")
                }
                2 => lab.say(0, "f FETCH 1 (UID)"),
                _ => lab.say(client, &format!("t UID STORE {first}:{last} {sign}FLAGS.SILENT ({flag})")),
            };
            if client == 0 || told.ends_with("f OK FETCH completed\r\n") {
                follow(&mut list, &told);
            }
            if turn % 10 == 0 {
                let told = lab.say(0, "n NOOP");
                follow(&mut list, &told);
                let found = lab.say(0, &format!("q UID SEARCH {keys}"));
                let names = found.lines().next().expect("a line").strip_prefix("* SEARCH").expect("a reply");
                let found: std::collections::BTreeSet<u32> =
                    names.split_whitespace().map(|name| name.parse().expect("a UID")).collect();
                assert_eq!(list, found, "after {turn}");
            }
        }
        assert!(list.len() > 5, "something is left to follow");
    }
}

#[test]
fn many_changes_of_a_list_are_told_in_several_lines() {
    let mut lab = Lab::with_messages(1_203);
    let other = lab.login();
    lab.say(other, "s SELECT INBOX");
    lab.say(0, "u UID SEARCH RETURN (UPDATE) FLAGGED");
    let odd: Vec<String> = (1..=1_203).step_by(2).map(|uid| uid.to_string()).collect();
    lab.say(other, &format!("a UID STORE {} +FLAGS.SILENT (\\Flagged)", odd.join(",")));
    let told = lab.say(0, "n NOOP");
    let mut list = std::collections::BTreeSet::new();
    follow(&mut list, &told);
    assert!(list.len() == 602 && list.iter().all(|uid| uid % 2 == 1), "{}", list.len());
    assert_eq!(told.matches("* ESEARCH").count(), 2);
    lab.say(other, "b EXPUNGE");
    lab.say(other, "c UID STORE 1:* +FLAGS.SILENT (\\Deleted)");
    lab.say(other, "d EXPUNGE");
    let told = lab.say(0, "n NOOP");
    follow(&mut list, &told);
    assert!(list.is_empty());
    let (leaving, first) = (told.rfind("REMOVEFROM"), told.find(" EXPUNGE\r\n"));
    assert!(leaving < first, "the numbers are still good: {leaving:?}, {first:?}");
}
