//! IDLE: news as they come (rfc2177).
//!
//! *Owns*: the time between `+ idling` and `DONE`. *Promises*: what a push announces leaves at once,
//! EXPUNGE included. *Assumes*: the session calls for every push and every line. *Never*: buffers news; the
//! view's cursors remember them.

use crate::proto::Cx;
use crate::proto::imap::reply::Reply;
use crate::proto::imap::state::{Core, Step, Wake};

use super::notify::News;

/// See the module.
#[derive(Debug, Default)]
pub struct Idle {
    announced: bool,
    /// What NOTIFY asked for is what IDLE tells (rfc5465#4).
    news: News,
}

impl Idle {
    /// Goes on.
    pub fn step(&mut self, wake: Wake, core: &mut Core, cx: &mut Cx<'_>) -> Step {
        if let Wake::Line(line) = wake {
            let done = line.eq_ignore_ascii_case(b"DONE");
            return Step::Done(if done {
                Reply::ok("IDLE terminated")
            } else {
                Reply::bad("DONE was expected")
            });
        }
        if !self.announced {
            self.announced = true;
            core.out.line("+ idling");
        }
        if core.watch.is_some() {
            match self.news.step_in_idle(wake, core, cx) {
                Step::Done(_) => {}
                waits => return waits,
            }
        } else if !core.tell(cx, true) {
            return Step::Room;
        }
        if core.view.as_ref().is_some_and(|view| view.is_lost()) {
            return Step::Done(Reply::no("[UNAVAILABLE] The selected mailbox is gone"));
        }
        Step::Line
    }
}
