//! What the octets of a message tell about it.

use ringpost::proto::mime::header;
use ringpost_engine::log::record::RecordMeta;

/// The encoded summary and the octets of a body's record; none when its lengths do not agree.
pub fn split<'p>(meta: &RecordMeta, payload: &'p [u8]) -> Option<(&'p [u8], &'p [u8])> {
    payload.split_at_checked(meta.summary_len as usize)
}

/// A header field's value, unfolded.
pub fn field(octets: &[u8], name: &str) -> Option<String> {
    let value = header::value(octets, name.as_bytes())?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// The Message-ID, without its angle brackets.
pub fn message_id(octets: &[u8]) -> Option<String> {
    field(octets, "Message-ID").map(|value| bare_id(&value).to_owned())
}

/// A Message-ID as it is compared: without white space and angle brackets around it.
pub fn bare_id(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_folded_and_in_any_case() {
        let octets = b"Received: x\r\nMESSAGE-id:\r\n <a@b> \r\nSubject: s\r\n\r\nMessage-ID: <no>\r\n";
        assert_eq!(message_id(octets).as_deref(), Some("a@b"));
        assert_eq!(message_id(b"Subject: s\r\n\r\nMessage-ID: <no>\r\n"), None);
        assert_eq!((bare_id(" <x> "), bare_id("x"), bare_id("<x")), ("x", "x", "<x"));
    }
}
