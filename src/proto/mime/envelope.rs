//! ENVELOPE.
//!
//! *Owns*: the ten fields of an envelope in wire form (rfc3501#7.4.2). *Promises*: grammatically valid
//! whatever the header; each address list is read once. *Assumes*: a header slice within its bound. *Never*: decodes
//! encoded words.

use std::borrow::Cow;

use super::address::{self, Address, Mailbox};
use super::header::{self, Field};
use super::wire::Writer;

/// The fields of a message that summaries are made of, unfolded.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub date: Option<Cow<'a, [u8]>>,
    pub subject: Option<Cow<'a, [u8]>>,
    pub from: Option<Cow<'a, [u8]>>,
    pub sender: Option<Cow<'a, [u8]>>,
    pub reply_to: Option<Cow<'a, [u8]>>,
    pub to: Option<Cow<'a, [u8]>>,
    pub cc: Option<Cow<'a, [u8]>>,
    pub bcc: Option<Cow<'a, [u8]>>,
    pub in_reply_to: Option<Cow<'a, [u8]>>,
    pub message_id: Option<Cow<'a, [u8]>>,
    pub references: Option<Cow<'a, [u8]>>,
}

impl<'a> Found<'a> {
    /// Keeps a field if it is one of them. Repeated destination fields are one list (rfc5322#4.5.3); of all others the
    /// first counts.
    pub fn take(&mut self, field: &Field<'a>) {
        let name = field.name;
        let (slot, is_list) = match name.len() {
            2 if field.is(b"to") => (&mut self.to, true),
            2 if field.is(b"cc") => (&mut self.cc, true),
            3 if field.is(b"bcc") => (&mut self.bcc, true),
            4 if field.is(b"date") => (&mut self.date, false),
            4 if field.is(b"from") => (&mut self.from, false),
            6 if field.is(b"sender") => (&mut self.sender, false),
            7 if field.is(b"subject") => (&mut self.subject, false),
            8 if field.is(b"reply-to") => (&mut self.reply_to, false),
            10 if field.is(b"references") => (&mut self.references, false),
            10 if field.is(b"message-id") => (&mut self.message_id, false),
            11 if field.is(b"in-reply-to") => (&mut self.in_reply_to, false),
            _ => return,
        };
        let value = header::unfold(field.value);
        match slot {
            None => *slot = Some(value),
            Some(before) if is_list => {
                let before = before.to_mut();
                before.extend_from_slice(b", ");
                before.extend_from_slice(&value);
            }
            Some(_) => {}
        }
    }
}

/// The lists whose first members SORT compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    From,
    To,
    Cc,
}

/// Writes the envelope; lists hold at most `addresses_max` members. Calls `first` with the first member of each list
/// that has one. Returns whether some members were left out.
pub(super) fn write(
    found: &Found<'_>,
    addresses_max: usize,
    out: &mut Writer,
    mut first: impl FnMut(List, Address<'_>),
) -> bool {
    let (mut cut, mut reader) = (false, address::Reader::default());
    // Returns whether the list is empty.
    let mut list = |which: Option<List>, value: &Option<Cow<'_, [u8]>>, out: &mut Writer| {
        let mut is_empty = true;
        cut |= reader.each(value.as_deref().unwrap_or_default(), addresses_max, |address| {
            if is_empty {
                out.raw(b"(");
                which.into_iter().for_each(|which| first(which, address));
            }
            is_empty = false;
            write_address(address, out);
        });
        // `"(" 1*address ")" / nil`, without spaces between (rfc3501#9 env-from).
        if !is_empty {
            out.raw(b")");
        }
        is_empty
    };
    out.raw(b"(");
    out.nstring(found.date.as_deref());
    out.raw(b" ");
    out.nstring(found.subject.as_deref());
    out.raw(b" ");
    let from_start = out.at();
    if list(Some(List::From), &found.from, out) {
        out.raw(b"NIL");
    }
    let from_end = out.at();
    for value in [&found.sender, &found.reply_to] {
        out.raw(b" ");
        // A missing or empty Sender or Reply-To is the From (rfc3501#7.4.2).
        if list(None, value, out) {
            out.again(from_start, from_end);
        }
    }
    for (which, value) in [(Some(List::To), &found.to), (Some(List::Cc), &found.cc), (None, &found.bcc)] {
        out.raw(b" ");
        if list(which, value, out) {
            out.raw(b"NIL");
        }
    }
    out.raw(b" ");
    out.nstring(found.in_reply_to.as_deref());
    out.raw(b" ");
    out.nstring(found.message_id.as_deref());
    out.raw(b")");
    cut
}

fn write_address(address: Address<'_>, out: &mut Writer) {
    match address {
        Address::Mailbox(mailbox) => write_mailbox(&mailbox, out),
        Address::GroupStart(name) => {
            out.raw(b"(NIL NIL ");
            out.string(name);
            out.raw(b" NIL)");
        }
        Address::GroupEnd => out.raw(b"(NIL NIL NIL NIL)"),
    }
}

/// Host is never NIL here: that would begin a group.
fn write_mailbox(mailbox: &Mailbox<'_>, out: &mut Writer) {
    out.raw(b"(");
    out.nstring(mailbox.name);
    out.raw(b" ");
    out.nstring(mailbox.route);
    out.raw(b" ");
    out.string(mailbox.local);
    out.raw(b" ");
    out.string(mailbox.domain);
    out.raw(b")");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(header: &str) -> String {
        let mut out = Writer::new(100_000, 1_000);
        let mut found = Found::default();
        header::fields(header.as_bytes()).for_each(|field| found.take(&field));
        write(&found, 100, &mut out, |_, _| {});
        String::from_utf8(out.finish().unwrap().0).unwrap()
    }

    #[test]
    fn the_example_of_rfc3501_8() {
        let header = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
            From: Terry Gray <gray@cac.washington.edu>\r\n\
            Subject: IMAP4rev1 WG mtg summary and minutes\r\nTo: imap@cac.washington.edu\r\n\
            cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
            Message-Id: <B27397-0100000@cac.washington.edu>\r\nMIME-Version: 1.0\r\n\
            Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n";
        assert_eq!(
            envelope(header),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) \
             NIL NIL \"<B27397-0100000@cac.washington.edu>\")"
        );
    }

    #[test]
    fn missing_is_nil_and_empty_is_empty() {
        assert_eq!(envelope("\r\n"), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            envelope("Subject:\r\nFrom: \r\nSender: \r\nIn-Reply-To:\r\n\r\n"),
            "(NIL \"\" NIL NIL NIL NIL NIL NIL \"\" NIL)"
        );
    }

    #[test]
    fn repeated_destinations_are_one_list() {
        assert_eq!(
            envelope("To: a@b\r\nTo: c@d\r\nSubject: x\r\nSubject: y\r\n"),
            "(NIL \"x\" NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn groups_have_their_markers() {
        assert_eq!(
            envelope("To: team: a@b;, root\r\n"),
            "(NIL NIL NIL NIL NIL ((NIL NIL \"team\" NIL)(NIL NIL \"a\" \"b\")(NIL NIL NIL NIL)\
             (NIL NIL \"root\" \"\")) NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn raw_8bit_goes_in_literals() {
        let envelope = envelope("Subject: gr\u{fc}n\r\n");
        assert_eq!(envelope, "(NIL {5}\r\ngr\u{fc}n NIL NIL NIL NIL NIL NIL NIL NIL)");
    }
}
