//! A message of any octets has a summary that keeps its promises.

use ringpost::proto::mime::{Scope, contains_text, summarise};
use ringpost_engine::layout::{Summary, SummaryView};
use ringpost_engine::limits::SUMMARY_BYTES_MAX;

/// Takes any octets.
pub fn run(message: &[u8]) {
    let summary = summarise(message);
    let encoded = summary.encode();
    assert!(encoded.len() <= SUMMARY_BYTES_MAX);
    assert_eq!(Summary::decode(&encoded).as_ref(), Some(&summary));
    assert!(summary.parts.iter().all(|part| part.body_end as usize <= message.len()));
    let view = SummaryView::new(&encoded).expect("what was encoded is read");
    contains_text(message, &view, "needle", Scope::Text);
}
