//! DATA: from dot-stuffed lines to the message, and where it ends.
//!
//! *Owns*: the transparency of rfc5321#4.5.2 and the only end a message has. *Promises*: linear, one copy,
//! any chunking gives the same message; nothing but CRLF "." CRLF ends it, so that no LF "." LF, CR "." CR or
//! mixture of them lets what follows pass for commands (SMTP smuggling). *Assumes*: the first octet read is
//! the first behind DATA's CRLF. *Never*: repairs a lone CR or LF; such a message is read to its true end and
//! refused (rfc5321#2.3.8).
//!
//! ```text
//!              ┌───────────── LF ──────────────┐
//!              ▼                               │
//!  start ─► LineStart ── other ──► Text ─ CR ─► TextCr ── other: lone CR ──► Text
//!              │                    ▲  └ LF: lone LF, still Text
//!             "." (dropped)         │
//!              ▼                    │
//!             Dot ──── other ───────┤
//!              │ CR                 │
//!              ▼                    │
//!            DotCr ─ other: lone CR ┘
//!              │ LF
//!              ▼
//!             end
//! ```

use super::body::{Body, Flaw};

/// Where in the message the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Dot,
    DotCr,
    Text,
    TextCr,
}

/// Reads a message sent with DATA.
#[derive(Debug)]
pub struct DataReader {
    at: At,
}

impl Default for DataReader {
    /// At the start of the message.
    fn default() -> DataReader {
        DataReader { at: At::LineStart }
    }
}

impl DataReader {
    /// Takes octets into the body until they are used up or the message ends. Returns how many were taken and
    /// whether it has ended.
    pub fn read(&mut self, octets: &[u8], body: &mut Body) -> (usize, bool) {
        // `kept..next` belongs to the message and is not yet copied.
        let (mut kept, mut next) = (0, 0);
        while let Some(&octet) = octets.get(next) {
            match (self.at, octet) {
                (At::LineStart, b'.') => {
                    body.add(&octets[kept..next]);
                    next += 1;
                    kept = next;
                    self.at = At::Dot;
                }
                (At::LineStart, _) => self.at = At::Text,
                (At::Dot, b'\r') => {
                    next += 1;
                    kept = next;
                    self.at = At::DotCr;
                }
                (At::Dot, _) => self.at = At::Text,
                (At::DotCr, b'\n') => return (next + 1, true),
                (At::DotCr, _) => {
                    body.add(b"\r");
                    body.spoil(Flaw::BareLineEnd);
                    self.at = At::Text;
                }
                (At::Text, _) => match memchr::memchr2(b'\r', b'\n', &octets[next..]) {
                    None => next = octets.len(),
                    Some(length) => {
                        next += length + 1;
                        if octets[next - 1] == b'\n' {
                            body.spoil(Flaw::BareLineEnd);
                        } else {
                            self.at = At::TextCr;
                        }
                    }
                },
                (At::TextCr, b'\n') => {
                    next += 1;
                    self.at = At::LineStart;
                }
                (At::TextCr, _) => {
                    body.spoil(Flaw::BareLineEnd);
                    self.at = At::Text;
                }
            }
        }
        body.add(&octets[kept..next]);
        (next, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Message, flaw and what was left behind the end, fed in chunks of `size`.
    fn run(octets: &[u8], size: usize) -> (Vec<u8>, Option<Flaw>, Option<usize>) {
        let mut body = Body::begin(Vec::new(), 1 << 20, None);
        let mut reader = DataReader::default();
        let mut taken = 0;
        for chunk in octets.chunks(size) {
            let (read, ended) = reader.read(chunk, &mut body);
            taken += read;
            if ended {
                return (body.octets().to_vec(), body.flaw(), Some(taken));
            }
            assert_eq!(read, chunk.len());
        }
        (body.octets().to_vec(), body.flaw(), None)
    }

    fn check(octets: &[u8], message: &[u8], flaw: Option<Flaw>, rest: Option<&[u8]>) {
        for size in 1..=octets.len() {
            let (got, got_flaw, taken) = run(octets, size);
            let shown = octets.escape_ascii();
            assert_eq!(got_flaw, flaw, "{shown} in chunks of {size}");
            assert_eq!(taken.map(|taken| &octets[taken..]), rest, "{shown} in chunks of {size}");
            if flaw.is_none() {
                assert_eq!(got.escape_ascii().to_string(), message.escape_ascii().to_string(), "{size}");
            }
        }
    }

    #[test]
    fn dots_are_taken_away_and_the_end_is_found() {
        check(b"a\r\n.\r\nQUIT", b"a\r\n", None, Some(b"QUIT"));
        check(b".\r\n", b"", None, Some(b""));
        check(b"..\r\n.\r\n", b".\r\n", None, Some(b""));
        check(b"...\r\n..a\r\n.b\r\n\r\n.\r\n", b"..\r\n.a\r\nb\r\n\r\n", None, Some(b""));
        check(b"a.\r\nb\r\n.\r\n", b"a.\r\nb\r\n", None, Some(b""));
        check(b"\0\xff.\r\n\r\n.\r\nx", b"\0\xff.\r\n\r\n", None, Some(b"x"));
        check(b"no end\r\n.\r", b"no end\r\n", None, None);
    }

    #[test]
    fn no_smuggling_variant_ends_a_message() {
        let ends: [&[u8]; 12] = [
            b"\n.\n",
            b"\n.\r\n",
            b"\r\n.\n",
            b"\r.\r",
            b"\r.\r\n",
            b"\r\n.\r",
            b"\n.\r",
            b"\r.\n",
            b"\r\r\n.\r\r\n",
            b"\n\n.\n\n",
            b"\r\n.\r\r\n",
            b"\r\n\n.\r\n",
        ];
        for end in ends {
            let message = [b"a", end, b"MAIL FROM:<evil@x>\r\n.\r\nNOOP"].concat();
            // The rest is what follows the true end: never the planted command.
            check(&message, b"", Some(Flaw::BareLineEnd), Some(b"NOOP"));
        }
    }

    #[test]
    fn every_short_sequence_is_read_the_same_in_one_piece_and_in_octets() {
        let alphabet = b"\r\n.a";
        for code in 0..4usize.pow(8) {
            let octets: Vec<u8> = (0..8).map(|at| alphabet[code >> (2 * at) & 3]).collect();
            let (whole, bytewise) = (run(&octets, 8), run(&octets, 1));
            assert_eq!(whole, bytewise, "{}", octets.escape_ascii());
            // The oracle: the message ends at the first CRLF "." CRLF, the one of DATA itself counted.
            let text = [b"\r\n".as_slice(), &octets].concat();
            let end = memchr::memmem::find(&text, b"\r\n.\r\n").map(|at| at + 3);
            assert_eq!(whole.2, end, "{}", octets.escape_ascii());
        }
    }
}
