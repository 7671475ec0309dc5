//! What the server says: reply codes of rfc5321#4.2 with the status codes of rfc2034 and rfc3463.
//!
//! *Owns*: every reply that has no variable part. *Promises*: each has an enhanced status code where
//! rfc2034#4 wants one. *Assumes*: the session adds CRLF. *Never*: holds what a client sent.

/// The command is done.
pub const OK: &str = "250 2.0.0 ok";
/// Goodbye.
pub const BYE: &str = "221 2.0.0 goodbye";
/// MAIL is accepted.
pub const SENDER_OK: &str = "250 2.1.0 sender ok";
/// RCPT is accepted.
pub const RECIPIENT_OK: &str = "250 2.1.5 recipient ok";
/// Send the message (rfc2034#4: no status code on 3xx).
pub const SEND_MESSAGE: &str = "354 send the message, end with <CRLF>.<CRLF>";
/// Handshake begins.
pub const READY_FOR_TLS: &str = "220 2.0.0 ready to start TLS";
/// rfc4954#6
pub const AUTHENTICATED: &str = "235 2.7.0 authenticated";
/// VRFY tells nothing (rfc5321#3.5.3).
pub const CANNOT_VRFY: &str = "252 2.0.0 cannot verify, send some mail, I'll try my best";
/// HELP
pub const HELP: &str = "214 2.0.0 see RFC 5321";

/// The line is no command.
pub const UNKNOWN: &str = "500 5.5.1 unknown command";
/// A line over its bound.
pub const LINE_TOO_LONG: &str = "500 5.5.2 line too long";
/// A lone LF where a command should end (rfc5321#2.3.8).
pub const BARE_LF: &str = "500 5.5.2 lines end with CRLF";
/// Arguments that do not parse.
pub const BAD_ARGUMENTS: &str = "501 5.5.4 wrong arguments";
/// MAIL's path does not parse.
pub const BAD_SENDER: &str = "501 5.1.7 bad sender address";
/// RCPT's path does not parse.
pub const BAD_RECIPIENT: &str = "501 5.1.3 bad recipient address";
/// Known and not offered.
pub const NOT_IMPLEMENTED: &str = "502 5.5.1 not implemented";
/// EHLO first, MAIL first and so on.
pub const BAD_SEQUENCE: &str = "503 5.5.1 bad sequence of commands";
/// DATA without a recipient.
pub const NO_RECIPIENTS: &str = "503 5.5.1 no valid recipients";
/// DATA for a message that only BDAT can carry (rfc3030#3).
pub const BINARY_NEEDS_BDAT: &str = "503 5.5.1 BINARYMIME needs BDAT";
/// A parameter nobody offered (rfc5321#4.1.1.11).
pub const BAD_PARAMETER: &str = "555 5.5.4 parameter not recognised";

/// Commands came behind STARTTLS in the clear (rfc3207#4.2).
pub const BEHIND_STARTTLS: &str = "554 5.5.1 commands behind STARTTLS are refused";
/// No certificate.
pub const NO_TLS: &str = "454 4.7.0 TLS not available";

/// rfc4954#6
pub const AUTH_REQUIRED: &str = "530 5.7.0 authentication required";
/// MAIL or AUTH without TLS (rfc3207#4).
pub const TLS_REQUIRED: &str = "530 5.7.0 must issue STARTTLS first";
/// AUTH without TLS (rfc4954#6).
pub const AUTH_NEEDS_TLS: &str = "538 5.7.11 encryption required for authentication";
/// Wrong name or password.
pub const AUTH_FAILED: &str = "535 5.7.8 wrong name or password";
/// No such mechanism.
pub const BAD_MECHANISM: &str = "504 5.5.4 no such mechanism";
/// Not base64.
pub const BAD_BASE64: &str = "501 5.5.2 not base64";
/// `*`
pub const AUTH_CANCELLED: &str = "501 5.7.0 authentication cancelled";
/// A SASL response over its bound (rfc4954#4).
pub const AUTH_LINE_TOO_LONG: &str = "500 5.5.6 authentication exchange line too long";
/// The password pool had no room.
pub const AUTH_BUSY: &str = "454 4.7.0 cannot authenticate now, try again later";
/// Too many failures.
pub const AUTH_GIVE_UP: &str = "421 4.7.0 too many failed logins";

/// Not the authenticated user's address.
pub const NOT_YOUR_ADDRESS: &str = "553 5.7.1 sender address is not yours";
/// UTF-8 without SMTPUTF8 (rfc6531#3.5).
pub const NEEDS_SMTPUTF8: &str = "553 5.6.7 this address needs SMTPUTF8";
/// Not one of our domains.
pub const NO_RELAYING: &str = "550 5.7.1 relaying refused";
/// Nobody by that name.
pub const NO_SUCH_USER: &str = "550 5.1.1 no such user";
/// An alias that goes in circles.
pub const ALIAS_LOOP: &str = "550 5.4.6 this address leads nowhere";
/// rfc5321#4.5.3.1.10
pub const TOO_MANY_RECIPIENTS: &str = "452 4.5.3 too many recipients";
/// Disk or memory is full.
pub const NO_ROOM: &str = "452 4.3.1 insufficient storage, try again later";
/// The account's quota is used up (rfc2033#4.2 shows the code, rfc3463#3.3 the enhanced one): the owner can
/// make room, so the sender keeps the message and tries again.
pub const OVER_QUOTA: &str = "452 4.2.2 mailbox full, try again later";
/// The same where others have the message already: another attempt would give it to them once more, so the
/// sender is told for good (rfc5321#4.2.2).
pub const OVER_QUOTA_FOR_SOME: &str = "552 5.2.2 mailbox full; the other recipients have the message";
/// Something here is not ready.
pub const TRY_LATER: &str = "451 4.3.0 try again later";

/// Over the size limit (rfc1870#6.1).
pub const TOO_LARGE: &str = "552 5.3.4 message too large";
/// A lone CR or LF in the message: two servers would not agree on where it ends (rfc5321#2.3.8).
pub const BARE_LINE_END: &str = "550 5.6.11 a lone CR or LF is not allowed in a message";
/// Too many Received fields (rfc5321#6.3).
pub const MAIL_LOOP: &str = "554 5.4.6 message goes in circles";
/// A chunk arrived and is kept.
pub const CHUNK_OK: &str = "250 2.0.0 chunk received";

/// The server ends the session before QUIT, behind the reply that says why (rfc5321#3.8).
pub const CLOSING: &str = "421 4.7.0 closing the connection";
/// Too many bad commands.
pub const GIVE_UP: &str = "421 4.7.0 too many errors";

#[cfg(test)]
mod tests {
    #[test]
    fn every_reply_agrees_with_its_status_code() {
        let replies = include_str!("reply.rs").lines().filter_map(|line| line.strip_prefix("pub const "));
        let mut seen = 0;
        for reply in replies {
            let text = reply.split('"').nth(1).expect("a string");
            let (code, rest) = text.split_once(' ').expect("code and text");
            assert!(code.len() == 3 && code.parse::<u16>().is_ok(), "{text}");
            seen += 1;
            if !code.starts_with('3') {
                // rfc2034#4: the class is the first digit of the code.
                assert_eq!(rest.as_bytes()[0], code.as_bytes()[0], "{text}");
                let status = rest.split(' ').next().expect("a status code");
                assert_eq!(status.split('.').filter(|part| part.parse::<u16>().is_ok()).count(), 3, "{text}");
            }
        }
        assert!(seen > 40);
    }
}
