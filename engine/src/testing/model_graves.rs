//! What can be had back, kept as simply as possible.
//!
//! *Owns*: every message that left a mailbox, under the UID it had. *Promises*: nothing goes from the store before
//! a Reap let it go, and nothing lies there that never left a mailbox. *Assumes*: told when the change was asked
//! for, which is not later than its stamp. *Never*: looks into the store except to compare.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Message;
use crate::change::{FlagBits, UidSet};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::index::Buried;
use crate::store::Store;

type Place = (AccountId, MailboxId, Uid);

/// See the module's head.
#[derive(Clone, Debug, Default)]
pub(super) struct Graves {
    /// And when each was not gone yet.
    lying: BTreeMap<Place, (Message, u64)>,
    /// What a Reap let go. It lies here again where damage took the Reap.
    reaped: BTreeMap<Place, (Message, u64)>,
    /// Of those, how often one lay again whose octets were gone.
    without_octets: usize,
}

impl Graves {
    pub(super) fn bury(&mut self, account: AccountId, gone: Vec<(MailboxId, Uid, Message)>, asked_ms: u64) {
        let places = gone.into_iter().map(|(mailbox, uid, message)| ((account, mailbox, uid), message));
        self.lying.extend(places.map(|(place, message)| (place, (message, asked_ms))));
    }

    /// Messages that had left an account of another store, as that one's graves have them.
    pub(super) fn bring(
        &mut self,
        account: AccountId,
        removed: &[Buried],
        from: &Graves,
    ) -> Result<(), String> {
        for Buried { mailbox, when_ms, message, .. } in removed {
            let place = (account, *mailbox, message.uid);
            let (left, _) =
                from.lying.get(&place).ok_or("what never left a mailbox came with its account")?;
            self.lying.insert(place, (left.clone(), *when_ms));
        }
        Ok(())
    }

    /// All of these can be had back here as well.
    pub(super) fn join(&mut self, other: Graves) {
        self.lying.extend(other.lying);
    }

    /// The messages that left a mailbox under these UIDs, as they come back: without `\Deleted`, or the next EXPUNGE
    /// would take them again.
    pub(super) fn back(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &UidSet,
    ) -> Result<Vec<Message>, String> {
        let back = |uid| {
            let (mut message, _) = self.lying.get(&(account, mailbox, uid))?.clone();
            message.system = message.system.without(FlagBits::DELETED);
            Some(message)
        };
        let found = uids.iter().map(|uid| back(uid).ok_or_else(|| format!("UID {uid} never left {mailbox}")));
        found.collect()
    }

    /// How often since the last call a message that a lost Reap had let go lay again without its octets.
    pub(super) fn take_without_octets(&mut self) -> usize {
        std::mem::take(&mut self.without_octets)
    }

    /// Compares with the store; after damage, but for the accounts that are lost.
    pub(super) fn compare(&mut self, store: &Store, lost: Option<&[AccountId]>) -> Result<(), String> {
        let but = lost.unwrap_or_default();
        let served = store.accounts_after("").map(|account| account.id());
        let accounts: BTreeSet<AccountId> = self.lying.keys().map(|place| place.0).chain(served).collect();
        let accounts = accounts.into_iter().filter(|account| !but.contains(account));
        let mut found = BTreeSet::new();
        for buried in accounts.flat_map(|account| store.buried(account)) {
            let place = (buried.account, buried.mailbox, buried.message.uid);
            let reaped = self.reaped.get(&place).filter(|_| lost.is_some());
            let expected = self.lying.get(&place).or(reaped);
            let (expected, _) = expected.ok_or_else(|| format!("{buried:?} never left a mailbox"))?;
            // Compaction left its octets behind when the Reap had let it go, and nothing can bring them back.
            let may_lack = !self.lying.contains_key(&place) && store.body(buried.message.key()).is_none();
            self.without_octets += usize::from(may_lack);
            agrees(expected, &buried, store, may_lack)
                .map_err(|differs| format!("{differs} of {buried:?}"))?;
            found.insert(place);
        }
        let told = |place: &Place| found.contains(place) || but.contains(&place.0);
        let gone = |place: &Place, asked_ms: u64| !told(place) && asked_ms <= store.reaped_ms();
        let reaped = self.lying.extract_if(.., |place, (_, asked_ms)| gone(place, *asked_ms));
        self.reaped.extend(reaped);
        let missing = self.lying.keys().find(|place| !told(place));
        missing.map_or(Ok(()), |place| Err(format!("{place:?} cannot be had back any more")))
    }
}

fn agrees(expected: &Message, found: &Buried, store: &Store, may_lack: bool) -> Result<(), String> {
    let octets = store.body(found.message.key()).and_then(|body| store.bytes(body.bytes));
    if !may_lack && !store.is_distrusted(found.message.body) && octets.as_ref() != Some(&expected.octets) {
        return Err("the octets".to_owned());
    }
    let there = store.mailbox(found.account, found.mailbox).map(|mailbox| mailbox.keywords().to_vec());
    let gone = || {
        let mut gone = store.buried_mailboxes();
        let gone = gone.find(|gone| (gone.account, gone.mailbox) == (found.account, found.mailbox));
        gone.map(|gone| gone.keywords.clone())
    };
    let names = there.or_else(gone).unwrap_or_default();
    let set = |bit: &usize| found.message.flags.contains(FlagBits::keyword(*bit));
    let keywords: BTreeSet<String> =
        (0..names.len()).filter(set).map(|bit| names[bit].to_lowercase()).collect();
    let system = FlagBits(found.message.flags.0 & FlagBits::SYSTEM.0);
    match (system, keywords, found.message.internal_ms / 1000)
        == (expected.system, expected.keywords.clone(), expected.internal_s)
    {
        true => Ok(()),
        false => Err("flags or date".to_owned()),
    }
}
