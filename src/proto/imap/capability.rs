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
    AfterLogin,
    /// While COMPRESS would be taken.
    Uncompressed,
}

/// In the order in which they are shown.
const CAPABILITIES: &[(&str, Shown)] = &[
    ("IMAP4rev1", Shown::Always),
    ("LITERAL+", Shown::LiteralPlus),
    ("LITERAL-", Shown::LiteralMinus),
    ("SASL-IR", Shown::Always),
    ("ID", Shown::Always),
    ("ENABLE", Shown::Always),
    ("STARTTLS", Shown::BeforeTls),
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
    ("CATENATE", Shown::AfterLogin),
    ("MULTIAPPEND", Shown::AfterLogin),
    ("REPLACE", Shown::AfterLogin),
    ("URL-PARTIAL", Shown::AfterLogin),
    ("UTF8=ACCEPT", Shown::AfterLogin),
    ("SORT", Shown::AfterLogin),
    ("SORT=DISPLAY", Shown::AfterLogin),
    ("ESORT", Shown::AfterLogin),
    ("THREAD=ORDEREDSUBJECT", Shown::AfterLogin),
    ("THREAD=REFERENCES", Shown::AfterLogin),
    ("THREAD=REFS", Shown::AfterLogin),
    ("I18NLEVEL=1", Shown::AfterLogin),
    ("CONDSTORE", Shown::AfterLogin),
    ("QRESYNC", Shown::AfterLogin),
    ("UIDONLY", Shown::AfterLogin),
    ("NOTIFY", Shown::AfterLogin),
    ("SAVEDATE", Shown::AfterLogin),
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
            Shown::AfterLogin => logged_in,
            Shown::Uncompressed => logged_in && !compressed,
        };
        if now && !hidden.iter().any(|hidden| hidden == name) {
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b" ");
        }
    }
    text.extend_from_slice(b"APPENDLIMIT=");
    reply::number(text, server.message_bytes_max as u64);
}
