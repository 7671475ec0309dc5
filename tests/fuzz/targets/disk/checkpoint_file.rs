//! Whatever is in a checkpoint, a start panics nowhere; and what its sums do not hold for counts for nothing.

use ringpost_engine::io::FileId;

use super::super::choices::Choices;
use super::images::{edit, image, look_at_all, open, seal};

/// Bytes of a checkpoint's header.
const HEAD_BYTES: usize = 36;
/// Bytes of its trailer.
const TRAILER_BYTES: usize = 24;

/// Which sums hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    /// Those of what was not edited.
    Wrong,
    /// Those of header, footer and trailer too.
    OfEnds,
    /// It is as if all of them did.
    All,
}

/// Choices: which file, which sums, edits. Flipped bits never make another store of it.
pub fn run(octets: &[u8]) {
    let mut choices = Choices(octets);
    let mut files = image().files.clone();
    let all: Vec<usize> =
        (0..files.len()).filter(|&at| matches!(files[at].0, FileId::Checkpoint(_))).collect();
    let (victim, sums) = (choices.pick(&all), choices.pick(&[Sums::Wrong, Sums::OfEnds, Sums::All]));
    let data = &mut files[victim].1;
    edit(data, &mut choices);
    if sums == Sums::OfEnds {
        seal_ends(data);
    }
    match open(files.into_iter(), sums == Sums::All) {
        Ok((store, report)) => {
            look_at_all(&store, |_, _| ());
            if sums == Sums::Wrong && report.quarantined.is_empty() {
                // Rows are looked at when somebody asks for them, and then it is told.
                let read = store
                    .accounts_after("")
                    .all(|account| account.mailboxes().all(|mailbox| mailbox.is_readable()));
                let there = store.accounts_after("").count() == super::images::FILLED.len();
                assert!(!read || !there || store.digest() == image().digest, "{report:?}");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// As if header, footer and trailer had been written so.
fn seal_ends(data: &mut [u8]) {
    seal(data, 0..12, 12);
    seal(data, 0..HEAD_BYTES - 4, HEAD_BYTES - 4);
    let Some(end) = data.len().checked_sub(TRAILER_BYTES) else { return };
    let footer = data[end + 8..end + 12].try_into().map_or(0, u32::from_le_bytes) as usize;
    if let Some(start) = end.checked_sub(footer) {
        seal(data, start..end, end + 12);
    }
    seal(data, end..end + 20, end + 20);
}
