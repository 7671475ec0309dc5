//! Commands that print what is in a log.

pub mod dump;
pub mod filter;
mod live;
pub mod message;
mod picture;
pub mod record;
pub mod segments;
pub mod tail;
