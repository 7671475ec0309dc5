//! The table of slots as a picture.
//!
//! *Owns*: a letter for each slot. *Promises*: 64 lines of 64 slots, at most 80 columns. *Assumes*: the lines of
//! an answer. *Never*: asks.

use ringpost_engine::ids::SLOTS;

use crate::admin::cli::output::say;
use crate::admin::wire::{Line, SlotRun};

/// Slots in a line.
const COLUMNS: usize = 64;
/// A letter for each of the first shards; those that follow share the last.
const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+";

/// See the module's head.
pub struct Picture {
    letters: Vec<u8>,
}

impl Default for Picture {
    fn default() -> Picture {
        Picture { letters: vec![b'?'; usize::from(SLOTS)] }
    }
}

impl Picture {
    /// Takes in what a line says of owners.
    pub fn learn(&mut self, line: &Line) {
        let Line::Slots { shard, runs, .. } = line else { return };
        let letter = LETTERS[usize::from(*shard).min(LETTERS.len() - 1)];
        for slot in runs.iter().flat_map(SlotRun::slots) {
            if let Some(place) = self.letters.get_mut(usize::from(slot)) {
                *place = letter;
            }
        }
    }

    /// Prints it.
    pub fn print(&self) -> Result<(), String> {
        say(&self.render())
    }

    fn render(&self) -> String {
        let mut text = String::from("\nSLOT  the shard that has it, 64 slots a line");
        for (line, letters) in self.letters.chunks(COLUMNS).enumerate() {
            text.push_str(&format!("\n{:>4}  {}", line * COLUMNS, String::from_utf8_lossy(letters)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(shard: u16, runs: &[(u16, u16, u16)]) -> Line {
        let runs = runs.iter().map(|&(first, last, step)| SlotRun { first, last, step }).collect();
        Line::Slots { shard, slots: 0, runs, accounts: 0, messages: 0, bytes: 0 }
    }

    #[test]
    fn each_slot_shows_its_shard() {
        let mut picture = Picture::default();
        picture.learn(&shard(0, &[(0, 4094, 2)]));
        picture.learn(&shard(11, &[(1, 63, 2), (67, 4095, 2)]));
        picture.learn(&shard(200, &[(65, 65, 1)]));
        let text = picture.render();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.len(), 64);
        assert_eq!(lines[0], format!("   0  {}", "0b".repeat(32)));
        assert_eq!(lines[1], format!("  64  0+{}", "0b".repeat(31)));
        assert!(!text.contains('?'));
    }
}
