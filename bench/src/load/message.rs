//! The messages that are sent.
//!
//! *Owns*: making messages of an exact size. *Promises*: all of one run have the same size, each its own
//! Message-ID; only CRLF line ends, no line begins with a dot, lines within 78 octets (rfc5322#2.1.1).
//! *Assumes*: nothing. *Never*: allocates the body again.

use bytes::Bytes;

/// Makes the messages of one run.
#[derive(Clone, Debug)]
pub struct Messages {
    sender: String,
    body: Bytes,
    /// Tells this run's Message-IDs from another's.
    run: u64,
}

impl Messages {
    /// Messages of `bytes` octets each (at least the header and an empty body).
    pub fn new(sender: &str, bytes: usize, run: u64) -> Messages {
        let mut messages = Messages { sender: sender.to_owned(), body: Bytes::new(), run };
        let header_len = messages.header(0).len();
        messages.body = body(bytes.saturating_sub(header_len));
        messages
    }

    /// The header of the `number`-th message, the empty line included; always the same length.
    pub fn header(&self, number: u64) -> String {
        let Messages { sender, run, .. } = self;
        format!(
            "From: Load <{sender}>\r\nTo: undisclosed-recipients:;\r\nSubject: message {number:012}\r\n\
             Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{run:016x}.{number:012}@bench.invalid>\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        )
    }

    /// The body that all share.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Octets of each message.
    pub fn len(&self) -> usize {
        self.header(0).len() + self.body.len()
    }
}

/// Readable lines; the last one ends with CRLF if there is room for one.
fn body(bytes: usize) -> Bytes {
    const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog and goes home to read its mail. ";
    const LINE_BYTES: usize = 78;
    let mut body = Vec::with_capacity(bytes);
    while body.len() < bytes {
        let line_len = (bytes - body.len()).min(LINE_BYTES);
        match line_len {
            1 => body.push(b'x'),
            _ => {
                // Never leave one octet for the last line: it could not end in CRLF.
                let line_len = if bytes - body.len() == LINE_BYTES + 1 { line_len - 1 } else { line_len };
                body.extend(TEXT.iter().cycle().take(line_len - 2));
                body.extend_from_slice(b"\r\n");
            }
        }
    }
    Bytes::from(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_lines_proper() {
        let header_len = Messages::new("a@b", 0, 7).len();
        for bytes in header_len + 2..header_len + 400 {
            let messages = Messages::new("a@b", bytes, 7);
            let message = messages.header(999_999) + std::str::from_utf8(messages.body()).unwrap();
            assert_eq!((message.len(), messages.len()), (bytes, bytes));
            assert!(message.ends_with("\r\n"));
            assert_eq!(message.matches('\n').count(), message.matches("\r\n").count());
            assert!(message.lines().all(|line| line.len() <= 78 && !line.starts_with('.')));
        }
    }

    #[test]
    fn headers_differ_but_not_in_length() {
        let messages = Messages::new("a@b", 1_000, 7);
        assert_ne!(messages.header(1), messages.header(2));
        assert_eq!(messages.header(1).len(), messages.header(999_999_999_999).len());
    }
}
