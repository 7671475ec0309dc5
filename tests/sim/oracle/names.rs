//! Mailboxes by name, and subscriptions.
//!
//! *Owns*: which names an account must have and must not have. *Promises*: an acknowledged CREATE, RENAME,
//! DELETE, SUBSCRIBE and UNSUBSCRIBE holds after any crash; a renamed mailbox shows what it showed.
//! *Assumes*: a name is used by one session, and not again.

use std::collections::BTreeMap;

use ringpost_engine::index::AccountRef;

use super::{Oracle, Place, Verdict};
use crate::clients::imap::Naming;

/// By account and name: whether it is there; none: it is being changed.
type Known = BTreeMap<(String, String), Option<bool>>;

/// What is known of names.
#[derive(Debug, Default)]
pub(super) struct Names {
    mailboxes: Known,
    subscriptions: Known,
}

impl Names {
    pub(super) fn forget(&mut self, address: &str) {
        self.mailboxes.retain(|key, _| key.0 != address);
        self.subscriptions.retain(|key, _| key.0 != address);
    }

    /// The mailbox and its inferiors, as far as known.
    fn tree(&self, address: &str, root: &str) -> Vec<String> {
        let below = format!("{root}/");
        let of = self.mailboxes.keys().filter(|(account, _)| account == address).map(|(_, name)| name);
        of.filter(|name| *name == root || name.starts_with(&below)).cloned().collect()
    }
}

impl Oracle {
    fn mailbox_is(&mut self, address: &str, name: &str, there: Option<bool>) {
        self.names.mailboxes.insert((address.to_owned(), name.to_owned()), there);
    }

    fn subscription_is(&mut self, address: &str, name: &str, there: Option<bool>) {
        self.names.subscriptions.insert((address.to_owned(), name.to_owned()), there);
    }

    /// A session asks for it.
    pub fn naming(&mut self, address: &str, naming: &Naming) {
        match naming {
            Naming::Create(name) => self.mailbox_is(address, name, None),
            Naming::Rename(from, to) => {
                for name in self.names.tree(address, from) {
                    self.mailbox_is(address, &name, None);
                }
                self.mailbox_is(address, to, None);
            }
            Naming::Delete(name) => {
                self.mailbox_is(address, name, None);
                let inside = |place: &&Place| place.0 == address && place.1 == *name;
                let places: Vec<Place> = self.places.keys().filter(inside).cloned().collect();
                places.iter().for_each(|place| self.removing(place));
            }
            Naming::Subscribe(name, _) => self.subscription_is(address, name, None),
        }
    }

    /// The server said that it is done.
    pub fn named(&mut self, address: &str, naming: &Naming) -> Verdict {
        match naming {
            Naming::Create(name) => {
                self.count("mailboxes created");
                // rfc3501#6.3.3: with its superiors.
                if let Some((superior, _)) = name.rsplit_once('/') {
                    self.mailbox_is(address, superior, Some(true));
                }
                self.mailbox_is(address, name, Some(true));
            }
            Naming::Rename(from, to) if from == "INBOX" => {
                self.count("inboxes renamed");
                self.mailbox_is(address, to, Some(true));
            }
            Naming::Rename(from, to) => {
                self.count("mailboxes renamed");
                for name in self.names.tree(address, from) {
                    let moved = format!("{to}{}", &name[from.len()..]);
                    self.mailbox_is(address, &name, Some(false));
                    self.mailbox_is(address, &moved, Some(true));
                    self.move_places(address, &name, &moved)?;
                }
            }
            Naming::Delete(name) => {
                self.count("mailboxes deleted");
                self.mailbox_is(address, name, Some(false));
            }
            Naming::Subscribe(name, on) => {
                self.count("subscriptions changed");
                self.subscription_is(address, name, Some(*on));
            }
        }
        Ok(())
    }

    /// What stood under the old name stands under the new one, with the same UIDs (rfc3501#6.3.5).
    fn move_places(&mut self, address: &str, from: &str, to: &str) -> Verdict {
        let inside = |place: &Place, _: &mut u64| place.0 == address && place.1 == from;
        let moved: Vec<_> = self.places.extract_if(.., inside).collect();
        moved.into_iter().try_for_each(|((account, _, uid), token)| {
            let place = (account, to.to_owned(), uid);
            self.stands(&place, token)
        })
    }

    pub(super) fn check_names(&self, account: AccountRef<'_>) -> Verdict {
        let address = account.address();
        let mailbox = |name: &str| account.mailbox_by_name(name).is_some();
        let subscribed = |name: &str| account.is_subscribed(name);
        let mailboxes = self.names.mailboxes.iter().map(|known| (known, mailbox(&known.0.1)));
        let subscriptions = self.names.subscriptions.iter().map(|known| (known, subscribed(&known.0.1)));
        for (((owner, name), known), there) in mailboxes.chain(subscriptions) {
            if owner == address && known.is_some_and(|known| known != there) {
                return Err(format!("{address}: {name} there {there}, acknowledged as {known:?}"));
            }
        }
        Ok(())
    }
}
