//! Everything of a mailbox of many messages at once: read, marked, copied, expunged, and told to whoever watches.

use super::lab::Lab;
use crate::limits::{IMAP_CHANGE_MESSAGES_MAX, OUTPUT_BYTES_MAX};

/// Sixteen times what one change may touch.
const MANY: usize = 16 * IMAP_CHANGE_MESSAGES_MAX;
/// A reply may exceed the allowance, two never do; an expunged range of each change is one of them.
const REPLY_BYTES: usize = 1_000;

/// What a client is answered; no call queued more than the output holds and one reply.
fn bounded(lab: &mut Lab, who: usize, command: &str) -> String {
    lab.clients[who].longest = 0;
    lab.clients[who].asked.clear();
    let told = lab.say(who, command);
    let longest = lab.clients[who].longest;
    assert!(longest <= OUTPUT_BYTES_MAX + REPLY_BYTES, "{command}: {longest} octets queued");
    let (_, last) = told.trim_end().rsplit_once("\r\n").unwrap_or(("", told.trim_end()));
    assert!(last.starts_with(&command[..1]) && last[1..].starts_with(" OK "), "{command}: {last}");
    told
}

#[test]
fn all_of_a_mailbox_at_once_stays_within_the_bounds() {
    let mut lab = Lab::with_messages(1);
    for _ in 0..MANY.ilog2() {
        bounded(&mut lab, 0, "c COPY 1:* INBOX");
    }
    let other = lab.login();
    let told = bounded(&mut lab, other, "s SELECT INBOX");
    assert!(told.contains(&format!("* {MANY} EXISTS\r\n")));
    assert!(lab.clients[other].asked.is_empty(), "opened in one step, however many messages there are");

    assert_eq!(bounded(&mut lab, 0, "a FETCH 1:* (FLAGS)").matches(" FETCH (FLAGS (").count(), MANY);
    assert!(!lab.clients[0].asked.is_empty(), "others have their turns meanwhile");
    assert_eq!(bounded(&mut lab, 0, "b STORE 1:* +FLAGS (\\Flagged)").matches("\\Flagged").count(), MANY);
    assert_eq!(bounded(&mut lab, other, "n NOOP").matches("\\Flagged").count(), MANY);
    assert!(bounded(&mut lab, 0, "c COPY 1:* Sent").contains(&format!(" 1:{MANY} 1:{MANY}]")));
    bounded(&mut lab, 0, "d STORE 1:* +FLAGS.SILENT (\\Deleted)");
    for (who, command) in [(0, "e EXPUNGE"), (other, "n NOOP")] {
        let told = bounded(&mut lab, who, command);
        assert_eq!(told.matches("* 1 EXPUNGE\r\n").count(), MANY, "{command}");
    }
    let figures = bounded(&mut lab, 0, "f STATUS Sent (MESSAGES UNSEEN)");
    assert!(figures.contains(&format!("(MESSAGES {MANY} UNSEEN {MANY})")), "{figures}");
}
