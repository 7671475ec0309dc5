//! APPEND up to its message.
//!
//! *Owns*: its grammar. *Promises*: what `parse` promises. *Assumes*: the framer cut the announcement of the
//! message off. *Never*: sees the message.

use bytes::Bytes;

use super::Parsed;
use super::date::date_time;
use super::lexer::Lexer;
use super::mailbox::mailbox;
use super::store::flag_list;
use crate::proto::imap::command::Append;

/// rfc3501#6.3.11; the tag is read.
pub fn append(lexer: &mut Lexer, tag: Bytes) -> Parsed<Append> {
    lexer.space()?;
    lexer.keyword();
    lexer.space()?;
    let mut append = Append { tag, mailbox: mailbox(lexer)?, flags: Default::default(), internal_ms: None };
    lexer.space()?;
    if lexer.peek() == Some(b'(') {
        append.flags = flag_list(lexer)?;
        lexer.space()?;
    }
    if lexer.peek() == Some(b'"') {
        append.internal_ms = Some(date_time(lexer)?);
        lexer.space()?;
    }
    lexer.end()?;
    Ok(append)
}

#[cfg(test)]
mod tests {
    use ringpost_engine::change::{FlagBits, Flags};

    use super::super::{Fault, append};
    use super::*;

    fn read(head: &str) -> Result<Append, Fault> {
        append(&Bytes::copy_from_slice(head.as_bytes())).map_err(|error| error.fault)
    }

    fn expected(mailbox: &str, system: FlagBits, internal_ms: Option<i64>) -> Append {
        let flags = Flags { system, keywords: vec![] };
        Append { tag: Bytes::from_static(b"A003"), mailbox: mailbox.to_owned(), flags, internal_ms }
    }

    #[test]
    fn heads() {
        // rfc3501#6.3.11
        let appended = expected("saved-messages", FlagBits::SEEN, None);
        assert_eq!(read("A003 APPEND saved-messages (\\Seen) "), Ok(appended));
        assert_eq!(read("A003 append inbox "), Ok(expected("INBOX", FlagBits::NONE, None)));
        assert_eq!(
            read("A003 APPEND {3}\r\na b () \"17-Jul-1996 02:44:25 -0700\" "),
            Ok(expected("a b", FlagBits::NONE, Some(837_596_665_000)))
        );
        assert_eq!(
            read("A003 APPEND x \" 1-Jan-1970 00:00:00 +0100\" "),
            Ok(expected("x", FlagBits::NONE, Some(-3_600_000)))
        );
    }

    #[test]
    fn broken_heads() {
        for head in [
            "A003 APPEND x",
            "A003 APPEND ",
            "A003 APPEND x (\\Seen)",
            "A003 APPEND x y ",
            "A003 APPEND x (",
            "A003 APPEND x \"today\" ",
            "A003 APPEND x \"17-Jul-1996 02:44:25 -0700\"",
            "A003 APPEND x \"31-Jun-1996 02:44:25 -0700\" ",
            "A003 APPEND x \"17-Jul-1996 24:44:25 -0700\" ",
            "A003 APPEND x \"17-Jul-1996 02:44:25 -0700\" () ",
            "A003 APPEND x \"17-Jul-1996 02:44:25\" ",
            "A003 APPEND x (a) (b) ",
        ] {
            assert!(matches!(read(head), Err(Fault::Bad(_))), "{head}");
        }
        assert!(matches!(read("A003 APPEND &x "), Err(Fault::Cannot(_))));
    }
}
