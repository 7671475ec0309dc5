//! Lines out of received bytes.
//!
//! *Owns*: where a line ends. *Promises*: the same lines for any chunking; a line is taken without a copy; at
//! most `max` octets of an unfinished line are left waiting in the input, of an over-long one none.
//! *Assumes*: between two calls nobody else consumes the input while a line is unfinished. *Never*: looks
//! inside.
//!
//! ```text
//!            ┌──────── max octets without a line end: TooLong ───────┐
//!            │                                                       ▼
//!        Collecting ──line end──► Line │ BareLf                  Skipping ──line end──► Collecting
//! ```

use bytes::Bytes;

use crate::proto::Input;

/// What ends a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// CRLF; a lone LF is taken for it (POP3, IMAP: nothing can be smuggled past them).
    Lenient,
    /// CRLF only; a lone LF is [`Framed::BareLf`] (rfc5321#2.3.8).
    CrLf,
}

/// What the input holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framed {
    /// No whole line yet.
    Need,
    /// A line without its end.
    Line(Bytes),
    /// A line that ended with a lone LF under [`LineEnd::CrLf`]; it is dropped.
    BareLf,
    /// A line over the maximum, told once, as soon as it is known; the rest of it is dropped when it comes.
    TooLong,
}

/// Cuts lines off an [`Input`].
#[derive(Clone, Debug)]
pub struct LineFramer {
    max: usize,
    end: LineEnd,
    /// Octets at the start of the input that hold no LF.
    scanned: usize,
    skipping: bool,
}

impl LineFramer {
    /// Lines of at most `max` octets, CRLF included; a lone LF counts as one octet.
    pub fn new(max: usize, end: LineEnd) -> LineFramer {
        LineFramer { max, end, scanned: 0, skipping: false }
    }

    /// Another maximum from the next line on (a SASL response may be longer than a command).
    pub fn limit(&mut self, max: usize) {
        self.max = max;
    }

    /// The next line. Ask until there is none.
    pub fn next(&mut self, input: &mut Input) -> Framed {
        if self.skipping && !self.skip(input) {
            return Framed::Need;
        }
        let found = memchr::memchr(b'\n', &input.bytes()[self.scanned..]);
        let Some(lf) = found.map(|at| self.scanned + at) else {
            self.scanned = input.len();
            if self.scanned < self.max {
                return Framed::Need;
            }
            self.skipping = true;
            self.skip(input);
            return Framed::TooLong;
        };
        self.scanned = 0;
        if lf >= self.max {
            input.consume(lf + 1);
            return Framed::TooLong;
        }
        let mut line = input.take(lf + 1);
        line.truncate(lf);
        if line.last() == Some(&b'\r') {
            line.truncate(lf - 1);
        } else if self.end == LineEnd::CrLf {
            return Framed::BareLf;
        }
        Framed::Line(line)
    }

    /// Drops what belongs to the over-long line. Whether its end was found.
    fn skip(&mut self, input: &mut Input) -> bool {
        self.scanned = 0;
        let end = memchr::memchr(b'\n', input.bytes());
        input.consume(end.map_or(input.len(), |lf| lf + 1));
        self.skipping = end.is_none();
        !self.skipping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything framed when `bytes` arrive in chunks of `size`, and the most that was left waiting.
    fn frames(bytes: &[u8], size: usize, max: usize, end: LineEnd) -> (Vec<Framed>, usize) {
        let (mut framer, mut input) = (LineFramer::new(max, end), Input::new());
        let (mut out, mut waiting) = (Vec::new(), 0);
        for chunk in bytes.chunks(size) {
            input.extend(chunk);
            loop {
                match framer.next(&mut input) {
                    Framed::Need => break,
                    framed => out.push(framed),
                }
            }
            waiting = waiting.max(input.len());
        }
        (out, waiting)
    }

    fn line(text: &'static str) -> Framed {
        Framed::Line(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn any_chunking_gives_the_same_lines_in_bounded_memory() {
        let text = b"one\r\n\r\nlone\nxxxxxxxxxxxxxxx\r\nsix\rsix\r\n12345678\r\n123456789\r\nlast";
        for end in [LineEnd::Lenient, LineEnd::CrLf] {
            let (whole, _) = frames(text, text.len(), 10, end);
            for size in 1..text.len() {
                let (cut, waiting) = frames(text, size, 10, end);
                assert_eq!(cut, whole, "chunks of {size}");
                assert!(waiting < 10, "{waiting} octets waiting at chunks of {size}");
            }
        }
    }

    #[test]
    fn a_line_may_have_max_octets_and_no_more() {
        let text = b"12345678\r\n123456789\r\nok\r\n123456789\nok\r\n";
        let (lines, _) = frames(text, 7, 10, LineEnd::Lenient);
        assert_eq!(lines, [line("12345678"), Framed::TooLong, line("ok"), line("123456789"), line("ok")]);
    }

    #[test]
    fn a_lone_lf_is_policy() {
        let (lenient, _) = frames(b"a\nb\r\n", 9, 10, LineEnd::Lenient);
        assert_eq!(lenient, [line("a"), line("b")]);
        let (strict, _) = frames(b"a\nb\r\n", 9, 10, LineEnd::CrLf);
        assert_eq!(strict, [Framed::BareLf, line("b")]);
    }

    #[test]
    fn an_over_long_line_is_told_before_it_ends() {
        let (mut framer, mut input) = (LineFramer::new(4, LineEnd::CrLf), Input::new());
        input.extend(b"12345");
        assert_eq!(framer.next(&mut input), Framed::TooLong);
        assert_eq!((framer.next(&mut input), input.len()), (Framed::Need, 0));
        input.extend(b"678\r\nab\r\n");
        assert_eq!(framer.next(&mut input), line("ab"));
    }
}
