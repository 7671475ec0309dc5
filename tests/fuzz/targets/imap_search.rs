//! SEARCH over a generated mailbox finds what a naive reading of its words finds.
//!
//! *Owns*: the keys and the oracle, chosen by the octets. *Promises*: a wrong, missing or repeated
//! number fails. *Assumes*: messages of plain ASCII; what charsets do is `mime_text`'s. *Never*: asks for what
//! the oracle does not know.

use std::collections::BTreeMap;

use super::choices::Choices;
use super::mails::{DAYS, FLAGS, MESSAGES_MAX, Mail, NAMES, WORDS, ask, mailbox};
use super::world::World;

const DEPTH_MAX: usize = 4;
const QUESTIONS_MAX: usize = 8;

/// Builds a mailbox, then asks until nothing is left to choose with.
pub fn run(octets: &[u8]) {
    let mut choices = Choices(octets);
    let (mut world, mails) = mailbox(&mut choices);
    for _ in 0..QUESTIONS_MAX {
        let mut key = String::new();
        let found = ask_for(&mut choices, &mails, DEPTH_MAX, &mut key);
        let numbers: Vec<usize> =
            (0..mails.len()).filter(|&index| found[index]).map(|index| index + 1).collect();
        let uids: Vec<usize> = numbers.iter().map(|number| mails[number - 1].uid).collect();
        for (prefix, numbers) in [("", &numbers), ("UID ", &uids)] {
            untagged(&mut world, &format!("{prefix}SEARCH {key}"), numbers);
            extended(&mut world, prefix, &key, numbers);
        }
        saved(&mut world, &key, &numbers);
        if choices.is_over() {
            break;
        }
    }
}

/// The answer of rfc3501#7.2.5.
fn untagged(world: &mut World, command: &str, numbers: &[usize]) {
    let heard = ask(world, command);
    let wanted: String = numbers.iter().map(|number| format!(" {number}")).collect();
    assert!(heard.starts_with(&format!("* SEARCH{wanted}\r\ns OK")), "{command}: {heard}, not {wanted}");
}

/// The answers of rfc4731#3.1 and rfc9394#3.1.
fn extended(world: &mut World, prefix: &str, key: &str, numbers: &[usize]) {
    let command = format!("{prefix}SEARCH RETURN (MIN MAX COUNT ALL) {key}");
    let told = esearch(&ask(world, &command));
    let told = |name: &str| told.get(name).map(|value| expanded(value));
    assert_eq!(told("COUNT"), Some(vec![numbers.len()]), "{command}");
    assert_eq!(told("ALL").unwrap_or_default(), numbers, "{command}");
    assert_eq!(told("MIN").unwrap_or_default(), numbers.first().copied().into_iter().collect::<Vec<_>>());
    assert_eq!(told("MAX").unwrap_or_default(), numbers.last().copied().into_iter().collect::<Vec<_>>());
    for (range, wanted) in [
        ("2:3", numbers.iter().skip(1).take(2).copied().collect::<Vec<_>>()),
        ("-1:-2", numbers[numbers.len().saturating_sub(2)..].to_vec()),
    ] {
        let command = format!("{prefix}SEARCH RETURN (PARTIAL {range}) {key}");
        let heard = ask(world, &command);
        let (_, after) = heard.split_once(&format!("PARTIAL ({range} ")).expect("a part");
        assert_eq!(expanded(after.split_once(')').expect("its end").0), wanted, "{command}: {heard}");
    }
}

/// What is saved is what `$` stands for (rfc5182#2.1).
fn saved(world: &mut World, key: &str, numbers: &[usize]) {
    let heard = ask(world, &format!("SEARCH RETURN (SAVE) {key}"));
    assert!(heard.starts_with("s OK"), "{heard}");
    untagged(world, "SEARCH $", numbers);
}

/// The names and values of an ESEARCH answer.
fn esearch(heard: &str) -> BTreeMap<String, String> {
    let line = heard.lines().next().unwrap_or_default();
    let rest = line.strip_prefix("* ESEARCH (TAG \"s\")").unwrap_or_else(|| panic!("{heard}"));
    let words: Vec<&str> = rest.split_whitespace().filter(|word| *word != "UID").collect();
    words.chunks(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

/// The numbers of a set, in order; none of `NIL`.
fn expanded(set: &str) -> Vec<usize> {
    let number = |text: &str| text.parse::<usize>().unwrap_or_else(|_| panic!("{set}"));
    let ranges = set.split(',').filter(|range| *range != "NIL");
    ranges
        .flat_map(|range| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            number(first)..=number(last)
        })
        .collect()
}

/// Writes a key and returns which messages it means.
fn ask_for(choices: &mut Choices<'_>, mails: &[Mail], depth: usize, key: &mut String) -> Vec<bool> {
    let kinds = if depth == 0 { 8 } else { 11 };
    match choices.below(kinds) {
        8 => {
            key.push_str("NOT ");
            ask_for(choices, mails, depth - 1, key).iter().map(|found| !found).collect()
        }
        9 => {
            key.push_str("OR ");
            let one = ask_for(choices, mails, depth - 1, key);
            key.push(' ');
            let other = ask_for(choices, mails, depth - 1, key);
            one.iter().zip(other).map(|(one, other)| *one || other).collect()
        }
        10 => {
            key.push('(');
            let one = ask_for(choices, mails, depth - 1, key);
            key.push(' ');
            let other = ask_for(choices, mails, depth - 1, key);
            key.push(')');
            one.iter().zip(other).map(|(one, other)| *one && other).collect()
        }
        kind => leaf(kind, choices, mails, key),
    }
}

/// A key without keys inside.
fn leaf(kind: usize, choices: &mut Choices<'_>, mails: &[Mail], key: &mut String) -> Vec<bool> {
    let contains = |text: &str, word: &str| text.to_lowercase().contains(&word.to_lowercase());
    let each = |is: &dyn Fn(&Mail) -> bool| mails.iter().map(is).collect::<Vec<bool>>();
    match kind {
        0 => {
            let (word, field) = (choices.pick(&WORDS), choices.below(4));
            let name = ["SUBJECT", "BODY", "TEXT", "HEADER Subject"][field];
            key.push_str(&format!("{name} \"{word}\""));
            each(&|mail| match field {
                0 | 3 => contains(mail.subject, word),
                1 => contains(&body(mail), word),
                _ => contains(&text(mail), word),
            })
        }
        1 => {
            let name = choices.pick(&NAMES);
            let word = name.split(['@', ' ']).next().unwrap_or(name);
            key.push_str(&format!("FROM \"{word}\""));
            each(&|mail| contains(mail.from, word))
        }
        2 => {
            let (flag, set) = (choices.pick(&FLAGS), choices.below(2) == 0);
            let un = if set { "" } else { "UN" };
            match flag.strip_prefix('\\') {
                Some(system) => key.push_str(&format!("{un}{}", system.to_uppercase())),
                None => key.push_str(&format!("{un}KEYWORD {flag}")),
            }
            each(&|mail| mail.flags.contains(&flag) == set)
        }
        3 | 4 => {
            let (how, day) = (choices.below(3), 1 + choices.below(DAYS));
            let name = ["BEFORE", "ON", "SINCE"][how];
            let sent = if kind == 3 { "SENT" } else { "" };
            key.push_str(&format!("{sent}{name} {day}-Jan-2022"));
            each(&|mail| {
                let of = if kind == 3 { mail.sent_day } else { mail.arrived_day };
                [of < day, of == day, of >= day][how]
            })
        }
        5 => {
            let (octets, larger) = (150 + choices.below(100), choices.below(2) == 0);
            key.push_str(&format!("{} {octets}", if larger { "LARGER" } else { "SMALLER" }));
            each(&|mail| if larger { mail.octets > octets } else { mail.octets < octets })
        }
        6 => {
            let (low, high) = (1 + choices.below(MESSAGES_MAX), 1 + choices.below(MESSAGES_MAX));
            key.push_str(&format!("UID {low}:{high}"));
            each(&|mail| (low.min(high)..=low.max(high)).contains(&mail.uid))
        }
        _ => {
            key.push_str("ALL");
            each(&|_| true)
        }
    }
}

fn body(mail: &Mail) -> String {
    format!("{}\r\n{}", mail.body, "p".repeat(mail.octets))
}

/// The header, field by field, and the body.
fn text(mail: &Mail) -> String {
    let Mail { from, subject, sent_day, id, references, .. } = mail;
    let named: String = references.iter().map(|id| format!(" <{id}@example.test>")).collect();
    let named = if named.is_empty() { named } else { format!("References:{named}\n") };
    let header = format!("From: {from}\nSubject: {subject}\nDate: {sent_day} Jan 2022 09:00:00 +0000\n");
    header + &format!("Message-ID: <{id}@example.test>\n{named}") + &body(mail)
}
