//! What keys look for in messages, and what was found of it.
//!
//! *Owns*: the contents a key can ask for, and the answers of the message at hand. *Promises*: a content is
//! looked for once a message, whichever keys ask for it. *Assumes*: at most
//! `limits::IMAP_SEARCH_CONTENT_KEYS_MAX` contents, one bit each. *Never*: fetches what it is not given.

use ringpost_engine::layout::SummaryView;

use super::Open;
use crate::proto::imap::command::DayIs;
use crate::proto::mime::date::Days;
use crate::proto::mime::{self, Scope};

/// Something in a message. Strings are decoded and folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The Date field's day, in the sender's own zone (rfc3501#6.4.4).
    Sent(DayIs, Days),
    /// A field of this name with this text; any field of the name if the text is empty.
    Header {
        /// Its name.
        name: String,
        /// Its text.
        needle: String,
    },
    /// Text of the body.
    Body(String),
    /// Text anywhere.
    Text(String),
}

/// What is in memory of a message.
#[derive(Clone, Copy)]
pub struct Looked<'a> {
    /// Its header.
    pub header: Option<&'a [u8]>,
    /// All of it.
    pub whole: Option<(&'a [u8], SummaryView<'a>)>,
}

impl Content {
    /// Whether only the whole message answers.
    pub fn needs_whole(&self) -> bool {
        matches!(self, Content::Body(_) | Content::Text(_))
    }

    /// Whether it is there; none if what is in memory does not tell.
    pub fn find(&self, looked: &Looked<'_>) -> Option<bool> {
        let in_text = |needle: &str, scope| {
            looked.whole.as_ref().map(|(octets, summary)| mime::contains_text(octets, summary, needle, scope))
        };
        match self {
            Content::Sent(is, day) => {
                looked.header.map(|header| mime::sent_date(header).is_some_and(|sent| is.holds(sent, *day)))
            }
            Content::Header { name, needle } => {
                looked.header.map(|header| mime::header_contains(header, name, needle))
            }
            Content::Body(needle) => in_text(needle, Scope::Body),
            Content::Text(needle) => in_text(needle, Scope::Text),
        }
    }
}

/// Which contents were found in a message, which not, and which were not looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    known: u64,
    yes: u64,
}

impl Answers {
    /// Notes an answer.
    pub fn set(&mut self, index: usize, yes: bool) {
        self.known |= 1 << index;
        self.yes |= u64::from(yes) << index;
    }

    /// The answer, if it is known.
    pub(super) fn of(self, index: usize) -> Result<bool, Open> {
        if self.known & (1 << index) == 0 { Err(Open(index)) } else { Ok(self.yes & (1 << index) != 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_contents_need_the_header() {
        let subject = Content::Header { name: "Subject".into(), needle: mime::fold("x") };
        let find = |content: &Content, header| content.find(&Looked { header, whole: None });
        assert_eq!(find(&subject, None), None);
        assert_eq!(find(&subject, Some(b"Subject: abc\r\n\r\n")), Some(false));
        assert_eq!(find(&subject, Some(b"Subject: AXE\r\n\r\n")), Some(true));
        let day: Days = 760_104_000 / 86_400;
        let header = Some(&b"Date: Tue, 1 Feb 1994 23:59:59 -0800\r\n\r\n"[..]);
        assert_eq!(find(&Content::Sent(DayIs::On, day), header), Some(true), "in the sender's own zone");
        assert_eq!(find(&Content::Sent(DayIs::On, day), Some(b"\r\n")), Some(false));
        assert_eq!(find(&Content::Body("x".into()), header), None);
    }

    #[test]
    fn answers_are_kept_to_the_last_bit() {
        let mut answers = Answers::default();
        answers.set(63, true);
        answers.set(0, false);
        assert_eq!((answers.of(63), answers.of(0), answers.of(5)), (Ok(true), Ok(false), Err(Open(5))));
    }
}
