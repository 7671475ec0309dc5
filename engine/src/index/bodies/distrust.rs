//! Which bodies are not what was written.
//!
//! *Owns*: ranges of positions of the log at which a body that begins is not shown. *Promises*: as many as
//! `limits::DISTRUSTED_RANGES_MAX`, none twice; a look at a body costs nothing while there are none. *Assumes*: they
//! come from the log, so that replay comes to the same. *Never*: looks at a body.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::change::Refusal;
use crate::checkpoint::wire::{Wire, put};
use crate::ids::BodyId;
use crate::index::digest::Digest;
use crate::limits::DISTRUSTED_RANGES_MAX;

/// See the module's head.
#[derive(Debug, Default)]
pub(in crate::index) struct Distrusted(BTreeSet<(BodyId, BodyId)>);

impl Distrusted {
    /// Bodies that begin there are not shown from now on.
    pub(in crate::index) fn add(&mut self, from: BodyId, until: BodyId) -> Result<(), Refusal> {
        if from >= until || self.0.len() >= DISTRUSTED_RANGES_MAX {
            return Err(Refusal::Limit);
        }
        self.0.insert((from, until));
        Ok(())
    }

    /// They are sound again.
    pub(in crate::index) fn remove(&mut self, from: BodyId, until: BodyId) {
        self.0.remove(&(from, until));
    }

    /// Whether a body that begins here is not to be shown.
    pub(in crate::index) fn contains(&self, body: BodyId) -> bool {
        !self.0.is_empty() && self.0.iter().any(|(from, until)| (*from..*until).contains(&body))
    }

    /// All of them.
    pub(in crate::index) fn ranges(&self) -> impl Iterator<Item = Range<BodyId>> + '_ {
        self.0.iter().map(|&(from, until)| from..until)
    }

    /// For a checkpoint. What is not there takes no byte, so that a store without rot writes what it always wrote.
    pub(in crate::index) fn write(&self, out: &mut Vec<u8>) {
        for (from, until) in &self.0 {
            put(out, from.0);
            put(out, until.0 - from.0);
        }
    }

    /// From a checkpoint, to its end.
    pub(in crate::index) fn read(&mut self, wire: &mut Wire<'_>) -> Option<()> {
        while !wire.is_empty() {
            let from = wire.number()?;
            let until = from.checked_add(wire.number()?)?;
            self.add(BodyId(from), BodyId(until)).ok()?;
        }
        Some(())
    }

    pub(in crate::index) fn digest(&self, digest: &mut Digest) {
        for (from, until) in &self.0 {
            digest.word(from.0);
            digest.word(until.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_come_back_from_a_checkpoint_and_are_bounded() {
        let (mut known, mut out) = (Distrusted::default(), Vec::new());
        known.write(&mut out);
        assert!(out.is_empty());
        known.add(BodyId(4096), BodyId(4097)).expect("room");
        known.add(BodyId(9000), BodyId(12_288)).expect("room");
        known.write(&mut out);
        let mut again = Distrusted::default();
        again.read(&mut Wire::new(&out)).expect("as written");
        assert_eq!(again.0, known.0);
        let hidden = |known: &Distrusted, body| known.contains(BodyId(body));
        assert_eq!(
            [4096, 4097, 8999, 9000, 12_287, 12_288].map(|body| hidden(&again, body)),
            [true, false, false, true, true, false]
        );
        again.remove(BodyId(4096), BodyId(4097));
        assert!(!hidden(&again, 4096));
        assert_eq!(again.add(BodyId(7), BodyId(7)), Err(Refusal::Limit), "an empty range is none");
        for body in 0..2 * DISTRUSTED_RANGES_MAX as u64 {
            let room = again.0.len() < DISTRUSTED_RANGES_MAX;
            assert_eq!(again.add(BodyId(20_000 + body), BodyId(20_001 + body)).is_ok(), room);
        }
    }
}
