//! Words of the command line that mean something of their own: positions, moments, kinds.
//!
//! *Owns*: their spelling. *Promises*: what is no such word is refused with what was expected. *Assumes*: UTC.
//! *Never*: reads a clock.

use std::str::FromStr;

pub use ringpost::moment::Moment;

use crate::describe::KINDS;

/// A position in the log of a shard, or of every shard that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The shard, if it was named.
    pub shard: Option<u16>,
    /// The number.
    pub lsn: u64,
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Position, String> {
        let number = |text: &str| text.parse().map_err(|_| "expected 17412 or 1:17412".to_string());
        match text.split_once(':') {
            None => Ok(Position { shard: None, lsn: number(text)? }),
            Some((shard, lsn)) => match shard.parse() {
                Ok(shard) => Ok(Position { shard: Some(shard), lsn: number(lsn)? }),
                Err(_) => Err("expected 17412 or 1:17412".to_string()),
            },
        }
    }
}

/// A kind of record by its name, upper and lower case being one.
pub fn kind(text: &str) -> Result<&'static str, String> {
    let known = KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(text));
    known.copied().ok_or_else(|| format!("the kinds are {}", KINDS.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_what_a_log_line_shows() {
        assert_eq!("1:17412".parse(), Ok(Position { shard: Some(1), lsn: 17412 }));
        assert_eq!("17412".parse(), Ok(Position { shard: None, lsn: 17412 }));
        for bad in ["", "x", "1:", ":1", "1:2:3", "70000:1"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_known_by_name() {
        assert_eq!(kind("flagsstore"), Ok("FlagsStore"));
        assert!(kind("x").expect_err("unknown").contains("Deliver"));
    }
}
