//! Ids of messages and threads as clients name them (rfc8474).
//!
//! *Owns*: their form: `M` and the number of the octets' [`EmailId`], `T` and the thread's hash in hexadecimal.
//! *Promises*: what is no id of this server's is none. *Assumes*: no two bodies of any shard have one id, and a body
//! keeps its id where it goes. *Never*: looks anything up.

use ringpost_engine::ids::EmailId;
use ringpost_engine::layout::MessageIdHash;

/// What an `EMAILID` means (rfc8474#5.1): the same for all copies of a message.
pub fn email(id: &[u8]) -> Option<EmailId> {
    number(id, b'M', 10).map(EmailId)
}

/// What a `THREADID` means (rfc8474#5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadId {
    /// The root of the thread as its messages know it.
    Root(MessageIdHash),
    /// The thread of a message that names none.
    Own(EmailId),
}

/// Reads a `THREADID`.
pub fn thread(id: &[u8]) -> Option<ThreadId> {
    match id.strip_prefix(b"T-") {
        Some(_) => number(&id[1..], b'-', 10).map(|body| ThreadId::Own(EmailId(body))),
        None => number(id, b'T', 16).filter(|&root| root != 0).map(ThreadId::Root),
    }
}

fn number(id: &[u8], kind: u8, radix: u32) -> Option<u64> {
    let digits = id.strip_prefix(&[kind])?;
    let plain = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_this_server_are_read() {
        assert_eq!(email(b"M170"), Some(EmailId(170)));
        assert_eq!(thread(b"T00000000000000ab"), Some(ThreadId::Root(171)));
        assert_eq!(thread(b"T-170"), Some(ThreadId::Own(EmailId(170))));
        assert_eq!((thread(b"T0"), thread(b"T-a"), thread(b"M1")), (None, None, None));
        for bad in [&b""[..], b"M", b"T1", b"Ma", b"M+1", b"m1", b"M99999999999999999999", b"M\xff"] {
            assert_eq!(email(bad), None, "{bad:?}");
        }
    }
}
