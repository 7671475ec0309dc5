//! LIST, LSUB and STATUS.
//!
//! *Owns*: their grammar, options included. *Promises*: what `parse` promises; patterns have a bound together.
//! *Assumes*: [`super::mailbox`] for names. *Never*: knows which mailboxes exist.

use super::lexer::Lexer;
use super::mailbox::{mailbox, name_of};
use super::sharing::entries;
use super::{Fault, Parsed};
use crate::limits::IMAP_LIST_PATTERN_BYTES_MAX;
use crate::proto::imap::command::{List, ListReturn, ListSelect, StatusItem, Verb};

/// rfc3501#6.3.9
pub fn lsub(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let reference = mailbox(lexer)?;
    lexer.space()?;
    let pattern = pattern(lexer)?;
    check_patterns(&reference, std::slice::from_ref(&pattern))?;
    Ok(Verb::Lsub { reference, pattern })
}

fn pattern(lexer: &mut Lexer) -> Parsed<String> {
    let pattern = lexer.list_mailbox()?;
    name_of(&pattern, lexer.utf8())
}

/// Every name is compared with every pattern, so together they are bounded.
fn check_patterns(reference: &str, patterns: &[String]) -> Parsed<()> {
    let octets: usize = patterns.iter().map(|pattern| reference.len() + pattern.len()).sum();
    if octets > IMAP_LIST_PATTERN_BYTES_MAX { Err(Fault::Limit("The patterns are too long")) } else { Ok(()) }
}

/// rfc3501#6.3.8, rfc5258#6, rfc6154#6
pub fn list(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let (mut select, mut returns, mut extended) = (ListSelect::default(), ListReturn::default(), false);
    if lexer.peek() == Some(b'(') {
        extended = true;
        lexer.list(|lexer| select_option(lexer, &mut select))?;
        // rfc5258#3.1: it changes what another option selects.
        if select.recursive_match && !select.subscribed {
            return Err(Fault::Bad("RECURSIVEMATCH needs another selection option"));
        }
        lexer.space()?;
    }
    let reference = mailbox(lexer)?;
    lexer.space()?;
    let mut patterns = Vec::new();
    if lexer.peek() == Some(b'(') {
        extended = true;
        lexer.list(|lexer| {
            patterns.push(pattern(lexer)?);
            Ok(())
        })?;
        if patterns.is_empty() {
            return Err(Fault::Bad("A pattern is missing"));
        }
    } else {
        patterns.push(pattern(lexer)?);
    }
    check_patterns(&reference, &patterns)?;
    if lexer.more() {
        extended = true;
        if lexer.keyword().as_str() != "RETURN" {
            return Err(Fault::Bad("Unexpected text after the command"));
        }
        lexer.space()?;
        lexer.list(|lexer| return_option(lexer, &mut returns))?;
    }
    Ok(Verb::List(List { reference, patterns, select, returns, extended }))
}

fn select_option(lexer: &mut Lexer, select: &mut ListSelect) -> Parsed<()> {
    let chosen = match lexer.keyword().as_str() {
        "SUBSCRIBED" => &mut select.subscribed,
        "REMOTE" => &mut select.remote,
        "RECURSIVEMATCH" => &mut select.recursive_match,
        "SPECIAL-USE" => &mut select.special_use,
        _ => return Err(Fault::Bad("Unknown LIST selection option")),
    };
    *chosen = true;
    Ok(())
}

fn return_option(lexer: &mut Lexer, returns: &mut ListReturn) -> Parsed<()> {
    let chosen = match lexer.keyword().as_str() {
        "STATUS" => {
            lexer.space()?;
            returns.status = status_items(lexer)?;
            return Ok(());
        }
        "METADATA" => {
            lexer.space()?;
            returns.metadata = entries(lexer)?;
            return Ok(());
        }
        "MYRIGHTS" => &mut returns.my_rights,
        "SUBSCRIBED" => &mut returns.subscribed,
        "CHILDREN" => &mut returns.children,
        "SPECIAL-USE" => &mut returns.special_use,
        _ => return Err(Fault::Bad("Unknown LIST return option")),
    };
    *chosen = true;
    Ok(())
}

/// rfc3501#6.3.10
pub fn status(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    lexer.space()?;
    Ok(Verb::Status { mailbox, items: status_items(lexer)? })
}

/// `status-att`, at least one, each kept once.
fn status_items(lexer: &mut Lexer) -> Parsed<Vec<StatusItem>> {
    let mut items = Vec::new();
    lexer.list(|lexer| {
        let item = match lexer.keyword().as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "SIZE" => StatusItem::Size,
            "DELETED" => StatusItem::Deleted,
            "DELETED-STORAGE" => StatusItem::DeletedStorage,
            "APPENDLIMIT" => StatusItem::AppendLimit,
            "MAILBOXID" => StatusItem::MailboxId,
            _ => return Err(Fault::Bad("Unknown STATUS item")),
        };
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() { Err(Fault::Bad("A STATUS item is missing")) } else { Ok(items) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bad, limit, verb};
    use super::*;

    fn plain_list(reference: &str, pattern: &str) -> List {
        List {
            reference: reference.to_owned(),
            patterns: vec![pattern.to_owned()],
            select: ListSelect::default(),
            returns: ListReturn::default(),
            extended: false,
        }
    }

    #[test]
    fn lists_of_rfc3501() {
        // rfc3501#6.3.8
        for (text, reference, pattern) in [
            ("LIST \"\" \"\"", "", ""),
            ("LIST #news.comp.mail.misc \"\"", "#news.comp.mail.misc", ""),
            ("LIST /usr/staff/jones \"\"", "/usr/staff/jones", ""),
            ("LIST ~/Mail/ %", "~/Mail/", "%"),
            ("LIST \"\" Entw&APw-*", "", "Entwü*"),
            ("list \"\" {1}\r\n*", "", "*"),
            ("list \"\" inbox", "", "INBOX"),
        ] {
            assert_eq!(verb(text), Verb::List(plain_list(reference, pattern)), "{text}");
        }
        // rfc3501#6.3.9
        let lsub = Verb::Lsub { reference: "#news.".to_owned(), pattern: "comp.mail.*".to_owned() };
        assert_eq!(verb("LSUB \"#news.\" \"comp.mail.*\""), lsub);
        for text in
            ["LIST", "LIST \"\"", "LIST \"\" ", "LIST * \"\"", "LIST \"\" a b", "LSUB \"\"", "LSUB \"\" (a)"]
        {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn lists_of_rfc5258() {
        let subscribed = ListSelect { subscribed: true, ..ListSelect::default() };
        let extended = List { select: subscribed, extended: true, ..plain_list("", "*") };
        assert_eq!(verb("LIST (SUBSCRIBED) \"\" \"*\""), Verb::List(extended.clone())); // rfc5258#5
        let returns =
            ListReturn { subscribed: true, children: true, special_use: true, ..ListReturn::default() };
        assert_eq!(
            verb("LIST (subscribed) \"\" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)"),
            Verb::List(List { returns, ..extended.clone() })
        );
        let patterns = vec!["INBOX".to_owned(), "Drafts".to_owned(), "Sent/%".to_owned()];
        assert_eq!(
            verb(
                "LIST (SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE) \"\" (\"INBOX\" \"Drafts\" \"Sent/%\")"
            ),
            Verb::List(List {
                patterns,
                select: ListSelect {
                    subscribed: true,
                    remote: true,
                    recursive_match: true,
                    special_use: true
                },
                ..extended
            })
        );
        assert_eq!(
            verb("LIST () \"\" \"\" RETURN ()"),
            Verb::List(List { extended: true, ..plain_list("", "") })
        );
        // rfc5819#3
        let returns = ListReturn {
            status: vec![StatusItem::Messages, StatusItem::Unseen],
            children: true,
            ..ListReturn::default()
        };
        assert_eq!(
            verb("LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN messages) CHILDREN)"),
            Verb::List(List { returns, extended: true, ..plain_list("", "%") })
        );
        for text in [
            "LIST (RECURSIVEMATCH) \"\" *",
            "LIST (REMOTE RECURSIVEMATCH) \"\" *",
            "LIST (X) \"\" *",
            "LIST \"\" ()",
            "LIST \"\" * RETURN",
            "LIST \"\" * RETURN (X)",
            "LIST \"\" * RETURN (STATUS)",
            "LIST \"\" * RETURN (STATUS ())",
            "LIST \"\" * RETURN (STATUS (X))",
            "LIST \"\" * (CHILDREN)",
            "LIST \"\" (* (%))",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn statuses() {
        // rfc3501#6.3.10
        let items = vec![StatusItem::UidNext, StatusItem::Messages];
        assert_eq!(
            verb("STATUS blurdybloop (UIDNEXT MESSAGES uidnext)"),
            Verb::Status { mailbox: "blurdybloop".to_owned(), items }
        );
        let Verb::Status { items, .. } = verb("STATUS a (recent uidvalidity unseen highestmodseq)") else {
            panic!()
        };
        assert_eq!(
            items,
            [StatusItem::Recent, StatusItem::UidValidity, StatusItem::Unseen, StatusItem::HighestModSeq]
        );
        let Verb::Status { items, .. } =
            verb("STATUS a (size deleted deleted-storage appendlimit mailboxid)")
        else {
            panic!()
        };
        assert_eq!(
            items,
            [
                StatusItem::Size,
                StatusItem::Deleted,
                StatusItem::DeletedStorage,
                StatusItem::AppendLimit,
                StatusItem::MailboxId
            ]
        );
        for text in ["STATUS a", "STATUS a ()", "STATUS a UIDNEXT", "STATUS (UIDNEXT)", "STATUS a (SIZE2)"] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn patterns_have_a_bound_together() {
        let (half, over) =
            ("x".repeat(IMAP_LIST_PATTERN_BYTES_MAX / 2), "x*".repeat(IMAP_LIST_PATTERN_BYTES_MAX));
        assert!(!limit(&format!("LIST {half} {half}")) && limit(&format!("LIST {half} {half}%")));
        assert!(limit(&format!("LIST {half} (a b)")) && limit(&format!("LSUB \"\" {over}")));
    }
}
