//! How compressed bodies lie in a pack.
//!
//! *Owns*: what a record's flags in a pack say, the list of a body's blocks, the preface. *Promises*: lengths are
//! checked against the bytes that are there; what leads to blocks is proved by the blocks' sums. *Assumes*: leads and
//! tables are proved by sums of their own ([`crate::compact::pack`]). *Never*: unfolds anything.
//!
//! ```text
//!  flags:    form in bits 0..4, bytes behind it in bits 4..32
//!  pressed:  | record's header | summary | end: u32, sum: u32 | … one for each block | block | block | … |
//!  preface:  | sum of 4..16: u32 | plain bytes: u64 | sum of the dictionary: u32 | dictionary |
//! ```
//!
//! An *end* counts from the beginning of the list. A pack with compressed bodies has its preface twice, under the first
//! and the last position of its range, where no body is. *Plain bytes* are those of all its records as they were; the
//! first preface, written before they are known, says 0.

use bytes::{BufMut, Bytes, BytesMut};

use super::{BLOCK_ENTRY_BYTES, Block, block_len, blocks};

const PRESSED: u32 = 1;
const PREFACE: u32 = 2;
const PREFACE_MIXED: u32 = 3;
const FORM_BITS: u32 = 4;
const PREFACE_HEAD_BYTES: usize = 16;

/// How a record is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it was.
    AsSent,
    /// Its octets compressed; list and blocks take so many bytes.
    Pressed(u32),
    /// No record, but what the compressed ones have in common.
    Preface {
        /// Whether some of the pack's bodies were too young to be compressed.
        mixed: bool,
        /// Its bytes.
        bytes: u32,
    },
}

impl Form {
    /// What flags say; none for what only a newer version knows.
    pub fn of(flags: u32) -> Option<Form> {
        let bytes = flags >> FORM_BITS;
        match flags & ((1 << FORM_BITS) - 1) {
            0 => (bytes == 0).then_some(Form::AsSent),
            PRESSED => Some(Form::Pressed(bytes)),
            PREFACE => Some(Form::Preface { mixed: false, bytes }),
            PREFACE_MIXED => Some(Form::Preface { mixed: true, bytes }),
            _ => None,
        }
    }

    /// The flags that say so.
    pub fn flags(self) -> u32 {
        match self {
            Form::AsSent => 0,
            Form::Pressed(bytes) => PRESSED | bytes << FORM_BITS,
            Form::Preface { mixed: false, bytes } => PREFACE | bytes << FORM_BITS,
            Form::Preface { mixed: true, bytes } => PREFACE_MIXED | bytes << FORM_BITS,
        }
    }
}

/// Bytes of the list of a body's blocks.
pub(crate) fn list_bytes(len: u32) -> u32 {
    blocks(len) * BLOCK_ENTRY_BYTES as u32
}

/// The list of blocks.
pub(crate) fn list(blocks: &[Block]) -> Bytes {
    let mut list = BytesMut::with_capacity(blocks.len() * BLOCK_ENTRY_BYTES as usize);
    let mut end = list.capacity() as u32;
    for block in blocks {
        end += block.bytes.len() as u32;
        list.put_u32_le(end);
        list.put_u32_le(block.sum);
    }
    list.freeze()
}

/// Where block `at` of a body begins and ends, and the sum of its octets. `read` gives bytes of list and blocks, which
/// are `stored`.
pub(crate) fn bounds(
    len: u32,
    at: u32,
    stored: u32,
    read: impl Fn(u32, u32) -> Option<Bytes>,
) -> Option<(u32, u32, u32)> {
    let entry = BLOCK_ENTRY_BYTES as u32;
    let (list, own) = (list_bytes(len), at * entry);
    if at >= blocks(len) || list > stored {
        return None;
    }
    let word = |bytes: &Bytes, at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes)
    };
    let own = read(own, entry)?;
    let begin = match at.checked_sub(1) {
        None => list,
        Some(before) => word(&read(before * entry, entry)?, 0)?,
    };
    let (end, sum) = (word(&own, 0)?, word(&own, 4)?);
    (list <= begin && begin <= end && end <= stored).then_some((begin, end, sum))
}

/// All blocks of a body of `len` octets.
pub(crate) fn all_blocks(len: u32, stored: &Bytes) -> Option<Vec<Block>> {
    let bytes = u32::try_from(stored.len()).ok()?;
    let read = |at: u32, len: u32| {
        let end = at.checked_add(len)?;
        (end <= bytes).then(|| stored.slice(at as usize..end as usize))
    };
    let block = |at: u32| {
        let (begin, end, sum) = bounds(len, at, bytes, read)?;
        Some(Block { bytes: read(begin, end - begin)?, len: block_len(len, at), sum })
    };
    (0..blocks(len)).map(block).collect()
}

/// The preface of a pack.
pub(crate) fn preface(plain: u64, dictionary: &[u8]) -> Bytes {
    let mut preface = BytesMut::with_capacity(PREFACE_HEAD_BYTES + dictionary.len());
    preface.put_u32_le(0);
    preface.put_u64_le(plain);
    preface.put_u32_le(crc32fast::hash(dictionary));
    let sum = crc32fast::hash(&preface[4..]);
    preface[..4].copy_from_slice(&sum.to_le_bytes());
    preface.extend_from_slice(dictionary);
    preface.freeze()
}

/// What the beginning of a preface says: the plain bytes, and the sum of the dictionary.
pub(crate) fn facts(preface: &[u8]) -> Option<(u64, u32)> {
    let head = preface.first_chunk::<PREFACE_HEAD_BYTES>()?;
    let (sum, rest) = head.split_first_chunk::<4>()?;
    if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (plain, dictionary) = rest.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*plain), u32::from_le_bytes(dictionary.try_into().ok()?)))
}

/// The dictionary of a preface.
pub(crate) fn dictionary(preface: &Bytes) -> Option<Bytes> {
    let (_, sum) = facts(preface)?;
    let dictionary = preface.slice(PREFACE_HEAD_BYTES..);
    (crc32fast::hash(&dictionary) == sum).then_some(dictionary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PRESSED_BLOCK_BYTES;

    #[test]
    fn flags_are_read_back_and_unknown_ones_refused() {
        let preface = |mixed| Form::Preface { mixed, bytes: 65_552 };
        for form in [Form::AsSent, Form::Pressed(104_857_600), preface(false), preface(true)] {
            assert_eq!(Form::of(form.flags()), Some(form));
        }
        assert_eq!((Form::of(4), Form::of(16)), (None, None));
    }

    #[test]
    fn a_list_leads_to_its_blocks_and_never_beyond_them() {
        let block =
            |fill: u8, bytes: usize, len| Block { bytes: vec![fill; bytes].into(), len, sum: fill.into() };
        let blocks =
            vec![block(1, 10, PRESSED_BLOCK_BYTES), block(2, 20, PRESSED_BLOCK_BYTES), block(3, 5, 7)];
        let len = 2 * PRESSED_BLOCK_BYTES + 7;
        let mut stored = list(&blocks).to_vec();
        blocks.iter().for_each(|block| stored.extend_from_slice(&block.bytes));
        assert_eq!(all_blocks(len, &stored.clone().into()), Some(blocks));
        for at in 0..stored.len() {
            assert_eq!(all_blocks(len, &stored[..at].to_vec().into()), None, "cut at {at}");
        }
        for at in (0..3).map(|at| at * 8) {
            let mut wild = stored.clone();
            wild[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_eq!(all_blocks(len, &wild.into()), None, "end {at} is wild");
        }
        assert_eq!(all_blocks(0, &Bytes::new()), Some(Vec::new()));
        assert_eq!(all_blocks(u32::MAX, &Bytes::new()), None);
    }

    #[test]
    fn a_preface_proves_what_it_says() {
        let preface = preface(77, b"dictionary");
        assert_eq!(facts(&preface).map(|(plain, _)| plain), Some(77));
        assert_eq!(dictionary(&preface), Some(Bytes::from_static(b"dictionary")));
        for at in 0..preface.len() {
            let mut rotten = preface.to_vec();
            rotten[at] ^= 4;
            assert_eq!(dictionary(&rotten.into()), None, "octet {at}");
        }
        assert_eq!((facts(&preface[..15]), dictionary(&Bytes::new())), (None, None));
    }
}
