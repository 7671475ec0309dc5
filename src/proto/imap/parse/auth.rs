//! Who is there and by which means: LOGIN, AUTHENTICATE, ID, ENABLE, COMPRESS.
//!
//! *Owns*: their grammar. *Promises*: what `parse` promises; secrets in types that are never shown.
//! *Assumes*: base64 is decoded by `sasl`. *Never*: knows a mechanism.

use bytes::Bytes;

use super::lexer::Lexer;
use super::{Fault, Parsed};
use crate::limits::{IMAP_ID_PAIRS_MAX, IMAP_LIST_ITEMS_MAX};
use crate::proto::Secret;
use crate::proto::imap::command::{Authenticate, Verb};

/// rfc3501#6.2.3
pub fn login(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let user = lexer.astring()?;
    lexer.space()?;
    let password = Secret(lexer.astring()?.to_vec());
    Ok(Verb::Login { user, password })
}

/// rfc3501#6.2.2, rfc4959#7
pub fn authenticate(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let mechanism = upper(&lexer.atom()?);
    let mut initial = None;
    if lexer.more() {
        let base64 = lexer.atom()?;
        initial = Some(Secret(if base64 == "=" { Vec::new() } else { base64.to_vec() }));
    }
    Ok(Verb::Authenticate(Authenticate { mechanism, initial }))
}

/// rfc4978#5
pub fn compress(lexer: &mut Lexer) -> Parsed<Verb> {
    lexer.space()?;
    let algorithm = lexer.atom()?;
    if algorithm.eq_ignore_ascii_case(b"DEFLATE") {
        Ok(Verb::Compress)
    } else {
        Err(Fault::Bad("DEFLATE is the only algorithm"))
    }
}

/// rfc2971#4, with the bounds of its #3.3
pub fn id(lexer: &mut Lexer) -> Parsed<Verb> {
    let mut pairs = Vec::new();
    lexer.space()?;
    if lexer.peek() != Some(b'(') {
        lexer.nstring()?.map_or(Ok(()), |_| Err(Fault::Bad("ID takes a list or NIL")))?;
        return Ok(Verb::Id(pairs));
    }
    lexer.list(|lexer| {
        let field = lexer.string()?;
        lexer.space()?;
        let value: Option<Bytes> = lexer.nstring()?;
        if pairs.len() == IMAP_ID_PAIRS_MAX {
            return Err(Fault::Bad("ID takes at most 30 pairs"));
        }
        if field.len() > 30 || value.as_ref().is_some_and(|value| value.len() > 1024) {
            return Err(Fault::Bad("ID takes fields of at most 30 and values of at most 1024 octets"));
        }
        pairs.push((field, value));
        Ok(())
    })?;
    Ok(Verb::Id(pairs))
}

/// rfc5161#4
pub fn enable(lexer: &mut Lexer) -> Parsed<Verb> {
    let mut capabilities = Vec::new();
    lexer.space()?;
    loop {
        capabilities.push(upper(&lexer.atom()?));
        if !lexer.more() {
            return Ok(Verb::Enable(capabilities));
        }
        if capabilities.len() == IMAP_LIST_ITEMS_MAX {
            return Err(Fault::Limit("Too many capabilities"));
        }
    }
}

/// An atom, which is US-ASCII, in upper case.
fn upper(atom: &[u8]) -> String {
    atom.iter().map(|&octet| char::from(octet.to_ascii_uppercase())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bad, limit, verb};
    use super::*;

    fn login(user: &'static str, password: &str) -> Verb {
        Verb::Login { user: Bytes::from_static(user.as_bytes()), password: Secret(password.into()) }
    }

    #[test]
    fn logins() {
        assert_eq!(verb("LOGIN SMITH SESAME"), login("SMITH", "SESAME")); // rfc3501#6.2.3
        assert_eq!(verb("LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man"), login("FRED FOOBAR", "fat man"));
        assert_eq!(verb("login \"a\\\"b\" \"\"  "), login("a\"b", ""));
        for text in [
            "LOGIN",
            "LOGIN a",
            "LOGIN a ",
            "LOGIN a b c",
            "LOGIN a(b",
            "LOGIN a \"b",
            "LOGIN  a",
            "LOGINa b",
        ] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn authentication() {
        let authenticate = |mechanism: &str, initial: Option<&str>| {
            Verb::Authenticate(Authenticate {
                mechanism: mechanism.to_owned(),
                initial: initial.map(|text| Secret(text.into())),
            })
        };
        assert_eq!(verb("AUTHENTICATE GSSAPI"), authenticate("GSSAPI", None)); // rfc3501#6.2.2
        assert_eq!(
            verb("authenticate plain dGVzdAB0ZXN0AHRlc3Q="),
            authenticate("PLAIN", Some("dGVzdAB0ZXN0AHRlc3Q="))
        );
        assert_eq!(verb("AUTHENTICATE EXTERNAL ="), authenticate("EXTERNAL", Some(""))); // rfc4959#5
        assert!(bad("AUTHENTICATE"));
        assert!(bad("AUTHENTICATE PLAIN a b"));
    }

    #[test]
    fn compression() {
        assert_eq!(verb("compress deflate"), Verb::Compress); // rfc4978#3
        for text in ["COMPRESS", "COMPRESS ", "COMPRESS GZIP", "COMPRESS DEFLATE x", "COMPRESS \"DEFLATE\""] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn ids() {
        let pair = |field: &'static str, value: Option<&'static str>| {
            (Bytes::from_static(field.as_bytes()), value.map(|value| Bytes::from_static(value.as_bytes())))
        };
        assert_eq!(verb("ID NIL"), Verb::Id(vec![]));
        assert_eq!(verb("id ()"), Verb::Id(vec![]));
        assert_eq!(
            verb(r#"ID ("name" "sodr" "version" NIL)"#), // rfc2971#3.1
            Verb::Id(vec![pair("name", Some("sodr")), pair("version", None)])
        );
        let pairs = |count: usize| format!("ID ({})", vec!["\"a\" NIL"; count].join(" "));
        assert!(!bad(&pairs(30)));
        assert!(bad(&pairs(31)));
        for text in ["ID", "ID \"a\"", "ID (\"a\")", "ID (name \"a\")", "ID (\"a\" b)"] {
            assert!(bad(text), "{text}");
        }
    }

    #[test]
    fn capabilities_to_enable() {
        assert_eq!(
            verb("ENABLE condstore X-GOOD-IDEA"), // rfc5161#3.1
            Verb::Enable(vec!["CONDSTORE".to_owned(), "X-GOOD-IDEA".to_owned()])
        );
        assert!(bad("ENABLE"));
        assert!(bad("ENABLE (CONDSTORE)"));
        assert!(limit(&format!("ENABLE {}", vec!["a"; IMAP_LIST_ITEMS_MAX + 1].join(" "))));
    }
}
