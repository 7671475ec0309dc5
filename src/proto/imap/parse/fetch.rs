//! FETCH.
//!
//! *Owns*: its grammar. *Promises*: what `parse` promises; macros are expanded, every item stands once.
//! *Assumes*: nothing. *Never*: knows a message.

use super::lexer::Lexer;
use super::search::partial_range;
use super::sequence::sequence_set;
use super::{Fault, Parsed};
use crate::limits::IMAP_SECTION_PATH_MAX;
use crate::proto::imap::command::{Fetch, FetchItem, Partial, Section, SectionText, Verb};

/// rfc3501#6.4.5, rfc7162#3.1.4
pub fn fetch(lexer: &mut Lexer, uid: bool) -> Parsed<Verb> {
    lexer.space()?;
    let set = sequence_set(lexer)?;
    lexer.space()?;
    let mut items = Vec::new();
    if lexer.peek() == Some(b'(') {
        lexer.list(|lexer| item(lexer, &mut items))?;
        if items.is_empty() {
            return Err(Fault::Bad("A FETCH item is missing"));
        }
    } else {
        item_or_macro(lexer, &mut items)?;
    }
    let (mut changed_since, mut vanished, mut partial) = (None, false, None);
    if lexer.more() {
        lexer.list(|lexer| match lexer.keyword().as_str() {
            "CHANGEDSINCE" if changed_since.is_none() => {
                lexer.space()?;
                changed_since = Some(lexer.mod_sequence()?);
                Ok(())
            }
            "VANISHED" if uid && !vanished => {
                vanished = true;
                Ok(())
            }
            // rfc9394#3.3
            "PARTIAL" if uid && partial.is_none() => {
                lexer.space()?;
                partial = Some(partial_range(lexer)?);
                Ok(())
            }
            _ => Err(Fault::Bad("Unknown FETCH modifier")),
        })?;
    }
    if vanished && changed_since.is_none() {
        // rfc7162#3.2.6
        return Err(Fault::Bad("VANISHED needs CHANGEDSINCE"));
    }
    Ok(Verb::Fetch(Fetch { uid, set, items, changed_since, vanished, partial }))
}

/// An item alone may be a macro (rfc3501#6.4.5).
fn item_or_macro(lexer: &mut Lexer, items: &mut Vec<FetchItem>) -> Parsed<()> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    let name = lexer.keyword();
    match name.as_str() {
        "ALL" => items.extend([Flags, InternalDate, Rfc822Size, Envelope]),
        "FAST" => items.extend([Flags, InternalDate, Rfc822Size]),
        "FULL" => items.extend([Flags, InternalDate, Rfc822Size, Envelope, Body]),
        name => items.push(named_item(lexer, name)?),
    }
    Ok(())
}

/// `fetch-att`, if it does not stand in the list already.
pub fn item(lexer: &mut Lexer, items: &mut Vec<FetchItem>) -> Parsed<()> {
    let name = lexer.keyword();
    let item = named_item(lexer, name.as_str())?;
    if !items.contains(&item) {
        items.push(item);
    }
    Ok(())
}

/// `fetch-att`, its name read.
fn named_item(lexer: &mut Lexer, name: &str) -> Parsed<FetchItem> {
    Ok(match name {
        "BODY" if lexer.peek() == Some(b'[') => body_section(lexer, false)?,
        "BODY.PEEK" => body_section(lexer, true)?,
        "BINARY" => binary(lexer, false)?,
        "BINARY.PEEK" => binary(lexer, true)?,
        "BINARY.SIZE" => FetchItem::BinarySize(section_binary(lexer)?),
        "PREVIEW" => {
            // rfc8970#6
            lexer.eat_text(" (LAZY)");
            FetchItem::Preview
        }
        "SNIPPET" => {
            let _named = lexer.eat_text(" (FUZZY)") || lexer.eat_text(" (LAZY=FUZZY)");
            FetchItem::Snippet
        }
        "BODY" => FetchItem::Body,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "ENVELOPE" => FetchItem::Envelope,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "RFC822" => FetchItem::Rfc822,
        "RFC822.HEADER" => FetchItem::Rfc822Header,
        "RFC822.SIZE" => FetchItem::Rfc822Size,
        "RFC822.TEXT" => FetchItem::Rfc822Text,
        "UID" => FetchItem::Uid,
        "MODSEQ" => FetchItem::ModSeq,
        "EMAILID" => FetchItem::EmailId,
        "THREADID" => FetchItem::ThreadId,
        "SAVEDATE" => FetchItem::SaveDate,
        _ => return Err(Fault::Bad("Unknown FETCH item")),
    })
}

fn body_section(lexer: &mut Lexer, peek: bool) -> Parsed<FetchItem> {
    lexer.expect(b'[', "A section in brackets is missing")?;
    let section = section(lexer)?;
    lexer.expect(b']', "A section does not end")?;
    let partial = if lexer.eat(b'<') { Some(partial(lexer)?) } else { None };
    Ok(FetchItem::Section { peek, section, partial })
}

/// A section on its own, as a URL names it (rfc5092#11 `enc-section`); never empty.
pub fn whole_section(text: bytes::Bytes) -> Parsed<Section> {
    let mut lexer = Lexer::new(text);
    let section = section(&mut lexer)?;
    lexer.end()?;
    let empty = section.path.is_empty() && section.text == SectionText::Whole;
    if empty { Err(Fault::Bad("A section is missing")) } else { Ok(section) }
}

fn binary(lexer: &mut Lexer, peek: bool) -> Parsed<FetchItem> {
    let path = section_binary(lexer)?;
    let partial = if lexer.eat(b'<') { Some(partial(lexer)?) } else { None };
    Ok(FetchItem::Binary { peek, path, partial })
}

/// `section-binary` (rfc3516#7): part numbers, maybe none.
fn section_binary(lexer: &mut Lexer) -> Parsed<Vec<u32>> {
    lexer.expect(b'[', "A section in brackets is missing")?;
    let section = section(lexer)?;
    lexer.expect(b']', "A section does not end")?;
    if section.text == SectionText::Whole { Ok(section.path) } else { Err(Fault::Bad("BINARY takes a part")) }
}

/// `section-spec`, maybe empty.
fn section(lexer: &mut Lexer) -> Parsed<Section> {
    let mut path = Vec::new();
    while lexer.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        if path.len() == IMAP_SECTION_PATH_MAX {
            return Err(Fault::Limit("A section names too many levels"));
        }
        path.push(lexer.nz_number()?);
        if !lexer.eat(b'.') {
            return Ok(Section { path, text: SectionText::Whole });
        }
    }
    let text = match lexer.keyword().as_str() {
        "" if path.is_empty() => SectionText::Whole,
        "HEADER" => SectionText::Header,
        "HEADER.FIELDS" => SectionText::HeaderFields(header_list(lexer)?),
        "HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(header_list(lexer)?),
        "TEXT" => SectionText::Text,
        // rfc3501#6.4.5: MIME must be prefixed by numbers.
        "MIME" if !path.is_empty() => SectionText::Mime,
        _ => return Err(Fault::Bad("Unknown section")),
    };
    Ok(Section { path, text })
}

/// `header-list`, with the space before it.
fn header_list(lexer: &mut Lexer) -> Parsed<Vec<bytes::Bytes>> {
    lexer.space()?;
    let mut fields = Vec::new();
    lexer.list(|lexer| {
        fields.push(lexer.astring()?);
        Ok(())
    })?;
    if fields.is_empty() { Err(Fault::Bad("A header field name is missing")) } else { Ok(fields) }
}

/// The rest of `<number.nz-number>`.
fn partial(lexer: &mut Lexer) -> Parsed<Partial> {
    let start = lexer.number64()?;
    lexer.expect(b'.', "A partial is <start.count>")?;
    let count = lexer.number64()?;
    lexer.expect(b'>', "A partial is <start.count>")?;
    if count == 0 { Err(Fault::Bad("A partial's count must not be 0")) } else { Ok(Partial { start, count }) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ringpost_engine::ids::ModSeq;

    use super::super::tests::{bad, limit, verb};
    use super::*;
    use crate::proto::imap::command::{Bound, SequenceSet};

    fn fetched(text: &str) -> Fetch {
        match verb(text) {
            Verb::Fetch(fetch) => fetch,
            other => panic!("{other:?}"),
        }
    }

    fn items(items: &str) -> Vec<FetchItem> {
        fetched(&format!("FETCH 1 {items}")).items
    }

    fn body(path: &[u32], text: SectionText) -> FetchItem {
        FetchItem::Section { peek: false, section: Section { path: path.to_vec(), text }, partial: None }
    }

    fn fields(names: &[&'static str]) -> Vec<Bytes> {
        names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()
    }

    #[test]
    fn the_example_of_rfc3501() {
        // rfc3501#6.4.5
        let fetch = fetched("FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])");
        assert_eq!(
            fetch,
            Fetch {
                uid: false,
                set: SequenceSet { ranges: vec![(Bound::At(2), Bound::At(4))], saved: false },
                items: vec![
                    FetchItem::Flags,
                    body(&[], SectionText::HeaderFields(fields(&["DATE", "FROM"])))
                ],
                changed_since: None,
                partial: None,
                vanished: false,
            }
        );
    }

    #[test]
    fn every_item() {
        use FetchItem as I;
        assert_eq!(items("ALL"), [I::Flags, I::InternalDate, I::Rfc822Size, I::Envelope]);
        assert_eq!(items("fast"), [I::Flags, I::InternalDate, I::Rfc822Size]);
        assert_eq!(items("FULL"), [I::Flags, I::InternalDate, I::Rfc822Size, I::Envelope, I::Body]);
        assert_eq!(
            items(
                "(BODY BODYSTRUCTURE ENVELOPE FLAGS INTERNALDATE RFC822 RFC822.HEADER RFC822.SIZE \
                RFC822.TEXT UID MODSEQ uid)"
            ),
            [
                I::Body,
                I::BodyStructure,
                I::Envelope,
                I::Flags,
                I::InternalDate,
                I::Rfc822,
                I::Rfc822Header,
                I::Rfc822Size,
                I::Rfc822Text,
                I::Uid,
                I::ModSeq
            ]
        );
        assert_eq!(
            items("body.peek[]<0.2048>"),
            [I::Section {
                peek: true,
                section: Section { path: vec![], text: SectionText::Whole },
                partial: Some(Partial { start: 0, count: 2048 }),
            }]
        );
    }

    #[test]
    fn sections() {
        // rfc3501#6.4.5: the part specifiers of its complex message
        assert_eq!(items("BODY[HEADER]"), [body(&[], SectionText::Header)]);
        assert_eq!(
            items("(BODY[TEXT] BODY[])"),
            [body(&[], SectionText::Text), body(&[], SectionText::Whole)]
        );
        assert_eq!(items("BODY[4.2.2.1]"), [body(&[4, 2, 2, 1], SectionText::Whole)]);
        assert_eq!(items("BODY[3.header]"), [body(&[3], SectionText::Header)]);
        assert_eq!(items("BODY[4.1.MIME]"), [body(&[4, 1], SectionText::Mime)]);
        assert_eq!(
            items("BODY[1.HEADER.FIELDS.NOT (To \"x y\" {2}\r\nCc)]"),
            [body(&[1], SectionText::HeaderFieldsNot(fields(&["To", "x y", "Cc"])))]
        );
        for bad_items in [
            "BODY[MIME]",
            "BODY[0]",
            "BODY[1.]",
            "BODY[.1]",
            "BODY[1..2]",
            "BODY[1.0]",
            "BODY[HEADER.FIELDS]",
            "BODY[HEADER.FIELDS ()]",
            "BODY[HEADER.FIELDS (a]",
            "BODY[",
            "BODY[TEXT",
            "BODY[]<",
            "BODY[]<0>",
            "BODY[]<0.0>",
            "BODY[]<.1>",
            "BODY[]<0.1",
            "BODY[X]",
            "BODY.PEEK",
            "BODY[ TEXT]",
            "RFC822.PEEK",
            "()",
            "(ALL)",
            "X",
            "",
            "(FLAGS",
            "FLAGS)",
            "FLAGS UID",
            "BODY[4294967296]",
            "BODY[]<9223372036854775808.1>",
        ] {
            assert!(bad(&format!("FETCH 1 {bad_items}")), "{bad_items}");
        }
        let deep = |levels: usize| format!("FETCH 1 BODY[{}]", vec!["1"; levels].join("."));
        assert!(!limit(&deep(IMAP_SECTION_PATH_MAX)));
        assert!(limit(&deep(IMAP_SECTION_PATH_MAX + 1)));
    }

    #[test]
    fn decoded_parts_and_previews() {
        use FetchItem as I;
        let partial = Some(Partial { start: 5, count: 9 });
        assert_eq!(items("BINARY[1.2]<5.9>"), [I::Binary { peek: false, path: vec![1, 2], partial }]);
        assert_eq!(items("binary.peek[]"), [I::Binary { peek: true, path: vec![], partial: None }]);
        assert_eq!(items("(BINARY.SIZE[3] UID)"), [I::BinarySize(vec![3]), I::Uid]);
        assert_eq!(items("(PREVIEW (LAZY) UID)"), [I::Preview, I::Uid]);
        assert_eq!(items("(PREVIEW UID SNIPPET (FUZZY))"), [I::Preview, I::Uid, I::Snippet]);
        let fetch = fetched("FETCH 1 PREVIEW (LAZY) (CHANGEDSINCE 4)");
        assert_eq!((fetch.items, fetch.changed_since), (vec![I::Preview], Some(ModSeq(4))));
        for text in
            ["BINARY", "BINARY[TEXT]", "BINARY[1.MIME]", "BINARY.SIZE[1]<0.1>", "BINARY[0]", "(PREVIEW (X))"]
        {
            assert!(bad(&format!("FETCH 1 {text}")), "{text}");
        }
    }

    #[test]
    fn modifiers() {
        let fetch = fetched("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)"); // rfc7162#3.1.4.1
        assert_eq!((fetch.uid, fetch.changed_since), (true, Some(ModSeq(12345))));
        assert_eq!(fetched("FETCH 1 ALL (changedsince 1)").changed_since, Some(ModSeq(1)));
        for text in [
            "FETCH 1",
            "FETCH 1 FLAGS (X)",
            "FETCH 1 FLAGS (CHANGEDSINCE)",
            "FETCH 1 FLAGS CHANGEDSINCE 1",
            "FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
            "FETCH (FLAGS)",
            "FETCH",
        ] {
            assert!(bad(text), "{text}");
        }
    }
}
