//! Mail that nobody wrote.
//!
//! *Owns*: the octets of synthetic messages. *Promises*: the same seed and number give the same message, of exactly the
//! size asked for if a header fits into it. *Assumes*: nothing. *Never*: looks like anybody's mail.

use ringpost::proto::mime::date::{DateTime, print_rfc5322};
use ringpost::proto::smtp::trace::{self, Origin};
use ringpost_engine::ids::Now;

/// Words of all lengths; what they mean is no matter.
const WORDS: [&str; 64] = [
    "a", "able", "about", "account", "after", "agenda", "and", "answer", "arrive", "as", "at", "balance",
    "before", "bridge", "budget", "by", "call", "centre", "change", "clear", "coffee", "contract", "day",
    "delivery", "draft", "early", "engine", "evening", "field", "for", "forward", "garden", "green",
    "harbour", "in", "invoice", "is", "journey", "kitchen", "later", "letter", "market", "meeting",
    "morning", "number", "of", "office", "on", "order", "paper", "question", "quiet", "report", "river",
    "schedule", "signal", "station", "street", "ticket", "to", "travel", "update", "weather", "winter",
];
/// Columns of a line of text.
const LINE_BYTES: usize = 72;

/// Random numbers that are the same for the same seed (xorshift).
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }

    fn words(&mut self, count: u64) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

/// The `number`-th message, of `bytes` octets.
pub fn message(seed: u64, number: u64, bytes: usize, unix_ms: u64) -> Vec<u8> {
    let mut random = Random::new(seed ^ number << 20);
    let now = Now { unix_ms, mono_ms: 0 };
    let queue_id = trace::queue_id(now, number, 1);
    let origin = Origin {
        helo: "generator.example",
        address: "192.0.2.1",
        hostname: "mx.example",
        protocol: "ESMTP",
        queue_id: &queue_id,
    };
    let sender = format!("{}.{}@{}.example", random.word(), random.word(), random.word());
    let mut mail = trace::fields(origin, &sender, None, now);
    let subject_words = 2 + random.below(6);
    let fields = [
        ("From", format!("{} {} <{sender}>", random.word(), random.word())),
        ("To", "undisclosed-recipients:;".to_owned()),
        ("Subject", random.words(subject_words)),
        ("Date", print_rfc5322(&DateTime::from_unix((unix_ms / 1000) as i64))),
        ("Message-ID", format!("<{number}.{seed:x}@generator.example>")),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
    ];
    for (name, value) in fields {
        mail.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    mail.extend_from_slice(b"\r\n");
    let header = mail.len();
    let mut line = 0;
    while mail.len() + 2 < bytes {
        let word = random.word();
        if line + word.len() > LINE_BYTES {
            mail.extend_from_slice(b"\r\n");
            line = 0;
        }
        mail.extend_from_slice(word.as_bytes());
        mail.push(b' ');
        line += word.len() + 1;
    }
    mail.truncate(bytes.saturating_sub(2).max(header));
    // A line end may have been cut in two.
    if mail.len() > header && mail.last() == Some(&b'\r') {
        mail.pop();
        mail.push(b'.');
    }
    mail.extend_from_slice(b"\r\n");
    mail
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringpost::proto::mime::header;

    #[test]
    fn messages_are_of_the_size_asked_for_and_the_same_again() {
        for bytes in [600, 601, 602, 1_000, 4_096, 70_001] {
            for number in 0..20 {
                let mail = message(7, number, bytes, 1_700_000_000_000);
                assert_eq!(mail.len(), bytes);
                assert_eq!(mail, message(7, number, bytes, 1_700_000_000_000));
                assert_ne!(mail, message(7, number + 1, bytes, 1_700_000_000_000));
                let bare =
                    mail.iter().enumerate().filter(|&(at, &octet)| octet == b'\n' && mail[at - 1] != b'\r');
                assert_eq!(bare.count(), 0);
                assert!(header::value(&mail, b"Message-ID").is_some() && mail.ends_with(b"\r\n"));
            }
        }
    }
}
