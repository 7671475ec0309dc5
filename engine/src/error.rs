//! Errors, for operators and disks. A client's mistake is never one.

use std::fmt;

use crate::ids::SegmentId;
use crate::io::{FileId, IoError};

/// Why a store cannot be opened or cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The disk refused.
    Io {
        /// What was being done.
        doing: String,
        /// What it said.
        error: IoError,
    },
    /// The files were written by a newer version.
    NewerFormat {
        /// Which file.
        file: FileId,
        /// Its format version.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// Bytes that had been durable are damaged.
    Corrupt {
        /// Which segment.
        segment: SegmentId,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { doing, error: IoError::NoSpace } => {
                write!(f, "no space left while {doing}: make room on this disk and start again")
            }
            Error::Io { doing, error: IoError::Failed(why) } => write!(f, "{why} while {doing}"),
            Error::NewerFormat { file, found, known } => {
                write!(
                    f,
                    "{} has format {found}, this version knows up to {known}: use a newer ringpost",
                    file.name()
                )
            }
            Error::Corrupt { segment, offset, what } => {
                write!(f, "segment {segment} is damaged at byte {offset}: {what}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Why an append was not taken. Each is a reply to a client, and leaves the store as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The disk is full; only changes that free space are taken.
    DiskFull,
    /// `limits::PENDING_BYTES_MAX` of changes wait for the disk already.
    Busy,
    /// Larger than a batch can hold, or over a named bound.
    TooLarge,
    /// The store met a final error.
    Failed,
}
