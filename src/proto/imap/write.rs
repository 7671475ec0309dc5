//! Strings and names as replies carry them.
//!
//! *Owns*: when a string may be an atom, quoted, or must be a literal (rfc3501#4.3, #9); mailbox names,
//! sections and dates on the wire. *Promises*: writes into the caller's buffer; what the parser reads from it
//! is what was given. *Assumes*: octets come from parsed commands or are UTF-8 names, so there is no NUL
//! among them. *Never*: decides what to say.

use bytes::{BufMut, BytesMut};
use ringpost_engine::ids::{AccountId, EmailId, MailboxId};

use crate::proto::imap::command::{Partial, Section, SectionText};
use crate::proto::imap::parse::lexer::is_atom_char;
use crate::proto::imap::reply;
use crate::proto::imap::utf7;
use crate::proto::mime::date::DateTime;

/// A mailbox name: as it is for a client that enabled UTF-8 (rfc9755#3, rfc9051#5.1), else in modified UTF-7.
pub fn mailbox(out: &mut BytesMut, name: &str, utf8: bool) {
    if utf8 && !name.is_ascii() {
        quoted(out, name.as_bytes());
    } else if utf8 {
        astring(out, name.as_bytes());
    } else {
        astring(out, utf7::encode(name).as_bytes());
    }
}

/// `MAILBOXID` (rfc8474#7 `objectid`): no two mailboxes of a server share one, whatever their names become.
pub fn mailbox_id(out: &mut BytesMut, account: AccountId, mailbox: MailboxId) {
    out.put_slice(format!("F{account}-{mailbox}").as_bytes());
}

/// `EMAILID` (rfc8474#5.1): copies share the octets and so the id.
pub fn email_id(out: &mut BytesMut, email: EmailId) {
    out.put_slice(format!("M{email}").as_bytes());
}

/// `THREADID` (rfc8474#5.2), from the id of the thread's first message; 0 for a message that names none: it is a
/// thread of its own.
pub fn thread_id(out: &mut BytesMut, root: u64, email: EmailId) {
    let id = if root == 0 { format!("T-{email}") } else { format!("T{root:016x}") };
    out.put_slice(id.as_bytes());
}

/// `astring`: an atom where it can be one, else a string. `NIL` is quoted, so that nobody takes it for none.
pub fn astring(out: &mut BytesMut, text: &[u8]) {
    let atom = text.iter().all(|&octet| is_atom_char(octet) || octet == b']');
    if atom && !text.is_empty() && !text.eq_ignore_ascii_case(b"NIL") {
        out.put_slice(text);
    } else {
        string(out, text);
    }
}

/// `string`: quoted if it is printable US-ASCII, else a literal.
pub fn string(out: &mut BytesMut, text: &[u8]) {
    if !text.iter().all(|octet| matches!(octet, b' '..=b'~')) {
        out.put_slice(format!("{{{}}}\r\n", text.len()).as_bytes());
        out.put_slice(text);
        return;
    }
    quoted(out, text);
}

/// A quoted string; there is no CR, LF or NUL in it.
fn quoted(out: &mut BytesMut, text: &[u8]) {
    out.put_u8(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        out.put_slice(&rest[..at]);
        out.put_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

/// `BODY[section]<origin>`, the name of a fetched part as its reply repeats it (rfc3501#7.4.2).
pub fn body_section(out: &mut BytesMut, section: &Section, partial: Option<Partial>) {
    out.put_slice(b"BODY[");
    for (index, number) in section.path.iter().enumerate() {
        out.put_slice(if index == 0 { b"" } else { b"." });
        out.put_slice(number.to_string().as_bytes());
    }
    let (name, fields): (&[u8], &[bytes::Bytes]) = match &section.text {
        SectionText::Whole => (b"", &[]),
        SectionText::Header => (b"HEADER", &[]),
        SectionText::HeaderFields(fields) => (b"HEADER.FIELDS", fields),
        SectionText::HeaderFieldsNot(fields) => (b"HEADER.FIELDS.NOT", fields),
        SectionText::Mime => (b"MIME", &[]),
        SectionText::Text => (b"TEXT", &[]),
    };
    if !name.is_empty() && !section.path.is_empty() {
        out.put_u8(b'.');
    }
    out.put_slice(name);
    for (index, field) in fields.iter().enumerate() {
        out.put_slice(if index == 0 { b" (" } else { b" " });
        astring(out, field);
    }
    out.put_slice(if fields.is_empty() { b"]" } else { b")]" });
    if let Some(partial) = partial {
        out.put_slice(format!("<{}>", partial.start).as_bytes());
    }
}

/// `[1.2]<origin>` behind BINARY and BINARY.SIZE (rfc3516#7).
pub fn binary_section(out: &mut BytesMut, path: &[u32], partial: Option<Partial>) {
    out.put_u8(b'[');
    for (index, &number) in path.iter().enumerate() {
        out.put_slice(if index == 0 { b"" } else { b"." });
        reply::number(out, u64::from(number));
    }
    out.put_u8(b']');
    if let Some(partial) = partial {
        out.put_u8(b'<');
        reply::number(out, partial.start);
        out.put_u8(b'>');
    }
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// `date-time` with its quotes, in UTC. Without an allocation: a client asks it of every message.
pub fn date_time(out: &mut BytesMut, unix_ms: i64) {
    let date = DateTime::from_unix(unix_ms.div_euclid(1_000));
    let (year, month, day) = date.civil();
    let two = |value: u32| [b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8];
    let mut day = two(day);
    if day[0] == b'0' {
        day[0] = b' ';
    }
    let year = year.clamp(0, 9_999) as u32;
    let second = date.second_of_day;
    out.put_u8(b'"');
    out.put_slice(&day);
    out.put_u8(b'-');
    out.put_slice(MONTHS[month as usize - 1]);
    out.put_u8(b'-');
    out.put_slice(&two(year / 100));
    out.put_slice(&two(year % 100));
    for (mark, value) in [(b' ', second / 3_600), (b':', second / 60 % 60), (b':', second % 60)] {
        out.put_u8(mark);
        out.put_slice(&two(value));
    }
    out.put_slice(b" +0000\"");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::proto::imap::command::{FetchItem, Verb};
    use crate::proto::imap::parse;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn strings_take_the_simplest_form() {
        for (text, expected) in [
            ("foo", "foo"),
            ("~peter/mail]", "~peter/mail]"),
            ("", "\"\""),
            ("nil", "\"nil\""),
            ("a b", "\"a b\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("50%", "\"50%\""),
            ("a*(b){c}", "\"a*(b){c}\""),
            ("é", "{2}\r\né"),
            ("a\r\nb", "{4}\r\na\r\nb"),
            ("a\tb", "{3}\r\na\tb"),
        ] {
            assert_eq!(written(|out| astring(out, text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for name in ["INBOX", "a b", "Entwürfe/R&D", "日本語", "a\"b\\c", "50%*", "NIL", "(x)", "{5}", "&-"]
        {
            for utf8 in [false, true] {
                let mut out = BytesMut::from(&b"a SELECT "[..]);
                mailbox(&mut out, name, utf8);
                match parse::command(&out.freeze(), utf8).unwrap().verb {
                    Verb::Select(select) => assert_eq!(select.mailbox, name),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn sections_are_named_as_asked() {
        for name in [
            "BODY[]",
            "BODY[TEXT]<0>",
            "BODY[1]",
            "BODY[4.2.2.1.MIME]<70000>",
            "BODY[3.HEADER]",
            "BODY[HEADER.FIELDS (DATE From)]",
            "BODY[1.HEADER.FIELDS.NOT (\"x y\")]<5>",
        ] {
            let asked = name.strip_suffix('>').map_or(name.to_owned(), |start| format!("{start}.1>"));
            let verb = parse::command(&Bytes::from(format!("a FETCH 1 {asked}")), false).unwrap().verb;
            let Verb::Fetch(fetch) = verb else { panic!("{verb:?}") };
            let [FetchItem::Section { section, partial, .. }] = &fetch.items[..] else { panic!("{fetch:?}") };
            assert_eq!(written(|out| body_section(out, section, *partial)), name);
        }
    }

    #[test]
    fn dates_are_fixed_width() {
        assert_eq!(written(|out| date_time(out, 837_596_665_999)), "\"17-Jul-1996 09:44:25 +0000\"");
        assert_eq!(written(|out| date_time(out, -1)), "\"31-Dec-1969 23:59:59 +0000\"");
        assert_eq!(written(|out| date_time(out, 0)), "\" 1-Jan-1970 00:00:00 +0000\"");
    }
}
