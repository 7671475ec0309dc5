//! Writing threads (rfc5256#4 THREAD).
//!
//! *Owns*: the parentheses. *Promises*: in as many calls as it takes, without recursion: memory in proportion to
//! how often a thread branches on the way to where it is. *Assumes*: a dummy has at least two below it. *Never*:
//! sorts.

use super::arrange::Threads;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;

/// See the module.
#[derive(Debug, Default)]
pub struct Teller {
    begun: bool,
    frames: Vec<Frame>,
}

/// Siblings, of which some are written.
#[derive(Clone, Copy, Debug)]
struct Frame {
    at: u32,
    end: u32,
    /// In parentheses of their own; an only child goes on in its parent's.
    wrapped: bool,
    /// The parenthesis of the one before `at` is still open.
    open: bool,
}

impl Teller {
    /// Writes until the output is full. Whether all is written.
    pub fn write(&mut self, threads: &Threads, out: &mut Out) -> bool {
        if !self.begun {
            self.begun = true;
            out.put(b"* THREAD");
            let (at, end) = threads.runs.last().copied().unwrap_or_default();
            if at < end {
                out.put(b" ");
                self.frames.push(Frame { at, end, wrapped: true, open: false });
            }
        }
        while let Some(frame) = self.frames.last_mut() {
            if !out.has_room() {
                return false;
            }
            if frame.open {
                out.put(b")");
                frame.open = false;
            }
            let Some(&node) = threads.order.get(frame.at as usize).filter(|_| frame.at < frame.end) else {
                self.frames.pop();
                continue;
            };
            frame.at += 1;
            frame.open = frame.wrapped;
            out.put(if frame.wrapped { b"(" } else { b" " });
            if !frame.wrapped {
                // It was the only one, so nothing is left of this frame.
                self.frames.pop();
            }
            let name = threads.names.get(node as usize).copied().unwrap_or_default();
            if name != 0 {
                reply::number(out.text(), u64::from(name));
            }
            let (at, end) = threads.runs.get(node as usize).copied().unwrap_or_default();
            let wrapped = end - at > 1;
            if wrapped && name != 0 {
                out.put(b" ");
            }
            if at < end {
                self.frames.push(Frame { at, end, wrapped, open: false });
            }
        }
        out.line("");
        true
    }
}
