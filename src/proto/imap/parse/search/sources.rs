//! Which mailboxes ESEARCH looks into.
//!
//! *Owns*: `esearch-source-opts` (rfc7377#4, rfc5465#8). *Promises*: what `parse` promises; never empty.
//! *Assumes*: nothing. *Never*: knows which mailboxes there are.

use crate::limits::IMAP_LIST_ITEMS_MAX;
use crate::proto::imap::command::Source;
use crate::proto::imap::parse::lexer::Lexer;
use crate::proto::imap::parse::mailbox::mailbox;
use crate::proto::imap::parse::{Fault, Parsed};

/// `IN (…)` and the space behind it; the selected mailbox where it is missing.
pub fn sources(lexer: &mut Lexer) -> Parsed<Vec<Source>> {
    if !lexer.eat_keyword("IN") {
        return Ok(vec![Source::Selected]);
    }
    let mut sources = Vec::new();
    let mut names_left = IMAP_LIST_ITEMS_MAX;
    lexer.list(|lexer| {
        let source = source(lexer, &mut names_left)?;
        if !sources.contains(&source) {
            sources.push(source);
        }
        Ok(())
    })?;
    if sources.is_empty() {
        return Err(Fault::Bad("A source is missing"));
    }
    lexer.space()?;
    Ok(sources)
}

fn source(lexer: &mut Lexer, names_left: &mut usize) -> Parsed<Source> {
    Ok(match lexer.keyword().as_str() {
        "SELECTED" => Source::Selected,
        "INBOXES" => Source::Inboxes,
        "PERSONAL" => Source::Personal,
        "SUBSCRIBED" => Source::Subscribed,
        "SUBTREE" => Source::Subtree(names(lexer, names_left)?),
        "SUBTREE-ONE" => Source::SubtreeOne(names(lexer, names_left)?),
        "MAILBOXES" => Source::Mailboxes(names(lexer, names_left)?),
        // rfc7377#2.2: selected-delayed is not valid here.
        _ => return Err(Fault::Bad("Unknown source of messages")),
    })
}

/// `one-or-more-mailbox`
fn names(lexer: &mut Lexer, left: &mut usize) -> Parsed<Vec<String>> {
    let mut names = Vec::new();
    let mut name = |lexer: &mut Lexer| {
        *left = left.checked_sub(1).ok_or(Fault::Limit("Too many mailboxes are named"))?;
        names.push(mailbox(lexer)?);
        Ok(())
    };
    lexer.space()?;
    if lexer.peek() == Some(b'(') {
        lexer.list(name)?
    } else {
        name(lexer)?
    }
    if names.is_empty() { Err(Fault::Bad("A mailbox is missing")) } else { Ok(names) }
}
