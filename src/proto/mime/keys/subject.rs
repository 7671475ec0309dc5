//! Base subjects.
//!
//! *Owns*: the procedure of rfc5256#2.1, to the letter. *Promises*: linear time, whatever the subject: what was
//! found to be no reply sign is not looked at again. *Assumes*: decoded text. *Never*: folds.

/// What is left of a subject, and whether a sign of a reply or forward was taken away (rfc5256#3: a subj-refwd, a
/// `(fwd)` trailer, or `[fwd: … ]`).
pub fn base_subject(decoded: &str) -> (String, bool) {
    // Step 1.
    let spaced = single_spaced(decoded);
    let mut text = spaced.as_str();
    let mut is_reply = false;
    loop {
        // Step 2.
        loop {
            text = text.trim_end_matches(' ');
            match strip_suffix_ignoring_case(text, "(fwd)") {
                Some(before) => (text, is_reply) = (before, true),
                None => break,
            }
        }
        // Steps 3 to 5.
        let (rest, removed) = without_leaders(text);
        text = rest;
        is_reply |= removed;
        // Step 6.
        match strip_prefix_ignoring_case(text, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => (text, is_reply) = (inner, true),
            None => return (text.to_owned(), is_reply),
        }
    }
}

/// Runs of white space and line ends become one space.
fn single_spaced(text: &str) -> String {
    let mut spaced = String::with_capacity(text.len());
    for character in text.chars() {
        if !matches!(character, ' ' | '\t' | '\r' | '\n') {
            spaced.push(character);
        } else if !spaced.ends_with(' ') {
            spaced.push(' ');
        }
    }
    spaced
}

/// Takes subj-leaders, and subj-blobs that leave something, from the front. Returns whether one held a reply sign.
fn without_leaders(mut text: &str) -> (&str, bool) {
    let mut is_reply = false;
    // Octets from the end before which it is known that blobs lead to no reply sign.
    let mut barren_until = text.len() + 1;
    loop {
        // Step 3: WSP, or blobs and a reply sign behind them.
        text = text.trim_start_matches(' ');
        if text.len() < barren_until {
            let mut behind_blobs = text;
            while let Some(rest) = skip_blob(behind_blobs) {
                behind_blobs = rest;
            }
            if let Some(rest) = skip_refwd(behind_blobs) {
                (text, is_reply) = (rest, true);
                continue;
            }
            barren_until = behind_blobs.len();
        }
        // Step 4.
        match skip_blob(text).filter(|rest| !rest.is_empty()) {
            Some(rest) => text = rest,
            None => return (text, is_reply),
        }
    }
}

/// subj-blob: `"[" *BLOBCHAR "]" *WSP`.
fn skip_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = memchr::memchr3(b'[', b']', 0, inner.as_bytes())?;
    let rest = inner.get(end..)?.strip_prefix(']')?;
    Some(rest.trim_start_matches(' '))
}

/// subj-refwd: `("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`.
fn skip_refwd(text: &str) -> Option<&str> {
    let rest = strip_prefix_ignoring_case(text, "re")
        .or_else(|| strip_prefix_ignoring_case(text, "fwd"))
        .or_else(|| strip_prefix_ignoring_case(text, "fw"))?
        .trim_start_matches(' ');
    skip_blob(rest).unwrap_or(rest).strip_prefix(':')
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    text.get(at..)?.eq_ignore_ascii_case(suffix).then(|| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: &str, base: &str, is_reply: bool) {
        assert_eq!(base_subject(subject), (base.to_owned(), is_reply), "{subject}");
    }

    #[test]
    fn leaders_and_trailers_go() {
        check("hello", "hello", false);
        check("Re: hello", "hello", true);
        check("  RE :hello  there\t", "hello there", true);
        check("Fw: Fwd: re[2]: hello", "hello", true);
        check("re [list] : x", "x", true);
        check("re [a] [b]: x", "re [a] [b]: x", false);
        check("re [list]: x", "x", true);
        check("hello (fwd) (FWD)", "hello", true);
        check("Reply: hello", "Reply: hello", false);
        check("fwdx", "fwdx", false);
    }

    #[test]
    fn blobs_go_if_something_is_left() {
        check("[list] hello", "hello", false);
        check("[list] [b] Re: [c] hello", "hello", true);
        check("[list]", "[list]", false);
        check("[list] (fwd)", "[list]", true);
        check("[a] [b]", "[b]", false);
        check("Re: [a]", "[a]", true);
        check("[a [b] c", "[a [b] c", false);
        check("[] x", "x", false);
        check("Re:", "", true);
        check("[a] Re:", "", true);
    }

    #[test]
    fn forwards_in_brackets_are_opened() {
        check("[Fwd: Re: hello]", "hello", true);
        check("[fwd:[FWD: hello (fwd)]]", "hello", true);
        check("[fwd: hello", "[fwd: hello", false);
        check("[Fwd: hello] there", "there", false);
        // A blob in the eyes of step 4, but nothing would be left: step 6 opens it.
        check("[Fwd: ]", "", true);
    }

    #[test]
    fn floods_are_linear() {
        let blobs = "[a]".repeat(300_000);
        let mut text = blobs.clone();
        text.push_str(" x");
        check(&text, "x", false);
        check(&"Re:".repeat(300_000), "", true);
        let nested = format!("{}x{}", "[fwd:".repeat(100_000), "]".repeat(100_000));
        assert_eq!(base_subject(&nested).0, "x");
        check(&"(fwd)".repeat(300_000), "", true);
        check(&" [".repeat(300_000), (" [".repeat(300_000)).trim_start(), false);
    }
}
