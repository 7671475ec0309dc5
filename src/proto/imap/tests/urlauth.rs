//! Authorised URLs: GENURLAUTH, RESETKEY, URLFETCH.

use super::lab::Lab;

const BASE: &str = "imap://a%40x@mx.x/INBOX/;uid=1";

fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.deliver("From: a\r\nSubject: one\r\n\r\nthe text\r\n");
    lab.login();
    lab
}

/// The URL with its token.
fn authorised(lab: &mut Lab, rump: &str) -> String {
    let told = lab.say(0, &format!("g GENURLAUTH \"{rump}\" INTERNAL"));
    let (line, end) = told.split_once("\r\n").unwrap();
    assert_eq!(end, "g OK GENURLAUTH completed\r\n", "{told}");
    line.strip_prefix("* GENURLAUTH \"")
        .and_then(|url| url.strip_suffix('"'))
        .unwrap_or_else(|| panic!("{line}"))
        .to_owned()
}

/// What URLFETCH gives for it.
fn fetched(lab: &mut Lab, url: &str) -> String {
    let told = lab.say(0, &format!("f URLFETCH \"{url}\""));
    let head = format!("* URLFETCH \"{url}\" ");
    let data = told.strip_prefix(&head).and_then(|told| told.strip_suffix("\r\nf OK URLFETCH completed\r\n"));
    data.unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn what_is_authorised_can_be_fetched_part_by_part() {
    let mut lab = lab();
    let whole = authorised(&mut lab, &format!("{BASE};urlauth=authuser"));
    assert_eq!(fetched(&mut lab, &whole), "{35}\r\nFrom: a\r\nSubject: one\r\n\r\nthe text\r\n");
    let text = authorised(&mut lab, &format!("{BASE}/;section=TEXT/;partial=4.4;urlauth=user+A%40x"));
    assert_eq!(fetched(&mut lab, &text), "{4}\r\ntext");
    let fields = format!("{BASE}/;section=HEADER.FIELDS%20(SUBJECT);urlauth=anonymous");
    let fields = authorised(&mut lab, &fields);
    assert_eq!(fetched(&mut lab, &fields), "{16}\r\nSubject: one\r\n\r\n");
    let none = authorised(&mut lab, &format!("{BASE}/;section=7;urlauth=authuser"));
    assert_eq!(fetched(&mut lab, &none), "NIL");
    assert!(lab.say(0, "s STATUS INBOX (UNSEEN)").contains("UNSEEN 1"), "nothing is marked as read");
}

#[test]
fn a_token_is_for_one_url_one_user_and_one_time() {
    let mut lab = lab();
    let good = authorised(&mut lab, &format!("{BASE};urlauth=authuser"));
    let other_message = good.replace("uid=1", "uid=2");
    assert_eq!(fetched(&mut lab, &other_message), "NIL");
    assert_eq!(fetched(&mut lab, &good.replace("mx.x", "mx.y")), "NIL");
    for access in ["user+b%40x", "submit+b"] {
        let url = authorised(&mut lab, &format!("{BASE};urlauth={access}"));
        assert_eq!(fetched(&mut lab, &url), "NIL", "{access}");
    }
    let past = authorised(&mut lab, &format!("{BASE};expire=1999-01-01T00:00:00Z;urlauth=authuser"));
    assert_eq!(fetched(&mut lab, &past), "NIL");
    let future = authorised(&mut lab, &format!("{BASE};expire=2999-01-01T00:00:00Z;urlauth=authuser"));
    assert!(fetched(&mut lab, &future).starts_with("{35}"));
    let extended = future.replace("2999", "3999");
    assert_eq!(fetched(&mut lab, &extended), "NIL");
    // Several in one command; one that is bad does not hold up the others.
    let told = lab.say(0, &format!("f URLFETCH bad \"{good}\" bad"));
    assert!(told.starts_with("* URLFETCH bad NIL\r\n* URLFETCH \"imap:"), "{told}");
    assert!(told.ends_with("\r\n* URLFETCH bad NIL\r\nf OK URLFETCH completed\r\n"), "{told}");
}

#[test]
fn a_reset_voids_what_was_authorised() {
    let mut lab = lab();
    for reset in ["RESETKEY INBOX", "RESETKEY"] {
        let before = authorised(&mut lab, &format!("{BASE};urlauth=authuser"));
        assert!(fetched(&mut lab, &before).starts_with("{35}"));
        let told = lab.say(0, &format!("r {reset}"));
        assert_eq!(told, "r OK [URLMECH INTERNAL] Keys removed\r\n");
        assert_eq!(fetched(&mut lab, &before), "NIL", "{reset}");
    }
}

#[test]
fn octets_with_nul_are_copied() {
    let mut lab = Lab::new();
    let body = "x".repeat(300_000);
    lab.deliver(&format!("A: \0\r\n\r\n{body}\0\r\n"));
    lab.login();
    let url = authorised(&mut lab, &format!("{BASE};urlauth=authuser"));
    let got = fetched(&mut lab, &url);
    assert_eq!(got, format!("{{{}}}\r\nA: ?\r\n\r\n{body}?\r\n", 300_011));
}
