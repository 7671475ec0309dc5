//! Limits as administrators write them.
//!
//! *Owns*: `5G`, `100`, `none`. *Promises*: what is set is never less than what was meant: octets are rounded up
//! to the units of rfc9208#5.1. *Assumes*: nothing. *Never*: guesses a unit.

use crate::shard::admin::QuotaChange;

/// Octets of a unit of storage.
const STORAGE_UNIT: u64 = 1024;
/// The greatest limit there is: 63 bits (rfc9208#7).
const LIMIT_MAX: u64 = i64::MAX as u64;

/// The change that these texts mean; none if nothing is to change.
pub fn change(
    storage: Option<&str>,
    messages: Option<&str>,
    mailboxes: Option<&str>,
) -> Result<Option<QuotaChange>, String> {
    if storage.is_none() && messages.is_none() && mailboxes.is_none() {
        return Ok(None);
    }
    let storage_kib = storage.map(|text| limit(text, size)).transpose()?;
    let messages = messages.map(|text| limit(text, count)).transpose()?;
    let mailboxes = mailboxes.map(|text| limit(text, count)).transpose()?;
    Ok(Some(QuotaChange { storage_kib, messages, mailboxes }))
}

fn limit(text: &str, read: fn(&str) -> Option<u64>) -> Result<Option<u64>, String> {
    if text == "none" {
        return Ok(None);
    }
    let limit = read(text).filter(|&limit| limit <= LIMIT_MAX);
    limit.map(Some).ok_or(format!("{text:?} is no limit: give a number (for storage 512M, 5G) or none"))
}

fn count(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Octets, or with K, M, G or T their multiples by 1,024, as units of storage.
fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.char_indices().last()? {
        (at, unit) if unit.is_ascii_alphabetic() => {
            let power = "KMGT".find(unit.to_ascii_uppercase())? as u32 + 1;
            (&text[..at], STORAGE_UNIT.pow(power))
        }
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor).map(|octets| octets.div_ceil(STORAGE_UNIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_are_rounded_up() {
        for (text, units) in [("1", 1), ("1024", 1), ("1025", 2), ("3k", 3), ("5G", 5 << 20), ("1T", 1 << 30)]
        {
            let change = change(Some(text), None, None).unwrap().unwrap();
            assert_eq!((change.storage_kib, change.messages), (Some(Some(units)), None), "{text}");
        }
        let none = change(Some("none"), Some("7"), Some("0")).unwrap().unwrap();
        assert_eq!(
            (none.storage_kib, none.messages, none.mailboxes),
            (Some(None), Some(Some(7)), Some(Some(0)))
        );
        assert_eq!(change(None, None, None), Ok(None));
        for bad in ["", "x", "-1", "5X", "G", "1.5G", "99999999T", "99999999999999999999"] {
            assert!(change(Some(bad), None, None).is_err(), "{bad}");
            assert!(change(None, Some(bad), None).is_err(), "{bad}");
        }
    }
}
