//! Message-IDs in header fields.
//!
//! *Owns*: finding them and bringing them into the one form that threading compares (rfc5256#3 REFERENCES: quoting
//! makes no difference). *Promises*: one pass; ids longer than `MIME_MESSAGE_ID_BYTES_MAX` are none, a list is kept
//! within twice `THREAD_IDS_STORED_MAX`. *Assumes*: nothing. *Never*: compares.

use ringpost_engine::layout::{MessageIdHash, message_id_hash};
use ringpost_engine::limits::THREAD_IDS_STORED_MAX;

use crate::limits::MIME_MESSAGE_ID_BYTES_MAX;

/// Most ids are no longer.
const ID_BYTES: usize = 64;

/// The hashes of the valid ids in a field, in order. Of very many the first and the last ones.
pub fn message_ids(value: &[u8]) -> Vec<MessageIdHash> {
    let mut ids = Vec::new();
    each(value, |id| {
        if ids.len() == 2 * THREAD_IDS_STORED_MAX {
            ids.drain(1..1 + THREAD_IDS_STORED_MAX);
        }
        ids.push(message_id_hash(id));
    });
    ids
}

/// Calls `found` with the normal form of each valid id: between `<` and `>`, without comments, white space and
/// quoting, something on both sides of an `@`.
fn each(value: &[u8], mut found: impl FnMut(&[u8])) {
    let mut id: Option<Vec<u8>> = None;
    let mut at = 0;
    // Before here a comment or quoted string was looked for in vain: its like are stray octets.
    let mut plain_until = 0;
    while let Some(&octet) = value.get(at) {
        match octet {
            b'(' | b'"' if at >= plain_until => {
                let end = if octet == b'(' { comment_end(value, at) } else { quoted(value, at, id.as_mut()) };
                match end {
                    Ok(end) => {
                        at = end;
                        continue;
                    }
                    Err(looked_until) => plain_until = looked_until,
                }
            }
            b'(' | b'"' => {}
            b'<' => id = Some(Vec::with_capacity(ID_BYTES)),
            b'>' => {
                if let Some(id) = id.take().filter(|id| is_valid(id)) {
                    found(&id);
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => {
                if let Some(id) = &mut id {
                    id.push(octet);
                }
            }
        }
        at += 1;
    }
}

fn is_valid(id: &[u8]) -> bool {
    let at = memchr::memrchr(b'@', id);
    id.len() <= MIME_MESSAGE_ID_BYTES_MAX && at.is_some_and(|at| at > 0 && at + 1 < id.len())
}

/// Behind the comment that begins at `at`; comments nest. The error is how far was looked for its end.
fn comment_end(value: &[u8], at: usize) -> Result<usize, usize> {
    let mut depth = 0usize;
    let mut next = at;
    // A comment in an id is short.
    let end = value.len().min(at + MIME_MESSAGE_ID_BYTES_MAX);
    while next < end {
        match value[next] {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\\' => next += 1,
            _ => {}
        }
        next += 1;
        if depth == 0 {
            return Ok(next);
        }
    }
    Err(end)
}

/// Behind the quoted string that begins at `at`, its text added to `id`. The error is how far was looked for its
/// end.
fn quoted(value: &[u8], at: usize, id: Option<&mut Vec<u8>>) -> Result<usize, usize> {
    let mut text = Vec::new();
    let mut next = at + 1;
    let end = value.len().min(at + MIME_MESSAGE_ID_BYTES_MAX);
    while next < end {
        match value[next] {
            b'"' => {
                if let Some(id) = id {
                    id.extend_from_slice(&text);
                }
                return Ok(next + 1);
            }
            b'\\' => next += 1,
            _ => {}
        }
        text.extend(value.get(next));
        next += 1;
    }
    Err(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(value: &str) -> Vec<String> {
        let mut ids = Vec::new();
        each(value.as_bytes(), |id| ids.push(String::from_utf8_lossy(id).into_owned()));
        ids
    }

    #[test]
    fn quoting_makes_no_difference() {
        // rfc5256#3
        assert_eq!(found("<\"01KF8JCEOCBS0045PS\"@xxx.yyy.com>"), ["01KF8JCEOCBS0045PS@xxx.yyy.com"]);
        assert_eq!(found("<01KF8JCEOCBS0045PS@xxx.yyy.com>"), ["01KF8JCEOCBS0045PS@xxx.yyy.com"]);
        assert_eq!(found("<\"a\\\"b c\"@d>"), ["a\"b c@d"]);
        assert_eq!(found("< a (comment (nested) \\) >) @ b >"), ["a@b"]);
    }

    #[test]
    fn lists_and_what_people_write_between() {
        assert_eq!(found("<a@b>\r\n <c@d><e@f>"), ["a@b", "c@d", "e@f"]);
        assert_eq!(found("Your message of \"Mon <x@y>\" <a@b> (was <q@r>)"), ["a@b"]);
        assert_eq!(found("a@b, <no-at>, <@x>, <x@>, <>, <a@b"), Vec::<String>::new());
        assert_eq!(found("<a <b@c>"), ["b@c"]);
        assert_eq!(found("( <a@b>"), ["a@b"], "a comment without an end is none");
        assert_eq!(found("\" <a@b>"), ["a@b"]);
        assert_eq!(found("<a@[1.2.3.4]>"), ["a@[1.2.3.4]"]);
    }

    #[test]
    fn floods_are_bounded() {
        let ids: String = (0..5_000).map(|n| format!("<{n}@x> ")).collect();
        let hashes = message_ids(ids.as_bytes());
        assert!(hashes.len() <= 2 * THREAD_IDS_STORED_MAX);
        assert_eq!(hashes[0], message_id_hash(b"0@x"));
        assert_eq!(hashes.last(), Some(&message_id_hash(b"4999@x")));
        assert!(message_ids(format!("<{}@x>", "a".repeat(MIME_MESSAGE_ID_BYTES_MAX)).as_bytes()).is_empty());
        assert!(message_ids("(".repeat(200_000).as_bytes()).is_empty());
        assert!(message_ids("\"<".repeat(200_000).as_bytes()).is_empty());
        assert!(message_ids("<\\".repeat(200_000).as_bytes()).is_empty());
    }
}
