//! Cutting what a server says into lines and literals.

/// Bytes of a server, taken out unit by unit.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line without CRLF.
    pub fn line(&mut self) -> Option<String> {
        let end = memchr::memmem::find(&self.buffer, b"\r\n")?;
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 2);
        Some(line)
    }

    /// The next whole SMTP reply: code and last line (rfc5321#4.2.1).
    pub fn smtp_reply(&mut self) -> Option<(u16, String)> {
        let mut from = 0;
        loop {
            let end = from + memchr::memmem::find(&self.buffer[from..], b"\r\n")?;
            if self.buffer.get(from + 3) != Some(&b'-') {
                let line = String::from_utf8_lossy(&self.buffer[from..end]).into_owned();
                self.buffer.drain(..end + 2);
                let code = line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
                return Some((code, line));
            }
            from = end + 2;
        }
    }

    /// The lines of a POP3 multi-line answer, dots removed (rfc1939#3).
    pub fn pop3_lines(&mut self) -> Option<Vec<u8>> {
        let end = match self.buffer.starts_with(b".\r\n") {
            true => 0,
            false => memchr::memmem::find(&self.buffer, b"\r\n.\r\n")? + 2,
        };
        let raw: Vec<u8> = self.buffer.drain(..end + 3).take(end).collect();
        let mut text = Vec::with_capacity(raw.len());
        let mut line_start = true;
        for octet in raw {
            if !(line_start && octet == b'.') {
                text.push(octet);
            }
            line_start = octet == b'\n';
        }
        Some(text)
    }

    /// The next IMAP response: its text with each literal replaced by `{}`, and the literals (rfc3501#4.3).
    pub fn imap_response(&mut self) -> Option<(String, Vec<Vec<u8>>)> {
        let (mut from, mut text, mut literals) = (0, String::new(), Vec::new());
        loop {
            let end = from + memchr::memmem::find(&self.buffer[from..], b"\r\n")?;
            let line = String::from_utf8_lossy(&self.buffer[from..end]).into_owned();
            from = end + 2;
            let announced = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
            match announced.and_then(|(before, count)| Some((before, count.parse::<usize>().ok()?))) {
                Some((before, count)) => {
                    literals.push(self.buffer.get(from..from + count)?.to_vec());
                    from += count;
                    text.push_str(before);
                    text.push_str("{}");
                }
                None => {
                    text.push_str(&line);
                    self.buffer.drain(..from);
                    return Some((text, literals));
                }
            }
        }
    }
}
