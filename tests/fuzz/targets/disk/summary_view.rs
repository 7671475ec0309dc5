//! An encoded summary of any octets is refused or read within its octets.

use bytes::Bytes;
use ringpost_engine::layout::{Summary, SummaryView};

/// Takes any octets.
pub fn run(octets: &[u8]) {
    if let Some(view) = SummaryView::new(octets) {
        let texts = view.envelope().len() + view.body().len() + view.bodystructure().len();
        assert!(texts + 4 * view.dot_lines().count() <= octets.len());
        for part in view.parts() {
            assert!(view.part(&part.path).is_some());
        }
    }
    if let Some(summary) = Summary::decode(&Bytes::copy_from_slice(octets)) {
        assert_eq!(Summary::decode(&summary.encode()), Some(summary));
    }
}
