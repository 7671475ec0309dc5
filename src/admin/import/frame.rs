//! Messages on their way to the server.
//!
//! *Owns*: one frame: what a step of an import may hold. *Promises*: no more octets, messages or names than the bounds
//! in `limits`, but for one message that is larger. *Assumes*: messages come ascending by UID. *Never*: sends.

use crate::admin::import::wire::ImportMessage;
use crate::limits::{IMPORT_FRAME_BYTES_MAX, IMPORT_FRAME_MESSAGES_MAX, IMPORT_FRAME_NAMES_BYTES_MAX};

/// See the module.
#[derive(Debug, Default)]
pub struct Frame {
    /// What the step names.
    pub messages: Vec<ImportMessage>,
    /// Their octets, one after the other.
    pub octets: Vec<u8>,
    names: usize,
}

impl Frame {
    /// Whether there is room for one more. An empty frame has room for any.
    pub fn has_room(&self, message: &ImportMessage) -> bool {
        self.messages.is_empty()
            || self.messages.len() < IMPORT_FRAME_MESSAGES_MAX
                && self.octets.len() + message.bytes <= IMPORT_FRAME_BYTES_MAX
                && self.names + names(message) <= IMPORT_FRAME_NAMES_BYTES_MAX
    }

    /// Takes one in.
    pub fn push(&mut self, message: ImportMessage, octets: Vec<u8>) {
        self.names += names(&message);
        if self.octets.is_empty() {
            // A large message is not copied.
            self.octets = octets;
        } else {
            self.octets.extend_from_slice(&octets);
        }
        self.messages.push(message);
    }
}

/// Octets of the texts of a message.
fn names(message: &ImportMessage) -> usize {
    message.flags.iter().map(String::len).sum::<usize>() + message.unique_id.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> ImportMessage {
        ImportMessage { uid: 1, bytes, flags: vec!["k".repeat(100)], internal_ms: 0, unique_id: None }
    }

    #[test]
    fn a_frame_takes_one_of_any_size_and_then_what_fits() {
        let mut frame = Frame::default();
        let large = IMPORT_FRAME_BYTES_MAX + 1;
        assert!(frame.has_room(&message(large)));
        frame.push(message(large), vec![0; large]);
        assert!(!frame.has_room(&message(1)));
        let mut frame = Frame::default();
        let mut count = 0;
        while frame.has_room(&message(1)) {
            frame.push(message(1), vec![0]);
            count += 1;
        }
        assert_eq!((count, frame.octets.len()), (IMPORT_FRAME_MESSAGES_MAX, IMPORT_FRAME_MESSAGES_MAX));
    }
}
