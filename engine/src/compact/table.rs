//! Which records a pack has, and where.
//!
//! *Owns*: the table and its fences, and the look-up. *Promises*: what it finds was found by a sum, or by the record's
//! own lead; nothing wrong comes of flipped bits. *Assumes*: entries come in order of position, and so do offsets.
//! *Never*: keeps more in memory than a fence for every 128 records, unless the fences themselves are damaged.
//!
//! ```text
//!  position ─► fences (memory) ─► block of 128 entries (mapped, one page or two) ── sum holds ─► entry
//!                                        └─ it does not: the leads of these 128 records, one after the other
//! ```

use super::pack::{HEAD_BYTES, LEAD_BYTES, Lead};
use crate::error::Error;
use crate::io::View;
use crate::press::stored::Form;

/// Entries for each of which there is one fence: 2 KiB of table.
pub const BLOCK_ENTRIES: usize = 128;
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 16;
/// Bytes of a fence.
pub const FENCE_BYTES: usize = 16;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The position that it had in the log.
    pub position: u64,
    /// Where its lead begins.
    pub offset: u32,
    /// What its lead says of how it is stored.
    pub flags: u32,
}

/// What is kept in memory of 128 entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    position: u64,
    offset: u32,
    crc: u32,
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

impl Entry {
    /// Adds its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Entry {
        Entry { position: long(bytes, 0), offset: word(bytes, 8), flags: word(bytes, 12) }
    }

    /// Whether it is of a body, and not of what bodies have in common.
    pub fn is_body(&self) -> bool {
        !matches!(Form::of(self.flags), Some(Form::Preface { .. }))
    }

    /// Where the record itself begins.
    pub fn record(&self) -> u64 {
        u64::from(self.offset) + LEAD_BYTES
    }
}

impl Fence {
    /// Adds its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Fence {
        Fence { position: long(bytes, 0), offset: word(bytes, 8), crc: word(bytes, 12) }
    }
}

/// Some neighbours of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableBlock {
    /// Where the lead of the first of them begins.
    pub first: u32,
    /// Its position.
    pub position: u64,
    /// How many they are.
    pub len: usize,
    /// Where the file has them, and the sum of their bytes; none if they are in memory only.
    pub kept: Option<(u64, u32)>,
}

/// The entries that these bytes are.
pub fn decode_block(bytes: &[u8]) -> Vec<Entry> {
    bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(|entry| Entry::decode(entry)).collect()
}

/// The fences of a table.
pub fn fences(entries: &[Entry]) -> Vec<Fence> {
    let mut bytes = Vec::with_capacity(BLOCK_ENTRIES * ENTRY_BYTES);
    let mut fence = |block: &[Entry]| {
        bytes.clear();
        block.iter().for_each(|entry| entry.encode(&mut bytes));
        let first = block.first()?;
        Some(Fence { position: first.position, offset: first.offset, crc: crc32fast::hash(&bytes) })
    };
    entries.chunks(BLOCK_ENTRIES).filter_map(&mut fence).collect()
}

/// See the module's head.
#[derive(Debug)]
pub enum Table {
    /// In the file, found by its fences.
    Mapped {
        /// Where it begins.
        at: u64,
        /// How many entries it has.
        count: usize,
        /// Ascending.
        fences: Vec<Fence>,
    },
    /// Made anew from the leads, for what is in the file does not hold.
    Rebuilt(Vec<Entry>),
}

impl Table {
    /// A table in the file, by the bytes of its fences.
    pub fn mapped(at: u64, count: usize, fences: &[u8]) -> Table {
        let fences = fences.chunks_exact(FENCE_BYTES).map(Fence::decode).collect();
        Table::Mapped { at, count, fences }
    }

    /// Walks from lead to lead, as far as they hold.
    ///
    /// # Errors
    /// The disk's.
    pub fn of_leads(
        bytes: u64,
        mut read: impl FnMut(u64, u64) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Table, Error> {
        let (mut entries, mut offset) = (Vec::new(), HEAD_BYTES);
        while offset + LEAD_BYTES <= bytes {
            let Some(lead) = read(offset, LEAD_BYTES)?.as_deref().and_then(Lead::decode) else { break };
            let Ok(at) = u32::try_from(offset) else { break };
            // The first may be at 0, where a preface is if the log begins there.
            let follows = entries.last().is_none_or(|before: &Entry| before.position < lead.position);
            if !follows || lead.position == u64::MAX {
                break;
            }
            entries.push(Entry { position: lead.position, offset: at, flags: lead.flags });
            offset += LEAD_BYTES + u64::from(lead.stored);
        }
        Ok(Table::Rebuilt(entries))
    }

    /// How many records the pack has.
    pub fn len(&self) -> usize {
        match self {
            Table::Mapped { count, .. } => *count,
            Table::Rebuilt(entries) => entries.len(),
        }
    }

    /// Block `nth`; none behind the last.
    pub fn block(&self, nth: usize) -> Option<TableBlock> {
        let begin = nth * BLOCK_ENTRIES;
        let len = BLOCK_ENTRIES.min(self.len().checked_sub(begin).filter(|left| *left > 0)?);
        Some(match self {
            Table::Mapped { at, fences, .. } => {
                let fence = *fences.get(nth)?;
                let at = at + (begin * ENTRY_BYTES) as u64;
                TableBlock { first: fence.offset, position: fence.position, len, kept: Some((at, fence.crc)) }
            }
            Table::Rebuilt(entries) => {
                let first = entries.get(begin)?;
                TableBlock { first: first.offset, position: first.position, len, kept: None }
            }
        })
    }

    /// The entries of block `nth` that are in memory; none of a table that is in the file.
    pub fn rebuilt(&self, nth: usize) -> &[Entry] {
        match self {
            Table::Mapped { .. } => &[],
            Table::Rebuilt(entries) => entries.chunks(BLOCK_ENTRIES).nth(nth).unwrap_or_default(),
        }
    }

    /// Bytes of the fences in the file.
    pub fn fence_bytes(&self) -> usize {
        self.len().div_ceil(BLOCK_ENTRIES) * FENCE_BYTES
    }

    /// The positions from the first record to the last; none without any.
    pub fn span(&self) -> Option<std::ops::Range<u64>> {
        match self {
            Table::Mapped { .. } => None,
            Table::Rebuilt(entries) => Some(entries.first()?.position..entries.last()?.position + 1),
        }
    }

    /// Every entry in order, and where parts of the table are damaged, for which the leads were asked.
    pub fn entries(&self, view: &dyn View) -> (Vec<Entry>, Vec<u64>) {
        let (at, count, fences) = match self {
            Table::Rebuilt(entries) => return (entries.clone(), Vec::new()),
            Table::Mapped { at, count, fences } => (at, *count, fences),
        };
        let (mut entries, mut damaged) = (Vec::with_capacity(count), Vec::new());
        for (nth, fence) in fences.iter().enumerate() {
            let len = BLOCK_ENTRIES.min(count.saturating_sub(nth * BLOCK_ENTRIES));
            let begin = at + (nth * BLOCK_ENTRIES * ENTRY_BYTES) as u64;
            let block = view.slice(begin, (len * ENTRY_BYTES) as u32);
            match block.filter(|block| crc32fast::hash(block) == fence.crc) {
                Some(block) => {
                    entries.extend(block.as_chunks::<ENTRY_BYTES>().0.iter().map(|one| Entry::decode(one)))
                }
                None => {
                    damaged.push(begin);
                    let mut position = 0;
                    while let Some(entry) = by_leads(fence.offset, len, position, view) {
                        position = entry.position + 1;
                        entries.push(entry);
                    }
                }
            }
        }
        (entries, damaged)
    }

    /// The block of the table in the file that [`Table::find`] looks at for a position: where it begins, and its bytes.
    /// None: it looks at none.
    pub fn block_of(&self, position: u64) -> Option<(u64, u32)> {
        let Table::Mapped { fences, .. } = self else { return None };
        let nth = fences.partition_point(|fence| fence.position <= position).checked_sub(1)?;
        let TableBlock { len, kept, .. } = self.block(nth)?;
        Some((kept?.0, (len * ENTRY_BYTES) as u32))
    }

    /// Where the record of a position is. Looks at the block that [`Table::block_of`] names, so who must not wait for
    /// the disk has it brought in before.
    pub fn find(&self, position: u64, view: &dyn View) -> Option<Entry> {
        let found = match self {
            Table::Rebuilt(entries) => {
                entries.get(entries.partition_point(|entry| entry.position < position)).copied()?
            }
            Table::Mapped { fences, .. } => {
                let fence = fences.partition_point(|fence| fence.position <= position).checked_sub(1)?;
                let (begin, bytes) = self.block_of(position)?;
                let (len, block) = (bytes as usize / ENTRY_BYTES, view.slice(begin, bytes));
                match block.filter(|block| crc32fast::hash(block) == fences[fence].crc) {
                    Some(block) => in_block(&block, position)?,
                    None => by_leads(fences[fence].offset, len, position, view)?,
                }
            }
        };
        (found.position == position).then_some(found)
    }
}

/// The first entry of a block that is not before this position.
fn in_block(block: &[u8], position: u64) -> Option<Entry> {
    let (entries, _) = block.as_chunks::<ENTRY_BYTES>();
    let at = entries.partition_point(|entry| long(entry, 0) < position);
    entries.get(at).map(|entry| Entry::decode(entry))
}

/// What a damaged block would have said. Looks at the records, so it may have to wait for the disk.
fn by_leads(first: u32, count: usize, position: u64, view: &dyn View) -> Option<Entry> {
    let mut offset = u64::from(first);
    for _ in 0..count {
        let lead = Lead::decode(&view.slice(offset, LEAD_BYTES as u32)?)?;
        if lead.position >= position {
            return Some(Entry { position: lead.position, offset: offset as u32, flags: lead.flags });
        }
        offset += LEAD_BYTES + u64::from(lead.stored);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_are_walked_from_the_beginning_of_the_log_and_only_upwards() {
        let leads = |positions: &[u64]| {
            let lead = |&position| Lead { position, stored: 0, flags: 0 }.encode();
            let bytes: Vec<u8> = positions.iter().flat_map(lead).collect();
            let read = |offset: u64, len: u64| {
                let from = (offset - HEAD_BYTES) as usize;
                Ok(bytes.get(from..from + len as usize).map(<[u8]>::to_vec))
            };
            let table = Table::of_leads(HEAD_BYTES + bytes.len() as u64, read).expect("a disk in memory");
            table.span().map(|span| (span, table.len()))
        };
        assert_eq!(leads(&[0, 4096, 5000]), Some((0..5001, 3)));
        assert_eq!(leads(&[0]), Some((0..1, 1)));
        assert_eq!(leads(&[7, 9, 9, 10]), Some((7..10, 2)), "a position does not come twice");
        assert_eq!(leads(&[u64::MAX]), None);
    }
}
