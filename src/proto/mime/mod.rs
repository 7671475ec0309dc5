//! Messages as text: structure, header fields, addresses, dates, charsets, search.
//!
//! *Owns*: everything that looks into a message. *Promises*: takes any octets without a panic, in linear
//! time, within the `MIME_*` bounds of `limits`; a summary never exceeds the engine's bound.
//! *Assumes*: lines end by CRLF; a bare LF ends one as well, a bare CR does not. *Never*: changes a message.
//!
//! Reading order: [`header`], `scan`, `content`, `structure`, `envelope`, [`address`], [`search`].

pub mod address;
pub mod charset;
mod content;
pub mod date;
pub mod decode;
mod envelope;
pub mod fold;
pub mod header;
pub mod keys;
mod scan;
pub mod search;
mod structure;
mod summariser;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wire;
pub mod words;

pub use content::Parameter;
pub use date::sent_date;
pub use decode::{PartDecoder, UnknownEncoding};
pub use fold::fold;
pub use search::{Scope, TextNeedle, TextSearch, contains_text, header_contains};
pub use summariser::{Summariser, summarise};

use summariser::Detail;
