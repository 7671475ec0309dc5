//! Mail as people have it, made from numbers: threads, dates out of order, words that are rare.
//!
//! *Owns*: what the `number`-th message is, and how many of the first `n` a search must find. *Promises*: the
//! same number gives the same octets on every server; each message has exactly the size asked for, unless its
//! header alone is larger. *Assumes*: nothing. *Never*: reads a clock or a random source.

use std::fmt::Write as _;

/// Messages of one thread, the first included.
const THREAD_LEN: u64 = 6;
/// One thread in so many has the rare word in its subject.
const SUBJECT_EVERY: u64 = 50;
/// One message in so many has the rare word in its text.
const TEXT_EVERY: u64 = 1_000;
/// One message in so many is flagged.
const FLAGGED_EVERY: u64 = 100;
/// Senders.
const PEOPLE: u64 = 997;
/// Wednesday, 1 January 2020, 00:00 UTC, seconds since 1970.
const BEGIN_S: u64 = 1_577_836_800;
/// Seconds between two messages on the average.
const STEP_S: u64 = 97;
/// Seconds by which a message's date may be off its place.
const JITTER_S: u64 = 7 * 86_400;

/// The word of [`Hits::Subject`].
pub const SUBJECT_WORD: &str = "quarterly";
/// The word of [`Hits::Text`].
pub const TEXT_WORD: &str = "zymurgy";

const WORDS: [&str; 64] = [
    "about",
    "after",
    "again",
    "agree",
    "along",
    "always",
    "answer",
    "arrive",
    "before",
    "better",
    "build",
    "change",
    "clear",
    "client",
    "close",
    "common",
    "could",
    "detail",
    "doubt",
    "early",
    "enough",
    "every",
    "figure",
    "first",
    "follow",
    "garden",
    "great",
    "house",
    "indeed",
    "known",
    "large",
    "later",
    "letter",
    "little",
    "matter",
    "meeting",
    "minute",
    "moment",
    "month",
    "morning",
    "number",
    "offer",
    "order",
    "other",
    "paper",
    "people",
    "place",
    "please",
    "point",
    "proposal",
    "question",
    "reason",
    "report",
    "result",
    "season",
    "second",
    "simple",
    "station",
    "table",
    "thanks",
    "travel",
    "update",
    "winter",
    "yesterday",
];

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What a search asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hits {
    /// Nothing has it.
    None,
    /// All messages.
    All,
    /// [`SUBJECT_WORD`] in the subject.
    Subject,
    /// [`TEXT_WORD`] in the text.
    Text,
    /// The flag.
    Flagged,
}

impl Hits {
    /// How many of the first `count` messages.
    pub fn among(self, count: u64) -> u64 {
        let every = |step: u64| count.div_ceil(step);
        match self {
            Hits::None => 0,
            Hits::All => count,
            Hits::Subject => {
                let round = THREAD_LEN * SUBJECT_EVERY;
                count / round * THREAD_LEN + (count % round).min(THREAD_LEN)
            }
            Hits::Text => every(TEXT_EVERY),
            Hits::Flagged => every(FLAGGED_EVERY),
        }
    }
}

/// A message to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Flags in parentheses, or nothing.
    pub flags: &'static str,
    /// INTERNALDATE as APPEND takes it (rfc3501#9).
    pub date_time: String,
    /// The octets.
    pub octets: Vec<u8>,
}

/// The `number`-th message, counted from 0, of about `bytes` octets.
pub fn message(number: u64, bytes: usize) -> Message {
    let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bf0_3635);
    let sent_s = BEGIN_S + number * STEP_S + dice.below(JITTER_S);
    let (thread, place) = (number / THREAD_LEN, number % THREAD_LEN);
    let mut text = String::with_capacity(bytes + 100);
    header(&mut text, number, sent_s, &mut dice);
    // Formatting into a String cannot fail.
    if thread.is_multiple_of(SUBJECT_EVERY) && place == 0 {
        text.push_str("Begin of the thread.\r\n");
    }
    if number.is_multiple_of(TEXT_EVERY) {
        let _ = write!(text, "There is {TEXT_WORD} in it.\r\n");
    }
    fill(&mut text, bytes, &mut dice);
    let flags = if number.is_multiple_of(FLAGGED_EVERY) { "(\\Flagged)" } else { "()" };
    // It came in a while after it was sent.
    let date_time = date_time(sent_s + dice.below(3_600));
    Message { flags, date_time, octets: text.into_bytes() }
}

fn header(text: &mut String, number: u64, sent_s: u64, dice: &mut Dice) {
    let (thread, place) = (number / THREAD_LEN, number % THREAD_LEN);
    let (sender, other) = (dice.below(PEOPLE), dice.below(PEOPLE));
    let mut topic = Dice(thread.wrapping_mul(0xd6e8_feb8_6659_fd93) ^ 0x0165_667b);
    let rare = if thread % SUBJECT_EVERY == 0 { SUBJECT_WORD } else { topic.word() };
    let reply = if place == 0 { "" } else { "Re: " };
    let _ = write!(
        text,
        "Received: from mx.example.net by mx.example.test; {}\r\nFrom: {} {} <user{sender}@example.net>\r\n\
         To: {} <user{other}@example.test>\r\nSubject: {reply}{} {rare} {} {thread}\r\nDate: {}\r\n\
         Message-ID: <{number}.{thread}@example.net>\r\n",
        rfc5322_date(sent_s + 5),
        capital(dice.word()),
        capital(dice.word()),
        capital(dice.word()),
        capital(topic.word()),
        topic.word(),
        rfc5322_date(sent_s),
    );
    if place > 0 {
        let first = thread * THREAD_LEN;
        let parent = first + dice.below(place);
        let _ = write!(
            text,
            "In-Reply-To: <{parent}.{thread}@example.net>\r\nReferences: <{first}.{thread}@example.net>"
        );
        if parent > first {
            let _ = write!(text, "\r\n <{parent}.{thread}@example.net>");
        }
        text.push_str("\r\n");
    }
    text.push_str("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
}

/// Lines of words up to the size, the last with its CRLF.
fn fill(text: &mut String, bytes: usize, dice: &mut Dice) {
    const LINE_BYTES: usize = 72;
    let mut column = 0;
    while text.len() + 20 < bytes {
        let word = dice.word();
        text.push_str(word);
        column += word.len() + 1;
        if column > LINE_BYTES {
            text.push_str("\r\n");
            column = 0;
        } else {
            text.push(' ');
        }
    }
    while text.len() + 2 < bytes {
        text.push('.');
    }
    text.push_str("\r\n");
}

/// A small generator: the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// Year, month (from 0), day (from 1), seconds of the day.
fn civil(unix_s: u64) -> (u64, usize, u64, u64) {
    let (mut days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    let is_leap =
        |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1, seconds)
}

fn rfc5322_date(unix_s: u64) -> String {
    let (year, month, day, seconds) = civil(unix_s);
    let weekday = DAYS[(unix_s / 86_400 % 7) as usize];
    format!("{weekday}, {day:02} {} {year} {} +0000", MONTHS[month], clock(seconds))
}

fn date_time(unix_s: u64) -> String {
    let (year, month, day, seconds) = civil(unix_s);
    format!("\"{day:02}-{}-{year} {} +0000\"", MONTHS[month], clock(seconds))
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_lines_proper() {
        for number in 0..2_000 {
            let Message { octets, .. } = message(number, 1_500);
            assert_eq!(octets.len(), 1_500);
            let text = String::from_utf8(octets).unwrap();
            assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
            assert!(text.lines().all(|line| line.len() <= 200), "{text}");
        }
        assert!(message(7, 0).octets.ends_with(b"\r\n"));
        assert_eq!(message(7, 2_000), message(7, 2_000));
    }

    #[test]
    fn searches_must_find_what_is_there() {
        for count in [1, 5, 6, 7, 299, 300, 301, 2_345] {
            let all: Vec<Message> = (0..count).map(|number| message(number, 1_000)).collect();
            let texts: Vec<String> =
                all.iter().map(|message| String::from_utf8(message.octets.clone()).unwrap()).collect();
            let with = |word: &str| texts.iter().filter(|text| text.contains(word)).count() as u64;
            assert_eq!(with(SUBJECT_WORD), Hits::Subject.among(count), "{count}");
            assert_eq!(with(TEXT_WORD), Hits::Text.among(count), "{count}");
            assert_eq!(with("xylophonist"), Hits::None.among(count));
            let flagged = all.iter().filter(|message| message.flags.contains("Flagged")).count() as u64;
            assert_eq!(flagged, Hits::Flagged.among(count));
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(rfc5322_date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322_date(951_826_154), "Tue, 29 Feb 2000 12:09:14 +0000");
        assert_eq!(date_time(1_609_459_199), "\"31-Dec-2020 23:59:59 +0000\"");
        assert_eq!(rfc5322_date(BEGIN_S), "Wed, 01 Jan 2020 00:00:00 +0000");
    }
}
