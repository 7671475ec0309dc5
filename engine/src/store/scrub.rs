//! What is known of rot.

use std::ops::Range;

use super::Store;
use crate::ids::BodyId;

impl Store {
    /// Whether a body is known not to be what was written: its message is not shown until it is.
    pub fn is_distrusted(&self, body: BodyId) -> bool {
        self.index.is_distrusted(body)
    }

    /// Where such bodies begin; at most `limits::DISTRUSTED_RANGES_MAX` ranges.
    pub fn distrusted(&self) -> impl Iterator<Item = Range<BodyId>> + '_ {
        self.index.distrusted()
    }
}
