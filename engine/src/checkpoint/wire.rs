//! Numbers and texts of a checkpoint.
//!
//! *Owns*: the encoding: numbers in groups of seven bits, lowest first; differences with their sign in the lowest
//! bit; texts and octets behind their length. *Promises*: reading checks every length before anything is
//! sliced or allocated. *Assumes*: sums were verified before. *Never*: panics on what it reads.

/// Puts a number.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Puts a number as its difference to another.
pub(crate) fn put_from(out: &mut Vec<u8>, before: u64, number: u64) {
    let difference = number.wrapping_sub(before) as i64;
    put(out, ((difference << 1) ^ (difference >> 63)) as u64);
}

/// Puts octets.
pub(crate) fn put_octets(out: &mut Vec<u8>, octets: &[u8]) {
    put(out, octets.len() as u64);
    out.extend_from_slice(octets);
}

/// Puts a text.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_octets(out, text.as_bytes());
}

/// Puts a number or none.
pub(crate) fn put_maybe(out: &mut Vec<u8>, number: Option<u64>) {
    put(out, u64::from(number.is_some()));
    if let Some(number) = number {
        put(out, number);
    }
}

/// Reads what was put. Every method gives none when the bytes do not hold what is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wire<'a>(&'a [u8]);

impl<'a> Wire<'a> {
    /// Of these bytes.
    pub fn new(bytes: &'a [u8]) -> Wire<'a> {
        Wire(bytes)
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// A byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return (shift < 63 || byte <= 1).then_some(number);
            }
        }
        None
    }

    /// A number that fits 32 bits.
    pub fn word(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// A number put as its difference to `before`.
    pub fn number_from(&mut self, before: u64) -> Option<u64> {
        let folded = self.number()?;
        Some(before.wrapping_add((folded >> 1) ^ (folded & 1).wrapping_neg()))
    }

    /// How many items follow, each of at least one byte.
    pub fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|&count| count <= self.0.len())
    }

    /// Octets.
    pub fn octets(&mut self) -> Option<&'a [u8]> {
        let len = self.count()?;
        let (octets, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(octets)
    }

    /// A text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.octets()?).ok()
    }

    /// A number or none.
    pub fn maybe(&mut self) -> Option<Option<u64>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.number().map(Some),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_back() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), 1 << 62, u64::MAX];
        let mut out = Vec::new();
        let mut before = 5;
        for &number in &numbers {
            put(&mut out, number);
            put_from(&mut out, before, number);
            put_maybe(&mut out, Some(number));
            before = number;
        }
        put_maybe(&mut out, None);
        put_text(&mut out, "Grüße");
        let mut wire = Wire::new(&out);
        let mut before = 5;
        for &number in &numbers {
            assert_eq!((wire.number(), wire.number_from(before)), (Some(number), Some(number)));
            assert_eq!(wire.maybe(), Some(Some(number)));
            before = number;
        }
        assert_eq!((wire.maybe(), wire.text(), wire.is_empty()), (Some(None), Some("Grüße"), true));
        assert_eq!((wire.number(), wire.byte(), wire.octets()), (None, None, None));
    }

    #[test]
    fn lengths_and_numbers_that_lie_are_none() {
        assert_eq!(Wire::new(&[5, 1, 2]).octets(), None);
        assert_eq!(Wire::new(&[0xff; 9]).number(), None);
        assert_eq!(Wire::new(&[0xff; 10]).number(), None);
        assert_eq!(Wire::new(&[1, 0xff]).text(), None);
        assert_eq!(Wire::new(&[2, 0]).maybe(), None);
        assert_eq!(Wire::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).word(), None);
    }
}
