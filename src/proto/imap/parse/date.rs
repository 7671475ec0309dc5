//! Dates in commands.
//!
//! *Owns*: where a date begins and ends (rfc3501#9 `date`, `date-time`). *Promises*: what `parse` promises.
//! *Assumes*: `mime::date` refuses what no calendar has. *Never*: computes with dates.

use super::lexer::Lexer;
use super::{Fault, Parsed};
use crate::proto::mime::date::{Days, parse_imap_date, parse_imap_date_time};

const MALFORMED: Fault = Fault::Bad("A date is malformed");

/// `date`, with the space before it: days since 1970-01-01.
pub fn date(lexer: &mut Lexer) -> Parsed<Days> {
    lexer.space()?;
    let text = lexer.astring()?;
    parse_imap_date(std::str::from_utf8(&text).map_err(|_| MALFORMED)?).ok_or(MALFORMED)
}

/// `date-time`: milliseconds since 1970.
pub fn date_time(lexer: &mut Lexer) -> Parsed<i64> {
    let text = lexer.quoted()?;
    let date = parse_imap_date_time(std::str::from_utf8(&text).map_err(|_| MALFORMED)?).ok_or(MALFORMED)?;
    Ok(date.unix_seconds() * 1_000)
}
