//! Base subjects by the grammar of RFC 5256, spelled out; message ids.

use ringpost::proto::mime::keys::{base_subject, message_ids};

/// A subject, or the value of a References field.
pub fn run(octets: &[u8]) {
    message_ids(octets);
    // What follows is quadratic; a header line is not longer.
    let subject = String::from_utf8_lossy(&octets[..octets.len().min(998)]).into_owned();
    let (base, is_reply) = base_subject(&subject);
    assert_eq!((base.clone(), is_reply), naive(&subject), "{subject:?}");
    assert_eq!(base_subject(&base), (base, false), "a base subject is its own: {subject:?}");
}

/// rfc5256#2.1, step by step.
fn naive(subject: &str) -> (String, bool) {
    // (1)
    let mut text: Vec<char> = Vec::new();
    for c in subject.chars() {
        let c = if "\t\r\n".contains(c) { ' ' } else { c };
        if c != ' ' || text.last() != Some(&' ') {
            text.push(c);
        }
    }
    let mut is_reply = false;
    loop {
        // (2)
        while let Some((rest, reply)) = without_trailer(&text) {
            (text, is_reply) = (rest, is_reply | reply);
        }
        // (3) to (5)
        loop {
            if let Some((length, reply)) = leader(&text) {
                is_reply |= reply;
                text.drain(..length);
                continue;
            }
            match blob(&text) {
                Some(length) if length < text.len() => drop(text.drain(..length)),
                _ => break,
            }
        }
        // (6)
        let is_forward = starts_with(&text, "[fwd:") && text.len() > 5 && text.last() == Some(&']');
        if !is_forward {
            return (text.into_iter().collect(), is_reply);
        }
        text = text[5..text.len() - 1].to_vec();
        is_reply = true;
    }
}

/// subj-trailer = "(fwd)" / WSP
fn without_trailer(text: &[char]) -> Option<(Vec<char>, bool)> {
    let end: String = text.iter().rev().take(5).rev().collect();
    match text.last() {
        Some(' ') => Some((text[..text.len() - 1].to_vec(), false)),
        _ if end.eq_ignore_ascii_case("(fwd)") => Some((text[..text.len() - 5].to_vec(), true)),
        _ => None,
    }
}

/// subj-leader = (*subj-blob subj-refwd) / WSP
fn leader(text: &[char]) -> Option<(usize, bool)> {
    if text.first() == Some(&' ') {
        return Some((1, false));
    }
    let mut at = 0;
    while let Some(length) = blob(&text[at..]) {
        at += length;
    }
    refwd(&text[at..]).map(|length| (at + length, true))
}

/// subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
fn refwd(text: &[char]) -> Option<usize> {
    let words = ["re", "fwd", "fw"];
    let mut at = words.iter().find(|word| starts_with(text, word))?.len();
    at += text[at..].iter().take_while(|&&c| c == ' ').count();
    at += blob(&text[at..]).unwrap_or(0);
    (text.get(at) == Some(&':')).then_some(at + 1)
}

/// subj-blob = "[" *BLOBCHAR "]" *WSP, where a BLOBCHAR is anything but "[", "]" and NUL
fn blob(text: &[char]) -> Option<usize> {
    if text.first() != Some(&'[') {
        return None;
    }
    let end = 1 + text[1..].iter().position(|c| "[]\0".contains(*c))?;
    let spaces = text[end + 1..].iter().take_while(|&&c| c == ' ').count();
    (text[end] == ']').then_some(end + 1 + spaces)
}

fn starts_with(text: &[char], word: &str) -> bool {
    text.len() >= word.len() && text.iter().zip(word.chars()).all(|(a, b)| a.eq_ignore_ascii_case(&b))
}
