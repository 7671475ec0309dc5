//! A pack by its bytes.
//!
//! *Owns*: what lies where in a sound pack. *Promises*: names every body that flipped bits may hide, and no other.
//! *Assumes*: bits flip within one sector. *Never*: asks scrub, which it judges.

use std::collections::BTreeSet;
use std::ops::Range;

use ringpost_engine::ids::BodyId;
use ringpost_engine::io::{Disk, FileId};
use ringpost_engine::log::record;

const HEAD_BYTES: u64 = 64;
const TRAILER_BYTES: u64 = 64;
const LEAD_BYTES: u64 = 24;
/// Forms from this one on are of prefaces.
const FORM_PREFACE: u32 = 2;

/// A record, or a preface.
struct Part {
    position: u64,
    lead: u64,
    end: u64,
    form: u32,
}

/// What lies where.
pub struct PackImage {
    parts: Vec<Part>,
    table: u64,
}

/// What flipped bits of a pack may do.
#[derive(Debug, Default)]
pub struct PackHit {
    /// Something that is served of these as it is kept has another value.
    pub must: BTreeSet<BodyId>,
    /// What vouches for these has another value, or a block that they are unfolded from has.
    pub may: BTreeSet<BodyId>,
}

fn word(bytes: &[u8], at: u64) -> u32 {
    let at = at as usize;
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: u64) -> u64 {
    let at = at as usize;
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl PackImage {
    /// Reads a sound pack of so many bytes.
    pub fn read(disk: &mut dyn Disk, file: FileId, bytes: u64) -> PackImage {
        let mut whole = vec![0; bytes as usize];
        assert_eq!(disk.read(file, 0, &mut whole), Ok(whole.len()));
        let table = long(&whole, bytes - TRAILER_BYTES + 40);
        let (mut parts, mut lead) = (Vec::new(), HEAD_BYTES);
        while lead < table {
            let (stored, position) = (word(&whole, lead + 4), long(&whole, lead + 8));
            let end = lead + LEAD_BYTES + u64::from(stored);
            parts.push(Part { position, lead, end, form: word(&whole, lead + 16) & 15 });
            lead = end;
        }
        PackImage { parts, table }
    }

    /// What bits flipped at these offsets may do.
    pub fn hit(&self, flips: &[u64]) -> PackHit {
        let any = |range: Range<u64>| flips.iter().any(|flip| range.contains(flip));
        let leads = self.parts.iter().any(|part| any(part.lead..part.lead + LEAD_BYTES));
        let prefaces = self.parts.iter().filter(|part| part.form >= FORM_PREFACE);
        let both = prefaces.filter(|part| any(part.lead..part.end)).count() > 1;
        // What is there twice is lost where both places are.
        let all = both || leads && any(self.table..u64::MAX);
        let mut hit = PackHit::default();
        for part in self.parts.iter().filter(|part| part.form < FORM_PREFACE) {
            let (body, record) = (BodyId(part.position), part.lead + LEAD_BYTES);
            // A bit of a block may be one that zstd does not look at.
            if part.form == 0 && any(record + record::HEAD_BYTES as u64..part.end) {
                hit.must.insert(body);
            } else if all || any(part.lead..part.end) {
                hit.may.insert(body);
            }
        }
        hit
    }
}
