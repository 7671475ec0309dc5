//! METADATA, QUOTA, ACL and URLAUTH.
//!
//! *Owns*: their grammar (rfc5464#5, rfc9208#7, rfc4314#7, rfc4467#9). *Promises*: what `parse` promises;
//! names of entries are within the rules of rfc5464#3.2, in lower case. *Assumes*: nothing. *Never*: knows
//! who may do what.

use bytes::Bytes;
use ringpost_engine::change::{QuotaLimits, Rights};
use ringpost_engine::ids::normalise_address;

use super::lexer::Lexer;
use super::mailbox::mailbox;
use super::{Fault, Parsed};
use crate::limits::{IMAP_METADATA_ENTRIES_MAX, IMAP_URLS_MAX};
use crate::proto::imap::command::{
    AclCommand, Depth, MetadataCommand, QuotaCommand, RightsChange, UrlCommand, Verb,
};

/// rfc5464#4.2. The options stand before the mailbox name by the grammar, behind it in the examples.
pub fn get_metadata(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let (mut size_max, mut depth) = (None, Depth::Zero);
    if lexer.peek() == Some(b'(') {
        options(lexer, &mut size_max, &mut depth)?;
        lexer.space()?;
    }
    let mailbox = mailbox(lexer)?;
    lexer.space()?;
    if lexer.peek() == Some(b'(') && !lexer.list_begins_with_slash() {
        options(lexer, &mut size_max, &mut depth)?;
        lexer.space()?;
    }
    let entries = entries(lexer)?;
    Ok(Verb::Metadata(MetadataCommand::Get { mailbox, entries, size_max, depth }))
}

fn options(lexer: &mut Lexer, size_max: &mut Option<u32>, depth: &mut Depth) -> Parsed<()> {
    lexer.list(|lexer| {
        let option = lexer.keyword();
        lexer.space()?;
        match option.as_str() {
            "MAXSIZE" => *size_max = Some(lexer.number()?),
            "DEPTH" => {
                *depth = match lexer.keyword().as_str() {
                    "0" => Depth::Zero,
                    "1" => Depth::One,
                    "INFINITY" => Depth::Infinity,
                    _ => return Err(Fault::Bad("DEPTH is 0, 1 or infinity")),
                }
            }
            _ => return Err(Fault::Bad("Unknown GETMETADATA option")),
        }
        Ok(())
    })
}

/// `entries`: one or a list; each is kept once.
pub fn entries(lexer: &mut Lexer) -> Parsed<Vec<String>> {
    let mut names = Vec::new();
    let mut read = |lexer: &mut Lexer| {
        let name = entry(lexer)?;
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > IMAP_METADATA_ENTRIES_MAX {
            return Err(Fault::Limit("Too many entries at once"));
        }
        Ok(())
    };
    if lexer.peek() == Some(b'(') {
        lexer.list(read)?;
    } else {
        read(lexer)?;
    }
    if names.is_empty() { Err(Fault::Bad("An entry is missing")) } else { Ok(names) }
}

/// `entry`, by the rules of rfc5464#3.2, which end in BAD.
fn entry(lexer: &mut Lexer) -> Parsed<String> {
    let name = lexer.astring()?;
    let visible = |&octet: &u8| (0x20..0x7f).contains(&octet) && !matches!(octet, b'*' | b'%');
    if !name.iter().all(visible) {
        return Err(Fault::Bad("An entry name has characters that none can have"));
    }
    let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
    let below = ["/private", "/shared"].iter().find_map(|scope| name.strip_prefix(scope));
    match below {
        Some("") => Ok(name),
        Some(below) if below.starts_with('/') && below[1..].split('/').all(|part| !part.is_empty()) => {
            Ok(name)
        }
        _ => Err(Fault::Bad("An entry name is /private/… or /shared/…")),
    }
}

/// rfc5464#4.3
pub fn set_metadata(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    lexer.space()?;
    let mut entries: Vec<(String, Option<Bytes>)> = Vec::new();
    lexer.list(|lexer| {
        let name = entry(lexer)?;
        // rfc5464#3.2: two components at least, four below vendor.
        let components = name.split('/').count() - 1;
        let vendor = name.split('/').nth(2) == Some("vendor");
        if components < if vendor { 4 } else { 2 } {
            return Err(Fault::Bad("An entry name has too few components"));
        }
        lexer.space()?;
        let value = lexer.metadata_value()?;
        if entries.iter().any(|(known, _)| *known == name) {
            return Err(Fault::Bad("An entry is set twice"));
        }
        entries.push((name, value));
        if entries.len() > IMAP_METADATA_ENTRIES_MAX {
            return Err(Fault::Limit("Too many entries at once"));
        }
        Ok(())
    })?;
    if entries.is_empty() {
        return Err(Fault::Bad("An entry is missing"));
    }
    Ok(Verb::Metadata(MetadataCommand::Set { mailbox, entries }))
}

/// rfc9208#4.1.1
pub fn get_quota(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    Ok(Verb::Quota(QuotaCommand::Get { root: lexer.astring()? }))
}

/// rfc9208#4.1.2
pub fn get_quota_root(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    Ok(Verb::Quota(QuotaCommand::Root { mailbox: mailbox(lexer)? }))
}

/// rfc9208#4.1.3
pub fn set_quota(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let root = lexer.astring()?;
    lexer.space()?;
    let mut limits = Some(QuotaLimits::default());
    lexer.list(|lexer| {
        let resource = lexer.atom()?;
        lexer.space()?;
        let limit = Some(lexer.number64()?);
        match (resource.to_ascii_uppercase().as_slice(), &mut limits) {
            (b"STORAGE", Some(limits)) => limits.storage_kib = limit,
            (b"MESSAGE", Some(limits)) => limits.messages = limit,
            (b"MAILBOX", Some(limits)) => limits.mailboxes = limit,
            (_, limits) => *limits = None,
        }
        Ok(())
    })?;
    Ok(Verb::Quota(QuotaCommand::Set { root, limits }))
}

/// rfc4314#3.1
pub fn set_acl(lexer: &mut Lexer) -> Parsed<Verb> {
    let (mailbox, identifier) = mailbox_and_identifier(lexer)?;
    lexer.space()?;
    let change = lexer.astring()?;
    let (sign, letters) = match change.split_first() {
        Some((sign @ (b'+' | b'-'), letters)) => (*sign, letters),
        _ => (b' ', &change[..]),
    };
    let rights = rights(letters)?;
    let change = match sign {
        b'+' => RightsChange::Add(rights),
        b'-' => RightsChange::Remove(rights),
        _ => RightsChange::Replace(rights),
    };
    Ok(Verb::Acl(AclCommand::Set { mailbox, identifier: normalise_address(&identifier), change }))
}

/// Letters of rights; `c` and `d` stand for those they became (rfc4314#2.1.1).
fn rights(letters: &[u8]) -> Parsed<Rights> {
    let mut rights = Rights::NONE;
    for &letter in letters {
        let more = match letter {
            b'c' => Rights::CREATE.union(Rights::DELETE_MAILBOX),
            b'd' => Rights::DELETE_MESSAGES.union(Rights::EXPUNGE),
            _ => Rights::of(char::from(letter)).ok_or(Fault::Bad("That right is not known"))?,
        };
        rights = rights.union(more);
    }
    Ok(rights)
}

/// rfc4314#3.2
pub fn delete_acl(lexer: &mut Lexer) -> Parsed<Verb> {
    let (mailbox, identifier) = mailbox_and_identifier(lexer)?;
    Ok(Verb::Acl(AclCommand::Delete { mailbox, identifier: normalise_address(&identifier) }))
}

/// rfc4314#3.3
pub fn get_acl(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    Ok(Verb::Acl(AclCommand::Get { mailbox: mailbox(lexer)? }))
}

/// rfc4314#3.4
pub fn list_rights(lexer: &mut Lexer) -> Parsed<Verb> {
    let (mailbox, identifier) = mailbox_and_identifier(lexer)?;
    Ok(Verb::Acl(AclCommand::List { mailbox, identifier }))
}

/// rfc4314#3.5
pub fn my_rights(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    Ok(Verb::Acl(AclCommand::Mine { mailbox: mailbox(lexer)? }))
}

fn mailbox_and_identifier(lexer: &mut Lexer) -> Parsed<(String, String)> {
    lexer.space()?;
    let mailbox = mailbox(lexer)?;
    lexer.space()?;
    let identifier = lexer.astring()?;
    let identifier = std::str::from_utf8(&identifier).ok().filter(|text| is_identifier(text));
    Ok((mailbox, identifier.ok_or(Fault::Bad("That is no identifier"))?.to_owned()))
}

/// What rfc4314#3 asks of an identifier: something, and nothing that cannot be written back.
fn is_identifier(text: &str) -> bool {
    !text.trim_start_matches('-').is_empty() && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// rfc4467#7 GENURLAUTH
pub fn generate_urls(lexer: &mut Lexer) -> Parsed<Verb> {
    let mut urls = Vec::new();
    loop {
        lexer.space()?;
        let url = lexer.astring()?;
        lexer.space()?;
        let mechanism = lexer.atom()?;
        urls.push((url, String::from_utf8_lossy(&mechanism).to_ascii_lowercase()));
        if urls.len() > IMAP_URLS_MAX {
            return Err(Fault::Limit("Too many URLs at once"));
        }
        if lexer.is_at_end() {
            return Ok(Verb::UrlAuth(UrlCommand::Generate(urls)));
        }
    }
}

/// rfc4467#7 RESETKEY. Mechanisms may be named; there is one, and it has nothing to tell.
pub fn reset_key(lexer: &mut Lexer) -> Parsed<Verb> {
    let mut name = None;
    if lexer.more() {
        name = Some(mailbox(lexer)?);
        while lexer.more() {
            lexer.atom()?;
        }
    }
    Ok(Verb::UrlAuth(UrlCommand::Reset { mailbox: name }))
}

/// rfc4467#7 URLFETCH
pub fn fetch_urls(lexer: &mut Lexer) -> Parsed<Verb> {
    let mut urls = Vec::new();
    loop {
        lexer.space()?;
        urls.push(lexer.astring()?);
        if urls.len() > IMAP_URLS_MAX {
            return Err(Fault::Limit("Too many URLs at once"));
        }
        if lexer.is_at_end() {
            return Ok(Verb::UrlAuth(UrlCommand::Fetch(urls)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bad, verb};
    use super::*;

    fn get(mailbox: &str, entries: &[&str], size_max: Option<u32>, depth: Depth) -> Verb {
        let entries = entries.iter().map(|&entry| entry.to_owned()).collect();
        Verb::Metadata(MetadataCommand::Get { mailbox: mailbox.to_owned(), entries, size_max, depth })
    }

    #[test]
    fn metadata_of_rfc5464() {
        // rfc5464#4.2 to #4.2.2: options before or behind the mailbox
        assert_eq!(
            verb("GETMETADATA \"\" /shared/comment"),
            get("", &["/shared/comment"], None, Depth::Zero)
        );
        let both = ["/shared/comment", "/private/comment"];
        assert_eq!(
            verb("GETMETADATA \"INBOX\" (/Shared/Comment /private/comment /shared/comment)"),
            get("INBOX", &both, None, Depth::Zero)
        );
        for text in [
            "GETMETADATA INBOX (MAXSIZE 1024 DEPTH infinity) (/shared/comment \"/private/comment\")",
            "GETMETADATA (DEPTH infinity MAXSIZE 1024) INBOX (\"/shared/comment\" /private/comment)",
        ] {
            assert_eq!(verb(text), get("INBOX", &both, Some(1024), Depth::Infinity), "{text}");
        }
        let set = |value: Option<&'static [u8]>| {
            let entries = vec![("/private/comment".to_owned(), value.map(Bytes::from_static))];
            Verb::Metadata(MetadataCommand::Set { mailbox: "INBOX".to_owned(), entries })
        };
        assert_eq!(verb("SETMETADATA INBOX (/private/comment {2}\r\n\r\n)"), set(Some(b"\r\n")));
        assert_eq!(verb("SETMETADATA INBOX (/private/comment ~{3}\r\na\0b)"), set(Some(b"a\0b")));
        assert_eq!(verb("SETMETADATA INBOX (/private/comment NIL)"), set(None));
        for text in [
            "GETMETADATA INBOX",
            "GETMETADATA INBOX ()",
            "GETMETADATA INBOX /other/x",
            "GETMETADATA INBOX /shared//x",
            "GETMETADATA INBOX /shared/x/",
            "GETMETADATA INBOX \"/shared/x*\"",
            "GETMETADATA INBOX {9}\r\n/shared/\x01",
            "GETMETADATA INBOX {10}\r\n/shared/é",
            "GETMETADATA (DEPTH 2) INBOX /shared/x",
            "GETMETADATA (SIZE 2) INBOX /shared/x",
            "SETMETADATA INBOX /shared/x \"1\"",
            "SETMETADATA INBOX ()",
            "SETMETADATA INBOX (/shared \"1\")",
            "SETMETADATA INBOX (/shared/vendor/x \"1\")",
            "SETMETADATA INBOX (/shared/x \"1\" /SHARED/x \"2\")",
            "SETMETADATA INBOX (/shared/x 1)",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn quotas_of_rfc9208() {
        let limits = QuotaLimits { storage_kib: Some(510), ..QuotaLimits::default() };
        let root = Bytes::from_static(b"#user/alice");
        assert_eq!(
            verb("SETQUOTA \"#user/alice\" (STORAGE 510)"),
            Verb::Quota(QuotaCommand::Set { root: root.clone(), limits: Some(limits) })
        );
        assert_eq!(verb("GETQUOTA #user/alice"), Verb::Quota(QuotaCommand::Get { root: root.clone() }));
        let unknown = Verb::Quota(QuotaCommand::Set { root, limits: None });
        assert_eq!(verb("SETQUOTA #user/alice (STORAGE 1 X-COLOUR 2)"), unknown);
        for text in
            ["GETQUOTA", "SETQUOTA x", "SETQUOTA x (STORAGE)", "SETQUOTA x (STORAGE -1)", "GETQUOTAROOT"]
        {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn rights_of_rfc4314() {
        let set = |text: &str| match verb(text) {
            Verb::Acl(AclCommand::Set { identifier, change, .. }) => (identifier, change),
            other => panic!("{other:?}"),
        };
        let written = |rights: Rights| rights.letters().collect::<String>();
        let (who, change) = set("SetAcl INBOX/Drafts David lrswida");
        assert!(matches!(change, RightsChange::Replace(rights) if written(rights) == "lrswitea"));
        assert_eq!(who, "david");
        let (_, change) = set("SETACL INBOX/Drafts Chris +cda");
        assert!(matches!(change, RightsChange::Add(rights) if written(rights) == "kxtea"));
        let (who, change) = set("SETACL INBOX -fred -x");
        assert!(matches!(change, RightsChange::Remove(rights) if written(rights) == "x"));
        assert_eq!(who, "-fred");
        assert_eq!(set("SETACL INBOX anyone \"\"").1, RightsChange::Replace(Rights::NONE));
        for text in [
            // rfc4314#3.1
            "SETACL INBOX/Drafts John lrQswicda",
            "SETACL INBOX/Drafts John lrqswicda",
            "SETACL INBOX \"\" l",
            "SETACL INBOX - l",
            "SETACL INBOX {1}\r\n\x01 l",
            "SETACL INBOX fred",
            "DELETEACL INBOX",
            "GETACL",
            "LISTRIGHTS INBOX",
            "MYRIGHTS",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn urls_of_rfc4467() {
        let pair = |url: &'static str| (Bytes::from_static(url.as_bytes()), "internal".to_owned());
        assert_eq!(
            verb("GENURLAUTH \"imap://a\" INTERNAL {8}\r\nimap://b internal"),
            Verb::UrlAuth(UrlCommand::Generate(vec![pair("imap://a"), pair("imap://b")]))
        );
        let reset =
            |mailbox: Option<&str>| Verb::UrlAuth(UrlCommand::Reset { mailbox: mailbox.map(str::to_owned) });
        assert_eq!(verb("RESETKEY"), reset(None));
        assert_eq!(verb("RESETKEY INBOX"), reset(Some("INBOX")));
        assert_eq!(verb("RESETKEY inbox INTERNAL XSAMPLE"), reset(Some("INBOX")));
        assert_eq!(verb("URLFETCH a b"), Verb::UrlAuth(UrlCommand::Fetch(vec!["a".into(), "b".into()])));
        for text in ["GENURLAUTH", "GENURLAUTH a", "GENURLAUTH a INTERNAL b", "URLFETCH", "URLFETCH (a)"] {
            assert!(bad(text), "{text}");
        }
    }
}
