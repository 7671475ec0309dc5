//! APPEND and REPLACE, between whose words messages are streamed.
//!
//! *Owns*: their grammar: rfc3501#6.3.11 with rfc3502#4, rfc4466#3, rfc4469#5, rfc6855#4 and rfc8508#5.
//! *Promises*: what `parse` promises; the same pieces however many literals the text is cut by. *Assumes*:
//! the framer ends a text before every streamed literal. *Never*: sees what is in such a literal.
//!
//! ```text
//!             ┌─────────────── `)` ◄── InUtf8 ◄──UTF8 ( ~{n}──┐
//!             ▼                                              │
//!  Between ──flags, date──► data: {n} ──► AfterMessage ──► Between ──end of the command──► done
//!             ▲               └──CATENATE (──► InCatenate ──TEXT {n}, URL, UTF8 (~{n})──► InCatenate
//!             └─────────────────────────────── `)` ◄──┘
//! ```

use bytes::Bytes;
use ringpost_engine::change::Flags;

use super::date::date_time;
use super::lexer::Lexer;
use super::mailbox::mailbox;
use super::sequence::bound;
use super::store::flag_list;
use super::{Fault, Parsed};
use crate::limits::IMAP_CATENATE_PARTS_MAX;
use crate::proto::imap::command::{Append, AppendPiece, Replaced, Verb};
use crate::proto::imap::framer::Literal;

/// APPEND up to where its messages begin.
pub fn append(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    Ok(Verb::Append(Append { mailbox, replaces: None, text: lexer.take_rest() }))
}

/// REPLACE and UID REPLACE up to where the message begins (rfc8508#5).
pub fn replace(lexer: &mut Lexer, uid: bool) -> Parsed<Verb> {
    lexer.space()?;
    let replaces = Some(Replaced { uid, number: bound(lexer)? });
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    Ok(Verb::Append(Append { mailbox, replaces, text: lexer.take_rest() }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a message, or at the end.
    Between,
    /// A message was one literal, which came.
    AfterMessage,
    /// `UTF8 (~{n}` came; inside a CATENATE or not.
    InUtf8 { catenate: bool },
    /// Inside `CATENATE (…`; whether a part came already.
    InCatenate { any: bool },
}

/// Reads what stands between the literals.
#[derive(Debug)]
pub struct AppendReader {
    place: Place,
    /// Parts of the CATENATE under way.
    parts: usize,
    messages: usize,
}

impl Default for AppendReader {
    fn default() -> AppendReader {
        AppendReader { place: Place::Between, parts: 0, messages: 0 }
    }
}

impl AppendReader {
    /// Reads a text up to the announcement of `literal`, or to the end of the command if there is none.
    pub fn read(&mut self, text: &Bytes, literal: Option<Literal>) -> Parsed<Vec<AppendPiece>> {
        let mut lexer = Lexer::new(text.clone());
        let mut pieces = Vec::new();
        loop {
            let done = match self.place {
                Place::AfterMessage => {
                    pieces.push(AppendPiece::End);
                    self.place = Place::Between;
                    false
                }
                Place::Between if literal.is_none() && self.messages > 0 && lexer.is_at_end() => true,
                Place::Between => self.message(&mut lexer, literal, &mut pieces)?,
                Place::InUtf8 { catenate } => {
                    lexer.expect(b')', "The parenthesis of UTF8 does not end")?;
                    self.leave_literal(catenate, &mut pieces);
                    false
                }
                Place::InCatenate { any } => self.part(any, &mut lexer, literal, &mut pieces)?,
            };
            if done {
                lexer.end()?;
                return Ok(pieces);
            }
        }
    }

    fn leave_literal(&mut self, catenate: bool, pieces: &mut Vec<AppendPiece>) {
        if catenate {
            self.place = Place::InCatenate { any: true };
        } else {
            pieces.push(AppendPiece::End);
            self.place = Place::Between;
        }
    }

    /// `append-message`. Whether the text ends with it.
    fn message(
        &mut self,
        lexer: &mut Lexer,
        literal: Option<Literal>,
        pieces: &mut Vec<AppendPiece>,
    ) -> Parsed<bool> {
        lexer.space()?;
        let (mut flags, mut internal_ms) = (Flags::default(), None);
        if lexer.peek() == Some(b'(') {
            flags = flag_list(lexer)?;
            lexer.space()?;
        }
        if lexer.peek() == Some(b'"') {
            internal_ms = Some(date_time(lexer)?);
            lexer.space()?;
        }
        self.messages += 1;
        pieces.push(AppendPiece::Message { flags, internal_ms });
        if lexer.is_at_end() {
            announced(literal)?;
            pieces.push(AppendPiece::Octets);
            self.place = Place::AfterMessage;
            return Ok(true);
        }
        match lexer.keyword().as_str() {
            "CATENATE" => {
                lexer.space()?;
                lexer.expect(b'(', "CATENATE takes a list")?;
                self.parts = 0;
                self.place = Place::InCatenate { any: false };
                Ok(false)
            }
            "UTF8" => self.utf8(false, lexer, literal, pieces),
            _ => Err(Fault::Bad("A message is a literal, CATENATE or UTF8")),
        }
    }

    /// `cat-part`, or the end of the list. Whether the text ends with it.
    fn part(
        &mut self,
        any: bool,
        lexer: &mut Lexer,
        literal: Option<Literal>,
        pieces: &mut Vec<AppendPiece>,
    ) -> Parsed<bool> {
        if any && lexer.eat(b')') {
            pieces.push(AppendPiece::End);
            self.place = Place::Between;
            return Ok(false);
        }
        if any {
            lexer.space()?;
        }
        if self.parts == IMAP_CATENATE_PARTS_MAX {
            return Err(Fault::Limit("CATENATE has too many parts"));
        }
        self.parts += 1;
        self.place = Place::InCatenate { any: true };
        match lexer.keyword().as_str() {
            "TEXT" => {
                lexer.space()?;
                let text = announced(literal)?;
                if text.binary || !lexer.is_at_end() {
                    return Err(Fault::Bad("TEXT takes a literal"));
                }
                pieces.push(AppendPiece::Octets);
                Ok(true)
            }
            "URL" => {
                lexer.space()?;
                if lexer.is_at_end() {
                    announced(literal)?;
                    pieces.push(AppendPiece::UrlOctets);
                    return Ok(true);
                }
                pieces.push(AppendPiece::Url(lexer.astring()?));
                Ok(false)
            }
            "UTF8" => self.utf8(true, lexer, literal, pieces),
            _ => Err(Fault::Bad("A part is TEXT, URL or UTF8")),
        }
    }

    /// `utf8-literal`, its name read (rfc6855#4).
    fn utf8(
        &mut self,
        catenate: bool,
        lexer: &mut Lexer,
        literal: Option<Literal>,
        pieces: &mut Vec<AppendPiece>,
    ) -> Parsed<bool> {
        lexer.space()?;
        lexer.expect(b'(', "UTF8 takes a literal in parentheses")?;
        if !announced(literal)?.binary || !lexer.is_at_end() {
            return Err(Fault::Bad("UTF8 takes a literal8"));
        }
        pieces.push(AppendPiece::Utf8Octets);
        self.place = Place::InUtf8 { catenate };
        Ok(true)
    }
}

fn announced(literal: Option<Literal>) -> Parsed<Literal> {
    literal.ok_or(Fault::Bad("Something is missing at the end"))
}

#[cfg(test)]
mod tests {
    use ringpost_engine::change::FlagBits;

    use super::super::tests::{bad, cannot, verb};
    use super::*;
    use crate::proto::imap::command::Bound;

    const LITERAL: Literal = Literal { size: 5, sync: true, binary: false };
    const LITERAL8: Literal = Literal { binary: true, ..LITERAL };

    /// What is read of a command's texts, each but the last up to a literal.
    fn read(texts: &[(&str, Option<Literal>)]) -> Parsed<Vec<AppendPiece>> {
        let mut reader = AppendReader::default();
        let mut pieces = Vec::new();
        for (text, literal) in texts {
            pieces.extend(reader.read(&Bytes::copy_from_slice(text.as_bytes()), *literal)?);
        }
        Ok(pieces)
    }

    fn message(system: FlagBits, internal_ms: Option<i64>) -> AppendPiece {
        AppendPiece::Message { flags: Flags { system, keywords: vec![] }, internal_ms }
    }

    fn url(text: &'static str) -> AppendPiece {
        AppendPiece::Url(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn heads() {
        let head = |text: &str, replaces| {
            let Verb::Append(append) = verb(text) else { panic!("{text}") };
            assert_eq!(append.replaces, replaces, "{text}");
            (append.mailbox, String::from_utf8_lossy(&append.text).into_owned())
        };
        let of = |mailbox: &str, text: &str| (mailbox.to_owned(), text.to_owned());
        assert_eq!(head("APPEND saved-messages (\\Seen) ", None), of("saved-messages", " (\\Seen) "));
        assert_eq!(head("append inbox ", None), of("INBOX", " "));
        assert_eq!(head("APPEND {3}\r\na b ", None), of("a b", " "));
        // rfc8508#3.2, #3.3
        let replaced = |uid, number| Some(Replaced { uid, number: Bound::At(number) });
        assert_eq!(head("REPLACE 4 Drafts (\\Seen \\Draft) ", replaced(false, 4)).0, "Drafts");
        assert_eq!(head("UID REPLACE 2000 Drafts ", replaced(true, 2000)), of("Drafts", " "));
        assert_eq!(head("REPLACE * x ", Some(Replaced { uid: false, number: Bound::Last })).0, "x");
        for text in
            ["APPEND ", "REPLACE x y ", "REPLACE 0 y ", "REPLACE 1:2 y ", "UID APPEND x ", "REPLACE 1"]
        {
            assert!(bad(text), "{text}");
        }
        assert!(cannot("APPEND &x "));
    }

    #[test]
    fn messages_one_and_many() {
        let one = [message(FlagBits::NONE, None), AppendPiece::Octets];
        assert_eq!(read(&[(" ", Some(LITERAL))]).unwrap(), one);
        assert_eq!(read(&[(" ", Some(LITERAL8)), ("", None)]).unwrap().last(), Some(&AppendPiece::End));
        assert_eq!(
            read(&[(" () \"17-Jul-1996 02:44:25 -0700\" ", Some(LITERAL))]).unwrap()[0],
            message(FlagBits::NONE, Some(837_596_665_000))
        );
        // rfc3502#4
        assert_eq!(
            read(&[
                (" (\\Seen) ", Some(LITERAL)),
                (" (\\Seen) \" 7-Feb-1994 22:43:04 -0800\" ", Some(LITERAL)),
                ("", None)
            ])
            .unwrap(),
            [
                message(FlagBits::SEEN, None),
                AppendPiece::Octets,
                AppendPiece::End,
                message(FlagBits::SEEN, Some(760_689_784_000)),
                AppendPiece::Octets,
                AppendPiece::End
            ]
        );
    }

    #[test]
    fn catenations() {
        // rfc4469#A, example 1
        assert_eq!(
            read(&[
                (" (\\Draft) CATENATE (URL \"/Drafts;UID=20/;section=HEADER\" TEXT ", Some(LITERAL)),
                (" URL \"/Drafts/;UID=20\" URL x TEXT ", Some(LITERAL)),
                (" URL ", Some(LITERAL)),
                (")", None)
            ])
            .unwrap(),
            [
                message(FlagBits::DRAFT, None),
                url("/Drafts;UID=20/;section=HEADER"),
                AppendPiece::Octets,
                url("/Drafts/;UID=20"),
                url("x"),
                AppendPiece::Octets,
                AppendPiece::UrlOctets,
                AppendPiece::End
            ]
        );
        let whole = read(&[(" CATENATE (URL a) () CATENATE (URL b)", None)]).unwrap();
        assert_eq!(whole.iter().filter(|piece| **piece == AppendPiece::End).count(), 2);
        // rfc6855#4
        let utf8 = read(&[(" UTF8 (", Some(LITERAL8)), (")", None)]).unwrap();
        assert_eq!(utf8, [message(FlagBits::NONE, None), AppendPiece::Utf8Octets, AppendPiece::End]);
        let part = read(&[(" CATENATE (UTF8 (", Some(LITERAL8)), (") URL x)", None)]).unwrap();
        let expected = [message(FlagBits::NONE, None), AppendPiece::Utf8Octets, url("x"), AppendPiece::End];
        assert_eq!(part, expected);
        let many = |count: usize| format!(" CATENATE (URL x{})", " URL x".repeat(count - 1));
        assert!(read(&[(&many(IMAP_CATENATE_PARTS_MAX), None)]).is_ok());
        assert!(matches!(read(&[(&many(IMAP_CATENATE_PARTS_MAX + 1), None)]), Err(Fault::Limit(_))));
    }

    #[test]
    fn broken_texts() {
        for text in [
            "",
            " (\\Seen)",
            " y ",
            " (",
            " \"today\" ",
            " \"17-Jul-1996 02:44:25 -0700\"",
            " \"31-Jun-1996 02:44:25 -0700\" ",
            " \"17-Jul-1996 24:44:25 -0700\" ",
            " \"17-Jul-1996 02:44:25 -0700\" () ",
            " \"17-Jul-1996 02:44:25\" ",
            " (a) (b) ",
            " CATENATE ",
            " CATENATE (",
            " CATENATE (TEXT",
            " CATENATE (TEXT x ",
            " CATENATE (URL a)",
            " UTF8 (",
        ] {
            assert!(matches!(read(&[(text, Some(LITERAL))]), Err(Fault::Bad(_))), "{text}");
        }
        for text in
            ["", " ", " ()", " CATENATE ()", " CATENATE (URL a", " CATENATE (URL a) x", " CATENATE (TEXT )"]
        {
            assert!(matches!(read(&[(text, None)]), Err(Fault::Bad(_))), "{text}");
        }
        for text in [" ", ")", " junk", " ()"] {
            assert!(matches!(read(&[(" ", Some(LITERAL)), (text, None)]), Err(Fault::Bad(_))), "{text}");
        }
        assert!(read(&[(" UTF8 (", Some(LITERAL8)), ("", None)]).is_err());
        assert!(read(&[(" CATENATE (TEXT ", Some(LITERAL8))]).is_err(), "rfc4469#5: a literal");
    }
}
