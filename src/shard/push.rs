//! Who is told when an account changes.
//!
//! *Owns*: which sessions watch an account and which are logged in to it. *Promises*: a change is told in
//! the turn that makes it visible, in order of connection. *Assumes*: `flow` reports after each call of a
//! session.
//! *Never*: holds what changed; each session finds its own difference from its cursor (DESIGN §6.7).

use std::collections::BTreeSet;

use ringpost_engine::ids::AccountId;

use crate::shard::event::ConnId;

/// Accounts and the connections behind them.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    pairs: BTreeSet<(AccountId, ConnId)>,
}

impl Sessions {
    /// Notes that `conn` belongs to `now` instead of `was`.
    pub fn change(&mut self, conn: ConnId, was: Option<AccountId>, now: Option<AccountId>) {
        if was == now {
            return;
        }
        if let Some(account) = was {
            self.pairs.remove(&(account, conn));
        }
        if let Some(account) = now {
            self.pairs.insert((account, conn));
        }
    }

    /// The connections of an account, ascending.
    pub fn of(&self, account: AccountId) -> impl Iterator<Item = ConnId> + '_ {
        self.pairs.range((account, ConnId(0))..=(account, ConnId(u64::MAX))).map(|(_, conn)| *conn)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stands_under_one_account() {
        let (alice, bob) = (AccountId(1), AccountId(2));
        let mut sessions = Sessions::default();
        sessions.change(ConnId(9), None, Some(alice));
        sessions.change(ConnId(3), None, Some(alice));
        sessions.change(ConnId(5), None, Some(bob));
        assert_eq!(sessions.of(alice).collect::<Vec<_>>(), [ConnId(3), ConnId(9)]);
        sessions.change(ConnId(3), Some(alice), Some(bob));
        sessions.change(ConnId(9), Some(alice), None);
        assert_eq!(sessions.of(alice).count(), 0);
        assert_eq!(sessions.of(bob).collect::<Vec<_>>(), [ConnId(3), ConnId(5)]);
        assert_eq!(sessions.len(), 2);
    }
}
