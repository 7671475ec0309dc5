//! What few accounts and mailboxes have.
//!
//! *Owns*: annotations, access control lists, quotas, and what hides or sends away. *Promises*: eight bytes
//! for whoever has none of it. *Assumes*: the account keeps the totals over its mailboxes. *Never*: decides
//! what a right allows.

use std::collections::BTreeMap;

use super::annotations::Annotations;
use super::digest::Digest;
use crate::change::{QuotaLimits, Refusal, Rights};
use crate::ids::ModSeq;
use crate::limits;

/// Of a mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct MailboxExtras {
    pub(super) annotations: Annotations,
    pub(super) acl: BTreeMap<String, Rights>,
    /// Mod-sequence of the last change that made its URLs void; 0 before the first.
    pub(super) url_generation: ModSeq,
}

/// Of an account.
#[derive(Clone, Debug, Default)]
pub(super) struct AccountExtras {
    pub(super) annotations: Annotations,
    pub(super) quota: QuotaLimits,
    pub(super) hidden: Vec<String>,
    pub(super) referral: Option<String>,
}

impl MailboxExtras {
    /// Sets or removes an entry; `room` is how many entries more the account may have. Tells whether anything
    /// is different now.
    pub(super) fn grant(
        &mut self,
        identifier: &str,
        rights: Option<Rights>,
        room: usize,
    ) -> Result<bool, Refusal> {
        let Some(rights) = rights else { return Ok(self.acl.remove(identifier).is_some()) };
        let fits = !identifier.is_empty()
            && identifier.len() <= limits::ACL_IDENTIFIER_BYTES_MAX
            && !identifier.contains(char::is_control);
        let full = room == 0 || self.acl.len() >= limits::ACL_ENTRIES_PER_MAILBOX_MAX;
        if !fits || full && !self.acl.contains_key(identifier) {
            return Err(Refusal::Limit);
        }
        Ok(self.acl.insert(identifier.to_owned(), rights) != Some(rights))
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        self.annotations.digest(digest);
        digest.word(self.acl.len() as u64);
        for (identifier, rights) in &self.acl {
            digest.text(identifier);
            digest.word(u64::from(rights.bits()));
        }
        digest.word(self.url_generation.0);
    }
}

impl AccountExtras {
    /// The list of capabilities kept from clients, if it is within its bounds.
    pub(super) fn checked_hidden(capabilities: &[String]) -> Result<Vec<String>, Refusal> {
        let good = |name: &String| {
            !name.is_empty()
                && name.len() <= limits::CAPABILITY_BYTES_MAX
                && name.bytes().all(|b| b.is_ascii_graphic())
        };
        let fits = capabilities.len() <= limits::HIDDEN_CAPABILITIES_MAX && capabilities.iter().all(good);
        fits.then(|| capabilities.to_vec()).ok_or(Refusal::Limit)
    }

    /// A referral, if it is within its bounds and of one line.
    pub(super) fn checked_referral(url: Option<&String>) -> Result<Option<String>, Refusal> {
        let good = |url: &&String| {
            !url.is_empty()
                && url.len() <= limits::REFERRAL_BYTES_MAX
                && url.bytes().all(|b| b.is_ascii_graphic())
        };
        match url {
            None => Ok(None),
            url => url.filter(good).cloned().map(Some).ok_or(Refusal::Limit),
        }
    }

    pub(super) fn digest(&self, digest: &mut Digest) {
        self.annotations.digest(digest);
        for limit in [self.quota.storage_kib, self.quota.messages, self.quota.mailboxes] {
            digest.word(u64::from(limit.is_some()));
            digest.word(limit.unwrap_or_default());
        }
        digest.word(self.hidden.len() as u64);
        self.hidden.iter().for_each(|name| digest.text(name));
        digest.word(u64::from(self.referral.is_some()));
        digest.text(self.referral.as_deref().unwrap_or_default());
    }
}
