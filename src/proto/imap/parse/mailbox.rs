//! Commands about mailboxes: SELECT, CREATE, RENAME and their kin.
//!
//! *Owns*: their grammar; how a mailbox name is read. *Promises*: names are UTF-8 without control characters,
//! INBOX spelled `INBOX`. *Assumes*: nothing. *Never*: knows which mailboxes exist, or whether a name may be
//! created.

use ringpost_engine::change::SpecialUse;

use super::lexer::Lexer;
use super::sequence::sequence_set;
use super::{Fault, Parsed};
use crate::proto::imap::command::{Qresync, Select, SequenceSet, UseArgument, Verb};
use crate::proto::imap::utf7;

/// `mailbox`
pub fn mailbox(lexer: &mut Lexer) -> Parsed<String> {
    let name = lexer.astring()?;
    name_of(&name, lexer.utf8())
}

/// The name that `wire` spells: in modified UTF-7 (rfc3501#5.1.3), or in UTF-8 where the client enabled that
/// (rfc9755#3, rfc9051#5.1).
pub fn name_of(wire: &[u8], utf8: bool) -> Parsed<String> {
    spelling(wire, utf8).map(fold_inbox)
}

/// The same as it is spelt.
fn spelling(wire: &[u8], utf8: bool) -> Parsed<String> {
    let name = match utf8 {
        true => String::from_utf8(wire.to_vec()).map_err(|_| Fault::Bad("A mailbox name is not UTF-8"))?,
        false => utf7::decode(wire).map_err(|_| Fault::Cannot("A mailbox name is not modified UTF-7"))?,
    };
    if name.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(Fault::Cannot("A mailbox name may not hold control characters"));
    }
    Ok(name)
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
    let spelt = spelling(&lexer.astring()?, lexer.utf8())?;
    let mailbox = fold_inbox(spelt.clone());
    let (mut condstore, mut qresync) = (false, None);
    if lexer.more() {
        lexer.list(|lexer| match lexer.keyword().as_str() {
            "CONDSTORE" => {
                condstore = true;
                Ok(())
            }
            "QRESYNC" if qresync.is_none() => {
                lexer.space()?;
                qresync = Some(qresync_parameter(lexer)?);
                Ok(())
            }
            _ => Err(Fault::Bad("Unknown SELECT parameter")),
        })?;
    }
    let spelt = Some(spelt).filter(|spelt| *spelt != mailbox);
    Ok(Verb::Select(Select { mailbox, spelt, read_only, condstore, qresync }))
}

/// rfc7162#7 `select-param`: what follows QRESYNC.
fn qresync_parameter(lexer: &mut Lexer) -> Parsed<Qresync> {
    lexer.expect(b'(', "QRESYNC takes a list")?;
    let uid_validity = lexer.nz_number()?;
    lexer.space()?;
    let modseq = lexer.mod_sequence()?;
    if modseq.0 == 0 {
        return Err(Fault::Bad("A mod-sequence is 0"));
    }
    let (mut known, mut matches) = (None, None);
    let mut more = lexer.eat(b' ');
    if more && lexer.peek() != Some(b'(') {
        known = Some(fixed_set(lexer)?);
        more = lexer.eat(b' ');
    }
    if more {
        lexer.expect(b'(', "Sequence match data is a list")?;
        let numbers = fixed_set(lexer)?;
        lexer.space()?;
        matches = Some((numbers, fixed_set(lexer)?));
        lexer.expect(b')', "Sequence match data does not end")?;
    }
    lexer.expect(b')', "QRESYNC does not end")?;
    Ok(Qresync { uid_validity, modseq, known, matches })
}

/// A set in which `*` is not allowed.
fn fixed_set(lexer: &mut Lexer) -> Parsed<SequenceSet> {
    let set = sequence_set(lexer)?;
    if set.names_last() || set.saved { Err(Fault::Bad("Only numbers are allowed here")) } else { Ok(set) }
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

#[cfg(test)]
mod tests {
    use super::super::tests::{bad, cannot, verb};
    use super::*;
    use crate::proto::imap::command::Bound;

    fn select(mailbox: &str, read_only: bool, condstore: bool) -> Verb {
        Verb::Select(Select { mailbox: mailbox.to_owned(), spelt: None, read_only, condstore, qresync: None })
    }

    /// rfc9051#6.3.2: the name is told to who spelt it otherwise.
    fn spelt(text: &str) -> Option<String> {
        match verb(text) {
            Verb::Select(Select { spelt, .. }) => spelt,
            other => panic!("{other:?}"),
        }
    }

    fn create(mailbox: &str, special_use: UseArgument) -> Verb {
        Verb::Create { mailbox: mailbox.to_owned(), special_use }
    }

    #[test]
    fn selections() {
        assert_eq!(verb("SELECT INBOX"), select("INBOX", false, false)); // rfc3501#6.3.1
        assert_eq!(verb("EXAMINE blurdybloop"), select("blurdybloop", true, false)); // rfc3501#6.3.2
        assert_eq!(verb("SELECT {5}\r\nINBOX (condstore)"), select("INBOX", false, true)); // rfc7162#3.1.8
        for (text, name, wire) in
            [("SELECT {5}\r\ninBox", "INBOX", "inBox"), ("EXAMINE inbox/Sub", "INBOX/Sub", "inbox/Sub")]
        {
            assert_eq!(spelt(text).as_deref(), Some(wire));
            assert!(matches!(verb(text), Verb::Select(Select { mailbox, .. }) if mailbox == name));
        }
        assert_eq!(verb("SELECT inboxes"), select("inboxes", false, false));
        for text in [
            "SELECT",
            "SELECT ",
            "SELECT a b",
            "SELECT a (QRESYNC)",
            "SELECT a (QRESYNC (1))",
            "SELECT a (QRESYNC (1 0))",
            "SELECT a (QRESYNC (0 1))",
            "SELECT a (QRESYNC (1 2 1:*))",
            "SELECT a (QRESYNC (1 2 (1:3)))",
            "SELECT a (QRESYNC (1 2 3 (1 *)))",
            "SELECT a (QRESYNC (1 2 3 (1 2) 4))",
            "SELECT a (QRESYNC (1 2) QRESYNC (1 2))",
            "SELECT a (X)",
            "SELECT %",
            "SELECT a*",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn what_a_returning_client_remembers() {
        let remembered = |text: &str| match verb(text) {
            Verb::Select(Select { qresync: Some(qresync), .. }) => qresync,
            other => panic!("{other:?}"),
        };
        let set = |ranges: &[(u32, u32)]| SequenceSet {
            ranges: ranges.iter().map(|&(a, b)| (Bound::At(a), Bound::At(b))).collect(),
            saved: false,
        };
        // rfc7162#3.2.5
        let qresync = remembered("SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))");
        assert_eq!((qresync.uid_validity, qresync.modseq.0), (67_890_007, 20_050_715_194_045_000));
        assert_eq!(qresync.known, Some(set(&[(41, 41), (43, 211), (214, 541)])));
        assert_eq!(qresync.matches, None);
        // rfc7162#3.2.5.2
        let qresync = remembered("EXAMINE x (QRESYNC (7 5 1:29997 (5000,9990:9999 15000,27000:27009)))");
        let pairs = (set(&[(5000, 5000), (9990, 9999)]), set(&[(15_000, 15_000), (27_000, 27_009)]));
        assert_eq!(qresync.matches, Some(pairs));
        assert_eq!(remembered("SELECT x (CONDSTORE QRESYNC (7 5))").known, None);
        assert_eq!(
            remembered("SELECT x (QRESYNC (7 5 (1 2)))").matches,
            Some((set(&[(1, 1)]), set(&[(2, 2)])))
        );
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
}
