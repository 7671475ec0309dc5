//! A message of any octets has a summary that keeps its promises.

use ringpost::proto::mime::{Scope, Summariser, contains_text, header, summarise};
use ringpost_engine::layout::{Summary, SummaryView};
use ringpost_engine::limits::SUMMARY_BYTES_MAX;

/// Takes any octets.
pub fn run(message: &[u8]) {
    let summary = summarise(message);
    for size in [1, 11] {
        assert_eq!(summarised(message, size), summary, "in pieces of {size}");
    }
    let encoded = summary.encode();
    assert!(encoded.len() <= SUMMARY_BYTES_MAX);
    assert_eq!(Summary::decode(&encoded).as_ref(), Some(&summary));
    assert!(summary.parts.iter().all(|part| part.body_end as usize <= message.len()));
    let view = SummaryView::new(&encoded).expect("what was encoded is read");
    contains_text(message, &view, "needle", Scope::Text);
    // The index of fields says what reading the header says.
    if let Some(fields) = view.fields() {
        let header = &message[..view.header_len() as usize];
        let indexed: Vec<_> = fields.map(|field| (field.start as usize, field.end as usize)).collect();
        let read: Vec<_> =
            header::fields(header).map(|field| (field.range().start, field.range().end)).collect();
        assert_eq!(indexed, read);
    }
    assert!(view.preview().chars().count() <= 256, "rfc8970#3.3");
}

/// The summary of a message that arrives in pieces.
fn summarised(message: &[u8], size: usize) -> Summary {
    let mut summariser = Summariser::new();
    let mut calls = 0;
    let mut count = || {
        calls += 1;
        assert!(calls <= 100 + 100 * message.len(), "no progress");
    };
    for end in (size..message.len()).step_by(size) {
        while !summariser.advance(&message[..end]) {
            count();
        }
    }
    loop {
        count();
        match summariser.finish(message) {
            Ok(summary) => return summary,
            Err(unfinished) => summariser = unfinished,
        }
    }
}
