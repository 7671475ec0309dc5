//! Pieces of compressed bodies, for whoever looks at them or sends them.
//!
//! *Owns*: which blocks a piece lies in. *Promises*: a piece costs the blocks that it lies in; none of it comes out if
//! one of them is not what was written. *Assumes*: what [`kept`] and [`located`] name is in memory. *Never*: reads.

use bytes::Bytes;

use super::stored::{bounds, list_bytes};
use super::{Block, Unfolder, block_len, blocks};
use crate::compact::pack::Pack;
use crate::io::Extent;
use crate::limits::PRESSED_BLOCK_BYTES;
use crate::octets::{Cold, Octets, Pressed};

/// The blocks in which octets lie: first and last. None: there are no such octets.
fn span(body: Pressed, begin: u32, len: u32) -> Option<(u32, u32)> {
    let last = begin.checked_add(len)?.checked_sub(1).filter(|last| len > 0 && *last < body.len)?;
    Some((begin / PRESSED_BLOCK_BYTES, last / PRESSED_BLOCK_BYTES))
}

fn block_bounds(pack: &Pack, body: Pressed, at: u32) -> Option<(u32, u32, u32)> {
    let Extent { offset, len, .. } = body.extent;
    bounds(body.len, at, len, |at, len| pack.slice(offset + u64::from(at), len))
}

/// What has to be in memory before octets of a body are asked for.
pub(crate) fn kept(pack: &Pack, unfolder: &Unfolder, octets: Octets, cold: &mut Cold) {
    let Some((body, _)) = octets.as_pressed() else { return };
    if !unfolder.is_ready(pack.number) {
        cold.extents.extend(pack.preface().map(|(extent, _)| extent));
    }
    if blocks(body.len) <= 1 {
        return cold.extents.push(body.extent);
    }
    cold.extents.push(body.extent.slice(0, list_bytes(body.len)));
    cold.unlocated.push(octets);
}

/// Where they are, when the list of the body's blocks is in memory.
pub(crate) fn located(pack: &Pack, octets: Octets) -> Option<Extent> {
    let (body, begin) = octets.as_pressed()?;
    let (first, last) = span(body, begin, octets.len)?;
    let (begin, ..) = block_bounds(pack, body, first)?;
    let (_, end, _) = block_bounds(pack, body, last)?;
    Some(body.extent.slice(begin, end.checked_sub(begin)?))
}

/// The octets.
pub(crate) fn octets(pack: &Pack, unfolder: &mut Unfolder, octets: Octets) -> Option<Bytes> {
    let (body, begin) = octets.as_pressed()?;
    if octets.len == 0 {
        return Some(Bytes::new());
    }
    let (first, last) = span(body, begin, octets.len)?;
    let end = begin + octets.len;
    let mut whole = Vec::new();
    for at in first..=last {
        let (from, to, sum) = block_bounds(pack, body, at)?;
        let place = body.extent.offset + u64::from(from);
        let block =
            || Some(Block { bytes: pack.slice(place, to - from)?, len: block_len(body.len, at), sum });
        let unfolded = unfolder.once(pack.number, place, block, || pack.dictionary())?;
        let start = at * PRESSED_BLOCK_BYTES;
        let (from, to) = (begin.max(start) - start, (end - start).min(unfolded.len() as u32));
        let part = unfolded.slice(from as usize..to as usize);
        if first == last {
            return Some(part);
        }
        whole.reserve(octets.len as usize - whole.len());
        whole.extend_from_slice(&part);
    }
    Some(whole.into())
}
