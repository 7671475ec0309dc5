//! What a search found, and how it is told: `* SEARCH`, `* ESEARCH` (rfc3501#7.2.5, rfc4731, rfc7162#3.1.6).
//!
//! *Owns*: the found numbers as ranges. *Promises*: memory and output in proportion to ranges; one untagged
//! reply, written in as many calls as it takes. *Assumes*: numbers are added in ascending order. *Never*:
//! repeats a number.

use bytes::Bytes;
use ringpost_engine::change::UidSet;
use ringpost_engine::ids::{ModSeq, Uid};

use crate::proto::imap::command::SearchReturn;
use crate::proto::imap::out::Out;
use crate::proto::imap::reply;

/// See the module.
#[derive(Debug, Default)]
pub struct Results {
    numbers: UidSet,
    /// Mod-sequences of the first, the last and the latest changed message found.
    modseq_first: ModSeq,
    modseq_last: ModSeq,
    modseq_highest: ModSeq,
    /// What is already written: the head, and numbers up to here.
    head_written: bool,
    range: usize,
    written: u32,
}

/// How the results are to be told.
#[derive(Debug)]
pub struct Form {
    /// For the search correlator.
    pub tag: Bytes,
    /// The numbers are UIDs.
    pub uid: bool,
    /// ESEARCH with these.
    pub returns: Option<SearchReturn>,
    /// With the highest mod-sequence.
    pub modseq: bool,
}

impl Results {
    /// Adds a message; ascending.
    pub fn add(&mut self, number: u32, modseq: ModSeq) {
        if self.numbers.is_empty() {
            self.modseq_first = modseq;
        }
        self.modseq_last = modseq;
        self.modseq_highest = self.modseq_highest.max(modseq);
        self.numbers.push(Uid(number));
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Writes until the output is full. Whether all is written.
    pub fn write(&mut self, form: &Form, out: &mut Out) -> bool {
        match form.returns {
            Some(returns) => self.write_extended(form, returns, out),
            None => self.write_basic(form, out),
        }
    }

    fn write_basic(&mut self, form: &Form, out: &mut Out) -> bool {
        if !self.head_written {
            self.head_written = true;
            out.put(b"* SEARCH");
        }
        while let Some(&(first, last)) = self.numbers.ranges().get(self.range) {
            let mut number = first.max(self.written + 1);
            while number <= last {
                if !out.has_room() {
                    return false;
                }
                out.put(b" ");
                reply::number(out.text(), u64::from(number));
                self.written = number;
                let Some(next) = number.checked_add(1) else { break };
                number = next;
            }
            self.range += 1;
        }
        if form.modseq && !self.is_empty() {
            out.put(b" (MODSEQ ");
            reply::number(out.text(), self.modseq_highest.0);
            out.put(b")");
        }
        out.line("");
        true
    }

    fn write_extended(&mut self, form: &Form, returns: SearchReturn, out: &mut Out) -> bool {
        if !self.head_written {
            self.head_written = true;
            self.write_extended_head(form, returns, out);
        }
        if returns.all {
            while let Some(&range) = self.numbers.ranges().get(self.range) {
                if !out.has_room() {
                    return false;
                }
                out.put(if self.range == 0 { b" ALL " } else { b"," });
                reply::set_range(out.text(), range);
                self.range += 1;
            }
        }
        if form.modseq && !self.is_empty() {
            out.put(b" MODSEQ ");
            reply::number(out.text(), self.modseq_of(returns).0);
        }
        out.line("");
        true
    }

    fn write_extended_head(&self, form: &Form, returns: SearchReturn, out: &mut Out) {
        // rfc4466#2.6.2: the correlator is a string.
        out.put(b"* ESEARCH (TAG \"");
        out.put(&form.tag);
        out.put(b"\")");
        if form.uid {
            out.put(b" UID");
        }
        let mut item = |wanted: bool, name: &[u8], value: Option<u64>| {
            if let Some(value) = value.filter(|_| wanted) {
                out.put(b" ");
                out.put(name);
                out.put(b" ");
                reply::number(out.text(), value);
            }
        };
        // rfc4731#3.1: without a match MIN and MAX are left out, COUNT is 0.
        item(returns.min, b"MIN", self.numbers.first().map(|uid| u64::from(uid.0)));
        item(returns.max, b"MAX", self.numbers.last().map(|uid| u64::from(uid.0)));
        item(returns.count, b"COUNT", Some(self.numbers.len()));
    }

    /// rfc4731#3.2: of the messages that are named; ALL and COUNT mean every one.
    fn modseq_of(&self, returns: SearchReturn) -> ModSeq {
        match returns {
            SearchReturn { all: true, .. } | SearchReturn { count: true, .. } => self.modseq_highest,
            SearchReturn { min: true, max: false, .. } => self.modseq_first,
            SearchReturn { min: false, max: true, .. } => self.modseq_last,
            SearchReturn { min: true, max: true, .. } => self.modseq_first.max(self.modseq_last),
            SearchReturn { .. } => self.modseq_highest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Output;

    fn written(numbers: &[(u32, u64)], returns: Option<SearchReturn>, modseq: bool) -> String {
        let mut results = Results::default();
        for &(number, modseq) in numbers {
            results.add(number, ModSeq(modseq));
        }
        let form = Form { tag: Bytes::from_static(b"a1"), uid: true, returns, modseq };
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

    #[test]
    fn basic_results_name_every_number() {
        assert_eq!(written(&[(2, 5), (3, 9), (7, 1)], None, false), "* SEARCH 2 3 7\r\n");
        assert_eq!(written(&[(2, 5), (3, 9)], None, true), "* SEARCH 2 3 (MODSEQ 9)\r\n");
        assert_eq!(written(&[], None, true), "* SEARCH\r\n");
    }

    #[test]
    fn extended_results_name_what_was_asked_for() {
        let found = [(2, 5), (3, 9), (7, 1)];
        let returns = |min, max, all, count| Some(SearchReturn { min, max, all, count });
        let head = "* ESEARCH (TAG \"a1\") UID";
        let all = written(&found, returns(true, true, true, true), true);
        assert_eq!(all, format!("{head} MIN 2 MAX 7 COUNT 3 ALL 2:3,7 MODSEQ 9\r\n"));
        assert_eq!(
            written(&found, returns(true, false, false, false), true),
            format!("{head} MIN 2 MODSEQ 5\r\n")
        );
        assert_eq!(
            written(&found, returns(false, true, false, false), true),
            format!("{head} MAX 7 MODSEQ 1\r\n")
        );
        assert_eq!(written(&[], returns(true, true, true, true), true), format!("{head} COUNT 0\r\n"));
        assert_eq!(written(&[], returns(false, false, true, false), false), format!("{head}\r\n"));
    }
}
