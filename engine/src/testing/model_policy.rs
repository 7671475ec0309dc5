//! What a store must hold beside mail, kept as simply as possible.
//!
//! *Owns*: annotations, rights, quota, and how clients are met, as they were set one by one. *Promises*: knows
//! only what somebody asked for: what a new mailbox inherits is not looked at. *Assumes*: only changes that
//! were carried out are told. *Never*: looks into the store except to compare.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::change::{Change, Quota, QuotaLimits, QuotaUsage, Rights};
use crate::ids::ModSeq;
use crate::index::{AccountRef, MailboxRef};

type Annotations = BTreeMap<String, Option<Bytes>>;

/// Of a mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct MailboxPolicy {
    annotations: Annotations,
    acl: BTreeMap<String, Option<Rights>>,
    /// The generation of its URLs when it was compared last, and whether it must be another now.
    generation: ModSeq,
    voided: bool,
}

/// Of an account.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountPolicy {
    annotations: Annotations,
    quota: QuotaLimits,
    hidden: Vec<String>,
    referral: Option<String>,
}

fn differing<'a>(expected: &'a Annotations, found: impl Fn(&str) -> Option<&'a [u8]>) -> Result<(), String> {
    match expected.iter().find(|(name, value)| found(name) != value.as_deref()) {
        Some((name, value)) => Err(format!("annotation {name:?} is {:?}, not {value:?}", found(name))),
        None => Ok(()),
    }
}

impl MailboxPolicy {
    /// What a mailbox has that took over the messages of this one.
    pub(super) fn of_copy(&self) -> MailboxPolicy {
        MailboxPolicy { generation: ModSeq(0), voided: false, ..self.clone() }
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Metadata { entries, .. } => self.annotations.extend(entries.iter().cloned()),
            Change::Acl { identifier, rights, .. } => {
                self.acl.insert(identifier.clone(), *rights);
            }
            _ => self.voided = true,
        }
    }

    pub(super) fn compare(&mut self, found: MailboxRef<'_>) -> Result<(), String> {
        differing(&self.annotations, |name| found.metadata(name))?;
        if let Some((name, rights)) = self.acl.iter().find(|(name, rights)| found.rights_of(name) != **rights)
        {
            return Err(format!("rights of {name:?} are {:?}, not {rights:?}", found.rights_of(name)));
        }
        let generation = found.url_generation();
        if generation < self.generation || self.voided && generation == self.generation {
            return Err(format!("URLs of generation {generation} after {}", self.generation));
        }
        (self.generation, self.voided) = (generation, false);
        Ok(())
    }
}

impl AccountPolicy {
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Metadata { entries, .. } => self.annotations.extend(entries.iter().cloned()),
            Change::Quota { limits } => self.quota = *limits,
            Change::AccountHide { capabilities } => self.hidden.clone_from(capabilities),
            Change::AccountReferral { url } => self.referral.clone_from(url),
            _ => {}
        }
    }

    pub(super) fn has_room(&self, usage: QuotaUsage, more: QuotaUsage) -> bool {
        Quota { limits: self.quota, usage }.has_room(more)
    }

    pub(super) fn compare(&self, found: AccountRef<'_>) -> Result<(), String> {
        differing(&self.annotations, |name| found.metadata(name))?;
        let met = (found.quota().limits, found.hidden_capabilities(), found.referral());
        let expected = (self.quota, self.hidden.as_slice(), self.referral.as_deref());
        if met == expected { Ok(()) } else { Err(format!("{met:?} instead of {expected:?}")) }
    }
}
