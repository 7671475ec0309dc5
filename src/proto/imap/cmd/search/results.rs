//! What a search found and how it is told: `* SEARCH`, `* SORT`, `* ESEARCH` (rfc3501#7.2.5, rfc4731,
//! rfc5267#3, rfc7162#3.1.6, rfc9394).
//!
//! *Owns*: the finds, with scores and mod-sequences where they are told. *Promises*: one untagged reply,
//! written in as many calls as it takes; memory in proportion to ranges unless an order, scores or
//! mod-sequences were asked for. *Assumes*: finds come in ascending order. *Never*: decides what is found.

use std::ops::Range;

use bytes::Bytes;
use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};

use super::hunt::Found;
use super::list::List;
use crate::proto::imap::command::SearchReturn;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;

/// How the results are to be told.
#[derive(Clone, Debug)]
pub struct Form {
    /// For the search correlator.
    pub tag: Bytes,
    /// The names are UIDs.
    pub uid: bool,
    /// What ESEARCH shall say; none for the untagged reply of the command's own name.
    pub returns: Option<SearchReturn>,
    /// That name: `SEARCH` or `SORT`.
    pub basic: &'static str,
    /// With the highest mod-sequence.
    pub modseq: bool,
    /// More of the correlator (rfc7377#2.1), with a space before it.
    pub correlator: Bytes,
}

/// See the module.
#[derive(Debug)]
pub struct Results {
    list: List,
    /// By place, where they are told.
    modseqs: Vec<ModSeq>,
    /// By place, where they are told.
    scores: Vec<u8>,
    cursor: Cursor,
}

/// What is already written.
#[derive(Debug, Default)]
struct Cursor {
    part: Part,
    /// Of the list or the scores under way.
    at: usize,
    /// The last name written of a run that is written name by name.
    name: u32,
    /// The places that PARTIAL shows, once they are known.
    shown: Option<(List, Range<usize>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    Names,
    Scores,
}

impl Form {
    /// How a message is named.
    pub fn name(&self, found: &Found) -> u32 {
        if self.uid { found.uid.0 } else { found.number }
    }
}

impl Default for Results {
    fn default() -> Results {
        let list = List::Ascending(UidSet::new());
        Results { list, modseqs: Vec::new(), scores: Vec::new(), cursor: Cursor::default() }
    }
}

impl Results {
    /// Adds a find; ascending.
    pub fn add(&mut self, found: Found, form: &Form) {
        if let List::Ascending(set) = &mut self.list {
            set.push(Uid(form.name(&found)));
        }
        self.add_facts(found, form);
    }

    /// Adds a find behind the others, whatever the order.
    pub fn add_sorted(&mut self, found: Found, form: &Form) {
        if let List::Ascending(set) = &self.list
            && set.is_empty()
        {
            self.list = List::Sorted(Vec::new());
        }
        if let List::Sorted(names) = &mut self.list {
            names.push(form.name(&found));
        }
        self.add_facts(found, form);
    }

    fn add_facts(&mut self, found: Found, form: &Form) {
        if form.modseq {
            self.modseqs.push(found.modseq);
        }
        if form.returns.is_some_and(|returns| returns.relevancy) {
            self.scores.push(found.score);
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.len() == 0
    }

    /// What is to be kept for `$` (rfc5182#2.4, rfc9394#3.2), as names.
    pub fn to_save(&self, returns: SearchReturn) -> UidSet {
        let named_only = (returns.min || returns.max || returns.partial.is_some()) && !returns.count;
        if returns.all || !named_only {
            return self.list.set();
        }
        let one = |wanted: bool, name: Option<u32>| name.filter(|_| wanted).map(Uid);
        let ends = [one(returns.min, self.list.first()), one(returns.max, self.list.last())];
        let partial = returns.partial.map(|range| self.list.at(&range.places(self.list.len())).set());
        partial.unwrap_or_default().union(&ends.into_iter().flatten().collect())
    }

    /// Writes until the output is full. Whether all is written.
    pub fn write(&mut self, form: &Form, out: &mut Out) -> bool {
        match form.returns {
            Some(returns) => self.write_extended(form, returns, out),
            None => self.write_basic(form, out),
        }
    }

    fn write_basic(&mut self, form: &Form, out: &mut Out) -> bool {
        if self.cursor.part == Part::Head {
            self.cursor.part = Part::Names;
            out.put(b"* ");
            out.put(form.basic.as_bytes());
        }
        while let Some(((first, last), next)) = self.list.run(self.cursor.at) {
            let mut name = first.max(self.cursor.name);
            loop {
                if !out.has_room() {
                    self.cursor.name = name;
                    return false;
                }
                out.put(b" ");
                reply::number(out.text(), u64::from(name));
                if name == last {
                    break;
                }
                name += 1;
            }
            self.cursor.name = 0;
            self.cursor.at = next;
        }
        if let Some(highest) = self.modseqs.iter().max() {
            out.put(b" (MODSEQ ");
            reply::number(out.text(), highest.0);
            out.put(b")");
        }
        out.line("");
        true
    }

    fn write_extended(&mut self, form: &Form, returns: SearchReturn, out: &mut Out) -> bool {
        if self.cursor.part == Part::Head {
            self.write_head(form, returns, out);
            self.cursor.part = Part::Names;
        }
        if self.cursor.part == Part::Names {
            if (returns.all || returns.partial.is_some()) && !self.write_names(out) {
                return false;
            }
            if returns.partial.is_some() {
                let nothing = self.cursor.shown.as_ref().is_some_and(|(_, places)| places.is_empty());
                out.put(if nothing { b"NIL)" } else { b")" });
            }
            self.cursor.part = Part::Scores;
            self.cursor.at = 0;
        }
        if returns.relevancy && !self.write_scores(out) {
            return false;
        }
        if let Some(modseq) = self.modseq_of(returns) {
            out.put(b" MODSEQ ");
            reply::number(out.text(), modseq.0);
        }
        out.line("");
        true
    }

    fn write_head(&mut self, form: &Form, returns: SearchReturn, out: &mut Out) {
        // rfc4466#2.6.2: the correlator is a string.
        out.put(b"* ESEARCH (TAG \"");
        out.put(&form.tag);
        out.put(b"\"");
        out.put(&form.correlator);
        out.put(if form.uid { b") UID" } else { b")" });
        let mut item = |wanted: bool, name: &[u8], value: Option<u64>| {
            if let Some(value) = value.filter(|_| wanted) {
                out.put(b" ");
                out.put(name);
                out.put(b" ");
                reply::number(out.text(), value);
            }
        };
        // rfc4731#3.1: without a match MIN and MAX are left out, COUNT is 0.
        item(returns.min, b"MIN", self.list.first().map(u64::from));
        item(returns.max, b"MAX", self.list.last().map(u64::from));
        item(returns.count, b"COUNT", Some(self.list.len() as u64));
        if let Some(range) = returns.partial {
            let places = range.places(self.list.len());
            self.cursor.shown = Some((self.list.at(&places), places));
            let sign = if range.from_last { "-" } else { "" };
            let (one, other) = (range.one, range.other);
            out.put(format!(" PARTIAL ({sign}{one}:{sign}{other} ").as_bytes());
        } else if returns.all && self.list.len() > 0 {
            out.put(b" ALL ");
        }
    }

    fn write_names(&mut self, out: &mut Out) -> bool {
        let list = self.cursor.shown.as_ref().map_or(&self.list, |(list, _)| list);
        while let Some((range, next)) = list.run(self.cursor.at) {
            if !out.has_room() {
                return false;
            }
            if self.cursor.at > 0 {
                out.put(b",");
            }
            reply::set_range(out.text(), range);
            self.cursor.at = next;
        }
        true
    }

    /// rfc6203#4: of what is named, in the same order.
    fn write_scores(&mut self, out: &mut Out) -> bool {
        let places = self.cursor.shown.as_ref().map_or(0..self.scores.len(), |(_, places)| places.clone());
        let scores = self.scores.get(places).unwrap_or_default();
        if self.cursor.at == 0 {
            out.put(b" RELEVANCY (");
        }
        while let Some(&score) = scores.get(self.cursor.at) {
            if !out.has_room() && self.cursor.at > 0 {
                return false;
            }
            if self.cursor.at > 0 {
                out.put(b" ");
            }
            reply::number(out.text(), u64::from(score));
            self.cursor.at += 1;
        }
        out.put(b")");
        true
    }

    /// rfc4731#3.2: of the messages that are named; ALL and COUNT mean every one.
    fn modseq_of(&self, returns: SearchReturn) -> Option<ModSeq> {
        let (first, last) = (self.modseqs.first(), self.modseqs.last());
        let named_only = (returns.min || returns.max || returns.partial.is_some()) && !returns.count;
        if returns.all || !named_only {
            return self.modseqs.iter().max().copied();
        }
        let shown = self.cursor.shown.as_ref();
        let partial = shown.and_then(|(_, places)| self.modseqs.get(places.clone())?.iter().max());
        let ends = [first.filter(|_| returns.min), last.filter(|_| returns.max), partial];
        ends.into_iter().flatten().max().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Output;
    use crate::proto::imap::command::PartialRange;

    fn form(returns: Option<SearchReturn>, modseq: bool) -> Form {
        let tag = Bytes::from_static(b"a1");
        Form { tag, uid: true, returns, basic: "SEARCH", modseq, correlator: Bytes::new() }
    }

    fn results(numbers: &[(u32, u64)], form: &Form) -> Results {
        let mut results = Results::default();
        for &(number, modseq) in numbers {
            let score = (number * 7 % 100) as u8 + 1;
            results.add(Found { uid: Uid(number), number, modseq: ModSeq(modseq), score }, form);
        }
        results
    }

    fn written(numbers: &[(u32, u64)], returns: Option<SearchReturn>, modseq: bool) -> String {
        let form = form(returns, modseq);
        let mut results = results(numbers, &form);
        let mut out = Out::default();
        let mut text = String::new();
        loop {
            // One octet of room a call: the same reply, however often it is interrupted.
            out.allow(1);
            let done = results.write(&form, &mut out);
            while let Some(Output::Bytes(bytes)) = out.poll() {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
            if done {
                return text;
            }
        }
    }

    fn options(names: &str) -> SearchReturn {
        let mut returns = SearchReturn::default();
        for name in names.split(' ') {
            match name {
                "MIN" => returns.min = true,
                "MAX" => returns.max = true,
                "ALL" => returns.all = true,
                "COUNT" => returns.count = true,
                "RELEVANCY" => returns.relevancy = true,
                range => {
                    let (one, other) = range.trim_start_matches('-').split_once(':').expect("a range");
                    let number = |text: &str| text.trim_start_matches('-').parse().expect("a number");
                    let from_last = range.starts_with('-');
                    returns.partial =
                        Some(PartialRange { one: number(one), other: number(other), from_last });
                }
            }
        }
        returns
    }

    #[test]
    fn basic_results_name_every_number() {
        assert_eq!(written(&[(2, 5), (3, 9), (7, 1)], None, false), "* SEARCH 2 3 7\r\n");
        assert_eq!(written(&[(2, 5), (3, 9)], None, true), "* SEARCH 2 3 (MODSEQ 9)\r\n");
        assert_eq!(written(&[], None, true), "* SEARCH\r\n");
    }

    #[test]
    fn extended_results_name_what_was_asked_for() {
        let found = [(2, 5), (3, 9), (7, 1)];
        let head = "* ESEARCH (TAG \"a1\") UID";
        for (names, expected) in [
            ("MIN MAX ALL COUNT", " MIN 2 MAX 7 COUNT 3 ALL 2:3,7 MODSEQ 9"),
            ("MIN", " MIN 2 MODSEQ 5"),
            ("MAX", " MAX 7 MODSEQ 1"),
            ("MIN MAX", " MIN 2 MAX 7 MODSEQ 5"),
            ("2:1", " PARTIAL (2:1 2:3) MODSEQ 9"),
            ("-1:-1 MIN", " MIN 2 PARTIAL (-1:-1 7) MODSEQ 5"),
            ("3:9", " PARTIAL (3:9 7) MODSEQ 1"),
            ("4:9", " PARTIAL (4:9 NIL)"),
            ("4:9 COUNT", " COUNT 3 PARTIAL (4:9 NIL) MODSEQ 9"),
            ("ALL RELEVANCY", " ALL 2:3,7 RELEVANCY (15 22 50) MODSEQ 9"),
            ("2:3 RELEVANCY", " PARTIAL (2:3 3,7) RELEVANCY (22 50) MODSEQ 9"),
        ] {
            assert_eq!(
                written(&found, Some(options(names)), true),
                format!("{head}{expected}\r\n"),
                "{names}"
            );
        }
        for (names, expected) in [
            ("MIN MAX ALL COUNT", " COUNT 0"),
            ("ALL", ""),
            ("ALL RELEVANCY", " RELEVANCY ()"),
            ("1:5", " PARTIAL (1:5 NIL)"),
        ] {
            assert_eq!(written(&[], Some(options(names)), true), format!("{head}{expected}\r\n"), "{names}");
        }
    }

    #[test]
    fn what_is_kept_is_what_is_named() {
        let found = [(2, 0), (10, 0), (11, 0), (15, 0), (21, 0)];
        for (names, expected) in [
            // rfc5182#2.4, example 10, and rfc9394#3.2, table 1
            ("ALL", vec![(2, 2), (10, 11), (15, 15), (21, 21)]),
            ("MIN", vec![(2, 2)]),
            ("MAX MIN", vec![(2, 2), (21, 21)]),
            ("MAX MIN COUNT", vec![(2, 2), (10, 11), (15, 15), (21, 21)]),
            ("ALL MIN", vec![(2, 2), (10, 11), (15, 15), (21, 21)]),
            ("2:3", vec![(10, 11)]),
            ("2:3 MAX", vec![(10, 11), (21, 21)]),
            ("2:3 MIN MAX", vec![(2, 2), (10, 11), (21, 21)]),
            ("2:3 COUNT", vec![(2, 2), (10, 11), (15, 15), (21, 21)]),
        ] {
            let returns = options(names);
            let results = results(&found, &form(Some(returns), false));
            assert_eq!(results.to_save(returns).ranges(), expected, "{names}");
        }
        let nothing_else = SearchReturn { save: true, ..SearchReturn::default() };
        assert_eq!(results(&found, &form(None, false)).to_save(nothing_else).len(), 5);
    }
}
