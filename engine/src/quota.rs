//! What an account may hold, and what it holds.
//!
//! *Owns*: the three resources of rfc9208#5 and how use is measured against their limits. *Promises*: a
//! change that adds nothing of a resource is never over that resource's limit, however far it is exceeded.
//! *Assumes*: totals are exact (I15). *Never*: overflows.

/// Octets in one unit of the STORAGE resource (rfc9208#5.1).
const STORAGE_UNIT: u64 = 1024;

/// Limits of an account's resources; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// STORAGE, in units of 1,024 octets (rfc9208#5.1).
    pub storage_kib: Option<u64>,
    /// MESSAGE, in messages (rfc9208#5.2).
    pub messages: Option<u64>,
    /// MAILBOX, in mailboxes, INBOX and names kept for their inferiors included (rfc9208#5.3).
    pub mailboxes: Option<u64>,
}

/// An amount of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaUsage {
    /// Octets of messages; a copy counts again.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
    /// Mailboxes.
    pub mailboxes: u64,
}

impl QuotaUsage {
    /// The octets in units of STORAGE, the last one begun counted whole.
    pub fn storage_kib(&self) -> u64 {
        self.bytes.div_ceil(STORAGE_UNIT)
    }
}

/// An account's limits and what it uses of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The limits.
    pub limits: QuotaLimits,
    /// The use.
    pub usage: QuotaUsage,
}

impl Quota {
    /// Whether there is room for `more`.
    pub fn has_room(&self, more: QuotaUsage) -> bool {
        let fits = |limit: Option<u64>, used: u64, more: u64| {
            more == 0 || limit.is_none_or(|limit| used.saturating_add(more) <= limit)
        };
        let octets = self.limits.storage_kib.map(|units| units.saturating_mul(STORAGE_UNIT));
        fits(octets, self.usage.bytes, more.bytes)
            && fits(self.limits.messages, self.usage.messages, more.messages)
            && fits(self.limits.mailboxes, self.usage.mailboxes, more.mailboxes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_octet_fits_and_no_more() {
        let limits = QuotaLimits { storage_kib: Some(2), messages: Some(3), mailboxes: None };
        let quota = Quota { limits, usage: QuotaUsage { bytes: 2000, messages: 2, mailboxes: 9 } };
        let more = |bytes, messages| QuotaUsage { bytes, messages, mailboxes: 1 };
        assert!(quota.has_room(more(48, 1)));
        assert!(!quota.has_room(more(49, 1)));
        assert!(!quota.has_room(more(48, 2)));
        assert_eq!(quota.usage.storage_kib(), 2);
    }

    #[test]
    fn who_is_over_it_already_may_still_do_what_adds_nothing() {
        let limits = QuotaLimits { storage_kib: Some(0), messages: Some(0), mailboxes: Some(0) };
        let usage = QuotaUsage { bytes: 1, messages: 1, mailboxes: 1 };
        let quota = Quota { limits, usage };
        assert!(quota.has_room(QuotaUsage::default()));
        assert!(!quota.has_room(QuotaUsage { mailboxes: 1, ..QuotaUsage::default() }));
        let most = QuotaLimits { storage_kib: Some(u64::MAX), ..QuotaLimits::default() };
        let quota = Quota { limits: most, usage };
        assert!(quota.has_room(QuotaUsage { bytes: u64::MAX, ..QuotaUsage::default() }));
    }
}
