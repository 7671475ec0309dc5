//! A message while it arrives.
//!
//! *Owns*: its octets, trace fields first, and what is wrong with it. *Promises*: holds no more than its
//! bound; once spoilt it holds nothing more. *Assumes*: the readers bring octets in order. *Never*: looks at
//! them.

use bytes::Bytes;

use crate::limits::SMTP_RESERVE_BYTES_MAX;

/// Why a message is refused once it is read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Over the size limit.
    TooLarge,
    /// A lone CR or LF.
    BareLineEnd,
    /// There was no memory for it when it began.
    Crowded,
}

/// The octets so far.
#[derive(Debug)]
pub struct Body {
    octets: Vec<u8>,
    /// Where the client's own octets begin.
    start: usize,
    bytes_max: usize,
    flaw: Option<Flaw>,
}

impl Body {
    /// A message that begins with our trace fields. `bytes_max` bounds what the client sends; `expected` is
    /// what it announced, trusted only for a first reservation.
    pub fn begin(trace: Vec<u8>, bytes_max: usize, expected: Option<u64>) -> Body {
        let start = trace.len();
        let mut octets = trace;
        octets.reserve(expected.unwrap_or(0).min(SMTP_RESERVE_BYTES_MAX) as usize);
        Body { octets, start, bytes_max, flaw: None }
    }

    /// Adds octets of the client's.
    pub fn add(&mut self, octets: &[u8]) {
        if self.flaw.is_some() {
            return;
        }
        if self.octets.len() - self.start + octets.len() > self.bytes_max {
            return self.spoil(Flaw::TooLarge);
        }
        self.octets.extend_from_slice(octets);
    }

    /// The message will be refused; its octets are let go. The first flaw counts.
    pub fn spoil(&mut self, flaw: Flaw) {
        if self.flaw.is_none() {
            self.flaw = Some(flaw);
            self.octets = Vec::new();
            self.start = 0;
        }
    }

    /// Why it must be refused.
    pub fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// All octets, trace fields first.
    pub fn whole(&self) -> &[u8] {
        &self.octets
    }

    /// The client's octets.
    pub fn octets(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    /// Puts fields in front of the client's octets: linear, for the few messages that lack them.
    pub fn insert(&mut self, fields: &[u8]) {
        self.octets.splice(self.start..self.start, fields.iter().copied());
    }

    /// Memory held.
    pub fn held(&self) -> usize {
        self.octets.capacity()
    }

    /// All of it in one piece.
    pub fn freeze(self) -> Bytes {
        Bytes::from(self.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_for_what_the_client_sends() {
        let mut body = Body::begin(b"trace".to_vec(), 4, Some(u64::MAX));
        assert!(body.held() <= 5 + SMTP_RESERVE_BYTES_MAX as usize);
        body.add(b"ab");
        body.insert(b"+");
        assert_eq!(body.octets(), b"+ab");
        body.add(b"c");
        assert_eq!(body.flaw(), None);
        body.add(b"d");
        assert_eq!((body.flaw(), body.held()), (Some(Flaw::TooLarge), 0));
        body.spoil(Flaw::BareLineEnd);
        body.add(b"e");
        assert_eq!((body.flaw(), body.held()), (Some(Flaw::TooLarge), 0));
    }
}
