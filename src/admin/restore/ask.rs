//! Whom a restore speaks to.
//!
//! *Owns*: the seam between what restores and the store it restores into. *Promises*: the same steps for a server at
//! work and for a store that is stopped. *Assumes*: one at a time. *Never*: knows a step.

use crate::admin::client::Client;
use crate::admin::wire::{Line, Request};

/// Takes each line of an answer but the last.
pub type Each<'a> = dyn FnMut(Line) -> Result<(), String> + 'a;

/// Answers requests of the admin socket.
pub trait Ask {
    /// Carries a request out; octets follow a step that appends messages. A refusal is the error.
    ///
    /// # Errors
    /// One line.
    fn ask(&self, request: &Request, octets: &[u8], each: &mut Each<'_>) -> Result<(), String>;
}

impl Ask for Client {
    fn ask(&self, request: &Request, octets: &[u8], each: &mut Each<'_>) -> Result<(), String> {
        self.call_with(request, octets, each)
    }
}
