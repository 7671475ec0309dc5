//! The next segment, made ready while the current one fills.
//!
//! *Owns*: the making of one segment ahead. *Promises*: asks for one step at a time; a full disk is a state.
//! *Assumes*: a `Create` that fails leaves no file behind. *Never*: writes into what it made.
//!
//! ```text
//!  Absent ──Create──► Creating ──Created──► Made ──Rename──► Renaming ──Done──► Ready ──take──► Absent
//!    ▲                    │ NoSpace
//!    └──retry (tick)── Full ◄┘
//! ```

use crate::error::Error;
use crate::ids::SegmentId;
use crate::io::{FileId, IoError, IoRequest, IoResult, View};
use crate::limits::DISK_FULL_RETRY_MS;

#[derive(Debug)]
enum State {
    Absent,
    Creating,
    Made(Box<dyn View>),
    Renaming(Box<dyn View>),
    Ready(Box<dyn View>),
    Full { since_ms: u64 },
}

/// The supply of segments.
#[derive(Debug)]
pub(crate) struct Supply {
    state: State,
    full: bool,
    size: u64,
    spare: u64,
}

impl Supply {
    /// Makes segments of `size` bytes, and none that would leave less than `spare` bytes on the disk.
    /// `full` when it is known that there is no room.
    pub fn new(size: u64, spare: u64, full: bool) -> Supply {
        let state = if full { State::Full { since_ms: 0 } } else { State::Absent };
        Supply { state, full, size, spare }
    }

    /// Whether the last attempt found no space; stays so until one succeeds.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// The next step towards segment `id`, if one is due.
    pub fn poll(&mut self, id: SegmentId) -> Option<IoRequest> {
        match std::mem::replace(&mut self.state, State::Absent) {
            State::Absent => {
                self.state = State::Creating;
                let (size, spare) = (self.size, self.spare);
                Some(IoRequest::Create { file: FileId::Fresh(id), size, spare })
            }
            State::Made(view) => {
                self.state = State::Renaming(view);
                Some(IoRequest::Rename { from: FileId::Fresh(id), to: FileId::Segment(id) })
            }
            waiting => {
                self.state = waiting;
                None
            }
        }
    }

    /// How the step ended. `Ok(false)`: the disk is full.
    pub fn complete(&mut self, result: IoResult, mono_ms: u64) -> Result<bool, Error> {
        let state = std::mem::replace(&mut self.state, State::Absent);
        self.state = match (state, result) {
            (State::Creating, IoResult::Created(view)) => {
                self.full = false;
                State::Made(view)
            }
            (State::Creating, IoResult::Failed(IoError::NoSpace)) => {
                self.full = true;
                State::Full { since_ms: mono_ms }
            }
            (State::Renaming(view), IoResult::Done) => State::Ready(view),
            (_, IoResult::Failed(error)) => {
                return Err(Error::Io { doing: "making the next segment".to_owned(), error });
            }
            (state, result) => panic!("I7: {result:?} answers no request in {state:?}"),
        };
        Ok(!matches!(self.state, State::Full { .. }))
    }

    /// Tries a full disk again after a while.
    pub fn tick(&mut self, mono_ms: u64) {
        if let State::Full { since_ms } = self.state
            && mono_ms.saturating_sub(since_ms) >= DISK_FULL_RETRY_MS
        {
            self.state = State::Absent;
        }
    }

    /// The segment, if it is ready; the next one may be asked for then.
    pub fn take(&mut self) -> Option<Box<dyn View>> {
        match std::mem::replace(&mut self.state, State::Absent) {
            State::Ready(view) => Some(view),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Whether a request waits for its completion.
    pub fn is_busy(&self) -> bool {
        matches!(self.state, State::Creating | State::Renaming(_))
    }
}
