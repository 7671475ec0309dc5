//! Dates: those of message headers and those of IMAP.
//!
//! *Owns*: reading rfc5322#3.3 dates with the obsolete forms, reading and writing IMAP `date` and
//! `date-time`.
//! *Promises*: exact for every day from year 1 to 9999; what is no date is none.
//! *Assumes*: the caller brings the time; here is no clock. *Never*: guesses a local time zone.

/// Days since 1970-01-01.
pub type Days = i32;

/// A date with time as written, in its own zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// The day as written, whatever the zone (what SENTON compares, rfc3501#6.4.4).
    pub days: Days,
    /// Seconds since midnight; 60 in the last minute for a leap second is counted as 59.
    pub second_of_day: u32,
    /// Minutes east of Greenwich.
    pub zone_minutes: i32,
}

impl DateTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn unix_seconds(&self) -> i64 {
        i64::from(self.days) * 86_400 + i64::from(self.second_of_day) - i64::from(self.zone_minutes) * 60
    }

    /// The moment `unix_seconds` as seen in UTC; years are kept within 1..=9999.
    pub fn from_unix(unix_seconds: i64) -> DateTime {
        let days = unix_seconds.div_euclid(86_400).clamp(i64::from(DAYS_MIN), i64::from(DAYS_MAX));
        DateTime {
            days: days as Days,
            second_of_day: unix_seconds.rem_euclid(86_400) as u32,
            zone_minutes: 0,
        }
    }

    /// Year, month (1..=12) and day as written.
    pub fn civil(&self) -> (i32, u32, u32) {
        civil_from_days(self.days)
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAYS_MIN: Days = -719_162;
const DAYS_MAX: Days = 2_932_896;

/// Days since 1970-01-01 of a day of the Gregorian calendar; none when there is no such day. Years 1..=9999.
pub fn days_from_civil(year: i32, month: u32, day: u32) -> Option<Days> {
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) {
        return None;
    }
    // Years that begin in March, so that the leap day is the last one.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let shifted_month = ((month + 9) % 12) as i32;
    let day_of_year = (153 * shifted_month + 2) / 5 + day as i32 - 1;
    let leap_days = shifted_year.div_euclid(4) - shifted_year.div_euclid(100) + shifted_year.div_euclid(400);
    Some(shifted_year * 365 + leap_days + day_of_year - 719_468)
}

/// The inverse of [`days_from_civil`].
pub fn civil_from_days(days: Days) -> (i32, u32, u32) {
    let shifted = days.clamp(DAYS_MIN, DAYS_MAX) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = ((shifted_month + 2) % 12 + 1) as u32;
    let year = year_of_era + era * 400 + i32::from(month <= 2);
    (year, month, day)
}

fn month_days(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn month_number(name: &str) -> Option<u32> {
    let known = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    Some(known as u32 + 1)
}

/// Reads the value of a Date field (rfc5322#3.3, #4.3). Comments are skipped, the weekday is not checked, a
/// missing or unknown zone counts as UTC (rfc5322#4.3: as `-0000`).
pub fn parse_rfc5322(value: &[u8]) -> Option<DateTime> {
    let text = without_comments(value)?;
    let mut words = text.split([' ', '\t', '\r', '\n', ',']).filter(|word| !word.is_empty()).peekable();
    if words.peek()?.starts_with(|first: char| first.is_ascii_alphabetic()) {
        words.next();
    }
    let day = number(words.next()?, 2)?;
    let month = month_number(words.next()?.get(..3)?)?;
    let year = year(words.next()?)?;
    // `10 : 20 : 30` is allowed by obs-time-of-day, so the time may be several words.
    let mut time = String::new();
    while let Some(word) = words.next_if(|word| word.starts_with(|c: char| c.is_ascii_digit() || c == ':')) {
        time.push_str(word);
    }
    let days = days_from_civil(year, month, day)?;
    let second_of_day = if time.is_empty() { 0 } else { clock(&time)? };
    let zone_minutes = words.next().map_or(0, zone);
    Some(DateTime { days, second_of_day, zone_minutes })
}

/// The ASCII text outside of comments; none when it is unreasonably long for a date.
fn without_comments(value: &[u8]) -> Option<String> {
    const DATE_BYTES_MAX: usize = 1_000;
    let mut depth = 0usize;
    let mut text = String::new();
    for &byte in value.get(..value.len().min(DATE_BYTES_MAX))? {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => text.push(if byte.is_ascii() { char::from(byte) } else { '?' }),
            _ => {}
        }
    }
    Some(text)
}

/// 1 to `digits_max` digits and nothing else.
fn number(text: &str, digits_max: usize) -> Option<u32> {
    let digits =
        !text.is_empty() && text.len() <= digits_max && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// Two digits are 2000..2049 or 1950..1999, three digits count from 1900 (rfc5322#4.3).
fn year(text: &str) -> Option<i32> {
    let number = number(text, 4)? as i32;
    Some(match (text.len(), number) {
        (2, 0..=49) => number + 2000,
        (2 | 3, _) => number + 1900,
        _ => number,
    })
}

/// `hh:mm` or `hh:mm:ss`.
fn clock(text: &str) -> Option<u32> {
    let mut fields = text.split(':');
    let hour = number(fields.next()?, 2)?;
    let minute = number(fields.next()?, 2)?;
    let second = fields.next().map_or(Some(0), |text| number(text, 2))?;
    let good = fields.next().is_none() && hour < 24 && minute < 60 && second <= 60;
    good.then(|| hour * 3_600 + minute * 60 + second.min(59))
}

/// Minutes east of Greenwich (rfc5322#3.3 and the names of #4.3); unknown names count as UTC.
fn zone(text: &str) -> i32 {
    let numeric = numeric_zone(text);
    if let Some(minutes) = numeric {
        return minutes;
    }
    let hours = match text.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => 0,
    };
    hours * 60
}

/// `+hhmm` or `-hhmm`.
fn numeric_zone(text: &str) -> Option<i32> {
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text.get(1..5).filter(|_| text.len() == 5)?;
    let number = number(digits, 4)? as i32;
    (number % 100 < 60).then_some(sign * (number / 100 * 60 + number % 100))
}

/// The day in the Date field of a header, as written (rfc3501#6.4.4: SENTON and its kin disregard time and
/// zone).
pub fn sent_date(header: &[u8]) -> Option<Days> {
    let field = super::header::find(header, b"Date")?;
    parse_rfc5322(field.value).map(|date| date.days)
}

/// Reads an IMAP `date-text`, `1-Feb-1994` (rfc3501#9); quotes are the caller's.
pub fn parse_imap_date(text: &str) -> Option<Days> {
    let mut fields = text.split('-');
    let day = number(fields.next()?, 2)?;
    let month = month_number(fields.next()?)?;
    let year = fields.next().filter(|year| year.len() == 4)?;
    if fields.next().is_some() {
        return None;
    }
    days_from_civil(number(year, 4)? as i32, month, day)
}

/// Reads an IMAP `date-time`, `17-Jul-1996 02:44:25 -0700` with a space or digit first (rfc3501#9); quotes
/// are the caller's.
pub fn parse_imap_date_time(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_at_checked(11)?;
    let time = time.strip_prefix(' ')?;
    let (clock_text, zone_text) = time.split_at_checked(8)?;
    let days = parse_imap_date(day.strip_prefix(' ').unwrap_or(day))?;
    let second_of_day = clock(clock_text)?;
    let zone_minutes = numeric_zone(zone_text.strip_prefix(' ')?)?;
    Some(DateTime { days, second_of_day, zone_minutes })
}

/// An IMAP `date-time` without its quotes, 26 octets.
pub fn print_imap_date_time(date: &DateTime) -> String {
    let (year, month, day) = date.civil();
    let month = MONTHS[month as usize - 1];
    format!("{day:>2}-{month}-{year:04} {} {}", print_clock(date), print_zone(date))
}

/// A date as header fields carry it, `Fri, 21 Nov 1997 09:55:06 -0600` (rfc5322#3.3).
pub fn print_rfc5322(date: &DateTime) -> String {
    let (year, month, day) = date.civil();
    let weekday = WEEKDAYS[(date.days + 4).rem_euclid(7) as usize];
    let month = MONTHS[month as usize - 1];
    format!("{weekday}, {day} {month} {year:04} {} {}", print_clock(date), print_zone(date))
}

fn print_clock(date: &DateTime) -> String {
    let second = date.second_of_day;
    format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

fn print_zone(date: &DateTime) -> String {
    let sign = if date.zone_minutes < 0 { '-' } else { '+' };
    let minutes = date.zone_minutes.abs();
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(value: &str) -> Option<i64> {
        parse_rfc5322(value.as_bytes()).map(|date| date.unix_seconds())
    }

    #[test]
    fn days_and_calendar_agree_for_every_day() {
        assert_eq!(days_from_civil(1970, 1, 1), Some(0));
        assert_eq!(days_from_civil(1, 1, 1), Some(DAYS_MIN));
        assert_eq!(days_from_civil(9999, 12, 31), Some(DAYS_MAX));
        for days in DAYS_MIN..=DAYS_MAX {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), Some(days));
        }
        assert_eq!(days_from_civil(1900, 2, 29), None);
        assert_eq!(days_from_civil(2000, 2, 30), None);
    }

    #[test]
    fn header_dates_new_and_old() {
        assert_eq!(unix("Fri, 21 Nov 1997 09:55:06 -0600"), Some(880_127_706));
        assert_eq!(
            unix("Thu,\r\n      13\r\n        Feb\r\n  1969\r\n   23:32\r\n   -0330 (Newfoundland Time)"),
            Some(-27_723_480)
        );
        assert_eq!(unix("21 Nov 97 09:55:06 GMT"), Some(880_106_106));
        assert_eq!(unix("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600"), Some(880_127_706));
        assert_eq!(unix("21 Nov 1997 09:55:06 PST"), Some(880_106_106 + 8 * 3_600));
        assert_eq!(unix("21 Nov 1997 09:55:06 Z"), Some(880_106_106));
        assert_eq!(unix("1 Jan 100 00:00"), Some(946_684_800));
        assert_eq!(unix("31 December 2016 23:59:60 +0000"), Some(1_483_228_799));
        assert_eq!(unix("5 May 2005"), Some(1_115_251_200));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for value in [
            "",
            "Fri",
            "yesterday",
            "31 Feb 2000 00:00",
            "1 Foo 2000",
            "1 Jan 2000 25:00",
            "1 Jan 20001",
            "1 J\u{e4}n 2000",
            "(1 Jan 2000",
        ] {
            assert_eq!(unix(value), None, "{value}");
        }
    }

    #[test]
    fn the_sent_day_is_the_day_as_written() {
        let header = b"Subject: x\r\nDate: Tue, 1 Jan 2019 00:30:00 +0800\r\n\r\n";
        assert_eq!(sent_date(header), days_from_civil(2019, 1, 1));
        assert_eq!(sent_date(b"Subject: x\r\n\r\n"), None);
    }

    #[test]
    fn imap_dates_read_and_print() {
        let text = "17-Jul-1996 02:44:25 -0700";
        let date = parse_imap_date_time(text).unwrap();
        assert_eq!(date.unix_seconds(), 837_596_665);
        assert_eq!(print_imap_date_time(&date), text);
        let early = parse_imap_date_time(" 1-jan-0001 00:00:00 +0000").unwrap();
        assert_eq!(print_imap_date_time(&early), " 1-Jan-0001 00:00:00 +0000");
        assert_eq!(parse_imap_date("1-Feb-1994"), days_from_civil(1994, 2, 1));
        for bad in ["1-Feb-94", "1-Feb-1994-", "001-Feb-1994", "30-Feb-1994", "1-Feb", "\u{fc}-Feb-1994"] {
            assert_eq!(parse_imap_date(bad), None, "{bad}");
        }
        for bad in
            ["17-Jul-1996 02:44:25", "17-Jul-1996 02:44:25 0700", "7-Jul-1996 02:44:25 -0700", "\u{fc}"]
        {
            assert_eq!(parse_imap_date_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_print_in_utc() {
        let date = DateTime::from_unix(880_127_706);
        assert_eq!(print_rfc5322(&date), "Fri, 21 Nov 1997 15:55:06 +0000");
        assert_eq!(print_imap_date_time(&DateTime::from_unix(-1)), "31-Dec-1969 23:59:59 +0000");
    }
}
