//! Octets of a stored message, however they are kept.
//!
//! *Owns*: the name for a run of a message's octets. *Promises*: offsets and lengths in it are those of the message as
//! it is sent, RFC822.SIZE included. *Assumes*: who sends it hands it on whole, who looks at it asks for a piece of
//! bounded size ([`crate::store::Store::bytes`]). *Never*: tells anybody but the store how they are kept.

use crate::ids::BodyKey;
use crate::io::Extent;

/// A run of a message's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Octets {
    /// How many.
    pub len: u32,
    kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// They are these bytes.
    AsSent(Extent),
    /// They begin so far into this body.
    Pressed(Pressed, u32),
    /// They begin so far into this body, and which bytes that are tells the table of a pack.
    Sought(Sought, u32),
}

/// A part of a message that was not looked up yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sought {
    /// Its summary.
    Summary(BodyKey),
    /// Its octets.
    Body(BodyKey),
}

/// A body that is kept compressed: a list of its blocks, and the blocks ([`crate::press`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pressed {
    /// List and blocks.
    pub extent: Extent,
    /// Its octets.
    pub len: u32,
}

/// What has to be in memory before octets are looked at.
#[derive(Debug, Default)]
pub struct Cold {
    /// It lies here.
    pub extents: Vec<Extent>,
    /// Of these octets only when that is in memory [`crate::store::Store::located`] tells where they are.
    pub unlocated: Vec<Octets>,
}

impl Octets {
    /// The part that begins `skip` octets in and is at most `len` long.
    pub fn slice(self, skip: u32, len: u32) -> Octets {
        let skip = skip.min(self.len);
        let len = len.min(self.len - skip);
        let kept = match self.kept {
            Kept::AsSent(extent) => Kept::AsSent(extent.slice(skip, len)),
            Kept::Pressed(body, begin) => Kept::Pressed(body, begin + skip),
            Kept::Sought(part, begin) => Kept::Sought(part, begin + skip),
        };
        Octets { len, kept }
    }

    /// The bytes of a file that they are, if they are kept as they are sent.
    pub fn as_sent(self) -> Option<Extent> {
        match self.kept {
            Kept::AsSent(extent) => Some(extent),
            Kept::Pressed(..) | Kept::Sought(..) => None,
        }
    }

    /// The bytes of a file that they come out of: all of its body's, if that is compressed. None: they were not looked
    /// up.
    pub fn lies_in(self) -> Option<Extent> {
        match self.kept {
            Kept::AsSent(extent) => Some(extent),
            Kept::Pressed(body, _) => Some(body.extent),
            Kept::Sought(..) => None,
        }
    }

    /// All octets of a compressed body.
    pub(crate) fn pressed(body: Pressed) -> Octets {
        Octets { len: body.len, kept: Kept::Pressed(body, 0) }
    }

    /// The compressed body that they are of, and how far into it they begin.
    pub(crate) fn as_pressed(self) -> Option<(Pressed, u32)> {
        match self.kept {
            Kept::AsSent(_) | Kept::Sought(..) => None,
            Kept::Pressed(body, begin) => Some((body, begin)),
        }
    }

    /// All octets of a part that was not looked up.
    pub(crate) fn sought(part: Sought) -> Octets {
        let (Sought::Summary(BodyKey { summary_len: len, .. }) | Sought::Body(BodyKey { len, .. })) = part;
        Octets { len, kept: Kept::Sought(part, 0) }
    }

    /// The part that they are of, and how far into it they begin, if it was not looked up.
    pub(crate) fn as_sought(self) -> Option<(Sought, u32)> {
        match self.kept {
            Kept::AsSent(_) | Kept::Pressed(..) => None,
            Kept::Sought(part, begin) => Some((part, begin)),
        }
    }
}

impl From<Extent> for Octets {
    fn from(extent: Extent) -> Octets {
        Octets { len: extent.len, kept: Kept::AsSent(extent) }
    }
}
