//! Moments as people type them.
//!
//! *Owns*: their spelling on every command line. *Promises*: what is no moment is refused with what was expected.
//! *Assumes*: UTC where no offset is given. *Never*: reads a clock; who compares a moment brings the time.

use std::str::FromStr;

use crate::proto::mime::date::days_from_civil;

const DAY_MS: u64 = 86_400_000;

/// A date with or without a time, a time of the day, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds before now.
    Ago(u64),
    /// The last time that the day was so many milliseconds old.
    Clock(u64),
}

const EXPECTED: &str = "expected 2026-01-31, 2026-01-31T03:00:00Z (or with an offset, +01:00), 08:00 (the last \
                        one, UTC), or 45s, 30m, 2h, 7d for so long ago";

impl Moment {
    /// As milliseconds since 1970.
    pub fn unix_ms(self, now_ms: u64) -> u64 {
        match self {
            Moment::At(ms) => ms,
            Moment::Ago(ms) => now_ms.saturating_sub(ms),
            Moment::Clock(ms) => {
                let today = now_ms / DAY_MS * DAY_MS + ms;
                if today <= now_ms { today } else { today.saturating_sub(DAY_MS) }
            }
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Moment, String> {
        let text = text.trim();
        ago(text.strip_suffix(" ago").unwrap_or(text))
            .or_else(|| time_of_day(text).map(Moment::Clock))
            .or_else(|| at(text))
            .ok_or_else(|| EXPECTED.to_owned())
    }
}

fn ago(text: &str) -> Option<Moment> {
    let units = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', DAY_MS)];
    let (number, ms) = units.iter().find_map(|&(unit, ms)| Some((text.strip_suffix(unit)?, ms)))?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(ms).map(Moment::Ago)
}

/// rfc3339#5.6; the time, its seconds and their fraction, and the offset may be left out.
fn at(text: &str) -> Option<Moment> {
    let (date, rest) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    let date = date.strip_suffix(['Z', 'z']).unwrap_or(date);
    let [year, month, day] = numbers(date, '-')?[..] else { return None };
    let (time, offset_ms) = match (rest.strip_suffix(['Z', 'z']), rest.rfind(['+', '-'])) {
        (Some(time), _) => (time, 0),
        (None, None) => (rest, 0),
        (None, Some(sign)) => {
            let east = time_of_day(&rest[sign + 1..])? as i64;
            (&rest[..sign], if rest[sign..].starts_with('+') { east } else { -east })
        }
    };
    let days = u64::try_from(days_from_civil(year as i32, month, day)?).ok()?;
    (days * DAY_MS + time_of_day(time)?).checked_add_signed(-offset_ms).map(Moment::At)
}

/// `08:00`, with seconds and their fraction or without: milliseconds of the day.
fn time_of_day(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
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
    Some(u64::from(hour * 3600 + minute * 60 + second) * 1000 + millis)
}

fn numbers(text: &str, between: char) -> Option<Vec<u32>> {
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?;
    text.split(between).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_times_or_so_long_ago() {
        for (text, ms) in [
            ("1970-01-02", DAY_MS),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("2026-01-01T00:00:00.25Z", 1_767_225_600_250),
            ("2026-01-01 00:01", 1_767_225_660_000),
            ("2026-01-01T02:01:00+02:00", 1_767_225_660_000),
            ("2025-12-31T19:01-05:00", 1_767_225_660_000),
        ] {
            assert_eq!(text.parse(), Ok(Moment::At(ms)), "{text}");
        }
        for (text, ms) in [("45s", 45_000), ("30m ago", 1_800_000), ("2h", 7_200_000), ("7d", 604_800_000)] {
            assert_eq!(text.parse(), Ok(Moment::Ago(ms)), "{text}");
        }
        assert_eq!(Moment::Ago(10).unix_ms(3), 0);
        assert_eq!("08:00".parse(), Ok(Moment::Clock(28_800_000)));
        assert_eq!(Moment::Clock(1_000).unix_ms(3 * DAY_MS + 1_000), 3 * DAY_MS + 1_000);
        assert_eq!(Moment::Clock(1_001).unix_ms(3 * DAY_MS + 1_000), 2 * DAY_MS + 1_001);
        for bad in [
            "",
            "d",
            "2026",
            "2026-02-30",
            "2026-01-01T24:00",
            "2026-01-01T00:00:00.",
            "+1d",
            "1:2-3",
            "2026-01-01T00:00+25:00",
            "25:00",
            "1970-01-01T00:00+01:00",
        ] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
