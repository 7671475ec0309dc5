//! When to try again what found no room: less and less often, so that a full disk is not worn by attempts.

/// Attempts of one kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    first_ms: u64,
    most_ms: u64,
    /// How long the next failure is waited for.
    wait_ms: u64,
    at_ms: u64,
}

impl Retry {
    /// After the first failure `first_ms` pass, after each further one twice as many, `most_ms` at most.
    pub fn new(first_ms: u64, most_ms: u64) -> Retry {
        Retry { first_ms, most_ms, wait_ms: first_ms, at_ms: 0 }
    }

    /// Whether it may be tried now.
    pub fn is_due(&self, now_ms: u64) -> bool {
        now_ms >= self.at_ms
    }

    /// It failed.
    pub fn failed(&mut self, now_ms: u64) {
        self.at_ms = now_ms.saturating_add(self.wait_ms);
        self.wait_ms = self.wait_ms.saturating_mul(2).min(self.most_ms);
    }

    /// It succeeded, or there may be room now.
    pub fn reset(&mut self) {
        *self = Retry::new(self.first_ms, self.most_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_get_longer_up_to_a_bound_until_there_is_room() {
        let mut retry = Retry::new(10, 50);
        assert!(retry.is_due(0));
        let (mut now_ms, mut waits) = (0, Vec::new());
        for _ in 0..5 {
            retry.failed(now_ms);
            let due = (now_ms..).find(|&at_ms| retry.is_due(at_ms)).expect("at some time");
            waits.push(due - now_ms);
            now_ms = due;
        }
        assert_eq!(waits, [10, 20, 40, 50, 50]);
        retry.failed(now_ms);
        retry.reset();
        assert!(retry.is_due(now_ms));
    }
}
