//! Octets read as choices: the same octets choose the same, a changed octet changes little.

/// What is left to choose with. When nothing is left, the first of everything is chosen.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    /// A number below `bound`, which is at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % bound
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Whether nothing is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}
