//! Whatever is in a pack, a start panics nowhere, gives out no octets of another account, and serves the rest.

use ringpost_engine::io::FileId;

use super::super::choices::Choices;
use super::images::{edit, image, look_at_all, open, seal};

/// Octets in which flipped bits may look like another account's.
const FOREIGN_MAX: usize = 64;
/// Bytes of a pack's header, and of its trailer.
const END_BYTES: usize = 64;
/// Bytes before a record.
const LEAD_BYTES: usize = 24;

/// Choices: which pack, whether sums are made right, edits.
pub fn run(octets: &[u8]) {
    let mut choices = Choices(octets);
    let mut files = image().files.clone();
    let packs: Vec<usize> = (0..files.len()).filter(|&at| matches!(files[at].0, FileId::Pack(_))).collect();
    let (victim, is_sealed) = (choices.pick(&packs), choices.below(2) == 1);
    let data = &mut files[victim].1;
    let edited = edit(data, &mut choices);
    if is_sealed {
        seal_pack(data, &mut choices);
    }
    match open(files.into_iter(), false) {
        Ok((store, report)) => {
            assert!(report.quarantined.is_empty(), "no account is out of service for a pack");
            assert_eq!(store.digest(), image().digest, "what is known of messages is not in packs");
            look_at_all(&store, |filled, octets| {
                let foreign =
                    octets.map_or(0, |octets| octets.iter().filter(|&&octet| octet == !filled).count());
                assert!(is_sealed || edited.moved || foreign <= FOREIGN_MAX, "{foreign} octets of another's");
            });
        }
        Err(error) => assert!(is_sealed, "flipped bits keep nobody from starting: {error}"),
    }
}

/// As if what is wrong had been written: leads as far as they go, header and trailer have their sums.
fn seal_pack(data: &mut [u8], choices: &mut Choices<'_>) {
    seal(data, 0..12, 12);
    seal(data, 0..END_BYTES - 4, END_BYTES - 4);
    let mut at = END_BYTES;
    while at + LEAD_BYTES <= data.len() {
        seal(data, at + 4..at + LEAD_BYTES, at);
        let stored = data[at + 4..at + 8].try_into().map_or(0, u32::from_le_bytes);
        at = at.saturating_add(LEAD_BYTES).saturating_add(stored as usize);
        if choices.below(8) == 7 {
            break;
        }
    }
    let Some(end) = data.len().checked_sub(END_BYTES) else { return };
    // The table's fences, where the trailer says that they are.
    let number = |at: usize| data[at..at + 8].try_into().map_or(0, u64::from_le_bytes) as usize;
    let (table, count) = (number(end + 40), number(end + 48) & 0xffff_ffff);
    if let Some(fences) =
        count.checked_mul(16).and_then(|bytes| bytes.checked_add(table)).filter(|&at| at <= end)
    {
        for (nth, from) in (table..fences).step_by(128 * 16).enumerate() {
            seal(data, from..fences.min(from + 128 * 16), fences + nth * 16 + 12);
        }
        seal(data, fences..end, end + 52);
    }
    seal(data, end..end + END_BYTES - 4, end + END_BYTES - 4);
}
