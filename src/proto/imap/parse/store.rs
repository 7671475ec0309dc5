//! Flags, and commands that change or copy messages: STORE, COPY, MOVE, UID EXPUNGE.
//!
//! *Owns*: their grammar. *Promises*: what `parse` promises; keywords are within the engine's bounds.
//! *Assumes*: nothing. *Never*: knows which flags a mailbox has.

use ringpost_engine::change::{FlagBits, FlagOp, Flags};
use ringpost_engine::limits::{KEYWORD_BYTES_MAX, KEYWORDS_PER_MAILBOX_MAX};

use super::lexer::Lexer;
use super::mailbox::mailbox;
use super::sequence::sequence_set;
use super::{Fault, Parsed};
use crate::limits::IMAP_LIST_ITEMS_MAX;
use crate::proto::imap::command::{Copy, Store, Verb};

/// rfc3501#6.4.6, rfc7162#3.1.3
pub fn store(lexer: &mut Lexer, uid: bool) -> Parsed<Verb> {
    lexer.space()?;
    let set = sequence_set(lexer)?;
    lexer.space()?;
    let mut unchanged_since = None;
    if lexer.peek() == Some(b'(') {
        lexer.list(|lexer| match lexer.keyword().as_str() {
            "UNCHANGEDSINCE" if unchanged_since.is_none() => {
                lexer.space()?;
                unchanged_since = Some(lexer.mod_sequence()?);
                Ok(())
            }
            _ => Err(Fault::Bad("Unknown STORE modifier")),
        })?;
        lexer.space()?;
    }
    let (op, silent) = match lexer.keyword().as_str() {
        "FLAGS" => (FlagOp::Replace, false),
        "FLAGS.SILENT" => (FlagOp::Replace, true),
        "+FLAGS" => (FlagOp::Add, false),
        "+FLAGS.SILENT" => (FlagOp::Add, true),
        "-FLAGS" => (FlagOp::Remove, false),
        "-FLAGS.SILENT" => (FlagOp::Remove, true),
        _ => return Err(Fault::Bad("STORE takes FLAGS, +FLAGS or -FLAGS")),
    };
    lexer.space()?;
    let flags = if lexer.peek() == Some(b'(') { flag_list(lexer)? } else { bare_flags(lexer)? };
    Ok(Verb::Store(Store { uid, set, unchanged_since, op, silent, flags }))
}

/// rfc3501#6.4.7, rfc6851#4.4
pub fn copy(lexer: &mut Lexer, uid: bool, remove: bool) -> Parsed<Verb> {
    lexer.space()?;
    let set = sequence_set(lexer)?;
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    Ok(Verb::Copy(Copy { uid, remove, set, mailbox }))
}

/// rfc4315#2.1
pub fn uid_expunge(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    Ok(Verb::Expunge { uids: Some(sequence_set(lexer)?) })
}

/// `flag-list`
pub fn flag_list(lexer: &mut Lexer) -> Parsed<Flags> {
    let mut flags = Flags::default();
    lexer.list(|lexer| flag(lexer, &mut flags))?;
    Ok(flags)
}

/// STORE's flags without parentheses.
fn bare_flags(lexer: &mut Lexer) -> Parsed<Flags> {
    let mut flags = Flags::default();
    for _ in 0..IMAP_LIST_ITEMS_MAX {
        flag(lexer, &mut flags)?;
        if !lexer.more() {
            return Ok(flags);
        }
    }
    Err(Fault::Limit("Too many flags"))
}

/// Adds one `flag`. `\Recent`, which no client can change, and other flags that do not exist here are passed
/// over (rfc3501#7.1: a change to what is not in PERMANENTFLAGS is ignored).
fn flag(lexer: &mut Lexer, flags: &mut Flags) -> Parsed<()> {
    if lexer.eat(b'\\') {
        let name = lexer.atom()?;
        if let Some(bit) = system_flag(&name) {
            flags.system = flags.system.union(bit);
        }
        return Ok(());
    }
    let keyword = keyword(lexer)?;
    if flags.keywords.iter().all(|known| !known.eq_ignore_ascii_case(&keyword)) {
        if flags.keywords.len() == KEYWORDS_PER_MAILBOX_MAX {
            return Err(Fault::Limit("Too many keywords"));
        }
        flags.keywords.push(keyword);
    }
    Ok(())
}

/// `flag-keyword`
pub fn keyword(lexer: &mut Lexer) -> Parsed<String> {
    let atom = lexer.atom()?;
    if atom.len() > KEYWORD_BYTES_MAX {
        return Err(Fault::Limit("A keyword is too long"));
    }
    Ok(atom.iter().map(|&octet| char::from(octet)).collect())
}

fn system_flag(name: &[u8]) -> Option<FlagBits> {
    const FLAGS: [(&str, FlagBits); 5] = [
        ("Seen", FlagBits::SEEN),
        ("Answered", FlagBits::ANSWERED),
        ("Flagged", FlagBits::FLAGGED),
        ("Deleted", FlagBits::DELETED),
        ("Draft", FlagBits::DRAFT),
    ];
    let known = FLAGS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    known.map(|&(_, bit)| bit)
}

#[cfg(test)]
mod tests {
    use ringpost_engine::ids::ModSeq;

    use super::super::tests::{bad, cannot, limit, verb};
    use super::*;
    use crate::proto::imap::command::{Bound, SequenceSet};

    fn set(first: u32, last: u32) -> SequenceSet {
        SequenceSet { ranges: vec![(Bound::At(first), Bound::At(last))], saved: false }
    }

    fn flags(system: FlagBits, keywords: &[&str]) -> Flags {
        Flags { system, keywords: keywords.iter().map(|&keyword| keyword.to_owned()).collect() }
    }

    fn stored(text: &str) -> Store {
        match verb(text) {
            Verb::Store(store) => store,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn stores() {
        assert_eq!(
            stored("STORE 2:4 +FLAGS (\\Deleted)"),
            Store {
                // rfc3501#6.4.6
                uid: false,
                set: set(2, 4),
                unchanged_since: None,
                op: FlagOp::Add,
                silent: false,
                flags: flags(FlagBits::DELETED, &[]),
            }
        );
        assert_eq!(
            stored("uid store 6 (UNCHANGEDSINCE 12121230045) -flags.silent \\Seen $Label1 $LABEL1 x"),
            Store {
                uid: true,
                set: set(6, 6),
                unchanged_since: Some(ModSeq(12_121_230_045)),
                op: FlagOp::Remove,
                silent: true,
                flags: flags(FlagBits::SEEN, &["$Label1", "x"]),
            }
        );
        // rfc7162#3.1.3, example 6: no flag at all
        assert_eq!(stored("STORE 1 (UNCHANGEDSINCE 0) FLAGS ()").flags, Flags::default());
        assert_eq!(
            stored("STORE 1 FLAGS (\\SEEN \\answered \\Flagged \\Deleted \\Draft \\Recent \\Other)").flags,
            flags(FlagBits::SYSTEM, &[])
        );
        for text in [
            "STORE 1",
            "STORE 1 FLAGS",
            "STORE 1 FLAGS ",
            "STORE 1 *FLAGS (a)",
            "STORE 1 FLAGS (a",
            "STORE a FLAGS b",
            "STORE 1 FLAGS (\\)",
            "STORE 1 FLAGS (\\*)",
            "STORE 1 FLAGS (\"a\")",
            "STORE 1 FLAGS (a) b",
            "STORE 0 FLAGS a",
            "STORE 1 () FLAGS a)",
            "STORE 1 (UNCHANGEDSINCE) FLAGS a",
            "STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 2) FLAGS a",
            "STORE 1 (OTHER 1) FLAGS a",
            "STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS a",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn keywords_have_bounds() {
        let many = |count: usize| (0..count).map(|i| format!("k{i}")).collect::<Vec<_>>().join(" ");
        assert_eq!(stored(&format!("STORE 1 FLAGS ({})", many(59))).flags.keywords.len(), 59);
        assert!(limit(&format!("STORE 1 FLAGS ({})", many(60))));
        assert!(limit(&format!("STORE 1 FLAGS {}", "k".repeat(129))));
        assert!(limit(&format!("STORE 1 FLAGS {}", "k ".repeat(IMAP_LIST_ITEMS_MAX + 1))));
    }

    #[test]
    fn copies_and_expunges() {
        let copy =
            |uid, remove| Verb::Copy(Copy { uid, remove, set: set(2, 4), mailbox: "MEETING".to_owned() });
        assert_eq!(verb("COPY 2:4 MEETING"), copy(false, false)); // rfc3501#6.4.7
        assert_eq!(verb("UID COPY 2:4 \"MEETING\""), copy(true, false));
        assert_eq!(verb("MOVE 2:4 MEETING"), copy(false, true));
        assert_eq!(verb("UID MOVE 2:4 MEETING"), copy(true, true));
        assert_eq!(verb("EXPUNGE"), Verb::Expunge { uids: None });
        // rfc4315#2.1
        assert_eq!(verb("UID EXPUNGE 3000:3002"), Verb::Expunge { uids: Some(set(3000, 3002)) });
        for text in
            ["COPY 2:4", "COPY MEETING", "COPY 2:4 a b", "EXPUNGE 1", "UID EXPUNGE", "UID NOOP", "UID"]
        {
            assert!(bad(text), "{text}");
        }
        assert!(cannot("COPY 1 &bad"));
    }
}
