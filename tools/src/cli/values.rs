//! Words of the command line that mean something of their own: positions, moments, kinds.
//!
//! *Owns*: their spelling. *Promises*: what is no such word is refused with what was expected. *Assumes*: UTC.
//! *Never*: reads a clock; who compares a moment brings the time.

use std::str::FromStr;

use ringpost::proto::mime::date::days_from_civil;

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

/// A moment: a date with or without a time, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds before now.
    Ago(u64),
}

const EXPECTED: &str = "expected 2026-01-31, 2026-01-31T03:00:00Z (UTC), or 45s, 30m, 2h, 7d for so long ago";

impl Moment {
    /// As milliseconds since 1970.
    pub fn unix_ms(self, now_ms: u64) -> u64 {
        match self {
            Moment::At(ms) => ms,
            Moment::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        ago(text).or_else(|| at(text)).ok_or_else(|| EXPECTED.to_owned())
    }
}

fn ago(text: &str) -> Option<Moment> {
    let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    let (number, ms) = units.iter().find_map(|&(unit, ms)| Some((text.strip_suffix(unit)?, ms)))?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(ms).map(Moment::Ago)
}

/// rfc3339#5.6, in UTC; the time, its seconds and their fraction may be left out.
fn at(text: &str) -> Option<Moment> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let clock = numbers(clock, ':')?;
    let (hour, minute, second) = match clock[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let good = fraction.bytes().all(|byte| byte.is_ascii_digit()) && (1..=9).contains(&fraction.len());
    if !good || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let millis = format!("{fraction:0<3}")[..3].parse::<u64>().ok()?;
    let days = u64::try_from(days_from_civil(year as i32, month, day)?).ok()?;
    let seconds = days * 86_400 + u64::from(hour * 3600 + minute * 60 + second);
    Some(Moment::At(seconds * 1000 + millis))
}

fn numbers(text: &str, between: char) -> Option<Vec<u32>> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    text.split(between).map(number).collect()
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
    fn moments_are_dates_times_or_so_long_ago() {
        for (text, ms) in [
            ("1970-01-02", 86_400_000),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("2026-01-01T00:00:00.25Z", 1_767_225_600_250),
            ("2026-01-01 00:01", 1_767_225_660_000),
        ] {
            assert_eq!(text.parse(), Ok(Moment::At(ms)), "{text}");
        }
        for (text, ms) in [("45s", 45_000), ("30m", 1_800_000), ("2h", 7_200_000), ("7d", 604_800_000)] {
            assert_eq!(text.parse(), Ok(Moment::Ago(ms)), "{text}");
        }
        assert_eq!(Moment::Ago(10).unix_ms(3), 0);
        for bad in ["", "d", "2026", "2026-02-30", "2026-01-01T24:00", "2026-01-01T00:00:00.", "+1d", "1:2-3"]
        {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_are_known_by_name() {
        assert_eq!(kind("flagsstore"), Ok("FlagsStore"));
        assert!(kind("x").expect_err("unknown").contains("Deliver"));
    }
}
