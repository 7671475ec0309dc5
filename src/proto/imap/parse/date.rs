//! Dates in commands.
//!
//! *Owns*: where a date begins and ends (rfc3501#9 `date`, `date-time`). *Promises*: what `parse` promises; a date that
//! no calendar has is refused. *Assumes*: nothing. *Never*: guesses a zone.

use super::lexer::Lexer;
use super::{Fault, Parsed};

const MALFORMED: Fault = Fault::Bad("A date is malformed");

/// `date`, with the space before it: days since 1970-01-01.
pub fn date(lexer: &mut Lexer) -> Parsed<i32> {
    lexer.space()?;
    let text = lexer.astring()?;
    parse_imap_date(std::str::from_utf8(&text).map_err(|_| MALFORMED)?).ok_or(MALFORMED)
}

/// `date-time`: milliseconds since 1970.
pub fn date_time(lexer: &mut Lexer) -> Parsed<i64> {
    let text = lexer.quoted()?;
    let seconds =
        parse_imap_date_time(std::str::from_utf8(&text).map_err(|_| MALFORMED)?).ok_or(MALFORMED)?;
    Ok(seconds * 1_000)
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn number(text: &str, digits_max: usize) -> Option<i32> {
    let digits =
        !text.is_empty() && text.len() <= digits_max && text.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn parse_imap_date(text: &str) -> Option<i32> {
    let mut fields = text.split('-');
    let day = number(fields.next()?, 2)?;
    let month = fields.next()?;
    let month = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(month))? as i32 + 1;
    let year = number(fields.next().filter(|year| year.len() == 4)?, 4)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
    if fields.next().is_some() || !(1..=last).contains(&day) || year == 0 {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468)
}

fn parse_imap_date_time(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(11)?;
    let days = parse_imap_date(day.strip_prefix(' ').unwrap_or(day))?;
    let (clock, zone) = rest.strip_prefix(' ')?.split_once(' ')?;
    let mut fields = clock.split(':').map(|field| number(field, 2).filter(|_| field.len() == 2));
    let (hour, minute, second) = (fields.next()??, fields.next()??, fields.next()??);
    let (sign, digits) = zone.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let zone = number(digits, 4).filter(|zone| digits.len() == 4 && zone % 100 < 60)?;
    if fields.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let minutes = hour * 60 + minute - sign * (zone / 100 * 60 + zone % 100);
    Some(i64::from(days) * 86_400 + i64::from(minutes) * 60 + i64::from(second.min(59)))
}
