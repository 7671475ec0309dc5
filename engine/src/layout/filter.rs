//! The text filter: which messages cannot hold a search string.
//!
//! *Owns*: which runs of characters are noted, how, and the stored form. *Promises*: no false negative, ever: a
//! string that is a substring of one noted text has all its grams in the filter. A filter takes the size that its
//! text needs, up to `FILTER_BITS_MAX`. *Assumes*: texts and needles are folded by the same rules.
//! *Never*: judges where a text occurs; a hit means "look".
//!
//! A gram is three characters, or two where both are beyond U+07FF (Chinese, Japanese, Korean: two of their
//! characters tell more than three Latin letters). What a gram is depends on nothing before it, so the
//! grams of a substring are grams of the text.
//!
//! ```text
//!  text ─► grams ─► hash ─► one bit in a table of FILTER_BITS_MAX ─► upper half over lower half, again and again,
//!                                                                    while fewer than 1 bit in 3 would be set
//! ```
//!
//! One hash and about one bit in four: a message without the needle passes with a quarter to the power of the grams
//! that it lacks.

use crate::limits::{FILTER_BITS_MAX, FILTER_NEEDLE_GRAMS_MAX, FILTER_WAITING_BYTES_MAX};

/// Words of the table that gathers bits.
const TABLE_WORDS: usize = FILTER_BITS_MAX / 64;
/// A hash shifted by this is the number of its word.
const WORD_SHIFT: u32 = 64 - TABLE_WORDS.ilog2();
/// Each bit of a word.
static BITS: [u64; 64] = {
    let mut bits = [1; 64];
    let mut nth = 1;
    while nth < bits.len() {
        bits[nth] = bits[nth - 1] << 1;
        nth += 1;
    }
    bits
};
/// Words of a table that has room for the texts that wait.
const WAITING_WORDS: usize =
    (FILTER_WAITING_BYTES_MAX * BITS_PER_HUNDRED_GRAMS / 100).next_power_of_two() / 64;
/// A stored filter has room for this many bits where the text has 100 grams: no more than 32 in a hundred are set.
const BITS_PER_HUNDRED_GRAMS: usize = 263;
/// As many bits in a hundred are set at most in a filter that could have been larger.
const SET_PERCENT_MAX: usize = 32;
/// With more grams than this, as many as there are bits, nearly everything would pass: no filter is stored.
const USEFUL_GRAMS_MAX: usize = FILTER_BITS_MAX * 3 / 4;
/// From here on a character counts as half a gram.
const WIDE_FROM: u32 = 0x800;

/// A gram's hash, of which the highest bits say where its bit is in the largest table; smaller tables take the lower
/// ones of those.
fn gram(first: u32, second: u32, third: u32) -> u64 {
    if (first | second | third) < 0x80 {
        return ascii_gram(u64::from(first << 8 | second << 16 | third << 24));
    }
    // Three scalar values have 63 bits. One product alone would leave neighbouring characters on a lattice.
    let packed = u64::from(first) | u64::from(second) << 21 | u64::from(third) << 42;
    let mixed = packed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// [`gram`] of three ASCII characters, an octet each, from the second octet on: most of all mail. The product's upper
/// bits depend on all of the others.
fn ascii_gram(window: u64) -> u64 {
    (window & 0xFFFF_FF00).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Where the bit of a gram of this hash is in the largest table.
fn place(hash: u64) -> u32 {
    (hash >> (64 - FILTER_BITS_MAX.ilog2())) as u32
}

/// Splits a text that comes in pieces into grams.
#[derive(Clone, Debug, Default)]
struct Grams {
    /// The two characters before, 0 for none: a NUL in a text only makes grams that no needle has.
    before: [u32; 2],
    /// How many of them there are.
    known: u8,
}

impl Grams {
    /// Calls `note` with the hash of each gram that ends in `text`.
    fn push(&mut self, text: &str, mut note: impl FnMut(u64)) {
        let [mut first, mut second] = self.before;
        let mut known = self.known;
        let mut at = 0;
        while let Some(start) = text[at..].chars().next() {
            if start.is_ascii() && at >= 2 && (first | second) < 0x80 {
                // The rule for most mail: a run of ASCII, the two characters before it in the same piece.
                let octets = text.as_bytes();
                let run = ascii_len(&octets[at..]);
                ascii_grams(&octets[at - 2..at + run], &mut note);
                at += run;
                [first, second] = [octets[at - 2], octets[at - 1]].map(u32::from);
                continue;
            }
            let third = u32::from(start);
            let wide_pair = |a, b| a >= WIDE_FROM && b >= WIDE_FROM;
            if known >= 1 && wide_pair(second, third) {
                note(gram(second, third, 0));
            }
            if known == 2 && !wide_pair(first, second) {
                note(gram(first, second, third));
            }
            (first, second) = (second, third);
            known = (known + 1).min(2);
            at += start.len_utf8();
        }
        self.before = [first, second];
        self.known = known;
    }
}

/// How many octets at the start are ASCII.
fn ascii_len(octets: &[u8]) -> usize {
    let blocks = octets.chunks_exact(16).take_while(|block| block.is_ascii()).count();
    let rest = &octets[16 * blocks..];
    16 * blocks + rest.iter().take_while(|octet| octet.is_ascii()).count()
}

/// Calls `note` with the hash of each gram of ASCII text. Eight octets, which are six grams, are read at once where
/// there are as many.
fn ascii_grams(text: &[u8], note: &mut impl FnMut(u64)) {
    let mut rest = text;
    while let Some(eight) = rest.first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        for window in [eight << 8, eight, eight >> 8, eight >> 16, eight >> 24, eight >> 32] {
            note(ascii_gram(window));
        }
        rest = &rest[6..];
    }
    for three in rest.windows(3) {
        note(ascii_gram(u64::from(u32::from_le_bytes([0, three[0], three[1], three[2]]))));
    }
}

/// Gathers the grams of one message's texts.
///
/// The table has the size that all texts need at most; as long as they are few octets they only wait, and a small table
/// is enough for them in the end.
#[derive(Debug, Default)]
pub struct FilterBuilder {
    /// Texts that are not noted yet, and behind each but the last one the end of it.
    waiting: String,
    waiting_ends: Vec<u16>,
    /// None while all texts wait.
    table: Option<Box<[u64; TABLE_WORDS]>>,
    /// Octets taken: no fewer than grams.
    octets: usize,
    grams: Grams,
}

impl FilterBuilder {
    /// Nothing noted yet.
    pub fn new() -> FilterBuilder {
        FilterBuilder::default()
    }

    /// Notes the next piece of a folded text; grams may span pieces.
    pub fn push(&mut self, folded: &str) {
        self.octets = self.octets.saturating_add(folded.len());
        if self.table.is_none() && self.octets <= FILTER_WAITING_BYTES_MAX {
            return self.waiting.push_str(folded);
        }
        let table = self.table.get_or_insert_with(|| {
            let mut table = Box::new([0; TABLE_WORDS]);
            note_waiting(&self.waiting, &self.waiting_ends, &mut self.grams, &mut table[..]);
            (self.waiting, self.waiting_ends) = Default::default();
            table
        });
        note_text(folded, &mut self.grams, &mut table[..]);
    }

    /// The text ends; what comes next is another one.
    pub fn end_text(&mut self) {
        self.grams = Grams::default();
        let end = self.waiting.len() as u16;
        if self.table.is_none() && self.waiting_ends.last().copied().unwrap_or(0) < end {
            self.waiting_ends.push(end);
        }
    }

    /// The stored form; empty when so much is set that it would be of no use.
    pub fn finish(mut self) -> Vec<u8> {
        // What is large enough for every octet to be a gram of its own needs no counting.
        let room = self.octets.min(FILTER_BITS_MAX) * BITS_PER_HUNDRED_GRAMS / 100;
        let words = room.next_power_of_two().clamp(64, FILTER_BITS_MAX) / 64;
        let Some(mut table) = self.table else {
            let mut table = [0; WAITING_WORDS];
            let table = &mut table[..words];
            note_waiting(&self.waiting, &self.waiting_ends, &mut self.grams, table);
            return stored(table);
        };
        if self.octets > USEFUL_GRAMS_MAX && bits_set(&table[..]) > USEFUL_GRAMS_MAX {
            return Vec::new();
        }
        let (first, rest) = table.split_at_mut(words);
        rest.chunks_exact(words).for_each(|part| lay_over(first, part));
        stored(first)
    }
}

/// Notes texts that have waited in a table, whose length is a power of two. Leaves in `grams` what the last one, which
/// may go on, has begun.
fn note_waiting(texts: &str, ends: &[u16], grams: &mut Grams, table: &mut [u64]) {
    let mut start = 0;
    for end in ends.iter().map(|&end| usize::from(end)).chain([texts.len()]) {
        *grams = Grams::default();
        note_text(&texts[start..end], grams, table);
        start = end;
    }
}

fn note_text(text: &str, grams: &mut Grams, table: &mut [u64]) {
    if let Ok(table) = <&mut [u64; TABLE_WORDS]>::try_from(&mut *table) {
        // The words' numbers are the highest bits of the places. A table of bits costs less than shifting them there.
        return grams.push(text, |hash| {
            table[(hash >> WORD_SHIFT) as usize % TABLE_WORDS] |= BITS[place(hash) as usize % 64];
        });
    }
    let mask = table.len() - 1;
    grams.push(text, |hash| {
        table[(hash >> WORD_SHIFT) as usize & mask] |= BITS[place(hash) as usize % 64];
    });
}

/// A table as it is stored: folded while little is set in it.
fn stored(table: &mut [u64]) -> Vec<u8> {
    let mut words = table.len();
    while words > 1 {
        let half = words / 2;
        let (lower, upper) = table[..words].split_at_mut(half);
        let set =
            lower.iter().zip(&*upper).map(|(low, high)| (low | high).count_ones() as usize).sum::<usize>();
        if set * 100 > 64 * half * SET_PERCENT_MAX {
            break;
        }
        lay_over(lower, upper);
        words = half;
    }
    let mut stored = Vec::with_capacity(8 * words);
    for word in &table[..words] {
        stored.extend_from_slice(&word.to_le_bytes());
    }
    stored
}

fn bits_set(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// Sets in `words` what is set in `more`, which is as long.
fn lay_over(words: &mut [u64], more: &[u64]) {
    for (word, more) in words.iter_mut().zip(more) {
        *word |= more;
    }
}

/// A search string made ready: its grams, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needle {
    grams: Vec<u32>,
}

impl Needle {
    /// Of a folded string. Of a long one the first `FILTER_NEEDLE_GRAMS_MAX` grams are asked.
    pub fn new(folded: &str) -> Needle {
        let mut grams = Vec::new();
        Grams::default().push(folded, |hash| {
            let gram = place(hash);
            if grams.len() < FILTER_NEEDLE_GRAMS_MAX && !grams.contains(&gram) {
                grams.push(gram);
            }
        });
        Needle { grams }
    }

    /// Whether it is too short to be looked up: every message is a candidate.
    pub fn is_blind(&self) -> bool {
        self.grams.is_empty()
    }

    /// The same as [`Filter::might_contain`] of many filters: leaves in `kept` the places of those that may contain
    /// it, ascending. A gram is asked of all before the next one is: what is not in the processor's cache is then
    /// waited for together.
    pub fn sift(&self, filters: &[Filter<'_>], kept: &mut Vec<u32>) {
        kept.clear();
        kept.extend(0..filters.len() as u32);
        for &gram in &self.grams {
            let mut count = 0;
            for at in 0..kept.len() {
                let place = kept[at];
                // No branch on what is read, so that nothing waits for it.
                kept[count] = place;
                count += usize::from(filters[place as usize].has(gram));
            }
            kept.truncate(count);
        }
    }
}

/// A stored filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    bits: &'a [u8],
}

impl<'a> Filter<'a> {
    /// Of stored octets; none when their number cannot be.
    pub(super) fn new(bits: &'a [u8]) -> Option<Filter<'a>> {
        let good = bits.is_empty() || (bits.len().is_power_of_two() && bits.len() <= FILTER_BITS_MAX / 8);
        good.then_some(Filter { bits })
    }

    /// The stored octets.
    pub fn octets(&self) -> &'a [u8] {
        self.bits
    }

    /// The filter that lets everything pass.
    pub const NONE: Filter<'static> = Filter { bits: &[] };

    /// Whether the message's text may hold the needle; false is certain. True for a message without a filter and
    /// for a needle without grams.
    pub fn might_contain(&self, needle: &Needle) -> bool {
        needle.grams.iter().all(|&gram| self.has(gram))
    }

    fn has(&self, gram: u32) -> bool {
        let bit = gram as usize & (self.bits.len() * 8).wrapping_sub(1);
        self.bits.get(bit / 8).is_none_or(|octet| octet >> (bit % 8) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter_of(texts: &[&str]) -> Vec<u8> {
        let mut builder = FilterBuilder::new();
        for text in texts {
            // Cut anywhere, it is the same text.
            for (at, _) in text.char_indices() {
                let next = text[at..].chars().next().map_or(0, char::len_utf8);
                builder.push(&text[at..at + next]);
            }
            builder.end_text();
        }
        builder.finish()
    }

    #[test]
    fn every_substring_is_found() {
        let text =
            "PLAIN \u{395}\u{3bb}\u{3bb} \u{6771}\u{4eac}\u{90fd}a\u{6771}bc\u{1f600}\u{1f601}x\u{301}y \0z";
        let stored = filter_of(&[text]);
        let filter = Filter::new(&stored).unwrap();
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        for (nth, &start) in places.iter().enumerate() {
            for &end in &places[nth..] {
                assert!(filter.might_contain(&Needle::new(&text[start..end])), "{:?}", &text[start..end]);
            }
        }
    }

    #[test]
    fn other_strings_are_told_apart() {
        let stored = filter_of(&["THE QUICK BROWN FOX", "JUMPS OVER \u{6771}\u{4eac}"]);
        let filter = Filter::new(&stored).unwrap();
        for absent in ["LAZY DOG", "BROWNIES", "\u{5317}\u{4eac}\u{5927}\u{5b66}", "FOXJUMPS OVER"] {
            assert!(!filter.might_contain(&Needle::new(absent)), "{absent}");
        }
    }

    #[test]
    fn many_filters_are_sifted_as_one_by_one() {
        let texts = ["THE QUICK", "QUICK", "THE QUIET", "", "BROWN QUICKLY THE"];
        let stored: Vec<Vec<u8>> = texts.iter().map(|text| filter_of(&[text])).collect();
        let mut filters: Vec<Filter<'_>> = stored.iter().filter_map(|bits| Filter::new(bits)).collect();
        filters.push(Filter::NONE);
        let mut kept = vec![7];
        for text in ["QUICK", "THE QUI", "QUIET", "NOWHERE", "QU", ""] {
            let needle = Needle::new(text);
            needle.sift(&filters, &mut kept);
            let one_by_one = (0..6).filter(|&at| filters[at as usize].might_contain(&needle));
            assert_eq!(kept, one_by_one.collect::<Vec<u32>>(), "{text}");
        }
        Needle::new("QUICK").sift(&filters, &mut kept);
        assert_eq!(kept, [0, 1, 4, 5]);
    }

    #[test]
    fn pieces_and_the_whole_give_the_same_filter() {
        let text = "ABCDEF \u{e9}\u{6771}\u{4eac}GH".repeat(3);
        let mut whole = FilterBuilder::new();
        whole.push(&text);
        assert_eq!(whole.finish(), filter_of(&[&text]));
    }

    #[test]
    fn texts_that_have_waited_give_the_same_filter() {
        for total in
            [FILTER_WAITING_BYTES_MAX - 500, FILTER_WAITING_BYTES_MAX, FILTER_WAITING_BYTES_MAX + 5_000]
        {
            let (mut builder, mut octets, mut number) = (FilterBuilder::new(), 0, 0u32);
            let mut table = Box::new([0; TABLE_WORDS]);
            while octets < total {
                let text = format!("TEXT {number} \u{6771}\u{4eac} {}", number.wrapping_mul(0x9E37_79B9));
                number += 1;
                octets += text.len();
                let (first, second) = text.split_at(3);
                builder.push(first);
                builder.push(second);
                builder.end_text();
                builder.end_text();
                note_text(&text, &mut Grams::default(), &mut table[..]);
            }
            let never_waited = FilterBuilder { table: Some(table), octets, ..FilterBuilder::new() };
            assert_eq!(builder.finish(), never_waited.finish(), "{total}");
        }
    }

    #[test]
    fn short_needles_and_absent_filters_let_everything_pass() {
        assert!(
            Needle::new("AB").is_blind() && Needle::new("").is_blind() && Needle::new("\u{6771}").is_blind()
        );
        assert!(!Needle::new("ABC").is_blind() && !Needle::new("\u{6771}\u{4eac}").is_blind());
        let stored = filter_of(&["X"]);
        assert!(Filter::new(&stored).unwrap().might_contain(&Needle::new("AB")));
        assert!(Filter::new(&[]).unwrap().might_contain(&Needle::new("ABC")));
        assert_eq!(Filter::new(&[0; 3]), None);
        assert_eq!(Filter::new(&vec![0; FILTER_BITS_MAX / 4]), None);
    }

    #[test]
    fn the_size_follows_the_text() {
        let mut state = 1u64;
        let mut text_of = |count: usize| -> String {
            let mut text = String::new();
            for _ in 0..count {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push(char::from(b'A' + (state >> 59) as u8 % 26));
            }
            text
        };
        let small = filter_of(&[&text_of(100)]);
        let large = filter_of(&[&text_of(10_000)]);
        assert!((32..=64).contains(&small.len()), "{}", small.len());
        assert!((2_048..=4_096).contains(&large.len()), "{}", large.len());
        let density = |bits: &[u8]| {
            bits.iter().map(|octet| octet.count_ones()).sum::<u32>() as usize * 100 / (8 * bits.len())
        };
        assert!((15..=33).contains(&density(&large)), "{}", density(&large));
    }

    #[test]
    fn a_text_of_everything_has_no_filter() {
        let mut builder = FilterBuilder::new();
        for first in 0x4e00..0x4e00 + 700 {
            for second in 0x5e00..0x5e00 + 700 {
                builder.push(&[first, second].map(|c| char::from_u32(c).unwrap()).iter().collect::<String>());
            }
        }
        assert!(builder.finish().is_empty());
    }
}
