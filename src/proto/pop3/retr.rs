//! Sending a message: RETR, and TOP as a RETR that stops early.
//!
//! *Owns*: dot-stuffing and the end of the answer. *Promises*: a message goes out as it is stored, cut
//! only where a dot must be put in; its octets are looked at only if there is no other way, in bounded
//! windows, and never cold. *Assumes*: the summary was made from these octets. *Never*: changes a body.
//!
//! ```text
//!  begin ─Warm(summary, last octets)─► Asked ─┬─ RETR, every dot line recorded ──► Known ──────┬──► Done
//!                                             └─ TOP, too many dot lines, or an 8-bit header   │
//!                                                and no UTF8 ──► Scan ⟲ Warm(window) ──────────┘
//! ```
//!
//! A line begins after LF, with or without a CR before it. rfc1939#3 knows only CRLF, and then an LF alone
//! (it can come in by APPEND or BINARYMIME) would be text; but nearly every client reads by LF, and for those
//! an unstuffed LF "." CRLF inside a message would end the answer and pass the rest of the message off as our
//! replies.

use ringpost_engine::ids::BodyKey;
use ringpost_engine::layout::{SummaryView, flag};
use ringpost_engine::octets::Octets;
use ringpost_engine::store::Store;

use crate::limits::{POP3_SCAN_BYTES, WARM_BODIES_BYTES};
use crate::proto::Output;
use crate::proto::output::Outbox;

/// An answer under way.
#[derive(Debug)]
pub struct Retr {
    key: BodyKey,
    /// Named to be brought in; once they are, where they are.
    summary: Octets,
    bytes: Octets,
    /// Lines of the body that are wanted; none for all.
    top: Option<u32>,
    utf8: bool,
    /// Octets before this one are queued.
    at: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The summary is being brought in.
    Asked,
    /// Cut at the recorded dot lines; the next one's index.
    Known { next_dot: usize },
    /// Look for dot lines and line ends.
    Scan(Scan),
}

#[derive(Debug)]
struct Scan {
    header_len: u32,
    /// Up to here octets above 127 are replaced.
    ascii_until: u32,
    /// Octets before this one are in memory.
    warmed: u32,
    /// Whether `at` is the first octet of a line whose dot has not been stuffed.
    line_start: bool,
    /// Body lines still to go; none for all.
    lines_left: Option<u32>,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Call again at `resume`.
    More,
    /// The answer is complete.
    Done,
    /// Nothing was sent: the message cannot be read.
    Unreadable,
    /// The rest of the message cannot be read.
    Lost,
}

impl Retr {
    /// Begins the answer; `top` is TOP's number of lines.
    pub fn begin(key: BodyKey, top: Option<u32>, utf8: bool, store: &Store, out: &mut Outbox) -> Retr {
        let (summary, bytes) = store.seek(key);
        // What the disk refuses is to be known while there is still something to say.
        let first = bytes.slice(0, if top.is_some() { POP3_SCAN_BYTES } else { WARM_BODIES_BYTES });
        out.push(Output::Warm(vec![summary, first, last_octets(bytes, bytes.len)]));
        Retr { key, summary, bytes, top, utf8, at: 0, state: State::Asked }
    }

    /// Goes on; called at `resume`.
    pub fn step(&mut self, store: &Store, out: &mut Outbox) -> Step {
        let complete = match self.state {
            State::Scan(_) => self.scan(store, out),
            State::Asked | State::Known { .. } => {
                let mut is_refused = false;
                if let (State::Asked, Some(body)) = (&self.state, store.place(self.key)) {
                    (self.summary, self.bytes) = (body.summary.into(), body.bytes);
                    is_refused = !store.is_readable(&body);
                }
                let summary = store.bytes(self.summary).filter(|_| !is_refused);
                let Some(summary) = summary.as_deref().and_then(SummaryView::new) else {
                    return if let State::Asked = self.state { Step::Unreadable } else { Step::Lost };
                };
                self.begin_sending(&summary, out);
                match self.state {
                    State::Scan(_) => self.scan(store, out),
                    _ => Some(self.known(&summary, out)),
                }
            }
        };
        match complete {
            Some(true) => {
                self.finish(store, out);
                Step::Done
            }
            Some(false) => Step::More,
            None => Step::Lost,
        }
    }

    fn begin_sending(&mut self, summary: &SummaryView<'_>, out: &mut Outbox) {
        if let State::Asked = self.state {
            self.state = self.plan(summary);
            out.text(format!("+OK {} octets\r\n", self.bytes.len));
        }
    }

    fn plan(&self, summary: &SummaryView<'_>) -> State {
        // rfc6856#2.1: without UTF8 nothing outside ASCII may be sent as it is. A header that holds such
        // octets is sent as a surrogate of the same length, with "?" in their places, so that every size
        // stays true.
        let surrogate = !self.utf8 && summary.flags() & flag::HEADER_8BIT != 0;
        if self.top.is_none() && !surrogate && summary.flags() & flag::DOTS_OVERFLOW == 0 {
            return State::Known { next_dot: 0 };
        }
        let header_len = summary.header_len();
        State::Scan(Scan {
            header_len,
            ascii_until: if surrogate { header_len } else { 0 },
            warmed: 0,
            line_start: true,
            lines_left: self.top,
        })
    }

    /// Sends up to the next dot lines while there is room; whether that was all.
    fn known(&mut self, summary: &SummaryView<'_>, out: &mut Outbox) -> bool {
        let State::Known { next_dot } = &mut self.state else { return false };
        for dot in summary.dot_lines().skip(*next_dot) {
            if out.is_full() {
                return false;
            }
            let dot = dot.clamp(self.at, self.bytes.len);
            out.octets(self.bytes.slice(self.at, dot - self.at));
            out.text(".");
            self.at = dot;
            *next_dot += 1;
        }
        out.octets(self.bytes.slice(self.at, self.bytes.len - self.at));
        self.at = self.bytes.len;
        true
    }

    /// Goes through what is in memory, then asks for the next window; whether that was all, none if it is not
    /// there.
    fn scan(&mut self, store: &Store, out: &mut Outbox) -> Option<bool> {
        let State::Scan(scan) = &mut self.state else { return None };
        let body = self.bytes;
        if self.at < scan.warmed {
            let window = body.slice(self.at, scan.warmed - self.at);
            let octets = store.bytes(window)?;
            self.at += scan.window(self.at, window, &octets, out);
        }
        let complete = self.at == body.len || scan.enough(self.at);
        if !complete && self.at == scan.warmed {
            let window = body.slice(self.at, POP3_SCAN_BYTES);
            scan.warmed += window.len;
            out.push(Output::Warm(vec![window]));
        }
        Some(complete)
    }

    /// Ends the answer with CRLF "." CRLF; the message's own last line end serves as the first of them.
    fn finish(&self, store: &Store, out: &mut Outbox) {
        let last = store.bytes(last_octets(self.bytes, self.at));
        if self.at > 0 && last.is_none_or(|last| last != b"\r\n".as_slice()) {
            out.text("\r\n");
        }
        out.text(".\r\n");
    }
}

impl Scan {
    /// Sends from a window that begins at `at` until it ends, enough is sent, or there is no room. Returns
    /// how far it came.
    fn window(&mut self, at: u32, window: Octets, octets: &[u8], out: &mut Outbox) -> u32 {
        let ascii = self.ascii_until.saturating_sub(at) as usize;
        let (mut sent, mut seen) = (0, 0);
        while seen < octets.len() && !out.is_full() && !self.enough(at + seen as u32) {
            if self.line_start && octets[seen] == b'.' {
                send(window, octets, sent..seen, ascii, out);
                out.text(".");
                sent = seen;
            }
            let line = memchr::memchr(b'\n', &octets[seen..]);
            seen = line.map_or(octets.len(), |length| seen + length + 1);
            self.line_start = line.is_some();
            if self.line_start && at + seen as u32 > self.header_len {
                self.lines_left = self.lines_left.map(|lines| lines.saturating_sub(1));
            }
        }
        send(window, octets, sent..seen, ascii, out);
        seen as u32
    }

    /// Whether TOP has all it wants when everything before `at` is sent.
    fn enough(&self, at: u32) -> bool {
        at >= self.header_len && self.lines_left == Some(0)
    }
}

/// Sends a range of a window: octets before `ascii` as a surrogate, all others as they are stored.
fn send(window: Octets, octets: &[u8], range: std::ops::Range<usize>, ascii: usize, out: &mut Outbox) {
    let split = ascii.clamp(range.start, range.end);
    let surrogate: Vec<u8> =
        octets[range.start..split].iter().map(|&octet| if octet.is_ascii() { octet } else { b'?' }).collect();
    out.text(surrogate);
    out.octets(window.slice(split as u32, (range.end - split) as u32));
}

/// The last two octets before `end`.
fn last_octets(body: Octets, end: u32) -> Octets {
    body.slice(end.saturating_sub(2), end.min(2))
}
