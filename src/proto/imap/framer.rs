//! Commands out of received bytes: lines, and literals between them.
//!
//! *Owns*: where a command ends; which literals are streamed, because they are messages or parts of such
//! (all of APPEND and REPLACE but a mailbox name); what happens to over-size input.
//! *Promises*: the same frames for any chunking; a command is one slice, taken without a copy; of refused
//! input nothing but a line's last `TAIL_BYTES` octets is left waiting, and only
//! `limits::IMAP_SKIP_BYTES_MAX` of it is read. *Assumes*: nobody else consumes the input except between two
//! commands (SASL and IDLE lines). *Never*: judges syntax; literals stand in the slice as they came, `{n}`
//! and all, for the parser to read.
//!
//! ```text
//!                 ┌──────────────────────────────────────────────────────────────────┐
//!                 ▼                                                                  │
//!          ┌──► Line ──line end──► Command ──────────────────────────────────────────┤
//!          │      │ │                                                                │
//!   n octets      │ └─{n}: Continue─┬─► Literal                                      │
//!          │      │   {n+}──────────┘      │                                         │
//!          └──────│────────────────────────┘     ┌──────── {n}: Text, announced ───┐ │
//!                 │                              ▼                                 │ │
//!                 ├─a message's {n}: Message──► Deciding ──accept──► Streaming: Data│ │
//!                 │                              │                      │          │ │
//!                 │                           refuse                   Tail ───────┘ │
//!                 │                              │ sync                 └─line end: Text
//!                 │                              ├───────────────────────────────────┤
//!                 │                              ▼                                   │
//!                 └─too long, too large: Refused─► SkipLiteral ◄──► SkipLine ────────┘
//!                                                   over the skip bound: Close ──► Closed
//! ```

use bytes::Bytes;

use crate::limits::{
    IMAP_LINE_BEFORE_LOGIN_BYTES_MAX, IMAP_LINE_BYTES_MAX, IMAP_LITERAL_BEFORE_LOGIN_BYTES_MAX,
    IMAP_LITERAL_BYTES_MAX, IMAP_SKIP_BYTES_MAX, IMAP_TAG_BYTES_MAX,
};
use crate::proto::Input;

/// What the input holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Nothing that is complete.
    Need,
    /// A synchronising literal that fits is announced: send a continuation request, then ask again.
    Continue,
    /// A command without its last line end. Literals are inside as they came.
    Command(Bytes),
    /// The first literal of APPEND or REPLACE that is streamed is announced: answer with
    /// [`CommandFramer::accept`] or [`CommandFramer::refuse`].
    Message {
        /// The command up to the announcement.
        head: Bytes,
        /// What is announced.
        literal: Literal,
    },
    /// Octets of the accepted literal, in order, never empty.
    Data(Bytes),
    /// What follows a streamed literal.
    Text {
        /// To the next announcement or to the end of the command.
        text: Bytes,
        /// The next literal, to be accepted or refused; none at the command's end.
        literal: Option<Literal>,
    },
    /// A command that goes over a bound; what is left of it is dropped when it comes.
    Refused {
        /// Its tag, if it has one.
        tag: Option<Bytes>,
        /// Why.
        why: Refusal,
    },
    /// The client sends more refused input than is read: say BYE and close. Nothing comes after it.
    Close,
}

/// How large a command may be now, streamed literals aside.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Octets of its lines together.
    pub line_bytes: usize,
    /// Octets of its literals together.
    pub literal_bytes: usize,
    /// Octets of one literal that the client does not wait to send (rfc7888#5).
    pub unasked_bytes: u64,
}

impl Bounds {
    /// Nobody knows who it is: room for a login, no more.
    pub const BEFORE_LOGIN: Bounds = Bounds {
        line_bytes: IMAP_LINE_BEFORE_LOGIN_BYTES_MAX,
        literal_bytes: IMAP_LITERAL_BEFORE_LOGIN_BYTES_MAX,
        unasked_bytes: u64::MAX,
    };
    /// What a client of an account may send.
    pub const AFTER_LOGIN: Bounds = Bounds {
        line_bytes: IMAP_LINE_BYTES_MAX,
        literal_bytes: IMAP_LITERAL_BYTES_MAX,
        unasked_bytes: u64::MAX,
    };
}

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its lines together are over [`Bounds::line_bytes`].
    LineTooLong,
    /// Its literals together are over [`Bounds::literal_bytes`].
    LiteralTooLarge,
}

impl Refusal {
    /// For the BAD reply.
    pub fn text(self) -> &'static str {
        match self {
            Refusal::LineTooLong => "Command line too long",
            Refusal::LiteralTooLarge => "Literal too large",
        }
    }
}

/// An announced literal (rfc3501#9, rfc7888#8, rfc4466#3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Octets; `u64::MAX` for all that is larger.
    pub size: u64,
    /// The client waits for a continuation request.
    pub sync: bool,
    /// `~{n}`: may hold NUL.
    pub binary: bool,
}

impl Literal {
    /// Octets of the longest announcement, `~{`, digits and `+}`.
    pub const ANNOUNCEMENT_BYTES_MAX: usize = DIGITS_MAX + 4;

    /// The announcement at the end of a line (rfc7888#3), and where it begins. More than 20 digits are no
    /// number.
    pub fn at_end(line: &[u8]) -> Option<(Literal, usize)> {
        let body = line.strip_suffix(b"}")?;
        let (body, sync) = body.strip_suffix(b"+").map_or((body, true), |body| (body, false));
        let digits = body.iter().rev().take(DIGITS_MAX).take_while(|octet| octet.is_ascii_digit()).count();
        let (body, digits) = body.split_at(body.len() - digits);
        let body = body.strip_suffix(b"{")?;
        if digits.is_empty() {
            return None;
        }
        let size = digits
            .iter()
            .fold(0u64, |size, digit| size.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        let binary = body.last() == Some(&b'~');
        Some((Literal { size, sync, binary }, body.len() - usize::from(binary)))
    }
}

/// Digits of a 64-bit number.
const DIGITS_MAX: usize = 20;
/// Octets at the end of a line that can announce a literal, and CR.
const TAIL_BYTES: usize = Literal::ANNOUNCEMENT_BYTES_MAX + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Line,
    Literal { left: u64 },
    Deciding { literal: Literal },
    Streaming { left: u64 },
    Tail,
    SkipLine,
    SkipLiteral { left: u64 },
    Closed,
}

/// Cuts commands off an [`Input`].
#[derive(Clone, Debug)]
pub struct CommandFramer {
    state: State,
    /// Where the current line begins in the input; before it stands the command so far.
    line_start: usize,
    /// Octets at the start of the input that were looked at for a line end.
    scanned: usize,
    /// Octets of the command's earlier lines.
    line_bytes: usize,
    /// Octets of the command's literals.
    literal_bytes: u64,
    /// Literals of the command.
    literals: u32,
    /// Octets of refused input dropped since the last good command.
    skipped: u64,
}

impl Default for CommandFramer {
    fn default() -> CommandFramer {
        CommandFramer::new()
    }
}

impl CommandFramer {
    /// At the start of a command.
    pub fn new() -> CommandFramer {
        CommandFramer {
            state: State::Line,
            line_start: 0,
            scanned: 0,
            line_bytes: 0,
            literal_bytes: 0,
            literals: 0,
            skipped: 0,
        }
    }

    /// The next frame. Ask until there is none.
    pub fn next(&mut self, input: &mut Input, bounds: Bounds) -> Frame {
        loop {
            let frame = match self.state {
                State::Line => self.line(input, bounds),
                State::Literal { left } => self.literal(input, left),
                State::Deciding { .. } => Some(Frame::Need),
                State::Streaming { left } => self.stream(input, left),
                State::Tail => self.tail(input, bounds),
                State::SkipLine => self.skip_line(input),
                State::SkipLiteral { left } => self.skip_literal(input, left),
                State::Closed => {
                    input.clear();
                    Some(Frame::Need)
                }
            };
            if let Some(frame) = frame {
                return frame;
            }
        }
    }

    /// Takes the announced literal: [`Frame::Data`] and [`Frame::Text`] follow. Whether the client waits for a
    /// continuation request.
    pub fn accept(&mut self) -> bool {
        let State::Deciding { literal } = self.state else { return false };
        self.state = State::Streaming { left: literal.size };
        literal.sync
    }

    /// Refuses the announced literal, if there is one, and with it the rest of the command. What the client
    /// sends of it nevertheless (`{n+}`) is dropped.
    pub fn refuse(&mut self) {
        if let State::Deciding { literal } = self.state {
            self.state = if literal.sync { State::Line } else { State::SkipLiteral { left: literal.size } };
        }
    }

    fn line(&mut self, input: &mut Input, bounds: Bounds) -> Option<Frame> {
        let Some(lf) = self.find_lf(input) else {
            let so_far = self.line_bytes + input.len() - self.line_start;
            return Some(if so_far < bounds.line_bytes { Frame::Need } else { self.refuse_line(input) });
        };
        let line_bytes = self.line_bytes + lf + 1 - self.line_start;
        if line_bytes > bounds.line_bytes {
            return Some(self.refuse_line(input));
        }
        let end = without_cr(input.bytes(), self.line_start, lf);
        let Some((literal, at)) = Literal::at_end(&input.bytes()[self.line_start..end]) else {
            self.reset();
            self.skipped = 0;
            let mut command = input.take(lf + 1);
            command.truncate(end);
            return Some(Frame::Command(command));
        };
        let at = self.line_start + at;
        if announces_message(&input.bytes()[..at], self.literals) {
            self.reset();
            let mut head = input.take(lf + 1);
            head.truncate(at);
            self.state = State::Deciding { literal };
            return Some(Frame::Message { head, literal });
        }
        let literal_bytes = self.literal_bytes.saturating_add(literal.size);
        let unasked = !literal.sync && literal.size > bounds.unasked_bytes;
        if unasked || literal_bytes > bounds.literal_bytes as u64 {
            let tag = tag(input.bytes()).map(Bytes::copy_from_slice);
            input.consume(lf + 1);
            self.reset();
            if !literal.sync {
                self.state = State::SkipLiteral { left: literal.size };
            }
            return Some(Frame::Refused { tag, why: Refusal::LiteralTooLarge });
        }
        self.line_bytes = line_bytes;
        self.literal_bytes = literal_bytes;
        self.literals += 1;
        self.line_start = lf + 1;
        self.state = State::Literal { left: literal.size };
        literal.sync.then_some(Frame::Continue)
    }

    fn literal(&mut self, input: &Input, left: u64) -> Option<Frame> {
        // `left` is within the bounds of its line, so it fits in memory terms.
        let end = self.line_start + left as usize;
        if input.len() < end {
            return Some(Frame::Need);
        }
        self.line_start = end;
        self.scanned = end;
        self.state = State::Line;
        None
    }

    fn stream(&mut self, input: &mut Input, left: u64) -> Option<Frame> {
        if left == 0 {
            self.state = State::Tail;
            return None;
        }
        if input.is_empty() {
            return Some(Frame::Need);
        }
        let count = left.min(input.len() as u64);
        self.state = State::Streaming { left: left - count };
        Some(Frame::Data(input.take(count as usize)))
    }

    fn tail(&mut self, input: &mut Input, bounds: Bounds) -> Option<Frame> {
        let lf = self.find_lf(input);
        let end = lf.map_or(input.len(), |lf| lf + 1);
        if end > bounds.line_bytes || (lf.is_none() && end == bounds.line_bytes) {
            self.enter_skip_line();
            return Some(Frame::Refused { tag: None, why: Refusal::LineTooLong });
        }
        let Some(lf) = lf else { return Some(Frame::Need) };
        let mut text = input.take(lf + 1);
        text.truncate(without_cr(&text, 0, lf));
        self.reset();
        let announced = Literal::at_end(&text);
        self.state = announced.map_or(State::Line, |(literal, _)| State::Deciding { literal });
        if let Some((_, at)) = announced {
            text.truncate(at);
        }
        Some(Frame::Text { text, literal: announced.map(|(literal, _)| literal) })
    }

    fn skip_line(&mut self, input: &mut Input) -> Option<Frame> {
        let lf = self.find_lf(input);
        let seen = lf.map_or(input.len(), |lf| lf + 1);
        if self.skipped + seen as u64 > IMAP_SKIP_BYTES_MAX {
            return Some(self.close(input));
        }
        let Some(lf) = lf else {
            let drop = seen.saturating_sub(TAIL_BYTES);
            input.consume(drop);
            input.give_back_consumed();
            self.skipped += drop as u64;
            self.scanned = seen - drop;
            return Some(Frame::Need);
        };
        let literal = Literal::at_end(&input.bytes()[..without_cr(input.bytes(), 0, lf)]);
        input.consume(seen);
        self.skipped += seen as u64;
        self.reset();
        if let Some((literal, _)) = literal.filter(|(literal, _)| !literal.sync) {
            self.state = State::SkipLiteral { left: literal.size };
        }
        None
    }

    fn skip_literal(&mut self, input: &mut Input, left: u64) -> Option<Frame> {
        if left > IMAP_SKIP_BYTES_MAX - self.skipped {
            return Some(self.close(input));
        }
        let count = left.min(input.len() as u64);
        input.consume(count as usize);
        self.skipped += count;
        if count == left {
            self.enter_skip_line();
            return None;
        }
        self.state = State::SkipLiteral { left: left - count };
        Some(Frame::Need)
    }

    fn refuse_line(&mut self, input: &mut Input) -> Frame {
        let tag = tag(input.bytes()).map(Bytes::copy_from_slice);
        input.consume(self.line_start);
        self.enter_skip_line();
        Frame::Refused { tag, why: Refusal::LineTooLong }
    }

    fn enter_skip_line(&mut self) {
        self.reset();
        self.state = State::SkipLine;
    }

    fn close(&mut self, input: &mut Input) -> Frame {
        input.clear();
        self.state = State::Closed;
        Frame::Close
    }

    /// The next LF from `line_start` on; looks at every octet once.
    fn find_lf(&mut self, input: &Input) -> Option<usize> {
        let from = self.scanned.max(self.line_start);
        let found = memchr::memchr(b'\n', &input.bytes()[from..]).map(|at| from + at);
        self.scanned = found.unwrap_or(input.len());
        found
    }

    /// To the start of a command.
    fn reset(&mut self) {
        *self = CommandFramer { skipped: self.skipped, ..CommandFramer::new() };
    }
}

/// Where the line ends that begins at `start` and has its LF at `lf`. A CR before `start` is a literal's last octet.
fn without_cr(bytes: &[u8], start: usize, lf: usize) -> usize {
    if lf > start && bytes[lf - 1] == b'\r' { lf - 1 } else { lf }
}

/// The tag a command begins with (rfc3501#9 `tag`), at most `limits::IMAP_TAG_BYTES_MAX` octets of it.
pub fn tag(command: &[u8]) -> Option<&[u8]> {
    let head = &command[..command.len().min(IMAP_TAG_BYTES_MAX + 1)];
    let end = head.iter().position(|&octet| !is_tag_char(octet)).unwrap_or(head.len());
    let ends_here = head.get(end).is_none_or(|&octet| matches!(octet, b' ' | b'\r' | b'\n'));
    (end > 0 && end <= IMAP_TAG_BYTES_MAX && ends_here).then_some(&command[..end])
}

/// `ASTRING-CHAR` without `+`.
fn is_tag_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b'+')
}

/// Whether the literal announced after `head` is a message's, and not the mailbox name: that one comes first,
/// straight behind the command's name (and REPLACE's number). `literals` counts those before.
fn announces_message(head: &[u8], literals: u32) -> bool {
    let Some(tag) = tag(head) else { return false };
    let mut rest = &head[tag.len()..];
    let mut word = || {
        rest = rest.trim_ascii_start();
        let (word, behind) = rest.split_at(memchr::memchr(b' ', rest).unwrap_or(rest.len()));
        rest = behind;
        word
    };
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let name = match word() {
        name if is(name, "UID") => Some(word()).filter(|name| is(name, "REPLACE")),
        name => Some(name),
    };
    match name {
        Some(name) if is(name, "APPEND") => {}
        Some(name) if is(name, "REPLACE") => drop(word()),
        _ => return false,
    }
    rest.first() == Some(&b' ') && (literals > 0 || !rest.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(literal_bytes: usize) -> Bounds {
        Bounds { literal_bytes, ..Bounds::AFTER_LOGIN }
    }

    /// A frame with a run of data frames joined, so that chunkings can be compared.
    fn push(frames: &mut Vec<Frame>, frame: Frame) {
        if let (Some(Frame::Data(before)), Frame::Data(more)) = (frames.last_mut(), &frame) {
            *before = [&before[..], &more[..]].concat().into();
        } else {
            frames.push(frame);
        }
    }

    /// Everything framed when `bytes` come cut at `cuts`; messages above 100 octets are refused.
    /// Also the most that was left waiting.
    fn frames(bytes: &[u8], cuts: impl Iterator<Item = usize>) -> (Vec<Frame>, usize) {
        let (mut framer, mut input) = (CommandFramer::new(), Input::new());
        let (mut out, mut waiting, mut from) = (Vec::new(), 0, 0);
        for to in cuts.chain([bytes.len()]) {
            input.extend(&bytes[from..to]);
            from = to;
            loop {
                let frame = framer.next(&mut input, bounds(1_000));
                match &frame {
                    Frame::Need => break,
                    Frame::Message { literal, .. } | Frame::Text { literal: Some(literal), .. } => {
                        if literal.size > 100 {
                            framer.refuse();
                        } else {
                            assert_eq!(framer.accept(), literal.sync);
                        }
                    }
                    _ => {}
                }
                push(&mut out, frame);
            }
            waiting = waiting.max(input.len());
        }
        (out, waiting)
    }

    fn whole(bytes: &[u8]) -> Vec<Frame> {
        frames(bytes, std::iter::empty()).0
    }

    fn command(text: &str) -> Frame {
        Frame::Command(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn refused(tag: &'static str, why: Refusal) -> Frame {
        Frame::Refused { tag: Some(Bytes::from_static(tag.as_bytes())), why }
    }

    fn message(head: &'static str, size: u64, sync: bool, binary: bool) -> Frame {
        Frame::Message { head: Bytes::from_static(head.as_bytes()), literal: Literal { size, sync, binary } }
    }

    fn data(text: &'static str) -> Frame {
        Frame::Data(Bytes::from_static(text.as_bytes()))
    }

    fn rest(text: &'static str) -> Frame {
        Frame::Text { text: Bytes::from_static(text.as_bytes()), literal: None }
    }

    fn text(text: &'static str, size: u64, sync: bool) -> Frame {
        let literal = Some(Literal { size, sync, binary: false });
        Frame::Text { text: Bytes::from_static(text.as_bytes()), literal }
    }

    #[test]
    fn commands_and_literals() {
        // rfc7888#3, and the same with synchronising literals
        assert_eq!(
            whole(b"A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man\r\nA2 NOOP\r\n"),
            [command("A001 LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man"), command("A2 NOOP")]
        );
        assert_eq!(
            whole(b"A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man\r\n"),
            [Frame::Continue, Frame::Continue, command("A001 LOGIN {11}\r\nFRED FOOBAR {7}\r\nfat man")]
        );
        // line ends inside a literal are content; a lone LF ends a line; a brace elsewhere is nothing special
        assert_eq!(whole(b"a X {4+}\r\n\r\n\r\n\r\nb\n"), [command("a X {4+}\r\n\r\n\r\n"), command("b")]);
        assert_eq!(
            whole(b"a {3} b\r\na {}\r\na {+}\r\n"),
            [command("a {3} b"), command("a {}"), command("a {+}")]
        );
    }

    #[test]
    fn the_message_of_append_is_streamed() {
        assert_eq!(
            whole(b"A003 APPEND saved-messages (\\Seen) {5}\r\nhello\r\nA4 NOOP\r\n"),
            [
                message("A003 APPEND saved-messages (\\Seen) ", 5, true, false),
                data("hello"),
                rest(""),
                command("A4 NOOP")
            ]
        );
        // a mailbox name as literal comes first; a command that only ends in APPEND is not one
        assert_eq!(
            whole(b"a append {5+}\r\nINBOX ~{2+}\r\n\0\n junk\r\nb XAPPEND x {1+}\r\ny\r\n"),
            [
                message("a append {5+}\r\nINBOX ", 2, false, true),
                data("\0\n"),
                rest(" junk"),
                command("b XAPPEND x {1+}\r\ny")
            ]
        );
        assert_eq!(whole(b"a APPEND x {0}\r\n\r\n"), [message("a APPEND x ", 0, true, false), rest("")]);
    }

    #[test]
    fn every_literal_behind_the_first_message_is_streamed() {
        // rfc3502#4, rfc4469#3, rfc8508#4.2
        assert_eq!(
            whole(
                b"a APPEND x {1}\r\nm (\\Seen) {2+}\r\nno {3}\r\n123\r\n\
                b UID REPLACE 7 {1+}\r\nx CATENATE (TEXT {1}\r\ny)\r\n"
            ),
            [
                message("a APPEND x ", 1, true, false),
                data("m"),
                text(" (\\Seen) ", 2, false),
                data("no"),
                text(" ", 3, true),
                data("123"),
                rest(""),
                message("b UID REPLACE 7 {1+}\r\nx CATENATE (TEXT ", 1, true, false),
                data("y"),
                rest(")")
            ]
        );
        // a refusal in the middle ends the command
        assert_eq!(
            whole(b"a APPEND x {1}\r\nm {101}\r\nb REPLACE 1 {1}\r\nx {0}\r\n\r\n"),
            [
                message("a APPEND x ", 1, true, false),
                data("m"),
                text(" ", 101, true),
                Frame::Continue,
                message("b REPLACE 1 {1}\r\nx ", 0, true, false),
                rest("")
            ]
        );
        assert_eq!(whole(b"a APPEND x CATENATE (URL y)\r\n"), [command("a APPEND x CATENATE (URL y)")]);
        assert_eq!(whole(b"a UID APPEND x {1+}\r\ny\r\n"), [command("a UID APPEND x {1+}\r\ny")]);
        let long =
            [&b"a APPEND x {1+}\r\nm"[..], &vec![b' '; IMAP_LINE_BYTES_MAX], b"\r\nb NOOP\r\n"].concat();
        let too_long = Frame::Refused { tag: None, why: Refusal::LineTooLong };
        assert_eq!(
            whole(&long),
            [message("a APPEND x ", 1, false, false), data("m"), too_long, command("b NOOP")]
        );
    }

    #[test]
    fn what_is_sent_unasked_has_its_own_bound() {
        let mut input = Input::new();
        input.extend(b"a X {4}\r\n1234\r\nb X {4+}\r\n1234\r\nc X {3+}\r\n123\r\n");
        let (mut framer, bounds) = (CommandFramer::new(), Bounds { unasked_bytes: 3, ..Bounds::AFTER_LOGIN });
        assert_eq!(framer.next(&mut input, bounds), Frame::Continue);
        assert_eq!(framer.next(&mut input, bounds), command("a X {4}\r\n1234"));
        assert_eq!(framer.next(&mut input, bounds), refused("b", Refusal::LiteralTooLarge));
        assert_eq!(framer.next(&mut input, bounds), command("c X {3+}\r\n123"));
    }

    #[test]
    fn a_refused_message_is_dropped_only_if_it_comes() {
        assert_eq!(
            whole(b"a APPEND x {101}\r\nb NOOP\r\n"),
            [message("a APPEND x ", 101, true, false), command("b NOOP")]
        );
        let mut bytes = b"a APPEND x {101+}\r\n".to_vec();
        bytes.extend([b'\n'; 101]);
        bytes.extend(b" {3+}\r\nc \n\r\nb NOOP\r\n");
        assert_eq!(whole(&bytes), [message("a APPEND x ", 101, false, false), command("b NOOP")]);
    }

    #[test]
    fn over_size_literals_are_refused_and_dropped() {
        assert_eq!(
            whole(b"a X {1001}\r\nb NOOP\r\n"),
            [refused("a", Refusal::LiteralTooLarge), command("b NOOP")]
        );
        // together they count; what is not waited for is dropped with the rest of its command
        let mut bytes = b"a X {600+}\r\n".to_vec();
        bytes.extend([b'x'; 600]);
        bytes.extend(b" {401+}\r\n");
        bytes.extend([b'\n'; 401]);
        bytes.extend(b" y\r\nb NOOP\r\n");
        assert_eq!(whole(&bytes), [refused("a", Refusal::LiteralTooLarge), command("b NOOP")]);
    }

    #[test]
    fn over_long_lines_are_refused_and_dropped_with_their_literals() {
        let mut bytes = b"tag SEARCH ".to_vec();
        bytes.resize(3 * IMAP_LINE_BYTES_MAX, b'x');
        bytes.extend(b" {4+}\r\n\r\n\r\n more\r\nb NOOP\r\n");
        let expected = [refused("tag", Refusal::LineTooLong), command("b NOOP")];
        assert_eq!(whole(&bytes), expected);
        for size in [1_000, 65_535, 65_536, 65_537] {
            let (cut, waiting) = frames(&bytes, (size..bytes.len()).step_by(size));
            assert_eq!(cut, expected, "chunks of {size}");
            assert!(waiting < IMAP_LINE_BYTES_MAX, "{waiting} octets waiting at chunks of {size}");
        }
        let long_tag = vec![b't'; IMAP_LINE_BYTES_MAX];
        assert_eq!(whole(&long_tag), [Frame::Refused { tag: None, why: Refusal::LineTooLong }]);
    }

    #[test]
    fn a_line_may_be_just_as_long_as_the_bound() {
        let mut bytes = b"a ".to_vec();
        bytes.resize(IMAP_LINE_BYTES_MAX - 2, b'x');
        bytes.extend(b"\r\n");
        assert!(matches!(&whole(&bytes)[..], [Frame::Command(_)]));
        bytes.insert(2, b'x');
        assert_eq!(whole(&bytes), [refused("a", Refusal::LineTooLong)]);
    }

    #[test]
    fn refused_input_without_end_closes() {
        for announced in ["134217729", "18446744073709551616", "99999999999999999999"] {
            let bytes = format!("a X {{{announced}+}}\r\nb NOOP\r\n");
            assert_eq!(whole(bytes.as_bytes()), [refused("a", Refusal::LiteralTooLarge), Frame::Close]);
        }
        let (mut framer, mut input) = (CommandFramer::new(), Input::new());
        let chunk = vec![b'x'; 1024 * 1024];
        let mut out = Vec::new();
        for _ in 0..130 {
            input.extend(&chunk);
            match framer.next(&mut input, bounds(0)) {
                Frame::Need => assert!(input.len() <= TAIL_BYTES),
                frame => out.push(frame),
            }
        }
        assert_eq!(out, [Frame::Refused { tag: None, why: Refusal::LineTooLong }, Frame::Close]);
    }

    #[test]
    fn every_cut_gives_the_same_frames() {
        let mut bytes = b"A1 LOGIN {4}\r\nfred {3+}\r\n\r\nx\r\n\r\nA2 SELECT {1001}\r\nA3 APPEND {5+}\r\n\
            INBOX (\\Seen) {7+}\r\nF\r\n\r\nm\r\n\r\nA4 APPEND x {3+}\r\nabc \
            (\\Seen) \"date\" and more of it {7+}\r\n\
            abc\r\n\r\n\r\nA5 APPEND x ~{120+}\r\n"
            .to_vec();
        bytes.extend([b'\n'; 120]);
        bytes.extend(b" {2+}\r\n\r\n\r\nA6 X {1200+}\r\n");
        bytes.extend([b'}'; 1_200]);
        bytes.extend(b"\r\n+ NOOP\nA7 LOGOUT\r\nA8 unfinished {3}\r\nab");
        let expected = whole(&bytes);
        assert_eq!(expected.len(), 18, "{expected:#?}");
        for cut in 0..bytes.len() {
            assert_eq!(frames(&bytes, [cut].into_iter()).0, expected, "cut at {cut}");
        }
        for size in 1..100 {
            assert_eq!(frames(&bytes, (size..bytes.len()).step_by(size)).0, expected, "chunks of {size}");
        }
    }

    #[test]
    fn any_octets_in_any_cut_give_the_same_frames() {
        const WORDS: [&[u8]; 12] = [
            b"a ",
            b"APPEND ",
            b"UID REPLACE 1 ",
            b"{3+}",
            b"{3}",
            b"{2000+}",
            b"~{120+}",
            b"\r\n",
            b"\n",
            b"abc",
            b"\0\xff",
            b"\"{",
        ];
        let mut state = 7u64;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as usize) % below
        };
        for _ in 0..2_000 {
            let bytes: Vec<u8> = (0..next(30)).flat_map(|_| WORDS[next(WORDS.len())]).copied().collect();
            let mut cuts: Vec<usize> = (0..next(8)).map(|_| next(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let cut = frames(&bytes, cuts.iter().copied()).0;
            assert_eq!(cut, whole(&bytes), "{} cut at {cuts:?}", bytes.escape_ascii());
        }
    }

    #[test]
    fn tags() {
        assert_eq!(tag(b"A001 NOOP"), Some(&b"A001"[..]));
        assert_eq!(tag(b"a]b[.-"), Some(&b"a]b[.-"[..]));
        for none in [&b""[..], b" a", b"+ x", b"a+ x", b"a(", b"\xff", b"\0 NOOP", b"\"a\" NOOP"] {
            assert_eq!(tag(none), None, "{none:?}");
        }
        assert_eq!(tag(&[b'a'; IMAP_TAG_BYTES_MAX]).map(<[u8]>::len), Some(IMAP_TAG_BYTES_MAX));
        assert_eq!(tag(&[b'a'; IMAP_TAG_BYTES_MAX + 1]), None);
    }
}
