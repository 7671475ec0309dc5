//! Search keys, made ready once and asked of every message.
//!
//! *Owns*: what each key means (rfc3501#6.4.4 and the extensions' own) in terms of the index and of answers
//! that only a message's content gives. *Promises*: an answer from the index alone wherever that decides;
//! else which content to look for next. *Assumes*: the parser bounded nesting. *Never*: looks into a message.

use ringpost_engine::change::{FlagBits, UidSet};
use ringpost_engine::ids::{EmailId, ModSeq, ShardId};
use ringpost_engine::index::Message;

use crate::proto::imap::command::DayIs;
use crate::proto::mime::date::Days;

mod build;
mod content;

pub use build::Ground;
pub use content::{Answers, Content};

/// A search as it is asked.
#[derive(Clone, Debug)]
pub struct Query {
    key: Key,
    /// What the keys look for in messages, each once.
    contents: Vec<Content>,
    /// A message begins or ceases to match only by a change of its own.
    pub lasting: bool,
    /// The client asked by mod-sequence (rfc7162#3.1.5).
    pub modseq: bool,
    /// Scores are wanted: a message that matches has all of them decided.
    pub scored: bool,
}

/// A key with its sets resolved; what it looks for in a message is an index into [`Query::contents`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// All of them.
    And(Vec<Key>),
    /// One of both.
    Or(Box<Key>, Box<Key>),
    /// The opposite.
    Not(Box<Key>),
    /// The same for every message.
    Always(bool),
    /// All of these flags are set.
    Flag(FlagBits),
    /// A keyword that no message of the mailbox had so far.
    Named(String),
    /// `\Recent` here.
    Recent,
    /// INTERNALDATE's day.
    Internal(DayIs, Days),
    /// SAVEDATE's day (rfc8514#4.3).
    Saved(DayIs, Days),
    /// INTERNALDATE at or before this second (true), at or after it (false); rfc5032#3.
    Arrived { before: bool, unix_s: u64 },
    /// Size above.
    Larger(u64),
    /// Size below.
    Smaller(u64),
    /// One of these UIDs.
    Uids(UidSet),
    /// These octets (rfc8474#5.1), seen on this shard.
    Email(EmailId, ShardId),
    /// This mod-sequence or a later one.
    ModSeq(ModSeq),
    /// The content is there.
    Content(usize),
    /// All words are there; the phrase that they are raises the score.
    Fuzzy { words: Vec<usize>, phrase: usize },
}

/// What the index knows of a message.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Its row.
    pub message: &'a Message,
    /// Whether it is `\Recent` here.
    pub recent: bool,
}

/// The content that has to be looked for before a message is decided: an index into the query's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open(pub usize);

/// Score of a message that holds the words of a FUZZY key but not as they were written.
const SCORE_OF_WORDS: u8 = 50;
/// Score of every other match.
const SCORE_OF_MATCH: u8 = 100;

impl Query {
    /// UIDs that alone can match: what the outermost sets leave.
    pub fn candidates(&self, all: UidSet) -> UidSet {
        candidates(&self.key, all)
    }

    /// What the keys look for in messages.
    pub fn contents(&self) -> &[Content] {
        &self.contents
    }

    /// Whether the message matches, or what to look for to find out.
    pub fn decide(&self, known: &Known<'_>, answers: Answers) -> Result<bool, Open> {
        let matches = self.is(&self.key, known, answers)?;
        if matches && self.scored {
            self.score_of(&self.key, known, answers)?;
        }
        Ok(matches)
    }

    /// Whether the index alone decides, and only a change of a message changes what it says of it.
    pub fn can_be_followed(&self) -> bool {
        self.lasting && self.contents.is_empty()
    }

    /// Learns of keywords that came into the mailbox.
    pub fn learn(&mut self, keywords: &[String]) {
        learn(&mut self.key, keywords);
    }

    /// How relevant a message is that matches, 1 to 100 (rfc6203#4). FUZZY keys in a list: the least of them;
    /// in an OR: the best of those that match.
    pub fn score(&self, known: &Known<'_>, answers: Answers) -> u8 {
        self.score_of(&self.key, known, answers).unwrap_or(SCORE_OF_WORDS)
    }

    fn is(&self, key: &Key, known: &Known<'_>, answers: Answers) -> Result<bool, Open> {
        let message = known.message;
        Ok(match key {
            Key::And(keys) => return all(keys.iter().map(|key| self.is(key, known, answers))),
            Key::Or(one, other) => {
                let neither = all([one, other].into_iter().map(|key| Ok(!self.is(key, known, answers)?)));
                !neither?
            }
            Key::Not(key) => !self.is(key, known, answers)?,
            Key::Always(is) => *is,
            Key::Flag(bits) => message.flags.contains(*bits),
            Key::Named(_) => false,
            Key::Recent => known.recent,
            Key::Internal(is, day) => is.holds((message.internal_ms / MS_PER_DAY) as Days, *day),
            Key::Saved(is, day) => is.holds((message.saved_ms / MS_PER_DAY) as Days, *day),
            Key::Arrived { before: true, unix_s } => message.internal_ms / 1000 <= *unix_s,
            Key::Arrived { before: false, unix_s } => message.internal_ms / 1000 >= *unix_s,
            Key::Larger(size) => u64::from(message.size) > *size,
            Key::Smaller(size) => u64::from(message.size) < *size,
            Key::Uids(uids) => uids.contains(message.uid),
            Key::Email(email, shard) => message.email(*shard) == *email,
            Key::ModSeq(modseq) => message.modseq >= *modseq,
            Key::Content(index) => return answers.of(*index),
            Key::Fuzzy { words, .. } => return all(words.iter().map(|&word| answers.of(word))),
        })
    }

    fn score_of(&self, key: &Key, known: &Known<'_>, answers: Answers) -> Result<u8, Open> {
        let mut score = SCORE_OF_MATCH;
        match key {
            Key::And(keys) => {
                for key in keys {
                    score = score.min(self.score_of(key, known, answers)?);
                }
            }
            Key::Or(one, other) => {
                score = 0;
                for key in [one, other] {
                    if self.is(key, known, answers)? {
                        score = score.max(self.score_of(key, known, answers)?);
                    }
                }
            }
            Key::Fuzzy { phrase, .. } if !answers.of(*phrase)? => score = SCORE_OF_WORDS,
            _ => {}
        }
        Ok(score)
    }
}

const MS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

fn learn(key: &mut Key, keywords: &[String]) {
    match key {
        Key::And(keys) => keys.iter_mut().for_each(|key| learn(key, keywords)),
        Key::Or(one, other) => {
            learn(one, keywords);
            learn(other, keywords);
        }
        Key::Not(key) => learn(key, keywords),
        Key::Named(name) => {
            if let Some(index) = keywords.iter().position(|known| known.eq_ignore_ascii_case(name)) {
                *key = Key::Flag(FlagBits::keyword(index));
            }
        }
        _ => {}
    }
}

fn candidates(key: &Key, all: UidSet) -> UidSet {
    match key {
        Key::Uids(uids) => all.intersection(uids),
        Key::And(keys) => keys.iter().fold(all, |all, key| candidates(key, all)),
        _ => all,
    }
}

/// False as soon as one is false, else open if one is open.
fn all(answers: impl Iterator<Item = Result<bool, Open>>) -> Result<bool, Open> {
    let mut open = None;
    for answer in answers {
        match answer {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            Err(first) => open = open.or(Some(first)),
        }
    }
    open.map_or(Ok(true), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost_engine::ids::{BodyId, Uid};

    fn message() -> Message {
        Message {
            uid: Uid(7),
            modseq: ModSeq(40),
            flags: FlagBits::SEEN,
            size: 100,
            summary_len: 0,
            // 1994-02-01T12:00Z
            internal_ms: 760_104_000_000,
            saved_ms: 760_204_000_000,
            body: BodyId(1),
            known_as: EmailId(0),
        }
    }

    fn ask_with(key: &Key, answers: Answers) -> Result<bool, Open> {
        let query =
            Query { key: key.clone(), contents: Vec::new(), lasting: true, modseq: false, scored: false };
        query.decide(&Known { message: &message(), recent: false }, answers)
    }

    fn ask(key: &Key) -> Result<bool, Open> {
        ask_with(key, Answers::default())
    }

    #[test]
    fn the_index_decides_what_it_can() {
        let content = Key::Content(0);
        let and = Key::And(vec![content.clone(), Key::Flag(FlagBits::DELETED)]);
        assert_eq!(ask(&and), Ok(false), "one false is enough");
        let and = Key::And(vec![content.clone(), Key::Content(1), Key::Flag(FlagBits::SEEN)]);
        assert_eq!(ask(&and), Err(Open(0)));
        let or = Key::Or(Box::new(content.clone()), Box::new(Key::Flag(FlagBits::SEEN)));
        assert_eq!(ask(&or), Ok(true), "one true is enough");
        let not = Key::Not(Box::new(content));
        assert_eq!(ask(&not), Err(Open(0)));
        let mut answers = Answers::default();
        answers.set(0, false);
        assert_eq!(ask_with(&not, answers), Ok(true));
        assert_eq!(ask_with(&and, answers), Ok(false), "the second content need not be looked for");
        answers.set(0, true);
        assert_eq!(ask_with(&not, answers), Ok(false));
        assert_eq!(ask_with(&and, answers), Err(Open(1)));
    }

    #[test]
    fn sizes_and_mod_sequences_compare_as_the_rfc_says() {
        assert_eq!(ask(&Key::Larger(100)), Ok(false));
        assert_eq!(ask(&Key::Larger(99)), Ok(true));
        assert_eq!(ask(&Key::Smaller(100)), Ok(false));
        assert_eq!(ask(&Key::ModSeq(ModSeq(40))), Ok(true));
        assert_eq!(ask(&Key::ModSeq(ModSeq(41))), Ok(false));
    }

    #[test]
    fn days_forget_the_time_and_seconds_count_both_ends() {
        let day: Days = 760_104_000 / 86_400;
        assert_eq!(ask(&Key::Internal(DayIs::On, day)), Ok(true));
        assert_eq!(ask(&Key::Internal(DayIs::Before, day)), Ok(false));
        assert_eq!(ask(&Key::Internal(DayIs::Since, day)), Ok(true));
        assert_eq!(ask(&Key::Internal(DayIs::Before, day + 1)), Ok(true));
        assert_eq!(ask(&Key::Saved(DayIs::On, day + 1)), Ok(true), "rfc8514#4.3");
        for (before, unix_s, matches) in [
            (true, 760_104_000, true),
            (true, 760_103_999, false),
            (false, 760_104_000, true),
            (false, 760_104_001, false),
        ] {
            assert_eq!(ask(&Key::Arrived { before, unix_s }), Ok(matches), "rfc5032#2");
        }
    }

    #[test]
    fn outer_sets_narrow_the_walk_and_inner_ones_do_not() {
        let set = |first, last| {
            let mut uids = UidSet::new();
            uids.push_range(Uid(first), Uid(last));
            uids
        };
        let (a, b) = (Key::Uids(set(2, 9)), Key::Uids(set(5, 20)));
        let and = Key::And(vec![a.clone(), Key::Flag(FlagBits::SEEN), b.clone()]);
        assert_eq!(candidates(&and, set(1, 100)), set(5, 9));
        let or = Key::Or(Box::new(a.clone()), Box::new(b));
        assert_eq!(candidates(&or, set(1, 100)), set(1, 100));
        assert_eq!(candidates(&Key::Not(Box::new(a)), set(1, 100)), set(1, 100));
    }

    #[test]
    fn fuzzy_keys_want_all_words_and_score_the_phrase() {
        let fuzzy = Key::Fuzzy { words: vec![0, 1], phrase: 2 };
        let score = |key: &Key, yes: &[bool]| {
            let query =
                Query { key: key.clone(), contents: Vec::new(), lasting: true, modseq: false, scored: true };
            let mut answers = Answers::default();
            yes.iter().enumerate().for_each(|(index, &yes)| answers.set(index, yes));
            let known = Known { message: &message(), recent: false };
            query.decide(&known, answers).map(|is| is.then(|| query.score(&known, answers)))
        };
        assert_eq!(score(&fuzzy, &[true, false]), Ok(None));
        assert_eq!(score(&fuzzy, &[true, true]), Err(Open(2)), "a score is wanted as well");
        assert_eq!(score(&fuzzy, &[true, true, true]), Ok(Some(100)));
        assert_eq!(score(&fuzzy, &[true, true, false]), Ok(Some(50)));
        let either = Key::Or(Box::new(fuzzy.clone()), Box::new(Key::Content(3)));
        assert_eq!(score(&either, &[true, true, false, true]), Ok(Some(100)));
        assert_eq!(score(&either, &[true, true, false, false]), Ok(Some(50)));
    }
}
