//! What the server says it can do.
//!
//! *Owns*: the list of capabilities and when each is shown. *Promises*: the spelling of the registry; what a
//! connection cannot use now is not shown. *Assumes*: whoever builds an extension adds its line here with its
//! last transcript. *Never*: shows what a client of this account is better not told
//! ([`Facts::hidden`]).

use bytes::BytesMut;

use super::reply;
use crate::proto::{Peer, Server};

/// When a capability is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Always,
    /// By the operator's choice, one of the two (rfc7888#5).
    LiteralPlus,
    LiteralMinus,
    /// While STARTTLS would be taken.
    BeforeTls,
    /// While a login would be refused for want of TLS.
    LoginDisabled,
    /// While a login would be taken.
    LoginEnabled,
    /// Before login, where logins may be sent elsewhere (rfc2221#3).
    Referring,
    AfterLogin,
    /// While COMPRESS would be taken.
    Uncompressed,
}

/// In the order in which they are shown.
const CAPABILITIES: &[(&str, Shown)] = &[
    ("IMAP4rev1", Shown::Always),
    ("IMAP4rev2", Shown::Always),
    ("LITERAL+", Shown::LiteralPlus),
    ("LITERAL-", Shown::LiteralMinus),
    ("SASL-IR", Shown::Always),
    ("ID", Shown::Always),
    ("ENABLE", Shown::Always),
    ("STARTTLS", Shown::BeforeTls),
    ("LOGIN-REFERRALS", Shown::Referring),
    ("LOGINDISABLED", Shown::LoginDisabled),
    ("AUTH=PLAIN", Shown::LoginEnabled),
    ("AUTH=LOGIN", Shown::LoginEnabled),
    ("IDLE", Shown::AfterLogin),
    ("NAMESPACE", Shown::AfterLogin),
    ("UIDPLUS", Shown::AfterLogin),
    ("UNSELECT", Shown::AfterLogin),
    ("MOVE", Shown::AfterLogin),
    ("CHILDREN", Shown::AfterLogin),
    ("LIST-EXTENDED", Shown::AfterLogin),
    ("LIST-STATUS", Shown::AfterLogin),
    ("STATUS=SIZE", Shown::AfterLogin),
    ("LIST-MYRIGHTS", Shown::AfterLogin),
    ("LIST-METADATA", Shown::AfterLogin),
    ("METADATA", Shown::AfterLogin),
    ("ACL", Shown::AfterLogin),
    ("RIGHTS=texk", Shown::AfterLogin),
    ("QUOTA", Shown::AfterLogin),
    ("QUOTASET", Shown::AfterLogin),
    ("QUOTA=RES-STORAGE", Shown::AfterLogin),
    ("QUOTA=RES-MESSAGE", Shown::AfterLogin),
    ("QUOTA=RES-MAILBOX", Shown::AfterLogin),
    ("URLAUTH", Shown::AfterLogin),
    ("SPECIAL-USE", Shown::AfterLogin),
    ("CREATE-SPECIAL-USE", Shown::AfterLogin),
    ("ESEARCH", Shown::AfterLogin),
    ("SEARCHRES", Shown::AfterLogin),
    ("WITHIN", Shown::AfterLogin),
    ("PARTIAL", Shown::AfterLogin),
    ("SEARCH=FUZZY", Shown::AfterLogin),
    ("BINARY", Shown::AfterLogin),
    ("PREVIEW", Shown::AfterLogin),
    ("SNIPPET=FUZZY", Shown::AfterLogin),
    ("CATENATE", Shown::AfterLogin),
    ("MULTIAPPEND", Shown::AfterLogin),
    ("REPLACE", Shown::AfterLogin),
    ("URL-PARTIAL", Shown::AfterLogin),
    ("UTF8=ACCEPT", Shown::AfterLogin),
    ("CONTEXT=SEARCH", Shown::AfterLogin),
    ("CONTEXT=SORT", Shown::AfterLogin),
    ("UIDBATCHES", Shown::AfterLogin),
    ("MULTISEARCH", Shown::AfterLogin),
    ("FILTERS", Shown::AfterLogin),
    ("SORT", Shown::AfterLogin),
    ("SORT=DISPLAY", Shown::AfterLogin),
    ("ESORT", Shown::AfterLogin),
    ("THREAD=ORDEREDSUBJECT", Shown::AfterLogin),
    ("THREAD=REFERENCES", Shown::AfterLogin),
    ("THREAD=REFS", Shown::AfterLogin),
    ("I18NLEVEL=1", Shown::AfterLogin),
    ("UNAUTHENTICATE", Shown::AfterLogin),
    ("INPROGRESS", Shown::AfterLogin),
    ("CONDSTORE", Shown::AfterLogin),
    ("QRESYNC", Shown::AfterLogin),
    ("UIDONLY", Shown::AfterLogin),
    ("NOTIFY", Shown::AfterLogin),
    ("SAVEDATE", Shown::AfterLogin),
    ("OBJECTID", Shown::AfterLogin),
    ("COMPRESS=DEFLATE", Shown::Uncompressed),
];

/// What decides on the list.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The connection.
    pub peer: &'a Peer,
    /// The server.
    pub server: &'a Server,
    /// Whether somebody is logged in.
    pub logged_in: bool,
    /// Whether compression is on.
    pub compressed: bool,
    /// Names, in upper case, that this account's clients are not shown.
    pub hidden: &'a [String],
}

/// The capabilities of this moment, `IMAP4rev1 …`; APPENDLIMIT says the largest message (rfc7889#3).
pub fn write(text: &mut BytesMut, facts: Facts<'_>) {
    let Facts { peer, server, logged_in, compressed, hidden } = facts;
    let may_log_in = peer.tls || server.plaintext_login;
    for &(name, shown) in CAPABILITIES {
        let now = match shown {
            Shown::Always => true,
            Shown::LiteralPlus => !server.imap.literal_minus,
            Shown::LiteralMinus => server.imap.literal_minus,
            Shown::BeforeTls => !logged_in && server.tls && !peer.tls,
            Shown::LoginDisabled => !logged_in && !may_log_in,
            Shown::LoginEnabled => !logged_in && may_log_in,
            Shown::Referring => !logged_in && server.imap.login_referrals,
            Shown::AfterLogin => logged_in,
            Shown::Uncompressed => logged_in && !compressed,
        };
        if now && !is_hidden(name, hidden) {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b" ");
        }
    }
    for (name, limit) in limits(server).filter(|_| logged_in) {
        if !is_hidden(name, hidden) {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"=");
            reply::number(text, u64::from(limit));
            text.extend_from_slice(b" ");
        }
    }
    if is_hidden("APPENDLIMIT", hidden) {
        // The space behind the last name.
        text.truncate(text.len().saturating_sub(1));
        return;
    }
    text.extend_from_slice(b"APPENDLIMIT=");
    reply::number(text, server.message_bytes_max as u64);
}

/// The limit of messages in one command (rfc9738#3): one of the two, since MESSAGELIMIT includes the other.
fn limits(server: &Server) -> impl Iterator<Item = (&'static str, u32)> {
    let any = server.imap.message_limit.map(|limit| ("MESSAGELIMIT", limit));
    any.or(server.imap.save_limit.map(|limit| ("SAVELIMIT", limit))).into_iter()
}

/// Whether the account's clients are better not told (names compare without case).
pub fn is_hidden(name: &str, hidden: &[String]) -> bool {
    hidden.iter().any(|hidden| hidden.eq_ignore_ascii_case(name))
}

/// Hideable names that are not in the list as shown only after login.
const EXTRA: &[&str] = &["APPENDLIMIT", "MESSAGELIMIT", "SAVELIMIT", "IMAP4rev2", "LITERAL+", "LITERAL-"];

/// Whether there is a capability of that name which may be hidden from a client.
pub fn may_be_hidden(name: &str) -> bool {
    let known =
        CAPABILITIES.iter().filter(|(_, shown)| matches!(shown, Shown::AfterLogin | Shown::Uncompressed));
    let known = known.map(|&(name, _)| name).chain(EXTRA.iter().copied());
    known.into_iter().any(|known| known.eq_ignore_ascii_case(name))
}
