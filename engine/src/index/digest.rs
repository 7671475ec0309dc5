//! A fingerprint of state.
//!
//! *Owns*: how words and strings are mixed into 64 bits. *Promises*: the same sequence gives the same value
//! on every machine; every string is fenced by its length. *Assumes*: nobody looks for collisions on purpose.
//! *Never*: stored on disk; it only compares two indexes of one process.

/// See the module's head.
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn new() -> Digest {
        Digest(0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 = (mixed ^ (mixed >> 32)).rotate_left(17);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.octets(text.as_bytes());
    }

    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.word(octets.len() as u64);
        for chunk in octets.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    pub(super) fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> u64 {
        let mut digest = Digest::new();
        for text in texts {
            digest.text(text);
        }
        digest.value()
    }

    #[test]
    fn order_and_fences_count() {
        let all = [
            of(&[]),
            of(&[""]),
            of(&["ab", "c"]),
            of(&["a", "bc"]),
            of(&["c", "ab"]),
            of(&["abc\0"]),
            of(&["abc"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[..at].contains(one), "sample {at} collides");
        }
    }
}
