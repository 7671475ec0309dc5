//! Octets of a stored message, however they are kept.
//!
//! *Owns*: the name for a run of a message's octets. *Promises*: offsets and lengths in it are those of the message as
//! it is sent, RFC822.SIZE included. *Assumes*: who sends it hands it on whole, who looks at it asks for a piece of
//! bounded size ([`crate::store::Store::bytes`]). *Never*: tells anybody but the store how they are kept.

use crate::io::Extent;

/// A run of a message's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octets {
    /// How many.
    pub len: u32,
    kept: Extent,
}

impl Octets {
    /// The part that begins `skip` octets in and is at most `len` long.
    pub fn slice(self, skip: u32, len: u32) -> Octets {
        self.kept.slice(skip, len).into()
    }

    /// The bytes of a file that they are, if they are kept as they are sent.
    pub fn as_sent(self) -> Option<Extent> {
        Some(self.kept)
    }
}

impl From<Extent> for Octets {
    fn from(kept: Extent) -> Octets {
        Octets { len: kept.len, kept }
    }
}
