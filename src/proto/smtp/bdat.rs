//! BDAT: messages in counted chunks (rfc3030#2).
//!
//! *Owns*: how much of a chunk is to come. *Promises*: takes exactly the announced octets, whatever becomes
//! of the message, so that a refused chunk is never read as commands. *Assumes*: the first octet read is the
//! first behind BDAT's CRLF. *Never*: looks for an end inside.

use super::body::{Body, Flaw};

/// A chunk that is arriving.
#[derive(Debug)]
pub struct Chunk {
    left: u64,
    /// Whether the message ends with this chunk.
    pub last: bool,
}

impl Chunk {
    /// A chunk of so many octets.
    pub fn new(size: u64, last: bool) -> Chunk {
        Chunk { left: size, last }
    }

    /// How many of the next `available` octets belong to the chunk; they count as taken.
    pub fn take(&mut self, available: usize) -> usize {
        let taken = self.left.min(available as u64);
        self.left -= taken;
        taken as usize
    }

    /// Whether all of it is there.
    pub fn is_complete(&self) -> bool {
        self.left == 0
    }
}

/// Watches over the line ends of a message that is not BINARYMIME: text in chunks has CRLF too (rfc3030#2),
/// and what DATA would refuse is refused here.
#[derive(Debug, Default)]
pub struct LineEnds {
    /// The last octet was a CR.
    cr: bool,
}

impl LineEnds {
    /// Looks at the next octets.
    pub fn check(&mut self, octets: &[u8], body: &mut Body) {
        let mut at = 0;
        while let Some(&octet) = octets.get(at) {
            if self.cr != (octet == b'\n') {
                return body.spoil(Flaw::BareLineEnd);
            }
            // On a CR's LF, go behind it; else this octet begins a run of text.
            at += usize::from(self.cr);
            self.cr = false;
            match memchr::memchr2(b'\r', b'\n', &octets[at..]) {
                None => return,
                Some(length) if octets[at + length] == b'\r' => {
                    at += length + 1;
                    self.cr = true;
                }
                Some(length) => at += length,
            }
        }
    }

    /// The message has ended.
    pub fn end(&self, body: &mut Body) {
        if self.cr {
            body.spoil(Flaw::BareLineEnd);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_its_octets_and_no_more() {
        let mut chunk = Chunk::new(5, true);
        assert_eq!((chunk.take(3), chunk.is_complete()), (3, false));
        assert_eq!((chunk.take(3), chunk.is_complete()), (2, true));
        assert_eq!(chunk.take(3), 0);
        assert!(Chunk::new(0, false).is_complete());
    }

    #[test]
    fn lone_line_ends_are_found_in_any_chunking() {
        let alphabet = b"\r\na";
        for code in 0..3usize.pow(6) {
            let octets: Vec<u8> = (0..6).map(|at| alphabet[code / 3usize.pow(at) % 3]).collect();
            let text = String::from_utf8_lossy(&octets).replace("\r\n", "");
            let flaw = text.contains(['\r', '\n']).then_some(Flaw::BareLineEnd);
            for size in 1..=6 {
                let mut body = Body::begin(Vec::new(), 100, None);
                let mut ends = LineEnds::default();
                octets.chunks(size).for_each(|chunk| ends.check(chunk, &mut body));
                ends.end(&mut body);
                assert_eq!(body.flaw(), flaw, "{} in chunks of {size}", octets.escape_ascii());
            }
        }
    }
}
