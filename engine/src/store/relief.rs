//! What may still be changed on a full disk.

use crate::arrival::Arrival;
use crate::change::Change;

/// Whether a change is taken from the headroom of a full disk: it adds no message, account or name.
pub(super) fn needs_no_space(change: &Change) -> bool {
    match change {
        Change::AccountPassword { .. }
        | Change::AccountServices { .. }
        | Change::AccountDelete
        | Change::DomainDelete { .. }
        | Change::AliasDelete { .. }
        | Change::MailboxDelete { .. }
        | Change::FlagsStore { .. }
        | Change::Expunge { .. }
        | Change::RecentSeen { .. }
        | Change::Quota { .. }
        | Change::UrlKey { .. }
        | Change::AccountHide { .. }
        | Change::AccountReferral { .. }
        | Change::Reap { .. }
        | Change::Distrust { .. }
        | Change::Trust { .. }
        | Change::AccountLeave
        | Change::SlotLeave { .. }
        | Change::SlotClear { .. }
        | Change::Session { .. }
        | Change::Arrive(Arrival::Dropped) => true,
        Change::Subscribe { on, .. } => !on,
        Change::Metadata { entries, .. } => entries.iter().all(|(_, value)| value.is_none()),
        Change::Acl { rights, .. } => rights.is_none(),
        Change::AccountCreate { .. }
        | Change::DomainAdd { .. }
        | Change::AliasSet { .. }
        | Change::MailboxCreate { .. }
        | Change::MailboxRename { .. }
        | Change::Deliver { .. }
        | Change::Append { .. }
        | Change::MailboxAdopt { .. }
        | Change::Import { .. }
        | Change::Arrive(_)
        | Change::Inherit(_)
        | Change::SlotClaim { .. }
        | Change::Copy { .. }
        | Change::Restore { .. }
        | Change::Read { .. } => false,
    }
}
