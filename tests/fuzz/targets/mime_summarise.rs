//! A message of any octets has a summary that keeps its promises.

use ringpost::proto::mime::{Scope, contains_text, header, summarise};
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
