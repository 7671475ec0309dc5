//! NOTIFY.
//!
//! *Owns*: its grammar (rfc5465#8) and which events go together (rfc5465#5). *Promises*: what `parse`
//! promises. *Assumes*: nothing. *Never*: knows which mailboxes exist.

use super::fetch::item;
use super::lexer::Lexer;
use super::mailbox::mailbox;
use super::{Fault, Parsed};
use crate::limits::IMAP_LIST_ITEMS_MAX;
use crate::proto::imap::command::{
    Events, FetchItem, MailboxFilter, Notify, NotifyGroup, NotifySelected, Verb,
};

/// What is read so far.
#[derive(Default)]
struct Reading {
    selected: Option<NotifySelected>,
    groups: Vec<NotifyGroup>,
    unsupported: bool,
}

/// rfc5465#3.1
pub fn notify(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    match lexer.keyword().as_str() {
        "NONE" => return Ok(Verb::Notify(Notify::None)),
        "SET" => {}
        _ => return Err(Fault::Bad("NOTIFY takes SET or NONE")),
    }
    lexer.space()?;
    let status = lexer.eat_keyword("STATUS");
    let mut reading = Reading::default();
    for _ in 0..IMAP_LIST_ITEMS_MAX {
        group(lexer, &mut reading)?;
        if !lexer.more() {
            let Reading { selected, groups, unsupported } = reading;
            return Ok(Verb::Notify(match unsupported {
                true => Notify::Unsupported,
                false => Notify::Set { status, selected, groups },
            }));
        }
    }
    Err(Fault::Limit("Too many event groups"))
}

/// `event-group`
fn group(lexer: &mut Lexer, reading: &mut Reading) -> Parsed<()> {
    lexer.expect(b'(', "An event group is a list")?;
    let name = lexer.keyword();
    let filter = match name.as_str() {
        "SELECTED" | "SELECTED-DELAYED" => None,
        // rfc5465#6.3: any mailbox can be delivered to.
        "INBOXES" | "PERSONAL" => Some(MailboxFilter::Personal),
        "SUBSCRIBED" => Some(MailboxFilter::Subscribed),
        "SUBTREE" => Some(MailboxFilter::Subtree(mailboxes(lexer)?)),
        "MAILBOXES" => Some(MailboxFilter::Mailboxes(mailboxes(lexer)?)),
        _ => return Err(Fault::Bad("Unknown mailbox filter")),
    };
    lexer.space()?;
    let (mut events, mut items) = (Events::NONE, Vec::new());
    if lexer.peek() != Some(b'(') {
        if lexer.keyword().as_str() != "NONE" {
            return Err(Fault::Bad("Events are a list, or NONE"));
        }
    } else {
        let mut any = false;
        lexer.list(|lexer| {
            any = true;
            let one = event(lexer, filter.is_none(), &mut items)?;
            reading.unsupported |= one.is_none();
            events = events.with(one.unwrap_or(Events::NONE));
            Ok(())
        })?;
        if !any {
            return Err(Fault::Bad("An event is missing"));
        }
    }
    lexer.expect(b')', "An event group does not end")?;
    check(events, filter.is_none())?;
    match filter {
        Some(filter) => reading.groups.push(NotifyGroup { filter, events }),
        // rfc5465#6.1: only one of the two, once.
        None if reading.selected.is_some() => return Err(Fault::Bad("SELECTED stands twice")),
        None => {
            let delayed = name.as_str() == "SELECTED-DELAYED";
            reading.selected = Some(NotifySelected { delayed, events, items });
        }
    }
    Ok(())
}

/// rfc5465#5, #6.1
fn check(events: Events, selected: bool) -> Parsed<()> {
    let both = Events::MESSAGE_NEW.with(Events::MESSAGE_EXPUNGE);
    let has_both = events.0 & both.0 == both.0;
    if events.any(Events::OF_MESSAGES) && !has_both {
        return Err(Fault::Bad("MessageNew and MessageExpunge go together"));
    }
    if selected && events.0 & !Events::OF_MESSAGES.0 != 0 {
        return Err(Fault::Bad("Only message events can be asked of the selected mailbox"));
    }
    Ok(())
}

/// One event; none if it is not supported. What is to be fetched of new messages goes into `items`.
fn event(lexer: &mut Lexer, selected: bool, items: &mut Vec<FetchItem>) -> Parsed<Option<Events>> {
    let name = lexer.atom()?.to_ascii_uppercase();
    Ok(Some(match name.as_slice() {
        b"MESSAGENEW" => {
            // A list can follow; another event begins with no parenthesis.
            if lexer.list_ahead() {
                if !selected {
                    return Err(Fault::Bad("Only of the selected mailbox something can be fetched"));
                }
                lexer.list(|lexer| item(lexer, items))?;
            }
            Events::MESSAGE_NEW
        }
        b"MESSAGEEXPUNGE" => Events::MESSAGE_EXPUNGE,
        b"FLAGCHANGE" => Events::FLAG_CHANGE,
        b"MAILBOXNAME" => Events::MAILBOX_NAME,
        b"SUBSCRIPTIONCHANGE" => Events::SUBSCRIPTION,
        b"MAILBOXMETADATACHANGE" => Events::MAILBOX_METADATA,
        b"SERVERMETADATACHANGE" => Events::SERVER_METADATA,
        // AnnotationChange, and whatever comes later.
        _ => return Ok(None),
    }))
}

/// `one-or-more-mailbox`, with the space before it.
fn mailboxes(lexer: &mut Lexer) -> Parsed<Vec<String>> {
    lexer.space()?;
    if lexer.peek() != Some(b'(') {
        return Ok(vec![mailbox(lexer)?]);
    }
    let mut names = Vec::new();
    lexer.list(|lexer| {
        names.push(mailbox(lexer)?);
        Ok(())
    })?;
    if names.is_empty() { Err(Fault::Bad("A mailbox is missing")) } else { Ok(names) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bad, verb};
    use super::*;

    #[test]
    fn the_example_of_rfc5465() {
        // rfc5465#3.1, in the grammar of rfc5465#8, from which the example strays
        let Verb::Notify(Notify::Set { status, selected: Some(selected), groups }) = verb(concat!(
            "notify set status (selected (MessageNew (uid body.peek[header.fields (from to subject)]) ",
            "MessageExpunge)) (subtree Lists (MessageNew MessageExpunge))"
        )) else {
            panic!("not as it was asked");
        };
        let both = Events::MESSAGE_NEW.with(Events::MESSAGE_EXPUNGE);
        assert!(status && !selected.delayed);
        assert_eq!((selected.events, selected.items.len()), (both, 2));
        let filter = MailboxFilter::Subtree(vec!["Lists".to_owned()]);
        assert_eq!(groups, [NotifyGroup { filter, events: both }]);
        assert_eq!(verb("NOTIFY NONE"), Verb::Notify(Notify::None));
        let annotations = "NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))";
        assert_eq!(verb(annotations), Verb::Notify(Notify::Unsupported));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for text in [
            "NOTIFY",
            "NOTIFY SET",
            "NOTIFY SET STATUS",
            "NOTIFY SET ()",
            "NOTIFY SET (selected ())",
            "NOTIFY SET (selected (MessageNew))",
            "NOTIFY SET (selected (MessageExpunge))",
            "NOTIFY SET (personal (FlagChange))",
            "NOTIFY SET (selected (MailboxName))",
            "NOTIFY SET (selected NONE) (selected-delayed NONE)",
            "NOTIFY SET (personal (MessageNew (uid) MessageExpunge))",
            "NOTIFY SET (subtree NONE)",
            "NOTIFY SET (mailboxes () NONE)",
            "NOTIFY SET (everything NONE)",
        ] {
            assert!(bad(text), "{text}");
        }
    }
}
