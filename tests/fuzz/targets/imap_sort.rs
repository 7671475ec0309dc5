//! SORT by any keys, and THREAD by subject, order a generated mailbox as a naive sort does.

use ringpost::proto::mime::keys::base_subject;

use super::choices::Choices;
use super::mails::{Mail, ask, mailbox};

const KEYS_MAX: usize = 3;
const QUESTIONS_MAX: usize = 8;
const KEYS: [&str; 6] = ["ARRIVAL", "DATE", "FROM", "SIZE", "SUBJECT", "DISPLAYFROM"];

/// Builds a mailbox, then asks until nothing is left to choose with.
pub fn run(octets: &[u8]) {
    let mut choices = Choices(octets);
    let (mut world, mails) = mailbox(&mut choices);
    for _ in 0..QUESTIONS_MAX {
        let criteria: Vec<(bool, &str)> =
            (0..=choices.below(KEYS_MAX)).map(|_| (choices.below(2) == 1, choices.pick(&KEYS))).collect();
        let named: Vec<String> = criteria
            .iter()
            .map(|(reverse, key)| format!("{}{key}", if *reverse { "REVERSE " } else { "" }))
            .collect();
        let mut order: Vec<usize> = (0..mails.len()).collect();
        // The sort is stable: what is equal stays in the order of sequence numbers (rfc5256#3).
        order.sort_by(|&one, &other| {
            let by = |(reverse, key): &(bool, &str)| {
                let order = value(&mails[one], key).cmp(&value(&mails[other], key));
                if *reverse { order.reverse() } else { order }
            };
            criteria.iter().map(by).find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        for (prefix, wanted) in [
            ("", order.iter().map(|index| format!(" {}", index + 1)).collect::<String>()),
            ("UID ", order.iter().map(|&index| format!(" {}", mails[index].uid)).collect()),
        ] {
            let command = format!("{prefix}SORT ({}) UTF-8 ALL", named.join(" "));
            let heard = ask(&mut world, &command);
            assert!(
                heard.starts_with(&format!("* SORT{wanted}\r\ns OK")),
                "{command}: {heard}, not {wanted}"
            );
        }
        if choices.is_over() {
            break;
        }
    }
    let heard = ask(&mut world, "THREAD ORDEREDSUBJECT UTF-8 ALL");
    let wanted = by_subject(&mails);
    assert!(heard.starts_with(&format!("* THREAD{wanted}\r\ns OK")), "{heard}, not {wanted}");
}

/// What a key compares; everything in these mailboxes is ASCII (rfc5256#3, rfc5957#3).
fn value(mail: &Mail, key: &str) -> (usize, String) {
    let (name, address) = match mail.from.split_once(" <") {
        Some((name, rest)) => (name, rest.trim_end_matches('>')),
        None => (mail.from, mail.from),
    };
    match key {
        "ARRIVAL" => (mail.arrived_day, String::new()),
        "DATE" => (mail.sent_day, String::new()),
        "SIZE" => (mail.octets, String::new()),
        "FROM" => (0, address.split('@').next().unwrap_or_default().to_uppercase()),
        "DISPLAYFROM" => (0, name.to_uppercase()),
        _ => (0, base_subject(mail.subject).0.to_uppercase()),
    }
}

/// rfc5256#3, ORDEREDSUBJECT.
fn by_subject(mails: &[Mail]) -> String {
    let sent = |&index: &usize| (mails[index].sent_day, index);
    let mut threads: Vec<Vec<usize>> = Vec::new();
    for (index, mail) in mails.iter().enumerate() {
        let same =
            threads.iter_mut().find(|thread| value(&mails[thread[0]], "SUBJECT") == value(mail, "SUBJECT"));
        match same {
            Some(thread) => thread.push(index),
            None => threads.push(vec![index]),
        }
    }
    threads.iter_mut().for_each(|thread| thread.sort_by_key(sent));
    threads.sort_by_key(|thread| sent(&thread[0]));
    let shown: String = threads
        .iter()
        .map(|thread| {
            let (first, others) = (thread[0] + 1, &thread[1..]);
            match others {
                [] => format!("({first})"),
                [other] => format!("({first} {})", other + 1),
                _ => format!(
                    "({first} {})",
                    others.iter().map(|other| format!("({})", other + 1)).collect::<String>()
                ),
            }
        })
        .collect();
    if shown.is_empty() { shown } else { format!(" {shown}") }
}
