//! What keys look for in messages, and what was found of it.
//!
//! *Owns*: the contents a key can ask for, and the answers of the message at hand. *Promises*: a content is
//! looked for once a message, whichever keys ask for it; what is stored beside the message is asked before the
//! message. *Assumes*: at most `limits::IMAP_SEARCH_CONTENT_KEYS_MAX` contents, one bit each. *Never*: fetches.

use ringpost_engine::layout::{MessageIdHash, SummaryView, field_name_hash};

use super::Open;
use crate::proto::imap::command::DayIs;
use crate::proto::mime::date::Days;
use crate::proto::mime::search::{Scope, TextNeedle, TextSearch};

/// Something in a message. Texts are decoded and folded.
#[derive(Clone, Debug)]
pub enum Content {
    /// The Date field's day, in the sender's own zone (rfc3501#6.4.4).
    Sent(DayIs, Days),
    /// The thread it belongs to (rfc8474#5.2).
    Thread(MessageIdHash),
    /// A field of this name with this text; any field of the name if the text is empty.
    Header(String, TextNeedle),
    /// Text of the body.
    Body(TextNeedle),
    /// Text anywhere.
    Text(TextNeedle),
}

impl Content {
    /// Whether both look for the same.
    pub fn is_same(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Sent(is, day), Content::Sent(other_is, other_day)) => {
                (is, day) == (other_is, other_day)
            }
            (Content::Thread(one), Content::Thread(other)) => one == other,
            (Content::Header(name, one), Content::Header(other_name, other)) => {
                name.eq_ignore_ascii_case(other_name) && one.folded() == other.folded()
            }
            (Content::Body(one), Content::Body(other)) | (Content::Text(one), Content::Text(other)) => {
                one.folded() == other.folded()
            }
            _ => false,
        }
    }

    /// What the summary knows of it; none if the message itself has to be read.
    pub fn ask(&self, summary: &SummaryView<'_>) -> Option<bool> {
        match self {
            Content::Sent(is, day) => {
                let sent = summary.sort_keys().and_then(|keys| keys.sent_day);
                Some(sent.is_some_and(|sent| is.holds(sent, *day)))
            }
            Content::Thread(thread) => Some(summary.thread_id() == *thread),
            Content::Header(name, needle) => {
                let hash = field_name_hash(name.as_bytes());
                let is_there =
                    summary.fields().is_none_or(|mut fields| fields.any(|field| field.name_hash == hash));
                let might = is_there && needle.might_be_in(summary);
                (!might).then_some(false)
            }
            Content::Body(needle) | Content::Text(needle) => (!needle.might_be_in(summary)).then_some(false),
        }
    }

    /// The reading that finds it in the message, and for what; none where [`Content::ask`] always answers.
    pub fn search(&self, summary: &SummaryView<'_>) -> Option<(TextSearch, &TextNeedle)> {
        match self {
            Content::Sent(..) | Content::Thread(_) => None,
            Content::Header(name, needle) => Some((TextSearch::in_field(summary, name), needle)),
            Content::Body(needle) => Some((TextSearch::new(summary, Scope::Body), needle)),
            Content::Text(needle) => Some((TextSearch::new(summary, Scope::Text), needle)),
        }
    }

    /// The text it looks for.
    pub fn needle(&self) -> Option<&TextNeedle> {
        match self {
            Content::Sent(..) | Content::Thread(_) => None,
            Content::Header(_, needle) | Content::Body(needle) | Content::Text(needle) => Some(needle),
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
    use crate::proto::mime;

    fn content(name: &str, needle: &str) -> Content {
        Content::Header(name.to_owned(), TextNeedle::new(&mime::fold(needle)))
    }

    #[test]
    fn the_summary_answers_what_it_can() {
        let message =
            b"Subject: AXES\r\nDate: Tue, 1 Feb 1994 23:59:59 -0800\r\nMessage-ID: <a@x>\r\n\r\nhello world\r\n";
        let encoded = mime::summarise(message).encode();
        let summary = SummaryView::new(&encoded).expect("just encoded");
        let day: Days = 760_104_000 / 86_400;
        assert_eq!(Content::Sent(DayIs::On, day).ask(&summary), Some(true), "in the sender's own zone");
        assert_eq!(Content::Sent(DayIs::Before, day).ask(&summary), Some(false));
        assert_eq!(Content::Thread(summary.thread_id()).ask(&summary), Some(true));
        assert_eq!(Content::Thread(1).ask(&summary), Some(false));
        assert_eq!(content("To", "axe").ask(&summary), Some(false), "no such field");
        assert_eq!(content("Subject", "wood").ask(&summary), Some(false), "no such text anywhere");
        for open in [content("SUBJECT", "axe"), content("subject", ""), content("Subject", "hello")] {
            assert_eq!(open.ask(&summary), None);
        }
        let text = |needle: &str| Content::Body(TextNeedle::new(&mime::fold(needle)));
        assert_eq!((text("planet").ask(&summary), text("world").ask(&summary)), (Some(false), None));
    }

    #[test]
    fn answers_are_kept_to_the_last_bit() {
        let mut answers = Answers::default();
        answers.set(63, true);
        answers.set(0, false);
        assert_eq!((answers.of(63), answers.of(0), answers.of(5)), (Ok(true), Ok(false), Err(Open(5))));
    }
}
