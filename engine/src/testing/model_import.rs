//! What imports brought along, kept as simply as possible.
//!
//! *Owns*: adopted UIDVALIDITYs and forms, unique-ids, and which UIDVALIDITYs names had. *Promises*: finds one that
//! comes back (I13). *Assumes*: only changes that were carried out are told. *Never*: looks into the store except
//! to compare.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{ImportedMessage, UidSet, UniqueIdForm};
use crate::ids::{MailboxId, Uid};
use crate::index::MailboxRef;

/// Of a mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Brought {
    adopted: Option<(u32, UniqueIdForm)>,
    /// It has another name since it was compared, and others adopted the same UIDVALIDITY.
    may_be_renewed: bool,
    /// Also of messages that are gone.
    unique_ids: BTreeMap<Uid, String>,
}

impl Brought {
    pub(super) fn adopt(
        &mut self,
        uid_validity: u32,
        form: UniqueIdForm,
        last_uid: u32,
    ) -> Result<(), String> {
        self.adopted = Some((uid_validity, form));
        if last_uid == 0 { Ok(()) } else { Err(format!("adopted {uid_validity} after UID {last_uid}")) }
    }

    pub(super) fn import(&mut self, messages: &[ImportedMessage], uids: &UidSet) -> Result<(), String> {
        let renumbered = messages.iter().all(|message| message.uid == Uid(0));
        let given = uids.iter().eq(messages.iter().map(|message| message.uid));
        if uids.len() != messages.len() as u64 || !renumbered && !given {
            return Err(format!("{uids:?} instead of the UIDs that were given"));
        }
        let named =
            uids.iter().zip(messages).filter_map(|(uid, message)| Some((uid, message.unique_id.clone()?)));
        self.unique_ids.extend(named);
        Ok(())
    }

    /// It has another name.
    pub(super) fn renamed(&mut self, validities: &Validities) {
        self.may_be_renewed |= self.adopted.is_some_and(|(adopted, _)| validities.is_shared(adopted));
    }

    pub(super) fn compare(&mut self, found: MailboxRef<'_>) -> Result<(), String> {
        if let Some((adopted, _)) = &mut self.adopted
            && std::mem::take(&mut self.may_be_renewed)
        {
            // Weaker than it could be: whether it had to be renewed is for the tests of `index/validities.rs`. That
            // it was not renewed and had to is found by `Validities::see`.
            *adopted = found.uid_validity().max(*adopted);
        }
        let (uid_validity, form) = self.adopted.unwrap_or((found.uid_validity(), UniqueIdForm::Own));
        if (found.uid_validity(), found.unique_id_form()) != (uid_validity, form) {
            return Err(format!("UIDVALIDITY {} instead of {uid_validity}, {form:?}", found.uid_validity()));
        }
        let there = self.unique_ids.iter().filter(|(uid, _)| found.place(**uid).is_some());
        match there.map(|(uid, text)| (*uid, text.as_str())).eq(found.unique_ids_from(Uid(0))) {
            true => Ok(()),
            false => Err("unique-ids differ".to_owned()),
        }
    }
}

/// Under which UIDVALIDITYs the names of an account had UIDs, and of which mailbox each was.
#[derive(Clone, Debug, Default)]
pub(super) struct Validities {
    named: BTreeMap<(String, u32), MailboxId>,
    /// Who ever adopted a value.
    adopted: BTreeMap<u32, BTreeSet<MailboxId>>,
}

impl Validities {
    /// A mailbox adopted a value.
    pub(super) fn adopt(&mut self, uid_validity: u32, mailbox: MailboxId) {
        self.adopted.entry(uid_validity).or_default().insert(mailbox);
    }

    fn is_shared(&self, uid_validity: u32) -> bool {
        self.adopted.get(&uid_validity).is_some_and(|mailboxes| mailboxes.len() > 1)
    }

    /// Takes in what a mailbox has now. I13
    pub(super) fn see(&mut self, found: MailboxRef<'_>) -> Result<(), String> {
        if found.uid_next() == Uid(1) {
            return Ok(());
        }
        let named = (found.name().to_owned(), found.uid_validity());
        let id = *self.named.entry(named).or_insert(found.id());
        match id == found.id() {
            true => Ok(()),
            false => Err(format!("{:?} has UIDVALIDITY {} again", found.name(), found.uid_validity())),
        }
    }
}
