//! SEARCH over a generated mailbox finds what a naive reading of its words finds.
//!
//! *Owns*: mailbox, keys and the oracle, all chosen by the octets. *Promises*: a wrong, missing or repeated
//! number fails. *Assumes*: messages of plain ASCII; what charsets do is `mime_text`'s. *Never*: asks for what
//! the oracle does not know.

use ringpost::proto::Service;

use super::choices::Choices;
use super::world::{World, server};

const ALICE: &str = "alice@example.test";
const WORDS: [&str; 6] = ["plan", "Plan B", "report", "an", "x", "quarterly report"];
const NAMES: [&str; 3] = ["ann@elsewhere.test", "bob@example.test", "Carol <carol@example.org>"];
const FLAGS: [&str; 5] = ["\\Seen", "\\Flagged", "\\Answered", "\\Deleted", "Work"];
/// Days of January 2022; the world's clock stands on the first.
const DAYS: usize = 5;
const MESSAGES_MAX: usize = 8;
const DEPTH_MAX: usize = 4;
const QUESTIONS_MAX: usize = 8;

/// A message as the oracle knows it.
struct Mail {
    uid: usize,
    from: &'static str,
    subject: &'static str,
    body: &'static str,
    sent_day: usize,
    arrived_day: usize,
    flags: Vec<&'static str>,
    octets: usize,
}

/// Builds a mailbox, then asks until nothing is left to choose with.
pub fn run(octets: &[u8]) {
    let mut choices = Choices(octets);
    let mut world = World::new(1, &server());
    world.connect(1, Service::Imap, true);
    world.receive(1, format!("l LOGIN {ALICE} secret\r\nl SELECT INBOX\r\n").as_bytes());
    let mails = mailbox(&mut choices, &mut world);
    for _ in 0..QUESTIONS_MAX {
        let mut key = String::new();
        let found = ask_for(&mut choices, &mails, DEPTH_MAX, &mut key);
        let numbers: Vec<usize> =
            (0..mails.len()).filter(|&index| found[index]).map(|index| index + 1).collect();
        answers(&mut world, &format!("SEARCH {key}"), &numbers);
        let uids: Vec<usize> = numbers.iter().map(|number| mails[number - 1].uid).collect();
        answers(&mut world, &format!("UID SEARCH {key}"), &uids);
        if choices.is_over() {
            break;
        }
    }
}

/// Asks and compares with the numbers that should be found.
fn answers(world: &mut World, command: &str, numbers: &[usize]) {
    let before = world.heard(1).len();
    world.receive(1, format!("s {command}\r\n").as_bytes());
    let heard = String::from_utf8_lossy(&world.heard(1)[before..]).into_owned();
    let wanted: String = numbers.iter().map(|number| format!(" {number}")).collect();
    assert!(heard.starts_with(&format!("* SEARCH{wanted}\r\ns OK")), "{command}: {heard}, not {wanted}");
}

/// Appends some messages and expunges some of them again.
fn mailbox(choices: &mut Choices<'_>, world: &mut World) -> Vec<Mail> {
    let mut mails = Vec::new();
    for uid in 1..=1 + choices.below(MESSAGES_MAX) {
        let (from, subject, body) = (choices.pick(&NAMES), choices.pick(&WORDS), choices.pick(&WORDS));
        let (sent_day, arrived_day) = (1 + choices.below(DAYS), 1 + choices.below(DAYS));
        let chosen = choices.below(1 << FLAGS.len());
        let flags: Vec<_> =
            (0..FLAGS.len()).filter(|bit| chosen >> bit & 1 == 1).map(|bit| FLAGS[bit]).collect();
        let padding = "p".repeat(choices.below(40));
        let message = format!(
            "From: {from}\r\nSubject: {subject}\r\nDate: {sent_day} Jan 2022 09:00:00 +0000\r\n\r\n\
             {body}\r\n{padding}\r\n"
        );
        let octets = message.len();
        let command = format!(
            "a APPEND INBOX ({}) \"0{arrived_day}-Jan-2022 12:00:00 +0000\" {{{octets}+}}\r\n{message}\r\n",
            flags.join(" ")
        );
        world.receive(1, command.as_bytes());
        mails.push(Mail { uid, from, subject, body, sent_day, arrived_day, flags, octets });
    }
    for index in (0..mails.len()).rev() {
        if choices.below(4) == 1 {
            let uid = mails.remove(index).uid;
            let command = format!("e UID STORE {uid} +FLAGS.SILENT (\\Deleted)\r\ne UID EXPUNGE {uid}\r\n");
            world.receive(1, command.as_bytes());
        }
    }
    mails
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
            let (octets, larger) = (100 + choices.below(60), choices.below(2) == 0);
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
    let Mail { from, subject, sent_day, .. } = mail;
    let header = format!("From: {from}\nSubject: {subject}\nDate: {sent_day} Jan 2022 09:00:00 +0000\n");
    header + &body(mail)
}
