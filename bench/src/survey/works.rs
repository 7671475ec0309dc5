//! What is asked of a mailbox, and what the answer must hold.
//!
//! *Owns*: the commands of each scenario. *Promises*: every command has an expectation that the mail of
//! [`super::corpus`] fulfils, so that a wrong answer is never a fast one. *Assumes*: the mailbox holds that mail
//! and nothing else. *Never*: asks for what a server does not announce.

use super::corpus::Hits;

/// Which family of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `imap-select`
    Select,
    /// `imap-list`
    List,
    /// `imap-search`
    Search,
    /// `imap-sort`
    Sort,
    /// `imap-thread`
    Thread,
}

/// What of the answer is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The number in `* n EXISTS`.
    Exists,
    /// Lines `* n FETCH`.
    Fetches,
    /// Numbers in `* SEARCH`, `* SORT` or `* THREAD`.
    Numbers,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Its name in reports.
    pub name: &'static str,
    /// Without tag; `{}` in it is never a literal.
    pub command: &'static str,
    /// What is counted.
    pub counted: Counted,
    /// How much of it there must be.
    pub hits: Hits,
    /// The capability it needs beyond IMAP4rev1, as announced.
    pub needs: Option<&'static str>,
}

const fn work(name: &'static str, command: &'static str, counted: Counted, hits: Hits) -> Work {
    Work { name, command, counted, hits, needs: None }
}

const fn extension(name: &'static str, command: &'static str, needs: &'static str) -> Work {
    Work { name, command, counted: Counted::Numbers, hits: Hits::All, needs: Some(needs) }
}

/// The header fields that Thunderbird asks for when it opens a folder.
const THUNDERBIRD: &str = "UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc \
    Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])";

const SELECT: &[Work] = &[work("SELECT", "SELECT INBOX", Counted::Exists, Hits::All)];

const LIST: &[Work] = &[
    work("FETCH 1:* (FLAGS)", "FETCH 1:* (FLAGS)", Counted::Fetches, Hits::All),
    work("FETCH 1:* (… ENVELOPE)", "FETCH 1:* (FLAGS UID RFC822.SIZE ENVELOPE)", Counted::Fetches, Hits::All),
    work("FETCH 1:* as Thunderbird", THUNDERBIRD, Counted::Fetches, Hits::All),
];

const SEARCH: &[Work] = &[
    work("SEARCH SUBJECT", "SEARCH SUBJECT quarterly", Counted::Numbers, Hits::Subject),
    work("SEARCH TEXT, hit", "SEARCH TEXT zymurgy", Counted::Numbers, Hits::Text),
    work("SEARCH TEXT, miss", "SEARCH TEXT xylophonist", Counted::Numbers, Hits::None),
    work("SEARCH FLAGGED", "SEARCH FLAGGED", Counted::Numbers, Hits::Flagged),
];

const SORT: &[Work] = &[
    extension("SORT (SUBJECT)", "SORT (SUBJECT) UTF-8 ALL", "SORT"),
    extension("SORT (DATE)", "SORT (DATE) UTF-8 ALL", "SORT"),
    extension("SORT (ARRIVAL)", "SORT (ARRIVAL) UTF-8 ALL", "SORT"),
];

const THREAD: &[Work] = &[
    extension("THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL", "THREAD=REFERENCES"),
    extension("THREAD REFS", "THREAD REFS UTF-8 ALL", "THREAD=REFS"),
    extension("THREAD ORDEREDSUBJECT", "THREAD ORDEREDSUBJECT UTF-8 ALL", "THREAD=ORDEREDSUBJECT"),
];

impl Family {
    /// The subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Family::Select => "imap-select",
            Family::List => "imap-list",
            Family::Search => "imap-search",
            Family::Sort => "imap-sort",
            Family::Thread => "imap-thread",
        }
    }

    /// Its commands.
    pub fn works(self) -> &'static [Work] {
        match self {
            Family::Select => SELECT,
            Family::List => LIST,
            Family::Search => SEARCH,
            Family::Sort => SORT,
            Family::Thread => THREAD,
        }
    }
}

/// Counts what an answer's lines hold.
pub struct Counter {
    counted: Counted,
    /// So far.
    pub count: u64,
}

impl Counter {
    /// Nothing yet.
    pub fn new(counted: Counted) -> Counter {
        Counter { counted, count: 0 }
    }

    /// One more line, without its end; of a response with literals, the parts between them.
    pub fn line(&mut self, line: &[u8]) {
        let Some(rest) = line.strip_prefix(b"* ") else { return };
        match self.counted {
            Counted::Fetches => {
                let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
                self.count += u64::from(digits > 0 && rest[digits..].starts_with(b" FETCH "));
            }
            Counted::Exists => {
                let number = rest.strip_suffix(b" EXISTS").and_then(crate::load::imap::parse_number);
                self.count = number.unwrap_or(self.count);
            }
            Counted::Numbers => {
                let names = [&b"SEARCH"[..], b"SORT", b"THREAD"];
                if let Some(numbers) = names.iter().find_map(|name| rest.strip_prefix(*name)) {
                    let begins = |pair: &[u8]| !pair[0].is_ascii_digit() && pair[1].is_ascii_digit();
                    self.count += numbers.windows(2).filter(|pair| begins(pair)).count() as u64;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::corpus::{SUBJECT_WORD, TEXT_WORD};

    fn count(counted: Counted, lines: &[&str]) -> u64 {
        let mut counter = Counter::new(counted);
        lines.iter().for_each(|line| counter.line(line.as_bytes()));
        counter.count
    }

    #[test]
    fn answers_are_counted() {
        let select = ["* FLAGS (\\Seen)", "* 17 EXISTS", "* 3 RECENT", "* OK [UIDNEXT 18] x"];
        assert_eq!(count(Counted::Exists, &select), 17);
        let fetch = ["* 1 FETCH (FLAGS ())", "* 22 FETCH (BODY[] {3}", ")", "* 3 EXPUNGE"];
        assert_eq!(count(Counted::Fetches, &fetch), 2);
        assert_eq!(count(Counted::Numbers, &["* SEARCH", "* 5 EXISTS"]), 0);
        assert_eq!(count(Counted::Numbers, &["* SEARCH 2 84 882"]), 3);
        assert_eq!(count(Counted::Numbers, &["* THREAD (2)(3 6 (4 23)(44 7 96))"]), 8);
    }

    #[test]
    fn the_searches_ask_for_the_words_of_the_corpus() {
        let asked = |index: usize| SEARCH[index].command;
        assert_eq!(asked(0), format!("SEARCH SUBJECT {SUBJECT_WORD}"));
        assert_eq!(asked(1), format!("SEARCH TEXT {TEXT_WORD}"));
        assert_eq!(asked(2), "SEARCH TEXT xylophonist");
    }
}
