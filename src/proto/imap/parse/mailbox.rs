//! Commands about mailboxes: SELECT, CREATE, RENAME, LIST, STATUS and their kin.
//!
//! *Owns*: their grammar; how a mailbox name is read. *Promises*: names are UTF-8 without control characters,
//! INBOX spelled `INBOX`. *Assumes*: nothing. *Never*: knows which mailboxes exist, or whether a name may be
//! created.

use ringpost_engine::change::SpecialUse;

use super::lexer::Lexer;
use super::{Fault, Parsed};
use crate::limits::IMAP_LIST_PATTERN_BYTES_MAX;
use crate::proto::imap::command::{List, ListReturn, ListSelect, Select, StatusItem, UseArgument, Verb};
use crate::proto::imap::utf7;

/// `mailbox`
pub fn mailbox(lexer: &mut Lexer) -> Parsed<String> {
    let name = lexer.astring()?;
    name_of(&name)
}

/// The name that `wire` spells (rfc3501#5.1.3).
fn name_of(wire: &[u8]) -> Parsed<String> {
    let name = utf7::decode(wire).map_err(|_| Fault::Cannot("A mailbox name is not modified UTF-7"))?;
    if name.chars().any(char::is_control) {
        return Err(Fault::Cannot("A mailbox name may not hold control characters"));
    }
    Ok(fold_inbox(name))
}

/// INBOX is the same in any case (rfc3501#5.1), also above other levels.
pub fn fold_inbox(mut name: String) -> String {
    const INBOX: &str = "INBOX";
    let level = name.split('/').next().unwrap_or("");
    if level.eq_ignore_ascii_case(INBOX) {
        name.replace_range(..INBOX.len(), INBOX);
    }
    name
}

/// rfc3501#6.3.1 and #6.3.2, rfc7162#3.1.8
pub fn select(lexer: &mut Lexer, read_only: bool) -> Parsed<Verb> {
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    let mut condstore = false;
    if lexer.more() {
        lexer.list(|lexer| match lexer.keyword().as_str() {
            "CONDSTORE" => {
                condstore = true;
                Ok(())
            }
            _ => Err(Fault::Bad("Unknown SELECT parameter")),
        })?;
    }
    Ok(Verb::Select(Select { mailbox, read_only, condstore }))
}

/// rfc3501#6.3.3, rfc6154#6
pub fn create(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    let mut special_use = UseArgument::None;
    if lexer.more() {
        lexer.list(|lexer| match lexer.keyword().as_str() {
            "USE" => {
                lexer.space()?;
                lexer.list(|lexer| use_attribute(lexer, &mut special_use))
            }
            _ => Err(Fault::Bad("Unknown CREATE parameter")),
        })?;
    }
    Ok(Verb::Create { mailbox, special_use })
}

/// `use-attr`
fn use_attribute(lexer: &mut Lexer, special_use: &mut UseArgument) -> Parsed<()> {
    lexer.expect(b'\\', "A special use begins with \\")?;
    let known = match lexer.atom()?.to_ascii_uppercase().as_slice() {
        b"ALL" => Some(SpecialUse::All),
        b"ARCHIVE" => Some(SpecialUse::Archive),
        b"DRAFTS" => Some(SpecialUse::Drafts),
        b"FLAGGED" => Some(SpecialUse::Flagged),
        b"JUNK" => Some(SpecialUse::Junk),
        b"SENT" => Some(SpecialUse::Sent),
        b"TRASH" => Some(SpecialUse::Trash),
        _ => None,
    };
    *special_use = match (*special_use, known) {
        (UseArgument::None, Some(known)) => UseArgument::One(known),
        (UseArgument::One(before), Some(known)) if before == known => UseArgument::One(known),
        _ => UseArgument::Unsupported,
    };
    Ok(())
}

/// rfc3501#6.3.4
pub fn delete(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    Ok(Verb::Delete { mailbox: mailbox(lexer)? })
}

/// rfc3501#6.3.5
pub fn rename(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let from = mailbox(lexer)?;
    lexer.space()?;
    Ok(Verb::Rename { from, to: mailbox(lexer)? })
}

/// rfc3501#6.3.6 and #6.3.7
pub fn subscribe(lexer: &mut Lexer, on: bool) -> Parsed<Verb> {
    lexer.space()?;
    Ok(Verb::Subscribe { mailbox: mailbox(lexer)?, on })
}

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
    name_of(&pattern)
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
        "SUBSCRIBED" => &mut returns.subscribed,
        "CHILDREN" => &mut returns.children,
        "SPECIAL-USE" => &mut returns.special_use,
        _ => return Err(Fault::Bad("Unknown LIST return option")),
    };
    *chosen = true;
    Ok(())
}

/// rfc3501#6.3.10, rfc7162#3.1.7
pub fn status(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    lexer.space()?;
    let mut items = Vec::new();
    lexer.list(|lexer| {
        let item = match lexer.keyword().as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            _ => return Err(Fault::Bad("Unknown STATUS item")),
        };
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() {
        Err(Fault::Bad("A STATUS item is missing"))
    } else {
        Ok(Verb::Status { mailbox, items })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bad, cannot, limit, verb};
    use super::*;

    fn select(mailbox: &str, read_only: bool, condstore: bool) -> Verb {
        Verb::Select(Select { mailbox: mailbox.to_owned(), read_only, condstore })
    }

    fn create(mailbox: &str, special_use: UseArgument) -> Verb {
        Verb::Create { mailbox: mailbox.to_owned(), special_use }
    }

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
    fn selections() {
        assert_eq!(verb("SELECT INBOX"), select("INBOX", false, false)); // rfc3501#6.3.1
        assert_eq!(verb("EXAMINE blurdybloop"), select("blurdybloop", true, false)); // rfc3501#6.3.2
        assert_eq!(verb("SELECT {5}\r\ninBox (condstore)"), select("INBOX", false, true)); // rfc7162#3.1.8
        assert_eq!(verb("SELECT inbox/Sub"), select("INBOX/Sub", false, false));
        assert_eq!(verb("SELECT inboxes"), select("inboxes", false, false));
        for text in [
            "SELECT",
            "SELECT ",
            "SELECT a b",
            "SELECT a (QRESYNC (1 2))",
            "SELECT a (X)",
            "SELECT %",
            "SELECT a*",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn names_are_decoded() {
        assert_eq!(verb("SELECT Entw&APw-rfe"), select("Entwürfe", false, false));
        assert_eq!(verb("SELECT \"R&-D x\""), select("R&D x", false, false));
        for text in
            ["SELECT Entw&APw", "SELECT a&AAo-b", "SELECT {3}\r\na\nb", "SELECT \"Entwürfe\"", "LIST \"\" &"]
        {
            assert!(cannot(text), "{text}");
        }
    }

    #[test]
    fn creations() {
        assert_eq!(verb("CREATE owatagusiam/"), create("owatagusiam/", UseArgument::None)); // rfc3501#6.3.3
        assert_eq!(
            verb("CREATE MySpecial (USE (\\Drafts \\Sent))"),
            create("MySpecial", UseArgument::Unsupported)
        );
        // rfc6154#5.2
        assert_eq!(verb("CREATE All (use (\\All))"), create("All", UseArgument::One(SpecialUse::All)));
        assert_eq!(verb("CREATE x (USE ())"), create("x", UseArgument::None));
        assert_eq!(verb("CREATE x (USE (\\Other))"), create("x", UseArgument::Unsupported));
        for text in [
            "CREATE",
            "CREATE a b",
            "CREATE a (USE)",
            "CREATE a (USE \\All)",
            "CREATE a (USE (All))",
            "CREATE a (X 1)",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn names_and_subscriptions() {
        assert_eq!(verb("DELETE foo/bar"), Verb::Delete { mailbox: "foo/bar".to_owned() }); // rfc3501#6.3.4
        let rename = Verb::Rename { from: "INBOX".to_owned(), to: "old-mail".to_owned() };
        assert_eq!(verb("RENAME INBOX old-mail"), rename); // rfc3501#6.3.5
        let subscribe = |on| Verb::Subscribe { mailbox: "#news.comp.mail.mime".to_owned(), on };
        assert_eq!(verb("SUBSCRIBE #news.comp.mail.mime"), subscribe(true)); // rfc3501#6.3.6
        assert_eq!(verb("UNSUBSCRIBE #news.comp.mail.mime"), subscribe(false)); // rfc3501#6.3.7
        for text in ["DELETE", "RENAME a", "RENAME a b c", "SUBSCRIBE", "UNSUBSCRIBE a b"] {
            assert!(bad(text), "{text}");
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
        let returns = ListReturn { subscribed: true, children: true, special_use: true };
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
        for text in [
            "LIST (RECURSIVEMATCH) \"\" *",
            "LIST (REMOTE RECURSIVEMATCH) \"\" *",
            "LIST (X) \"\" *",
            "LIST \"\" ()",
            "LIST \"\" * RETURN",
            "LIST \"\" * RETURN (X)",
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
