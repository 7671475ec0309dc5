//! Accounts of another store that may arrive, kept as simply as possible.
//!
//! *Owns*: what they are, as the other store's model has it. *Promises*: an account is there as a whole from its last
//! piece on, and not before; what was removed is there with its piece. *Assumes*: only pieces that were carried out are
//! told. *Never*: looks into a store.

use std::collections::BTreeMap;

use super::model::{Account, Model};
use super::model_graves::Graves;
use crate::arrival::Arrival;
use crate::change::Outcome;
use crate::ids::AccountId;

/// Accounts by their ids.
pub(super) type Coming = BTreeMap<AccountId, Expected>;

/// See the module's head.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    account: Account,
    /// What was removed of it, and what of that has come.
    removed: Graves,
    brought: Graves,
}

impl Model {
    /// This account may arrive, as the other store's model has it now.
    pub fn expect(&mut self, from: &Model, id: AccountId) {
        let Some(account) = from.accounts.get(&id) else { return };
        let (removed, brought) = (from.graves.clone(), Graves::default());
        self.coming.insert(id, Expected { account: account.clone(), removed, brought });
    }

    /// Whether an account has this address.
    pub fn has_address(&self, address: &str) -> bool {
        self.accounts.values().any(|account| account.address == address)
    }

    /// A piece was carried out.
    pub(super) fn arrive(&mut self, id: AccountId, piece: &Arrival, outcome: &Outcome) -> Result<(), String> {
        let Expected { account, removed, brought } =
            self.coming.get_mut(&id).ok_or("an account that nobody sends")?;
        match (piece, outcome) {
            (Arrival::Done { .. }, Outcome::AccountCreated(created)) if *created == id => {
                self.gone.remove(&id);
                self.graves.join(std::mem::take(brought));
                match self.accounts.insert(id, account.clone()) {
                    Some(_) => Err(format!("account {id} arrived where it is")),
                    None => Ok(()),
                }
            }
            (Arrival::Removed(more), Outcome::Done) => brought.bring(id, more, removed),
            (Arrival::Account { .. } | Arrival::Dropped, Outcome::Done) => {
                *brought = Graves::default();
                Ok(())
            }
            (Arrival::Done { .. }, _) => Err(format!("{outcome:?} is no outcome of an arrival's end")),
            (_, Outcome::Done) => Ok(()),
            _ => Err(format!("{outcome:?} is no outcome of {}", piece.name())),
        }
    }
}
