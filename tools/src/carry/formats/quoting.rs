//! Lines that begin with `From `, and the line that separates messages in an mbox.
//!
//! *Owns*: quoting and its undoing, `From ` lines. *Promises*: with [`Quoting::Every`] what is quoted comes back as it
//! was. *Assumes*: lines are split by LF. *Never*: looks at more than one line.

use ringpost::log::moment;
use ringpost::proto::mime::date::{DateTime, days_from_civil, print_rfc5322};

/// Which lines get a `>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// mboxrd: those that begin with `From ` behind any number of `>`.
    Every,
    /// mboxo: those that begin with `From `.
    Plain,
}

impl Quoting {
    /// Whether a line is quoted when it is written.
    pub fn quotes(self, line: &[u8]) -> bool {
        let depth = depth(line);
        line[depth..].starts_with(b"From ") && (depth == 0 || self == Quoting::Every)
    }

    /// The line without what quoting added.
    pub fn unquoted(self, line: &[u8]) -> &[u8] {
        let depth = depth(line);
        let is_quoted = line[depth..].starts_with(b"From ") && depth > 0;
        if is_quoted && (depth == 1 || self == Quoting::Every) { &line[1..] } else { line }
    }
}

fn depth(line: &[u8]) -> usize {
    line.iter().take_while(|&&octet| octet == b'>').count()
}

/// The line before a message: whom it is from, and when it came, in UTC.
pub fn separator(sender: &str, internal_ms: u64) -> String {
    // `Fri, 21 Nov 1997 09:55:06 +0000` has the words of `Fri Nov 21 09:55:06 1997` in another order.
    let date = print_rfc5322(&DateTime::from_unix((internal_ms / 1000) as i64));
    let words: Vec<&str> = date.split_whitespace().collect();
    let sender = sender.split_whitespace().next().unwrap_or("MAILER-DAEMON");
    match words[..] {
        [weekday, day, month, year, clock, ..] => {
            format!("From {sender} {} {month} {day:>2} {clock} {year}\n", weekday.trim_end_matches(','))
        }
        _ => format!("From {sender} {}\n", moment(internal_ms)),
    }
}

/// The moment in such a line, milliseconds since 1970; a zone in numbers is heeded, one in letters taken for UTC.
pub fn separated_ms(line: &[u8]) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = String::from_utf8_lossy(line);
    let words: Vec<&str> = text.split_whitespace().skip(1).collect();
    let found = words.iter().enumerate().rev();
    let (at, month) =
        found.filter_map(|(at, word)| Some((at, MONTHS.iter().position(|m| m == word)?))).next()?;
    let day = words.get(at + 1)?.parse().ok()?;
    let mut clock = words.get(at + 2)?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute) = (clock.next()??, clock.next()??);
    let second = clock.next().unwrap_or(Some(0))?;
    let rest = &words[at + 3..];
    let year = rest.iter().find(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()))?;
    let zone = rest.iter().find_map(|word| {
        let (sign, digits) = (word.strip_prefix('-').map_or(1, |_| -1), word.strip_prefix(['+', '-'])?);
        let number: i64 = digits.parse().ok().filter(|_| digits.len() == 4)?;
        Some(sign * (number / 100 * 3600 + number % 100 * 60))
    });
    let days = days_from_civil(year.parse().ok()?, month as u32 + 1, day)?;
    let local = i64::from(days) * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from(local - zone.unwrap_or(0)).ok().map(|seconds| seconds * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_comes_back_but_for_what_mboxo_cannot_tell() {
        for line in
            [&b"From x"[..], b">From x", b">>From x", b"from x", b"From", b" From x", b"", b">", b"x From "]
        {
            let quoted = |quoting: Quoting| match quoting.quotes(line) {
                true => [b">", line].concat(),
                false => line.to_vec(),
            };
            assert_eq!(Quoting::Every.unquoted(&quoted(Quoting::Every)), line);
            let plain = quoted(Quoting::Plain);
            assert!(!plain.starts_with(b"From "));
            let lossy = line == b">From x";
            assert_eq!(Quoting::Plain.unquoted(&plain) == line, !lossy, "{line:?}");
        }
    }

    #[test]
    fn separators_are_read_back_in_all_their_forms() {
        for ms in [0, 951_782_400_000, 1_700_000_000_000] {
            let line = separator("a@b", ms);
            assert!(line.starts_with("From a@b ") && line.ends_with('\n'), "{line}");
            assert_eq!(separated_ms(line.as_bytes()), Some(ms), "{line}");
        }
        assert_eq!(separator("", 0), "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n");
        for (line, ms) in [
            ("From a@b Thu Jan  1 00:01 1970", Some(60_000)),
            ("From a@b  Thu Jan  1 01:00:00 MET 1970", Some(3_600_000)),
            ("From a@b Thu Jan 1 01:00:00 1970 +0100", Some(0)),
            ("From May Jan 2 00:00:00 1970 remote from x", Some(86_400_000)),
            ("From a@b", None),
            ("From a@b Thu Foo 1 00:00:00 1970", None),
        ] {
            assert_eq!(separated_ms(line.as_bytes()), ms, "{line}");
        }
    }
}
